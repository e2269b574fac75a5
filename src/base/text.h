/*
 * Text: bytes that lie somewhere else, with their number. Never owned, never
 * ended by a NUL, may hold any byte. And `struct buffer`, which does own bytes
 * and grows.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

#ifndef PENSTOCK_TEXT
#define PENSTOCK_TEXT
struct text {
        const char *data;
        size_t size;
};
#endif

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
#define TEXT_NONE     ((struct text){NULL, 0})
#define TEXT_ARGS(t)  (int)(t).size, (t).data /* for "%.*s" */

static inline uint64_t bytes_load8(const char *at) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        return word;
}
static inline uint32_t bytes_load4(const char *at) {
        uint32_t word;
        memcpy(&word, at, sizeof word);
        return word;
}
/*
 * mempcpy() for what is mostly short, as the pieces of a log line are: shorter than the call is long. Over 32 bytes the
 * call wins.
 */
static inline char *bytes_put(char *to, const char *from, size_t size) {
        if (size > 32)
                return mempcpy(to, from, size);
        if (size >= 16) {
                __builtin_memcpy(to, from, 16);
                __builtin_memcpy(to + size - 16, from + size - 16, 16);
        } else if (size >= 8) {
                __builtin_memcpy(to, from, 8);
                __builtin_memcpy(to + size - 8, from + size - 8, 8);
        } else if (size >= 4) {
                __builtin_memcpy(to, from, 4);
                __builtin_memcpy(to + size - 4, from + size - 4, 4);
        } else {
                for (size_t i = 0; i < size; i++)
                        to[i] = from[i];
        }
        return to + size;
}
/* memcmp() == 0 in the same way. */
static inline bool bytes_are_equal(const char *a, const char *b, size_t size) {
        if (size > 16)
                return memcmp(a, b, size) == 0;
        if (size >= 8)
                return bytes_load8(a) == bytes_load8(b) && bytes_load8(a + size - 8) == bytes_load8(b + size - 8);
        if (size >= 4)
                return bytes_load4(a) == bytes_load4(b) && bytes_load4(a + size - 4) == bytes_load4(b + size - 4);
        for (size_t i = 0; i < size; i++)
                if (a[i] != b[i])
                        return false;
        return true;
}

static inline struct text text_of(const char *string) {
        return (struct text){string, string ? strlen(string) : 0};
}
static inline bool text_equal(struct text a, struct text b) {
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
static inline bool text_starts(struct text t, struct text head) {
        return t.size >= head.size && (head.size == 0 || memcmp(t.data, head.data, head.size) == 0);
}
static inline bool text_ends(struct text t, struct text tail) {
        return t.size >= tail.size &&
               (tail.size == 0 || memcmp(t.data + t.size - tail.size, tail.data, tail.size) == 0);
}
/* [from, to) of t; bounds beyond the end are cut. */
static inline struct text text_slice(struct text t, size_t from, size_t to) {
        if (to > t.size)
                to = t.size;
        if (from > to)
                from = to;
        return (struct text){t.data ? t.data + from : NULL, to - from};
}
bool text_equal_nocase(struct text a, struct text b); /* ASCII case only */
bool text_starts_nocase(struct text t, struct text head);
int text_compare(struct text a, struct text b); /* as strcmp, bytes unsigned */
struct text text_trim(struct text t);           /* without white space at both ends */
/* Where `part` begins in t, or -1. An empty part is found at 0. */
ptrdiff_t text_find(struct text t, struct text part);
ptrdiff_t text_find_nocase(struct text t, struct text part);
/* Reads a whole decimal integer (sign allowed); -EINVAL when it is none, -ERANGE when it does not fit. */
int text_to_int(struct text t, int64_t *ret);
/* A NUL-ended copy on the heap, or NULL without memory. */
char *text_copy(struct text t);
/* How many single-character edits (ASCII case ignored) lead from a to b; for "did you mean". */
unsigned text_distance(struct text a, struct text b);
/* The name among `count` that is closest to `wrong`, or NULL when none is close enough to suggest. */
const char *text_closest(struct text wrong, const char *const *names, size_t count);

/*
 * Bytes that grow. A buffer that could not grow is_failed, ignores what follows,
 * and is asked once, at the end, by buffer_failed(). data is not NUL-ended; use
 * buffer_string() where C needs it so.
 */
struct buffer {
        char *data;
        size_t size;
        size_t capacity;
        bool is_failed;
};

void buffer_fini(struct buffer *b);
OWNED_VALUE(struct buffer, buffer_fini);
static inline void buffer_clear(struct buffer *b) {
        b->size = 0;
        b->is_failed = false;
}
/* Whether every byte belongs to a character of UTF-8 (RFC 3629: no surrogates, nothing longer than needed). */
bool text_is_utf8(struct text t);

/* At least `more` writable bytes at data+size; false without memory. */
bool buffer_reserve(struct buffer *b, size_t more);
static inline void buffer_append(struct buffer *b, const void *data, size_t size) {
        if (UNLIKELY(b->capacity - b->size < size) && !buffer_reserve(b, size))
                return;
        if (size)
                memcpy(b->data + b->size, data, size);
        b->size += size;
}
static inline void buffer_text(struct buffer *b, struct text t) {
        buffer_append(b, t.data, t.size);
}
static inline void buffer_byte(struct buffer *b, char c) {
        buffer_append(b, &c, 1);
}
void buffer_format(struct buffer *b, const char *format, ...) _printf_(2, 3);
void buffer_vformat(struct buffer *b, const char *format, va_list args) _printf_(2, 0);
void buffer_int(struct buffer *b, int64_t number);
static inline struct text buffer_as_text(const struct buffer *b) {
        return (struct text){b->data, b->size};
}
/* NUL-ended view of the content, owned by b; "" when empty, NULL when it failed. */
const char *buffer_string(struct buffer *b);
/* 0, or -ENOMEM when something was lost. */
static inline int buffer_failed(const struct buffer *b) {
        return b->is_failed ? -12 /* ENOMEM */ : 0;
}
