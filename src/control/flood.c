/*
 * Flood sends log messages as fast, or as evenly, as it is asked to, and afterwards proves which of them arrived.
 *
 * It is a load generator that shares its two cores with the daemon under test, so it has to cost next to nothing: the
 * messages are formatted once, into a block, and a connection sends this same block over and over in large writes.
 * Only the sequence numbers in it change, and they are patched in place. What a connection sends is thus a pure
 * function of its number and its position, and a write that was cut short anywhere can be taken up again later.
 *
 *   READY   -> READY       all was taken, back to the end of the ring      worker_turn()
 *   READY   -> BLOCKED     the socket is full                              worker_turn()
 *   BLOCKED -> READY       the socket has room again                       worker_wait()
 *   READY   -> WAITING     RELP: the window is full, or all is sent        worker_turn()
 *   WAITING -> READY       an answer came                                  worker_wait()
 *   READY   -> FINISHED    all messages are sent and, where there are answers, answered; or the peer is gone
 *                                                                          worker_turn()
 *
 * A connection belongs to one worker, and a worker is one thread. The settings are read-only once workers run.
 *
 * Unlike the rest of the house it uses sockets directly, and nothing but libc: a measuring instrument must not share
 * parts with what it measures.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
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
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "flood.h"
#include "flood_relp.h"

#define CONNECTIONS_MAX    20000u
#define THREADS_MAX        64u
#define HOSTS_MAX          100000u
#define MESSAGE_BYTES_MAX  (64u * 1024)
#define BLOCK_MESSAGES_MIN 1000u
#define DATAGRAM_BATCH_MAX 1024u /* What sendmmsg() takes at once. */
#define DATAGRAM_BATCH     128u
#define SEGMENTS_MAX       64u /* What UDP_SEGMENT takes at once, with fewer bytes than one IP packet has. */
#define SEGMENTS_BYTES_MAX 65000u
#define WRITE_BYTES        (256u * 1024)
#define EVENTS_MAX         256
#define SLICE_NS           500000u   /* How finely a rate is paced. */
#define CATCH_UP_NS        20000000u /* How much lost time a paced sender makes up for with a burst. */
#define REFUSALS_MAX       1000u
#define NS_PER_S           1000000000ull

/* "00007:00000123456": the connection, then the number, whose last digits are the message's place in the block. */
#define CONNECTION_DIGITS 5
#define ROUND_DIGITS      8
#define MARK_BYTES        (CONNECTION_DIGITS + 1 + ROUND_DIGITS)

#define _owned_(free_function) __attribute__((cleanup(free_function##_owned)))

static void text_free_owned(char **p) {
        free(*p);
}

