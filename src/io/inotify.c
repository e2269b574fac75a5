#include "io/inotify.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"

enum { READS_A_ROUND = 16, EVENTS_BYTES = 16 << 10 };

int inotify_open(int *ret) {
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (fd < 0)
                return fail(-errno);
        *ret = fd;
        return 0;
}

int inotify_follow(int fd, const char *path, uint32_t events) {
        int number = inotify_add_watch(fd, path, events);
        return number < 0 ? fail(-errno) : number;
}

void inotify_forget(int fd, int number) {
        if (number >= 0)
                inotify_rm_watch(fd, number);
}

int inotify_drain(int fd, void (*event)(void *context, int number, uint32_t events, const char *name), void *context) {
        _Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
        for (int i = 0; i < READS_A_ROUND; i++) {
                ssize_t size = read(fd, bytes, sizeof bytes);
                if (size < 0 && errno == EINTR)
                        continue;
                if (size < 0)
                        return errno == EAGAIN ? 0 : fail(-errno);
                for (ssize_t at = 0; at < size;) {
                        const struct inotify_event *e = (const void *)(bytes + at);
                        event(context, e->wd, e->mask, e->len ? e->name : "");
                        at += (ssize_t)(sizeof *e + e->len);
                }
        }
        return 0;
}
