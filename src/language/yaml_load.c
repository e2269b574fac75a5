/*
 * YAML files: the same objects, parameters and statements as RainerScript's, in
 * another dress. Mappings become assignments, and the functions that make objects
 * of RainerScript make them here; conditions and scripts are RainerScript that stands
 * in a scalar, read where it stands, so that a mistake shows the line of the file.
 *
 * The keys of the document are read in the order that objects need one another,
 * whatever their order in the file: modules before inputs, templates before rulesets.
 */
#include "module/yaml_read.h"

#include <errno.h>
#include <stdlib.h>

#include "language/loader.h"

enum { SHOWN_BYTES_MAX = 60 };

/* ---- Nodes -------------------------------------------------------------------------- */

static size_t node_width(const struct node *n) {
        return n->kind == NODE_SCALAR && !n->is_block ? MIN(n->text.size, (size_t)200) : 1;
}

static bool is_key(const struct node_entry *entry, const char *name) {
        return text_equal(entry->key->text, text_of(name));
}

static const struct node *member(const struct node *mapping, const char *name) {
        for (const struct node_entry *e = mapping->first; e; e = e->next)
                if (is_key(e, name))
                        return e->value;
        return NULL;
}

static bool require(struct loader *l, const struct node *n, enum node_kind kind, const char *what) {
        static const char *const kinds[] = {"one value", "a sequence (lines that begin with -)",
                                            "a mapping (name: value)"};
        if (n->kind == kind)
                return true;
        complain(l, n->place, node_width(n), CODE_SYNTAX, NULL, "%s: %s is expected here", what, kinds[kind]);
        return false;
}

static void complain_key(struct loader *l, const struct node *key, const char *where, const char *const *known) {
        size_t count = 0;
        while (known[count])
                count++;
        const char *closest = is_heard(l) ? text_closest(key->text, known, count) : NULL;
        complain(l, key->place, node_width(key), CODE_SYNTAX, did_you_mean(l, closest),
                 "key '%.*s' is not known %s and is ignored", TEXT_ARGS(text_slice(key->text, 0, SHOWN_BYTES_MAX)),
                 where);
}

static void warn_twice(struct loader *l, const struct node *mapping) {
        for (const struct node_entry *e = mapping->first; e; e = e->next)
                for (const struct node_entry *f = e->next; f; f = f->next)
                        if (text_equal(e->key->text, f->key->text)) {
                                warn(l, f->key->place, node_width(f->key), 0, "the first one counts",
                                     "key '%.*s' is given more than once",
                                     TEXT_ARGS(text_slice(f->key->text, 0, SHOWN_BYTES_MAX)));
                                break;
                        }
}

/* ---- Assignments ---------------------------------------------------------------------- */

/* Parameters that come from one entry: nothing for a value of the wrong kind, reported. */
static struct assignment *assignment_of(struct loader *l, const struct node_entry *e, const char *prefix) {
        const struct node *v = e->value;
        struct assignment *a = loader_alloc(l, sizeof *a);
        struct text *items = loader_alloc(l, (v->count + 1) * sizeof *items);
        _owned_(buffer_fini) struct buffer name = {0};
        if (!a || !items)
                return NULL;
        if (v->kind == NODE_MAPPING || v->count > ARRAY_ITEMS_MAX) {
                complain(l, v->place, 1, CODE_SYNTAX, NULL, "'%.*s' takes a value or a sequence of values",
                         TEXT_ARGS(text_slice(e->key->text, 0, SHOWN_BYTES_MAX)));
                return NULL;
        }
        if (!text_starts(e->key->text, text_of(prefix)))
                buffer_text(&name, text_of(prefix));
        buffer_text(&name, e->key->text);
        *a = (struct assignment){.name = loader_text(l, buffer_as_text(&name)),
                                 .items = items,
                                 .is_array = v->kind == NODE_SEQUENCE,
                                 .name_place = e->key->place,
                                 .value_place = v->text_place};
        if (v->kind == NODE_SCALAR)
                items[a->count++] = v->text;
        for (const struct node_entry *item = v->first; item; item = item->next)
                if (require(l, item->value, NODE_SCALAR, "an array"))
                        items[a->count++] = item->value->text;
        return a;
}

