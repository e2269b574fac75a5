#include "statistics/dyn_stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "statistics/cells.h"

const char *const dyn_stats_counter_names[DYN_COUNTERS] = {
        [DYN_OPS_OVERFLOW] = "ops_overflow", [DYN_NEW_METRIC_ADD] = "new_metric_add",
        [DYN_NO_METRIC] = "no_metric",       [DYN_METRICS_PURGED] = "metrics_purged",
        [DYN_OPS_IGNORED] = "ops_ignored",   [DYN_PURGE_TRIGGERED] = "purge_triggered",
};

struct generation {
        atomic_uint references;
        struct cells names;
        struct cell *dropped; /* what the next generation left out; freed with this one */
};

struct dyn_stats {
        const struct dyn_stats_settings *settings;
        size_t number;
        bool is_shown;
        pthread_mutex_t mutex; /* of `current` and of adding names */
        struct generation *current;
        int64_t purged_ns;
        struct counter counters[DYN_COUNTERS];
};

static struct generation *generation_free(struct generation *g) {
        if (!g)
                return NULL;
        while (g->dropped) {
                struct cell *c = g->dropped;
                g->dropped = c->next;
                free(c);
        }
        cells_fini(&g->names);
        free(g);
        return NULL;
}

static struct generation *generation_unref(struct generation *g) {
        if (g && atomic_fetch_sub(&g->references, 1) == 1)
                generation_free(g);
        return NULL;
}

static int generation_new(struct generation **ret, size_t count_max) {
        struct generation *g = calloc(1, sizeof *g);
        if (!g)
                return fail(-ENOMEM);
        atomic_init(&g->references, 1);
        int r = cells_init(&g->names, count_max);
        if (r) {
                generation_free(g);
                return pass(r);
        }
        *ret = g;
        return 0;
}

int dyn_stats_new(struct dyn_stats **ret, const struct dyn_stats_settings *settings, size_t number, bool is_shown) {
        struct dyn_stats *d = calloc(1, sizeof *d);
        if (!d)
                return fail(-ENOMEM);
        pthread_mutex_init(&d->mutex, NULL);
        d->settings = settings;
        d->number = number;
        d->is_shown = is_shown;
        d->purged_ns = clock_mono_ns();
        int r = generation_new(&d->current, (size_t)settings->cardinality_max);
        if (r) {
                dyn_stats_free(d);
                return pass(r);
        }
        *ret = d;
        return 0;
}

struct dyn_stats *dyn_stats_free(struct dyn_stats *d) {
        if (!d)
                return NULL;
        if (d->current) {
                d->current->dropped = d->current->names.first;
                generation_unref(d->current);
        }
        pthread_mutex_destroy(&d->mutex);
        free(d);
        return NULL;
}

const char *dyn_stats_name(const struct dyn_stats *d) {
        return d->settings->name;
}

const struct counter *dyn_stats_counters(const struct dyn_stats *d) {
        return d->counters;
}

/* ---- Views ----------------------------------------------------------------- */

void dyn_views_release_all(struct dyn_views *v) {
        for (size_t i = 0; i < v->count; i++)
                v->held[i] = generation_unref(v->held[i]);
        v->is_holding = false;
}

void dyn_views_fini(struct dyn_views *v) {
        dyn_views_release_all(v);
        free(v->held);
        *v = (struct dyn_views){0};
}

static struct generation *acquire(struct dyn_stats *d, struct dyn_views *v) {
        if (v->count <= d->number) {
                size_t count = d->number + 1;
                struct generation **grown = realloc(v->held, count * sizeof(*grown));
                if (!grown)
                        return NULL;
                memset(grown + v->count, 0, (count - v->count) * sizeof(*grown));
                v->held = grown;
                v->count = count;
        }
        pthread_mutex_lock(&d->mutex);
        struct generation *g = d->current;
        atomic_fetch_add_explicit(&g->references, 1, memory_order_relaxed);
        pthread_mutex_unlock(&d->mutex);
        v->held[d->number] = g;
        v->is_holding = true;
        return g;
}

/* ---- Counting -------------------------------------------------------------- */

