/*
 * The inputs of a pipeline: each module that has any gets its threads, each thread
 * a loop, each ruleset on it an intake.
 */
#pragma once

#include "base/reporter.h"
#include "language/tree.h"
#include "message/intake.h"

struct inputs;
struct collector; /* daemon/collector.h */
struct limits;    /* daemon/limits.h */

/* All lent. */
struct inputs_plan {
        const struct config *config;
        struct reporter *reporter;
        const struct host_facts *facts;
        struct batch_pool *pool;
        struct sink *(*find_sink)(void *owner, const char *ruleset);
        /* Inputs do not end in time: whatever holds their threads up is to let go. */
        void (*hurry)(void *owner);
        int64_t timeout_stop_ms;
        void *owner;
        const struct diag_services *diag; /* for imdiag, with its first argument */
        void *daemon;
        struct limits *limits; /* daemon/limits.h */
};

/* Opens every input; one that cannot is reported and left out. -ENOMEM. */
int inputs_new(struct inputs **ret, const struct inputs_plan *plan);
/* Those that begin where they ended the last time wait for inputs_resume(), where `waits` says so. */
int inputs_start(struct inputs *in, bool waits);
void inputs_resume(struct inputs *in);
/* Another process goes on with the sockets. */
void inputs_retire(struct inputs *in);
/* Connections that are still there, and inputs that may still accept some. */
unsigned inputs_sessions(const struct inputs *in);
/* Nothing enters any more, and what did is pushed. Ends the threads. */
void inputs_stop(struct inputs *in);
void inputs_reopen(struct inputs *in);

enum { INPUT_NAME_BYTES_MAX = 128 };

/* The next input from *at on; false behind the last. */
struct input_facts {
        char name[INPUT_NAME_BYTES_MAX]; /* as the statistics call it */
        const struct module *module;
        const struct counter *counters; /* by the module's table */
        unsigned threads;
};
bool inputs_next(const struct inputs *in, size_t *at, struct input_facts *ret);

/* The rate limits of inputs, which may change while they run: those that were on at the start, but for shared ones. */
struct input_limit {
        char name[INPUT_NAME_BYTES_MAX]; /* "imudp[0]": the module's first input in the configuration */
        int64_t interval_s, burst;
};
bool inputs_next_limit(const struct inputs *in, size_t *at, struct input_limit *ret);
/* By the main thread. -ENOENT, -ENOMEM. */
int inputs_set_limit(struct inputs *in, const struct input_limit *limit);

/* Shows each instance to the statistics; modules whose instances have no names of their own, as one. */
void inputs_visit(const struct inputs *in, struct collector *c);
struct inputs *inputs_free(struct inputs *in);
OWNED_POINTER(struct inputs, inputs_free);
