#include "statistics/cells.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

enum { SLOTS_MIN = 16 };

int cells_init(struct cells *n, size_t count_max) {
        size_t slots = SLOTS_MIN;
        while (slots < count_max * 2)
                slots *= 2;
        *n = (struct cells){.mask = slots - 1, .count_max = count_max};
        n->slots = calloc(slots, sizeof *n->slots);
        return n->slots ? 0 : fail(-ENOMEM);
}

void cells_fini(struct cells *n) {
        free(n->slots);
        *n = (struct cells){0};
}

uint64_t name_hash(struct text name) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < name.size; i++)
                hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

struct cell *cells_find(const struct cells *n, struct text name, uint64_t hash) {
        for (size_t at = hash & n->mask;; at = (at + 1) & n->mask) {
                struct cell *c = atomic_load_explicit(&n->slots[at], memory_order_acquire);
                if (!c || (c->hash == hash && text_equal(cell_name(c), name)))
                        return c;
        }
}

void cells_add(struct cells *n, struct cell *c) {
        assert(n->count < n->count_max);
        c->next = NULL;
        if (n->last)
                n->last->next = c;
        else
                n->first = c;
        n->last = c;
        n->count++;
        size_t at = c->hash & n->mask;
        while (atomic_load_explicit(&n->slots[at], memory_order_relaxed))
                at = (at + 1) & n->mask;
        atomic_store_explicit(&n->slots[at], c, memory_order_release);
}

struct cell *cell_new(struct text name, uint64_t hash) {
        struct cell *c = calloc(1, sizeof *c + name.size);
        if (!c)
                return NULL;
        c->hash = hash;
        c->name_size = (uint32_t)name.size;
        if (name.size)
                memcpy(c->name, name.data, name.size);
        return c;
}
