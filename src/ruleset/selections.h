/*
 * Selections of a worker: lists of record numbers, taken and given back like a
 * stack. The address space is reserved once, pages come with use, nothing moves.
 */
#pragma once

#include <stdint.h>

#include "message/batch.h"

enum {
        SELECTIONS_DEPTH_MAX = 16384, /* lists of a full batch that may be in use at once */
};

struct selections {
        uint16_t *base;
        size_t used;
        size_t capacity;
};

int selections_init(struct selections *s); /* -ENOMEM */
void selections_fini(struct selections *s);

/* Room for `count` numbers; valid until given back. */
static inline uint16_t *selections_take(struct selections *s, size_t count) {
        assert(s->capacity - s->used >= count);
        uint16_t *list = s->base + s->used;
        s->used += count;
        return list;
}
/* Gives back everything that was taken since `list` was, itself included. */
static inline void selections_give(struct selections *s, const uint16_t *list) {
        s->used = (size_t)(list - s->base);
}
