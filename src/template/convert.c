#include "template/convert.h"

#include "base/json.h"

enum { EXPANSION_MAX = 6 }; /* bytes that one byte can become */

static inline bool is_control(unsigned char c) {
        return c < ' ' || c == 0x7f;
}

struct value value_begin(struct buffer *out, struct text text) {
        return (struct value){.text = text, .out = out, .start = out->size};
}

static struct text tail(const struct value *v) {
        size_t size = v->out->size - v->start;
        return size ? (struct text){v->out->data + v->start, size} : TEXT("");
}

void value_finish(struct value *v) {
        if (v->is_in_out)
                return;
        buffer_text(v->out, v->text);
        v->text = tail(v);
        v->is_in_out = true;
}

/* The value where it may be changed; NULL when there is nothing to change, or no memory. */
static char *writable(struct value *v) {
        value_finish(v);
        return v->text.size ? v->out->data + v->start : NULL;
}

static void cut(struct value *v, size_t size) {
        v->text.size = size;
        v->out->size = v->start + size;
}

void value_case(struct value *v, enum case_conversion conversion) {
        if (conversion == CASE_KEEP)
                return;
        char *at = writable(v);
        char first = conversion == CASE_LOWER ? 'A' : 'a';
        for (size_t i = 0; i < v->text.size; i++)
                if (at[i] >= first && at[i] <= first + 25)
                        at[i] ^= 0x20;
}

static bool has_control(struct text t) {
        for (size_t i = 0; i < t.size; i++)
                if (is_control((unsigned char)t.data[i]))
                        return true;
        return false;
}

void value_control(struct value *v, enum control_characters what) {
        if (what == CONTROL_KEEP || !has_control(v->text))
                return;
        if (what == CONTROL_ESCAPE) {
                value_escape(v, ESCAPE_CONTROL);
                return;
        }
        char *at = writable(v);
        size_t size = 0;
        for (size_t i = 0; i < v->text.size; i++) {
                if (!is_control((unsigned char)at[i]))
                        at[size++] = at[i];
                else if (what == CONTROL_SPACE)
                        at[size++] = ' ';
        }
        cut(v, size);
}

/* No slash, not empty, and neither "." nor "..": one component of a path. */
void value_secure_path(struct value *v, enum secure_path what) {
        if (what == PATH_KEEP)
                return;
        char *at = writable(v);
        size_t size = 0;
        for (size_t i = 0; i < v->text.size; i++) {
                if (at[i] != '/')
                        at[size++] = at[i];
                else if (what == PATH_REPLACE)
                        at[size++] = '_';
        }
        cut(v, size);
        if (size == 0) {
                buffer_byte(v->out, '_');
                v->text = tail(v);
        } else if (text_equal(v->text, TEXT(".")) || text_equal(v->text, TEXT(".."))) {
                at[0] = '_';
        }
}

void value_compress_space(struct value *v) {
        char *at = writable(v);
        size_t size = 0;
        for (size_t i = 0; i < v->text.size; i++)
                if (at[i] != ' ' || size == 0 || at[size - 1] != ' ')
                        at[size++] = at[i];
        cut(v, size);
}

void value_pad(struct value *v, size_t width) {
        if (v->text.size >= width)
                return;
        value_finish(v);
        size_t more = width - v->text.size;
        if (!buffer_reserve(v->out, more))
                return;
        memset(v->out->data + v->out->size, ' ', more);
        v->out->size += more;
        v->text = tail(v);
}

/* ---- Escapes ------------------------------------------------------------- */

