#include "daemon/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/bus.h"
#include "bus/writer.h"
#include "io/heirloom.h"

/* "PID TOKEN LNAME PATH" of the process before us. */
static const char VARIABLE[] = "PENSTOCK_SUCCEEDS";

enum {
        ASK_TIMEOUT_MS = 20000,
        LOOK_AGAIN_MS = 100, /* whether it is still there, where the kernel has no pidfd */
        TOKEN_BYTES_MAX = 64,
        LNAME_BYTES_MAX = 512,
        PATH_BYTES_MAX = 512,
};

struct succession {
        pid_t pid;
        char token[TOKEN_BYTES_MAX], lname[LNAME_BYTES_MAX], path[PATH_BYTES_MAX];
        struct penstock_bus *bus;
        struct loop *loop;
        struct watch watch; /* of its pidfd */
        struct timer timer; /* instead */
        void (*gone)(void *owner);
        void *owner;
};

int succession_read(struct succession **ret) {
        const char *value = getenv(VARIABLE);
        if (!value)
                return 0;
        struct succession *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        s->watch.fd = -1;
        int pid;
        int found = sscanf(value, "%d %63s %511s %511[^\n]", &pid, s->token, s->lname, s->path);
        /* Programs that we start replace nobody. */
        unsetenv(VARIABLE);
        if (found != 4 || pid <= 1) {
                free(s);
                return fail(-EINVAL);
        }
        s->pid = (pid_t)pid;
        *ret = s;
        return 0;
}

static void end_watch(struct succession *s) {
        if (s->watch.fd >= 0) {
                loop_unwatch(s->loop, &s->watch);
                close(s->watch.fd);
        }
        s->watch.fd = -1;
        if (s->loop)
                loop_disarm(s->loop, &s->timer);
}

struct succession *succession_free(struct succession *s) {
        if (!s)
                return NULL;
        end_watch(s);
        penstock_bus_close(s->bus);
        free(s);
        return NULL;
}

pid_t succession_pid(const struct succession *s) {
        return s ? s->pid : 0;
}

/* ---- Asking ------------------------------------------------------------------ */

static int ask(struct succession *s, const char *command, const char *name, int64_t value,
               struct penstock_bus_result **ret) {
        _owned_(writer_fini) struct writer w = {0};
        writer_open(&w, NULL, '{');
        writer_string(&w, "token", s->token);
        writer_int(&w, name, value);
        writer_close(&w, '}');
        const struct penstock_bus_call call = {
                .to = s->lname, .command = command, .arguments = buffer_string(&w.out), .timeout_ms = ASK_TIMEOUT_MS};
        int r = penstock_bus_call_sync(s->bus, &call, ret);
        if (r)
                return pass(r);
        if ((*ret)->code == 0)
                return 0;
        fprintf(stderr, "rsyslogd: process %d does not hand over: %s: %s\n", (int)s->pid, command, (*ret)->text);
        penstock_bus_result_free(*ret);
        return fail(-EPERM);
}

static int offer(struct penstock_bus_message *message) {
        int fds[HEIRLOOMS_MAX];
        size_t count = 0, all = penstock_bus_message_attachment_count(message);
        for (size_t i = 0; i < all && count < HEIRLOOMS_MAX; i++) {
                int fd = penstock_bus_message_take_fd(message, i);
                if (fd >= 0)
                        fds[count++] = fd;
        }
        int r = count ? heirlooms_offer(fds, count) : 0;
        return r ? pass(r) : (int)count;
}

int succession_take(struct succession *s) {
        int r = penstock_bus_connect(&s->bus, s->path, 0);
        if (r)
                return pass(r);
        /* As many as a message takes, until one brings none. */
        for (int64_t from = 0; from < HEIRLOOMS_MAX; from += r) {
                struct penstock_bus_result *result;
                r = ask(s, "sockets", "from", from, &result);
                if (r)
                        return pass(r);
                r = result->message ? offer(result->message) : 0;
                penstock_bus_result_free(result);
                if (r <= 0)
                        return r ? pass(r) : 0;
        }
        return 0;
}

void succession_ready(struct succession *s, struct reporter *reporter) {
        struct penstock_bus_result *result;
        int r = ask(s, "retire", "pid", getpid(), &result);
        if (r)
                report(reporter, SEVERITY_WARNING, 0, "process %d, which this one replaces, does not retire: %s",
                       (int)s->pid, fail_text(r));
        else
                penstock_bus_result_free(result);
        penstock_bus_close(s->bus);
        s->bus = NULL;
}

/* ---- Its end ------------------------------------------------------------------- */

static void has_gone(struct succession *s) {
        end_watch(s);
        s->gone(s->owner);
}

static void on_end(struct watch *watch, uint32_t events _unused_) {
        has_gone(CONTAINER_OF(watch, struct succession, watch));
}

static void look_again(struct timer *timer) {
        struct succession *s = CONTAINER_OF(timer, struct succession, timer);
        if (kill(s->pid, 0) == 0 || errno == EPERM)
                (void)loop_arm(s->loop, timer, clock_mono_ns() + LOOK_AGAIN_MS * INT64_C(1000000));
        else
                has_gone(s);
}

int succession_await(struct succession *s, struct loop *loop, void (*gone)(void *owner), void *owner) {
        s->loop = loop;
        s->gone = gone;
        s->owner = owner;
        s->timer.fire = look_again;
        int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
        if (fd < 0)
                return loop_arm(loop, &s->timer, clock_mono_ns());
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        s->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = on_end};
        return loop_watch(loop, &s->watch);
}
