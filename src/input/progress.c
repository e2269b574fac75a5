#include "input/progress.h"

#include <errno.h>
#include <string.h>

#include "base/fail.h"
#include "io/loop.h"
#include "message/batch.h"

void progress_init(struct progress *p, const struct progress_ops *ops, struct loop *loop, int64_t interval) {
        assert(ops->promise_bytes >= sizeof(struct progress_promise));
        p->ops = ops;
        p->loop = loop;
        p->interval = interval;
        atomic_init(&p->references, 1);
        pthread_mutex_init(&p->lock, NULL);
}

static void ref(struct progress *p) {
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
}

void progress_unref(struct progress *p) {
        if (atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1)
                return;
        promises_fini(&p->promises);
        pthread_mutex_destroy(&p->lock);
        p->ops->free(p);
}

int progress_write_locked(struct progress *p) {
        if (!p->is_changed)
                return 0;
        int r = p->ops->write(p);
        if (r)
                return pass(r);
        p->is_changed = false;
        p->new_records = 0;
        return 0;
}

static void write_posted(void *argument) {
        struct progress *p = argument;
        pthread_mutex_lock(&p->lock);
        p->is_posted = false;
        progress_write_locked(p); /* what fails is tried with the next batch, and at the end */
        pthread_mutex_unlock(&p->lock);
        progress_unref(p);
}

/* Under the lock: a write on the loop, where none waits already. */
static void post_write(struct progress *p) {
        if (p->is_posted)
                return;
        p->is_posted = loop_post(p->loop, write_posted, p) == 0;
        if (p->is_posted)
                ref(p);
}

/* Under the lock: takes kept promises from the front. */
static void settle(struct progress *p) {
        for (const struct progress_promise *kept; (kept = promises_take(&p->promises));) {
                p->is_changed |= p->ops->move(p, kept);
                p->new_records += kept->records;
        }
        if (!p->is_changed)
                return;
        if (p->is_stopped && promises_are_kept(&p->promises))
                progress_write_locked(p);
        else if (!p->is_stopped && p->interval >= 0 && p->new_records >= (uint64_t)p->interval)
                post_write(p);
}

/* The batch is finished; on whatever thread let go of it last. */
static void keep_promise(void *argument, uint64_t cookie _unused_) {
        struct progress_promise *promise = argument;
        struct progress *p = promise->progress;
        pthread_mutex_lock(&p->lock);
        promise->promise.is_kept = true;
        settle(p);
        pthread_mutex_unlock(&p->lock);
        progress_unref(p);
}

/* The batch ended, and not all of it is safe: the promise stays unkept, so that the position never passes it. */
static void break_promise(void *argument, uint64_t cookie _unused_) {
        const struct progress_promise *promise = argument;
        progress_unref(promise->progress);
}

/* At the end of the line, and kept at once where no batch is to be waited for; NULL without memory. */
static struct progress_promise *add(struct progress *p, const struct progress_promise *said, bool is_kept) {
        struct progress_promise *promise = promises_add(&p->promises, p->ops->promise_bytes);
        if (!promise)
                return NULL;
        const struct promise place = promise->promise;
        memcpy(promise, said, p->ops->promise_bytes);
        promise->promise = place;
        promise->promise.is_kept = is_kept;
        promise->progress = p;
        if (is_kept)
                settle(p);
        return promise;
}

int progress_reach(struct progress *p, struct batch *b, const struct progress_promise *said) {
        pthread_mutex_lock(&p->lock);
        struct progress_promise *promise = add(p, said, !b);
        pthread_mutex_unlock(&p->lock);
        if (!promise)
                return fail(-ENOMEM);
        if (!b)
                return 0;
        ref(p);
        struct acknowledgement a = {.done = keep_promise, .lost = break_promise, .input = promise};
        int r = batch_acknowledge(b, a);
        if (r)
                progress_unref(p); /* The promise stays unkept, so the position never passes it. */
        return pass(r);
}
