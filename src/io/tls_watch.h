/*
 * TLS on a loop: a connection's watch calls its owner when there is something to do for it, whatever the socket's
 * readiness means underneath.
 *
 *   GREETING -> OPEN     the handshake is done                        tls_watch_ready() is 0
 *   GREETING -> FAILED   it failed, or its time went by               tls_watch_ready() is -errno
 *
 * The owner's ready() begins with tls_watch_ready() and goes on only when it is 0. Having read until -EAGAIN, or
 * sent, it calls tls_watch_settle(); when it stops reading before -EAGAIN, tls_watch_yield(), since what is
 * decrypted already would not make the socket readable again. Belongs to the loop's thread.
 */
#pragma once

#include "io/loop.h"
#include "io/tls.h"

struct tls_watch {
        struct tls *tls;
        struct loop *loop;
        struct watch *watch; /* the owner's, its fd the socket */
        struct timer timer;
        int handshake_ms;
        bool is_open, is_late;
};

/* -ENOKEY: the context is unready. `name` as for tls_new(). The watch need not be added yet. */
int tls_watch_new(struct tls_watch **ret, struct tls_context *context, struct loop *loop, struct watch *watch,
                  const char *name);
struct tls_watch *tls_watch_free(struct tls_watch *w);
OWNED_POINTER(struct tls_watch, tls_watch_free);

/* When the watch has been added: from now on time runs. -ENOMEM. */
int tls_watch_start(struct tls_watch *w);
/* 0: open. TLS_WANTS_READ, TLS_WANTS_WRITE: not yet, the watch is set. -errno: failed; -ETIMEDOUT: it took too long. */
int tls_watch_ready(struct tls_watch *w);
/* Lets the watch wait for what the connection waits for; `has_more`: the owner has something that it wants to send. */
void tls_watch_settle(struct tls_watch *w, bool has_more);
/* ready() is called again in the next round when there is anything decrypted; nothing otherwise. */
void tls_watch_yield(struct tls_watch *w);
