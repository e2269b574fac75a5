/* The modes of queues that stand on the disk, with the real store in a directory of their own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "io/file.h"
#include "io/test_place.h"
#include "queue/dead.h"
#include "queue/queue.h"
#include "queue/store.h"

enum { NUMBERS_MAX = 1 << 18 };

/* A consumer that can be made to wait, to leave something, or to be slow; it remembers the numbers it got. */
struct taker {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_shut, is_hurried;
        uint32_t takes_then_leaves; /* with is_hurried: so many in all, then none */
        bool announces;             /* attempt(): a delay */
        uint32_t attempt_takes;     /* attempt(): no more than so many at once */
        bool holds_attempts;        /* each lasts until release_attempts() */
        unsigned attempts, inside;
        bool forwards; /* keeps a view of each batch in `held` */
        struct batch *held[64];
        unsigned held_count;
        struct queue *next; /* hands all on there */
        uint32_t numbers[NUMBERS_MAX];
        size_t count;
};

static struct batch_pool *pool;
static struct queue_place place;
static const struct pack_names names;
static struct taker taker;
static struct queue_settings settings;
static struct buffer said;
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

static void hear(struct reporter *reporter _unused_, enum severity severity _unused_, int code, const char *line) {
        pthread_mutex_lock(&said_lock);
        buffer_format(&said, "%d %s\n", code, line);
        pthread_mutex_unlock(&said_lock);
}

static int times_said(const char *words) {
        int times = 0;
        pthread_mutex_lock(&said_lock);
        for (const char *at = buffer_string(&said); at && (at = strstr(at, words)); at++)
                times++;
        pthread_mutex_unlock(&said_lock);
        return times;
}

static struct reporter listener = {.emit = hear};

static void note(struct taker *t, const struct batch *b, uint32_t first, uint32_t count) {
        for (uint32_t i = first; i < first + count; i++) {
                int64_t number;
                CHECK_INT(text_to_int(batch_text(b, b->records[i].raw), &number), 0);
                t->numbers[t->count++] = (uint32_t)number;
        }
}

static struct batch *view_of(struct batch *b, uint32_t first, uint32_t count) {
        uint16_t selection[BATCH_RECORDS_MAX];
        for (uint32_t i = 0; i < count; i++)
                selection[i] = (uint16_t)(first + i);
        return batch_view(b, selection, count);
}

static uint32_t take(void *consumer, unsigned worker _unused_, struct batch *b, uint32_t first, uint32_t count) {
        struct taker *t = consumer;
        pthread_mutex_lock(&t->lock);
        t->inside++;
        pthread_cond_broadcast(&t->changed);
        while (t->is_shut && !t->is_hurried)
                pthread_cond_wait(&t->changed, &t->lock);
        if (t->is_shut) {
                uint32_t left = t->takes_then_leaves > t->count ? t->takes_then_leaves - (uint32_t)t->count : 0;
                count = MIN(count, left);
        }
        note(t, b, first, count);
        if (t->forwards)
                t->held[t->held_count++] = view_of(b, first, count);
        struct queue *next = t->next;
        t->inside--;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
        if (next)
                queue_push(next, view_of(b, first, count), FLOW_WITHIN);
        return count;
}

static uint32_t attempt(void *consumer, struct batch *b, uint32_t first, uint32_t count, bool *will_delay) {
        struct taker *t = consumer;
        pthread_mutex_lock(&t->lock);
        t->attempts++;
        pthread_cond_broadcast(&t->changed);
        while (t->holds_attempts)
                pthread_cond_wait(&t->changed, &t->lock);
        if (t->attempt_takes)
                count = MIN(count, t->attempt_takes);
        note(t, b, first, count);
        *will_delay = t->announces;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
        return count;
}

static void hurry(void *consumer) {
        struct taker *t = consumer;
        pthread_mutex_lock(&t->lock);
        t->is_hurried = true;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
}

static void shut(bool is_shut) {
        pthread_mutex_lock(&taker.lock);
        taker.is_shut = is_shut;
        taker.is_hurried = false;
        pthread_cond_broadcast(&taker.changed);
        pthread_mutex_unlock(&taker.lock);
}

