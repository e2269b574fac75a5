#include "ruleset/traits.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/needles.h"

enum panel_kind {
        PANEL_PRIORITY,
        PANEL_NAME,
        PANEL_TEXT,
};

struct panel {
        enum panel_kind kind;
        struct property property;
        uint8_t count;
        struct question questions[PANEL_QUESTIONS_MAX];
        uint64_t by_priority[PRIORITIES];
        struct needles *needles; /* of PANEL_TEXT, once finished */
};

struct traits {
        struct panel **panels;
        uint32_t count;
};

struct traits *traits_free(struct traits *t) {
        if (!t)
                return NULL;
        for (uint32_t i = 0; i < t->count; i++) {
                needles_free(t->panels[i]->needles);
                free(t->panels[i]);
        }
        free(t->panels);
        free(t);
        return NULL;
}

/* ---- Questions ------------------------------------------------------------ */

int traits_new(struct traits **ret) {
        struct traits *t = calloc(1, sizeof *t);
        if (!t)
                return fail(-ENOMEM);
        *ret = t;
        return 0;
}

/* Properties with few values, that come again and again. */
static bool is_name(enum property_id id) {
        switch (id) {
        case PROPERTY_HOSTNAME:
        case PROPERTY_PROGRAMNAME:
        case PROPERTY_APP_NAME:
        case PROPERTY_FROMHOST:
        case PROPERTY_FROMHOST_IP:
        case PROPERTY_INPUTNAME:
                return true;
        default:
                return false;
        }
}

static bool is_text(enum property_id id) {
        return id == PROPERTY_MSG || id == PROPERTY_RAWMSG || id == PROPERTY_SYSLOGTAG;
}

static bool is_contained(const struct comparison *texts) {
        return texts->kind == COMPARISON_CONTAINS || texts->kind == COMPARISON_CONTAINS_NOCASE;
}

static const struct search *needles_of(const struct question *q, size_t *count) {
        if (!q->texts)
                return pattern_needles(q->pattern, count);
        *count = q->texts->count;
        return q->texts->searches;
}

/* One pass can answer it: it is about needles, and none of them is in every text. */
static bool has_needles(const struct question *q) {
        size_t count;
        if (q->texts && !is_contained(q->texts))
                return false;
        const struct search *searches = needles_of(q, &count);
        for (size_t i = 0; i < count; i++)
                if (searches[i].needle.size == 0)
                        return false;
        return count > 0;
}

static bool find_kind(const struct question *q, enum panel_kind *kind) {
        if (q->priorities)
                *kind = PANEL_PRIORITY;
        else if (is_name(q->property.id))
                *kind = PANEL_NAME;
        else if (is_text(q->property.id) && has_needles(q))
                *kind = PANEL_TEXT;
        else
                return false;
        return true;
}

static int add_panel(struct traits *t, enum panel_kind kind, const struct property *property) {
        struct panel **grown = realloc(t->panels, (t->count + 1) * sizeof(*grown));
        if (!grown)
                return fail(-ENOMEM);
        t->panels = grown;
        struct panel *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        p->kind = kind;
        p->property = *property;
        t->panels[t->count++] = p;
        return 0;
}

/* Where one more question about the property has room: 0 nowhere. */
static uint32_t find_panel(const struct traits *t, enum panel_kind kind, enum property_id id) {
        for (uint32_t i = t->count; i > 0; i--) {
                const struct panel *p = t->panels[i - 1];
                if (p->kind == kind && p->property.id == id && p->count < PANEL_QUESTIONS_MAX)
                        return i;
        }
        return 0;
}

static void enter_priorities(struct panel *p, const uint8_t *priorities, uint64_t answer) {
        for (unsigned i = 0; i < PRIORITIES; i++)
                if (priorities[i / 8] >> i % 8 & 1)
                        p->by_priority[i] |= answer;
}

int traits_enter(struct traits *t, const struct question *q, struct trait *trait) {
        enum panel_kind kind;
        *trait = (struct trait){0};
        if (!find_kind(q, &kind))
                return 0;
        uint32_t number = find_panel(t, kind, q->property.id);
        if (!number) {
                int r = add_panel(t, kind, &q->property);
                if (r)
                        return pass(r);
                number = t->count;
        }
        struct panel *p = t->panels[number - 1];
        trait->panel = number;
        trait->bit = p->count++;
        trait->is_final = kind != PANEL_TEXT || q->texts;
        p->questions[trait->bit] = *q;
        if (kind == PANEL_PRIORITY)
                enter_priorities(p, q->priorities, UINT64_C(1) << trait->bit);
        return 0;
}

