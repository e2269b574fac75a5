#include "delivery/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/test.h"
#include "io/file.h"

/* An output whose destination does what the test says, and remembers what it got. */
struct destination {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool is_away;
        const char *poison;       /* a row that holds this is refused */
        bool refuses_whole_batch; /* poison is reported as REFUSED_BATCH */
        bool is_transactional;
        unsigned tries, resumes;
        unsigned breaks_at_try; /* the connection is lost then, and there again when asked */
        char got[4096];
        size_t got_size;
        int silent_error; /* away, and only its failure on the way says why */
        unsigned flaky;   /* each so many-th try finds it away, and it only counts */
        uint64_t rows;
};

static struct destination *destination_of(void *instance) {
        return instance;
}

static void note_try(struct destination *d) {
        pthread_mutex_lock(&d->lock);
        d->tries++;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
}

static struct outcome deliver_flaky(struct destination *d, const struct work *work) {
        note_try(d);
        if (d->tries % d->flaky == 0)
                return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .error = ECONNRESET};
        d->rows += work->count;
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

static struct outcome deliver(void *instance, const struct work *work) {
        struct destination *d = destination_of(instance);
        if (d->flaky)
                return deliver_flaky(d, work);
        note_try(d);
        if (d->silent_error)
                return (struct outcome){.verdict = fail(-d->silent_error) ? DELIVER_UNAVAILABLE : DELIVER_DONE};
        if (d->is_away || (d->breaks_at_try && d->tries >= d->breaks_at_try && d->resumes == 0))
                return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .error = ECONNREFUSED};
        for (size_t i = 0; i < work->count; i++) {
                const struct text *row = &work->column[0][i];
                bool is_poison = d->poison && text_find(*row, text_of(d->poison)) >= 0;
                if (is_poison && d->refuses_whole_batch)
                        return (struct outcome){.verdict = DELIVER_REFUSED_BATCH};
                if (is_poison)
                        return (struct outcome){.verdict = DELIVER_REFUSED, .taken = i, .error = EINVAL};
                if (d->refuses_whole_batch)
                        continue;
                memcpy(d->got + d->got_size, row->data, row->size);
                d->got_size += row->size;
        }
        if (d->refuses_whole_batch)
                for (size_t i = 0; i < work->count; i++) {
                        memcpy(d->got + d->got_size, work->column[0][i].data, work->column[0][i].size);
                        d->got_size += work->column[0][i].size;
                }
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

static enum verdict resume(void *instance) {
        struct destination *d = destination_of(instance);
        d->resumes++;
        return d->is_away ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static int columns(const void *settings _unused_, const void *module_settings _unused_, struct work_format *format) {
        format[0] = (struct work_format){.name = NULL, .dflt = "plain", .ends_with_lf = true};
        return 1;
}

static int open_destination(void **ret, const struct output_host *host _unused_, const void *settings) {
        *ret = (void *)settings;
        return 0;
}

static void close_destination(void *instance _unused_) {
}

static const struct output_ops ops = {
        .columns = columns, .open = open_destination, .deliver = deliver, .resume = resume, .close = close_destination};
static const struct module fake = {MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omfake", .output = &ops};

/* ---- What it says ------------------------------------------------------------ */

static struct buffer said;

static void hear(struct reporter *reporter _unused_, enum severity severity, int code, const char *line) {
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&lock);
        buffer_format(&said, "%d %d %s\n", (int)severity, code, line);
        pthread_mutex_unlock(&lock);
}

static struct reporter listener = {.emit = hear};

/* ---- Around it --------------------------------------------------------------- */

static struct template *plain;
static struct batch_pool *pool;

static const struct template *find_plain(void *owner _unused_, const char *name _unused_) {
        static const struct template_def def = {
                .name = "plain", .kind = TEMPLATE_STRING, .string = {"%msg%\n", sizeof "%msg%\n" - 1}};
        if (!plain && template_new(&plain, &def, NULL))
                return NULL;
        return plain;
}

static struct action_settings patient(void) {
        return (struct action_settings){.writes_all_marks = true, .resume_retry_count = 0, .resume_interval_s = 30};
}

static struct observer *heard_by; /* NULL: nobody */

static struct delivery *delivery_to(struct destination *d, const struct action_settings *action,
                                    const struct queue_settings *queue) {
        static const struct host_facts facts = {.host_name = "here"};
        static const struct property_context context = {.host_name = "here"};
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->changed, NULL);
        struct delivery_plan plan = {.name = "test",
                                     .module_prefix = "builtin:",
                                     .reporter = &listener,
                                     .reports_suspension = true,
                                     .module = &fake,
                                     .settings = d,
                                     .action = action,
                                     .queue = queue,
                                     .facts = &facts,
                                     .context = &context,
                                     .find_template = find_plain,
                                     .observer = heard_by};
        struct delivery *delivery;
        CHECK(delivery_new(&delivery, &plan) == 0);
        CHECK(delivery_start(delivery, false) == 0);
        return delivery;
}

