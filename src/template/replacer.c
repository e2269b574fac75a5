#include "template/replacer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "message/variable.h"

void replacer_fini(struct replacer *r) {
        if (r->regex) {
                regfree(r->regex);
                free(r->regex);
        }
        free(r->property_name);
        free(r->out_name);
        *r = (struct replacer){0};
}

static void to_lower(char *s) {
        for (; *s; s++)
                if (*s >= 'A' && *s <= 'Z')
                        *s = (char)(*s + 32);
}

int replacer_name(struct replacer *r, struct text name, bool is_case_sensitive) {
        char *copy = text_copy(name);
        if (!copy)
                return fail(-ENOMEM);
        free(r->property_name);
        r->property_name = copy;
        /* Names are lower-cased at load, even those of variables: only option.casesensitive keeps them. */
        if (!is_case_sensitive)
                to_lower(copy);
        int found = property_find(&r->property, (struct text){copy, name.size});
        if (found)
                return found;
        bool has_dollar = name.size && name.data[0] == '$';
        if (r->property.id != PROPERTY_TREE && property_is_system(&r->property) != has_dollar)
                return -ENOENT;
        return 0;
}

int replacer_regex(struct replacer *r, struct text expression, bool is_extended, char *why, size_t why_size) {
        r->extraction = EXTRACT_REGEX;
        if (expression.size > REGEX_BYTES_MAX) {
                snprintf(why, why_size, "longer than %d bytes", REGEX_BYTES_MAX);
                return -EINVAL;
        }
        _owned_(memory_free) char *pattern = text_copy(expression);
        regex_t *regex = malloc(sizeof *regex);
        if (!pattern || !regex) {
                free(regex);
                return fail(-ENOMEM);
        }
        int error = regcomp(regex, pattern, is_extended ? REG_EXTENDED : 0);
        if (error) {
                regerror(error, regex, why, why_size);
                free(regex);
                return -EINVAL;
        }
        r->regex = regex;
        return 0;
}

bool replacer_is_date(const struct replacer *r) {
        return r->property.id == PROPERTY_TIMEGENERATED || r->property.id == PROPERTY_TIMEREPORTED;
}

/* Whether the value is shown whole and unchanged, in whatever format. */
static bool keeps_value(const struct replacer *r) {
        return r->extraction == EXTRACT_WHOLE && !r->case_conversion && !r->control && !r->secure_path &&
               !r->gives_space_only && !r->compresses_space && !r->drops_last_lf;
}

bool replacer_is_plain(const struct replacer *r) {
        return keeps_value(r) && !r->format && (!replacer_is_date(r) || (r->date == DATE_RFC3164 && !r->is_date_utc));
}

bool replacer_is_member(const struct replacer *r) {
        return keeps_value(r) && r->format == FORMAT_JSONF && r->data_type == DATA_STRING && !r->omits_zero &&
               !r->is_fixed_width;
}

static const struct text field_not_found = {"**FIELD NOT FOUND**", 19};

/* ---- Extraction ---------------------------------------------------------- */

static struct text field_of(const struct replacer *r, struct text t, bool *is_found) {
        const char *at = t.data, *end = t.data + t.size;
        for (int64_t field = 1; r->field >= 1; field++) {
                const char *mark = at < end ? memchr(at, r->delimiter, (size_t)(end - at)) : NULL;
                if (field == r->field) {
                        *is_found = true;
                        return (struct text){at, (size_t)((mark ? mark : end) - at)};
                }
                if (!mark)
                        break;
                at = mark + 1;
                while (r->joins_delimiters && at < end && (uint8_t)*at == r->delimiter)
                        at++;
        }
        *is_found = false;
        return TEXT("");
}

