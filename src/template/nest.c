/*
 * option.jsonftree: elements of dotted names move into nested objects, so that
 * "a.b" and "a.c" become "a":{"b":..., "c":...}. Done once, when the template is
 * compiled: the steps are put in another order, with STEP_OPEN and STEP_CLOSE
 * around those that share an object.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "template/compile.h"

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
        struct step *step = template_add_step(c, STEP_OPEN);
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
                        struct step *step = template_add_step(c, from[i].kind);
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
                if (!template_add_step(c, STEP_CLOSE))
                        return fail(-ENOMEM);
        }
        return 0;
}

int template_nest_members(struct compiler *c) {
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
