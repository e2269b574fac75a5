/*
 * mmjsontransform: keys with dots become objects within objects, or the other way round:
 *
 *   unflatten   { "a.b": 1, "a.c": 2 }   ->   { "a": { "b": 1, "c": 2 } }
 *   flatten     { "a": { "b": 1 } }      ->   { "a.b": 1 }, objects in arrays each for itself
 *
 * A policy may drop and rename keys before. It is read again by HUP, and as soon as it changes where policyWatch is on;
 * one with a mistake leaves the old one in force.
 *
 * All or nothing: two values in one place, an output that is there already, or an input that is no object leave
 * the message as it is. That is reported once, since every message may be so.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "modifier/mmjsontransform_policy.h"
#include "module/module.h"
#include "module/policy.h"

enum { KEY_BYTES_MAX = 1024, DEBOUNCE_MS = 5000 };

static const char *const modes[] = {[MODE_UNFLATTEN] = "unflatten", [MODE_FLATTEN] = "flatten", NULL};

struct mmjsontransform_settings {
        char *input, *output, *policy, *policy_debounce;
        int mode;
        bool watches_policy;
};

struct mmjsontransform {
        const struct mmjsontransform_settings *settings;
        struct module_log *log;
        struct container input, output;
        atomic_bool has_complained;
        struct policy_watch *watch;      /* NULL: none */
        pthread_rwlock_t lock;           /* guards the policy, which workers hold for a call */
        struct transform_policy *policy; /* NULL: none */
};

/* Both answer 0, -EEXIST where two values want one place, -E2BIG beyond the limits, -ENOMEM. *where is the key then. */

/* The object below the name; made where there is none. */
static int child_object(struct arena *a, struct json *object, struct text name, struct json **ret) {
        struct json *child = json_get(object, name);
        if (!child) {
                child = json_object(a);
                if (!child || json_add(a, object, name, child))
                        return fail(-ENOMEM);
        }
        *ret = child;
        return child->type == JSON_OBJECT ? 0 : -EEXIST;
}

static int unflatten(struct arena *a, struct json *to, const struct json *from, unsigned depth, struct text *where);

static int put_unflattened(struct arena *a, struct json *to, struct text key, struct json *value, unsigned depth,
                           struct text *where) {
        const char *dot;
        *where = key;
        while ((dot = key.size ? memchr(key.data, '.', key.size) : NULL)) {
                size_t size = (size_t)(dot - key.data);
                int r = depth ? child_object(a, to, text_slice(key, 0, size), &to) : -E2BIG;
                if (r)
                        return r;
                key = text_slice(key, size + 1, key.size);
                depth--;
        }
        if (value->type == JSON_OBJECT && value->count) {
                int r = depth ? child_object(a, to, key, &to) : -E2BIG;
                return r ? r : unflatten(a, to, value, depth - 1, where);
        }
        return json_get(to, key) ? -EEXIST : json_add(a, to, key, value);
}

static int unflatten(struct arena *a, struct json *to, const struct json *from, unsigned depth, struct text *where) {
        for (const struct json_member *m = from->first; m; m = m->next) {
                int r = put_unflattened(a, to, m->name, m->value, depth, where);
                if (r)
                        return r;
        }
        return 0;
}

static int flatten(struct arena *a, struct json *to, const struct json *from, struct buffer *key, struct text *where);

/* An array stays one; the objects in it are flattened, each by itself. */
static int flatten_elements(struct arena *a, struct json *array, struct text *where) {
        for (uint32_t i = 0; i < array->count; i++) {
                struct json *element = array->items[i];
                _owned_(buffer_fini) struct buffer key = {0};
                int r = element->type == JSON_ARRAY ? flatten_elements(a, element, where) : 0;
                if (element->type == JSON_OBJECT && element->count) {
                        struct json *flat = json_object(a);
                        r = flat ? flatten(a, flat, element, &key, where) : fail(-ENOMEM);
                        array->items[i] = flat ? flat : element;
                }
                if (r)
                        return r;
        }
        return 0;
}

static int put_flattened(struct arena *a, struct json *to, struct json *value, struct buffer *key, struct text *where) {
        if (value->type == JSON_OBJECT && value->count)
                return flatten(a, to, value, key, where);
        int r = value->type == JSON_ARRAY ? flatten_elements(a, value, where) : 0;
        if (r)
                return r;
        if (json_get(to, buffer_as_text(key))) {
                *where = arena_text(a, buffer_as_text(key));
                return -EEXIST;
        }
        return json_add(a, to, buffer_as_text(key), value);
}

