/*
 * An observer is told what happens to actions and queues, for programs that want
 * to hear of it at once. What people read is in base/reporter.h. Told from any
 * thread and under any lock: it takes note, and never calls back.
 */
#pragma once

#include <stddef.h>

enum notice {
        NOTICE_ACTION_SUSPENDED,
        NOTICE_ACTION_RESUMED,
        NOTICE_QUEUE_FULL,    /* it had to discard */
        NOTICE_QUEUE_DRAINED, /* it is empty, after it was full */
};

struct observer {
        /* `name` is the action's or the queue's; `detail` says why, or is "". Both are lent. */
        void (*tell)(struct observer *observer, enum notice what, const char *name, const char *detail);
};

/* A NULL observer hears nothing. */
static inline void observe(struct observer *observer, enum notice what, const char *name, const char *detail) {
        if (observer)
                observer->tell(observer, what, name, detail);
}
