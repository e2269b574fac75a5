#include "base/arena.h"

#include <stdlib.h>

struct arena_chunk {
        struct arena_chunk *older;
        size_t size; /* of the bytes that follow */
        _Alignas(16) char bytes[];
};

enum { ARENA_FIRST_CHUNK_BYTES = 4096, ARENA_CHUNK_BYTES_MAX = 1 << 20 };

void *arena_alloc_chunk(struct arena *a, size_t size) {
        size_t room = a->chunk ? MIN(a->chunk->size * 2, (size_t)ARENA_CHUNK_BYTES_MAX) : ARENA_FIRST_CHUNK_BYTES;
        room = MAX(room, size);
        struct arena_chunk *chunk = malloc(sizeof *chunk + room);
        if (!chunk)
                return NULL;
        chunk->older = a->chunk;
        chunk->size = room;
        a->chunk = chunk;
        a->next = chunk->bytes + size;
        a->end = chunk->bytes + room;
        return chunk->bytes;
}

static void free_down_to(struct arena *a, const struct arena_chunk *kept) {
        while (a->chunk != kept) {
                struct arena_chunk *older = a->chunk->older;
                free(a->chunk);
                a->chunk = older;
        }
}

void arena_fini(struct arena *a) {
        free_down_to(a, NULL);
        arena_init(a);
}

void arena_reset(struct arena *a) {
        struct arena_chunk *first = a->chunk;
        if (!first)
                return;
        while (first->older)
                first = first->older;
        free_down_to(a, first);
        a->next = first->bytes;
        a->end = first->bytes + first->size;
}

void *arena_zalloc(struct arena *a, size_t size) {
        void *piece = arena_alloc(a, size);
        if (piece)
                memset(piece, 0, size);
        return piece;
}

char *arena_string(struct arena *a, struct text t) {
        char *copy = arena_alloc(a, t.size + 1);
        if (!copy)
                return NULL;
        if (t.size)
                memcpy(copy, t.data, t.size);
        copy[t.size] = '\0';
        return copy;
}

struct text arena_text(struct arena *a, struct text t) {
        char *copy = arena_string(a, t);
        return (struct text){copy, copy ? t.size : 0};
}
