#include "io/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/fail.h"

static int wait_ready(const struct channel *c, int wait_ms) {
        uint32_t events = tls_events(c->tls);
        return connect_await(c->fd, (short)((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0)),
                             wait_ms, c->hurry_fd);
}

/* All of `bytes` into the connection, then out of it. */
static int send_secure(const struct channel *c, struct text bytes, int wait_ms, size_t *sent) {
        *sent = 0;
        for (;;) {
                ssize_t taken =
                        *sent < bytes.size ? tls_send(c->tls, text_slice(bytes, *sent, bytes.size)) : tls_flush(c->tls);
                if (taken == 0 && *sent == bytes.size)
                        return 0;
                if (taken >= 0) {
                        *sent += (size_t)taken;
                        continue;
                }
                if (taken != -EAGAIN)
                        return pass((int)taken);
                int r = wait_ready(c, wait_ms);
                if (r)
                        return pass(r);
        }
}

int channel_send(const struct channel *c, struct text bytes, int wait_ms, size_t *sent) {
        return LIKELY(!c->tls) ? connect_send(c->fd, bytes, wait_ms, c->hurry_fd, sent)
                               : send_secure(c, bytes, wait_ms, sent);
}

bool channel_is_alive(const struct channel *c) {
        enum { ROUNDS_MAX = 16 };
        char scrap[4096];
        if (!c->tls)
                return connect_is_alive(c->fd);
        for (int i = 0; i < ROUNDS_MAX; i++) {
                ssize_t size = tls_receive(c->tls, scrap, sizeof scrap);
                if (size <= 0)
                        return size == -EAGAIN;
        }
        return true;
}

void channel_close(struct channel *c) {
        c->tls = tls_free(c->tls);
        c->fd = connect_close(c->fd);
}
