/* Deliveries behind durable queues: what was accepted is delivered, among the dead letters, or comes again. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json.h"
#include "delivery/delivery.h"
#include "io/test_place.h"
#include "queue/store.h"

/* A destination that is away, refuses, or takes; it remembers what it got. */
struct destination {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_away;
        const char *poison;
        unsigned refuses;      /* it is away so many times more */
        unsigned breaks_after; /* so many transactions are gone before their commit */
        enum verdict done;     /* what it says when all is well */
        unsigned tries;
        size_t handed; /* rows, each as often as it was */
        char got[4096], open[4096];
        size_t got_size, open_size;
};

static bool is_away(struct destination *d) {
        bool once_more = d->refuses > 0;
        d->refuses -= once_more;
        return d->is_away || once_more;
}

static enum verdict begin_transaction(void *instance) {
        struct destination *d = instance;
        pthread_mutex_lock(&d->lock);
        d->tries++;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
        d->open_size = 0;
        return is_away(d) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static struct outcome deliver(void *instance, const struct work *work) {
        struct destination *d = instance;
        if (d->is_away)
                return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .error = ECONNREFUSED};
        d->handed += work->count;
        for (size_t i = 0; i < work->count; i++) {
                struct text row = work->column[0][i];
                if (d->poison && text_find(row, text_of(d->poison)) >= 0)
                        return (struct outcome){.verdict = DELIVER_REFUSED, .taken = i, .error = EINVAL};
                memcpy(d->open + d->open_size, row.data, row.size);
                d->open_size += row.size;
        }
        return (struct outcome){.verdict = d->done, .taken = work->count};
}

static enum verdict commit(void *instance) {
        struct destination *d = instance;
        pthread_mutex_lock(&d->lock);
        enum verdict verdict = DELIVER_DONE;
        if (d->breaks_after) {
                d->breaks_after--;
                verdict = DELIVER_UNAVAILABLE;
        } else {
                memcpy(d->got + d->got_size, d->open, d->open_size);
                d->got_size += d->open_size;
        }
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
        return verdict;
}

