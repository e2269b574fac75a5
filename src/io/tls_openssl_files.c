#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/file.h"
#include "io/tls_openssl.h"
#include "io/tls_priority.h"

enum { COMMANDS_MAX = TLS_PRIORITY_WORDS_MAX + 16, CERTIFICATES_MAX = 4096 };

static void bio_release(BIO *bio) {
        BIO_free_all(bio);
}
OWNED_POINTER(BIO, bio_release);

/* A file's content, read here so that the failure has its errno and the size a bound. */
static int read_file(BIO **ret, struct buffer *content, const char *what, const char *path, struct buffer *complaint) {
        int r = file_read_whole(path, TLS_FILE_BYTES_MAX, content);
        if (r) {
                buffer_format(complaint, "%s %s cannot be read: %s", what, path,
                              r == -EFBIG ? "it is too large" : fail_text(r));
                return pass(r);
        }
        *ret = BIO_new_mem_buf(content->data ? content->data : "", (int)content->size);
        return *ret ? 0 : fail(-ENOMEM);
}

static int refuse_file(const char *what, const char *path, const char *why, struct buffer *complaint) {
        buffer_format(complaint, "%s %s %s", what, path, why);
        unsigned long error = ERR_peek_last_error();
        if (error && ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
                buffer_text(complaint, TEXT(": "));
                tls_write_reason(complaint);
        }
        ERR_clear_error();
        return fail(-EINVAL);
}

/* The end of a PEM file looks like an error, of the kind "no start line". */
static bool is_at_end(void) {
        unsigned long error = ERR_peek_last_error();
        return error == 0 || (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

/* ---- Whom we trust ------------------------------------------------------ */

static int add_authorities(struct tls_material *m, const char *path, struct buffer *complaint) {
        _owned_(buffer_fini) struct buffer content = {0};
        _owned_(bio_release) BIO *in = NULL;
        int r = read_file(&in, &content, "the CA file", path, complaint);
        if (r)
                return pass(r);
        X509_STORE *store = SSL_CTX_get_cert_store(m->ssl);
        size_t count = 0;
        ERR_clear_error();
        for (X509 *x; count < CERTIFICATES_MAX && (x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL)); count++) {
                bool is_added = X509_STORE_add_cert(store, x);
                /* Servers tell their clients whose certificates they would take. */
                if (m->rules->is_server && is_added)
                        is_added = SSL_CTX_add_client_CA(m->ssl, x);
                X509_free(x);
                if (!is_added)
                        return refuse_file("the CA file", path, "holds a certificate that cannot be used", complaint);
        }
        if (count == 0 || !is_at_end())
                return refuse_file("the CA file", path, "is not a list of certificates in PEM form", complaint);
        ERR_clear_error();
        return 0;
}

static int add_extra_authorities(struct tls_material *m, struct text list, struct buffer *complaint) {
        while (list.size) {
                const char *comma = memchr(list.data, ',', list.size);
                size_t size = comma ? (size_t)(comma - list.data) : list.size;
                struct text name = text_trim(text_slice(list, 0, size));
                list = text_slice(list, size + 1, list.size);
                if (name.size == 0)
                        continue;
                _owned_(memory_free) char *path = text_copy(name);
                int r = path ? add_authorities(m, path, complaint) : fail(-ENOMEM);
                if (r)
                        return pass(r);
        }
        return 0;
}

static int add_revocations(struct tls_material *m, struct buffer *complaint) {
        _owned_(buffer_fini) struct buffer content = {0};
        _owned_(bio_release) BIO *in = NULL;
        const char *path = m->rules->crl_file;
        int r = read_file(&in, &content, "the CRL file", path, complaint);
        if (r)
                return pass(r);
        X509_STORE *store = SSL_CTX_get_cert_store(m->ssl);
        size_t count = 0;
        ERR_clear_error();
        for (X509_CRL *x; count < CERTIFICATES_MAX && (x = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)); count++) {
                bool is_added = X509_STORE_add_crl(store, x);
                X509_CRL_free(x);
                if (!is_added)
                        return refuse_file("the CRL file", path, "holds a list that cannot be used", complaint);
        }
        if (count == 0 || !is_at_end())
                return refuse_file("the CRL file", path, "is not a list of revoked certificates in PEM form",
                                   complaint);
        ERR_clear_error();
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        return 0;
}

