/*
 * A report for Zabbix: one object of JSON, with the time and, for each origin, an array of
 * the objects that come from there, in the order in which they were added.
 *
 *   { "timedate": "Sun Nov 22 06:58:47 2026", "stats_core_action": [{ ... },{ ... }], ... }
 *
 * zabbix_begin(), zabbix_add() for every object, zabbix_end(). Its memory is kept from one report to the next.
 */
#pragma once

#include "module/statistics.h"

struct zabbix_report {
        struct zabbix_array {
                struct buffer name;    /* "stats_core_action" */
                struct buffer objects; /* with commas; empty: none came this time */
        } * arrays;
        size_t count;
        struct buffer name; /* of the array that an object belongs to */
        bool is_failed;     /* something is missing */
};

void zabbix_fini(struct zabbix_report *z);
void zabbix_begin(struct zabbix_report *z);
void zabbix_add(struct zabbix_report *z, const struct statistic_object *object);
/* Appends the report as a line without its end; -ENOMEM, and nothing of use, where memory was short. */
int zabbix_end(struct zabbix_report *z, struct buffer *out, struct text date);
