/*
 * The filters of old: "auth,authpriv.*;mail.!=info" and ":msg, !contains, "x"".
 *
 * A selector is read from left to right; each part adds or takes away bits of
 * the facilities that it names, so that a later part overrules an earlier one.
 */
#include "language/loader.h"

#include <errno.h>

#include "base/fail.h"
#include "module/settings.h"

enum { FACILITY_ALL = -2, FACILITY_MARK = FACILITIES };

static bool is_selector_byte(int c) {
        return is_name_byte(c) || c == '*' || c == '-';
}

static size_t name_size(struct text t, size_t from) {
        size_t size = 0;
        while (from + size < t.size && is_selector_byte((unsigned char)t.data[from + size]))
                size++;
        return size;
}

static int find_facility(struct text name) {
        if (text_equal(name, TEXT("*")))
                return FACILITY_ALL;
        if (text_equal_nocase(name, TEXT("mark")))
                return FACILITY_MARK;
        /* A number is that of a priority whose facility is meant: 8 is user. */
        int64_t number;
        if (text_to_int(name, &number) == 0)
                return number >= 0 && number >> 3 < FACILITIES ? (int)(number >> 3) : -1;
        return facility_by_name(name);
}

bool is_selector(struct text t) {
        size_t size = name_size(t, 0);
        if (size == 0 || size >= t.size || (t.data[0] >= '0' && t.data[0] <= '9') ||
            (t.data[size] != '.' && t.data[size] != ','))
                return false;
        return find_facility(text_slice(t, 0, size)) != -1;
}

/* ---- Selectors ------------------------------------------------------------------- */

struct priority {
        bool is_exact;    /* "=" */
        bool is_excluded; /* "!" */
        bool is_all, is_none;
        int severity;
};

static void apply(struct statement *s, int facility, const struct priority *p) {
        /* No severity equals "*". */
        if (p->is_all && p->is_exact)
                return;
        uint8_t bits = (uint8_t)(p->is_exact ? 1u << p->severity : (2u << p->severity) - 1);
        if (p->is_all || p->is_none)
                bits = PRIORITIES_ALL;
        bool is_added = p->is_none ? p->is_excluded : !p->is_excluded;
        int first = facility == FACILITY_ALL ? 0 : facility, last = facility == FACILITY_ALL ? FACILITIES : facility;
        for (int f = first; f <= last; f++) {
                if (is_added)
                        s->priorities[f] |= bits;
                else
                        s->priorities[f] &= (uint8_t)~bits;
        }
}

static const char *closest_facility(struct loader *l, struct text name) {
        const char *names[FACILITIES + 1];
        for (unsigned i = 0; i < FACILITIES; i++)
                names[i] = facility_name(i);
        names[FACILITIES] = "security";
        return did_you_mean(l, text_closest(name, names, ARRAY_SIZE(names)));
}

static const char *closest_severity(struct loader *l, struct text name) {
        const char *names[10];
        for (unsigned i = 0; i < 8; i++)
                names[i] = severity_name(i);
        names[8] = "error";
        names[9] = "none";
        return did_you_mean(l, text_closest(name, names, ARRAY_SIZE(names)));
}

/* "=err", "!info", "*", "none" behind the dot; moves *at behind it. */
static bool read_priority(struct loader *l, struct text t, size_t *at, size_t base, struct priority *ret) {
        *ret = (struct priority){0};
        for (; *at < t.size && (t.data[*at] == '!' || t.data[*at] == '='); ++*at) {
                ret->is_excluded |= t.data[*at] == '!';
                ret->is_exact |= t.data[*at] == '=';
        }
        size_t size = name_size(t, *at), from = *at;
        /* No priority has a `-` in it: it begins an action that follows without a blank. */
        const char *dash = memchr(t.data + from, '-', size);
        if (dash)
                size = (size_t)(dash - (t.data + from));
        struct text name = text_slice(t, from, from + size);
        *at += size;
        ret->is_all = text_equal(name, TEXT("*"));
        ret->is_none = text_equal_nocase(name, TEXT("none"));
        if (ret->is_all || ret->is_none)
                return true;
        ret->severity = severity_by_name(name);
        if (ret->severity >= 0)
                return true;
        complain(l, loader_place(l, base + from), MAX(size, (size_t)1), CODE_SYNTAX, closest_severity(l, name),
                 "unknown priority name \"%.*s\"", TEXT_ARGS(text_slice(name, 0, 100)));
        return false;
}

