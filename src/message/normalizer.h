/*
 * Normalizing: a text becomes a tree by the rules of a rule base, as liblognorm reads them.
 *
 * The library (and libfastjson, whose trees it gives) is loaded when the first rule base is, and stays; without it a
 * normalizer cannot be made, and says so. A normalizer never changes once it is made, so any thread may use it.
 */
#pragma once

#include "base/json.h"

enum { NORMALIZER_RULES_BYTES_MAX = 16 << 20 };

/* Told what the library says of a rule base; NULL: nobody is. */
struct normalizer_listener {
        void (*say)(void *cookie, const char *text);
        void *cookie;
};

struct normalizer_rules {
        const char *path;         /* of a rule base, or NULL: */
        const char *const *lines; /* the rules themselves */
        size_t count;
        bool allows_regex; /* the field type of version 1, where the library has it */
};

struct normalizer;
/* -ENOENT where the library is missing (*why says more), -EINVAL where it does not take the rules, -ENOMEM. */
int normalizer_new(struct normalizer **ret, const struct normalizer_rules *rules, struct normalizer_listener listener,
                   const char **why);
struct normalizer *normalizer_free(struct normalizer *n);
OWNED_POINTER(struct normalizer, normalizer_free);

/*
 * The fields of the text, as an object in the arena; without a rule for it, "originalmsg" and "unparsed-data". The
 * order and the twins of the library are kept. NULL without memory. *is_match: whether the library says there was a
 * rule.
 */
struct json *normalizer_run(const struct normalizer *n, struct arena *a, struct text t, bool *is_match);
