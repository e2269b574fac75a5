#include "input/part.h"

#include "base/test.h"

static void nothing_held_has_no_buffer(void) {
        struct part p = {0};
        CHECK_INT(part_hold(&p, "", 0), 0);
        CHECK(!p.data);
        CHECK_INT(part_hold(&p, "begin", 5), 0);
        CHECK_INT(part_hold(&p, "", 0), 0);
        CHECK(!p.data && p.size == 0 && p.capacity == 0);
}

static void what_is_left_of_a_part_stays(void) {
        struct part p = {0};
        CHECK_INT(part_hold(&p, "first\nrest", 10), 0);
        CHECK_INT(part_hold(&p, p.data + 6, 4), 0);
        CHECK_TEXT(((struct text){p.data, p.size}), "rest");
        part_drop(&p);
        CHECK(!p.data && p.size == 0);
}

static void a_small_rest_of_a_large_part_keeps_no_large_buffer(void) {
        static const char large[PART_IN_BATCH_MAX + 1] = "begin";
        struct part p = {0};
        CHECK(part_grow(&p, sizeof large * 2));
        CHECK_INT(part_hold(&p, large, sizeof large), 0);
        CHECK(part_has_outgrown(&p));
        CHECK_INT(p.capacity, sizeof large * 2);
        CHECK_INT(part_hold(&p, p.data, 5), 0);
        CHECK(!part_has_outgrown(&p));
        CHECK_INT(p.capacity, 5);
        CHECK_TEXT(((struct text){p.data, p.size}), "begin");
        part_drop(&p);
}

TEST_MAIN(TEST(nothing_held_has_no_buffer), TEST(what_is_left_of_a_part_stays),
          TEST(a_small_rest_of_a_large_part_keeps_no_large_buffer))
