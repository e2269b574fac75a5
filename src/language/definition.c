/*
 * Objects without a module of their own: global() main_queue() ruleset()
 * template() include() and the small ones, and the dispatch to those of object.c.
 */
#include "language/loader.h"

#include <errno.h>

#include "module/definitions.h"
#include "module/settings.h"

/* ---- Tables ------------------------------------------------------------------------------- */

/* Values of these objects are checked here and read from the assignments later; fields of one type are shared. */
struct scratch {
        bool flag;
        int64_t number;
        char *string;
        struct strings strings;
};
#define S_BOOL(word, words)   PARAM_BOOL(struct scratch, flag, .name = word, .help = words)
#define S_INT(word, words)    PARAM_INT(struct scratch, number, .name = word, .help = words)
#define S_STRING(word, words) PARAM_STRING(struct scratch, string, .name = word, .help = words)
#define S_NEEDED(word, words)                                                                                          \
        PARAM_STRING(struct scratch, string, .name = word, .flags = PARAM_IS_REQUIRED, .help = words)

static const struct param property_params[] = {S_STRING("name", "The property."),
                                               S_STRING("outname", "Name of the field in structured output."),
                                               S_STRING("dateformat", "How a time is written."),
                                               S_BOOL("date.inutc", "Times in UTC."),
                                               S_BOOL("compressspace", "Runs of blanks become one."),
                                               S_STRING("caseconversion", "upper or lower."),
                                               S_STRING("controlcharacters", "escape, space or drop."),
                                               S_STRING("securepath", "drop or replace."),
                                               S_STRING("format", "json, jsonf, jsonr, jsonfr or csv."),
                                               S_STRING("position.from", "First character, from 1."),
                                               S_STRING("position.to", "Last character."),
                                               S_BOOL("position.relativetoend", "Positions count from the end."),
                                               S_INT("field.number", "Which field, from 1."),
                                               S_STRING("field.delimiter", "Number of the character between fields."),
                                               S_STRING("regex.expression", "Only what matches."),
                                               S_STRING("regex.type", "BRE or ERE."),
                                               S_STRING("regex.nomatchmode", "DFLT, BLANK, ZERO or FIELD."),
                                               S_INT("regex.match", "Which match, from 0."),
                                               S_INT("regex.submatch", "Which part of it, from 0."),
                                               S_BOOL("droplastlf", "Without the last line feed."),
                                               S_BOOL("mandatory", "The field is there even when empty."),
                                               S_BOOL("omitifzero", "The field is left out when it is 0."),
                                               S_BOOL("spifno1stsp", "A blank if the text has none in front."),
                                               S_STRING("datatype", "string, number, bool or auto."),
                                               S_STRING("onempty", "keep, skip or null."),
                                               S_BOOL("fixedwidth", "Filled up with blanks."),
                                               {}};
static const struct param constant_params[] = {S_NEEDED("value", "The text."),
                                               S_STRING("outname", "Name of the field in structured output."),
                                               S_STRING("format", "jsonf: as a field."),
                                               {}};
static const struct param include_params[] = {S_STRING("file", "A file, or several by wildcards."),
                                              S_STRING("text", "The text itself."),
                                              S_STRING("mode", "required, optional or abort-if-missing."),
                                              {}};

static const char *const template_types[] = {[TEMPLATE_STRING] = "string",
                                             [TEMPLATE_LIST] = "list",
                                             [TEMPLATE_SUBTREE] = "subtree",
                                             [TEMPLATE_PLUGIN] = "plugin",
                                             NULL};
