#include "module/policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fail.h"
#include "io/file.h"
#include "io/inotify.h"
#include "io/loop.h"

int policy_duration(int64_t *ret_ms, struct text text) {
        static const struct {
                const char *name;
                int64_t ms;
        } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
        size_t digits = 0;
        while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
                digits++;
        int64_t number;
        if (text_to_int(text_slice(text, 0, digits), &number) || number > POLICY_NUMBER_MAX)
                return fail(-EINVAL);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (text_equal_nocase(text_slice(text, digits, text.size), text_of(units[i].name))) {
                        *ret_ms = number * units[i].ms;
                        return 0;
                }
        return fail(-EINVAL);
}

struct policy_watch {
        struct text name; /* of the file in its directory */
        int64_t debounce_ms;
        void (*changed)(void *context);
        void *context;
        struct loop *loop;
        struct watch watch;
        struct timer quiet; /* armed while the file changes */
        pthread_t thread;
        bool has_thread;
};

static void on_quiet(struct timer *timer) {
        struct policy_watch *w = CONTAINER_OF(timer, struct policy_watch, quiet);
        w->changed(w->context);
}

static void on_event(void *context, int number _unused_, uint32_t events, const char *name) {
        struct policy_watch *w = context;
        if (!(events & IN_Q_OVERFLOW) && !text_equal(w->name, text_of(name)))
                return;
        if (loop_arm(w->loop, &w->quiet, clock_mono_ns() + w->debounce_ms * 1000000))
                w->changed(w->context);
}

static void on_watch(struct watch *watch, uint32_t events _unused_) {
        inotify_drain(watch->fd, on_event, CONTAINER_OF(watch, struct policy_watch, watch));
}

static void *run(void *argument) {
        loop_run(((struct policy_watch *)argument)->loop);
        return NULL;
}

static int follow(struct policy_watch *w, const char *path) {
        const char *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;
        w->name = text_of(slash ? slash + 1 : path);
        _owned_(memory_free) char *directory =
                slash ? text_copy(text_slice(text_of(path), 0, MAX(size, (size_t)1))) : text_copy(TEXT("."));
        if (!directory)
                return fail(-ENOMEM);
        int r = inotify_follow(w->watch.fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO);
        return r < 0 ? pass(r) : 0;
}

OWNED_POINTER(struct policy_watch, policy_watch_free);

int policy_watch_new(struct policy_watch **ret, const char *path, int64_t debounce_ms, void (*changed)(void *context),
                     void *context) {
        _owned_(policy_watch_free) struct policy_watch *w = calloc(1, sizeof *w);
        if (!w)
                return fail(-ENOMEM);
        *w = (struct policy_watch){.debounce_ms = debounce_ms,
                                   .changed = changed,
                                   .context = context,
                                   .watch = {.fd = -1, .events = EPOLLIN, .ready = on_watch},
                                   .quiet.fire = on_quiet};
        int r = loop_new(&w->loop);
        if (r == 0)
                r = inotify_open(&w->watch.fd);
        if (r == 0)
                r = follow(w, path);
        if (r == 0)
                r = loop_watch(w->loop, &w->watch);
        if (r)
                return pass(r);
        if (pthread_create(&w->thread, NULL, run, w))
                return fail(-ENOMEM);
        w->has_thread = true;
        *ret = TAKE(w);
        return 0;
}

struct policy_watch *policy_watch_free(struct policy_watch *w) {
        if (!w)
                return NULL;
        if (w->has_thread) {
                loop_stop(w->loop);
                pthread_join(w->thread, NULL);
        }
        if (w->watch.is_added)
                loop_unwatch(w->loop, &w->watch);
        if (w->loop) {
                loop_disarm(w->loop, &w->quiet);
                loop_free(w->loop);
        }
        if (w->watch.fd >= 0)
                file_close(w->watch.fd);
        free(w);
        return NULL;
}
