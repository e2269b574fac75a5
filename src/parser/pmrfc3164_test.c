#include <stdio.h>
#include <unistd.h>

#include "parser/parse_one.h"

struct traditional_case {
        const char *raw;
        const char *host; /* NULL: the sender's name stands in */
        const char *tag;
        const char *msg;
};

/* Every row as rsyslogd 8.2302 shows it. */
static const struct traditional_case usual[] = {
        {"<0013>x y z", "x", "y", " z"},
        {"<13><192>Oct 11 h t: m", NULL, "<192>Oct", " 11 h t: m"},
        {"<13>Oct 11 22:14:15 <192>x t: m", NULL, "<192>x", " t: m"},
        {"a:b foo", NULL, "a:", "b foo"},
        {"a b:c foo", "a", "b:", "c foo"},
        {"a b c d", "a", "b", " c d"},
        {"a b[1]: d", "a", "b[1]:", " d"},
        {"a b[1] d", "a", "b[1]", " d"},
        {"a b[12]x: d", "a", "b[12]x:", " d"},
        {"a[1]: d", NULL, "a[1]:", " d"},
        {"a: d", NULL, "a:", " d"},
        {"<13>Oct 11 22:14:15 h tag msg", "h", "tag", " msg"},
        {"<13>Oct 11 22:14:15 h tag[12] msg", "h", "tag[12]", " msg"},
        {"<13>Oct 11 22:14:15 h tag[12]:msg", "h", "tag[12]:", "msg"},
        {"<13>Oct 11 22:14:15 h tag[12]: msg", "h", "tag[12]:", " msg"},
        {"<13>Oct 11 22:14:15 h tag: msg", "h", "tag:", " msg"},
        {"<13>Oct 11 22:14:15 h tag:msg", "h", "tag:", "msg"},
        {"<13>Oct 11 22:14:15 h  tag: msg", "h", "", " tag: msg"},
        {"<13>Oct 11 22:14:15  h tag: msg", NULL, "", " h tag: msg"},
        {"<13>Oct 11 22:14:15   tag: msg", NULL, "", "  tag: msg"},
        {"<13>Oct 11 22:14:15 h ", "h", "", ""},
        {"<13>Oct 11 22:14:15 h", "h", "", ""},
        {"<13>Oct 11 22:14:15 ", NULL, "", ""},
        {"<13>Oct 11 22:14:15", NULL, "", ""},
        {"<13>Oct 11 22:14:15 h t", "h", "t", ""},
        {"<13>Oct 11 22:14:15 h t:", "h", "t:", ""},
        {"<13>Oct 11 22:14:15 h t: ", "h", "t:", " "},
        {"<13>Oct 11 22:14:15 h :", "h", ":", ""},
        {"<13>Oct 11 22:14:15 h : x", "h", ":", " x"},
        {"<13>Oct 11 22:14:15 h :x y", "h", ":", "x y"},
        {"<13>Oct 11 22:14:15 tag: msg", NULL, "tag:", " msg"},
        {"<13>Oct 11 22:14:15 tag[1]: msg", NULL, "tag[1]:", " msg"},
        {"<13>Oct 11 22:14:15 tag[1] msg", NULL, "tag[1]", " msg"},
        {"<13>Oct 11 22:14:15 h_x tag: msg", "h_x", "tag:", " msg"},
        {"<13>Oct 11 22:14:15 h-x.y tag: msg", "h-x.y", "tag:", " msg"},
        {"<13>Oct 11 22:14:15 h/x tag: msg", NULL, "h/x", " tag: msg"},
        {"<13>Oct 11 22:14:15 h@x tag: msg", NULL, "h@x", " tag: msg"},
        {"<13>Oct 11 22:14:15 [h] tag: msg", NULL, "[h]", " tag: msg"},
        {"<13>Oct 11 22:14:15 [1.2.3.4] tag: m", NULL, "[1.2.3.4]", " tag: m"},
        {"<13>Oct 11 22:14:15 1.2.3.4 tag: m", "1.2.3.4", "tag:", " m"},
        {"<13>Oct 11 22:14:15 fe80::1 tag: m", NULL, "fe80:", ":1 tag: m"},
        {"<13>Oct 11 22:14:15 [fe80::1] tag: m", NULL, "[fe80:", ":1] tag: m"},
        {"<13>Oct 11 22:14:15 h:x tag: m", NULL, "h:", "x tag: m"},
        {"<13>Oct 11 22:14:15 h, tag: m", NULL, "h,", " tag: m"},
        {"<13>Oct 11 22:14:15 h! tag: m", NULL, "h!", " tag: m"},
        {"<13>Oct 11 22:14:15 h\344 tag: m", NULL, "h\344", " tag: m"},
        {"<13>Oct 11 22:14:15 h\303\251 tag: m", NULL, "h\303\251", " tag: m"},
        {"<13>Oct 11 22:14:15 -h tag: m", "-h", "tag:", " m"},
        {"<13>Oct 11 22:14:15 .h tag: m", ".h", "tag:", " m"},
        {"<13>Oct 11 22:14:15 _ tag: m", NULL, "_", " tag: m"},
        {"<13>Oct 11 22:14:15 - tag: m", NULL, "-", " tag: m"},
        {"<13>Oct 11 22:14:15 . tag: m", NULL, ".", " tag: m"},
        {"<13>Oct 11 22:14:15 : tag: m", NULL, ":", " tag: m"},
        {"<13>Oct 11 22:14:15 h ttttttttttttttttttttttttttttttt: m", "h", "ttttttttttttttttttttttttttttttt:", " m"},
        {"<13>Oct 11 22:14:15 h tttttttttttttttttttttttttttttttt: m", "h", "tttttttttttttttttttttttttttttttt:", " m"},
        {"<13>Oct 11 22:14:15 h ttttttttttttttttttttttttttttttttt: m", "h", "ttttttttttttttttttttttttttttttttt:", " m"},
        {"<13>Oct 11 22:14:15 h t/u/v[12]: m", "h", "t/u/v[12]:", " m"},
        {"<13>Oct 11 22:14:15 h /usr/bin/t[12]: m", "h", "/usr/bin/t[12]:", " m"},
        {"<13>Oct 11 22:14:15 h t(x)[1]: m", "h", "t(x)[1]:", " m"},
        {"<13>Oct 11 22:14:15 h t [1]: m", "h", "t", " [1]: m"},
        {"<13>Oct 11 22:14:15 h t: u: m", "h", "t:", " u: m"},
        {"<13>Oct 11 22:14:15 h [t]: m", "h", "[t]:", " m"},
        {"<13>Oct 11 22:14:15 h t]: m", "h", "t]:", " m"},
        {"<13>Oct 11 22:14:15 h t[[1]]: m", "h", "t[[1]]:", " m"},
        {"<13>Oct 11 22:14:15 h <t>: m", "h", "<t>:", " m"},
        {"<13>Oct 11 22:14:15 h (t): m", "h", "(t):", " m"},
        {"<13>Oct 11 22:14:15 h \"t\": m", "h", "\"t\":", " m"},
        {"<13>Oct 11 22:14:15 h t, m", "h", "t,", " m"},
        {"<13>Oct 11 22:14:15 h t; m", "h", "t;", " m"},
        {"<13>Oct 11 22:14:15 h t=1 m", "h", "t=1", " m"},
        {"<13>Oct 11 22:14:15 h 123: m", "h", "123:", " m"},
        {"<13>Oct 11 22:14:15 h 1.2: m", "h", "1.2:", " m"},
        {"<13>Oct 11 22:14:15 h t\001: m", "h", "t#001:", " m"},
        {"<13>Oct 11 22:14:15 h\001 t: m", NULL, "h#001", " t: m"},
        {"<13>Oct 11 22:14:15 h t:\011m", "h", "t:", "#011m"},
        {"<13>Oct 11 22:14:15 h t\011m", "h", "t#011m", ""},
        {"<13>Oct 11 22:14:15 h\011t: m", NULL, "h#011t:", " m"},
        {"<13>Oct 11 22:14:15 h t:  m", "h", "t:", "  m"},
        {"<13>Oct 11 22:14:15 h t   m", "h", "t", "   m"},
        {"<13> Oct 11 22:14:15 h t: m", "h", "t:", " m"},
        {"<13>  Oct 11 22:14:15 h t: m", NULL, "", "  Oct 11 22:14:15 h t: m"},
        {"<13> 2026-10-11T22:14:15Z h t: m", NULL, "", " 2026-10-11T22:14:15Z h t: m"},
        {"<13>  2026-10-11T22:14:15Z h t: m", NULL, "", "  2026-10-11T22:14:15Z h t: m"},
        {"<13> h t: m", NULL, "", " h t: m"},
        {"<13> 2020 Oct 11 22:14:15 h t: m", "h", "t:", " m"},
        {"<13>: h t: m", NULL, ":", " h t: m"},
        {"<13>Oct 11 22:14:15x", "Oct", "11", " 22:14:15x"},
        {"<13>%ASA-6-1: x", NULL, "%ASA-6-1:", " x"},
        {"<13>1: Oct 11 22:14:15: %SYS-5: x", NULL, "1:", " Oct 11 22:14:15: %SYS-5: x"},
        {"<13>Oct 11 22:14:15 h %SYS-5-X: x", "h", "%SYS-5-X:", " x"},
        {"<13>Oct 11 22:14:15 h last message repeated 2 times", "h", "last", " message repeated 2 times"},
        {"<13>Oct 11 22:14:15 h -- MARK --", "h", "--", " MARK --"},
        {"<13>{\"a\":1}", NULL, "", "{\"a\":1}"},
        {"<13>Oct 11 22:14:15 h {\"a\": 1}", "h", "{\"a\":", " 1}"},
        {"<13>CEF:0|a|b", NULL, "CEF:", "0|a|b"},
        {"<13>Oct 11 22:14:15 h CEF:0|a|b", "h", "CEF:", "0|a|b"},
        {"<13>Oct 11 22:14:15 h @cee:{\"a\":1}", "h", "@cee:", "{\"a\":1}"},
        {"<13>h @cee: x", "h", "@cee:", " x"},
        {"<13>\357\273\277Oct 11 22:14:15 h t: m", NULL, "\357\273\277Oct", " 11 22:14:15 h t: m"},
        {"\357\273\277<13>Oct 11 22:14:15 h t: m", NULL, "\357\273\277<13>Oct", " 11 22:14:15 h t: m"},
        {"<13>Oct 11 22:14:15 h  ", "h", "", " "},
        {"<13>a b", "a", "b", ""},
        {"<13>a b:", "a", "b:", ""},
        {"<13>a  b", "a", "", " b"},
        {"<13>a ", "a", "", ""},
        {"<13>a1 ", "a1", "", ""},
        {"<13>-", "-", "", ""},
        {"<13>- ", NULL, "-", " "},
        {"<13> ", NULL, "", " "},
        {"<13>/a b", NULL, "/a", " b"},
        {"<1>:", NULL, ":", ""},
        {"<13>[", NULL, "", "["},
        {"<13>[ x", NULL, "", "[ x"},
        {"<13>[1] x", NULL, "", "[1] x"},
        {"<192>Oct 11 22:14:15 h t: m", NULL, "", "<192>Oct 11 22:14:15 h t: m"},
        {"<>a b: m", "a", "b:", " m"},
        {"<13>", NULL, "", ""},
        {"<13", NULL, "", "<13"},
        {"hello world", "hello", "world", ""},
        {"hello", "hello", "", ""},
        {"<13>2026-10-11T22:14:15.003Z h t: m", "h", "t:", " m"},
        {"<13>Oct 11 22:14:15 h-", "h-", "", ""},
        {"<13>Oct 11 22:14:15 h- t: m", NULL, "h-", " t: m"},
        {"<13>Oct 11 2020 22:14:15: h t[7]: m", "h", "t[7]:", " m"},
};