static void release_attempts(void) {
        pthread_mutex_lock(&taker.lock);
        taker.holds_attempts = false;
        pthread_cond_broadcast(&taker.changed);
        pthread_mutex_unlock(&taker.lock);
}

static void wait_until_inside(unsigned workers) {
        pthread_mutex_lock(&taker.lock);
        while (taker.inside < workers)
                pthread_cond_wait(&taker.changed, &taker.lock);
        pthread_mutex_unlock(&taker.lock);
}

static void wait_for(size_t count) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 20;
        pthread_mutex_lock(&taker.lock);
        int r = 0;
        while (taker.count < count && r == 0)
                r = pthread_cond_timedwait(&taker.changed, &taker.lock, &until);
        size_t found = taker.count;
        pthread_mutex_unlock(&taker.lock);
        CHECK(found >= count);
}

/* Everything begins anew, with an empty directory. */
static void begin(int type) {
        test_place();
        if (!pool)
                CHECK_INT(batch_pool_new(&pool), 0);
        place = (struct queue_place){.work_directory = test_place_directory, .pool = pool, .names = &names};
        static char file_name[] = "q";
        settings = (struct queue_settings){.type = type,
                                           .size = 100000,
                                           .worker_threads = 1,
                                           .worker_minimum_messages = -1,
                                           .full_delay_mark = -1,
                                           .light_delay_mark = -1,
                                           .high_watermark = -1,
                                           .low_watermark = -1,
                                           .discard_mark = -1,
                                           .discard_severity = 8,
                                           .dequeue_time_end = 25,
                                           .timeout_shutdown_ms = 0,
                                           .timeout_action_completion_ms = 5000,
                                           .timeout_enqueue_ms = 50,
                                           .timeout_worker_ms = 60000,
                                           .file_name = file_name,
                                           .file_bytes_max = 1 << 20,
                                           .syncs_files = true,
                                           .delay_threshold_ms = 5000};
        memset(&taker, 0, sizeof taker);
        pthread_mutex_init(&taker.lock, NULL);
        pthread_cond_init(&taker.changed, NULL);
        buffer_clear(&said);
}

static struct queue *opened_for(struct taker *t) {
        struct queue *q;
        struct queue_consumer consumer = {.consume = take, .attempt = attempt, .hurry = hurry, .consumer = t};
        CHECK_INT(queue_new(&q, "test", &settings, consumer, &listener), 0);
        CHECK_INT(queue_open(q, &place), 0);
        CHECK_INT(queue_start(q), 0);
        return q;
}

static struct queue *opened(void) {
        return opened_for(&taker);
}

static uint64_t ended(struct queue *q) {
        queue_hold_no_more(q);
        uint64_t lost = queue_stop(q);
        queue_free(q);
        return lost;
}

static struct batch *numbered(uint32_t first, uint32_t count) {
        struct batch *b = batch_new(pool, 0);
        for (uint32_t i = 0; i < count; i++) {
                char text[16];
                int size = snprintf(text, sizeof text, "%u", first + i);
                struct record *r = batch_append(b, NULL);
                r->raw = batch_store(b, (struct text){text, (size_t)size});
        }
        return b;
}

static void push(struct queue *q, uint32_t first, uint32_t count) {
        queue_push(q, numbered(first, count), FLOW_FULL);
}

static void check_order(size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
                CHECK_INT(taker.numbers[i], i);
}

/* Acknowledgements: what was told, and waiting for it. */
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static unsigned done_count, lost_count;

static void note_done(void *input _unused_, uint64_t cookie _unused_) {
        pthread_mutex_lock(&told_lock);
        done_count++;
        pthread_cond_broadcast(&told);
        pthread_mutex_unlock(&told_lock);
}

static void note_lost(void *input _unused_, uint64_t cookie _unused_) {
        pthread_mutex_lock(&told_lock);
        lost_count++;
        pthread_mutex_unlock(&told_lock);
}

