/*
 * imbus: messages from a group of the message bus, or events.
 *
 *   AWAY  -> THERE    the broker is there               try_again()
 *   THERE -> AWAY     the connection is lost            on_bus()
 *   any   -> CLOSED   the daemon ends                   imbus_stop()
 *
 * With format="raw" a body is a syslog message as it would be on the wire. With "json"
 * it is an object: its members message (or msg), host, tag, facility, severity and time
 * become those of the message, and all of them stand below $!. A body that is no
 * object is taken as a raw message, and counted.
 *
 * While the ruleset's queue is full nothing is read for a while, so that the broker
 * holds the senders back.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "bus/bus.h"
#include "io/loop.h"
#include "message/header.h"
#include "message/intake.h"
#include "module/module.h"
#include "module/settings.h"

extern const struct module imbus_module;

enum {
        TRY_FIRST_MS = 100,
        TRY_LAST_MS = 30000,
};

enum format { FORMAT_JSON, FORMAT_RAW };
static const char *const formats[] = {"json", "raw", NULL};

enum counter_index { COUNT_SUBMITTED, COUNT_MALFORMED, COUNT_TRUNCATED, COUNT_LOST };
static const struct counter_def imbus_counters[] = {
        [COUNT_SUBMITTED] = {"submitted", "Messages handed to the ruleset."},
        [COUNT_MALFORMED] = {"malformed", "Bodies that are no JSON object, with format json."},
        [COUNT_TRUNCATED] = {"truncated", "Bodies longer than maxMessageSize, which were cut."},
        [COUNT_LOST] = {"lost", "Messages lost for lack of memory."},
        {},
};

struct imbus_settings {
        char *socket, *group, *instance, *event, *name, *ruleset;
        int format;
};

#define S struct imbus_settings
static const struct param imbus_params[] = {
        PARAM_STRING(S, group, .name = "group", .help = "Group whose messages are taken."),
        PARAM_STRING(S, instance, .name = "instance", .dflt = "*", .help = "Instance of the group."),
        PARAM_STRING(S, event, .name = "event", .help = "Name of the event that is taken, instead of a group."),
        PARAM_STRING(S, socket, .name = "socket", .help = "Socket of the bus. Unset: that of the daemon itself."),
        PARAM_CHOICE(
                S, format, .name = "format", .choices = formats, .dflt = "json",
                .help = "json: a body is an object, whose members are the message's; raw: it is a syslog message."),
        PARAM_STRING(S, name, .name = "name", .dflt = "imbus", .help = "What the property inputname shows."),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that messages go to. Unset: the default one."),
        {},
};
#undef S

struct imbus {
        const struct input_host *host;
        struct loop *loop;
        struct intake *intake;
        struct source *source;
        struct penstock_bus *bus; /* NULL: AWAY */
        struct watch watch;
        struct timer timer; /* the next try */
        int64_t try_ms;
        char *socket, *group, *instance;
        enum format format;
        bool is_told;
};

static bool is_set(const char *s) {
        return s && *s;
}

static void count(struct imbus *in, enum counter_index which) {
        counter_add(&in->host->counters[which], 1);
}

/* ---- Messages ------------------------------------------------------------------ */

static struct text string_member(const struct json *object, const char *name, const char *other) {
        const struct json *value = json_get(object, text_of(name));
        if (!value && other)
                value = json_get(object, text_of(other));
        return value && value->type == JSON_STRING ? value->string : TEXT_NONE;
}

static void set_priority(struct record *r, const struct json *object) {
        int facility = facility_by_name(string_member(object, "facility", NULL));
        int severity = severity_by_name(string_member(object, "severity", "priority"));
        r->facility = (uint8_t)(facility < 0 ? 1 /* user */ : facility);
        r->severity = (uint8_t)(severity < 0 ? SEVERITY_NOTICE : severity);
}

static void set_time(struct record *r, const struct json *object) {
        struct text time = string_member(object, "time", "timereported");
        struct stamp stamp = {0};
        bool is_read = time.size && header_iso_date(&stamp, time.data, time.data + time.size);
        r->reported = is_read ? stamp : stamp_of_wall(r->received_us);
        r->reported.is_set = true;
}

/* False: the body is no object. The tree lies in the batch's arena. */
static bool set_fields(struct batch *b, struct record *r, struct text body) {
        struct json *object = NULL;
        size_t used;
        if (json_parse(&b->arena, body, &object, &used) || object->type != JSON_OBJECT ||
            text_trim(text_slice(body, used, body.size)).size)
                return false;
        struct text message = string_member(object, "message", "msg");
        struct text host = string_member(object, "host", "fromhost"), tag = string_member(object, "tag", "syslogtag");
        r->flags = RECORD_IS_PARSED | RECORD_PARSE_OK;
        r->msg = message.data ? batch_store(b, message) : r->raw;
        r->host = host.size ? batch_store(b, host) : (struct span){0};
        r->tag = tag.size ? batch_store(b, tag) : (struct span){0};
        r->tree[TREE_MESSAGE] = object;
        set_priority(r, object);
        set_time(r, object);
        return true;
}

