#include "input/acceptor.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"

static void watch_all(struct acceptor *a, uint32_t events) {
        for (size_t i = 0; i < a->count; i++)
                loop_rewatch(a->loop, &a->listeners[i].watch, events);
}

static void accept_again(struct timer *timer) {
        watch_all(CONTAINER_OF(timer, struct acceptor, again), EPOLLIN);
}

static void accept_later(struct acceptor *a, int family, int error) {
        module_report(a->log, SEVERITY_ERR, 0, "%s: error accepting connection: %s; trying again in %d ms", a->who,
                      fail_text(error), ACCEPT_AGAIN_MS);
        a->failed(a, family);
        a->again.fire = accept_again;
        if (loop_arm(a->loop, &a->again, clock_mono_ns() + (int64_t)ACCEPT_AGAIN_MS * 1000000) == 0)
                watch_all(a, 0);
}

static void ready(struct watch *watch, uint32_t events _unused_) {
        struct acceptor *a = CONTAINER_OF(watch, struct acceptor_listener, watch)->acceptor;
        for (int accepted = 0; accepted < ACCEPTS_A_ROUND; accepted++) {
                struct sockaddr_storage peer;
                socklen_t size;
                int fd = socket_accept(watch->fd, &peer, &size);
                if (fd == -EAGAIN)
                        return;
                if (fd == -ECONNABORTED || fd == -EINTR)
                        continue;
                if (fd < 0) {
                        accept_later(a, socket_family(watch->fd), fd);
                        return;
                }
                a->accepted(a, fd, &peer, size);
        }
}

void acceptor_add(struct acceptor *a, int fd) {
        assert(a->count < ARRAY_SIZE(a->listeners));
        a->listeners[a->count++] = (struct acceptor_listener){
                .watch = {.fd = fd, .events = EPOLLIN, .ready = ready},
                .acceptor = a,
        };
}

void acceptor_add_set(struct acceptor *a, struct socket_set *set) {
        while (set->count && a->count < ARRAY_SIZE(a->listeners))
                acceptor_add(a, set->fd[--set->count]);
}

int acceptor_start(struct acceptor *a) {
        for (size_t i = 0; i < a->count; i++) {
                int r = loop_watch(a->loop, &a->listeners[i].watch);
                if (r)
                        return pass(r);
        }
        return 0;
}

void acceptor_stop(struct acceptor *a) {
        loop_disarm(a->loop, &a->again);
        for (size_t i = 0; i < a->count; i++)
                loop_unwatch(a->loop, &a->listeners[i].watch);
        acceptor_fini(a);
}

void acceptor_fini(struct acceptor *a) {
        while (a->count)
                socket_close(a->listeners[--a->count].watch.fd);
}
