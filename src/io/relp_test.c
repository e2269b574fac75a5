#include "io/relp.h"

#include <errno.h>

#include "base/test.h"

static enum relp_event scan(struct text bytes, uint32_t data_max, struct relp_frame *frame) {
        struct relp_scanner scanner = {.data_bytes_max = data_max};
        return relp_next(&scanner, bytes.data, bytes.size, frame);
}

static void a_frame_is_its_number_its_command_and_its_data(void) {
        struct relp_frame frame;
        CHECK_INT(scan(TEXT("12 syslog 5 hello\n13 close"), 100, &frame), RELP_FRAME);
        CHECK_INT(frame.txnr, 12);
        CHECK_INT(frame.command, RELP_SYSLOG);
        CHECK_TEXT(frame.data, "hello");
        CHECK_INT(frame.used, 18);
}

static void data_may_hold_any_byte_and_may_be_missing(void) {
        struct relp_frame frame;
        CHECK_INT(scan(TEXT("1 syslog 4 a\n\0b\n"), 100, &frame), RELP_FRAME);
        CHECK_INT(frame.data.size, 4);
        CHECK_INT(scan(TEXT("3 close 0\n"), 100, &frame), RELP_FRAME);
        CHECK_INT(frame.command, RELP_CLOSE);
        CHECK_INT(frame.data.size, 0);
        CHECK_INT(scan(TEXT("3 close 0 \n"), 100, &frame), RELP_BROKEN);
}

static void a_frame_that_has_not_ended_wants_more(void) {
        static const struct text whole = TEXT("123456789 syslog 11 hello world\n");
        struct relp_frame frame;
        for (size_t size = 0; size < whole.size; size++) {
                CHECK_INT(scan(text_slice(whole, 0, size), 100, &frame), RELP_MORE);
                CHECK_INT(frame.used, size < 20 ? 0 : whole.size);
        }
        CHECK_INT(scan(whole, 100, &frame), RELP_FRAME);
}

static void what_is_no_frame_is_broken(void) {
        static const char *const broken[] = {
                "x",
                " 1 syslog",
                "1  syslog",
                "1234567890",
                "1 sys1og 5 hello\n",
                "1 syslog  5",
                "1 syslog 5 helloX\n",
                "1 syslog x",
                "1 syslog 1234567890",
                "-1 syslog 1 a\n",
                "1\n",
                "1 syslog\n",
                "1 syslog 5\nxx",
                "1 syslog 0x",
                "1 abcdefghijklmnopqrstuvwxyzabcdefg 0\n",
        };
        struct relp_frame frame;
        for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
                if (scan(text_of(broken[i]), 100, &frame) != RELP_BROKEN)
                        TEST_FAIL("is taken for a frame: %s", broken[i]);
        CHECK_INT(scan(TEXT("1 abcdefghijklmnopqrstuvwxyzabcdef 0\n"), 100, &frame), RELP_FRAME);
        CHECK_INT(frame.command, RELP_OTHER);
}

static void longer_data_than_allowed_is_refused_before_it_comes(void) {
        struct relp_frame frame;
        CHECK_INT(scan(TEXT("1 syslog 100 "), 100, &frame), RELP_MORE);
        CHECK_INT(scan(TEXT("1 syslog 101 "), 100, &frame), RELP_TOO_LONG);
        CHECK_INT(frame.size_declared, 101);
        CHECK_INT(scan(TEXT("1 syslog 999999999 "), RELP_DATA_BYTES_MAX, &frame), RELP_TOO_LONG);
}

/* Feeds one byte at a time, as the worst of networks would. */
static void longer_data_is_cut_where_that_is_wanted(void) {
        static const struct text stream = TEXT("1 syslog 10 0123456789\n2 syslog 4 abcd\n3 syslog 5 vwxyz\n");
        static const char *const wanted[] = {"0123", "abcd", "vwxy"};
        struct relp_scanner scanner = {.data_bytes_max = 4, .cuts = true};
        char held[64];
        size_t size = 0, frames = 0;
        for (size_t i = 0; i < stream.size; i++) {
                held[size++] = stream.data[i];
                struct relp_frame frame;
                enum relp_event event = relp_next(&scanner, held, size, &frame);
                if (event == RELP_CUT) {
                        size -= frame.used;
                        CHECK_INT(relp_next(&scanner, held, size, &frame), RELP_MORE);
                }
                CHECK(size <= 12 + 4 + 1);
                if (event != RELP_FRAME)
                        continue;
                CHECK_TEXT(frame.data, wanted[frames++]);
                CHECK_INT(frame.size_declared, frames == 1 ? 10 : frames == 2 ? 4 : 5);
                CHECK_INT(frame.used, size);
                size = 0;
        }
        CHECK_INT(frames, 3);
}

