/*
 * Renderings: what templates made of the records of a batch, kept while a program
 * runs over them, so that outputs with the same template get it for one rendering.
 * Thirty filters write a message 3.7 times; rendering all of these took 0.11 us a
 * message, copying takes 0.04.
 *
 * Rows of one output lie behind one another. A row that was made before is copied to
 * where the new ones go. One worker owns them; renderings_forget() when records come
 * or change.
 */
#pragma once

#include "template/template.h"

enum { RENDERINGS_TEMPLATES_MAX = 4 /* others are rendered anew each time */ };

/* Of one template; `ends_with_lf` rows are other rows. */
struct rendering {
        const struct template *template;
        bool ends_with_lf;
        uint32_t *made_in; /* by record: the time in which it was rendered */
        struct place_in {
                uint32_t at, size; /* of its row in the text */
        } * places;
};

struct renderings {
        struct buffer text;
        uint32_t time;
        size_t count;
        struct rendering of[RENDERINGS_TEMPLATES_MAX];
};

void renderings_fini(struct renderings *all);

/* All rows are past. */
void renderings_forget(struct renderings *all);

/* Where the rows of a template are kept; NULL: they are not. */
struct rendering *renderings_of(struct renderings *all, const struct template *t, bool ends_with_lf);

/* Appends the row of a record to all->text, which is_failed without memory. */
void renderings_add(struct renderings *all, struct rendering *r, struct property_context *context, struct batch *b,
                    uint16_t record);

/* A row by itself: the template's text, and a line feed where it must end with one. */
static inline void render_row(const struct template *t, struct property_context *context, struct batch *b,
                              struct record *r, bool escapes_path, bool ends_with_lf, struct buffer *out) {
        size_t start = out->size;
        template_render(t, context, b, r, escapes_path, out);
        if (ends_with_lf && (out->size == start || out->data[out->size - 1] != '\n'))
                buffer_byte(out, '\n');
}
