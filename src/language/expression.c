/*
 * Expressions, by recursive descent. Precedence is what the running rsyslogd has,
 * weakest first: "and" and "or" together; comparisons; + - &; * / %; not and the
 * minus sign. Operators of one level group to the left.
 */
#include "language/loader.h"

#include <errno.h>

#include "base/array.h"
#include "module/settings.h"

struct operator_word {
        const char *word;
        enum operator op;
};

/* Longer ones first. */
static const struct operator_word comparisons[] = {
        {"==", OP_EQUAL},         {"!=", OP_NOT_EQUAL}, {"<>", OP_NOT_EQUAL}, {"<=", OP_LESS_EQUAL},
        {">=", OP_GREATER_EQUAL}, {"<", OP_LESS},       {">", OP_GREATER},
};
static const struct operator_word comparison_words[] = {
        {"contains", OP_CONTAINS}, {"contains_i", OP_CONTAINS_NOCASE},
        {"startswith", OP_STARTS}, {"startswith_i", OP_STARTS_NOCASE},
        {"endswith", OP_ENDS},
};
static const struct operator_word sums[] = {{"+", OP_ADD}, {"-", OP_SUBTRACT}, {"&", OP_CONCAT}};
static const struct operator_word products[] = {{"*", OP_MULTIPLY}, {"/", OP_DIVIDE}, {"%", OP_MODULO}};

static struct expr *expr_new(struct loader *l, enum expr_kind kind, struct place place) {
        struct expr *e = loader_alloc(l, sizeof *e);
        if (!e)
                return NULL;
        e->kind = kind;
        e->place = place;
        return e;
}

static struct expr *expr_binary(struct loader *l, enum operator op, struct expr *left, struct expr *right) {
        if (++l->operators > OPERATORS_MAX) {
                if (l->operators == OPERATORS_MAX + 1)
                        complain(l, left->place, 1, CODE_SYNTAX, NULL, "an expression has at most %d operators",
                                 OPERATORS_MAX);
                return NULL;
        }
        struct expr *e = expr_new(l, EXPR_BINARY, left->place);
        struct expr **args = loader_alloc(l, 2 * sizeof *args);
        if (!e || !args)
                return NULL;
        args[0] = left;
        args[1] = right;
        e->op = op;
        e->args = args;
        e->count = 2;
        return e;
}

static struct expr *expr_unary(struct loader *l, enum operator op, struct expr *operand, struct place place) {
        struct expr *e = expr_new(l, EXPR_UNARY, place);
        struct expr **args = loader_alloc(l, sizeof *args);
        if (!e || !args)
                return NULL;
        args[0] = operand;
        e->op = op;
        e->args = args;
        e->count = 1;
        return e;
}

/* ---- What stands alone ------------------------------------------------------- */

static bool is_variable_byte(int c) {
        return is_name_byte(c) || c == '!' || c == '@' || c == '-' || c == '.' || c == '[' || c == ']';
}

/* "$name", "$!a!b", "$.x", "$/x": consumes it; scope is 0 for a property. */
static struct text take_variable(struct loader *l, char *scope) {
        size_t from = l->at + 1;
        int c = lex_peek(l, 1);
        *scope = c == '!' || c == '.' || c == '/' ? (char)c : 0;
        if (*scope || c == '$')
                from++;
        size_t end = from;
        while (end < l->source->text.size && is_variable_byte((unsigned char)l->source->text.data[end]))
                end++;
        l->at = end;
        return text_slice(l->source->text, from, end);
}

