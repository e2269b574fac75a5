/*
 * Becoming a daemon. The parent waits until the child is ready, so that whoever
 * started it knows that it listens; at most DAEMONIZE_WAIT_S.
 */
#pragma once

enum { DAEMONIZE_WAIT_S = 60, DAEMONIZE_PARENT_OK = 1 };

/* In the child: 0, and *ready_fd to be given to daemonize_ready(). In the parent: DAEMONIZE_PARENT_OK, or -errno when
 * the child failed. */
int daemonize(int *ready_fd);
/* Tells the parent; does nothing when there is none (-1). */
void daemonize_ready(int *ready_fd);
