#include "input/imfile_watch.h"

#include <errno.h>

#include "base/fail.h"
#include "io/file.h"

static struct interest **bucket(struct watches *w, int number) {
        return &w->buckets[(unsigned)number % WATCH_BUCKETS];
}

static void unlink_interest(struct watches *w, struct interest *interest) {
        for (struct interest **at = bucket(w, interest->number); *at; at = &(*at)->next)
                if (*at == interest) {
                        *at = interest->next;
                        break;
                }
        interest->number = -1;
        w->count--;
}

static void tell(void *context, int number, uint32_t events, const char *name) {
        struct watches *w = context;
        if (events & IN_Q_OVERFLOW) {
                w->lost(w);
                return;
        }
        if (number < 0)
                return;
        struct interest *next;
        for (struct interest *i = *bucket(w, number); i; i = next) {
                next = i->next;
                if (i->number != number)
                        continue;
                if (events & IN_IGNORED)
                        unlink_interest(w, i);
                i->event(i, events, name);
        }
}

static void drain(struct watch *watch, uint32_t events _unused_) {
        struct watches *w = CONTAINER_OF(watch, struct watches, watch);
        inotify_drain(watch->fd, tell, w);
}

int watches_open(struct watches *w, struct loop *loop) {
        w->loop = loop;
        w->watch = (struct watch){.fd = -1, .events = EPOLLIN, .ready = drain};
        return pass(inotify_open(&w->watch.fd));
}

void watches_start(struct watches *w) {
        if (w->watch.fd >= 0 && !w->watch.is_added)
                loop_watch(w->loop, &w->watch);
}

void watches_close(struct watches *w) {
        if (w->watch.fd < 0)
                return;
        loop_unwatch(w->loop, &w->watch);
        w->watch.fd = file_close(w->watch.fd);
}

int watches_add_once(struct watches *w, struct interest *interest, const char *path, uint32_t events,
                     bool (*is_same)(const struct interest *interest, const struct interest *other)) {
        if (w->maximum && w->count >= w->maximum)
                return fail(-ENOSPC);
        int number = inotify_follow(w->watch.fd, path, events | IN_MASK_ADD);
        if (number < 0)
                return pass(number);
        struct interest **head = bucket(w, number);
        for (const struct interest *other = *head; other && is_same; other = other->next)
                if (other->number == number && is_same(interest, other))
                        return 0;
        interest->number = number;
        interest->next = *head;
        *head = interest;
        w->count++;
        return 0;
}

int watches_add(struct watches *w, struct interest *interest, const char *path, uint32_t events) {
        return pass(watches_add_once(w, interest, path, events, NULL));
}

void watches_remove(struct watches *w, struct interest *interest) {
        int number = interest->number;
        if (number < 0)
                return;
        unlink_interest(w, interest);
        for (const struct interest *i = *bucket(w, number); i; i = i->next)
                if (i->number == number)
                        return;
        if (w->watch.fd >= 0)
                inotify_forget(w->watch.fd, number);
}
