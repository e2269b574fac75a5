/*
 * mmnormalize: the text becomes variables by the rules of a rule base (liblognorm's, both versions).
 *
 * A text without a rule leaves "originalmsg" and "unparsed-data". $parsesuccess says which it was.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "message/container.h"
#include "message/normalizer.h"
#include "module/module.h"

enum { LIBRARY_SAYS = 2427 /* rsyslog's number */ };

struct mmnormalize_module_settings {
        bool allows_regex;
};

struct mmnormalize_settings {
        char *path;
        struct strings rules;
        char *container;
        bool uses_raw;
        char *variable;
        bool debugs;
        char *debug_path;
        bool is_turbo;
};

struct mmnormalize {
        struct normalizer *normalizer;
        struct container container;
        struct property property;
        bool uses_raw;
};

static struct text text_to_read(const struct mmnormalize *m, struct property_context *context, struct batch *b,
                                struct record *r) {
        return m->uses_raw ? batch_text(b, r->raw) : property_get(context, b, r, &m->property);
}

static void normalize_record(const struct mmnormalize *m, struct property_context *context, struct batch *b,
                             struct record *r) {
        bool is_match;
        struct json *fields = normalizer_run(m->normalizer, &b->arena, text_to_read(m, context, b, r), &is_match);
        r->flags = (uint16_t)(is_match ? r->flags | RECORD_PARSE_OK : r->flags & ~RECORD_PARSE_OK);
        if (fields)
                (void)container_add(&m->container, context, b, r, fields);
}

static void mmnormalize_modify(void *instance, struct property_context *context, struct batch *b,
                               const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                normalize_record(instance, context, b, &b->records[selection[i]]);
}

static void mmnormalize_close(void *instance) {
        struct mmnormalize *m = instance;
        normalizer_free(m->normalizer);
        free(m);
}

static struct normalizer_rules rules_of(const struct mmnormalize_settings *s, const void *module_settings) {
        const struct mmnormalize_module_settings *module = module_settings;
        return (struct normalizer_rules){.path = s->path,
                                         .lines = (const char *const *)s->rules.items,
                                         .count = s->rules.count,
                                         .allows_regex = module && module->allows_regex};
}

static int mmnormalize_open(void **ret, const struct modifier_host *host, const void *settings) {
        const struct mmnormalize_settings *s = settings;
        struct normalizer_rules rules = rules_of(s, host->module_settings);
        struct mmnormalize *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->uses_raw = s->uses_raw;
        int r = container_parse(&m->container, text_of(s->container));
        assert(r == 0); /* mmnormalize_check() */
        r = property_find(&m->property, text_of(s->variable));
        assert(r == 0);
        /* What the library has to say of the rules, mmnormalize_check() has reported. */
        const char *why;
        r = normalizer_new(&m->normalizer, &rules, (struct normalizer_listener){0}, &why);
        if (r) {
                mmnormalize_close(m);
                return pass(r);
        }
        *ret = m;
        return 0;
}

static void report_rule(void *log, const char *text) {
        module_report(log, SEVERITY_ERR, LIBRARY_SAYS, "liblognorm error: %s", text);
}

static int check_rules(const struct mmnormalize_settings *s, const void *module_settings, struct module_log *log) {
        if (!s->path == !s->rules.count) {
                module_report(log, SEVERITY_ERR, 0, "either rulebase or rule has to be set%s",
                              s->path ? ", not both" : ": a file with rules, or the rules themselves");
                return -EINVAL;
        }
        struct normalizer_rules rules = rules_of(s, module_settings);
        _owned_(normalizer_free) struct normalizer *n = NULL;
        const char *why;
        int r = normalizer_new(&n, &rules, (struct normalizer_listener){report_rule, log}, &why);
        if (r == -ENOENT)
                module_report(log, SEVERITY_ERR, 0, "mmnormalize needs the library liblognorm: %s", why);
        else if (r)
                module_report_param(log, SEVERITY_ERR, s->path ? "rulebase" : "rule", "the rules cannot be loaded: %s",
                                    fail_text(r));
        return r;
}

static int mmnormalize_check(const void *settings, const void *module_settings, struct module_log *log) {
        const struct mmnormalize_settings *s = settings;
        struct container container;
        struct property property;
        if (!s)
                return 0;
        int r = check_rules(s, module_settings, log);
        if (container_parse(&container, text_of(s->container))) {
                module_report_param(log, SEVERITY_ERR, "path",
                                    "a path is a variable: it starts with $! or $., as in \"$!fields\"");
                r = -EINVAL;
        }
        if (property_find(&property, text_of(s->variable))) {
                module_report_param(log, SEVERITY_ERR, "variable", "there is no property or variable '%s'",
                                    s->variable);
                r = -EINVAL;
        }
        return r;
}

static const struct param mmnormalize_module_params[] = {
        PARAM_BOOL(struct mmnormalize_module_settings, allows_regex, .name = "allowregex", .alias = "allow_regex",
                   .dflt = "off",
                   .help = "Allows the regex type in rule bases of version 1, where liblognorm was built with it."),
        {},
};

#define S struct mmnormalize_settings
static const struct param mmnormalize_params[] = {
        PARAM_STRING(S, path, .name = "rulebase", .legacy = "mmnormalizeRuleBase", .help = "Path of the rule base."),
        PARAM_STRINGS(S, rules, .name = "rule", .legacy = "mmnormalizeRule",
                      .help = "Rules, one a string, instead of a rule base."),
        PARAM_STRING(S, container, .name = "path", .dflt = "$!", .help = "The variable that gets the fields."),
        PARAM_BOOL(S, uses_raw, .name = "userawmsg", .legacy = "mmnormalizeUseRawMsg", .dflt = "off",
                   .help = "Reads the message as it was received, not the text alone."),
        PARAM_STRING(S, variable, .name = "variable", .dflt = "msg",
                     .help = "The property or variable that is read, unless useRawMsg is on."),
        PARAM_BOOL(S, debugs, .name = "debug", .dflt = "off", .flags = PARAM_IS_IGNORED,
                   .help = "liblognorm's traces; libraries of distributions have none."),
        PARAM_STRING(S, debug_path, .name = "debugfile", .flags = PARAM_IS_IGNORED,
                     .help = "Where liblognorm's traces would go."),
        PARAM_BOOL(S, is_turbo, .name = "turbo", .dflt = "off", .flags = PARAM_IS_IGNORED,
                   .help = "The tree of rules is made once and used by all threads in any case."),
        {},
};
#undef S

static bool mmnormalize_is_noticed(const void *settings) {
        return container_is_global(((const struct mmnormalize_settings *)settings)->container);
}

static const struct modifier_ops mmnormalize_ops = {
        .open = mmnormalize_open,
        .modify = mmnormalize_modify,
        .is_noticed = mmnormalize_is_noticed,
        .close = mmnormalize_close,
};

const struct module mmnormalize_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmnormalize",
        .help = "Turns the text into variables by the rules of a rule base; needs liblognorm where it runs.",
        .module_settings = SETTINGS(struct mmnormalize_module_settings, mmnormalize_module_params),
        .settings = SETTINGS(struct mmnormalize_settings, mmnormalize_params),
        .check = mmnormalize_check,
        .modifier = &mmnormalize_ops,
};
