/*
 * mmjsontransform: keys with dots become objects within objects, or the other way round:
 *
 *   unflatten   { "a.b": 1, "a.c": 2 }   ->   { "a": { "b": 1, "c": 2 } }
 *   flatten     { "a": { "b": 1 } }      ->   { "a.b": 1 }
 *
 * All or nothing: two values in one place, an output that is there already, or an input that is no object leave
 * the message as it is. That is reported once, since every message may be so.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { KEY_BYTES_MAX = 1024 };

enum { MODE_UNFLATTEN, MODE_FLATTEN };
static const char *const modes[] = {"unflatten", "flatten", NULL};

struct mmjsontransform_settings {
        char *input, *output;
        int mode;
};

struct mmjsontransform {
        const struct mmjsontransform_settings *settings;
        struct module_log *log;
        struct container input, output;
        atomic_bool has_complained;
};

/* Both answer 0, -EEXIST where two values want one place, -E2BIG beyond the limits, -ENOMEM. */

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

static int unflatten(struct arena *a, struct json *to, const struct json *from, unsigned depth);

static int put_unflattened(struct arena *a, struct json *to, struct text key, struct json *value, unsigned depth) {
        const char *dot;
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
                return r ? r : unflatten(a, to, value, depth - 1);
        }
        return json_get(to, key) ? -EEXIST : json_add(a, to, key, value);
}

static int unflatten(struct arena *a, struct json *to, const struct json *from, unsigned depth) {
        for (const struct json_member *m = from->first; m; m = m->next) {
                int r = put_unflattened(a, to, m->name, m->value, depth);
                if (r)
                        return r;
        }
        return 0;
}

/* Arrays stay what they are. */
static int flatten(struct arena *a, struct json *to, const struct json *from, struct buffer *key) {
        size_t before = key->size;
        for (const struct json_member *m = from->first; m; m = m->next) {
                if (before)
                        buffer_byte(key, '.');
                buffer_text(key, m->name);
                if (buffer_failed(key))
                        return fail(-ENOMEM);
                if (key->size > KEY_BYTES_MAX)
                        return -E2BIG;
                int r = 0;
                if (m->value->type == JSON_OBJECT && m->value->count)
                        r = flatten(a, to, m->value, key);
                else
                        r = json_get(to, buffer_as_text(key)) ? -EEXIST
                                                              : json_add(a, to, buffer_as_text(key), m->value);
                if (r)
                        return r;
                key->size = before;
        }
        return 0;
}

static int transform(const struct mmjsontransform *m, struct property_context *context, struct batch *b,
                     struct record *r) {
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
        buffer_clear(&context->scratch);
        int result = m->settings->mode == MODE_FLATTEN ? flatten(&b->arena, to, copy, &context->scratch)
                                                       : unflatten(&b->arena, to, copy, JSON_NESTING_MAX / 2);
        return result ? result : container_add(&m->output, context, b, r, to);
}

static void mmjsontransform_modify(void *instance, struct property_context *context, struct batch *b,
                                   const uint16_t *selection, size_t count) {
        struct mmjsontransform *m = instance;
        for (size_t i = 0; i < count; i++) {
                int r = transform(m, context, b, &b->records[selection[i]]);
                if (r && !atomic_exchange(&m->has_complained, true))
                        module_report(
                                m->log, SEVERITY_WARNING, 0,
                                "mmjsontransform: '%s' cannot be transformed into '%s': %s; such messages stay as "
                                "they are (not reported again)",
                                m->settings->input, m->settings->output, fail_text(r));
        }
}

static int mmjsontransform_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmjsontransform *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->log = host->log;
        int r = container_parse(&m->input, text_of(m->settings->input));
        assert(r == 0); /* mmjsontransform_check() */
        r = container_parse(&m->output, text_of(m->settings->output));
        assert(r == 0);
        *ret = m;
        return 0;
}

static void mmjsontransform_close(void *instance) {
        free(instance);
}

static int check_variable(const char *param, const char *name, struct module_log *log) {
        struct container c;
        if (!name || container_parse(&c, text_of(name)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, param, "this has to be a variable, as in \"$!fields\"");
        return -EINVAL;
}

static int mmjsontransform_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmjsontransform_settings *s = settings;
        if (!s)
                return 0;
        int input = check_variable("input", s->input, log), output = check_variable("output", s->output, log);
        return input ? input : output;
}

#define S struct mmjsontransform_settings
static const struct param mmjsontransform_params[] = {
        PARAM_STRING(S, input, .name = "input", .flags = PARAM_IS_REQUIRED, .help = "The variable that is read."),
        PARAM_STRING(S, output, .name = "output", .flags = PARAM_IS_REQUIRED,
                     .help = "The variable that gets the result; it must not be there yet."),
        PARAM_CHOICE(S, mode, .name = "mode", .dflt = "unflatten", .choices = modes,
                     .help = "unflatten: keys with dots become objects; flatten: objects become keys with dots."),
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
