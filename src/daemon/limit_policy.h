/*
 * The policy files of ratelimit() objects, in YAML.
 *
 *   policy=                           perSourcePolicy=
 *     interval: 60                      default: { interval: 10, burst: 1000 }
 *     burst: 1000                       overrides:
 *     severity: info                      - { key: 192.0.2.1, interval: 10, burst: 50000 }
 *     perSource:
 *       enabled: true
 *       keyTemplate: PerSourceIP
 *       maxStates: 10000
 *       topN: 10
 *       default: ...                  as there
 *       overrides: ...
 *
 * What a file leaves out is as before: the object's own, for an override that of the default. `window` and `max` are
 * other names of `interval` and `burst`. A file with a mistake is refused whole, each mistake told with its place.
 */
#pragma once

#include "language/diagnostics.h"
#include "message/ratelimit.h"

enum {
        POLICY_BYTES_MAX = 8 << 20,  /* of a file */
        POLICY_SENDERS_MAX = 100000, /* overrides in it */
        POLICY_STATES_MAX = 1000000, /* maxStates */
        POLICY_SHOWN_MAX = 1000,     /* topN */
};

/* What is in force for an object: what it says itself, changed by its files. */
struct limit_policy {
        struct limit_rules rules;
        bool has_senders;   /* a file says something about them: rules.interval_s is a limit of all beside theirs */
        char *key_template; /* NULL: %hostname% */
        int64_t senders_shown;
};
void limit_policy_fini(struct limit_policy *p);
OWNED_VALUE(struct limit_policy, limit_policy_fini);

/*
 * Both change a policy that holds what is in force without the file; they keep it as it is with -EBADMSG, which is told
 * in the diagnostics, and with -ENOMEM.
 */
int limit_policy_read(struct limit_policy *policy, const char *file, struct text text, struct diagnostics *diagnostics);
int sender_policy_read(struct limit_policy *policy, const char *file, struct text text,
                       struct diagnostics *diagnostics);
