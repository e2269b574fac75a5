#include "queue/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/test.h"

/* A consumer that can be made to wait, and counts. */
struct taker {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_shut;
        uint64_t taken;
        uint32_t largest;
        unsigned together, together_max;
        unsigned rung;
        uint64_t taken_before_ring;
};

static struct batch_pool *pool;

static uint32_t take(void *consumer, unsigned worker _unused_, struct batch *b _unused_, uint32_t first _unused_,
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
        return count;
}

static void hear(void *consumer, unsigned worker _unused_) {
        struct taker *t = consumer;
        pthread_mutex_lock(&t->lock);
        t->rung++;
        t->taken_before_ring = t->taken;
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
        struct queue_consumer consumer = {.consume = take, .rung = hear, .consumer = t};
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

static atomic_uint done_count;

static void note_done(void *input _unused_, uint64_t cookie _unused_) {
        atomic_fetch_add(&done_count, 1);
}

static void who_waits_for_a_small_view_waits_for_its_copy(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 1, FLOW_NONE); /* the view is copied behind this */
        struct batch *b = batch_new(pool, 0);
        struct record *r = batch_append(b, NULL);
        r->raw = batch_store(b, TEXT("<13>x"));
        CHECK(batch_acknowledge(b, (struct acknowledgement){.done = note_done}) == 0);
        static const uint16_t only[] = {0};
        atomic_store(&done_count, 0);
        queue_push(q, batch_view(b, only, 1), FLOW_WITHIN);
        batch_unref(b);
        CHECK_INT(atomic_load(&done_count), 0);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 3);
        CHECK_INT(atomic_load(&done_count), 1);
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

/* Fills a shut queue to `waiting` messages and gives it to the test. */
static struct queue *filled_queue(struct taker *t, const struct queue_settings *s, unsigned waiting) {
        struct queue *q = queue_for(t, s);
        shut(t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(t, 1);
        if (waiting)
                push(q, waiting, FLOW_NONE);
        CHECK_INT(queue_waiting(q), waiting);
        return q;
}

static void empty(struct queue *q, struct taker *t) {
        shut(t, false);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);
}

static int64_t milliseconds_of_push(struct queue *q, enum flow flow) {
        int64_t start_ns = clock_mono_ns();
        push(q, 1, flow);
        return (clock_mono_ns() - start_ns) / 1000000;
}

static void above_the_light_delay_mark_a_sender_is_held_a_while(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 100);
        s.light_delay_mark = 10;
        struct queue *q = filled_queue(&t, &s, 9);
        CHECK(milliseconds_of_push(q, FLOW_LIGHT) < 900);
        CHECK(milliseconds_of_push(q, FLOW_LIGHT) >= 900);
        CHECK(milliseconds_of_push(q, FLOW_NONE) < 900);
        CHECK_INT(queue_waiting(q), 12);
        empty(q, &t);
}

static void a_light_delay_mark_of_0_holds_nobody(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 100);
        s.light_delay_mark = 0;
        struct queue *q = filled_queue(&t, &s, 99);
        CHECK(milliseconds_of_push(q, FLOW_LIGHT) < 900);
        empty(q, &t);
}

/* Some thousands of messages are what workers that are at it shall find in the processor's caches. */
static void a_sender_lets_a_worker_catch_up_a_moment_but_not_one_that_is_stuck(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 50000);
        struct queue *q = filled_queue(&t, &s, 0);
        for (int i = 0; i < 24; i++)
                push(q, 500, FLOW_NONE);
        CHECK(milliseconds_of_push(q, FLOW_FULL) >= 4);
        int64_t start_ns = clock_mono_ns();
        for (int i = 0; i < 400; i++)
                push(q, 1, i % 2 ? FLOW_FULL : FLOW_LIGHT);
        CHECK(clock_mono_ns() - start_ns < INT64_C(900000000));
        CHECK_INT(queue_waiting(q), 12401);
        empty(q, &t);
}

static void a_queue_of_one_message_takes_every_flow(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1);
        struct queue *q = queue_for(&t, &s);
        for (int i = 0; i < 20; i++)
                push(q, 3, i % 2 ? FLOW_FULL : FLOW_LIGHT);
        CHECK_INT(queue_stop(q), 0);
        CHECK(t.taken >= 30);
        queue_free(q);
}

