/*
 * What a module makes: module() itself, input(), action(), parser(). Each fills
 * the settings of its module, with what legacy directives prepared for objects
 * of the old form, and lets the module check them.
 */
#include "language/loader.h"

#include <errno.h>

#include "module/log.h"
#include "module/settings.h"

/* ---- The module's own check ----------------------------------------------------------- */

struct check_log {
        struct module_log log;
        struct loader *loader;
        struct assignment *list;
        struct place place;
};

static void emit_check(struct module_log *log, int severity, int code, const char *param, const char *line) {
        struct check_log *mine = CONTAINER_OF(log, struct check_log, log);
        const struct assignment *a = param ? assignment_find(mine->list, param) : NULL;
        struct place place = a ? a->value_place : mine->place;
        const char *prefix = param ? "parameter '" : "", *middle = param ? "': " : "";
        diagnose(mine->loader->diagnostics, (enum severity)MAX(severity, (int)SEVERITY_ERR), code ? code : CODE_SYNTAX,
                 place, 0, NULL, "%s%s%s%s", prefix, param ? param : "", middle, line);
}

int check_object(struct loader *l, const struct module *module, const void *settings, const void *module_settings,
                 struct assignment *list, struct place place) {
        if (!module->check)
                return 0;
        struct check_log log = {.log = {.emit = emit_check}, .loader = l, .list = list, .place = place};
        return module->check(settings, module_settings, &log.log);
}

/* ---- Modules ----------------------------------------------------------------------------- */

static const char *wanted_of(enum module_kind kind) {
        static const char *const objects[] = {[MODULE_INPUT] = "input",
                                              [MODULE_PARSER] = "parser",
                                              [MODULE_OUTPUT] = "action",
                                              [MODULE_MODIFIER] = "action",
                                              [MODULE_LIBRARY] = "module"};
        return objects[kind];
}

static struct text bare_name(struct text name) {
        return text_starts_nocase(name, TEXT("builtin:")) ? text_slice(name, 8, name.size) : name;
}

struct module_state *find_module(struct loader *l, struct text name) {
        return names_get(&l->modules, bare_name(name));
}

/* A module with default settings, known by its name from now on. */
static struct module_state *add_module(struct loader *l, const struct module *module, struct place place) {
        struct module_state *m = loader_alloc(l, sizeof *m);
        struct loaded_module *loaded = loader_alloc(l, sizeof *loaded);
        void *settings = loader_settings(l, &module->module_settings);
        if (!m || !loaded || !settings)
                return NULL;
        *loaded = (struct loaded_module){.place = place, .module = module, .settings = settings};
        m->loaded = loaded;
        m->next = l->module_list;
        if (names_put(&l->modules, l->arena, text_of(module->name), m) || directives_add_module(l, m)) {
                l->failure = -ENOMEM;
                return NULL;
        }
        l->module_list = m;
        *l->module_tail = loaded;
        l->module_tail = &loaded->next;
        return m;
}

void make_always_loaded(struct loader *l) {
        for (const struct module *const *m = registry_builtin(); *m && !l->failure; m++)
                if (registry_is_always_loaded(*m))
                        add_module(l, *m, (struct place){0});
}

void load_module(struct loader *l, struct text name, struct assignment *list, struct place place, size_t width) {
        const struct module *module = NULL;
        _owned_(buffer_fini) struct buffer complaint = {0};
        if (l->skipping)
                return;
        int r = registry_find(l->registry, name, &module, &complaint);
        if (r == -ENOMEM) {
                l->failure = r;
                return;
        }
        if (r) {
                const char *why = buffer_string(&complaint);
                complain(l, place, width, CODE_MODULE_LOAD, NULL, "could not load module '%.*s', errors: %s",
                         TEXT_ARGS(text_slice(name, 0, 200)), why ? why : "");
                return;
        }
        struct module_state *m = find_module(l, text_of(module->name));
        if (m && m->is_explicit) {
                complain(l, place, width, CODE_MODULE_TWICE, "load it once; the first one counts",
                         "module '%s' already in this config, cannot be added", module->name);
                return;
        }
        if (!m && !(m = add_module(l, module, place)))
                return;
        m->is_explicit = true;
        m->loaded->place = place;
        m->loaded->assignments = list;
        struct target target = {.params = module->module_settings.params,
                                .settings = m->loaded->settings,
                                .is_set = new_marks(l, module->module_settings.params)};
        if (target.is_set)
                fill(l, list, &target, 1, "load", place);
}

