/*
 * A rate limit that is named by ratelimit.name counts in that ratelimit() object.
 */
#pragma once

#include "base/reporter.h"
#include "message/ratelimit.h"
#include "module/module.h"

/* Instead of what the input says itself. One that nobody defined is reported, and the input's own limit holds. */
static inline void limit_by_name(struct ratelimit *r, const struct input_host *host, const char *name,
                                 const char *module) {
        if (!name)
                return;
        struct shared_limit *shared = host->find_limit ? host->find_limit(host->limits, name) : NULL;
        if (shared) {
                ratelimit_share(r, shared);
                r->ruleset = host->ruleset;
        } else
                module_report(host->log, SEVERITY_ERR, 0,
                              "%s: ratelimit '%s' is not defined: the input's own limit holds", module, name);
}
#define NAMED_LIMIT_HELP                                                                                               \
        "A ratelimit() object: all inputs that name it share its limit, which takes the place of their own."
