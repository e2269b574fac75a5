/*
 * A part: what a connection has received of a message, or of a frame, that has not ended. A small one is copied into
 * the next batch, in front of what follows it; a large one, which would be copied for every read, grows in its own
 * buffer. Without a part there is no buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { PART_IN_BATCH_MAX = 16 << 10 }; /* larger ones are not copied for every read */

struct part {
        char *data;
        size_t size, capacity;
};

static inline bool part_has_outgrown(const struct part *p) {
        return p->size > PART_IN_BATCH_MAX;
}

/* Room for `capacity` bytes in all. False: no memory, and all is as it was. */
bool part_grow(struct part *p, size_t capacity);
/* The part becomes these bytes, which may lie within it, in a buffer that is not much larger. -ENOMEM. */
int part_hold(struct part *p, const char *data, size_t size);
void part_drop(struct part *p);
