/*
 * A target over TCP.
 *
 *   CLOSED  -> OPEN     rows to send              tcp_connect()
 *   OPEN    -> CLOSED   the peer closed, an error, rebindInterval, HUP
 *   OPEN    -> OWING    the peer takes no more in the middle of a row
 *   OWING   -> OPEN     it takes the rest         send_owed()
 *   OWING   -> CLOSED   the connection broke: the row is sent whole on the next
 *
 * With the usual framing (a line feed ends each message, the template has it) a
 * batch is sent as it lies in memory. Other framings are written into one buffer
 * first: cheaper than two pieces for each row.
 *
 * With TLS a connection is open when the handshake is done and the peer has not refused us. Where there was no session
 * the certificates are read again for the next connection, so that the action heals by itself.
 *
 * Plain TCP has no acknowledgement. What the system took counts as delivered; a peer
 * that closed is noticed before anything more is handed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "module/netstream.h"
#include "output/omfwd.h"

enum { CODE_IO = 2027 };

struct fwd_tcp {
        struct fwd_target target;
        struct channel channel;
        struct compressor *stream; /* of the connection, FWD_STREAM */
        struct compressor *single; /* FWD_SINGLE */
        struct buffer frames;      /* framed rows of the send at hand */
        struct buffer packed;      /* the same, compressed */
        struct buffer scratch;     /* one compressed row */
        uint32_t *ends;            /* where each framed row ends in `frames` */
        size_t ends_capacity;
        struct buffer owed; /* a whole framed row of which a part was sent */
        size_t owed_sent;   /* 0: nothing is owed, or all of it */
        struct buffer last; /* the last framed row, for resendLastMSGOnReconnect */
        int64_t sent;       /* messages since the connection was made */
        bool was_open;      /* a connection was there before */
        bool is_hurried;    /* the daemon ends */
        bool was_insecure;  /* the last one had no TLS session */
};

static struct fwd_tcp *of(struct fwd_target *t) {
        return CONTAINER_OF(t, struct fwd_tcp, target);
}

/* ---- The connection ----------------------------------------------------- */

static void tcp_drop(struct fwd_tcp *t) {
        channel_close(&t->channel);
        t->stream = compressor_free(t->stream);
        /* Half of it is gone with the connection: all of it goes again. */
        t->owed_sent = 0;
}

static void tell_insecure(struct fwd_tcp *t, int error, struct buffer *complaint) {
        if (fwd_target_may_tell(&t->target))
                module_report(t->target.rules->log, 3, error == -EACCES ? CODE_PEER_REFUSED : CODE_TLS,
                              "omfwd: no TLS session with %s:%s: %s", t->target.host, t->target.port,
                              complaint->size ? buffer_string(complaint) : fail_text(error));
}

/* The handshake, on a socket that is connected. */
static int tcp_secure(struct fwd_tcp *t) {
        const struct fwd_rules *rules = t->target.rules;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = 0;
        /* What is wrong may lie in our files, and may have been put right since; else what was read before is used. */
        if (t->was_insecure || !tls_context_is_ready(rules->tls))
                r = tls_context_reload(rules->tls, &complaint);
        if (r && tls_context_is_ready(rules->tls)) {
                tell_insecure(t, r, &complaint);
                buffer_clear(&complaint);
                r = 0;
        }
        if (r == 0)
                r = tls_connect(&t->channel.tls, rules->tls, t->channel.fd,
                                rules->server_name ? rules->server_name : t->target.host,
                                rules->connect.wait_ms ? rules->connect.wait_ms : CONNECT_WAIT_MS, &complaint);
        t->was_insecure = r != 0;
        if (r)
                tell_insecure(t, r, &complaint);
        else if (complaint.size)
                module_report(rules->log, 4, CODE_TLS, "omfwd: TLS session with %s:%s: %s", t->target.host,
                              t->target.port, buffer_string(&complaint));
        return r ? pass(r) : 0;
}

