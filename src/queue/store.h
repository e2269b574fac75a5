/*
 * The durable store of one queue: what was appended and is durable is there after
 * the power went.
 *
 *   append() -> staged -> written -> durable -> leased -> completed -> its segment is recycled
 *
 * The unit that is written is a frame: the packed form of up to FRAME_MESSAGES_MAX
 * messages (message/pack.h; the store does not look inside). Messages are counted by
 * LSN: contiguous, from 1, never used twice. A frame carries [lsn, lsn + count).
 *
 * One flusher thread a store takes everything that producers staged meanwhile, writes
 * it behind what is there, syncs once, publishes. No timer: a group forms while the
 * sync before it runs.
 *
 * Whoever appends may keep the messages in memory as well; leases are of ranges, and
 * reading the bytes back is a step of its own. Completions may come in any order; the
 * mark below which everything is complete moves contiguously and is written to two
 * control files. What is after the written mark when the process dies is leased again
 * after the next open: duplicates, never a loss. `checkpoint_messages` bounds them: what
 * would go further beyond the written mark is not leased before that has moved. A mark that
 * is written survives the process; how far leases go beyond the one that is synced, and
 * survives the power, has a bound of its own.
 *
 * Thread-safe unless said otherwise. doc/queue-format.md describes the bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/reporter.h"

struct store;
struct disk; /* io/disk.h: the file operations, so that a test can stand in */

enum {
        FRAME_MESSAGES_MAX = 2048,
        FRAME_BYTES_MAX = 64 << 20, /* packed, before compression */
};

enum store_compression { STORE_PLAIN, STORE_LZ4, STORE_ZSTD };

struct store_options {
        struct disk *disk;          /* lent; NULL: the real one */
        const char *directory;      /* of this store alone; made (0700) when missing */
        const char *name;           /* of the queue, for reports and the identity in the headers */
        uint64_t segment_bytes;     /* queue.maxFileSize; 0: the default */
        uint64_t bytes_max;         /* queue.maxDiskSpace; 0: what the file system has */
        const char *bytes_max_name; /* the parameter that says so, for reports; NULL: queue.maxDiskSpace */
        uint64_t staged_bytes_max;  /* append() waits above it; 0: the default */
        /* queue.checkpointInterval: no more are leased beyond the written mark, but two frames always may; 0: no bound.
         */
        uint64_t checkpoint_messages;
        /* The same beyond the synced mark, where there is a bound; at least that one, and 0: the default. */
        uint64_t unsynced_messages;
        enum store_compression compression;
        int compression_level; /* the library's; 0: its default */
        /*
         * AES-256-GCM when one of them is set: a file that holds the key (32 bytes, or 64 hexadecimal digits), or a
         * program (a path and arguments, split at spaces) that prints it.
         */
        const char *key_file;
        const char *key_program;
        bool is_chained; /* each frame carries a hash of all before it: tampering shows */
        bool is_synced;  /* durable means synced; otherwise written: safe from a crash of the process only */
        /*
         * Everything up to `lsn` is durable. Called by the flusher, in order, with no lock of the store held. It may
         * append to other stores and complete, and does not wait for this one.
         */
        void (*durable)(void *owner, uint64_t lsn);
        /*
         * Messages [lsn, lsn + count) are lost beyond repair (damage); they count as completed. Called by whoever
         * leases, and by store_open() when no file is left. May be NULL.
         */
        void (*lost)(void *owner, uint64_t lsn, uint64_t count, const char *why);
        /* What a bound held back may be leased. Called by the keeper and by whoever completes, with no lock of the
         * store held; the flusher may wait for the keeper. May be NULL. */
        void (*resumed)(void *owner);
        void *owner;
};

/*
 * Opens or creates, recovers, starts the flusher. What recovery finds (a torn tail cut, damage quarantined) is
 * reported. -EBUSY: another process has it; -EROFS, -ENOSPC, -EACCES, -ELOOP (a symbolic link was planted) ...,
 * each reported with its remedy. The time it takes does not grow with the backlog.
 */
int store_open(struct store **ret, const struct store_options *options, struct reporter *reporter);
/* Waits until what is staged is written (and synced), writes the control file, ends the flusher. Leases are forgotten:
 * they come again. 0 or the error that kept something from becoming durable. */
int store_close(struct store *s);

/*
 * Stages one frame; `payload` is copied. *lsn is its first message. Waits while more than staged_bytes_max is staged.
 * -ENOSPC: no room (bytes_max, or the disk is full), nothing was staged, try later; what was accepted before is safe.
 * -EIO ...: the store cannot write at present; -ESHUTDOWN: it closes; -EMSGSIZE: over a limit above.
 */
int store_append(struct store *s, const void *payload, size_t size, uint32_t count, uint64_t *lsn);

/* The highest durable LSN; 0 when none. */
uint64_t store_durable(struct store *s);
/* Waits until `lsn` is durable. 0, or the error that stands in the way now. */
int store_wait(struct store *s, uint64_t lsn);

struct store_frame {
        uint64_t lsn;
        uint32_t count;
        uint32_t done; /* that many of its first messages were complete before (a frame cut by the mark) */
        size_t size;
        void *payload; /* malloc()ed, of whoever leased; NULL from store_lease_range() */
};

/*
 * Leases the oldest frame that nobody has leased, from disk or from what is staged. -EAGAIN: there is none, or
 * checkpoint_messages holds it back; resumed() will be called.
 * Damage met on the way is quarantined and reported (lost()), and the next good frame is given. -EIO: the disk cannot
 * read it now; -EKEYREJECTED: the key is not the one it was written with. Both stay the oldest frame; ask again later.
 */
int store_lease(struct store *s, struct store_frame *frame);
/* The same without reading the bytes, for whoever still has the messages: exactly the frame that begins at `lsn`.
 * -ESTALE when it is not the oldest unleased one. */
int store_lease_range(struct store *s, uint64_t lsn, struct store_frame *frame);
/*
 * Gives a lease back: the frame will be leased again, before later ones. Of what was completed in it only the first
 * messages without a gap count (`done`); whoever completed others behind a gap keeps the lease or does them twice.
 */
void store_release(struct store *s, uint64_t lsn);
/* Whether a lease would give something now; when it is held back, resumed() will be called. */
bool store_has_next(struct store *s);
/* How many messages nobody has leased. */
uint64_t store_waiting(struct store *s);
/* [lsn, lsn + count) are done with: delivered, or kept elsewhere. Any part of leased frames, any order, each once. */
void store_complete(struct store *s, uint64_t lsn, uint64_t count);

struct store_state {
        uint64_t next_lsn; /* the next append gets it */
        uint64_t durable_lsn;
        uint64_t mark_lsn; /* everything below is complete */
        uint64_t unleased; /* messages that wait, nobody's */
        uint64_t leased;   /* messages in work */
        uint64_t bytes;    /* on disk, recycled segments included */
        uint64_t segments;
        uint64_t quarantined; /* messages lost to damage since open */
        uint64_t torn;        /* messages, never acknowledged, of a tail that was cut at open; at least so many */
        int64_t oldest_us;    /* wall clock time of append of the oldest waiting frame; 0: none */
        int error;            /* -errno that stands in the way of writing; 0 */
};
void store_state(struct store *s, struct store_state *state);
