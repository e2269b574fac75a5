/*
 * Variables: $!a!b and $.a!b in a record's trees, $/a in the process's globals.
 */
#pragma once

#include "base/json.h"
#include "message/batch.h"

/* $/ variables of one configuration; any thread. */
struct globals;
int globals_new(struct globals **ret, bool is_case_sensitive);
struct globals *globals_free(struct globals *g);
OWNED_POINTER(struct globals, globals_free);

/*
 * Names meet without regard to case unless the configuration is case-sensitive;
 * a new member is written as it was spelt. "list[2]" goes into an array where
 * `list` is one, else it is a name like any other.
 */
enum { PATH_BYTES_MAX = 1024 };

/* The value at a path ("usr!name", array items as "list[2]"; "" is the whole tree), or NULL. Record trees only ('!' and
 * '.'). */
struct json *variable_get(struct record *r, char scope, struct text path, bool is_case_sensitive);

/* Whether a path is one name, with neither a level below it nor an index: variable_get_name() finds it in one step. */
bool variable_is_name(struct text path);
struct json *variable_find_name(const struct json *tree, struct text name, bool is_case_sensitive);
/* Mostly it is the first one of the tree, just as it is spelt. */
static inline struct json *variable_get_name(const struct record *r, char scope, struct text name,
                                             bool is_case_sensitive) {
        const struct json *tree = r->tree[scope == '!' ? TREE_MESSAGE : TREE_LOCAL];
        if (!tree || tree->type != JSON_OBJECT || !tree->first)
                return NULL;
        const struct json_member *m = tree->first;
        if (m->name.size == name.size && bytes_are_equal(m->name.data, name.data, name.size))
                return m->value;
        return variable_find_name(tree, name, is_case_sensitive);
}

enum variable_how {
        VARIABLE_RESETS = 1 << 0, /* replaces whatever is there; else objects are merged, and no scalar replaces one */
        VARIABLE_IS_CASE_SENSITIVE = 1 << 1,
};
/*
 * Creates what is missing on the way. The value is taken (it lies in b's arena).
 * -EINVAL, and nothing done, where a scalar stands in the way, where a scalar would
 * replace an object (or the whole tree), and beyond JSON_NESTING_MAX.
 */
int variable_set(struct batch *b, struct record *r, char scope, struct text path, struct json *value, unsigned how);
/* The same of a text, which is copied, where the path is one name: variable_is_name(). -ENOMEM, too. */
int variable_set_name(struct batch *b, struct record *r, char scope, struct text name, struct text value, unsigned how);
void variable_unset(struct record *r, char scope, struct text path, bool is_case_sensitive);

/* The same for $/; the result is copied into the arena, since another thread may change the original at once. */
struct json *globals_get(struct globals *g, struct text path, struct arena *a);
int globals_set(struct globals *g, struct text path, const struct json *value, bool resets);
void globals_unset(struct globals *g, struct text path);

/* A value as a string, the way rsyslog turns it into one: numbers in decimal, objects as JSON; appended to out. */
void variable_text(struct buffer *out, const struct json *value);
