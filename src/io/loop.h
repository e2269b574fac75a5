/*
 * A loop: one thread that waits for descriptors, times and calls from other threads.
 *
 *   round:  wait -> ready() of each watch -> due timers -> posted calls -> round hooks
 *
 * Round hooks run at the end of every round that did something; intakes push
 * their batches there, so under light load a message leaves at once and under
 * heavy load a round's worth leaves together. With nothing pending the thread
 * sleeps without a timeout.
 *
 * One thread runs the loop; only loop_post() and loop_stop() may come from others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/macros.h"

struct loop;

/* Embedded in its owner; CONTAINER_OF() leads back. */
struct watch {
        int fd;
        uint32_t events; /* EPOLLIN, EPOLLOUT ... level-triggered */
        void (*ready)(struct watch *watch, uint32_t events);
        bool is_added;
};

struct timer {
        int64_t due_ns; /* clock_mono_ns() */
        void (*fire)(struct timer *timer);
        uint32_t slot; /* place in the heap, 1-based; 0: not armed */
};

struct round_hook {
        void (*run)(struct round_hook *hook);
        struct round_hook *next;
};

int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *loop);
OWNED_POINTER(struct loop, loop_free);

/* Runs until loop_stop(); 0 or the failure of epoll. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Calls function(argument) on the loop's thread. -ENOMEM. */
int loop_post(struct loop *loop, void (*function)(void *argument), void *argument);

int loop_watch(struct loop *loop, struct watch *watch); /* fd, events, ready are set */
int loop_rewatch(struct loop *loop, struct watch *watch, uint32_t events);
/* Safe inside any ready(); the watch may be freed afterwards: it is not called again. Does not close fd. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* (Re)arms; -ENOMEM. */
int loop_arm(struct loop *loop, struct timer *timer, int64_t due_ns);
void loop_disarm(struct loop *loop, struct timer *timer);

void loop_add_hook(struct loop *loop, struct round_hook *hook);
void loop_remove_hook(struct loop *loop, struct round_hook *hook);
