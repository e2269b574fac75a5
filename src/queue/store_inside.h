/*
 * What the files store_*.c share. Nobody else includes this but their tests, and a
 * simulation that drives the rounds by hand.
 *
 * `lock` guards everything that does not say otherwise, and is never held over a call
 * of the disk. Lock order: reading, then marking, then lock.
 *
 *   store_append.c   admits frames, decides where each will lie, stages it in a chunk
 *   store_flush.c    the flusher: writes chunks, syncs, publishes; abandons a bad file
 *   store_keep.c     the keeper: control files; frees, recycles and prepares segments
 *   store_read.c     the reader: fetches frames, quarantines damage
 *   store_lease.c    leases, completions, the mark
 *   store_recover.c  opening: lock, control files, segments, the tail
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "io/disk.h"
#include "queue/control.h"
#include "queue/segment.h"
#include "queue/store.h"

enum {
        CHUNK_BYTES = 1 << 20,
        CHUNKS_SPARE_MAX = 16,
        STAGED_BYTES_DEFAULT = 16 << 20,
        INDEX_FRAMES = 1 << 14,     /* newest frames whose places are remembered; a power of two */
        WINDOW_BYTES = 256 << 10,   /* what the reader reads at once */
        PREPARED_MAX = 4,           /* segments made ahead at most, unless fewer suffice */
        FREED_KEPT_MAX = 4,         /* segments kept for later beside them */
        UNSYNCED_DEFAULT = 16384,   /* the control file is synced when half of it was completed */
        READ_ATTEMPTS_MAX = 8,      /* of one place that the disk cannot read, before it counts as damage */
        ROOM_PATIENCE_US = 100000,  /* a lack of room is looked into again after this */
        CHECKPOINT_DELAY_MS = 1000, /* what is complete is in the control file after this, however little it is */
        RENEWALS_MAX = 16,          /* times that a vanished directory is made again */
        BACK_OFF_MS_MIN = 10,
        BACK_OFF_MS_MAX = 1000,
};

/* A file of the store, or one that is gone. Those that lie in `segments` belong to the keeper; the order is theirs. */
struct store_segment {
        uint64_t sequence;
        uint64_t base_lsn;    /* of its first frame; 0: none was admitted, or it was not looked up yet */
        uint64_t end_lsn;     /* behind its last frame; 0: it still grows, or the base of the next one tells */
        uint64_t durable_lsn; /* when it began; of the one that recovery reads */
        uint64_t size;        /* of the file; a guess until is_loaded */
        uint64_t planned;     /* where the next admitted frame will lie */
        uint8_t salt[SEGMENT_SALT_BYTES];
        uint8_t session[SEGMENT_SALT_BYTES];
        bool is_loaded;    /* salt, base and size are known */
        bool is_sealed;    /* admits nothing more */
        bool is_damaged;   /* kept aside when everything in it is done with */
        bool is_abandoned; /* a sync of it failed: never written again, never used again */
        bool is_spare;     /* nothing was ever in it, but no mark says so: its name goes before its header does */
        bool is_put_by;    /* its name ends in .free: what is in it counts no more, whatever is lost */
        bool is_missing;   /* it could not be loaded: what was in it is lost */
};

struct place {
        struct store_segment *segment;
        uint64_t offset;
};

/* Frames on their way into one contiguous place of one segment. */
struct chunk {
        struct chunk *next;
        struct store_segment *segment;
        uint64_t offset;         /* of data[0] in the file */
        struct place next_place; /* while a new place is looked for */
        uint64_t first_lsn, end_lsn;
        size_t size, capacity;
        uint32_t filling; /* producers that still copy into it */
        uint32_t readers; /* consumers that copy out of it */
        bool is_done;     /* the last reader returns it */
        bool is_chained;
        uint8_t chain[SEGMENT_CHAIN_BYTES]; /* the value before its first frame */
        uint8_t data[];
};

struct chunk_list {
        struct chunk *first, *last;
};

struct index_entry {
        uint64_t lsn;
        struct place place;
        int64_t time_us;
        uint32_t count, frame_bytes;
};

struct lease {
        uint64_t lsn;
        struct place place;
        int64_t time_us;
        uint32_t count, frame_bytes;
        uint32_t first_undone; /* all before are complete */
        uint32_t done_count;
        bool is_released;
        uint64_t word;  /* bits of completed messages, when they fit */
        uint64_t *bits; /* else here */
};

/* Somebody in store_wait(), on his stack. He is woken without the lock, so that many do not queue for it again. */
struct waiter {
        struct waiter *next;
        uint64_t lsn;
        int result; /* what he is told */
        sem_t told;
};

struct store {
        struct disk *disk;
        struct reporter *reporter;
        struct store_options options;
        char *path, *name;
        atomic_int directory;   /* changes when it vanished and was made again */
        _Atomic uint32_t owner; /* of the directory */
        int lock_file, control_files[CONTROL_FILES];
        int retired[RENEWALS_MAX]; /* directories that vanished: somebody may be about to look into one */
        uint32_t retired_count;
        uint8_t queue_id[SEGMENT_ID_BYTES];
        uint8_t session[SEGMENT_SALT_BYTES];
        uint64_t segment_bytes, staged_bytes_max;
        uint64_t unsynced_max; /* messages leased beyond the synced mark; options tell about the written one */
        struct codec *codec;
        bool is_by_hand; /* no threads: whoever waits runs the rounds */

