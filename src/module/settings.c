#include "module/settings.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "base/fail.h"

/* An array in a configuration is written by hand or by a generator; more than this is a mistake. */
enum { STRINGS_COUNT_MAX = 65536, DIGITS_MAX = 64, LOOKUP_BYTES_MAX = 1 << 16 };

static const char *const facility_names[] = {"kern",   "user",   "mail",   "daemon",   "auth",   "syslog", "lpr",
                                             "news",   "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",
                                             "alert",  "clock",  "local0", "local1",   "local2", "local3", "local4",
                                             "local5", "local6", "local7", "invld"};
static const char *const severity_names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

/* Other names for the same number. */
static const struct {
        const char *name;
        int number;
} facility_aliases[] = {{"security", 4}, {"bsd_security", 4},  {"authpriv", 10},
                        {"console", 14}, {"solaris-cron", 15}, {"mark", 24}},
  severity_aliases[] = {{"panic", 0}, {"critical", 2}, {"error", 3}, {"warn", 4}, {"none", 16}};

static int number_or(struct text name, int limit) {
        int64_t number;
        bool has_sign = name.size && (name.data[0] == '+' || name.data[0] == '-');
        return !has_sign && text_to_int(name, &number) == 0 && number >= 0 && number < limit ? (int)number : -1;
}

int facility_by_name(struct text name) {
        for (int i = 0; i < 24; i++)
                if (text_equal_nocase(name, text_of(facility_names[i])))
                        return i;
        for (size_t i = 0; i < ARRAY_SIZE(facility_aliases); i++)
                if (facility_aliases[i].number < 24 && text_equal_nocase(name, text_of(facility_aliases[i].name)))
                        return facility_aliases[i].number;
        return number_or(name, 24);
}

int severity_by_name(struct text name) {
        for (int i = 0; i < 8; i++)
                if (text_equal_nocase(name, text_of(severity_names[i])))
                        return i;
        for (size_t i = 0; i < ARRAY_SIZE(severity_aliases); i++)
                if (severity_aliases[i].number < 8 && text_equal_nocase(name, text_of(severity_aliases[i].name)))
                        return severity_aliases[i].number;
        return number_or(name, 8);
}

const char *facility_name(unsigned facility) {
        return facility_names[MIN(facility, 24u)];
}

const char *severity_name(unsigned severity) {
        return severity_names[MIN(severity, 7u)];
}

/* ---- Finding ------------------------------------------------------------ */

bool param_list_has(const char *list, struct text word) {
        if (!list || word.size == 0)
                return false;
        for (const char *at = list; *at;) {
                size_t size = strcspn(at, " ");
                if (text_equal_nocase((struct text){at, size}, word))
                        return true;
                at += size;
                at += strspn(at, " ");
        }
        return false;
}

const struct param *param_find(const struct param *params, struct text name) {
        for (const struct param *p = params; p && p->name; p++)
                if (text_equal_nocase(name, text_of(p->name)))
                        return p;
        for (const struct param *p = params; p && p->name; p++)
                if (param_list_has(p->alias, name))
                        return p;
        return NULL;
}

const char *param_closest(const struct param *params, struct text name) {
        unsigned best = (unsigned)(name.size + 2) / 3 + 1;
        const char *found = NULL;
        for (const struct param *p = params; p && p->name; p++) {
                unsigned distance = text_distance(name, text_of(p->name));
                if (distance < best) {
                        best = distance;
                        found = p->name;
                }
        }
        return found;
}

/* ---- Saying what a parameter takes --------------------------------------- */

static void describe_range(struct buffer *out, const struct param *p, const char *noun) {
        buffer_text(out, text_of(noun));
        bool is_bounded_above = p->max != 0 && p->max != INT64_MAX;
        if (p->min == 0 && p->max == 0)
                return;
        buffer_text(out, TEXT(", "));
        buffer_int(out, p->min);
        if (!is_bounded_above) {
                buffer_text(out, TEXT(" or more"));
                return;
        }
        buffer_text(out, TEXT(" to "));
        buffer_int(out, p->max);
}

static void describe_choices(struct buffer *out, const struct param *p) {
        buffer_text(out, TEXT("one of "));
        for (const char *const *c = p->choices; c && *c; c++)
                buffer_format(out, "%s%s", c == p->choices ? "" : ", ", *c);
}

