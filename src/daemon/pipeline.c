#include "daemon/pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fail.h"
#include "daemon/actions.h"
#include "daemon/diagnosis.h"
#include "daemon/facts.h"
#include "daemon/inputs.h"
#include "daemon/limits.h"
#include "daemon/lookups.h"
#include "daemon/rehearsal.h"
#include "daemon/repeats.h"
#include "daemon/statistics.h"
#include "daemon/waiting_room.h"
#include "delivery/delivery.h"
#include "module/settings.h"
#include "parser/chain.h"
#include "queue/orphans.h"
#include "ruleset/program.h"
#include "template/template.h"

/* A template, found by name; compiled when first asked for where it is built in. */
struct named_template {
        struct template *template;
        struct named_template *next;
};

/* A parser instance, by the name that rulesets call it. */
struct named_parser {
        const char *name; /* of a parser() object; NULL: what the module is called without one */
        const struct module *module;
        void *instance;
        void *defaults; /* settings, where no parser() object gave any */
        struct named_parser *next;
};

/* One worker's state: a program's run and the records that its batch still has. */
struct ruleset_worker {
        struct run run;
        uint16_t living[BATCH_RECORDS_MAX];
        size_t living_count;
};

/* A ruleset, running. Without a queue of its own it is reached through the main queue. */
struct station {
        struct sink sink; /* what inputs and own messages push into */
        struct pipeline *pipeline;
        const struct ruleset_def *def;
        struct parser_chain chain;
        struct repeats repeats;
        struct program *program;
        struct queue *queue; /* NULL: the main queue */
        struct ruleset_worker *workers;
        unsigned worker_count;
        struct station *next;
};

struct pipeline {
        struct pipeline_host host;
        struct config *config;
        struct module_log_reporter log;
        struct facts facts;
        struct batch_pool *pool;
        struct budget *budget; /* global(memory.max) */
        struct pack_names names;
        struct queue_place place;
        struct globals *globals;
        struct property_context context; /* every worker and output begins with a copy */
        struct named_template *templates;
        struct named_parser *parsers;
        struct tables *tables; /* lookup_table() */
        struct statistics *statistics;
        struct limits *limits; /* ratelimit() */
        struct actions *actions;
        struct station *stations; /* the default ruleset first */
        struct queue *main_queue;
        struct ruleset_worker *main_workers;
        unsigned main_worker_count;
        struct program_linker linker;
        struct inputs *inputs;
        struct waiting_room *waiting_room;
        struct batch *rehearsed; /* in a rehearsal: what waits in queues */
};

/* ---- Finding by name ------------------------------------------------------- */

static const struct template_def *find_template_def(const struct pipeline *p, const char *name) {
        for (const struct template_def *def = p->config->templates; def; def = def->next)
                if (strcmp(def->name, name) == 0)
                        return def;
        return template_builtin(text_of(name));
}

