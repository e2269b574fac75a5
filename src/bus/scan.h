/*
 * Scans JSON where it lies: finds where a value ends and what kind it is, checks
 * it whole, keeps nothing. Stricter than nothing and laxer than RFC 8259 in one
 * point: raw control characters inside strings are taken, since clients of
 * version 1 send them. Text is UTF-8; escaped halves of surrogate pairs are taken.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/text.h"

enum { SCAN_NESTING_MAX = 512 };

enum scan_kind {
        SCAN_ABSENT, /* of a member that is not there; never found by scan_value() */
        SCAN_NULL,
        SCAN_FALSE,
        SCAN_TRUE,
        SCAN_NUMBER,
        SCAN_STRING,
        SCAN_ARRAY,
        SCAN_OBJECT,
};

struct scan_value {
        struct text text; /* as written; of a string what stands between the quotes */
        enum scan_kind kind;
        bool is_escaped; /* a string with backslashes in it */
};

struct scan {
        const char *at;
        const char *end;
};

static inline struct scan scan_begin(struct text text) {
        return (struct scan){text.data, text.size ? text.data + text.size : text.data};
}
void scan_space_there_is(struct scan *s);
static inline void scan_space(struct scan *s) {
        /* Mostly there is none. */
        if (UNLIKELY(s->at == s->end || (unsigned char)*s->at <= ' '))
                scan_space_there_is(s);
}
/* One value with the white space before it. -EBADMSG. */
int scan_value(struct scan *s, struct scan_value *ret);
/* The whole text is one value, white space around it allowed. -EBADMSG. */
int scan_whole(struct text text, struct scan_value *ret);

/*
 * Walks through the members of an object or the items of an array, whose text it is given:
 *
 *   struct scan_walk walk = scan_walk_begin(object);
 *   while (scan_walk_next(&walk)) use(walk.name, walk.value);
 *
 * What it walks through has been checked by scan_value() before.
 */
struct scan_walk {
        struct scan scan;
        bool is_object;
        struct scan_value name; /* of members */
        struct scan_value value;
};
struct scan_walk scan_walk_begin(const struct scan_value *container);
bool scan_walk_next(struct scan_walk *walk);
/* The last member of that name; SCAN_ABSENT without one, or where `object` is none. */
struct scan_value scan_member(const struct scan_value *object, struct text name);

/* A value as it is written, with the quotes of a string. */
static inline struct text scan_raw(const struct scan_value *value) {
        if (value->kind != SCAN_STRING)
                return value->text;
        return (struct text){value->text.data - 1, value->text.size + 2};
}
/* What a string stands for: its bytes, or, where it is escaped, the same in `room` of at least text.size bytes. */
struct text scan_string(const struct scan_value *string, char *room);
/* A string that stands for these bytes. */
bool scan_equals(const struct scan_value *value, struct text text);
/* An integer of 64 bits; false for all else. */
bool scan_integer(const struct scan_value *value, int64_t *ret);

/* Writes a JSON string, quotes included; bytes that are no UTF-8 become U+FFFD. */
void scan_quote(struct buffer *out, struct text text);
