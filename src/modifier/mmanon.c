/*
 * mmanon: addresses in the text lose their last bits.
 *
 * At each place of the text the longest address that begins there is taken, be it within a word: IPv6 with
 * an IPv4 address at its end (embedded), IPv6, IPv4. What the bits become is the mode's affair: 0, random, or a
 * permutation under a key that each instance draws for itself. So the same address always becomes the
 * same, two addresses never become one, and nothing has to be remembered. Simple mode (IPv4 alone) writes over
 * digits in place.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/fail.h"
#include "base/random.h"
#include "base/reporter.h"
#include "message/change.h"
#include "module/module.h"

enum {
        OCTET_DIGITS_MAX = 3,
        GROUP_DIGITS_MAX = 4,
        GROUPS = 8,
        IPV4_BITS = 32,
        IPV6_BITS = 128,
        PERMUTATION_ROUNDS = 6,
        INVALID_BITS = 2312, /* rsyslog's number */
};

enum { MODE_ZERO, MODE_RANDOM, MODE_CONSISTENT, MODE_UNIQUE, MODE_SIMPLE, MODE_REWRITE };
/* "rewrite" is what the module's first form called simple mode. */
static const char *const modes_ipv4[] = {"zero",    "random", "random-consistent", "random-consistent-unique", "simple",
                                         "rewrite", NULL};
static const char *const modes_ipv6[] = {"zero", "random", "random-consistent", "random-consistent-unique", NULL};
static const char *const retry_handlings[] = {"accept-duplicates", "zero", NULL};

struct kind_settings {
        bool is_on;
        int mode;
        int64_t bits;
        bool limits_retries; /* all three: of a way of ours to keep addresses apart there is none to limit */
        int64_t retries;
        int retry_handling;
};

struct mmanon_settings {
        struct kind_settings ipv4, ipv6, embedded;
        int64_t replacement;
};

typedef unsigned __int128 wide;

struct mmanon {
        struct mmanon_settings settings; /* bits corrected */
        uint64_t key[2];
};

/* An address in the text: how long, and its value. size 0: none. */
struct address {
        size_t size;
        wide value;
        enum { IPV4, IPV6, EMBEDDED } kind;
};

/* ---- Finding -------------------------------------------------------------- */

static bool is_digit(char c) {
        return (unsigned char)(c - '0') <= 9;
}