static int find_together(struct panel *p) {
        size_t total = 0, count;
        for (unsigned i = 0; i < p->count; i++) {
                needles_of(&p->questions[i], &count);
                total += count;
        }
        _owned_(memory_free) struct needle *list = calloc(total, sizeof *list);
        if (!list)
                return fail(-ENOMEM);
        size_t at = 0;
        for (unsigned i = 0; i < p->count; i++) {
                const struct search *searches = needles_of(&p->questions[i], &count);
                for (size_t k = 0; k < count; k++)
                        list[at++] = (struct needle){.text = searches[k].needle,
                                                     .answer = UINT64_C(1) << i,
                                                     .ignores_case = searches[k].ignores_case};
        }
        int r = needles_new(&p->needles, list, total);
        return r ? pass(r) : 0;
}

int traits_finish(struct traits *t) {
        for (uint32_t i = 0; i < t->count; i++) {
                struct panel *p = t->panels[i];
                int r = p->kind == PANEL_TEXT && p->count > 1 ? find_together(p) : 0;
                if (r)
                        return pass(r);
        }
        return 0;
}

bool trait_is_shared(const struct traits *t, const struct trait *trait) {
        return trait->panel && t->panels[trait->panel - 1]->count > 1;
}

void traits_print(struct buffer *out, const struct traits *t) {
        static const char *const ways[] = {
                [PANEL_PRIORITY] = "a table", [PANEL_NAME] = "names are remembered", [PANEL_TEXT] = "one pass"};
        for (uint32_t i = 0; i < t->count; i++) {
                const struct panel *p = t->panels[i];
                const char *name = p->kind == PANEL_PRIORITY ? "the priority" : property_name(&p->property);
                if (p->count > 1)
                        buffer_format(out, "  look %u: at %s, answers %u filters together (%s)\n", i + 1, name,
                                      p->count, ways[p->kind]);
        }
}

/* ---- Names ---------------------------------------------------------------- */

/* A name of at most NAME_BYTES_MAX bytes as four words, which tell it from all others of its size. */
struct name {
        uint64_t words[4];
        uint64_t answers;
        uint64_t size; /* + 1; 0: the place is free */
};

static inline uint64_t word_at(const char *at) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        return word;
}

static inline uint64_t short_word(const char *at, size_t size) {
        if (size >= 4) {
                uint32_t head, tail;
                memcpy(&head, at, sizeof head);
                memcpy(&tail, at + size - sizeof tail, sizeof tail);
                return (uint64_t)head << 32 | tail;
        }
        uint64_t word = 0;
        for (size_t i = 0; i < size; i++)
                word = word << 8 | (unsigned char)at[i];
        return word;
}

static inline struct name name_of(struct text t) {
        struct name n = {.size = t.size + 1};
        if (t.size >= 16) {
                n.words[0] = word_at(t.data);
                n.words[1] = word_at(t.data + 8);
                n.words[2] = word_at(t.data + t.size - 16);
                n.words[3] = word_at(t.data + t.size - 8);
        } else if (t.size >= 8) {
                n.words[0] = word_at(t.data);
                n.words[1] = word_at(t.data + t.size - 8);
        } else {
                n.words[0] = short_word(t.data, t.size);
        }
        return n;
}

static inline size_t place_of(const struct name *n) {
        uint64_t h = n->words[0] ^ (n->words[1] << 21 | n->words[1] >> 43) ^ (n->words[3] << 42 | n->words[3] >> 22) ^
                     n->size;
        return (h * 0x9e3779b97f4a7c15u) >> 32 & (NAMES - 1);
}

