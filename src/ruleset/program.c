#include "ruleset/program.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "ruleset/filter.h"

struct step {
        void (*execute)(const struct step *step, struct run *run, struct batch *b, const uint16_t *selection,
                        size_t count);
        struct step *next;
        const struct statement *statement;
        bool may_stop; /* some record may not go on after this step */
        struct filter *filter;
        struct step *body, *otherwise;
        struct delivery *delivery;
        uint32_t group; /* of the steps that share the delivery, from 1; 0: it is this step's own */
        const struct action_settings *action;
        const struct modifier_ops *modifier;
        void *instance;
        struct expression *value; /* of set, reset; the collection of foreach; the name of call_indirect */
        char *ruleset;
};

struct program {
        struct step *steps;
        bool is_one_by_one;
        bool changes_records; /* a statement after an action could change what that action was given */
        uint32_t groups;      /* of steps that share a delivery */
};

/* ---- Following a record ----------------------------------------------------- */

static bool is_in(const uint16_t *selection, size_t count, uint16_t record) {
        for (size_t i = 0; i < count; i++)
                if (selection[i] == record)
                        return true;
        return false;
}

/* Whether the record that somebody follows is among these. */
static bool is_followed(const struct run *run, const struct batch *b, const uint16_t *selection, size_t count) {
        return run->trace->batch == b && is_in(selection, count, run->trace->record);
}

static void tell(const struct step *s, struct run *run, struct batch *b, enum trace_event event) {
        run->trace->tell(run->trace, event, s->statement, s->delivery, run, b);
}

static void tell_condition(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                           size_t count, const uint16_t *yes, size_t passed) {
        if (is_followed(run, b, selection, count))
                tell(s, run, b, is_in(yes, passed, run->trace->record) ? TRACE_PASSED : TRACE_NOT);
}

static void tell_action(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count,
                        const uint16_t *missed, size_t lost) {
        if (is_followed(run, b, selection, count))
                tell(s, run, b,
                     delivery_queue(s->delivery)               ? TRACE_QUEUED
                     : is_in(missed, lost, run->trace->record) ? TRACE_MISSED
                                                               : TRACE_DELIVERED);
}

static void execute_followed(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                             size_t count);

/* ---- Running -------------------------------------------------------------- */

static void run_steps(const struct step *first, struct run *run, struct batch *b, const uint16_t *selection,
                      size_t count) {
        struct selections *lists = &run->evaluation.selections;
        uint16_t *living = selections_take(lists, count);
        for (const struct step *s = first; s && count; s = s->next) {
                if (UNLIKELY(run->trace != NULL))
                        execute_followed(s, run, b, selection, count);
                else
                        s->execute(s, run, b, selection, count);
                if (!s->may_stop || !run->has_stopped)
                        continue;
                size_t kept = 0;
                for (size_t i = 0; i < count; i++)
                        if (!run->is_stopped[selection[i]])
                                living[kept++] = selection[i];
                selection = living;
                count = kept;
        }
        selections_give(lists, living);
}

static void execute_filter(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                           size_t count) {
        struct selections *lists = &run->evaluation.selections;
        uint16_t *yes = selections_take(lists, count), *no = selections_take(lists, count);
        size_t passed = filter_narrow(s->filter, &run->evaluation, b, selection, count, yes, s->otherwise ? no : NULL);
        if (UNLIKELY(run->trace != NULL))
                tell_condition(s, run, b, selection, count, yes, passed);
        if (passed)
                run_steps(s->body, run, b, yes, passed);
        if (s->otherwise && passed < count)
                run_steps(s->otherwise, run, b, no, count - passed);
        selections_give(lists, yes);
}

static void note_missed(struct run *run, const uint16_t *missed, size_t count) {
        if (run->has_missed)
                memset(run->is_missed, 0, sizeof run->is_missed);
        run->has_missed = count > 0;
        for (size_t i = 0; i < count; i++)
                run->is_missed[missed[i]] = 1;
}

static void execute_action(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                           size_t count) {
        struct selections *lists = &run->evaluation.selections;
        uint16_t *missed = selections_take(lists, count), *wanted = selections_take(lists, count);
        if (s->action->exec_only_when_previous_is_suspended) {
                size_t kept = 0;
                for (size_t i = 0; i < count; i++)
                        if (run->has_missed && run->is_missed[selection[i]])
                                wanted[kept++] = selection[i];
                selection = wanted;
                count = kept;
        }
        size_t lost = delivery_submit(s->delivery, b, selection, count, missed);
        if (UNLIKELY(run->trace != NULL))
                tell_action(s, run, b, selection, count, missed, lost);
        note_missed(run, missed, lost);
        run->evaluation.previous = s->delivery;
        selections_give(lists, missed);
}

