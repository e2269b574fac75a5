#include "ruleset/comparison.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "ruleset/value.h"

enum { TRIED_MAX = 4 /* texts that are compared one by one; a hash costs about as much as that */ };

/* Size and both ends: names that differ seldom agree in all three, and then are compared anyway. */
static uint32_t hash_of(struct text t) {
        uint64_t head = 0, tail = 0;
        if (t.size)
                memcpy(&head, t.data, MIN(t.size, sizeof head));
        if (t.size > sizeof tail)
                memcpy(&tail, t.data + t.size - sizeof tail, sizeof tail);
        uint64_t h = (head ^ (tail << 21 | tail >> 43) ^ t.size) * 0x9e3779b97f4a7c15u;
        return (uint32_t)(h >> 32);
}

static int build_slots(struct comparison *c) {
        uint32_t capacity = 16;
        while (capacity < c->count * 2)
                capacity *= 2;
        c->slots = calloc(capacity, sizeof *c->slots);
        if (!c->slots)
                return fail(-ENOMEM);
        c->slot_mask = capacity - 1;
        for (uint32_t i = 0; i < c->count; i++) {
                uint32_t at = hash_of(c->searches[i].needle) & c->slot_mask;
                while (c->slots[at])
                        at = (at + 1) & c->slot_mask;
                c->slots[at] = i + 1;
        }
        return 0;
}

int comparison_init(struct comparison *c, enum comparison_kind kind, const struct text *texts, uint32_t count) {
        assert(count > 0);
        *c = (struct comparison){.kind = kind, .count = count};
        c->searches = calloc(count, sizeof *c->searches);
        if (!c->searches)
                return fail(-ENOMEM);
        for (uint32_t i = 0; i < count; i++)
                search_init(&c->searches[i], texts[i], kind == COMPARISON_CONTAINS_NOCASE);
        int r = 0;
        if (kind == COMPARISON_SAME && count > TRIED_MAX)
                r = build_slots(c);
        else if (kind == COMPARISON_CONTAINS || kind == COMPARISON_CONTAINS_NOCASE)
                r = needles_new_any(&c->needles, c->searches, count);
        if (r)
                comparison_fini(c);
        return r ? pass(r) : 0;
}

void comparison_fini(struct comparison *c) {
        free(c->searches);
        free(c->slots);
        needles_free(c->needles);
        *c = (struct comparison){0};
}

static bool finds_same(const struct comparison *c, struct text t) {
        for (uint32_t at = hash_of(t) & c->slot_mask; c->slots[at]; at = (at + 1) & c->slot_mask)
                if (text_equal(t, c->searches[c->slots[at] - 1].needle))
                        return true;
        return false;
}

static bool passes(enum comparison_kind kind, const struct search *s, struct text t) {
        switch (kind) {
        case COMPARISON_SAME:
                return text_equal(t, s->needle);
        case COMPARISON_CONTAINS:
        case COMPARISON_CONTAINS_NOCASE:
                return search_finds(s, t);
        case COMPARISON_STARTS:
                return text_starts(t, s->needle);
        case COMPARISON_STARTS_NOCASE:
                return starts_nocase_loosely(t, s->needle);
        case COMPARISON_ENDS:
                return text_ends(t, s->needle);
        }
        return false;
}

bool comparison_finds(const struct comparison *c, struct text t) {
        if (c->slots)
                return finds_same(c, t);
        if (c->needles)
                return needles_find(c->needles, t);
        for (uint32_t i = 0; i < c->count; i++)
                if (passes(c->kind, &c->searches[i], t))
                        return true;
        return false;
}
