/*
 * A hash table whose nodes lie in its elements. Hashes are seeded, because names
 * come from clients. The caller compares: the table only finds equal hashes.
 *
 *   for (struct table_node *n = table_find(t, hash); n; n = table_find_next(n))
 *           if (matches(CONTAINER_OF(n, struct thing, node))) ...
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct table_node {
        struct table_node *next;
        uint64_t hash;
};

struct table {
        struct table_node **slots; /* a power of two of them */
        size_t slot_count;
        size_t count;
};

void table_fini(struct table *t); /* the elements are the caller's */
/* -ENOMEM only while the table has no slots; a table that cannot grow gets slower. */
int table_add(struct table *t, struct table_node *node, uint64_t hash);
void table_remove(struct table *t, struct table_node *node);

static inline struct table_node *table_skip(struct table_node *n, uint64_t hash) {
        while (n && n->hash != hash)
                n = n->next;
        return n;
}
static inline struct table_node *table_find(const struct table *t, uint64_t hash) {
        return t->slot_count ? table_skip(t->slots[hash & (t->slot_count - 1)], hash) : NULL;
}
static inline struct table_node *table_find_next(const struct table_node *n) {
        return table_skip(n->next, n->hash);
}

uint64_t table_seed(void); /* a random number from the kernel */
uint64_t table_hash(uint64_t seed, struct text bytes);
uint64_t table_mix(uint64_t a, uint64_t b);
