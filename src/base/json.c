#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

enum {
        ARRAY_FIRST_CAPACITY = 4,
        /* Up to here a new member is compared with all others; beyond, twins are found once by hashing. */
        MEMBERS_COMPARED_MAX = 16,
        NUMBER_BYTES_MAX = 400, /* of a literal; more digits than a double can ever need */
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

struct json *json_array(struct arena *a) {
        return json_new(a, JSON_ARRAY);
}

struct json *json_object(struct arena *a) {
        return json_new(a, JSON_OBJECT);
}

static int append_member(struct arena *a, struct json *object, struct text name, struct json *value) {
        struct json_member *member = arena_alloc(a, sizeof *member);
        struct text copy = arena_text(a, name);
        if (!member || !copy.data)
                return fail(-ENOMEM);
        *member = (struct json_member){.name = copy, .value = value};
        if (object->last)
                object->last->next = member;
        else
                object->first = member;
        object->last = member;
        object->count++;
        return 0;
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
                return append_member(a, object, name, value);
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

bool json_remove(struct json *object, struct text name) {
        assert(object->type == JSON_OBJECT);
        struct json_member *before = NULL;
        for (struct json_member *m = object->first; m; before = m, m = m->next) {
                if (!text_equal(m->name, name))
                        continue;
                if (before)
                        before->next = m->next;
                else
                        object->first = m->next;
                if (object->last == m)
                        object->last = before;
                object->count--;
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
                for (const struct json_member *m = value->first; m; m = m->next) {
                        struct json *inner = json_copy(a, m->value);
                        if (!inner || append_member(a, copy, m->name, inner))
                                return NULL;
                }
        }
        return copy;
}

/* ---- Parsing ------------------------------------------------------------- */

struct parser {
        struct arena *arena;
        const char *at;
        const char *end;
        unsigned depth;
};

static int parse_value(struct parser *p, struct json **ret);

static void skip_space(struct parser *p) {
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
                p->at++;
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
        return code;
}

static char *put_utf8(char *to, uint32_t code) {
        if (code < 0x80) {
                *to++ = (char)code;
        } else if (code < 0x800) {
                *to++ = (char)(0xc0 | code >> 6);
                *to++ = (char)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
                *to++ = (char)(0xe0 | code >> 12);
                *to++ = (char)(0x80 | (code >> 6 & 0x3f));
                *to++ = (char)(0x80 | (code & 0x3f));
        } else {
                *to++ = (char)(0xf0 | code >> 18);
                *to++ = (char)(0x80 | (code >> 12 & 0x3f));
                *to++ = (char)(0x80 | (code >> 6 & 0x3f));
                *to++ = (char)(0x80 | (code & 0x3f));
        }
        return to;
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
                        return put_utf8(to, 0x10000u + ((uint32_t)(code - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
                }
        }
        /* Half a pair stands for nothing: U+FFFD, the replacement character. */
        return put_utf8(to, code >= 0xd800 && code < 0xe000 ? 0xfffdu : (uint32_t)code);
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

static int parse_string(struct parser *p, struct text *ret) {
        if (!skip_byte(p, '"'))
                return -EBADMSG;
        const char *begin = p->at;
        while (p->at < p->end && *p->at != '"' && *p->at != '\\' && (unsigned char)*p->at >= ' ')
                p->at++;
        /* An escape is never shorter than what it stands for, so the rest of the string has room. */
        const char *close = p->at;
        while (close < p->end && *close != '"')
                close += *close == '\\' ? 2 : 1;
        if (close >= p->end)
                return -EBADMSG;
        char *bytes = arena_alloc(p->arena, (size_t)(close - begin) + 1);
        if (!bytes)
                return fail(-ENOMEM);
        char *to = mempcpy(bytes, begin, (size_t)(p->at - begin));
        while (*p->at != '"') {
                char c = *p->at++;
                if ((unsigned char)c < ' ')
                        return -EBADMSG;
                if (c != '\\')
                        *to++ = c;
                else if (!(to = parse_escape(p, to)))
                        return -EBADMSG;
        }
        p->at++;
        *to = '\0';
        *ret = (struct text){bytes, (size_t)(to - bytes)};
        return 0;
}

static bool skip_digits(struct parser *p) {
        const char *begin = p->at;
        while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
                p->at++;
        return p->at > begin;
}

static int parse_number(struct parser *p, struct json **ret) {
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
        struct json *value = copy ? json_new(p->arena, is_real ? JSON_DOUBLE : JSON_INT) : NULL;
        if (!value)
                return fail(-ENOMEM);
        if (is_real)
                value->real = strtod(copy, NULL);
        else
                value->integer = integer;
        /* "-0" is the integer 0 and prints so. */
        if (is_real || integer != 0)
                value->literal = (struct text){copy, literal.size};
        *ret = value;
        return 0;
}

static int parse_word(struct parser *p, struct text word, struct json *value, struct json **ret) {
        if (!text_starts((struct text){p->at, (size_t)(p->end - p->at)}, word))
                return -EBADMSG;
        if (!value)
                return fail(-ENOMEM);
        p->at += word.size;
        *ret = value;
        return 0;
}

static uint64_t hash_of(struct text t) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                hash = (hash ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

/* Of members with the same name the last value stays, in the place of the first. */
static int unite_twins(struct arena *a, struct json *object) {
        size_t slots = 64;
        while (slots < (size_t)object->count * 2)
                slots *= 2;
        struct json_member **slot = arena_zalloc(a, slots * sizeof *slot);
        if (!slot)
                return fail(-ENOMEM);
        struct json_member *before = NULL;
        for (struct json_member *m = object->first, *next; m; m = next) {
                next = m->next;
                size_t at = hash_of(m->name) & (slots - 1);
                while (slot[at] && !text_equal(slot[at]->name, m->name))
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

static int parse_object(struct parser *p, struct json **ret) {
        struct json *object = json_object(p->arena);
        if (!object)
                return fail(-ENOMEM);
        p->at++;
        skip_space(p);
        *ret = object;
        if (skip_byte(p, '}'))
                return 0;
        for (;;) {
                struct text name;
                struct json *value;
                skip_space(p);
                int r = parse_string(p, &name);
                if (r)
                        return r;
                skip_space(p);
                if (!skip_byte(p, ':'))
                        return -EBADMSG;
                r = parse_value(p, &value);
                if (r)
                        return r;
                if (object->count < MEMBERS_COMPARED_MAX)
                        r = json_set(p->arena, object, name, value);
                else
                        r = append_member(p->arena, object, name, value);
                if (r)
                        return r;
                skip_space(p);
                if (skip_byte(p, ','))
                        continue;
                if (!skip_byte(p, '}'))
                        return -EBADMSG;
                return object->count > MEMBERS_COMPARED_MAX ? unite_twins(p->arena, object) : 0;
        }
}

static int parse_array(struct parser *p, struct json **ret) {
        struct json *array = json_array(p->arena);
        if (!array)
                return fail(-ENOMEM);
        p->at++;
        skip_space(p);
        *ret = array;
        if (skip_byte(p, ']'))
                return 0;
        for (;;) {
                struct json *item;
                int r = parse_value(p, &item);
                if (!r)
                        r = json_append(p->arena, array, item);
                if (r)
                        return r;
                skip_space(p);
                if (skip_byte(p, ']'))
                        return 0;
                if (!skip_byte(p, ','))
                        return -EBADMSG;
        }
}

static int parse_nested(struct parser *p, struct json **ret) {
        if (p->depth == JSON_NESTING_MAX)
                return -EBADMSG;
        p->depth++;
        int r = *p->at == '{' ? parse_object(p, ret) : parse_array(p, ret);
        p->depth--;
        return r;
}

static int parse_value(struct parser *p, struct json **ret) {
        skip_space(p);
        if (p->at == p->end)
                return -EBADMSG;
        switch (*p->at) {
        case '{':
        case '[':
                return parse_nested(p, ret);
        case '"': {
                struct json *value = json_new(p->arena, JSON_STRING);
                if (!value)
                        return fail(-ENOMEM);
                *ret = value;
                return parse_string(p, &value->string);
        }
        case 't':
                return parse_word(p, TEXT("true"), json_bool(p->arena, true), ret);
        case 'f':
                return parse_word(p, TEXT("false"), json_bool(p->arena, false), ret);
        case 'n':
                return parse_word(p, TEXT("null"), json_null(p->arena), ret);
        default:
                return parse_number(p, ret);
        }
}

int json_parse(struct arena *a, struct text t, struct json **ret, size_t *used) {
        /* What is not JSON is an everyday answer about a message, so it leaves no failure trace. */
        struct parser p = {.arena = a, .at = t.data, .end = t.data + t.size};
        struct json *value;
        int r = parse_value(&p, &value);
        if (r)
                return r;
        *ret = value;
        *used = (size_t)(p.at - t.data);
        return 0;
}

/* ---- Printing ------------------------------------------------------------ */

void json_escape(struct buffer *out, struct text t) {
        static const char hex[] = "0123456789abcdef";
        size_t plain = 0;
        for (size_t i = 0; i < t.size; i++) {
                unsigned char c = (unsigned char)t.data[i];
                if (LIKELY(c >= ' ' && c != '"' && c != '\\' && c != '/'))
                        continue;
                buffer_append(out, t.data + plain, i - plain);
                plain = i + 1;
                static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                               ['\r'] = 'r', ['"'] = '"',  ['/'] = '/',  ['\\'] = '\\'};
                if (letters[c])
                        buffer_append(out, (char[]){'\\', letters[c]}, 2);
                else
                        buffer_append(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        }
        buffer_append(out, t.data + plain, t.size - plain);
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
