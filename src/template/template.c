#include "template/template.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "message/variable.h"
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

static struct step *add_step(struct compiler *c, enum step_kind kind) {
        struct template *t = c->template;
        if (t->count == t->capacity) {
                size_t capacity = MAX(t->capacity * 2, (size_t)8);
                struct step *grown = realloc(t->steps, capacity * sizeof *grown);
                if (!grown)
                        return NULL;
                t->steps = grown;
                t->capacity = capacity;
        }
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
        struct step *step = joins ? last : add_step(c, STEP_CONSTANT);
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
        struct step *step = add_step(c, STEP_CONSTANT);
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
        struct step *step = has_room(c, 0) ? add_step(c, kind) : NULL;
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

/* ---- Nested objects (option.jsonftree) ----------------------------------- */

/* The part of a dotted name up to the dot, and what follows. */
static bool split_name(struct text name, struct text *head, struct text *rest) {
        const char *dot = name.size ? memchr(name.data, '.', name.size) : NULL;
        if (!dot || dot == name.data || dot + 1 == name.data + name.size)
                return false;
        size_t size = (size_t)(dot - name.data);
        *head = text_slice(name, 0, size);
        *rest = text_slice(name, size + 1, name.size);
        return true;
}

static int open_object(struct compiler *c, struct text name) {
        _owned_(buffer_fini) struct buffer text = {0};
        buffer_format(&text, "\"%.*s\":{", TEXT_ARGS(name));
        struct step *step = add_step(c, STEP_OPEN);
        if (!step || buffer_failed(&text))
                return fail(-ENOMEM);
        step->text = arena_text(&c->template->arena, buffer_as_text(&text));
        c->template->constant_bytes += text.size + 3;
        return step->text.data ? 0 : fail(-ENOMEM);
}

/* The leaf's name is what remains after its objects; a constant's text is made anew. */
static int rename_leaf(struct compiler *c, struct step *step, struct text name) {
        if (step->replacer) {
                char *copy = text_copy(name);
                if (!copy)
                        return fail(-ENOMEM);
                free(step->replacer->out_name);
                step->replacer->out_name = copy;
                step->out_name = text_of(copy);
                return 0;
        }
        struct text value = step->value;
        bool is_json = step->text.data != step->value.data;
        c->template->count--;
        return template_add_named_constant(c, value, name, is_json);
}

enum { TREE_DEPTH_MAX = 16 };

/* Appends the steps of one level: members in order of their first appearance, those of one object together. */
static int add_level(struct compiler *c, struct step *from, struct text *names, bool *is_done, size_t count,
                     const size_t *members, size_t member_count, unsigned depth) {
        _owned_(memory_free) size_t *inner = malloc((member_count + 1) * sizeof *inner);
        if (!inner)
                return fail(-ENOMEM);
        for (size_t m = 0; m < member_count; m++) {
                size_t i = members[m];
                struct text head, rest, other_head, other_rest;
                if (is_done[i])
                        continue;
                if (depth == TREE_DEPTH_MAX || !split_name(names[i], &head, &rest)) {
                        is_done[i] = true;
                        struct step *step = add_step(c, from[i].kind);
                        if (!step)
                                return fail(-ENOMEM);
                        *step = from[i];
                        from[i].replacer = NULL;
                        int r = depth ? rename_leaf(c, step, names[i]) : 0;
                        if (r)
                                return pass(r);
                        continue;
                }
                int r = open_object(c, head);
                size_t found = 0;
                for (size_t n = m; n < member_count; n++)
                        if (!is_done[members[n]] && split_name(names[members[n]], &other_head, &other_rest) &&
                            text_equal(head, other_head)) {
                                inner[found++] = members[n];
                                names[members[n]] = other_rest;
                        }
                if (!r)
                        r = add_level(c, from, names, is_done, count, inner, found, depth + 1);
                if (r)
                        return pass(r);
                if (!add_step(c, STEP_CLOSE))
                        return fail(-ENOMEM);
        }
        return 0;
}

/* Elements of dotted names move into nested objects: "a.b" and "a.c" become "a":{"b":..., "c":...}. */
static int nest_members(struct compiler *c) {
        struct template *t = c->template;
        size_t count = t->count;
        struct step *from = TAKE(t->steps);
        t->count = t->capacity = 0;
        _owned_(memory_free) struct text *names = calloc(count + 1, sizeof *names);
        _owned_(memory_free) size_t *members = calloc(count + 1, sizeof *members);
        _owned_(memory_free) bool *is_done = calloc(count + 1, sizeof *is_done);
        /* Names are read while steps and their replacers move, so they are copied first. */
        bool has_memory = names && members && is_done;
        for (size_t i = 0; has_memory && i < count; i++) {
                members[i] = i;
                names[i] = arena_text(&t->arena, from[i].out_name);
                has_memory = names[i].data;
        }
        int r = has_memory ? add_level(c, from, names, is_done, count, members, count, 0) : fail(-ENOMEM);
        for (size_t i = 0; i < count; i++)
                if (from[i].replacer) {
                        replacer_fini(from[i].replacer);
                        free(from[i].replacer);
                }
        free(from);
        return r;
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

static void measure(struct template *t) {
        size_t uses[STEP_CLOSE + 1] = {0};
        bool is_direct = true;
        t->fixed_bytes = 0;
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                t->fixed_bytes += step->kind == STEP_CONSTANT ? step->text.size : STAMP_TEXT_MAX;
                is_direct = is_direct && step->kind <= STEP_PRI;
                uses[step->kind]++;
        }
        t->host_uses = uses[STEP_HOSTNAME];
        t->tag_uses = uses[STEP_TAG];
        t->msg_uses = uses[STEP_MSG] + uses[STEP_MSG_LESS_LF];
        t->is_plain = t->escape == ESCAPE_NONE && !t->is_jsonf && !t->tells_clock;
        t->is_direct = t->is_plain && is_direct;
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
                r = nest_members(&c);
        if (r)
                return pass(r);
        if (c.is_unusable)
                return -EINVAL;
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

/* ---- Rendering ----------------------------------------------------------- */

/* Most pieces of a log line are shorter than the call of memcpy() is long. Over 32 bytes it wins. */
static inline char *put(char *to, const char *from, size_t size) {
        if (size > 32)
                return mempcpy(to, from, size);
        if (size >= 16) {
                __builtin_memcpy(to, from, 16);
                __builtin_memcpy(to + size - 16, from + size - 16, 16);
        } else if (size >= 8) {
                __builtin_memcpy(to, from, 8);
                __builtin_memcpy(to + size - 8, from + size - 8, 8);
        } else if (size >= 4) {
                __builtin_memcpy(to, from, 4);
                __builtin_memcpy(to + size - 4, from + size - 4, 4);
        } else {
                for (size_t i = 0; i < size; i++)
                        to[i] = from[i];
        }
        return to + size;
}

static inline void put_text(struct buffer *out, struct text t) {
        if (UNLIKELY(out->capacity - out->size < t.size) && !buffer_reserve(out, t.size))
                return;
        out->size = (size_t)(put(out->data + out->size, t.data, t.size) - out->data);
}

static inline struct text cut_text(const struct batch *b, struct span s, const struct step *step) {
        return (struct text){batch_at(b, s), MIN(s.size, step->bytes_max)};
}

static inline bool needs_space(const struct batch *b, const struct record *r) {
        return r->msg.size && *batch_at(b, r->msg) != ' ';
}

static inline struct text msg_less_lf(const struct batch *b, const struct record *r) {
        struct text msg = batch_text(b, r->msg);
        msg.size -= msg.size && msg.data[msg.size - 1] == '\n';
        return msg;
}

static void put_stamp(struct buffer *out, const struct record *r, bool is_rfc3339) {
        if (!buffer_reserve(out, STAMP_TEXT_MAX))
                return;
        struct stamp made;
        const struct stamp *s = &r->reported;
        if (UNLIKELY(!s->is_set)) {
                made = stamp_of_wall(r->received_us);
                s = &made;
        }
        char *to = out->data + out->size;
        out->size = (size_t)((is_rfc3339 ? stamp_rfc3339(to, s) : stamp_rfc3164(to, s, ' ')) - out->data);
}

/* At most five bytes. */
static char *pri_text(char *to, const struct record *r) {
        if (UNLIKELY(r->facility >= 24))
                return mempcpy(to, "invld", 5);
        unsigned pri = r->facility * 8u + (r->severity & 7u);
        return stamp_digits(to, pri, pri < 10 ? 1 : pri < 100 ? 2 : 3);
}

static void put_pri(struct buffer *out, const struct record *r) {
        char text[8];
        buffer_append(out, text, (size_t)(pri_text(text, r) - text));
}

static inline void put_property(struct buffer *out, const struct step *step, struct property_context *context,
                                struct batch *b, struct record *r) {
        struct text t = property_get(context, b, r, &step->replacer->property);
        t.size = MIN(t.size, (size_t)step->bytes_max);
        put_text(out, t);
}

static inline void render_step(const struct step *step, struct property_context *context, struct batch *b,
                               struct record *r, struct buffer *out) {
        switch (step->kind) {
        case STEP_CONSTANT:
                put_text(out, step->text);
                break;
        case STEP_HOSTNAME:
        case STEP_TAG:
        case STEP_MSG:
        case STEP_PROPERTY:
                put_property(out, step, context, b, r);
                break;
        case STEP_MSG_SPACE:
                if (needs_space(b, r))
                        buffer_byte(out, ' ');
                break;
        case STEP_MSG_LESS_LF:
                put_text(out, msg_less_lf(b, r));
                break;
        case STEP_RFC3164:
                put_stamp(out, r, false);
                break;
        case STEP_RFC3339:
                put_stamp(out, r, true);
                break;
        case STEP_PRI:
                put_pri(out, r);
                break;
        case STEP_REPLACED:
                replacer_render(step->replacer, context, b, r, out);
                break;
        case STEP_OPEN:
        case STEP_CLOSE:
                break; /* render_members() */
        }
}

static void render_plain(const struct template *t, struct property_context *context, struct batch *b, struct record *r,
                         struct buffer *out) {
        for (size_t i = 0; i < t->count; i++)
                render_step(&t->steps[i], context, b, r, out);
}

/* Of a record whose every value is a span: there is room for the whole, and the end of the text stays in a register. */
_hot_ static void render_direct(const struct template *t, const struct batch *b, const struct record *r,
                                struct buffer *out) {
        char *to = out->data + out->size;
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                struct text piece = step->text;
                switch (step->kind) {
                case STEP_HOSTNAME:
                        piece = cut_text(b, r->host, step);
                        break;
                case STEP_TAG:
                        piece = cut_text(b, r->tag, step);
                        break;
                case STEP_MSG:
                        piece = cut_text(b, r->msg, step);
                        break;
                case STEP_MSG_LESS_LF:
                        piece = msg_less_lf(b, r);
                        break;
                case STEP_MSG_SPACE:
                        *to = ' ';
                        to += needs_space(b, r);
                        continue;
                case STEP_RFC3164:
                        to = stamp_rfc3164(to, &r->reported, ' ');
                        continue;
                case STEP_RFC3339:
                        to = stamp_rfc3339(to, &r->reported);
                        continue;
                case STEP_PRI:
                        to = pri_text(to, r);
                        continue;
                default:
                        break;
                }
                to = put(to, piece.data, piece.size);
        }
        out->size = (size_t)(to - out->data);
}

static void render_escaped(const struct template *t, const struct step *step, struct property_context *context,
                           struct batch *b, struct record *r, struct buffer *out) {
        size_t start = out->size;
        render_step(step, context, b, r, out);
        if (step->kind == STEP_CONSTANT || t->escape == ESCAPE_NONE || out->size == start)
                return;
        struct value v = {
                .text = {out->data + start, out->size - start}, .out = out, .start = start, .is_in_out = true};
        value_escape(&v, t->escape);
}

/* option.jsonf: an object whose elements are parted by ", ", where what renders empty is no element. */
static void render_members(const struct template *t, struct property_context *context, struct batch *b,
                           struct record *r, struct buffer *out) {
        struct level {
                size_t start; /* of the object in out, its comma included */
                bool has_member;
        } levels[TREE_DEPTH_MAX + 2] = {0}, *level = levels;
        buffer_byte(out, '{');
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                if (step->kind == STEP_CLOSE) {
                        /* An object that got no member goes again. */
                        bool is_kept = level->has_member;
                        if (is_kept)
                                buffer_byte(out, '}');
                        else
                                out->size = level->start;
                        level--;
                        level->has_member |= is_kept;
                        continue;
                }
                size_t start = out->size;
                if (level->has_member)
                        buffer_text(out, TEXT(", "));
                if (step->kind == STEP_OPEN) {
                        buffer_text(out, step->text);
                        *++level = (struct level){.start = start};
                        continue;
                }
                size_t begin = out->size;
                render_escaped(t, step, context, b, r, out);
                if (out->size == begin)
                        out->size = start;
                else
                        level->has_member = true;
        }
        buffer_text(out, TEXT("}\n"));
}

