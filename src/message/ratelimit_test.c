#include "message/ratelimit.h"

#include <stdlib.h>

#include "base/test.h"

enum { SECOND = 1000000 };

static void without_an_interval_everything_passes(void) {
        struct ratelimit r = {.interval_s = 0, .burst = 1};
        uint64_t lost = 7;
        for (int i = 0; i < 100; i++)
                CHECK(ratelimit_pass(&r, SECOND + i, &lost));
        CHECK_INT(lost, 0);
}

static void a_burst_passes_and_the_rest_of_the_window_does_not(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 3};
        uint64_t lost;
        int passed = 0;
        for (int i = 0; i < 10; i++) {
                passed += ratelimit_pass(&r, 10 * SECOND + i, &lost);
                CHECK_INT(lost, 0);
        }
        CHECK_INT(passed, 3);
        CHECK(!ratelimit_pass(&r, 15 * SECOND - 1, &lost));
}

static void the_next_window_tells_what_the_last_one_lost(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 1};
        uint64_t lost;
        CHECK(ratelimit_pass(&r, 10 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 11 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 12 * SECOND, &lost));
        CHECK(ratelimit_pass(&r, 15 * SECOND, &lost));
        CHECK_INT(lost, 2);
        CHECK(ratelimit_pass(&r, 20 * SECOND, &lost));
        CHECK_INT(lost, 0);
}

static void a_clock_set_back_ends_the_window(void) {
        struct ratelimit r = {.interval_s = 5, .burst = 1};
        uint64_t lost;
        CHECK(ratelimit_pass(&r, 1000 * (int64_t)SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 1001 * (int64_t)SECOND, &lost));
        CHECK(ratelimit_pass(&r, 10 * SECOND, &lost));
        CHECK_INT(lost, 1);
}

static void a_burst_of_nothing_discards_everything(void) {
        struct ratelimit r = {.interval_s = 1, .burst = 0};
        uint64_t lost;
        CHECK(!ratelimit_pass(&r, SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 3 * SECOND, &lost));
        CHECK_INT(lost, 1);
}

static struct shared_limit *shared_of(struct ratelimit *r, size_t count, bool is_per_sender, size_t senders_max) {
        struct shared_limit *s;
        struct shared_limit_plan plan = {.name = "all",
                                         .interval_s = 5,
                                         .burst = 3,
                                         .severity_min = 4,
                                         .is_per_sender = is_per_sender,
                                         .senders_max = senders_max};
        CHECK_INT(shared_limit_new(&s, &plan), 0);
        for (size_t i = 0; i < count; i++)
                ratelimit_share(&r[i], s);
        return s;
}

static void inputs_that_share_a_limit_count_together(void) {
        struct ratelimit r[2];
        _owned_(shared_limit_free) struct shared_limit *s = shared_of(r, 2, false, 0);
        uint64_t lost;
        CHECK_INT(ratelimit_severity_min(&r[1]), 4);
        CHECK(ratelimit_pass(&r[0], 10 * SECOND, &lost));
        CHECK(ratelimit_pass(&r[1], 10 * SECOND, &lost));
        CHECK(ratelimit_pass_sender(&r[0], TEXT("192.0.2.1"), 10 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r[1], 11 * SECOND, &lost));
        CHECK_INT(r[1].discarded, 1);
        CHECK(!ratelimit_pass(&r[0], 12 * SECOND, &lost));
        CHECK_INT(r[0].discarded, 2);
        CHECK(ratelimit_pass(&r[1], 15 * SECOND, &lost));
        CHECK_INT(lost, 2);
        struct shared_limit_totals totals;
        shared_limit_count(s, &totals);
        CHECK_INT(totals.passed, 4);
        CHECK_INT(totals.discarded, 2);
        CHECK_INT(totals.senders, 0);
}

static void senders_are_kept_apart_where_asked_for(void) {
        struct ratelimit r[1];
        _owned_(shared_limit_free) struct shared_limit *s = shared_of(r, 1, true, 100);
        uint64_t lost;
        for (int i = 0; i < 5; i++)
                CHECK(ratelimit_pass_sender(r, TEXT("192.0.2.1"), 10 * SECOND, &lost) == (i < 3));
        for (int i = 0; i < 9; i++)
                CHECK(ratelimit_pass_sender(r, TEXT("192.0.2.2"), 10 * SECOND, &lost) == (i < 3));
        CHECK(ratelimit_pass_sender(r, TEXT("192.0.2.3"), 10 * SECOND, &lost));
        CHECK_INT(shared_limit_untold(s), 8);
        CHECK_INT(shared_limit_untold(s), 0);
        struct shared_limit_totals totals;
        shared_limit_count(s, &totals);
        CHECK_INT(totals.senders, 3);
        CHECK_INT(totals.discarded, 8);
        struct limited_sender worst[2];
        CHECK_INT(shared_limit_worst(s, worst, 2), 2);
        CHECK_TEXT(text_of(worst[0].name), "192.0.2.2");
        CHECK_INT(worst[0].discarded, 6);
        CHECK_TEXT(text_of(worst[1].name), "192.0.2.1");
        CHECK_INT(shared_limit_worst(s, worst, 1), 1);
        CHECK_TEXT(text_of(worst[0].name), "192.0.2.2");
}

