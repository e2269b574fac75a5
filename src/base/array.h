/*
 * Arrays that grow by doubling. Their owner has the items, how many there are, and for how many there is room, in
 * fields of whatever integer type suits it; the items come from malloc() and end with free().
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

#include "base/macros.h"

/* Room for one more item behind the `count` that there are; the first time for `first`. False: no memory, and all is
 * as it was. */
#define ARRAY_ROOM(items, count, capacity, first)                                                                      \
        (LIKELY((count) < (capacity)) || ARRAY_GROW_(items, capacity, MAX((size_t)(capacity)*2, (size_t)(first))))

#define ARRAY_GROW_(items, capacity, wanted)                                                                           \
        ({                                                                                                             \
                size_t array_wanted = (wanted);                                                                        \
                __typeof__(items) array_grown = realloc(items, array_wanted * sizeof *(items));                        \
                if (array_grown) {                                                                                     \
                        (items) = array_grown;                                                                         \
                        (capacity) = (__typeof__(capacity))array_wanted;                                               \
                }                                                                                                      \
                array_grown != NULL;                                                                                   \
        })
