/*
 * Who is logged in at a terminal, and writing to them.
 *
 * The login records are read as a file (utmp(5)); machines that keep none have
 * nobody to be told. Writing never waits: a terminal that is stopped misses the
 * message, as with wall(1).
 */
#pragma once

#include "base/text.h"

enum { SESSION_LINE_BYTES_MAX = 64, SESSION_USER_BYTES_MAX = 64 };

struct session {
        char user[SESSION_USER_BYTES_MAX];
        char line[SESSION_LINE_BYTES_MAX]; /* of the terminal, as in /dev */
};

/*
 * Calls each(context, session) for everybody logged in; `path` is the file, NULL for the system's.
 * -errno when it cannot be read; -ENOENT where there is none.
 */
int session_list(const char *path, void (*each)(void *context, const struct session *session), void *context);

/* Writes to the terminal /dev/`line`; `directory` stands in for /dev in tests, else NULL. 0 or -errno. */
int session_write(const char *directory, const char *line, struct text bytes);
