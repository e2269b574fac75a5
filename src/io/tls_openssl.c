/*
 * Connections. OpenSSL reaches the socket through a BIO of ours, so that a broken connection is an errno and
 * never a signal.
 *
 * SSL_write() that could not write all wants the very same bytes again, as they are encrypted already. They are
 * copied then (`held`), so that the caller is free: what tls_send() took is taken.
 */
#include "io/tls_openssl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fail.h"

static struct tls_openssl *of(struct tls *t) {
        return CONTAINER_OF(t, struct tls_openssl, tls);
}

static const struct tls_openssl *of_const(const struct tls *t) {
        return of((struct tls *)t);
}

struct tls_openssl *tls_of_ssl(const SSL *ssl) {
        return SSL_get_app_data(ssl);
}

int tls_took_ticket(SSL *ssl, SSL_SESSION *session _unused_) {
        tls_of_ssl(ssl)->has_ticket = true;
        return 0; /* it is not kept */
}

/* ---- The socket --------------------------------------------------------- */

static int socket_result(BIO *bio, struct tls_openssl *t, ssize_t size, int retry) {
        BIO_clear_retry_flags(bio);
        t->socket_error = size < 0 ? -errno : 0;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
                BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
        return (int)size;
}

static int socket_read(BIO *bio, char *to, int size) {
        struct tls_openssl *t = BIO_get_data(bio);
        ssize_t got = recv(t->fd, to, (size_t)size, MSG_DONTWAIT);
        t->has_ended = got == 0;
        return socket_result(bio, t, got, BIO_FLAGS_READ);
}

static int socket_write(BIO *bio, const char *from, int size) {
        struct tls_openssl *t = BIO_get_data(bio);
        return socket_result(bio, t, send(t->fd, from, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT), BIO_FLAGS_WRITE);
}

static long socket_control(BIO *bio, int command, long number _unused_, void *pointer _unused_) {
        if (command == BIO_CTRL_EOF)
                return ((struct tls_openssl *)BIO_get_data(bio))->has_ended;
        return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_socket_method(void) {
        BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "penstock socket");
        if (!method)
                return NULL;
        BIO_meth_set_read(method, socket_read);
        BIO_meth_set_write(method, socket_write);
        BIO_meth_set_ctrl(method, socket_control);
        return method;
}

/* ---- Words -------------------------------------------------------------- */

void tls_write_reason(struct buffer *to) {
        unsigned long error = ERR_peek_last_error();
        const char *reason = error ? ERR_reason_error_string(error) : NULL;
        buffer_text(to, text_of(reason ? reason : "no reason given"));
        ERR_clear_error();
}

static bool is_alert_about_certificate(int alert) {
        switch (alert) {
        case SSL_AD_NO_CERTIFICATE:
        case SSL_AD_BAD_CERTIFICATE:
        case SSL_AD_UNSUPPORTED_CERTIFICATE:
        case SSL_AD_CERTIFICATE_REVOKED:
        case SSL_AD_CERTIFICATE_EXPIRED:
        case SSL_AD_CERTIFICATE_UNKNOWN:
        case SSL_AD_UNKNOWN_CA:
        case SSL_AD_ACCESS_DENIED:
        case SSL_AD_CERTIFICATE_REQUIRED:
                return true;
        default:
                return false;
        }
}

/* The peer has told us what it does not like. */
static int hear_alert(struct tls_openssl *t, int alert) {
        const char *words = SSL_alert_desc_string_long(alert);
        bool has_own = SSL_get_certificate(t->ssl);
        if (!is_alert_about_certificate(alert)) {
                buffer_format(&t->complaint,
                              "the peer ended TLS with the alert \"%s\"; its own log may tell more, and versions and "
                              "ciphers of both sides must overlap",
                              words);
                return -EPROTO;
        }
        if (has_own) {
                buffer_text(&t->complaint, TEXT("the peer refused our certificate \""));
                tls_write_name(&t->complaint, X509_get_subject_name(SSL_get_certificate(t->ssl)));
                buffer_format(&t->complaint, "\" with the alert \"%s\"; its own log tells why", words);
        } else
                buffer_format(&t->complaint,
                              "the peer wants a certificate and we have none (alert \"%s\"): set a certificate and "
                              "its key (StreamDriver.CertFile and KeyFile)",
                              words);
        return -EACCES;
}

