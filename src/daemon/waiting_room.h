/*
 * The waiting room: messages of senders that are admitted by name, while the name is
 * being asked for. A worker brings them here before it reads anything of their
 * content; when the name is known they go to the end of their queue again, or away.
 *
 *   worker -> waiting_room_screen() -> (parked) -> name known -> queue -> worker
 *                                                            -> refused, counted, reported
 *
 * What senders keep here is bounded by a share of the main queue: beyond it their
 * messages are discarded and counted, while those of all others pass untouched. The
 * order of a sender's messages is kept: what comes after a parked message of his is
 * parked behind it.
 *
 * Its thread sleeps until the resolver has answered. Lock order: none is held while a
 * queue is pushed to.
 */
#pragma once

#include "base/reporter.h"
#include "message/intake.h"

enum {
        UNKNOWN_SHARE_PERCENT = 10, /* of the main queue's size */
        UNKNOWN_MESSAGES_MIN = 100, /* where that is less */
};

struct waiting_room;

/*
 * push(owner, b, flow) takes batches back; their `route` is what waiting_room_screen() was told. `messages_max` is the
 * bound. -ENOMEM.
 */
int waiting_room_new(struct waiting_room **ret, struct batch_pool *pool, uint64_t messages_max,
                     void (*push)(void *owner, struct batch *b), void *owner, struct reporter *reporter);
/* What still waits is given up, counted and reported. Nothing is pushed behind it. */
void waiting_room_close(struct waiting_room *room);
struct waiting_room *waiting_room_free(struct waiting_room *room);
OWNED_POINTER(struct waiting_room, waiting_room_free);

/*
 * Keeps in `selection` the records that may go on, and returns how many. Those of senders that wait for their name are
 * copied; `route` leads them back.
 */
size_t waiting_room_screen(struct waiting_room *room, struct batch *b, const void *route, uint16_t *selection,
                           size_t count);
