/*
 * The actions of a pipeline: each action object of the configuration with its
 * delivery (outputs) or its instance (modifiers).
 *
 * Actions that say the same (thirty filters, six files) share one delivery: one
 * descriptor, one write a batch, and messages in their order. One with a queue, a
 * name or limits of its own stays by itself.
 */
#pragma once

#include "delivery/delivery.h"
#include "language/tree.h"

struct actions;
struct limits;         /* daemon/limits.h */
struct collector;      /* daemon/collector.h */
struct rehearsal_host; /* daemon/rehearsal.h */

/* All lent for the actions' life. */
struct actions_plan {
        const struct config *config;
        struct reporter *reporter;
        struct module_log *log;
        const struct host_facts *facts;
        const struct property_context *context;
        struct budget *budget;
        struct observer *observer;        /* hears of suspensions and full queues; NULL: nobody */
        struct tap_point *tap;            /* sees what actions are given; NULL: nobody */
        const struct queue_place *place;  /* where queues on disk lie */
        struct rehearsal_host *rehearsal; /* NULL: it is no rehearsal */
        struct loop *housekeeping;
        struct limits *limits; /* ratelimit() */
        const struct template *(*find_template)(void *owner, const char *name);
        void *owner;
};

/* Opens every action; one that cannot is reported and left out: rsyslog's behaviour. -ENOMEM. */
int actions_new(struct actions **ret, const struct actions_plan *plan);
struct actions *actions_free(struct actions *actions);
OWNED_POINTER(struct actions, actions_free);

/* What an action object became; NULL where it could not open or is of the other kind. */
struct delivery *actions_delivery(const struct actions *actions, const struct object *object);
void *actions_modifier(const struct actions *actions, const struct object *object);

/* "action-0-builtin:omfile", or the name that it was given. NULL without memory. */
char *actions_name_of(const struct object *object);

/* Every delivery once, in the order of the configuration: the next from *at on, NULL behind the last. */
struct delivery *actions_next(const struct actions *actions, size_t *at);
struct delivery *actions_find(const struct actions *actions, const char *name); /* NULL: none */

/* `waits`: queues on disk stay in memory until actions_open_disks(). */
int actions_start(struct actions *actions, bool waits);
void actions_open_disks(struct actions *actions);
/* The daemon ends: no queue of an action holds its sender any more. */
void actions_hold_no_more(struct actions *actions);
/* What delivers directly waits for its destination no more. */
void actions_hurry(struct actions *actions);
/* Drains the queues; returns how many messages were left. */
uint64_t actions_stop(struct actions *actions);
void actions_reopen(struct actions *actions);
uint64_t actions_unfinished(const struct actions *actions);
/* Where messages that are handed to this action are counted; NULL: it could not open. */
struct counter *actions_processed(const struct actions *actions, const struct object *object);
/* Shows each action, and then its queue, to the statistics. */
void actions_visit(const struct actions *actions, struct collector *c);
void actions_visit_queues(const struct actions *actions, struct collector *c);
/* Time-outs of all queues of actions, in milliseconds; negative: as it is. */
void actions_set_timeouts(struct actions *actions, int64_t shutdown_ms, int64_t enqueue_ms);