/* Names that other programs, or people, give to properties; NULL: it is none of them. */
static const char *meant_property(struct text name) {
        static const char *const table[][2] = {
                {"severity", "syslogseverity"},
                {"priority", "syslogpriority"},
                {"facility", "syslogfacility"},
                {"host", "hostname"},
                {"program", "programname"},
                {"process", "programname"},
                {"message", "msg"},
                {"tag", "syslogtag"},
                {"ip", "fromhost-ip"},
                {"pid", "procid"},
                {"timestamp", "timereported"},
                {"time", "timereported"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (text_equal_nocase(name, text_of(table[i][0])))
                        return table[i][1];
        return NULL;
}

static struct expr *parse_property(struct loader *l) {
        size_t at = l->at;
        struct place place = loader_place(l, at);
        char scope;
        struct text name = take_variable(l, &scope);
        bool is_whole_tree_text = scope == '!' && (text_equal_nocase(name, TEXT("all-json")) ||
                                                   text_equal_nocase(name, TEXT("all-json-plain")));
        struct expr *e = expr_new(l, scope && !is_whole_tree_text ? EXPR_VARIABLE : EXPR_PROPERTY, place);
        if (!e)
                return NULL;
        if (is_whole_tree_text)
                name = text_slice(l->source->text, at, l->at);
        e->scope = is_whole_tree_text ? 0 : scope;
        e->string = loader_text(l, name);
        if (!e->string.data)
                return NULL;
        if (scope)
                return e;
        const char *closest = NULL;
        if (name.size && (!l->options->property_is_known || l->options->property_is_known(name, &closest)))
                return e;
        const char *meant = meant_property(name);
        complain(l, place, l->at - at, CODE_SYNTAX, did_you_mean(l, meant ? meant : closest), "invalid property '%.*s'",
                 TEXT_ARGS(text_slice(name, 0, 200)));
        return NULL;
}

struct expr *parse_variable(struct loader *l, const char *statement) {
        size_t at = l->at;
        if (lex_peek(l, 0) != '$') {
                complain(l, loader_place(l, at), MAX(lex_word(l).size, (size_t)1), CODE_SYNTAX,
                         "variables are written $!name, $.name or $/name", "a variable is expected behind '%s'",
                         statement);
                return NULL;
        }
        char scope;
        struct text name = take_variable(l, &scope);
        if (!scope) {
                complain(l, loader_place(l, at), l->at - at, CODE_SYNTAX,
                         "only variables can be changed: $!name, $.name or $/name",
                         "invalid variable '%.*s' in %s statement.", TEXT_ARGS(text_slice(name, 0, 200)), statement);
                return NULL;
        }
        struct expr *e = expr_new(l, EXPR_VARIABLE, loader_place(l, at));
        if (!e)
                return NULL;
        e->scope = scope;
        e->string = loader_text(l, name);
        return e->string.data ? e : NULL;
}

static struct expr *parse_number(struct loader *l) {
        size_t at = l->at, size = 0;
        while (is_name_byte(lex_peek(l, size)))
                size++;
        struct text digits = text_slice(l->source->text, at, at + size);
        static const struct param any = {.type = PARAM_TYPE_INT, .name = "number"};
        int64_t number = 0;
        _owned_(buffer_fini) struct buffer complaint = {0};
        l->at += size;
        if (settings_set(&number, &any, &(struct param_value){.items = &digits, .count = 1}, &complaint)) {
                complain(l, loader_place(l, at), size, CODE_SYNTAX, "text stands in quotes",
                         "'%.*s' is no number that can be used here", TEXT_ARGS(text_slice(digits, 0, 60)));
                return NULL;
        }
        struct expr *e = expr_new(l, EXPR_NUMBER, loader_place(l, at));
        if (e)
                e->number = number;
        return e;
}

static struct expr *parse_string(struct loader *l) {
        struct expr *e = expr_new(l, EXPR_STRING, loader_place(l, l->at));
        return e && lex_string(l, STRING_IN_EXPRESSION, &e->string) ? e : NULL;
}

/* Elements that have been read, on their way into the arena. */
struct gathering {
        struct expr **items;
        uint32_t count, capacity;
};

static void gathering_drop(struct gathering *g) {
        memory_free_owned(&g->items);
}
OWNED_VALUE(struct gathering, gathering_drop);

static bool gather(struct loader *l, struct gathering *g, struct expr *item) {
        if (!item)
                return false;
        if (!ARRAY_ROOM(g->items, g->count, g->capacity, 8)) {
                l->failure = -ENOMEM;
                return false;
        }
        g->items[g->count++] = item;
        return true;
}

static struct expr *settle(struct loader *l, struct expr *e, const struct gathering *g) {
        e->args = loader_alloc(l, (g->count + 1) * sizeof *e->args);
        if (!e->args)
                return NULL;
        if (g->count)
                memcpy(e->args, g->items, g->count * sizeof *e->args);
        e->count = g->count;
        return e;
}

static struct expr *parse_array(struct loader *l) {
        struct place opened = loader_place(l, l->at);
        struct expr *e = expr_new(l, EXPR_ARRAY, opened);
        _owned_(gathering_drop) struct gathering g = {0};
        l->at++;
        for (;;) {
                lex_blank(l);
                int c = lex_peek(l, 0);
                if (c == ']' && g.count == 0)
                        break;
                if (c != '"' && c != '\'' && c != '`' && !(c >= '0' && c <= '9')) {
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, "an array holds strings: [\"a\", \"b\"]",
                                 "a string is expected in the array");
                        return NULL;
                }
                if (!gather(l, &g, c >= '0' && c <= '9' ? parse_number(l) : parse_string(l)))
                        return NULL;
                if (g.count > ARRAY_ITEMS_MAX) {
                        complain(l, opened, 1, CODE_SYNTAX, NULL, "an array has at most %d elements", ARRAY_ITEMS_MAX);
                        return NULL;
                }
                lex_blank(l);
                if (lex_take(l, ','))
                        continue;
                if (lex_peek(l, 0) == ']')
                        break;
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL, "`,` or `]` is expected in the array");
                return NULL;
        }
        l->at++;
        return e ? settle(l, e, &g) : NULL;
}

