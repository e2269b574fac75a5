/*
 * The front of a queue: a second, small durable part for what is older than all in the first.
 *
 *   older  [ front ] [ durable part ] [ list in memory ]  newer
 *
 * A worker may hold a batch from memory for as long as its destination is away, while what came after it has gone to
 * disk. When the daemon ends then, that batch is kept here, and comes first after the next start. The store is made
 * when it is first needed; most queues never have one.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "queue/inside.h"

enum { FRONT_FILE_BYTES = 1 << 20 /* a batch a worker */ };

int front_find(struct durable **ret, struct durable_plan *plan) {
        struct stat facts;
        plan->file_bytes = FRONT_FILE_BYTES;
        /* It holds what was in work, which may come twice anyway. And it is waited for with the queue's lock held, so
         * its keeper must not call. */
        plan->checkpoint_messages = 0;
        if (lstat(plan->directory, &facts) < 0 && errno == ENOENT)
                return 0;
        int r = durable_open(ret, plan);
        return r ? pass(r) : 0;
}

static int keep(struct queue *q, struct batch *b) {
        int r = q->front ? 0 : durable_open(&q->front, &q->front_plan);
        if (r == 0)
                r = durable_append(q->front, b);
        if (r == 0)
                r = durable_wait(q->front);
        return r ? pass(r) : 0;
}

struct batch *front_keep(struct queue *q, struct batch *b) {
        int r = keep(q, b);
        if (r == 0)
                return NULL;
        report(q->reporter, SEVERITY_ERR, 2040,
               "queue '%s': %u messages that were in work cannot be kept ahead of those on disk: %s", q->name, b->count,
               fail_text(r));
        return b;
}

uint64_t front_waiting(struct queue *q) {
        return q->front ? durable_waiting(q->front) : 0;
}

bool front_has_next(struct queue *q) {
        return durable_has_next(front_waiting(q) ? q->front : q->durable);
}

struct batch *front_take(struct queue *q) {
        struct durable *oldest = front_waiting(q) ? q->front : q->durable;
        pthread_mutex_unlock(&q->lock);
        struct batch *b = durable_take(oldest);
        pthread_mutex_lock(&q->lock);
        if (b)
                q->working += b->count;
        return b;
}

void front_close(struct queue *q) {
        q->front = durable_close(q->front);
        free((char *)q->front_plan.directory);
}
