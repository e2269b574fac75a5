/*
 * A trace: the next message that passes a filter is followed through its ruleset,
 * and the caller is answered with its way.
 *
 *   WAITS   -> RUNS   a message passes the filter        trace_offer()
 *   RUNS    -> TOLD   its batch is through               end()
 *   WAITS   -> (gone) nothing came in time               expire()
 *   TOLD    -> (gone) the caller is answered             finish()
 *
 * While it runs, it belongs to the worker that has the batch; one trace at a time.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/bus_tap.h"

enum {
        TRACE_TIMEOUT_MS = 30000,
        TRACE_TIMEOUT_MAX_MS = 24 * 3600 * 1000,
        TRACE_BYTES_MAX = 1 << 20,
        TRACE_VALUES_MAX = 64, /* of one condition */
};

enum trace_state { TRACE_WAITS, TRACE_RUNS, TRACE_TOLD };

struct trace {
        struct program_trace hook;
        struct bus_taps *taps;
        enum trace_state state; /* guarded by the taps' lock */
        bool is_abandoned;      /* nobody waits any more: whoever has it frees it */
        struct typed_filter *filter;
        struct penstock_bus_request *request;
        struct timer timer;
        struct writer story;
};

static struct trace *trace_free(struct trace *t) {
        if (!t)
                return NULL;
        typed_filter_free(t->filter);
        writer_fini(&t->story);
        free(t);
        return NULL;
}
OWNED_POINTER(struct trace, trace_free);

/* ---- What decided ---------------------------------------------------------------- */

static void write_value(struct writer *w, struct run *run, struct batch *b, struct record *r, const char *name,
                        const struct property *p) {
        write_cut(w, name, property_get(&run->context, b, r, p));
}

static void write_named(struct writer *w, struct run *run, struct batch *b, struct record *r, struct text name) {
        _owned_(buffer_fini) struct buffer shown = {0};
        struct property p;
        if (property_find(&p, name))
                return;
        buffer_format(&shown, "$%.*s", TEXT_ARGS(name));
        const char *string = buffer_string(&shown);
        if (string)
                write_value(w, run, b, r, string, &p);
}

/* Every property and variable of a condition, once each time that it stands there. */
static void write_values(struct writer *w, struct run *run, struct batch *b, struct record *r, const struct expr *e,
                         unsigned *left) {
        if (!e || *left == 0)
                return;
        if (e->kind == EXPR_PROPERTY) {
                --*left;
                write_named(w, run, b, r, e->string);
        }
        if (e->kind == EXPR_VARIABLE) {
                _owned_(buffer_fini) struct buffer shown = {0};
                const struct property p = {.id = PROPERTY_TREE, .scope = e->scope, .path = e->string};
                --*left;
                buffer_format(&shown, "$%c%.*s", e->scope, TEXT_ARGS(e->string));
                const char *string = buffer_string(&shown);
                if (string)
                        write_value(w, run, b, r, string, &p);
        }
        for (uint32_t i = 0; i < e->count; i++)
                write_values(w, run, b, r, e->args[i], left);
}

static void write_condition(struct writer *w, const struct statement *s, struct run *run, struct batch *b,
                            struct record *r) {
        _owned_(buffer_fini) struct buffer text = {0};
        unsigned left = TRACE_VALUES_MAX;
        struct statement alone = *s;
        if (s->condition)
                expr_print(&text, s->condition);
        else {
                alone.body = alone.otherwise = alone.next = NULL;
                statements_print(&text, &alone, 0, SECRETS_MASKED);
        }
        writer_text(w, "condition", text_trim(buffer_as_text(&text)));
        writer_open(w, "values", '{');
        if (s->kind == STATEMENT_SELECTOR) {
                write_named(w, run, b, r, TEXT("syslogfacility-text"));
                write_named(w, run, b, r, TEXT("syslogseverity-text"));
        } else if (s->kind == STATEMENT_PROPERTY) {
                write_named(w, run, b, r, s->property);
        }
        write_values(w, run, b, r, s->condition, &left);
        writer_close(w, '}');
}

