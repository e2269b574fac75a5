#include "control/check.h"

#include <stdio.h>
#include <unistd.h>

#include "control/load.h"

static const char usage[] =
        "usage: penstock check [-M DIRECTORY] [FILE]\n"
        "\n"
        "Shows every mistake of FILE (default /etc/rsyslog.conf) with its place and what would be right.\n"
        "Modules that are not built in are looked for where -M says, or RSYSLOG_MODDIR, or where they were installed.\n"
        "Exit 0: clean, 1: mistakes. `penstockd -N1 -f FILE` also compiles it.\n";

int check_main(int argc, char **argv) {
        _owned_(loaded_file_fini) struct loaded_file file;
        int code = loaded_file_open(&file, argc, argv, usage, false);
        if (code != LOAD_GO_ON)
                return code;
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_print(&file.diagnostics, &out, isatty(STDOUT_FILENO));
        fwrite(out.data, 1, out.size, stdout);
        printf("%s: %u errors, %u warnings\n", file.path, file.diagnostics.errors, file.diagnostics.warnings);
        return file.diagnostics.errors ? 1 : 0;
}
