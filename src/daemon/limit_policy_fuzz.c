/* Policy files: whatever they hold, the rules are whole or as they were. */
#include <stdlib.h>

#include "daemon/limit_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct text text = {(const char *)data, size};
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        _owned_(limit_policy_fini) struct limit_policy policy = {.rules = {.interval_s = 1, .burst = 1}};
        const struct limit_rules *rules = &policy.rules;
        if (limit_policy_read(&policy, "policy", text, &told) == 0 &&
            (rules->interval_s < 0 || rules->severity_min > 7))
                abort();
        if (sender_policy_read(&policy, "policy", text, &told) == 0)
                for (size_t i = 1; i < rules->sender_count; i++)
                        if (strcmp(rules->senders[i - 1].name, rules->senders[i].name) >= 0)
                                abort();
        return 0;
}