/* ---- What every object goes through ------------------------------------------------------------ */

struct making {
        struct module_state *module;
        struct object *object;
        struct target targets[3]; /* the module's, and for actions its own and the queue's */
        size_t target_count;
        struct place place;
};

static bool begin(struct loader *l, struct making *m, struct assignment *list) {
        const struct module *module = m->module->loaded->module;
        m->object = loader_alloc(l, sizeof *m->object);
        void *settings = loader_settings(l, &module->settings);
        bool *marks = new_marks(l, module->settings.params);
        if (!m->object || !settings || !marks)
                return false;
        *m->object = (struct object){.place = m->place, .module = module, .settings = settings, .assignments = list};
        m->targets[m->target_count++] =
                (struct target){.params = module->settings.params, .settings = settings, .is_set = marks};
        return true;
}

/* Values that directives prepared: used once, unless their parameter stays. */
static void use_pending(struct loader *l, struct pending **list, struct target *t, struct assignment **assignments) {
        for (struct pending **link = list; *link;) {
                struct pending *p = *link;
                fill_one(l, p->value, p->param, t->settings);
                t->is_set[p->param - t->params] = true;
                struct assignment *copy = loader_alloc(l, sizeof *copy);
                if (copy) {
                        *copy = *p->value;
                        copy->name = text_of(p->param->name);
                        copy->next = *assignments;
                        *assignments = copy;
                }
                if (p->param->flags & PARAM_LEGACY_STAYS)
                        link = &p->next;
                else
                        *link = p->next;
        }
}

/* What a directive said of all objects behind it is written with each: the directive may change before the next. */
static void note_inherited(struct loader *l, struct making *m) {
        const struct param *params = m->object->module->settings.params;
        for (struct assignment *a = m->module->loaded->assignments; a; a = a->next) {
                const struct param *p = a->is_passing ? param_find(params, a->name) : NULL;
                struct assignment *copy = p && !m->targets[0].is_set[p - params] ? loader_alloc(l, sizeof *copy) : NULL;
                if (!copy)
                        continue;
                *copy = *a;
                copy->is_passing = false;
                copy->next = NULL;
                assignments_append(&m->object->assignments, copy);
        }
}

static bool inherit(struct loader *l, struct making *m) {
        const struct module *module = m->module->loaded->module;
        note_inherited(l, m);
        if (!settings_inherit(m->object->settings, module->settings.params, m->targets[0].is_set,
                              m->module->loaded->settings, module->module_settings.params))
                return true;
        l->failure = -ENOMEM;
        return false;
}

static const char *param_string(const void *settings, const struct param *p) {
        char *string = NULL;
        if (p && (p->type == PARAM_TYPE_STRING || p->type == PARAM_TYPE_RULESET))
                memcpy(&string, (const char *)settings + p->offset, sizeof string);
        return string;
}

/* A parameter that the module may have and that the object itself knows, too. */
static const char *common_param(struct loader *l, struct making *m, struct assignment *list, const char *name) {
        const struct param *p = param_find(m->module->loaded->module->settings.params, text_of(name));
        if (p)
                return param_string(m->object->settings, p);
        struct text value = assignment_text(list, name);
        return value.size ? loader_string(l, value) : NULL;
}

/* ---- input() ------------------------------------------------------------------------------------ */

static void link_input(struct loader *l, struct making *m, struct assignment *list) {
        struct object *o = m->object;
        const struct module_state *module = m->module;
        o->ruleset = common_param(l, m, list, "ruleset");
        o->name = common_param(l, m, list, "name");
        /* Of an input of the old form, what directives passed on to it stands by itself. */
        struct assignment *passed_on = o->assignments == list ? NULL : o->assignments;
        o->assignments = list;
        if (passed_on)
                assignments_append(&o->assignments, passed_on);
        if (check_object(l, o->module, o->settings, module->loaded->settings, list, o->place) || l->skipping)
                return;
        *l->input_tail = o;
        l->input_tail = &o->next;
}

