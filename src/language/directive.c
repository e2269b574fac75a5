/*
 * $Directives: a name and the rest of the line.
 *
 * Most are parameters by another name. A module's prepare its next object of the
 * old form (an action behind a selector, or the input that one of them makes) and
 * are used up by it, unless the parameter stays; those of global() and the main
 * queue hold at once. Objects of the new form never see them. The few that are
 * more than a parameter have a function here.
 */
#include "language/loader.h"

#include <errno.h>

#include "base/fail.h"
#include "module/settings.h"

struct line {
        struct text name;
        struct text value; /* trimmed, with what may be a comment behind it */
        size_t at;         /* of the value */
        struct place place;
};

/* ---- Which parameter ------------------------------------------------------------------------ */

static int add_name(struct loader *l, struct text name, struct directive d) {
        const struct directive *known = names_get(&l->directives, name);
        /* What makes an object wins over what only describes it; else the first stays. */
        bool is_better = known && known->module == d.module && d.module && (d.param->flags & PARAM_LEGACY_CREATES);
        if (known && !is_better)
                return 0;
        struct directive *kept = loader_alloc(l, sizeof *kept);
        if (!kept)
                return -ENOMEM;
        *kept = d;
        return names_put(&l->directives, l->arena, name, kept);
}

/* Every word of `legacy` in a table; with a prefix, those that begin so. */
static int add_table(struct loader *l, const struct param *params, enum directive_target target,
                     struct module_state *module, const char *prefix) {
        for (const struct param *p = params; p && p->name; p++)
                for (const char *at = p->legacy; at && *at;) {
                        struct text word = {at, strcspn(at, " ")};
                        at += word.size;
                        at += strspn(at, " ");
                        if (prefix && !text_starts_nocase(word, text_of(prefix)))
                                continue;
                        int r = add_name(l, word, (struct directive){.target = target, .param = p, .module = module});
                        if (r)
                                return pass(r);
                }
        return 0;
}

int directives_init(struct loader *l) {
        int r = add_table(l, global_settings_type.params, DIRECTIVE_GLOBAL, NULL, NULL);
        if (!r)
                r = add_table(l, queue_settings_type.params, DIRECTIVE_MAIN_QUEUE, NULL, "MainMsgQueue");
        if (!r)
                r = add_table(l, queue_settings_type.params, DIRECTIVE_ACTION_QUEUE, NULL, "ActionQueue");
        if (!r)
                r = add_table(l, action_settings_type.params, DIRECTIVE_ACTION, NULL, NULL);
        return r;
}

int directives_add_module(struct loader *l, struct module_state *m) {
        const struct module *module = m->loaded->module;
        int r = add_table(l, module->settings.params, DIRECTIVE_OBJECT, m, NULL);
        return r ? r : add_table(l, module->module_settings.params, DIRECTIVE_MODULE, m, NULL);
}

/* ---- Values ------------------------------------------------------------------------------------ */

static void complain_rest(struct loader *l, const struct line *line, struct text rest) {
        complain(l, loader_place(l, line->at + (size_t)(rest.data - line->value.data)), rest.size, 0,
                 "a directive takes one value; a comment begins with #",
                 "error: extra characters in config line ignored: '%.*s'", TEXT_ARGS(text_slice(rest, 0, 200)));
}

/* The first word of the value, or what stands in quotes; the rest must be a comment. */
static struct text take_word(struct loader *l, const struct line *line) {
        struct text v = line->value;
        size_t from = 0, to = 0, behind;
        if (v.size && v.data[0] == '"') {
                const char *end = memchr(v.data + 1, '"', v.size - 1);
                from = 1;
                to = end ? (size_t)(end - v.data) : v.size;
                behind = MIN(to + 1, v.size);
        } else {
                while (to < v.size && v.data[to] != ' ' && v.data[to] != '\t')
                        to++;
                behind = to;
        }
        struct text rest = text_trim(text_slice(v, behind, v.size));
        if (rest.size && rest.data[0] != '#')
                complain_rest(l, line, rest);
        return text_slice(v, from, to);
}

/* Numbers of old may be grouped ("10,000"), and a leading zero means nothing. */
static struct text plain_number(struct loader *l, struct text word) {
        char *digits = loader_alloc(l, word.size + 1);
        size_t size = 0, at = 0;
        if (!digits)
                return word;
        if (word.size && word.data[0] == '-')
                digits[size++] = word.data[at++];
        while (at + 1 < word.size && word.data[at] == '0' && word.data[at + 1] >= '0' && word.data[at + 1] <= '9')
                at++;
        for (; at < word.size; at++)
                if (word.data[at] != ',' && word.data[at] != '.')
                        digits[size++] = word.data[at];
        return (struct text){digits, size};
}

