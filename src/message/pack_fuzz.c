/*
 * Whatever lies on disk: an answer is a batch whose every span lies within it, or -EBADMSG; and what was unpacked,
 * packed and unpacked again is the same. The head of the input is made a pack's, so that all of it is behind that.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "message/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pack_names names;

static unsigned sum(const struct batch *b) {
        unsigned n = b->count;
        for (uint32_t i = 0; i < b->count; i++) {
                const struct record *r = &b->records[i];
                const struct span spans[] = {r->raw, r->msg,    r->host,  r->tag,
                                             r->app, r->procid, r->msgid, r->structured};
                for (size_t s = 0; s < ARRAY_SIZE(spans); s++) {
                        struct text t = batch_text(b, spans[s]);
                        for (size_t c = 0; c < t.size; c++)
                                n = n * 31 + (unsigned char)t.data[c];
                }
        }
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _owned_(batch_pool_unref) struct batch_pool *pool = NULL;
        _owned_(batch_unref) struct batch *b = NULL;
        _owned_(buffer_fini) struct buffer pack = {0};
        buffer_append(&pack, data, size);
        if (size < PACK_HEADER_BYTES || buffer_failed(&pack) || batch_pool_new(&pool))
                return 0;
        const uint32_t magic = htole32(PACK_MAGIC), whole = htole32((uint32_t)size);
        const uint16_t version = htole16(PACK_VERSION), header = htole16(PACK_HEADER_BYTES);
        memcpy(pack.data, &magic, sizeof magic);
        memcpy(pack.data + 4, &version, sizeof version);
        memcpy(pack.data + 6, &header, sizeof header);
        memcpy(pack.data + 8, &whole, sizeof whole);
        int r = unpack_records(&b, pool, buffer_as_text(&pack), 0, &names);
        if (r) {
                assert(r == -EBADMSG || r == -ENOMEM);
                return 0;
        }
        _owned_(buffer_fini) struct buffer again = {0};
        r = pack_records(&again, b, 0, b->count, &names);
        assert(r == 0);
        _owned_(batch_unref) struct batch *same = NULL;
        r = unpack_records(&same, pool, buffer_as_text(&again), 0, &names);
        assert(r == 0);
        assert(sum(same) == sum(b));
        return 0;
}
