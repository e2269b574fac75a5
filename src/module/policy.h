/*
 * Policy files: what a module or an object reads beside the configuration, and again when it changes.
 *
 *   WATCHING --the file changes--> WAITING --quiet for the debounce time--> changed() --> WATCHING
 *
 * A policy_watch has a thread and a loop of its own, which sleeps but for events of the file's directory: most programs
 * put a new file in the place of the old one.
 */
#pragma once

#include <stdint.h>

#include "base/text.h"

enum { POLICY_NUMBER_MAX = 2147483647 /* seconds, messages */ };

/* "500ms", "10s", "5m", "2h"; a number alone is seconds. -EINVAL. */
int policy_duration(int64_t *ret_ms, struct text text);

struct policy_watch;

/* changed() is called on the watch's thread. `path` is lent. -errno: it cannot be watched. */
int policy_watch_new(struct policy_watch **ret, const char *path, int64_t debounce_ms, void (*changed)(void *context),
                     void *context);
/* changed() is not called any more. */
struct policy_watch *policy_watch_free(struct policy_watch *w);
