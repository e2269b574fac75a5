#include "lookup/table.h"

#include <errno.h>

#include "base/test.h"

struct heard {
        struct lookup_listener listener;
        unsigned count, errors;
        enum severity severity;
        uint32_t line, column;
        char what[600];
};

static void hear(struct lookup_listener *listener, enum severity severity, uint32_t line, uint32_t column,
                 const char *what) {
        struct heard *h = CONTAINER_OF(listener, struct heard, listener);
        h->count++;
        h->errors += severity <= SEVERITY_ERR;
        h->severity = severity;
        h->line = line;
        h->column = column;
        snprintf(h->what, sizeof h->what, "%s", what);
}

static struct heard heard;

static struct lookup *read_as(int wanted, const char *file) {
        struct lookup *l = NULL;
        heard = (struct heard){.listener.hear = hear};
        CHECK_INT(lookup_read(&l, text_of(file), &heard.listener), wanted);
        CHECK(!l == (wanted != 0));
        return l;
}

static void check_refused(const char *file, uint32_t line, uint32_t column, const char *part) {
        read_as(-EBADMSG, file);
        CHECK_INT(heard.errors, 1);
        CHECK_INT(heard.line, line);
        CHECK_INT(heard.column, column);
        if (!strstr(heard.what, part))
                TEST_FAIL("said \"%s\", not \"%s\"", heard.what, part);
}

static void strings_are_found_exactly(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"version\":1,\"nomatch\":\"unk\",\"type\":\"string\",\"table\":["
                           "{\"index\":\"a\",\"value\":\"A\"},{\"value\":\"A\",\"index\":\"b\"},"
                           "{\"index\":\"\",\"value\":\"empty\"},{\"index\":7,\"value\":8}]}");
        CHECK_INT(heard.count, 0);
        CHECK_TEXT(lookup_find(l, TEXT("a")), "A");
        CHECK_TEXT(lookup_find(l, TEXT("b")), "A");
        CHECK_TEXT(lookup_find(l, TEXT("")), "empty");
        CHECK_TEXT(lookup_find(l, TEXT("7")), "8");
        CHECK_TEXT(lookup_find(l, TEXT("A")), "unk");
        CHECK_TEXT(lookup_find(l, TEXT("ab")), "unk");
        CHECK_INT(lookup_count(l), 4);
}

static void an_array_answers_within_its_bounds(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"nomatch\":\"nothing\",\"type\":\"array\",\"version\":\"1\",\"table\":["
                           "{\"index\":11,\"value\":\"baz\"},{\"index\":9,\"value\":\"foo\"},"
                           "{\"index\":\"10\",\"value\":\"bar\"}]}");
        CHECK_TEXT(lookup_find_number(l, 9), "foo");
        CHECK_TEXT(lookup_find_number(l, 10), "bar");
        CHECK_TEXT(lookup_find_number(l, 11), "baz");
        CHECK_TEXT(lookup_find_number(l, 8), "nothing");
        CHECK_TEXT(lookup_find_number(l, 12), "nothing");
        CHECK_TEXT(lookup_find_number(l, UINT32_MAX), "nothing");
}

static void a_sparse_array_answers_with_the_nearest_below(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"version\":1,\"nomatch\":\"no_num\",\"type\":\"sparseArray\",\"table\":["
                           "{\"index\":\"4026531840\",\"value\":\"top\"},{\"index\":\"9\",\"value\":\"foo\"},"
                           "{\"index\":\"11\",\"value\":\"baz\"}]}");
        static const struct {
                uint32_t key;
                const char *value;
        } wanted[] = {{0, "no_num"}, {8, "no_num"},        {9, "foo"},           {10, "foo"},
                      {11, "baz"},   {4026531839u, "baz"}, {4026531840u, "top"}, {UINT32_MAX, "top"}};
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
                CHECK_TEXT(lookup_find_number(l, wanted[i].key), wanted[i].value);
}

static void the_first_regex_that_matches_answers(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"version\":1,\"nomatch\":\"none\",\"type\":\"regex\",\"table\":["
                           "{\"regex\":\"^web[0-9]+$\",\"tag\":\"web\"},{\"index\":\"^w\",\"value\":\"w\"}]}");
        CHECK_TEXT(lookup_find(l, TEXT("web12")), "web");
        CHECK_TEXT(lookup_find(l, TEXT("web12x")), "w");
        CHECK_TEXT(lookup_find(l, text_slice(TEXT("web12x"), 0, 5)), "web");
        CHECK_TEXT(lookup_find(l, TEXT("db1")), "none");
        CHECK_TEXT(lookup_find(l, TEXT_NONE), "none");
        check_refused("{\"type\":\"regex\",\"table\":[\n {\"index\":\"(\",\"value\":1}]}", 2, 2, "'(' is no regular");
}

static void values_are_what_rsyslog_makes_of_them(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"Version\":1,\"NoMatch\":5,\"TABLE\":[{\"Index\":\"o\",\"Value\":{\"x\":1}},"
                           "{\"index\":\"n\",\"value\":1.50},{\"index\":\"cut\\u0000x\",\"value\":\"a\\u0000b\"},"
                           "{\"index\":\"q\",\"value\":\"\\\"\\u00e9\"}]}");
        CHECK_TEXT(lookup_find(l, TEXT("o")), "{ \"x\": 1 }");
        CHECK_TEXT(lookup_find(l, TEXT("n")), "1.50");
        CHECK_TEXT(lookup_find(l, TEXT("cut")), "a");
        CHECK_TEXT(lookup_find(l, TEXT("q")), "\"\xc3\xa9");
        CHECK_TEXT(lookup_find(l, TEXT("-")), "5");
}

