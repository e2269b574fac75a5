/*
 * Slabs: large pieces of memory of one size, which come and go in thousands a second.
 *
 * They are cut from chunks of 2 MiB. The first chunk stays for ever and is made of small
 * pages, so that who needs little touches little. Those behind it ask for huge pages:
 * one fault instead of 512, and the processor finds the addresses of a whole chunk in
 * one place. Of 20 TCP connections to a file that is a tenth of the CPU. Chunks with no
 * slab taken wait for the next tide, up to a number.
 *
 *   SPARE -> OPEN     a slab is taken          slab_take()
 *   OPEN  -> FULL     the last one is taken    slab_take()
 *   FULL  -> OPEN     one comes back           slab_give()
 *   OPEN  -> SPARE    the last one comes back  slab_give(); beyond SLAB_SPARES_MAX it is unmapped
 *
 * Not thread-safe: the owner has a lock. Memory of a slab is as it was left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
        SLAB_CHUNK_BYTES = 2 << 20,
        SLABS_A_CHUNK_MAX = 32,
        SLAB_SPARES_MAX = 16, /* chunks that are kept though nothing of them is taken: clearing one costs 0.1 ms */
};

struct slab_chunk;

struct slabs {
        size_t slab_bytes;            /* at most SLAB_CHUNK_BYTES less a page */
        struct slab_chunk *first;     /* the one that stays */
        struct slab_chunk *oldest;    /* of the others that have some free and some taken: of these slabs are taken */
        struct slab_chunk **open_end; /* where the next such is linked */
        struct slab_chunk *spares;    /* nothing of them is taken */
        unsigned spare_count;
};

/* NULL without memory. */
void *slab_take(struct slabs *s);
void slab_give(struct slabs *s, void *slab);
/* Whether it is of those that cost little to keep. */
bool slab_is_lasting(const struct slabs *s, const void *slab);
/* All slabs must be back. */
void slabs_fini(struct slabs *s);