static struct batch *batch_of(const char *const *lines, size_t count) {
        if (!pool)
                CHECK(batch_pool_new(&pool) == 0);
        struct batch *b = batch_new(pool, 0);
        for (size_t i = 0; i < count; i++) {
                struct record *r = batch_append(b, NULL);
                r->raw = r->msg = batch_store(b, text_of(lines[i]));
                r->flags = RECORD_IS_PARSED;
        }
        return b;
}

static const struct queue_settings direct = {.type = QUEUE_DIRECT};
static const uint16_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
static const char *const letters[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static struct text got(const struct destination *d) {
        return (struct text){d->got, d->got_size};
}

/* ---- Promises ------------------------------------------------------------------ */

static void rows_arrive_once_and_in_order(void) {
        struct destination d = {0};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 8);
        CHECK_INT(delivery_submit(delivery, b, all, 8, NULL), 0);
        CHECK_TEXT(got(&d), "a\nb\nc\nd\ne\nf\ng\nh\n");
        CHECK_INT(d.tries, 1);
        batch_unref(b);
        delivery_free(delivery);
}

static void two_with_one_template_share_their_rows_until_these_are_forgotten(void) {
        static const uint16_t middle[] = {1, 1, 4};
        struct destination one = {0}, other = {0};
        struct action_settings a = patient();
        struct delivery *first = delivery_to(&one, &a, &direct), *second = delivery_to(&other, &a, &direct);
        struct renderings shared = {0};
        struct batch *b = batch_of(letters, 8);
        CHECK(delivery_template(first) && delivery_template(first) == delivery_template(second));
        CHECK_INT(delivery_submit_with(first, &shared, b, all, 3, NULL), 0);
        b->records[1].msg = batch_store(b, TEXT("changed"));
        CHECK_INT(delivery_submit_with(second, &shared, b, middle, 3, NULL), 0);
        CHECK_TEXT(got(&one), "a\nb\nc\n");
        CHECK_TEXT(got(&other), "b\nb\ne\n");
        renderings_forget(&shared);
        CHECK_INT(delivery_submit_with(second, &shared, b, middle, 1, NULL), 0);
        CHECK_TEXT(got(&other), "b\nb\ne\nchanged\n");
        renderings_fini(&shared);
        batch_unref(b);
        delivery_free(first);
        delivery_free(second);
}

static void a_refused_row_goes_to_the_error_file_and_holds_up_nobody(void) {
        char path[] = "/tmp/delivery_test_XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        close(fd);
        struct destination d = {.poison = "c"};
        struct action_settings a = patient();
        a.error_file = path;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 5);
        CHECK_INT(delivery_submit(delivery, b, all, 5, NULL), 0);
        CHECK_TEXT(got(&d), "a\nb\nd\ne\n");
        CHECK_INT(counter_get(&delivery_counters(delivery)->refused), 1);
        struct buffer content = {0};
        CHECK(file_read_whole(path, 4096, &content) == 0);
        CHECK(text_find(buffer_as_text(&content), TEXT("\"rawmsg\": \"c\"")) >= 0);
        CHECK(text_find(buffer_as_text(&content), TEXT("\"action\": \"test\"")) >= 0);
        buffer_fini(&content);
        unlink(path);
        batch_unref(b);
        delivery_free(delivery);
}

static void a_batch_refused_as_a_whole_is_halved_until_the_bad_row_stands_alone(void) {
        struct destination d = {.poison = "f", .refuses_whole_batch = true};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 8);
        CHECK_INT(delivery_submit(delivery, b, all, 8, NULL), 0);
        CHECK_TEXT(got(&d), "a\nb\nc\nd\ne\ng\nh\n");
        CHECK_INT(counter_get(&delivery_counters(delivery)->refused), 1);
        CHECK(d.tries < 12);
        batch_unref(b);
        delivery_free(delivery);
}

