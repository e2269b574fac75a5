/*
 * percentile_stats(): windows of observations with names that the configuration
 * gives. A window is a ring of the newest observations since the last report; any
 * thread adds to it without a lock. Percentiles are those of the nearest rank.
 */
#pragma once

#include "base/counter.h"
#include "module/definitions.h"
#include "module/statistics.h"

struct percentiles;

enum {
        PERCENTILE_NAMES_MAX = 1000,            /* windows of a bucket */
        PERCENTILE_OBSERVATIONS_MAX = 64 << 20, /* that all windows of a bucket may hold */
        PERCENTILES_MAX = 100,                  /* that a bucket may ask for */
};

/*
 * Settings are lent for the bucket's life. Without `is_shown` nothing is observed, since nobody ever reports. -EINVAL:
 * *wrong names a percentile that is none; -ENOMEM.
 */
int percentiles_new(struct percentiles **ret, const struct percentile_stats_settings *settings, bool is_shown,
                    const char **wrong);
struct percentiles *percentiles_free(struct percentiles *p);
OWNED_POINTER(struct percentiles, percentiles_free);

enum percentile_counter { PERCENTILE_NEW_METRIC_ADD, PERCENTILE_OPS_OVERFLOW, PERCENTILE_COUNTERS };
extern const char *const percentile_counter_names[PERCENTILE_COUNTERS];
const char *percentiles_name(const struct percentiles *p);
const struct counter *percentiles_counters(const struct percentiles *p);

enum { PERCENTILE_IS_FULL = -6 };

/* 0, or PERCENTILE_IS_FULL. */
int percentiles_observe(struct percentiles *p, struct text name, int64_t value);

/* Shows all windows; they begin anew, whatever else a report resets. One thread at a time. */
void percentiles_report(struct percentiles *p, struct statistic_visitor *visitor);
