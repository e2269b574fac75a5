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

/* The search against a plain loop, over texts of few letters, so that nearly everything almost matches. */
static void a_search_finds_what_a_loop_finds(void) {
        static const char letters[] = "abAB-";
        uint32_t random = 1;
        for (int round = 0; round < 20000; round++) {
                char text[80], part[6];
                size_t size = random % sizeof text, part_size = (random >> 8) % sizeof part;
                for (size_t i = 0; i < sizeof text; i++) {
                        random = random * 1664525u + 1013904223u;
                        text[i] = letters[(random >> 16) % 5];
                        if (i < sizeof part)
                                part[i] = letters[(random >> 20) % 5];
                }
                struct text whole = {text, size}, wanted = {part, part_size};
                struct search s;
                search_init(&s, wanted, false);
                CHECK(search_finds(&s, whole) == (text_find(whole, wanted) >= 0));
                search_init(&s, wanted, true);
                CHECK(search_finds(&s, whole) == (text_find_nocase(whole, wanted) >= 0));
        }
}

static void a_search_stays_within_its_text(void) {
        /* On the heap, so that the sanitizer watches both ends. */
        for (size_t size = 1; size < 70; size++) {
                char *text = malloc(size);
                memset(text, 'a', size);
                struct search s;
                search_init(&s, TEXT("aaab"), false);
                CHECK(!search_finds(&s, (struct text){text, size}));
                text[size - 1] = 'b';
                CHECK(search_finds(&s, (struct text){text, size}) == (size >= 4));
                free(text);
        }
}

TEST_MAIN(TEST(each_kind_means_what_it_says), TEST(the_empty_text_is_in_every_text),
          TEST(one_of_many_is_found_and_no_other), TEST(a_search_finds_what_a_loop_finds),
          TEST(a_search_stays_within_its_text))
