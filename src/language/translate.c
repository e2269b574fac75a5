/*
 * A whole configuration in RainerScript or YAML, in canonical form: objects in the
 * order that they need one another, parameters as they were given. What comes out
 * loads to the same tree, and prints the same again.
 *
 * Rulesets in YAML are a filter with actions where they are no more, statements
 * where each has a key, and a script else. A few directives of old have an object in
 * neither dialect ($outchannel, $AllowedSender, $RepeatedMsgReduction): in YAML they
 * stand in the script of the default ruleset.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/text.h"
#include "language/tree.h"
#include "module/settings.h"

enum { YAML_STEP = 2 };

/* ---- Directives that have no object -------------------------------------------------- */

static void print_quoted_template(struct buffer *out, const struct template_def *t) {
        buffer_format(out, "$template %s,\"%.*s\"%s%s%s%s\n", t->name, TEXT_ARGS(t->string), t->is_sql ? ",sql" : "",
                      t->is_stdsql ? ",stdsql" : "", t->is_json ? ",json" : "",
                      t->is_case_sensitive ? ",casesensitive" : "");
}

/* A text of $template can be one of template() unless it holds a percent sign by itself, or a quote. */
static bool resolves(const struct template_def *t, struct buffer *out) {
        static const char pairs[] = "a\ab\bf\fn\nr\r";
        bool is_in_property = false;
        for (size_t i = 0; i < t->string.size; i++) {
                char c = t->string.data[i];
                if (c == '%')
                        is_in_property = !is_in_property;
                if (c != '\\' || is_in_property) {
                        buffer_byte(out, c);
                        continue;
                }
                if (++i == t->string.size || t->string.data[i] == '%' || isdigit((unsigned char)t->string.data[i]))
                        return false;
                const char *pair = pairs;
                while (*pair && pair[0] != t->string.data[i])
                        pair += 2;
                buffer_byte(out, *pair ? pair[1] : t->string.data[i]);
        }
        return text_find(t->string, TEXT(":R,")) < 0;
}

static bool is_only_legacy(const struct template_def *t) {
        _owned_(buffer_fini) struct buffer text = {0};
        return t->has_escapes && !resolves(t, &text);
}

static void print_directives(struct buffer *out, const struct config *c) {
        if (c->reduces_repeated)
                buffer_text(out, TEXT("$RepeatedMsgReduction on\n"));
        if (!c->logs_status)
                buffer_text(out, TEXT("$LogRSyslogStatusMessages off\n"));
        if (c->default_ruleset)
                buffer_format(out, "$DefaultRuleset %s\n", c->default_ruleset);
        for (const struct allowed_senders *a = c->allowed_senders; a; a = a->next) {
                if (!a->protocol)
                        continue;
                buffer_format(out, "$AllowedSender %s", a->protocol);
                for (size_t i = 0; i < a->senders.count; i++)
                        buffer_format(out, ", %s", a->senders.items[i]);
                buffer_byte(out, '\n');
        }
        for (const struct outchannel_def *o = c->outchannels; o; o = o->next) {
                buffer_format(out, "$outchannel %s,%.*s,%lld", o->name, TEXT_ARGS(o->path), (long long)o->bytes_max);
                if (o->command.size)
                        buffer_format(out, ",%.*s", TEXT_ARGS(o->command));
                buffer_byte(out, '\n');
        }
        for (const struct template_def *t = c->templates; t; t = t->next)
                if (is_only_legacy(t))
                        print_quoted_template(out, t);
}

/* What $RulesetParser and $RulesetCreateMainQueue said of the default ruleset, which no object defines. */
static void print_default_directives(struct buffer *out, const struct ruleset_def *standard) {
        for (size_t i = 0; i < standard->parsers.count; i++)
                buffer_format(out, "$RulesetParser %s\n", standard->parsers.items[i]);
        if (standard->queue)
                buffer_text(out, TEXT("$RulesetCreateMainQueue on\n"));
}

