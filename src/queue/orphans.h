/*
 * Backlogs that nobody works on: a queue was renamed or taken out of the configuration, and what waited in it lies in
 * its store still.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/reporter.h"

enum {
        ORPHANS_TOLD_MAX = 16,   /* stores that are named */
        ORPHANS_PLACES_MAX = 64, /* directories that are looked into */
};

/* One search, over several directories; begins with all but the reporter 0. */
struct orphans {
        struct reporter *reporter;
        unsigned told, seen_count;
        struct {
                dev_t device;
                ino_t inode;
        } seen[ORPHANS_PLACES_MAX];
};

/*
 * Reports each store of the directory that no process has open and in which messages wait; each directory once. NULL
 * and "": nowhere. Changes nothing.
 */
void orphans_look(struct orphans *o, const char *directory);
