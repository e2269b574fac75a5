/*
 * Delivery carries batches to one output until every record is safe, given up as
 * configured, or refused for good.
 *
 *   READY     -> READY      rows taken                   deliver()
 *   READY     -> READY      a row refused: error file, dead letter        refuse()
 *   READY     -> READY      rows refused together: half as many are tried, until
 *                           the bad one stands alone      deliver()
 *   READY     -> READY      away, but back when asked     try_at_once()
 *   READY     -> RETRYING   destination away              back_off()
 *   RETRYING  -> READY      it is back                    try_again()
 *   RETRYING  -> SUSPENDED  resumeRetryCount used up      back_off()
 *   SUSPENDED -> READY      resumeInterval passed and it is back   is_ready()
 *
 * Beside that it may be held by hand: delivery_hold(). What has a queue waits there,
 * what has none is missed, until delivery_release().
 *
 * There is one delivery per action and this is the only retry loop of the daemon.
 * Any thread may submit; one at a time works. What an action with a queue gets is
 * a view of the batch; a direct one works on the caller's thread, and the caller
 * learns which records it missed (for execOnlyWhenPreviousIsSuspended).
 *
 * What a durable queue accepted, or whose sender waits to be told, ends in one of three
 * ways: delivered, among the dead letters (undelivered.h; refused, or resumeRetryCount
 * used up), or, when the daemon ends first, where it was.
 */
#pragma once

#include "base/counter.h"
#include "base/observer.h"
#include "base/reporter.h"
#include "delivery/renderings.h"
#include "io/loop.h"
#include "message/tap.h"
#include "module/log.h"
#include "module/module.h"
#include "module/objects.h"
#include "queue/queue.h"
#include "template/template.h"

struct delivery;

/* All lent for the delivery's life. */
struct delivery_plan {
        const char *name;            /* "action-1-builtin:omfile" where the user gave none */
        const struct module *module; /* an output */
        const char *module_prefix;   /* in front of its name in reports: "builtin:" or "" */
        const void *settings;
        const void *module_settings;
        const struct action_settings *action;
        const struct queue_settings *queue;
        struct reporter *reporter;
        const struct host_facts *facts;
        const struct property_context *context; /* copied: what the configuration says of properties */
        struct loop *housekeeping;              /* where flush timers live; NULL: none */
        const struct template *(*find_template)(void *owner, const char *name);
        void *owner;
        struct budget *budget;           /* of all queues; NULL: none */
        struct observer *observer;       /* hears of suspensions; NULL: nobody */
        struct tap_point *tap;           /* sees what is submitted; NULL: nobody */
        const struct queue_place *place; /* where queues on disk lie; NULL: nowhere */
        const char *dead_name;           /* of its own dead letters' store, without ".dead"; NULL: none */
        int dead_letters;                /* enum dead_letters */
        uint64_t dead_letter_bytes;      /* most of its own on disk; 0: without bound */
        struct shared_limit *limit;      /* what goes beyond it is discarded before the queue; NULL: none */
        bool aborts_on_failed_queue;     /* a queue that cannot open on disk is an error, not one in memory */
        bool reports_suspension, reports_continuation;
};

struct delivery_counters {
        struct counter processed; /* messages handed over */
        struct counter failed;    /* given up */
        struct counter refused;   /* refused for good */
        struct counter suspended; /* times it was suspended */
        struct counter suspended_s;
        struct counter resumed;
};

/* Opens the output (its destination may still be away). -errno, reported. */
int delivery_new(struct delivery **ret, const struct delivery_plan *plan);
/* Opens the queue on disk and starts its worker, where it has one; privileges are those of the running daemon. */
int delivery_start(struct delivery *d, bool waits);
/* Opens what a queue has on disk after all: delivery_start() was told to wait with it. */
int delivery_open_disk(struct delivery *d);
/* The daemon ends and time is up: nothing waits for a destination to come back any more. Any thread. */
void delivery_hurry(struct delivery *d);
/* Drains the queue within its time-outs, or ends a direct delivery's waiting. Returns messages left behind. */
uint64_t delivery_stop(struct delivery *d);
/* The daemon ends: waiting for a destination that is away ends, now and from now on. */
void delivery_hurry(struct delivery *d);
struct delivery *delivery_free(struct delivery *d);
OWNED_POINTER(struct delivery, delivery_free);

/* The same, and rows that it renders on the caller's thread are shared with other deliveries; lent, may be NULL. */
size_t delivery_submit_with(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                            size_t count, uint16_t *missed);
/* The template whose rows could be shared; NULL: none. */
const struct template *delivery_template(const struct delivery *d);

/*
 * Submits selected records. `missed` (may be NULL) has room for `count` numbers
 * and receives the records that a direct delivery could not take because it is
 * suspended; returns how many those are. A queued one misses nothing. Who asks for
 * them gives those that nobody else takes to delivery_give_up().
 */
static inline size_t delivery_submit(struct delivery *d, struct batch *b, const uint16_t *selection, size_t count,
                                     uint16_t *missed) {
        return delivery_submit_with(d, NULL, b, selection, count, missed);
}

/* What a direct delivery missed, and nobody else took: dead letters, where somebody relies on it. */
void delivery_give_up(struct delivery *d, struct batch *b, const uint16_t *rows, size_t count);

/* HUP: the output closes and opens again, now or after what it is doing. */
void delivery_reopen(struct delivery *d);
bool delivery_is_suspended(const struct delivery *d);

/* Any thread may ask, and is not held up by an output that takes long. */
enum { DELIVERY_REASON_BYTES_MAX = 256 };
enum delivery_state { DELIVERY_READY, DELIVERY_RETRYING, DELIVERY_SUSPENDED };
struct delivery_status {
        enum delivery_state state;
        bool is_held;
        int64_t retries;
        int64_t retry_in_ms;                    /* -1: none is planned */
        int error;                              /* errno of the last failure; 0: all is well, or there was none */
        char reason[DELIVERY_REASON_BYTES_MAX]; /* what the output said last; "" when all is well */
};
void delivery_status(struct delivery *d, struct delivery_status *ret);
const struct module *delivery_module(const struct delivery *d);
const struct counter *delivery_module_counters(const struct delivery *d); /* by the module's table */
/* Suspends it by hand, and back; the latter also makes a destination that is away be tried at once. */
void delivery_hold(struct delivery *d);
void delivery_release(struct delivery *d);
/* Appends what the output would be given for this record, column by column. On a thread that owns the batch. */
void delivery_show(const struct delivery *d, struct property_context *context, struct batch *b, struct record *r,
                   struct buffer *out);
/* The queue of the action; NULL when it is direct. */
struct queue *delivery_queue(struct delivery *d);
/* Messages queued or in work here. */
uint64_t delivery_unfinished(struct delivery *d);
const char *delivery_name(const struct delivery *d);
const struct delivery_counters *delivery_counters(const struct delivery *d);
/* Those of the output's own table. */