static void check_case(struct bench *b, const struct traditional_case *c) {
        if (!bench_parse(b, c->raw))
                TEST_FAIL("\"%s\" was discarded", c->raw);
        if (!text_equal(FIELD(b, host), text_of(c->host)) || !text_equal(FIELD(b, tag), text_of(c->tag)) ||
            !text_equal(FIELD(b, msg), text_of(c->msg)))
                TEST_FAIL("\"%s\" gave host \"%.*s\", tag \"%.*s\", msg \"%.*s\"", c->raw, TEXT_ARGS(FIELD(b, host)),
                          TEXT_ARGS(FIELD(b, tag)), TEXT_ARGS(FIELD(b, msg)));
        CHECK_INT(b->record->protocol, 0);
}

static void check_cases(const struct traditional_case *cases, size_t count, const char *assignments) {
        struct bench b;
        bench_open(&b, false, true, assignments);
        for (size_t i = 0; i < count; i++)
                check_case(&b, &cases[i]);
        bench_close(&b);
}

static void messages_of_every_make_come_out_as_from_rsyslog(void) {
        check_cases(usual, ARRAY_SIZE(usual), "");
}

#define DATED "<13>Oct 11 22:14:15 "

static void a_host_name_in_brackets_is_taken_when_permitted(void) {
        static const struct traditional_case cases[] = {
                {DATED "[h] t: m", "[h]", "t:", " m"},
                {DATED "[1.2.3.4] t: m", "[1.2.3.4]", "t:", " m"},
                {DATED "[h-] t: m", "[h-]", "t:", " m"},
                {DATED "[h t: m", NULL, "[h", " t: m"},
                {DATED "h] t: m", NULL, "h]", " t: m"},
                {DATED "[] t: m", NULL, "[]", " t: m"},
                {DATED "[h]", NULL, "[h]", ""},
                {DATED "[h]x t: m", NULL, "[h]x", " t: m"},
                {DATED "[fe80::1] t: m", NULL, "[fe80:", ":1] t: m"},
                {DATED "[[h]] t: m", NULL, "[[h]]", " t: m"},
                {DATED "t[1]: m", NULL, "t[1]:", " m"},
        };
        check_cases(cases, ARRAY_SIZE(cases), "permit.squarebracketsinhostname=on");
}

