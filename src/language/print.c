/*
 * Trees back to text, in the new form whatever the old one was.
 */
#include "language/tree.h"

#include "module/settings.h"

/* ---- Expressions ---------------------------------------------------------------------- */

static const struct {
        const char *word;
        int level; /* binds tighter the higher; 0: no binary operator */
} operators[] = {
        [OP_OR] = {"or", 1},
        [OP_AND] = {"and", 1},
        [OP_EQUAL] = {"==", 2},
        [OP_NOT_EQUAL] = {"!=", 2},
        [OP_LESS] = {"<", 2},
        [OP_LESS_EQUAL] = {"<=", 2},
        [OP_GREATER] = {">", 2},
        [OP_GREATER_EQUAL] = {">=", 2},
        [OP_CONTAINS] = {"contains", 2},
        [OP_CONTAINS_NOCASE] = {"contains_i", 2},
        [OP_STARTS] = {"startswith", 2},
        [OP_STARTS_NOCASE] = {"startswith_i", 2},
        [OP_ENDS] = {"endswith", 2},
        [OP_ADD] = {"+", 3},
        [OP_SUBTRACT] = {"-", 3},
        [OP_CONCAT] = {"&", 3},
        [OP_MULTIPLY] = {"*", 4},
        [OP_DIVIDE] = {"/", 4},
        [OP_MODULO] = {"%", 4},
        [OP_NOT] = {"not", 5},
        [OP_NEGATE] = {"-", 5},
};

static void print_string(struct buffer *out, struct text t, char quote) {
        buffer_byte(out, quote);
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (c == (unsigned char)quote || c == '\\')
                        buffer_byte(out, '\\');
                if (c == '\n')
                        buffer_text(out, TEXT("\\n"));
                else if (c < 32 || c == 127)
                        buffer_format(out, "\\%03o", c);
                else
                        buffer_byte(out, (char)c);
        }
        buffer_byte(out, quote);
}

static void print_at(struct buffer *out, const struct expr *e, int level);

static void print_list(struct buffer *out, const struct expr *e, char open, char close) {
        buffer_byte(out, open);
        for (uint32_t i = 0; i < e->count; i++) {
                if (i)
                        buffer_text(out, TEXT(", "));
                print_at(out, e->args[i], 0);
        }
        buffer_byte(out, close);
}

static void print_binary(struct buffer *out, const struct expr *e, int level) {
        int own = operators[e->op].level;
        if (own < level)
                buffer_byte(out, '(');
        /* "and" and "or" bind alike here, which few expect, so that a mixture is always shown. */
        bool is_mixed = own == 1 && e->args[0]->kind == EXPR_BINARY && e->args[0]->op != e->op;
        print_at(out, e->args[0], own + is_mixed);
        buffer_format(out, " %s ", operators[e->op].word);
        /* To the left alone operators group by themselves. */
        print_at(out, e->args[1], own + 1);
        if (own < level)
                buffer_byte(out, ')');
}

/* With parentheses where the surroundings bind tighter than `level`. */
static void print_at(struct buffer *out, const struct expr *e, int level) {
        switch (e->kind) {
        case EXPR_STRING:
                print_string(out, e->string, '\'');
                break;
        case EXPR_NUMBER:
                buffer_int(out, e->number);
                break;
        case EXPR_ARRAY:
                print_list(out, e, '[', ']');
                break;
        case EXPR_PROPERTY:
                if (e->string.size == 0 || e->string.data[0] != '$')
                        buffer_byte(out, '$');
                buffer_text(out, e->string);
                break;
        case EXPR_VARIABLE:
                buffer_byte(out, '$');
                buffer_byte(out, e->scope);
                buffer_text(out, e->string);
                break;
        case EXPR_FUNCTION:
                buffer_text(out, e->string);
                print_list(out, e, '(', ')');
                break;
        case EXPR_UNARY:
                buffer_text(out, e->op == OP_NOT ? TEXT("not ") : TEXT("-"));
                print_at(out, e->args[0], operators[e->op].level);
                break;
        case EXPR_BINARY:
                print_binary(out, e, level);
                break;
        }
}

void expr_print(struct buffer *out, const struct expr *e) {
        print_at(out, e, 0);
}

/* ---- Objects ---------------------------------------------------------------------------- */

static bool is_secret(const struct param *params, struct text name) {
        const struct param *p = params ? param_find(params, name) : NULL;
        return p && (p->flags & PARAM_IS_SECRET);
}

