#include "input/impstats_format.h"

#include "base/test.h"

static const struct statistic_value values[] = {{TEXT("submitted"), 3}, {TEXT("bytes.received"), -1}};

static void check(const struct statistic_object *o, enum impstats_format format, const char *wanted) {
        _owned_(buffer_fini) struct buffer out = {0};
        impstats_render(&out, o, format);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void an_object_is_a_line_in_every_format(void) {
        const struct statistic_object o = {
                .name = TEXT("in(*/514)"), .origin = "im.tcp", .values = values, .count = ARRAY_SIZE(values)};
        check(&o, IMPSTATS_LEGACY, "in(*/514): origin=im.tcp submitted=3 bytes.received=-1 ");
        check(&o, IMPSTATS_JSON,
              "{ \"name\": \"in(*\\/514)\", \"origin\": \"im.tcp\", \"submitted\": 3, \"bytes.received\": -1 }");
        check(&o, IMPSTATS_JSON_ELASTICSEARCH,
              "{ \"name\": \"in(*\\/514)\", \"origin\": \"im.tcp\", \"submitted\": 3, \"bytes!received\": -1 }");
        check(&o, IMPSTATS_CEE,
              "@cee: { \"name\": \"in(*\\/514)\", \"origin\": \"im.tcp\", \"submitted\": 3, \"bytes.received\": -1 }");
}

static void names_of_users_stand_apart_and_are_escaped(void) {
        const struct statistic_value own[] = {{TEXT("a\"b\n"), 1}, {TEXT("c"), 2}};
        const struct statistic_object o = {
                .name = TEXT("b"), .origin = "dynstats.bucket", .is_nested = true, .values = own, .count = 2};
        check(&o, IMPSTATS_JSON,
              "{ \"name\": \"b\", \"origin\": \"dynstats.bucket\", \"values\": { \"a\\\"b\\n\": 1, \"c\": 2 } }");
}

static void an_empty_bucket_is_an_empty_object(void) {
        const struct statistic_object o = {.name = TEXT("global"), .origin = "dynstats", .is_nested = true};
        check(&o, IMPSTATS_JSON, "{ \"name\": \"global\", \"origin\": \"dynstats\", \"values\": { } }");
        check(&o, IMPSTATS_LEGACY, "global: origin=dynstats ");
}

TEST_MAIN(TEST(an_object_is_a_line_in_every_format), TEST(names_of_users_stand_apart_and_are_escaped),
          TEST(an_empty_bucket_is_an_empty_object))
