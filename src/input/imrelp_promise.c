#include "input/imrelp_promise.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"

struct mailbox {
        atomic_uint references; /* the input's, and one for each promise that a batch has */
        void (*collect)(void *owner);
        void *owner;
        struct relp_promise *idle; /* the loop's */

        pthread_mutex_t lock; /* guards all below */
        pthread_cond_t filled;
        struct loop *loop; /* NULL: closed */
        struct relp_promise *kept;
};

int mailbox_new(struct mailbox **ret, struct loop *loop, void (*collect)(void *owner), void *owner) {
        struct mailbox *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&m->lock, NULL);
        pthread_cond_init(&m->filled, &monotonic);
        pthread_condattr_destroy(&monotonic);
        atomic_init(&m->references, 1);
        m->loop = loop;
        m->collect = collect;
        m->owner = owner;
        *ret = m;
        return 0;
}

static void mailbox_unref(struct mailbox *m) {
        if (atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) > 1)
                return;
        pthread_mutex_destroy(&m->lock);
        pthread_cond_destroy(&m->filled);
        free(m);
}

struct mailbox *mailbox_close(struct mailbox *m) {
        if (!m)
                return NULL;
        pthread_mutex_lock(&m->lock);
        m->loop = NULL;
        struct relp_promise *kept = TAKE(m->kept);
        pthread_mutex_unlock(&m->lock);
        while (kept) {
                struct relp_promise *first = kept;
                kept = first->next_kept;
                free(first);
        }
        while (m->idle) {
                struct relp_promise *first = m->idle;
                m->idle = first->next;
                free(first);
        }
        mailbox_unref(m);
        return NULL;
}

static void bring_home(struct relp_promise *promise) {
        struct mailbox *m = promise->mailbox;
        pthread_mutex_lock(&m->lock);
        bool is_closed = !m->loop, is_first = !m->kept;
        if (!is_closed) {
                promise->next_kept = m->kept;
                m->kept = promise;
                pthread_cond_signal(&m->filled);
        }
        /*
         * Inside the lock, so that the loop is still there. Without memory for the call the promise lies in the
         * mailbox until the loop's next round; the sender asks again after its time-out at the latest.
         */
        if (!is_closed && is_first)
                (void)loop_post(m->loop, m->collect, m->owner);
        pthread_mutex_unlock(&m->lock);
        if (is_closed)
                free(promise);
        mailbox_unref(m);
}

/* The batch is finished; on whatever thread let go of it last. */
static void keep(void *promise, uint64_t cookie _unused_) {
        bring_home(promise);
}

static void lose(void *argument, uint64_t cookie _unused_) {
        struct relp_promise *promise = argument;
        promise->is_lost = true;
        bring_home(promise);
}

struct relp_promise *promise_make(struct mailbox *m, struct batch *b, struct relp_peer *session, uint32_t first_txnr) {
        struct relp_promise *promise = m->idle;
        if (promise)
                m->idle = promise->next;
        else
                promise = malloc(sizeof *promise);
        if (!promise)
                return NULL;
        *promise = (struct relp_promise){.mailbox = m, .session = session, .first_txnr = first_txnr, .is_kept = !b};
        if (!b)
                return promise;
        atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
        if (batch_acknowledge(b, (struct acknowledgement){.done = keep, .lost = lose, .input = promise}) == 0)
                return promise;
        mailbox_unref(m);
        promise_recycle(promise);
        return NULL;
}

void promise_recycle(struct relp_promise *promise) {
        struct mailbox *m = promise->mailbox;
        promise->next = m->idle;
        m->idle = promise;
}

struct relp_promise *mailbox_collect(struct mailbox *m) {
        pthread_mutex_lock(&m->lock);
        struct relp_promise *kept = TAKE(m->kept);
        pthread_mutex_unlock(&m->lock);
        return kept;
}

bool mailbox_wait(struct mailbox *m, int64_t deadline_ns) {
        const struct timespec until = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
        pthread_mutex_lock(&m->lock);
        int r = 0;
        while (!m->kept && r == 0)
                r = pthread_cond_timedwait(&m->filled, &m->lock, &until);
        bool is_filled = m->kept != NULL;
        pthread_mutex_unlock(&m->lock);
        return is_filled;
}
