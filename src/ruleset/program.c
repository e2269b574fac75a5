#include "ruleset/program.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "ruleset/program_inside.h"

/* ---- What filters ask together --------------------------------------------- */

/* Other records come, or these were changed: what was answered is no more. */
static void next_moment(struct run *run, size_t count) {
        struct moment *now = &run->evaluation.moment;
        now->count = count;
        renderings_forget(&run->renderings);
        if (LIKELY(++now->time))
                return;
        for (size_t i = 0; i < run->answers_count; i++)
                if (run->answers[i])
                        answers_forget(run->answers[i]);
        now->time = 1;
}

/* NULL: the program asks nothing, or there is no memory; its filters work without, too. */
static struct answers *answers_of(struct run *run, const struct program *p) {
        if (!p->traits || !p->number)
                return NULL;
        if (LIKELY(p->number <= run->answers_count && run->answers[p->number - 1]))
                return run->answers[p->number - 1];
        if (p->number > run->answers_count) {
                struct answers **grown = realloc(run->answers, p->number * sizeof(*grown));
                if (!grown)
                        return NULL;
                memset(grown + run->answers_count, 0, (p->number - run->answers_count) * sizeof(*grown));
                run->answers = grown;
                run->answers_count = p->number;
        }
        return answers_new(&run->answers[p->number - 1], p->traits) ? NULL : run->answers[p->number - 1];
}

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

