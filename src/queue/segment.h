/*
 * Segments and frames: the bytes of the durable store on disk, built and checked.
 * Pure functions over bytes. doc/queue-format.md is the same for other programs.
 *
 *   segment:  | header | begin | frame | frame | ... | what was there before |
 *             0        4096    8192
 *
 * The header is durable before the file gets its name; `begin` is written with the
 * first frames and carries the same, and the LSN of the first frame. So one rotten
 * block loses neither the salt nor the place in the order.
 *
 * A checksum of a frame begins with the segment's salt, which is random and new each
 * time a file is used again. So neither what an earlier use left behind nor anything
 * that a sender puts into a message can pass for a frame.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

enum {
        SEGMENT_BLOCK_BYTES = 4096,
        SEGMENT_BEGIN_AT = SEGMENT_BLOCK_BYTES,
        SEGMENT_FRAMES_AT = 2 * SEGMENT_BLOCK_BYTES,
        SEGMENT_SALT_BYTES = 16,
        SEGMENT_ID_BYTES = 16,
        SEGMENT_CHAIN_BYTES = 32,
        SEGMENT_NAME_BYTES = 64,
        SEGMENT_VERSION = 1,
        SEGMENT_HEADER_BYTES = 256,
        SEGMENT_FILE_NAME_BYTES = 32,
        SEGMENT_BYTES_MIN = 16 << 10,
        SEGMENT_BYTES_DEFAULT = 16 << 20,

        FRAME_BASE_BYTES = 56,
        FRAME_LSN_AT = 16,
        FRAME_CIPHER_BYTES = 24,
        FRAME_HEADER_BYTES_MAX = FRAME_BASE_BYTES + FRAME_CIPHER_BYTES + SEGMENT_CHAIN_BYTES,
        FRAME_ALIGNMENT = 8,
        FRAME_NONCE_BYTES = 12,
        FRAME_TAG_BYTES = 16, /* of AES-GCM; at the end of what is stored */
};

enum frame_codec { FRAME_PLAIN, FRAME_LZ4, FRAME_ZSTD };
enum frame_cipher { FRAME_CLEAR, FRAME_AES_256_GCM };
enum { FRAME_IS_CHAINED = 1 << 0 };

/* What stands in the header block and, with base_lsn, in the begin block. */
struct segment_header {
        uint8_t queue_id[SEGMENT_ID_BYTES];
        uint8_t salt[SEGMENT_SALT_BYTES];
        uint8_t session[SEGMENT_SALT_BYTES]; /* of this opening of the store; keys of ciphers are made from it */
        uint64_t sequence;
        uint64_t base_lsn;    /* 0 in the header block */
        uint64_t durable_lsn; /* known to be on the disk when this was written */
        int64_t time_us;
        uint8_t chain[SEGMENT_CHAIN_BYTES]; /* the hash chain's value before the first frame; zeros without */
        char name[SEGMENT_NAME_BYTES];      /* of the queue, for people */
};

/* Fills a whole block, or reads one: -EBADMSG when it is none, is damaged, or of a version we do not know. */
void segment_header_write(uint8_t block[static SEGMENT_BLOCK_BYTES], const struct segment_header *header);
int segment_header_read(struct segment_header *ret, const uint8_t *block, size_t size);

/* "0000000000000042.segment", and back: false when it is no such name. */
void segment_name(char name[static SEGMENT_FILE_NAME_BYTES], uint64_t sequence, const char *ending);
bool segment_name_read(uint64_t *sequence, const char *name, const char *ending);

struct frame {
        uint64_t lsn;
        uint64_t durable_lsn;
        int64_t time_us;
        uint32_t count;        /* messages */
        uint32_t frame_bytes;  /* header, what is stored, padding */
        uint32_t stored_bytes; /* compressed, enciphered, tag included */
        uint32_t raw_bytes;    /* packed */
        uint32_t payload_crc;  /* of what is stored, and the padding */
        uint8_t header_bytes;
        uint8_t codec, cipher, flags;
        uint64_t key_id;
        uint8_t nonce[FRAME_NONCE_BYTES];
        uint8_t chain[SEGMENT_CHAIN_BYTES];
};

/* The size of the header that a frame with these needs. */
static inline uint32_t frame_header_bytes(uint8_t cipher, uint8_t flags) {
        return FRAME_BASE_BYTES + (cipher ? FRAME_CIPHER_BYTES : 0) +
               (flags & FRAME_IS_CHAINED ? SEGMENT_CHAIN_BYTES : 0);
}
static inline uint32_t frame_padded(uint64_t size) {
        return (uint32_t)((size + FRAME_ALIGNMENT - 1) & ~(uint64_t)(FRAME_ALIGNMENT - 1));
}

/* Writes header_bytes at `bytes`, all but the header's checksum: for that the place must be known. */
void frame_write(uint8_t *bytes, const struct frame *frame);
/* Fills in what is known at the last moment, and the checksum; again when the frame goes elsewhere. */
void frame_seal(uint8_t *bytes, const uint8_t salt[static SEGMENT_SALT_BYTES], uint64_t durable_lsn);
void frame_set_chain(uint8_t *bytes, const uint8_t chain[static SEGMENT_CHAIN_BYTES]);
/* The header of a frame in our own memory, without what is filled in last: another thread may be at it. */
void frame_load(struct frame *ret, const uint8_t *bytes);

enum { FRAME_IS_NONE = 1 }; /* no frame of this use of the segment begins here */
/*
 * Reads a header from `size` bytes; 0 or FRAME_IS_NONE. What it gives back agrees within itself: sizes fit each other
 * and the limits. Whether the payload is whole is frame_payload_check()'s.
 */
int frame_read(struct frame *ret, const uint8_t *bytes, size_t size, const uint8_t salt[static SEGMENT_SALT_BYTES]);
/* What lies behind the header: frame_bytes - header_bytes of it. */
bool frame_payload_check(const struct frame *frame, const uint8_t *payload);

/* CRC32C (Castagnoli), continued: begin with 0. By the processor where it can. */
uint32_t segment_crc(uint32_t crc, const void *data, size_t size);
uint32_t segment_crc_by_table(uint32_t crc, const void *data, size_t size); /* everywhere; for a test, too */