static bool is_shown_module(const struct loaded_module *m) {
        const struct assignment *a = m->assignments;
        while (a && a->is_passing)
                a = a->next;
        return a || (m->place.file && !registry_is_always_loaded(m->module));
}

static bool is_name(const struct assignment *a, const char *name) {
        return text_equal_nocase(a->name, text_of(name));
}

static const struct ruleset_def *default_ruleset(const struct config *c) {
        return c->rulesets;
}

/* ---- RainerScript ---------------------------------------------------------------------------- */

static void print_object(struct buffer *out, const char *kind, const struct assignment *list,
                         const struct param *params, enum secrets secrets) {
        size_t begin = out->size + strlen(kind) + 1;
        buffer_format(out, "%s(", kind);
        assignments_print(out, list, params, secrets);
        /* The first parameter stands at the parenthesis. */
        if (!out->is_failed && out->size > begin) {
                memmove(out->data + begin, out->data + begin + 1, out->size - begin - 1);
                out->size--;
        }
        buffer_text(out, TEXT(")\n"));
}

static struct assignment text_assignment(const char *name, struct text *value, const struct assignment *next) {
        return (struct assignment){
                .name = text_of(name), .items = value, .count = 1, .next = (struct assignment *)next};
}

static void print_module(struct buffer *out, const struct loaded_module *m, enum secrets secrets) {
        struct text name = text_of(m->module->name);
        struct assignment load = text_assignment("load", &name, NULL), *tail = &load, *copies = NULL;
        size_t count = 0;
        for (const struct assignment *a = m->assignments; a; a = a->next)
                count++;
        copies = calloc(count + 1, sizeof *copies);
        if (!copies)
                return;
        count = 0;
        for (const struct assignment *a = m->assignments; a; a = a->next) {
                if (is_name(a, "load") || a->is_passing)
                        continue;
                copies[count] = *a;
                copies[count].next = NULL;
                tail->next = &copies[count];
                tail = &copies[count++];
        }
        print_object(out, "module", &load, m->module->module_settings.params, secrets);
        free(copies);
}

static void print_template(struct buffer *out, const struct template_def *t) {
        _owned_(buffer_fini) struct buffer resolved = {0};
        if (t->has_escapes) {
                if (!resolves(t, &resolved))
                        return; /* among the directives */
                struct text values[] = {text_of(t->name), TEXT("string"), buffer_as_text(&resolved), TEXT("on")};
                struct assignment sensitive = text_assignment("option.casesensitive", &values[3], NULL);
                struct assignment json =
                        text_assignment("option.json", &values[3], t->is_case_sensitive ? &sensitive : NULL);
                struct assignment stdsql = text_assignment("option.stdsql", &values[3], t->is_json ? &json : json.next);
                struct assignment sql = text_assignment("option.sql", &values[3], t->is_stdsql ? &stdsql : stdsql.next);
                struct assignment string = text_assignment("string", &values[2], t->is_sql ? &sql : sql.next);
                struct assignment type = text_assignment("type", &values[1], &string);
                struct assignment name = text_assignment("name", &values[0], &type);
                print_object(out, "template", &name, NULL, SECRETS_SHOWN);
                return;
        }
        if (!t->assignments) { /* $template name,=plugin */
                buffer_format(out, "template(name=\"%s\" type=\"plugin\" plugin=\"%.*s\")\n", t->name,
                              TEXT_ARGS(t->plugin));
                return;
        }
        print_object(out, "template", t->assignments, NULL, SECRETS_SHOWN);
        if (t->kind != TEMPLATE_LIST)
                return;
        out->size -= out->size > 0; /* the line end */
        buffer_text(out, TEXT(" {\n"));
        for (const struct template_part *p = t->parts; p; p = p->next) {
                buffer_text(out, TEXT("    "));
                print_object(out, p->is_constant ? "constant" : "property", p->assignments, NULL, SECRETS_SHOWN);
        }
        buffer_text(out, TEXT("}\n"));
}

