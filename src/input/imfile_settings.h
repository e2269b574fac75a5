/*
 * What a user can say about imfile: module(load="imfile" ...) and input(type="imfile" ...).
 * Read only, and shared by all pieces of the module.
 */
#pragma once

#include "module/module.h"

enum { MODE_INOTIFY, MODE_POLLING, MODE_FEN };

struct imfile_module {
        int mode;
        int64_t polling_interval_s;
        int64_t read_timeout_s;
        int64_t timeout_granularity_s;
        bool sorts_files;
        bool normalizes_path;
        bool deletes_state_on_move;
        char *state_directory;
        int64_t watches_max; /* 0: as many as the kernel gives */
        int64_t fallback_interval_s;
};

struct imfile_input {
        char *file;
        char *tag;
        int64_t facility, severity;
        char *ruleset;
        int64_t read_mode; /* 0 lines, 1 paragraphs, 2 indented */
        char *start_regex, *end_regex;
        int64_t read_timeout_s;
        bool escapes_lf;
        char *lf_replacement; /* NULL: what the way of reading asks for */
        bool discards_truncated, reports_truncation;
        bool reopens_on_truncate;
        int64_t lines_at_once_max, submit_at_once_max;
        int64_t trim_bytes; /* 0: no trimming */
        bool deletes_state_on_delete, deletes_state_on_move;
        int64_t persist_interval; /* lines; 0: at the end only */
        bool persists_after_submission;
        int64_t delay_us;
        bool adds_metadata;
        bool adds_cee_tag;
        char *state_file;
        bool starts_at_tail;
        bool reports_missing;
        bool needs_parse;
        int64_t ignored_age_s;
        int64_t minute_bytes_max, minute_lines_max;
        bool is_legacy_run; /* the legacy directive that makes an input has no value */
};
