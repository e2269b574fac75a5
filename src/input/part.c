#include "input/part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

bool part_grow(struct part *p, size_t capacity) {
        if (capacity <= p->capacity)
                return true;
        char *grown = realloc(p->data, capacity);
        if (!grown)
                return false;
        p->data = grown;
        p->capacity = capacity;
        return true;
}

void part_drop(struct part *p) {
        free(p->data);
        *p = (struct part){0};
}

int part_hold(struct part *p, const char *data, size_t size) {
        if (size == 0) {
                part_drop(p);
                return 0;
        }
        if (!part_grow(p, size))
                return fail(-ENOMEM);
        memmove(p->data, data, size);
        p->size = size;
        if (p->capacity > PART_IN_BATCH_MAX && !part_has_outgrown(p)) {
                char *fitting = realloc(p->data, size);
                if (fitting) {
                        p->data = fitting;
                        p->capacity = size;
                }
        }
        return 0;
}
