/*
 * name="value" lists, and settings filled from them through parameter tables.
 *
 * As rsyslogd does: an unknown name is a mistake but the object is made; of a
 * name given twice the last counts; a value of the wrong form spoils the object.
 */
#include "language/loader.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "module/settings.h"

/* ---- Reading -------------------------------------------------------------------------- */

struct items {
        struct text *data;
        uint32_t count, capacity;
};
static void items_drop(struct items *items) {
        free(items->data);
}
OWNED_VALUE(struct items, items_drop);

static bool items_add(struct loader *l, struct items *items, struct text item) {
        if (!ARRAY_ROOM(items->data, items->count, items->capacity, 4)) {
                l->failure = -ENOMEM;
                return false;
        }
        items->data[items->count++] = item;
        return true;
}

static bool read_array(struct loader *l, struct items *items) {
        struct place opened = loader_place(l, l->at++);
        for (;;) {
                lex_blank(l);
                int c = lex_peek(l, 0);
                if (c == ']')
                        break;
                struct text item;
                if (c != '"' && c != '\'' && c != '`') {
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, "an array is written [\"a\", \"b\"]",
                                 "a string is expected in the array");
                        return false;
                }
                if (!lex_string(l, STRING_IN_OBJECT, &item) || !items_add(l, items, item))
                        return false;
                if (items->count > ARRAY_ITEMS_MAX) {
                        complain(l, opened, 1, CODE_SYNTAX, NULL, "an array has at most %d elements", ARRAY_ITEMS_MAX);
                        return false;
                }
                lex_blank(l);
                if (lex_peek(l, 0) != ']' && !lex_take(l, ',')) {
                        complain(l, loader_place(l, l->at), 1, CODE_SYNTAX, NULL,
                                 "`,` or `]` is expected in the array");
                        return false;
                }
        }
        l->at++;
        return true;
}

/* A value without quotes: wrong, but what is meant is plain. */
static bool read_bare(struct loader *l, struct items *items) {
        size_t at = l->at;
        const char *mistaken = mistaken_character(l);
        const char *hint = mistaken ? mistaken : "a value stands in double quotes: name=\"value\"";
        while (l->at < l->source->text.size && !strchr(" \t\r\n)\"'=[],", lex_peek(l, 0)))
                l->at++;
        struct text value = text_slice(l->source->text, at, l->at);
        if (value.size == 0) {
                complain(l, loader_place(l, at), 1, CODE_SYNTAX, hint,
                         "invalid character '%c' in object definition - is there an invalid escape sequence somewhere?",
                         lex_peek(l, 0) >= 32 ? lex_peek(l, 0) : '?');
                return false;
        }
        complain(l, loader_place(l, at), value.size, CODE_SYNTAX, hint,
                 "invalid character '%c' in object definition - is there an invalid escape sequence somewhere?",
                 value.data[0] >= 32 && value.data[0] < 127 ? value.data[0] : '?');
        return items_add(l, items, loader_text(l, value));
}

static bool read_value(struct loader *l, struct assignment *a) {
        _owned_(items_drop) struct items items = {0};
        int c = lex_peek(l, 0);
        a->value_place = loader_place(l, l->at);
        a->is_array = c == '[';
        bool is_right;
        if (c == '[')
                is_right = read_array(l, &items);
        else if (c == '"' || c == '\'' || c == '`') {
                struct text value;
                is_right = lex_string(l, STRING_IN_OBJECT, &value) && items_add(l, &items, value);
        } else
                is_right = read_bare(l, &items);
        if (!is_right)
                return false;
        a->items = loader_alloc(l, (items.count + 1) * sizeof *a->items);
        if (!a->items)
                return false;
        if (items.count)
                memcpy(a->items, items.data, items.count * sizeof *a->items);
        a->count = items.count;
        return true;
}

static bool begins_parameter(const struct loader *l) {
        size_t behind = lex_dotted_name(l).size;
        if (behind == 0)
                return false;
        while (lex_peek(l, behind) == ' ')
                behind++;
        return lex_peek(l, behind) == '=';
}

