/*
 * How bytes become records here:
 *
 *   usually    part + recv() land in the batch, messages stay where they arrived,
 *              the part that is left is moved to the session's own buffer
 *   outgrown   a part above PART_IN_BATCH_MAX is received into its own buffer, and
 *              each message that ends there is copied into the batch once
 */
#include "input/imrelp_peer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/oversize.h"
#include "io/channel.h"

enum {
        READ_BYTES_MIN = 16 << 10, /* room for a read; less begins a new batch */
        READS_A_TURN = 32,         /* then the other sessions have theirs */
        UNANSWERED_MAX = 1 << 16,  /* a sender whose window is larger is read no further */
        OUT_BYTES_MAX = 256 << 10, /* nor one that does not read our answers */
        CODE_BROKEN = 2353,
        CODE_TOO_LONG_FRAME = 2291,
};

enum reading {
        READ_AGAIN, /* there may be more at once */
        READ_LATER,
        READ_ENDED, /* the connection, or the patience with it */
};

/* What was received and not looked at yet. */
struct stretch {
        char *data;
        size_t size;
        bool is_in_batch;
        int64_t now_us;
        uint64_t submitted, limited;
};

static void ready(struct watch *watch, uint32_t events);

static void peer_check(const struct relp_peer *p) {
        assert((p->first == NULL) == (p->unanswered == 0));
        assert(p->out_sent <= p->out.size);
        assert(p->part.size <= p->part.capacity);
}

/* ---- Life ----------------------------------------------------------------- */

int peer_new(struct relp_peer **ret, struct relp_worker *worker, int fd, struct source *source) {
        _owned_(memory_free) struct relp_peer *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        const struct relp_server *server = worker->server;
        const struct relp_options *options = &server->options;
        p->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = ready};
        int r = server->tls ? tls_watch_new(&p->tls, server->tls, worker->loop, &p->watch, NULL) : 0;
        if (r)
                return pass(r);
        p->worker = worker;
        p->source = source;
        p->end = &p->first;
        p->scanner = (struct relp_scanner){
                .data_bytes_max = options->oversize == RELP_OVERSIZE_ACCEPT ? (uint32_t)RELP_DATA_BYTES_MAX
                                                                            : options->data_bytes_max,
                .cuts = options->oversize == RELP_OVERSIZE_TRUNCATE,
        };
        *ret = TAKE(p);
        return 0;
}

/* Batches may still hold them; they come home through the mailbox and are nobody's then. */
static void forget_promises(struct relp_peer *p) {
        while (p->first) {
                struct relp_promise *promise = p->first;
                p->first = promise->next;
                promise->session = NULL;
                if (promise->is_kept)
                        promise_recycle(promise);
        }
        p->end = &p->first;
        p->growing = NULL;
        p->unanswered = 0;
}

static void leave_talkers(struct relp_peer *p) {
        if (!p->is_talker)
                return;
        struct relp_peer **at = &p->worker->talkers;
        while (*at != p)
                at = &(*at)->next_talker;
        *at = p->next_talker;
        p->is_talker = false;
}

struct relp_peer *peer_free(struct relp_peer *p) {
        if (!p)
                return NULL;
        if (p->link) {
                *p->link = p->next;
                if (p->next)
                        p->next->link = p->link;
        }
        leave_talkers(p);
        forget_promises(p);
        tls_watch_free(p->tls);
        socket_close(p->watch.fd);
        source_unref(p->source);
        buffer_fini(&p->out);
        part_drop(&p->part);
        free(p);
        return NULL;
}

void peer_end(struct relp_peer *p) {
        struct relp_server *server = p->worker->server;
        loop_unwatch(p->worker->loop, &p->watch);
        relp_count(server, RELP_CLOSED, 1);
        atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
        peer_free(p);
}

void peer_start(struct relp_peer *p) {
        struct relp_worker *worker = p->worker;
        if (loop_watch(worker->loop, &p->watch) || (p->tls && tls_watch_start(p->tls))) {
                module_report(worker->server->log, SEVERITY_ERR, 0,
                              "%s: a connection cannot be read for lack of memory and is closed",
                              worker->server->label);
                peer_end(p);
                return;
        }
        p->next = worker->peers;
        p->link = &worker->peers;
        if (p->next)
                p->next->link = &p->next;
        worker->peers = p;
}

/* ---- Answering ------------------------------------------------------------- */

static void want_to_talk(struct relp_peer *p) {
        if (p->is_talker)
                return;
        p->is_talker = true;
        p->next_talker = p->worker->talkers;
        p->worker->talkers = p;
}

