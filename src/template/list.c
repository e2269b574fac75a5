/*
 * List templates: constant() and property() with their parameters.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "template/compile.h"

/* ---- Parameters ---------------------------------------------------------- */

enum setting_type { SETTING_TEXT, SETTING_BOOL, SETTING_NUMBER, SETTING_CHOICE };

/* Everything that a part can be given; texts point into the tree. */
struct settings {
        struct text name, out_name, value, regex;
        int64_t date, is_date_utc, case_conversion, control, secure_path, format;
        int64_t from, to, counts_from_end, field, delimiter;
        int64_t regex_type, no_match, match, submatch;
        int64_t drops_last_lf, is_fixed_width, is_mandatory, omits_zero, gives_space_only, compresses_space;
        int64_t data_type, on_empty;
        bool has_name, has_value, has_regex, has_field, has_from, has_to;
        struct place name_place;
        size_t name_width;
};

struct setting {
        const char *name;
        enum setting_type type;
        size_t offset; /* of a struct text, or an int64_t */
        size_t given;  /* offset of a bool that says it was given; 0: none */
        const char *const *choices;
        int64_t min, max; /* of a number */
};

static const char *const case_names[] = {[CASE_KEEP] = "", [CASE_LOWER] = "lower", [CASE_UPPER] = "upper", NULL};
static const char *const control_names[] = {
        [CONTROL_KEEP] = "", [CONTROL_ESCAPE] = "escape", [CONTROL_SPACE] = "space", [CONTROL_DROP] = "drop", NULL};
static const char *const secure_path_names[] = {
        [PATH_KEEP] = "", [PATH_DROP] = "drop", [PATH_REPLACE] = "replace", NULL};
static const char *const format_names[] = {[FORMAT_PLAIN] = "",
                                           [FORMAT_CSV] = "csv",
                                           [FORMAT_JSON] = "json",
                                           [FORMAT_JSONF] = "jsonf",
                                           [FORMAT_JSONR] = "jsonr",
                                           [FORMAT_JSONFR] = "jsonfr",
                                           NULL};
static const char *const regex_types[] = {"BRE", "ERE", NULL};
static const char *const no_match_names[] = {[NO_MATCH_DFLT] = "DFLT",
                                             [NO_MATCH_BLANK] = "BLANK",
                                             [NO_MATCH_ZERO] = "ZERO",
                                             [NO_MATCH_FIELD] = "FIELD",
                                             NULL};
static const char *const data_types[] = {
        [DATA_STRING] = "string", [DATA_NUMBER] = "number", [DATA_BOOL] = "bool", [DATA_AUTO] = "auto", NULL};
static const char *const on_empty_names[] = {[EMPTY_KEEP] = "keep", [EMPTY_SKIP] = "skip", [EMPTY_NULL] = "null", NULL};

#define AT(field) offsetof(struct settings, field)

static const struct setting property_settings[] = {
        {"name", SETTING_TEXT, AT(name), AT(has_name)},
        {"outname", SETTING_TEXT, AT(out_name)},
        {"dateformat", SETTING_CHOICE, AT(date), 0, date_format_names},
        {"date.inutc", SETTING_BOOL, AT(is_date_utc)},
        {"caseconversion", SETTING_CHOICE, AT(case_conversion), 0, case_names},
        {"controlcharacters", SETTING_CHOICE, AT(control), 0, control_names},
        {"securepath", SETTING_CHOICE, AT(secure_path), 0, secure_path_names},
        {"format", SETTING_CHOICE, AT(format), 0, format_names},
        {"position.from", SETTING_NUMBER, AT(from), AT(has_from), NULL, -INT32_MAX, INT32_MAX},
        {"position.to", SETTING_NUMBER, AT(to), AT(has_to), NULL, -INT32_MAX, INT32_MAX},
        {"position.relativetoend", SETTING_BOOL, AT(counts_from_end)},
        {"field.number", SETTING_NUMBER, AT(field), AT(has_field), NULL, 0, INT32_MAX},
        {"field.delimiter", SETTING_NUMBER, AT(delimiter), 0, NULL, 0, 255},
        {"regex.expression", SETTING_TEXT, AT(regex), AT(has_regex)},
        {"regex.type", SETTING_CHOICE, AT(regex_type), 0, regex_types},
        {"regex.nomatchmode", SETTING_CHOICE, AT(no_match), 0, no_match_names},
        {"regex.match", SETTING_NUMBER, AT(match), 0, NULL, 0, REGEX_MATCHES_MAX},
        {"regex.submatch", SETTING_NUMBER, AT(submatch), 0, NULL, 0, REGEX_SUBMATCHES_MAX},
        {"droplastlf", SETTING_BOOL, AT(drops_last_lf)},
        {"fixedwidth", SETTING_BOOL, AT(is_fixed_width)},
        {"mandatory", SETTING_BOOL, AT(is_mandatory)},
        {"omitifzero", SETTING_BOOL, AT(omits_zero)},
        {"spifno1stsp", SETTING_BOOL, AT(gives_space_only)},
        {"compressspace", SETTING_BOOL, AT(compresses_space)},
        {"datatype", SETTING_CHOICE, AT(data_type), 0, data_types},
        {"onempty", SETTING_CHOICE, AT(on_empty), 0, on_empty_names},
        {},
};

