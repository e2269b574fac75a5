/*
 * rsyslogd's classic disk queue, read: PREFIX.qi tells which messages wait, PREFIX.00000001 and on hold them. Nothing
 * is ever changed. Bytes in, fields out; the files are opened by whoever imports.
 *
 *   <Obj:1:msg:1:        an object of a kind
 *   +name:type:size:value:    its properties, the value is `size` bytes of anything
 *   >End
 *   .
 */
#pragma once

#include "message/batch.h"

enum {
        CLASSIC_INDEX_BYTES_MAX = 64 << 10,
        CLASSIC_PROPERTIES_MAX = 64,           /* of one object */
        CLASSIC_MESSAGE_BYTES_MAX = 256 << 20, /* with all its fields */
        CLASSIC_FILE_DIGITS = 8,               /* at least, in a file's name */
};

struct classic_index {
        uint64_t waiting;    /* messages, as rsyslogd counted them */
        uint64_t first_file; /* the oldest that waits is there */
        uint64_t first_offset;
        uint64_t last_file; /* and the newest ends there */
        uint64_t last_offset;
};
/* -EBADMSG: it is no such file, or damaged. */
int classic_index_read(struct classic_index *ret, struct text bytes);

enum { CLASSIC_IS_CUT = 1 }; /* the bytes end before the message does */
/*
 * Appends the message at the beginning of the bytes to b; *used is how many it took. `ruleset` is the number the name
 * has for b: what ruleset_of() returns. CLASSIC_IS_CUT, -EBADMSG, -ENOMEM, -ENOBUFS: b is full.
 */
struct classic_names {
        uint16_t (*ruleset_of)(void *owner, struct text name); /* 0: stays with the queue's own */
        void *owner;
};
int classic_message_read(struct batch *b, struct text bytes, size_t *used, const struct classic_names *names);
/* Where the next message begins behind damage; the size when there is none. */
size_t classic_resume(struct text bytes);
