/*
 * mmleefparse: messages in LEEF (Log Event Extended Format) become variables:
 *
 *   LEEF:1.0|Vendor|Product|1.2|4711|src=1.2.3.4<TAB>dst=5.6.7.8
 *   LEEF:2.0|Vendor|Product|1.2|4711|^|src=1.2.3.4^dst=5.6.7.8
 *
 *   ->  { "header": { "protocolVersion": "1.0", "vendor": ..., "product": ..., "productVersion": ..., "eventID": "4711"
 * }, "fields": { "src": "1.2.3.4", "dst": "5.6.7.8" } }
 *
 * A backslash keeps the \, |, = or delimiter behind it from what it would do, and goes. In version 2 the character
 * between attributes may stand in the header, as itself or as x09, 0x5e. On reception a tab becomes "#011" unless
 * configured otherwise, so that is taken for one, too. $parsesuccess says whether the text was LEEF.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { ATTRIBUTES_MAX = 1024 };

struct mmleefparse_settings {
        char *cookie;
        char *container;
        bool uses_raw;
        char *delimiter;
        bool searches_cookie;
        int64_t window_bytes;
};

struct mmleefparse {
        const struct mmleefparse_settings *settings;
        struct container container;
        struct text cookie;
};

static bool add(struct arena *a, struct json *object, const char *name, struct text value) {
        struct json *string = json_string(a, value);
        return string && json_set(a, object, text_of(name), string) == 0;
}

/* Where the first byte is that no backslash stands before; the size where there is none. */
static size_t find_bare(struct text t, char byte) {
        size_t at = 0;
        while (at < t.size && t.data[at] != byte)
                at += t.data[at] == '\\' ? 2 : 1;
        return MIN(at, t.size);
}

/* Without the backslashes before what means something otherwise. NULL data: no memory. */
static struct text unescape(struct arena *a, struct text t, char delimiter) {
        if (t.size == 0 || !memchr(t.data, '\\', t.size))
                return t.size ? t : TEXT("");
        char *to = arena_alloc(a, t.size);
        size_t size = 0;
        for (size_t i = 0; to && i < t.size; i++) {
                char next = i + 1 < t.size ? t.data[i + 1] : '\0';
                if (t.data[i] == '\\' && (next == '\\' || next == '|' || next == '=' || (next && next == delimiter)))
                        i++;
                to[size++] = t.data[i];
        }
        return (struct text){to, to ? size : 0};
}

/* Up to the bar, which goes with it; false where there is none. */
static bool take_field(struct text *t, struct text *ret) {
        size_t size = find_bare(*t, '|');
        if (size == t->size)
                return false;
        *ret = text_slice(*t, 0, size);
        *t = text_slice(*t, size + 1, t->size);
        return true;
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "^", "x5e", "0x5e", "\\t"; -1 where it is none of them. */
static int read_delimiter(struct text t) {
        if (t.size == 1)
                return (unsigned char)t.data[0];
        if (text_equal(t, TEXT("\\t")))
                return '\t';
        if (text_equal(t, TEXT("\\n")))
                return '\n';
        if (text_equal(t, TEXT("\\\\")))
                return '\\';
        if (text_starts_nocase(t, TEXT("0x")))
                t = text_slice(t, 2, t.size);
        else if (text_starts_nocase(t, TEXT("x")))
                t = text_slice(t, 1, t.size);
        else
                return -1;
        int value = 0;
        if (t.size == 0 || t.size > 4)
                return -1;
        for (size_t i = 0; i < t.size; i++) {
                int digit = hex_value(t.data[i]);
                if (digit < 0)
                        return -1;
                value = value << 4 | digit;
        }
        return value > 0 && value < 256 ? value : -1;
}

/* Where the next attribute begins: behind the delimiter, which is *size bytes at the offset returned. */
static size_t find_delimiter(struct text t, char delimiter, size_t *size) {
        size_t at = find_bare(t, delimiter);
        ptrdiff_t escaped = delimiter == '\t' ? text_find(text_slice(t, 0, at), TEXT("#011")) : -1;
        *size = escaped >= 0 ? sizeof "#011" - 1 : 1;
        return escaped >= 0 ? (size_t)escaped : at;
}

/* "name=value"; a name alone has an empty value. */
static bool add_attribute(struct arena *a, struct json *fields, struct text pair, char delimiter) {
        size_t at = find_bare(pair, '=');
        struct text name = unescape(a, text_slice(pair, 0, at), delimiter);
        struct text value = unescape(a, text_slice(pair, at + 1, pair.size), delimiter);
        struct json *string = name.data && value.data ? json_string(a, value) : NULL;
        return string && json_set(a, fields, name, string) == 0;
}

static struct json *read_attributes(struct arena *a, struct text t, char delimiter) {
        struct json *fields = json_object(a);
        for (unsigned i = 0; fields && t.size && i < ATTRIBUTES_MAX; i++) {
                size_t size, at = find_delimiter(t, delimiter, &size);
                if (at && !add_attribute(a, fields, text_slice(t, 0, at), delimiter))
                        return NULL;
                t = text_slice(t, at + size, t.size);
        }
        return fields;
}

/* In version 2 one more field may stand before the attributes, which has no "=". */
static char delimiter_of(const struct mmleefparse *m, struct text version, struct text *rest) {
        char dflt = m->settings->delimiter ? (char)read_delimiter(text_of(m->settings->delimiter)) : '\t';
        struct text after = *rest, field;
        if (!text_starts(version, TEXT("2")) || !take_field(&after, &field) || field.size > sizeof "0x0000")
                return dflt;
        int own = field.size ? read_delimiter(field) : (unsigned char)dflt;
        if (own < 0)
                return dflt;
        *rest = after;
        return (char)own;
}

/* The event's id, the last part, may be missing, or be the end of the text. */
static struct json *read_header(struct arena *a, struct text *t, struct text *version) {
        static const char *const names[] = {"protocolVersion", "vendor", "product", "productVersion", "eventID"};
        enum { NAMES = ARRAY_SIZE(names), MIN_BARS = 3 };
        struct json *header = json_object(a);
        for (size_t i = 0; header && i < NAMES; i++) {
                struct text field = {0};
                if (!take_field(t, &field)) {
                        if (i < MIN_BARS)
                                return NULL;
                        field = *t;
                        *t = TEXT_NONE;
                }
                if (i == 0)
                        *version = field;
                field = unescape(a, field, '\0');
                if (!field.data || !add(a, header, names[i], field))
                        return NULL;
        }
        return header;
}

static struct json *read_leef(const struct mmleefparse *m, struct arena *a, struct text t) {
        struct text version = {0};
        struct json *whole = json_object(a), *header = read_header(a, &t, &version);
        if (!whole || !header)
                return NULL;
        char delimiter = delimiter_of(m, version, &t);
        struct json *fields = read_attributes(a, t, delimiter);
        bool is_whole = fields && json_set(a, whole, TEXT("header"), header) == 0 &&
                        json_set(a, whole, TEXT("fields"), fields) == 0;
        return is_whole ? whole : NULL;
}

/* What stands behind the cookie; false where it is not where it should be. */
static bool find_cookie(const struct mmleefparse *m, struct text *t) {
        while (t->size && (t->data[0] == ' ' || t->data[0] == '\t'))
                *t = text_slice(*t, 1, t->size);
        if (m->settings->searches_cookie && m->cookie.size) {
                size_t window = m->settings->window_bytes ? (size_t)m->settings->window_bytes : t->size;
                ptrdiff_t found = text_find(text_slice(*t, 0, window), m->cookie);
                if (found < 0)
                        return false;
                *t = text_slice(*t, (size_t)found, t->size);
        }
        if (!text_starts(*t, m->cookie))
                return false;
        *t = text_slice(*t, m->cookie.size, t->size);
        return true;
}

static void mmleefparse_modify(void *instance, struct property_context *context, struct batch *b,
                               const uint16_t *selection, size_t count) {
        const struct mmleefparse *m = instance;
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct text t = batch_text(b, m->settings->uses_raw ? r->raw : r->msg);
                struct json *leef = find_cookie(m, &t) ? read_leef(m, &b->arena, t) : NULL;
                r->flags = (uint16_t)(leef ? r->flags | RECORD_PARSE_OK : r->flags & ~RECORD_PARSE_OK);
                if (leef)
                        (void)container_merge(&m->container, context, b, r, leef);
        }
}

