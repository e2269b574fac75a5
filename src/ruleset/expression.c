#include "ruleset/expression.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "module/settings.h"

struct expression {
        enum expr_kind kind;
        enum operator op;
        struct value constant;         /* EXPR_STRING, EXPR_NUMBER */
        struct property property;      /* EXPR_PROPERTY, EXPR_VARIABLE */
        struct expression **arguments; /* EXPR_ARRAY, EXPR_FUNCTION, EXPR_UNARY, EXPR_BINARY */
        uint32_t count;
        bool is_of_facility; /* $syslogfacility == or != a constant number: that of an invalid one is 24, not a text */
        bool reads_as_c;     /* arithmetic between constants outside of functions: "010" is 8 */
        struct function_call call; /* EXPR_FUNCTION */
        const struct expr *tree;   /* what it was made of; lent */
};

/* ---- Compiling ----------------------------------------------------------- */

struct compiler {
        const struct expression_names *names;
        struct diagnostics *diagnostics;
        unsigned depth;
        unsigned inside; /* so many functions and minus signs: where rsyslog calculates nothing ahead */
};

static int compile(struct expression **ret, const struct expr *tree, struct compiler *c);

static int compile_arguments(struct expression *e, const struct expr *tree, struct compiler *c) {
        if (tree->count == 0)
                return 0;
        e->arguments = calloc(tree->count, sizeof(*e->arguments));
        if (!e->arguments)
                return fail(-ENOMEM);
        e->count = tree->count;
        for (uint32_t i = 0; i < tree->count; i++) {
                int r = compile(&e->arguments[i], tree->args[i], c);
                if (r)
                        return pass(r);
        }
        return 0;
}

static int compile_property(struct expression *e, const struct expr *tree, struct compiler *c) {
        if (property_find(&e->property, tree->string) == 0)
                return 0;
        const char *near = property_closest(tree->string);
        char hint[128];
        snprintf(hint, sizeof hint, "did you mean `$%s`?", near ? near : "");
        diagnose(c->diagnostics, SEVERITY_ERR, 2207, tree->place, (uint32_t)tree->string.size + 1, near ? hint : NULL,
                 "invalid property '%.*s'", TEXT_ARGS(tree->string));
        return fail(-EINVAL);
}

static int compile_function(struct expression *e, const struct expr *tree, struct compiler *c) {
        const struct function *f = function_find(tree->string);
        if (!f) {
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, tree->place, (uint32_t)tree->string.size, NULL,
                         "function '%.*s' not found", TEXT_ARGS(tree->string));
                return fail(-EINVAL);
        }
        if (tree->count < f->arguments_min || tree->count > f->arguments_max) {
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, tree->place, (uint32_t)tree->string.size, NULL,
                         "function '%s' takes %u to %u arguments, but there are %u", f->name, f->arguments_min,
                         f->arguments_max, tree->count);
                return fail(-EINVAL);
        }
        e->call = (struct function_call){.function = f, .arguments = e->arguments, .count = e->count};
        if (!f->prepare)
                return 0;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = f->prepare(&e->call, tree, c->names, &complaint);
        if (complaint.size)
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, tree->place, (uint32_t)tree->string.size, NULL,
                         "function '%s': %s", f->name, buffer_string(&complaint));
        return r ? pass(r) : 0;
}

static bool is_constant(const struct expression *e) {
        if (e->kind == EXPR_BINARY && e->op == OP_CONCAT)
                return is_constant(e->arguments[0]) && is_constant(e->arguments[1]);
        return e->kind == EXPR_STRING || e->kind == EXPR_NUMBER;
}

/* An operator over constants becomes its value. */
static void fold(struct expression *e) {
        if (e->kind != EXPR_UNARY && e->kind != EXPR_BINARY)
                return;
        for (uint32_t i = 0; i < e->count; i++)
                if (!is_constant(e->arguments[i]))
                        return;
        _owned_(arena_fini) struct arena made = {0};
        struct evaluation ev = {.arena = made};
        struct value v = expression_eval(e, &ev);
        made = ev.arena;
        if (v.kind != VALUE_NUMBER)
                return;
        for (uint32_t i = 0; i < e->count; i++)
                expression_free(e->arguments[i]);
        free(e->arguments);
        e->arguments = NULL;
        e->count = 0;
        e->kind = EXPR_NUMBER;
        e->constant = v;
}

/* ---- Names of priorities ---- */

