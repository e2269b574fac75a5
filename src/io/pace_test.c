#include "io/pace.h"

#include "base/test.h"

/* Feeds `rounds` rounds of `count`, `gap_ns` apart; returns the last answer. */
static int64_t feed(struct pace *p, unsigned rounds, unsigned count, int64_t gap_ns) {
        int64_t now_ns = 1, pause_ns = 0;
        for (unsigned i = 0; i < rounds; i++, now_ns += gap_ns)
                pause_ns = pace_after(p, count, now_ns);
        return pause_ns;
}

static void a_lone_message_is_never_held(void) {
        struct pace p;
        pace_init(&p, 1 << 20);
        CHECK_INT(feed(&p, 1, 1, 1000), 0);
        CHECK_INT(feed(&p, 1000, 1, 100000), 0);
}

static void many_gather_for_as_long_as_they_take_to_arrive(void) {
        struct pace p;
        pace_init(&p, 4 << 20);
        /* Three each ten microseconds: 300,000 a second. */
        int64_t pause_ns = feed(&p, 2000, 3, 10000);
        CHECK(pause_ns > 1600000 && pause_ns < 1800000);
}

static void a_pause_has_a_bound(void) {
        struct pace p;
        pace_init(&p, 1 << 20);
        CHECK(feed(&p, 2000, 1, 19000) <= PACE_PAUSE_MAX_NS);
}

static void a_small_buffer_is_read_sooner(void) {
        struct pace large, small;
        pace_init(&large, 1 << 20);
        pace_init(&small, 32 << 10);
        CHECK(feed(&small, 2000, 3, 10000) < feed(&large, 2000, 3, 10000) / 4);
}

static void a_full_round_is_followed_by_the_next_at_once(void) {
        struct pace p;
        pace_init(&p, 4 << 20);
        CHECK_INT(feed(&p, 2000, 512, 60000), 0);
}

static void without_a_buffer_there_is_no_pause(void) {
        struct pace p;
        pace_init(&p, 0);
        CHECK_INT(feed(&p, 2000, 3, 10000), 0);
}

TEST_MAIN(TEST(a_lone_message_is_never_held), TEST(many_gather_for_as_long_as_they_take_to_arrive),
          TEST(a_pause_has_a_bound), TEST(a_small_buffer_is_read_sooner),
          TEST(a_full_round_is_followed_by_the_next_at_once), TEST(without_a_buffer_there_is_no_pause))
