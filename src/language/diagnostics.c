#include "language/diagnostics.h"

#include <stdio.h>

enum {
        MESSAGE_BYTES_MAX = 2048,
        LINE_BYTES_SHOWN = 160, /* of a longer line the part around the caret is shown */
        LINE_BYTES_BEFORE = 80,
};

void diagnostics_fini(struct diagnostics *d) {
        arena_fini(&d->arena);
        *d = (struct diagnostics){0};
}

void diagnostics_add_source(struct diagnostics *d, const char *file, struct text text) {
        if (!d)
                return;
        struct diagnosed_source *s = arena_zalloc(&d->arena, sizeof *s);
        if (!s)
                return;
        s->file = arena_string(&d->arena, text_of(file));
        s->text = arena_text(&d->arena, text);
        s->line = 1;
        if (!s->file || !s->text.data)
                return;
        s->next = d->sources;
        d->sources = s;
}

/* Mistakes come mostly in the order of lines, so the search goes on where the last one ended. */
static struct text find_line(struct diagnostics *d, const struct place *place) {
        struct diagnosed_source *s = d->sources;
        while (s && strcmp(s->file, place->file) != 0)
                s = s->next;
        if (!s || !place->line)
                return TEXT_NONE;
        if (place->line < s->line) {
                s->line = 1;
                s->at = 0;
        }
        while (s->line < place->line) {
                const char *lf = memchr(s->text.data + s->at, '\n', s->text.size - s->at);
                if (!lf)
                        return TEXT_NONE;
                s->at = (size_t)(lf - s->text.data) + 1;
                s->line++;
        }
        struct text rest = text_slice(s->text, s->at, s->text.size);
        const char *lf = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
        if (lf)
                rest.size = (size_t)(lf - rest.data);
        if (rest.size && rest.data[rest.size - 1] == '\r')
                rest.size--;
        return rest;
}

void diagnose_va(struct diagnostics *d, enum severity severity, int code, struct place place, uint32_t width,
                 const char *hint, const char *format, va_list args) {
        if (!d)
                return;
        if (severity <= SEVERITY_ERR)
                d->errors++;
        else if (severity == SEVERITY_WARNING)
                d->warnings++;
        if (d->count++ >= DIAGNOSTICS_MAX)
                return;

        char message[MESSAGE_BYTES_MAX];
        vsnprintf(message, sizeof message, format, args);
        struct diagnostic *one = arena_zalloc(&d->arena, sizeof *one);
        if (!one)
                return;
        *one = (struct diagnostic){.severity = severity, .code = code, .place = place, .width = width};
        one->message = arena_string(&d->arena, text_of(message));
        if (!one->message)
                return;
        if (hint)
                one->hint = arena_string(&d->arena, text_of(hint));
        if (place.file) {
                struct text line = find_line(d, &place);
                one->place.file = arena_string(&d->arena, text_of(place.file));
                size_t at = place.column ? MIN((size_t)place.column - 1, line.size) : 0;
                if (line.size > LINE_BYTES_SHOWN && at > LINE_BYTES_BEFORE)
                        one->line_from = (uint32_t)(at - LINE_BYTES_BEFORE);
                struct text shown = text_slice(line, one->line_from, one->line_from + LINE_BYTES_SHOWN);
                one->line = line.data ? arena_string(&d->arena, shown) : NULL;
        }
        if (d->last)
                d->last->next = one;
        else
                d->first = one;
        d->last = one;
}

void diagnose(struct diagnostics *d, enum severity severity, int code, struct place place, uint32_t width,
              const char *hint, const char *format, ...) {
        va_list args;
        va_start(args, format);
        diagnose_va(d, severity, code, place, width, hint, format, args);
        va_end(args);
}

/* ---- Printing ------------------------------------------------------------ */

static const char *severity_word(enum severity severity) {
        return severity <= SEVERITY_ERR ? "error" : severity == SEVERITY_WARNING ? "warning" : "note";
}

/* Control characters would move the caret or the terminal; a tab is one column in both lines. */
static void print_visible(struct buffer *out, struct text t) {
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                buffer_byte(out, c == '\t' ? ' ' : c < 32 || c == 127 ? '?' : (char)c);
        }
}

/* Columns are bytes, but a character of several bytes takes one place on the screen. */
static size_t screen_width(struct text t) {
        size_t width = 0;
        for (size_t i = 0; i < t.size; i++)
                width += ((unsigned char)t.data[i] & 0xc0) != 0x80;
        return width;
}

static void print_repeated(struct buffer *out, char c, size_t count) {
        while (count--)
                buffer_byte(out, c);
}

static void print_source_line(struct buffer *out, const struct diagnostic *one, bool is_coloured) {
        struct text shown = text_of(one->line);
        size_t at = one->place.column ? (size_t)one->place.column - 1 : 0;
        size_t from = one->line_from;
        buffer_format(out, "%5u | ", one->place.line);
        print_visible(out, shown);
        buffer_text(out, TEXT("\n      | "));
        if (!one->place.column) {
                out->size -= TEXT("      | ").size;
                return;
        }
        print_repeated(out, ' ', screen_width(text_slice(shown, 0, at - from)));
        size_t width = screen_width(text_slice(shown, at - from, at - from + MAX(one->width, 1u)));
        buffer_text(out, is_coloured ? TEXT("\033[1;32m^") : TEXT("^"));
        if (width > 1)
                print_repeated(out, '~', width - 1);
        buffer_text(out, is_coloured ? TEXT("\033[0m\n") : TEXT("\n"));
}

static void print_one(struct buffer *out, const struct diagnostic *one, bool is_coloured) {
        if (one->place.file) {
                buffer_format(out, "%s:", one->place.file);
                if (one->place.line)
                        buffer_format(out, "%u:", one->place.line);
                if (one->place.column)
                        buffer_format(out, "%u:", one->place.column);
                buffer_byte(out, ' ');
        }
        /* Some of rsyslog's wordings bring the word with them. */
        struct text message = text_trim(text_of(one->message));
        if (text_starts_nocase(message, TEXT("error: ")))
                message = text_slice(message, 7, message.size);
        else if (text_starts_nocase(message, TEXT("warning: ")))
                message = text_slice(message, 9, message.size);
        const char *colour = one->severity <= SEVERITY_ERR ? "\033[1;31m" : "\033[1;33m";
        buffer_format(out, "%s%s:%s %.*s\n", is_coloured ? colour : "", severity_word(one->severity),
                      is_coloured ? "\033[0m" : "", TEXT_ARGS(message));
        if (one->line)
                print_source_line(out, one, is_coloured);
        if (one->hint)
                buffer_format(out, "      %s\n", one->hint);
}

void diagnostics_print(const struct diagnostics *d, struct buffer *out, bool is_coloured) {
        for (const struct diagnostic *one = d->first; one; one = one->next)
                print_one(out, one, is_coloured);
        if (d->count > DIAGNOSTICS_MAX)
                buffer_format(out, "... and %u more\n", d->count - DIAGNOSTICS_MAX);
}

void diagnostic_line(const struct diagnostic *one, struct buffer *out) {
        if (one->place.file)
                buffer_format(out, "%s during parsing file %s, on or before line %u: ", severity_word(one->severity),
                              one->place.file, one->place.line);
        buffer_text(out, text_of(one->message));
        if (one->hint)
                buffer_format(out, " -- %s", one->hint);
}
