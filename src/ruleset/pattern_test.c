#include "ruleset/pattern.h"

#include <errno.h>

#include "base/test.h"

static enum pattern_engine engine_of(const char *source, unsigned how) {
        _owned_(pattern_free) struct pattern *p = NULL;
        CHECK_INT(pattern_new(&p, text_of(source), how, NULL), 0);
        return pattern_engine(p);
}

static bool matches(const char *source, unsigned how, struct text t) {
        _owned_(pattern_free) struct pattern *p = NULL;
        struct pattern_room room = {0};
        CHECK_INT(pattern_new(&p, text_of(source), how, NULL), 0);
        bool answer = pattern_matches(p, &room, t);
        pattern_room_fini(&room);
        return answer;
}

static void usual_patterns_do_not_need_the_c_library(void) {
        static const char *const extended[] = {"(timeout|refused|unreachable)$", "port [0-9]{5} ssh2", "^a.*b$",
                                               "[[:alpha:]_][[:alnum:]_]*",      "a{2,}(b|c)?",        "\\[[^]]+\\]",
                                               "HTTP/1\\.[01]\" 5[0-9][0-9]"};
        for (size_t i = 0; i < ARRAY_SIZE(extended); i++)
                CHECK_INT(engine_of(extended[i], PATTERN_EXTENDED), PATTERN_BY_PCRE2);
        CHECK_INT(engine_of("\\(a\\|b\\)*c\\{2\\}", 0), PATTERN_BY_PCRE2);
        CHECK_INT(engine_of("plain text", PATTERN_EXTENDED), PATTERN_BY_SEARCH);
        CHECK_INT(engine_of("a+b", 0), PATTERN_BY_SEARCH);
        CHECK_INT(engine_of("(timeout|refused|unreachable)", PATTERN_EXTENDED), PATTERN_BY_SEARCH);
        CHECK_INT(engine_of("one\\|other", PATTERN_NOCASE), PATTERN_BY_SEARCH);
}

/* "one,other", in the order of the pattern. */
static struct text needles_of(const char *source, struct buffer *out) {
        _owned_(pattern_free) struct pattern *p = NULL;
        CHECK_INT(pattern_new(&p, text_of(source), PATTERN_EXTENDED, NULL), 0);
        size_t count;
        const struct search *all = pattern_needles(p, &count);
        buffer_clear(out);
        for (size_t i = 0; i < count; i++)
                buffer_format(out, "%s%.*s", i ? "," : "", TEXT_ARGS(all[i].needle));
        return buffer_as_text(out);
}

static void what_every_match_holds_is_looked_for_first(void) {
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_TEXT(needles_of("port [0-9]{5} ssh2", &out), "port ");
        CHECK_TEXT(needles_of("x(timeout|refused)y", &out), "timeout,refused");
        CHECK_TEXT(needles_of("x(timeout|re)much", &out), "much");
        CHECK_TEXT(needles_of("(ab|cd)|efg+", &out), "ab,cd,ef");
        CHECK_TEXT(needles_of("((ab)|cd)ef", &out), "ef");
        CHECK_TEXT(needles_of("(ab(cd|ef)|gh)", &out), "ab,gh");
        CHECK_TEXT(needles_of("(timeout|refused)*ab", &out), "ab");
        CHECK_TEXT(needles_of("(timeout|refused)?", &out), "");
        CHECK_TEXT(needles_of("(timeout|)", &out), "");
        CHECK_TEXT(needles_of("timeout|.*", &out), "");
        CHECK_TEXT(needles_of("a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q", &out), "");
}

static void what_could_mean_something_else_stays_with_the_c_library(void) {
        static const char *const strange[] = {"(a)\\1", "\\bword", "\\w+", "a**", "a+?", "[[.a.]]", "[[=a=]]", "\\<x"};
        for (size_t i = 0; i < ARRAY_SIZE(strange); i++)
                CHECK_INT(engine_of(strange[i], PATTERN_EXTENDED), PATTERN_BY_LIBC);
}