static void print_name_list(struct buffer *out, const char *key, const struct strings *names) {
        buffer_format(out, " %s=[", key);
        for (size_t i = 0; i < names->count; i++)
                buffer_format(out, "%s\"%s\"", i ? ", " : "", names->items[i]);
        buffer_byte(out, ']');
}

static void print_ruleset(struct buffer *out, const struct ruleset_def *r, enum secrets secrets) {
        buffer_format(out, "ruleset(name=\"%s\"", r->name);
        if (r->parsers.count)
                print_name_list(out, "parser", &r->parsers);
        for (const struct assignment *a = r->assignments; a; a = a->next) {
                struct assignment one = *a;
                one.next = NULL;
                if (!is_name(a, "name") && !is_name(a, "parser"))
                        assignments_print(out, &one, NULL, secrets);
        }
        buffer_text(out, TEXT(") {\n"));
        statements_print(out, r->statements, 1, secrets);
        buffer_text(out, TEXT("}\n"));
}

static void print_rainerscript(struct buffer *out, const struct config *c, enum secrets secrets) {
        const struct ruleset_def *standard = default_ruleset(c);
        if (c->global_assignments)
                print_object(out, "global", c->global_assignments, global_settings_type.params, secrets);
        for (const struct loaded_module *m = c->modules; m; m = m->next)
                if (is_shown_module(m))
                        print_module(out, m, secrets);
        if (c->main_queue_assignments)
                print_object(out, "main_queue", c->main_queue_assignments, queue_settings_type.params, secrets);
        print_directives(out, c);
        for (const struct definition *d = c->definitions; d; d = d->next)
                print_object(out, d->kind, d->assignments, NULL, secrets);
        for (const struct parser_def *p = c->parsers; p; p = p->next) {
                object_print(out, "parser", p->object, secrets);
                buffer_byte(out, '\n');
        }
        for (const struct template_def *t = c->templates; t; t = t->next)
                print_template(out, t);
        for (const struct ruleset_def *r = standard->next; r; r = r->next)
                print_ruleset(out, r, secrets);
        for (const struct object *o = c->inputs; o; o = o->next) {
                object_print(out, "input", o, secrets);
                buffer_byte(out, '\n');
        }
        print_default_directives(out, standard);
        statements_print(out, standard->statements, 0, secrets);
}

/* ---- YAML: values -------------------------------------------------------------------------------- */

static void indent(struct buffer *out, unsigned depth) {
        for (unsigned i = 0; i < depth * YAML_STEP; i++)
                buffer_byte(out, ' ');
}

/* Words that YAML would not take for texts, or for other texts than they are. */
static bool is_plain_word(struct text t) {
        static const char *const special[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"};
        if (t.size == 0 || t.size > 200)
                return false;
        for (size_t i = 0; i < t.size; i++)
                if (!isalnum((unsigned char)t.data[i]) && !strchr("_./-", t.data[i]))
                        return false;
        if (strchr("-.", t.data[0]))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(special); i++)
                if (text_equal_nocase(t, text_of(special[i])))
                        return false;
        return true;
}

static bool is_printable(struct text t) {
        for (size_t i = 0; i < t.size; i++)
                if ((unsigned char)t.data[i] < 32 || (unsigned char)t.data[i] == 127)
                        return false;
        return true;
}

static void print_scalar(struct buffer *out, struct text t) {
        if (is_plain_word(t)) {
                buffer_text(out, t);
                return;
        }
        bool is_single = is_printable(t);
        /* Strings of RainerScript stand in single quotes, which double ones leave as they are. */
        if (is_single && memchr(t.data, '\'', t.size) && !memchr(t.data, '"', t.size) &&
            !memchr(t.data, '\\', t.size)) {
                buffer_format(out, "\"%.*s\"", TEXT_ARGS(t));
                return;
        }
        buffer_byte(out, is_single ? '\'' : '"');
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (is_single && c == '\'')
                        buffer_text(out, TEXT("''"));
                else if (is_single)
                        buffer_byte(out, (char)c);
                else if (c == '\n')
                        buffer_text(out, TEXT("\\n"));
                else if (c == '\t')
                        buffer_text(out, TEXT("\\t"));
                else if (c == '"' || c == '\\')
                        buffer_format(out, "\\%c", c);
                else if (c < 32 || c == 127)
                        buffer_format(out, "\\x%02x", c);
                else
                        buffer_byte(out, (char)c);
        }
        buffer_byte(out, is_single ? '\'' : '"');
}

