/*
 * What is wrong with a configuration: every mistake with its file, line and
 * column, the line itself with a caret, and what would have been right.
 *
 *   /etc/rsyslog.conf:12:27: error: parameter 'queue.typ' not known -- typo in config file?
 *      12 | action(type="omfile" queue.typ="LinkedList")
 *         |                      ^~~~~~~~~
 *         did you mean `queue.type`?
 */
#pragma once

#include "base/reporter.h"
#include "base/text.h"
#include "language/tree.h"

struct diagnostic {
        enum severity severity; /* SEVERITY_ERR, SEVERITY_WARNING, SEVERITY_INFO */
        int code;               /* rsyslog's number, for the tag; 0: none */
        struct place place;     /* file NULL: none */
        uint32_t width;         /* of the underlined part, in bytes; 0: a caret alone */
        const char *message;
        const char *hint;   /* NULL: none */
        const char *line;   /* the source line, or the part of a long one around the place; NULL: none */
        uint32_t line_from; /* bytes of the line before that part */
        struct diagnostic *next;
};

/* A text that places refer to, so that its lines can be shown. */
struct diagnosed_source {
        const char *file;
        struct text text;
        uint32_t line; /* found last, and where it begins */
        size_t at;
        struct diagnosed_source *next;
};

enum { DIAGNOSTICS_MAX = 1000 }; /* kept; those beyond are counted */

struct diagnostics {
        struct arena arena;
        struct diagnostic *first, *last;
        unsigned errors, warnings;
        unsigned count;
        struct diagnosed_source *sources;
};

void diagnostics_fini(struct diagnostics *d);
OWNED_VALUE(struct diagnostics, diagnostics_fini);

/* Makes the lines of a file known; both strings are copied. */
void diagnostics_add_source(struct diagnostics *d, const char *file, struct text text);

/* Adds one; strings are copied, the source line is found by the place. NULL d is silent. */
void diagnose(struct diagnostics *d, enum severity severity, int code, struct place place, uint32_t width,
              const char *hint, const char *format, ...) _printf_(7, 8);

/* The same with the arguments as a list, and the hint already formatted. */
void diagnose_va(struct diagnostics *d, enum severity severity, int code, struct place place, uint32_t width,
                 const char *hint, const char *format, va_list args) _printf_(7, 0);

/* The whole, as shown above; is_coloured for terminals. */
void diagnostics_print(const struct diagnostics *d, struct buffer *out, bool is_coloured);
/* One diagnostic as a single line, for the daemon's own log: "error during parsing file F, on or before line N: TEXT".
 */
void diagnostic_line(const struct diagnostic *one, struct buffer *out);
