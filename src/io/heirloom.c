#include "io/heirloom.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

static const char VARIABLE[] = "PENSTOCK_HEIRLOOMS";

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

/* ---- What a socket is ------------------------------------------------------- */

static int option_of(int fd, int option) {
        int value = -1;
        socklen_t size = sizeof value;
        return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

/* 0 where the kernel does not tell. */
static uint64_t namespace_of(int fd) {
        uint64_t cookie = 0;
        socklen_t size = sizeof cookie;
        return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0 ? 0 : cookie;
}

static unsigned port_of(const struct sockaddr_storage *a) {
        return a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
                                       : ((const struct sockaddr_in6 *)a)->sin6_port;
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
        if (a->ss_family == AF_INET)
                return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
                       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
        const struct sockaddr_in6 *one = (const struct sockaddr_in6 *)a, *other = (const struct sockaddr_in6 *)b;
        return memcmp(&one->sin6_addr, &other->sin6_addr, sizeof one->sin6_addr) == 0 &&
               one->sin6_scope_id == other->sin6_scope_id;
}

static bool is_same(const struct sockaddr_storage *bound, const struct sockaddr_storage *wanted) {
        if (bound->ss_family != wanted->ss_family)
                return false;
        if (bound->ss_family == AF_UNIX)
                return strncmp(((const struct sockaddr_un *)bound)->sun_path,
                               ((const struct sockaddr_un *)wanted)->sun_path,
                               sizeof((struct sockaddr_un *)0)->sun_path) == 0;
        if (bound->ss_family != AF_INET && bound->ss_family != AF_INET6)
                return false;
        return is_same_host(bound, wanted) && (port_of(wanted) == 0 || port_of(bound) == port_of(wanted));
}

static bool is_wanted(int fd, int type, const struct sockaddr_storage *wanted, int like) {
        struct sockaddr_storage bound = {0};
        socklen_t size = sizeof bound;
        if (option_of(fd, SO_TYPE) != type || option_of(fd, SO_ACCEPTCONN) != (type == SOCK_STREAM) ||
            getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
                return false;
        return is_same(&bound, wanted) && (like < 0 || namespace_of(fd) == namespace_of(like));
}

/* ---- What is offered ---------------------------------------------------------- */

int heirlooms_offer(const int *fds, size_t count) {
        _owned_(buffer_fini) struct buffer list = {0};
        const char *before = getenv(VARIABLE);
        if (before)
                buffer_text(&list, text_of(before));
        for (size_t i = 0; i < count; i++) {
                fcntl(fds[i], F_SETFD, 0);
                buffer_format(&list, "%s%d", list.size ? " " : "", fds[i]);
        }
        const char *string = buffer_string(&list);
        if (string && setenv(VARIABLE, string, 1) == 0)
                return 0;
        for (size_t i = 0; i < count; i++)
                close(fds[i]);
        return fail(-ENOMEM);
}

/* The next that is still offered, from *at on; -1 behind the last. */
static int next_offered(const char **at) {
        while (*at && **at) {
                char *end;
                long fd = strtol(*at, &end, 10);
                if (end == *at)
                        return -1;
                *at = end;
                if (fcntl((int)fd, F_GETFD) == 0)
                        return (int)fd;
        }
        return -1;
}

static int claim(int type, const struct sockaddr_storage *wanted, int like) {
        const char *at = getenv(VARIABLE);
        for (int fd; (fd = next_offered(&at)) >= 0;) {
                if (!is_wanted(fd, type, wanted, like))
                        continue;
                fcntl(fd, F_SETFD, FD_CLOEXEC);
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
                return fd;
        }
        return -1;
}

int heirloom_claim(int type, const struct sockaddr *address, socklen_t size, int like) {
        struct sockaddr_storage wanted = {0};
        memcpy(&wanted, address, MIN((size_t)size, sizeof wanted));
        return claim(type, &wanted, like);
}

int heirloom_claim_unix(int type, const char *path) {
        struct sockaddr_storage wanted = {.ss_family = AF_UNIX};
        struct sockaddr_un *address = (struct sockaddr_un *)&wanted;
        size_t size = strlen(path);
        if (size == 0 || size >= sizeof address->sun_path)
                return -1;
        memcpy(address->sun_path, path, size);
        return claim(type, &wanted, -1);
}

size_t heirlooms_close(void) {
        size_t closed = 0;
        const char *at = getenv(VARIABLE);
        for (int fd; (fd = next_offered(&at)) >= 0; closed++)
                close(fd);
        unsetenv(VARIABLE);
        return closed;
}

/* ---- What there is to hand over -------------------------------------------------- */

static bool is_worth_it(int fd) {
        struct sockaddr_storage bound = {0}, peer;
        socklen_t size = sizeof bound, peer_size = sizeof peer;
        int type = option_of(fd, SO_TYPE);
        if (type < 0 || getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
                return false;
        if (type == SOCK_STREAM)
                return option_of(fd, SO_ACCEPTCONN) == 1;
        if (type != SOCK_DGRAM || getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0)
                return false;
        if (bound.ss_family == AF_UNIX)
                return ((struct sockaddr_un *)&bound)->sun_path[0] != '\0';
        return (bound.ss_family == AF_INET || bound.ss_family == AF_INET6) && port_of(&bound) != 0;
}

size_t heirlooms_find(int *fds, size_t capacity) {
        size_t count = 0;
        DIR *directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        for (struct dirent *entry; (entry = readdir(directory)) && count < capacity;) {
                char *end;
                long fd = strtol(entry->d_name, &end, 10);
                if (*end == '\0' && end != entry->d_name && is_worth_it((int)fd))
                        fds[count++] = (int)fd;
        }
        closedir(directory);
        return count;
}
