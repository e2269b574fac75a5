#include "queue/segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "queue/store.h"

static const char segment_magic[8] = "PSTKSEG1";
enum { FRAME_MAGIC = 0x4d465350 }; /* "PSFM" */

/* As they lie on the disk: little-endian, as every machine is that we are built for. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

struct disk_header {
        char magic[8];
        uint32_t version;
        uint32_t is_begin;
        uint8_t queue_id[SEGMENT_ID_BYTES];
        uint8_t salt[SEGMENT_SALT_BYTES];
        uint8_t session[SEGMENT_SALT_BYTES];
        uint64_t sequence;
        uint64_t base_lsn;
        uint64_t durable_lsn;
        int64_t time_us;
        uint8_t chain[SEGMENT_CHAIN_BYTES];
        char name[SEGMENT_NAME_BYTES];
        uint8_t reserved[60];
        uint32_t crc; /* of what stands before it */
};
static_assert(sizeof(struct disk_header) == SEGMENT_HEADER_BYTES, "the segment header has a published size");

struct disk_frame {
        uint32_t magic;
        uint32_t header_crc; /* of the salt and the rest of the header */
        uint32_t payload_crc;
        uint8_t header_bytes;
        uint8_t codec;
        uint8_t cipher;
        uint8_t flags;
        uint64_t lsn;
        uint64_t durable_lsn;
        int64_t time_us;
        uint32_t count;
        uint32_t frame_bytes;
        uint32_t stored_bytes;
        uint32_t raw_bytes;
};
static_assert(sizeof(struct disk_frame) == FRAME_BASE_BYTES, "the frame header has a published size");
static_assert(offsetof(struct disk_frame, lsn) == FRAME_LSN_AT, "the LSN has a published place");

struct disk_cipher {
        uint64_t key_id;
        uint8_t nonce[FRAME_NONCE_BYTES];
        uint32_t reserved;
};
static_assert(sizeof(struct disk_cipher) == FRAME_CIPHER_BYTES, "the cipher's part has a published size");

void segment_header_write(uint8_t block[static SEGMENT_BLOCK_BYTES], const struct segment_header *header) {
        struct disk_header d = {
                .version = SEGMENT_VERSION,
                .is_begin = header->base_lsn != 0,
                .sequence = header->sequence,
                .base_lsn = header->base_lsn,
                .durable_lsn = header->durable_lsn,
                .time_us = header->time_us,
        };
        memcpy(d.magic, segment_magic, sizeof d.magic);
        memcpy(d.queue_id, header->queue_id, sizeof d.queue_id);
        memcpy(d.salt, header->salt, sizeof d.salt);
        memcpy(d.session, header->session, sizeof d.session);
        memcpy(d.chain, header->chain, sizeof d.chain);
        memcpy(d.name, header->name, sizeof d.name);
        d.crc = segment_crc(0, &d, offsetof(struct disk_header, crc));
        memset(block, 0, SEGMENT_BLOCK_BYTES);
        memcpy(block, &d, sizeof d);
}

int segment_header_read(struct segment_header *ret, const uint8_t *block, size_t size) {
        struct disk_header d;
        if (size < sizeof d)
                return -EBADMSG;
        memcpy(&d, block, sizeof d);
        if (memcmp(d.magic, segment_magic, sizeof d.magic) || d.version != SEGMENT_VERSION || d.sequence == 0 ||
            d.crc != segment_crc(0, &d, offsetof(struct disk_header, crc)) || d.is_begin != (d.base_lsn != 0))
                return -EBADMSG;
        *ret = (struct segment_header){
                .sequence = d.sequence,
                .base_lsn = d.base_lsn,
                .durable_lsn = d.durable_lsn,
                .time_us = d.time_us,
        };
        memcpy(ret->queue_id, d.queue_id, sizeof d.queue_id);
        memcpy(ret->salt, d.salt, sizeof d.salt);
        memcpy(ret->session, d.session, sizeof d.session);
        memcpy(ret->chain, d.chain, sizeof d.chain);
        memcpy(ret->name, d.name, sizeof d.name);
        ret->name[sizeof ret->name - 1] = '\0';
        return 0;
}

void segment_name(char name[static SEGMENT_FILE_NAME_BYTES], uint64_t sequence, const char *ending) {
        snprintf(name, SEGMENT_FILE_NAME_BYTES, "%016llx.%s", (unsigned long long)sequence, ending);
}

bool segment_name_read(uint64_t *sequence, const char *name, const char *ending) {
        uint64_t number = 0;
        for (size_t i = 0; i < 16; i++) {
                const char *digits = "0123456789abcdef", *found = name[i] ? strchr(digits, name[i]) : NULL;
                if (!found)
                        return false;
                number = number << 4 | (uint64_t)(found - digits);
        }
        if (name[16] != '.' || strcmp(name + 17, ending) || number == 0)
                return false;
        *sequence = number;
        return true;
}

static uint32_t header_crc(const uint8_t *bytes, size_t size, const uint8_t *salt) {
        size_t at = offsetof(struct disk_frame, payload_crc);
        return segment_crc(segment_crc(0, salt, SEGMENT_SALT_BYTES), bytes + at, size - at);
}

