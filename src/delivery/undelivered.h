/*
 * What becomes of messages that an action does not deliver: its destination refused them for good, or they were given
 * up after the last retry. Whoever was told that they are taken does not have them any more, so they are kept as dead
 * letters, in the first of
 *
 *   - those of the action's own queue, where that is on disk;
 *   - those of the queue on disk that they came from, which belong to several actions;
 *   - the action's own, "<action>.dead" in the work directory: messages whose sender waits to be told, or all, as
 *     action.deadLetter says.
 *
 * With action.deadLetter="none" they are discarded, in every kind of queue. One thread at a time, but for letting go.
 */
#pragma once

#include "delivery/delivery.h"

struct undelivered;

/* The plan is lent. -ENOMEM. */
int undelivered_new(struct undelivered **ret, const struct delivery_plan *plan);
struct undelivered *undelivered_free(struct undelivered *u);
OWNED_POINTER(struct undelivered, undelivered_free);

/*
 * Keeps them, or sees that they need not be kept. `own`: the action's queue, or NULL. *done tells how many, from the
 * first on, need nobody any more. -errno: the others could not be kept at present, which was reported.
 */
int undelivered_keep(struct undelivered *u, struct queue *own, struct batch *b, const uint16_t *rows, size_t count,
                     const char *reason, int error, size_t *done);
/* Until the next comes, others may take what is in the action's dead letters. Any thread. */
void undelivered_let_go(struct undelivered *u, struct queue *own);