static int hex_value(char c) {
        if (is_digit(c))
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of the text, 0 behind its end; no address has a NUL. */
static char at(struct text t, size_t i) {
        return i < t.size ? t.data[i] : '\0';
}

static struct address find_ipv4(struct text t) {
        struct address none = {0}, found = {.kind = IPV4};
        size_t i = 0;
        for (unsigned octet = 0; octet < 4; octet++) {
                unsigned value = 0, digits = 0;
                if (octet && at(t, i++) != '.')
                        return none;
                for (; is_digit(at(t, i)); i++) {
                        if (++digits > OCTET_DIGITS_MAX)
                                return none;
                        value = value * 10 + (unsigned)(at(t, i) - '0');
                }
                if (digits == 0 || value > 255)
                        return none;
                found.value = found.value << 8 | value;
        }
        found.size = i;
        return found;
}

/* What has been read of an IPv6 address. */
struct groups {
        uint16_t value[GROUPS];
        unsigned count;
        int gap; /* before which group "::" stands; -1: nowhere yet */
        size_t size;
};

static wide join_groups(const struct groups *g, unsigned places) {
        uint16_t all[GROUPS] = {0};
        unsigned head = g->gap < 0 ? g->count : (unsigned)g->gap;
        for (unsigned i = 0; i < g->count; i++)
                all[i < head ? i : places - g->count + i] = g->value[i];
        wide value = 0;
        for (unsigned i = 0; i < places; i++)
                value = value << 16 | all[i];
        return value;
}

static struct address finish_ipv6(const struct groups *g) {
        if (g->gap < 0 && g->count < GROUPS)
                return (struct address){0};
        return (struct address){.size = g->size, .value = join_groups(g, GROUPS), .kind = IPV6};
}

/* An IPv4 address where a group could stand, as the end of the address. */
static struct address finish_embedded(const struct groups *g, struct text t, size_t i) {
        struct address last = find_ipv4(text_slice(t, i, t.size));
        bool fits = g->gap < 0 ? g->count == GROUPS - 2 : g->count < GROUPS - 2;
        if (!last.size || !fits)
                return (struct address){0};
        return (struct address){
                .size = i + last.size, .value = join_groups(g, GROUPS - 2) << 32 | last.value, .kind = EMBEDDED};
}

/* Steps over the colons behind a group or at the start; false where the address ends before them or there is none. */
static bool read_colons(struct groups *g, struct text t, size_t *i, bool *is_address) {
        *is_address = true;
        if (at(t, *i) != ':')
                return false;
        if (at(t, *i + 1) != ':') {
                (*i)++;
                return g->count > 0;
        }
        /* A second gap, or three colons. */
        if (g->gap >= 0 || at(t, *i + 2) == ':') {
                *is_address = false;
                return false;
        }
        g->gap = (int)g->count;
        *i += 2;
        g->size = *i;
        return true;
}

static struct address find_ipv6(const struct mmanon_settings *s, struct text t) {
        struct address none = {0};
        struct groups g = {.gap = -1};
        size_t i = 0;
        bool is_address;
        if (at(t, 0) == ':' && (!read_colons(&g, t, &i, &is_address) || g.gap < 0))
                return none;
        for (;;) {
                unsigned value = 0, digits = 0;
                size_t begin = i;
                for (int d; digits <= GROUP_DIGITS_MAX && (d = hex_value(at(t, i))) >= 0; i++, digits++)
                        value = value << 4 | (unsigned)d;
                if (digits && s->embedded.is_on && at(t, i) == '.') {
                        struct address found = finish_embedded(&g, t, begin);
                        if (found.size)
                                return found;
                }
                bool is_behind_gap = g.size == begin;
                if (digits > GROUP_DIGITS_MAX && is_behind_gap)
                        return none;
                if (digits == 0 || digits > GROUP_DIGITS_MAX)
                        return finish_ipv6(&g);
                /* One more group than fits beside "::". */
                if (g.gap >= 0 && g.count == GROUPS - 1)
                        return none;
                g.value[g.count++] = (uint16_t)value;
                g.size = i;
                if (g.count == GROUPS || !read_colons(&g, t, &i, &is_address))
                        return g.count == GROUPS || is_address ? finish_ipv6(&g) : none;
        }
}

static bool is_on(const struct mmanon_settings *s, const struct address *a) {
        return a->size && (a->kind == IPV6 ? s->ipv6.is_on : s->embedded.is_on);
}

/* The address at the start of the text. */
static struct address find_address(const struct mmanon_settings *s, struct text t) {
        struct address found = {0};
        if (s->ipv6.is_on || s->embedded.is_on)
                found = find_ipv6(s, t);
        if (is_on(s, &found))
                return found;
        return s->ipv4.is_on && is_digit(t.data[0]) ? find_ipv4(t) : (struct address){0};
}

/* ---- Changing ------------------------------------------------------------- */

#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

static void sip_round(uint64_t v[4]) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = ROTATE(v[1], 13) ^ v[0];
        v[3] = ROTATE(v[3], 16) ^ v[2];
        v[0] = ROTATE(v[0], 32) + v[3];
        v[2] += v[1];
        v[1] = ROTATE(v[1], 17) ^ v[2];
        v[3] = ROTATE(v[3], 21) ^ v[0];
        v[2] = ROTATE(v[2], 32);
}