static struct assignment *value_of(struct loader *l, const struct line *line, const struct param *p) {
        struct text word = take_word(l, line);
        if (p->type == PARAM_TYPE_INT || p->type == PARAM_TYPE_SIZE)
                word = plain_number(l, word);
        struct assignment *list = NULL;
        struct assignment *a = assignment_add(l, &list, "", word, loader_place(l, line->at));
        if (a) {
                a->name = loader_text(l, line->name);
                a->name_place = line->place;
        }
        return a;
}

/* A list grows with each directive; anything else is replaced. */
static void prepare(struct loader *l, struct pending **list, const struct param *param, struct assignment *value) {
        struct pending **link = list;
        while (*link && (*link)->param != param)
                link = &(*link)->next;
        if (!*link) {
                struct pending *fresh = loader_alloc(l, sizeof *fresh);
                if (!fresh)
                        return;
                *fresh = (struct pending){.param = param, .value = value};
                *link = fresh;
                return;
        }
        if (param->type != PARAM_TYPE_STRINGS) {
                (*link)->value = value;
                return;
        }
        const struct assignment *old = (*link)->value;
        struct text *items = loader_alloc(l, (old->count + value->count) * sizeof *items);
        if (!items)
                return;
        memcpy(items, old->items, old->count * sizeof *items);
        memcpy(items + old->count, value->items, value->count * sizeof *items);
        value->items = items;
        value->count += old->count;
        value->is_array = true;
        (*link)->value = value;
}

/* Sets a value in a scratch struct, so that a mistake is told where it stands, not where it is used. */
static bool is_valid(struct loader *l, const struct assignment *value, const struct param *param) {
        struct param table[] = {*param, {0}};
        table[0].offset = 0;
        table[0].dflt = NULL;
        const struct settings_type type = {.size = sizeof(struct strings), .params = table};
        void *scratch = settings_new(&type);
        bool is_right = scratch && fill_one(l, value, &table[0], scratch);
        settings_free(&type, scratch);
        return is_right;
}

/* What directives set is found with the object's parameters; of one that is set twice the last counts. */
static void note_assignment(struct assignment **list, struct assignment *value, const struct param *p) {
        while (*list && !text_equal_nocase((*list)->name, text_of(p->name)))
                list = &(*list)->next;
        value->name = text_of(p->name);
        value->next = *list ? (*list)->next : NULL;
        *list = value;
}

static void apply(struct loader *l, const struct line *line, const struct directive *d) {
        const struct param *p = d->param;
        struct assignment *value = value_of(l, line, p);
        if (!value || l->skipping)
                return;
        if (p->flags & PARAM_IS_OBSOLETE)
                warn(l, line->place, line->name.size + 1, 0, p->help, "$%.*s is obsolete", TEXT_ARGS(line->name));
        switch (d->target) {
        case DIRECTIVE_GLOBAL:
                if (fill_one(l, value, p, l->config->global))
                        note_assignment(&l->config->global_assignments, value, p);
                break;
        case DIRECTIVE_MAIN_QUEUE:
                if (main_queue(l) && fill_one(l, value, p, l->config->main_queue)) {
                        prepare(l, &l->main_queue_values, p, value);
                        struct assignment *copy = loader_alloc(l, sizeof *copy);
                        if (!copy)
                                break;
                        *copy = *value;
                        note_assignment(&l->config->main_queue_assignments, copy, p);
                }
                break;
        case DIRECTIVE_MODULE:
                if (fill_one(l, value, p, d->module->loaded->settings)) {
                        const struct param *inherited =
                                param_find(d->module->loaded->module->settings.params, text_of(p->name));
                        value->is_passing = inherited && (inherited->flags & PARAM_INHERITS);
                        note_assignment(&d->module->loaded->assignments, value, p);
                }
                break;
        case DIRECTIVE_OBJECT:
                if (p->flags & PARAM_LEGACY_CREATES)
                        add_legacy_input(l, d->module, p, value, line->place);
                else if (is_valid(l, value, p))
                        prepare(l, &d->module->pending, p, value);
                break;
        case DIRECTIVE_ACTION:
                if (is_valid(l, value, p))
                        prepare(l, &l->pending_action, p, value);
                break;
        case DIRECTIVE_ACTION_QUEUE:
                if (is_valid(l, value, p))
                        prepare(l, &l->pending_queue, p, value);
                break;
        }
}

/* ---- More than a parameter ---------------------------------------------------------------------------- */