static void slashes_and_at_signs_belong_to_a_host_name_when_permitted(void) {
        static const struct traditional_case slashes[] = {
                {DATED "a/b t: m", "a/b", "t:", " m"},
                {DATED "/a t: m", "/a", "t:", " m"},
                {DATED "a/ t: m", NULL, "a/", " t: m"},
                {DATED "a/", "a/", "", ""},
        };
        check_cases(slashes, ARRAY_SIZE(slashes), "permit.slashesinhostname=on");
        static const struct traditional_case at_signs[] = {
                {DATED "a@b t: m", "a@b", "t:", " m"},
                {DATED "@a t: m", "@a", "t:", " m"},
                {DATED "a@ t: m", NULL, "a@", " t: m"},
                {DATED "a/b@c t: m", NULL, "a/b@c", " t: m"},
        };
        check_cases(at_signs, ARRAY_SIZE(at_signs), "permit.atsignsinhostname=on");
}

/* With no blank before what is no tag, rsyslog shows the byte before it ("'>%a b'"); here the message stays whole. */
static void a_tag_must_end_in_a_colon_when_asked(void) {
        static const struct traditional_case cases[] = {
                {DATED "h t: m", "h", "t:", " m"},
                {DATED "h t m", "h", "-", " t m"},
                {DATED "h t[1] m", "h", "-", " t[1] m"},
                {DATED "h t", "h", "-", " t"},
                {DATED "h ", "h", "-", " "},
                {DATED "h : m", "h", ":", " m"},
                {DATED "h t[1]:m", "h", "t[1]:", "m"},
                {"<13>%a b", NULL, "-", "%a b"},
        };
        check_cases(cases, ARRAY_SIZE(cases), "force.tagendingbycolon=on");
        static const struct traditional_case without_space[] = {
                {DATED "h t m", "h", "-", "t m"},
                {DATED "h t: m", "h", "t:", "m"},
                {DATED "h t[1]  m", "h", "-", "t[1]  m"},
        };
        check_cases(without_space, ARRAY_SIZE(without_space), "force.tagendingbycolon=on remove.msgfirstspace=on");
}

