/*
 * A parser module of your own, in one file against one header. Build and use it:
 *
 *   cc -shared -fPIC -o pmapp.so pmapp.c
 *
 *   module(load="/path/to/pmapp.so")
 *   ruleset(name="apps" parser=["app", "rsyslog.rfc3164"]) { ... }
 *
 * It takes messages of the form "<13>@1760220855.25 web01 shop[77]: text": a time in
 * seconds since 1970, host, tag. Any other goes to the next parser of the chain.
 */
#include <penstock/module.h>
#include <string.h>

/* The next word of [*at, end), with the blank behind it passed over. */
static struct text word(const char **at, const char *end) {
        const char *from = *at;
        const char *blank = memchr(from, ' ', (size_t)(end - from));
        const char *to = blank ? blank : end;
        *at = blank ? blank + 1 : end;
        return (struct text){from, (size_t)(to - from)};
}

/* "1760220855.25" in microseconds; -1 when it is no such number. */
static int64_t microseconds(struct text t) {
        int64_t seconds = 0, fraction = 0, unit = 1000000;
        size_t i = 0;
        for (; i < t.size && i < 12 && t.data[i] >= '0' && t.data[i] <= '9'; i++)
                seconds = seconds * 10 + (t.data[i] - '0');
        if (i == 0 || (i < t.size && t.data[i] != '.'))
                return -1;
        for (i++; i < t.size && t.data[i] >= '0' && t.data[i] <= '9'; i++) {
                unit /= 10;
                fraction += unit * (t.data[i] - '0');
        }
        return i < t.size ? -1 : seconds * 1000000 + fraction;
}

static enum parse_result app_parse(void *instance, struct batch *batch, struct record *record) {
        (void)instance;
        struct text raw = penstock_raw(batch, record);
        const char *at = raw.data, *end = raw.data + raw.size;
        if (raw.size && *at == '<') {
                const char *closed = memchr(at, '>', raw.size < 5 ? raw.size : 5);
                at = closed ? closed + 1 : end; /* what is between them is read already */
        }
        if (at == end || *at != '@')
                return PARSE_NOT_MINE;
        at++;
        int64_t time = microseconds(word(&at, end));
        struct text host = word(&at, end), tag = word(&at, end);
        if (time < 0 || host.size == 0 || tag.size == 0)
                return PARSE_NOT_MINE;
        struct text msg = {at, (size_t)(end - at)};
        /* All of them lie in the raw message: nothing is copied, nothing can fail. */
        penstock_set(batch, record, PENSTOCK_HOSTNAME, host);
        penstock_set(batch, record, PENSTOCK_TAG, tag);
        penstock_set(batch, record, PENSTOCK_MSG, msg);
        penstock_set_time(record, time, 0);
        return PARSE_TAKEN;
}

static int app_open(void **ret, struct module_log *log, const struct host_facts *facts, const void *settings) {
        (void)log, (void)facts, (void)settings;
        *ret = NULL; /* nothing to keep */
        return 0;
}

static void app_close(void *instance) {
        (void)instance;
}

struct app_settings {
        char none; /* there are no parameters, and C knows no empty struct */
};
static const struct param app_params[] = {{}};

static const struct parser_ops app_ops = {.name = "app", .open = app_open, .parse = app_parse, .close = app_close};

const struct module penstock_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmapp",
        .help = "Reads \"@SECONDS HOST TAG TEXT\".",
        .settings = SETTINGS(struct app_settings, app_params),
        .parser = &app_ops,
};
