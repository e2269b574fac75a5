#include "io/tls_priority.h"

#include <errno.h>
#include <stdbool.h>

#include "base/fail.h"

/* The sets that GnuTLS chooses from. */
enum kind { VERSION, EXCHANGE, CIPHER, MAC, GROUP, SIGNATURE, KINDS };

enum algorithm {
        TLS1_0,
        TLS1_1,
        TLS1_2,
        TLS1_3,
        ECDHE_ECDSA,
        ECDHE_RSA,
        DHE_RSA,
        RSA,
        ANON_ECDH,
        ANON_DH,
        AES_256_GCM,
        CHACHA20,
        AES_256_CCM,
        AES_256_CCM_8,
        AES_256_CBC,
        CAMELLIA_256_CBC,
        AES_128_GCM,
        AES_128_CCM,
        AES_128_CCM_8,
        AES_128_CBC,
        CAMELLIA_128_CBC,
        AEAD,
        SHA1,
        SHA256,
        SHA384,
        SECP256R1,
        SECP384R1,
        SECP521R1,
        X25519,
        X448,
        FFDHE2048,
        FFDHE3072,
        FFDHE4096,
        FFDHE6144,
        FFDHE8192,
        SIGN_RSA_SHA1,
        SIGN_RSA_SHA256,
        SIGN_RSA_SHA384,
        SIGN_RSA_SHA512,
        SIGN_PSS_SHA256,
        SIGN_PSS_SHA384,
        SIGN_PSS_SHA512,
        SIGN_ECDSA_SHA1,
        SIGN_ECDSA_SHA256,
        SIGN_ECDSA_SHA384,
        SIGN_ECDSA_SHA512,
        SIGN_ED25519,
        SIGN_ED448,
        ALGORITHMS,
};

