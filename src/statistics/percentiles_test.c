#include "statistics/percentiles.h"

#include <errno.h>

#include "base/test.h"

struct shown {
        struct statistic_visitor visitor;
        char text[4096];
};

static void show(struct statistic_visitor *visitor, const struct statistic_object *o) {
        struct shown *s = CONTAINER_OF(visitor, struct shown, visitor);
        size_t at = 0;
        s->text[0] = '\0';
        for (size_t i = 0; i < o->count && at < sizeof s->text - 64; i++)
                at += (size_t)snprintf(s->text + at, sizeof s->text - at, "%.*s=%lld ", TEXT_ARGS(o->values[i].name),
                                       (long long)o->values[i].value);
}

static struct shown shown = {.visitor.visit = show};
static char bucket_name[] = "bucket", dot[] = ".", fifty[] = "50", ninety_five[] = "95", hundred[] = "100";
static char zero[] = "0", word[] = "x";

static int make(struct percentiles **ret, struct percentile_stats_settings *s, char **wanted, size_t count,
                int64_t size, const char **wrong) {
        *s = (struct percentile_stats_settings){.name = bucket_name,
                                                .percentiles = {.items = wanted, .count = count},
                                                .window_size = size,
                                                .delimiter = dot};
        return percentiles_new(ret, s, true, wrong);
}

static void percentiles_are_those_of_the_nearest_rank(void) {
        char *wanted[] = {fifty, ninety_five, hundred};
        struct percentile_stats_settings s;
        struct percentiles *p;
        const char *wrong;
        CHECK_INT(make(&p, &s, wanted, 3, 1000, &wrong), 0);
        for (int64_t i = 1000; i >= 1; i--)
                CHECK_INT(percentiles_observe(p, TEXT("n"), i + 1000), 0);
        percentiles_report(p, &shown.visitor);
        CHECK_TEXT(text_of(shown.text), "n.p50=1500 n.p95=1950 n.p100=2000 n.window_min=1001 n.window_max=2000 "
                                        "n.window_sum=1500500 n.window_count=1000 ");
        percentiles_free(p);
}

static void a_window_slides_and_its_bounds_stay(void) {
        char *wanted[] = {fifty};
        struct percentile_stats_settings s;
        struct percentiles *p;
        const char *wrong;
        CHECK_INT(make(&p, &s, wanted, 1, 3, &wrong), 0);
        for (int64_t i = -2; i <= 6; i++)
                percentiles_observe(p, TEXT("n"), i);
        percentiles_report(p, &shown.visitor);
        CHECK_TEXT(text_of(shown.text), "n.p50=4 n.window_min=-2 n.window_max=6 n.window_sum=18 n.window_count=4 ");
        percentiles_observe(p, TEXT("n"), 7);
        percentiles_report(p, &shown.visitor);
        CHECK_TEXT(text_of(shown.text), "n.p50=7 n.window_min=7 n.window_max=7 n.window_sum=7 n.window_count=1 ");
        percentiles_free(p);
}

static void an_interval_without_observations_keeps_the_figures(void) {
        char *wanted[] = {fifty};
        struct percentile_stats_settings s;
        struct percentiles *p;
        const char *wrong;
        CHECK_INT(make(&p, &s, wanted, 1, 4, &wrong), 0);
        percentiles_observe(p, TEXT("n"), 3);
        percentiles_observe(p, TEXT("n"), -8);
        for (int i = 0; i < 3; i++) {
                percentiles_report(p, &shown.visitor);
                CHECK_TEXT(text_of(shown.text),
                           "n.p50=-8 n.window_min=-8 n.window_max=3 n.window_sum=-5 n.window_count=2 ");
        }
        percentiles_observe(p, TEXT("n"), 9);
        percentiles_report(p, &shown.visitor);
        CHECK_TEXT(text_of(shown.text), "n.p50=9 n.window_min=9 n.window_max=9 n.window_sum=9 n.window_count=1 ");
        percentiles_free(p);
}

static void what_is_no_percentile_is_refused(void) {
        char *wrongs[] = {zero, word};
        struct percentile_stats_settings s;
        struct percentiles *p;
        for (size_t i = 0; i < 2; i++) {
                const char *wrong = NULL;
                CHECK_INT(make(&p, &s, &wrongs[i], 1, 3, &wrong), -EINVAL);
                CHECK(wrong == wrongs[i]);
        }
}

static void windows_are_bounded(void) {
        char *wanted[] = {fifty};
        struct percentile_stats_settings s;
        struct percentiles *p;
        const char *wrong;
        CHECK_INT(make(&p, &s, wanted, 1, 16, &wrong), 0);
        for (unsigned i = 0; i <= PERCENTILE_NAMES_MAX; i++) {
                char name[16];
                snprintf(name, sizeof name, "n%u", i);
                CHECK_INT(percentiles_observe(p, text_of(name), 1), i < PERCENTILE_NAMES_MAX ? 0 : PERCENTILE_IS_FULL);
        }
        CHECK_INT(counter_get(&percentiles_counters(p)[PERCENTILE_OPS_OVERFLOW]), 1);
        CHECK_INT(counter_get(&percentiles_counters(p)[PERCENTILE_NEW_METRIC_ADD]), PERCENTILE_NAMES_MAX);
        percentiles_free(p);
}

TEST_MAIN(TEST(percentiles_are_those_of_the_nearest_rank), TEST(a_window_slides_and_its_bounds_stay),
          TEST(an_interval_without_observations_keeps_the_figures), TEST(what_is_no_percentile_is_refused),
          TEST(windows_are_bounded))
