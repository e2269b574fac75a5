#include "queue/inside.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"

void queue_check(const struct queue *q) {
        assert((q->first == NULL) == (q->last == NULL));
        assert((q->first == NULL) == (q->waiting == 0));
        assert(q->first || q->waiting_bytes == 0);
        assert(q->idle <= q->running);
        assert(!q->has_spiller || q->durable);
}

struct timespec queue_after_ms(int64_t ms) {
        int64_t due_ns = clock_mono_ns() + ms * 1000000;
        return (struct timespec){.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
}

static void sink_push(struct sink *sink, struct batch *b, enum flow flow) {
        queue_push(CONTAINER_OF(sink, struct queue, sink), b, flow);
}

/* ---- Life ------------------------------------------------------------------- */

static void init_locks(struct queue *q) {
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&q->lock, NULL);
        pthread_cond_init(&q->filled, &monotonic);
        pthread_cond_init(&q->drained, &monotonic);
        pthread_cond_init(&q->turn, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

int queue_new(struct queue **ret, const char *name, const struct queue_settings *settings,
              struct queue_consumer consumer, struct reporter *reporter) {
        _owned_(queue_free) struct queue *q = calloc(1, sizeof *q);
        if (!q)
                return fail(-ENOMEM);
        init_locks(q);
        q->sink.push = sink_push;
        q->own = *settings;
        q->settings = &q->own;
        q->mode = &memory_mode;
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
        for (struct batch *b; (b = memory_take(q));) {
                batch_lose(b);
                batch_unref(b);
        }
        front_close(q);
        durable_close(q->durable);
        dead_close(q->dead);
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->filled);
        pthread_cond_destroy(&q->drained);
        pthread_cond_destroy(&q->turn);
        free((char *)q->name);
        free(q->workers);
        free(q);
        return NULL;
}

void queue_share_budget(struct queue *q, struct budget *budget) {
        assert(!q->first);
        q->budget = budget;
}

/* ---- On disk ---------------------------------------------------------------- */

bool queue_is_durable(const struct queue *q) {
        return q->mode != &memory_mode;
}

struct queue *queue_behind(const struct batch *b) {
        return durable_owner_behind(b);
}

int queue_bury(struct queue *q, struct batch *b, const uint16_t *rows, size_t count, const struct death *why,
               size_t *buried) {
        *buried = 0;
        return q->dead ? dead_bury(q->dead, b, rows, count, why, buried) : -ENODEV;
}

void queue_let_go_of_dead(struct queue *q) {
        if (q->dead)
                dead_let_go(q->dead);
}

/* ---- What others ask --------------------------------------------------------- */

struct sink *queue_sink(struct queue *q) {
        return &q->sink;
}

const char *queue_name(const struct queue *q) {
        return q->name;
}

bool queue_is_direct(const struct queue *q) {
        return q->settings->type == QUEUE_DIRECT;
}

const char *queue_spool(const struct queue *q) {
        const char *spool = q->settings->spool_directory;
        return spool && *spool ? spool : NULL;
}

unsigned queue_workers(const struct queue *q) {
        return q->worker_count + (q->settings->type == QUEUE_DELAY);
}

const struct queue_counters *queue_counters(const struct queue *q) {
        return &q->counters;
}

uint64_t queue_all_waiting(struct queue *q) {
        return q->waiting + q->spilling + front_waiting(q) + (q->durable ? durable_waiting(q->durable) : 0);
}

uint64_t queue_waiting(struct queue *q) {
        if (queue_is_direct(q))
                return 0; /* its lock is held as long as its consumer takes */
        pthread_mutex_lock(&q->lock);
        uint64_t n = queue_all_waiting(q);
        pthread_mutex_unlock(&q->lock);
        return n;
}

uint64_t queue_unfinished(struct queue *q) {
        if (queue_is_direct(q))
                return 0; /* its lock is held as long as its consumer takes */
        pthread_mutex_lock(&q->lock);
        uint64_t n = queue_all_waiting(q) + q->working;
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

/* ---- Taking in ---------------------------------------------------------- */

static void push_direct(struct queue *q, struct batch *b) {
        pthread_mutex_lock(&q->lock);
        counter_add(&q->counters.enqueued, b->count);
        q->consumer.consume(q->consumer.consumer, 0, b, 0, b->count);
        pthread_mutex_unlock(&q->lock);
        batch_unref(b);
}

/* Unheard, it counts as a message in work: who waits for the queue to be empty waits for it, too. */
void queue_ring(struct queue *q) {
        pthread_mutex_lock(&q->lock);
        if (queue_is_direct(q)) {
                q->consumer.rung(q->consumer.consumer, 0);
        } else if (!q->is_rung) {
                q->is_rung = true;
                q->working++;
                pthread_cond_signal(&q->filled);
        }
        pthread_mutex_unlock(&q->lock);
}

/* Before the lock, so that workers can make room meanwhile. What goes to disk needs no memory. */
static bool wait_for_budget(struct queue *q, const struct batch *b, enum flow flow) {
        if (!q->budget || q->mode == &disk_mode || q->mode == &delay_mode)
                return true;
        bool waits = flow == FLOW_FULL || admission_is_patient(q, b, flow);
        return budget_wait(q->budget, flow == FLOW_WITHIN, waits ? -1 : q->timeout_enqueue_ms);
}

/* After the lock: the report may be a message for this very queue. */
static void report_full(struct queue *q, bool is_affordable, int64_t size) {
        if (!is_affordable)
                report(q->reporter, SEVERITY_ERR, 2105,
                       "queue '%s': waiting messages take all memory that they may, and did so for %lld ms: new "
                       "messages are discarded. See what actions wait for, or raise global(memory.max)",
                       q->name, (long long)q->timeout_enqueue_ms);
        else
                report(q->reporter, SEVERITY_ERR, 2105,
                       "queue '%s' is full (%lld messages) and stayed so for %lld ms: new messages are discarded. "
                       "See what its actions wait for, or raise queue.size",
                       q->name, (long long)size, (long long)q->timeout_enqueue_ms);
}

/* What comes after the workers have left; only a queue on disk keeps it. */
static struct batch *push_late(struct queue *q, struct batch *b) {
        struct batch *back = q->durable ? admit_to_disk(q, b, 0) : b;
        if (back) {
                counter_add(&q->counters.lost, back->count);
                batch_lose(back);
        }
        return back;
}

void queue_push(struct queue *q, struct batch *b, enum flow flow) {
        if (queue_is_direct(q)) {
                push_direct(q, b);
                return;
        }
        if (q->mode == &delay_mode) {
                b = delay_attempt(q, b);
                if (!b)
                        return;
        }
        bool is_affordable = wait_for_budget(q, b, flow);
        pthread_mutex_lock(&q->lock);
        if (q->is_stopped) {
                struct batch *lost = push_late(q, b);
                pthread_mutex_unlock(&q->lock);
                batch_unref(lost);
                return;
        }
        queue_check(q);
        struct batch *rest = is_affordable ? admit(q, b, flow) : b;
        uint64_t dropped = rest ? rest->count : 0;
        bool is_news = dropped && !q->was_full && !q->was_broken;
        q->was_full = dropped > 0;
        q->owes_drained |= is_news;
        int64_t size = q->settings->size;
        if (dropped && q->is_closing)
                batch_lose(rest);
        counter_add(&q->counters.discarded_full, dropped);
        queue_check(q);
        pthread_mutex_unlock(&q->lock);
        batch_unref(rest);
        if (!is_news)
                return;
        report_full(q, is_affordable, size);
        observe(q->observer, NOTICE_QUEUE_FULL, q->name, is_affordable ? "messages" : "memory");
}

int queue_start(struct queue *q) {
        if (queue_is_direct(q))
                return 0;
        int r = q->mode->start ? q->mode->start(q) : 0;
        if (r)
                return pass(r);
        pthread_mutex_lock(&q->lock);
        r = q->running ? 0 : worker_add_if_needed(q);
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

bool queue_drain(struct queue *q) {
        if (queue_is_direct(q))
                return true;
        pthread_mutex_lock(&q->lock);
        assert(q->is_closing);
        struct timespec until = queue_after_ms(MAX(q->timeout_shutdown_ms, (int64_t)0));
        while (queue_all_waiting(q) + q->working && !q->is_ending)
                if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        bool is_empty = queue_all_waiting(q) + q->working == 0;
        pthread_mutex_unlock(&q->lock);
        return is_empty;
}

/* The list goes to disk where it may, and is lost where not. Lock held. */
static void end_list(struct queue *q) {
        bool saves = q->durable && (q->settings->saves_on_shutdown || q->mode == &delay_mode);
        /* What a queue of type Delay has in memory is older than what it has on disk. */
        bool is_front = q->mode == &delay_mode && saves && durable_unfinished(q->durable);
        for (struct batch *b; (b = memory_take(q));) {
                struct batch *left = is_front ? front_keep(q, b) : saves ? admit_to_disk(q, b, 0) : b;
                if (!left)
                        continue;
                counter_add(&q->counters.lost, left->count);
                batch_lose(left);
                pthread_mutex_unlock(&q->lock);
                batch_unref(left);
                pthread_mutex_lock(&q->lock);
        }
}

static void report_saved(struct queue *q) {
        uint64_t on_disk = durable_unfinished(q->durable) + (q->front ? durable_unfinished(q->front) : 0);
        int r = durable_wait(q->durable);
        if (r)
                report(q->reporter, SEVERITY_ERR, 2040, "queue '%s': what it has could not be written to disk: %s",
                       q->name, fail_text(r));
        else if (on_disk)
                report(q->reporter, SEVERITY_INFO, 0, "queue '%s': %llu messages stay on disk for the next start",
                       q->name, (unsigned long long)on_disk);
}

uint64_t queue_stop(struct queue *q) {
        if (queue_is_direct(q))
                return 0;
        uint64_t lost_before = counter_get(&q->counters.lost);
        pthread_mutex_lock(&q->lock);
        q->is_closing = q->is_ending = true;
        pthread_cond_broadcast(&q->filled);
        pthread_cond_broadcast(&q->drained);
        if (!workers_wait(q, MAX(q->timeout_shutdown_ms, (int64_t)0))) {
                q->is_late = true;
                pthread_cond_broadcast(&q->filled);
                pthread_cond_broadcast(&q->drained);
                pthread_mutex_unlock(&q->lock);
                if (q->consumer.hurry)
                        q->consumer.hurry(q->consumer.consumer);
                pthread_mutex_lock(&q->lock);
                workers_wait(q, MAX(q->settings->timeout_action_completion_ms, (int64_t)0));
        }
        q->is_stopped = true;
        pthread_mutex_unlock(&q->lock);
        /* hurry() makes every wait of a delivery end, so the join is bounded by one system call of an output. */
        workers_join(q);
        if (q->mode->stop)
                q->mode->stop(q);
        pthread_mutex_lock(&q->lock);
        end_list(q);
        pthread_mutex_unlock(&q->lock);
        if (q->durable)
                report_saved(q);
        return counter_get(&q->counters.lost) - lost_before;
}
