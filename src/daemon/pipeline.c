#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "daemon/diagnosis.h"
#include "daemon/pipeline_inside.h"
#include "queue/orphans.h"

/* ---- Finding by name ------------------------------------------------------- */

static const struct template *find_template(void *owner, const char *name) {
        return templates_find(&((struct pipeline *)owner)->templates, name);
}

static struct table *find_table(void *owner, struct text name) {
        return tables_find(((struct pipeline *)owner)->tables, name);
}

static struct dyn_stats *find_dyn_stats(void *owner, struct text name) {
        return statistics_find_dyn(((struct pipeline *)owner)->statistics, name);
}

static struct percentiles *find_percentiles(void *owner, struct text name) {
        return statistics_find_percentiles(((struct pipeline *)owner)->statistics, name);
}

static struct counter *find_processed(void *owner, const struct object *action) {
        return actions_processed(((struct pipeline *)owner)->actions, action);
}

static struct delivery *find_delivery(void *owner, const struct object *action) {
        return actions_delivery(((struct pipeline *)owner)->actions, action);
}

static void *find_modifier(void *owner, const struct object *action) {
        return actions_modifier(((struct pipeline *)owner)->actions, action);
}

struct station *pipeline_station(struct pipeline *p, const char *name) {
        for (struct station *s = p->stations; s; s = s->next)
                if (strcasecmp(s->def->name, name) == 0)
                        return s;
        return NULL;
}

struct sink *pipeline_sink(struct pipeline *p, const char *ruleset) {
        struct station *s = ruleset ? pipeline_station(p, ruleset) : NULL;
        if (!s && p->config->default_ruleset)
                s = pipeline_station(p, p->config->default_ruleset);
        return s ? &s->sink : &p->stations->sink;
}

static bool find_ruleset(void *owner, const char *name, struct program **program, struct sink **queue) {
        struct station *s = pipeline_station(owner, name);
        if (!s)
                return false;
        *program = s->program;
        bool has_queue = s->queue || (s->pipeline->host.rehearsal && s->def->queue);
        *queue = has_queue ? &s->sink : NULL;
        return true;
}

/* ---- Hurrying ---------------------------------------------------------------- */

/* Nothing that runs on a worker of ours, or on an input's thread, waits for a destination any more. */
static void hurry(void *owner) {
        actions_hurry(((struct pipeline *)owner)->actions);
}

static void hurry_station(void *owner) {
        hurry(((struct station *)owner)->pipeline);
}

/* What an input's thread pushes into a direct queue it delivers itself; other queues have a time-out of their own. */
static void hurry_inputs(void *owner) {
        struct pipeline *p = owner;
        bool is_direct = queue_is_direct(p->main_queue);
        for (struct station *s = p->stations; s; s = s->next)
                is_direct |= s->queue && queue_is_direct(s->queue);
        if (is_direct)
                hurry(p);
}

/* ---- Queues on disk --------------------------------------------------------- */

static const char *name_of_route(void *owner _unused_, const void *route) {
        return ((const struct station *)route)->def->name;
}

static const void *route_of_name(void *owner, struct text name) {
        _owned_(memory_free) char *copy = text_copy(name);
        return copy ? pipeline_station(owner, copy) : NULL;
}

static void choose_place(struct pipeline *p) {
        const struct strings *rulesets = p->facts.host.rulesets;
        p->names = (struct pack_names){.name_of_route = name_of_route, .route_of_name = route_of_name, .owner = p};
        if (rulesets) {
                p->names.rulesets = (const char *const *)rulesets->items;
                p->names.ruleset_count = rulesets->count;
        }
        p->place = (struct queue_place){
                .work_directory = p->facts.host.work_directory, .pool = p->pool, .names = &p->names};
}

/*
 * A queue that cannot open on disk works in memory, unless global(abortOnFailedQueueStartup) forbids it.
 * `waits`: another process still has what is on disk, so that it works in memory until then.
 */
static int start_queue(struct pipeline *p, struct queue *q, bool waits) {
        int r = waits ? 0 : queue_open(q, &p->place);
        if (r && p->config->global->aborts_on_failed_queue)
                return pass(r);
        return queue_start(q);
}

/* ---- Building --------------------------------------------------------------- */