static void a_mark_beyond_the_size_is_the_size(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        s.full_delay_mark = 1000;
        struct queue *q = filled_queue(&t, &s, 10);
        struct pusher p = {.queue = q};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, push_full_flow, &p) == 0);
        shut(&t, false);
        pthread_join(thread, NULL);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 61);
        queue_free(q);
}

static void an_enqueue_time_out_waits_before_it_discards(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 5);
        s.timeout_enqueue_ms = 120;
        struct queue *q = filled_queue(&t, &s, 5);
        CHECK(milliseconds_of_push(q, FLOW_NONE) >= 100);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_full), 1);
        CHECK(counter_get(&queue_counters(q)->full) > 0);
        empty(q, &t);
}

static void bytes_bound_a_queue_as_messages_do(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 1000000);
        s.bytes_max = 1;
        struct queue *q = filled_queue(&t, &s, 5);
        push(q, 5, FLOW_NONE);
        CHECK_INT(queue_waiting(q), 5);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_full), 5);
        empty(q, &t);
}

static void a_budget_is_shared_by_queues_and_given_back(void) {
        struct taker t, u;
        _owned_(budget_free) struct budget *budget = NULL;
        CHECK_INT(budget_new(&budget, 1 << 20), 0);
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 1000);
        struct queue *one = queue_for(&t, &s), *two = queue_for(&u, &s);
        queue_share_budget(one, budget);
        queue_share_budget(two, budget);
        shut(&t, true);
        push(one, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        CHECK_INT(budget_used(budget), 0);
        push(one, 100, FLOW_NONE);
        CHECK(budget_used(budget) > 0);
        uint64_t others = (1 << 20) - budget_used(budget);
        budget_take(budget, others);
        push(two, 10, FLOW_NONE);
        CHECK_INT(counter_get(&queue_counters(two)->discarded_full), 10);
        budget_give(budget, others);
        push(two, 10, FLOW_WITHIN);
        CHECK_INT(queue_stop(two), 0);
        CHECK_INT(u.taken, 10);
        shut(&t, false);
        CHECK_INT(queue_stop(one), 0);
        CHECK_INT(budget_used(budget), 0);
        queue_free(one);
        queue_free(two);
}

static void at_the_end_who_is_held_goes_on_and_nothing_is_discarded(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        struct queue *q = filled_queue(&t, &s, 10);
        struct pusher p = {.queue = q};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, push_full_flow, &p) == 0);
        queue_hold_no_more(q);
        pthread_join(thread, NULL);
        CHECK_INT(queue_waiting(q), 60);
        empty(q, &t);
        CHECK_INT(t.taken, 61);
}

static void sampling_lets_every_nth_message_in(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        s.sampling_interval = 4;
        struct queue *q = queue_for(&t, &s);
        push(q, 10, FLOW_NONE);
        push(q, 10, FLOW_NONE);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 5);
        queue_free(q);
}

static void severities_are_known_before_a_message_is_parsed(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 100);
        s.discard_mark = 1;
        s.discard_severity = 6;
        struct queue *q = filled_queue(&t, &s, 1);
        static const char *const lines[] = {"<15>debug", "<14>info", "<13>notice", "<8>emergency", "nothing", "<14"};
        struct batch *b = batch_new(pool, 0);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                batch_append(b, NULL)->raw = batch_store(b, text_of(lines[i]));
        queue_push(q, b, FLOW_NONE);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_mark), 3);
        empty(q, &t);
}

static void a_slow_queue_pauses_after_each_step(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        s.dequeue_batch_size = 1;
        s.dequeue_slowdown_us = 30000;
        struct queue *q = queue_for(&t, &s);
        int64_t start_ns = clock_mono_ns();
        push(q, 4, FLOW_NONE);
        pthread_mutex_lock(&t.lock);
        while (t.taken < 4)
                pthread_cond_wait(&t.changed, &t.lock);
        pthread_mutex_unlock(&t.lock);
        CHECK(clock_mono_ns() - start_ns >= 90000000);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);

        s.dequeue_slowdown_us = 3600000000;
        q = queue_for(&t, &s);
        push(q, 4, FLOW_NONE);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 4);
        queue_free(q);
}

