/*
 * The daemon on the bus: it runs the broker, on a thread of its own, and is one of
 * its clients, called `Penstock`, on the main thread.
 *
 *   NEW     -> BOUND    daemon_bus_bind()    the socket is there; privileges still are
 *   NEW     -> JOINED   daemon_bus_bind()    another broker serves that path: no broker of ours
 *   BOUND   -> SERVING  daemon_bus_serve()   the broker runs, Penstock answers
 *   SERVING -> BOUND    daemon_bus_leave()   Penstock has gone; outputs may still use the broker
 *   any     -> (gone)   daemon_bus_free()    everyone is closed
 *
 * Where no bus can be had the daemon runs without one. Commands are in
 * bus_commands.c, bus_report.c, bus_config.c, bus_tap.c.
 */
#pragma once

#include "base/observer.h"
#include "daemon/own_log.h"
#include "daemon/pipeline.h"

struct daemon_bus;

/* All lent for the bus's life. */
struct daemon_bus_host {
        struct own_log *log;
        struct loop *loop;         /* of the main thread */
        struct loop *housekeeping; /* where injected messages are pushed */
        struct registry *registry;
        const struct config *config;
        struct pipeline *pipeline;
        const char *config_file;
        const char *binary;     /* of this process, for whoever replaces it */
        char *const *arguments; /* the same */
        const char *directory;  /* where it was started */
        bool shows_trouble;     /* on stderr, where the default path cannot be had: somebody watches */
        /* What the commands do to the daemon; on the main thread. */
        void (*reopen)(void *owner);
        /* Another process has taken over: connections may go on for so long, then all is drained. */
        void (*retire)(void *owner, int64_t drain_ms);
        void *owner;
};

int daemon_bus_new(struct daemon_bus **ret);
struct daemon_bus *daemon_bus_free(struct daemon_bus *bus);
OWNED_POINTER(struct daemon_bus, daemon_bus_free);
/* Hears of suspensions and full queues from the start, and makes events of them once it serves. */
struct observer *daemon_bus_observer(struct daemon_bus *bus);
/* Where taps and traces look at what passes. */
struct tap_point *daemon_bus_tap(struct daemon_bus *bus);

/* Both say what went wrong, and leave the daemon without a bus then. */
void daemon_bus_bind(struct daemon_bus *bus, const struct daemon_bus_host *host);
void daemon_bus_serve(struct daemon_bus *bus);
/* The configuration's files were opened anew: Event/reopened. */
void daemon_bus_reopened(struct daemon_bus *bus);
void daemon_bus_leave(struct daemon_bus *bus);
