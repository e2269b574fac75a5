#include "base/random.h"

#include "base/test.h"

static void two_states_go_different_ways(void) {
        uint64_t one = 0, other = 0;
        CHECK(random_next(&one) != random_next(&other));
        CHECK(one != other && one && other);
}

static void a_state_says_what_comes_next(void) {
        uint64_t one = 42, other = 42;
        for (int i = 0; i < 100; i++)
                CHECK(random_next(&one) == random_next(&other));
        /* The first of the published generator from 1. */
        uint64_t first = 1;
        CHECK(random_next(&first) == 0x47e4ce4b896cdd1du);
}

TEST_MAIN(TEST(two_states_go_different_ways), TEST(a_state_says_what_comes_next))