struct template_settings {
        char *name, *string, *plugin, *subtree;
        int type;
        bool is_stdsql, is_sql, is_json, is_jsonf, is_jsonftree, is_case_sensitive;
};
static const struct param template_params[] = {
        PARAM_STRING(struct template_settings, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Its name."),
        PARAM_CHOICE(struct template_settings, type, .name = "type", .flags = PARAM_IS_REQUIRED,
                     .choices = template_types, .help = "string, list, subtree or plugin."),
        PARAM_STRING(struct template_settings, string, .name = "string", .help = "Text with %properties%."),
        PARAM_STRING(struct template_settings, plugin, .name = "plugin", .help = "Name of a string generator."),
        PARAM_STRING(struct template_settings, subtree, .name = "subtree", .help = "A tree of variables: $!usr."),
        PARAM_BOOL(struct template_settings, is_stdsql, .name = "option.stdsql", .help = "Quotes doubled for SQL."),
        PARAM_BOOL(struct template_settings, is_sql, .name = "option.sql", .help = "Quotes escaped for MySQL."),
        PARAM_BOOL(struct template_settings, is_json, .name = "option.json", .help = "Values escaped for JSON."),
        PARAM_BOOL(struct template_settings, is_jsonf, .name = "option.jsonf", .help = "The whole is a JSON object."),
        PARAM_BOOL(struct template_settings, is_jsonftree, .name = "option.jsonftree",
                   .help = "The same, dotted names as nested objects."),
        PARAM_BOOL(struct template_settings, is_case_sensitive, .name = "option.casesensitive",
                   .help = "Names of variables differ by case."),
        {}};
static const struct settings_type template_type = SETTINGS(struct template_settings, template_params);

struct ruleset_settings {
        char *name;
        struct strings parsers;
};
static const struct param ruleset_params[] = {
        PARAM_STRING(struct ruleset_settings, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Its name."),
        PARAM_STRINGS(struct ruleset_settings, parsers, .name = "parser", .help = "Parsers to try, in order."),
        {}};
static const struct settings_type ruleset_type = SETTINGS(struct ruleset_settings, ruleset_params);

/* ---- Small objects ------------------------------------------------------------------------------ */

/* Checks a list against a table without keeping the values. */
static bool check_list(struct loader *l, struct assignment *list, const struct param *params, struct place place) {
        const struct settings_type type = {.size = sizeof(struct scratch), .params = params};
        struct scratch *scratch = settings_new(&type);
        struct target target = {.params = params, .settings = scratch, .is_set = new_marks(l, params)};
        bool is_right = scratch && target.is_set && fill(l, list, &target, 1, NULL, place);
        settings_free(&type, scratch);
        return is_right;
}

/* With its settings; NULL where it is wrong, or stands in what is left out. */
static struct definition *add_definition(struct loader *l, const char *kind, const struct settings_type *type,
                                         struct assignment *list, struct place place) {
        void *settings = loader_settings(l, type);
        struct target target = {.params = type->params, .settings = settings, .is_set = new_marks(l, type->params)};
        if (!settings || !target.is_set || !fill(l, list, &target, 1, NULL, place) || l->skipping)
                return NULL;
        struct definition *d = loader_alloc(l, sizeof *d);
        if (!d)
                return NULL;
        *d = (struct definition){.place = place, .kind = kind, .assignments = list, .settings = settings};
        d->name = loader_string(l, assignment_text(list, type->params[0].name));
        *l->definition_tail = d;
        l->definition_tail = &d->next;
        return d;
}

static void add_lookup_table(struct loader *l, struct assignment *list, struct place place) {
        add_definition(l, "lookup_table", &lookup_table_type, list, place);
}
static void add_dyn_stats(struct loader *l, struct assignment *list, struct place place) {
        add_definition(l, "dyn_stats", &dyn_stats_type, list, place);
}
static void add_percentile_stats(struct loader *l, struct assignment *list, struct place place) {
        add_definition(l, "percentile_stats", &percentile_stats_type, list, place);
}
static void add_ratelimit(struct loader *l, struct assignment *list, struct place place) {
        add_definition(l, "ratelimit", &ratelimit_type, list, place);
}
/* "+hh:mm": what the parsers of dates read. Zones lie at most 14 hours from UTC. */
static bool is_zone_offset(const char *t) {
        enum { HOURS_MAX = 14 };
        bool has_form = strlen(t) == 6 && (t[0] == '+' || t[0] == '-') && t[3] == ':';
        for (int i = 1; has_form && i < 6; i++)
                has_form = i == 3 || (t[i] >= '0' && t[i] <= '9');
        return has_form && (t[1] - '0') * 10 + t[2] - '0' <= HOURS_MAX && t[4] < '6';
}

static void add_timezone(struct loader *l, struct assignment *list, struct place place) {
        struct definition **end = l->definition_tail;
        const struct definition *d = add_definition(l, "timezone", &timezone_type, list, place);
        const struct assignment *offset = assignment_find(list, "offset");
        if (!d || is_zone_offset(((const struct timezone_settings *)d->settings)->offset))
                return;
        complain(l, offset->value_place, shown_width(offset), CODE_SYNTAX, "an offset such as \"-07:00\", up to 14:59",
                 "timezone offset has invalid format. Must be +/-hh:mm");
        /* Left out again: messages keep their own idea of the zone. */
        l->definition_tail = end;
        *l->definition_tail = NULL;
}

static void add_include(struct loader *l, struct assignment *list, struct place place) {
        if (!check_list(l, list, include_params, place) || l->skipping)
                return;
        const struct assignment *file = assignment_find(list, "file"), *text = assignment_find(list, "text");
        const struct assignment *mode_given = assignment_find(list, "mode");
        static const char *const modes[] = {"required", "optional", "abort-if-missing"};
        size_t mode = 0;
        if (mode_given)
                while (mode < ARRAY_SIZE(modes) && !text_equal_nocase(mode_given->items[0], text_of(modes[mode])))
                        mode++;
        if (mode == ARRAY_SIZE(modes)) {
                complain(l, mode_given->value_place, mode_given->items[0].size + 2, CODE_SYNTAX,
                         "required, optional or abort-if-missing", "invalid include mode");
                return;
        }
        if (!file == !text) {
                complain(l, place, 7, CODE_SYNTAX, NULL, "include must have either \"file\" or \"text\", one of them");
                return;
        }
        if (text)
                include_text(l, text->items[0], text->value_place);
        else
                include_files(l, file->items[0], (enum include_mode)mode, file->value_place, file->items[0].size + 2);
}

static void add_module_object(struct loader *l, struct assignment *list, struct place place) {
        const struct assignment *load = assignment_find(list, "load");
        struct text name = assignment_text(list, "load");
        if (name.size == 0) {
                complain(l, load ? load->value_place : place, 6, CODE_SYNTAX, "module(load=\"imtcp\")",
                         "parameter 'load' required but not specified - fix config");
                return;
        }
        load_module(l, name, list, load->value_place, name.size + 2);
}

/* ---- global() and main_queue() ------------------------------------------------------------------------ */

/* Of a parameter that several global() give, the first counts. */
static void drop_repeated(struct loader *l, struct assignment **list) {
        const struct param *params = global_settings_type.params;
        for (struct assignment **link = list; *link;) {
                const struct assignment *a = *link;
                const struct param *p = param_find(params, a->name);
                if (!p || !l->global_is_set[p - params]) {
                        link = &(*link)->next;
                        continue;
                }
                complain(l, a->name_place, a->name.size, CODE_SYNTAX, "the first one counts",
                         "parameter '%s' specified more than once - one instance is ignored. Fix config", p->name);
                *link = a->next;
        }
}

static void check_prefix(struct loader *l, struct assignment *list) {
        const struct assignment *a = assignment_find(list, "parser.controlcharacterescapeprefix");
        char *prefix = l->config->global->control_prefix;
        if (!a || !prefix || strlen(prefix) == 1)
                return;
        complain(
                l, a->value_place, shown_width(a), CODE_SYNTAX, NULL,
                "parameter 'parser.controlcharacterescapeprefix' must contain exactly one character but contains %zu - "
                "cannot be processed",
                strlen(prefix));
        if (*prefix)
                prefix[1] = '\0';
}

static void add_global(struct loader *l, struct assignment *list, struct place place) {
        drop_repeated(l, &list);
        if (l->skipping)
                return;
        struct target target = {.params = global_settings_type.params,
                                .settings = l->config->global,
                                .is_set = l->global_is_set,
                                .is_lenient = true};
        fill(l, list, &target, 1, NULL, place);
        check_prefix(l, list);
        assignments_append(&l->config->global_assignments, list);
        if (assignment_find(list, "processinternalmessages"))
                l->config->global->internal_is_set = true;
        l->default_queue = NULL;
}

struct queue_settings *main_queue(struct loader *l) {
        if (!l->config->main_queue) {
                l->config->main_queue = queue_settings_new(QUEUE_OF_MAIN, l->config->global);
                loader_own(l, &queue_settings_type, l->config->main_queue);
        }
        return l->config->main_queue;
}

static void add_main_queue(struct loader *l, struct assignment *list, struct place place) {
        if (l->skipping)
                return;
        if (l->config->has_main_queue) {
                complain(l, place, 10, 0, NULL,
                         "main_queue() object can only be specified once - all but first ignored");
                return;
        }
        struct target target = {.params = queue_settings_type.params,
                                .settings = main_queue(l),
                                .is_set = new_marks(l, queue_settings_type.params),
                                .is_lenient = true};
        if (!target.settings || !target.is_set)
                return;
        fill(l, list, &target, 1, "name", place);
        assignments_append(&l->config->main_queue_assignments, list);
        l->config->has_main_queue = true;
}

/* ---- ruleset() -------------------------------------------------------------------------------------------- */

struct ruleset_state *get_ruleset(struct loader *l, struct text name, struct place place) {
        struct ruleset_state *state = names_get(&l->rulesets, name);
        if (state)
                return state;
        state = loader_alloc(l, sizeof *state);
        struct ruleset_def *def = loader_alloc(l, sizeof *def);
        if (!state || !def || !(def->name = loader_string(l, name)))
                return NULL;
        def->place = place;
        *state = (struct ruleset_state){.def = def, .tail = &def->statements};
        if (names_put(&l->rulesets, l->arena, text_of(def->name), state)) {
                l->failure = -ENOMEM;
                return NULL;
        }
        *l->ruleset_tail = def;
        l->ruleset_tail = &def->next;
        return state;
}

struct ruleset_state *ruleset_begin(struct loader *l, struct assignment *list, struct place place) {
        struct ruleset_settings *settings = loader_settings(l, &ruleset_type);
        struct queue_settings *queue = queue_settings_new(QUEUE_OF_RULESET, l->config->global);
        loader_own(l, &queue_settings_type, queue);
        struct target targets[] = {
                {.params = ruleset_params, .settings = settings, .is_set = new_marks(l, ruleset_params)},
                {.params = queue_settings_type.params,
                 .settings = queue,
                 .is_set = new_marks(l, queue_settings_type.params),
                 .is_lenient = true},
        };
        if (!settings || !queue || !targets[0].is_set || !targets[1].is_set ||
            !fill(l, list, targets, ARRAY_SIZE(targets), NULL, place))
                return NULL;
        struct ruleset_state *known = names_get(&l->rulesets, text_of(settings->name));
        if (known || l->skipping) {
                if (known)
                        complain(l, place, 7, CODE_RULESET_TWICE, "this second one is left out",
                                 "error: ruleset '%s' specified more than once", settings->name);
                return NULL;
        }
        struct ruleset_state *state = get_ruleset(l, text_of(settings->name), place);
        if (!state)
                return NULL;
        /* Names that are not known are taken out later, so that the array is not the settings' own. */
        size_t count = settings->parsers.count;
        state->def->parsers.items = loader_alloc(l, (count + 1) * sizeof(char *));
        if (!state->def->parsers.items)
                return NULL;
        if (count)
                memcpy(state->def->parsers.items, settings->parsers.items, count * sizeof(char *));
        state->def->parsers.count = count;
        state->def->assignments = list;
        for (size_t i = 0; queue_settings_type.params[i].name; i++)
                if (targets[1].is_set[i])
                        state->def->queue = queue;
        return state;
}

void ruleset_append(struct ruleset_state *state, struct statement *statements) {
        *state->tail = statements;
        while (*state->tail)
                state->tail = &(*state->tail)->next;
}

static void add_ruleset(struct loader *l, struct assignment *list, struct place place) {
        struct ruleset_state *state = ruleset_begin(l, list, place);
        lex_blank(l);
        struct place opened = loader_place(l, l->at);
        if (!lex_take(l, '{')) {
                complain(l, opened, 1, CODE_SYNTAX, "ruleset(name=\"x\") { ... }", "`{` is expected behind ruleset()");
                return;
        }
        struct statement *statements = NULL;
        l->skipping += state == NULL;
        parse_block(l, &statements, opened);
        l->skipping -= state == NULL;
        if (state)
                ruleset_append(state, statements);
}

/* ---- template() ---------------------------------------------------------------------------------------------- */

void add_template(struct loader *l, struct template_def *def) {
        struct template_def *known = names_get(&l->templates, text_of(def->name));
        if (l->skipping)
                return;
        if (known) {
                /* As in rsyslog: the first counts, but a $template takes the place of a template(). */
                bool replaces = def->has_escapes && !known->has_escapes;
                struct template_def *next = known->next;
                warn(l, def->place, 0, 0, replaces ? "the later one counts" : "the first one counts",
                     "template '%s' is defined more than once", def->name);
                if (replaces)
                        *known = *def;
                known->next = next;
                return;
        }
        if (names_put(&l->templates, l->arena, text_of(def->name), def))
                l->failure = -ENOMEM;
        *l->template_tail = def;
        l->template_tail = &def->next;
}

struct template_part *template_part_new(struct loader *l, bool is_constant, struct assignment *list,
                                        struct place place) {
        struct template_part *part = loader_alloc(l, sizeof *part);
        if (!part || !check_list(l, list, is_constant ? constant_params : property_params, place))
                return NULL;
        *part = (struct template_part){.place = place, .is_constant = is_constant, .assignments = list};
        return part;
}

static bool parse_part(struct loader *l, struct template_part ***tail) {
        struct text word = lex_word(l);
        bool is_constant = text_equal_nocase(word, TEXT("constant"));
        struct place place = loader_place(l, l->at);
        if (!is_constant && !text_equal_nocase(word, TEXT("property"))) {
                complain(l, place, MAX(word.size, (size_t)1), CODE_SYNTAX,
                         "a list template consists of constant(...) and property(...)", "syntax error on token '%.*s'",
                         TEXT_ARGS(word.size ? text_slice(word, 0, 100) : text_slice(lex_rest(l), 0, 1)));
                return false;
        }
        l->at += word.size;
        lex_blank(l);
        if (!lex_take(l, '(')) {
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL, "`(` is expected behind %.*s",
                         TEXT_ARGS(word));
                return false;
        }
        struct assignment *list;
        if (!parse_assignments(l, is_constant ? "constant" : "property", place, &list))
                return false;
        if (!is_enabled(l, list))
                return true;
        struct template_part *part = template_part_new(l, is_constant, list, place);
        if (!part)
                return false;
        **tail = part;
        *tail = &part->next;
        return true;
}

static bool parse_parts(struct loader *l, struct template_def *def) {
        lex_blank(l);
        struct place opened = loader_place(l, l->at);
        if (!lex_take(l, '{')) {
                complain(l, opened, 1, CODE_SYNTAX, "template(name=\"x\" type=\"list\") { property(name=\"msg\") }",
                         "`{` is expected behind a template of type list");
                return false;
        }
        bool is_right = true;
        for (struct template_part **tail = &def->parts;;) {
                lex_blank(l);
                if (lex_take(l, '}'))
                        return is_right;
                if (l->at >= l->source->text.size) {
                        complain(l, opened, 1, CODE_SYNTAX, NULL, "this template is not closed: `}` is missing");
                        return false;
                }
                if (parse_part(l, &tail))
                        continue;
                is_right = false;
                /* Behind a mistake: the next part, the end of the template, or another statement. */
                while (l->at < l->source->text.size && lex_peek(l, 0) != '}' &&
                       !text_starts_nocase(lex_rest(l), TEXT("property(")) &&
                       !text_starts_nocase(lex_rest(l), TEXT("constant("))) {
                        bool is_line_end = lex_peek(l, 0) == '\n';
                        l->at++;
                        if (is_line_end && looks_like_statement(lex_line(l)) && lex_peek(l, 0) != '}')
                                return false;
                }
        }
}

/* All but the parts; `def` NULL: no memory. True: the parameters are right. */
static bool begin_template(struct loader *l, struct assignment *list, struct place place, struct template_def **ret) {
        struct template_settings *settings = loader_settings(l, &template_type);
        struct template_def *def = loader_alloc(l, sizeof *def);
        struct target target = {
                .params = template_params, .settings = settings, .is_set = new_marks(l, template_params)};
        *ret = NULL;
        if (!settings || !def || !target.is_set)
                return false;
        bool is_right = fill(l, list, &target, 1, NULL, place);
        *def = (struct template_def){.place = place,
                                     .name = settings->name,
                                     .kind = (enum template_kind)settings->type,
                                     .is_sql = settings->is_sql,
                                     .is_stdsql = settings->is_stdsql,
                                     .is_json = settings->is_json,
                                     .is_jsonf = settings->is_jsonf,
                                     .is_jsonftree = settings->is_jsonftree,
                                     .is_case_sensitive = settings->is_case_sensitive};
        def->assignments = list;
        *ret = def;
        return is_right;
}

static void end_template(struct loader *l, struct template_def *def, struct assignment *list) {
        static const char *const needed[] = {
                [TEMPLATE_STRING] = "string", [TEMPLATE_SUBTREE] = "subtree", [TEMPLATE_PLUGIN] = "plugin"};
        const struct assignment *value = def->kind == TEMPLATE_LIST ? NULL : assignment_find(list, needed[def->kind]);
        if (def->kind != TEMPLATE_LIST && !value) {
                complain(l, def->place, 8, CODE_SYNTAX, NULL,
                         "template '%s': parameter '%s' required but not specified - fix config", def->name,
                         needed[def->kind]);
                return;
        }
        if (value) {
                def->string_place = value->value_place;
                *(def->kind == TEMPLATE_STRING    ? &def->string
                  : def->kind == TEMPLATE_SUBTREE ? &def->subtree
                                                  : &def->plugin) = value->items[0];
        }
        add_template(l, def);
}

static void add_template_object(struct loader *l, struct assignment *list, struct place place) {
        struct template_def *def;
        bool is_right = begin_template(l, list, place, &def);
        lex_blank(l);
        bool has_parts = lex_peek(l, 0) == '{';
        if (def && (has_parts || (is_right && def->kind == TEMPLATE_LIST)))
                is_right &= parse_parts(l, def);
        if (is_right)
                end_template(l, def, list);
}

void template_add_parts(struct loader *l, struct assignment *list, bool has_parts, struct template_part *parts,
                        struct place place) {
        struct template_def *def;
        if (!begin_template(l, list, place, &def))
                return;
        if (has_parts != (def->kind == TEMPLATE_LIST)) {
                complain(l, place, 1, CODE_SYNTAX, NULL,
                         has_parts ? "only a template of type list has elements"
                                   : "a template of type list needs the key 'elements'");
                return;
        }
        def->parts = parts;
        end_template(l, def, list);
}

/* ---- Dispatch -------------------------------------------------------------------------------------------------- */

static const struct object_name {
        const char *name;
        void (*add)(struct loader *l, struct assignment *list, struct place place);
        bool has_body;
} objects[] = {
        {"global", add_global, false},
        {"main_queue", add_main_queue, false},
        {"module", add_module_object, false},
        {"input", add_input, false},
        {"action", NULL, false},
        {"template", add_template_object, true},
        {"ruleset", add_ruleset, true},
        {"parser", add_parser, false},
        {"include", add_include, false},
        {"lookup_table", add_lookup_table, false},
        {"dyn_stats", add_dyn_stats, false},
        {"percentile_stats", add_percentile_stats, false},
        {"ratelimit", add_ratelimit, false},
        {"timezone", add_timezone, false},
};

static const struct object_name *find_object(struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
                if (text_equal_nocase(name, text_of(objects[i].name)))
                        return &objects[i];
        return NULL;
}

bool is_object_name(struct text name) {
        return name.size && find_object(name);
}

const char *closest_object(struct text name) {
        unsigned best = (unsigned)(name.size + 2) / 3 + 1;
        const char *found = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
                unsigned distance = text_distance(name, text_of(objects[i].name));
                if (distance < best) {
                        best = distance;
                        found = objects[i].name;
                }
        }
        return found;
}

