/*
 * A target over UDP: each row is a datagram, sent many to a system call.
 *
 *   CLOSED -> OPEN     the name is resolved, sockets are connected   udp_connect()
 *   OPEN   -> CLOSED   the network refused, rebindInterval, HUP
 *
 * Sockets are connected, which saves the kernel a route look-up for each datagram.
 * The price: where nobody listens, a later send is told so by ICMP although it did
 * nothing wrong. That send is repeated; UDP knows no receivers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "output/omfwd.h"

enum {
        DATAGRAMS_A_CALL = 256,
        DATAGRAM_BYTES_MAX = 65507, /* what IPv4 leaves of 65535 */
        DATAGRAM_BYTES_MIN = 480,   /* RFC 5426: every receiver takes so much */
        SEND_WAIT_MS = 1000,
        SEND_DELAY_US_MAX = 1000000,
        CODE_ADDRESS = 2007,
        CODE_SEND = 2354,
};

struct fwd_udp {
        struct fwd_target target;
        int fds[CONNECT_ADDRESSES_MAX]; /* one, unless udp.sendToAll is on */
        size_t fd_count;                /* 0: CLOSED */
        size_t bytes_max;               /* of one datagram, as far as we know */
        struct compressor *single;
        struct buffer packed; /* compressed rows of the call at hand */
        int64_t sent;         /* messages since the sockets were made */
        struct mmsghdr messages[DATAGRAMS_A_CALL];
        struct iovec pieces[DATAGRAMS_A_CALL];
};

static struct fwd_udp *of(struct fwd_target *t) {
        return CONTAINER_OF(t, struct fwd_udp, target);
}

static void udp_close(struct fwd_target *target) {
        struct fwd_udp *t = of(target);
        while (t->fd_count)
                connect_close(t->fds[--t->fd_count]);
}

/* ---- Sockets ------------------------------------------------------------ */

static int udp_connect(struct fwd_udp *t) {
        const struct fwd_rules *rules = t->target.rules;
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct addrinfo *addresses;
        int r = connect_resolve(&addresses, &rules->connect, t->target.host, t->target.port, &complaint);
        if (r) {
                fwd_target_tell_connect(&t->target, r, &complaint);
                return pass(r);
        }
        size_t wanted = rules->sends_to_all ? CONNECT_ADDRESSES_MAX : 1;
        r = -ENXIO;
        for (struct addrinfo *a = addresses; a && t->fd_count < wanted; a = a->ai_next) {
                buffer_clear(&complaint);
                int one = connect_address(&t->fds[t->fd_count], &rules->connect, a, &complaint);
                if (one == 0) {
                        t->fd_count++;
                        if (complaint.size)
                                module_report(rules->log, 4, CODE_ADDRESS, "omfwd/udp: %s", buffer_string(&complaint));
                } else
                        r = one;
        }
        freeaddrinfo(addresses);
        if (t->fd_count == 0) {
                fwd_target_tell_connect(&t->target, r, &complaint);
                return pass(r);
        }
        t->sent = 0;
        t->bytes_max = DATAGRAM_BYTES_MAX;
        return 0;
}

static int udp_ready(struct fwd_target *target) {
        return of(target)->fd_count ? 0 : udp_connect(of(target));
}

/* ---- Datagrams ---------------------------------------------------------- */

static void tell_cut(struct fwd_udp *t, size_t size) {
        module_report(t->target.rules->log, 4, CODE_SEND,
                      "omfwd/udp: message is %zu bytes long, but UDP can send at most %zu bytes (by RFC limit) - "
                      "truncating message",
                      size, t->bytes_max);
}

/* Compressed rows share a buffer that may move while it grows, so pieces are pointed at it only in the end. */
static int pack_rows(struct fwd_udp *t, const struct text *rows, unsigned count) {
        buffer_clear(&t->packed);
        bool is_packed[DATAGRAMS_A_CALL];
        for (unsigned i = 0; i < count; i++) {
                size_t start = t->packed.size;
                int r = compress_message(t->single, rows[i], &t->packed);
                if (r < 0)
                        return pass(r);
                is_packed[i] = r != COMPRESS_NO_GAIN;
                t->pieces[i] = (struct iovec){(char *)rows[i].data, rows[i].size};
                if (is_packed[i])
                        t->pieces[i].iov_len = t->packed.size - start;
        }
        char *at = t->packed.data;
        for (unsigned i = 0; i < count; i++)
                if (is_packed[i]) {
                        t->pieces[i].iov_base = at;
                        at += t->pieces[i].iov_len;
                }
        return 0;
}

static int point_at(struct fwd_udp *t, const struct text *rows, unsigned count) {
        if (t->single) {
                int r = pack_rows(t, rows, count);
                if (r)
                        return pass(r);
        } else
                for (unsigned i = 0; i < count; i++)
                        t->pieces[i] = (struct iovec){(char *)rows[i].data, rows[i].size};
        for (unsigned i = 0; i < count; i++)
                if (UNLIKELY(t->pieces[i].iov_len > t->bytes_max)) {
                        tell_cut(t, t->pieces[i].iov_len);
                        t->pieces[i].iov_len = t->bytes_max;
                }
        return 0;
}