static struct module_state *require_module(struct loader *l, struct assignment *list, struct place place,
                                           const char *object, const char *format_of_unknown) {
        const struct assignment *type = assignment_find(list, "type");
        struct text name = assignment_text(list, "type");
        if (!type || name.size == 0) {
                complain(l, place, strlen(object), CODE_SYNTAX, "it names the module that does the work",
                         "parameter 'type' required but not specified - fix config");
                return NULL;
        }
        struct module_state *m = find_module(l, name);
        bool is_wanted = m && strcmp(wanted_of(m->loaded->module->kind), object) == 0;
        if (is_wanted)
                return m;
        const struct module *known = NULL;
        _owned_(buffer_fini) struct buffer why = {0}, hint = {0};
        if (m)
                buffer_format(&hint, "%s makes no %s(), but %s()", m->loaded->module->name, object,
                              wanted_of(m->loaded->module->kind));
        else if (registry_find(l->registry, name, &known, &why) == 0)
                buffer_format(&hint, "it must be loaded before: module(load=\"%s\")", known->name);
        else
                buffer_text(&hint, buffer_as_text(&why));
        complain(l, type->value_place, name.size + 2, CODE_MODULE_UNKNOWN, buffer_string(&hint), "%s '%.*s' is unknown",
                 format_of_unknown, TEXT_ARGS(text_slice(name, 0, 200)));
        return NULL;
}

void add_input(struct loader *l, struct assignment *list, struct place place) {
        struct making m = {.place = place};
        m.module = require_module(l, list, place, "input", "input module name");
        if (!m.module)
                return;
        m.module->is_used |= !l->skipping;
        if (!begin(l, &m, list))
                return;
        if (!fill(l, list, m.targets, m.target_count, "type ruleset name", place) || !inherit(l, &m))
                return;
        link_input(l, &m, list);
}

/* What is another way where directives make the object is written with it, so that a translation has it, too. */
static void use_legacy_defaults(struct loader *l, struct target *t, struct assignment **list, struct place place) {
        for (size_t i = 0; t->params[i].name; i++) {
                if (!(t->params[i].flags & PARAM_LEGACY_OFF) || t->is_set[i])
                        continue;
                struct assignment *a = assignment_add(l, list, t->params[i].name, TEXT("off"), place);
                if (a)
                        t->is_set[i] = fill_one(l, a, &t->params[i], t->settings);
        }
}

void add_legacy_input(struct loader *l, struct module_state *module, const struct param *param,
                      struct assignment *value, struct place place) {
        struct making m = {.module = module, .place = place};
        struct assignment *list = NULL;
        module->is_used |= !l->skipping;
        if (!begin(l, &m, NULL))
                return;
        use_pending(l, &module->pending, &m.targets[0], &list);
        use_legacy_defaults(l, &m.targets[0], &list, place);
        bool is_right = true;
        if (value && value->count && value->items[0].size) {
                is_right = fill_one(l, value, param, m.object->settings);
                m.targets[0].is_set[param - m.targets[0].params] = true;
                value->name = text_of(param->name);
                value->next = list;
                list = value;
        }
        /* Nothing is assigned here; what is required must have been set by directives. */
        is_right = fill(l, NULL, m.targets, m.target_count, NULL, place) && is_right;
        if (is_right && inherit(l, &m))
                link_input(l, &m, list);
}

/* ---- action() ---------------------------------------------------------------------------------------- */

static bool any_mark(const struct target *t) {
        for (size_t i = 0; t->params[i].name; i++)
                if (t->is_set[i])
                        return true;
        return false;
}

/* Actions that say nothing of a queue share one struct: most of thousands of rules are such. */
static struct queue_settings *action_queue(struct loader *l, bool has_queue) {
        if (!has_queue && l->default_queue)
                return l->default_queue;
        struct queue_settings *queue = queue_settings_new(QUEUE_OF_ACTION, l->config->global);
        loader_own(l, &queue_settings_type, queue);
        if (!has_queue)
                l->default_queue = queue;
        return queue;
}

