/*
 * The control files of a store: how far everything is done with, and how far it is
 * known to be on the disk. Two files, each whole and checksummed, written in turn; so
 * whatever becomes of a write, the one before it stands.
 *
 * Losing both means duplicates, never a loss: the segments tell everything else.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "queue/segment.h"

enum {
        CONTROL_BLOCK_BYTES = 4096,
        CONTROL_RECORD_BYTES = 256,
        CONTROL_VERSION = 1,
        CONTROL_FILES = 2,
};

struct control {
        uint8_t queue_id[SEGMENT_ID_BYTES];
        uint64_t generation;    /* the higher one counts; its lowest bit is the file's number */
        uint64_t mark_lsn;      /* everything below is complete */
        uint64_t mark_segment;  /* segments below may be used again; 0: not known */
        uint64_t mark_offset;   /* of the frame that holds mark_lsn; 0: somewhere in that segment */
        uint64_t durable_lsn;   /* everything up to it was on the disk when this was written */
        uint64_t next_sequence; /* of segments: higher ones do not exist */
        uint64_t segment_bytes;
        int64_t time_us;
        char name[SEGMENT_NAME_BYTES];
};

void control_write(uint8_t block[static CONTROL_BLOCK_BYTES], const struct control *control);
/* -EBADMSG when it is none, is damaged, or of a version we do not know. */
int control_read(struct control *ret, const uint8_t *block, size_t size);
/* "control.0" and "control.1". */
const char *control_file_name(unsigned file);
