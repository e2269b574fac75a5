#include "io/relp_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

static void session_check(const struct relp_session *s) {
        assert(s->answered <= s->sent);
        assert(s->sent - s->answered <= s->window);
}

int relp_session_init(struct relp_session *s, uint32_t window) {
        assert(window <= RELP_WINDOW_MAX);
        *s = (struct relp_session){.window = window ? window : RELP_WINDOW_DEFAULT};
        s->slots = calloc(s->window, sizeof *s->slots);
        return s->slots ? 0 : fail(-ENOMEM);
}

void relp_session_fini(struct relp_session *s) {
        free(s->slots);
        buffer_fini(&s->in);
        buffer_fini(&s->out);
        *s = (struct relp_session){0};
}

static uint32_t take_txnr(struct relp_session *s) {
        uint32_t txnr = s->next_txnr;
        s->next_txnr = relp_txnr_after(txnr);
        return txnr;
}

void relp_session_begin(struct relp_session *s) {
        buffer_clear(&s->in);
        buffer_clear(&s->out);
        s->sent = s->answered = 0;
        s->next_txnr = 1;
        s->complaint[0] = '\0';
        relp_write(&s->out, take_txnr(s), TEXT("open"), TEXT(RELP_OFFERS));
        s->oldest_txnr = s->next_txnr;
        s->state = RELP_OPENING;
}

void relp_session_put(struct relp_session *s, uint32_t row, struct text data) {
        assert(relp_session_room(s) > 0);
        s->slots[s->sent++ % s->window] = (struct relp_slot){.row = row};
        relp_write(&s->out, take_txnr(s), TEXT("syslog"), data);
        session_check(s);
}

void relp_session_close(struct relp_session *s) {
        assert(s->state == RELP_READY && s->sent == s->answered);
        relp_write(&s->out, take_txnr(s), TEXT("close"), TEXT_NONE);
        s->state = RELP_CLOSING;
}

/* ---- What the peer says --------------------------------------------------- */

static int complain(struct relp_session *s, const char *what) {
        snprintf(s->complaint, sizeof s->complaint, "%s", what);
        s->state = RELP_ENDED;
        return fail(-EPROTO);
}

static void end_with(struct relp_session *s, const char *what, unsigned code, struct text words) {
        char shown[96];
        relp_show_words(shown, sizeof shown, words);
        snprintf(s->complaint, sizeof s->complaint, "%s: %u %s", what, code, shown);
        s->state = RELP_ENDED;
}

static int take_open_answer(struct relp_session *s, const struct relp_frame *frame, const struct relp_answer *answer) {
        if (frame->txnr != 1)
                return complain(s, "the peer answered what it was not asked");
        if (answer->code != RELP_CODE_DONE) {
                end_with(s, "the peer refused the session", answer->code, answer->words);
                return 0;
        }
        struct relp_offers offers;
        if (relp_read_offers(answer->rest, &offers))
                return complain(s, "the peer's offers cannot be read");
        if (!offers.takes_syslog)
                return complain(s, "the peer does not take the command syslog");
        s->state = RELP_READY;
        return 0;
}

/* How many commands lie between two numbers, the way they count. */
static uint32_t distance(uint32_t from, uint32_t to) {
        return to >= from ? to - from : to + RELP_TXNR_MAX - from;
}

static int take_row_answer(struct relp_session *s, const struct relp_frame *frame, const struct relp_answer *answer,
                           relp_answered *answered, void *context) {
        uint32_t ahead = distance(s->oldest_txnr, frame->txnr);
        if (frame->txnr == 0 || ahead >= s->sent - s->answered)
                return complain(s, "the peer answered what it was not asked");
        struct relp_slot *slot = &s->slots[(s->answered + ahead) % s->window];
        if (slot->is_answered)
                return complain(s, "the peer answered twice");
        slot->is_answered = true;
        answered(context, slot->row, answer->code == RELP_CODE_DONE, answer->words);
        while (s->answered < s->sent && s->slots[s->answered % s->window].is_answered) {
                s->answered++;
                s->oldest_txnr = relp_txnr_after(s->oldest_txnr);
        }
        session_check(s);
        return 0;
}

static int take_answer(struct relp_session *s, const struct relp_frame *frame, relp_answered *answered, void *context) {
        struct relp_answer answer;
        if (relp_read_answer(frame->data, &answer))
                return complain(s, "the peer's answer has no code");
        if (s->state == RELP_OPENING)
                return take_open_answer(s, frame, &answer);
        if (s->state == RELP_CLOSING) {
                s->state = RELP_ENDED;
                return 0;
        }
        return take_row_answer(s, frame, &answer, answered, context);
}

static int take_frame(struct relp_session *s, const struct relp_frame *frame, relp_answered *answered, void *context) {
        if (frame->command == RELP_RSP)
                return take_answer(s, frame, answered, context);
        if (frame->command == RELP_SERVERCLOSE) {
                snprintf(s->complaint, sizeof s->complaint, "the peer closed the session");
                s->state = RELP_ENDED;
                return 0;
        }
        /* Hints that are not known may be passed over; a command would want an answer. */
        return frame->txnr == 0 ? 0 : complain(s, "the peer sent a command, which servers do not");
}

/* Frames at the beginning of the bytes; *used tells how far they reach. */
static int take_frames(struct relp_session *s, struct text bytes, size_t *used, relp_answered *answered,
                       void *context) {
        struct relp_scanner scanner = {.data_bytes_max = RELP_ANSWER_BYTES_MAX};
        *used = 0;
        while (s->state != RELP_ENDED) {
                struct relp_frame frame;
                enum relp_event event = relp_next(&scanner, bytes.data + *used, bytes.size - *used, &frame);
                if (event == RELP_MORE)
                        return 0;
                if (event != RELP_FRAME)
                        return complain(s, event == RELP_TOO_LONG ? "the peer's answer is too long"
                                                                  : "the peer does not speak RELP");
                *used += frame.used;
                int r = take_frame(s, &frame, answered, context);
                if (r)
                        return pass(r);
        }
        return 0;
}

int relp_session_receive(struct relp_session *s, struct text bytes, relp_answered *answered, void *context) {
        assert(s->state != RELP_NEW);
        size_t used;
        if (s->in.size) {
                buffer_text(&s->in, bytes);
                if (buffer_failed(&s->in))
                        return fail(-ENOMEM);
                bytes = buffer_as_text(&s->in);
        }
        int r = take_frames(s, bytes, &used, answered, context);
        if (r)
                return pass(r);
        struct text rest = text_slice(bytes, used, bytes.size);
        if (s->in.size)
                memmove(s->in.data, rest.data, rest.size);
        else
                buffer_text(&s->in, rest);
        s->in.size = s->in.is_failed ? 0 : rest.size;
        return buffer_failed(&s->in) ? fail(-ENOMEM) : 0;
}
