#include "message/property.h"

#include <stdlib.h>
#include <time.h>

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "message/stamp_text.h"
#include "message/variable.h"

/* ---- Names --------------------------------------------------------------- */

struct name {
        const char *name;
        enum property_id id;
        bool is_system; /* written with $ */
        bool is_utc;
};

#define CLOCK(word, id)                                                                                                \
        {"$" word, id, true, false}, {                                                                                 \
                "$" word "-utc", id, true, true                                                                        \
        }

static const struct name names[] = {
        {"msg", PROPERTY_MSG},
        {"rawmsg", PROPERTY_RAWMSG},
        {"rawmsg-after-pri", PROPERTY_RAWMSG_AFTER_PRI},
        {"hostname", PROPERTY_HOSTNAME},
        {"source", PROPERTY_HOSTNAME},
        {"fromhost", PROPERTY_FROMHOST},
        {"fromhost-ip", PROPERTY_FROMHOST_IP},
        {"fromhost-port", PROPERTY_FROMHOST_PORT},
        {"syslogtag", PROPERTY_SYSLOGTAG},
        {"programname", PROPERTY_PROGRAMNAME},
        {"pri", PROPERTY_PRI},
        {"pri-text", PROPERTY_PRI_TEXT},
        {"iut", PROPERTY_IUT},
        {"syslogfacility", PROPERTY_FACILITY},
        {"syslogfacility-text", PROPERTY_FACILITY_TEXT},
        {"syslogseverity", PROPERTY_SEVERITY},
        {"syslogpriority", PROPERTY_SEVERITY},
        {"syslogseverity-text", PROPERTY_SEVERITY_TEXT},
        {"syslogpriority-text", PROPERTY_SEVERITY_TEXT},
        {"timegenerated", PROPERTY_TIMEGENERATED},
        {"timereceived", PROPERTY_TIMEGENERATED},
        {"timereported", PROPERTY_TIMEREPORTED},
        {"timestamp", PROPERTY_TIMEREPORTED},
        {"protocol-version", PROPERTY_PROTOCOL_VERSION},
        {"structured-data", PROPERTY_STRUCTURED_DATA},
        {"app-name", PROPERTY_APP_NAME},
        {"procid", PROPERTY_PROCID},
        {"msgid", PROPERTY_MSGID},
        {"inputname", PROPERTY_INPUTNAME},
        {"uuid", PROPERTY_UUID},
        {"jsonmesg", PROPERTY_JSONMESG},
        {"parsesuccess", PROPERTY_PARSESUCCESS},
        CLOCK("now", PROPERTY_NOW),
        CLOCK("year", PROPERTY_YEAR),
        CLOCK("month", PROPERTY_MONTH),
        CLOCK("day", PROPERTY_DAY),
        CLOCK("wday", PROPERTY_WDAY),
        CLOCK("hour", PROPERTY_HOUR),
        CLOCK("hhour", PROPERTY_HHOUR),
        CLOCK("qhour", PROPERTY_QHOUR),
        CLOCK("minute", PROPERTY_MINUTE),
        {"$now-unixtimestamp", PROPERTY_NOW_UNIXTIMESTAMP, true},
        {"$myhostname", PROPERTY_MYHOSTNAME, true},
        {"$bom", PROPERTY_BOM, true},
        {"$uptime", PROPERTY_UPTIME, true},
        {"$!all-json", PROPERTY_ALL_JSON, true},
        {"$!all-json-plain", PROPERTY_ALL_JSON_PLAIN, true},
};

/* A name as the table writes it, less the $. */
static struct text bare(struct text name) {
        return name.size && name.data[0] == '$' ? text_slice(name, 1, name.size) : name;
}

