/*
 * A stock of large blocks of memory, for frames. A fresh page costs a fault, a thousand of them a message of 4 MB a
 * fifth of its time, so the last blocks that came back are kept for the next. malloc() would keep them, too, but what
 * lies at the end of a thread's arena it gives back to nobody: what a stock keeps, stock_clear() does.
 *
 * One thread; it outlives its blocks.
 */
#pragma once

#include <stdint.h>

enum {
        STOCK_BLOCK_BYTES_MIN = 256 << 10, /* smaller ones are malloc()'s */
        STOCK_BLOCKS_MAX = 4,              /* kept */
        STOCK_BYTES_MAX = 32 << 20,        /* kept */
};

struct stock_block {
        void *memory;
        uint64_t bytes;
};

struct stock {
        struct stock_block kept[STOCK_BLOCKS_MAX];
        uint32_t count;
};

/* At least *bytes, which become what the block has; NULL: there is no memory. Its content is anything. */
void *stock_take(struct stock *s, uint64_t *bytes);
void stock_give(struct stock *s, void *memory, uint64_t bytes);
/* Gives all that is kept back to the system. */
void stock_clear(struct stock *s);