static void suspension_is_told_in_the_words_that_filters_look_for(void) {
        static const char retry[] =
                "4 2007 action 'test' suspended (module 'builtin:omfake'), retry 0. There should be "
                "messages before this one giving the reason for suspension. The last one: Connection refused (errno "
                "111, "
                "ECONNREFUSED)\n"
                "4 2007 action 'test' suspended (module 'builtin:omfake'), next retry is ";
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        a.resume_interval_s = 0;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 1);
        buffer_clear(&said);
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        CHECK(text_starts(buffer_as_text(&said), text_of(retry)));
        CHECK(text_find(buffer_as_text(&said), TEXT(", retry nbr 0. There should be")) >= 0);
        buffer_clear(&said);
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        CHECK_TEXT(buffer_as_text(&said), "");
        d.is_away = false;
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 0);
        CHECK_TEXT(buffer_as_text(&said), "6 2359 action 'test' resumed (module 'builtin:omfake')\n");
        batch_unref(b);
        delivery_free(delivery);
        buffer_fini(&said);
}

static void a_suspended_action_misses_records_and_does_not_try_in_vain(void) {
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 3);
        uint16_t missed[3];
        CHECK_INT(delivery_submit(delivery, b, all, 3, missed), 3);
        CHECK_INT(missed[2], 2);
        CHECK(delivery_is_suspended(delivery));
        CHECK_INT(delivery_submit(delivery, b, all, 3, missed), 3);
        CHECK_INT(d.tries, 1);
        CHECK_INT(d.resumes, 0);
        batch_unref(b);
        delivery_free(delivery);
}

static void it_resumes_when_the_interval_has_passed(void) {
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        a.resume_interval_s = 0;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 2);
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 2);
        d.is_away = false;
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 0);
        CHECK(!delivery_is_suspended(delivery));
        CHECK_TEXT(got(&d), "a\nb\n");
        CHECK_INT(counter_get(&delivery_counters(delivery)->resumed), 1);
        batch_unref(b);
        delivery_free(delivery);
}

static void one_that_breaks_and_is_back_when_asked_misses_nothing(void) {
        struct destination d = {.breaks_at_try = 2};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 2);
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 0);
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 0);
        CHECK(!delivery_is_suspended(delivery));
        CHECK_TEXT(got(&d), "a\nb\na\nb\n");
        CHECK_INT(d.resumes, 1);
        CHECK_INT(counter_get(&delivery_counters(delivery)->resumed), 1);
        batch_unref(b);
        delivery_free(delivery);
}

static void a_retry_that_waits_ends_with_the_daemon(void) {
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        a.resume_retry_count = -1;
        a.resume_interval_s = 3600;
        struct queue_settings queue = {.type = QUEUE_LINKED_LIST,
                                       .size = 100,
                                       .worker_threads = 1,
                                       .dequeue_time_end = 25,
                                       .discard_severity = 8,
                                       .full_delay_mark = -1,
                                       .timeout_action_completion_ms = 1000};
        struct delivery *delivery = delivery_to(&d, &a, &queue);
        struct batch *b = batch_of(letters, 2);
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 0);
        pthread_mutex_lock(&d.lock);
        while (d.tries == 0)
                pthread_cond_wait(&d.changed, &d.lock);
        pthread_mutex_unlock(&d.lock);
        CHECK_INT(delivery_stop(delivery), 2);
        CHECK_INT(counter_get(&delivery_counters(delivery)->failed), 0);
        batch_unref(b);
        delivery_free(delivery);
}

/* ---- Many threads ----------------------------------------------------------------- */

enum { CROWD_SENDERS = 3, CROWD_PUSHES = 200, CROWD_ROWS = 8 };

struct works {
        struct queue *queue;
        struct delivery *direct, *queued;
};

static uint32_t hand_on(void *consumer, unsigned worker _unused_, struct batch *b, uint32_t first, uint32_t count) {
        struct works *w = consumer;
        uint16_t selection[CROWD_ROWS * 64], missed[CROWD_ROWS * 64];
        for (uint32_t at = 0; at < count; at += ARRAY_SIZE(selection)) {
                uint32_t part = MIN(count - at, (uint32_t)ARRAY_SIZE(selection));
                for (uint32_t i = 0; i < part; i++)
                        selection[i] = (uint16_t)(first + at + i);
                delivery_submit(w->queued, b, selection, part, NULL);
                CHECK_INT(delivery_submit(w->direct, b, selection, part, missed), 0);
        }
        return count;
}