static void fd_close_owned(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

enum target {
        TARGET_TCP,
        TARGET_UDP,
        TARGET_UNIX,
        TARGET_UNIX_STREAM,
        TARGET_FILE,
        TARGET_RELP,
};

enum framing {
        FRAMING_LF,
        FRAMING_OCTET,
        FRAMING_RELP,
        FRAMING_NONE,
};

enum format {
        FORMAT_3164,
        FORMAT_5424,
        FORMAT_PLAIN,
};

struct choice {
        const char *name;
        int value;
};

static const struct choice targets[] = {
        {"tcp:", TARGET_TCP},
        {"udp:", TARGET_UDP},
        {"unix:", TARGET_UNIX},
        {"unix-stream:", TARGET_UNIX_STREAM},
        {"file:", TARGET_FILE},
        {"relp:", TARGET_RELP},
        {},
};

static const struct choice framings[] = {
        {"lf", FRAMING_LF},
        {"octet", FRAMING_OCTET},
        {},
};

static const struct choice formats[] = {
        {"3164", FORMAT_3164},
        {"5424", FORMAT_5424},
        {"plain", FORMAT_PLAIN},
        {},
};

struct settings {
        enum target target;
        enum framing framing;
        enum format format;
        char address[NI_MAXHOST];
        char port[NI_MAXSERV];
        const char *ledger; /* A file for what was acknowledged. */
        uint64_t messages;  /* 0: no limit. */
        uint64_t rate;      /* Messages a second; 0: no limit. */
        uint64_t duration_ns;
        uint64_t seed;
        uint32_t size; /* Bytes of one message without its framing; 0: the mix. */
        uint32_t connections;
        uint32_t idle_connections;
        uint32_t threads;
        uint32_t batch; /* Messages a write; 0: choose. */
        uint32_t hosts;
        uint32_t window; /* Messages that may be unanswered. */
        bool is_sequenced;
        bool is_held;
        bool is_json;
        const char *tag; /* Only messages of the mix with this one; NULL: all. */
};

/*
 * What the messages say. In a text, {5} is a number of five digits, {x8} eight hexadecimal digits, {ip} an address,
 * {user} a name, {seq} the sequence marker after a space and {jseq} the marker as a JSON member after a comma.
 */
struct kind {
        const char *tag;
        const char *text;
        uint8_t facility;
        uint8_t severity;
        uint8_t weight;
        bool has_pid;
};

static const struct kind mix[] = {
        {"sshd", "Accepted publickey for {user} from {ip} port {5} ssh2: ED25519 SHA256:{x40}{seq}", 10, 6, 8, true},
        {"sshd", "Failed password for invalid user {user} from {ip} port {5} ssh2{seq}", 10, 6, 10, true},
        {"sshd", "pam_unix(sshd:session): session opened for user {user}(uid=1{3}) by (uid=0){seq}", 10, 6, 6, true},
        {"sudo", "   {user} : TTY=pts/{1} ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/apt update{seq}", 10, 5, 3,
         false},
        {"kernel", "[{5}.{6}] eth0: renamed from veth{x7}{seq}", 0, 6, 3, false},
        {"kernel", "[{5}.{6}] TCP: request_sock_TCP: Possible SYN flooding on port {4}. Sending cookies.{seq}", 0, 4, 2,
         false},
        {"kernel", "[{5}.{6}] blk_update_request: I/O error, dev sdb, sector {8} op 0x0:(READ){seq}", 0, 3, 1, false},
        {"CRON", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly){seq}", 9, 6, 5, true},
        {"CRON", "pam_unix(cron:session): session closed for user root{seq}", 9, 6, 4, true},
        {"nginx",
         "{ip} - - \"GET /api/v1/items/{6}?page={2} HTTP/1.1\" 200 {4} \"https://shop.example.com/\" "
         "\"Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0\"{seq}",
         23, 6, 20, false},
        {"nginx", "{ip} - - \"POST /api/v1/login HTTP/1.1\" 401 {3} \"-\" \"curl/7.88.1\"{seq}", 23, 6, 5, false},
        {"nginx", "{ip} - - \"GET /health HTTP/1.1\" 500 {3} \"-\" \"kube-probe/1.27\"{seq}", 23, 3, 2, false},
        {"orders", "{\"level\":\"info\",\"request\":\"{x32}\",\"user\":{6},\"path\":\"/v1/orders\",\"ms\":{3}{jseq}}",
         16, 6, 12, true},
        {"orders",
         "{\"level\":\"error\",\"request\":\"{x32}\",\"error\":\"payment gateway timeout after {4} ms\"{jseq}}", 16, 3,
         2, true},
        {"postfix/smtp",
         "{x10}: to=<{user}@example.com>, relay=mx.example.com[{ip}]:25, delay={1}.{2}, "
         "delays=0.05/0.01/0.2/{1}.{1}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {x10}){seq}",
         2, 6, 8, true},
        {"postfix/smtpd", "connect from unknown[{ip}]{seq}", 2, 6, 5, true},
        {"postgres", "[{1}-1] ERROR:  duplicate key value violates unique constraint \"orders_pkey\"{seq}", 17, 3, 2,
         true},
        {"systemd", "Started Session {4} of User {user}.{seq}", 3, 6, 6, true},
        {"systemd", "logrotate.service: Deactivated successfully.{seq}", 3, 6, 4, true},
        {"dhclient", "DHCPACK of {ip} from {ip} (xid=0x{x8}){seq}", 3, 6, 2, true},
        {"myapp", "debug: cache lookup key={x16} hit={1} took={3}us{seq}", 18, 7, 4, true},
};

static const struct kind sized = {"flood", "message{seq} ", 16, 6, 1, true};

static const char *const users[] = {"alice", "bob", "carol", "deploy", "git", "jenkins", "root", "www-data"};

/* How many of all messages are a connection's. */
static uint64_t quota_of(uint64_t messages, uint32_t connections, uint32_t connection) {
        return messages / connections + (connection < messages % connections);
}

static uint64_t clock_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void) {
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* splitmix64: small, and the same everywhere, so that a seed names the same messages on every machine. */
static uint64_t random_next(uint64_t *state) {
        uint64_t z = *state += 0x9e3779b97f4a7c15ull;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
}

static void digits_write(char *to, unsigned width, uint64_t value) {
        while (width > 0) {
                to[--width] = (char)('0' + value % 10);
                value /= 10;
        }
}

/* One message while it is being formatted. Overlong text is cut: nothing in the tables comes near the limit. */
struct draft {
        char text[MESSAGE_BYTES_MAX];
        uint32_t size;
        uint32_t mark; /* Where the digits of the sequence marker start; 0: there is none. */
};

static void draft_put(struct draft *d, const char *text, size_t size) {
        if (size > sizeof d->text - d->size)
                size = sizeof d->text - d->size;
        memcpy(d->text + d->size, text, size);
        d->size += (uint32_t)size;
}

__attribute__((format(printf, 2, 3))) static void draft_print(struct draft *d, const char *format, ...) {
        char text[512];
        va_list arguments;

        va_start(arguments, format);
        int n = vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        assert(n >= 0 && (size_t)n < sizeof text);
        draft_put(d, text, (size_t)n);
}

static unsigned place_digits(uint32_t block_messages) {
        unsigned digits = 0;

        for (uint32_t n = block_messages; n > 1; n /= 10)
                digits++;
        return digits;
}

static void draft_put_mark(struct draft *d, const char *before, uint32_t place, unsigned digits) {
        char text[MARK_BYTES + 10] = "00000:00000000";

        assert(digits <= 10);
        draft_print(d, "%sseq=", before);
        d->mark = d->size;
        digits_write(text + MARK_BYTES, digits, place);
        draft_put(d, text, MARK_BYTES + digits);
}

static void draft_put_random(struct draft *d, const char *alphabet, unsigned width, uint64_t *random) {
        size_t letters = strlen(alphabet);

        for (unsigned i = 0; i < width; i++)
                draft_put(d, alphabet + random_next(random) % letters, 1);
}

static void draft_put_hole(struct draft *d, const char *name, size_t size, const struct settings *s, uint32_t place,
                           unsigned digits, uint64_t *random) {
        uint64_t n = random_next(random);

        if (isdigit((unsigned char)name[0])) {
                draft_put_random(d, "123456789", 1, random);
                draft_put_random(d, "0123456789", (unsigned)strtoul(name, NULL, 10) - 1, random);
        } else if (name[0] == 'x')
                draft_put_random(d, "0123456789abcdef", (unsigned)strtoul(name + 1, NULL, 10), random);
        else if (size == 2 && !memcmp(name, "ip", 2))
                draft_print(d, "10.%u.%u.%u", (unsigned)(n & 15), (unsigned)(n >> 8 & 255), (unsigned)(n >> 16 & 255));
        else if (size == 4 && !memcmp(name, "user", 4))
                draft_print(d, "%s", users[n % (sizeof users / sizeof *users)]);
        else if (size == 3 && !memcmp(name, "seq", 3)) {
                if (s->is_sequenced)
                        draft_put_mark(d, " ", place, digits);
        } else {
                assert(size == 4 && !memcmp(name, "jseq", 4));
                if (s->is_sequenced) {
                        draft_put_mark(d, ",\"trace\":\"", place, digits);
                        draft_put(d, "\"", 1);
                }
        }
}

/* A brace that no letter or digit follows is an ordinary one: JSON has many of them. */
static void draft_put_text(struct draft *d, const char *text, const struct settings *s, uint32_t place, unsigned digits,
                           uint64_t *random) {
        while (*text) {
                size_t plain = strcspn(text, "{");
                draft_put(d, text, plain);
                text += plain;
                if (!*text)
                        return;

                if (!isalnum((unsigned char)text[1])) {
                        draft_put(d, text++, 1);
                        continue;
                }

                size_t size = strcspn(text + 1, "}");
                draft_put_hole(d, text + 1, size, s, place, digits, random);
                text += size + 2;
        }
}

static void draft_put_header(struct draft *d, const struct kind *kind, const struct settings *s, uint32_t place,
                             const struct tm *now, uint64_t *random) {
        static const char hosts[][6] = {"web", "db", "mail", "cache", "node"};
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        unsigned priority = kind->facility * 8u + kind->severity;
        unsigned host = s->hosts ? place % s->hosts : 0;
        char name[16], pid[16];

        if (s->format == FORMAT_PLAIN)
                return;

        snprintf(name, sizeof name, "%s-%05u", hosts[host % 5], host);
        snprintf(pid, sizeof pid, "%u", 1000 + (unsigned)(random_next(random) % 30000));
        if (s->format == FORMAT_3164) {
                draft_print(d, "<%u>%.3s %2d %02d:%02d:%02d ", priority, months + now->tm_mon * 3, now->tm_mday,
                            now->tm_hour, now->tm_min, now->tm_sec);
                if (s->hosts)
                        draft_print(d, "%s ", name);
                draft_print(d, kind->has_pid ? "%s[%s]: " : "%s: ", kind->tag, pid);
                return;
        }

        draft_print(d, "<%u>1 %04d-%02d-%02dT%02d:%02d:%02d.%06uZ %s %s %s - - ", priority, now->tm_year + 1900,
                    now->tm_mon + 1, now->tm_mday, now->tm_hour, now->tm_min, now->tm_sec,
                    (unsigned)(random_next(random) % 1000000), s->hosts ? name : "-", kind->tag,
                    kind->has_pid ? pid : "-");
}

/* Fills up to the wished size with words, so that neither framing nor compression finds it too easy. */
static void draft_pad(struct draft *d, uint32_t size) {
        static const char filler[] = "the quick brown fox jumps over the lazy dog ";

        for (uint32_t i = 0; d->size < size; i++)
                draft_put(d, filler + i % (sizeof filler - 1), 1);
}

static unsigned kind_weight(const struct settings *s, const struct kind *kind) {
        return s->tag && strcmp(s->tag, kind->tag) ? 0 : kind->weight;
}

static bool tag_is_known(const char *tag) {
        for (size_t i = 0; i < sizeof mix / sizeof *mix; i++)
                if (!strcmp(mix[i].tag, tag))
                        return true;
        return false;
}

static const struct kind *kind_pick(const struct settings *s, uint64_t *random) {
        unsigned total = 0;

        if (s->size)
                return &sized;

        for (size_t i = 0; i < sizeof mix / sizeof *mix; i++)
                total += kind_weight(s, mix + i);

        unsigned n = (unsigned)(random_next(random) % total);
        for (size_t i = 0;; i++) {
                if (n < kind_weight(s, mix + i))
                        return mix + i;
                n -= kind_weight(s, mix + i);
        }
}

/*
 * The messages of a round, one after the other. Their count is a power of ten, so that a message's place in the block
 * is the last digits of its number, and one store of what comes before them renumbers it.
 */
struct block {
        char *text;
        uint32_t *starts; /* Of every message, and the end of the last. */
        uint32_t *marks;  /* Where each message's marker is; only when they are sequenced. */
        struct mmsghdr *headers;
        struct iovec *vectors;
        uint32_t count;
};

static void block_fini(struct block *b) {
        free(b->text);
        free(b->starts);
        free(b->marks);
        free(b->headers);
        free(b->vectors);
        *b = (struct block){};
}

static int block_append(struct block *b, uint32_t place, size_t *allocated, const struct draft *d,
                        enum framing framing) {
        char prefix[32];
        int prefix_size = framing == FRAMING_OCTET  ? snprintf(prefix, sizeof prefix, "%u ", d->size)
                          : framing == FRAMING_RELP ? snprintf(prefix, sizeof prefix, "%0*d syslog %u ",
                                                               (int)RELP_TXNR_DIGITS, 0, d->size)
                                                    : 0;
        bool has_lf = framing == FRAMING_LF || framing == FRAMING_RELP;
        uint32_t start = b->starts[place];
        size_t need = start + (size_t)prefix_size + d->size + 1;

        if (need > UINT32_MAX)
                return -EFBIG;
        if (need > *allocated) {
                *allocated = need * 2;
                char *text = realloc(b->text, *allocated);
                if (!text)
                        return -ENOMEM;
                b->text = text;
        }

        char *p = b->text + start;
        memcpy(p, prefix, (size_t)prefix_size);
        memcpy(p + prefix_size, d->text, d->size);
        if (has_lf)
                p[(uint32_t)prefix_size + d->size] = '\n';
        b->marks[place] = start + (uint32_t)prefix_size + d->mark;
        b->starts[place + 1] = start + (uint32_t)prefix_size + d->size + has_lf;
        return 0;
}

static int block_link_datagrams(struct block *b) {
        b->headers = calloc(b->count, sizeof *b->headers);
        b->vectors = calloc(b->count, sizeof *b->vectors);
        if (!b->headers || !b->vectors)
                return -ENOMEM;

        for (uint32_t i = 0; i < b->count; i++) {
                b->vectors[i] = (struct iovec){b->text + b->starts[i], b->starts[i + 1] - b->starts[i]};
                b->headers[i].msg_hdr.msg_iov = b->vectors + i;
                b->headers[i].msg_hdr.msg_iovlen = 1;
        }
        return 0;
}

static int block_fill(struct block *b, const struct settings *s) {
        _owned_(text_free) char *memory = malloc(sizeof(struct draft));
        struct draft *d = (struct draft *)memory;
        uint64_t random = s->seed;
        unsigned digits = place_digits(b->count);
        size_t allocated = 0;
        time_t seconds = time(NULL);
        struct tm now;

        b->starts = calloc(b->count + 1, sizeof *b->starts);
        b->marks = calloc(b->count, sizeof *b->marks);
        if (!d || !b->starts || !b->marks)
                return -ENOMEM;

        localtime_r(&seconds, &now);
        if (s->format == FORMAT_5424)
                gmtime_r(&seconds, &now);

        for (uint32_t i = 0; i < b->count; i++) {
                const struct kind *kind = kind_pick(s, &random);

                d->size = d->mark = 0;
                draft_put_header(d, kind, s, i, &now, &random);
                draft_put_text(d, kind->text, s, i, digits, &random);
                if (s->size && d->size > s->size) {
                        fprintf(stderr, "flood: such messages have at least %u bytes, but --size is %u\n", d->size,
                                s->size);
                        return -EINVAL;
                }
                draft_pad(d, s->size);

                int r = block_append(b, i, &allocated, d, s->framing);
                if (r)
                        return r;
        }
        return s->framing == FRAMING_NONE ? block_link_datagrams(b) : 0;
}

static int block_init(struct block *b, const struct settings *s) {
        *b = (struct block){.count = BLOCK_MESSAGES_MIN};
        while (b->count < s->hosts)
                b->count *= 10;

        int r = block_fill(b, s);
        if (r)
                block_fini(b);
        return r;
}

static void block_number(struct block *b, uint32_t first, uint32_t count, uint32_t connection, uint64_t round) {
        char mark[MARK_BYTES];

        digits_write(mark, CONNECTION_DIGITS, connection);
        mark[CONNECTION_DIGITS] = ':';
        digits_write(mark + CONNECTION_DIGITS + 1, ROUND_DIGITS, round);

        for (uint32_t i = first; i < first + count; i++)
                memcpy(b->text + b->marks[i], mark, MARK_BYTES);
}

/* Gives the messages their numbers in the RELP session; the first of them is the connection's n-th. */
static void block_count(struct block *b, uint32_t first, uint32_t count, uint64_t n) {
        for (uint32_t i = first; i < first + count; i++)
                digits_write(b->text + b->starts[i], RELP_TXNR_DIGITS, relp_txnr(n++));
}

/* The last message that starts at or before a position. */
static uint32_t block_find(const struct block *b, uint32_t position) {
        uint32_t low = 0, high = b->count;

        while (low < high) {
                uint32_t middle = low + (high - low + 1) / 2;
                if (b->starts[middle] <= position)
                        low = middle;
                else
                        high = middle - 1;
        }
        return low;
}

struct connection {
        uint64_t quota;
        uint64_t sent;    /* Whole messages. */
        uint32_t partial; /* Bytes of the next message that are already sent. */
        uint32_t number;
        uint32_t refusals;
        int fd;
        struct relp_ear ear;
        bool is_queued;
        bool is_finished;
};

struct pace {
        uint64_t rate;
        uint64_t start_ns;
        uint64_t sent;
};

static uint64_t pace_slice(const struct pace *p) {
        uint64_t slice = p->rate * SLICE_NS / NS_PER_S;

        return slice ? slice : 1;
}

/* How many messages may go now. A sender that was kept from running makes up for a moment, but not for seconds. */
static uint64_t pace_due(struct pace *p, uint64_t now_ns) {
        if (!p->rate)
                return UINT64_MAX;

        double due = (double)(now_ns - p->start_ns) * (double)p->rate / 1e9 - (double)p->sent;
        double most = (double)p->rate * CATCH_UP_NS / 1e9 + 1;
        if (due > most) {
                p->start_ns += (uint64_t)((due - most) * 1e9 / (double)p->rate);
                due = most;
        }
        return due < (double)pace_slice(p) ? 0 : (uint64_t)due;
}

static uint64_t pace_next_ns(const struct pace *p) {
        return p->start_ns + (uint64_t)((double)(p->sent + pace_slice(p)) * 1e9 / (double)p->rate) + 1;
}

#define LEDGER_BYTES (64u * 1024)

/* The markers of messages that were acknowledged, on their way to a file. */
struct ledger {
        char *text; /* LEDGER_BYTES; NULL: there is no file */
        uint32_t size;
        unsigned digits; /* of a message's place in the block */
        int fd;
        bool has_failed;
};

static void ledger_write(struct ledger *l) {
        uint32_t written = 0;

        while (written < l->size && !l->has_failed) {
                ssize_t n = write(l->fd, l->text + written, l->size - written);
                if (n < 0 && errno != EINTR)
                        l->has_failed = true;
                written += n > 0 ? (uint32_t)n : 0;
        }
        l->size = 0;
}

/* One line, just as the marker of the message reads. */
static void ledger_add(struct ledger *l, uint32_t connection, uint64_t number) {
        char line[64] = "seq=";
        unsigned size = 4 + CONNECTION_DIGITS + 1 + ROUND_DIGITS + l->digits;

        if (!l->text)
                return;
        digits_write(line + 4, CONNECTION_DIGITS, connection);
        line[4 + CONNECTION_DIGITS] = ':';
        digits_write(line + 4 + CONNECTION_DIGITS + 1, ROUND_DIGITS + l->digits, number);
        line[size++] = '\n';
        if (l->size + size > LEDGER_BYTES)
                ledger_write(l);
        memcpy(l->text + l->size, line, size);
        l->size += size;
}

struct worker {
        const struct settings *settings;
        struct block block;
        struct pace pace;
        struct connection **ring; /* Those that are ready, oldest first. */
        uint32_t ring_head, ring_count, ring_size;
        uint32_t active;
        uint32_t turns_to_poll;
        uint32_t batch;
        int epoll;
        pthread_t thread;
        struct ledger ledger;
        uint64_t sent, bytes, refused, lost, acknowledged, rejected;
        bool is_stopped;
};

static void ring_push(struct worker *w, struct connection *c) {
        assert(!c->is_queued && w->ring_count < w->ring_size);
        w->ring[(w->ring_head + w->ring_count++) % w->ring_size] = c;
        c->is_queued = true;
}

static struct connection *ring_pop(struct worker *w) {
        struct connection *c = w->ring[w->ring_head];

        w->ring_head = (w->ring_head + 1) % w->ring_size;
        w->ring_count--;
        c->is_queued = false;
        return c;
}

/* Waits until a socket has room, the time is over, or a signal came. Signals have no connection. */
static int worker_wait(struct worker *w, uint64_t timeout_ns) {
        struct timespec t = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
        struct epoll_event events[EVENTS_MAX];

        int n = epoll_pwait2(w->epoll, events, EVENTS_MAX, timeout_ns == UINT64_MAX ? NULL : &t, NULL);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;

        for (int i = 0; i < n; i++) {
                struct connection *c = events[i].data.ptr;

                if (!c)
                        w->is_stopped = true;
                else if (!c->is_queued && !c->is_finished)
                        ring_push(w, c);
        }
        return 0;
}

enum sending {
        SENDING_ALL = 1,
        SENDING_SOME,
        SENDING_LOST,
};

static int worker_stream(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        const struct block *b = &w->block;
        uint32_t start = b->starts[first] + c->partial, end = b->starts[first + count];
        ssize_t n;

        do
                n = w->settings->target == TARGET_FILE ? write(c->fd, b->text + start, end - start)
                                                       : send(c->fd, b->text + start, end - start, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);

        if (n < 0)
                return errno == EAGAIN ? SENDING_SOME : errno == EPIPE || errno == ECONNRESET ? SENDING_LOST : -errno;

        uint32_t position = start + (uint32_t)n;
        uint32_t next = position == end ? first + count : block_find(b, position);
        c->sent += next - first;
        w->sent += next - first;
        c->partial = position - b->starts[next];
        w->bytes += (uint64_t)n;
        return position == end ? SENDING_ALL : SENDING_SOME;
}

static bool is_segmented(const struct settings *s) {
        return s->target == TARGET_UDP && s->size;
}

/*
 * Datagrams of one size go through the kernel's network stack as one, and come apart only at the receiving socket. This
 * takes 1.0 us a datagram where sendmmsg() takes 4.3, most of it on the way through the stack.
 */
static int segments_send(const struct block *b, int fd, uint32_t first, uint32_t count) {
        uint32_t start = b->starts[first], bytes = b->starts[first + count] - start;
        struct iovec vector = {b->text + start, bytes};
        union {
                char bytes[CMSG_SPACE(sizeof(uint16_t))];
                struct cmsghdr align;
        } control = {};
        struct msghdr header = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        struct cmsghdr *option = CMSG_FIRSTHDR(&header);
        uint16_t size = (uint16_t)(bytes / count);

        option->cmsg_level = SOL_UDP;
        option->cmsg_type = UDP_SEGMENT;
        option->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(option), &size, sizeof size);
        return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -1 : (int)count;
}