static enum verdict resume(void *instance) {
        struct destination *d = instance;
        return is_away(d) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static int columns(const void *settings _unused_, const void *module_settings _unused_, struct work_format *format) {
        format[0] = (struct work_format){.dflt = "plain", .ends_with_lf = true};
        return 1;
}

static int open_destination(void **ret, const struct output_host *host _unused_, const void *settings) {
        *ret = (void *)settings;
        return 0;
}

static void close_destination(void *instance _unused_) {
}

static const struct output_ops ops = {.columns = columns,
                                      .open = open_destination,
                                      .begin = begin_transaction,
                                      .deliver = deliver,
                                      .commit = commit,
                                      .resume = resume,
                                      .close = close_destination};
static const struct module fake = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omfake", .output = &ops};

/* ---- Around it --------------------------------------------------------------- */

static struct template *plain;
static struct batch_pool *pool;
static struct queue_settings settings;
static struct action_settings action;
static struct queue_place place;
static int dead_letters;
static uint64_t dead_letter_bytes;
static atomic_uint told, told_lost; /* senders who waited */
static struct destination destination;
static const struct pack_names names;

static const struct template *find_plain(void *owner _unused_, const char *name _unused_) {
        static const struct template_def def = {
                .name = "plain", .kind = TEMPLATE_STRING, .string = {"%msg%\n", sizeof "%msg%\n" - 1}};
        if (!plain && template_new(&plain, &def, NULL))
                return NULL;
        return plain;
}

static void begin(int type, int64_t retries) {
        static char file_name[] = "q";
        test_place();
        if (!pool)
                CHECK_INT(batch_pool_new(&pool), 0);
        place = (struct queue_place){.work_directory = test_place_directory, .pool = pool, .names = &names};
        action = (struct action_settings){
                .writes_all_marks = true, .resume_retry_count = retries, .resume_interval_s = retries ? 3600 : 0};
        settings = (struct queue_settings){.type = type,
                                           .size = 1000,
                                           .worker_threads = 1,
                                           .dequeue_time_end = 25,
                                           .discard_severity = 8,
                                           .full_delay_mark = -1,
                                           .timeout_action_completion_ms = 5000,
                                           .timeout_worker_ms = 60000,
                                           .file_name = file_name,
                                           .file_bytes_max = 1 << 20,
                                           .syncs_files = true,
                                           .delay_threshold_ms = 5000};
        dead_letters = DEAD_LETTERS_ACKNOWLEDGED;
        dead_letter_bytes = 0;
        told = told_lost = 0;
        destination = (struct destination){.is_away = false};
        pthread_mutex_init(&destination.lock, NULL);
        pthread_cond_init(&destination.changed, NULL);
}

static struct delivery *opened(void) {
        static const struct host_facts facts = {.host_name = "here"};
        static const struct property_context context = {.host_name = "here"};
        struct delivery_plan plan = {.name = "test",
                                     .module_prefix = "",
                                     .module = &fake,
                                     .settings = &destination,
                                     .action = &action,
                                     .queue = &settings,
                                     .facts = &facts,
                                     .context = &context,
                                     .find_template = find_plain,
                                     .place = &place,
                                     .dead_name = "test",
                                     .dead_letters = dead_letters,
                                     .dead_letter_bytes = dead_letter_bytes,
                                     .aborts_on_failed_queue = true};
        struct delivery *delivery;
        CHECK_INT(delivery_new(&delivery, &plan), 0);
        CHECK_INT(delivery_start(delivery, false), 0);
        return delivery;
}

static void tell_done(void *input _unused_, uint64_t cookie _unused_) {
        atomic_fetch_add(&told, 1);
}

static void tell_lost(void *input _unused_, uint64_t cookie _unused_) {
        atomic_fetch_add(&told_lost, 1);
}

/* Each letter a row of one batch. */
static void submit_for(struct delivery *delivery, const char *letters, bool is_awaited) {
        uint16_t selection[16];
        struct batch *b = batch_new(pool, 0);
        if (is_awaited)
                CHECK_INT(batch_acknowledge(b, (struct acknowledgement){.done = tell_done, .lost = tell_lost}), 0);
        for (uint16_t i = 0; letters[i]; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = r->msg = batch_store(b, (struct text){letters + i, 1});
                r->flags = RECORD_IS_PARSED;
                selection[i] = i;
        }
        size_t missed = delivery_submit(delivery, b, selection, b->count, NULL);
        CHECK(missed == 0 || settings.type == QUEUE_DIRECT);
        batch_unref(b);
}

static void submit(struct delivery *delivery, const char *letters) {
        submit_for(delivery, letters, false);
}

/* By a sender who is told what becomes of them. */
static void submit_awaited(struct delivery *delivery, const char *letters) {
        submit_for(delivery, letters, true);
}

static void wait_for_rows(size_t rows) {
        pthread_mutex_lock(&destination.lock);
        while (destination.got_size < rows * 2)
                pthread_cond_wait(&destination.changed, &destination.lock);
        pthread_mutex_unlock(&destination.lock);
}

static void wait_for_try(void) {
        pthread_mutex_lock(&destination.lock);
        while (!destination.tries)
                pthread_cond_wait(&destination.changed, &destination.lock);
        pthread_mutex_unlock(&destination.lock);
}

static void ended(struct delivery *delivery) {
        settings.timeout_shutdown_ms = 0;
        CHECK_INT(delivery_stop(delivery), 0);
        delivery_free(delivery);
}

/* The letters of the dead, in their order, and the reason of the last. */
static void check_dead_in(const char *directory, const char *letters, const char *reason) {
        struct store *s;
        struct store_options options = {.directory = test_place_path(directory), .name = "test"};
        CHECK_INT(store_open(&s, &options, NULL), 0);
        _owned_(buffer_fini) struct buffer found = {0};
        struct store_frame frame;
        while (store_lease(s, &frame) == 0) {
                struct batch *b;
                CHECK_INT(unpack_records(&b, pool, (struct text){frame.payload, frame.size}, 0, &names), 0);
                free(frame.payload);
                for (uint32_t i = 0; i < b->count; i++) {
                        buffer_text(&found, batch_text(b, b->records[i].msg));
                        struct json *dead = json_get(b->records[i].tree[TREE_LOCAL], TEXT("dead"));
                        CHECK_TEXT(json_get(dead, TEXT("reason"))->string, reason);
                        CHECK_TEXT(json_get(dead, TEXT("action"))->string, "test");
                }
                batch_unref(b);
        }
        CHECK_TEXT(buffer_as_text(&found), letters);
        CHECK_INT(store_close(s), 0);
}

static void check_dead(const char *letters, const char *reason) {
        check_dead_in("q.dead", letters, reason);
}

static void check_no_dead(const char *directory) {
        struct stat facts;
        CHECK(stat(test_place_path(directory), &facts) < 0);
}

static const char given_up[] = "given up after action.resumeRetryCount retries";

/* ---- Promises ------------------------------------------------------------------ */

static void a_refused_message_is_buried_and_its_neighbours_are_delivered(void) {
        begin(QUEUE_DISK, 0);
        destination.poison = "c";
        struct delivery *delivery = opened();
        submit(delivery, "abcde");
        wait_for_rows(4);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nd\ne\n");
        ended(delivery);
        check_dead("c", "refused by the destination");
}

static void what_is_given_up_is_buried(void) {
        begin(QUEUE_LINKED_LIST, 0);
        destination.is_away = true;
        settings.timeout_shutdown_ms = 10000;
        struct delivery *delivery = opened();
        submit(delivery, "abc");
        wait_for_try();
        queue_hold_no_more(delivery_queue(delivery));
        CHECK(queue_drain(delivery_queue(delivery)));
        ended(delivery);
        check_dead("abc", "given up after action.resumeRetryCount retries");
}

static void what_waits_at_a_stop_comes_again_twice_in_a_row(void) {
        begin(QUEUE_DISK, -1);
        destination.is_away = true;
        for (int i = 0; i < 2; i++) {
                destination.tries = 0;
                struct delivery *delivery = opened();
                submit(delivery, i ? "cd" : "ab");
                ended(delivery);
        }
        destination.is_away = false;
        struct delivery *delivery = opened();
        submit(delivery, "e");
        wait_for_rows(5);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nc\nd\ne\n");
        ended(delivery);
        struct stat facts;
        CHECK(stat(test_place_path("q.dead"), &facts) < 0);
}

static void a_transaction_that_dies_comes_again_whole(void) {
        begin(QUEUE_DISK, -1);
        action.resume_interval_s = 0;
        destination.breaks_after = 2;
        struct delivery *delivery = opened();
        submit(delivery, "abc");
        wait_for_rows(3);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nc\n");
        ended(delivery);
}

static void a_delay_queue_keeps_what_a_destination_that_left_does_not_take(void) {
        begin(QUEUE_DELAY, -1);
        struct delivery *delivery = opened();
        submit(delivery, "ab");
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\n");
        destination.is_away = true;
        submit(delivery, "cd"); /* returns although it retries for ever */
        submit(delivery, "e");
        ended(delivery);
        destination.is_away = false;
        delivery = opened();
        wait_for_rows(5);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nc\nd\ne\n");
        ended(delivery);
}

static void an_output_that_announces_a_delay_is_given_no_more_directly(void) {
        begin(QUEUE_DELAY, -1);
        destination.done = DELIVER_WILL_DELAY;
        struct delivery *delivery = opened();
        submit(delivery, "a");
        pthread_mutex_lock(&destination.lock); /* a worker waits here; this thread does not */
        submit(delivery, "b");
        submit(delivery, "c");
        CHECK_INT(destination.got_size, 2);
        pthread_mutex_unlock(&destination.lock);
        wait_for_rows(3);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nc\n");
        ended(delivery);
}

static void a_delay_queue_buries_what_is_refused_directly(void) {
        begin(QUEUE_DELAY, -1);
        destination.poison = "c";
        struct delivery *delivery = opened();
        submit(delivery, "abcde");
        wait_for_rows(4);
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nd\ne\n");
        ended(delivery);
        check_dead("c", "refused by the destination");
}

static void a_direct_action_buries_what_is_refused_before_its_sender_is_told(void) {
        begin(QUEUE_DIRECT, 0);
        destination.poison = "c";
        struct delivery *delivery = opened();
        submit_awaited(delivery, "abcde");
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nd\ne\n");
        CHECK_INT(told, 1);
        ended(delivery);
        check_dead_in("test.dead", "c", "refused by the destination");
}

static void a_direct_action_buries_what_it_gives_up(void) {
        begin(QUEUE_DIRECT, 0);
        action.resume_interval_s = 3600;
        destination.is_away = true;
        struct delivery *delivery = opened();
        submit_awaited(delivery, "abc");
        submit_awaited(delivery, "d"); /* suspended meanwhile */
        CHECK_INT(told, 2);
        ended(delivery);
        check_dead_in("test.dead", "abcd", given_up);
}

static void what_nobody_waits_for_is_buried_where_all_is_asked_for(void) {
        begin(QUEUE_DIRECT, 0);
        destination.is_away = true;
        struct delivery *delivery = opened();
        submit(delivery, "abc");
        ended(delivery);
        check_no_dead("test.dead");
        dead_letters = DEAD_LETTERS_ALL;
        delivery = opened();
        submit(delivery, "abc");
        ended(delivery);
        check_dead_in("test.dead", "abc", given_up);
}

static void a_memory_queue_buries_what_a_sender_waits_for(void) {
        begin(QUEUE_LINKED_LIST, 0);
        settings.file_name = NULL;
        settings.timeout_shutdown_ms = 10000;
        destination.is_away = true;
        struct delivery *delivery = opened();
        submit_awaited(delivery, "abc");
        wait_for_try();
        queue_hold_no_more(delivery_queue(delivery));
        CHECK(queue_drain(delivery_queue(delivery)));
        ended(delivery);
        CHECK_INT(told, 1);
        check_dead_in("test.dead", "abc", given_up);
}

static void who_wants_no_dead_letters_has_none(void) {
        static const int types[] = {QUEUE_DISK, QUEUE_DIRECT};
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                begin(types[i], 0);
                dead_letters = DEAD_LETTERS_NONE;
                destination.poison = "c";
                struct delivery *delivery = opened();
                submit_awaited(delivery, "abcde");
                wait_for_rows(4);
                ended(delivery);
                check_no_dead("q.dead");
                check_no_dead("test.dead");
        }
}

