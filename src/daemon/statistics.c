#include "daemon/statistics.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fail.h"

enum { CODE_OF_OBJECTS = 2207, BUCKETS_MAX = 10000 };

struct statistics {
        bool are_shown; /* impstats is loaded */
        struct dyn_stats **dyn;
        size_t dyn_count;
        struct percentiles **percentiles;
        size_t percentile_count;
        struct collector collector;
};

/* ---- Buckets ---------------------------------------------------------------- */

struct dyn_stats *statistics_find_dyn(const struct statistics *s, struct text name) {
        for (size_t i = 0; i < s->dyn_count; i++)
                if (text_equal(text_of(dyn_stats_name(s->dyn[i])), name))
                        return s->dyn[i];
        return NULL;
}

struct percentiles *statistics_find_percentiles(const struct statistics *s, struct text name) {
        for (size_t i = 0; i < s->percentile_count; i++)
                if (text_equal(text_of(percentiles_name(s->percentiles[i])), name))
                        return s->percentiles[i];
        return NULL;
}

static void tell_twice(const struct definition *d, struct diagnostics *diagnostics) {
        diagnose(diagnostics, SEVERITY_WARNING, CODE_OF_OBJECTS, d->place, (uint32_t)strlen(d->kind),
                 "the first one counts", "%s '%s' is defined more than once", d->kind, d->name);
}

static int add_dyn(struct statistics *s, const struct definition *d, struct diagnostics *diagnostics) {
        if (statistics_find_dyn(s, text_of(d->name))) {
                tell_twice(d, diagnostics);
                return 0;
        }
        int r = dyn_stats_new(&s->dyn[s->dyn_count], d->settings, s->dyn_count, s->are_shown);
        if (r)
                return pass(r);
        s->dyn_count++;
        return 0;
}

static int add_percentiles(struct statistics *s, const struct definition *d, struct diagnostics *diagnostics) {
        if (statistics_find_percentiles(s, text_of(d->name))) {
                tell_twice(d, diagnostics);
                return 0;
        }
        const char *wrong = "";
        int r = percentiles_new(&s->percentiles[s->percentile_count], d->settings, s->are_shown, &wrong);
        if (r == -EINVAL) {
                diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, d->place, (uint32_t)strlen(d->kind),
                         "percentiles are whole numbers from 1 to 100", "'%s' is no percentile", wrong);
                return 0;
        }
        if (r)
                return pass(r);
        s->percentile_count++;
        return 0;
}

int statistics_new(struct statistics **ret, const struct config *config, struct diagnostics *diagnostics) {
        _owned_(statistics_free) struct statistics *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        for (const struct loaded_module *m = config->modules; m; m = m->next)
                s->are_shown |= strcmp(m->module->name, "impstats") == 0;
        size_t count = 0;
        for (const struct definition *d = config->definitions; d; d = d->next)
                count++;
        s->dyn = calloc(count + 1, sizeof(*s->dyn));
        s->percentiles = calloc(count + 1, sizeof(*s->percentiles));
        if (!s->dyn || !s->percentiles)
                return fail(-ENOMEM);
        for (const struct definition *d = config->definitions; d; d = d->next) {
                int r = 0;
                if (strcmp(d->kind, "dyn_stats") == 0)
                        r = add_dyn(s, d, diagnostics);
                else if (strcmp(d->kind, "percentile_stats") == 0)
                        r = add_percentiles(s, d, diagnostics);
                if (r)
                        return pass(r);
        }
        *ret = TAKE(s);
        return 0;
}

struct statistics *statistics_free(struct statistics *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->dyn_count; i++)
                dyn_stats_free(s->dyn[i]);
        for (size_t i = 0; i < s->percentile_count; i++)
                percentiles_free(s->percentiles[i]);
        free(s->dyn);
        free(s->percentiles);
        collector_fini(&s->collector);
        free(s);
        return NULL;
}

/* ---- The walk --------------------------------------------------------------- */

/* "bucket.ops_overflow" and so on of all buckets are one object; names are made here. */
struct global_values {
        struct arena arena;
        struct statistic_value *values;
        size_t count;
};

static void add_global(struct global_values *g, struct collector *c, const char *bucket, const char *name,
                       const struct counter *counter) {
        _owned_(buffer_fini) struct buffer whole = {0};
        buffer_format(&whole, "%s.%s", bucket, name);
        struct text copy = arena_text(&g->arena, buffer_as_text(&whole));
        collector_begin(c);
        collector_sum(c, "", counter_get(counter));
        if (copy.data)
                g->values[g->count++] = (struct statistic_value){.name = copy, .value = c->values[0].value};
}

