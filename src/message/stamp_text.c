#include "message/stamp_text.h"

#include <stddef.h>
#include <string.h>

#define ROW(ten) #ten "0" #ten "1" #ten "2" #ten "3" #ten "4" #ten "5" #ten "6" #ten "7" #ten "8" #ten "9"
const char stamp_two_digits[200] = ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8) ROW(9);

const char stamp_month_names[13][4] = {"ERR", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static char *time_of_day(char *to, const struct stamp *s) {
        to = stamp_two(to, s->hour);
        *to++ = ':';
        to = stamp_two(to, s->minute);
        *to++ = ':';
        return stamp_two(to, s->second);
}

static char *write_rfc3164(char *to, const struct stamp *s, char pad) {
        __builtin_memcpy(to, stamp_month_names[s->month <= 12 ? s->month : 0], 3);
        to[3] = ' ';
        to = stamp_two(to + 4, s->day);
        if (s->day < 10)
                to[-2] = pad;
        *to++ = ' ';
        return time_of_day(to, s);
}

/* Neighbours mostly have the same second: what was written last on this thread is there still. 2 ns instead of 5. */
char *stamp_rfc3164(char *to, const struct stamp *s, char pad) {
        enum { BYTES = 15, KEY_BYTES = offsetof(struct stamp, fraction) };
        static _Thread_local struct {
                char key[KEY_BYTES]; /* date and time of day, to the second */
                char pad;            /* 0: nothing was written yet */
                char text[BYTES];
        } last;

        if (UNLIKELY(memcmp(last.key, s, KEY_BYTES) != 0 || last.pad != pad)) {
                write_rfc3164(last.text, s, pad);
                memcpy(last.key, s, KEY_BYTES);
                last.pad = pad;
        }
        return mempcpy(to, last.text, BYTES);
}

char *stamp_wall_rfc3164(char *to, int64_t wall_us) {
        static _Thread_local struct {
                int64_t second;
                char text[16];
        } last = {.second = INT64_MIN};
        int64_t second = wall_us / 1000000;
        if (UNLIKELY(second != last.second)) {
                struct stamp s = stamp_of_wall(wall_us);
                write_rfc3164(last.text, &s, ' ');
                last.second = second;
        }
        __builtin_memcpy(to, last.text, sizeof last.text);
        return to + strlen("Mar  1 01:02:03");
}

char *stamp_digits(char *to, uint32_t number, unsigned digits) {
        for (unsigned at = digits; at-- > 0; number /= 10)
                to[at] = (char)('0' + number % 10);
        return to + digits;
}

static char *fraction(char *to, const struct stamp *s) {
        *to++ = '.';
        if (s->precision != 6)
                return stamp_digits(to, s->fraction, s->precision);
        to = stamp_two(to, s->fraction / 10000);
        to = stamp_two(to, s->fraction / 100);
        return stamp_two(to, s->fraction);
}

char *stamp_rfc3339(char *to, const struct stamp *s) {
        unsigned year = (unsigned)s->year;
        to = stamp_two(to, year / 100);
        to = stamp_two(to, year);
        *to++ = '-';
        to = stamp_two(to, s->month);
        *to++ = '-';
        to = stamp_two(to, s->day);
        *to++ = 'T';
        to = time_of_day(to, s);
        if (s->precision)
                to = fraction(to, s);
        if (s->is_utc) {
                *to++ = 'Z';
                return to;
        }
        unsigned offset = (unsigned)(s->offset_minutes < 0 ? -s->offset_minutes : s->offset_minutes);
        *to++ = s->offset_minutes < 0 || s->is_unknown ? '-' : '+';
        to = stamp_two(to, offset / 60);
        *to++ = ':';
        return stamp_two(to, offset % 60);
}
