#include "bus/receiver.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/unix_stream.h"

void receiver_init(struct receiver *r, enum wire_version version, uint64_t message_bytes_max,
                   struct fd_budget *budget) {
        *r = (struct receiver){.version = version, .message_bytes_max = message_bytes_max, .budget = budget};
}

static void close_fds(struct receiver *r, uint16_t count) {
        assert(count <= r->fd_count);
        for (uint16_t i = 0; i < count; i++)
                unix_stream_close(r->fds[i]);
        r->fd_count -= count;
        if (r->fd_count)
                memmove(r->fds, r->fds + count, r->fd_count * sizeof(int));
        if (r->budget)
                r->budget->used -= count;
}

void receiver_fini(struct receiver *r) {
        close_fds(r, r->fd_count);
        free(r->fds);
        r->fds = NULL;
        r->frame = frame_unref(r->frame);
}

static int violation(struct receiver *r, const char *what) {
        r->violation = what;
        return -EBADMSG;
}

int receiver_take_fds(struct receiver *r, const int *fds, size_t count) {
        int *grown = realloc(r->fds, (r->fd_count + count) * sizeof(int));
        if (!grown) {
                for (size_t i = 0; i < count; i++)
                        unix_stream_close(fds[i]);
                return fail(-ENOMEM);
        }
        r->fds = grown;
        memcpy(r->fds + r->fd_count, fds, count * sizeof(int));
        r->fd_count = (uint16_t)(r->fd_count + count);
        if (r->budget)
                r->budget->used += count;
        if (r->fd_count > RECEIVER_FDS_MAX)
                return violation(r, "more descriptors than attachments");
        if (r->budget && r->budget->used > r->budget->limit)
                return violation(r, "the user has too many descriptors under way");
        return 0;
}

/* ---- The end of a frame ---------------------------------------------------- */

/* The first descriptors that came are the frame's; those of a frame that is too large go. */
static int give_fds(struct receiver *r, struct frame *f) {
        if (r->frame_fds == 0)
                return 0;
        if (r->is_too_large) {
                close_fds(r, r->frame_fds);
                return 0;
        }
        f->fds = malloc(r->frame_fds * sizeof(int));
        if (!f->fds)
                return fail(-ENOMEM);
        memcpy(f->fds, r->fds, r->frame_fds * sizeof(int));
        f->fd_count = r->frame_fds;
        f->budget = r->budget;
        r->fd_count -= r->frame_fds;
        memmove(r->fds, r->fds + r->frame_fds, r->fd_count * sizeof(int));
        if (r->fd_count == 0) {
                free(r->fds);
                r->fds = NULL;
        }
        return 0;
}

static int finish(struct receiver *r, struct frame **ret) {
        int error = give_fds(r, r->frame);
        if (error)
                return pass(error);
        if (r->is_too_large) {
                r->frame->size = r->frame->prefix.header_bytes;
                r->frame->prefix.body_bytes = 0;
                r->frame->prefix.attachments = 0;
        }
        *ret = TAKE(r->frame);
        r->section = RECEIVER_PREFIX;
        r->frame_fds = 0;
        return r->is_too_large ? RECEIVER_TOO_LARGE : RECEIVER_FRAME;
}

/* A section of the frame has ended: what comes next. RECEIVER_MORE or as finish(). */
static int next_section(struct receiver *r, struct frame **ret) {
        if (r->skip > 0) {
                r->section = RECEIVER_SKIP;
                return RECEIVER_MORE;
        }
        if (r->attachments_left > 0) {
                r->section = RECEIVER_ATTACHMENT;
                r->head_size = 0;
                return RECEIVER_MORE;
        }
        return finish(r, ret);
}

/* ---- Sections -------------------------------------------------------------- */

/* What is announced counts, so that a message is refused before its bytes are stored. */
static bool claim(struct receiver *r, uint64_t bytes) {
        r->claimed += bytes;
        if (r->claimed > r->message_bytes_max)
                r->is_too_large = true;
        return !r->is_too_large;
}

static int begin_frame(struct receiver *r, const char *bytes) {
        struct wire_prefix prefix;
        if (wire_read_prefix(&prefix, r->version, bytes))
                return violation(r, "lengths that contradict each other");
        r->is_too_large = false;
        r->claimed = 0;
        uint64_t size = (uint64_t)prefix.header_bytes + prefix.body_bytes;
        bool fits = claim(r, wire_prefix_bytes(r->version) + size);
        r->goal = fits ? size : prefix.header_bytes;
        r->skip = size - r->goal;
        r->attachments_left = prefix.attachments;
        int error = frame_new_from_stock(&r->frame, r->stock, MIN(r->goal, (uint64_t)FRAME_FIRST_CAPACITY));
        if (error)
                return pass(error);
        r->frame->prefix = prefix;
        r->section = RECEIVER_PAYLOAD;
        return 0;
}

