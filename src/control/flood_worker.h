/*
 * A worker of flood: one thread, with the connections that are its own.
 *
 *   READY   -> READY       all was taken, back to the end of the ring      worker_turn()
 *   READY   -> BLOCKED     the socket is full                              worker_turn()
 *   BLOCKED -> READY       the socket has room again                       worker_wait()
 *   READY   -> WAITING     RELP: the window is full, or all is sent        worker_turn()
 *   WAITING -> READY       an answer came                                  worker_wait()
 *   READY   -> FINISHED    all messages are sent and, where there are answers, answered; or the peer is gone
 *                                                                          worker_turn()
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/flood_ledger.h"
#include "control/flood_relp.h"
#include "control/flood_settings.h"
#include "control/flood_text.h"
#include "control/flood_wire.h"

struct connection {
        uint64_t quota;
        uint64_t sent;    /* Whole messages. */
        uint32_t partial; /* Bytes of the next message that are already sent. */
        uint32_t number;
        uint32_t refusals;
        struct wire wire;
        struct relp_ear ear;
        bool is_queued;
        bool is_finished;
};

struct pace {
        uint64_t rate;
        uint64_t start_ns;
        uint64_t sent;
};

struct worker {
        const struct settings *settings;
        struct block block;
        struct pace pace;
        struct connection **ring; /* Those that are ready, oldest first. */
        uint32_t ring_head, ring_count, ring_size;
        uint32_t active;
        uint32_t turns_to_poll;
        uint32_t batch;
        int epoll;
        pthread_t thread;
        struct ledger ledger;
        uint64_t sent, bytes, refused, lost, acknowledged, rejected;
        bool is_stopped;
};

uint64_t clock_ns(void);

/* Opens a connection for the worker that will have it. 0 or -errno. */
int connection_open(struct connection *c, const struct settings *s, struct tls_context *context);
void connection_fini(struct connection *c);

/* `signals`: readable when the run is to end. */
int worker_init(struct worker *w, const struct settings *s, uint32_t index, int signals);
void worker_fini(struct worker *w);
int worker_add(struct worker *w, struct connection *c);
/* Sends until all is sent, time is over, or a signal came. 0 or -errno. */
int worker_run(struct worker *w);
