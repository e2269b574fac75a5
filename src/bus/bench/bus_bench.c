/*
 * bus_bench measures a broker from outside: raw frames, made before the clock runs, so that the
 * broker is what is measured. It speaks our bus (version 2), D-Bus, NATS and redis, and has a
 * relay of its own, the floor: what a broker costs that copies bytes and reads none.
 *
 *   bus_bench TARGET ADDRESS SCENARIO SIZE COUNT [PAIRS]
 *
 *   latency   round trips a second, and their 50th and 99th percentile
 *   oneway    messages a second, of PAIRS senders to as many receivers
 *   fanout    deliveries a second, of one sender to PAIRS receivers
 *   beside    latency of 100 bytes while another pair streams messages of SIZE, and what that pair moves
 *
 * Prints one line of JSON. Every process is ours and ends with the run. They wait for each other on numbers that all of
 * them see, by futex, so that nobody looks again and again beside what is measured.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        PEERS_MAX = 64,
        BATCH_BYTES = 64 * 1024, /* that a sender writes at once */
        READ_BYTES = 256 * 1024,
        HEAD_BYTES = 1024,
        SAMPLES_MAX = 1 << 20,
        RUN_SECONDS_MAX = 50,
        START_SECONDS_MAX = 10, /* that the peers have to come up */
        SEQ_FIRST = 1000000000,
};

/* What all processes of a run share. */
struct shared {
        _Atomic int ready, go; /* peers that have come up; the clock runs */
        _Atomic int failures;
        _Atomic uint64_t streamed; /* bytes that have come beside what is timed */
        char names[PEERS_MAX][128];
        _Atomic int64_t finished_ns;
        _Atomic int64_t started_ns;
        double samples[SAMPLES_MAX];
        size_t sample_count;
};
static struct shared *shared;
static char own_name[128]; /* of this sender, as it says it in its messages */

struct connection {
        int fd;
        char *data;
        size_t begin, end, capacity;
        char name[128]; /* by which others reach it, where the protocol has such names */
};

/* A message as it stands in what was received. */
struct found {
        size_t bytes;    /* 0: it is not whole yet */
        bool counts;     /* it is no answer of the broker's own */
        const char *seq; /* ten digits, or the four bytes of a D-Bus serial */
};

struct target {
        const char *name;
        bool is_inet;
        void (*greet)(struct connection *c, char role, int channel);
        void (*subscribe)(struct connection *c, int channel, bool is_fanout);
        struct found (*next)(const char *data, size_t size);
        /* Message of that many bytes of payload; returns its size. */
        size_t (*message)(char *to, int channel, size_t size, bool is_fanout);
        size_t (*request)(char *to, int channel, size_t size, const struct connection *from);
        size_t (*reply)(char *to, int channel, size_t size, const struct connection *from);
        /* Puts a seq into a request or a reply made by the two. */
        void (*stamp)(char *message, const char *seq);
};

