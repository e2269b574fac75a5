#include "io/unix_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/macros.h"

static int address_of(struct sockaddr_un *ret, socklen_t *size, const char *path) {
        size_t length = strlen(path);
        if (length == 0)
                return -EINVAL;
        if (length >= sizeof ret->sun_path)
                return -ENAMETOOLONG;
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret->sun_path, path, length);
        *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
        if (path[0] == '@') {
                /* The name of an abstract socket has no NUL at its end: it would be part of the name. */
                ret->sun_path[0] = '\0';
                (*size)--;
        }
        return 0;
}

static int open_socket(void) {
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int unix_stream_listen(int *ret, const char *path) {
        struct sockaddr_un address;
        socklen_t size;
        int r = address_of(&address, &size, path);
        if (r)
                return fail(r);
        _owned_(descriptor_close) int fd = open_socket();
        if (fd < 0)
                return fail(-errno);
        if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, UNIX_STREAM_BACKLOG) < 0)
                return fail(-errno);
        *ret = fd;
        fd = -1;
        return 0;
}

int unix_stream_connect(int *ret, const char *path) {
        struct sockaddr_un address;
        socklen_t size;
        int r = address_of(&address, &size, path);
        if (r)
                return fail(r);
        _owned_(descriptor_close) int fd = open_socket();
        if (fd < 0)
                return fail(-errno);
        /* That nobody listens is an everyday answer, so it leaves no failure trace. */
        if (connect(fd, (struct sockaddr *)&address, size) < 0)
                return -errno;
        *ret = fd;
        fd = -1;
        return 0;
}

int unix_stream_accept(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

int unix_stream_pair(int pair[2]) {
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ? fail(-errno) : 0;
}

int unix_stream_peer(int fd, struct unix_peer *ret) {
        struct ucred credentials;
        socklen_t size = sizeof credentials;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return fail(-errno);
        *ret = (struct unix_peer){credentials.pid, credentials.uid, credentials.gid};
        return 0;
}

int unix_stream_peer_groups(int fd, gid_t *groups, size_t capacity) {
        socklen_t size = (socklen_t)(capacity * sizeof *groups);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return -errno;
        return (int)(size / sizeof *groups);
}

/* One control message of descriptors is all that can come: the kernel ends a read behind it. */
union control {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(UNIX_STREAM_FDS_MAX * sizeof(int))];
};

static void take_descriptors(struct msghdr *message, int *fds, size_t *fd_count) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t bytes = c->cmsg_len - CMSG_LEN(0);
                assert(*fd_count + bytes / sizeof(int) <= UNIX_STREAM_FDS_MAX);
                memcpy(fds + *fd_count, CMSG_DATA(c), bytes);
                *fd_count += bytes / sizeof(int);
        }
}

ssize_t unix_stream_receive(int fd, struct iovec *pieces, size_t piece_count, int *fds, size_t *fd_count) {
        union control control;
        struct msghdr message = {
                .msg_iov = pieces,
                .msg_iovlen = piece_count,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };
        *fd_count = 0;
        ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (size < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        if (LIKELY(message.msg_controllen == 0 && !(message.msg_flags & MSG_CTRUNC)))
                return size;
        take_descriptors(&message, fds, fd_count);
        if (!(message.msg_flags & MSG_CTRUNC))
                return size;
        while (*fd_count > 0)
                close(fds[--*fd_count]);
        return fail(-EMFILE);
}

ssize_t unix_stream_send(int fd, const struct iovec *pieces, size_t piece_count, const int *fds, size_t fd_count) {
        union control control;
        struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = piece_count};
        assert(fd_count <= UNIX_STREAM_FDS_MAX);
        if (fd_count > 0) {
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
                memset(control.bytes, 0, message.msg_controllen);
                control.head = (struct cmsghdr){
                        .cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                };
                memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
        }
        ssize_t size = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        return size;
}

bool unix_stream_await(int fd, short events, int timeout_ms) {
        struct pollfd one = {.fd = fd, .events = events};
        return poll(&one, 1, timeout_ms) > 0;
}

int unix_stream_send_buffer(int fd, int bytes) {
        /* FORCE steps over the system's limit but needs privilege; without it, as large as may be. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0)
                return 0;
        return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) < 0 ? -errno : 0;
}

int unix_stream_duplicate(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return copy < 0 ? -errno : copy;
}

int unix_stream_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

int unix_stream_inherit(int fd) {
        int is_listening;
        socklen_t size = sizeof is_listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0)
                return fail(-errno);
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return fail(-errno);
        return 0;
}

int unix_stream_mode(const char *path, mode_t mode) {
        return chmod(path, mode) < 0 ? fail(-errno) : 0;
}

int unix_datagram_send(const char *path, const char *text) {
        struct sockaddr_un address;
        socklen_t size;
        int r = address_of(&address, &size, path);
        if (r)
                return fail(r);
        _owned_(descriptor_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail(-errno);
        if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
                return fail(-errno);
        return 0;
}
