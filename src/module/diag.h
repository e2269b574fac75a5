/*
 * What imdiag asks of the daemon. The daemon hands the functions to it in struct
 * input_host, with itself as their first argument. Safe from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct statistic_visitor; /* module/statistics.h */

enum diag_timeout {
        DIAG_MAIN_QUEUE_SHUTDOWN,
        DIAG_MAIN_QUEUE_ENQUEUE,
        DIAG_INPUT_SHUTDOWN,
        DIAG_ACTION_QUEUE_SHUTDOWN,
        DIAG_ACTION_QUEUE_ENQUEUE,
        DIAG_TIMEOUTS,
};

/* How the process ended, for the termination file. */
struct diag_end {
        int signal;      /* that ended it */
        uint64_t queued; /* messages left over all queues */
};

struct diag_services {
        const char *version;
        uint64_t (*queued_overall)(void *daemon);  /* messages queued and in work, over all queues */
        uint64_t (*main_queue_size)(void *daemon); /* messages in the main queue */
        uint64_t (*hup_count)(void *daemon);       /* HUPs that are completed */
        bool (*lookup_reload_pending)(void *daemon);
        /*
         * Milliseconds. is_default: from the module's parameters, so an explicit main_queue() or action() wins;
         * else a command at run time, which wins over everything.
         */
        void (*set_timeout)(void *daemon, enum diag_timeout timeout, int64_t ms, bool is_default);
        /*
         * Registers what the daemon calls last of all, before main() returns from a regular end: write(path, end).
         * The path is copied.
         */
        int (*at_end)(void *daemon, const char *path,
                      int (*write)(const char *path, const char *version, const struct diag_end *end));

        /* These may be NULL where there is nothing of the kind. */
        void (*enable_debug)(void *daemon);
        /*
         * Shows all counters of the daemon, under rsyslog's names; `resets`: each report shows what came since the last
         * one. One thread at a time: whoever writes them has asked stats_begin() first.
         */
        void (*stats_visit)(void *daemon, bool resets, struct statistic_visitor *visitor);
        /*
         * Who writes statistics: `resume(writer)` is called from any thread when a cycle that had to wait may run; NULL
         * takes it back.
         */
        void (*stats_writer)(void *daemon, void (*resume)(void *writer), void *writer);
        bool (*stats_begin)(void *daemon);                      /* false: reports are blocked; resume() comes */
        void (*stats_end)(void *daemon);                        /* a cycle has run */
        void (*stats_block)(void *daemon);                      /* the next statistics cycle waits */
        bool (*stats_unblock)(void *daemon, bool blocks_again); /* lets one cycle run; false: was not blocked */
        uint64_t (*stats_cycles)(void *daemon);                 /* that have run */
        int (*segment_fault)(void *daemon, const char *point, int64_t hits); /* -ENOENT: no such point or queue */
        void (*segment_fault_clear)(void *daemon);
};
