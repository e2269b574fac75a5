#include "control/flood_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

static int open_inet(const struct settings *s, int *ret) {
        struct addrinfo hints = {.ai_socktype = s->target == TARGET_UDP ? SOCK_DGRAM : SOCK_STREAM};
        struct addrinfo *found;
        int error = -EHOSTUNREACH;

        int r = getaddrinfo(s->address, s->port, &hints, &found);
        if (r) {
                fprintf(stderr, "flood: %s: %s\n", s->address, gai_strerror(r));
                return -EHOSTUNREACH;
        }

        for (struct addrinfo *a = found; a; a = a->ai_next) {
                int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
                if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
                        freeaddrinfo(found);
                        *ret = fd;
                        return 0;
                }
                error = -errno;
                if (fd >= 0)
                        close(fd);
        }
        freeaddrinfo(found);
        return error;
}

static int open_unix(const struct settings *s, int *ret) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(s->address) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, s->address, strlen(s->address));

        _owned_(descriptor_close) int fd =
                socket(AF_UNIX, (s->target == TARGET_UNIX ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;

        *ret = fd;
        fd = -1;
        return 0;
}

static int open_file(const struct settings *s, int *ret) {
        int fd = open(s->address, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        *ret = fd;
        return 0;
}

int wire_open(const struct settings *s, int *ret) {
        static int (*const open_target[])(const struct settings *, int *) = {
                [TARGET_TCP] = open_inet,         [TARGET_UDP] = open_inet,  [TARGET_UNIX] = open_unix,
                [TARGET_UNIX_STREAM] = open_unix, [TARGET_FILE] = open_file, [TARGET_RELP] = open_inet,
        };

        return open_target[s->target](s, ret);
}