static const struct named_priority {
        struct text name;
        enum property_id number;
        unsigned shift; /* a number in a text is that of a whole priority where a facility is meant */
        int (*by_name)(struct text name);
        struct expr tree;
} named_priorities[] = {
        {{"syslogfacility-text", sizeof "syslogfacility-text" - 1},
         PROPERTY_FACILITY,
         3,
         facility_by_name,
         {.kind = EXPR_PROPERTY, .string = {"syslogfacility", sizeof "syslogfacility" - 1}}},
        {{"syslogseverity-text", sizeof "syslogseverity-text" - 1},
         PROPERTY_SEVERITY,
         0,
         severity_by_name,
         {.kind = EXPR_PROPERTY, .string = {"syslogseverity", sizeof "syslogseverity" - 1}}},
};

static const struct named_priority *find_named_priority(const struct expression *e) {
        for (size_t i = 0; e->kind == EXPR_PROPERTY && i < ARRAY_SIZE(named_priorities); i++)
                if (text_equal_nocase(e->tree->string, named_priorities[i].name))
                        return &named_priorities[i];
        return NULL;
}

/*
 * $syslogseverity-text == "error" is a comparison of numbers in rsyslog, so that "err", "ERROR" and "3" mean the same.
 * Only == and != with one constant text on the right, and not $syslogpriority-text; what is no name is compared as a
 * text.
 */
static void compare_priority_by_number(struct expression *e) {
        if (e->kind != EXPR_BINARY || (e->op != OP_EQUAL && e->op != OP_NOT_EQUAL))
                return;
        struct expression *left = e->arguments[0], *right = e->arguments[1];
        const struct named_priority *priority = find_named_priority(left);
        if (!priority || right->kind == EXPR_NUMBER || !is_constant(right))
                return;
        _owned_(arena_fini) struct arena made = {0};
        struct evaluation ev = {.arena = made};
        struct value v = expression_eval(right, &ev);
        made = ev.arena;
        bool is_digits = v.text.size && v.text.data[0] >= '0' && v.text.data[0] <= '9';
        int64_t number = is_digits ? text_number(v.text, NULL) >> priority->shift : priority->by_name(v.text);
        if (number < 0 && !is_digits)
                return;
        left->property.id = priority->number;
        left->tree = &priority->tree;
        for (uint32_t i = 0; i < right->count; i++)
                expression_free(right->arguments[i]);
        right->count = 0;
        right->kind = EXPR_NUMBER;
        right->constant = value_number(number);
}

static int compile(struct expression **ret, const struct expr *tree, struct compiler *c) {
        _owned_(expression_free) struct expression *e = calloc(1, sizeof *e);
        if (!e)
                return fail(-ENOMEM);
        if (++c->depth > EXPRESSION_DEPTH_MAX) {
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, tree->place, 0,
                         "write the values as an array: [\"a\", \"b\"]", "expression is nested more than %d deep",
                         EXPRESSION_DEPTH_MAX);
                return fail(-EINVAL);
        }
        e->tree = tree;
        e->kind = tree->kind;
        e->op = tree->op;
        bool is_inside = tree->kind == EXPR_FUNCTION || (tree->kind == EXPR_UNARY && tree->op == OP_NEGATE);
        c->inside += is_inside;
        int r = compile_arguments(e, tree, c);
        if (r)
                return pass(r);
        c->inside -= is_inside;
        c->depth--;
        e->reads_as_c = tree->kind == EXPR_BINARY && c->inside == 0 && is_constant(e->arguments[0]) &&
                        is_constant(e->arguments[1]);
        switch (tree->kind) {
        case EXPR_STRING:
                e->constant = value_text(tree->string);
                break;
        case EXPR_NUMBER:
                e->constant = value_number(tree->number);
                break;
        case EXPR_PROPERTY:
                r = compile_property(e, tree, c);
                break;
        case EXPR_VARIABLE:
                e->property = (struct property){.id = PROPERTY_TREE,
                                                .scope = tree->scope,
                                                .path = tree->string,
                                                .is_name = variable_is_name(tree->string)};
                break;
        case EXPR_FUNCTION:
                r = compile_function(e, tree, c);
                break;
        default:
                break;
        }
        if (r)
                return pass(r);
        fold(e);
        compare_priority_by_number(e);
        e->is_of_facility = tree->kind == EXPR_BINARY && (e->op == OP_EQUAL || e->op == OP_NOT_EQUAL) &&
                            e->count == 2 && e->arguments[0]->kind == EXPR_PROPERTY &&
                            e->arguments[0]->property.id == PROPERTY_FACILITY && e->arguments[1]->kind == EXPR_NUMBER;
        *ret = TAKE(e);
        return 0;
}

int expression_new(struct expression **ret, const struct expr *tree, const struct expression_names *names,
                   struct diagnostics *diagnostics) {
        struct compiler c = {.names = names, .diagnostics = diagnostics};
        return compile(ret, tree, &c);
}

