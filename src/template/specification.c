/*
 * String templates: constant text with replacers between percent signs.
 *
 *   %NAME%  %NAME:FROM:TO:OPTIONS%
 *   FROM:TO   2:5  2:$                          positions
 *             F,44,2:3,5                        third field of those that a comma parts, positions 2 to 5 of it
 *             R,ERE,1,BLANK,0:expression--end   first group of the first match
 *
 * rsyslog is forgiving here, and so is this: digits count up to the first byte that
 * is none, unknown options are passed over with a warning.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "template/compile.h"

struct cursor {
        struct compiler *compiler;
        struct text rest;
        size_t at;    /* of rest in the template's string */
        size_t begin; /* of the replacer that is read */
};

static struct place place_of(const struct cursor *c) {
        struct place place = c->compiler->def->string_place;
        place.column += (uint32_t)c->begin;
        return place;
}

#define MISTAKE(c, severity, hint, ...)                                                                                \
        compiler_mistake((c)->compiler, severity, place_of(c), (c)->at - (c)->begin, hint, __VA_ARGS__)

static int peek(const struct cursor *c) {
        return c->rest.size ? (unsigned char)c->rest.data[0] : -1;
}

static bool peek_one_of(const struct cursor *c, const char *bytes) {
        return peek(c) > 0 && strchr(bytes, peek(c));
}

static void advance(struct cursor *c, size_t count) {
        c->rest = text_slice(c->rest, count, c->rest.size);
        c->at += count;
}

static bool take_byte(struct cursor *c, char wanted) {
        if (peek(c) != (unsigned char)wanted)
                return false;
        advance(c, 1);
        return true;
}

/* Up to one of the bytes of `ends`, which stays; all of the rest when there is none. */
static struct text take_until(struct cursor *c, const char *ends) {
        size_t size = 0;
        while (size < c->rest.size && !strchr(ends, c->rest.data[size] ? c->rest.data[size] : 1))
                size++;
        struct text taken = text_slice(c->rest, 0, size);
        advance(c, size);
        return taken;
}

/* 0 where there are no digits; numbers beyond any text count as its end. */
static int64_t take_number(struct cursor *c) {
        int64_t number = 0;
        while (peek(c) >= '0' && peek(c) <= '9') {
                number = MIN(number * 10 + (peek(c) - '0'), (int64_t)INT32_MAX);
                advance(c, 1);
        }
        return number;
}

static int64_t take_position(struct cursor *c) {
        int64_t position = take_byte(c, '$') ? INT64_MAX : take_number(c);
        take_until(c, ":%");
        return position;
}

/* ---- From and to --------------------------------------------------------- */

static int read_field(struct cursor *c, struct replacer *r) {
        r->extraction = EXTRACT_FIELD;
        r->delimiter = FIELD_DELIMITER_DEFAULT;
        if (take_byte(c, ',')) {
                bool has_number = peek(c) >= '0' && peek(c) <= '9';
                int64_t delimiter = take_number(c);
                if (delimiter > 255)
                        MISTAKE(c, SEVERITY_WARNING, NULL,
                                "non-USASCII delimiter character value %lld in template - using 9 (HT) as substitute",
                                (long long)delimiter);
                else if (has_number)
                        r->delimiter = (uint8_t)delimiter;
                if (!has_number && !peek_one_of(c, ",:%")) {
                        MISTAKE(c, SEVERITY_ERR, "write the decimal number of the character: F,44 for a comma",
                                "invalid character in frompos after \"F,\"");
                        return -EINVAL;
                }
                r->joins_delimiters = take_byte(c, '+');
                if (take_byte(c, ','))
                        r->from = take_number(c);
        }
        if (!take_byte(c, ':')) {
                MISTAKE(c, SEVERITY_ERR, "the form is F,DELIMITER:NUMBER, as in %msg:F,44:2%",
                        "invalid character in frompos after \"F\"");
                return -EINVAL;
        }
        r->field = take_number(c);
        if (take_byte(c, ','))
                r->to = take_number(c);
        take_until(c, ":%");
        return 0;
}

