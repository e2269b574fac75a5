#include "ruleset/value.h"

#include "base/test.h"

static void a_number_is_what_a_text_begins_with(void) {
        bool is_whole;
        CHECK_INT(text_number(TEXT("12x"), &is_whole), 12);
        CHECK(!is_whole);
        CHECK_INT(text_number(TEXT("-12"), &is_whole), -12);
        CHECK(is_whole);
        CHECK_INT(text_number(TEXT("017"), &is_whole), 17);
        CHECK(is_whole);
        CHECK_INT(text_number(TEXT("0x1f"), &is_whole), 0);
        CHECK(!is_whole);
        CHECK_INT(text_number(TEXT("+5"), &is_whole), 0);
        CHECK(!is_whole);
}

static void nothing_is_a_whole_zero(void) {
        bool is_whole = false;
        CHECK_INT(text_number(TEXT(""), &is_whole), 0);
        CHECK(is_whole);
}

static void too_large_numbers_wrap(void) {
        CHECK_INT(text_number(TEXT("18446744073709551617"), NULL), 1);
        CHECK_INT(text_number(TEXT("9223372036854775808"), NULL), INT64_MIN);
}

static void an_operand_is_octal_or_hexadecimal_as_rsyslog_counts(void) {
        struct value octal = value_text(TEXT("018")), hexadecimal = value_text(TEXT("0x1F"));
        CHECK_INT(value_to_operand(&octal), 1);
        CHECK_INT(value_to_operand(&hexadecimal), 21);
}

static int64_t compare(enum operator op, struct value left, struct value right) {
        _owned_(arena_fini) struct arena a = {0};
        return value_compare(op, &left, &right, &a);
}

static void texts_are_equal_as_texts_but_ordered_as_numbers(void) {
        CHECK_INT(compare(OP_EQUAL, value_text(TEXT("01")), value_text(TEXT("1"))), 0);
        CHECK_INT(compare(OP_EQUAL, value_text(TEXT("01")), value_number(1)), 1);
        CHECK_INT(compare(OP_LESS, value_text(TEXT("9")), value_text(TEXT("10"))), 1);
        CHECK_INT(compare(OP_LESS, value_text(TEXT("9x")), value_text(TEXT("10"))), 0);
}

static void difference_is_that_of_the_bytes(void) {
        CHECK_INT(compare(OP_NOT_EQUAL, value_text(TEXT("abc")), value_number(0)), 'a' - '0');
        CHECK_INT(compare(OP_NOT_EQUAL, value_number(5), value_text(TEXT("abc"))), 'a' - '5');
        CHECK_INT(compare(OP_NOT_EQUAL, value_text(TEXT("abc")), value_text(TEXT("abcd"))), -1);
}

static void json_on_the_right_equals_nothing_but_a_text_that_is_no_number(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct value five = value_of_json(json_int(&a, 5));
        CHECK_INT(compare(OP_EQUAL, five, five), 0);
        CHECK_INT(compare(OP_EQUAL, value_number(5), five), 0);
        CHECK_INT(compare(OP_EQUAL, five, value_number(5)), 1);
        CHECK_INT(compare(OP_LESS_EQUAL, value_number(5), five), 1);
        struct value object = value_of_json(json_object(&a));
        CHECK_INT(compare(OP_NOT_EQUAL, value_text(TEXT("q")), object), 'q' - '{');
        CHECK_INT(compare(OP_NOT_EQUAL, value_text(TEXT("17")), object), 1);
}

static void a_member_that_is_a_string_always_has_a_number(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct value word = value_of_member(json_string(&a, TEXT("q")));
        struct value digits = value_of_member(json_string(&a, TEXT("17")));
        CHECK_INT(compare(OP_EQUAL, word, value_number(0)), 1);
        CHECK_INT(compare(OP_LESS, word, value_number(3)), 1);
        CHECK_INT(compare(OP_EQUAL, value_text(TEXT("q")), word), 1);
        CHECK_INT(compare(OP_EQUAL, digits, value_number(17)), 1);
        CHECK_INT(compare(OP_EQUAL, value_text(TEXT("17")), digits), 0);
        CHECK_INT(compare(OP_LESS, value_text(TEXT("3")), digits), 1);
}

static void doubles_are_told_anew(void) {
        _owned_(arena_fini) struct arena a = {0};
        struct json *json;
        size_t used;
        CHECK_INT(json_parse(&a, TEXT("{\"a\":1e2,\"b\":[1.50]}"), &json, &used), 0);
        struct value v = value_of_json(json);
        CHECK_TEXT(value_to_text(&v, &a), "{ \"a\": 100.0, \"b\": [ 1.5 ] }");
}

static void a_text_starts_with_what_it_ends_in(void) {
        CHECK(starts_nocase_loosely(TEXT("abc"), TEXT("ABCD")));
        CHECK(starts_nocase_loosely(TEXT("abc"), TEXT("A")));
        CHECK(!starts_nocase_loosely(TEXT("abc"), TEXT("ABD")));
}

TEST_MAIN(TEST(a_number_is_what_a_text_begins_with), TEST(nothing_is_a_whole_zero), TEST(too_large_numbers_wrap),
          TEST(an_operand_is_octal_or_hexadecimal_as_rsyslog_counts),
          TEST(texts_are_equal_as_texts_but_ordered_as_numbers), TEST(difference_is_that_of_the_bytes),
          TEST(json_on_the_right_equals_nothing_but_a_text_that_is_no_number),
          TEST(a_member_that_is_a_string_always_has_a_number), TEST(doubles_are_told_anew),
          TEST(a_text_starts_with_what_it_ends_in))
