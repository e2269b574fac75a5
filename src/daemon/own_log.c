#include "daemon/own_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/version.h"
#include "message/ratelimit.h"

enum { FACILITY_SYSLOG = 5 };

struct line {
        struct line *next;
        enum severity severity;
        int code;
        int64_t when_us;
        char text[];
};

struct own_log {
        struct reporter reporter;
        struct own_log_options options;
        pthread_mutex_t lock; /* guards all below */
        struct line *first, **end;
        unsigned waiting;
        uint64_t dropped;
        int64_t shown;
        struct ratelimit limit;
        struct loop *housekeeping;
        bool is_posted;
        bool is_open;
        struct sink *sink;
        struct intake intake; /* of the housekeeping thread */
        struct source *source;
};

static void show(struct own_log *log, enum severity severity, const char *text) {
        const struct own_log_options *o = &log->options;
        bool is_shown = o->shows_all || (severity <= SEVERITY_ERR && o->shows_errors) ||
                        (severity <= SEVERITY_WARNING && o->shows_warnings);
        if (!is_shown || (o->shown_max >= 0 && log->shown >= o->shown_max))
                return;
        log->shown++;
        fprintf(stderr, "rsyslogd: %s\n", text);
}

static void flush_posted(void *argument) {
        own_log_flush(argument);
}

/* With the lock held. */
static void wake_housekeeping(struct own_log *log) {
        if (log->is_open && log->housekeeping && !log->is_posted)
                log->is_posted = loop_post(log->housekeeping, flush_posted, log) == 0;
}

static void keep(struct own_log *log, enum severity severity, int code, const char *text) {
        size_t size = strlen(text) + 1;
        struct line *line = log->waiting < OWN_LOG_WAITING_MAX ? malloc(sizeof *line + size) : NULL;
        if (!line) {
                log->dropped++;
                return;
        }
        *line = (struct line){.severity = severity, .code = code, .when_us = clock_wall_us()};
        memcpy(line->text, text, size);
        *log->end = line;
        log->end = &line->next;
        log->waiting++;
        wake_housekeeping(log);
}

/* Shows and keeps one line, control characters as blanks. */
static void say(struct own_log *log, enum severity severity, int code, struct buffer *text) {
        for (size_t i = 0; i < text->size; i++)
                if ((unsigned char)text->data[i] < ' ')
                        text->data[i] = ' ';
        const char *line = buffer_string(text);
        if (!line)
                return;
        pthread_mutex_lock(&log->lock);
        show(log, severity, line);
        uint64_t lost = 0;
        bool is_wanted = (int64_t)severity <= log->options.severity_max;
        if (is_wanted && ratelimit_pass(&log->limit, clock_wall_us(), &lost))
                keep(log, severity, code, line);
        if (lost) {
                char note[128];
                snprintf(note, sizeof note, "rsyslogd: %llu messages lost due to rate-limiting",
                         (unsigned long long)lost);
                keep(log, SEVERITY_INFO, 0, note);
        }
        pthread_mutex_unlock(&log->lock);
}

static void emit(struct reporter *reporter, enum severity severity, int code, const char *text) {
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_text(&line, text_of(text));
        if (code > 0)
                buffer_format(&line, " [v%s try https://www.rsyslog.com/e/%d ]", PENSTOCK_RSYSLOG_VERSION, code);
        else
                buffer_format(&line, " [v%s]", PENSTOCK_RSYSLOG_VERSION);
        say(CONTAINER_OF(reporter, struct own_log, reporter), severity, code, &line);
}

void own_log_say(struct own_log *log, enum severity severity, const char *text) {
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_text(&line, text_of(text));
        say(log, severity, 0, &line);
}

void own_log_remember(struct own_log *log, enum severity severity, int code, const char *line) {
        pthread_mutex_lock(&log->lock);
        keep(log, severity, code, line);
        pthread_mutex_unlock(&log->lock);
}

