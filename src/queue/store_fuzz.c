/*
 * A store whose files somebody else has written to: it opens or says why not, gives
 * out what is whole, and never more than there was.
 *
 * The input is a list of changes to a small store: a file, a place, bytes; some of them
 * make the checksums right again, so that what lies behind those is reached, too.
 */
#include <stdlib.h>
#include <string.h>

#include "io/disk_sim.h"
#include "queue/store_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {"0000000000000001.segment", "0000000000000002.segment", "control.0", "control.1"};

static struct disk_sim *make_template(void) {
        struct disk_sim *sim = disk_sim_new(3);
        struct store_options o = {.disk = disk_sim_disk(sim),
                                  .directory = "/q",
                                  .name = "q",
                                  .segment_bytes = SEGMENT_BYTES_MIN,
                                  .is_synced = true};
        struct store *s;
        char payload[900] = {0};
        uint64_t lsn;
        if (store_open_by_hand(&s, &o, NULL))
                abort();
        for (uint32_t i = 0; i < 12; i++) {
                if (store_append(s, payload, sizeof payload - i, i + 1, &lsn))
                        abort();
        }
        if (store_close(s))
                abort();
        return sim;
}

/* Makes the checksums of whatever lies there those of a frame of this segment. */
static void seal(struct disk_sim *sim, const char *file, uint64_t at) {
        size_t size;
        const uint8_t *content = disk_sim_content(sim, "/q", file, &size);
        struct segment_header header;
        if (!content || size < SEGMENT_FRAMES_AT || at + FRAME_HEADER_BYTES_MAX > size ||
            segment_header_read(&header, content, SEGMENT_BLOCK_BYTES))
                return;
        uint8_t bytes[FRAME_HEADER_BYTES_MAX];
        memcpy(bytes, content + at, sizeof bytes);
        uint64_t echo;
        memcpy(&echo, bytes + FRAME_LSN_AT + 8, sizeof echo);
        if (bytes[12] < FRAME_BASE_BYTES || bytes[12] > sizeof bytes)
                return;
        frame_seal(bytes, header.salt, echo);
        disk_sim_put(sim, "/q", file, at, bytes, sizeof bytes);
}

static void change(struct disk_sim *sim, const uint8_t *data, size_t size) {
        while (size >= 5) {
                const char *file = files[data[0] % ARRAY_SIZE(files)];
                uint64_t at = (uint64_t)data[1] | (uint64_t)data[2] << 8;
                size_t n = MIN((size_t)data[3] % 64, size - 4);
                size_t length;
                if (disk_sim_content(sim, "/q", file, &length) && at + n <= length)
                        disk_sim_put(sim, "/q", file, at, data + 4, n);
                if (data[0] & 0x80)
                        seal(sim, file, at & ~(uint64_t)(FRAME_ALIGNMENT - 1));
                data += 4 + n;
                size -= 4 + n;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct disk_sim *template;
        if (!template)
                template = make_template();
        struct disk_sim_chooser newest = disk_sim_choose_newest();
        struct disk_sim *sim = disk_sim_crash(template, DISK_SIM_STRICT, &newest);
        change(sim, data, size);
        struct store_options o = {.disk = disk_sim_disk(sim),
                                  .directory = "/q",
                                  .name = "q",
                                  .segment_bytes = SEGMENT_BYTES_MIN,
                                  .is_synced = true};
        struct store *s;
        if (store_open_by_hand(&s, &o, NULL) == 0) {
                struct store_frame f;
                uint64_t lsn, next = 0;
                while (store_lease(s, &f) == 0) {
                        if (f.lsn < next)
                                abort();
                        next = f.lsn + f.count;
                        free(f.payload);
                        store_complete(s, f.lsn + f.done, f.count - f.done);
                }
                if (store_append(s, "x", 1, 1, &lsn) == 0 && store_wait(s, lsn))
                        abort();
                store_close(s);
        }
        disk_sim_free(sim);
        return 0;
}
