#include "bus/scan.h"

#include <endian.h>
#include <errno.h>

#include "base/utf8.h"

/* ---- UTF-8 ----------------------------------------------------------------- */

/* How many bytes the sequence at `at` has, 0 where it is none (RFC 3629: shortest form, no surrogates). */
static unsigned sequence_bytes(const char *at, const char *end) {
        const unsigned char *b = (const unsigned char *)at;
        size_t left = (size_t)(end - at);
        unsigned low = 0x80, high = 0xbf, size;
        if (b[0] < 0x80)
                return 1;
        if (b[0] < 0xc2 || b[0] > 0xf4)
                return 0;
        size = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
        if (b[0] == 0xe0)
                low = 0xa0;
        else if (b[0] == 0xed)
                high = 0x9f;
        else if (b[0] == 0xf0)
                low = 0x90;
        else if (b[0] == 0xf4)
                high = 0x8f;
        if (left < size || b[1] < low || b[1] > high)
                return 0;
        for (unsigned i = 2; i < size; i++)
                if ((b[i] & 0xc0) != 0x80)
                        return 0;
        return size;
}

/* ---- Strings --------------------------------------------------------------- */

#define EVERY_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/*
 * Where in eight bytes the first is that needs a look: a quote, a backslash, or beyond ASCII; 8: nowhere. The borrow of
 * a subtraction may mark bytes behind a true find, never one before it.
 */
static inline unsigned plain_bytes(const char *at) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word = le64toh(word);
        uint64_t quote = word ^ EVERY_BYTE('"'), backslash = word ^ EVERY_BYTE('\\');
        uint64_t found = ((quote - EVERY_BYTE(1)) & ~quote) | ((backslash - EVERY_BYTE(1)) & ~backslash) | word;
        found &= EVERY_BYTE(0x80);
        return found ? (unsigned)__builtin_ctzll(found) / 8 : 8;
}

