#include "io/framing.h"

#include <string.h>

#include "base/macros.h"

enum { NOT_FOUND = -1, SCAN_PIECE_BYTES = 256 };

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static enum framing_event more(struct frame *ret, size_t used) {
        *ret = (struct frame){.used = used};
        return FRAMING_MORE;
}

static enum framing_event found(struct frame *ret, size_t used, size_t start, size_t size) {
        *ret = (struct frame){.used = used, .start = start, .size = size};
        return FRAMING_FRAME;
}

static enum framing_event problem(enum framing_event event, struct frame *ret, size_t used, uint32_t number) {
        *ret = (struct frame){.used = used, .number = number};
        return event;
}

/* The first of two bytes; in pieces, so that a rare one is not sought through everything again and again. */
static ptrdiff_t find_either(const char *data, size_t from, size_t to, char a, char b) {
        for (; from < to; from += SCAN_PIECE_BYTES) {
                size_t piece = MIN(to - from, (size_t)SCAN_PIECE_BYTES);
                const char *first = memchr(data + from, a, piece);
                const char *other = memchr(data + from, b, first ? (size_t)(first - data) - from : piece);
                if (first || other)
                        return (other ? other : first) - data;
        }
        return NOT_FOUND;
}

/* A line feed that ends a message: '<' follows, or nothing was received behind it. */
static ptrdiff_t find_last_lf(const char *data, size_t from, size_t to, size_t size) {
        while (from < to) {
                const char *lf = memchr(data + from, '\n', to - from);
                if (!lf)
                        return NOT_FOUND;
                size_t at = (size_t)(lf - data);
                if (at + 1 == size || data[at + 1] == '<')
                        return (ptrdiff_t)at;
                from = at + 1;
        }
        return NOT_FOUND;
}

/* Where in [from, to) the message ends; `size` bytes were received. */
static inline ptrdiff_t find_end(const struct framing_rules *rules, const char *data, size_t from, size_t to,
                                 size_t size) {
        if (rules->multi_line) {
                ptrdiff_t end = find_last_lf(data, from, to, size);
                const char *other = rules->delimiter < 0 ? NULL
                                                         : memchr(data + from, rules->delimiter,
                                                                  (end < 0 ? to : (size_t)end) - from);
                return other ? other - data : end;
        }
        if (rules->delimiter >= 0 && rules->ends_at_lf)
                return find_either(data, from, to, '\n', (char)rules->delimiter);
        if (rules->delimiter < 0 && !rules->ends_at_lf)
                return NOT_FOUND;
        const char *end = memchr(data + from, rules->ends_at_lf ? '\n' : rules->delimiter, to - from);
        return end ? end - data : NOT_FOUND;
}

/* A message is full before its end came. */
static enum framing_event split_plain(struct framing *f, const struct framing_rules *rules, const char *data,
                                      size_t size, struct frame *ret) {
        size_t full = rules->message_bytes_max;
        ptrdiff_t end = find_end(rules, data, full, size, size);
        f->scanned = 0;
        f->state = rules->discards_truncated ? FRAMING_SKIP_PLAIN : FRAMING_PLAIN;
        found(ret, full, 0, full);
        ret->rest = (end < 0 ? size : (size_t)end) - full;
        return FRAMING_FRAME;
}

static enum framing_event next_plain(struct framing *f, const struct framing_rules *rules, const char *data,
                                     size_t size, struct frame *ret) {
        size_t window = MIN(size, (size_t)rules->message_bytes_max + 1);
        ptrdiff_t end = window > f->scanned ? find_end(rules, data, f->scanned, window, size) : NOT_FOUND;
        if (LIKELY(end >= 0)) {
                f->scanned = 0;
                f->state = FRAMING_START;
                return found(ret, (size_t)end + 1, 0, (size_t)end);
        }
        if (size > rules->message_bytes_max)
                return split_plain(f, rules, data, size, ret);
        f->scanned = (uint32_t)window;
        return more(ret, 0);
}

static enum framing_event skip_plain(struct framing *f, const struct framing_rules *rules, const char *data,
                                     size_t size, struct frame *ret) {
        ptrdiff_t end = find_end(rules, data, 0, size, size);
        if (end < 0)
                return more(ret, size);
        f->state = FRAMING_START;
        return found(ret, (size_t)end + 1, 0, 0);
}

/*
 * The number before a frame ended at `end`. A count that is too large for one is
 * taken as the beginning of a message; the blank behind it is no part of that,
 * so the digits are moved over it.
 */
static enum framing_event end_count(struct framing *f, const struct framing_rules *rules, char *data, size_t end,
                                    struct frame *ret) {
        f->scanned = 0;
        if (data[end] != ' ') {
                uint32_t delimiter = (unsigned char)data[end];
                /* Reported once, then taken for the blank: the count is the better guess. */
                data[end] = ' ';
                f->scanned = (uint32_t)end;
                return problem(FRAMING_BAD_DELIMITER, ret, 0, delimiter);
        }
        if (f->count > rules->frame_bytes_max) {
                memmove(data + 1, data, end);
                f->state = FRAMING_PLAIN;
                return problem(FRAMING_TOO_LARGE, ret, 1, f->count);
        }
        f->state = f->count ? FRAMING_COUNTED : FRAMING_PLAIN;
        if (f->count == 0)
                return problem(FRAMING_BAD_COUNT, ret, end + 1, f->count);
        if (f->count > rules->message_bytes_max)
                return problem(FRAMING_OVERSIZE, ret, end + 1, f->count);
        return found(ret, end + 1, 0, 0);
}