static void the_first_blank_of_the_message_goes_when_asked(void) {
        static const struct traditional_case cases[] = {
                {DATED "h t: m", "h", "t:", "m"},    {DATED "h t:  m", "h", "t:", " m"}, {DATED "h t m", "h", "t", "m"},
                {DATED "h t:m", "h", "t:", "m"},     {DATED "h t: ", "h", "t:", ""},     {DATED "h t", "h", "t", ""},
                {DATED " h t m", NULL, "", "h t m"},
        };
        check_cases(cases, ARRAY_SIZE(cases), "remove.msgfirstspace=on");
}

static void a_year_behind_the_timestamp_is_no_host_when_asked(void) {
        struct bench b;
        bench_open(&b, false, true, "detect.yearaftertimestamp=on");
        CHECK(bench_parse(&b, DATED "2020 h t: m"));
        CHECK_TEXT(FIELD(&b, host), "h");
        CHECK_INT(b.record->reported.year, 2020);
        CHECK(bench_parse(&b, DATED "1999 h t: m"));
        CHECK_TEXT(FIELD(&b, host), "1999");
        CHECK_INT(b.record->reported.year, 2026);
        bench_close(&b);
}

static void a_date_may_be_ignored_and_a_local_message_has_no_host(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        b.flags = RECORD_IGNORE_DATE | RECORD_NO_HOSTNAME;
        CHECK(bench_parse(&b, "<13>Jan  1 00:00:00 su x: m"));
        CHECK_TEXT(FIELD(&b, host), "");
        CHECK_TEXT(FIELD(&b, tag), "su");
        CHECK_TEXT(FIELD(&b, msg), " x: m");
        CHECK_INT(b.record->reported.month, 10);
        bench_close(&b);
}

