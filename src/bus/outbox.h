/*
 * An outbox: frames on their way into a socket, in order. It holds references;
 * nothing is allocated a frame. One thread.
 */
#pragma once

#include "bus/frame.h"

enum {
        OUTBOX_PIECES_MAX = 128, /* that one call of the kernel gets */
};

struct outbox_entry {
        uintptr_t tagged; /* the frame, and in its lowest bit that it leaves as version 2 */
};

struct outbox {
        struct outbox_entry *ring; /* capacity is a power of two */
        uint32_t head, count, capacity;
        uint64_t first_sent; /* bytes of the first frame that the socket has */
        uint64_t bytes;      /* that the socket has not */
};

void outbox_fini(struct outbox *o);
/* Takes a reference of its own. -ENOMEM. */
int outbox_push(struct outbox *o, struct frame *frame, enum wire_version version);
static inline bool outbox_is_empty(const struct outbox *o) {
        return o->count == 0;
}
/*
 * Sends some, `most` bytes or less: how many, 0 when the socket takes none; *frames counts those that are gone. -errno.
 */
ssize_t outbox_send(struct outbox *o, int fd, size_t most, uint64_t *frames);
