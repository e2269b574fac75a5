/*
 * Finding files: a name with wildcards in any of its parts, and the directories in which
 * something that fits could appear.
 *
 * Every directory on the way to a match is watched (inotify), or looked at again at
 * intervals (polling, and where the kernel's watches do not suffice). First watched, then
 * listed: what appears in between is seen twice, never missed.
 */
#pragma once

#include "input/imfile_follow.h"

enum { PARTS_MAX = 128 };

/* One input(). */
struct search {
        struct follow follow;
        struct follow_shared *shared;
        char *pattern; /* absolute; its parts point into it */
        const char *parts[PARTS_MAX];
        bool is_wild[PARTS_MAX];
        unsigned count;
        struct place *places; /* the watched directories */
        struct timer poll;
};

int search_new(struct search **ret, struct follow_shared *shared, const struct imfile_input *settings,
               const struct input_host *host);
struct search *search_free(struct search *s);
OWNED_POINTER(struct search, search_free);

void search_start(struct search *s);
void search_stop(struct search *s);
/* Looks everywhere again. */
void search_repeat(struct search *s);
/* Whether a path fits the pattern. */
bool search_fits(const struct search *s, const char *path);
