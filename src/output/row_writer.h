/*
 * Rows into an output file: whole rows, or none of a row.
 */
#pragma once

#include "io/output_file.h"
#include "module/module.h"

/*
 * Appends `count` rows. Row by row they follow next[]: the row after `i` is next[i]. With next NULL they are
 * rows[first] to rows[first + count - 1] and lie behind one another in memory. *taken is how many of them, in this
 * order, are the file's now; all when 0 is returned, else -errno.
 */
int row_writer_append(struct output_file *file, const struct text *rows, const uint32_t *next, uint32_t first,
                      size_t count, size_t *taken);