struct expression *expression_free(struct expression *e) {
        if (!e)
                return NULL;
        if (e->call.function && e->call.function->release && e->call.prepared)
                e->call.function->release(e->call.prepared);
        for (uint32_t i = 0; i < e->count; i++)
                expression_free(e->arguments[i]);
        free(e->arguments);
        free(e);
        return NULL;
}

/* The tree that could have been written to the same effect; NULL without memory. */
static struct expr *tree_of(const struct expression *e, struct arena *a) {
        struct expr *tree = arena_alloc(a, sizeof *tree);
        if (!tree)
                return NULL;
        *tree = *e->tree;
        tree->kind = e->kind;
        tree->count = e->count;
        if (e->kind == EXPR_NUMBER)
                tree->number = e->constant.number;
        if (e->count == 0)
                return tree;
        tree->args = arena_alloc(a, e->count * sizeof(*tree->args));
        for (uint32_t i = 0; tree->args && i < e->count; i++)
                if (!(tree->args[i] = tree_of(e->arguments[i], a)))
                        return NULL;
        return tree->args ? tree : NULL;
}

void expression_print(struct buffer *out, const struct expression *e) {
        _owned_(arena_fini) struct arena a = {0};
        const struct expr *tree = tree_of(e, &a);
        expr_print(out, tree ? tree : e->tree);
}

/* ---- Evaluating ----------------------------------------------------------- */

struct text evaluation_property(struct evaluation *ev, const struct property *p) {
        struct text t = property_get(ev->context, ev->batch, ev->record, p);
        const struct buffer *scratch = &ev->context->scratch;
        bool is_scratch =
                t.size && scratch->data && t.data >= scratch->data && t.data < scratch->data + scratch->capacity;
        return is_scratch ? arena_text(&ev->arena, t) : t;
}

static struct json *find_variable(const struct expression *e, struct evaluation *ev) {
        const struct property *p = &e->property;
        if (p->scope == '/')
                return globals_get(ev->context->globals, p->path, &ev->arena);
        return property_tree(ev->context, ev->record, p);
}

typedef bool (*text_test)(struct text whole, struct text part);

static bool contains(struct text whole, struct text part) {
        return text_find(whole, part) >= 0;
}

static bool contains_nocase(struct text whole, struct text part) {
        return text_find_nocase(whole, part) >= 0;
}

static text_test test_of(enum operator op) {
        switch (op) {
        case OP_CONTAINS:
                return contains;
        case OP_CONTAINS_NOCASE:
                return contains_nocase;
        case OP_STARTS:
                return text_starts;
        case OP_STARTS_NOCASE:
                return starts_nocase_loosely;
        case OP_ENDS:
                return text_ends;
        default:
                return NULL;
        }
}

static int64_t holds(enum operator op, const struct value *left, const struct value *right, struct arena *a) {
        text_test test = test_of(op);
        if (test)
                return test(value_to_text(left, a), value_to_text(right, a));
        return value_compare(op, left, right, a);
}

/* An array with one element is that element; and where order is asked for, its first stands for all. */
static bool is_any_of(const struct expression *e) {
        return e->arguments[1]->kind == EXPR_ARRAY && e->arguments[1]->count > 1 &&
               (test_of(e->op) || e->op == OP_EQUAL || e->op == OP_NOT_EQUAL);
}

/* An array on the right is an "any of"; with != it is a "none of". */
static int64_t compare(const struct expression *e, struct evaluation *ev) {
        struct value left =
                e->is_of_facility ? value_number(ev->record->facility) : expression_eval(e->arguments[0], ev);
        const struct expression *right = e->arguments[1];
        if (!is_any_of(e)) {
                struct value r = expression_eval(right, ev);
                int64_t result = holds(e->op, &left, &r, &ev->arena);
                /* A text is not told by how much it differs from an array. */
                return right->kind == EXPR_ARRAY && left.kind == VALUE_TEXT ? result != 0 : result;
        }
        enum operator op = e->op == OP_NOT_EQUAL ? OP_EQUAL : e->op;
        bool found = false;
        for (uint32_t i = 0; i < right->count && !found; i++) {
                struct value r = expression_eval(right->arguments[i], ev);
                found = holds(op, &left, &r, &ev->arena);
        }
        return e->op == OP_NOT_EQUAL ? !found : found;
}

