#include "daemon/lookups.h"

#include <errno.h>

#include "base/fail.h"
#include "module/definitions.h"

enum { CODE_NO_FILE = 2040, CODE_TABLE = 2009 };

struct told_diagnostics {
        struct lookup_listener listener;
        struct diagnostics *diagnostics;
        const struct definition *definition;
        const char *file;
};

static void hear(struct lookup_listener *listener, enum severity severity, uint32_t line, uint32_t column,
                 const char *what) {
        const struct told_diagnostics *t = CONTAINER_OF(listener, struct told_diagnostics, listener);
        struct place place = {.file = t->file, .line = line, .column = column};
        diagnose(t->diagnostics, severity, CODE_TABLE, place, 0, NULL, "lookup table '%s' %s", t->definition->name,
                 what);
}

static int add(struct tables *tables, const struct definition *d, struct diagnostics *diagnostics) {
        const struct lookup_table_settings *s = d->settings;
        struct table *table;
        int r = tables_add(tables, &table, s->name, s->file, s->reloads_on_hup);
        if (r == -EEXIST || r == -E2BIG) {
                diagnose(diagnostics, SEVERITY_WARNING, CODE_TABLE, d->place, 12,
                         r == -EEXIST ? "the first one counts" : NULL,
                         r == -EEXIST ? "lookup table '%s' is defined more than once"
                                      : "lookup table '%s' is one too many",
                         s->name);
                return 0;
        }
        if (r)
                return pass(r);
        struct told_diagnostics told = {
                .listener.hear = hear, .diagnostics = diagnostics, .definition = d, .file = table_file(table)};
        r = table_load(table, &told.listener);
        if (r == -ENOMEM)
                return pass(r);
        if (r && r != -EBADMSG)
                diagnose(diagnostics, SEVERITY_ERR, CODE_NO_FILE, d->place, 12, NULL,
                         "lookup table file '%s' could not be opened: %s", s->file, fail_text(r));
        return 0;
}

int lookups_new(struct tables **ret, const struct config *config, struct reporter *reporter,
                struct diagnostics *diagnostics) {
        _owned_(tables_free) struct tables *tables = NULL;
        int r = tables_new(&tables, reporter);
        for (const struct definition *d = config->definitions; d && r == 0; d = d->next)
                if (strcmp(d->kind, "lookup_table") == 0)
                        r = add(tables, d, diagnostics);
        if (r)
                return pass(r);
        *ret = TAKE(tables);
        return 0;
}
