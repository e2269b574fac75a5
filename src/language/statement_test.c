#include "language/fixture.h"

#define CHECK_STATEMENTS(text, wanted)                                                                                 \
        do {                                                                                                           \
                _owned_(fixture_fini) struct fixture f_ = {0};                                                         \
                fixture_load(&f_, text);                                                                               \
                CHECK(f_.config);                                                                                      \
                CHECK_CLEAN(&f_);                                                                                      \
                CHECK_TEXT(fixture_statements(&f_, NULL), wanted);                                                     \
        } while (0)

static void if_else_chains_nest_as_written(void) {
        CHECK_STATEMENTS(
                "if $msg == 'a' then stop\n"
                "else if $msg == 'b' then { continue stop }\n"
                "else\n  /var/log/x\n"
                "set $!a = 1;\n",
                "if $msg == 'a' then {\n    stop\n} else if $msg == 'b' then {\n    continue\n    stop\n} else "
                "{\n    action(type=\"omfile\" file=\"/var/log/x\")\n}\nset $!a = 1;\n");
        /* A dangling else belongs to the nearest if. */
        CHECK_STATEMENTS("if 1 then if 2 then stop else continue\n",
                         "if 1 then {\n    if 2 then {\n        stop\n    } else {\n        continue\n    }\n}\n");
}

static void an_ampersand_goes_on_with_the_action_before_it(void) {
        CHECK_STATEMENTS("if $programname == 'x' then /var/log/x\n& stop\nstop\n",
                         "if $programname == 'x' then {\n    action(type=\"omfile\" file=\"/var/log/x\")\n    stop\n}\n"
                         "stop\n");
        CHECK_STATEMENTS("mail.* -/var/log/m\n& @host\n&   ?dyn\n$template dyn,\"/x\"\n",
                         "mail.* {\n    action(type=\"omfile\" file=\"/var/log/m\" sync=\"off\")\n    "
                         "action(type=\"omfwd\" protocol=\"udp\" target=\"host\")\n    action(type=\"omfile\" "
                         "dynafile=\"dyn\")\n}\n");
        CHECK_STATEMENTS("if 1 then { action(type=\"omfile\" file=\"/a\") & stop }\n",
                         "if 1 then {\n    action(type=\"omfile\" file=\"/a\")\n    stop\n}\n");
}

static void every_small_statement_is_read(void) {
        CHECK_STATEMENTS("ruleset(name=\"r\") { stop }\n"
                         "set $!a!b = $msg & \"x\"; reset $.c = 1; unset $/d;\n"
                         "call r\ncall_indirect \"r\" & \"s\";\n"
                         "foreach ($.i in $!list) do { set $!x = $.i; }\n"
                         "reload_lookup_table(\"t\")\nreload_lookup_table(\"t\", \"stub\")\ncontinue stop\n",
                         "set $!a!b = $msg & 'x';\nreset $.c = 1;\nunset $/d;\ncall r\ncall_indirect 'r' & 's';\n"
                         "foreach ($.i in $!list) do {\n    set $!x = $.i;\n}\nreload_lookup_table(\"t\")\n"
                         "reload_lookup_table(\"t\", 'stub')\ncontinue\nstop\n");
}

static void comments_stand_anywhere(void) {
        CHECK_STATEMENTS("# one\nif /* two */ $msg == 'a' # three\n then { # four\n stop /* five\n six */ }\n"
                         "mail.* /var/log/m # seven\n*.* { /a } # eight\n",
                         "if $msg == 'a' then {\n    stop\n}\nmail.* {\n    action(type=\"omfile\" "
                         "file=\"/var/log/m\")\n}\n*.* {\n    action(type=\"omfile\" file=\"/a\")\n}\n");
        /* As in rsyslogd, a backslash at the end of a comment continues it. */
        CHECK_STATEMENTS("# one \\\nstop\ncontinue\n", "continue\n");
}

