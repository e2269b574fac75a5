#include "ruleset/functions.h"

static const struct function_table *const tables[] = {
        &functions_text,    &functions_pattern, &functions_number, &functions_time, &functions_tree,
        &functions_message, &functions_hash,    &functions_lookup, &functions_http,
};

const struct function *function_find(struct text name) {
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
                for (size_t i = 0; i < tables[t]->count; i++)
                        if (text_equal_nocase(text_of(tables[t]->functions[i].name), name))
                                return &tables[t]->functions[i];
        return NULL;
}

struct text function_text(const struct function_call *call, uint32_t i, struct evaluation *ev) {
        const struct property *p = expression_property(call->arguments[i]);
        if (p)
                return evaluation_property(ev, p);
        struct value v = expression_eval(call->arguments[i], ev);
        return value_to_text(&v, &ev->arena);
}

int64_t function_number(const struct function_call *call, uint32_t i, struct evaluation *ev) {
        struct value v = expression_eval(call->arguments[i], ev);
        return value_to_number(&v, NULL);
}
