/*
 * What the pieces of lmtls.so share.
 *
 *   tls_openssl.c         connections: handshake, bytes in and out, errors in words
 *   tls_openssl_files.c   what a context reads: certificates, keys, revocations, ciphers
 *   tls_openssl_verify.c  the peer's certificate: is it good, and is it one that we want
 */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "io/tls_library.h"

enum { TLS_CHAIN_REMARKS_MAX = 4 }; /* that one chain of certificates may cause */

struct tls_material {
        atomic_uint references;
        SSL_CTX *ssl;
        BIO_METHOD *socket; /* how connections reach their sockets */
        const struct tls_rules *rules;
};

struct tls_openssl {
        struct tls tls;
        struct tls_material *material;
        SSL *ssl;
        int fd;
        int socket_error; /* negative errno of the last call on the socket, 0: none */
        int later;        /* a failure that stood behind bytes which were handed out first */
        char *name;       /* the server that a client wants to meet; NULL: any */
        char *held;       /* a record's bytes that the socket has not taken yet */
        size_t held_size;
        struct buffer complaint;
        uint32_t events;
        unsigned remarks;
        bool is_client, is_open, has_failed;
        bool has_ended;   /* the socket, whatever TLS says */
        bool was_refused; /* by us: the complaint is written */
        bool has_ticket;  /* the server sent one: it has accepted us */
};

int tls_material_new(struct tls_material **ret, const struct tls_rules *rules, const char *commands,
                     struct buffer *complaint);
struct tls_material *tls_material_ref(struct tls_material *material);
void tls_material_unref(struct tls_material *material);

/* Finds the connection of an SSL. */
struct tls_openssl *tls_of_ssl(const SSL *ssl);
/* A client's new session: the server went on. */
int tls_took_ticket(SSL *ssl, SSL_SESSION *session);
/* How connections reach their sockets; NULL without memory. */
BIO_METHOD *tls_socket_method(void);

/* SSL_CTX_set_cert_verify_callback(): 1 or 0. */
int tls_verify_peer(X509_STORE_CTX *store, void *material);

/* What OpenSSL has to say about the last failure of this thread, in words; empties its list. */
void tls_write_reason(struct buffer *to);
/* "CN=ada.example.net, O=Example" */
void tls_write_name(struct buffer *to, const X509_NAME *name);
