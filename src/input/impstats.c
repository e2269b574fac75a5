/*
 * impstats: the daemon's counters, from time to time, as messages, as lines of a
 * file, pushed to a server of metrics, or all of it.
 *
 *   timer -> stats_begin() -> every object: a line -> intake and file -> stats_end()
 *              |                            and series -> push
 *              refused: the cycle waits until imdiag lets it run, see module/diag.h
 *
 * A last report tells of the time between the one before and the end; it is not pushed.
 * The only wake-ups are its own. Everything happens on its one thread, but resume() and what is pushed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/builtin.h"
#include "input/impstats_format.h"
#include "input/impstats_push.h"
#include "input/impstats_zabbix.h"
#include "io/file.h"
#include "io/loop.h"
#include "message/intake.h"
#include "module/diag.h"

enum { SECOND_NS = 1000000000, FILE_MODE = 0600, DATE_BYTES = 64 };

static const char *const formats[] = {[IMPSTATS_LEGACY] = "legacy",
                                      [IMPSTATS_JSON] = "json",
                                      [IMPSTATS_JSON_ELASTICSEARCH] = "json-elasticsearch",
                                      [IMPSTATS_CEE] = "cee",
                                      [IMPSTATS_PROMETHEUS] = "prometheus",
                                      [IMPSTATS_ZABBIX] = "zabbix",
                                      NULL};

struct impstats_settings {
        int64_t interval_s;
        int64_t facility, severity;
        bool has_brackets, uses_syslog, resets, overwrites_file;
        int format;
        bool is_json, is_cee; /* the old directives */
        char *file, *ruleset;
        struct push_settings push;
};

struct impstats {
        const struct impstats_settings *settings;
        const struct input_host *host;
        enum impstats_format format;
        struct loop *loop;
        struct intake *intake;
        struct source *source;
        struct timer timer;
        int64_t due_ns;
        int file; /* -1: none, or it could not be opened */
        bool is_file_wrong;
        struct statistic_visitor visitor;
        int64_t now_us;        /* of the cycle that runs */
        char date[DATE_BYTES]; /* "Sat Nov 21 22:52:02 2026" */
        struct zabbix_report zabbix;
        struct buffer line;
        struct buffer lines;        /* for the file, written once a cycle */
        struct impstats_push *push; /* NULL: nothing is pushed */
};

/* ---- The file -------------------------------------------------------------- */

static void open_file(struct impstats *m) {
        const char *path = m->settings->file;
        m->file = file_close(m->file);
        int r = file_open(&m->file, path, O_WRONLY | O_CREAT | O_APPEND, FILE_MODE);
        if (r && !m->is_file_wrong)
                module_report(m->host->log, SEVERITY_ERR, 0, "impstats: error opening stats file %s: %s", path,
                              fail_text(r));
        m->is_file_wrong = r != 0;
        if (r)
                m->file = -1;
}

/* One report replaces the other as a whole, or is appended. One that cannot be written is lost, and told of once. */
static void write_file(struct impstats *m) {
        const struct impstats_settings *s = m->settings;
        if (!s->file)
                return;
        if (!s->overwrites_file && m->file < 0)
                open_file(m);
        int r = buffer_failed(&m->lines);
        if (r == 0 && s->overwrites_file)
                r = file_replace_soon(s->file, buffer_as_text(&m->lines), FILE_MODE);
        else if (r == 0 && m->file >= 0)
                r = file_write_all(m->file, m->lines.data, m->lines.size);
        if (r && !m->is_file_wrong)
                module_report(m->host->log, SEVERITY_ERR, 0, "impstats: error writing stats file %s: %s", s->file,
                              fail_text(r));
        if (!s->overwrites_file && m->file < 0)
                return;
        m->is_file_wrong = r != 0;
}

/* ---- A cycle ----------------------------------------------------------------- */

