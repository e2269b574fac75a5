#include "io/dns_ttl.h"

#include <errno.h>

#include "base/test.h"

/* "1.2.0.192.in-addr.arpa" PTR "a.example", TTL 300, and another with TTL 120. */
static const uint8_t names[] = "\x12\x34\x81\x80\0\1\0\2\0\0\0\0"
                               "\1"
                               "1\1"
                               "2\1"
                               "0\3"
                               "192\7in-addr\4arpa\0\0\xc\0\1"
                               "\xc0\xc\0\xc\0\1\0\0\1\x2c\0\xb\1a\7example\0"
                               "\xc0\xc\0\xc\0\1\0\0\0\x78\0\xb\1b\7example\0";

/* The same question, no such name: a SOA of TTL 900 whose minimum is 60. */
static const uint8_t none[] = "\x12\x34\x81\x83\0\1\0\0\0\1\0\0"
                              "\1"
                              "1\1"
                              "2\1"
                              "0\3"
                              "192\7in-addr\4arpa\0\0\xc\0\1"
                              "\xc0\x10\0\6\0\1\0\0\3\x84\0\x1c\2ns\0\2me\0"
                              "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c";

static void the_smallest_time_of_the_answers_counts(void) {
        CHECK_INT(dns_reply_ttl(names, sizeof names - 1), 120);
}

static void that_there_is_none_holds_as_long_as_the_zone_says(void) {
        CHECK_INT(dns_reply_ttl(none, sizeof none - 1), 60);
}

static void a_cut_reply_says_nothing(void) {
        for (size_t size = 0; size < sizeof names - 1; size++)
                CHECK(dns_reply_ttl(names, size) < 0);
        for (size_t size = 0; size < sizeof none - 1; size++)
                CHECK(dns_reply_ttl(none, size) < 0);
}

TEST_MAIN(TEST(the_smallest_time_of_the_answers_counts), TEST(that_there_is_none_holds_as_long_as_the_zone_says),
          TEST(a_cut_reply_says_nothing))
