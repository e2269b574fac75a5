#include "io/framing.h"

#include "base/test.h"

/* What a stream became: "[a][b]", with problems as words between. */
struct outcome {
        char text[8192];
        size_t size;
};

static void note(struct outcome *o, const char *data, size_t size) {
        CHECK(o->size + size < sizeof o->text);
        memcpy(o->text + o->size, data, size);
        o->size += size;
        o->text[o->size] = '\0';
}

static void note_event(struct outcome *o, enum framing_event event, const char *data, const struct frame *frame) {
        static const char *const words[] = {
                [FRAMING_BAD_DELIMITER] = "delimiter", [FRAMING_BAD_COUNT] = "count",
                [FRAMING_OVERSIZE] = "oversize",       [FRAMING_TOO_LARGE] = "large",
                [FRAMING_NO_FIRST_LINE] = "no-first",  [FRAMING_INCOMPLETE] = "incomplete",
                [FRAMING_TAIL_DISCARDED] = "tail",
        };
        if (event != FRAMING_FRAME) {
                char number[32];
                int size = snprintf(number, sizeof number, " %s:%u ", words[event], frame->number);
                note(o, number, (size_t)size);
        }
        if (event == FRAMING_FRAME || event == FRAMING_NO_FIRST_LINE) {
                note(o, "[", 1);
                note(o, data + frame->start, frame->size);
                note(o, "]", 1);
        }
}

/* Feeds a stream in reads of `step` bytes, as a connection would. */
static const char *feed(const struct framing_rules *rules, struct text stream, size_t step) {
        static struct outcome o;
        static char carry[8192];
        size_t carried = 0;
        struct framing f = {0};
        o.size = 0;
        o.text[0] = '\0';
        for (size_t at = 0; at < stream.size; at += step) {
                size_t got = MIN(step, stream.size - at);
                CHECK(carried + got <= sizeof carry);
                memcpy(carry + carried, stream.data + at, got);
                size_t size = carried + got, used = 0;
                for (;;) {
                        struct frame frame;
                        enum framing_event event = framing_next(&f, rules, carry + used, size - used, &frame);
                        if (event != FRAMING_MORE)
                                note_event(&o, event, carry + used, &frame);
                        used += frame.used;
                        if (event == FRAMING_MORE)
                                break;
                }
                carried = size - used;
                CHECK(carried <= framing_carry_max(rules));
                memmove(carry, carry + used, carried);
        }
        struct frame frame;
        enum framing_event event = framing_end(&f, rules, carried, &frame);
        if (event != FRAMING_MORE)
                note_event(&o, event, carry, &frame);
        return o.text;
}

static const struct framing_rules usual = {
        .message_bytes_max = 16,
        .frame_bytes_max = 200,
        .delimiter = -1,
        .ends_at_lf = true,
        .counts_octets = true,
        .keeps_tail = true,
};

/* However the stream is cut into reads, this comes out. */
static void expect(const struct framing_rules *rules, const char *stream, size_t size, const char *wanted) {
        for (size_t step = 1; step <= size + 1; step++)
                CHECK_TEXT(text_of(feed(rules, (struct text){stream, size}, step)), wanted);
}
#define EXPECT(rules, stream, wanted) expect(rules, stream, sizeof(stream) - 1, wanted)

static void a_line_feed_ends_a_message(void) {
        EXPECT(&usual, "a\nbc\n", "[a][bc]");
        EXPECT(&usual, " 3 abc\n hello\n", "[ 3 abc][ hello]");
        EXPECT(&usual, "-3 abc\n+3 abc\n", "[-3 abc][+3 abc]");
}

static void empty_messages_are_passed_over(void) {
        EXPECT(&usual, "a\n\n\nb\r\n\r\nc\n", "[a][b\r][\r][c]");
        EXPECT(&usual, "\n\n", "");
}

static void the_end_of_the_stream_ends_a_message(void) {
        EXPECT(&usual, "a\nbcd", "[a][bcd]");
}

static void where_the_tail_is_not_kept_its_loss_is_told(void) {
        struct framing_rules rules = usual;
        rules.keeps_tail = false;
        EXPECT(&rules, "a\nbcd", "[a] tail:3 ");
        EXPECT(&rules, "a\n", "[a]");
}

static void a_count_makes_a_frame_and_both_kinds_mix(void) {
        EXPECT(&usual, "3 abc2 de\n4 wxyz", "[abc][de][wxyz]");
        EXPECT(&usual, "3 abc\n3 def\n\nxyz\n", "[abc][def][xyz]");
        EXPECT(&usual, "3 a\nb0000000005 hello", "[a\nb][hello]");
}

