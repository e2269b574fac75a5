#include "control/load.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "message/property.h"
#include "module/registry.h"
#include "template/template.h"

int loaded_file_read(struct loaded_file *f, const char *path, const struct text *text, const char *modules,
                     bool notes_constructs) {
        const struct config_options options = {
                .template_names = template_builtin_names(),
                .property_is_known = property_is_known,
                .notes_constructs = notes_constructs,
        };
        *f = (struct loaded_file){.path = path};
        int r = registry_new(&f->registry, modules);
        if (r)
                return pass(r);
        r = text ? config_load_text(&f->config, f->registry, path, *text, &options, &f->diagnostics)
                 : config_load(&f->config, f->registry, path, &options, &f->diagnostics);
        return r ? pass(r) : 0;
}

int loaded_file_open(struct loaded_file *f, int argc, char **argv, const char *usage, bool notes_constructs) {
        const char *modules = registry_default_path();
        *f = (struct loaded_file){0};
        if (argc > 2 && strcmp(argv[1], "-M") == 0) {
                modules = argv[2];
                argc -= 2;
                argv += 2;
        }
        f->path = argc > 1 ? argv[1] : "/etc/rsyslog.conf";
        if (argc > 2 || f->path[0] == '-') {
                bool is_asked = strcmp(f->path, "--help") == 0;
                fputs(usage, is_asked ? stdout : stderr);
                return is_asked ? 0 : 1;
        }
        int r = loaded_file_read(f, f->path, NULL, modules, notes_constructs);
        if (r == 0)
                return LOAD_GO_ON;
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_print(&f->diagnostics, &out, false);
        fwrite(out.data, 1, out.size, stdout);
        fprintf(stderr, "penstock: %s: %s\n", f->path, fail_text(r));
        return 1;
}

void loaded_file_fini(struct loaded_file *f) {
        config_free(f->config);
        registry_free(f->registry);
        diagnostics_fini(&f->diagnostics);
}
