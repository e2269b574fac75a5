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

/* ---- Statistics -------------------------------------------------------------- */

static void stats_visit(void *daemon, bool resets, struct statistic_visitor *visitor) {
        pipeline_visit_statistics(((struct diagnosis *)daemon)->pipeline, resets, visitor);
}

static void stats_writer(void *daemon, void (*resume)(void *writer), void *writer) {
        struct diagnosis *d = daemon;
        pthread_mutex_lock(&d->stats_lock);
        d->stats_resume = resume;
        d->stats_writer = writer;
        d->is_stats_waiting = false;
        pthread_mutex_unlock(&d->stats_lock);
}

static bool stats_begin(void *daemon) {
        struct diagnosis *d = daemon;
        pthread_mutex_lock(&d->stats_lock);
        bool may = d->stats_state != STATS_BLOCKED;
        d->is_stats_waiting = !may;
        pthread_mutex_unlock(&d->stats_lock);
        return may;
}

static void stats_end(void *daemon) {
        struct diagnosis *d = daemon;
        pthread_mutex_lock(&d->stats_lock);
        if (d->stats_state == STATS_ONE)
                d->stats_state = STATS_BLOCKED;
        pthread_mutex_unlock(&d->stats_lock);
        atomic_fetch_add(&d->stats_cycles, 1);
}

static void stats_block(void *daemon) {
        struct diagnosis *d = daemon;
        pthread_mutex_lock(&d->stats_lock);
        d->stats_state = STATS_BLOCKED;
        pthread_mutex_unlock(&d->stats_lock);
}

/* Without a writer nothing was blocked: no cycle would ever come. */
static bool stats_unblock(void *daemon, bool blocks_again) {
        struct diagnosis *d = daemon;
        pthread_mutex_lock(&d->stats_lock);
        bool was_blocked = d->stats_resume && d->stats_state == STATS_BLOCKED;
        if (was_blocked) {
                d->stats_state = blocks_again ? STATS_ONE : STATS_FLOW;
                if (d->is_stats_waiting)
                        d->stats_resume(d->stats_writer);
                d->is_stats_waiting = false;
        }
        pthread_mutex_unlock(&d->stats_lock);
        return was_blocked;
}

static uint64_t stats_cycles(void *daemon) {
        return atomic_load(&((struct diagnosis *)daemon)->stats_cycles);
}

void diagnosis_init(struct diagnosis *d) {
        *d = (struct diagnosis){0};
        pthread_mutex_init(&d->stats_lock, NULL);
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
                .stats_visit = stats_visit,
                .stats_writer = stats_writer,
                .stats_begin = stats_begin,
                .stats_end = stats_end,
                .stats_block = stats_block,
                .stats_unblock = stats_unblock,
                .stats_cycles = stats_cycles,
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
        pthread_mutex_destroy(&d->stats_lock);
}
