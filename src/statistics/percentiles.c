#include "statistics/percentiles.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fail.h"
#include "statistics/cells.h"

const char *const percentile_counter_names[PERCENTILE_COUNTERS] = {
        [PERCENTILE_NEW_METRIC_ADD] = "new_metric_add",
        [PERCENTILE_OPS_OVERFLOW] = "ops_overflow",
};

struct window {
        _Atomic uint64_t pushed;          /* ever; the newest lies before slot pushed & mask */
        _Atomic int64_t minimum, maximum; /* since the last report */
        /* The newest interval in which something was observed; the reporter's. */
        uint64_t from, until; /* of what was pushed */
        int64_t shown_minimum, shown_maximum;
        size_t mask;
        _Atomic int64_t slots[];
};

struct percentiles {
        const struct percentile_stats_settings *settings;
        bool is_shown;
        struct cells names;
        pthread_mutex_t mutex; /* of adding names */
        int64_t wanted[PERCENTILES_MAX];
        size_t wanted_count;
        size_t window_size; /* a power of two */
        struct counter counters[PERCENTILE_COUNTERS];
};

static struct window *window_new(size_t size) {
        struct window *w = calloc(1, sizeof *w + size * sizeof w->slots[0]);
        if (!w)
                return NULL;
        w->mask = size - 1;
        atomic_init(&w->minimum, INT64_MAX);
        atomic_init(&w->maximum, INT64_MIN);
        return w;
}

static int read_wanted(struct percentiles *p, const char **wrong) {
        const struct strings *given = &p->settings->percentiles;
        for (size_t i = 0; i < given->count; i++) {
                int64_t n;
                *wrong = given->items[i];
                if (text_to_int(text_of(given->items[i]), &n) || n < 1 || n > 100 || i == PERCENTILES_MAX)
                        return fail(-EINVAL);
                p->wanted[p->wanted_count++] = n;
        }
        return 0;
}