void param_describe(struct buffer *out, const struct param *p) {
        switch (p->type) {
        case PARAM_TYPE_BOOL:
                buffer_text(out, TEXT("on or off"));
                break;
        case PARAM_TYPE_INT:
                describe_range(out, p, "a whole number");
                if (p->unit)
                        buffer_format(out, " (%s)", p->unit);
                break;
        case PARAM_TYPE_SIZE:
                buffer_format(out,
                              "a number of %s, with or without one of the suffixes k m g t (1024) or K M G T (1000)",
                              p->unit ? p->unit : "bytes");
                describe_range(out, p, "");
                break;
        case PARAM_TYPE_STRING:
                buffer_text(out, TEXT("a string"));
                break;
        case PARAM_TYPE_STRINGS:
                buffer_text(out, TEXT("a string or an array of strings"));
                break;
        case PARAM_TYPE_CHOICE:
                describe_choices(out, p);
                break;
        case PARAM_TYPE_MODE:
                buffer_text(out, TEXT("an octal file mode such as \"0644\""));
                break;
        case PARAM_TYPE_USER:
                buffer_text(out, TEXT("a user's name or number"));
                break;
        case PARAM_TYPE_GROUP:
                buffer_text(out, TEXT("a group's name or number"));
                break;
        case PARAM_TYPE_FACILITY:
                buffer_text(out, TEXT("a facility: kern, user, mail ... local7, or 0 to 23"));
                break;
        case PARAM_TYPE_SEVERITY:
                buffer_text(out, TEXT("a severity: emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7"));
                break;
        case PARAM_TYPE_CHAR:
                buffer_text(out, TEXT("one character, or the number of one"));
                break;
        case PARAM_TYPE_TEMPLATE:
                buffer_text(out, TEXT("the name of a template"));
                break;
        case PARAM_TYPE_RULESET:
                buffer_text(out, TEXT("the name of a ruleset"));
                break;
        case PARAM_TYPE_END:
                break;
        }
}

/* Always -EINVAL: "'abc' is not valid here: a whole number, 1 to 9 is wanted". */
static int refuse(const struct param *p, struct text value, const char *why, struct buffer *complaint) {
        buffer_format(complaint, "'%.*s' %s: ", TEXT_ARGS(text_slice(value, 0, 200)), why);
        param_describe(complaint, p);
        buffer_text(complaint, TEXT(" is wanted"));
        return fail(-EINVAL);
}

/* ---- Reading one text ---------------------------------------------------- */

/* As RainerScript reads numbers: decimal, 0x hexadecimal, 0 octal. -EINVAL, -ERANGE. */
static int read_number(struct text t, int64_t *ret) {
        bool is_negative = t.size && t.data[0] == '-';
        struct text digits = text_slice(t, is_negative || (t.size && t.data[0] == '+') ? 1 : 0, t.size);
        int base = 10;
        if (digits.size > 2 && digits.data[0] == '0' && (digits.data[1] | 32) == 'x') {
                base = 16;
                digits = text_slice(digits, 2, digits.size);
        } else if (digits.size > 1 && digits.data[0] == '0')
                base = 8;
        if (digits.size == 0)
                return -EINVAL;
        if (digits.size > DIGITS_MAX)
                return -ERANGE;
        int64_t number = 0;
        for (size_t i = 0; i < digits.size; i++) {
                int c = tolower((unsigned char)digits.data[i]);
                int digit = isdigit(c) ? c - '0' : isxdigit(c) ? c - 'a' + 10 : 99;
                if (digit >= base)
                        return -EINVAL;
                if (__builtin_mul_overflow(number, base, &number) || __builtin_add_overflow(number, digit, &number))
                        return -ERANGE;
        }
        *ret = is_negative ? -number : number;
        return 0;
}

static int64_t suffix_factor(char suffix) {
        static const char binary[] = "kmgtpe", decimal[] = "KMGTPE";
        const char *at = strchr(binary, suffix);
        int64_t factor = 1;
        if (suffix && at) {
                for (ptrdiff_t i = 0; i <= at - binary; i++)
                        factor *= 1024;
                return factor;
        }
        at = strchr(decimal, suffix);
        if (suffix && at) {
                for (ptrdiff_t i = 0; i <= at - decimal; i++)
                        factor *= 1000;
                return factor;
        }
        return 0;
}

