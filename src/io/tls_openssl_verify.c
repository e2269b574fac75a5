#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "io/tls_openssl.h"
#include "io/tls_peer.h"

enum { NAMES_SHOWN_MAX = 8 };

void tls_write_name(struct buffer *to, const X509_NAME *name) {
        BIO *out = BIO_new(BIO_s_mem());
        char *words;
        /* Oneline, UTF-8, control characters escaped: it is the peer who chose it. */
        if (out && X509_NAME_print_ex(out, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB & ~XN_FLAG_SPC_EQ) >= 0) {
                long size = BIO_get_mem_data(out, &words);
                buffer_append(to, words, size > 0 ? (size_t)size : 0);
        }
        BIO_free(out);
}

static void write_time(struct buffer *to, const ASN1_TIME *time) {
        BIO *out = BIO_new(BIO_s_mem());
        char *words;
        if (out && ASN1_TIME_print(out, time)) {
                long size = BIO_get_mem_data(out, &words);
                buffer_append(to, words, size > 0 ? (size_t)size : 0);
        }
        BIO_free(out);
}

static void write_certificate(struct buffer *to, X509 *certificate, int depth) {
        buffer_text(to, depth == 0 ? TEXT("the peer's certificate \"") : TEXT("the authority's certificate \""));
        tls_write_name(to, X509_get_subject_name(certificate));
        buffer_text(to, TEXT("\" (issued by \""));
        tls_write_name(to, X509_get_issuer_name(certificate));
        buffer_text(to, TEXT("\")"));
}

