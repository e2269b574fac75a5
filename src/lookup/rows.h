/*
 * What the reader of a file collects and a table is made of.
 */
#pragma once

#include <regex.h>

#include "base/arena.h"
#include "lookup/table.h"

/* One element of "table". */
struct lookup_row {
        struct text key;
        uint32_t number; /* the key, where keys are numbers */
        uint32_t value;  /* among the values */
        size_t at;       /* where it begins in the file */
};

/* Equal values once; found again by a hash. */
struct lookup_values {
        struct buffer bytes;
        uint32_t *ends; /* value i lies between ends[i - 1] and ends[i] */
        size_t count, capacity;
        uint32_t *slots; /* value + 1, 0: free; a power of two of them */
        size_t slot_count;
};
void lookup_values_fini(struct lookup_values *v);
OWNED_VALUE(struct lookup_values, lookup_values_fini);
/* -EFBIG beyond 4 GiB; -ENOMEM. */
int lookup_values_add(struct lookup_values *v, struct text value, uint32_t *ret);

struct lookup_plan {
        enum lookup_kind kind;
        struct text nomatch;
        struct lookup_row *rows; /* in the order of the file; sorted by the table that is made */
        size_t count;
        struct lookup_values values; /* taken over */
        /* Says what is wrong with a row. */
        void (*complain)(void *owner, enum severity severity, size_t at, const char *format, ...) _printf_(4, 5);
        void *owner;
};
int lookup_new(struct lookup **ret, struct lookup_plan *plan);
