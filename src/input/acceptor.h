/*
 * An acceptor: the sockets on which an input takes connections, watched on one
 * loop. Where descriptors or memory run out it rests for a second instead of
 * being ready for ever.
 */
#pragma once

#include "input/listening.h"
#include "io/loop.h"

enum {
        ACCEPTS_A_ROUND = 256,  /* then the connections there are get their turn */
        ACCEPT_AGAIN_MS = 1000, /* pause when descriptors or memory ran out */
};

struct acceptor;

struct acceptor_listener {
        struct watch watch;
        struct acceptor *acceptor;
};

struct acceptor {
        /* A connection; takes fd. */
        void (*accepted)(struct acceptor *a, int fd, const struct sockaddr_storage *peer, socklen_t size);
        /* One could not be accepted on a socket of this family, which is reported already. */
        void (*failed)(struct acceptor *a, int family);
        struct loop *loop;
        const char *who; /* before reports; lent */
        struct module_log *log;
        struct acceptor_listener listeners[SOCKETS_MAX];
        size_t count;
        struct timer again;
};

/* Takes a socket, which is watched from acceptor_start() on. At most SOCKETS_MAX. */
void acceptor_add(struct acceptor *a, int fd);
/* Takes the sockets of a set. */
void acceptor_add_set(struct acceptor *a, struct socket_set *set);
/* On the loop's thread. -ENOMEM... of loop_watch(). */
int acceptor_start(struct acceptor *a);
/* On the loop's thread, as often as one likes: nothing is accepted any more. */
void acceptor_stop(struct acceptor *a);
/* Closes what was never started. */
void acceptor_fini(struct acceptor *a);
