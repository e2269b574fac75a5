#include "bus/header.h"

#include <errno.h>

#include "base/test.h"

static void members_are_found_where_they_lie(void) {
        struct header h;
        CHECK_INT(header_scan(&h, TEXT(" {\"type\":\"send\",\"x\":[1],\"to\":\"*\",\"seq\":12,\"want_answer\":true} ")),
                  0);
        CHECK(scan_equals(&h.fields[HEADER_TYPE], TEXT("send")));
        CHECK(scan_equals(&h.fields[HEADER_TO], TEXT("*")));
        CHECK(h.fields[HEADER_WANT_ANSWER].kind == SCAN_TRUE);
        CHECK(h.fields[HEADER_REPLY].kind == SCAN_ABSENT);
        int64_t seq;
        CHECK(scan_integer(&h.fields[HEADER_SEQ], &seq) && seq == 12);
}

static void names_of_the_same_length_are_told_apart(void) {
        struct header h;
        CHECK_INT(header_scan(&h, TEXT("{\"typo\":1,\"tope\":1,\"grape\":1,\"replx\":1,\"protocox\":1,\"type\":2}")),
                  0);
        for (unsigned i = 0; i < HEADER_FIELDS; i++)
                CHECK((h.fields[i].kind == SCAN_ABSENT) == (i != HEADER_TYPE));
}

static void a_header_without_type_or_form_is_refused(void) {
        static const char *const bad[] = {"{}",
                                          "[]",
                                          "{\"to\":\"*\"}",
                                          "{\"type\":1",
                                          "{\"type\":1,}",
                                          "{\"type\":1}x",
                                          "{\"type\"1}",
                                          "{1:2,\"type\":1}",
                                          ""};
        struct header h;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (header_scan(&h, text_of(bad[i])) != -EBADMSG)
                        TEST_FAIL("taken: %s", bad[i]);
}

static void an_edit_replaces_every_twin_and_adds_what_is_missing(void) {
        struct header h;
        _owned_(buffer_fini) struct buffer out = {0};
        CHECK_INT(header_scan(&h, TEXT("{ \"from\":1, \"type\":\"a\" ,\"fr\\u006fm\":2, \"x\" : [ ] }")), 0);
        CHECK(h.has_twin_from);
        const struct header_edit edits[] = {{HEADER_FROM, TEXT("\"me\"")}, {HEADER_REPLY, TEXT("7")}};
        header_edit(&out, &h, edits, 2);
        CHECK_TEXT(buffer_as_text(&out), "{\"type\":\"a\",\"x\":[ ],\"from\":\"me\",\"reply\":7}");
}

TEST_MAIN(TEST(members_are_found_where_they_lie), TEST(names_of_the_same_length_are_told_apart),
          TEST(a_header_without_type_or_form_is_refused), TEST(an_edit_replaces_every_twin_and_adds_what_is_missing))
