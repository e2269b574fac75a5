#include "template/template.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"
#include "template/compile.h"

/* ---- Mistakes ------------------------------------------------------------ */

enum { CODE_CONFIGURATION = 2207 }; /* rsyslog's number for what is wrong in the file */

void compiler_mistake(struct compiler *c, enum severity severity, struct place place, size_t width, const char *hint,
                      const char *format, ...) {
        _owned_(buffer_fini) struct buffer line = {0};
        va_list args;
        va_start(args, format);
        buffer_vformat(&line, format, args);
        va_end(args);
        const char *text = buffer_string(&line);
        diagnose(c->diagnostics, severity, CODE_CONFIGURATION, place, (uint32_t)width, hint, "%s",
                 text ? text : format);
}

void compiler_unknown_property(struct compiler *c, struct place place, struct text name) {
        const char *closest = property_closest(name);
        _owned_(buffer_fini) struct buffer hint = {0};
        if (closest)
                buffer_format(&hint, "did you mean `%s`?", closest);
        compiler_mistake(c, SEVERITY_ERR, place, name.size + 2, closest ? buffer_string(&hint) : NULL,
                         "invalid property '%.*s'", TEXT_ARGS(name));
}

/* ---- Building ------------------------------------------------------------ */

struct step *template_add_step(struct compiler *c, enum step_kind kind) {
        struct template *t = c->template;
        if (!ARRAY_ROOM(t->steps, t->count, t->capacity, 8))
                return NULL;
        t->steps[t->count] = (struct step){.kind = kind};
        return &t->steps[t->count++];
}

static bool has_room(struct compiler *c, size_t bytes) {
        struct template *t = c->template;
        if (t->count < TEMPLATE_STEPS_MAX && bytes <= TEMPLATE_BYTES_MAX - t->constant_bytes)
                return true;
        compiler_mistake(c, SEVERITY_ERR, c->def->place, 0, NULL,
                         "template '%s' is larger than %d parts or %d bytes of constant text", c->def->name,
                         TEMPLATE_STEPS_MAX, TEMPLATE_BYTES_MAX);
        return false;
}

int template_add_constant(struct compiler *c, struct text text) {
        if (!has_room(c, text.size))
                return -EINVAL;
        struct template *t = c->template;
        struct step *last = t->count ? &t->steps[t->count - 1] : NULL;
        bool joins = last && last->kind == STEP_CONSTANT && !last->out_name.size && !t->is_jsonf;
        char *bytes = arena_alloc(&t->arena, (joins ? last->text.size : 0) + text.size + 1);
        if (!bytes)
                return fail(-ENOMEM);
        char *to = bytes;
        if (joins && last->text.size)
                to = mempcpy(to, last->text.data, last->text.size);
        if (text.size)
                to = mempcpy(to, text.data, text.size);
        struct step *step = joins ? last : template_add_step(c, STEP_CONSTANT);
        if (!step)
                return fail(-ENOMEM);
        step->text = (struct text){bytes, (size_t)(to - bytes)};
        t->constant_bytes += text.size;
        return 0;
}

int template_add_named_constant(struct compiler *c, struct text value, struct text out_name, bool is_json) {
        if (!has_room(c, value.size + out_name.size))
                return -EINVAL;
        struct template *t = c->template;
        struct step *step = template_add_step(c, STEP_CONSTANT);
        if (!step)
                return fail(-ENOMEM);
        step->value = arena_text(&t->arena, value);
        step->out_name = arena_text(&t->arena, out_name);
        step->text = step->value;
        if (is_json) {
                _owned_(buffer_fini) struct buffer member = {0};
                buffer_byte(&member, '"');
                buffer_text(&member, out_name);
                buffer_text(&member, TEXT("\": \""));
                struct value v = value_begin(&member, value);
                value_escape(&v, ESCAPE_JSON);
                value_finish(&v);
                buffer_byte(&member, '"');
                step->text = buffer_failed(&member) ? TEXT_NONE : arena_text(&t->arena, buffer_as_text(&member));
        }
        if (!step->value.data || !step->out_name.data || !step->text.data)
                return fail(-ENOMEM);
        t->constant_bytes += step->text.size;
        return 0;
}

static bool is_clock(const struct replacer *r) {
        return r->property.id >= PROPERTY_NOW && r->property.id <= PROPERTY_NOW_UNIXTIMESTAMP;
}

/* Values that the configuration itself makes may hold several levels of a path; see template_render(). */
static bool keeps_slash(const struct replacer *r) {
        return r->property.id == PROPERTY_TREE;
}

static enum step_kind plain_kind(const struct replacer *r) {
        switch (r->property.id) {
        case PROPERTY_HOSTNAME:
                return STEP_HOSTNAME;
        case PROPERTY_SYSLOGTAG:
                return STEP_TAG;
        case PROPERTY_MSG:
                return STEP_MSG;
        case PROPERTY_TIMEREPORTED:
                return STEP_RFC3164;
        case PROPERTY_TIMEGENERATED:
                return STEP_GENERATED;
        case PROPERTY_TREE:
                return r->property.scope == '/' ? STEP_PROPERTY : STEP_VARIABLE;
        case PROPERTY_PRI:
                return STEP_PRI;
        default:
                return STEP_PROPERTY;
        }
}