/* ---- Who we are --------------------------------------------------------- */

static int use_certificate(struct tls_material *m, struct buffer *complaint) {
        _owned_(buffer_fini) struct buffer content = {0};
        _owned_(bio_release) BIO *in = NULL;
        const char *path = m->rules->cert_file;
        int r = read_file(&in, &content, "the certificate", path, complaint);
        if (r)
                return pass(r);
        ERR_clear_error();
        X509 *own = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
        bool is_used = own && SSL_CTX_use_certificate(m->ssl, own) == 1;
        X509_free(own);
        if (!is_used)
                return refuse_file("the certificate", path, "cannot be used; it must be in PEM form", complaint);
        size_t count = 0;
        for (X509 *x; count < CERTIFICATES_MAX && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)); count++)
                if (SSL_CTX_add0_chain_cert(m->ssl, x) != 1) {
                        X509_free(x);
                        return refuse_file("the certificate", path, "is followed by one that cannot be used",
                                           complaint);
                }
        if (!is_at_end())
                return refuse_file("the certificate", path, "is followed by what is no certificate", complaint);
        ERR_clear_error();
        return 0;
}

/* Nobody is there to be asked. */
static int no_password(char *buffer _unused_, int size _unused_, int is_writing _unused_, void *was_asked) {
        *(bool *)was_asked = true;
        return -1;
}

static int use_key(struct tls_material *m, struct buffer *complaint) {
        _owned_(buffer_fini) struct buffer content = {0};
        _owned_(bio_release) BIO *in = NULL;
        const char *path = m->rules->key_file;
        bool was_asked = false;
        int r = read_file(&in, &content, "the private key", path, complaint);
        if (r)
                return pass(r);
        ERR_clear_error();
        EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_password, &was_asked);
        OPENSSL_cleanse(content.data, content.size);
        if (was_asked) {
                EVP_PKEY_free(key);
                ERR_clear_error();
                buffer_format(complaint,
                              "the private key %s is encrypted, and nobody can be asked for its password: store it "
                              "without one, readable by nobody else",
                              path);
                return fail(-EINVAL);
        }
        if (!key)
                return refuse_file("the private key", path, "cannot be used; it must be in PEM form", complaint);
        bool is_used = SSL_CTX_use_PrivateKey(m->ssl, key) == 1 && SSL_CTX_check_private_key(m->ssl) == 1;
        EVP_PKEY_free(key);
        if (is_used)
                return 0;
        ERR_clear_error();
        buffer_format(complaint,
                      "the private key %s does not belong to the certificate %s: the two must be of one pair", path,
                      m->rules->cert_file);
        return fail(-EINVAL);
}

static int use_identity(struct tls_material *m, struct buffer *complaint) {
        const struct tls_rules *rules = m->rules;
        if (!rules->cert_file && !rules->key_file) {
                if (rules->auth == TLS_ANON || !rules->is_server)
                        return 0;
                buffer_text(complaint, TEXT("a TLS listener that authenticates needs a certificate and its private "
                                            "key (StreamDriver.CertFile and KeyFile, or global() "
                                            "defaultNetstreamDriverCertFile and KeyFile)"));
                return fail(-EINVAL);
        }
        if (!rules->cert_file || !rules->key_file) {
                buffer_format(complaint, "there is a %s but no %s: TLS needs both",
                              rules->cert_file ? "certificate" : "private key",
                              rules->cert_file ? "private key for it" : "certificate for it");
                return fail(-EINVAL);
        }
        int r = use_certificate(m, complaint);
        return r ? pass(r) : pass(use_key(m, complaint));
}

/* ---- How we speak ------------------------------------------------------- */