static void what_is_written_is_read(void) {
        _owned_(buffer_fini) struct buffer out = {0};
        relp_write(&out, 7, TEXT("syslog"), TEXT("a\nb"));
        relp_write(&out, 8, TEXT("close"), TEXT_NONE);
        relp_write_done(&out, 999999999);
        relp_write_done(&out, 8);
        CHECK_TEXT(buffer_as_text(&out), "7 syslog 3 a\nb\n8 close 0\n999999999 rsp 6 200 OK\n8 rsp 6 200 OK\n");
}

static void numbers_begin_again_after_the_last(void) {
        CHECK_INT(relp_txnr_after(1), 2);
        CHECK_INT(relp_txnr_after(RELP_TXNR_MAX), 1);
}

static void an_answer_is_a_code_and_words(void) {
        struct relp_answer answer;
        CHECK_INT(relp_read_answer(TEXT("200 OK"), &answer), 0);
        CHECK_INT(answer.code, 200);
        CHECK_TEXT(answer.words, "OK");
        CHECK_INT(relp_read_answer(TEXT("500 no such luck\nmore\nlines"), &answer), 0);
        CHECK_INT(answer.code, 500);
        CHECK_TEXT(answer.words, "no such luck");
        CHECK_TEXT(answer.rest, "more\nlines");
        CHECK_INT(relp_read_answer(TEXT_NONE, &answer), 0);
        CHECK_INT(answer.code, 200);
        CHECK_INT(relp_read_answer(TEXT("20 OK"), &answer), -EBADMSG);
        CHECK_INT(relp_read_answer(TEXT("2000 OK"), &answer), -EBADMSG);
}

static void offers_are_lines_of_names_and_values(void) {
        struct relp_offers offers;
        CHECK_INT(relp_read_offers(
                          TEXT("relp_version=0\nrelp_software=a,1,http://b=c\ncommands=eventlog, syslog\nnew=x\n"),
                          &offers),
                  0);
        CHECK_TEXT(offers.software, "a,1,http://b=c");
        CHECK(offers.takes_syslog);
        CHECK_INT(relp_read_offers(TEXT("commands=syslogs"), &offers), 0);
        CHECK(!offers.takes_syslog);
        CHECK_INT(relp_read_offers(TEXT_NONE, &offers), 0);
        CHECK_INT(relp_read_offers(TEXT("=x"), &offers), -EBADMSG);
        CHECK_INT(relp_read_offers(TEXT("relp_version=zero"), &offers), -EBADMSG);
        CHECK_INT(relp_read_offers(TEXT(RELP_OFFERS), &offers), 0);
        CHECK(offers.takes_syslog);
}

static void more_offers_than_anybody_makes_are_refused(void) {
        _owned_(buffer_fini) struct buffer many = {0};
        struct relp_offers offers;
        for (int i = 0; i < RELP_OFFERS_MAX; i++)
                buffer_text(&many, TEXT("a=b\n"));
        CHECK_INT(relp_read_offers(buffer_as_text(&many), &offers), 0);
        buffer_text(&many, TEXT("a=b\n"));
        CHECK_INT(relp_read_offers(buffer_as_text(&many), &offers), -EBADMSG);
}

TEST_MAIN(TEST(a_frame_is_its_number_its_command_and_its_data), TEST(data_may_hold_any_byte_and_may_be_missing),
          TEST(a_frame_that_has_not_ended_wants_more), TEST(what_is_no_frame_is_broken),
          TEST(longer_data_than_allowed_is_refused_before_it_comes), TEST(longer_data_is_cut_where_that_is_wanted),
          TEST(what_is_written_is_read), TEST(numbers_begin_again_after_the_last), TEST(an_answer_is_a_code_and_words),
          TEST(offers_are_lines_of_names_and_values), TEST(more_offers_than_anybody_makes_are_refused))