static struct sender_rule *rule_of(const char *name, int64_t interval_s, int64_t burst) {
        struct sender_rule *rule = calloc(1, sizeof *rule);
        CHECK(rule);
        *rule = (struct sender_rule){text_copy(text_of(name)), interval_s, burst};
        return rule;
}

static void rules_change_while_windows_run(void) {
        struct shared_limit_plan plan = {.name = "all", .may_change = true};
        _owned_(shared_limit_free) struct shared_limit *s = NULL;
        CHECK_INT(shared_limit_new(&s, &plan), 0);
        struct ratelimit r;
        uint64_t lost;
        ratelimit_share(&r, s);
        CHECK(r.interval_s > 0); /* so that the input goes on asking */
        for (int i = 0; i < 10; i++)
                CHECK(ratelimit_pass(&r, 10 * SECOND, &lost));
        (void)shared_limit_change(s, &(struct limit_rules){.interval_s = 5, .burst = 2, .severity_min = 6});
        CHECK_INT(ratelimit_severity_min(&r), 6);
        for (int i = 0; i < 5; i++)
                CHECK(ratelimit_pass(&r, 11 * SECOND, &lost) == (i < 2));
        CHECK_INT(r.burst, 2);
        (void)shared_limit_change(s, &(struct limit_rules){.interval_s = 5, .burst = 4});
        CHECK(ratelimit_pass(&r, 12 * SECOND, &lost));
        CHECK(ratelimit_pass(&r, 12 * SECOND, &lost));
        CHECK(!ratelimit_pass(&r, 12 * SECOND, &lost));
}

static void a_thread_that_looked_at_the_clock_before_another_begins_no_window(void) {
        struct ratelimit r[2];
        struct shared_limit *s = shared_of(r, 2, false, 0);
        uint64_t lost;
        for (int i = 0; i < 10; i++)
                CHECK(ratelimit_pass(&r[i & 1], 10 * SECOND - (i & 1) * 4000, &lost) == (i < 3));
        CHECK(ratelimit_pass(&r[0], 5 * SECOND, &lost)); /* set back */
        shared_limit_free(s);
}

static void a_sender_may_have_a_rule_of_its_own(void) {
        struct shared_limit_plan plan = {.name = "all",
                                         .interval_s = 5,
                                         .burst = 3,
                                         .is_per_sender = true,
                                         .senders_max = 8,
                                         .may_change = true};
        _owned_(shared_limit_free) struct shared_limit *s = NULL;
        CHECK_INT(shared_limit_new(&s, &plan), 0);
        struct ratelimit r;
        uint64_t lost;
        ratelimit_share(&r, s);
        CHECK(ratelimit_pass_sender(&r, TEXT("a"), 10 * SECOND, &lost));
        struct limit_rules rules = {.is_per_sender = true,
                                    .senders_max = 8,
                                    .sender_interval_s = 5,
                                    .sender_burst = 3,
                                    .senders = rule_of("a", 5, 1),
                                    .sender_count = 1};
        CHECK_INT(shared_limit_change(s, &rules), 0);
        CHECK(!rules.senders);
        CHECK(!ratelimit_pass_sender(&r, TEXT("a"), 10 * SECOND, &lost));
        for (int i = 0; i < 5; i++)
                CHECK(ratelimit_pass_sender(&r, TEXT("b"), 10 * SECOND, &lost) == (i < 3));
        rules = (struct limit_rules){.is_per_sender = true,
                                     .senders_max = 8,
                                     .sender_interval_s = 5,
                                     .sender_burst = 3,
                                     .senders = rule_of("c", 0, 0),
                                     .sender_count = 1};
        CHECK_INT(shared_limit_change(s, &rules), 0);
        CHECK(ratelimit_pass_sender(&r, TEXT("a"), 10 * SECOND, &lost));
        for (int i = 0; i < 50; i++)
                CHECK(ratelimit_pass_sender(&r, TEXT("c"), 10 * SECOND, &lost));
}

