/*
 * pmrfc3164: messages in the traditional form,
 *
 *   <PRI>Oct 11 22:14:15 host tag[pid]: message
 *
 * and everything else that devices send: this parser takes every message. Each part
 * may be missing. A date without a host is known by what cannot be in a host name; a
 * message without a date may still begin with host and tag.
 */
#include <errno.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/fail.h"
#include "io/file.h"
#include "message/header.h"
#include "message/sanitize.h"
#include "module/module.h"
#include "parser/builtin.h"

enum { HOST_BYTES_MAX = 511 };

struct pmrfc3164_settings {
        bool finds_year_behind;
        bool permits_brackets;
        bool permits_slashes;
        bool permits_at_signs;
        bool forces_colon;
        bool removes_first_space;
        bool finds_headerless;
        bool drops_headerless;
        char *headerless_host;
        char *headerless_tag;
        char *headerless_ruleset;
        char *headerless_file;
};

struct pmrfc3164 {
        const struct pmrfc3164_settings *settings;
        struct module_log *log;
        int headerless_fd;           /* -1: none; opened for appending */
        uint16_t headerless_ruleset; /* as record.ruleset counts; 0: none */
        bool is_host[256];           /* bytes that a host name may have */
};

#ifdef __SSE2__
static inline __m128i in_range(__m128i bytes, char from, char to) {
        /* As signed numbers there is a comparison; the range is moved to their low end. */
        __m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8((char)(-128 - from)));
        return _mm_cmplt_epi8(moved, _mm_set1_epi8((char)(-128 + to - from + 1)));
}

/* Which of 16 bytes m->is_host has, as bits: letters, digits, and some signs. */
static inline unsigned host_mask(const struct pmrfc3164 *m, const char *at) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i letters = in_range(_mm_or_si128(bytes, _mm_set1_epi8(' ')), 'a', 'z');
        __m128i rest = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(m->settings->permits_slashes ? 0 : '/')),
                                        in_range(bytes, '-', '9'));
        __m128i signs = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8(m->settings->permits_at_signs ? '@' : '_')));
        return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letters, rest), signs));
}
#endif

/* Host names differ in length, and a loop over bytes would be mispredicted. */
static const char *host_end(const struct pmrfc3164 *m, const char *p, const char *limit) {
#ifdef __SSE2__
        for (; limit - p >= 16; p += 16) {
                unsigned others = host_mask(m, p) ^ 0xffff;
                if (others)
                        return p + __builtin_ctz(others);
        }
#endif
        while (p < limit && m->is_host[(unsigned char)*p])
                p++;
        return p;
}

/* The host name at p without what follows it, 0 when there is none; *after is set to what follows its blank. */
static size_t read_host(const struct pmrfc3164 *m, const char *p, const char *end, const char **after) {
        const char *limit = end - p > HOST_BYTES_MAX ? p + HOST_BYTES_MAX : end;
        const char *q = p;
        bool is_bracketed = m->settings->permits_brackets && p < end && *p == '[';
        if (is_bracketed)
                q++;
        q = host_end(m, q, limit);
        if (is_bracketed && (q < end || q - p < 2)) {
                if (q - p < 2 || end - q < 2 || q[0] != ']' || q[1] != ' ')
                        return 0;
                *after = q + 2;
                return (size_t)(q + 1 - p);
        }
        if (q == end) {
                *after = q;
                return (size_t)(q - p);
        }
        /* "h- x" is a tag, "-h x" a host; ASCII letters and digits only, whatever the locale. */
        unsigned char last = q > p ? (unsigned char)q[-1] : 0;
        bool is_alnum = (last | 32u) - 'a' < 26u || last - (unsigned)'0' < 10u;
        if (*q != ' ' || !is_alnum)
                return 0;
        *after = q + 1;
        return (size_t)(q - p);
}

/* Sets `reported` when the text begins with a date, and returns what follows; else NULL. */
static const char *read_date(const struct pmrfc3164 *m, struct record *r, const char *p, const char *end) {
        if (p == end)
                return NULL;
        const char *after = NULL;
        if ((unsigned char)(*p - '0') <= 9 || *p == '-')
                after = header_iso_date(&r->reported, p, end);
        if (!after)
                after = header_local_date(r, *p == ' ' ? p + 1 : p, end, m->settings->finds_year_behind);
        if (!after || (r->flags & RECORD_IGNORE_DATE))
                r->reported = stamp_of_wall(r->received_us);
        return after;
}

