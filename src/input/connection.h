/*
 * One connection of a stream server: reads, finds the messages, keeps the part of
 * one that has not ended yet. Idle it costs a few hundred bytes; a buffer exists
 * only while a part is held.
 */
#pragma once

#include "input/part.h"
#include "input/stream.h"
#include "io/tls_watch.h"

struct connection {
        struct watch watch;
        struct stream_worker *worker;
        struct connection *next, **link; /* in worker->connections */
        struct source *source;
        struct stream_part *apart;   /* counts this one, too; NULL: nobody does */
        struct inflation *inflation; /* NULL: plain */
        struct tls_watch *tls;       /* NULL: plain */
        struct part part;            /* of a message that has not ended */
        struct framing framing;
        uint32_t session; /* number, for reports */
};

/* Takes fd and source on success. -ENOKEY: TLS is wanted, and has no certificates to use. */
int connection_new(struct connection **ret, struct stream_worker *worker, int fd, struct source *source,
                   uint32_t session);
/* Frees without a word; the loop must not watch it any more. */
struct connection *connection_free(struct connection *c);
OWNED_POINTER(struct connection, connection_free);

/* On the worker's thread: begins to read. Frees the connection when that fails. */
void connection_start(struct connection *c);
/* On the worker's thread: what is left becomes a message where the rules say so. Frees. */
void connection_end(struct connection *c);