/* Each further match is looked for where the one before ended, as in a text of its own: ^ matches there again. */
static struct text match_of(const struct replacer *r, struct text t, bool *is_found) {
        regmatch_t matches[REGEX_SUBMATCHES_MAX + 1] = {0};
        const char *base = t.data ? t.data : "";
        size_t offset = 0;
        *is_found = r->regex != NULL;
        for (unsigned round = 0; *is_found && round <= r->match; round++) {
                base += offset;
                matches[0] = (regmatch_t){.rm_so = 0, .rm_eo = (regoff_t)(t.data ? t.data + t.size - base : 0)};
                *is_found = regexec(r->regex, base, ARRAY_SIZE(matches), matches, REG_STARTEND) == 0;
                offset = *is_found ? (size_t)matches[0].rm_eo : 0;
        }
        if (*is_found) {
                regmatch_t m = matches[r->submatch];
                return m.rm_so < 0 ? TEXT("") : (struct text){base + m.rm_so, (size_t)(m.rm_eo - m.rm_so)};
        }
        switch (r->no_match) {
        case NO_MATCH_BLANK:
                return TEXT("");
        case NO_MATCH_ZERO:
                return TEXT("0");
        case NO_MATCH_FIELD:
                return t;
        case NO_MATCH_DFLT:
                break;
        }
        return r->regex ? TEXT("**NO MATCH**") : TEXT("**NO MATCH** **BAD REGULAR EXPRESSION**");
}

static struct text position_of(const struct replacer *r, struct text t) {
        int64_t size = (int64_t)t.size;
        if (size == 0)
                return t;
        if (r->counts_from_end) {
                /* Whichever is farther from the end begins. */
                int64_t first = MAX(size - MIN(MAX(r->from, r->to), size), (int64_t)0);
                int64_t last = MAX(size - MAX(MIN(r->from, r->to), (int64_t)0), (int64_t)0);
                last = MIN(last, size - 1);
                return text_slice(t, (size_t)first, (size_t)last + 1);
        }
        int64_t first = MAX(r->from, (int64_t)1);
        int64_t last = r->to;
        if (last < 0)
                last = MAX(size + last, (int64_t)1);
        if (first > size || first > last)
                return text_slice(t, 0, 0);
        return text_slice(t, (size_t)first - 1, (size_t)MIN(last, size));
}

/* A field may be cut further, when positions are given beside its number. */
static bool has_position(const struct replacer *r) {
        return r->from != 0 || r->to != 0;
}

/* False: there is no such field. */
static bool extract(const struct replacer *r, struct text *value) {
        bool is_found = true, is_match;
        switch (r->extraction) {
        case EXTRACT_WHOLE:
                break;
        case EXTRACT_POSITION:
                *value = position_of(r, *value);
                break;
        case EXTRACT_FIELD:
                *value = field_of(r, *value, &is_found);
                if (is_found && has_position(r))
                        *value = position_of(r, *value);
                break;
        case EXTRACT_REGEX:
                *value = match_of(r, *value, &is_match);
                break;
        }
        return is_found;
}

/* ---- Rendering ----------------------------------------------------------- */

static struct text render_date(const struct replacer *r, const struct record *record, char text[STAMP_TEXT_MAX]) {
        bool is_reported = r->property.id == PROPERTY_TIMEREPORTED && record->reported.is_set;
        struct stamp s = is_reported ? record->reported : stamp_of_wall(record->received_us);
        if (r->is_date_utc) {
                /* Shown with six digits whatever came in. */
                for (; s.precision < 6; s.precision++)
                        s.fraction *= 10;
                s = stamp_in_offset(&s, 0);
        }
        return (struct text){text, (size_t)(date_render(text, &s, r->date) - text)};
}

static struct text source_value(const struct replacer *r, struct property_context *context, struct batch *b,
                                struct record *record, char date[STAMP_TEXT_MAX]) {
        if (replacer_is_date(r))
                return render_date(r, record, date);
        return property_get(context, b, record, &r->property);
}

