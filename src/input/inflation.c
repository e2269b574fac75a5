#include "input/inflation.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/fail.h"

enum {
        RATIO_FREE_BYTES = 1 << 20, /* so much may always come out: short streams compress wildly */
};

struct inflation {
        z_stream stream;
        struct inflation_bounds bounds;
        uint64_t in, out;
        uint64_t out_of_this; /* since the last inflation_feed() */
        bool has_more;        /* the last output was full: zlib may hold back */
};

int inflation_new(struct inflation **ret, const struct inflation_bounds *bounds) {
        struct inflation *inflation = calloc(1, sizeof *inflation);
        if (!inflation)
                return fail(-ENOMEM);
        inflation->bounds = *bounds;
        if (inflateInit(&inflation->stream) != Z_OK) {
                free(inflation);
                return fail(-ENOMEM);
        }
        *ret = inflation;
        return 0;
}

struct inflation *inflation_free(struct inflation *inflation) {
        if (!inflation)
                return NULL;
        inflateEnd(&inflation->stream);
        free(inflation);
        return NULL;
}

bool inflation_is_drained(const struct inflation *inflation) {
        return inflation->stream.avail_in == 0 && !inflation->has_more;
}

void inflation_feed(struct inflation *inflation, const void *data, size_t size) {
        assert(inflation_is_drained(inflation));
        inflation->stream.next_in = (unsigned char *)data;
        inflation->stream.avail_in = (uInt)size;
        inflation->in += size;
        inflation->out_of_this = 0;
}

static bool is_within_bounds(const struct inflation *inflation) {
        const struct inflation_bounds *bounds = &inflation->bounds;
        if (bounds->bytes_max_per_receive > 0 && inflation->out_of_this > (uint64_t)bounds->bytes_max_per_receive)
                return false;
        if (bounds->ratio_max <= 0 || inflation->out <= RATIO_FREE_BYTES)
                return true;
        return inflation->out / (uint64_t)bounds->ratio_max <= inflation->in;
}

ssize_t inflation_take(struct inflation *inflation, void *to, size_t room) {
        z_stream *stream = &inflation->stream;
        stream->next_out = to;
        stream->avail_out = (uInt)MIN(room, (size_t)INT32_MAX);
        uInt offered = stream->avail_out;
        int r = inflate(stream, Z_SYNC_FLUSH);
        /* A sender may begin anew on the same connection. */
        if (r == Z_STREAM_END)
                r = inflateReset(stream);
        if (r == Z_MEM_ERROR)
                return fail(-ENOMEM);
        if (r != Z_OK && r != Z_BUF_ERROR)
                return fail(-EBADMSG);
        size_t made = offered - stream->avail_out;
        inflation->has_more = stream->avail_out == 0;
        inflation->out += made;
        inflation->out_of_this += made;
        if (!is_within_bounds(inflation))
                return fail(-E2BIG);
        return (ssize_t)made;
}
