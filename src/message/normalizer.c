#include "message/normalizer.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

#define LIBRARY "liblognorm.so.5"

enum { OPTION_ALLOW_REGEX = 1, PADDING_BYTES = 64 };

/* ---- The libraries ---------------------------------------------------------- */

/* libfastjson's types and its iterator, which it hands over by value. */
enum { FJ_NULL, FJ_BOOLEAN, FJ_DOUBLE, FJ_INT, FJ_OBJECT, FJ_ARRAY, FJ_STRING };
struct fj_iterator {
        int left;
        int index;
        const void *page;
};

struct library {
        void *handle;
        void *(*initCtx)(void);
        int (*exitCtx)(void *context);
        void (*setCtxOpts)(void *context, unsigned options);
        int (*setDebugCB)(void *context, void (*callback)(void *, const char *, size_t), void *cookie);
        int (*setErrMsgCB)(void *context, void (*callback)(void *, const char *, size_t), void *cookie);
        int (*loadSamples)(void *context, const char *path);
        int (*loadSamplesFromString)(void *context, const char *rules);
        int (*normalize)(void *context, const char *text, size_t size, void **json);
        int (*put)(void *object);
        int (*get_type)(void *object);
        int (*get_boolean)(void *object);
        int64_t (*get_int64)(void *object);
        double (*get_double)(void *object);
        const char *(*get_string)(void *object);
        int (*get_string_len)(void *object);
        const char *(*to_json_string)(void *object);
        int (*array_length)(void *object);
        void *(*array_get_idx)(void *object, int index);
        struct fj_iterator (*iter_begin)(void *object);
        struct fj_iterator (*iter_end)(const void *object);
        void (*iter_next)(struct fj_iterator *i);
        const char *(*iter_peek_name)(const struct fj_iterator *i);
        void *(*iter_peek_value)(const struct fj_iterator *i);
        int (*iter_equal)(const struct fj_iterator *a, const struct fj_iterator *b);
};

