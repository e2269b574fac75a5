/*
 * Functions on texts.
 */
#include <ctype.h>
#include <stdlib.h>

#include "ruleset/functions.h"

static struct value call_strlen(const struct function_call *c, struct evaluation *ev) {
        return value_number((int64_t)function_text(c, 0, ev).size);
}

static struct value call_getenv(const struct function_call *c, struct evaluation *ev) {
        char *name = arena_string(&ev->arena, function_text(c, 0, ev));
        const char *value = name ? getenv(name) : NULL;
        return value_text(text_of(value ? value : ""));
}

static struct value call_cstr(const struct function_call *c, struct evaluation *ev) {
        return value_text(function_text(c, 0, ev));
}

static struct value map_bytes(const struct function_call *c, struct evaluation *ev, int (*map)(int)) {
        struct text from = function_text(c, 0, ev);
        char *to = arena_alloc(&ev->arena, from.size + 1);
        if (!to)
                return value_text(TEXT(""));
        for (size_t i = 0; i < from.size; i++)
                to[i] = (char)map((unsigned char)from.data[i]);
        return value_text((struct text){to, from.size});
}

static struct value call_tolower(const struct function_call *c, struct evaluation *ev) {
        return map_bytes(c, ev, tolower);
}

static struct value call_toupper(const struct function_call *c, struct evaluation *ev) {
        return map_bytes(c, ev, toupper);
}

static struct value call_ltrim(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        while (t.size && t.data[0] == ' ')
                t = text_slice(t, 1, t.size);
        return value_text(t);
}

static struct value call_rtrim(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        while (t.size && t.data[t.size - 1] == ' ')
                t.size--;
        return value_text(t);
}

/* substring(text, start, length); a negative length is that of the text less so much. */
static struct value call_substring(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        int64_t start = function_number(c, 1, ev), length = function_number(c, 2, ev), size = (int64_t)t.size;
        if (start < 0 || start >= size || length < -size)
                return value_text(TEXT(""));
        if (length < 0)
                length += size;
        int64_t end = start + MIN(length, size - start);
        return value_text(text_slice(t, (size_t)start, (size_t)end));
}

/* Every `what` in t becomes `by`; an empty one is found before each byte and at the end. */
static void put_replaced(struct buffer *out, struct text t, struct text what, struct text by) {
        if (what.size == 0) {
                for (size_t i = 0; i < t.size; i++) {
                        buffer_text(out, by);
                        buffer_byte(out, t.data[i]);
                }
                buffer_text(out, by);
                return;
        }
        for (ptrdiff_t at; (at = text_find(t, what)) >= 0; t = text_slice(t, (size_t)at + what.size, t.size)) {
                buffer_append(out, t.data, (size_t)at);
                buffer_text(out, by);
        }
        buffer_text(out, t);
}

/* replace(text, what, by) */
static struct value call_replace(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), what = function_text(c, 1, ev), by = function_text(c, 2, ev);
        _owned_(buffer_fini) struct buffer out = {0};
        put_replaced(&out, t, what, by);
        return function_made(ev, &out);
}

/* wrap(text, by [, escape]): by text by, with `by` inside the text replaced by `escape`. */
static struct value call_wrap(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev), by = function_text(c, 1, ev);
        _owned_(buffer_fini) struct buffer out = {0};
        buffer_text(&out, by);
        if (c->count > 2)
                put_replaced(&out, t, by, function_text(c, 2, ev));
        else
                buffer_text(&out, t);
        buffer_text(&out, by);
        return function_made(ev, &out);
}

/* field(text, delimiter, number): the number-th part, counted from 1; the delimiter is a text or the code of a byte. */
static struct value call_field(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        struct value by = expression_eval(c->arguments[1], ev);
        int64_t number = function_number(c, 2, ev);
        char byte = (char)value_to_number(&by, NULL);
        struct text delimiter = by.kind == VALUE_TEXT ? by.text : (struct text){&byte, 1};
        if (number < 1)
                return value_text(TEXT("***FIELD NOT FOUND***"));
        if (delimiter.size == 0)
                return value_text(TEXT(""));
        for (int64_t i = 1;; i++) {
                ptrdiff_t at = text_find(t, delimiter);
                if (i == number)
                        return value_text(at < 0 ? t : text_slice(t, 0, (size_t)at));
                if (at < 0)
                        return value_text(TEXT("***FIELD NOT FOUND***"));
                t = text_slice(t, (size_t)at + delimiter.size, t.size);
        }
}

