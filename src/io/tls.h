/*
 * TLS over a connected socket, for whoever listens or connects.
 *
 * A `tls_context` is what a listener or an action knows: its certificates, whom
 * it trusts, whom it lets in. It is made once and outlives its connections; any
 * thread may use it. A `struct tls` is one connection and belongs to one thread.
 * The socket stays the caller's: it is non-blocking, and closed after tls_free().
 *
 *   struct tls:
 *   GREETING -> OPEN    both sides know each other            tls_handshake()
 *   GREETING -> FAILED  a certificate is refused, or another failure
 *   OPEN     -> ENDED   the peer ended the stream             tls_receive() is 0
 *   OPEN     -> FAILED
 *
 * Everything is worded for people: a failure leaves its reason in
 * tls_complaint(), with the certificate, the check that failed, and what to do.
 *
 * The library behind it (OpenSSL 3) is in a shared object of its own that is
 * loaded when the first context is made: a daemon that does not use TLS neither
 * links nor needs it.
 *
 *   On a loop:    tls_new(), then tls_watch.h: handshake, time limit, events.
 *   In a worker:  tls_connect(), then channel.h: sends and receives with or without TLS.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"

enum {
        TLS_HANDSHAKE_MS = 30000,             /* a peer that is slower is sent away */
        TLS_RECORD_BYTES_MAX = 16 << 10,      /* RFC 8446: a record's content */
        TLS_READ_AHEAD_BYTES = 32 << 10,      /* that a connection takes from its socket in one call */
        TLS_PEER_CHAIN_BYTES_MAX = 100 << 10, /* of certificates that a peer may send */
        TLS_FILE_BYTES_MAX = 4 << 20,         /* a file of certificates */
};

/* Answers, besides 0 and -errno. */
enum tls_answer {
        TLS_WANTS_READ = 1, /* again, when the socket can be read */
        TLS_WANTS_WRITE,    /* again, when it can be written */
        TLS_IS_UNREADY,     /* the context exists, but its files do not do; it refuses until tls_context_reload() */
};

enum tls_auth {
        TLS_ANON,        /* encrypted, to whomever */
        TLS_CERTVALID,   /* the peer's certificate comes from an authority that we trust */
        TLS_NAME,        /* that, and it is made out to one of `peers` */
        TLS_FINGERPRINT, /* its fingerprint is one of `peers`; nobody need have signed it */
};

enum tls_expired { TLS_EXPIRED_REFUSED, TLS_EXPIRED_PERMITTED, TLS_EXPIRED_TOLD };

/* Texts may be NULL or "" and are lent for tls_context_new() alone. */
struct tls_rules {
        bool is_server;
        enum tls_auth auth;
        enum tls_expired expired;   /* certificates of the peer that have expired */
        const char *ca_file;        /* PEM: authorities that we trust */
        const char *ca_extra_files; /* more of them, separated by commas */
        const char *crl_file;       /* PEM: revoked certificates */
        const char *cert_file;      /* PEM: our certificate, then those between it and the authority */
        const char *key_file;       /* PEM: our private key, not encrypted */
        const char *priority;       /* a GnuTLS priority string, or OpenSSL commands: tls_priority.h */
        const char *const *peers;   /* names with wildcards, addresses, fingerprints: tls_peer.h */
        size_t peer_count;
        int verify_depth;       /* certificates between the peer's and the authority's; 0: the library's default */
        bool checks_purpose;    /* the certificate must be meant for a TLS client (or server) */
        bool prioritizes_san;   /* the common name counts only where there are no alternative names */
        bool checks_revocation; /* every certificate must be covered by a current list in crl_file */
        int handshake_ms;       /* for a peer's handshake; 0: TLS_HANDSHAKE_MS */
        bool awaits_verdict;    /* client: tls_connect() waits a moment for a refusal (below) */
};

/* What is wrong with the rules, whatever the files hold: priority, peers. Needs no library. 0 or -EINVAL. */
int tls_rules_check(const struct tls_rules *rules, struct buffer *complaint);