/* ---- Functions ---------------------------------------------------------------- */

static const char *closest_function(struct loader *l, struct text name);

static bool check_arguments(struct loader *l, const struct expr *e, struct text name) {
        const struct function_signature *f = function_signature_find(name);
        if (!f) {
                complain(l, e->place, name.size, CODE_SYNTAX, closest_function(l, name), "function '%.*s' not found",
                         TEXT_ARGS(text_slice(name, 0, 200)));
                return false;
        }
        if (e->count >= f->arguments_min && e->count <= f->arguments_max)
                return true;
        if (f->arguments_min == f->arguments_max)
                complain(l, e->place, name.size, CODE_SYNTAX, NULL,
                         "number of parameters for %s() must be %u but is %u.", f->name, f->arguments_min, e->count);
        else
                complain(l, e->place, name.size, CODE_SYNTAX, NULL,
                         "number of parameters for %s() must be %u to %u but is %u.", f->name, f->arguments_min,
                         f->arguments_max, e->count);
        return false;
}

/* exec_template("x") needs the template; it may come later in the file, so it is checked at the end. */
static void note_template(struct loader *l, const struct expr *e) {
        if (!text_equal(e->string, TEXT("exec_template")) || e->count != 1 || e->args[0]->kind != EXPR_STRING)
                return;
        struct reference *r = loader_alloc(l, sizeof *r);
        if (!r)
                return;
        *r = (struct reference){.name = e->args[0]->string, .place = e->args[0]->place, .next = l->template_references};
        l->template_references = r;
}