static bool take_digit(struct cursor *c, uint8_t *ret) {
        if (peek(c) < '0' || peek(c) > '9')
                return false;
        *ret = (uint8_t)(peek(c) - '0');
        advance(c, 1);
        return true;
}

static bool take_word(struct cursor *c, const char *const *words, size_t count, int *ret) {
        for (size_t i = 0; i < count; i++)
                if (text_starts(c->rest, text_of(words[i]))) {
                        advance(c, strlen(words[i]));
                        *ret = (int)i;
                        return true;
                }
        return false;
}

/* What stands between R and the colon: ",TYPE,SUBMATCH,NOMATCH,MATCH", each optional from the right. */
static bool read_regex_options(struct cursor *c, struct replacer *r, bool *is_extended) {
        static const char *const types[] = {"BRE", "ERE"};
        static const char *const no_matches[] = {[NO_MATCH_DFLT] = "DFLT",
                                                 [NO_MATCH_BLANK] = "BLANK",
                                                 [NO_MATCH_ZERO] = "ZERO",
                                                 [NO_MATCH_FIELD] = "FIELD"};
        int type = 0, no_match = NO_MATCH_DFLT;
        if (take_byte(c, ',') && !take_word(c, types, ARRAY_SIZE(types), &type))
                return false;
        if (take_byte(c, ',') && !take_digit(c, &r->submatch))
                return false;
        if (take_byte(c, ',') && !take_word(c, no_matches, ARRAY_SIZE(no_matches), &no_match))
                return false;
        if (take_byte(c, ',') && !take_digit(c, &r->match))
                return false;
        *is_extended = type == 1;
        r->no_match = (enum no_match)no_match;
        return take_byte(c, ':');
}

static int read_regex(struct cursor *c, struct replacer *r) {
        bool is_extended = false;
        r->extraction = EXTRACT_REGEX;
        if (!read_regex_options(c, r, &is_extended)) {
                MISTAKE(c, SEVERITY_ERR, "the form is R,BRE|ERE,0-9,DFLT|BLANK|ZERO|FIELD,0-9:expression--end",
                        "invalid character in frompos after \"R\"");
                return -EINVAL;
        }
        ptrdiff_t size = text_find(c->rest, TEXT("--end"));
        if (size < 0) {
                MISTAKE(c, SEVERITY_ERR, "close it with --end, as in %msg:R:[0-9]*--end%",
                        "regular expression has no end");
                return -EINVAL;
        }
        char why[128];
        struct text expression = text_slice(c->rest, 0, (size_t)size);
        int error = replacer_regex(r, expression, is_extended, why, sizeof why);
        advance(c, (size_t)size + strlen("--end"));
        if (error != -EINVAL)
                return error;
        /* The rest of the template still runs, with rsyslog's own complaint in the gap. */
        MISTAKE(c, SEVERITY_ERR, NULL, "error compiling regex '%.*s': %s", TEXT_ARGS(expression), why);
        return 0;
}

static int read_extraction(struct cursor *c, struct replacer *r) {
        if (take_byte(c, 'F'))
                return read_field(c, r);
        if (take_byte(c, 'R'))
                return read_regex(c, r);
        r->from = peek(c) == '$' ? 0 : take_number(c);
        take_until(c, ":%");
        if (take_byte(c, ':'))
                r->to = take_position(c);
        if (r->from || r->to)
                r->extraction = EXTRACT_POSITION;
        return 0;
}

/* ---- Options ------------------------------------------------------------- */

struct option {
        const char *name;
        void (*apply)(struct replacer *r, int value);
        int value;
};