/* The body of an object that is left out, or behind broken parameters. */
static void skip_body(struct loader *l, const struct object_name *object) {
        lex_blank(l);
        struct place opened = loader_place(l, l->at);
        if (!object->has_body || lex_peek(l, 0) != '{')
                return;
        l->skipping++;
        if (object->add == add_template_object)
                parse_parts(l, &(struct template_def){0});
        else {
                l->at++;
                parse_block(l, &(struct statement *){NULL}, opened);
        }
        l->skipping--;
}

void parse_object(struct loader *l, bool is_inside_block) {
        struct text name = lex_word(l);
        const struct object_name *object = find_object(name);
        struct place place = loader_place(l, l->at);
        l->at += name.size;
        lex_blank(l);
        l->at++; /* the parenthesis, by which the caller knew it */
        if (is_inside_block && object->add != add_include)
                complain(l, place, name.size, CODE_SYNTAX, "write it outside of all blocks",
                         "syntax error on token '%s': %s() cannot stand inside a block", object->name, object->name);
        struct assignment *list;
        if (!parse_assignments(l, object->name, place, &list) || !is_enabled(l, list)) {
                skip_body(l, object);
                return;
        }
        object->add(l, list, place);
}

void object_add(struct loader *l, const char *kind, struct assignment *list, struct place place) {
        find_object(text_of(kind))->add(l, list, place);
}
