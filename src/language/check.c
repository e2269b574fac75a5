/*
 * What can be known only when everything has been read: whether the templates,
 * rulesets and parsers that something names are there. As rsyslogd does, an action
 * without its template and a call of nothing are left out, and an input without
 * its ruleset feeds the default one.
 */
#include "language/loader.h"

#include <errno.h>

#include "module/settings.h"

/* ---- Templates -------------------------------------------------------------------------- */

static bool is_template(const struct loader *l, struct text name) {
        if (!l->options->template_names || names_get(&l->templates, name))
                return true;
        for (const char *const *n = l->options->template_names; *n; n++)
                if (text_equal(name, text_of(*n)))
                        return true;
        return false;
}

static const char *closest_template(struct loader *l, struct text name) {
        struct text own = names_closest(&l->templates, name);
        size_t count = 0;
        while (l->options->template_names[count])
                count++;
        const char *builtin = text_closest(name, l->options->template_names, count);
        bool is_own_closer =
                own.data && (!builtin || text_distance(name, own) <= text_distance(name, text_of(builtin)));
        return did_you_mean(l, is_own_closer ? loader_string(l, own) : builtin);
}

/* Whether all templates that settings name exist; those that do not are reported where they are written. */
static bool check_templates(struct loader *l, void *settings, const struct param *params, struct assignment *list,
                            struct place place, const char *consequence) {
        bool is_right = true;
        unsigned number = 0;
        for (const struct param *p = params; p && p->name; p++) {
                if (p->type != PARAM_TYPE_TEMPLATE)
                        continue;
                const char *name;
                memcpy(&name, (const char *)settings + p->offset, sizeof name);
                unsigned this_one = number++;
                if (!name || !*name || is_template(l, text_of(name)))
                        continue;
                const struct assignment *a = assignment_find(list, p->name);
                complain(l, a ? a->value_place : place, a ? shown_width(a) : 0, CODE_TEMPLATE_UNKNOWN,
                         closest_template(l, text_of(name)), " Could not find template %u '%s' - %s", this_one, name,
                         consequence);
                is_right = false;
                if (settings_reset(settings, p))
                        l->failure = -ENOMEM;
        }
        return is_right;
}

static bool check_action(struct loader *l, const struct object *o) {
        return check_templates(l, o->settings, o->module->settings.params, o->assignments, o->place, "action disabled");
}

/* ---- Queues --------------------------------------------------------------------------------- */

static bool is_on_disk(const struct queue_settings *queue) {
        return queue->type == QUEUE_DISK || queue->type == QUEUE_SEGMENTED_DISK || queue->type == QUEUE_DELAY;
}

static void check_queue(struct loader *l, const struct queue_settings *queue, const char *whose, struct place place) {
        if (!queue || queue->type == QUEUE_DIRECT)
                return;
        bool has_name = queue->file_name && *queue->file_name;
        if (is_on_disk(queue) && !has_name)
                warn(l, place, 0, 0, NULL,
                     "queue.type of %s asks for a queue on disk, but there is no queue.fileName: messages wait in "
                     "memory "
                     "(LinkedList)",
                     whose);
        else if (has_name && strchr(queue->file_name, '/'))
                warn(l, place, 0, 0, NULL,
                     "queue.fileName of %s is a path: give the name alone, and the directory as queue.spoolDirectory",
                     whose);
}

/* ---- Rulesets --------------------------------------------------------------------------------- */

static bool is_ruleset(struct loader *l, struct text name) {
        return names_get(&l->rulesets, name) != NULL;
}

static const char *closest_ruleset(struct loader *l, struct text name) {
        struct text closest = names_closest(&l->rulesets, name);
        return closest.data ? did_you_mean(l, loader_string(l, closest)) : NULL;
}

static bool check_call(struct loader *l, const struct statement *s) {
        if (is_ruleset(l, s->name))
                return true;
        complain(l, s->place, 4, CODE_SYNTAX, closest_ruleset(l, s->name), "ruleset '%.*s' cannot be found",
                 TEXT_ARGS(text_slice(s->name, 0, 200)));
        return false;
}

static void check_input(struct loader *l, struct object *o) {
        check_templates(l, o->settings, o->module->settings.params, o->assignments, o->place, "the default is used");
        if (!o->ruleset || is_ruleset(l, text_of(o->ruleset)))
                return;
        const struct assignment *a = assignment_find(o->assignments, "ruleset");
        complain(l, a ? a->value_place : o->place, a ? shown_width(a) : 0, 0, closest_ruleset(l, text_of(o->ruleset)),
                 "%s: ruleset '%s' not found - using default ruleset instead", o->module->name, o->ruleset);
        o->ruleset = NULL;
}

/* What an input() of the module has to say at least. */
static void show_smallest_input(struct buffer *out, const struct module *module) {
        bool shows_any = false;
        buffer_format(out, "input(type=\"%s\"", module->name);
        for (const struct param *p = module->settings.params; p && p->name; p++)
                if (p->flags & PARAM_IS_REQUIRED) {
                        buffer_format(out, " %s=\"...\"", p->name);
                        shows_any = true;
                }
        buffer_text(out, shows_any ? TEXT(")") : TEXT(" ...)"));
}

