#include "daemon/diagnosis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "daemon/pipeline.h"
#include "daemon/version.h"

static uint64_t queued_overall(void *daemon) {
        return pipeline_unfinished(((struct diagnosis *)daemon)->pipeline);
}

static uint64_t main_queue_size(void *daemon) {
        return pipeline_main_queue_size(((struct diagnosis *)daemon)->pipeline);
}

static uint64_t hup_count(void *daemon) {
        return atomic_load(&((struct diagnosis *)daemon)->hups);
}

static bool lookup_reload_pending(void *daemon) {
        return pipeline_is_reading_tables(((struct diagnosis *)daemon)->pipeline);
}

static void set_timeout(void *daemon, enum diag_timeout timeout, int64_t ms, bool is_default) {
        pipeline_set_timeout(((struct diagnosis *)daemon)->pipeline, timeout, ms, is_default);
}

static int at_end(void *daemon, const char *path,
                  int (*write)(const char *path, const char *version, const struct diag_end *end)) {
        struct diagnosis *d = daemon;
        char *copy = strdup(path);
        if (!copy)
                return fail(-ENOMEM);
        free(d->end_path);
        d->end_path = copy;
        d->write_end = write;
        return 0;
}

static void enable_debug(void *daemon _unused_) {
        fail_trace(true);
}

const struct diag_services *diagnosis_services(void) {
        static const struct diag_services services = {
                .version = PENSTOCK_RSYSLOG_VERSION,
                .queued_overall = queued_overall,
                .main_queue_size = main_queue_size,
                .hup_count = hup_count,
                .lookup_reload_pending = lookup_reload_pending,
                .set_timeout = set_timeout,
                .at_end = at_end,
                .enable_debug = enable_debug,
        };
        return &services;
}

void diagnosis_end(struct diagnosis *d, int signal, uint64_t queued) {
        if (d->write_end)
                d->write_end(d->end_path, PENSTOCK_RSYSLOG_VERSION,
                             &(struct diag_end){.signal = signal, .queued = queued});
}

void diagnosis_fini(struct diagnosis *d) {
        free(d->end_path);
        d->end_path = NULL;
}