static int worker_datagrams(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        const struct block *b = &w->block;

        int n = is_segmented(w->settings) ? segments_send(b, c->fd, first, count)
                                          : sendmmsg(c->fd, b->headers + first, count, MSG_NOSIGNAL);
        if (n < 0 && errno == ECONNREFUSED && w->settings->target == TARGET_UDP && c->refusals < REFUSALS_MAX) {
                /* This is the answer to an earlier datagram, and nothing was sent now: nobody listens yet, or any more.
                 */
                c->refusals++;
                w->refused++;
                return SENDING_ALL;
        }
        if (n < 0 && (errno == EINTR || errno == ENOBUFS))
                return SENDING_ALL;
        if (n < 0)
                return errno == EAGAIN                                                     ? SENDING_SOME
                       : errno == ECONNREFUSED || errno == ECONNRESET || errno == ENOTCONN ? SENDING_LOST
                                                                                           : -errno;

        c->refusals = 0;
        c->sent += (unsigned)n;
        w->sent += (unsigned)n;
        w->bytes += b->starts[first + (unsigned)n] - b->starts[first];
        return (unsigned)n == count ? SENDING_ALL : SENDING_SOME;
}

/* Who listens to the answers of a connection. */
struct listener {
        struct worker *worker;
        uint32_t connection;
};

