/*
 * JSON values: the trees behind $!, $. and $/, and everything that reads or
 * writes JSON. A value lives in an arena and goes with it; objects keep the order
 * in which members were added. Numbers are 64-bit integers or doubles; a number
 * keeps the text it was parsed from, so that it prints as it came.
 *
 * json_parse() is bounded by JSON_NESTING_MAX and takes RFC 8259 with trailing
 * bytes reported, not eaten. json_parse_lenient() takes what rsyslog's library
 * takes, too: messages hold it, and configurations count on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum { JSON_NESTING_MAX = 64, JSON_LENIENT_NESTING_MAX = 32 };

enum json_type {
        JSON_NULL,
        JSON_BOOL,
        JSON_INT,
        JSON_DOUBLE,
        JSON_STRING,
        JSON_ARRAY,
        JSON_OBJECT,
};

/*
 * A removed member leaves a gap, which the next new one fills: libfastjson's order, and so rsyslog's. A gap is the
 * removed member itself, in a list of its own.
 */
struct json_member {
        union {
                struct text name;
                uint32_t place; /* of a gap: how many members stand before it */
        };
        struct json *value;
        struct json_member *next;
};

struct json {
        enum json_type type;
        uint32_t count; /* of items or members */
        union {
                bool is_true;
                struct {
                        union {
                                int64_t integer;
                                double real;
                        };
                        struct text literal; /* as parsed, or empty */
                };
                struct text string;
                struct {
                        struct json **items;
                        uint32_t capacity;
                };
                struct {
                        struct json_member *first;
                        struct json_member *last;
                        struct json_member *gaps;
                };
        };
};
/* With its member, a value takes one line of the processor's cache. */
static_assert(sizeof(struct json) == 32 && sizeof(struct json_member) == 32, "a member and its value take 64 bytes");

/* Constructors; NULL without memory. Text is copied into the arena. */
struct json *json_null(struct arena *a);
struct json *json_bool(struct arena *a, bool is_true);
struct json *json_int(struct arena *a, int64_t integer);
struct json *json_double(struct arena *a, double real);
struct json *json_string(struct arena *a, struct text t);
struct json *json_array(struct arena *a);
struct json *json_object(struct arena *a);
struct json *json_object_of(struct arena *a, struct text name, struct text value); /* one member, in one piece */
struct json *json_copy(struct arena *a, const struct json *value);                 /* deep */

/* Adds or replaces; -ENOMEM. The value is not copied. What is new goes where one was removed, else to the end. */
int json_set(struct arena *a, struct json *object, struct text name, struct json *value);
int json_append(struct arena *a, struct json *array, struct json *value);
/* Adds a member without looking whether one of that name is there already. */
int json_add(struct arena *a, struct json *object, struct text name, struct json *value);
/* The same with a name that lies in the arena already; and a string of such text. */
int json_take_member(struct arena *a, struct json *object, struct text name, struct json *value);
struct json *json_take_string(struct arena *a, struct text t);
/* Removes a member; false when there was none. */
bool json_remove(struct json *object, struct text name);
struct json *json_get(const struct json *object, struct text name); /* NULL: none */
struct json *json_get_nocase(const struct json *object, struct text name);

/* Parses one value; *used tells how many bytes it took (leading white space included). -EBADMSG, -ENOMEM. */
int json_parse(struct arena *a, struct text t, struct json **ret, size_t *used);

/*
 * The same for text of others: either quote, raw control bytes in strings, a \u0000 that ends its string, comments, a
 * comma behind the last item, words in any case, NaN and Infinity, leading zeros, integers held at the edge of 64 bits,
 * numbers that end early ("1.", "1e"). *used counts white space and comments behind the value, too. A number or
 * word that the text ends in might go on, so it is none; a NUL byte is an error everywhere.
 */
enum json_how {
        JSON_IS_CASE_SENSITIVE =
                1 << 0,        /* else names that differ in case only are one member: first name, last value */
        JSON_IS_LENT = 1 << 1, /* the text outlives the arena's values, which point into it */
};
int json_parse_lenient(struct arena *a, struct text t, unsigned how, struct json **ret, size_t *used);

enum json_style {
        JSON_COMPACT, /* {"a":1,"b":[1,2]} */
        JSON_SPACED,  /* { "a": 1, "b": [ 1, 2 ] }: rsyslog's own, libfastjson's spacing */
};
void json_print(struct buffer *out, const struct json *value, enum json_style style);
/* The same as the content of a JSON string: all of it escaped once more. */
void json_print_quoted(struct buffer *out, const struct json *value, enum json_style style);
/* How many bytes at the start of the text stand in a JSON string as they are. */
size_t json_plain(struct text t);
/* The content of a JSON string, escaped as libfastjson does (slash as \/), without the quotes. */
void json_escape(struct buffer *out, struct text t);
/* The same with \u00XX in capitals, as rsyslog escapes single values. */
void json_escape_in_capitals(struct buffer *out, struct text t);