static int64_t now_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
        fprintf(stderr, "bus_bench: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- Waiting for each other ------------------------------------------------------- */

static void raise_number(_Atomic int *number) {
        atomic_fetch_add(number, 1);
        syscall(SYS_futex, number, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* False when it took too long. */
static bool await_number(_Atomic int *number, int wanted) {
        const struct timespec patience = {.tv_sec = START_SECONDS_MAX};
        for (int now; (now = atomic_load(number)) < wanted;)
                if (syscall(SYS_futex, number, FUTEX_WAIT, now, &patience, NULL, 0) && errno == ETIMEDOUT)
                        return false;
        return true;
}

static void arrive(void) {
        raise_number(&shared->ready);
}

static void arrive_and_await_go(void) {
        arrive();
        if (!await_number(&shared->go, 1))
                die("the run does not begin");
}

/* ---- Connections ---------------------------------------------------------------- */

static void write_all(struct connection *c, const char *data, size_t size) {
        while (size > 0) {
                ssize_t part = write(c->fd, data, size);
                if (part < 0 && errno == EINTR)
                        continue;
                if (part <= 0)
                        die("write");
                data += part;
                size -= (size_t)part;
        }
}

static void read_more(struct connection *c) {
        if (c->begin > 0) {
                memmove(c->data, c->data + c->begin, c->end - c->begin);
                c->end -= c->begin;
                c->begin = 0;
        }
        if (c->capacity - c->end < READ_BYTES) {
                c->capacity = c->capacity * 2 + 2 * READ_BYTES;
                c->data = realloc(c->data, c->capacity);
                if (!c->data)
                        die("memory");
        }
        ssize_t got = read(c->fd, c->data + c->end, READ_BYTES);
        if (got <= 0)
                die("the broker has closed");
        c->end += (size_t)got;
}

/* Waits for the next message that counts. */
static struct found receive(const struct target *t, struct connection *c) {
        for (;;) {
                struct found f = t->next(c->data + c->begin, c->end - c->begin);
                if (f.bytes == 0) {
                        read_more(c);
                        continue;
                }
                c->begin += f.bytes;
                if (f.counts)
                        return f;
        }
}

/* Waits until these bytes have come, and forgets all up to them. */
static void await_bytes(struct connection *c, const char *bytes) {
        for (;;) {
                char *at =
                        c->end > c->begin ? memmem(c->data + c->begin, c->end - c->begin, bytes, strlen(bytes)) : NULL;
                if (at) {
                        c->begin = (size_t)(at - c->data) + strlen(bytes);
                        return;
                }
                read_more(c);
        }
}

static struct connection connect_to(const struct target *t, const char *address, char role, int channel) {
        struct connection c = {.fd = -1};
        if (t->is_inet) {
                struct sockaddr_in to = {.sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)strtol(address, NULL, 10)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
                c.fd = socket(AF_INET, SOCK_STREAM, 0);
                if (connect(c.fd, (struct sockaddr *)&to, sizeof to))
                        die(address);
                int on = 1;
                setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        } else {
                struct sockaddr_un to = {.sun_family = AF_UNIX};
                snprintf(to.sun_path, sizeof to.sun_path, "%s", address);
                c.fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (connect(c.fd, (struct sockaddr *)&to, sizeof to))
                        die(address);
        }
        if (t->greet)
                t->greet(&c, role, channel);
        return c;
}

/* ---- Our bus --------------------------------------------------------------------- */

static size_t penstock_frame(char *to, const char *header, size_t size) {
        size_t header_bytes = strlen(header);
        uint32_t length = htobe32((uint32_t)(4 + header_bytes + size));
        uint16_t head = htobe16((uint16_t)header_bytes);
        memcpy(to, &length, 4);
        memcpy(to + 4, &head, 2);
        memset(to + 6, 0, 2);
        memcpy(to + 8, header, header_bytes);
        memset(to + 8 + header_bytes, 'x', size);
        return 8 + header_bytes + size;
}

static void penstock_greet(struct connection *c, char role, int channel) {
        static const char hello[] = "\0\0\0\x22\0\x20{\"type\":\"getlname\",\"protocol\":2}";
        (void)role, (void)channel;
        write_all(c, hello, sizeof hello - 1);
        await_bytes(c, "{\"lname\":\"");
        while (!memchr(c->data + c->begin, '}', c->end - c->begin))
                read_more(c);
        char *end = memchr(c->data + c->begin, '"', c->end - c->begin);
        snprintf(c->name, sizeof c->name, "%.*s", (int)(end - c->data - (ptrdiff_t)c->begin), c->data + c->begin);
        c->begin = (size_t)(end - c->data) + 2;
}

static void penstock_subscribe(struct connection *c, int channel, bool is_fanout) {
        char header[128], frame[512];
        (void)is_fanout;
        snprintf(header, sizeof header, "{\"type\":\"subscribe\",\"group\":\"b%d\",\"instance\":\"*\"}", channel);
        write_all(c, frame, penstock_frame(frame, header, 0));
        write_all(c, frame, penstock_frame(frame, "{\"type\":\"ping\"}", 0));
        await_bytes(c, "{\"type\":\"pong\"}");
}

static struct found penstock_next(const char *data, size_t size) {
        uint32_t length;
        if (size < 8)
                return (struct found){0};
        memcpy(&length, data, 4);
        size_t bytes = 4 + (size_t)be32toh(length);
        if (size < bytes)
                return (struct found){0};
        /* "seq" is where the messages below have it. */
        return (struct found){bytes, true, data + 8 + sizeof "{\"type\":\"send\",\"seq\":" - 1};
}

static size_t penstock_message(char *to, int channel, size_t size, bool is_fanout) {
        char header[256];
        (void)is_fanout;
        snprintf(header, sizeof header,
                 "{\"type\":\"send\",\"seq\":1000000000,\"from\":\"%s\",\"to\":\"*\",\"group\":\"b%d\",\"instance\":\"*"
                 "\"}",
                 own_name, channel);
        return penstock_frame(to, header, size);
}

static size_t penstock_request(char *to, int channel, size_t size, const struct connection *from) {
        char header[512];
        snprintf(header, sizeof header,
                 "{\"type\":\"send\",\"seq\":1000000000,\"from\":\"%s\",\"to\":\"*\",\"group\":\"b%d\",\"instance\":\"*"
                 "\","
                 "\"want_answer\":true}",
                 from->name, channel);
        return penstock_frame(to, header, size);
}

static size_t penstock_reply(char *to, int channel, size_t size, const struct connection *from) {
        char header[512];
        snprintf(header, sizeof header,
                 "{\"type\":\"send\",\"seq\":1000000000,\"reply\":1000000000,\"from\":\"%s\",\"to\":\"%s\",\"group\":"
                 "\"b%d\","
                 "\"instance\":\"*\"}",
                 from->name, shared->names[channel], channel);
        return penstock_frame(to, header, size);
}

static void penstock_stamp(char *message, const char *seq) {
        char *at = message + 8 + sizeof "{\"type\":\"send\",\"seq\":" - 1;
        memcpy(at, seq, 10);
        if (memcmp(at + 10, ",\"reply\":", 9) == 0)
                memcpy(at + 19, seq, 10);
}

/* ---- D-Bus ----------------------------------------------------------------------- */

struct marshal {
        char *bytes;
        size_t at;
};

static void align(struct marshal *m, size_t to) {
        while (m->at % to)
                m->bytes[m->at++] = 0;
}

static void put_u32(struct marshal *m, uint32_t number) {
        align(m, 4);
        memcpy(m->bytes + m->at, &number, 4);
        m->at += 4;
}

static void put_string(struct marshal *m, const char *text) {
        put_u32(m, (uint32_t)strlen(text));
        memcpy(m->bytes + m->at, text, strlen(text) + 1);
        m->at += strlen(text) + 1;
}

static void put_field(struct marshal *m, char code, char type, const char *text) {
        align(m, 8);
        m->bytes[m->at++] = code;
        m->bytes[m->at++] = 1;
        m->bytes[m->at++] = type;
        m->bytes[m->at++] = 0;
        if (type == 'g') {
                m->bytes[m->at++] = (char)strlen(text);
                memcpy(m->bytes + m->at, text, strlen(text) + 1);
                m->at += strlen(text) + 1;
        } else {
                put_string(m, text);
        }
}

/* kind: 1 call, 2 reply, 4 signal. A body of bytes, or of one string. */
static size_t dbus_frame(char *to, int kind, int flags, const char *destination, const char *member, size_t size,
                         const char *string) {
        struct marshal m = {to, 0};
        bool is_own = member && (strcmp(member, "Hello") == 0 || strcmp(member, "AddMatch") == 0);
        memcpy(to, (char[]){'l', (char)kind, (char)flags, 1}, 4);
        m.at = 4;
        put_u32(&m, string ? (uint32_t)strlen(string) + 5 : size ? (uint32_t)size + 4 : 0);
        put_u32(&m, 1);
        put_u32(&m, 0);
        size_t fields = m.at;
        if (kind == 2) {
                align(&m, 8);
                memcpy(to + m.at, "\5\1u\0", 4);
                m.at += 4;
                put_u32(&m, 1);
        } else {
                put_field(&m, 1, 'o', is_own ? "/org/freedesktop/DBus" : "/bench");
                put_field(&m, 2, 's', is_own ? "org.freedesktop.DBus" : "org.bench");
                put_field(&m, 3, 's', member);
        }
        if (destination)
                put_field(&m, 6, 's', destination);
        if (size || string)
                put_field(&m, 8, 'g', string ? "s" : "ay");
        uint32_t length = (uint32_t)(m.at - fields);
        memcpy(to + 12, &length, 4);
        align(&m, 8);
        if (string) {
                put_string(&m, string);
        } else if (size) {
                put_u32(&m, (uint32_t)size);
                memset(to + m.at, 'x', size);
                m.at += size;
        }
        return m.at;
}

static struct found dbus_next(const char *data, size_t size) {
        uint32_t body, fields;
        if (size < 16)
                return (struct found){0};
        memcpy(&body, data + 4, 4);
        memcpy(&fields, data + 12, 4);
        size_t bytes = ((16 + (size_t)fields + 7) & ~(size_t)7) + body;
        if (size < bytes)
                return (struct found){0};
        bool is_own = memmem(data + 16, fields, "org.freedesktop.DBus", 20) != NULL;
        return (struct found){bytes, !is_own, data + 8};
}

static void dbus_greet(struct connection *c, char role, int channel) {
        char hello[128], frame[HEAD_BYTES], hex[32], uid[16];
        (void)role, (void)channel;
        snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
        for (size_t i = 0; i <= strlen(uid); i++)
                snprintf(hex + 2 * i, 3, "%02x", (unsigned)(uid[i] ? uid[i] : 0));
        hex[2 * strlen(uid)] = '\0';
        int size = snprintf(hello + 1, sizeof hello - 1, "AUTH EXTERNAL %s\r\nBEGIN\r\n", hex);
        hello[0] = '\0';
        write_all(c, hello, (size_t)size + 1);
        await_bytes(c, "\r\n");
        write_all(c, frame, dbus_frame(frame, 1, 0, "org.freedesktop.DBus", "Hello", 0, NULL));
        while (!dbus_next(c->data + c->begin, c->end - c->begin).bytes)
                read_more(c);
        struct found f = dbus_next(c->data + c->begin, c->end - c->begin);
        uint32_t body;
        memcpy(&body, c->data + c->begin + 4, 4);
        snprintf(c->name, sizeof c->name, "%s", c->data + c->begin + f.bytes - body + 4);
        c->begin += f.bytes;
}

static void dbus_subscribe(struct connection *c, int channel, bool is_fanout) {
        char frame[HEAD_BYTES];
        (void)channel;
        if (!is_fanout)
                return;
        write_all(
                c, frame,
                dbus_frame(frame, 1, 0, "org.freedesktop.DBus", "AddMatch", 0, "type='signal',interface='org.bench'"));
        for (bool is_answered = false; !is_answered;) {
                struct found f = dbus_next(c->data + c->begin, c->end - c->begin);
                if (f.bytes == 0) {
                        read_more(c);
                        continue;
                }
                is_answered = c->data[c->begin + 1] == 2;
                c->begin += f.bytes;
        }
}

static size_t dbus_message(char *to, int channel, size_t size, bool is_fanout) {
        return is_fanout ? dbus_frame(to, 4, 1, NULL, "M", size, NULL)
                         : dbus_frame(to, 1, 1, shared->names[channel], "M", size, NULL);
}

static size_t dbus_request(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return dbus_frame(to, 1, 0, shared->names[channel + PEERS_MAX / 2], "M", size, NULL);
}

static size_t dbus_reply(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return dbus_frame(to, 2, 1, shared->names[channel], NULL, size, NULL);
}

/* A request has its serial, a reply refers to one, which is its first field. */
static void dbus_stamp(char *message, const char *seq) {
        memcpy(message[1] == 2 ? message + 20 : message + 8, seq, 4);
}

/* ---- NATS and redis ----------------------------------------------------------------- */

static void nats_greet(struct connection *c, char role, int channel) {
        static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";
        (void)role, (void)channel;
        write_all(c, hello, sizeof hello - 1);
        await_bytes(c, "PONG\r\n");
}

static void nats_subscribe(struct connection *c, int channel, bool is_fanout) {
        char line[64];
        (void)is_fanout;
        write_all(c, line, (size_t)snprintf(line, sizeof line, "SUB b%d 1\r\nPING\r\n", channel));
        await_bytes(c, "PONG\r\n");
}

static struct found nats_next(const char *data, size_t size) {
        const char *line = size ? memchr(data, '\n', size) : NULL;
        if (!line)
                return (struct found){0};
        size_t bytes = (size_t)(line - data) + 1;
        if (data[0] != 'M')
                return (struct found){bytes, false, NULL};
        const char *number = memrchr(data, ' ', bytes);
        bytes += strtoul(number + 1, NULL, 10) + 2;
        return size < bytes ? (struct found){0} : (struct found){bytes, true, line + 1};
}

static size_t nats_message(char *to, int channel, size_t size, bool is_fanout) {
        (void)is_fanout;
        int head = snprintf(to, HEAD_BYTES, "PUB b%d %zu\r\n", channel, size);
        memset(to + head, 'x', size);
        memcpy(to + (size_t)head + size, "\r\n", 2);
        return (size_t)head + size + 2;
}

static size_t nats_request(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        int head = snprintf(to, HEAD_BYTES, "PUB b%d b%d %zu\r\n", channel + 32, channel, size);
        memset(to + head, 'x', size);
        memcpy(to + (size_t)head + size, "\r\n", 2);
        return (size_t)head + size + 2;
}

static size_t nats_reply(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return nats_message(to, channel, size, false);
}

static void redis_subscribe(struct connection *c, int channel, bool is_fanout) {
        char line[64];
        (void)is_fanout;
        write_all(c, line, (size_t)snprintf(line, sizeof line, "SUBSCRIBE b%d\r\n", channel));
        await_bytes(c, ":1\r\n");
}

/* *3 $7 message $n channel $n payload; or an integer for the sender. */
static struct found redis_next(const char *data, size_t size) {
        const char *line = size ? memchr(data, '\n', size) : NULL;
        if (!line)
                return (struct found){0};
        if (data[0] != '*')
                return (struct found){(size_t)(line - data) + 1, false, NULL};
        const char *at = line + 1, *end = data + size;
        for (int i = 0; i < 3; i++) {
                const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
                if (!stop)
                        return (struct found){0};
                at = stop + 1 + strtoul(at + 1, NULL, 10) + 2;
        }
        return at > end ? (struct found){0} : (struct found){(size_t)(at - data), true, NULL};
}

static size_t redis_publish(char *to, int channel, size_t size) {
        char name[16];
        int length = snprintf(name, sizeof name, "b%d", channel);
        int head = snprintf(to, HEAD_BYTES, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%zu\r\n", length, name, size);
        memset(to + head, 'x', size);
        memcpy(to + (size_t)head + size, "\r\n", 2);
        return (size_t)head + size + 2;
}

static size_t redis_message(char *to, int channel, size_t size, bool is_fanout) {
        (void)is_fanout;
        return redis_publish(to, channel, size);
}

static size_t redis_request(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return redis_publish(to, channel + 32, size);
}

static size_t redis_reply(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return redis_publish(to, channel, size);
}

/* ---- The floor ------------------------------------------------------------------------ */

static void floor_greet(struct connection *c, char role, int channel) {
        write_all(c, (char[]){role, (char)channel}, 2);
        char ok;
        if (read(c->fd, &ok, 1) != 1)
                die("floor");
}

static struct found floor_next(const char *data, size_t size) {
        uint32_t length;
        if (size < 4)
                return (struct found){0};
        memcpy(&length, data, 4);
        return size < length ? (struct found){0} : (struct found){length, true, NULL};
}

/* As large as ours: a floor that moves fewer bytes would be none. */
static size_t floor_message(char *to, int channel, size_t size, bool is_fanout) {
        (void)channel, (void)is_fanout;
        uint32_t length = (uint32_t)(size + 100);
        memset(to, 'x', length);
        memcpy(to, &length, 4);
        return length;
}

static size_t floor_request(char *to, int channel, size_t size, const struct connection *from) {
        (void)from;
        return floor_message(to, channel, size, false);
}

struct relay {
        int role, channel;
};

static void relay_forward(const struct relay *relays, int from, const char *data, size_t size) {
        for (int fd = 0; fd < 1024; fd++) {
                if (relays[fd].channel != relays[from].channel || relays[fd].role == relays[from].role ||
                    !relays[fd].role)
                        continue;
                for (size_t done = 0; done < size;) {
                        ssize_t part = write(fd, data + done, size - done);
                        if (part <= 0)
                                break;
                        done += (size_t)part;
                }
        }
}

static void run_floor(const char *address) {
        static struct relay relays[1024];
        static char data[READ_BYTES];
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        snprintf(at.sun_path, sizeof at.sun_path, "%s", address);
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), epoll = epoll_create1(0);
        if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 100))
                die("floor");
        puts("listening"); /* bench/bus.py waits for it */
        fflush(stdout);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
        for (;;) {
                struct epoll_event ready[64];
                int count = epoll_wait(epoll, ready, 64, -1);
                for (int i = 0; i < count; i++) {
                        int fd = ready[i].data.fd;
                        if (fd == listener) {
                                fd = accept(listener, NULL, NULL);
                                char hello[2];
                                if (read(fd, hello, 2) != 2 || fd >= 1024)
                                        continue;
                                relays[fd] = (struct relay){hello[0], hello[1]};
                                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
                                (void)!write(fd, "k", 1);
                                continue;
                        }
                        ssize_t got = read(fd, data, sizeof data);
                        if (got > 0) {
                                relay_forward(relays, fd, data, (size_t)got);
                                continue;
                        }
                        relays[fd] = (struct relay){0};
                        close(fd);
                }
        }
}

/* ---- Scenarios -------------------------------------------------------------------------- */

static const struct target targets[] = {
        {"penstock", false, penstock_greet, penstock_subscribe, penstock_next, penstock_message, penstock_request,
         penstock_reply, penstock_stamp},
        {"dbus", false, dbus_greet, dbus_subscribe, dbus_next, dbus_message, dbus_request, dbus_reply, dbus_stamp},
        {"nats", true, nats_greet, nats_subscribe, nats_next, nats_message, nats_request, nats_reply, NULL},
        {"redis", false, NULL, redis_subscribe, redis_next, redis_message, redis_request, redis_reply, NULL},
        {"floor", false, floor_greet, NULL, floor_next, floor_message, floor_request, floor_request, NULL},
};

static void announce(int place, const struct connection *c) {
        snprintf(shared->names[place], sizeof shared->names[place], "%s", c->name);
}

/* Counts until all have come; the last receiver to end says when. */
static void run_receiver(const struct target *t, const char *address, int channel, size_t count, bool is_fanout) {
        struct connection c = connect_to(t, address, 'r', channel);
        announce(channel, &c);
        if (t->subscribe)
                t->subscribe(&c, channel, is_fanout);
        arrive();
        for (size_t i = 0; i < count; i++)
                atomic_fetch_add_explicit(&shared->streamed, receive(t, &c).bytes, memory_order_relaxed);
        int64_t now = now_ns(), last = atomic_load(&shared->finished_ns);
        while (now > last && !atomic_compare_exchange_weak(&shared->finished_ns, &last, now))
                ;
}

/* What comes back to a sender (redis counts, NATS pings) is read now and then, so that nothing fills up. */
static void drain(struct connection *c) {
        struct pollfd one = {.fd = c->fd, .events = POLLIN};
        char data[4096];
        while (poll(&one, 1, 0) > 0 && read(c->fd, data, sizeof data) > 0)
                ;
}

static void run_sender(const struct target *t, const char *address, int channel, size_t size, size_t count,
                       bool is_fanout) {
        struct connection c = connect_to(t, address, 's', channel);
        snprintf(own_name, sizeof own_name, "%s", c.name);
        size_t batch = size < BATCH_BYTES / 4 ? BATCH_BYTES / (size + 200) : 1;
        char *bytes = malloc(batch * (size + HEAD_BYTES)), *end = bytes;
        if (!bytes)
                die("memory");
        arrive_and_await_go();
        size_t one = t->message(bytes, channel, size, is_fanout);
        for (size_t i = 0; i < batch; i++, end += one)
                memcpy(end, bytes, one);
        for (size_t done = 0; done < count;) {
                size_t part = count - done < batch ? count - done : batch;
                write_all(&c, bytes, part * one);
                done += part;
                drain(&c);
        }
        char data[4096];
        while (read(c.fd, data, sizeof data) > 0)
                ;
        pause(); /* it goes when the run ends: its connection may not end before */
}

/* Who has subscribed to something in redis cannot publish, and has a second connection for that. */
static struct connection outgoing(const struct target *t, const char *address, const struct connection *c) {
        return strcmp(t->name, "redis") == 0 ? connect_to(t, address, 's', 0) : *c;
}

static void run_service(const struct target *t, const char *address, int channel, size_t size) {
        struct connection c = connect_to(t, address, 'r', channel);
        bool is_named = strcmp(t->name, "nats") == 0 || strcmp(t->name, "redis") == 0;
        announce(channel + PEERS_MAX / 2, &c);
        if (t->subscribe)
                t->subscribe(&c, is_named ? channel + 32 : channel, false);
        char *reply = malloc(size + HEAD_BYTES);
        struct connection out = outgoing(t, address, &c);
        arrive_and_await_go();
        size_t bytes = t->reply(reply, channel, size, &c);
        for (;;) {
                struct found f = receive(t, &c);
                if (t->stamp)
                        t->stamp(reply, f.seq);
                write_all(&out, reply, bytes);
                if (out.fd != c.fd)
                        drain(&out);
        }
}

static int compare_doubles(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;
        return x < y ? -1 : x > y;
}

static void run_asker(const struct target *t, const char *address, int channel, size_t size, size_t count) {
        struct connection c = connect_to(t, address, 's', channel);
        announce(channel, &c);
        if (t->subscribe && t->stamp == NULL)
                t->subscribe(&c, channel, false);
        char *request = malloc(size + HEAD_BYTES), seq[16];
        struct connection out = outgoing(t, address, &c);
        arrive_and_await_go();
        size_t bytes = t->request(request, channel, size, &c);
        for (size_t i = 0; i < count; i++) {
                uint32_t serial = (uint32_t)i + 1;
                snprintf(seq, sizeof seq, "%u", SEQ_FIRST + serial);
                if (t->stamp)
                        t->stamp(request, strcmp(t->name, "dbus") == 0 ? (char *)&serial : seq);
                int64_t began = now_ns();
                write_all(&out, request, bytes);
                receive(t, &c);
                if (out.fd != c.fd)
                        drain(&out);
                if (i < SAMPLES_MAX)
                        shared->samples[i] = (double)(now_ns() - began) / 1000;
        }
        shared->sample_count = count < SAMPLES_MAX ? count : SAMPLES_MAX;
        atomic_store(&shared->finished_ns, now_ns());
}

/* ---- A run --------------------------------------------------------------------------------- */

static pid_t children[2 * PEERS_MAX];
static int child_count;

#define IN_CHILD(call)                                                                                                 \
        do {                                                                                                           \
                pid_t pid_ = fork();                                                                                   \
                if (pid_ == 0) {                                                                                       \
                        prctl(PR_SET_PDEATHSIG, SIGKILL);                                                              \
                        call;                                                                                          \
                        _exit(0);                                                                                      \
                }                                                                                                      \
                children[child_count++] = pid_;                                                                        \
        } while (0)

static void await_ready(int wanted) {
        if (!await_number(&shared->ready, wanted))
                die("the peers do not come up");
}

static void start_clock(void) {
        atomic_store(&shared->started_ns, now_ns());
        raise_number(&shared->go);
}

static void await_child(int which) {
        int status;
        if (waitpid(children[which], &status, 0) < 0 || status != 0)
                atomic_fetch_add(&shared->failures, 1);
        children[which] = 0;
}

static void end_children(void) {
        for (int i = 0; i < child_count; i++)
                if (children[i] > 0)
                        kill(children[i], SIGKILL);
        while (wait(NULL) > 0)
                ;
}

static void run_streams(const struct target *t, const char *address, size_t size, size_t count, int pairs,
                        bool is_fanout) {
        for (int i = 0; i < pairs; i++) {
                int channel = is_fanout && strcmp(t->name, "dbus") != 0 ? 0 : i;
                IN_CHILD(run_receiver(t, address, channel, count, is_fanout));
        }
        await_ready(pairs);
        int senders = is_fanout ? 1 : pairs;
        for (int i = 0; i < senders; i++)
                IN_CHILD(run_sender(t, address, i, size, count, is_fanout));
        await_ready(pairs + senders);
        start_clock();
        for (int i = 0; i < pairs; i++)
                await_child(i);
        double seconds = (double)(shared->finished_ns - shared->started_ns) / 1e9;
        double messages = (double)count * pairs;
        printf("{\"rate\": %.0f, \"mb_s\": %.1f, \"failed\": %s}\n", messages / seconds,
               messages * (double)size / seconds / 1e6, shared->failures ? "true" : "false");
}

static void run_latency(const struct target *t, const char *address, size_t size, size_t count, size_t beside) {
        int channel = 1;
        IN_CHILD(run_service(t, address, channel, size));
        await_ready(1);
        IN_CHILD(run_asker(t, address, channel, size, count));
        await_ready(2);
        if (beside) {
                IN_CHILD(run_receiver(t, address, 3, SIZE_MAX, false));
                await_ready(3);
                IN_CHILD(run_sender(t, address, 3, beside, SIZE_MAX, false));
                await_ready(4);
        }
        start_clock();
        await_child(1);
        double seconds = (double)(now_ns() - shared->started_ns) / 1e9;
        uint64_t streamed = atomic_load(&shared->streamed);
        size_t n = shared->sample_count;
        if (n == 0)
                die("no samples");
        double sum = 0;
        for (size_t i = 0; i < n; i++)
                sum += shared->samples[i];
        qsort(shared->samples, n, sizeof(double), compare_doubles);
        printf("{\"rate\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"beside_mb_s\": %.1f}\n",
               1e6 * (double)n / sum, shared->samples[n / 2], shared->samples[n * 99 / 100], shared->samples[n - 1],
               (double)streamed / seconds / 1e6);
}

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "relay") == 0)
                run_floor(argv[2]);
        if (argc < 6) {
                fprintf(stderr, "bus_bench TARGET ADDRESS latency|oneway|fanout|beside SIZE COUNT [PAIRS]\n"
                                "bus_bench relay ADDRESS\n");
                return 2;
        }
        const struct target *t = targets;
        while (t < targets + sizeof targets / sizeof *targets && strcmp(t->name, argv[1]) != 0)
                t++;
        assert(t < targets + sizeof targets / sizeof *targets);
        size_t size = strtoul(argv[4], NULL, 10), count = strtoul(argv[5], NULL, 10);
        int pairs = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 1;
        assert(pairs > 0 && pairs < PEERS_MAX / 2);
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                die("memory");
        signal(SIGPIPE, SIG_IGN);
        alarm(RUN_SECONDS_MAX);
        const char *address = argv[2], *scenario = argv[3];
        if (strcmp(scenario, "latency") == 0)
                run_latency(t, address, size, count, 0);
        else if (strcmp(scenario, "beside") == 0)
                run_latency(t, address, 100, count, size);
        else
                run_streams(t, address, size, count, pairs, strcmp(scenario, "fanout") == 0);
        fflush(stdout);
        end_children();
        return 0;
}
