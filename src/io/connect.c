#include "io/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"

/* ---- Network namespaces: a thread visits one and comes back --------------- */

static int namespace_enter(const char *name, int *home, struct buffer *complaint) {
        char path[512];
        if (snprintf(path, sizeof path, "/var/run/netns/%s", name) >= (int)sizeof path)
                return fail(-ENAMETOOLONG);
        _owned_(descriptor_close) int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (back < 0)
                return fail(-errno);
        _owned_(descriptor_close) int there = open(path, O_RDONLY | O_CLOEXEC);
        if (there < 0 || setns(there, CLONE_NEWNET) < 0) {
                int error = errno;
                buffer_format(complaint, "could not change to namespace '%s'", name);
                return fail(-error);
        }
        *home = back;
        back = -1;
        return 0;
}

/* A thread that cannot come home would open every later socket in the wrong network. */
static void namespace_leave(int *home) {
        if (*home < 0)
                return;
        int r = setns(*home, CLONE_NEWNET);
        assert(r == 0);
        close(*home);
        *home = -1;
}

/* ---- Names -------------------------------------------------------------- */

static int resolve(struct addrinfo **ret, const struct connect_rules *rules, int family, const char *host,
                   const char *port, struct buffer *complaint) {
        struct addrinfo hints = {.ai_family = family, .ai_socktype = rules->type};
        int r = getaddrinfo(host, port, &hints, ret);
        if (r == 0)
                return 0;
        int error = errno;
        buffer_format(complaint, "%s", r == EAI_SYSTEM ? fail_text(error) : gai_strerror(r));
        return fail(r == EAI_MEMORY ? -ENOMEM : -ENXIO);
}

int connect_resolve(struct addrinfo **ret, const struct connect_rules *rules, const char *host, const char *port,
                    struct buffer *complaint) {
        return resolve(ret, rules, rules->family, host, port, complaint);
}

/* ---- Options ------------------------------------------------------------ */

static int set_number(int fd, int level, int option, int value, const char *what, struct buffer *complaint) {
        if (setsockopt(fd, level, option, &value, sizeof value) == 0)
                return 0;
        int error = errno;
        buffer_format(complaint, "%s could not be set", what);
        return fail(-error);
}

static int set_keepalive(int fd, const struct connect_rules *rules, struct buffer *complaint) {
        const struct {
                int level, option, value;
                const char *what;
        } options[] = {
                {SOL_SOCKET, SO_KEEPALIVE, 1, "keepalive"},
                {IPPROTO_TCP, TCP_KEEPCNT, rules->keepalive_probes, "keepalive.probes"},
                {IPPROTO_TCP, TCP_KEEPIDLE, rules->keepalive_time_s, "keepalive.time"},
                {IPPROTO_TCP, TCP_KEEPINTVL, rules->keepalive_interval_s, "keepalive.interval"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (options[i].value) {
                        int r = set_number(fd, options[i].level, options[i].option, options[i].value, options[i].what,
                                           complaint);
                        if (r)
                                return pass(r);
                }
        return 0;
}

static int set_device(int fd, const char *device, struct buffer *complaint) {
        if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0)
                return 0;
        int error = errno;
        buffer_format(complaint, "device '%s' could not be bound to", device);
        return fail(-error);
}

static int set_dscp(int fd, int family, int dscp, struct buffer *complaint) {
        /* The upper six bits of the octet; the lower two are congestion notification's. */
        if (family == AF_INET6)
                return set_number(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << 2, "DSCP", complaint);
        return set_number(fd, IPPROTO_IP, IP_TOS, dscp << 2, "DSCP", complaint);
}

/* A larger buffer than the administrator's bound takes a privilege; without it, as large as may be. */
static void set_send_buffer(int fd, int bytes) {
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static int set_options(int fd, const struct connect_rules *rules, int family, struct buffer *complaint) {
        int r = 0;
        if (rules->keeps_alive && rules->type == SOCK_STREAM)
                r = set_keepalive(fd, rules, complaint);
        if (r == 0 && rules->user_timeout_ms && rules->type == SOCK_STREAM)
                r = set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, rules->user_timeout_ms, "TCP user time-out",
                               complaint);
        if (r == 0 && rules->device)
                r = set_device(fd, rules->device, complaint);
        if (r == 0 && rules->dscp)
                r = set_dscp(fd, family, rules->dscp, complaint);
        if (rules->send_buffer_bytes)
                set_send_buffer(fd, rules->send_buffer_bytes);
        return r ? pass(r) : 0;
}

static int bind_freely(int fd, const struct addrinfo *local, const struct connect_rules *rules,
                       struct buffer *complaint) {
        int one = 1;
        if (rules->freebind == 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one) < 0)
                return fail(-EADDRNOTAVAIL);
        if (bind(fd, local->ai_addr, local->ai_addrlen) < 0)
                return fail(-errno);
        if (rules->freebind == 2)
                buffer_format(complaint, "IP_FREEBIND was needed to bind to the nonlocal address '%s'",
                              rules->local_address);
        return 0;
}

