/*
 * Writes JSON member by member: commas and quotes are its business. Without memory
 * the buffer has failed, and is asked once, at the end.
 */
#pragma once

#include "base/text.h"
#include "bus/scan.h"

struct writer {
        struct buffer out;
        bool needs_comma;
};

static inline void writer_fini(struct writer *w) {
        buffer_fini(&w->out);
}
OWNED_VALUE(struct writer, writer_fini);

/* What stands before a value: a comma, and the name where it is a member (NULL: an item of an array). */
static inline void writer_name(struct writer *w, const char *name) {
        if (w->needs_comma)
                buffer_byte(&w->out, ',');
        w->needs_comma = true;
        if (name) {
                scan_quote(&w->out, text_of(name));
                buffer_byte(&w->out, ':');
        }
}
static inline void writer_open(struct writer *w, const char *name, char bracket) {
        writer_name(w, name);
        buffer_byte(&w->out, bracket);
        w->needs_comma = false;
}
static inline void writer_close(struct writer *w, char bracket) {
        buffer_byte(&w->out, bracket);
        w->needs_comma = true;
}
static inline void writer_text(struct writer *w, const char *name, struct text value) {
        writer_name(w, name);
        scan_quote(&w->out, value);
}
static inline void writer_string(struct writer *w, const char *name, const char *value) {
        writer_text(w, name, text_of(value ? value : ""));
}
static inline void writer_int(struct writer *w, const char *name, int64_t value) {
        writer_name(w, name);
        buffer_int(&w->out, value);
}
static inline void writer_bool(struct writer *w, const char *name, bool value) {
        writer_name(w, name);
        buffer_text(&w->out, value ? TEXT("true") : TEXT("false"));
}
static inline void writer_null(struct writer *w, const char *name) {
        writer_name(w, name);
        buffer_text(&w->out, TEXT("null"));
}