static void answer_promise(struct relp_peer *p, const struct relp_promise *promise) {
        uint32_t txnr = promise->first_txnr;
        for (uint32_t i = 0; i < promise->count; i++, txnr = relp_txnr_after(txnr))
                relp_write_done(&p->out, txnr);
        p->unanswered -= promise->count;
        relp_count(p->worker->server, RELP_ANSWERED, promise->count);
}

static void say_good_bye(struct relp_peer *p) {
        relp_write(&p->out, p->txnr, TEXT("rsp"), TEXT_NONE);
        relp_write(&p->out, 0, TEXT("serverclose"), TEXT_NONE);
        p->has_left = true;
}

/* A promise that cannot be kept: what it stands for has to come again, in another session. */
static bool is_broken(const struct relp_peer *p) {
        return p->first && p->first->is_lost;
}

void peer_keep(struct relp_peer *p) {
        while (p->first && p->first->is_kept && !p->first->is_lost) {
                struct relp_promise *promise = p->first;
                p->first = promise->next;
                if (!p->first)
                        p->end = &p->first;
                if (p->growing == promise)
                        p->growing = NULL;
                answer_promise(p, promise);
                promise_recycle(promise);
        }
        if (p->state == PEER_LEAVING && !p->first && !p->has_left)
                say_good_bye(p);
        if (p->out.size > p->out_sent || is_broken(p))
                want_to_talk(p);
}

/* Reads while there is room for what comes of it, writes while something waits for it. */
static int watch_what_matters(struct relp_peer *p) {
        size_t unsent = p->out.size - p->out_sent;
        if (p->unanswered >= UNANSWERED_MAX || unsent >= OUT_BYTES_MAX)
                p->is_held = true;
        else if (p->unanswered <= UNANSWERED_MAX / 2 && unsent <= OUT_BYTES_MAX / 2)
                p->is_held = false;
        bool reads = !p->is_held && p->state != PEER_LEAVING;
        if (p->tls && reads) {
                tls_watch_settle(p->tls, unsent > 0);
                tls_watch_yield(p->tls);
                return 0;
        }
        uint32_t events = reads ? (uint32_t)EPOLLIN : (uint32_t)EPOLLRDHUP;
        if (unsent || (p->tls && (tls_events(p->tls->tls) & EPOLLOUT)))
                events |= EPOLLOUT;
        return loop_rewatch(p->worker->loop, &p->watch, events);
}

static struct channel channel_of(const struct relp_peer *p) {
        return (struct channel){.fd = p->watch.fd, .tls = p->tls ? p->tls->tls : NULL};
}

/* 0: all that the socket takes is sent. */
static int send_answers(struct relp_peer *p) {
        if (buffer_failed(&p->out))
                return fail(-ENOMEM);
        struct channel channel = channel_of(p);
        size_t sent;
        int r = channel_send(&channel, text_slice(buffer_as_text(&p->out), p->out_sent, p->out.size), 0, &sent);
        p->out_sent += sent;
        if (p->out_sent == p->out.size) {
                buffer_clear(&p->out);
                p->out_sent = 0;
        }
        return r == -EAGAIN ? 0 : r;
}

void peer_say_farewell(struct relp_peer *p) {
        if (!p->has_left)
                relp_write(&p->out, 0, TEXT("serverclose"), TEXT_NONE);
        p->has_left = true;
        if (!p->tls || p->tls->is_open)
                (void)send_answers(p);
}

bool peer_is_unheard(const struct relp_peer *p) {
        return socket_unconfirmed(p->watch.fd) > 0;
}

static void dismiss(struct relp_peer *p) {
        peer_say_farewell(p);
        peer_end(p);
}

void peer_talk(struct relp_peer *p) {
        if (is_broken(p)) {
                dismiss(p);
                return;
        }
        int r = send_answers(p);
        bool is_over = p->has_left && p->out.size == 0;
        if (r || is_over || watch_what_matters(p))
                peer_end(p);
}

/* ---- Promising ------------------------------------------------------------- */

static void append_promise(struct relp_peer *p, struct relp_promise *promise) {
        *p->end = promise;
        p->end = &promise->next;
        p->growing = promise;
}

/* The promise that the next message belongs to. A batch that nobody has promised anything for is a new one. */
static struct relp_promise *promise_in_batch(struct relp_peer *p, uint32_t txnr) {
        struct relp_worker *worker = p->worker;
        struct batch *b = worker->intake->batch;
        if (b->acknowledgement_count == 0)
                worker->batch_number++;
        if (LIKELY(p->growing && !p->growing->is_kept && p->batch_number == worker->batch_number))
                return p->growing;
        struct relp_promise *promise = promise_make(worker->mailbox, b, p, txnr);
        if (promise) {
                append_promise(p, promise);
                p->batch_number = worker->batch_number;
        }
        return promise;
}

