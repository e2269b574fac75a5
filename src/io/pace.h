/*
 * Pace: how a reader of datagrams lets a few gather where many arrive.
 *
 * At 300,000 datagrams a second a reader that looks at once finds three or four,
 * and pays for each look with a wake-up, a system call, a hand-off and a write.
 * Measured there: 1.55 CPU seconds a million messages when it always looks at
 * once, 1.4 when about 64 gather, 1.1 when 256 do, 1.0 with 512; receiving alone
 * costs 0.8. So: below PACE_FROM_A_SECOND there is no pause at all and a message
 * leaves at once; above, the pause is what the target takes to arrive, never more
 * than PACE_PAUSE_MAX_NS.
 */
#pragma once

#include <stdint.h>

enum {
        PACE_FROM_A_SECOND = 50000,  /* datagrams; fewer are read as they come */
        PACE_PAUSE_MAX_NS = 2000000, /* what a datagram may wait */
        PACE_DATAGRAM_BYTES = 1280,  /* what a small one takes of a socket's buffer */
};

struct pace {
        unsigned target;   /* datagrams that shall gather; 0: never pause */
        int64_t window_ns; /* when the measured window began */
        uint64_t seen;     /* in it */
        uint64_t a_second; /* measured in the window before */
};

/* The target is a third of what the buffer holds, at most 512: a burst of three times the rate still fits. */
void pace_init(struct pace *p, int buffer_bytes);
/* After a round that took `count` datagrams: how long to pause, in nanoseconds; 0: not at all. */
int64_t pace_after(struct pace *p, unsigned count, int64_t now_ns);
/* Sleeps. */
void pace_pause(int64_t ns);
