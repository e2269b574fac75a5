/*
 * Connecting out: names become addresses, addresses become connected sockets,
 * with the options that users may set for them. Every wait is bounded; names are
 * asked anew each time, so that a server that moved is found again.
 *
 * May block (getaddrinfo, the time-out): for workers only, never on a loop.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/text.h"

enum {
        CONNECT_WAIT_MS = 10000,
        CONNECT_ADDRESSES_MAX = 16, /* of one name that are tried */
};

/* How a socket is made. Strings may be NULL; numbers 0 leave the system's setting. */
struct connect_rules {
        int type;                  /* SOCK_STREAM, SOCK_DGRAM */
        int family;                /* AF_UNSPEC, AF_INET, AF_INET6 */
        const char *local_address; /* to bind to, name or number */
        int freebind;              /* IP_FREEBIND: 0 never, 1 where needed, 2 where needed, and say so */
        const char *device;        /* SO_BINDTODEVICE */
        const char *network_namespace;
        bool keeps_alive;
        int keepalive_probes, keepalive_time_s, keepalive_interval_s;
        int user_timeout_ms; /* TCP_USER_TIMEOUT */
        int dscp;            /* DSCP of outgoing packets, 0 to 63 */
        int send_buffer_bytes;
        int wait_ms; /* of one connect; 0: CONNECT_WAIT_MS */
};

/* Addresses of a name. -ENXIO when it has none; *complaint (appended) says why. Free with freeaddrinfo(). */
int connect_resolve(struct addrinfo **ret, const struct connect_rules *rules, const char *host, const char *port,
                    struct buffer *complaint);

/*
 * A connected, non-blocking, close-on-exec socket to one address. -errno; *complaint (appended) tells what a
 * plain errno does not: which option could not be set. It may hold a remark on success, too.
 */
int connect_address(int *ret, const struct connect_rules *rules, const struct addrinfo *address,
                    struct buffer *complaint);

/* Both: the first address that answers. */
int connect_host(int *ret, const struct connect_rules *rules, const char *host, const char *port,
                 struct buffer *complaint);

/*
 * A connected socket to a Unix socket; `is_abstract`: a name without a file. `type` is SOCK_DGRAM, SOCK_STREAM or
 * SOCK_SEQPACKET. -ENAMETOOLONG when the name does not fit.
 */
int connect_unix(int *ret, int type, const char *name, bool is_abstract, const char *network_namespace, int wait_ms,
                 struct buffer *complaint);

/* ---- Sending ------------------------------------------------------------ */

/*
 * Waits for one of `events` (poll(2)), at most wait_ms. 0, -EAGAIN when none came, -ECANCELED when only hurry_fd was
 * readable (0: there is none), or -errno.
 */
int connect_await(int fd, short events, int wait_ms, int hurry_fd);
/*
 * Sends bytes on a connected stream, waiting for room as long as something moves and `wait_ms` without, or until
 * hurry_fd can be read (0: there is none). *sent tells how many bytes the system took. 0, -EAGAIN when nothing moved
 * for so long, -ECANCELED, or -errno: it is broken.
 */
int connect_send(int fd, struct text bytes, int wait_ms, int hurry_fd, size_t *sent);

/* Whether the peer of a stream still holds it: false once it closed or reset it. What it sent is thrown away. */
bool connect_is_alive(int fd);

/*
 * Datagrams on a connected socket: how many the system took (at least one), or -errno of the first; -EAGAIN when
 * there was no room for `wait_ms`.
 */
struct mmsghdr;
int connect_send_many(int fd, struct mmsghdr *messages, unsigned count, int wait_ms);
/* Closes and returns -1. */
int connect_close(int fd);
