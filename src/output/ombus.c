/*
 * ombus: messages to a group of the message bus, or as an event.
 *
 *   CLOSED -> OPEN     rows to send, or asked to resume    make_ready()
 *   OPEN   -> CLOSED   the broker has gone, or takes nothing
 *
 * Each row becomes the body of one message: as it is, or, where JSON is asked for, only
 * if it is JSON (an object, for an event). A broker that is slower than we are holds us
 * back, until the action is suspended; or, with overflow="drop", rows are dropped while
 * more than queueSize bytes wait.
 *
 * With back-pressure a delivery ends when the broker has all of it. One that fails is
 * sent again whole, so that nothing is lost and something may come twice.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "bus/bus.h"
#include "bus/scan.h"
#include "module/module.h"

extern const struct module ombus_module;

enum {
        FLUSH_AGAIN_MS = 50, /* while rows wait that were not dropped yet */
        QUEUE_BYTES_MIN = 4096,
        SEND_WAIT_MAX_MS = 600000,
};

enum format { FORMAT_JSON, FORMAT_RAW };
static const char *const formats[] = {"json", "raw", NULL};

enum overflow { OVERFLOW_WAIT, OVERFLOW_DROP };
static const char *const overflows[] = {"wait", "drop", NULL};

enum counter_index { COUNT_SENT, COUNT_DROPPED };
static const struct counter_def ombus_counters[] = {
        [COUNT_SENT] = {"sent", "Messages handed to the broker."},
        [COUNT_DROPPED] = {"dropped", "Messages dropped because the broker was too slow."},
        {},
};

struct ombus_settings {
        char *socket, *group, *instance, *event, *template;
        int format, overflow;
        int64_t queue_bytes, send_wait_ms;
};

#define S struct ombus_settings
static const struct param ombus_params[] = {
        PARAM_STRING(S, group, .name = "group", .flags = PARAM_IS_MAIN, .help = "Group that messages are sent to."),
        PARAM_STRING(S, instance, .name = "instance", .dflt = "*", .help = "Instance of the group."),
        PARAM_STRING(S, event, .name = "event",
                     .help = "Name of the event that each message becomes, instead of a group."),
        PARAM_STRING(S, socket, .name = "socket", .help = "Socket of the bus. Unset: that of the daemon itself."),
        PARAM_TEMPLATE(S, template, .name = "template",
                       .help = "Template of the body. Unset: Penstock_JSONFormat, or, where the format is raw, "
                               "RSYSLOG_FileFormat."),
        PARAM_CHOICE(S, format, .name = "format", .choices = formats, .dflt = "json",
                     .help = "json: what is no JSON is refused; raw: the body is what the template makes."),
        PARAM_CHOICE(S, overflow, .name = "overflow", .choices = overflows, .dflt = "wait",
                     .help = "What happens when the broker is slower: the action waits, or messages are dropped."),
        PARAM_SIZE(S, queue_bytes, .name = "queuesize", .dflt = "4m", .min = QUEUE_BYTES_MIN, .max = 1 << 30,
                   .help = "Bytes that may wait to be sent."),
        PARAM_INT(S, send_wait_ms, .name = "timeout", .dflt = "5000", .min = 1, .max = SEND_WAIT_MAX_MS,
                  .unit = "milliseconds",
                  .help = "With overflow wait: how long the broker may take before the action is suspended."),
        {},
};
#undef S

struct ombus {
        struct module_log *log;
        struct counter *counters;
        struct penstock_bus *bus; /* NULL: CLOSED */
        char *socket, *group, *instance;
        enum format format;
        enum overflow overflow;
        bool is_event;
        size_t queue_bytes;
        int send_wait_ms;
        int64_t flush_due_ns; /* with overflow="drop": 0: nothing waits */
        int reported;         /* the failure that was told last; 0: none */
};

static bool is_set(const char *s) {
        return s && *s;
}

static int ombus_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct ombus_settings *s = settings;
        int r = 0;
        if (is_set(s->group) == is_set(s->event)) {
                module_report(log, SEVERITY_ERR, 0, "ombus: either group or event says where messages go");
                r = -EINVAL;
        }
        if (is_set(s->event) && s->format == FORMAT_RAW) {
                module_report_param(log, SEVERITY_ERR, "format", "ombus: an event's body is a JSON object");
                r = -EINVAL;
        }
        return r;
}

static int ombus_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct ombus_settings *s = settings;
        columns[0] = (struct work_format){
                .name = s->template, .dflt = s->format == FORMAT_JSON ? "Penstock_JSONFormat" : "RSYSLOG_FileFormat"};
        return 1;
}

static void ombus_close(void *instance) {
        struct ombus *o = instance;
        penstock_bus_close(o->bus);
        free(o->socket);
        free(o->group);
        free(o->instance);
        free(o);
}

static char *group_name(const struct ombus_settings *s) {
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%s%s", is_set(s->event) ? "Event/" : "", is_set(s->event) ? s->event : s->group);
        return buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
}

