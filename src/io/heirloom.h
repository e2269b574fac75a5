/*
 * Heirlooms: sockets that the process before us handed over, so that nothing is
 * lost while one replaces the other. Whoever opens a socket asks first whether it is
 * there already: bound to the same address, of the same type, in the same network
 * namespace, listening if it shall listen.
 *
 *   OFFERED -> CLAIMED   heirloom_claim(): it is the caller's
 *   OFFERED -> (closed)  heirlooms_close(): nobody wanted it
 *
 * As with the sockets of a service manager, which are there is told by the environment
 * (PENSTOCK_HEIRLOOMS); one that is offered is not close-on-exec yet. For the time of
 * start, when one thread opens everything.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

enum { HEIRLOOMS_MAX = 4096 };

/* Takes the descriptors over. -ENOMEM: they are closed. */
int heirlooms_offer(const int *fds, size_t count);
/*
 * The socket with that type and address, -1 when there is none. `like` is a socket of the same namespace and
 * protocol; port 0 means any.
 */
int heirloom_claim(int type, const struct sockaddr *address, socklen_t size, int like);
/* The same for a unix socket by its path. */
int heirloom_claim_unix(int type, const char *path);
/* Closes those that nobody claimed; how many. */
size_t heirlooms_close(void);

/* The sockets of this process that are worth handing over: those that listen, and bound ones of datagrams. */
size_t heirlooms_find(int *fds, size_t capacity);
