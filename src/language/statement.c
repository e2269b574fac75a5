/*
 * Statements: what a ruleset does with a message, in all forms that may stand
 * beside one another in one file.
 *
 * A wrong statement is left out with everything that hangs on it, reported once,
 * and reading goes on at the next line that looks like a beginning.
 */
#include "language/loader.h"

#include <string.h>

static void parse_chain(struct loader *l, struct statement **ret, bool is_action_place);

struct statement *statement_new(struct loader *l, enum statement_kind kind, struct place place) {
        struct statement *s = loader_alloc(l, sizeof *s);
        if (!s)
                return NULL;
        s->kind = kind;
        s->place = place;
        return s;
}

/* ---- Blocks --------------------------------------------------------------------------- */

bool nesting_enter(struct loader *l) {
        if (l->nesting < NESTING_MAX) {
                l->nesting++;
                return true;
        }
        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL, "blocks are nested too deep, %d levels are the most",
                 NESTING_MAX);
        l->at = l->source->text.size;
        return false;
}

static struct statement **skip_to_tail(struct statement **tail) {
        while (*tail)
                tail = &(*tail)->next;
        return tail;
}

void parse_block(struct loader *l, struct statement **ret, struct place opened) {
        *ret = NULL;
        if (!nesting_enter(l))
                return;
        l->blocks++;
        struct statement **tail = ret;
        for (;;) {
                if (!lex_blank_between(l)) {
                        complain(l, opened, 1, CODE_SYNTAX, NULL, "this block is not closed: `}` is missing");
                        break;
                }
                if (lex_take(l, '}'))
                        break;
                parse_chain(l, tail, false);
                tail = skip_to_tail(tail);
        }
        l->blocks--;
        l->nesting--;
}

void parse_all(struct loader *l, struct statement **ret) {
        *ret = NULL;
        if (!nesting_enter(l))
                return;
        for (struct statement **tail = ret; lex_blank_between(l); tail = skip_to_tail(tail))
                parse_chain(l, tail, false);
        l->nesting--;
}

/* What hangs on a filter: a block or one statement (with what `&` adds to it). */
static void parse_body(struct loader *l, struct statement **ret) {
        *ret = NULL;
        struct place place = loader_place(l, l->at);
        if (!lex_blank_between(l)) {
                complain(l, place, 0, CODE_SYNTAX, NULL, "the file ends where an action is expected");
                return;
        }
        place = loader_place(l, l->at);
        if (lex_take(l, '{')) {
                parse_block(l, ret, place);
                return;
        }
        if (!nesting_enter(l))
                return;
        parse_chain(l, ret, true);
        l->nesting--;
}

/* Expressions look ahead for operators; what is missing is missed behind their last byte. */
static size_t behind_last(const struct loader *l) {
        size_t at = l->at;
        while (at > 0 && strchr(" \t\r\n", l->source->text.data[at - 1]))
                at--;
        return at;
}

static void require_semicolon(struct loader *l, const char *statement) {
        size_t end = behind_last(l);
        lex_blank(l);
        if (lex_take(l, ';'))
                return;
        bool is_same_line = text_find(text_slice(l->source->text, end, l->at), TEXT("\n")) < 0;
        const char *hint = is_same_line ? operator_hint(l) : NULL;
        if (hint) {
                complain(l, loader_place(l, l->at), lex_word(l).size, CODE_SYNTAX, hint, "syntax error on token '%.*s'",
                         TEXT_ARGS(text_slice(lex_word(l), 0, 100)));
                lex_resync(l);
                return;
        }
        complain(l, loader_place(l, end), 1, CODE_SYNTAX, NULL, "`;` is missing behind the %s statement", statement);
}

/* ---- if and foreach --------------------------------------------------------------------- */

static bool take_then(struct loader *l) {
        size_t end = behind_last(l);
        lex_blank(l);
        if (lex_take_word(l, "then"))
                return true;
        struct text rest = lex_rest(l);
        const char *meant = operator_hint(l);
        const char *hint = meant ? meant : "behind the condition follows `then`";
        struct text word = lex_word(l);
        struct place place = loader_place(l, text_starts(rest, TEXT("{")) || rest.size == 0 ? end : l->at);
        if (word.size == 0)
                word = text_slice(rest, 0, 1);
        complain(l, place, MAX(word.size, (size_t)1), CODE_SYNTAX, hint, "syntax error on token '%.*s'",
                 TEXT_ARGS(text_slice(word, 0, 100)));
        return false;
}

