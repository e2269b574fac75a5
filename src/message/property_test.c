/* The values were recorded from rsyslogd 8.2302. */
#include "message/property.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "message/fixture.h"
#include "message/variable.h"

static void use_utc(void) {
        setenv("TZ", "UTC", 1);
        tzset();
}

static void check(struct fixture *f, const char *const (*wanted)[2], size_t count) {
        for (size_t i = 0; i < count; i++) {
                struct text found = fixture_get(f, wanted[i][0]);
                if (!text_equal(found, text_of(wanted[i][1])))
                        TEST_FAIL("%s is \"%.*s\", not \"%s\"", wanted[i][0], TEXT_ARGS(found), wanted[i][1]);
        }
}

static void a_traditional_message_shows_what_rsyslog_shows(void) {
        use_utc();
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host1", "prog/x[123]:", " hello \"w\"");
        static const char *const wanted[][2] = {
                {"msg", " hello \"w\""},
                {"rawmsg", "<134>Mar  1 01:02:03 host1 prog/x[123]: hello \"w\""},
                {"rawmsg-after-pri", "Mar  1 01:02:03 host1 prog/x[123]: hello \"w\""},
                {"hostname", "host1"},
                {"source", "host1"},
                {"fromhost", "localhost"},
                {"fromhost-ip", "127.0.0.1"},
                {"fromhost-port", ""},
                {"syslogtag", "prog/x[123]:"},
                {"programname", "prog"},
                {"pri", "134"},
                {"PRI-text", "local0.info"},
                {"iut", "1"},
                {"syslogfacility", "16"},
                {"syslogfacility-text", "local0"},
                {"syslogseverity", "6"},
                {"syslogseverity-text", "info"},
                {"syslogpriority", "6"},
                {"syslogpriority-text", "info"},
                {"timegenerated", "Nov 21 20:05:28"},
                {"timereported", "Mar  1 01:02:03"},
                {"timestamp", "Mar  1 01:02:03"},
                {"protocol-version", "0"},
                {"structured-data", "-"},
                {"app-name", "prog"},
                {"procid", "123"},
                {"msgid", "-"},
                {"inputname", "imtcp"},
                {"parsesuccess", "FAIL"},
                {"$bom", "\xef\xbb\xbf"},
                {"$!all-json", "{}"},
                {"$!all-json-plain", "{}"},
                {"$!", ""},
                {"$.", ""},
                {"$/", ""},
                {"$!x", ""},
        };
        check(&f, wanted, ARRAY_SIZE(wanted));
}

static void a_modern_message_has_a_tag_made_of_its_fields(void) {
        use_utc();
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_raw(&f, TEXT("<34>1 2003-10-11T22:14:15.003Z h a/b 8710 ID47 [ex@1 a=\"b\"] hi"));
        struct record *r = f.record;
        r->protocol = 1;
        r->flags = RECORD_HAS_HEADER | RECORD_HAS_APP | RECORD_HAS_PROCID;
        r->host = fixture_span(&f, "h");
        r->app = fixture_span(&f, "a/b");
        r->procid = fixture_span(&f, "8710");
        r->msgid = fixture_span(&f, "ID47");
        r->structured = fixture_span(&f, "[ex@1 a=\"b\"]");
        static const char *const wanted[][2] = {{"syslogtag", "a/b[8710]"}, {"programname", "a"},
                                                {"app-name", "a/b"},        {"procid", "8710"},
                                                {"msgid", "ID47"},          {"structured-data", "[ex@1 a=\"b\"]"},
                                                {"protocol-version", "1"},  {"hostname", "h"}};
        check(&f, wanted, ARRAY_SIZE(wanted));

        fixture_raw(&f, TEXT("<34>1 - - - - - - hi"));
        r = f.record;
        r->protocol = 1;
        r->flags = RECORD_HAS_HEADER | RECORD_HAS_APP | RECORD_HAS_PROCID;
        r->host = r->app = r->procid = r->msgid = r->structured = batch_store(f.batch, TEXT("-"));
        static const char *const empty[][2] = {{"syslogtag", "-"},
                                               {"programname", "-"},
                                               {"app-name", "-"},
                                               {"procid", "-"},
                                               {"msgid", "-"},
                                               {"structured-data", "-"},
                                               {"timestamp", "Nov 21 20:05:28"}};
        check(&f, empty, ARRAY_SIZE(empty));
        f.record->procid = batch_store(f.batch, TEXT("5"));
        CHECK_TEXT(fixture_get(&f, "syslogtag"), "-[5]");

        /* A header that ended early: what is missing is empty, not absent. */
        fixture_raw(&f, TEXT("<34>1 - h"));
        r = f.record;
        r->protocol = 1;
        r->flags = RECORD_HAS_HEADER | RECORD_HAS_APP | RECORD_HAS_PROCID;
        static const char *const cut[][2] = {{"syslogtag", "-[]"}, {"app-name", "-"}, {"procid", ""},
                                             {"msgid", ""},        {"hostname", ""},  {"structured-data", ""}};
        check(&f, cut, ARRAY_SIZE(cut));
}

