/*
 * What imdiag may ask of the daemon and do to it: the services of module/diag.h,
 * over one pipeline. Outlives the pipeline, so that the termination file can be
 * written last of all.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "module/diag.h"

struct pipeline;

struct diagnosis {
        struct pipeline *pipeline;
        atomic_ulong hups; /* completed */
        char *end_path;
        int (*write_end)(const char *path, const char *version, const struct diag_end *end);
        /* Of the statistics, under the mutex: */
        pthread_mutex_t stats_lock;
        enum { STATS_FLOW, STATS_BLOCKED, STATS_ONE } stats_state; /* ONE: a cycle may run, then it is blocked again */
        void (*stats_resume)(void *writer);                        /* NULL: nobody writes statistics */
        void *stats_writer;
        bool is_stats_waiting; /* a cycle came while it was blocked */
        atomic_ulong stats_cycles;
};
void diagnosis_init(struct diagnosis *d);

/* The functions, whose first argument is a struct diagnosis. */
const struct diag_services *diagnosis_services(void);
/* Writes the termination file, where one was asked for. */
void diagnosis_end(struct diagnosis *d, int signal, uint64_t queued);
void diagnosis_fini(struct diagnosis *d);
