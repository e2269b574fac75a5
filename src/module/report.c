#include "module/log.h"

#include <stdio.h>

enum { MODULE_LINE_BYTES_MAX = 4096 };

static void emit(struct module_log *log, int severity, int code, const char *param, const char *format, va_list args) {
        if (!log)
                return;
        char line[MODULE_LINE_BYTES_MAX];
        vsnprintf(line, sizeof line, format, args);
        log->emit(log, severity, code, param, line);
}

void module_report(struct module_log *log, int severity, int code, const char *format, ...) {
        va_list args;
        va_start(args, format);
        emit(log, severity, code, NULL, format, args);
        va_end(args);
}

void module_report_param(struct module_log *log, int severity, const char *param, const char *format, ...) {
        va_list args;
        va_start(args, format);
        emit(log, severity, 0, param, format, args);
        va_end(args);
}

static void emit_to_reporter(struct module_log *log, int severity, int code, const char *param, const char *line) {
        struct module_log_reporter *mine = CONTAINER_OF(log, struct module_log_reporter, log);
        report(mine->reporter, (enum severity)severity, code, "%s%s%s%s%s", mine->prefix ? mine->prefix : "",
               param ? "parameter '" : "", param ? param : "", param ? "': " : "", line);
}

void module_log_reporter_init(struct module_log_reporter *log, struct reporter *reporter, const char *prefix) {
        *log = (struct module_log_reporter){
                .log = {.emit = emit_to_reporter},
                .reporter = reporter,
                .prefix = prefix,
        };
}