static int read_size(struct text t, int64_t *ret) {
        int64_t factor = t.size ? suffix_factor(t.data[t.size - 1]) : 0;
        /* A hexadecimal number may end in "e", which is no suffix. */
        bool is_hex = t.size > 2 && t.data[0] == '0' && (t.data[1] | 32) == 'x';
        if (factor && !is_hex)
                t.size--;
        int64_t number;
        int r = read_number(t, &number);
        if (r)
                return r;
        if (factor && !is_hex && __builtin_mul_overflow(number, factor, &number))
                return -ERANGE;
        *ret = number;
        return 0;
}

static bool is_in_bounds(const struct param *p, int64_t number) {
        if (p->min == 0 && p->max == 0)
                return true;
        /* max 0 beside a positive min, or beside -1 ("unset"), means no upper bound. */
        return number >= p->min && (p->max == 0 || number <= p->max);
}

static int set_number(int64_t *field, const struct param *p, struct text value, struct buffer *complaint) {
        int64_t number = 0;
        int r = p->type == PARAM_TYPE_SIZE ? read_size(value, &number) : read_number(value, &number);
        if (r == -ERANGE)
                return refuse(p, value, "is too large", complaint);
        if (r)
                return refuse(p, value,
                              p->type == PARAM_TYPE_SIZE ? "does not contain a valid size" : "is not a number",
                              complaint);
        if (!is_in_bounds(p, number))
                return refuse(p, value, "is out of bounds", complaint);
        *field = number;
        return 0;
}

static int set_bool(bool *field, const struct param *p, struct text value, struct buffer *complaint) {
        static const char *const yes[] = {"on", "yes", "true", "1"}, *const no[] = {"off", "no", "false", "0"};
        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                bool is_yes = text_equal_nocase(value, text_of(yes[i]));
                if (is_yes || text_equal_nocase(value, text_of(no[i]))) {
                        *field = is_yes;
                        return 0;
                }
        }
        return refuse(p, value, "is neither \"on\" nor \"off\"", complaint);
}

static int set_choice(int *field, const struct param *p, struct text value, struct buffer *complaint) {
        size_t count = 0;
        for (; p->choices && p->choices[count]; count++)
                if (text_equal_nocase(value, text_of(p->choices[count]))) {
                        *field = (int)count;
                        return 0;
                }
        refuse(p, value, "is not known", complaint);
        const char *closest = p->choices ? text_closest(value, p->choices, count) : NULL;
        if (closest)
                buffer_format(complaint, "; did you mean `%s`?", closest);
        return -EINVAL;
}

static int set_mode(int64_t *field, const struct param *p, struct text value, struct buffer *complaint) {
        if (p->min == -1 && text_equal(value, TEXT("-1"))) {
                *field = -1;
                return 0;
        }
        int64_t mode = 0;
        for (size_t i = 0; i < value.size; i++) {
                if (value.data[i] < '0' || value.data[i] > '7' || value.size > 5)
                        return refuse(p, value, "is not a file mode", complaint);
                mode = mode * 8 + (value.data[i] - '0');
        }
        if (value.size < 3 || mode > 07777)
                return refuse(p, value, "is not a file mode", complaint);
        *field = mode;
        return 0;
}

/* Looks a user or group up; the answer's strings need room that only the C library knows, so it grows. */
static int look_up_id(bool is_group, const char *name, int64_t *ret) {
        for (size_t room = 1024; room <= LOOKUP_BYTES_MAX; room *= 4) {
                _owned_(memory_free) char *bytes = malloc(room);
                if (!bytes)
                        return fail(-ENOMEM);
                struct passwd user, *user_found = NULL;
                struct group group, *group_found = NULL;
                int r = is_group ? getgrnam_r(name, &group, bytes, room, &group_found)
                                 : getpwnam_r(name, &user, bytes, room, &user_found);
                if (r == ERANGE)
                        continue;
                if (user_found)
                        *ret = user_found->pw_uid;
                if (group_found)
                        *ret = group_found->gr_gid;
                return user_found || group_found ? 0 : -ENOENT;
        }
        return -ENOENT;
}

