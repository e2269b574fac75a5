#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker.h"
#include "daemon/bus_inside.h"
#include "daemon/bus_path.h"
#include "io/heirloom.h"
#include "io/unix_stream.h"

enum {
        SOCKET_MODE = 0600, /* who may command the log daemon is decided by bus.config */
        DIRECTORY_MODE = 0755,
        LOOK_MS = 2000,            /* that another broker may take to say who is there */
        BUS_PATH_BYTES_MAX = 4096, /* what a socket takes is less: binding tells */
};

/* ---- Events ------------------------------------------------------------------ */

void daemon_bus_notify(struct daemon_bus *b, const char *event, struct writer *parameters) {
        if (b->bus && !buffer_failed(&parameters->out))
                (void)penstock_bus_notify(b->bus, event, buffer_string(&parameters->out));
}

static void event_free(struct bus_event *e) {
        free(e->name);
        free(e->detail);
        free(e);
}

static void notify_event(struct daemon_bus *b, const struct bus_event *e) {
        static const struct {
                const char *event, *name, *detail;
        } events[] = {
                [NOTICE_ACTION_SUSPENDED] = {"action-suspended", "action", "reason"},
                [NOTICE_ACTION_RESUMED] = {"action-resumed", "action", NULL},
                [NOTICE_QUEUE_FULL] = {"queue-full", "queue", "of"},
                [NOTICE_QUEUE_DRAINED] = {"queue-drained", "queue", NULL},
        };
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, events[e->what].name, e->name);
        if (events[e->what].detail)
                writer_string(&w, events[e->what].detail, e->detail);
        writer_close(&w, '}');
        daemon_bus_notify(b, events[e->what].event, &w);
}

static struct bus_event *take_events(struct daemon_bus *b) {
        pthread_mutex_lock(&b->lock);
        struct bus_event *all = TAKE(b->first);
        b->end = &b->first;
        b->waiting = 0;
        b->is_posted = false;
        pthread_mutex_unlock(&b->lock);
        return all;
}

static void notify_events(void *argument) {
        struct daemon_bus *b = argument;
        struct bus_event *e = take_events(b);
        while (e) {
                struct bus_event *next = e->next;
                notify_event(b, e);
                event_free(e);
                e = next;
        }
}

/* Under any lock, on any thread. */
static void keep_event(struct observer *observer, enum notice what, const char *name, const char *detail) {
        struct daemon_bus *b = CONTAINER_OF(observer, struct daemon_bus, observer);
        pthread_mutex_lock(&b->lock);
        struct bus_event *e = b->is_serving && b->waiting < EVENTS_WAITING_MAX ? calloc(1, sizeof *e) : NULL;
        if (e) {
                *e = (struct bus_event){.what = what, .name = strdup(name), .detail = strdup(detail)};
                *b->end = e;
                b->end = &e->next;
                b->waiting++;
        }
        if (e && !b->is_posted)
                b->is_posted = loop_post(b->host.loop, notify_events, b) == 0;
        pthread_mutex_unlock(&b->lock);
}

struct observer *daemon_bus_observer(struct daemon_bus *b) {
        return &b->observer;
}

void daemon_bus_reopened(struct daemon_bus *b) {
        _owned_(writer_fini) struct writer w = {0};
        buffer_text(&w.out, TEXT("{}"));
        daemon_bus_notify(b, "reopened", &w);
}

static void tell_loaded(struct daemon_bus *b) {
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "file", b->host.config_file);
        writer_close(&w, '}');
        daemon_bus_notify(b, "config-loaded", &w);
}

/* ---- Binding ------------------------------------------------------------------ */

/* The default directory is made where it is missing; where it cannot be, binding tells. */
static void make_directory(const char *path) {
        _owned_(memory_free) char *directory = text_copy(text_of(path));
        char *slash = directory ? strrchr(directory, '/') : NULL;
        if (!slash)
                return;
        *slash = '\0';
        (void)mkdir(directory, DIRECTORY_MODE);
}

/* What nobody asked for is no matter for the log. */
static void tell_trouble(struct daemon_bus *b, int error) {
        struct reporter *reporter = own_log_reporter(b->host.log);
        if (b->is_asked_for) {
                report(reporter, SEVERITY_WARNING, 0, "no message bus on %s: %s", b->path, fail_text(error));
                return;
        }
        report(reporter, SEVERITY_DEBUG, 0, "no message bus on %s: %s", b->path, fail_text(error));
        if (b->host.shows_trouble)
                fprintf(stderr, "rsyslogd: warning: no message bus on %s: %s; see global(bus.socket)\n", b->path,
                        fail_text(error));
}

/* What the broker says while it cannot be had at the default path is nobody's business. */
static void say_for_broker(struct reporter *reporter, enum severity severity, int code, const char *line) {
        struct daemon_bus *b = CONTAINER_OF(reporter, struct daemon_bus, broker_reporter);
        if (b->is_asked_for || b->is_bound)
                report(own_log_reporter(b->host.log), severity, code, "bus: %s", line);
}

static void leave_broker_loop(void *context) {
        loop_stop(context);
}

static int bind_broker(struct daemon_bus *b) {
        const struct broker_options options = {
                .socket_path = b->path,
                .config_path = b->host.config->global->bus_config,
                .listener = heirloom_claim_unix(SOCK_STREAM, b->path),
                .owns_path = b->path[0] != '@',
                .gives_memory_back = true,
                .reporter = &b->broker_reporter,
                .stopped = leave_broker_loop,
        };
        int r = loop_new(&b->broker_loop);
        if (r)
                return pass(r);
        struct broker_options with_loop = options;
        with_loop.context = b->broker_loop;
        /* Nobody but us may connect before the mode is what it shall be. */
        mode_t mask = umask(0177);
        r = broker_new(&b->broker, b->broker_loop, &with_loop);
        umask(mask);
        if (r == 0 && !options.config_path)
                r = unix_stream_mode(b->path, SOCKET_MODE);
        return r ? pass(r) : 0;
}