static struct batch *waited_for(uint32_t first, uint32_t count) {
        struct batch *b = numbered(first, count);
        done_count = lost_count = 0;
        CHECK_INT(batch_acknowledge(b, (struct acknowledgement){.done = note_done, .lost = note_lost}), 0);
        return b;
}

static void wait_until_told(void) {
        pthread_mutex_lock(&told_lock);
        while (!done_count)
                pthread_cond_wait(&told, &told_lock);
        pthread_mutex_unlock(&told_lock);
}

/* ---- Disk ------------------------------------------------------------------ */

static void a_disk_queue_keeps_the_order_whether_memory_or_disk_has_it(void) {
        begin(QUEUE_DISK);
        struct queue *q = opened();
        shut(true);
        for (uint32_t i = 0; i < 200; i++)
                push(q, i * 100, 100); /* more than is kept in memory */
        CHECK(queue_waiting(q) >= 200 * 100 - 100);
        shut(false);
        wait_for(200 * 100);
        for (uint32_t i = 200; i < 400; i++)
                push(q, i * 100, 100);
        wait_for(400 * 100);
        check_order(0, 400 * 100);
        settings.timeout_shutdown_ms = 5000;
        CHECK_INT(ended(q), 0);
}

static void a_sender_is_told_when_it_is_durable_not_when_it_is_delivered(void) {
        begin(QUEUE_DISK);
        struct queue *q = opened();
        shut(true);
        queue_push(q, waited_for(0, 3), FLOW_FULL);
        wait_until_told();
        CHECK_INT(taker.count, 0);
        shut(false);
        wait_for(3);
        CHECK_INT(ended(q), 0);
        CHECK_INT(done_count, 1);
        CHECK_INT(lost_count, 0);
}

static void what_a_stop_leaves_comes_first_after_the_next_start(void) {
        begin(QUEUE_SEGMENTED_DISK);
        struct queue *q = opened();
        shut(true);
        push(q, 0, 10);
        push(q, 10, 10);
        CHECK_INT(ended(q), 0);
        CHECK_INT(taker.count, 0);
        q = opened();
        push(q, 20, 10);
        shut(false);
        wait_for(30);
        check_order(0, 30);
        CHECK_INT(ended(q), 0);
        q = opened();
        CHECK_INT(queue_unfinished(q), 0);
        CHECK_INT(ended(q), 0);
}

static void what_was_delivered_of_a_batch_before_the_stop_does_not_come_again(void) {
        begin(QUEUE_DISK);
        struct queue *q = opened();
        shut(true);
        taker.takes_then_leaves = 4;
        push(q, 0, 10);
        wait_until_inside(1);
        CHECK_INT(ended(q), 0);
        CHECK_INT(taker.count, 4);
        q = opened();
        shut(false);
        wait_for(10);
        check_order(0, 10);
        CHECK_INT(ended(q), 0);
}

static void a_message_is_complete_with_its_last_holder(void) {
        begin(QUEUE_DISK);
        taker.forwards = true;
        struct queue *q = opened();
        push(q, 0, 5);
        wait_for(5);
        push(q, 5, 5);
        wait_for(10);
        queue_hold_no_more(q);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(taker.held_count, 2);
        batch_unref(taker.held[0]);
        batch_lose(taker.held[1]);
        batch_unref(taker.held[1]);
        queue_free(q);
        taker.forwards = false;
        q = opened();
        wait_for(15);
        CHECK_INT(taker.numbers[10], 5);
        CHECK_INT(ended(q), 0);
}