static int set_id(int64_t *field, const struct param *p, struct text value, struct buffer *complaint) {
        bool is_group = p->type == PARAM_TYPE_GROUP;
        int64_t number;
        if (text_to_int(value, &number) == 0) {
                if (number < -1 || number > UINT32_MAX)
                        return refuse(p, value, "is out of bounds", complaint);
                *field = number;
                return 0;
        }
        _owned_(memory_free) char *name = text_copy(value);
        if (!name)
                return fail(-ENOMEM);
        int r = look_up_id(is_group, name, &number);
        if (r == -ENOMEM)
                return pass(r);
        if (r) {
                buffer_format(complaint, "ID for %s '%s' could not be found", is_group ? "group" : "user", name);
                return fail(-EINVAL);
        }
        *field = number;
        return 0;
}

static int set_facility_or_severity(int64_t *field, const struct param *p, struct text value,
                                    struct buffer *complaint) {
        int number = p->type == PARAM_TYPE_FACILITY ? facility_by_name(value) : severity_by_name(value);
        int64_t beyond;
        /* Where a table says so (max 8: "none"), a number behind the last name is taken. */
        if (number < 0 && p->max && text_to_int(value, &beyond) == 0 && beyond >= p->min && beyond <= p->max)
                number = (int)beyond;
        if (number < 0)
                return refuse(p, value, "is not known", complaint);
        *field = number;
        return 0;
}

static int set_char(int64_t *field, const struct param *p, struct text value, struct buffer *complaint) {
        int64_t number;
        if (read_number(value, &number) == 0) {
                int64_t max = p->max ? p->max : 255;
                if (number < p->min || number > max)
                        return refuse(p, value, "is out of bounds", complaint);
                *field = number;
                return 0;
        }
        if (value.size != 1) {
                buffer_format(complaint, "must contain exactly one character but contains %zu", value.size);
                return fail(-EINVAL);
        }
        *field = (unsigned char)value.data[0];
        return 0;
}

static int set_string(char **field, struct text value, struct buffer *complaint) {
        if (value.size && memchr(value.data, '\0', value.size)) {
                buffer_text(complaint, TEXT("the value holds a NUL byte, which no name or path can"));
                return fail(-EINVAL);
        }
        char *copy = text_copy(value);
        if (!copy)
                return fail(-ENOMEM);
        free(*field);
        *field = copy;
        return 0;
}

static void strings_free(struct strings *s) {
        for (size_t i = 0; i < s->count; i++)
                free(s->items[i]);
        free(s->items);
        *s = (struct strings){0};
}
static void strings_drop(struct strings *s) {
        strings_free(s);
}
OWNED_VALUE(struct strings, strings_drop);

static int set_strings(struct strings *field, const struct text *items, size_t count, struct buffer *complaint) {
        if (count > STRINGS_COUNT_MAX) {
                buffer_format(complaint, "an array of %zu values is too long, %d is the most", count,
                              STRINGS_COUNT_MAX);
                return fail(-EINVAL);
        }
        _owned_(strings_drop) struct strings fresh = {.items = calloc(count ? count : 1, sizeof(char *))};
        if (!fresh.items)
                return fail(-ENOMEM);
        for (; fresh.count < count; fresh.count++) {
                int r = set_string(&fresh.items[fresh.count], items[fresh.count], complaint);
                if (r)
                        return pass(r);
        }
        strings_free(field);
        *field = fresh;
        fresh = (struct strings){0};
        return 0;
}