/* Behind a mistake: the next name=, the closing parenthesis, or a line that begins something else. */
static void resync_in_list(struct loader *l) {
        while (l->at < l->source->text.size) {
                int c = lex_peek(l, 0);
                if (c == ')')
                        return;
                if (c == '\n' && looks_like_statement((l->at++, lex_line(l))))
                        return;
                if (c != '\n' && strchr(" \t\r\n", c) == NULL) {
                        size_t size = lex_dotted_name(l).size;
                        if (begins_parameter(l))
                                return;
                        l->at += size ? size : 1;
                        continue;
                }
                if (c != '\n')
                        l->at++;
        }
}

/* One name="value"; NULL when it was wrong, reported. */
static struct assignment *read_assignment(struct loader *l) {
        struct text name = lex_dotted_name(l);
        struct assignment *a = loader_alloc(l, sizeof *a);
        if (!a)
                return NULL;
        a->name_place = loader_place(l, l->at);
        if (name.size == 0 || name.size > NAME_BYTES_MAX) {
                int c = lex_peek(l, 0);
                const char *hint = suspect_string(l);
                if (c == ',')
                        hint = "parameters are separated by blanks only";
                else if (c == '"' && !hint)
                        hint = "its name stands before a value: name=\"value\"";
                else if (!hint)
                        hint = mistaken_character(l);
                complain(l, a->name_place, 1, CODE_SYNTAX, hint,
                         "invalid character '%c' in object definition - is there an invalid escape sequence somewhere?",
                         c >= 32 && c < 127 ? c : '?');
                l->at++;
                return NULL;
        }
        a->name = loader_text(l, name);
        l->at += name.size;
        lex_blank(l);
        if (!lex_take(l, '=')) {
                const char *suspect = suspect_string(l);
                complain(l, a->name_place, name.size, CODE_SYNTAX,
                         suspect ? suspect : "a parameter is written name=\"value\"", "syntax error on token '%.*s'",
                         TEXT_ARGS(text_slice(name, 0, 100)));
                return NULL;
        }
        lex_blank(l);
        return a->name.data && read_value(l, a) ? a : NULL;
}

bool parse_assignments(struct loader *l, const char *object, struct place opened, struct assignment **ret) {
        struct assignment **tail = ret;
        *ret = NULL;
        bool is_right = true;
        l->long_string_source = NULL;
        for (unsigned count = 0;;) {
                lex_blank(l);
                if (lex_take(l, ')'))
                        return is_right;
                bool is_end =
                        l->at >= l->source->text.size || (!begins_parameter(l) && looks_like_statement(lex_line(l)));
                if (is_end) {
                        if (is_right)
                                complain(l, opened, strlen(object), CODE_SYNTAX, "`)` is missing",
                                         "the parameters of %s() have no end", object);
                        return false;
                }
                if (++count > PARAMETERS_MAX) {
                        complain(l, opened, strlen(object), CODE_SYNTAX, NULL, "an object has at most %d parameters",
                                 PARAMETERS_MAX);
                        l->at = l->source->text.size;
                        return false;
                }
                struct assignment *a = read_assignment(l);
                if (!a) {
                        is_right = false;
                        resync_in_list(l);
                        continue;
                }
                *tail = a;
                tail = &a->next;
        }
}

/* ---- Asking ------------------------------------------------------------------------------ */

struct assignment *assignment_find(struct assignment *list, const char *name) {
        struct assignment *found = NULL;
        for (; list; list = list->next)
                if (text_equal_nocase(list->name, text_of(name)))
                        found = list; /* the last counts */
        return found;
}

struct text assignment_text(struct assignment *list, const char *name) {
        const struct assignment *a = assignment_find(list, name);
        return a && a->count == 1 ? a->items[0] : TEXT_NONE;
}

struct assignment *assignment_add(struct loader *l, struct assignment **list, const char *name, struct text value,
                                  struct place place) {
        struct assignment *a = loader_alloc(l, sizeof *a);
        struct text *items = loader_alloc(l, sizeof *items);
        if (!a || !items)
                return NULL;
        items[0] = loader_text(l, value);
        *a = (struct assignment){
                .name = text_of(name), .items = items, .count = 1, .name_place = place, .value_place = place};
        while (*list)
                list = &(*list)->next;
        *list = a;
        return a;
}

void assignments_append(struct assignment **list, struct assignment *more) {
        while (*list)
                list = &(*list)->next;
        *list = more;
}

