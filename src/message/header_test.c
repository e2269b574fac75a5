#include "message/header.h"

#include <stdlib.h>
#include <time.h>

#include "base/test.h"

struct date_case {
        const char *text; /* NULL date: not taken */
        const char *date;
        const char *rest;
};

static void show(char *out, size_t size, const struct stamp *s) {
        int n = snprintf(out, size, "%d-%d-%d %d:%d:%d", s->year, s->month, s->day, s->hour, s->minute, s->second);
        if (s->precision)
                n += snprintf(out + n, size - (size_t)n, ".%0*u", s->precision, s->fraction);
        if (s->is_utc)
                snprintf(out + n, size - (size_t)n, "Z");
        else if (s->is_unknown)
                snprintf(out + n, size - (size_t)n, "-0");
        else if (s->offset_minutes)
                snprintf(out + n, size - (size_t)n, "%+d", s->offset_minutes);
}

static void check_date(const struct date_case *c, const struct stamp *s, const char *after) {
        if (!c->date || !after) {
                if (c->date || after || s->is_set)
                        TEST_FAIL("\"%s\" was %s", c->text, after ? "taken" : "refused");
                return;
        }
        char shown[80];
        show(shown, sizeof shown, s);
        CHECK(s->is_set);
        CHECK_TEXT(text_of(shown), c->date);
        CHECK_TEXT(text_of(after), c->rest);
}

/* A year of 0 is one that was not named. All expectations were taken from rsyslogd 8.2302. */
static const struct date_case traditional[] = {
        {"Oct 11 22:14:15 h", "0-10-11 22:14:15", "h"},
        {"Oct  1 22:14:15 h", "0-10-1 22:14:15", "h"},
        {"Oct 1 22:14:15 h", "0-10-1 22:14:15", "h"},
        {"Oct 01 22:14:15 h", "0-10-1 22:14:15", "h"},
        {"Oct  11 22:14:15 h", "0-10-11 22:14:15", "h"},
        {"Oct   1 22:14:15 h", NULL, NULL},
        {"Oct 11 2:4:5 h", "0-10-11 2:4:5", "h"},
        {"Oct 011 0022:014:015 h", "0-10-11 22:14:15", "h"},
        {"Oct 11  2:14:15 h", NULL, NULL},
        {"oCT 11 22:14:15 h", "0-10-11 22:14:15", "h"},
        {"Okt 11 22:14:15 h", NULL, NULL},
        {"October 11 22:14:15 h", NULL, NULL},
        {"Oct11 22:14:15 h", NULL, NULL},
        {"Oct 32 22:14:15 h", NULL, NULL},
        {"Oct 0 22:14:15 h", NULL, NULL},
        {"Feb 30 22:14:15 h", "0-2-30 22:14:15", "h"},
        {"Oct 11 24:14:15 h", NULL, NULL},
        {"Oct 11 22:60:15 h", NULL, NULL},
        {"Oct 11 22:14:60 h", "0-10-11 22:14:60", "h"},
        {"Oct 11 22:14:61 h", NULL, NULL},
        {"Oct 11 4294967318:14:15 h", NULL, NULL},
        {"Oct 11 22:14 h", NULL, NULL},
        {"Oct 11 22:14:15", "0-10-11 22:14:15", ""},
        {"Oct 11 22:14:15: h", "0-10-11 22:14:15", "h"},
        {"Oct 11 22:14:15:: h", NULL, NULL},
        {"Oct 11 22:14:15 : h", "0-10-11 22:14:15", ": h"},
        {"Oct 11 22:14:15.123 h", "0-10-11 22:14:15.123", "h"},
        {"Oct 11 22:14:15.003: h", "0-10-11 22:14:15.003", "h"},
        {"Oct 11 22:14:15. h", "0-10-11 22:14:15", "h"},
        {"Oct 11 22:14:15,123 h", NULL, NULL},
        {"Oct 11 22:14:15Z h", NULL, NULL},
        {"Oct 11 22:14:15+01:00 h", NULL, NULL},
        {"Oct 11 2020 22:14:15 h", "2020-10-11 22:14:15", "h"},
        {"Oct 11 1970 22:14:15 h", NULL, NULL},
        {"Oct 11 2100 22:14:15 h", NULL, NULL},
        {"2020 Oct 11 22:14:15 h", "2020-10-11 22:14:15", "h"},
        {"1970 Oct 11 22:14:15 h", "1970-10-11 22:14:15", "h"},
        {"1969 Oct 11 22:14:15 h", NULL, NULL},
        {"2020 Oct 11 2020 22:14:15 h", NULL, NULL},
        {"Oct 11 22:14:15 2026 h", "0-10-11 22:14:15", "2026 h"},
        {"", NULL, NULL},
        {"Oct", NULL, NULL},
        /* rsyslog prints an overflown seventh digit as a stray character; here it is dropped. */
        {"Oct 11 22:14:15.1234567 h", "0-10-11 22:14:15.123456", "h"},
};

