/*
 * What imdiag may ask of the daemon and do to it: the services of module/diag.h,
 * over one pipeline. Outlives the pipeline, so that the termination file can be
 * written last of all.
 */
#pragma once

#include <stdatomic.h>

#include "module/diag.h"

struct pipeline;

struct diagnosis {
        struct pipeline *pipeline;
        atomic_ulong hups; /* completed */
        char *end_path;
        int (*write_end)(const char *path, const char *version, const struct diag_end *end);
};

/* The functions, whose first argument is a struct diagnosis. */
const struct diag_services *diagnosis_services(void);
/* Writes the termination file, where one was asked for. */
void diagnosis_end(struct diagnosis *d, int signal, uint64_t queued);
void diagnosis_fini(struct diagnosis *d);
