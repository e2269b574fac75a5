/*
 * The forms that a template can show a time in.
 */
#pragma once

#include <stdbool.h>

#include "base/text.h"
#include "message/stamp_text.h"

enum date_format {
        DATE_RFC3164, /* the default */
        DATE_RFC3164_BUGGYDAY,
        DATE_RFC3339,
        DATE_MYSQL,
        DATE_PGSQL,
        DATE_UNIXTIMESTAMP,
        DATE_YEAR,
        DATE_MONTH,
        DATE_DAY,
        DATE_HOUR,
        DATE_MINUTE,
        DATE_SECOND,
        DATE_SUBSECONDS,
        DATE_TZOFFSHOUR,
        DATE_TZOFFSMIN,
        DATE_TZOFFSDIRECTION,
        DATE_ORDINAL,
        DATE_WEEK,
        DATE_ISO_WEEK,
        DATE_ISO_WEEK_YEAR,
        DATE_WDAY,
        DATE_WDAYNAME,
        DATE_FORMATS,
};

/* In the order of the enum, as dateFormat="..." takes them; NULL-ended. */
extern const char *const date_format_names[];

/* Writes at most STAMP_TEXT_MAX bytes; returns the end. */
char *date_render(char *to, const struct stamp *s, enum date_format format);
