#include "message/header.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
        USUAL_DATE_BYTES = 16, /* "Oct 11 22:14:15 " */
        NUMBER_MAX = 100000,   /* beyond it every field is out of range */
        PRECISION_MAX = 6,
        YEAR_MAX = 2099,
};

/* Any number of digits, as rsyslog reads them; 0 where there are none. */
static const char *read_number(unsigned *number, const char *at, const char *end) {
        unsigned n = 0;
        for (; at < end && (unsigned char)(*at - '0') <= 9; at++)
                n = MIN(n * 10 + (unsigned)(*at - '0'), (unsigned)NUMBER_MAX);
        *number = n;
        return at;
}

/* A number of exactly two digits; 100 or more when they are none. */
static inline unsigned two_digits(const char *at) {
        unsigned tens = (unsigned char)(at[0] - '0'), ones = (unsigned char)(at[1] - '0');
        return tens <= 9 && ones <= 9 ? tens * 10 + ones : 100;
}

/* Digits beyond the sixth are read and dropped. */
static const char *read_fraction(struct stamp *s, const char *at, const char *end) {
        uint32_t fraction = 0;
        uint8_t precision = 0;
        for (; at < end && (unsigned char)(*at - '0') <= 9; at++) {
                if (precision == PRECISION_MAX)
                        continue;
                fraction = fraction * 10 + (uint32_t)(*at - '0');
                precision++;
        }
        s->fraction = fraction;
        s->precision = precision;
        return at;
}

#define MONTH_(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))

static unsigned month_of(const char *at) {
        uint32_t letters = MONTH_((unsigned char)at[0], (unsigned char)at[1], (unsigned char)at[2]);
        switch (letters | 0x202020) {
        case MONTH_('j', 'a', 'n'):
                return 1;
        case MONTH_('f', 'e', 'b'):
                return 2;
        case MONTH_('m', 'a', 'r'):
                return 3;
        case MONTH_('a', 'p', 'r'):
                return 4;
        case MONTH_('m', 'a', 'y'):
                return 5;
        case MONTH_('j', 'u', 'n'):
                return 6;
        case MONTH_('j', 'u', 'l'):
                return 7;
        case MONTH_('a', 'u', 'g'):
                return 8;
        case MONTH_('s', 'e', 'p'):
                return 9;
        case MONTH_('o', 'c', 't'):
                return 10;
        case MONTH_('n', 'o', 'v'):
                return 11;
        case MONTH_('d', 'e', 'c'):
                return 12;
        default:
                return 0;
        }
}

/* "22:14:15" */
static const char *read_time(struct stamp *s, const char *at, const char *end) {
        unsigned hour, minute, second;
        at = read_number(&hour, at, end);
        if (hour > 23 || at == end || *at != ':')
                return NULL;
        at = read_number(&minute, at + 1, end);
        if (minute > 59 || at == end || *at != ':')
                return NULL;
        at = read_number(&second, at + 1, end);
        if (second > 60)
                return NULL;
        s->hour = (uint8_t)hour;
        s->minute = (uint8_t)minute;
        s->second = (uint8_t)second;
        return at < end && *at == '.' ? read_fraction(s, at + 1, end) : at;
}

/* " 2026 " behind the time; only where a later field follows can it be told from a host name. */
static const char *skip_year_behind(struct stamp *s, const char *at, const char *end) {
        if (end - at < 6 || at[0] != ' ' || at[5] != ' ' || two_digits(at + 1) != 20 || two_digits(at + 3) > 99)
                return at;
        s->year = (int16_t)(2000 + two_digits(at + 3));
        return at + 5;
}

static const char *date_end(const char *at, const char *end) {
        if (at < end && *at == ':')
                at++;
        if (at == end)
                return at;
        return *at == ' ' ? at + 1 : NULL;
}

