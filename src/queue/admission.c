/*
 * Who gets into a queue: what is unimportant goes at the discard mark, sampling keeps each n-th, and a sender is held
 * at the marks as its flow allows. All here runs under the queue's lock.
 */
#include <errno.h>

#include "base/fail.h"
#include "queue/inside.h"

enum {
        LIGHT_DELAY_MS = 1000, /* how long FLOW_LIGHT is held above its mark */
        RELEASE_PERCENT = 75,  /* of its mark: a held sender goes on there, not batch by batch */
        LIGHT_DELAY_NEVER = 0, /* queue.lightDelayMark */
        SEVERITY_NEVER_DISCARDED = 8,
        DISK_AGAIN_MS = 200,   /* a disk that takes nothing is asked again; freed room says so itself */
        PACE_MESSAGES = 12000, /* some megabytes: what the processor's caches hold */
        PACE_MS = 5,
};

static int64_t level(struct queue *q) {
        return (int64_t)q->mode->level(q);
}

static int64_t mark_or(int64_t mark, int64_t size, int percent) {
        return mark > 0 ? MIN(mark, size) : MAX(size * percent / 100, (int64_t)1);
}

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

static bool has_room(struct queue *q) {
        const struct queue_settings *s = q->settings;
        if (q->is_closing)
                return true;
        return level(q) < s->size && (s->bytes_max <= 0 || (int64_t)q->waiting_bytes < s->bytes_max);
}

/* Waits until no more than `release` messages are left, at most `ms` (negative: for ever); false when that is over. */
static bool hold(struct queue *q, int64_t release, int64_t ms) {
        struct timespec until = queue_after_ms(MAX(ms, (int64_t)0));
        bool is_released = true;
        q->held++;
        q->release_at = MAX(q->release_at, release);
        while ((level(q) > release || !has_room(q)) && !q->is_closing) {
                if (ms < 0)
                        pthread_cond_wait(&q->drained, &q->lock);
                else if (pthread_cond_timedwait(&q->drained, &q->lock, &until) == ETIMEDOUT) {
                        is_released = false;
                        break;
                }
        }
        if (--q->held == 0)
                q->release_at = 0;
        return is_released;
}

static void hold_above(struct queue *q, int64_t mark, int64_t ms) {
        if (level(q) >= mark)
                hold(q, mark * RELEASE_PERCENT / 100, ms);
}

/*
 * A sender that can wait lets workers that are at it catch up: what they take then is still in the processor's caches,
 * and memory stays what is in use (from TCP to a file 8 % less processor time, less than half of the memory). When
 * nothing leaves meanwhile, because the action is slow or down, the queue fills as fast as ever; and so it does while
 * more workers may come, which the number of messages that wait calls.
 */
static void keep_pace(struct queue *q) {
        if (q->is_moving && level(q) >= PACE_MESSAGES && q->running == q->worker_count)
                q->is_moving = hold(q, PACE_MESSAGES * RELEASE_PERCENT / 100, PACE_MS);
}

/*
 * What a queue on disk has handed on is never thrown away: it would be lost after it was acknowledged. Neither is what
 * a sender is about to be told of, unless it asks for no flow control, or queue.timeoutEnqueue="0" says that this queue
 * holds nobody up.
 */
bool admission_is_patient(const struct queue *q, const struct batch *b, enum flow flow) {
        return queue_behind(b) || (flow != FLOW_NONE && q->timeout_enqueue_ms != 0 && batch_is_waited_for(b));
}

/* Holds the sender back as its flow allows. True when there is room for at least one message. */
static bool wait_for_room(struct queue *q, const struct batch *b, enum flow flow) {
        const struct queue_settings *s = q->settings;
        if (q->mode == &memory_mode && (flow == FLOW_FULL || flow == FLOW_LIGHT))
                keep_pace(q);
        if (flow == FLOW_FULL)
                hold_above(q, mark_or(s->full_delay_mark, s->size, 97), -1);
        else if (flow == FLOW_LIGHT && s->light_delay_mark != LIGHT_DELAY_NEVER)
                hold_above(q, mark_or(s->light_delay_mark, s->size, 70), LIGHT_DELAY_MS);
        if (has_room(q))
                return true;
        counter_add(&q->counters.full, 1);
        hold(q, s->size - 1, admission_is_patient(q, b, flow) ? -1 : q->timeout_enqueue_ms);
        return has_room(q);
}