static void an_empty_table_knows_only_its_nomatch(void) {
        _owned_(lookup_unref) struct lookup *s = read_as(0, "{\"version\":1,\"nomatch\":\"NM\",\"table\":[]}");
        CHECK_TEXT(lookup_find(s, TEXT("a")), "NM");
        _owned_(lookup_unref) struct lookup *a =
                read_as(0, "{\"version\":1,\"nomatch\":\"NM\",\"type\":\"array\",\"table\":[ ]}");
        CHECK_TEXT(lookup_find_number(a, 0), "NM");
}

static void of_twins_the_last_counts_and_is_told(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "{\"version\":1,\"table\":[\n{\"index\":\"a\",\"value\":\"1\"},\n"
                           "{\"index\":\"b\",\"value\":\"2\"},\n  {\"index\":\"a\",\"value\":\"3\"}]}");
        CHECK_TEXT(lookup_find(l, TEXT("a")), "3");
        CHECK_TEXT(lookup_find(l, TEXT("b")), "2");
        CHECK_INT(lookup_count(l), 2);
        CHECK_INT(heard.count, 1);
        CHECK_INT(heard.severity, SEVERITY_WARNING);
        CHECK_INT(heard.line, 4);
        CHECK_INT(heard.column, 3);
        _owned_(lookup_unref) struct lookup *n =
                read_as(0, "{\"version\":1,\"type\":\"sparseArray\",\"table\":[{\"index\":1,\"value\":\"b\"},"
                           "{\"index\":1,\"value\":\"c\"}]}");
        CHECK_TEXT(lookup_find_number(n, 5), "c");
}

static void comments_and_what_follows_do_no_harm(void) {
        _owned_(lookup_unref) struct lookup *l =
                read_as(0, "/* hosts */ {\"version\":1, // one\n \"table\": /**/ [{\"index\":\"a\",\"value\":\"b\"}"
                           "/* row */]} trailing");
        CHECK_TEXT(lookup_find(l, TEXT("a")), "b");
        CHECK_INT(heard.severity, SEVERITY_WARNING);
}

static void a_mistake_is_told_with_its_place(void) {
        check_refused("", 1, 1, "empty");
        check_refused("hello", 1, 1, "begins with `{`");
        check_refused("[1]", 1, 1, "invalid table definition");
        check_refused("{\"version\":1}", 1, 1, "there is no \"table\"");
        check_refused("{\"version\":1,\n\"table\":{}}", 2, 9, "array of rows");
        check_refused("{\"version\":2,\"table\":[]}", 1, 12, "unsupported version: 2");
        check_refused("{\"type\":\"foo\",\"table\":[]}", 1, 9, "unsupported type 'foo'");
        check_refused("{\"type\":\"String\",\"table\":[]}", 1, 9, "unsupported type");
        check_refused("{\"table\":[\n{\"index\":\"a\"}]}", 2, 1, "without 'value'");
        check_refused("{\"table\":[\n{\"index\":\"a\",\"value\":null}]}", 2, 1, "without 'value'");
        check_refused("{\"table\":[\n{\"value\":\"a\"}]}", 2, 1, "without 'index'");
        check_refused("{\"table\":[\"a\"]}", 1, 11, "without 'value'");
        check_refused("{\"table\":[{\"index\":\"a\",\"value\":\"b\"}\n", 2, 1, "`,` or `]`");
        check_refused("{\"table\":[{\"index\":\"a\" \"value\":\"b\"}]}", 1, 11, "json parsing error");
        check_refused("{\"version\":1,\"type\":\"array\",\"table\":[{\"index\":1,\"value\":1},\n\n"
                      " {\"index\":3,\"value\":1}]}",
                      3, 2, "nothing lies between 1 and 3");
        check_refused("{\"version\":1,\"type\":\"array\",\"table\":[{\"index\":\"foo\",\"value\":1}]}", 1, 38,
                      "'foo' is no number");
        check_refused("{\"version\":1,\"type\":\"sparseArray\",\"table\":[{\"index\":4294967296,\"value\":1}]}", 1, 44,
                      "no number from 0");
}

static void an_index_beyond_the_limit_is_refused(void) {
        _owned_(buffer_fini) struct buffer file = {0};
        buffer_text(&file, TEXT("{\"version\":1,\"table\":[{\"value\":\"b\",\"index\":\""));
        for (unsigned i = 0; i < 4097; i++)
                buffer_byte(&file, 'k');
        buffer_text(&file, TEXT("\"}]}"));
        check_refused(buffer_string(&file), 1, 23, "at most 4096 bytes");
}

static void a_stub_answers_everything(void) {
        struct lookup *l;
        CHECK_INT(lookup_new_stub(&l, TEXT("STUB")), 0);
        CHECK_TEXT(lookup_find(l, TEXT("x")), "STUB");
        struct lookup *other = lookup_ref(l);
        lookup_unref(l);
        CHECK_TEXT(lookup_find(other, TEXT("")), "STUB");
        lookup_unref(other);
}

TEST_MAIN(TEST(strings_are_found_exactly), TEST(an_array_answers_within_its_bounds),
          TEST(a_sparse_array_answers_with_the_nearest_below), TEST(the_first_regex_that_matches_answers),
          TEST(values_are_what_rsyslog_makes_of_them), TEST(an_empty_table_knows_only_its_nomatch),
          TEST(of_twins_the_last_counts_and_is_told), TEST(comments_and_what_follows_do_no_harm),
          TEST(a_mistake_is_told_with_its_place), TEST(an_index_beyond_the_limit_is_refused),
          TEST(a_stub_answers_everything))