/* ---- Steps ------------------------------------------------------------------------- */

static const char *const event_names[] = {
        [TRACE_PASSED] = "passed", [TRACE_NOT] = "not passed",       [TRACE_DELIVERED] = "delivered",
        [TRACE_QUEUED] = "queued", [TRACE_MISSED] = "not delivered", [TRACE_COLLECTED] = "delivered",
        [TRACE_DONE] = "done",
};

static void write_action(struct writer *w, const struct statement *s, struct delivery *d, struct run *run,
                         struct batch *b, struct record *r) {
        _owned_(buffer_fini) struct buffer shown = {0};
        writer_string(w, "module", s->action->module->name);
        if (!d)
                return;
        delivery_show(d, &run->context, b, r, &shown);
        writer_string(w, "action", delivery_name(d));
        write_cut(w, "rendered", buffer_as_text(&shown));
}

static void write_variable(struct writer *w, const struct statement *s, struct run *run, struct batch *b,
                           struct record *r) {
        unsigned left = 1;
        writer_open(w, "values", '{');
        write_values(w, run, b, r, s->variable, &left);
        writer_close(w, '}');
}

static void tell(struct program_trace *hook, enum trace_event event, const struct statement *s,
                 struct delivery *delivery, struct run *run, struct batch *b) {
        struct trace *t = CONTAINER_OF(hook, struct trace, hook);
        struct writer *w = &t->story;
        struct record *r = &b->records[hook->record];
        if (w->out.size > TRACE_BYTES_MAX)
                return;
        writer_open(w, NULL, '{');
        writer_string(w, "step", statement_name(s->kind));
        writer_string(w, "outcome", event_names[event]);
        writer_string(w, "file", s->place.file);
        writer_int(w, "line", s->place.line);
        if (s->kind == STATEMENT_ACTION)
                write_action(w, s, delivery, run, b, r);
        else if (s->kind == STATEMENT_CALL)
                writer_text(w, "ruleset", s->name);
        else if (s->variable && s->kind != STATEMENT_FOREACH)
                write_variable(w, s, run, b, r);
        else if (event == TRACE_PASSED || event == TRACE_NOT)
                write_condition(w, s, run, b, r);
        writer_close(w, '}');
}

/* ---- States -------------------------------------------------------------------------- */

static void forget(struct trace *t) {
        pthread_mutex_lock(&t->taps->lock);
        t->taps->trace = NULL;
        pthread_mutex_unlock(&t->taps->lock);
        loop_disarm(t->taps->bus->host.loop, &t->timer);
        trace_free(t);
}

static enum trace_state state_of(struct bus_taps *taps, const struct trace *t) {
        pthread_mutex_lock(&taps->lock);
        enum trace_state state = t->state;
        pthread_mutex_unlock(&taps->lock);
        return state;
}

/* On the main thread. It may have been given up meanwhile. */
static void finish(void *argument) {
        struct bus_taps *taps = argument;
        struct trace *t = taps->trace;
        if (!t || state_of(taps, t) != TRACE_TOLD)
                return;
        writer_close(&t->story, ']');
        writer_close(&t->story, '}');
        answer_with(t->request, &t->story);
        forget(t);
}

/* On the worker's thread. */
static struct program_trace *end(struct program_trace *hook) {
        struct trace *t = CONTAINER_OF(hook, struct trace, hook);
        struct bus_taps *taps = t->taps;
        pthread_mutex_lock(&taps->lock);
        bool is_abandoned = t->is_abandoned;
        t->state = TRACE_TOLD;
        /* Where it cannot be posted its time-out answers. */
        if (!is_abandoned)
                (void)loop_post(taps->bus->host.loop, finish, taps);
        pthread_mutex_unlock(&taps->lock);
        if (is_abandoned)
                trace_free(t);
        return NULL;
}