/* Every pattern against every text, by us and by regexec(). */
static void both_answer_alike(void) {
        static const char *const sources[] = {"",
                                              "a",
                                              "abc",
                                              "a.c",
                                              "a*b",
                                              "^a",
                                              "a$",
                                              "^$",
                                              "^abc$",
                                              "[abc]",
                                              "[^abc]",
                                              "[]a]",
                                              "[^]a]",
                                              "[a\\]",
                                              "[a-c]x",
                                              "[[:digit:]]+",
                                              "a+",
                                              "a?b",
                                              "a{2}",
                                              "a{2,}",
                                              "a{1,2}b",
                                              "(a|b)c",
                                              "(a|)c",
                                              "a|b|c",
                                              "(ab)+",
                                              "((a)(b))",
                                              "a\\.c",
                                              "\\(a\\)",
                                              "a\\|b",
                                              "a\\{2\\}",
                                              "*a",
                                              "^*a",
                                              "a^b",
                                              "a$b",
                                              "\\(^a\\)",
                                              "\\(a$\\)",
                                              "x\\+",
                                              "x\\?y",
                                              "[[a]",
                                              "[a[:digit:]]",
                                              ".",
                                              ".*",
                                              "^.*$",
                                              "a.*b.*c",
                                              "()",
                                              "(^|b)a(c|$)",
                                              "a\\*",
                                              "[*]",
                                              "a#b",
                                              "abc|cab|aab|a.c",
                                              "(abc|cab|aa)$",
                                              "(a|b)*x",
                                              "(x|y)",
                                              "((a|b)c|d)e",
                                              "(ab|c)+",
                                              "x(a|b){2}",
                                              "(a|b)|c",
                                              "(a|b)(c|d)",
                                              "(a)|(b|)",
                                              "(a|c)$",
                                              "x|(a|b)*",
                                              "[ -~]",
                                              "\\[x\\]",
                                              "[^[:space:]]",
                                              "\"",
                                              "a\\\\b",
                                              "[-a]",
                                              "[a-]"};
        static const struct text texts[] = {
                {"", 0},     {"a", 1},    {"b", 1},   {"abc", 3},  {"aabbcc", 6}, {"ac", 2},  {"a.c", 3},
                {"a\nc", 3}, {"x\\y", 3}, {"]", 1},   {"[x]", 3},  {"a*", 2},     {"*a", 2},  {"^a", 2},
                {"a^b", 3},  {"a$b", 3},  {"12", 2},  {"cab", 3},  {"xxy", 3},    {"(a)", 3}, {"a|b", 3},
                {"a{2}", 4}, {"aa", 2},   {"a#b", 3}, {"\xc3", 1}, {"\n", 1},     {"a\n", 2}, {"a\\b", 3},
                {"\"", 1},   {"-", 1},    {"ABC", 3}, {"a\0b", 3}, {"\0", 1},     {"x+", 2},  {"x?y", 3}};
        for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
                for (unsigned how = 0; how < 4; how++) {
                        regex_t regex;
                        int flags =
                                (how & PATTERN_EXTENDED ? REG_EXTENDED : 0) | (how & PATTERN_NOCASE ? REG_ICASE : 0);
                        if (regcomp(&regex, sources[i], flags))
                                continue;
                        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
                                regmatch_t bounds = {.rm_so = 0, .rm_eo = (regoff_t)texts[k].size};
                                bool wanted = regexec(&regex, texts[k].data, 1, &bounds, REG_STARTEND) == 0;
                                if (matches(sources[i], how, texts[k]) != wanted)
                                        TEST_FAIL("'%s' (%u) on text %zu: not %d", sources[i], how, k, wanted);
                        }
                        regfree(&regex);
                }
}

static void a_wrong_pattern_says_why(void) {
        _owned_(buffer_fini) struct buffer why = {0};
        struct pattern *p;
        CHECK_INT(pattern_new(&p, TEXT("("), PATTERN_EXTENDED, &why), -EINVAL);
        CHECK(text_find(buffer_as_text(&why), TEXT("Unmatched")) >= 0);
        CHECK_INT(pattern_new(&p, TEXT("("), PATTERN_PERL, NULL), -EINVAL);
}

static void an_exploding_pattern_still_answers(void) {
        char text[64];
        memset(text, 'a', sizeof text);
        CHECK(!matches("^(a+)+$|b", PATTERN_EXTENDED, (struct text){"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 38}));
        CHECK(matches("^(a+)+$", PATTERN_EXTENDED, (struct text){text, sizeof text}));
}

static void perl_patterns_are_known(void) {
        CHECK(matches("\\bfoo(?=bar)", PATTERN_PERL, TEXT("a foobar")));
        CHECK(!matches("\\bfoo(?=bar)", PATTERN_PERL, TEXT("a foobaz")));
}

static void submatches_are_those_of_the_c_library(void) {
        _owned_(pattern_free) struct pattern *p = NULL;
        regmatch_t m[3];
        CHECK_INT(pattern_new(&p, TEXT("(a|ab)(c|bcd)"), PATTERN_EXTENDED, NULL), 0);
        CHECK(pattern_extract(p, TEXT("xabcd"), m, 3));
        CHECK_INT(m[0].rm_so, 1);
        CHECK_INT(m[0].rm_eo, 5); /* the longest, not the first */
}

TEST_MAIN(TEST(usual_patterns_do_not_need_the_c_library), TEST(what_could_mean_something_else_stays_with_the_c_library),
          TEST(what_every_match_holds_is_looked_for_first), TEST(both_answer_alike), TEST(a_wrong_pattern_says_why),
          TEST(an_exploding_pattern_still_answers), TEST(perl_patterns_are_known),
          TEST(submatches_are_those_of_the_c_library))
