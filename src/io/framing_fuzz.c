/*
 * Whatever is received: frames lie inside the data and behind one another, none
 * is longer than allowed, and where the stream is cut into reads changes nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "io/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 4 };

struct trail {
        uint64_t hash;
        size_t messages;
};

static void trail_add(struct trail *trail, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                trail->hash = (trail->hash ^ (uint8_t)data[i]) * 1099511628211u;
        trail->hash = (trail->hash ^ 256) * 1099511628211u;
        trail->messages++;
}

static void check_frame(const struct framing_rules *rules, enum framing_event event, const struct frame *frame,
                        size_t size) {
        size_t longest = (size_t)rules->message_bytes_max * (rules->pattern ? 2 : 1);
        assert(frame->used <= size);
        assert(frame->start + frame->size <= frame->used);
        assert(frame->used + frame->rest <= size);
        assert(frame->size <= longest);
        assert(event != FRAMING_FRAME || frame->size > 0);
}

/* Reads of 1 to 16 bytes that follow from `seed`; 0: all at once. */
static size_t read_size(unsigned *seed, size_t left) {
        if (*seed == 0)
                return left;
        *seed = *seed * 1103515245 + 12345;
        return MIN(left, (size_t)(*seed >> 16) % 16 + 1);
}

static struct trail walk(const struct framing_rules *rules, const char *stream, size_t size, unsigned seed) {
        struct trail trail = {.hash = 14695981039346656037u};
        struct framing f = {0};
        char *carry = malloc(size + 1);
        assert(carry);
        size_t carried = 0;
        for (size_t at = 0; at < size;) {
                size_t got = read_size(&seed, size - at);
                memcpy(carry + carried, stream + at, got);
                at += got;
                size_t all = carried + got, used = 0;
                enum framing_event event;
                do {
                        struct frame frame;
                        event = framing_next(&f, rules, carry + used, all - used, &frame);
                        check_frame(rules, event, &frame, all - used);
                        if (event == FRAMING_FRAME || event == FRAMING_NO_FIRST_LINE)
                                trail_add(&trail, carry + used + frame.start, frame.size);
                        used += frame.used;
                } while (event != FRAMING_MORE);
                carried = all - used;
                assert(carried <= framing_carry_max(rules));
                memmove(carry, carry + used, carried);
        }
        struct frame frame;
        if (framing_end(&f, rules, carried, &frame) == FRAMING_FRAME)
                trail_add(&trail, carry, frame.size);
        free(carry);
        return trail;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < HEAD_BYTES)
                return 0;
        regex_t pattern;
        int r = regcomp(&pattern, "^<[0-9]{1,3}>", REG_EXTENDED);
        assert(r == 0);
        struct framing_rules rules = {
                .message_bytes_max = data[0] % 64u + 1,
                .frame_bytes_max = data[1],
                .delimiter = data[2] & 1 ? '~' : -1,
                .ends_at_lf = !(data[2] & 2),
                .counts_octets = !(data[2] & 4),
                .discards_truncated = data[2] & 8,
                .truncates_counted = data[2] & 16,
                .skips_blanks = data[2] & 32,
                .multi_line = data[2] & 64,
                .keeps_tail = data[2] & 128,
                .pattern = data[3] & 1 ? &pattern : NULL,
        };
        const char *stream = (const char *)data + HEAD_BYTES;
        struct trail whole = walk(&rules, stream, size - HEAD_BYTES, 0);
        struct trail pieces = walk(&rules, stream, size - HEAD_BYTES, data[3] + 1u);
        if (!rules.multi_line) {
                assert(whole.hash == pieces.hash);
                assert(whole.messages == pieces.messages);
        }
        regfree(&pattern);
        return 0;
}