static void *send_a_crowd(void *argument) {
        struct works *w = argument;
        for (int i = 0; i < CROWD_PUSHES; i++) {
                queue_push(w->queue, batch_of(letters, CROWD_ROWS), FLOW_FULL);
                if (i % 50 == 0) {
                        delivery_reopen(w->direct);
                        delivery_reopen(w->queued);
                }
        }
        return NULL;
}

static void rows_of_many_threads_arrive_once_each(void) {
        struct destination near = {.flaky = 7}, far = {.flaky = 5};
        struct action_settings a = patient();
        a.resume_retry_count = -1;
        a.resume_interval_s = 0;
        struct queue_settings s = {.type = QUEUE_LINKED_LIST,
                                   .size = 300,
                                   .worker_threads = 4,
                                   .worker_minimum_messages = 10,
                                   .dequeue_time_end = 25,
                                   .discard_severity = 8,
                                   .discard_mark = -1,
                                   .full_delay_mark = -1,
                                   .light_delay_mark = -1,
                                   .timeout_enqueue_ms = 60000,
                                   .timeout_shutdown_ms = 60000,
                                   .timeout_action_completion_ms = 1000,
                                   .timeout_worker_ms = 60000};
        struct batch *first = batch_of(letters, 1); /* makes the pool before there are threads */
        batch_unref(first);
        struct works w = {.direct = delivery_to(&near, &a, &direct), .queued = delivery_to(&far, &a, &s)};
        struct queue_consumer consumer = {.consume = hand_on, .consumer = &w};
        CHECK_INT(queue_new(&w.queue, "crowd", &s, consumer, NULL), 0);
        CHECK_INT(queue_start(w.queue), 0);
        pthread_t senders[CROWD_SENDERS];
        for (int i = 0; i < CROWD_SENDERS; i++)
                CHECK_INT(pthread_create(&senders[i], NULL, send_a_crowd, &w), 0);
        for (int i = 0; i < CROWD_SENDERS; i++)
                pthread_join(senders[i], NULL);
        CHECK_INT(queue_stop(w.queue), 0);
        CHECK_INT(delivery_stop(w.direct) + delivery_stop(w.queued), 0);
        CHECK_INT(near.rows, CROWD_SENDERS * CROWD_PUSHES * CROWD_ROWS);
        CHECK_INT(far.rows, CROWD_SENDERS * CROWD_PUSHES * CROWD_ROWS);
        CHECK_INT(delivery_unfinished(w.direct) + delivery_unfinished(w.queued), 0);
        queue_free(w.queue);
        delivery_free(w.direct);
        delivery_free(w.queued);
}

static void only_every_nth_message_executes(void) {
        struct destination d = {0};
        struct action_settings a = patient();
        a.exec_every_nth = 3;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 8);
        CHECK_INT(delivery_submit(delivery, b, all, 8, NULL), 0);
        CHECK_TEXT(got(&d), "c\nf\n");
        batch_unref(b);
        delivery_free(delivery);
}

static void only_once_in_an_interval_it_executes(void) {
        struct destination d = {0};
        struct action_settings a = patient();
        a.exec_once_every_s = 3600;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 8);
        CHECK_INT(delivery_submit(delivery, b, all, 8, NULL), 0);
        CHECK_TEXT(got(&d), "a\n");
        batch_unref(b);
        delivery_free(delivery);
        plain = template_free(plain);
        pool = batch_pool_unref(pool);
}

/* ---- By hand, and asked ---------------------------------------------------------- */

static struct buffer noticed;

static void note(struct observer *observer _unused_, enum notice what, const char *name, const char *detail) {
        buffer_format(&noticed, "%d %s %s\n", (int)what, name, detail);
}

static void one_held_by_hand_misses_until_it_is_released(void) {
        struct destination d = {0};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 2);
        delivery_hold(delivery);
        CHECK(delivery_is_suspended(delivery));
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 2);
        delivery_release(delivery);
        CHECK(!delivery_is_suspended(delivery));
        CHECK_INT(delivery_submit(delivery, b, all, 2, NULL), 0);
        CHECK_TEXT(got(&d), "a\nb\n");
        batch_unref(b);
        delivery_free(delivery);
}

