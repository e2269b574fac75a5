#include "message/sanitize.h"

#include "base/test.h"

static const struct sanitize_rules rules_usual = {
        .bytes_max = 8192, .prefix = '#', .drops_trailing_lf = true, .escapes_control = true, .escapes_tab = true};

static struct batch *batch;

static struct record *record_of(const char *bytes, size_t size) {
        static struct batch_pool *pool;
        if (!pool)
                CHECK(batch_pool_new(&pool) == 0);
        batch = batch_unref(batch);
        batch = batch_new(pool, size);
        struct record *r = batch_append(batch, NULL);
        r->raw = batch_store(batch, (struct text){bytes, size});
        return r;
}

static struct text cleaned(const char *bytes, size_t size, const struct sanitize_rules *rules) {
        struct record *r = record_of(bytes, size);
        sanitize(batch, r, rules);
        return batch_text(batch, r->raw);
}
#define CLEANED(literal, rules) cleaned((literal), sizeof(literal) - 1, (rules))

/* All expectations below were taken from rsyslogd 8.2302. */

static void a_plain_message_is_not_copied(void) {
        static const char plain[] = "<13>Oct 11 22:14:15 h t: all is well, even \177, \344 and # are";
        struct record *r = record_of(plain, sizeof plain - 1);
        struct span before = r->raw;
        sanitize(batch, r, &rules_usual);
        CHECK_INT(r->raw.at, before.at);
        CHECK_INT(r->raw.size, before.size);
}

static void control_characters_are_shown_in_octal(void) {
        CHECK_TEXT(CLEANED("a\tb\001\033c", &rules_usual), "a#011b#001#033c");
        CHECK_TEXT(CLEANED("a\0b", &rules_usual), "a#000b");
        CHECK_TEXT(CLEANED("\0\0a", &rules_usual), "#000#000a");
        struct sanitize_rules rules = rules_usual;
        rules.prefix = '^';
        CHECK_TEXT(CLEANED("a\tb", &rules), "a^011b");
}

static void one_nul_and_one_lf_at_the_end_are_cut(void) {
        CHECK_TEXT(CLEANED("a\n", &rules_usual), "a");
        CHECK_TEXT(CLEANED("a\n\n", &rules_usual), "a#012");
        CHECK_TEXT(CLEANED("a\0", &rules_usual), "a");
        CHECK_TEXT(CLEANED("a\n\0", &rules_usual), "a");
        CHECK_TEXT(CLEANED("a\0\n", &rules_usual), "a#000");
        CHECK_TEXT(CLEANED("a\r\n", &rules_usual), "a#015");
        CHECK_TEXT(CLEANED("\n", &rules_usual), "");
        struct sanitize_rules rules = rules_usual;
        rules.drops_trailing_lf = false;
        CHECK_TEXT(CLEANED("a\n", &rules), "a#012");
        rules = rules_usual;
        rules.drops_trailing_cr = true;
        CHECK_TEXT(CLEANED("a\r\n", &rules), "a");
}

static void tabs_may_stay(void) {
        struct sanitize_rules rules = rules_usual;
        rules.escapes_tab = false;
        CHECK_TEXT(CLEANED("a\tb\001\n", &rules), "a\tb#001");
}

static void eight_bit_characters_are_escaped_when_asked(void) {
        struct sanitize_rules rules = rules_usual;
        rules.escapes_8bit = true;
        CHECK_TEXT(CLEANED("x\177\200\377", &rules), "x\177#200#377");
        rules.escapes_c_style = true;
        CHECK_TEXT(CLEANED("x\177\200\377", &rules), "x\177\\x80\\xFF");
}

static void c_style_uses_the_names_of_c(void) {
        struct sanitize_rules rules = rules_usual;
        rules.escapes_c_style = true;
        CHECK_TEXT(CLEANED("\0\001\a\b\t\n\v\f\r\016\033\037.", &rules), "\\0\\x01\\a\\b\\t\\n\\v\\f\\r\\x0E\\e\\x1F.");
}

static void without_escaping_only_a_nul_is_shown_and_controls_behind_it_vanish(void) {
        struct sanitize_rules rules = rules_usual;
        rules.escapes_control = false;
        CHECK_TEXT(CLEANED("a\tb\001\nc", &rules), "a\tb\001\nc");
        CHECK_TEXT(CLEANED("a\tb\001\nc\0\td", &rules), "a\tb\001\nc#000d");
        CHECK_TEXT(CLEANED("a\n\0b", &rules), "a#000b");
}

static void line_feeds_become_blanks_and_other_controls_then_stay(void) {
        struct sanitize_rules rules = rules_usual;
        rules.spaces_lf = true;
        CHECK_TEXT(CLEANED("a\nb\tc\n", &rules), "a b\tc");
        CHECK_TEXT(CLEANED("a\nb\nc\001\n", &rules), "a b c#001");
        rules.escapes_8bit = true;
        CHECK_TEXT(CLEANED("\nb\n\377a\nb\001c", &rules), " b #377a#012b#001c");
}

