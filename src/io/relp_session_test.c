#include "io/relp_session.h"

#include <errno.h>

#include "base/test.h"

/* "3+" row 3 was taken, "3-" it was refused. */
static void note(void *context, uint32_t row, bool is_taken, struct text words _unused_) {
        buffer_format(context, "%u%c ", row, is_taken ? '+' : '-');
}

static int say(struct relp_session *s, struct buffer *told, const char *bytes) {
        return relp_session_receive(s, text_of(bytes), note, told);
}

static void open_session(struct relp_session *s, uint32_t window) {
        CHECK_INT(relp_session_init(s, window), 0);
        relp_session_begin(s);
        CHECK_TEXT(buffer_as_text(&s->out), "1 open 53 relp_version=0\nrelp_software=penstock\ncommands=syslog\n");
        buffer_clear(&s->out);
        CHECK_INT(relp_session_room(s), 0);
        CHECK_INT(say(s, NULL, "1 rsp 37 200 OK\nrelp_version=0\ncommands=syslog\n"), 0);
        CHECK_INT(s->state, RELP_READY);
}
OWNED_VALUE(struct relp_session, relp_session_fini);

static void rows_are_answered_by_their_numbers(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        _owned_(buffer_fini) struct buffer told = {0};
        open_session(&s, 3);
        relp_session_put(&s, 10, TEXT("a"));
        relp_session_put(&s, 11, TEXT("b"));
        CHECK_TEXT(buffer_as_text(&s.out), "2 syslog 1 a\n3 syslog 1 b\n");
        CHECK_INT(relp_session_room(&s), 1);
        CHECK_INT(say(&s, &told, "2 rsp 6 200 OK\n3 rsp 9 500 a"), 0);
        CHECK_TEXT(buffer_as_text(&told), "10+ ");
        CHECK_INT(say(&s, &told, "lack\n"), 0);
        CHECK_TEXT(buffer_as_text(&told), "10+ 11- ");
        CHECK_INT(relp_session_room(&s), 3);
}

static void answers_may_come_out_of_order(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        _owned_(buffer_fini) struct buffer told = {0};
        open_session(&s, 3);
        for (uint32_t row = 0; row < 3; row++)
                relp_session_put(&s, row, TEXT("x"));
        CHECK_INT(say(&s, &told, "4 rsp 6 200 OK\n3 rsp 6 200 OK\n"), 0);
        CHECK_TEXT(buffer_as_text(&told), "2+ 1+ ");
        CHECK_INT(relp_session_room(&s), 0);
        CHECK_INT(say(&s, &told, "2 rsp 6 200 OK\n"), 0);
        CHECK_INT(relp_session_room(&s), 3);
}

static void a_window_goes_round_and_round_and_so_do_numbers(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        _owned_(buffer_fini) struct buffer told = {0};
        open_session(&s, 2);
        s.next_txnr = s.oldest_txnr = RELP_TXNR_MAX;
        for (uint32_t row = 0; row < 2; row++)
                relp_session_put(&s, row, TEXT("x"));
        CHECK_INT(say(&s, &told, "999999999 rsp 6 200 OK\n"), 0);
        relp_session_put(&s, 2, TEXT("x"));
        CHECK_TEXT(buffer_as_text(&s.out), "999999999 syslog 1 x\n1 syslog 1 x\n2 syslog 1 x\n");
        CHECK_INT(say(&s, &told, "2 rsp 6 200 OK\n1 rsp 6 200 OK\n"), 0);
        CHECK_TEXT(buffer_as_text(&told), "0+ 2+ 1+ ");
        CHECK_INT(relp_session_unanswered(&s), 0);
}

static void an_answer_to_nothing_ends_the_session(void) {
        static const char *const wrong[] = {
                "2 rsp 6 200 OK\n2 rsp 6 200 OK\n",
                "4 rsp 6 200 OK\n",
                "0 rsp 6 200 OK\n",
                "3 rsp 6 200 OK\n3 rsp 6 200 OK\n",
                "2 rsp 2 20\n",
                "2 syslog 1 x\n",
                "hello\n",
                "2 rsp 65537 ",
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                _owned_(relp_session_fini) struct relp_session s = {0};
                _owned_(buffer_fini) struct buffer told = {0};
                open_session(&s, 2);
                relp_session_put(&s, 0, TEXT("x"));
                relp_session_put(&s, 1, TEXT("x"));
                CHECK_INT(say(&s, &told, wrong[i]), -EPROTO);
                CHECK_INT(s.state, RELP_ENDED);
                CHECK(s.complaint[0]);
        }
}

static void a_refused_session_says_why(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        CHECK_INT(relp_session_init(&s, 0), 0);
        CHECK_INT(s.window, RELP_WINDOW_DEFAULT);
        relp_session_begin(&s);
        CHECK_INT(say(&s, NULL, "1 rsp 15 500 not\033[2J you\n"), 0);
        CHECK_INT(s.state, RELP_ENDED);
        CHECK_TEXT(text_of(s.complaint), "the peer refused the session: 500 not.[2J you");
}

static void a_peer_without_syslog_is_of_no_use(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        CHECK_INT(relp_session_init(&s, 0), 0);
        relp_session_begin(&s);
        CHECK_INT(say(&s, NULL, "1 rsp 17 200 OK\ncommands=x\n"), -EPROTO);
        CHECK_INT(s.state, RELP_ENDED);
}

static void the_peer_may_close_at_any_time(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        _owned_(buffer_fini) struct buffer told = {0};
        open_session(&s, 2);
        relp_session_put(&s, 0, TEXT("x"));
        CHECK_INT(say(&s, &told, "0 hint 0\n0 serverclose 0\n"), 0);
        CHECK_INT(s.state, RELP_ENDED);
        CHECK_INT(told.size, 0);
        relp_session_begin(&s);
        CHECK_INT(relp_session_unanswered(&s), 0);
}

static void good_bye_is_answered(void) {
        _owned_(relp_session_fini) struct relp_session s = {0};
        open_session(&s, 2);
        relp_session_close(&s);
        CHECK_TEXT(buffer_as_text(&s.out), "2 close 0\n");
        CHECK_INT(say(&s, NULL, "2 rsp 0\n0 serverclose 0\n"), 0);
        CHECK_INT(s.state, RELP_ENDED);
}

TEST_MAIN(TEST(rows_are_answered_by_their_numbers), TEST(answers_may_come_out_of_order),
          TEST(a_window_goes_round_and_round_and_so_do_numbers), TEST(an_answer_to_nothing_ends_the_session),
          TEST(a_refused_session_says_why), TEST(a_peer_without_syslog_is_of_no_use),
          TEST(the_peer_may_close_at_any_time), TEST(good_bye_is_answered))