bool is_enabled(struct loader *l, struct assignment *list) {
        const struct assignment *a = assignment_find(list, "config.enabled");
        struct text value = assignment_text(list, "config.enabled");
        if (!a || text_equal(value, TEXT("on")))
                return true;
        /* An empty value comes from an environment variable that is not set, and means off, too. */
        if (value.size && !text_equal(value, TEXT("off")))
                warn(l, a->value_place, shown_width(a), 0, "only \"on\" turns it on",
                     "config.enabled is neither \"on\" nor \"off\": the object is off");
        return false;
}

/* ---- Filling ------------------------------------------------------------------------------ */

size_t shown_width(const struct assignment *a) {
        if (a->count != 1 || a->is_array)
                return 1;
        /* In a line of the old form there are no quotes, and name and value share a place. */
        bool is_quoted = a->name_place.column != a->value_place.column || a->name_place.line != a->value_place.line;
        return MIN(a->items[0].size + (is_quoted ? 2 : 0), (size_t)200);
}

/* rsyslog's words for the kinds of wrong values. */
static void complain_value(struct loader *l, const struct assignment *a, const struct param *p, const char *hint) {
        size_t width = shown_width(a);
        if (a->count != 1 && p->type != PARAM_TYPE_STRINGS)
                complain(l, a->value_place, width, CODE_SYNTAX, hint, "parameter '%s' takes one value, not an array",
                         p->name);
        else if (p->type == PARAM_TYPE_BOOL)
                complain(l, a->value_place, width, CODE_SYNTAX, hint,
                         "parameter '%s' must be \"on\" or \"off\" but is neither. Results unpredictable.", p->name);
        else if (p->type == PARAM_TYPE_SIZE)
                complain(l, a->value_place, width, CODE_SYNTAX, hint, "parameter '%s' does not contain a valid size",
                         p->name);
        else if (p->type == PARAM_TYPE_INT)
                complain(l, a->value_place, width, CODE_SYNTAX, hint, "parameter '%s' is not a proper number", p->name);
        else if (p->type == PARAM_TYPE_MODE)
                complain(l, a->value_place, width, CODE_SYNTAX, hint,
                         "file modes need to be specified as 4- or 5-digit octal numbers starting with '0' -"
                         "parameter '%s=\"%.*s\"' is not a file mode",
                         p->name, TEXT_ARGS(text_slice(a->items[0], 0, 40)));
        else if (p->type == PARAM_TYPE_CHOICE && strcmp(p->name, "queue.type") == 0)
                complain(l, a->value_place, width, CODE_SYNTAX, hint, "param 'queue.type': unknown queue type: '%.*s'",
                         TEXT_ARGS(text_slice(a->items[0], 0, 40)));
        else
                complain(l, a->value_place, width, CODE_SYNTAX, NULL, "parameter '%s': %s", p->name, hint);
}

bool fill_one(struct loader *l, const struct assignment *a, const struct param *p, void *settings) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct param_value value = {.items = a->items, .count = a->count, .is_array = a->is_array};
        int r = settings_set(settings, p, &value, &complaint);
        if (r == -ENOMEM) {
                l->failure = r;
                return false;
        }
        if (r == 0)
                return true;
        const char *hint = buffer_string(&complaint);
        complain_value(l, a, p, hint ? hint : "");
        return false;
}

bool *new_marks(struct loader *l, const struct param *params) {
        size_t count = 1;
        for (const struct param *p = params; p && p->name; p++)
                count++;
        return loader_alloc(l, count * sizeof(bool));
}

/* The object that has the parameter, where one of the same module was given it by mistake. */
static const char *right_object(struct loader *l, struct text name, const struct param *given) {
        for (const struct module_state *m = l->module_list; m; m = m->next) {
                const struct module *module = m->loaded->module;
                bool is_module = module->module_settings.params == given;
                if (!given || (!is_module && module->settings.params != given))
                        continue;
                const struct param *other = is_module ? module->settings.params : module->module_settings.params;
                if (!other || !param_find(other, name))
                        return NULL;
                const char *object = module->kind == MODULE_INPUT ? "input" : "action";
                _owned_(buffer_fini) struct buffer hint = {0};
                if (is_module)
                        buffer_format(&hint, "it is one of %s(type=\"%s\" ...)", object, module->name);
                else
                        buffer_format(&hint, "it is one of module(load=\"%s\" ...)", module->name);
                return loader_string(l, buffer_as_text(&hint));
        }
        return NULL;
}