/* Everything between the extraction and the last, the format. */
static struct value changed_value(const struct replacer *r, struct text t, struct buffer *out) {
        struct value v = value_begin(out, t);
        if (r->is_fixed_width && t.size && r->to > 0 && r->to <= FIXED_WIDTH_MAX)
                value_pad(&v, (size_t)(r->to - MAX(r->from, (int64_t)1) + 1));
        if (r->gives_space_only)
                v.text = v.text.size && v.text.data[0] != ' ' ? TEXT(" ") : TEXT("");
        if (r->gives_space_only && v.is_in_out) {
                out->size = v.start;
                v.is_in_out = false;
        }
        value_case(&v, r->case_conversion);
        value_control(&v, r->control);
        value_secure_path(&v, r->secure_path);
        if (r->compresses_space)
                value_compress_space(&v);
        if (r->drops_last_lf && text_ends(v.text, TEXT("\n"))) {
                v.text.size--;
                out->size -= v.is_in_out;
        }
        return v;
}

static void quoted(struct buffer *out, struct value *v, enum escape_kind kind) {
        value_escape(v, kind);
        value_finish(v);
        /* The opening quote goes in front of what is already there. */
        if (!buffer_reserve(out, 2))
                return;
        memmove(out->data + v->start + 1, out->data + v->start, out->size - v->start);
        out->data[v->start] = '"';
        out->size++;
        buffer_byte(out, '"');
}

static bool is_digits(struct text t) {
        for (size_t i = 0; i < t.size; i++)
                if (t.data[i] < '0' || t.data[i] > '9')
                        return false;
        return t.size > 0;
}

static bool is_zero(const struct replacer *r, struct text t) {
        if (t.size == 0)
                return r->data_type == DATA_NUMBER;
        for (size_t i = 0; i < t.size; i++)
                if (t.data[i] != '0')
                        return false;
        return true;
}

/* `"name":` in front of the value, wherever that lies; false: the whole element is left out. */
static bool put_name(const struct replacer *r, struct value *v) {
        bool is_skipped = (v->text.size == 0 && r->on_empty == EMPTY_SKIP) || (r->omits_zero && is_zero(r, v->text));
        struct text name = text_of(r->out_name);
        struct buffer *out = v->out;
        if (is_skipped || !buffer_reserve(out, name.size + 3)) {
                out->size = v->start;
                return false;
        }
        size_t size = name.size + 3;
        if (v->is_in_out)
                memmove(out->data + v->start + size, out->data + v->start, v->text.size);
        char *to = out->data + v->start;
        *to++ = '"';
        to = mempcpy(to, name.data, name.size);
        *to++ = '"';
        *to++ = ':';
        out->size += size;
        v->start += size;
        if (v->is_in_out)
                v->text.data = out->data + v->start;
        return true;
}

static void put_word(struct value *v, struct text word) {
        v->out->size = v->start;
        buffer_text(v->out, word);
}

static void put_member(const struct replacer *r, struct value *v) {
        if (!put_name(r, v))
                return;
        enum escape_kind kind = r->format == FORMAT_JSONFR ? ESCAPE_JSON_RAW : ESCAPE_JSON;
        if (v->text.size == 0 && r->on_empty == EMPTY_NULL) {
                put_word(v, TEXT("null"));
        } else if (r->data_type == DATA_BOOL) {
                /* rsyslogd 8.2302 shows an empty value as true. */
                put_word(v, text_equal(v->text, TEXT("0")) ? TEXT("false") : TEXT("true"));
        } else if (r->data_type == DATA_NUMBER && v->text.size == 0) {
                put_word(v, TEXT("0"));
        } else if (r->data_type == DATA_NUMBER || (r->data_type == DATA_AUTO && is_digits(v->text))) {
                value_escape(v, kind);
                value_finish(v);
        } else {
                quoted(v->out, v, kind);
        }
}