static void selectors_add_and_take_away(void) {
        CHECK_STATEMENTS("*.*;auth,authpriv.none stop\n", "*.*;auth,authpriv.none {\n    stop\n}\n");
        CHECK_STATEMENTS("*.=info;*.=notice;*.=warn;\\\n\tauth,mail.none stop\n",
                         "*.=warning;*.=notice;*.=info;mail,auth.none {\n    stop\n}\n");
        CHECK_STATEMENTS("*.info;mail.!=err stop\n",
                         "*.info;mail.none;mail.=emerg;mail.=alert;mail.=crit;mail.=warning;mail.=notice;mail.=info "
                         "{\n    stop\n}\n");
        CHECK_STATEMENTS("kern.!warn;kern.debug;mark.7 stop\n", "kern,mark.* {\n    stop\n}\n");
        CHECK_STATEMENTS("MAIL.Error,news.* stop\n", "mail.err;news.* {\n    stop\n}\n");
        CHECK_STATEMENTS("*.*\n  action(type=\"omfile\" file=\"/a\")\n",
                         "*.* {\n    action(type=\"omfile\" file=\"/a\")\n}\n");
        CHECK_STATEMENTS("*.*/a\nmail.info-/a\n",
                         "*.* {\n    action(type=\"omfile\" file=\"/a\")\n}\n"
                         "mail.info {\n    action(type=\"omfile\" file=\"/a\" sync=\"off\")\n}\n");
        CHECK_STATEMENTS("*.* if $msg == 'a' then stop\n",
                         "*.* {\n    if $msg == 'a' then {\n        stop\n    }\n}\n");
}

static void property_filters_compare(void) {
        CHECK_STATEMENTS(":msg, contains, \"a \\\"b\\\" \\\\ \\.\" stop\n",
                         ":msg, contains, \"a \\\"b\\\" \\\\ .\" {\n    stop\n}\n");
        CHECK_STATEMENTS(":hostname,!isequal,\"h\"/var/log/h\n",
                         ":hostname, !isequal, \"h\" {\n    action(type=\"omfile\" file=\"/var/log/h\")\n}\n");
        CHECK_STATEMENTS(":$!usr!x , startswith , \"h\" { stop }\n", ":$!usr!x, startswith, \"h\" {\n    stop\n}\n");
        CHECK_STATEMENTS(":msg, isempty stop\n:msg, ereregex, \"^a+\" stop\n",
                         ":msg, isempty, \"\" {\n    stop\n}\n:msg, ereregex, \"^a+\" {\n    stop\n}\n");
}

static void old_actions_become_objects(void) {
        CHECK_STATEMENTS(
                "*.* @@(z5,o)[2001:db8::1]:10514;RSYSLOG_ForwardFormat # c\n",
                "*.* {\n    action(type=\"omfwd\" protocol=\"tcp\" ziplevel=\"5\" tcp_framing=\"octet-counted\" "
                "target=\"2001:db8::1\" port=\"10514\" template=\"RSYSLOG_ForwardFormat\")\n}\n");
        CHECK_STATEMENTS("*.* |/dev/xconsole\n*.* ^/bin/prog;RSYSLOG_FileFormat\n",
                         "*.* {\n    action(type=\"ompipe\" pipe=\"/dev/xconsole\")\n}\n*.* {\n    "
                         "action(type=\"omshell\" binary=\"/bin/prog\" template=\"RSYSLOG_FileFormat\")\n}\n");
        CHECK_STATEMENTS("*.emerg :omusrmsg:*\n*.* :omusrmsg:root, alice;RSYSLOG_FileFormat\n",
                         "*.emerg {\n    action(type=\"omusrmsg\" users=\"*\")\n}\n*.* {\n    action(type=\"omusrmsg\" "
                         "users=[\"root\", \"alice\"] template=\"RSYSLOG_FileFormat\")\n}\n");
        CHECK_STATEMENTS(
                "module(load=\"omprog\")\n*.* :omprog:/bin/a b;RSYSLOG_FileFormat\n*.* :omfile:/x\n",
                "*.* {\n    action(type=\"omprog\" binary=\"/bin/a b\" template=\"RSYSLOG_FileFormat\")\n}\n*.* "
                "{\n    action(type=\"omfile\" file=\"/x\")\n}\n");
        CHECK_STATEMENTS(
                "$outchannel log,/var/log/x, 1000,/bin/rotate me\n*.* :omfile:$log\n*.* $log;RSYSLOG_FileFormat\n",
                "*.* {\n    action(type=\"omfile\" file=\"/var/log/x\" rotation.sizelimit=\"1000\" "
                "rotation.sizelimitcommand=\"/bin/rotate me\")\n}\n*.* {\n    action(type=\"omfile\" "
                "file=\"/var/log/x\" rotation.sizelimit=\"1000\" rotation.sizelimitcommand=\"/bin/rotate me\" "
                "template=\"RSYSLOG_FileFormat\")\n}\n");
}