static void a_queue_keeps_what_it_has_while_its_action_is_held(void) {
        struct destination d = {0};
        struct action_settings a = patient();
        const struct queue_settings list = {
                .type = QUEUE_LINKED_LIST, .size = 100, .worker_threads = 1, .timeout_shutdown_ms = 20000};
        struct delivery *delivery = delivery_to(&d, &a, &list);
        struct batch *b = batch_of(letters, 3);
        delivery_hold(delivery);
        CHECK_INT(delivery_submit(delivery, b, all, 3, NULL), 0);
        delivery_release(delivery);
        CHECK_INT(delivery_stop(delivery), 0);
        CHECK_TEXT(got(&d), "a\nb\nc\n");
        batch_unref(b);
        delivery_free(delivery);
}

static void its_status_tells_why_it_is_suspended_and_when_it_tries_again(void) {
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 1);
        struct delivery_status status;
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        delivery_status(delivery, &status);
        CHECK_INT(status.state, DELIVERY_SUSPENDED);
        CHECK(status.retry_in_ms > 0 && status.retry_in_ms <= 30000);
        CHECK_TEXT(text_of(status.reason), fail_text(ECONNREFUSED));
        CHECK_INT(status.error, ECONNREFUSED);
        batch_unref(b);
        delivery_free(delivery);
}

static void an_output_that_gives_no_number_has_that_of_what_failed_in_it(void) {
        struct destination d = {.silent_error = EHOSTUNREACH};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 1);
        struct delivery_status status;
        (void)fail(-ENOSPC);
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        delivery_status(delivery, &status);
        CHECK_INT(status.error, EHOSTUNREACH);
        CHECK_TEXT(text_of(status.reason), fail_text(EHOSTUNREACH));
        batch_unref(b);
        delivery_free(delivery);
}

static void a_release_makes_a_destination_that_is_away_be_tried_at_once(void) {
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        struct batch *b = batch_of(letters, 1);
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        d.is_away = false;
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 1);
        delivery_release(delivery);
        CHECK_INT(delivery_submit(delivery, b, all, 1, NULL), 0);
        batch_unref(b);
        delivery_free(delivery);
}

static void an_observer_hears_of_suspension_and_resumption(void) {
        static struct observer observer = {.tell = note};
        struct destination d = {.is_away = true};
        struct action_settings a = patient();
        heard_by = &observer;
        struct delivery *delivery = delivery_to(&d, &a, &direct);
        heard_by = NULL;
        struct batch *b = batch_of(letters, 1);
        delivery_submit(delivery, b, all, 1, NULL);
        d.is_away = false;
        delivery_release(delivery);
        delivery_submit(delivery, b, all, 1, NULL);
        CHECK_TEXT(buffer_as_text(&noticed), "0 test Connection refused\n1 test \n");
        buffer_fini(&noticed);
        batch_unref(b);
        delivery_free(delivery);
}

TEST_MAIN(TEST(rows_of_many_threads_arrive_once_each), TEST(rows_arrive_once_and_in_order),
          TEST(two_with_one_template_share_their_rows_until_these_are_forgotten),
          TEST(a_refused_row_goes_to_the_error_file_and_holds_up_nobody),
          TEST(a_batch_refused_as_a_whole_is_halved_until_the_bad_row_stands_alone),
          TEST(suspension_is_told_in_the_words_that_filters_look_for),
          TEST(a_suspended_action_misses_records_and_does_not_try_in_vain),
          TEST(it_resumes_when_the_interval_has_passed), TEST(one_that_breaks_and_is_back_when_asked_misses_nothing),
          TEST(a_retry_that_waits_ends_with_the_daemon), TEST(only_every_nth_message_executes),
          TEST(only_once_in_an_interval_it_executes), TEST(one_held_by_hand_misses_until_it_is_released),
          TEST(a_queue_keeps_what_it_has_while_its_action_is_held),
          TEST(its_status_tells_why_it_is_suspended_and_when_it_tries_again),
          TEST(an_output_that_gives_no_number_has_that_of_what_failed_in_it),
          TEST(a_release_makes_a_destination_that_is_away_be_tried_at_once),
          TEST(an_observer_hears_of_suspension_and_resumption))