static void many_refused_messages_are_all_kept_and_prepared_few_times(void) {
        enum { MANY = 1000, EACH_AT_MOST = 20 };
        begin(QUEUE_DIRECT, 0);
        destination.poison = "x";
        struct delivery *delivery = opened();
        uint16_t selection[MANY];
        struct batch *b = batch_new(pool, 0);
        CHECK_INT(batch_acknowledge(b, (struct acknowledgement){.done = tell_done, .lost = tell_lost}), 0);
        char expected[MANY + 1] = {0};
        for (uint16_t i = 0; i < MANY; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = r->msg = batch_store(b, TEXT("x"));
                r->flags = RECORD_IS_PARSED;
                selection[i] = i;
                expected[i] = 'x';
        }
        CHECK_INT(delivery_submit(delivery, b, selection, MANY, NULL), 0);
        batch_unref(b);
        CHECK_INT(told, 1);
        CHECK(destination.handed <= (size_t)MANY * EACH_AT_MOST + BATCH_RECORDS_MAX);
        CHECK_INT(counter_get(&delivery_counters(delivery)->refused), MANY);
        ended(delivery);
        check_dead_in("test.dead", expected, "refused by the destination");
}

static void what_the_dead_letters_have_no_room_for_is_tried_again(void) {
        begin(QUEUE_DIRECT, 0);
        dead_letter_bytes = 1;
        destination.refuses = 2;
        struct delivery *delivery = opened();
        submit_awaited(delivery, "abc");
        CHECK_TEXT(((struct text){destination.got, destination.got_size}), "a\nb\nc\n");
        CHECK_INT(told, 1);
        ended(delivery);
}

