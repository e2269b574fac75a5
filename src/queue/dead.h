/*
 * The dead-letter store of a queue: messages that its destination refused for good, or that were given up after the
 * last retry, each with the reason. It is a store like the queue's own, "<file name>.dead", opened when the first such
 * message comes, so that what reads, verifies and replays stores does so with this one.
 *
 * A message lies there as it was, and $.dead says why: queue, action, reason, errno (0: none), time (microseconds since
 * 1970).
 * Thread-safe.
 */
#pragma once

#include "base/reporter.h"
#include "message/pack.h"
#include "queue/store.h"

struct dead;

/*
 * Opens nothing yet. The directory is copied, what else the options and names point to is lent; whether it is synced
 * and the size of its files are decided here. -ENOMEM.
 */
int dead_new(struct dead **ret, const struct store_options *options, const struct pack_names *names,
             struct reporter *reporter);
struct dead *dead_close(struct dead *dead);
OWNED_POINTER(struct dead, dead_close);

/* Why nobody has it. */
struct death {
        const char *action; /* that did not deliver it; NULL: unknown */
        const char *reason;
        int error; /* errno; 0: none */
};
/*
 * Keeps these records, in their order; *buried tells how many are there when it returns, durable. -errno: the others
 * are not, which was reported.
 */
int dead_bury(struct dead *dead, struct batch *b, const uint16_t *rows, size_t count, const struct death *why,
              size_t *buried);
/* Closes the store until the next burial, now or after the one at work, so that others can take what is in it. Any
 * thread; waits for nobody. */
void dead_let_go(struct dead *dead);
