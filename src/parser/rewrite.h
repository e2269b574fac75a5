/*
 * For parsers that only repair what a device sends, so that the next one of the
 * chain can read it: the raw text made anew from pieces.
 */
#pragma once

#include "message/batch.h"

enum { DATE_BYTES = 16 /* "Oct 11 22:14:15 " */ };

/*
 * The pieces behind one another, which may be pieces of the raw text, become the raw
 * text; received bytes stay as they are. Without memory nothing changes.
 */
void rewrite_raw(struct batch *batch, struct record *record, const struct text *pieces, size_t count);
