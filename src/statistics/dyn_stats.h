/*
 * dyn_stats(): a bucket of counters with names that come from messages.
 *
 *   dyn_inc() -> view -> generation -> cell     a worker holds one reference a batch
 *   report    -> cells that nobody touched for unusedMetricLife are left out of a new
 *                generation; the old one goes with its last holder
 *
 * A message that increments a counter in the moment in which it is purged is the
 * only one that can go uncounted.
 */
#pragma once

#include "base/counter.h"
#include "module/definitions.h"
#include "module/statistics.h"

struct dyn_stats;

/*
 * Settings are lent for the bucket's life; `number` tells buckets apart, from 0. Without `is_shown` nobody ever reports
 * it, and nothing is counted: so does rsyslog without impstats. -ENOMEM.
 */
int dyn_stats_new(struct dyn_stats **ret, const struct dyn_stats_settings *settings, size_t number, bool is_shown);
struct dyn_stats *dyn_stats_free(struct dyn_stats *d);
OWNED_POINTER(struct dyn_stats, dyn_stats_free);

/* What became of operations, in this order: dyn_stats_counter_names[]. */
enum dyn_stats_counter {
        DYN_OPS_OVERFLOW,
        DYN_NEW_METRIC_ADD,
        DYN_NO_METRIC,
        DYN_METRICS_PURGED,
        DYN_OPS_IGNORED,
        DYN_PURGE_TRIGGERED,
        DYN_COUNTERS,
};
extern const char *const dyn_stats_counter_names[DYN_COUNTERS];
const char *dyn_stats_name(const struct dyn_stats *d);
const struct counter *dyn_stats_counters(const struct dyn_stats *d);

/* What one worker sees: the generations that it uses until the end of a batch. Belongs to a thread. */
struct generation;
struct dyn_views {
        struct generation **held; /* by bucket */
        size_t count;
        bool is_holding;
};
void dyn_views_fini(struct dyn_views *v);
void dyn_views_release_all(struct dyn_views *v);
static inline void dyn_views_release(struct dyn_views *v) {
        if (v->is_holding)
                dyn_views_release_all(v);
}

enum { DYN_IS_FULL = -6 /* rsyslog's number for it */ };

/* 0, or DYN_IS_FULL. A name without a byte is counted as such, and no mistake. */
int dyn_stats_increment(struct dyn_stats *d, struct dyn_views *v, struct text name);

/* Purges where it is time, shows the bucket, and begins again at 0 where it is resettable. One thread at a time. */
void dyn_stats_report(struct dyn_stats *d, int64_t now_ns, struct statistic_visitor *visitor);
