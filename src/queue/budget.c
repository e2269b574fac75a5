#include "queue/budget.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"

struct budget {
        uint64_t bytes_max;
        uint64_t outside_max; /* for what comes from outside */
        uint64_t release_at;
        _Atomic uint64_t used;
        atomic_uint waiting_within, waiting_outside; /* senders */
        atomic_bool is_open;
        pthread_mutex_t lock;
        pthread_cond_t given;
};

int budget_new(struct budget **ret, uint64_t bytes_max) {
        struct budget *budget = calloc(1, sizeof *budget);
        if (!budget)
                return fail(-ENOMEM);
        budget->bytes_max = bytes_max;
        budget->outside_max = bytes_max - bytes_max / 100 * BUDGET_KEPT_PERCENT;
        budget->release_at = budget->outside_max / 100 * BUDGET_RELEASE_PERCENT;
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&budget->lock, NULL);
        pthread_cond_init(&budget->given, &monotonic);
        pthread_condattr_destroy(&monotonic);
        *ret = budget;
        return 0;
}

struct budget *budget_free(struct budget *budget) {
        if (!budget)
                return NULL;
        assert(atomic_load(&budget->used) == 0);
        pthread_mutex_destroy(&budget->lock);
        pthread_cond_destroy(&budget->given);
        free(budget);
        return NULL;
}

void budget_take(struct budget *budget, uint64_t bytes) {
        atomic_fetch_add(&budget->used, bytes);
}

static bool has_less_than(const struct budget *budget, uint64_t limit) {
        return atomic_load(&budget->used) < limit || atomic_load(&budget->is_open);
}

static void wake_all(struct budget *budget) {
        pthread_mutex_lock(&budget->lock);
        pthread_cond_broadcast(&budget->given);
        pthread_mutex_unlock(&budget->lock);
}

void budget_give(struct budget *budget, uint64_t bytes) {
        uint64_t before = atomic_fetch_sub(&budget->used, bytes);
        assert(before >= bytes);
        /* A sender counts itself before it looks; so either it sees this or we see it. */
        bool wakes_within = atomic_load(&budget->waiting_within) && has_less_than(budget, budget->bytes_max);
        if (UNLIKELY(wakes_within ||
                     (atomic_load(&budget->waiting_outside) && has_less_than(budget, budget->release_at))))
                wake_all(budget);
}

uint64_t budget_used(const struct budget *budget) {
        return atomic_load(&budget->used);
}

bool budget_has_room(const struct budget *budget, bool is_within) {
        return has_less_than(budget, is_within ? budget->bytes_max : budget->outside_max);
}

bool budget_wait(struct budget *budget, bool is_within, int64_t ms) {
        if (LIKELY(budget_has_room(budget, is_within)))
                return true;
        int64_t due_ns = clock_mono_ns() + MAX(ms, (int64_t)0) * 1000000;
        struct timespec until = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
        atomic_uint *waiting = is_within ? &budget->waiting_within : &budget->waiting_outside;
        uint64_t limit = is_within ? budget->bytes_max : budget->release_at;
        pthread_mutex_lock(&budget->lock);
        atomic_fetch_add(waiting, 1);
        int r = 0;
        while (!has_less_than(budget, limit) && r != ETIMEDOUT)
                r = ms < 0 ? pthread_cond_wait(&budget->given, &budget->lock)
                           : pthread_cond_timedwait(&budget->given, &budget->lock, &until);
        atomic_fetch_sub(waiting, 1);
        pthread_mutex_unlock(&budget->lock);
        return budget_has_room(budget, is_within);
}

void budget_open(struct budget *budget) {
        atomic_store(&budget->is_open, true);
        wake_all(budget);
}