void replacer_render(const struct replacer *r, struct property_context *context, struct batch *b, struct record *record,
                     struct buffer *out) {
        char date[STAMP_TEXT_MAX];
        struct text t = source_value(r, context, b, record, date);
        if (!extract(r, &t)) {
                buffer_text(out, field_not_found); /* as it is, whatever the options and the format */
                return;
        }
        struct value v = changed_value(r, t, out);
        switch (r->format) {
        case FORMAT_PLAIN:
                value_finish(&v);
                break;
        case FORMAT_CSV:
                quoted(out, &v, ESCAPE_CSV);
                break;
        case FORMAT_JSON:
                value_escape(&v, ESCAPE_JSON);
                value_finish(&v);
                break;
        case FORMAT_JSONR:
                value_escape(&v, ESCAPE_JSON_RAW);
                value_finish(&v);
                break;
        case FORMAT_JSONF:
        case FORMAT_JSONFR:
                put_member(r, &v);
                break;
        }
}

/* The variable, where the property is one of the record's own and neither a string nor null. */
static const struct json *tree_of(const struct replacer *r, const struct property_context *context,
                                  struct record *record, struct text *string) {
        struct json *value = property_tree(context, record, &r->property);
        *string = value && value->type == JSON_STRING ? value->string : TEXT("");
        return value && value->type != JSON_STRING && value->type != JSON_NULL ? value : NULL;
}

void replacer_render_member(const struct replacer *r, struct text head, struct property_context *context,
                            struct batch *b, struct record *record, struct buffer *out) {
        char date[STAMP_TEXT_MAX];
        const struct json *tree = NULL;
        struct text t;
        if (r->property.id == PROPERTY_TREE && r->property.scope != '/')
                tree = tree_of(r, context, record, &t);
        else
                t = source_value(r, context, b, record, date);
        if (tree) {
                buffer_text(out, head);
                json_print_quoted(out, tree, context->is_json_compact ? JSON_COMPACT : JSON_SPACED);
                buffer_byte(out, '"');
        } else if (t.size || r->on_empty == EMPTY_KEEP) {
                buffer_text(out, head);
                json_escape_in_capitals(out, t);
                buffer_byte(out, '"');
        } else if (r->on_empty == EMPTY_NULL) {
                buffer_text(out, text_slice(head, 0, head.size - 1));
                buffer_text(out, TEXT("null"));
        }
}

/* ---- As JSON ------------------------------------------------------------- */

static struct json *typed(const struct replacer *r, struct arena *a, struct text t) {
        struct json *number;
        size_t used;
        bool wants_number = r->data_type == DATA_NUMBER || (r->data_type == DATA_AUTO && is_digits(t));
        if (t.size == 0 && r->on_empty == EMPTY_NULL)
                return json_null(a);
        if (r->data_type == DATA_BOOL)
                return json_bool(a, !text_equal(t, TEXT("0")));
        if (r->data_type == DATA_NUMBER && t.size == 0)
                return json_int(a, 0);
        if (wants_number && json_parse(a, t, &number, &used) == 0 && used == t.size &&
            (number->type == JSON_INT || number->type == JSON_DOUBLE))
                return number;
        return json_string(a, t);
}

struct json *replacer_json(const struct replacer *r, struct property_context *context, struct batch *b,
                           struct record *record, struct arena *a, bool *is_failed) {
        struct json *found = NULL;
        if (r->property.id == PROPERTY_TREE && r->extraction == EXTRACT_WHOLE) {
                if (r->property.scope == '/')
                        found = context->globals ? globals_get(context->globals, r->property.path, a) : NULL;
                else
                        found = property_tree(context, record, &r->property);
                if (found && found->type != JSON_STRING) {
                        found = json_copy(a, found);
                        *is_failed = *is_failed || !found;
                        return found;
                }
        }
        _owned_(buffer_fini) struct buffer out = {0};
        char date[STAMP_TEXT_MAX];
        struct text t = source_value(r, context, b, record, date);
        struct value v = extract(r, &t) ? changed_value(r, t, &out) : value_begin(&out, field_not_found);
        bool is_left_out = (v.text.size == 0 && !r->is_mandatory && r->on_empty != EMPTY_NULL) ||
                           (r->omits_zero && is_zero(r, v.text));
        if (is_left_out)
                return NULL;
        found = buffer_failed(&out) ? NULL : typed(r, a, v.text);
        *is_failed = *is_failed || !found;
        return found;
}