static void print_key(struct buffer *out, struct text key) {
        print_scalar(out, key);
        buffer_text(out, TEXT(": "));
}

static void print_value(struct buffer *out, const struct assignment *a, bool is_masked) {
        if (is_masked) {
                print_scalar(out, TEXT("*****"));
                return;
        }
        if (!a->is_array && a->count == 1) {
                print_scalar(out, a->items[0]);
                return;
        }
        buffer_byte(out, '[');
        for (uint32_t i = 0; i < a->count; i++) {
                if (i)
                        buffer_text(out, TEXT(", "));
                print_scalar(out, a->items[i]);
        }
        buffer_byte(out, ']');
}

/* Lines of a mapping; `prefix` is what the keys have less than the names. Names in `without` are left out. */
static void yaml_assignments(struct buffer *out, const struct assignment *list, unsigned depth, const char *prefix,
                             const char *without, const struct param *params, enum secrets secrets) {
        for (const struct assignment *a = list; a; a = a->next) {
                if ((without && is_name(a, without)) || a->is_passing)
                        continue;
                struct text name = a->name;
                if (*prefix && text_starts_nocase(name, text_of(prefix)))
                        name = text_slice(name, strlen(prefix), name.size);
                const struct param *p = params ? param_find(params, a->name) : NULL;
                indent(out, depth);
                print_key(out, name);
                print_value(out, a, secrets == SECRETS_MASKED && p && (p->flags & PARAM_IS_SECRET));
                buffer_byte(out, '\n');
        }
}

/* An item of a sequence that begins with one key. */
static void yaml_item(struct buffer *out, unsigned depth, const char *key, struct text value) {
        indent(out, depth);
        buffer_format(out, "- %s: ", key);
        print_scalar(out, value);
        buffer_byte(out, '\n');
}

static void yaml_object(struct buffer *out, const struct object *o, unsigned depth, enum secrets secrets) {
        yaml_item(out, depth, "type", text_of(o->module->name));
        yaml_assignments(out, o->assignments, depth + 1, "", "type", o->module->settings.params, secrets);
}

static void yaml_expression(struct buffer *out, const struct expr *e) {
        _owned_(buffer_fini) struct buffer text = {0};
        expr_print(&text, e);
        print_scalar(out, buffer_as_text(&text));
}

/* ---- YAML: statements -------------------------------------------------------------------------------- */

static bool has_keys(const struct statement *list) {
        for (const struct statement *s = list; s; s = s->next)
                switch (s->kind) {
                case STATEMENT_SELECTOR:
                case STATEMENT_PROPERTY:
                case STATEMENT_RESET:
                        return false;
                case STATEMENT_RELOAD_LOOKUP:
                        if (s->value && s->value->kind != EXPR_STRING)
                                return false;
                        break;
                default:
                        if (!has_keys(s->body) || !has_keys(s->otherwise))
                                return false;
                }
        return true;
}

static void yaml_statements(struct buffer *out, const struct statement *list, unsigned depth, enum secrets secrets);

static void yaml_body(struct buffer *out, const char *key, const struct statement *body, unsigned depth,
                      enum secrets secrets) {
        indent(out, depth);
        buffer_format(out, "%s:%s\n", key, body ? "" : " []");
        yaml_statements(out, body, depth + 1, secrets);
}

static void yaml_if(struct buffer *out, const struct statement *s, unsigned depth, enum secrets secrets) {
        indent(out, depth);
        buffer_text(out, TEXT("- if: "));
        yaml_expression(out, s->condition);
        buffer_byte(out, '\n');
        yaml_body(out, "then", s->body, depth + 1, secrets);
        if (s->otherwise)
                yaml_body(out, "else", s->otherwise, depth + 1, secrets);
}

