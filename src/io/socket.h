/*
 * Sockets that receive: listeners for TCP, UDP and unix streams, and the few
 * calls on them. All are close-on-exec and do not block. Functions take plain
 * facts and report nothing; negative errno, and the caller words it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/macros.h"

enum { SOCKETS_MAX = 16 }; /* that one name and port may lead to */

enum free_bind {
        FREE_BIND_NEVER,
        FREE_BIND_SILENT, /* an address that this machine has not is bound too */
        FREE_BIND_TOLD,   /* the same, and is_free_bound says that it happened */
};

struct socket_place {
        int family;                    /* AF_UNSPEC, AF_INET, AF_INET6 */
        const char *address;           /* name or number; NULL, "" or "*": all addresses */
        const char *port;              /* number or service name; "0": any free one */
        const char *device;            /* SO_BINDTODEVICE; NULL: none */
        const char *network_namespace; /* of ip-netns(8); NULL: our own */
        enum free_bind free_bind;
        bool shares_port;             /* SO_REUSEPORT: several threads, one socket each */
        int backlog;                  /* TCP */
        int64_t receive_bytes;        /* size of the kernel's buffer; 0: as it is */
        int64_t receive_bytes_wished; /* where the former is 0: as much of this as is permitted, never less than it is
                                       */
};

struct socket_set {
        int fd[SOCKETS_MAX];
        size_t count;
        size_t tried;       /* addresses that were found */
        unsigned port;      /* that the first is bound to */
        bool is_free_bound; /* an address was bound that this machine has not */
        int error;          /* the last failure, negative, of those that are missing */
        int family_of_error;
};

/* All addresses that the place names, at least one; the failure of the last otherwise. -ENOENT: the name is unknown. */
int socket_listen_tcp(struct socket_set *ret, const struct socket_place *place);
int socket_bind_udp(struct socket_set *ret, const struct socket_place *place);
void socket_set_fini(struct socket_set *set);
OWNED_VALUE(struct socket_set, socket_set_fini);

struct unix_place {
        const char *path;
        bool unlinks; /* what is in the way is removed */
        int backlog;
        mode_t mode;
        int64_t owner, group;   /* -1: as they are */
        bool must_change_owner; /* a failure to set mode, owner or group is a failure */
};
int socket_listen_unix(int *ret, const struct unix_place *place);
/* Removes the name of a unix socket that is closed. */
void socket_unlink(const char *path);

/* The next connection; -EAGAIN when there is none. *peer is zeroed where it is unknown. */
int socket_accept(int listener, struct sockaddr_storage *peer, socklen_t *peer_size);

struct keepalive {
        bool is_on;
        int64_t probes, time_s, interval_s; /* 0: as the kernel does it */
};
int socket_keepalive(int fd, const struct keepalive *keepalive);

/* TCP: what is sent leaves at once, however small it is (TCP_NODELAY). */
int socket_send_at_once(int fd);
/* TCP: what was received so far is confirmed at once (TCP_QUICKACK, which the kernel forgets again by itself). */
int socket_confirm_at_once(int fd);

/* TCP: bytes that were sent and that the peer's system has not confirmed; closing with something unread loses them. */
int socket_unconfirmed(int fd);

/* Bytes, 0 at the end of the stream, -EAGAIN, or the failure. */
ssize_t socket_receive(int fd, void *to, size_t size);
/* As recvmmsg(): how many datagrams, -EAGAIN, or the failure. */
int socket_receive_many(int fd, struct mmsghdr *messages, unsigned count);
/*
 * UDP: datagrams of one sender and one size that came together are received as one message, a train: one walk through
 * the kernel and one copy for up to 64 of them. False: the kernel has no trains, and each comes alone.
 */
bool socket_receive_trains(int fd);
/* The bytes of a datagram within the train that was received (the last may have fewer); 0: it is no train. */
size_t socket_train_step(const struct msghdr *message);
/* Bytes that the kernel keeps for a socket before it drops; 0 where it does not say. */
int socket_receive_buffer(int fd);
/* How many datagrams the kernel had to drop on a socket since it was opened, a number that wraps. A train is one. */
int socket_dropped(int fd, uint32_t *ret);
/* AF_INET, AF_INET6, AF_UNIX...; AF_UNSPEC where it is no socket. */
int socket_family(int fd);
/* Closes; always -1, to be assigned. */
int socket_close(int fd);

/* Writes the number of a port to a file, in one step: who reads it never sees a part. */
int socket_write_port(const char *file_name, unsigned port);