static void do_mod_load(struct loader *l, const struct line *line) {
        struct text name = take_word(l, line);
        load_module(l, name, NULL, loader_place(l, line->at), name.size);
}

static void do_include(struct loader *l, const struct line *line) {
        struct text pattern = take_word(l, line);
        include_files(l, pattern, INCLUDE_REQUIRED, loader_place(l, line->at), pattern.size);
}

/* Takes text up to a comma, which goes too. */
static struct text take_part(struct text *rest) {
        const char *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
        size_t size = comma ? (size_t)(comma - rest->data) : rest->size;
        struct text part = text_trim(text_slice(*rest, 0, size));
        *rest = text_slice(*rest, size + 1, rest->size);
        return part;
}

/* Where the quote that ends a template is. A property's regular expression may hold quotes and ends with --end. */
static size_t template_end(struct text t) {
        for (size_t at = 0; at < t.size;) {
                if (t.data[at] == '"')
                        return at;
                if (t.data[at] == '\\') {
                        at += 2;
                        continue;
                }
                if (t.data[at++] != '%')
                        continue;
                struct text rest = text_slice(t, at, t.size);
                const char *percent = rest.size ? memchr(rest.data, '%', rest.size) : NULL;
                ptrdiff_t regex = text_find(rest, TEXT(":R,")), end = text_find(rest, TEXT("--end"));
                if (regex >= 0 && end > regex && percent && regex < percent - rest.data) {
                        at += (size_t)end + 5;
                        rest = text_slice(t, at, t.size);
                        percent = rest.size ? memchr(rest.data, '%', rest.size) : NULL;
                }
                if (!percent)
                        continue;
                at += (size_t)(percent - rest.data) + 1;
        }
        return t.size;
}

static void read_template_options(struct loader *l, const struct line *line, struct template_def *def,
                                  struct text rest) {
        while (rest.size) {
                struct text option = take_part(&rest);
                if (text_starts(option, TEXT("#")))
                        return;
                for (size_t i = 0; i < option.size; i++)
                        if (option.data[i] == '#')
                                option = text_trim(text_slice(option, 0, i));
                if (text_equal_nocase(option, TEXT("sql")))
                        def->is_sql = true;
                else if (text_equal_nocase(option, TEXT("stdsql")))
                        def->is_stdsql = true;
                else if (text_equal_nocase(option, TEXT("json")))
                        def->is_json = true;
                else if (text_equal_nocase(option, TEXT("casesensitive")))
                        def->is_case_sensitive = true;
                else if (option.size && !text_equal_nocase(option, TEXT("nosql")))
                        complain(l, loader_place(l, line->at + (size_t)(option.data - line->value.data)), option.size,
                                 CODE_SYNTAX, "there are sql, stdsql, nosql, json and casesensitive",
                                 "unknown template option '%.*s'", TEXT_ARGS(text_slice(option, 0, 100)));
        }
}

static void do_template(struct loader *l, const struct line *line) {
        struct text rest = line->value;
        struct text name = take_part(&rest);
        rest = text_trim(rest);
        struct template_def *def = loader_alloc(l, sizeof *def);
        if (!def)
                return;
        *def = (struct template_def){.place = line->place, .kind = TEMPLATE_STRING, .has_escapes = true};
        def->name = loader_string(l, name);
        bool is_plugin = text_starts(rest, TEXT("="));
        if (name.size == 0 || rest.size == 0 || (!is_plugin && rest.data[0] != '"')) {
                complain(l, line->place, line->name.size + 1, CODE_SYNTAX, "$template name,\"text %property%\\n\"",
                         "a name and a text in quotes are expected behind $template");
                return;
        }
        size_t at = line->at + (size_t)(rest.data - line->value.data);
        def->string_place = loader_place(l, at + 1);
        if (is_plugin) {
                rest = text_slice(rest, 1, rest.size);
                def->kind = TEMPLATE_PLUGIN;
                def->has_escapes = false;
                def->plugin = loader_text(l, take_part(&rest));
        } else {
                rest = text_slice(rest, 1, rest.size);
                size_t end = template_end(rest);
                def->string = loader_text(l, text_slice(rest, 0, end));
                if (end >= rest.size) {
                        complain(l, loader_place(l, at), 1, CODE_SYNTAX, NULL,
                                 "the text of template '%.*s' has no closing \"", TEXT_ARGS(name));
                        return;
                }
                rest = text_trim(text_slice(rest, end + 1, rest.size));
                bool has_options = text_starts(rest, TEXT(","));
                if (rest.size && !has_options && rest.data[0] != '#')
                        complain_rest(l, line, rest);
                rest = has_options ? text_slice(rest, 1, rest.size) : TEXT_NONE;
        }
        read_template_options(l, line, def, rest);
        add_template(l, def);
}

