#include "control/stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/actions.h"
#include "daemon/own_log.h"
#include "daemon/pipeline.h"
#include "daemon/rehearsal.h"
#include "delivery/delivery.h"

/* An action whose rows come at the end of the batch. */
struct awaited {
        char *delivery; /* its name */
        struct json *step;
        struct awaited *next;
};

struct stage {
        struct rehearsal_host host;
        struct pipeline *pipeline;
        struct own_log *log;
        struct diagnostics diagnostics;
        struct awaited *awaited;
        /* Of the story that is told: */
        struct arena *arena;
        struct json *story, *steps;
        struct json *rows; /* that the action which is running was given; NULL: none yet */
        unsigned batches;
};

static const char *const shown_properties[] = {
        "rawmsg",
        "msg",
        "hostname",
        "fromhost",
        "fromhost-ip",
        "syslogtag",
        "programname",
        "app-name",
        "procid",
        "msgid",
        "structured-data",
        "pri",
        "pri-text",
        "syslogfacility",
        "syslogfacility-text",
        "syslogseverity",
        "syslogseverity-text",
        "timereported",
        "timegenerated",
        "protocol-version",
        "inputname",
        "parsesuccess",
};

/* ---- Telling ---------------------------------------------------------------- */

static void put(struct stage *s, struct json *object, const char *name, struct json *value) {
        if (object && value)
                (void)json_set(s->arena, object, text_of(name), value); /* without memory the story is shorter */
}

static void put_text(struct stage *s, struct json *object, const char *name, struct text value) {
        put(s, object, name, json_string(s->arena, value));
}

static void put_string(struct stage *s, struct json *object, const char *name, const char *value) {
        put_text(s, object, name, text_of(value ? value : ""));
}

static void add(struct stage *s, struct json *array, struct json *value) {
        if (array && value)
                (void)json_append(s->arena, array, value);
}

/* Numbers keep the text that they came in, and rsyslog takes some that JSON does not know ("-01.5"): these are texts.
 */
static void make_valid(struct arena *a, struct json *value) {
        struct json *again;
        size_t used;
        bool is_number = value->type == JSON_INT || value->type == JSON_DOUBLE;
        if (is_number && value->literal.size &&
            (json_parse(a, value->literal, &again, &used) || used != value->literal.size)) {
                struct text literal = value->literal;
                *value = (struct json){.type = JSON_STRING, .string = literal};
        }
        for (uint32_t i = 0; value->type == JSON_ARRAY && i < value->count; i++)
                make_valid(a, value->items[i]);
        for (struct json_member *m = value->type == JSON_OBJECT ? value->first : NULL; m; m = m->next)
                make_valid(a, m->value);
}

static struct json *copy_value(struct stage *s, const struct json *value) {
        struct json *copy = value ? json_copy(s->arena, value) : json_null(s->arena);
        if (copy)
                make_valid(s->arena, copy);
        return copy;
}

static struct json *begin_step(struct stage *s, const char *kind, const struct place *place) {
        struct json *step = json_object(s->arena);
        put_string(s, step, "step", kind);
        if (place && place->file) {
                put_string(s, step, "file", place->file);
                put(s, step, "line", json_int(s->arena, place->line));
        }
        add(s, s->steps, step);
        return step;
}

static struct json *properties_of(struct stage *s, struct run *run, struct batch *b) {
        struct json *all = json_object(s->arena);
        for (size_t i = 0; i < ARRAY_SIZE(shown_properties); i++) {
                struct property p;
                if (property_find(&p, text_of(shown_properties[i])) == 0)
                        put_text(s, all, shown_properties[i], property_get(&run->context, b, &b->records[0], &p));
        }
        return all;
}

static struct json *variables_of(struct stage *s, struct run *run, struct batch *b) {
        struct json *all = json_object(s->arena);
        struct record *r = &b->records[0];
        if (r->tree[TREE_MESSAGE])
                put(s, all, "$!", copy_value(s, r->tree[TREE_MESSAGE]));
        if (r->tree[TREE_LOCAL])
                put(s, all, "$.", copy_value(s, r->tree[TREE_LOCAL]));
        struct json *globals = globals_get(run->context.globals, TEXT(""), s->arena);
        if (globals && globals->type == JSON_OBJECT && globals->count)
                put(s, all, "$/", copy_value(s, globals));
        return all;
}

static void tell_parsed(struct rehearsal_host *host, const char *ruleset, const char *parser, bool lives,
                        struct run *run, struct batch *b) {
        struct stage *s = CONTAINER_OF(host, struct stage, host);
        if (s->batches++) {
                put_string(s, begin_step(s, "ruleset", NULL), "name", ruleset);
                return;
        }
        put_string(s, s->story, "ruleset", ruleset);
        put(s, s->story, "parser", parser ? json_string(s->arena, text_of(parser)) : json_null(s->arena));
        put(s, s->story, "discarded", json_bool(s->arena, !lives));
        put(s, s->story, "properties", properties_of(s, run, b));
        put(s, s->story, "steps", s->steps);
}

