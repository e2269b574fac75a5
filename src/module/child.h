/*
 * Programs that modules run: how their end is told.
 */
#pragma once

#include "module/module.h"

/*
 * How the program that was `pid` ended, as global(reportChildProcessExits="...") wants it told. `status` is
 * waitpid()'s, -1 where it is unknown.
 */
void child_report_end(struct module_log *log, const struct host_facts *facts, const char *program, long pid,
                      int status);