static void send_message(struct impstats *m, struct text line) {
        struct record *r = intake_copy(m->intake, m->source, line, m->now_us);
        if (!r)
                return;
        r->msg = r->raw;
        r->tag = batch_store(m->intake->batch, TEXT("rsyslogd-pstats:"));
        r->reported = stamp_of_wall(m->now_us);
        r->facility = (uint8_t)m->settings->facility;
        r->severity = (uint8_t)m->settings->severity;
        r->flags = RECORD_IS_PARSED | RECORD_IS_INTERNAL;
}

static void put_line(struct impstats *m, struct text line) {
        if (m->settings->uses_syslog)
                send_message(m, line);
        if (!m->settings->file)
                return;
        buffer_text(&m->lines, text_of(m->date));
        buffer_text(&m->lines, TEXT(": "));
        buffer_text(&m->lines, line);
        buffer_byte(&m->lines, '\n');
}

/* What is rendered, where memory was not short. */
static void put_rendered(struct impstats *m) {
        if (buffer_failed(&m->line) == 0)
                put_line(m, buffer_as_text(&m->line));
        buffer_clear(&m->line);
}

static void put_object(struct impstats *m, const struct statistic_object *object) {
        switch (m->format) {
        case IMPSTATS_PROMETHEUS:
                for (size_t i = 0; i < object->count; i++) {
                        impstats_render_counter(&m->line, object, &object->values[i]);
                        put_rendered(m);
                }
                return;
        case IMPSTATS_ZABBIX:
                zabbix_add(&m->zabbix, object);
                return;
        default:
                impstats_render(&m->line, object, m->format);
                put_rendered(m);
        }
}

static void visit(struct statistic_visitor *visitor, const struct statistic_object *object) {
        struct impstats *m = CONTAINER_OF(visitor, struct impstats, visitor);
        if (m->push)
                impstats_push_add(m->push, object);
        put_object(m, object);
}

/* The one line of a report for Zabbix; one that is not whole is left out. */
static void put_zabbix(struct impstats *m) {
        if (zabbix_end(&m->zabbix, &m->line, text_of(m->date)) == 0)
                put_rendered(m);
        else
                buffer_clear(&m->line);
}

static void take_date(struct impstats *m) {
        time_t now = (time_t)(m->now_us / 1000000);
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(m->date, sizeof m->date, "%a %b %e %H:%M:%S %Y", &tm);
}

static void report_all(struct impstats *m) {
        const struct diag_services *services = m->host->diag;
        m->now_us = clock_wall_us();
        take_date(m);
        buffer_clear(&m->lines);
        if (m->settings->has_brackets)
                put_line(m, TEXT("BEGIN"));
        if (m->push)
                impstats_push_begin(m->push, m->now_us);
        zabbix_begin(&m->zabbix);
        services->stats_visit(m->host->daemon, m->settings->resets, &m->visitor);
        if (m->format == IMPSTATS_ZABBIX)
                put_zabbix(m);
        if (m->push)
                impstats_push_end(m->push);
        if (m->settings->has_brackets)
                put_line(m, TEXT("END"));
        write_file(m);
        services->stats_end(m->host->daemon);
}

static void run_cycle(void *argument) {
        struct impstats *m = argument;
        if (!m->host->diag->stats_begin(m->host->daemon))
                return; /* resume() brings it back */
        report_all(m);
        /* As a sleep of the interval, but without drifting; what was slept through is left out. */
        int64_t interval_ns = m->settings->interval_s * SECOND_NS, now_ns = clock_mono_ns();
        m->due_ns = MAX(m->due_ns + interval_ns, now_ns);
        loop_arm(m->loop, &m->timer, m->due_ns);
}

static void impstats_fire(struct timer *timer) {
        run_cycle(CONTAINER_OF(timer, struct impstats, timer));
}

/* Any thread. */
static void resume(void *writer) {
        struct impstats *m = writer;
        loop_post(m->loop, run_cycle, m);
}

/* ---- Life --------------------------------------------------------------------- */

