#include "message/stamp.h"

#include <time.h>

#include "base/test.h"

static void use_zone(const char *tz) {
        setenv("TZ", tz, 1);
        tzset();
}

static void a_wall_time_becomes_local_time_of_the_zone(void) {
        use_zone("TEST-05:30");
        struct stamp s = stamp_of_wall(1066997655003000); /* 2003-10-24T12:14:15.003Z */
        CHECK_INT(s.year, 2003);
        CHECK_INT(s.month, 10);
        CHECK_INT(s.day, 24);
        CHECK_INT(s.hour, 17);
        CHECK_INT(s.minute, 44);
        CHECK_INT(s.second, 15);
        CHECK_INT(s.fraction, 3000);
        CHECK_INT(s.precision, 6);
        CHECK_INT(s.offset_minutes, 330);
        CHECK_INT(s.is_utc, 0);
}

static void both_directions_agree(void) {
        use_zone("TEST+03:00");
        static const int64_t moments[] = {
                0, 951782399999999, 951782400000000, 1709164800000001, 4102444800123456, 253402300799999999};
        for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
                struct stamp s = stamp_of_wall(moments[i]);
                CHECK_INT(stamp_to_wall(&s), moments[i]);
        }
}

static void a_clock_outside_of_1970_to_9999_is_held_at_the_edge(void) {
        use_zone("UTC");
        CHECK_INT(stamp_of_wall(-5).year, 1970);
        CHECK_INT(stamp_of_wall(-5).second, 0);
        struct stamp last = stamp_of_wall(INT64_MAX);
        CHECK_INT(last.year, 9999);
        CHECK_INT(last.second, 59);
}

static void fields_out_of_range_carry_over(void) {
        struct stamp s = {.year = 2023, .month = 14, .day = 31, .hour = 25, .minute = 0, .second = 60, .is_set = 1};
        struct stamp same = {.year = 2024, .month = 3, .day = 3, .hour = 1, .minute = 1, .second = 0, .is_set = 1};
        CHECK_INT(stamp_to_wall(&s), stamp_to_wall(&same));
        struct stamp none = {.year = 2024, .day = 1};
        struct stamp december = {.year = 2023, .month = 12, .day = 1};
        CHECK_INT(stamp_to_wall(&none), stamp_to_wall(&december));
}

static void moving_to_another_offset_keeps_moment_and_precision(void) {
        struct stamp s = {.year = 2003,
                          .month = 8,
                          .day = 24,
                          .hour = 5,
                          .minute = 14,
                          .second = 15,
                          .precision = 3,
                          .fraction = 7,
                          .offset_minutes = -420,
                          .is_set = 1};
        struct stamp utc = stamp_in_offset(&s, 0);
        CHECK_INT(utc.hour, 12);
        CHECK_INT(utc.precision, 3);
        CHECK_INT(utc.fraction, 7);
        CHECK_INT(stamp_to_wall(&utc), stamp_to_wall(&s));
        struct stamp east = stamp_in_offset(&s, 14 * 60);
        CHECK_INT(east.day, 25);
        CHECK_INT(stamp_to_wall(&east), stamp_to_wall(&s));
}

static void new_year_of_1970_moves_west_into_1969(void) {
        struct stamp s = {.year = 1970, .month = 1, .day = 1, .is_set = 1};
        struct stamp west = stamp_in_offset(&s, -60);
        CHECK_INT(west.year, 1969);
        CHECK_INT(west.month, 12);
        CHECK_INT(west.day, 31);
        CHECK_INT(west.hour, 23);
}

static void every_day_of_eight_thousand_years_is_one_after_the_last(void) {
        int64_t before = 0;
        struct stamp s = {.year = 1970, .month = 1, .day = 1, .is_set = 1};
        for (int day = 1; day < 8030 * 365; day += 1) {
                s.day++;
                struct stamp next = stamp_in_offset(&s, 0);
                int64_t wall = stamp_to_wall(&next);
                CHECK(wall - before == 86400 * INT64_C(1000000));
                before = wall;
                s = next;
        }
        CHECK_INT(s.year, 9994);
}

static void a_date_without_a_year_lies_behind_or_at_most_a_month_ahead(void) {
        static const struct {
                uint8_t month, now;
                int years_on;
        } guesses[] = {{12, 1, -1}, {1, 1, 0},  {2, 1, 0},  {3, 1, -1},   {11, 12, 0}, {12, 12, 0},
                       {1, 12, 1},  {2, 12, 0}, {1, 11, 0}, {12, 11, 0},  {7, 6, 0},   {8, 6, -1},
                       {5, 6, 0},   {6, 6, 0},  {9, 12, 0}, {12, 10, -1}, {10, 1, -1}};
        for (size_t i = 0; i < ARRAY_SIZE(guesses); i++) {
                struct stamp now = {.year = 2024, .month = guesses[i].now, .day = 15};
                CHECK_INT(stamp_guess_year(guesses[i].month, &now), 2024 + guesses[i].years_on);
        }
}

TEST_MAIN(TEST(a_wall_time_becomes_local_time_of_the_zone), TEST(both_directions_agree),
          TEST(a_clock_outside_of_1970_to_9999_is_held_at_the_edge), TEST(fields_out_of_range_carry_over),
          TEST(moving_to_another_offset_keeps_moment_and_precision), TEST(new_year_of_1970_moves_west_into_1969),
          TEST(every_day_of_eight_thousand_years_is_one_after_the_last),
          TEST(a_date_without_a_year_lies_behind_or_at_most_a_month_ahead))
