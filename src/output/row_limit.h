/*
 * A rate limit over rows: at most `burst` in each `interval_s` seconds. What goes
 * beyond is discarded, as the user asked, and said once an interval. No timer: an
 * interval begins with the first row after the last one ended.
 */
#pragma once

#include "module/module.h"

struct row_limit {
        int64_t interval_s; /* 0: no limit */
        int64_t burst;
        int64_t start_ns; /* 0: no interval yet */
        int64_t passed;
        int64_t discarded;
};

/* How many rows may pass now. */
size_t row_limit_room(struct row_limit *limit, int64_t now_ns, const char *who, struct module_log *log);

/*
 * The outcome of a work of which only the first `offered` rows were delivered: once all of these are done, the
 * others are discarded and count as taken.
 */
struct outcome row_limit_settle(struct row_limit *limit, struct outcome outcome, size_t offered, size_t count,
                                const char *who, struct module_log *log);