void daemon_bus_bind(struct daemon_bus *b, const struct daemon_bus_host *host) {
        b->host = *host;
        b->started_us = clock_wall_us();
        char path[BUS_PATH_BYTES_MAX];
        bus_path(path, sizeof path, host->config->global, &b->is_asked_for);
        b->path = *path ? text_copy(text_of(path)) : NULL;
        if (!b->path)
                return;
        if (!b->is_asked_for)
                make_directory(b->path);
        int r = bind_broker(b);
        bool is_joined = r == -EADDRINUSE;
        if (r) {
                b->broker = broker_free(b->broker);
                b->broker_loop = loop_free(b->broker_loop);
        }
        b->is_bound = r == 0;
        if (r == 0 || is_joined)
                return;
        tell_trouble(b, r);
        free(b->path);
        b->path = NULL;
}

/* ---- Serving ------------------------------------------------------------------ */

static void *run_broker(void *argument) {
        struct daemon_bus *b = argument;
        broker_be_prompt();
        int r = loop_run(b->broker_loop);
        if (r)
                report(own_log_reporter(b->host.log), SEVERITY_ERR, 0, "the message bus ended: %s", fail_text(r));
        return NULL;
}

static void leave(struct daemon_bus *b) {
        if (!b->bus)
                return;
        pthread_mutex_lock(&b->lock);
        b->is_serving = false;
        pthread_mutex_unlock(&b->lock);
        loop_unwatch(b->host.loop, &b->watch);
        taps_end(b->taps);
        upgrade_cancel(b);
        penstock_bus_close(TAKE(b->bus));
}

static void process(struct watch *watch, uint32_t events _unused_) {
        struct daemon_bus *b = CONTAINER_OF(watch, struct daemon_bus, watch);
        if (penstock_bus_process(b->bus) == 0)
                return;
        report(own_log_reporter(b->host.log), SEVERITY_WARNING, 0, "the message bus on %s has ended", b->path);
        leave(b);
}

/* At the default path a broker of its own is joined, and the bus of another penstockd left alone. */
static int look_for_others(struct daemon_bus *b) {
        struct penstock_bus_result *result;
        const struct penstock_bus_call call = {
                .to = "Msgq", .command = "members", .arguments = "{\"group\":\"Penstock\"}", .timeout_ms = LOOK_MS};
        int r = penstock_bus_call_sync(b->bus, &call, &result);
        if (r)
                return pass(r);
        bool is_alone = result->code == 0 && strcmp(result->data, "[]") == 0;
        penstock_bus_result_free(result);
        return is_alone ? 0 : -EADDRINUSE;
}

static int join(struct daemon_bus *b) {
        /* Our own broker ends with us; somebody else's may come back. */
        int r = penstock_bus_connect(&b->bus, b->path, b->broker ? 0 : PENSTOCK_BUS_RECONNECT);
        if (r)
                return pass(r);
        r = b->broker || b->is_asked_for ? 0 : look_for_others(b);
        if (r == 0)
                r = penstock_bus_serve(b->bus, &daemon_bus_service, b);
        b->watch = (struct watch){.fd = penstock_bus_fd(b->bus), .events = EPOLLIN, .ready = process};
        if (r == 0)
                r = loop_watch(b->host.loop, &b->watch);
        return r ? pass(r) : 0;
}

void daemon_bus_serve(struct daemon_bus *b) {
        if (!b->path)
                return;
        int r = 0;
        if (b->broker) {
                r = -pthread_create(&b->broker_thread, NULL, run_broker, b);
                b->has_thread = r == 0;
        }
        if (r == 0)
                r = join(b);
        if (r) {
                tell_trouble(b, r);
                leave(b);
                return;
        }
        pthread_mutex_lock(&b->lock);
        b->is_serving = true;
        pthread_mutex_unlock(&b->lock);
        tell_loaded(b);
}

/* ---- Beginning and end ---------------------------------------------------------- */

struct tap_point *daemon_bus_tap(struct daemon_bus *b) {
        return taps_point(b->taps);
}

int daemon_bus_new(struct daemon_bus **ret) {
        struct daemon_bus *b = calloc(1, sizeof *b);
        if (!b)
                return fail(-ENOMEM);
        int r = taps_new(&b->taps, b);
        if (r) {
                free(b);
                return pass(r);
        }
        b->observer.tell = keep_event;
        b->broker_reporter.emit = say_for_broker;
        b->end = &b->first;
        pthread_mutex_init(&b->lock, NULL);
        *ret = b;
        return 0;
}

void daemon_bus_leave(struct daemon_bus *b) {
        leave(b);
}

static void stop_broker(void *argument) {
        broker_stop(argument);
}

struct daemon_bus *daemon_bus_free(struct daemon_bus *b) {
        if (!b)
                return NULL;
        leave(b);
        if (b->has_thread) {
                if (loop_post(b->broker_loop, stop_broker, b->broker))
                        loop_stop(b->broker_loop);
                pthread_join(b->broker_thread, NULL);
        }
        broker_free(b->broker);
        loop_free(b->broker_loop);
        for (struct bus_event *e = take_events(b), *next; e; e = next) {
                next = e->next;
                event_free(e);
        }
        taps_free(b->taps);
        pthread_mutex_destroy(&b->lock);
        free(b->path);
        free(b);
        return NULL;
}
