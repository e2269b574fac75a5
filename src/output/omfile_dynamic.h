/*
 * Dynafiles: rows go to the file that their path column names.
 *
 * The rows of a batch are grouped by file first, so that each file costs one write
 * a batch, however the rows are mixed. Open files are kept in a cache of
 * dynaFileCacheSize; the one unused longest makes room.
 *
 * When some files of a batch take their rows and others do not, delivery is told
 * of the first row that was not taken, and the rows behind it come again. Those
 * that were written already are remembered (struct omfile_retry) and left out, so
 * that none is written twice.
 *
 * One thread at a time.
 */
#pragma once

#include "output/omfile.h"

struct omfile_dynamic;

int omfile_dynamic_new(struct omfile_dynamic **ret, const struct omfile_rules *rules);
struct omfile_dynamic *omfile_dynamic_free(struct omfile_dynamic *d);
OWNED_POINTER(struct omfile_dynamic, omfile_dynamic_free);

/* Column 0 of the work is the text, column 1 the path. */
struct outcome omfile_dynamic_deliver(struct omfile_dynamic *d, const struct work *work, int64_t now_ns);
/* HUP: every file is closed; the next row opens it again. */
void omfile_dynamic_reopen(struct omfile_dynamic *d);
/* Writes what buffers hold. False: something could not be written. */
bool omfile_dynamic_flush(struct omfile_dynamic *d);
/* Closes what was idle for the rules' time. */
void omfile_dynamic_close_idle(struct omfile_dynamic *d, int64_t now_ns);
/* When the next file has been idle for long enough; false: there is none. */
bool omfile_dynamic_idle_due(const struct omfile_dynamic *d, int64_t *due_ns);
/* Something is held back. */
bool omfile_dynamic_owes(const struct omfile_dynamic *d);
