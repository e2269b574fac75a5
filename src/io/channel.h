/*
 * A connected stream, with or without TLS: who sends and receives need not know which. Plain, it costs one
 * comparison a system call.
 */
#pragma once

#include "io/connect.h"
#include "io/socket.h"
#include "io/tls.h"

struct channel {
        int fd;          /* -1: closed */
        int hurry_fd;    /* lent; readable: nobody waits for the peer any more; 0: there is none */
        struct tls *tls; /* NULL: plain */
};
#define CHANNEL_CLOSED ((struct channel){.fd = -1})

/* Bytes, 0 at the end of the stream, -EAGAIN, or the failure. */
static inline ssize_t channel_receive(const struct channel *c, void *to, size_t size) {
        return LIKELY(!c->tls) ? socket_receive(c->fd, to, size) : tls_receive(c->tls, to, size);
}

/*
 * As connect_send(): waits for room as long as something moves, and `wait_ms` without. *sent: how many bytes were
 * taken. Under TLS the last of them may lie in the connection when it stalls (-EAGAIN): the next call sends them first.
 */
int channel_send(const struct channel *c, struct text bytes, int wait_ms, size_t *sent);
/* As connect_is_alive(). */
bool channel_is_alive(const struct channel *c);
/* Says good-bye, closes, and leaves it closed. Fine with one that is. */
void channel_close(struct channel *c);
