#include "daemon/inputs.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "daemon/collector.h"
#include "daemon/limits.h"
#include "io/loop.h"
#include "message/ratelimit.h"
#include "module/log.h"
#include "module/settings.h"

enum {
        INPUT_THREADS_MAX = 64,
        INSTANCES_SHOWN_MAX = 4096, /* of one module, summed up in the statistics */
};

struct input_group;

/* One thread of a module. */
struct input_thread {
        struct input_group *group;
        struct loop *loop;
        pthread_t thread;
        bool is_running;
        sem_t has_ended;
        struct round_hook flush;
        struct intake *intakes; /* by ruleset and flow */
};

/* One input() object, or a module's own. */
struct input_instance {
        struct input_group *group;
        void *instance;
        const void *settings;
        struct counter *counters;
        struct input_host host;
        struct intake **intakes; /* host.intake, one a thread */
        unsigned number;         /* of the module's, in the order of the configuration */
        atomic_bool is_retiring; /* asked to, and has not yet: it may still accept */
        bool has_limit;
        struct input_limit limit; /* as it was set last; the main thread's */
        struct input_instance *next;
};

/* A module with its threads. */
struct input_group {
        const struct module *module;
        const void *module_settings;
        struct module_log_reporter log;
        unsigned threads;
        struct input_thread thread[INPUT_THREADS_MAX];
        struct loop *loops[INPUT_THREADS_MAX];
        struct input_instance *instances;
        void *shared; /* what the module's instances share; theirs */
        struct input_group *next;
};

struct inputs {
        struct inputs_plan plan;
        struct input_group *groups;
};

/* ---- Intakes ---------------------------------------------------------------- */

static void flush_intakes(struct round_hook *hook) {
        struct input_thread *t = CONTAINER_OF(hook, struct input_thread, flush);
        for (struct intake *in = t->intakes; in; in = in->next)
                intake_flush(in);
}

/* Each instance has its own intake on each thread, so that an input may choose its flow. */
static struct intake *add_intake(struct inputs *in, struct input_thread *t, const char *ruleset) {
        struct intake *intake = calloc(1, sizeof *intake);
        if (!intake)
                return NULL;
        intake_init(intake, in->plan.find_sink(in->plan.owner, ruleset), in->plan.pool, FLOW_NONE);
        intake->ruleset = ruleset;
        intake->next = t->intakes;
        t->intakes = intake;
        return intake;
}

/* ---- Opening ------------------------------------------------------------------ */

static int group_new(struct input_group **ret, struct inputs *in, const struct module *module) {
        struct input_group *g = calloc(1, sizeof *g);
        if (!g)
                return fail(-ENOMEM);
        g->module = module;
        g->module_settings = config_module_settings(in->plan.config, module);
        module_log_reporter_init(&g->log, in->plan.reporter, NULL);
        g->next = in->groups;
        in->groups = g;
        unsigned wanted = module->input->threads ? module->input->threads(g->module_settings) : 1;
        g->threads = MIN(MAX(wanted, 1u), (unsigned)INPUT_THREADS_MAX);
        for (unsigned i = 0; i < g->threads; i++) {
                struct input_thread *t = &g->thread[i];
                int r = loop_new(&t->loop);
                if (r)
                        return pass(r);
                t->group = g;
                t->flush.run = flush_intakes;
                loop_add_hook(t->loop, &t->flush);
                g->loops[i] = t->loop;
        }
        *ret = g;
        return 0;
}

static int find_group(struct input_group **ret, struct inputs *in, const struct module *module) {
        for (struct input_group *g = in->groups; g; g = g->next)
                if (g->module == module) {
                        *ret = g;
                        return 0;
                }
        return group_new(ret, in, module);
}

static void note_limit(struct input_instance *i) {
        const struct input_ops *ops = i->group->module->input;
        const struct ratelimit *limit = ops->limit ? ops->limit(i->instance) : NULL;
        if (!limit || limit->interval_s <= 0 || limit->shared)
                return;
        i->has_limit = true;
        i->limit = (struct input_limit){.interval_s = limit->interval_s, .burst = limit->burst};
        snprintf(i->limit.name, sizeof i->limit.name, "%s[%u]", i->group->module->name, i->number);
}