static int build_stations(struct pipeline *p, struct diagnostics *diagnostics) {
        struct station **end = &p->stations;
        for (const struct ruleset_def *def = p->config->rulesets; def; def = def->next) {
                struct station *s = calloc(1, sizeof *s);
                if (!s)
                        return fail(-ENOMEM);
                *s = (struct station){.sink.push = station_push, .pipeline = p, .def = def};
                *end = s;
                end = &s->next;
                parsers_make_chain(&p->parsers, &s->chain, def, diagnostics);
                int r = 0;
                if (p->config->reduces_repeated && !p->host.is_checking && !p->host.rehearsal)
                        r = repeats_init(&s->repeats, p->pool, p->host.housekeeping, &s->sink);
                if (r)
                        return pass(r);
                if (!def->queue || p->host.is_checking || p->host.rehearsal)
                        continue;
                struct queue_consumer consumer = {
                        .consume = station_consume, .rung = station_rung, .hurry = hurry_station, .consumer = s};
                r = queue_new(&s->queue, def->name, def->queue, consumer, own_log_reporter(p->host.log));
                if (r == 0)
                        queue_share_budget(s->queue, p->budget);
                if (r == 0)
                        queue_observe(s->queue, p->host.observer);
                if (r == 0)
                        r = ruleset_workers_new(&s->workers, &s->worker_count, p, s->queue);
                if (r)
                        return pass(r);
        }
        struct queue_consumer consumer = {
                .consume = pipeline_consume, .rung = pipeline_rung, .hurry = hurry, .consumer = p};
        int r = queue_new(&p->main_queue, "main Q", p->config->main_queue, consumer, own_log_reporter(p->host.log));
        if (r)
                return pass(r);
        queue_share_budget(p->main_queue, p->budget);
        queue_observe(p->main_queue, p->host.observer);
        r = ruleset_workers_new(&p->main_workers, &p->main_worker_count, p, p->main_queue);
        return r ? pass(r) : 0;
}

/* The parsers of a ruleset; NULL: of the default one. */
static const struct parser_chain *find_chain(void *owner, const char *ruleset) {
        return &CONTAINER_OF(pipeline_sink(owner, ruleset), struct station, sink)->chain;
}

static int build_limits(struct pipeline *p, struct diagnostics *diagnostics) {
        struct limit_key_host host = {
                .config = p->config, .pool = p->pool, .context = &p->context, .find_chain = find_chain, .owner = p};
        return pass(limits_new(&p->limits, &host, own_log_reporter(p->host.log), diagnostics));
}

