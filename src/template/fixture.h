/*
 * For unit tests: templates from short notations, rendered over a record whose
 * message is given. The diagnostics are those of the tests alone: a count and the
 * last message, so that no other folder is needed.
 */
#pragma once

#include <stdarg.h>
#include <time.h>

#include "language/diagnostics.h"
#include "message/fixture.h"
#include "template/template.h"

static char diagnosed_text[512], diagnosed_hint[512];
static struct place diagnosed_place;

void diagnose(struct diagnostics *d, enum severity severity, int code, struct place place, uint32_t width,
              const char *hint, const char *format, ...) {
        va_list args;
        va_start(args, format);
        vsnprintf(diagnosed_text, sizeof diagnosed_text, format, args);
        va_end(args);
        snprintf(diagnosed_hint, sizeof diagnosed_hint, "%s", hint ? hint : "");
        diagnosed_place = place;
        if (severity == SEVERITY_ERR)
                d->errors++;
        else
                d->warnings++;
}

/* "name=msg;format=json|value=text": parts of a list template, parted by bars, their parameters by semicolons. */
static inline struct template_part *fixture_parts(struct arena *a, const char *notation) {
        struct template_part *first = NULL, **link = &first;
        struct text rest = text_of(notation);
        while (rest.size) {
                const char *bar = memchr(rest.data, '|', rest.size);
                struct text part_text = text_slice(rest, 0, bar ? (size_t)(bar - rest.data) : rest.size);
                rest = text_slice(rest, part_text.size + 1, rest.size);
                struct template_part *part = arena_zalloc(a, sizeof *part);
                part->is_constant = text_starts(part_text, TEXT("value="));
                part->place = (struct place){"test.conf", 1, 1};
                struct assignment **next = &part->assignments;
                while (part_text.size) {
                        const char *mark = memchr(part_text.data, ';', part_text.size);
                        struct text one =
                                text_slice(part_text, 0, mark ? (size_t)(mark - part_text.data) : part_text.size);
                        part_text = text_slice(part_text, one.size + 1, part_text.size);
                        size_t equals = (size_t)text_find(one, TEXT("="));
                        struct assignment *assignment = arena_zalloc(a, sizeof *assignment);
                        assignment->name = text_slice(one, 0, equals);
                        assignment->items = arena_alloc(a, sizeof *assignment->items);
                        assignment->items[0] = text_slice(one, equals + 1, one.size);
                        assignment->count = 1;
                        *next = assignment;
                        next = &assignment->next;
                }
                *link = part;
                link = &part->next;
        }
        return first;
}

static inline struct template_def fixture_list(struct arena *a, const char *notation) {
        return (struct template_def){.name = "t", .kind = TEMPLATE_LIST, .parts = fixture_parts(a, notation)};
}

static inline struct template_def fixture_string(const char *string) {
        return (struct template_def){
                .name = "t", .kind = TEMPLATE_STRING, .string = text_of(string), .string_place = {"test.conf", 7, 20}};
}

/* <134>Mar  1 01:02:03 host1 prog[7]:MSG */
static inline void fixture_message(struct fixture *f, const char *msg) {
        setenv("TZ", "UTC", 1);
        tzset();
        fixture_rfc3164(f, "host1", "prog[7]:", msg);
}

static inline void fixture_render(struct fixture *f, const struct template_def *def, bool escapes_path,
                                  struct buffer *out) {
        struct diagnostics d = {0};
        _owned_(template_free) struct template *t = NULL;
        buffer_clear(out);
        if (template_new(&t, def, &d))
                buffer_text(out, TEXT("(unusable)"));
        else
                template_render(t, &f->context, f->batch, f->record, escapes_path, out);
}

#define CHECK_RENDERS(fixture, def, wanted)                                                                            \
        do {                                                                                                           \
                _owned_(buffer_fini) struct buffer rendered_ = {0};                                                    \
                fixture_render(fixture, def, false, &rendered_);                                                       \
                CHECK_TEXT(buffer_as_text(&rendered_), wanted);                                                        \
        } while (0)
