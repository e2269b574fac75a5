/*
 * Names that come with messages, each with a cell. Finding one takes neither a lock
 * nor memory; only a name that is new does, and there are at most so many of them.
 *
 *   cells_find()   any thread, while it holds the names
 *   cells_add()    one thread at a time
 *
 * Cells stay where they are and are seen in the order in which they came.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/text.h"

enum { STAT_NAME_BYTES_MAX = 4096 }; /* of a name; what is longer is cut */

struct window;

struct cell {
        uint64_t hash;
        struct cell *next; /* in the order in which they came */
        _Atomic int64_t value;
        atomic_bool is_touched; /* since the last purge */
        struct window *window;  /* of percentiles */
        uint32_t name_size;
        char name[];
};

static inline struct text cell_name(const struct cell *c) {
        return (struct text){c->name, c->name_size};
}

struct cells {
        _Atomic(struct cell *) *slots; /* a power of two, at most half full */
        size_t mask;
        size_t count, count_max;
        struct cell *first, *last;
};

/* -ENOMEM. */
int cells_init(struct cells *n, size_t count_max);
/* Without the cells: they are their owner's. */
void cells_fini(struct cells *n);

uint64_t name_hash(struct text name);
struct cell *cells_find(const struct cells *n, struct text name, uint64_t hash);
static inline bool cells_are_full(const struct cells *n) {
        return n->count == n->count_max;
}
/* A cell that is not there yet, while there is room. */
void cells_add(struct cells *n, struct cell *c);
/* NULL without memory. */
struct cell *cell_new(struct text name, uint64_t hash);