static void do_outchannel(struct loader *l, const struct line *line) {
        struct text rest = line->value;
        struct text name = take_part(&rest), path = take_part(&rest), size = take_part(&rest);
        struct outchannel_def *def = loader_alloc(l, sizeof *def);
        if (!def)
                return;
        if (name.size == 0 || path.size == 0 || (size.size && text_to_int(size, &def->bytes_max)) ||
            def->bytes_max < 0) {
                complain(l, line->place, line->name.size + 1, CODE_SYNTAX, "$outchannel name,/path,bytes,/command",
                         "a name, a path and a size in bytes are expected behind $outchannel");
                return;
        }
        def->name = loader_string(l, name);
        def->path = loader_text(l, path);
        def->command = loader_text(l, text_trim(rest));
        if (!def->name || names_put(&l->outchannels, l->arena, text_of(def->name), def))
                return;
        *l->outchannel_tail = def;
        l->outchannel_tail = &def->next;
}

static void do_ruleset(struct loader *l, const struct line *line) {
        struct text name = take_word(l, line);
        struct ruleset_state *state = name.size ? get_ruleset(l, name, line->place) : NULL;
        if (state)
                l->ruleset = state;
}

static void do_default_ruleset(struct loader *l, const struct line *line) {
        l->config->default_ruleset = loader_string(l, take_word(l, line));
}

static int append_string(struct loader *l, struct strings *s, struct text value) {
        char **items = loader_alloc(l, (s->count + 1) * sizeof *items);
        if (!items)
                return -ENOMEM;
        if (s->count)
                memcpy(items, s->items, s->count * sizeof *items);
        items[s->count] = (char *)loader_string(l, value);
        *s = (struct strings){.items = items, .count = s->count + 1};
        return 0;
}

static void do_ruleset_parser(struct loader *l, const struct line *line) {
        append_string(l, &l->ruleset->def->parsers, take_word(l, line));
}

static bool read_switch(struct loader *l, const struct line *line, bool is_on) {
        static const struct param flag = {.type = PARAM_TYPE_BOOL, .name = "value"};
        const struct assignment *value = value_of(l, line, &flag);
        if (value)
                fill_one(l, value, &flag, &is_on);
        return is_on;
}

/* The ruleset gets a queue as $MainMsgQueue... describes one so far. */
static void do_ruleset_queue(struct loader *l, const struct line *line) {
        if (!read_switch(l, line, false)) {
                l->ruleset->def->queue = NULL;
                l->ruleset->def->assignments = NULL;
                return;
        }
        struct queue_settings *queue = queue_settings_new(QUEUE_OF_RULESET, l->config->global);
        loader_own(l, &queue_settings_type, queue);
        for (const struct pending *p = l->main_queue_values; p && queue; p = p->next) {
                struct assignment *copy = loader_alloc(l, sizeof *copy);
                fill_one(l, p->value, p->param, queue);
                if (!copy)
                        return;
                *copy = *p->value;
                note_assignment(&l->ruleset->def->assignments, copy, p->param);
        }
        l->ruleset->def->queue = queue;
}

static void do_reset(struct loader *l, const struct line *line) {
        l->pending_action = NULL;
        l->pending_queue = NULL;
        for (struct module_state *m = l->module_list; m; m = m->next)
                m->pending = NULL;
}

static void do_allowed_sender(struct loader *l, const struct line *line) {
        static const char *const protocols[] = {"UDP", "TCP", "GSS"};
        struct text rest = line->value;
        struct text protocol = take_part(&rest);
        struct allowed_senders *list = loader_alloc(l, sizeof *list);
        if (!list)
                return;
        list->place = line->place;
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                if (text_equal_nocase(protocol, text_of(protocols[i])))
                        list->protocol = protocols[i];
        while (rest.size) {
                struct text sender = take_part(&rest);
                const char *comment = sender.size ? memchr(sender.data, '#', sender.size) : NULL;
                if (comment) {
                        sender = text_trim(text_slice(sender, 0, (size_t)(comment - sender.data)));
                        rest = TEXT_NONE;
                }
                if (sender.size && list->senders.count < ARRAY_ITEMS_MAX / 64 &&
                    append_string(l, &list->senders, sender))
                        return;
        }
        if (!list->protocol || !list->senders.count) {
                complain(l, line->place, line->name.size + 1, CODE_SYNTAX,
                         "$AllowedSender UDP, 192.0.2.0/24, *.example.net",
                         "a protocol (UDP or TCP) and addresses are expected behind $AllowedSender");
                return;
        }
        *l->allowed_tail = list;
        l->allowed_tail = &list->next;
}

