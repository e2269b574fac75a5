/*
 * What the files of the queue share: its state, and what a mode is. Nobody else includes this.
 *
 *   queue.c      life: made, opened, started, pushed into, stopped
 *   open.c       what a queue has on disk
 *   admission.c  who gets in: marks, discarding, sampling, holding a sender
 *   status.c     what may be asked and changed while it runs
 *   worker.c     threads that take and consume; time windows, pauses
 *   memory.c     a list of batches; LinkedList and FixedArray without a file name
 *   durable.c    what lies in a durable store, and the batches of it that memory still has
 *   disk_queue.c Disk, segmentedDisk: all goes through the durable part
 *   spill.c      disk-assisted: the list first, its oldest to the durable part above the high watermark
 *   dead.c       messages that nobody can deliver
 *   front.c      what is older than the durable part, over a restart
 *   delay.c      Delay: the action itself first, the durable part while it is slow
 */
#pragma once

#include <pthread.h>
#include <time.h>

#include "queue/dead.h"
#include "queue/durable.h"
#include "queue/queue.h"

struct worker {
        struct queue *queue;
        unsigned number;
        pthread_t thread;
        bool is_running;
        bool must_join;
};

/* What differs by queue.type. The queue's lock is held; a function may let go of it meanwhile. */
struct queue_mode {
        /* Puts a batch in; what cannot be put (no room on the disk) comes back. */
        struct batch *(*put)(struct queue *q, struct batch *b, enum flow flow);
        /* Whether take() would find something. */
        bool (*has_work)(struct queue *q);
        /* The oldest batch, counted in `working`; NULL: there is none after all. */
        struct batch *(*take)(struct queue *q);
        /* Messages that the queue's size and marks look at. */
        uint64_t (*level)(struct queue *q);
        /* A worker has let go of what it took. May be NULL. */
        void (*settled)(struct queue *q);
        /* Threads of its own begin, end; may be NULL. */
        int (*start)(struct queue *q);
        void (*stop)(struct queue *q);
};

struct queue {
        struct sink sink;
        const char *name;
        const struct queue_settings *settings;
        struct queue_settings own; /* what settings points to: marks may change while it runs, under the lock */
        const struct queue_mode *_Atomic mode; /* memory_mode until what it has on disk is open */
        struct queue_consumer consumer;
        struct reporter *reporter;
        struct observer *observer; /* NULL: nobody */
        struct budget *budget;     /* NULL: none */
        struct durable *durable;   /* NULL: memory alone */
        struct dead *dead;         /* with `durable` */
        struct durable *front;     /* front.c; NULL: not needed so far */
        struct durable_plan front_plan;
        struct queue_counters counters;

        pthread_mutex_t lock; /* guards all below */
        pthread_cond_t filled;
        pthread_cond_t drained;
        struct batch *first, *last; /* memory.c */
        uint64_t waiting;           /* messages in the list */
        uint64_t waiting_bytes;     /* what they were charged */
        uint64_t working;           /* messages that workers have */
        unsigned idle;              /* workers that wait for messages */
        unsigned held;              /* pushers that wait for room */
        int64_t release_at;         /* they look again when no more than this many wait */
        bool is_moving;             /* something left it since a sender was last held for its pace in vain */
        unsigned running;
        uint64_t sample;   /* messages since the last kept one */
        bool is_closing;   /* senders are held no more, and what they bring has room */
        bool is_ending;    /* workers leave when there is nothing to do */
        bool is_late;      /* the time to drain is over */
        bool is_stopped;   /* no worker comes any more */
        bool was_full;     /* reported, until there was room again */
        bool is_rung;      /* queue_ring(), unheard */
        bool owes_drained; /* it was full, and has not been empty since */
        bool was_broken;   /* the same for a disk that takes nothing */
        int64_t timeout_shutdown_ms;
        _Atomic int64_t timeout_enqueue_ms;
        unsigned worker_count;
        struct worker *workers;

        pthread_cond_t turn; /* of a thread of the mode: spill.c, delay.c */
        pthread_t spiller;   /* spill.c */
        bool has_spiller, wants_spill;
        uint64_t spilling; /* messages on their way from the list to disk */

        bool is_taken_over;    /* delay.c: the durable part owns what comes */
        bool is_direct_busy;   /* somebody runs the action */
        bool is_rest_entering; /* what the action left over goes into the durable part before anything else */
        unsigned entering;     /* pushers on their way into the durable part */
};

extern const struct queue_mode memory_mode, disk_mode, spill_mode, delay_mode;

/* A point in monotonic time for pthread_cond_timedwait(). */
struct timespec queue_after_ms(int64_t ms);
void queue_check(const struct queue *q);
uint64_t queue_all_waiting(struct queue *q); /* in memory and on disk; lock held */

/* ---- memory.c: the list, lock held ---------------------------------------- */

void memory_append(struct queue *q, struct batch *b);
/* Back to where it was taken from. */
void memory_put_first(struct queue *q, struct batch *b);
/* The oldest; not yet counted in `working`. NULL: empty. */
struct batch *memory_take(struct queue *q);
/* The last `b->count - from` records in a batch of their own; NULL without memory. */
struct batch *batch_tail(struct batch *b, uint32_t from);

/* ---- admission.c, lock held ----------------------------------------------- */

/* Counts what came in, and wakes whoever works on it. */
void queue_entered(struct queue *q, uint64_t count);
/* Something was taken out: held senders look again. */
void queue_left(struct queue *q);
/* Takes b in as far as it may. Returns what must be discarded, or NULL. */
struct batch *admit(struct queue *q, struct batch *b, enum flow flow);
/* Whether b's sender is held until there is room, however long that takes. */
bool admission_is_patient(const struct queue *q, const struct batch *b, enum flow flow);
/* How long b's sender may wait for room on the disk, in milliseconds; negative: for ever. */
int64_t admission_patience_ms(struct queue *q, const struct batch *b, enum flow flow);
/* Puts b into the durable part, waiting so long when the disk takes nothing. It comes back when that was in vain. */
struct batch *admit_to_disk(struct queue *q, struct batch *b, int64_t patience_ms);

/* ---- front.c: lock held, and let go of --------------------------------------- */

/* Opens the front when an earlier run left one. 0 or -errno, reported. */
int front_find(struct durable **ret, struct durable_plan *plan);
/* Keeps a batch that is older than all in the durable part. It comes back when it cannot be kept. */
struct batch *front_keep(struct queue *q, struct batch *b);
/* Messages in it that nobody has. */
bool front_has_next(struct queue *q); /* of the front or, without one, of the disk */
uint64_t front_waiting(struct queue *q);
/* The oldest on disk, the front before the durable part; counted in `working`. NULL: there is none after all. */
struct batch *front_take(struct queue *q);
void front_close(struct queue *q);

/* ---- delay.c ---------------------------------------------------------------- */

/* Tries the action at once where nothing is in its way; no lock held. What is left for the queue comes back. */
struct batch *delay_attempt(struct queue *q, struct batch *b);

/* ---- worker.c -------------------------------------------------------------- */

/* One more worker when there is enough to do for it; lock held. 0 or -errno. */
int worker_add_if_needed(struct queue *q);
/* Waits until no worker runs, at most `ms`; true when none does. Lock held. */
bool workers_wait(struct queue *q, int64_t ms);
void workers_join(struct queue *q);
/* Consumes what was taken, however much of it. Returns the records that are not done with, NULL: none. */
struct batch *worker_consume(struct queue *q, unsigned worker, struct batch *b);
