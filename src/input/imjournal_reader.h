/*
 * A reader follows the journal of this machine on a loop.
 *
 *   CLOSED   -> AT_END     opened, sought                     reader_start(), reader_turn()
 *   AT_END   -> READING    its descriptor or a timer says so  reader_turn()
 *   READING  -> READING    a round's worth was read, and there is more
 *   READING  -> AT_END     there is no more
 *   (any)    -> CLOSED     a call failed: tried again, later  reader_recover()
 *   (any)    -> AT_END     files came or went: opened again   reader_reopen()
 *
 * No journal at all is said once, and looked for again from time to time. Entries
 * come in order; the one a cursor names was read before and is passed over.
 * One thread at a time.
 */
#pragma once

#include "input/imjournal_library.h"
#include "input/imjournal_position.h"
#include "io/loop.h"
#include "module/module.h"

enum {
        READER_ENTRIES_A_ROUND = 512, /* so that messages leave while a long journal is read */
        READER_BYTES_A_ROUND = 512 << 10,
};

/* As the table of the module has them. */
enum journal_counter {
        COUNT_SUBMITTED,
        COUNT_READ,
        COUNT_DISCARDED,
        COUNT_FAILED,
        COUNT_POLL_FAILED,
        COUNT_ROTATIONS,
        COUNT_RECOVERIES,
        COUNT_DISCARDED_LAST,
        COUNT_USAGE,
};

struct journal_reader {
        /* Set by the owner before reader_open(). */
        struct loop *loop;
        struct module_log *log;
        struct counter *counters; /* enum journal_counter */
        const char *directory;    /* NULL: this machine's journal */
        const char *name_space;   /* NULL: none */
        bool takes_remote;
        bool skips_previous; /* without a cursor: from the end */
        size_t value_bytes_max;
        /* The journal stands on an entry. How many bytes it had. */
        size_t (*take)(struct journal_reader *reader, struct sd_journal *journal);
        /* What was taken since the last call ends at reader->cursor. */
        void (*end_round)(struct journal_reader *reader, unsigned entries);

        struct journal_library library;
        struct sd_journal *journal;    /* NULL: CLOSED */
        char cursor[CURSOR_BYTES_MAX]; /* of the entry that was read last; "": none was */
        struct watch watch;
        struct timer wake;
        int64_t retry_ns; /* the next pause */
        int64_t usage_read_ns;
        bool is_empty; /* there are no files of a journal */
        bool is_behind;
        bool has_told_empty;
};

enum { READER_CURSOR_REFUSED = 1 };

/* Finds libsystemd; -ENOENT, reported. */
int reader_open(struct journal_reader *reader);
/*
 * Opens the journal and seeks, on the thread that will read: libsystemd allows no other. READER_CURSOR_REFUSED:
 * `cursor` is none, and nothing was started. What else fails is reported and tried again.
 */
int reader_start(struct journal_reader *reader);
void reader_stop(struct journal_reader *reader);
void reader_close(struct journal_reader *reader);