int property_find(struct property *ret, struct text name) {
        struct text wanted = bare(name);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (text_equal_nocase(bare(text_of(names[i].name)), wanted)) {
                        *ret = (struct property){.id = names[i].id, .is_utc = names[i].is_utc};
                        return 0;
                }
        if (wanted.size == 0 || !memchr("!./", wanted.data[0], 3))
                return -ENOENT;
        struct text path = text_slice(wanted, 1, wanted.size);
        /* A second mark says nothing: $!!a is $!a. */
        if (path.size > 1 && path.data[0] == '!')
                path = text_slice(path, 1, path.size);
        *ret = (struct property){
                .id = PROPERTY_TREE, .scope = wanted.data[0], .path = path, .is_name = variable_is_name(path)};
        return 0;
}

bool property_is_system(const struct property *p) {
        if (p->id == PROPERTY_TREE)
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (names[i].id == p->id)
                        return names[i].is_system;
        return false;
}

const char *property_name(const struct property *p) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (names[i].id == p->id && names[i].is_utc == p->is_utc)
                        return names[i].name;
        return "";
}

const char *property_closest(struct text name) {
        const char *candidates[ARRAY_SIZE(names)];
        /* A $ too many or too few is the commonest slip, so it is looked for first. */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (text_equal_nocase(bare(text_of(names[i].name)), bare(name)))
                        return names[i].name;
                candidates[i] = names[i].name;
        }
        return text_closest(name, candidates, ARRAY_SIZE(names));
}

/* ---- Constant texts ------------------------------------------------------ */

/* RFC 5424, tables 1 and 2, as rsyslog spells them; the last facility is none. */
static const char *const facility_names[] = {"kern",   "user",   "mail",   "daemon",   "auth",   "syslog", "lpr",
                                             "news",   "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",
                                             "alert",  "clock",  "local0", "local1",   "local2", "local3", "local4",
                                             "local5", "local6", "local7", "invld"};
static const char *const severity_names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

enum { FACILITY_INVALID = 24 };

static const char *facility_name(const struct record *r) {
        return facility_names[MIN(r->facility, (uint8_t)FACILITY_INVALID)];
}

static struct text or_dash(struct text t) {
        return t.size ? t : TEXT("-");
}

/* A field of an RFC 5424 header: an empty one is empty, one that was never read is "-". */
static struct text header_field(const struct batch *b, const struct record *r, struct span s) {
        struct text t = batch_text(b, s);
        return r->flags & RECORD_HAS_HEADER ? t : or_dash(t);
}

/* ---- What is derived ----------------------------------------------------- */

/* What no program's name has: controls, what is beyond ASCII, and : and [. A slash is asked about. */
static const bool ends_program[256] = {
        [0 ... ' ' - 1] = true, [0x7f ... 0xff] = true, [':'] = true, ['['] = true, ['/'] = true};

/* RFC 5424 knows no tag: it is made of app-name and procid, so the program lies in the app-name. */
static bool lacks_tag(const struct record *r) {
        return r->tag.size == 0 && ((r->flags & RECORD_HAS_HEADER) || (r->protocol == 1 && r->app.size));
}

struct text record_program(struct batch *b, struct record *r, bool permits_slash) {
        struct text from = lacks_tag(r) ? or_dash(batch_text(b, r->app)) : batch_text(b, r->tag);
        if (!(r->flags & RECORD_IS_NAMED)) {
                size_t size = 0;
                while (size < from.size &&
                       (!ends_program[(unsigned char)from.data[size]] || (permits_slash && from.data[size] == '/')))
                        size++;
                r->program_size = (uint32_t)size;
                r->flags |= RECORD_IS_NAMED;
        }
        return text_slice(from, 0, r->program_size);
}

static struct text app_name(struct property_context *context, struct batch *b, struct record *r) {
        if (r->app.size || (r->flags & RECORD_HAS_APP))
                return or_dash(batch_text(b, r->app));
        if (r->protocol == 1)
                return TEXT("");
        return or_dash(record_program(b, r, context->permits_slash));
}

