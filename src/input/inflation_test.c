#include "input/inflation.h"

#include <errno.h>

#include "base/test.h"

static atomic_size_t windows;

static size_t pack(enum compression kind, const char *from, size_t size, unsigned char *to, size_t room) {
        _owned_(compressor_free) struct compressor *c = NULL;
        _owned_(buffer_fini) struct buffer packed = {0};
        CHECK_INT(compressor_new(&c, kind, 6, 0), 0);
        CHECK_INT(compressor_add(c, (struct text){from, size}, COMPRESS_FINISH, &packed), 0);
        CHECK(packed.size <= room);
        memcpy(to, packed.data, packed.size);
        return packed.size;
}

/* Feeds in pieces of `step`, takes in pieces of `room`. */
static ssize_t inflate_all(struct inflation *inflation, const unsigned char *from, size_t size, size_t step, char *to,
                           size_t room) {
        size_t made = 0;
        for (size_t at = 0; at < size; at += step) {
                inflation_feed(inflation, from + at, MIN(step, size - at));
                while (!inflation_is_drained(inflation)) {
                        ssize_t got = inflation_take(inflation, to + made, room);
                        if (got < 0)
                                return got;
                        made += (size_t)got;
                }
        }
        return (ssize_t)made;
}

static const enum compression kinds[] = {COMPRESSION_ZLIB, COMPRESSION_ZSTD};

static void what_was_compressed_comes_out_however_it_is_cut(void) {
        char text[3000], out[3100];
        for (size_t i = 0; i < sizeof text; i++)
                text[i] = (char)(i * i % 251);
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                unsigned char packed[4000];
                size_t size = pack(kinds[k], text, sizeof text, packed, sizeof packed);
                for (size_t step = 1; step < size; step += 97)
                        for (size_t room = 1; room < 100; room += 33) {
                                struct inflation_options options = {.kind = kinds[k]};
                                _owned_(inflation_free) struct inflation *inflation = NULL;
                                CHECK_INT(inflation_new(&inflation, &options, &windows), 0);
                                CHECK_INT(inflate_all(inflation, packed, size, step, out, room), sizeof text);
                                CHECK(memcmp(text, out, sizeof text) == 0);
                        }
        }
}

static void one_stream_can_follow_another(void) {
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                unsigned char packed[200];
                size_t first = pack(kinds[k], "one\n", 4, packed, sizeof packed);
                size_t second = pack(kinds[k], "two\n", 4, packed + first, sizeof packed - first);
                struct inflation_options options = {.kind = kinds[k]};
                _owned_(inflation_free) struct inflation *inflation = NULL;
                CHECK_INT(inflation_new(&inflation, &options, &windows), 0);
                char out[100];
                CHECK_INT(inflate_all(inflation, packed, first + second, 1000, out, 50), 8);
                CHECK_TEXT(((struct text){out, 8}), "one\ntwo\n");
        }
}

static void what_is_not_compressed_is_refused(void) {
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                struct inflation_options options = {.kind = kinds[k]};
                _owned_(inflation_free) struct inflation *inflation = NULL;
                CHECK_INT(inflation_new(&inflation, &options, &windows), 0);
                char out[100];
                CHECK_INT(inflate_all(inflation, (const unsigned char *)"hello\nworld\n", 12, 12, out, 50), -EBADMSG);
        }
}

static ssize_t bomb(struct inflation_options options) {
        enum { BOMB_BYTES = 8 << 20 };
        char *zeros = calloc(1, BOMB_BYTES);
        unsigned char *packed = malloc(64 << 10);
        CHECK(zeros && packed);
        ssize_t r = 0;
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                size_t size = pack(kinds[k], zeros, BOMB_BYTES, packed, 64 << 10);
                _owned_(inflation_free) struct inflation *inflation = NULL;
                options.kind = kinds[k];
                CHECK_INT(inflation_new(&inflation, &options, &windows), 0);
                ssize_t made = inflate_all(inflation, packed, size, size, zeros, 4096);
                CHECK(k == 0 || made == r);
                r = made;
        }
        free(zeros);
        free(packed);
        return r;
}

static void a_small_stream_cannot_become_a_flood(void) {
        CHECK_INT(bomb((struct inflation_options){0}), 8 << 20);
        CHECK_INT(bomb((struct inflation_options){.ratio_max = 100}), -E2BIG);
        CHECK_INT(bomb((struct inflation_options){.bytes_max_per_receive = 1 << 20}), -E2BIG);
        CHECK_INT(bomb((struct inflation_options){.ratio_max = 40000, .bytes_max_per_receive = 16 << 20}), 8 << 20);
}

/* A frame of 8 MiB at level 6 asks for a window of 2 MiB. */
static void the_windows_of_all_streams_together_are_bounded(void) {
        enum { FRAME_BYTES = 8 << 20 };
        char *zeros = calloc(1, FRAME_BYTES);
        unsigned char *packed = malloc(64 << 10);
        CHECK(zeros && packed);
        size_t size = pack(COMPRESSION_ZSTD, zeros, FRAME_BYTES, packed, 64 << 10);
        struct inflation_options options = {.kind = COMPRESSION_ZSTD, .window_bytes_max = 5 << 20};
        struct inflation *streams[2] = {0};
        _owned_(inflation_free) struct inflation *third = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
                CHECK_INT(inflation_new(&streams[i], &options, &windows), 0);
                CHECK_INT(inflate_all(streams[i], packed, size, size, zeros, 4096), FRAME_BYTES);
        }
        CHECK(windows > 4 << 20 && windows < 5 << 20);
        CHECK_INT(inflation_new(&third, &options, &windows), 0);
        CHECK_INT(inflate_all(third, packed, size, size, zeros, 4096), -E2BIG);
        for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
                inflation_free(streams[i]);
        third = inflation_free(third);
        CHECK_INT(windows, 0);
        free(zeros);
        free(packed);
}

TEST_MAIN(TEST(what_was_compressed_comes_out_however_it_is_cut), TEST(one_stream_can_follow_another),
          TEST(what_is_not_compressed_is_refused), TEST(a_small_stream_cannot_become_a_flood),
          TEST(the_windows_of_all_streams_together_are_bounded))