static int explain_failure(struct tls_openssl *t) {
        unsigned long error = ERR_peek_error();
        int reason = ERR_GET_REASON(error);
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
                return hear_alert(t, reason - SSL_AD_REASON_OFFSET);
        switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? reason : 0) {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
                buffer_text(&t->complaint,
                            TEXT("the peer has shown no certificate, and one is wanted here: give it one, "
                                 "or let anybody in (authmode anon)"));
                return -EACCES;
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
        case SSL_R_UNKNOWN_PROTOCOL:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_BAD_RECORD_TYPE:
                buffer_text(&t->complaint, TEXT("what the peer sends is not TLS: one side is set to plain TCP (stream "
                                                "driver mode 0), the other to TLS (mode 1)"));
                return -EPROTO;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SUITABLE_GROUPS:
                buffer_text(&t->complaint, TEXT("the two sides have no TLS version or cipher in common: "));
                tls_write_reason(&t->complaint);
                buffer_text(&t->complaint,
                            SSL_get_certificate(t->ssl)
                                    ? TEXT("; see gnutlsPriorityString")
                                    : TEXT("; we have no certificate, so only peers that need none can be met"));
                return -EPROTO;
        default:
                buffer_text(&t->complaint, TEXT("TLS failed: "));
                tls_write_reason(&t->complaint);
                return -EPROTO;
        }
}

static int broken_socket(struct tls_openssl *t) {
        int error = t->socket_error ? t->socket_error : -ECONNRESET;
        if (!t->is_open)
                buffer_format(&t->complaint, "the connection ended during the TLS handshake: %s",
                              t->socket_error ? fail_text(error) : "the peer closed it without a word");
        else
                buffer_text(&t->complaint, text_of(fail_text(error)));
        return error;
}

/* After a call of OpenSSL that did not work: 0 at the end of the stream, -EAGAIN, or the failure, explained. */
static int why_not(struct tls_openssl *t, int result) {
        switch (SSL_get_error(t->ssl, result)) {
        case SSL_ERROR_WANT_READ:
                t->events = EPOLLIN;
                return -EAGAIN;
        case SSL_ERROR_WANT_WRITE:
                t->events = EPOLLOUT;
                return -EAGAIN;
        case SSL_ERROR_ZERO_RETURN:
                if (t->is_open)
                        return 0;
                break;
        default:
                break;
        }
        int error = SSL_get_error(t->ssl, result), r;
        t->has_failed = true;
        if (t->was_refused) {
                ERR_clear_error();
                return fail(-EACCES);
        }
        buffer_clear(&t->complaint);
        r = error == SSL_ERROR_SSL && ERR_peek_error() ? explain_failure(t) : broken_socket(t);
        ERR_clear_error();
        return fail(r);
}

/* ---- Life --------------------------------------------------------------- */

static void close_connection(struct tls *tls);