static void set_case(struct replacer *r, int value) {
        r->case_conversion = (enum case_conversion)value;
}
/* Dropping beats blanks, and those beat escapes, in whatever order they are named. */
static void set_control(struct replacer *r, int value) {
        r->control = (enum control_characters)MAX((int)r->control, value);
}
/* Dropping beats replacing, whichever is named last. */
static void set_secure_path(struct replacer *r, int value) {
        if (r->secure_path != PATH_DROP)
                r->secure_path = (enum secure_path)value;
}
static void set_date(struct replacer *r, int value) {
        r->date = (enum date_format)value;
}
static void set_utc(struct replacer *r, int value) {
        r->is_date_utc = value;
}
static void set_fixed_width(struct replacer *r, int value) {
        r->is_fixed_width = value;
}
static void set_drop_last_lf(struct replacer *r, int value) {
        r->drops_last_lf = value;
}
static void set_compress(struct replacer *r, int value) {
        r->compresses_space = value;
}
static void set_space_only(struct replacer *r, int value) {
        r->gives_space_only = value;
}
static void set_from_end(struct replacer *r, int value) {
        r->counts_from_end = value;
}
static void set_mandatory(struct replacer *r, int value) {
        r->is_mandatory = value;
}

static const struct option options[] = {
        {"lowercase", set_case, CASE_LOWER},
        {"uppercase", set_case, CASE_UPPER},
        {"escape-cc", set_control, CONTROL_ESCAPE},
        {"space-cc", set_control, CONTROL_SPACE},
        {"drop-cc", set_control, CONTROL_DROP},
        {"secpath-drop", set_secure_path, PATH_DROP},
        {"secpath-replace", set_secure_path, PATH_REPLACE},
        {"date-utc", set_utc, true},
        {"fixed-width", set_fixed_width, true},
        {"drop-last-lf", set_drop_last_lf, true},
        {"compressspace", set_compress, true},
        {"sp-if-no-1st-sp", set_space_only, true},
        {"pos-end-relative", set_from_end, true},
        {"mandatory-field", set_mandatory, true},
};

static const struct {
        const char *name;
        enum value_format format;
} formats[] = {{"csv", FORMAT_CSV},
               {"json", FORMAT_JSON},
               {"jsonf", FORMAT_JSONF},
               {"jsonr", FORMAT_JSONR},
               {"jsonfr", FORMAT_JSONFR}};

static bool apply_format(struct cursor *c, struct replacer *r, struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                if (!text_equal_nocase(name, text_of(formats[i].name)))
                        continue;
                if (r->format)
                        MISTAKE(c, SEVERITY_WARNING, NULL,
                                "can only specify one option out of (json, jsonf, jsonr, jsonfr, csv) - %s ignored",
                                formats[i].name);
                else
                        r->format = formats[i].format;
                return true;
        }
        return false;
}

static bool apply_date(struct replacer *r, struct text name) {
        if (!text_starts_nocase(name, TEXT("date-")))
                return false;
        for (int i = 0; date_format_names[i]; i++)
                if (text_equal_nocase(text_slice(name, 5, name.size), text_of(date_format_names[i]))) {
                        set_date(r, i);
                        return true;
                }
        return false;
}

static const char *closest_option(struct text wrong) {
        const char *names[ARRAY_SIZE(options) + ARRAY_SIZE(formats)];
        size_t count = 0;
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                names[count++] = options[i].name;
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                names[count++] = formats[i].name;
        return text_closest(wrong, names, count);
}

static void apply_option(struct cursor *c, struct replacer *r, struct text name) {
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (text_equal_nocase(name, text_of(options[i].name))) {
                        options[i].apply(r, options[i].value);
                        return;
                }
        if (apply_date(r, name) || apply_format(c, r, name))
                return;
        MISTAKE(c, SEVERITY_WARNING, closest_option(name),
                "template error: invalid field option '%.*s' specified - ignored", TEXT_ARGS(name));
}

/* "jsonf:name" takes the rest of the replacer as the name. */
static int read_options(struct cursor *c, struct replacer *r) {
        for (;;) {
                struct text name = take_until(c, ",:%");
                if (name.size)
                        apply_option(c, r, name);
                bool is_member = r->format == FORMAT_JSONF || r->format == FORMAT_JSONFR;
                if (peek(c) == ':' && is_member && text_starts_nocase(name, TEXT("jsonf"))) {
                        advance(c, 1);
                        r->out_name = text_copy(take_until(c, "%"));
                        return r->out_name ? 0 : fail(-ENOMEM);
                }
                if (!take_byte(c, ','))
                        return 0;
        }
}

