#include "io/compress.h"

#include "base/test.h"

#include <errno.h>

static struct text chatter(struct buffer *b, size_t lines) {
        for (size_t i = 0; i < lines; i++)
                buffer_format(b, "Jan  1 00:00:00 host app[%zu]: session %zu opened for user u%zu\n", i, i * 7, i % 5);
        return buffer_as_text(b);
}

static void inflate_all(enum compression kind, struct text in, struct buffer *out) {
        _owned_(decompressor_free) struct decompressor *d = NULL;
        CHECK_INT(decompressor_new(&d, kind), 0);
        size_t used;
        CHECK_INT(decompressor_add(d, in, &used, out, 1 << 30), 0);
        CHECK_INT(used, in.size);
}

static void what_went_in_comes_out(void) {
        static const enum compression kinds[] = {COMPRESSION_GZIP, COMPRESSION_ZLIB, COMPRESSION_ZSTD};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _owned_(buffer_fini) struct buffer plain = {0}, packed = {0}, back = {0};
                _owned_(compressor_free) struct compressor *c = NULL;
                struct text in = chatter(&plain, 5000);
                CHECK_INT(compressor_new(&c, kinds[i], 3, 0), 0);
                CHECK_INT(compressor_add(c, in, COMPRESS_MORE, &packed), 0);
                CHECK(compressor_is_open(c));
                CHECK_INT(compressor_add(c, TEXT_NONE, COMPRESS_FINISH, &packed), 0);
                CHECK(!compressor_is_open(c));
                CHECK(packed.size < in.size / 4);
                inflate_all(kinds[i], buffer_as_text(&packed), &back);
                CHECK(text_equal(buffer_as_text(&back), in));
        }
}

static void a_flush_makes_everything_readable(void) {
        static const enum compression kinds[] = {COMPRESSION_GZIP, COMPRESSION_ZLIB, COMPRESSION_ZSTD};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _owned_(buffer_fini) struct buffer packed = {0}, back = {0};
                _owned_(compressor_free) struct compressor *c = NULL;
                CHECK_INT(compressor_new(&c, kinds[i], 6, 0), 0);
                CHECK_INT(compressor_add(c, TEXT("one\n"), COMPRESS_FLUSH, &packed), 0);
                inflate_all(kinds[i], buffer_as_text(&packed), &back);
                CHECK_TEXT(buffer_as_text(&back), "one\n");
        }
}

static void members_behind_one_another_are_one_stream(void) {
        static const enum compression kinds[] = {COMPRESSION_GZIP, COMPRESSION_ZSTD};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _owned_(buffer_fini) struct buffer packed = {0}, back = {0};
                _owned_(compressor_free) struct compressor *c = NULL;
                CHECK_INT(compressor_new(&c, kinds[i], 1, 0), 0);
                CHECK_INT(compressor_add(c, TEXT("one\n"), COMPRESS_FINISH, &packed), 0);
                CHECK_INT(compressor_add(c, TEXT("two\n"), COMPRESS_FINISH, &packed), 0);
                inflate_all(kinds[i], buffer_as_text(&packed), &back);
                CHECK_TEXT(buffer_as_text(&back), "one\ntwo\n");
        }
}

static void a_bomb_stops_at_the_bound(void) {
        static const enum compression kinds[] = {COMPRESSION_ZLIB, COMPRESSION_ZSTD};
        static char zeros[1 << 20];
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _owned_(buffer_fini) struct buffer packed = {0}, back = {0};
                _owned_(compressor_free) struct compressor *c = NULL;
                _owned_(decompressor_free) struct decompressor *d = NULL;
                CHECK_INT(compressor_new(&c, kinds[i], 9, 0), 0);
                CHECK_INT(compressor_add(c, (struct text){zeros, sizeof zeros}, COMPRESS_FINISH, &packed), 0);
                CHECK_INT(decompressor_new(&d, kinds[i]), 0);
                size_t used, at = 0, total = 0;
                do {
                        struct text rest = text_slice(buffer_as_text(&packed), at, packed.size);
                        buffer_clear(&back);
                        CHECK_INT(decompressor_add(d, rest, &used, &back, 1000), 0);
                        CHECK(back.size <= 1000);
                        at += used;
                        total += back.size;
                } while (back.size);
                CHECK_INT(total, sizeof zeros);
        }
}

static void rubbish_is_refused(void) {
        static const enum compression kinds[] = {COMPRESSION_GZIP, COMPRESSION_ZLIB, COMPRESSION_ZSTD};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                _owned_(buffer_fini) struct buffer back = {0};
                _owned_(decompressor_free) struct decompressor *d = NULL;
                CHECK_INT(decompressor_new(&d, kinds[i]), 0);
                size_t used;
                CHECK_INT(decompressor_add(d, TEXT("this is no compressed stream"), &used, &back, 1000), -EBADMSG);
        }
}

static void one_message_travels_alone(void) {
        _owned_(buffer_fini) struct buffer plain = {0}, packed = {0};
        _owned_(compressor_free) struct compressor *c = NULL;
        CHECK_INT(compressor_new(&c, COMPRESSION_ZLIB, 9, 0), 0);
        struct text in = chatter(&plain, 20);
        for (int round = 0; round < 3; round++) {
                buffer_clear(&packed);
                CHECK_INT(compress_message(c, in, &packed), 0);
                CHECK_INT(packed.data[0], 'z');
                char back[4096];
                size_t size;
                struct text body = text_slice(buffer_as_text(&packed), 1, packed.size);
                CHECK_INT(decompress_message(body, back, sizeof back, &size), 0);
                CHECK(text_equal(((struct text){back, size}), in));
                CHECK_INT(decompress_message(body, back, 100, &size), -EMSGSIZE);
        }
}

static void a_message_that_would_grow_stays_plain(void) {
        _owned_(buffer_fini) struct buffer packed = {0};
        _owned_(compressor_free) struct compressor *c = NULL;
        CHECK_INT(compressor_new(&c, COMPRESSION_ZLIB, 9, 0), 0);
        CHECK_INT(compress_message(c, TEXT("short"), &packed), COMPRESS_NO_GAIN);
        CHECK_INT(packed.size, 0);
}

TEST_MAIN(TEST(what_went_in_comes_out), TEST(a_flush_makes_everything_readable),
          TEST(members_behind_one_another_are_one_stream), TEST(a_bomb_stops_at_the_bound), TEST(rubbish_is_refused),
          TEST(one_message_travels_alone), TEST(a_message_that_would_grow_stays_plain))
