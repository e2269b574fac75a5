/*
 * Whatever a peer sends: frames lie inside what came, no buffer outgrows header,
 * data and one read, where the stream is cut into reads changes nothing, and a
 * client's session tells each row at most once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/relp_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA_MAX = 16, STEP_MAX = 7, WINDOW = 4 };

struct trail {
        uint64_t hash;
        enum relp_event end;
};

static void trail_add(struct trail *trail, const struct relp_frame *frame) {
        trail->hash = (trail->hash ^ frame->txnr ^ ((uint64_t)frame->command << 32)) * 1099511628211u;
        for (size_t i = 0; i < frame->data.size; i++)
                trail->hash = (trail->hash ^ (uint8_t)frame->data.data[i]) * 1099511628211u;
}

static struct trail walk(const uint8_t *stream, size_t size, size_t step, bool cuts) {
        struct trail trail = {.hash = 14695981039346656037u, .end = RELP_MORE};
        struct relp_scanner scanner = {.data_bytes_max = DATA_MAX, .cuts = cuts};
        char *held = malloc(size + 1);
        assert(held);
        size_t held_size = 0;
        for (size_t at = 0; at < size && trail.end == RELP_MORE;) {
                size_t got = MIN(step, size - at), used = 0;
                memcpy(held + held_size, stream + at, got);
                held_size += got;
                at += got;
                for (;;) {
                        struct relp_frame frame;
                        enum relp_event event = relp_next(&scanner, held + used, held_size - used, &frame);
                        if (event == RELP_CUT) {
                                char *end = (char *)(uintptr_t)frame.data.data + frame.data.size;
                                assert(cuts && frame.used > 0 && end + frame.used <= held + held_size);
                                memmove(end, end + frame.used, (size_t)(held + held_size - end) - frame.used);
                                held_size -= frame.used;
                                continue;
                        }
                        if (event != RELP_FRAME) {
                                trail.end = event;
                                break;
                        }
                        assert(frame.data.size <= DATA_MAX && frame.used <= held_size - used);
                        trail_add(&trail, &frame);
                        used += frame.used;
                }
                memmove(held, held + used, held_size - used);
                held_size -= used;
                assert(trail.end != RELP_MORE || held_size <= RELP_HEADER_BYTES_MAX + DATA_MAX + 1);
        }
        free(held);
        return trail;
}

static void note_once(void *context, uint32_t row, bool is_taken _unused_, struct text words _unused_) {
        unsigned *told = context;
        assert(row < WINDOW && !(*told & 1u << row));
        *told |= 1u << row;
}

static void ignore(void *context _unused_, uint32_t row _unused_, bool is_taken _unused_, struct text words _unused_) {
}

static void converse(struct text stream, size_t step) {
        struct relp_session s;
        unsigned told = 0;
        if (relp_session_init(&s, WINDOW))
                return;
        relp_session_begin(&s);
        int r = relp_session_receive(&s, TEXT("1 rsp 22 200 OK\ncommands=syslog\n"), ignore, NULL);
        assert(r == 0 && s.state == RELP_READY);
        for (uint32_t row = 0; row < WINDOW; row++)
                relp_session_put(&s, row, TEXT("x"));
        for (size_t at = 0; at < stream.size && s.state != RELP_ENDED && r == 0; at += step)
                r = relp_session_receive(&s, text_slice(stream, at, at + step), note_once, &told);
        assert(r == 0 || s.state == RELP_ENDED);
        relp_session_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1)
                return 0;
        size_t step = data[0] % STEP_MAX + 1;
        bool cuts = data[0] & 0x80;
        data++;
        size--;
        struct trail whole = walk(data, size, size, cuts), parts = walk(data, size, step, cuts);
        assert(whole.hash == parts.hash && whole.end == parts.end);
        struct text bytes = {(const char *)data, size};
        converse(bytes, step);
        struct relp_answer answer;
        struct relp_offers offers;
        (void)relp_read_answer(bytes, &answer);
        (void)relp_read_offers(bytes, &offers);
        return 0;
}