static void check_errors(const char *text, unsigned errors, unsigned warnings, const char *said, const char *left) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, text);
        CHECK(f.config);
        struct text complaints = fixture_complaints(&f);
        if (f.diagnostics.errors != errors || f.diagnostics.warnings != warnings ||
            text_find(complaints, text_of(said)) < 0)
                TEST_FAIL("not %u errors, %u warnings and \"%s\":\n%.*s", errors, warnings, said,
                          TEXT_ARGS(complaints));
        CHECK_TEXT(fixture_statements(&f, NULL), left);
}

static void old_forms_that_go_are_warned_about_and_work(void) {
        check_errors("mail.* ~\n", 0, 1, "1:8: warning: ~ action is deprecated", "mail.* {\n    stop\n}\n");
        check_errors("mail.* root,alice\n", 0, 1, "please use ':omusrmsg:root,alice' syntax instead",
                     "mail.* {\n    action(type=\"omusrmsg\" users=[\"root\", \"alice\"])\n}\n");
        check_errors("mail.* *\n", 0, 1, "action '*' treated as",
                     "mail.* {\n    action(type=\"omusrmsg\" users=\"*\")\n}\n");
        check_errors("/a\n& /b\n", 0, 1, "2:1: warning: behind an action without a filter `&` holds for every message",
                     "action(type=\"omfile\" file=\"/a\")\naction(type=\"omfile\" file=\"/b\")\n");
}