static void traditional_dates_are_read_as_devices_write_them(void) {
        for (size_t i = 0; i < ARRAY_SIZE(traditional); i++) {
                struct stamp s;
                const char *text = traditional[i].text;
                check_date(&traditional[i], &s, header_date(&s, text, text + strlen(text), false));
        }
}

static void a_year_behind_the_time_is_found_when_asked(void) {
        static const struct date_case cases[] = {
                {"Oct 11 22:14:15 2026 h", "2026-10-11 22:14:15", "h"},
                {"Oct 11 22:14:15.123 2021 h", "2021-10-11 22:14:15.123", "h"},
                {"Oct 11 22:14:15 1999 h", "0-10-11 22:14:15", "1999 h"},
                {"Oct 11 22:14:15 2100 h", "0-10-11 22:14:15", "2100 h"},
                {"Oct 11 22:14:15 20260 h", "0-10-11 22:14:15", "20260 h"},
                {"Oct 11 22:14:15: 2026 h", "0-10-11 22:14:15", "2026 h"},
                {"Oct 11 2020 22:14:15 2021 h", "2020-10-11 22:14:15", "2021 h"},
                {"Oct 11 22:14:15 2026", "0-10-11 22:14:15", "2026"},
                {"Oct 11 22:14:15 2026 ", "2026-10-11 22:14:15", ""},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct stamp s;
                check_date(&cases[i], &s, header_date(&s, cases[i].text, cases[i].text + strlen(cases[i].text), true));
        }
}

static void iso_dates_keep_their_zone_and_precision(void) {
        static const struct date_case cases[] = {
                {"2026-10-11T22:14:15Z h", "2026-10-11 22:14:15Z", "h"},
                {"2026-10-11T22:14:15.003Z h", "2026-10-11 22:14:15.003Z", "h"},
                {"2026-10-11T22:14:15-00:00 h", "2026-10-11 22:14:15-0", "h"},
                {"2026-10-11T22:14:15+00:00 h", "2026-10-11 22:14:15", "h"},
                {"2026-10-11T22:14:15.120000+02:00 h", "2026-10-11 22:14:15.120000+120", "h"},
                {"2026-10-11T22:14:15-08:30", "2026-10-11 22:14:15-510", ""},
                {"2026-10-11T22:14:15.123456789Z h", "2026-10-11 22:14:15.123456Z", "h"},
                {"2026-1-1T2:3:4Z h", "2026-1-1 2:3:4Z", "h"},
                {"2026-10-11T22:14:15.Z h", "2026-10-11 22:14:15Z", "h"},
                {"2026-10-11T22:14:60Z h", "2026-10-11 22:14:60Z", "h"},
                {"0099-10-11T22:14:15Z h", "99-10-11 22:14:15Z", "h"},
                {"02026-010-011T022:014:015+002:000 h", "2026-10-11 22:14:15+120", "h"},
                {"2026-10-11T22:14:15 h", NULL, NULL},
                {"2026-10-11 22:14:15Z h", NULL, NULL},
                {"2026-10-11t22:14:15z h", NULL, NULL},
                {"2026-10-11T22:14:15+0200 h", NULL, NULL},
                {"2026-10-11T22:14:15+02 h", NULL, NULL},
                {"2026-10-11T22:14:15+24:00 h", NULL, NULL},
                {"2026-10-11T22:14:15+23:60 h", NULL, NULL},
                {"2026-10-11T22:14:15Z: h", NULL, NULL},
                {"2026-13-11T22:14:15Z h", NULL, NULL},
                {"2026-10-32T22:14:15Z h", NULL, NULL},
                {"2026-10-11T24:14:15Z h", NULL, NULL},
                {"2100-10-11T22:14:15Z h", NULL, NULL},
                {"", NULL, NULL},
                {"2026-10-11T22:14:15", NULL, NULL},
                {"2026-10-11T22:14:15.", NULL, NULL},
                {"2026-10-11T22:14:15+", NULL, NULL},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct stamp s;
                check_date(&cases[i], &s, header_iso_date(&s, cases[i].text, cases[i].text + strlen(cases[i].text)));
        }
}

