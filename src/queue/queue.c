#include "queue/queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"

enum {
        QUEUE_COALESCE_RECORDS_MAX = 64, /* a batch of more travels as it is */
        QUEUE_LIGHT_DELAY_MS = 1000,     /* how long FLOW_LIGHT is held above its mark */
        QUEUE_RELEASE_PERCENT = 75,      /* of its mark: a held sender goes on there, not batch by batch */
        QUEUE_LIGHT_DELAY_NEVER = 0,     /* queue.lightDelayMark */
        HOURS_ALWAYS = 25,
        SEVERITY_NEVER_DISCARDED = 8,
};

struct worker {
        struct queue *queue;
        unsigned number;
        pthread_t thread;
        bool is_running;
        bool must_join;
};

struct queue {
        struct sink sink;
        const char *name;
        const struct queue_settings *settings;
        struct queue_settings own; /* what settings points to: marks may change while it runs, under the lock */
        struct queue_consumer consumer;
        struct reporter *reporter;
        struct observer *observer; /* NULL: nobody */
        struct budget *budget;     /* NULL: none */
        struct queue_counters counters;

        pthread_mutex_t lock; /* guards all below */
        pthread_cond_t filled;
        pthread_cond_t drained;
        struct batch *first, *last;
        uint64_t waiting;       /* messages in the list */
        uint64_t waiting_bytes; /* what they were charged */
        uint64_t working;       /* messages that workers have */
        unsigned idle;          /* workers that wait for messages */
        unsigned held;          /* pushers that wait for room */
        int64_t release_at;     /* they look again when no more than this many wait */
        unsigned running;
        uint64_t sample;   /* messages since the last kept one */
        bool is_closing;   /* senders are held no more, and what they bring has room */
        bool is_ending;    /* workers leave when there is nothing to do */
        bool is_late;      /* the time to drain is over */
        bool is_stopped;   /* no worker comes any more */
        bool was_full;     /* reported, until there was room again */
        bool owes_drained; /* it was full, and has not been empty since */
        int64_t timeout_shutdown_ms;
        _Atomic int64_t timeout_enqueue_ms;
        unsigned worker_count;
        struct worker *workers;
};

static void queue_check(const struct queue *q) {
        assert((q->first == NULL) == (q->last == NULL));
        assert((q->first == NULL) == (q->waiting == 0));
        assert(q->first || q->waiting_bytes == 0);
        assert(q->idle <= q->running);
}

static void sink_push(struct sink *sink, struct batch *b, enum flow flow) {
        queue_push(CONTAINER_OF(sink, struct queue, sink), b, flow);
}

static int64_t mark_or(int64_t mark, int64_t size, int percent) {
        return mark > 0 ? MIN(mark, size) : MAX(size * percent / 100, (int64_t)1);
}

int queue_new(struct queue **ret, const char *name, const struct queue_settings *settings,
              struct queue_consumer consumer, struct reporter *reporter) {
        _owned_(queue_free) struct queue *q = calloc(1, sizeof *q);
        if (!q)
                return fail(-ENOMEM);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&q->lock, NULL);
        pthread_cond_init(&q->filled, &monotonic);
        pthread_cond_init(&q->drained, &monotonic);
        pthread_condattr_destroy(&monotonic);
        q->sink.push = sink_push;
        q->own = *settings;
        q->settings = &q->own;
        q->consumer = consumer;
        q->reporter = reporter;
        q->timeout_shutdown_ms = settings->timeout_shutdown_ms;
        q->timeout_enqueue_ms = settings->timeout_enqueue_ms;
        q->worker_count = settings->type == QUEUE_DIRECT ? 1 : (unsigned)MAX(settings->worker_threads, (int64_t)1);
        q->name = strdup(name);
        q->workers = calloc(q->worker_count, sizeof *q->workers);
        if (!q->name || !q->workers)
                return fail(-ENOMEM);
        *ret = TAKE(q);
        return 0;
}

struct queue *queue_free(struct queue *q) {
        if (!q)
                return NULL;
        assert(q->running == 0);
        while (q->first) {
                struct batch *b = q->first;
                q->first = b->next;
                if (q->budget)
                        budget_give(q->budget, b->charge);
                batch_unref(b);
        }
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->filled);
        pthread_cond_destroy(&q->drained);
        free((char *)q->name);
        free(q->workers);
        free(q);
        return NULL;
}