static void program_and_process_are_cut_out_of_the_tag(void) {
        static const char *const wanted[][4] = {
                {"prog:", "prog", "prog", "-"},
                {"prog[12", "prog", "prog", "-"},
                {"prog]12[:", "prog]12", "prog]12", "-"},
                {"prog[a]b]:", "prog", "prog", "a"},
                {"prog[]:", "prog", "prog", ""},
                {"a/b[1]:", "a", "a", "1"},
                {"/a/b[1]:", "", "-", "1"},
                {"[12]:", "", "-", "12"},
                {"pr\x7fog:", "pr", "pr", "-"},
                {"pr\xf6g[1]:", "pr", "pr", "1"},
                {"prog[1][2]:", "prog", "prog", "1"},
                {"-:", "-", "-", "-"},
                {"a[b[c]d]:", "a", "a", "b[c"},
                {"p(12)[3]:", "p(12)", "p(12)", "3"},
                {"a@b:", "a@b", "a@b", "-"},
                {"", "", "-", "-"},
        };
        _owned_(fixture_fini) struct fixture f = {0};
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                fixture_rfc3164(&f, "h", wanted[i][0], " msg");
                CHECK_TEXT(fixture_get(&f, "programname"), wanted[i][1]);
                CHECK_TEXT(fixture_get(&f, "app-name"), wanted[i][2]);
                CHECK_TEXT(fixture_get(&f, "procid"), wanted[i][3]);
        }
}

static void slashes_belong_to_the_program_where_permitted(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        f.context.permits_slash = true;
        fixture_rfc3164(&f, "h", "/a/b[1]:", " msg");
        CHECK_TEXT(fixture_get(&f, "programname"), "/a/b");
        CHECK_TEXT(fixture_get(&f, "app-name"), "/a/b");
}

static void a_facility_out_of_range_is_invld(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "h", "a:", " msg");
        f.record->facility = 24;
        f.record->severity = 7;
        static const char *const wanted[][2] = {{"pri-text", "invld.debug"}, {"syslogfacility-text", "invld"},
                                                {"syslogfacility", "invld"}, {"pri", "invld"},
                                                {"syslogseverity", "7"},     {"syslogseverity-text", "debug"}};
        check(&f, wanted, ARRAY_SIZE(wanted));
}

static void clock_properties_follow_the_zone_and_their_utc_forms_do_not(void) {
        setenv("TZ", "TEST-05:30", 1);
        tzset();
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "h", "a:", " msg");
        f.context.now_us = 1795291527999999; /* 2026-11-21T20:05:27Z, a Saturday */
        static const char *const wanted[][2] = {{"$now", "2026-11-22"}, {"$year", "2026"},
                                                {"$month", "11"},       {"$day", "22"},
                                                {"$wday", "0"},         {"$hour", "01"},
                                                {"$hhour", "01"},       {"$qhour", "02"},
                                                {"$minute", "35"},      {"$wday-utc", "6"},
                                                {"$hour-utc", "20"},    {"$now-utc", "2026-11-21"},
                                                {"$day-utc", "21"},     {"$minute-utc", "05"},
                                                {"$hhour-utc", "00"},   {"$qhour-utc", "00"},
                                                {"$NOW", "2026-11-22"}, {"$year-utc", "2026"},
                                                {"$month-utc", "11"},   {"$now-unixtimestamp", "1795291527"}};
        check(&f, wanted, ARRAY_SIZE(wanted));
        use_utc();
}

static void a_uuid_stays_with_its_record(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "h", "a:", " msg");
        char first[UUID_BYTES];
        struct text uuid = fixture_get(&f, "uuid");
        CHECK_INT(uuid.size, UUID_BYTES);
        for (size_t i = 0; i < uuid.size; i++)
                CHECK(isxdigit((unsigned char)uuid.data[i]) && !islower((unsigned char)uuid.data[i]));
        CHECK(uuid.data[12] == '4');
        memcpy(first, uuid.data, sizeof first);
        CHECK(memcmp(fixture_get(&f, "uuid").data, first, sizeof first) == 0);

        _owned_(batch_unref) struct batch *copy = batch_new(f.pool, 0);
        CHECK(batch_copy(copy, f.batch, (uint16_t[]){0}, 1));
        struct property p = {.id = PROPERTY_UUID};
        CHECK(memcmp(property_get(&f.context, copy, &copy->records[0], &p).data, first, sizeof first) == 0);

        fixture_rfc3164(&f, "h", "a:", " msg");
        CHECK(memcmp(fixture_get(&f, "uuid").data, first, sizeof first) != 0);
}

