/*
 * The reader of a store: fetches frames from disk or from what is on its way there,
 * checks each, and quarantines what is damaged. Inside the store only.
 */
#pragma once

#include "queue/store_inside.h"

/* All of `size` unless the file ends: how many bytes, or -errno. */
ssize_t store_pread(struct store *s, int fd, void *buffer, size_t size, uint64_t offset);
int store_pwrite(struct store *s, int fd, const void *buffer, size_t size, uint64_t offset);
/* A descriptor. -ELOOP, -EPERM ...: it is not a file of ours. `size` may be NULL. */
int store_open_in(struct store *s, int directory, uint32_t owner, const char *name, int flags, uint64_t *size);
/* The same in the store's own directory. */
int store_open_file(struct store *s, const char *name, int flags, uint64_t *size);
int store_open_segment(struct store *s, uint64_t sequence, int flags, uint64_t *size);

/*
 * Reads the header blocks; under `reading`, or before there are threads. What cannot be read at all is_missing.
 * 0, or -errno of the disk.
 */
int store_segment_load(struct store *s, struct store_segment *segment);
/* Under lock: the next one that frames were admitted to, or NULL. */
struct store_segment *store_segment_after(struct store *s, const struct store_segment *segment);

struct read_frame {
        uint64_t lsn;
        int64_t time_us;
        uint32_t count, frame_bytes, raw_bytes;
        void *payload; /* malloc()ed, the caller's */
};

enum {
        READ_DAMAGED = 1,
        READ_SKIPPED = 2,
};

/* Under both locks; `lock` is left meanwhile. The frame of exactly these LSNs. 0, READ_DAMAGED, -EAGAIN, -errno. */
int store_read_at(struct store *s, struct place place, uint64_t lsn, uint64_t end_lsn, struct read_frame *ret);
/* The frame at the cursor. READ_SKIPPED: the cursor has moved over what is complete or lost. */
int store_read_cursor(struct store *s, struct read_frame *ret);

/* Under `reading`, or before there are threads: what recovery reads the tail with. */
int store_reader_turn(struct store *s, struct store_segment *segment);
void store_reader_close(struct store *s);
/* *ret shows what the file holds from `offset` on: at least `size` bytes unless it ends. How many, or -errno. */
ssize_t store_window(struct store *s, uint64_t offset, size_t size, const uint8_t **ret);
/* Reads the payload of the frame at `offset` and checks it. 1, 0, or -errno. */
int store_payload_is_whole(struct store *s, uint64_t offset, const struct frame *f);

/* Without lock: says what was lost, and tells the owner. */
void store_report_lost(struct store *s, uint64_t lsn, uint64_t count, const struct store_segment *segment,
                       const char *why);
