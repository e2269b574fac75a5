/* A table that could be read answers every key, and a file that could not is told of once. */
#include <stdlib.h>

#include "lookup/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct counted {
        struct lookup_listener listener;
        unsigned errors;
};

static void count_error(struct lookup_listener *listener, enum severity severity, uint32_t line, uint32_t column,
                        const char *what) {
        struct counted *c = CONTAINER_OF(listener, struct counted, listener);
        assert(line >= 1 && column >= 1 && *what);
        c->errors += severity <= SEVERITY_ERR;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct counted counted = {.listener.hear = count_error};
        struct text file = {(const char *)data, size};
        struct lookup *l;
        int r = lookup_read(&l, file, &counted.listener);
        assert((r == 0) == (counted.errors == 0));
        if (r)
                return 0;
        for (size_t from = 0; from < size && from < 64; from++) {
                /* The sanitizer's regexec() reads up to a NUL, wherever it is told that the text ends. */
                _owned_(memory_free) char *copy = text_copy(text_slice(file, from, from + from % 9));
                if (!copy)
                        break;
                struct text key = {copy, strlen(copy)};
                struct text found =
                        lookup_takes_text(l) ? lookup_find(l, key) : lookup_find_number(l, (uint32_t)from * 0x4000001u);
                assert(found.size <= size * 8 + 64);
        }
        lookup_unref(l);
        return 0;
}
