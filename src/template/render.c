/*
 * A compiled template over a record: as text, as a path, as a JSON value.
 *
 * Nearly every template is "direct": constants, times, and values that are spans of
 * the record. Those are copied behind one another with no check between. Whatever
 * else a template has makes it go step by step, and render into the same buffer.
 */
#include "base/clock.h"
#include "message/variable.h"
#include "template/compile.h"

static inline void put_text(struct buffer *out, struct text t) {
        if (UNLIKELY(out->capacity - out->size < t.size) && !buffer_reserve(out, t.size))
                return;
        out->size = (size_t)(bytes_put(out->data + out->size, t.data, t.size) - out->data);
}

static inline struct text cut_text(const struct batch *b, struct span s, const struct step *step) {
        return (struct text){batch_at(b, s), MIN(s.size, step->bytes_max)};
}

static inline bool needs_space(const struct step *step, const struct batch *b, const struct record *r) {
        return r->msg.size ? *batch_at(b, r->msg) != ' ' : step->fills_empty;
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
        case STEP_VARIABLE:
        case STEP_PROPERTY:
                put_property(out, step, context, b, r);
                break;
        case STEP_MSG_SPACE:
                if (needs_space(step, b, r))
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
        case STEP_GENERATED:
                if (buffer_reserve(out, STAMP_TEXT_MAX))
                        out->size = (size_t)(stamp_wall_rfc3164(out->data + out->size, r->received_us) - out->data);
                break;
        case STEP_PRI:
                put_pri(out, r);
                break;
        case STEP_REPLACED:
                replacer_render(step->replacer, context, b, r, out);
                break;
        case STEP_MEMBER:
                replacer_render_member(step->replacer, step->text, context, b, r, out);
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

/*
 * Whether host, tag and message stand in the record as the steps want them, one blank behind the host and the message's
 * own before it. Nearly always they do, and one copy takes half the time of piece by piece: 14 of 28 ns.
 */
static inline bool stands_as_run(const struct step *step, const struct batch *b, const struct record *r) {
        const struct step *tag = step + 2, *msg = step + step->run;
        return r->msg.size && r->host.at + r->host.size + 1 == r->tag.at && r->tag.at + r->tag.size == r->msg.at &&
               *batch_at(b, r->msg) == ' ' && batch_at(b, r->tag)[-1] == ' ' && r->host.size <= step->bytes_max &&
               r->tag.size <= tag->bytes_max && r->msg.size <= msg->bytes_max;
}

static inline struct text run_text(const struct step *step, const struct batch *b, const struct record *r) {
        const char *begin = batch_at(b, r->host);
        struct text run = {begin, (size_t)(r->msg.at - r->host.at) + r->msg.size};
        if (step[step->run].kind == STEP_MSG_LESS_LF)
                run.size -= run.data[run.size - 1] == '\n';
        return run;
}

/* A variable's text; nearly always a string, or nothing. */
static inline struct text variable_value(const struct step *step, struct property_context *context, struct batch *b,
                                         struct record *r) {
        const struct property *p = &step->replacer->property;
        const struct json *value = p->is_name ? variable_get_name(r, p->scope, p->path, context->is_case_sensitive)
                                              : property_tree(context, r, p);
        if (!value)
                return TEXT("");
        return value->type == JSON_STRING ? value->string : property_get(context, b, r, p);
}

/*
 * Of a record whose every value is a span: there is room for the whole, `room` bytes, and the end of the text stays in
 * a register. Variables ask for theirs when they are met.
 */
_hot_ static void render_direct(const struct template *t, size_t room, struct property_context *context,
                                struct batch *b, struct record *r, struct buffer *out) {
        char *to = out->data + out->size;
        for (size_t i = 0; i < t->count; i++) {
                const struct step *step = &t->steps[i];
                struct text piece = step->text;
                switch (step->kind) {
                case STEP_HOSTNAME:
                        if (step->run && LIKELY(stands_as_run(step, b, r))) {
                                piece = run_text(step, b, r);
                                i += step->run;
                                break;
                        }
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
                        to += needs_space(step, b, r);
                        continue;
                case STEP_RFC3164:
                        to = stamp_rfc3164(to, &r->reported, ' ');
                        continue;
                case STEP_GENERATED:
                        to = stamp_wall_rfc3164(to, r->received_us);
                        continue;
                case STEP_VARIABLE:
                        piece = variable_value(step, context, b, r);
                        out->size = (size_t)(to - out->data);
                        if (UNLIKELY(out->capacity - out->size < room + piece.size) &&
                            !buffer_reserve(out, room + piece.size))
                                return;
                        to = out->data + out->size;
                        break;
                case STEP_RFC3339:
                        to = stamp_rfc3339(to, &r->reported);
                        continue;
                case STEP_PRI:
                        to = pri_text(to, r);
                        continue;
                default:
                        break;
                }
                to = bytes_put(to, piece.data, piece.size);
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
        size_t room = t->fixed_bytes + spans + 1;
        if (UNLIKELY(out->capacity - out->size < room) && !buffer_reserve(out, room))
                return;
        if (LIKELY(t->is_plain && !escapes_path)) {
                if (LIKELY(t->is_direct && r->host.size && r->tag.size && r->reported.is_set))
                        render_direct(t, room, context, b, r, out);
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
