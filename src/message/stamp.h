/*
 * A time as a message gives it: broken down, with its own offset and precision,
 * so that it can be printed as it came. 16 bytes.
 */
#pragma once

#include <stdint.h>

#include "base/macros.h"

struct stamp {
        int16_t year;
        uint8_t month; /* 1 to 12 */
        uint8_t day;   /* 1 to 31 */
        uint8_t hour;
        uint8_t minute;
        uint8_t second;         /* 60 in a leap second */
        uint8_t precision;      /* digits of the fraction, 0 to 6 */
        uint32_t fraction;      /* in 10^-precision seconds */
        int16_t offset_minutes; /* east of UTC */
        uint8_t is_utc : 1;     /* came as "Z" */
        uint8_t is_unknown : 1; /* came as "-00:00": UTC, and where the sender is it does not say (RFC 3339, 4.3) */
        uint8_t is_set;
};
static_assert(sizeof(struct stamp) == 16, "a stamp lies in every record");

/* Local time of a wall clock in microseconds; cached by thread and second, obeys TZ. */
struct stamp stamp_of_wall(int64_t wall_us);
/* Microseconds since 1970, UTC. Out-of-range fields carry over as in timegm(). */
int64_t stamp_to_wall(const struct stamp *s);
/*
 * The year of a date that names none: the one that puts it nearest behind `now`, or at most into the month after it,
 * so that December's messages that arrive in January are not a year ahead.
 */
int16_t stamp_guess_year(unsigned month, const struct stamp *now);
/* The same moment in another offset. */
struct stamp stamp_in_offset(const struct stamp *s, int offset_minutes);