/* Passes over what needs no look. */
static inline void scan_plain(struct scan *s) {
        unsigned plain = 8;
        while (plain == 8 && s->end - s->at >= 8) {
                plain = plain_bytes(s->at);
                s->at += plain;
        }
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool scan_escape(struct scan *s) {
        if (s->end - s->at < 2)
                return false;
        char c = s->at[1];
        if (c != 'u') {
                s->at += 2;
                return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't';
        }
        if (s->end - s->at < 6)
                return false;
        for (int i = 2; i < 6; i++)
                if (hex_value(s->at[i]) < 0)
                        return false;
        s->at += 6;
        return true;
}

/* Behind the opening quote; leaves behind the closing one. */
static int scan_string_end(struct scan *s, struct scan_value *ret) {
        ret->kind = SCAN_STRING;
        ret->is_escaped = false;
        ret->text.data = s->at;
        for (;;) {
                scan_plain(s);
                if (s->at == s->end)
                        return -EBADMSG;
                unsigned char c = (unsigned char)*s->at;
                if (c == '"')
                        break;
                if (c == '\\') {
                        ret->is_escaped = true;
                        if (!scan_escape(s))
                                return -EBADMSG;
                } else if (c < 0x80) {
                        s->at++;
                } else {
                        unsigned size = sequence_bytes(s->at, s->end);
                        if (size == 0)
                                return -EBADMSG;
                        s->at += size;
                }
        }
        ret->text.size = (size_t)(s->at - ret->text.data);
        s->at++;
        return 0;
}

/* ---- Values ---------------------------------------------------------------- */

static inline bool is_space(char c) {
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void scan_space_there_is(struct scan *s) {
        while (s->at < s->end && is_space(*s->at))
                s->at++;
}

static bool scan_byte(struct scan *s, char c) {
        if (s->at == s->end || *s->at != c)
                return false;
        s->at++;
        return true;
}

static bool scan_digits(struct scan *s) {
        const char *begin = s->at;
        while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
                s->at++;
        return s->at > begin;
}

static bool scan_number(struct scan *s) {
        scan_byte(s, '-');
        if (!scan_byte(s, '0') && !scan_digits(s))
                return false;
        if (scan_byte(s, '.') && !scan_digits(s))
                return false;
        if (scan_byte(s, 'e') || scan_byte(s, 'E')) {
                if (!scan_byte(s, '+'))
                        scan_byte(s, '-');
                return scan_digits(s);
        }
        return true;
}

static bool scan_word(struct scan *s, struct text word) {
        if (!text_starts((struct text){s->at, (size_t)(s->end - s->at)}, word))
                return false;
        s->at += word.size;
        return true;
}

/* A value that holds no other. */
static int scan_scalar(struct scan *s, struct scan_value *ret) {
        const char *begin = s->at;
        bool is_valid;
        switch (*s->at) {
        case '"':
                s->at++;
                return scan_string_end(s, ret);
        case 'n':
                ret->kind = SCAN_NULL;
                is_valid = scan_word(s, TEXT("null"));
                break;
        case 't':
                ret->kind = SCAN_TRUE;
                is_valid = scan_word(s, TEXT("true"));
                break;
        case 'f':
                ret->kind = SCAN_FALSE;
                is_valid = scan_word(s, TEXT("false"));
                break;
        default:
                ret->kind = SCAN_NUMBER;
                is_valid = scan_number(s);
        }
        ret->is_escaped = false;
        ret->text = (struct text){begin, (size_t)(s->at - begin)};
        return is_valid ? 0 : -EBADMSG;
}

/* The name of a member and its colon. */
static int scan_name(struct scan *s, struct scan_value *ret) {
        scan_space(s);
        if (!scan_byte(s, '"'))
                return -EBADMSG;
        int r = scan_string_end(s, ret);
        if (r)
                return r;
        scan_space(s);
        return scan_byte(s, ':') ? 0 : -EBADMSG;
}

/* Which of the containers around a place are objects: a bit each, so that depth costs no stack. */
struct nesting {
        unsigned depth;
        uint64_t is_object[SCAN_NESTING_MAX / 64];
};

static bool nesting_enter(struct nesting *n, bool is_object) {
        if (n->depth == SCAN_NESTING_MAX)
                return false;
        uint64_t bit = UINT64_C(1) << (n->depth % 64), *word = &n->is_object[n->depth / 64];
        *word = is_object ? *word | bit : *word & ~bit;
        n->depth++;
        return true;
}

static bool nesting_in_object(const struct nesting *n) {
        return n->is_object[(n->depth - 1) / 64] >> ((n->depth - 1) % 64) & 1;
}

/* Behind a value: leaves the containers that end here. True when another value has to follow. */
static int scan_after(struct scan *s, struct nesting *n, bool *more) {
        while (n->depth > 0) {
                scan_space(s);
                if (scan_byte(s, ',')) {
                        *more = true;
                        return 0;
                }
                if (!scan_byte(s, nesting_in_object(n) ? '}' : ']'))
                        return -EBADMSG;
                n->depth--;
        }
        *more = false;
        return 0;
}

/* An object or an array, from its bracket to the one that closes it. */
static int scan_container(struct scan *s) {
        struct nesting nesting;
        struct scan_value inner;
        bool more = true;
        nesting.depth = 0;
        while (more) {
                if (nesting.depth > 0 && nesting_in_object(&nesting) && scan_name(s, &inner))
                        return -EBADMSG;
                scan_space(s);
                if (s->at == s->end)
                        return -EBADMSG;
                char c = *s->at;
                if (c == '{' || c == '[') {
                        s->at++;
                        if (!nesting_enter(&nesting, c == '{'))
                                return -EBADMSG;
                        scan_space(s);
                        if (!scan_byte(s, c == '{' ? '}' : ']'))
                                continue;
                        nesting.depth--;
                } else if (scan_scalar(s, &inner)) {
                        return -EBADMSG;
                }
                if (scan_after(s, &nesting, &more))
                        return -EBADMSG;
        }
        return 0;
}

int scan_value(struct scan *s, struct scan_value *ret) {
        scan_space(s);
        if (s->at == s->end)
                return -EBADMSG;
        if (*s->at != '{' && *s->at != '[')
                return scan_scalar(s, ret);
        const char *begin = s->at;
        int r = scan_container(s);
        if (r)
                return r;
        *ret = (struct scan_value){
                .text = {begin, (size_t)(s->at - begin)},
                .kind = *begin == '{' ? SCAN_OBJECT : SCAN_ARRAY,
        };
        return 0;
}

int scan_whole(struct text text, struct scan_value *ret) {
        struct scan s = scan_begin(text);
        int r = scan_value(&s, ret);
        if (r)
                return r;
        scan_space(&s);
        return s.at == s.end ? 0 : -EBADMSG;
}

/* ---- Walking --------------------------------------------------------------- */

struct scan_walk scan_walk_begin(const struct scan_value *container) {
        struct scan_walk walk = {.scan = scan_begin(container->text), .is_object = container->kind == SCAN_OBJECT};
        if (container->kind == SCAN_OBJECT || container->kind == SCAN_ARRAY)
                walk.scan.at++;
        else
                walk.scan.at = walk.scan.end;
        return walk;
}

bool scan_walk_next(struct scan_walk *walk) {
        struct scan *s = &walk->scan;
        scan_space(s);
        scan_byte(s, ',');
        scan_space(s);
        if (s->at == s->end || *s->at == '}' || *s->at == ']')
                return false;
        if (walk->is_object && scan_name(s, &walk->name))
                return false;
        return scan_value(s, &walk->value) == 0;
}

struct scan_value scan_member(const struct scan_value *object, struct text name) {
        struct scan_value found = {.kind = SCAN_ABSENT};
        if (object->kind != SCAN_OBJECT)
                return found;
        struct scan_walk walk = scan_walk_begin(object);
        while (scan_walk_next(&walk))
                if (scan_equals(&walk.name, name))
                        found = walk.value;
        return found;
}

/* ---- What a value stands for ----------------------------------------------- */

static uint32_t hex4(const char *at) {
        uint32_t code = 0;
        for (int i = 0; i < 4; i++)
                code = code << 4 | (uint32_t)hex_value(at[i]);
        return code;
}

/* An escape that scan_escape() has accepted; *at moves behind it. */
static char *put_escape(char *to, const char **at, const char *end) {
        char c = (*at)[1];
        const char *e = *at;
        *at += 2;
        switch (c) {
        case 'b':
                *to++ = '\b';
                return to;
        case 'f':
                *to++ = '\f';
                return to;
        case 'n':
                *to++ = '\n';
                return to;
        case 'r':
                *to++ = '\r';
                return to;
        case 't':
                *to++ = '\t';
                return to;
        case 'u':
                break;
        default:
                *to++ = c;
                return to;
        }
        *at += 4;
        uint32_t code = hex4(e + 2);
        if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
                uint32_t low = hex4(*at + 2);
                if (low >= 0xdc00 && low < 0xe000) {
                        *at += 6;
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
        }
        /* Half a pair stands for itself, so that two names are equal where their escapes are. */
        return utf8_put(to, code);
}

struct text scan_string(const struct scan_value *string, char *room) {
        assert(string->kind == SCAN_STRING);
        if (LIKELY(!string->is_escaped))
                return string->text;
        char *to = room;
        const char *at = string->text.data, *end = at + string->text.size;
        while (at < end)
                if (*at == '\\')
                        to = put_escape(to, &at, end);
                else
                        *to++ = *at++;
        return (struct text){room, (size_t)(to - room)};
}

bool scan_equals(const struct scan_value *value, struct text text) {
        enum { ESCAPED_BYTES_MAX = 6 }; /* for one byte of what it stands for */
        if (value->kind != SCAN_STRING)
                return false;
        if (!value->is_escaped)
                return text_equal(value->text, text);
        char room[512];
        if (value->text.size > sizeof room || value->text.size > text.size * ESCAPED_BYTES_MAX)
                return false;
        return text_equal(scan_string(value, room), text);
}

bool scan_integer(const struct scan_value *value, int64_t *ret) {
        return value->kind == SCAN_NUMBER && text_to_int(value->text, ret) == 0;
}

/* ---- Writing --------------------------------------------------------------- */

void scan_quote(struct buffer *out, struct text text) {
        static const char hex[] = "0123456789abcdef";
        const char *at = text.data, *end = at + text.size;
        buffer_byte(out, '"');
        while (at < end) {
                unsigned char c = (unsigned char)*at;
                unsigned size = sequence_bytes(at, end);
                if (c == '"' || c == '\\')
                        buffer_append(out, (char[]){'\\', (char)c}, 2);
                else if (c < ' ')
                        buffer_append(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
                else if (size == 0)
                        buffer_text(out, TEXT("\xef\xbf\xbd"));
                else
                        buffer_append(out, at, size);
                at += MAX(size, 1u);
        }
        buffer_byte(out, '"');
}
