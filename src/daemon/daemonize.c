#include "daemon/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fail.h"

static int wait_for_child(int fd) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char byte;
        int r = poll(&ready, 1, DAEMONIZE_WAIT_S * 1000);
        if (r == 1 && read(fd, &byte, 1) == 1)
                return DAEMONIZE_PARENT_OK;
        if (r == 0)
                fprintf(stderr, "rsyslogd: the daemon was not ready within %d seconds\n", DAEMONIZE_WAIT_S);
        else
                fprintf(stderr, "rsyslogd: the daemon could not start; `penstockd -n` shows why\n");
        return fail(-ETIMEDOUT);
}

int daemonize(int *ready_fd) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC))
                return fail(-errno);
        pid_t child = fork();
        if (child < 0)
                return fail(-errno);
        if (child > 0) {
                close(ends[1]);
                int r = wait_for_child(ends[0]);
                close(ends[0]);
                return r;
        }
        close(ends[0]);
        if (setsid() < 0)
                return fail(-errno);
        *ready_fd = ends[1];
        return 0;
}

void daemonize_ready(int *ready_fd) {
        if (*ready_fd < 0)
                return;
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0) {
                dup2(null, STDIN_FILENO);
                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                if (null > STDERR_FILENO)
                        close(null);
        }
        (void)!write(*ready_fd, "", 1);
        close(*ready_fd);
        *ready_fd = -1;
}
