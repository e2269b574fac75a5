/*
 * A budget: the memory that waiting messages may take, all queues of the daemon together (global(memory.max)).
 *
 * Queues take from it what they hold and give it back when a worker has it; that is an atomic addition a batch. Who
 * brings something new waits in front of the queue while too little is left. Messages that go from one queue to
 * another may use all of it; those from outside leave them a part, so that what is on its way can always move on
 * to where it gets smaller.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct budget;

enum {
        BUDGET_KEPT_PERCENT = 12,    /* for messages between queues */
        BUDGET_RELEASE_PERCENT = 75, /* of the rest: who waited goes on there, not batch by batch */
};

int budget_new(struct budget **ret, uint64_t bytes_max); /* -ENOMEM */
struct budget *budget_free(struct budget *budget);
OWNED_POINTER(struct budget, budget_free);

/* Bytes may go beyond the limit by what was let in at the same time: at most a batch a sender. */
void budget_take(struct budget *budget, uint64_t bytes);
void budget_give(struct budget *budget, uint64_t bytes);
uint64_t budget_used(const struct budget *budget);

/* Whether something may come in; `is_within` from another queue. */
bool budget_has_room(const struct budget *budget, bool is_within);
/* Waits for that, at most `ms` (negative: for ever). True when there is room. */
bool budget_wait(struct budget *budget, bool is_within, int64_t ms);
/* The daemon ends: nobody waits any more, and everything has room. */
void budget_open(struct budget *budget);
