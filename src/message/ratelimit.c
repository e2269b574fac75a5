#include "message/ratelimit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"

enum { WAYS = 8 /* senders that share a place */ };

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
        *quietest = (struct sender_limit){.is_known = true,
                                          .limit = {.interval_s = s->plan.interval_s, .burst = s->plan.burst}};
        if (name.size)
                memcpy(quietest->name, name.data, name.size);
        return quietest;
}

static bool pass_shared(struct ratelimit *r, struct text sender, int64_t now_us, uint64_t *lost) {
        struct shared_limit *s = r->shared;
        const char *nul = sender.size ? memchr(sender.data, '\0', sender.size) : NULL;
        sender = text_slice(sender, 0, nul ? (size_t)(nul - sender.data) : LIMIT_SENDER_BYTES - 1);
        sender = text_slice(sender, 0, LIMIT_SENDER_BYTES - 1);
        pthread_mutex_lock(&s->mutex);
        struct sender_limit *own = s->senders ? find_sender(s, sender) : NULL;
        struct ratelimit *counted = own ? &own->limit : &s->whole;
        bool passes = pass_alone(counted, now_us, lost);
        r->discarded = counted->discarded;
        if (own) {
                own->seen_us = now_us;
                own->discarded_ever += !passes;
        }
        s->totals.passed += passes;
        s->totals.discarded += !passes;
        pthread_mutex_unlock(&s->mutex);
        return passes;
}

bool ratelimit_pass_sender(struct ratelimit *r, struct text sender, int64_t now_us, uint64_t *lost) {
        return r->shared ? pass_shared(r, sender, now_us, lost) : pass_alone(r, now_us, lost);
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
        s->whole = (struct ratelimit){.interval_s = plan->interval_s, .burst = plan->burst};
        if (plan->is_per_sender) {
                s->set_count = (plan->senders_max + WAYS - 1) / WAYS;
                s->senders = calloc(s->set_count * WAYS, sizeof *s->senders);
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
        free(s->senders);
        free(s);
        return NULL;
}

const char *shared_limit_name(const struct shared_limit *s) {
        return s->plan.name;
}

void ratelimit_share(struct ratelimit *r, struct shared_limit *s) {
        *r = (struct ratelimit){.interval_s = s->plan.interval_s,
                                .burst = s->plan.burst,
                                .severity_min = s->plan.severity_min,
                                .shared = s};
}

void shared_limit_count(struct shared_limit *s, struct shared_limit_totals *ret) {
        pthread_mutex_lock(&s->mutex);
        *ret = s->totals;
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
