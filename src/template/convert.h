/*
 * What can be done to a value on its way into a template's output. A value either
 * still lies where it came from, or, once something had to be changed, at the tail
 * of the output; so an untouched value is copied once and nothing is allocated.
 */
#pragma once

#include "base/text.h"

struct value {
        struct text text;   /* current content; points into out when is_in_out */
        struct buffer *out; /* the value begins at out->data + start */
        size_t start;
        bool is_in_out; /* then it reaches to the end of out */
};

enum case_conversion { CASE_KEEP, CASE_LOWER, CASE_UPPER };
enum control_characters { CONTROL_KEEP, CONTROL_ESCAPE, CONTROL_SPACE, CONTROL_DROP };
enum secure_path { PATH_KEEP, PATH_DROP, PATH_REPLACE };

enum escape_kind {
        ESCAPE_NONE,
        ESCAPE_JSON,     /* RFC 8259, slash as \/, \u00XX in capitals */
        ESCAPE_JSON_RAW, /* the same, but what is an escape already stays one */
        ESCAPE_CSV,      /* " doubled */
        ESCAPE_SQL,      /* \ before ' and \ */
        ESCAPE_STDSQL,   /* ' doubled */
        ESCAPE_QUOTED,   /* \ before " and \ : a template with option.json */
        ESCAPE_CONTROL,  /* #ooo, the decimal number of a control character */
};

struct value value_begin(struct buffer *out, struct text text);
/* The value ends up at the tail of out. */
void value_finish(struct value *v);

void value_case(struct value *v, enum case_conversion conversion);
void value_control(struct value *v, enum control_characters what);
void value_secure_path(struct value *v, enum secure_path what);
void value_compress_space(struct value *v);
void value_pad(struct value *v, size_t width);
void value_escape(struct value *v, enum escape_kind kind);
