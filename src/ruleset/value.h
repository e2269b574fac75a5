/*
 * Values of RainerScript while it runs: a number, a text, or a JSON value that is
 * no text. The rules of conversion and comparison are rsyslog's and live here alone.
 *
 * Texts of a value point into the batch, the program, or the evaluation's arena;
 * they hold until the evaluation of the record ends.
 */
#pragma once

#include "base/json.h"
#include "language/tree.h"

enum value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_JSON };

struct value {
        enum value_kind kind;
        union {
                int64_t number;
                struct text text;
                struct json *json; /* neither NULL nor null; a string only from value_of_member() */
        };
};

static inline struct value value_number(int64_t number) {
        return (struct value){.kind = VALUE_NUMBER, .number = number};
}
static inline struct value value_text(struct text text) {
        return (struct value){.kind = VALUE_TEXT, .text = text};
}
/* Strings become texts; a missing value and null are the empty text. */
struct value value_of_json(struct json *json);
/* What get_property() found inside of an object: as rsyslog has it, there a string stays JSON, and always has a number.
 */
struct value value_of_member(struct json *json);

/*
 * The number that a text begins with: decimal, with a minus sign or without, and modulo 2^64 where it is too large.
 * *is_whole (may be NULL) tells whether nothing follows; an empty text is a whole 0.
 */
int64_t text_number(struct text text, bool *is_whole);
int64_t value_to_number(const struct value *v, bool *is_whole);
/*
 * The number as operators between constants and cnum() of one see it: a text that begins with 0 is octal, with 0x
 * hexadecimal. The letters of a hexadecimal number count from 0 there, a = 0 to f = 5, as they do in rsyslog.
 */
int64_t value_to_operand(const struct value *v);
/* Rendered into the arena where it is no text yet. */
struct text value_to_text(const struct value *v, struct arena *a);
bool value_is_true(const struct value *v);
/* What a comparison by number or order yields; for OP_NOT_EQUAL of texts the difference, which is rsyslog's "true". */
int64_t value_compare(enum operator op, const struct value *left, const struct value *right, struct arena *a);
/* As a JSON value in the arena of a batch, for `set`; NULL without memory. */
struct json *value_to_json(const struct value *v, struct arena *a);
/* What a copy does to doubles in rsyslog: 1e3 becomes 1000.0. */
void value_retell_doubles(struct arena *a, struct json *json);

/* startswith_i: a text that ends within `head` starts with it too, in rsyslog. */
bool starts_nocase_loosely(struct text t, struct text head);