/*
 * "anon", "x509/certvalid", "x509/fingerprint", "x509/name" as stream drivers call them, and "certvalid",
 * "fingerprint", "name" as RELP does; NULL and "" are anon. -EINVAL.
 */
int tls_auth_of(enum tls_auth *ret, const char *word);
/* "on", "off", "warn"; NULL and "" are off. -EINVAL. */
int tls_expired_of(enum tls_expired *ret, const char *word);

/* ---- Contexts ----------------------------------------------------------- */

struct tls_context;

/*
 * 0; TLS_IS_UNREADY: *ret exists and *complaint says which file does not do; -EINVAL: the rules are wrong;
 * -ENOENT: the library is missing; -ENOMEM. *complaint (appended) says it in words.
 */
int tls_context_new(struct tls_context **ret, const struct tls_rules *rules, struct buffer *complaint);
struct tls_context *tls_context_free(struct tls_context *context);
OWNED_POINTER(struct tls_context, tls_context_free);

/*
 * Reads all files again, for HUP. Connections that exist keep what they were made with. 0, or -errno and a
 * complaint: what was read before stays in use.
 */
int tls_context_reload(struct tls_context *context, struct buffer *complaint);
bool tls_context_is_ready(struct tls_context *context);
int tls_context_handshake_ms(const struct tls_context *context);

/* ---- Connections -------------------------------------------------------- */

struct tls;

/*
 * Nothing is sent yet. `name` is for clients: the server that is asked for (SNI), unless it is an address, and
 * whom TLS_NAME wants to meet where the rules name nobody. NULL: neither. -ENOKEY: the context is unready.
 */
int tls_new(struct tls **ret, struct tls_context *context, int fd, const char *name);
/* Says good-bye where that does not block. */
struct tls *tls_free(struct tls *t);
OWNED_POINTER(struct tls, tls_free);

/*
 * 0: open. TLS_WANTS_READ, TLS_WANTS_WRITE: call again then. -EACCES: a certificate was refused, ours or the
 * peer's; -EPROTO: no common ground, or not TLS; or what the socket failed with.
 */
int tls_handshake(struct tls *t);

/* Bytes, 0 at the end of the stream, -EAGAIN (see tls_events()), or the failure. Reading finishes a handshake. */
ssize_t tls_receive(struct tls *t, void *to, size_t size);
/*
 * How many bytes were taken (one or more), -EAGAIN, or the failure. What was taken is sent, or it lies in here as
 * it would in the socket: until tls_flush() is 0 something is left to do when the socket can be written.
 */
ssize_t tls_send(struct tls *t, struct text bytes);
int tls_flush(struct tls *t); /* 0, -EAGAIN, or the failure */

/* What to wait for on the socket (EPOLLIN, EPOLLOUT) after an answer that asks for it. */
uint32_t tls_events(const struct tls *t);
/* Bytes were received that tls_receive() has not handed out: the socket may never become readable for them. */
bool tls_has_pending(const struct tls *t);

/* Why the last call failed, or a remark (an expired certificate that was let in); "" when there is nothing to say. */
const char *tls_complaint(const struct tls *t);
/* "TLSv1.3, TLS_AES_256_GCM_SHA384, peer CN=ada.example.net": the open connection, for people. */
void tls_describe(const struct tls *t, struct buffer *to);

/* ---- In a worker: may wait ------------------------------------------------ */

/*
 * A client's new connection with its handshake done, `wait_ms` at most (0: as the rules say). With
 * `awaits_verdict` it also waits up to TLS_VERDICT_MS for what a TLS 1.3 server says first: there the client's
 * part of the handshake ends before the server has looked at its certificate, and what is sent to one that
 * refuses it is lost. *complaint (appended): why it failed, or a remark.
 */
enum { TLS_VERDICT_MS = 500 };
int tls_connect(struct tls **ret, struct tls_context *context, int fd, const char *name, int wait_ms,
                struct buffer *complaint);
