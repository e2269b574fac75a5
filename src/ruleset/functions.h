/*
 * The functions of RainerScript, as tables by subject; function_find() looks through them all.
 */
#pragma once

#include "ruleset/expression.h"

struct function_table {
        const struct function *functions;
        size_t count;
};

extern const struct function_table functions_text;
extern const struct function_table functions_pattern;
extern const struct function_table functions_number;
extern const struct function_table functions_time;
extern const struct function_table functions_tree;
extern const struct function_table functions_message;
extern const struct function_table functions_hash;
extern const struct function_table functions_lookup;
extern const struct function_table functions_http;

static inline struct value function_made(struct evaluation *ev, const struct buffer *b) {
        return value_text(arena_text(&ev->arena, buffer_as_text(b)));
}