static int add_instance(struct inputs *in, const struct module *module, const void *settings, const char *ruleset) {
        struct input_group *g = NULL;
        int r = find_group(&g, in, module);
        if (r)
                return pass(r);
        struct input_instance *i = calloc(1, sizeof *i);
        if (!i)
                return fail(-ENOMEM);
        i->group = g;
        i->intakes = calloc(g->threads, sizeof(*i->intakes));
        i->settings = settings;
        i->counters = calloc(module_counter_count(module) + 1, sizeof *i->counters);
        bool is_whole = i->intakes && i->counters;
        for (unsigned t = 0; t < g->threads && is_whole; t++)
                is_whole = (i->intakes[t] = add_intake(in, &g->thread[t], ruleset)) != NULL;
        if (!is_whole) {
                free(i->intakes);
                free(i->counters);
                free(i);
                return fail(-ENOMEM);
        }
        i->host = (struct input_host){.log = &g->log.log,
                                      .module_settings = g->module_settings,
                                      .ruleset = ruleset,
                                      .loops = g->threads,
                                      .loop = g->loops,
                                      .intake = i->intakes,
                                      .counters = i->counters,
                                      .facts = in->plan.facts,
                                      .shared = &g->shared,
                                      .diag = in->plan.diag,
                                      .daemon = in->plan.daemon,
                                      .find_limit = limits_find,
                                      .limits = in->plan.limits};
        r = module->input->open(&i->instance, &i->host, settings);
        if (r) {
                free(i->intakes);
                free(i->counters);
                free(i);
                return pass(r);
        }
        i->number = g->instances ? g->instances->number + 1 : 0;
        note_limit(i);
        i->next = g->instances;
        g->instances = i;
        return 0;
}

/* The ruleset that module(load=...) names for the module's own instance; NULL: the default one. */
static const char *ruleset_of_module(const struct loaded_module *m) {
        for (const struct param *p = m->module->module_settings.params; p && p->type; p++)
                if (p->type == PARAM_TYPE_RULESET)
                        return *(char *const *)((const char *)m->settings + p->offset);
        return NULL;
}

int inputs_new(struct inputs **ret, const struct inputs_plan *plan) {
        _owned_(inputs_free) struct inputs *in = calloc(1, sizeof *in);
        if (!in)
                return fail(-ENOMEM);
        in->plan = *plan;
        for (const struct loaded_module *m = plan->config->modules; m; m = m->next) {
                if (m->module->kind != MODULE_INPUT || !m->module->input->module_instance ||
                    !m->module->input->module_instance(m->settings))
                        continue;
                int r = add_instance(in, m->module, NULL, ruleset_of_module(m));
                if (r == -ENOMEM)
                        return pass(r);
        }
        for (const struct object *o = plan->config->inputs; o; o = o->next) {
                int r = add_instance(in, o->module, o->settings, o->ruleset);
                if (r == -ENOMEM)
                        return pass(r);
                if (r)
                        report(plan->reporter, SEVERITY_ERR, 0, "input of module '%s' at %s:%u is not active: %s",
                               o->module->name, o->place.file, o->place.line, fail_text(r));
        }
        *ret = TAKE(in);
        return 0;
}

/* ---- Running ------------------------------------------------------------------- */

static void *thread_main(void *argument) {
        struct input_thread *t = argument;
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
        loop_run(t->loop);
        sem_post(&t->has_ended);
        return NULL;
}

static void start_instance(void *argument) {
        struct input_instance *i = argument;
        int r = i->group->module->input->start(i->instance);
        if (r)
                module_report(i->host.log, SEVERITY_ERR, 0, "%s: cannot begin to read: %s", i->group->module->name,
                              fail_text(r));
}

static void stop_instance(void *argument) {
        struct input_instance *i = argument;
        i->group->module->input->stop(i->instance);
}

static void reopen_instance(void *argument) {
        struct input_instance *i = argument;
        i->group->module->input->reopen(i->instance);
}

void inputs_resume(struct inputs *in) {
        for (struct input_group *g = in->groups; g; g = g->next)
                for (struct input_instance *i = g->instances; i && g->module->input->resumes; i = i->next)
                        if (loop_post(g->loops[0], start_instance, i))
                                report(in->plan.reporter, SEVERITY_ERR, 0, "input of module '%s' is not active: %s",
                                       g->module->name, fail_text(-ENOMEM));
}

static void retire_instance(void *argument) {
        struct input_instance *i = argument;
        i->group->module->input->retire(i->instance);
        atomic_store(&i->is_retiring, false);
}

void inputs_retire(struct inputs *in) {
        for (struct input_group *g = in->groups; g; g = g->next)
                for (struct input_instance *i = g->instances; i && g->module->input->retire; i = i->next) {
                        atomic_store(&i->is_retiring, true);
                        if (loop_post(g->loops[0], retire_instance, i))
                                atomic_store(&i->is_retiring, false);
                }
}

