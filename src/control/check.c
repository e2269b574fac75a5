#include "control/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "language/diagnostics.h"
#include "language/tree.h"
#include "message/property.h"
#include "template/template.h"

int check_main(int argc, char **argv) {
        const char *path = argc > 1 ? argv[1] : "/etc/rsyslog.conf";
        if (strcmp(path, "--help") == 0) {
                printf("usage: penstock check [FILE]\n\nShows every mistake of FILE (default /etc/rsyslog.conf) with "
                       "its place and what would be right.\nExit 0: clean, 1: mistakes. `penstockd -N1 -f FILE` also "
                       "compiles it.\n");
                return 0;
        }
        const struct config_options options = {
                .template_names = template_builtin_names(),
                .property_is_known = property_is_known,
        };
        _owned_(diagnostics_fini) struct diagnostics diagnostics = {0};
        _owned_(registry_free) struct registry *registry = NULL;
        _owned_(config_free) struct config *config = NULL;
        int r = registry_new(&registry, NULL);
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