static enum framing_event next_count(struct framing *f, const struct framing_rules *rules, char *data, size_t size,
                                     struct frame *ret) {
        size_t window = MIN(size, (size_t)rules->message_bytes_max + 1);
        size_t at = f->scanned;
        for (; at < window && is_digit(data[at]); at++)
                f->count = MIN(f->count * 10 + (uint32_t)(data[at] - '0'), (uint32_t)FRAME_COUNT_CAP);
        f->scanned = (uint32_t)at;
        if (at < window)
                return end_count(f, rules, data, at, ret);
        if (window <= rules->message_bytes_max)
                return more(ret, 0);
        /* More than a whole message of digits is no count. */
        f->scanned = 0;
        f->state = FRAMING_PLAIN;
        return problem(FRAMING_TOO_LARGE, ret, 0, f->count);
}

static enum framing_event next_counted(struct framing *f, const struct framing_rules *rules, size_t size,
                                       struct frame *ret) {
        size_t piece = MIN(f->count, rules->message_bytes_max);
        if (size < piece)
                return more(ret, 0);
        f->count -= (uint32_t)piece;
        if (f->count == 0)
                f->state = FRAMING_START;
        else if (rules->discards_truncated || rules->truncates_counted)
                f->state = FRAMING_SKIP_COUNT;
        found(ret, piece, 0, piece);
        return FRAMING_FRAME;
}

static enum framing_event skip_counted(struct framing *f, size_t size, struct frame *ret) {
        size_t skipped = MIN(size, (size_t)f->count);
        f->count -= (uint32_t)skipped;
        if (f->count)
                return more(ret, skipped);
        f->state = FRAMING_START;
        return found(ret, skipped, 0, 0);
}

/* The byte at `to` is the line feed; it makes room for the NUL that regexec() wants. */
static bool line_matches(const regex_t *pattern, char *data, size_t from, size_t to) {
        data[to] = '\0';
        bool is_match = regexec(pattern, data + from, 0, NULL, 0) == 0;
        data[to] = '\n';
        return is_match;
}

/* Messages of several lines whose first matches a pattern: one ends where the next begins. */
static enum framing_event next_lines(struct framing *f, const struct framing_rules *rules, char *data, size_t size,
                                     struct frame *ret) {
        size_t full = 2 * (size_t)rules->message_bytes_max;
        size_t window = MIN(size, full + 1);
        while (f->scanned < window) {
                const char *lf = memchr(data + f->scanned, '\n', window - f->scanned);
                if (!lf) {
                        f->scanned = (uint32_t)window;
                        break;
                }
                size_t end = (size_t)(lf - data), line = f->line;
                f->scanned = f->line = (uint32_t)end + 1;
                if (line == 0 || !line_matches(rules->pattern, data, line, end))
                        continue;
                f->scanned = f->line = (uint32_t)(end + 1 - line);
                return found(ret, line, 0, line - 1);
        }
        if (size <= full)
                return more(ret, 0);
        f->scanned = f->line = 0;
        found(ret, full, 0, full);
        ret->number = (uint32_t)full + 1;
        return FRAMING_NO_FIRST_LINE;
}

static void begin(struct framing *f, const struct framing_rules *rules, char first) {
        f->count = f->scanned = f->line = 0;
        if (rules->pattern)
                f->state = FRAMING_LINES;
        else if (rules->counts_octets && is_digit(first))
                f->state = FRAMING_COUNT;
        else
                f->state = FRAMING_PLAIN;
}

/* One step of the machine. FRAMING_FRAME of no bytes: go on behind `used`. */
static inline enum framing_event step(struct framing *f, const struct framing_rules *rules, char *data, size_t size,
                                      struct frame *ret) {
        if (f->state == FRAMING_START) {
                if (rules->skips_blanks && data[0] == ' ' && !rules->pattern)
                        return found(ret, 1, 0, 0);
                begin(f, rules, data[0]);
        }
        switch (f->state) {
        case FRAMING_COUNT:
                return next_count(f, rules, data, size, ret);
        case FRAMING_COUNTED:
                return next_counted(f, rules, size, ret);
        case FRAMING_LINES:
                return next_lines(f, rules, data, size, ret);
        case FRAMING_SKIP_COUNT:
                return skip_counted(f, size, ret);
        case FRAMING_SKIP_PLAIN:
                return skip_plain(f, rules, data, size, ret);
        default:
                return next_plain(f, rules, data, size, ret);
        }
}

enum framing_event framing_next(struct framing *f, const struct framing_rules *rules, char *data, size_t size,
                                struct frame *ret) {
        for (size_t done = 0;;) {
                if (done == size)
                        return more(ret, done);
                enum framing_event event = step(f, rules, data + done, size - done, ret);
                ret->start += done;
                ret->used += done;
                bool is_empty = event == FRAMING_FRAME && ret->size == 0;
                if (!is_empty)
                        return event;
                done = ret->used;
        }
}

enum framing_event framing_end(struct framing *f, const struct framing_rules *rules, size_t size, struct frame *ret) {
        uint8_t state = f->state;
        *f = (struct framing){.state = FRAMING_START};
        if (state == FRAMING_COUNT || state == FRAMING_COUNTED)
                return problem(FRAMING_INCOMPLETE, ret, size, (uint32_t)size);
        if (size == 0)
                return more(ret, 0);
        if (!rules->keeps_tail)
                return problem(FRAMING_TAIL_DISCARDED, ret, size, (uint32_t)size);
        return found(ret, size, 0, size);
}
