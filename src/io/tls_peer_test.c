#include "io/tls_peer.h"

#include <errno.h>

#include "base/test.h"

static bool is(const char *peer, const char *name) {
        return tls_peer_has_name(text_of(peer), text_of(name));
}

static void names_match_themselves_in_any_case(void) {
        CHECK(is("ada.example.net", "ADA.Example.net"));
        CHECK(!is("ada.example.net", "ada.example.org"));
        CHECK(!is("ada.example.net", "ada.example.net.org"));
        CHECK(!is("ada.example.net", "x.ada.example.net"));
        CHECK(!is("ada.example.net", ""));
        CHECK(!is("", "ada"));
}

static void a_star_is_one_label(void) {
        CHECK(is("*.example.net", "ada.example.net"));
        CHECK(!is("*.example.net", "example.net"));
        CHECK(!is("*.example.net", "a.b.example.net"));
        CHECK(!is("*.example.net", ".example.net"));
        CHECK(is("*", "ada"));
        CHECK(!is("*", "ada.net"));
        CHECK(is("a.*.net", "a.b.net"));
}

static void a_star_is_the_begin_or_end_of_a_label(void) {
        CHECK(is("srv*.example.net", "srv12.example.net"));
        CHECK(is("srv*.example.net", "srv.example.net"));
        CHECK(!is("srv*.example.net", "asrv.example.net"));
        CHECK(is("*srv.example.net", "mysrv.example.net"));
        CHECK(!is("*srv.example.net", "srv2.example.net"));
}

static void certificates_for_a_whole_domain_are_understood(void) {
        CHECK(is("log.example.net", "*.example.net"));
        CHECK(is("*.example.net", "*.example.net"));
        CHECK(!is("a.log.example.net", "*.example.net"));
        /* Neither for a top level domain, nor in the middle, nor against a pattern that is narrower. */
        CHECK(!is("example.net", "*.net"));
        CHECK(!is("log.a.net", "log.*.net"));
        CHECK(!is("srv*.example.net", "*.example.net"));
}

static void a_nul_in_a_name_deceives_nobody(void) {
        CHECK(!tls_peer_has_name(TEXT("ada.example.net"), TEXT("ada.example.net\0.evil.org")));
        CHECK(!tls_peer_has_name(TEXT("*.example.net"), TEXT("ada\0x.example.net")));
}

static void fingerprints_are_read_in_any_case_with_and_without_colons(void) {
        unsigned char digest[20];
        for (unsigned i = 0; i < sizeof digest; i++)
                digest[i] = (unsigned char)(i * 13);
        _owned_(buffer_fini) struct buffer words = {0};
        tls_peer_write_digest(&words, "SHA1", digest, sizeof digest);
        CHECK_TEXT(text_slice(buffer_as_text(&words), 0, 16), "SHA1:00:0D:1A:27");
        CHECK(tls_peer_has_digest(buffer_as_text(&words), "SHA1", digest, sizeof digest));
        CHECK(tls_peer_has_digest(TEXT("sha1:000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7"), "SHA1", digest,
                                  sizeof digest));
        CHECK(!tls_peer_has_digest(TEXT("SHA1:000d1a2734414e5b6875828f9ca9b6c3d0ddeaf8"), "SHA1", digest,
                                   sizeof digest));
        CHECK(!tls_peer_has_digest(TEXT("SHA256:000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7"), "SHA1", digest,
                                   sizeof digest));
        CHECK(!is("SHA1:000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7", "SHA1:000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7"));
}

static void addresses_match_in_any_spelling(void) {
        CHECK(tls_peer_has_address(TEXT("192.0.2.1"), (const unsigned char *)"\xc0\x00\x02\x01", 4));
        CHECK(!tls_peer_has_address(TEXT("192.0.2.2"), (const unsigned char *)"\xc0\x00\x02\x01", 4));
        CHECK(tls_peer_has_address(TEXT("0:0::1"), (const unsigned char *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16));
        CHECK(!tls_peer_has_address(TEXT("ada"), (const unsigned char *)"\xc0\x00\x02\x01", 4));
}

static void what_can_match_nobody_is_refused(void) {
        static const char *const bad[] = {"", "SHA1:12:34", "SHA256:zz", "srv*Fix.example.net", "a.**.net", "*a*.net"};
        static const char *const good[] = {"ada", "*.a", "srv*.a", "10.0.0.1",
                                           "SHA1:00:0D:1A:27:34:41:4E:5B:68:75:82:8F:9C:A9:B6:C3:D0:DD:EA:F7"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _owned_(buffer_fini) struct buffer complaint = {0};
                CHECK_INT(tls_peer_check(text_of(bad[i]), &complaint), -EINVAL);
                CHECK(complaint.size > 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                _owned_(buffer_fini) struct buffer complaint = {0};
                CHECK_INT(tls_peer_check(text_of(good[i]), &complaint), 0);
        }
        static char longest[TLS_PEER_BYTES_MAX + 1];
        memset(longest, 'a', sizeof longest);
        _owned_(buffer_fini) struct buffer complaint = {0};
        CHECK_INT(tls_peer_check((struct text){longest, TLS_PEER_BYTES_MAX}, &complaint), 0);
        CHECK_INT(tls_peer_check((struct text){longest, TLS_PEER_BYTES_MAX + 1}, &complaint), -EINVAL);
}

TEST_MAIN(TEST(names_match_themselves_in_any_case), TEST(a_star_is_one_label),
          TEST(a_star_is_the_begin_or_end_of_a_label), TEST(certificates_for_a_whole_domain_are_understood),
          TEST(a_nul_in_a_name_deceives_nobody), TEST(fingerprints_are_read_in_any_case_with_and_without_colons),
          TEST(addresses_match_in_any_spelling), TEST(what_can_match_nobody_is_refused))