/* ---- The whole ----------------------------------------------------------- */

/* Positions as string templates count them: 0 is not given, and the smaller one comes first. */
static void settle_positions(struct replacer *r) {
        if (!r->counts_from_end && r->from > r->to) {
                int64_t from = r->from;
                r->from = r->to;
                r->to = from;
        }
        if (r->is_fixed_width && r->to != INT64_MAX)
                r->to = MIN(r->to, (int64_t)FIXED_WIDTH_MAX);
}

/* The member's name where none is given: as written, "usr!name" for $!Usr!name; a global variable keeps its mark. */
static struct text default_out_name(const struct replacer *r, struct text written) {
        struct text name = text_of(r->property_name);
        if (r->property.id != PROPERTY_TREE)
                return written;
        if (text_starts(name, TEXT("$/")))
                return name;
        return text_slice(name, text_starts(name, TEXT("$")) ? 2 : 1, name.size);
}

static int read_replacer(struct cursor *c, struct replacer *r) {
        struct text name = take_until(c, ":%");
        int error = replacer_name(r, name, c->compiler->template->is_case_sensitive);
        if (error == -ENOENT) {
                compiler_unknown_property(c->compiler, place_of(c), name);
                c->compiler->is_unusable = true;
                take_until(c, "%");
                return 0;
        }
        if (!error && take_byte(c, ':'))
                error = read_extraction(c, r);
        if (!error && take_byte(c, ':'))
                error = read_options(c, r);
        take_until(c, "%");
        settle_positions(r);
        if (!error && !r->out_name && !(r->out_name = text_copy(default_out_name(r, name))))
                error = fail(-ENOMEM);
        return error;
}

/* One escape of $template: letters, \%, or the decimal number of a byte in up to three digits. */
static char take_escape(struct cursor *c) {
        static const char pairs[] = "a\ab\bf\fn\nr\r";
        if (peek(c) >= '0' && peek(c) <= '9') {
                unsigned number = 0;
                for (int digits = 0; digits < 3 && peek(c) >= '0' && peek(c) <= '9'; digits++, advance(c, 1))
                        number = number * 10 + (unsigned)(peek(c) - '0');
                return (char)number;
        }
        char letter = c->rest.data[0];
        advance(c, 1);
        for (const char *pair = pairs; *pair; pair += 2)
                if (pair[0] == letter)
                        return pair[1];
        return letter;
}

static int read_constant(struct cursor *c) {
        if (!c->compiler->def->has_escapes)
                return template_add_constant(c->compiler, take_until(c, "%"));
        _owned_(buffer_fini) struct buffer text = {0};
        while (c->rest.size && peek(c) != '%') {
                buffer_text(&text, take_until(c, "%\\"));
                if (take_byte(c, '\\'))
                        buffer_byte(&text, c->rest.size ? take_escape(c) : '\\');
        }
        return buffer_failed(&text) ? fail(-ENOMEM) : template_add_constant(c->compiler, buffer_as_text(&text));
}

int specification_compile(struct compiler *compiler) {
        struct cursor c = {.compiler = compiler, .rest = compiler->def->string};
        while (c.rest.size) {
                if (peek(&c) != '%') {
                        int r = read_constant(&c);
                        if (r)
                                return pass(r);
                        continue;
                }
                c.begin = c.at;
                advance(&c, 1);
                struct replacer replacer = {0};
                int r = read_replacer(&c, &replacer);
                take_byte(&c, '%');
                if (r == -ENOMEM) {
                        replacer_fini(&replacer);
                        return pass(r);
                }
                if (r || compiler->is_unusable) {
                        compiler->is_unusable = true;
                        replacer_fini(&replacer);
                        continue;
                }
                r = template_add_replacer(compiler, &replacer);
                if (r)
                        return pass(r);
        }
        return 0;
}
