/* Where `penstock queue replay` sends to: raw messages over TCP, UDP or a Unix socket. */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/fail.h"
#include "control/queue_inside.h"
#include "io/connect.h"

enum {
        PATIENCE_MS = 30000, /* without anything moving */
        LOOK_MS = 5,
        OUT_BYTES = 256 << 10, /* gathered before they are sent */
};

static int say_why(const char *target, int error, struct buffer *complaint) {
        const char *why = buffer_string(complaint);
        return spool_complain("%s: %s%s%s", target, fail_text(error), why && *why ? ": " : "", why ? why : "");
}

static int open_unix(struct sender *s, const char *path) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = connect_unix(&s->fd, SOCK_DGRAM, path, false, NULL, PATIENCE_MS, &complaint);
        if (r == -EPROTOTYPE) {
                s->is_stream = true;
                r = connect_unix(&s->fd, SOCK_STREAM, path, false, NULL, PATIENCE_MS, &complaint);
        }
        return r ? say_why(s->target, r, &complaint) : 0;
}

/* HOST:PORT, the host perhaps in brackets. */
static int open_network(struct sender *s, const char *place) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        const char *colon = strrchr(place, ':');
        char host[256];
        struct text name = {place, colon ? (size_t)(colon - place) : 0};
        if (name.size > 1 && name.data[0] == '[' && name.data[name.size - 1] == ']')
                name = text_slice(name, 1, name.size - 1);
        if (!name.size || !colon[1] || name.size >= sizeof host)
                return spool_complain("%s: what is wanted is HOST:PORT, as in tcp:127.0.0.1:514", s->target);
        snprintf(host, sizeof host, "%.*s", TEXT_ARGS(name));
        struct connect_rules rules = {.type = s->is_stream ? SOCK_STREAM : SOCK_DGRAM};
        int r = connect_host(&s->fd, &rules, host, colon + 1, &complaint);
        return r ? say_why(s->target, r, &complaint) : 0;
}

int sender_open(struct sender *s, const char *target, bool is_octet) {
        struct text t = text_of(target);
        *s = (struct sender){.fd = -1, .is_octet = is_octet, .target = target};
        if (text_starts(t, TEXT("unix:")))
                return open_unix(s, target + strlen("unix:"));
        s->is_stream = text_starts(t, TEXT("tcp:"));
        if (s->is_stream || text_starts(t, TEXT("udp:")))
                return open_network(s, target + strlen("tcp:"));
        return spool_complain("'%s' is no target: tcp:HOST:PORT, udp:HOST:PORT or unix:PATH", target);
}

void sender_fini(struct sender *s) {
        if (s->fd >= 0)
                connect_close(s->fd);
        buffer_fini(&s->out);
}

static int send_datagram(struct sender *s, struct text message) {
        struct iovec part = {.iov_base = (void *)message.data, .iov_len = message.size};
        struct mmsghdr datagram = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
        int r = connect_send_many(s->fd, &datagram, 1, PATIENCE_MS);
        return r < 0 ? spool_complain("%s: %s", s->target, fail_text(r)) : 0;
}

static int send_gathered(struct sender *s) {
        size_t sent;
        if (buffer_failed(&s->out))
                return spool_complain("no memory");
        int r = connect_send(s->fd, buffer_as_text(&s->out), PATIENCE_MS, 0, &sent);
        buffer_clear(&s->out);
        return r ? spool_complain("%s: %s", s->target, fail_text(r)) : 0;
}

int sender_send(struct sender *s, struct text message) {
        if (!s->is_stream)
                return send_datagram(s, message);
        sender_frame(&s->out, message, s->is_octet);
        return s->out.size >= OUT_BYTES ? send_gathered(s) : 0;
}

int sender_flush(struct sender *s) {
        if (!s->is_stream)
                return 0;
        int r = send_gathered(s), before = 0;
        if (r)
                return r;
        for (int64_t since = clock_mono_ns();;) {
                int left;
                if (!connect_is_alive(s->fd))
                        return spool_complain("%s: the other side closed the connection", s->target);
                if (ioctl(s->fd, SIOCOUTQ, &left) < 0)
                        return spool_complain("%s: %s", s->target, fail_text(-errno));
                if (left == 0)
                        return 0;
                if (left != before)
                        since = clock_mono_ns();
                before = left;
                if (clock_mono_ns() - since > PATIENCE_MS * INT64_C(1000000))
                        return spool_complain("%s: the other side takes nothing", s->target);
                struct pollfd wait = {.fd = s->fd, .events = POLLRDHUP};
                poll(&wait, 1, LOOK_MS);
        }
}
