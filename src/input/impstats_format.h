/*
 * Statistics as lines, in the forms that rsyslog's users read: legacy (name: origin=x
 * a=1 b=2), JSON, JSON for Elasticsearch (dots in names of counters become "!"), CEE.
 *
 * Two have no line for each object: Prometheus' text has three for each counter, Zabbix' is
 * one object of JSON for the whole report, in which impstats_zabbix.h gathers those of JSON.
 */
#pragma once

#include "module/statistics.h"

enum impstats_format {
        IMPSTATS_LEGACY,
        IMPSTATS_JSON,
        IMPSTATS_JSON_ELASTICSEARCH,
        IMPSTATS_CEE,
        IMPSTATS_PROMETHEUS,
        IMPSTATS_ZABBIX,
};

/* Appends one object as a line without its end; for Zabbix as in JSON, and not for Prometheus. */
void impstats_render(struct buffer *out, const struct statistic_object *object, enum impstats_format format);

/* Appends one counter of an object as Prometheus reads it: # HELP, # TYPE and the value, each a line with its end. */
void impstats_render_counter(struct buffer *out, const struct statistic_object *object,
                             const struct statistic_value *counter);
