/*
 * Succession, seen from the process that takes over: a penstockd that another one
 * has started to replace itself.
 *
 *   succession_read()   the environment says so, and whom to ask
 *   succession_take()   its sockets come over its bus; opening finds them (io/heirloom.h)
 *   succession_ready()  we receive: it takes nothing new any more, and drains
 *   succession_await()  it has ended: what reads where it stopped can begin
 *
 * The other side is bus_upgrade.c.
 */
#pragma once

#include <sys/types.h>

#include "base/reporter.h"
#include "io/loop.h"

struct succession;

/* NULL where nobody is to be replaced. -EINVAL, -ENOMEM. */
int succession_read(struct succession **ret);
struct succession *succession_free(struct succession *s);
OWNED_POINTER(struct succession, succession_free);
pid_t succession_pid(const struct succession *s);

/* Blocks until the sockets are here. */
int succession_take(struct succession *s);
/* Blocks until it has retired; what went wrong is reported, since we go on in any case. */
void succession_ready(struct succession *s, struct reporter *reporter);
/* Calls gone(owner) on the loop's thread, once, when that process has ended. */
int succession_await(struct succession *s, struct loop *loop, void (*gone)(void *owner), void *owner);