/* A module that needs an input() and has none receives nothing, which is seldom what was meant. */
static void check_is_used(struct loader *l, const struct loaded_module *loaded) {
        const struct module *module = loaded->module;
        if (module->kind != MODULE_INPUT || !module->input || module->input->module_instance ||
            find_module(l, text_of(module->name))->is_used)
                return;
        _owned_(buffer_fini) struct buffer hint = {0};
        buffer_text(&hint, TEXT("add "));
        show_smallest_input(&hint, module);
        buffer_text(&hint, TEXT(", or do not load the module"));
        (module->needs_objects ? complain : warn)(
                l, loaded->place, 0, CODE_NO_LISTENERS, buffer_string(&hint),
                "%s: module loaded, but no input() uses it - no input will be gathered", module->name);
}

/* ---- Statements ----------------------------------------------------------------------------------- */

/* Leaves out what refers to nothing. */
static void check_statements(struct loader *l, struct statement **link) {
        while (*link) {
                struct statement *s = *link;
                bool is_kept = true;
                if (s->kind == STATEMENT_ACTION)
                        is_kept = check_action(l, s->action);
                else if (s->kind == STATEMENT_CALL)
                        is_kept = check_call(l, s);
                else if (s->kind == STATEMENT_STOP && s->next)
                        warn(l, s->place, 4, CODE_UNREACHABLE, NULL, "STOP is followed by unreachable statements!");
                check_statements(l, &s->body);
                check_statements(l, &s->otherwise);
                /* A filter whose action was left out does nothing; an expression may have effects of its own. */
                if ((s->kind == STATEMENT_SELECTOR || s->kind == STATEMENT_PROPERTY) && !s->body && !s->otherwise)
                        is_kept = false;
                if (is_kept)
                        link = &s->next;
                else {
                        if (s->action)
                                s->action->is_left_out = true;
                        *link = s->next;
                }
        }
}

static void drop_actions(struct loader *l) {
        struct object **link = &l->config->actions_first;
        while (*link) {
                if ((*link)->is_left_out)
                        *link = (*link)->next;
                else
                        link = &(*link)->next;
        }
}

/* ---- Parsers ----------------------------------------------------------------------------------------- */

static bool is_parser(struct loader *l, struct text name) {
        if (names_get(&l->parsers, name))
                return true;
        for (const struct module_state *m = l->module_list; m; m = m->next)
                if (m->loaded->module->kind == MODULE_PARSER && parser_is_called(m->loaded->module, name))
                        return true;
        return false;
}

/* Names that are kept move before the others, so that whoever owns the strings still has each of them once. */
static void check_parsers(struct loader *l, struct ruleset_def *def) {
        size_t kept = 0;
        for (size_t i = 0; i < def->parsers.count; i++) {
                char *name = def->parsers.items[i];
                if (is_parser(l, text_of(name))) {
                        def->parsers.items[i] = def->parsers.items[kept];
                        def->parsers.items[kept++] = name;
                        continue;
                }
                struct text closest = names_closest(&l->parsers, text_of(name));
                complain(l, def->place, 0, CODE_PARSER_UNKNOWN,
                         closest.data ? did_you_mean(l, loader_string(l, closest)) : NULL,
                         "error: parser '%s' unknown at this time (maybe defined too late in rsyslog.conf?)", name);
        }
        def->parsers.count = kept;
}

static void check_queues(struct loader *l) {
        const struct config *c = l->config;
        check_queue(l, c->main_queue, "the main queue", (struct place){0});
        for (const struct ruleset_def *r = c->rulesets; r; r = r->next)
                check_queue(l, r->queue, "this ruleset", r->place);
        for (const struct object *o = c->actions_first; o; o = o->next)
                if (o->has_queue)
                        check_queue(l, o->queue, "this action", o->place);
}

/* ---- The whole -------------------------------------------------------------------------------------------- */

void check_references(struct loader *l) {
        struct config *c = l->config;
        for (struct ruleset_def *r = c->rulesets; r; r = r->next) {
                check_statements(l, &r->statements);
                check_parsers(l, r);
        }
        drop_actions(l);
        for (struct object *o = c->inputs; o; o = o->next)
                check_input(l, o);
        check_queues(l);
        for (struct loaded_module *m = c->modules; m; m = m->next) {
                check_templates(l, m->settings, m->module->module_settings.params, m->assignments, m->place,
                                "the default is used");
                if (!m->module->settings.params)
                        check_object(l, m->module, NULL, m->settings, m->assignments, m->place);
                check_is_used(l, m);
        }
        for (const struct reference *r = l->template_references; r; r = r->next)
                if (!is_template(l, r->name))
                        complain(l, r->place, r->name.size + 2, CODE_TEMPLATE_UNKNOWN, closest_template(l, r->name),
                                 "could not find template '%.*s' of exec_template()",
                                 TEXT_ARGS(text_slice(r->name, 0, 200)));
        if (c->default_ruleset && !is_ruleset(l, text_of(c->default_ruleset))) {
                complain(l, (struct place){0}, 0, CODE_SYNTAX, closest_ruleset(l, text_of(c->default_ruleset)),
                         "$DefaultRuleset: ruleset '%s' cannot be found", c->default_ruleset);
                c->default_ruleset = NULL;
        }
}
