/*
 * Compression: streams and single messages, with zlib and zstd behind one face.
 *
 * A compressor takes bytes and appends what comes out of them to a buffer. After
 * COMPRESS_FLUSH everything that was put in can be read by the other side; after
 * COMPRESS_FINISH the member (gzip) or frame (zstd) is complete, and what is added
 * next begins another one. Members behind one another are one valid file.
 *
 * A decompressor is bounded: it never makes more than it is told to, so that a
 * small input cannot fill the memory. One thread at a time for each.
 */
#pragma once

#include "base/text.h"

enum compression {
        COMPRESSION_NONE,
        COMPRESSION_GZIP, /* RFC 1952, as files have it */
        COMPRESSION_ZLIB, /* RFC 1950, as streams have it */
        COMPRESSION_ZSTD, /* RFC 8878 */
};

enum compress_end {
        COMPRESS_MORE,   /* more follows; what comes out comes out when it likes */
        COMPRESS_FLUSH,  /* everything is readable */
        COMPRESS_FINISH, /* the member is complete */
};

struct compressor;

/* `level` as the library counts it; `workers` are zstd's own threads, 0 for none. -ENOMEM, -EINVAL. */
int compressor_new(struct compressor **ret, enum compression kind, int level, int workers);
struct compressor *compressor_free(struct compressor *c);
OWNED_POINTER(struct compressor, compressor_free);

/* Appends what comes out to `out`. -ENOMEM, -EIO (the library refused: a bug of it or of ours). */
int compressor_add(struct compressor *c, struct text in, enum compress_end end, struct buffer *out);
/* Whether a member was begun and not finished. */
bool compressor_is_open(const struct compressor *c);

struct decompressor;

/* COMPRESSION_GZIP takes zlib streams too. */
int decompressor_new(struct decompressor **ret, enum compression kind);
struct decompressor *decompressor_free(struct decompressor *d);
OWNED_POINTER(struct decompressor, decompressor_free);

/*
 * Takes bytes and appends at most `bytes_max` to `out`; *used tells how many bytes were taken: less than
 * all of them when the bound was reached, so that the caller empties `out` and comes again.
 * -EBADMSG for what is no such stream, -ENOMEM.
 */
int decompressor_add(struct decompressor *d, struct text in, size_t *used, struct buffer *out, size_t bytes_max);
/*
 * One call of the library: takes *used of the bytes of `in`, writes *made to `to`, at most `room`. Room left over and
 * all bytes used: nothing is held back. A member may follow another. -EBADMSG, -ENOMEM; -E2BIG: a zstd frame wants a
 * larger window than it may.
 */
int decompressor_step(struct decompressor *d, struct text in, size_t *used, char *to, size_t room, size_t *made);
/* No zstd frame may have a window of more than `bytes`, at least 1 KiB; before the first bytes; the others have 32 KiB.
 */
void decompressor_bound_window(struct decompressor *d, size_t bytes);
/* Bytes that zstd holds for its window now; 0 for the others. */
size_t decompressor_window(const struct decompressor *d);

/*
 * One message: appended to `out` as "z" and a whole zlib stream when that is shorter than the message, else
 * nothing is appended and COMPRESS_NO_GAIN says so. The compressor is one of COMPRESSION_ZLIB, used for
 * nothing else; it is kept, because making one costs more than most messages. -ENOMEM, -EIO.
 */
enum { COMPRESS_NO_GAIN = 1 };
int compress_message(struct compressor *c, struct text in, struct buffer *out);
/* The way back, without the "z": at most `room` bytes into `to`. -EBADMSG, -EMSGSIZE when it does not fit. */
int decompress_message(struct text in, char *to, size_t room, size_t *size);
