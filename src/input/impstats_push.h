/*
 * Statistics pushed to a remote write endpoint (Prometheus, VictoriaMetrics ...), on a thread of its own: a server that
 * does not answer holds nobody up.
 *
 *   IDLE     -> FILLING   a report begins              impstats_push_begin()
 *   FILLING  -> SENDING   it is whole                  impstats_push_end()
 *   SENDING  -> IDLE      answered, failed or given up the thread
 *
 * A report that begins while the one before is being sent is not pushed, and that is told. What a server does not take
 * is not sent again: the next report is newer. Compression is libsnappy's, HTTP is io/http.h; both are loaded when a
 * push is made.
 */
#pragma once

#include "base/text.h"
#include "module/module.h"
#include "module/statistics.h"

struct push_settings {
        char *url, *job, *ca_file, *cert_file, *key_file;
        struct strings labels; /* "name=value" */
        int64_t timeout_ms, bytes_max, series_max;
        bool names_instance, names_origin, names_object, skips_verify;
};

/* Mistakes are reported. -EINVAL. */
int push_settings_check(const struct push_settings *s, struct module_log *log);

struct impstats_push;

/* Settings and log are lent. -ENOENT: a library is missing, which is reported; -ENOMEM. */
int impstats_push_new(struct impstats_push **ret, const struct push_settings *settings, const char *host_name,
                      struct module_log *log);
/* Gives up what is being sent, and waits for the thread. */
struct impstats_push *impstats_push_free(struct impstats_push *p);

void impstats_push_begin(struct impstats_push *p, int64_t now_us);
void impstats_push_add(struct impstats_push *p, const struct statistic_object *object);
void impstats_push_end(struct impstats_push *p);
