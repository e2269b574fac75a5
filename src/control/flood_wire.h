/*
 * A connection of flood's to wherever the messages go, with TLS or without. Once open it never waits by itself.
 *
 * TLS is the house's own (io/tls.h), which is loaded for targets with it alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control/flood_settings.h"
#include "io/tls.h"

struct wire {
        int fd; /* -1: closed */
        struct tls *tls;
};
#define WIRE_CLOSED ((struct wire){.fd = -1})

/* What all connections of a run with TLS share; NULL without. Says what is wrong and returns -errno. */
int wire_context_new(struct tls_context **ret, const struct settings *s);

/* 0 or -errno; what TLS has to say about it is told. */
int wire_open(struct wire *w, const struct settings *s, struct tls_context *context);
/* Says good-bye; with TLS the peer gets a moment to do so, too. Fine with one that is closed. */
void wire_close(struct wire *w);

/* How many bytes were taken, fewer only where there is no room for more, or -errno; -EAGAIN: none. */
ssize_t wire_send(const struct wire *w, const void *bytes, size_t size);
/* What wire_send() took may lie in the connection: 0 when it is sent, -EAGAIN, or -errno. */
int wire_flush(const struct wire *w);
/* Bytes, 0 at the end, -EAGAIN or -errno. */
ssize_t wire_receive(const struct wire *w, void *to, size_t size);
/* Until it can be read, or written, for so long at most. False: the time is over. */
bool wire_wait(const struct wire *w, bool is_to_write, int wait_ms);
