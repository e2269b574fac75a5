/*
 * Reading JSON: one recursive descent for both manners. What only the lenient one
 * takes is marked by `is_lenient`; it was found by trying rsyslog's library (libfastjson),
 * oddities included: "1+2" is 1, "-Infinity" must be the first word, and "/" "***" "/" does not end a comment, since of
 * two asterisks in a row the second is not looked at as the first of an end.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/fail.h"
#include "base/json.h"
#include "base/utf8.h"

enum {
        /* Up to here a new member is compared with all others; beyond, twins are found once by hashing. */
        MEMBERS_COMPARED_MAX = 16,
        NUMBER_BYTES_MAX = 400, /* of a literal; more digits than a double can ever need */
};

struct parser {
        struct arena *arena;
        const char *at;
        const char *end;
        unsigned depth;
        unsigned depth_max;
        bool is_lenient;
        bool is_case_sensitive; /* which members are twins */
        bool is_lent;           /* the text outlives the values: strings stay where they are */
        bool has_word;          /* or a \u escape: behind one, libfastjson knows "-Infinity" no more */
};

static int parse_value(struct parser *p, struct json **ret);

/* A comment, from its slash; -EBADMSG where it is none or has no end. */
static int skip_comment(struct parser *p) {
        if (p->end - p->at < 2 || (p->at[1] != '*' && p->at[1] != '/'))
                return -EBADMSG;
        bool is_line = p->at[1] == '/';
        for (p->at += 2; p->at < p->end && *p->at; p->at++) {
                if (is_line ? *p->at == '\n' : *p->at == '*' && ++p->at < p->end && *p->at == '/') {
                        p->at++;
                        return 0;
                }
        }
        return -EBADMSG;
}

static int skip_lenient_space(struct parser *p) {
        for (; p->at < p->end; p->at++) {
                while (p->at < p->end && *p->at == '/') {
                        int r = skip_comment(p);
                        if (r)
                                return r;
                }
                if (p->at == p->end || !(*p->at == ' ' || (*p->at >= '\t' && *p->at <= '\r')))
                        break;
        }
        return 0;
}

/* 0, or -EBADMSG for a comment that is none. */
static inline int skip_space(struct parser *p) {
        if (p->at < p->end && (unsigned char)*p->at > ' ' && *p->at != '/')
                return 0;
        if (p->is_lenient)
                return skip_lenient_space(p);
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
                p->at++;
        return 0;
}

