#include "queue/control.h"

#include <errno.h>
#include <string.h>

static const char control_magic[8] = "PSTKCTL1";

struct disk_control {
        char magic[8];
        uint32_t version;
        uint32_t reserved_a;
        uint8_t queue_id[SEGMENT_ID_BYTES];
        uint64_t generation;
        uint64_t mark_lsn, mark_segment, mark_offset;
        uint64_t durable_lsn;
        uint64_t next_sequence;
        uint64_t segment_bytes;
        int64_t time_us;
        char name[SEGMENT_NAME_BYTES];
        uint8_t reserved_b[92];
        uint32_t crc; /* of what stands before it */
};
static_assert(sizeof(struct disk_control) == CONTROL_RECORD_BYTES, "the control record has a published size");

void control_write(uint8_t block[static CONTROL_BLOCK_BYTES], const struct control *control) {
        struct disk_control d = {
                .version = CONTROL_VERSION,
                .generation = control->generation,
                .mark_lsn = control->mark_lsn,
                .mark_segment = control->mark_segment,
                .mark_offset = control->mark_offset,
                .durable_lsn = control->durable_lsn,
                .next_sequence = control->next_sequence,
                .segment_bytes = control->segment_bytes,
                .time_us = control->time_us,
        };
        memcpy(d.magic, control_magic, sizeof d.magic);
        memcpy(d.queue_id, control->queue_id, sizeof d.queue_id);
        memcpy(d.name, control->name, sizeof d.name);
        d.crc = segment_crc(0, &d, offsetof(struct disk_control, crc));
        memset(block, 0, CONTROL_BLOCK_BYTES);
        memcpy(block, &d, sizeof d);
}

int control_read(struct control *ret, const uint8_t *block, size_t size) {
        struct disk_control d;
        if (size < sizeof d)
                return -EBADMSG;
        memcpy(&d, block, sizeof d);
        if (memcmp(d.magic, control_magic, sizeof d.magic) || d.version != CONTROL_VERSION || d.mark_lsn == 0 ||
            d.mark_lsn >= INT64_MAX || d.durable_lsn >= INT64_MAX ||
            d.crc != segment_crc(0, &d, offsetof(struct disk_control, crc)))
                return -EBADMSG;
        *ret = (struct control){
                .generation = d.generation,
                .mark_lsn = d.mark_lsn,
                .mark_segment = d.mark_segment,
                .mark_offset = d.mark_offset,
                .durable_lsn = d.durable_lsn,
                .next_sequence = d.next_sequence,
                .segment_bytes = d.segment_bytes,
                .time_us = d.time_us,
        };
        memcpy(ret->queue_id, d.queue_id, sizeof d.queue_id);
        memcpy(ret->name, d.name, sizeof d.name);
        ret->name[sizeof ret->name - 1] = '\0';
        return 0;
}

const char *control_file_name(unsigned file) {
        static const char *const names[CONTROL_FILES] = {"control.0", "control.1"};
        assert(file < CONTROL_FILES);
        return names[file];
}