static void octet_counting_can_be_off(void) {
        struct framing_rules rules = usual;
        rules.counts_octets = false;
        EXPECT(&rules, "3 abc\n4 a\n", "[3 abc][4 a]");
}

static void an_incomplete_counted_frame_is_told(void) {
        EXPECT(&usual, "10 abc", " incomplete:3 ");
        EXPECT(&usual, "12", " incomplete:2 ");
        EXPECT(&usual, "1", " incomplete:1 ");
}

static void a_count_without_blank_is_told_and_believed(void) {
        EXPECT(&usual, "3abc\nhello\n", " delimiter:97 [bc\n][hello]");
        EXPECT(&usual, "5\nhello6\thello!x\n", " delimiter:10 [hello] delimiter:9 [hello!][x]");
}

static void a_count_of_nothing_is_told_and_dropped(void) {
        EXPECT(&usual, "0 abc\nhello\n", " count:0 [abc][hello]");
        EXPECT(&usual, "0 3 xyz\n4 abcd\n", " count:0 [3 xyz][abcd]");
}

static void a_count_beyond_the_largest_frame_is_a_message(void) {
        EXPECT(&usual, "300 abc\nhello\n", " large:300 [300abc][hello]");
        EXPECT(&usual, "99999999999 abc\nx\n", " large:999999999 [99999999999abc][x]");
        struct framing_rules rules = usual;
        rules.frame_bytes_max = 0;
        EXPECT(&rules, "5 hello\nx\n", " large:5 [5hello][x]");
}

static void digits_without_end_are_no_count(void) {
        EXPECT(&usual, "11111111111111112222\nx\n", " large:999999999 [1111111111111111][2222][x]");
}

static void what_is_too_long_is_split(void) {
        EXPECT(&usual, "abcdefghijklmnopqrstuvwxyzabcdefgh\nnext\n", "[abcdefghijklmnop][qrstuvwxyzabcdef][gh][next]");
        EXPECT(&usual, "abcdefghijklmnop1234\n", "[abcdefghijklmnop][1234]");
        EXPECT(&usual, "abcdefghijklmnopqrstuvwxyz", "[abcdefghijklmnop][qrstuvwxyz]");
}

static void the_longest_message_is_whole(void) {
        EXPECT(&usual, "abcdefghijklmnop\nnext\n", "[abcdefghijklmnop][next]");
        EXPECT(&usual, "16 abcdefghijklmnop4 next", "[abcdefghijklmnop][next]");
        EXPECT(&usual, "abcdefghijklmnop", "[abcdefghijklmnop]");
}

static void what_is_too_long_can_be_cut(void) {
        struct framing_rules rules = usual;
        rules.discards_truncated = true;
        EXPECT(&rules, "abcdefghijklmnopqrstuvwxyzabcdefgh\nnext\n", "[abcdefghijklmnop][next]");
        EXPECT(&rules, "abcdefghijklmnop\nnext\nnext2\n", "[abcdefghijklmnop][next][next2]");
        EXPECT(&rules, "20 abcdefghijklmnopqrst4 next", " oversize:20 [abcdefghijklmnop][next]");
}

static void a_counted_message_that_is_too_long_is_split_or_cut(void) {
        struct framing_rules rules = usual;
        EXPECT(&rules, "20 abcdefghijklmnopqrst4 next", " oversize:20 [abcdefghijklmnop][qrst][next]");
        rules.truncates_counted = true;
        EXPECT(&rules, "40 abcdefghijklmnopqrstabcdefghijklmnopqrst4 next", " oversize:40 [abcdefghijklmnop][next]");
}

static void another_byte_can_end_messages_too(void) {
        struct framing_rules rules = usual;
        rules.delimiter = '~';
        EXPECT(&rules, "a~b\nc~~d\n5 hello3 ab~\nx\n", "[a][b][c][d][hello][ab~][x]");
        rules.delimiter = 0;
        EXPECT(&rules, "a\0b\nc\0\0d\n", "[a][b][c][d]");
}

static void a_rare_delimiter_is_found_far_away(void) {
        struct framing_rules rules = usual;
        rules.delimiter = '~';
        rules.message_bytes_max = 2000;
        char stream[1500];
        memset(stream, 'x', sizeof stream);
        stream[700] = '~';
        const char *text = feed(&rules, (struct text){stream, sizeof stream}, sizeof stream);
        CHECK_INT(strlen(text), 1500 - 1 + 4);
        CHECK_INT(strchr(text, ']') - text, 701);
}

