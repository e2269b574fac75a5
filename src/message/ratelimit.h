/*
 * A rate limit: at most `burst` messages in any window of `interval_s` seconds.
 * A window begins with the first message after the last one ended, so an idle
 * input costs nothing and no timer is needed. One thread owns a rate limit.
 *
 * The owner sets interval_s, burst and severity_min; the rest starts as zero.
 * Who limits only the less important messages asks ratelimit_pass() only for
 * those whose severity is ratelimit_severity_min() or a higher number.
 *
 * A shared limit is a ratelimit() object: several rate limits, each on its own
 * thread, count in it together. Where it keeps senders apart a message passes the
 * limit of all first, if there is one, and then that of its sender:
 *
 *   message -> limit of all -> sender_key: who is it? -> limit of that sender
 *
 * Senders are kept within a bound: of the eight that share a place, the one that was
 * quiet longest makes room. The rules may change while they are in use: windows that
 * run go on under the new ones.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct batch;
struct record;
struct shared_limit;
struct source;

struct ratelimit {
        int64_t interval_s;      /* 0: off, everything passes */
        int64_t burst;           /* messages that pass in one window */
        int64_t window_start_us; /* 0: no window yet */
        uint64_t passed;         /* in the window that runs */
        uint64_t discarded;
        uint8_t severity_min;        /* for its owner */
        struct shared_limit *shared; /* where it counts, lent; NULL: for itself */
        const char *ruleset;         /* that the messages go to, lent; NULL: the default one */
};

/*
 * Whether a message that arrived at now_us may pass. *lost is the number that was
 * discarded in the window that just ended (to be reported), else 0.
 */
bool ratelimit_pass(struct ratelimit *r, int64_t now_us, uint64_t *lost);

struct limited_message {
        struct source *source;
        struct batch *batch; /* of the record; NULL: nobody has parsed it yet */
        struct record *record;
        struct text raw; /* of one that is not parsed, as it came; empty: nobody knows */
        uint16_t flags;  /* those that its record would have: RECORD_NO_HOSTNAME */
};
/* The same for a message of one sender, where the limit is shared and keeps senders apart. */
bool ratelimit_pass_message(struct ratelimit *r, const struct limited_message *m, int64_t now_us, uint64_t *lost);
/* The same where the sender's key is known. */
bool ratelimit_pass_sender(struct ratelimit *r, struct text sender, int64_t now_us, uint64_t *lost);

/* The least important severity that is never limited is the one below it: 0 limits all. */
unsigned ratelimit_severity_min(const struct ratelimit *r);

/* ---- Shared limits ----------------------------------------------------------- */

enum { LIMIT_SENDER_BYTES = 64 }; /* of a sender's name; two that begin alike so far are one */

/* What tells the senders of a limit apart. Any thread. */
struct sender_key {
        /* The key of a message, which that ruleset parses; in `room`, or lent by the message. */
        struct text (*of_message)(struct sender_key *key, const struct limited_message *m, const char *ruleset,
                                  int64_t now_us, char room[LIMIT_SENDER_BYTES]);
};

struct shared_limit_plan {
        const char *name;          /* lent */
        int64_t interval_s, burst; /* of all together, or of each sender */
        uint8_t severity_min;
        bool is_per_sender;
        bool may_change; /* shared_limit_change() may come: inputs ask it also while it limits nothing */
        size_t senders_max;
        struct sender_key *key; /* lent; NULL: a sender is known by its address */
};

/* What one sender may do, in place of what all may. */
struct sender_rule {
        char *name; /* less than LIMIT_SENDER_BYTES */
        int64_t interval_s, burst;
};

struct limit_rules {
        int64_t interval_s, burst; /* of all together */
        uint8_t severity_min;
        bool is_per_sender;
        bool paces; /* what does not pass waits: who asks, asks shared_limit_grant() */
        size_t senders_max;
        int64_t sender_interval_s, sender_burst; /* of each that has no rule of its own */
        struct sender_rule *senders;             /* by their names, as strcmp() orders them */
        size_t sender_count;
};
void limit_rules_fini(struct limit_rules *rules);
OWNED_VALUE(struct limit_rules, limit_rules_fini);

/* -ENOMEM. */
int shared_limit_new(struct shared_limit **ret, const struct shared_limit_plan *plan);
struct shared_limit *shared_limit_free(struct shared_limit *s);
OWNED_POINTER(struct shared_limit, shared_limit_free);
const char *shared_limit_name(const struct shared_limit *s);

/* Puts other rules in force; takes what they hold and leaves them empty. Any thread. -ENOMEM, and nothing done. */
int shared_limit_change(struct shared_limit *s, struct limit_rules *rules);

/* Whether its rules say that messages wait. */
bool shared_limit_paces(struct shared_limit *s);
/* How many of `wanted` messages pass now. Fewer: *wait_us is the time until the next window begins. Any thread. */
uint32_t shared_limit_grant(struct shared_limit *s, uint32_t wanted, int64_t now_us, int64_t *wait_us);

/* From now on r counts in s, by its interval, burst and severity. */
void ratelimit_share(struct ratelimit *r, struct shared_limit *s);

/* What the window that runs has discarded and nobody told yet; asked again it is 0. */
uint64_t shared_limit_untold(struct shared_limit *s);

struct shared_limit_totals {
        uint64_t passed, discarded; /* ever */
        uint64_t senders;           /* that are known; 0 where they are not kept apart */
        /* Of senders, ever: what passed their limits and what did not, those that made room. */
        uint64_t sender_passed, sender_discarded, sender_evicted;
        bool is_per_sender;
};
/* Any thread. */
void shared_limit_count(struct shared_limit *s, struct shared_limit_totals *ret);

struct limited_sender {
        char name[LIMIT_SENDER_BYTES]; /* NUL-ended */
        uint64_t discarded;            /* since it is known */
};
/* The senders that lost most, the worst first; returns how many. Any thread. */
size_t shared_limit_worst(struct shared_limit *s, struct limited_sender *to, size_t count_max);