static void the_whole_record_prints_as_rsyslogs_json(void) {
        use_utc();
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host1", "prog/x[123]:", " hello \"w\"");
        CHECK_TEXT(fixture_get(&f, "jsonmesg"),
                   "{ \"msg\": \" hello \\\"w\\\"\", \"rawmsg\": \"<134>Mar  1 01:02:03 host1 prog\\/x[123]: hello "
                   "\\\"w\\\"\", \"timereported\": \"2026-03-01T01:02:03+00:00\", \"hostname\": \"host1\", "
                   "\"syslogtag\": \"prog\\/x[123]:\", \"inputname\": \"imtcp\", \"fromhost\": \"localhost\", "
                   "\"fromhost-ip\": \"127.0.0.1\", \"pri\": \"134\", \"syslogfacility\": \"16\", "
                   "\"syslogseverity\": \"6\", \"timegenerated\": \"2026-11-21T20:05:28.332781+00:00\", "
                   "\"programname\": \"prog\", \"protocol-version\": \"0\", \"structured-data\": \"-\", "
                   "\"app-name\": \"prog\", \"procid\": \"123\", \"msgid\": \"-\", \"uuid\": null, \"$!\": null }");
        struct batch *b = f.batch;
        CHECK_INT(variable_set(b, f.record, '!', TEXT("a"), json_int(&b->arena, 1), 0), 0);
        struct text whole = fixture_get(&f, "jsonmesg");
        CHECK(text_ends(whole, TEXT("\"uuid\": null, \"$!\": { \"a\": 1 } }")));
}

static void variables_print_as_in_rsyslog(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "h", "a:", " msg");
        struct json *tree;
        size_t used;
        struct text in = TEXT(
                "{\"a\":\"x/y\\\"z\",\"b\":{\"c\":5,\"D\":\"up\"},\"pj\":[1,2.50,{\"q\":null,\"t\":true}],\"n\":null}");
        CHECK_INT(json_parse(&f.batch->arena, in, &tree, &used), 0);
        CHECK_INT(variable_set(f.batch, f.record, '!', TEXT(""), tree, 0), 0);
        static const char *const wanted[][2] = {
                {"$!a", "x/y\"z"},
                {"$!b", "{ \"c\": 5, \"D\": \"up\" }"},
                {"$!b!c", "5"},
                {"$!B!d", "up"},
                {"$!!b!c", "5"},
                {"$!b!", ""},
                {"$!pj", "[ 1, 2.50, { \"q\": null, \"t\": true } ]"},
                {"$!pj[1]", "2.50"},
                {"$!pj[2]!t", "true"},
                {"$!pj[3]", ""},
                {"$!pj!x", ""},
                {"$!n", ""},
                {"$!all-json-plain",
                 "{\"a\":\"x\\/"
                 "y\\\"z\",\"b\":{\"c\":5,\"D\":\"up\"},\"pj\":[1,2.50,{\"q\":null,\"t\":true}],\"n\":null}"},
        };
        check(&f, wanted, ARRAY_SIZE(wanted));
        f.context.is_json_compact = true;
        CHECK_TEXT(fixture_get(&f, "$!b"), "{\"c\":5,\"D\":\"up\"}");
        f.context.is_case_sensitive = true;
        CHECK_TEXT(fixture_get(&f, "$!b!d"), "");
}

static void global_variables_answer_too(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "h", "a:", " msg");
        _owned_(globals_free) struct globals *g = NULL;
        CHECK_INT(globals_new(&g, false), 0);
        f.context.globals = g;
        CHECK_TEXT(fixture_get(&f, "$/g"), "");
        _owned_(arena_fini) struct arena a = {0};
        CHECK_INT(globals_set(g, TEXT("g"), json_string(&a, TEXT("glob")), false), 0);
        CHECK_TEXT(fixture_get(&f, "$/G"), "glob");
        CHECK_TEXT(fixture_get(&f, "$/"), "{ \"g\": \"glob\" }");
}

static void wrong_names_are_refused_with_a_suggestion(void) {
        struct property p;
        CHECK_INT(property_find(&p, TEXT("msgg")), -ENOENT);
        CHECK_INT(property_find(&p, TEXT("")), -ENOENT);
        CHECK_INT(property_find(&p, TEXT("$")), -ENOENT);
        CHECK_INT(property_find(&p, TEXT("$uptime-utc")), -ENOENT);
        CHECK_INT(property_find(&p, TEXT("timestamp-utc")), -ENOENT);
        CHECK_TEXT(text_of(property_closest(TEXT("msgg"))), "msg");
        CHECK_TEXT(text_of(property_closest(TEXT("now"))), "$now");
        CHECK_TEXT(text_of(property_closest(TEXT("$hostname"))), "hostname");
        CHECK_TEXT(text_of(property_closest(TEXT("syslogfacilty-text"))), "syslogfacility-text");
        CHECK(!property_closest(TEXT("entirelydifferent")));
}

TEST_MAIN(TEST(a_traditional_message_shows_what_rsyslog_shows), TEST(a_modern_message_has_a_tag_made_of_its_fields),
          TEST(program_and_process_are_cut_out_of_the_tag), TEST(slashes_belong_to_the_program_where_permitted),
          TEST(a_facility_out_of_range_is_invld), TEST(clock_properties_follow_the_zone_and_their_utc_forms_do_not),
          TEST(a_uuid_stays_with_its_record), TEST(the_whole_record_prints_as_rsyslogs_json),
          TEST(variables_print_as_in_rsyslog), TEST(global_variables_answer_too),
          TEST(wrong_names_are_refused_with_a_suggestion))
