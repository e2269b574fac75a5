#include "ruleset/comparison.h"

#include "base/test.h"

static bool holds(enum comparison_kind kind, const char *text, const char *part) {
        struct comparison c;
        struct text wanted = text_of(part);
        CHECK_INT(comparison_init(&c, kind, &wanted, 1), 0);
        bool answer = comparison_holds(&c, text_of(text));
        comparison_fini(&c);
        return answer;
}

static void each_kind_means_what_it_says(void) {
        CHECK(holds(COMPARISON_SAME, "abc", "abc") && !holds(COMPARISON_SAME, "abc", "ab"));
        CHECK(holds(COMPARISON_CONTAINS, "abc", "b") && !holds(COMPARISON_CONTAINS, "abc", "B"));
        CHECK(holds(COMPARISON_CONTAINS_NOCASE, "abc", "B"));
        CHECK(holds(COMPARISON_STARTS, "abc", "ab") && !holds(COMPARISON_STARTS, "abc", "bc"));
        CHECK(holds(COMPARISON_STARTS_NOCASE, "abc", "AB"));
        CHECK(holds(COMPARISON_ENDS, "abc", "bc") && !holds(COMPARISON_ENDS, "abc", "ab"));
}

static void the_empty_text_is_in_every_text(void) {
        CHECK(holds(COMPARISON_CONTAINS, "", "") && holds(COMPARISON_CONTAINS, "x", ""));
        CHECK(holds(COMPARISON_STARTS, "x", "") && holds(COMPARISON_ENDS, "x", ""));
        CHECK(holds(COMPARISON_SAME, "", "") && !holds(COMPARISON_SAME, "x", ""));
}

static void one_of_many_is_found_and_no_other(void) {
        enum { COUNT = 500 };
        char names[COUNT][24];
        struct text texts[COUNT];
        for (int i = 0; i < COUNT; i++) {
                /* Long ones agree in their ends and size. */
                int size = snprintf(names[i], sizeof names[i], i % 2 ? "program-%03d-long-name" : "p%d", i);
                texts[i] = (struct text){names[i], (size_t)size};
        }
        struct comparison c;
        CHECK_INT(comparison_init(&c, COMPARISON_SAME, texts, COUNT), 0);
        CHECK(c.slots);
        for (int i = 0; i < COUNT; i++)
                CHECK(comparison_holds(&c, texts[i]));
        CHECK(!comparison_holds(&c, TEXT("program-500-long-name")));
        CHECK(!comparison_holds(&c, TEXT("p1")) && !comparison_holds(&c, TEXT("")) && !comparison_holds(&c, TEXT("p")));
        comparison_fini(&c);
}

static void any_of_several_may_be_contained(void) {
        static const struct text wanted[] = {TEXT("timeout"), TEXT("Refused"), TEXT("un"), TEXT("")};
        static const struct {
                const char *text;
                bool is_in, is_in_nocase;
        } rows[] = {{"a timeout of 30 seconds, and then nothing more", true, true},
                    {"connection refused", false, true},
                    {"UNREACHABLE", false, true},
                    {"run", true, true},
                    {"time out", false, false},
                    {"", false, false}};
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (int nocase = 0; nocase < 2; nocase++) {
                        struct comparison c;
                        enum comparison_kind kind = nocase ? COMPARISON_CONTAINS_NOCASE : COMPARISON_CONTAINS;
                        CHECK_INT(comparison_init(&c, kind, wanted, 3), 0);
                        CHECK(comparison_holds(&c, text_of(rows[i].text)) ==
                              (nocase ? rows[i].is_in_nocase : rows[i].is_in));
                        comparison_fini(&c);
                        CHECK_INT(comparison_init(&c, kind, wanted, 4), 0);
                        CHECK(comparison_holds(&c, text_of(rows[i].text)));
                        comparison_fini(&c);
                }
}

TEST_MAIN(TEST(each_kind_means_what_it_says), TEST(the_empty_text_is_in_every_text),
          TEST(one_of_many_is_found_and_no_other), TEST(any_of_several_may_be_contained))
