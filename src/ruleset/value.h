/*
 * Values of RainerScript while it runs: a number, a text, or a JSON value. The
 * rules of conversion are rsyslog's and live here alone.
 *
 * Texts of a value point into the batch, the program, or the evaluation's arena;
 * they hold until the evaluation of the record ends.
 */
#pragma once

#include "base/json.h"

enum value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_JSON };

struct value {
        enum value_kind kind;
        int64_t number;
        struct text text;
        struct json *json; /* never NULL where the kind says so */
};

static inline struct value value_number(int64_t number) {
        return (struct value){.kind = VALUE_NUMBER, .number = number};
}
static inline struct value value_text(struct text text) {
        return (struct value){.kind = VALUE_TEXT, .text = text};
}
/* Scalars become texts and numbers; a missing value is the empty text. */
struct value value_of_json(struct json *json, struct arena *a);

/*
 * The number in a text: decimal, 0x hexadecimal, 0 octal, with a sign; *is_whole
 * (may be NULL) tells whether the whole text was a number. 0 where there is none.
 */
int64_t value_parse_number(struct text text, bool *is_whole);
int64_t value_to_number(const struct value *v, bool *is_whole);
/* Rendered into the arena where it is no text yet. */
struct text value_to_text(const struct value *v, struct arena *a);
bool value_is_true(const struct value *v);
/* Less than, equal or greater than 0: numbers as numbers where both sides can be one and one is, else as texts. */
int value_compare(const struct value *left, const struct value *right, struct arena *a);
/* As a JSON value in the arena of a batch, for `set`; NULL without memory. */
struct json *value_to_json(const struct value *v, struct arena *a);
