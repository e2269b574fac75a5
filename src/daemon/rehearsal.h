/*
 * A rehearsal: messages go the whole way through a configuration, and nothing is opened
 * on either side. Inputs are not there, outputs are stand-ins, modifiers work unless they
 * would start a program, and queues are run one after the other on the caller's thread.
 *
 * Who rehearses sets pipeline_host.rehearsal before pipeline_new(), opens the pipeline but
 * never starts it, and calls pipeline_rehearse() for each message.
 */
#pragma once

#include "language/tree.h"
#include "ruleset/program.h"

struct pipeline;

enum {
        REHEARSED_BATCHES_MAX = 1000 /* that one message may become in queues; rulesets that queue in a ring end here */
};

/* What a rehearsal tells, in the order in which it happens. */
struct rehearsal_host {
        struct program_trace trace; /* tell() hears of each statement */
        int64_t now_us;             /* what clocks tell; 0: as it is */
        /* The record has passed the parsers of a ruleset; `lives`: it goes on. `parser` NULL: none took it. */
        void (*parsed)(struct rehearsal_host *host, const char *ruleset, const char *parser, bool lives,
                       struct run *run, struct batch *b);
        /* It has passed the ruleset. */
        void (*passed)(struct rehearsal_host *host, struct run *run, struct batch *b);
        /* An output would have been given a row; it may be another's of the actions that share the delivery. */
        void (*rendered)(struct rehearsal_host *host, const struct object *action, const struct work_format *formats,
                         const struct work *work, size_t row);
};

/* Whether a modifier cannot be rehearsed: it starts a program. */
bool rehearsal_leaves_out(const struct module *module);

/*
 * Takes over a batch with one record, which comes in as if an input had received it for this ruleset (NULL: the default
 * one). -ENOENT: there is no such ruleset; -ELOOP: it went in a ring through queues, and was ended.
 */
int pipeline_rehearse(struct pipeline *p, const char *ruleset, struct batch *b);

/* What the programs of all rulesets are, for people. */
void pipeline_print(struct pipeline *p, struct buffer *out);