/* Plain but for one option that has a step of its own. */
static enum step_kind kind_of(const struct replacer *r, uint32_t *bytes_max) {
        *bytes_max = UINT32_MAX;
        if (replacer_is_plain(r))
                return plain_kind(r);
        struct replacer but = *r;
        enum step_kind kind = STEP_REPLACED;
        if (r->property.id == PROPERTY_TIMEREPORTED && r->date == DATE_RFC3339) {
                but.date = DATE_RFC3164;
                kind = STEP_RFC3339;
        } else if (r->property.id == PROPERTY_MSG && r->gives_space_only) {
                but.gives_space_only = false;
                kind = STEP_MSG_SPACE;
        } else if (r->property.id == PROPERTY_MSG && r->drops_last_lf) {
                but.drops_last_lf = false;
                kind = STEP_MSG_LESS_LF;
        } else if (r->extraction == EXTRACT_POSITION && r->from <= 1 && r->to > 0 && r->to < UINT32_MAX &&
                   !r->counts_from_end && !r->is_fixed_width) {
                but.extraction = EXTRACT_WHOLE;
                kind = plain_kind(r);
        }
        bool is_cut = but.extraction != r->extraction;
        if (!replacer_is_plain(&but) || (is_cut && kind != STEP_HOSTNAME && kind != STEP_TAG && kind != STEP_MSG))
                return STEP_REPLACED;
        if (is_cut)
                *bytes_max = (uint32_t)r->to;
        return kind;
}

int template_add_replacer(struct compiler *c, struct replacer *r) {
        uint32_t bytes_max;
        enum step_kind kind = kind_of(r, &bytes_max);
        struct step *step = has_room(c, 0) ? template_add_step(c, kind) : NULL;
        struct replacer *copy = step ? malloc(sizeof *copy) : NULL;
        if (!copy) {
                replacer_fini(r);
                return step ? fail(-ENOMEM) : -EINVAL;
        }
        *copy = *r;
        *r = (struct replacer){0};
        step->replacer = copy;
        step->bytes_max = bytes_max;
        step->out_name = text_of(copy->out_name);
        step->keeps_slash = keeps_slash(copy);
        c->template->tells_clock |= is_clock(copy);
        return 0;
}

/* ---- Compiling ----------------------------------------------------------- */

static int compile_subtree(struct compiler *c) {
        struct text name = c->def->subtree;
        struct replacer r = {0};
        bool is_tree = text_starts(name, TEXT("$!"));
        int error = is_tree ? replacer_name(&r, name, true) : -ENOENT;
        if (error == -ENOENT || (!error && r.property.id != PROPERTY_TREE)) {
                compiler_mistake(c, SEVERITY_ERR, c->def->place, 0, "subtree=\"$!\" is the whole tree",
                                 "invalid subtree parameter, variable must start with '$!' but var name is '%.*s'",
                                 TEXT_ARGS(name));
                c->is_unusable = true;
                error = 0;
        } else if (!error) {
                error = template_add_replacer(c, &r);
                c->template->subtree = error ? NULL : c->template->steps[0].replacer;
        }
        replacer_fini(&r);
        return error;
}

/* The string generators of rsyslog are four of the built-ins under the same names. */
static int compile_plugin(struct compiler *c) {
        static const char *const generators[] = {"RSYSLOG_FileFormat", "RSYSLOG_TraditionalFileFormat",
                                                 "RSYSLOG_ForwardFormat", "RSYSLOG_TraditionalForwardFormat"};
        for (size_t i = 0; i < ARRAY_SIZE(generators); i++)
                if (text_equal(c->def->plugin, text_of(generators[i]))) {
                        const struct template_def *own = c->def;
                        c->def = template_builtin(c->def->plugin);
                        int r = specification_compile(c);
                        c->def = own;
                        return r;
                }
        const char *closest = text_closest(c->def->plugin, generators, ARRAY_SIZE(generators));
        compiler_mistake(c, SEVERITY_ERR, c->def->place, 0, closest,
                         "template '%s': error -2159 defining template via plugin (strgen) module '%.*s'", c->def->name,
                         TEXT_ARGS(c->def->plugin));
        c->is_unusable = true;
        return 0;
}

static int compile(struct compiler *c) {
        switch (c->def->kind) {
        case TEMPLATE_STRING:
                return specification_compile(c);
        case TEMPLATE_LIST:
                return list_compile(c);
        case TEMPLATE_SUBTREE:
                return compile_subtree(c);
        case TEMPLATE_PLUGIN:
                return compile_plugin(c);
        }
        return -EINVAL;
}

