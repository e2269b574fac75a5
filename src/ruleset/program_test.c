#include "ruleset/program.h"

#include "ruleset/fixture.h"

/* Three records: of user.notice "one", mail.err "two", kern.debug "three". */
static void play_three(struct play *p, const char *config) {
        play_load(p, config);
        play_record(p, "one");
        struct record *two = play_record(p, "two");
        two->facility = 2;
        two->severity = 3;
        struct record *three = play_record(p, "three");
        three->facility = 0;
        three->severity = 7;
        play_run(p);
}

#define CHECK_THREE(config, one, two, three)                                                                           \
        do {                                                                                                           \
                _owned_(play_fini) struct play p = {0};                                                                \
                play_three(&p, config);                                                                                \
                CHECK_TEXT(play_tree(&p, 0), one);                                                                     \
                CHECK_TEXT(play_tree(&p, 1), two);                                                                     \
                CHECK_TEXT(play_tree(&p, 2), three);                                                                   \
        } while (0)

static void each_record_takes_its_own_branch(void) {
        CHECK_THREE("if $msg == \"one\" then set $!v = 1;\nelse if $msg startswith \"tw\" then set $!v = 2;\n"
                    "else set $!v = 3;\n",
                    "{\"v\":1}", "{\"v\":2}", "{\"v\":3}");
}

static void stop_ends_only_what_it_meets(void) {
        CHECK_THREE("set $!a = 1;\nif $msg contains \"w\" then { set $!b = 1; stop }\nset $!c = 1;\n",
                    "{\"a\":1,\"c\":1}", "{\"a\":1,\"b\":1}", "{\"a\":1,\"c\":1}");
}

static void stop_in_a_called_ruleset_stops_the_caller(void) {
        CHECK_THREE("call inner\nset $!after = 1;\n"
                    "ruleset(name=\"inner\") { if $msg == \"two\" then { set $!in = 1; stop } }\n",
                    "{\"after\":1}", "{\"in\":1}", "{\"after\":1}");
}

static void rulesets_that_call_each_other_end(void) {
        CHECK_RUNS_TO("call a\nset $!end = 1;\nruleset(name=\"a\") { call b }\nruleset(name=\"b\") { call a }\n", "x",
                      "{\"end\":1}");
}

static void connectives_keep_the_order_and_miss_nothing(void) {
        CHECK_THREE("if $msg == \"one\" or $msg == \"three\" then set $!v = 1; else set $!v = 0;\n"
                    "if not ($msg == \"one\") and not ($msg == \"two\") then set $!w = 1; else set $!w = 0;\n",
                    "{\"v\":1,\"w\":0}", "{\"v\":0,\"w\":0}", "{\"v\":1,\"w\":1}");
}

static void conditions_on_the_priority_are_selectors(void) {
        CHECK_THREE("if $syslogseverity <= 5 and $syslogfacility-text == [\"mail\", \"user\"] then set $!v = 1;\n"
                    "if prifilt(\"kern.*\") or $pri == \"13\" then set $!w = 1;\n"
                    "if $syslogseverity & $syslogfacility == \"32\" then set $!x = 1; else set $!x = 0;\n",
                    "{\"v\":1,\"w\":1,\"x\":0}", "{\"v\":1,\"x\":1}", "{\"w\":1,\"x\":0}");
}

static void many_names_are_found_by_hash(void) {
        CHECK_THREE("if $msg == [\"a\", \"b\", \"c\", \"d\", \"e\", \"two\"] then set $!v = 1; else set $!v = 0;\n"
                    "if $msg != [\"a\", \"b\", \"c\", \"d\", \"e\", \"two\"] then set $!w = 1; else set $!w = 0;\n",
                    "{\"v\":0,\"w\":1}", "{\"v\":1,\"w\":0}", "{\"v\":0,\"w\":1}");
}

static void property_filters_filter(void) {
        CHECK_THREE(":msg, !contains, \"o\" set $!v = 1;\n:msg, ereregex, \"^t(w|h)\" set $!w = 1;\n"
                    ":msg, regex, \"t[wx]o*\" set $!x = 1;\n:programname, isequal, \"prog\" set $!y = 1;\n",
                    "{\"y\":1}", "{\"w\":1,\"x\":1,\"y\":1}", "{\"v\":1,\"w\":1,\"y\":1}");
}

static void a_property_filter_with_a_wrong_pattern_never_holds(void) {
        CHECK_RUNS_TO(":msg, ereregex, \"(\" set $!v = 1;\n:msg, !ereregex, \"(\" set $!w = 1;\n", "(", "{\"w\":1}");
}

static void foreach_walks_over_what_there_was(void) {
        CHECK_RUNS_TO("set $.x = parse_json($msg, \"\\$.l\"); set $!n = 0;\n"
                      "foreach ($.i in $.l) do { set $!n = $!n + 1; unset $.l; }\n",
                      "[1,2,3]", "{\"n\":3}");
}

static void global_variables_see_one_record_after_the_other(void) {
        CHECK_THREE("set $/n = $/n + 1;\nset $!v = $/n;\n", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}");
}

TEST_MAIN(TEST(each_record_takes_its_own_branch), TEST(stop_ends_only_what_it_meets),
          TEST(stop_in_a_called_ruleset_stops_the_caller), TEST(rulesets_that_call_each_other_end),
          TEST(connectives_keep_the_order_and_miss_nothing), TEST(conditions_on_the_priority_are_selectors),
          TEST(many_names_are_found_by_hash), TEST(property_filters_filter),
          TEST(a_property_filter_with_a_wrong_pattern_never_holds), TEST(foreach_walks_over_what_there_was),
          TEST(global_variables_see_one_record_after_the_other))
