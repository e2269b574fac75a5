#include "bus/stock.h"

#include <assert.h>
#include <stddef.h>
#include <sys/mman.h>

enum { STOCK_STEP_BYTES = 64 << 10 }; /* blocks are multiples, so that messages of about one size share them */

static void unmap(struct stock_block block) {
        int r = munmap(block.memory, block.bytes);
        assert(r == 0);
}

/* The smallest that is kept and has so many bytes; NULL: none has. */
static struct stock_block *smallest(struct stock *s, uint64_t bytes) {
        struct stock_block *best = NULL;
        for (uint32_t i = 0; i < s->count; i++)
                if (s->kept[i].bytes >= bytes && (!best || s->kept[i].bytes < best->bytes))
                        best = &s->kept[i];
        return best;
}

static struct stock_block remove_kept(struct stock *s, struct stock_block *block) {
        struct stock_block removed = *block;
        *block = s->kept[--s->count];
        return removed;
}

void *stock_take(struct stock *s, uint64_t *bytes) {
        struct stock_block *kept = smallest(s, *bytes);
        if (kept) {
                struct stock_block block = remove_kept(s, kept);
                *bytes = block.bytes;
                return block.memory;
        }
        uint64_t size = (*bytes + STOCK_STEP_BYTES - 1) / STOCK_STEP_BYTES * STOCK_STEP_BYTES;
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
                return NULL;
        *bytes = size;
        return memory;
}

static uint64_t kept_bytes(const struct stock *s) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < s->count; i++)
                sum += s->kept[i].bytes;
        return sum;
}

void stock_give(struct stock *s, void *memory, uint64_t bytes) {
        struct stock_block given = {memory, bytes};
        /* A block that is too small for what passes now would keep its place for ever. */
        struct stock_block *least = smallest(s, 0);
        if (s->count == STOCK_BLOCKS_MAX && least->bytes < bytes)
                unmap(remove_kept(s, least));
        if (s->count == STOCK_BLOCKS_MAX || kept_bytes(s) + bytes > STOCK_BYTES_MAX)
                unmap(given);
        else
                s->kept[s->count++] = given;
}

void stock_clear(struct stock *s) {
        while (s->count > 0)
                unmap(s->kept[--s->count]);
}
