/*
 * Fills a store with messages whose content anybody can tell from their LSN, for the
 * test that keeps the published format and its reader honest.
 *
 *   make_store DIRECTORY FRAMES DONE [lz4|zstd] [chain] [key FILE]
 *
 * Frame i (from 1) has i % 5 + 1 messages and i * 37 % 3000 bytes, each of them i % 256. DONE
 * of the frames are completed before the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "queue/store.h"

enum { BYTES_MAX = 3000 };

static void say(struct reporter *reporter, enum severity severity, int code, const char *line) {
        fprintf(stderr, "%s\n", line);
}

static int fill(struct store *s, unsigned frames, unsigned done) {
        for (unsigned i = 1; i <= frames; i++) {
                char bytes[BYTES_MAX];
                uint64_t lsn;
                memset(bytes, (int)(i % 256), sizeof bytes);
                int r = store_append(s, bytes, i * 37 % BYTES_MAX, i % 5 + 1, &lsn);
                if (r)
                        return pass(r);
        }
        for (unsigned i = 1; i <= done; i++) {
                struct store_frame f;
                int r = store_lease(s, &f);
                if (r)
                        return pass(r);
                free(f.payload);
                store_complete(s, f.lsn, f.count);
        }
        return 0;
}

int main(int count, char **arguments) {
        if (count < 4) {
                fprintf(stderr, "usage: make_store DIRECTORY FRAMES DONE [lz4|zstd] [chain] [key FILE]\n");
                return 2;
        }
        struct reporter reporter = {say};
        struct store_options o = {
                .directory = arguments[1], .name = "made", .segment_bytes = 64 << 10, .is_synced = true};
        for (int i = 4; i < count; i++) {
                if (!strcmp(arguments[i], "lz4"))
                        o.compression = STORE_LZ4;
                else if (!strcmp(arguments[i], "zstd"))
                        o.compression = STORE_ZSTD;
                else if (!strcmp(arguments[i], "chain"))
                        o.is_chained = true;
                else if (!strcmp(arguments[i], "key") && i + 1 < count)
                        o.key_file = arguments[++i];
        }
        struct store *s;
        int r = store_open(&s, &o, &reporter);
        if (r)
                return 1;
        r = fill(s, (unsigned)strtoul(arguments[2], NULL, 10), (unsigned)strtoul(arguments[3], NULL, 10));
        int closed = store_close(s);
        return r || closed ? 1 : 0;
}
