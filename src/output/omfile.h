/*
 * What the pieces of omfile share: the settings, and the rules made of them once.
 *
 *   omfile.c          parameters, and the writing of one fixed file
 *   omfile_dynamic.c  many files, by a template: cache, grouping, retry
 *   omfile_target.c   one file: opening, writing rows, HUP, size limit, messages
 *   omfile_rotate.c   the command that is run at the size limit
 */
#pragma once

#include "base/counter.h"
#include "io/output_file.h"
#include "module/module.h"

struct omfile_owners {
        int64_t file_owner, file_owner_number, file_group, file_group_number;
        int64_t directory_owner, directory_owner_number, directory_group, directory_group_number;
};

struct omfile_module_settings {
        char *template;
        bool adds_lf;
        int driver; /* enum omfile_driver */
        int64_t zstd_workers;
        int64_t directory_mode, file_mode;
        struct omfile_owners owners;
        bool dynafile_never_suspends;
        int follows_symlinks; /* enum omfile_switch */
        bool permits_path_escape;
        bool restricts_template_type;
};

struct omfile_settings {
        char *file, *dynafile, *template;
        bool adds_lf;
        int64_t cache_size;
        int64_t zip_level;
        bool robust_zip;
        int64_t flush_interval_s;
        bool writes_async;
        bool flushes_on_batch_end;
        int64_t io_buffer_bytes;
        struct omfile_owners owners;
        int64_t directory_mode, file_mode;
        bool fails_on_chown, creates_directories, forces_chown;
        bool syncs;
        int follows_symlinks;
        char *signature_provider, *crypto_provider;
        int64_t close_timeout_min; /* -1: not given */
        int64_t size_limit;
        char *size_limit_command;
        bool passes_file_name;
        bool permits_path_escape;
};

enum omfile_counter {
        OMFILE_REQUESTS,
        OMFILE_LEVEL0,
        OMFILE_MISSED,
        OMFILE_EVICTED,
        OMFILE_MAXUSED,
        OMFILE_CLOSETIMEOUTS,
};

/* What holds for every file of one action. */
struct omfile_rules {
        struct output_file_rules file;
        struct module_log *log;
        bool syncs;
        bool flushes_on_batch_end;
        int64_t flush_interval_ns; /* 0: a buffer waits until it is full */
        int64_t close_timeout_ns;  /* 0: files stay open */
        int64_t size_limit;        /* 0: none */
        const char *size_limit_command;
        bool passes_file_name;
        bool never_suspends; /* dynafiles: a file that cannot be opened costs its rows only */
        bool permits_path_escape;
        size_t cache_size;
        struct counter *counters; /* by enum omfile_counter; may be NULL */
};

static inline void omfile_count(const struct omfile_rules *rules, enum omfile_counter which, uint64_t n) {
        if (rules->counters && n)
                counter_add(&rules->counters[which], n);
}
