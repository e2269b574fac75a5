#include "daemon/limit_policy.h"

#include <errno.h>

#include "base/test.h"

static struct limit_policy own(void) {
        return (struct limit_policy){.rules = {.interval_s = 5, .burst = 7, .severity_min = 3, .senders_max = 10},
                                     .senders_shown = 2};
}

/* Expects one mistake: its place, and how its words begin. */
static void expect_mistake(int (*read)(struct limit_policy *, const char *, struct text, struct diagnostics *),
                           const char *text, unsigned line, unsigned column, const char *words) {
        _owned_(limit_policy_fini) struct limit_policy policy = own();
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        CHECK_INT(read(&policy, "p.yaml", text_of(text), &told), -EBADMSG);
        CHECK_INT(policy.rules.interval_s, 5);
        CHECK_INT(policy.rules.burst, 7);
        CHECK_INT(policy.rules.sender_count, 0);
        CHECK(told.first);
        if (!told.first)
                return;
        CHECK_TEXT(text_of(told.first->place.file), "p.yaml");
        CHECK_INT(told.first->place.line, line);
        CHECK_INT(told.first->place.column, column);
        CHECK_TEXT(text_slice(text_of(told.first->message), 0, strlen(words)), words);
}

static void a_policy_sets_what_it_says_and_leaves_the_rest(void) {
        _owned_(limit_policy_fini) struct limit_policy policy = own();
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        CHECK_INT(limit_policy_read(&policy, "p", TEXT("interval: 2m\n"), &told), 0);
        CHECK_INT(policy.rules.interval_s, 120);
        CHECK_INT(policy.rules.burst, 7);
        CHECK_INT(limit_policy_read(&policy, "p", TEXT("burst: 100\nseverity: info\n"), &told), 0);
        CHECK_INT(policy.rules.burst, 100);
        CHECK_INT(policy.rules.severity_min, 6);
        CHECK_INT(told.errors, 0);
}

static void a_mistake_has_its_place_and_changes_nothing(void) {
        expect_mistake(limit_policy_read, "interval: 60\nbrust: 5\n", 2, 1, "key 'brust' is not known here");
        expect_mistake(limit_policy_read, "interval: soon\n", 1, 11, "'soon' is no interval");
        expect_mistake(limit_policy_read, "interval: 500ms\n", 1, 11, "'500ms' is no interval");
        expect_mistake(limit_policy_read, "interval: 99999999999\n", 1, 11, "'99999999999' is no interval");
        expect_mistake(limit_policy_read, "burst: -1\n", 1, 8, "'-1' is no number of messages");
        expect_mistake(limit_policy_read, "burst: 1\nburst: 2\n", 2, 1, "key 'burst' is given more than once");
        expect_mistake(limit_policy_read, "severity: 8\n", 1, 11, "'8' is no severity");
        expect_mistake(limit_policy_read, "burst: [1]\n", 1, 8, "burst: one value is expected");
        expect_mistake(limit_policy_read, "", 1, 1, "the policy says nothing");
        expect_mistake(limit_policy_read, "- 1\n", 1, 1, "a policy: a mapping");
        expect_mistake(sender_policy_read, "overrides:\n  - burst: 1\n", 2, 5, "an override needs the key");
        expect_mistake(sender_policy_read, "overrides:\n  - key: a\n  - key: a\n", 3, 10,
                       "key 'a' has a limit already");
        expect_mistake(sender_policy_read, "default: 3\n", 1, 10, "default: a mapping");
        expect_mistake(sender_policy_read, "interval: 3\n", 1, 1, "key 'interval' is not known here");
        expect_mistake(sender_policy_read,
                       "overrides:\n"
                       "  - key: 0123456789012345678901234567890123456789012345678901234567890123\n",
                       2, 10, "a sender's key has 1 to 63 bytes");
}

