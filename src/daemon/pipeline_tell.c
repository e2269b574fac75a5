#include <stdlib.h>

#include "base/fail.h"
#include "daemon/pipeline_inside.h"

struct queue *pipeline_next_queue(struct pipeline *p, size_t *at, const char **use) {
        size_t n = *at, i = 1;
        *at = n + 1;
        *use = "main";
        if (n == 0)
                return p->main_queue;
        *use = "ruleset";
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue && i++ == n)
                        return s->queue;
        *use = "action";
        size_t place = 0;
        for (struct delivery *d; (d = actions_next(p->actions, &place));)
                if (delivery_queue(d) && i++ == n)
                        return delivery_queue(d);
        return NULL;
}

struct queue *pipeline_find_queue(struct pipeline *p, const char *name, const char **use) {
        size_t at = 0;
        for (struct queue *q; (q = pipeline_next_queue(p, &at, use));)
                if (strcmp(queue_name(q), name) == 0)
                        return q;
        return NULL;
}

struct delivery *pipeline_next_action(struct pipeline *p, size_t *at) {
        return actions_next(p->actions, at);
}

struct delivery *pipeline_find_action(struct pipeline *p, const char *name) {
        return actions_find(p->actions, name);
}

bool pipeline_next_input(struct pipeline *p, size_t *at, struct input_facts *ret) {
        return inputs_next(p->inputs, at, ret);
}

bool pipeline_next_limit(struct pipeline *p, size_t *at, struct input_limit *ret) {
        return inputs_next_limit(p->inputs, at, ret);
}

int pipeline_set_limit(struct pipeline *p, const struct input_limit *limit) {
        return inputs_set_limit(p->inputs, limit);
}

struct sink *pipeline_find_sink(struct pipeline *p, const char *ruleset) {
        return !ruleset || pipeline_station(p, ruleset) ? pipeline_sink(p, ruleset) : NULL;
}

int pipeline_run_init(struct pipeline *p, struct run *run) {
        return run_init(run, &p->linker, &p->facts.host, &p->context);
}

const char *pipeline_parser_of(struct pipeline *p, const char *ruleset, struct batch *b, const struct record *r) {
        const struct station *s = pipeline_station(p, ruleset);
        const struct chain_link *link = s ? chain_find_parser(&s->chain, p->pool, b, r) : NULL;
        return link ? parsers_name_of(&p->parsers, link) : NULL;
}

void pipeline_visit_statistics(struct pipeline *p, bool resets, struct statistic_visitor *visitor) {
        size_t count = 0;
        for (struct station *s = p->stations; s; s = s->next)
                count += s->queue != NULL;
        struct queue **queues = calloc(count + 1, sizeof(*queues));
        if (!queues)
                return;
        count = 0;
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        queues[count++] = s->queue;
        queues[count++] = p->main_queue;
        struct statistics_sources sources = {.inputs = p->inputs,
                                             .actions = p->actions,
                                             .limits = p->limits,
                                             .queues = queues,
                                             .queue_count = count};
        statistics_visit(p->statistics, &sources, resets, visitor);
        free(queues);
}

void pipeline_print(struct pipeline *p, struct buffer *out) {
        for (const struct station *s = p->stations; s; s = s->next) {
                if (!s->def->statements && s != p->stations)
                        continue;
                buffer_format(out, "%sruleset %s", out->size ? "\n" : "", s->def->name);
                if (s->def->place.file)
                        buffer_format(out, " (%s:%u)", s->def->place.file, s->def->place.line);
                buffer_format(out, "\n  parsers:");
                for (unsigned i = 0; i < s->chain.count; i++) {
                        const char *name = parsers_name_of(&p->parsers, &s->chain.links[i]);
                        buffer_format(out, " %s", name ? name : "?");
                }
                const struct queue_settings *queue = s->def->queue;
                buffer_format(out, "\n  queue: ");
                if (queue)
                        queue_print(out, queue);
                else
                        buffer_format(out, "none of its own: messages come through the main queue, calls run in the "
                                           "caller");
                buffer_byte(out, '\n');
                program_print(out, s->program);
        }
}