/* SipHash-2-4 over whole words. */
static uint64_t keyed_hash(const uint64_t key[2], const uint64_t *words, size_t count) {
        uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                         key[1] ^ 0x7465646279746573u};
        for (size_t i = 0; i < count; i++) {
                v[3] ^= words[i];
                sip_round(v);
                sip_round(v);
                v[0] ^= words[i];
        }
        v[2] ^= 0xff;
        for (int i = 0; i < 4; i++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static wide low_bits(unsigned bits) {
        return bits >= 128 ? ~(wide)0 : ((wide)1 << bits) - 1;
}

/* A permutation of the last bits, another one for each of what stands before them: a Feistel network of two halves. */
static wide permute(const struct mmanon *m, wide value, unsigned bits, unsigned kind) {
        wide kept = value & ~low_bits(bits);
        unsigned right_bits = (bits + 1) / 2;
        uint64_t right_mask = (uint64_t)low_bits(right_bits), left_mask = (uint64_t)low_bits(bits - right_bits);
        uint64_t right = (uint64_t)value & right_mask, left = (uint64_t)(value >> right_bits) & left_mask;
        for (unsigned round = 0; round < PERMUTATION_ROUNDS; round++) {
                uint64_t words[] = {(uint64_t)(kept >> 64), (uint64_t)kept, round % 2 ? right : left, round, kind};
                uint64_t hash = keyed_hash(m->key, words, ARRAY_SIZE(words));
                if (round % 2)
                        left ^= hash & left_mask;
                else
                        right ^= hash & right_mask;
        }
        return kept | (wide)left << right_bits | right;
}

static const struct kind_settings *settings_of(const struct mmanon_settings *s, unsigned kind) {
        return kind == IPV4 ? &s->ipv4 : kind == IPV6 ? &s->ipv6 : &s->embedded;
}

static uint64_t next_random(void) {
        static _Thread_local uint64_t state;
        return random_next(&state);
}

static wide anonymous(const struct mmanon *m, const struct address *a) {
        const struct kind_settings *s = settings_of(&m->settings, a->kind);
        wide mask = low_bits((unsigned)s->bits), kept = a->value & ~mask;
        if (s->mode == MODE_RANDOM)
                return kept | (((wide)next_random() << 64 | next_random()) & mask);
        if (s->mode == MODE_CONSISTENT || s->mode == MODE_UNIQUE)
                return permute(m, a->value, (unsigned)s->bits, a->kind);
        return kept;
}

static void put_ipv4(struct buffer *out, uint32_t value) {
        for (int shift = 24; shift >= 0; shift -= 8) {
                buffer_int(out, value >> shift & 255);
                if (shift)
                        buffer_byte(out, '.');
        }
}

static void put_group(struct buffer *out, unsigned group) {
        bool has_begun = false;
        for (int shift = 12; shift >= 0; shift -= 4) {
                unsigned digit = group >> shift & 15;
                has_begun |= digit || shift == 0;
                if (has_begun)
                        buffer_byte(out, "0123456789abcdef"[digit]);
        }
}

static void put_address(struct buffer *out, unsigned kind, wide value) {
        if (kind == IPV4) {
                put_ipv4(out, (uint32_t)value);
                return;
        }
        int last = kind == EMBEDDED ? 32 : 0;
        for (int shift = 112; shift >= last; shift -= 16) {
                put_group(out, (unsigned)(value >> shift) & 0xffff);
                if (shift)
                        buffer_byte(out, ':');
        }
        if (kind == EMBEDDED)
                put_ipv4(out, (uint32_t)value);
}

/* The last octets of the address at the end of `out`; more digits before the first are taken for its own. */
static void overwrite(const struct mmanon *m, struct buffer *out) {
        size_t i = out->size;
        for (int64_t octets = m->settings.ipv4.bits / 8; octets > 0; octets--) {
                while (i > 0 && is_digit(out->data[i - 1]))
                        out->data[--i] = (char)m->settings.replacement;
                if (octets > 1)
                        i--;
        }
}

static void put_anonymous(const struct mmanon *m, struct buffer *out, struct text t, const struct address *a) {
        if (a->kind != IPV4 || m->settings.ipv4.mode != MODE_SIMPLE) {
                put_address(out, a->kind, anonymous(m, a));
                return;
        }
        buffer_text(out, text_slice(t, 0, a->size));
        if (!buffer_failed(out))
                overwrite(m, out);
}

/* Whether an address may begin with this byte. */
static bool may_begin(char c) {
        return c == ':' || hex_value(c) >= 0;
}

/* The text with its addresses changed; false where there are none. */
static bool anonymize(const struct mmanon *m, struct buffer *out, struct text t) {
        size_t copied = 0;
        buffer_clear(out);
        for (size_t i = 0; i < t.size; i++) {
                if (!may_begin(t.data[i]))
                        continue;
                struct text rest = text_slice(t, i, t.size);
                struct address a = find_address(&m->settings, rest);
                if (!a.size)
                        continue;
                buffer_text(out, text_slice(t, copied, i));
                put_anonymous(m, out, rest, &a);
                copied = i + a.size;
                /* Directly behind an IPv6 address none begins. */
                i = copied - (a.kind == IPV4);
        }
        if (copied == 0)
                return false;
        buffer_text(out, text_slice(t, copied, t.size));
        return !buffer_failed(out);
}

/* ---- The module ------------------------------------------------------------ */

static void mmanon_modify(void *instance, struct property_context *context, struct batch *b, const uint16_t *selection,
                          size_t count) {
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                if (anonymize(instance, &context->scratch, batch_text(b, r->msg)))
                        (void)change_msg(b, r, buffer_as_text(&context->scratch));
        }
}