static void impstats_close(void *instance) {
        struct impstats *m = instance;
        impstats_push_free(m->push);
        source_unref(m->source);
        file_close(m->file);
        zabbix_fini(&m->zabbix);
        buffer_fini(&m->line);
        buffer_fini(&m->lines);
        free(m);
}

static void impstats_close_owned(struct impstats **m) {
        if (*m)
                impstats_close(*m);
}

static int impstats_open(void **ret, const struct input_host *host, const void *settings _unused_) {
        _owned_(impstats_close) struct impstats *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->file = -1;
        m->settings = host->module_settings;
        m->host = host;
        m->loop = host->loop[0];
        m->intake = host->intake[0];
        m->timer.fire = impstats_fire;
        m->visitor.visit = visit;
        m->format = (enum impstats_format)m->settings->format;
        if (m->settings->is_json)
                m->format = IMPSTATS_JSON;
        if (m->settings->is_cee)
                m->format = IMPSTATS_CEE;
        m->source = source_new_local("impstats", host->facts->host_name, "127.0.0.1");
        if (!m->source)
                return fail(-ENOMEM);
        if (m->settings->file && !m->settings->overwrites_file)
                open_file(m);
        *ret = TAKE(m);
        return 0;
}

static int impstats_start(void *instance) {
        struct impstats *m = instance;
        const struct push_settings *push = &m->settings->push;
        /* Without it there are the other ways. */
        int r = push->url && *push->url ? impstats_push_new(&m->push, push, m->host->facts->host_name, m->host->log)
                                        : 0;
        if (r == -ENOMEM)
                return pass(r);
        m->host->diag->stats_writer(m->host->daemon, resume, m);
        m->due_ns = clock_mono_ns() + m->settings->interval_s * SECOND_NS;
        return pass(loop_arm(m->loop, &m->timer, m->due_ns));
}

static void impstats_stop(void *instance) {
        struct impstats *m = instance;
        loop_disarm(m->loop, &m->timer);
        /* No server of metrics may hold up the end of the daemon. */
        m->push = impstats_push_free(m->push);
        if (m->host->diag->stats_begin(m->host->daemon))
                report_all(m);
        m->host->diag->stats_writer(m->host->daemon, NULL, NULL);
}

static void impstats_reopen(void *instance) {
        struct impstats *m = instance;
        if (m->settings->file && !m->settings->overwrites_file)
                open_file(m);
}

static bool impstats_module_instance(const void *module_settings _unused_) {
        return true;
}

static int impstats_check(const void *settings _unused_, const void *module_settings, struct module_log *log) {
        const struct impstats_settings *s = module_settings;
        int r = push_settings_check(&s->push, log);
        if (r)
                return pass(r);
        if (s->uses_syslog || !s->ruleset)
                return 0;
        module_report_param(log, SEVERITY_ERR, "ruleset",
                            "impstats: \"ruleset\" is specified, but log.syslog is \"off\": no message would reach it");
        return fail(-EINVAL);
}

