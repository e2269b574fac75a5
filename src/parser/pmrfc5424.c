/*
 * pmrfc5424: messages as RFC 5424 describes them,
 *
 *   <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [structured data] MSG
 *
 * A message is ours when "1 " follows the PRI; after that it is taken whatever
 * comes. With a bad TIMESTAMP everything behind the version is MSG; structured data
 * that does not end takes all but the last byte; where none is found, rsyslog shows
 * MSGID in its place, and so do we.
 */
#include "message/header.h"
#include "message/sanitize.h"
#include "module/module.h"
#include "parser/builtin.h"

struct cursor {
        const char *start;
        const char *at;
        const char *end;
        uint32_t start_at; /* where `start` lies in the batch */
};

static struct span cursor_span(const struct cursor *c, const char *from, const char *to) {
        return (struct span){c->start_at + (uint32_t)(from - c->start), (uint32_t)(to - from)};
}

/* Up to a blank or the end, blank eaten. */
static struct span read_field(struct cursor *c) {
        const char *from = c->at, *p = from;
        while (p < c->end && *p != ' ')
                p++;
        c->at = p < c->end ? p + 1 : p;
        return cursor_span(c, from, p);
}

static bool read_timestamp(struct cursor *c, struct stamp *s) {
        if (c->end - c->at >= 2 && c->at[0] == '-' && c->at[1] == ' ') {
                c->at += 2;
                return true;
        }
        const char *after = header_iso_date(s, c->at, c->end);
        if (!after)
                return false;
        c->at = after;
        return true;
}

/* From '[' to the ']' that a blank or the end follows; a backslash takes the meaning off a ']'. */
static const char *structured_end(const char *p, const char *end) {
        for (;;) {
                const char *bracket = memchr(p, ']', (size_t)(end - p));
                if (!bracket)
                        return end - 1;
                bool is_last = end - bracket == 1;
                bool is_escaped = bracket > p && bracket[-1] == '\\';
                if (!is_escaped && (is_last || bracket[1] == ' '))
                        return bracket + 1;
                if (is_last)
                        return end;
                p = bracket + 1;
        }
}

static struct span read_structured(struct cursor *c, struct span stand_in) {
        const char *from = c->at;
        if (from == c->end || (*from != '[' && *from != '-'))
                return stand_in;
        const char *p = *from == '-' ? from + 1 : structured_end(from, c->end);
        c->at = p < c->end && *p == ' ' ? p + 1 : p;
        return cursor_span(c, from, p);
}

static enum parse_result pmrfc5424_parse(void *instance _unused_, struct batch *b, struct record *r) {
        struct text raw = batch_text(b, r->raw);
        if (raw.size < (size_t)r->pri_size + 2 || r->facility == FACILITY_INVALID)
                return PARSE_NOT_MINE;
        const char *p = raw.data + r->pri_size;
        if (p[0] != '1' || p[1] != ' ')
                return PARSE_NOT_MINE;

        struct cursor c = {raw.data, p + 2, raw.data + raw.size, r->raw.at};
        r->protocol = 1;
        r->reported.is_set = 0;
        if (read_timestamp(&c, &r->reported)) {
                r->host = read_field(&c);
                r->app = read_field(&c);
                r->procid = read_field(&c);
                r->msgid = read_field(&c);
                r->structured = read_structured(&c, r->msgid);
                r->flags |= RECORD_HAS_HEADER | RECORD_HAS_APP | RECORD_HAS_PROCID;
        }
        if (!r->reported.is_set || (r->flags & RECORD_IGNORE_DATE))
                r->reported = stamp_of_wall(r->received_us);
        r->msg = cursor_span(&c, c.at, c.end);
        return PARSE_TAKEN;
}

static int pmrfc5424_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                          const void *settings _unused_) {
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void pmrfc5424_close(void *instance _unused_) {
}

/* No parameters; the member keeps the struct from being empty, which C does not know. */
struct pmrfc5424 {
        char none;
};
static const struct param pmrfc5424_params[] = {{}};

static const struct parser_ops pmrfc5424_ops = {
        .open = pmrfc5424_open,
        .parse = pmrfc5424_parse,
        .close = pmrfc5424_close,
};

const struct module pmrfc5424_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmrfc5424",
        .help = "Parses messages in the format of RFC 5424. Part of the default parser chain, as rsyslog.rfc5424.",
        .settings = SETTINGS(struct pmrfc5424, pmrfc5424_params),
        .parser = &pmrfc5424_ops,
};