static void line_feeds_can_be_ordinary_bytes(void) {
        struct framing_rules rules = usual;
        rules.ends_at_lf = false;
        EXPECT(&rules, "a~b\nc~~d\n", "[a~b\nc~~d\n]");
        rules.delimiter = '~';
        EXPECT(&rules, "a~b\nc~~d\n", "[a][b\nc][d\n]");
}

static void blanks_between_frames_can_be_passed_over(void) {
        struct framing_rules rules = usual;
        rules.skips_blanks = true;
        EXPECT(&rules, "<1>a\n <2>b\n  <3>c\n 3 abc 4 abcd\n", "[<1>a][<2>b][<3>c][abc][abcd]");
}

static void a_multi_line_message_ends_before_the_next_priority(void) {
        struct framing_rules rules = usual;
        rules.multi_line = true;
        const char stream[] = "<1>a\n b\n<2>c\nd\n\n<3>e\n3 abc";
        CHECK_TEXT(text_of(feed(&rules, (struct text){stream, sizeof stream - 1}, sizeof stream)),
                   "[<1>a\n b][<2>c\nd\n][<3>e\n3 abc]");
        const char mixed[] = "3 abc5 de\n<8<1>x\ny\n";
        CHECK_TEXT(text_of(feed(&rules, (struct text){mixed, sizeof mixed - 1}, sizeof mixed)),
                   "[abc][de\n<8][<1>x\ny]");
}

static void a_multi_line_message_ends_with_the_read(void) {
        struct framing_rules rules = usual;
        rules.multi_line = true;
        const char stream[] = "<1>a\n<2>b\nmore\n";
        CHECK_TEXT(text_of(feed(&rules, (struct text){stream, sizeof stream - 1}, 5)), "[<1>a][<2>b][more]");
}

static void a_pattern_tells_the_first_line(void) {
        regex_t pattern;
        CHECK_INT(regcomp(&pattern, "^<[0-9]{1,3}>J", REG_EXTENDED), 0);
        struct framing_rules rules = usual;
        rules.pattern = &pattern;
        EXPECT(&rules, "<1>J a\n b\n<2>c\nd\n<3>J e\n", "[<1>J a\n b\n<2>c\nd][<3>J e\n]");
        EXPECT(&rules, "x\ny\n<1>J a\n5 z\n<2>J\n", "[x\ny][<1>J a\n5 z][<2>J\n]");
        EXPECT(&rules, "<1>J\n\n\n<2>J x\n\n<3>J\n", "[<1>J\n\n][<2>J x\n][<3>J\n]");
        rules.message_bytes_max = 10;
        EXPECT(&rules, "<1>J12345678901234567890\n<2>J\n<3>J\n",
               " no-first:21 [<1>J1234567890123456][7890][<2>J][<3>J\n]");
        regfree(&pattern);
}

static void what_is_cut_is_known_as_far_as_it_was_received(void) {
        char stream[] = "abcdefghijklmnopqrst\nnext\n";
        struct framing f = {0};
        struct frame frame;
        CHECK_INT(framing_next(&f, &usual, stream, sizeof stream - 1, &frame), FRAMING_FRAME);
        CHECK_INT(frame.size, 16);
        CHECK_INT(frame.rest, 4);
        CHECK_TEXT(((struct text){stream + frame.used, frame.rest}), "qrst");
}

TEST_MAIN(TEST(a_line_feed_ends_a_message), TEST(empty_messages_are_passed_over),
          TEST(the_end_of_the_stream_ends_a_message), TEST(where_the_tail_is_not_kept_its_loss_is_told),
          TEST(a_count_makes_a_frame_and_both_kinds_mix), TEST(octet_counting_can_be_off),
          TEST(an_incomplete_counted_frame_is_told), TEST(a_count_without_blank_is_told_and_believed),
          TEST(a_count_of_nothing_is_told_and_dropped), TEST(a_count_beyond_the_largest_frame_is_a_message),
          TEST(digits_without_end_are_no_count), TEST(what_is_too_long_is_split), TEST(the_longest_message_is_whole),
          TEST(what_is_too_long_can_be_cut), TEST(a_counted_message_that_is_too_long_is_split_or_cut),
          TEST(another_byte_can_end_messages_too), TEST(a_rare_delimiter_is_found_far_away),
          TEST(line_feeds_can_be_ordinary_bytes), TEST(blanks_between_frames_can_be_passed_over),
          TEST(a_multi_line_message_ends_before_the_next_priority), TEST(a_multi_line_message_ends_with_the_read),
          TEST(a_pattern_tells_the_first_line), TEST(what_is_cut_is_known_as_far_as_it_was_received))
