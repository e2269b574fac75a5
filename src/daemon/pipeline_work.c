#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "daemon/pipeline_inside.h"

/* ---- Working --------------------------------------------------------------- */

static void hold_rehearsed(struct pipeline *p, struct batch *b) {
        struct batch **end = &p->rehearsed;
        while (*end)
                end = &(*end)->next;
        b->next = NULL;
        *end = b;
}

void station_push(struct sink *sink, struct batch *b, enum flow flow) {
        struct station *s = CONTAINER_OF(sink, struct station, sink);
        b->route = s;
        if (s->pipeline->host.rehearsal)
                hold_rehearsed(s->pipeline, b);
        else
                queue_push(s->queue ? s->queue : s->pipeline->main_queue, b, flow);
}

static const struct station *station_by_number(const struct pipeline *p, unsigned number) {
        const struct station *s = p->stations;
        while (s && --number)
                s = s->next;
        return s;
}

/* Records that a parser sent elsewhere run there, as if called, and are gone from here. */
static void redirect(const struct pipeline *p, struct ruleset_worker *w, struct batch *b) {
        uint16_t moved[BATCH_RECORDS_MAX];
        size_t kept = 0, count = 0;
        for (size_t i = 0; i < w->living_count; i++) {
                if (b->records[w->living[i]].ruleset)
                        moved[count++] = w->living[i];
                else
                        w->living[kept++] = w->living[i];
        }
        w->living_count = kept;
        for (size_t from = 0, to; from < count; from = to) {
                uint16_t number = b->records[moved[from]].ruleset;
                for (to = from; to < count && b->records[moved[to]].ruleset == number; to++)
                        ;
                for (size_t i = from; i < to; i++)
                        b->records[moved[i]].ruleset = 0;
                const struct station *s = station_by_number(p, number);
                if (s)
                        program_run(s->program, &w->run, b, moved + from, to - from);
        }
}

void station_run_told(struct station *s, struct ruleset_worker *w, struct batch *told) {
        const uint16_t only = 0;
        while (told) {
                struct batch *b = told;
                told = b->next;
                b->next = NULL;
                program_run(s->program, &w->run, b, &only, 1);
                batch_unref(b);
        }
}

static uint32_t work(struct station *s, struct ruleset_worker *w, struct batch *b, uint32_t first, uint32_t count);

/* Senders' names are known: what waited for them goes before all that a worker takes from now on. */
static void run_released(struct station *s, struct ruleset_worker *w, struct batch *released) {
        while (released) {
                struct batch *b = released;
                released = b->next;
                b->next = NULL;
                uint32_t settled = work(s, w, b, 0, b->count);
                if (settled < b->count)
                        batch_lose(b);
                batch_unref(b);
        }
}

/* Leaves in w->living what may go on, and returns how many that are. */
static size_t screen(struct station *s, struct ruleset_worker *w, struct batch *b) {
        uint16_t selection[BATCH_RECORDS_MAX];
        for (uint32_t i = 0; i < b->count; i++)
                selection[i] = (uint16_t)i;
        struct batch *released;
        size_t selected = waiting_room_screen(s->pipeline->waiting_room, b, s, selection, b->count, &released);
        run_released(s, w, released);
        memcpy(w->living, selection, selected * sizeof *selection);
        return selected;
}

static void begin_batch(struct station *s, struct ruleset_worker *w, struct batch *b) {
        bool has_redirected;
        size_t selected = UNLIKELY(admission_is_used()) ? screen(s, w, b) : b->count;
        w->living_count = chain_parse(&s->chain, b, w->living, selected, &has_redirected);
        tap_offer(s->pipeline->host.tap, TAP_RULESET, s->def->name, &w->run, b, w->living, w->living_count);
        if (has_redirected)
                redirect(s->pipeline, w, b);
        if (!repeats_are_reduced(&s->repeats))
                return;
        struct batch *told;
        w->living_count = repeats_reduce(&s->repeats, &w->run.context, b, w->living, w->living_count, &told);
        station_run_told(s, w, told);
}

