#include "control/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "language/diagnostics.h"
#include "language/tree.h"
#include "message/property.h"
#include "module/registry.h"
#include "template/template.h"

static const char usage[] =
        "usage: penstock check [-M DIRECTORY] [FILE]\n"
        "\n"
        "Shows every mistake of FILE (default /etc/rsyslog.conf) with its place and what would be right.\n"
        "Modules that are not built in are looked for where -M says, or RSYSLOG_MODDIR, or where they were installed.\n"
        "Exit 0: clean, 1: mistakes. `penstockd -N1 -f FILE` also compiles it.\n";

int check_main(int argc, char **argv) {
        const char *modules = registry_default_path();
        if (argc > 2 && strcmp(argv[1], "-M") == 0) {
                modules = argv[2];
                argc -= 2;
                argv += 2;
        }
        const char *path = argc > 1 ? argv[1] : "/etc/rsyslog.conf";
        if (argc > 2 || path[0] == '-') {
                bool is_asked = strcmp(path, "--help") == 0;
                fputs(usage, is_asked ? stdout : stderr);
                return is_asked ? 0 : 1;
        }
        const struct config_options options = {
                .template_names = template_builtin_names(),
                .property_is_known = property_is_known,
        };
        _owned_(diagnostics_fini) struct diagnostics diagnostics = {0};
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(config_free) struct config *config = NULL;
        int r = registry_new(&registry, modules);
        if (r == 0)
                r = config_load(&config, registry, path, &options, &diagnostics);
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_print(&diagnostics, &out, isatty(STDOUT_FILENO));
        fwrite(out.data, 1, out.size, stdout);
        if (r) {
                fprintf(stderr, "penstock check: %s: %s\n", path, fail_text(r));
                return 1;
        }
        printf("%s: %u errors, %u warnings\n", path, diagnostics.errors, diagnostics.warnings);
        return diagnostics.errors ? 1 : 0;
}
