#include "io/tls_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"

static void fire(struct timer *timer) {
        struct tls_watch *w = CONTAINER_OF(timer, struct tls_watch, timer);
        w->is_late = !w->is_open;
        w->watch->ready(w->watch, EPOLLIN);
}

int tls_watch_new(struct tls_watch **ret, struct tls_context *context, struct loop *loop, struct watch *watch,
                  const char *name) {
        _owned_(tls_watch_free) struct tls_watch *w = calloc(1, sizeof *w);
        if (!w)
                return fail(-ENOMEM);
        w->loop = loop;
        w->watch = watch;
        w->timer.fire = fire;
        w->handshake_ms = tls_context_handshake_ms(context);
        int r = tls_new(&w->tls, context, watch->fd, name);
        if (r)
                return pass(r);
        *ret = TAKE(w);
        return 0;
}

struct tls_watch *tls_watch_free(struct tls_watch *w) {
        if (!w)
                return NULL;
        loop_disarm(w->loop, &w->timer);
        tls_free(w->tls);
        free(w);
        return NULL;
}

int tls_watch_start(struct tls_watch *w) {
        return pass(loop_arm(w->loop, &w->timer, clock_mono_ns() + w->handshake_ms * INT64_C(1000000)));
}

static void wait_for(struct tls_watch *w, uint32_t events) {
        if (w->watch->is_added && w->watch->events != events)
                loop_rewatch(w->loop, w->watch, events);
}

int tls_watch_ready(struct tls_watch *w) {
        if (LIKELY(w->is_open))
                return 0;
        if (w->is_late)
                return fail(-ETIMEDOUT);
        int r = tls_handshake(w->tls);
        if (r < 0)
                return pass(r);
        if (r > 0) {
                wait_for(w, r == TLS_WANTS_READ ? EPOLLIN : EPOLLOUT);
                return r;
        }
        w->is_open = true;
        loop_disarm(w->loop, &w->timer);
        wait_for(w, EPOLLIN);
        return 0;
}

void tls_watch_settle(struct tls_watch *w, bool has_more) {
        wait_for(w, EPOLLIN | tls_events(w->tls) | (has_more ? EPOLLOUT : 0));
}

void tls_watch_yield(struct tls_watch *w) {
        /* A time that has come is due at the end of this round. Without memory for it the socket's next byte must do.
         */
        if (tls_has_pending(w->tls) && !w->timer.slot)
                loop_arm(w->loop, &w->timer, clock_mono_ns() + 1);
}