static struct text first_word(struct sender_key *key _unused_, const struct limited_message *m,
                              const char *ruleset _unused_, int64_t now_us _unused_, char room[LIMIT_SENDER_BYTES]) {
        size_t size = MIN(strcspn(m->raw.data, " "), (size_t)LIMIT_SENDER_BYTES);
        memcpy(room, m->raw.data, size);
        return (struct text){room, size};
}

static void a_message_passes_the_limit_of_all_and_then_that_of_its_sender(void) {
        struct sender_key key = {.of_message = first_word};
        struct shared_limit_plan plan = {
                .name = "both", .may_change = true, .is_per_sender = true, .senders_max = 8, .key = &key};
        _owned_(shared_limit_free) struct shared_limit *s = NULL;
        CHECK_INT(shared_limit_new(&s, &plan), 0);
        struct limit_rules rules = {.interval_s = 5,
                                    .burst = 3,
                                    .is_per_sender = true,
                                    .senders_max = 8,
                                    .sender_interval_s = 5,
                                    .sender_burst = 1};
        CHECK_INT(shared_limit_change(s, &rules), 0);
        struct ratelimit r;
        uint64_t lost;
        ratelimit_share(&r, s);
        static const struct {
                const char *raw;
                bool passes;
        } sent[] = {{"a 1", true}, {"a 2", false}, {"b 1", true}, {"c 1", false}};
        for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
                struct limited_message m = {.raw = text_of(sent[i].raw)};
                CHECK(ratelimit_pass_message(&r, &m, 10 * SECOND, &lost) == sent[i].passes);
        }
        struct shared_limit_totals totals;
        shared_limit_count(s, &totals);
        CHECK_INT(totals.sender_passed, 2);
        CHECK_INT(totals.sender_discarded, 1);
        CHECK_INT(totals.discarded, 2);
        rules = (struct limit_rules){.interval_s = 5, .burst = 9};
        CHECK_INT(shared_limit_change(s, &rules), 0);
        for (int i = 0; i < 4; i++)
                CHECK(ratelimit_pass_message(&r, &(struct limited_message){.raw = TEXT("a 3")}, 11 * SECOND, &lost));
}

static void senders_that_are_known_are_bounded(void) {
        struct ratelimit r[1];
        _owned_(shared_limit_free) struct shared_limit *s = shared_of(r, 1, true, 16);
        uint64_t lost;
        for (int64_t i = 0; i < 1000; i++) {
                char name[100];
                snprintf(name, sizeof name, "%lld-%080d", (long long)i, 0);
                CHECK(ratelimit_pass_sender(r, text_of(name), 10 * SECOND + i, &lost));
        }
        struct shared_limit_totals totals;
        shared_limit_count(s, &totals);
        CHECK_INT(totals.senders, 16);
        CHECK_INT(totals.sender_evicted, 984);
}

static void who_waits_is_told_what_passes_now_and_how_long_the_rest_waits(void) {
        _owned_(shared_limit_free) struct shared_limit *s = NULL;
        CHECK_INT(shared_limit_new(&s, &(struct shared_limit_plan){.name = "s", .interval_s = 2, .burst = 5}), 0);
        int64_t start_us = 1000000000, wait_us = -1;
        CHECK_INT(shared_limit_grant(s, 3, start_us, &wait_us), 3);
        CHECK_INT(wait_us, 0);
        CHECK_INT(shared_limit_grant(s, 4, start_us + 500000, &wait_us), 2);
        CHECK_INT(wait_us, 1500000);
        CHECK_INT(shared_limit_grant(s, 2, start_us - 10, &wait_us), 0); /* a thread that was overtaken */
        CHECK_INT(shared_limit_grant(s, 2, start_us + 2000000, &wait_us), 2);
        CHECK_INT(wait_us, 0);
        struct shared_limit_totals totals;
        shared_limit_count(s, &totals);
        CHECK_INT(totals.passed, 7);
        CHECK_INT(totals.discarded, 0);
}

TEST_MAIN(TEST(who_waits_is_told_what_passes_now_and_how_long_the_rest_waits),
          TEST(without_an_interval_everything_passes), TEST(a_burst_passes_and_the_rest_of_the_window_does_not),
          TEST(the_next_window_tells_what_the_last_one_lost), TEST(a_clock_set_back_ends_the_window),
          TEST(a_burst_of_nothing_discards_everything), TEST(inputs_that_share_a_limit_count_together),
          TEST(senders_are_kept_apart_where_asked_for), TEST(senders_that_are_known_are_bounded),
          TEST(rules_change_while_windows_run), TEST(a_thread_that_looked_at_the_clock_before_another_begins_no_window),
          TEST(a_sender_may_have_a_rule_of_its_own),
          TEST(a_message_passes_the_limit_of_all_and_then_that_of_its_sender))
