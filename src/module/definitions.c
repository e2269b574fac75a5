#include "module/definitions.h"

#define S struct lookup_table_settings
static const struct param lookup_table_params[] = {
        PARAM_STRING(S, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Name for lookup()."),
        PARAM_STRING(S, file, .name = "file", .flags = PARAM_IS_REQUIRED, .help = "JSON file with the table."),
        PARAM_BOOL(S, reloads_on_hup, .name = "reloadonhup", .dflt = "on", .help = "Reads the file again at HUP."),
        {}};
#undef S
const struct settings_type lookup_table_type = SETTINGS(struct lookup_table_settings, lookup_table_params);

#define S struct dyn_stats_settings
static const struct param dyn_stats_params[] = {
        PARAM_STRING(S, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Name for dyn_inc()."),
        PARAM_BOOL(S, is_resettable, .name = "resettable", .dflt = "on",
                   .help = "Counters begin at 0 again after each report."),
        PARAM_INT(S, cardinality_max, .name = "maxcardinality", .dflt = "2000", .min = 1, .max = 10000000,
                  .unit = "counters", .help = "Most counters that are kept; names beyond them are not counted."),
        PARAM_INT(S, unused_life_s, .name = "unusedmetriclife", .dflt = "3600", .min = 1, .max = INT32_MAX,
                  .unit = "seconds", .help = "How long a counter that nobody increments is kept."),
        {}};
#undef S
const struct settings_type dyn_stats_type = SETTINGS(struct dyn_stats_settings, dyn_stats_params);

#define S struct percentile_stats_settings
static const struct param percentile_stats_params[] = {
        PARAM_STRING(S, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Name for percentile_observe()."),
        PARAM_STRINGS(S, percentiles, .name = "percentiles", .flags = PARAM_IS_REQUIRED,
                      .help = "Percentiles to report, each from 1 to 100."),
        PARAM_INT(S, window_size, .name = "windowsize", .flags = PARAM_IS_REQUIRED, .min = 1, .max = 16777216,
                  .unit = "observations", .help = "The newest observations of a report's interval that are kept."),
        PARAM_STRING(S, delimiter, .name = "delimiter", .dflt = ".", .help = "Between the parts of a name."),
        {}};
#undef S
const struct settings_type percentile_stats_type = SETTINGS(struct percentile_stats_settings, percentile_stats_params);

#define S struct ratelimit_settings
static const struct param ratelimit_params[] = {
        PARAM_STRING(S, name, .name = "name", .flags = PARAM_IS_REQUIRED, .help = "Name for ratelimit.name."),
        PARAM_INT(S, interval_s, .name = "interval", .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "seconds",
                  .help = "Length of the window that burst counts in. 0: no limit."),
        PARAM_INT(S, burst, .name = "burst", .dflt = "10000", .min = 0, .max = INT32_MAX, .unit = "messages",
                  .help = "Messages that pass within an interval, of all inputs that name this object together."),
        PARAM_SEVERITY(S, severity, .name = "severity", .dflt = "0",
                       .help = "Only messages of this severity, or less important ones, are limited. 0: all."),
        PARAM_STRING(S, policy, .name = "policy",
                     .help = "A YAML file with interval, burst and severity, which take the place of those here; read "
                             "again by HUP. A file with a mistake changes nothing."),
        PARAM_BOOL(S, watches_policy, .name = "policywatch", .dflt = "off",
                   .help = "The policies are read again as soon as they change."),
        PARAM_STRING(S, policy_debounce, .name = "policywatchdebounce", .dflt = "5s",
                     .help = "How long a policy that changes must be quiet before it is read: 500ms, 5s, 1m."),
        PARAM_BOOL(S, is_per_source, .name = "persource", .dflt = "off",
                   .help = "Each sender has a limit: this one, or that of perSourcePolicy beside this one for all."),
        PARAM_STRING(S, source_policy, .name = "persourcepolicy",
                     .help = "A YAML file with interval and burst of each sender: those of all as default, those of "
                             "some as overrides by key. Read again like policy."),
        PARAM_STRING(S, source_key_template, .name = "persourcekeytpl",
                     .help = "A template by which senders are told apart; without it, by %hostname%."),
        PARAM_INT(S, sources_max, .name = "persourcemaxstates", .dflt = "10000", .min = 1, .max = 1000000,
                  .unit = "senders",
                  .help = "Most senders that are known at a time, rounded up to a multiple of 8; of 8 the one that was "
                          "quiet longest makes room."),
        PARAM_INT(S, sources_shown, .name = "persourcetopn", .dflt = "10", .min = 0, .max = 1000, .unit = "senders",
                  .help = "How many of the senders that lost most are named in the statistics."),
        {}};
#undef S
const struct settings_type ratelimit_type = SETTINGS(struct ratelimit_settings, ratelimit_params);

#define S struct timezone_settings
static const struct param timezone_params[] = {
        PARAM_STRING(S, id, .name = "id", .flags = PARAM_IS_REQUIRED, .help = "Name of the zone in messages."),
        PARAM_STRING(S, offset, .name = "offset", .flags = PARAM_IS_REQUIRED, .help = "Its offset: +hh:mm or -hh:mm."),
        {}};
#undef S
const struct settings_type timezone_type = SETTINGS(struct timezone_settings, timezone_params);
