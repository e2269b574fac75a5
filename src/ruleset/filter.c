#include "ruleset/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/fail.h"
#include "ruleset/comparison.h"

enum filter_kind {
        FILTER_SELECTOR, /* mask */
        FILTER_TEXTS,    /* a property against constant texts */
        FILTER_PATTERN,  /* a property against a regular expression */
        FILTER_AND,
        FILTER_OR,
        FILTER_NOT,
        FILTER_EXPRESSION, /* anything else */
};

struct filter {
        enum filter_kind kind;
        bool is_negated;
        uint8_t priorities[FACILITIES + 1];
        struct property property;
        struct comparison texts;
        struct pattern *pattern; /* NULL: it did not compile, and matches nothing */
        struct trait trait;      /* of the first three kinds: where the answer is; panel 0: nowhere */
        struct filter *left, *right;
        struct expression *expression;
        const struct expr *tree; /* what it was made of; NULL: a selector line or a property filter */
};

struct filter *filter_free(struct filter *f) {
        if (!f)
                return NULL;
        pattern_free(f->pattern);
        comparison_fini(&f->texts);
        filter_free(f->left);
        filter_free(f->right);
        expression_free(f->expression);
        free(f);
        return NULL;
}

/* ---- Narrowing ------------------------------------------------------------ */

static size_t narrow_selector(const struct filter *f, struct batch *b, const uint16_t *selection, size_t count,
                              uint16_t *yes, uint16_t *no) {
        size_t yeses = 0, noes = 0;
        for (size_t i = 0; i < count; i++) {
                const struct record *r = &b->records[selection[i]];
                bool is_in = f->priorities[MIN(r->facility, (uint8_t)FACILITIES)] >> r->severity & 1;
                /* Both are written and one is kept: a mispredicted branch costs more than a store. */
                yes[yeses] = selection[i];
                yeses += is_in;
                if (no) {
                        no[noes] = selection[i];
                        noes += !is_in;
                }
        }
        return yeses;
}

static size_t narrow_property(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                              size_t count, uint16_t *yes, uint16_t *no) {
        size_t yeses = 0, noes = 0;
        ev->batch = b;
        for (size_t i = 0; i < count; i++) {
                struct text value = traits_property(ev->context, b, &b->records[selection[i]], &f->property);
                bool is_found = f->kind == FILTER_TEXTS ? comparison_holds(&f->texts, value)
                                                        : f->pattern && pattern_matches(f->pattern, &ev->room, value);
                bool is_in = is_found != f->is_negated;
                yes[yeses] = selection[i];
                yeses += is_in;
                if (no) {
                        no[noes] = selection[i];
                        noes += !is_in;
                }
        }
        return yeses;
}

/* Those whose answer is `wanted`. As with all narrowing each is written and some are kept. */
static size_t choose(const uint64_t *words, unsigned bit, bool wanted, const uint16_t *selection, size_t count,
                     uint16_t *list) {
        size_t chosen = 0;
        for (size_t i = 0; i < count; i++) {
                list[chosen] = selection[i];
                chosen += (words[selection[i]] >> bit & 1) == wanted;
        }
        return chosen;
}

#ifdef __SSE2__
/* Of four neighbours those that four bits choose, first to last; what is behind them is written over later. */
static const uint16_t of_four[16][4] = {{0}, {0},    {1},    {0, 1},    {2},    {0, 2},    {1, 2},    {0, 1, 2},
                                        {3}, {0, 3}, {1, 3}, {0, 1, 3}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};

