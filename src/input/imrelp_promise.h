/*
 * Promises: what imrelp owes its senders. A promise stands for a run of messages
 * of one session that went into one batch; it is kept when the batch is finished,
 * and only then are these messages answered. Where the batch is lost, because the
 * daemon ends, the session ends with it, and the sender sends them again.
 *
 *   made       promise_make()            on the loop, hung on the batch and the session
 *   kept       by the last reference     on any thread: it goes into the mailbox
 *   collected  mailbox_collect()         on the loop: the session answers, in order
 *   free       promise_recycle()
 *
 * A batch may outlive the session, the loop and the input. So a promise belongs to
 * the loop's thread except for the way from the batch into the mailbox, a session
 * that ends forgets its promises (`session` becomes NULL), and the mailbox lives as
 * long as a batch holds a promise of it: one that is closed frees what comes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "message/batch.h"

struct mailbox;
struct relp_peer; /* input/imrelp_peer.h */

struct relp_promise {
        struct mailbox *mailbox;
        struct relp_peer *session; /* NULL: gone */
        uint32_t first_txnr;
        uint32_t count;
        bool is_kept;                   /* collected, and waits for those before it */
        bool is_lost;                   /* collected, but what it stands for was neither delivered nor kept */
        struct relp_promise *next;      /* of the session, in the order of their numbers */
        struct relp_promise *next_kept; /* in the mailbox */
};

/* `collect` is called on the loop's thread when promises were kept. -ENOMEM. */
int mailbox_new(struct mailbox **ret, struct loop *loop, void (*collect)(void *owner), void *owner);
/* The loop does not run any more. What batches still hold is freed when they go. */
struct mailbox *mailbox_close(struct mailbox *m);

/* A promise with count 0 that the batch keeps; without a batch one that is kept at once. NULL without memory. */
struct relp_promise *promise_make(struct mailbox *m, struct batch *b, struct relp_peer *session, uint32_t first_txnr);
void promise_recycle(struct relp_promise *promise);

/* On the loop's thread: those that were kept since, linked by next_kept, in no order. */
struct relp_promise *mailbox_collect(struct mailbox *m);
/* Waits until there are some, or until `deadline_ns` (clock_mono_ns()); false: there are none. */
bool mailbox_wait(struct mailbox *m, int64_t deadline_ns);
