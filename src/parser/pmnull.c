/*
 * pmnull: takes every message and parses none of it. The text is the raw message,
 * PRI and all; tag, facility and severity are those of the configuration.
 */
#include "message/batch.h"
#include "module/module.h"

struct pmnull_settings {
        char *tag;
        int64_t facility, severity;
};

static enum parse_result pmnull_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmnull_settings *s = instance;
        if (s->tag)
                r->tag = batch_store(b, text_of(s->tag));
        r->facility = (uint8_t)s->facility;
        r->severity = (uint8_t)s->severity;
        r->reported = stamp_of_wall(r->received_us);
        r->msg = r->raw;
        return PARSE_TAKEN;
}

static int pmnull_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                       const void *settings) {
        *ret = (void *)(uintptr_t)settings; /* they outlive the instance, which is nothing else */
        return 0;
}

static void pmnull_close(void *instance _unused_) {
}

#define S struct pmnull_settings
static const struct param pmnull_params[] = {
        PARAM_STRING(S, tag, .name = "tag", .help = "Tag of all messages. Unset: none."),
        PARAM_FACILITY(S, facility, .name = "syslogfacility", .dflt = "1", .help = "Facility of all messages."),
        PARAM_SEVERITY(S, severity, .name = "syslogseverity", .dflt = "5", .help = "Severity of all messages."),
        {},
};
#undef S

static const struct parser_ops pmnull_ops = {
        .name = "rsyslog.pmnull",
        .open = pmnull_open,
        .parse = pmnull_parse,
        .close = pmnull_close,
};

const struct module pmnull_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmnull",
        .help = "Takes every message as it is and parses nothing, for what is known to be no syslog. Chains name it "
                "rsyslog.pmnull.",
        .settings = SETTINGS(struct pmnull_settings, pmnull_params),
        .parser = &pmnull_ops,
};