/* Behind "if" (or "else if"): condition, then, body. False: broken, and the reader is set on. */
static bool parse_condition(struct loader *l, struct statement *s) {
        s->condition = parse_expression(l);
        bool is_right = s->condition != NULL;
        if (is_right && !take_then(l))
                is_right = false;
        else if (is_right) {
                parse_body(l, &s->body);
                return true;
        }
        /* A wrong condition still has a body: it is read, so that its mistakes are found, and dropped. */
        struct text line = lex_line(l);
        ptrdiff_t then = text_find(line, TEXT(" then"));
        if (then >= 0 && text_trim(text_slice(line, (size_t)then + 5, line.size)).size) {
                l->at += (size_t)then + 5;
                l->skipping++;
                parse_body(l, &s->body);
                l->skipping--;
                return false;
        }
        ptrdiff_t brace = text_find(line, TEXT("{"));
        if (brace >= 0) {
                l->at += (size_t)brace;
                l->skipping++;
                parse_body(l, &s->body);
                l->skipping--;
                return false;
        }
        lex_resync(l);
        return false;
}

static bool peek_word(struct loader *l, const char *word) {
        return text_equal_nocase(lex_word(l), text_of(word));
}

/* An else-if chain is a loop here and a list by `otherwise` in the tree. */
static void parse_if(struct loader *l, struct place place, struct statement **ret) {
        enum { ELSE_IF_MAX = 5000 };
        struct statement **link = ret;
        bool is_right = true;
        for (unsigned count = 0;; count++) {
                struct statement *s = statement_new(l, STATEMENT_IF, place);
                if (!s)
                        return;
                is_right &= parse_condition(l, s);
                *link = s;
                link = &s->otherwise;
                if (!lex_blank_between(l) || !peek_word(l, "else"))
                        break;
                l->at += 4;
                lex_blank(l);
                place = loader_place(l, l->at);
                if (!peek_word(l, "if")) {
                        parse_body(l, &s->otherwise);
                        break;
                }
                if (count == ELSE_IF_MAX) {
                        complain(l, place, 2, CODE_SYNTAX, NULL, "more than %d else-ifs hang together", ELSE_IF_MAX);
                        break;
                }
                l->at += 2;
        }
        if (!is_right)
                *ret = NULL;
}

static bool parse_iterator(struct loader *l, struct statement *s) {
        lex_blank(l);
        bool is_open = lex_take(l, '(');
        lex_blank(l);
        s->variable = parse_variable(l, "foreach");
        if (!s->variable)
                return false;
        lex_blank(l);
        if (!lex_take_word(l, "in")) {
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, "foreach ($.item in $!list) do { ... }",
                         "`in` is expected behind the variable of foreach");
                return false;
        }
        s->condition = parse_expression(l);
        lex_blank(l);
        if (!s->condition)
                return false;
        if (is_open && !lex_take(l, ')')) {
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL, "`)` is expected behind the collection");
                return false;
        }
        lex_blank(l);
        if (lex_take_word(l, "do"))
                return true;
        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, "foreach ($.item in $!list) do { ... }",
                 "`do` is expected behind the collection of foreach");
        return false;
}

static void parse_foreach(struct loader *l, struct place place, struct statement **ret) {
        struct statement *s = statement_new(l, STATEMENT_FOREACH, place);
        if (!s)
                return;
        if (!parse_iterator(l, s)) {
                lex_resync(l);
                return;
        }
        parse_body(l, &s->body);
        *ret = s;
}

/* ---- Small statements ------------------------------------------------------------------------ */

static void parse_set(struct loader *l, enum statement_kind kind, const char *word, struct place place,
                      struct statement **ret) {
        struct statement *s = statement_new(l, kind, place);
        lex_blank(l);
        if (!s || !(s->variable = parse_variable(l, word))) {
                lex_resync(l);
                return;
        }
        if (kind != STATEMENT_UNSET) {
                lex_blank(l);
                if (!lex_take(l, '=') || lex_peek(l, 0) == '=') {
                        bool is_comparison = lex_peek(l, 0) == '=';
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX,
                                 is_comparison ? "one = assigns, two compare" : NULL,
                                 "`=` is expected behind the variable");
                        lex_resync(l);
                        return;
                }
                s->value = parse_expression(l);
                if (!s->value) {
                        lex_resync(l);
                        return;
                }
        }
        require_semicolon(l, word);
        *ret = s;
}

