/*
 * Framing: finds the messages in a stream of syslog over TCP (RFC 6587 and what
 * senders make of it). Pure: bytes in, places out, no system call. The state of a
 * connection is `struct framing`, the configuration of its listener, shared by
 * all of them, `struct framing_rules`.
 *
 *   START   -> COUNT      a digit, octet counting is on
 *   START   -> PLAIN      any other byte
 *   START   -> LINES      a pattern tells where messages begin
 *   COUNT   -> COUNTED    the count ends, is above 0 and at most frame_bytes_max
 *   COUNT   -> PLAIN      the count is 0, or too large: its digits are then part of the message
 *   COUNTED -> START      that many bytes were found
 *   COUNTED -> SKIP_COUNT the message is full, the rest of the frame is discarded
 *   PLAIN   -> START      a delimiter was found
 *   PLAIN   -> SKIP_PLAIN the message is full, the rest is discarded
 *   SKIP_*  -> START      the end of the frame was found
 *
 * What is longer than message_bytes_max is split, or cut where the rules say so.
 * Which frames are found does not depend on how the stream was cut into reads,
 * but for multi_line, where a line feed that ends a read ends the message.
 */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        FRAME_BYTES_MAX = 200000000, /* the largest maxFrameSize that a user may ask for */
        FRAME_COUNT_CAP = 999999999, /* larger counts are taken as this */
};

struct framing_rules {
        uint32_t message_bytes_max; /* a message is never longer, except 2 times with a pattern; 1 or more */
        uint32_t frame_bytes_max;   /* larger counts are no counts */
        int16_t delimiter;          /* another byte that ends a message, or -1 */
        bool ends_at_lf;
        bool counts_octets;
        bool discards_truncated; /* what is over goes, instead of being a message of its own */
        bool truncates_counted;  /* the same, for octet-counted frames alone */
        bool skips_blanks;       /* before a frame: Cisco ASA sends one after the line feed */
        bool multi_line;         /* a line feed ends a message only before '<' */
        bool keeps_tail;         /* the end of the stream ends a message too */
        const regex_t *pattern;  /* matches the first line of a message; lent; NULL: none */
};

enum framing_state {
        FRAMING_START,
        FRAMING_COUNT,
        FRAMING_COUNTED,
        FRAMING_PLAIN,
        FRAMING_LINES,
        FRAMING_SKIP_COUNT,
        FRAMING_SKIP_PLAIN,
};

struct framing {
        uint32_t count;   /* COUNT: the number so far; COUNTED, SKIP_COUNT: bytes that are still to come */
        uint32_t scanned; /* bytes of the data that hold no end; looked at only once */
        uint32_t line;    /* LINES: where the line that is looked at begins */
        uint8_t state;    /* enum framing_state */
};

/* What framing_next() came upon. */
enum framing_event {
        FRAMING_MORE,           /* nothing more without further bytes */
        FRAMING_FRAME,          /* a message: start, size */
        FRAMING_BAD_DELIMITER,  /* number: the byte that stands where a blank should */
        FRAMING_BAD_COUNT,      /* number: the count (0) */
        FRAMING_OVERSIZE,       /* number: a count above message_bytes_max, but a frame */
        FRAMING_TOO_LARGE,      /* number: a count above frame_bytes_max */
        FRAMING_NO_FIRST_LINE,  /* a message, forced: number bytes came without a line that the pattern matches */
        FRAMING_INCOMPLETE,     /* the stream ended inside an octet-counted frame */
        FRAMING_TAIL_DISCARDED, /* the stream ended before a delimiter, number: bytes that are lost */
};

struct frame {
        size_t used;  /* bytes that are done with; the next call begins behind them */
        size_t start; /* of the message, in the data */
        size_t size;
        size_t rest; /* FRAMING_FRAME that was cut: bytes seen beyond it that belong to it, at used; else 0 */
        uint32_t number;
};

/*
 * Looks at `data`, which begins where the last call's `used` ended and grows at
 * its end only. Call again until FRAMING_MORE. Empty messages are passed over.
 * Bytes before a message (a count) may be changed.
 */
enum framing_event framing_next(struct framing *f, const struct framing_rules *rules, char *data, size_t size,
                                struct frame *ret);

/* Whether what comes next is a message that a line feed ends, if it begins with a byte that framing_begins_line(). */
static inline bool framing_is_at_line(const struct framing *f, const struct framing_rules *rules) {
        return f->state == FRAMING_START && rules->ends_at_lf && rules->delimiter < 0 && !rules->multi_line &&
               !rules->pattern;
}
static inline bool framing_begins_line(const struct framing_rules *rules, char first) {
        return !(rules->counts_octets && first >= '0' && first <= '9') && !(rules->skips_blanks && first == ' ');
}

/* The same at the end of the stream, for what framing_next() left over; once. */
enum framing_event framing_end(struct framing *f, const struct framing_rules *rules, size_t size, struct frame *ret);

/* The most bytes that framing_next() ever leaves over. */
static inline size_t framing_carry_max(const struct framing_rules *rules) {
        return 2 * (size_t)rules->message_bytes_max + 1;
}