/* All entries of a mapping but those with a key in `others` (NULL-ended). */
static struct assignment *assignments_of(struct loader *l, const struct node *mapping, const char *prefix,
                                         const char *const *others) {
        struct assignment *list = NULL, **tail = &list;
        for (const struct node_entry *e = mapping->first; e; e = e->next) {
                const char *const *other = others;
                while (other && *other && !is_key(e, *other))
                        other++;
                if (other && *other)
                        continue;
                struct assignment *a = assignment_of(l, e, prefix);
                if (!a)
                        continue;
                *tail = a;
                tail = &a->next;
        }
        return list;
}

/* A node as it stands in the file: the key or first value of its first line. */
static void note_node(struct loader *l, const struct node *n) {
        const struct node_entry *e = n->first;
        _owned_(buffer_fini) struct buffer text = {0};
        if (e && e->key)
                buffer_format(&text, "%.*s: ", TEXT_ARGS(e->key->text));
        if (e && e->value->kind == NODE_SCALAR)
                buffer_text(&text, e->value->text);
        note_construct(l, n->place, buffer_as_text(&text));
}

/* An object of RainerScript with the mapping's parameters. */
static void add_mapping(struct loader *l, const char *kind, const struct node *n, const char *prefix) {
        if (!require(l, n, NODE_MAPPING, kind))
                return;
        note_node(l, n);
        struct assignment *list = assignments_of(l, n, prefix, NULL);
        if (is_enabled(l, list))
                object_add(l, kind, list, n->place);
}

/* ---- RainerScript in a scalar ------------------------------------------------------------ */

struct embedded {
        struct source *source;
        size_t at;
};

/* Reading goes on within the scalar, whose lines know where they stand in the file. */
static bool embed(struct loader *l, const struct node *n, struct embedded *outer) {
        if (!require(l, n, NODE_SCALAR, "RainerScript"))
                return false;
        struct source *s = source_new(l->arena, n->text_place.file, n->text);
        if (!s) {
                l->failure = -ENOMEM;
                return false;
        }
        for (size_t i = 0; i < s->line_count; i++) {
                if (i == 0 || n->is_block)
                        s->lines[i].column += n->text_place.column - 1;
                s->lines[i].line += n->text_place.line - 1;
        }
        s->is_embedded = s->is_closed = s->is_begun = true;
        s->depth = l->source->depth;
        *outer = (struct embedded){.source = l->source, .at = l->at};
        l->source = s;
        l->at = 0;
        return true;
}

/* False, reported: something is left behind what was read. */
static bool leave(struct loader *l, const struct embedded *outer, bool is_right) {
        lex_blank(l);
        bool is_at_end = l->at >= l->source->text.size;
        if (is_right && !is_at_end)
                complain(l, loader_place(l, l->at), MAX(lex_word(l).size, (size_t)1), CODE_SYNTAX, NULL,
                         "this is not expected behind what stands before it");
        l->source = outer->source;
        l->at = outer->at;
        return is_right && is_at_end;
}

static struct expr *expression_of(struct loader *l, const struct node *n) {
        struct embedded outer;
        if (!embed(l, n, &outer))
                return NULL;
        struct expr *e = parse_expression(l);
        return leave(l, &outer, e != NULL) ? e : NULL;
}

static struct expr *variable_of(struct loader *l, const struct node *n, const char *statement) {
        struct embedded outer;
        if (!embed(l, n, &outer))
                return NULL;
        lex_blank(l);
        struct expr *e = parse_variable(l, statement);
        return leave(l, &outer, e != NULL) ? e : NULL;
}

static struct statement *script_of(struct loader *l, const struct node *n) {
        struct embedded outer;
        struct statement *statements = NULL;
        if (!embed(l, n, &outer))
                return NULL;
        parse_all(l, &statements);
        leave(l, &outer, true);
        return statements;
}

static struct statement *filter_of(struct loader *l, const struct node *n) {
        struct embedded outer;
        if (!embed(l, n, &outer))
                return NULL;
        lex_blank(l);
        struct text rest = lex_rest(l);
        struct statement *s = is_property_filter(rest) ? parse_property_filter(l) : parse_selector(l);
        return leave(l, &outer, s != NULL) ? s : NULL;
}

/* ---- Statements ----------------------------------------------------------------------------- */

static struct statement *statements_of(struct loader *l, const struct node *n);

/* The value of a key that a statement must have; NULL and a complaint. */
static const struct node *needed(struct loader *l, const struct node *mapping, const char *key, const char *statement) {
        const struct node *found = mapping->kind == NODE_MAPPING ? member(mapping, key) : NULL;
        if (!found)
                complain(l, mapping->place, 1, CODE_SYNTAX, NULL, "'%s' needs the key '%s'", statement, key);
        return found;
}

