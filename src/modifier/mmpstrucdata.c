/*
 * mmpstrucdata: the structured data of RFC 5424 becomes variables, under "rfc5424-sd":
 *
 *   [exampleSDID@32473 iut="3"]   ->   $!rfc5424-sd!examplesdid@32473!iut
 *
 * Data that breaks the grammar leaves nothing at all. An element that comes twice is its last one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "message/variable.h"
#include "module/module.h"

struct mmpstrucdata_settings {
        char *root;
        char *container;
        int64_t data_bytes_max;
        bool lowers_names;
};

struct mmpstrucdata {
        const struct mmpstrucdata_settings *settings;
        struct container root;
        struct text name; /* of the container below the root */
        size_t data_bytes_max;
};

/* What is being read. */
struct reader {
        const struct mmpstrucdata *m;
        struct arena *arena;
        bool is_case_sensitive;
        const char *at, *end;
};

static bool skip(struct reader *r, char c) {
        if (r->at == r->end || *r->at != c)
                return false;
        r->at++;
        return true;
}

/* A name ends at '=', ']', '"' or a blank, and may be empty. data is NULL without memory. */
static struct text read_name(struct reader *r) {
        const char *begin = r->at;
        while (r->at < r->end && !memchr("=]\" ", *r->at, 4))
                r->at++;
        struct text name = {begin, (size_t)(r->at - begin)};
        char *copy = arena_string(r->arena, name);
        for (size_t i = 0; copy && r->m->settings->lowers_names && i < name.size; i++)
                if (copy[i] >= 'A' && copy[i] <= 'Z')
                        copy[i] |= 0x20;
        return (struct text){copy, name.size};
}

/* "...", with \" \\ and \] for what could not stand there otherwise; NULL where it does not end. */
static struct json *read_value(struct reader *r) {
        if (!skip(r, '"'))
                return NULL;
        const char *close = r->at;
        while (close < r->end && *close != '"')
                close += *close == '\\' ? 2 : 1;
        if (close >= r->end)
                return NULL;
        char *bytes = arena_alloc(r->arena, (size_t)(close - r->at) + 1), *to = bytes;
        if (!bytes)
                return NULL;
        for (; r->at < close; r->at++) {
                bool is_escape = *r->at == '\\' && memchr("\"\\]", r->at[1], 3);
                *to++ = *(r->at += is_escape);
        }
        r->at = close + 1;
        *to = '\0';
        return json_take_string(r->arena, (struct text){bytes, (size_t)(to - bytes)});
}

/* Replaces a member of that name; whether case matters is the configuration's affair. */
static bool set(const struct reader *r, struct json *object, struct text name, struct json *value) {
        for (struct json_member *m = object->first; m; m = m->next)
                if (r->is_case_sensitive ? text_equal(m->name, name) : text_equal_nocase(m->name, name)) {
                        m->value = value;
                        return true;
                }
        return json_take_member(r->arena, object, name, value) == 0;
}

static bool read_element(struct reader *r, struct json *all) {
        if (!skip(r, '['))
                return false;
        struct text id = read_name(r);
        struct json *element = json_object(r->arena);
        if (!id.data || !element)
                return false;
        while (!skip(r, ']')) {
                if (!skip(r, ' '))
                        return false;
                while (skip(r, ' '))
                        ;
                struct text name = read_name(r);
                struct json *value = name.data && skip(r, '=') ? read_value(r) : NULL;
                if (!value || !set(r, element, name, value))
                        return false;
        }
        return set(r, all, id, element);
}

static void parse_record(const struct mmpstrucdata *m, const struct property_context *context, struct batch *b,
                         struct record *r) {
        struct text data = batch_text(b, r->structured);
        if (r->protocol == 0 || data.size == 0 || text_equal(data, TEXT("-")) || data.size > m->data_bytes_max)
                return;
        struct reader reader = {.m = m,
                                .arena = &b->arena,
                                .is_case_sensitive = context->is_case_sensitive,
                                .at = data.data,
                                .end = data.data + data.size};
        struct json *all = json_object(&b->arena), *whole = json_object(&b->arena);
        if (!all || !whole)
                return;
        while (reader.at < reader.end)
                if (!read_element(&reader, all))
                        return;
        if (json_add(&b->arena, whole, m->name, all) == 0)
                (void)container_add(&m->root, context, b, r, whole);
}

static void mmpstrucdata_modify(void *instance, struct property_context *context, struct batch *b,
                                const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                parse_record(instance, context, b, &b->records[selection[i]]);
}

static int mmpstrucdata_open(void **ret, const struct modifier_host *host, const void *settings) {
        const struct mmpstrucdata_settings *s = settings;
        struct mmpstrucdata *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = s;
        m->name = text_of(s->container);
        m->data_bytes_max = (size_t)(s->data_bytes_max ? s->data_bytes_max : host->facts->message_bytes_max);
        int r = container_parse(&m->root, text_of(s->root));
        assert(r == 0); /* mmpstrucdata_check() */
        *ret = m;
        return 0;
}

static void mmpstrucdata_close(void *instance) {
        free(instance);
}

static int mmpstrucdata_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmpstrucdata_settings *s = settings;
        struct container root;
        if (!s || container_parse(&root, text_of(s->root)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, "jsonroot",
                            "a root is a variable: it starts with $! or $., as in \"$!data\"");
        return -EINVAL;
}

#define S struct mmpstrucdata_settings
static const struct param mmpstrucdata_params[] = {
        PARAM_STRING(S, root, .name = "jsonroot", .dflt = "!", .help = "The variable below which the container lies."),
        PARAM_STRING(S, container, .name = "container", .dflt = "rfc5424-sd",
                     .help = "Name of the container that gets the elements."),
        PARAM_SIZE(S, data_bytes_max, .name = "maxstructureddatasize", .dflt = "0", .min = 0, .max = INT32_MAX,
                   .help = "Longer structured data is left alone; 0: the longest message."),
        PARAM_BOOL(S, lowers_names, .name = "sd_name.lowercase", .dflt = "on",
                   .help = "Names of elements and parameters become lower case."),
        {},
};
#undef S

static bool mmpstrucdata_is_noticed(const void *settings) {
        return container_is_global(((const struct mmpstrucdata_settings *)settings)->root);
}

static const struct modifier_ops mmpstrucdata_ops = {
        .is_noticed = mmpstrucdata_is_noticed,
        .open = mmpstrucdata_open,
        .modify = mmpstrucdata_modify,
        .close = mmpstrucdata_close,
};

const struct module mmpstrucdata_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmpstrucdata",
        .help = "Turns the structured data of RFC 5424 into variables below $!rfc5424-sd.",
        .settings = SETTINGS(struct mmpstrucdata_settings, mmpstrucdata_params),
        .check = mmpstrucdata_check,
        .modifier = &mmpstrucdata_ops,
};
