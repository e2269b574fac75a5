/*
 * The functions of RainerScript that need no module: one table, sorted by name.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "delivery/delivery.h"
#include "ruleset/expression.h"
#include "template/template.h"

static struct value text_made(struct evaluation *ev, const struct buffer *b) {
        return value_text(arena_text(&ev->arena, buffer_as_text(b)));
}

static struct value call_strlen(const struct function_call *c, struct evaluation *ev) {
        return value_number((int64_t)function_text(c, 0, ev).size);
}

static struct value call_getenv(const struct function_call *c, struct evaluation *ev) {
        char *name = arena_string(&ev->arena, function_text(c, 0, ev));
        const char *value = name ? getenv(name) : NULL;
        return value_text(text_of(value ? value : ""));
}

static struct value call_cstr(const struct function_call *c, struct evaluation *ev) {
        return value_text(function_text(c, 0, ev));
}

static struct value call_cnum(const struct function_call *c, struct evaluation *ev) {
        return value_number(function_number(c, 0, ev));
}

static struct value map_bytes(const struct function_call *c, struct evaluation *ev, int (*map)(int)) {
        struct text from = function_text(c, 0, ev);
        char *to = arena_alloc(&ev->arena, from.size + 1);
        if (!to)
                return value_text(TEXT(""));
        for (size_t i = 0; i < from.size; i++)
                to[i] = (char)map((unsigned char)from.data[i]);
        return value_text((struct text){to, from.size});
}

static struct value call_tolower(const struct function_call *c, struct evaluation *ev) {
        return map_bytes(c, ev, tolower);
}

static struct value call_toupper(const struct function_call *c, struct evaluation *ev) {
        return map_bytes(c, ev, toupper);
}

static struct value call_ltrim(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        while (t.size && t.data[0] == ' ')
                t = text_slice(t, 1, t.size);
        return value_text(t);
}

static struct value call_rtrim(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        while (t.size && t.data[t.size - 1] == ' ')
                t.size--;
        return value_text(t);
}

/* substring(text, start, length); a negative length counts back from the end. */
static struct value call_substring(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        int64_t start = function_number(c, 1, ev), length = function_number(c, 2, ev), size = (int64_t)t.size;
        if (start < 0 || start >= size)
                return value_text(TEXT(""));
        int64_t end = length < 0 ? size + length : MIN(start + MIN(length, size), size);
        return value_text(end <= start ? TEXT("") : text_slice(t, (size_t)start, (size_t)end));
}

/* replace(text, what, by) */
static struct value call_replace(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), what = function_text(c, 1, ev), by = function_text(c, 2, ev);
        if (what.size == 0)
                return value_text(t);
        _owned_(buffer_fini) struct buffer out = {0};
        for (ptrdiff_t at; (at = text_find(t, what)) >= 0; t = text_slice(t, (size_t)at + what.size, t.size)) {
                buffer_append(&out, t.data, (size_t)at);
                buffer_text(&out, by);
        }
        buffer_text(&out, t);
        return text_made(ev, &out);
}

/* wrap(text, by [, escape]): by text by, with `by` inside the text replaced by `escape`. */
static struct value call_wrap(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), by = function_text(c, 1, ev);
        _owned_(buffer_fini) struct buffer out = {0};
        buffer_text(&out, by);
        if (c->count > 2 && by.size) {
                struct text escape = function_text(c, 2, ev);
                for (ptrdiff_t at; (at = text_find(t, by)) >= 0; t = text_slice(t, (size_t)at + by.size, t.size)) {
                        buffer_append(&out, t.data, (size_t)at);
                        buffer_text(&out, escape);
                }
        }
        buffer_text(&out, t);
        buffer_text(&out, by);
        return text_made(ev, &out);
}

/* field(text, delimiter, number): the number-th part, counted from 1. */
static struct value call_field(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        struct value by = expression_eval(c->arguments[1], ev);
        int64_t number = function_number(c, 2, ev);
        char byte = (char)by.number;
        struct text delimiter = by.kind == VALUE_NUMBER ? (struct text){&byte, 1} : value_to_text(&by, &ev->arena);
        if (number < 1 || delimiter.size == 0)
                return value_text(TEXT("***FIELD NOT FOUND***"));
        for (int64_t i = 1;; i++) {
                ptrdiff_t at = text_find(t, delimiter);
                if (i == number)
                        return value_text(at < 0 ? t : text_slice(t, 0, (size_t)at));
                if (at < 0)
                        return value_text(TEXT("***FIELD NOT FOUND***"));
                t = text_slice(t, (size_t)at + delimiter.size, t.size);
        }
}

/* ---- Regular expressions --------------------------------------------------- */