static int tcp_connect(struct fwd_tcp *t) {
        const struct fwd_rules *rules = t->target.rules;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = connect_host(&t->channel.fd, &rules->connect, t->target.host, t->target.port, &complaint);
        if (r) {
                fwd_target_tell_connect(&t->target, r, &complaint);
                return pass(r);
        }
        r = rules->tls ? tcp_secure(t) : 0;
        if (r) {
                tcp_drop(t);
                return pass(r);
        }
        if (rules->compression == FWD_STREAM) {
                r = compressor_new(&t->stream, rules->stream_kind, rules->level, 0);
                if (r) {
                        tcp_drop(t);
                        return pass(r);
                }
        }
        t->sent = 0;
        if (rules->resends_last && t->was_open && t->owed.size == 0)
                buffer_text(&t->owed, buffer_as_text(&t->last));
        t->was_open = true;
        return 0;
}

static void tell_closed(struct fwd_tcp *t) {
        if (!fwd_target_may_tell(&t->target))
                return;
        const struct fwd_rules *rules = t->target.rules;
        const char *words = t->channel.tls ? tls_complaint(t->channel.tls) : "";
        if (*words) {
                module_report(rules->log, 3, CODE_TLS, "omfwd: the TLS session with %s:%s has ended: %s",
                              t->target.host, t->target.port, words);
                return;
        }
        _owned_(buffer_fini) struct buffer skipped = {0};
        if (rules->errors_skipped > 0)
                buffer_format(&skipped, " Note that the next %lld connection error messages will be skipped.",
                              (long long)rules->errors_skipped);
        module_report(rules->log, 3, CODE_IO,
                      "omfwd: remote server at %s:%s seems to have closed connection. This often happens when the "
                      "remote peer (or an interim system like a load balancer or firewall) shuts down or aborts a "
                      "connection. Rsyslog will re-open the connection if configured to do so (we saw a generic IO "
                      "Error, which usually goes along with that behaviour).%s",
                      t->target.host, t->target.port, buffer_string(&skipped));
}

static void tell_stalled(struct fwd_tcp *t) {
        if (fwd_target_may_tell(&t->target))
                module_report(t->target.rules->log, 4, CODE_IO,
                              "omfwd: remote server at %s:%s has read nothing for %d seconds; trying again later",
                              t->target.host, t->target.port, FWD_SEND_WAIT_MS / 1000);
}

/* Open, the peer still there, and not older than the rebind interval wants it. */
static int tcp_ready(struct fwd_target *target) {
        struct fwd_tcp *t = of(target);
        if (t->channel.fd >= 0 && target->rules->checks_peer && !channel_is_alive(&t->channel)) {
                tell_closed(t);
                tcp_drop(t);
        }
        return t->channel.fd < 0 ? tcp_connect(t) : 0;
}

/* ---- Framing ------------------------------------------------------------ */

static void frame_octets(struct buffer *out, struct text row) {
        buffer_int(out, (int64_t)row.size);
        buffer_byte(out, ' ');
        buffer_text(out, row);
}

static void frame_line(struct buffer *out, struct text row, char delimiter) {
        buffer_text(out, row);
        if (row.size == 0 || row.data[row.size - 1] != delimiter)
                buffer_byte(out, delimiter);
}

/* Binary data has no last line feed to be seen: a compressed row is octet-counted whatever the framing. */
static int frame_single(struct fwd_tcp *t, struct buffer *out, struct text row) {
        buffer_clear(&t->scratch);
        int r = compress_message(t->single, row, &t->scratch);
        if (r == COMPRESS_NO_GAIN)
                return COMPRESS_NO_GAIN;
        if (r)
                return pass(r);
        frame_octets(out, buffer_as_text(&t->scratch));
        return 0;
}

static int frame_row(struct fwd_tcp *t, struct buffer *out, struct text row) {
        const struct fwd_rules *rules = t->target.rules;
        if (rules->compression == FWD_SINGLE) {
                int r = frame_single(t, out, row);
                if (r != COMPRESS_NO_GAIN)
                        return r;
        }
        if (rules->framing == FRAMING_OCTETS)
                frame_octets(out, row);
        else
                frame_line(out, row, (char)rules->delimiter);
        return 0;
}

/* Rows lie in memory just as they go over the wire. */
static bool is_framed_already(const struct fwd_rules *rules) {
        return rules->framing == FRAMING_TRADITIONAL && rules->delimiter == '\n' && rules->compression != FWD_SINGLE;
}

