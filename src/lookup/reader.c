/*
 * Reads the file of a lookup table:
 *
 *   { "version": 1, "nomatch": "unk", "type": "string", "table": [ {"index": "10.0.1.1", "value": "A"}, ... ] }
 *
 * A row is parsed, its key and value are kept, and its JSON is forgotten, so that a
 * million rows take little more than their bytes. Names are found in any case, and
 * comments stand where blanks may, as rsyslog's users are used to.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"
#include "base/json.h"
#include "lookup/radix.h"
#include "lookup/rows.h"

enum { WARNINGS_MAX = 20, COMPLAINT_BYTES_MAX = 512, FIRST_ROWS = 1024, NAME_BYTES_SHOWN = 100 };

struct reader {
        struct text file;
        size_t at;
        struct arena keys;    /* live until the table is made */
        struct arena scratch; /* one value at a time */
        struct lookup_plan plan;
        size_t row_capacity;
        bool has_type, has_version, has_table;
        unsigned warnings;
        struct lookup_listener *listener;
        /* Where the line of the last complaint begins; complaints of one pass come in order of the file. */
        size_t line_at;
        uint32_t line;
};

static void reader_fini(struct reader *r) {
        arena_fini(&r->keys);
        arena_fini(&r->scratch);
        lookup_values_fini(&r->plan.values);
        free(r->plan.rows);
}
OWNED_VALUE(struct reader, reader_fini);

/* ---- Complaining ----------------------------------------------------------- */

static void complain_va(struct reader *r, enum severity severity, size_t at, const char *format, va_list args) {
        if (severity == SEVERITY_WARNING && ++r->warnings > WARNINGS_MAX)
                return;
        if (at < r->line_at) {
                r->line_at = 0;
                r->line = 1;
        }
        for (size_t i = r->line_at; i < at; i++)
                if (r->file.data[i] == '\n') {
                        r->line++;
                        r->line_at = i + 1;
                }
        char what[COMPLAINT_BYTES_MAX];
        vsnprintf(what, sizeof what, format, args);
        r->listener->hear(r->listener, severity, r->line, (uint32_t)(at - r->line_at) + 1, what);
}

static void complain_of_row(void *owner, enum severity severity, size_t at, const char *format, ...) {
        va_list args;
        va_start(args, format);
        complain_va(owner, severity, at, format, args);
        va_end(args);
}

_printf_(3, 4) static int refuse(struct reader *r, size_t at, const char *format, ...) {
        va_list args;
        va_start(args, format);
        complain_va(r, SEVERITY_ERR, at, format, args);
        va_end(args);
        return fail(-EBADMSG);
}

/* ---- Walking --------------------------------------------------------------- */

static struct text rest(const struct reader *r) {
        return text_slice(r->file, r->at, r->file.size);
}

static bool skip_comment(struct reader *r) {
        bool is_line = text_starts(rest(r), TEXT("//"));
        if (!is_line && !text_starts(rest(r), TEXT("/*")))
                return false;
        ptrdiff_t end = text_find(text_slice(rest(r), 2, SIZE_MAX), is_line ? TEXT("\n") : TEXT("*/"));
        r->at = end < 0 ? r->file.size : r->at + 2 + (size_t)end + (is_line ? 1 : 2);
        return true;
}

static void skip_blank(struct reader *r) {
        do {
                while (r->at < r->file.size && strchr(" \t\r\n", r->file.data[r->at]) && r->file.data[r->at])
                        r->at++;
        } while (skip_comment(r));
}

static bool take(struct reader *r, char c) {
        skip_blank(r);
        if (r->at == r->file.size || r->file.data[r->at] != c)
                return false;
        r->at++;
        return true;
}

static int take_value(struct reader *r, struct json **ret) {
        size_t used;
        skip_blank(r);
        int error = json_parse(&r->scratch, rest(r), ret, &used);
        if (error == -EBADMSG)
                return refuse(r, r->at,
                              "json parsing error: a value is expected here, or the one that begins here is "
                              "wrong");
        if (error)
                return pass(error);
        r->at += used;
        return 0;
}