static void a_message_without_date_has_the_time_of_reception(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        struct stamp received = stamp_of_wall(received_us);
        CHECK(bench_parse(&b, "<13>h t: m"));
        CHECK(memcmp(&b.record->reported, &received, sizeof received) == 0);
        CHECK(bench_parse(&b, "<192>h t: m"));
        CHECK(memcmp(&b.record->reported, &received, sizeof received) == 0);
        CHECK(bench_parse(&b, "{}"));
        CHECK(memcmp(&b.record->reported, &received, sizeof received) == 0);
        bench_close(&b);
}

static void a_host_name_is_bounded(void) {
        struct bench b;
        bench_open(&b, false, true, "");
        char raw[600];
        for (int size = 511; size <= 512; size++) {
                memset(raw, 'h', sizeof raw);
                snprintf(raw + size, sizeof raw - (size_t)size, " t: m");
                CHECK(bench_parse(&b, raw));
                CHECK_INT(FIELD(&b, host).size, size == 511 ? 511 : 0);
                CHECK_INT(FIELD(&b, tag).size, size == 511 ? 2 : 510);
        }
        bench_close(&b);
}

static void headerless_messages_are_told_apart_when_asked(void) {
        struct bench b;
        bench_open(&b, false, true, "detect.headerless=on headerless.hostname=unknown headerless.tag=bare");
        CHECK(bench_parse(&b, "at com.example.Main(Main.java:3)"));
        CHECK_TEXT(FIELD(&b, host), "unknown");
        CHECK_TEXT(FIELD(&b, tag), "bare");
        CHECK_TEXT(FIELD(&b, msg), "at com.example.Main(Main.java:3)");
        CHECK(bench_parse(&b, "<13>h t: m"));
        CHECK_TEXT(FIELD(&b, host), "h");
        CHECK(bench_parse(&b, "Oct 11 22:14:15 h t: m"));
        CHECK_TEXT(FIELD(&b, host), "h");
        bench_close(&b);
}