/* An action that is only for what the one before missed. */
static void tell_unwanted(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                          size_t count, const uint16_t *wanted, size_t kept) {
        if (is_followed(run, b, selection, count) && !is_in(wanted, kept, run->trace->record))
                tell(s, run, b, TRACE_NOT);
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

/* ---- Shared deliveries ------------------------------------------------------- */

static void deliver_some(struct run *run, struct delivery *d, struct batch *b, const uint16_t *records, size_t count) {
        for (size_t at = 0; at < count; at += BATCH_RECORDS_MAX)
                delivery_submit_with(d, run->shared, b, records + at, MIN(count - at, (size_t)BATCH_RECORDS_MAX), NULL);
}

/* Each record as often as it was selected, in the order of the records. */
static void deliver_collected(struct run *run, struct batch *b) {
        struct selections *lists = &run->evaluation.selections;
        for (size_t i = 0; i < run->collected_count; i++) {
                struct collected *c = &run->collected[i];
                if (c->count == 0)
                        continue;
                uint16_t *records = selections_take(lists, c->count);
                size_t at = 0;
                for (size_t number = c->first; number <= c->last; number++)
                        for (; c->times[number]; c->times[number]--)
                                records[at++] = (uint16_t)number;
                assert(at == c->count);
                c->count = 0;
                deliver_some(run, c->delivery, b, records, at);
                selections_give(lists, records);
        }
}

static struct collected *collected_for(struct run *run, const struct step *s) {
        if (run->collected_count < s->group) {
                struct collected *grown = realloc(run->collected, s->group * sizeof *grown);
                if (!grown)
                        return NULL;
                memset(grown + run->collected_count, 0, (s->group - run->collected_count) * sizeof *grown);
                run->collected = grown;
                run->collected_count = s->group;
        }
        struct collected *c = &run->collected[s->group - 1];
        if (!c->times)
                c->times = calloc(BATCH_RECORDS_MAX, sizeof *c->times);
        return c->times ? c : NULL;
}

/* False without memory, or where more than fits a selection would come together: deliver what there is at once. */
static bool collect(struct run *run, const struct step *s, const uint16_t *selection, size_t count) {
        struct collected *c = collected_for(run, s);
        if (!c || count == 0 || c->count + count > COLLECTED_MAX)
                return false;
        c->delivery = s->delivery;
        c->first = c->count ? MIN(c->first, selection[0]) : selection[0];
        c->last = c->count ? MAX(c->last, selection[count - 1]) : selection[count - 1];
        c->count += count;
        for (size_t i = 0; i < count; i++)
                c->times[selection[i]]++;
        return true;
}

/*
 * What the action before missed and no other took is given up by it. A script that asked whether it is suspended has
 * its own way.
 */
static void settle_missed(struct run *run, struct batch *b) {
        if (!run->has_missed)
                return;
        uint16_t missed[BATCH_RECORDS_MAX];
        size_t range = (size_t)run->missed_last - run->missed_first + 1, count = 0;
        for (size_t i = run->missed_first; i <= run->missed_last; i++)
                if (run->is_missed[i])
                        missed[count++] = (uint16_t)i;
        if (count && !run->evaluation.asked_for_previous)
                delivery_give_up(run->missed_by, b, missed, count);
        memset(run->is_missed + run->missed_first, 0, range * sizeof *run->is_missed);
        run->has_missed = false;
}

static void note_missed(struct run *run, struct delivery *d, struct batch *b, const uint16_t *missed, size_t count) {
        settle_missed(run, b);
        run->evaluation.asked_for_previous = false;
        run->has_missed = count > 0;
        run->missed_by = d;
        run->missed_first = count ? missed[0] : 0;
        run->missed_last = count ? missed[count - 1] : 0;
        for (size_t i = 0; i < count; i++)
                run->is_missed[missed[i]] = 1;
}

/* An action for what the one before missed takes those that it is given. */
static size_t take_missed(struct run *run, const uint16_t *selection, size_t count, uint16_t *taken) {
        size_t kept = 0;
        for (size_t i = 0; run->has_missed && i < count; i++)
                if (run->is_missed[selection[i]])
                        taken[kept++] = selection[i];
        for (size_t i = 0; i < kept; i++)
                run->is_missed[taken[i]] = 0;
        return kept;
}

static void count_processed(const struct step *s, size_t count) {
        if (s->processed && count)
                counter_add(s->processed, count);
}

void execute_action(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count) {
        run->evaluation.previous = s->delivery;
        if (s->is_shared && run->collects && collect(run, s, selection, count)) {
                count_processed(s, count);
                if (UNLIKELY(run->trace != NULL) && is_followed(run, b, selection, count))
                        tell(s, run, b, TRACE_COLLECTED);
                return;
        }
        struct selections *lists = &run->evaluation.selections;
        uint16_t *missed = selections_take(lists, count), *wanted = selections_take(lists, count);
        if (s->action->exec_only_when_previous_is_suspended) {
                size_t kept = take_missed(run, selection, count, wanted);
                if (UNLIKELY(run->trace != NULL))
                        tell_unwanted(s, run, b, selection, count, wanted, kept);
                selection = wanted;
                count = kept;
        }
        count_processed(s, count);
        size_t lost = delivery_submit_with(s->delivery, run->shared, b, selection, count, missed);
        if (UNLIKELY(run->trace != NULL))
                tell_action(s, run, b, selection, count, missed, lost);
        note_missed(run, s->delivery, b, missed, lost);
        selections_give(lists, missed);
}

void execute_modifier(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count) {
        count_processed(s, count);
        s->modifier->modify(s->instance, &run->context, b, selection, count);
        next_moment(run, run->evaluation.moment.count);
}

static void execute_stop(const struct step *s _unused_, struct run *run, struct batch *b _unused_,
                         const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                run->is_stopped[selection[i]] = 1;
        run->has_stopped = true;
}

void execute_nothing(const struct step *s _unused_, struct run *run _unused_, struct batch *b _unused_,
                     const uint16_t *selection _unused_, size_t count _unused_) {
}

static void set_global(struct run *run, struct text path, const struct value *v, unsigned how) {
        struct json *value = value_to_json(v, &run->evaluation.arena);
        if (value)
                globals_set(run->context.globals, path, value, how & VARIABLE_RESETS);
}

/* What cannot be set stays as it was. */
static void set_variable(const struct step *s, struct run *run, struct batch *b, struct record *r,
                         const struct value *v, unsigned how) {
        const struct expr *variable = s->statement->variable;
        if (s->sets_name && v->kind == VALUE_TEXT) {
                variable_set_name(b, r, variable->scope, variable->string, v->text, how);
        } else if (variable->scope == '/') {
                set_global(run, variable->string, v, how);
        } else {
                struct json *value = value_to_json(v, &b->arena);
                if (value)
                        variable_set(b, r, variable->scope, variable->string, value, how);
        }
}

/* The values of some records; how many. */
static size_t eval_some(const struct expression *e, struct evaluation *ev, const uint16_t *selection, size_t count,
                        struct value *values) {
        if (!expression_has_many(e)) {
                ev->record = &ev->batch->records[selection[0]];
                values[0] = expression_eval(e, ev);
                return 1;
        }
        size_t some = MIN(count, (size_t)EXPRESSION_MANY_MAX);
        expression_eval_many(e, ev, selection, some, values);
        return some;
}

static void execute_set(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                        size_t count) {
        bool resets = s->statement->kind == STATEMENT_RESET;
        unsigned how =
                (resets ? VARIABLE_RESETS : 0u) | (run->context.is_case_sensitive ? VARIABLE_IS_CASE_SENSITIVE : 0u);
        struct evaluation *ev = &run->evaluation;
        ev->batch = b;
        for (size_t at = 0, some; at < count; at += some) {
                struct value values[EXPRESSION_MANY_MAX];
                some = eval_some(s->value, ev, selection + at, count - at, values);
                for (size_t i = 0; i < some; i++)
                        set_variable(s, run, b, &b->records[selection[at + i]], &values[i], how);
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

static struct batch *view_for_queue(struct batch *b, const uint16_t *selection, size_t count) {
        struct batch *view = batch_view(b, selection, count);
        for (uint32_t i = 0; view && i < view->count; i++) {
                struct record *r = &view->records[i];
                r->flags |= RECORD_WAS_CALLED;
                for (size_t k = 0; k < ARRAY_SIZE(r->tree); k++)
                        if (r->tree[k])
                                value_retell_doubles(&view->arena, r->tree[k]);
        }
        return view;
}

/* A ruleset with a queue gets a view of its own; the caller goes on with its records as they are. */
/* rsyslog's number of the complaint. */
enum { CODE_CALLED_UNKNOWN = 2157 };

static void call_ruleset(struct run *run, const char *name, struct batch *b, const uint16_t *selection, size_t count) {
        struct program *program;
        struct sink *queue;
        struct reporter *reporter = run->linker->reporter;
        if (!run->linker->find_ruleset(run->linker->owner, name, &program, &queue)) {
                report(reporter, SEVERITY_ERR, CODE_CALLED_UNKNOWN,
                       "error: CALL_INDIRECT: ruleset '%.200s' cannot be found, treating as NOP", name);
                return;
        }
        if (queue) {
                struct batch *view = view_for_queue(b, selection, count);
                if (view)
                        queue->push(queue, view, FLOW_WITHIN);
                return;
        }
        if (run->depth >= PROGRAM_CALLS_MAX) {
                report(reporter, SEVERITY_ERR, 0,
                       "error: rulesets call one another more than %d deep: the call of '%.200s' is left out",
                       PROGRAM_CALLS_MAX, name);
                return;
        }
        struct answers *callers = run->evaluation.answers;
        run->depth++;
        run->evaluation.answers = answers_of(run, program);
        run_steps(program->steps, run, b, selection, count);
        run->evaluation.answers = callers;
        run->depth--;
}

/* The stub is what the first record makes of it; one request serves all of the batch. */
static void execute_reload(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection,
                           size_t count _unused_) {
        struct evaluation *ev = &run->evaluation;
        struct text stub = TEXT_NONE;
        ev->batch = b;
        ev->record = &b->records[selection[0]];
        if (s->value) {
                struct value v = expression_eval(s->value, ev);
                stub = value_to_text(&v, &ev->arena);
                stub.data = stub.data ? stub.data : "";
        }
        table_request(s->table, stub);
        evaluation_forget(ev);
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
                struct json *all = value_to_json(&v, &b->arena);
                evaluation_forget(ev);
                const uint8_t *is_stopped = &run->is_stopped[selection[i]];
                if (all && all->type == JSON_ARRAY)
                        for (uint32_t k = 0; k < all->count && !*is_stopped; k++)
                                foreach_item(s, run, b, selection[i], all->items[k]);
                else if (all && all->type == JSON_OBJECT)
                        for (struct json_member *m = all->first; m && !*is_stopped; m = m->next)
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
                tell(s, run, b, TRACE_DONE);
}

void program_run(const struct program *p, struct run *run, struct batch *b, const uint16_t *selection, size_t count) {
        size_t step = p->is_one_by_one ? 1 : count;
        run->collects = p->collects;
        run->shared = p->shares_rows ? &run->renderings : NULL;
        run->evaluation.answers = answers_of(run, p);
        for (size_t at = 0; at < count; at += step) {
                if (run->has_stopped)
                        memset(run->is_stopped, 0, sizeof run->is_stopped);
                run->has_stopped = false;
                run->evaluation.previous = NULL;
                run->evaluation.asked_for_previous = false;
                next_moment(run, step);
                run_steps(p->steps, run, b, selection + at, step);
                settle_missed(run, b);
                deliver_collected(run, b);
        }
        lookup_views_release(&run->evaluation.views);
        dyn_views_release(&run->evaluation.buckets);
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
                free(run->collected[i].times);
        free(run->collected);
        renderings_fini(&run->renderings);
        for (size_t i = 0; i < run->answers_count; i++)
                answers_free(run->answers[i]);
        free(run->answers);
        arena_fini(&run->evaluation.arena);
        pattern_room_fini(&run->evaluation.room);
        lookup_views_fini(&run->evaluation.views);
        dyn_views_fini(&run->evaluation.buckets);
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

static int compile_action(struct step *s, const struct statement *st, struct program_compiler *c) {
        const struct object *action = st->action;
        s->action = action->action;
        s->execute = execute_nothing; /* until programs_link() */
        const struct modifier_ops *modifier = action->module->modifier;
        /* What it keeps between records is like a global that it writes. */
        if (modifier && modifier->is_noticed && modifier->is_noticed(action->settings))
                c->program->writes_globals = true;
        if (modifier || action->action->exec_only_when_previous_is_suspended)
                c->program->changes_records = true;
        return 0;
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
        s->may_stop = !queue;
        return 0;
}

static int compile_assignment(struct step *s, const struct statement *st, struct program_compiler *c) {
        s->execute = st->kind == STATEMENT_UNSET ? execute_unset : execute_set;
        c->program->changes_records = true;
        s->sets_name = st->variable->scope != '/' && variable_is_name(st->variable->string);
        if (st->variable->scope == '/')
                c->program->writes_globals = true;
        return st->kind == STATEMENT_UNSET ? 0
                                           : expression_new(&s->value, st->value, &c->linker->names, c->diagnostics);
}

static int compile_reload(struct step *s, const struct statement *st, struct program_compiler *c) {
        const struct expression_names *names = &c->linker->names;
        s->table = names->find_table ? names->find_table(names->owner, st->name) : NULL;
        if (!s->table) {
                diagnose(c->diagnostics, SEVERITY_ERR, 2207, st->place, 19, NULL, "lookup table '%.*s' not found",
                         TEXT_ARGS(text_slice(st->name, 0, 200)));
                return fail(-EINVAL);
        }
        s->execute = execute_reload;
        return st->value ? expression_new(&s->value, st->value, names, c->diagnostics) : 0;
}

/* script_error() tells of what an earlier statement did to the same record. */
static bool asks_for_error(const struct expr *e) {
        if (!e)
                return false;
        if (e->kind == EXPR_FUNCTION && text_equal_nocase(e->string, TEXT("script_error")))
                return true;
        for (uint32_t i = 0; i < e->count; i++)
                if (asks_for_error(e->args[i]))
                        return true;
        return false;
}

static int compile_step(struct step *s, const struct statement *st, struct program_compiler *c) {
        if (asks_for_error(st->condition) || asks_for_error(st->value))
                c->program->writes_globals = true; /* the error of the record before must be none of this one's */
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
                s->execute = execute_nothing;
                return 0;
        case STATEMENT_RELOAD_LOOKUP:
                return compile_reload(s, st, c);
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

static int enter_filters(struct step *s, struct traits *t) {
        for (; s; s = s->next) {
                int r = s->filter ? filter_enter(s->filter, t) : 0;
                if (r == 0)
                        r = enter_filters(s->body, t);
                if (r == 0)
                        r = enter_filters(s->otherwise, t);
                if (r)
                        return pass(r);
        }
        return 0;
}

static void settle_filters(struct step *s, const struct traits *t) {
        for (; s; s = s->next) {
                if (s->filter)
                        filter_settle(s->filter, t);
                settle_filters(s->body, t);
                settle_filters(s->otherwise, t);
        }
}

static int build_traits(struct program *p) {
        int r = traits_new(&p->traits);
        if (r == 0)
                r = enter_filters(p->steps, p->traits);
        if (r == 0)
                r = traits_finish(p->traits);
        if (r)
                return pass(r);
        settle_filters(p->steps, p->traits);
        return 0;
}

int program_new(struct program **ret, const struct ruleset_def *def, const struct program_linker *linker,
                struct diagnostics *diagnostics) {
        _owned_(program_free) struct program *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        struct program_compiler c = {.program = p, .linker = linker, .diagnostics = diagnostics};
        int r = compile_block(&p->steps, def->statements, &c);
        if (r == 0)
                r = build_traits(p);
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

struct program *program_free(struct program *p) {
        if (!p)
                return NULL;
        steps_free(p->steps);
        traits_free(p->traits);
        free(p);
        return NULL;
}
