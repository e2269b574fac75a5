/*
 * pmnormalize: the message, PRI and all, is read by the rules of a rule base, and fields with the names of properties
 * become those. A message without a rule is all text. Either way no other parser is asked.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "message/change.h"
#include "message/normalizer.h"
#include "module/module.h"

enum { LIBRARY_SAYS = 2427 /* rsyslog's number */ };

struct pmnormalize_settings {
        char *path;
        struct strings rules;
        bool reports_mismatch;
        bool debugs;
        char *debug_path;
};

struct pmnormalize {
        struct normalizer *normalizer;
        struct module_log *log;
        bool reports_mismatch;
};

static void report_mismatch(const struct pmnormalize *p, const struct json *fields) {
        _owned_(buffer_fini) struct buffer printed = {0};
        json_print(&printed, fields, JSON_SPACED);
        const char *string = buffer_string(&printed);
        if (string)
                module_report(p->log, SEVERITY_ERR, 0, "no rule for the message; json: %s", string);
}

static enum parse_result pmnormalize_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmnormalize *p = instance;
        /* Parsers set nothing but the record; a name's case matters to nobody here. */
        static const struct property_context context = {0};
        bool is_match;
        struct json *fields = normalizer_run(p->normalizer, &b->arena, batch_text(b, r->raw), &is_match);
        r->msg = r->raw;
        r->reported = stamp_of_wall(r->received_us);
        if (fields && !is_match && p->reports_mismatch)
                report_mismatch(p, fields);
        if (!fields || !is_match)
                return PARSE_TAKEN;
        for (const struct json_member *m = fields->first; m; m = m->next)
                if (change_property(b, r, &context, m->name, m->value))
                        break;
        return PARSE_TAKEN;
}

static struct normalizer_rules rules_of(const struct pmnormalize_settings *s) {
        return (struct normalizer_rules){
                .path = s->path, .lines = (const char *const *)s->rules.items, .count = s->rules.count};
}

static void pmnormalize_close(void *instance) {
        struct pmnormalize *p = instance;
        normalizer_free(p->normalizer);
        free(p);
}

static int pmnormalize_open(void **ret, struct module_log *log, const struct host_facts *facts _unused_,
                            const void *settings) {
        const struct pmnormalize_settings *s = settings;
        struct pmnormalize *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        p->log = log;
        p->reports_mismatch = s->reports_mismatch;
        struct normalizer_rules rules = rules_of(s);
        const char *why;
        int r = normalizer_new(&p->normalizer, &rules, (struct normalizer_listener){0}, &why);
        if (r) {
                pmnormalize_close(p);
                return pass(r);
        }
        *ret = p;
        return 0;
}

static void report_rule(void *log, const char *text) {
        module_report(log, SEVERITY_ERR, LIBRARY_SAYS, "liblognorm error: %s", text);
}

static int pmnormalize_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct pmnormalize_settings *s = settings;
        if (!s)
                return 0;
        if (!s->path == !s->rules.count) {
                module_report(log, SEVERITY_ERR, 0, "either rulebase or rule has to be set%s",
                              s->path ? ", not both" : ": a file with rules, or the rules themselves");
                return -EINVAL;
        }
        struct normalizer_rules rules = rules_of(s);
        _owned_(normalizer_free) struct normalizer *n = NULL;
        const char *why;
        int r = normalizer_new(&n, &rules, (struct normalizer_listener){report_rule, log}, &why);
        if (r == -ENOENT)
                module_report(log, SEVERITY_ERR, 0, "pmnormalize needs the library liblognorm: %s", why);
        else if (r)
                module_report_param(log, SEVERITY_ERR, s->path ? "rulebase" : "rule", "the rules cannot be loaded: %s",
                                    fail_text(r));
        return r;
}

#define S struct pmnormalize_settings
static const struct param pmnormalize_params[] = {
        PARAM_STRING(S, path, .name = "rulebase", .help = "Path of the rule base."),
        PARAM_STRINGS(S, rules, .name = "rule", .help = "Rules, one a string, instead of a rule base."),
        PARAM_BOOL(S, reports_mismatch, .name = "undefinedpropertyerror", .dflt = "off",
                   .help = "Reports each message that has no rule."),
        PARAM_BOOL(S, debugs, .name = "debug", .dflt = "off", .flags = PARAM_IS_IGNORED,
                   .help = "liblognorm's traces; libraries of distributions have none."),
        PARAM_STRING(S, debug_path, .name = "debugfile", .flags = PARAM_IS_IGNORED,
                     .help = "Where liblognorm's traces would go."),
        {},
};
#undef S

static const struct parser_ops pmnormalize_ops = {
        .open = pmnormalize_open,
        .parse = pmnormalize_parse,
        .close = pmnormalize_close,
};

const struct module pmnormalize_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmnormalize",
        .help = "Reads whole messages by the rules of a rule base; needs liblognorm where it runs.",
        .settings = SETTINGS(struct pmnormalize_settings, pmnormalize_params),
        .check = pmnormalize_check,
        .parser = &pmnormalize_ops,
};