static uint32_t work(struct station *s, struct ruleset_worker *w, struct batch *b, uint32_t first, uint32_t count) {
        if (first == 0)
                begin_batch(s, w, b);
        size_t from = 0;
        while (from < w->living_count && w->living[from] < first)
                from++;
        size_t to = from;
        while (to < w->living_count && w->living[to] < first + count)
                to++;
        if (to > from)
                program_run(s->program, &w->run, b, w->living + from, to - from);
        if (UNLIKELY(w->run.trace != NULL) && first + count >= b->count)
                w->run.trace = w->run.trace->end(w->run.trace);
        return count;
}

uint32_t pipeline_consume(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count) {
        struct pipeline *p = consumer;
        struct station *s = b->route ? (struct station *)b->route : p->stations;
        return work(s, &p->main_workers[worker], b, first, count);
}

uint32_t station_consume(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count) {
        struct station *s = consumer;
        return work(s, &s->workers[worker], b, first, count);
}

void pipeline_rung(void *consumer, unsigned worker) {
        struct pipeline *p = consumer;
        for (struct station *s = p->stations; s; s = s->next)
                if (!s->queue)
                        run_released(s, &p->main_workers[worker], waiting_room_take(p->waiting_room, s));
}

void station_rung(void *consumer, unsigned worker) {
        struct station *s = consumer;
        run_released(s, &s->workers[worker], waiting_room_take(s->pipeline->waiting_room, s));
}

int ruleset_workers_new(struct ruleset_worker **ret, unsigned *count, struct pipeline *p, struct queue *queue) {
        unsigned wanted = queue_workers(queue);
        struct ruleset_worker *workers = calloc(wanted, sizeof *workers);
        if (!workers)
                return fail(-ENOMEM);
        *ret = workers;
        for (unsigned i = 0; i < wanted; i++) {
                int r = run_init(&workers[i].run, &p->linker, &p->facts.host, &p->context);
                if (r)
                        return pass(r);
                *count = i + 1;
        }
        return 0;
}

void ruleset_workers_free(struct ruleset_worker *workers, unsigned count) {
        for (unsigned i = 0; i < count; i++)
                run_fini(&workers[i].run);
        free(workers);
}

/* ---- Rehearsals ---------------------------------------------------------------- */

static void rehearse_one(struct pipeline *p, struct batch *b) {
        const struct station *s = b->route;
        struct rehearsal_host *host = p->host.rehearsal;
        struct ruleset_worker *w = &p->main_workers[0];
        bool was_parsed = b->records[0].flags & RECORD_IS_PARSED, has_redirected;
        w->living[0] = 0;
        w->living_count = chain_parse((struct parser_chain *)&s->chain, b, w->living, 1, &has_redirected);
        bool lives = w->living_count > 0;
        const char *parser = was_parsed || !lives ? NULL : pipeline_parser_of(p, s->def->name, b, &b->records[0]);
        host->parsed(host, s->def->name, parser, lives, &w->run, b);
        host->trace.batch = b;
        host->trace.record = 0;
        w->run.trace = &host->trace;
        if (has_redirected)
                redirect(p, w, b);
        if (w->living_count)
                program_run(s->program, &w->run, b, w->living, w->living_count);
        w->run.trace = NULL;
        host->passed(host, &w->run, b);
}

int pipeline_rehearse(struct pipeline *p, const char *ruleset, struct batch *b) {
        unsigned left = REHEARSED_BATCHES_MAX;
        assert(p->host.rehearsal && b->count == 1);
        if (ruleset && !pipeline_station(p, ruleset)) {
                batch_unref(b);
                return fail(-ENOENT);
        }
        struct sink *sink = pipeline_sink(p, ruleset);
        sink->push(sink, b, FLOW_FULL);
        while (p->rehearsed) {
                _owned_(batch_unref) struct batch *next = p->rehearsed;
                p->rehearsed = next->next;
                next->next = NULL;
                if (left == 0)
                        continue;
                left--;
                rehearse_one(p, next);
        }
        return left ? 0 : fail(-ELOOP);
}