static void yaml_pair(struct buffer *out, unsigned depth, const char *key, const struct expr *e) {
        indent(out, depth);
        buffer_format(out, "%s: ", key);
        yaml_expression(out, e);
        buffer_byte(out, '\n');
}

static void yaml_begin(struct buffer *out, unsigned depth, const char *key) {
        indent(out, depth);
        buffer_format(out, "- %s:\n", key);
}

static void yaml_statement(struct buffer *out, const struct statement *s, unsigned depth, enum secrets secrets) {
        switch (s->kind) {
        case STATEMENT_ACTION:
                yaml_object(out, s->action, depth, secrets);
                break;
        case STATEMENT_IF:
                yaml_if(out, s, depth, secrets);
                break;
        case STATEMENT_SET:
                yaml_begin(out, depth, "set");
                yaml_pair(out, depth + 2, "var", s->variable);
                yaml_pair(out, depth + 2, "expr", s->value);
                break;
        case STATEMENT_UNSET:
                indent(out, depth);
                buffer_text(out, TEXT("- unset: "));
                yaml_expression(out, s->variable);
                buffer_byte(out, '\n');
                break;
        case STATEMENT_CALL:
                yaml_item(out, depth, "call", s->name);
                break;
        case STATEMENT_CALL_INDIRECT:
                indent(out, depth);
                buffer_text(out, TEXT("- call_indirect: "));
                yaml_expression(out, s->condition);
                buffer_byte(out, '\n');
                break;
        case STATEMENT_FOREACH:
                yaml_begin(out, depth, "foreach");
                yaml_pair(out, depth + 2, "var", s->variable);
                yaml_pair(out, depth + 2, "in", s->condition);
                yaml_body(out, "do", s->body, depth + 2, secrets);
                break;
        case STATEMENT_STOP:
                indent(out, depth);
                buffer_text(out, TEXT("- stop: true\n"));
                break;
        case STATEMENT_CONTINUE:
                indent(out, depth);
                buffer_text(out, TEXT("- continue: true\n"));
                break;
        case STATEMENT_RELOAD_LOOKUP:
                yaml_begin(out, depth, "reload_lookup_table");
                indent(out, depth + 2);
                print_key(out, TEXT("table"));
                print_scalar(out, s->name);
                buffer_byte(out, '\n');
                if (s->value) {
                        indent(out, depth + 2);
                        print_key(out, TEXT("stub_value"));
                        print_scalar(out, s->value->string);
                        buffer_byte(out, '\n');
                }
                break;
        case STATEMENT_SELECTOR:
        case STATEMENT_PROPERTY:
        case STATEMENT_RESET:
                break; /* has_keys() said no */
        }
}

static void yaml_statements(struct buffer *out, const struct statement *list, unsigned depth, enum secrets secrets) {
        for (const struct statement *s = list; s; s = s->next)
                yaml_statement(out, s, depth, secrets);
}

/* ---- YAML: rulesets and the rest ------------------------------------------------------------------------ */

static bool are_actions(const struct statement *list) {
        for (const struct statement *s = list; s; s = s->next)
                if (s->kind != STATEMENT_ACTION)
                        return false;
        return true;
}

/* One selector or property filter with actions, or actions alone. */
static bool is_simple(const struct statement *list) {
        if (are_actions(list))
                return true;
        bool is_filter = list->kind == STATEMENT_SELECTOR || list->kind == STATEMENT_PROPERTY;
        return is_filter && !list->next && !list->otherwise && are_actions(list->body);
}

static void yaml_script(struct buffer *out, struct text script, unsigned depth) {
        indent(out, depth);
        buffer_text(out, TEXT("script: |\n"));
        while (script.size) {
                const char *lf = memchr(script.data, '\n', script.size);
                size_t size = lf ? (size_t)(lf - script.data) + 1 : script.size;
                indent(out, depth + 1);
                buffer_text(out, text_slice(script, 0, size));
                script = text_slice(script, size, script.size);
        }
}

