#include "language/diagnostics.h"

#include "base/test.h"

static const char file[] = "/etc/rsyslog.conf";

static struct text printed(const struct diagnostics *d, struct buffer *out) {
        diagnostics_print(d, out, false);
        return buffer_as_text(out);
}

static void a_mistake_is_shown_with_its_line_a_caret_and_what_would_be_right(void) {
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_add_source(&d, file, TEXT("# one\naction(type=\"omfile\" queue.typ=\"LinkedList\")\n"));
        diagnose(&d, SEVERITY_ERR, 2207, (struct place){file, 2, 22}, 9, "did you mean `queue.type`?",
                 "parameter '%s' not known -- typo in config file?", "queue.typ");
        CHECK_TEXT(printed(&d, &out),
                   "/etc/rsyslog.conf:2:22: error: parameter 'queue.typ' not known -- typo in config "
                   "file?\n"
                   "    2 | action(type=\"omfile\" queue.typ=\"LinkedList\")\n"
                   "      |                      ^~~~~~~~~\n"
                   "      did you mean `queue.type`?\n");
        CHECK_INT(d.errors, 1);
        CHECK_INT(d.warnings, 0);
}

static void one_line_serves_the_log(void) {
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        diagnose(&d, SEVERITY_WARNING, 0, (struct place){file, 7, 1}, 1, "write `stop`", "old");
        diagnostic_line(d.first, &out);
        CHECK_TEXT(buffer_as_text(&out),
                   "warning during parsing file /etc/rsyslog.conf, on or before line 7: old -- write `stop`");
        buffer_clear(&out);
        diagnose(&d, SEVERITY_ERR, 2103, (struct place){0}, 0, NULL, "no place");
        diagnostic_line(d.last, &out);
        CHECK_TEXT(buffer_as_text(&out), "no place");
}

static void a_giant_line_is_cut_around_the_caret(void) {
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(buffer_fini) struct buffer out = {0}, line = {0};
        for (int i = 0; i < 100000; i++)
                buffer_byte(&line, (char)('a' + i % 26));
        diagnostics_add_source(&d, file, buffer_as_text(&line));
        diagnose(&d, SEVERITY_ERR, 0, (struct place){file, 1, 50000}, 3, NULL, "here");
        CHECK(printed(&d, &out).size < 400);
        CHECK(text_find(buffer_as_text(&out), TEXT("^~~")) > 0);
}

static void control_characters_do_not_reach_the_terminal(void) {
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_add_source(&d, file, TEXT("a\tb\033[2J\xc3\xa4x\n"));
        diagnose(&d, SEVERITY_ERR, 0, (struct place){file, 1, 10}, 1, NULL, "x");
        CHECK_TEXT(printed(&d, &out), "/etc/rsyslog.conf:1:10: error: x\n"
                                      "    1 | a b?[2J\xc3\xa4x\n"
                                      "      |         ^\n");
}

static void mistakes_beyond_the_limit_are_counted(void) {
        _owned_(diagnostics_fini) struct diagnostics d = {0};
        _owned_(buffer_fini) struct buffer out = {0};
        for (int i = 0; i < DIAGNOSTICS_MAX + 5; i++)
                diagnose(&d, SEVERITY_ERR, 0, (struct place){0}, 0, NULL, "x");
        CHECK_INT(d.errors, DIAGNOSTICS_MAX + 5);
        CHECK(text_ends(printed(&d, &out), TEXT("... and 5 more\n")));
}

static void nobody_listening_is_fine(void) {
        diagnose(NULL, SEVERITY_ERR, 0, (struct place){0}, 0, NULL, "x");
        diagnostics_add_source(NULL, file, TEXT("x"));
}

TEST_MAIN(TEST(a_mistake_is_shown_with_its_line_a_caret_and_what_would_be_right), TEST(one_line_serves_the_log),
          TEST(a_giant_line_is_cut_around_the_caret), TEST(control_characters_do_not_reach_the_terminal),
          TEST(mistakes_beyond_the_limit_are_counted), TEST(nobody_listening_is_fine))
