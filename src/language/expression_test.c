#include "language/fixture.h"

/* What the expression means: printed back with the parentheses that its grouping needs. */
static struct text meaning(struct fixture *f, const char *expression) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_format(&text, "set $!x = %s;\n", expression);
        fixture_load(f, buffer_string(&text));
        buffer_clear(&f->text);
        struct statement *s = f->config->rulesets->statements;
        if (s && s->value)
                expr_print(&f->text, s->value);
        return buffer_as_text(&f->text);
}

#define CHECK_MEANING(expression, wanted)                                                                              \
        do {                                                                                                           \
                _owned_(fixture_fini) struct fixture f_ = {0};                                                         \
                CHECK_TEXT(meaning(&f_, expression), wanted);                                                          \
                CHECK_CLEAN(&f_);                                                                                      \
        } while (0)

static void operators_bind_as_in_the_running_rsyslogd(void) {
        CHECK_MEANING("1 + 2 * 3", "1 + 2 * 3");
        CHECK_MEANING("(1 + 2) * 3", "(1 + 2) * 3");
        CHECK_MEANING("1 - (2 - 3)", "1 - (2 - 3)");
        CHECK_MEANING("1 or 1 and 0", "(1 or 1) and 0");
        CHECK_MEANING("1 and (2 or 3)", "1 and (2 or 3)");
        CHECK_MEANING("not 1 == 0", "not 1 == 0");
        CHECK_MEANING("not (1 == 0)", "not (1 == 0)");
        CHECK_MEANING("'a' & 1 + 2", "'a' & 1 + 2");
        CHECK_MEANING("1 == 2 & 3", "1 == 2 & 3");
        CHECK_MEANING("- 3 * 2 % 5 / 1", "-3 * 2 % 5 / 1");
        CHECK_MEANING("1 <> 2 AND 3 != 4", "1 != 2 and 3 != 4");
}

static void comparisons_have_words(void) {
        CHECK_MEANING("$msg contains 'a'", "$msg contains 'a'");
        CHECK_MEANING("$msg CONTAINS_I 'a'", "$msg contains_i 'a'");
        CHECK_MEANING("$msg startswith ['a', \"b\"]", "$msg startswith ['a', 'b']");
        CHECK_MEANING("$msg startswith_i 'a' or $msg endswith 'b'", "$msg startswith_i 'a' or $msg endswith 'b'");
}

static void numbers_are_decimal_octal_and_hexadecimal(void) {
        CHECK_MEANING("010 + 0x10 + 10", "8 + 16 + 10");
}

static void variables_are_named_with_everything_that_may_be_in_them(void) {
        CHECK_MEANING("$!a!b-c & $.d.e & $/f & $!", "$!a!b-c & $.d.e & $/f & $!");
        CHECK_MEANING("$!all-json", "$!all-json");
        CHECK_MEANING("$$now & $now & $MSG", "$now & $now & $MSG");
        CHECK_MEANING("7 - 2", "7 - 2");
        CHECK_MEANING("$!x-1", "$!x-1");
}

static void strings_resolve_their_escapes(void) {
        _owned_(fixture_fini) struct fixture f = {0};
        fixture_load(&f, "set $!x = \"a\\x41\\101\\n\\$\\\\\\\"'\" & 'b\"\\'$';\n");
        CHECK_CLEAN(&f);
        const struct expr *e = f.config->rulesets->statements->value;
        CHECK_TEXT(e->args[0]->string, "aAA\n$\\\"'");
        CHECK_TEXT(e->args[1]->string, "b\"'$");
        _owned_(fixture_fini) struct fixture g = {0};
        fixture_load(&g, "set $!x = '\\7M\\12\\1018';\n");
        CHECK_CLEAN(&g);
        CHECK_TEXT(g.config->rulesets->statements->value->string, "\aM\nA8");
}

static void functions_are_known_with_their_number_of_arguments(void) {
        CHECK_MEANING("field($msg, 58, 1) & re_extract($msg, 'a', 0, 1, '')",
                      "field($msg, 58, 1) & re_extract($msg, 'a', 0, 1, '')");
        CHECK_MEANING("STRLEN ( $msg )", "strlen($msg)");
        CHECK_MEANING("script_error()", "script_error()");
        CHECK(function_signature_find(TEXT("wrap")));
        CHECK(function_signature_find(TEXT("faup_domain")));
        CHECK(!function_signature_find(TEXT("nosuch")));
}

static void check_mistake(const char *expression, const char *column_and_message) {
        _owned_(fixture_fini) struct fixture f = {0};
        meaning(&f, expression);
        CHECK_INT(f.diagnostics.errors, 1);
        struct text said = fixture_complaints(&f);
        if (text_find(said, text_of(column_and_message)) < 0)
                TEST_FAIL("no \"%s\" in:\n%.*s", column_and_message, TEXT_ARGS(said));
}

static void mistakes_are_named_where_they_are(void) {
        check_mistake("$nosuch", "1:11: error: invalid property 'nosuch'");
        check_mistake("$mgs", "did you mean `msg`?");
        check_mistake("strlen($msg, 2)", "1:11: error: number of parameters for strlen() must be 1 but is 2.");
        check_mistake("strlem($msg)", "did you mean `strlen`?");
        check_mistake("$msg contians 'x'", "did you mean `contains`?");
        check_mistake("($msg startwith 'x')", "did you mean `startswith`?");
        check_mistake("\"a$b\"", "1:13: error: $-sign in double quotes must be escaped");
        check_mistake("'a\\d'", "1:13: error: invalid escape sequence '\\d' in a string");
        check_mistake("1 +", "invalid character ';' in expression");
        check_mistake("(1", "`)` is expected");
        check_mistake("[1, x]", "a string is expected in the array");
        check_mistake("abc", "invalid word 'abc' in expression");
        check_mistake("99999999999999999999", "is no number that can be used here");
}

static void nesting_and_length_are_bounded(void) {
        _owned_(buffer_fini) struct buffer deep = {0}, long_one = {0};
        for (int i = 0; i < 5000; i++)
                buffer_byte(&deep, '(');
        check_mistake(buffer_string(&deep), "nested too deep");
        buffer_byte(&long_one, '1');
        for (int i = 0; i < 20000; i++)
                buffer_text(&long_one, TEXT("+1"));
        check_mistake(buffer_string(&long_one), "an expression has at most");
        buffer_clear(&deep);
        for (int i = 0; i < 5000; i++)
                buffer_text(&deep, TEXT("not "));
        check_mistake(buffer_string(&deep), "nested too deep");
}

TEST_MAIN(TEST(operators_bind_as_in_the_running_rsyslogd), TEST(comparisons_have_words),
          TEST(numbers_are_decimal_octal_and_hexadecimal),
          TEST(variables_are_named_with_everything_that_may_be_in_them), TEST(strings_resolve_their_escapes),
          TEST(functions_are_known_with_their_number_of_arguments), TEST(mistakes_are_named_where_they_are),
          TEST(nesting_and_length_are_bounded))
