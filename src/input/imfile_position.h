/*
 * A position: how far one file is safely through, and its state file.
 *
 * Reading runs ahead; the position follows when batches are finished. Batches may
 * finish in any order, but the position never passes one that is not: what lies
 * before it was delivered, discarded by the user's own rules, or is kept by a durable
 * queue. After a crash, reading goes on from there, so a line may come twice and
 * none is lost.
 *
 *   position_reach()  promises: "when this batch is finished, we are at this offset"
 *   (batch finished)  any thread: the oldest promises that are kept move the position
 *   position_write()  the state file says so
 *   position_stop()   no more promises; the last one kept writes the state file itself
 *
 * All functions but position_new() are safe from any thread; promises are made by one.
 */
#pragma once

#include "input/imfile_state.h"

struct batch;
struct loop;
struct position;

struct position_settings {
        const char *directory;
        const char *name;      /* of the state file */
        const char *obsolete;  /* of a state file that this one replaces; NULL */
        int64_t line_interval; /* lines after which the state is written; 0: not by lines */
        bool is_new;           /* the state is in no file yet, and shall be even if nothing is ever reached */
        bool after_batch;      /* the state is written after every finished batch */
        struct loop *loop;     /* where it is written */
};

/* Takes over what `state` owns. */
int position_new(struct position **ret, const struct position_settings *settings, struct state *state);
struct position *position_unref(struct position *p);
OWNED_POINTER(struct position, position_unref);

/*
 * Promises `offset` for when `b` is finished; NULL for bytes that made no record. Without memory the
 * position stays behind for good: -ENOMEM.
 */
int position_reach(struct position *p, struct batch *b, int64_t offset, bool is_skipping, uint32_t lines);

/* Which file this is, when its head grew or was replaced; under which name it is found. */
void position_identify(struct position *p, const struct identity *identity);
int position_rename(struct position *p, const char *path);

/* From now on the state lies in another file. The old one stays as it is. */
int position_move(struct position *p, const char *directory, const char *name);

/* Writes the state file if it would say something new, durably. */
int position_write(struct position *p);
/* Removes the state file; none is written any more. */
void position_forget(struct position *p);
/*
 * Writes the state file, and lets the last promise that is kept write it again. Not synced, since there
 * may be thousands: should power fail right after, lines are repeated.
 */
int position_stop(struct position *p);

int64_t position_offset(struct position *p);
