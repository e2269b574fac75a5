/*
 * Functions that look at the record as a whole, or at what lies around the program.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "delivery/delivery.h"
#include "ruleset/functions.h"
#include "template/template.h"

static int prepare_template(struct function_call *c, const struct expr *tree, const struct expression_names *names,
                            struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "the template name must be a constant string");
                return fail(-EINVAL);
        }
        _owned_(memory_free) char *name = text_copy(tree->args[0]->string);
        if (!name)
                return fail(-ENOMEM);
        c->prepared = (void *)names->find_template(names->owner, name);
        if (c->prepared)
                return 0;
        buffer_format(complaint, "could not find template '%s'", name);
        return fail(-EINVAL);
}

static struct value call_exec_template(const struct function_call *c, struct evaluation *ev) {
        _owned_(buffer_fini) struct buffer out = {0};
        template_render(c->prepared, ev->context, ev->batch, ev->record, false, &out);
        return function_made(ev, &out);
}

static struct value call_previous_suspended(const struct function_call *c _unused_, struct evaluation *ev) {
        ev->asked_for_previous = true;
        return value_number(ev->previous && delivery_is_suspended(ev->previous));
}

static int prepare_selector(struct function_call *c, const struct expr *tree,
                            const struct expression_names *names _unused_, struct buffer *complaint) {
        if (tree->args[0]->kind != EXPR_STRING) {
                buffer_format(complaint, "the selector must be a constant string");
                return fail(-EINVAL);
        }
        uint8_t *priorities = calloc(FACILITIES + 1, 1);
        if (!priorities)
                return fail(-ENOMEM);
        c->prepared = priorities;
        /* What could be read of it counts. */
        if (selector_parse(priorities, tree->args[0]->string))
                buffer_format(complaint, "'%.*s' is no selector such as \"mail.info\"",
                              TEXT_ARGS(text_slice(tree->args[0]->string, 0, 200)));
        return 0;
}

static struct value call_prifilt(const struct function_call *c, struct evaluation *ev) {
        const uint8_t *priorities = c->prepared;
        const struct record *r = ev->record;
        return value_number(priorities[MIN(r->facility, (uint8_t)FACILITIES)] >> (r->severity & 7) & 1);
}

static const struct function functions[] = {
        {"exec_template", 1, 1, call_exec_template, prepare_template, NULL},
        {"previous_action_suspended", 0, 0, call_previous_suspended, NULL, NULL},
        {"prifilt", 1, 1, call_prifilt, prepare_selector, free},
};

const struct function_table functions_message = {functions, ARRAY_SIZE(functions)};
