/*
 * A thread with a loop of its own, for own messages that go through a direct queue: whoever pushes there delivers, and
 * may wait for a destination; the main thread must not, it answers signals.
 */
#pragma once

#include <pthread.h>

#include "io/loop.h"

struct own_thread {
        struct loop *loop; /* NULL: not started */
        pthread_t thread;
};

int own_thread_start(struct own_thread *t); /* -errno */
/* Ends what was posted first. Whatever that may wait for must have been let go. */
void own_thread_stop(struct own_thread *t);