static void do_repeated(struct loader *l, const struct line *line) {
        l->config->reduces_repeated = read_switch(l, line, l->config->reduces_repeated);
}

static void do_status(struct loader *l, const struct line *line) {
        l->config->logs_status = read_switch(l, line, l->config->logs_status);
}

/* Known, harmless and without effect here. */
static void do_nothing(struct loader *l, const struct line *line) {
        note(l, line->place, line->name.size + 1, "it can be removed", "$%.*s has no effect", TEXT_ARGS(line->name));
}

static const struct special {
        const char *name;
        void (*run)(struct loader *l, const struct line *line);
} specials[] = {
        {"ModLoad", do_mod_load},
        {"IncludeConfig", do_include},
        {"template", do_template},
        {"outchannel", do_outchannel},
        {"RuleSet", do_ruleset},
        {"DefaultRuleset", do_default_ruleset},
        {"RulesetParser", do_ruleset_parser},
        {"RulesetCreateMainQueue", do_ruleset_queue},
        {"ResetConfigVariables", do_reset},
        {"AllowedSender", do_allowed_sender},
        {"RepeatedMsgReduction", do_repeated},
        {"LogRSyslogStatusMessages", do_status},
        {"ErrorMessagesToStderr", do_nothing},
        {"LocalHostIPIF", do_nothing},
        {"ModDir", do_nothing},
        {"Sleep", do_nothing},
        {"GenerateConfigGraph", do_nothing},
        {"DebugLevel", do_nothing},
        {"DebugPrintCFSyslineHandlerList", do_nothing},
        {"DebugPrintKernelSymbols", do_nothing},
        {"DebugPrintModuleList", do_nothing},
        {"DebugPrintTemplateList", do_nothing},
};

/* ---- Dispatch --------------------------------------------------------------------------------------------- */

static const struct special *find_special(struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
                if (text_equal_nocase(name, text_of(specials[i].name)))
                        return &specials[i];
        return NULL;
}

/* The module that would know the directive, were it loaded. */
static const struct module *module_of(struct text name) {
        for (const struct module *const *m = registry_builtin(); *m; m++) {
                const struct param *tables[] = {(*m)->settings.params, (*m)->module_settings.params};
                for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
                        for (const struct param *p = tables[t]; p && p->name; p++)
                                if (param_list_has(p->legacy, name))
                                        return *m;
        }
        return NULL;
}

static void complain_unknown(struct loader *l, const struct line *line) {
        const struct module *module = is_heard(l) ? module_of(line->name) : NULL;
        const char *replacement = is_heard(l) ? directive_replacement(line->name) : NULL;
        _owned_(buffer_fini) struct buffer hint = {0};
        if (module)
                buffer_format(&hint, "it belongs to %s: write module(load=\"%s\") before it", module->name,
                              module->name);
        else if (replacement)
                buffer_text(&hint, text_of(replacement));
        else if (is_heard(l)) {
                struct text closest = names_closest(&l->directives, line->name);
                unsigned best = closest.data ? text_distance(line->name, closest) : UINT32_MAX;
                for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
                        unsigned distance = text_distance(line->name, text_of(specials[i].name));
                        if (distance < best && distance <= (line->name.size + 2) / 3) {
                                best = distance;
                                closest = text_of(specials[i].name);
                        }
                }
                if (closest.data)
                        buffer_format(&hint, "did you mean `$%.*s`?", TEXT_ARGS(closest));
        }
        complain(l, line->place, line->name.size + 1, CODE_DIRECTIVE_UNKNOWN, hint.size ? buffer_string(&hint) : NULL,
                 "invalid or yet-unknown config file command '%.*s' - have you forgotten to load a module?",
                 TEXT_ARGS(text_slice(line->name, 0, 200)));
}

void parse_directive(struct loader *l) {
        struct line line = {.place = loader_place(l, l->at)};
        l->at++;
        line.name = lex_word(l);
        l->at += line.name.size;
        struct text rest = lex_line(l);
        line.value = text_trim(rest);
        line.at = l->at + (size_t)(line.value.data - rest.data);
        /* An include reads another text next, so this line is done with first. */
        size_t end = l->at + rest.size;
        l->at = end;
        if (text_starts(line.value, TEXT("#")))
                line.value.size = 0;
        const struct directive *d = names_get(&l->directives, line.name);
        const struct special *special = d ? NULL : find_special(line.name);
        if (d)
                apply(l, &line, d);
        else if (special && !l->skipping)
                special->run(l, &line);
        else if (!special)
                complain_unknown(l, &line);
}
