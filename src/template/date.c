#include "template/date.h"

const char *const date_format_names[] = {
        [DATE_RFC3164] = "rfc3164",
        [DATE_RFC3164_BUGGYDAY] = "rfc3164-buggyday",
        [DATE_RFC3339] = "rfc3339",
        [DATE_MYSQL] = "mysql",
        [DATE_PGSQL] = "pgsql",
        [DATE_UNIXTIMESTAMP] = "unixtimestamp",
        [DATE_YEAR] = "year",
        [DATE_MONTH] = "month",
        [DATE_DAY] = "day",
        [DATE_HOUR] = "hour",
        [DATE_MINUTE] = "minute",
        [DATE_SECOND] = "second",
        [DATE_SUBSECONDS] = "subseconds",
        [DATE_TZOFFSHOUR] = "tzoffshour",
        [DATE_TZOFFSMIN] = "tzoffsmin",
        [DATE_TZOFFSDIRECTION] = "tzoffsdirection",
        [DATE_ORDINAL] = "ordinal",
        [DATE_WEEK] = "week",
        [DATE_ISO_WEEK] = "iso-week",
        [DATE_ISO_WEEK_YEAR] = "iso-week-year",
        [DATE_WDAY] = "wday",
        [DATE_WDAYNAME] = "wdayname",
        NULL,
};

enum { SECONDS_PER_DAY = 86400 };

/* Days since 1970-01-01 of the date that the stamp shows, whatever its offset. */
static int64_t day_number(const struct stamp *s) {
        struct stamp midnight = {.year = s->year, .month = s->month, .day = s->day};
        return stamp_to_wall(&midnight) / 1000000 / SECONDS_PER_DAY;
}

static unsigned day_of_year(const struct stamp *s) {
        struct stamp january = {.year = s->year, .month = 1, .day = 1};
        return (unsigned)(day_number(s) - day_number(&january));
}

/* 0 is Sunday; 1970-01-01 was a Thursday. */
static unsigned weekday_of(int64_t day) {
        return (unsigned)(((day + 4) % 7 + 7) % 7);
}

/* rsyslog's own count: no week 0 but for the first day of the year, and one more from the weekday of January 1 on. */
static unsigned week_of(const struct stamp *s) {
        int64_t day = day_number(s);
        unsigned ordinal = day_of_year(s);
        return (ordinal + 6) / 7 + (weekday_of(day) < weekday_of(day - ordinal));
}

/* ISO 8601: a week belongs to the year that its Thursday lies in. */
static struct stamp thursday_of(const struct stamp *s) {
        unsigned since_monday = (weekday_of(day_number(s)) + 6) % 7;
        struct stamp noon = {.year = s->year, .month = s->month, .day = s->day, .hour = 12};
        /* Moved as if by an offset, which may be some days: the calendar does the carrying. */
        return stamp_in_offset(&noon, (3 - (int)since_monday) * 24 * 60);
}

static char *compact(char *to, const struct stamp *s) {
        to = stamp_digits(to, (uint32_t)s->year, 4);
        to = stamp_two(to, s->month);
        to = stamp_two(to, s->day);
        to = stamp_two(to, s->hour);
        to = stamp_two(to, s->minute);
        return stamp_two(to, s->second);
}

static char *spaced(char *to, const struct stamp *s) {
        struct stamp plain = *s;
        plain.precision = 0;
        plain.is_utc = 1;
        char *end = stamp_rfc3339(to, &plain) - 1; /* without the Z */
        to[10] = ' ';
        return end;
}

static char *unix_seconds(char *to, const struct stamp *s) {
        int64_t seconds = stamp_to_wall(s) / 1000000;
        if (seconds < 0) {
                *to++ = '-';
                seconds = -seconds;
        }
        unsigned digits = 1;
        for (int64_t rest = seconds; rest >= 10; rest /= 10)
                digits++;
        for (unsigned at = digits; at-- > 0; seconds /= 10)
                to[at] = (char)('0' + seconds % 10);
        return to + digits;
}

static char *weekday_name(char *to, const struct stamp *s) {
        static const char names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        return mempcpy(to, names[weekday_of(day_number(s))], 3);
}

char *date_render(char *to, const struct stamp *s, enum date_format format) {
        unsigned offset = (unsigned)(s->offset_minutes < 0 ? -s->offset_minutes : s->offset_minutes);
        switch (format) {
        case DATE_RFC3164:
                return stamp_rfc3164(to, s, ' ');
        case DATE_RFC3164_BUGGYDAY:
                return stamp_rfc3164(to, s, '0');
        case DATE_RFC3339:
                return stamp_rfc3339(to, s);
        case DATE_MYSQL:
                return compact(to, s);
        case DATE_PGSQL:
                return spaced(to, s);
        case DATE_UNIXTIMESTAMP:
                return unix_seconds(to, s);
        case DATE_YEAR:
                return stamp_digits(to, (uint32_t)s->year, 4);
        case DATE_MONTH:
                return stamp_two(to, s->month);
        case DATE_DAY:
                return stamp_two(to, s->day);
        case DATE_HOUR:
                return stamp_two(to, s->hour);
        case DATE_MINUTE:
                return stamp_two(to, s->minute);
        case DATE_SECOND:
                return stamp_two(to, s->second);
        case DATE_SUBSECONDS:
                return stamp_digits(to, s->precision ? s->fraction : 0, s->precision ? s->precision : 1);
        case DATE_TZOFFSHOUR:
                return stamp_two(to, offset / 60);
        case DATE_TZOFFSMIN:
                return stamp_two(to, offset % 60);
        case DATE_TZOFFSDIRECTION:
                /* A time that came as "Z" shows a minus. */
                *to++ = s->offset_minutes < 0 || s->is_utc || s->is_unknown ? '-' : '+';
                return to;
        case DATE_ORDINAL:
                return stamp_digits(to, day_of_year(s) + 1, 3);
        case DATE_WEEK:
                return stamp_two(to, week_of(s));
        case DATE_ISO_WEEK: {
                struct stamp thursday = thursday_of(s);
                return stamp_two(to, day_of_year(&thursday) / 7 + 1);
        }
        case DATE_ISO_WEEK_YEAR:
                return stamp_digits(to, (uint32_t)thursday_of(s).year, 4);
        case DATE_WDAY:
                return stamp_digits(to, weekday_of(day_number(s)), 1);
        case DATE_WDAYNAME:
                return weekday_name(to, s);
        case DATE_FORMATS:
                break;
        }
        return to;
}