static int run_command(SSL_CONF_CTX *conf, const char *command, const char *value, struct buffer *complaint) {
        ERR_clear_error();
        int r = SSL_CONF_cmd(conf, command, value);
        if (r > 0)
                return 0;
        buffer_format(complaint, "the TLS setting %s=%s ", command, value);
        if (r == -2)
                buffer_text(complaint, TEXT("is unknown"));
        else if (r == -3)
                buffer_text(complaint, TEXT("lacks its value"));
        else {
                buffer_text(complaint, TEXT("does not work here: "));
                tls_write_reason(complaint);
        }
        ERR_clear_error();
        return fail(-EINVAL);
}

static int run_commands(struct tls_material *m, struct text commands, struct buffer *complaint) {
        SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
        if (!conf)
                return fail(-ENOMEM);
        SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER | SSL_CONF_FLAG_CLIENT |
                                             SSL_CONF_FLAG_CERTIFICATE);
        SSL_CONF_CTX_set_ssl_ctx(conf, m->ssl);
        int r = 0;
        for (int i = 0; i < COMMANDS_MAX && commands.size && r == 0; i++) {
                const char *end = memchr(commands.data, '\n', commands.size);
                size_t size = end ? (size_t)(end - commands.data) : commands.size;
                _owned_(memory_free) char *line = text_copy(text_slice(commands, 0, size));
                commands = text_slice(commands, size + 1, commands.size);
                char *equals = line ? strchr(line, '=') : NULL;
                if (!equals) {
                        r = line ? fail(-EINVAL) : fail(-ENOMEM);
                        break;
                }
                *equals = '\0';
                r = run_command(conf, line, equals + 1, complaint);
        }
        if (r == 0 && !SSL_CONF_CTX_finish(conf))
                r = fail(-EINVAL);
        SSL_CONF_CTX_free(conf);
        return r ? pass(r) : 0;
}

/*
 * Where nobody is authenticated a server needs no certificate: the two agree on a key without one. OpenSSL counts
 * such suites as insecure, as they are against a man in the middle; "anon" accepts him in any case.
 */
#define ANONYMOUS_CIPHERS "HIGH:+aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"

/*
 * A TLS 1.3 client would like to hear that its certificate was accepted. A ticket says it: one that nobody can use, and
 * that is sent to clients alone which ask for it by an extension of ours. Others do not read it, and what is unread
 * when they close makes the kernel throw away what they sent last.
 */
enum { EXTENSION_WANTS_VERDICT = 0xff50 /* of those for private use, RFC 8446 */ };

static int ask_for_verdict(SSL *ssl _unused_, unsigned type _unused_, unsigned context _unused_,
                           const unsigned char **out, size_t *size, X509 *x _unused_, size_t depth _unused_,
                           int *alert _unused_, void *argument _unused_) {
        *out = NULL;
        *size = 0;
        return 1;
}

static int promise_verdict(SSL *ssl, unsigned type _unused_, unsigned context _unused_,
                           const unsigned char *in _unused_, size_t size _unused_, X509 *x _unused_,
                           size_t depth _unused_, int *alert _unused_, void *argument _unused_) {
        return SSL_set_num_tickets(ssl, 1);
}

static bool arrange_verdict(struct tls_material *m) {
        if (m->rules->is_server)
                return SSL_CTX_add_custom_ext(m->ssl, EXTENSION_WANTS_VERDICT, SSL_EXT_CLIENT_HELLO, NULL, NULL, NULL,
                                              promise_verdict, NULL);
        SSL_CTX_sess_set_new_cb(m->ssl, tls_took_ticket);
        return !m->rules->awaits_verdict ||
               SSL_CTX_add_custom_ext(m->ssl, EXTENSION_WANTS_VERDICT, SSL_EXT_CLIENT_HELLO, ask_for_verdict, NULL,
                                      NULL, NULL, NULL);
}

