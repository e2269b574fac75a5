#include "base/slab.h"

#include <stdint.h>
#include <string.h>

#include "base/test.h"

enum { BYTES = 300 << 10, A_CHUNK = (SLAB_CHUNK_BYTES - 4096) / BYTES, MANY = 150 };

static bool is_filled(const unsigned char *slab, unsigned char with) {
        return slab[0] == with && slab[BYTES - 1] == with && memcmp(slab, slab + 1, BYTES - 1) == 0;
}

static void slabs_do_not_overlap(void) {
        struct slabs s = {.slab_bytes = BYTES};
        void *taken[MANY];
        for (unsigned i = 0; i < MANY; i++) {
                taken[i] = slab_take(&s);
                CHECK(taken[i] != NULL);
                memset(taken[i], (int)i, BYTES);
        }
        bool is_right = true;
        for (unsigned i = 0; i < MANY; i++)
                is_right &= is_filled(taken[i], (unsigned char)i);
        CHECK(is_right);
        for (unsigned i = 0; i < MANY; i++)
                slab_give(&s, taken[i]);
        slabs_fini(&s);
}

/* In any order, through all states of a chunk. */
static void what_comes_back_is_taken_again(void) {
        struct slabs s = {.slab_bytes = BYTES};
        unsigned char *taken[MANY] = {0};
        unsigned random = 7;
        bool is_right = true;
        for (unsigned round = 0; round < 20000; round++) {
                random = random * 1103515245 + 12345;
                /* Tides, so that chunks become wholly free and come anew. */
                unsigned at = (random >> 16) % MANY, tide = round / 500 % 4;
                if (taken[at]) {
                        is_right &= taken[at][0] == at && taken[at][BYTES - 1] == at;
                        slab_give(&s, taken[at]);
                        taken[at] = NULL;
                } else if (tide != 3) {
                        taken[at] = slab_take(&s);
                        taken[at][0] = taken[at][BYTES - 1] = (unsigned char)at;
                }
        }
        CHECK(is_right);
        for (unsigned i = 0; i < MANY; i++)
                if (taken[i])
                        slab_give(&s, taken[i]);
        slabs_fini(&s);
}

static void the_first_chunk_is_preferred(void) {
        struct slabs s = {.slab_bytes = BYTES};
        void *first = slab_take(&s), *taken[A_CHUNK];
        for (unsigned i = 0; i < A_CHUNK; i++)
                taken[i] = slab_take(&s);
        CHECK(slab_is_lasting(&s, first));
        slab_give(&s, first);
        void *again = slab_take(&s);
        CHECK(slab_is_lasting(&s, again));
        slab_give(&s, again);
        for (unsigned i = 0; i < A_CHUNK; i++)
                slab_give(&s, taken[i]);
        slabs_fini(&s);
}

TEST_MAIN(TEST(slabs_do_not_overlap), TEST(what_comes_back_is_taken_again), TEST(the_first_chunk_is_preferred))