static struct text procid(struct batch *b, const struct record *r) {
        if (r->procid.size || (r->flags & RECORD_HAS_PROCID))
                return batch_text(b, r->procid);
        if (r->protocol == 1)
                return TEXT("-");
        struct text tag = batch_text(b, r->tag);
        const char *open = tag.size ? memchr(tag.data, '[', tag.size) : NULL;
        if (!open)
                return TEXT("-");
        const char *close = memchr(open, ']', (size_t)(tag.data + tag.size - open));
        return close ? (struct text){open + 1, (size_t)(close - open - 1)} : TEXT("-");
}

static struct text syslogtag(struct property_context *context, struct batch *b, struct record *r) {
        if (!lacks_tag(r))
                return batch_text(b, r->tag);
        struct text app = or_dash(batch_text(b, r->app));
        struct text id = procid(b, r);
        if (text_equal(id, TEXT("-")))
                return app;
        buffer_clear(&context->scratch);
        buffer_text(&context->scratch, app);
        buffer_byte(&context->scratch, '[');
        buffer_text(&context->scratch, id);
        buffer_byte(&context->scratch, ']');
        return buffer_as_text(&context->scratch);
}

static struct text hostname(const struct batch *b, const struct record *r) {
        if (LIKELY(r->host.size || (r->flags & RECORD_HAS_HEADER)))
                return batch_text(b, r->host);
        return r->source ? text_of(source_host(r->source)) : TEXT("");
}

static struct text raw_after_pri(const struct batch *b, const struct record *r) {
        /* "<" and ">" with one to three bytes between are left out, whatever they are. */
        struct text raw = batch_text(b, r->raw);
        if (raw.size && raw.data[0] == '<')
                for (size_t i = 2; i < 5 && i < raw.size; i++)
                        if (raw.data[i] == '>')
                                return text_slice(raw, i + 1, raw.size);
        return raw;
}

