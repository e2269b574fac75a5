/*
 * A stand-in takes the place of an output in a rehearsal: it has the templates of the
 * real one, takes every row, and does nothing but show it. What is around it (conditions
 * of actions, shared deliveries, rendering) is the daemon's own code.
 */
#pragma once

#include "daemon/rehearsal.h"
#include "language/tree.h"

struct stand_in {
        struct module module; /* to be opened in place of action->module, with the stand-in itself as its settings */
        struct output_ops ops;
        const struct object *action;
        struct rehearsal_host *host;
        struct work_format formats[WORK_COLUMNS_MAX];
};

/* All lent. NULL without memory. */
struct stand_in *stand_in_new(const struct object *action, struct rehearsal_host *host);
struct stand_in *stand_in_free(struct stand_in *s);
OWNED_POINTER(struct stand_in, stand_in_free);
