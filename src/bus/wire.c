#include "bus/wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct version_1 {
        uint32_t length;
        uint16_t header;
} __attribute__((packed));
static_assert(sizeof(struct version_1) == WIRE_1_PREFIX_BYTES, "the frame of version 1");

struct version_2 {
        uint32_t length;
        uint16_t header;
        uint16_t attachments;
} __attribute__((packed));
static_assert(sizeof(struct version_2) == WIRE_2_PREFIX_BYTES, "the frame of version 2");

struct attachment_head {
        uint8_t type;
        uint8_t reserved;
        uint16_t reserved_too;
        uint32_t size;
} __attribute__((packed));
static_assert(sizeof(struct attachment_head) == WIRE_ATTACHMENT_BYTES, "the head of an attachment");

/* What L counts beside header and body. */
static uint32_t counted_bytes(enum wire_version version) {
        return wire_prefix_bytes(version) - (uint32_t)sizeof(uint32_t);
}

int wire_read_prefix(struct wire_prefix *ret, enum wire_version version, const void *bytes) {
        struct version_2 raw = {0};
        memcpy(&raw, bytes, wire_prefix_bytes(version));
        uint32_t length = be32toh(raw.length), counted = counted_bytes(version);
        uint32_t header = be16toh(raw.header);
        if (length < counted || header == 0 || header > length - counted)
                return -EBADMSG;
        *ret = (struct wire_prefix){
                .header_bytes = header,
                .body_bytes = length - counted - header,
                .attachments = version == WIRE_2 ? be16toh(raw.attachments) : 0,
        };
        return 0;
}

void wire_write_prefix(void *bytes, enum wire_version version, const struct wire_prefix *prefix) {
        assert(prefix->header_bytes > 0 && prefix->header_bytes <= WIRE_HEADER_BYTES_MAX);
        assert(prefix->attachments == 0 || version == WIRE_2);
        struct version_2 raw = {
                .length = htobe32(counted_bytes(version) + prefix->header_bytes + prefix->body_bytes),
                .header = htobe16((uint16_t)prefix->header_bytes),
                .attachments = htobe16((uint16_t)prefix->attachments),
        };
        memcpy(bytes, &raw, wire_prefix_bytes(version));
}

int wire_read_attachment(struct wire_attachment *ret, const void *bytes) {
        struct attachment_head raw;
        memcpy(&raw, bytes, sizeof raw);
        if (raw.reserved || raw.reserved_too || (raw.type != WIRE_BLOB && raw.type != WIRE_FD))
                return -EBADMSG;
        if (raw.type == WIRE_FD && raw.size)
                return -EBADMSG;
        *ret = (struct wire_attachment){.type = raw.type, .bytes = be32toh(raw.size)};
        return 0;
}

void wire_write_attachment(void *bytes, const struct wire_attachment *attachment) {
        assert(attachment->type == WIRE_BLOB || attachment->bytes == 0);
        struct attachment_head raw = {.type = (uint8_t)attachment->type, .size = htobe32(attachment->bytes)};
        memcpy(bytes, &raw, sizeof raw);
}