static char *put_json(char *to, unsigned char c) {
        static const char hex[] = "0123456789ABCDEF";
        static const char letters[128] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                          ['\r'] = 'r', ['"'] = '"',  ['/'] = '/',  ['\\'] = '\\'};
        if (c >= 128 || (c >= ' ' && !letters[c])) {
                *to++ = (char)c;
                return to;
        }
        *to++ = '\\';
        if (letters[c]) {
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

static char *put_control(char *to, unsigned char c) {
        if (!is_control(c)) {
                *to++ = (char)c;
                return to;
        }
        *to++ = '#';
        *to++ = (char)('0' + c / 100);
        *to++ = (char)('0' + c / 10 % 10);
        *to++ = (char)('0' + c % 10);
        return to;
}

/* c with `escape` before it where it is one of two. */
static char *put_marked(char *to, char c, char one, char two, char escape) {
        if (c == one || c == two)
                *to++ = escape;
        *to++ = c;
        return to;
}

/* What follows a backslash that begins an escape of JSON. */
static bool begins_escape(const char *at, const char *end) {
        return at < end && *at && strchr("\"\\/bfnrtu", *at);
}

static bool is_json(enum escape_kind kind) {
        return kind == ESCAPE_JSON || kind == ESCAPE_JSON_RAW;
}

static char *put_escaped(char *to, struct text from, enum escape_kind kind) {
        const char *end = from.data + from.size;
        for (const char *at = from.data; at < end; at++) {
                if (is_json(kind)) {
                        size_t plain = json_plain((struct text){at, (size_t)(end - at)});
                        to = mempcpy(to, at, plain);
                        at += plain;
                        if (at == end)
                                break;
                }
                unsigned char c = (unsigned char)*at;
                switch (kind) {
                case ESCAPE_JSON:
                        to = put_json(to, c);
                        break;
                case ESCAPE_JSON_RAW:
                        if (c == '\\' && begins_escape(at + 1, end)) {
                                *to++ = '\\';
                                *to++ = *++at;
                        } else {
                                to = put_json(to, c);
                        }
                        break;
                case ESCAPE_CSV:
                        to = put_marked(to, *at, '"', '"', '"');
                        break;
                case ESCAPE_SQL:
                        to = put_marked(to, *at, '\'', '\\', '\\');
                        break;
                case ESCAPE_STDSQL:
                        to = put_marked(to, *at, '\'', '\'', '\'');
                        break;
                case ESCAPE_QUOTED:
                        to = put_marked(to, *at, '"', '\\', '\\');
                        break;
                case ESCAPE_CONTROL:
                        to = put_control(to, c);
                        break;
                case ESCAPE_NONE:
                        *to++ = *at;
                        break;
                }
        }
        return to;
}

static bool is_marked(unsigned char c, enum escape_kind kind) {
        switch (kind) {
        case ESCAPE_JSON:
        case ESCAPE_JSON_RAW:
                return c < ' ' || c == '"' || c == '\\' || c == '/';
        case ESCAPE_CSV:
                return c == '"';
        case ESCAPE_SQL:
                return c == '\'' || c == '\\';
        case ESCAPE_STDSQL:
                return c == '\'';
        case ESCAPE_QUOTED:
                return c == '"' || c == '\\';
        case ESCAPE_CONTROL:
                return is_control(c);
        case ESCAPE_NONE:
                break;
        }
        return false;
}

static size_t count_marked(struct text t, enum escape_kind kind) {
        size_t marked = 0;
        if (is_json(kind)) {
                for (size_t at = 0; (at += json_plain(text_slice(t, at, t.size))) < t.size; at++)
                        marked++;
                return marked;
        }
        for (size_t i = 0; i < t.size; i++)
                marked += is_marked((unsigned char)t.data[i], kind);
        return marked;
}

void value_escape(struct value *v, enum escape_kind kind) {
        if (kind == ESCAPE_JSON && !v->is_in_out) {
                json_escape_in_capitals(v->out, v->text);
                v->text = tail(v);
                v->is_in_out = true;
                return;
        }
        size_t marked = count_marked(v->text, kind);
        if (!marked)
                return;
        /* Written behind what is there, then moved down over the original where that lay in the output. */
        size_t room = v->text.size + marked * (EXPANSION_MAX - 1);
        if (!buffer_reserve(v->out, room))
                return;
        if (v->is_in_out)
                v->text.data = v->out->data + v->start;
        char *begin = v->out->data + v->out->size;
        size_t size = (size_t)(put_escaped(begin, v->text, kind) - begin);
        if (v->is_in_out)
                memmove(v->out->data + v->start, begin, size);
        v->is_in_out = true;
        v->text = (struct text){v->out->data + v->start, size};
        v->out->size = v->start + size;
}
