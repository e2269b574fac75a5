/*
 * Whatever lies in a classic spool: an answer is an index, a record whose every span lies within its batch, or a
 * refusal that goes forward; never a step beyond the bytes.
 */
#include <errno.h>

#include "message/pack.h"
#include "queue/classic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t ruleset_of(void *owner _unused_, struct text name) {
        return name.size ? 1 : 0;
}

/* Packing reads every byte of every field. */
static void pack_all(const struct batch *b) {
        static const struct pack_names none;
        _owned_(buffer_fini) struct buffer pack = {0};
        for (uint32_t i = 0; i < b->count; i++)
                assert(b->records[i].facility <= 24 && b->records[i].severity <= 7);
        int r = b->count ? pack_records(&pack, b, 0, b->count, &none) : 0;
        assert(r == 0 || r == -ENOMEM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct text bytes = {(const char *)data, size};
        const struct classic_names names = {.ruleset_of = ruleset_of};
        struct classic_index index;
        _owned_(batch_pool_unref) struct batch_pool *pool = NULL;
        _owned_(batch_unref) struct batch *b = NULL;
        int r = classic_index_read(&index, bytes);
        assert(r == 0 || r == -EBADMSG);
        if (batch_pool_new(&pool) || !(b = batch_new(pool, BATCH_BYTES)))
                return 0;
        while (bytes.size) {
                size_t used = 0;
                r = classic_message_read(b, bytes, &used, &names);
                assert(r == 0 || r == CLASSIC_IS_CUT || r == -EBADMSG || r == -ENOMEM || r == -ENOBUFS);
                if (r == -ENOMEM || r == -ENOBUFS)
                        break;
                if (r)
                        used = classic_resume(bytes);
                assert(used > 0 && used <= bytes.size);
                bytes = text_slice(bytes, used, bytes.size);
        }
        pack_all(b);
        return 0;
}
