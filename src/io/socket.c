#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"
#include "io/heirloom.h"

static const char NETWORK_NAMESPACES[] = "/var/run/netns/";
static const char RECEIVE_LIMIT[] = "/proc/sys/net/core/rmem_max";

int socket_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

void socket_set_fini(struct socket_set *set) {
        for (size_t i = 0; i < set->count; i++)
                socket_close(set->fd[i]);
        set->count = 0;
}

static int set_int(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* ---- Namespaces: a thread steps over, makes its socket, and steps back ---- */

struct visit {
        int home_fd; /* -1: nowhere else */
};

static int visit_begin(struct visit *visit, const char *name) {
        visit->home_fd = -1;
        if (!name || !*name)
                return 0;
        _owned_(buffer_fini) struct buffer path = {0};
        buffer_format(&path, "%s%s", NETWORK_NAMESPACES, name);
        if (buffer_failed(&path))
                return fail(-ENOMEM);
        _owned_(descriptor_close) int there = open(buffer_string(&path), O_RDONLY | O_CLOEXEC);
        if (there < 0)
                return fail(-errno);
        int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (home < 0)
                return fail(-errno);
        if (setns(there, CLONE_NEWNET) < 0) {
                int error = -errno;
                close(home);
                return fail(error);
        }
        visit->home_fd = home;
        return 0;
}

static int visit_end(struct visit *visit) {
        if (visit->home_fd < 0)
                return 0;
        int r = setns(visit->home_fd, CLONE_NEWNET) < 0 ? -errno : 0;
        visit->home_fd = socket_close(visit->home_fd);
        return r ? fail(r) : 0;
}

/* ---- Internet sockets ---- */

static int set_receive_buffer(int fd, int64_t bytes) {
        if (bytes <= 0)
                return 0;
        int size = (int)MIN(bytes, (int64_t)INT32_MAX / 2);
        /* FORCE steps over the system's limit but needs privilege. */
        if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, size) == 0)
                return 0;
        return set_int(fd, SOL_SOCKET, SO_RCVBUF, size);
}

/* What a socket may ask for without privilege; 0: not known. */
static int64_t receive_limit(void) {
        char digits[24] = "";
        _owned_(descriptor_close) int fd = open(RECEIVE_LIMIT, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, digits, sizeof digits - 1) <= 0)
                return 0;
        return strtoll(digits, NULL, 10);
}

/* The kernel takes twice what it is asked for, the half for its own bookkeeping, and tells of the double. */
static void grow_receive_buffer(int fd, int64_t wished) {
        int64_t has = socket_receive_buffer(fd) / 2;
        if (has >= wished || set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)MIN(wished, (int64_t)INT32_MAX / 2)) == 0)
                return;
        int64_t permitted = MIN(wished, receive_limit());
        if (permitted > has)
                set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)permitted);
}

static int set_options(int fd, const struct addrinfo *at, const struct socket_place *place) {
        int r = 0;
        if (at->ai_family == AF_INET6)
                r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (r == 0)
                r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (r == 0 && place->shares_port)
                r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (r == 0)
                r = set_receive_buffer(fd, place->receive_bytes);
        if (r == 0 && place->receive_bytes <= 0)
                grow_receive_buffer(fd, place->receive_bytes_wished);
        if (r == 0 && place->device && *place->device &&
            setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, place->device, (socklen_t)strlen(place->device) + 1) < 0)
                r = -errno;
        return r ? fail(r) : 0;
}

static int bind_address(int fd, const struct sockaddr *address, socklen_t size, enum free_bind free_bind,
                        bool *is_free_bound) {
        if (bind(fd, address, size) == 0)
                return 0;
        if (errno != EADDRNOTAVAIL || free_bind == FREE_BIND_NEVER)
                return fail(-errno);
        int r = set_int(fd, IPPROTO_IP, IP_FREEBIND, 1);
        if (r)
                return fail(r);
        if (bind(fd, address, size) < 0)
                return fail(-errno);
        *is_free_bound = true;
        return 0;
}

static void set_port(struct sockaddr_storage *address, unsigned port) {
        if (address->ss_family == AF_INET)
                ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
        else
                ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
}

