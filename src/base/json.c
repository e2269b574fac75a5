#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/fail.h"

enum {
        ARRAY_FIRST_CAPACITY = 4,
};

/* ---- Making -------------------------------------------------------------- */

static struct json *json_new(struct arena *a, enum json_type type) {
        struct json *value = arena_zalloc(a, sizeof *value);
        if (value)
                value->type = type;
        return value;
}

struct json *json_null(struct arena *a) {
        return json_new(a, JSON_NULL);
}

struct json *json_bool(struct arena *a, bool is_true) {
        struct json *value = json_new(a, JSON_BOOL);
        if (value)
                value->is_true = is_true;
        return value;
}

struct json *json_int(struct arena *a, int64_t integer) {
        struct json *value = json_new(a, JSON_INT);
        if (value)
                value->integer = integer;
        return value;
}

struct json *json_double(struct arena *a, double real) {
        struct json *value = json_new(a, JSON_DOUBLE);
        if (value)
                value->real = real;
        return value;
}

struct json *json_string(struct arena *a, struct text t) {
        struct json *value = json_new(a, JSON_STRING);
        if (!value)
                return NULL;
        value->string = arena_text(a, t);
        return value->string.data ? value : NULL;
}

struct json *json_take_string(struct arena *a, struct text t) {
        struct json *value = json_new(a, JSON_STRING);
        if (value)
                value->string = t;
        return value;
}

struct json *json_array(struct arena *a) {
        return json_new(a, JSON_ARRAY);
}

struct json *json_object(struct arena *a) {
        return json_new(a, JSON_OBJECT);
}

/* Takes the first gap out of the list; a member comes into its place, so those behind move. */
static uint32_t take_gap(struct json *object) {
        struct json_member **first = &object->gaps;
        for (struct json_member **at = &object->gaps; *at; at = &(*at)->next)
                if ((*at)->place < (*first)->place)
                        first = at;
        uint32_t place = (*first)->place;
        *first = (*first)->next;
        for (struct json_member *gap = object->gaps; gap; gap = gap->next)
                gap->place++;
        return place;
}

static void fill_gap(struct json *object, struct json_member *member) {
        struct json_member **at = &object->first;
        for (uint32_t place = take_gap(object); place > 0; place--)
                at = &(*at)->next;
        member->next = *at;
        *at = member;
        if (!member->next)
                object->last = member;
        object->count++;
}

int json_take_member(struct arena *a, struct json *object, struct text name, struct json *value) {
        struct json_member *member = arena_alloc(a, sizeof *member);
        if (!member)
                return fail(-ENOMEM);
        *member = (struct json_member){.name = name, .value = value};
        if (object->gaps) {
                fill_gap(object, member);
                return 0;
        }
        if (object->last)
                object->last->next = member;
        else
                object->first = member;
        object->last = member;
        object->count++;
        return 0;
}

int json_add(struct arena *a, struct json *object, struct text name, struct json *value) {
        struct text copy = arena_text(a, name);
        return copy.data ? json_take_member(a, object, copy, value) : fail(-ENOMEM);
}

static struct json_member *find_member(const struct json *object, struct text name) {
        for (struct json_member *m = object->first; m; m = m->next)
                if (text_equal(m->name, name))
                        return m;
        return NULL;
}

int json_set(struct arena *a, struct json *object, struct text name, struct json *value) {
        assert(object->type == JSON_OBJECT);
        struct json_member *member = find_member(object, name);
        if (!member)
                return json_add(a, object, name, value);
        member->value = value;
        return 0;
}

int json_append(struct arena *a, struct json *array, struct json *value) {
        assert(array->type == JSON_ARRAY);
        if (array->count == array->capacity) {
                uint32_t capacity = MAX(array->capacity * 2, (uint32_t)ARRAY_FIRST_CAPACITY);
                struct json **grown = arena_alloc(a, capacity * sizeof(struct json *));
                if (!grown)
                        return fail(-ENOMEM);
                if (array->count)
                        memcpy(grown, array->items, array->count * sizeof(struct json *));
                array->items = grown;
                array->capacity = capacity;
        }
        array->items[array->count++] = value;
        return 0;
}

static void leave_gap(struct json *object, struct json_member *removed, uint32_t place) {
        for (struct json_member *gap = object->gaps; gap; gap = gap->next)
                gap->place -= gap->place > place;
        *removed = (struct json_member){.place = place, .next = object->gaps};
        object->gaps = removed;
}

bool json_remove(struct json *object, struct text name) {
        assert(object->type == JSON_OBJECT);
        struct json_member *before = NULL;
        uint32_t place = 0;
        for (struct json_member *m = object->first; m; before = m, m = m->next, place++) {
                if (!text_equal(m->name, name))
                        continue;
                if (before)
                        before->next = m->next;
                else
                        object->first = m->next;
                if (object->last == m)
                        object->last = before;
                object->count--;
                leave_gap(object, m, place);
                return true;
        }
        return false;
}

struct json *json_get(const struct json *object, struct text name) {
        if (!object || object->type != JSON_OBJECT)
                return NULL;
        struct json_member *member = find_member(object, name);
        return member ? member->value : NULL;
}