#define S struct impstats_settings
static const struct param impstats_params[] = {
        PARAM_INT(S, interval_s, .name = "interval", .legacy = "PStatInterval PStatsInterval", .dflt = "300", .min = 1,
                  .max = INT32_MAX, .unit = "seconds", .flags = PARAM_LEGACY_STAYS,
                  .help = "Time between two reports."),
        PARAM_FACILITY(S, facility, .name = "facility", .legacy = "PStatFacility", .dflt = "5",
                       .flags = PARAM_LEGACY_STAYS, .help = "Facility of the messages."),
        PARAM_SEVERITY(S, severity, .name = "severity", .legacy = "PStatSeverity", .dflt = "6",
                       .flags = PARAM_LEGACY_STAYS, .help = "Severity of the messages."),
        PARAM_BOOL(S, has_brackets, .name = "bracketing", .dflt = "off",
                   .help = "A report begins with a message BEGIN and ends with END."),
        PARAM_BOOL(S, uses_syslog, .name = "log.syslog", .dflt = "on", .help = "Reports become messages."),
        PARAM_BOOL(S, resets, .name = "resetcounters", .dflt = "off",
                   .help = "Each report shows what came since the last one. Sizes and the like are shown as they are."),
        PARAM_STRING(S, file, .name = "log.file",
                     .help = "A file that reports are written to, also or instead: a date, a colon, the line."),
        PARAM_BOOL(S, overwrites_file, .name = "log.file.overwrite", .dflt = "off",
                   .help = "The file holds the newest report alone; each replaces the one before as a whole."),
        PARAM_CHOICE(S, format, .name = "format", .dflt = "legacy", .choices = formats,
                     .help = "How reports are written: legacy, json, json-elasticsearch (names of counters have ! for "
                             "dots), cee (JSON behind @cee:), prometheus (three lines for each counter) or zabbix (one "
                             "object of JSON for the whole report)."),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that messages go to. Unset: the default one."),
        PARAM_BOOL(S, is_json, .name = "pstat.json", .legacy = "PStatJSON", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "The same as format=\"json\"."),
        PARAM_BOOL(S, is_cee, .name = "pstat.cee", .legacy = "PStatCEE", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "The same as format=\"cee\"."),
        PARAM_STRING(
                S, push.url, .name = "push.url",
                .help = "Pushes each report to a remote write endpoint of Prometheus, VictoriaMetrics or the like: "
                        "http://localhost:9090/api/v1/write. Needs libsnappy and libcurl where it runs."),
        PARAM_STRINGS(S, push.labels, .name = "push.labels",
                      .help = "Labels of all that is pushed, as name=value. They win over those made here."),
        PARAM_INT(S, push.timeout_ms, .name = "push.timeout.ms", .dflt = "5000", .min = 0, .max = INT32_MAX,
                  .unit = "milliseconds", .help = "How long a request may take; 0: as long as it does."),
        PARAM_BOOL(S, push.names_instance, .name = "push.label.instance", .dflt = "on",
                   .help = "Adds the label instance: this host's name."),
        PARAM_BOOL(S, push.names_origin, .name = "push.label.origin", .dflt = "off",
                   .help = "Adds the label origin: that of the object."),
        PARAM_BOOL(S, push.names_object, .name = "push.label.name", .dflt = "off",
                   .help = "Adds the label name: that of the object."),
        PARAM_STRING(S, push.job, .name = "push.label.job", .dflt = "rsyslog",
                     .help = "Adds the label job with this value; empty: none."),
        PARAM_STRING(S, push.ca_file, .name = "push.tls.cafile",
                     .help = "Authorities that the server's certificate must come from; unset: the system's."),
        PARAM_STRING(S, push.cert_file, .name = "push.tls.certfile",
                     .help = "Our certificate, for servers that ask; with push.tls.keyfile."),
        PARAM_STRING(S, push.key_file, .name = "push.tls.keyfile", .help = "The key of push.tls.certfile."),
        PARAM_BOOL(S, push.skips_verify, .name = "push.tls.insecureskipverify", .dflt = "off",
                   .help = "Takes any server for the right one: for tests only."),
        PARAM_INT(S, push.bytes_max, .name = "push.batch.maxbytes", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "bytes",
                  .help = "Most of a request before compression; what is more goes into further ones. "
                          "0: one request."),
        PARAM_INT(S, push.series_max, .name = "push.batch.maxseries", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "series", .help = "Most counters in a request; 0: all."),
        {},
};
#undef S

static const struct input_ops impstats_ops = {
        .open = impstats_open,
        .start = impstats_start,
        .stop = impstats_stop,
        .reopen = impstats_reopen,
        .close = impstats_close,
        .module_instance = impstats_module_instance,
        .stops_last = true,
};

const struct module impstats_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "impstats",
        .help = "Writes the daemon's counters into the log, or a file, from time to time.",
        .module_settings = SETTINGS(struct impstats_settings, impstats_params),
        .check = impstats_check,
        .input = &impstats_ops,
};
