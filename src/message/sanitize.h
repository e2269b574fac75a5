/*
 * What happens to a raw message before any parser sees it.
 *
 * sanitize() cuts one trailing NUL, LF and (when asked) CR, and shows control
 * characters as text, as the parser.* options of global() say. Nearly every
 * message needs nothing: one sweep finds that out and nothing is copied. Where
 * something changes, the new text is stored in the batch and `raw` points there;
 * received bytes stay as they are.
 *
 * parse_pri() reads "<PRI>". A message without one is user.notice; one that is
 * not valid gives facility FACILITY_INVALID, and parsers then take the whole
 * text as the message.
 */
#pragma once

#include "message/batch.h"

enum {
        FACILITY_INVALID = 24,
        PRI_MAX = 191,
        PRI_BYTES_MAX = 250, /* of "<PRI>": leading zeros are allowed, but not without end */
};

/* The parser.* options of global(); module/facts.h makes them. */
struct sanitize_rules {
        int64_t bytes_max;    /* what escaping makes longer than this is cut */
        unsigned char prefix; /* before the octal number */
        bool drops_trailing_lf;
        bool drops_trailing_cr;
        bool escapes_control;
        bool escapes_tab;
        bool escapes_8bit;
        bool escapes_c_style;
        bool spaces_lf;
};

void sanitize(struct batch *b, struct record *r, const struct sanitize_rules *rules);
void parse_pri(struct batch *b, struct record *r);

/* The first byte in [at, end) that is below 32 (NUL alone, when !takes_control) or, when takes_8bit, above 127. */
const char *sanitize_find(const char *at, const char *end, bool takes_control, bool takes_8bit);