static struct expr *parse_function(struct loader *l) {
        struct text name = lex_word(l);
        struct expr *e = expr_new(l, EXPR_FUNCTION, loader_place(l, l->at));
        if (!e)
                return NULL;
        size_t at = l->at;
        l->at += name.size;
        lex_blank(l);
        if (!lex_take(l, '(')) {
                bool is_path = at > 0 && l->source->text.data[at - 1] == '/';
                complain(l, e->place, name.size, CODE_SYNTAX,
                         is_path ? "is `then` missing before the path?"
                                 : "text stands in quotes, a property begins with $, a function is followed by (",
                         "invalid word '%.*s' in expression", TEXT_ARGS(text_slice(name, 0, 200)));
                return NULL;
        }
        _owned_(gathering_drop) struct gathering g = {0};
        lex_blank(l);
        while (!lex_take(l, ')')) {
                if (!gather(l, &g, parse_expression(l)))
                        return NULL;
                lex_blank(l);
                int c = lex_peek(l, 0);
                if (g.count > ARGUMENTS_MAX || (c != ',' && c != ')')) {
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL,
                                 "`,` or `)` is expected behind an argument of %.*s()", TEXT_ARGS(name));
                        return NULL;
                }
                if (c == ',')
                        l->at++;
                lex_blank(l);
        }
        struct text lower = loader_text(l, text_slice(l->source->text, at, at + name.size));
        for (size_t i = 0; i < lower.size && lower.data; i++)
                if (lower.data[i] >= 'A' && lower.data[i] <= 'Z')
                        ((char *)lower.data)[i] |= 32;
        e->string = lower;
        if (!lower.data || !settle(l, e, &g) || !check_arguments(l, e, lower))
                return NULL;
        note_template(l, e);
        return e;
}

/* ---- Levels -------------------------------------------------------------------- */

/*
 * Behind a whole value, a word that is no operator: who wrote it meant one, so the
 * closest is named; what other languages and property filters have is shown in this one.
 */
const char *operator_hint(struct loader *l) {
        static const char *const words[] = {"contains", "contains_i", "startswith", "startswith_i",
                                            "endswith", "and",        "or",         "then"};
        static const char *const filter_words[] = {"isequal", "isempty", "regex", "ereregex"};
        static const char *const instead[] = {"write == to compare", "write == \"\" to compare",
                                              "write re_match($property, \"expression\")",
                                              "write re_match($property, \"expression\")"};
        struct text word = lex_word(l), rest = lex_rest(l);
        if (text_starts(rest, TEXT("=")))
                return l->at > 0 && l->source->text.data[l->at - 1] == '!'
                               ? "names of variables may have a ! in them: put a blank before !="
                               : "write == to compare";
        if (text_starts(rest, TEXT("&&")))
                return "write `and`";
        if (text_starts(rest, TEXT("||")))
                return "write `or`";
        if (word.size == 0)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(filter_words); i++)
                if (text_equal_nocase(word, text_of(filter_words[i])))
                        return instead[i];
        const char *closest = text_closest(word, words, ARRAY_SIZE(words));
        return closest && !text_equal_nocase(word, text_of(closest)) ? did_you_mean(l, closest) : NULL;
}

static struct expr *parse_or(struct loader *l);

static struct expr *parse_parentheses(struct loader *l) {
        size_t at = l->at++;
        struct expr *e = parse_or(l);
        if (!e)
                return NULL;
        lex_blank(l);
        if (lex_take(l, ')'))
                return e;
        complain(l, loader_place(l, l->at), MAX(lex_word(l).size, (size_t)1), CODE_SYNTAX, operator_hint(l),
                 "`)` is expected: the parenthesis of column %u is still open", loader_place(l, at).column);
        return NULL;
}

