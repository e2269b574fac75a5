/*
 * The inside of a pipeline, which its files share:
 *
 *   pipeline.c        what it is made of: opening, starting, draining
 *   pipeline_work.c   what a ruleset's worker does with a batch, and rehearsals of it
 *   pipeline_tell.c   what there is, for whoever shows it
 */
#pragma once

#include "daemon/actions.h"
#include "daemon/facts.h"
#include "daemon/inputs.h"
#include "daemon/limits.h"
#include "daemon/lookups.h"
#include "daemon/parsers.h"
#include "daemon/pipeline.h"
#include "daemon/rehearsal.h"
#include "daemon/repeats.h"
#include "daemon/statistics.h"
#include "daemon/templates.h"
#include "daemon/waiting_room.h"

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
        struct templates templates;
        struct parsers parsers;
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

/* NULL: there is no ruleset of that name. */
struct station *pipeline_station(struct pipeline *p, const char *name);
/* Of the ruleset of that name, or where there is none of the default one. */
struct sink *pipeline_sink(struct pipeline *p, const char *ruleset);

/* ---- Working: pipeline_work.c ---- */

int ruleset_workers_new(struct ruleset_worker **ret, unsigned *count, struct pipeline *p, struct queue *queue);
void ruleset_workers_free(struct ruleset_worker *workers, unsigned count);
/* A station's sink.push. */
void station_push(struct sink *sink, struct batch *b, enum flow flow);
/* queue_consumer.consume, of the main queue and of a ruleset's own; `consumer` is the pipeline, the station. */
uint32_t pipeline_consume(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count);
uint32_t station_consume(void *consumer, unsigned worker, struct batch *b, uint32_t first, uint32_t count);
/* queue_consumer.rung, likewise: what waited for its sender's name goes on. */
void pipeline_rung(void *consumer, unsigned worker);
void station_rung(void *consumer, unsigned worker);
/* Runs a list of batches of one message, which have their parsing behind them; takes them. */
void station_run_told(struct station *s, struct ruleset_worker *w, struct batch *told);
