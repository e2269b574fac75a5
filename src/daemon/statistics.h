/*
 * The statistics of a pipeline: the buckets of dyn_stats() and percentile_stats(),
 * and the walk over these and all other counters, under rsyslog's names.
 */
#pragma once

#include "daemon/actions.h"
#include "daemon/collector.h"
#include "daemon/inputs.h"
#include "daemon/limits.h"
#include "language/diagnostics.h"
#include "statistics/dyn_stats.h"
#include "statistics/percentiles.h"

struct statistics;

/* A bucket that cannot be is told in the diagnostics and left out. -ENOMEM. */
int statistics_new(struct statistics **ret, const struct config *config, struct diagnostics *diagnostics);
struct statistics *statistics_free(struct statistics *s);
OWNED_POINTER(struct statistics, statistics_free);

struct dyn_stats *statistics_find_dyn(const struct statistics *s, struct text name);
struct percentiles *statistics_find_percentiles(const struct statistics *s, struct text name);

/* What else is walked over; lent. */
struct statistics_sources {
        struct inputs *inputs;
        struct actions *actions;
        struct limits *limits;
        struct queue *const *queues; /* of rulesets, the main queue last */
        size_t queue_count;
};
/* One walk at a time. */
void statistics_visit(struct statistics *s, const struct statistics_sources *sources, bool resets,
                      struct statistic_visitor *visitor);
/* One queue, for those who have them. */
void statistics_of_queue(struct collector *c, struct queue *queue, struct text name);