/* As GnuTLS calls them (a second name where it has two), and as OpenSSL does where it knows them alone. */
static const struct {
        enum kind kind;
        const char *name, *alias, *openssl;
} algorithms[ALGORITHMS] = {
        [TLS1_0] = {VERSION, "VERS-TLS1.0", NULL, "TLSv1"},
        [TLS1_1] = {VERSION, "VERS-TLS1.1", NULL, "TLSv1.1"},
        [TLS1_2] = {VERSION, "VERS-TLS1.2", NULL, "TLSv1.2"},
        [TLS1_3] = {VERSION, "VERS-TLS1.3", NULL, "TLSv1.3"},
        [ECDHE_ECDSA] = {EXCHANGE, "ECDHE-ECDSA", NULL, NULL},
        [ECDHE_RSA] = {EXCHANGE, "ECDHE-RSA", NULL, NULL},
        [DHE_RSA] = {EXCHANGE, "DHE-RSA", NULL, NULL},
        [RSA] = {EXCHANGE, "RSA", NULL, NULL},
        [ANON_ECDH] = {EXCHANGE, "ANON-ECDH", NULL, NULL},
        [ANON_DH] = {EXCHANGE, "ANON-DH", NULL, NULL},
        [AES_256_GCM] = {CIPHER, "AES-256-GCM", NULL, "TLS_AES_256_GCM_SHA384"},
        [CHACHA20] = {CIPHER, "CHACHA20-POLY1305", NULL, "TLS_CHACHA20_POLY1305_SHA256"},
        [AES_256_CCM] = {CIPHER, "AES-256-CCM", NULL, NULL},
        [AES_256_CCM_8] = {CIPHER, "AES-256-CCM-8", NULL, NULL},
        [AES_256_CBC] = {CIPHER, "AES-256-CBC", NULL, NULL},
        [CAMELLIA_256_CBC] = {CIPHER, "CAMELLIA-256-CBC", NULL, NULL},
        [AES_128_GCM] = {CIPHER, "AES-128-GCM", NULL, "TLS_AES_128_GCM_SHA256"},
        [AES_128_CCM] = {CIPHER, "AES-128-CCM", NULL, "TLS_AES_128_CCM_SHA256"},
        [AES_128_CCM_8] = {CIPHER, "AES-128-CCM-8", NULL, "TLS_AES_128_CCM_8_SHA256"},
        [AES_128_CBC] = {CIPHER, "AES-128-CBC", NULL, NULL},
        [CAMELLIA_128_CBC] = {CIPHER, "CAMELLIA-128-CBC", NULL, NULL},
        [AEAD] = {MAC, "AEAD", NULL, NULL},
        [SHA1] = {MAC, "SHA1", NULL, NULL},
        [SHA256] = {MAC, "SHA256", NULL, NULL},
        [SHA384] = {MAC, "SHA384", NULL, NULL},
        [SECP256R1] = {GROUP, "GROUP-SECP256R1", "CURVE-SECP256R1", "P-256"},
        [SECP384R1] = {GROUP, "GROUP-SECP384R1", "CURVE-SECP384R1", "P-384"},
        [SECP521R1] = {GROUP, "GROUP-SECP521R1", "CURVE-SECP521R1", "P-521"},
        [X25519] = {GROUP, "GROUP-X25519", "CURVE-X25519", "X25519"},
        [X448] = {GROUP, "GROUP-X448", "CURVE-X448", "X448"},
        [FFDHE2048] = {GROUP, "GROUP-FFDHE2048", NULL, "ffdhe2048"},
        [FFDHE3072] = {GROUP, "GROUP-FFDHE3072", NULL, "ffdhe3072"},
        [FFDHE4096] = {GROUP, "GROUP-FFDHE4096", NULL, "ffdhe4096"},
        [FFDHE6144] = {GROUP, "GROUP-FFDHE6144", NULL, "ffdhe6144"},
        [FFDHE8192] = {GROUP, "GROUP-FFDHE8192", NULL, "ffdhe8192"},
        [SIGN_RSA_SHA1] = {SIGNATURE, "SIGN-RSA-SHA1", NULL, "RSA+SHA1"},
        [SIGN_RSA_SHA256] = {SIGNATURE, "SIGN-RSA-SHA256", NULL, "RSA+SHA256"},
        [SIGN_RSA_SHA384] = {SIGNATURE, "SIGN-RSA-SHA384", NULL, "RSA+SHA384"},
        [SIGN_RSA_SHA512] = {SIGNATURE, "SIGN-RSA-SHA512", NULL, "RSA+SHA512"},
        [SIGN_PSS_SHA256] = {SIGNATURE, "SIGN-RSA-PSS-SHA256", "SIGN-RSA-PSS-RSAE-SHA256", "rsa_pss_rsae_sha256"},
        [SIGN_PSS_SHA384] = {SIGNATURE, "SIGN-RSA-PSS-SHA384", "SIGN-RSA-PSS-RSAE-SHA384", "rsa_pss_rsae_sha384"},
        [SIGN_PSS_SHA512] = {SIGNATURE, "SIGN-RSA-PSS-SHA512", "SIGN-RSA-PSS-RSAE-SHA512", "rsa_pss_rsae_sha512"},
        [SIGN_ECDSA_SHA1] = {SIGNATURE, "SIGN-ECDSA-SHA1", NULL, "ECDSA+SHA1"},
        [SIGN_ECDSA_SHA256] = {SIGNATURE, "SIGN-ECDSA-SHA256", "SIGN-ECDSA-SECP256R1-SHA256", "ECDSA+SHA256"},
        [SIGN_ECDSA_SHA384] = {SIGNATURE, "SIGN-ECDSA-SHA384", "SIGN-ECDSA-SECP384R1-SHA384", "ECDSA+SHA384"},
        [SIGN_ECDSA_SHA512] = {SIGNATURE, "SIGN-ECDSA-SHA512", "SIGN-ECDSA-SECP521R1-SHA512", "ECDSA+SHA512"},
        [SIGN_ED25519] = {SIGNATURE, "SIGN-EDDSA-ED25519", NULL, "ed25519"},
        [SIGN_ED448] = {SIGNATURE, "SIGN-EDDSA-ED448", NULL, "ed448"},
};

