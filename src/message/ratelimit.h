/*
 * A rate limit: at most `burst` messages in any window of `interval_s` seconds.
 * A window begins with the first message after the last one ended, so an idle
 * input costs nothing and no timer is needed. One thread owns a rate limit.
 *
 * The owner sets interval_s, burst and severity_min; the rest starts as zero.
 * Who limits only the less important messages asks ratelimit_pass() only for
 * those whose severity is severity_min or a higher number.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ratelimit {
        int64_t interval_s;      /* 0: off, everything passes */
        int64_t burst;           /* messages that pass in one window */
        int64_t window_start_us; /* 0: no window yet */
        uint64_t passed;         /* in the window that runs */
        uint64_t discarded;
        uint8_t severity_min; /* for its owner */
};

/*
 * Whether a message that arrived at now_us may pass. *lost is the number that was
 * discarded in the window that just ended (to be reported), else 0.
 */
bool ratelimit_pass(struct ratelimit *r, int64_t now_us, uint64_t *lost);
