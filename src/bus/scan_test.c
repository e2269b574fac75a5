#include "bus/scan.h"

#include <errno.h>
#include <stdio.h>

#include "base/test.h"

static bool is_json(const char *text) {
        struct scan_value value;
        return scan_whole(text_of(text), &value) == 0;
}

static void what_is_json_is_taken(void) {
        static const char *const good[] = {
                "{}",
                " [ ] ",
                "null",
                "-0.5e+10",
                "\"\"",
                "[1,2,{\"a\":[]}]",
                "{\"a\":1,\"a\":2}",
                "\"\\u0041\\n\\/\"",
                "\"\xc3\xbc\xf0\x9f\x98\x80\"",
                "\"raw\ttab and \x01\"",
                "\"\\ud800\"",
                "12345678901234567890",
        };
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                if (!is_json(good[i]))
                        TEST_FAIL("refused: %s", good[i]);
}

static void what_is_none_is_refused(void) {
        static const char *const bad[] = {
                "",
                "{",
                "[1,]",
                "{\"a\"}",
                "{\"a\":}",
                "{a:1}",
                "01",
                "1.",
                ".5",
                "+1",
                "1e",
                "nul",
                "\"",
                "\"\\x\"",
                "\"\\u12g4\"",
                "\"\xff\"",
                "\"\xc0\xaf\"",
                "\"\xed\xa0\x80\"",
                "\"\xf4\x90\x80\x80\"",
                "{} x",
                "[1 2]",
                "{\"a\":1 \"b\":2}",
                "]",
                "[}",
                "{]",
                "'a'",
                "\"\xc3\"",
        };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (is_json(bad[i]))
                        TEST_FAIL("taken: %s", bad[i]);
}

static void nesting_is_bounded(void) {
        char deep[2 * SCAN_NESTING_MAX + 4];
        memset(deep, '[', SCAN_NESTING_MAX);
        memset(deep + SCAN_NESTING_MAX, ']', SCAN_NESTING_MAX);
        deep[2 * SCAN_NESTING_MAX] = '\0';
        CHECK(is_json(deep));
        memset(deep, '[', SCAN_NESTING_MAX + 1);
        memset(deep + SCAN_NESTING_MAX + 1, ']', SCAN_NESTING_MAX + 1);
        deep[2 * SCAN_NESTING_MAX + 2] = '\0';
        CHECK(!is_json(deep));
}

static void an_escape_equals_its_character(void) {
        struct scan_value value;
        CHECK_INT(scan_whole(TEXT("\"\\u0041\\ud83d\\ude00\\n\\/\\\"\\u00fc\""), &value), 0);
        CHECK(value.is_escaped);
        CHECK(scan_equals(&value, TEXT("A\xf0\x9f\x98\x80\n/\"\xc3\xbc")));
        CHECK(!scan_equals(&value, TEXT("A")));
        char room[64];
        CHECK_TEXT(scan_string(&value, room), "A\xf0\x9f\x98\x80\n/\"\xc3\xbc");
}

static void every_place_of_a_quote_is_found(void) {
        /* Strings are looked at eight bytes at a time. */
        for (int size = 0; size < 40; size++) {
                char text[64] = "\"";
                struct scan_value value;
                memset(text + 1, 'x', (size_t)size);
                text[size + 1] = '"';
                text[size + 2] = '\0';
                CHECK_INT(scan_whole(text_of(text), &value), 0);
                CHECK_INT(value.text.size, size);
        }
}

static void members_are_found_and_the_last_counts(void) {
        struct scan_value whole;
        CHECK_INT(scan_whole(TEXT("{\"a\":1,\"b\":[2,{\"a\":3}],\"\\u0061\":\"x\"}"), &whole), 0);
        struct scan_value a = scan_member(&whole, TEXT("a")), b = scan_member(&whole, TEXT("b"));
        CHECK(a.kind == SCAN_STRING);
        CHECK_TEXT(scan_raw(&a), "\"x\"");
        CHECK_TEXT(scan_raw(&b), "[2,{\"a\":3}]");
        CHECK(scan_member(&whole, TEXT("c")).kind == SCAN_ABSENT);
        struct scan_walk walk = scan_walk_begin(&b);
        int64_t number;
        CHECK(scan_walk_next(&walk) && scan_integer(&walk.value, &number) && number == 2);
        CHECK(scan_walk_next(&walk) && walk.value.kind == SCAN_OBJECT);
        CHECK(!scan_walk_next(&walk));
}

static void what_is_quoted_reads_back(void) {
        _owned_(buffer_fini) struct buffer out = {0};
        struct text hard = {"a\"b\\c\n\0\x1f\xc3\xbc/", 12};
        scan_quote(&out, hard);
        struct scan_value value;
        char room[64];
        CHECK_INT(scan_whole(buffer_as_text(&out), &value), 0);
        CHECK(text_equal(scan_string(&value, room), hard));
        buffer_clear(&out);
        scan_quote(&out, TEXT("\xff"));
        CHECK_TEXT(buffer_as_text(&out), "\"\xef\xbf\xbd\"");
}

/* Strings are passed over eight bytes at a time: none of those places may be different. */
static void what_matters_in_a_string_is_seen_wherever_it_stands(void) {
        static const struct {
                const char *part;
                bool is_good, is_escaped;
        } parts[] = {{"\\\"", true, true},
                     {"\xc3\xbc", true, false},
                     {"\xc3", false, false},
                     {"\\x", false, false},
                     {"\"", false, false}};
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                for (int before = 0; before < 20; before++)
                        for (int behind = 0; behind < 20; behind++) {
                                struct scan_value value;
                                char json[64];
                                int size = snprintf(json, sizeof json, "\"%.*s%s%.*s\"", before, "!#[]^~#!!!####[[]]~~",
                                                    parts[i].part, behind, "#!]~[^!#!#!#[[]]~~~~");
                                int r = scan_whole((struct text){json, (size_t)size}, &value);
                                if (parts[i].is_good != (r == 0) || (r == 0 && value.is_escaped != parts[i].is_escaped))
                                        TEST_FAIL("%s: %d", json, r);
                        }
}

TEST_MAIN(TEST(what_is_json_is_taken), TEST(what_is_none_is_refused), TEST(nesting_is_bounded),
          TEST(an_escape_equals_its_character), TEST(every_place_of_a_quote_is_found),
          TEST(what_matters_in_a_string_is_seen_wherever_it_stands), TEST(members_are_found_and_the_last_counts),
          TEST(what_is_quoted_reads_back))
