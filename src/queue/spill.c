/*
 * Disk-assisted: a list in memory, and behind the high watermark the disk.
 *
 *   older  [ front ] [ durable part ] [ list in memory ]  newer
 *
 *   IN MEMORY -> SPILLING   the list reaches the high watermark         put()
 *   SPILLING  -> SPILLING   the oldest of the list goes to the end of the durable part   spill_one()
 *   SPILLING  -> IN MEMORY  the list is down to the low watermark, or the disk takes nothing
 *
 * Workers take from the durable part as long as it has something, then from the list, and from neither while a batch
 * is on its way between them: so what a source sent is delivered in its order. What an earlier run left on disk is the
 * oldest of all and comes first.
 *
 * One thread spills, so that no sender waits for the disk; it sleeps until the high watermark.
 */
#include <errno.h>

#include "base/fail.h"
#include "queue/inside.h"

enum {
        HIGH_PERCENT = 90, /* of queue.size, where no watermark is given */
        LOW_PERCENT = 70,
        SPILL_AGAIN_MS = 1000, /* after the disk took nothing */
};

static uint64_t mark_of(const struct queue *q, int64_t mark, int percent) {
        int64_t size = q->settings->size;
        return (uint64_t)(mark > 0 ? MIN(mark, size) : MAX(size * percent / 100, (int64_t)1));
}

static uint64_t high_mark(const struct queue *q) {
        return mark_of(q, q->settings->high_watermark, HIGH_PERCENT);
}

static uint64_t low_mark(const struct queue *q) {
        uint64_t low = mark_of(q, q->settings->low_watermark, LOW_PERCENT), high = high_mark(q);
        return MIN(low, high > 1 ? high - 1 : 0);
}

static struct batch *put(struct queue *q, struct batch *b, enum flow flow _unused_) {
        uint32_t count = b->count;
        memory_append(q, b);
        queue_entered(q, count);
        if (q->waiting >= high_mark(q) && !q->wants_spill && q->has_spiller) {
                q->wants_spill = true;
                pthread_cond_signal(&q->turn);
        }
        return NULL;
}

static bool has_work(struct queue *q) {
        if (front_waiting(q) > 0 || durable_waiting(q->durable) > 0)
                return front_has_next(q);
        return q->first && !q->spilling;
}

static struct batch *take(struct queue *q) {
        if (front_waiting(q) > 0 || durable_waiting(q->durable) > 0)
                return front_take(q);
        struct batch *b = q->spilling ? NULL : memory_take(q);
        if (b)
                q->working += b->count;
        return b;
}

static uint64_t level(struct queue *q) {
        return q->waiting;
}

/* The oldest batch of the list goes to disk; false when the disk takes nothing. */
static bool spill_one(struct queue *q) {
        struct batch *b = memory_take(q);
        q->spilling = b->count;
        b = admit_to_disk(q, b, 0);
        q->spilling = 0;
        if (b)
                memory_put_first(q, b);
        queue_left(q);
        pthread_cond_broadcast(&q->filled);
        return !b;
}

static void *spiller_main(void *argument) {
        struct queue *q = argument;
        pthread_mutex_lock(&q->lock);
        while (!q->is_stopped) {
                if (!q->wants_spill) {
                        pthread_cond_wait(&q->turn, &q->lock);
                        continue;
                }
                bool is_taken = true;
                while (is_taken && q->waiting > low_mark(q) && !q->is_stopped)
                        is_taken = spill_one(q);
                q->wants_spill = !is_taken && q->waiting >= high_mark(q);
                if (q->wants_spill && !q->is_stopped) {
                        struct timespec until = queue_after_ms(SPILL_AGAIN_MS);
                        pthread_cond_timedwait(&q->turn, &q->lock, &until);
                }
        }
        pthread_mutex_unlock(&q->lock);
        return NULL;
}

static int start(struct queue *q) {
        int r = pthread_create(&q->spiller, NULL, spiller_main, q);
        if (r)
                return fail(-r);
        q->has_spiller = true;
        return 0;
}

static void stop(struct queue *q) {
        pthread_mutex_lock(&q->lock);
        bool has_spiller = q->has_spiller;
        q->has_spiller = false;
        pthread_cond_broadcast(&q->turn);
        pthread_mutex_unlock(&q->lock);
        if (has_spiller)
                pthread_join(q->spiller, NULL);
}

const struct queue_mode spill_mode = {
        .put = put, .has_work = has_work, .take = take, .level = level, .start = start, .stop = stop};
