/*
 * Functions with regular expressions: POSIX extended ones, and PCRE2's own in pcre_match().
 */
#include <errno.h>

#include "base/fail.h"
#include "ruleset/builtin.h"
#include "ruleset/functions.h"

static int prepare(struct function_call *c, const struct expr *tree, unsigned how, struct buffer *complaint) {
        if (tree->args[1]->kind != EXPR_STRING) {
                buffer_format(complaint, "the regular expression (argument 2) must be a constant string");
                return fail(-EINVAL);
        }
        _owned_(buffer_fini) struct buffer why = {0};
        struct pattern *pattern;
        int r = pattern_new(&pattern, tree->args[1]->string, how, &why);
        /* Told, and it matches nothing: what hangs on the "else" still runs. */
        if (r == -EINVAL) {
                buffer_format(complaint, "invalid regular expression '%.*s': %s",
                              TEXT_ARGS(text_slice(tree->args[1]->string, 0, 200)), buffer_string(&why));
                return 0;
        }
        if (r)
                return pass(r);
        c->prepared = pattern;
        return 0;
}

static int prepare_regex(struct function_call *c, const struct expr *tree,
                         const struct expression_names *names _unused_, struct buffer *complaint) {
        return prepare(c, tree, PATTERN_EXTENDED, complaint);
}

static int prepare_regex_nocase(struct function_call *c, const struct expr *tree,
                                const struct expression_names *names _unused_, struct buffer *complaint) {
        return prepare(c, tree, PATTERN_EXTENDED | PATTERN_NOCASE, complaint);
}

static int prepare_perl(struct function_call *c, const struct expr *tree, const struct expression_names *names _unused_,
                        struct buffer *complaint) {
        return prepare(c, tree, PATTERN_PERL, complaint);
}

static void release(void *prepared) {
        pattern_free(prepared);
}

static struct value call_match(const struct function_call *c, struct evaluation *ev) {
        return value_number(c->prepared && pattern_matches(c->prepared, &ev->room, function_text(c, 0, ev)));
}

enum { SUBMATCHES_MAX = 50 };

/* The match-th match, counted from 0; each is looked for in what follows the one before, as in a text of its own. */
static bool find_nth(const struct pattern *p, struct text *t, int64_t match, regmatch_t *matches) {
        for (int64_t i = 0;; i++) {
                if (!pattern_extract(p, *t, matches, SUBMATCHES_MAX))
                        return false;
                /* An empty match moves nothing: it would be found for ever. */
                if (i >= match || matches[0].rm_eo == 0)
                        return true;
                *t = text_slice(*t, (size_t)matches[0].rm_eo, t->size);
        }
}

/* re_extract(text, regex, match, submatch, no_match) */
static struct value call_extract(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        int64_t match = function_number(c, 2, ev), part = function_number(c, 3, ev);
        regmatch_t matches[SUBMATCHES_MAX];
        bool is_possible = c->prepared && match >= 0 && part >= 0 && part < SUBMATCHES_MAX;
        bool found = is_possible && find_nth(c->prepared, &t, match, matches);
        if (!found || matches[part].rm_so < 0)
                return value_text(function_text(c, 4, ev));
        return value_text(text_slice(t, (size_t)matches[part].rm_so, (size_t)matches[part].rm_eo));
}

static const struct function functions[] = {
        {"pcre_match", 2, 2, call_match, prepare_perl, release},
        {"re_extract", 5, 5, call_extract, prepare_regex, release},
        {"re_extract_i", 5, 5, call_extract, prepare_regex_nocase, release},
        {"re_match", 2, 2, call_match, prepare_regex, release},
        {"re_match_i", 2, 2, call_match, prepare_regex_nocase, release},
};

const struct function_table functions_pattern = {functions, ARRAY_SIZE(functions)};

const struct module fmpcre_module = {
        MODULE_HEAD, .kind = MODULE_LIBRARY, .name = "fmpcre",
        .help = "The function pcre_match(text, pattern): 1 where a regular expression of Perl matches."};
