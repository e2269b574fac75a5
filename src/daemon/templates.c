#include "daemon/templates.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct named_template {
        struct template *template;
        struct named_template *next;
};

static int add(struct templates *t, const struct template_def *def, struct diagnostics *diagnostics) {
        struct named_template *n = calloc(1, sizeof *n);
        if (!n)
                return fail(-ENOMEM);
        int r = template_new(&n->template, def, diagnostics);
        if (r) {
                free(n);
                return pass(r);
        }
        n->next = t->first;
        t->first = n;
        return 0;
}

int templates_init(struct templates *t, const struct config *config, struct diagnostics *diagnostics) {
        t->config = config;
        for (const struct template_def *def = config->templates; def; def = def->next)
                if (add(t, def, diagnostics) == -ENOMEM)
                        return fail(-ENOMEM);
        return 0;
}

void templates_fini(struct templates *t) {
        while (t->first) {
                struct named_template *n = t->first;
                t->first = n->next;
                template_free(n->template);
                free(n);
        }
}

static const struct template_def *find_def(const struct templates *t, const char *name) {
        for (const struct template_def *def = t->config->templates; def; def = def->next)
                if (strcmp(def->name, name) == 0)
                        return def;
        return template_builtin(text_of(name));
}

const struct template *templates_find(struct templates *t, const char *name) {
        for (struct named_template *n = t->first; n; n = n->next)
                if (strcmp(template_name(n->template), name) == 0)
                        return n->template;
        const struct template_def *def = find_def(t, name);
        return def && add(t, def, NULL) == 0 ? t->first->template : NULL;
}