static void note_acknowledged(void *context, uint64_t number) {
        struct listener *l = context;

        l->worker->acknowledged++;
        ledger_add(&l->worker->ledger, l->connection, number);
}

/* Takes the answers that are there. False: the peer is gone. */
static bool worker_hear(struct worker *w, struct connection *c) {
        struct listener l = {w, c->number};
        uint64_t refused = c->ear.refused;

        enum relp_hearing heard = relp_hear(c->fd, &c->ear, note_acknowledged, &l);
        w->rejected += c->ear.refused - refused;
        return heard == RELP_HEARD;
}

static void connection_finish(struct worker *w, struct connection *c, bool is_lost) {
        c->is_finished = true;
        w->active--;
        w->lost += is_lost;
        if (w->settings->target == TARGET_RELP && !is_lost && !w->settings->is_held)
                relp_close(c->fd, &c->ear, c->sent);
        if (!w->settings->is_held) {
                close(c->fd);
                c->fd = -1;
        }
}

/* How many messages the connection may send in one write. */
static uint64_t turn_size(const struct worker *w, const struct connection *c, uint32_t first, uint64_t share) {
        uint64_t count = w->batch;

        if (count > w->block.count - first)
                count = w->block.count - first;
        if (count > c->quota - c->sent)
                count = c->quota - c->sent;
        if (w->settings->target == TARGET_RELP && count > w->settings->window - (c->sent - c->ear.answered))
                count = w->settings->window - (c->sent - c->ear.answered);
        return count < share ? count : share;
}

static int worker_send(struct worker *w, struct connection *c, uint32_t first, uint32_t count) {
        if (w->settings->is_sequenced)
                block_number(&w->block, first, count, c->number, c->sent / w->block.count);
        if (w->settings->framing == FRAMING_RELP)
                block_count(&w->block, first, count, c->sent);
        return w->settings->framing == FRAMING_NONE ? worker_datagrams(w, c, first, count)
                                                    : worker_stream(w, c, first, count);
}

/* Gives the connection that waited longest its turn, at most one write. */
static int worker_turn(struct worker *w, uint64_t due) {
        uint64_t share = due == UINT64_MAX ? due : due / w->ring_count + 1;
        struct connection *c = ring_pop(w);
        bool is_answered = w->settings->target == TARGET_RELP;
        uint64_t sent = w->sent;
        int r = SENDING_ALL;

        if (is_answered && !worker_hear(w, c))
                r = SENDING_LOST;
        uint32_t first = (uint32_t)(c->sent % w->block.count);
        uint32_t count = r == SENDING_LOST ? 0 : (uint32_t)turn_size(w, c, first, share);
        if (count)
                r = worker_send(w, c, first, count);
        if (r < 0)
                return r;

        w->pace.sent += w->sent - sent;
        bool is_done = c->sent == c->quota && (!is_answered || c->ear.answered == c->sent);
        if (r == SENDING_LOST || is_done)
                connection_finish(w, c, r == SENDING_LOST);
        else if (r == SENDING_ALL && count)
                ring_push(w, c);
        return 0;
}