static bool mentions_queue(const struct loader *l, const struct assignment *list, bool is_legacy) {
        for (; list; list = list->next)
                if (text_starts_nocase(list->name, TEXT("queue.")))
                        return true;
        return is_legacy && l->pending_queue;
}

static bool begin_action(struct loader *l, struct making *m, bool has_queue) {
        struct object *o = m->object;
        o->action = action_settings_new();
        loader_own(l, &action_settings_type, o->action);
        o->queue = action_queue(l, has_queue);
        bool *action_marks = new_marks(l, action_settings_type.params);
        bool *queue_marks = new_marks(l, queue_settings_type.params);
        if (!o->action || !o->queue || !action_marks || !queue_marks)
                return false;
        m->targets[m->target_count++] = (struct target){.params = action_settings_type.params,
                                                        .settings = o->action,
                                                        .is_set = action_marks,
                                                        .is_lenient = true};
        m->targets[m->target_count++] = (struct target){
                .params = queue_settings_type.params, .settings = o->queue, .is_set = queue_marks, .is_lenient = true};
        return true;
}

/* What module() says and actions in the old form do not take: they have the default, also in a translation. */
static void pass_over_module(struct loader *l, struct making *m, struct assignment **prepared) {
        struct target *t = &m->targets[0];
        for (const struct assignment *a = m->module->loaded->assignments; a; a = a->next) {
                const struct param *p = param_find(t->params, a->name);
                if (!p || !(p->flags & PARAM_LEGACY_ALONE) || t->is_set[p - t->params])
                        continue;
                t->is_set[p - t->params] = true;
                struct assignment *said =
                        p->dflt ? assignment_add(l, prepared, p->name, text_of(p->dflt), m->place) : NULL;
                if (said)
                        fill_one(l, said, p, t->settings);
        }
}

struct object *make_action(struct loader *l, struct assignment *list, struct place place, bool is_legacy) {
        struct making m = {.place = place};
        m.module = require_module(l, list, place, "action", "module name");
        if (!m.module || !begin(l, &m, list) || !begin_action(l, &m, mentions_queue(l, list, is_legacy)))
                return NULL;
        struct assignment *prepared = NULL;
        if (is_legacy && !l->skipping) {
                use_pending(l, &m.module->pending, &m.targets[0], &prepared);
                pass_over_module(l, &m, &prepared);
                use_pending(l, &l->pending_action, &m.targets[1], &prepared);
                use_pending(l, &l->pending_queue, &m.targets[2], &prepared);
        }
        if (!fill(l, list, m.targets, m.target_count, "type", place) || !inherit(l, &m))
                return NULL;
        struct object *o = m.object;
        o->has_queue = any_mark(&m.targets[2]);
        o->name = o->action->name;
        struct assignment **tail = &o->assignments;
        while (*tail)
                tail = &(*tail)->next;
        *tail = prepared;
        if (check_object(l, o->module, o->settings, m.module->loaded->settings, o->assignments, place) || l->skipping)
                return NULL;
        o->number = ++l->config->action_count;
        *l->action_tail = o;
        l->action_tail = &o->next;
        return o;
}

/* ---- parser() ------------------------------------------------------------------------------------------ */

void add_parser(struct loader *l, struct assignment *list, struct place place) {
        struct making m = {.place = place};
        struct text name = assignment_text(list, "name");
        if (name.size == 0) {
                complain(l, place, 6, CODE_SYNTAX, NULL, "parameter 'name' required but not specified - fix config");
                return;
        }
        m.module = require_module(l, list, place, "parser", "parser module name");
        if (!m.module || !begin(l, &m, list))
                return;
        if (!fill(l, list, m.targets, m.target_count, "type name", place) || !inherit(l, &m))
                return;
        struct object *o = m.object;
        if (check_object(l, o->module, o->settings, m.module->loaded->settings, list, place) || l->skipping)
                return;
        struct parser_def *def = loader_alloc(l, sizeof *def);
        o->name = loader_string(l, name);
        if (!def || !o->name)
                return;
        *def = (struct parser_def){.name = o->name, .object = o};
        if (names_put(&l->parsers, l->arena, text_of(o->name), def))
                l->failure = -ENOMEM;
        *l->parser_tail = def;
        l->parser_tail = &def->next;
}
