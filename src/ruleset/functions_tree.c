/*
 * Functions on JSON trees.
 */
#include <errno.h>

#include "base/fail.h"
#include "message/container.h"
#include "ruleset/builtin.h"
#include "ruleset/functions.h"

static struct value of_json(struct json *json) {
        return json ? value_of_json(json) : value_text(TEXT(""));
}

static struct value call_exists(const struct function_call *c, struct evaluation *ev) {
        const struct json *found =
                expression_is_variable(c->arguments[0]) ? expression_json(c->arguments[0], ev) : NULL;
        return value_number(found && found->type != JSON_NULL);
}

/* ---- parse_json ------------------------------------------------------------------- */

/* parse_json(text, "\$!container"): 0, or 1 where the text is no JSON. What stands behind the value does not matter. */
static struct value call_parse_json(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        struct container container;
        bool is_variable = container_parse(&container, function_text(c, 1, ev)) == 0;
        struct arena *arena = is_variable && container.scope == '/' ? &ev->arena : &ev->batch->arena;
        struct json *json;
        size_t used;
        unsigned how = ev->context->is_case_sensitive ? JSON_IS_CASE_SENSITIVE : 0u;
        bool is_json = json_parse_lenient(arena, t, how, &json, &used) == 0 && json->type != JSON_NULL;
        if (is_json && is_variable)
                (void)container_add(&container, ev->context, ev->batch, ev->record, json);
        ev->has_script_error = !is_json;
        return value_number(!is_json);
}

/* ---- get_property ------------------------------------------------------------------ */

static struct json *member(const struct json *object, struct text name, bool is_case_sensitive) {
        return is_case_sensitive ? json_get(object, name) : json_get_nocase(object, name);
}

/* get_property(variable, key): a member, an element; a scalar is its own. */
static struct value call_get_property(const struct function_call *c, struct evaluation *ev) {
        if (!expression_is_variable(c->arguments[0])) {
                struct value whole = expression_eval(c->arguments[0], ev);
                return expression_is_property(c->arguments[0]) ? whole : value_text(TEXT(""));
        }
        struct json *json = expression_json(c->arguments[0], ev);
        struct value key = expression_eval(c->arguments[1], ev);
        struct text name = value_to_text(&key, &ev->arena);
        if (!json || name.size == 0 || (json->type != JSON_OBJECT && json->type != JSON_ARRAY))
                return of_json(json);
        if (json->type == JSON_OBJECT)
                return value_of_member(member(json, name, ev->context->is_case_sensitive));
        bool is_whole;
        int64_t index = text_number(name, &is_whole);
        bool is_in = is_whole && index >= 0 && index < json->count;
        return value_of_member(is_in ? json->items[index] : NULL);
}

/* ---- Making trees ------------------------------------------------------------------- */

/* split(text, separator): an array of the parts; of nothing where the text is empty. */
static struct value call_split(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), by = function_text(c, 1, ev);
        struct json *parts = json_array(&ev->arena);
        if (!parts)
                return value_text(TEXT(""));
        for (bool is_last = t.size == 0; !is_last;) {
                ptrdiff_t at = by.size ? text_find(t, by) : -1;
                is_last = at < 0;
                struct json *part = json_string(&ev->arena, is_last ? t : text_slice(t, 0, (size_t)at));
                if (!part || json_append(&ev->arena, parts, part))
                        break;
                if (!is_last)
                        t = text_slice(t, (size_t)at + by.size, t.size);
        }
        return value_of_json(parts);
}

/* append_json(array, value), append_json(object, key, value): the whole with it; what is no container begins one. */
static struct value call_append_json(const struct function_call *c, struct evaluation *ev) {
        bool is_object = c->count == 3;
        const struct json *old = expression_json(c->arguments[0], ev);
        bool is_right = old && old->type == (is_object ? JSON_OBJECT : JSON_ARRAY);
        struct arena *a = &ev->arena;
        struct json *whole = is_right ? json_copy(a, old) : is_object ? json_object(a) : json_array(a);
        struct value v = expression_eval(c->arguments[c->count - 1], ev);
        struct json *item = value_to_json(&v, a);
        if (!whole || !item)
                return value_text(TEXT(""));
        int r = is_object ? json_set(a, whole, function_text(c, 1, ev), item) : json_append(a, whole, item);
        return r ? value_text(TEXT("")) : value_of_json(whole);
}

/* Sets value at a path of keys, with objects for what is missing or is none. */
static int put_at(struct arena *a, struct json *object, struct text path, char separator, struct json *value) {
        for (unsigned depth = 0; depth < JSON_NESTING_MAX - 1; depth++) {
                const char *at = path.size ? memchr(path.data, separator, path.size) : NULL;
                if (!at)
                        break;
                struct text key = text_slice(path, 0, (size_t)(at - path.data));
                struct json *inner = json_get(object, key);
                if (!inner || inner->type != JSON_OBJECT) {
                        inner = json_object(a);
                        if (!inner || json_set(a, object, key, inner))
                                return fail(-ENOMEM);
                }
                object = inner;
                path = text_slice(path, key.size + 1, path.size);
        }
        return json_set(a, object, path, value);
}

/* unflatten(tree, separator): {"a.b":1} becomes {"a":{"b":1}}. */
static struct value call_unflatten(const struct function_call *c, struct evaluation *ev) {
        struct json *flat = expression_json(c->arguments[0], ev);
        struct text separator = function_text(c, 1, ev);
        struct json *deep = json_object(&ev->arena);
        if (!flat || flat->type != JSON_OBJECT || separator.size != 1 || !deep)
                return of_json(flat);
        for (const struct json_member *m = flat->first; m; m = m->next) {
                struct json *copy = m->value ? json_copy(&ev->arena, m->value) : json_null(&ev->arena);
                if (!copy || put_at(&ev->arena, deep, m->name, separator.data[0], copy))
                        break;
        }
        return value_of_json(deep);
}

static const struct function functions[] = {
        {"append_json", 2, 3, call_append_json, NULL, NULL},
        {"exists", 1, 1, call_exists, NULL, NULL},
        {"get_property", 2, 2, call_get_property, NULL, NULL},
        {"parse_json", 2, 2, call_parse_json, NULL, NULL},
        {"split", 2, 2, call_split, NULL, NULL},
        {"unflatten", 2, 2, call_unflatten, NULL, NULL},
};

const struct function_table functions_tree = {functions, ARRAY_SIZE(functions)};

const struct module fmunflatten_module = {
        MODULE_HEAD, .kind = MODULE_LIBRARY, .name = "fmunflatten",
        .help = "The function unflatten(tree, separator): keys with dots become objects."};