/* As many bits as there can be; in simple mode whole octets. */
static int64_t correct_bits(const struct kind_settings *s, int64_t bits_max) {
        int64_t bits = MIN(s->bits, bits_max);
        return s->mode == MODE_SIMPLE || s->mode == MODE_REWRITE ? (bits + 7) / 8 * 8 : bits;
}

static int mmanon_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmanon *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = *(const struct mmanon_settings *)settings;
        m->settings.ipv4.bits = correct_bits(&m->settings.ipv4, IPV4_BITS);
        m->settings.ipv6.bits = correct_bits(&m->settings.ipv6, IPV6_BITS);
        m->settings.embedded.bits = correct_bits(&m->settings.embedded, IPV6_BITS);
        if (m->settings.ipv4.mode == MODE_REWRITE)
                m->settings.ipv4.mode = MODE_SIMPLE;
        if (!host->facts->is_checking && getrandom(m->key, sizeof m->key, 0) != sizeof m->key) {
                free(m);
                return fail(-EIO);
        }
        *ret = m;
        return 0;
}

static void mmanon_close(void *instance) {
        free(instance);
}

static void check_bits(const struct kind_settings *s, const char *param, int64_t bits_max, struct module_log *log) {
        int64_t right = correct_bits(s, bits_max);
        if (right != s->bits)
                module_report_param(log, SEVERITY_ERR, param, "%lld bits cannot be anonymized in this mode, %lld are",
                                    (long long)s->bits, (long long)right);
}

/* Too many bits are a mistake, but no reason to anonymize nothing. */
static int mmanon_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmanon_settings *s = settings;
        if (!s)
                return 0;
        check_bits(&s->ipv4, "ipv4.bits", IPV4_BITS, log);
        check_bits(&s->ipv6, "ipv6.bits", IPV6_BITS, log);
        check_bits(&s->embedded, "embeddedipv4.bits", IPV6_BITS, log);
        return 0;
}

#define S struct mmanon_settings
#define KIND(field, prefix, what, mode_name, mode_alias, table, bits_dflt)                                             \
        PARAM_BOOL(S, field.is_on, .name = prefix ".enable", .dflt = "on", .help = "Anonymizes " what "."),            \
                PARAM_CHOICE(S, field.mode, .name = mode_name, .alias = mode_alias, .dflt = "zero", .choices = table,  \
                             .help = "What the bits become: zero, random, or always the same for the same address "    \
                                     "(random-consistent)."),                                                          \
                PARAM_INT(S, field.bits, .name = prefix ".bits", .dflt = bits_dflt, .min = 1, .max = INT32_MAX,        \
                          .unit = "bits", .help = "How many bits, from the right, are anonymized."),                   \
                PARAM_BOOL(S, field.limits_retries, .name = prefix ".limituniquemaxretries", .dflt = "off",            \
                           .flags = PARAM_IS_IGNORED, .help = "Addresses are kept apart without trying."),             \
                PARAM_INT(S, field.retries, .name = prefix ".uniqueretrycount", .dflt = "1000", .min = 1,              \
                          .max = INT32_MAX, .flags = PARAM_IS_IGNORED,                                                 \
                          .help = "Addresses are kept apart without trying."),                                         \
                PARAM_CHOICE(S, field.retry_handling, .name = prefix ".maxretryhandling", .dflt = "accept-duplicates", \
                             .choices = retry_handlings, .flags = PARAM_IS_IGNORED,                                    \
                             .help = "Addresses are kept apart without trying.")
static const struct param mmanon_params[] = {
        KIND(ipv4, "ipv4", "IPv4 addresses; simple mode writes over whole octets and keeps their length", "ipv4.mode",
             "mode", modes_ipv4, "16"),
        KIND(ipv6, "ipv6", "IPv6 addresses", "ipv6.anonmode", NULL, modes_ipv6, "96"),
        KIND(embedded, "embeddedipv4", "IPv6 addresses that end in an IPv4 address", "embeddedipv4.anonmode", NULL,
             modes_ipv6, "96"),
        PARAM_CHAR(S, replacement, .name = "ipv4.replacechar", .alias = "replacementchar", .dflt = "x",
                   .help = "What simple mode writes over digits."),
        {},
};
#undef KIND
#undef S

static const struct modifier_ops mmanon_ops = {
        .open = mmanon_open,
        .modify = mmanon_modify,
        .close = mmanon_close,
};

const struct module mmanon_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmanon",
        .help = "Anonymizes IP addresses in the text.",
        .settings = SETTINGS(struct mmanon_settings, mmanon_params),
        .check = mmanon_check,
        .modifier = &mmanon_ops,
};