static void parse_call(struct loader *l, struct place place, struct statement **ret) {
        struct statement *s = statement_new(l, STATEMENT_CALL, place);
        if (!s)
                return;
        lex_blank(l);
        int c = lex_peek(l, 0);
        if (c == '"' || c == '\'') {
                if (!lex_string(l, STRING_IN_EXPRESSION, &s->name))
                        return;
        } else {
                struct text name = lex_dotted_name(l);
                if (name.size == 0) {
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL,
                                 "the name of a ruleset is expected behind `call`");
                        lex_resync(l);
                        return;
                }
                l->at += name.size;
                s->name = loader_text(l, name);
        }
        lex_space(l);
        lex_take(l, ';');
        *ret = s;
}

static void parse_call_indirect(struct loader *l, struct place place, struct statement **ret) {
        struct statement *s = statement_new(l, STATEMENT_CALL_INDIRECT, place);
        if (!s || !(s->condition = parse_expression(l))) {
                lex_resync(l);
                return;
        }
        require_semicolon(l, "call_indirect");
        *ret = s;
}

static void parse_reload(struct loader *l, struct place place, struct statement **ret) {
        struct statement *s = statement_new(l, STATEMENT_RELOAD_LOOKUP, place);
        lex_blank(l);
        bool is_right = s && lex_take(l, '(');
        lex_blank(l);
        int c = lex_peek(l, 0);
        is_right = is_right && (c == '"' || c == '\'') && lex_string(l, STRING_IN_EXPRESSION, &s->name);
        lex_blank(l);
        if (is_right && lex_take(l, ',')) {
                s->value = parse_expression(l);
                is_right = s->value != NULL;
                lex_blank(l);
        }
        if (!is_right || !lex_take(l, ')')) {
                complain(l, place, 19, CODE_SYNTAX, "reload_lookup_table(\"table\") or (\"table\", \"stub value\")",
                         "wrong parameters for reload_lookup_table()");
                lex_resync(l);
                return;
        }
        lex_space(l);
        lex_take(l, ';');
        *ret = s;
}

static void parse_action_object(struct loader *l, struct place place, struct statement **ret) {
        lex_blank(l);
        l->at++; /* the parenthesis that made this an object */
        struct assignment *list = NULL;
        if (!parse_assignments(l, "action", place, &list) || !is_enabled(l, list))
                return;
        struct object *action = make_action(l, list, place, false);
        struct statement *s = action ? statement_new(l, STATEMENT_ACTION, place) : NULL;
        if (!s)
                return;
        s->action = action;
        *ret = s;
}

/* ---- Choosing ------------------------------------------------------------------------------------ */

static bool is_followed_by(struct loader *l, size_t size, char wanted) {
        size_t at = l->at;
        l->at += size;
        lex_blank(l);
        bool is_next = lex_peek(l, 0) == (unsigned char)wanted;
        l->at = at;
        return is_next;
}

/* Statements that begin with a word. False: the word is none of them. */
static bool parse_keyword(struct loader *l, struct text word, struct statement **ret) {
        static const char *const words[] = {"if",    "foreach", "set",      "reset",         "unset",
                                            "call",  "stop",    "continue", "call_indirect", "reload_lookup_table",
                                            "action"};
        enum { IF, FOREACH, SET, RESET, UNSET, CALL, STOP, CONTINUE, CALL_INDIRECT, RELOAD, ACTION };
        size_t which = 0;
        while (which < ARRAY_SIZE(words) && !text_equal_nocase(word, text_of(words[which])))
                which++;
        if (which == ARRAY_SIZE(words) || (which == ACTION && !is_followed_by(l, word.size, '(')))
                return false;
        struct place place = loader_place(l, l->at);
        l->at += word.size;
        switch (which) {
        case IF:
                parse_if(l, place, ret);
                break;
        case FOREACH:
                parse_foreach(l, place, ret);
                break;
        case SET:
                parse_set(l, STATEMENT_SET, "set", place, ret);
                break;
        case RESET:
                parse_set(l, STATEMENT_RESET, "reset", place, ret);
                break;
        case UNSET:
                parse_set(l, STATEMENT_UNSET, "unset", place, ret);
                break;
        case CALL:
                parse_call(l, place, ret);
                break;
        case STOP:
                *ret = statement_new(l, STATEMENT_STOP, place);
                break;
        case CONTINUE:
                *ret = statement_new(l, STATEMENT_CONTINUE, place);
                break;
        case CALL_INDIRECT:
                parse_call_indirect(l, place, ret);
                break;
        case RELOAD:
                parse_reload(l, place, ret);
                break;
        default:
                parse_action_object(l, place, ret);
        }
        return true;
}

/* Whether what begins here is an action, so that `&` may follow even where it is left out. */
static bool is_action_next(struct loader *l) {
        struct text word = lex_word(l);
        static const char *const words[] = {"action",        "call", "stop",  "continue",
                                            "call_indirect", "set",  "unset", "reset"};
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (text_equal_nocase(word, text_of(words[i])))
                        return true;
        return word.size == 0;
}