static void print_assignment(struct buffer *out, const struct assignment *a, bool is_masked) {
        buffer_byte(out, ' ');
        buffer_text(out, a->name);
        buffer_byte(out, '=');
        if (is_masked) {
                buffer_text(out, TEXT("\"*****\""));
                return;
        }
        if (!a->is_array && a->count == 1) {
                print_string(out, a->items[0], '"');
                return;
        }
        buffer_byte(out, '[');
        for (uint32_t i = 0; i < a->count; i++) {
                if (i)
                        buffer_text(out, TEXT(", "));
                print_string(out, a->items[i], '"');
        }
        buffer_byte(out, ']');
}

void assignments_print(struct buffer *out, const struct assignment *list, const struct param *params,
                       enum secrets secrets) {
        for (const struct assignment *a = list; a; a = a->next)
                print_assignment(out, a, secrets == SECRETS_MASKED && is_secret(params, a->name));
}

void object_print(struct buffer *out, const char *kind, const struct object *o, enum secrets secrets) {
        buffer_format(out, "%s(type=\"%s\"", kind, o->module->name);
        for (const struct assignment *a = o->assignments; a; a = a->next)
                if (!text_equal_nocase(a->name, TEXT("type")))
                        print_assignment(out, a,
                                         secrets == SECRETS_MASKED && is_secret(o->module->settings.params, a->name));
        buffer_byte(out, ')');
}

/* ---- Statements -------------------------------------------------------------------------- */

static void indent(struct buffer *out, unsigned depth) {
        while (depth--)
                buffer_text(out, TEXT("    "));
}

static void print_block(struct buffer *out, const struct statement *body, unsigned depth, enum secrets secrets) {
        buffer_text(out, TEXT("{\n"));
        statements_print(out, body, depth + 1, secrets);
        indent(out, depth);
        buffer_byte(out, '}');
}

/* ".info", ".*", ".none", or ".=err" and its like for each severity, all behind the same facilities. */
static void print_part(struct buffer *out, struct text facilities, uint8_t bits) {
        unsigned highest = bits ? 31u - (unsigned)__builtin_clz(bits) : 0;
        if (bits == 0)
                buffer_format(out, ";%.*s.none", TEXT_ARGS(facilities));
        else if (bits == PRIORITIES_ALL)
                buffer_format(out, ";%.*s.*", TEXT_ARGS(facilities));
        else if (bits == (uint8_t)((2u << highest) - 1))
                buffer_format(out, ";%.*s.%s", TEXT_ARGS(facilities), severity_name(highest));
        else
                for (unsigned i = 0; i < 8; i++)
                        if (bits & (1u << i))
                                buffer_format(out, ";%.*s.=%s", TEXT_ARGS(facilities), severity_name(i));
}

static unsigned count_bits(const struct statement *s, uint8_t bits) {
        unsigned count = 0;
        for (unsigned f = 0; f <= FACILITIES; f++)
                count += s->priorities[f] == bits;
        return count;
}

/* "*.info;mail,cron.none": what most facilities have, then the others in groups of the same. */
void selector_print(struct buffer *out, const struct statement *s) {
        uint8_t most = 0;
        for (unsigned f = 0; f <= FACILITIES; f++)
                if (count_bits(s, s->priorities[f]) > count_bits(s, most))
                        most = s->priorities[f];
        struct buffer parts = {0}, names = {0};
        if (most)
                print_part(&parts, TEXT("*"), most);
        bool is_done[FACILITIES + 1] = {0};
        for (unsigned f = 0; f <= FACILITIES; f++) {
                uint8_t bits = s->priorities[f];
                if (is_done[f] || bits == most)
                        continue;
                buffer_clear(&names);
                for (unsigned g = f; g <= FACILITIES; g++) {
                        if (s->priorities[g] != bits)
                                continue;
                        is_done[g] = true;
                        buffer_format(&names, "%s%s", names.size ? "," : "",
                                      g < FACILITIES ? facility_name(g) : "mark");
                }
                /* A part adds bits, so that what "*" gave must go first. */
                if (most && bits)
                        print_part(&parts, buffer_as_text(&names), 0);
                print_part(&parts, buffer_as_text(&names), bits);
        }
        buffer_text(out, parts.size ? text_slice(buffer_as_text(&parts), 1, parts.size) : TEXT("*.none"));
        buffer_fini(&parts);
        buffer_fini(&names);
}