static void a_minimum_batch_is_waited_for(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        s.min_dequeue_batch_size = 3;
        s.min_dequeue_batch_timeout_ms = 60000;
        struct queue *q = queue_for(&t, &s);
        for (int i = 0; i < 3; i++)
                push(q, 1, FLOW_NONE);
        pthread_mutex_lock(&t.lock);
        while (t.taken < 3)
                pthread_cond_wait(&t.changed, &t.lock);
        pthread_mutex_unlock(&t.lock);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);

        s.min_dequeue_batch_timeout_ms = 50;
        q = queue_for(&t, &s);
        push(q, 1, FLOW_NONE);
        pthread_mutex_lock(&t.lock);
        while (t.taken < 1)
                pthread_cond_wait(&t.changed, &t.lock);
        pthread_mutex_unlock(&t.lock);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);
}

/* The hours around now: with the window closed a queue keeps its messages, and a stop empties it all the same. */
static void a_time_window_holds_messages_until_it_opens(void) {
        struct taker t;
        time_t now = time(NULL);
        struct tm local;
        localtime_r(&now, &local);
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 1000);
        s.dequeue_time_begin = (local.tm_hour + 2) % 24;
        s.dequeue_time_end = (local.tm_hour + 3) % 24;
        struct queue *q = queue_for(&t, &s);
        push(q, 5, FLOW_NONE);
        sched_yield();
        CHECK_INT(queue_waiting(q), 5);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 5);
        queue_free(q);

        s.dequeue_time_begin = local.tm_hour;
        s.dequeue_time_end = (local.tm_hour + 2) % 24;
        q = queue_for(&t, &s);
        push(q, 5, FLOW_NONE);
        pthread_mutex_lock(&t.lock);
        while (t.taken < 5)
                pthread_cond_wait(&t.changed, &t.lock);
        pthread_mutex_unlock(&t.lock);
        CHECK_INT(queue_stop(q), 0);
        queue_free(q);
}

enum { CROWD_SENDERS = 4, CROWD_PUSHES = 300 };

static void *push_a_crowd(void *argument) {
        struct pusher *p = argument;
        static const enum flow flows[] = {FLOW_FULL, FLOW_LIGHT, FLOW_FULL};
        for (unsigned i = 0; i < CROWD_PUSHES; i++)
                push(p->queue, 1 + i % 5, flows[i % ARRAY_SIZE(flows)]);
        return NULL;
}

static void what_comes_after_the_stop_starts_nothing(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 10);
        struct queue *q = queue_for(&t, &s);
        CHECK_INT(queue_stop(q), 0);
        push(q, 3, FLOW_FULL);
        CHECK_INT(queue_unfinished(q), 0);
        CHECK_INT(counter_get(&queue_counters(q)->lost), 3);
        CHECK_INT(t.taken, 0);
        queue_free(q);
}

static void many_senders_and_workers_lose_nothing(void) {
        struct taker t;
        _owned_(budget_free) struct budget *budget = NULL;
        CHECK_INT(budget_new(&budget, 1 << 20), 0);
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 200);
        s.worker_threads = 4;
        s.worker_minimum_messages = 10;
        s.timeout_enqueue_ms = 60000;
        s.timeout_worker_ms = 1;
        struct queue *q = queue_for(&t, &s);
        queue_share_budget(q, budget);
        struct pusher p = {.queue = q};
        pthread_t senders[CROWD_SENDERS];
        for (int i = 0; i < CROWD_SENDERS; i++)
                CHECK(pthread_create(&senders[i], NULL, push_a_crowd, &p) == 0);
        for (int i = 0; i < CROWD_SENDERS; i++)
                pthread_join(senders[i], NULL);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, CROWD_SENDERS * CROWD_PUSHES * 3);
        CHECK_INT(counter_get(&queue_counters(q)->enqueued), t.taken);
        CHECK_INT(budget_used(budget), 0);
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

static struct buffer noticed;

static void note(struct observer *observer _unused_, enum notice what, const char *name, const char *detail) {
        buffer_format(&noticed, "%d %s %s\n", (int)what, name, detail);
}

static void an_observer_hears_when_it_is_full_and_when_it_has_drained(void) {
        static struct observer observer = {.tell = note};
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        s.timeout_enqueue_ms = 0;
        struct queue *q = queue_for(&t, &s);
        queue_observe(q, &observer);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 20, FLOW_NONE);
        shut(&t, false);
        queue_stop(q);
        _owned_(buffer_fini) struct buffer expected = {0};
        buffer_format(&expected, "%d %s messages\n%d %s \n", NOTICE_QUEUE_FULL, queue_name(q), NOTICE_QUEUE_DRAINED,
                      queue_name(q));
        CHECK_TEXT(buffer_as_text(&noticed), buffer_string(&expected));
        buffer_fini(&noticed);
        queue_free(q);
}