struct json *json_get_nocase(const struct json *object, struct text name) {
        if (!object || object->type != JSON_OBJECT)
                return NULL;
        for (struct json_member *m = object->first; m; m = m->next)
                if (text_equal_nocase(m->name, name))
                        return m->value;
        return NULL;
}

/* Recursion is as deep as the value: JSON_NESTING_MAX, since deeper ones are neither parsed nor set. */
struct json *json_copy(struct arena *a, const struct json *value) {
        struct json *copy = json_new(a, value->type);
        if (!copy)
                return NULL;
        *copy = *value;
        if (value->literal.size && !(copy->literal = arena_text(a, value->literal)).data)
                return NULL;
        if (value->type == JSON_STRING)
                return (copy->string = arena_text(a, value->string)).data ? copy : NULL;
        if (value->type == JSON_ARRAY) {
                copy->count = copy->capacity = 0;
                copy->items = NULL;
                for (uint32_t i = 0; i < value->count; i++) {
                        struct json *item = json_copy(a, value->items[i]);
                        if (!item || json_append(a, copy, item))
                                return NULL;
                }
        } else if (value->type == JSON_OBJECT) {
                copy->count = 0;
                copy->first = copy->last = NULL;
                copy->gaps = NULL;
                for (const struct json_member *m = value->first; m; m = m->next) {
                        struct json *inner = json_copy(a, m->value);
                        if (!inner || json_add(a, copy, m->name, inner))
                                return NULL;
                }
        }
        return copy;
}

/* ---- Printing ------------------------------------------------------------ */

static inline bool is_plain(unsigned char c) {
        return c >= ' ' && c != '"' && c != '\\' && c != '/';
}

/* Sixteen bytes at a time: rendering JSON took a third less CPU than byte by byte (bench/, scenario json). */
size_t json_plain(struct text t) {
        size_t i = 0;
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('/'), backslash = _mm_set1_epi8('\\');
        const __m128i control = _mm_set1_epi8(0x1f);
        for (; i + sizeof quote <= t.size; i += sizeof quote) {
                __m128i bytes = _mm_loadu_si128((const void *)(t.data + i));
                __m128i marked = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
                marked = _mm_or_si128(marked, _mm_cmpeq_epi8(bytes, backslash));
                marked = _mm_or_si128(marked, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
                unsigned mask = (unsigned)_mm_movemask_epi8(marked);
                if (mask)
                        return i + (unsigned)__builtin_ctz(mask);
        }
#endif
        while (i < t.size && is_plain((unsigned char)t.data[i]))
                i++;
        return i;
}

void json_escape(struct buffer *out, struct text t) {
        static const char hex[] = "0123456789abcdef";
        static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                       ['\r'] = 'r', ['"'] = '"',  ['/'] = '/',  ['\\'] = '\\'};
        for (;;) {
                size_t plain = json_plain(t);
                buffer_append(out, t.data, plain);
                if (plain == t.size)
                        return;
                unsigned char c = (unsigned char)t.data[plain];
                if (letters[c])
                        buffer_append(out, (char[]){'\\', letters[c]}, 2);
                else
                        buffer_append(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
                t = text_slice(t, plain + 1, t.size);
        }
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

static void print_items(struct buffer *out, const struct json *array, enum json_style style) {
        struct text gap = style == JSON_SPACED ? TEXT(" ") : TEXT_NONE;
        buffer_byte(out, '[');
        for (uint32_t i = 0; i < array->count; i++) {
                if (i)
                        buffer_byte(out, ',');
                buffer_text(out, gap);
                json_print(out, array->items[i], style);
        }
        buffer_text(out, gap);
        buffer_byte(out, ']');
}

static void print_members(struct buffer *out, const struct json *object, enum json_style style) {
        struct text gap = style == JSON_SPACED ? TEXT(" ") : TEXT_NONE;
        buffer_byte(out, '{');
        for (const struct json_member *m = object->first; m; m = m->next) {
                if (m != object->first)
                        buffer_byte(out, ',');
                buffer_text(out, gap);
                buffer_byte(out, '"');
                json_escape(out, m->name);
                buffer_text(out, TEXT("\":"));
                buffer_text(out, gap);
                json_print(out, m->value, style);
        }
        buffer_text(out, gap);
        buffer_byte(out, '}');
}

void json_print(struct buffer *out, const struct json *value, enum json_style style) {
        if (value->literal.size) {
                buffer_text(out, value->literal);
                return;
        }
        switch (value->type) {
        case JSON_NULL:
                buffer_text(out, TEXT("null"));
                break;
        case JSON_BOOL:
                buffer_text(out, value->is_true ? TEXT("true") : TEXT("false"));
                break;
        case JSON_INT:
                buffer_int(out, value->integer);
                break;
        case JSON_DOUBLE:
                print_double(out, value->real);
                break;
        case JSON_STRING:
                buffer_byte(out, '"');
                json_escape(out, value->string);
                buffer_byte(out, '"');
                break;
        case JSON_ARRAY:
                print_items(out, value, style);
                break;
        case JSON_OBJECT:
                print_members(out, value, style);
                break;
        }
}