static struct statement *action_of(struct loader *l, const struct node *n) {
        if (!require(l, n, NODE_MAPPING, "an action"))
                return NULL;
        note_node(l, n);
        struct assignment *list = assignments_of(l, n, "", NULL);
        struct object *action = is_enabled(l, list) ? make_action(l, list, n->place, false) : NULL;
        struct statement *s = action ? statement_new(l, STATEMENT_ACTION, n->place) : NULL;
        if (s)
                s->action = action;
        return s;
}

static struct statement *if_of(struct loader *l, const struct node *n, const struct node *condition) {
        const struct node *then = member(n, "then"), *action = member(n, "action"), *otherwise = member(n, "else");
        struct statement *s = statement_new(l, STATEMENT_IF, n->place);
        if (!s)
                return NULL;
        s->condition = expression_of(l, condition);
        l->skipping += s->condition == NULL; /* its body is read for its own mistakes */
        if (!then == !action)
                complain(l, n->place, 2, CODE_SYNTAX, "{if: \"$msg contains 'x'\", then: [...]}",
                         "'if' needs one of 'then' and 'action'");
        else
                s->body = then ? statements_of(l, then) : action_of(l, action);
        if (otherwise)
                s->otherwise = statements_of(l, otherwise);
        l->skipping -= s->condition == NULL;
        return s->condition ? s : NULL;
}

static struct statement *simple(struct loader *l, enum statement_kind kind, const struct node *n,
                                const struct node *v) {
        bool is_meant = require(l, v, NODE_SCALAR, "stop and continue") && text_equal_nocase(v->text, TEXT("true"));
        if (v->kind == NODE_SCALAR && !is_meant)
                complain(l, v->place, node_width(v), CODE_SYNTAX, "write `true`, or leave the line out",
                         "stop and continue are true or not there");
        return is_meant ? statement_new(l, kind, n->place) : NULL;
}

static struct statement *call_of(struct loader *l, const struct node *n, const struct node *v) {
        struct statement *s = require(l, v, NODE_SCALAR, "call") ? statement_new(l, STATEMENT_CALL, n->place) : NULL;
        if (s)
                s->name = v->text;
        return s;
}

static struct statement *call_indirect_of(struct loader *l, const struct node *n, const struct node *v) {
        struct expr *name = expression_of(l, v);
        struct statement *s = name ? statement_new(l, STATEMENT_CALL_INDIRECT, n->place) : NULL;
        if (s)
                s->condition = name;
        return s;
}

static struct statement *set_of(struct loader *l, enum statement_kind kind, const struct node *n,
                                const struct node *v) {
        const char *word = kind == STATEMENT_SET ? "set" : "reset";
        const struct node *variable = needed(l, v, "var", word), *value = variable ? needed(l, v, "expr", word) : NULL;
        struct statement *s = value ? statement_new(l, kind, n->place) : NULL;
        if (!s)
                return NULL;
        s->variable = variable_of(l, variable, word);
        s->value = expression_of(l, value);
        return s->variable && s->value ? s : NULL;
}

static struct statement *unset_of(struct loader *l, const struct node *n, const struct node *v) {
        struct statement *s = statement_new(l, STATEMENT_UNSET, n->place);
        if (s)
                s->variable = variable_of(l, v, "unset");
        return s && s->variable ? s : NULL;
}

static struct statement *foreach_of(struct loader *l, const struct node *n, const struct node *v) {
        const struct node *variable = needed(l, v, "var", "foreach");
        const struct node *in = variable ? needed(l, v, "in", "foreach") : NULL;
        const struct node *body = in ? needed(l, v, "do", "foreach") : NULL;
        struct statement *s = body ? statement_new(l, STATEMENT_FOREACH, n->place) : NULL;
        if (!s)
                return NULL;
        s->variable = variable_of(l, variable, "foreach");
        s->condition = expression_of(l, in);
        s->body = statements_of(l, body);
        return s->variable && s->condition ? s : NULL;
}

