/*
 * The client's side of a RELP session, without its connection: rows become frames,
 * bytes that came become answers. Pure; who owns it moves the bytes.
 *
 *   NEW     -> OPENING    the offers lie in `out`            relp_session_begin()
 *   OPENING -> READY      the peer takes syslog              relp_session_receive()
 *   READY   -> READY      rows out, answers in               relp_session_put(), relp_session_receive()
 *   READY   -> CLOSING    `close` lies in `out`              relp_session_close()
 *   any     -> ENDED      the peer says that it closes, answers `close`, or refuses the session
 *
 * At most `window` rows are unanswered at any time. Each row has a number of its
 * owner's; an answer is told with it, once. What is unanswered when the session
 * ends was not taken over by the peer, as far as anybody can know.
 */
#pragma once

#include "io/relp.h"

enum {
        RELP_WINDOW_DEFAULT = 128,
        RELP_WINDOW_MAX = 1 << 16,
        RELP_ANSWER_BYTES_MAX = 64 << 10, /* data of a frame that a server may send */
};

enum relp_state { RELP_NEW, RELP_OPENING, RELP_READY, RELP_CLOSING, RELP_ENDED };

struct relp_slot {
        uint32_t row;
        bool is_answered;
};

struct relp_session {
        enum relp_state state;
        uint32_t window;
        uint32_t next_txnr;
        uint32_t oldest_txnr;    /* of the oldest unanswered row */
        uint64_t sent, answered; /* rows so far; the difference is in the window */
        struct relp_slot *slots; /* `window` of them: row n has slot n % window */
        struct buffer in;        /* of a frame that has not ended */
        struct buffer out;       /* to be sent */
        char complaint[160];     /* why it ended, or what the peer did wrong; "" */
};

/* `window` 0: RELP_WINDOW_DEFAULT. -ENOMEM. */
int relp_session_init(struct relp_session *s, uint32_t window);
void relp_session_fini(struct relp_session *s);

/* Forgets the session before, and writes the offers of a new one. */
void relp_session_begin(struct relp_session *s);
/* How many rows may be put. */
static inline uint32_t relp_session_room(const struct relp_session *s) {
        return s->state == RELP_READY ? s->window - (uint32_t)(s->sent - s->answered) : 0;
}
static inline uint32_t relp_session_unanswered(const struct relp_session *s) {
        return (uint32_t)(s->sent - s->answered);
}
/* Writes a row; there must be room. */
void relp_session_put(struct relp_session *s, uint32_t row, struct text data);
/* Says good-bye; READY, and nothing unanswered. */
void relp_session_close(struct relp_session *s);

/*
 * Takes what came. Each answered row is told: taken or refused, and in what words.
 * 0, -ENOMEM, or -EPROTO: the peer does not speak RELP, and `complaint` says how.
 */
typedef void relp_answered(void *context, uint32_t row, bool is_taken, struct text words);
int relp_session_receive(struct relp_session *s, struct text bytes, relp_answered *answered, void *context);
