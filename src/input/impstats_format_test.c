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

static void check_counter(const struct statistic_object *o, size_t which, const char *wanted) {
        _owned_(buffer_fini) struct buffer out = {0};
        impstats_render_counter(&out, o, &o->values[which]);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void prometheus_gets_each_counter_under_the_name_of_its_object(void) {
        const struct statistic_object o = {
                .name = TEXT("imuxsock"), .origin = "imuxsock", .values = values, .count = ARRAY_SIZE(values)};
        check_counter(&o, 0,
                      "# HELP imuxsock_submitted_total rsyslog stats: origin=\"imuxsock\" object=\"imuxsock\", "
                      "counter=\"submitted\"\n"
                      "# TYPE imuxsock_submitted_total counter\n"
                      "imuxsock_submitted_total 3\n");
        check_counter(&o, 1,
                      "# HELP U__imuxsock__bytes_2E_received__total rsyslog stats: origin=\"imuxsock\" "
                      "object=\"imuxsock\", counter=\"bytes.received\"\n"
                      "# TYPE U__imuxsock__bytes_2E_received__total counter\n"
                      "U__imuxsock__bytes_2E_received__total -1\n");
}

static void no_name_breaks_a_line_for_prometheus(void) {
        const struct statistic_object o = {.name = TEXT("w\"r\\i\n"), .origin = "x", .values = values, .count = 1};
        check_counter(
                &o, 0,
                "# HELP U__w_22_r_5C_i_A___submitted__total rsyslog stats: origin=\"x\" object=\"w\\\"r\\\\i\\n\", "
                "counter=\"submitted\"\n"
                "# TYPE U__w_22_r_5C_i_A___submitted__total counter\n"
                "U__w_22_r_5C_i_A___submitted__total 3\n");
}

TEST_MAIN(TEST(an_object_is_a_line_in_every_format), TEST(names_of_users_stand_apart_and_are_escaped),
          TEST(an_empty_bucket_is_an_empty_object), TEST(prometheus_gets_each_counter_under_the_name_of_its_object),
          TEST(no_name_breaks_a_line_for_prometheus))
