#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "io/file.h"

enum { STEP_MS = 10 /* between looks at a child, where the kernel has no pidfd */ };

extern char **environ;

/* ---- Commands ----------------------------------------------------------- */

static const char *skip_blanks(const char *c) {
        return c + strspn(c, " \t");
}

/* Where the argument that begins here ends. */
static const char *argument_end(const char *c) {
        bool is_quoted = false;
        for (; *c && (is_quoted || (*c != ' ' && *c != '\t')); c++)
                if (*c == '"')
                        is_quoted = !is_quoted;
        return c;
}

int process_split(char ***ret, const char *command) {
        size_t count = 0;
        for (const char *c = skip_blanks(command); *c; c = skip_blanks(argument_end(c)))
                count++;
        if (count == 0)
                return fail(-EINVAL);
        if (count > PROCESS_ARGUMENTS_MAX)
                return fail(-E2BIG);
        char **arguments = malloc((count + 1) * sizeof *arguments + strlen(command) + 1);
        if (!arguments)
                return fail(-ENOMEM);
        char *to = (char *)(arguments + count + 1);
        size_t i = 0;
        for (const char *c = skip_blanks(command); *c;) {
                const char *end = argument_end(c);
                arguments[i++] = to;
                memcpy(to, c, (size_t)(end - c));
                to += end - c;
                *to++ = '\0';
                c = skip_blanks(end);
        }
        arguments[i] = NULL;
        *ret = arguments;
        return 0;
}

/* ---- Starting ----------------------------------------------------------- */

/* Makes descriptor `wanted` of the child lead where the plan says. */
static int lead(posix_spawn_file_actions_t *actions, int wanted, int from) {
        if (from == PROCESS_INHERIT)
                return 0;
        if (from < 0)
                return -posix_spawn_file_actions_addopen(actions, wanted, "/dev/null", wanted ? O_WRONLY : O_RDONLY, 0);
        return -posix_spawn_file_actions_adddup2(actions, from, wanted);
}

static int spawn(pid_t *pid, const struct process_plan *plan, int input, int output) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        int r = lead(&actions, STDIN_FILENO, input);
        if (r == 0)
                r = lead(&actions, STDOUT_FILENO, output);
        if (r == 0)
                r = lead(&actions, STDERR_FILENO, plan->error);
        if (r == 0)
                r = -posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        if (r == 0 && plan->directory)
                r = -posix_spawn_file_actions_addchdir_np(&actions, plan->directory);
        if (r == 0)
                r = -posix_spawn(pid, plan->arguments[0], &actions, &attributes, plan->arguments,
                                 plan->environment ? plan->environment : environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

int process_start(struct process *ret, const struct process_plan *plan) {
        _owned_(process_fini) struct process p = PROCESS_NONE;
        int input[2] = {-1, plan->input}, output[2] = {-1, plan->output};
        _owned_(descriptor_close) int child_input = -1;
        _owned_(descriptor_close) int child_output = -1;
        if (plan->input == PROCESS_PIPE) {
                int r = pipe_open(input);
                if (r)
                        return pass(r);
                child_input = input[0];
                p.input = input[1];
        }
        if (plan->output == PROCESS_PIPE) {
                int r = pipe_open(output);
                if (r)
                        return pass(r);
                p.output = output[0];
                child_output = output[1];
        }
        /* Only our ends: what the child makes of its own is its affair. */
        int r = p.input >= 0 ? pipe_unblock(p.input) : 0;
        if (r == 0 && p.output >= 0)
                r = pipe_unblock(p.output);
        if (r == 0)
                r = spawn(&p.pid, plan, plan->input == PROCESS_PIPE ? child_input : plan->input,
                          plan->output == PROCESS_PIPE ? child_output : plan->output);
        if (r)
                return fail(r);
        p.handle = (int)syscall(SYS_pidfd_open, p.pid, 0);
        if (p.handle >= 0)
                fcntl(p.handle, F_SETFD, FD_CLOEXEC);
        *ret = p;
        p = PROCESS_NONE;
        return 0;
}

/* ---- Ending ------------------------------------------------------------- */

static bool has_ended(struct process *p) {
        int status;
        pid_t ended;
        do
                ended = waitpid(p->pid, &status, WNOHANG);
        while (ended < 0 && errno == EINTR);
        if (ended == 0)
                return false;
        /* ECHILD: somebody else has reaped it. */
        p->status = ended == p->pid ? status : -1;
        p->pid = 0;
        return true;
}

bool process_await(struct process *p, int64_t timeout_ms) {
        if (p->pid == 0)
                return true;
        int64_t until_ns = clock_mono_ns() + timeout_ms * 1000000;
        while (!has_ended(p)) {
                int64_t left_ms = (until_ns - clock_mono_ns() + 999999) / 1000000;
                if (left_ms <= 0)
                        return false;
                struct pollfd wait = {.fd = p->handle, .events = POLLIN};
                poll(&wait, p->handle >= 0, (int)MIN(left_ms, p->handle >= 0 ? (int64_t)60000 : (int64_t)STEP_MS));
        }
        return true;
}

void process_signal(const struct process *p, int signal) {
        if (p->pid == 0)
                return;
        if (p->handle < 0 || syscall(SYS_pidfd_send_signal, p->handle, signal, NULL, 0) < 0)
                kill(p->pid, signal);
}

void process_fini(struct process *p) {
        file_close(p->handle);
        file_close(p->input);
        file_close(p->output);
        *p = PROCESS_NONE;
}

/* ---- Pipes -------------------------------------------------------------- */

int pipe_open(int ends[2]) {
        return pipe2(ends, O_CLOEXEC) < 0 ? fail(-errno) : 0;
}

int pipe_unblock(int fd) {
        int flags = fcntl(fd, F_GETFL);
        return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? fail(-errno) : 0;
}

/* 0 when ready, -ETIMEDOUT. */
static int await_fd(int fd, short events, int64_t timeout_ms) {
        int64_t until_ns = clock_mono_ns() + timeout_ms * 1000000;
        for (;;) {
                int64_t left_ms = MAX((until_ns - clock_mono_ns() + 999999) / 1000000, INT64_C(0));
                struct pollfd wait = {.fd = fd, .events = events};
                int r = poll(&wait, 1, (int)MIN(left_ms, (int64_t)INT32_MAX));
                if (r > 0)
                        return 0;
                if (r == 0)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return fail(-errno);
        }
}

int pipe_write(int fd, const void *data, size_t size, int64_t timeout_ms, size_t *done) {
        for (size_t at = 0; at < size;) {
                ssize_t n = write(fd, (const char *)data + at, size - at);
                if (n > 0) {
                        at += (size_t)n;
                        *done += (size_t)n;
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return fail(-errno);
                int r = await_fd(fd, POLLOUT, timeout_ms);
                if (r)
                        return pass(r);
        }
        return 0;
}

ssize_t pipe_read(int fd, void *data, size_t size, int64_t timeout_ms) {
        for (;;) {
                ssize_t n = read(fd, data, size);
                if (n >= 0)
                        return n;
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return fail(-errno);
                int r = await_fd(fd, POLLIN, timeout_ms);
                if (r)
                        return pass(r);
        }
}

int pipe_await_either(int a, int b) {
        struct pollfd wait[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
        int r;
        do
                r = poll(wait, 2, -1);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return fail(-errno);
        return (wait[0].revents ? 1 : 0) | (wait[1].revents ? 2 : 0);
}
