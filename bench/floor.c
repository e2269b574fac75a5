/*
 * The floor: the least that a log daemon can do, so that its cost can be compared with what is physically possible.
 *
 *   floor tcp PORT FILE            floor udp PORT FILE            floor unix PATH FILE
 *   floor forward PORT HOST:PORT   floor sink PORT COUNTER [FILE]  floor file FROM TO
 *
 * It receives, finds the end of every message, and passes the bytes on in blocks: no parsing, no filter, no format.
 * It runs until SIGTERM, or until the end of FROM, and then prints its messages, bytes and CPU seconds as JSON. A sink
 * also keeps its messages and bytes in the file COUNTER, two 64-bit numbers that can be read at any time.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES           (256u * 1024)
#define BLOCK_BYTES          (1024u * 1024)
#define DATAGRAM_BYTES_MAX   8192u
#define DATAGRAMS_MAX        256u
#define LINE_BYTES_MAX       (128u * 1024)
#define RECEIVE_BUFFER_BYTES (4 * 1024 * 1024)

/* The beginning of a line whose end has not come yet. */
struct connection {
        char *carry;
        uint32_t carry_bytes, carry_allocated;
        int fd;
};

struct floor {
        char *block;
        uint32_t block_bytes;
        int out; /* -1: what arrives is counted and dropped. */
        int epoll, listener, datagrams, signals;
        uint64_t messages, bytes;
        struct mmsghdr headers[DATAGRAMS_MAX];
        struct iovec vectors[DATAGRAMS_MAX];
        char *slots;
        uint64_t *counter; /* Shared with whoever maps or reads the file. */
};

static void die(const char *what) {
        perror(what);
        exit(1);
}

static void block_flush(struct floor *f) {
        for (uint32_t done = 0; f->out >= 0 && done < f->block_bytes;) {
                ssize_t n = write(f->out, f->block + done, f->block_bytes - done);
                if (n < 0 && errno != EINTR)
                        die("write");
                done += n > 0 ? (uint32_t)n : 0;
        }
        f->block_bytes = 0;
}

/* Counts the lines, as a daemon would find them, and returns how many bytes the whole ones have. */
static uint32_t lines_count(struct floor *f, const char *text, uint32_t bytes, uint32_t searched) {
        const char *p = text + searched, *end = text + bytes, *line_end;
        uint32_t whole = 0;

        while ((line_end = memchr(p, '\n', (size_t)(end - p)))) {
                f->messages++;
                p = line_end + 1;
                whole = (uint32_t)(p - text);
        }
        return whole;
}

static void connection_keep(struct connection *c, const char *text, uint32_t bytes) {
        if (bytes > LINE_BYTES_MAX) {
                fputs("floor: a line is too long\n", stderr);
                exit(1);
        }
        if (bytes > c->carry_allocated) {
                free(c->carry);
                c->carry = malloc(bytes);
                c->carry_allocated = bytes;
                if (!c->carry)
                        die("malloc");
        }
        memcpy(c->carry, text, bytes);
        c->carry_bytes = bytes;
}

/* Reads once, straight into the block. Returns false at the end of the stream. */
static bool connection_read(struct floor *f, struct connection *c) {
        if (f->block_bytes + LINE_BYTES_MAX + READ_BYTES > BLOCK_BYTES)
                block_flush(f);

        char *start = f->block + f->block_bytes;
        memcpy(start, c->carry, c->carry_bytes);
        ssize_t n = read(c->fd, start + c->carry_bytes, READ_BYTES);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0)
                return false;

        uint32_t bytes = c->carry_bytes + (uint32_t)n;
        uint32_t whole = lines_count(f, start, bytes, c->carry_bytes);
        f->bytes += (uint64_t)n;
        f->block_bytes += whole;
        connection_keep(c, start + whole, bytes - whole);
        f->counter[0] = f->messages;
        f->counter[1] = f->bytes;
        if (f->block_bytes >= READ_BYTES)
                block_flush(f);
        return true;
}

static void connection_close(struct connection *c) {
        close(c->fd);
        free(c->carry);
        free(c);
}

static void floor_watch(struct floor *f, int fd, void *owner) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};

        if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                die("epoll_ctl");
}

static void floor_accept(struct floor *f) {
        int fd;

        while ((fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct connection *c = calloc(1, sizeof *c);
                if (!c)
                        die("calloc");
                c->fd = fd;
                floor_watch(f, fd, c);
        }
}

static void floor_receive(struct floor *f) {
        int n = recvmmsg(f->datagrams, f->headers, DATAGRAMS_MAX, MSG_DONTWAIT, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                die("recvmmsg");

        for (int i = 0; i < n; i++) {
                uint32_t bytes = f->headers[i].msg_len;

                if (f->block_bytes + bytes + 1 > BLOCK_BYTES)
                        block_flush(f);
                memcpy(f->block + f->block_bytes, f->vectors[i].iov_base, bytes);
                f->block_bytes += bytes;
                f->block[f->block_bytes++] = '\n';
                f->messages++;
                f->bytes += bytes;
        }
}

static void floor_loop(struct floor *f) {
        struct epoll_event events[256];

        for (;;) {
                /* What was gathered is written as soon as nothing more is waiting. */
                int n = epoll_wait(f->epoll, events, 256, f->block_bytes ? 0 : -1);
                if (n == 0)
                        block_flush(f);

                for (int i = 0; i < n; i++) {
                        void *owner = events[i].data.ptr;

                        if (owner == &f->signals)
                                return;
                        if (owner == &f->listener)
                                floor_accept(f);
                        else if (owner == &f->datagrams)
                                floor_receive(f);
                        else if (!connection_read(f, owner))
                                connection_close(owner);
                }
        }
}

static struct sockaddr_in address_of(const char *host, const char *port) {
        char *end;
        unsigned long number = strtoul(port, &end, 10);
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};

        if (end == port || *end || number > UINT16_MAX) {
                fprintf(stderr, "floor: '%s' is no port\n", port);
                exit(2);
        }
        if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
                fprintf(stderr, "floor: '%s' is no IPv4 address\n", host);
                exit(2);
        }
        return a;
}