static void its_marks_change_while_it_runs(void) {
        struct taker t;
        struct queue_status status;
        struct queue_settings s = settings_of(QUEUE_FIXED_ARRAY, 10);
        s.timeout_enqueue_ms = 0;
        struct queue *q = queue_for(&t, &s);
        CHECK_INT(queue_set_mark(q, "size", 20), 0);
        CHECK_INT(queue_set_mark(q, "size", 0), -ERANGE);
        CHECK_INT(queue_set_mark(q, "colour", 1), -ENOENT);
        shut(&t, true);
        push(q, 1, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 20, FLOW_NONE);
        queue_status(q, &status);
        CHECK_INT(status.waiting, 20);
        CHECK_INT(status.working, 1);
        CHECK_INT(status.settings.size, 20);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.taken, 21);
        queue_free(q);
        pool = batch_pool_unref(pool);
}

/* What waits elsewhere goes before what waits here, and the end waits for it. */
static void a_ring_is_heard_before_the_next_batch_and_once(void) {
        struct taker t;
        struct queue_settings s = settings_of(QUEUE_LINKED_LIST, 100000);
        struct queue *q = queue_for(&t, &s);
        shut(&t, true);
        push(q, 3, FLOW_NONE);
        wait_until_taking(&t, 1);
        push(q, 5, FLOW_NONE);
        queue_ring(q);
        queue_ring(q);
        CHECK_INT(queue_unfinished(q), 3 + 5 + 1);
        shut(&t, false);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(t.rung, 1);
        CHECK_INT(t.taken_before_ring, 3);
        CHECK_INT(t.taken, 8);
        queue_free(q);
}

static void an_idle_queue_hears_a_ring(void) {
        const int types[] = {QUEUE_LINKED_LIST, QUEUE_DIRECT};
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                struct taker t;
                struct queue_settings s = settings_of(types[i], 100);
                struct queue *q = queue_for(&t, &s);
                queue_ring(q);
                CHECK_INT(queue_stop(q), 0);
                CHECK_INT(t.rung, 1);
                queue_free(q);
        }
}

TEST_MAIN(TEST(a_ring_is_heard_before_the_next_batch_and_once), TEST(an_idle_queue_hears_a_ring),
          TEST(everything_pushed_is_consumed_before_the_stop), TEST(a_direct_queue_consumes_at_once),
          TEST(a_full_queue_discards_what_exceeds_its_size_and_counts_it), TEST(small_batches_share_one_slab),
          TEST(who_waits_for_a_small_view_waits_for_its_copy), TEST(dequeue_batch_size_bounds_what_a_consumer_gets),
          TEST(unimportant_messages_go_first_above_the_discard_mark),
          TEST(a_sender_with_flow_control_waits_and_loses_nothing), TEST(more_workers_come_when_there_is_enough_to_do),
          TEST(above_the_light_delay_mark_a_sender_is_held_a_while),
          TEST(a_sender_lets_a_worker_catch_up_a_moment_but_not_one_that_is_stuck),
          TEST(a_light_delay_mark_of_0_holds_nobody), TEST(a_queue_of_one_message_takes_every_flow),
          TEST(a_mark_beyond_the_size_is_the_size), TEST(an_enqueue_time_out_waits_before_it_discards),
          TEST(bytes_bound_a_queue_as_messages_do), TEST(a_budget_is_shared_by_queues_and_given_back),
          TEST(at_the_end_who_is_held_goes_on_and_nothing_is_discarded), TEST(sampling_lets_every_nth_message_in),
          TEST(severities_are_known_before_a_message_is_parsed), TEST(a_slow_queue_pauses_after_each_step),
          TEST(a_minimum_batch_is_waited_for), TEST(a_time_window_holds_messages_until_it_opens),
          TEST(what_comes_after_the_stop_starts_nothing), TEST(many_senders_and_workers_lose_nothing),
          TEST(a_stop_is_bounded_and_tells_what_was_left),
          TEST(an_observer_hears_when_it_is_full_and_when_it_has_drained), TEST(its_marks_change_while_it_runs))
