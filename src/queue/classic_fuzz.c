/*
 * Whatever lies in a classic spool: an answer is an index, a record whose every span lies within its batch, or a
 * refusal that goes forward; never a step beyond the bytes.
 */
#include <errno.h>

#include "queue/classic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t ruleset_of(void *owner _unused_, struct text name) {
        return name.size ? 1 : 0;
}

static void read_all(const struct record *r, struct batch *b) {
        const struct span spans[] = {r->raw, r->msg, r->host, r->tag, r->app, r->procid, r->msgid, r->structured};
        volatile unsigned sum = 0;
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
                struct text t = batch_text(b, spans[i]);
                for (size_t at = 0; at < t.size; at++)
                        sum += (unsigned char)t.data[at];
        }
        assert(r->facility <= 24 && r->severity <= 7);
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
                        return 0;
                if (r)
                        used = classic_resume(bytes);
                else
                        read_all(&b->records[b->count - 1], b);
                assert(used > 0 && used <= bytes.size);
                bytes = text_slice(bytes, used, bytes.size);
        }
        return 0;
}
