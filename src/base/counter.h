/*
 * Counters: numbers that many threads add to and anyone may read. Relaxed, so
 * they cost an atomic add each; hot paths add once a batch.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counter {
        _Atomic uint64_t value;
};

static inline void counter_add(struct counter *c, uint64_t n) {
        atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}
static inline uint64_t counter_get(const struct counter *c) {
        return atomic_load_explicit(&c->value, memory_order_relaxed);
}
static inline uint64_t counter_take(struct counter *c) {
        return atomic_exchange_explicit(&c->value, 0, memory_order_relaxed);
}