static void tell_passed(struct rehearsal_host *host, struct run *run, struct batch *b) {
        struct stage *s = CONTAINER_OF(host, struct stage, host);
        /* Those of the message as it came in: a queue has a copy. */
        if (s->batches > 1)
                return;
        put(s, s->story, "after", properties_of(s, run, b));
        put(s, s->story, "variables", variables_of(s, run, b));
}

/* ---- Conditions -------------------------------------------------------------- */

static void put_value(struct stage *s, struct json *values, struct run *run, struct batch *b, const struct expr *e) {
        struct property p = {.id = PROPERTY_TREE, .scope = e->scope, .path = e->string};
        _owned_(buffer_fini) struct buffer name = {0};
        if (e->kind == EXPR_PROPERTY && property_find(&p, e->string))
                return;
        expr_print(&name, e);
        const char *string = buffer_string(&name);
        if (string)
                put_text(s, values, string, property_get(&run->context, b, &b->records[0], &p));
}

static void put_values(struct stage *s, struct json *values, struct run *run, struct batch *b, const struct expr *e) {
        if (e->kind == EXPR_PROPERTY || e->kind == EXPR_VARIABLE)
                put_value(s, values, run, b, e);
        for (uint32_t i = 0; i < e->count; i++)
                put_values(s, values, run, b, e->args[i]);
}

/* Whether evaluating it once more would be noticed, or would not tell the same. */
static bool has_effects(const struct expr *e) {
        static const char *const names[] = {"dyn_inc",      "parse_json", "percentile_observe", "random",
                                            "http_request", "unflatten",  "script_error"};
        for (size_t i = 0; e->kind == EXPR_FUNCTION && i < ARRAY_SIZE(names); i++)
                if (text_equal_nocase(e->string, text_of(names[i])))
                        return true;
        for (uint32_t i = 0; i < e->count; i++)
                if (has_effects(e->args[i]))
                        return true;
        return false;
}

static bool is_connective(const struct expr *e) {
        return (e->kind == EXPR_BINARY && (e->op == OP_AND || e->op == OP_OR)) ||
               (e->kind == EXPR_UNARY && e->op == OP_NOT);
}

static bool evaluate(struct run *run, struct batch *b, const struct expr *e) {
        _owned_(expression_free) struct expression *term = NULL;
        struct evaluation *ev = &run->evaluation;
        if (expression_new(&term, e, &run->linker->names, NULL))
                return false;
        bool had_error = ev->has_script_error;
        ev->batch = b;
        ev->record = &b->records[0];
        bool holds = expression_is_true(term, ev);
        evaluation_forget(ev);
        ev->has_script_error = had_error;
        return holds;
}

/* Each term in the order in which it was asked, with what came out; those behind the decision were not asked. */
static bool judge(struct stage *s, struct json *terms, struct run *run, struct batch *b, const struct expr *e,
                  bool is_asked) {
        if (is_connective(e) && e->op == OP_NOT)
                return !judge(s, terms, run, b, e->args[0], is_asked);
        if (is_connective(e)) {
                bool left = judge(s, terms, run, b, e->args[0], is_asked);
                bool right = judge(s, terms, run, b, e->args[1], is_asked && left == (e->op == OP_AND));
                return e->op == OP_AND ? left && right : left || right;
        }
        _owned_(buffer_fini) struct buffer text = {0};
        struct json *term = json_object(s->arena);
        bool holds = is_asked && evaluate(run, b, e);
        expr_print(&text, e);
        put_text(s, term, "text", buffer_as_text(&text));
        put_string(s, term, "outcome", !is_asked ? "not asked" : holds ? "holds" : "does not hold");
        add(s, terms, term);
        return holds;
}

static void put_named_value(struct stage *s, struct json *values, struct run *run, struct batch *b, struct text name) {
        struct expr e = {.kind = EXPR_PROPERTY, .string = name};
        put_value(s, values, run, b, &e);
}

static void print_condition(struct buffer *out, const struct statement *st) {
        if (st->kind == STATEMENT_SELECTOR)
                selector_print(out, st);
        else if (st->kind == STATEMENT_PROPERTY)
                property_filter_print(out, st);
        else
                expr_print(out, st->condition);
}

