#include "bus/wire.h"

#include <errno.h>

#include "base/test.h"

static void a_prefix_reads_back_as_it_was_written(void) {
        const struct wire_prefix in = {.header_bytes = 65535, .body_bytes = 1 << 30, .attachments = 65535};
        struct wire_prefix out;
        char bytes[WIRE_PREFIX_BYTES_MAX];
        wire_write_prefix(bytes, WIRE_2, &in);
        CHECK_INT(wire_read_prefix(&out, WIRE_2, bytes), 0);
        CHECK_INT(out.header_bytes, in.header_bytes);
        CHECK_INT(out.body_bytes, in.body_bytes);
        CHECK_INT(out.attachments, in.attachments);
        const struct wire_prefix old = {.header_bytes = 1};
        wire_write_prefix(bytes, WIRE_1, &old);
        CHECK(memcmp(bytes, "\0\0\0\3\0\1", 6) == 0);
        CHECK_INT(wire_read_prefix(&out, WIRE_1, bytes), 0);
        CHECK_INT(out.header_bytes, 1);
        CHECK_INT(out.body_bytes, 0);
        CHECK_INT(out.attachments, 0);
}

static void lengths_that_contradict_each_other_are_refused(void) {
        struct wire_prefix out;
        CHECK_INT(wire_read_prefix(&out, WIRE_1, "\0\0\0\1\0\1"), -EBADMSG);
        CHECK_INT(wire_read_prefix(&out, WIRE_1, "\0\0\0\5\0\0"), -EBADMSG);
        CHECK_INT(wire_read_prefix(&out, WIRE_1, "\0\0\0\5\0\4"), -EBADMSG);
        CHECK_INT(wire_read_prefix(&out, WIRE_1, "\0\0\0\5\0\3"), 0);
        CHECK_INT(wire_read_prefix(&out, WIRE_2, "\0\0\0\3\0\1\0\0"), -EBADMSG);
        CHECK_INT(wire_read_prefix(&out, WIRE_2, "\0\0\0\5\0\2\0\0"), -EBADMSG);
        CHECK_INT(wire_read_prefix(&out, WIRE_2, "\0\0\0\5\0\1\0\0"), 0);
}

static void an_attachment_uses_no_reserved_field_and_a_descriptor_has_no_size(void) {
        struct wire_attachment out;
        CHECK_INT(wire_read_attachment(&out, "\1\0\0\0\0\0\1\0"), 0);
        CHECK_INT(out.bytes, 256);
        CHECK_INT(wire_read_attachment(&out, "\2\0\0\0\0\0\0\0"), 0);
        CHECK_INT(out.type, WIRE_FD);
        CHECK_INT(wire_read_attachment(&out, "\2\0\0\0\0\0\0\1"), -EBADMSG);
        CHECK_INT(wire_read_attachment(&out, "\0\0\0\0\0\0\0\0"), -EBADMSG);
        CHECK_INT(wire_read_attachment(&out, "\3\0\0\0\0\0\0\0"), -EBADMSG);
        CHECK_INT(wire_read_attachment(&out, "\1\1\0\0\0\0\0\0"), -EBADMSG);
        CHECK_INT(wire_read_attachment(&out, "\1\0\0\1\0\0\0\0"), -EBADMSG);
}

TEST_MAIN(TEST(a_prefix_reads_back_as_it_was_written), TEST(lengths_that_contradict_each_other_are_refused),
          TEST(an_attachment_uses_no_reserved_field_and_a_descriptor_has_no_size))