static void what_a_durable_queue_handed_on_is_never_discarded(void) {
        begin(QUEUE_DISK);
        static struct taker end;
        memset(&end, 0, sizeof end);
        pthread_mutex_init(&end.lock, NULL);
        pthread_cond_init(&end.changed, NULL);
        end.is_shut = true;
        static struct queue_settings small;
        small = settings;
        small.type = QUEUE_LINKED_LIST;
        small.file_name = NULL;
        small.size = 5;
        small.timeout_enqueue_ms = 0;
        small.timeout_shutdown_ms = 5000;
        struct queue_consumer consumer = {.consume = take, .hurry = hurry, .consumer = &end};
        CHECK_INT(queue_new(&taker.next, "next", &small, consumer, &listener), 0);
        CHECK_INT(queue_start(taker.next), 0);
        struct queue *q = opened();
        for (uint32_t i = 0; i < 50; i++)
                push(q, i, 1);
        wait_for(6); /* five wait, one is in work */
        pthread_mutex_lock(&end.lock);
        end.is_shut = false;
        pthread_cond_broadcast(&end.changed);
        pthread_mutex_unlock(&end.lock);
        wait_for(50);
        CHECK_INT(counter_get(&queue_counters(taker.next)->discarded_full), 0);
        queue_hold_no_more(q);
        queue_hold_no_more(taker.next);
        CHECK_INT(queue_stop(q), 0);
        CHECK_INT(queue_stop(taker.next), 0);
        CHECK_INT(end.count, 50);
        queue_free(taker.next);
        queue_free(q);
}

static void *push_late(void *queue) {
        push(queue, 1000000, 10);
        return NULL;
}

static void a_full_disk_holds_who_can_wait_and_discards_from_who_cannot(void) {
        begin(QUEUE_DISK);
        settings.disk_bytes_max = 2 << 20;
        struct queue *q = opened();
        shut(true);
        uint32_t pushed = 0;
        while (counter_get(&queue_counters(q)->discarded_full) == 0 && pushed < NUMBERS_MAX / 2) {
                queue_push(q, numbered(pushed, 1000), FLOW_NONE);
                pushed += 1000;
        }
        CHECK(counter_get(&queue_counters(q)->discarded_full) > 0);
        pthread_mutex_lock(&said_lock);
        CHECK(text_find(buffer_as_text(&said), TEXT("cannot write to its disk")) >= 0);
        pthread_mutex_unlock(&said_lock);
        pthread_t sender;
        CHECK_INT(pthread_create(&sender, NULL, push_late, q), 0);
        shut(false);
        pthread_join(sender, NULL);
        size_t expected = pushed - counter_get(&queue_counters(q)->discarded_full) + 10;
        wait_for(expected);
        CHECK_INT(taker.numbers[expected - 1], 1000009);
        CHECK_INT(ended(q), 0);
}

static void what_waits_in_memory_and_finds_no_room_when_the_disk_opens_is_told_as_lost(void) {
        begin(QUEUE_DISK);
        settings.disk_bytes_max = 2 << 20;
        settings.size = NUMBERS_MAX;
        struct queue *q;
        struct queue_consumer consumer = {.consume = take, .hurry = hurry, .consumer = &taker};
        CHECK_INT(queue_new(&q, "test", &settings, consumer, &listener), 0);
        CHECK_INT(queue_start(q), 0);
        shut(true);
        for (uint32_t pushed = 0; pushed < NUMBERS_MAX / 2; pushed += 1000)
                push(q, pushed, 1000);
        queue_push(q, waited_for(1000000, 1000), FLOW_FULL);
        CHECK_INT(queue_open(q, &place), 0);
        CHECK(counter_get(&queue_counters(q)->discarded_full) >= 1000);
        CHECK_INT(lost_count, 1);
        CHECK_INT(done_count, 0);
        shut(false);
        CHECK_INT(ended(q), 0);
}

static void without_a_file_name_a_disk_queue_is_a_list(void) {
        begin(QUEUE_DISK);
        settings.file_name = NULL;
        struct queue *q = opened();
        CHECK(!queue_is_durable(q));
        CHECK(text_starts(buffer_as_text(&said), TEXT("2328 error on queue 'test', disk mode selected, but no queue "
                                                      "file name given; queue type changed to 'linkedList'")));
        push(q, 0, 3);
        wait_for(3);
        CHECK_INT(ended(q), 0);
}

static void a_queue_that_has_no_place_says_so_and_works_in_memory(void) {
        begin(QUEUE_DISK);
        place.work_directory = "/nowhere/at/all";
        struct queue *q;
        struct queue_consumer consumer = {.consume = take, .hurry = hurry, .consumer = &taker};
        CHECK_INT(queue_new(&q, "test", &settings, consumer, &listener), 0);
        CHECK(queue_open(q, &place) < 0);
        CHECK(text_find(buffer_as_text(&said), TEXT("keeps its messages in memory alone")) >= 0);
        CHECK_INT(queue_start(q), 0);
        push(q, 0, 3);
        wait_for(3);
        CHECK_INT(ended(q), 0);
}