/* ---- Shared deliveries ------------------------------------------------------- */

/* Merges ascending `more` into the list; equal numbers stay side by side. False without memory. */
static bool collect(struct collected *c, const uint16_t *more, size_t count) {
        if (c->capacity - c->count < count) {
                size_t capacity = MAX(c->capacity * 2, c->count + count + BATCH_RECORDS_MAX);
                uint16_t *grown = realloc(c->records, capacity * sizeof *grown);
                if (!grown)
                        return false;
                c->records = grown;
                c->capacity = capacity;
        }
        /* From the end, so that nothing is overwritten before it has moved. */
        size_t old = c->count, at = c->count + count;
        c->count = at;
        while (count)
                c->records[--at] = old && c->records[old - 1] > more[count - 1] ? c->records[--old] : more[--count];
        return true;
}

static void deliver_collected(struct run *run, struct batch *b) {
        for (size_t i = 0; i < run->collected_count; i++) {
                struct collected *c = &run->collected[i];
                for (size_t at = 0; at < c->count; at += BATCH_RECORDS_MAX)
                        delivery_submit(c->delivery, b, c->records + at, MIN(c->count - at, (size_t)BATCH_RECORDS_MAX),
                                        NULL);
                c->count = 0;
        }
}

static void execute_shared_action(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                                  size_t count) {
        if (run->collected_count < s->group) {
                struct collected *grown = realloc(run->collected, s->group * sizeof *grown);
                if (!grown) {
                        delivery_submit(s->delivery, b, selection, count, NULL);
                        return;
                }
                memset(grown + run->collected_count, 0, (s->group - run->collected_count) * sizeof *grown);
                run->collected = grown;
                run->collected_count = s->group;
        }
        struct collected *c = &run->collected[s->group - 1];
        c->delivery = s->delivery;
        if (!collect(c, selection, count))
                delivery_submit(s->delivery, b, selection, count, NULL);
}

static void execute_modifier(const struct step *s, struct run *run _unused_, struct batch *b, const uint16_t *selection,
                             size_t count) {
        s->modifier->modify(s->instance, b, selection, count);
}

static void execute_stop(const struct step *s _unused_, struct run *run, struct batch *b _unused_,
                         const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                run->is_stopped[selection[i]] = 1;
        run->has_stopped = true;
}

static void execute_nothing(const struct step *s _unused_, struct run *run _unused_, struct batch *b _unused_,
                            const uint16_t *selection _unused_, size_t count _unused_) {
}

static void execute_set(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                        size_t count) {
        const struct expr *variable = s->statement->variable;
        bool resets = s->statement->kind == STATEMENT_RESET;
        unsigned how =
                (resets ? VARIABLE_RESETS : 0u) | (run->context.is_case_sensitive ? VARIABLE_IS_CASE_SENSITIVE : 0u);
        struct evaluation *ev = &run->evaluation;
        ev->batch = b;
        for (size_t i = 0; i < count; i++) {
                struct record *r = ev->record = &b->records[selection[i]];
                struct value v = expression_eval(s->value, ev);
                bool is_global = variable->scope == '/';
                struct json *value = value_to_json(&v, is_global ? &ev->arena : &b->arena);
                if (value && is_global)
                        globals_set(run->context.globals, variable->string, value, resets);
                else if (value)
                        variable_set(b, r, variable->scope, variable->string, value, how);
                evaluation_forget(ev);
        }
}

static void execute_unset(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                          size_t count) {
        const struct expr *variable = s->statement->variable;
        for (size_t i = 0; i < count; i++) {
                if (variable->scope == '/')
                        globals_unset(run->context.globals, variable->string);
                else
                        variable_unset(&b->records[selection[i]], variable->scope, variable->string,
                                       run->context.is_case_sensitive);
        }
}

/* A ruleset with a queue gets a view of its own; the caller goes on with its records as they are. */
static void call_ruleset(struct run *run, const char *name, struct batch *b, const uint16_t *selection, size_t count) {
        struct program *program;
        struct sink *queue;
        if (!run->linker->find_ruleset(run->linker->owner, name, &program, &queue))
                return;
        if (queue) {
                struct batch *view = batch_view(b, selection, count);
                if (view)
                        queue->push(queue, view, FLOW_WITHIN);
                return;
        }
        if (run->depth >= PROGRAM_CALLS_MAX)
                return;
        run->depth++;
        run_steps(program->steps, run, b, selection, count);
        run->depth--;
}

