#include "io/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "base/test.h"

/* Stands in for the C library's: the tests decide what the reverse zone says. */
static const char *reverse_zone;
static int questions;

int getnameinfo(const struct sockaddr *restrict peer, socklen_t size, char *restrict name, socklen_t room,
                char *restrict service, socklen_t service_size, int flags) {
        questions++;
        if (!reverse_zone)
                return EAI_NONAME;
        snprintf(name, room, "%s", reverse_zone);
        return 0;
}

static struct sockaddr_in v4(const char *address) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(514)};
        inet_pton(AF_INET, address, &in.sin_addr);
        return in;
}

static void start(const char *zone) {
        resolve_forget();
        resolve_configure(true, false, "example.net");
        reverse_zone = zone;
        questions = 0;
}

static void check_name(const char *address, const char *wanted) {
        struct sockaddr_in in = v4(address);
        _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in, sizeof in);
        CHECK(name);
        CHECK_TEXT(text_of(name), wanted);
}

static void a_name_is_asked_for_once(void) {
        start("web.example.org");
        check_name("192.0.2.1", "web.example.org");
        check_name("192.0.2.1", "web.example.org");
        CHECK_INT(questions, 1);
        check_name("192.0.2.2", "web.example.org");
        CHECK_INT(questions, 2);
}

static void having_no_name_is_remembered_too(void) {
        start(NULL);
        check_name("192.0.2.1", "192.0.2.1");
        check_name("192.0.2.1", "192.0.2.1");
        CHECK_INT(questions, 1);
}

static void with_names_off_the_address_stands(void) {
        start("web.example.org");
        resolve_configure(false, false, NULL);
        check_name("192.0.2.1", "192.0.2.1");
        CHECK_INT(questions, 0);
}

static void the_local_domain_is_cut_unless_kept(void) {
        start("Web.Example.NET");
        check_name("192.0.2.1", "web");
        resolve_configure(true, true, "example.net");
        check_name("192.0.2.1", "web.example.net");
        resolve_configure(true, false, "other.net");
        check_name("192.0.2.1", "web.example.net");
        CHECK_INT(questions, 1);
}

static void a_numeric_name_is_a_lie(void) {
        start("10.0.0.1");
        check_name("192.0.2.1", "192.0.2.1");
        start("0x7f.1");
        check_name("192.0.2.1", "192.0.2.1");
}

static void only_host_characters_pass(void) {
        static const char *const wrong[] = {"a b", "a/b", "..", "a\nb", "-rf", ".hidden", "a..b", "x\xff", "%n", ""};
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                start(wrong[i]);
                check_name("192.0.2.1", "192.0.2.1");
        }
        start("under_score-1.example");
        check_name("192.0.2.1", "under_score-1.example");
}

static void a_mapped_address_is_the_same_peer(void) {
        start("web.example.org");
        check_name("192.0.2.1", "web.example.org");
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr);
        _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in6, sizeof in6);
        CHECK_TEXT(text_of(name), "web.example.org");
        CHECK_INT(questions, 1);
}

static void a_peer_without_address_has_no_name(void) {
        start("web.example.org");
        struct sockaddr_storage none = {.ss_family = AF_UNIX};
        CHECK(!resolve_name((struct sockaddr *)&none, sizeof none));
        struct sockaddr_in in = v4("192.0.2.1");
        CHECK(!resolve_name((struct sockaddr *)&in, 4));
}

static void the_cache_forgets_the_oldest_beyond_its_bound(void) {
        start("n.example.org");
        for (int i = 0; i < RESOLVE_CACHE_MAX + 10; i++) {
                char address[32];
                snprintf(address, sizeof address, "10.1.%d.%d", i / 256, i % 256);
                check_name(address, "n.example.org");
        }
        CHECK_INT(questions, RESOLVE_CACHE_MAX + 10);
        check_name("10.1.0.200", "n.example.org");
        CHECK_INT(questions, RESOLVE_CACHE_MAX + 10);
        check_name("10.1.0.3", "n.example.org");
        CHECK_INT(questions, RESOLVE_CACHE_MAX + 11);
        resolve_forget();
}

TEST_MAIN(TEST(a_name_is_asked_for_once), TEST(having_no_name_is_remembered_too),
          TEST(with_names_off_the_address_stands), TEST(the_local_domain_is_cut_unless_kept),
          TEST(a_numeric_name_is_a_lie), TEST(only_host_characters_pass), TEST(a_mapped_address_is_the_same_peer),
          TEST(a_peer_without_address_has_no_name), TEST(the_cache_forgets_the_oldest_beyond_its_bound))
