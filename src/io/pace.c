#include "io/pace.h"

#include <time.h>

#include "base/macros.h"

enum {
        TARGET_MAX = 512,
        WINDOW_NS = 2000000, /* long enough for a rate, short enough for a burst */
        SECOND_NS = 1000000000,
};

void pace_init(struct pace *p, int buffer_bytes) {
        int fits = buffer_bytes / PACE_DATAGRAM_BYTES / 3;
        *p = (struct pace){.target = (unsigned)MIN(MAX(fits, 0), (int)TARGET_MAX)};
}

int64_t pace_after(struct pace *p, unsigned count, int64_t now_ns) {
        p->seen += count;
        int64_t elapsed_ns = now_ns - p->window_ns;
        if (elapsed_ns >= WINDOW_NS) {
                p->a_second = p->seen * (uint64_t)SECOND_NS / (uint64_t)elapsed_ns;
                p->window_ns = now_ns;
                p->seen = 0;
        }
        /* A round that took a whole target is behind already. */
        if (p->a_second < PACE_FROM_A_SECOND || count >= p->target)
                return 0;
        int64_t pause_ns = (int64_t)((p->target - count) * (uint64_t)SECOND_NS / p->a_second);
        return MIN(pause_ns, (int64_t)PACE_PAUSE_MAX_NS);
}

void pace_pause(int64_t ns) {
        struct timespec pause = {.tv_nsec = ns};
        nanosleep(&pause, NULL);
}
