#include "control/flood_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"
#include "control/flood_relp.h"

#define BLOCK_MESSAGES_MIN 1000u
#define MARK_BYTES         (CONNECTION_DIGITS + 1 + ROUND_DIGITS)

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
/* splitmix64: small, and the same everywhere, so that a seed names the same messages on every machine. */
static uint64_t random_next(uint64_t *state) {
        uint64_t z = *state += 0x9e3779b97f4a7c15ull;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
}
void digits_write(char *to, unsigned width, uint64_t value) {
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

unsigned place_digits(uint32_t block_messages) {
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
                draft_print(d, "%s", users[n % ARRAY_SIZE(users)]);
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

bool tag_is_known(const char *tag) {
        for (size_t i = 0; i < ARRAY_SIZE(mix); i++)
                if (!strcmp(mix[i].tag, tag))
                        return true;
        return false;
}

static const struct kind *kind_pick(const struct settings *s, uint64_t *random) {
        unsigned total = 0;

        if (s->size)
                return &sized;

        for (size_t i = 0; i < ARRAY_SIZE(mix); i++)
                total += kind_weight(s, mix + i);

        unsigned n = (unsigned)(random_next(random) % total);
        for (size_t i = 0;; i++) {
                if (n < kind_weight(s, mix + i))
                        return mix + i;
                n -= kind_weight(s, mix + i);
        }
}

void block_fini(struct block *b) {
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
        _owned_(memory_free) struct draft *d = malloc(sizeof *d);
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

int block_init(struct block *b, const struct settings *s) {
        *b = (struct block){.count = BLOCK_MESSAGES_MIN};
        while (b->count < s->hosts)
                b->count *= 10;

        int r = block_fill(b, s);
        if (r)
                block_fini(b);
        return r;
}

void block_number(struct block *b, uint32_t first, uint32_t count, uint32_t connection, uint64_t round) {
        char mark[MARK_BYTES];

        digits_write(mark, CONNECTION_DIGITS, connection);
        mark[CONNECTION_DIGITS] = ':';
        digits_write(mark + CONNECTION_DIGITS + 1, ROUND_DIGITS, round);

        for (uint32_t i = first; i < first + count; i++)
                memcpy(b->text + b->marks[i], mark, MARK_BYTES);
}

void block_count(struct block *b, uint32_t first, uint32_t count, uint64_t n) {
        for (uint32_t i = first; i < first + count; i++)
                digits_write(b->text + b->starts[i], RELP_TXNR_DIGITS, relp_txnr(n++));
}

uint32_t block_find(const struct block *b, uint32_t position) {
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