static bool is_address(const char *name) {
        unsigned char address[sizeof(struct in6_addr)];
        return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

extern const struct tls_library penstock_tls;

static int prepare(struct tls_openssl *t, const char *name) {
        t->ssl = SSL_new(t->material->ssl);
        BIO *bio = t->ssl ? BIO_new(t->material->socket) : NULL;
        if (!bio)
                return fail(-ENOMEM);
        BIO_set_data(bio, t);
        BIO_set_init(bio, 1);
        SSL_set_bio(t->ssl, bio, bio);
        SSL_set_app_data(t->ssl, t);
        if (!t->is_client) {
                SSL_set_accept_state(t->ssl);
                return 0;
        }
        SSL_set_connect_state(t->ssl);
        if (!name || !*name)
                return 0;
        t->name = text_copy(text_of(name));
        if (!t->name || (!is_address(name) && !SSL_set_tlsext_host_name(t->ssl, name)))
                return fail(-ENOMEM);
        return 0;
}

static int open_connection(struct tls **ret, struct tls_material *material, int fd, const char *name) {
        struct tls_openssl *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        t->tls.library = &penstock_tls;
        t->material = tls_material_ref(material);
        t->fd = fd;
        t->is_client = !material->rules->is_server;
        t->events = EPOLLIN;
        int r = prepare(t, name);
        if (r) {
                close_connection(&t->tls);
                return pass(r);
        }
        *ret = &t->tls;
        return 0;
}

/* What the peer said last must be read before the socket is closed, or the kernel throws away what it still sends. */
static void drain_socket(int fd) {
        enum { ROUNDS_MAX = 16 };
        char scrap[4096];
        for (int i = 0; i < ROUNDS_MAX && recv(fd, scrap, sizeof scrap, MSG_DONTWAIT) > 0; i++)
                ;
}

static int flush(struct tls *tls);

static void close_connection(struct tls *tls) {
        struct tls_openssl *t = of(tls);
        ERR_clear_error();
        if (t->is_open && !t->has_failed && flush(tls) == 0) {
                SSL_shutdown(t->ssl);
                drain_socket(t->fd);
        }
        SSL_free(t->ssl);
        ERR_clear_error();
        tls_material_unref(t->material);
        buffer_fini(&t->complaint);
        free(t->name);
        free(t->held);
        free(t);
}

/* ---- Handshake ---------------------------------------------------------- */

static int handshake(struct tls *tls) {
        struct tls_openssl *t = of(tls);
        if (t->is_open)
                return 0;
        ERR_clear_error();
        int result = SSL_do_handshake(t->ssl);
        if (result == 1) {
                t->is_open = true;
                t->events = EPOLLIN;
                return 0;
        }
        int r = why_not(t, result);
        if (r == -EAGAIN)
                return t->events == EPOLLIN ? TLS_WANTS_READ : TLS_WANTS_WRITE;
        return pass(r);
}

/*
 * A server that goes on says something after the handshake, if only a ticket; one that does not like us, an alert.
 * Before TLS 1.3 the handshake itself has told.
 */
static int look(struct tls *tls) {
        struct tls_openssl *t = of(tls);
        char first;
        if (t->has_ticket || SSL_version(t->ssl) != TLS1_3_VERSION)
                return 0;
        ERR_clear_error();
        int result = SSL_peek(t->ssl, &first, 1);
        if (result > 0 || t->has_ticket)
                return 0;
        return pass(why_not(t, result));
}

/* ---- Bytes -------------------------------------------------------------- */

static ssize_t receive(struct tls *tls, void *to, size_t size) {
        struct tls_openssl *t = of(tls);
        size_t got = 0;
        if (UNLIKELY(t->later))
                return t->later;
        /*
         * A record at a time is what OpenSSL hands out; what lies here already fills the room. Behind a full record
         * there are likely more in the socket: so that the caller's room is used as with a plain one.
         */
        do {
                size_t some;
                ERR_clear_error();
                int result = SSL_read_ex(t->ssl, (char *)to + got, size - got, &some);
                if (result == 1) {
                        got += some;
                        continue;
                }
                int r = why_not(t, result);
                if (got == 0)
                        return r;
                t->later = r == -EAGAIN ? 0 : r;
                break;
        } while (got < size && (SSL_has_pending(t->ssl) || got >= SSL3_RT_MAX_PLAIN_LENGTH));
        return (ssize_t)got;
}

static int write_record(struct tls_openssl *t, const char *data, size_t size) {
        size_t written;
        ERR_clear_error();
        int result = SSL_write_ex(t->ssl, data, size, &written);
        if (result == 1) {
                assert(written == size);
                return 0;
        }
        int r = why_not(t, result);
        return r ? pass(r) : fail(-EPIPE);
}

static int flush(struct tls *tls) {
        struct tls_openssl *t = of(tls);
        if (LIKELY(!t->held))
                return 0;
        int r = write_record(t, t->held, t->held_size);
        if (r)
                return pass(r);
        free(t->held);
        t->held = NULL;
        t->events = EPOLLIN;
        return 0;
}

static ssize_t send_bytes(struct tls *tls, struct text bytes) {
        struct tls_openssl *t = of(tls);
        int r = flush(tls);
        if (r)
                return pass(r);
        size_t size = MIN(bytes.size, (size_t)TLS_RECORD_BYTES_MAX);
        if (size == 0)
                return 0;
        r = write_record(t, bytes.data, size);
        if (LIKELY(r == 0))
                return (ssize_t)size;
        if (r != -EAGAIN)
                return pass(r);
        t->held = malloc(size);
        if (!t->held) {
                /* OpenSSL would want these bytes again, and they are the caller's. */
                t->has_failed = true;
                return fail(-ENOMEM);
        }
        memcpy(t->held, bytes.data, size);
        t->held_size = size;
        return (ssize_t)size;
}

static uint32_t events(const struct tls *tls) {
        const struct tls_openssl *t = of_const(tls);
        return t->held ? t->events | EPOLLOUT : t->events;
}

static bool has_pending(const struct tls *tls) {
        const struct tls_openssl *t = of_const(tls);
        return t->later || SSL_has_pending(t->ssl);
}

static const char *complaint(const struct tls *tls) {
        struct tls_openssl *t = of((struct tls *)tls);
        const char *words = buffer_string(&t->complaint);
        return words ? words : "out of memory";
}

static void describe(const struct tls *tls, struct buffer *to) {
        const struct tls_openssl *t = of_const(tls);
        X509 *peer = SSL_get0_peer_certificate(t->ssl);
        buffer_format(to, "%s, %s, ", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
        if (!peer) {
                buffer_text(to, TEXT("peer without a certificate"));
                return;
        }
        buffer_text(to, TEXT("peer "));
        tls_write_name(to, X509_get_subject_name(peer));
}

__attribute__((visibility("default"))) const struct tls_library penstock_tls = {
        .abi = TLS_LIBRARY_ABI,
        .size = sizeof(struct tls_library),
        .material_new = tls_material_new,
        .material_ref = tls_material_ref,
        .material_unref = tls_material_unref,
        .open = open_connection,
        .close = close_connection,
        .handshake = handshake,
        .look = look,
        .receive = receive,
        .send = send_bytes,
        .flush = flush,
        .events = events,
        .has_pending = has_pending,
        .complaint = complaint,
        .describe = describe,
};