static void execute_call(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                         size_t count) {
        call_ruleset(run, s->ruleset, b, selection, count);
}

static void execute_call_indirect(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                                  size_t count) {
        struct evaluation *ev = &run->evaluation;
        for (size_t i = 0; i < count; i++) {
                ev->batch = b;
                ev->record = &b->records[selection[i]];
                struct value v = expression_eval(s->value, ev);
                _owned_(memory_free) char *name = text_copy(value_to_text(&v, &ev->arena));
                evaluation_forget(ev);
                if (name)
                        call_ruleset(run, name, b, &selection[i], 1);
        }
}

/* The item that foreach puts in its variable: the value itself, or {"key":..., "value":...} of an object. */
static struct json *member_item(struct arena *a, const struct json_member *m) {
        struct json *item = json_object(a), *key = json_string(a, m->name), *value = json_copy(a, m->value);
        if (!item || !key || !value || json_set(a, item, TEXT("key"), key) || json_set(a, item, TEXT("value"), value))
                return NULL;
        return item;
}

static void foreach_item(const struct step *s, struct run *run, struct batch *b, uint16_t index, struct json *item) {
        const struct expr *variable = s->statement->variable;
        if (!item)
                return;
        if (variable_set(b, &b->records[index], variable->scope, variable->string, item, VARIABLE_RESETS))
                return;
        run_steps(s->body, run, b, &index, 1);
}

static void execute_foreach(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                            size_t count) {
        struct evaluation *ev = &run->evaluation;
        for (size_t i = 0; i < count; i++) {
                ev->batch = b;
                ev->record = &b->records[selection[i]];
                struct value v = expression_eval(s->value, ev);
                if (v.kind != VALUE_JSON)
                        continue;
                /* A copy: the body may change what it walks over, and needs the evaluation's arena itself. */
                struct json *all = json_copy(&b->arena, v.json);
                evaluation_forget(ev);
                if (all && all->type == JSON_ARRAY)
                        for (uint32_t k = 0; k < all->count; k++)
                                foreach_item(s, run, b, selection[i], all->items[k]);
                else if (all && all->type == JSON_OBJECT)
                        for (struct json_member *m = all->first; m; m = m->next)
                                foreach_item(s, run, b, selection[i], member_item(&b->arena, m));
                variable_unset(&b->records[selection[i]], s->statement->variable->scope, s->statement->variable->string,
                               run->context.is_case_sensitive);
        }
}

/*
 * Conditions and actions tell for themselves. What leads elsewhere is told before it does, all else when it has
 * happened.
 */
static void execute_followed(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                             size_t count) {
        bool tells_itself = s->execute == execute_filter || s->execute == execute_action;
        bool is_here = !tells_itself && is_followed(run, b, selection, count);
        bool leads_away =
                s->execute == execute_call || s->execute == execute_call_indirect || s->execute == execute_foreach;
        if (is_here && leads_away)
                tell(s, run, b, TRACE_DONE);
        s->execute(s, run, b, selection, count);
        if (is_here && !leads_away)
                tell(s, run, b, s->execute == execute_shared_action ? TRACE_COLLECTED : TRACE_DONE);
}

void program_run(const struct program *p, struct run *run, struct batch *b, const uint16_t *selection, size_t count) {
        size_t step = p->is_one_by_one ? 1 : count;
        for (size_t at = 0; at < count; at += step) {
                if (run->has_stopped)
                        memset(run->is_stopped, 0, sizeof run->is_stopped);
                if (run->has_missed)
                        memset(run->is_missed, 0, sizeof run->is_missed);
                run->has_stopped = run->has_missed = false;
                run->evaluation.previous = NULL;
                run_steps(p->steps, run, b, selection + at, step);
                deliver_collected(run, b);
        }
}

int run_init(struct run *run, const struct program_linker *linker, const struct host_facts *facts,
             const struct property_context *context) {
        *run = (struct run){.linker = linker, .context = *context};
        run->evaluation.context = &run->context;
        run->evaluation.facts = facts;
        int r = selections_init(&run->evaluation.selections);
        return r ? pass(r) : 0;
}

void run_fini(struct run *run) {
        for (size_t i = 0; i < run->collected_count; i++)
                free(run->collected[i].records);
        free(run->collected);
        arena_fini(&run->evaluation.arena);
        pattern_room_fini(&run->evaluation.room);
        selections_fini(&run->evaluation.selections);
        buffer_fini(&run->context.scratch);
}

/* ---- Compiling ------------------------------------------------------------ */

struct program_compiler {
        struct program *program;
        const struct program_linker *linker;
        struct diagnostics *diagnostics;
};

