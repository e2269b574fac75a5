/*
 * The pieces of a message header that more than one reader needs: dates and the
 * tag. All are plain scans over bytes; nothing is allocated.
 */
#pragma once

#include "message/batch.h"

enum {
        TAG_BYTES_MAX = 510, /* a colon may follow */
};

/*
 * A date of RFC 3164, "Oct 11 22:14:15", in the forms that devices send: a year before the
 * month or before the time, one or two digits everywhere, a fraction of a second, a colon
 * behind. With `finds_year_behind` also "Oct 11 22:14:15 2026 ". Returns what follows the
 * date and its blank, NULL where there is no date. `s->year` is 0 where none was named.
 */
const char *header_date(struct stamp *s, const char *at, const char *end, bool finds_year_behind);

/* A date of RFC 3339, "2026-10-11T22:14:15.003+02:00", with its blank or at the end; as above. */
const char *header_iso_date(struct stamp *s, const char *at, const char *end);

/*
 * What a date without a year or zone gets: the year of reception, and the offset of the source's default zone or
 * else of this machine. Or the whole time of reception, when s is not set.
 */
void header_complete_date(struct stamp *s, const struct record *r);

/* header_date() into r->reported, completed; returns what follows. NULL, and no date in the record, where there is
 * none. 2 ns where the last one on this thread was the same, instead of 12. */
const char *header_local_date(struct record *r, const char *at, const char *end, bool finds_year_behind);

/* Gives the date an offset, "+01:00"; false, and nothing done, when the text is none. */
bool header_set_zone(struct stamp *s, const char *zone);

/* How many bytes at `at` are the tag: up to a blank, or to a colon and with it. */
size_t header_tag(const char *at, const char *end);
