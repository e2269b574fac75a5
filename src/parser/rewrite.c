#include "parser/rewrite.h"

void rewrite_raw(struct batch *batch, struct record *record, const struct text *pieces, size_t count) {
        size_t size = 0;
        for (size_t i = 0; i < count; i++)
                size += pieces[i].size;
        struct span span;
        char *to = batch_room(batch, size, &span);
        if (!to)
                return;
        for (size_t i = 0; i < count; i++)
                if (pieces[i].size) {
                        memcpy(to, pieces[i].data, pieces[i].size);
                        to += pieces[i].size;
                }
        record->raw = span;
}
