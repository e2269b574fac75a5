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

/* How often something was reported, and the last of it. */
struct hearing {
        struct reporter reporter;
        int count, code;
        char line[256];
};

static void hear(struct reporter *reporter, enum severity severity _unused_, int code, const char *line) {
        struct hearing *h = CONTAINER_OF(reporter, struct hearing, reporter);
        h->count++;
        h->code = code;
        snprintf(h->line, sizeof h->line, "%s", line);
}

static void play_heard(struct play *p, struct hearing *h, const char *config) {
        play_load(p, config);
        p->linker.reporter = &h->reporter;
        play_record(p, "x");
        play_run(p);
}

static void a_call_of_a_name_that_no_ruleset_has_is_reported_and_passed_over(void) {
        _owned_(play_fini) struct play p = {0};
        struct hearing h = {.reporter.emit = hear};
        play_heard(&p, &h, "call_indirect \"no\" & \"where\";\nset $!end = 1;\n");
        CHECK_TEXT(play_tree(&p, 0), "{\"end\":1}");
        CHECK_INT(h.count, 1);
        CHECK_INT(h.code, 2157);
        CHECK(strstr(h.line, "'nowhere' cannot be found"));
}

static void a_call_too_deep_is_reported(void) {
        _owned_(play_fini) struct play p = {0};
        struct hearing h = {.reporter.emit = hear};
        play_heard(&p, &h, "call a\nset $!end = 1;\nruleset(name=\"a\") { call_indirect \"a\"; }\n");
        CHECK_TEXT(play_tree(&p, 0), "{\"end\":1}");
        CHECK_INT(h.count, 1);
        CHECK(strstr(h.line, "'a' is left out"));
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

static void stop_ends_a_foreach(void) {
        CHECK_RUNS_TO("set $.x = parse_json($msg, \"\\$.l\"); set $!n = 0;\n"
                      "foreach ($.i in $.l) do { set $!n = $!n + 1; if $!n == 2 then stop }\nset $!n = 9;\n",
                      "[1,2,3]", "{\"n\":2}");
}

static void global_variables_see_one_record_after_the_other(void) {
        CHECK_THREE("set $/n = $/n + 1;\nset $!v = $/n;\n", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}");
}

static struct text printed(struct play *p, const char *config) {
        play_load(p, config);
        buffer_clear(&p->text);
        program_print(&p->text, p->programs[0]);
        return buffer_as_text(&p->text);
}

static void a_program_is_printed_as_it_was_compiled(void) {
        _owned_(play_fini) struct play p = {0};
        CHECK_TEXT(
                printed(&p, "if $msg == [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"] then stop\n"
                            "if $syslogseverity <= 2 + 1 then { set $!v = 2 * 3; } else stop\n"
                            "if $!v == 1 or not (re_match($msg, \"x.*y\")) then call other\n"
                            "ruleset(name=\"other\") { stop }\n"),
                "  runs: each statement over a whole batch\n"
                "  test.conf\n"
                "  1:1       if $msg == ['a', 'b', 'c', 'd', 'e', 'f'] {hash of 6 texts}\n"
                "  1:48          stop\n"
                "  2:1       if $syslogseverity <= 2 + 1 {selector *.err}\n"
                "  2:36          set $!v = 6\n"
                "  2:60      else\n"
                "  2:60          stop\n"
                "  3:1       if ($!v == 1 {evaluated} or not (re_match($msg, 'x.*y') {compiled regular expression}))\n"
                "  3:50          call other\n");
}

static void filters_that_are_answered_together_say_so(void) {
        _owned_(play_fini) struct play p = {0};
        CHECK_TEXT(
                printed(&p, ":programname, isequal, \"a\" stop\n:programname, !startswith, \"b\" stop\nset $/x = 1;\n"),
                "  runs: message by message, because one can notice what the one before left (a $/ variable, "
                "script_error(), or a modifier that counts)\n"
                "  look 1: at programname, answers 2 filters together (names are remembered)\n"
                "  test.conf\n"
                "  1:1       if :programname, isequal, \"a\" {look 1}\n"
                "  1:28          stop\n"
                "  2:1       if :programname, !startswith, \"b\" {look 1}\n"
                "  2:32          stop\n"
                "  3:1       set $/x = 1\n");
}

/* What a followed record went through. */
struct following {
        struct program_trace trace;
        char events[64];
        size_t count;
};

static void note(struct program_trace *trace, enum trace_event event, const struct statement *s _unused_,
                 struct delivery *d _unused_, struct run *run _unused_, struct batch *b _unused_) {
        struct following *f = CONTAINER_OF(trace, struct following, trace);
        if (f->count + 1 < sizeof f->events)
                f->events[f->count++] = event == TRACE_PASSED ? 'y' : event == TRACE_NOT ? 'n' : 's';
}

static void only_the_record_that_is_followed_is_told(void) {
        _owned_(play_fini) struct play p = {0};
        struct following f = {.trace.tell = note};
        play_load(&p, "if $msg == \"one\" then stop\nset $!a = 1;\nif $msg == \"two\" then { set $!b = 1; }\n");
        play_record(&p, "one");
        play_record(&p, "two");
        f.trace.batch = p.batch;
        f.trace.record = 1;
        p.run->trace = &f.trace;
        play_run(&p);
        CHECK_TEXT(text_of(f.events), "nsys");
}

TEST_MAIN(TEST(each_record_takes_its_own_branch), TEST(stop_ends_only_what_it_meets),
          TEST(stop_in_a_called_ruleset_stops_the_caller), TEST(rulesets_that_call_each_other_end),
          TEST(a_call_of_a_name_that_no_ruleset_has_is_reported_and_passed_over), TEST(a_call_too_deep_is_reported),
          TEST(connectives_keep_the_order_and_miss_nothing), TEST(conditions_on_the_priority_are_selectors),
          TEST(many_names_are_found_by_hash), TEST(property_filters_filter),
          TEST(a_property_filter_with_a_wrong_pattern_never_holds), TEST(foreach_walks_over_what_there_was),
          TEST(stop_ends_a_foreach), TEST(global_variables_see_one_record_after_the_other),
          TEST(a_program_is_printed_as_it_was_compiled), TEST(filters_that_are_answered_together_say_so),
          TEST(only_the_record_that_is_followed_is_told))
