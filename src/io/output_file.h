/*
 * An output file: a file, terminal or FIFO that records are appended to, and that
 * never shows half a record because of us.
 *
 *   CLOSED -> OPEN     output_file_open()
 *   OPEN   -> OWING    something is held back: a buffer, a compressor's output,
 *                      the rest of a record     output_file_append()
 *   OWING  -> OPEN     output_file_flush()
 *   any    -> CLOSED   output_file_close(): what is owed is written if it can be
 *
 * Without a buffer and without compression, append is one write and holds nothing.
 * What append took when it could not be written (the disk was full in the middle)
 * is held, and is the first thing written when the file takes bytes again.
 *
 * Descriptors are non-blocking, so that a stopped terminal or a FIFO without a
 * reader cannot hang the caller: such a write waits rules->wait_ms at most.
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "io/compress.h"

enum {
        OUTPUT_FILE_PIECES_MAX = 256, /* of one append */
        OUTPUT_FILE_PATH_BYTES_MAX = 4096,
};

/* How files of one kind are made and written; outlives them. */
struct output_file_rules {
        int64_t file_mode, directory_mode; /* under the process's umask */
        int64_t file_uid, file_gid;        /* of new files; -1: as the process */
        int64_t directory_uid, directory_gid;
        bool creates_directories;
        bool requires_owner; /* a new file or directory whose owner cannot be set is an error */
        bool owns_existing;  /* the owner is set on files that were there before, too */
        bool follows_symlinks;
        bool is_pipe; /* only what exists is opened, for reading too: then a FIFO needs no reader to be there */
        int wait_ms;  /* for a terminal or FIFO to take more */
        enum compression compression;
        int level, workers;
        bool closes_members; /* a flush ends the compressed member, so that a crash loses none before it */
        size_t buffer_bytes; /* written when that much is held; 0: at once, or by output_file_flush() */
};

struct output_file {
        const struct output_file_rules *rules;
        int fd; /* -1: closed */
        bool is_regular;
        bool is_adopted;
        bool lacks_owner;   /* the last open failed because a new file or directory could not be given its owner */
        int64_t size;       /* bytes in the file, as far as we know */
        struct buffer held; /* taken, not yet written */
        size_t unflushed;   /* bytes taken since the last flush */
        struct compressor *compressor;
};

void output_file_init(struct output_file *f, const struct output_file_rules *rules);
/* Closes; how many bytes were owed and could not be written is returned. */
size_t output_file_fini(struct output_file *f);

static inline bool output_file_is_open(const struct output_file *f) {
        return f->fd >= 0;
}
/* Something was taken and is not in the file yet. */
static inline bool output_file_owes(const struct output_file *f) {
        return f->held.size > 0 || f->unflushed > 0;
}

/*
 * Opens, creating the file and its directories where the rules say so. -errno of what went wrong; -ENXIO is a
 * FIFO that nobody reads.
 */
int output_file_open(struct output_file *f, const char *path);

/* Writes to a descriptor that is there already, such as standard output; it is not closed. */
void output_file_adopt(struct output_file *f, int fd);

/*
 * Appends the pieces. *taken tells how many of their bytes are the file's now, also when it fails: all of them on
 * success. A failure in the middle of a record is put right by output_file_mend().
 */
int output_file_append(struct output_file *f, const struct iovec *pieces, size_t count, size_t *taken);

/*
 * The last append broke off `written` bytes into a record whose missing bytes are `rest`. The written part is cut
 * off the file again where that is possible: false. Else the rest is held and written first: true, the record is taken.
 */
bool output_file_mend(struct output_file *f, size_t written, struct text rest);

/* A terminal or FIFO takes bytes now, without waiting. */
bool output_file_has_room(const struct output_file *f);
/* Writes what is held; with a compressor, everything becomes readable. */
int output_file_flush(struct output_file *f);
/* Makes what was written survive power loss. */
int output_file_sync(struct output_file *f);
/* The name still leads to a file: false once it was deleted. */
bool output_file_is_linked(const struct output_file *f);
/* Flushes and closes. Returns how many bytes could not be written. */
size_t output_file_close(struct output_file *f);

/* Makes the names created in the directory of `path` survive power loss. */
int output_file_sync_directory(const char *path);
