/*
 * Statistics as lines, in the forms that rsyslog's users read: legacy (name: origin=x
 * a=1 b=2), JSON, JSON for Elasticsearch (dots in names of counters become "!"), CEE.
 */
#pragma once

#include "module/statistics.h"

enum impstats_format { IMPSTATS_LEGACY, IMPSTATS_JSON, IMPSTATS_JSON_ELASTICSEARCH, IMPSTATS_CEE };

/* Appends one object as a line without its end. */
void impstats_render(struct buffer *out, const struct statistic_object *object, enum impstats_format format);
