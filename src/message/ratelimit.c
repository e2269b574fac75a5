#include "message/ratelimit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fail.h"
#include "message/batch.h"

enum {
        WAYS = 8,            /* senders that share a place */
        THREADS_US = 1000000 /* so far apart may the times be that threads have looked at */
};

struct sender_limit {
        char name[LIMIT_SENDER_BYTES];
        bool is_known;
        int64_t seen_us;
        uint64_t discarded_ever;
        struct ratelimit limit;
};

struct shared_limit {
        struct shared_limit_plan plan;
        /* Held for some ten nanoseconds a message, and only of inputs that name the limit. */
        pthread_mutex_t mutex;
        struct ratelimit whole;
        struct limit_rules rules;
        atomic_uint severity_min;     /* that of the rules, read without the mutex */
        struct sender_limit *senders; /* sets of WAYS; NULL: not kept apart */
        size_t set_count;
        struct shared_limit_totals totals;
};

/* A clock that was set back ends the window too: otherwise it might last for years. */
static bool window_has_ended(const struct ratelimit *r, int64_t now_us) {
        return now_us < r->window_start_us || (now_us - r->window_start_us) / 1000000 >= r->interval_s;
}

static bool pass_alone(struct ratelimit *r, int64_t now_us, uint64_t *lost) {
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

unsigned ratelimit_severity_min(const struct ratelimit *r) {
        return r->shared ? atomic_load_explicit(&r->shared->severity_min, memory_order_relaxed) : r->severity_min;
}

/* ---- Rules ------------------------------------------------------------------- */

void limit_rules_fini(struct limit_rules *rules) {
        for (size_t i = 0; i < rules->sender_count; i++)
                free(rules->senders[i].name);
        free(rules->senders);
        *rules = (struct limit_rules){0};
}

static int compare_rule(const void *key, const void *rule) {
        return strcmp(key, ((const struct sender_rule *)rule)->name);
}

/* By the rules in force. The window that runs goes on. */
static void set_rule(const struct shared_limit *s, struct sender_limit *l) {
        const struct limit_rules *rules = &s->rules;
        const struct sender_rule *own = rules->sender_count ? bsearch(l->name, rules->senders, rules->sender_count,
                                                                      sizeof *rules->senders, compare_rule)
                                                            : NULL;
        l->limit.interval_s = own ? own->interval_s : rules->sender_interval_s;
        l->limit.burst = own ? own->burst : rules->sender_burst;
}

/* Sets of WAYS for that many. NULL: no memory. */
static struct sender_limit *make_senders(size_t count, size_t *set_count) {
        *set_count = MAX((count + WAYS - 1) / WAYS, (size_t)1);
        return calloc(*set_count * WAYS, sizeof(struct sender_limit));
}

/* The senders that the rules ask for: those that there are, where their number stays. */
static int prepare_senders(const struct shared_limit *s, const struct limit_rules *rules, struct sender_limit **ret,
                           size_t *set_count) {
        *set_count = s->set_count;
        *ret = s->senders;
        if (!rules->is_per_sender) {
                *ret = NULL;
                *set_count = 0;
        } else if (!s->senders || rules->senders_max != s->rules.senders_max) {
                *ret = make_senders(rules->senders_max, set_count);
                return *ret ? 0 : fail(-ENOMEM);
        }
        return 0;
}

int shared_limit_change(struct shared_limit *s, struct limit_rules *rules) {
        assert(s->plan.may_change);
        struct sender_limit *senders;
        size_t set_count;
        pthread_mutex_lock(&s->mutex);
        int r = prepare_senders(s, rules, &senders, &set_count);
        if (r) {
                pthread_mutex_unlock(&s->mutex);
                return pass(r);
        }
        struct limit_rules old = s->rules;
        struct sender_limit *forgotten = senders == s->senders ? NULL : s->senders;
        s->totals.senders = senders == s->senders ? s->totals.senders : 0;
        s->senders = senders;
        s->set_count = set_count;
        s->rules = *rules;
        atomic_store_explicit(&s->severity_min, rules->severity_min, memory_order_relaxed);
        s->whole.interval_s = rules->interval_s;
        s->whole.burst = rules->burst;
        for (size_t i = 0; i < s->set_count * WAYS; i++)
                if (s->senders[i].is_known)
                        set_rule(s, &s->senders[i]);
        pthread_mutex_unlock(&s->mutex);
        free(forgotten);
        *rules = (struct limit_rules){0};
        limit_rules_fini(&old);
        return 0;
}

/* ---- Shared limits ----------------------------------------------------------- */

static uint64_t hash_of(struct text t) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                hash = (hash ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

/* The one of a sender; the quietest of its set makes room for a new one. Under the mutex. */
static struct sender_limit *find_sender(struct shared_limit *s, struct text name) {
        struct sender_limit *set = &s->senders[hash_of(name) % s->set_count * WAYS], *quietest = set;
        for (unsigned i = 0; i < WAYS; i++) {
                if (set[i].is_known && text_equal(text_of(set[i].name), name))
                        return &set[i];
                if (!set[i].is_known || (quietest->is_known && set[i].seen_us < quietest->seen_us))
                        quietest = &set[i];
        }
        s->totals.senders += !quietest->is_known;
        s->totals.sender_evicted += quietest->is_known;
        *quietest = (struct sender_limit){.is_known = true};
        if (name.size)
                memcpy(quietest->name, name.data, name.size);
        set_rule(s, quietest);
        return quietest;
}

/* An interval by which an input knows that it has to ask. */
static int64_t in_use(const struct shared_limit *s, int64_t interval_s) {
        return s->plan.may_change ? MAX(interval_s, INT64_C(1)) : interval_s;
}

/* The time, not before the window where another thread was quicker and no clock was set back. */
static int64_t after_start(const struct ratelimit *r, int64_t now_us) {
        bool was_overtaken = now_us < r->window_start_us && r->window_start_us - now_us < THREADS_US;
        return was_overtaken ? r->window_start_us : now_us;
}

/* Counts in one of the limits. Under the mutex. */
static bool count_in(struct ratelimit *r, struct shared_limit *s, struct ratelimit *counted, int64_t *now_us,
                     uint64_t *lost) {
        *now_us = after_start(counted, *now_us);
        bool passes = pass_alone(counted, *now_us, lost);
        r->discarded = counted->discarded;
        r->burst = counted->burst;
        r->interval_s = in_use(s, counted->interval_s);
        return passes;
}

static bool pass_all(struct ratelimit *r, int64_t now_us, uint64_t *lost, bool *is_per_sender) {
        struct shared_limit *s = r->shared;
        pthread_mutex_lock(&s->mutex);
        bool passes = count_in(r, s, &s->whole, &now_us, lost);
        *is_per_sender = s->senders;
        s->totals.passed += passes && !s->senders;
        s->totals.discarded += !passes;
        if (s->senders)
                r->interval_s = MAX(r->interval_s, INT64_C(1)); /* the senders' limits are asked, too */
        pthread_mutex_unlock(&s->mutex);
        return passes;
}

static bool pass_own(struct ratelimit *r, struct text sender, int64_t now_us, uint64_t *lost) {
        struct shared_limit *s = r->shared;
        const char *nul = sender.size ? memchr(sender.data, '\0', sender.size) : NULL;
        sender = text_slice(sender, 0, nul ? (size_t)(nul - sender.data) : LIMIT_SENDER_BYTES - 1);
        sender = text_slice(sender, 0, LIMIT_SENDER_BYTES - 1);
        pthread_mutex_lock(&s->mutex);
        struct sender_limit *own = s->senders ? find_sender(s, sender) : NULL;
        bool passes = true;
        *lost = 0;
        if (own) {
                passes = count_in(r, s, &own->limit, &now_us, lost);
                r->interval_s = MAX(r->interval_s, INT64_C(1)); /* others have limits, too */
                own->seen_us = now_us;
                own->discarded_ever += !passes;
                s->totals.sender_passed += passes;
                s->totals.sender_discarded += !passes;
        }
        s->totals.passed += passes;
        s->totals.discarded += !passes;
        pthread_mutex_unlock(&s->mutex);
        return passes;
}

static struct text make_key(struct ratelimit *r, const struct limited_message *m, int64_t now_us,
                            char room[LIMIT_SENDER_BYTES]) {
        struct sender_key *key = r->shared->plan.key;
        if (!key)
                return m->source ? text_of(m->source->address) : TEXT_NONE;
        return key->of_message(key, m, r->ruleset, now_us, room);
}

/* The key is made where the limit of all lets the message through; m NULL: it is there already. */
static bool pass_shared(struct ratelimit *r, const struct limited_message *m, struct text key, int64_t now_us,
                        uint64_t *lost) {
        char room[LIMIT_SENDER_BYTES];
        bool is_per_sender;
        if (!pass_all(r, now_us, lost, &is_per_sender))
                return false;
        if (!is_per_sender)
                return true;
        uint64_t lost_of_all = *lost;
        if (m)
                key = make_key(r, m, now_us, room);
        bool passes = pass_own(r, key, now_us, lost);
        *lost += lost_of_all;
        return passes;
}

bool ratelimit_pass_message(struct ratelimit *r, const struct limited_message *m, int64_t now_us, uint64_t *lost) {
        return r->shared ? pass_shared(r, m, TEXT_NONE, now_us, lost) : pass_alone(r, now_us, lost);
}

bool ratelimit_pass_sender(struct ratelimit *r, struct text sender, int64_t now_us, uint64_t *lost) {
        return r->shared ? pass_shared(r, NULL, sender, now_us, lost) : pass_alone(r, now_us, lost);
}

bool ratelimit_pass(struct ratelimit *r, int64_t now_us, uint64_t *lost) {
        return ratelimit_pass_sender(r, TEXT_NONE, now_us, lost);
}

int shared_limit_new(struct shared_limit **ret, const struct shared_limit_plan *plan) {
        _owned_(shared_limit_free) struct shared_limit *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        pthread_mutex_init(&s->mutex, NULL);
        s->plan = *plan;
        s->rules = (struct limit_rules){.interval_s = plan->is_per_sender ? 0 : plan->interval_s,
                                        .burst = plan->burst,
                                        .severity_min = plan->severity_min,
                                        .is_per_sender = plan->is_per_sender,
                                        .senders_max = plan->senders_max,
                                        .sender_interval_s = plan->interval_s,
                                        .sender_burst = plan->burst};
        atomic_init(&s->severity_min, plan->severity_min);
        s->whole = (struct ratelimit){.interval_s = s->rules.interval_s, .burst = plan->burst};
        if (plan->is_per_sender) {
                s->senders = make_senders(plan->senders_max, &s->set_count);
                if (!s->senders)
                        return fail(-ENOMEM);
        }
        *ret = TAKE(s);
        return 0;
}

struct shared_limit *shared_limit_free(struct shared_limit *s) {
        if (!s)
                return NULL;
        pthread_mutex_destroy(&s->mutex);
        limit_rules_fini(&s->rules);
        free(s->senders);
        free(s);
        return NULL;
}

const char *shared_limit_name(const struct shared_limit *s) {
        return s->plan.name;
}

bool shared_limit_paces(struct shared_limit *s) {
        pthread_mutex_lock(&s->mutex);
        bool paces = s->rules.paces;
        pthread_mutex_unlock(&s->mutex);
        return paces;
}

uint32_t shared_limit_grant(struct shared_limit *s, uint32_t wanted, int64_t now_us, int64_t *wait_us) {
        pthread_mutex_lock(&s->mutex);
        struct ratelimit *r = &s->whole;
        uint32_t granted = wanted;
        *wait_us = 0;
        if (r->interval_s > 0) {
                now_us = after_start(r, now_us);
                if (r->window_start_us == 0 || window_has_ended(r, now_us)) {
                        r->window_start_us = now_us;
                        r->passed = 0;
                }
                uint64_t left = (uint64_t)r->burst > r->passed ? (uint64_t)r->burst - r->passed : 0;
                granted = (uint32_t)MIN((uint64_t)wanted, left);
                r->passed += granted;
                if (granted < wanted)
                        *wait_us = r->window_start_us + r->interval_s * 1000000 - now_us;
        }
        s->totals.passed += granted;
        pthread_mutex_unlock(&s->mutex);
        return granted;
}

void ratelimit_share(struct ratelimit *r, struct shared_limit *s) {
        pthread_mutex_lock(&s->mutex);
        int64_t interval_s = MAX(s->rules.interval_s, s->senders ? s->rules.sender_interval_s : 0);
        *r = (struct ratelimit){.interval_s = in_use(s, interval_s), .burst = s->rules.burst, .shared = s};
        pthread_mutex_unlock(&s->mutex);
}

void shared_limit_count(struct shared_limit *s, struct shared_limit_totals *ret) {
        pthread_mutex_lock(&s->mutex);
        *ret = s->totals;
        ret->is_per_sender = s->senders;
        pthread_mutex_unlock(&s->mutex);
}

uint64_t shared_limit_untold(struct shared_limit *s) {
        pthread_mutex_lock(&s->mutex);
        uint64_t untold = s->whole.discarded;
        s->whole.discarded = 0;
        for (size_t i = 0; i < s->set_count * WAYS; i++) {
                untold += s->senders[i].limit.discarded;
                s->senders[i].limit.discarded = 0;
        }
        pthread_mutex_unlock(&s->mutex);
        return untold;
}

/* Into an array that is kept sorted. */
static size_t insert(struct limited_sender *to, size_t count, size_t count_max, const struct sender_limit *l) {
        size_t at = count < count_max ? count : count_max - 1;
        if (count == count_max && to[at].discarded >= l->discarded_ever)
                return count;
        while (at && to[at - 1].discarded < l->discarded_ever) {
                to[at] = to[at - 1];
                at--;
        }
        to[at].discarded = l->discarded_ever;
        memcpy(to[at].name, l->name, sizeof l->name);
        return count < count_max ? count + 1 : count;
}

size_t shared_limit_worst(struct shared_limit *s, struct limited_sender *to, size_t count_max) {
        size_t count = 0;
        pthread_mutex_lock(&s->mutex);
        for (size_t i = 0; i < s->set_count * WAYS && count_max; i++)
                if (s->senders[i].discarded_ever)
                        count = insert(to, count, count_max, &s->senders[i]);
        pthread_mutex_unlock(&s->mutex);
        return count;
}