static void headerless_messages_can_be_sent_to_another_ruleset(void) {
        char *names[] = {"RSYSLOG_DefaultRuleset", "Bare"};
        struct strings rulesets = {.items = names, .count = 2};
        struct host_facts facts = facts_usual;
        facts.rulesets = &rulesets;
        struct bench b;
        bench_open(&b, false, true, "detect.headerless=on headerless.ruleset=bare");
        pmrfc3164_module.parser->close(b.rfc3164);
        CHECK(pmrfc3164_module.parser->open(&b.rfc3164, &b.said.log, &facts, b.settings) == 0);
        b.chain.links[0].instance = b.rfc3164;
        CHECK(bench_parse(&b, "bare words"));
        CHECK(b.has_redirected);
        CHECK_INT(b.record->ruleset, 2);
        CHECK(bench_parse(&b, "<13>Oct 11 22:14:15 host tag: whole"));
        CHECK(!b.has_redirected);
        bench_close(&b);
}

static void headerless_messages_can_be_kept_in_a_file_and_dropped(void) {
        char path[] = "/tmp/headerless-XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        char assignments[128];
        snprintf(assignments, sizeof assignments, "detect.headerless=on headerless.drop=on headerless.errorfile=%s",
                 path);
        struct bench b;
        bench_open(&b, false, true, assignments);
        CHECK(!bench_parse(&b, "bare one"));
        CHECK(!bench_parse(&b, "bare two"));
        CHECK(bench_parse(&b, "<13>h t: m"));
        CHECK_INT(b.said.count, 0);
        bench_close(&b);
        char found[64] = "";
        CHECK(read(fd, found, sizeof found - 1) > 0);
        close(fd);
        unlink(path);
        CHECK_TEXT(text_of(found), "bare one\nbare two\n");
}

/* Sixteen bytes are looked at together where there are so many. */
static void every_byte_is_in_or_out_of_a_host_name_at_every_place(void) {
        static const char *const options[] = {"", "permit.slashesinhostname=on", "permit.atsignsinhostname=on"};
        for (unsigned option = 0; option < ARRAY_SIZE(options); option++)
                for (unsigned c = 33; c < 127; c++) {
                        char raw[80], host[40], tag[40];
                        unsigned at = c % 20 + 1;
                        memset(host, 'a', sizeof host);
                        host[at] = (char)c;
                        host[24] = '\0';
                        snprintf(raw, sizeof raw, "<13>Oct 11 22:14:15 %s tag: message", host);
                        bool is_in = (c | 32) - 'a' < 26 || c - '0' < 10 || strchr("._-", (int)c) ||
                                     (option == 1 && c == '/') || (option == 2 && c == '@');
                        /* What is no host is the tag, up to a colon. */
                        snprintf(tag, sizeof tag, "%.*s", c == ':' ? (int)at + 1 : 24, host);
                        char rest[60];
                        snprintf(rest, sizeof rest, "%s tag: message", host + strlen(tag));
                        struct traditional_case one = {raw, is_in ? host : NULL, is_in ? "tag:" : tag,
                                                       is_in ? " message" : rest};
                        check_cases(&one, 1, options[option]);
                }
}

TEST_MAIN(TEST(messages_of_every_make_come_out_as_from_rsyslog),
          TEST(every_byte_is_in_or_out_of_a_host_name_at_every_place),
          TEST(a_host_name_in_brackets_is_taken_when_permitted),
          TEST(slashes_and_at_signs_belong_to_a_host_name_when_permitted), TEST(a_tag_must_end_in_a_colon_when_asked),
          TEST(the_first_blank_of_the_message_goes_when_asked), TEST(a_year_behind_the_timestamp_is_no_host_when_asked),
          TEST(a_date_may_be_ignored_and_a_local_message_has_no_host),
          TEST(a_message_without_date_has_the_time_of_reception), TEST(a_host_name_is_bounded),
          TEST(headerless_messages_are_told_apart_when_asked), TEST(headerless_messages_can_be_sent_to_another_ruleset),
          TEST(headerless_messages_can_be_kept_in_a_file_and_dropped))
