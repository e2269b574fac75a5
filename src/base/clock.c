#include "base/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t id) {
        struct timespec now;
        clock_gettime(id, &now);
        return now;
}

static int64_t us(struct timespec t) {
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t ns(struct timespec t) {
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_wall_us(void) {
        return us(read_clock(CLOCK_REALTIME));
}

int64_t clock_wall_coarse_us(void) {
        return us(read_clock(CLOCK_REALTIME_COARSE));
}

int64_t clock_mono_ns(void) {
        return ns(read_clock(CLOCK_MONOTONIC));
}

int64_t clock_mono_coarse_ns(void) {
        return ns(read_clock(CLOCK_MONOTONIC_COARSE));
}