/* ---- Rendering a path ---------------------------------------------------- */

/* Where the component that is being written begins, and whether any of it may be the sender's doing. */
struct path {
        size_t component;
        bool is_touched;
};

/* "." and ".." lead out of the directory that the template names; "_" and "_." are names like any other. */
static void close_component(struct buffer *out, const struct path *p, size_t end) {
        struct text component = {out->data + p->component, end - p->component};
        if (p->is_touched && (text_equal(component, TEXT(".")) || text_equal(component, TEXT(".."))))
                out->data[p->component] = '_';
}

static void walk_path(struct buffer *out, struct path *p, size_t from, bool is_value) {
        p->is_touched |= is_value;
        for (size_t at = from; at < out->size; at++) {
                if (out->data[at] != '/')
                        continue;
                close_component(out, p, at);
                *p = (struct path){.component = at + 1, .is_touched = is_value};
        }
}

static void secure_value(struct buffer *out, size_t from, bool keeps_slash) {
        for (size_t at = from; at < out->size; at++)
                if (out->data[at] == '\0' || (out->data[at] == '/' && !keeps_slash))
                        out->data[at] = '_';
}

static void render_path(const struct template *t, struct property_context *context, struct batch *b, struct record *r,
                        struct buffer *out) {
        struct path path = {.component = out->size};
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                size_t from = out->size;
                bool is_value = step->kind != STEP_CONSTANT;
                render_escaped(t, step, context, b, r, out);
                bool is_program = is_value && step->replacer && step->replacer->property.id == PROPERTY_PROGRAMNAME;
                if (is_value)
                        secure_value(out, from, step->keeps_slash || (is_program && context->permits_slash));
                walk_path(out, &path, from, is_value);
        }
        if (out->size > path.component)
                close_component(out, &path, out->size);
}

