#include "io/compress.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/fail.h"

enum {
        STEP_BYTES = 16 << 10, /* room that is made before each call into a library */
        GZIP_WINDOW_BITS = 15 + 16,
        ZLIB_WINDOW_BITS = 15,
        DETECT_WINDOW_BITS = 15 + 32, /* zlib or gzip, by their heads */
        DEFLATE_MEMORY_LEVEL = 9,
        ZSTD_WINDOW_LOG_MIN = 10, /* RFC 8878 3.1.1.1.2 */
        ZSTD_WINDOW_LOG_MAX = 27, /* what the library takes by itself */
};

struct compressor {
        enum compression kind;
        bool is_open;
        z_stream zlib;
        ZSTD_CCtx *zstd;
};

static int zlib_error(int code) {
        return code == Z_MEM_ERROR ? -ENOMEM : -EIO;
}

static int open_zlib(struct compressor *c, int level) {
        int bits = c->kind == COMPRESSION_GZIP ? GZIP_WINDOW_BITS : ZLIB_WINDOW_BITS;
        int r = deflateInit2(&c->zlib, level, Z_DEFLATED, bits, DEFLATE_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
        if (r == Z_STREAM_ERROR)
                return fail(-EINVAL);
        return r == Z_OK ? 0 : fail(zlib_error(r));
}

static int open_zstd(struct compressor *c, int level, int workers) {
        c->zstd = ZSTD_createCCtx();
        if (!c->zstd)
                return fail(-ENOMEM);
        if (ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)))
                return fail(-EINVAL);
        /* A library built without threads refuses workers and compresses just as well without. */
        if (workers > 0)
                ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_nbWorkers, workers);
        return 0;
}