int settings_set(void *settings, const struct param *p, const struct param_value *value, struct buffer *complaint) {
        void *field = (char *)settings + p->offset;
        if (p->type == PARAM_TYPE_STRINGS)
                return set_strings(field, value->items, value->count, complaint);
        if (value->count != 1) {
                buffer_format(complaint, "takes one value, not an array of %zu", value->count);
                return fail(-EINVAL);
        }
        struct text text = value->items[0];
        switch (p->type) {
        case PARAM_TYPE_BOOL:
                return set_bool(field, p, text, complaint);
        case PARAM_TYPE_INT:
        case PARAM_TYPE_SIZE:
                return set_number(field, p, text, complaint);
        case PARAM_TYPE_CHOICE:
                return set_choice(field, p, text, complaint);
        case PARAM_TYPE_MODE:
                return set_mode(field, p, text, complaint);
        case PARAM_TYPE_USER:
        case PARAM_TYPE_GROUP:
                return set_id(field, p, text, complaint);
        case PARAM_TYPE_FACILITY:
        case PARAM_TYPE_SEVERITY:
                return set_facility_or_severity(field, p, text, complaint);
        case PARAM_TYPE_CHAR:
                return set_char(field, p, text, complaint);
        case PARAM_TYPE_STRING:
        case PARAM_TYPE_TEMPLATE:
        case PARAM_TYPE_RULESET:
                return set_string(field, text, complaint);
        case PARAM_TYPE_STRINGS:
        case PARAM_TYPE_END:
                break;
        }
        assert(!"a parameter table holds an unknown type");
        return fail(-EINVAL);
}

/* ---- The whole struct ---------------------------------------------------- */

static bool is_string(enum param_type type) {
        return type == PARAM_TYPE_STRING || type == PARAM_TYPE_TEMPLATE || type == PARAM_TYPE_RULESET;
}

static int set_default(void *settings, const struct param *p) {
        if (!p->dflt) {
                bool is_id = p->type == PARAM_TYPE_USER || p->type == PARAM_TYPE_GROUP;
                if (is_id)
                        *(int64_t *)(void *)((char *)settings + p->offset) = -1;
                return 0;
        }
        struct text item = text_of(p->dflt);
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = settings_set(settings, p, &(struct param_value){.items = &item, .count = 1}, &complaint);
        /* A user that this machine lacks leaves the default unset; anything else is a mistake in the table. */
        assert(r == 0 || r == -ENOMEM || p->type == PARAM_TYPE_USER || p->type == PARAM_TYPE_GROUP);
        return r == -ENOMEM ? r : 0;
}

void *settings_new(const struct settings_type *type) {
        void *settings = calloc(1, type->size ? type->size : 1);
        if (!settings)
                return NULL;
        for (const struct param *p = type->params; p && p->name; p++)
                if (set_default(settings, p))
                        return settings_free(type, settings);
        return settings;
}

void *settings_free(const struct settings_type *type, void *settings) {
        if (!settings)
                return NULL;
        for (const struct param *p = type->params; p && p->name; p++) {
                void *field = (char *)settings + p->offset;
                if (p->type == PARAM_TYPE_STRINGS)
                        strings_free(field);
                if (!is_string(p->type))
                        continue;
                /* Several parameters may share one field, so that it is emptied, too. */
                char **string = field;
                free(*string);
                *string = NULL;
        }
        free(settings);
        return NULL;
}

int settings_reset(void *settings, const struct param *p) {
        void *field = (char *)settings + p->offset;
        if (p->type == PARAM_TYPE_STRINGS)
                strings_free(field);
        else if (is_string(p->type)) {
                char **string = field;
                free(*string);
                *string = NULL;
        } else if (p->type == PARAM_TYPE_BOOL)
                memset(field, 0, sizeof(bool));
        else if (p->type == PARAM_TYPE_CHOICE)
                memset(field, 0, sizeof(int));
        else
                memset(field, 0, sizeof(int64_t));
        return set_default(settings, p);
}

static int copy_field(void *to, const void *from, enum param_type type, struct buffer *complaint) {
        switch (type) {
        case PARAM_TYPE_BOOL:
                memcpy(to, from, sizeof(bool));
                return 0;
        case PARAM_TYPE_CHOICE:
                memcpy(to, from, sizeof(int));
                return 0;
        case PARAM_TYPE_STRING:
        case PARAM_TYPE_TEMPLATE:
        case PARAM_TYPE_RULESET: {
                char *const *string = from;
                if (*string)
                        return set_string(to, text_of(*string), complaint);
                char **field = to;
                free(*field);
                *field = NULL;
                return 0;
        }
        case PARAM_TYPE_STRINGS: {
                const struct strings *strings = from;
                _owned_(memory_free) struct text *items = calloc(strings->count + 1, sizeof *items);
                if (!items)
                        return fail(-ENOMEM);
                for (size_t i = 0; i < strings->count; i++)
                        items[i] = text_of(strings->items[i]);
                return set_strings(to, items, strings->count, complaint);
        }
        default:
                memcpy(to, from, sizeof(int64_t));
                return 0;
        }
}