static int frame_rows(struct fwd_tcp *t, const struct text *rows, size_t count) {
        if (count > t->ends_capacity) {
                uint32_t *grown = realloc(t->ends, count * sizeof *grown);
                if (!grown)
                        return fail(-ENOMEM);
                t->ends = grown;
                t->ends_capacity = count;
        }
        buffer_clear(&t->frames);
        for (size_t i = 0; i < count; i++) {
                int r = frame_row(t, &t->frames, rows[i]);
                if (r)
                        return pass(r);
                t->ends[i] = (uint32_t)t->frames.size;
        }
        return buffer_failed(&t->frames) ? fail(-ENOMEM) : 0;
}

/* The bytes of the rows on the wire, before a stream's compression. */
static int wire_bytes(struct fwd_tcp *t, const struct text *rows, size_t count, struct text *ret) {
        if (is_framed_already(t->target.rules)) {
                const struct text *last = &rows[count - 1];
                *ret = (struct text){rows[0].data, (size_t)(last->data + last->size - rows[0].data)};
                return 0;
        }
        int r = frame_rows(t, rows, count);
        if (r)
                return pass(r);
        *ret = buffer_as_text(&t->frames);
        return 0;
}

/* How many bytes the first rows up to row `i` have on the wire. */
static size_t end_of(const struct fwd_tcp *t, const struct text *rows, size_t i) {
        if (is_framed_already(t->target.rules))
                return (size_t)(rows[i].data + rows[i].size - rows[0].data);
        return t->ends[i];
}

/* ---- Sending ------------------------------------------------------------ */

static int send_bytes(struct fwd_tcp *t, struct text bytes, size_t *sent) {
        const struct fwd_rules *rules = t->target.rules;
        size_t step = rules->send_bytes_max ? rules->send_bytes_max : SIZE_MAX;
        *sent = 0;
        int r = 0;
        while (*sent < bytes.size && r == 0) {
                struct text part = {bytes.data + *sent, MIN(step, bytes.size - *sent)};
                size_t size;
                r = channel_send(&t->channel, part, FWD_SEND_WAIT_MS, &size);
                *sent += size;
        }
        if (r == -ECANCELED) {
                t->is_hurried = true;
                r = -EAGAIN; /* as if its time were over */
        }
        fwd_count_bytes(rules, *sent);
        return r ? pass(r) : 0;
}

static int send_owed(struct fwd_tcp *t) {
        /* A compressed stream takes it in front of the rows. */
        if (t->owed.size == 0 || t->stream)
                return 0;
        size_t sent;
        int r = send_bytes(t, text_slice(buffer_as_text(&t->owed), t->owed_sent, t->owed.size), &sent);
        t->owed_sent += sent;
        if (r)
                return pass(r);
        buffer_clear(&t->owed);
        t->owed_sent = 0;
        return 0;
}

/* `sent` bytes are out: whole rows are taken; the row they end in is owed while the connection holds. */
static size_t settle(struct fwd_tcp *t, struct text bytes, const struct text *rows, size_t count, size_t sent,
                     bool is_held) {
        size_t taken = 0, start = 0;
        while (taken < count && end_of(t, rows, taken) <= sent)
                start = end_of(t, rows, taken++);
        if (!is_held || sent == start)
                return taken;
        buffer_clear(&t->owed);
        buffer_text(&t->owed, text_slice(bytes, start, end_of(t, rows, taken)));
        if (buffer_failed(&t->owed)) {
                /* The half row ends with this connection; the whole one goes on the next. */
                buffer_clear(&t->owed);
                tcp_drop(t);
                return taken;
        }
        t->owed_sent = sent - start;
        return taken + 1;
}

static int send_plain(struct fwd_tcp *t, struct text bytes, const struct text *rows, size_t count, size_t *taken) {
        size_t sent;
        int r = send_bytes(t, bytes, &sent);
        if (LIKELY(r == 0)) {
                *taken = count;
                return 0;
        }
        *taken = settle(t, bytes, rows, count, sent, r == -EAGAIN);
        return pass(r);
}

/*
 * A compressed stream cannot be taken up in the middle by another connection. When one stalls it is given up, and
 * the rows go again: the peer may see some twice, but loses none.
 */
