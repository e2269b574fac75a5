/*
 * mmcount: counts the messages of an application, by severity or by the values of a variable; each gets its count as
 * $!mmcount.
 *
 * Values come from messages, so there is a limit to how many are told apart; further ones are not counted, which is
 * reported once. One lock a call, since workers share the counts.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { SEVERITIES = 8, VALUES_MAX = 1 << 17, SLOTS = VALUES_MAX * 2 };

struct mmcount_settings {
        char *app;
        char *key;
        char *value;
};

struct count {
        struct text value; /* in the arena; data NULL: the slot is free */
        int64_t count;
};

struct mmcount {
        const struct mmcount_settings *settings;
        struct module_log *log;
        struct container place; /* of the key */
        struct property key;
        pthread_mutex_t lock; /* guards the rest */
        int64_t by_severity[SEVERITIES];
        int64_t of_value;    /* of settings->value */
        struct count *slots; /* SLOTS of them, open addressing; NULL until a value comes */
        size_t values;
        struct arena arena;
        bool has_complained;
};

static uint64_t hash_of(struct text t) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                hash = (hash ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

/* The value's count, from 0; NULL where there are too many values, or no memory. */
static int64_t *count_of(struct mmcount *m, struct text value) {
        if (!m->slots && !(m->slots = calloc(SLOTS, sizeof *m->slots)))
                return NULL;
        size_t at = hash_of(value) & (SLOTS - 1);
        while (m->slots[at].value.data && !text_equal(m->slots[at].value, value))
                at = (at + 1) & (SLOTS - 1);
        if (m->slots[at].value.data)
                return &m->slots[at].count;
        if (m->values == VALUES_MAX) {
                if (!m->has_complained)
                        module_report(m->log, SEVERITY_WARNING, 0,
                                      "mmcount: %d values of '%s' are told apart; further ones are not counted",
                                      VALUES_MAX, m->settings->key);
                m->has_complained = true;
                return NULL;
        }
        struct text copy = arena_text(&m->arena, value);
        if (!copy.data)
                return NULL;
        m->slots[at].value = copy;
        m->values++;
        return &m->slots[at].count;
}

/* The count that the record adds to, or NULL. */
static int64_t *find_count(struct mmcount *m, struct property_context *context, struct batch *b, struct record *r) {
        const struct mmcount_settings *s = m->settings;
        if (!s->key)
                return &m->by_severity[r->severity % SEVERITIES];
        struct text value = property_get(context, b, r, &m->key);
        if (value.size == 0 && !container_get(&m->place, context, b, r))
                return NULL; /* an empty value, or null, is one that is counted */
        if (!s->value)
                return count_of(m, value);
        return text_equal(value, text_of(s->value)) ? &m->of_value : NULL;
}

static void mmcount_modify(void *instance, struct property_context *context, struct batch *b, const uint16_t *selection,
                           size_t count) {
        static const struct property app = {.id = PROPERTY_APP_NAME};
        static const struct container target = {'!', {"mmcount", sizeof "mmcount" - 1}};
        struct mmcount *m = instance;
        pthread_mutex_lock(&m->lock);
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                if (!text_equal(property_get(context, b, r, &app), text_of(m->settings->app)))
                        continue;
                int64_t *counted = find_count(m, context, b, r);
                struct json *number = counted ? json_int(&b->arena, ++*counted) : NULL;
                if (number)
                        (void)container_add(&target, context, b, r, number);
        }
        pthread_mutex_unlock(&m->lock);
}

static int mmcount_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmcount *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->log = host->log;
        pthread_mutex_init(&m->lock, NULL);
        if (m->settings->key) {
                int r = container_parse(&m->place, text_of(m->settings->key));
                assert(r == 0); /* mmcount_check() */
                m->key = (struct property){.id = PROPERTY_TREE, .scope = m->place.scope, .path = m->place.path};
        }
        *ret = m;
        return 0;
}

static void mmcount_close(void *instance) {
        struct mmcount *m = instance;
        arena_fini(&m->arena);
        free(m->slots);
        pthread_mutex_destroy(&m->lock);
        free(m);
}

static int mmcount_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmcount_settings *s = settings;
        struct container key;
        if (!s || !s->key || container_parse(&key, text_of(s->key)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, "key", "a key is a variable: it starts with ! or ., as in \"!code\"");
        return -EINVAL;
}

#define S struct mmcount_settings
static const struct param mmcount_params[] = {
        PARAM_STRING(S, app, .name = "appname", .flags = PARAM_IS_REQUIRED,
                     .help = "The application whose messages are counted."),
        PARAM_STRING(S, key, .name = "key",
                     .help = "The variable whose values are counted; without it, severities are."),
        PARAM_STRING(S, value, .name = "value", .help = "The only value that is counted; without it, each is."),
        {},
};
#undef S

static const struct modifier_ops mmcount_ops = {
        .open = mmcount_open,
        .modify = mmcount_modify,
        .close = mmcount_close,
};

const struct module mmcount_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmcount",
        .help = "Counts messages of an application by severity or by a variable, into $!mmcount.",
        .settings = SETTINGS(struct mmcount_settings, mmcount_params),
        .check = mmcount_check,
        .modifier = &mmcount_ops,
};