/* Version 4 of RFC 4122 in 32 hexadecimal digits; made when first asked for, then the record's own. */
static struct text uuid(struct batch *b, struct record *r) {
        if (r->uuid_at)
                return batch_text(b, (struct span){r->uuid_at, UUID_BYTES});
        static _Thread_local uint64_t state;
        uint64_t high = (random_next(&state) & ~UINT64_C(0xf000)) | 0x4000;
        uint64_t low = (random_next(&state) & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
        char digits[UUID_BYTES];
        for (int i = 0; i < UUID_BYTES; i++)
                digits[i] = "0123456789ABCDEF"[(i < 16 ? high >> (60 - 4 * i) : low >> (60 - 4 * (i - 16))) & 15];
        struct span stored = batch_store(b, (struct text){digits, sizeof digits});
        r->uuid_at = stored.size ? stored.at : 0;
        return stored.size ? batch_text(b, stored) : TEXT("");
}

/* ---- What is rendered ---------------------------------------------------- */

static struct text scratch_text(struct property_context *context, const char *data, size_t size) {
        buffer_clear(&context->scratch);
        buffer_append(&context->scratch, data, size);
        return buffer_as_text(&context->scratch);
}

static struct text scratch_int(struct property_context *context, int64_t number) {
        buffer_clear(&context->scratch);
        buffer_int(&context->scratch, number);
        return buffer_as_text(&context->scratch);
}

static struct text scratch_stamp(struct property_context *context, const struct stamp *s) {
        char text[STAMP_TEXT_MAX];
        return scratch_text(context, text, (size_t)(stamp_rfc3164(text, s, ' ') - text));
}

static struct stamp reported(const struct record *r) {
        return r->reported.is_set ? r->reported : stamp_of_wall(r->received_us);
}

static int64_t now_us(const struct property_context *context) {
        return context->now_us ? context->now_us : clock_wall_us();
}

/* Days since 1970-01-01, a Thursday. */
static unsigned weekday(const struct stamp *s) {
        struct stamp day = *s;
        day.offset_minutes = 0;
        return (unsigned)((stamp_to_wall(&day) / 1000000 / 86400 + 4) % 7);
}

static struct text clock_property(struct property_context *context, const struct property *p) {
        struct stamp s = stamp_of_wall(now_us(context));
        if (p->is_utc)
                s = stamp_in_offset(&s, 0);
        char text[STAMP_TEXT_MAX], *end = text;
        switch (p->id) {
        case PROPERTY_NOW:
                end = stamp_rfc3339(text, &s);
                return scratch_text(context, text, sizeof "2026-01-31" - 1);
        case PROPERTY_YEAR:
                end = stamp_digits(text, (uint32_t)s.year, 4);
                break;
        case PROPERTY_MONTH:
                end = stamp_two(text, s.month);
                break;
        case PROPERTY_DAY:
                end = stamp_two(text, s.day);
                break;
        case PROPERTY_WDAY:
                end = stamp_digits(text, weekday(&s), 1);
                break;
        case PROPERTY_HOUR:
                end = stamp_two(text, s.hour);
                break;
        case PROPERTY_HHOUR:
                end = stamp_two(text, s.minute / 30u);
                break;
        case PROPERTY_QHOUR:
                end = stamp_two(text, s.minute / 15u);
                break;
        default:
                end = stamp_two(text, s.minute);
                break;
        }
        return scratch_text(context, text, (size_t)(end - text));
}

static struct text uptime(struct property_context *context) {
        struct timespec up = {0};
        clock_gettime(CLOCK_BOOTTIME, &up);
        return scratch_int(context, up.tv_sec);
}

/* ---- Trees and the whole ------------------------------------------------- */

static struct text tree_text(struct property_context *context, const struct json *value) {
        if (!value)
                return TEXT("");
        if (value->type == JSON_STRING)
                return value->string;
        buffer_clear(&context->scratch);
        if (context->is_json_compact && (value->type == JSON_OBJECT || value->type == JSON_ARRAY))
                json_print(&context->scratch, value, JSON_COMPACT);
        else
                variable_text(&context->scratch, value);
        return buffer_as_text(&context->scratch);
}

/* Another thread may change the original at once, so its text is made in the scratch from a copy. */
static struct text global_text(struct property_context *context, struct text path) {
        if (!context->globals)
                return TEXT("");
        _owned_(arena_fini) struct arena copies = {0};
        struct text t = tree_text(context, globals_get(context->globals, path, &copies));
        if (t.size && t.data != context->scratch.data)
                t = scratch_text(context, t.data, t.size);
        return t;
}

struct json *property_tree(const struct property_context *context, struct record *r, const struct property *p) {
        return p->is_name ? variable_get_name(r, p->scope, p->path, context->is_case_sensitive)
                          : variable_get(r, p->scope, p->path, context->is_case_sensitive);
}

static struct text variable_property(struct property_context *context, struct record *r, const struct property *p) {
        if (p->scope == '/')
                return global_text(context, p->path);
        return tree_text(context, property_tree(context, r, p));
}

static struct text all_json(struct property_context *context, const struct record *r, enum json_style style) {
        if (!r->tree[TREE_MESSAGE])
                return TEXT("{}");
        buffer_clear(&context->scratch);
        json_print(&context->scratch, r->tree[TREE_MESSAGE], style);
        return buffer_as_text(&context->scratch);
}

static void put_member(struct buffer *out, const char *name, struct text value) {
        buffer_text(out, out->size ? TEXT(", \"") : TEXT("{ \""));
        buffer_text(out, text_of(name));
        buffer_text(out, TEXT("\": \""));
        json_escape(out, value);
        buffer_byte(out, '"');
}

static void put_stamp(struct buffer *out, const char *name, struct stamp s) {
        char text[STAMP_TEXT_MAX];
        put_member(out, name, (struct text){text, (size_t)(stamp_rfc3339(text, &s) - text)});
}

/* The whole record, member by member in rsyslog's order. */
static struct text whole_json(struct property_context *context, struct batch *b, struct record *r) {
        static const enum property_id before_time[] = {PROPERTY_HOSTNAME, PROPERTY_SYSLOGTAG,   PROPERTY_INPUTNAME,
                                                       PROPERTY_FROMHOST, PROPERTY_FROMHOST_IP, PROPERTY_PRI,
                                                       PROPERTY_FACILITY, PROPERTY_SEVERITY};
        static const enum property_id after_time[] = {PROPERTY_PROGRAMNAME,     PROPERTY_PROTOCOL_VERSION,
                                                      PROPERTY_STRUCTURED_DATA, PROPERTY_APP_NAME,
                                                      PROPERTY_PROCID,          PROPERTY_MSGID};
        static const char *const member_names[PROPERTIES] = {
                [PROPERTY_HOSTNAME] = "hostname",
                [PROPERTY_SYSLOGTAG] = "syslogtag",
                [PROPERTY_INPUTNAME] = "inputname",
                [PROPERTY_FROMHOST] = "fromhost",
                [PROPERTY_FROMHOST_IP] = "fromhost-ip",
                [PROPERTY_PRI] = "pri",
                [PROPERTY_FACILITY] = "syslogfacility",
                [PROPERTY_SEVERITY] = "syslogseverity",
                [PROPERTY_PROGRAMNAME] = "programname",
                [PROPERTY_PROTOCOL_VERSION] = "protocol-version",
                [PROPERTY_STRUCTURED_DATA] = "structured-data",
                [PROPERTY_APP_NAME] = "app-name",
                [PROPERTY_PROCID] = "procid",
                [PROPERTY_MSGID] = "msgid",
        };
        _owned_(buffer_fini) struct buffer out = {0};
        put_member(&out, "msg", batch_text(b, r->msg));
        put_member(&out, "rawmsg", batch_text(b, r->raw));
        put_stamp(&out, "timereported", reported(r));
        for (size_t i = 0; i < ARRAY_SIZE(before_time); i++)
                put_member(&out, member_names[before_time[i]],
                           property_get(context, b, r, &(struct property){.id = before_time[i]}));
        put_stamp(&out, "timegenerated", stamp_of_wall(r->received_us));
        for (size_t i = 0; i < ARRAY_SIZE(after_time); i++)
                put_member(&out, member_names[after_time[i]],
                           property_get(context, b, r, &(struct property){.id = after_time[i]}));
        if (r->uuid_at)
                put_member(&out, "uuid", uuid(b, r));
        else
                buffer_text(&out, TEXT(", \"uuid\": null"));
        buffer_text(&out, TEXT(", \"$!\": "));
        if (r->tree[TREE_MESSAGE])
                json_print(&out, r->tree[TREE_MESSAGE], JSON_SPACED);
        else
                buffer_text(&out, TEXT("null"));
        buffer_text(&out, TEXT(" }"));
        /* The scratch and the finished text change places: no copy. */
        struct buffer old = context->scratch;
        context->scratch = out;
        out = old;
        return buffer_as_text(&context->scratch);
}

/* ---- Asking -------------------------------------------------------------- */

static struct text priority_property(struct property_context *context, const struct record *r, enum property_id id) {
        bool is_valid = r->facility < FACILITY_INVALID;
        switch (id) {
        case PROPERTY_PRI:
                return is_valid ? scratch_int(context, r->facility * 8 + (r->severity & 7)) : TEXT("invld");
        case PROPERTY_PRI_TEXT:
                buffer_clear(&context->scratch);
                buffer_text(&context->scratch, text_of(facility_name(r)));
                buffer_byte(&context->scratch, '.');
                buffer_text(&context->scratch, text_of(severity_names[r->severity & 7]));
                return buffer_as_text(&context->scratch);
        case PROPERTY_FACILITY:
                return is_valid ? scratch_int(context, r->facility) : TEXT("invld");
        case PROPERTY_FACILITY_TEXT:
                return text_of(facility_name(r));
        case PROPERTY_SEVERITY:
                return scratch_int(context, r->severity & 7);
        default:
                return text_of(severity_names[r->severity & 7]);
        }
}

static struct text source_property(const struct record *r, enum property_id id) {
        if (!r->source)
                return TEXT("");
        switch (id) {
        case PROPERTY_FROMHOST:
                return text_of(source_host(r->source));
        case PROPERTY_FROMHOST_IP:
                return text_of(r->source->address);
        case PROPERTY_FROMHOST_PORT:
                return text_of(r->source->port);
        default:
                return text_of(r->source->input_name);
        }
}

struct text property_get(struct property_context *context, struct batch *b, struct record *r,
                         const struct property *p) {
        switch (p->id) {
        case PROPERTY_MSG:
                return batch_text(b, r->msg);
        case PROPERTY_RAWMSG:
                return batch_text(b, r->raw);
        case PROPERTY_RAWMSG_AFTER_PRI:
                return raw_after_pri(b, r);
        case PROPERTY_HOSTNAME:
                return hostname(b, r);
        case PROPERTY_FROMHOST:
        case PROPERTY_FROMHOST_IP:
        case PROPERTY_FROMHOST_PORT:
        case PROPERTY_INPUTNAME:
                return source_property(r, p->id);
        case PROPERTY_SYSLOGTAG:
                return syslogtag(context, b, r);
        case PROPERTY_PROGRAMNAME:
                return record_program(b, r, context->permits_slash);
        case PROPERTY_PRI:
        case PROPERTY_PRI_TEXT:
        case PROPERTY_FACILITY:
        case PROPERTY_FACILITY_TEXT:
        case PROPERTY_SEVERITY:
        case PROPERTY_SEVERITY_TEXT:
                return priority_property(context, r, p->id);
        case PROPERTY_IUT:
                return TEXT("1");
        case PROPERTY_TIMEGENERATED: {
                struct stamp s = stamp_of_wall(r->received_us);
                return scratch_stamp(context, &s);
        }
        case PROPERTY_TIMEREPORTED: {
                struct stamp s = reported(r);
                return scratch_stamp(context, &s);
        }
        case PROPERTY_PROTOCOL_VERSION:
                return r->protocol ? TEXT("1") : TEXT("0");
        case PROPERTY_STRUCTURED_DATA:
                return header_field(b, r, r->structured);
        case PROPERTY_APP_NAME:
                return app_name(context, b, r);
        case PROPERTY_PROCID:
                return procid(b, r);
        case PROPERTY_MSGID:
                return header_field(b, r, r->msgid);
        case PROPERTY_UUID:
                return uuid(b, r);
        case PROPERTY_JSONMESG:
                return whole_json(context, b, r);
        case PROPERTY_PARSESUCCESS:
                return r->flags & RECORD_PARSE_OK ? TEXT("OK") : TEXT("FAIL");
        case PROPERTY_NOW:
        case PROPERTY_YEAR:
        case PROPERTY_MONTH:
        case PROPERTY_DAY:
        case PROPERTY_WDAY:
        case PROPERTY_HOUR:
        case PROPERTY_HHOUR:
        case PROPERTY_QHOUR:
        case PROPERTY_MINUTE:
                return clock_property(context, p);
        case PROPERTY_NOW_UNIXTIMESTAMP:
                return scratch_int(context, now_us(context) / 1000000);
        case PROPERTY_MYHOSTNAME:
                return text_of(context->host_name ? context->host_name : "");
        case PROPERTY_BOM:
                return TEXT("\xef\xbb\xbf");
        case PROPERTY_UPTIME:
                return uptime(context);
        case PROPERTY_ALL_JSON:
                return all_json(context, r, context->is_json_compact ? JSON_COMPACT : JSON_SPACED);
        case PROPERTY_ALL_JSON_PLAIN:
                return all_json(context, r, JSON_COMPACT);
        case PROPERTY_TREE:
                return variable_property(context, r, p);
        case PROPERTY_NONE:
        case PROPERTIES:
                break;
        }
        return TEXT("");
}

bool property_is_known(struct text name, const char **closest) {
        struct property property;
        bool is_known = property_find(&property, name) == 0;
        *closest = is_known ? NULL : property_closest(name);
        return is_known;
}
