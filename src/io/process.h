/*
 * Processes: programs that we start, feed and end.
 *
 *   (none)  -> RUNS    process_start()
 *   RUNS    -> ENDED   process_await() saw it end; it is reaped then
 *
 * A child gets the descriptors 0, 1 and 2 and no other, default signals and no signal blocked.
 * It is known by a pidfd where the kernel has them, so that a signal never reaches a stranger
 * that got its number. Somebody else may reap it first: it counts as ended all the same.
 *
 * SIGPIPE has to be ignored by the caller's process. One thread owns a process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"

enum { PROCESS_ARGUMENTS_MAX = 256 };

struct process {
        pid_t pid;  /* 0: none */
        int handle; /* pidfd, or -1 */
        int input;  /* write end of its standard input, non-blocking; -1: none */
        int output; /* read end of its standard output, non-blocking; -1: none */
        int status; /* as of waitpid(), when it has ended; -1: unknown */
};
#define PROCESS_NONE ((struct process){.handle = -1, .input = -1, .output = -1})

/* Where the child's descriptors lead. -1: to /dev/null. */
enum { PROCESS_PIPE = -2, PROCESS_INHERIT = -3 };
struct process_plan {
        char *const *arguments;   /* [0] is the program's path; NULL-ended */
        int input, output, error; /* a descriptor, -1, PROCESS_PIPE (not for error) or PROCESS_INHERIT */
        char *const *environment; /* NULL: ours */
        const char *directory;    /* to run in; NULL: ours */
};

/*
 * Splits a command at blanks; what stands between double quotes is not split, and the quotes stay, as
 * rsyslog has it. One allocation, for free(). -E2BIG, -EINVAL when there is nothing.
 */
int process_split(char ***ret, const char *command);

/* -errno also when the program cannot be executed. */
int process_start(struct process *ret, const struct process_plan *plan);
/* Waits for the end, at most so long; true when it has ended. timeout_ms 0: asks only. */
bool process_await(struct process *p, int64_t timeout_ms);
void process_signal(const struct process *p, int signal);
/* Closes our ends of its pipes and forgets it. Does not end it. */
void process_fini(struct process *p);
OWNED_VALUE(struct process, process_fini);

/* ---- Pipes that do not block ---------------------------------------------- */

int pipe_open(int ends[2]); /* [0] to read, [1] to write; close-on-exec, blocking */
int pipe_unblock(int fd);
/*
 * Writes until all is written, or nothing was taken for so long: how many bytes were written is added to
 * *done. 0, -ETIMEDOUT, -EPIPE when nobody reads any more.
 */
int pipe_write(int fd, const void *data, size_t size, int64_t timeout_ms, size_t *done);
/* Waits for bytes and reads some: how many, 0 at the end, -ETIMEDOUT. */
ssize_t pipe_read(int fd, void *data, size_t size, int64_t timeout_ms);
/* Waits until either can be read: bit 0 for a, bit 1 for b. -errno. */
int pipe_await_either(int a, int b);