static void *push_many(void *queue) {
        for (uint32_t i = 0; i < 300; i++)
                push(queue, i, 1 + i % 40);
        return NULL;
}

static void many_senders_and_workers_lose_nothing_over_the_disk(void) {
        begin(QUEUE_DISK);
        settings.worker_threads = 3;
        settings.worker_minimum_messages = 1;
        settings.timeout_shutdown_ms = 10000;
        settings.syncs_files = false;
        struct queue *q = opened();
        pthread_t senders[4];
        size_t each = 0;
        for (uint32_t i = 0; i < 300; i++)
                each += 1 + i % 40;
        for (int i = 0; i < 4; i++)
                CHECK_INT(pthread_create(&senders[i], NULL, push_many, q), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(senders[i], NULL);
        wait_for(each * 4);
        CHECK_INT(ended(q), 0);
        CHECK_INT(taker.count, each * 4);
}

static void write_key(const char *path) {
        FILE *file = fopen(path, "w");
        CHECK(file);
        for (int i = 0; i < 32; i++)
                fputs("a7", file);
        CHECK(fclose(file) == 0);
        CHECK(chmod(path, 0600) == 0);
}

static void an_encrypted_compressed_chained_queue_comes_back_after_a_restart(void) {
        begin(QUEUE_DISK);
        static char key[256];
        snprintf(key, sizeof key, "%s", test_place_path("key"));
        write_key(key);
        settings.crypto_provider = (char *)"ossl";
        settings.crypto_key_file = key;
        settings.compression = QUEUE_ZSTD;
        settings.is_chained = true;
        struct queue *q = opened();
        shut(true);
        for (uint32_t i = 0; i < 20; i++)
                push(q, i * 50, 50);
        CHECK_INT(ended(q), 0);
        q = opened();
        shut(false);
        wait_for(1000);
        check_order(0, 1000);
        CHECK_INT(ended(q), 0);
}

static void what_cannot_be_encrypted_is_not_written(void) {
        begin(QUEUE_DISK);
        settings.crypto_provider = (char *)"gcry";
        struct queue *q;
        struct queue_consumer consumer = {.consume = take, .hurry = hurry, .consumer = &taker};
        CHECK_INT(queue_new(&q, "test", &settings, consumer, &listener), 0);
        CHECK_INT(queue_open(q, &place), -ENOKEY);
        CHECK(text_find(buffer_as_text(&said), TEXT("queue.cry.provider needs a key")) >= 0);
        CHECK(!queue_is_durable(q));
        queue_free(q);
}

/* ---- Disk-assisted ------------------------------------------------------------ */

static void above_the_high_watermark_the_oldest_go_to_disk_and_the_order_stays(void) {
        begin(QUEUE_LINKED_LIST);
        settings.size = 1000;
        settings.high_watermark = 500;
        settings.low_watermark = 100;
        struct queue *q = opened();
        shut(true);
        for (uint32_t i = 0; i < 1000; i++)
                push(q, i * 10, 10);
        CHECK_INT(counter_get(&queue_counters(q)->discarded_full), 0);
        CHECK(queue_waiting(q) > 9000);
        shut(false);
        wait_for(10000);
        check_order(0, 10000);
        CHECK_INT(counter_get(&queue_counters(q)->enqueued), 10000);
        CHECK_INT(ended(q), 0);
}

static void what_spilled_is_there_after_a_restart_and_the_list_when_it_is_saved(void) {
        for (int saves = 0; saves <= 1; saves++) {
                begin(QUEUE_FIXED_ARRAY);
                settings.size = 100;
                settings.high_watermark = 50;
                settings.low_watermark = 10;
                settings.saves_on_shutdown = saves;
                struct queue *q = opened();
                shut(true);
                for (uint32_t i = 0; i < 500; i++)
                        push(q, i, 1);
                uint64_t lost = ended(q);
                CHECK_INT(taker.count, 0);
                if (saves)
                        CHECK_INT(lost, 0);
                else
                        CHECK(lost <= 200);
                q = opened();
                shut(false);
                wait_for(500 - lost);
                CHECK_INT(taker.count, 500 - lost);
                if (saves)
                        check_order(0, 500);
                CHECK_INT(ended(q), 0);
        }
}

static void a_list_that_is_lost_at_the_stop_is_told_so(void) {
        begin(QUEUE_LINKED_LIST);
        struct queue *q = opened();
        shut(true);
        push(q, 0, 1);
        queue_push(q, waited_for(1, 100), FLOW_FULL);
        CHECK(ended(q) >= 100);
        CHECK_INT(done_count, 0);
        CHECK_INT(lost_count, 1);
}

static void several_workers_empty_the_disk_part(void) {
        begin(QUEUE_LINKED_LIST);
        settings.size = 200;
        settings.high_watermark = 100;
        settings.low_watermark = 20;
        settings.worker_threads = 3;
        settings.worker_minimum_messages = 10;
        settings.timeout_shutdown_ms = 10000;
        struct queue *q = opened();
        shut(true);
        for (uint32_t i = 0; i < 500; i++)
                push(q, i * 10, 10);
        wait_until_inside(3);
        shut(false);
        wait_for(5000);
        CHECK_INT(ended(q), 0);
        CHECK_INT(taker.count, 5000);
}

/* ---- Delay -------------------------------------------------------------------- */

static void a_quick_action_never_touches_the_disk(void) {
        begin(QUEUE_DELAY);
        struct queue *q = opened();
        for (uint32_t i = 0; i < 20; i++) {
                push(q, i, 1);
                CHECK_INT(taker.count, i + 1); /* on this very thread */
        }
        CHECK_INT(taker.attempts, 20);
        CHECK_INT(ended(q), 0);
}

static void an_announced_delay_puts_the_disk_between_until_it_has_drained(void) {
        begin(QUEUE_DELAY);
        struct queue *q = opened();
        shut(true);
        taker.announces = true;
        push(q, 0, 2);
        CHECK_INT(taker.count, 2);
        taker.announces = false;
        queue_push(q, waited_for(2, 2), FLOW_FULL);
        push(q, 4, 2);
        CHECK_INT(taker.attempts, 1);
        wait_until_told();
        CHECK_INT(taker.count, 2);
        shut(false);
        wait_for(6);
        /* Back on the direct way, once the worker has let go. */
        uint32_t next = 6;
        for (int i = 0; i < 5000 && taker.attempts == 1; i++) {
                push(q, next++, 1);
                wait_for(next);
        }
        CHECK(taker.attempts > 1);
        check_order(0, next);
        CHECK_INT(ended(q), 0);
}

static void what_an_attempt_leaves_goes_ahead_of_what_comes_later(void) {
        begin(QUEUE_DELAY);
        struct queue *q = opened();
        shut(true);
        taker.attempt_takes = 3;
        push(q, 0, 10);
        CHECK_INT(taker.count, 3);
        push(q, 10, 10);
        shut(false);
        wait_for(20);
        check_order(0, 20);
        CHECK_INT(ended(q), 0);
}

static void *push_first(void *queue) {
        push(queue, 0, 10);
        return NULL;
}

static void nobody_waits_longer_than_the_threshold_for_a_slow_action(void) {
        begin(QUEUE_DELAY);
        settings.delay_threshold_ms = 20;
        taker.holds_attempts = true;
        taker.attempt_takes = 5;
        struct queue *q = opened();
        pthread_t first;
        CHECK_INT(pthread_create(&first, NULL, push_first, q), 0);
        pthread_mutex_lock(&taker.lock);
        while (!taker.attempts)
                pthread_cond_wait(&taker.changed, &taker.lock);
        pthread_mutex_unlock(&taker.lock);
        push(q, 10, 10); /* comes back while the action is still at it */
        CHECK_INT(taker.count, 0);
        release_attempts();
        pthread_join(first, NULL);
        wait_for(20);
        check_order(0, 20);
        CHECK_INT(taker.attempts, 1);
        CHECK_INT(ended(q), 0);
}

static void a_delayed_backlog_survives_a_restart_and_comes_first(void) {
        begin(QUEUE_DELAY);
        struct queue *q = opened();
        shut(true);
        taker.attempt_takes = 1;
        push(q, 0, 5);
        push(q, 5, 5);
        CHECK_INT(ended(q), 0);
        q = opened();
        push(q, 10, 5);
        CHECK_INT(taker.attempts, 1);
        shut(false);
        wait_for(15);
        check_order(0, 15);
        CHECK_INT(ended(q), 0);
}

/* ---- A backlog that cannot be read ------------------------------------------------ */

static void use_key(char letter) {
        static char path[600];
        char key[33] = {0};
        memset(key, letter, sizeof key - 1);
        snprintf(path, sizeof path, "%s", test_place_path("key"));
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(fd >= 0);
        CHECK_INT(file_write_all(fd, key, sizeof key - 1), 0);
        close(fd);
        settings.encryption_key_file = path;
}

static void a_backlog_with_another_key_is_told_and_waits_without_spinning(void) {
        begin(QUEUE_DISK);
        use_key('a');
        shut(true);
        struct queue *q = opened();
        push(q, 0, 5);
        CHECK_INT(ended(q), 0);
        use_key('b');
        shut(false);
        q = opened();
        clock_t cpu = clock();
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL); /* what it does with its time is asked */
        CHECK((clock() - cpu) * 1000 / CLOCKS_PER_SEC < 250);
        CHECK_INT(taker.count, 0);
        CHECK_INT(ended(q), 0);
        CHECK(strstr(buffer_string(&said), "encrypted with another key"));
        use_key('a');
        q = opened();
        wait_for(5);
        check_order(0, 5);
        CHECK_INT(ended(q), 0);
        settings.encryption_key_file = NULL;
}