void trace_offer(struct bus_taps *taps, const char *ruleset, struct run *run, struct batch *b,
                 const uint16_t *selection, size_t count) {
        struct trace *t = taps->trace;
        uint16_t passed[BATCH_RECORDS_MAX];
        if (t->state != TRACE_WAITS || !typed_filter_narrow(t->filter, b, selection, count, passed))
                return;
        struct record *r = &b->records[passed[0]];
        const char *parser = pipeline_parser_of(taps->bus->host.pipeline, ruleset, b, r);
        t->state = TRACE_RUNS;
        t->hook.batch = b;
        t->hook.record = passed[0];
        atomic_fetch_sub(&taps->point.watchers[TAP_RULESET], 1);
        struct writer *w = &t->story;
        writer_open(w, NULL, '{');
        writer_name(w, "message");
        w->needs_comma = false;
        write_message(w, &run->context, b, r);
        write_cut(w, "raw", batch_text(b, r->raw));
        writer_close(w, '}');
        writer_string(w, "input", r->source ? r->source->input_name : "");
        writer_string(w, "parser", parser);
        writer_string(w, "ruleset", ruleset);
        writer_open(w, "steps", '[');
        run->trace = &t->hook;
}

static void expire(struct timer *timer) {
        struct trace *t = CONTAINER_OF(timer, struct trace, timer);
        struct bus_taps *taps = t->taps;
        pthread_mutex_lock(&taps->lock);
        bool waits = t->state == TRACE_WAITS;
        if (waits) {
                taps->trace = NULL;
                atomic_fetch_sub(&taps->point.watchers[TAP_RULESET], 1);
        }
        pthread_mutex_unlock(&taps->lock);
        if (!waits) {
                finish(taps);
                return;
        }
        refuse_with(t->request, "no message has come that passes the filter");
        trace_free(t);
}

/* A worker that has it goes on to the end of its batch, and frees it then. */
void trace_cancel(struct bus_taps *taps) {
        pthread_mutex_lock(&taps->lock);
        struct trace *t = TAKE(taps->trace);
        bool runs = t && t->state == TRACE_RUNS;
        if (t) {
                t->is_abandoned = true;
                if (t->state == TRACE_WAITS)
                        atomic_fetch_sub(&taps->point.watchers[TAP_RULESET], 1);
                loop_disarm(taps->bus->host.loop, &t->timer);
                refuse_with(t->request, "the daemon leaves the bus");
        }
        pthread_mutex_unlock(&taps->lock);
        if (!runs)
                trace_free(t);
}

void command_trace(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        struct bus_taps *taps = b->taps;
        _owned_(buffer_fini) struct buffer mistake = {0};
        _owned_(memory_free) char *filter = argument_string(request, "filter");
        _owned_(trace_free) struct trace *t = calloc(1, sizeof *t);
        int64_t timeout_ms = TRACE_TIMEOUT_MS;
        (void)argument_integer(request, "timeout", &timeout_ms);
        timeout_ms = MIN(MAX(timeout_ms, INT64_C(1)), (int64_t)TRACE_TIMEOUT_MAX_MS);
        if (!t || taps->trace) {
                refuse_with(request, t ? "another trace waits for its message" : "no memory");
                return;
        }
        *t = (struct trace){.hook = {.tell = tell, .end = end}, .taps = taps, .request = request, .timer.fire = expire};
        int r = typed_filter_new(&t->filter, b->host.pipeline, b->host.registry, filter, &mistake);
        if (r == 0)
                r = loop_arm(b->host.loop, &t->timer, clock_mono_ns() + timeout_ms * 1000000);
        if (r) {
                const char *words = buffer_string(&mistake);
                refuse_with(request, "%s", words && *words ? words : fail_text(r));
                return;
        }
        pthread_mutex_lock(&taps->lock);
        taps->trace = TAKE(t);
        pthread_mutex_unlock(&taps->lock);
        atomic_fetch_add(&taps->point.watchers[TAP_RULESET], 1);
}
