#include "output/row_limit.h"

#include "base/macros.h"

size_t row_limit_room(struct row_limit *limit, int64_t now_ns, const char *who, struct module_log *log) {
        if (limit->interval_s <= 0)
                return SIZE_MAX;
        if (limit->start_ns == 0 || (now_ns - limit->start_ns) / 1000000000 >= limit->interval_s) {
                if (limit->discarded)
                        module_report(log, 6, 2177,
                                      "%s: %lld messages lost due to rate-limiting (%lld allowed within "
                                      "%lld seconds)",
                                      who, (long long)limit->discarded, (long long)limit->burst,
                                      (long long)limit->interval_s);
                limit->start_ns = now_ns;
                limit->passed = limit->discarded = 0;
        }
        return (size_t)MAX(limit->burst - limit->passed, INT64_C(0));
}

struct outcome row_limit_settle(struct row_limit *limit, struct outcome outcome, size_t offered, size_t count,
                                const char *who, struct module_log *log) {
        limit->passed += (int64_t)outcome.taken;
        if (outcome.verdict != DELIVER_DONE || outcome.taken < offered || offered == count)
                return outcome;
        if (limit->discarded == 0)
                module_report(log, 6, 2177, "%s: begin to drop messages due to rate-limiting", who);
        limit->discarded += (int64_t)(count - offered);
        return (struct outcome){DELIVER_DONE, count, 0};
}
