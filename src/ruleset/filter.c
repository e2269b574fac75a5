#include "ruleset/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

enum filter_kind {
        FILTER_SELECTOR, /* mask */
        FILTER_PROPERTY, /* property against one constant text */
        FILTER_ANY_OF,   /* property against several */
        FILTER_REGEX,
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
        bool (*test)(struct text whole, struct text part);
        struct text *patterns; /* point into the configuration */
        size_t pattern_count;
        struct pattern *pattern; /* NULL: it did not compile, and matches nothing */
        struct filter *left, *right;
        struct expression *expression;
};

struct filter *filter_free(struct filter *f) {
        if (!f)
                return NULL;
        pattern_free(f->pattern);
        free(f->patterns);
        filter_free(f->left);
        filter_free(f->right);
        expression_free(f->expression);
        free(f);
        return NULL;
}

static bool is_same(struct text whole, struct text part) {
        return text_equal(whole, part);
}
static bool contains(struct text whole, struct text part) {
        return text_find(whole, part) >= 0;
}
static bool contains_nocase(struct text whole, struct text part) {
        return text_find_nocase(whole, part) >= 0;
}
static bool starts(struct text whole, struct text part) {
        return text_starts(whole, part);
}
static bool ends(struct text whole, struct text part) {
        return text_ends(whole, part);
}

/* ---- Narrowing ------------------------------------------------------------ */

static bool passes_texts(const struct filter *f, struct text value) {
        for (size_t i = 0; i < f->pattern_count; i++)
                if (f->test(value, f->patterns[i]))
                        return true;
        return false;
}

static bool passes(const struct filter *f, struct evaluation *ev) {
        switch (f->kind) {
        case FILTER_PROPERTY:
                return f->test(property_get(ev->context, ev->batch, ev->record, &f->property), f->patterns[0]);
        case FILTER_ANY_OF:
                return passes_texts(f, property_get(ev->context, ev->batch, ev->record, &f->property));
        case FILTER_REGEX: {
                struct text value = property_get(ev->context, ev->batch, ev->record, &f->property);
                return f->pattern && pattern_matches(f->pattern, &ev->room, value);
        }
        default:
                return expression_is_true(f->expression, ev);
        }
}

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

static size_t narrow_each(const struct filter *f, struct evaluation *ev, struct batch *b, const uint16_t *selection,
                          size_t count, uint16_t *yes, uint16_t *no) {
        size_t yeses = 0, noes = 0;
        ev->batch = b;
        for (size_t i = 0; i < count; i++) {
                ev->record = &b->records[selection[i]];
                bool is_in = passes(f, ev) != f->is_negated;
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
        default:
                return narrow_each(f, ev, b, selection, count, yes, no);
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
        static bool (*const tests[])(struct text, struct text) = {
                [COMPARE_CONTAINS] = contains, [COMPARE_EQUAL] = is_same, [COMPARE_EMPTY] = is_same,
                [COMPARE_STARTS] = starts,     [COMPARE_ENDS] = ends,
        };
        bool is_regex = s->comparison == COMPARE_REGEX || s->comparison == COMPARE_EREGEX;
        _owned_(filter_free) struct filter *f = filter_of(is_regex ? FILTER_REGEX : FILTER_PROPERTY);
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
        if (is_regex) {
                int r = build_regex(f, s, diagnostics);
                if (r)
                        return pass(r);
        } else {
                f->test = tests[s->comparison];
                f->patterns = malloc(sizeof *f->patterns);
                if (!f->patterns)
                        return fail(-ENOMEM);
                f->patterns[0] = s->comparison == COMPARE_EMPTY ? TEXT("") : s->pattern;
                f->pattern_count = 1;
        }
        *ret = TAKE(f);
        return 0;
}

static bool (*simple_test(enum operator op))(struct text, struct text) {
        switch (op) {
        case OP_EQUAL:
        case OP_NOT_EQUAL:
                return is_same;
        case OP_CONTAINS:
                return contains;
        case OP_CONTAINS_NOCASE:
                return contains_nocase;
        case OP_STARTS:
                return starts;
        case OP_STARTS_NOCASE:
                return starts_nocase_loosely;
        case OP_ENDS:
                return ends;
        default:
                return NULL;
        }
}

/* A property against constant texts needs no evaluation: it is looked at where it lies. */
static bool is_simple(const struct expr *tree) {
        if (tree->kind != EXPR_BINARY || !simple_test(tree->op) || tree->args[0]->kind != EXPR_PROPERTY)
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

static int build_simple(struct filter **ret, const struct expr *tree) {
        const struct expr *right = tree->args[1];
        bool is_array = right->kind == EXPR_ARRAY;
        _owned_(filter_free) struct filter *f = filter_of(is_array ? FILTER_ANY_OF : FILTER_PROPERTY);
        if (!f)
                return fail(-ENOMEM);
        if (property_find(&f->property, tree->args[0]->string))
                return -EINVAL; /* expression_new() says so better */
        f->test = simple_test(tree->op);
        f->is_negated = tree->op == OP_NOT_EQUAL;
        f->pattern_count = is_array ? right->count : 1;
        f->patterns = malloc(f->pattern_count * sizeof *f->patterns);
        if (!f->patterns)
                return fail(-ENOMEM);
        for (size_t i = 0; i < f->pattern_count; i++)
                f->patterns[i] = is_array ? right->args[i]->string : right->string;
        *ret = TAKE(f);
        return 0;
}

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

static int build(struct filter **ret, const struct expr *tree, const struct expression_names *names,
                 struct diagnostics *diagnostics, unsigned depth) {
        bool is_connective = (tree->kind == EXPR_BINARY && (tree->op == OP_AND || tree->op == OP_OR)) ||
                             (tree->kind == EXPR_UNARY && tree->op == OP_NOT);
        if (is_connective)
                return build_connective(ret, tree, names, diagnostics, depth);
        if (is_simple(tree) && build_simple(ret, tree) == 0)
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

int filter_new(struct filter **ret, const struct expr *tree, const struct expression_names *names,
               struct diagnostics *diagnostics) {
        return build(ret, tree, names, diagnostics, 0);
}