/* A value as a text: what rsyslog makes of it, up to a NUL. Lies in the scratch arena. */
static struct text as_text(struct reader *r, const struct json *value) {
        if (value->type == JSON_STRING) {
                const char *nul = value->string.size ? memchr(value->string.data, '\0', value->string.size) : NULL;
                return nul ? text_slice(value->string, 0, (size_t)(nul - value->string.data)) : value->string;
        }
        _owned_(buffer_fini) struct buffer printed = {0};
        json_print(&printed, value, JSON_SPACED);
        return buffer_failed(&printed) ? TEXT_NONE : arena_text(&r->scratch, buffer_as_text(&printed));
}

static bool is_missing(const struct json *value) {
        return !value || value->type == JSON_NULL;
}

/* ---- Rows ------------------------------------------------------------------- */

static int add_row(struct reader *r, const struct lookup_row *row) {
        if (r->plan.count == LOOKUP_ROWS_MAX)
                return refuse(r, row->at, "a table has at most %d rows", LOOKUP_ROWS_MAX);
        if (!ARRAY_ROOM(r->plan.rows, r->plan.count, r->row_capacity, FIRST_ROWS))
                return fail(-ENOMEM);
        r->plan.rows[r->plan.count++] = *row;
        return 0;
}

/* {"index": ..., "value": ...}; a regular expression may be called "regex", and its value "tag". */
static int read_row(struct reader *r) {
        struct json *row;
        skip_blank(r);
        size_t at = r->at;
        arena_reset(&r->scratch);
        int error = take_value(r, &row);
        if (error)
                return pass(error);
        const struct json *value = json_get_nocase(row, TEXT("value")), *index = json_get_nocase(row, TEXT("index"));
        if (is_missing(value))
                value = json_get_nocase(row, TEXT("tag"));
        if (is_missing(index))
                index = json_get_nocase(row, TEXT("regex"));
        if (is_missing(value))
                return refuse(r, at, "has record(s) without 'value' field");
        if (is_missing(index))
                return refuse(r, at, "has record(s) without 'index' field");
        struct text key = as_text(r, index), found = as_text(r, value);
        if (!key.data || !found.data)
                return fail(-ENOMEM);
        if (key.size > RADIX_KEY_BYTES_MAX)
                return refuse(r, at, "an index has at most %d bytes", RADIX_KEY_BYTES_MAX);
        struct lookup_row made = {.key = arena_text(&r->keys, key), .at = at};
        if (!made.key.data)
                return fail(-ENOMEM);
        error = lookup_values_add(&r->plan.values, found, &made.value);
        return error ? pass(error) : pass(add_row(r, &made));
}

static int read_table(struct reader *r) {
        r->plan.count = 0;
        r->has_table = true;
        if (!take(r, '['))
                return refuse(r, r->at, "has invalid table definition: \"table\" is an array of rows");
        if (take(r, ']'))
                return 0;
        for (;;) {
                int error = read_row(r);
                if (error)
                        return pass(error);
                if (take(r, ']'))
                        return 0;
                if (!take(r, ','))
                        return refuse(r, r->at, "json parsing error: `,` or `]` is expected behind a row");
        }
}

/* ---- The rest of the file ----------------------------------------------------- */

static int read_type(struct reader *r, struct text name, size_t at) {
        static const struct {
                const char *name;
                enum lookup_kind kind;
        } kinds[] = {{"string", LOOKUP_STRING},
                     {"array", LOOKUP_ARRAY},
                     {"sparseArray", LOOKUP_SPARSE},
                     {"regex", LOOKUP_REGEX}};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (text_equal(name, text_of(kinds[i].name))) {
                        r->plan.kind = kinds[i].kind;
                        r->has_type = true;
                        return 0;
                }
        return refuse(r, at, "uses unsupported type '%.*s'; there are string, array, sparseArray and regex",
                      TEXT_ARGS(text_slice(name, 0, NAME_BYTES_SHOWN)));
}