void template_render(const struct template *t, struct property_context *context, struct batch *b, struct record *r,
                     bool escapes_path, struct buffer *out) {
        size_t spans = t->host_uses * r->host.size + t->tag_uses * r->tag.size + t->msg_uses * r->msg.size;
        if (UNLIKELY(!buffer_reserve(out, t->fixed_bytes + spans + 1)))
                return;
        if (LIKELY(t->is_plain && !escapes_path)) {
                if (LIKELY(t->is_direct && r->host.size && r->tag.size && r->reported.is_set))
                        render_direct(t, b, r, out);
                else
                        render_plain(t, context, b, r, out);
                return;
        }
        /* $now and $minute of one rendering belong to one moment. */
        bool sets_clock = t->tells_clock && !context->now_us;
        if (sets_clock)
                context->now_us = clock_wall_us();
        if (escapes_path)
                render_path(t, context, b, r, out);
        else if (t->is_jsonf)
                render_members(t, context, b, r, out);
        else
                for (size_t i = 0; i < t->count; i++)
                        render_escaped(t, &t->steps[i], context, b, r, out);
        if (sets_clock)
                context->now_us = 0;
}

/* ---- As JSON ------------------------------------------------------------- */

struct json *template_json(const struct template *t, struct property_context *context, struct batch *b,
                           struct record *r, struct arena *a) {
        bool is_failed = false;
        if (t->subtree) {
                struct json *tree = replacer_json(t->subtree, context, b, r, a, &is_failed);
                return tree || is_failed ? tree : json_object(a);
        }
        struct json *object = json_object(a);
        struct json *open[TREE_DEPTH_MAX + 1] = {object};
        unsigned depth = 0;
        for (size_t i = 0; object && !is_failed && i < t->count; i++) {
                const struct step *step = &t->steps[i];
                struct json *value = NULL;
                if (step->kind == STEP_CLOSE) {
                        depth--;
                        continue;
                }
                if (step->kind == STEP_OPEN) {
                        value = json_object(a);
                        struct text name = text_slice(step->text, 1, step->text.size - strlen("\":{"));
                        is_failed = !value || json_set(a, open[depth], name, value);
                        open[++depth] = value;
                        continue;
                }
                if (step->replacer)
                        value = replacer_json(step->replacer, context, b, r, a, &is_failed);
                else if (step->out_name.size)
                        is_failed = !(value = json_string(a, step->value));
                if (value)
                        is_failed = json_set(a, open[depth], step->out_name, value) != 0;
        }
        return is_failed ? NULL : object;
}
