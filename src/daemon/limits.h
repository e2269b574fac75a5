/*
 * The ratelimit() objects of a configuration, found by name.
 */
#pragma once

#include "daemon/collector.h"
#include "language/diagnostics.h"
#include "language/tree.h"
#include "message/ratelimit.h"

struct limits;

/* Names that no object has are told in the diagnostics. -ENOMEM. */
int limits_new(struct limits **ret, const struct config *config, struct diagnostics *diagnostics);
struct limits *limits_free(struct limits *l);
OWNED_POINTER(struct limits, limits_free);

/* `limits` is a struct limits. NULL: there is none of that name. */
struct shared_limit *limits_find(void *limits, const char *name);
/* Shows each to the statistics. */
void limits_visit(const struct limits *l, struct collector *c);
