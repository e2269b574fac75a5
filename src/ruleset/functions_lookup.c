/*
 * Functions on what a configuration defines by name: lookup tables,
 * buckets of counters, windows of observations.
 */
#include <errno.h>

#include "base/fail.h"
#include "ruleset/functions.h"
#include "statistics/percentiles.h"

enum { NAME_BYTES_SHOWN = 200 };

/* lookup(table, key): a table that could never be read has nothing for any key. */
static struct value call_lookup(const struct function_call *c, struct evaluation *ev) {
        const struct lookup *l = lookup_views_get(&ev->views, c->prepared);
        if (!l)
                return value_text(TEXT(""));
        if (lookup_takes_text(l))
                return value_text(lookup_find(l, function_text(c, 1, ev)));
        return value_text(lookup_find_number(l, (uint32_t)function_number(c, 1, ev)));
}

/* A key that is a property is mostly there as it stands: a third of the instructions of a whole evaluation. */
static struct text key_of(const struct function_call *c, const struct property *p, struct evaluation *ev) {
        const struct span *span = p ? property_span(p, ev->record) : NULL;
        return span ? batch_text(ev->batch, *span) : function_text(c, 1, ev);
}

/* Texts are looked up together, so that they wait for memory together. */
static void call_lookup_many(const struct function_call *c, struct evaluation *ev, const uint16_t *selection,
                             size_t count, struct value *values) {
        const struct lookup *l = lookup_views_get(&ev->views, c->prepared);
        struct text texts[EXPRESSION_MANY_MAX];
        const struct property *p = expression_property(c->arguments[1]);
        bool takes_text = l && lookup_takes_text(l);
        for (size_t i = 0; i < count; i++) {
                ev->record = &ev->batch->records[selection[i]];
                if (takes_text)
                        texts[i] = key_of(c, p, ev);
                else
                        values[i] = call_lookup(c, ev);
        }
        if (!takes_text)
                return;
        lookup_find_many(l, texts, count, texts);
        for (size_t i = 0; i < count; i++)
                values[i] = value_text(texts[i]);
}

static int prepare_lookup(struct function_call *c, const struct expr *tree, const struct expression_names *names,
                          struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "table name (param 1) of lookup() must be a constant string");
                return fail(-EINVAL);
        }
        c->prepared = names->find_table ? names->find_table(names->owner, tree->args[0]->string) : NULL;
        if (expression_is_property(c->arguments[1]) || expression_is_variable(c->arguments[1]))
                c->call_many = call_lookup_many;
        if (c->prepared)
                return 0;
        buffer_format(complaint, "lookup table '%.*s' not found",
                      TEXT_ARGS(text_slice(tree->args[0]->string, 0, NAME_BYTES_SHOWN)));
        return fail(-EINVAL);
}

static int prepare_dyn_inc(struct function_call *c, const struct expr *tree, const struct expression_names *names,
                           struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "dyn-stats bucket-name (param 1) of dyn-stats manipulating functions like "
                                         "dyn_inc must be a constant string");
                return fail(-EINVAL);
        }
        c->prepared = names->find_dyn_stats ? names->find_dyn_stats(names->owner, tree->args[0]->string) : NULL;
        if (c->prepared)
                return 0;
        buffer_format(complaint, "dyn-stats bucket '%.*s' not found",
                      TEXT_ARGS(text_slice(tree->args[0]->string, 0, NAME_BYTES_SHOWN)));
        return fail(-EINVAL);
}

/* dyn_inc(bucket, name): 0, or rsyslog's number for what went wrong. */
static struct value call_dyn_inc(const struct function_call *c, struct evaluation *ev) {
        return value_number(dyn_stats_increment(c->prepared, &ev->buckets, function_text(c, 1, ev)));
}

static int prepare_observe(struct function_call *c, const struct expr *tree, const struct expression_names *names,
                           struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "percentile-stats bucket-name (param 1) of percentile_observe must be a "
                                         "constant string");
                return fail(-EINVAL);
        }
        c->prepared = names->find_percentiles ? names->find_percentiles(names->owner, tree->args[0]->string) : NULL;
        if (c->prepared)
                return 0;
        buffer_format(complaint, "percentile-stats bucket '%.*s' not found",
                      TEXT_ARGS(text_slice(tree->args[0]->string, 0, NAME_BYTES_SHOWN)));
        return fail(-EINVAL);
}

/* percentile_observe(bucket, name, number): what is no number is no observation. */
static struct value call_observe(const struct function_call *c, struct evaluation *ev) {
        bool is_whole;
        struct text name = function_text(c, 1, ev);
        struct value v = expression_eval(c->arguments[2], ev);
        int64_t number = value_to_number(&v, &is_whole);
        return value_number(is_whole ? percentiles_observe(c->prepared, name, number) : 0);
}

static const struct function functions[] = {
        {"dyn_inc", 2, 2, call_dyn_inc, prepare_dyn_inc, NULL},
        {"lookup", 2, 2, call_lookup, prepare_lookup, NULL},
        {"percentile_observe", 3, 3, call_observe, prepare_observe, NULL},
};

const struct function_table functions_lookup = {functions, ARRAY_SIZE(functions)};
