/*
 * A RELP client over a connection: for workers, because it waits.
 *
 *   CLOSED -> OPEN     connected, and the peer took our offers   relp_client_open()
 *   OPEN   -> OPEN     rows out, answers in                      relp_client_exchange()
 *   OPEN   -> CLOSED   good-bye said and answered                relp_client_close()
 *   OPEN   -> CLOSED   the connection broke, or the peer was silent for too long
 *
 * An exchange ends with nothing unanswered, or with a broken connection: then the
 * caller knows of each row whether the peer has taken it over, and sends those that
 * it has not again, in a new session.
 */
#pragma once

#include "io/channel.h"
#include "io/relp_session.h"

enum {
        RELP_SEND_BYTES = 64 << 10,    /* frames that are made before they are sent */
        RELP_RECEIVE_BYTES = 16 << 10, /* answers that are read at once */
        RELP_CLOSE_WAIT_MS = 1000,     /* for the answer to `close` */
};

/* Lent for the client's life. */
struct relp_client_rules {
        struct connect_rules connect;
        struct tls_context *tls; /* NULL: in the clear */
        const char *host, *port;
        uint32_t window; /* 0: RELP_WINDOW_DEFAULT */
        int silence_ms;  /* a peer that answers nothing for so long is gone */
};

enum relp_row { RELP_ROW_WAITING, RELP_ROW_TAKEN, RELP_ROW_REFUSED };

struct relp_client {
        const struct relp_client_rules *rules;
        struct relp_session session;
        size_t out_sent; /* of session.out */
        struct channel channel;
        int hurry_fd;     /* readable once the client is hurried */
        char refusal[96]; /* the peer's words for the row that it refused last */
};

/* -errno. */
int relp_client_init(struct relp_client *c, const struct relp_client_rules *rules);
/* Says nothing to the peer. */
void relp_client_fini(struct relp_client *c);

static inline bool relp_client_is_open(const struct relp_client *c) {
        return c->channel.fd >= 0;
}

/* -errno; *complaint (appended) tells what the errno does not. CLOSED before. */
int relp_client_open(struct relp_client *c, struct buffer *complaint);

/*
 * Sends every row whose state is RELP_ROW_WAITING, in order, and sets the states as
 * answers come. 0: none waits any more, or one was refused; then no row behind the
 * last that was sent is tried. -errno: the client is CLOSED, and what still waits
 * was not taken over.
 */
int relp_client_exchange(struct relp_client *c, const struct text *rows, uint8_t *states, size_t count,
                         struct buffer *complaint);

/* The daemon ends: every wait, of now and from now on, fails with -ECANCELED at once. Any thread. */
void relp_client_hurry(struct relp_client *c);

/* Ends the session and closes. */
void relp_client_close(struct relp_client *c);
/* Only closes. */
void relp_client_drop(struct relp_client *c);
