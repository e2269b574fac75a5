/*
 * Writing JSON. What a value takes at most is known before it is written, so room is made once and bytes go where they
 * belong without a check each. Text that needs no escape is copied sixteen bytes at a time by the same pass that looks
 * for what does: JSON in and out (bench/, scenario json) took 12,000 instructions a message for rendering when values
 * were counted, escaped and moved in passes of their own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json.h"

enum {
        BYTE_ESCAPED_MAX = 7, /* \\u001f: escaped twice */
        SLACK_BYTES = 16,     /* escape() writes that much at once */
        PIECE_BYTES_MAX = 4096,
};

static const char letters[128] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['/'] = '/', ['\\'] = '\\'};

static inline bool is_plain(unsigned char c) {
        return c >= ' ' && c != '"' && c != '\\' && c != '/';
}

/* One byte as an escape. */
static inline char *put_once(char *to, unsigned char c, const char *hex) {
        *to++ = '\\';
        if (LIKELY(letters[c])) {
                *to++ = letters[c];
                return to;
        }
        *to++ = 'u';
        *to++ = '0';
        *to++ = '0';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
        return to;
}

/* The escape of a byte, escaped again. */
static inline char *put_twice(char *to, unsigned char c, const char *hex) {
        char once[8], *end = put_once(once, c, hex);
        for (const char *at = once; at < end; at++) {
                if (!is_plain((unsigned char)*at))
                        *to++ = '\\';
                *to++ = *at;
        }
        return to;
}

#ifdef __SSE2__
static inline unsigned marks(__m128i bytes) {
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('/'), backslash = _mm_set1_epi8('\\');
        const __m128i control = _mm_set1_epi8(0x1f);
        __m128i marked = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
        marked = _mm_or_si128(marked, _mm_cmpeq_epi8(bytes, backslash));
        marked = _mm_or_si128(marked, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
        return (unsigned)_mm_movemask_epi8(marked);
}

/* The first `size` of sixteen bytes, 1 to 15, by loads that stay within them. */
static inline __m128i load_some(const char *from, size_t size) {
        uint64_t low = 0, high = 0;
        if (size >= 8) {
                memcpy(&low, from, 8);
                memcpy(&high, from + size - 8, 8);
                high = size == 8 ? 0 : high >> (8 * (16 - size));
        } else if (size >= 4) {
                uint32_t first, last;
                memcpy(&first, from, 4);
                memcpy(&last, from + size - 4, 4);
                low = first | (uint64_t)last << (8 * (size - 4));
        } else {
                low = (unsigned char)from[0] | (uint64_t)(unsigned char)from[size / 2] << (8 * (size / 2)) |
                      (uint64_t)(unsigned char)from[size - 1] << (8 * (size - 1));
        }
        return _mm_set_epi64x((long long)high, (long long)low);
}

/* Sixteen bytes are written for each step, however few of them count. */
static inline char *escape(char *to, struct text t, const char *hex,
                           char *(*put)(char *, unsigned char, const char *)) {
        const char *at = t.data;
        for (size_t left = t.size; left;) {
                bool is_whole = left >= sizeof(__m128i);
                size_t size = is_whole ? sizeof(__m128i) : left;
                __m128i bytes = is_whole ? _mm_loadu_si128((const void *)at) : load_some(at, left);
                unsigned mask = marks(bytes) & ((1u << size) - 1);
                _mm_storeu_si128((void *)to, bytes);
                size_t plain = mask ? (unsigned)__builtin_ctz(mask) : size;
                to += plain;
                if (mask)
                        to = put(to, (unsigned char)at[plain++], hex);
                at += plain;
                left -= plain;
        }
        return to;
}
#else
static inline char *escape(char *to, struct text t, const char *hex,
                           char *(*put)(char *, unsigned char, const char *)) {
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (is_plain(c))
                        *to++ = t.data[i];
                else
                        to = put(to, c, hex);
        }
        return to;
}
#endif

static const char small_hex[] = "0123456789abcdef", capital_hex[] = "0123456789ABCDEF";

static inline bool has_room(struct buffer *out, size_t bytes) {
        return LIKELY(out->capacity - out->size >= bytes) || buffer_reserve(out, bytes);
}

/* Piece by piece, so that a huge text does not make room for one of nothing but escapes. */
static inline void escape_pieces(struct buffer *out, struct text t, const char *hex,
                                 char *(*put)(char *, unsigned char, const char *)) {
        for (size_t at = 0; at < t.size; at += PIECE_BYTES_MAX) {
                struct text piece = text_slice(t, at, at + PIECE_BYTES_MAX);
                if (!has_room(out, piece.size * BYTE_ESCAPED_MAX + SLACK_BYTES))
                        return;
                out->size = (size_t)(escape(out->data + out->size, piece, hex, put) - out->data);
        }
}

void json_escape(struct buffer *out, struct text t) {
        escape_pieces(out, t, small_hex, put_once);
}

void json_escape_in_capitals(struct buffer *out, struct text t) {
        escape_pieces(out, t, capital_hex, put_once);
}

size_t json_plain(struct text t) {
        size_t i = 0;
#ifdef __SSE2__
        for (; i + sizeof(__m128i) <= t.size; i += sizeof(__m128i)) {
                unsigned mask = marks(_mm_loadu_si128((const void *)(t.data + i)));
                if (mask)
                        return i + (unsigned)__builtin_ctz(mask);
        }
#endif
        while (i < t.size && is_plain((unsigned char)t.data[i]))
                i++;
        return i;
}

/* ---- Values -------------------------------------------------------------- */

/* Up to eight bytes, which are written at once however few count. */
struct token {
        char bytes[8];
        size_t size;
};