static const struct {
        const char *name;
        size_t offset;
} symbols[] = {
#define LN(field)                                                                                                      \
        { "ln_" #field, offsetof(struct library, field) }
#define FJ(field)                                                                                                      \
        { "fjson_object_" #field, offsetof(struct library, field) }
        LN(initCtx),
        LN(exitCtx),
        LN(setCtxOpts),
        LN(setErrMsgCB),
        LN(setDebugCB),
        LN(loadSamples),
        LN(loadSamplesFromString),
        LN(normalize),
        FJ(put),
        FJ(get_type),
        FJ(get_boolean),
        FJ(get_int64),
        FJ(get_double),
        FJ(get_string),
        FJ(get_string_len),
        FJ(to_json_string),
        FJ(array_length),
        FJ(array_get_idx),
        FJ(iter_begin),
        FJ(iter_end),
        FJ(iter_next),
        FJ(iter_peek_name),
        FJ(iter_peek_value),
        FJ(iter_equal),
#undef LN
#undef FJ
};

static int library_open(struct library *library, const char **why) {
        *library = (struct library){.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
        if (!library->handle) {
                *why = dlerror();
                return fail(-ENOENT);
        }
        /* libfastjson is found as what liblognorm depends on. */
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                void *found = dlsym(library->handle, symbols[i].name);
                if (!found) {
                        *why = dlerror();
                        dlclose(library->handle);
                        return fail(-ENOENT);
                }
                memcpy((char *)library + symbols[i].offset, &found, sizeof found);
        }
        return 0;
}

/* ---- Rule bases --------------------------------------------------------------- */

struct normalizer {
        struct library library;
        void *context;
        struct normalizer_listener listener;
};

struct normalizer *normalizer_free(struct normalizer *n) {
        if (!n)
                return NULL;
        if (n->context)
                n->library.exitCtx(n->context);
        if (n->library.handle)
                dlclose(n->library.handle);
        free(n);
        return NULL;
}

static void hear(void *cookie, const char *text, size_t size _unused_) {
        const struct normalizer *n = cookie;
        if (n->listener.say)
                n->listener.say(n->listener.cookie, text);
}

static void ignore_trace(void *cookie _unused_, const char *text _unused_, size_t size _unused_) {
}

static int load_lines(struct normalizer *n, const struct normalizer_rules *rules) {
        _owned_(buffer_fini) struct buffer all = {0};
        for (size_t i = 0; i < rules->count && all.size <= NORMALIZER_RULES_BYTES_MAX; i++) {
                buffer_text(&all, text_of(rules->lines[i]));
                buffer_byte(&all, '\n');
        }
        if (all.size > NORMALIZER_RULES_BYTES_MAX)
                return fail(-E2BIG);
        const char *string = buffer_string(&all);
        if (!string)
                return fail(-ENOMEM);
        return n->library.loadSamplesFromString(n->context, string) ? fail(-EINVAL) : 0;
}

int normalizer_new(struct normalizer **ret, const struct normalizer_rules *rules, struct normalizer_listener listener,
                   const char **why) {
        _owned_(normalizer_free) struct normalizer *n = calloc(1, sizeof *n);
        *why = "";
        if (!n)
                return fail(-ENOMEM);
        int r = library_open(&n->library, why);
        if (r) {
                n->library.handle = NULL;
                return pass(r);
        }
        n->context = n->library.initCtx();
        if (!n->context)
                return fail(-ENOMEM);
        n->listener = listener;
        /* The library hands the cookie of traces to both. */
        n->library.setDebugCB(n->context, ignore_trace, n);
        n->library.setErrMsgCB(n->context, hear, n);
        if (rules->allows_regex)
                n->library.setCtxOpts(n->context, OPTION_ALLOW_REGEX);
        if (!rules->path)
                r = load_lines(n, rules);
        else if (n->library.loadSamples(n->context, rules->path))
                r = fail(-EINVAL);
        if (r)
                return pass(r);
        /* Traces are made for whoever might hear them, which takes most of the time. */
        n->library.setDebugCB(n->context, NULL, n);
        *ret = TAKE(n);
        return 0;
}

/* ---- Trees -------------------------------------------------------------------- */

static struct json *convert(const struct library *l, struct arena *a, void *from, unsigned depth);

static struct json *convert_object(const struct library *l, struct arena *a, void *from, unsigned depth) {
        struct json *object = json_object(a);
        struct fj_iterator i = l->iter_begin(from), end = l->iter_end(from);
        for (; object && !l->iter_equal(&i, &end); l->iter_next(&i)) {
                struct json *value = convert(l, a, l->iter_peek_value(&i), depth);
                if (!value || json_add(a, object, text_of(l->iter_peek_name(&i)), value))
                        return NULL;
        }
        return object;
}

static struct json *convert_array(const struct library *l, struct arena *a, void *from, unsigned depth) {
        struct json *array = json_array(a);
        int count = l->array_length(from);
        for (int i = 0; array && i < count; i++) {
                struct json *item = convert(l, a, l->array_get_idx(from, i), depth);
                if (!item || json_append(a, array, item))
                        return NULL;
        }
        return array;
}

/* A number prints as the library prints it. */
static struct json *convert_double(const struct library *l, struct arena *a, void *from) {
        struct json *value = json_double(a, l->get_double(from));
        const char *printed = l->to_json_string(from);
        if (value && printed)
                value->literal = arena_text(a, text_of(printed));
        return value;
}

/* What lies deeper than we go is null. NULL without memory. */
static struct json *convert(const struct library *l, struct arena *a, void *from, unsigned depth) {
        if (!from || depth == 0)
                return json_null(a);
        switch (l->get_type(from)) {
        case FJ_BOOLEAN:
                return json_bool(a, l->get_boolean(from));
        case FJ_INT:
                return json_int(a, l->get_int64(from));
        case FJ_DOUBLE:
                return convert_double(l, a, from);
        case FJ_STRING:
                return json_string(a, (struct text){l->get_string(from), (size_t)l->get_string_len(from)});
        case FJ_OBJECT:
                return convert_object(l, a, from, depth - 1);
        case FJ_ARRAY:
                return convert_array(l, a, from, depth - 1);
        default:
                return json_null(a);
        }
}

/* The library reads up to a NUL, and its type cee-syslog goes some bytes beyond; so a text ends in several. */
static const char *padded(struct arena *a, struct text t) {
        char *copy = arena_alloc(a, t.size + PADDING_BYTES);
        if (!copy)
                return NULL;
        if (t.size)
                memcpy(copy, t.data, t.size);
        memset(copy + t.size, 0, PADDING_BYTES);
        return copy;
}

struct json *normalizer_run(const struct normalizer *n, struct arena *a, struct text t, bool *is_match) {
        void *found = NULL;
        const char *copy = padded(a, t);
        *is_match = copy && n->library.normalize(n->context, copy, t.size, &found) == 0;
        struct json *fields = found ? convert(&n->library, a, found, JSON_LENIENT_NESTING_MAX) : json_object(a);
        if (found)
                n->library.put(found);
        return fields && fields->type == JSON_OBJECT ? fields : NULL;
}
