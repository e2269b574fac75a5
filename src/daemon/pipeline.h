/*
 * A pipeline is one configuration, running: its inputs on their threads, its
 * rulesets with their queues, its actions.
 *
 *   BUILT   -> OPEN      pipeline_open()    sockets bound, outputs open; privileges still there
 *   OPEN    -> RUNNING   pipeline_start()   workers and inputs run
 *   RUNNING -> DRAINED   pipeline_stop()    inputs first, then each queue in the direction of flow
 *
 * The main thread owns it; other threads see only the parts that are theirs.
 */
#pragma once

#include "daemon/inputs.h"
#include "daemon/own_log.h"
#include "delivery/delivery.h"
#include "language/diagnostics.h"
#include "language/tree.h"
#include "module/diag.h"
#include "ruleset/program.h"

struct pipeline;
struct statistic_visitor; /* module/statistics.h */

/* All lent for the pipeline's life. */
struct pipeline_host {
        struct own_log *log;
        struct loop *housekeeping;
        struct observer *observer; /* hears of suspensions and full queues; NULL: nobody */
        struct tap_point *tap;     /* sees what passes; NULL: nobody */
        void *diagnosis;           /* first argument of the services that imdiag is handed */
        bool is_checking;          /* -N: compile everything, open nothing */
};

/*
 * Compiles the configuration: templates, rulesets. Mistakes go to the diagnostics,
 * and what they make unusable is left out. -ENOMEM.
 */
int pipeline_new(struct pipeline **ret, struct config *config, const struct pipeline_host *host,
                 struct diagnostics *diagnostics);
struct pipeline *pipeline_free(struct pipeline *p);
OWNED_POINTER(struct pipeline, pipeline_free);

/* An input or output that cannot open is reported and left out. 0 or -ENOMEM. */
int pipeline_open(struct pipeline *p);
/*
 * `waits`: a process before us has not ended yet; what begins where that one ends, and queues on disk, wait for
 * pipeline_resume().
 */
int pipeline_start(struct pipeline *p, bool waits);
void pipeline_resume(struct pipeline *p);
/* Another process goes on with our sockets; then, how many connections are still here. */
void pipeline_retire(struct pipeline *p);
unsigned pipeline_sessions(const struct pipeline *p);
/* First half of the end: no input takes anything more, all that came in is queued. */
void pipeline_stop_inputs(struct pipeline *p);
/* Second half: drains queues, closes outputs. Returns how many messages were left. */
uint64_t pipeline_drain(struct pipeline *p);
/* HUP: files are opened anew, and lookup tables read again. */
void pipeline_reopen(struct pipeline *p);
/* Whether a lookup table is being read again, or waits for it. */
bool pipeline_is_reading_tables(struct pipeline *p);

/* Shows every counter, while the pipeline runs; one thread at a time. */
void pipeline_visit_statistics(struct pipeline *p, bool resets, struct statistic_visitor *visitor);

/* Messages that wait or are in work anywhere. */
uint64_t pipeline_unfinished(struct pipeline *p);
uint64_t pipeline_main_queue_size(struct pipeline *p);
/* A time-out in milliseconds; a default gives way to what the configuration says itself. */
void pipeline_set_timeout(struct pipeline *p, enum diag_timeout timeout, int64_t ms, bool is_default);
/* Where own messages go. */
struct sink *pipeline_main_sink(struct pipeline *p);
struct batch_pool *pipeline_pool(struct pipeline *p);
const struct host_facts *pipeline_facts(const struct pipeline *p);
bool pipeline_has_actions(const struct pipeline *p);

/* ---- What there is, for whoever shows it ---- */

/* The next queue from *at on: the main one, those of rulesets, those of actions; NULL behind the last. *use says which.
 */
struct queue *pipeline_next_queue(struct pipeline *p, size_t *at, const char **use);
struct queue *pipeline_find_queue(struct pipeline *p, const char *name, const char **use);
struct delivery *pipeline_next_action(struct pipeline *p, size_t *at);
struct delivery *pipeline_find_action(struct pipeline *p, const char *name);
bool pipeline_next_input(struct pipeline *p, size_t *at, struct input_facts *ret);
bool pipeline_next_limit(struct pipeline *p, size_t *at, struct input_limit *ret);
int pipeline_set_limit(struct pipeline *p, const struct input_limit *limit);
/* Where messages for a ruleset go; NULL: the default one. NULL when there is none of that name. */
struct sink *pipeline_find_sink(struct pipeline *p, const char *ruleset);
/* A run of its own, for filters beside the pipeline. Freed by run_fini(). */
int pipeline_run_init(struct pipeline *p, struct run *run);
/* The parser that took a record which the ruleset of that name has parsed; NULL: none did. */
const char *pipeline_parser_of(struct pipeline *p, const char *ruleset, struct batch *b, const struct record *r);
