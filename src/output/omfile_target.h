/*
 * A target: one file that omfile writes, with all that users expect of it.
 *
 *   CLOSED -> OPEN     the first rows after start, HUP or a time-out    omfile_target_ready()
 *   OPEN   -> CLOSED   HUP, idle too long, evicted                      omfile_target_close()
 *   OPEN   -> CLOSED   the file was deleted                             omfile_target_ready()
 *   OPEN   -> CLOSED   rows were added to one that had reached its size limit: the command has run
 *                                                                      omfile_target_write()
 *
 * What goes wrong is reported once, until something else goes wrong or it works again.
 */
#pragma once

#include "output/omfile.h"

struct omfile_target {
        const struct omfile_rules *rules;
        const char *path; /* NUL-ended, owned by whoever owns the target */
        struct output_file file;
        int64_t used_ns;    /* when rows were last written */
        int64_t checked_ns; /* when it was last looked whether the file still has a name */
        int64_t written_to; /* its size after the last write since it was opened; 0: none yet */
        bool is_rotated;    /* the command of the size limit ran; the file must be smaller when it is opened */
        bool wants_reopen;  /* HUP came, but what is owed must be written first */
        int reported;       /* the error that was reported last; 0: none */
};

void omfile_target_init(struct omfile_target *t, const struct omfile_rules *rules, const char *path);
void omfile_target_fini(struct omfile_target *t);

/* Makes it open, and small again where the size limit's command ran. 0 or -errno, reported. */
int omfile_target_ready(struct omfile_target *t, int64_t now_ns);

/*
 * Writes `count` rows. Row by row they follow next[]: the row after `i` is next[i]. With next NULL they are
 * rows[first] to rows[first + count - 1] and lie behind one another in memory. *taken is how many of them, in this
 * order, are the file's now; 0 means all of them, else -errno, reported.
 */
int omfile_target_write(struct omfile_target *t, const struct text *rows, const uint32_t *next, uint32_t first,
                        size_t count, size_t *taken);

/* Writes what is held back. 0 or -errno, reported. */
int omfile_target_flush(struct omfile_target *t);
/* HUP: the next rows go to the file that has the name then. */
void omfile_target_reopen(struct omfile_target *t);
/* Closes; false when something is owed that cannot be written now: then it stays open. */
bool omfile_target_close(struct omfile_target *t);
