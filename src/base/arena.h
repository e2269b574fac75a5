/*
 * An arena: memory that is taken in small pieces and given back all at once.
 * Pieces never move, are aligned to 16 bytes, and are not zeroed. One thread.
 */
#pragma once

#include "base/text.h"

struct arena_chunk;

struct arena {
        struct arena_chunk *chunk; /* the newest, the only one with room */
        char *next;
        char *end;
};

static inline void arena_init(struct arena *a) {
        *a = (struct arena){0};
}
void arena_fini(struct arena *a);
OWNED_VALUE(struct arena, arena_fini);
/* Gives everything back but keeps the first chunk for the next use. */
void arena_reset(struct arena *a);

/* Slow path of arena_alloc(). */
void *arena_alloc_chunk(struct arena *a, size_t size);

/* NULL without memory. */
static inline void *arena_alloc(struct arena *a, size_t size) {
        size = (size + 15) & ~(size_t)15;
        if (UNLIKELY((size_t)(a->end - a->next) < size))
                return arena_alloc_chunk(a, size);
        void *piece = a->next;
        a->next += size;
        return piece;
}
void *arena_zalloc(struct arena *a, size_t size);
/* A NUL-ended copy; data is NULL without memory. */
struct text arena_text(struct arena *a, struct text t);
char *arena_string(struct arena *a, struct text t);