static int mmleefparse_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        struct mmleefparse *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->cookie = text_of(m->settings->cookie);
        int r = container_parse(&m->container, text_of(m->settings->container));
        assert(r == 0); /* mmleefparse_check() */
        *ret = m;
        return 0;
}

static void mmleefparse_close(void *instance) {
        free(instance);
}

static int mmleefparse_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmleefparse_settings *s = settings;
        struct container container;
        int r = 0;
        if (!s)
                return 0;
        if (container_parse(&container, text_of(s->container))) {
                module_report_param(log, SEVERITY_ERR, "container",
                                    "a container is a variable: it starts with $! or $., as in \"$!leef\"");
                r = -EINVAL;
        }
        if (s->delimiter && read_delimiter(text_of(s->delimiter)) < 0) {
                module_report_param(log, SEVERITY_ERR, "delimiter",
                                    "a delimiter is one character or its number, as in \"^\" or \"0x5e\"");
                r = -EINVAL;
        }
        return r;
}

#define S struct mmleefparse_settings
static const struct param mmleefparse_params[] = {
        PARAM_STRING(S, cookie, .name = "cookie", .dflt = "LEEF:", .help = "What the message begins with."),
        PARAM_STRING(S, container, .name = "container", .dflt = "$!",
                     .help = "The variable that gets `header` and `fields`."),
        PARAM_BOOL(S, uses_raw, .name = "userawmsg", .dflt = "on",
                   .help = "Reads the message as it was received, not the text alone."),
        PARAM_STRING(S, delimiter, .name = "delimiter",
                     .help = "The character between attributes, as itself or as 0x5e, where the message names none; a "
                             "tab by default."),
        PARAM_BOOL(S, searches_cookie, .name = "searchcookie", .dflt = "on",
                   .help = "Looks for the cookie within searchWindow, not at the start alone."),
        PARAM_INT(S, window_bytes, .name = "searchwindow", .dflt = "64", .min = 0, .max = INT32_MAX, .unit = "bytes",
                  .help = "The first bytes of the message, which the cookie has to lie in; 0: the whole message."),
        {},
};
#undef S

static bool mmleefparse_is_noticed(const void *settings) {
        return container_is_global(((const struct mmleefparse_settings *)settings)->container);
}

static const struct modifier_ops mmleefparse_ops = {
        .open = mmleefparse_open,
        .modify = mmleefparse_modify,
        .is_noticed = mmleefparse_is_noticed,
        .close = mmleefparse_close,
};

const struct module mmleefparse_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmleefparse",
        .help = "Turns messages in LEEF into variables.",
        .settings = SETTINGS(struct mmleefparse_settings, mmleefparse_params),
        .check = mmleefparse_check,
        .modifier = &mmleefparse_ops,
};
