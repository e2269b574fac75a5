/*
 * Which rows of a batch were written although an earlier one was not.
 *
 *   EMPTY -> SET     a delivery ended in the middle      omfile_retry_keep()
 *   SET   -> EMPTY   all rows written, or other rows came
 *
 * Rows are known again by batch, place in the batch, and a hash of the first and
 * the last text.
 */
#pragma once

#include "module/module.h"

struct omfile_retry {
        const struct batch *batch; /* NULL: empty. Compared, never followed. */
        uint16_t *selection;
        uint64_t *hashes; /* of the texts */
        bool *is_done;
        size_t count, capacity;
};

void omfile_retry_fini(struct omfile_retry *r);
/*
 * What is known of these rows: is_done[] for each of them, or NULL. They may begin with the row that the last
 * delivery ended at (it is tried again) or behind it (it was refused), and may be fewer.
 */
const bool *omfile_retry_find(const struct omfile_retry *r, const struct work *work);
/*
 * Keeps the rows from `first` on; is_done as in the work, `known` as omfile_retry_find() gave it for this work.
 * Forgets everything when memory is short.
 */
void omfile_retry_keep(struct omfile_retry *r, const struct work *work, size_t first, const bool *is_done,
                       const bool *known);
void omfile_retry_forget(struct omfile_retry *r);

/* For paths and texts; the seed keeps senders from choosing what collides. */
uint64_t omfile_hash(struct text t, uint64_t seed);
