#include "language/loader.h"

#include <errno.h>

/* ---- Blanks, comments, words ------------------------------------------------ */

static bool is_white(int c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static void skip_comment(struct loader *l) {
        size_t opened = l->at;
        struct text rest = text_slice(l->source->text, l->at + 2, l->source->text.size);
        ptrdiff_t end = text_find(rest, TEXT("*/"));
        if (end >= 0) {
                l->at += 2 + (size_t)end + 2;
                return;
        }
        complain(l, loader_place(l, opened), 2, CODE_SYNTAX, "close it with */", "this comment has no end");
        l->at = l->source->text.size;
}

void lex_blank(struct loader *l) {
        for (;;) {
                int c = lex_peek(l, 0);
                if (is_white(c))
                        l->at++;
                else if (c == '#')
                        lex_skip_line(l);
                else if (c == '/' && lex_peek(l, 1) == '*')
                        skip_comment(l);
                else
                        return;
        }
}

bool lex_blank_between(struct loader *l) {
        do {
                lex_blank(l);
                if (l->at < l->source->text.size)
                        return true;
        } while (source_pop(l));
        return false;
}

void lex_space(struct loader *l) {
        while (lex_peek(l, 0) == ' ' || lex_peek(l, 0) == '\t')
                l->at++;
}

struct text lex_line(struct loader *l) {
        /* Many statements may stand in one long line, so that its end is looked for once. */
        bool is_known = l->line_source == l->source && l->at >= l->line_from && l->at <= l->line_end;
        if (!is_known) {
                struct text rest = lex_rest(l);
                const char *lf = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
                l->line_source = l->source;
                l->line_from = l->at;
                l->line_end = l->at + (lf ? (size_t)(lf - rest.data) : rest.size);
        }
        return text_slice(l->source->text, l->at, l->line_end);
}

void lex_skip_line(struct loader *l) {
        l->at += lex_line(l).size;
        if (lex_peek(l, 0) == '\n')
                l->at++;
}

struct text lex_word(const struct loader *l) {
        size_t size = 0;
        while (is_name_byte(lex_peek(l, size)))
                size++;
        return text_slice(l->source->text, l->at, l->at + size);
}

struct text lex_dotted_name(const struct loader *l) {
        size_t size = 0;
        for (int c; is_name_byte(c = lex_peek(l, size)) || c == '.' || c == '-'; size++)
                ;
        return text_slice(l->source->text, l->at, l->at + size);
}

bool lex_take_word(struct loader *l, const char *word) {
        struct text found = lex_word(l);
        if (!text_equal_nocase(found, text_of(word)))
                return false;
        l->at += found.size;
        return true;
}

bool lex_take(struct loader *l, char c) {
        if (lex_peek(l, 0) != (unsigned char)c)
                return false;
        l->at++;
        return true;
}

/* ---- Strings ------------------------------------------------------------------ */

static int hex_digit(int c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 32;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_octal(int c) {
        return c >= '0' && c <= '7';
}

/* Resolves the escape whose backslash is at bytes[at]; returns how many bytes it takes, 0 for none such. */
static size_t read_escape(const char *bytes, size_t left, char *ret) {
        static const char letters[] = "abfnrtv\\'\"?$", values[] = "\a\b\f\n\r\t\v\\'\"?$";
        if (left < 2)
                return 0;
        size_t digits = 0;
        for (int number = 0; digits < 3 && digits + 1 < left && is_octal(bytes[digits + 1]); digits++) {
                number = number * 8 + (bytes[digits + 1] - '0');
                *ret = (char)number;
        }
        if (digits)
                return digits + 1;
        if (left >= 4 && (bytes[1] | 32) == 'x' && hex_digit(bytes[2]) >= 0 && hex_digit(bytes[3]) >= 0) {
                *ret = (char)(hex_digit(bytes[2]) * 16 + hex_digit(bytes[3]));
                return 4;
        }
        const char *letter = memchr(letters, bytes[1], sizeof letters - 1);
        if (!letter)
                return 0;
        *ret = values[letter - letters];
        return 2;
}

size_t unescape(char *bytes, size_t size, ptrdiff_t *bad) {
        size_t to = 0;
        *bad = -1;
        for (size_t from = 0; from < size;) {
                size_t taken = bytes[from] == '\\' ? read_escape(bytes + from, size - from, &bytes[to]) : 0;
                if (taken) {
                        from += taken;
                        to++;
                        continue;
                }
                if (bytes[from] == '\\' && *bad < 0)
                        *bad = (ptrdiff_t)from;
                bytes[to++] = bytes[from++];
        }
        return to;
}

/* Where the closing quote is, counted from the opening one; -1 when it never comes. */
static ptrdiff_t find_quote(struct text t, char quote) {
        for (size_t at = 1; at < t.size; at++) {
                if (t.data[at] == '\\')
                        at++;
                else if (t.data[at] == quote)
                        return (ptrdiff_t)at;
        }
        return -1;
}

static bool check_dollar(struct loader *l, struct text raw, size_t at) {
        for (size_t i = 0; i < raw.size; i++) {
                if (raw.data[i] == '\\') {
                        i++;
                        continue;
                }
                if (raw.data[i] != '$')
                        continue;
                complain(l, loader_place(l, at + i), 1, CODE_SYNTAX,
                         "write \\$, or use single quotes; a variable stands outside the quotes",
                         "$-sign in double quotes must be escaped, problem string is: \"%.*s\"",
                         TEXT_ARGS(text_slice(raw, 0, 200)));
                return false;
        }
        return true;
}

static bool back_tick(struct loader *l, struct text *ret);

bool lex_string(struct loader *l, enum string_place where, struct text *ret) {
        size_t opened = l->at;
        char quote = (char)lex_peek(l, 0);
        if (quote == '`')
                return back_tick(l, ret);
        ptrdiff_t size = find_quote(lex_rest(l), quote);
        if (size < 0) {
                complain(l, loader_place(l, opened), 1, CODE_SYNTAX, NULL, "this string has no closing %c", quote);
                l->at = opened + 1;
                lex_resync(l);
                return false;
        }
        struct text raw = text_slice(l->source->text, opened + 1, opened + (size_t)size);
        l->at = opened + (size_t)size + 1;
        if (raw.size && memchr(raw.data, '\n', raw.size)) {
                l->long_string_at = opened;
                l->long_string_source = l->source;
        }
        if (where == STRING_IN_EXPRESSION && quote == '"' && !check_dollar(l, raw, opened + 1))
                return false;
        struct text copy = loader_text(l, raw);
        if (!copy.data)
                return false;
        ptrdiff_t bad;
        copy.size = unescape((char *)copy.data, copy.size, &bad);
        ((char *)copy.data)[copy.size] = '\0';
        *ret = copy;
        if (bad < 0)
                return true;
        complain(l, loader_place(l, opened + 1 + (size_t)bad), 2, CODE_SYNTAX, "a backslash itself is written \\\\",
                 "invalid escape sequence '\\%c' in a string", raw.size > (size_t)bad + 1 ? raw.data[bad + 1] : ' ');
        return false;
}

/* `echo $A/b$C`: variables end at white space, '/' or the next '$'. */
static void expand_echo(struct loader *l, struct text command, struct buffer *out) {
        for (size_t at = 0; at < command.size;) {
                if (command.data[at] != '$') {
                        buffer_byte(out, command.data[at++]);
                        continue;
                }
                size_t end = ++at;
                while (end < command.size && is_name_byte((unsigned char)command.data[end]))
                        end++;
                buffer_text(out, source_environment(l->config, text_slice(command, at, end)));
                at = end;
        }
}

static bool back_tick(struct loader *l, struct text *ret) {
        size_t opened = l->at;
        ptrdiff_t size = find_quote(lex_rest(l), '`');
        if (size < 0) {
                complain(l, loader_place(l, opened), 1, CODE_SYNTAX, NULL, "this string has no closing `");
                l->at++;
                lex_resync(l);
                return false;
        }
        struct text command = text_slice(l->source->text, opened + 1, opened + (size_t)size);
        l->at = opened + (size_t)size + 1;
        if (l->options->is_sealed) {
                complain(l, loader_place(l, opened), (size_t)size + 1, CODE_SYNTAX, NULL,
                         "back-ticks are not available here");
                return false;
        }
        if (text_starts(command, TEXT("cat "))) {
                const char *path = loader_string(l, text_slice(command, 4, command.size));
                struct text content = TEXT("");
                int r = path ? source_read(l->arena, path, &content) : -ENOMEM;
                if (r)
                        warn(l, loader_place(l, opened), (size_t)size + 1, CODE_SYNTAX,
                             "an unreadable file counts as an empty string", "file could not be accessed for `%.*s`",
                             TEXT_ARGS(command));
                *ret = r ? TEXT("") : content;
                return true;
        }
        if (text_starts(command, TEXT("echo "))) {
                _owned_(buffer_fini) struct buffer out = {0};
                expand_echo(l, text_slice(command, 5, command.size), &out);
                *ret = loader_text(l, buffer_as_text(&out));
                return ret->data != NULL;
        }
        complain(l, loader_place(l, opened), (size_t)size + 1, CODE_SYNTAX, "`echo $NAME` and `cat FILE` are",
                 "invalid backtick parameter `%.*s`", TEXT_ARGS(text_slice(command, 0, 200)));
        return false;
}

const char *suspect_string(struct loader *l) {
        if (l->long_string_source != l->source || l->at <= l->long_string_at)
                return NULL;
        l->long_string_source = NULL;
        _owned_(buffer_fini) struct buffer hint = {0};
        buffer_format(&hint,
                      "the string that begins in line %u spans several lines: a closing quote may be missing there",
                      loader_place(l, l->long_string_at).line);
        return loader_string(l, buffer_as_text(&hint));
}

const char *mistaken_character(struct loader *l) {
        static const struct {
                const char *bytes, *hint;
        } table[] = {
                {"\xC2\xA0", "this is no blank, but a no-break space (U+00A0): write a blank"},
                {"\xE2\x80\x9C", "this is a typographic quote (U+201C): write \" there"},
                {"\xE2\x80\x9D", "this is a typographic quote (U+201D): write \" there"},
                {"\xE2\x80\x9E", "this is a typographic quote (U+201E): write \" there"},
                {"\xE2\x80\x98", "this is a typographic quote (U+2018): write \" there"},
                {"\xE2\x80\x99", "this is a typographic quote (U+2019): write \" there"},
                {"\xE2\x80\x8B", "this is a space without width (U+200B), which cannot be seen: take it out"},
                {";", "a comment begins with #"},
                {"<",
                 "this is no configuration that rsyslog reads: a statement, a selector or a $Directive is expected"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (text_starts(lex_rest(l), text_of(table[i].bytes)))
                        return table[i].hint;
        return NULL;
}

/* ---- Finding the way back ---------------------------------------------------- */

bool looks_like_statement(struct text line) {
        line = text_trim(line);
        if (line.size == 0)
                return false;
        static const char *const words[] = {"if",   "foreach",       "set",  "unset",    "reset",
                                            "call", "call_indirect", "stop", "continue", "reload_lookup_table"};
        char c = line.data[0];
        if (c == '}' || c == '&' || c == '~')
                return true;
        if (c == '$' && line.size > 1 && is_name_byte((unsigned char)line.data[1]))
                return true;
        if (is_selector(line) || is_property_filter(line))
                return true;
        size_t size = 0;
        while (size < line.size && is_name_byte((unsigned char)line.data[size]))
                size++;
        struct text word = text_slice(line, 0, size);
        struct text behind = text_trim(text_slice(line, size, line.size));
        if (is_object_name(word))
                return text_starts(behind, TEXT("("));
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (text_equal_nocase(word, text_of(words[i])))
                        return !text_starts(behind, TEXT("="));
        return false;
}

bool lex_skip_to_end_of_block(struct loader *l) {
        if (l->blocks == 0)
                return false;
        struct text line = lex_line(l);
        unsigned opened = 0;
        char quote = 0;
        for (size_t i = 0; i < line.size; i++) {
                char c = line.data[i];
                if (quote) {
                        i += c == '\\';
                        quote = c == quote ? 0 : quote;
                } else if (c == '"' || c == '\'')
                        quote = c;
                else if (c == '#')
                        return false;
                else if (c == '{')
                        opened++;
                else if (c == '}' && opened-- == 0) {
                        l->at += i;
                        return true;
                }
        }
        return false;
}

void lex_resync(struct loader *l) {
        if (lex_skip_to_end_of_block(l))
                return;
        do
                lex_skip_line(l);
        while (l->at < l->source->text.size && !looks_like_statement(lex_line(l)));
}