/*
 * Tag and message from p on. Where the tag must end in a colon and does not, the tag is "-" and
 * the message begins with the blank before what is no tag.
 */
static void read_tag(const struct pmrfc3164 *m, struct batch *b, struct record *r, const char *p, const char *end) {
        const char *raw = batch_at(b, r->raw);
        size_t size = header_tag(p, end);
        if (m->settings->forces_colon && (size == 0 || p[size - 1] != ':')) {
                r->tag = batch_store(b, TEXT("-"));
                if (p > raw && p[-1] == ' ')
                        p--;
        } else {
                r->tag = (struct span){r->raw.at + (uint32_t)(p - raw), (uint32_t)size};
                p += size;
        }
        if (m->settings->removes_first_space && p < end && *p == ' ')
                p++;
        r->msg = (struct span){r->raw.at + (uint32_t)(p - raw), (uint32_t)(end - p)};
}

static int write_headerless(const struct pmrfc3164 *m, struct text raw) {
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_text(&line, raw);
        buffer_byte(&line, '\n');
        int r = buffer_failed(&line);
        if (r)
                return pass(r);
        /* One write to a file opened for appending: lines of several workers do not mix. */
        return file_write_all(m->headerless_fd, line.data, line.size);
}

static enum parse_result take_headerless(const struct pmrfc3164 *m, struct batch *b, struct record *r) {
        const struct pmrfc3164_settings *s = m->settings;
        if (m->headerless_fd >= 0) {
                int error = write_headerless(m, batch_text(b, r->raw));
                if (error)
                        module_report(m->log, 3, 0, "pmrfc3164: cannot write to headerless.errorfile '%s': %s",
                                      s->headerless_file, fail_text(error));
        }
        if (s->drops_headerless)
                return PARSE_DROP;
        r->ruleset = m->headerless_ruleset;
        if (s->headerless_host)
                r->host = batch_store(b, text_of(s->headerless_host));
        r->tag = batch_store(b, text_of(s->headerless_tag));
        r->msg = r->raw;
        return PARSE_TAKEN;
}

static enum parse_result pmrfc3164_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmrfc3164 *m = instance;
        struct text raw = batch_text(b, r->raw);
        const char *p = raw.data + r->pri_size, *end = raw.data + raw.size;
        if (UNLIKELY(p == end || r->facility == FACILITY_INVALID)) {
                r->reported = stamp_of_wall(r->received_us);
                r->msg = r->facility == FACILITY_INVALID ? r->raw : span_slice(r->raw, raw.size, raw.size);
                return PARSE_TAKEN;
        }
        const char *after = read_date(m, r, p, end);
        if (after) {
                p = after;
        } else if (m->settings->finds_headerless && r->pri_size == 0) {
                return take_headerless(m, b, r);
        } else if (*p == '{' || *p == '[') {
                /* JSON alone, or a line of a stack trace: no header at all. */
                r->msg = span_slice(r->raw, r->pri_size, raw.size);
                return PARSE_TAKEN;
        }
        if (!(r->flags & RECORD_NO_HOSTNAME)) {
                size_t size = read_host(m, p, end, &after);
                if (size) {
                        r->host = (struct span){r->raw.at + (uint32_t)(p - raw.data), (uint32_t)size};
                        p = after;
                }
        }
        read_tag(m, b, r, p, end);
        return PARSE_TAKEN;
}

static void pmrfc3164_close(void *instance) {
        struct pmrfc3164 *m = instance;
        file_close(m->headerless_fd);
        free(m);
}

static void pmrfc3164_close_owned(struct pmrfc3164 **m) {
        if (*m)
                pmrfc3164_close(*m);
}

static void permit(struct pmrfc3164 *m, const char *bytes) {
        for (; *bytes; bytes++)
                m->is_host[(unsigned char)*bytes] = true;
}