/* What is discarded as configured is answered all the same, behind what came before it. */
static int promise_nothing(struct relp_peer *p, uint32_t txnr) {
        struct relp_promise *promise = p->growing && p->growing->is_kept ? p->growing : NULL;
        if (!promise) {
                promise = promise_make(p->worker->mailbox, NULL, p, txnr);
                if (!promise)
                        return fail(-ENOMEM);
                append_promise(p, promise);
        }
        promise->count++;
        p->unanswered++;
        return 0;
}

/* ---- Commands --------------------------------------------------------------- */

static int break_off(struct relp_peer *p, const char *why) {
        const struct relp_server *server = p->worker->server;
        relp_count(p->worker->server, RELP_BROKEN_SESSIONS, 1);
        module_report(server->log, SEVERITY_ERR, CODE_BROKEN, "%s: the session with %s/%s is ended: %s", server->label,
                      p->source->address, listening_sender_name(p->source), why);
        return fail(-EPROTO);
}

static int greet(struct relp_peer *p, const struct relp_frame *frame) {
        struct relp_offers offers;
        if (frame->command != RELP_OPEN)
                return break_off(p, "it did not begin with the command open");
        if (relp_read_offers(frame->data, &offers) || !offers.takes_syslog) {
                relp_write(&p->out, frame->txnr, TEXT("rsp"), TEXT("500 required command not supported by client"));
                return break_off(p, "the sender does not offer the command syslog");
        }
        relp_write(&p->out, frame->txnr, TEXT("rsp"), TEXT("200 OK\n" RELP_OFFERS));
        p->state = PEER_OPEN;
        return 0;
}

static void tell_size(const struct relp_peer *p, const struct relp_frame *frame, const char *consequence) {
        const struct relp_server *server = p->worker->server;
        module_report(server->log, SEVERITY_ERR, CODE_TOO_LONG_FRAME,
                      "%s: frame too long, size %u, configured max %u - %s", server->label, frame->size_declared,
                      server->options.data_bytes_max, consequence);
}

/* One record, and the promise for its batch in *promise. */
static int add_record(struct relp_peer *p, struct stretch *s, uint32_t txnr, struct text message,
                      struct relp_promise **promise) {
        struct intake *intake = p->worker->intake;
        size_t room;
        if (!s->is_in_batch && !intake_reserve(intake, message.size, &room))
                return fail(-ENOMEM);
        /* The promise first: a message that is in a batch and could not be answered would be sent again. */
        *promise = promise_in_batch(p, txnr);
        if (!*promise)
                return fail(-ENOMEM);
        struct record *record = s->is_in_batch ? intake_add(intake, p->source, message.data, message.size, s->now_us)
                                               : intake_copy(intake, p->source, message, s->now_us);
        if (!record)
                return fail(-ENOMEM);
        s->submitted++;
        return 0;
}

/*
 * The message as a whole, or, above maxMessageSize, what oversizemsg.input.mode makes of it. Its answer hangs on the
 * promise of its last piece: those before it are kept first.
 */
static int add_message(struct relp_peer *p, struct stretch *s, uint32_t txnr, struct text message) {
        const struct relp_server *server = p->worker->server;
        size_t limit = message.size;
        if (UNLIKELY(message.size > server->message_bytes_max)) {
                oversize_note(server->facts, server->log, "imrelp", message.size, message);
                if (server->facts->oversize_mode != OVERSIZE_ACCEPT)
                        limit = server->message_bytes_max;
        }
        struct relp_promise *promise = NULL;
        do {
                struct text piece = text_slice(message, 0, limit);
                int r = add_record(p, s, txnr, piece, &promise);
                if (r)
                        return pass(r);
                message = text_slice(message, piece.size, message.size);
        } while (UNLIKELY(message.size && server->facts->oversize_mode == OVERSIZE_SPLIT));
        promise->count++;
        p->unanswered++;
        return 0;
}

static int take_message(struct relp_peer *p, struct stretch *s, const struct relp_frame *frame) {
        struct relp_server *server = p->worker->server;
        if (UNLIKELY(frame->size_declared > server->options.data_bytes_max)) {
                bool is_cut = frame->data.size < frame->size_declared;
                tell_size(p, frame, is_cut ? "frame will be truncated, but session continues" : "frame is accepted");
                relp_count(server, RELP_CUT_MESSAGES, is_cut);
        }
        if (listening_pass(&server->limit, p->source, frame->data, s->now_us))
                return add_message(p, s, frame->txnr, frame->data);
        s->limited++;
        return promise_nothing(p, frame->txnr);
}

