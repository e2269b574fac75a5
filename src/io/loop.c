#include "io/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fail.h"

enum { LOOP_EVENTS_A_ROUND = 64 };

struct posted {
        void (*function)(void *argument);
        void *argument;
        struct posted *next;
};

struct loop {
        int epoll_fd;
        atomic_bool is_stopping;
        struct watch wake;   /* eventfd: somebody posted or stopped */
        struct timer **heap; /* 1-based binary heap by due_ns */
        uint32_t heap_size, heap_capacity;
        struct round_hook *hooks;
        struct epoll_event events[LOOP_EVENTS_A_ROUND];
        int event_count;      /* of the round that runs; loop_unwatch() blanks its own */
        pthread_mutex_t lock; /* guards posted */
        struct posted *posted, **posted_end;
};

static void drain_wake(struct watch *watch, uint32_t events _unused_) {
        uint64_t count;
        (void)!read(watch->fd, &count, sizeof count);
}

int loop_new(struct loop **ret) {
        _owned_(loop_free) struct loop *loop = calloc(1, sizeof *loop);
        if (!loop)
                return fail(-ENOMEM);
        loop->wake.fd = -1;
        loop->posted_end = &loop->posted;
        pthread_mutex_init(&loop->lock, NULL);
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll_fd < 0)
                return fail(-errno);
        loop->wake =
                (struct watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = EPOLLIN, .ready = drain_wake};
        if (loop->wake.fd < 0)
                return fail(-errno);
        int r = loop_watch(loop, &loop->wake);
        if (r)
                return pass(r);
        *ret = TAKE(loop);
        return 0;
}

struct loop *loop_free(struct loop *loop) {
        if (!loop)
                return NULL;
        while (loop->posted) {
                struct posted *first = loop->posted;
                loop->posted = first->next;
                free(first);
        }
        if (loop->wake.fd >= 0)
                close(loop->wake.fd);
        if (loop->epoll_fd >= 0)
                close(loop->epoll_fd);
        pthread_mutex_destroy(&loop->lock);
        free(loop->heap);
        free(loop);
        return NULL;
}

static void wake(struct loop *loop) {
        uint64_t one = 1;
        (void)!write(loop->wake.fd, &one, sizeof one);
}

void loop_stop(struct loop *loop) {
        atomic_store(&loop->is_stopping, true);
        wake(loop);
}

int loop_post(struct loop *loop, void (*function)(void *argument), void *argument) {
        struct posted *p = malloc(sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        *p = (struct posted){.function = function, .argument = argument};
        pthread_mutex_lock(&loop->lock);
        *loop->posted_end = p;
        loop->posted_end = &p->next;
        pthread_mutex_unlock(&loop->lock);
        wake(loop);
        return 0;
}

int loop_watch(struct loop *loop, struct watch *watch) {
        struct epoll_event event = {.events = watch->events, .data.ptr = watch};
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0)
                return fail(-errno);
        watch->is_added = true;
        return 0;
}

int loop_rewatch(struct loop *loop, struct watch *watch, uint32_t events) {
        if (watch->events == events)
                return 0;
        struct epoll_event event = {.events = events, .data.ptr = watch};
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
                return fail(-errno);
        watch->events = events;
        return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch) {
        if (!watch->is_added)
                return;
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->is_added = false;
        /* Its event may wait in this round already. */
        for (int i = 0; i < loop->event_count; i++)
                if (loop->events[i].data.ptr == watch)
                        loop->events[i].data.ptr = NULL;
}

static void heap_place(struct loop *loop, uint32_t slot, struct timer *timer) {
        loop->heap[slot] = timer;
        timer->slot = slot;
}

static void heap_rise(struct loop *loop, uint32_t slot, struct timer *timer) {
        for (; slot > 1 && loop->heap[slot / 2]->due_ns > timer->due_ns; slot /= 2)
                heap_place(loop, slot, loop->heap[slot / 2]);
        heap_place(loop, slot, timer);
}

static void heap_sink(struct loop *loop, uint32_t slot, struct timer *timer) {
        for (uint32_t child; (child = slot * 2) <= loop->heap_size; slot = child) {
                if (child < loop->heap_size && loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
                        child++;
                if (timer->due_ns <= loop->heap[child]->due_ns)
                        break;
                heap_place(loop, slot, loop->heap[child]);
        }
        heap_place(loop, slot, timer);
}

int loop_arm(struct loop *loop, struct timer *timer, int64_t due_ns) {
        loop_disarm(loop, timer);
        /* The heap begins at 1. */
        if (!ARRAY_ROOM(loop->heap, loop->heap_size + 1, loop->heap_capacity, 16))
                return fail(-ENOMEM);
        timer->due_ns = due_ns;
        heap_rise(loop, ++loop->heap_size, timer);
        return 0;
}

void loop_disarm(struct loop *loop, struct timer *timer) {
        uint32_t slot = timer->slot;
        if (slot == 0)
                return;
        timer->slot = 0;
        struct timer *last = loop->heap[loop->heap_size--];
        if (last == timer)
                return;
        if (slot > 1 && loop->heap[slot / 2]->due_ns > last->due_ns)
                heap_rise(loop, slot, last);
        else
                heap_sink(loop, slot, last);
}

static int timeout_ms(const struct loop *loop) {
        if (loop->heap_size == 0)
                return -1;
        int64_t left_ns = loop->heap[1]->due_ns - clock_mono_ns();
        if (left_ns <= 0)
                return 0;
        /* Rounded up: waking early would only mean waiting again. */
        return (int)MIN((left_ns + 999999) / 1000000, (int64_t)3600000);
}

static void fire_due(struct loop *loop) {
        if (loop->heap_size == 0)
                return;
        int64_t now_ns = clock_mono_ns();
        while (loop->heap_size && loop->heap[1]->due_ns <= now_ns) {
                struct timer *due = loop->heap[1];
                loop_disarm(loop, due);
                due->fire(due);
        }
}

static void call_posted(struct loop *loop) {
        pthread_mutex_lock(&loop->lock);
        struct posted *p = TAKE(loop->posted);
        loop->posted_end = &loop->posted;
        pthread_mutex_unlock(&loop->lock);
        while (p) {
                struct posted *next = p->next;
                p->function(p->argument);
                free(p);
                p = next;
        }
}

static void end_round(struct loop *loop) {
        struct round_hook *next;
        for (struct round_hook *hook = loop->hooks; hook; hook = next) {
                next = hook->next;
                hook->run(hook);
        }
}

int loop_run(struct loop *loop) {
        while (!atomic_load_explicit(&loop->is_stopping, memory_order_relaxed)) {
                int count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_A_ROUND, timeout_ms(loop));
                if (count < 0 && errno != EINTR)
                        return fail(-errno);
                loop->event_count = MAX(count, 0);
                for (int i = 0; i < loop->event_count; i++) {
                        struct watch *watch = loop->events[i].data.ptr;
                        if (watch)
                                watch->ready(watch, loop->events[i].events);
                }
                loop->event_count = 0;
                fire_due(loop);
                call_posted(loop);
                end_round(loop);
        }
        call_posted(loop);
        end_round(loop);
        return 0;
}

void loop_add_hook(struct loop *loop, struct round_hook *hook) {
        hook->next = loop->hooks;
        loop->hooks = hook;
}

void loop_remove_hook(struct loop *loop, struct round_hook *hook) {
        for (struct round_hook **at = &loop->hooks; *at; at = &(*at)->next)
                if (*at == hook) {
                        *at = hook->next;
                        return;
                }
}