static void what_escaping_makes_too_long_is_cut_between_characters(void) {
        struct sanitize_rules rules = rules_usual;
        rules.bytes_max = 10;
        CHECK_TEXT(CLEANED("\001\001\001\001", &rules), "#001#001");
}

static void the_fast_scan_agrees_with_the_slow_one(void) {
        char bytes[200];
        for (size_t size = 0; size < sizeof bytes; size++)
                for (size_t at = 0; at < size; at++) {
                        memset(bytes, ' ', size);
                        CHECK(sanitize_find(bytes, bytes + size, true, true) == bytes + size);
                        bytes[at] = (char)(at & 1 ? 31 : 128);
                        const char *wanted = bytes + at, *end = bytes + size;
                        CHECK(sanitize_find(bytes, end, true, true) == wanted);
                        CHECK(sanitize_find(bytes, end, true, false) == (at & 1 ? wanted : end));
                        CHECK(sanitize_find(bytes, end, false, false) == end);
                        bytes[at] = 0;
                        CHECK(sanitize_find(bytes, end, false, false) == wanted);
                }
}

struct pri_case {
        const char *raw;
        int facility, severity, pri_size;
};

static void a_pri_is_read_or_found_invalid(void) {
        static const struct pri_case cases[] = {
                {"<34>x", 4, 2, 4},    {"<0>x", 0, 0, 3},       {"<191>x", 23, 7, 5}, {"<192>x", 24, 7, 5},
                {"<013>x", 1, 5, 5},   {"<0000013>x", 1, 5, 9}, {"<>x", 0, 0, 2},     {"x", 1, 5, 0},
                {"", 1, 5, 0},         {" <8>x", 1, 5, 0},      {"<", 24, 7, 0},      {"<13", 24, 7, 0},
                {"<1234>x", 24, 7, 0}, {"<12 >x", 24, 7, 5},    {"<-1>x", 24, 7, 4},  {"<a>x", 24, 7, 3},
                {"<abcd>x", 24, 7, 0}, {"<13>", 1, 5, 4},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct record *r = record_of(cases[i].raw, strlen(cases[i].raw));
                parse_pri(batch, r);
                CHECK_INT(r->facility, cases[i].facility);
                CHECK_INT(r->severity, cases[i].severity);
                CHECK_INT(r->pri_size, cases[i].pri_size);
        }
}

static void a_pri_of_endless_zeros_is_invalid(void) {
        char raw[400];
        memset(raw, '0', sizeof raw);
        raw[0] = '<';
        raw[sizeof raw - 1] = '>';
        struct record *r = record_of(raw, sizeof raw);
        parse_pri(batch, r);
        CHECK_INT(r->facility, FACILITY_INVALID);
}

/* Told digit by digit. */
static bool pri_is(const struct record *r, const char *raw) {
        unsigned pri = 0, i = 1;
        while (i < 5 && raw[i] >= '0' && raw[i] <= '9')
                pri = pri * 10 + (unsigned)(raw[i++] - '0');
        if (pri <= 191 && raw[i] == '>')
                return r->facility == pri >> 3 && r->severity == (pri & 7) && r->pri_size == i + 1;
        return r->facility == FACILITY_INVALID && r->severity == 7;
}

static void every_short_pri_is_read_the_same_way(void) {
        static const char bytes[] = "0123456789>/:<\xb0\x7f\xff ";
        enum { MANY = sizeof bytes - 1 };
        bool is_right = true;
        for (unsigned n = 0; n < MANY * MANY * MANY * MANY; n++) {
                char raw[] = "<....> x";
                for (unsigned i = 1, rest = n; i <= 4; i++, rest /= MANY)
                        raw[i] = bytes[rest % MANY];
                batch->count = batch->region_used[0] = 0;
                struct record *r = record_of(raw, sizeof raw - 1);
                parse_pri(batch, r);
                is_right &= pri_is(r, raw);
        }
        CHECK(is_right);
}

static void what_is_known_to_be_plain_is_left_alone(void) {
        struct record *r = record_of("a\tb\n", 4);
        struct sanitize_rules rules = {
                .bytes_max = 100, .drops_trailing_lf = true, .escapes_control = true, .escapes_tab = true};
        struct span before = r->raw;
        r->flags |= RECORD_IS_PLAIN;
        sanitize(batch, r, &rules);
        CHECK(r->raw.at == before.at && r->raw.size == before.size);
}

TEST_MAIN(TEST(a_plain_message_is_not_copied), TEST(control_characters_are_shown_in_octal),
          TEST(one_nul_and_one_lf_at_the_end_are_cut), TEST(tabs_may_stay),
          TEST(eight_bit_characters_are_escaped_when_asked), TEST(c_style_uses_the_names_of_c),
          TEST(without_escaping_only_a_nul_is_shown_and_controls_behind_it_vanish),
          TEST(line_feeds_become_blanks_and_other_controls_then_stay),
          TEST(what_escaping_makes_too_long_is_cut_between_characters), TEST(the_fast_scan_agrees_with_the_slow_one),
          TEST(a_pri_is_read_or_found_invalid), TEST(a_pri_of_endless_zeros_is_invalid),
          TEST(every_short_pri_is_read_the_same_way), TEST(what_is_known_to_be_plain_is_left_alone))
