/*
 * Functions on what a configuration defines by name: lookup tables.
 */
#include <errno.h>

#include "base/fail.h"
#include "ruleset/functions.h"

enum { NAME_BYTES_SHOWN = 200 };

static int prepare_lookup(struct function_call *c, const struct expr *tree, const struct expression_names *names,
                          struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "table name (param 1) of lookup() must be a constant string");
                return fail(-EINVAL);
        }
        c->prepared = names->find_table ? names->find_table(names->owner, tree->args[0]->string) : NULL;
        if (c->prepared)
                return 0;
        buffer_format(complaint, "lookup table '%.*s' not found",
                      TEXT_ARGS(text_slice(tree->args[0]->string, 0, NAME_BYTES_SHOWN)));
        return fail(-EINVAL);
}

/* lookup(table, key): a table that could never be read has nothing for any key. */
static struct value call_lookup(const struct function_call *c, struct evaluation *ev) {
        const struct lookup *l = lookup_views_get(&ev->views, c->prepared);
        if (!l)
                return value_text(TEXT(""));
        if (lookup_takes_text(l))
                return value_text(lookup_find(l, function_text(c, 1, ev)));
        return value_text(lookup_find_number(l, (uint32_t)function_number(c, 1, ev)));
}

static const struct function functions[] = {
        {"lookup", 2, 2, call_lookup, prepare_lookup, NULL},
};

const struct function_table functions_lookup = {functions, ARRAY_SIZE(functions)};
