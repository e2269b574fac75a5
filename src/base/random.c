#include "base/random.h"

#include <sys/random.h>

#include "base/clock.h"

uint64_t random_seed(void) {
        uint64_t seed = 0;
        while (!seed)
                if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
                        seed = (uint64_t)clock_mono_ns() ^ (uintptr_t)&seed;
        return seed;
}