static void parse_filtered(struct loader *l, struct statement *s, struct statement **ret) {
        if (!s) {
                /* The filter is wrong; its action is read for its own mistakes, and dropped with it. */
                struct statement *dropped = NULL;
                size_t end = l->at + lex_line(l).size;
                lex_blank(l);
                /* Without one on its line, what follows is the next statement. */
                if (l->at >= end && lex_peek(l, 0) != '{')
                        return;
                l->skipping++;
                parse_body(l, &dropped);
                l->skipping--;
                return;
        }
        parse_body(l, &s->body);
        *ret = s;
}

static void parse_bsd_block(struct loader *l) {
        struct text line = text_trim(lex_line(l));
        complain(l, loader_place(l, l->at), line.size, CODE_BSD_BLOCK,
                 line.data[0] == '!' ? "write: if $programname == 'NAME' then { ... }"
                                     : "write: if $hostname == 'NAME' then { ... }",
                 "BSD-style blocks are no longer supported in rsyslog, see https://www.rsyslog.com/g/BSD for details "
                 "and "
                 "a solution (Block '%.*s')",
                 TEXT_ARGS(text_slice(line, 0, 200)));
        lex_skip_line(l);
}

static bool is_bsd_block(struct loader *l) {
        int c = lex_peek(l, 0), next = lex_peek(l, 1);
        if (c == '!' || c == '+')
                return true;
        return c == '-' && next != '/' && next != '.' && next != '?' && next != '|';
}

/* What a word that begins nothing was to begin, as what stands behind it tells; NULL: nothing is told. */
static const char *hint_of_word(struct loader *l, struct text word, struct text behind) {
        _owned_(buffer_fini) struct buffer hint = {0};
        if (is_object_name(word) && !text_starts(behind, TEXT("(")))
                buffer_format(&hint, "`(` is expected behind it: %.*s(name=\"value\" ...)", TEXT_ARGS(word));
        else if (text_starts(behind, TEXT(":")) && l->nesting == 0)
                buffer_text(&hint, TEXT("this looks like YAML, which is read from files whose name ends in .yaml"));
        else if (behind.size && memchr("/-@|", behind.data[0], 4))
                buffer_format(&hint, "a selector names a facility and a priority: %.*s.*", TEXT_ARGS(word));
        else
                return NULL;
        return loader_string(l, buffer_as_text(&hint));
}

/* A word that begins nothing: who writes it meant something, so the closest is named. */
static void complain_word(struct loader *l, struct text word) {
        static const char *const words[] = {"if",   "foreach",  "set",    "unset", "reset", "call",
                                            "stop", "continue", "action", "then",  "else"};
        const char *closest = is_heard(l) ? closest_object(word) : NULL;
        if (!closest || text_distance(word, text_of(closest)) > 2) {
                const char *other = text_closest(word, words, ARRAY_SIZE(words));
                closest = other ? other : closest;
        }
        const char *hint = did_you_mean(l, closest);
        if (text_equal_nocase(word, TEXT("else")))
                hint = "there is no `if` that this could belong to";
        const char *suspect = suspect_string(l);
        struct text rest = text_slice(lex_rest(l), word.size, lex_line(l).size);
        const char *other = hint_of_word(l, word, text_trim(rest));
        if (other)
                hint = other;
        bool is_object = text_starts(text_trim(rest), TEXT("("));
        complain(l, loader_place(l, l->at), MAX(word.size, (size_t)1), CODE_SYNTAX, suspect ? suspect : hint,
                 "syntax error on token '%.*s'", TEXT_ARGS(text_slice(word, 0, 100)));
        if (is_object || suspect)
                lex_resync(l);
        else if (!lex_skip_to_end_of_block(l))
                lex_skip_line(l);
}

/* "root,alice" alone as an action: old, and still in use behind selectors. */
static bool is_user_list(struct loader *l) {
        struct text line = text_trim(lex_line(l));
        for (size_t i = 0; i < line.size; i++) {
                int c = (unsigned char)line.data[i];
                if (c == ';' || c == ' ' || c == '\t' || c == '#' || c == '}')
                        return i > 0;
                if (!is_name_byte(c) && c != ',' && c != '-' && c != '.' && c != '*')
                        return false;
        }
        return line.size > 0;
}

