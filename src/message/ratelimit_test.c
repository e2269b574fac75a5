#include "message/ratelimit.h"

#include "base/test.h"

enum { SECOND = 1000000 };

static void without_an_interval_everything_passes(void) {
        struct ratelimit r = {.interval_s = 0, .burst = 1};
        uint64_t lost = 7;
        for (int i = 0; i < 100; i++)
                CHECK(ratelimit_pass(&r, SECOND + i, &lost));
        CHECK_INT(lost, 0);
}

static void a_burst_passes_and_the_rest_of_the_window_does_not(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 3};
        uint64_t lost;
        int passed = 0;
        for (int i = 0; i < 10; i++) {
                passed += ratelimit_pass(&r, 10 * SECOND + i, &lost);
                CHECK_INT(lost, 0);
        }
        CHECK_INT(passed, 3);
        CHECK(!ratelimit_pass(&r, 15 * SECOND - 1, &lost));
}

static void the_next_window_tells_what_the_last_one_lost(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 1};
        uint64_t lost;
        CHECK(ratelimit_pass(&r, 10 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 11 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 12 * SECOND, &lost));
        CHECK(ratelimit_pass(&r, 15 * SECOND, &lost));
        CHECK_INT(lost, 2);
        CHECK(ratelimit_pass(&r, 20 * SECOND, &lost));
        CHECK_INT(lost, 0);
}

static void a_clock_set_back_ends_the_window(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 1};
        uint64_t lost;
        CHECK(ratelimit_pass(&r, 1000 * (int64_t)SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 1001 * (int64_t)SECOND, &lost));
        CHECK(ratelimit_pass(&r, 10 * SECOND, &lost));
        CHECK_INT(lost, 1);
}

static void a_burst_of_nothing_discards_everything(void) {
        struct ratelimit r = {.interval_s = 1, .burst = 0};
        uint64_t lost;
        CHECK(!ratelimit_pass(&r, SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 3 * SECOND, &lost));
        CHECK_INT(lost, 1);
}

TEST_MAIN(TEST(without_an_interval_everything_passes), TEST(a_burst_passes_and_the_rest_of_the_window_does_not),
          TEST(the_next_window_tells_what_the_last_one_lost), TEST(a_clock_set_back_ends_the_window),
          TEST(a_burst_of_nothing_discards_everything))