static int worker_loop(struct worker *w) {
        uint64_t deadline_ns = w->settings->duration_ns ? w->pace.start_ns + w->settings->duration_ns : UINT64_MAX;

        while (w->active > 0 && !w->is_stopped) {
                uint64_t now_ns = clock_ns();
                if (now_ns >= deadline_ns)
                        return 0;

                uint64_t due = pace_due(&w->pace, now_ns), until_ns = deadline_ns;
                if (w->ring_count > 0 && due == 0 && pace_next_ns(&w->pace) < until_ns)
                        until_ns = pace_next_ns(&w->pace);

                /* One look at the others each time the ring has gone round keeps those that were blocked in the game.
                 */
                if (w->ring_count == 0 || due == 0 || w->turns_to_poll == 0) {
                        bool is_busy = w->ring_count > 0 && due > 0;
                        int r = worker_wait(w, is_busy                  ? 0
                                               : until_ns == UINT64_MAX ? UINT64_MAX
                                               : until_ns > now_ns      ? until_ns - now_ns
                                                                        : 0);
                        if (r)
                                return r;
                        w->turns_to_poll = w->ring_count;
                        continue;
                }

                w->turns_to_poll--;
                int r = worker_turn(w, due);
                if (r)
                        return r;
        }
        return 0;
}

static void *worker_main(void *argument) {
        return (void *)(intptr_t)worker_loop(argument);
}

static void worker_fini(struct worker *w) {
        block_fini(&w->block);
        free(w->ledger.text);
        if (w->ledger.fd >= 0)
                close(w->ledger.fd);
        free(w->ring);
        if (w->epoll >= 0)
                close(w->epoll);
}

static uint32_t batch_choose(const struct settings *s, const struct block *b) {
        uint32_t size = b->starts[b->count] / b->count, most = UINT32_MAX, batch = s->batch;

        if (s->framing == FRAMING_NONE)
                most = DATAGRAM_BATCH_MAX;
        if (is_segmented(s))
                most = SEGMENTS_BYTES_MAX / size < SEGMENTS_MAX ? SEGMENTS_BYTES_MAX / size : SEGMENTS_MAX;
        if (!batch)
                batch = s->framing == FRAMING_NONE ? DATAGRAM_BATCH : WRITE_BYTES / size;
        if (batch > most)
                batch = most;
        return batch ? batch : 1;
}

static int worker_open_ledger(struct worker *w, const char *path) {
        w->ledger.digits = place_digits(w->block.count);
        w->ledger.text = malloc(LEDGER_BYTES);
        w->ledger.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (!w->ledger.text)
                return -ENOMEM;
        return w->ledger.fd < 0 ? -errno : 0;
}

static int worker_init(struct worker *w, const struct settings *s, uint32_t index, int signals) {
        uint32_t share = (s->connections - index + s->threads - 1) / s->threads;

        *w = (struct worker){
                .settings = s,
                .ring_size = share,
                .epoll = epoll_create1(EPOLL_CLOEXEC),
                .ledger.fd = -1,
        };
        if (w->epoll < 0)
                return -errno;

        int r = block_init(&w->block, s);
        if (r)
                return r;

        w->batch = batch_choose(s, &w->block);
        if (s->ledger) {
                r = worker_open_ledger(w, s->ledger);
                if (r)
                        return r;
        }
        w->ring = calloc(share, sizeof(struct connection *));
        if (!w->ring)
                return -ENOMEM;

        /* Nobody reads the signal, so every worker sees it. */
        struct epoll_event event = {.events = EPOLLIN};
        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, signals, &event) < 0)
                return -errno;

        w->pace.rate = s->rate / s->threads + (index < s->rate % s->threads);
        return 0;
}

/* Regular files are not for epoll, and need not be: they always have room. */
static int worker_add(struct worker *w, struct connection *c) {
        uint32_t events = EPOLLOUT | EPOLLET | (w->settings->target == TARGET_RELP ? (uint32_t)EPOLLIN : 0);
        struct epoll_event event = {.events = events, .data.ptr = c};

        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0 && errno != EPERM)
                return -errno;
        ring_push(w, c);
        w->active++;
        return 0;
}

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
        strcpy(address.sun_path, s->address);

        _owned_(fd_close) int fd =
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

static int connection_open(struct connection *c, const struct settings *s) {
        static int (*const open_target[])(const struct settings *, int *) = {
                [TARGET_TCP] = open_inet,         [TARGET_UDP] = open_inet,  [TARGET_UNIX] = open_unix,
                [TARGET_UNIX_STREAM] = open_unix, [TARGET_FILE] = open_file, [TARGET_RELP] = open_inet,
        };

        int r = open_target[s->target](s, &c->fd);
        if (r)
                return r;
        if (s->target == TARGET_RELP) {
                r = relp_open(c->fd, &c->ear);
                if (r)
                        return r;
        }
        if (s->target == TARGET_RELP || (s->target == TARGET_TCP && s->batch))
                setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        return fcntl(c->fd, F_SETFL, O_NONBLOCK | (s->target == TARGET_FILE ? O_APPEND : 0)) < 0 ? -errno : 0;
}

/* All of what one run of the generator holds. */
struct flood {
        struct connection *connections; /* The idle ones come last. */
        struct worker *workers;
        uint32_t connection_count, worker_count;
        int signals;
};

static void flood_fini_owned(struct flood *f) {
        for (uint32_t i = 0; i < f->connection_count; i++) {
                if (f->connections[i].fd >= 0)
                        close(f->connections[i].fd);
                relp_ear_fini(&f->connections[i].ear);
        }
        for (uint32_t i = 0; i < f->worker_count; i++)
                worker_fini(f->workers + i);
        free(f->connections);
        free(f->workers);
        if (f->signals >= 0)
                close(f->signals);
}

static int flood_open_signals(struct flood *f) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        f->signals = signalfd(-1, &set, SFD_CLOEXEC);
        return f->signals < 0 ? -errno : 0;
}

static int flood_connect(struct flood *f, const struct settings *s) {
        uint32_t all = s->connections + s->idle_connections;

        f->connections = calloc(all, sizeof *f->connections);
        if (!f->connections)
                return -ENOMEM;

        for (uint32_t i = 0; i < all; i++) {
                struct connection *c = f->connections + i;

                c->fd = -1;
                c->number = i;
                c->quota = s->messages ? quota_of(s->messages, s->connections, i) : UINT64_MAX;
                f->connection_count = i + 1;

                int r = connection_open(c, s);
                if (r) {
                        fprintf(stderr, "flood: connection %u to %s: %s\n", i, s->address, strerror(-r));
                        return r;
                }
                if (i >= s->connections || c->quota == 0)
                        continue;

                r = worker_add(f->workers + i % s->threads, c);
                if (r)
                        return r;
        }
        return 0;
}

static int flood_init(struct flood *f, const struct settings *s) {
        int r = flood_open_signals(f);
        if (r)
                return r;

        f->workers = calloc(s->threads, sizeof *f->workers);
        if (!f->workers)
                return -ENOMEM;

        for (uint32_t i = 0; i < s->threads; i++) {
                r = worker_init(f->workers + i, s, i, f->signals);
                f->worker_count = i + 1;
                if (r)
                        return r;
        }
        return flood_connect(f, s);
}

static int flood_send(struct flood *f) {
        uint64_t now_ns = clock_ns();
        int error = 0;

        for (uint32_t i = 0; i < f->worker_count; i++)
                f->workers[i].pace.start_ns = now_ns;

        uint32_t started = 1;
        for (; started < f->worker_count; started++) {
                int r = pthread_create(&f->workers[started].thread, NULL, worker_main, f->workers + started);
                if (r) {
                        error = -r;
                        break;
                }
        }

        int r = worker_loop(f->workers);
        for (uint32_t i = 1; i < started; i++) {
                void *result;

                pthread_join(f->workers[i].thread, &result);
                if ((intptr_t)result && !error)
                        error = (int)(intptr_t)result;
        }
        return r ? r : error;
}

