/*
 * How bytes become records here:
 *
 *   usually    part + recv() land in the batch, messages stay where they arrived,
 *              the part that is left is moved to the connection's own buffer
 *   outgrown   a part above PART_IN_BATCH_MAX is received into its own buffer,
 *              and each message that ends there is copied into the batch once
 *
 * A compressed connection receives into the worker's scratch buffer and inflates
 * from there to where the others receive. TLS stands below all of it: what comes
 * out of it is what a plain socket would have given.
 */
#include "input/connection.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/lines.h"
#include "base/reporter.h"
#include "module/netstream.h"

enum {
        READ_BYTES_MIN = 16 << 10, /* room for a read; less begins a new batch */
        SCRATCH_BYTES = 64 << 10,
        SPLIT_SHOWN_MAX = 32, /* bytes of the rest that a report shows */
        BEGIN_SHOWN_MAX = 80, /* bytes of a message that a report shows */
};

enum reading {
        READ_AGAIN, /* there may be more at once */
        READ_LATER,
        READ_ENDED, /* the stream, or the patience with it */
};

/* What was received and not looked at yet. */
struct stretch {
        char *data;
        size_t size;
        bool is_in_batch;
        int64_t now_us;
        uint64_t submitted, limited, lost;
};

static void ready(struct watch *watch, uint32_t events);

