/*
 * One descriptor that stands for a socket, which may change, and a time: it can be
 * read when the socket is ready or the time has come, so that a library fits into
 * anybody's loop. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct unix_wait {
        int fd; /* the one; -1: closed */
        int timer_fd;
        int socket_fd; /* that is watched; -1: none */
        uint32_t events;
};

int unix_wait_open(struct unix_wait *w);
void unix_wait_close(struct unix_wait *w);
/* Watches this socket from now on, for EPOLLIN and EPOLLOUT as given; -1: none. */
int unix_wait_watch(struct unix_wait *w, int socket_fd, uint32_t events);
/* The time in clock_mono_ns(); 0: never; past ones have come. */
void unix_wait_arm(struct unix_wait *w, int64_t due_ns);
/* Forgets that the time has come. */
void unix_wait_calm(struct unix_wait *w);
