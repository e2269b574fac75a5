/*
 * A collector walks over all counters of the daemon for a visitor. Counters are
 * never set back: where a report resets, the collector remembers what it showed
 * last and shows what came since, so that nothing that is counted meanwhile is lost.
 * For that the walk has the same order every time.
 */
#pragma once

#include "base/counter.h"
#include "module/module.h"
#include "module/statistics.h"

enum { COLLECTED_VALUES_MAX = 64 };

struct collector {
        struct statistic_visitor *visitor; /* of the walk that runs */
        bool resets;
        struct statistic_value values[COLLECTED_VALUES_MAX];
        size_t count;
        uint64_t *shown; /* by the number of a counter in the walk */
        size_t shown_count, at;
};

void collector_fini(struct collector *c);
void collector_begin_walk(struct collector *c, struct statistic_visitor *visitor, bool resets);

/* One object: begin, any of the others, end. Names are lent until the end. */
void collector_begin(struct collector *c);
/* A sum that grows. */
void collector_sum(struct collector *c, const char *name, uint64_t value);
/* What is so now. */
void collector_now(struct collector *c, const char *name, int64_t value);
/* The counters of a module that belong to `object` (NULL: its own), each summed over `sets` of them. */
void collector_table(struct collector *c, const struct counter_def *table, const char *object,
                     const struct counter *const *sets, size_t set_count);
void collector_end(struct collector *c, struct text name, const char *origin);