        pthread_mutex_t lock;
        pthread_cond_t work;    /* the flusher has something to do */
        pthread_cond_t keep;    /* the keeper has */
        pthread_cond_t filled;  /* a chunk is no longer being filled */
        pthread_cond_t moved;   /* something became durable, room appeared, an error came or went; for admission */
        struct waiter *waiters; /* for something to become durable, or an error that stands in the way */
        pthread_t flusher, keeper;
        bool has_threads;
        bool is_closing;      /* nothing more is admitted */
        bool is_flusher_done; /* the keeper may end */
        bool is_flusher_idle, is_keeper_idle;

        /* Segments by sequence: [0, plan_at) admitted frames, the last of them does still; the rest is prepared. */
        struct store_segment **segments;
        size_t segments_count, segments_capacity, plan_at;
        uint64_t next_sequence;
        uint64_t bytes;
        struct store_segment **freed; /* out of the order, files still there; the keeper's */
        size_t freed_count, freed_capacity;
        uint32_t prepared_wanted;
        uint64_t room_wanted; /* somebody waits for a prepared segment of this size; 0: nobody */
        int room_error;       /* why there is none */
        int64_t room_error_us;
        int room_reported; /* the keeper's own */
        bool is_lacking;   /* the last try to prepare failed; again when something was freed or somebody waits */

        uint64_t next_lsn, durable_lsn, synced_lsn;
        struct chunk_list staged, inflight;
        uint64_t staged_bytes; /* of both */
        struct chunk *spare;
        uint32_t spare_count;
        struct index_entry *index; /* ring of INDEX_FRAMES */
        uint64_t index_first, index_next;
        int error; /* why nothing can be written now */
        bool needs_plan;

        /* The flusher's own. */
        struct store_segment *writing; /* changes under the lock */
        int writing_fd;
        bool is_begun;        /* the begin block of `writing` is written */
        uint64_t written_lsn; /* given to the kernel */
        uint64_t written_offset;
        uint8_t chain[SEGMENT_CHAIN_BYTES]; /* the hash chain's value behind the last frame */
        uint32_t back_off_ms;

        /* Leases in the order of LSNs: a ring. */
        struct lease *leases;
        size_t leases_capacity, leases_count;
        uint64_t leases_first;
        size_t released_count;
        uint64_t released_messages, leased_messages;
        struct place cursor; /* of the oldest frame that was never leased; segment NULL: none was admitted ever */
        uint64_t cursor_lsn;
        uint64_t cursor_done; /* so many messages from there on are complete; at the cursor after an open only */
        int64_t cursor_time_us;
        uint64_t last_leased_lsn; /* of the newest frame that was leased; 0: none was */
        uint64_t held_back_lsn;   /* of a frame that was read and held back; its count, too */
        uint32_t held_back_count;
        bool is_lease_awaited; /* something was held back until a mark is written */
        bool is_sync_awaited;  /* and synced */
        uint64_t quarantined, torn;

        pthread_mutex_t marking;               /* who has it writes the control files */
        struct control control;                /* as it is on the disk */
        uint64_t written_mark;                 /* as the next process would find it */
        uint64_t completed;                    /* messages since the control file was synced */
        bool is_mark_due;                      /* it shall be written, */
        bool is_control_dirty, is_control_due; /* and synced */
        int64_t control_dirty_ns;              /* when it became so */
        int control_error;

        /* The reader's, guarded by `reading`. */
        pthread_mutex_t reading;
        uint64_t read_sequence; /* of a segment */
        int read_fd;            /* of it; -1: none */
        uint8_t *window;
        uint64_t window_at;
        size_t window_size;
        uint64_t read_failed_lsn;
        uint32_t read_attempts;
};

/* Opens without threads: whoever calls runs the rounds below. Deterministic as far as the disk is. */
int store_open_by_hand(struct store **ret, const struct store_options *options, struct reporter *reporter);

/* store.c: the directory of the store, made where it is missing, and the lock that says that it is ours. */
struct held_directory {
        int fd, lock;
        uint32_t owner;
};
int store_hold_directory(struct store *s, struct held_directory *ret);

/* store_append.c */
enum { PLAN_WAITS = 1 };
void chunk_return(struct store *s, struct chunk *c); /* under lock */
void chunks_free(struct chunk_list *list);
struct index_entry *store_index(struct store *s, uint64_t lsn); /* under lock; NULL: not remembered */

/* store_flush.c: one round writes and syncs what is staged. */
enum { FLUSH_IDLE = 1 };
int store_flush_round(struct store *s);
/* Under lock: takes those from the list who wait for no more than `lsn`; to be told when the lock is free. */
struct waiter *waiters_take(struct store *s, uint64_t lsn);
void waiters_tell(struct waiter *list, int result);
void *store_flusher(void *store);

/* store_keep.c: one round writes the control file if due (or `now`), frees, recycles, prepares. */
int store_keep_round(struct store *s, bool now);
void *store_keeper(void *store);
void store_wake_keeper(struct store *s); /* under lock */
void store_write_mark(struct store *s);  /* unless somebody is at it */
int store_control_files(struct store *s);

/* store_lease.c; all under lock. */
uint64_t store_mark(const struct store *s);
struct place store_mark_place(const struct store *s);
void store_settle_cursor(struct store *s);
/* A frame went elsewhere before it was durable. */
void store_frame_moved(struct store *s, uint64_t lsn, struct place place);

/* store_recover.c */
int store_recover(struct store *s);
struct store_segment *store_segment_add(struct store *s, uint64_t sequence); /* under lock; NULL without memory */
/* Says why an operation on the spool failed, and what to do. */
void store_complain(struct store *s, int error, const char *what);

/* Everything that must agree. Under lock; store.c numbers and tells what holds. */
void store_check(const struct store *s);