static int bind_local(int fd, const struct connect_rules *rules, int family, struct buffer *complaint) {
        struct addrinfo *local;
        int r = resolve(&local, rules, family, rules->local_address, NULL, complaint);
        if (r)
                return pass(r);
        if (bind(fd, local->ai_addr, local->ai_addrlen) < 0)
                r = errno == EADDRNOTAVAIL ? bind_freely(fd, local, rules, complaint) : fail(-errno);
        freeaddrinfo(local);
        if (r)
                buffer_format(complaint, "cannot use bind address '%s'", rules->local_address);
        return r;
}

/* ---- Connecting --------------------------------------------------------- */

/* The answer to a connect that is under way. */
static int await_connection(int fd, int wait_ms) {
        int64_t deadline_ns = clock_mono_ns() + (wait_ms ? wait_ms : CONNECT_WAIT_MS) * INT64_C(1000000);
        struct pollfd watched = {.fd = fd, .events = POLLOUT};
        int r;
        do {
                int64_t left_ms = (deadline_ns - clock_mono_ns()) / 1000000;
                r = poll(&watched, 1, left_ms > 0 ? (int)left_ms : 0);
        } while (r < 0 && errno == EINTR);
        if (r < 0)
                return fail(-errno);
        if (r == 0)
                return fail(-ETIMEDOUT);
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return fail(-errno);
        return error ? fail(-error) : 0;
}

static int finish_connect(int fd, const struct sockaddr *address, socklen_t size, int wait_ms) {
        if (connect(fd, address, size) == 0)
                return 0;
        if (errno != EINPROGRESS && errno != EINTR)
                return fail(-errno);
        return await_connection(fd, wait_ms);
}

static int connect_here(int *ret, const struct connect_rules *rules, const struct addrinfo *address,
                        struct buffer *complaint) {
        int type = rules->type | SOCK_NONBLOCK | SOCK_CLOEXEC;
        _owned_(descriptor_close) int fd = socket(address->ai_family, type, address->ai_protocol);
        if (fd < 0)
                return fail(-errno);
        int r = set_options(fd, rules, address->ai_family, complaint);
        if (r == 0 && rules->local_address)
                r = bind_local(fd, rules, address->ai_family, complaint);
        if (r == 0)
                r = finish_connect(fd, address->ai_addr, address->ai_addrlen, rules->wait_ms);
        if (r)
                return pass(r);
        *ret = fd;
        fd = -1;
        return 0;
}

int connect_address(int *ret, const struct connect_rules *rules, const struct addrinfo *address,
                    struct buffer *complaint) {
        int home = -1;
        if (rules->network_namespace) {
                int r = namespace_enter(rules->network_namespace, &home, complaint);
                if (r)
                        return pass(r);
        }
        int r = connect_here(ret, rules, address, complaint);
        namespace_leave(&home);
        return r ? pass(r) : 0;
}

