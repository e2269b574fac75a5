/*
 * What the pieces of the daemon's place on the bus share. All of it belongs to the
 * main thread but for the events that wait, which any thread may add to.
 */
#pragma once

#include <pthread.h>

#include "bus/bus.h"
#include "bus/writer.h"
#include "daemon/bus.h"
#include "io/loop.h"

enum {
        EVENTS_WAITING_MAX = 1000,     /* more are dropped: what lies between them is in the log */
        INJECTIONS_WAITING_MAX = 1000, /* that the housekeeping thread has not pushed yet */
};

struct bus_event {
        struct bus_event *next;
        enum notice what;
        char *name, *detail;
};

struct daemon_bus {
        struct observer observer;
        struct daemon_bus_host host;
        char *path;        /* NULL: there is no bus */
        bool is_asked_for; /* the path is not the default */
        bool is_bound;     /* our broker listens there */
        struct reporter broker_reporter;
        struct broker *broker;
        struct loop *broker_loop;
        pthread_t broker_thread;
        bool has_thread;
        struct penstock_bus *bus; /* NULL: not serving */
        struct watch watch;
        int64_t started_us;
        struct bus_taps *taps;
        struct upgrade *upgrade; /* that is under way; NULL: none */
        bool is_retired;         /* another process has our sockets */
        atomic_uint injections;

        pthread_mutex_t lock; /* guards all below */
        struct bus_event *first, **end;
        unsigned waiting;
        bool is_posted;
        bool is_serving;
};

/* ---- bus.c ---- */
void daemon_bus_notify(struct daemon_bus *b, const char *event, struct writer *parameters);

/* ---- bus_commands.c ---- */
extern const struct penstock_bus_service daemon_bus_service;

/* Ends the request with what was written. */
void answer_with(struct penstock_bus_request *request, struct writer *w);
void refuse_with(struct penstock_bus_request *request, const char *format, ...) _printf_(2, 3);
/* A string argument on the heap, NULL when it was not given (or there is no memory). */
char *argument_string(struct penstock_bus_request *request, const char *name);
bool argument_integer(struct penstock_bus_request *request, const char *name, int64_t *ret);
bool argument_is_true(struct penstock_bus_request *request, const char *name);

/* ---- bus_report.c ---- */
void command_status(struct penstock_bus_request *request, void *context);
void command_stats(struct penstock_bus_request *request, void *context);
void command_queue_list(struct penstock_bus_request *request, void *context);
void command_queue_status(struct penstock_bus_request *request, void *context);
void command_action_list(struct penstock_bus_request *request, void *context);

/* ---- bus_config.c ---- */
void command_config(struct penstock_bus_request *request, void *context);
void command_get_config(struct penstock_bus_request *request, void *context);
void command_config_update(struct penstock_bus_request *request, void *context);

/* ---- bus_tap.c ---- */
int taps_new(struct bus_taps **ret, struct daemon_bus *bus);
/* No tap and no trace is left; before the bus is left. */
void taps_end(struct bus_taps *taps);
struct bus_taps *taps_free(struct bus_taps *taps);
struct tap_point *taps_point(struct bus_taps *taps);
/* A client has left: its taps end. */
void taps_drop_client(struct bus_taps *taps, const char *lname);
void command_tap(struct penstock_bus_request *request, void *context);
void command_untap(struct penstock_bus_request *request, void *context);
void command_trace(struct penstock_bus_request *request, void *context);

/* ---- bus_upgrade.c ---- */
void command_upgrade(struct penstock_bus_request *request, void *context);
void command_sockets(struct penstock_bus_request *request, void *context);
void command_retire(struct penstock_bus_request *request, void *context);
void upgrade_cancel(struct daemon_bus *bus);
