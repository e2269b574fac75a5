/*
 * Whom a list of permitted peers lets in. Pure: bytes in, answers out.
 *
 * A peer is one of
 *   SHA1:AB:CD:...       a fingerprint, in hexadecimal digits of any case, SHA256 alike
 *   ada.example.net      a name, without regard to ASCII case
 *   *.example.net        any one label there; *srv.example.net and srv*.example.net: one that ends or begins so
 *   192.0.2.1, 2001:db8::1   an address
 */
#pragma once

#include "base/text.h"

enum {
        TLS_PEER_BYTES_MAX = 512, /* of one entry */
        TLS_DIGEST_BYTES_MAX = 64,
};

/* 0, or -EINVAL and why it can never match anybody. */
int tls_peer_check(struct text peer, struct buffer *complaint);

bool tls_peer_is_fingerprint(struct text peer);
/* Whether the peer is the fingerprint `digest` by `algorithm` ("SHA1", "SHA256"). */
bool tls_peer_has_digest(struct text peer, const char *algorithm, const unsigned char *digest, size_t size);
/* Whether the name on a certificate is one that the peer's pattern covers. */
bool tls_peer_has_name(struct text peer, struct text name);
/* Whether the peer is the address of 4 or 16 bytes. */
bool tls_peer_has_address(struct text peer, const unsigned char *address, size_t size);

/* "SHA256:AB:CD..." of a digest. */
void tls_peer_write_digest(struct buffer *to, const char *algorithm, const unsigned char *digest, size_t size);