static void yaml_simple(struct buffer *out, const struct statement *list, unsigned depth, enum secrets secrets) {
        const struct statement *actions = list;
        if (list->kind != STATEMENT_ACTION) {
                _owned_(buffer_fini) struct buffer filter = {0};
                (list->kind == STATEMENT_SELECTOR ? selector_print : property_filter_print)(&filter, list);
                indent(out, depth);
                buffer_text(out, TEXT("filter: "));
                print_scalar(out, buffer_as_text(&filter));
                buffer_byte(out, '\n');
                actions = list->body;
        }
        indent(out, depth);
        buffer_format(out, "actions:%s\n", actions ? "" : " []");
        yaml_statements(out, actions, depth + 1, secrets);
}

static void yaml_rules(struct buffer *out, const struct statement *list, struct text directives, unsigned depth,
                       enum secrets secrets) {
        if (directives.size == 0 && !list)
                return;
        if (directives.size || (!is_simple(list) && !has_keys(list))) {
                _owned_(buffer_fini) struct buffer script = {0};
                buffer_text(&script, directives);
                statements_print(&script, list, 0, secrets);
                yaml_script(out, buffer_as_text(&script), depth);
        } else if (is_simple(list)) {
                yaml_simple(out, list, depth, secrets);
        } else {
                indent(out, depth);
                buffer_text(out, TEXT("statements:\n"));
                yaml_statements(out, list, depth + 1, secrets);
        }
}

static void yaml_ruleset(struct buffer *out, const struct ruleset_def *r, struct text directives,
                         enum secrets secrets) {
        yaml_item(out, 1, "name", text_of(r->name));
        if (r->parsers.count && directives.size == 0) {
                indent(out, 2);
                buffer_text(out, TEXT("parser: ["));
                for (size_t i = 0; i < r->parsers.count; i++) {
                        if (i)
                                buffer_text(out, TEXT(", "));
                        print_scalar(out, text_of(r->parsers.items[i]));
                }
                buffer_text(out, TEXT("]\n"));
        }
        for (const struct assignment *a = r->assignments; a && directives.size == 0; a = a->next) {
                struct assignment one = *a;
                one.next = NULL;
                if (!is_name(a, "parser"))
                        yaml_assignments(out, &one, 2, "", "name", NULL, secrets);
        }
        yaml_rules(out, r->statements, directives, 2, secrets);
}

static void yaml_template(struct buffer *out, const struct template_def *t) {
        _owned_(buffer_fini) struct buffer resolved = {0};
        if (t->has_escapes || !t->assignments) {
                if (t->has_escapes && !resolves(t, &resolved))
                        return; /* among the directives */
                struct text value = t->has_escapes ? buffer_as_text(&resolved) : t->plugin;
                const char *kind = t->has_escapes ? "string" : "plugin";
                yaml_item(out, 1, "name", text_of(t->name));
                buffer_format(out, "    type: %s\n    %s: ", kind, kind);
                print_scalar(out, value);
                buffer_format(out, "\n%s%s%s%s", t->is_sql ? "    option.sql: 'on'\n" : "",
                              t->is_stdsql ? "    option.stdsql: 'on'\n" : "",
                              t->is_json ? "    option.json: 'on'\n" : "",
                              t->is_case_sensitive ? "    option.casesensitive: 'on'\n" : "");
                return;
        }
        yaml_item(out, 1, "name", text_of(t->name));
        yaml_assignments(out, t->assignments, 2, "", "name", NULL, SECRETS_SHOWN);
        if (t->kind != TEMPLATE_LIST)
                return;
        buffer_format(out, "    elements:%s\n", t->parts ? "" : " []");
        for (const struct template_part *p = t->parts; p; p = p->next) {
                indent(out, 3);
                buffer_format(out, "- %s:\n", p->is_constant ? "constant" : "property");
                yaml_assignments(out, p->assignments, 5, "", NULL, NULL, SECRETS_SHOWN);
        }
}

