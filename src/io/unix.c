#include "io/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"
#include "io/heirloom.h"

static int make_directories(const char *path) {
        char part[sizeof((struct sockaddr_un *)0)->sun_path];
        for (size_t i = 1; path[i]; i++) {
                if (path[i] != '/')
                        continue;
                memcpy(part, path, i);
                part[i] = '\0';
                if (mkdir(part, 0755) < 0 && errno != EEXIST)
                        return fail(-errno);
        }
        return 0;
}

int unix_bind(int *ret, const char *path, mode_t mode, bool unlinks, bool creates_path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t size = strlen(path);
        if (size == 0 || size >= sizeof address.sun_path)
                return fail(-ENAMETOOLONG);
        memcpy(address.sun_path, path, size + 1);
        int heirloom = heirloom_claim_unix(SOCK_DGRAM, path);
        if (heirloom >= 0) {
                *ret = heirloom;
                return 0;
        }
        if (creates_path) {
                int r = make_directories(path);
                if (r)
                        return pass(r);
        }
        _owned_(descriptor_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return fail(-errno);
        if (unlinks && unlink(path) < 0 && errno != ENOENT)
                return fail(-errno);
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return fail(-errno);
        if (chmod(path, mode) < 0) {
                int r = -errno;
                unlink(path);
                return fail(r);
        }
        *ret = fd;
        fd = -1;
        return 0;
}

static int inherited_count(void) {
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
        int64_t number;
        if (!pid || !fds || text_to_int(text_of(pid), &number) || number != getpid() ||
            text_to_int(text_of(fds), &number) || number < 0)
                return 0;
        return (int)MIN(number, (int64_t)UNIX_INHERITED_FDS_MAX);
}

static bool is_bound_to(int fd, const char *path) {
        int type = 0;
        socklen_t type_size = sizeof type;
        struct sockaddr_un address = {0};
        socklen_t size = sizeof address;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0 || type != SOCK_DGRAM ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX)
                return false;
        size_t path_size = strlen(path);
        return path_size < sizeof address.sun_path && memcmp(address.sun_path, path, path_size + 1) == 0;
}

void unix_lent(struct buffer *out) {
        const char *before = getenv(UNIX_LENT_VARIABLE);
        if (before)
                buffer_text(out, text_of(before));
        for (int i = 0, count = inherited_count(); i < count; i++) {
                struct sockaddr_un address = {0};
                socklen_t size = sizeof address;
                if (getsockname(UNIX_INHERITED_FIRST_FD + i, (struct sockaddr *)&address, &size) == 0 &&
                    address.sun_family == AF_UNIX && address.sun_path[0])
                        buffer_format(out, "%.*s\n", (int)sizeof address.sun_path, address.sun_path);
        }
}

static bool is_lent(const char *path) {
        size_t size = strlen(path);
        for (const char *at = getenv(UNIX_LENT_VARIABLE); at && *at; at += strcspn(at, "\n"), at += *at == '\n')
                if (strncmp(at, path, size) == 0 && at[size] == '\n')
                        return true;
        return false;
}

int unix_inherited(const char *path) {
        for (int i = 0, count = inherited_count(); i < count; i++) {
                int fd = UNIX_INHERITED_FIRST_FD + i;
                if (!is_bound_to(fd, path))
                        continue;
                fcntl(fd, F_SETFD, FD_CLOEXEC);
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
                return fd;
        }
        return is_lent(path) ? heirloom_claim_unix(SOCK_DGRAM, path) : -1;
}

int unix_ask(int fd, bool credentials, bool times) {
        int on = 1;
        if (credentials && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return fail(-errno);
        if (times && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) < 0)
                return fail(-errno);
        return 0;
}

struct control {
        _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(struct timeval))];
};

struct unix_inbox {
        size_t datagram_bytes_max;
        struct mmsghdr headers[UNIX_BATCH_MAX];
        struct iovec vectors[UNIX_BATCH_MAX];
        struct control controls[UNIX_BATCH_MAX];
        struct unix_datagram datagrams[UNIX_BATCH_MAX];
        char bytes[];
};

int unix_inbox_new(struct unix_inbox **ret, size_t datagram_bytes_max) {
        struct unix_inbox *inbox = malloc(sizeof *inbox + UNIX_BATCH_MAX * datagram_bytes_max);
        if (!inbox)
                return fail(-ENOMEM);
        inbox->datagram_bytes_max = datagram_bytes_max;
        for (size_t i = 0; i < UNIX_BATCH_MAX; i++) {
                inbox->vectors[i] = (struct iovec){inbox->bytes + i * datagram_bytes_max, datagram_bytes_max};
                inbox->headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &inbox->vectors[i],
                                                                 .msg_iovlen = 1,
                                                                 .msg_control = &inbox->controls[i],
                                                                 .msg_controllen = sizeof(struct control)}};
        }
        *ret = inbox;
        return 0;
}

struct unix_inbox *unix_inbox_free(struct unix_inbox *inbox) {
        free(inbox);
        return NULL;
}

static void read_control(struct unix_datagram *d, struct msghdr *header) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof d->sender)) {
                        memcpy(&d->sender, CMSG_DATA(c), sizeof d->sender);
                } else if (c->cmsg_type == SCM_TIMESTAMP && c->cmsg_len >= CMSG_LEN(sizeof(struct timeval))) {
                        struct timeval time;
                        memcpy(&time, CMSG_DATA(c), sizeof time);
                        d->received_us = (int64_t)time.tv_sec * 1000000 + time.tv_usec;
                }
        }
}

int unix_receive(struct unix_inbox *inbox, int fd, const struct unix_datagram **ret) {
        int count;
        do
                count = recvmmsg(fd, inbox->headers, UNIX_BATCH_MAX, MSG_DONTWAIT, NULL);
        while (count < 0 && errno == EINTR);
        if (count < 0)
                return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : fail(-errno);
        for (int i = 0; i < count; i++) {
                struct mmsghdr *h = &inbox->headers[i];
                inbox->datagrams[i] = (struct unix_datagram){.data = {inbox->vectors[i].iov_base, h->msg_len}};
                read_control(&inbox->datagrams[i], &h->msg_hdr);
                h->msg_hdr.msg_controllen = sizeof(struct control); /* the kernel shortened it */
        }
        *ret = inbox->datagrams;
        return count;
}

static size_t read_fact(char *to, size_t size, pid_t pid, const char *name) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        _owned_(descriptor_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        ssize_t n;
        do
                n = read(fd, to, size);
        while (n < 0 && errno == EINTR);
        return n < 0 ? 0 : (size_t)n;
}

/* Only the first line counts, and nothing in it may pass for more than text. */
static struct text clean_line(char *bytes, size_t size) {
        char *line_end = memchr(bytes, '\n', size);
        if (line_end)
                size = (size_t)(line_end - bytes);
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)bytes[i] < ' ')
                        bytes[i] = ' ';
        return (struct text){bytes, size};
}

void unix_process_look(struct unix_process *p, pid_t pid) {
        char *command = p->bytes, *executable = command + UNIX_FACT_BYTES_MAX, *name = executable + UNIX_FACT_BYTES_MAX;
        size_t size = read_fact(command, UNIX_FACT_BYTES_MAX, pid, "cmdline");
        size_t program = size ? strnlen(command, size) : 0;
        p->command = clean_line(command, size);
        p->program = text_slice(p->command, 0, program);
        p->name = clean_line(name, read_fact(name, 64, pid, "comm"));
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
        ssize_t n = readlink(path, executable, UNIX_FACT_BYTES_MAX);
        p->executable = clean_line(executable, n < 0 ? 0 : (size_t)n);
}