int percentiles_new(struct percentiles **ret, const struct percentile_stats_settings *settings, bool is_shown,
                    const char **wrong) {
        _owned_(percentiles_free) struct percentiles *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        pthread_mutex_init(&p->mutex, NULL);
        p->settings = settings;
        p->is_shown = is_shown;
        int r = read_wanted(p, wrong);
        if (r)
                return pass(r);
        p->window_size = 1;
        while (p->window_size < (size_t)settings->window_size)
                p->window_size *= 2;
        size_t names = MIN((size_t)PERCENTILE_OBSERVATIONS_MAX / p->window_size, (size_t)PERCENTILE_NAMES_MAX);
        r = cells_init(&p->names, MAX(names, (size_t)1));
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

struct percentiles *percentiles_free(struct percentiles *p) {
        if (!p)
                return NULL;
        for (struct cell *c = p->names.first, *next; c; c = next) {
                next = c->next;
                free(c->window);
                free(c);
        }
        cells_fini(&p->names);
        pthread_mutex_destroy(&p->mutex);
        free(p);
        return NULL;
}

const char *percentiles_name(const struct percentiles *p) {
        return p->settings->name;
}

const struct counter *percentiles_counters(const struct percentiles *p) {
        return p->counters;
}

/* ---- Observing --------------------------------------------------------------- */

static struct cell *add(struct percentiles *p, struct text name, uint64_t hash) {
        pthread_mutex_lock(&p->mutex);
        struct cell *c = cells_find(&p->names, name, hash);
        if (!c && !cells_are_full(&p->names) && (c = cell_new(name, hash))) {
                c->window = window_new(p->window_size);
                if (c->window) {
                        cells_add(&p->names, c);
                        counter_add(&p->counters[PERCENTILE_NEW_METRIC_ADD], 1);
                } else {
                        free(c);
                        c = NULL;
                }
        }
        pthread_mutex_unlock(&p->mutex);
        return c;
}

static void lower(_Atomic int64_t *minimum, int64_t value) {
        int64_t now = atomic_load_explicit(minimum, memory_order_relaxed);
        while (value < now && !atomic_compare_exchange_weak(minimum, &now, value))
                ;
}

static void raise_to(_Atomic int64_t *maximum, int64_t value) {
        int64_t now = atomic_load_explicit(maximum, memory_order_relaxed);
        while (value > now && !atomic_compare_exchange_weak(maximum, &now, value))
                ;
}

int percentiles_observe(struct percentiles *p, struct text name, int64_t value) {
        if (!p->is_shown)
                return 0;
        name = text_slice(name, 0, STAT_NAME_BYTES_MAX);
        uint64_t hash = name_hash(name);
        struct cell *c = cells_find(&p->names, name, hash);
        if (!c && !(c = add(p, name, hash))) {
                counter_add(&p->counters[PERCENTILE_OPS_OVERFLOW], 1);
                return PERCENTILE_IS_FULL;
        }
        struct window *w = c->window;
        uint64_t at = atomic_fetch_add_explicit(&w->pushed, 1, memory_order_relaxed);
        atomic_store_explicit(&w->slots[at & w->mask], value, memory_order_relaxed);
        lower(&w->minimum, value);
        raise_to(&w->maximum, value);
        return 0;
}

/* ---- Reporting -------------------------------------------------------------- */

/* The values of one report: names are made in the arena. */
struct report {
        struct arena arena;
        struct statistic_value *values;
        size_t count, capacity;
        int64_t *sorted; /* room for a window */
        const char *delimiter;
};

static void put(struct report *r, struct text name, const char *part, int64_t value) {
        _owned_(buffer_fini) struct buffer whole = {0};
        buffer_text(&whole, name);
        buffer_text(&whole, text_of(r->delimiter));
        buffer_text(&whole, text_of(part));
        struct text copy = arena_text(&r->arena, buffer_as_text(&whole));
        if (copy.data && r->count < r->capacity)
                r->values[r->count++] = (struct statistic_value){.name = copy, .value = value};
}

static int by_value(const void *a, const void *b) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

/* An interval ends with its report. One without an observation leaves the figures of the one before, as in rsyslog. */
static void end_interval(struct window *w) {
        uint64_t pushed = atomic_load_explicit(&w->pushed, memory_order_relaxed);
        if (pushed == w->until)
                return;
        w->from = w->until;
        w->until = pushed;
        w->shown_minimum = atomic_exchange_explicit(&w->minimum, INT64_MAX, memory_order_relaxed);
        w->shown_maximum = atomic_exchange_explicit(&w->maximum, INT64_MIN, memory_order_relaxed);
}

/* Copies what the window holds of the interval; *sum may wrap. */
static size_t copy_window(const struct window *w, int64_t *to, uint64_t *sum) {
        uint64_t end = w->until;
        uint64_t count = MIN(end - w->from, (uint64_t)w->mask + 1);
        *sum = 0;
        for (uint64_t i = 0; i < count; i++) {
                to[i] = atomic_load_explicit(&w->slots[(end - count + i) & w->mask], memory_order_relaxed);
                *sum += (uint64_t)to[i];
        }
        return (size_t)count;
}

static void report_window(struct percentiles *p, struct cell *c, struct report *r) {
        struct window *w = c->window;
        end_interval(w);
        uint64_t sum;
        size_t count = copy_window(w, r->sorted, &sum);
        qsort(r->sorted, count, sizeof *r->sorted, by_value);
        for (size_t i = 0; i < p->wanted_count; i++) {
                _owned_(buffer_fini) struct buffer part = {0};
                size_t rank = ((size_t)p->wanted[i] * count + 99) / 100;
                buffer_format(&part, "p%lld", (long long)p->wanted[i]);
                put(r, cell_name(c), buffer_string(&part), rank ? r->sorted[rank - 1] : 0);
        }
        put(r, cell_name(c), "window_min", w->shown_minimum);
        put(r, cell_name(c), "window_max", w->shown_maximum);
        put(r, cell_name(c), "window_sum", (int64_t)sum);
        put(r, cell_name(c), "window_count", (int64_t)count);
}

void percentiles_report(struct percentiles *p, struct statistic_visitor *visitor) {
        pthread_mutex_lock(&p->mutex);
        struct cell *c = p->names.first;
        size_t count = p->names.count;
        pthread_mutex_unlock(&p->mutex);
        struct report r = {.capacity = count * (p->wanted_count + 4), .delimiter = p->settings->delimiter};
        r.values = calloc(r.capacity + 1, sizeof *r.values);
        r.sorted = malloc(p->window_size * sizeof *r.sorted);
        if (r.values && r.sorted) {
                for (size_t i = 0; i < count; i++) {
                        report_window(p, c, &r);
                        c = i + 1 < count ? c->next : NULL; /* behind the last one another thread may add */
                }
                visitor->visit(visitor, &(struct statistic_object){.name = text_of(p->settings->name),
                                                                   .origin = "percentile.bucket",
                                                                   .is_nested = true,
                                                                   .values = r.values,
                                                                   .count = r.count});
        }
        free(r.values);
        free(r.sorted);
        arena_fini(&r.arena);
}