/* The suites up to TLS 1.2 that OpenSSL has for them. */
static const struct {
        enum algorithm cipher, exchange, mac;
        const char *name;
} suites[] = {
        {AES_256_GCM, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {AES_256_GCM, ECDHE_RSA, AEAD, "ECDHE-RSA-AES256-GCM-SHA384"},
        {AES_256_GCM, DHE_RSA, AEAD, "DHE-RSA-AES256-GCM-SHA384"},
        {AES_256_GCM, RSA, AEAD, "AES256-GCM-SHA384"},
        {AES_256_GCM, ANON_DH, AEAD, "ADH-AES256-GCM-SHA384"},
        {CHACHA20, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {CHACHA20, ECDHE_RSA, AEAD, "ECDHE-RSA-CHACHA20-POLY1305"},
        {CHACHA20, DHE_RSA, AEAD, "DHE-RSA-CHACHA20-POLY1305"},
        {AES_256_CCM, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES256-CCM"},
        {AES_256_CCM, DHE_RSA, AEAD, "DHE-RSA-AES256-CCM"},
        {AES_256_CCM, RSA, AEAD, "AES256-CCM"},
        {AES_256_CCM_8, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES256-CCM8"},
        {AES_256_CCM_8, DHE_RSA, AEAD, "DHE-RSA-AES256-CCM8"},
        {AES_256_CCM_8, RSA, AEAD, "AES256-CCM8"},
        {AES_256_CBC, ECDHE_ECDSA, SHA384, "ECDHE-ECDSA-AES256-SHA384"},
        {AES_256_CBC, ECDHE_ECDSA, SHA1, "ECDHE-ECDSA-AES256-SHA"},
        {AES_256_CBC, ECDHE_RSA, SHA384, "ECDHE-RSA-AES256-SHA384"},
        {AES_256_CBC, ECDHE_RSA, SHA1, "ECDHE-RSA-AES256-SHA"},
        {AES_256_CBC, DHE_RSA, SHA256, "DHE-RSA-AES256-SHA256"},
        {AES_256_CBC, DHE_RSA, SHA1, "DHE-RSA-AES256-SHA"},
        {AES_256_CBC, RSA, SHA256, "AES256-SHA256"},
        {AES_256_CBC, RSA, SHA1, "AES256-SHA"},
        {AES_256_CBC, ANON_ECDH, SHA1, "AECDH-AES256-SHA"},
        {AES_256_CBC, ANON_DH, SHA256, "ADH-AES256-SHA256"},
        {AES_256_CBC, ANON_DH, SHA1, "ADH-AES256-SHA"},
        {CAMELLIA_256_CBC, ECDHE_ECDSA, SHA384, "ECDHE-ECDSA-CAMELLIA256-SHA384"},
        {CAMELLIA_256_CBC, ECDHE_RSA, SHA384, "ECDHE-RSA-CAMELLIA256-SHA384"},
        {CAMELLIA_256_CBC, DHE_RSA, SHA256, "DHE-RSA-CAMELLIA256-SHA256"},
        {CAMELLIA_256_CBC, DHE_RSA, SHA1, "DHE-RSA-CAMELLIA256-SHA"},
        {CAMELLIA_256_CBC, RSA, SHA256, "CAMELLIA256-SHA256"},
        {CAMELLIA_256_CBC, RSA, SHA1, "CAMELLIA256-SHA"},
        {AES_128_GCM, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {AES_128_GCM, ECDHE_RSA, AEAD, "ECDHE-RSA-AES128-GCM-SHA256"},
        {AES_128_GCM, DHE_RSA, AEAD, "DHE-RSA-AES128-GCM-SHA256"},
        {AES_128_GCM, RSA, AEAD, "AES128-GCM-SHA256"},
        {AES_128_GCM, ANON_DH, AEAD, "ADH-AES128-GCM-SHA256"},
        {AES_128_CCM, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES128-CCM"},
        {AES_128_CCM, DHE_RSA, AEAD, "DHE-RSA-AES128-CCM"},
        {AES_128_CCM, RSA, AEAD, "AES128-CCM"},
        {AES_128_CCM_8, ECDHE_ECDSA, AEAD, "ECDHE-ECDSA-AES128-CCM8"},
        {AES_128_CCM_8, DHE_RSA, AEAD, "DHE-RSA-AES128-CCM8"},
        {AES_128_CCM_8, RSA, AEAD, "AES128-CCM8"},
        {AES_128_CBC, ECDHE_ECDSA, SHA256, "ECDHE-ECDSA-AES128-SHA256"},
        {AES_128_CBC, ECDHE_ECDSA, SHA1, "ECDHE-ECDSA-AES128-SHA"},
        {AES_128_CBC, ECDHE_RSA, SHA256, "ECDHE-RSA-AES128-SHA256"},
        {AES_128_CBC, ECDHE_RSA, SHA1, "ECDHE-RSA-AES128-SHA"},
        {AES_128_CBC, DHE_RSA, SHA256, "DHE-RSA-AES128-SHA256"},
        {AES_128_CBC, DHE_RSA, SHA1, "DHE-RSA-AES128-SHA"},
        {AES_128_CBC, RSA, SHA256, "AES128-SHA256"},
        {AES_128_CBC, RSA, SHA1, "AES128-SHA"},
        {AES_128_CBC, ANON_ECDH, SHA1, "AECDH-AES128-SHA"},
        {AES_128_CBC, ANON_DH, SHA256, "ADH-AES128-SHA256"},
        {AES_128_CBC, ANON_DH, SHA1, "ADH-AES128-SHA"},
        {CAMELLIA_128_CBC, ECDHE_ECDSA, SHA256, "ECDHE-ECDSA-CAMELLIA128-SHA256"},
        {CAMELLIA_128_CBC, ECDHE_RSA, SHA256, "ECDHE-RSA-CAMELLIA128-SHA256"},
        {CAMELLIA_128_CBC, DHE_RSA, SHA256, "DHE-RSA-CAMELLIA128-SHA256"},
        {CAMELLIA_128_CBC, DHE_RSA, SHA1, "DHE-RSA-CAMELLIA128-SHA"},
        {CAMELLIA_128_CBC, RSA, SHA256, "CAMELLIA128-SHA256"},
        {CAMELLIA_128_CBC, RSA, SHA1, "CAMELLIA128-SHA"},
};

/* What the words have left so far. */
struct priority {
        enum algorithm chosen[KINDS][ALGORITHMS]; /* in the order of preference */
        size_t count[KINDS];
        bool is_touched[KINDS]; /* what OpenSSL takes by itself is not good enough any more */
        bool client_chooses, renegotiates, no_etm;
        int level; /* of OpenSSL's security; -1: as it comes */
};

/* ---- Sets --------------------------------------------------------------- */

static void drop(struct priority *p, enum algorithm algorithm) {
        enum kind kind = algorithms[algorithm].kind;
        size_t kept = 0;
        for (size_t i = 0; i < p->count[kind]; i++)
                if (p->chosen[kind][i] != algorithm)
                        p->chosen[kind][kept++] = p->chosen[kind][i];
        p->count[kind] = kept;
        p->is_touched[kind] = true;
}

static bool has(const struct priority *p, enum algorithm algorithm) {
        enum kind kind = algorithms[algorithm].kind;
        for (size_t i = 0; i < p->count[kind]; i++)
                if (p->chosen[kind][i] == algorithm)
                        return true;
        return false;
}

static void add(struct priority *p, enum algorithm algorithm) {
        enum kind kind = algorithms[algorithm].kind;
        p->is_touched[kind] = true;
        if (!has(p, algorithm))
                p->chosen[kind][p->count[kind]++] = algorithm;
}

static void clear(struct priority *p, enum kind kind) {
        p->count[kind] = 0;
        p->is_touched[kind] = true;
}

/* ---- Keywords ------------------------------------------------------------ */

enum { SET_BYTES_MAX = 32 };

/*
 * What a keyword stands for, each set ended by ALGORITHMS. Versions below 1.2 are not in NORMAL: who needs them
 * says so, or LEGACY.
 */
#define END              ALGORITHMS
#define NORMAL_EXCHANGES ECDHE_ECDSA, ECDHE_RSA, DHE_RSA, RSA
#define NORMAL_CIPHERS   AES_256_GCM, CHACHA20, AES_256_CCM, AES_256_CBC, AES_128_GCM, AES_128_CCM, AES_128_CBC
#define NORMAL_GROUPS    X25519, SECP256R1, SECP384R1, SECP521R1, X448, FFDHE2048, FFDHE3072, FFDHE4096
static const struct keyword {
        const char *name;
        bool is_plain; /* OpenSSL's own choice serves as well */
        unsigned char sets[SET_BYTES_MAX];
        unsigned char groups[16];
} keywords[] = {
        {"NORMAL",
         true,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"SYSTEM",
         true,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"SECURE128",
         false,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"SECURE",
         false,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"SECURE192",
         false,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, AES_256_GCM, CHACHA20, AES_256_CCM, AES_256_CBC, AEAD, SHA1, SHA256, SHA384,
          END},
         {SECP384R1, SECP521R1, X448, FFDHE8192, END}},
        {"SECURE256",
         false,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, AES_256_GCM, CHACHA20, AES_256_CCM, AES_256_CBC, AEAD, SHA1, SHA256, SHA384,
          END},
         {SECP521R1, FFDHE8192, END}},
        {"PFS",
         false,
         {TLS1_3, TLS1_2, ECDHE_ECDSA, ECDHE_RSA, DHE_RSA, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"PERFORMANCE",
         false,
         {TLS1_3, TLS1_2, NORMAL_EXCHANGES, AES_128_GCM, AES_256_GCM, CHACHA20, AES_128_CCM, AES_256_CCM, AES_128_CBC,
          AES_256_CBC, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"LEGACY",
         false,
         {TLS1_3, TLS1_2, TLS1_1, TLS1_0, NORMAL_EXCHANGES, NORMAL_CIPHERS, AEAD, SHA1, SHA256, SHA384, END},
         {NORMAL_GROUPS, END}},
        {"SUITEB128",
         false,
         {TLS1_2, ECDHE_ECDSA, AES_128_GCM, AES_256_GCM, AEAD, SIGN_ECDSA_SHA256, SIGN_ECDSA_SHA384, END},
         {SECP256R1, SECP384R1, END}},
        {"SUITEB192", false, {TLS1_2, ECDHE_ECDSA, AES_256_GCM, AEAD, SIGN_ECDSA_SHA384, END}, {SECP384R1, END}},
        {"NONE", false, {END}, {END}},
};

static void take_keyword(struct priority *p, const struct keyword *keyword) {
        for (size_t i = 0; keyword->sets[i] != END; i++)
                add(p, (enum algorithm)keyword->sets[i]);
        for (size_t i = 0; keyword->groups[i] != END; i++)
                add(p, (enum algorithm)keyword->groups[i]);
        for (int kind = 0; kind < KINDS; kind++)
                p->is_touched[kind] = !keyword->is_plain;
        /* A level without signatures of its own leaves them as they come. */
        if (p->count[SIGNATURE] == 0)
                p->is_touched[SIGNATURE] = false;
}

static const struct keyword *find_keyword(struct text word) {
        for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
                if (text_equal_nocase(word, text_of(keywords[i].name)))
                        return &keywords[i];
        return NULL;
}

/* ---- Words -------------------------------------------------------------- */

/* "+VERS-ALL" and its like. Signatures: OpenSSL's own choice. */
static bool take_all(struct priority *p, struct text name, bool is_added) {
        static const struct {
                const char *name;
                enum kind kind;
        } names[] = {
                {"VERS-ALL", VERSION}, {"VERS-TLS-ALL", VERSION}, {"KX-ALL", EXCHANGE}, {"CIPHER-ALL", CIPHER},
                {"MAC-ALL", MAC},      {"GROUP-ALL", GROUP},      {"CURVE-ALL", GROUP}, {"SIGN-ALL", SIGNATURE},
        };
        static const enum algorithm unsafe[] = {ANON_ECDH, ANON_DH, SIGN_RSA_SHA1, SIGN_ECDSA_SHA1};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!text_equal_nocase(name, text_of(names[i].name)))
                        continue;
                clear(p, names[i].kind);
                for (int a = 0; is_added && a < ALGORITHMS; a++)
                        if (algorithms[a].kind == names[i].kind)
                                add(p, (enum algorithm)a);
                for (size_t a = 0; is_added && a < ARRAY_SIZE(unsafe); a++)
                        if (algorithms[unsafe[a]].kind == names[i].kind)
                                drop(p, unsafe[a]);
                return true;
        }
        return false;
}

/* What has no meaning here and does no harm: compression, kinds of certificates, DTLS, dead algorithms. */
static bool is_harmless(struct text name, bool is_added) {
        static const char *const heads[] = {"COMP-", "CTYPE-", "CTYPE-CLI-", "CTYPE-SRV-", "VERS-DTLS"};
        static const char *const dead[] = {
                "VERS-SSL3.0",
                "ARCFOUR-128",
                "3DES-CBC",
                "MD5",
                "DHE-DSS",
                "SRP",
                "SRP-RSA",
                "SRP-DSS",
                "PSK",
                "DHE-PSK",
                "ECDHE-PSK",
                "RSA-PSK",
                "NULL",
                "DES-CBC",
                "RC2-40",
                "GROUP-DH-ALL",
                "SHA512",
                "SIGN-RSA-MD5",
                "GROUP-EC-ALL",
                "CURVE-SECP192R1",
                "CURVE-SECP224R1",
                "GROUP-SECP192R1",
                "GROUP-SECP224R1",
                "SIGN-DSA-SHA1",
                "SIGN-DSA-SHA256",
                "ARCFOUR-40",
                "SIGN-GOST12-256",
                "RSA-EXPORT",
                "AES-256-CBC-SHA384",
        };
        for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
                if (text_starts_nocase(name, text_of(heads[i])))
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(dead) && !is_added; i++)
                if (text_equal_nocase(name, text_of(dead[i])))
                        return true;
        return false;
}

static int take_algorithm(struct priority *p, struct text name, bool is_added, struct buffer *complaint) {
        if (take_all(p, name, is_added))
                return 0;
        for (int a = 0; a < ALGORITHMS; a++)
                if (text_equal_nocase(name, text_of(algorithms[a].name)) ||
                    (algorithms[a].alias && text_equal_nocase(name, text_of(algorithms[a].alias)))) {
                        if (is_added)
                                add(p, (enum algorithm)a);
                        else
                                drop(p, (enum algorithm)a);
                        return 0;
                }
        if (is_harmless(name, is_added))
                return 0;
        const char *names[ALGORITHMS];
        for (int a = 0; a < ALGORITHMS; a++)
                names[a] = algorithms[a].name;
        const char *closest = text_closest(name, names, ALGORITHMS);
        buffer_format(complaint, "the priority string names \"%.*s\", which this TLS library does not have",
                      TEXT_ARGS(name));
        if (closest)
                buffer_format(complaint, "; did you mean %s?", closest);
        return fail(-EINVAL);
}

static int take_flag(struct priority *p, struct text name, struct buffer *complaint) {
        static const struct {
                const char *name;
                int level;
        } levels[] = {
                {"PROFILE_VERY_WEAK", 0}, {"PROFILE_LOW", 1},       {"PROFILE_LEGACY", 1},
                {"PROFILE_MEDIUM", 2},    {"PROFILE_HIGH", 3},      {"PROFILE_ULTRA", 4},
                {"PROFILE_FUTURE", 5},    {"PROFILE_SUITEB128", 3}, {"PROFILE_SUITEB192", 4},
        };
        static const char *const harmless[] = {
                "COMPAT",
                "SERVER_PRECEDENCE",
                "SAFE_RENEGOTIATION",
                "PARTIAL_RENEGOTIATION",
                "NO_TICKETS",
                "NO_SESSION_HASH",
                "DUMBFW",
                "FALLBACK_SCSV",
                "LATEST_RECORD_VERSION",
                "SSL3_RECORD_VERSION",
                "VERIFY_ALLOW_SIGN_RSA_MD5",
                "NO_SHUFFLE_EXTENSIONS",
                "VERIFY_ALLOW_SIGN_WITH_SHA1",
                "VERIFY_ALLOW_BROKEN",
                "VERIFY_DISABLE_CRL_CHECKS",
                "FORCE_ETM",
                "NO_TICKETS_TLS12",
                "STATELESS_COMPRESSION",
                "ALLOW_SMALL_RECORDS",
                "FORCE_SESSION_HASH",
                "DISABLE_TLS13_COMPAT_MODE",
                "DISABLE_WILDCARDS",
        };
        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (text_equal_nocase(name, text_of(levels[i].name))) {
                        p->level = levels[i].level;
                        return 0;
                }
        if (text_equal_nocase(name, TEXT("CLIENT_PRECEDENCE")))
                p->client_chooses = true;
        else if (text_equal_nocase(name, TEXT("UNSAFE_RENEGOTIATION")))
                p->renegotiates = true;
        else if (text_equal_nocase(name, TEXT("NO_ETM")))
                p->no_etm = true;
        else {
                for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
                        if (text_equal_nocase(name, text_of(harmless[i])))
                                return 0;
                buffer_format(complaint, "the priority string has the flag \"%%%.*s\", which is unknown here",
                              TEXT_ARGS(name));
                return fail(-EINVAL);
        }
        return 0;
}

static int take_word(struct priority *p, struct text word, bool is_first, struct buffer *complaint) {
        struct text rest = text_slice(word, 1, word.size);
        switch (word.data[0]) {
        case '+':
        case '-':
        case '!': {
                bool is_added = word.data[0] == '+';
                const struct keyword *keyword = find_keyword(rest);
                /* "NORMAL:+SECURE192" and "-..." of a whole level are rare, and clear enough. */
                if (keyword && is_added) {
                        take_keyword(p, keyword);
                        for (int kind = 0; kind < SIGNATURE; kind++)
                                p->is_touched[kind] = true;
                        return 0;
                }
                return pass(take_algorithm(p, rest, is_added, complaint));
        }
        case '%':
                return pass(take_flag(p, rest, complaint));
        case '@':
                take_keyword(p, &keywords[0]);
                return 0;
        default:
                break;
        }
        const struct keyword *keyword = is_first ? find_keyword(word) : NULL;
        if (keyword) {
                take_keyword(p, keyword);
                return 0;
        }
        buffer_format(complaint,
                      is_first ? "the priority string begins with \"%.*s\"; a level must stand there, as NORMAL, "
                                 "SECURE128 or NONE, or it must be OpenSSL commands, as MinProtocol=TLSv1.3"
                               : "the priority string has \"%.*s\" without +, - or %% before it",
                      TEXT_ARGS(word));
        return fail(-EINVAL);
}

/* ---- Commands ----------------------------------------------------------- */

/* The names of a set, joined. */
static void write_set(struct buffer *to, const struct priority *p, enum kind kind, const char *command) {
        bool is_first = true;
        for (size_t i = 0; i < p->count[kind]; i++) {
                const char *name = algorithms[p->chosen[kind][i]].openssl;
                if (!name)
                        continue;
                buffer_format(to, "%s%s%s", is_first ? command : "", is_first ? "=" : ":", name);
                is_first = false;
        }
        if (!is_first)
                buffer_byte(to, '\n');
}

static int write_versions(struct buffer *to, const struct priority *p, struct buffer *complaint) {
        int lowest = -1, highest = -1;
        for (int a = TLS1_0; a <= TLS1_3; a++)
                if (has(p, (enum algorithm)a)) {
                        lowest = lowest < 0 ? a : lowest;
                        highest = a;
                }
        if (lowest < 0) {
                buffer_text(complaint, TEXT("the priority string leaves no version of TLS; add one, as +VERS-TLS1.3"));
                return fail(-EINVAL);
        }
        buffer_format(to, "MinProtocol=%s\nMaxProtocol=%s\n", algorithms[lowest].openssl, algorithms[highest].openssl);
        for (int a = lowest + 1; a < highest; a++)
                if (!has(p, (enum algorithm)a))
                        buffer_format(to, "Protocol=-%s\n", algorithms[a].openssl);
        return 0;
}

/* Old versions and suites without a certificate are below what OpenSSL takes for safe. */
static int level_of(const struct priority *p) {
        if (p->level >= 0)
                return p->level;
        bool is_weak = has(p, TLS1_0) || has(p, TLS1_1) || has(p, ANON_DH) || has(p, ANON_ECDH);
        return is_weak ? 0 : -1;
}

static size_t write_suites(struct buffer *to, const struct priority *p) {
        size_t count = 0;
        for (size_t c = 0; c < p->count[CIPHER]; c++)
                for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
                        if (suites[i].cipher == p->chosen[CIPHER][c] && has(p, suites[i].exchange) &&
                            has(p, suites[i].mac))
                                buffer_format(to, "%s%s", count++ ? ":" : "CipherString=", suites[i].name);
        return count;
}

static int write_ciphers(struct buffer *to, const struct priority *p, struct buffer *complaint) {
        bool has_old = has(p, TLS1_0) || has(p, TLS1_1) || has(p, TLS1_2), has_13 = has(p, TLS1_3);
        int level = level_of(p);
        bool is_chosen = p->is_touched[CIPHER] || p->is_touched[EXCHANGE] || p->is_touched[MAC];
        size_t count = 0;
        if (is_chosen && has_old)
                count = write_suites(to, p);
        if (count && level >= 0)
                buffer_format(to, ":@SECLEVEL=%d\n", level);
        else if (count)
                buffer_byte(to, '\n');
        else if (level >= 0)
                buffer_format(to, "CipherString=DEFAULT:@SECLEVEL=%d\n", level);
        if (!is_chosen)
                return 0;
        size_t before = to->size;
        if (has_13)
                write_set(to, p, CIPHER, "Ciphersuites");
        bool has_13_suite = to->size > before;
        if ((has_old && !count && !has_13_suite) || (!has_old && !has_13_suite)) {
                buffer_text(complaint, TEXT("the priority string leaves no cipher for the versions of TLS that it "
                                            "allows: it needs a key exchange, a cipher and a MAC that go together"));
                return fail(-EINVAL);
        }
        return 0;
}

static int write_commands(struct buffer *to, const struct priority *p, struct buffer *complaint) {
        int r = p->is_touched[VERSION] ? write_versions(to, p, complaint) : 0;
        if (r == 0)
                r = write_ciphers(to, p, complaint);
        if (r)
                return pass(r);
        if (p->is_touched[GROUP])
                write_set(to, p, GROUP, "Groups");
        if (p->is_touched[SIGNATURE])
                write_set(to, p, SIGNATURE, "SignatureAlgorithms");
        if (p->client_chooses)
                buffer_text(to, TEXT("Options=-ServerPreference\n"));
        if (p->renegotiates)
                buffer_text(to, TEXT("Options=UnsafeLegacyRenegotiation\n"));
        if (p->no_etm)
                buffer_text(to, TEXT("Options=-EncryptThenMac\n"));
        return buffer_failed(to) ? fail(-ENOMEM) : 0;
}

/* ---- Both dialects ------------------------------------------------------ */

/* Cuts off what stands before the next of `separators`, trimmed. */
static struct text next_part(struct text *rest, const char *separators) {
        size_t size = 0;
        while (size < rest->size && !strchr(separators, rest->data[size]))
                size++;
        struct text part = text_trim(text_slice(*rest, 0, size));
        *rest = text_slice(*rest, size + 1, rest->size);
        return part;
}

static int take_commands(struct text commands, struct buffer *to, struct buffer *complaint) {
        for (int count = 0; commands.size; count++) {
                struct text line = next_part(&commands, "\n\r");
                if (line.size == 0)
                        continue;
                const char *equals = memchr(line.data, '=', line.size);
                size_t name_size = equals ? (size_t)(equals - line.data) : 0;
                if (name_size == 0 || count >= TLS_PRIORITY_WORDS_MAX) {
                        buffer_format(complaint,
                                      "\"%.*s\" is no OpenSSL command: they are written as Command=value, one on a "
                                      "line, %d at most",
                                      TEXT_ARGS(line), TLS_PRIORITY_WORDS_MAX);
                        return fail(-EINVAL);
                }
                buffer_text(to, text_trim(text_slice(line, 0, name_size)));
                buffer_byte(to, '=');
                buffer_text(to, text_trim(text_slice(line, name_size + 1, line.size)));
                buffer_byte(to, '\n');
        }
        return buffer_failed(to) ? fail(-ENOMEM) : 0;
}

static int take_string(struct text string, struct buffer *to, struct buffer *complaint) {
        struct priority p = {.level = -1};
        bool is_first = true;
        for (int count = 0; string.size; count++) {
                struct text word = next_part(&string, ":");
                if (word.size == 0)
                        continue;
                if (count >= TLS_PRIORITY_WORDS_MAX) {
                        buffer_format(complaint, "the priority string has more than %d words", TLS_PRIORITY_WORDS_MAX);
                        return fail(-EINVAL);
                }
                int r = take_word(&p, word, is_first, complaint);
                if (r)
                        return pass(r);
                is_first = false;
        }
        return is_first ? 0 : pass(write_commands(to, &p, complaint));
}

int tls_priority_translate(struct text priority, struct buffer *commands, struct buffer *complaint) {
        priority = text_trim(priority);
        if (priority.size == 0)
                return 0;
        if (priority.size > TLS_PRIORITY_BYTES_MAX || memchr(priority.data, '\0', priority.size)) {
                buffer_format(complaint, "a priority string has at most %d characters", TLS_PRIORITY_BYTES_MAX);
                return fail(-EINVAL);
        }
        /* No word of GnuTLS has an equals sign, and every command of OpenSSL does. */
        bool is_commands = memchr(priority.data, '=', priority.size);
        return pass(is_commands ? take_commands(priority, commands, complaint)
                                : take_string(priority, commands, complaint));
}