static int take_frame(struct relp_peer *p, struct stretch *s, const struct relp_frame *frame) {
        if (frame->txnr != relp_txnr_after(p->txnr))
                return break_off(p, "a command does not have the number that follows");
        p->txnr = frame->txnr;
        if (UNLIKELY(p->state == PEER_GREETING))
                return greet(p, frame);
        if (LIKELY(frame->command == RELP_SYSLOG))
                return take_message(p, s, frame);
        if (frame->command == RELP_CLOSE) {
                p->state = PEER_LEAVING;
                return 0;
        }
        if (frame->command == RELP_OPEN) {
                relp_write(&p->out, frame->txnr, TEXT("rsp"), TEXT("500 protocol error: connection already open"));
                return break_off(p, "it was opened twice");
        }
        return break_off(p, "a command came that was not offered");
}

/* ---- Consuming ---------------------------------------------------------------- */

/* The record table is full: what was not looked at yet moves to the next batch. */
static int turn(struct relp_peer *p, struct stretch *s) {
        size_t room;
        char *moved = intake_turn(p->worker->intake, s->data, s->size, &room);
        if (!moved)
                return fail(-ENOMEM);
        s->data = moved;
        return 0;
}

/* A message that becomes several needs a place for each. */
static int make_places(struct relp_peer *p, struct stretch *s, struct relp_frame *frame) {
        uint32_t longest = p->worker->server->message_bytes_max;
        if (LIKELY(frame->data.size <= longest) || !s->is_in_batch)
                return 0;
        const struct batch *b = p->worker->intake->batch;
        if (frame->data.size / longest + 1 <= b->capacity - b->count)
                return 0;
        size_t offset = (size_t)(frame->data.data - s->data);
        int r = turn(p, s);
        if (r)
                return pass(r);
        frame->data.data = s->data + offset;
        return 0;
}

static void cut(struct stretch *s, const struct relp_frame *frame) {
        size_t kept = (size_t)(frame->data.data - s->data) + frame->data.size;
        memmove(s->data + kept, s->data + kept + frame->used, s->size - kept - frame->used);
        s->size -= frame->used;
}

/* Takes every frame that ends in the stretch; the part that is left stays in it. */
static int consume(struct relp_peer *p, struct stretch *s) {
        p->part_wanted = 0;
        while (p->state != PEER_LEAVING) {
                if (s->is_in_batch && UNLIKELY(!intake_has_room(p->worker->intake))) {
                        int r = turn(p, s);
                        if (r)
                                return pass(r);
                }
                struct relp_frame frame;
                int r = 0;
                switch (relp_next(&p->scanner, s->data, s->size, &frame)) {
                case RELP_FRAME:
                        r = make_places(p, s, &frame);
                        if (r == 0)
                                r = take_frame(p, s, &frame);
                        s->data += frame.used;
                        s->size -= frame.used;
                        break;
                case RELP_MORE:
                        p->part_wanted = frame.used;
                        return 0;
                case RELP_CUT:
                        cut(s, &frame);
                        break;
                case RELP_TOO_LONG:
                        tell_size(p, &frame, "session is ended");
                        return fail(-EPROTO);
                case RELP_BROKEN:
                        return break_off(p, "what came is not RELP");
                }
                if (r)
                        return pass(r);
        }
        /* Nothing may follow `close`. */
        s->data += s->size;
        s->size = 0;
        return 0;
}

static void count(struct relp_peer *p, const struct stretch *s) {
        relp_count(p->worker->server, RELP_SUBMITTED, s->submitted);
        relp_count(p->worker->server, RELP_RATE_LIMITED, s->limited);
}

/* ---- Receiving ------------------------------------------------------------------ */

static enum reading end_of_stream(const struct relp_peer *p, ssize_t got) {
        if (got == -EAGAIN)
                return READ_LATER;
        const char *words = p->tls ? tls_complaint(p->tls->tls) : "";
        if (got < 0)
                module_report(p->worker->server->log, SEVERITY_WARNING, 0, "%s: the connection from %s broke: %s",
                              p->worker->server->label, p->source->address, *words ? words : fail_text((int)got));
        return READ_ENDED;
}

/* There may be more at once when the room was filled; TLS hands out its records one by one. */
static enum reading after_read(const struct relp_peer *p, ssize_t got, size_t room) {
        return (size_t)got == room || p->tls ? READ_AGAIN : READ_LATER;
}

