#include "base/lines.h"

#include <stdlib.h>

#include "base/test.h"

/* What lines_find() promises, told byte by byte. */
static unsigned find_by_byte(struct line_end *ends, const char *data, size_t size) {
        unsigned count = 0;
        bool is_plain = true;
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)data[i];
                if (c == '\n') {
                        ends[count++] = (struct line_end){.at = (uint32_t)i & INT32_MAX, .is_plain = is_plain};
                        is_plain = true;
                } else if (c < 32 || c > 127) {
                        is_plain = false;
                }
        }
        return count;
}

static bool agree(const char *data, size_t size) {
        static struct line_end found[LINES_MAX], wanted[1 << 12];
        unsigned count = lines_find(found, data, size), all = find_by_byte(wanted, data, size);
        /* It may stop early, but only with lines in hand. */
        if (count > all || (all && !count) || (count < all && count < LINES_MAX / 2))
                return false;
        for (unsigned i = 0; i < count; i++)
                if (found[i].at != wanted[i].at || found[i].is_plain != wanted[i].is_plain)
                        return false;
        return true;
}

static void no_bytes_have_no_lines(void) {
        struct line_end ends[LINES_MAX];
        CHECK_INT(lines_find(ends, "", 0), 0);
        CHECK_INT(lines_find(ends, "without an end", 14), 0);
}

static void a_line_tells_where_it_ends_and_whether_it_is_plain(void) {
        struct line_end ends[LINES_MAX];
        static const char text[] = "plain\nwith\ttab\n\nm\xc3\xbcll\n~\x7f !\nrest\t";
        CHECK_INT(lines_find(ends, text, sizeof text - 1), 5);
        CHECK_INT(ends[0].at, 5);
        CHECK_INT(ends[1].at, 14);
        CHECK_INT(ends[2].at, 15);
        CHECK(ends[0].is_plain && !ends[1].is_plain && ends[2].is_plain && !ends[3].is_plain && ends[4].is_plain);
}

static void every_byte_is_judged_at_every_place(void) {
        char data[150];
        bool is_right = true;
        for (unsigned c = 0; c < 256; c++)
                for (size_t at = 0; at < sizeof data - 1; at++) {
                        memset(data, 'x', sizeof data);
                        data[sizeof data - 1] = '\n';
                        data[at] = (char)c;
                        is_right &= agree(data, sizeof data);
                }
        CHECK(is_right);
}

static void random_bytes_are_judged_as_byte_by_byte(void) {
        static char data[1 << 12];
        unsigned random = 1;
        bool is_right = true;
        for (unsigned round = 0; round < 2000; round++) {
                size_t size = round % (sizeof data) + 1;
                for (size_t i = 0; i < size; i++) {
                        random = random * 1103515245 + 12345;
                        unsigned dice = random >> 16 & 255;
                        data[i] = (char)(dice < round % 40 ? '\n' : dice < 42 ? '\t' : dice < 44 ? 0x80 : 'a');
                }
                is_right &= agree(data, size);
        }
        CHECK(is_right);
}

static void lines_that_are_nothing_but_ends_come_in_portions(void) {
        static char data[1000];
        struct line_end ends[LINES_MAX];
        memset(data, '\n', sizeof data);
        unsigned count = lines_find(ends, data, sizeof data);
        CHECK(count > 0 && count <= LINES_MAX);
        CHECK_INT(ends[count - 1].at, count - 1);
}

TEST_MAIN(TEST(no_bytes_have_no_lines), TEST(a_line_tells_where_it_ends_and_whether_it_is_plain),
          TEST(every_byte_is_judged_at_every_place), TEST(random_bytes_are_judged_as_byte_by_byte),
          TEST(lines_that_are_nothing_but_ends_come_in_portions))