static void take(struct imbus *in, struct text body) {
        size_t bytes_max = (size_t)in->host->facts->message_bytes_max;
        bool is_cut = body.size > bytes_max;
        struct record *r =
                body.size ? intake_copy(in->intake, in->source, text_slice(body, 0, bytes_max), clock_wall_us()) : NULL;
        if (!r) {
                if (body.size)
                        count(in, COUNT_LOST);
                return;
        }
        if (is_cut)
                count(in, COUNT_TRUNCATED);
        if (in->format == FORMAT_JSON && !set_fields(in->intake->batch, r, body))
                count(in, COUNT_MALFORMED);
        count(in, COUNT_SUBMITTED);
}

static void take_message(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        size_t size;
        const char *body = penstock_bus_message_body(message, &size);
        take(context, (struct text){body, size});
}

/* ---- The connection ---------------------------------------------------------------- */

static void plan_try(struct imbus *in) {
        if (loop_arm(in->loop, &in->timer, clock_mono_ns() + in->try_ms * INT64_C(1000000)))
                module_report(in->host->log, SEVERITY_ERR, 0, "imbus: no memory for a timer: it reads no more");
        in->try_ms = MIN(in->try_ms * 2, (int64_t)TRY_LAST_MS);
}

static void lose(struct imbus *in) {
        if (!in->bus)
                return;
        loop_unwatch(in->loop, &in->watch);
        penstock_bus_close(in->bus);
        in->bus = NULL;
}

static void on_bus(struct watch *watch, uint32_t events _unused_) {
        struct imbus *in = CONTAINER_OF(watch, struct imbus, watch);
        if (penstock_bus_process(in->bus) == 0)
                return;
        lose(in);
        plan_try(in);
}

static int join(struct imbus *in) {
        int r = penstock_bus_connect(&in->bus, in->socket, 0);
        if (r)
                return r;
        in->watch = (struct watch){.fd = penstock_bus_fd(in->bus), .events = EPOLLIN, .ready = on_bus};
        r = penstock_bus_subscribe(in->bus, in->group, in->instance, take_message, in);
        return r ? r : loop_watch(in->loop, &in->watch);
}

static void try_again(struct timer *timer) {
        struct imbus *in = CONTAINER_OF(timer, struct imbus, timer);
        int r = join(in);
        if (r == 0) {
                in->try_ms = TRY_FIRST_MS;
                in->is_told = false;
                return;
        }
        lose(in);
        /* The daemon's own broker comes a moment after its inputs: the first failure is nobody's business. */
        if (!in->is_told && in->try_ms > TRY_FIRST_MS) {
                in->is_told = true;
                module_report(in->host->log, SEVERITY_ERR, 0, "imbus: cannot connect to the bus on %s: %s; trying on",
                              in->socket, fail_text(r));
        }
        plan_try(in);
}

/* ---- The module ------------------------------------------------------------------------ */

static int imbus_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct imbus_settings *s = settings;
        if (!s || is_set(s->group) != is_set(s->event))
                return 0;
        module_report(log, SEVERITY_ERR, 0, "imbus: either group or event says whose messages are taken");
        return -EINVAL;
}

static void imbus_close(void *instance) {
        struct imbus *in = instance;
        penstock_bus_close(in->bus);
        source_unref(in->source);
        free(in->socket);
        free(in->group);
        free(in->instance);
        free(in);
}

static char *group_name(const struct imbus_settings *s) {
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%s%s", is_set(s->event) ? "Event/" : "", is_set(s->event) ? s->event : s->group);
        return buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
}

static int imbus_open(void **ret, const struct input_host *host, const void *settings) {
        const struct imbus_settings *s = settings;
        const char *socket = is_set(s->socket) ? s->socket : host->facts->bus_socket;
        if (!is_set(socket)) {
                module_report(host->log, SEVERITY_ERR, 0, "imbus: the daemon is on no bus, and no socket is named");
                return fail(-ENOENT);
        }
        struct imbus *in = calloc(1, sizeof *in);
        if (!in)
                return fail(-ENOMEM);
        *in = (struct imbus){.host = host,
                             .loop = host->loop[0],
                             .intake = host->intake[0],
                             .timer.fire = try_again,
                             .try_ms = TRY_FIRST_MS,
                             .format = (enum format)s->format,
                             .socket = text_copy(text_of(socket)),
                             .group = group_name(s),
                             .instance = text_copy(text_of(s->instance)),
                             .source = source_new_local(s->name, host->facts->host_name, NULL)};
        in->intake->flow = FLOW_LIGHT;
        if (!in->socket || !in->group || !in->instance || !in->source) {
                imbus_close(in);
                return fail(-ENOMEM);
        }
        *ret = in;
        return 0;
}

static int imbus_start(void *instance) {
        struct imbus *in = instance;
        return pass(loop_arm(in->loop, &in->timer, clock_mono_ns()));
}

static void imbus_stop(void *instance) {
        struct imbus *in = instance;
        loop_disarm(in->loop, &in->timer);
        if (in->bus)
                (void)penstock_bus_process(in->bus); /* what has arrived is still taken */
        lose(in);
}

static unsigned imbus_threads(const void *module_settings _unused_) {
        return 1;
}

static const struct input_ops imbus_ops = {
        .threads = imbus_threads,
        .open = imbus_open,
        .start = imbus_start,
        .stop = imbus_stop,
        .close = imbus_close,
};

const struct module imbus_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imbus",
        .help = "Takes messages from a group of the message bus, or events.",
        .settings = SETTINGS(struct imbus_settings, imbus_params),
        .counters = imbus_counters,
        .check = imbus_check,
        .input = &imbus_ops,
};