static enum reading after_failure(const struct relp_peer *p, int error) {
        if (error == -ENOMEM)
                module_report(p->worker->server->log, SEVERITY_ERR, 0,
                              "%s: no memory for what was received: the session is ended, and the sender will send it "
                              "again",
                              p->worker->server->label);
        return READ_ENDED;
}

static ssize_t receive(struct relp_peer *p, char *to, size_t room) {
        struct channel channel = channel_of(p);
        ssize_t got = channel_receive(&channel, to, room);
        relp_count(p->worker->server, RELP_BYTES, got > 0 ? (uint64_t)got : 0);
        return got;
}

/* Room for the rest of the frame, but not more at once than twice what came: a length alone takes no memory. */
static bool make_room_for_part(struct relp_peer *p) {
        if (p->part.capacity - p->part.size >= READ_BYTES_MIN)
                return true;
        size_t wanted = MAX(p->part_wanted, p->part.size) + READ_BYTES_MIN;
        return part_grow(&p->part, MIN(wanted, p->part.size * 2 + READ_BYTES_MIN));
}

static enum reading read_outgrown(struct relp_peer *p) {
        if (!make_room_for_part(p))
                return after_failure(p, -ENOMEM);
        size_t room = p->part.capacity - p->part.size;
        ssize_t got = receive(p, p->part.data + p->part.size, room);
        if (got <= 0)
                return end_of_stream(p, got);
        struct stretch s = {.data = p->part.data, .size = p->part.size + (size_t)got, .now_us = clock_wall_us()};
        int r = consume(p, &s);
        count(p, &s);
        if (r == 0)
                r = part_hold(&p->part, s.data, s.size);
        if (r)
                return after_failure(p, r);
        return after_read(p, got, room);
}

static _hot_ enum reading read_into_batch(struct relp_peer *p) {
        struct intake *intake = p->worker->intake;
        size_t room;
        char *data = intake_reserve(intake, p->part.size + READ_BYTES_MIN, &room);
        if (!data)
                return after_failure(p, -ENOMEM);
        if (p->part.size)
                memcpy(data, p->part.data, p->part.size);
        room -= p->part.size;
        ssize_t got = receive(p, data + p->part.size, room);
        if (got <= 0)
                return end_of_stream(p, got);
        struct stretch s = {
                .data = data,
                .size = p->part.size + (size_t)got,
                .is_in_batch = true,
                .now_us = clock_wall_us(),
        };
        int r = consume(p, &s);
        count(p, &s);
        intake_keep(intake, s.data);
        if (r == 0)
                r = part_hold(&p->part, s.data, s.size);
        if (r)
                return after_failure(p, r);
        return after_read(p, got, room);
}

static bool may_read(const struct relp_peer *p) {
        return p->state != PEER_LEAVING && p->unanswered < UNANSWERED_MAX;
}

static enum reading read_turn(struct relp_peer *p) {
        enum reading reading = READ_AGAIN;
        for (int reads = 0; reading == READ_AGAIN && reads < READS_A_TURN && may_read(p); reads++)
                reading = part_has_outgrown(&p->part) ? read_outgrown(p) : read_into_batch(p);
        return reading;
}

/* True: the handshake is done. False: it goes on, or the session is gone. */
static bool is_secured(struct relp_peer *p) {
        struct relp_server *server = p->worker->server;
        bool was_open = p->tls->is_open;
        int r = tls_watch_ready(p->tls);
        const char *words = tls_complaint(p->tls->tls);
        if (r < 0) {
                relp_count(server, RELP_TLS_FAILED, 1);
                module_report(server->log, SEVERITY_ERR, CODE_BROKEN, "%s: no TLS session with %s: %s", server->label,
                              p->source->address,
                              r == -ETIMEDOUT ? "its handshake took too long"
                              : *words        ? words
                                              : fail_text(r));
                peer_end(p);
                return false;
        }
        if (r == 0 && !was_open && *words)
                module_report(server->log, SEVERITY_WARNING, CODE_BROKEN, "%s: %s: %s", server->label,
                              p->source->address, words);
        return r == 0;
}

static void ready(struct watch *watch, uint32_t events) {
        struct relp_peer *p = CONTAINER_OF(watch, struct relp_peer, watch);
        enum reading reading = READ_LATER;
        if (p->tls && !is_secured(p))
                return;
        /* Under TLS a socket that can be written may be one that has something to read. */
        if ((events & EPOLLIN) || (p->tls && !p->is_held && may_read(p)))
                reading = read_turn(p);
        else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                reading = READ_ENDED;
        if (reading == READ_ENDED) {
                dismiss(p);
                return;
        }
        peer_check(p);
        peer_keep(p);
        leave_talkers(p);
        peer_talk(p);
}