static struct value concat(const struct expression *e, struct evaluation *ev) {
        struct value left = expression_eval(e->arguments[0], ev), right = expression_eval(e->arguments[1], ev);
        struct text l = value_to_text(&left, &ev->arena), r = value_to_text(&right, &ev->arena);
        char *both = arena_alloc(&ev->arena, l.size + r.size + 1);
        if (!both)
                return value_text(TEXT(""));
        if (l.size)
                memcpy(both, l.data, l.size);
        if (r.size)
                memcpy(both + l.size, r.data, r.size);
        return value_text((struct text){both, l.size + r.size});
}

static struct value calculate(const struct expression *e, struct evaluation *ev) {
        struct value left = expression_eval(e->arguments[0], ev), right = expression_eval(e->arguments[1], ev);
        /* Unsigned, so that an overflow wraps as it does in rsyslog. */
        uint64_t l = (uint64_t)(e->reads_as_c ? value_to_operand(&left) : value_to_number(&left, NULL));
        uint64_t r = (uint64_t)(e->reads_as_c ? value_to_operand(&right) : value_to_number(&right, NULL));
        switch (e->op) {
        case OP_ADD:
                return value_number((int64_t)(l + r));
        case OP_SUBTRACT:
                return value_number((int64_t)(l - r));
        case OP_MULTIPLY:
                return value_number((int64_t)(l * r));
        default:
                break;
        }
        /* Division by zero gives 0, and the one quotient that does not fit wraps. */
        if (r == 0)
                return value_number(0);
        if (r == UINT64_MAX)
                return value_number(e->op == OP_DIVIDE ? (int64_t)-l : 0);
        return value_number(e->op == OP_DIVIDE ? (int64_t)l / (int64_t)r : (int64_t)l % (int64_t)r);
}

static struct value eval_binary(const struct expression *e, struct evaluation *ev) {
        switch (e->op) {
        case OP_AND:
                return value_number(expression_is_true(e->arguments[0], ev) && expression_is_true(e->arguments[1], ev));
        case OP_OR:
                return value_number(expression_is_true(e->arguments[0], ev) || expression_is_true(e->arguments[1], ev));
        case OP_CONCAT:
                return concat(e, ev);
        case OP_ADD:
        case OP_SUBTRACT:
        case OP_MULTIPLY:
        case OP_DIVIDE:
        case OP_MODULO:
                return calculate(e, ev);
        default:
                return value_number(compare(e, ev));
        }
}

static struct value eval_unary(const struct expression *e, struct evaluation *ev) {
        if (e->op == OP_NOT)
                return value_number(!expression_is_true(e->arguments[0], ev));
        struct value v = expression_eval(e->arguments[0], ev);
        return value_number((int64_t) - (uint64_t)value_to_number(&v, NULL));
}

struct value expression_eval(const struct expression *e, struct evaluation *ev) {
        switch (e->kind) {
        case EXPR_STRING:
        case EXPR_NUMBER:
                return e->constant;
        case EXPR_PROPERTY:
                return value_text(evaluation_property(ev, &e->property));
        case EXPR_VARIABLE:
                return value_of_json(find_variable(e, ev));
        case EXPR_FUNCTION:
                return e->call.function->call(&e->call, ev);
        case EXPR_UNARY:
                return eval_unary(e, ev);
        case EXPR_BINARY:
                return eval_binary(e, ev);
        case EXPR_ARRAY:
                /* As a value, an array is its first element. */
                return e->count ? expression_eval(e->arguments[0], ev) : value_text(TEXT(""));
        }
        return value_text(TEXT(""));
}

bool expression_has_many(const struct expression *e) {
        return e->kind == EXPR_FUNCTION && e->call.call_many;
}

void expression_eval_many(const struct expression *e, struct evaluation *ev, const uint16_t *selection, size_t count,
                          struct value *values) {
        assert(expression_has_many(e) && count <= EXPRESSION_MANY_MAX);
        e->call.call_many(&e->call, ev, selection, count, values);
}

bool expression_is_variable(const struct expression *e) {
        return e->kind == EXPR_VARIABLE;
}

bool expression_is_string(const struct expression *e) {
        return e->kind == EXPR_STRING;
}

bool expression_is_property(const struct expression *e) {
        return e->kind == EXPR_PROPERTY;
}

const struct property *expression_property(const struct expression *e) {
        return e->kind == EXPR_PROPERTY ? &e->property : NULL;
}

struct json *expression_json(const struct expression *e, struct evaluation *ev) {
        if (e->kind == EXPR_VARIABLE)
                return find_variable(e, ev);
        struct value v = expression_eval(e, ev);
        return v.kind == VALUE_JSON ? v.json : NULL;
}

bool expression_is_true(const struct expression *e, struct evaluation *ev) {
        struct value v = expression_eval(e, ev);
        return value_is_true(&v);
}