/* Collects the bytes of a head, which may come one by one; NULL: some are missing. */
static const char *collect(struct receiver *r, const char **data, size_t *size, size_t wanted) {
        if (r->head_size == 0 && *size >= wanted) {
                const char *head = *data;
                *data += wanted;
                *size -= wanted;
                return head;
        }
        size_t part = MIN(wanted - r->head_size, *size);
        memcpy(r->head + r->head_size, *data, part);
        r->head_size = (uint8_t)(r->head_size + part);
        *data += part;
        *size -= part;
        if (r->head_size < wanted)
                return NULL;
        r->head_size = 0;
        return r->head;
}

/* Makes sure that the frame can hold `more` bytes; doubling keeps the copies few. */
static int make_room(struct receiver *r, uint64_t more) {
        struct frame *f = r->frame;
        if (f->capacity - f->size >= more)
                return 0;
        return frame_reserve(&r->frame, MAX(f->size + more, MIN(r->goal, f->capacity * 2)));
}

static int begin_attachment(struct receiver *r, const char *head, struct frame **ret) {
        struct wire_attachment attachment;
        if (wire_read_attachment(&attachment, head))
                return violation(r, "the head of an attachment is wrong");
        r->attachments_left--;
        bool fits = claim(r, WIRE_ATTACHMENT_BYTES + (uint64_t)attachment.bytes);
        if (attachment.type == WIRE_FD) {
                if (r->frame_fds == r->fd_count)
                        return violation(r, "a descriptor is missing");
                if (r->frame_fds == WIRE_FDS_MAX) {
                        /* The sender goes on with a message that nobody gets; what it sent along is closed at once. */
                        r->is_too_large = true;
                        fits = false;
                        close_fds(r, 1);
                } else {
                        r->frame_fds++;
                }
        }
        if (!fits) {
                r->skip = attachment.bytes;
                return next_section(r, ret);
        }
        int error = make_room(r, WIRE_ATTACHMENT_BYTES);
        if (error)
                return pass(error);
        memcpy(r->frame->bytes + r->frame->start + r->frame->size, head, WIRE_ATTACHMENT_BYTES);
        r->frame->size += WIRE_ATTACHMENT_BYTES;
        r->goal = r->frame->size + attachment.bytes;
        if (attachment.bytes == 0)
                return next_section(r, ret);
        r->section = RECEIVER_BLOB;
        return RECEIVER_MORE;
}

static int store(struct receiver *r, const char **data, size_t *size, struct frame **ret) {
        size_t part = MIN(*size, r->goal - r->frame->size);
        int error = make_room(r, part);
        if (error)
                return pass(error);
        memcpy(r->frame->bytes + r->frame->start + r->frame->size, *data, part);
        r->frame->size += part;
        *data += part;
        *size -= part;
        return r->frame->size == r->goal ? next_section(r, ret) : RECEIVER_MORE;
}

static int pass_over(struct receiver *r, const char **data, size_t *size, struct frame **ret) {
        size_t part = MIN(*size, r->skip);
        r->skip -= part;
        *data += part;
        *size -= part;
        return r->skip == 0 ? next_section(r, ret) : RECEIVER_MORE;
}

static int take_some(struct receiver *r, const char **data, size_t *size, struct frame **ret) {
        const char *head;
        switch (r->section) {
        case RECEIVER_PREFIX:
                head = collect(r, data, size, wire_prefix_bytes(r->version));
                return head ? begin_frame(r, head) : RECEIVER_MORE;
        case RECEIVER_ATTACHMENT:
                head = collect(r, data, size, WIRE_ATTACHMENT_BYTES);
                return head ? begin_attachment(r, head, ret) : RECEIVER_MORE;
        case RECEIVER_PAYLOAD:
        case RECEIVER_BLOB:
                return store(r, data, size, ret);
        case RECEIVER_SKIP:
                return pass_over(r, data, size, ret);
        }
        return RECEIVER_MORE;
}

int receiver_take(struct receiver *r, const char *data, size_t size, size_t *used, struct frame **ret) {
        size_t left = size;
        int event = RECEIVER_MORE;
        while (left > 0 && event == RECEIVER_MORE)
                event = take_some(r, &data, &left, ret);
        *used = size - left;
        return event;
}

/* ---- In place -------------------------------------------------------------- */

ssize_t receiver_room(struct receiver *r, size_t most, struct iovec *ret) {
        if (r->section != RECEIVER_PAYLOAD && r->section != RECEIVER_BLOB)
                return 0;
        size_t room = MIN(r->goal - r->frame->size, most);
        if (room < RECEIVER_ROOM_BYTES_MIN)
                return 0;
        int error = make_room(r, room);
        if (error)
                return pass(error);
        *ret = (struct iovec){r->frame->bytes + r->frame->start + r->frame->size, room};
        return (ssize_t)room;
}

int receiver_filled(struct receiver *r, size_t size, struct frame **ret) {
        r->frame->size += size;
        assert(r->frame->size <= r->goal);
        return r->frame->size == r->goal ? next_section(r, ret) : RECEIVER_MORE;
}