int settings_inherit(void *settings, const struct param *params, const bool *is_set, const void *module_settings,
                     const struct param *module_params) {
        for (size_t i = 0; params && params[i].name; i++) {
                if (!(params[i].flags & PARAM_INHERITS) || (is_set && is_set[i]))
                        continue;
                const struct param *from = param_find(module_params, text_of(params[i].name));
                if (!from || from->type != params[i].type)
                        continue;
                _owned_(buffer_fini) struct buffer complaint = {0};
                int r = copy_field((char *)settings + params[i].offset, (const char *)module_settings + from->offset,
                                   params[i].type, &complaint);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* ---- Printing ------------------------------------------------------------ */

static void print_quoted(struct buffer *out, const char *string) {
        buffer_byte(out, '"');
        for (const char *c = string ? string : ""; *c; c++) {
                if (*c == '"' || *c == '\\')
                        buffer_byte(out, '\\');
                if (*c == '\n')
                        buffer_text(out, TEXT("\\n"));
                else
                        buffer_byte(out, *c);
        }
        buffer_byte(out, '"');
}

static void print_size(struct buffer *out, int64_t bytes) {
        static const char suffixes[] = "kmgtpe";
        int at = -1;
        while (bytes && bytes % 1024 == 0 && at < 5) {
                bytes /= 1024;
                at++;
        }
        buffer_int(out, bytes);
        if (at >= 0)
                buffer_byte(out, suffixes[at]);
}

static void print_strings(struct buffer *out, const struct strings *s) {
        buffer_byte(out, '[');
        for (size_t i = 0; i < s->count; i++) {
                if (i)
                        buffer_text(out, TEXT(", "));
                print_quoted(out, s->items[i]);
        }
        buffer_byte(out, ']');
}

void settings_print(struct buffer *out, const void *settings, const struct param *p) {
        const void *field = (const char *)settings + p->offset;
        if (p->type == PARAM_TYPE_STRINGS && !(p->flags & PARAM_IS_SECRET)) {
                print_strings(out, field);
                return;
        }
        if (is_string(p->type) && !(p->flags & PARAM_IS_SECRET)) {
                char *const *string = field;
                print_quoted(out, *string);
                return;
        }
        buffer_byte(out, '"');
        int64_t number = 0;
        int choice = 0;
        bool is_true = false;
        if (p->flags & PARAM_IS_SECRET)
                buffer_text(out, TEXT("*****"));
        else if (p->type == PARAM_TYPE_BOOL) {
                memcpy(&is_true, field, sizeof is_true);
                buffer_text(out, is_true ? TEXT("on") : TEXT("off"));
        } else if (p->type == PARAM_TYPE_CHOICE) {
                memcpy(&choice, field, sizeof choice);
                if (choice >= 0 && p->choices)
                        buffer_text(out, text_of(p->choices[choice]));
        } else {
                memcpy(&number, field, sizeof number);
                if (p->type == PARAM_TYPE_SIZE)
                        print_size(out, number);
                else if (p->type == PARAM_TYPE_MODE && number >= 0)
                        buffer_format(out, "%04o", (unsigned)number);
                else if (p->type == PARAM_TYPE_SEVERITY && number >= 0 && number < 8)
                        buffer_text(out, text_of(severity_names[number]));
                else if (p->type == PARAM_TYPE_FACILITY && number >= 0 && number < 24)
                        buffer_text(out, text_of(facility_names[number]));
                else
                        buffer_int(out, number);
        }
        buffer_byte(out, '"');
}

bool settings_summary(struct buffer *out, const struct settings_type *type, const void *settings) {
        for (const struct param *p = type->params; p && p->type; p++) {
                if (p->flags & PARAM_IS_SECRET)
                        return false;
                settings_print(out, settings, p);
                buffer_byte(out, '\n');
        }
        return buffer_failed(out) == 0;
}

size_t module_counter_count(const struct module *module) {
        size_t n = 0;
        if (module->counters)
                while (module->counters[n].name)
                        n++;
        return n;
}