/* ---- Dead letters ---------------------------------------------------------------- */

static void a_buried_message_is_on_disk_with_its_reason(void) {
        begin(QUEUE_DISK);
        struct queue *q = opened();
        struct batch *b = numbered(7, 3);
        const struct death why = {.action = "far", .reason = "refused by the destination", .error = EINVAL};
        static const uint16_t rows[] = {1};
        size_t buried;
        CHECK_INT(queue_bury(q, b, rows, 1, &why, &buried), 0);
        CHECK_INT(buried, 1);
        batch_unref(b);
        CHECK_INT(ended(q), 0);
        struct store *s;
        struct store_options options = {.directory = test_place_path("q.dead"), .name = "test"};
        CHECK_INT(store_open(&s, &options, &listener), 0);
        struct store_frame frame;
        CHECK_INT(store_lease(s, &frame), 0);
        CHECK_INT(unpack_records(&b, pool, (struct text){frame.payload, frame.size}, 0, &names), 0);
        free(frame.payload);
        CHECK_INT(b->count, 1);
        CHECK_TEXT(batch_text(b, b->records[0].raw), "8");
        struct json *dead = json_get(b->records[0].tree[TREE_LOCAL], TEXT("dead"));
        CHECK_TEXT(json_get(dead, TEXT("reason"))->string, "refused by the destination");
        CHECK_TEXT(json_get(dead, TEXT("action"))->string, "far");
        CHECK_INT(json_get(dead, TEXT("errno"))->integer, EINVAL);
        CHECK(json_get(dead, TEXT("time"))->integer > 0);
        batch_unref(b);
        CHECK_INT(store_close(s), 0);
}