static unsigned bound_port(int fd) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return 0;
        if (address.ss_family == AF_INET)
                return ntohs(((struct sockaddr_in *)&address)->sin_port);
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

static void add_socket(struct socket_set *set, int fd) {
        if (!set->port)
                set->port = bound_port(fd);
        set->fd[set->count++] = fd;
}

static int open_one(struct socket_set *set, const struct addrinfo *at, const struct socket_place *place) {
        _owned_(descriptor_close) int fd =
                socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0)
                return fail(-errno);
        int r = set_options(fd, at, place);
        if (r)
                return pass(r);
        struct sockaddr_storage address;
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        /* "Any free port" means the same one for every address. */
        if (set->port)
                set_port(&address, set->port);
        int heirloom = heirloom_claim(at->ai_socktype, (struct sockaddr *)&address, at->ai_addrlen, fd);
        if (heirloom >= 0) {
                add_socket(set, heirloom);
                return 0;
        }
        r = bind_address(fd, (struct sockaddr *)&address, at->ai_addrlen, place->free_bind, &set->is_free_bound);
        if (r)
                return pass(r);
        if (at->ai_socktype == SOCK_STREAM && listen(fd, place->backlog) < 0)
                return fail(-errno);
        add_socket(set, fd);
        fd = -1;
        return 0;
}

static void free_addresses(struct addrinfo **found) {
        if (*found)
                freeaddrinfo(*found);
}

static int open_all(struct socket_set *set, const struct socket_place *place, int type) {
        bool is_any = !place->address || !*place->address || strcmp(place->address, "*") == 0;
        struct addrinfo hints = {.ai_family = place->family, .ai_socktype = type, .ai_flags = AI_PASSIVE};
        __attribute__((cleanup(free_addresses))) struct addrinfo *found = NULL;
        int unknown = getaddrinfo(is_any ? NULL : place->address, place->port, &hints, &found);
        if (unknown)
                return fail(unknown == EAI_SYSTEM ? -errno : unknown == EAI_MEMORY ? -ENOMEM : -ENOENT);
        for (const struct addrinfo *at = found; at && set->count < SOCKETS_MAX; at = at->ai_next) {
                int r = open_one(set, at, place);
                /* A kernel without IPv6 is no failure: the user did not ask for it. */
                if (r == -EAFNOSUPPORT)
                        continue;
                set->tried++;
                if (r) {
                        set->error = r;
                        set->family_of_error = at->ai_family;
                }
        }
        if (set->count == 0)
                return fail(set->error ? set->error : -EAFNOSUPPORT);
        return 0;
}

static int open_place(struct socket_set *ret, const struct socket_place *place, int type) {
        struct socket_set set = {0};
        struct visit visit;
        int r = visit_begin(&visit, place->network_namespace);
        if (r)
                return pass(r);
        r = open_all(&set, place, type);
        int back = visit_end(&visit);
        if (r || back) {
                socket_set_fini(&set);
                return pass(r ? r : back);
        }
        *ret = set;
        return 0;
}

int socket_listen_tcp(struct socket_set *ret, const struct socket_place *place) {
        return open_place(ret, place, SOCK_STREAM);
}

int socket_bind_udp(struct socket_set *ret, const struct socket_place *place) {
        return open_place(ret, place, SOCK_DGRAM);
}

/* ---- Unix sockets ---- */

static int set_access(const struct unix_place *place) {
        if (chmod(place->path, place->mode) < 0)
                return fail(-errno);
        if ((place->owner >= 0 || place->group >= 0) &&
            chown(place->path, (uid_t)place->owner, (gid_t)place->group) < 0)
                return fail(-errno);
        return 0;
}

int socket_listen_unix(int *ret, const struct unix_place *place) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t size = strlen(place->path);
        if (size == 0 || size >= sizeof address.sun_path)
                return fail(-ENAMETOOLONG);
        memcpy(address.sun_path, place->path, size);
        int heirloom = heirloom_claim_unix(SOCK_STREAM, place->path);
        if (heirloom >= 0) {
                *ret = heirloom;
                return 0;
        }
        _owned_(descriptor_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail(-errno);
        if (place->unlinks && unlink(place->path) < 0 && errno != ENOENT)
                return fail(-errno);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return fail(-errno);
        int r = set_access(place);
        if (r && place->must_change_owner) {
                unlink(place->path);
                return pass(r);
        }
        if (listen(fd, place->backlog) < 0)
                return fail(-errno);
        *ret = fd;
        fd = -1;
        return 0;
}

