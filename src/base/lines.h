/*
 * Finds the ends of lines, many at a time, and tells in the same pass which lines are plain: those without a byte
 * below 32 or above 127, so that nobody needs to look for what must be escaped in them.
 *
 * Receiving and parsing lines of 160 bytes took 30 ns a line for this when each line was sought by memchr() and looked
 * through again by the parser; in one pass it takes 6 (lines_cost.c).
 */
#pragma once

#include "base/text.h"

enum {
        LINES_MAX = 128,           /* that are found in one call */
        LINE_BYTES_MAX = 64 << 20, /* of all that is looked through in one call */
};

/* A line feed, and what stands before it. */
struct line_end {
        uint32_t at : 31; /* of the line feed, from the beginning of the data */
        uint32_t is_plain : 1;
};

/* The ends of the first lines of `data`, which begins with a line. How many there are. */
unsigned lines_find(struct line_end *ends, const char *data, size_t size);