void property_filter_print(struct buffer *out, const struct statement *s) {
        static const char *const words[] = {
                [COMPARE_CONTAINS] = "contains", [COMPARE_EQUAL] = "isequal", [COMPARE_EMPTY] = "isempty",
                [COMPARE_STARTS] = "startswith", [COMPARE_ENDS] = "endswith", [COMPARE_REGEX] = "regex",
                [COMPARE_EREGEX] = "ereregex"};
        buffer_format(out, ":%.*s, %s%s, ", TEXT_ARGS(s->property), s->is_negated ? "!" : "", words[s->comparison]);
        print_string(out, s->pattern, '"');
}

static void print_change(struct buffer *out, const char *word, const struct statement *s) {
        buffer_format(out, "%s ", word);
        expr_print(out, s->variable);
        if (s->value) {
                buffer_text(out, TEXT(" = "));
                expr_print(out, s->value);
        }
        buffer_byte(out, ';');
}

static void print_if(struct buffer *out, const struct statement *s, unsigned depth, enum secrets secrets) {
        for (;;) {
                buffer_text(out, TEXT("if "));
                expr_print(out, s->condition);
                buffer_text(out, TEXT(" then "));
                print_block(out, s->body, depth, secrets);
                const struct statement *other = s->otherwise;
                if (!other)
                        return;
                buffer_text(out, TEXT(" else "));
                if (other->kind != STATEMENT_IF || other->next) {
                        print_block(out, other, depth, secrets);
                        return;
                }
                s = other;
        }
}

static void print_foreach(struct buffer *out, const struct statement *s, unsigned depth, enum secrets secrets) {
        buffer_text(out, TEXT("foreach ("));
        expr_print(out, s->variable);
        buffer_text(out, TEXT(" in "));
        expr_print(out, s->condition);
        buffer_text(out, TEXT(") do "));
        print_block(out, s->body, depth, secrets);
}

static void print_statement(struct buffer *out, const struct statement *s, unsigned depth, enum secrets secrets) {
        switch (s->kind) {
        case STATEMENT_ACTION:
                object_print(out, "action", s->action, secrets);
                break;
        case STATEMENT_IF:
                print_if(out, s, depth, secrets);
                break;
        case STATEMENT_SELECTOR:
                selector_print(out, s);
                buffer_byte(out, ' ');
                print_block(out, s->body, depth, secrets);
                break;
        case STATEMENT_PROPERTY:
                property_filter_print(out, s);
                buffer_byte(out, ' ');
                print_block(out, s->body, depth, secrets);
                break;
        case STATEMENT_SET:
                print_change(out, "set", s);
                break;
        case STATEMENT_RESET:
                print_change(out, "reset", s);
                break;
        case STATEMENT_UNSET:
                print_change(out, "unset", s);
                break;
        case STATEMENT_CALL:
                buffer_format(out, "call %.*s", TEXT_ARGS(s->name));
                break;
        case STATEMENT_CALL_INDIRECT:
                buffer_text(out, TEXT("call_indirect "));
                expr_print(out, s->condition);
                buffer_byte(out, ';');
                break;
        case STATEMENT_FOREACH:
                print_foreach(out, s, depth, secrets);
                break;
        case STATEMENT_STOP:
                buffer_text(out, TEXT("stop"));
                break;
        case STATEMENT_CONTINUE:
                buffer_text(out, TEXT("continue"));
                break;
        case STATEMENT_RELOAD_LOOKUP:
                buffer_text(out, TEXT("reload_lookup_table("));
                print_string(out, s->name, '"');
                if (s->value) {
                        buffer_text(out, TEXT(", "));
                        expr_print(out, s->value);
                }
                buffer_byte(out, ')');
                break;
        }
}

const char *statement_name(enum statement_kind kind) {
        static const char *const names[] = {
                [STATEMENT_ACTION] = "action",
                [STATEMENT_IF] = "filter",
                [STATEMENT_SELECTOR] = "filter",
                [STATEMENT_PROPERTY] = "filter",
                [STATEMENT_SET] = "set",
                [STATEMENT_RESET] = "reset",
                [STATEMENT_UNSET] = "unset",
                [STATEMENT_CALL] = "call",
                [STATEMENT_CALL_INDIRECT] = "call_indirect",
                [STATEMENT_FOREACH] = "foreach",
                [STATEMENT_STOP] = "stop",
                [STATEMENT_CONTINUE] = "continue",
                [STATEMENT_RELOAD_LOOKUP] = "reload_lookup_table",
        };
        return names[kind];
}

void statements_print(struct buffer *out, const struct statement *statements, unsigned depth, enum secrets secrets) {
        for (const struct statement *s = statements; s; s = s->next) {
                indent(out, depth);
                print_statement(out, s, depth, secrets);
                buffer_byte(out, '\n');
        }
}
