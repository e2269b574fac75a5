#include "io/tls_peer.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#include "base/fail.h"

static const struct {
        const char *name;
        size_t size;
} digests[] = {{"SHA1", 20}, {"SHA256", 32}};

/* The part behind "SHA1:", and which of digests[] it is. */
static bool split_fingerprint(struct text peer, size_t *which, struct text *digits) {
        for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
                struct text name = text_of(digests[i].name);
                if (text_starts_nocase(peer, name) && peer.size > name.size && peer.data[name.size] == ':') {
                        *which = i;
                        *digits = text_slice(peer, name.size + 1, peer.size);
                        return true;
                }
        }
        return false;
}

static int digit_of(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)tolower((unsigned char)c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* How many bytes the digits stand for, or -1. Colons may stand between bytes. */
static ptrdiff_t read_digits(struct text digits, unsigned char *to, size_t room) {
        size_t count = 0;
        for (size_t i = 0; i < digits.size; count++) {
                if (count && digits.data[i] == ':')
                        i++;
                if (i + 2 > digits.size || count == room)
                        return -1;
                int high = digit_of(digits.data[i]), low = digit_of(digits.data[i + 1]);
                if (high < 0 || low < 0)
                        return -1;
                to[count] = (unsigned char)(high << 4 | low);
                i += 2;
        }
        return (ptrdiff_t)count;
}

static bool is_address(struct text peer, unsigned char *address, size_t *size) {
        char string[INET6_ADDRSTRLEN];
        if (peer.size == 0 || peer.size >= sizeof string || memchr(peer.data, '\0', peer.size))
                return false;
        memcpy(string, peer.data, peer.size);
        string[peer.size] = '\0';
        *size = sizeof(struct in_addr);
        if (inet_pton(AF_INET, string, address) == 1)
                return true;
        *size = sizeof(struct in6_addr);
        return inet_pton(AF_INET6, string, address) == 1;
}

/* A wildcard stands for one label or for its begin or end, never in its middle. */
static bool is_pattern(struct text label) {
        size_t stars = 0;
        for (size_t i = 0; i < label.size; i++)
                stars += label.data[i] == '*';
        if (stars == 0)
                return true;
        return stars == 1 && (label.data[0] == '*' || label.data[label.size - 1] == '*');
}

/* Cuts the first label off, with its dot; false when nothing is left. */
static bool next_label(struct text *rest, struct text *label) {
        if (!rest->data)
                return false;
        const char *dot = rest->size ? memchr(rest->data, '.', rest->size) : NULL;
        size_t size = dot ? (size_t)(dot - rest->data) : rest->size;
        *label = text_slice(*rest, 0, size);
        *rest = dot ? text_slice(*rest, size + 1, rest->size) : TEXT_NONE;
        return true;
}

int tls_peer_check(struct text peer, struct buffer *complaint) {
        struct text digits, rest = peer, label;
        size_t which;
        if (peer.size == 0 || peer.size > TLS_PEER_BYTES_MAX) {
                buffer_format(complaint, "a permitted peer has 1 to %d characters", TLS_PEER_BYTES_MAX);
                return fail(-EINVAL);
        }
        if (split_fingerprint(peer, &which, &digits)) {
                unsigned char bytes[TLS_DIGEST_BYTES_MAX];
                if (read_digits(digits, bytes, sizeof bytes) == (ptrdiff_t)digests[which].size)
                        return 0;
                buffer_format(complaint,
                              "\"%.*s\" is no %s fingerprint: that is %zu bytes in hexadecimal, with colons between "
                              "them",
                              TEXT_ARGS(peer), digests[which].name, digests[which].size);
                return fail(-EINVAL);
        }
        while (next_label(&rest, &label))
                if (!is_pattern(label)) {
                        buffer_format(complaint,
                                      "\"%.*s\" can match nobody: a * stands for a whole label of a name, or for its "
                                      "begin or end",
                                      TEXT_ARGS(peer));
                        return fail(-EINVAL);
                }
        return 0;
}

bool tls_peer_is_fingerprint(struct text peer) {
        struct text digits;
        size_t which;
        return split_fingerprint(peer, &which, &digits);
}

bool tls_peer_has_digest(struct text peer, const char *algorithm, const unsigned char *digest, size_t size) {
        struct text digits;
        size_t which;
        unsigned char bytes[TLS_DIGEST_BYTES_MAX];
        if (!split_fingerprint(peer, &which, &digits) || strcmp(digests[which].name, algorithm) != 0)
                return false;
        return read_digits(digits, bytes, sizeof bytes) == (ptrdiff_t)size && memcmp(bytes, digest, size) == 0;
}

static bool matches_label(struct text pattern, struct text label) {
        if (label.size == 0 || !pattern.size || !is_pattern(pattern))
                return false;
        if (text_equal_nocase(pattern, label))
                return true;
        if (memchr(label.data, '*', label.size))
                return false;
        if (pattern.data[0] == '*') {
                struct text tail = text_slice(pattern, 1, pattern.size);
                return label.size >= tail.size &&
                       text_equal_nocase(text_slice(label, label.size - tail.size, label.size), tail);
        }
        if (pattern.data[pattern.size - 1] == '*')
                return text_starts_nocase(label, text_slice(pattern, 0, pattern.size - 1));
        return false;
}

static bool matches_name(struct text pattern, struct text name) {
        struct text part, label;
        while (next_label(&pattern, &part))
                if (!next_label(&name, &label) || !matches_label(part, label))
                        return false;
        return !name.data;
}

/* A certificate may be for every host of a domain (RFC 5425, 5.2), but not of a top level one. */
static bool is_wide(struct text name) {
        return text_starts(name, TEXT("*.")) && memchr(name.data + 2, '.', name.size - 2);
}

bool tls_peer_has_name(struct text peer, struct text name) {
        /* A NUL in a certificate's name is there to deceive; it stands in no pattern. */
        if (name.size == 0 || peer.size == 0 || memchr(name.data, '\0', name.size) || tls_peer_is_fingerprint(peer))
                return false;
        if (is_wide(name) && !memchr(peer.data, '*', peer.size))
                return matches_name(name, peer);
        return matches_name(peer, name);
}

bool tls_peer_has_address(struct text peer, const unsigned char *address, size_t size) {
        unsigned char own[sizeof(struct in6_addr)];
        size_t own_size;
        return is_address(peer, own, &own_size) && own_size == size && memcmp(own, address, size) == 0;
}

void tls_peer_write_digest(struct buffer *to, const char *algorithm, const unsigned char *digest, size_t size) {
        buffer_text(to, text_of(algorithm));
        for (size_t i = 0; i < size; i++)
                buffer_format(to, ":%02X", digest[i]);
}
