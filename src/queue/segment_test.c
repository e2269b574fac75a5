#include "queue/segment.h"

#include <errno.h>

#include "base/test.h"
#include "queue/control.h"
#include "queue/store.h"

static void the_checksum_is_crc32c_however_it_is_made(void) {
        CHECK_INT(segment_crc(0, "123456789", 9), 0xe3069283);
        CHECK_INT(segment_crc_by_table(0, "123456789", 9), 0xe3069283);
        uint8_t bytes[257];
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * 73);
        for (size_t size = 0; size <= sizeof bytes; size++) {
                uint32_t whole = segment_crc(0, bytes, size);
                CHECK_INT(segment_crc_by_table(0, bytes, size), whole);
                CHECK_INT(segment_crc(segment_crc(0, bytes, size / 3), bytes + size / 3, size - size / 3), whole);
        }
}

static void the_checksum_of_much_is_that_of_its_parts(void) {
        static uint8_t bytes[20000];
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * i >> 3 ^ i);
        for (size_t size = 0; size <= sizeof bytes; size += 61) {
                uint32_t begun = (uint32_t)(size * 2654435761u);
                CHECK_INT(segment_crc(begun, bytes, size), segment_crc_by_table(begun, bytes, size));
        }
}

static void a_header_comes_back_and_any_other_byte_makes_it_none(void) {
        struct segment_header in = {.sequence = 7, .base_lsn = 9, .durable_lsn = 8, .time_us = 5, .name = "main"}, out;
        memset(in.salt, 3, sizeof in.salt);
        uint8_t block[SEGMENT_BLOCK_BYTES];
        segment_header_write(block, &in);
        CHECK_INT(segment_header_read(&out, block, sizeof block), 0);
        CHECK(memcmp(&in, &out, sizeof in) == 0);
        CHECK_INT(segment_header_read(&out, block, SEGMENT_HEADER_BYTES - 1), -EBADMSG);
        for (size_t i = 0; i < SEGMENT_HEADER_BYTES; i++) {
                block[i] ^= 1;
                CHECK_INT(segment_header_read(&out, block, sizeof block), -EBADMSG);
                block[i] ^= 1;
        }
}

static struct frame frame_of(uint32_t size, uint8_t cipher, uint8_t flags) {
        struct frame f = {.lsn = 5, .durable_lsn = 4, .time_us = 1, .count = 2, .cipher = cipher, .flags = flags};
        f.header_bytes = (uint8_t)frame_header_bytes(cipher, flags);
        f.raw_bytes = f.stored_bytes = size;
        f.frame_bytes = frame_padded(f.header_bytes + (uint64_t)size);
        f.key_id = 77;
        return f;
}

static void a_frame_is_one_only_under_its_salt_and_whole(void) {
        uint8_t salt[SEGMENT_SALT_BYTES] = {1, 2, 3}, other[SEGMENT_SALT_BYTES] = {1, 2, 4};
        for (uint8_t kind = 0; kind < 4; kind++) {
                uint8_t bytes[FRAME_HEADER_BYTES_MAX] = {0};
                struct frame in = frame_of(100, kind & 1, kind >> 1), out;
                frame_write(bytes, &in);
                frame_seal(bytes, salt, 3);
                CHECK_INT(frame_read(&out, bytes, sizeof bytes, salt), 0);
                CHECK_INT(out.durable_lsn, 3);
                CHECK_INT(out.stored_bytes, 100);
                CHECK_INT(out.key_id, kind & 1 ? 77 : 0);
                CHECK_INT(frame_read(&out, bytes, sizeof bytes, other), FRAME_IS_NONE);
                CHECK_INT(frame_read(&out, bytes, in.header_bytes - 1u, salt), FRAME_IS_NONE);
                for (size_t i = 0; i < in.header_bytes; i++) {
                        bytes[i] ^= 0x10;
                        CHECK_INT(frame_read(&out, bytes, sizeof bytes, salt), FRAME_IS_NONE);
                        bytes[i] ^= 0x10;
                }
        }
}

/* A right checksum over numbers that do not agree: whoever wrote that was no store of ours. */
static void numbers_over_a_limit_are_no_frame(void) {
        uint8_t salt[SEGMENT_SALT_BYTES] = {0}, bytes[FRAME_HEADER_BYTES_MAX];
        struct frame wrong[] = {frame_of(8, 0, 0), frame_of(8, 0, 0), frame_of(8, 0, 0),
                                frame_of(8, 0, 0), frame_of(8, 0, 0), frame_of(FRAME_BYTES_MAX + 1, 0, 0)};
        wrong[0].count = FRAME_MESSAGES_MAX + 1;
        wrong[1].count = 0;
        wrong[2].lsn = 0;
        wrong[3].stored_bytes = 8 + FRAME_TAG_BYTES + 1;
        wrong[4].codec = FRAME_ZSTD + 1;
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct frame out;
                frame_write(bytes, &wrong[i]);
                frame_seal(bytes, salt, 0);
                CHECK_INT(frame_read(&out, bytes, sizeof bytes, salt), FRAME_IS_NONE);
        }
}

static void names_tell_the_order(void) {
        char name[SEGMENT_FILE_NAME_BYTES];
        uint64_t sequence;
        segment_name(name, 0xabc, "segment");
        CHECK_TEXT(text_of(name), "0000000000000abc.segment");
        CHECK(segment_name_read(&sequence, name, "segment"));
        CHECK_INT(sequence, 0xabc);
        CHECK(!segment_name_read(&sequence, name, "new"));
        CHECK(!segment_name_read(&sequence, "0000000000000000.segment", "segment"));
        CHECK(!segment_name_read(&sequence, "0000000000000ABC.segment", "segment"));
        CHECK(!segment_name_read(&sequence, "abc.segment", "segment"));
        CHECK(!segment_name_read(&sequence, "", "segment"));
}

static void a_control_record_comes_back_or_is_none(void) {
        struct control in = {.generation = 4, .mark_lsn = 5, .mark_segment = 6, .mark_offset = 7, .durable_lsn = 8},
                       out;
        uint8_t block[CONTROL_BLOCK_BYTES];
        control_write(block, &in);
        CHECK_INT(control_read(&out, block, sizeof block), 0);
        CHECK(memcmp(&in, &out, sizeof in) == 0);
        for (size_t i = 0; i < CONTROL_RECORD_BYTES; i++) {
                block[i] ^= 0x80;
                CHECK_INT(control_read(&out, block, sizeof block), -EBADMSG);
                block[i] ^= 0x80;
        }
        CHECK_INT(control_read(&out, block, CONTROL_RECORD_BYTES - 1), -EBADMSG);
}

TEST_MAIN(TEST(the_checksum_is_crc32c_however_it_is_made), TEST(the_checksum_of_much_is_that_of_its_parts),
          TEST(a_header_comes_back_and_any_other_byte_makes_it_none),
          TEST(a_frame_is_one_only_under_its_salt_and_whole), TEST(numbers_over_a_limit_are_no_frame),
          TEST(names_tell_the_order), TEST(a_control_record_comes_back_or_is_none))