void queue_share_budget(struct queue *q, struct budget *budget) {
        assert(!q->first);
        q->budget = budget;
}

void queue_observe(struct queue *q, struct observer *observer) {
        q->observer = observer;
}

struct sink *queue_sink(struct queue *q) {
        return &q->sink;
}

const char *queue_name(const struct queue *q) {
        return q->name;
}

bool queue_is_direct(const struct queue *q) {
        return q->settings->type == QUEUE_DIRECT;
}

unsigned queue_workers(const struct queue *q) {
        return q->worker_count;
}

const struct queue_counters *queue_counters(const struct queue *q) {
        return &q->counters;
}

uint64_t queue_waiting(struct queue *q) {
        if (queue_is_direct(q))
                return 0; /* its lock is held as long as its consumer takes */
        pthread_mutex_lock(&q->lock);
        uint64_t n = q->waiting;
        pthread_mutex_unlock(&q->lock);
        return n;
}

uint64_t queue_unfinished(struct queue *q) {
        if (queue_is_direct(q))
                return 0; /* its lock is held as long as its consumer takes */
        pthread_mutex_lock(&q->lock);
        uint64_t n = q->waiting + q->working;
        pthread_mutex_unlock(&q->lock);
        return n;
}

void queue_set_timeout_shutdown(struct queue *q, int64_t ms) {
        pthread_mutex_lock(&q->lock);
        q->timeout_shutdown_ms = ms;
        pthread_mutex_unlock(&q->lock);
}

void queue_set_timeout_enqueue(struct queue *q, int64_t ms) {
        pthread_mutex_lock(&q->lock);
        q->timeout_enqueue_ms = ms;
        pthread_mutex_unlock(&q->lock);
}

void queue_status(struct queue *q, struct queue_status *ret) {
        *ret = (struct queue_status){0};
        if (queue_is_direct(q)) {
                ret->settings = q->own; /* nothing changes them */
                return;
        }
        pthread_mutex_lock(&q->lock);
        ret->waiting = q->waiting;
        ret->working = q->working;
        ret->waiting_bytes = q->waiting_bytes;
        if (q->first && q->first->count)
                ret->oldest_us = q->first->records[0].received_us;
        ret->running = q->running;
        ret->held = q->held;
        ret->settings = q->own;
        pthread_mutex_unlock(&q->lock);
}

#define MARK(field_, ...)                                                                                              \
        { .offset = offsetof(struct queue_settings, field_), __VA_ARGS__ }
const struct queue_mark queue_marks[] = {
        MARK(size, .name = "size", .min = 1, .max = INT32_MAX, .help = "Most messages that wait."),
        MARK(bytes_max, .name = "maxBytes", .min = 0, .max = INT64_MAX, .help = "Most bytes that wait; 0: any."),
        MARK(high_watermark, .name = "highWatermark", .min = -1, .max = INT32_MAX, .help = "Spilling begins here."),
        MARK(low_watermark, .name = "lowWatermark", .min = -1, .max = INT32_MAX, .help = "Spilling ends here."),
        MARK(full_delay_mark, .name = "fullDelayMark", .min = -1, .max = INT32_MAX,
             .help = "Senders that can wait without end are held from here on."),
        MARK(light_delay_mark, .name = "lightDelayMark", .min = -1, .max = INT32_MAX,
             .help = "Senders that can wait a little are held from here on; 0: never."),
        MARK(discard_mark, .name = "discardMark", .min = -1, .max = INT32_MAX,
             .help = "From here on unimportant messages are discarded."),
        MARK(discard_severity, .name = "discardSeverity", .min = 0, .max = SEVERITY_NEVER_DISCARDED,
             .help = "This and less important ones are the unimportant ones; 8: none."),
        {},
};

int queue_set_mark(struct queue *q, const char *name, int64_t value) {
        const struct queue_mark *m = queue_marks;
        while (m->name && strcasecmp(m->name, name) != 0)
                m++;
        if (!m->name || queue_is_direct(q))
                return -ENOENT;
        if (value < m->min || value > m->max)
                return -ERANGE;
        pthread_mutex_lock(&q->lock);
        *(int64_t *)((char *)&q->own + m->offset) = value;
        /* Whoever is held looks again whether there is room now. */
        pthread_cond_broadcast(&q->drained);
        pthread_mutex_unlock(&q->lock);
        return 0;
}