static const uint8_t how_many[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

static inline unsigned bits_of_two(const uint64_t *words, __m128i to_sign) {
        __m128i two = _mm_loadu_si128((const __m128i *)(const void *)words);
        return (unsigned)_mm_movemask_pd(_mm_castsi128_pd(_mm_sll_epi64(two, to_sign)));
}

/*
 * The same for records that follow one another, as all of a batch do: four at a time, without a branch. Of thirty
 * filters' instructions narrowing one by one was 13 %, by fours it is 4.
 */
static size_t choose_by_fours(const uint64_t *words, unsigned bit, bool wanted, const uint16_t *selection, size_t count,
                              uint16_t *list) {
        const __m128i to_sign = _mm_cvtsi32_si128((int)(63 - bit));
        const uint64_t each = 0x0001000100010001;
        unsigned flip = wanted ? 0 : 15;
        size_t chosen = 0, i = 0;
        for (; i + 4 <= count; i += 4) {
                const uint64_t *four = &words[selection[0] + i];
                unsigned mask = (bits_of_two(four, to_sign) | bits_of_two(four + 2, to_sign) << 2) ^ flip;
                uint64_t numbers;
                memcpy(&numbers, of_four[mask], sizeof numbers);
                numbers += each * (selection[0] + i);
                memcpy(&list[chosen], &numbers, sizeof numbers);
                chosen += how_many[mask];
        }
        return chosen + choose(words, bit, wanted, selection + i, count - i, list + chosen);
}
#else
static size_t choose_by_fours(const uint64_t *words, unsigned bit, bool wanted, const uint16_t *selection, size_t count,
                              uint16_t *list) {
        return choose(words, bit, wanted, selection, count, list);
}
#endif

static size_t narrow_answered(const struct filter *f, const uint64_t *words, const uint16_t *selection, size_t count,
                              uint16_t *yes, uint16_t *no) {
        bool is_run = (size_t)(selection[count - 1] - selection[0]) == count - 1;
        size_t (*narrow)(const uint64_t *, unsigned, bool, const uint16_t *, size_t, uint16_t *) =
                is_run ? choose_by_fours : choose;
        if (no)
                narrow(words, f->trait.bit, f->is_negated, selection, count, no);
        return narrow(words, f->trait.bit, !f->is_negated, selection, count, yes);
}

/* Where a needle of the pattern is, the pattern itself is asked. */
static size_t narrow_confirmed(const struct filter *f, struct evaluation *ev, struct batch *b, const uint64_t *words,
                               const uint16_t *selection, size_t count, uint16_t *yes, uint16_t *no) {
        size_t yeses = 0, noes = 0;
        for (size_t i = 0; i < count; i++) {
                bool is_found = words[selection[i]] >> f->trait.bit & 1;
                if (is_found) {
                        struct record *r = &b->records[selection[i]];
                        struct text value = traits_property(ev->context, b, r, &f->property);
                        is_found = pattern_confirms(f->pattern, &ev->room, value);
                }
                bool is_in = is_found != f->is_negated;
                yes[yeses] = selection[i];
                yeses += is_in;
                if (no) {
                        no[noes] = selection[i];
                        noes += !is_in;
                }
        }
        return yeses;
}

/* Nothing passes the question itself. */
static size_t narrow_none(const struct filter *f, const uint16_t *selection, size_t count, uint16_t *yes,
                          uint16_t *no) {
        uint16_t *all = f->is_negated ? yes : no;
        if (all)
                memcpy(all, selection, count * sizeof *all);
        return f->is_negated ? count : 0;
}

static size_t narrow_by_trait(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                              size_t count, uint16_t *yes, uint16_t *no) {
        uint64_t any;
        const uint64_t *words = answers_ask(ev->answers, f->trait.panel, &ev->moment, ev->context, &ev->room, b,
                                            selection, count, &any);
        if (!(any >> f->trait.bit & 1))
                return narrow_none(f, selection, count, yes, no);
        return f->trait.is_final ? narrow_answered(f, words, selection, count, yes, no)
                                 : narrow_confirmed(f, ev, b, words, selection, count, yes, no);
}

static size_t narrow_expression(const struct filter *f, struct evaluation *ev, struct batch *b,
                                const uint16_t *selection, size_t count, uint16_t *yes, uint16_t *no) {
        size_t yeses = 0, noes = 0;
        ev->batch = b;
        for (size_t i = 0; i < count; i++) {
                ev->record = &b->records[selection[i]];
                bool is_in = expression_is_true(f->expression, ev);
                evaluation_forget(ev);
                if (is_in)
                        yes[yeses++] = selection[i];
                else if (no)
                        no[noes++] = selection[i];
        }
        return yeses;
}

/* Two ascending lists without common elements become one. */
static size_t merge(uint16_t *into, const uint16_t *a, size_t a_count, const uint16_t *b, size_t b_count) {
        size_t i = 0, j = 0, n = 0;
        while (i < a_count && j < b_count)
                into[n++] = a[i] < b[j] ? a[i++] : b[j++];
        while (i < a_count)
                into[n++] = a[i++];
        while (j < b_count)
                into[n++] = b[j++];
        return n;
}

/* a and b: the right side sees what the left let pass. a or b: what it did not. */
static size_t narrow_both(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                          size_t count, uint16_t *yes, uint16_t *no) {
        struct selections *lists = &ev->selections;
        uint16_t *left_yes = selections_take(lists, count), *left_no = selections_take(lists, count);
        uint16_t *right = selections_take(lists, count);
        size_t passed = filter_narrow(f->left, ev, b, selection, count, left_yes, left_no);
        size_t failed = count - passed;
        size_t both;
        if (f->kind == FILTER_AND) {
                both = filter_narrow(f->right, ev, b, left_yes, passed, yes, no ? right : NULL);
                if (no)
                        merge(no, left_no, failed, right, passed - both);
        } else {
                size_t later = filter_narrow(f->right, ev, b, left_no, failed, right, no);
                both = merge(yes, left_yes, passed, right, later);
        }
        selections_give(lists, left_yes);
        return both;
}

size_t filter_narrow(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                     size_t count, uint16_t *yes, uint16_t *no) {
        if (count == 0)
                return 0;
        if (f->trait.panel && ev->answers)
                return narrow_by_trait(f, ev, b, selection, count, yes, no);
        switch (f->kind) {
        case FILTER_SELECTOR:
                return narrow_selector(f, b, selection, count, yes, no);
        case FILTER_AND:
        case FILTER_OR:
                return narrow_both(f, ev, b, selection, count, yes, no);
        case FILTER_NOT: {
                uint16_t *inside = selections_take(&ev->selections, count);
                size_t rest = count - filter_narrow(f->left, ev, b, selection, count, no ? no : inside, yes);
                selections_give(&ev->selections, inside);
                return rest;
        }
        case FILTER_TEXTS:
        case FILTER_PATTERN:
                return narrow_property(f, ev, b, selection, count, yes, no);
        default:
                return narrow_expression(f, ev, b, selection, count, yes, no);
        }
}

/* ---- Building ------------------------------------------------------------- */

static struct filter *filter_of(enum filter_kind kind) {
        struct filter *f = calloc(1, sizeof *f);
        if (f)
                f->kind = kind;
        return f;
}

int filter_new_selector(struct filter **ret, const uint8_t priorities[FACILITIES + 1]) {
        struct filter *f = filter_of(FILTER_SELECTOR);
        if (!f)
                return fail(-ENOMEM);
        memcpy(f->priorities, priorities, sizeof f->priorities);
        *ret = f;
        return 0;
}

/* rsyslogd compiles it when it is first needed, so that a wrong one is no mistake of the configuration as a whole. */
static int build_regex(struct filter *f, const struct statement *s, struct diagnostics *diagnostics) {
        _owned_(buffer_fini) struct buffer why = {0};
        int r = pattern_new(&f->pattern, s->pattern, s->comparison == COMPARE_EREGEX ? PATTERN_EXTENDED : 0u, &why);
        if (r != -EINVAL)
                return r ? pass(r) : 0;
        diagnose(diagnostics, SEVERITY_WARNING, 2184, s->place, 0, "nothing matches it",
                 "invalid regular expression '%.*s': %s", TEXT_ARGS(text_slice(s->pattern, 0, 200)),
                 buffer_string(&why));
        return 0;
}

int filter_new_property(struct filter **ret, const struct statement *s, struct diagnostics *diagnostics) {
        static const enum comparison_kind kinds[] = {
                [COMPARE_CONTAINS] = COMPARISON_CONTAINS, [COMPARE_EQUAL] = COMPARISON_SAME,
                [COMPARE_EMPTY] = COMPARISON_SAME,        [COMPARE_STARTS] = COMPARISON_STARTS,
                [COMPARE_ENDS] = COMPARISON_ENDS,
        };
        bool is_regex = s->comparison == COMPARE_REGEX || s->comparison == COMPARE_EREGEX;
        _owned_(filter_free) struct filter *f = filter_of(is_regex ? FILTER_PATTERN : FILTER_TEXTS);
        if (!f)
                return fail(-ENOMEM);
        f->is_negated = s->is_negated;
        if (property_find(&f->property, s->property)) {
                const char *near = property_closest(s->property);
                char hint[128];
                snprintf(hint, sizeof hint, "did you mean `%s`?", near ? near : "");
                diagnose(diagnostics, SEVERITY_ERR, 2207, s->place, (uint32_t)s->property.size, near ? hint : NULL,
                         "invalid property '%.*s' in filter", TEXT_ARGS(s->property));
                return fail(-EINVAL);
        }
        struct text text = s->comparison == COMPARE_EMPTY ? TEXT("") : s->pattern;
        int r = is_regex ? build_regex(f, s, diagnostics) : comparison_init(&f->texts, kinds[s->comparison], &text, 1);
        if (r)
                return pass(r);
        *ret = TAKE(f);
        return 0;
}

/* ---- Expressions that need no evaluation ---------------------------------------------- */

static bool find_kind(enum operator op, enum comparison_kind *ret) {
        static const struct {
                enum operator op;
                enum comparison_kind kind;
        } kinds[] = {
                {OP_EQUAL, COMPARISON_SAME},        {OP_NOT_EQUAL, COMPARISON_SAME},
                {OP_CONTAINS, COMPARISON_CONTAINS}, {OP_CONTAINS_NOCASE, COMPARISON_CONTAINS_NOCASE},
                {OP_STARTS, COMPARISON_STARTS},     {OP_STARTS_NOCASE, COMPARISON_STARTS_NOCASE},
                {OP_ENDS, COMPARISON_ENDS},
        };
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (kinds[i].op == op) {
                        *ret = kinds[i].kind;
                        return true;
                }
        return false;
}

/* A property against constant texts is looked at where it lies. */
static bool is_textual(const struct expr *tree) {
        enum comparison_kind kind;
        if (tree->kind != EXPR_BINARY || !find_kind(tree->op, &kind) || tree->args[0]->kind != EXPR_PROPERTY)
                return false;
        const struct expr *right = tree->args[1];
        if (right->kind == EXPR_STRING)
                return true;
        if (right->kind != EXPR_ARRAY)
                return false;
        for (uint32_t i = 0; i < right->count; i++)
                if (right->args[i]->kind != EXPR_STRING)
                        return false;
        return right->count > 0;
}

static int build_textual(struct filter **ret, const struct expr *tree) {
        const struct expr *right = tree->args[1];
        uint32_t count = right->kind == EXPR_ARRAY ? right->count : 1;
        _owned_(filter_free) struct filter *f = filter_of(FILTER_TEXTS);
        _owned_(memory_free) struct text *texts = calloc(count, sizeof *texts);
        if (!f || !texts)
                return fail(-ENOMEM);
        if (property_find(&f->property, tree->args[0]->string))
                return -EINVAL; /* expression_new() says so better */
        for (uint32_t i = 0; i < count; i++)
                texts[i] = right->kind == EXPR_ARRAY ? right->args[i]->string : right->string;
        enum comparison_kind kind = COMPARISON_SAME;
        find_kind(tree->op, &kind);
        f->is_negated = tree->op == OP_NOT_EQUAL;
        int r = comparison_init(&f->texts, kind, texts, count);
        if (r)
                return pass(r);
        *ret = TAKE(f);
        return 0;
}

/* re_match($property, "constant") */
static bool is_pattern(const struct expr *tree) {
        return tree->kind == EXPR_FUNCTION && tree->count == 2 && tree->args[0]->kind == EXPR_PROPERTY &&
               tree->args[1]->kind == EXPR_STRING &&
               (text_equal(tree->string, TEXT("re_match")) || text_equal(tree->string, TEXT("re_match_i")));
}

static int build_pattern(struct filter **ret, const struct expr *tree) {
        _owned_(filter_free) struct filter *f = filter_of(FILTER_PATTERN);
        if (!f)
                return fail(-ENOMEM);
        unsigned how = PATTERN_EXTENDED | (text_ends(tree->string, TEXT("_i")) ? PATTERN_NOCASE : 0u);
        if (property_find(&f->property, tree->args[0]->string) ||
            pattern_new(&f->pattern, tree->args[1]->string, how, NULL))
                return -EINVAL; /* expression_new() says so better */
        *ret = TAKE(f);
        return 0;
}

/* ---- Expressions that look at nothing but the priority ----------------------------------- */

static bool is_of_priority(const struct expr *tree, unsigned depth) {
        struct property p;
        if (depth > EXPRESSION_DEPTH_MAX)
                return false;
        switch (tree->kind) {
        case EXPR_STRING:
        case EXPR_NUMBER:
                return true;
        case EXPR_PROPERTY:
                return property_find(&p, tree->string) == 0 && p.id >= PROPERTY_PRI && p.id <= PROPERTY_SEVERITY_TEXT &&
                       p.id != PROPERTY_IUT;
        case EXPR_FUNCTION:
                if (!text_equal(tree->string, TEXT("prifilt")))
                        return false;
                break;
        case EXPR_VARIABLE:
                return false;
        default:
                break;
        }
        for (uint32_t i = 0; i < tree->count; i++)
                if (!is_of_priority(tree->args[i], depth + 1))
                        return false;
        return true;
}

/* Such an expression is a selector: it is asked once for each priority there is. */
static int build_of_priority(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                             struct diagnostics *diagnostics) {
        _owned_(expression_free) struct expression *e = NULL;
        int r = expression_new(&e, tree, names, diagnostics);
        if (r)
                return pass(r);
        _owned_(filter_free) struct filter *f = filter_of(FILTER_SELECTOR);
        if (!f)
                return fail(-ENOMEM);
        struct property_context context = {0};
        struct evaluation ev = {.context = &context};
        for (uint8_t facility = 0; facility <= FACILITIES; facility++)
                for (uint8_t severity = 0; severity < 8; severity++) {
                        struct record record = {.facility = facility, .severity = severity};
                        ev.record = &record;
                        if (expression_is_true(e, &ev))
                                f->priorities[facility] |= (uint8_t)(1u << severity);
                        evaluation_forget(&ev);
                }
        arena_fini(&ev.arena);
        buffer_fini(&context.scratch);
        *ret = TAKE(f);
        return 0;
}

/* ---- All of them ----------------------------------------------------------------------- */

static int build(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                 struct diagnostics *diagnostics, unsigned depth);

static int build_connective(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                            struct diagnostics *diagnostics, unsigned depth) {
        if (depth > EXPRESSION_DEPTH_MAX) {
                diagnose(diagnostics, SEVERITY_ERR, 2207, tree->place, 0,
                         "write the values as an array: [\"a\", \"b\"]", "expression is nested more than %d deep",
                         EXPRESSION_DEPTH_MAX);
                return fail(-EINVAL);
        }
        enum filter_kind kind = tree->op == OP_AND ? FILTER_AND : tree->op == OP_OR ? FILTER_OR : FILTER_NOT;
        _owned_(filter_free) struct filter *f = filter_of(kind);
        if (!f)
                return fail(-ENOMEM);
        int r = build(&f->left, tree->args[0], names, diagnostics, depth + 1);
        /* Both sides are looked at, so that every mistake is found. */
        int q = kind == FILTER_NOT ? 0 : build(&f->right, tree->args[1], names, diagnostics, depth + 1);
        if (r || q)
                return pass(r ? r : q);
        *ret = TAKE(f);
        return 0;
}

static int build_leaf(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                      struct diagnostics *diagnostics) {
        if (is_textual(tree) && build_textual(ret, tree) == 0)
                return 0;
        if (is_pattern(tree) && build_pattern(ret, tree) == 0)
                return 0;
        _owned_(filter_free) struct filter *f = filter_of(FILTER_EXPRESSION);
        if (!f)
                return fail(-ENOMEM);
        int r = expression_new(&f->expression, tree, names, diagnostics);
        if (r)
                return pass(r);
        *ret = TAKE(f);
        return 0;
}

static int build(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                 struct diagnostics *diagnostics, unsigned depth) {
        bool is_connective = (tree->kind == EXPR_BINARY && (tree->op == OP_AND || tree->op == OP_OR)) ||
                             (tree->kind == EXPR_UNARY && tree->op == OP_NOT);
        int r = is_of_priority(tree, depth) ? build_of_priority(ret, tree, names, diagnostics)
                : is_connective             ? build_connective(ret, tree, names, diagnostics, depth)
                                            : build_leaf(ret, tree, names, diagnostics);
        if (r)
                return pass(r);
        (*ret)->tree = tree;
        return 0;
}

int filter_new(struct filter **ret, const struct expr *tree, const struct expression_names *names,
               struct diagnostics *diagnostics) {
        return build(ret, tree, names, diagnostics, 0);
}

/* ---- For people ------------------------------------------------------------------------ */

static void print_comparison(struct buffer *out, const struct comparison *c) {
        if (c->slots)
                buffer_format(out, " {hash of %u texts}", c->count);
        else if (c->needles)
                buffer_format(out, " {one pass for %u texts}", c->count);
        else if (c->count > 1)
                buffer_format(out, " {each of %u texts}", c->count);
}

static void print_pattern(struct buffer *out, const struct pattern *p) {
        static const char *const engines[] = {[PATTERN_BY_SEARCH] = "plain search",
                                              [PATTERN_BY_PCRE2] = "compiled regular expression",
                                              [PATTERN_BY_LIBC] = "regular expression of the C library"};
        buffer_format(out, " {%s}", p ? engines[pattern_engine(p)] : "did not compile: matches nothing");
}

static void print_leaf(struct buffer *out, const struct filter *f, const struct statement *s) {
        if (f->kind == FILTER_EXPRESSION)
                expression_print(out, f->expression);
        else if (f->tree)
                expr_print(out, f->tree);
        else if (f->kind == FILTER_SELECTOR)
                selector_print(out, s);
        else
                property_filter_print(out, s);
        if (f->kind == FILTER_SELECTOR && f->tree) {
                struct statement selector = {.kind = STATEMENT_SELECTOR};
                memcpy(selector.priorities, f->priorities, sizeof selector.priorities);
                buffer_text(out, TEXT(" {selector "));
                selector_print(out, &selector);
                buffer_byte(out, '}');
        }
        if (f->kind == FILTER_TEXTS)
                print_comparison(out, &f->texts);
        if (f->kind == FILTER_PATTERN)
                print_pattern(out, f->pattern);
        if (f->kind == FILTER_EXPRESSION)
                buffer_text(out, TEXT(" {evaluated}"));
        if (f->trait.panel)
                buffer_format(out, " {look %u}", f->trait.panel);
}

void filter_print(struct buffer *out, const struct filter *f, const struct statement *s) {
        if (f->kind != FILTER_AND && f->kind != FILTER_OR && f->kind != FILTER_NOT) {
                print_leaf(out, f, s);
                return;
        }
        buffer_text(out, f->kind == FILTER_NOT ? TEXT("not (") : TEXT("("));
        filter_print(out, f->left, s);
        if (f->right) {
                buffer_text(out, f->kind == FILTER_AND ? TEXT(" and ") : TEXT(" or "));
                filter_print(out, f->right, s);
        }
        buffer_byte(out, ')');
}

/* ---- Questions that are answered together -------------------------------------------- */

int filter_enter(struct filter *f, struct traits *t) {
        struct question q = {.property = f->property};
        switch (f->kind) {
        case FILTER_SELECTOR:
                q.priorities = f->priorities;
                break;
        case FILTER_TEXTS:
                q.texts = &f->texts;
                break;
        case FILTER_PATTERN:
                q.pattern = f->pattern;
                break;
        case FILTER_EXPRESSION:
                return 0;
        case FILTER_AND:
        case FILTER_OR:
        case FILTER_NOT: {
                int r = filter_enter(f->left, t);
                if (r == 0 && f->right)
                        r = filter_enter(f->right, t);
                return r ? pass(r) : 0;
        }
        }
        /* A pattern that did not compile matches nothing, and asks nothing. */
        bool asks = q.priorities || q.texts || q.pattern;
        int r = asks ? traits_enter(t, &q, &f->trait) : 0;
        return r ? pass(r) : 0;
}

void filter_settle(struct filter *f, const struct traits *t) {
        if (!trait_is_shared(t, &f->trait))
                f->trait = (struct trait){0};
        if (f->left)
                filter_settle(f->left, t);
        if (f->right)
                filter_settle(f->right, t);
}