static int flatten(struct arena *a, struct json *to, const struct json *from, struct buffer *key, struct text *where) {
        size_t before = key->size;
        for (const struct json_member *m = from->first; m; m = m->next) {
                if (before)
                        buffer_byte(key, '.');
                buffer_text(key, m->name);
                if (buffer_failed(key))
                        return fail(-ENOMEM);
                if (key->size > KEY_BYTES_MAX)
                        return -E2BIG;
                int r = put_flattened(a, to, m->value, key, where);
                if (r)
                        return r;
                key->size = before;
        }
        return 0;
}

static int transform(const struct mmjsontransform *m, struct property_context *context, struct batch *b,
                     struct record *r, struct text *where) {
        struct json *from = container_get(&m->input, context, b, r);
        if (!from)
                return 0;
        if (from->type != JSON_OBJECT)
                return -EINVAL;
        if (container_get(&m->output, context, b, r))
                return -EEXIST;
        struct json *to = json_object(&b->arena), *copy = json_copy(&b->arena, from);
        if (!to || !copy)
                return fail(-ENOMEM);
        enum transform_mode mode = m->policy ? transform_policy_mode(m->policy) : MODE_OF_ACTION;
        if (mode == MODE_OF_ACTION)
                mode = (enum transform_mode)m->settings->mode;
        int result = m->policy ? transform_policy_apply(m->policy, &b->arena, copy, where) : 0;
        if (result)
                return result;
        buffer_clear(&context->scratch);
        result = mode == MODE_FLATTEN ? flatten(&b->arena, to, copy, &context->scratch, where)
                                      : unflatten(&b->arena, to, copy, JSON_NESTING_MAX / 2, where);
        return result ? result : container_add(&m->output, context, b, r, to);
}

static void complain(struct mmjsontransform *m, int error, struct text where) {
        if (atomic_exchange(&m->has_complained, true))
                return;
        module_report(m->log, SEVERITY_WARNING, 0,
                      "mmjsontransform: '%s' cannot be transformed into '%s': %s%s%.*s%s; such messages stay as they "
                      "are (not reported again)",
                      m->settings->input, m->settings->output, fail_text(error), where.size ? " (at '" : "",
                      TEXT_ARGS(where), where.size ? "')" : "");
}

static void mmjsontransform_modify(void *instance, struct property_context *context, struct batch *b,
                                   const uint16_t *selection, size_t count) {
        struct mmjsontransform *m = instance;
        pthread_rwlock_rdlock(&m->lock);
        for (size_t i = 0; i < count; i++) {
                struct text where = TEXT_NONE;
                int r = transform(m, context, b, &b->records[selection[i]], &where);
                if (r)
                        complain(m, r, where);
        }
        pthread_rwlock_unlock(&m->lock);
}

/* ---- The policy ------------------------------------------------------------------ */

static void read_again(struct mmjsontransform *m, enum severity success) {
        struct transform_policy *policy = NULL;
        if (transform_policy_read(&policy, m->settings->policy, m->log)) {
                module_report(m->log, SEVERITY_ERR, 0, "mmjsontransform: policy '%s': what was in force stays so",
                              m->settings->policy);
                return;
        }
        pthread_rwlock_wrlock(&m->lock);
        struct transform_policy *old = m->policy;
        m->policy = policy;
        pthread_rwlock_unlock(&m->lock);
        transform_policy_free(old);
        atomic_store(&m->has_complained, false);
        module_report(m->log, success, 0, "mmjsontransform: policy '%s' was read again", m->settings->policy);
}

/* On the watch's thread. */
static void on_change(void *instance) {
        read_again(instance, SEVERITY_INFO);
}

static void mmjsontransform_reopen(void *instance) {
        struct mmjsontransform *m = instance;
        if (m->settings->policy)
                read_again(m, SEVERITY_INFO);
}

static void watch_policy(struct mmjsontransform *m) {
        int64_t debounce_ms = DEBOUNCE_MS;
        if (m->settings->policy_debounce)
                (void)policy_duration(&debounce_ms,
                                      text_of(m->settings->policy_debounce)); /* mmjsontransform_check() */
        int r = policy_watch_new(&m->watch, m->settings->policy, debounce_ms, on_change, m);
        if (r)
                module_report(m->log, SEVERITY_WARNING, 0,
                              "mmjsontransform: policy '%s' cannot be watched: %s; HUP reads it again",
                              m->settings->policy, fail_text(r));
}

