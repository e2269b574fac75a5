/*
 * Promises: what an input that keeps a position owes its batches. Each stands for
 * one stretch of a source; batches end in any order, the position moves in the
 * order of the source, and never past a promise that was not kept.
 *
 * An input's promise begins with a struct promise. No locking here: whoever has
 * the line guards it. A kept promise is used again for the next stretch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct promise {
        struct promise *next;
        bool is_kept;
};

struct promises {
        struct promise *first, **end; /* `end` NULL: nobody promised anything yet */
        struct promise *idle;         /* for the next */
};

/* A promise at the end of the line, of `size` bytes, which must be the same each time. NULL: no memory. */
void *promises_add(struct promises *line, size_t size);
/* The first, when it is kept: it leaves the line and can be read until the next promises_add(). NULL: not kept yet, or
 * none. */
void *promises_take(struct promises *line);
static inline bool promises_are_kept(const struct promises *line) {
        return !line->first;
}
void promises_fini(struct promises *line);
