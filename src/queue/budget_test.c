#include "queue/budget.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/test.h"

enum { BYTES_MAX = 1000000, OUTSIDE_MAX = 880000 };

struct sender {
        struct budget *budget;
        bool is_within;
        atomic_bool is_done;
};

static void *wait_for_ever(void *argument) {
        struct sender *s = argument;
        CHECK(budget_wait(s->budget, s->is_within, -1));
        atomic_store(&s->is_done, true);
        return NULL;
}

static void outsiders_leave_a_part_to_messages_on_their_way(void) {
        _owned_(budget_free) struct budget *b = NULL;
        CHECK_INT(budget_new(&b, BYTES_MAX), 0);
        CHECK(budget_wait(b, false, 0));
        budget_take(b, OUTSIDE_MAX);
        CHECK(!budget_wait(b, false, 0));
        CHECK(!budget_wait(b, false, 1));
        CHECK(budget_wait(b, true, 0));
        budget_take(b, BYTES_MAX - OUTSIDE_MAX);
        CHECK(!budget_wait(b, true, 0));
        CHECK_INT(budget_used(b), BYTES_MAX);
        budget_give(b, BYTES_MAX);
        CHECK_INT(budget_used(b), 0);
}

static void who_waits_goes_on_when_enough_was_given_back(void) {
        _owned_(budget_free) struct budget *b = NULL;
        CHECK_INT(budget_new(&b, BYTES_MAX), 0);
        budget_take(b, BYTES_MAX);
        struct sender outside = {.budget = b}, within = {.budget = b, .is_within = true};
        pthread_t outsider, insider;
        CHECK_INT(pthread_create(&outsider, NULL, wait_for_ever, &outside), 0);
        CHECK_INT(pthread_create(&insider, NULL, wait_for_ever, &within), 0);
        budget_give(b, 1);
        pthread_join(insider, NULL);
        CHECK(!atomic_load(&outside.is_done));
        budget_give(b, BYTES_MAX - 1);
        pthread_join(outsider, NULL);
        CHECK(atomic_load(&outside.is_done));
}

static void nobody_waits_at_the_end(void) {
        _owned_(budget_free) struct budget *b = NULL;
        CHECK_INT(budget_new(&b, BYTES_MAX), 0);
        budget_take(b, BYTES_MAX);
        struct sender outside = {.budget = b};
        pthread_t outsider;
        CHECK_INT(pthread_create(&outsider, NULL, wait_for_ever, &outside), 0);
        budget_open(b);
        pthread_join(outsider, NULL);
        CHECK(budget_wait(b, false, 0));
        budget_give(b, BYTES_MAX);
}

TEST_MAIN(TEST(outsiders_leave_a_part_to_messages_on_their_way), TEST(who_waits_goes_on_when_enough_was_given_back),
          TEST(nobody_waits_at_the_end))