/* Names that other programs, or people, give to what has another one here. */
static const char *meant_parameter(struct text name, const struct param *params) {
        static const char *const table[][2] = {{"host", "target"},
                                               {"server", "target"},
                                               {"path", "file"},
                                               {"filename", "file"},
                                               {"proto", "protocol"},
                                               {"workdir", "workdirectory"},
                                               {"facility", "syslogfacility"},
                                               {"listen", "address"}};
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (text_equal_nocase(name, text_of(table[i][0])) && param_find(params, text_of(table[i][1])))
                        return table[i][1];
        return NULL;
}

static void complain_unknown(struct loader *l, const struct assignment *a, const struct target *targets, size_t count) {
        unsigned best = UINT32_MAX;
        const char *found = NULL;
        for (size_t i = 0; i < count && is_heard(l); i++) {
                const char *meant = meant_parameter(a->name, targets[i].params);
                if (meant) {
                        found = meant;
                        break;
                }
                const char *name = param_closest(targets[i].params, a->name);
                unsigned distance = name ? text_distance(a->name, text_of(name)) : UINT32_MAX;
                if (distance < best) {
                        best = distance;
                        found = name;
                }
        }
        const char *elsewhere = right_object(l, a->name, count ? targets[0].params : NULL);
        complain(l, a->name_place, a->name.size, CODE_SYNTAX, elsewhere ? elsewhere : did_you_mean(l, found),
                 "parameter '%.*s' not known -- typo in config file?", TEXT_ARGS(text_slice(a->name, 0, 200)));
}

static void note_flags(struct loader *l, const struct assignment *a, const struct param *p) {
        if (p->flags & PARAM_IS_OBSOLETE)
                warn(l, a->name_place, a->name.size, 0, p->help, "parameter '%s' is obsolete", p->name);
        if (p->flags & PARAM_IS_IGNORED)
                note(l, a->name_place, a->name.size, p->help, "parameter '%s' is accepted and has no effect", p->name);
}

/* Later assignments of the same name overrule, so that only the first of them tells of the other. */
static void check_twice(struct loader *l, const struct assignment *list) {
        for (const struct assignment *a = list; a; a = a->next)
                for (const struct assignment *b = a->next; b; b = b->next)
                        if (text_equal_nocase(a->name, b->name)) {
                                complain(l, b->name_place, b->name.size, CODE_SYNTAX, "the last one counts",
                                         "duplicate parameter '%.*s' -- interpretation is ambiguous",
                                         TEXT_ARGS(text_slice(b->name, 0, 200)));
                                break;
                        }
}

static bool check_required(struct loader *l, const struct target *t, struct place place) {
        bool is_complete = true;
        for (size_t i = 0; t->params && t->params[i].name; i++) {
                const struct param *p = &t->params[i];
                if (!(p->flags & PARAM_IS_REQUIRED) || t->is_set[i])
                        continue;
                complain(l, place, 0, CODE_SYNTAX, p->help, "parameter '%s' required but not specified - fix config",
                         p->name);
                is_complete = false;
        }
        return is_complete;
}

bool fill(struct loader *l, struct assignment *list, struct target *targets, size_t count, const char *others,
          struct place place) {
        bool is_right = true;
        check_twice(l, list);
        for (const struct assignment *a = list; a; a = a->next) {
                const struct param *p = NULL;
                size_t i = 0;
                for (; i < count && !p; i++)
                        p = param_find(targets[i].params, a->name);
                bool is_others = param_list_has(others, a->name) || text_equal_nocase(a->name, TEXT("config.enabled"));
                if (!p && !is_others)
                        complain_unknown(l, a, targets, count);
                if (!p)
                        continue;
                struct target *t = &targets[i - 1];
                t->is_set[p - t->params] = true;
                note_flags(l, a, p);
                if (!fill_one(l, a, p, t->settings) && !t->is_lenient)
                        is_right = false;
        }
        for (size_t i = 0; i < count; i++)
                is_right &= check_required(l, &targets[i], place);
        return is_right;
}