/* 2026-10-11 22:14:15 UTC */
static const int64_t received_us = 1791756855000000;

static void a_date_takes_year_and_zone_of_its_reception(void) {
        struct record r = {.received_us = received_us};
        struct stamp received = stamp_of_wall(received_us);
        struct stamp s = {.month = 11, .day = 30, .is_set = 1};
        header_complete_date(&s, &r);
        CHECK_INT(s.year, 2026);
        CHECK_INT(s.offset_minutes, received.offset_minutes);
        s = (struct stamp){.month = 12, .day = 31, .is_set = 1};
        header_complete_date(&s, &r);
        CHECK_INT(s.year, 2025);
        s = (struct stamp){0};
        header_complete_date(&s, &r);
        CHECK(memcmp(&s, &received, sizeof s) == 0);
}

static void a_source_may_name_the_zone_of_its_dates(void) {
        struct source source = {.default_zone = "-03:30"};
        struct record r = {.received_us = received_us, .source = &source};
        struct stamp s = {.month = 1, .day = 1, .is_set = 1};
        header_complete_date(&s, &r);
        CHECK_INT(s.offset_minutes, -210);
}

static size_t tag_size(const char *text) {
        return header_tag(text, text + strlen(text));
}

static void a_tag_ends_at_a_blank_or_with_a_colon(void) {
        CHECK_INT(tag_size("su: x"), 3);
        CHECK_INT(tag_size("su[12]: x"), 7);
        CHECK_INT(tag_size("su x: y"), 2);
        CHECK_INT(tag_size("su"), 2);
        CHECK_INT(tag_size(":x"), 1);
        CHECK_INT(tag_size(" x"), 0);
        CHECK_INT(tag_size(""), 0);
}

static void a_tag_is_bounded(void) {
        char text[TAG_BYTES_MAX + 10];
        memset(text, 't', sizeof text);
        CHECK_INT(header_tag(text, text + sizeof text), TAG_BYTES_MAX);
        text[TAG_BYTES_MAX] = ':';
        CHECK_INT(header_tag(text, text + sizeof text), TAG_BYTES_MAX + 1);
        text[TAG_BYTES_MAX] = 't';
        text[TAG_BYTES_MAX + 1] = ':';
        CHECK_INT(header_tag(text, text + sizeof text), TAG_BYTES_MAX);
}

static void check_local(struct record *r, const char *date, int year, int day, int offset) {
        const char *after = header_local_date(r, date, date + strlen(date), false);
        CHECK(after && *after == 'h');
        CHECK(r->reported.is_set);
        CHECK_INT(r->reported.year, year);
        CHECK_INT(r->reported.day, day);
        CHECK_INT(r->reported.offset_minutes, offset);
}

/* 2026-01-01 00:00:00 UTC. */
static void a_remembered_date_is_of_the_same_second_and_zone(void) {
        const int64_t new_year_us = 1767225600 * INT64_C(1000000);
        static char zone[] = "+02:00";
        struct source in_zone = {.default_zone = zone};
        struct record r = {.received_us = new_year_us - 1};
        setenv("TZ", "UTC", 1);
        tzset();
        for (unsigned again = 0; again < 2; again++) {
                r.received_us = new_year_us - 1;
                check_local(&r, "Feb 11 22:14:15 h", 2025, 11, 0);
                check_local(&r, "Feb 11 22:14:15 h", 2025, 11, 0);
                check_local(&r, "Feb 12 22:14:15 h", 2025, 12, 0);
                r.received_us = new_year_us;
                check_local(&r, "Jan 11 22:14:15 h", 2026, 11, 0);
                r.received_us = new_year_us + 999999;
                check_local(&r, "Jan 11 22:14:15 h", 2026, 11, 0);
                r.source = &in_zone;
                check_local(&r, "Jan 11 22:14:15 h", 2026, 11, 120);
                r.source = NULL;
        }
        const char *none = "Jan 11 22:14:15x";
        CHECK(header_local_date(&r, none, none + strlen(none), false) == NULL);
        CHECK(!r.reported.is_set);
}

TEST_MAIN(TEST(traditional_dates_are_read_as_devices_write_them), TEST(a_year_behind_the_time_is_found_when_asked),
          TEST(iso_dates_keep_their_zone_and_precision), TEST(a_date_takes_year_and_zone_of_its_reception),
          TEST(a_source_may_name_the_zone_of_its_dates), TEST(a_tag_ends_at_a_blank_or_with_a_colon),
          TEST(a_tag_is_bounded), TEST(a_remembered_date_is_of_the_same_second_and_zone))