static struct statement *reload_of(struct loader *l, const struct node *n, const struct node *v) {
        const struct node *table = needed(l, v, "table", "reload_lookup_table");
        const struct node *stub = table ? member(v, "stub_value") : NULL;
        if (!table || !require(l, table, NODE_SCALAR, "table") ||
            (stub && !require(l, stub, NODE_SCALAR, "stub_value")))
                return NULL;
        struct statement *s = statement_new(l, STATEMENT_RELOAD_LOOKUP, n->place);
        if (!s)
                return NULL;
        s->name = table->text;
        if (stub) {
                s->value = loader_alloc(l, sizeof *s->value);
                if (!s->value)
                        return NULL;
                *s->value = (struct expr){.kind = EXPR_STRING, .place = stub->place, .string = stub->text};
        }
        return s;
}

static struct statement *statement_of(struct loader *l, const struct node *n) {
        static const char *const known[] = {"type",
                                            "if",
                                            "stop",
                                            "continue",
                                            "call",
                                            "call_indirect",
                                            "set",
                                            "reset",
                                            "unset",
                                            "foreach",
                                            "reload_lookup_table",
                                            NULL};
        enum { TYPE, IF, STOP, CONTINUE, CALL, CALL_INDIRECT, SET, RESET, UNSET, FOREACH, RELOAD, NONE };
        if (!require(l, n, NODE_MAPPING, "a statement"))
                return NULL;
        note_node(l, n);
        const struct node *v = NULL;
        unsigned which = 0;
        while (known[which] && !(v = member(n, known[which])))
                which++;
        for (const struct node_entry *e = n->first; e && which > IF && which < NONE; e = e->next)
                if (e->value != v)
                        complain_key(l, e->key, "beside this statement", (const char *const[]){NULL});
        switch (which) {
        case TYPE:
                return action_of(l, n);
        case IF:
                return if_of(l, n, v);
        case STOP:
                return simple(l, STATEMENT_STOP, n, v);
        case CONTINUE:
                return simple(l, STATEMENT_CONTINUE, n, v);
        case CALL:
                return call_of(l, n, v);
        case CALL_INDIRECT:
                return call_indirect_of(l, n, v);
        case SET:
                return set_of(l, STATEMENT_SET, n, v);
        case RESET:
                return set_of(l, STATEMENT_RESET, n, v);
        case UNSET:
                return unset_of(l, n, v);
        case FOREACH:
                return foreach_of(l, n, v);
        case RELOAD:
                return reload_of(l, n, v);
        default:
                if (n->first)
                        complain_key(l, n->first->key, "as a statement", known);
                else
                        complain(l, n->place, 1, CODE_SYNTAX, NULL, "this statement is empty");
                return NULL;
        }
}

/* A sequence of statements, or one alone. */
static struct statement *statements_of(struct loader *l, const struct node *n) {
        struct statement *list = NULL, **tail = &list;
        if (n->kind != NODE_SEQUENCE)
                return statement_of(l, n);
        if (!nesting_enter(l))
                return NULL;
        for (const struct node_entry *e = n->first; e; e = e->next) {
                *tail = statement_of(l, e->value);
                if (*tail)
                        tail = &(*tail)->next;
        }
        l->nesting--;
        return list;
}

/* ---- Rulesets ---------------------------------------------------------------------------------- */

static struct statement *actions_of(struct loader *l, const struct node *n) {
        struct statement *list = NULL, **tail = &list;
        if (!require(l, n, NODE_SEQUENCE, "actions"))
                return NULL;
        for (const struct node_entry *e = n->first; e; e = e->next) {
                *tail = action_of(l, e->value);
                if (*tail)
                        tail = &(*tail)->next;
        }
        return list;
}

static struct statement *filtered_of(struct loader *l, const struct node *filter, const struct node *actions) {
        if (!filter)
                return actions_of(l, actions);
        struct statement *s = filter_of(l, filter);
        l->skipping += s == NULL;
        struct statement *body = actions ? actions_of(l, actions) : NULL;
        l->skipping -= s == NULL;
        if (s)
                s->body = body;
        return s;
}

