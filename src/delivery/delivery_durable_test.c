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
        unsigned breaks_after; /* so many transactions are gone before their commit */
        enum verdict done;     /* what it says when all is well */
        unsigned tries;
        char got[4096], open[4096];
        size_t got_size, open_size;
};

static enum verdict begin_transaction(void *instance) {
        struct destination *d = instance;
        pthread_mutex_lock(&d->lock);
        d->tries++;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
        d->open_size = 0;
        return d->is_away ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static struct outcome deliver(void *instance, const struct work *work) {
        struct destination *d = instance;
        if (d->is_away)
                return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .error = ECONNREFUSED};
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
        return d->is_away ? DELIVER_UNAVAILABLE : DELIVER_DONE;
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
                                     .aborts_on_failed_queue = true};
        struct delivery *delivery;
        CHECK_INT(delivery_new(&delivery, &plan), 0);
        CHECK_INT(delivery_start(delivery, false), 0);
        return delivery;
}

/* Each letter a row of one batch. */
static void submit(struct delivery *delivery, const char *letters) {
        uint16_t selection[16];
        struct batch *b = batch_new(pool, 0);
        for (uint16_t i = 0; letters[i]; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = r->msg = batch_store(b, (struct text){letters + i, 1});
                r->flags = RECORD_IS_PARSED;
                selection[i] = i;
        }
        CHECK_INT(delivery_submit(delivery, b, selection, b->count, NULL), 0);
        batch_unref(b);
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
static void check_dead(const char *letters, const char *reason) {
        struct store *s;
        struct store_options options = {.directory = test_place_path("q.dead"), .name = "test"};
        CHECK_INT(store_open(&s, &options, NULL), 0);
        _owned_(buffer_fini) struct buffer found = {0};
        struct store_frame frame;
        while (store_lease(s, &frame) == 0) {
                struct batch *b;
                CHECK_INT(unpack_records(&b, pool, (struct text){frame.payload, frame.size}, 0, &names), 0);
                free(frame.payload);
                buffer_text(&found, batch_text(b, b->records[0].msg));
                struct json *dead = json_get(b->records[0].tree[TREE_LOCAL], TEXT("dead"));
                CHECK_TEXT(json_get(dead, TEXT("reason"))->string, reason);
                batch_unref(b);
        }
        CHECK_TEXT(buffer_as_text(&found), letters);
        CHECK_INT(store_close(s), 0);
}

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
        pool = batch_pool_unref(pool);
        template_free(plain);
}

TEST_MAIN(TEST(a_refused_message_is_buried_and_its_neighbours_are_delivered), TEST(what_is_given_up_is_buried),
          TEST(what_waits_at_a_stop_comes_again_twice_in_a_row), TEST(a_transaction_that_dies_comes_again_whole),
          TEST(a_delay_queue_keeps_what_a_destination_that_left_does_not_take),
          TEST(an_output_that_announces_a_delay_is_given_no_more_directly))