static void what_is_wrong_is_left_out_and_the_rest_runs(void) {
        const char *const rest = "stop\n", *const empty = "if 1 then {\n}\nstop\n";
        check_errors("mail.foo /a\nstop\n", 1, 0, "1:6: error: unknown priority name \"foo\"", rest);
        check_errors("mial.* /a\nstop\n", 1, 0, "did you mean `mail`?", rest);
        check_errors("mial.* /a\n& @host\nstop\n", 1, 0, "unknown facility name \"mial\"", rest);
        check_errors(":mgs, contains, \"x\" /a\nstop\n", 1, 0, "invalid property 'mgs'", rest);
        check_errors(":msg, contain, \"x\" /a\nstop\n", 1, 0, "did you mean `contains`?", rest);
        check_errors(":msg, contains, \"x\n stop\n", 1, 0, "no closing \"", "stop\n");
        check_errors("if $mgs == 'x' then { mail.foo /a }\nstop\n", 2, 0, "unknown priority", rest);
        check_errors("if $msg = 'x' then /a\nstop\n", 1, 0, "write == to compare", rest);
        check_errors("if $msg contians 'x' then /a\nstop\n", 1, 0, "did you mean `contains`?", rest);
        check_errors("if ($msg ends_with 'x') then /a\nstop\n", 1, 0, "did you mean `endswith`?", rest);
        check_errors("if $msg == 'x' adn $msg == 'y' then /a\nstop\n", 1, 0, "did you mean `and`?", rest);
        check_errors("if $msg == 'x' thn /a\nstop\n", 1, 0, "did you mean `then`?", rest);
        check_errors("if $msg isequal 'x' then /a\nstop\n", 1, 0, "write == to compare", rest);
        check_errors("if $msg regex 'x' then /a\nstop\n", 1, 0, "write re_match(", rest);
        check_errors("set $.x == 1;\nstop\n", 1, 0, "one = assigns, two compare", rest);
        check_errors("if 1 then { sto }\nstop\n", 1, 0, "did you mean `stop`?", empty);
        check_errors("if 1 then { if $msg == 'x' thn stop }\nstop\n", 1, 0, "did you mean `then`?", empty);
        check_errors("if $.x!='x' then /a\nstop\n", 1, 0, "put a blank before !=", rest);
        check_errors("if ($msg = 'x') then /a\nstop\n", 1, 0, "write == to compare", rest);
        check_errors("if $msg == 'x' { continue }\nstop\n", 1, 0, "behind the condition follows `then`", rest);
        check_errors("if $msg == 'x' && 1 then continue\nstop\n", 1, 0, "write `and`", rest);
        check_errors("mail.* /a;nosuch\nstop\n", 1, 0, "1:11: error: Could not find template 0 'nosuch'", rest);
        check_errors("action(type=\"omfile\")\n& stop\n", 1, 0, "either the \"file\" or", rest);
        check_errors("action(type=\"omprog\" binary=\"/a\")\nstop\n", 1, 0, "module(load=\"omprog\")", rest);
        check_errors("call nosuch\nstop\n", 1, 0, "ruleset 'nosuch' cannot be found", rest);
        check_errors("set $msg = 1;\nstop\n", 1, 0, "invalid variable 'msg' in set statement.", rest);
        check_errors("!prog\n+host\n-host\nstop\n", 3, 0, "BSD-style blocks are no longer supported", rest);
        check_errors("xyz\nactoin(type=\"omfile\"\n file=\"/a\")\nstop\n", 2, 0, "did you mean `action`?", rest);
        check_errors("& stop\nstop\n", 1, 0, "there is none", rest);
        check_errors("}\nstop\n", 1, 0, "there is no block that it could close", rest);
        check_errors("else stop\nstop\n", 1, 0, "there is no `if` that this could belong to", rest);
        check_errors("mail.* /a b\n", 1, 0, "';template' expected",
                     "mail.* {\n    action(type=\"omfile\" file=\"/a\")\n}\n");
        check_errors("set $!x = 1\nstop\n", 1, 0, "1:12: error: `;` is missing", "set $!x = 1;\nstop\n");
        check_errors("foreach ($.i of $!x) do { stop }\nstop\n", 1, 0, "`in` is expected", rest);
        check_errors("if 1 then { stop\n", 1, 0, "1:11: error: this block is not closed", "if 1 then {\n    stop\n}\n");
        check_errors("/* never closed\nstop\n", 1, 0, "this comment has no end", "");
        check_errors("if 1 then", 1, 0, "the file ends where an action is expected", "if 1 then {\n}\n");
        check_errors("if 1 then { module(load=\"imtcp\") stop }\n", 1, 0, "module() cannot stand inside a block",
                     "if 1 then {\n    stop\n}\n");
}

static void depth_is_bounded_and_else_if_chains_are_not_depth(void) {
        _owned_(buffer_fini) struct buffer text = {0};
        for (int i = 0; i < 1000; i++)
                buffer_text(&text, TEXT("if 1 then {\n"));
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, buffer_string(&text));
        CHECK(text_find(fixture_complaints(&f), TEXT("nested too deep")) >= 0);

        buffer_clear(&text);
        for (int i = 0; i < 1000; i++)
                buffer_format(&text, "%sif $msg == 'm%d' then stop\n", i ? "else " : "", i);
        _owned_(fixture_fini) struct fixture g = {0};
        fixture_load(&g, buffer_string(&text));
        CHECK_CLEAN(&g);
}

TEST_MAIN(TEST(if_else_chains_nest_as_written), TEST(an_ampersand_goes_on_with_the_action_before_it),
          TEST(every_small_statement_is_read), TEST(comments_stand_anywhere), TEST(selectors_add_and_take_away),
          TEST(property_filters_compare), TEST(old_actions_become_objects),
          TEST(old_forms_that_go_are_warned_about_and_work), TEST(what_is_wrong_is_left_out_and_the_rest_runs),
          TEST(depth_is_bounded_and_else_if_chains_are_not_depth))
