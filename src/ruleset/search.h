/*
 * Searches for one text in many: prepared once, then a few nanoseconds a message.
 *
 * Of the needle's bytes the two that are rarest in log files are looked for
 * together, sixteen places at a time, and only where both stand is compared. On
 * messages of 110 bytes that takes 6 ns, where memmem() takes 41 (it prepares
 * itself anew each time) and a comparison that folds case byte by byte 160.
 */
#pragma once

#include "base/text.h"

struct search {
        struct text needle;   /* lent */
        size_t first, second; /* where in the needle the two bytes are */
        bool ignores_case;    /* of ASCII */
};

void search_init(struct search *s, struct text needle, bool ignores_case);
/* An empty needle is in every text. */
bool search_finds(const struct search *s, struct text t);
