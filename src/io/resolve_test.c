#include "io/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/test.h"

enum { PATIENCE_MS = 20000 };

/* Stands in for the C library's: the tests decide what the reverse zone says. */
static const char *reverse_zone;
static atomic_int questions;
static atomic_bool is_dead; /* the name server: no answer comes until it lives again */

int getnameinfo(const struct sockaddr *restrict peer, socklen_t size, char *restrict name, socklen_t room,
                char *restrict service, socklen_t service_size, int flags) {
        atomic_fetch_add(&questions, 1);
        while (atomic_load(&is_dead))
                sched_yield();
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
        resolve_configure(&(struct resolve_rules){.is_enabled = true, .local_domain = "example.net", .ttl_s = 3600});
        reverse_zone = zone;
        questions = 0;
}

static void check_name(const char *address, const char *wanted) {
        struct sockaddr_in in = v4(address);
        _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in, sizeof in, PATIENCE_MS, NULL, NULL);
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
        resolve_configure(&(struct resolve_rules){.local_domain = ""});
        check_name("192.0.2.1", "192.0.2.1");
        CHECK_INT(questions, 0);
}

static void the_local_domain_is_cut_unless_kept(void) {
        start("Web.Example.NET");
        check_name("192.0.2.1", "web");
        resolve_configure(&(struct resolve_rules){
                .is_enabled = true, .keeps_domain = true, .local_domain = "example.net", .ttl_s = 3600});
        check_name("192.0.2.1", "web.example.net");
        resolve_configure(&(struct resolve_rules){.is_enabled = true, .local_domain = "other.net", .ttl_s = 3600});
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
        _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in6, sizeof in6, PATIENCE_MS, NULL, NULL);
        CHECK_TEXT(text_of(name), "web.example.org");
        CHECK_INT(questions, 1);
}

static void a_peer_without_address_has_no_name(void) {
        start("web.example.org");
        struct sockaddr_storage none = {.ss_family = AF_UNIX};
        CHECK(!resolve_name((struct sockaddr *)&none, sizeof none, 0, NULL, NULL));
        struct sockaddr_in in = v4("192.0.2.1");
        CHECK(!resolve_name((struct sockaddr *)&in, 4, 0, NULL, NULL));
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

/* Asks without waiting, again until the answer is there. */
static enum resolved ask_until_known(struct sockaddr_in *in, int64_t *until_ns) {
        enum resolved what = RESOLVED_NOT_YET;
        for (int64_t give_up = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000);
             what == RESOLVED_NOT_YET && clock_mono_ns() < give_up; sched_yield())
                free(resolve_name((struct sockaddr *)in, sizeof *in, 0, &what, until_ns));
        return what;
}

static atomic_int answers;
static void count_answer(void *listener) {
        CHECK(listener == &answers);
        atomic_fetch_add(&answers, 1);
}

static void a_dead_name_server_keeps_nobody_waiting_for_long(void) {
        start("web.example.org");
        resolve_listen(count_answer, &answers);
        atomic_store(&is_dead, true);
        struct sockaddr_in in = v4("192.0.2.77");
        enum resolved what;
        _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in, sizeof in, 1, &what, NULL);
        CHECK_TEXT(text_of(name), "192.0.2.77");
        CHECK_INT(what, RESOLVED_NOT_YET);
        /* Who comes now is not asked to wait at all, however patient he is. */
        for (int i = 0; i < 2000; i++) {
                char address[32];
                snprintf(address, sizeof address, "10.9.%d.%d", i / 256, i % 256);
                struct sockaddr_in other = v4(address);
                _owned_(memory_free) char *shown =
                        resolve_name((struct sockaddr *)&other, sizeof other, PATIENCE_MS, &what, NULL);
                CHECK_TEXT(text_of(shown), address);
                CHECK_INT(what, RESOLVED_NOT_YET);
        }
        atomic_store(&is_dead, false);
        CHECK_INT(ask_until_known(&in, NULL), RESOLVED_NAME);
        CHECK(atomic_load(&answers) > 0);
        resolve_listen(NULL, NULL);
        struct sockaddr_in late = v4("10.9.7.200");
        CHECK_INT(ask_until_known(&late, NULL), RESOLVED_NAME);
}

static void an_answer_is_asked_for_again_when_its_time_is_over(void) {
        start("old.example.org");
        resolve_configure(&(struct resolve_rules){.is_enabled = true, .local_domain = "", .ttl_s = 1});
        struct sockaddr_in in = v4("192.0.2.1");
        int64_t until_ns;
        CHECK_INT(ask_until_known(&in, &until_ns), RESOLVED_NAME);
        reverse_zone = "new.example.org";
        CHECK(until_ns <= clock_mono_ns() + 1000000000);
        /* The old name stands until the new one is there, and nobody waits. */
        for (int64_t give_up = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000); clock_mono_ns() < give_up;
             sched_yield()) {
                _owned_(memory_free) char *name = resolve_name((struct sockaddr *)&in, sizeof in, 0, NULL, NULL);
                bool is_new = strcmp(name, "new.example.org") == 0;
                CHECK(is_new || strcmp(name, "old.example.org") == 0);
                if (is_new)
                        return;
        }
        CHECK(false);
}

TEST_MAIN(TEST(a_name_is_asked_for_once), TEST(having_no_name_is_remembered_too),
          TEST(with_names_off_the_address_stands), TEST(the_local_domain_is_cut_unless_kept),
          TEST(a_numeric_name_is_a_lie), TEST(only_host_characters_pass), TEST(a_mapped_address_is_the_same_peer),
          TEST(a_peer_without_address_has_no_name), TEST(the_cache_forgets_the_oldest_beyond_its_bound),
          TEST(a_dead_name_server_keeps_nobody_waiting_for_long),
          TEST(an_answer_is_asked_for_again_when_its_time_is_over))
