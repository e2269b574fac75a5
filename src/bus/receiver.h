/*
 * A receiver finds the frames in what a connection sends: bytes and descriptors
 * in, frames out. No system call but closing descriptors.
 *
 *   PREFIX     -> PAYLOAD     the lengths are known
 *   PAYLOAD    -> SKIP        the message is too large: its header is kept
 *   PAYLOAD    -> ATTACHMENT  header and body are there, attachments follow
 *   ATTACHMENT -> BLOB        the head of a blob is there
 *   BLOB       -> ATTACHMENT, or SKIP and back
 *   any        -> PREFIX      the frame is whole: it is handed out
 *
 * Bytes may come in any pieces. Large frames can be received in place, without a
 * copy: receiver_room() and receiver_filled().
 */
#pragma once

#include "bus/frame.h"

enum {
        RECEIVER_FDS_MAX = 2 * WIRE_FDS_MAX, /* that wait for the head of their attachment */
        RECEIVER_ROOM_BYTES_MIN = 4096,      /* less is copied rather than received in place */
};

enum receiver_section {
        RECEIVER_PREFIX,
        RECEIVER_PAYLOAD,
        RECEIVER_ATTACHMENT,
        RECEIVER_BLOB,
        RECEIVER_SKIP,
};

struct receiver {
        enum wire_version version; /* may be changed between two frames */
        uint64_t message_bytes_max;
        struct fd_budget *budget; /* NULL: descriptors are not counted */
        struct stock *stock;      /* of memory for large frames; NULL: malloc() has it */

        enum receiver_section section;
        struct frame *frame; /* NULL in PREFIX */
        uint64_t goal;       /* PAYLOAD, BLOB: the size at which the section ends */
        uint64_t skip;       /* bytes that are still to be passed over */
        uint64_t claimed;    /* bytes that the frame has announced */
        uint32_t attachments_left;
        uint16_t frame_fds; /* attachments seen that are descriptors */
        bool is_too_large;
        uint8_t head_size;
        char head[8]; /* the part of a prefix or of an attachment's head that has come */

        int *fds; /* come, and not yet a frame's */
        uint16_t fd_count;

        const char *violation; /* of -EBADMSG, in words */
};

enum receiver_event {
        RECEIVER_MORE,      /* all is taken, a frame needs more */
        RECEIVER_FRAME,     /* a frame is whole; it is the caller's */
        RECEIVER_TOO_LARGE, /* the same, but only its header was kept */
};

void receiver_init(struct receiver *r, enum wire_version version, uint64_t message_bytes_max, struct fd_budget *budget);
void receiver_fini(struct receiver *r);

/* Takes bytes until one frame is whole; *used of them. -EBADMSG, -ENOMEM: the stream cannot be read on. */
int receiver_take(struct receiver *r, const char *data, size_t size, size_t *used, struct frame **ret);

/* Descriptors that came with the bytes of the next receiver_take(); they are the receiver's, also on failure. */
int receiver_take_fds(struct receiver *r, const int *fds, size_t count);

/* Where the next bytes may be received in place: how many, at most `most`; 0: nowhere. -ENOMEM. */
ssize_t receiver_room(struct receiver *r, size_t most, struct iovec *ret);
/* So many bytes were; as receiver_take(). */
int receiver_filled(struct receiver *r, size_t size, struct frame **ret);

/* Between two frames. */
static inline bool receiver_is_idle(const struct receiver *r) {
        return r->section == RECEIVER_PREFIX && r->head_size == 0;
}
