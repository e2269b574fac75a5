#include "input/metric_name.h"

#include "base/test.h"

static void check(struct text origin, struct text object, struct text counter, const char *wanted) {
        _owned_(buffer_fini) struct buffer out = {0};
        metric_name(&out, origin, object, counter);
        CHECK_TEXT(buffer_as_text(&out), wanted);
}

static void what_is_valid_stays(void) {
        check(TEXT("imudp"), TEXT("own_name"), TEXT("submitted"), "imudp_own_name_submitted_total");
        check(TEXT("a:b"), TEXT(""), TEXT("c1"), "a:b_c1_total");
}

static void other_names_are_escaped_so_that_no_two_are_one(void) {
        check(TEXT(""), TEXT("main Q"), TEXT("size.enqueued"), "U__main_20_Q__size_2E_enqueued__total");
        check(TEXT(""), TEXT("main.Q"), TEXT("size_enqueued"), "U__main_2E_Q__size__enqueued__total");
        check(TEXT(""), TEXT("1"), TEXT("x"), "U___31___x__total");
        check(TEXT(""), TEXT("U__a"), TEXT("x"), "U__U____a__x__total");
        check(TEXT(""), TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), TEXT("x"), "U___E4__20AC__1F600___x__total");
        check(TEXT(""), TEXT("\xff\xc3"), TEXT("x"), "U___FFFD__FFFD___x__total");
}

static void labels_have_names_without_colons(void) {
        CHECK(label_name_is_valid(TEXT("env_2")));
        CHECK(!label_name_is_valid(TEXT("2env")));
        CHECK(!label_name_is_valid(TEXT("a:b")));
        CHECK(!label_name_is_valid(TEXT("")));
}

TEST_MAIN(TEST(what_is_valid_stays), TEST(other_names_are_escaped_so_that_no_two_are_one),
          TEST(labels_have_names_without_colons))
