/*
 * Upgrade, seen from the process that is replaced: it starts the new one, with its own
 * arguments, and hands it the sockets when it asks.
 *
 *   IDLE     -> STARTED   `upgrade`: the new process runs                command_upgrade()
 *   STARTED  -> STARTED   it asks for the sockets: both have them        command_sockets()
 *   STARTED  -> RETIRED   it receives: we take nothing new, and drain    command_retire()
 *   STARTED  -> IDLE      it ended, or took too long: we go on           on_end(), expire()
 *
 * The new process proves who it is by a token that it alone was given. Up to the moment
 * of RETIRED nothing is different here, so a new binary that does not work costs nothing.
 */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker.h"
#include "daemon/bus_inside.h"
#include "daemon/notify.h"
#include "io/heirloom.h"
#include "io/process.h"
#include "io/unix.h"

enum {
        TOKEN_WORDS = 4,
        SOCKETS_A_MESSAGE = 200, /* a message takes 253 descriptors */
        START_TIMEOUT_MS = 60000,
        DRAIN_MS = 10000, /* that connections may go on */
        TIME_MAX_MS = 24 * 3600 * 1000,
};

extern char **environ;

struct upgrade {
        struct daemon_bus *bus;
        struct penstock_bus_request *request; /* who wanted it; NULL: it was answered */
        struct process process;
        struct watch watch; /* of its pidfd */
        struct timer timer;
        int64_t drain_ms;
        int *sockets;
        size_t socket_count;
        char token[TOKEN_WORDS * 8 + 1];
};

static void upgrade_end(struct upgrade *u) {
        struct loop *loop = u->bus->host.loop;
        loop_disarm(loop, &u->timer);
        if (u->watch.fd >= 0)
                loop_unwatch(loop, &u->watch);
        process_fini(&u->process);
        free(u->sockets);
        u->bus->upgrade = NULL;
        free(u);
}

static void give_up(struct upgrade *u, const char *why) {
        struct penstock_bus_request *request = TAKE(u->request);
        if (request)
                refuse_with(request, "%s; process %d goes on", why, (int)getpid());
        upgrade_end(u);
}

void upgrade_cancel(struct daemon_bus *b) {
        if (b->upgrade)
                give_up(b->upgrade, "the daemon leaves the bus");
}

/* A daemon's first process ends well as soon as the daemon is ready: that one asks for itself. */
static void on_end(struct watch *watch, uint32_t events _unused_) {
        struct upgrade *u = CONTAINER_OF(watch, struct upgrade, watch);
        if (!process_await(&u->process, 0))
                return;
        loop_unwatch(u->bus->host.loop, &u->watch);
        u->watch.fd = -1;
        if (u->process.status != 0)
                give_up(u, "the new process did not start; its messages tell why");
}

static void expire(struct timer *timer) {
        struct upgrade *u = CONTAINER_OF(timer, struct upgrade, timer);
        process_signal(&u->process, SIGTERM);
        give_up(u, "the new process was not ready in time");
}

/* ---- Starting it --------------------------------------------------------------- */

static int make_token(struct upgrade *u) {
        uint32_t words[TOKEN_WORDS];
        if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words)
                return fail(-EIO);
        for (size_t i = 0; i < TOKEN_WORDS; i++)
                snprintf(u->token + 8 * i, 9, "%08x", words[i]);
        return 0;
}

/* Ours, with these two: who is to be replaced, and whose names are the service manager's. */
static char **environment_with(char *succeeds, char *lent) {
        size_t count = 0, kept = 0;
        while (environ[count])
                count++;
        char **all = calloc(count + 3, sizeof(*all));
        for (size_t i = 0; all && i < count; i++)
                if (strncmp(environ[i], "LISTEN_", 7) != 0 &&
                    strncmp(environ[i], UNIX_LENT_VARIABLE "=", sizeof UNIX_LENT_VARIABLE) != 0)
                        all[kept++] = environ[i];
        if (!all)
                return NULL;
        all[kept++] = succeeds;
        all[kept] = lent;
        return all;
}

static int start(struct upgrade *u, const char *binary) {
        struct daemon_bus *b = u->bus;
        _owned_(buffer_fini) struct buffer succeeds = {0}, lent = {0};
        buffer_format(&succeeds, "PENSTOCK_SUCCEEDS=%d %s %s %s", (int)getpid(), u->token, penstock_bus_lname(b->bus),
                      b->path);
        buffer_text(&lent, TEXT(UNIX_LENT_VARIABLE "="));
        unix_lent(&lent);
        char *variable = (char *)buffer_string(&succeeds), *names = (char *)buffer_string(&lent);
        _owned_(memory_free) char **environment = variable && names ? environment_with(variable, names) : NULL;
        size_t count = 0;
        while (b->host.arguments[count])
                count++;
        _owned_(memory_free) char **arguments = calloc(count + 1, sizeof(*arguments));
        if (!environment || !arguments)
                return fail(-ENOMEM);
        memcpy(arguments, b->host.arguments, count * sizeof(*arguments));
        arguments[0] = (char *)binary;
        const struct process_plan plan = {.arguments = arguments,
                                          .input = -1,
                                          .output = PROCESS_INHERIT,
                                          .error = PROCESS_INHERIT,
                                          .environment = environment,
                                          .directory = b->host.directory};
        return process_start(&u->process, &plan);
}

