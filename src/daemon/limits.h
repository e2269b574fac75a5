/*
 * The ratelimit() objects of a configuration, found by name, and their policies.
 *
 *   policyWatch, HUP -> files read again on the loop -> other rules in force
 *                       a file is wrong: the old ones stay, and it is said why
 */
#pragma once

#include "daemon/collector.h"
#include "daemon/limit_key.h"
#include "language/diagnostics.h"
#include "language/tree.h"
#include "message/ratelimit.h"

struct limits;
struct loop;

/* Names that no object has are told in the diagnostics. -ENOMEM. */
int limits_new(struct limits **ret, const struct limit_key_host *host, struct reporter *reporter,
               struct diagnostics *diagnostics);
/* The loop does not run any more. */
struct limits *limits_free(struct limits *l);
OWNED_POINTER(struct limits, limits_free);

/* From now on policies are watched, on that loop. -ENOMEM. */
int limits_start(struct limits *l, struct loop *loop);
/* HUP: policies are read again. Any thread. */
void limits_reopen(struct limits *l);

/* `limits` is a struct limits. NULL: there is none of that name. */
struct shared_limit *limits_find(void *limits, const char *name);
/* What an action of an output names by action.ratelimit.name, or else by its module's ratelimit.name; NULL: nothing. */
struct shared_limit *limits_of_action(struct limits *l, const struct object *action);
/* Shows each to the statistics. */
void limits_visit(const struct limits *l, struct collector *c);
