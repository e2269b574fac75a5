/*
 * The world's failures: a negative errno, returned unchanged to the top.
 *
 * fail() is written where one begins, pass() where one is handed on. Both return
 * their argument. With tracing on (fail_trace(true), `penstockd -d`) each prints
 * its place, so that a failure shows the way it came.
 */
#pragma once

#include <stdbool.h>

#define fail(error) fail_begin((error), __FILE__, __LINE__, __func__)
#define pass(error) fail_pass((error), __FILE__, __LINE__, __func__)

int fail_begin(int error, const char *file, int line, const char *function);
int fail_pass(int error, const char *file, int line, const char *function);

/* Turns the trace on stderr on or off, for the whole process. */
void fail_trace(bool is_on);

/* The failure that began last on this thread since it was forgotten; 0: none. For whoever learns only that it failed.
 */
int fail_last(void);
void fail_forget(void);

/* The text of a (positive or negative) errno; thread-safe, never NULL. */
const char *fail_text(int error);
/* Its name, as "ECONNREFUSED"; never NULL. */
const char *fail_name(int error);