static int read_member(struct reader *r) {
        struct json *name, *value;
        arena_reset(&r->scratch);
        skip_blank(r);
        size_t at = r->at;
        int error = take_value(r, &name);
        if (error)
                return pass(error);
        if (name->type != JSON_STRING || !take(r, ':'))
                return refuse(r, at, "json parsing error: a name in quotes and a colon are expected here");
        if (text_equal_nocase(name->string, TEXT("table")))
                return pass(read_table(r));
        skip_blank(r);
        at = r->at;
        error = take_value(r, &value);
        if (error)
                return pass(error);
        struct text text = as_text(r, value);
        if (!text.data)
                return fail(-ENOMEM);
        if (text_equal_nocase(name->string, TEXT("type")))
                return pass(read_type(r, text, at));
        if (text_equal_nocase(name->string, TEXT("nomatch")) && value->type != JSON_NULL)
                r->plan.nomatch = arena_text(&r->keys, text);
        if (!text_equal_nocase(name->string, TEXT("version")))
                return 0;
        r->has_version = true;
        if (!text_equal(text, TEXT("1")))
                return refuse(r, at, "uses unsupported version: %.*s; there is version 1",
                              TEXT_ARGS(text_slice(text, 0, NAME_BYTES_SHOWN)));
        return 0;
}

static int read_members(struct reader *r) {
        if (!take(r, '{'))
                return refuse(r, r->at,
                              r->at == r->file.size ? "json parsing error: the file is empty"
                                                    : "json parsing error: has invalid table definition: the file "
                                                      "begins with `{`");
        if (take(r, '}'))
                return 0;
        for (;;) {
                int error = read_member(r);
                if (error)
                        return pass(error);
                if (take(r, '}'))
                        return 0;
                if (!take(r, ','))
                        return refuse(r, r->at, "json parsing error: `,` or `}` is expected here");
        }
}

/* Numbers of 32 bits; what is negative counts from the end of them, as it does in rsyslog. */
static int read_numbers(struct reader *r) {
        for (size_t i = 0; i < r->plan.count; i++) {
                struct lookup_row *row = &r->plan.rows[i];
                int64_t number;
                if (text_to_int(row->key, &number) || number < INT32_MIN || number > UINT32_MAX)
                        return refuse(r, row->at, "the index '%.*s' is no number from 0 to %u",
                                      TEXT_ARGS(text_slice(row->key, 0, NAME_BYTES_SHOWN)), UINT32_MAX);
                row->number = (uint32_t)number;
        }
        return 0;
}

int lookup_read(struct lookup **ret, struct text file, struct lookup_listener *listener) {
        _owned_(reader_fini) struct reader r = {.file = file, .listener = listener, .line = 1};
        r.plan.complain = complain_of_row;
        r.plan.owner = &r;
        r.plan.nomatch = TEXT("");
        if (file.size > LOOKUP_FILE_BYTES_MAX)
                return fail(-EFBIG);
        int error = read_members(&r);
        if (error)
                return pass(error);
        if (!r.has_table)
                return refuse(&r, 0, "has invalid table definition: there is no \"table\"");
        skip_blank(&r);
        if (r.at < file.size)
                complain_of_row(&r, SEVERITY_WARNING, r.at, "what follows the table's `}` is ignored");
        if (!r.has_version)
                complain_of_row(&r, SEVERITY_INFO, 0, "doesn't specify version (will use default value: 1)");
        if (r.plan.kind == LOOKUP_ARRAY || r.plan.kind == LOOKUP_SPARSE) {
                error = read_numbers(&r);
                if (error)
                        return pass(error);
        }
        if (!r.plan.nomatch.data)
                return fail(-ENOMEM);
        error = lookup_new(ret, &r.plan);
        return error ? pass(error) : 0;
}
