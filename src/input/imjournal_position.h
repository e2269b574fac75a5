/*
 * How far the journal is safely through, and the state file that says so: a cursor
 * of the journal, nothing else, as rsyslogd writes it.
 *
 * Reading runs ahead; the position follows when batches are finished, in whatever
 * order, and never passes one that is not. After a crash reading goes on from the
 * state file, so that entries may come twice and none is lost.
 *
 *   journal_position_reach()  promises: "when this batch is finished, we are at this cursor"
 *   (batch finished)          any thread: the oldest promises that are kept move the position; every `interval`
 *                             messages it is written, on the loop
 *   journal_position_stop()   no more promises; the last one kept writes the state file itself
 *
 * All functions are safe from any thread; promises are made by one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

struct batch;
struct loop;
struct journal_position;
struct module_log;

enum { CURSOR_BYTES_MAX = 256 }; /* NUL included; those of systemd have about 125 */

struct journal_position_settings {
        const char *path; /* of the state file; copied */
        mode_t mode;
        bool is_synced; /* every write waits for the disk */
        int64_t interval;
        struct loop *loop;
        struct module_log *log;
};

int journal_position_new(struct journal_position **ret, const struct journal_position_settings *settings);
struct journal_position *journal_position_unref(struct journal_position *p);
OWNED_POINTER(struct journal_position, journal_position_unref);

/*
 * Promises `cursor` for when `b` is finished; NULL where nothing became a record. An empty cursor moves nothing, but
 * nothing later passes it. Without memory the position stays behind for good: -ENOMEM.
 */
int journal_position_reach(struct journal_position *p, struct batch *b, const char *cursor, uint32_t messages);
int journal_position_stop(struct journal_position *p);

/* The cursor in a state file. -ENOENT: there is no file; -EBADMSG: no cursor in it, or one that is too long. */
int journal_position_read(const char *path, char cursor[static CURSOR_BYTES_MAX]);