static const struct template *find_template(void *owner, const char *name) {
        struct pipeline *p = owner;
        for (struct named_template *t = p->templates; t; t = t->next)
                if (strcmp(template_name(t->template), name) == 0)
                        return t->template;
        const struct template_def *def = find_template_def(p, name);
        struct named_template *t = def ? calloc(1, sizeof *t) : NULL;
        if (!t || template_new(&t->template, def, NULL)) {
                free(t);
                return NULL;
        }
        t->next = p->templates;
        p->templates = t;
        return t->template;
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

static struct station *find_station(struct pipeline *p, const char *name) {
        for (struct station *s = p->stations; s; s = s->next)
                if (strcasecmp(s->def->name, name) == 0)
                        return s;
        return NULL;
}

static bool find_ruleset(void *owner, const char *name, struct program **program, struct sink **queue) {
        struct station *s = find_station(owner, name);
        if (!s)
                return false;
        *program = s->program;
        bool has_queue = s->queue || (s->pipeline->host.rehearsal && s->def->queue);
        *queue = has_queue ? &s->sink : NULL;
        return true;
}

/* ---- Working --------------------------------------------------------------- */

static void hold_rehearsed(struct pipeline *p, struct batch *b) {
        struct batch **end = &p->rehearsed;
        while (*end)
                end = &(*end)->next;
        b->next = NULL;
        *end = b;
}

static void push_to_station(struct sink *sink, struct batch *b, enum flow flow) {
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

static void run_told(struct station *s, struct ruleset_worker *w, struct batch *told) {
        const uint16_t only = 0;
        while (told) {
                struct batch *b = told;
                told = b->next;
                b->next = NULL;
                program_run(s->program, &w->run, b, &only, 1);
                batch_unref(b);
        }
}

static void begin_batch(struct station *s, struct ruleset_worker *w, struct batch *b) {
        bool has_redirected;
        size_t selected = b->count;
        if (UNLIKELY(admission_is_used())) {
                for (uint32_t i = 0; i < b->count; i++)
                        w->living[i] = (uint16_t)i;
                selected = waiting_room_screen(s->pipeline->waiting_room, b, s, w->living, selected);
        }
        w->living_count = chain_parse(&s->chain, b, w->living, selected, &has_redirected);
        tap_offer(s->pipeline->host.tap, TAP_RULESET, s->def->name, &w->run, b, w->living, w->living_count);
        if (has_redirected)
                redirect(s->pipeline, w, b);
        if (!repeats_are_reduced(&s->repeats))
                return;
        struct batch *told;
        w->living_count = repeats_reduce(&s->repeats, &w->run.context, b, w->living, w->living_count, &told);
        run_told(s, w, told);
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

static uint32_t consume_main(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count) {
        struct pipeline *p = consumer;
        struct station *s = b->route ? (struct station *)b->route : p->stations;
        return work(s, &p->main_workers[worker], b, first, count);
}

static uint32_t consume_station(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count) {
        struct station *s = consumer;
        return work(s, &s->workers[worker], b, first, count);
}

static int workers_new(struct ruleset_worker **ret, unsigned *count, struct pipeline *p, struct queue *queue) {
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

static void workers_free(struct ruleset_worker *workers, unsigned count) {
        for (unsigned i = 0; i < count; i++)
                run_fini(&workers[i].run);
        free(workers);
}

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
        return copy ? find_station(owner, copy) : NULL;
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

/* A queue that cannot open on disk works in memory, unless global(abortOnFailedQueueStartup) forbids it. */
/* `waits`: another process still has what is on disk, so that it works in memory until then. */
static int start_queue(struct pipeline *p, struct queue *q, bool waits) {
        int r = waits ? 0 : queue_open(q, &p->place);
        if (r && p->config->global->aborts_on_failed_queue)
                return pass(r);
        return queue_start(q);
}

/* ---- Building --------------------------------------------------------------- */

static int build_templates(struct pipeline *p, struct diagnostics *diagnostics) {
        for (const struct template_def *def = p->config->templates; def; def = def->next) {
                struct named_template *t = calloc(1, sizeof *t);
                if (!t)
                        return fail(-ENOMEM);
                if (template_new(&t->template, def, diagnostics)) {
                        free(t);
                        continue; /* said in the diagnostics */
                }
                t->next = p->templates;
                p->templates = t;
        }
        return 0;
}

static struct named_parser *parser_free(struct named_parser *n) {
        if (n->instance && n->module->parser->close)
                n->module->parser->close(n->instance);
        settings_free(&n->module->settings, n->defaults);
        free(n);
        return NULL;
}
OWNED_POINTER(struct named_parser, parser_free);

/* `settings` NULL: the defaults. */
static int add_parser(struct pipeline *p, const char *name, const struct module *module, const void *settings) {
        _owned_(parser_free) struct named_parser *n = calloc(1, sizeof *n);
        if (!n)
                return fail(-ENOMEM);
        n->name = name;
        n->module = module;
        if (!settings && module->settings.size) {
                settings = n->defaults = settings_new(&module->settings);
                if (!settings)
                        return fail(-ENOMEM);
        }
        int r = module->parser->open(&n->instance, &p->log.log, &p->facts.host, settings);
        if (r)
                return pass(r);
        n->next = p->parsers;
        p->parsers = TAKE(n);
        return 0;
}

static const struct named_parser *find_parser(const struct pipeline *p, const char *name) {
        for (const struct named_parser *n = p->parsers; n; n = n->next)
                if (n->name ? strcasecmp(n->name, name) == 0 : parser_is_called(n->module, text_of(name)))
                        return n;
        return NULL;
}

static bool is_default_parser_there(const struct pipeline *p, const struct module *module) {
        for (const struct named_parser *n = p->parsers; n; n = n->next)
                if (!n->name && n->module == module)
                        return true;
        return false;
}

static int build_parsers(struct pipeline *p) {
        for (const struct parser_def *def = p->config->parsers; def; def = def->next) {
                int r = add_parser(p, def->name, def->object->module, def->object->settings);
                if (r == -ENOMEM)
                        return pass(r);
        }
        /* Every parser module is there without a parser() object, too. */
        for (const struct module *const *m = registry_builtin(); *m; m++) {
                int r = (*m)->kind == MODULE_PARSER ? add_parser(p, NULL, *m, NULL) : 0;
                if (r)
                        return pass(r);
        }
        for (const struct loaded_module *m = p->config->modules; m; m = m->next) {
                int r = m->module->kind == MODULE_PARSER && !is_default_parser_there(p, m->module)
                                ? add_parser(p, NULL, m->module, NULL)
                                : 0;
                if (r == -ENOMEM)
                        return pass(r);
        }
        return 0;
}

static void add_to_chain(struct pipeline *p, struct station *s, const char *name, struct diagnostics *diagnostics) {
        const struct named_parser *n = find_parser(p, name);
        if (n && parser_chain_add(&s->chain, n->module, n->instance) == 0)
                return;
        diagnose(diagnostics, SEVERITY_ERR, 2159, s->def->place, 0, NULL,
                 "error: parser '%s' of ruleset '%s' is unknown or one too many: it is left out", name, s->def->name);
}

static void build_chain(struct pipeline *p, struct station *s, struct diagnostics *diagnostics) {
        parser_chain_init(&s->chain, &p->facts.host, &p->log.log);
        for (size_t i = 0; i < s->def->parsers.count; i++)
                add_to_chain(p, s, s->def->parsers.items[i], diagnostics);
        if (s->chain.count)
                return;
        add_to_chain(p, s, "rsyslog.rfc5424", diagnostics);
        add_to_chain(p, s, "rsyslog.rfc3164", diagnostics);
}

static int build_stations(struct pipeline *p, struct diagnostics *diagnostics) {
        struct station **end = &p->stations;
        for (const struct ruleset_def *def = p->config->rulesets; def; def = def->next) {
                struct station *s = calloc(1, sizeof *s);
                if (!s)
                        return fail(-ENOMEM);
                *s = (struct station){.sink.push = push_to_station, .pipeline = p, .def = def};
                *end = s;
                end = &s->next;
                build_chain(p, s, diagnostics);
                int r = 0;
                if (p->config->reduces_repeated && !p->host.is_checking && !p->host.rehearsal)
                        r = repeats_init(&s->repeats, p->pool, p->host.housekeeping, &s->sink);
                if (r)
                        return pass(r);
                if (!def->queue || p->host.is_checking || p->host.rehearsal)
                        continue;
                struct queue_consumer consumer = {.consume = consume_station, .hurry = hurry_station, .consumer = s};
                r = queue_new(&s->queue, def->name, def->queue, consumer, own_log_reporter(p->host.log));
                if (r == 0)
                        queue_share_budget(s->queue, p->budget);
                if (r == 0)
                        queue_observe(s->queue, p->host.observer);
                if (r == 0)
                        r = workers_new(&s->workers, &s->worker_count, p, s->queue);
                if (r)
                        return pass(r);
        }
        struct queue_consumer consumer = {.consume = consume_main, .hurry = hurry, .consumer = p};
        int r = queue_new(&p->main_queue, "main Q", p->config->main_queue, consumer, own_log_reporter(p->host.log));
        if (r)
                return pass(r);
        queue_share_budget(p->main_queue, p->budget);
        queue_observe(p->main_queue, p->host.observer);
        r = workers_new(&p->main_workers, &p->main_worker_count, p, p->main_queue);
        return r ? pass(r) : 0;
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

/* From the waiting room, whose thread may wait for room in the queue. */
static void push_admitted(void *owner _unused_, struct batch *b) {
        struct station *s = (struct station *)b->route;
        push_to_station(&s->sink, b, FLOW_FULL);
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
                r = build_templates(p, diagnostics);
        if (r == 0)
                r = build_parsers(p);
        if (r == 0)
                r = lookups_new(&p->tables, config, own_log_reporter(host->log), diagnostics);
        if (r == 0)
                r = limits_new(&p->limits, config, own_log_reporter(host->log), diagnostics);
        if (r == 0)
                r = statistics_new(&p->statistics, config, diagnostics);
        if (r == 0)
                r = build_stations(p, diagnostics);
        if (r == 0)
                r = build_programs(p, diagnostics);
        if (r == 0)
                r = waiting_room_new(&p->waiting_room, p->pool, waiting_room_share(p), push_admitted, p,
                                     own_log_reporter(host->log));
        if (r)
                return pass(r);
        *ret = TAKE(p);
        return 0;
}

/* ---- Life --------------------------------------------------------------------- */

static struct sink *find_sink(void *owner, const char *ruleset) {
        struct pipeline *p = owner;
        struct station *s = ruleset ? find_station(p, ruleset) : NULL;
        if (!s && p->config->default_ruleset)
                s = find_station(p, p->config->default_ruleset);
        return s ? &s->sink : &p->stations->sink;
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
                        run_told(s, w, repeats_end(&s->repeats));
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
        return left + actions_stop(p->actions);
}

void pipeline_reopen(struct pipeline *p) {
        inputs_reopen(p->inputs);
        actions_reopen(p->actions);
        tables_request_hup(p->tables);
        limits_reopen(p->limits);
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
        return find_sink(p, NULL);
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

/* ---- What there is ----------------------------------------------------------------- */

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
        return !ruleset || find_station(p, ruleset) ? find_sink(p, ruleset) : NULL;
}

int pipeline_run_init(struct pipeline *p, struct run *run) {
        return run_init(run, &p->linker, &p->facts.host, &p->context);
}

static const struct named_parser *parser_of_link(const struct pipeline *p, const struct chain_link *link) {
        for (const struct named_parser *n = p->parsers; n; n = n->next)
                if (n->instance == link->instance && n->module->parser->parse == link->parse)
                        return n;
        return NULL;
}

const char *pipeline_parser_of(struct pipeline *p, const char *ruleset, struct batch *b, const struct record *r) {
        const struct station *s = find_station(p, ruleset);
        const struct chain_link *link = s ? chain_find_parser(&s->chain, p->pool, b, r) : NULL;
        const struct named_parser *n = link ? parser_of_link(p, link) : NULL;
        return !n ? NULL : n->name ? n->name : n->module->name;
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
        if (ruleset && !find_station(p, ruleset)) {
                batch_unref(b);
                return fail(-ENOENT);
        }
        struct sink *sink = find_sink(p, ruleset);
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

void pipeline_print(struct pipeline *p, struct buffer *out) {
        for (const struct station *s = p->stations; s; s = s->next) {
                if (!s->def->statements && s != p->stations)
                        continue;
                buffer_format(out, "%sruleset %s", out->size ? "\n" : "", s->def->name);
                if (s->def->place.file)
                        buffer_format(out, " (%s:%u)", s->def->place.file, s->def->place.line);
                buffer_format(out, "\n  parsers:");
                for (unsigned i = 0; i < s->chain.count; i++) {
                        const struct named_parser *n = parser_of_link(p, &s->chain.links[i]);
                        buffer_format(out, " %s", !n ? "?" : n->name ? n->name : n->module->name);
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

static void station_free(struct station *s) {
        repeats_fini(&s->repeats);
        program_free(s->program);
        queue_free(s->queue);
        workers_free(s->workers, s->worker_count);
        free(s);
}

struct pipeline *pipeline_free(struct pipeline *p) {
        if (!p)
                return NULL;
        inputs_free(p->inputs);
        waiting_room_free(p->waiting_room);
        queue_free(p->main_queue);
        workers_free(p->main_workers, p->main_worker_count);
        while (p->stations) {
                struct station *s = p->stations;
                p->stations = s->next;
                station_free(s);
        }
        actions_free(p->actions);
        tables_free(p->tables);
        statistics_free(p->statistics);
        limits_free(p->limits);
        while (p->parsers) {
                struct named_parser *n = p->parsers;
                p->parsers = n->next;
                parser_free(n);
        }
        while (p->templates) {
                struct named_template *t = p->templates;
                p->templates = t->next;
                template_free(t->template);
                free(t);
        }
        budget_free(p->budget);
        globals_free(p->globals);
        batch_pool_unref(p->pool);
        facts_fini(&p->facts);
        free(p);
        return NULL;
}