static int flood_report(const struct flood *f, const struct settings *s, double seconds, double cpu) {
        uint64_t sent = 0, bytes = 0, refused = 0, lost = 0, acknowledged = 0, rejected = 0;

        for (uint32_t i = 0; i < f->worker_count; i++) {
                acknowledged += f->workers[i].acknowledged;
                rejected += f->workers[i].rejected;
                sent += f->workers[i].sent;
                bytes += f->workers[i].bytes;
                refused += f->workers[i].refused;
                lost += f->workers[i].lost;
        }

        double rate = seconds > 0 ? (double)sent / seconds : 0;
        if (s->is_json)
                printf("{\"sent\":%" PRIu64 ",\"bytes\":%" PRIu64
                       ",\"seconds\":%.6f,\"rate\":%.0f,\"cpu_seconds\":%.6f,"
                       "\"refused\":%" PRIu64 ",\"connections_lost\":%" PRIu64 ",\"acknowledged\":%" PRIu64
                       ",\"rejected\":%" PRIu64 "}\n",
                       sent, bytes, seconds, rate, cpu, refused, lost, acknowledged, rejected);
        else {
                printf("sent %" PRIu64 " messages, %" PRIu64 " bytes in %.3f s: %.0f messages/s, %.3f CPU s\n", sent,
                       bytes, seconds, rate, cpu);
                if (s->target == TARGET_RELP)
                        printf("%" PRIu64 " acknowledged: %.0f messages/s, %" PRIu64 " rejected\n", acknowledged,
                               seconds > 0 ? (double)acknowledged / seconds : 0, rejected);
                if (refused)
                        printf("%" PRIu64 " times nobody was listening\n", refused);
                if (lost)
                        printf("%" PRIu64 " connections were closed by the peer\n", lost);
        }
        fflush(stdout);
        return lost ? 1 : 0;
}

static int flood_run(const struct settings *s) {
        _owned_(flood_fini) struct flood f = {.signals = -1};

        int r = flood_init(&f, s);
        if (r) {
                fprintf(stderr, "flood: cannot start: %s\n", strerror(-r));
                return 1;
        }

        double cpu = cpu_seconds();
        uint64_t start_ns = clock_ns();
        r = flood_send(&f);
        double seconds = (double)(clock_ns() - start_ns) / 1e9;
        if (r)
                fprintf(stderr, "flood: sending to %s: %s\n", s->address, strerror(-r));

        for (uint32_t i = 0; i < f.worker_count; i++) {
                ledger_write(&f.workers[i].ledger);
                if (f.workers[i].ledger.has_failed) {
                        fprintf(stderr, "flood: %s cannot be written\n", s->ledger);
                        r = -EIO;
                }
        }
        int status = flood_report(&f, s, seconds, cpu_seconds() - cpu);
        if (s->is_held) {
                struct signalfd_siginfo signal;
                while (read(f.signals, &signal, sizeof signal) < 0 && errno == EINTR)
                        ;
        }
        return r ? 1 : status;
}

static const char flood_help[] =
        "Usage: penstock flood [OPTION...] TARGET\n"
        "       penstock flood verify [OPTION...] FILE...\n"
        "\n"
        "Sends log messages to TARGET, which is one of\n"
        "  tcp:HOST:PORT  udp:HOST:PORT  unix:PATH (datagrams)  unix-stream:PATH  file:PATH (appends)\n"
        "  relp:HOST:PORT (ends when all is acknowledged)\n"
        "\n"
        "How many, how fast:\n"
        "  --messages N          This many over all connections (1000000, or no limit with --duration).\n"
        "  --duration SECONDS    Stop after this time.\n"
        "  --rate N              Messages a second over all connections, evenly paced; 0: as fast as possible (0).\n"
        "  --batch N             Messages a write (as many as fill 256 KiB; 128 datagrams).\n"
        "\n"
        "What they look like:\n"
        "  --mix                 Like a busy host: sshd, kernel, cron, nginx, JSON, postfix, systemd (this is the "
        "default).\n"
        "  --tag TAG             Of those, only one program's: sshd, orders (JSON) ...\n"
        "  --size BYTES          Instead, all alike and of this size, without their framing.\n"
        "  --format FORMAT       3164, 5424, or plain: no header at all (3164).\n"
        "  --framing FRAMING     On streams: lf or octet counting (lf).\n"
        "  --hosts N             Distinct host names in them, up to 100000; 0: none, as in local messages (20).\n"
        "  --sequence            Each carries seq=CONNECTION:NUMBER, for verify.\n"
        "  --seed N              For other random content; the same seed makes the same content (1).\n"
        "\n"
        "From where:\n"
        "  --connections N       Up to 20000 (1).\n"
        "  --idle-connections N  More connections that only sit there (0).\n"
        "  --hold                After sending, keep all connections open until SIGTERM.\n"
        "  --threads N           Up to 64 (1).\n"
        "\n"
        "With relp:\n"
        "  --window N            Messages that may be unacknowledged on a connection (128).\n"
        "  --acknowledged FILE   Append the marker of each acknowledged message, one a line.\n"
        "\n"
        "  --json                Print the summary as one JSON object.\n"
        "  --help                Print this.\n"
        "\n"
        "The timestamps in the messages are all that of the start.\n";

enum option_code {
        OPTION_MESSAGES = 256,
        OPTION_DURATION,
        OPTION_RATE,
        OPTION_BATCH,
        OPTION_MIX,
        OPTION_TAG,
        OPTION_SIZE,
        OPTION_FORMAT,
        OPTION_FRAMING,
        OPTION_HOSTS,
        OPTION_SEQUENCE,
        OPTION_SEED,
        OPTION_CONNECTIONS,
        OPTION_IDLE_CONNECTIONS,
        OPTION_HOLD,
        OPTION_THREADS,
        OPTION_WINDOW,
        OPTION_ACKNOWLEDGED,
        OPTION_JSON,
};

static const struct option flood_options[] = {
        {"messages", required_argument, NULL, OPTION_MESSAGES},
        {"duration", required_argument, NULL, OPTION_DURATION},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"batch", required_argument, NULL, OPTION_BATCH},
        {"mix", no_argument, NULL, OPTION_MIX},
        {"tag", required_argument, NULL, OPTION_TAG},
        {"size", required_argument, NULL, OPTION_SIZE},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"framing", required_argument, NULL, OPTION_FRAMING},
        {"hosts", required_argument, NULL, OPTION_HOSTS},
        {"sequence", no_argument, NULL, OPTION_SEQUENCE},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"connections", required_argument, NULL, OPTION_CONNECTIONS},
        {"idle-connections", required_argument, NULL, OPTION_IDLE_CONNECTIONS},
        {"hold", no_argument, NULL, OPTION_HOLD},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"window", required_argument, NULL, OPTION_WINDOW},
        {"acknowledged", required_argument, NULL, OPTION_ACKNOWLEDGED},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {},
};

static const char *option_name(const struct option *options, int code) {
        while (options->val != code)
                options++;
        return options->name;
}

/* Says what is wrong and returns false. */
static bool number_parse(const char *text, const char *name, uint64_t low, uint64_t high, uint64_t *ret) {
        char *end;

        errno = 0;
        unsigned long long n = strtoull(text, &end, 10);
        if (errno || end == text || *end || *text == '-' || n < low || n > high) {
                fprintf(stderr, "flood: --%s is '%s', but must be a number from %" PRIu64 " to %" PRIu64 "\n", name,
                        text, low, high);
                return false;
        }
        *ret = n;
        return true;
}

static bool number_parse_32(const char *text, const char *name, uint32_t low, uint32_t high, uint32_t *ret) {
        uint64_t n;

        if (!number_parse(text, name, low, high, &n))
                return false;
        *ret = (uint32_t)n;
        return true;
}

static bool choice_parse(const char *text, const char *name, const struct choice *choices, int *ret) {
        for (const struct choice *c = choices; c->name; c++)
                if (!strcmp(text, c->name)) {
                        *ret = c->value;
                        return true;
                }

        fprintf(stderr, "flood: --%s is '%s', but must be one of:", name, text);
        for (const struct choice *c = choices; c->name; c++)
                fprintf(stderr, " %s", c->name);
        fputc('\n', stderr);
        return false;
}