/* One "facility,facility.priority"; *at moves behind it. */
static bool read_part(struct loader *l, struct statement *s, struct text t, size_t *at, size_t base) {
        int facilities[64];
        size_t count = 0;
        bool is_right = true;
        for (;;) {
                size_t size = name_size(t, *at);
                struct text name = text_slice(t, *at, *at + size);
                int facility = find_facility(name);
                if (facility == -1) {
                        complain(l, loader_place(l, base + *at), MAX(size, (size_t)1), CODE_SYNTAX,
                                 closest_facility(l, name), "unknown facility name \"%.*s\"",
                                 TEXT_ARGS(text_slice(name, 0, 100)));
                        is_right = false;
                } else if (count < ARRAY_SIZE(facilities))
                        facilities[count++] = facility;
                *at += size;
                if (*at >= t.size || t.data[*at] != ',')
                        break;
                ++*at;
        }
        if (*at >= t.size || t.data[*at] != '.') {
                complain(l, loader_place(l, base + *at), 1, CODE_SYNTAX, "a selector is facility.priority: mail.info",
                         "a priority is missing in the selector");
                *at = t.size;
                return false;
        }
        ++*at;
        struct priority priority;
        if (!read_priority(l, t, at, base, &priority))
                return false;
        for (size_t i = 0; i < count; i++)
                apply(s, facilities[i], &priority);
        return is_right;
}

/* "mail.info/var/log/mail": an action may follow without a blank. */
static bool begins_action(char c) {
        return memchr("/-|@:?~^", c, 8) != NULL;
}

struct statement *parse_selector(struct loader *l) {
        size_t base = l->at;
        struct statement *s = statement_new(l, STATEMENT_SELECTOR, loader_place(l, base));
        struct text line = lex_rest(l);
        size_t size = 0;
        while (size < line.size && !memchr(" \t\r\n{", line.data[size], 5))
                size++;
        line.size = size;
        bool is_right = s != NULL;
        for (size_t at = 0; s && at < line.size;) {
                is_right &= read_part(l, s, line, &at, base);
                if (is_right && at < line.size && begins_action(line.data[at])) {
                        size = at;
                        break;
                }
                bool is_separated = at < line.size && (line.data[at] == ';' || line.data[at] == ',');
                if (at < line.size && !is_separated) {
                        complain(l, loader_place(l, base + at), 1, CODE_SYNTAX,
                                 "parts of a selector are separated by `;`, the action follows behind a blank",
                                 "unexpected '%c' in the selector", line.data[at] >= 32 ? line.data[at] : '?');
                        is_right = false;
                        break;
                }
                while (at < line.size && (line.data[at] == ';' || line.data[at] == ','))
                        at++;
        }
        l->at = base + size;
        return is_right ? s : NULL;
}

int selector_parse(uint8_t priorities[FACILITIES + 1], struct text selector) {
        _owned_(arena_fini) struct arena arena = {0};
        _owned_(diagnostics_fini) struct diagnostics diagnostics = {0};
        struct loader *l = arena_zalloc(&arena, sizeof *l);
        if (!l)
                return fail(-ENOMEM);
        l->arena = &arena;
        l->diagnostics = &diagnostics;
        l->source = source_new(&arena, "", selector);
        const struct statement *s = l->source ? parse_selector(l) : NULL;
        if (!s)
                return -EINVAL;
        memcpy(priorities, s->priorities, sizeof s->priorities);
        return 0;
}

/* ---- Property filters ---------------------------------------------------------------- */

static bool is_property_byte(int c) {
        return is_name_byte(c) || c == '$' || c == '!' || c == '.' || c == '/' || c == '-';
}

