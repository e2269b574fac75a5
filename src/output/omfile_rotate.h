/*
 * The command of rotation.sizeLimitCommand: a program, blanks, and what follows as
 * one argument, as $outchannel has it.
 */
#pragma once

#include "module/module.h"

enum { OMFILE_ROTATE_WAIT_MS = 60000 };

/*
 * Runs the command and waits for its end, OMFILE_ROTATE_WAIT_MS at most; `path` is added as the last argument
 * unless it is NULL. What goes wrong is reported. 0 or -errno when it could not be started.
 */
int omfile_rotate(struct module_log *log, const char *command, const char *path);
