#include "daemon/parsers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "module/settings.h"

struct named_parser {
        const char *name; /* of a parser() object; NULL: what the module is called without one */
        const struct module *module;
        void *instance;
        void *defaults; /* settings, where no parser() object gave any */
        struct named_parser *next;
};

static struct named_parser *parser_free(struct named_parser *n) {
        if (n->instance && n->module->parser->close)
                n->module->parser->close(n->instance);
        settings_free(&n->module->settings, n->defaults);
        free(n);
        return NULL;
}
OWNED_POINTER(struct named_parser, parser_free);

/* `settings` NULL: the defaults. */
static int add(struct parsers *p, const char *name, const struct module *module, const void *settings) {
        _owned_(parser_free) struct named_parser *n = calloc(1, sizeof *n);
        if (!n)
                return fail(-ENOMEM);
        n->name = name;
        n->module = module;
        if (!settings && module->settings.size) {
                settings = n->defaults = settings_new(&module->settings);
                if (!settings)
                        return fail(-ENOMEM);
        }
        int r = module->parser->open(&n->instance, p->log, p->facts, settings);
        if (r)
                return pass(r);
        n->next = p->first;
        p->first = TAKE(n);
        return 0;
}

/* A parser module by what chains call it where no parser() object names it; NULL: there is none. */
static const struct module *find_module(const struct parsers *p, const char *name) {
        for (const struct module *const *m = registry_builtin(); *m; m++)
                if ((*m)->kind == MODULE_PARSER && parser_is_called(*m, text_of(name)))
                        return *m;
        for (const struct loaded_module *m = p->config->modules; m; m = m->next)
                if (m->module->kind == MODULE_PARSER && parser_is_called(m->module, text_of(name)))
                        return m->module;
        return NULL;
}

static const struct named_parser *find(const struct parsers *p, const char *name, const struct module *module) {
        const struct named_parser *n = p->first;
        while (n && (module ? n->name || n->module != module : !n->name || strcasecmp(n->name, name) != 0))
                n = n->next;
        return n;
}

/* Opened with its first mention: a parser that nobody names costs nothing, and its library need not be there. */
static const struct named_parser *demand(struct parsers *p, const char *name) {
        const struct module *module = find_module(p, name);
        const struct named_parser *n = find(p, name, module);
        if (n || !module)
                return n;
        return add(p, NULL, module, NULL) ? NULL : p->first;
}

int parsers_init(struct parsers *p, const struct config *config, struct module_log *log,
                 const struct host_facts *facts) {
        p->config = config;
        p->log = log;
        p->facts = facts;
        for (const struct parser_def *def = config->parsers; def; def = def->next) {
                int r = add(p, def->name, def->object->module, def->object->settings);
                if (r == -ENOMEM)
                        return pass(r);
        }
        return 0;
}

void parsers_fini(struct parsers *p) {
        while (p->first) {
                struct named_parser *n = p->first;
                p->first = n->next;
                parser_free(n);
        }
}

static void add_to_chain(struct parsers *p, struct parser_chain *chain, const char *name,
                         const struct ruleset_def *ruleset, struct diagnostics *diagnostics) {
        const struct named_parser *n = demand(p, name);
        if (n && parser_chain_add(chain, n->module, n->instance) == 0)
                return;
        diagnose(diagnostics, SEVERITY_ERR, 2159, ruleset->place, 0, NULL,
                 "error: parser '%s' of ruleset '%s' is unknown or one too many: it is left out", name, ruleset->name);
}

void parsers_make_chain(struct parsers *p, struct parser_chain *chain, const struct ruleset_def *ruleset,
                        struct diagnostics *diagnostics) {
        parser_chain_init(chain, p->facts, p->log);
        for (size_t i = 0; i < ruleset->parsers.count; i++)
                add_to_chain(p, chain, ruleset->parsers.items[i], ruleset, diagnostics);
        if (chain->count)
                return;
        add_to_chain(p, chain, "rsyslog.rfc5424", ruleset, diagnostics);
        add_to_chain(p, chain, "rsyslog.rfc3164", ruleset, diagnostics);
}

const char *parsers_name_of(const struct parsers *p, const struct chain_link *link) {
        for (const struct named_parser *n = p->first; n; n = n->next)
                if (n->instance == link->instance && n->module->parser->parse == link->parse)
                        return n->name ? n->name : n->module->name;
        return NULL;
}
