/*
 * What may be set on a broker: a table of items, read from a file, from the bus and
 * by get_config, and a policy that only the file holds.
 *
 * A policy is a list of rules; the first that fits decides, and without one
 * everything is allowed but `control`, which is for root and the broker's own user.
 */
#pragma once

#include <sys/types.h>

#include "base/reporter.h"
#include "bus/scan.h"

enum {
        SETTINGS_FILE_BYTES_MAX = 1 << 20,
        POLICY_RULES_MAX = 10000,
};

struct settings {
        int64_t answer_timeout_ms;
        int64_t stall_timeout_ms;
        int64_t queue_limit;
        int64_t message_bytes_max;
        int64_t clients_max;
        int64_t outstanding_max;
        int64_t subscriptions_max;
        int64_t user_clients_max;
        int64_t user_bytes_max;
        int64_t user_fds_max;
        int64_t log_level; /* enum severity */
};

struct settings_item {
        const char *name;
        size_t offset; /* of an int64_t in struct settings */
        int64_t dflt, min, max;
        const char *unit;
        const char *help;
};
/* Ended by a name of NULL. */
extern const struct settings_item settings_items[];

void settings_init(struct settings *s);
/* -ENOENT: no such item; -EINVAL: not a value for it. */
int bus_settings_set(struct settings *s, struct text name, const struct scan_value *value);
/* All items as a JSON object. */
void bus_settings_print(struct buffer *out, const struct settings *s);

enum policy_action {
        POLICY_SUBSCRIBE, /* to an event, a notification or an instance */
        POLICY_SEND,      /* to a name */
        POLICY_OWN,       /* a name: to be one of those who get what is sent to all of it */
        POLICY_CONTROL,   /* to change the broker's state */
        POLICY_ACTIONS,
};

struct policy_rule {
        enum policy_action action;
        bool is_allowed;
        int64_t uid, gid; /* -1: any */
        char *name;       /* a glob of names; NULL: all but events, which only a glob of their own reaches */
};

struct policy {
        struct policy_rule *rules;
        size_t count;
        bool asks[POLICY_ACTIONS]; /* there is a rule about it */
};

struct policy_subject {
        uid_t uid;
        gid_t gid;
        const gid_t *groups; /* supplementary ones */
        size_t group_count;
};

void policy_fini(struct policy *p);
enum policy_answer { POLICY_SILENT, POLICY_ALLOWED, POLICY_DENIED };
enum policy_answer policy_ask(const struct policy *p, enum policy_action action, const struct policy_subject *subject,
                              struct text name);

/* What the file says besides. */
struct settings_place {
        char *socket_path; /* on the heap; NULL: not said */
        int64_t mode;      /* -1: not said */
};
void settings_place_fini(struct settings_place *place);
OWNED_VALUE(struct settings_place, settings_place_fini);

/*
 * Reads a file of JSON into all three. Every mistake is reported with its line; -EINVAL when there was one, and
 * nothing has changed then.
 */
int settings_load(const char *path, struct settings *settings, struct policy *policy, struct settings_place *place,
                  struct reporter *reporter);
