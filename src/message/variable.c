#include "message/variable.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"

enum { INDEX_MAX = 1 << 24 };

/* ---- Paths --------------------------------------------------------------- */

/* Cuts the first name off: "usr!name" gives "usr" and leaves "name". */
static struct text next_name(struct text *path) {
        const char *mark = memchr(path->data, '!', path->size);
        size_t size = mark ? (size_t)(mark - path->data) : path->size;
        struct text name = text_slice(*path, 0, size);
        *path = text_slice(*path, size + (mark != NULL), path->size);
        return name;
}

static struct text without_first_mark(struct text path) {
        return path.size && path.data[0] == '!' ? text_slice(path, 1, path.size) : path;
}

/* The member of that very name, else, unless case matters, the first whose name differs in case only. */
static struct json *member(const struct json *object, struct text name, bool is_case_sensitive) {
        struct json *similar = NULL;
        if (!object || object->type != JSON_OBJECT)
                return NULL;
        for (const struct json_member *m = object->first; m; m = m->next) {
                if (m->name.size != name.size)
                        continue;
                if (bytes_are_equal(m->name.data, name.data, name.size))
                        return m->value;
                if (!similar && !is_case_sensitive && text_equal_nocase(m->name, name))
                        similar = m->value;
        }
        return similar;
}

/* "[2][1]" of "list[2][1]", applied to the list; NULL where that leads nowhere. */
static struct json *item(struct json *array, struct text indexes) {
        while (indexes.size) {
                const char *close = memchr(indexes.data, ']', indexes.size);
                if (!close || indexes.data[0] != '[' || !array || array->type != JSON_ARRAY)
                        return NULL;
                size_t end = (size_t)(close - indexes.data);
                int64_t index;
                struct text digits = text_slice(indexes, 1, end);
                if (digits.size > 1 && digits.data[0] == '0')
                        return NULL;
                if (text_to_int(digits, &index) || index < 0 || index >= array->count || index > INDEX_MAX)
                        return NULL;
                array = array->items[index];
                indexes = text_slice(indexes, end + 1, indexes.size);
        }
        return array;
}

static struct json *child(const struct json *object, struct text name, bool is_case_sensitive) {
        const char *open = name.size && name.data[name.size - 1] == ']' ? memchr(name.data, '[', name.size) : NULL;
        if (open) {
                size_t size = (size_t)(open - name.data);
                struct json *list = member(object, text_slice(name, 0, size), is_case_sensitive);
                struct json *found = list ? item(list, text_slice(name, size, name.size)) : NULL;
                if (found)
                        return found;
        }
        return member(object, name, is_case_sensitive);
}

/* ---- Trees --------------------------------------------------------------- */

static struct json *tree_get(struct json *tree, struct text path, bool is_case_sensitive) {
        if (path.size == 0)
                return tree;
        path = without_first_mark(path);
        for (bool is_last = false; tree && !is_last;) {
                size_t size = path.size;
                struct text name = next_name(&path);
                is_last = name.size == size;
                tree = child(tree, name, is_case_sensitive);
        }
        return tree;
}

/* Levels of nesting below a value, at most `limit`; recursion ends there. */
static unsigned depth_of(const struct json *value, unsigned limit) {
        unsigned deepest = 0;
        if (limit == 0)
                return 0;
        if (value->type == JSON_ARRAY)
                for (uint32_t i = 0; i < value->count; i++)
                        deepest = MAX(deepest, depth_of(value->items[i], limit - 1));
        else if (value->type == JSON_OBJECT)
                for (const struct json_member *m = value->first; m; m = m->next)
                        deepest = MAX(deepest, depth_of(m->value, limit - 1));
        else
                return 0;
        return deepest + 1;
}

/* Replaces the member of that name, in whatever case unless case matters, or adds one. */
static int put(struct arena *a, struct json *object, struct text name, struct json *value, bool is_case_sensitive) {
        for (struct json_member *m = object->first; m; m = m->next)
                if (m->name.size == name.size &&
                    (is_case_sensitive ? text_equal(m->name, name) : text_equal_nocase(m->name, name))) {
                        m->value = value;
                        return 0;
                }
        return json_add(a, object, name, value);
}

