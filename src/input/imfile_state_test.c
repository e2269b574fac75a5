#include "input/imfile_state.h"

#include <errno.h>

#include "base/test.h"

static int parse(struct state *state, const char *content) {
        return state_parse(state, text_of(content), 7);
}

static void what_is_printed_is_parsed_again(void) {
        _owned_(state_fini) struct state state = {
                .path = strdup("/var/log/a \"b\"\\c\n"),
                .identity = {.device = 65024, .inode = 123, .head_bytes = 512, .head_hash = UINT64_MAX - 1},
                .offset = INT64_MAX,
                .is_skipping = true,
        };
        _owned_(buffer_fini) struct buffer printed = {0};
        state_print(&printed, &state);
        _owned_(state_fini) struct state again = {0};
        CHECK_INT(parse(&again, buffer_string(&printed)), 0);
        CHECK_TEXT(text_of(again.path), "/var/log/a \"b\"\\c\n");
        CHECK(again.is_ours && again.is_skipping);
        CHECK(again.offset == INT64_MAX);
        CHECK_INT(again.identity.inode, 123);
        CHECK_INT(again.identity.head_bytes, 512);
        CHECK(again.identity.head_hash == UINT64_MAX - 1);
}

static void rsyslogs_unfinished_line_is_read_again(void) {
        _owned_(state_fini) struct state state = {0};
        CHECK_INT(parse(&state, "{ \"filename\": \"/a\", \"prev_was_nl\": 0, \"curr_offs\": 33, \"strt_offs\": 29, "
                                "\"prev_line_segment\": \"last\" }"),
                  0);
        CHECK(!state.is_ours);
        CHECK_INT(state.identity.inode, 7);
        CHECK_INT(state.offset, 29);
        CHECK_INT(state.pending.size, 0);
}

static void rsyslogs_unfinished_message_goes_on(void) {
        _owned_(state_fini) struct state state = {0};
        CHECK_INT(parse(&state, "{ \"filename\": \"/a\", \"curr_offs\": 36, \"strt_offs\": 31, "
                                "\"prev_msg_segment\": \"S four\" }"),
                  0);
        CHECK_INT(state.offset, 36);
        CHECK_TEXT(buffer_as_text(&state.pending), "S four");
}

static void what_is_no_state_is_refused(void) {
        const char *const wrong[] = {
                "",
                "nonsense",
                "[]",
                "{}",
                "{ \"filename\": \"/a\" }",
                "{ \"filename\": \"/a\", \"curr_offs\": -1 }",
                "{ \"filename\": \"/a\", \"curr_offs\": \"12\" }",
                "{ \"filename\": \"/a\", \"curr_offs\": 5, \"strt_offs\": -3 }",
                "{ \"filename\": \"/a\", \"curr_offs\": 12",
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                _owned_(state_fini) struct state state = {0};
                CHECK_INT(parse(&state, wrong[i]), -EBADMSG);
        }
}

static void a_head_beyond_the_bound_is_not_ours(void) {
        _owned_(state_fini) struct state state = {0};
        CHECK_INT(parse(&state, "{ \"filename\": \"/a\", \"curr_offs\": 5, \"strt_offs\": 5, \"head_bytes\": 513, "
                                "\"head_hash\": \"0123456789abcdef\" }"),
                  0);
        CHECK(!state.is_ours);
        CHECK_INT(state.identity.head_bytes, 0);
}

TEST_MAIN(TEST(what_is_printed_is_parsed_again), TEST(rsyslogs_unfinished_line_is_read_again),
          TEST(rsyslogs_unfinished_message_goes_on), TEST(what_is_no_state_is_refused),
          TEST(a_head_beyond_the_bound_is_not_ours))
