/*
 * inotify: the kernel tells which files and directories changed. One descriptor
 * for all of them, to be watched for EPOLLIN by a loop. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h> /* the names of the events: IN_CREATE ... */

int inotify_open(int *ret);
/*
 * Asks for events of a path and returns its number (0 or more), the same for every
 * name of one file; -errno. -ENOSPC: the limit fs.inotify.max_user_watches is reached.
 */
int inotify_follow(int fd, const char *path, uint32_t events);
void inotify_forget(int fd, int number);

/*
 * Calls event() for each that waits; `name` is "" for events of the object itself,
 * number -1 with IN_Q_OVERFLOW means that events were lost. Bounded: what is left wakes the loop again.
 */
int inotify_drain(int fd, void (*event)(void *context, int number, uint32_t events, const char *name), void *context);
