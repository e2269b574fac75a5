/*
 * A queue carries batches from whoever fills them to its workers.
 *
 *   push -> [ batch, batch, ... ] -> worker threads -> consume()
 *
 * In memory it is a list of batches under one mutex: a hand-off costs a fraction
 * of a nanosecond a record, because it is paid once a batch. A direct queue has no
 * list and no thread: push() consumes at once, one caller at a time. What a queue on
 * disk accepted is in a durable store (durable.h), whole or from the high watermark
 * on, or while its action is slow: one file of this folder tells each mode.
 *
 * Who waits for a batch (batch_acknowledge()) is told when it is durable, or when
 * everybody to whom it was handed is done with it: delivered, discarded as
 * configured, or durable elsewhere. What is neither when the queue ends is told as
 * lost, and stays in the store it came from.
 *
 * Bounds are kept in messages (queue.size), in bytes (queue.maxBytes) and, all
 * queues together, in bytes of a budget (global(memory.max)). What a full queue does with a sender is in `enum flow`:
 * the marks of rsyslog, each with its parameter.
 *
 *   OPEN -> CLOSING    queue_hold_no_more(): nobody is held any more, so that inputs can end
 *   ...  -> DRAINING   queue_stop(): workers go on until empty or timeoutShutdown
 *   DRAINING -> CLOSED every worker has left; what is still there, or comes now, is on disk or counted lost
 *
 * queue_push() may be called from any thread; a batch belongs to the queue from
 * then on, and to one worker while it is consumed.
 */
#pragma once

#include "base/counter.h"
#include "base/observer.h"
#include "base/reporter.h"
#include "message/intake.h"
#include "message/pack.h"
#include "module/objects.h"
#include "queue/budget.h"
#include "queue/dead.h"

struct queue;

/* Who takes what a queue carries. `worker` counts from 0; one thread at a time has a number. */
struct queue_consumer {
        /*
         * Works on records [first, first + count) of b. The batch is lent. Returns how many of them, from the first
         * on, are done with: fewer than all only after hurry().
         */
        uint32_t (*consume)(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count);
        /*
         * The same for a queue of type Delay, on the thread of whoever pushes: waits for nothing. Fewer than all, or
         * *will_delay: the next had better go through the disk. NULL: consume() serves.
         */
        uint32_t (*attempt)(void *consumer, struct batch *b, uint32_t first, uint32_t count, bool *will_delay);
        /* Called by a worker between two batches, after queue_ring(). NULL: it is never rung. */
        void (*rung)(void *consumer, unsigned worker);
        /* Asked to come back soon: the queue is closing and its time-out has passed. May be NULL. */
        void (*hurry)(void *consumer);
        void *consumer;
};

struct queue_counters {
        struct counter enqueued;       /* messages taken in */
        struct counter full;           /* pushes that met a full queue */
        struct counter discarded_full; /* messages thrown away because it stayed full */
        struct counter discarded_mark; /* ... because they were unimportant above discardMark */
        struct counter lost;           /* ... still there when the daemon ended, or damaged on disk */
        struct counter size_max;       /* the most that waited */
};

/* What `settings` point to is lent for the queue's life. Starts no thread. -ENOMEM. */
int queue_new(struct queue **ret, const char *name, const struct queue_settings *settings,
              struct queue_consumer consumer, struct reporter *reporter);
/* Only when stopped. */
struct queue *queue_free(struct queue *q);
OWNED_POINTER(struct queue, queue_free);

/* The queue's messages are counted there too; lent. Before the first message. */
void queue_share_budget(struct queue *q, struct budget *budget);
/* Hears when it is full and when it has drained; lent. Before the first message. */
void queue_observe(struct queue *q, struct observer *observer);

/* Where queues on disk lie, and how their messages are written; all lent for the queue's life. */
struct queue_place {
        const char *work_directory; /* where queue.spoolDirectory says nothing; "": nowhere */
        struct batch_pool *pool;
        const struct pack_names *names;
        struct disk *disk; /* NULL: the machine's */
};
/*
 * Opens what the queue has on disk, where it has something; before queue_start(). 0 or -errno, reported: the queue then
 * works in memory alone.
 */
