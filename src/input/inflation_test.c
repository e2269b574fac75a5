#include "input/inflation.h"

#include <errno.h>
#include <zlib.h>

#include "base/test.h"

static size_t deflate_all(const char *from, size_t size, unsigned char *to, size_t room) {
        uLongf made = room;
        CHECK_INT(compress(to, &made, (const unsigned char *)from, size), Z_OK);
        return made;
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

static void what_was_compressed_comes_out_however_it_is_cut(void) {
        char text[3000], out[3100];
        for (size_t i = 0; i < sizeof text; i++)
                text[i] = (char)(i * i % 251);
        unsigned char packed[4000];
        size_t size = deflate_all(text, sizeof text, packed, sizeof packed);
        for (size_t step = 1; step < size; step += 97)
                for (size_t room = 1; room < 100; room += 33) {
                        struct inflation_bounds bounds = {0};
                        _owned_(inflation_free) struct inflation *inflation = NULL;
                        CHECK_INT(inflation_new(&inflation, &bounds), 0);
                        CHECK_INT(inflate_all(inflation, packed, size, step, out, room), sizeof text);
                        CHECK(memcmp(text, out, sizeof text) == 0);
                }
}

static void one_stream_can_follow_another(void) {
        unsigned char packed[200];
        size_t first = deflate_all("one\n", 4, packed, sizeof packed);
        size_t second = deflate_all("two\n", 4, packed + first, sizeof packed - first);
        struct inflation_bounds bounds = {0};
        _owned_(inflation_free) struct inflation *inflation = NULL;
        CHECK_INT(inflation_new(&inflation, &bounds), 0);
        char out[100];
        CHECK_INT(inflate_all(inflation, packed, first + second, 1000, out, 50), 8);
        CHECK_TEXT(((struct text){out, 8}), "one\ntwo\n");
}

static void what_is_not_compressed_is_refused(void) {
        struct inflation_bounds bounds = {0};
        _owned_(inflation_free) struct inflation *inflation = NULL;
        CHECK_INT(inflation_new(&inflation, &bounds), 0);
        char out[100];
        CHECK_INT(inflate_all(inflation, (const unsigned char *)"hello\nworld\n", 12, 12, out, 50), -EBADMSG);
}

static ssize_t bomb(const struct inflation_bounds *bounds) {
        enum { BOMB_BYTES = 8 << 20 };
        char *zeros = calloc(1, BOMB_BYTES);
        unsigned char *packed = malloc(64 << 10);
        CHECK(zeros && packed);
        size_t size = deflate_all(zeros, BOMB_BYTES, packed, 64 << 10);
        _owned_(inflation_free) struct inflation *inflation = NULL;
        CHECK_INT(inflation_new(&inflation, bounds), 0);
        ssize_t r = inflate_all(inflation, packed, size, size, zeros, 4096);
        free(zeros);
        free(packed);
        return r;
}

static void a_small_stream_cannot_become_a_flood(void) {
        CHECK_INT(bomb(&(struct inflation_bounds){0}), 8 << 20);
        CHECK_INT(bomb(&(struct inflation_bounds){.ratio_max = 100}), -E2BIG);
        CHECK_INT(bomb(&(struct inflation_bounds){.bytes_max_per_receive = 1 << 20}), -E2BIG);
        CHECK_INT(bomb(&(struct inflation_bounds){.ratio_max = 2000, .bytes_max_per_receive = 16 << 20}), 8 << 20);
}

TEST_MAIN(TEST(what_was_compressed_comes_out_however_it_is_cut), TEST(one_stream_can_follow_another),
          TEST(what_is_not_compressed_is_refused), TEST(a_small_stream_cannot_become_a_flood))
