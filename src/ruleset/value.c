#include "ruleset/value.h"

#include "message/variable.h"

struct value value_of_json(struct json *json, struct arena *a) {
        if (!json || json->type == JSON_NULL)
                return value_text(TEXT(""));
        switch (json->type) {
        case JSON_STRING:
                return value_text(json->string);
        case JSON_INT:
                return value_number(json->integer);
        case JSON_BOOL:
                return value_number(json->is_true);
        case JSON_DOUBLE: {
                _owned_(buffer_fini) struct buffer out = {0};
                variable_text(&out, json);
                return value_text(arena_text(a, buffer_as_text(&out)));
        }
        default:
                return (struct value){.kind = VALUE_JSON, .json = json};
        }
}

static int digit_of(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return 16;
}

int64_t value_parse_number(struct text text, bool *is_whole) {
        size_t at = 0;
        bool is_negative = false;
        uint64_t number = 0;
        unsigned base = 10;
        if (text.size && (text.data[0] == '-' || text.data[0] == '+')) {
                is_negative = text.data[0] == '-';
                at = 1;
        }
        if (text.size > at + 1 && text.data[at] == '0') {
                base = text.data[at + 1] == 'x' ? 16 : 8;
                at += base == 16 ? 2 : 1;
        }
        size_t first = at;
        for (; at < text.size; at++) {
                unsigned digit = (unsigned)digit_of(text.data[at]);
                if (digit >= base)
                        break;
                number = number * base + digit;
        }
        if (is_whole)
                *is_whole = at == text.size && at > first;
        return (int64_t)(is_negative ? -number : number);
}

int64_t value_to_number(const struct value *v, bool *is_whole) {
        if (v->kind == VALUE_TEXT)
                return value_parse_number(v->text, is_whole);
        if (is_whole)
                *is_whole = v->kind == VALUE_NUMBER;
        return v->kind == VALUE_NUMBER ? v->number : 0;
}

struct text value_to_text(const struct value *v, struct arena *a) {
        if (v->kind == VALUE_TEXT)
                return v->text;
        _owned_(buffer_fini) struct buffer out = {0};
        if (v->kind == VALUE_NUMBER)
                buffer_int(&out, v->number);
        else
                variable_text(&out, v->json);
        return arena_text(a, buffer_as_text(&out));
}

bool value_is_true(const struct value *v) {
        return value_to_number(v, NULL) != 0;
}

int value_compare(const struct value *left, const struct value *right, struct arena *a) {
        if (left->kind == VALUE_NUMBER || right->kind == VALUE_NUMBER) {
                bool left_is = false, right_is = false;
                int64_t l = value_to_number(left, &left_is), r = value_to_number(right, &right_is);
                if (left_is && right_is)
                        return (l > r) - (l < r);
        }
        return text_compare(value_to_text(left, a), value_to_text(right, a));
}

struct json *value_to_json(const struct value *v, struct arena *a) {
        switch (v->kind) {
        case VALUE_NUMBER:
                return json_int(a, v->number);
        case VALUE_JSON:
                return json_copy(a, v->json);
        default:
                return json_string(a, v->text);
        }
}
