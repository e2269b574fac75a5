/*
 * A lookup table as one JSON file gives it. It never changes, so any number of
 * threads may look into it; whoever holds a reference keeps it.
 *
 *   string       the value of exactly this key
 *   array        the value at a number; the numbers follow one another without a gap
 *   sparseArray  the value of the largest number that is not above the key
 *   regex        the value of the first regular expression that the key matches
 *
 * Numbers are 32 bits without a sign. Equal values are kept once.
 */
#pragma once

#include "base/reporter.h"
#include "base/text.h"

struct lookup;

enum lookup_kind { LOOKUP_STRING, LOOKUP_ARRAY, LOOKUP_SPARSE, LOOKUP_REGEX };

enum {
        LOOKUP_FILE_BYTES_MAX = 1 << 30,
        LOOKUP_ROWS_MAX = 50000000,
        LOOKUP_REGEXES_MAX = 10000, /* each is tried in turn */
};

/* Hears what is wrong with a file, and where; line and column count from 1. */
struct lookup_listener {
        void (*hear)(struct lookup_listener *listener, enum severity severity, uint32_t line, uint32_t column,
                     const char *what);
};

/* -EBADMSG when the file is no table, which the listener has heard; -EFBIG, -ENOMEM. */
int lookup_read(struct lookup **ret, struct text file, struct lookup_listener *listener);
/* A table that answers every key with `value`. */
int lookup_new_stub(struct lookup **ret, struct text value);
struct lookup *lookup_ref(struct lookup *l);
struct lookup *lookup_unref(struct lookup *l);
OWNED_POINTER(struct lookup, lookup_unref);

enum lookup_kind lookup_kind(const struct lookup *l);
/* Whether keys are texts; else they are numbers. */
static inline bool lookup_takes_text(const struct lookup *l) {
        return lookup_kind(l) == LOOKUP_STRING || lookup_kind(l) == LOOKUP_REGEX;
}
/* The value, or what the table has for keys that it lacks. It holds as long as the reference. */
struct text lookup_find(const struct lookup *l, struct text key);
/* The same for many keys at once: cheaper where the table is large. Keys and values may be one array. */
void lookup_find_many(const struct lookup *l, const struct text *keys, size_t count, struct text *values);
struct text lookup_find_number(const struct lookup *l, uint32_t key);
/* Keys that a table has, and the memory that it takes. */
size_t lookup_count(const struct lookup *l);
size_t lookup_bytes(const struct lookup *l);
