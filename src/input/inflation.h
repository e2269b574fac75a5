/*
 * Inflation: what omfwd's "stream:always" compression sent, as it was before. One
 * for each connection that compresses; bounded, so that a small stream cannot
 * become a flood.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "io/compress.h"

struct inflation;

struct inflation_options {
        enum compression kind;         /* COMPRESSION_ZLIB or COMPRESSION_ZSTD */
        int64_t ratio_max;             /* bytes out for each byte in, over the whole stream; 0: any */
        int64_t bytes_max_per_receive; /* bytes out of one stretch of input; 0: any */
        int64_t window_bytes_max;      /* of all zstd windows that share a count; 0: any */
};

/* `windows` counts the bytes of zstd's windows of all that share it, and outlives them. */
int inflation_new(struct inflation **ret, const struct inflation_options *options, atomic_size_t *windows);
struct inflation *inflation_free(struct inflation *inflation);
OWNED_POINTER(struct inflation, inflation_free);

/* Whether everything that was fed has come out: the next thing to do is inflation_feed(). */
bool inflation_is_drained(const struct inflation *inflation);
/* Lends the next compressed bytes until inflation_is_drained(). */
void inflation_feed(struct inflation *inflation, const void *data, size_t size);
/*
 * Bytes written to `to`; 0 when it is drained. -EBADMSG: this is no compressed
 * stream; -E2BIG: a bound was overstepped; -ENOMEM.
 */
ssize_t inflation_take(struct inflation *inflation, void *to, size_t room);
