/*
 * immark: a message "-- MARK --" from time to time, so that an empty log shows that
 * the daemon lives. It is one of the daemon's own messages: facility syslog, tag
 * "rsyslogd:", so that filters in existing files keep working.
 *
 * The only wake-ups are its own; with interval 0 there are none.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "input/builtin.h"
#include "io/loop.h"
#include "message/intake.h"

enum { FACILITY_SYSLOG = 5, SECOND_NS = 1000000000 };

struct immark_settings {
        int64_t interval_s;
        char *text;
        char *ruleset;
        bool has_mark_flag;
        bool uses_syslog_call;
};

struct immark {
        const struct immark_settings *settings;
        struct loop *loop;
        struct intake *intake;
        struct source *source;
        struct timer timer;
};

static void write_mark(struct immark *m) {
        struct record *r = intake_copy(m->intake, m->source, text_of(m->settings->text), clock_wall_us());
        if (!r)
                return;
        r->msg = r->raw;
        r->tag = batch_store(m->intake->batch, TEXT("rsyslogd:"));
        r->reported = stamp_of_wall(r->received_us);
        r->facility = FACILITY_SYSLOG;
        r->severity = 6;
        r->flags = RECORD_IS_PARSED | RECORD_IS_INTERNAL | (m->settings->has_mark_flag ? RECORD_IS_MARK : 0);
}

static void immark_fire(struct timer *timer) {
        struct immark *m = CONTAINER_OF(timer, struct immark, timer);
        write_mark(m);
        loop_arm(m->loop, timer, timer->due_ns + m->settings->interval_s * SECOND_NS);
}

static void immark_close(void *instance) {
        struct immark *m = instance;
        source_unref(m->source);
        free(m);
}

static void immark_close_owned(struct immark **m) {
        if (*m)
                immark_close(*m);
}

static int immark_open(void **ret, const struct input_host *host, const void *settings _unused_) {
        _owned_(immark_close) struct immark *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = host->module_settings;
        m->loop = host->loop[0];
        m->intake = host->intake[0];
        m->timer.fire = immark_fire;
        m->source = source_new_local("rsyslogd", host->facts->host_name, "127.0.0.1");
        if (!m->source)
                return fail(-ENOMEM);
        *ret = TAKE(m);
        return 0;
}

static int immark_start(void *instance) {
        struct immark *m = instance;
        return pass(loop_arm(m->loop, &m->timer, clock_mono_ns() + m->settings->interval_s * SECOND_NS));
}

static void immark_stop(void *instance) {
        struct immark *m = instance;
        loop_disarm(m->loop, &m->timer);
}

static bool immark_module_instance(const void *module_settings) {
        const struct immark_settings *s = module_settings;
        return s->interval_s > 0;
}

#define S struct immark_settings
static const struct param immark_params[] = {
        PARAM_INT(S, interval_s, .name = "interval", .legacy = "MarkMessagePeriod", .dflt = "1200", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .flags = PARAM_LEGACY_STAYS,
                  .help = "Time between two marks. 0: none are written."),
        PARAM_STRING(S, text, .name = "markmessagetext", .dflt = "-- MARK --", .help = "What a mark says."),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that marks go to. Unset: the default one."),
        PARAM_BOOL(S, has_mark_flag, .name = "use.markflag", .dflt = "on",
                   .help = "Lets an action leave out marks while it had other messages to write "
                           "(action.writeAllMarkMessages)."),
        PARAM_BOOL(S, uses_syslog_call, .name = "use.syslogcall", .dflt = "on", .flags = PARAM_IS_IGNORED,
                   .help = "Would send marks by way of syslog(3). Without effect: they always go straight to the "
                           "ruleset, where a system without a log socket sees them too."),
        {},
};
#undef S

static const struct input_ops immark_ops = {
        .open = immark_open,
        .start = immark_start,
        .stop = immark_stop,
        .close = immark_close,
        .module_instance = immark_module_instance,
};

const struct module immark_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "immark",
        .help = "Writes a mark into the log from time to time, to show that the daemon lives.",
        .module_settings = SETTINGS(struct immark_settings, immark_params),
        .input = &immark_ops,
};
