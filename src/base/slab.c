#include "base/slab.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/macros.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
/* Each by itself, so that a step over its end is seen. */
void *slab_take(struct slabs *s) {
        return malloc(s->slab_bytes);
}

void slab_give(struct slabs *s, void *slab) {
        free(slab);
}

bool slab_is_lasting(const struct slabs *s, const void *slab) {
        return true;
}

void slabs_fini(struct slabs *s) {
        *s = (struct slabs){.slab_bytes = s->slab_bytes};
}
#else
/* Of the chunk's own; a page, so that slabs begin with one. */
enum { HEAD_BYTES = 4096 };

/* Stands at the beginning of its own 2 MiB, whose address is a multiple of that. */
struct slab_chunk {
        struct slab_chunk *next, **link; /* while it is open */
        uint32_t free;                   /* one bit a slab */
};
static_assert(sizeof(struct slab_chunk) <= HEAD_BYTES, "the slabs lie behind it");

static uint32_t all_free(const struct slabs *s) {
        size_t count = MIN((SLAB_CHUNK_BYTES - HEAD_BYTES) / s->slab_bytes, (size_t)SLABS_A_CHUNK_MAX);
        assert(count > 0);
        return (uint32_t)((UINT64_C(1) << count) - 1);
}

static struct slab_chunk *chunk_of(const void *slab) {
        return (struct slab_chunk *)((uintptr_t)slab & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
}

/* mmap() knows no alignment but pages: twice as much always holds a whole chunk, and the rest goes back. */
static void *map_aligned(void) {
        char *all =
                mmap(NULL, (size_t)SLAB_CHUNK_BYTES * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED)
                return NULL;
        size_t before = -(uintptr_t)all & (SLAB_CHUNK_BYTES - 1);
        char *chunk = all + before;
        if (before)
                munmap(all, before);
        if (before < SLAB_CHUNK_BYTES)
                munmap(chunk + SLAB_CHUNK_BYTES, SLAB_CHUNK_BYTES - before);
        return chunk;
}

static struct slab_chunk *chunk_new(const struct slabs *s) {
        struct slab_chunk *chunk = map_aligned();
        if (!chunk)
                return NULL;
        /* Without huge pages, or where they are forbidden, it works all the same. */
        if (s->first)
                madvise(chunk, SLAB_CHUNK_BYTES, MADV_HUGEPAGE);
        *chunk = (struct slab_chunk){.free = all_free(s)};
        return chunk;
}

static void open_chunk(struct slabs *s, struct slab_chunk *chunk) {
        chunk->next = NULL;
        chunk->link = s->oldest ? s->open_end : &s->oldest;
        *chunk->link = chunk;
        s->open_end = &chunk->next;
}

static void close_chunk(struct slabs *s, struct slab_chunk *chunk) {
        *chunk->link = chunk->next;
        if (chunk->next)
                chunk->next->link = chunk->link;
        else
                s->open_end = chunk->link;
}

static struct slab_chunk *take_spare(struct slabs *s) {
        struct slab_chunk *chunk = s->spares;
        s->spares = chunk->next;
        s->spare_count--;
        return chunk;
}

static void keep_spare(struct slabs *s, struct slab_chunk *chunk) {
        if (s->spare_count == SLAB_SPARES_MAX) {
                munmap(chunk, SLAB_CHUNK_BYTES);
                return;
        }
        chunk->next = s->spares;
        s->spares = chunk;
        s->spare_count++;
}

/* One that has a slab to give. */
static struct slab_chunk *find_chunk(struct slabs *s) {
        if (!s->first)
                return s->first = chunk_new(s);
        if (s->first->free)
                return s->first;
        if (s->oldest)
                return s->oldest;
        struct slab_chunk *chunk = s->spares ? take_spare(s) : chunk_new(s);
        if (chunk)
                open_chunk(s, chunk);
        return chunk;
}

void *slab_take(struct slabs *s) {
        struct slab_chunk *chunk = find_chunk(s);
        if (!chunk)
                return NULL;
        unsigned slab = (unsigned)__builtin_ctz(chunk->free);
        chunk->free &= chunk->free - 1;
        if (!chunk->free && chunk != s->first)
                close_chunk(s, chunk);
        return (char *)chunk + HEAD_BYTES + slab * s->slab_bytes;
}

void slab_give(struct slabs *s, void *slab) {
        struct slab_chunk *chunk = chunk_of(slab);
        uint32_t bit = UINT32_C(1) << ((size_t)((char *)slab - (char *)chunk - HEAD_BYTES) / s->slab_bytes);
        assert(!(chunk->free & bit));
        bool was_full = chunk->free == 0;
        chunk->free |= bit;
        if (chunk == s->first)
                return;
        if (was_full)
                open_chunk(s, chunk);
        if (chunk->free != all_free(s))
                return;
        close_chunk(s, chunk);
        keep_spare(s, chunk);
}

bool slab_is_lasting(const struct slabs *s, const void *slab) {
        return chunk_of(slab) == s->first;
}

void slabs_fini(struct slabs *s) {
        assert(!s->first || s->first->free == all_free(s));
        assert(!s->oldest);
        if (s->first)
                munmap(s->first, SLAB_CHUNK_BYTES);
        while (s->spares)
                munmap(take_spare(s), SLAB_CHUNK_BYTES);
        *s = (struct slabs){.slab_bytes = s->slab_bytes};
}
#endif
