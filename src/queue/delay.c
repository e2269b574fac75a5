/*
 * Delay: the action runs directly, on the thread of whoever pushes; while it is slow, the durable part stands between.
 *
 *   DIRECT     -> DIRECT      the action took all, in time                      delay_attempt()
 *   DIRECT     -> TAKEN OVER  it announced a delay, is suspended, took longer
 *                             than queue.delayThreshold, or left something      delay_attempt()
 *   DIRECT     -> TAKEN OVER  somebody else waited that long for his turn       delay_attempt()
 *   TAKEN OVER -> DIRECT      nothing waits, is in work, or is on its way       settled()
 *
 * Never two owners: a worker takes nothing while is_direct_busy, and nobody runs the action directly once
 * is_taken_over; both change under the queue's lock. Never none: what the action left over goes to the durable part
 * ahead of everything that came meanwhile, or, where others were already there, to the list in memory, which workers
 * take first; its senders wait until it is delivered.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/fail.h"
#include "queue/inside.h"

static void settled(struct queue *q) {
        if (q->is_taken_over && !q->is_direct_busy && !q->is_rest_entering && !q->entering && !q->working &&
            !q->first && durable_unfinished(q->durable) == 0 && (!q->front || durable_unfinished(q->front) == 0))
                q->is_taken_over = false;
}

static struct batch *put(struct queue *q, struct batch *b, enum flow flow) {
        uint32_t count = b->count;
        int64_t patience_ms = admission_patience_ms(q, b, flow);
        q->is_taken_over = true;
        q->entering++;
        while (q->is_rest_entering)
                pthread_cond_wait(&q->drained, &q->lock);
        struct batch *back = admit_to_disk(q, b, patience_ms);
        q->entering--;
        if (!back)
                queue_entered(q, count);
        return back;
}

static bool has_work(struct queue *q) {
        if (q->is_direct_busy || q->is_rest_entering)
                return false;
        return (q->first && front_waiting(q) == 0) || front_has_next(q);
}

static struct batch *take(struct queue *q) {
        if (q->is_direct_busy || q->is_rest_entering)
                return NULL;
        struct batch *b = front_waiting(q) ? NULL : memory_take(q);
        if (!b)
                return front_take(q);
        q->working += b->count;
        return b;
}

static uint64_t level(struct queue *q) {
        return q->waiting + durable_waiting(q->durable);
}

/* What an earlier run left comes first. */
static int start(struct queue *q) {
        pthread_mutex_lock(&q->lock);
        q->is_taken_over = durable_unfinished(q->durable) > 0 || front_waiting(q) > 0;
        pthread_mutex_unlock(&q->lock);
        return 0;
}

const struct queue_mode delay_mode = {
        .put = put, .has_work = has_work, .take = take, .level = level, .settled = settled, .start = start};

/* ---- The direct way ---------------------------------------------------------- */

/* Waits for the turn of this thread, at most the threshold. False: the durable part has what comes, or takes over. */
static bool take_turn(struct queue *q) {
        struct timespec until = queue_after_ms(q->settings->delay_threshold_ms);
        pthread_mutex_lock(&q->lock);
        while (q->is_direct_busy && !q->is_taken_over && !q->is_stopped)
                if (pthread_cond_timedwait(&q->turn, &q->lock, &until) == ETIMEDOUT)
                        break;
        bool is_mine = !q->is_direct_busy && !q->is_taken_over && !q->is_stopped;
        q->is_direct_busy |= is_mine;
        pthread_mutex_unlock(&q->lock);
        return is_mine;
}

static uint32_t run(struct queue *q, struct batch *b, bool *will_delay) {
        const struct queue_consumer *c = &q->consumer;
        int64_t begin_ns = clock_mono_ns();
        uint32_t taken = c->attempt ? c->attempt(c->consumer, b, 0, b->count, will_delay)
                                    : c->consume(c->consumer, q->worker_count, b, 0, b->count);
        *will_delay |= clock_mono_ns() - begin_ns > q->settings->delay_threshold_ms * 1000000;
        return taken;
}

/* The rest goes ahead of what others bring from now on; behind nothing, but for what a worker takes first. */
static void enter_rest(struct queue *q, struct batch *rest, bool others_came) {
        if (!others_came) {
                q->is_rest_entering = true;
                rest = admit_to_disk(q, rest, 0);
                q->is_rest_entering = false;
        }
        if (rest)
                memory_put_first(q, rest);
        pthread_cond_broadcast(&q->drained);
        if (worker_add_if_needed(q) && q->running == 0)
                report(q->reporter, SEVERITY_ERR, 0, "queue '%s': cannot start a worker thread", q->name);
}

struct batch *delay_attempt(struct queue *q, struct batch *b) {
        if (!take_turn(q))
                return b;
        uint32_t count = b->count;
        bool will_delay = false;
        uint32_t taken = run(q, b, &will_delay);
        struct batch *rest = taken < count ? batch_tail(b, taken) : NULL;
        if (taken < count && !rest)
                batch_lose(b);
        pthread_mutex_lock(&q->lock);
        counter_add(&q->counters.enqueued, count);
        bool others_came = q->is_taken_over;
        q->is_taken_over |= will_delay || taken < count;
        q->is_direct_busy = false;
        if (rest)
                enter_rest(q, rest, others_came);
        pthread_cond_broadcast(&q->filled);
        pthread_cond_broadcast(&q->turn);
        pthread_mutex_unlock(&q->lock);
        batch_unref(b);
        return NULL;
}
