/*
 * Stamps as text, in the two forms that nearly every record is written in.
 */
#pragma once

#include "message/stamp.h"

enum { STAMP_TEXT_MAX = 40 };

/* "Mar  1 01:02:03"; `pad` stands before a single-digit day. Returns the end of what was written (16 bytes). */
char *stamp_rfc3164(char *to, const struct stamp *s, char pad);
/* The same of a wall clock in microseconds, in local time; cached by thread and second. */
char *stamp_wall_rfc3164(char *to, int64_t wall_us);
/* "2003-10-11T22:14:15.003Z", fraction and zone as they came. At most STAMP_TEXT_MAX bytes. */
char *stamp_rfc3339(char *to, const struct stamp *s);

extern const char stamp_two_digits[200]; /* "000102" to "99" */
extern const char stamp_month_names[13][4];

/* The two digits of a number below 100 (beyond, they mean nothing but nothing breaks). */
static inline char *stamp_two(char *to, unsigned number) {
        __builtin_memcpy(to, stamp_two_digits + number % 100 * 2, 2);
        return to + 2;
}
/* `digits` digits of a number, leading zeros included. */
char *stamp_digits(char *to, uint32_t number, unsigned digits);
