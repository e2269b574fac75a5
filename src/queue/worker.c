/*
 * Workers: threads that take the oldest batch and consume it. The first one stays for ever; others come when there is
 * enough to do and leave when idle.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "queue/inside.h"

enum { HOURS_ALWAYS = 25 };

static void *worker_main(void *argument);

int worker_add_if_needed(struct queue *q) {
        const struct queue_settings *s = q->settings;
        if (q->running == q->worker_count || q->idle)
                return 0;
        int64_t share = s->worker_minimum_messages > 0 ? s->worker_minimum_messages : s->size / q->worker_count;
        if (q->running && (int64_t)queue_all_waiting(q) < share * q->running)
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

static bool has_work(struct queue *q) {
        return !q->is_late && q->mode->has_work(q);
}

/* Waits for messages. False when this worker shall leave. */
static bool wait_for_work(struct queue *q, const struct worker *w) {
        struct timespec until = queue_after_ms(MAX(q->settings->timeout_worker_ms, (int64_t)1));
        while (!q->is_rung && !has_work(q)) {
                if (q->is_ending && (q->is_late || !queue_all_waiting(q)))
                        return false;
                int r = 0;
                q->idle++;
                /* The first worker stays for ever, without a timer; others leave when idle for long. */
                if (w->number == 0 || q->settings->timeout_worker_ms < 0)
                        r = pthread_cond_wait(&q->filled, &q->lock);
                else
                        r = pthread_cond_timedwait(&q->filled, &q->lock, &until);
                q->idle--;
                if (r == ETIMEDOUT && !q->is_rung && !has_work(q))
                        return false;
        }
        return true;
}

/* Waits, once there is something, for more of it or an open time window. */
static void wait_for_more(struct queue *q) {
        const struct queue_settings *s = q->settings;
        int64_t closed_ms;
        while (!q->is_ending && (closed_ms = closed_for_ms(s)) > 0) {
                struct timespec until = queue_after_ms(closed_ms);
                pthread_cond_timedwait(&q->filled, &q->lock, &until);
        }
        if (s->min_dequeue_batch_size <= 0)
                return;
        struct timespec until = queue_after_ms(s->min_dequeue_batch_timeout_ms);
        q->idle++;
        while (!q->is_ending && (int64_t)queue_all_waiting(q) < s->min_dequeue_batch_size)
                if (pthread_cond_timedwait(&q->filled, &q->lock, &until) == ETIMEDOUT)
                        break;
        q->idle--;
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

/* How many records from the first on are done with; less than all only when the queue ends. */
static uint32_t consume(struct queue *q, unsigned worker, struct batch *b) {
        const struct queue_settings *s = q->settings;
        uint32_t step =
                s->dequeue_batch_size > 0 ? (uint32_t)MIN(s->dequeue_batch_size, (int64_t)UINT32_MAX) : b->count;
        for (uint32_t at = 0; at < b->count; at += step) {
                uint32_t count = MIN(step, b->count - at);
                uint32_t settled = q->consumer.consume(q->consumer.consumer, worker, b, at, count);
                assert(settled <= count);
                if (settled < count)
                        return at + settled;
                if (s->dequeue_slowdown_us > 0)
                        slow_down(q);
        }
        return b->count;
}

struct batch *worker_consume(struct queue *q, unsigned worker, struct batch *b) {
        uint32_t settled = consume(q, worker, b);
        /* Something in it was lost on its way through a ruleset: which, nobody can tell. */
        if (settled == b->count && q->durable && atomic_load_explicit(&b->is_lost, memory_order_relaxed))
                settled = 0;
        if (settled == b->count)
                return batch_unref(b);
        if (durable_is_from(b) || !q->durable) {
                if (!q->durable)
                        counter_add(&q->counters.lost, b->count - settled);
                durable_settle(b, settled);
                batch_lose(b);
                return batch_unref(b);
        }
        struct batch *rest = batch_tail(b, settled);
        if (!rest)
                batch_lose(b);
        atomic_store_explicit(&b->is_lost, !rest, memory_order_relaxed);
        batch_unref(b);
        return rest;
}

/* With the lock held, which it gives up meanwhile. */
static void tell_drained(struct queue *q) {
        if (queue_all_waiting(q) + q->working)
                return;
        q->owes_drained = false;
        pthread_mutex_unlock(&q->lock);
        observe(q->observer, NOTICE_QUEUE_DRAINED, q->name, "");
        pthread_mutex_lock(&q->lock);
}

/* The same. */
static void hear_ring(struct queue *q, const struct worker *w) {
        q->is_rung = false;
        pthread_mutex_unlock(&q->lock);
        q->consumer.rung(q->consumer.consumer, w->number);
        pthread_mutex_lock(&q->lock);
        q->working--;
        if (q->is_closing)
                pthread_cond_broadcast(&q->drained);
}

static void *worker_main(void *argument) {
        struct worker *w = argument;
        struct queue *q = w->queue;
        pthread_mutex_lock(&q->lock);
        while (wait_for_work(q, w)) {
                if (UNLIKELY(q->is_rung)) {
                        hear_ring(q, w);
                        continue;
                }
                wait_for_more(q);
                if (q->is_late)
                        continue;
                struct batch *b = q->mode->take(q);
                if (!b)
                        continue;
                uint32_t count = b->count;
                queue_left(q);
                /* What came while this one was still waking up found an idle worker, and called no other. */
                if (q->worker_count > 1 && has_work(q))
                        (void)worker_add_if_needed(q);
                pthread_mutex_unlock(&q->lock);
                struct batch *rest = worker_consume(q, w->number, b);
                pthread_mutex_lock(&q->lock);
                if (rest && q->settings->saves_on_shutdown && durable_unfinished(q->durable))
                        rest = front_keep(q, rest);
                if (rest)
                        memory_put_first(q, rest);
                q->working -= count;
                if (q->mode->settled)
                        q->mode->settled(q);
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

bool workers_wait(struct queue *q, int64_t ms) {
        struct timespec until = queue_after_ms(ms);
        while (q->running)
                if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT)
                        break;
        return q->running == 0;
}

void workers_join(struct queue *q) {
        for (unsigned i = 0; i < q->worker_count; i++)
                if (q->workers[i].must_join) {
                        pthread_join(q->workers[i].thread, NULL);
                        q->workers[i].must_join = false;
                }
}
