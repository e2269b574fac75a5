#include "bus/frame.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/unix_stream.h"

static const uint64_t FRAME_OVERHEAD_BYTES = sizeof(struct frame) + FRAME_ROOM_BYTES;

int frame_new_from_stock(struct frame **ret, struct stock *stock, uint64_t size) {
        struct frame *f;
        if (size < STOCK_BLOCK_BYTES_MIN)
                stock = NULL;
        if (stock) {
                uint64_t bytes = FRAME_OVERHEAD_BYTES + size;
                f = stock_take(stock, &bytes);
                size = bytes - FRAME_OVERHEAD_BYTES;
        } else {
                f = malloc(FRAME_OVERHEAD_BYTES + size);
        }
        if (!f)
                return fail(-ENOMEM);
        f->stock = stock;
        f->references = 1;
        f->start = FRAME_ROOM_BYTES;
        f->size = 0;
        f->capacity = size;
        f->budget = NULL;
        f->fds = NULL;
        f->fd_count = 0;
        f->first_version = f->other_version = 0;
        *ret = f;
        return 0;
}

int frame_new(struct frame **ret, uint64_t size) {
        return frame_new_from_stock(ret, NULL, size);
}

int frame_from(struct frame **ret, struct text header, struct text body) {
        struct frame *f;
        if (header.size > WIRE_HEADER_BYTES_MAX || body.size > UINT32_MAX - WIRE_HEADER_BYTES_MAX - 8)
                return fail(-EMSGSIZE);
        int r = frame_new(&f, header.size + body.size);
        if (r)
                return pass(r);
        f->prefix = (struct wire_prefix){.header_bytes = (uint32_t)header.size, .body_bytes = (uint32_t)body.size};
        f->size = header.size + body.size;
        memcpy(f->bytes + f->start, header.data, header.size);
        if (body.size)
                memcpy(f->bytes + f->start + header.size, body.data, body.size);
        *ret = f;
        return 0;
}

static void release(struct frame *f) {
        if (f->stock)
                stock_give(f->stock, f, FRAME_OVERHEAD_BYTES + f->capacity);
        else
                free(f);
}

struct frame *frame_unref(struct frame *f) {
        if (!f || --f->references > 0)
                return NULL;
        for (uint16_t i = 0; i < f->fd_count; i++)
                unix_stream_close(f->fds[i]);
        if (f->budget)
                f->budget->used -= f->fd_count;
        free(f->fds);
        release(f);
        return NULL;
}

static int move_within_stock(struct frame **frame, uint64_t size) {
        struct frame *f = *frame, *moved;
        int r = frame_new_from_stock(&moved, f->stock, size);
        if (r)
                return pass(r);
        size = moved->capacity;
        memcpy(moved, f, sizeof *f + f->start + f->size);
        moved->capacity = size;
        release(f);
        *frame = moved;
        return 0;
}

int frame_reserve(struct frame **frame, uint64_t size) {
        struct frame *f = *frame;
        assert(f->references == 1);
        if (size <= f->capacity)
                return 0;
        if (f->stock)
                return move_within_stock(frame, size);
        struct frame *grown = realloc(f, FRAME_OVERHEAD_BYTES + size);
        if (!grown)
                return fail(-ENOMEM);
        grown->capacity = size;
        *frame = grown;
        return 0;
}

int frame_splice_header(struct frame *f, uint32_t from, uint32_t to, struct text text) {
        assert(f->references == 1 && f->first_version == 0);
        assert(from <= to && to <= f->prefix.header_bytes);
        int64_t growth = (int64_t)text.size - (to - from);
        if (f->prefix.header_bytes + growth > WIRE_HEADER_BYTES_MAX)
                return fail(-EMSGSIZE);
        assert((int64_t)f->start - growth >= WIRE_PREFIX_BYTES_MAX);
        char *header = f->bytes + f->start;
        memmove(header - growth, header, from);
        memcpy(header - growth + from, text.data, text.size);
        f->start = (uint32_t)(f->start - growth);
        f->prefix.header_bytes = (uint32_t)(f->prefix.header_bytes + growth);
        f->size = (uint64_t)((int64_t)f->size + growth);
        return 0;
}

int frame_replace_header(struct frame **frame, struct text header) {
        struct frame *f = *frame, *fresh;
        struct text rest = {f->bytes + f->start + f->prefix.header_bytes, f->size - f->prefix.header_bytes};
        assert(f->references == 1);
        if (header.size > WIRE_HEADER_BYTES_MAX)
                return fail(-EMSGSIZE);
        int r = frame_new_from_stock(&fresh, f->stock, header.size + rest.size);
        if (r)
                return pass(r);
        memcpy(fresh->bytes + fresh->start, header.data, header.size);
        memcpy(fresh->bytes + fresh->start + header.size, rest.data, rest.size);
        fresh->prefix = f->prefix;
        fresh->prefix.header_bytes = (uint32_t)header.size;
        fresh->size = header.size + rest.size;
        fresh->budget = f->budget;
        fresh->fd_count = f->fd_count;
        fresh->fds = TAKE(f->fds);
        f->fd_count = 0;
        frame_unref(f);
        *frame = fresh;
        return 0;
}

/* The prefix of that version, and whether header and body follow it in the same piece. */
static char *prefix_of(struct frame *f, enum wire_version version, bool *is_joined) {
        if (f->first_version == 0) {
                f->first_version = (uint8_t)version;
                wire_write_prefix(f->bytes + f->start - wire_prefix_bytes(version), version, &f->prefix);
        }
        *is_joined = f->first_version == version;
        if (*is_joined)
                return f->bytes + f->start - wire_prefix_bytes(version);
        if (f->other_version != version) {
                f->other_version = (uint8_t)version;
                wire_write_prefix(f->other_prefix, version, &f->prefix);
        }
        return f->other_prefix;
}

unsigned frame_pieces(struct frame *f, enum wire_version version, uint64_t offset, struct iovec *pieces) {
        bool is_joined;
        uint32_t prefix_bytes = wire_prefix_bytes(version);
        assert(offset < frame_wire_bytes(f, version));
        char *prefix = prefix_of(f, version, &is_joined);
        if (is_joined) {
                pieces[0] = (struct iovec){prefix + offset, prefix_bytes + f->size - offset};
                return 1;
        }
        if (offset >= prefix_bytes) {
                uint64_t skipped = offset - prefix_bytes;
                pieces[0] = (struct iovec){f->bytes + f->start + skipped, f->size - skipped};
                return 1;
        }
        pieces[0] = (struct iovec){prefix + offset, prefix_bytes - offset};
        pieces[1] = (struct iovec){f->bytes + f->start, f->size};
        return 2;
}