static struct expr *parse_primary(struct loader *l) {
        lex_blank(l);
        int c = lex_peek(l, 0);
        if (c == '(')
                return parse_parentheses(l);
        if (c == '"' || c == '\'' || c == '`')
                return parse_string(l);
        if (c == '$')
                return parse_property(l);
        if (c == '[')
                return parse_array(l);
        if (c >= '0' && c <= '9')
                return parse_number(l);
        struct text word = lex_word(l);
        bool is_end = text_equal_nocase(word, TEXT("then")) || text_equal_nocase(word, TEXT("do"));
        if (word.size && !is_end)
                return parse_function(l);
        const char *mistaken = mistaken_character(l);
        if (c < 0)
                complain(l, loader_place(l, l->at), 0, CODE_SYNTAX, NULL, "the file ends within an expression");
        else if (is_end)
                complain(l, loader_place(l, l->at), word.size, CODE_SYNTAX, "a value is missing before it",
                         "syntax error on token '%.*s'", TEXT_ARGS(word));
        else
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX,
                         mistaken ? mistaken : "a string, a number, a $property, a function or ( is expected here",
                         "invalid character '%c' in expression - is there an invalid escape sequence somewhere?",
                         c >= 32 && c < 127 ? c : '?');
        return NULL;
}

static struct expr *parse_unary(struct loader *l) {
        lex_blank(l);
        struct place place = loader_place(l, l->at);
        enum operator op = OP_NONE;
        if (lex_take(l, '-'))
                op = OP_NEGATE;
        else if (lex_take_word(l, "not"))
                op = OP_NOT;
        if (op == OP_NONE)
                return parse_primary(l);
        if (++l->nesting > NESTING_MAX) {
                complain(l, place, 1, CODE_SYNTAX, NULL, "this expression is nested too deep, %d levels are the most",
                         NESTING_MAX);
                l->nesting--;
                return NULL;
        }
        struct expr *operand = parse_unary(l);
        l->nesting--;
        return operand ? expr_unary(l, op, operand, place) : NULL;
}

static enum operator take_operator(struct loader *l, const struct operator_word *table, size_t count) {
        lex_blank(l);
        for (size_t i = 0; i < count; i++) {
                struct text word = text_of(table[i].word);
                if (!text_starts(lex_rest(l), word))
                        continue;
                l->at += word.size;
                return table[i].op;
        }
        return OP_NONE;
}

static struct expr *parse_product(struct loader *l) {
        struct expr *left = parse_unary(l);
        for (enum operator op; left && (op = take_operator(l, products, ARRAY_SIZE(products))) != OP_NONE;) {
                struct expr *right = parse_unary(l);
                left = right ? expr_binary(l, op, left, right) : NULL;
        }
        return left;
}

static struct expr *parse_sum(struct loader *l) {
        struct expr *left = parse_product(l);
        for (;;) {
                if (!left)
                        return NULL;
                lex_blank(l);
                if (text_starts(lex_rest(l), TEXT("&&")))
                        return left;
                enum operator op = take_operator(l, sums, ARRAY_SIZE(sums));
                if (op == OP_NONE)
                        return left;
                struct expr *right = parse_product(l);
                left = right ? expr_binary(l, op, left, right) : NULL;
        }
}

static enum operator take_comparison(struct loader *l) {
        enum operator op = take_operator(l, comparisons, ARRAY_SIZE(comparisons));
        if (op != OP_NONE)
                return op;
        struct text word = lex_word(l);
        for (size_t i = 0; i < ARRAY_SIZE(comparison_words); i++)
                if (text_equal_nocase(word, text_of(comparison_words[i].word))) {
                        l->at += word.size;
                        return comparison_words[i].op;
                }
        return OP_NONE;
}

static struct expr *parse_comparison(struct loader *l) {
        struct expr *left = parse_sum(l);
        for (enum operator op; left && (op = take_comparison(l)) != OP_NONE;) {
                struct expr *right = parse_sum(l);
                left = right ? expr_binary(l, op, left, right) : NULL;
        }
        return left;
}

static struct expr *parse_or_here(struct loader *l) {
        struct expr *left = parse_comparison(l);
        while (left) {
                lex_blank(l);
                enum operator op = lex_take_word(l, "and") ? OP_AND : lex_take_word(l, "or") ? OP_OR : OP_NONE;
                if (op == OP_NONE)
                        return left;
                struct expr *right = parse_comparison(l);
                left = right ? expr_binary(l, op, left, right) : NULL;
        }
        return NULL;
}