void socket_unlink(const char *path) {
        unlink(path);
}

/* ---- Connections and datagrams ---- */

int socket_accept(int listener, struct sockaddr_storage *peer, socklen_t *peer_size) {
        *peer = (struct sockaddr_storage){0};
        *peer_size = sizeof *peer;
        int fd = accept4(listener, (struct sockaddr *)peer, peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int socket_keepalive(int fd, const struct keepalive *keepalive) {
        if (!keepalive->is_on)
                return 0;
        int r = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        if (r == 0 && keepalive->probes > 0)
                r = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)keepalive->probes);
        if (r == 0 && keepalive->time_s > 0)
                r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)keepalive->time_s);
        if (r == 0 && keepalive->interval_s > 0)
                r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)keepalive->interval_s);
        return r ? fail(r) : 0;
}

static int set_tcp(int fd, int option) {
        int one = 1;
        return setsockopt(fd, IPPROTO_TCP, option, &one, sizeof one) < 0 ? fail(-errno) : 0;
}

int socket_send_at_once(int fd) {
        return set_tcp(fd, TCP_NODELAY);
}

int socket_confirm_at_once(int fd) {
        return set_tcp(fd, TCP_QUICKACK);
}

int socket_unconfirmed(int fd) {
        int bytes = 0;
        return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

ssize_t socket_receive(int fd, void *to, size_t size) {
        ssize_t got;
        do
                got = recv(fd, to, size, 0);
        while (got < 0 && errno == EINTR);
        return got < 0 ? -errno : got;
}

int socket_receive_many(int fd, struct mmsghdr *messages, unsigned count) {
        int got = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
        return got < 0 ? -errno : got;
}

bool socket_receive_trains(int fd) {
        return set_int(fd, SOL_UDP, UDP_GRO, 1) == 0;
}

size_t socket_train_step(const struct msghdr *message) {
        const struct cmsghdr *note = CMSG_FIRSTHDR(message);
        if (!note || note->cmsg_level != SOL_UDP || note->cmsg_type != UDP_GRO ||
            note->cmsg_len < CMSG_LEN(sizeof(int)))
                return 0;
        int step;
        memcpy(&step, CMSG_DATA(note), sizeof step);
        return step > 0 ? (size_t)step : 0;
}

int socket_receive_buffer(int fd) {
        int bytes = 0;
        socklen_t size = sizeof bytes;
        return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) < 0 ? 0 : bytes;
}

int socket_dropped(int fd, uint32_t *ret) {
        uint32_t facts[SK_MEMINFO_VARS] = {0};
        socklen_t size = sizeof facts;
        if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, facts, &size) < 0)
                return fail(-errno);
        *ret = facts[SK_MEMINFO_DROPS];
        return 0;
}

int socket_family(int fd) {
        int family = AF_UNSPEC;
        socklen_t size = sizeof family;
        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0 ? AF_UNSPEC : family;
}

/* ---- The port file ---- */

static int write_number(const char *file_name, unsigned number) {
        _owned_(descriptor_close) int fd = open(file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return fail(-errno);
        _owned_(buffer_fini) struct buffer digits = {0};
        buffer_int(&digits, number);
        if (buffer_failed(&digits))
                return fail(-ENOMEM);
        ssize_t written = write(fd, digits.data, digits.size);
        if (written != (ssize_t)digits.size)
                return fail(written < 0 ? -errno : -ENOSPC);
        return 0;
}

int socket_write_port(const char *file_name, unsigned port) {
        _owned_(buffer_fini) struct buffer temporary = {0};
        buffer_format(&temporary, "%s.tmp", file_name);
        if (buffer_failed(&temporary))
                return fail(-ENOMEM);
        const char *name = buffer_string(&temporary);
        int r = write_number(name, port);
        if (r == 0 && rename(name, file_name) < 0)
                r = fail(-errno);
        if (r)
                unlink(name);
        return r;
}
