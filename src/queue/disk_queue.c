/*
 * Disk and segmentedDisk: every message goes through the store, and counts as accepted once it is there. A consumer
 * who keeps up gets the batches from memory.
 */
#include "queue/inside.h"

static struct batch *put(struct queue *q, struct batch *b, enum flow flow) {
        uint32_t count = b->count;
        struct batch *back = admit_to_disk(q, b, admission_patience_ms(q, b, flow));
        if (!back)
                queue_entered(q, count);
        return back;
}

static bool has_work(struct queue *q) {
        return durable_has_next(q->durable);
}

static struct batch *take(struct queue *q) {
        pthread_mutex_unlock(&q->lock);
        struct batch *b = durable_take(q->durable);
        pthread_mutex_lock(&q->lock);
        if (b)
                q->working += b->count;
        return b;
}

static uint64_t level(struct queue *q) {
        return durable_waiting(q->durable);
}

const struct queue_mode disk_mode = {.put = put, .has_work = has_work, .take = take, .level = level};
