/*
 * The property replacer: what becomes of one property on its way into a template.
 * `%msg:F,44:2:uppercase%` and property(name="msg" field.number="2" ...) both fill
 * the same struct; replacer_render() applies it to a record in rsyslog's order:
 *
 *   value (or date) -> field, regular expression, or position -> sp-if-no-1st-sp
 *   -> case -> control characters -> secure path -> compressed space
 *   -> drop-last-lf -> csv or JSON
 *
 * A replacer is immutable once it is built, and shared by all threads.
 */
#pragma once

#include <regex.h>

#include "base/json.h"
#include "message/property.h"
#include "template/convert.h"
#include "template/date.h"

enum {
        FIELD_DELIMITER_DEFAULT = '\t',
        REGEX_BYTES_MAX = 4096,
        REGEX_MATCHES_MAX = 9,
        REGEX_SUBMATCHES_MAX = 9,
        FIXED_WIDTH_MAX = 1 << 20, /* a position to pad to */
};

enum extraction { EXTRACT_WHOLE, EXTRACT_POSITION, EXTRACT_FIELD, EXTRACT_REGEX };
enum no_match { NO_MATCH_DFLT, NO_MATCH_BLANK, NO_MATCH_ZERO, NO_MATCH_FIELD };
enum value_format { FORMAT_PLAIN, FORMAT_CSV, FORMAT_JSON, FORMAT_JSONF, FORMAT_JSONR, FORMAT_JSONFR };
enum data_type { DATA_STRING, DATA_NUMBER, DATA_BOOL, DATA_AUTO };
enum on_empty { EMPTY_KEEP, EMPTY_SKIP, EMPTY_NULL };

struct replacer {
        struct property property;
        char *property_name; /* owned; property.path points into it */
        char *out_name;      /* owned; name of the member in JSON */
        enum extraction extraction;
        int64_t from, to; /* 1-based; 0: not given; to INT64_MAX: the end, to < 0: so many before the end */
        bool counts_from_end;
        bool is_fixed_width;
        uint8_t delimiter;
        bool joins_delimiters; /* several in a row count as one */
        int64_t field;
        regex_t *regex; /* owned; NULL: the expression could not be compiled */
        uint8_t submatch;
        uint8_t match; /* 0: the first */
        enum no_match no_match;
        enum date_format date;
        bool is_date_utc;
        enum case_conversion case_conversion;
        enum control_characters control;
        enum secure_path secure_path;
        bool gives_space_only; /* sp-if-no-1st-sp */
        bool compresses_space;
        bool drops_last_lf;
        enum value_format format;
        enum data_type data_type;
        enum on_empty on_empty;
        bool omits_zero;
        bool is_mandatory; /* kept in template_json() when empty */
};

void replacer_fini(struct replacer *r);

/* Takes the property's name. -ENOENT: no such property; -ENOMEM. */
int replacer_name(struct replacer *r, struct text name, bool is_case_sensitive);

/* Compiles the expression once. -EINVAL, with the reason in `why`; -ENOMEM. */
int replacer_regex(struct replacer *r, struct text expression, bool is_extended, char *why, size_t why_size);

/* Whether anything but the plain value is asked for. */
bool replacer_is_plain(const struct replacer *r);
bool replacer_is_date(const struct replacer *r);

/* Whether it is `"name":"value"` of an unchanged value: replacer_render_member(). */
bool replacer_is_member(const struct replacer *r);

/* Appends the value. */
void replacer_render(const struct replacer *r, struct property_context *context, struct batch *b, struct record *record,
                     struct buffer *out);

/* The same for a member, escaped from where the value lies; `head` is `"name":"`. */
void replacer_render_member(const struct replacer *r, struct text head, struct property_context *context,
                            struct batch *b, struct record *record, struct buffer *out);

/* The value as JSON: trees as they are, the rest as strings (or data_type). NULL: to be left out. *is_failed without
 * memory. */
struct json *replacer_json(const struct replacer *r, struct property_context *context, struct batch *b,
                           struct record *record, struct arena *a, bool *is_failed);
