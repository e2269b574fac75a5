#include "io/tls_priority.h"

#include <errno.h>

#include "base/test.h"

/* What becomes of a priority string; "!" and the complaint where it is refused. Valid until the next call. */
static struct text of(const char *priority) {
        static struct buffer commands;
        _owned_(buffer_fini) struct buffer complaint = {0};
        buffer_clear(&commands);
        if (tls_priority_translate(text_of(priority), &commands, &complaint)) {
                buffer_clear(&commands);
                buffer_byte(&commands, '!');
                buffer_text(&commands, buffer_as_text(&complaint));
        }
        return buffer_as_text(&commands);
}

static void what_is_normal_is_left_to_the_library(void) {
        CHECK_TEXT(of(""), "");
        CHECK_TEXT(of("NORMAL"), "");
        CHECK_TEXT(of("normal:%COMPAT:%SERVER_PRECEDENCE:+COMP-ALL:-VERS-SSL3.0:-ARCFOUR-128"), "");
        CHECK_TEXT(of("@SYSTEM"), "");
}

static void versions_are_bounds_with_holes(void) {
        CHECK_TEXT(of("NORMAL:-VERS-ALL:+VERS-TLS1.3"), "MinProtocol=TLSv1.3\nMaxProtocol=TLSv1.3\n");
        CHECK_TEXT(of("NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2:+VERS-TLS1.3"), "MinProtocol=TLSv1.2\nMaxProtocol=TLSv1.3\n");
        CHECK_TEXT(of("NORMAL:+VERS-TLS1.0:-VERS-TLS1.3"),
                   "MinProtocol=TLSv1\nMaxProtocol=TLSv1.2\nProtocol=-TLSv1.1\nCipherString=DEFAULT:@SECLEVEL=0\n");
        CHECK(text_starts(of("NORMAL:-VERS-ALL"), TEXT("!the priority string leaves no version")));
}

static void ciphers_are_looked_up_in_their_order(void) {
        CHECK_TEXT(of("NONE:+VERS-TLS1.2:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:+AEAD"),
                   "MinProtocol=TLSv1.2\nMaxProtocol=TLSv1.2\n"
                   "CipherString=ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384\n");
        CHECK_TEXT(of("SECURE256:-CIPHER-ALL:+AES-256-GCM:-VERS-TLS1.2:-CURVE-ALL:+CURVE-X25519"),
                   "MinProtocol=TLSv1.3\nMaxProtocol=TLSv1.3\nCiphersuites=TLS_AES_256_GCM_SHA384\nGroups=X25519\n");
        CHECK(text_find(of("PFS"), TEXT("CipherString=ECDHE-ECDSA-AES256-GCM-SHA384:")) >= 0);
        CHECK(text_find(of("PFS"), TEXT(":AES256-GCM-SHA384")) < 0);
        CHECK(text_find(of("SECURE128"), TEXT(":AES256-GCM-SHA384")) > 0);
        CHECK(text_starts(of("NORMAL:-CIPHER-ALL"), TEXT("!the priority string leaves no cipher")));
        CHECK(text_find(of("NORMAL:+ANON-ECDH:+ANON-DH"), TEXT("ADH-AES256-GCM-SHA384")) > 0);
        CHECK(text_find(of("NORMAL:+ANON-ECDH:+ANON-DH"), TEXT(":@SECLEVEL=0\n")) > 0);
}

static void groups_signatures_and_flags_have_commands(void) {
        CHECK_TEXT(of("NORMAL:-GROUP-ALL:+GROUP-SECP384R1:+GROUP-FFDHE3072"), "Groups=P-384:ffdhe3072\n");
        CHECK_TEXT(of("NORMAL:-SIGN-ALL:+SIGN-RSA-SHA256:+SIGN-ECDSA-SHA384"),
                   "SignatureAlgorithms=RSA+SHA256:ECDSA+SHA384\n");
        CHECK_TEXT(of("NORMAL:%PROFILE_HIGH:%NO_ETM:%UNSAFE_RENEGOTIATION:%CLIENT_PRECEDENCE"),
                   "CipherString=DEFAULT:@SECLEVEL=3\nOptions=-ServerPreference\n"
                   "Options=UnsafeLegacyRenegotiation\nOptions=-EncryptThenMac\n");
}

static void openssl_commands_stay_what_they_are(void) {
        CHECK_TEXT(of("Protocol=ALL,-SSLv2,-SSLv3,-TLSv1\n  MinProtocol = TLSv1.2 \n\n"),
                   "Protocol=ALL,-SSLv2,-SSLv3,-TLSv1\nMinProtocol=TLSv1.2\n");
        CHECK(text_starts(of("MinProtocol=TLSv1.2\nhello"), TEXT("!\"hello\" is no OpenSSL command")));
        CHECK(text_starts(of("=x"), TEXT("!\"=x\" is no OpenSSL command")));
}

static void mistakes_are_named(void) {
        CHECK_TEXT(of("NORMAL:+AES-256-GCN"), "!the priority string names \"AES-256-GCN\", which this TLS library does "
                                              "not have; did you mean AES-256-GCM?");
        CHECK(text_starts(of("NORMAL:+PSK"), TEXT("!the priority string names \"PSK\"")));
        CHECK(text_starts(of("NORMLA"), TEXT("!the priority string begins with \"NORMLA\"")));
        CHECK(text_starts(of("NORMAL:AES-128-GCM"), TEXT("!the priority string has \"AES-128-GCM\" without +")));
        CHECK(text_starts(of("NORMAL:%FROB"), TEXT("!the priority string has the flag \"%FROB\"")));
}

static void lengths_are_bounded(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_text(&text, TEXT("NORMAL"));
        for (int i = 1; i < TLS_PRIORITY_WORDS_MAX; i++)
                buffer_text(&text, TEXT(":%COMPAT"));
        CHECK_TEXT(of(buffer_string(&text)), "");
        buffer_text(&text, TEXT(":%COMPAT"));
        CHECK_TEXT(of(buffer_string(&text)), "!the priority string has more than 256 words");
        while (text.size <= TLS_PRIORITY_BYTES_MAX)
                buffer_byte(&text, ':');
        CHECK_TEXT(of(buffer_string(&text)), "!a priority string has at most 8192 characters");
}

TEST_MAIN(TEST(what_is_normal_is_left_to_the_library), TEST(versions_are_bounds_with_holes),
          TEST(ciphers_are_looked_up_in_their_order), TEST(groups_signatures_and_flags_have_commands),
          TEST(openssl_commands_stay_what_they_are), TEST(mistakes_are_named), TEST(lengths_are_bounded))
