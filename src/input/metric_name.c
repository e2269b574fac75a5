#include "input/metric_name.h"

#include <ctype.h>

#define ESCAPED "U__"

enum { CODE_OF_GARBAGE = 0xFFFD };

static bool is_letter(char c) {
        return isalpha((unsigned char)c) && (unsigned char)c < 0x80;
}

static bool is_plain(char c, size_t at, bool has_colons) {
        return is_letter(c) || c == '_' || (has_colons && c == ':') || (at && c >= '0' && c <= '9');
}

static bool is_valid(struct text name, bool has_colons) {
        for (size_t i = 0; i < name.size; i++)
                if (!is_plain(name.data[i], i, has_colons))
                        return false;
        return name.size;
}

bool label_name_is_valid(struct text name) {
        return is_valid(name, false);
}

/* The code point that begins here, and its bytes; what is no UTF-8 is one byte of garbage. */
static unsigned code_point(struct text t, size_t at, size_t *size) {
        unsigned char first = (unsigned char)t.data[at];
        *size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (at + *size > t.size || !text_is_utf8(text_slice(t, at, at + *size))) {
                *size = 1;
                return CODE_OF_GARBAGE;
        }
        unsigned code = *size > 1 ? first & (0x7fu >> *size) : first;
        for (size_t i = 1; i < *size; i++)
                code = code << 6 | ((unsigned char)t.data[at + i] & 0x3f);
        return code;
}

static void escape(struct buffer *out, struct text name) {
        buffer_text(out, TEXT(ESCAPED));
        for (size_t i = 0, size = 1; i < name.size; i += size) {
                size = 1;
                if (name.data[i] == '_')
                        buffer_text(out, TEXT("__"));
                else if (is_plain(name.data[i], i, true))
                        buffer_byte(out, name.data[i]);
                else
                        buffer_format(out, "_%X_", code_point(name, i, &size));
        }
}

void metric_name(struct buffer *out, struct text origin, struct text object, struct text counter) {
        _owned_(buffer_fini) struct buffer name = {0};
        struct text parts[] = {origin, object, counter};
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (parts[i].size) {
                        buffer_text(&name, parts[i]);
                        buffer_byte(&name, '_');
                }
        buffer_text(&name, TEXT("total"));
        out->is_failed |= name.is_failed;
        struct text whole = buffer_as_text(&name);
        if (is_valid(whole, true) && !text_starts(whole, TEXT(ESCAPED)))
                buffer_text(out, whole);
        else
                escape(out, whole);
}
