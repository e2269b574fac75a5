/*
 * The pid file: written beside and renamed, so that a reader never sees half a
 * number; decimal, without a newline.
 */
#pragma once

#include <sys/types.h>

/* The process that holds the file and is alive, or 0. */
pid_t pidfile_holder(const char *path);
int pidfile_write(const char *path); /* -errno */
void pidfile_remove(const char *path);
