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
int inputs_start(struct inputs *in);
/* Nothing enters any more, and what did is pushed. Ends the threads. */
void inputs_stop(struct inputs *in);
void inputs_reopen(struct inputs *in);
/* Shows each instance to the statistics; modules whose instances have no names of their own, as one. */
void inputs_visit(const struct inputs *in, struct collector *c);
struct inputs *inputs_free(struct inputs *in);
OWNED_POINTER(struct inputs, inputs_free);
