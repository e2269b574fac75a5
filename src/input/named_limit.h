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
/* A limit of which an input says itself what it is. */
#define LIMIT_SEVERITY(owner, field)                                                                                   \
        PARAM_SEVERITY(owner, field, .name = "ratelimit.severity", .dflt = "0",                                        \
                       .help = "Only messages of this severity, or less important ones, are limited. 0: all.")
#define NAMED_LIMIT_HELP                                                                                               \
        "A ratelimit() object: all inputs that name it share its limit, which takes the place of their own."