static void senders_have_limits_of_their_own_in_the_order_of_their_keys(void) {
        _owned_(limit_policy_fini) struct limit_policy policy = own();
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        struct text text = TEXT("overrides:\n"
                                "  - {key: b, max: 9, window: 1h}\n"
                                "  - {key: ab, burst: 1}\n"
                                "  - key: a\n"
                                "    interval: 0\n"
                                "default: {burst: 20, interval: 3s}\n");
        CHECK_INT(sender_policy_read(&policy, "p", text, &told), 0);
        CHECK_INT(policy.rules.sender_interval_s, 3);
        CHECK_INT(policy.rules.sender_burst, 20);
        CHECK_INT(policy.rules.interval_s, 5);
        CHECK_INT(policy.rules.severity_min, 3);
        CHECK_INT(policy.rules.sender_count, 3);
        CHECK_TEXT(text_of(policy.rules.senders[0].name), "a");
        CHECK_INT(policy.rules.senders[0].interval_s, 0);
        CHECK_INT(policy.rules.senders[0].burst, 20);
        CHECK_TEXT(text_of(policy.rules.senders[1].name), "ab");
        CHECK_INT(policy.rules.senders[1].interval_s, 3);
        CHECK_INT(policy.rules.senders[1].burst, 1);
        CHECK_TEXT(text_of(policy.rules.senders[2].name), "b");
        CHECK_INT(policy.rules.senders[2].interval_s, 3600);
        CHECK_INT(policy.rules.senders[2].burst, 9);
        CHECK_INT(sender_policy_read(&policy, "p", TEXT("default: {burst: 1}\n"), &told), 0);
        CHECK_INT(policy.rules.sender_count, 0);
}

static void a_policy_may_hold_that_of_senders(void) {
        _owned_(limit_policy_fini) struct limit_policy policy = own();
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        struct text text = TEXT("interval: 1\n"
                                "burst: 50\n"
                                "perSource:\n"
                                "  enabled: true\n"
                                "  keyTemplate: PerSourceIP\n"
                                "  maxStates: 300\n"
                                "  topN: 4\n"
                                "  default: {max: 1000, window: 10s}\n"
                                "  overrides:\n"
                                "    - {key: db01, max: 5000}\n");
        CHECK_INT(limit_policy_read(&policy, "p", text, &told), 0);
        CHECK(policy.has_senders && policy.rules.is_per_sender);
        CHECK_INT(policy.rules.burst, 50);
        CHECK_INT(policy.rules.sender_burst, 1000);
        CHECK_INT(policy.rules.sender_interval_s, 10);
        CHECK_INT(policy.rules.senders_max, 300);
        CHECK_INT(policy.senders_shown, 4);
        CHECK_TEXT(text_of(policy.key_template), "PerSourceIP");
        CHECK_INT(policy.rules.sender_count, 1);
        CHECK_INT(policy.rules.senders[0].burst, 5000);
        CHECK_INT(policy.rules.senders[0].interval_s, 10);
        CHECK_INT(limit_policy_read(&policy, "p", TEXT("perSource: {enabled: off}\n"), &told), 0);
        CHECK(!policy.rules.is_per_sender);
        expect_mistake(limit_policy_read, "perSource:\n  enabled: maybe\n", 2, 12, "'maybe' is no switch");
        expect_mistake(limit_policy_read, "perSource:\n  maxStates: 0\n", 2, 14, "'0' is no number of senders");
        expect_mistake(limit_policy_read, "perSource: 1\n", 1, 12, "perSource: a mapping");
        expect_mistake(limit_policy_read, "mode: stop\n", 1, 7, "'stop' is no mode");
        expect_mistake(limit_policy_read, "mode: pace\ninterval: 1\nburst: 0\n", 1, 7,
                       "with mode 'pace' and a burst of 0");
        expect_mistake(limit_policy_read, "severity: info\nmode: pace\n", 2, 7, "severity and perSource do not go");
        _owned_(limit_policy_fini) struct limit_policy paced = {0};
        CHECK_INT(limit_policy_read(&paced, "p", TEXT("scope: output\nmode: pace\nburst: 3\n"), &told), 0);
        CHECK(paced.rules.paces);
        CHECK_INT(limit_policy_read(&policy, "p", TEXT("scope: output\nmode: drop\n"), &told), 0);
        CHECK(!policy.rules.paces);
}

static void more_overrides_than_the_limit_are_refused(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_text(&text, TEXT("overrides:\n"));
        for (int i = 0; i <= POLICY_SENDERS_MAX; i++)
                buffer_text(&text, TEXT(" - {key: a}\n"));
        expect_mistake(sender_policy_read, buffer_string(&text), 2, 2, "more than 100000 overrides");
}

TEST_MAIN(TEST(a_policy_sets_what_it_says_and_leaves_the_rest), TEST(a_mistake_has_its_place_and_changes_nothing),
          TEST(senders_have_limits_of_their_own_in_the_order_of_their_keys), TEST(a_policy_may_hold_that_of_senders),
          TEST(more_overrides_than_the_limit_are_refused))
