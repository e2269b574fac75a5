#include "queue/queue.h"

#include <pthread.h>

#include "base/test.h"

/* A consumer that can be made to wait, and counts. */
struct taker {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_shut;
        uint64_t taken;
        uint32_t largest;
        unsigned together, together_max;
};

static struct batch_pool *pool;

static void take(void *consumer, unsigned worker _unused_, struct batch *b _unused_, uint32_t first _unused_,
                 uint32_t count) {
        struct taker *t = consumer;
        pthread_mutex_lock(&t->lock);
        t->together++;
        t->together_max = MAX(t->together_max, t->together);
        pthread_cond_broadcast(&t->changed);
        while (t->is_shut)
                pthread_cond_wait(&t->changed, &t->lock);
        t->taken += count;
        t->largest = MAX(t->largest, count);
        t->together--;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
}

static void shut(struct taker *t, bool is_shut) {
        pthread_mutex_lock(&t->lock);
        t->is_shut = is_shut;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
}

static void wait_until_taking(struct taker *t, unsigned workers) {
        pthread_mutex_lock(&t->lock);
        while (t->together < workers)
                pthread_cond_wait(&t->changed, &t->lock);
        pthread_mutex_unlock(&t->lock);
}

static struct queue_settings settings_of(int type, int64_t size) {
        return (struct queue_settings){.type = type,
                                       .size = size,
                                       .worker_threads = 1,
                                       .worker_minimum_messages = -1,
                                       .full_delay_mark = -1,
                                       .light_delay_mark = -1,
                                       .discard_mark = -1,
                                       .discard_severity = 8,
                                       .dequeue_time_end = 25,
                                       .timeout_shutdown_ms = 10000,
                                       .timeout_action_completion_ms = 1000,
                                       .timeout_worker_ms = 60000};
}

static struct queue *queue_for(struct taker *t, const struct queue_settings *s) {
        struct queue *q;
        *t = (struct taker){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        if (!pool)
                CHECK(batch_pool_new(&pool) == 0);
        struct queue_consumer consumer = {.consume = take, .consumer = t};
        CHECK(queue_new(&q, "test", s, consumer, NULL) == 0);
        CHECK(queue_start(q) == 0);
        return q;
}

static void push_severity(struct queue *q, unsigned count, enum flow flow, uint8_t severity) {
        struct batch *b = batch_new(pool, 0);
        for (unsigned i = 0; i < count; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = batch_store(b, TEXT("<13>message"));
                r->flags = RECORD_IS_PARSED;
                r->severity = severity;
        }
        queue_push(q, b, flow);
}

static void push(struct queue *q, unsigned count, enum flow flow) {
        push_severity(q, count, flow, 5);
}

static void everything_pushed_is_consumed_before_the_stop(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 100000);
        struct queue *q = queue_for(&t, &s);
        for (int i = 0; i < 200; i++)
                push(q, 100, FLOW_NONE);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 20000);
        CHECK_INT(queue_unfinished(q), 0);
        queue_free(q);
}

static void a_direct_queue_consumes_at_once(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_DIRECT, 10);
        struct queue *q = queue_for(&t, &s);
        push(q, 100, FLOW_NONE);
        CHECK_INT(t.taken, 100);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);
}

static void a_full_queue_discards_what_exceeds_its_size_and_counts_it(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 25, FLOW_NONE);
        CHECK_INT(queue_waiting(q), 10);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_full), 15);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 11);
        queue_free(q);
}

static void small_batches_share_one_slab(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 10000);
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        for (int i = 0; i < 500; i++)
                push(q, 1, FLOW_NONE);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 501);
        CHECK_INT(t.largest, 500);
        queue_free(q);
}

static void dequeue_batch_size_bounds_what_a_consumer_gets(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 10000);
        s.dequeue_batch_size = 16;
        struct queue *q = queue_for(&t, &s);
        push(q, 1000, FLOW_NONE);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 1000);
        CHECK_INT(t.largest, 16);
        queue_free(q);
}

static void unimportant_messages_go_first_above_the_discard_mark(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 100);
        s.discard_mark = 50;
        s.discard_severity = 5;
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 60, FLOW_NONE);
        push_severity(q, 10, FLOW_NONE, 6);
        push_severity(q, 10, FLOW_NONE, 3);
        CHECK_INT(queue_waiting(q), 70);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_mark), 10);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);
}

struct pusher {
        struct queue *queue;
        atomic_bool is_done;
};

static void *push_full_flow(void *argument) {
        struct pusher *p = argument;
        push(p->queue, 50, FLOW_FULL);
        atomic_store(&p->is_done, true);
        return NULL;
}

static void a_sender_with_flow_control_waits_and_loses_nothing(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        struct pusher p = {.queue = q};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, push_full_flow, &p) == 0);
        while (queue_waiting(q) < 10)
                sched_yield();
        CHECK(!atomic_load(&p.is_done));
        shut(&t, false);
        pthread_join(thread, NULL);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 51);
        queue_free(q);
}

static void more_workers_come_when_there_is_enough_to_do(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 10000);
        s.worker_threads = 3;
        s.worker_minimum_messages = 100;
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        for (int i = 0; i < 20; i++)
                push(q, 100, FLOW_NONE);
        wait_until_taking(&t, 3);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 2000);
        CHECK_INT(t.together_max, 3);
        queue_free(q);
}

static void a_stop_is_bounded_and_tells_what_was_left(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        s.timeout_shutdown_ms = 0;
        s.timeout_action_completion_ms = 0;
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 100, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 100, FLOW_NONE);
        struct pusher opener = {.queue = q};
        CHECK(!atomic_load(&opener.is_done));
        /* The worker is let go after the time-out has passed, from the queue's own hurry(). */
        shut(&t, false);
        uint64_t left = queue_stop(q);
        CHECK(left == 0 || left == 100);
        CHECK_INT(t.taken, 200 - left);
        CHECK_INT(counter_get(&queue_counters(q)->lost), left);
        queue_free(q);
        pool = batch_pool_unref(pool);
}

TEST_MAIN(TEST(everything_pushed_is_consumed_before_the_stop), TEST(a_direct_queue_consumes_at_once),
          TEST(a_full_queue_discards_what_exceeds_its_size_and_counts_it), TEST(small_batches_share_one_slab),
          TEST(dequeue_batch_size_bounds_what_a_consumer_gets),
          TEST(unimportant_messages_go_first_above_the_discard_mark),
          TEST(a_sender_with_flow_control_waits_and_loses_nothing), TEST(more_workers_come_when_there_is_enough_to_do),
          TEST(a_stop_is_bounded_and_tells_what_was_left))
