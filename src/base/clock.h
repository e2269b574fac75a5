/*
 * Clocks. clock_wall_us() and clock_mono_ns() go through the C library, so that
 * preloaded test libraries can stand in for time. The coarse ones cost a few
 * nanoseconds and advance with the kernel's tick (at most 4 ms behind).
 */
#pragma once

#include <stdint.h>

int64_t clock_wall_us(void); /* microseconds since 1970, UTC */
int64_t clock_wall_coarse_us(void);
int64_t clock_mono_ns(void); /* nanoseconds since some start, never back */
int64_t clock_mono_coarse_ns(void);
