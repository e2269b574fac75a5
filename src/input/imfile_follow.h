/*
 * Following files: which tail belongs to which name, whose turn it is, and what happens when
 * names and files part.
 *
 *   (none)   -> FOLLOWED    a name leads to a new file                   follow_consider()
 *   FOLLOWED -> FOLLOWED    the file got another name that is wanted     follow_consider()
 *   FOLLOWED -> ROTATED     its name leads to another file now           follow_consider()
 *   ROTATED  -> (gone)      the next rotation, or it was deleted
 *   FOLLOWED -> (gone)      deleted, and read to the end
 *
 * A rotated file is read to its end before its successor begins, and stays open: programs go on
 * writing to it until they open the new one.
 *
 * All of it belongs to the loop's thread.
 */
#pragma once

#include "input/imfile_tail.h"
#include "input/imfile_watch.h"

enum { FOLLOW_BUCKETS = 256 };

struct follow;

struct followed {
        struct tail tail;
        struct follow *follow;
        struct interest interest;
        struct timer pause;                   /* delay.message */
        struct timer over;                    /* readTimeout of an unfinished message */
        struct followed *rotated, *successor; /* the one before and the one after under this name */
        struct followed *next_ready, *next_inode, *next_name, *next, *previous;
        char state_name[STATE_NAME_BYTES_MAX];
        bool is_ready;
        bool is_named;    /* its path leads to it, as far as we know */
        bool is_sleeping; /* older than ignoreOlderThan, until it is written to */
        bool is_retired;  /* nobody needs it any more */
        bool was_rotated; /* another file has its name */
};

/* What all inputs of the module share: one inotify descriptor, one list of files whose turn it is. */
struct follow_shared {
        unsigned references;
        struct loop *loop;
        struct module_log *log;
        const struct imfile_module *settings;
        const struct host_facts *facts;
        struct state_store store;
        struct watches watches; /* watch.fd -1: polling */
        struct timer turns;
        struct followed *ready, **ready_end;
        struct follow *follows; /* all inputs */
        bool is_stopped;
};

/* The files of one input. */
struct follow {
        struct follow_shared *shared;
        struct feed feed;
        uint64_t key; /* tells inputs that read the same file apart */
        struct followed *all;
        struct followed *by_inode[FOLLOW_BUCKETS], *by_name[FOLLOW_BUCKETS];
        bool is_initial;  /* looking for the first time */
        bool needs_polls; /* the kernel watches too few for us */
        struct follow *next;
};

void follow_shared_init(struct follow_shared *shared, const struct input_host *host);

int follow_init(struct follow *f, struct follow_shared *shared, const struct imfile_input *settings,
                const struct input_host *host);
void follow_fini(struct follow *f);

/* A wanted name leads to a regular file: reads it, or finds out that it does so already. */
void follow_consider(struct follow *f, const char *path);
/* The name is gone. */
void follow_depart(struct follow *f, const char *path);
/* Everything gets a turn. */
void follow_wake_all(struct follow *f);
/*
 * Files that were rotated while we were down: state files whose name is_wanted, but whose
 * file has another name now.
 */
void follow_recover(struct follow *f, bool (*is_wanted)(void *context, const char *path), void *context);
/* No more turns; state files are written. */
void follow_stop(struct follow *f);