unsigned inputs_sessions(const struct inputs *in) {
        unsigned n = 0;
        for (const struct input_group *g = in->groups; g; g = g->next)
                for (const struct input_instance *i = g->instances; i; i = i->next) {
                        n += atomic_load(&i->is_retiring);
                        n += g->module->input->sessions ? g->module->input->sessions(i->instance) : 0;
                }
        return n;
}

int inputs_start(struct inputs *in, bool waits) {
        for (struct input_group *g = in->groups; g; g = g->next) {
                bool begins = !(waits && g->module->input->resumes);
                for (struct input_instance *i = g->instances; i && begins; i = i->next) {
                        int r = loop_post(g->loops[0], start_instance, i);
                        if (r)
                                return pass(r);
                }
                for (unsigned n = 0; n < g->threads; n++) {
                        sem_init(&g->thread[n].has_ended, 0, 0);
                        int r = pthread_create(&g->thread[n].thread, NULL, thread_main, &g->thread[n]);
                        if (r)
                                return fail(-r);
                        g->thread[n].is_running = true;
                }
        }
        return 0;
}

/* Gives the thread its time, then makes it come. */
static void join(struct inputs *in, struct input_thread *t, const struct timespec *until) {
        int r;
        while ((r = sem_clockwait(&t->has_ended, CLOCK_MONOTONIC, until)) && errno == EINTR)
                ;
        if (r)
                in->plan.hurry(in->plan.owner);
        pthread_join(t->thread, NULL);
        sem_destroy(&t->has_ended);
        t->is_running = false;
}

static void stop_group(struct inputs *in, struct input_group *g, const struct timespec *until) {
        for (struct input_instance *i = g->instances; i; i = i->next)
                loop_post(g->loops[0], stop_instance, i);
        /* loop_stop() lets what was posted before run first, so the loop of the instances goes last. */
        loop_stop(g->loops[0]);
        join(in, &g->thread[0], until);
        for (unsigned n = 1; n < g->threads; n++) {
                loop_stop(g->loops[n]);
                join(in, &g->thread[n], until);
        }
        for (unsigned n = 0; n < g->threads; n++)
                flush_intakes(&g->thread[n].flush);
}

void inputs_stop(struct inputs *in) {
        if (!in)
                return;
        int64_t due_ns = clock_mono_ns() + in->plan.timeout_stop_ms * 1000000;
        const struct timespec until = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
        for (int is_last = 0; is_last < 2; is_last++)
                for (struct input_group *g = in->groups; g; g = g->next)
                        if (g->thread[0].is_running && g->module->input->stops_last == is_last)
                                stop_group(in, g, &until);
}

void inputs_reopen(struct inputs *in) {
        for (struct input_group *g = in->groups; g; g = g->next)
                for (struct input_instance *i = g->instances; i && g->module->input->reopen; i = i->next)
                        loop_post(g->loops[0], reopen_instance, i);
}

/* ---- Asked and changed while it runs -------------------------------------------- */

/* As the statistics call it, where they have a name for it. */
static void name_instance(const struct input_instance *i, char name[INPUT_NAME_BYTES_MAX]) {
        const struct module *module = i->group->module;
        _owned_(buffer_fini) struct buffer shown = {0};
        if (module->input->statistic && i->settings)
                module->input->statistic(&shown, i->settings, i->group->module_settings);
        const char *string = buffer_string(&shown);
        snprintf(name, INPUT_NAME_BYTES_MAX, "%s", string && *string ? string : module->name);
}

bool inputs_next(const struct inputs *in, size_t *at, struct input_facts *ret) {
        size_t n = 0;
        for (const struct input_group *g = in->groups; g; g = g->next)
                for (const struct input_instance *i = g->instances; i; i = i->next) {
                        if (n++ != *at)
                                continue;
                        *ret = (struct input_facts){
                                .module = g->module, .counters = i->counters, .threads = g->threads};
                        name_instance(i, ret->name);
                        ++*at;
                        return true;
                }
        return false;
}

bool inputs_next_limit(const struct inputs *in, size_t *at, struct input_limit *ret) {
        size_t n = 0;
        for (const struct input_group *g = in->groups; g; g = g->next)
                for (const struct input_instance *i = g->instances; i; i = i->next)
                        if (i->has_limit && n++ == *at) {
                                *ret = i->limit;
                                ++*at;
                                return true;
                        }
        return false;
}

struct limit_change {
        struct input_instance *instance;
        struct input_limit limit;
};

