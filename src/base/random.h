/* Numbers that need only be different, not secret: xorshift64*, with no system call a number. */
#pragma once

#include <stdint.h>

/* Never 0: from the kernel, else from the clock. */
uint64_t random_seed(void);

/* A state of 0 is not begun yet; it belongs to one thread. */
static inline uint64_t random_next(uint64_t *state) {
        uint64_t x = *state ? *state : random_seed();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        *state = x;
        return x * 0x2545f4914f6cdd1du;
}
