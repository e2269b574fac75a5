/*
 * The server behind imrelp: listens, accepts, and spreads the sessions over the
 * module's loops in turn. A session lives and dies on one loop (imrelp_peer.h).
 *
 *   open   relp_server_new(), relp_server_listen()
 *   start  relp_server_start(): sessions are accepted, on loop 0
 *   retire relp_server_retire(): another process accepts; the sessions that there are go on
 *   stop   relp_server_stop(): nothing is read any more; what is finished within
 *          FAREWELL_MS is still answered, and each sender is told that we close
 *   close  relp_server_free(): the loops do not run
 *
 * Where a rate limit is set everything stays on loop 0, so that the limit is exact
 * without a lock.
 */
#pragma once

#include <stdatomic.h>

#include "base/counter.h"
#include "input/acceptor.h"
#include "input/imrelp_promise.h"
#include "input/listening.h"
#include "io/tls.h"
#include "message/intake.h"

enum {
        FAREWELL_MS = 1000, /* a stop waits so long for what is in work */
};

/* In the order of relp_counters[]. */
enum relp_counter {
        RELP_SUBMITTED,
        RELP_ANSWERED,
        RELP_OPENED,
        RELP_OPEN_FAILED,
        RELP_TLS_FAILED,
        RELP_CLOSED,
        RELP_BROKEN_SESSIONS,
        RELP_BYTES,
        RELP_CUT_MESSAGES,
        RELP_RATE_LIMITED,
};
extern const struct counter_def relp_counters[];

enum relp_oversize { RELP_OVERSIZE_TRUNCATE, RELP_OVERSIZE_ABORT, RELP_OVERSIZE_ACCEPT };

/* What the module makes of its settings. Texts are lent for relp_server_new() alone. */
struct relp_options {
        const char *name; /* property inputname */
        const char *port;
        uint32_t data_bytes_max;
        enum relp_oversize oversize;
        enum flow flow;
        struct keepalive keepalive;
        struct ratelimit limit;
        const struct tls_rules *tls; /* NULL: in the clear */
};

struct relp_peer;
struct relp_server;

/* The part of a server that one loop owns. */
struct relp_worker {
        struct relp_server *server;
        struct loop *loop;
        struct intake *intake;
        struct mailbox *mailbox;
        struct relp_peer *peers;
        struct relp_peer *talkers; /* have something to say once all promises are looked at */
        uint64_t batch_number;     /* of the batch that is being filled */
        bool is_stopped;
};

struct relp_server {
        struct relp_options options; /* its texts are: */
        char *name, *label;          /* "imrelp[2514]", for reports */
        struct tls_context *tls;     /* NULL: in the clear */
        uint32_t message_bytes_max;  /* global(maxMessageSize) */
        const struct host_facts *facts;
        struct listening_limit limit;
        struct acceptor acceptor;
        struct relp_worker *workers;
        unsigned worker_count, next_worker;
        atomic_uint sessions;
        struct module_log *log;
        struct counter *counters;
};

int relp_server_new(struct relp_server **ret, const struct input_host *host, const struct relp_options *options);
struct relp_server *relp_server_free(struct relp_server *server);
OWNED_POINTER(struct relp_server, relp_server_free);

int relp_server_listen(struct relp_server *server, const struct socket_place *place);

/* Operations of the module, whose instances are servers; on loop 0's thread. */
int relp_server_start(void *server);
void relp_server_retire(void *server);
void relp_server_stop(void *server);
/* HUP: reads the certificates again. */
void relp_server_reload(void *server);
void relp_server_close(void *server);
struct ratelimit *relp_server_limit(void *server);
unsigned relp_server_sessions(void *server);

static inline void relp_count(struct relp_server *server, enum relp_counter which, uint64_t n) {
        if (n)
                counter_add(&server->counters[which], n);
}
