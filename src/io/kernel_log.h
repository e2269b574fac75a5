/*
 * The kernel's log, as /proc/kmsg and /dev/kmsg give it. A plain file or a pipe may
 * stand in for either.
 */
#pragma once

#include "base/text.h"

/* Opens for reading without waiting. With `skips_old` only what comes from now on is read (/dev/kmsg). */
int kernel_log_open(int *ret, const char *path, bool skips_old);
/* Messages less important than `level` (1 to 8) are not shown on the console; 0 restores what was. -EPERM without
 * privilege. */
int kernel_log_set_console(int level);