static int send_stream(struct fwd_tcp *t, struct text bytes, size_t count, size_t *taken) {
        buffer_clear(&t->packed);
        enum compress_end end = t->target.rules->flushes_stream ? COMPRESS_FLUSH : COMPRESS_MORE;
        size_t sent;
        int r = compressor_add(t->stream, buffer_as_text(&t->owed), COMPRESS_MORE, &t->packed);
        if (r == 0)
                r = compressor_add(t->stream, bytes, end, &t->packed);
        if (r == 0)
                r = send_bytes(t, buffer_as_text(&t->packed), &sent);
        if (r) {
                tcp_drop(t);
                return pass(r);
        }
        buffer_clear(&t->owed);
        *taken = count;
        return 0;
}

static int send_once(struct fwd_tcp *t, const struct text *rows, size_t count, size_t *taken) {
        int r = send_owed(t);
        if (r)
                return pass(r);
        struct text bytes;
        r = wire_bytes(t, rows, count, &bytes);
        if (r)
                return pass(r);
        r = t->stream ? send_stream(t, bytes, count, taken) : send_plain(t, bytes, rows, count, taken);
        if (t->target.rules->resends_last && *taken) {
                size_t start = *taken > 1 ? end_of(t, rows, *taken - 2) : 0;
                buffer_clear(&t->last);
                buffer_text(&t->last, text_slice(bytes, start, end_of(t, rows, *taken - 1)));
        }
        return r ? pass(r) : 0;
}

static void end_stream(struct fwd_tcp *t) {
        if (t->channel.fd < 0 || !t->stream)
                return;
        size_t sent;
        buffer_clear(&t->packed);
        if (compressor_add(t->stream, TEXT_NONE, COMPRESS_FINISH, &t->packed) == 0)
                send_bytes(t, buffer_as_text(&t->packed), &sent);
}

static void tcp_close(struct fwd_target *target) {
        struct fwd_tcp *t = of(target);
        end_stream(t);
        if (t->channel.fd >= 0)
                send_owed(t);
        tcp_drop(t);
        /* We ended it, and nothing of it was lost. */
        t->was_open = false;
}

static int tcp_send(struct fwd_target *target, const struct text *rows, size_t count, size_t *taken) {
        struct fwd_tcp *t = of(target);
        bool was_open = t->channel.fd >= 0;
        *taken = 0;
        int r = tcp_ready(target);
        if (r)
                return pass(r);
        r = send_once(t, rows, count, taken);
        if (r == -EAGAIN) {
                if (!t->is_hurried)
                        tell_stalled(t);
                return pass(r);
        }
        if (r && r != -ENOMEM) {
                tell_closed(t);
                tcp_drop(t);
                /* A connection that broke since the last batch is made anew at once; a fresh one that breaks waits. */
                size_t more = 0;
                if (was_open && tcp_connect(t) == 0) {
                        r = send_once(t, rows + *taken, count - *taken, &more);
                        *taken += more;
                        if (r && r != -EAGAIN)
                                tcp_drop(t);
                }
        }
        if (r)
                return pass(r);
        t->sent += (int64_t)*taken;
        if (target->rules->rebind_interval && t->sent >= target->rules->rebind_interval)
                tcp_close(target);
        return 0;
}

/* ---- Life --------------------------------------------------------------- */

static void tcp_free(struct fwd_target *target) {
        struct fwd_tcp *t = of(target);
        tcp_close(target);
        if (t->owed.size)
                module_report(target->rules->log, 4, CODE_IO,
                              "omfwd: the last message for %s:%s could only be sent in part", target->host,
                              target->port);
        compressor_free(t->single);
        buffer_fini(&t->frames);
        buffer_fini(&t->packed);
        buffer_fini(&t->scratch);
        buffer_fini(&t->owed);
        buffer_fini(&t->last);
        free(t->ends);
        fwd_target_fini(target);
        free(t);
}

static const struct fwd_target_ops tcp_ops = {
        .send = tcp_send,
        .ready = tcp_ready,
        .close = tcp_close,
        .free = tcp_free,
};

int fwd_tcp_new(struct fwd_target **ret, const struct fwd_rules *rules, const char *host, const char *port) {
        struct fwd_tcp *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        t->channel = CHANNEL_CLOSED;
        t->channel.hurry_fd = rules->hurry_fd;
        int r = fwd_target_init(&t->target, &tcp_ops, rules, host, port);
        if (r == 0 && rules->compression == FWD_SINGLE)
                r = compressor_new(&t->single, COMPRESSION_ZLIB, rules->level, 0);
        if (r) {
                tcp_free(&t->target);
                return pass(r);
        }
        *ret = &t->target;
        return 0;
}
