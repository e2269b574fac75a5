#include "daemon/repeats.h"

#include "base/clock.h"
#include "base/fail.h"

static const int64_t held_us = (int64_t)REPEATS_HELD_S * 1000000;

static void arm(void *argument) {
        struct repeats *repeats = argument;
        int64_t since_us = repeat_held_since_us(repeats->repeat);
        if (since_us == 0) {
                atomic_store(&repeats->is_armed, false);
                /* A worker that held something back meanwhile saw the timer as armed. */
                since_us = repeat_held_since_us(repeats->repeat);
                if (since_us == 0 || atomic_exchange(&repeats->is_armed, true))
                        return;
        }
        int64_t left_us = MIN(MAX(since_us + held_us - clock_wall_us(), (int64_t)0), held_us);
        if (loop_arm(repeats->loop, &repeats->timer, clock_mono_ns() + left_us * 1000))
                atomic_store(&repeats->is_armed, false);
}

static void tell_late(struct timer *timer) {
        struct repeats *repeats = CONTAINER_OF(timer, struct repeats, timer);
        struct batch *late = repeat_take(repeats->repeat, clock_wall_us() - held_us);
        while (late) {
                struct batch *b = late;
                late = b->next;
                b->next = NULL;
                repeats->sink->push(repeats->sink, b, FLOW_WITHIN);
        }
        arm(repeats);
}

int repeats_init(struct repeats *repeats, struct batch_pool *pool, struct loop *loop, struct sink *sink) {
        *repeats = (struct repeats){.loop = loop, .sink = sink, .timer.fire = tell_late};
        int r = repeat_new(&repeats->repeat, pool);
        return r ? pass(r) : 0;
}

void repeats_fini(struct repeats *repeats) {
        if (repeats->repeat)
                loop_disarm(repeats->loop, &repeats->timer);
        repeats->repeat = repeat_free(repeats->repeat);
}

size_t repeats_reduce(struct repeats *repeats, struct property_context *context, struct batch *b, uint16_t *selection,
                      size_t count, struct batch **told) {
        size_t kept = repeat_reduce(repeats->repeat, context, b, selection, count, told);
        if (kept < count && !atomic_exchange(&repeats->is_armed, true) && loop_post(repeats->loop, arm, repeats))
                atomic_store(&repeats->is_armed, false);
        return kept;
}

struct batch *repeats_end(struct repeats *repeats) {
        loop_disarm(repeats->loop, &repeats->timer);
        return repeat_take(repeats->repeat, INT64_MAX);
}
