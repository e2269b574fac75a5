/*
 * Traits: what records answer to the simple questions of a program's filters, all
 * questions about one property answered together.
 *
 *   priority           one look into a table answers all selectors
 *   names              a host or program comes again and again: what it answers is remembered
 *   other texts        one pass finds the needles of all filters
 *
 * A panel is up to sixty-four questions about one property. Its answers are one word
 * a record, made when a filter first asks for the record, and hold until the records
 * change or others come: a new moment. On thirty mixed filters that takes 0.1 us a
 * message, where asking filter by filter takes 0.35.
 *
 * The questions are the program's and never change; the answers are a worker's.
 */
#pragma once

#include "language/tree.h"
#include "message/property.h"
#include "ruleset/comparison.h"
#include "ruleset/pattern.h"

enum {
        PANEL_QUESTIONS_MAX = 64,
        NAME_BYTES_MAX = 32, /* of a name that is remembered */
        NAMES = 256,         /* remembered by a panel; a power of two */
        PRIORITIES = (FACILITIES + 1) * 8,
};

/* What a filter asks; the first one that is there. Lent for the traits' life. */
struct question {
        const uint8_t *priorities; /* by facility, a bit for each severity */
        struct property property;
        const struct comparison *texts;
        const struct pattern *pattern;
};

/* Where the answer is. */
struct trait {
        uint32_t panel; /* from 1; 0: the question is none for a panel */
        uint8_t bit;
        bool is_final; /* false: it only says whether a pattern's needle is there; pattern_confirms() */
};

/* ---- Of a program ---- */

struct traits;

int traits_new(struct traits **ret); /* -ENOMEM */
struct traits *traits_free(struct traits *t);
OWNED_POINTER(struct traits, traits_free);

/* Enters a question; *trait says where its answer will be. -ENOMEM. */
int traits_enter(struct traits *t, const struct question *q, struct trait *trait);
/* All are entered. -ENOMEM. */
int traits_finish(struct traits *t);
/* Whether the question has company. What stands alone in its panel is answered faster by itself. */
bool trait_is_shared(const struct traits *t, const struct trait *trait);

/* One line for each look at a property that answers several questions. */
void traits_print(struct buffer *out, const struct traits *t);

/* ---- Of a worker ---- */

struct answers;

/* -ENOMEM. */
int answers_new(struct answers **ret, const struct traits *t);
struct answers *answers_free(struct answers *a);
OWNED_POINTER(struct answers, answers_free);

/* Answers hold as long as the time is the same. */
struct moment {
        uint32_t time; /* from 1 */
        size_t count;  /* of records that may be asked about */
};

/* All times are past: the next may be any. */
void answers_forget(struct answers *a);

/* The words of a panel, by record number, made for at least the selected records. *any has every bit that is set in
 * one of them: a filter that nothing passes need not look. */
const uint64_t *answers_ask(struct answers *a, uint32_t panel, const struct moment *moment,
                            struct property_context *context, struct pattern_room *room, struct batch *b,
                            const uint16_t *selection, size_t count, uint64_t *any);

/* A property that filters ask for; the commonest lie in the record as they are. */
static inline struct text traits_property(struct property_context *context, struct batch *b, struct record *r,
                                          const struct property *p) {
        switch (p->id) {
        case PROPERTY_MSG:
                return batch_text(b, r->msg);
        case PROPERTY_HOSTNAME:
                if (r->host.size)
                        return batch_text(b, r->host);
                break;
        case PROPERTY_SYSLOGTAG:
                if (r->tag.size)
                        return batch_text(b, r->tag);
                break;
        case PROPERTY_PROGRAMNAME:
                if (r->tag.size && (r->flags & RECORD_IS_NAMED))
                        return (struct text){batch_at(b, r->tag), r->program_size};
                break;
        default:
                break;
        }
        return property_get(context, b, r, p);
}