static struct step *steps_free(struct step *s) {
        while (s) {
                struct step *next = s->next;
                filter_free(s->filter);
                steps_free(s->body);
                steps_free(s->otherwise);
                expression_free(s->value);
                free(s->ruleset);
                free(s);
                s = next;
        }
        return NULL;
}
OWNED_POINTER(struct step, steps_free);

static int compile_block(struct step **ret, const struct statement *first, struct program_compiler *c);

static bool any_may_stop(const struct step *s) {
        for (; s; s = s->next)
                if (s->may_stop)
                        return true;
        return false;
}

/* What an action writes to, by the module's main parameter; NULL where it has none. */
static const char *target_of(const struct object *action) {
        for (const struct param *p = action->module->settings.params; p && p->type; p++)
                if ((p->flags & PARAM_IS_MAIN) && p->type == PARAM_TYPE_STRING)
                        return *(char *const *)((const char *)action->settings + p->offset);
        return NULL;
}

static int compile_action(struct step *s, const struct statement *st, struct program_compiler *c) {
        const struct object *action = st->action;
        s->action = action->action;
        s->execute = execute_nothing; /* until program_link() */
        if (action->module->kind == MODULE_MODIFIER || action->action->exec_only_when_previous_is_suspended)
                c->program->changes_records = true;
        return 0;
}

/* What linking knows of the program so far: the deliveries of its steps, and which are shared. */
struct linking {
        const struct program_linker *linker;
        struct program *program;
        struct step **actions;
        size_t count, capacity;
};

static void link_action(struct step *s, struct linking *l) {
        const struct object *action = s->statement->action;
        if (action->module->kind == MODULE_MODIFIER) {
                s->modifier = action->module->modifier;
                s->instance = l->linker->find_modifier(l->linker->owner, action);
                s->execute = s->instance ? execute_modifier : execute_nothing;
                return;
        }
        s->delivery = l->linker->find_delivery(l->linker->owner, action);
        s->execute = s->delivery ? execute_action : execute_nothing;
        if (!s->delivery)
                return;
        if (l->count == l->capacity) {
                size_t capacity = MAX(l->capacity * 2, (size_t)64);
                struct step **grown = realloc(l->actions, capacity * sizeof(*grown));
                if (!grown) {
                        l->program->is_one_by_one = true; /* always right */
                        return;
                }
                l->actions = grown;
                l->capacity = capacity;
        }
        l->actions[l->count++] = s;
}

static void link_steps(struct step *s, struct linking *l) {
        for (; s; s = s->next) {
                if (s->statement->kind == STATEMENT_ACTION)
                        link_action(s, l);
                link_steps(s->body, l);
                link_steps(s->otherwise, l);
        }
}

static int by_delivery(const void *a, const void *b) {
        const struct step *x = *(struct step *const *)a, *y = *(struct step *const *)b;
        return (x->delivery > y->delivery) - (x->delivery < y->delivery);
}

static int by_target(const void *a, const void *b) {
        const struct object *x = (*(struct step *const *)a)->statement->action;
        const struct object *y = (*(struct step *const *)b)->statement->action;
        if (x->module != y->module)
                return (x->module > y->module) - (x->module < y->module);
        const char *one = target_of(x), *other = target_of(y);
        return strcmp(one ? one : "", other ? other : "");
}

/* Two different deliveries to one target would show that records pass statements together. */
static bool has_rivals(struct linking *l) {
        qsort(l->actions, l->count, sizeof(*l->actions), by_target);
        for (size_t i = 1; i < l->count; i++)
                if (target_of(l->actions[i]->statement->action) && by_target(&l->actions[i - 1], &l->actions[i]) == 0 &&
                    l->actions[i - 1]->delivery != l->actions[i]->delivery)
                        return true;
        return false;
}

static void share(struct linking *l) {
        qsort(l->actions, l->count, sizeof(*l->actions), by_delivery);
        for (size_t i = 1; i < l->count; i++) {
                struct step *before = l->actions[i - 1], *s = l->actions[i];
                if (before->delivery != s->delivery)
                        continue;
                if (l->program->changes_records)
                        l->program->is_one_by_one = true;
                if (!before->group)
                        before->group = ++l->program->groups;
                s->group = before->group;
        }
        for (size_t i = 0; i < l->count && !l->program->is_one_by_one; i++)
                if (l->actions[i]->group)
                        l->actions[i]->execute = execute_shared_action;
}

