/*
 * Unix stream sockets that carry bytes and descriptors: what the bus needs of the
 * kernel. All sockets are close-on-exec and do not block. Negative errno; the
 * caller words it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
        UNIX_STREAM_FDS_MAX = 253,   /* SCM_MAX_FD: the kernel takes no more in one call */
        UNIX_STREAM_GROUPS_MAX = 64, /* of a peer; the rest is not looked at */
        UNIX_STREAM_BACKLOG = 1024,
};

/* A path of up to 107 bytes; "@name" is abstract. -ENAMETOOLONG. */
int unix_stream_listen(int *ret, const char *path);
int unix_stream_connect(int *ret, const char *path);
/* -EAGAIN: nobody waits. */
int unix_stream_accept(int listener);
int unix_stream_pair(int pair[2]);

struct unix_peer {
        pid_t pid;
        uid_t uid;
        gid_t gid;
};
int unix_stream_peer(int fd, struct unix_peer *ret);
/* The supplementary groups of the peer: how many. -errno. */
int unix_stream_peer_groups(int fd, gid_t *groups, size_t capacity);

/*
 * Receives bytes, and the descriptors that ride on them: *fd_count of them, at most UNIX_STREAM_FDS_MAX, are
 * the caller's. 0 at the end of the stream; -EAGAIN; -EMFILE when descriptors were lost because this process
 * may have no more: those that did arrive are closed.
 */
ssize_t unix_stream_receive(int fd, struct iovec *pieces, size_t piece_count, int *fds, size_t *fd_count);
/* Sends what the socket takes at once, and with its first byte the descriptors, which stay the caller's. */
ssize_t unix_stream_send(int fd, const struct iovec *pieces, size_t piece_count, const int *fds, size_t fd_count);

/* Waits for events of poll(2): true when there are any. */
bool unix_stream_await(int fd, short events, int timeout_ms);
int unix_stream_send_buffer(int fd, int bytes);
int unix_stream_duplicate(int fd); /* -errno */
int unix_stream_close(int fd);     /* always -1 */

/* Takes over a socket that another process has opened: close-on-exec, non-blocking. -ENOTSOCK. */
int unix_stream_inherit(int fd);
int unix_stream_mode(const char *path, mode_t mode); /* of the file */
/* One datagram to a path, or "@name"; for sd_notify. */
int unix_datagram_send(const char *path, const char *text);
