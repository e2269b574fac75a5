/*
 * One session of imrelp.
 *
 *   GREETING -> OPEN      the sender's offers are taken      greet()
 *   OPEN     -> OPEN      messages in, answers out           take_message(), peer_keep()
 *   OPEN     -> LEAVING   the sender said `close`            leave()
 *   LEAVING  -> (ended)   all is answered, `close` too       say_good_bye()
 *   any      -> (ended)   no RELP, the connection ended or broke
 *
 * Messages are read straight into the batch. Their answers wait for the promises
 * of the batches and go out in the order of their numbers, many in one send.
 */
#pragma once

#include "input/imrelp_server.h"
#include "input/part.h"
#include "io/relp.h"
#include "io/tls_watch.h"

enum peer_state { PEER_GREETING, PEER_OPEN, PEER_LEAVING };

struct relp_peer {
        struct watch watch;
        struct relp_worker *worker;
        struct relp_peer *next, **link; /* in worker->peers; link NULL: not in there */
        struct relp_peer *next_talker;
        bool is_talker; /* in worker->talkers */
        struct source *source;
        struct tls_watch *tls; /* NULL: in the clear */
        enum peer_state state;
        bool is_held;  /* too much is unanswered or unsent: nothing is read */
        bool has_left; /* good-bye is said */
        uint32_t txnr; /* of the last command */
        uint32_t unanswered;
        struct relp_scanner scanner;
        struct part part;                  /* of a frame that has not ended */
        size_t part_wanted;                /* so large it will be */
        struct relp_promise *first, **end; /* in the order of numbers */
        struct relp_promise *growing;      /* the last of them, while its batch has batch_number and is being filled */
        uint64_t batch_number;
        struct buffer out; /* answers */
        size_t out_sent;
};

/* Takes fd and source on success. */
int peer_new(struct relp_peer **ret, struct relp_worker *worker, int fd, struct source *source);
/* Frees without a word; the loop must not watch it any more. */
struct relp_peer *peer_free(struct relp_peer *p);
OWNED_POINTER(struct relp_peer, peer_free);

/* All on the worker's thread. */
void peer_start(struct relp_peer *p); /* begins to read; frees the session when that fails */
void peer_end(struct relp_peer *p);   /* closes and frees */
/* Its promise is kept: what can be answered now becomes bytes to be sent by peer_talk(). */
void peer_keep(struct relp_peer *p);
/* Sends what there is to say; may end the session. */
void peer_talk(struct relp_peer *p);
/* The input stops: tells the sender so, behind the last answers. */
void peer_say_farewell(struct relp_peer *p);
/* Whether something that was said has not arrived at the sender's system. */
bool peer_is_unheard(const struct relp_peer *p);