static void show_global(struct global_values *g, struct collector *c, const char *origin) {
        c->visitor->visit(c->visitor, &(struct statistic_object){.name = TEXT("global"),
                                                                 .origin = origin,
                                                                 .is_nested = true,
                                                                 .values = g->values,
                                                                 .count = g->count});
        free(g->values);
        arena_fini(&g->arena);
}

static void visit_globals(struct statistics *s, struct collector *c) {
        struct global_values dyn = {.values = calloc(s->dyn_count * DYN_COUNTERS + 1, sizeof *dyn.values)};
        for (size_t i = 0; i < s->dyn_count && dyn.values; i++)
                for (size_t n = 0; n < DYN_COUNTERS; n++)
                        add_global(&dyn, c, dyn_stats_name(s->dyn[i]), dyn_stats_counter_names[n],
                                   &dyn_stats_counters(s->dyn[i])[n]);
        show_global(&dyn, c, "dynstats");
        struct global_values percentiles = {
                .values = calloc(s->percentile_count * PERCENTILE_COUNTERS + 1, sizeof *percentiles.values)};
        for (size_t i = 0; i < s->percentile_count && percentiles.values; i++)
                for (size_t n = 0; n < PERCENTILE_COUNTERS; n++)
                        add_global(&percentiles, c, percentiles_name(s->percentiles[i]), percentile_counter_names[n],
                                   &percentiles_counters(s->percentiles[i])[n]);
        show_global(&percentiles, c, "percentile");
}

static int64_t count_open_files(void) {
        DIR *directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        int64_t count = -3; /* "." and "..", and the directory itself */
        while (readdir(directory))
                count++;
        closedir(directory);
        return count;
}

static int64_t microseconds(const struct timeval *t) {
        return (int64_t)t->tv_sec * 1000000 + t->tv_usec;
}

/* What the kernel counts is shown as it is, also where a report resets: so does rsyslog. */
static void visit_resources(struct collector *c) {
        struct rusage u = {0};
        getrusage(RUSAGE_SELF, &u);
        collector_begin(c);
        collector_now(c, "utime", microseconds(&u.ru_utime));
        collector_now(c, "stime", microseconds(&u.ru_stime));
        collector_now(c, "maxrss", u.ru_maxrss);
        collector_now(c, "minflt", u.ru_minflt);
        collector_now(c, "majflt", u.ru_majflt);
        collector_now(c, "inblock", u.ru_inblock);
        collector_now(c, "oublock", u.ru_oublock);
        collector_now(c, "nvcsw", u.ru_nvcsw);
        collector_now(c, "nivcsw", u.ru_nivcsw);
        collector_now(c, "openfiles", count_open_files());
        collector_end(c, TEXT("resource-usage"), "impstats");
}

void statistics_of_queue(struct collector *c, struct queue *queue, struct text name) {
        const struct queue_counters *q = queue_counters(queue);
        collector_begin(c);
        collector_now(c, "size", (int64_t)queue_waiting(queue));
        collector_sum(c, "enqueued", counter_get(&q->enqueued));
        collector_sum(c, "full", counter_get(&q->full));
        collector_sum(c, "discarded.full", counter_get(&q->discarded_full));
        collector_sum(c, "discarded.nf", counter_get(&q->discarded_mark));
        collector_now(c, "maxqsize", (int64_t)counter_get(&q->size_max));
        collector_end(c, name, "core.queue");
}

void statistics_visit(struct statistics *s, const struct statistics_sources *sources, bool resets,
                      struct statistic_visitor *visitor) {
        struct collector *c = &s->collector;
        collector_begin_walk(c, visitor, resets);
        visit_globals(s, c);
        int64_t now_ns = clock_mono_ns();
        for (size_t i = 0; i < s->percentile_count; i++)
                percentiles_report(s->percentiles[i], visitor);
        for (size_t i = 0; i < s->dyn_count; i++)
                dyn_stats_report(s->dyn[i], now_ns, visitor);
        actions_visit(sources->actions, c);
        inputs_visit(sources->inputs, c);
        limits_visit(sources->limits, c);
        visit_resources(c);
        actions_visit_queues(sources->actions, c);
        for (size_t i = 0; i < sources->queue_count; i++)
                statistics_of_queue(c, sources->queues[i], text_of(queue_name(sources->queues[i])));
}