static int base64_digit(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* b64_decode(text): "" where it is no Base64 of RFC 4648; padding may be missing. */
static struct value call_b64_decode(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        for (unsigned i = 0; i < 2 && t.size && t.data[t.size - 1] == '='; i++)
                t.size--;
        char *to = arena_alloc(&ev->arena, t.size + 1);
        if (!to || t.size % 4 == 1)
                return value_text(TEXT(""));
        uint32_t bits = 0;
        size_t size = 0;
        for (size_t i = 0; i < t.size; i++) {
                int digit = base64_digit(t.data[i]);
                if (digit < 0)
                        return value_text(TEXT(""));
                bits = bits << 6 | (uint32_t)digit;
                if (i % 4)
                        to[size++] = (char)(bits >> (6 - 2 * (i % 4)));
        }
        return value_text((struct text){to, size});
}

/* cef_ext_escape(text): what a value of a CEF extension must escape: backslash, = and line ends. */
static struct value call_cef_ext_escape(const struct function_call *c, struct evaluation *ev) {
        struct text t = function_text(c, 0, ev);
        _owned_(buffer_fini) struct buffer out = {0};
        for (size_t i = 0; i < t.size; i++) {
                char byte = t.data[i];
                if (byte == '\\' || byte == '=' || byte == '\n' || byte == '\r')
                        buffer_byte(&out, '\\');
                buffer_byte(&out, (char)(byte == '\n' ? 'n' : byte == '\r' ? 'r' : byte));
        }
        return function_made(ev, &out);
}

/*
 * tocef(version, vendor, product, device version, event class, name, severity, extensions): a line in ArcSight's
 * Common Event Format. The parts of the header are escaped, the extensions are taken as they are; whether version
 * and severity are among those that CEF knows is the writer's care.
 */
static struct value call_tocef(const struct function_call *c, struct evaluation *ev) {
        enum { EVENT_CLASS = 4, EXTENSIONS = 7 };
        _owned_(buffer_fini) struct buffer out = {0};
        buffer_text(&out, TEXT("CEF:"));
        for (size_t i = 0; i < EXTENSIONS; i++) {
                struct text part = function_text(c, i, ev);
                const char *escaped = i == EVENT_CLASS ? "\\|=%#" : "\\|";
                for (size_t at = 0; at < part.size; at++) {
                        if (part.data[at] && strchr(escaped, part.data[at]))
                                buffer_byte(&out, '\\');
                        buffer_byte(&out, part.data[at]);
                }
                buffer_byte(&out, '|');
        }
        buffer_text(&out, function_text(c, EXTENSIONS, ev));
        return function_made(ev, &out);
}

static const struct function functions[] = {
        {"b64_decode", 1, 1, call_b64_decode, NULL, NULL},
        {"cef_ext_escape", 1, 1, call_cef_ext_escape, NULL, NULL},
        {"cstr", 1, 1, call_cstr, NULL, NULL},
        {"field", 3, 3, call_field, NULL, NULL},
        {"getenv", 1, 1, call_getenv, NULL, NULL},
        {"ltrim", 1, 1, call_ltrim, NULL, NULL},
        {"replace", 3, 3, call_replace, NULL, NULL},
        {"rtrim", 1, 1, call_rtrim, NULL, NULL},
        {"strlen", 1, 1, call_strlen, NULL, NULL},
        {"substring", 3, 3, call_substring, NULL, NULL},
        {"tocef", 8, 8, call_tocef, NULL, NULL},
        {"tolower", 1, 1, call_tolower, NULL, NULL},
        {"toupper", 1, 1, call_toupper, NULL, NULL},
        {"wrap", 2, 3, call_wrap, NULL, NULL},
};

const struct function_table functions_text = {functions, ARRAY_SIZE(functions)};
