/*
 * The commands of `Penstock`: the table, from which `describe` answers too, and the
 * short ones.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/bus_inside.h"
#include "delivery/delivery.h"
#include "module/settings.h"

enum { REFUSED = 1 };

/* ---- Arguments and answers -------------------------------------------------- */

void answer_with(struct penstock_bus_request *request, struct writer *w) {
        if (buffer_failed(&w->out))
                refuse_with(request, "no memory");
        else
                (void)penstock_bus_answer(request, 0, NULL, buffer_string(&w->out), NULL, 0);
}

void refuse_with(struct penstock_bus_request *request, const char *format, ...) {
        _owned_(buffer_fini) struct buffer words = {0};
        va_list args;
        va_start(args, format);
        buffer_vformat(&words, format, args);
        va_end(args);
        const char *text = buffer_string(&words);
        (void)penstock_bus_answer(request, REFUSED, text ? text : "no memory", NULL, NULL, 0);
}

/* The library has checked names and types against the table. */
static struct scan_value argument(struct penstock_bus_request *request, const char *name) {
        struct scan_value all;
        if (scan_whole(text_of(penstock_bus_request_arguments(request)), &all))
                return (struct scan_value){.kind = SCAN_ABSENT};
        return scan_member(&all, text_of(name));
}

char *argument_string(struct penstock_bus_request *request, const char *name) {
        struct scan_value value = argument(request, name);
        if (value.kind != SCAN_STRING)
                return NULL;
        char *room = malloc(value.text.size + 1);
        if (!room)
                return NULL;
        struct text text = scan_string(&value, room);
        memmove(room, text.data, text.size);
        room[text.size] = '\0';
        return room;
}

bool argument_integer(struct penstock_bus_request *request, const char *name, int64_t *ret) {
        struct scan_value value = argument(request, name);
        return value.kind == SCAN_NUMBER && scan_integer(&value, ret);
}

bool argument_is_true(struct penstock_bus_request *request, const char *name) {
        return argument(request, name).kind == SCAN_TRUE;
}

/* ---- Actions, files, levels ---------------------------------------------------- */