static void yaml_definitions(struct buffer *out, const struct config *c, const char *kind, const char *key) {
        bool is_begun = false;
        for (const struct definition *d = c->definitions; d; d = d->next) {
                if (strcmp(d->kind, kind) != 0)
                        continue;
                if (!is_begun)
                        buffer_format(out, "%s:\n", key);
                is_begun = true;
                const char *first = strcmp(kind, "timezone") == 0 ? "id" : "name";
                yaml_item(out, 1, first, text_of(d->name));
                yaml_assignments(out, d->assignments, 2, "", first, NULL, SECRETS_SHOWN);
        }
}

static void yaml_modules(struct buffer *out, const struct config *c, enum secrets secrets) {
        bool is_begun = false;
        for (const struct loaded_module *m = c->modules; m; m = m->next) {
                if (!is_shown_module(m))
                        continue;
                if (!is_begun)
                        buffer_text(out, TEXT("modules:\n"));
                is_begun = true;
                yaml_item(out, 1, "load", text_of(m->module->name));
                yaml_assignments(out, m->assignments, 2, "", "load", m->module->module_settings.params, secrets);
        }
}

static void print_yaml(struct buffer *out, const struct config *c, enum secrets secrets) {
        const struct ruleset_def *standard = default_ruleset(c);
        _owned_(buffer_fini) struct buffer directives = {0};
        print_directives(&directives, c);
        print_default_directives(&directives, standard);
        buffer_text(out, TEXT("version: 2\n"));
        if (c->global_assignments) {
                buffer_text(out, TEXT("global:\n"));
                yaml_assignments(out, c->global_assignments, 1, "", NULL, global_settings_type.params, secrets);
        }
        if (c->main_queue_assignments) {
                buffer_text(out, TEXT("mainqueue:\n"));
                yaml_assignments(out, c->main_queue_assignments, 1, "queue.", NULL, queue_settings_type.params,
                                 secrets);
        }
        yaml_modules(out, c, secrets);
        yaml_definitions(out, c, "timezone", "timezones");
        yaml_definitions(out, c, "ratelimit", "ratelimits");
        yaml_definitions(out, c, "lookup_table", "lookup_tables");
        yaml_definitions(out, c, "dyn_stats", "dyn_stats");
        yaml_definitions(out, c, "percentile_stats", "perctile_stats");
        if (c->parsers)
                buffer_text(out, TEXT("parsers:\n"));
        for (const struct parser_def *p = c->parsers; p; p = p->next)
                yaml_object(out, p->object, 1, secrets);
        bool is_begun = false;
        for (const struct template_def *t = c->templates; t; t = t->next) {
                if (!is_begun && !is_only_legacy(t)) {
                        buffer_text(out, TEXT("templates:\n"));
                        is_begun = true;
                }
                yaml_template(out, t);
        }
        if (standard->next || standard->statements || directives.size)
                buffer_text(out, TEXT("rulesets:\n"));
        for (const struct ruleset_def *r = standard->next; r; r = r->next)
                yaml_ruleset(out, r, TEXT_NONE, secrets);
        if (standard->statements || directives.size)
                yaml_ruleset(out, standard, buffer_as_text(&directives), secrets);
        if (c->inputs)
                buffer_text(out, TEXT("inputs:\n"));
        for (const struct object *o = c->inputs; o; o = o->next)
                yaml_object(out, o, 1, secrets);
}

int config_print(struct buffer *out, const struct config *c, enum dialect dialect, enum secrets secrets) {
        if (dialect == DIALECT_RAINERSCRIPT) {
                print_rainerscript(out, c, secrets);
                return buffer_failed(out);
        }
        size_t begin = out->size;
        print_yaml(out, c, secrets);
        if (!buffer_failed(out) && !text_is_utf8(text_slice(buffer_as_text(out), begin, out->size)))
                return fail(-EILSEQ);
        return buffer_failed(out);
}
