#include "base/text.h"

#include <errno.h>

#include "base/test.h"

/* The plainest way, to compare with. */
static ptrdiff_t find_slowly(struct text t, struct text part, bool (*equal)(struct text, struct text)) {
        for (size_t at = 0; at + part.size <= t.size; at++)
                if (equal(text_slice(t, at, at + part.size), part))
                        return (ptrdiff_t)at;
        return -1;
}

static void a_part_is_found_wherever_it_lies(void) {
        char hay[100];
        uint32_t random = 1;
        for (unsigned round = 0; round < 20000; round++) {
                size_t size = (random = random * 1664525 + 1013904223) >> 8 & 63;
                for (size_t i = 0; i < size; i++)
                        hay[i] = "aAbB@`"[((random = random * 1664525 + 1013904223) >> 16) % 6];
                size_t from = size ? (random >> 4) % size : 0, length = (random >> 12) % 5;
                char part[8];
                struct text piece = text_slice((struct text){hay, size}, from, from + length);
                memcpy(part, piece.data, piece.size);
                if (piece.size && round % 3 == 0)
                        part[piece.size - 1] = 'b';
                struct text t = {hay, size}, p = {part, piece.size};
                CHECK_INT(text_find(t, p), find_slowly(t, p, text_equal));
                CHECK_INT(text_find_nocase(t, p), find_slowly(t, p, text_equal_nocase));
        }
}

static void searching_never_reads_behind_the_end(void) {
        for (size_t size = 1; size < 70; size++) {
                char *exact = malloc(size); /* so that a sanitizer sees the next byte read */
                CHECK(exact);
                memset(exact, 'x', size);
                CHECK_INT(text_find((struct text){exact, size}, TEXT("xy")), -1);
                CHECK_INT(text_find_nocase((struct text){exact, size}, TEXT("y")), -1);
                free(exact);
        }
}

static void integers_are_read_whole_or_not_at_all(void) {
        int64_t n = 0;
        CHECK(text_to_int(TEXT("-9223372036854775808"), &n) == 0 && n == INT64_MIN);
        CHECK_INT(text_to_int(TEXT("9223372036854775808"), &n), -ERANGE);
        CHECK_INT(text_to_int(TEXT("12x"), &n), -EINVAL);
        CHECK_INT(text_to_int(TEXT("-"), &n), -EINVAL);
        CHECK_INT(text_to_int(TEXT_NONE, &n), -EINVAL);
}

static void a_suggestion_is_close_or_none(void) {
        static const char *const names[] = {"queue.type", "queue.size", "template"};
        CHECK_TEXT(text_of(text_closest(TEXT("queue.typ"), names, 3)), "queue.type");
        CHECK_TEXT(text_of(text_closest(TEXT("tempalte"), names, 3)), "template");
        CHECK(text_closest(TEXT("something"), names, 3) == NULL);
}

static void a_buffer_grows_and_prints(void) {
        _owned_(buffer_fini) struct buffer b = {0};
        for (int i = 0; i < 1000; i++)
                buffer_format(&b, "%d,", i);
        buffer_int(&b, INT64_MIN);
        CHECK_INT(buffer_failed(&b), 0);
        CHECK(text_ends(buffer_as_text(&b), TEXT("999,-9223372036854775808")));
        CHECK_INT(strlen(buffer_string(&b)), b.size);
}

static void short_bytes_are_copied_and_compared_to_the_last_one(void) {
        char from[64], to[66];
        for (size_t i = 0; i < sizeof from; i++)
                from[i] = (char)(i + 1);
        for (size_t size = 0; size <= sizeof from; size++) {
                memset(to, 0, sizeof to);
                CHECK(bytes_put(to + 1, from, size) == to + 1 + size);
                CHECK(memcmp(to + 1, from, size) == 0 && to[0] == 0 && to[size + 1] == 0);
                CHECK(bytes_are_equal(to + 1, from, size));
                for (size_t i = 0; i < size; i++) {
                        to[1 + i] ^= 1;
                        CHECK(!bytes_are_equal(to + 1, from, size));
                        to[1 + i] ^= 1;
                }
        }
}

TEST_MAIN(TEST(short_bytes_are_copied_and_compared_to_the_last_one), TEST(a_part_is_found_wherever_it_lies),
          TEST(searching_never_reads_behind_the_end), TEST(integers_are_read_whole_or_not_at_all),
          TEST(a_suggestion_is_close_or_none), TEST(a_buffer_grows_and_prints))