void program_link(struct program *p, const struct program_linker *linker) {
        struct linking l = {.linker = linker, .program = p};
        link_steps(p->steps, &l);
        if (l.count && has_rivals(&l))
                p->is_one_by_one = true;
        if (l.count)
                share(&l);
        free(l.actions);
}

static int compile_condition(struct step *s, const struct statement *st, struct program_compiler *c) {
        int r = 0;
        if (st->kind == STATEMENT_SELECTOR)
                r = filter_new_selector(&s->filter, st->priorities);
        else if (st->kind == STATEMENT_PROPERTY)
                r = filter_new_property(&s->filter, st, c->diagnostics);
        else
                r = filter_new(&s->filter, st->condition, &c->linker->names, c->diagnostics);
        int body = compile_block(&s->body, st->body, c);
        int otherwise = compile_block(&s->otherwise, st->otherwise, c);
        if (r || body || otherwise)
                return pass(r ? r : body ? body : otherwise);
        s->execute = execute_filter;
        s->may_stop = any_may_stop(s->body) || any_may_stop(s->otherwise);
        return 0;
}

static int compile_call(struct step *s, const struct statement *st, struct program_compiler *c) {
        struct program *program;
        struct sink *queue;
        s->ruleset = text_copy(st->name);
        if (!s->ruleset)
                return fail(-ENOMEM);
        if (!c->linker->find_ruleset(c->linker->owner, s->ruleset, &program, &queue)) {
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, st->place, 0, NULL,
                         "ruleset '%s' cannot be called: it does not exist", s->ruleset);
                return fail(-EINVAL);
        }
        s->execute = execute_call;
        c->program->changes_records |= !queue; /* it may */
        s->may_stop = !queue;
        return 0;
}

static int compile_assignment(struct step *s, const struct statement *st, struct program_compiler *c) {
        s->execute = st->kind == STATEMENT_UNSET ? execute_unset : execute_set;
        c->program->changes_records = true;
        if (st->variable->scope == '/')
                c->program->is_one_by_one = true;
        return st->kind == STATEMENT_UNSET ? 0
                                           : expression_new(&s->value, st->value, &c->linker->names, c->diagnostics);
}

static int compile_step(struct step *s, const struct statement *st, struct program_compiler *c) {
        switch (st->kind) {
        case STATEMENT_ACTION:
                return compile_action(s, st, c);
        case STATEMENT_IF:
        case STATEMENT_SELECTOR:
        case STATEMENT_PROPERTY:
                return compile_condition(s, st, c);
        case STATEMENT_SET:
        case STATEMENT_RESET:
        case STATEMENT_UNSET:
                return compile_assignment(s, st, c);
        case STATEMENT_CALL:
                return compile_call(s, st, c);
        case STATEMENT_CALL_INDIRECT:
                s->execute = execute_call_indirect;
                c->program->changes_records = true;
                s->may_stop = true;
                return expression_new(&s->value, st->condition, &c->linker->names, c->diagnostics);
        case STATEMENT_FOREACH: {
                int r = expression_new(&s->value, st->condition, &c->linker->names, c->diagnostics);
                int body = compile_block(&s->body, st->body, c);
                s->execute = execute_foreach;
                c->program->changes_records = true;
                s->may_stop = any_may_stop(s->body);
                return r ? r : body;
        }
        case STATEMENT_STOP:
                s->execute = execute_stop;
                s->may_stop = true;
                return 0;
        case STATEMENT_CONTINUE:
        case STATEMENT_RELOAD_LOOKUP:
                s->execute = execute_nothing;
                return 0;
        }
        return fail(-EINVAL);
}

/* A statement that cannot be compiled is left out, reported, and the rest goes on: rsyslog's behaviour at start. */
static int compile_block(struct step **ret, const struct statement *first, struct program_compiler *c) {
        struct step **end = ret;
        for (const struct statement *st = first; st; st = st->next) {
                _owned_(steps_free) struct step *s = calloc(1, sizeof *s);
                if (!s)
                        return fail(-ENOMEM);
                s->statement = st;
                int r = compile_step(s, st, c);
                if (r == -ENOMEM)
                        return pass(r);
                if (r)
                        continue;
                *end = TAKE(s);
                end = &(*end)->next;
        }
        return 0;
}

int program_new(struct program **ret, const struct ruleset_def *def, const struct program_linker *linker,
                struct diagnostics *diagnostics) {
        _owned_(program_free) struct program *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        struct program_compiler c = {.program = p, .linker = linker, .diagnostics = diagnostics};
        int r = compile_block(&p->steps, def->statements, &c);
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

struct program *program_free(struct program *p) {
        if (!p)
                return NULL;
        steps_free(p->steps);
        free(p);
        return NULL;
}