static void what_keeps_dead_letters_from_their_place_is_told_once_until_it_changes(void) {
        begin(QUEUE_DISK);
        struct dead *dead;
        int r = queue_new_dead(&dead, "far", &settings, &place, 1 << 20, &listener);
        CHECK_INT(r, 0);
        struct batch *b = numbered(7, 3);
        static const uint16_t rows[] = {1};
        const struct death why = {.action = "far", .reason = "refused by the destination"};
        size_t buried;
        int file = open(test_place_path("far.dead"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        CHECK(file >= 0);
        close(file);
        for (int i = 0; i < 3; i++)
                CHECK_INT(dead_bury(dead, b, rows, 1, &why, &buried), -ENOTDIR);
        CHECK_INT(times_said("the queue cannot be opened"), 1);
        CHECK_INT(times_said("bounded by deadLetter.maxDiskSpace"), 1);
        CHECK_INT(unlink(test_place_path("far.dead")), 0);
        CHECK_INT(symlink("elsewhere", test_place_path("far.dead")), 0);
        CHECK(dead_bury(dead, b, rows, 1, &why, &buried) < 0);
        CHECK_INT(times_said("the queue cannot be opened"), 2);
        CHECK_INT(times_said("bounded by deadLetter.maxDiskSpace"), 2);
        CHECK_INT(unlink(test_place_path("far.dead")), 0);
        CHECK_INT(dead_bury(dead, b, rows, 1, &why, &buried), 0);
        batch_unref(b);
        dead_close(dead);
        CHECK_INT(ended(opened()), 0);
}

static void no_dead_letter_no_store(void) {
        begin(QUEUE_DISK);
        CHECK_INT(ended(opened()), 0);
        struct stat facts;
        CHECK(stat(test_place_path("q.dead"), &facts) < 0);
        CHECK(stat(test_place_path("q.store"), &facts) == 0);
}

static void a_queue_in_memory_has_no_dead_letters(void) {
        begin(QUEUE_LINKED_LIST);
        settings.file_name = NULL;
        struct queue *q = opened();
        struct batch *b = numbered(0, 1);
        static const uint16_t rows[] = {0};
        size_t buried;
        CHECK_INT(queue_bury(q, b, rows, 1, &(struct death){.reason = "x"}, &buried), -ENODEV);
        batch_unref(b);
        CHECK_INT(ended(q), 0);
        pool = batch_pool_unref(pool);
        buffer_fini(&said);
}

TEST_MAIN(TEST(a_disk_queue_keeps_the_order_whether_memory_or_disk_has_it),
          TEST(a_sender_is_told_when_it_is_durable_not_when_it_is_delivered),
          TEST(what_a_stop_leaves_comes_first_after_the_next_start),
          TEST(what_was_delivered_of_a_batch_before_the_stop_does_not_come_again),
          TEST(a_message_is_complete_with_its_last_holder), TEST(what_a_durable_queue_handed_on_is_never_discarded),
          TEST(a_full_disk_holds_who_can_wait_and_discards_from_who_cannot),
          TEST(what_waits_in_memory_and_finds_no_room_when_the_disk_opens_is_told_as_lost),
          TEST(without_a_file_name_a_disk_queue_is_a_list), TEST(a_queue_that_has_no_place_says_so_and_works_in_memory),
          TEST(many_senders_and_workers_lose_nothing_over_the_disk),
          TEST(an_encrypted_compressed_chained_queue_comes_back_after_a_restart),
          TEST(what_cannot_be_encrypted_is_not_written),
          TEST(above_the_high_watermark_the_oldest_go_to_disk_and_the_order_stays),
          TEST(what_spilled_is_there_after_a_restart_and_the_list_when_it_is_saved),
          TEST(a_list_that_is_lost_at_the_stop_is_told_so), TEST(several_workers_empty_the_disk_part),
          TEST(a_quick_action_never_touches_the_disk),
          TEST(an_announced_delay_puts_the_disk_between_until_it_has_drained),
          TEST(what_an_attempt_leaves_goes_ahead_of_what_comes_later),
          TEST(nobody_waits_longer_than_the_threshold_for_a_slow_action),
          TEST(a_delayed_backlog_survives_a_restart_and_comes_first), TEST(a_buried_message_is_on_disk_with_its_reason),
          TEST(a_backlog_with_another_key_is_told_and_waits_without_spinning), TEST(no_dead_letter_no_store),
          TEST(what_keeps_dead_letters_from_their_place_is_told_once_until_it_changes),
          TEST(a_queue_in_memory_has_no_dead_letters))