/* ---- Life ------------------------------------------------------------------------ */

static void mmjsontransform_close(void *instance) {
        struct mmjsontransform *m = instance;
        policy_watch_free(m->watch);
        transform_policy_free(m->policy);
        pthread_rwlock_destroy(&m->lock);
        free(m);
}

static int mmjsontransform_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmjsontransform *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->log = host->log;
        pthread_rwlock_init(&m->lock, NULL);
        int r = container_parse(&m->input, text_of(m->settings->input));
        assert(r == 0); /* mmjsontransform_check() */
        r = container_parse(&m->output, text_of(m->settings->output));
        assert(r == 0);
        if (m->settings->policy && (r = transform_policy_read(&m->policy, m->settings->policy, m->log))) {
                mmjsontransform_close(m);
                return pass(r);
        }
        if (m->settings->policy && m->settings->watches_policy)
                watch_policy(m);
        *ret = m;
        return 0;
}

static int check_variable(const char *param, const char *name, struct module_log *log) {
        struct container c;
        if (!name || container_parse(&c, text_of(name)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, param, "this has to be a variable, as in \"$!fields\"");
        return -EINVAL;
}

static int check_policy(const struct mmjsontransform_settings *s, struct module_log *log) {
        _owned_(transform_policy_free) struct transform_policy *policy = NULL;
        int64_t debounce_ms;
        int r = s->policy ? transform_policy_read(&policy, s->policy, log) : 0;
        if (s->watches_policy && !s->policy)
                module_report_param(log, SEVERITY_WARNING, "policywatch", "there is no policy to watch");
        if (s->policy_debounce && policy_duration(&debounce_ms, text_of(s->policy_debounce))) {
                module_report_param(log, SEVERITY_ERR, "policywatchdebounce", "\"%s\" is no time: 500ms, 5s, 1m are",
                                    s->policy_debounce);
                r = -EINVAL;
        }
        return r ? -EINVAL : 0;
}

static int mmjsontransform_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmjsontransform_settings *s = settings;
        if (!s)
                return 0;
        int input = check_variable("input", s->input, log), output = check_variable("output", s->output, log);
        int policy = check_policy(s, log);
        return input ? input : output ? output : policy;
}

#define S struct mmjsontransform_settings
static const struct param mmjsontransform_params[] = {
        PARAM_STRING(S, input, .name = "input", .flags = PARAM_IS_REQUIRED, .help = "The variable that is read."),
        PARAM_STRING(S, output, .name = "output", .flags = PARAM_IS_REQUIRED,
                     .help = "The variable that gets the result; it must not be there yet."),
        PARAM_CHOICE(S, mode, .name = "mode", .dflt = "unflatten", .choices = modes,
                     .help = "unflatten: keys with dots become objects; flatten: objects become keys with dots."),
        PARAM_STRING(
                S, policy, .name = "policy",
                .help = "A YAML file with keys to rename and to drop before, and a mode in place of this one; read "
                        "again by HUP. A file with a mistake changes nothing."),
        PARAM_BOOL(S, watches_policy, .name = "policywatch", .dflt = "off",
                   .help = "The policy is read again as soon as it changes."),
        PARAM_STRING(S, policy_debounce, .name = "policywatchdebounce", .dflt = "5s",
                     .help = "How long a policy that changes must be quiet before it is read: 500ms, 5s, 1m."),
        {},
};
#undef S

static bool mmjsontransform_is_noticed(const void *settings) {
        const struct mmjsontransform_settings *s = settings;
        return container_is_global(s->input) || container_is_global(s->output);
}

static const struct modifier_ops mmjsontransform_ops = {
        .open = mmjsontransform_open,
        .modify = mmjsontransform_modify,
        .is_noticed = mmjsontransform_is_noticed,
        .reopen = mmjsontransform_reopen,
        .close = mmjsontransform_close,
};

const struct module mmjsontransform_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmjsontransform",
        .help = "Turns keys with dots into objects within objects, and back.",
        .settings = SETTINGS(struct mmjsontransform_settings, mmjsontransform_params),
        .check = mmjsontransform_check,
        .modifier = &mmjsontransform_ops,
};
