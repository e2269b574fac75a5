/*
 * Intake: where an input puts what it received. It owns the batch being filled
 * for one ruleset on one loop thread, and pushes it into the ruleset's queue when
 * it is full and at the end of each loop round.
 *
 * Streams read straight into the batch:
 *
 *   char *p = intake_reserve(in, carried + READ_MIN, &room);
 *   memcpy(p, carried...), recv(fd, p + carried, room - carried)
 *   for each frame found in p: intake_add(in, source, frame, size, now)
 *   intake_keep(in, end of the last frame)
 *
 * Datagrams are copied in: intake_copy().
 *
 * intake_add() never fails while intake_has_room(); when the record table is full
 * in the middle of what was read, intake_turn() pushes the batch and moves the
 * rest of the bytes into the next.
 */
#pragma once

#include "message/batch.h"

/* How a full queue may hold the sender back. */
enum flow {
        FLOW_NONE,  /* never wait for room longer than queue.timeoutEnqueue: datagrams */
        FLOW_LIGHT, /* wait above lightDelayMark: files, local sockets that ask for it */
        FLOW_FULL,  /* wait above fullDelayMark: TCP, RELP */
        /* From another queue, whose marks have held the sender already: as FLOW_NONE, and first where memory is short.
         */
        FLOW_WITHIN,
};

/* The receiving end of a queue, as inputs see it. */
struct sink {
        /* Takes over the batch whatever happens; what cannot be queued is discarded and counted there. */
        void (*push)(struct sink *sink, struct batch *b, enum flow flow);
};

struct intake {
        struct sink *sink;
        struct batch_pool *pool;
        struct batch *batch; /* NULL: nothing begun */
        enum flow flow;
        struct intake *next; /* for its owner */
        const char *ruleset; /* name, for its owner */
};

void intake_init(struct intake *in, struct sink *sink, struct batch_pool *pool, enum flow flow);
void intake_fini(struct intake *in); /* pushes what is left */

/* At least `size` contiguous writable bytes at the tail of the batch, *room tells how many. NULL without memory. */
char *intake_reserve(struct intake *in, size_t size, size_t *room);
static inline bool intake_has_room(const struct intake *in) {
        return in->batch && in->batch->count < in->batch->capacity;
}
/* One record whose bytes lie in what intake_reserve() gave. Never NULL while intake_has_room(). */
struct record *intake_add(struct intake *in, struct source *source, const char *data, size_t size, int64_t now_us);
/* The same for up to `count` records, whose bytes the caller sets; *count tells how many there was room for. The last
 * ones can be given back. NULL without room. */
struct record *intake_add_many(struct intake *in, struct source *source, unsigned *count);
void intake_give_back(struct intake *in, unsigned count);
/* The bytes up to `end` stay; what follows may be overwritten by the next reserve. */
void intake_keep(struct intake *in, const char *end);
/* Pushes the batch and returns where `rest` lies in the next one (with *room as intake_reserve(), rest included). NULL
 * without memory. */
char *intake_turn(struct intake *in, const char *rest, size_t size, size_t *room);
/* One record from bytes that lie elsewhere. NULL without memory (the record is lost; count it). */
struct record *intake_copy(struct intake *in, struct source *source, struct text raw, int64_t now_us);
/* Pushes what there is. Called by the loop at the end of each round. */
void intake_flush(struct intake *in);