static int choose_defaults(struct tls_material *m) {
        const struct tls_rules *rules = m->rules;
        SSL_CTX *ssl = m->ssl;
        if (!SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION))
                return fail(-EINVAL);
        SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_dh_auto(ssl, 1);
        SSL_CTX_set_max_cert_list(ssl, TLS_PEER_CHAIN_BYTES_MAX);
        SSL_CTX_set_read_ahead(ssl, 1);
        SSL_CTX_set_default_read_buffer_len(ssl, TLS_READ_AHEAD_BYTES);
        /* Sessions are never resumed: each connection is checked against the lists of today. */
        SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ssl, 0);
        SSL_CTX_set_session_cache_mode(ssl, rules->is_server ? SSL_SESS_CACHE_OFF
                                                             : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        if (!arrange_verdict(m))
                return fail(-ENOMEM);
        bool has_own = rules->cert_file && rules->key_file;
        if (rules->auth == TLS_ANON && (!has_own || !rules->is_server) &&
            !SSL_CTX_set_cipher_list(ssl, ANONYMOUS_CIPHERS))
                return fail(-EINVAL);
        return 0;
}

static void choose_verification(struct tls_material *m) {
        const struct tls_rules *rules = m->rules;
        int mode = rules->auth == TLS_ANON ? SSL_VERIFY_NONE : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_verify(m->ssl, mode, NULL);
        SSL_CTX_set_cert_verify_callback(m->ssl, tls_verify_peer, m);
        if (rules->verify_depth > 0)
                SSL_CTX_set_verify_depth(m->ssl, rules->verify_depth);
        if (!rules->checks_purpose)
                SSL_CTX_set_purpose(m->ssl, X509_PURPOSE_ANY);
}

/* ---- Together ----------------------------------------------------------- */

static int read_all(struct tls_material *m, const char *commands, struct buffer *complaint) {
        const struct tls_rules *rules = m->rules;
        int r = choose_defaults(m);
        if (r == 0)
                r = run_commands(m, text_of(commands), complaint);
        if (r)
                return pass(r);
        choose_verification(m);
        if (rules->ca_file)
                r = add_authorities(m, rules->ca_file, complaint);
        if (r == 0)
                r = add_extra_authorities(m, text_of(rules->ca_extra_files), complaint);
        if (r == 0 && rules->crl_file)
                r = add_revocations(m, complaint);
        if (r == 0)
                r = use_identity(m, complaint);
        if (r)
                return pass(r);
        bool needs_authority = rules->auth == TLS_CERTVALID || rules->auth == TLS_NAME;
        if (needs_authority && !rules->ca_file && !rules->ca_extra_files) {
                buffer_text(complaint,
                            TEXT("to check certificates the authorities must be known that sign them: name "
                                 "their file (StreamDriver.CAFile, or global() defaultNetstreamDriverCAFile)"));
                return fail(-EINVAL);
        }
        if (rules->checks_revocation)
                X509_STORE_set_flags(SSL_CTX_get_cert_store(m->ssl), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        return 0;
}

int tls_material_new(struct tls_material **ret, const struct tls_rules *rules, const char *commands,
                     struct buffer *complaint) {
        struct tls_material *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        atomic_init(&m->references, 1);
        m->rules = rules;
        m->socket = tls_socket_method();
        m->ssl = SSL_CTX_new(rules->is_server ? TLS_server_method() : TLS_client_method());
        int r = m->ssl && m->socket ? read_all(m, commands, complaint) : fail(-ENOMEM);
        if (r) {
                tls_material_unref(m);
                return pass(r);
        }
        *ret = m;
        return 0;
}

struct tls_material *tls_material_ref(struct tls_material *material) {
        atomic_fetch_add_explicit(&material->references, 1, memory_order_relaxed);
        return material;
}

void tls_material_unref(struct tls_material *material) {
        if (atomic_fetch_sub_explicit(&material->references, 1, memory_order_acq_rel) != 1)
                return;
        SSL_CTX_free(material->ssl);
        BIO_meth_free(material->socket);
        free(material);
}