static inline bool is_same_name(const struct name *a, const struct name *b) {
        return a->size == b->size && a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
               a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

static bool holds(const struct question *q, struct pattern_room *room, struct text t) {
        return q->texts ? comparison_holds(q->texts, t) : pattern_matches(q->pattern, room, t);
}

static uint64_t ask_each(const struct panel *p, struct pattern_room *room, struct text t) {
        uint64_t answers = 0;
        for (unsigned i = 0; i < p->count; i++)
                answers |= (uint64_t)holds(&p->questions[i], room, t) << i;
        return answers;
}

static uint64_t ask_name(const struct panel *p, struct name *names, struct pattern_room *room, struct text t) {
        if (t.size > NAME_BYTES_MAX)
                return ask_each(p, room, t);
        struct name name = name_of(t);
        struct name *known = &names[place_of(&name)];
        if (LIKELY(is_same_name(known, &name)))
                return known->answers;
        name.answers = ask_each(p, room, t);
        *known = name;
        return name.answers;
}

/* ---- Answers -------------------------------------------------------------- */

/* Of one panel; the tables come with the first question. */
struct sheet {
        uint64_t *words;   /* by record */
        uint32_t *made_in; /* by record: the time in which its word was made */
        uint32_t all_made_in;
        uint32_t any_in; /* the time of `any` */
        uint64_t any;    /* all words of that time together */
        struct name *names;
};

struct answers {
        const struct traits *traits; /* may be gone when the answers are freed */
        struct sheet *sheets;
        uint32_t count;
};

struct answers *answers_free(struct answers *a) {
        if (!a)
                return NULL;
        for (uint32_t i = 0; a->sheets && i < a->count; i++) {
                free(a->sheets[i].words);
                free(a->sheets[i].made_in);
                free(a->sheets[i].names);
        }
        free(a->sheets);
        free(a);
        return NULL;
}

int answers_new(struct answers **ret, const struct traits *t) {
        _owned_(answers_free) struct answers *a = calloc(1, sizeof *a);
        if (!a)
                return fail(-ENOMEM);
        a->traits = t;
        a->count = t->count;
        a->sheets = calloc(t->count + 1u, sizeof *a->sheets);
        if (!a->sheets)
                return fail(-ENOMEM);
        for (uint32_t i = 0; i < t->count; i++) {
                struct sheet *s = &a->sheets[i];
                if (t->panels[i]->count < 2)
                        continue;
                s->words = malloc(BATCH_RECORDS_MAX * sizeof *s->words);
                s->made_in = calloc(BATCH_RECORDS_MAX, sizeof *s->made_in);
                s->names = t->panels[i]->kind == PANEL_NAME ? calloc(NAMES, sizeof *s->names) : NULL;
                if (!s->words || !s->made_in || (t->panels[i]->kind == PANEL_NAME && !s->names))
                        return fail(-ENOMEM);
        }
        *ret = TAKE(a);
        return 0;
}

void answers_forget(struct answers *a) {
        for (uint32_t i = 0; i < a->count; i++) {
                struct sheet *s = &a->sheets[i];
                s->all_made_in = s->any_in = 0;
                if (s->made_in)
                        memset(s->made_in, 0, BATCH_RECORDS_MAX * sizeof *s->made_in);
        }
}

/* Who asks, and about which records. */
struct asking {
        struct property_context *context;
        struct pattern_room *room;
        struct batch *batch;
        const uint16_t *selection;
        size_t count;
};

static inline void answer(struct sheet *s, uint16_t number, uint64_t word) {
        s->words[number] = word;
        s->any |= word;
}

static void ask_priorities(const struct panel *p, struct sheet *s, const struct asking *a) {
        for (size_t i = 0; i < a->count; i++) {
                const struct record *r = &a->batch->records[a->selection[i]];
                unsigned facility = MIN(r->facility, (uint8_t)FACILITIES);
                answer(s, a->selection[i], p->by_priority[facility * 8u + (r->severity & 7u)]);
        }
}

static void ask_names(const struct panel *p, struct sheet *s, const struct asking *a) {
        for (size_t i = 0; i < a->count; i++) {
                struct record *r = &a->batch->records[a->selection[i]];
                struct text t = traits_property(a->context, a->batch, r, &p->property);
                answer(s, a->selection[i], ask_name(p, s->names, a->room, t));
        }
}

static void ask_texts(const struct panel *p, struct sheet *s, const struct asking *a) {
        for (size_t i = 0; i < a->count; i++) {
                struct record *r = &a->batch->records[a->selection[i]];
                struct text t = traits_property(a->context, a->batch, r, &p->property);
                answer(s, a->selection[i], needles_find(p->needles, t));
        }
}

static void ask(const struct panel *p, struct sheet *s, const struct asking *a) {
        static void (*const ways[])(const struct panel *, struct sheet *, const struct asking *) = {
                [PANEL_PRIORITY] = ask_priorities,
                [PANEL_NAME] = ask_names,
                [PANEL_TEXT] = ask_texts,
        };
        ways[p->kind](p, s, a);
}

/* Each run of records that have not been asked yet. */
static void ask_missing(const struct panel *p, struct sheet *s, uint32_t time, const struct asking *all) {
        struct asking run = *all;
        for (size_t i = 0; i < all->count; i++) {
                if (s->made_in[all->selection[i]] == time)
                        continue;
                run.selection = &all->selection[i];
                for (run.count = 0; i < all->count && s->made_in[all->selection[i]] != time; i++, run.count++)
                        s->made_in[all->selection[i]] = time;
                ask(p, s, &run);
        }
}

const uint64_t *answers_ask(struct answers *a, uint32_t panel, const struct moment *moment,
                            struct property_context *context, struct pattern_room *room, struct batch *b,
                            const uint16_t *selection, size_t count, uint64_t *any) {
        const struct panel *p = a->traits->panels[panel - 1];
        struct sheet *s = &a->sheets[panel - 1];
        if (s->any_in != moment->time) {
                s->any_in = moment->time;
                s->any = 0;
        }
        struct asking all = {context, room, b, selection, count};
        if (s->all_made_in != moment->time && count < moment->count) {
                ask_missing(p, s, moment->time, &all);
        } else if (s->all_made_in != moment->time) {
                ask(p, s, &all);
                s->all_made_in = moment->time;
        }
        *any = s->any;
        return s->words;
}