static const struct setting constant_settings[] = {
        {"value", SETTING_TEXT, AT(value), AT(has_value)},
        {"outname", SETTING_TEXT, AT(out_name)},
        {"format", SETTING_CHOICE, AT(format), 0, format_names},
        {},
};

static const struct setting *find_setting(const struct setting *table, struct text name) {
        for (const struct setting *s = table; s->name; s++)
                if (text_equal_nocase(name, text_of(s->name)))
                        return s;
        return NULL;
}

static const char *closest_setting(const struct setting *table, struct text name) {
        const char *names[ARRAY_SIZE(property_settings)];
        size_t count = 0;
        for (const struct setting *s = table; s->name; s++)
                names[count++] = s->name;
        return text_closest(name, names, count);
}

static bool read_bool(struct text t, int64_t *ret) {
        static const struct {
                const char *word;
                bool is_on;
        } words[] = {{"on", true},   {"yes", true}, {"true", true},   {"1", true},
                     {"off", false}, {"no", false}, {"false", false}, {"0", false}};
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (text_equal_nocase(t, text_of(words[i].word))) {
                        *ret = words[i].is_on;
                        return true;
                }
        return false;
}

static bool read_choice(struct text t, const char *const *choices, int64_t *ret) {
        for (int i = 0; choices[i]; i++)
                if (t.size && text_equal_nocase(t, text_of(choices[i]))) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* "json, jsonf or jsonr" */
static void list_choices(struct buffer *out, const char *const *choices) {
        buffer_text(out, TEXT("one of "));
        bool is_first = true;
        for (int i = 0; choices[i]; i++) {
                if (!*choices[i])
                        continue;
                buffer_text(out, is_first ? TEXT_NONE : TEXT(", "));
                buffer_text(out, text_of(choices[i]));
                is_first = false;
        }
}

static void wrong_value(struct compiler *c, const struct assignment *a, const struct setting *s, struct text value) {
        _owned_(buffer_fini) struct buffer hint = {0};
        if (s->type == SETTING_CHOICE)
                list_choices(&hint, s->choices);
        else if (s->type == SETTING_BOOL)
                buffer_text(&hint, TEXT("on or off"));
        else
                buffer_format(&hint, "a number from %lld to %lld", (long long)s->min, (long long)s->max);
        compiler_mistake(c, SEVERITY_ERR, a->value_place, value.size + 2, buffer_string(&hint),
                         s->type == SETTING_NUMBER ? "parameter '%s' is not a proper number: '%.*s'"
                                                   : "invalid %s '%.*s' in template",
                         s->name, TEXT_ARGS(value));
        c->is_unusable = true;
}

static void read_assignment(struct compiler *c, const struct assignment *a, const struct setting *s,
                            struct settings *ret) {
        struct text value = a->count ? a->items[0] : TEXT("");
        char *field = (char *)ret + s->offset;
        int64_t number = 0;
        bool is_right = a->count == 1;
        switch (s->type) {
        case SETTING_TEXT:
                memcpy(field, &value, sizeof value);
                break;
        case SETTING_BOOL:
                is_right = is_right && read_bool(value, &number);
                break;
        case SETTING_NUMBER:
                is_right = is_right && text_to_int(value, &number) == 0 && number >= s->min && number <= s->max;
                break;
        case SETTING_CHOICE:
                is_right = is_right && read_choice(value, s->choices, &number);
                break;
        }
        if (!is_right) {
                wrong_value(c, a, s, value);
                return;
        }
        if (s->type != SETTING_TEXT)
                memcpy(field, &number, sizeof number);
        if (s->given)
                *((bool *)ret + s->given) = true;
}

static void read_settings(struct compiler *c, const struct template_part *part, const struct setting *table,
                          struct settings *ret) {
        for (const struct assignment *a = part->assignments; a; a = a->next) {
                const struct setting *s = find_setting(table, a->name);
                if (s) {
                        read_assignment(c, a, s, ret);
                } else {
                        compiler_mistake(c, SEVERITY_ERR, a->name_place, a->name.size, closest_setting(table, a->name),
                                         "parameter '%.*s' not known -- typo in config file?", TEXT_ARGS(a->name));
                        continue;
                }
                if (s->offset == AT(name)) {
                        ret->name_place = a->value_place;
                        ret->name_width = ret->name.size + 2;
                }
        }
}

static bool is_given(struct compiler *c, const struct template_part *part, bool is, const char *name) {
        if (is)
                return true;
        compiler_mistake(c, SEVERITY_ERR, part->place, 0, NULL,
                         "parameter '%s' required but not specified - fix config", name);
        c->is_unusable = true;
        return false;
}

/* ---- constant() ---------------------------------------------------------- */

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * A constant is unescaped once more than other strings, so `\\n` in the file is a
 * line feed as well as `\n`. Unknown escapes stay as they are.
 */
static void unescape(struct buffer *out, struct text t) {
        static const char pairs[] = "a\ab\bf\fn\nr\rt\t''\"\"??\\\\";
        for (size_t i = 0; i < t.size; i++) {
                if (t.data[i] != '\\' || i + 1 == t.size) {
                        buffer_byte(out, t.data[i]);
                        continue;
                }
                char letter = t.data[++i];
                if (letter == 'x' && i + 2 < t.size && hex_digit(t.data[i + 1]) >= 0 && hex_digit(t.data[i + 2]) >= 0) {
                        buffer_byte(out, (char)(hex_digit(t.data[i + 1]) << 4 | hex_digit(t.data[i + 2])));
                        i += 2;
                        continue;
                }
                const char *pair = pairs;
                while (*pair && *pair != letter)
                        pair += 2;
                if (!*pair)
                        buffer_byte(out, '\\');
                buffer_byte(out, *pair ? pair[1] : letter);
        }
}

static int add_constant(struct compiler *c, const struct template_part *part) {
        struct settings s = {0};
        read_settings(c, part, constant_settings, &s);
        if (!is_given(c, part, s.has_value, "value"))
                return 0;
        if (s.format != FORMAT_PLAIN && s.format != FORMAT_JSONF) {
                compiler_mistake(c, SEVERITY_ERR, part->place, 0, "jsonf", "invalid format type '%s' for constant",
                                 format_names[s.format]);
                c->is_unusable = true;
                return 0;
        }
        if (s.format == FORMAT_JSONF && s.out_name.size == 0) {
                compiler_mistake(c, SEVERITY_ERR, part->place, 0, "outname=\"...\" names the member",
                                 "constant set to format jsonf, but outname not specified - aborting");
                c->is_unusable = true;
                return 0;
        }
        _owned_(buffer_fini) struct buffer text = {0};
        unescape(&text, s.value);
        if (buffer_failed(&text))
                return fail(-ENOMEM);
        if (s.out_name.size == 0 && !c->template->is_jsonf)
                return template_add_constant(c, buffer_as_text(&text));
        return template_add_named_constant(c, buffer_as_text(&text), s.out_name, s.format == FORMAT_JSONF);
}

/* ---- property() ---------------------------------------------------------- */

static void set_positions(struct compiler *c, const struct template_part *part, const struct settings *s,
                          struct replacer *r) {
        r->from = MAX(s->from, (int64_t)0);
        r->to = s->has_to ? s->to : INT64_MAX;
        r->counts_from_end = s->counts_from_end;
        r->is_fixed_width = s->is_fixed_width;
        if (!s->has_from && !s->has_to)
                r->to = 0;
        else if (s->has_to && s->to >= 0 && s->to < r->from && !r->counts_from_end) {
                compiler_mistake(c, SEVERITY_ERR, part->place, 0, "positions count from 1; position.to is the larger",
                                 "position.to=%lld is lower than postion.from=%lld", (long long)s->to,
                                 (long long)r->from);
                c->is_unusable = true;
        }
        if (r->is_fixed_width && r->to != INT64_MAX && r->to > FIXED_WIDTH_MAX)
                r->to = FIXED_WIDTH_MAX;
}

static int set_extraction(struct compiler *c, const struct template_part *part, const struct settings *s,
                          struct replacer *r) {
        set_positions(c, part, s, r);
        if (s->has_regex) {
                char why[128];
                r->no_match = (enum no_match)s->no_match;
                r->match = (uint8_t)s->match;
                r->submatch = (uint8_t)s->submatch;
                int error = replacer_regex(r, s->regex, s->regex_type == 1, why, sizeof why);
                if (error != -EINVAL)
                        return error;
                /* The rest of the template still runs, with rsyslog's own complaint in the gap. */
                compiler_mistake(c, SEVERITY_ERR, part->place, 0, NULL, "error compiling regex '%.*s': %s",
                                 TEXT_ARGS(s->regex), why);
                return 0;
        }
        if (s->has_field) {
                r->extraction = EXTRACT_FIELD;
                r->field = s->field;
                r->delimiter = (uint8_t)s->delimiter;
        } else if (r->from || r->to) {
                r->extraction = EXTRACT_POSITION;
        }
        return 0;
}

static void set_options(const struct settings *s, struct replacer *r) {
        r->date = (enum date_format)s->date;
        r->is_date_utc = s->is_date_utc;
        r->case_conversion = (enum case_conversion)s->case_conversion;
        r->control = (enum control_characters)s->control;
        r->secure_path = (enum secure_path)s->secure_path;
        r->gives_space_only = s->gives_space_only;
        r->compresses_space = s->compresses_space;
        r->drops_last_lf = s->drops_last_lf;
        r->format = (enum value_format)s->format;
        r->data_type = (enum data_type)s->data_type;
        r->on_empty = (enum on_empty)s->on_empty;
        r->omits_zero = s->omits_zero;
        r->is_mandatory = s->is_mandatory;
}

/* The member's name where none is given: as written; "usr!name" for $!Usr!name and
 * "all-json" for $!all-json, but $.name keeps its mark. */
static struct text default_out_name(const struct replacer *r, struct text written) {
        struct text name = text_of(r->property_name);
        if (r->property.id != PROPERTY_TREE)
                return text_slice(written, text_starts(written, TEXT("$!")) ? 2 : 0, written.size);
        return text_starts(name, TEXT("$!")) ? text_slice(name, 2, name.size) : name;
}

static int add_property(struct compiler *c, const struct template_part *part) {
        struct settings s = {.delimiter = FIELD_DELIMITER_DEFAULT};
        read_settings(c, part, property_settings, &s);
        if (!is_given(c, part, s.has_name, "name"))
                return 0;
        struct replacer replacer = {0};
        int r = replacer_name(&replacer, s.name, c->template->is_case_sensitive);
        if (r == -ENOENT) {
                /* The rest of the template still runs, with this in the gap. */
                compiler_unknown_property(c, s.name_place, s.name);
                replacer_fini(&replacer);
                return template_add_constant(c, TEXT("**INVALID PROPERTY NAME**"));
        }
        set_options(&s, &replacer);
        if (!r)
                r = set_extraction(c, part, &s, &replacer);
        struct text out_name = s.out_name.size ? s.out_name : default_out_name(&replacer, s.name);
        if (!r && !(replacer.out_name = text_copy(out_name)))
                r = fail(-ENOMEM);
        if (r || c->is_unusable) {
                replacer_fini(&replacer);
                return r;
        }
        return template_add_replacer(c, &replacer);
}

int list_compile(struct compiler *c) {
        if (!c->def->parts) {
                compiler_mistake(c, SEVERITY_ERR, c->def->place, 0, "constant() and property() go into { }",
                                 "template '%s' of type list has no parameters specified", c->def->name);
                c->is_unusable = true;
        }
        for (const struct template_part *part = c->def->parts; part; part = part->next) {
                int r = part->is_constant ? add_constant(c, part) : add_property(c, part);
                if (r)
                        return pass(r);
        }
        return 0;
}