static void what_cannot_be_kept_at_the_end_is_told_as_lost(void) {
        begin(QUEUE_DIRECT, 0);
        destination.is_away = true;
        struct delivery *delivery = opened();
        delivery_hurry(delivery);
        submit_awaited(delivery, "abc");
        CHECK_INT(told, 0);
        CHECK_INT(told_lost, 1);
        ended(delivery);
        check_no_dead("test.dead");
        pool = batch_pool_unref(pool);
        template_free(plain);
}

TEST_MAIN(TEST(a_refused_message_is_buried_and_its_neighbours_are_delivered), TEST(what_is_given_up_is_buried),
          TEST(what_waits_at_a_stop_comes_again_twice_in_a_row), TEST(a_transaction_that_dies_comes_again_whole),
          TEST(a_delay_queue_keeps_what_a_destination_that_left_does_not_take),
          TEST(an_output_that_announces_a_delay_is_given_no_more_directly),
          TEST(a_delay_queue_buries_what_is_refused_directly),
          TEST(a_direct_action_buries_what_is_refused_before_its_sender_is_told),
          TEST(a_direct_action_buries_what_it_gives_up), TEST(what_nobody_waits_for_is_buried_where_all_is_asked_for),
          TEST(a_memory_queue_buries_what_a_sender_waits_for), TEST(who_wants_no_dead_letters_has_none),
          TEST(many_refused_messages_are_all_kept_and_prepared_few_times),
          TEST(what_the_dead_letters_have_no_room_for_is_tried_again),
          TEST(what_cannot_be_kept_at_the_end_is_told_as_lost))