static void change_action(struct penstock_bus_request *request, struct daemon_bus *b,
                          void (*change)(struct delivery *)) {
        _owned_(memory_free) char *name = argument_string(request, "action");
        struct delivery *d = name ? pipeline_find_action(b->host.pipeline, name) : NULL;
        if (!d) {
                refuse_with(request, "there is no action \"%s\"", name ? name : "");
                return;
        }
        change(d);
        (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
}

static void command_action_suspend(struct penstock_bus_request *request, void *context) {
        change_action(request, context, delivery_hold);
}

static void command_action_resume(struct penstock_bus_request *request, void *context) {
        change_action(request, context, delivery_release);
}

static void command_reopen(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        b->host.reopen(b->host.owner);
        (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
}

static void command_loglevel(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(memory_free) char *level = argument_string(request, "level");
        int severity = level ? severity_by_name(text_of(level)) : 0;
        if (severity < 0) {
                refuse_with(request, "there is no severity \"%s\"", level);
                return;
        }
        struct own_log_options options = own_log_options(b->host.log);
        if (level) {
                options.severity_max = severity;
                own_log_configure(b->host.log, &options);
        }
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "level", severity_name((unsigned)options.severity_max));
        writer_close(&w, '}');
        answer_with(request, &w);
}

/* ---- Inject ---------------------------------------------------------------------- */

struct injection {
        struct daemon_bus *bus;
        struct sink *sink;
        char *message;
};

/* On the housekeeping thread, which may wait for a queue. */
static void push_injection(void *argument) {
        struct injection *i = argument;
        struct daemon_bus *b = i->bus;
        const char *host = pipeline_facts(b->host.pipeline)->host_name;
        _owned_(source_unref) struct source *source = source_new_local("penstock-bus", host, "127.0.0.1");
        struct intake intake;
        intake_init(&intake, i->sink, pipeline_pool(b->host.pipeline), FLOW_NONE);
        if (!source || !intake_copy(&intake, source, text_of(i->message), clock_wall_us()))
                report(own_log_reporter(b->host.log), SEVERITY_ERR, 0, "an injected message is lost: no memory");
        intake_fini(&intake);
        atomic_fetch_sub(&b->injections, 1);
        free(i->message);
        free(i);
}

/* What is posted now runs before the housekeeping thread ends, so an answer is a promise. */
static int inject(struct daemon_bus *b, struct sink *sink, char *message) {
        struct injection *i = calloc(1, sizeof *i);
        if (!i)
                return fail(-ENOMEM);
        *i = (struct injection){.bus = b, .sink = sink, .message = message};
        atomic_fetch_add(&b->injections, 1);
        int r = loop_post(b->host.housekeeping, push_injection, i);
        if (r) {
                atomic_fetch_sub(&b->injections, 1);
                free(i);
        }
        return r;
}

static void command_inject(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(memory_free) char *message = argument_string(request, "message");
        _owned_(memory_free) char *ruleset = argument_string(request, "ruleset");
        struct sink *sink = pipeline_find_sink(b->host.pipeline, ruleset);
        size_t bytes_max = (size_t)pipeline_facts(b->host.pipeline)->message_bytes_max;
        if (!message || !*message || strlen(message) > bytes_max)
                refuse_with(request, "a message has 1 to %zu bytes", bytes_max);
        else if (!sink)
                refuse_with(request, "there is no ruleset \"%s\"", ruleset);
        else if (atomic_load(&b->injections) >= INJECTIONS_WAITING_MAX)
                refuse_with(request, "the queue is full: %d messages wait to be injected", INJECTIONS_WAITING_MAX);
        else if (inject(b, sink, message))
                refuse_with(request, "no memory");
        else {
                TAKE(message);
                (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
        }
}

/* ---- The table -------------------------------------------------------------------- */

#define ARGUMENTS(...) ((const struct penstock_bus_argument[]){__VA_ARGS__, {0}})

static const struct penstock_bus_method methods[] = {
        {"status", "Version, process, configuration, and what is suspended or waits.", NULL, command_status},
        {"stats", "All counters, of inputs, queues and actions.", NULL, command_stats},
        {"config", "The configuration as it was loaded, secrets masked.", NULL, command_config},
        {"get_config", "The settings that may change while it runs, with their values.", NULL, command_get_config},
        {"config_update", "Changes such settings, all or none.",
         ARGUMENTS({"settings", "map", false, "Name and value."}), command_config_update},
        {"queue.list", "All queues, with how much waits in them.", NULL, command_queue_list},
        {"queue.status", "One queue: depth, age of the oldest message, marks, counters.",
         ARGUMENTS({"queue", "string", false, "Its name."}), command_queue_status},
        {"action.list", "All actions: state, reason, next retry, counters.", NULL, command_action_list},
        {"action.suspend",
         "Suspends an action until it is resumed. With a queue its messages wait there; without one they pass it by.",
         ARGUMENTS({"action", "string", false, "Its name."}), command_action_suspend},
        {"action.resume", "Ends that, and makes a destination that is away be tried at once.",
         ARGUMENTS({"action", "string", false, "Its name."}), command_action_resume},
        {"reopen", "What HUP does: files are opened anew.", NULL, command_reopen},
        {"loglevel", "Asks or sets how important the daemon's own messages have to be to be logged.",
         ARGUMENTS({"level", "string", true, "A severity, such as \"debug\"."}), command_loglevel},
        {"inject", "Takes a message, as if an input had received it.",
         ARGUMENTS({"message", "string", false, "As it would be on the wire, PRI and all."},
                   {"ruleset", "string", true, "Where it goes; the default ruleset."}),
         command_inject},
        {"tap", "Sends messages that pass to the caller, until it leaves or says untap.",
         ARGUMENTS({"filter", "string", true, "An expression, as behind `if`; every message."},
                   {"from", "string", true, "An input, a ruleset or an action."},
                   {"complete", "boolean", true, "Every message, as long as the caller keeps up; else a sample."},
                   {"rate", "integer", true, "Messages a second of a sample; 100."}),
         command_tap},
        {"untap", "Ends a tap.", ARGUMENTS({"tap", "integer", false, "The number that tap answered."}), command_untap},
        {"trace", "Follows the next message that passes the filter through everything, and answers with its way.",
         ARGUMENTS({"filter", "string", true, "An expression, as behind `if`; every message."},
                   {"timeout", "integer", true, "Milliseconds that it may take to come; 30000."}),
         command_trace},
        {"upgrade", "Starts the new binary with the same arguments, hands it every listening socket, drains and ends.",
         ARGUMENTS({"binary", "string", true, "Its path; that of the running one."},
                   {"timeout", "integer", true, "Milliseconds until it has to be ready; 60000."},
                   {"drain", "integer", true, "Milliseconds that connections may go on here; 10000."}),
         command_upgrade},
        {"sockets", "For the process that upgrade has started: the sockets, as attachments.",
         ARGUMENTS({"token", "string", false, "What it was given."}, {"from", "integer", false, "The first wanted."}),
         command_sockets},
        {"retire", "For that process: it receives now.",
         ARGUMENTS({"token", "string", false, "What it was given."}, {"pid", "integer", false, "Its number."}),
         command_retire},
        {0},
};

const struct penstock_bus_service daemon_bus_service = {
        .name = "Penstock", .help = "The log daemon.", .methods = methods};
