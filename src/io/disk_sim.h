/*
 * A disk for tests: files in memory, with what each sector would hold after the power
 * went. It stands in for struct disk, so the code under test is the real one.
 *
 *   struct disk_sim *sim = disk_sim_new(seed);
 *   options.disk = disk_sim_disk(sim);
 *   disk_sim_stop_at(sim, n);              the power goes before operation n: it and all later ones fail
 *   ... run until it fails ...
 *   after = disk_sim_crash(sim, ...);      a disk as it may be found then; sim is unchanged, so crash it again
 *                                          with other choices for the other states
 *
 * What is certain after a crash is what was synced. For everything else a chooser
 * decides, one question at a time and always in the same order: a random one explores,
 * one that counts through all answers is exhaustive, and one that reads them from a
 * list replays a failure.
 *
 * Two models of a file system:
 *
 *   DISK_SIM_STRICT   POSIX and nothing more. A name is durable when its directory was synced; every
 *                     sector and every change of a name survives or not by itself, in any mixture.
 *   DISK_SIM_ORDERED  As ext4 does it: changes of names survive in order, any sync makes all earlier ones
 *                     durable, and a file never shows a new size without the bytes.
 *
 * A sync that is made to fail behaves as Linux does: what it should have written is
 * dropped from what will ever be written, reads still show it, and the next sync
 * succeeds.
 *
 * Safe from several threads; the order of operations is then theirs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"
#include "io/disk.h"

enum { DISK_SIM_SECTOR_BYTES = 512 };

struct disk_sim;

/* Never fail: a test without memory ends. The seed decides what random() gives. */
struct disk_sim *disk_sim_new(uint64_t seed);
struct disk_sim *disk_sim_free(struct disk_sim *sim);
OWNED_POINTER(struct disk_sim, disk_sim_free);
struct disk *disk_sim_disk(struct disk_sim *sim);

/* ---- What goes wrong ------------------------------------------------------- */

enum disk_sim_operation {
        DISK_SIM_ANY,
        DISK_SIM_OPEN, /* of a file or directory */
        DISK_SIM_READ,
        DISK_SIM_WRITE,
        DISK_SIM_SYNC, /* both kinds, and of directories */
        DISK_SIM_TRUNCATE,
        DISK_SIM_RENAME,
        DISK_SIM_UNLINK,
        DISK_SIM_INFO,
        DISK_SIM_LIST,
        DISK_SIM_RANDOM,
};

struct disk_sim_fault {
        enum disk_sim_operation operation;
        uint64_t nth;         /* the first one of that kind that fails, counted from now; 1 is the next */
        uint64_t times;       /* so many in a row; 0: all from there on */
        int error;            /* -errno; 0: a short count instead, at most short_bytes */
        uint32_t short_bytes; /* of a write or read; 0 with error 0: half of what was asked for */
};
/* One fault at a time; NULL: none any more. */
void disk_sim_fail(struct disk_sim *sim, const struct disk_sim_fault *fault);
/* Operations so far (closing and the clock do not count). */
uint64_t disk_sim_operations(const struct disk_sim *sim);
/* The operation with that number, counted from 1, and all after it fail with -EIO and do nothing. 0: never. */
void disk_sim_stop_at(struct disk_sim *sim, uint64_t operation);
bool disk_sim_is_stopped(const struct disk_sim *sim);
/* Bytes that all files together may have; 0: no limit. Writes beyond are short, then -ENOSPC. */
void disk_sim_limit(struct disk_sim *sim, uint64_t bytes);
void disk_sim_read_only(struct disk_sim *sim, bool is_read_only);
/* Flips one bit of what is on the disk, and of what reads show. False when the file is shorter or not there. */
bool disk_sim_flip(struct disk_sim *sim, const char *path, const char *name, uint64_t offset, unsigned bit);
/* Overwrites bytes, as somebody else might, durably. */
bool disk_sim_put(struct disk_sim *sim, const char *path, const char *name, uint64_t offset, const void *data,
                  size_t size);
/* Removes a file behind everybody's back, durably. */
bool disk_sim_remove(struct disk_sim *sim, const char *path, const char *name);
/* Removes a directory and all its files, while they may be open. */
void disk_sim_remove_directory(struct disk_sim *sim, const char *path);
/* Puts a symbolic link in the place of a name: opening it gives -ELOOP. */
void disk_sim_plant_link(struct disk_sim *sim, const char *path, const char *name);
/* The clock moves only so. It begins at a second, so that no time is 0. */
void disk_sim_advance(struct disk_sim *sim, int64_t us);

/* ---- Lost power ------------------------------------------------------------- */

enum disk_sim_model { DISK_SIM_STRICT, DISK_SIM_ORDERED };

enum disk_sim_question {
        DISK_SIM_NAME,   /* does this change of a directory survive? 0 no, 1 yes; ordered: how many do? */
        DISK_SIM_SIZE,   /* which size has the file? 0 the synced one, 1 the last */
        DISK_SIM_SECTOR, /* which version of the sector? 0 the synced one, then each write since; then torn ones */
};

struct disk_sim_chooser {
        /* Less than `answers`. */
        uint32_t (*choose)(struct disk_sim_chooser *chooser, enum disk_sim_question question, uint32_t answers);
        /* Sectors may also hold the beginning of one version and the end of the one before, or the reverse. */
        bool tears;
};

/* The disk after the power came back; sim stays as it is. */
struct disk_sim *disk_sim_crash(const struct disk_sim *sim, enum disk_sim_model model,
                                struct disk_sim_chooser *chooser);

/* Ready choosers. */
struct disk_sim_random {
        struct disk_sim_chooser chooser;
        uint64_t state; /* the seed; not 0 */
};
struct disk_sim_random disk_sim_choose_randomly(uint64_t seed, bool tears);
struct disk_sim_chooser disk_sim_choose_oldest(void); /* nothing that was not synced survives */
struct disk_sim_chooser disk_sim_choose_newest(void); /* everything does: the process died, not the machine */

/* Counts through all combinations: `do crash ... while (disk_sim_next(&all))`. At most so many questions vary. */
enum { DISK_SIM_VARIED_MAX = 24 };
struct disk_sim_all {
        struct disk_sim_chooser chooser;
        uint32_t answer[DISK_SIM_VARIED_MAX], answers[DISK_SIM_VARIED_MAX];
        uint32_t asked;
};
struct disk_sim_all disk_sim_choose_all(bool tears);
bool disk_sim_next(struct disk_sim_all *all);

/* ---- Looking at it ---------------------------------------------------------- */

/* Each operation with its result goes there as a line; NULL: nowhere. */
void disk_sim_trace(struct disk_sim *sim, FILE *out);
/* What reads of the file show; NULL when it is not there. Valid until the next operation. */
const uint8_t *disk_sim_content(const struct disk_sim *sim, const char *path, const char *name, size_t *size);
/* Names and bytes that are synced, as one number: different ones for different disks, nearly always. */
uint64_t disk_sim_hash(const struct disk_sim *sim);