static int build_programs(struct pipeline *p, struct diagnostics *diagnostics) {
        for (struct station *s = p->stations; s; s = s->next) {
                int r = program_new(&s->program, s->def, &p->linker, diagnostics);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* What messages of unknown senders may take of the main queue. */
static uint64_t waiting_room_share(const struct pipeline *p) {
        int64_t size = p->config->main_queue ? p->config->main_queue->size : 0;
        return (uint64_t)MAX(size * UNKNOWN_SHARE_PERCENT / 100, (int64_t)UNKNOWN_MESSAGES_MIN);
}

/* From the waiting room: one of the workers that serve the ruleset shall take what may go on. */
static void ring(const void *route) {
        const struct station *s = route;
        queue_ring(s->queue ? s->queue : s->pipeline->main_queue);
}

int pipeline_new(struct pipeline **ret, struct config *config, const struct pipeline_host *host,
                 struct diagnostics *diagnostics) {
        _owned_(pipeline_free) struct pipeline *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        p->host = *host;
        p->config = config;
        module_log_reporter_init(&p->log, own_log_reporter(host->log), NULL);
        p->linker = (struct program_linker){
                .names = {.find_template = find_template,
                          .find_table = find_table,
                          .find_dyn_stats = find_dyn_stats,
                          .find_percentiles = find_percentiles,
                          .owner = p},
                .find_processed = find_processed,
                .find_delivery = find_delivery,
                .find_modifier = find_modifier,
                .find_ruleset = find_ruleset,
                .owner = p,
                .reporter = own_log_reporter(host->log),
        };
        int r = facts_init(&p->facts, config, host->is_checking);
        if (r == 0)
                r = batch_pool_new(&p->pool);
        if (r == 0)
                r = budget_new(&p->budget, (uint64_t)config->global->memory_bytes_max);
        if (r == 0)
                r = globals_new(&p->globals, config->global->case_sensitive_variables);
        p->context = (struct property_context){.host_name = p->facts.host.host_name,
                                               .globals = p->globals,
                                               .is_case_sensitive = config->global->case_sensitive_variables,
                                               .permits_slash = config->global->permits_slash_in_program,
                                               .is_json_compact = config->global->compact_json,
                                               .now_us = host->rehearsal ? host->rehearsal->now_us : 0};
        if (r == 0)
                r = templates_init(&p->templates, config, diagnostics);
        if (r == 0)
                r = parsers_init(&p->parsers, config, &p->log.log, &p->facts.host);
        if (r == 0)
                r = lookups_new(&p->tables, config, own_log_reporter(host->log), diagnostics);
        if (r == 0)
                r = statistics_new(&p->statistics, config, diagnostics);
        if (r == 0)
                r = build_stations(p, diagnostics);
        if (r == 0)
                r = build_limits(p, diagnostics);
        if (r == 0)
                r = build_programs(p, diagnostics);
        if (r == 0)
                r = waiting_room_new(&p->waiting_room, p->pool, waiting_room_share(p), ring,
                                     own_log_reporter(host->log));
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

/* ---- Life --------------------------------------------------------------------- */

static struct sink *find_sink(void *owner, const char *ruleset) {
        return pipeline_sink(owner, ruleset);
}

static int link_programs(struct pipeline *p) {
        size_t count = 0;
        for (struct station *s = p->stations; s; s = s->next)
                count++;
        _owned_(memory_free) struct program **programs = calloc(count, sizeof(*programs));
        if (!programs)
                return fail(-ENOMEM);
        size_t at = 0;
        for (struct station *s = p->stations; s; s = s->next)
                programs[at++] = s->program;
        int r = programs_link(programs, count, &p->linker);
        return r ? pass(r) : 0;
}

int pipeline_open(struct pipeline *p) {
        struct actions_plan actions = {.config = p->config,
                                       .reporter = own_log_reporter(p->host.log),
                                       .log = &p->log.log,
                                       .facts = &p->facts.host,
                                       .context = &p->context,
                                       .budget = p->budget,
                                       .observer = p->host.observer,
                                       .tap = p->host.tap,
                                       .place = &p->place,
                                       .rehearsal = p->host.rehearsal,
                                       .housekeeping = p->host.housekeeping,
                                       .limits = p->limits,
                                       .find_template = find_template,
                                       .owner = p};
        choose_place(p);
        int r = actions_new(&p->actions, &actions);
        if (r)
                return pass(r);
        r = link_programs(p);
        if (r || p->host.rehearsal)
                return r ? pass(r) : 0;
        struct inputs_plan plan = {.config = p->config,
                                   .reporter = own_log_reporter(p->host.log),
                                   .facts = &p->facts.host,
                                   .pool = p->pool,
                                   .find_sink = find_sink,
                                   .hurry = hurry_inputs,
                                   .timeout_stop_ms = p->config->global->input_timeout_shutdown_ms,
                                   .owner = p,
                                   .limits = p->limits,
                                   .diag = diagnosis_services(),
                                   .daemon = p->host.diagnosis};
        r = inputs_new(&p->inputs, &plan);
        return r ? pass(r) : 0;
}

/* Backlogs that the configuration has forgotten; every queue that is configured has its own open by now. */
static void report_orphans(struct pipeline *p) {
        struct orphans search = {.reporter = own_log_reporter(p->host.log)};
        orphans_look(&search, p->place.work_directory);
        orphans_look(&search, queue_spool(p->main_queue));
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        orphans_look(&search, queue_spool(s->queue));
        size_t at = 0;
        for (struct delivery *d; (d = actions_next(p->actions, &at));)
                if (delivery_queue(d))
                        orphans_look(&search, queue_spool(delivery_queue(d)));
}

static void open_disk(struct pipeline *p, struct queue *q) {
        if (queue_wants_disk(q) && queue_open(q, &p->place) == 0)
                (void)queue_start(q); /* what went wrong is reported */
}

void pipeline_resume(struct pipeline *p) {
        actions_open_disks(p->actions);
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        open_disk(p, s->queue);
        open_disk(p, p->main_queue);
        inputs_resume(p->inputs);
        report_orphans(p);
}

void pipeline_retire(struct pipeline *p) {
        inputs_retire(p->inputs);
}

unsigned pipeline_sessions(const struct pipeline *p) {
        return inputs_sessions(p->inputs);
}

int pipeline_start(struct pipeline *p, bool waits) {
        int r = tables_start(p->tables);
        if (r == 0)
                r = limits_start(p->limits, p->host.housekeeping);
        /* Where messages end first: a backlog on disk finds every queue behind it open. */
        if (r == 0)
                r = actions_start(p->actions, waits);
        for (struct station *s = p->stations; s && r == 0; s = s->next)
                if (s->queue)
                        r = start_queue(p, s->queue, waits);
        if (r == 0)
                r = start_queue(p, p->main_queue, waits);
        if (r == 0 && !waits)
                report_orphans(p);
        if (r == 0)
                r = inputs_start(p->inputs, waits);
        return r ? pass(r) : 0;
}

/* An input that is held by a full queue, or works on a direct one, ends its waiting in bounded time. */
void pipeline_stop_inputs(struct pipeline *p) {
        budget_open(p->budget);
        queue_hold_no_more(p->main_queue);
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        queue_hold_no_more(s->queue);
        actions_hold_no_more(p->actions);
        inputs_stop(p->inputs);
        waiting_room_close(p->waiting_room);
        hurry_inputs(p);
}

/* Empties the rulesets' queues while all are open, because one may call another, in whatever order they stand. */
static void drain_stations(struct pipeline *p) {
        if (!queue_drain(p->main_queue))
                return;
        bool is_drained = false;
        for (struct station *round = p->stations; round && !is_drained; round = round->next) {
                is_drained = true;
                for (struct station *s = p->stations; s; s = s->next)
                        if (s->queue && queue_unfinished(s->queue)) {
                                is_drained = false;
                                if (!queue_drain(s->queue))
                                        return;
                        }
        }
}

/* With no worker running any more: what their rulesets have held back. */
static void tell_held_back(struct pipeline *p, const struct queue *queue, struct ruleset_worker *w) {
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue == queue && repeats_are_reduced(&s->repeats))
                        station_run_told(s, w, repeats_end(&s->repeats));
}

uint64_t pipeline_drain(struct pipeline *p) {
        tables_stop(p->tables);
        drain_stations(p);
        uint64_t left = queue_stop(p->main_queue);
        tell_held_back(p, NULL, &p->main_workers[0]);
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue) {
                        left += queue_stop(s->queue);
                        tell_held_back(p, s->queue, &s->workers[0]);
                }
        waiting_room_empty(p->waiting_room);
        return left + actions_stop(p->actions);
}

void pipeline_reopen(struct pipeline *p) {
        inputs_reopen(p->inputs);
        actions_reopen(p->actions);
        queue_let_go_of_dead(p->main_queue);
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        queue_let_go_of_dead(s->queue);
        tables_request_hup(p->tables);
        limits_reopen(p->limits);
}

bool pipeline_is_reading_tables(struct pipeline *p) {
        return tables_are_pending(p->tables);
}

uint64_t pipeline_unfinished(struct pipeline *p) {
        uint64_t n = queue_unfinished(p->main_queue);
        for (struct station *s = p->stations; s; s = s->next)
                if (s->queue)
                        n += queue_unfinished(s->queue);
        return n + actions_unfinished(p->actions);
}

uint64_t pipeline_main_queue_size(struct pipeline *p) {
        return queue_waiting(p->main_queue);
}

void pipeline_set_timeout(struct pipeline *p, enum diag_timeout timeout, int64_t ms, bool is_default) {
        bool sets_main = !is_default || !p->config->has_main_queue;
        if (timeout == DIAG_MAIN_QUEUE_SHUTDOWN && sets_main)
                queue_set_timeout_shutdown(p->main_queue, ms);
        if (timeout == DIAG_MAIN_QUEUE_ENQUEUE && sets_main)
                queue_set_timeout_enqueue(p->main_queue, ms);
        if (timeout == DIAG_ACTION_QUEUE_SHUTDOWN)
                actions_set_timeouts(p->actions, ms, -1);
        if (timeout == DIAG_ACTION_QUEUE_ENQUEUE)
                actions_set_timeouts(p->actions, -1, ms);
}

struct sink *pipeline_main_sink(struct pipeline *p) {
        return pipeline_sink(p, NULL);
}

struct batch_pool *pipeline_pool(struct pipeline *p) {
        return p->pool;
}

const struct host_facts *pipeline_facts(const struct pipeline *p) {
        return &p->facts.host;
}

bool pipeline_has_actions(const struct pipeline *p) {
        return p->config->action_count > 0;
}

static void station_free(struct station *s) {
        repeats_fini(&s->repeats);
        program_free(s->program);
        queue_free(s->queue);
        ruleset_workers_free(s->workers, s->worker_count);
        free(s);
}

struct pipeline *pipeline_free(struct pipeline *p) {
        if (!p)
                return NULL;
        inputs_free(p->inputs);
        waiting_room_free(p->waiting_room);
        queue_free(p->main_queue);
        ruleset_workers_free(p->main_workers, p->main_worker_count);
        while (p->stations) {
                struct station *s = p->stations;
                p->stations = s->next;
                station_free(s);
        }
        actions_free(p->actions);
        tables_free(p->tables);
        statistics_free(p->statistics);
        limits_free(p->limits);
        parsers_fini(&p->parsers);
        templates_fini(&p->templates);
        budget_free(p->budget);
        globals_free(p->globals);
        batch_pool_unref(p->pool);
        facts_fini(&p->facts);
        free(p);
        return NULL;
}
