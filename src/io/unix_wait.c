#include "io/unix_wait.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fail.h"

int unix_wait_open(struct unix_wait *w) {
        *w = (struct unix_wait){.fd = epoll_create1(EPOLL_CLOEXEC), .socket_fd = -1};
        w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN};
        if (w->fd < 0 || w->timer_fd < 0 || epoll_ctl(w->fd, EPOLL_CTL_ADD, w->timer_fd, &event) < 0) {
                int error = -errno;
                unix_wait_close(w);
                return fail(error);
        }
        return 0;
}

void unix_wait_close(struct unix_wait *w) {
        if (w->fd >= 0)
                close(w->fd);
        if (w->timer_fd >= 0)
                close(w->timer_fd);
        w->fd = w->timer_fd = w->socket_fd = -1;
}

int unix_wait_watch(struct unix_wait *w, int socket_fd, uint32_t events) {
        if (socket_fd == w->socket_fd && events == w->events)
                return 0;
        struct epoll_event event = {.events = events};
        int operation = socket_fd == w->socket_fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (w->socket_fd >= 0 && socket_fd != w->socket_fd)
                (void)epoll_ctl(w->fd, EPOLL_CTL_DEL, w->socket_fd, NULL);
        w->socket_fd = socket_fd;
        w->events = events;
        if (socket_fd >= 0 && epoll_ctl(w->fd, operation, socket_fd, &event) < 0)
                return fail(-errno);
        return 0;
}

void unix_wait_arm(struct unix_wait *w, int64_t due_ns) {
        struct itimerspec when = {.it_value = {due_ns / 1000000000, due_ns % 1000000000}};
        (void)timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void unix_wait_calm(struct unix_wait *w) {
        uint64_t count;
        (void)!read(w->timer_fd, &count, sizeof count);
}