static void set_options(struct template *t, const struct template_def *def) {
        t->escape = def->is_stdsql ? ESCAPE_STDSQL
                    : def->is_sql  ? ESCAPE_SQL
                    : def->is_json ? ESCAPE_QUOTED
                                   : ESCAPE_NONE;
        t->is_jsonf = def->is_jsonf || def->is_jsonftree;
        t->is_jsonftree = def->is_jsonftree;
        t->is_case_sensitive = def->is_case_sensitive;
}

/* What a record answers changes only with its own fields. */
static bool is_lasting_property(enum property_id id) {
        return (id >= PROPERTY_MSG && id <= PROPERTY_UUID) || id == PROPERTY_PARSESUCCESS ||
               id == PROPERTY_MYHOSTNAME || id == PROPERTY_BOM;
}

static bool is_lasting(const struct template *t) {
        for (size_t i = 0; i < t->count; i++)
                if (t->steps[i].replacer && !is_lasting_property(t->steps[i].replacer->property.id))
                        return false;
        return !t->subtree && !t->tells_clock;
}

bool template_is_lasting(const struct template *t) {
        return t->is_lasting;
}

/* How many steps behind this one make it "host tag msg", as most senders write it and most templates show it. */
static uint8_t find_run(const struct template *t, size_t at) {
        const struct step *s = &t->steps[at];
        size_t left = t->count - at;
        if (left < 4 || s[0].kind != STEP_HOSTNAME || s[1].kind != STEP_CONSTANT || s[2].kind != STEP_TAG ||
            !text_equal(s[1].text, TEXT(" ")))
                return 0;
        uint8_t last = s[3].kind == STEP_MSG_SPACE ? 4 : 3;
        return last < left && (s[last].kind == STEP_MSG || s[last].kind == STEP_MSG_LESS_LF) ? last : 0;
}

/* Members' names are settled once nested ones have their places. */
static int settle_members(struct template *t) {
        for (size_t i = 0; i < t->count; i++) {
                struct step *step = &t->steps[i];
                if (step->kind != STEP_REPLACED || !replacer_is_member(step->replacer))
                        continue;
                _owned_(buffer_fini) struct buffer head = {0};
                buffer_format(&head, "\"%s\":\"", step->replacer->out_name);
                struct text text = buffer_failed(&head) ? TEXT_NONE : arena_text(&t->arena, buffer_as_text(&head));
                if (!text.data)
                        return fail(-ENOMEM);
                step->kind = STEP_MEMBER;
                step->text = text;
        }
        return 0;
}

static void measure(struct template *t) {
        size_t uses[STEP_CLOSE + 1] = {0};
        bool is_direct = true;
        t->fixed_bytes = 0;
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                t->fixed_bytes += step->kind == STEP_CONSTANT ? step->text.size : STAMP_TEXT_MAX;
                is_direct = is_direct && step->kind <= STEP_PRI;
                uses[step->kind]++;
                t->steps[i].run = find_run(t, i);
        }
        t->host_uses = uses[STEP_HOSTNAME];
        t->tag_uses = uses[STEP_TAG];
        t->msg_uses = uses[STEP_MSG] + uses[STEP_MSG_LESS_LF];
        t->is_plain = t->escape == ESCAPE_NONE && !t->is_jsonf && !t->tells_clock;
        t->is_direct = t->is_plain && is_direct;
        t->is_lasting = is_lasting(t);
}

int template_new(struct template **ret, const struct template_def *def, struct diagnostics *diagnostics) {
        _owned_(template_free) struct template *t = calloc(1, sizeof *t);
        if (!t || !(t->name = strdup(def->name ? def->name : "")))
                return fail(-ENOMEM);
        arena_init(&t->arena);
        set_options(t, def);
        struct compiler c = {.template = t, .def = def, .diagnostics = diagnostics};
        if (def->is_sql + def->is_stdsql + def->is_json + t->is_jsonf > 1)
                compiler_mistake(&c, SEVERITY_WARNING, def->place, 0, "keep one of them",
                                 "template '%s' has several of option.sql, option.stdsql, option.json and option.jsonf",
                                 t->name);
        int r = compile(&c);
        if (!r && t->is_jsonftree && !c.is_unusable)
                r = template_nest_members(&c);
        if (!r)
                r = settle_members(t);
        if (r)
                return pass(r);
        if (c.is_unusable)
                return -EINVAL;
        bool fills_empty = template_fills_empty(def);
        for (size_t i = 0; i < t->count; i++)
                t->steps[i].fills_empty = fills_empty && t->steps[i].kind == STEP_MSG_SPACE;
        measure(t);
        *ret = TAKE(t);
        return 0;
}

struct template *template_free(struct template *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->count; i++)
                if (t->steps[i].replacer) {
                        replacer_fini(t->steps[i].replacer);
                        free(t->steps[i].replacer);
                }
        free(t->steps);
        arena_fini(&t->arena);
        free(t->name);
        free(t);
        return NULL;
}

const char *template_name(const struct template *t) {
        return t->name;
}
