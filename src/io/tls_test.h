/*
 * Certificates for tests: made anew in a directory of the test, with keys of P-256, which take a millisecond.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/test.h"

struct test_identity {
        EVP_PKEY *key;
        X509 *certificate;
};

/* What a certificate shall say. */
struct test_wish {
        const char *common_name;
        const char *alternatives;           /* "DNS:a.example.net,IP:192.0.2.1"; NULL: none */
        const char *usage;                  /* "serverAuth"; NULL: none */
        const struct test_identity *issuer; /* NULL: itself */
        bool is_authority;
        long from_s, until_s; /* around now; both 0: a day before to a day after */
};

static inline void test_extend(X509 *x, X509 *issuer, int nid, const char *value) {
        X509V3_CTX context;
        X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        CHECK(extension);
        X509_add_ext(x, extension, -1);
        X509_EXTENSION_free(extension);
}

static inline struct test_identity test_identity_make(const struct test_wish *wish) {
        static long serial = 1;
        struct test_identity made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
        X509 *x = made.certificate, *issuer = wish->issuer ? wish->issuer->certificate : x;
        CHECK(made.key && x);
        long from_s = wish->from_s || wish->until_s ? wish->from_s : -86400;
        long until_s = wish->from_s || wish->until_s ? wish->until_s : 86400;
        X509_set_version(x, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
        X509_gmtime_adj(X509_getm_notBefore(x), from_s);
        X509_gmtime_adj(X509_getm_notAfter(x), until_s);
        X509_set_pubkey(x, made.key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)wish->common_name, -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(issuer));
        test_extend(x, issuer, NID_basic_constraints, wish->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
        test_extend(x, issuer, NID_subject_key_identifier, "hash");
        if (wish->alternatives)
                test_extend(x, issuer, NID_subject_alt_name, wish->alternatives);
        if (wish->usage)
                test_extend(x, issuer, NID_ext_key_usage, wish->usage);
        CHECK(X509_sign(x, wish->issuer ? wish->issuer->key : made.key, EVP_sha256()) > 0);
        return made;
}

static inline void test_identity_drop(struct test_identity *identity) {
        EVP_PKEY_free(identity->key);
        X509_free(identity->certificate);
        *identity = (struct test_identity){0};
}

static inline void test_write_certificate(const char *path, const struct test_identity *identity) {
        FILE *file = fopen(path, "w");
        CHECK(file && PEM_write_X509(file, identity->certificate));
        fclose(file);
}

static inline void test_write_key(const char *path, const struct test_identity *identity) {
        FILE *file = fopen(path, "w");
        CHECK(file && PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL));
        fclose(file);
}

/* A list of revoked certificates by `issuer`, with `revoked` (NULL: none) on it. */
static inline void test_write_revocations(const char *path, const struct test_identity *issuer,
                                          const struct test_identity *revoked) {
        X509_CRL *list = X509_CRL_new();
        ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, 86400);
        X509_CRL_set_version(list, X509_CRL_VERSION_2);
        X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer->certificate));
        X509_CRL_set1_lastUpdate(list, now);
        X509_CRL_set1_nextUpdate(list, next);
        if (revoked) {
                X509_REVOKED *entry = X509_REVOKED_new();
                X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->certificate));
                X509_REVOKED_set_revocationDate(entry, now);
                X509_CRL_add0_revoked(list, entry);
        }
        CHECK(X509_CRL_sign(list, issuer->key, EVP_sha256()) > 0);
        FILE *file = fopen(path, "w");
        CHECK(file && PEM_write_X509_CRL(file, list));
        fclose(file);
        ASN1_TIME_free(now);
        ASN1_TIME_free(next);
        X509_CRL_free(list);
}
