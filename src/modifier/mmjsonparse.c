/*
 * mmjsonparse: the JSON of a message becomes variables.
 *
 * In cookie mode the text is blanks, the cookie, and one object with nothing behind it. In find-json mode the
 * first object anywhere in the first max_scan_bytes is taken. What fails leaves one variable, "msg", with the text
 * (behind the cookie, where there was one), and says so in $parsesuccess.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { TRIES_MAX = 64 /* braces that open no object, before a text counts as having none */ };

enum { MODE_COOKIE, MODE_FIND_JSON };
static const char *const modes[] = {"cookie", "find-json", NULL};

struct mmjsonparse_settings {
        char *cookie;
        char *container;
        bool uses_raw;
        int mode;
        int64_t scan_bytes_max;
        bool allows_trailing;
};

enum { COUNTER_ATTEMPTED, COUNTER_FOUND, COUNTER_FAILED, COUNTER_TRUNCATED };
static const struct counter_def mmjsonparse_counters[] = {
        {"scan.attempted", "Messages that were searched for an object."},
        {"scan.found", "Messages in which one was found."},
        {"scan.failed", "Messages in which none was."},
        {"scan.truncated", "Messages that were searched up to max_scan_bytes only."},
        {},
};

struct mmjsonparse {
        const struct mmjsonparse_settings *settings;
        struct container container;
        struct text cookie;
        struct counter *counters;
};

/* The object that is all of the text, or NULL. Received bytes last as long as the batch, so its strings stay there. */
static struct json *parse_whole(struct arena *a, struct text t, bool is_case_sensitive) {
        struct json *json;
        size_t used;
        unsigned how = JSON_IS_LENT | (is_case_sensitive ? JSON_IS_CASE_SENSITIVE : 0u);
        if (json_parse_lenient(a, t, how, &json, &used) || used != t.size || json->type != JSON_OBJECT)
                return NULL;
        return json;
}

static struct json *parse_behind_cookie(const struct mmjsonparse *m, struct arena *a, struct text *t,
                                        bool is_case_sensitive) {
        size_t blanks = 0;
        while (blanks < t->size && t->data[blanks] == ' ')
                blanks++;
        *t = text_slice(*t, blanks, t->size);
        if (!text_starts(*t, m->cookie))
                return NULL;
        *t = text_slice(*t, m->cookie.size, t->size);
        return parse_whole(a, *t, is_case_sensitive);
}

/* Where the object that opens at the start of the text ends, or 0: braces outside of strings are counted. */
static size_t object_end(struct text t) {
        size_t depth = 0;
        for (size_t i = 0; i < t.size; i++) {
                char c = t.data[i];
                if (c == '"') {
                        for (i++; i < t.size && t.data[i] != '"'; i++)
                                i += t.data[i] == '\\';
                } else if (c == '{') {
                        depth++;
                } else if (c == '}' && --depth == 0) {
                        return i + 1;
                }
        }
        return 0;
}

static bool is_blank(struct text t) {
        for (size_t i = 0; i < t.size; i++)
                if (t.data[i] != ' ' && (t.data[i] < '\t' || t.data[i] > '\r'))
                        return false;
        return true;
}

static struct json *find_object(const struct mmjsonparse *m, struct arena *a, struct text t, bool is_case_sensitive) {
        struct text scanned = text_slice(t, 0, (size_t)m->settings->scan_bytes_max);
        size_t at = 0;
        for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
                const char *open = at < scanned.size ? memchr(scanned.data + at, '{', scanned.size - at) : NULL;
                if (!open)
                        return NULL;
                at = (size_t)(open - scanned.data);
                size_t size = object_end(text_slice(scanned, at, scanned.size));
                struct json *json = size ? parse_whole(a, text_slice(scanned, at, at + size), is_case_sensitive) : NULL;
                if (json)
                        return m->settings->allows_trailing || is_blank(text_slice(t, at + size, t.size)) ? json : NULL;
                at++;
        }
        return NULL;
}

