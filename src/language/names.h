/*
 * Names to pointers: open addressing in an arena, so that it goes with the
 * configuration and a lookup does not grow with the number of rules.
 */
#pragma once

#include "base/arena.h"

struct name_slot {
        struct text name;
        void *value;
};

struct names {
        struct name_slot *slots;
        uint32_t capacity; /* a power of two, or 0 */
        uint32_t count;
        bool is_caseless;
};

/* Adds or replaces; the name is not copied. -ENOMEM. */
int names_put(struct names *names, struct arena *arena, struct text name, void *value);
void *names_get(const struct names *names, struct text name); /* NULL: none */
/* The closest name, for "did you mean"; TEXT_NONE: none. */
struct text names_closest(const struct names *names, struct text wrong);
