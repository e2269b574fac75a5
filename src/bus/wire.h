/*
 * The wire: how frames are cut. Pure functions over bytes.
 *
 *   version 1   u32be L = 2+H+B | u16be H | header | body
 *   version 2   u32be L = 4+H+B | u16be H | u16be N | header | body | N attachments
 *   attachment  u8 type | u8 0 | u16 0 | u32be size | size bytes (a descriptor: 0)
 *
 * Attachments are not counted in L. The header is JSON and belongs to header.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

enum wire_version { WIRE_1 = 1, WIRE_2 = 2 };

enum {
        WIRE_1_PREFIX_BYTES = 6,
        WIRE_2_PREFIX_BYTES = 8,
        WIRE_PREFIX_BYTES_MAX = 8,
        WIRE_ATTACHMENT_BYTES = 8, /* of its head */
        WIRE_HEADER_BYTES_MAX = UINT16_MAX,
        WIRE_ATTACHMENTS_MAX = UINT16_MAX,
        WIRE_FDS_MAX = 253, /* in one frame, so that one call of the kernel carries them */
};

struct wire_prefix {
        uint32_t header_bytes;
        uint32_t body_bytes;
        uint32_t attachments;
};

enum wire_attachment_type { WIRE_BLOB = 1, WIRE_FD = 2 };
struct wire_attachment {
        enum wire_attachment_type type;
        uint32_t bytes;
};

static inline uint32_t wire_prefix_bytes(enum wire_version version) {
        return version == WIRE_1 ? WIRE_1_PREFIX_BYTES : WIRE_2_PREFIX_BYTES;
}

/* Reads wire_prefix_bytes(); -EBADMSG: L and H contradict each other. */
int wire_read_prefix(struct wire_prefix *ret, enum wire_version version, const void *bytes);
/* Writes them. The sum of header and body fits 32 bits, because max_message does. */
void wire_write_prefix(void *bytes, enum wire_version version, const struct wire_prefix *prefix);

/* -EBADMSG: an unknown type, a reserved field in use, a descriptor with a size. */
int wire_read_attachment(struct wire_attachment *ret, const void *bytes);
void wire_write_attachment(void *bytes, const struct wire_attachment *attachment);
