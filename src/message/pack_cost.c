/*
 * What packing costs: nanoseconds a message, each way, the best of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "message/pack.h"

enum { ROUNDS = 400, RECORDS = 1024 };

static const struct pack_names names;
static const char raw[] = "<34>Oct 11 22:14:15 mymachine su[4711]: 'su root' failed for lonvick on /dev/pts/8";

static void fill(struct batch *b, struct source *source, bool is_parsed) {
        for (unsigned i = 0; i < RECORDS; i++) {
                struct record *r = batch_append(b, source);
                r->raw = batch_store(b, (struct text){raw, sizeof raw - 1});
                r->received_us = 1795291528332781;
                if (!is_parsed)
                        continue;
                r->flags = RECORD_IS_PARSED;
                r->host = span_slice(r->raw, 20, 29);
                r->tag = span_slice(r->raw, 30, 39);
                r->program_size = 2;
                r->procid = span_slice(r->raw, 33, 37);
                r->msg = span_slice(r->raw, 39, sizeof raw - 1);
                r->reported = (struct stamp){.year = 2026, .month = 10, .day = 11, .is_set = 1};
        }
}

static void measure(struct batch_pool *pool, struct source *source, bool is_parsed) {
        double best_pack = 1e9, best_unpack = 1e9;
        _owned_(buffer_fini) struct buffer out = {0};
        for (unsigned round = 0; round < ROUNDS; round++) {
                struct batch *b = batch_new(pool, 0), *back;
                if (!b)
                        abort();
                fill(b, source, is_parsed);
                buffer_clear(&out);
                int64_t begin_ns = clock_mono_ns();
                if (pack_records(&out, b, 0, RECORDS, &names))
                        abort();
                int64_t packed_ns = clock_mono_ns();
                if (unpack_records(&back, pool, buffer_as_text(&out), 0, &names))
                        abort();
                int64_t unpacked_ns = clock_mono_ns();
                best_pack = MIN(best_pack, (double)(packed_ns - begin_ns) / RECORDS);
                best_unpack = MIN(best_unpack, (double)(unpacked_ns - packed_ns) / RECORDS);
                batch_unref(b);
                batch_unref(back);
        }
        printf("%-8s pack %5.1f ns, unpack %5.1f ns, %.1f bytes a message of %zu\n", is_parsed ? "parsed" : "raw",
               best_pack, best_unpack, (double)out.size / RECORDS, sizeof raw - 1);
}

int main(void) {
        _owned_(batch_pool_unref) struct batch_pool *pool = NULL;
        _owned_(source_unref) struct source *source = source_new_local("imtcp", "localhost", "127.0.0.1");
        if (!source || batch_pool_new(&pool))
                return 1;
        measure(pool, source, false);
        measure(pool, source, true);
        return 0;
}
