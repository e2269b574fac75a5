#include "message/container.h"

#include <errno.h>

#include "message/variable.h"

int container_parse(struct container *ret, struct text name) {
        if (text_starts(name, TEXT("$")))
                name = text_slice(name, 1, name.size);
        if (name.size == 0 || !memchr("!./", name.data[0], 3) || name.size > PATH_BYTES_MAX)
                return -EINVAL; /* a user's mistake, or a message's */
        *ret = (struct container){name.data[0], text_slice(name, 1, name.size)};
        return 0;
}

bool container_is_global(const char *name) {
        struct container c;
        return container_parse(&c, text_of(name)) == 0 && c.scope == '/';
}

struct json *container_get(const struct container *c, const struct property_context *context, struct batch *b,
                           struct record *r) {
        if (c->scope == '/')
                return globals_get(context->globals, c->path, &b->arena);
        return variable_get(r, c->scope, c->path, context->is_case_sensitive);
}

static int add_at(char scope, struct text path, const struct property_context *context, struct batch *b,
                  struct record *r, struct json *value) {
        if (scope == '/')
                return globals_set(context->globals, path, value, false);
        return variable_set(b, r, scope, path, value, context->is_case_sensitive ? VARIABLE_IS_CASE_SENSITIVE : 0u);
}

int container_merge(const struct container *c, const struct property_context *context, struct batch *b,
                    struct record *r, struct json *value) {
        return add_at(c->scope, c->path, context, b, r, value);
}

int container_add(const struct container *c, const struct property_context *context, struct batch *b, struct record *r,
                  struct json *value) {
        struct text path = c->path;
        if (path.size) {
                const struct json *there = container_get(c, context, b, r);
                if (there && value->type == JSON_OBJECT)
                        path = TEXT("");
        }
        return add_at(c->scope, path, context, b, r, value);
}
