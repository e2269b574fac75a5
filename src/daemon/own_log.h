/*
 * What the daemon says of itself: to stderr while somebody watches, and into its
 * own log as a message of facility syslog with the tag "rsyslogd:" (or
 * "rsyslogd-2007:" where there is a number), so that filters in existing files
 * keep working.
 *
 * report() may be called from any thread and under any lock: a line is only
 * stored there. The housekeeping loop carries it into the main queue.
 */
#pragma once

#include "base/reporter.h"
#include "io/loop.h"
#include "message/intake.h"

struct own_log;

enum { OWN_LOG_WAITING_MAX = 10000 /* lines that wait for the main queue; more are counted and dropped */ };

struct own_log_options {
        bool shows_errors;                   /* errors go to stderr: -n */
        bool shows_warnings;                 /* -N */
        bool shows_all;                      /* global(allMessagesToStderr="on") */
        int64_t shown_max;                   /* global(errorMessagesToStderr.maxNumber); negative: no limit */
        int64_t rate_interval_s, rate_burst; /* global(internalmsg.ratelimit.*) */
        int64_t severity_max;                /* global(internalmsg.severity) */
};

int own_log_new(struct own_log **ret);
struct own_log *own_log_free(struct own_log *log);
OWNED_POINTER(struct own_log, own_log_free);
void own_log_configure(struct own_log *log, const struct own_log_options *options);
struct own_log_options own_log_options(struct own_log *log);
/* Keeps a line for the log that was shown in another way already (configuration mistakes). */
void own_log_remember(struct own_log *log, enum severity severity, int code, const char *line);
/* What is reported ends in our version, so that a reader knows whose words they are. */
struct reporter *own_log_reporter(struct own_log *log);
/* Says a line as it is: start, stop and what else scripts compare to the letter. */
void own_log_say(struct own_log *log, enum severity severity, const char *text);

/*
 * From here on lines become messages in `sink` (in batches of `pool`), pushed on
 * the housekeeping thread. NULL sink: they go to the system's log socket.
 */
int own_log_open(struct own_log *log, struct loop *housekeeping, struct sink *sink, struct batch_pool *pool,
                 const char *host_name);
/* Pushes what waits; on the housekeeping thread, or when it does not run any more. */
void own_log_flush(struct own_log *log);
/* No more messages; stderr stays. */
void own_log_close(struct own_log *log);