void queue_entered(struct queue *q, uint64_t count) {
        counter_add(&q->counters.enqueued, count);
        uint64_t all = queue_all_waiting(q);
        if (all > counter_get(&q->counters.size_max))
                atomic_store_explicit(&q->counters.size_max.value, all, memory_order_relaxed);
        if (worker_add_if_needed(q) && q->running == 0)
                report(q->reporter, SEVERITY_ERR, 0, "queue '%s': cannot start a worker thread", q->name);
        if (q->idle)
                pthread_cond_signal(&q->filled);
}

void queue_left(struct queue *q) {
        q->is_moving = true;
        if (q->held && level(q) <= q->release_at)
                pthread_cond_broadcast(&q->drained);
}

/* Takes in as much as fits, again and again while the sender may be held. */
static struct batch *put_what_fits(struct queue *q, struct batch *b, enum flow flow) {
        while (b && wait_for_room(q, b, flow)) {
                int64_t room = q->is_closing ? b->count : q->settings->size - level(q);
                struct batch *rest = b->count > room ? batch_tail(b, (uint32_t)room) : NULL;
                if (rest)
                        b->count = (uint32_t)room;
                struct batch *back = q->mode->put(q, b, flow);
                if (back) {
                        counter_add(&q->counters.discarded_full, rest ? rest->count : 0);
                        batch_unref(rest);
                        return back;
                }
                b = rest;
        }
        return b;
}

struct batch *admit(struct queue *q, struct batch *b, enum flow flow) {
        const struct queue_settings *s = q->settings;
        bool is_above_mark =
                s->discard_severity < SEVERITY_NEVER_DISCARDED && level(q) >= mark_or(s->discard_mark, s->size, 80);
        if (is_above_mark || s->sampling_interval > 1)
                drop_unwanted(q, b, is_above_mark);
        return b->count ? put_what_fits(q, b, flow) : b;
}

/* ---- A disk that takes nothing --------------------------------------------------- */

int64_t admission_patience_ms(struct queue *q, const struct batch *b, enum flow flow) {
        return flow == FLOW_FULL || flow == FLOW_LIGHT || admission_is_patient(q, b, flow) ? -1 : q->timeout_enqueue_ms;
}

/* Lock held, and let go of: the report may be a message for this very queue. */
static void report_broken(struct queue *q, int error) {
        if (q->was_broken)
                return;
        q->was_broken = true;
        pthread_mutex_unlock(&q->lock);
        report(q->reporter, SEVERITY_ERR, 2105,
               "queue '%s' cannot write to its disk: %s. New messages wait, and are discarded where their sender "
               "cannot; what was accepted is safe. See queue.maxDiskSpace and the space in queue.spoolDirectory",
               q->name, fail_text(error));
        pthread_mutex_lock(&q->lock);
}

/* Waits for room on the disk; false when the sender's patience, or the daemon, ends first. */
static bool wait_for_disk(struct queue *q, int64_t patience_ms, int64_t *waited_ms) {
        if (q->is_closing || (patience_ms >= 0 && *waited_ms >= patience_ms))
                return false;
        int64_t ms = patience_ms < 0 ? DISK_AGAIN_MS : MIN((int64_t)DISK_AGAIN_MS, patience_ms - *waited_ms);
        struct timespec until = queue_after_ms(ms);
        q->held++;
        q->release_at = INT64_MAX;
        pthread_cond_timedwait(&q->drained, &q->lock, &until);
        if (--q->held == 0)
                q->release_at = 0;
        *waited_ms += ms;
        return true;
}

/* A batch that only its owner refers to; NULL without memory, and b is still there. */
static struct batch *made_sole(struct batch *b) {
        if (atomic_load_explicit(&b->references, memory_order_acquire) == 1)
                return b;
        struct batch *view = batch_tail(b, 0);
        if (view)
                batch_unref(b);
        return view;
}

struct batch *admit_to_disk(struct queue *q, struct batch *b, int64_t patience_ms) {
        int64_t waited_ms = 0;
        for (;;) {
                pthread_mutex_unlock(&q->lock);
                struct batch *sole = made_sole(b);
                int r = sole ? durable_append(q->durable, sole) : fail(-ENOMEM);
                pthread_mutex_lock(&q->lock);
                b = sole ? sole : b;
                if (r == 0) {
                        q->was_broken = false;
                        return NULL;
                }
                report_broken(q, r);
                counter_add(&q->counters.full, waited_ms == 0);
                if (!wait_for_disk(q, patience_ms, &waited_ms))
                        return b;
        }
}
