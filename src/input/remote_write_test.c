#include "input/remote_write.h"

#include "base/test.h"

static const struct statistic_value values[] = {{TEXT("a"), 3}, {TEXT("b"), -1}};
static const struct statistic_object object = {
        .name = TEXT("o"), .origin = "im", .values = values, .count = ARRAY_SIZE(values)};

static void a_series_has_sorted_labels_and_a_sample(void) {
        static const struct remote_label labels[] = {
                {TEXT("x"), TEXT("y")}, {TEXT("A"), TEXT("b")}, {TEXT("x"), TEXT("z")}};
        struct remote_write w = {.labels = labels, .label_count = 3, .names_object = true};
        remote_write_begin(&w, 300);
        remote_write_add(&w,
                         &(struct statistic_object){.name = TEXT("o"), .origin = "im", .values = values, .count = 1});
        CHECK_INT(remote_write_end(&w), 0);
        CHECK_INT(remote_write_count(&w), 1);
        static const char wanted[] = "\x0a\x43"
                                     "\x0a\x06\x0a\x01"
                                     "A"
                                     "\x12\x01"
                                     "b"
                                     "\x0a\x18\x0a\x08"
                                     "__name__"
                                     "\x12\x0c"
                                     "im_o_a_total"
                                     "\x0a\x09\x0a\x04"
                                     "name"
                                     "\x12\x01"
                                     "o"
                                     "\x0a\x06\x0a\x01"
                                     "x"
                                     "\x12\x01"
                                     "y"
                                     "\x12\x0c\x09\0\0\0\0\0\0\x08\x40\x10\xac\x02";
        struct text body = remote_write_body(&w, 0);
        CHECK_INT(body.size, sizeof wanted - 1);
        CHECK(text_equal(body, (struct text){wanted, sizeof wanted - 1}));
        remote_write_fini(&w);
}

static void bodies_are_split_by_series_and_by_bytes(void) {
        struct remote_write w = {.series_max = 1};
        remote_write_begin(&w, 300);
        remote_write_add(&w, &object);
        remote_write_add(&w, &object);
        CHECK_INT(remote_write_end(&w), 0);
        CHECK_INT(remote_write_count(&w), 4);
        size_t one = remote_write_body(&w, 1).size;
        CHECK(text_equal(remote_write_body(&w, 1), remote_write_body(&w, 3)));
        w.series_max = 0;
        w.bytes_max = (int64_t)(2 * one);
        remote_write_begin(&w, 300);
        remote_write_add(&w, &object);
        remote_write_add(&w, &object);
        CHECK_INT(remote_write_end(&w), 0);
        CHECK_INT(remote_write_count(&w), 2);
        CHECK_INT(remote_write_body(&w, 1).size, 2 * one);
        w.bytes_max = 1; /* a series is never cut */
        remote_write_begin(&w, 300);
        remote_write_add(&w, &object);
        CHECK_INT(remote_write_end(&w), 0);
        CHECK_INT(remote_write_count(&w), 2);
        remote_write_fini(&w);
}

static void a_report_of_nothing_has_no_body(void) {
        struct remote_write w = {0};
        remote_write_begin(&w, 1);
        CHECK_INT(remote_write_end(&w), 0);
        CHECK_INT(remote_write_count(&w), 0);
        remote_write_fini(&w);
}

TEST_MAIN(TEST(a_series_has_sorted_labels_and_a_sample), TEST(bodies_are_split_by_series_and_by_bytes),
          TEST(a_report_of_nothing_has_no_body))