bool is_property_filter(struct text t) {
        if (t.size < 2 || t.data[0] != ':')
                return false;
        size_t at = 1;
        while (at < t.size && (t.data[at] == ' ' || t.data[at] == '\t'))
                at++;
        while (at < t.size && is_property_byte((unsigned char)t.data[at]))
                at++;
        while (at < t.size && (t.data[at] == ' ' || t.data[at] == '\t'))
                at++;
        return at > 1 && at < t.size && t.data[at] == ',';
}

static const char *const comparison_names[] = {
        [COMPARE_CONTAINS] = "contains", [COMPARE_EQUAL] = "isequal", [COMPARE_EMPTY] = "isempty",
        [COMPARE_STARTS] = "startswith", [COMPARE_ENDS] = "endswith", [COMPARE_REGEX] = "regex",
        [COMPARE_EREGEX] = "ereregex",
};

static bool read_property(struct loader *l, struct statement *s) {
        lex_space(l);
        size_t at = l->at;
        while (is_property_byte(lex_peek(l, 0)))
                l->at++;
        struct text name = text_slice(l->source->text, at, l->at);
        s->property = loader_text(l, name);
        bool is_variable = name.size > 1 && name.data[0] == '$' && strchr("!./", name.data[1]);
        const char *closest = NULL;
        bool is_known = is_variable || !l->options->property_is_known || l->options->property_is_known(name, &closest);
        if (!is_known || name.size == 0)
                complain(l, loader_place(l, at), MAX(name.size, (size_t)1), CODE_SYNTAX, did_you_mean(l, closest),
                         "invalid property '%.*s'", TEXT_ARGS(text_slice(name, 0, 200)));
        lex_space(l);
        lex_take(l, ',');
        return is_known && name.size && s->property.data;
}

static bool read_comparison(struct loader *l, struct statement *s) {
        lex_space(l);
        s->is_negated = lex_take(l, '!');
        lex_space(l);
        size_t at = l->at;
        struct text name = lex_word(l);
        l->at += name.size;
        for (size_t i = 0; i < ARRAY_SIZE(comparison_names); i++)
                if (text_equal_nocase(name, text_of(comparison_names[i]))) {
                        s->comparison = (enum property_comparison)i;
                        return true;
                }
        complain(l, loader_place(l, at), MAX(name.size, (size_t)1), CODE_SYNTAX,
                 did_you_mean(l, text_closest(name, comparison_names, ARRAY_SIZE(comparison_names))),
                 "error: invalid compare operation '%.*s'", TEXT_ARGS(text_slice(name, 0, 100)));
        return false;
}

/* "value": a backslash makes the next byte plain, whatever it is. */
static bool read_pattern(struct loader *l, struct statement *s) {
        lex_space(l);
        bool has_comma = lex_take(l, ',');
        lex_space(l);
        if (lex_peek(l, 0) != '"') {
                if (s->comparison == COMPARE_EMPTY)
                        return true;
                complain(l, loader_place(l, l->at), 1, CODE_SYNTAX,
                         "a property filter is :property, [!]operation, \"value\"",
                         has_comma ? "a value in double quotes is expected" : "`,` and a value are expected");
                return false;
        }
        size_t opened = l->at++, end = 0;
        struct text line = lex_line(l);
        while (end < line.size && line.data[end] != '"')
                end += line.data[end] == '\\' ? 2 : 1;
        if (end >= line.size) {
                complain(l, loader_place(l, opened), 1, CODE_SYNTAX, NULL, "the value has no closing \"");
                l->at += line.size;
                return false;
        }
        char *value = loader_alloc(l, end + 1);
        if (!value)
                return false;
        size_t size = 0;
        for (size_t at = 0; at < end; at++) {
                at += line.data[at] == '\\';
                value[size++] = line.data[at];
        }
        l->at += end + 1;
        s->pattern = (struct text){value, size};
        return true;
}

struct statement *parse_property_filter(struct loader *l) {
        struct statement *s = statement_new(l, STATEMENT_PROPERTY, loader_place(l, l->at));
        if (!s)
                return NULL;
        l->at++;
        bool is_right = read_property(l, s);
        is_right &= read_comparison(l, s);
        return read_pattern(l, s) && is_right ? s : NULL;
}