static struct timespec after_ms(int64_t ms) {
        int64_t due_ns = clock_mono_ns() + ms * 1000000;
        return (struct timespec){.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
}

/* ---- Taking in ---------------------------------------------------------- */

/* The severity of a record that may not be parsed yet. */
static unsigned record_severity(const struct batch *b, const struct record *r) {
        if (r->flags & RECORD_IS_PARSED)
                return r->severity;
        struct text raw = batch_text(b, r->raw);
        unsigned pri = 0;
        size_t at = 1;
        if (raw.size < 3 || raw.data[0] != '<')
                return SEVERITY_NOTICE;
        for (; at < raw.size && at < 5 && raw.data[at] >= '0' && raw.data[at] <= '9'; at++)
                pri = pri * 10 + (unsigned)(raw.data[at] - '0');
        return pri & 7;
}

/* Keeps the records that queue.discardSeverity and queue.samplingInterval let pass; the batch is still ours alone. */
static void drop_unwanted(struct queue *q, struct batch *b, bool is_above_mark) {
        const struct queue_settings *s = q->settings;
        uint32_t kept = 0, unimportant = 0;
        for (uint32_t i = 0; i < b->count; i++) {
                if (is_above_mark && record_severity(b, &b->records[i]) >= (unsigned)s->discard_severity) {
                        unimportant++;
                        continue;
                }
                if (s->sampling_interval > 1 && ++q->sample % (uint64_t)s->sampling_interval != 0)
                        continue;
                if (kept != i)
                        b->records[kept] = b->records[i];
                kept++;
        }
        b->count = kept;
        counter_add(&q->counters.discarded_mark, unimportant);
}

static bool has_room(const struct queue *q) {
        const struct queue_settings *s = q->settings;
        if (q->is_closing)
                return true;
        return (int64_t)q->waiting < s->size && (s->bytes_max <= 0 || (int64_t)q->waiting_bytes < s->bytes_max);
}

/* Waits until no more than `release` messages are left, at most `ms` (negative: for ever). */
static void hold(struct queue *q, int64_t release, int64_t ms) {
        struct timespec until = after_ms(MAX(ms, (int64_t)0));
        q->held++;
        q->release_at = MAX(q->release_at, release);
        while (((int64_t)q->waiting > release || !has_room(q)) && !q->is_closing) {
                if (ms < 0)
                        pthread_cond_wait(&q->drained, &q->lock);
                else if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        }
        if (--q->held == 0)
                q->release_at = 0;
}

static void hold_above(struct queue *q, int64_t mark, int64_t ms) {
        if ((int64_t)q->waiting >= mark)
                hold(q, mark * QUEUE_RELEASE_PERCENT / 100, ms);
}

/* Holds the sender back as its flow allows. True when there is room for at least one message. */
static bool wait_for_room(struct queue *q, enum flow flow) {
        const struct queue_settings *s = q->settings;
        if (flow == FLOW_FULL)
                hold_above(q, mark_or(s->full_delay_mark, s->size, 97), -1);
        else if (flow == FLOW_LIGHT && s->light_delay_mark != QUEUE_LIGHT_DELAY_NEVER)
                hold_above(q, mark_or(s->light_delay_mark, s->size, 70), QUEUE_LIGHT_DELAY_MS);
        if (has_room(q))
                return true;
        counter_add(&q->counters.full, 1);
        hold(q, s->size - 1, q->timeout_enqueue_ms);
        return has_room(q);
}

/* Copies a small batch to the end of the one that waits last. */
static bool coalesce(struct queue *q, struct batch *b) {
        struct batch *last = q->last;
        if (!last || b->count > QUEUE_COALESCE_RECORDS_MAX || last->parent || last->route != b->route ||
            atomic_load_explicit(&last->references, memory_order_acquire) != 1)
                return false;
        uint16_t all[QUEUE_COALESCE_RECORDS_MAX];
        for (uint16_t i = 0; i < b->count; i++)
                all[i] = i;
        if (!batch_copy(last, b, all, b->count))
                return false;
        for (; b->acknowledgement_count; b->acknowledgement_count--)
                if (batch_acknowledge(last, b->acknowledgements[b->acknowledgement_count - 1]))
                        break; /* no memory: given now, when b goes; the record itself is kept */
        return true;
}

static void *worker_main(void *argument);

/* One more worker when each running one has its share of queue.workerThreadMinimumMessages waiting. */
static int add_worker_if_needed(struct queue *q) {
        const struct queue_settings *s = q->settings;
        if (q->running == q->worker_count || q->idle)
                return 0;
        int64_t share = s->worker_minimum_messages > 0 ? s->worker_minimum_messages : s->size / q->worker_count;
        if (q->running && (int64_t)q->waiting < share * q->running)
                return 0;
        for (unsigned i = 0; i < q->worker_count; i++) {
                struct worker *w = &q->workers[i];
                if (w->is_running)
                        continue;
                if (w->must_join)
                        pthread_join(w->thread, NULL);
                *w = (struct worker){.queue = q, .number = i, .is_running = true, .must_join = true};
                int r = pthread_create(&w->thread, NULL, worker_main, w);
                if (r) {
                        w->is_running = w->must_join = false;
                        return fail(-r);
                }
                q->running++;
                return 0;
        }
        return 0;
}

static void append(struct queue *q, struct batch *b) {
        uint32_t count = b->count;
        size_t bytes = batch_bytes(b);
        if (coalesce(q, b)) {
                q->last->charge += bytes;
                batch_unref(b);
        } else {
                b->charge = bytes;
                b->next = NULL;
                if (q->last)
                        q->last->next = b;
                else
                        q->first = b;
                q->last = b;
        }
        q->waiting += count;
        q->waiting_bytes += bytes;
        if (q->budget)
                budget_take(q->budget, bytes);
        counter_add(&q->counters.enqueued, count);
        if (q->waiting > counter_get(&q->counters.size_max))
                atomic_store_explicit(&q->counters.size_max.value, q->waiting, memory_order_relaxed);
        if (add_worker_if_needed(q) && q->running == 0)
                report(q->reporter, SEVERITY_ERR, 0, "queue '%s': cannot start a worker thread", q->name);
        if (q->idle)
                pthread_cond_signal(&q->filled);
}

/* The first `count` records stay in b; the others come back in a batch of their own, NULL without memory. */
static struct batch *split(struct batch *b, uint32_t count) {
        uint16_t rest[BATCH_RECORDS_MAX];
        for (uint32_t i = count; i < b->count; i++)
                rest[i - count] = (uint16_t)i;
        struct batch *tail = batch_view(b, rest, b->count - count);
        if (tail)
                b->count = count;
        return tail;
}

/* Takes in as much as fits, again and again while the sender may be held. Returns what remains, or NULL. */
static struct batch *push_what_fits(struct queue *q, struct batch *b, enum flow flow) {
        while (b && wait_for_room(q, flow)) {
                uint64_t room = q->is_closing ? b->count : (uint64_t)q->settings->size - q->waiting;
                struct batch *rest = b->count > room ? split(b, (uint32_t)room) : NULL;
                append(q, b);
                b = rest;
        }
        return b;
}

static void push_direct(struct queue *q, struct batch *b) {
        pthread_mutex_lock(&q->lock);
        counter_add(&q->counters.enqueued, b->count);
        q->consumer.consume(q->consumer.consumer, 0, b, 0, b->count);
        pthread_mutex_unlock(&q->lock);
        batch_unref(b);
}

/* Before the lock, so that workers can make room meanwhile. */
static bool wait_for_budget(struct queue *q, enum flow flow) {
        return !q->budget ||
               budget_wait(q->budget, flow == FLOW_WITHIN, flow == FLOW_FULL ? -1 : q->timeout_enqueue_ms);
}

void queue_push(struct queue *q, struct batch *b, enum flow flow) {
        const struct queue_settings *s = q->settings;
        if (s->type == QUEUE_DIRECT) {
                push_direct(q, b);
                return;
        }
        bool is_affordable = wait_for_budget(q, flow);
        pthread_mutex_lock(&q->lock);
        if (q->is_stopped) {
                counter_add(&q->counters.lost, b->count);
                pthread_mutex_unlock(&q->lock);
                batch_unref(b);
                return;
        }
        queue_check(q);
        bool is_above_mark = s->discard_severity < SEVERITY_NEVER_DISCARDED &&
                             (int64_t)q->waiting >= mark_or(s->discard_mark, s->size, 80);
        if (is_above_mark || s->sampling_interval > 1)
                drop_unwanted(q, b, is_above_mark);
        struct batch *rest = b->count && is_affordable ? push_what_fits(q, b, flow) : b;
        uint64_t dropped = rest ? rest->count : 0;
        bool is_news = dropped && !q->was_full;
        q->was_full = dropped > 0;
        q->owes_drained |= is_news;
        int64_t size = s->size;
        counter_add(&q->counters.discarded_full, dropped);
        queue_check(q);
        pthread_mutex_unlock(&q->lock);
        batch_unref(rest);
        /* After the lock: the report may be a message for this very queue. */
        if (is_news && !is_affordable)
                report(q->reporter, SEVERITY_ERR, 2105,
                       "queue '%s': waiting messages take all memory that they may, and did so for %lld ms: new "
                       "messages "
                       "are discarded. See what actions wait for, or raise global(memory.max)",
                       q->name, (long long)q->timeout_enqueue_ms);
        else if (is_news)
                report(q->reporter, SEVERITY_ERR, 2105,
                       "queue '%s' is full (%lld messages) and stayed so for %lld ms: new messages are discarded. "
                       "See what its actions wait for, or raise queue.size",
                       q->name, (long long)size, (long long)q->timeout_enqueue_ms);
        if (is_news)
                observe(q->observer, NOTICE_QUEUE_FULL, q->name, is_affordable ? "messages" : "memory");
}

/* ---- Working ------------------------------------------------------------ */

/* Milliseconds until queue.dequeueTimeBegin..End opens; 0: it is open. */
static int64_t closed_for_ms(const struct queue_settings *s) {
        if (s->dequeue_time_end >= HOURS_ALWAYS || s->dequeue_time_begin == s->dequeue_time_end)
                return 0;
        time_t now = time(NULL);
        struct tm local;
        localtime_r(&now, &local);
        int64_t begin = s->dequeue_time_begin, end = s->dequeue_time_end, hour = local.tm_hour;
        bool is_open = begin < end ? hour >= begin && hour < end : hour >= begin || hour < end;
        if (is_open)
                return 0;
        int64_t hours = (begin - hour + 24) % 24;
        return (hours * 3600 - local.tm_min * 60 - local.tm_sec) * 1000;
}

static bool has_work(const struct queue *q) {
        return q->first && !q->is_late;
}

/* Waits for messages. False when this worker shall leave. */
static bool wait_for_work(struct queue *q, const struct worker *w) {
        struct timespec until = after_ms(MAX(q->settings->timeout_worker_ms, (int64_t)1));
        while (!has_work(q)) {
                if (q->is_ending)
                        return false;
                int r = 0;
                q->idle++;
                /* The first worker stays for ever, without a timer; others leave when idle for long. */
                if (w->number == 0 || q->settings->timeout_worker_ms < 0)
                        r = pthread_cond_wait(&q->filled, &q->lock);
                else
                        r = pthread_cond_timedwait(&q->filled, &q->lock, &until);
                q->idle--;
                if (r == ETIMEDOUT && !q->first)
                        return false;
        }
        return true;
}

/* Waits, once there is something, for more of it or an open time window. */
static void wait_for_more(struct queue *q) {
        const struct queue_settings *s = q->settings;
        int64_t closed_ms;
        while (!q->is_ending && (closed_ms = closed_for_ms(s)) > 0) {
                struct timespec until = after_ms(closed_ms);
                pthread_cond_timedwait(&q->filled, &q->lock, &until);
        }
        if (s->min_dequeue_batch_size <= 0)
                return;
        struct timespec until = after_ms(s->min_dequeue_batch_timeout_ms);
        q->idle++;
        while (!q->is_ending && (int64_t)q->waiting < s->min_dequeue_batch_size)
                if (pthread_cond_timedwait(&q->filled, &q->lock, &until) == ETIMEDOUT)
                        break;
        q->idle--;
}

static struct batch *take_first(struct queue *q) {
        struct batch *b = q->first;
        if (!b)
                return NULL;
        q->first = b->next;
        if (!q->first)
                q->last = NULL;
        b->next = NULL;
        q->waiting -= b->count;
        q->waiting_bytes -= b->charge;
        if (q->budget)
                budget_give(q->budget, b->charge);
        q->working += b->count;
        if (q->held && (int64_t)q->waiting <= q->release_at)
                pthread_cond_broadcast(&q->drained);
        return b;
}

/* queue.dequeueSlowdown; a stop does not wait for it. */
static void slow_down(struct queue *q) {
        int64_t due_ns = clock_mono_ns() + q->settings->dequeue_slowdown_us * 1000;
        struct timespec until = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
        pthread_mutex_lock(&q->lock);
        while (!q->is_ending)
                if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        pthread_mutex_unlock(&q->lock);
}

static void consume(struct queue *q, unsigned worker, struct batch *b) {
        const struct queue_settings *s = q->settings;
        uint32_t step =
                s->dequeue_batch_size > 0 ? (uint32_t)MIN(s->dequeue_batch_size, (int64_t)UINT32_MAX) : b->count;
        for (uint32_t at = 0; at < b->count; at += step) {
                uint32_t count = MIN(step, b->count - at);
                q->consumer.consume(q->consumer.consumer, worker, b, at, count);
                if (s->dequeue_slowdown_us > 0)
                        slow_down(q);
        }
}

/* With the lock held, which it gives up meanwhile. */
static void tell_drained(struct queue *q) {
        if (q->waiting + q->working)
                return;
        q->owes_drained = false;
        pthread_mutex_unlock(&q->lock);
        observe(q->observer, NOTICE_QUEUE_DRAINED, q->name, "");
        pthread_mutex_lock(&q->lock);
}

static void *worker_main(void *argument) {
        struct worker *w = argument;
        struct queue *q = w->queue;
        pthread_mutex_lock(&q->lock);
        while (wait_for_work(q, w)) {
                wait_for_more(q);
                struct batch *b = take_first(q);
                if (!b)
                        continue;
                uint32_t count = b->count;
                pthread_mutex_unlock(&q->lock);
                consume(q, w->number, b);
                batch_unref(b);
                pthread_mutex_lock(&q->lock);
                q->working -= count;
                if (q->is_closing)
                        pthread_cond_broadcast(&q->drained);
                if (UNLIKELY(q->owes_drained))
                        tell_drained(q);
        }
        q->running--;
        w->is_running = false;
        pthread_cond_broadcast(&q->drained);
        pthread_mutex_unlock(&q->lock);
        return NULL;
}

int queue_start(struct queue *q) {
        if (queue_is_direct(q))
                return 0;
        pthread_mutex_lock(&q->lock);
        int r = q->running ? 0 : add_worker_if_needed(q);
        pthread_mutex_unlock(&q->lock);
        return r ? pass(r) : 0;
}

/* ---- Ending ------------------------------------------------------------- */

void queue_hold_no_more(struct queue *q) {
        if (queue_is_direct(q))
                return;
        pthread_mutex_lock(&q->lock);
        q->is_closing = true;
        pthread_cond_broadcast(&q->drained);
        pthread_mutex_unlock(&q->lock);
}

/* Waits until no worker runs, at most `ms`; true when none does. */
static bool wait_for_workers(struct queue *q, int64_t ms) {
        struct timespec until = after_ms(ms);
        while (q->running)
                if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        return q->running == 0;
}

bool queue_drain(struct queue *q) {
        if (queue_is_direct(q))
                return true;
        pthread_mutex_lock(&q->lock);
        assert(q->is_closing);
        struct timespec until = after_ms(MAX(q->timeout_shutdown_ms, (int64_t)0));
        while (q->waiting + q->working && !q->is_ending)
                if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        bool is_empty = q->waiting + q->working == 0;
        pthread_mutex_unlock(&q->lock);
        return is_empty;
}

uint64_t queue_stop(struct queue *q) {
        if (queue_is_direct(q))
                return 0;
        pthread_mutex_lock(&q->lock);
        q->is_closing = q->is_ending = true;
        pthread_cond_broadcast(&q->filled);
        pthread_cond_broadcast(&q->drained);
        if (!wait_for_workers(q, MAX(q->timeout_shutdown_ms, (int64_t)0))) {
                q->is_late = true;
                pthread_cond_broadcast(&q->drained);
                pthread_mutex_unlock(&q->lock);
                if (q->consumer.hurry)
                        q->consumer.hurry(q->consumer.consumer);
                pthread_mutex_lock(&q->lock);
                wait_for_workers(q, MAX(q->settings->timeout_action_completion_ms, (int64_t)0));
        }
        uint64_t left = q->waiting;
        counter_add(&q->counters.lost, left);
        q->is_stopped = true;
        pthread_mutex_unlock(&q->lock);
        /* hurry() makes every wait of a delivery end, so the join is bounded by one system call of an output. */
        for (unsigned i = 0; i < q->worker_count; i++)
                if (q->workers[i].must_join) {
                        pthread_join(q->workers[i].thread, NULL);
                        q->workers[i].must_join = false;
                }
        return left;
}
