#include "language/source.h"

#include "base/test.h"

static void joined_lines_lose_their_break_and_indentation(void) {
        _owned_(arena_fini) struct arena arena = {0};
        struct source *s = source_new(&arena, "f", TEXT("a;\\\n\t  b c\\\r\nd\\x\n# e\\\nf\n"));
        CHECK(s);
        CHECK_TEXT(s->text, "a;b cd\\x\n# ef\n");
}

static void every_byte_knows_where_it_came_from(void) {
        _owned_(arena_fini) struct arena arena = {0};
        struct source *s = source_new(&arena, "f", TEXT("ab\\\n  cd\nef\n\ng"));
        CHECK_TEXT(s->text, "abcd\nef\n\ng");
        const struct {
                size_t at;
                unsigned line, column;
        } wanted[] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 3}, {3, 2, 4}, {4, 2, 5}, {5, 3, 1}, {8, 4, 1}, {9, 5, 1}};
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                struct place p = source_place(s, wanted[i].at);
                CHECK_INT(p.line, wanted[i].line);
                CHECK_INT(p.column, wanted[i].column);
        }
}

static void odd_ends_are_taken(void) {
        _owned_(arena_fini) struct arena arena = {0};
        CHECK_TEXT(source_new(&arena, "f", TEXT_NONE)->text, "");
        CHECK_TEXT(source_new(&arena, "f", TEXT("a\\"))->text, "a\\");
        CHECK_TEXT(source_new(&arena, "f", TEXT("a\\\n"))->text, "a");
        CHECK_INT(source_new(&arena, "f", TEXT("a\0b\n"))->text.size, 4);
}

static void what_is_no_file_is_no_configuration(void) {
        _owned_(arena_fini) struct arena arena = {0};
        struct text text;
        CHECK(source_read(&arena, "/nonexistent/file", &text) < 0);
        CHECK(source_read(&arena, "/", &text) < 0);
}

TEST_MAIN(TEST(joined_lines_lose_their_break_and_indentation), TEST(every_byte_knows_where_it_came_from),
          TEST(odd_ends_are_taken), TEST(what_is_no_file_is_no_configuration))