/* A name that the view does not know: it may be in a newer generation, be added, or be one too many. */
static struct cell *find_or_add(struct dyn_stats *d, struct text name, uint64_t hash) {
        pthread_mutex_lock(&d->mutex);
        struct cells *names = &d->current->names;
        struct cell *c = cells_find(names, name, hash);
        if (!c && !cells_are_full(names) && (c = cell_new(name, hash))) {
                cells_add(names, c);
                counter_add(&d->counters[DYN_NEW_METRIC_ADD], 1);
        }
        /* Under the mutex: a newer generation than the view's could drop the cell. */
        if (c) {
                atomic_fetch_add_explicit(&c->value, 1, memory_order_relaxed);
                atomic_store_explicit(&c->is_touched, true, memory_order_relaxed);
        }
        pthread_mutex_unlock(&d->mutex);
        return c;
}

int dyn_stats_increment(struct dyn_stats *d, struct dyn_views *v, struct text name) {
        if (!d->is_shown)
                return 0;
        if (name.size == 0) {
                counter_add(&d->counters[DYN_NO_METRIC], 1);
                return 0;
        }
        name = text_slice(name, 0, STAT_NAME_BYTES_MAX);
        struct generation *g = d->number < v->count ? v->held[d->number] : NULL;
        if (!g)
                g = acquire(d, v);
        uint64_t hash = name_hash(name);
        struct cell *c = g ? cells_find(&g->names, name, hash) : NULL;
        if (!c) {
                if (find_or_add(d, name, hash))
                        return 0;
                counter_add(&d->counters[DYN_OPS_OVERFLOW], 1);
                return DYN_IS_FULL;
        }
        atomic_fetch_add_explicit(&c->value, 1, memory_order_relaxed);
        if (!atomic_load_explicit(&c->is_touched, memory_order_relaxed))
                atomic_store_explicit(&c->is_touched, true, memory_order_relaxed);
        return 0;
}

/* ---- Reporting -------------------------------------------------------------- */

/* Under the mutex. */
static void purge(struct dyn_stats *d) {
        struct generation *old = d->current, *fresh;
        if (generation_new(&fresh, (size_t)d->settings->cardinality_max))
                return; /* the next report tries again */
        uint64_t purged = 0;
        for (struct cell *c = old->names.first, *next; c; c = next) {
                next = c->next;
                if (atomic_exchange_explicit(&c->is_touched, false, memory_order_relaxed)) {
                        cells_add(&fresh->names, c);
                        continue;
                }
                c->next = old->dropped;
                old->dropped = c;
                purged++;
        }
        old->names.first = old->names.last = NULL;
        d->current = fresh;
        generation_unref(old);
        counter_add(&d->counters[DYN_PURGE_TRIGGERED], 1);
        counter_add(&d->counters[DYN_METRICS_PURGED], purged);
}

void dyn_stats_report(struct dyn_stats *d, int64_t now_ns, struct statistic_visitor *visitor) {
        pthread_mutex_lock(&d->mutex);
        if (now_ns - d->purged_ns >= d->settings->unused_life_s * 1000000000) {
                purge(d);
                d->purged_ns = now_ns;
        }
        const struct cells *names = &d->current->names;
        struct cell *first = names->first;
        size_t count = names->count;
        pthread_mutex_unlock(&d->mutex);
        struct statistic_value *values = calloc(count + 1, sizeof *values);
        if (!values)
                return;
        /* Only a report purges, so that the cells stay; those that come meanwhile are of the next report. */
        struct cell *c = first;
        for (size_t i = 0; i < count; i++) {
                int64_t value = d->settings->is_resettable
                                        ? atomic_exchange_explicit(&c->value, 0, memory_order_relaxed)
                                        : atomic_load_explicit(&c->value, memory_order_relaxed);
                values[i] = (struct statistic_value){.name = cell_name(c), .value = value};
                c = i + 1 < count ? c->next : NULL; /* behind the last one another thread may add */
        }
        visitor->visit(visitor, &(struct statistic_object){.name = text_of(d->settings->name),
                                                           .origin = "dynstats.bucket",
                                                           .is_nested = true,
                                                           .values = values,
                                                           .count = count});
        free(values);
}
