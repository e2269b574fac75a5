#include "bus/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/unix_stream.h"

enum {
        RING_FIRST_CAPACITY = 16,
        RING_KEPT_MAX = 4096,
        CACHE_LINE_BYTES = 64,
        PREFETCH_BYTES_MAX = 512, /* of a frame; the processor sees by itself how a larger one goes on */
        PREFETCH_FRAMES = 4,      /* ahead */
};

static struct frame *entry_frame(struct outbox_entry entry) {
        return (struct frame *)(entry.tagged & ~(uintptr_t)1);
}

static enum wire_version entry_version(struct outbox_entry entry) {
        return entry.tagged & 1 ? WIRE_2 : WIRE_1;
}

static struct outbox_entry *entry_at(const struct outbox *o, uint32_t i) {
        return &o->ring[(o->head + i) & (o->capacity - 1)];
}

void outbox_fini(struct outbox *o) {
        for (uint32_t i = 0; i < o->count; i++)
                frame_unref(entry_frame(*entry_at(o, i)));
        free(o->ring);
        *o = (struct outbox){0};
}

static int grow(struct outbox *o) {
        uint32_t capacity = o->capacity ? o->capacity * 2 : RING_FIRST_CAPACITY;
        struct outbox_entry *ring = calloc(capacity, sizeof *ring);
        if (!ring)
                return fail(-ENOMEM);
        for (uint32_t i = 0; i < o->count; i++)
                ring[i] = *entry_at(o, i);
        free(o->ring);
        o->ring = ring;
        o->head = 0;
        o->capacity = capacity;
        return 0;
}

int outbox_push(struct outbox *o, struct frame *frame, enum wire_version version) {
        if (UNLIKELY(o->count == o->capacity)) {
                int r = grow(o);
                if (r)
                        return pass(r);
        }
        o->ring[(o->head + o->count++) & (o->capacity - 1)].tagged =
                (uintptr_t)frame_ref(frame) | (version == WIRE_2 ? 1 : 0);
        o->bytes += frame_wire_bytes(frame, version);
        return 0;
}

/* The last of the pieces ends where `bytes` are as many as allowed. Returns how many pieces are left. */
static size_t cut(struct iovec *pieces, size_t count, size_t *bytes, size_t most) {
        while (*bytes > most) {
                size_t over = MIN(*bytes - most, pieces[count - 1].iov_len);
                pieces[count - 1].iov_len -= over;
                *bytes -= over;
                count -= pieces[count - 1].iov_len == 0;
        }
        return count;
}

/*
 * Small frames that have waited are in no near cache any more, and the kernel copies them one after the other, each
 * fetched from afar: asked for together beforehand, they come at once.
 */
static void prefetch(const struct iovec *piece) {
        const char *bytes = piece->iov_base;
        size_t size = MIN(piece->iov_len, (size_t)PREFETCH_BYTES_MAX);
        for (size_t i = 0; i < size; i += CACHE_LINE_BYTES)
                __builtin_prefetch(bytes + i);
}

/*
 * The frames of one call, `most` bytes at most: descriptors leave with the first byte of a call, so their frame begins
 * one.
 */
static size_t gather(const struct outbox *o, struct iovec *pieces, size_t *bytes, size_t most) {
        size_t count = 0;
        *bytes = 0;
        for (uint32_t i = 0; i < o->count && count + FRAME_PIECES_MAX <= OUTBOX_PIECES_MAX; i++) {
                struct outbox_entry *entry = entry_at(o, i);
                struct frame *frame = entry_frame(*entry);
                if (i + PREFETCH_FRAMES < o->count)
                        __builtin_prefetch(entry_frame(*entry_at(o, i + PREFETCH_FRAMES)));
                uint64_t sent = i == 0 ? o->first_sent : 0;
                if (frame->fd_count > 0 && i > 0)
                        break;
                count += frame_pieces(frame, entry_version(*entry), sent, pieces + count);
                prefetch(&pieces[count - 1]);
                *bytes += frame_wire_bytes(frame, entry_version(*entry)) - sent;
                if (*bytes >= most)
                        break;
        }
        return cut(pieces, count, bytes, most);
}

static void drop_first(struct outbox *o) {
        frame_unref(entry_frame(*entry_at(o, 0)));
        o->head = (o->head + 1) & (o->capacity - 1);
        o->count--;
        o->first_sent = 0;
}

static void advance(struct outbox *o, size_t bytes, uint64_t *frames) {
        assert(bytes <= o->bytes);
        o->bytes -= bytes;
        bytes += o->first_sent;
        while (o->count > 0) {
                struct outbox_entry *first = entry_at(o, 0);
                uint64_t size = frame_wire_bytes(entry_frame(*first), entry_version(*first));
                if (bytes < size)
                        break;
                bytes -= size;
                drop_first(o);
                ++*frames;
        }
        o->first_sent = bytes;
        /* What a stuck reader made large is given back. */
        if (o->count == 0 && o->capacity > RING_KEPT_MAX) {
                free(o->ring);
                o->ring = NULL;
                o->capacity = o->head = 0;
        }
}

ssize_t outbox_send(struct outbox *o, int fd, size_t most, uint64_t *frames) {
        struct iovec pieces[OUTBOX_PIECES_MAX];
        size_t total = 0;
        while (o->count > 0 && total < most) {
                size_t bytes;
                size_t count = gather(o, pieces, &bytes, most - total);
                const struct frame *first = entry_frame(*entry_at(o, 0));
                size_t fd_count = o->first_sent == 0 ? first->fd_count : 0;
                ssize_t sent = unix_stream_send(fd, pieces, count, first->fds, fd_count);
                if (sent == -EAGAIN)
                        break;
                if (sent < 0)
                        return total > 0 ? (ssize_t)total : sent;
                advance(o, (size_t)sent, frames);
                total += (size_t)sent;
                if ((size_t)sent < bytes)
                        break;
        }
        return (ssize_t)total;
}