static const char *read_date(struct stamp *s, const char *at, const char *end, bool finds_year_behind) {
        unsigned number;
        bool has_year = false;
        if (at < end && (unsigned char)(*at - '0') <= 9) {
                at = read_number(&number, at, end);
                if (number < 1970 || number > 2100 || at == end || *at++ != ' ')
                        return NULL;
                s->year = (int16_t)number;
                has_year = true;
        }
        if (end - at < 4 || at[3] != ' ')
                return NULL;
        s->month = (uint8_t)month_of(at);
        if (s->month == 0)
                return NULL;
        at += 4;
        if (at < end && *at == ' ')
                at++;
        at = read_number(&number, at, end);
        if (number < 1 || number > 31 || at == end || *at++ != ' ')
                return NULL;
        s->day = (uint8_t)number;
        const char *time = at;
        at = read_number(&number, at, end);
        if (at < end && *at == ' ' && !has_year) {
                if (number <= 1970 || number > YEAR_MAX)
                        return NULL;
                s->year = (int16_t)number;
                has_year = true;
                time = at + 1;
        }
        at = read_time(s, time, end);
        if (!at)
                return NULL;
        if (finds_year_behind && !has_year)
                at = skip_year_behind(s, at, end);
        return date_end(at, end);
}

/* "Oct 11 22:14:15 ", as nearly all of them are: 7 ns less than by read_date(), parser_cost.c. */
static bool read_usual_date(struct stamp *s, const char *at) {
        if (at[3] != ' ' || at[6] != ' ' || at[9] != ':' || at[12] != ':' || at[15] != ' ')
                return false;
        unsigned month = month_of(at), hour = two_digits(at + 7), minute = two_digits(at + 10),
                 second = two_digits(at + 13);
        unsigned day = at[4] == ' ' ? (unsigned char)(at[5] - '0') : two_digits(at + 4);
        if (month == 0 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || (at[4] == ' ' && day > 9))
                return false;
        s->month = (uint8_t)month;
        s->day = (uint8_t)day;
        s->hour = (uint8_t)hour;
        s->minute = (uint8_t)minute;
        s->second = (uint8_t)second;
        return true;
}

const char *header_date(struct stamp *s, const char *at, const char *end, bool finds_year_behind) {
        *s = (struct stamp){.is_set = 1};
        if (end - at >= USUAL_DATE_BYTES && !finds_year_behind && read_usual_date(s, at))
                return at + USUAL_DATE_BYTES;
        at = read_date(s, at, end, finds_year_behind);
        if (!at)
                s->is_set = 0;
        return at;
}

static const char *read_offset(struct stamp *s, const char *at, const char *end) {
        if (at == end)
                return NULL;
        if (*at == 'Z') {
                s->is_utc = 1;
                return at + 1;
        }
        if (*at != '+' && *at != '-')
                return NULL;
        bool is_west = *at == '-';
        unsigned hours, minutes;
        at = read_number(&hours, at + 1, end);
        if (hours > 23 || at == end || *at != ':')
                return NULL;
        at = read_number(&minutes, at + 1, end);
        if (minutes > 59)
                return NULL;
        int offset = (int)(hours * 60 + minutes);
        s->offset_minutes = (int16_t)(is_west ? -offset : offset);
        s->is_unknown = is_west && offset == 0;
        return at;
}

static const char *read_iso_day(struct stamp *s, const char *at, const char *end) {
        unsigned year, month, day;
        at = read_number(&year, at, end);
        if (year > YEAR_MAX || at == end || *at != '-')
                return NULL;
        at = read_number(&month, at + 1, end);
        if (month < 1 || month > 12 || at == end || *at != '-')
                return NULL;
        at = read_number(&day, at + 1, end);
        if (day < 1 || day > 31 || at == end || *at != 'T')
                return NULL;
        s->year = (int16_t)year;
        s->month = (uint8_t)month;
        s->day = (uint8_t)day;
        return at + 1;
}

/* "2026-10-11T22:14:15", as it usually is; how many bytes that were, 0 for any other form. */
static size_t read_usual_iso(struct stamp *s, const char *at) {
        if (at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':' || at[16] != ':')
                return 0;
        unsigned century = two_digits(at), year = two_digits(at + 2), month = two_digits(at + 5),
                 day = two_digits(at + 8), hour = two_digits(at + 11), minute = two_digits(at + 14),
                 second = two_digits(at + 17);
        if (century > 20 || year > 99 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
            second > 60)
                return 0;
        s->year = (int16_t)(century * 100 + year);
        s->month = (uint8_t)month;
        s->day = (uint8_t)day;
        s->hour = (uint8_t)hour;
        s->minute = (uint8_t)minute;
        s->second = (uint8_t)second;
        return 19;
}