static int ombus_open(void **ret, const struct output_host *host, const void *settings) {
        const struct ombus_settings *s = settings;
        const char *socket = is_set(s->socket) ? s->socket : host->facts->bus_socket;
        if (!is_set(socket) && !host->facts->is_checking) {
                module_report(host->log, SEVERITY_ERR, 0, "ombus: the daemon is on no bus, and no socket is named");
                return fail(-ENOENT);
        }
        struct ombus *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        *o = (struct ombus){.log = host->log,
                            .counters = host->counters,
                            .socket = text_copy(text_of(socket)),
                            .group = group_name(s),
                            .instance = text_copy(text_of(s->instance)),
                            .format = (enum format)s->format,
                            .overflow = (enum overflow)s->overflow,
                            .is_event = is_set(s->event),
                            .queue_bytes = (size_t)s->queue_bytes,
                            .send_wait_ms = (int)s->send_wait_ms};
        if (!o->socket || !o->group || !o->instance) {
                ombus_close(o);
                return fail(-ENOMEM);
        }
        *ret = o;
        return 0;
}

/* ---- The connection -------------------------------------------------------- */

static void tell(struct ombus *o, const char *what, int error) {
        if (o->reported == error)
                return;
        o->reported = error;
        module_report(o->log, SEVERITY_ERR, 0, "ombus: %s %s: %s", what, o->socket, fail_text(error));
}

static void drop_connection(struct ombus *o) {
        penstock_bus_close(o->bus);
        o->bus = NULL;
}

static int make_ready(struct ombus *o) {
        /* Also how the end of the connection is noticed. */
        if (o->bus && penstock_bus_process(o->bus))
                drop_connection(o);
        if (o->bus)
                return 0;
        int r = penstock_bus_connect(&o->bus, o->socket, 0);
        if (r) {
                tell(o, "cannot connect to the bus on", r);
                return r;
        }
        penstock_bus_set_queue_limit(o->bus, o->queue_bytes);
        return 0;
}

/* ---- Sending ----------------------------------------------------------------- */

static bool is_welcome(const struct ombus *o, struct text body) {
        struct scan_value value;
        if (o->format == FORMAT_RAW)
                return true;
        return scan_whole(body, &value) == 0 && (!o->is_event || value.kind == SCAN_OBJECT);
}

static int send_row(struct ombus *o, struct text body) {
        const struct penstock_bus_outgoing message = {
                .group = o->group, .instance = o->instance, .body = body.data, .body_size = body.size};
        int r = penstock_bus_send(o->bus, &message);
        if (r == -EAGAIN && o->overflow == OVERFLOW_DROP) {
                counter_add(&o->counters[COUNT_DROPPED], 1);
                return 0;
        }
        if (r == -EAGAIN) {
                r = penstock_bus_flush(o->bus, o->send_wait_ms);
                if (r == 0)
                        r = penstock_bus_send(o->bus, &message);
        }
        if (r == 0)
                counter_add(&o->counters[COUNT_SENT], 1);
        return r;
}

static struct outcome unavailable(struct ombus *o, int error) {
        tell(o, "cannot send to the bus on", error);
        drop_connection(o);
        return (struct outcome){DELIVER_UNAVAILABLE, 0, -error};
}

/* Rows that the socket did not take at once, with overflow="drop". */
static void plan_flush(struct ombus *o) {
        bool waits = o->bus && penstock_bus_queued(o->bus) > 0;
        o->flush_due_ns = waits ? clock_mono_ns() + FLUSH_AGAIN_MS * INT64_C(1000000) : 0;
}

static struct outcome ombus_deliver(void *instance, const struct work *work) {
        struct ombus *o = instance;
        int r = make_ready(o);
        if (r)
                return (struct outcome){DELIVER_UNAVAILABLE, 0, -r};
        size_t at = 0;
        for (; at < work->count; at++) {
                if (!is_welcome(o, work->column[0][at]))
                        break;
                r = send_row(o, work->column[0][at]);
                if (r == -EMSGSIZE)
                        break;
                if (r)
                        return unavailable(o, r);
        }
        int flushed = o->overflow == OVERFLOW_WAIT ? penstock_bus_flush(o->bus, o->send_wait_ms) : 0;
        if (flushed)
                return unavailable(o, flushed);
        if (!o->flush_due_ns)
                plan_flush(o);
        o->reported = 0;
        if (at < work->count)
                return (struct outcome){DELIVER_REFUSED, at, r == -EMSGSIZE ? EMSGSIZE : EBADMSG};
        return (struct outcome){DELIVER_DONE, at, 0};
}

static enum verdict ombus_resume(void *instance) {
        return make_ready(instance) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static void ombus_reopen(void *instance) {
        struct ombus *o = instance;
        o->reported = 0;
}

static bool ombus_pending(void *instance, int64_t *due_ns) {
        struct ombus *o = instance;
        *due_ns = o->flush_due_ns;
        return o->flush_due_ns != 0;
}

static void ombus_flush(void *instance) {
        struct ombus *o = instance;
        if (o->bus && penstock_bus_process(o->bus))
                drop_connection(o);
        plan_flush(o);
}

static const struct output_ops ombus_ops = {
        .columns = ombus_columns,
        .open = ombus_open,
        .deliver = ombus_deliver,
        .resume = ombus_resume,
        .reopen = ombus_reopen,
        .pending = ombus_pending,
        .flush = ombus_flush,
        .close = ombus_close,
};

const struct module ombus_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "ombus",
        .help = "Sends messages to a group of the message bus, or as an event.",
        .settings = SETTINGS(struct ombus_settings, ombus_params),
        .counters = ombus_counters,
        .check = ombus_check,
        .output = &ombus_ops,
};
