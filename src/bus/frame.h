/*
 * A frame: one message, stored once whatever the number of its receivers. It is
 * counted by references, never changes once the first queue has it, and owns the
 * descriptors that came with it.
 *
 *   bytes[]   ... room | prefix | header | body | attachments as they are on the wire
 *
 * The room in front lets the header grow without moving the body, and holds the
 * prefix of the version that the first receiver speaks; another version's prefix
 * stands in a field of its own.
 *
 * One thread.
 */
#pragma once

#include <sys/uio.h>

#include "base/text.h"
#include "bus/stock.h"
#include "bus/wire.h"

enum {
        FRAME_HEADER_GROWTH_MAX = 120,
        FRAME_ROOM_BYTES = FRAME_HEADER_GROWTH_MAX + WIRE_PREFIX_BYTES_MAX,
        FRAME_PIECES_MAX = 2,           /* of one frame, on the way out */
        FRAME_FIRST_CAPACITY = 8 << 20, /* a frame that claims to be larger grows as its bytes arrive */
};

/* How many descriptors somebody keeps in frames and queues; outlives them. */
struct fd_budget {
        uint64_t used;
        uint64_t limit;
};

struct frame {
        uint32_t references;
        uint32_t start; /* of the header, in bytes */
        struct wire_prefix prefix;
        uint64_t size; /* of header, body and attachments */
        uint64_t capacity;
        struct stock *stock; /* that the memory is from; NULL: from malloc() */
        struct fd_budget *budget;
        int *fds;
        uint16_t fd_count;
        uint8_t first_version; /* whose prefix stands before the header; 0: none yet */
        uint8_t other_version; /* whose prefix stands in other_prefix */
        char other_prefix[WIRE_PREFIX_BYTES_MAX];
        char bytes[];
};

/* With room for so many bytes of header, body and attachments, of which it has none yet. -ENOMEM. */
int frame_new(struct frame **ret, uint64_t size);
/* The same, a large one from that stock. */
int frame_new_from_stock(struct frame **ret, struct stock *stock, uint64_t size);
/* A frame with this header and body. -ENOMEM, -EMSGSIZE. */
int frame_from(struct frame **ret, struct text header, struct text body);
static inline struct frame *frame_ref(struct frame *f) {
        f->references++;
        return f;
}
struct frame *frame_unref(struct frame *f);
OWNED_POINTER(struct frame, frame_unref);
/* Makes room for more bytes; only while nobody else has the frame. -ENOMEM. */
int frame_reserve(struct frame **frame, uint64_t size);

static inline struct text frame_header(const struct frame *f) {
        return (struct text){f->bytes + f->start, f->prefix.header_bytes};
}
static inline struct text frame_body(const struct frame *f) {
        return (struct text){f->bytes + f->start + f->prefix.header_bytes, f->prefix.body_bytes};
}
static inline struct text frame_attachments(const struct frame *f) {
        uint64_t begin = (uint64_t)f->prefix.header_bytes + f->prefix.body_bytes;
        return (struct text){f->bytes + f->start + begin, f->size - begin};
}
/* What it takes on the wire. */
static inline uint64_t frame_wire_bytes(const struct frame *f, enum wire_version version) {
        return wire_prefix_bytes(version) + f->size;
}

/*
 * Replaces the bytes [from, to) of the header. The header may grow by FRAME_HEADER_GROWTH_MAX in all; only while
 * nobody else has the frame. -EMSGSIZE: it would be too large.
 */
int frame_splice_header(struct frame *f, uint32_t from, uint32_t to, struct text text);
/* Gives the frame another header, at the cost of a copy. -ENOMEM, -EMSGSIZE. */
int frame_replace_header(struct frame **frame, struct text header);

/* The bytes from `offset` of the frame as that version has it; how many pieces. */
unsigned frame_pieces(struct frame *f, enum wire_version version, uint64_t offset, struct iovec *pieces);
