/*
 * The configuration objects that are no modules: global(), main_queue() and the
 * queue.* parameters, action()'s own parameters. Tables in objects.c; they are
 * read by the same code as a module's.
 */
#pragma once

#include "module/module.h"

enum queue_type {
        QUEUE_FIXED_ARRAY,
        QUEUE_LINKED_LIST,
        QUEUE_DIRECT,
        QUEUE_DISK,
        QUEUE_SEGMENTED_DISK,
        QUEUE_DELAY,
};

enum queue_compression { QUEUE_PLAIN, QUEUE_LZ4, QUEUE_ZSTD };

struct queue_settings {
        int type;     /* enum queue_type; the default depends on what the queue is for */
        int64_t size; /* messages */
        int64_t dequeue_batch_size;
        int64_t min_dequeue_batch_size;
        int64_t min_dequeue_batch_timeout_ms;
        int64_t high_watermark, low_watermark;     /* messages; -1: 90 % and 70 % of size */
        int64_t full_delay_mark, light_delay_mark; /* messages; -1: 97 % and 70 % of size */
        int64_t discard_mark;                      /* messages; -1: 80 % of size */
        int64_t discard_severity;                  /* this and less important ones go; 8: none */
        int64_t worker_threads;
        int64_t worker_minimum_messages; /* -1: size / worker_threads */
        int64_t timeout_shutdown_ms, timeout_action_completion_ms, timeout_enqueue_ms, timeout_worker_ms;
        int64_t dequeue_slowdown_us;
        int64_t dequeue_time_begin, dequeue_time_end; /* hours 0 to 25; 25: always */
        int64_t sampling_interval;
        bool saves_on_shutdown;
        bool takes_flow_control;
        char *file_name; /* set: disk-assisted */
        char *spool_directory;
        int64_t file_bytes_max, disk_bytes_max, checkpoint_interval;
        bool syncs_files;
        char *crypto_provider;
        char *crypto_key_file, *crypto_key_program;         /* queue.cry.*: rsyslog's names of the two below */
        char *encryption_key_file, *encryption_key_program; /* ours */
        int compression;                                    /* enum queue_compression */
        int64_t compression_level;                          /* 0: the library's default */
        bool is_chained;                                    /* queue.hashChain */
        char *ignored_string;                               /* known and without effect */
        char *disk_queue_type;
        bool disk_queue_auto_upgrade;
        int64_t disk_queue_idle_timeout;
        char *on_corruption;
        int64_t delay_threshold_ms;
        int64_t bytes_max; /* ours: queue.maxBytes, memory bound */
};

/* Which messages that an action does not deliver are kept as dead letters where no queue on disk keeps them. */
enum dead_letters { DEAD_LETTERS_NONE, DEAD_LETTERS_ACKNOWLEDGED, DEAD_LETTERS_ALL };

struct action_settings {
        char *name;
        char *type;
        char *error_file;
        int64_t error_file_bytes_max;
        bool writes_all_marks;
        int64_t exec_every_nth, exec_every_nth_timeout_s;
        int64_t exec_once_every_s;
        bool exec_only_when_previous_is_suspended;
        bool repeated_contains_original;
        int64_t resume_retry_count; /* -1: for ever */
        int64_t resume_interval_s, resume_interval_max_s;
        int reports_suspension; /* -1: as global() says */
        int reports_continuation;
        char *external_state_file;
        char *rate_limit_name;
        bool copies_message;
        int dead_letters; /* enum dead_letters; -1: as global() says */
};

struct global_settings {
        char *work_directory;
        char *local_host_name;
        char *control_prefix; /* parser.controlCharacterEscapePrefix */
        int64_t message_bytes_max;
        char *oversize_error_file;
        bool oversize_is_reported;
        int oversize_mode; /* truncate, split, accept */
        bool preserves_fqdn;
        bool drops_trailing_lf, drops_trailing_cr, escapes_control, spaces_lf, escapes_8bit, escapes_tab,
                escapes_c_style;
        bool parses_host_and_tag, permits_slash_in_program, supports_compression;
        bool reports_suspension, reports_continuation;
        bool aborts_on_unclean_config;
        bool processes_internal_messages;
        bool internal_is_set; /* processInternalMessages was given */
        int64_t internal_rate_interval_s, internal_rate_burst, internal_severity;
        bool all_to_stderr;
        int64_t stderr_max;
        bool enables_ctrl_c;
        int64_t input_timeout_shutdown_ms;
        char *drop_user, *drop_group;
        int64_t drop_user_id, drop_group_id;
        bool keeps_supplemental_groups;
        int64_t umask;          /* -1: as it is */
        int64_t open_files_max; /* 0: as it is */
        int ip_protocol;        /* unspecified, ipv4-only, ipv6-only */
        bool uses_dns;
        bool case_sensitive_variables;
        struct strings environment;
        int secure_defaults; /* off, on, strict ... */
        bool compact_json;
        int child_exit_reports; /* none, errors, all */
        int64_t janitor_interval_min;
        char *operating_state_file;
        char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_crl_file, *tls_driver;
        int64_t action_queue_timeout_shutdown_ms, action_queue_timeout_completion_ms;
        int64_t action_queue_timeout_enqueue_ms, action_queue_timeout_worker_ms;
        int64_t ruleset_queue_timeout_shutdown_ms, ruleset_queue_timeout_completion_ms;
        int64_t ruleset_queue_timeout_enqueue_ms, ruleset_queue_timeout_worker_ms;
        int64_t memory_bytes_max; /* ours: global(memory.max): all queues together */
        char *bus_socket;         /* ours: global(bus.socket); NULL: the default path, "off": none */
        char *bus_config;         /* ours: global(bus.config) */
        bool drops_malicious_ptr;
        bool acl_adds_host_on_fail, acl_resolves_hosts, acl_warns;
        bool aborts_on_failed_queue, aborts_on_failed_id;
        int dead_letters;          /* ours: enum dead_letters */
        int64_t dead_letter_bytes; /* ours: disk space of one action's; 0: without bound */
        bool doubles_queue_on_shutdown;
        bool tracks_senders, reports_new_senders, reports_gone_senders;
        int64_t sender_timeout_s;
        int64_t dns_cache_ttl_s;
        bool dns_cache_expires;
        bool ready_is_delayed; /* systemd.notifyReadyDelay */
        char *debug_file;
        char *tls_engine, *tls_ca_extra_files;
        char *ignored_string; /* shared by the parameters that are known and without effect */
        bool ignored_bool;
        int64_t ignored_int;
        struct strings ignored_strings;
};

/* Whom a queue serves decides some of its defaults. */
enum queue_use {
        QUEUE_OF_MAIN,
        QUEUE_OF_RULESET,
        QUEUE_OF_ACTION,
};

/*
 * With the defaults of that use (and what global() says about its time-outs; NULL:
 * nothing); NULL without memory. Freed by settings_free(&queue_settings_type, ...).
 */
struct queue_settings *queue_settings_new(enum queue_use use, const struct global_settings *global);
struct action_settings *action_settings_new(void);

extern const struct settings_type queue_settings_type;
extern const struct settings_type action_settings_type;
extern const struct settings_type global_settings_type;
