/*
 * Progress: what the positions of imfile and imjournal have in common. A position
 * is how far a source is safely through; it begins with a struct progress.
 *
 *   progress_reach()  promises: "when this batch is finished, we are there"
 *   (batch finished)  any thread: the oldest promises that are kept move the position; when enough of them did, it is
 *                     written, on the loop
 *   is_stopped        no more promises; the last one kept writes the state file itself
 *
 * Each batch that is under way holds a reference. Promises are made by one thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "input/promises.h"

struct batch;
struct loop;
struct progress;

/* A position's promise begins with it, and goes on with where the position then is. */
struct progress_promise {
        struct promise promise;
        struct progress *progress;
        uint32_t records; /* that the batch has of the source */
};

/* What a position does about it; move() and write() are called under the lock. */
struct progress_ops {
        size_t promise_bytes;
        /* A promise was kept; whether that says something new. */
        bool (*move)(struct progress *p, const struct progress_promise *kept);
        int (*write)(struct progress *p);
        void (*free)(struct progress *p);
};

struct progress {
        const struct progress_ops *ops;
        struct loop *loop; /* where it is written */
        int64_t interval;  /* records after which it is written; 0: whenever it moved; below: not by itself */
        atomic_uint references;
        pthread_mutex_t lock; /* guards all below, and what the position adds */
        struct promises promises;
        uint64_t new_records; /* finished, but not yet in the state file */
        bool is_changed;
        bool is_posted; /* a write waits on the loop */
        bool is_stopped;
};

/* In zeroed memory; progress_unref() ends it with ops->free(). */
void progress_init(struct progress *p, const struct progress_ops *ops, struct loop *loop, int64_t interval);
void progress_unref(struct progress *p);

/*
 * Promises for when `b` is finished; NULL for bytes that made no record. `promise` has ops->promise_bytes, which are
 * copied. Without memory the position stays behind for good: -ENOMEM.
 */
int progress_reach(struct progress *p, struct batch *b, const struct progress_promise *promise);

/* Writes what is new, under the lock. What fails is tried again with the next write. */
int progress_write_locked(struct progress *p);
