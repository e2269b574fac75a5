/*
 * The lookup tables of a configuration: made from lookup_table() objects, and read
 * for the first time. What is wrong with a file goes to the diagnostics, with its
 * place in that file; the table is there then, without content.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/tree.h"
#include "lookup/tables.h"

/* -ENOMEM. */
int lookups_new(struct tables **ret, const struct config *config, struct reporter *reporter,
                struct diagnostics *diagnostics);