/* The loader has checked that the ruleset exists. */
static uint16_t ruleset_number(const struct strings *rulesets, const char *name) {
        for (size_t i = 0; rulesets && name && i < MIN(rulesets->count, (size_t)UINT16_MAX); i++)
                if (strcasecmp(rulesets->items[i], name) == 0)
                        return (uint16_t)(i + 1);
        return 0;
}

static int pmrfc3164_open(void **ret, struct module_log *log, const struct host_facts *facts, const void *settings) {
        const struct pmrfc3164_settings *s = settings;
        _owned_(pmrfc3164_close) struct pmrfc3164 *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = s;
        m->log = log;
        m->headerless_fd = -1;
        m->headerless_ruleset = ruleset_number(facts->rulesets, s->headerless_ruleset);
        permit(m, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
        if (s->permits_slashes)
                permit(m, "/");
        if (s->permits_at_signs)
                permit(m, "@");
        if (s->finds_headerless && s->headerless_file && !facts->is_checking) {
                int r = file_open(&m->headerless_fd, s->headerless_file, O_WRONLY | O_CREAT | O_APPEND, 0644);
                if (r) {
                        module_report(log, 3, 0, "pmrfc3164: cannot open headerless.errorfile '%s': %s",
                                      s->headerless_file, fail_text(r));
                        return pass(r);
                }
        }
        *ret = TAKE(m);
        return 0;
}

#define S struct pmrfc3164_settings
static const struct param pmrfc3164_params[] = {
        PARAM_BOOL(S, finds_year_behind, .name = "detect.yearaftertimestamp", .dflt = "off",
                   .help = "Takes a number from 2000 to 2099 behind the timestamp as its year, where it would else be "
                           "taken as the host name."),
        PARAM_BOOL(S, permits_brackets, .name = "permit.squarebracketsinhostname", .dflt = "off",
                   .help = "Takes \"[name]\" as a host name, brackets included."),
        PARAM_BOOL(S, permits_slashes, .name = "permit.slashesinhostname", .dflt = "off",
                   .help = "Lets a host name hold slashes, as chains of syslog-ng relays write them."),
        PARAM_BOOL(S, permits_at_signs, .name = "permit.atsignsinhostname", .dflt = "off",
                   .help = "Lets a host name hold at signs, as syslog-ng puts them between source and host."),
        PARAM_BOOL(S, forces_colon, .name = "force.tagendingbycolon", .dflt = "off",
                   .help = "Takes a tag only when a colon ends it; else the tag is \"-\" and the message stays whole."),
        PARAM_BOOL(S, removes_first_space, .name = "remove.msgfirstspace", .dflt = "off",
                   .help = "Leaves out the blank between tag and message."),
        PARAM_BOOL(S, finds_headerless, .name = "detect.headerless", .dflt = "off",
                   .help = "Recognizes messages that have neither PRI nor timestamp, and treats them as the "
                           "headerless.* parameters say."),
        PARAM_STRING(S, headerless_host, .name = "headerless.hostname",
                     .help = "Host name of messages without a header. Unset: the sender's."),
        PARAM_STRING(S, headerless_tag, .name = "headerless.tag", .dflt = "headerless",
                     .help = "Tag of messages without a header."),
        PARAM_RULESET(
                S, headerless_ruleset, .name = "headerless.ruleset",
                .help = "Ruleset that messages without a header go to, instead of the one of their input. It runs "
                        "in the place of the latter, without a queue between."),
        PARAM_STRING(S, headerless_file, .name = "headerless.errorfile",
                     .help = "File that messages without a header are appended to, one a line."),
        PARAM_BOOL(S, drops_headerless, .name = "headerless.drop", .dflt = "off",
                   .help = "Discards messages without a header (after writing them to headerless.errorfile)."),
        {},
};
#undef S

static const struct parser_ops pmrfc3164_ops = {
        .open = pmrfc3164_open,
        .parse = pmrfc3164_parse,
        .close = pmrfc3164_close,
};

const struct module pmrfc3164_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmrfc3164",
        .help = "Parses messages in the traditional format of RFC 3164, and everything else that devices send. Part of "
                "the default parser chain, as rsyslog.rfc3164.",
        .settings = SETTINGS(struct pmrfc3164_settings, pmrfc3164_params),
        .parser = &pmrfc3164_ops,
};
