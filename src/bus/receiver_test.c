#include "bus/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/test.h"

/* Two frames of version 2: one with a blob, one without attachments. */
static const char two_frames[] = "\0\0\0\x0a\0\2\0\1{}body\1\0\0\0\0\0\0\3xyz"
                                 "\0\0\0\7\0\3\0\0{ }";
enum { TWO_FRAMES_BYTES = sizeof two_frames - 1 };

static void check_first(const struct frame *f) {
        CHECK_TEXT(frame_header(f), "{}");
        CHECK_TEXT(frame_body(f), "body");
        CHECK_INT(frame_attachments(f).size, 11);
        CHECK(memcmp(frame_attachments(f).data + 8, "xyz", 3) == 0);
}

static void frames_come_out_however_the_bytes_were_cut(void) {
        for (size_t step = 1; step <= TWO_FRAMES_BYTES; step++) {
                struct receiver r;
                unsigned seen = 0;
                receiver_init(&r, WIRE_2, 1000, NULL);
                for (size_t at = 0; at < TWO_FRAMES_BYTES;) {
                        struct frame *frame = NULL;
                        size_t used;
                        int event = receiver_take(&r, two_frames + at, MIN(step, TWO_FRAMES_BYTES - at), &used, &frame);
                        at += used;
                        if (event == RECEIVER_MORE)
                                continue;
                        CHECK_INT(event, RECEIVER_FRAME);
                        if (seen++ == 0)
                                check_first(frame);
                        frame_unref(frame);
                }
                CHECK_INT(seen, 2);
                CHECK(receiver_is_idle(&r));
                receiver_fini(&r);
        }
}

static void a_large_frame_is_received_in_place(void) {
        enum { BODY = 100000 };
        struct receiver r;
        struct frame *frame = NULL;
        struct iovec room;
        size_t used;
        receiver_init(&r, WIRE_1, 1 << 20, NULL);
        CHECK_INT(receiver_take(&r, "\0\1\x86\xa4\0\2{}", 8, &used, &frame), RECEIVER_MORE);
        CHECK_INT(receiver_room(&r, 70000, &room), 70000);
        memset(room.iov_base, 'a', room.iov_len);
        CHECK_INT(receiver_filled(&r, 70000, &frame), RECEIVER_MORE);
        CHECK_INT(receiver_room(&r, 70000, &room), BODY - 70000);
        memset(room.iov_base, 'b', room.iov_len);
        CHECK_INT(receiver_filled(&r, room.iov_len, &frame), RECEIVER_FRAME);
        CHECK_INT(frame_body(frame).size, BODY);
        CHECK(frame_body(frame).data[69999] == 'a' && frame_body(frame).data[70000] == 'b');
        frame_unref(frame);
        receiver_fini(&r);
}

static void what_is_too_large_keeps_its_header_only(void) {
        struct receiver r;
        struct frame *frame = NULL;
        size_t used;
        receiver_init(&r, WIRE_2, 20, NULL);
        CHECK_INT(receiver_take(&r, two_frames, TWO_FRAMES_BYTES, &used, &frame), RECEIVER_TOO_LARGE);
        CHECK_INT(used, 25);
        CHECK_TEXT(frame_header(frame), "{}");
        CHECK_INT(frame->size, 2);
        frame_unref(frame);
        CHECK_INT(receiver_take(&r, two_frames + used, TWO_FRAMES_BYTES - used, &used, &frame), RECEIVER_FRAME);
        frame_unref(frame);
        receiver_fini(&r);
}

static const char with_fd[] = "\0\0\0\6\0\2\0\1{}\2\0\0\0\0\0\0\0";

static void descriptors_belong_to_the_frame_and_are_closed_with_it(void) {
        struct fd_budget budget = {.limit = 10};
        struct receiver r;
        struct frame *frame = NULL;
        size_t used;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        receiver_init(&r, WIRE_2, 1000, &budget);
        CHECK_INT(receiver_take_fds(&r, &fd, 1), 0);
        CHECK_INT(receiver_take(&r, with_fd, sizeof with_fd - 1, &used, &frame), RECEIVER_FRAME);
        CHECK_INT(frame->fd_count, 1);
        CHECK_INT(budget.used, 1);
        receiver_fini(&r);
        CHECK(fcntl(fd, F_GETFD) >= 0);
        frame_unref(frame);
        CHECK_INT(fcntl(fd, F_GETFD), -1);
        CHECK_INT(budget.used, 0);
}

static void a_descriptor_that_is_missing_or_over_budget_is_a_violation(void) {
        struct fd_budget budget = {.limit = 0};
        struct receiver r;
        struct frame *frame = NULL;
        size_t used;
        receiver_init(&r, WIRE_2, 1000, &budget);
        CHECK_INT(receiver_take(&r, with_fd, sizeof with_fd - 1, &used, &frame), -EBADMSG);
        CHECK(r.violation);
        receiver_fini(&r);
        receiver_init(&r, WIRE_2, 1000, &budget);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CHECK_INT(receiver_take_fds(&r, &fd, 1), -EBADMSG);
        receiver_fini(&r);
        CHECK_INT(fcntl(fd, F_GETFD), -1);
        CHECK_INT(budget.used, 0);
}

TEST_MAIN(TEST(frames_come_out_however_the_bytes_were_cut), TEST(a_large_frame_is_received_in_place),
          TEST(what_is_too_large_keeps_its_header_only), TEST(descriptors_belong_to_the_frame_and_are_closed_with_it),
          TEST(a_descriptor_that_is_missing_or_over_budget_is_a_violation))
