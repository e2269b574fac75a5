#include "message/ratelimit.h"

/* A clock that was set back ends the window too: otherwise it might last for years. */
static bool window_has_ended(const struct ratelimit *r, int64_t now_us) {
        return now_us < r->window_start_us || (now_us - r->window_start_us) / 1000000 >= r->interval_s;
}

bool ratelimit_pass(struct ratelimit *r, int64_t now_us, uint64_t *lost) {
        *lost = 0;
        if (r->interval_s <= 0)
                return true;
        if (r->window_start_us == 0 || window_has_ended(r, now_us)) {
                *lost = r->discarded;
                r->window_start_us = now_us;
                r->passed = r->discarded = 0;
        }
        if (r->burst > 0 && r->passed < (uint64_t)r->burst) {
                r->passed++;
                return true;
        }
        r->discarded++;
        return false;
}