static int watch_process(struct upgrade *u) {
        struct loop *loop = u->bus->host.loop;
        if (u->process.handle < 0)
                return 0; /* no pidfd here: the time-out tells */
        u->watch = (struct watch){.fd = u->process.handle, .events = EPOLLIN, .ready = on_end};
        return loop_watch(loop, &u->watch);
}

static int64_t argument_ms(struct penstock_bus_request *request, const char *name, int64_t dflt) {
        int64_t ms = dflt;
        (void)argument_integer(request, name, &ms);
        return MIN(MAX(ms, INT64_C(0)), (int64_t)TIME_MAX_MS);
}

void command_upgrade(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        _owned_(memory_free) char *given = argument_string(request, "binary");
        const char *binary = given ? given : b->host.binary;
        if (b->upgrade || b->is_retired || !b->broker || access(binary, X_OK)) {
                refuse_with(request, "%s",
                            b->upgrade || b->is_retired ? "it is being replaced already"
                            : !b->broker                ? "the bus is another process's: it has to be this daemon's own"
                                                        : "the new binary cannot be executed");
                return;
        }
        struct upgrade *u = calloc(1, sizeof *u);
        if (!u) {
                refuse_with(request, "no memory");
                return;
        }
        *u = (struct upgrade){.bus = b, .process = PROCESS_NONE, .watch.fd = -1, .timer.fire = expire};
        u->request = request;
        u->drain_ms = argument_ms(request, "drain", DRAIN_MS);
        b->upgrade = u;
        int r = make_token(u);
        if (r == 0)
                r = start(u, binary);
        if (r == 0)
                r = watch_process(u);
        if (r == 0)
                r = loop_arm(b->host.loop, &u->timer,
                             clock_mono_ns() + argument_ms(request, "timeout", START_TIMEOUT_MS) * 1000000);
        if (r)
                give_up(u, fail_text(r));
}

/* ---- Handing over ------------------------------------------------------------------ */

/* The upgrade that the caller belongs to; NULL, and it was refused. */
static struct upgrade *admit(struct penstock_bus_request *request, struct daemon_bus *b) {
        _owned_(memory_free) char *token = argument_string(request, "token");
        if (b->upgrade && token && strcmp(token, b->upgrade->token) == 0)
                return b->upgrade;
        refuse_with(request, "nobody was started to replace this process by that token");
        return NULL;
}

static int find_sockets(struct upgrade *u) {
        if (u->sockets)
                return 0;
        u->sockets = calloc(HEIRLOOMS_MAX, sizeof *u->sockets);
        if (!u->sockets)
                return fail(-ENOMEM);
        u->socket_count = heirlooms_find(u->sockets, HEIRLOOMS_MAX);
        return 0;
}

void command_sockets(struct penstock_bus_request *request, void *context) {
        struct upgrade *u = admit(request, context);
        struct penstock_bus_attachment sockets[SOCKETS_A_MESSAGE];
        int64_t from = 0;
        size_t count = 0;
        if (!u)
                return;
        if (find_sockets(u)) {
                refuse_with(request, "no memory");
                return;
        }
        (void)argument_integer(request, "from", &from);
        for (size_t i = (size_t)MAX(from, INT64_C(0)); i < u->socket_count && count < SOCKETS_A_MESSAGE; i++)
                sockets[count++] = (struct penstock_bus_attachment){.fd = u->sockets[i]};
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_int(&w, "sockets", (int64_t)u->socket_count);
        writer_close(&w, '}');
        (void)penstock_bus_answer(request, 0, NULL, buffer_string(&w.out), sockets, count);
}

struct retirement {
        struct broker *broker;
        sem_t done;
};

static void retire_broker(void *argument) {
        struct retirement *r = argument;
        broker_retire(r->broker);
        sem_post(&r->done);
}

/* Whoever connects from now on is the new one's. The broker's thread never waits, so this is a moment. */
static void leave_listener(struct daemon_bus *b) {
        struct retirement retirement = {.broker = b->broker};
        sem_init(&retirement.done, 0, 0);
        if (loop_post(b->broker_loop, retire_broker, &retirement) == 0)
                while (sem_wait(&retirement.done) && errno == EINTR)
                        ;
        sem_destroy(&retirement.done);
}

static void tell_success(struct upgrade *u, int64_t pid) {
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_int(&w, "pid", pid);
        writer_int(&w, "before", getpid());
        writer_close(&w, '}');
        answer_with(TAKE(u->request), &w);
}

void command_retire(struct penstock_bus_request *request, void *context) {
        struct daemon_bus *b = context;
        struct upgrade *u = admit(request, b);
        char state[64];
        int64_t pid = 0;
        if (!u)
                return;
        (void)argument_integer(request, "pid", &pid);
        leave_listener(b);
        b->is_retired = true;
        snprintf(state, sizeof state, "MAINPID=%lld", (long long)pid);
        notify_service(state);
        (void)penstock_bus_answer(request, 0, NULL, NULL, NULL, 0);
        tell_success(u, pid);
        int64_t drain_ms = u->drain_ms;
        upgrade_end(u);
        b->host.retire(b->host.owner, drain_ms);
}
