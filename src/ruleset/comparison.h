/*
 * A text against constant texts: equal to one of them, holding one, beginning or
 * ending with one. What can be prepared is: searches, and a hash table where equality
 * has a choice. The texts are lent.
 */
#pragma once

#include "base/needles.h"

enum comparison_kind {
        COMPARISON_SAME,
        COMPARISON_CONTAINS,
        COMPARISON_CONTAINS_NOCASE,
        COMPARISON_STARTS,
        COMPARISON_STARTS_NOCASE,
        COMPARISON_ENDS,
};

struct comparison {
        enum comparison_kind kind;
        uint32_t count;
        struct search *searches;
        struct needles *needles; /* all of them, where some are to be contained; NULL: few enough to try each */
        uint32_t *slots;         /* number of a search + 1, by hash; NULL: few enough to try each */
        uint32_t slot_mask;
};

/* -ENOMEM. */
int comparison_init(struct comparison *c, enum comparison_kind kind, const struct text *texts, uint32_t count);
void comparison_fini(struct comparison *c);

bool comparison_finds(const struct comparison *c, struct text t);

/* Whether one of the texts passes. */
static inline bool comparison_holds(const struct comparison *c, struct text t) {
        const struct search *s = &c->searches[0];
        if (c->count == 1 && c->kind == COMPARISON_SAME)
                return t.size == s->needle.size && search_is_at(s, t.data);
        if (c->count == 1 && c->kind == COMPARISON_STARTS)
                return t.size >= s->needle.size && search_is_at(s, t.data);
        return comparison_finds(c, t);
}
