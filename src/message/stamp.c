#include "message/stamp.h"

#include <string.h>
#include <time.h>

enum {
        US_PER_SECOND = 1000000,
        PRECISION_MAX = 6,
        SECONDS_PER_DAY = 86400,
};

/* The last second of the year 9999, the last that four digits can show. */
static const int64_t WALL_SECONDS_MAX = 253402300799;

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar; month is 1 to 12. */
static int64_t days_of_date(int64_t year, int month, int day) {
        /* Counted in years that begin in March, so that a leap day comes last. */
        year -= month <= 2;
        int64_t era = (year >= 0 ? year : year - 399) / 400;
        int64_t year_of_era = year - era * 400;
        int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        return era * 146097 + day_of_era - 719468;
}

static void set_date_of_days(struct stamp *s, int64_t days) {
        days += 719468;
        int64_t era = (days >= 0 ? days : days - 146096) / 146097;
        int64_t day_of_era = days - era * 146097;
        int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        int64_t month = (5 * day_of_year + 2) / 153;
        s->day = (uint8_t)(day_of_year - (153 * month + 2) / 5 + 1);
        s->month = (uint8_t)(month < 10 ? month + 3 : month - 9);
        s->year = (int16_t)(year_of_era + era * 400 + (s->month <= 2));
}

static struct stamp stamp_of_local(int64_t second) {
        time_t now = (time_t)second;
        struct tm tm;
        if (!localtime_r(&now, &tm))
                memset(&tm, 0, sizeof tm);
        return (struct stamp){
                .year = (int16_t)(tm.tm_year + 1900),
                .month = (uint8_t)(tm.tm_mon + 1),
                .day = (uint8_t)tm.tm_mday,
                .hour = (uint8_t)tm.tm_hour,
                .minute = (uint8_t)tm.tm_min,
                .second = (uint8_t)tm.tm_sec,
                .precision = PRECISION_MAX,
                .offset_minutes = (int16_t)(tm.tm_gmtoff / 60),
                .is_set = 1,
        };
}

struct stamp stamp_of_wall(int64_t wall_us) {
        /* localtime_r() takes a lock and hundreds of nanoseconds; most records share their second with the one before.
         */
        static _Thread_local struct {
                int64_t second;
                struct stamp stamp;
        } last = {.second = -1};

        int64_t clamped = MIN(MAX(wall_us, (int64_t)0), (WALL_SECONDS_MAX + 1) * US_PER_SECOND - 1);
        int64_t second = clamped / US_PER_SECOND;
        if (second != last.second) {
                last.stamp = stamp_of_local(second);
                last.second = second;
        }
        struct stamp s = last.stamp;
        s.fraction = (uint32_t)(clamped - second * US_PER_SECOND);
        return s;
}

static int64_t fraction_us(const struct stamp *s) {
        int64_t us = s->fraction;
        for (int digits = s->precision; digits < PRECISION_MAX; digits++)
                us *= 10;
        return us;
}

int64_t stamp_to_wall(const struct stamp *s) {
        int64_t month = (int64_t)s->month - 1;
        int64_t years_carried = month >= 0 ? month / 12 : -1;
        int64_t days = days_of_date(s->year + years_carried, (int)(month - years_carried * 12) + 1, 1) + s->day - 1;
        int64_t minutes = (int64_t)s->hour * 60 + s->minute - s->offset_minutes;
        return (days * SECONDS_PER_DAY + minutes * 60 + s->second) * US_PER_SECOND + fraction_us(s);
}

struct stamp stamp_in_offset(const struct stamp *s, int offset_minutes) {
        struct stamp moved = *s;
        int64_t us = stamp_to_wall(s) - fraction_us(s);
        int64_t seconds = us / US_PER_SECOND + (int64_t)offset_minutes * 60;
        int64_t days = seconds / SECONDS_PER_DAY;
        if (seconds < days * SECONDS_PER_DAY)
                days--;
        int64_t rest = seconds - days * SECONDS_PER_DAY;
        set_date_of_days(&moved, days);
        moved.hour = (uint8_t)(rest / 3600);
        moved.minute = (uint8_t)(rest / 60 % 60);
        moved.second = (uint8_t)(rest % 60);
        moved.offset_minutes = (int16_t)offset_minutes;
        moved.is_utc = moved.is_unknown = 0;
        return moved;
}

int16_t stamp_guess_year(unsigned month, const struct stamp *now) {
        if (now->month == 12 && month == 1)
                return (int16_t)(now->year + 1);
        return (int16_t)(month > now->month + 1u ? now->year - 1 : now->year);
}