static void ruleset_of(struct loader *l, const struct node *n) {
        static const char *const others[] = {"filter", "actions", "statements", "script", NULL};
        if (!require(l, n, NODE_MAPPING, "a ruleset"))
                return;
        note_node(l, n);
        struct assignment *list = assignments_of(l, n, "", others);
        if (!is_enabled(l, list))
                return;
        const struct node *filter = member(n, "filter"), *actions = member(n, "actions");
        const struct node *statements = member(n, "statements"), *script = member(n, "script");
        if ((filter || actions) + !!statements + !!script > 1) {
                complain(l, n->place, 1, CODE_SYNTAX, "filter and actions, or statements, or script: one of the three",
                         "a ruleset is written in one way, not in several");
                return;
        }
        /* What stands outside of ruleset() in RainerScript has no other place here. */
        const struct node *name = member(n, "name");
        bool is_default = name && text_equal(name->text, TEXT("RSYSLOG_DefaultRuleset"));
        struct ruleset_state *state =
                is_default ? names_get(&l->rulesets, name->text) : ruleset_begin(l, list, n->place);
        l->skipping += state == NULL;
        struct statement *found = script              ? script_of(l, script)
                                  : statements        ? statements_of(l, statements)
                                  : filter || actions ? filtered_of(l, filter, actions)
                                                      : NULL;
        l->skipping -= state == NULL;
        if (state)
                ruleset_append(state, found);
}

/* ---- Templates ------------------------------------------------------------------------------------ */

static struct template_part *part_of(struct loader *l, const struct node *n, bool *is_right) {
        static const char *const known[] = {"property", "constant", NULL};
        if (!require(l, n, NODE_MAPPING, "an element") || n->count != 1) {
                if (n->kind == NODE_MAPPING)
                        complain(l, n->place, 1, CODE_SYNTAX, "- property: { name: msg }",
                                 "an element is one property or one constant");
                *is_right = false;
                return NULL;
        }
        const struct node_entry *e = n->first;
        bool is_constant = is_key(e, "constant");
        if (!is_constant && !is_key(e, "property")) {
                complain_key(l, e->key, "as an element of a template", known);
                *is_right = false;
                return NULL;
        }
        if (!require(l, e->value, NODE_MAPPING, known[is_constant])) {
                *is_right = false;
                return NULL;
        }
        struct template_part *part =
                template_part_new(l, is_constant, assignments_of(l, e->value, "", NULL), e->key->place);
        *is_right &= part != NULL;
        return part;
}

static void template_of(struct loader *l, const struct node *n) {
        static const char *const others[] = {"elements", NULL};
        if (!require(l, n, NODE_MAPPING, "a template"))
                return;
        note_node(l, n);
        struct assignment *list = assignments_of(l, n, "", others);
        if (!is_enabled(l, list))
                return;
        const struct node *elements = member(n, "elements");
        struct template_part *parts = NULL, **tail = &parts;
        bool is_right = !elements || require(l, elements, NODE_SEQUENCE, "elements");
        for (const struct node_entry *e = is_right && elements ? elements->first : NULL; e; e = e->next) {
                struct template_part *part = part_of(l, e->value, &is_right);
                if (!part)
                        continue;
                *tail = part;
                tail = &part->next;
        }
        if (is_right)
                template_add_parts(l, list, elements != NULL, parts, n->place);
}

/* ---- The document ------------------------------------------------------------------------------------ */

static void module_of(struct loader *l, const struct node *n) {
        add_mapping(l, "module", n, "");
}
static void input_of(struct loader *l, const struct node *n) {
        add_mapping(l, "input", n, "");
}
static void parser_of(struct loader *l, const struct node *n) {
        add_mapping(l, "parser", n, "");
}
static void dyn_stats_of(struct loader *l, const struct node *n) {
        add_mapping(l, "dyn_stats", n, "");
}
static void percentile_stats_of(struct loader *l, const struct node *n) {
        add_mapping(l, "percentile_stats", n, "");
}
static void ratelimit_of(struct loader *l, const struct node *n) {
        add_mapping(l, "ratelimit", n, "");
}
static void timezone_of(struct loader *l, const struct node *n) {
        add_mapping(l, "timezone", n, "");
}

static void lookup_table_of(struct loader *l, const struct node *n) {
        if (!require(l, n, NODE_MAPPING, "a lookup table"))
                return;
        struct assignment *list = assignments_of(l, n, "", NULL);
        for (struct assignment *a = list; a; a = a->next)
                if (text_equal_nocase(a->name, TEXT("filename")))
                        a->name = TEXT("file");
        if (is_enabled(l, list))
                object_add(l, "lookup_table", list, n->place);
}