static void tell_condition(struct stage *s, struct json *step, const struct statement *st, struct run *run,
                           struct batch *b) {
        _owned_(buffer_fini) struct buffer text = {0};
        struct json *values = json_object(s->arena);
        print_condition(&text, st);
        put_text(s, step, "text", buffer_as_text(&text));
        put(s, step, "values", values);
        if (st->kind == STATEMENT_SELECTOR)
                put_named_value(s, values, run, b, TEXT("pri-text"));
        else if (st->kind == STATEMENT_PROPERTY)
                put_named_value(s, values, run, b, st->property);
        if (!st->condition)
                return;
        put_values(s, values, run, b, st->condition);
        if (!is_connective(st->condition) || has_effects(st->condition))
                return;
        struct json *terms = json_array(s->arena);
        judge(s, terms, run, b, st->condition, true);
        put(s, step, "terms", terms);
}

/* ---- Actions ------------------------------------------------------------------ */

static struct json *row_of(struct stage *s, const struct work_format *formats, const struct work *work, size_t row) {
        struct json *columns = json_array(s->arena);
        for (int c = 0; c < WORK_COLUMNS_MAX && work->column[c]; c++) {
                struct json *column = json_object(s->arena);
                const char *template = formats[c].name ? formats[c].name : formats[c].dflt;
                put_string(s, column, "template", template);
                put_text(s, column, "text", work->column[c][row]);
                add(s, columns, column);
        }
        return columns;
}

/* Rows of a delivery that collects come when the batch is through, for its actions in their order. */
static struct json *take_awaited(struct stage *s, const char *delivery) {
        for (struct awaited **at = &s->awaited; *at; at = &(*at)->next) {
                struct awaited *a = *at;
                if (strcmp(a->delivery, delivery) != 0)
                        continue;
                struct json *step = a->step;
                *at = a->next;
                free(a->delivery);
                free(a);
                return step;
        }
        return NULL;
}

static void await(struct stage *s, struct json *step, const char *delivery) {
        struct awaited **end = &s->awaited;
        struct awaited *a = calloc(1, sizeof *a);
        while (*end)
                end = &(*end)->next;
        if (!a || !(a->delivery = strdup(delivery))) {
                free(a);
                return;
        }
        a->step = step;
        *end = a;
}

static void forget_awaited(struct stage *s) {
        while (s->awaited)
                take_awaited(s, s->awaited->delivery);
}

static void tell_row(struct rehearsal_host *host, const struct object *action, const struct work_format *formats,
                     const struct work *work, size_t row) {
        struct stage *s = CONTAINER_OF(host, struct stage, host);
        _owned_(memory_free) char *delivery = actions_name_of(action);
        struct json *step = delivery ? take_awaited(s, delivery) : NULL;
        struct json *shown = row_of(s, formats, work, row);
        if (!step) {
                s->rows = s->rows ? s->rows : json_array(s->arena);
                add(s, s->rows, shown);
                return;
        }
        struct json *rows = json_array(s->arena);
        add(s, rows, shown);
        put(s, step, "rows", rows);
}

static const char *outcome_of(const struct object *action, enum trace_event event, bool has_rows) {
        if (action->module->kind == MODULE_MODIFIER)
                return rehearsal_leaves_out(action->module) ? "skipped: it starts a program" : "applied";
        if (event == TRACE_DONE)
                return "left out: it could not be opened";
        if (event == TRACE_NOT)
                return "not wanted: the action before missed nothing";
        if (event == TRACE_COLLECTED)
                return "delivered";
        return has_rows ? "delivered" : "held back by its own limits";
}

static void tell_action(struct stage *s, struct json *step, enum trace_event event, const struct statement *st,
                        const struct delivery *delivery) {
        _owned_(buffer_fini) struct buffer text = {0};
        _owned_(memory_free) char *name = actions_name_of(st->action);
        object_print(&text, "action", st->action, SECRETS_MASKED);
        put_string(s, step, "name", name);
        put_string(s, step, "module", st->action->module->name);
        put_text(s, step, "text", buffer_as_text(&text));
        put_string(s, step, "outcome", outcome_of(st->action, event, s->rows != NULL));
        if (event == TRACE_COLLECTED)
                await(s, step, delivery_name(delivery));
        else
                put(s, step, "rows", s->rows);
        s->rows = NULL;
}

/* ---- Statements ----------------------------------------------------------------- */

static void tell_other(struct stage *s, struct json *step, const struct statement *st, struct run *run,
                       struct batch *b) {
        _owned_(buffer_fini) struct buffer text = {0};
        struct statement alone = *st;
        alone.next = NULL;
        statements_print(&text, &alone, 0, SECRETS_MASKED);
        struct text whole = text_trim(buffer_as_text(&text));
        ptrdiff_t line = text_find(whole, TEXT("\n"));
        put_text(s, step, "text", line >= 0 ? text_slice(whole, 0, (size_t)line) : whole);
        bool changes = st->kind == STATEMENT_SET || st->kind == STATEMENT_RESET;
        if (!changes)
                return;
        struct json *value = st->variable->scope == '/'
                                     ? globals_get(run->context.globals, st->variable->string, s->arena)
                                     : variable_get(&b->records[0], st->variable->scope, st->variable->string,
                                                    run->context.is_case_sensitive);
        put(s, step, "value", copy_value(s, value));
}

