#include "input/promises.h"

#include <stdlib.h>

void *promises_add(struct promises *line, size_t size) {
        struct promise *promise = line->idle;
        if (promise)
                line->idle = promise->next;
        else
                promise = malloc(size);
        if (!promise)
                return NULL;
        *promise = (struct promise){0};
        if (!line->first)
                line->end = &line->first;
        *line->end = promise;
        line->end = &promise->next;
        return promise;
}

void *promises_take(struct promises *line) {
        struct promise *kept = line->first;
        if (!kept || !kept->is_kept)
                return NULL;
        line->first = kept->next;
        kept->next = line->idle;
        line->idle = kept;
        return kept;
}

static void free_all(struct promise *list) {
        while (list) {
                struct promise *next = list->next;
                free(list);
                list = next;
        }
}

void promises_fini(struct promises *line) {
        free_all(line->first);
        free_all(line->idle);
        *line = (struct promises){0};
}