static const char *read_iso_date(struct stamp *s, const char *at, const char *end) {
        size_t usual = end - at >= 20 && (unsigned char)(at[19] - '0') > 9 ? read_usual_iso(s, at) : 0;
        if (usual) {
                at += usual;
                if (*at == '.')
                        at = read_fraction(s, at + 1, end);
        } else {
                at = read_iso_day(s, at, end);
                if (at)
                        at = read_time(s, at, end);
                if (!at)
                        return NULL;
        }
        at = read_offset(s, at, end);
        if (!at || at == end)
                return at;
        return *at == ' ' ? at + 1 : NULL;
}

const char *header_iso_date(struct stamp *s, const char *at, const char *end) {
        *s = (struct stamp){.is_set = 1};
        at = read_iso_date(s, at, end);
        if (!at)
                s->is_set = 0;
        return at;
}

bool header_set_zone(struct stamp *s, const char *zone) {
        struct stamp read = {0};
        size_t size = strlen(zone);
        const char *end = size ? read_offset(&read, zone, zone + size) : NULL;
        if (!end || *end)
                return false;
        s->offset_minutes = read.offset_minutes;
        return true;
}

void header_complete_date(struct stamp *s, const struct record *r) {
        struct stamp received = stamp_of_wall(r->received_us);
        if (!s->is_set) {
                *s = received;
                return;
        }
        if (s->year == 0)
                s->year = stamp_guess_year(s->month, &received);
        const char *zone = r->source ? r->source->default_zone : NULL;
        if (!zone || !header_set_zone(s, zone))
                s->offset_minutes = received.offset_minutes;
}

/*
 * Neighbours mostly have the same second in them and arrive in the same second: then it is the same date. A zone of the
 * source's own is left out, as its text may change.
 */
const char *header_local_date(struct record *r, const char *at, const char *end, bool finds_year_behind) {
        enum { US_PER_SECOND = 1000000 };
        static _Thread_local struct {
                char text[USUAL_DATE_BYTES];
                int64_t second_us; /* of reception */
                struct stamp stamp;
        } last = {.second_us = INT64_MIN / 2};

        bool is_usual = end - at >= USUAL_DATE_BYTES && !finds_year_behind && r->received_us >= 0 &&
                        !(r->source && r->source->default_zone && *r->source->default_zone);
        if (is_usual && memcmp(at, last.text, USUAL_DATE_BYTES) == 0 && r->received_us >= last.second_us &&
            r->received_us - last.second_us < US_PER_SECOND) {
                r->reported = last.stamp;
                return at + USUAL_DATE_BYTES;
        }
        const char *after = header_date(&r->reported, at, end, finds_year_behind);
        if (!after)
                return NULL;
        header_complete_date(&r->reported, r);
        if (is_usual && after - at == USUAL_DATE_BYTES) {
                memcpy(last.text, at, USUAL_DATE_BYTES);
                last.second_us = r->received_us - r->received_us % US_PER_SECOND;
                last.stamp = r->reported;
        }
        return after;
}

/* The first blank or colon before `limit`; tags differ in length, and a loop over bytes would be mispredicted. */
static const char *tag_end(const char *p, const char *limit) {
#ifdef __SSE2__
        const __m128i colon = _mm_set1_epi8(':'), blank = _mm_set1_epi8(' ');
        for (; limit - p >= 16; p += 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
                __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, colon), _mm_cmpeq_epi8(bytes, blank));
                unsigned mask = (unsigned)_mm_movemask_epi8(ends);
                if (mask)
                        return p + __builtin_ctz(mask);
        }
#endif
        while (p < limit && *p != ':' && *p != ' ')
                p++;
        return p;
}

size_t header_tag(const char *at, const char *end) {
        const char *limit = end - at > TAG_BYTES_MAX ? at + TAG_BYTES_MAX : end;
        const char *p = tag_end(at, limit);
        if (p < end && *p == ':')
                p++;
        return (size_t)(p - at);
}
