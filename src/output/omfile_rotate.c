#include "output/omfile_rotate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

extern char **environ;

/* The child starts with the signals of a fresh process, whatever our threads block or ignore. */
static int spawn(pid_t *pid, char *const *arguments) {
        posix_spawnattr_t attributes;
        int r = posix_spawnattr_init(&attributes);
        if (r)
                return fail(-r);
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = posix_spawn(pid, arguments[0], NULL, &attributes, arguments, environ);
        posix_spawnattr_destroy(&attributes);
        return r ? fail(-r) : 0;
}

static void tell_end(struct module_log *log, const char *program, const siginfo_t *end) {
        if (end->si_code == CLD_EXITED && end->si_status != 0)
                module_report(log, 4, 0, "child process (pid %d) exited with status %d: size limit command '%s'",
                              (int)end->si_pid, end->si_status, program);
        else if (end->si_code == CLD_KILLED || end->si_code == CLD_DUMPED)
                module_report(log, 4, 0, "child process (pid %d) was killed by signal %d: size limit command '%s'",
                              (int)end->si_pid, end->si_status, program);
}

/*
 * A descriptor of the process tells its end also when the daemon reaps its children elsewhere; then there is no
 * status left to be asked for.
 */
static void await_end(struct module_log *log, const char *program, pid_t pid) {
        siginfo_t end = {0};
        _owned_(descriptor_close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0) {
                struct pollfd watched = {.fd = fd, .events = POLLIN};
                int r;
                do
                        r = poll(&watched, 1, OMFILE_ROTATE_WAIT_MS);
                while (r < 0 && errno == EINTR);
                if (r == 0) {
                        module_report(log, 4, 0,
                                      "size limit command '%s' (pid %d) still runs after %d seconds; going on without "
                                      "waiting for it",
                                      program, (int)pid, OMFILE_ROTATE_WAIT_MS / 1000);
                        return;
                }
        }
        if (waitid(P_PID, (id_t)pid, &end, WEXITED | (fd >= 0 ? WNOHANG : 0)) == 0)
                tell_end(log, program, &end);
}

int omfile_rotate(struct module_log *log, const char *command, const char *path) {
        struct text whole = text_trim(text_of(command));
        size_t end = 0;
        while (end < whole.size && whole.data[end] != ' ')
                end++;
        _owned_(memory_free) char *program = text_copy(text_slice(whole, 0, end));
        _owned_(memory_free) char *rest = text_copy(text_trim(text_slice(whole, end, whole.size)));
        if (!program || !rest)
                return fail(-ENOMEM);
        char *arguments[4] = {program};
        size_t count = 1;
        if (*rest)
                arguments[count++] = rest;
        if (path)
                arguments[count++] = (char *)path;
        pid_t pid;
        int r = spawn(&pid, arguments);
        if (r) {
                module_report(log, 3, 3000, "size limit command '%s' could not be started: %s", program, fail_text(r));
                return pass(r);
        }
        await_end(log, program, pid);
        return 0;
}