int own_log_new(struct own_log **ret) {
        struct own_log *log = calloc(1, sizeof *log);
        if (!log)
                return fail(-ENOMEM);
        log->reporter.emit = emit;
        log->end = &log->first;
        log->options = (struct own_log_options){.shown_max = -1, .severity_max = SEVERITY_DEBUG};
        pthread_mutex_init(&log->lock, NULL);
        *ret = log;
        return 0;
}

void own_log_configure(struct own_log *log, const struct own_log_options *options) {
        pthread_mutex_lock(&log->lock);
        log->options = *options;
        log->limit = (struct ratelimit){
                .interval_s = options->rate_interval_s, .burst = options->rate_burst, .severity_min = SEVERITY_EMERG};
        pthread_mutex_unlock(&log->lock);
}

struct own_log_options own_log_options(struct own_log *log) {
        pthread_mutex_lock(&log->lock);
        struct own_log_options options = log->options;
        pthread_mutex_unlock(&log->lock);
        return options;
}

struct reporter *own_log_reporter(struct own_log *log) {
        return &log->reporter;
}

int own_log_open(struct own_log *log, struct loop *housekeeping, struct sink *sink, struct batch_pool *pool,
                 const char *host_name) {
        struct source *source = source_new_local("rsyslogd", host_name, "127.0.0.1");
        if (!source)
                return fail(-ENOMEM);
        pthread_mutex_lock(&log->lock);
        log->source = source;
        log->sink = sink;
        log->housekeeping = housekeeping;
        if (sink)
                intake_init(&log->intake, sink, pool, FLOW_NONE);
        log->is_open = true;
        if (log->first)
                wake_housekeeping(log);
        pthread_mutex_unlock(&log->lock);
        return 0;
}

static struct line *take_lines(struct own_log *log) {
        pthread_mutex_lock(&log->lock);
        struct line *lines = TAKE(log->first);
        log->end = &log->first;
        log->waiting = 0;
        log->is_posted = false;
        pthread_mutex_unlock(&log->lock);
        return lines;
}

static void add_message(struct own_log *log, const struct line *line) {
        struct record *r = intake_copy(&log->intake, log->source, text_of(line->text), line->when_us);
        if (!r)
                return;
        struct batch *b = log->intake.batch;
        char tag[32];
        snprintf(tag, sizeof tag, line->code ? "rsyslogd-%d:" : "rsyslogd:", line->code);
        r->flags = RECORD_IS_PARSED | RECORD_IS_INTERNAL;
        r->facility = FACILITY_SYSLOG;
        r->severity = (uint8_t)line->severity;
        r->msg = r->raw;
        r->tag = batch_store(b, text_of(tag));
        r->host = batch_store(b, text_of(source_host(log->source)));
        r->reported = stamp_of_wall(line->when_us);
}

void own_log_flush(struct own_log *log) {
        struct line *line = take_lines(log);
        while (line) {
                struct line *next = line->next;
                if (log->sink)
                        add_message(log, line);
                else
                        syslog(LOG_SYSLOG | (int)line->severity, "%s", line->text);
                free(line);
                line = next;
        }
        if (log->sink)
                intake_flush(&log->intake);
}

void own_log_close(struct own_log *log) {
        own_log_flush(log);
        pthread_mutex_lock(&log->lock);
        log->is_open = false;
        log->housekeeping = NULL;
        pthread_mutex_unlock(&log->lock);
        if (log->sink)
                intake_fini(&log->intake);
        log->sink = NULL;
        log->source = source_unref(log->source);
}

struct own_log *own_log_free(struct own_log *log) {
        if (!log)
                return NULL;
        struct line *line = take_lines(log);
        while (line) {
                struct line *next = line->next;
                free(line);
                line = next;
        }
        source_unref(log->source);
        pthread_mutex_destroy(&log->lock);
        free(log);
        return NULL;
}