int connection_new(struct connection **ret, struct stream_worker *worker, int fd, struct source *source,
                   uint32_t session) {
        _owned_(connection_free) struct connection *c = calloc(1, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        c->watch = (struct watch){.fd = -1, .events = EPOLLIN, .ready = ready};
        c->worker = worker;
        c->session = session;
        if (worker->server->options.inflation.kind != COMPRESSION_NONE) {
                int r = inflation_new(&c->inflation, &worker->server->options.inflation, &worker->server->windows);
                if (r)
                        return pass(r);
        }
        c->watch.fd = fd;
        if (worker->server->tls) {
                int r = tls_watch_new(&c->tls, worker->server->tls, worker->loop, &c->watch, NULL);
                if (r) {
                        c->watch.fd = -1;
                        return pass(r);
                }
        }
        c->source = source;
        *ret = TAKE(c);
        return 0;
}

struct connection *connection_free(struct connection *c) {
        if (!c)
                return NULL;
        if (c->link) {
                *c->link = c->next;
                if (c->next)
                        c->next->link = c->link;
        }
        inflation_free(c->inflation);
        tls_watch_free(c->tls);
        source_unref(c->source);
        socket_close(c->watch.fd);
        part_drop(&c->part);
        free(c);
        return NULL;
}

/* ---- Reports ---- */

static void tell(const struct connection *c, int severity, int code, const char *text) {
        module_report(c->worker->server->log, severity, code, "%s", text);
}

static void tell_frame(const struct connection *c, enum framing_event event, uint32_t number) {
        const struct stream_server *server = c->worker->server;
        const char *prefix = server->framing_prefix, *host = listening_sender_name(c->source), *ip = c->source->address;
        struct module_log *log = server->log;
        uint32_t longest = server->options.rules.message_bytes_max;
        stream_count(c->worker->server, c->apart, STREAM_BROKEN_FRAMES, 1);
        if (event == FRAMING_OVERSIZE || (event == FRAMING_TOO_LARGE && number > longest))
                module_report(
                        log, SEVERITY_ERR, 0,
                        "%sreceived oversize message from peer: (hostname) %s, (ip) %s: size is %u bytes, max msg "
                        "size is %u, truncating...",
                        prefix, host, ip, number, longest);
        switch (event) {
        case FRAMING_BAD_DELIMITER:
                module_report(log, SEVERITY_ERR, 0,
                              "%sFraming Error in received TCP message from peer: (hostname) %s, (ip) %s: delimiter is "
                              "not SP but has ASCII value %u.",
                              prefix, host, ip, number);
                return;
        case FRAMING_BAD_COUNT:
                module_report(
                        log, SEVERITY_ERR, 0,
                        "%sFraming Error in received TCP message from peer: (hostname) %s, (ip) %s: invalid octet "
                        "count %u.",
                        prefix, host, ip, number);
                return;
        case FRAMING_TOO_LARGE:
                module_report(log, SEVERITY_ERR, 0,
                              "%sFraming Error in received TCP message from peer: (hostname) %s, (ip) %s: frame too "
                              "large: %u, change to octet stuffing",
                              prefix, host, ip, number);
                return;
        case FRAMING_NO_FIRST_LINE:
                module_report(
                        log, SEVERITY_ERR, CODE_TOO_LONG,
                        "%s: more then double max message size (%u) received without finding frame terminator via "
                        "regex - assuming end of frame now.",
                        server->options.module, number);
                return;
        case FRAMING_INCOMPLETE:
                module_report(log, SEVERITY_ERR, 0,
                              "Incomplete frame at end of stream in session %u - ignoring extra data (a message may be "
                              "lost). The peer was %s, %u bytes of the frame had come.",
                              c->session, ip, number);
                return;
        case FRAMING_TAIL_DISCARDED:
                module_report(log, SEVERITY_WARNING, 0,
                              "%s: the stream from %s ended without a frame delimiter, %u bytes at its end are ignored",
                              server->options.module, *ip ? ip : host, number);
                return;
        default:
                return;
        }
}

static void tell_split(const struct connection *c, const char *rest, size_t size) {
        const struct stream_server *server = c->worker->server;
        if (server->options.tells_split)
                module_report(server->log, SEVERITY_ERR, 0,
                              "%s %s: message received is at least %zu byte larger than max msg size; message will be "
                              "split starting at: \"%.*s\"",
                              server->options.module, server->name, size, (int)MIN(size, (size_t)SPLIT_SHOWN_MAX),
                              rest);
}

static void tell_too_long(const struct connection *c, const char *data, size_t size, uint32_t longest) {
        module_report(c->worker->server->log, SEVERITY_WARNING, CODE_TOO_LONG,
                      "message too long (%zu) with configured size %u, begin of message is: %.*s", size, longest,
                      (int)MIN(size, (size_t)BEGIN_SHOWN_MAX), data);
}

/* ---- Messages ---- */

static void take_message(struct connection *c, struct stretch *s, const char *data, size_t size) {
        struct stream_worker *worker = c->worker;
        if (!listening_pass(&worker->server->limit, c->source, (struct text){data, size}, s->now_us)) {
                s->limited++;
                return;
        }
        /* Only framing by a pattern lets them grow so long. */
        uint32_t longest = worker->server->options.rules.message_bytes_max;
        if (UNLIKELY(size > longest)) {
                tell_too_long(c, data, size, longest);
                size = longest;
        }
        struct record *record = s->is_in_batch
                                        ? intake_add(worker->intake, c->source, data, size, s->now_us)
                                        : intake_copy(worker->intake, c->source, (struct text){data, size}, s->now_us);
        if (LIKELY(record))
                s->submitted++;
        else
                s->lost++;
}

/* The record table is full: what was not looked at yet moves to the next batch. */
static int turn(struct connection *c, struct stretch *s) {
        size_t room;
        char *moved = intake_turn(c->worker->intake, s->data, s->size, &room);
        if (!moved)
                return fail(-ENOMEM);
        s->data = moved;
        return 0;
}

/* Most senders end messages by line feeds and nothing else: these are found many at a time. */
static bool is_at_lines(const struct connection *c, const struct stretch *s) {
        const struct stream_server *server = c->worker->server;
        return s->is_in_batch && s->size && framing_is_at_line(&c->framing, &server->options.rules) &&
               framing_begins_line(&server->options.rules, *s->data) && server->limit.limit.interval_s <= 0;
}

/*
 * Takes the lines that end at `ends` and goes on behind them, until one comes that only framing_next() can judge.
 * Empty ones are passed over. How many records it made.
 */
static _hot_ unsigned fill_records(struct record *records, const struct framing_rules *rules, struct stretch *s,
                                   const struct line_end *ends, unsigned count, uint32_t data_at) {
        struct record *r = records;
        size_t start = 0;
        for (unsigned i = 0; i < count; i++) {
                size_t end = ends[i].at, size = end - start;
                if (UNLIKELY(size > rules->message_bytes_max || !framing_begins_line(rules, s->data[start])))
                        break;
                if (LIKELY(size)) {
                        r->raw = (struct span){data_at + (uint32_t)start, (uint32_t)size};
                        r->received_us = s->now_us;
                        r->flags = ends[i].is_plain ? RECORD_IS_PLAIN : 0;
                        r++;
                }
                start = end + 1;
        }
        s->data += start;
        s->size -= start;
        return (unsigned)(r - records);
}

/* Whether any line was taken, or passed over. */
static bool consume_lines(struct connection *c, struct stretch *s) {
        struct intake *intake = c->worker->intake;
        struct line_end ends[LINES_MAX];
        unsigned count = lines_find(ends, s->data, s->size);
        struct record *records = count ? intake_add_many(intake, c->source, &count) : NULL;
        if (!records)
                return false;
        const char *before = s->data;
        unsigned made = fill_records(records, &c->worker->server->options.rules, s, ends, count,
                                     (uint32_t)(before - intake->batch->region[0]));
        intake_give_back(intake, count - made);
        s->submitted += made;
        return s->data > before;
}

/* Takes every message that ends in the stretch; the part that is left stays in it. */
static int consume(struct connection *c, struct stretch *s) {
        const struct framing_rules *rules = &c->worker->server->options.rules;
        for (;;) {
                if (s->is_in_batch && UNLIKELY(!intake_has_room(c->worker->intake))) {
                        int r = turn(c, s);
                        if (r)
                                return pass(r);
                }
                if (is_at_lines(c, s) && consume_lines(c, s))
                        continue;
                struct frame frame;
                enum framing_event event = framing_next(&c->framing, rules, s->data, s->size, &frame);
                if (LIKELY(event == FRAMING_FRAME) || event == FRAMING_NO_FIRST_LINE)
                        take_message(c, s, s->data + frame.start, frame.size);
                if (UNLIKELY(event != FRAMING_FRAME && event != FRAMING_MORE))
                        tell_frame(c, event, frame.number);
                if (UNLIKELY(frame.rest))
                        tell_split(c, s->data + frame.used, frame.rest);
                s->data += frame.used;
                s->size -= frame.used;
                if (event == FRAMING_MORE)
                        return 0;
        }
}

static void count(struct connection *c, const struct stretch *s) {
        struct stream_server *server = c->worker->server;
        stream_count(server, c->apart, STREAM_SUBMITTED, s->submitted);
        stream_count(server, c->apart, STREAM_RATE_LIMITED, s->limited);
        stream_count(server, c->apart, STREAM_LOST, s->lost);
}

/* ---- Receiving ---- */

static ssize_t receive_raw(struct connection *c, char *to, size_t room) {
        return LIKELY(!c->tls) ? socket_receive(c->watch.fd, to, room) : tls_receive(c->tls->tls, to, room);
}

static ssize_t receive_inflated(struct connection *c, char *to, size_t room) {
        struct stream_worker *worker = c->worker;
        for (;;) {
                if (inflation_is_drained(c->inflation)) {
                        ssize_t got = receive_raw(c, worker->scratch, SCRATCH_BYTES);
                        if (got <= 0)
                                return got;
                        stream_count(worker->server, c->apart, STREAM_BYTES, (uint64_t)got);
                        inflation_feed(c->inflation, worker->scratch, (size_t)got);
                }
                ssize_t made = inflation_take(c->inflation, to, room);
                if (made)
                        return made;
        }
}

static ssize_t receive(struct connection *c, char *to, size_t room) {
        if (UNLIKELY(c->inflation)) {
                ssize_t made = receive_inflated(c, to, room);
                stream_count(c->worker->server, c->apart, STREAM_INFLATED, made > 0 ? (uint64_t)made : 0);
                return made;
        }
        ssize_t got = receive_raw(c, to, room);
        stream_count(c->worker->server, c->apart, STREAM_BYTES, got > 0 ? (uint64_t)got : 0);
        return got;
}

/* Why it cannot be read any more. */
static const char *failure_of(const struct connection *c, int error) {
        if (error == -EBADMSG)
                return "the stream is not compressed as configured";
        if (error == -E2BIG)
                return "the compressed stream expands beyond its bounds (compression.max...)";
        const char *words = c->tls ? tls_complaint(c->tls->tls) : "";
        return *words ? words : fail_text(error);
}

static enum reading end_of_stream(const struct connection *c, ssize_t got) {
        if (got == -EAGAIN)
                return READ_LATER;
        if (got < 0)
                module_report(c->worker->server->log, SEVERITY_ERR, 0,
                              "%s: session %u from %s will be closed due to error: %s",
                              c->worker->server->options.module, c->session,
                              *c->source->address ? c->source->address : listening_sender_name(c->source),
                              failure_of(c, (int)got));
        return READ_ENDED;
}

static enum reading out_of_memory(const struct connection *c) {
        tell(c, SEVERITY_ERR, 0, "no memory for what was received: the connection is closed");
        return READ_ENDED;
}

/* More can be had at once when the room was filled, or from what is inflated already. */
static enum reading more_or_later(const struct connection *c, bool is_full) {
        if (UNLIKELY(c->tls) && tls_has_pending(c->tls->tls))
                return READ_AGAIN;
        return is_full || (c->inflation && !inflation_is_drained(c->inflation)) ? READ_AGAIN : READ_LATER;
}

static enum reading read_outgrown(struct connection *c) {
        size_t most = framing_carry_max(&c->worker->server->options.rules) + READ_BYTES_MIN;
        if (c->part.capacity - c->part.size < READ_BYTES_MIN && !part_grow(&c->part, MIN(c->part.capacity * 2, most)))
                return out_of_memory(c);
        size_t room = c->part.capacity - c->part.size;
        ssize_t got = receive(c, c->part.data + c->part.size, room);
        if (got <= 0)
                return end_of_stream(c, got);
        struct stretch s = {.data = c->part.data, .size = c->part.size + (size_t)got, .now_us = clock_wall_us()};
        int r = consume(c, &s);
        count(c, &s);
        if (r || part_hold(&c->part, s.data, s.size))
                return out_of_memory(c);
        return more_or_later(c, (size_t)got == room);
}

static _hot_ enum reading read_into_batch(struct connection *c) {
        struct intake *intake = c->worker->intake;
        size_t room;
        char *data = intake_reserve(intake, c->part.size + READ_BYTES_MIN, &room);
        if (!data)
                return out_of_memory(c);
        if (c->part.size)
                memcpy(data, c->part.data, c->part.size);
        room -= c->part.size;
        ssize_t got = receive(c, data + c->part.size, room);
        if (got <= 0)
                return end_of_stream(c, got);
        struct stretch s = {
                .data = data,
                .size = c->part.size + (size_t)got,
                .is_in_batch = true,
                .now_us = clock_wall_us(),
        };
        int r = consume(c, &s);
        count(c, &s);
        if (r)
                return out_of_memory(c);
        intake_keep(intake, s.data);
        if (part_hold(&c->part, s.data, s.size))
                return out_of_memory(c);
        return more_or_later(c, (size_t)got == room);
}

static void tell_refused(const struct connection *c, int error) {
        const struct stream_server *server = c->worker->server;
        const char *words = tls_complaint(c->tls->tls), *host = listening_sender_name(c->source);
        if (error == -ETIMEDOUT)
                words = "it did not finish the TLS handshake in time";
        module_report(server->log, SEVERITY_ERR, error == -EACCES ? CODE_PEER_REFUSED : CODE_TLS,
                      "%s: TLS session %u from %s (%s) is refused: %s", server->options.module, c->session, host,
                      c->source->address, *words ? words : fail_text(error));
        stream_count(c->worker->server, c->apart, STREAM_OPEN_FAILED, 1);
}

static void tell_greeted(const struct connection *c) {
        const struct stream_server *server = c->worker->server;
        const char *remark = tls_complaint(c->tls->tls);
        if (*remark)
                module_report(server->log, SEVERITY_WARNING, CODE_TLS, "%s: TLS session %u from %s: %s",
                              server->options.module, c->session, c->source->address, remark);
        if (!server->options.tells_open)
                return;
        _owned_(buffer_fini) struct buffer words = {0};
        tls_describe(c->tls->tls, &words);
        module_report(server->log, SEVERITY_INFO, 0, "%s: TLS session %u with host %s: %s", server->options.module,
                      c->session, listening_sender_name(c->source),
                      buffer_failed(&words) ? "open" : buffer_string(&words));
}

/* Whether there may be something to read. Frees the connection when the handshake failed. */
static bool is_greeted(struct connection *c) {
        if (c->tls->is_open)
                return true;
        int r = tls_watch_ready(c->tls);
        if (r > 0)
                return false;
        if (r < 0) {
                tell_refused(c, r);
                connection_end(c);
                return false;
        }
        tell_greeted(c);
        return true;
}

static void ready(struct watch *watch, uint32_t events _unused_) {
        struct connection *c = CONTAINER_OF(watch, struct connection, watch);
        if (UNLIKELY(c->tls) && !is_greeted(c))
                return;
        int64_t reads_max = c->worker->server->options.reads_max;
        enum reading reading = READ_AGAIN;
        for (int64_t reads = 0; reading == READ_AGAIN; reads++) {
                /* What is compressed lies in a buffer that all share: it must be used up. */
                bool is_patient = !c->inflation || inflation_is_drained(c->inflation);
                if (reads_max > 0 && reads >= reads_max && is_patient)
                        break;
                reading = part_has_outgrown(&c->part) ? read_outgrown(c) : read_into_batch(c);
        }
        if (reading == READ_ENDED)
                connection_end(c);
        else if (UNLIKELY(c->tls)) {
                tls_watch_settle(c->tls, false);
                if (reading == READ_AGAIN)
                        tls_watch_yield(c->tls);
        }
}

/* ---- Life ---- */

void connection_start(struct connection *c) {
        struct stream_worker *worker = c->worker;
        bool needs_scratch = c->inflation && !worker->scratch;
        if (needs_scratch)
                worker->scratch = malloc(SCRATCH_BYTES);
        if ((c->inflation && !worker->scratch) || loop_watch(worker->loop, &c->watch) ||
            (c->tls && tls_watch_start(c->tls))) {
                tell(c, SEVERITY_ERR, 0, "a connection cannot be read for lack of memory and is closed");
                connection_end(c);
                return;
        }
        c->next = worker->connections;
        c->link = &worker->connections;
        if (c->next)
                c->next->link = &c->next;
        worker->connections = c;
}

static void end_part(struct connection *c) {
        struct stream_worker *worker = c->worker;
        struct frame frame;
        enum framing_event event = framing_end(&c->framing, &worker->server->options.rules, c->part.size, &frame);
        if (event == FRAMING_FRAME) {
                struct stretch s = {.now_us = clock_wall_us()};
                take_message(c, &s, c->part.data, frame.size);
                count(c, &s);
        } else if (event != FRAMING_MORE) {
                tell_frame(c, event, frame.number);
        }
}

void connection_end(struct connection *c) {
        struct stream_server *server = c->worker->server;
        loop_unwatch(c->worker->loop, &c->watch);
        end_part(c);
        if (server->options.tells_close)
                server->options.tell_closed(server->log, c->session, listening_sender_name(c->source));
        stream_count(server, c->apart, STREAM_CLOSED, 1);
        atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
        connection_free(c);
}
