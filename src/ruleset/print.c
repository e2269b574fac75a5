/*
 * Programs for people: what a ruleset was compiled to. What stands there is read from
 * the compiled steps, not from the configuration: constants are folded, and what is
 * answered, delivered or rendered together says so.
 */
#include "module/settings.h"
#include "ruleset/program_inside.h"

enum { PLACE_COLUMNS = 12 };

void queue_print(struct buffer *out, const struct queue_settings *queue) {
        const struct param *type = param_find(queue_settings_type.params, TEXT("queue.type"));
        buffer_format(out, "%s", type->choices[queue->type]);
        if (queue->type == QUEUE_DIRECT)
                return;
        buffer_format(out, ", %lld messages, %lld worker%s", (long long)queue->size, (long long)queue->worker_threads,
                      queue->worker_threads == 1 ? "" : "s");
        if (queue->file_name)
                buffer_format(out, ", on disk as '%s'", queue->file_name);
}

/* ---- Steps ---------------------------------------------------------------- */

static void begin_line(struct buffer *out, const struct place *place, unsigned depth) {
        size_t from = out->size;
        buffer_format(out, "  %u:%u", place->line, place->column);
        while (out->size - from < PLACE_COLUMNS + depth * 4)
                buffer_byte(out, ' ');
}

static void print_steps(struct buffer *out, const struct step *first, const struct program *p, unsigned depth);

static void print_condition(struct buffer *out, const struct step *s, const struct program *p, unsigned depth) {
        buffer_text(out, TEXT("if "));
        filter_print(out, s->filter, s->statement);
        buffer_byte(out, '\n');
        print_steps(out, s->body, p, depth + 1);
        if (!s->otherwise)
                return;
        begin_line(out, &s->otherwise->statement->place, depth);
        buffer_text(out, TEXT("else\n"));
        print_steps(out, s->otherwise, p, depth + 1);
}

static void print_limits(struct buffer *out, const struct action_settings *a) {
        if (a->exec_only_when_previous_is_suspended)
                buffer_text(out, TEXT("; only for messages that the action before missed"));
        if (a->exec_every_nth > 1)
                buffer_format(out, "; every %lld. message", (long long)a->exec_every_nth);
        if (a->exec_once_every_s > 0)
                buffer_format(out, "; once in %lld s", (long long)a->exec_once_every_s);
}

static void print_action(struct buffer *out, const struct step *s, const struct program *p) {
        const struct object *o = s->statement->action;
        object_print(out, "action", o, SECRETS_MASKED);
        if (o->module->kind == MODULE_MODIFIER) {
                buffer_format(out, "  -- changes the message%s", s->instance ? "" : "; could not be opened: left out");
                return;
        }
        if (!s->delivery) {
                buffer_text(out, TEXT("  -- could not be opened: left out"));
                return;
        }
        buffer_format(out, "  -- delivery %u", s->group);
        if (s->is_shared && p->collects)
                buffer_text(out, TEXT(", shared: written once a batch, in the order of the messages"));
        if (o->queue && o->queue->type != QUEUE_DIRECT) {
                buffer_text(out, TEXT("; queue "));
                queue_print(out, o->queue);
        }
        print_limits(out, s->action);
}

static void print_change(struct buffer *out, const struct step *s) {
        const struct statement *st = s->statement;
        buffer_format(out, "%s ", st->kind == STATEMENT_SET ? "set" : st->kind == STATEMENT_RESET ? "reset" : "unset");
        expr_print(out, st->variable);
        if (!s->value)
                return;
        buffer_text(out, TEXT(" = "));
        expression_print(out, s->value);
}

static void print_other(struct buffer *out, const struct step *s) {
        struct statement alone = *s->statement;
        _owned_(buffer_fini) struct buffer text = {0};
        alone.next = NULL;
        statements_print(&text, &alone, 0, SECRETS_MASKED);
        buffer_text(out, text_trim(buffer_as_text(&text)));
}

static void print_foreach(struct buffer *out, const struct step *s, const struct program *p, unsigned depth) {
        buffer_text(out, TEXT("foreach "));
        expr_print(out, s->statement->variable);
        buffer_text(out, TEXT(" in "));
        expression_print(out, s->value);
        buffer_byte(out, '\n');
        print_steps(out, s->body, p, depth + 1);
}

static void print_steps(struct buffer *out, const struct step *first, const struct program *p, unsigned depth) {
        for (const struct step *s = first; s; s = s->next) {
                begin_line(out, &s->statement->place, depth);
                switch (s->statement->kind) {
                case STATEMENT_IF:
                case STATEMENT_SELECTOR:
                case STATEMENT_PROPERTY:
                        print_condition(out, s, p, depth);
                        continue;
                case STATEMENT_FOREACH:
                        print_foreach(out, s, p, depth);
                        continue;
                case STATEMENT_ACTION:
                        print_action(out, s, p);
                        break;
                case STATEMENT_SET:
                case STATEMENT_RESET:
                case STATEMENT_UNSET:
                        print_change(out, s);
                        break;
                case STATEMENT_CALL:
                        buffer_format(out, "call %s%s", s->ruleset,
                                      s->may_stop ? "" : "  -- has a queue of its own: gets a copy, and this goes on");
                        break;
                default:
                        print_other(out, s);
                        break;
                }
                buffer_byte(out, '\n');
        }
}

/* ---- The whole ------------------------------------------------------------ */

void program_print(struct buffer *out, const struct program *p) {
        buffer_text(out, TEXT("  runs: "));
        if (!p->is_one_by_one)
                buffer_text(out, TEXT("each statement over a whole batch"));
        else if (p->why.writes_globals)
                buffer_text(out, TEXT("message by message, because one can notice what the one before left (a $/ "
                                      "variable, script_error(), or a modifier that counts)"));
        else if (p->why.has_rivals)
                buffer_text(out, TEXT("message by message, because two different actions write to one target"));
        else if (p->why.is_entering)
                buffer_text(out, TEXT("message by message, because one may enter the queue of a ruleset twice"));
        else
                buffer_text(out, TEXT("message by message, because messages are changed between actions that share a "
                                      "delivery"));
        if (p->shares_rows)
                buffer_text(out, TEXT("; actions with the same template share its rows"));
        buffer_byte(out, '\n');
        traits_print(out, p->traits);
        if (!p->steps)
                buffer_text(out, TEXT("  nothing\n"));
        for (const struct step *s = p->steps, *before = NULL; s; before = s, s = s->next) {
                const struct place *place = &s->statement->place;
                if (place->file && (!before || strcmp(place->file, before->statement->place.file) != 0))
                        buffer_format(out, "  %s\n", place->file);
                struct step alone = *s;
                alone.next = NULL;
                print_steps(out, &alone, p, 0);
        }
}
