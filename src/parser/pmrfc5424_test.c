#include "parser/parse_one.h"

struct new_case {
        const char *raw;
        const char *host; /* NULL: there was no header to read */
        const char *app;  /* an empty one shows as "-" */
        const char *procid;
        const char *msgid;
        const char *structured;
        const char *msg;
};

/* Every row as rsyslogd 8.2302 shows it. */
static const struct new_case usual[] = {
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 - msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"] msg", "host", "app", "123", "ID47",
         "[a b=\"c\"]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"][d e=\"f\"] msg", "host", "app", "123", "ID47",
         "[a b=\"c\"][d e=\"f\"]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"]msg", "host", "app", "123", "ID47",
         "[a b=\"c\"]ms", "g"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"]", "host", "app", "123", "ID47", "[a b=\"c\"]",
         ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\" msg", "host", "app", "123", "ID47",
         "[a b=\"c\" ms", "g"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\\]d\\\"e\\\\\"] msg", "host", "app", "123", "ID47",
         "[a b=\"c\\]d\\\"e\\\\\"]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c]d\"] msg", "host", "app", "123", "ID47",
         "[a b=\"c]d\"]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c] msg\"] x", "host", "app", "123", "ID47",
         "[a b=\"c]", "msg\"] x"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 -msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 -", "host", "app", "123", "ID47", "-", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 - ", "host", "app", "123", "ID47", "-", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 -  msg", "host", "app", "123", "ID47", "-", " msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47", "host", "app", "123", "ID47", "ID47", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 ", "host", "app", "123", "ID47", "ID47", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123", "host", "app", "123", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ", "host", "app", "123", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app", "host", "app", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app ", "host", "app", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host", "host", "-", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host ", "host", "-", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z ", "", "-", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z", "", "-", "", "", "", ""},
        {"<34>1 - host app 123 ID47 - msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<34>1 - - - - - - msg", "-", "-", "-", "-", "-", "msg"},
        {"<34>1 - - - - - -", "-", "-", "-", "-", "-", ""},
        {"<34>1 -  - - - - - msg", "", "-", "-", "-", "-", "- msg"},
        {"<34>1 2026-10-11T22:14:15.003Z  host app 123 ID47 - msg", "", "host", "app", "123", "123", "ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host  app 123 ID47 - msg", "host", "-", "app", "123", "123", "ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app  123 ID47 - msg", "host", "app", "", "123", "123", "ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123  ID47 - msg", "host", "app", "123", "", "", "ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47  - msg", "host", "app", "123", "ID47", "ID47", " - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 x msg", "host", "app", "123", "ID47", "ID47", "x msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 \357\273\277msg", "host", "app", "123", "ID47", "ID47",
         "\357\273\277msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 - \357\273\277msg", "host", "app", "123", "ID47", "-",
         "\357\273\277msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 - \357\273\277", "host", "app", "123", "ID47", "-",
         "\357\273\277"},
        {"<34>1 2026-10-11T22:14:15.1234567Z host app 123 ID47 - msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<34>1  2026-10-11T22:14:15.003Z host app 123 ID47 - msg", NULL, NULL, NULL, NULL, NULL,
         " 2026-10-11T22:14:15.003Z host app 123 ID47 - msg"},
        {"1 2026-10-11T22:14:15.003Z host app 123 ID47 - msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<>1 2026-10-11T22:14:15.003Z host app 123 ID47 - msg", "host", "app", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app[12] 123 ID47 - msg", "host", "app[12]", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host a/b 123 ID47 - msg", "host", "a/b", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host a:b 123 ID47 - msg", "host", "a:b", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app - ID47 - msg", "host", "app", "-", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host - 123 ID47 - msg", "host", "-", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app: 123 ID47 - msg", "host", "app:", "123", "ID47", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [] msg", "host", "app", "123", "ID47", "[]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [ ] msg", "host", "app", "123", "ID47", "[ ]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a] msg", "host", "app", "123", "ID47", "[a]", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=c] msg", "host", "app", "123", "ID47", "[a b=c]",
         "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"] [d e=\"f\"] msg", "host", "app", "123", "ID47",
         "[a b=\"c\"]", "[d e=\"f\"] msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"]  msg", "host", "app", "123", "ID47",
         "[a b=\"c\"]", " msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a][b][c]", "host", "app", "123", "ID47", "[a][b][c]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"", "host", "app", "123", "ID47", "[a b=\"c", "\""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [", "host", "app", "123", "ID47", "", "["},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\"\\] msg", "host", "app", "123", "ID47",
         "[a b=\"c\"\\] ms", "g"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 \\[a] msg", "host", "app", "123", "ID47", "ID47",
         "\\[a] msg"},
        {"<34>1 2026-10-11T22:14:15.003Z ho st!@# app 123 ID47 - msg", "ho", "st!@#", "app", "123", "123",
         "ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z h\351 a 123 ID - msg", "h\351", "a", "123", "ID", "-", "msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"c\011d\"] m\011e", "host", "app", "123", "ID47",
         "[a b=\"c#011d\"]", "m#011e"},
        {"<34>1 2026-10-11T22:14:15.003Z \344\366 app 1 I - m\374", "\344\366", "app", "1", "I", "-", "m\374"},
        {"<34>1 2026-10-11T22:14:15.003Zhost app 123 ID47 - msg", NULL, NULL, NULL, NULL, NULL,
         "2026-10-11T22:14:15.003Zhost app 123 ID47 - msg"},
        {"<34>1 -x host app 123 ID47 - msg", NULL, NULL, NULL, NULL, NULL, "-x host app 123 ID47 - msg"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b ", "host", "app", "123", "ID47", "[a b", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b", "host", "app", "123", "ID47", "[a ", "b"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a ]", "host", "app", "123", "ID47", "[a ]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a] ", "host", "app", "123", "ID47", "[a]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a]  ", "host", "app", "123", "ID47", "[a]", " "},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a", "host", "app", "123", "ID47", "[", "a"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 []", "host", "app", "123", "ID47", "[]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 []x", "host", "app", "123", "ID47", "[]", "x"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 []\\]", "host", "app", "123", "ID47", "[]\\]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a\\]", "host", "app", "123", "ID47", "[a\\]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a\\] ", "host", "app", "123", "ID47", "[a\\]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a\\]]", "host", "app", "123", "ID47", "[a\\]]", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 - - x", "host", "app", "123", "ID47", "-", "- x"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 --", "host", "app", "123", "ID47", "-", "-"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 -- x", "host", "app", "123", "ID47", "-", "- x"},
        {"<34>1 -", NULL, NULL, NULL, NULL, NULL, "-"},
        {"<34>1 - ", "", "-", "", "", "", ""},
        {"<34>1 - h", "h", "-", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z x", "x", "-", "", "", "", ""},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 \001", "host", "app", "123", "ID47", "ID47", "#001"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47 [a b=\"\001\"] \002", "host", "app", "123", "ID47",
         "[a b=\"#001\"]", "#002"},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47  ", "host", "app", "123", "ID47", "ID47", " "},
        {"<34>1 2026-10-11T22:14:15.003Z host app 123 ID47   ", "host", "app", "123", "ID47", "ID47", "  "},
        {"<34>1 - h  p m - x", "h", "-", "p", "m", "-", "x"},
        {"<34>1 - h - p m - x", "h", "-", "p", "m", "-", "x"},
        {"<34>1 - h - - m - x", "h", "-", "-", "m", "-", "x"},
        {"<34>1 - h a  m - x", "h", "a", "", "m", "-", "x"},
        {"<34>1 1999-10-11T22:14:15Z h a - m - x", "h", "a", "-", "m", "-", "x"},
        {"<34>1 -\011", NULL, NULL, NULL, NULL, NULL, "-#011"},
};

static void check_case(struct bench *b, const struct new_case *c) {
        if (!bench_parse(b, c->raw))
                TEST_FAIL("\"%s\" is not taken", c->raw);
        bool has_header = b->record->flags & RECORD_HAS_HEADER;
        struct text app = FIELD(b, app);
        if (has_header && app.size == 0)
                app = TEXT("-");
        if (has_header != !!c->host || !text_equal(FIELD(b, host), text_of(c->host)) ||
            !text_equal(app, text_of(c->app)) || !text_equal(FIELD(b, procid), text_of(c->procid)) ||
            !text_equal(FIELD(b, msgid), text_of(c->msgid)) ||
            !text_equal(FIELD(b, structured), text_of(c->structured)) || !text_equal(FIELD(b, msg), text_of(c->msg)))
                TEST_FAIL("\"%s\" gave host \"%.*s\", app \"%.*s\", procid \"%.*s\", msgid \"%.*s\", "
                          "structured data \"%.*s\", msg \"%.*s\"",
                          c->raw, TEXT_ARGS(FIELD(b, host)), TEXT_ARGS(app), TEXT_ARGS(FIELD(b, procid)),
                          TEXT_ARGS(FIELD(b, msgid)), TEXT_ARGS(FIELD(b, structured)), TEXT_ARGS(FIELD(b, msg)));
        CHECK_INT(b->record->protocol, 1);
}

static void messages_of_every_make_come_out_as_from_rsyslog(void) {
        struct bench b;
        bench_open(&b, true, false, "");
        for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
                check_case(&b, &usual[i]);
        bench_close(&b);
}

static void only_version_1_behind_a_valid_pri_is_taken(void) {
        static const char *const others[] = {
                "<34>2 - h a p m - x", "<34>1",  "<34>12 - h a p m - x", "<34>1x - h", "<34>01 - h",
                "<34> 1 - h",          " 1 - h", "<192>1 - h a p m - x", "",           "<34>"};
        struct bench b;
        bench_open(&b, true, false, "");
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                CHECK(!bench_parse(&b, others[i]));
        CHECK(bench_parse(&b, "1 - h a p m - x"));
        CHECK_TEXT(FIELD(&b, msg), "x");
        CHECK_INT(b.record->facility, 1);
        bench_close(&b);
}

static void the_timestamp_keeps_what_the_sender_said(void) {
        struct bench b;
        bench_open(&b, true, false, "");
        CHECK(bench_parse(&b, "<34>1 2003-08-24T05:14:15.000003-07:00 h a p m - x"));
        struct stamp s = b.record->reported;
        CHECK_INT(s.year, 2003);
        CHECK_INT(s.hour, 5);
        CHECK_INT(s.fraction, 3);
        CHECK_INT(s.precision, 6);
        CHECK_INT(s.offset_minutes, -420);
        CHECK(!s.is_utc);
        struct stamp received = stamp_of_wall(received_us);
        CHECK(bench_parse(&b, "<34>1 - h a p m - x"));
        CHECK(memcmp(&b.record->reported, &received, sizeof received) == 0);
        b.flags = RECORD_IGNORE_DATE;
        CHECK(bench_parse(&b, "<34>1 2003-08-24T05:14:15Z h a p m - x"));
        CHECK(memcmp(&b.record->reported, &received, sizeof received) == 0);
        bench_close(&b);
}

static void fields_of_any_length_are_taken_whole(void) {
        char raw[8000];
        int size = snprintf(raw, sizeof raw, "<34>1 - %0*d %0*d %0*d %0*d [%0*d] x", 1000, 1, 1000, 2, 1000, 3, 1000, 4,
                            1000, 5);
        CHECK(size > 5000);
        struct bench b;
        bench_open(&b, true, false, "");
        CHECK(bench_parse(&b, raw));
        CHECK_INT(FIELD(&b, host).size, 1000);
        CHECK_INT(FIELD(&b, msgid).size, 1000);
        CHECK_INT(FIELD(&b, structured).size, 1002);
        CHECK_TEXT(FIELD(&b, msg), "x");
        bench_close(&b);
}

TEST_MAIN(TEST(messages_of_every_make_come_out_as_from_rsyslog), TEST(only_version_1_behind_a_valid_pri_is_taken),
          TEST(the_timestamp_keeps_what_the_sender_said), TEST(fields_of_any_length_are_taken_whole))