static void tell(struct program_trace *trace, enum trace_event event, const struct statement *st,
                 struct delivery *delivery, struct run *run, struct batch *b) {
        struct rehearsal_host *host = CONTAINER_OF(trace, struct rehearsal_host, trace);
        struct stage *s = CONTAINER_OF(host, struct stage, host);
        struct json *step = begin_step(s, statement_name(st->kind), &st->place);
        if (st->kind == STATEMENT_ACTION) {
                tell_action(s, step, event, st, delivery);
        } else if (event == TRACE_PASSED || event == TRACE_NOT) {
                put_string(s, step, "outcome", event == TRACE_PASSED ? "passed" : "not passed");
                tell_condition(s, step, st, run, b);
        } else {
                tell_other(s, step, st, run, b);
        }
}

/* ---- The stage ---------------------------------------------------------------------- */

static void show_diagnostics(struct stage *s) {
        _owned_(buffer_fini) struct buffer out = {0};
        diagnostics_print(&s->diagnostics, &out, false);
        fwrite(out.data, 1, out.size, stderr);
}

/* global(environment="NAME=VALUE"), as for the daemon; what getenv() of RainerScript sees. */
static int set_environment(const struct strings *all) {
        for (size_t i = 0; i < all->count; i++) {
                const char *equals = strchr(all->items[i], '=');
                _owned_(memory_free) char *name =
                        equals ? strndup(all->items[i], (size_t)(equals - all->items[i])) : NULL;
                if (equals && !name)
                        return fail(-ENOMEM);
                if (name && name[0] && setenv(name, equals + 1, true))
                        return fail(-errno);
        }
        return 0;
}

int stage_new(struct stage **ret, struct loaded_file *file, int64_t now_us) {
        _owned_(stage_free) struct stage *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        s->host = (struct rehearsal_host){.trace.tell = tell,
                                          .parsed = tell_parsed,
                                          .passed = tell_passed,
                                          .rendered = tell_row,
                                          .now_us = now_us};
        int r = set_environment(&file->config->global->environment);
        if (r == 0)
                r = own_log_new(&s->log);
        if (r)
                return pass(r);
        own_log_configure(s->log, &(struct own_log_options){
                                          .shows_errors = true, .shown_max = -1, .severity_max = SEVERITY_DEBUG});
        struct pipeline_host host = {.log = s->log, .rehearsal = &s->host};
        r = pipeline_new(&s->pipeline, file->config, &host, &s->diagnostics);
        show_diagnostics(s);
        if (r == 0)
                r = pipeline_open(s->pipeline);
        if (r)
                return pass(r);
        *ret = TAKE(s);
        return 0;
}

struct stage *stage_free(struct stage *s) {
        if (!s)
                return NULL;
        forget_awaited(s);
        pipeline_free(s->pipeline);
        own_log_free(s->log);
        diagnostics_fini(&s->diagnostics);
        free(s);
        return NULL;
}

unsigned stage_errors(const struct stage *s) {
        return s->diagnostics.errors;
}

void stage_print(struct stage *s, struct buffer *out) {
        pipeline_print(s->pipeline, out);
}

/* Names are given, so that nobody is asked for them. */
static struct source *source_of(struct stage *s, const struct stage_message *m, const char *input) {
        const char *here = pipeline_facts(s->pipeline)->host_name;
        const char *host = m->host ? m->host : m->from ? m->from : here;
        return source_new_local(input, host, m->from ? m->from : "127.0.0.1");
}

int stage_play(struct stage *s, const struct stage_message *m, struct arena *a, struct json **story) {
        const char *input = m->input ? m->input : "imudp";
        s->arena = a;
        s->story = json_object(a);
        s->steps = json_array(a);
        s->rows = NULL;
        s->batches = 0;
        forget_awaited(s);
        _owned_(source_unref) struct source *source = source_of(s, m, input);
        _owned_(batch_unref) struct batch *b = batch_new(pipeline_pool(s->pipeline), m->raw.size);
        struct record *r = b && source ? batch_append(b, source) : NULL;
        if (!r || !s->story || !s->steps)
                return fail(-ENOMEM);
        r->raw = batch_store(b, m->raw);
        r->received_us = s->host.now_us ? s->host.now_us : clock_wall_us();
        if (strcmp(input, "imuxsock") == 0)
                r->flags |= RECORD_NO_HOSTNAME;
        int code = pipeline_rehearse(s->pipeline, m->ruleset, TAKE(b));
        if (code)
                return pass(code);
        *story = s->story;
        return 0;
}