/* What can be done about the failures that people meet. */
static const char *advice_of(int error) {
        static const struct {
                int error;
                const char *advice;
        } advices[] = {
                {X509_V_ERR_CERT_HAS_EXPIRED,
                 "let it be renewed, or permit expired certificates (StreamDriver.PermitExpiredCerts)"},
                {X509_V_ERR_CERT_NOT_YET_VALID, "check the clocks of both machines"},
                {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                 "add the authority that issued it to our CA file, or let the peer send the certificates in between"},
                {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "add the authority's own certificate to our CA file"},
                {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
                 "add the authority that issued it to our CA file, or let the peer send the certificates in between"},
                {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                 "have it signed by an authority of our CA file, or permit its fingerprint (x509/fingerprint)"},
                {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "add that authority to our CA file if it is to be trusted"},
                {X509_V_ERR_CERT_REVOKED, "the peer needs another certificate"},
                {X509_V_ERR_CRL_HAS_EXPIRED, "fetch the authority's current list of revoked certificates, then HUP"},
                {X509_V_ERR_UNABLE_TO_GET_CRL,
                 "add the issuer's list of revoked certificates to the CRL file, or turn the revocation check off"},
                {X509_V_ERR_CERT_CHAIN_TOO_LONG, "raise the verify depth (StreamDriver.TlsVerifyDepth)"},
                {X509_V_ERR_INVALID_PURPOSE,
                 "it needs the extended key usage of a TLS client or server, or turn that check off "
                 "(StreamDriver.CheckExtendedKeyPurpose)"},
                {X509_V_ERR_EE_KEY_TOO_SMALL, "let it be made anew with a longer key"},
                {X509_V_ERR_CA_MD_TOO_WEAK, "let it be signed anew with SHA-256"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
                if (advices[i].error == error)
                        return advices[i].advice;
        return NULL;
}

static void complain(struct tls_openssl *t, X509_STORE_CTX *store, int error) {
        struct buffer *to = &t->complaint;
        X509 *certificate = X509_STORE_CTX_get_current_cert(store);
        t->was_refused = true;
        buffer_clear(to);
        if (certificate)
                write_certificate(to, certificate, X509_STORE_CTX_get_error_depth(store));
        else
                buffer_text(to, TEXT("the peer's certificate"));
        buffer_format(to, " is refused: %s", X509_verify_cert_error_string(error));
        if (certificate && error == X509_V_ERR_CERT_HAS_EXPIRED) {
                buffer_text(to, TEXT(" on "));
                write_time(to, X509_get0_notAfter(certificate));
        }
        const char *advice = advice_of(error);
        if (advice)
                buffer_format(to, "; %s", advice);
}

static void remark_expired(struct tls_openssl *t, X509_STORE_CTX *store) {
        X509 *certificate = X509_STORE_CTX_get_current_cert(store);
        if (!certificate || t->remarks++ >= TLS_CHAIN_REMARKS_MAX)
                return;
        if (t->complaint.size)
                buffer_text(&t->complaint, TEXT("; "));
        write_certificate(&t->complaint, certificate, X509_STORE_CTX_get_error_depth(store));
        buffer_text(&t->complaint, TEXT(" expired on "));
        write_time(&t->complaint, X509_get0_notAfter(certificate));
        buffer_text(&t->complaint, TEXT(" and was let in, as expired certificates are permitted"));
}

/* ---- The chain ---------------------------------------------------------- */

static struct tls_openssl *of_store(X509_STORE_CTX *store) {
        return tls_of_ssl(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* Asked about every certificate of the chain, and again for each thing that is wrong with it. */
static int judge(int is_good, X509_STORE_CTX *store) {
        if (is_good)
                return 1;
        struct tls_openssl *t = of_store(store);
        const struct tls_rules *rules = t->material->rules;
        int error = X509_STORE_CTX_get_error(store);
        if (error == X509_V_ERR_CERT_HAS_EXPIRED && rules->expired != TLS_EXPIRED_REFUSED) {
                if (rules->expired == TLS_EXPIRED_TOLD)
                        remark_expired(t, store);
                X509_STORE_CTX_set_error(store, X509_V_OK);
                return 1;
        }
        /* A file with the lists of some authorities says nothing about the others. */
        if (error == X509_V_ERR_UNABLE_TO_GET_CRL && !rules->checks_revocation) {
                X509_STORE_CTX_set_error(store, X509_V_OK);
                return 1;
        }
        complain(t, store, error);
        return 0;
}

/* ---- The peer ----------------------------------------------------------- */

static bool has_fingerprint(const struct tls_rules *rules, X509 *certificate) {
        static const char *const algorithms[] = {"SHA1", "SHA256"};
        for (size_t a = 0; a < ARRAY_SIZE(algorithms); a++) {
                unsigned char digest[EVP_MAX_MD_SIZE];
                unsigned size;
                if (!X509_digest(certificate, a ? EVP_sha256() : EVP_sha1(), digest, &size))
                        continue;
                for (size_t i = 0; i < rules->peer_count; i++)
                        if (tls_peer_has_digest(text_of(rules->peers[i]), algorithms[a], digest, size))
                                return true;
        }
        return false;
}

static void refuse_fingerprint(struct tls_openssl *t, X509 *certificate) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size;
        t->was_refused = true;
        buffer_clear(&t->complaint);
        write_certificate(&t->complaint, certificate, 0);
        buffer_text(&t->complaint, TEXT(" is refused: its fingerprint is not permitted; to let it in, add \""));
        if (X509_digest(certificate, EVP_sha256(), digest, &size))
                tls_peer_write_digest(&t->complaint, "SHA256", digest, size);
        buffer_text(&t->complaint, TEXT("\" to the permitted peers"));
}

/* The names of one certificate against those that are permitted. */
struct name_check {
        const struct tls_rules *rules;
        const char *wanted;  /* where the rules name nobody */
        struct buffer *seen; /* for the refusal */
        unsigned seen_count;
        bool has_alternatives;
};

static void see(struct name_check *check, const char *kind, const unsigned char *name, size_t size) {
        if (check->seen_count++ >= NAMES_SHOWN_MAX)
                return;
        buffer_format(check->seen, "%s%s ", check->seen->size ? ", " : "", kind);
        for (size_t i = 0; i < size && i < TLS_PEER_BYTES_MAX; i++)
                buffer_byte(check->seen, name[i] >= ' ' && name[i] < 0x7f ? (char)name[i] : '?');
}

static bool is_permitted_name(const struct name_check *check, struct text name) {
        if (check->wanted)
                return tls_peer_has_name(text_of(check->wanted), name);
        for (size_t i = 0; i < check->rules->peer_count; i++)
                if (tls_peer_has_name(text_of(check->rules->peers[i]), name))
                        return true;
        return false;
}

static bool is_permitted_address(const struct name_check *check, const unsigned char *address, size_t size) {
        if (check->wanted)
                return tls_peer_has_address(text_of(check->wanted), address, size);
        for (size_t i = 0; i < check->rules->peer_count; i++)
                if (tls_peer_has_address(text_of(check->rules->peers[i]), address, size))
                        return true;
        return false;
}

static bool has_permitted_alternative(struct name_check *check, const GENERAL_NAMES *names) {
        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                const ASN1_STRING *string = name->type == GEN_DNS     ? name->d.dNSName
                                            : name->type == GEN_IPADD ? name->d.iPAddress
                                                                      : NULL;
                if (!string)
                        continue;
                const unsigned char *data = ASN1_STRING_get0_data(string);
                size_t size = (size_t)ASN1_STRING_length(string);
                check->has_alternatives = true;
                if (name->type == GEN_DNS) {
                        see(check, "DNS", data, size);
                        if (is_permitted_name(check, (struct text){(const char *)data, size}))
                                return true;
                        continue;
                }
                char words[INET6_ADDRSTRLEN] = "?";
                if (size == sizeof(struct in_addr) || size == sizeof(struct in6_addr))
                        inet_ntop(size == sizeof(struct in_addr) ? AF_INET : AF_INET6, data, words, sizeof words);
                see(check, "IP", (const unsigned char *)words, strlen(words));
                if (is_permitted_address(check, data, size))
                        return true;
        }
        return false;
}

static bool has_permitted_common_name(struct name_check *check, X509 *certificate) {
        const X509_NAME *subject = X509_get_subject_name(certificate);
        for (int at = -1; (at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, at)) >= 0;) {
                const ASN1_STRING *string = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
                unsigned char *utf8;
                int size = ASN1_STRING_to_UTF8(&utf8, string);
                if (size < 0)
                        continue;
                see(check, "CN", utf8, (size_t)size);
                bool is_permitted = is_permitted_name(check, (struct text){(const char *)utf8, (size_t)size});
                OPENSSL_free(utf8);
                if (is_permitted)
                        return true;
        }
        return false;
}

static bool is_permitted(struct name_check *check, X509 *certificate) {
        GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
        bool is_found = names && has_permitted_alternative(check, names);
        GENERAL_NAMES_free(names);
        if (is_found || (check->has_alternatives && check->rules->prioritizes_san))
                return is_found;
        return has_permitted_common_name(check, certificate);
}

static bool has_name(struct tls_openssl *t, X509 *certificate) {
        const struct tls_rules *rules = t->material->rules;
        _owned_(buffer_fini) struct buffer seen = {0};
        struct name_check check = {
                .rules = rules,
                .wanted = rules->peer_count ? NULL : t->name,
                .seen = &seen,
        };
        if (is_permitted(&check, certificate))
                return true;
        t->was_refused = true;
        buffer_clear(&t->complaint);
        write_certificate(&t->complaint, certificate, 0);
        buffer_text(&t->complaint, TEXT(" is refused: it is made out to "));
        buffer_text(&t->complaint, seen.size ? buffer_as_text(&seen) : TEXT("nobody"));
        if (check.wanted)
                buffer_format(&t->complaint, ", not to \"%s\"", check.wanted);
        else
                buffer_text(&t->complaint, TEXT(", and none of these is a permitted peer"));
        buffer_text(&t->complaint, seen.size ? TEXT("; to let it in, add one of its names to the permitted peers")
                                             : TEXT("; it has to be made anew with a name"));
        return false;
}

static int verify_chain(X509_STORE_CTX *store) {
        X509_STORE_CTX_set_verify_cb(store, judge);
        return X509_verify_cert(store) > 0;
}

int tls_verify_peer(X509_STORE_CTX *store, void *material _unused_) {
        struct tls_openssl *t = of_store(store);
        const struct tls_rules *rules = t->material->rules;
        X509 *certificate = X509_STORE_CTX_get0_cert(store);
        if (rules->auth == TLS_ANON)
                return 1;
        if (rules->auth != TLS_FINGERPRINT && !verify_chain(store))
                return 0;
        /* The alert follows from the error: with these the peer hears that its certificate is what is wrong. */
        int error = X509_V_OK;
        if (rules->auth == TLS_FINGERPRINT && !has_fingerprint(rules, certificate)) {
                refuse_fingerprint(t, certificate);
                error = X509_V_ERR_CERT_REJECTED;
        } else if (rules->auth == TLS_NAME && !has_name(t, certificate)) {
                error = X509_V_ERR_HOSTNAME_MISMATCH;
        }
        X509_STORE_CTX_set_error(store, error);
        return error == X509_V_OK;
}