/* On loop 0's thread, where limited inputs do all their work. */
static void change_limit(void *argument) {
        struct limit_change *change = argument;
        struct input_instance *i = change->instance;
        struct ratelimit *limit = i->group->module->input->limit(i->instance);
        limit->interval_s = change->limit.interval_s;
        limit->burst = change->limit.burst;
        free(change);
}

static struct input_instance *find_limited(const struct inputs *in, const char *name) {
        for (const struct input_group *g = in->groups; g; g = g->next)
                for (struct input_instance *i = g->instances; i; i = i->next)
                        if (i->has_limit && strcmp(i->limit.name, name) == 0)
                                return i;
        return NULL;
}

int inputs_set_limit(struct inputs *in, const struct input_limit *limit) {
        struct input_instance *i = find_limited(in, limit->name);
        if (!i)
                return -ENOENT;
        struct limit_change *change = calloc(1, sizeof *change);
        if (!change)
                return fail(-ENOMEM);
        *change = (struct limit_change){.instance = i, .limit = *limit};
        int r = loop_post(i->group->loops[0], change_limit, change);
        if (r) {
                free(change);
                return pass(r);
        }
        i->limit = *limit;
        return 0;
}

static void group_free(struct input_group *g) {
        while (g->instances) {
                struct input_instance *i = g->instances;
                g->instances = i->next;
                g->module->input->close(i->instance);
                free(i->intakes);
                free(i->counters);
                free(i);
        }
        for (unsigned n = 0; n < g->threads; n++) {
                while (g->thread[n].intakes) {
                        struct intake *intake = g->thread[n].intakes;
                        g->thread[n].intakes = intake->next;
                        intake_fini(intake);
                        free(intake);
                }
                loop_free(g->thread[n].loop);
        }
        free(g);
}

struct inputs *inputs_free(struct inputs *in) {
        if (!in)
                return NULL;
        inputs_stop(in);
        while (in->groups) {
                struct input_group *g = in->groups;
                in->groups = g->next;
                group_free(g);
        }
        free(in);
        return NULL;
}

/* ---- Statistics ------------------------------------------------------------------- */

static void visit_counters(const struct input_group *g, const struct buffer *name, const struct counter *counters,
                           struct collector *c) {
        collector_begin(c);
        collector_table(c, g->module->counters, NULL, &counters, 1);
        collector_end(c, buffer_as_text(name), g->module->name);
}

/* False: the instance does not count its sockets apart. */
static bool visit_parts(const struct input_group *g, const struct input_instance *i, struct collector *c) {
        for (size_t at = 0; g->module->input->part; at++) {
                _owned_(buffer_fini) struct buffer name = {0};
                const struct counter *counters = g->module->input->part(i->instance, i->settings, at, &name);
                if (!counters)
                        return at > 0;
                visit_counters(g, &name, counters, c);
        }
        return false;
}

static void visit_instance(const struct input_group *g, const struct input_instance *i, struct collector *c) {
        if (visit_parts(g, i, c))
                return;
        _owned_(buffer_fini) struct buffer name = {0};
        g->module->input->statistic(&name, i->settings, g->module_settings);
        visit_counters(g, &name, i->counters, c);
}

/* Whether an entry of the table before this one names the same object. */
static bool was_shown(const struct counter_def *table, size_t at) {
        for (size_t i = 0; i < at; i++)
                if (table[i].object && strcmp(table[i].object, table[at].object) == 0)
                        return true;
        return false;
}

/* What the instances of a module count together. */
static void visit_together(const struct input_group *g, struct collector *c) {
        const struct counter *sets[INSTANCES_SHOWN_MAX];
        const struct counter_def *table = g->module->counters;
        size_t count = 0;
        for (const struct input_instance *i = g->instances; i && count < INSTANCES_SHOWN_MAX; i = i->next)
                sets[count++] = i->counters;
        if (!g->module->input->statistic && count) {
                collector_begin(c);
                collector_table(c, table, NULL, sets, count);
                collector_end(c, text_of(g->module->name), g->module->name);
        }
        for (size_t n = 0; table[n].name; n++) {
                if (!table[n].object || was_shown(table, n) || count == 0)
                        continue;
                collector_begin(c);
                collector_table(c, table, table[n].object, sets, count);
                collector_end(c, text_of(table[n].object), g->module->name);
        }
}

void inputs_visit(const struct inputs *in, struct collector *c) {
        for (const struct input_group *g = in->groups; g; g = g->next) {
                if (module_counter_count(g->module) == 0)
                        continue;
                for (const struct input_instance *i = g->instances; i && g->module->input->statistic; i = i->next)
                        visit_instance(g, i, c);
                visit_together(g, c);
        }
}
