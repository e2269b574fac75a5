/*
 * Tap points: where messages that pass can be shown to somebody who watches. While
 * nobody does, a point costs one relaxed load a batch.
 */
#pragma once

#include <stdatomic.h>

#include "message/batch.h"

enum tap_place {
        TAP_RULESET, /* parsed, before the ruleset of that name; `who` is the worker's struct run */
        TAP_ACTION,  /* selected for the action of that name; `who` is its struct delivery */
        TAP_PLACES,
};

struct tap_point {
        atomic_uint watchers[TAP_PLACES];
        /* On the thread that owns the batch, which may not be changed. */
        void (*offer)(struct tap_point *point, enum tap_place place, const char *name, void *who, struct batch *b,
                      const uint16_t *selection, size_t count);
};

/* point NULL: nobody can watch. */
static inline void tap_offer(struct tap_point *point, enum tap_place place, const char *name, void *who,
                             struct batch *b, const uint16_t *selection, size_t count) {
        if (point && UNLIKELY(atomic_load_explicit(&point->watchers[place], memory_order_relaxed)))
                point->offer(point, place, name, who, b, selection, count);
}
