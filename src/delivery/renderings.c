#include "delivery/renderings.h"

#include <stdlib.h>

void renderings_fini(struct renderings *all) {
        buffer_fini(&all->text);
        for (size_t i = 0; i < all->count; i++) {
                free(all->of[i].made_in);
                free(all->of[i].places);
        }
        *all = (struct renderings){0};
}

void renderings_forget(struct renderings *all) {
        buffer_clear(&all->text);
        if (LIKELY(++all->time))
                return;
        /* After four thousand million times they begin anew, and no old row may look like a new one. */
        for (size_t i = 0; i < all->count; i++)
                memset(all->of[i].made_in, 0, BATCH_RECORDS_MAX * sizeof *all->of[i].made_in);
        all->time = 1;
}

struct rendering *renderings_of(struct renderings *all, const struct template *t, bool ends_with_lf) {
        for (size_t i = 0; i < all->count; i++)
                if (all->of[i].template == t && all->of[i].ends_with_lf == ends_with_lf)
                        return &all->of[i];
        if (all->count == RENDERINGS_TEMPLATES_MAX || !template_is_lasting(t))
                return NULL;
        struct rendering r = {.template = t, .ends_with_lf = ends_with_lf};
        r.made_in = calloc(BATCH_RECORDS_MAX, sizeof *r.made_in);
        r.places = malloc(BATCH_RECORDS_MAX * sizeof *r.places);
        if (!r.made_in || !r.places) {
                free(r.made_in);
                free(r.places);
                return NULL;
        }
        if (all->time == 0)
                all->time = 1;
        all->of[all->count] = r;
        return &all->of[all->count++];
}

void renderings_add(struct renderings *all, struct rendering *r, struct property_context *context, struct batch *b,
                    uint16_t record) {
        struct buffer *text = &all->text;
        size_t at = text->size;
        if (r->made_in[record] == all->time) {
                struct place_in known = r->places[record];
                /* The room first: what is copied may move with it. */
                if (LIKELY(text->capacity - at >= known.size) || buffer_reserve(text, known.size))
                        buffer_append(text, text->data + known.at, known.size);
                return;
        }
        render_row(r->template, context, b, &b->records[record], false, r->ends_with_lf, text);
        /* Past the first four GiB of one batch's rows none is remembered. */
        if (UNLIKELY(text->is_failed || text->size > UINT32_MAX))
                return;
        r->made_in[record] = all->time;
        r->places[record] = (struct place_in){(uint32_t)at, (uint32_t)(text->size - at)};
}
