/*
 * Searches for one text in many: prepared once, then a few nanoseconds a message.
 *
 * Of the needle's bytes the two that are rarest in log files are looked for
 * together, sixteen places at a time, and only where both stand is compared. On
 * messages of 97 bytes that takes 13 ns, where memmem() takes 34 (it prepares
 * itself anew each time) and text_find_nocase() 60 to 75.
 */
#pragma once

#include "base/text.h"

struct search {
        struct text needle;   /* lent */
        size_t first, second; /* where in the needle the two bytes are */
        bool ignores_case;    /* of ASCII */
        bool is_wide;         /* the processor has AVX2 */
        /* The two bytes, with bit 5 set where their case is ignored, and that bit. */
        char first_byte, second_byte, first_bit, second_bit;
};

void search_init(struct search *s, struct text needle, bool ignores_case);
/* An empty needle is in every text. */
bool search_finds(const struct search *s, struct text t);