int connect_host(int *ret, const struct connect_rules *rules, const char *host, const char *port,
                 struct buffer *complaint) {
        struct addrinfo *addresses;
        int r = connect_resolve(&addresses, rules, host, port, complaint);
        if (r)
                return pass(r);
        r = -ENXIO;
        unsigned tried = 0;
        for (struct addrinfo *a = addresses; a && r && tried < CONNECT_ADDRESSES_MAX; a = a->ai_next, tried++) {
                buffer_clear(complaint);
                r = connect_address(ret, rules, a, complaint);
        }
        freeaddrinfo(addresses);
        return r ? pass(r) : 0;
}

static int connect_unix_here(int *ret, int type, const struct sockaddr_un *address, socklen_t size, int wait_ms) {
        _owned_(descriptor_close) int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail(-errno);
        int r = finish_connect(fd, (const struct sockaddr *)address, size, wait_ms);
        if (r)
                return pass(r);
        *ret = fd;
        fd = -1;
        return 0;
}

int connect_unix(int *ret, int type, const char *name, bool is_abstract, const char *network_namespace, int wait_ms,
                 struct buffer *complaint) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t size = strlen(name), offset = is_abstract ? 1 : 0;
        /* A path is ended by a NUL; an abstract name begins with one and has a length. */
        if (size == 0 || size + 1 > sizeof address.sun_path)
                return fail(size ? -ENAMETOOLONG : -EINVAL);
        memcpy(address.sun_path + offset, name, size);
        socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
        int home = -1;
        if (network_namespace) {
                int r = namespace_enter(network_namespace, &home, complaint);
                if (r)
                        return pass(r);
        }
        int r = connect_unix_here(ret, type, &address, address_size, wait_ms);
        namespace_leave(&home);
        return r ? pass(r) : 0;
}

/* ---- Sending ------------------------------------------------------------ */

int connect_await(int fd, short events, int wait_ms, int hurry_fd) {
        struct pollfd watched[] = {{.fd = fd, .events = events}, {.fd = hurry_fd, .events = POLLIN}};
        int r = poll(watched, hurry_fd > 0 ? 2 : 1, wait_ms);
        if (r < 0)
                return errno == EINTR ? 0 : fail(-errno);
        if (r == 0)
                return fail(-EAGAIN);
        return watched[0].revents ? 0 : fail(-ECANCELED);
}

int connect_send(int fd, struct text bytes, int wait_ms, int hurry_fd, size_t *sent) {
        *sent = 0;
        while (*sent < bytes.size) {
                ssize_t size = send(fd, bytes.data + *sent, bytes.size - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (size >= 0)
                        *sent += (size_t)size;
                else if (errno == EAGAIN || errno == EWOULDBLOCK) {
                        int r = connect_await(fd, POLLOUT, wait_ms, hurry_fd);
                        if (r)
                                return pass(r);
                } else if (errno != EINTR)
                        return fail(-errno);
        }
        return 0;
}

bool connect_is_alive(int fd) {
        /* What a chatty peer may say in the meantime; more than that is read before the next batch. */
        enum { ROUNDS_MAX = 16 };
        char scrap[4096];
        for (int i = 0; i < ROUNDS_MAX; i++) {
                ssize_t size = recv(fd, scrap, sizeof scrap, MSG_DONTWAIT);
                if (size == 0)
                        return false;
                if (size < 0 && errno != EINTR)
                        return errno == EAGAIN || errno == EWOULDBLOCK;
        }
        return true;
}

int connect_send_many(int fd, struct mmsghdr *messages, unsigned count, int wait_ms) {
        for (bool has_waited = false;;) {
                int sent = sendmmsg(fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent >= 0)
                        return sent;
                if (errno == EINTR)
                        continue;
                if ((errno != EAGAIN && errno != EWOULDBLOCK) || has_waited)
                        return -errno;
                int r = connect_await(fd, POLLOUT, wait_ms, 0);
                if (r)
                        return pass(r);
                has_waited = true;
        }
}

int connect_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}