void frame_write(uint8_t *bytes, const struct frame *frame) {
        assert(frame->header_bytes == frame_header_bytes(frame->cipher, frame->flags));
        struct disk_frame d = {
                .magic = FRAME_MAGIC,
                .payload_crc = frame->payload_crc,
                .header_bytes = frame->header_bytes,
                .codec = frame->codec,
                .cipher = frame->cipher,
                .flags = frame->flags,
                .lsn = frame->lsn,
                .durable_lsn = frame->durable_lsn,
                .time_us = frame->time_us,
                .count = frame->count,
                .frame_bytes = frame->frame_bytes,
                .stored_bytes = frame->stored_bytes,
                .raw_bytes = frame->raw_bytes,
        };
        memcpy(bytes, &d, sizeof d);
        uint8_t *at = bytes + sizeof d;
        if (frame->cipher) {
                struct disk_cipher c = {.key_id = frame->key_id};
                memcpy(c.nonce, frame->nonce, sizeof c.nonce);
                memcpy(at, &c, sizeof c);
                at += sizeof c;
        }
        if (frame->flags & FRAME_IS_CHAINED)
                memcpy(at, frame->chain, SEGMENT_CHAIN_BYTES);
}

void frame_set_chain(uint8_t *bytes, const uint8_t chain[static SEGMENT_CHAIN_BYTES]) {
        uint8_t header_bytes = bytes[offsetof(struct disk_frame, header_bytes)];
        memcpy(bytes + header_bytes - SEGMENT_CHAIN_BYTES, chain, SEGMENT_CHAIN_BYTES);
}

void frame_seal(uint8_t *bytes, const uint8_t salt[static SEGMENT_SALT_BYTES], uint64_t durable_lsn) {
        memcpy(bytes + offsetof(struct disk_frame, durable_lsn), &durable_lsn, sizeof durable_lsn);
        uint32_t crc = header_crc(bytes, bytes[offsetof(struct disk_frame, header_bytes)], salt);
        memcpy(bytes + offsetof(struct disk_frame, header_crc), &crc, sizeof crc);
}

/* Checked before any of it is used to find something else; a right checksum over wrong numbers is damage as well. */
static bool frame_agrees(const struct disk_frame *d) {
        return d->codec <= FRAME_ZSTD && d->cipher <= FRAME_AES_256_GCM && d->flags <= FRAME_IS_CHAINED &&
               d->header_bytes == frame_header_bytes(d->cipher, d->flags) && d->lsn > 0 && d->lsn < INT64_MAX &&
               d->durable_lsn < d->lsn && d->count > 0 && d->count <= FRAME_MESSAGES_MAX &&
               d->raw_bytes <= FRAME_BYTES_MAX && d->stored_bytes <= d->raw_bytes + FRAME_TAG_BYTES &&
               d->frame_bytes == frame_padded((uint64_t)d->header_bytes + d->stored_bytes);
}

static void load(struct frame *ret, const struct disk_frame *d, const uint8_t *bytes) {
        *ret = (struct frame){
                .lsn = d->lsn,
                .durable_lsn = d->durable_lsn,
                .time_us = d->time_us,
                .count = d->count,
                .frame_bytes = d->frame_bytes,
                .stored_bytes = d->stored_bytes,
                .raw_bytes = d->raw_bytes,
                .payload_crc = d->payload_crc,
                .header_bytes = d->header_bytes,
                .codec = d->codec,
                .cipher = d->cipher,
                .flags = d->flags,
        };
        if (d->cipher) {
                struct disk_cipher c;
                memcpy(&c, bytes + sizeof *d, sizeof c);
                ret->key_id = c.key_id;
                memcpy(ret->nonce, c.nonce, sizeof c.nonce);
        }
}

void frame_load(struct frame *ret, const uint8_t *bytes) {
        struct disk_frame d = {0};
        size_t settled = offsetof(struct disk_frame, payload_crc), echo = offsetof(struct disk_frame, durable_lsn),
               rest = offsetof(struct disk_frame, time_us);
        memcpy(&d.magic, bytes, sizeof d.magic);
        memcpy((uint8_t *)&d + settled, bytes + settled, echo - settled);
        memcpy((uint8_t *)&d + rest, bytes + rest, sizeof d - rest);
        assert(d.magic == FRAME_MAGIC && frame_agrees(&d));
        load(ret, &d, bytes);
}

int frame_read(struct frame *ret, const uint8_t *bytes, size_t size, const uint8_t salt[static SEGMENT_SALT_BYTES]) {
        struct disk_frame d;
        if (size < sizeof d)
                return FRAME_IS_NONE;
        memcpy(&d, bytes, sizeof d);
        if (d.magic != FRAME_MAGIC || d.header_bytes < sizeof d || d.header_bytes > FRAME_HEADER_BYTES_MAX ||
            d.header_bytes > size || d.header_crc != header_crc(bytes, d.header_bytes, salt) || !frame_agrees(&d))
                return FRAME_IS_NONE;
        load(ret, &d, bytes);
        if (d.flags & FRAME_IS_CHAINED)
                memcpy(ret->chain, bytes + d.header_bytes - SEGMENT_CHAIN_BYTES, SEGMENT_CHAIN_BYTES);
        return 0;
}

bool frame_payload_check(const struct frame *frame, const uint8_t *payload) {
        return segment_crc(0, payload, frame->frame_bytes - frame->header_bytes) == frame->payload_crc;
}
