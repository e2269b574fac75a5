#include "control/flood_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum { FAREWELL_MS = 1000 };

static int open_inet(const struct settings *s, int *ret) {
        struct addrinfo hints = {.ai_socktype = s->target == TARGET_UDP ? SOCK_DGRAM : SOCK_STREAM};
        struct addrinfo *found;
        int error = -EHOSTUNREACH;

        int r = getaddrinfo(s->address, s->port, &hints, &found);
        if (r) {
                fprintf(stderr, "flood: %s: %s\n", s->address, gai_strerror(r));
                return -EHOSTUNREACH;
        }

        for (struct addrinfo *a = found; a; a = a->ai_next) {
                int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
                if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
                        freeaddrinfo(found);
                        *ret = fd;
                        return 0;
                }
                error = -errno;
                if (fd >= 0)
                        close(fd);
        }
        freeaddrinfo(found);
        return error;
}

static int open_unix(const struct settings *s, int *ret) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(s->address) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, s->address, strlen(s->address));

        _owned_(descriptor_close) int fd =
                socket(AF_UNIX, (s->target == TARGET_UNIX ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;

        *ret = fd;
        fd = -1;
        return 0;
}

static int open_file(const struct settings *s, int *ret) {
        int fd = open(s->address, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        *ret = fd;
        return 0;
}

int wire_context_new(struct tls_context **ret, const struct settings *s) {
        _owned_(buffer_fini) struct buffer complaint = {};
        struct tls_rules rules = {
                .auth = s->trusts_anyone ? TLS_ANON : TLS_NAME,
                .ca_file = s->ca_file,
                .cert_file = s->cert_file,
                .key_file = s->key_file,
        };

        *ret = NULL;
        if (!s->is_tls)
                return 0;
        int r = tls_context_new(ret, &rules, &complaint);
        if (r)
                fprintf(stderr, "flood: TLS: %.*s\n", TEXT_ARGS(buffer_as_text(&complaint)));
        if (r <= 0)
                return r;
        *ret = tls_context_free(*ret);
        return -EINVAL;
}

static int greet(struct wire *w, const struct settings *s, struct tls_context *context) {
        _owned_(buffer_fini) struct buffer complaint = {};
        const char *name = s->server_name ? s->server_name : s->address;

        int r = tls_connect(&w->tls, context, w->fd, name, 0, &complaint);
        if (complaint.size)
                fprintf(stderr, "flood: TLS: %.*s\n", TEXT_ARGS(buffer_as_text(&complaint)));
        return r;
}

int wire_open(struct wire *w, const struct settings *s, struct tls_context *context) {
        static int (*const open_target[])(const struct settings *, int *) = {
                [TARGET_TCP] = open_inet,         [TARGET_UDP] = open_inet,  [TARGET_UNIX] = open_unix,
                [TARGET_UNIX_STREAM] = open_unix, [TARGET_FILE] = open_file, [TARGET_RELP] = open_inet,
        };

        *w = WIRE_CLOSED;
        int r = open_target[s->target](s, &w->fd);
        if (r)
                return r;
        if (s->target == TARGET_RELP || (s->target == TARGET_TCP && s->batch))
                setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (fcntl(w->fd, F_SETFL, O_NONBLOCK | (s->target == TARGET_FILE ? O_APPEND : 0)) < 0)
                return -errno;
        return context ? greet(w, s, context) : 0;
}

/*
 * A peer that still has something to say, as a TLS server with its tickets, would be cut short by a reset, and with
 * it what it has not read yet.
 */
static void hear_out(const struct wire *w) {
        char bytes[4096];

        shutdown(w->fd, SHUT_WR);
        while (wire_wait(w, false, FAREWELL_MS)) {
                ssize_t n = recv(w->fd, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        return;
        }
}

void wire_close(struct wire *w) {
        if (w->fd < 0)
                return;
        if (w->tls) {
                w->tls = tls_free(w->tls);
                hear_out(w);
        }
        close(w->fd);
        w->fd = -1;
}

/* One record after the other, until there is no room. */
static ssize_t send_records(struct tls *tls, const char *bytes, size_t size) {
        size_t sent = 0;

        while (sent < size) {
                ssize_t n = tls_send(tls, (struct text){bytes + sent, size - sent});
                if (n == -EAGAIN)
                        return sent ? (ssize_t)sent : n;
                if (n < 0) {
                        fprintf(stderr, "flood: TLS: %s\n", tls_complaint(tls));
                        return n;
                }
                sent += (size_t)n;
        }
        return (ssize_t)sent;
}

ssize_t wire_send(const struct wire *w, const void *bytes, size_t size) {
        ssize_t n;

        if (w->tls)
                return send_records(w->tls, bytes, size);
        do
                n = send(w->fd, bytes, size, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

int wire_flush(const struct wire *w) {
        return w->tls ? tls_flush(w->tls) : 0;
}

ssize_t wire_receive(const struct wire *w, void *to, size_t size) {
        ssize_t n;

        if (w->tls)
                return tls_receive(w->tls, to, size);
        do
                n = recv(w->fd, to, size, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

bool wire_wait(const struct wire *w, bool is_to_write, int wait_ms) {
        struct pollfd watched = {.fd = w->fd, .events = is_to_write ? POLLOUT : POLLIN};

        return poll(&watched, 1, wait_ms) > 0;
}