static bool is_from_an_earlier_send(int error) {
        return error == -ECONNREFUSED;
}

/* This system takes smaller ones only: what does it take? */
static int shrink(struct fwd_udp *t, size_t size) {
        if (size / 2 < DATAGRAM_BYTES_MIN)
                return fail(-EMSGSIZE);
        t->bytes_max = size / 2;
        module_report(t->target.rules->log, 4, CODE_SEND,
                      "omfwd/udp: send failed due to message being too large for this system. Message size was %zu "
                      "bytes. Truncating to %zu bytes and retrying.",
                      size, t->bytes_max);
        return 0;
}

/* Sends the pointed-at rows over one socket; *done of them. */
static int send_over(struct fwd_udp *t, int fd, unsigned count, unsigned *done) {
        unsigned refusals = 0;
        for (*done = 0; *done < count;) {
                int sent = connect_send_many(fd, t->messages + *done, count - *done, SEND_WAIT_MS);
                if (sent > 0) {
                        *done += (unsigned)sent;
                        refusals = 0;
                } else if (sent == -EMSGSIZE) {
                        struct iovec *piece = &t->pieces[*done];
                        int r = shrink(t, piece->iov_len);
                        if (r)
                                return pass(r);
                        piece->iov_len = t->bytes_max;
                } else if (!is_from_an_earlier_send(sent) || ++refusals > 2)
                        return fail(sent ? sent : -EIO);
        }
        return 0;
}

static int send_group(struct fwd_udp *t, const struct text *rows, unsigned count, unsigned *done) {
        int r = point_at(t, rows, count);
        if (r)
                return pass(r);
        /* Taken is what any path took: the others are for redundance. */
        unsigned best = 0;
        for (size_t i = 0; i < t->fd_count; i++) {
                unsigned here;
                int one = send_over(t, t->fds[i], count, &here);
                if (i == 0 || one == 0)
                        r = one;
                best = MAX(best, here);
        }
        *done = best;
        for (unsigned i = 0; i < best; i++)
                fwd_count_bytes(t->target.rules, t->pieces[i].iov_len);
        return best == count ? 0 : pass(r);
}

static void tell_send(struct fwd_udp *t, int error) {
        const struct fwd_rules *rules = t->target.rules;
        if (rules->errors_max && t->target.send_errors++ >= rules->errors_max)
                return;
        module_report(rules->log, 3, CODE_SEND, "omfwd/udp: socket %d: sendto() error: %s (target %s:%s)",
                      t->fd_count ? t->fds[0] : -1, fail_text(error), t->target.host, t->target.port);
}

static unsigned group_size(const struct fwd_udp *t, size_t left) {
        const struct fwd_rules *rules = t->target.rules;
        size_t size = rules->send_delay_us ? 1 : MIN(left, (size_t)DATAGRAMS_A_CALL);
        if (rules->rebind_interval)
                size = MIN(size, (size_t)MAX(rules->rebind_interval - t->sent, INT64_C(1)));
        return (unsigned)size;
}

static int udp_send(struct fwd_target *target, const struct text *rows, size_t count, size_t *taken) {
        struct fwd_udp *t = of(target);
        const struct fwd_rules *rules = target->rules;
        *taken = 0;
        while (*taken < count) {
                int r = udp_ready(target);
                if (r)
                        return pass(r);
                unsigned done = 0;
                r = send_group(t, rows + *taken, group_size(t, count - *taken), &done);
                *taken += done;
                if (r) {
                        tell_send(t, r);
                        /* A row that is too long says nothing of the socket. */
                        if (r != -EMSGSIZE && r != -EAGAIN)
                                udp_close(target);
                        return pass(r);
                }
                target->send_errors = 0;
                t->sent += done;
                if (rules->rebind_interval && t->sent >= rules->rebind_interval)
                        udp_close(target);
                if (rules->send_delay_us)
                        usleep((useconds_t)MIN(rules->send_delay_us, (int64_t)SEND_DELAY_US_MAX));
        }
        return 0;
}

static void udp_free(struct fwd_target *target) {
        struct fwd_udp *t = of(target);
        udp_close(target);
        compressor_free(t->single);
        buffer_fini(&t->packed);
        fwd_target_fini(target);
        free(t);
}

static const struct fwd_target_ops udp_ops = {
        .send = udp_send,
        .ready = udp_ready,
        .close = udp_close,
        .free = udp_free,
};

int fwd_udp_new(struct fwd_target **ret, const struct fwd_rules *rules, const char *host, const char *port) {
        struct fwd_udp *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        for (size_t i = 0; i < DATAGRAMS_A_CALL; i++)
                t->messages[i].msg_hdr = (struct msghdr){.msg_iov = &t->pieces[i], .msg_iovlen = 1};
        int r = fwd_target_init(&t->target, &udp_ops, rules, host, port);
        if (r == 0 && rules->compression == FWD_SINGLE)
                r = compressor_new(&t->single, COMPRESSION_ZLIB, rules->level, 0);
        if (r) {
                udp_free(&t->target);
                return pass(r);
        }
        *ret = &t->target;
        return 0;
}