int queue_open(struct queue *q, const struct queue_place *place);
/* Whether what the queue accepts is kept over a restart, now. */
bool queue_is_durable(const struct queue *q);
/* The queue on disk that keeps b, or what it is a view of, until everybody is done with it; NULL: none does. */
struct queue *queue_behind(const struct batch *b);
/*
 * Keeps records that nobody can deliver in the queue's dead-letter store, "<file name>.dead", which is opened when
 * first needed; as dead_bury(). -ENODEV: the queue is not durable, there is none.
 */
int queue_bury(struct queue *q, struct batch *b, const uint16_t *rows, size_t count, const struct death *why,
               size_t *buried);
/* Others may take what is among its dead letters, until the next comes. */
void queue_let_go_of_dead(struct queue *q);
/*
 * The dead-letter store of an action whose messages no queue on disk keeps: "<name>.dead" in the place of its queue,
 * as well protected. Opens nothing yet. -ENOENT: there is no such place. -errno, reported.
 */
int queue_new_dead(struct dead **ret, const char *name, const struct queue_settings *settings,
                   const struct queue_place *place, uint64_t disk_bytes_max, struct reporter *reporter);

/* Starts the first worker; the others come when there is enough to do. 0 or -errno. */
int queue_start(struct queue *q);

/* How inputs and rulesets push; see intake.h. */
struct sink *queue_sink(struct queue *q);
void queue_push(struct queue *q, struct batch *b, enum flow flow);

/*
 * A worker calls consumer.rung() before it takes another batch: for work that waits elsewhere. On a direct queue this
 * thread does. Rings that nobody has heard yet are one. Any thread.
 */
void queue_ring(struct queue *q);

/* The daemon ends: who is held goes on, and what comes from now on is taken in beyond all bounds. Any thread. */
void queue_hold_no_more(struct queue *q);
/* Waits until nothing waits and nothing is in work, at most timeoutShutdown. True when it is empty. After
 * queue_hold_no_more(). */
bool queue_drain(struct queue *q);
/* Drains and ends the workers within the queue's time-outs. Returns how many messages were lost: what is on disk, or
 * was saved there (queue.saveOnShutdown), is not. */
uint64_t queue_stop(struct queue *q);

const char *queue_name(const struct queue *q);
bool queue_is_direct(const struct queue *q);
uint64_t queue_waiting(struct queue *q);    /* messages in memory and on disk */
uint64_t queue_unfinished(struct queue *q); /* those, and the ones in work */
const struct queue_counters *queue_counters(const struct queue *q);
/* How many consumers may run at the same time (contexts that the consumer must have). */
unsigned queue_workers(const struct queue *q);
/* queue.spoolDirectory; NULL where it says nothing. */
const char *queue_spool(const struct queue *q);
/* Whether it has something on disk, once it is open. */
bool queue_wants_disk(const struct queue *q);
/* How it stands; a direct queue has nothing waiting. */
struct queue_status {
        uint64_t waiting, working;
        uint64_t on_disk; /* of those that wait */
        uint64_t waiting_bytes;
        int64_t oldest_us; /* wall clock: when the message that waits longest was received; 0: none waits */
        unsigned running;  /* workers */
        unsigned held;     /* senders that wait for room */
        struct queue_settings settings;
};
void queue_status(struct queue *q, struct queue_status *ret);
/* Changes one of the marks of queue_marks[] in a running queue. -ENOENT: there is none of that name; -ERANGE. */
extern const struct queue_mark {
        const char *name; /* NULL ends the table */
        size_t offset;    /* of an int64_t in struct queue_settings */
        int64_t min, max;
        const char *help;
} queue_marks[];
int queue_set_mark(struct queue *q, const char *name, int64_t value);
/* Changes queue.timeoutShutdown (ms) of a running queue. */
void queue_set_timeout_shutdown(struct queue *q, int64_t ms);
void queue_set_timeout_enqueue(struct queue *q, int64_t ms);
