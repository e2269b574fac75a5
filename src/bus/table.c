#include "bus/table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fail.h"

enum { SLOTS_FIRST = 64 };

void table_fini(struct table *t) {
        free(t->slots);
        *t = (struct table){0};
}

static void insert(struct table *t, struct table_node *node) {
        struct table_node **slot = &t->slots[node->hash & (t->slot_count - 1)];
        node->next = *slot;
        *slot = node;
}

static int grow(struct table *t) {
        struct table old = *t;
        size_t slot_count = old.slot_count ? old.slot_count * 2 : SLOTS_FIRST;
        struct table_node **slots = calloc(slot_count, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        t->slots = slots;
        t->slot_count = slot_count;
        for (size_t i = 0; i < old.slot_count; i++)
                for (struct table_node *n = old.slots[i], *next; n; n = next) {
                        next = n->next;
                        insert(t, n);
                }
        free(old.slots);
        return 0;
}

int table_add(struct table *t, struct table_node *node, uint64_t hash) {
        if (t->count >= t->slot_count && grow(t) && t->slot_count == 0)
                return fail(-ENOMEM);
        node->hash = hash;
        insert(t, node);
        t->count++;
        return 0;
}

void table_remove(struct table *t, struct table_node *node) {
        struct table_node **at = &t->slots[node->hash & (t->slot_count - 1)];
        while (*at != node) {
                assert(*at);
                at = &(*at)->next;
        }
        *at = node->next;
        t->count--;
}

uint64_t table_seed(void) {
        uint64_t seed;
        if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
                seed = (uint64_t)clock_mono_ns();
        return seed;
}

/* The two halves of a product, folded: every bit of both factors reaches every bit of the result. */
uint64_t table_mix(uint64_t a, uint64_t b) {
        unsigned __int128 product =
                (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xe7037ed1a0b428db));
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t table_hash(uint64_t seed, struct text bytes) {
        uint64_t hash = seed ^ bytes.size, word;
        const char *at = bytes.data;
        size_t left = bytes.size;
        for (; left > sizeof word; left -= sizeof word, at += sizeof word) {
                memcpy(&word, at, sizeof word);
                hash = table_mix(hash, word);
        }
        word = 0;
        if (left)
                memcpy(&word, at, left);
        return table_mix(hash, word);
}
