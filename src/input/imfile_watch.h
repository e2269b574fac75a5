/*
 * Watches: who wants to hear which of inotify's events.
 *
 * The kernel gives one number to a file however often it is asked for; here several
 * interests share it. An interest is embedded in its owner. In event() interests may be
 * added, but none taken away except the one that is told.
 */
#pragma once

#include "io/inotify.h"
#include "io/loop.h"

enum { WATCH_BUCKETS = 1024 };

struct interest {
        /* With IN_IGNORED the kernel has let go of it already: number is -1. */
        void (*event)(struct interest *interest, uint32_t events, const char *name);
        int number; /* -1: not watched */
        struct interest *next;
};

struct watches {
        struct loop *loop;
        struct watch watch;
        struct interest *buckets[WATCH_BUCKETS];
        size_t count;                          /* of interests */
        size_t maximum;                        /* 0: none but the kernel's */
        void (*lost)(struct watches *watches); /* events were lost: look at everything */
};

int watches_open(struct watches *w, struct loop *loop);
void watches_start(struct watches *w);
void watches_close(struct watches *w);

/* -ENOSPC when there are too many, for us or for the kernel. */
int watches_add(struct watches *w, struct interest *interest, const char *path, uint32_t events);
/* The same, unless is_same(interest, other) says that one is there already: then 0, and number stays -1. */
int watches_add_once(struct watches *w, struct interest *interest, const char *path, uint32_t events,
                     bool (*is_same)(const struct interest *interest, const struct interest *other));
void watches_remove(struct watches *w, struct interest *interest);
