#include "ruleset/value.h"

#include <math.h>
#include <stdio.h>

#include "message/variable.h"

struct value value_of_json(struct json *json) {
        if (!json || json->type == JSON_NULL)
                return value_text(TEXT(""));
        if (json->type == JSON_STRING)
                return value_text(json->string);
        return (struct value){.kind = VALUE_JSON, .json = json};
}

struct value value_of_member(struct json *json) {
        bool is_string = json && json->type == JSON_STRING;
        return is_string ? (struct value){.kind = VALUE_JSON, .json = json} : value_of_json(json);
}

/* ---- Numbers --------------------------------------------------------------- */

static bool is_digit(char c, char last) {
        return c >= '0' && c <= last;
}

int64_t text_number(struct text text, bool *is_whole) {
        bool is_negative = text.size && text.data[0] == '-';
        size_t at = is_negative;
        uint64_t number = 0; /* unsigned, so that it wraps */
        for (; at < text.size && is_digit(text.data[at], '9'); at++)
                number = number * 10 + (uint64_t)(text.data[at] - '0');
        if (is_whole)
                *is_whole = at == text.size;
        return (int64_t)(is_negative ? -number : number);
}

static int64_t hexadecimal(struct text digits) {
        uint64_t number = 0;
        for (size_t i = 0; i < digits.size; i++) {
                char c = digits.data[i];
                char small = (char)(c | 32);
                if (!is_digit(c, '9') && !(small >= 'a' && small <= 'f'))
                        break;
                number = number * 16 + (uint64_t)(is_digit(c, '9') ? c - '0' : small - 'a');
        }
        return (int64_t)number;
}

static int64_t octal(struct text digits) {
        uint64_t number = 0;
        for (size_t i = 0; i < digits.size && is_digit(digits.data[i], '7'); i++)
                number = number * 8 + (uint64_t)(digits.data[i] - '0');
        return (int64_t)number;
}

static int64_t json_number(const struct json *json) {
        switch (json->type) {
        case JSON_INT:
                return json->integer;
        case JSON_BOOL:
                return json->is_true;
        case JSON_STRING:
                return text_number(json->string, NULL);
        case JSON_DOUBLE:
                /* Beyond the integers is what the processor makes of it: the smallest. */
                if (!(json->real > -9.2e18 && json->real < 9.2e18))
                        return INT64_MIN;
                return (int64_t)json->real;
        default:
                return 0;
        }
}

int64_t value_to_number(const struct value *v, bool *is_whole) {
        if (v->kind == VALUE_TEXT)
                return text_number(v->text, is_whole);
        if (is_whole)
                *is_whole = true;
        return v->kind == VALUE_NUMBER ? v->number : json_number(v->json);
}

int64_t value_to_operand(const struct value *v) {
        if (v->kind != VALUE_TEXT)
                return value_to_number(v, NULL);
        if (text_starts(v->text, TEXT("0x")))
                return hexadecimal(text_slice(v->text, 2, v->text.size));
        if (text_starts(v->text, TEXT("0")))
                return octal(v->text);
        return text_number(v->text, NULL);
}

bool value_is_true(const struct value *v) {
        return value_to_number(v, NULL) != 0;
}

/* ---- Texts and JSON ---------------------------------------------------------- */

/* A double that an expression touched no longer prints as it came. */
static struct text double_text(struct arena *a, double real) {
        if (isinf(real))
                return real < 0 ? TEXT("-Infinity") : TEXT("Infinity");
        char digits[40];
        int size = snprintf(digits, sizeof digits - 2, "%.17g", real);
        if (!strpbrk(digits, ".en")) {
                digits[size++] = '.';
                digits[size++] = '0';
        }
        return arena_text(a, (struct text){digits, (size_t)size});
}

void value_retell_doubles(struct arena *a, struct json *json) {
        if (json->type == JSON_DOUBLE)
                json->literal = double_text(a, json->real);
        else if (json->type == JSON_ARRAY)
                for (uint32_t i = 0; i < json->count; i++)
                        value_retell_doubles(a, json->items[i]);
        else if (json->type == JSON_OBJECT)
                for (struct json_member *m = json->first; m; m = m->next)
                        if (m->value)
                                value_retell_doubles(a, m->value);
}

static struct json *copy_json(struct arena *a, const struct json *json) {
        struct json *copy = json_copy(a, json);
        if (copy)
                value_retell_doubles(a, copy);
        return copy;
}

struct text value_to_text(const struct value *v, struct arena *a) {
        if (v->kind == VALUE_TEXT)
                return v->text;
        _owned_(buffer_fini) struct buffer out = {0};
        if (v->kind == VALUE_NUMBER)
                buffer_int(&out, v->number);
        else {
                const struct json *copy = copy_json(a, v->json);
                if (copy)
                        variable_text(&out, copy);
        }
        return arena_text(a, buffer_as_text(&out));
}

struct json *value_to_json(const struct value *v, struct arena *a) {
        switch (v->kind) {
        case VALUE_NUMBER:
                return json_int(a, v->number);
        case VALUE_JSON:
                return copy_json(a, v->json);
        default:
                return json_string(a, v->text);
        }
}

bool starts_nocase_loosely(struct text t, struct text head) {
        return text_starts_nocase(t, text_slice(head, 0, t.size));
}

/* ---- Comparing --------------------------------------------------------------- */

/* The difference of the first bytes that differ; else 1 or -1 for the longer text. */
static int text_difference(struct text a, struct text b) {
        size_t common = MIN(a.size, b.size);
        for (size_t i = 0; i < common; i++)
                if (a.data[i] != b.data[i])
                        return (unsigned char)a.data[i] - (unsigned char)b.data[i];
        return (a.size > b.size) - (a.size < b.size);
}

/*
 * Equality: of texts, unless one side is a number and the other can be one. A JSON
 * value on the right equals nothing but a text that is no number.
 */
static int64_t difference(const struct value *left, const struct value *right, struct arena *a) {
        bool left_is, right_is;
        if (right->kind == VALUE_JSON) {
                value_to_number(left, &left_is);
                if (left->kind != VALUE_TEXT || left_is)
                        return 1;
        } else if (left->kind == VALUE_NUMBER || right->kind == VALUE_NUMBER) {
                int64_t l = value_to_number(left, &left_is), r = value_to_number(right, &right_is);
                if (left_is && right_is)
                        return l != r;
        }
        struct text left_text = value_to_text(left, a), right_text = value_to_text(right, a);
        return left->kind == VALUE_NUMBER ? text_difference(right_text, left_text)
                                          : text_difference(left_text, right_text);
}

/* Order: of numbers where both sides can be one, even texts; else of texts. */
static int order(const struct value *left, const struct value *right, struct arena *a) {
        bool left_is, right_is;
        int64_t l = value_to_number(left, &left_is), r = value_to_number(right, &right_is);
        if (left_is && right_is)
                return (l > r) - (l < r);
        return text_difference(value_to_text(left, a), value_to_text(right, a));
}

int64_t value_compare(enum operator op, const struct value *left, const struct value *right, struct arena *a) {
        switch (op) {
        case OP_EQUAL:
                return difference(left, right, a) == 0;
        case OP_NOT_EQUAL:
                return difference(left, right, a);
        case OP_LESS:
                return order(left, right, a) < 0;
        case OP_LESS_EQUAL:
                return order(left, right, a) <= 0;
        case OP_GREATER:
                return order(left, right, a) > 0;
        default:
                return order(left, right, a) >= 0;
        }
}
