/* What programs and rule bases may change, and containers. */
#include <errno.h>

#include "message/change.h"
#include "message/fixture.h"
#include "message/variable.h"

static void set(struct fixture *f, const char *name, const char *value) {
        struct json string = {.type = JSON_STRING, .string = text_of(value)};
        CHECK_INT(change_property(f->batch, f->record, &f->context, text_of(name), &string), 0);
}

static void a_changed_text_changes_the_raw_message_with_it(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host", "tag:", " text");
        CHECK_INT(change_msg(f.batch, f.record, TEXT("other")), 0);
        CHECK_TEXT(fixture_get(&f, "msg"), "other");
        CHECK_TEXT(fixture_get(&f, "rawmsg"), "<134>Mar  1 01:02:03 host tag:other");
        CHECK_TEXT(fixture_get(&f, "syslogtag"), "tag:");
        CHECK_INT(change_msg(f.batch, f.record, TEXT("")), 0);
        CHECK_TEXT(fixture_get(&f, "rawmsg"), "<134>Mar  1 01:02:03 host tag:");
        set(&f, "rawmsg", "short");
        CHECK_TEXT(fixture_get(&f, "msg"), "");
        set(&f, "msg", "er");
        CHECK_TEXT(fixture_get(&f, "rawmsg"), "shorter");
}

static void a_changed_sender_is_one_records_own(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "", "tag:", " one");
        struct record *first = f.record;
        set(&f, "fromhost", "renamed");
        set(&f, "fromhost-ip", "192.0.2.1");
        CHECK_TEXT(fixture_get(&f, "fromhost"), "renamed");
        CHECK_TEXT(fixture_get(&f, "fromhost-ip"), "192.0.2.1");
        CHECK_TEXT(fixture_get(&f, "inputname"), "imtcp");
        fixture_rfc3164(&f, "", "tag:", " two");
        CHECK_TEXT(fixture_get(&f, "fromhost"), "localhost");
        CHECK(first->source != f.record->source);
}

static void priorities_have_their_edges(void) {
        static const struct {
                const char *name, *value, *pri;
        } cases[] = {{"pri", "34", "34"},
                     {"pri", "191", "191"},
                     {"pri", "192", "invld"},
                     {"pri", "-1", "invld"},
                     {"pri", "x", "0"},
                     {"syslogseverity", "8", "134"},
                     {"syslogseverity", "-1", "134"},
                     {"syslogseverity", "2", "130"},
                     {"syslogfacility", "4", "38"},
                     {"syslogfacility", "25", "134"},
                     {"pri", "99999999999999999999", "invld"}};
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _owned_(fixture_fini) struct fixture f = {0};
                fixture_rfc3164(&f, "host", "tag:", " text");
                set(&f, cases[i].name, cases[i].value);
                CHECK_TEXT(fixture_get(&f, "pri"), cases[i].pri);
        }
}

static void other_names_and_null_change_nothing(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_rfc3164(&f, "host", "tag:", " text");
        set(&f, "MSG", "x");
        set(&f, "app-name", "x");
        set(&f, "$!x", "x");
        struct json null = {.type = JSON_NULL};
        CHECK_INT(change_property(f.batch, f.record, &f.context, TEXT("msg"), &null), 0);
        CHECK_TEXT(fixture_get(&f, "msg"), " text");
        CHECK_TEXT(fixture_get(&f, "app-name"), "tag");
        CHECK(!f.record->tree[TREE_MESSAGE]);
}

static void a_container_is_a_variable(void) {
        struct container c;
        CHECK_INT(container_parse(&c, TEXT("$!a!b")), 0);
        CHECK(c.scope == '!' && text_equal(c.path, TEXT("a!b")));
        CHECK_INT(container_parse(&c, TEXT(".")), 0);
        CHECK(c.scope == '.' && c.path.size == 0);
        CHECK_INT(container_parse(&c, TEXT("")), -EINVAL);
        CHECK_INT(container_parse(&c, TEXT("$")), -EINVAL);
        CHECK_INT(container_parse(&c, TEXT("a")), -EINVAL);
        CHECK(container_is_global("$/x") && !container_is_global("$!x") && !container_is_global("x"));
}

static void names_meet_whatever_their_case_unless_it_matters(void) {
        for (int i = 0; i < 2; i++) {
                _owned_(fixture_fini) struct fixture f = {0};
                fixture_rfc3164(&f, "host", "tag:", " text");
                f.context.is_case_sensitive = i;
                const struct container root = {'!', TEXT("")};
                struct json *first, *second;
                size_t used;
                CHECK_INT(json_parse(&f.batch->arena, TEXT("{\"A\":1,\"b\":{\"c\":1}}"), &first, &used), 0);
                CHECK_INT(json_parse(&f.batch->arena, TEXT("{\"a\":2,\"B\":null}"), &second, &used), 0);
                CHECK_INT(container_add(&root, &f.context, f.batch, f.record, first), 0);
                CHECK_INT(container_add(&root, &f.context, f.batch, f.record, second), 0);
                CHECK_TEXT(fixture_get(&f, "$!all-json-plain"),
                           i ? "{\"A\":1,\"b\":{\"c\":1},\"a\":2,\"B\":null}" : "{\"A\":2,\"b\":null}");
        }
}

TEST_MAIN(TEST(a_changed_text_changes_the_raw_message_with_it), TEST(a_changed_sender_is_one_records_own),
          TEST(priorities_have_their_edges), TEST(other_names_and_null_change_nothing), TEST(a_container_is_a_variable),
          TEST(names_meet_whatever_their_case_unless_it_matters))