static int prepare_regex_flags(struct function_call *c, const struct expr *tree, int flags, struct buffer *complaint) {
        if (tree->args[1]->kind != EXPR_STRING) {
                buffer_format(complaint, "the regular expression (argument 2) must be a constant string");
                return fail(-EINVAL);
        }
        _owned_(memory_free) char *pattern = text_copy(tree->args[1]->string);
        regex_t *regex = malloc(sizeof *regex);
        if (!pattern || !regex) {
                free(regex);
                return fail(-ENOMEM);
        }
        int error = regcomp(regex, pattern, REG_EXTENDED | flags);
        if (error) {
                char why[128];
                regerror(error, regex, why, sizeof why);
                buffer_format(complaint, "invalid regular expression '%s': %s", pattern, why);
                free(regex);
                return fail(-EINVAL);
        }
        c->prepared = regex;
        return 0;
}

static int prepare_regex(struct function_call *c, const struct expr *tree,
                         const struct expression_names *names _unused_, struct buffer *complaint) {
        return prepare_regex_flags(c, tree, 0, complaint);
}

static int prepare_regex_nocase(struct function_call *c, const struct expr *tree,
                                const struct expression_names *names _unused_, struct buffer *complaint) {
        return prepare_regex_flags(c, tree, REG_ICASE, complaint);
}

static void release_regex(void *prepared) {
        regfree(prepared);
        free(prepared);
}

static bool find(const regex_t *regex, struct text t, size_t from, regmatch_t *matches, size_t count) {
        matches[0] = (regmatch_t){.rm_so = (regoff_t)from, .rm_eo = (regoff_t)t.size};
        return regexec(regex, t.data ? t.data : "", count, matches, REG_STARTEND | (from ? REG_NOTBOL : 0)) == 0;
}

static struct value call_re_match(const struct function_call *c, struct evaluation *ev) {
        regmatch_t match[1];
        return value_number(find(c->prepared, function_text(c, 0, ev), 0, match, 1));
}

enum { SUBMATCHES_MAX = 50 };

/* re_extract(text, regex, match, submatch, no_match) */
static struct value call_re_extract(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        int64_t match = function_number(c, 2, ev), part = function_number(c, 3, ev);
        regmatch_t matches[SUBMATCHES_MAX];
        size_t from = 0;
        bool found = part >= 0 && part < SUBMATCHES_MAX;
        for (int64_t i = 0; found && i <= match; i++) {
                found = from <= t.size && find(c->prepared, t, from, matches, SUBMATCHES_MAX);
                if (found)
                        from = (size_t)matches[0].rm_eo + (matches[0].rm_eo == matches[0].rm_so);
        }
        if (!found || matches[part].rm_so < 0)
                return value_text(function_text(c, 4, ev));
        return value_text(text_slice(t, (size_t)matches[part].rm_so, (size_t)matches[part].rm_eo));
}

/* ---- What looks at the configuration ---------------------------------------- */

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
        return text_made(ev, &out);
}

static struct value call_previous_suspended(const struct function_call *c _unused_, struct evaluation *ev) {
        return value_number(ev->previous && delivery_is_suspended(ev->previous));
}

static const struct function functions[] = {
        {"cnum", 1, 1, call_cnum, NULL, NULL},
        {"cstr", 1, 1, call_cstr, NULL, NULL},
        {"exec_template", 1, 1, call_exec_template, prepare_template, NULL},
        {"field", 3, 3, call_field, NULL, NULL},
        {"getenv", 1, 1, call_getenv, NULL, NULL},
        {"ltrim", 1, 1, call_ltrim, NULL, NULL},
        {"previous_action_suspended", 0, 0, call_previous_suspended, NULL, NULL},
        {"re_extract", 5, 5, call_re_extract, prepare_regex, release_regex},
        {"re_extract_i", 5, 5, call_re_extract, prepare_regex_nocase, release_regex},
        {"re_match", 2, 2, call_re_match, prepare_regex, release_regex},
        {"re_match_i", 2, 2, call_re_match, prepare_regex_nocase, release_regex},
        {"replace", 3, 3, call_replace, NULL, NULL},
        {"rtrim", 1, 1, call_rtrim, NULL, NULL},
        {"strlen", 1, 1, call_strlen, NULL, NULL},
        {"substring", 3, 3, call_substring, NULL, NULL},
        {"tolower", 1, 1, call_tolower, NULL, NULL},
        {"toupper", 1, 1, call_toupper, NULL, NULL},
        {"wrap", 2, 3, call_wrap, NULL, NULL},
};

const struct function *function_find(struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
                if (text_equal_nocase(text_of(functions[i].name), name))
                        return &functions[i];
        return NULL;
}
