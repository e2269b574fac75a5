/*
 * Whatever is received: the lines that are found are the first ones there are, each judged as byte by byte.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct line_end ends[LINES_MAX];
        /* Of its own, so that a step over the end is seen. */
        char *copy = malloc(size + !size);
        assert(copy);
        if (size)
                memcpy(copy, data, size);
        unsigned count = lines_find(ends, copy, size), found = 0;
        assert(count <= LINES_MAX);
        bool is_plain = true;
        for (size_t i = 0; i < size && found < count; i++) {
                if (data[i] != '\n') {
                        is_plain = is_plain && data[i] >= 32 && data[i] <= 127;
                        continue;
                }
                assert(ends[found].at == i && ends[found].is_plain == is_plain);
                is_plain = true;
                found++;
        }
        assert(found == count);
        /* It ends before the last line only with lines in hand. */
        assert(count > 0 || !size || !memchr(copy, '\n', size));
        free(copy);
        return 0;
}
