/*
 * pmciscoios: messages of Cisco's routers and switches, which follow no RFC:
 *
 *   <189>29: Apr  3 02:35:12.048: %SYS-5-CONFIG_I: text
 *   <189>29: *Apr  3 02:35:12.048 EST: %SYS-5-CONFIG_I: text
 *   <189>29: origin: Apr  3 02:35:12.048: %SYS-5-CONFIG_I: text          present.origin
 *   <189>29: RP/0/RSP0/CPU0:Apr  3 02:35:12.048 : process: %X-6-Y : text  present.xr
 *
 * A sequence number comes first, of which the colon alone may be there, or none of it;
 * then nothing but the date comes before the tag. A star or dot before the date says
 * that the clock is not to be trusted and is passed over. Names of zones are those of
 * timezone(); others mean nothing.
 *
 * A message that does not fit is left to the next parser as it came; rsyslogd leaves
 * the date there that it read before the misfit.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "message/header.h"
#include "message/sanitize.h"
#include "module/module.h"

enum { CISCO_TAG_BYTES_MAX = 510 };

struct pmciscoios_settings {
        bool has_origin, is_xr;
};

struct pmciscoios {
        const struct pmciscoios_settings *settings;
        const struct strings *zones; /* NULL: none */
};

struct cursor {
        const char *start, *at, *end; /* of the raw text */
        uint32_t start_at;            /* where it lies in the batch */
};

static struct span cursor_span(const struct cursor *c, const char *from, const char *to) {
        return (struct span){c->start_at + (uint32_t)(from - c->start), (uint32_t)(to - from)};
}

static bool skip_byte(struct cursor *c, char byte) {
        if (c->at == c->end || *c->at != byte)
                return false;
        c->at++;
        return true;
}

/* Up to ": ", which is passed over; *end is where it began. */
static bool skip_field(struct cursor *c, const char **end) {
        const char *p = c->at;
        while (c->end - p >= 2 && (p[0] != ':' || p[1] != ' '))
                p++;
        if (c->end - p < 2)
                return false;
        *end = p;
        c->at = p + 2;
        return true;
}

static bool is_digit(char c) {
        return (unsigned char)(c - '0') <= 9;
}

/* The process, "config[65710]: ": all before the tag. */
static bool skip_process(struct cursor *c) {
        const char *tag = memchr(c->at, '%', (size_t)(c->end - c->at));
        if (tag)
                c->at = tag;
        return tag;
}

/* "29: origin: RP/0/RSP0/CPU0:*"; the origin becomes the host. */
static bool read_prefix(const struct pmciscoios_settings *s, struct cursor *c, struct span *host) {
        while (c->at < c->end && is_digit(*c->at))
                c->at++;
        if (!skip_byte(c, ':') || !skip_byte(c, ' '))
                return false;
        if (s->has_origin) {
                const char *from = c->at, *to;
                if (!skip_field(c, &to))
                        return false;
                *host = cursor_span(c, from, to);
        }
        if (s->is_xr) {
                const char *colon = memchr(c->at, ':', (size_t)(c->end - c->at));
                if (!colon)
                        return false;
                c->at = colon + 1;
        }
        return skip_byte(c, '*') || skip_byte(c, '.') || true;
}

static void set_zone(const struct pmciscoios *m, struct stamp *s, struct text name) {
        for (size_t i = 0; m->zones && i + 1 < m->zones->count; i += 2)
                if (text_equal(name, text_of(m->zones->items[i])))
                        header_set_zone(s, m->zones->items[i + 1]);
}

/* The date, a zone where there is one, and the ": " behind. */
static bool read_date(const struct pmciscoios *m, struct cursor *c, struct stamp *s, const struct record *r) {
        const char *after = header_date(s, c->at, c->end, false);
        if (!after || after - c->at < 2 || after[-1] != ' ')
                return false;
        header_complete_date(s, r);
        c->at = after;
        if (after[-2] == ':')
                return true;
        while (c->at < c->end && *c->at != ' ' && *c->at != ':')
                c->at++;
        set_zone(m, s, (struct text){after, (size_t)(c->at - after)});
        skip_byte(c, ':');
        return skip_byte(c, ' ');
}

/* "%SYS-5-CONFIG_I:" and a blank; XR writes a blank before the colon, too, which the tag does not get. */
static bool read_tag(struct batch *b, struct cursor *c, bool is_xr, struct span *tag) {
        const char *from = c->at, *blank = from;
        while (blank < c->end && *blank != ' ')
                blank++;
        if (blank == c->end || *from != '%' || blank - from > CISCO_TAG_BYTES_MAX)
                return false;
        c->at = blank;
        if (!is_xr) {
                *tag = cursor_span(c, from, blank);
                return blank[-1] == ':';
        }
        if (c->end - blank < 3 || blank[1] != ':' || blank[2] != ' ')
                return false;
        c->at = blank + 2;
        size_t size = (size_t)(blank - from);
        char *copy = batch_room(b, size + 1, tag);
        if (!copy)
                return false;
        memcpy(copy, from, size);
        copy[size] = ':';
        return true;
}

static enum parse_result pmciscoios_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmciscoios *m = instance;
        struct text raw = batch_text(b, r->raw);
        struct cursor c = {raw.data, raw.data + r->pri_size, raw.data + raw.size, r->raw.at};
        if (r->facility == FACILITY_INVALID || c.at == c.end)
                return PARSE_NOT_MINE;

        bool has_prefix = is_digit(*c.at) || *c.at == ':', is_xr = has_prefix && m->settings->is_xr;
        struct span host = {0}, tag;
        struct stamp reported;
        if ((has_prefix && !read_prefix(m->settings, &c, &host)) || !read_date(m, &c, &reported, r) ||
            (is_xr && !skip_process(&c)) || !read_tag(b, &c, is_xr, &tag))
                return PARSE_NOT_MINE;
        r->reported = r->flags & RECORD_IGNORE_DATE ? stamp_of_wall(r->received_us) : reported;
        r->host = host;
        r->tag = tag;
        r->msg = cursor_span(&c, c.at, c.end);
        return PARSE_TAKEN;
}

static int pmciscoios_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts,
                           const void *settings) {
        struct pmciscoios *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->zones = facts->zones;
        *ret = m;
        return 0;
}

static void pmciscoios_close(void *instance) {
        free(instance);
}

#define S struct pmciscoios_settings
static const struct param pmciscoios_params[] = {
        PARAM_BOOL(S, has_origin, .name = "present.origin", .dflt = "off",
                   .help = "The devices send their name or address behind the sequence number (logging origin-id). It "
                           "becomes the host name."),
        PARAM_BOOL(S, is_xr, .name = "present.xr", .dflt = "off",
                   .help = "The devices run IOS XR, which writes the card before the date and the process behind it."),
        {},
};
#undef S

static const struct parser_ops pmciscoios_ops = {
        .open = pmciscoios_open,
        .parse = pmciscoios_parse,
        .close = pmciscoios_close,
};

const struct module pmciscoios_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmciscoios",
        .help = "Parses what Cisco's routers and switches send. Chains name it rsyslog.ciscoios; with parameters, by a "
                "parser() object.",
        .settings = SETTINGS(struct pmciscoios_settings, pmciscoios_params),
        .parser = &pmciscoios_ops,
};
