/*
 * What stands behind a module's messages. While a configuration is checked it is
 * the checker, which knows the place of every parameter; while the daemon runs it
 * is a reporter.
 */
#pragma once

#include "base/reporter.h"
#include "module/module.h"

struct module_log {
        /* `param` names the parameter that the text is about, or is NULL. `line` is one line. */
        void (*emit)(struct module_log *log, int severity, int code, const char *param, const char *line);
};

/* A module log that hands everything to a reporter; a parameter's name is put before the text. */
struct module_log_reporter {
        struct module_log log;
        struct reporter *reporter;
        const char *prefix; /* "omfile: "; NULL: none. Not owned. */
};
void module_log_reporter_init(struct module_log_reporter *log, struct reporter *reporter, const char *prefix);