static struct expr *parse_or(struct loader *l) {
        if (l->nesting >= NESTING_MAX) {
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL,
                         "this expression is nested too deep, %d levels are the most", NESTING_MAX);
                return NULL;
        }
        l->nesting++;
        struct expr *e = parse_or_here(l);
        l->nesting--;
        return e;
}

struct expr *parse_expression(struct loader *l) {
        /* An argument of a function counts for the whole expression. */
        bool is_whole = l->expressions++ == 0;
        if (is_whole)
                l->operators = 0;
        struct expr *e = parse_or(l);
        l->expressions--;
        return e;
}

/* ---- The functions there are ------------------------------------------------------ */

static const struct function_signature functions[] = {
        {"append_json", 2, 3, NULL},
        {"b64_decode", 1, 1, NULL},
        {"cbool", 1, 1, NULL},
        {"cef_ext_escape", 1, 1, NULL},
        {"cnum", 1, 1, NULL},
        {"cstr", 1, 1, NULL},
        {"dyn_inc", 2, 2, NULL},
        {"exec_template", 1, 1, NULL},
        {"exists", 1, 1, NULL},
        {"faup", 1, 1, "fmfaup"},
        {"field", 3, 3, NULL},
        {"format_time", 2, 2, NULL},
        {"get_property", 2, 2, NULL},
        {"getenv", 1, 1, NULL},
        {"hash32", 1, 2, "fmhash"},
        {"hash32mod", 2, 3, "fmhash"},
        {"hash64", 1, 2, "fmhash"},
        {"hash64mod", 2, 3, "fmhash"},
        {"http_request", 1, 3, "fmhttp"},
        {"int2hex", 1, 1, NULL},
        {"ip42num", 1, 1, NULL},
        {"ipv42num", 1, 1, NULL},
        {"is_in_subnet", 2, 2, NULL},
        {"is_time", 1, 2, NULL},
        {"lookup", 2, 2, NULL},
        {"ltrim", 1, 1, NULL},
        {"num2ipv4", 1, 1, NULL},
        {"parse_json", 2, 2, NULL},
        {"parse_time", 1, 2, NULL},
        {"parse_time_localtz", 1, 2, NULL},
        {"pcre_match", 2, 2, "fmpcre"},
        {"percentile_observe", 3, 3, NULL},
        {"previous_action_suspended", 0, 0, NULL},
        {"prifilt", 1, 1, NULL},
        {"random", 1, 1, NULL},
        {"re_extract", 5, 5, NULL},
        {"re_extract_i", 5, 5, NULL},
        {"re_match", 2, 2, NULL},
        {"re_match_i", 2, 2, NULL},
        {"replace", 3, 3, NULL},
        {"rtrim", 1, 1, NULL},
        {"script_error", 0, 0, NULL},
        {"split", 2, 2, NULL},
        {"strlen", 1, 1, NULL},
        {"substring", 3, 3, NULL},
        {"tocef", 8, 8, NULL},
        {"tolower", 1, 1, NULL},
        {"toupper", 1, 1, NULL},
        {"unflatten", 2, 2, "fmunflatten"},
        {"wrap", 2, 3, NULL},
};

const struct function_signature *function_signature_find(struct text name) {
        static const struct function_signature faup_part = {"faup_*", 1, 1, "fmfaup"};
        size_t low = 0, high = ARRAY_SIZE(functions);
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = text_compare(name, text_of(functions[middle].name));
                if (order == 0)
                        return &functions[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return text_starts(name, TEXT("faup_")) ? &faup_part : NULL;
}

static const char *closest_function(struct loader *l, struct text name) {
        unsigned best = (unsigned)(name.size + 2) / 3 + 1;
        const char *found = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
                unsigned distance = text_distance(name, text_of(functions[i].name));
                if (distance < best) {
                        best = distance;
                        found = functions[i].name;
                }
        }
        return did_you_mean(l, found);
}
