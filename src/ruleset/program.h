/*
 * A program is a ruleset, compiled: steps that each take a selection of a batch's
 * records. Statement by statement the selection narrows; `stop` takes records out
 * of everything that follows.
 *
 * Several steps that share one delivery (thirty filters, six files) collect what
 * they select, and at the end of the batch it is delivered in the order of the
 * records. A program that could notice that records pass a statement together (it
 * writes $/ variables, changes records between actions that share, or two
 * different actions write to one target) runs one record at a time.
 */
#pragma once

#include "delivery/delivery.h"
#include "ruleset/expression.h"

struct program;

enum {
        PROGRAM_CALLS_MAX = 100,                  /* nested `call`s; more is a loop */
        COLLECTED_MAX = 1024 * BATCH_RECORDS_MAX, /* records for one delivery that wait; more go at once */
};

/* How a program finds what lies outside its ruleset. */
struct program_linker {
        struct expression_names names;
        /* The delivery of an output action; NULL where it could not be opened (reported already). */
        struct delivery *(*find_delivery)(void *owner, const struct object *action);
        /* The instance of a modifier action (mm*). */
        void *(*find_modifier)(void *owner, const struct object *action);
        /* Where messages that are handed to an action are counted; may be NULL. */
        struct counter *(*find_processed)(void *owner, const struct object *action);
        /* A ruleset by name: its program, and its queue where it has one of its own. False: there is none. */
        bool (*find_ruleset)(void *owner, const char *name, struct program **program, struct sink **queue);
        void *owner;
        /* Hears of calls that lead nowhere, or too deep; NULL: nobody does. */
        struct reporter *reporter;
};

/* Records that wait for one shared delivery until the batch is through. */
struct collected {
        struct delivery *delivery;
        uint32_t *times;      /* by record: how many steps selected it */
        uint16_t first, last; /* such records */
        size_t count;         /* of all of them together */
};

/* What happens to a record that is followed on its way through a program. */
enum trace_event {
        TRACE_PASSED,    /* a condition let it pass */
        TRACE_NOT,       /* a condition did not, or the action is only for what the one before missed */
        TRACE_DELIVERED, /* an action took it */
        TRACE_QUEUED,    /* an action's queue took it */
        TRACE_MISSED,    /* an action is suspended, or refused it */
        TRACE_COLLECTED, /* an action that several statements share gets it at the end */
        TRACE_DONE,      /* any other statement was executed */
};
struct run;
struct program_trace {
        const struct batch *batch;
        uint16_t record; /* of the batch */
        void (*tell)(struct program_trace *trace, enum trace_event event, const struct statement *statement,
                     struct delivery *delivery, struct run *run, struct batch *b);
        /* The batch is through; NULL to be assigned. */
        struct program_trace *(*end)(struct program_trace *trace);
};

/* One worker's state; belongs to one thread. */
struct run {
        struct evaluation evaluation;
        struct property_context context;
        const struct program_linker *linker;
        uint8_t is_stopped[BATCH_RECORDS_MAX]; /* by record number of the batch in work */
        uint8_t is_missed[BATCH_RECORDS_MAX];  /* by the action before, because it is suspended */
        bool has_stopped;
        bool has_missed;
        struct delivery *missed_by; /* where has_missed */
        uint16_t missed_first, missed_last;
        unsigned depth; /* of calls */
        bool collects;  /* what the program that runs says */
        struct renderings renderings;
        struct renderings *shared;   /* those, where several outputs have one template; else NULL */
        struct collected *collected; /* by step->group */
        size_t collected_count;
        struct program_trace *trace; /* NULL: nobody follows a record */
        struct answers **answers;    /* by number of the program; NULL until it runs here */
        size_t answers_count;
};

/* The context is copied: what the configuration says of properties. -ENOMEM. */
int run_init(struct run *run, const struct program_linker *linker, const struct host_facts *facts,
             const struct property_context *context);
void run_fini(struct run *run);

/* Compiles; rulesets may call one another, so every name must be findable, not yet compiled. -EINVAL, -ENOMEM. */
int program_new(struct program **ret, const struct ruleset_def *def, const struct program_linker *linker,
                struct diagnostics *diagnostics);
/* Connects all programs of a configuration with one another and with the actions that are open now; before the first
 * program_run(). -ENOMEM. */
int programs_link(struct program **programs, size_t count, const struct program_linker *linker);
struct program *program_free(struct program *p);
OWNED_POINTER(struct program, program_free);

/* What it was compiled to, for people: after programs_link() it says what is shared, too. */
void program_print(struct buffer *out, const struct program *p);
void queue_print(struct buffer *out, const struct queue_settings *queue);

/* Runs over the selected records of a batch that this thread owns. */
void program_run(const struct program *p, struct run *run, struct batch *b, const uint16_t *selection, size_t count);