static struct json *search(const struct mmjsonparse *m, struct arena *a, struct text t, bool is_case_sensitive) {
        counter_add(&m->counters[COUNTER_ATTEMPTED], 1);
        if (t.size > (uint64_t)m->settings->scan_bytes_max)
                counter_add(&m->counters[COUNTER_TRUNCATED], 1);
        struct json *json = find_object(m, a, t, is_case_sensitive);
        counter_add(&m->counters[json ? COUNTER_FOUND : COUNTER_FAILED], 1);
        return json;
}

static void parse_record(const struct mmjsonparse *m, const struct property_context *context, struct batch *b,
                         struct record *r) {
        struct text t = batch_text(b, m->settings->uses_raw ? r->raw : r->msg);
        bool is_case_sensitive = context->is_case_sensitive;
        struct json *json = m->settings->mode == MODE_FIND_JSON
                                    ? search(m, &b->arena, t, is_case_sensitive)
                                    : parse_behind_cookie(m, &b->arena, &t, is_case_sensitive);
        r->flags = (uint16_t)(json ? r->flags | RECORD_PARSE_OK : r->flags & ~RECORD_PARSE_OK);
        if (!json) {
                struct json *msg = json_string(&b->arena, t);
                json = json_object(&b->arena);
                if (!json || !msg || json_set(&b->arena, json, TEXT("msg"), msg))
                        return;
        }
        (void)container_add(&m->container, context, b, r, json);
}

static void mmjsonparse_modify(void *instance, struct property_context *context, struct batch *b,
                               const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                parse_record(instance, context, b, &b->records[selection[i]]);
}

static int mmjsonparse_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmjsonparse *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->cookie = text_of(m->settings->cookie);
        m->counters = host->counters;
        int r = container_parse(&m->container, text_of(m->settings->container));
        assert(r == 0); /* mmjsonparse_check() */
        *ret = m;
        return 0;
}

static void mmjsonparse_close(void *instance) {
        free(instance);
}

static int mmjsonparse_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmjsonparse_settings *s = settings;
        struct container container;
        if (!s || container_parse(&container, text_of(s->container)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, "container",
                            "a container is a variable: it starts with $! $. or $/, as in \"$!parsed\"");
        return -EINVAL;
}

#define S struct mmjsonparse_settings
static const struct param mmjsonparse_params[] = {
        PARAM_STRING(S, cookie, .name = "cookie",
                     .dflt = "@cee:", .help = "What the JSON stands behind, in cookie mode; empty: nothing is needed."),
        PARAM_STRING(S, container, .name = "container", .dflt = "$!", .help = "The variable that gets the members."),
        PARAM_BOOL(S, uses_raw, .name = "userawmsg", .dflt = "off",
                   .help = "Reads the message as it was received, not the text alone."),
        PARAM_CHOICE(S, mode, .name = "mode", .dflt = "cookie", .choices = modes,
                     .help = "cookie: the text is cookie and JSON; find-json: the first object in the text is taken."),
        PARAM_INT(S, scan_bytes_max, .name = "max_scan_bytes", .dflt = "65536", .min = 1, .max = INT32_MAX,
                  .unit = "bytes", .help = "How far find-json looks."),
        PARAM_BOOL(S, allows_trailing, .name = "allow_trailing", .dflt = "on",
                   .help = "In find-json mode, text may stand behind the object."),
        {},
};
#undef S

static bool mmjsonparse_is_noticed(const void *settings) {
        return container_is_global(((const struct mmjsonparse_settings *)settings)->container);
}

/* Only a search has something to count. */
static void mmjsonparse_statistic(struct buffer *name, const void *own, const void *module_settings _unused_) {
        if (((const struct mmjsonparse_settings *)own)->mode == MODE_FIND_JSON)
                buffer_text(name, TEXT("mmjsonparse"));
}

static const struct modifier_ops mmjsonparse_ops = {
        .statistic = mmjsonparse_statistic,
        .is_noticed = mmjsonparse_is_noticed,
        .open = mmjsonparse_open,
        .modify = mmjsonparse_modify,
        .close = mmjsonparse_close,
};

const struct module mmjsonparse_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmjsonparse",
        .help = "Turns the JSON of a message into variables; $parsesuccess says whether there was some.",
        .settings = SETTINGS(struct mmjsonparse_settings, mmjsonparse_params),
        .counters = mmjsonparse_counters,
        .check = mmjsonparse_check,
        .modifier = &mmjsonparse_ops,
};