int compressor_new(struct compressor **ret, enum compression kind, int level, int workers) {
        assert(kind != COMPRESSION_NONE);
        _owned_(memory_free) struct compressor *c = calloc(1, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        c->kind = kind;
        int r = kind == COMPRESSION_ZSTD ? open_zstd(c, level, workers) : open_zlib(c, level);
        if (r) {
                ZSTD_freeCCtx(c->zstd);
                return pass(r);
        }
        *ret = TAKE(c);
        return 0;
}

struct compressor *compressor_free(struct compressor *c) {
        if (!c)
                return NULL;
        if (c->kind == COMPRESSION_ZSTD)
                ZSTD_freeCCtx(c->zstd);
        else
                deflateEnd(&c->zlib);
        free(c);
        return NULL;
}

bool compressor_is_open(const struct compressor *c) {
        return c->is_open;
}

static int add_zlib(struct compressor *c, struct text in, enum compress_end end, struct buffer *out) {
        static const int flush_of[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
        z_stream *z = &c->zlib;
        z->next_in = (Bytef *)in.data;
        z->avail_in = (uInt)in.size;
        for (;;) {
                if (!buffer_reserve(out, STEP_BYTES))
                        return fail(-ENOMEM);
                size_t room = out->capacity - out->size;
                z->next_out = (Bytef *)out->data + out->size;
                z->avail_out = (uInt)MIN(room, (size_t)1 << 30);
                uInt before = z->avail_out;
                int r = deflate(z, flush_of[end]);
                out->size += before - z->avail_out;
                if (r == Z_STREAM_END)
                        return deflateReset(z) == Z_OK ? 0 : fail(-EIO);
                /* Z_BUF_ERROR only says that there was nothing left to do. */
                if (r != Z_OK && r != Z_BUF_ERROR)
                        return fail(zlib_error(r));
                if (z->avail_out > 0 && end != COMPRESS_FINISH)
                        return 0;
        }
}

static int add_zstd(struct compressor *c, struct text in, enum compress_end end, struct buffer *out) {
        static const ZSTD_EndDirective directive_of[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
        ZSTD_inBuffer source = {.src = in.data, .size = in.size};
        for (;;) {
                if (!buffer_reserve(out, STEP_BYTES))
                        return fail(-ENOMEM);
                ZSTD_outBuffer sink = {.dst = out->data + out->size, .size = out->capacity - out->size};
                size_t left = ZSTD_compressStream2(c->zstd, &sink, &source, directive_of[end]);
                out->size += sink.pos;
                if (ZSTD_isError(left))
                        return fail(-EIO);
                bool is_drained = end == COMPRESS_MORE ? source.pos == source.size : left == 0;
                if (is_drained)
                        return 0;
        }
}

int compressor_add(struct compressor *c, struct text in, enum compress_end end, struct buffer *out) {
        if (in.size == 0 && (!c->is_open || end == COMPRESS_MORE))
                return 0;
        int r = c->kind == COMPRESSION_ZSTD ? add_zstd(c, in, end, out) : add_zlib(c, in, end, out);
        if (r)
                return pass(r);
        c->is_open = end != COMPRESS_FINISH;
        return 0;
}

struct decompressor {
        enum compression kind;
        bool is_at_end; /* of a member: another may follow */
        z_stream zlib;
        ZSTD_DCtx *zstd;
        size_t zstd_bytes; /* of a fresh one */
};

int decompressor_new(struct decompressor **ret, enum compression kind) {
        assert(kind != COMPRESSION_NONE);
        _owned_(memory_free) struct decompressor *d = calloc(1, sizeof *d);
        if (!d)
                return fail(-ENOMEM);
        d->kind = kind;
        if (kind == COMPRESSION_ZSTD) {
                d->zstd = ZSTD_createDCtx();
                if (!d->zstd)
                        return fail(-ENOMEM);
                d->zstd_bytes = ZSTD_sizeof_DCtx(d->zstd);
        } else if (inflateInit2(&d->zlib, kind == COMPRESSION_GZIP ? DETECT_WINDOW_BITS : ZLIB_WINDOW_BITS) != Z_OK)
                return fail(-ENOMEM);
        *ret = TAKE(d);
        return 0;
}

struct decompressor *decompressor_free(struct decompressor *d) {
        if (!d)
                return NULL;
        if (d->kind == COMPRESSION_ZSTD)
                ZSTD_freeDCtx(d->zstd);
        else
                inflateEnd(&d->zlib);
        free(d);
        return NULL;
}

void decompressor_bound_window(struct decompressor *d, size_t bytes) {
        if (d->kind != COMPRESSION_ZSTD)
                return;
        int log = ZSTD_WINDOW_LOG_MIN;
        while (log < ZSTD_WINDOW_LOG_MAX && (size_t)2 << log <= bytes)
                log++;
        size_t r = ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, log);
        assert(!ZSTD_isError(r));
        (void)r;
}

size_t decompressor_window(const struct decompressor *d) {
        return d->kind == COMPRESSION_ZSTD ? ZSTD_sizeof_DCtx(d->zstd) - d->zstd_bytes : 0;
}

static int step_zlib(struct decompressor *d, struct text in, size_t *used, char *to, size_t room, size_t *made) {
        z_stream *z = &d->zlib;
        if (d->is_at_end && inflateReset(z) != Z_OK)
                return fail(-EBADMSG);
        d->is_at_end = false;
        uInt in_size = (uInt)MIN(in.size, (size_t)1 << 30);
        z->next_in = (Bytef *)in.data;
        z->avail_in = in_size;
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)room;
        int r = inflate(z, Z_NO_FLUSH);
        if (r == Z_MEM_ERROR)
                return fail(-ENOMEM);
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
                return fail(-EBADMSG);
        d->is_at_end = r == Z_STREAM_END;
        *used = in_size - z->avail_in;
        *made = room - z->avail_out;
        return 0;
}

static int step_zstd(struct decompressor *d, struct text in, size_t *used, char *to, size_t room, size_t *made) {
        ZSTD_inBuffer source = {.src = in.data, .size = in.size};
        ZSTD_outBuffer sink = {.dst = to, .size = room};
        size_t r = ZSTD_decompressStream(d->zstd, &sink, &source);
        switch (ZSTD_isError(r) ? ZSTD_getErrorCode(r) : ZSTD_error_no_error) {
        case ZSTD_error_no_error:
                break;
        case ZSTD_error_memory_allocation:
                return fail(-ENOMEM);
        case ZSTD_error_frameParameter_windowTooLarge:
                return fail(-E2BIG);
        default:
                return fail(-EBADMSG);
        }
        *used = source.pos;
        *made = sink.pos;
        return 0;
}

int decompressor_step(struct decompressor *d, struct text in, size_t *used, char *to, size_t room, size_t *made) {
        return pass(d->kind == COMPRESSION_ZSTD ? step_zstd(d, in, used, to, room, made)
                                                : step_zlib(d, in, used, to, room, made));
}

int decompressor_add(struct decompressor *d, struct text in, size_t *used, struct buffer *out, size_t bytes_max) {
        *used = 0;
        size_t left = bytes_max;
        while (left) {
                size_t room = MIN(left, (size_t)STEP_BYTES);
                if (!buffer_reserve(out, room))
                        return fail(-ENOMEM);
                struct text rest = text_slice(in, *used, in.size);
                /* At a member's end only more bytes begin another. */
                if (rest.size == 0 && d->is_at_end)
                        return 0;
                size_t taken = 0, made = 0;
                char *to = out->data + out->size;
                int r = decompressor_step(d, rest, &taken, to, room, &made);
                if (r)
                        return pass(r);
                *used += taken;
                out->size += made;
                left -= made;
                /* Room left over means that the library holds nothing back. */
                if (made < room && *used == in.size)
                        return 0;
                if (taken == 0 && made == 0)
                        return fail(-EBADMSG);
        }
        return 0;
}

int compress_message(struct compressor *c, struct text in, struct buffer *out) {
        assert(c->kind == COMPRESSION_ZLIB && !c->is_open);
        size_t start = out->size;
        buffer_byte(out, 'z');
        int r = compressor_add(c, in, COMPRESS_FINISH, out);
        if (r)
                return pass(r);
        if (out->size - start < in.size)
                return 0;
        out->size = start;
        return COMPRESS_NO_GAIN;
}

int decompress_message(struct text in, char *to, size_t room, size_t *size) {
        uLongf made = room;
        int r = uncompress((Bytef *)to, &made, (const Bytef *)in.data, in.size);
        if (r == Z_BUF_ERROR && made == room)
                return fail(-EMSGSIZE);
        if (r != Z_OK)
                return fail(r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG);
        *size = made;
        return 0;
}