/* What stands between names and values. */
struct manner {
        struct token first; /* member: from the brace to its name */
        struct token next;  /* and those behind it */
        struct token named; /* behind a name, before a value that is no string */
        struct token named_string;
        struct token quote;
        struct token gap; /* a blank where the style has one */
        bool is_quoted;
};

#define TOKEN(literal)                                                                                                 \
        { literal, sizeof(literal) - 1 }

static const struct manner manners[2][2] = {
        [JSON_COMPACT] = {{.first = TOKEN("{\""),
                           .next = TOKEN(",\""),
                           .named = TOKEN("\":"),
                           .named_string = TOKEN("\":\""),
                           .quote = TOKEN("\""),
                           .gap = TOKEN("")},
                          {.first = TOKEN("{\\\""),
                           .next = TOKEN(",\\\""),
                           .named = TOKEN("\\\":"),
                           .named_string = TOKEN("\\\":\\\""),
                           .quote = TOKEN("\\\""),
                           .gap = TOKEN(""),
                           .is_quoted = true}},
        [JSON_SPACED] = {{.first = TOKEN("{ \""),
                          .next = TOKEN(", \""),
                          .named = TOKEN("\": "),
                          .named_string = TOKEN("\": \""),
                          .quote = TOKEN("\""),
                          .gap = TOKEN(" ")},
                         {.first = TOKEN("{ \\\""),
                          .next = TOKEN(", \\\""),
                          .named = TOKEN("\\\": "),
                          .named_string = TOKEN("\\\": \\\""),
                          .quote = TOKEN("\\\""),
                          .gap = TOKEN(" "),
                          .is_quoted = true}},
};

static void print(struct buffer *out, const struct manner *m, const struct json *value);

static inline char *put_token(char *to, const struct token *t) {
        memcpy(to, t->bytes, sizeof t->bytes);
        return to + t->size;
}

static inline void put_escaped(struct buffer *out, const struct manner *m, struct text t) {
        if (m->is_quoted)
                escape_pieces(out, t, small_hex, put_twice);
        else
                escape_pieces(out, t, small_hex, put_once);
}

/* A name or a string with what stands around it. */
static void print_between(struct buffer *out, const struct manner *m, const struct token *before, struct text t,
                          const struct token *after) {
        size_t most = sizeof before->bytes + sizeof after->bytes + SLACK_BYTES;
        if (!has_room(out, most + MIN(t.size, (size_t)PIECE_BYTES_MAX) * BYTE_ESCAPED_MAX))
                return;
        out->size = (size_t)(put_token(out->data + out->size, before) - out->data);
        put_escaped(out, m, t);
        if (has_room(out, sizeof after->bytes))
                out->size = (size_t)(put_token(out->data + out->size, after) - out->data);
}

/* The shortest decimal that reads back as the same double. */
static void print_double(struct buffer *out, double real) {
        if (!isfinite(real)) {
                buffer_text(out, TEXT("null"));
                return;
        }
        char digits[40];
        for (int precision = 15; precision <= 17; precision++) {
                snprintf(digits, sizeof digits, "%.*g", precision, real);
                if (strtod(digits, NULL) == real)
                        break;
        }
        buffer_text(out, text_of(digits));
        if (!strpbrk(digits, ".e"))
                buffer_text(out, TEXT(".0"));
}

static void print_gap(struct buffer *out, const struct manner *m) {
        buffer_append(out, m->gap.bytes, m->gap.size);
}

static void print_items(struct buffer *out, const struct manner *m, const struct json *array) {
        buffer_byte(out, '[');
        for (uint32_t i = 0; i < array->count; i++) {
                if (i)
                        buffer_byte(out, ',');
                print_gap(out, m);
                print(out, m, array->items[i]);
        }
        print_gap(out, m);
        buffer_byte(out, ']');
}

static void print_members(struct buffer *out, const struct manner *m, const struct json *object) {
        if (!object->first)
                buffer_byte(out, '{');
        const struct token *before = &m->first;
        for (const struct json_member *member = object->first; member; member = member->next) {
                bool is_string = member->value->type == JSON_STRING;
                print_between(out, m, before, member->name, is_string ? &m->named_string : &m->named);
                if (is_string)
                        print_between(out, m, &(struct token){0}, member->value->string, &m->quote);
                else
                        print(out, m, member->value);
                before = &m->next;
        }
        print_gap(out, m);
        buffer_byte(out, '}');
}

/* A number's literal has nothing that needs an escape. */
static void print(struct buffer *out, const struct manner *m, const struct json *value) {
        switch (value->type) {
        case JSON_NULL:
                buffer_text(out, TEXT("null"));
                break;
        case JSON_BOOL:
                buffer_text(out, value->is_true ? TEXT("true") : TEXT("false"));
                break;
        case JSON_INT:
                if (value->literal.size)
                        buffer_text(out, value->literal);
                else
                        buffer_int(out, value->integer);
                break;
        case JSON_DOUBLE:
                if (value->literal.size)
                        buffer_text(out, value->literal);
                else
                        print_double(out, value->real);
                break;
        case JSON_STRING:
                print_between(out, m, &m->quote, value->string, &m->quote);
                break;
        case JSON_ARRAY:
                print_items(out, m, value);
                break;
        case JSON_OBJECT:
                print_members(out, m, value);
                break;
        }
}

void json_print(struct buffer *out, const struct json *value, enum json_style style) {
        print(out, &manners[style][false], value);
}

void json_print_quoted(struct buffer *out, const struct json *value, enum json_style style) {
        print(out, &manners[style][true], value);
}
