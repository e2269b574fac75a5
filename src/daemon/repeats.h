/*
 * $RepeatedMsgReduction for one ruleset: repeat detection in front of its program, and the timer that tells what has
 * been held back for REPEATS_HELD_S. rsyslog holds back until another message comes; here, what was counted is in the
 * log within a minute. The timer is armed only while something is held back.
 *
 * Workers reduce; the thread of the loop, which also owns this, tells what is late and what is left at the end.
 */
#pragma once

#include <stdatomic.h>

#include "io/loop.h"
#include "message/intake.h"
#include "message/repeat.h"

enum { REPEATS_HELD_S = 60 };

struct repeats {
        struct repeat *repeat; /* NULL: nothing is reduced */
        struct loop *loop;
        struct sink *sink; /* where late ones go; marked, so that they come back unreduced */
        struct timer timer;
        atomic_bool is_armed;
};

/* All lent. -ENOMEM. */
int repeats_init(struct repeats *repeats, struct batch_pool *pool, struct loop *loop, struct sink *sink);
void repeats_fini(struct repeats *repeats);

static inline bool repeats_are_reduced(const struct repeats *repeats) {
        return repeats->repeat != NULL;
}
/* As repeat_reduce(). */
size_t repeats_reduce(struct repeats *repeats, struct property_context *context, struct batch *b, uint16_t *selection,
                      size_t count, struct batch **told);
/* Everything that is held back; the workers have ended. */
struct batch *repeats_end(struct repeats *repeats);