static void include_of(struct loader *l, const struct node *n, enum include_which which) {
        static const char *const known[] = {"path", "optional", NULL};
        if (!require(l, n, NODE_MAPPING, "an include"))
                return;
        if (which == INCLUDE_OTHERS && !member(n, "path"))
                return; /* reported before */
        const struct node *path = needed(l, n, "path", "include"), *optional = member(n, "optional");
        for (const struct node_entry *e = n->first; e; e = e->next)
                if (!is_key(e, "path") && !is_key(e, "optional") && which == INCLUDE_YAML)
                        complain_key(l, e->key, "in an include", known);
        if (!path || !require(l, path, NODE_SCALAR, "path"))
                return;
        bool is_optional = optional && (text_equal_nocase(optional->text, TEXT("on")) ||
                                        text_equal_nocase(optional->text, TEXT("true")) ||
                                        text_equal_nocase(optional->text, TEXT("yes")));
        include_some(l, path->text, is_optional ? INCLUDE_OPTIONAL : INCLUDE_REQUIRED, path->text_place,
                     node_width(path), which);
        parse_file_level(l); /* what was put before this file is read now */
}

/* Of one list, files of YAML come first. */
static void includes_of(struct loader *l, const struct node *n) {
        if (!require(l, n, NODE_SEQUENCE, "include"))
                return;
        for (const struct node_entry *e = n->first; e; e = e->next)
                include_of(l, e->value, INCLUDE_YAML);
        for (const struct node_entry *e = n->first; e; e = e->next)
                if (e->value->kind == NODE_MAPPING)
                        include_of(l, e->value, INCLUDE_OTHERS);
}

static void global_of(struct loader *l, const struct node *n) {
        add_mapping(l, "global", n, "");
}
static void main_queue_of(struct loader *l, const struct node *n) {
        add_mapping(l, "main_queue", n, "queue.");
}

static void version_of(struct loader *l, const struct node *n) {
        if (require(l, n, NODE_SCALAR, "version") && !text_equal(n->text, TEXT("2")))
                warn(l, n->place, node_width(n), 0, NULL, "version %.*s is not known, the file is read as version 2",
                     TEXT_ARGS(text_slice(n->text, 0, SHOWN_BYTES_MAX)));
}

/* In the order that they are needed. */
static const struct section {
        const char *key;
        bool is_sequence;
        void (*add)(struct loader *l, const struct node *n);
} sections[] = {
        {"version", false, version_of},
        {"global", false, global_of},
        {"mainqueue", false, main_queue_of},
        {"modules", true, module_of},
        {"testbench_modules", true, module_of},
        {"timezones", true, timezone_of},
        {"ratelimits", true, ratelimit_of},
        {"lookup_tables", true, lookup_table_of},
        {"dyn_stats", true, dyn_stats_of},
        {"perctile_stats", true, percentile_stats_of},
        {"parsers", true, parser_of},
        {"templates", true, template_of},
        {"include", false, includes_of},
        {"rulesets", true, ruleset_of},
        {"inputs", true, input_of},
};

static void check_keys(struct loader *l, const struct node *document) {
        const char *known[ARRAY_SIZE(sections) + 1] = {0};
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
                known[i] = sections[i].key;
        for (const struct node_entry *e = document->first; e; e = e->next) {
                const char *const *k = known;
                while (*k && !is_key(e, *k))
                        k++;
                if (!*k)
                        complain_key(l, e->key, "at the top of a configuration", known);
        }
}

static void read_sections(struct loader *l, const struct node *document) {
        for (const struct section *s = sections; s < sections + ARRAY_SIZE(sections) && !l->failure; s++) {
                const struct node *n = member(document, s->key);
                if (!n || (n->kind == NODE_SCALAR && n->text.size == 0))
                        continue; /* a key with nothing behind it */
                if (!s->is_sequence)
                        s->add(l, n);
                else if (require(l, n, NODE_SEQUENCE, s->key))
                        for (const struct node_entry *e = n->first; e; e = e->next)
                                s->add(l, e->value);
        }
}

void yaml_load(struct loader *l) {
        struct node *document = NULL;
        struct yaml_mistake found;
        int r = yaml_read(&document, l->arena, l->source->name, l->source->text, &found);
        l->at = l->source->text.size;
        if (r == -ENOMEM)
                l->failure = r;
        else if (r)
                complain(l, found.place, 1, CODE_SYNTAX, NULL, "%s", found.text);
        if (r || !document || !require(l, document, NODE_MAPPING, "a configuration"))
                return;
        warn_twice(l, document);
        check_keys(l, document);
        read_sections(l, document);
}