static bool duration_parse(const char *text, uint64_t *ret_ns) {
        char *end;

        double seconds = strtod(text, &end);
        if (end == text || *end || !(seconds > 0 && seconds < 1e9)) {
                fprintf(stderr, "flood: --duration is '%s', but must be a time in seconds, such as 2.5\n", text);
                return false;
        }
        *ret_ns = (uint64_t)(seconds * 1e9);
        return true;
}

static bool settings_take_option(struct settings *s, int code, const char *value) {
        const char *name = option_name(flood_options, code);
        int chosen;

        switch (code) {
        case OPTION_MESSAGES:
                return number_parse(value, name, 1, 100000000000ull, &s->messages);
        case OPTION_DURATION:
                return duration_parse(value, &s->duration_ns);
        case OPTION_RATE:
                return number_parse(value, name, 0, NS_PER_S, &s->rate);
        case OPTION_BATCH:
                return number_parse_32(value, name, 1, 1000000, &s->batch);
        case OPTION_MIX:
                s->size = 0;
                return true;
        case OPTION_TAG:
                s->tag = value;
                if (tag_is_known(value))
                        return true;
                fprintf(stderr, "penstock flood: no program of the mix is called '%s'; sshd and orders are\n", value);
                return false;
        case OPTION_SIZE:
                return number_parse_32(value, name, 1, MESSAGE_BYTES_MAX, &s->size);
        case OPTION_FORMAT:
                if (!choice_parse(value, name, formats, &chosen))
                        return false;
                s->format = (enum format)chosen;
                return true;
        case OPTION_FRAMING:
                if (!choice_parse(value, name, framings, &chosen))
                        return false;
                s->framing = (enum framing)chosen;
                return true;
        case OPTION_HOSTS:
                return number_parse_32(value, name, 0, HOSTS_MAX, &s->hosts);
        case OPTION_SEQUENCE:
                s->is_sequenced = true;
                return true;
        case OPTION_SEED:
                return number_parse(value, name, 0, UINT64_MAX, &s->seed);
        case OPTION_CONNECTIONS:
                return number_parse_32(value, name, 1, CONNECTIONS_MAX, &s->connections);
        case OPTION_IDLE_CONNECTIONS:
                return number_parse_32(value, name, 0, CONNECTIONS_MAX, &s->idle_connections);
        case OPTION_HOLD:
                s->is_held = true;
                return true;
        case OPTION_THREADS:
                return number_parse_32(value, name, 1, THREADS_MAX, &s->threads);
        case OPTION_WINDOW:
                return number_parse_32(value, name, 1, RELP_WINDOW_MAX, &s->window);
        case OPTION_ACKNOWLEDGED:
                s->ledger = value;
                return true;
        case OPTION_JSON:
                s->is_json = true;
                return true;
        }
        assert(!"every option is taken above");
        return false;
}

/* HOST:PORT, where the host may be in brackets. */
static bool settings_take_address(struct settings *s, const char *text) {
        const char *colon = strrchr(text, ':');
        if (!colon || colon == text || !colon[1])
                return false;

        size_t size = (size_t)(colon - text);
        if (text[0] == '[' && colon[-1] == ']') {
                text++;
                size -= 2;
        }
        if (size >= sizeof s->address || strlen(colon + 1) >= sizeof s->port)
                return false;

        memcpy(s->address, text, size);
        strcpy(s->port, colon + 1);
        return true;
}

static bool settings_take_path(struct settings *s, const char *text) {
        if (!*text || strlen(text) >= sizeof s->address)
                return false;
        strcpy(s->address, text);
        return true;
}

static bool settings_take_target(struct settings *s, const char *text) {
        for (const struct choice *c = targets; c->name; c++) {
                const char *rest = text + strlen(c->name);
                if (strncmp(text, c->name, strlen(c->name)))
                        continue;

                s->target = (enum target)c->value;
                bool is_inet = s->target == TARGET_TCP || s->target == TARGET_UDP || s->target == TARGET_RELP;
                if (is_inet ? settings_take_address(s, rest) : settings_take_path(s, rest))
                        return true;
        }
        fprintf(stderr,
                "flood: the target is '%s', but must be tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-stream:PATH, "
                "file:PATH or relp:HOST:PORT\n",
                text);
        return false;
}

static void settings_complete(struct settings *s) {
        if (!s->messages && !s->duration_ns)
                s->messages = 1000000;
        if (s->target == TARGET_UDP || s->target == TARGET_UNIX)
                s->framing = FRAMING_NONE;
        if (s->target == TARGET_RELP)
                s->framing = FRAMING_RELP;
        if (s->threads > s->connections)
                s->threads = s->connections;
}

/* The limit on open files is the caller's, unless we may go up to the hard one. */
static void files_allow(uint32_t count) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= count + 64)
                return;
        limit.rlim_cur = limit.rlim_max < count + 64 ? limit.rlim_max : count + 64;
        setrlimit(RLIMIT_NOFILE, &limit);
}

/* What one connection's messages in the files show. */
struct trail {
        uint64_t *seen;  /* One bit a number. */
        uint64_t limit;  /* How many bits there are. */
        uint64_t end;    /* One past the highest number. */
        uint64_t latest; /* One past the highest number in the present file: order across files cannot be known. */
        uint64_t found, duplicates, disorders;
        uint32_t file;
};

/* A number that no sender came to is a broken line, and must not make us fill the memory. */
#define TRAIL_NUMBERS_MAX (1ull << 34)

struct verdict {
        struct trail *trails;
        uint32_t trail_count;
        uint32_t connections; /* How many there were, and */
        uint64_t messages;    /* what they sent together; 0: nobody said so. */
        uint64_t lines, unmarked, malformed;
};

static void verdict_fini_owned(struct verdict *v) {
        for (uint32_t i = 0; i < v->trail_count; i++)
                free(v->trails[i].seen);
        free(v->trails);
}

static int trail_grow(struct trail *t, uint64_t need) {
        uint64_t limit = t->limit ? t->limit : 1024;

        while (limit < need)
                limit *= 2;

        uint64_t *seen = calloc(limit / 64, sizeof *seen);
        if (!seen)
                return -ENOMEM;

        memcpy(seen, t->seen ? t->seen : seen, t->limit / 8);
        free(t->seen);
        t->seen = seen;
        t->limit = limit;
        return 0;
}

static int trail_take(struct trail *t, uint64_t number, uint32_t file) {
        if (number >= t->limit) {
                int r = trail_grow(t, number + 1);
                if (r)
                        return r;
        }
        if (t->file != file) {
                t->file = file;
                t->latest = 0;
        }

        uint64_t bit = 1ull << number % 64;
        t->found++;
        if (t->seen[number / 64] & bit)
                t->duplicates++;
        else if (number < t->latest)
                t->disorders++;
        t->seen[number / 64] |= bit;

        if (number >= t->latest)
                t->latest = number + 1;
        if (number >= t->end)
                t->end = number + 1;
        return 0;
}

static int verdict_reach(struct verdict *v, uint32_t count) {
        if (count <= v->trail_count)
                return 0;

        struct trail *trails = realloc(v->trails, count * sizeof *trails);
        if (!trails)
                return -ENOMEM;
        memset(trails + v->trail_count, 0, (count - v->trail_count) * sizeof *trails);
        v->trails = trails;
        v->trail_count = count;
        return 0;
}

static const char *digits_read(const char *p, const char *end, uint64_t *ret) {
        uint64_t n = 0;
        const char *start = p;

        for (; p < end && *p >= '0' && *p <= '9' && p - start < 18; p++)
                n = n * 10 + (uint64_t)(*p - '0');
        *ret = n;
        return p > start ? p : NULL;
}

/* Whether anybody can have sent this. Daemons that write to one file from two places do tear lines apart. */
static bool verdict_believes(const struct verdict *v, uint64_t connection, uint64_t number) {
        if (!v->messages)
                return connection < CONNECTIONS_MAX && number < TRAIL_NUMBERS_MAX;
        return connection < v->connections && number < quota_of(v->messages, v->connections, (uint32_t)connection);
}

