#include "bus/outbox.h"

#include <errno.h>

#include "base/test.h"
#include "bus/receiver.h"
#include "io/unix_stream.h"

static void both_versions_get_their_framing_from_one_frame(void) {
        for (int first = WIRE_1; first <= WIRE_2; first++) {
                struct frame *f = NULL;
                struct iovec pieces[FRAME_PIECES_MAX];
                CHECK_INT(frame_from(&f, TEXT("{}"), TEXT("body")), 0);
                for (int turn = 0; turn < 2; turn++) {
                        enum wire_version version = turn == 0 ? (enum wire_version)first : 3 - (enum wire_version)first;
                        for (uint64_t offset = 0; offset < frame_wire_bytes(f, version); offset++) {
                                char got[32];
                                size_t size = 0;
                                unsigned count = frame_pieces(f, version, offset, pieces);
                                for (unsigned i = 0; i < count; i++) {
                                        memcpy(got + size, pieces[i].iov_base, pieces[i].iov_len);
                                        size += pieces[i].iov_len;
                                }
                                const char *wanted =
                                        version == WIRE_1 ? "\0\0\0\x08\0\2{}body" : "\0\0\0\x0a\0\2\0\0{}body";
                                CHECK_INT(size, frame_wire_bytes(f, version) - offset);
                                CHECK(memcmp(got, wanted + offset, size) == 0);
                        }
                }
                frame_unref(f);
        }
}

static void a_spliced_header_moves_no_body(void) {
        struct frame *f = NULL;
        CHECK_INT(frame_from(&f, TEXT("{\"from\":1}"), TEXT("body")), 0);
        const char *body = frame_body(f).data;
        CHECK_INT(frame_splice_header(f, 8, 9, TEXT("\"somebody@host\"")), 0);
        CHECK_TEXT(frame_header(f), "{\"from\":\"somebody@host\"}");
        CHECK(frame_body(f).data == body);
        CHECK_INT(frame_splice_header(f, 8, 23, TEXT("2")), 0);
        CHECK_TEXT(frame_header(f), "{\"from\":2}");
        CHECK_TEXT(frame_body(f), "body");
        CHECK_INT(frame_replace_header(&f, TEXT("{}")), 0);
        CHECK_TEXT(frame_header(f), "{}");
        CHECK_TEXT(frame_body(f), "body");
        frame_unref(f);
}

static void what_goes_in_comes_out_through_a_narrow_socket(void) {
        enum { FRAMES = 300 };
        int pair[2];
        CHECK_INT(unix_stream_pair(pair), 0);
        struct outbox o = {0};
        struct receiver r;
        receiver_init(&r, WIRE_2, 1 << 20, NULL);
        uint64_t frames = 0;
        char *body = calloc(1, 10000);
        for (int i = 0; i < FRAMES; i++) {
                struct frame *f = NULL;
                memcpy(body, &i, sizeof i);
                CHECK_INT(frame_from(&f, TEXT("{}"), (struct text){body, (size_t)(4 + i * 31)}), 0);
                CHECK_INT(outbox_push(&o, f, WIRE_2), 0);
                frame_unref(f);
        }
        free(body);
        int seen = 0, turn = 0;
        while (seen < FRAMES) {
                char data[5000];
                struct iovec piece = {data, sizeof data};
                size_t fd_count, at = 0;
                int fds[UNIX_STREAM_FDS_MAX];
                size_t most = 1 + (size_t)(turn++ % 7) * 1000;
                ssize_t sent = outbox_send(&o, pair[0], most, &frames);
                CHECK(sent >= 0 && sent <= (ssize_t)most);
                ssize_t got = unix_stream_receive(pair[1], &piece, 1, fds, &fd_count);
                while (got > 0 && at < (size_t)got) {
                        struct frame *f = NULL;
                        size_t used;
                        int event = receiver_take(&r, data + at, (size_t)got - at, &used, &f);
                        at += used;
                        if (event == RECEIVER_MORE)
                                continue;
                        CHECK_INT(frame_body(f).size, 4 + seen * 31);
                        CHECK(memcmp(frame_body(f).data, &seen, sizeof seen) == 0);
                        seen++;
                        frame_unref(f);
                }
        }
        CHECK(outbox_is_empty(&o));
        CHECK_INT(o.bytes, 0);
        CHECK_INT(frames, FRAMES);
        outbox_fini(&o);
        receiver_fini(&r);
        unix_stream_close(pair[0]);
        unix_stream_close(pair[1]);
}

TEST_MAIN(TEST(both_versions_get_their_framing_from_one_frame), TEST(a_spliced_header_moves_no_body),
          TEST(what_goes_in_comes_out_through_a_narrow_socket))