static int merge(struct arena *a, struct json *object, const struct json *from, bool is_case_sensitive) {
        /* Into an empty object: nothing to look for. The members of `from` are its own twins never. */
        if (!object->first && from->first) {
                object->first = from->first;
                object->last = from->last;
                object->count = from->count;
                object->gaps = NULL;
                return 0;
        }
        for (const struct json_member *m = from->first; m; m = m->next) {
                int r = put(a, object, m->name, m->value, is_case_sensitive);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* The object that holds the last name of the path; what is missing on the way is made. -EINVAL: a scalar is there. */
static int make_parent(struct arena *a, struct json *tree, struct text *path, bool is_case_sensitive,
                       struct json **ret) {
        while (memchr(path->data, '!', path->size)) {
                struct text name = next_name(path);
                struct json *inner = child(tree, name, is_case_sensitive);
                if (!inner) {
                        inner = json_object(a);
                        if (!inner || json_set(a, tree, name, inner))
                                return fail(-ENOMEM);
                }
                if (inner->type != JSON_OBJECT)
                        return -EINVAL;
                tree = inner;
        }
        *ret = tree;
        return 0;
}

static unsigned names_in(struct text path) {
        unsigned names = 1;
        for (size_t i = 0; i < path.size; i++)
                names += path.data[i] == '!';
        return names;
}

/* Whether so long and deep a path, and a value below it, have room. */
static bool is_within_bounds(struct text path, const struct json *value) {
        unsigned names = path.size ? names_in(path) : 0;
        return path.size <= PATH_BYTES_MAX && names + depth_of(value, JSON_NESTING_MAX + 1) <= JSON_NESTING_MAX;
}

static int tree_set(struct arena *a, struct json **tree, struct text path, struct json *value, unsigned how) {
        bool resets = how & VARIABLE_RESETS, is_case_sensitive = how & VARIABLE_IS_CASE_SENSITIVE;
        path = without_first_mark(path);
        /* A scalar under a short name is: shorter than JSON_NESTING_MAX, it cannot hold that many marks. */
        bool is_short = path.size < JSON_NESTING_MAX && value->type < JSON_ARRAY;
        if (!is_short && !is_within_bounds(path, value))
                return -EINVAL;
        if (!*tree && !(*tree = json_object(a)))
                return fail(-ENOMEM);
        if (path.size == 0)
                return value->type == JSON_OBJECT ? merge(a, *tree, value, is_case_sensitive) : -EINVAL;

        struct json *parent = NULL;
        int r = make_parent(a, *tree, &path, is_case_sensitive, &parent);
        if (r)
                return r;
        struct json *old = member(parent, path, is_case_sensitive);
        if (!old)
                return json_add(a, parent, path, value);
        if (old->type != JSON_OBJECT || resets)
                return put(a, parent, path, value, is_case_sensitive);
        return value->type == JSON_OBJECT ? merge(a, old, value, is_case_sensitive) : -EINVAL;
}

static void tree_unset(struct json **tree, struct text path, bool is_case_sensitive) {
        path = without_first_mark(path);
        if (path.size == 0) {
                *tree = NULL;
                return;
        }
        struct json *parent = *tree;
        while (parent && memchr(path.data, '!', path.size))
                parent = child(parent, next_name(&path), is_case_sensitive);
        if (!parent || parent->type != JSON_OBJECT || json_remove(parent, path) || is_case_sensitive)
                return;
        for (const struct json_member *m = parent->first; m; m = m->next)
                if (text_equal_nocase(m->name, path)) {
                        json_remove(parent, m->name);
                        return;
                }
}

/* ---- Of a record --------------------------------------------------------- */

static struct json **tree_of(struct record *r, char scope) {
        assert(scope == '!' || scope == '.');
        return &r->tree[scope == '!' ? TREE_MESSAGE : TREE_LOCAL];
}

struct json *variable_get(struct record *r, char scope, struct text path, bool is_case_sensitive) {
        return tree_get(*tree_of(r, scope), path, is_case_sensitive);
}

bool variable_is_name(struct text path) {
        return path.size && !memchr(path.data, '!', path.size) && path.data[path.size - 1] != ']';
}

struct json *variable_find_name(const struct json *tree, struct text name, bool is_case_sensitive) {
        return member(tree, name, is_case_sensitive);
}

int variable_set(struct batch *b, struct record *r, char scope, struct text path, struct json *value, unsigned how) {
        return tree_set(&b->arena, tree_of(r, scope), path, value, how);
}

/* Most messages get one variable, so that their tree is made for it. */
int variable_set_name(struct batch *b, struct record *r, char scope, struct text name, struct text value,
                      unsigned how) {
        struct json **tree = tree_of(r, scope);
        if (!*tree && name.size <= PATH_BYTES_MAX) {
                *tree = json_object_of(&b->arena, name, value);
                return *tree ? 0 : fail(-ENOMEM);
        }
        struct json *string = json_string(&b->arena, value);
        return string ? variable_set(b, r, scope, name, string, how) : fail(-ENOMEM);
}

void variable_unset(struct record *r, char scope, struct text path, bool is_case_sensitive) {
        tree_unset(tree_of(r, scope), path, is_case_sensitive);
}

/* ---- Of the process ------------------------------------------------------ */

enum { GLOBALS_SLACK_BYTES = 64 << 10 };

struct globals {
        pthread_mutex_t lock;
        struct arena arena;
        struct json *tree;
        bool is_case_sensitive;
        /* An arena gives nothing back piecewise, so replaced values pile up until the live ones move to a new arena. */
        size_t live_bytes;
        size_t added_bytes;
};

int globals_new(struct globals **ret, bool is_case_sensitive) {
        struct globals *g = calloc(1, sizeof *g);
        if (!g)
                return fail(-ENOMEM);
        pthread_mutex_init(&g->lock, NULL);
        g->is_case_sensitive = is_case_sensitive;
        *ret = g;
        return 0;
}

struct globals *globals_free(struct globals *g) {
        if (!g)
                return NULL;
        arena_fini(&g->arena);
        pthread_mutex_destroy(&g->lock);
        free(g);
        return NULL;
}

/* About what a copy of the value takes. */
static size_t cost_of(const struct json *value) {
        size_t cost = sizeof *value;
        if (value->type == JSON_INT || value->type == JSON_DOUBLE)
                cost += value->literal.size + 16;
        else if (value->type == JSON_STRING)
                cost += value->string.size + 16;
        else if (value->type == JSON_ARRAY)
                for (uint32_t i = 0; i < value->count; i++)
                        cost += 2 * sizeof value + cost_of(value->items[i]);
        else if (value->type == JSON_OBJECT)
                for (const struct json_member *m = value->first; m; m = m->next)
                        cost += sizeof *m + m->name.size + 16 + cost_of(m->value);
        return cost;
}

/* Without memory the old arena serves on. */
static void compact(struct globals *g) {
        struct arena fresh;
        arena_init(&fresh);
        struct json *copy = g->tree ? json_copy(&fresh, g->tree) : NULL;
        if (g->tree && !copy) {
                arena_fini(&fresh);
                return;
        }
        arena_fini(&g->arena);
        g->arena = fresh;
        g->tree = copy;
        g->live_bytes = copy ? cost_of(copy) : 0;
        g->added_bytes = 0;
}

struct json *globals_get(struct globals *g, struct text path, struct arena *a) {
        pthread_mutex_lock(&g->lock);
        const struct json *found = tree_get(g->tree, path, g->is_case_sensitive);
        struct json *copy = found ? json_copy(a, found) : NULL;
        pthread_mutex_unlock(&g->lock);
        return copy;
}

int globals_set(struct globals *g, struct text path, const struct json *value, bool resets) {
        unsigned how = (resets ? VARIABLE_RESETS : 0u) | (g->is_case_sensitive ? VARIABLE_IS_CASE_SENSITIVE : 0u);
        pthread_mutex_lock(&g->lock);
        struct json *copy = json_copy(&g->arena, value);
        int r = copy ? tree_set(&g->arena, &g->tree, path, copy, how) : fail(-ENOMEM);
        g->added_bytes += cost_of(value) + path.size;
        if (g->added_bytes > GLOBALS_SLACK_BYTES + g->live_bytes)
                compact(g);
        pthread_mutex_unlock(&g->lock);
        return r;
}

void globals_unset(struct globals *g, struct text path) {
        pthread_mutex_lock(&g->lock);
        tree_unset(&g->tree, path, g->is_case_sensitive);
        pthread_mutex_unlock(&g->lock);
}

void variable_text(struct buffer *out, const struct json *value) {
        if (value->type == JSON_STRING)
                buffer_text(out, value->string);
        else if (value->type != JSON_NULL)
                json_print(out, value, JSON_SPACED);
}
