#include "statistics/dyn_stats.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/test.h"

/* A report as "a=1 b=2 ". */
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

static const char *report(struct dyn_stats *d, int64_t now_ns) {
        dyn_stats_report(d, now_ns, &shown.visitor);
        return shown.text;
}

static char bucket_name[] = "bucket";

static struct dyn_stats *bucket(struct dyn_stats_settings *s, int64_t most, int64_t life_s, bool is_resettable) {
        struct dyn_stats *d;
        *s = (struct dyn_stats_settings){
                .name = bucket_name, .is_resettable = is_resettable, .cardinality_max = most, .unused_life_s = life_s};
        CHECK_INT(dyn_stats_new(&d, s, 1, true), 0);
        return d;
}

static uint64_t counted(const struct dyn_stats *d, enum dyn_stats_counter which) {
        return counter_get(&dyn_stats_counters(d)[which]);
}

static void names_are_counted_in_the_order_in_which_they_came(void) {
        struct dyn_stats_settings s;
        _owned_(dyn_stats_free) struct dyn_stats *d = bucket(&s, 10, 3600, false);
        struct dyn_views v = {0};
        static const char *const names[] = {"b", "a", "b", "c", "b"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                CHECK_INT(dyn_stats_increment(d, &v, text_of(names[i])), 0);
        CHECK_TEXT(text_of(report(d, clock_mono_ns())), "b=3 a=1 c=1 ");
        CHECK_TEXT(text_of(report(d, clock_mono_ns())), "b=3 a=1 c=1 ");
        CHECK_INT(counted(d, DYN_NEW_METRIC_ADD), 3);
        dyn_views_fini(&v);
}

static void a_report_resets_where_it_may(void) {
        struct dyn_stats_settings s;
        _owned_(dyn_stats_free) struct dyn_stats *d = bucket(&s, 10, 3600, true);
        struct dyn_views v = {0};
        dyn_stats_increment(d, &v, TEXT("a"));
        CHECK_TEXT(text_of(report(d, clock_mono_ns())), "a=1 ");
        CHECK_TEXT(text_of(report(d, clock_mono_ns())), "a=0 ");
        dyn_views_fini(&v);
}

static void one_name_too_many_is_refused_and_counted(void) {
        struct dyn_stats_settings s;
        _owned_(dyn_stats_free) struct dyn_stats *d = bucket(&s, 2, 3600, true);
        struct dyn_views v = {0};
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("a")), 0);
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("b")), 0);
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("c")), DYN_IS_FULL);
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("a")), 0);
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("")), 0);
        CHECK_TEXT(text_of(report(d, clock_mono_ns())), "a=2 b=1 ");
        CHECK_INT(counted(d, DYN_OPS_OVERFLOW), 1);
        CHECK_INT(counted(d, DYN_NO_METRIC), 1);
        dyn_views_fini(&v);
}

static void what_nobody_uses_makes_room(void) {
        struct dyn_stats_settings s;
        _owned_(dyn_stats_free) struct dyn_stats *d = bucket(&s, 2, 10, true);
        struct dyn_views v = {0};
        int64_t now = clock_mono_ns(), life = 10000000000;
        dyn_stats_increment(d, &v, TEXT("a"));
        dyn_stats_increment(d, &v, TEXT("b"));
        /* Both were used in the first life, so both get another. */
        CHECK_TEXT(text_of(report(d, now + life)), "a=1 b=1 ");
        /* A view that still holds the old generation counts in cells that live on, and finds what is new. */
        dyn_stats_increment(d, &v, TEXT("a"));
        CHECK_TEXT(text_of(report(d, now + 2 * life)), "a=1 ");
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("c")), 0);
        CHECK_INT(dyn_stats_increment(d, &v, TEXT("c")), 0);
        CHECK_TEXT(text_of(report(d, now + 2 * life + 1)), "a=0 c=2 ");
        CHECK_INT(counted(d, DYN_METRICS_PURGED), 1);
        CHECK_INT(counted(d, DYN_PURGE_TRIGGERED), 2);
        dyn_views_fini(&v);
}

enum { COUNTERS = 4, INCREMENTS = 20000, NAMES = 50 };

static struct dyn_stats *crowded;

static void *count_on(void *argument _unused_) {
        struct dyn_views v = {0};
        for (unsigned i = 0; i < INCREMENTS; i++) {
                char name[16];
                snprintf(name, sizeof name, "n%u", i % NAMES);
                dyn_stats_increment(crowded, &v, text_of(name));
                if (i % 256 == 0)
                        dyn_views_release(&v);
        }
        dyn_views_fini(&v);
        return NULL;
}

static void many_threads_lose_nothing(void) {
        struct dyn_stats_settings s;
        _owned_(dyn_stats_free) struct dyn_stats *d = bucket(&s, NAMES, 3600, false);
        pthread_t threads[COUNTERS];
        crowded = d;
        for (unsigned i = 0; i < COUNTERS; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, count_on, NULL), 0);
        for (unsigned i = 0; i < COUNTERS; i++)
                pthread_join(threads[i], NULL);
        long long sum = 0;
        for (const char *at = report(d, clock_mono_ns()); (at = strchr(at, '=')); at++)
                sum += strtoll(at + 1, NULL, 10);
        CHECK_INT(sum, COUNTERS * INCREMENTS);
        CHECK_INT(counted(d, DYN_NEW_METRIC_ADD), NAMES);
}

TEST_MAIN(TEST(names_are_counted_in_the_order_in_which_they_came), TEST(a_report_resets_where_it_may),
          TEST(one_name_too_many_is_refused_and_counted), TEST(what_nobody_uses_makes_room),
          TEST(many_threads_lose_nothing))
