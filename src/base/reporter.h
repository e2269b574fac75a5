/*
 * A reporter takes what the daemon has to say: to its own log, to stderr, or to a
 * test. Whoever may need to say something is handed one. Safe from any thread.
 *
 * `code` is the number that rsyslog gives this kind of message (2357 makes the
 * tag `rsyslogd-2357:`), or 0. Text is one line, in plain words: what is wrong,
 * where, and what to do.
 */
#pragma once

#include <stdarg.h>

#include "base/macros.h"

/* Severities of RFC 5424, table 2. */
enum severity {
        SEVERITY_EMERG,
        SEVERITY_ALERT,
        SEVERITY_CRIT,
        SEVERITY_ERR,
        SEVERITY_WARNING,
        SEVERITY_NOTICE,
        SEVERITY_INFO,
        SEVERITY_DEBUG,
};

struct reporter {
        void (*emit)(struct reporter *reporter, enum severity severity, int code, const char *line);
};

/* A NULL reporter is silent. */
void report(struct reporter *reporter, enum severity severity, int code, const char *format, ...) _printf_(4, 5);
void report_va(struct reporter *reporter, enum severity severity, int code, const char *format, va_list args)
        _printf_(4, 0);
