/*
 * pmcisconames: firewalls of Cisco that are told to send their name write
 *
 *   Apr  3 02:35:12 asa01 : %ASA-6-302013: Built ...
 *   Apr  3 2015 02:35:12 asa01 : %ASA-6-302013: Built ...
 *
 * The " :" behind the name goes, and the next parser of the chain reads the rest.
 */
#include "message/sanitize.h"
#include "module/module.h"
#include "parser/rewrite.h"

enum {
        MESSAGE_BYTES_MIN = 34,
        DATE_YEAR_BYTES = 21, /* "Apr  3 2015 02:35:12 " */
};

/* Bytes of a date at the start, 0 where there is none. Only what separates its parts is looked at. */
static size_t date_size(struct text t) {
        const char *p = t.data;
        if (p[3] != ' ' || p[6] != ' ')
                return 0;
        if (p[9] == ':' && p[12] == ':' && p[15] == ' ')
                return DATE_BYTES;
        return p[11] == ' ' && p[14] == ':' && p[17] == ':' && p[20] == ' ' ? DATE_YEAR_BYTES : 0;
}

static enum parse_result pmcisconames_parse(void *instance _unused_, struct batch *b, struct record *r) {
        struct text raw = batch_text(b, r->raw);
        size_t at = r->pri_size;
        while (at < raw.size && raw.data[at] == ' ')
                at++;
        struct text line = text_slice(raw, at, raw.size);
        size_t date = line.size >= MESSAGE_BYTES_MIN ? date_size(line) : 0;
        if (r->facility == FACILITY_INVALID || date == 0)
                return PARSE_NOT_MINE;
        at += date;
        while (at < raw.size && raw.data[at] != ' ')
                at++;
        if (text_starts(text_slice(raw, at, raw.size), TEXT(" : %")))
                rewrite_raw(b, r, (struct text[]){text_slice(raw, 0, at), text_slice(raw, at + 2, raw.size)}, 2);
        return PARSE_NOT_MINE;
}

static int pmcisconames_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                             const void *settings _unused_) {
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void pmcisconames_close(void *instance _unused_) {
}

/* No parameters; the member keeps the struct from being empty, which C does not know. */
struct pmcisconames {
        char none;
};
static const struct param pmcisconames_params[] = {{}};

static const struct parser_ops pmcisconames_ops = {
        .open = pmcisconames_open,
        .parse = pmcisconames_parse,
        .close = pmcisconames_close,
};

const struct module pmcisconames_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmcisconames",
        .help = "Drops the colon that Cisco firewalls put between their name and the message. Chains name it "
                "rsyslog.cisconames, before the parsers that read what it repaired.",
        .settings = SETTINGS(struct pmcisconames, pmcisconames_params),
        .parser = &pmcisconames_ops,
};