/* One statement without what `&` adds. */
static void parse_single(struct loader *l, struct statement **ret, bool is_action_place) {
        int c = lex_peek(l, 0);
        struct text rest = lex_rest(l);
        struct text word = lex_word(l);
        note_construct(l, loader_place(l, l->at), lex_line(l));
        if (is_property_filter(rest)) {
                parse_filtered(l, parse_property_filter(l), ret);
                return;
        }
        if (is_selector(rest)) {
                parse_filtered(l, parse_selector(l), ret);
                return;
        }
        if (word.size && !text_equal_nocase(word, TEXT("action")) && is_object_name(word) &&
            is_followed_by(l, word.size, '(')) {
                parse_object(l, l->nesting > 0);
                return;
        }
        if (word.size && parse_keyword(l, word, ret))
                return;
        if (c == '$' && is_name_byte(lex_peek(l, 1)) && !is_action_place) {
                parse_directive(l);
                return;
        }
        bool is_else = text_equal_nocase(word, TEXT("else")) || text_equal_nocase(word, TEXT("then"));
        if (c > 0 && strchr("/.|@^:~>?-*$", c) && !(c == '-' && is_bsd_block(l))) {
                *ret = parse_selector_action(l);
                return;
        }
        if (is_bsd_block(l)) {
                parse_bsd_block(l);
                return;
        }
        int behind = lex_peek(l, word.size);
        /* A selector begins with a name; numbers are known within one only. */
        if (word.size && (c < '0' || c > '9') && (behind == '.' || behind == ',') && !is_action_place) {
                parse_filtered(l, parse_selector(l), ret); /* reports the facility that it does not know */
                return;
        }
        if (word.size && !is_else && is_action_place && is_user_list(l)) {
                *ret = parse_selector_action(l);
                return;
        }
        if (word.size) {
                complain_word(l, word);
                return;
        }
        const char *hint = c == '}' ? "there is no block that it could close" : mistaken_character(l);
        if (c == '&')
                hint = "`&` goes on with the action before it, and there is none";
        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, hint,
                 "invalid character '%c' - is there an invalid escape sequence somewhere?",
                 c >= 32 && c < 127 ? c : '?');
        l->at++;
        if (c != '}' && c != '{')
                lex_resync(l);
}

static bool is_chain_head(const struct statement *s) {
        switch (s->kind) {
        case STATEMENT_ACTION:
        case STATEMENT_STOP:
        case STATEMENT_CONTINUE:
        case STATEMENT_CALL:
        case STATEMENT_CALL_INDIRECT:
                return true;
        default:
                return false;
        }
}

static bool count_statement(struct loader *l) {
        if (++l->statement_count <= STATEMENTS_MAX)
                return true;
        complain(l, loader_place(l, l->at), 0, CODE_SYNTAX, NULL, "a configuration has at most %d statements",
                 STATEMENTS_MAX);
        l->at = l->source->text.size;
        return false;
}

/* At the level of the file rsyslogd forgets what it was told with `&` as soon as another statement follows. */
static void warn_unfiltered_chain(struct loader *l) {
        warn(l, loader_place(l, l->at), 1, 0,
             "rsyslogd leaves this line out when other statements follow it: take it out, or write it without the `&`",
             "behind an action without a filter `&` holds for every message");
}

/*
 * One statement at l->at with what `&` adds to it: "a", "& b", "& c" hang together.
 * When the first is an action that was left out, what follows it still counts.
 */
static void parse_chain(struct loader *l, struct statement **ret, bool is_action_place) {
        *ret = NULL;
        if (!count_statement(l))
                return;
        size_t began = l->at;
        const struct source *source = l->source;
        bool may_chain = is_action_place || is_action_next(l);
        parse_single(l, ret, is_action_place);
        assert(l->source != source || l->at > began);
        if (*ret ? !is_chain_head(*ret) : !may_chain)
                return;
        struct statement **tail = skip_to_tail(ret);
        bool is_filtered = is_action_place || l->nesting > 0 || !*ret || (*ret)->kind != STATEMENT_ACTION;
        while (lex_blank_between(l) && lex_peek(l, 0) == '&') {
                if (!is_filtered)
                        warn_unfiltered_chain(l);
                l->at++;
                lex_blank(l);
                if (!count_statement(l) || l->at >= l->source->text.size)
                        return;
                parse_single(l, tail, true);
                tail = skip_to_tail(tail);
        }
}

void parse_file_level(struct loader *l) {
        while (lex_blank_between(l)) {
                struct statement *found = NULL;
                parse_chain(l, &found, false);
                /* The directive or object just read may have changed where statements go. */
                struct statement **tail = l->ruleset->tail;
                *tail = found;
                l->ruleset->tail = skip_to_tail(tail);
        }
}
