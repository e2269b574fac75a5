/*
 * The waiting room: messages of senders that are admitted by name, while the name is
 * being asked for. A worker brings them here before it reads anything of their
 * content; when the name is known a worker takes them up again, or they go away.
 *
 *   worker -> waiting_room_screen() -> (parked) -> name known, a worker is rung for
 *          -> waiting_room_take(), or the next waiting_room_screen() -> worker
 *                                                 -> refused, counted, reported
 *
 * What senders keep here is bounded by a share of the main queue: beyond it their
 * messages are discarded and counted, while those of all others pass untouched.
 *
 * The order of a sender's messages is kept: a name counts for everybody from the moment
 * at which a worker takes what waited for it, and only what that worker looks at
 * afterwards passes. So nothing needs to go through its queue a second time, where later
 * messages would be ahead of it.
 *
 * What somebody waits for (a queue on disk, a sender) is held, not copied: it counts as
 * delivered only when it was, and what still waits at the end stays on disk.
 *
 * The room's thread sleeps until the resolver has answered. Lock order: none is held
 * while a queue is rung.
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
 * ring(route) calls a worker of that route, who shall call waiting_room_take(). `messages_max` is the bound. -ENOMEM.
 */
int waiting_room_new(struct waiting_room **ret, struct batch_pool *pool, uint64_t messages_max,
                     void (*ring)(const void *route), struct reporter *reporter);
/*
 * Workers take what may go on; what still waits for a name is given up, counted and reported, and from now on nothing
 * waits, but for what somebody else keeps.
 */
void waiting_room_close(struct waiting_room *room);
/* With no worker running any more: that goes back to whoever keeps it, undelivered. */
void waiting_room_empty(struct waiting_room *room);
struct waiting_room *waiting_room_free(struct waiting_room *room);
OWNED_POINTER(struct waiting_room, waiting_room_free);

/*
 * Keeps in `selection` the records that may go on, and returns how many; others wait, or are refused. *released is what
 * has waited on this route and goes on before them (see waiting_room_take()).
 */
size_t waiting_room_screen(struct waiting_room *room, struct batch *b, const void *route, uint16_t *selection,
                           size_t count, struct batch **released);
/* What may go on by now, the oldest first, linked by `next`; the caller's. NULL: nothing. */
struct batch *waiting_room_take(struct waiting_room *room, const void *route);