static bool skip_byte(struct parser *p, char c) {
        if (p->at == p->end || *p->at != c)
                return false;
        p->at++;
        return true;
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits, or -1. */
static int32_t parse_hex4(struct parser *p) {
        if (p->end - p->at < 4)
                return -1;
        int32_t code = 0;
        for (int i = 0; i < 4; i++) {
                int digit = hex_value(p->at[i]);
                if (digit < 0)
                        return -1;
                code = code << 4 | digit;
        }
        p->at += 4;
        p->has_word = true;
        return code;
}

/* What follows "\u": one code point, from two escapes where the first is half of a surrogate pair. */
static char *parse_code_point(struct parser *p, char *to) {
        int32_t code = parse_hex4(p);
        if (code < 0)
                return NULL;
        if (code >= 0xd800 && code < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
                struct parser ahead = *p;
                ahead.at += 2;
                int32_t low = parse_hex4(&ahead);
                if (low >= 0xdc00 && low < 0xe000) {
                        p->at = ahead.at;
                        return utf8_put(to, 0x10000u + ((uint32_t)(code - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
                }
        }
        /* Half a pair stands for nothing: U+FFFD, the replacement character. */
        return utf8_put(to, code >= 0xd800 && code < 0xe000 ? 0xfffdu : (uint32_t)code);
}

static char *parse_escape(struct parser *p, char *to) {
        static const char short_escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
        if (p->at == p->end)
                return NULL;
        char c = *p->at++;
        if (c == 'u')
                return parse_code_point(p, to);
        for (const char *pair = short_escapes; *pair; pair += 2)
                if (pair[0] == c) {
                        *to++ = pair[1];
                        return to;
                }
        return NULL;
}

/* Whether a byte of a string needs a closer look: its end, an escape, or what the manner refuses. */
static inline bool is_plain(char c, char quote, unsigned char lowest) {
        return c != quote && c != '\\' && (unsigned char)c >= lowest;
}

/* A string with escapes: `begin` to p->at is plain, p->at stands on the first that is not. */
static int parse_escaped(struct parser *p, const char *begin, char quote, unsigned char lowest, struct text *ret) {
        /* An escape is never shorter than what it stands for, so the rest of the string has room. */
        const char *close = p->at;
        while (close < p->end && *close != quote)
                close += *close == '\\' ? 2 : 1;
        if (close >= p->end)
                return -EBADMSG;
        char *bytes = arena_alloc(p->arena, (size_t)(close - begin) + 1);
        if (!bytes)
                return fail(-ENOMEM);
        char *to = mempcpy(bytes, begin, (size_t)(p->at - begin));
        while (*p->at != quote) {
                const char *from = p->at;
                while (is_plain(*p->at, quote, lowest))
                        p->at++;
                to = mempcpy(to, from, (size_t)(p->at - from));
                if (*p->at == quote)
                        break;
                if (*p->at != '\\')
                        return -EBADMSG;
                p->at++;
                if (!(to = parse_escape(p, to)))
                        return -EBADMSG;
        }
        p->at++;
        *to = '\0';
        *ret = (struct text){bytes, (size_t)(to - bytes)};
        if (p->is_lenient)
                ret->size = strlen(bytes);
        return 0;
}

/* Where a string's plain bytes end: at its quote, at a backslash, at a byte below `lowest`, or where the text does. */
static inline const char *skip_plain(const char *at, const char *end, char quote, unsigned char lowest) {
#ifdef __SSE2__
        /* Sixteen bytes at a time: byte by byte was a third of what parsing cost (bench/, scenario json). */
        const __m128i quotes = _mm_set1_epi8(quote), backslashes = _mm_set1_epi8('\\');
        const __m128i below = _mm_set1_epi8((char)(lowest - 1));
        for (; end - at >= (ptrdiff_t)sizeof quotes; at += sizeof quotes) {
                __m128i bytes = _mm_loadu_si128((const void *)at);
                __m128i marked = _mm_or_si128(_mm_cmpeq_epi8(bytes, quotes), _mm_cmpeq_epi8(bytes, backslashes));
                marked = _mm_or_si128(marked, _mm_cmpeq_epi8(_mm_min_epu8(bytes, below), bytes));
                unsigned mask = (unsigned)_mm_movemask_epi8(marked);
                if (mask)
                        return at + __builtin_ctz(mask);
        }
#endif
        while (at < end && is_plain(*at, quote, lowest))
                at++;
        return at;
}

static int parse_string(struct parser *p, struct text *ret) {
        if (p->at == p->end || (*p->at != '"' && !(p->is_lenient && *p->at == '\'')))
                return -EBADMSG;
        char quote = *p->at++;
        unsigned char lowest = p->is_lenient ? 1 : ' ';
        const char *begin = p->at;
        p->at = skip_plain(begin, p->end, quote, lowest);
        if (p->at == p->end)
                return -EBADMSG;
        if (*p->at != quote)
                return parse_escaped(p, begin, quote, lowest, ret);
        struct text string = {begin, (size_t)(p->at - begin)};
        p->at++;
        *ret = p->is_lent ? string : arena_text(p->arena, string);
        return ret->data ? 0 : fail(-ENOMEM);
}

static bool skip_digits(struct parser *p) {
        const char *begin = p->at;
        while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
                p->at++;
        return p->at > begin;
}

static int parse_strict_number(struct parser *p, struct json **ret) {
        const char *begin = p->at;
        bool is_real = false;
        skip_byte(p, '-');
        if (!skip_byte(p, '0') && !skip_digits(p))
                return -EBADMSG;
        if (skip_byte(p, '.')) {
                is_real = true;
                if (!skip_digits(p))
                        return -EBADMSG;
        }
        if (skip_byte(p, 'e') || skip_byte(p, 'E')) {
                is_real = true;
                if (!skip_byte(p, '+'))
                        skip_byte(p, '-');
                if (!skip_digits(p))
                        return -EBADMSG;
        }
        struct text literal = {begin, (size_t)(p->at - begin)};
        if (literal.size > NUMBER_BYTES_MAX)
                return -EBADMSG;
        int64_t integer = 0;
        if (!is_real && text_to_int(literal, &integer) == -ERANGE)
                integer = *begin == '-' ? INT64_MIN : INT64_MAX;
        char *copy = arena_string(p->arena, literal);
        if (!copy)
                return fail(-ENOMEM);
        struct json *value = is_real ? json_double(p->arena, strtod(copy, NULL)) : json_int(p->arena, integer);
        if (!value)
                return fail(-ENOMEM);
        /* "-0" is the integer 0 and prints so. */
        if (is_real || integer != 0)
                value->literal = (struct text){copy, literal.size};
        *ret = value;
        return 0;
}

/* The integer at the start of the text, held at the edges; false where there is no digit. */
static bool lenient_integer(struct text t, int64_t *ret) {
        bool is_negative = t.size && t.data[0] == '-';
        size_t at = is_negative;
        if (at == t.size || t.data[at] < '0' || t.data[at] > '9')
                return false;
        /* Counted downwards, since there is one more negative number. */
        int64_t n = 0;
        bool is_over = false;
        for (; at < t.size && t.data[at] >= '0' && t.data[at] <= '9'; at++)
                is_over |= __builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, t.data[at] - '0', &n);
        is_over |= !is_negative && n == INT64_MIN;
        if (is_over)
                *ret = is_negative ? INT64_MIN : INT64_MAX;
        else
                *ret = is_negative ? n : -n;
        return true;
}

/* Up to 18 digits, which always fit, without a needless zero, a sign but '-', or anything behind them. */
static bool is_canonical(struct text t) {
        size_t first = t.size && t.data[0] == '-';
        if (t.size == first || t.size - first > 18 || t.data[first] == '0')
                return false;
        for (size_t i = first; i < t.size; i++)
                if (t.data[i] < '0' || t.data[i] > '9')
                        return false;
        return true;
}

static int lenient_real(struct parser *p, struct text literal, struct json **ret) {
        char *copy = arena_string(p->arena, literal), *end;
        if (!copy)
                return fail(-ENOMEM);
        double real = strtod(copy, &end);
        if (end == copy)
                return -EBADMSG;
        struct json *value = json_double(p->arena, real);
        if (!value)
                return fail(-ENOMEM);
        value->literal = (struct text){copy, literal.size};
        *ret = value;
        return 0;
}

/* Digits and signs as long as they could belong to a number: one point, one exponent, '-' only before and behind it. */
static int parse_lenient_number(struct parser *p, struct json **ret) {
        const char *begin = p->at;
        bool has_point = false, has_exponent = false;
        if (p->at == p->end || (*p->at != '-' && (*p->at < '0' || *p->at > '9')))
                return -EBADMSG;
        for (p->at++; p->at < p->end; p->at++) {
                char c = *p->at, before = (char)(p->at[-1] | 0x20);
                if ((c >= '0' && c <= '9') || c == '+' || (c == '-' && before == 'e'))
                        continue;
                if (c == '.' && !has_point && !has_exponent)
                        has_point = true;
                else if ((c == 'e' || c == 'E') && !has_exponent)
                        has_exponent = true;
                else if (c == '.' || c == '-' || c == 'e' || c == 'E')
                        return -EBADMSG;
                else
                        break;
        }
        struct text literal = {begin, (size_t)(p->at - begin)};
        if (has_point || has_exponent)
                return lenient_real(p, literal, ret);
        int64_t integer;
        if (!lenient_integer(literal, &integer))
                return -EBADMSG;
        struct json *value = json_int(p->arena, integer);
        if (!value)
                return fail(-ENOMEM);
        /* One that prints as it came need not be turned into digits again. */
        if (p->is_lent && is_canonical(literal))
                value->literal = literal;
        *ret = value;
        return 0;
}

/* NaN and the infinities print as they are called. */
static struct json *lenient_infinite(struct arena *a, double real, struct text name) {
        struct json *value = json_double(a, real);
        if (value)
                value->literal = name;
        return value;
}

static int parse_word(struct parser *p, struct text word, struct json *value, struct json **ret) {
        struct text rest = {p->at, (size_t)(p->end - p->at)};
        if (!(p->is_lenient ? text_starts_nocase(rest, word) : text_starts(rest, word)))
                return -EBADMSG;
        if (!value)
                return fail(-ENOMEM);
        p->at += word.size;
        p->has_word = true;
        *ret = value;
        return 0;
}

/* Names that differ in the case of letters get the same hash (and a few others, too). */
static uint64_t hash_of(struct text t) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                hash = (hash ^ ((unsigned char)t.data[i] | 0x20)) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

static bool are_twins(const struct parser *p, struct text a, struct text b) {
        return a.size == b.size && (p->is_case_sensitive ? text_equal(a, b) : text_equal_nocase(a, b));
}

/* Of members with the same name the last value stays, in the place of the first. */
static int unite_twins(struct parser *p, struct json *object) {
        size_t slots = 64;
        while (slots < (size_t)object->count * 2)
                slots *= 2;
        struct json_member **slot = arena_zalloc(p->arena, slots * sizeof *slot);
        if (!slot)
                return fail(-ENOMEM);
        struct json_member *before = NULL;
        for (struct json_member *m = object->first, *next; m; m = next) {
                next = m->next;
                size_t at = hash_of(m->name) & (slots - 1);
                while (slot[at] && !are_twins(p, slot[at]->name, m->name))
                        at = (at + 1) & (slots - 1);
                if (!slot[at]) {
                        slot[at] = before = m;
                        continue;
                }
                slot[at]->value = m->value;
                before->next = next;
                object->count--;
        }
        object->last = before;
        return 0;
}

static int parse_member(struct parser *p, struct json *object) {
        struct text name;
        struct json *value;
        int r = parse_string(p, &name);
        if (r || (r = skip_space(p)))
                return r;
        if (!skip_byte(p, ':'))
                return -EBADMSG;
        r = parse_value(p, &value);
        if (r)
                return r;
        /* The name is a copy already. */
        struct json_member *old = NULL;
        if (object->count < MEMBERS_COMPARED_MAX)
                for (old = object->first; old && !are_twins(p, old->name, name);)
                        old = old->next;
        if (old)
                old->value = value;
        else
                r = json_take_member(p->arena, object, name, value);
        return r;
}

/* Behind an item: 0 and another follows, or CLOSED, or -EBADMSG. */
enum { CLOSED = 1 };
static int next_item(struct parser *p, char close) {
        int r = skip_space(p);
        if (r)
                return r;
        if (skip_byte(p, close))
                return CLOSED;
        if (!skip_byte(p, ','))
                return -EBADMSG;
        r = skip_space(p);
        return r ? r : p->is_lenient && skip_byte(p, close) ? CLOSED : 0;
}

static int parse_object(struct parser *p, struct json **ret) {
        struct json *object = json_object(p->arena);
        if (!object)
                return fail(-ENOMEM);
        *ret = object;
        p->at++;
        int r = skip_space(p);
        if (r)
                return r;
        if (skip_byte(p, '}'))
                return 0;
        while (r == 0) {
                r = parse_member(p, object);
                if (!r)
                        r = next_item(p, '}');
        }
        if (r != CLOSED)
                return r;
        return object->count > MEMBERS_COMPARED_MAX ? unite_twins(p, object) : 0;
}

static int parse_array(struct parser *p, struct json **ret) {
        struct json *array = json_array(p->arena);
        if (!array)
                return fail(-ENOMEM);
        *ret = array;
        p->at++;
        int r = skip_space(p);
        if (r)
                return r;
        if (skip_byte(p, ']'))
                return 0;
        while (r == 0) {
                struct json *item;
                r = parse_value(p, &item);
                if (!r)
                        r = json_append(p->arena, array, item);
                if (!r)
                        r = next_item(p, ']');
        }
        return r == CLOSED ? 0 : r;
}

static int parse_nested(struct parser *p, struct json **ret) {
        if (p->depth == p->depth_max)
                return -EBADMSG;
        p->depth++;
        int r = *p->at == '{' ? parse_object(p, ret) : parse_array(p, ret);
        p->depth--;
        return r;
}

static int parse_scalar(struct parser *p, struct json **ret) {
        struct arena *a = p->arena;
        char c = p->is_lenient ? (char)(*p->at | 0x20) : *p->at;
        if (c == 't')
                return parse_word(p, TEXT("true"), json_bool(a, true), ret);
        if (c == 'f')
                return parse_word(p, TEXT("false"), json_bool(a, false), ret);
        if (c == 'n' && p->is_lenient && p->end - p->at > 1 && (p->at[1] | 0x20) == 'a')
                return parse_word(p, TEXT("nan"), lenient_infinite(a, (double)NAN, TEXT("NaN")), ret);
        if (c == 'n')
                return parse_word(p, TEXT("null"), json_null(a), ret);
        if (!p->is_lenient)
                return parse_strict_number(p, ret);
        if (c == 'i')
                return parse_word(p, TEXT("infinity"), lenient_infinite(a, HUGE_VAL, TEXT("Infinity")), ret);
        if (c == '-' && !p->has_word && p->end - p->at > 1 && (p->at[1] | 0x20) == 'i')
                return parse_word(p, TEXT("-infinity"), lenient_infinite(a, -HUGE_VAL, TEXT("-Infinity")), ret);
        return parse_lenient_number(p, ret);
}

static int parse_value(struct parser *p, struct json **ret) {
        int r = skip_space(p);
        if (r)
                return r;
        /* libfastjson counts a scalar as a level, too. */
        if (p->at == p->end || (p->is_lenient && p->depth == p->depth_max))
                return -EBADMSG;
        char c = *p->at;
        if (c == '{' || c == '[')
                return parse_nested(p, ret);
        if (c != '"' && !(c == '\'' && p->is_lenient))
                return parse_scalar(p, ret);
        struct text string;
        r = parse_string(p, &string);
        if (r)
                return r;
        *ret = json_take_string(p->arena, string);
        return *ret ? 0 : fail(-ENOMEM);
}

int json_parse(struct arena *a, struct text t, struct json **ret, size_t *used) {
        /* What is not JSON is an everyday answer about a message, so it leaves no failure trace. */
        struct parser p = {.arena = a,
                           .at = t.data,
                           .end = t.data + t.size,
                           .depth_max = JSON_NESTING_MAX,
                           .is_case_sensitive = true};
        struct json *value;
        int r = parse_value(&p, &value);
        if (r)
                return r;
        *ret = value;
        *used = (size_t)(p.at - t.data);
        return 0;
}

int json_parse_lenient(struct arena *a, struct text t, unsigned how, struct json **ret, size_t *used) {
        struct parser p = {.arena = a,
                           .at = t.data,
                           .end = t.data + t.size,
                           .depth_max = JSON_LENIENT_NESTING_MAX,
                           .is_lenient = true,
                           .is_case_sensitive = how & JSON_IS_CASE_SENSITIVE,
                           .is_lent = how & JSON_IS_LENT};
        struct json *value;
        int r = parse_value(&p, &value);
        if (r)
                return r;
        /* A string is whole at its quote; numbers and words could go on where the text ends. */
        if (p.at == p.end && value->type < JSON_STRING)
                return -EBADMSG;
        r = skip_space(&p);
        if (r)
                return r;
        *ret = value;
        *used = (size_t)(p.at - t.data);
        return 0;
}