/* Takes one marker, which starts after "seq=". */
static int verdict_take(struct verdict *v, const char *p, const char *end, uint32_t file) {
        uint64_t connection, number;

        p = digits_read(p, end, &connection);
        if (p && p < end && *p == ':')
                p = digits_read(p + 1, end, &number);
        else
                p = NULL;
        if (!p || !verdict_believes(v, connection, number)) {
                v->malformed++;
                return 0;
        }

        int r = verdict_reach(v, (uint32_t)connection + 1);
        return r ? r : trail_take(v->trails + connection, number, file);
}

static int verdict_scan(struct verdict *v, const char *p, const char *end, uint32_t file) {
        while (p < end) {
                const char *line_end = memchr(p, '\n', (size_t)(end - p));
                if (!line_end)
                        line_end = end;

                const char *mark = memmem(p, (size_t)(line_end - p), "seq=", 4);
                v->lines++;
                if (!mark)
                        v->unmarked++;
                else {
                        int r = verdict_take(v, mark + 4, line_end, file);
                        if (r)
                                return r;
                }
                p = line_end + 1;
        }
        return 0;
}

static int verdict_read(struct verdict *v, const char *path, uint32_t file) {
        _owned_(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        if (status.st_size == 0)
                return 0;

        char *text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (text == MAP_FAILED)
                return -errno;
        madvise(text, (size_t)status.st_size, MADV_SEQUENTIAL);

        int r = verdict_scan(v, text, text + status.st_size, file);
        munmap(text, (size_t)status.st_size);
        return r;
}

static uint64_t trail_missing(const struct trail *t) {
        return t->end - (t->found - t->duplicates);
}

static void trail_print_missing(const struct trail *t, unsigned ranges_max) {
        for (uint64_t n = 0; n < t->end; n++) {
                uint64_t first = n;
                while (n < t->end && !(n < t->limit && t->seen[n / 64] >> n % 64 & 1))
                        n++;
                if (n == first)
                        continue;
                if (ranges_max-- == 0) {
                        printf(" ...");
                        return;
                }
                printf(n - first == 1 ? " %" PRIu64 : " %" PRIu64 "-%" PRIu64, first, n - 1);
        }
}

static int verdict_report(const struct verdict *v, bool is_json) {
        uint64_t found = 0, missing = 0, duplicates = 0, disorders = 0;

        for (uint32_t i = 0; i < v->trail_count; i++) {
                const struct trail *t = v->trails + i;

                found += t->found;
                missing += trail_missing(t);
                duplicates += t->duplicates;
                disorders += t->disorders;
                if (is_json || (!trail_missing(t) && !t->duplicates && !t->disorders))
                        continue;

                printf("connection %u: %" PRIu64 " found, %" PRIu64 " missing, %" PRIu64 " duplicate, %" PRIu64
                       " out of order",
                       i, t->found, trail_missing(t), t->duplicates, t->disorders);
                if (trail_missing(t)) {
                        printf("; missing:");
                        trail_print_missing(t, 8);
                }
                putchar('\n');
        }

        printf(is_json ? "{\"lines\":%" PRIu64 ",\"connections\":%u,\"found\":%" PRIu64 ",\"missing\":%" PRIu64
                         ",\"duplicate\":%" PRIu64 ",\"out_of_order\":%" PRIu64 ",\"unmarked\":%" PRIu64
                         ",\"malformed\":%" PRIu64 "}\n"
                       : "%" PRIu64 " lines, %u connections: %" PRIu64 " found, %" PRIu64 " missing, %" PRIu64
                         " duplicate, %" PRIu64 " out of order, %" PRIu64 " without a marker, %" PRIu64 " malformed\n",
               v->lines, v->trail_count, found, missing, duplicates, disorders, v->unmarked, v->malformed);
        return missing ? 1 : 0;
}

static const char verify_help[] =
        "Usage: penstock flood verify [OPTION...] FILE...\n"
        "\n"
        "Reads what a daemon wrote of messages sent with --sequence, and reports for every connection what is "
        "missing,\n"
        "duplicate or, within one file, out of order. Exits with 1 when any is missing.\n"
        "\n"
        "  --messages N     So many were sent: finds those that are missing at the end, and numbers that nobody sent.\n"
        "  --connections N  Over so many connections (1).\n"
        "  --json           Print only the sums, as one JSON object.\n"
        "  --help           Print this.\n";

/* With the number of messages that were sent, those after the last one that arrived are known to be missing, too. */
static int verdict_complete(struct verdict *v) {
        if (!v->messages)
                return 0;

        int r = verdict_reach(v, v->connections);
        if (r)
                return r;
        for (uint32_t i = 0; i < v->connections; i++)
                v->trails[i].end = quota_of(v->messages, v->connections, i);
        return 0;
}

static int verify_run(char **paths, uint64_t messages, uint32_t connections, bool is_json) {
        _owned_(verdict_fini) struct verdict v = {.messages = messages, .connections = connections};

        for (uint32_t i = 0; paths[i]; i++) {
                int r = verdict_read(&v, paths[i], i);
                if (r) {
                        fprintf(stderr, "flood: %s: %s\n", paths[i], strerror(-r));
                        return 2;
                }
        }

        int r = verdict_complete(&v);
        if (r) {
                fprintf(stderr, "flood: %s\n", strerror(-r));
                return 2;
        }
        return verdict_report(&v, is_json);
}

static int verify_main(int argc, char **argv) {
        static const struct option options[] = {
                {"messages", required_argument, NULL, OPTION_MESSAGES},
                {"connections", required_argument, NULL, OPTION_CONNECTIONS},
                {"json", no_argument, NULL, OPTION_JSON},
                {"help", no_argument, NULL, 'h'},
                {},
        };
        uint64_t messages = 0;
        uint32_t connections = 1;
        bool is_json = false, is_right = true;

        optind = 0;
        for (int code; (code = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (code) {
                case OPTION_MESSAGES:
                        is_right &= number_parse(optarg, "messages", 1, 100000000000ull, &messages);
                        break;
                case OPTION_CONNECTIONS:
                        is_right &= number_parse_32(optarg, "connections", 1, CONNECTIONS_MAX, &connections);
                        break;
                case OPTION_JSON:
                        is_json = true;
                        break;
                case 'h':
                        fputs(verify_help, stdout);
                        return 0;
                default:
                        is_right = false;
                }
        if (is_right && optind == argc) {
                fputs("flood: verify needs the files to read\n", stderr);
                is_right = false;
        }
        return is_right ? verify_run(argv + optind, messages, connections, is_json) : 2;
}

int flood_main(int argc, char **argv) {
        struct settings s = {.connections = 1, .threads = 1, .hosts = 20, .seed = 1, .window = RELP_WINDOW};
        bool is_right = true;

        if (argc > 1 && !strcmp(argv[1], "verify"))
                return verify_main(argc - 1, argv + 1);

        optind = 0;
        for (int code; (code = getopt_long(argc, argv, "h", flood_options, NULL)) >= 0;) {
                if (code == 'h') {
                        fputs(flood_help, stdout);
                        return 0;
                }
                is_right &= code != '?' && settings_take_option(&s, code, optarg);
        }
        if (optind + 1 != argc) {
                fputs("flood: exactly one target is needed; see --help\n", stderr);
                return 2;
        }
        if (!settings_take_target(&s, argv[optind]) || !is_right)
                return 2;
        if (s.ledger && s.target != TARGET_RELP) {
                fputs("flood: --acknowledged needs a target that acknowledges: relp:HOST:PORT\n", stderr);
                return 2;
        }

        settings_complete(&s);
        files_allow(s.connections + s.idle_connections);
        return flood_run(&s);
}

#ifdef FLOOD_STANDALONE
int main(int argc, char **argv) {
        return flood_main(argc, argv);
}
#endif
