/*
 * The objects that others refer to by name: lookup_table(), dyn_stats(),
 * percentile_stats(), ratelimit(), timezone(). Tables in definitions.c.
 */
#pragma once

#include "module/module.h"

struct lookup_table_settings {
        char *name;
        char *file;
        bool reloads_on_hup;
};

struct dyn_stats_settings {
        char *name;
        bool is_resettable;
        int64_t cardinality_max;
        int64_t unused_life_s;
};

struct percentile_stats_settings {
        char *name;
        struct strings percentiles;
        int64_t window_size;
        char *delimiter;
};

struct ratelimit_settings {
        char *name;
        int64_t interval_s;
        int64_t burst;
        int64_t severity; /* this one and less important ones are limited */
        char *policy;
        bool watches_policy;
        char *policy_debounce;
        bool is_per_source;
        char *source_policy;
        char *source_key_template;
        int64_t sources_max;
        int64_t sources_shown;
};

struct timezone_settings {
        char *id;
        char *offset;
};

extern const struct settings_type lookup_table_type;
extern const struct settings_type dyn_stats_type;
extern const struct settings_type percentile_stats_type;
extern const struct settings_type ratelimit_type;
extern const struct settings_type timezone_type;
