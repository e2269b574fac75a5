/* Fuzzes the receiver: the same frames come out, whatever pieces the bytes come in. */
#include "bus/receiver.h"
#include "bus/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t run(const uint8_t *data, size_t size, size_t step, enum wire_version version) {
        struct receiver r;
        uint64_t sum = 0;
        receiver_init(&r, version, 1 << 16, NULL);
        for (size_t at = 0; at < size;) {
                struct frame *frame = NULL;
                size_t used;
                int event = receiver_take(&r, (const char *)data + at, MIN(step, size - at), &used, &frame);
                at += used;
                if (event < 0)
                        break;
                if (event == RECEIVER_MORE)
                        continue;
                sum = table_hash(sum + (uint64_t)event, frame_header(frame));
                sum = table_hash(sum, frame_body(frame));
                sum = table_hash(sum, frame_attachments(frame));
                frame_unref(frame);
        }
        receiver_fini(&r);
        return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 2)
                return 0;
        enum wire_version version = data[0] & 1 ? WIRE_1 : WIRE_2;
        size_t step = 1 + data[1] % 50;
        uint64_t whole = run(data + 2, size - 2, size, version);
        uint64_t pieces = run(data + 2, size - 2, step, version);
        assert(whole == pieces);
        return 0;
}