static void floor_listen(struct floor *f, const char *port) {
        struct sockaddr_in a = address_of("127.0.0.1", port);

        f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(f->listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(f->listener, 4096) < 0)
                die("listen");
        floor_watch(f, f->listener, &f->listener);
}

static void floor_listen_datagrams(struct floor *f, int family, const struct sockaddr *a, socklen_t size) {
        f->datagrams = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (setsockopt(f->datagrams, SOL_SOCKET, SO_RCVBUFFORCE, &(int){RECEIVE_BUFFER_BYTES}, sizeof(int)) < 0)
                setsockopt(f->datagrams, SOL_SOCKET, SO_RCVBUF, &(int){RECEIVE_BUFFER_BYTES}, sizeof(int));
        if (bind(f->datagrams, a, size) < 0)
                die("bind");

        f->slots = malloc(DATAGRAMS_MAX * DATAGRAM_BYTES_MAX);
        if (!f->slots)
                die("malloc");
        for (uint32_t i = 0; i < DATAGRAMS_MAX; i++) {
                f->vectors[i] = (struct iovec){f->slots + i * DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX};
                f->headers[i].msg_hdr.msg_iov = f->vectors + i;
                f->headers[i].msg_hdr.msg_iovlen = 1;
        }
        floor_watch(f, f->datagrams, &f->datagrams);
}

static void floor_open(struct floor *f, const char *path) {
        f->out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (f->out < 0)
                die(path);
}

static void floor_share_counter(struct floor *f, const char *path) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || ftruncate(fd, 2 * sizeof(uint64_t)) < 0)
                die(path);

        f->counter = mmap(NULL, 2 * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (f->counter == MAP_FAILED)
                die("mmap");
        close(fd);
}

static void floor_connect(struct floor *f, char *target) {
        char *colon = strrchr(target, ':');
        if (!colon)
                exit(2);
        *colon = 0;
        struct sockaddr_in a = address_of(target, colon + 1);

        f->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(f->out, (struct sockaddr *)&a, sizeof a) < 0)
                die("connect");
}

static void floor_catch_signals(struct floor *f) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        f->signals = signalfd(-1, &set, SFD_CLOEXEC);
        floor_watch(f, f->signals, &f->signals);
}

static void files_allow(void) {
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
}

static void floor_copy(struct floor *f, const char *path) {
        struct connection c = {.fd = open(path, O_RDONLY | O_CLOEXEC)};

        if (c.fd < 0)
                die(path);
        while (connection_read(f, &c))
                ;
        block_flush(f);
}

static void floor_report(const struct floor *f) {
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        printf("{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"cpu_seconds\":%.6f}\n", f->messages, f->bytes,
               (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static int usage(void) {
        fputs("Usage: floor tcp|udp PORT FILE | unix PATH FILE | forward PORT HOST:PORT | sink PORT COUNTER [FILE] | "
              "file FROM TO\n",
              stderr);
        return 2;
}

int main(int argc, char **argv) {
        static struct floor f; /* Large, and there is one. */
        uint64_t counter[2];

        if (argc < 4)
                return usage();

        const char *mode = argv[1], *from = argv[2];
        bool is_sink = !strcmp(mode, "sink");
        char *to = is_sink ? argv[4] : argv[3];

        f.out = -1;
        f.counter = counter;
        if (is_sink)
                floor_share_counter(&f, argv[3]);
        f.block = malloc(BLOCK_BYTES);
        f.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!f.block || f.epoll < 0)
                die("floor");
        files_allow();
        floor_catch_signals(&f);

        if (!strcmp(mode, "forward"))
                floor_connect(&f, to);
        else if (to)
                floor_open(&f, to);

        if (!strcmp(mode, "tcp") || !strcmp(mode, "forward") || is_sink)
                floor_listen(&f, from);
        else if (!strcmp(mode, "udp")) {
                struct sockaddr_in a = address_of("127.0.0.1", from);
                floor_listen_datagrams(&f, AF_INET, (struct sockaddr *)&a, sizeof a);
        } else if (!strcmp(mode, "unix")) {
                struct sockaddr_un a = {.sun_family = AF_UNIX};
                strncpy(a.sun_path, from, sizeof a.sun_path - 1);
                floor_listen_datagrams(&f, AF_UNIX, (struct sockaddr *)&a, sizeof a);
        } else if (strcmp(mode, "file"))
                return usage();

        if (!strcmp(mode, "file"))
                floor_copy(&f, from);
        else
                floor_loop(&f);
        floor_report(&f);
        return 0;
}
