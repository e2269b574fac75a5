#include "base/reporter.h"

#include <stdio.h>

enum { REPORT_LINE_BYTES_MAX = 8192 };

void report_va(struct reporter *reporter, enum severity severity, int code, const char *format, va_list args) {
        if (!reporter)
                return;
        char line[REPORT_LINE_BYTES_MAX];
        vsnprintf(line, sizeof line, format, args);
        reporter->emit(reporter, severity, code, line);
}

void report(struct reporter *reporter, enum severity severity, int code, const char *format, ...) {
        va_list args;
        va_start(args, format);
        report_va(reporter, severity, code, format, args);
        va_end(args);
}
