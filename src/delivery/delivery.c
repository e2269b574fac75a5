#include "delivery/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "delivery/undelivered.h"
#include "io/file.h"
#include "message/ratelimit.h"
#include "module/settings.h"

enum {
        DELIVERY_ROWS_MAX = BATCH_RECORDS_MAX,
        DELIVERY_BYTES_MAX = 4 << 20,       /* rendered text of one deliver(); a single row may be more */
        REFUSALS_MAX = 64,                  /* are kept together */
        ROWS_AFTER_REFUSAL = 16,            /* prepared at once, and more again with each delivery that is taken */
        DELIVERY_RETRIES_A_STEP = 10,       /* resumeInterval grows by itself every so many retries */
        DELIVERY_FLUSH_AGAIN_MS = 50,       /* the output was busy when its flush was due */
        DELIVERY_FLUSH_SUSPENDED_MS = 1000, /* ... and will be for longer */
        MARK_PERIOD_S = 1200,
        RSYSLOG_SUSPENDED = 2007, /* numbers that existing filters look for */
        RSYSLOG_RESUMED = 2359,
};

/* Stands between the output and the reporter, and keeps what was said last: the reason of a suspension. */
struct listener {
        struct reporter reporter;
        struct reporter *next;
        pthread_mutex_t lock; /* guards all below */
        int error;            /* errno of the last failure; 0: none, or it had none */
        bool is_fresh;        /* the output has said something since the last failure was noted */
        char reason[DELIVERY_REASON_BYTES_MAX];
};

struct delivery {
        struct delivery_plan plan;
        struct listener listener;
        const struct output_ops *ops;
        void *instance;
        struct queue *queue;
        struct undelivered *undelivered;
        struct module_log_reporter log;
        struct counter *module_counters;
        struct delivery_counters counters;

        struct work_format format[WORK_COLUMNS_MAX];
        const struct template *template[WORK_COLUMNS_MAX];
        int columns;

        pthread_mutex_t wait_lock; /* guards is_hurried and its like while somebody waits for hurried */
        pthread_cond_t hurried;
        pthread_mutex_t lock;              /* held while the output works; guards all below */
        _Atomic enum delivery_state state; /* written under the lock, as the next two */
        _Atomic int64_t retries;
        _Atomic int64_t retry_at_ns;
        int64_t suspended_since_ns;
        size_t rows_limit; /* halved while a bad record is looked for */
        struct buffer rendered[WORK_COLUMNS_MAX];
        struct text *rows[WORK_COLUMNS_MAX];
        struct property_context context;
        int error_file;
        int64_t error_file_bytes;
        int64_t nth; /* for execOnlyEveryNthTime */
        int64_t nth_since_s;
        int64_t executed_s; /* last execution */

        atomic_bool is_suspended;
        atomic_bool is_hurried;
        atomic_bool is_held;     /* suspended by hand */
        atomic_bool wants_retry; /* by hand: now, not at retry_at_ns */
        bool may_try_at_once;    /* it has taken something since the last time */
        bool is_attempt;         /* this run waits for nothing */
        bool will_delay;         /* it said so in this run */
        bool paces;              /* the limit makes messages wait; none else is asked */
        int last_error;          /* of the last verdict that was none, for whoever is given up */
        atomic_bool wants_reopen;
        atomic_bool is_flush_armed;
        atomic_ulong working; /* messages that a direct delivery has in hand */
        struct timer flush_timer;
};

const char *delivery_name(const struct delivery *d) {
        return d->plan.name;
}

const struct delivery_counters *delivery_counters(const struct delivery *d) {
        return &d->counters;
}

const struct counter *delivery_module_counters(const struct delivery *d) {
        return d->module_counters;
}

bool delivery_is_suspended(const struct delivery *d) {
        return atomic_load_explicit(&d->is_suspended, memory_order_relaxed) ||
               atomic_load_explicit(&d->is_held, memory_order_relaxed);
}

struct queue *delivery_queue(struct delivery *d) {
        return d->queue;
}

uint64_t delivery_unfinished(struct delivery *d) {
        return d->queue ? queue_unfinished(d->queue) : atomic_load(&d->working);
}

/* ---- What the output says ------------------------------------------------ */

static void listen_and_pass(struct reporter *reporter, enum severity severity, int code, const char *line) {
        struct listener *l = CONTAINER_OF(reporter, struct listener, reporter);
        if (severity <= SEVERITY_WARNING) {
                pthread_mutex_lock(&l->lock);
                snprintf(l->reason, sizeof l->reason, "%s", line);
                l->is_fresh = true;
                pthread_mutex_unlock(&l->lock);
        }
        report(l->next, severity, code, "%s", line);
}

static void forget_reason(struct delivery *d) {
        pthread_mutex_lock(&d->listener.lock);
        d->listener.reason[0] = '\0';
        d->listener.error = 0;
        pthread_mutex_unlock(&d->listener.lock);
}

static void copy_reason(struct delivery *d, char reason[DELIVERY_REASON_BYTES_MAX]) {
        pthread_mutex_lock(&d->listener.lock);
        memcpy(reason, d->listener.reason, sizeof d->listener.reason);
        pthread_mutex_unlock(&d->listener.lock);
}

/* The number that the output left, and its text where the output said nothing, or nothing since it was another. */
static void note_error(struct delivery *d, int error) {
        struct listener *l = &d->listener;
        pthread_mutex_lock(&l->lock);
        bool is_other = error && abs(error) != l->error;
        if (is_other)
                l->error = abs(error);
        if (!l->reason[0] || (is_other && !l->is_fresh))
                snprintf(l->reason, sizeof l->reason, "%s",
                         error ? fail_text(error) : "the destination does not take messages");
        l->is_fresh = false;
        pthread_mutex_unlock(&l->lock);
}

static void tell_suspended(struct delivery *d) {
        char reason[DELIVERY_REASON_BYTES_MAX];
        if (!d->plan.observer)
                return;
        copy_reason(d, reason);
        observe(d->plan.observer, NOTICE_ACTION_SUSPENDED, d->plan.name, reason);
}

void delivery_status(struct delivery *d, struct delivery_status *ret) {
        *ret = (struct delivery_status){
                .state = d->state, .is_held = atomic_load(&d->is_held), .retries = d->retries, .retry_in_ms = -1};
        copy_reason(d, ret->reason);
        pthread_mutex_lock(&d->listener.lock);
        ret->error = d->listener.error;
        pthread_mutex_unlock(&d->listener.lock);
        if (ret->state != DELIVERY_READY)
                ret->retry_in_ms = MAX((d->retry_at_ns - clock_mono_ns()) / 1000000, (int64_t)0);
}

const struct module *delivery_module(const struct delivery *d) {
        return d->plan.module;
}

/* ---- Rendering ---------------------------------------------------------- */

void delivery_show(const struct delivery *d, struct property_context *context, struct batch *b, struct record *r,
                   struct buffer *out) {
        for (int c = 0; c < d->columns; c++) {
                if (c > 0)
                        buffer_byte(out, ' ');
                template_render(d->template[c], context, b, r, d -> format[c].is_path, out);
        }
}

/* Rows lie behind one another; their text may have moved while it grew. */
static void point_rows(struct text *rows, const char *text, size_t count) {
        if (count == 0 || rows[0].data == text)
                return;
        for (size_t i = 0; i < count; i++) {
                rows[i].data = text;
                text += rows[i].size;
        }
}

/* One row of each column. False without memory. */
static bool render_record(struct delivery *d, struct batch *b, uint16_t record, size_t row, size_t *bytes) {
        *bytes = 0;
        for (int c = 0; c < d->columns; c++) {
                struct buffer *out = &d->rendered[c];
                const struct work_format *format = &d->format[c];
                size_t start = out->size;
                render_row(d->template[c], &d -> context, b, &b -> records[record], format -> is_path,
                           format -> ends_with_lf, out);
                if (out->is_failed)
                        return false;
                d->rows[c][row] = (struct text){out->data + start, out->size - start};
                *bytes += out->size;
        }
        return true;
}

/* Renders rows until `count` or DELIVERY_BYTES_MAX; returns how many (at least one), 0 without memory. */
static size_t render_own(struct delivery *d, struct batch *b, const uint16_t *selection, size_t count) {
        for (int c = 0; c < d->columns; c++)
                buffer_clear(&d->rendered[c]);
        size_t row = 0;
        size_t bytes = 0;
        while (row < count && bytes < DELIVERY_BYTES_MAX && render_record(d, b, selection[row], row, &bytes))
                row++;
        for (int c = 0; c < d->columns; c++)
                point_rows(d->rows[c], d->rendered[c].data, row);
        return row;
}

static size_t render_shared(struct delivery *d, struct renderings *all, struct rendering *r, struct batch *b,
                            const uint16_t *selection, size_t count) {
        if (all->text.size > DELIVERY_BYTES_MAX || all->text.is_failed)
                renderings_forget(all);
        size_t begin = all->text.size, row = 0;
        while (row < count && all->text.size - begin < DELIVERY_BYTES_MAX) {
                size_t start = all->text.size;
                renderings_add(all, r, &d->context, b, selection[row]);
                if (all->text.is_failed)
                        break;
                d->rows[0][row++] = (struct text){all->text.data + start, all->text.size - start};
        }
        point_rows(d->rows[0], all->text.data + begin, row);
        return row;
}

/* `shared`: where the caller keeps what other outputs may need as well; NULL nowhere. */
static size_t render(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                     size_t count) {
        bool may_share = shared && d->columns == 1 && !d->format[0].is_path;
        struct rendering *r = may_share ? renderings_of(shared, d->template[0], d -> format[0].ends_with_lf) : NULL;
        return r ? render_shared(d, shared, r, b, selection, count) : render_own(d, b, selection, count);
}

const struct template *delivery_template(const struct delivery *d) {
        bool may_share = !d->queue && d->columns == 1 && !d->format[0].is_path && template_is_lasting(d->template[0]);
        return may_share ? d->template[0] : NULL;
}

/* ---- Back-off ----------------------------------------------------------- */

static int64_t interval_s(const struct delivery *d) {
        const struct action_settings *a = d->plan.action;
        int64_t interval = a->resume_interval_s * (d->retries / DELIVERY_RETRIES_A_STEP + 1);
        return a->resume_interval_max_s > 0 ? MIN(interval, a->resume_interval_max_s) : interval;
}

static void report_suspended(struct delivery *d, const char *what) {
        struct delivery_status now;
        delivery_status(d, &now);
        char number[64] = "";
        if (now.error)
                snprintf(number, sizeof number, " (errno %d, %s)", now.error, fail_name(now.error));
        report(d->plan.reporter, SEVERITY_WARNING, RSYSLOG_SUSPENDED,
               "action '%s' suspended (module '%s%s'), %s. There should be messages before this one giving the reason "
               "for suspension. The last one: %s%s",
               d->plan.name, d->plan.module_prefix, d->plan.module->name, what, now.reason, number);
}

static void report_next_retry(struct delivery *d, int64_t seconds) {
        char when[32], what[96];
        time_t next = time(NULL) + (time_t)seconds;
        struct tm local;
        localtime_r(&next, &local);
        strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &local);
        snprintf(what, sizeof what, "next retry is %s, retry nbr %lld", when, (long long)d->retries);
        report_suspended(d, what);
}

static void report_resumed(struct delivery *d) {
        report(d->plan.reporter, SEVERITY_INFO, RSYSLOG_RESUMED, "action '%s' resumed (module '%s%s')", d->plan.name,
               d->plan.module_prefix, d->plan.module->name);
}

static void suspend(struct delivery *d, bool may_retry) {
        bool is_news = d->state == DELIVERY_READY;
        if (is_news) {
                atomic_store(&d->wants_retry, false);
                counter_add(&d->counters.suspended, 1);
                d->suspended_since_ns = clock_mono_ns();
        }
        int64_t seconds = interval_s(d);
        d->retry_at_ns = clock_mono_ns() + seconds * 1000000000;
        atomic_store(&d->is_suspended, true);
        bool gives_up = !may_retry && d->state != DELIVERY_SUSPENDED;
        if (is_news)
                tell_suspended(d);
        if (is_news && d->plan.reports_suspension)
                report_suspended(d, "retry 0");
        if ((gives_up || (!is_news && d->plan.reports_continuation)) && d->plan.reports_suspension)
                report_next_retry(d, seconds);
}

static void resume(struct delivery *d) {
        if (d->state == DELIVERY_READY)
                return;
        d->state = DELIVERY_READY;
        d->retries = 0;
        atomic_store(&d->is_suspended, false);
        counter_add(&d->counters.resumed, 1);
        counter_add(&d->counters.suspended_s, (uint64_t)((clock_mono_ns() - d->suspended_since_ns) / 1000000000));
        forget_reason(d);
        observe(d->plan.observer, NOTICE_ACTION_RESUMED, d->plan.name, "");
        if (d->plan.reports_suspension)
                report_resumed(d);
}

/* Waits for the time of the next try; false when the daemon ends first. */
static bool wait_for_retry(struct delivery *d) {
        struct timespec until = {.tv_sec = d->retry_at_ns / 1000000000, .tv_nsec = d->retry_at_ns % 1000000000};
        bool is_time = false;
        pthread_mutex_lock(&d->wait_lock);
        while (!is_time && !atomic_load(&d->is_hurried)) {
                is_time = atomic_exchange(&d->wants_retry, false);
                if (!is_time)
                        is_time = pthread_cond_timedwait(&d->hurried, &d->wait_lock, &until) == ETIMEDOUT;
        }
        pthread_mutex_unlock(&d->wait_lock);
        return is_time;
}

/* The destination is away. True: the time to try again has come. False: suspended, the records are missed. */
static bool back_off(struct delivery *d) {
        const struct action_settings *a = d->plan.action;
        bool may_retry = a->resume_retry_count < 0 || d->retries < a->resume_retry_count;
        suspend(d, may_retry);
        d->state = may_retry ? DELIVERY_RETRYING : DELIVERY_SUSPENDED;
        d->retries++;
        return may_retry && !d->is_attempt && wait_for_retry(d);
}

/*
 * A destination that has just taken something and then failed is asked once whether it is back already: a server
 * that was restarted, a program that ended. True: try the same records again.
 */
static bool try_at_once(struct delivery *d) {
        if (!d->may_try_at_once || !d->ops->resume || atomic_load(&d->is_hurried))
                return false;
        d->may_try_at_once = false;
        if (d->ops->resume(d->instance) != DELIVER_DONE)
                return false;
        counter_add(&d->counters.suspended, 1);
        counter_add(&d->counters.resumed, 1);
        if (d->plan.reports_suspension) {
                report_suspended(d, "retry 0");
                report_resumed(d);
        }
        return true;
}

/* ---- Held by hand ---------------------------------------------------------- */

static void wake(struct delivery *d) {
        pthread_mutex_lock(&d->wait_lock);
        pthread_cond_broadcast(&d->hurried);
        pthread_mutex_unlock(&d->wait_lock);
}

void delivery_hold(struct delivery *d) {
        if (!atomic_exchange(&d->is_held, true))
                observe(d->plan.observer, NOTICE_ACTION_SUSPENDED, d->plan.name, "by hand");
}

void delivery_release(struct delivery *d) {
        atomic_store(&d->wants_retry, true);
        bool was_held = atomic_exchange(&d->is_held, false);
        if (was_held && d->state == DELIVERY_READY)
                observe(d->plan.observer, NOTICE_ACTION_RESUMED, d->plan.name, "");
        wake(d);
}

/*
 * A queue keeps what it has, so its worker waits. False: the records are missed, or the daemon ends, or this run waits
 * for nothing.
 */
static bool wait_for_release(struct delivery *d) {
        pthread_mutex_lock(&d->wait_lock);
        while (d->queue && !d->is_attempt && atomic_load(&d->is_held) && !atomic_load(&d->is_hurried))
                pthread_cond_wait(&d->hurried, &d->wait_lock);
        pthread_mutex_unlock(&d->wait_lock);
        return !atomic_load(&d->is_held);
}

static void reopen_if_wanted(struct delivery *d) {
        if (!atomic_exchange(&d->wants_reopen, false))
                return;
        if (d->ops->reopen)
                d->ops->reopen(d->instance);
        if (d->error_file >= 0) {
                close(d->error_file);
                d->error_file = -1;
        }
}

/* Whether the output can be given something now. */
static bool is_ready(struct delivery *d) {
        if (UNLIKELY(atomic_load_explicit(&d->is_held, memory_order_relaxed)) && !wait_for_release(d))
                return false;
        while (d->state != DELIVERY_READY) {
                /* Who waits for a destination hears a HUP too: it may bring what was missing. */
                reopen_if_wanted(d);
                if (atomic_load(&d->is_hurried))
                        return false;
                bool must_wait = d->state == DELIVERY_SUSPENDED || d->is_attempt;
                if (must_wait && clock_mono_ns() < d->retry_at_ns && !atomic_exchange(&d->wants_retry, false))
                        return false;
                fail_forget();
                if (!d->ops->resume || d->ops->resume(d->instance) == DELIVER_DONE) {
                        /* Without a resume() the next delivery is the test; it reports then. */
                        if (d->ops->resume)
                                resume(d);
                        return true;
                }
                note_error(d, fail_last());
                if (!back_off(d))
                        return false;
        }
        return true;
}

/* ---- Refused records ---------------------------------------------------- */

static void print_refused(struct delivery *d, struct batch *b, struct record *r, int error, struct buffer *line) {
        struct text raw = batch_text(b, r->raw);
        buffer_format(line, "{ \"action\": \"");
        json_escape(line, text_of(d->plan.name));
        buffer_format(line, "\", \"status\": %d, \"reason\": \"", error ? -abs(error) : -1);
        json_escape(line, text_of(error ? fail_text(error) : "refused by the destination"));
        buffer_format(line, "\", \"rawmsg\": \"");
        json_escape(line, raw);
        buffer_byte(line, '"');
        for (int c = 0; c < d->columns; c++) {
                size_t start = line->size;
                buffer_format(line, ", \"param%d\": \"", c + 1);
                _owned_(buffer_fini) struct buffer text = {0};
                template_render(d->template[c], &d -> context, b, r, d -> format[c].is_path, &text);
                if (buffer_failed(&text)) {
                        line->size = start;
                        continue;
                }
                json_escape(line, buffer_as_text(&text));
                buffer_byte(line, '"');
        }
        buffer_format(line, " }\n");
}

static void write_error_file(struct delivery *d, struct batch *b, uint16_t index, int error) {
        const struct action_settings *a = d->plan.action;
        if (!a->error_file)
                return;
        _owned_(buffer_fini) struct buffer line = {0};
        print_refused(d, b, &b->records[index], error, &line);
        if (buffer_failed(&line))
                return;
        if (d->error_file < 0) {
                int r = file_open(&d->error_file, a->error_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                if (r) {
                        report(d->plan.reporter, SEVERITY_ERR, 0, "action '%s': cannot open its error file %s: %s",
                               d->plan.name, a->error_file, fail_text(r));
                        return;
                }
                off_t end = lseek(d->error_file, 0, SEEK_END);
                d->error_file_bytes = MAX(end, (off_t)0);
        }
        if (a->error_file_bytes_max > 0 && d->error_file_bytes + (int64_t)line.size > a->error_file_bytes_max)
                return;
        if (file_write_all(d->error_file, line.data, line.size) == 0)
                d->error_file_bytes += (int64_t)line.size;
}

/*
 * Keeps what is not delivered as dead letters, as far as it goes now: *done tells how far, and the time of the next try
 * has come. False: the daemon ends first. Whoever attempts waits for nothing, and leaves it to the queue.
 */
static bool keep_undelivered(struct delivery *d, struct batch *b, const uint16_t *rows, size_t count,
                             const char *reason, int error, size_t *done) {
        *done = 0;
        if (d->is_attempt)
                return false;
        if (undelivered_keep(d->undelivered, d->queue, b, rows, count, reason, error, done) == 0)
                return true;
        d->retry_at_ns = clock_mono_ns() + MAX(interval_s(d), (int64_t)1) * 1000000000;
        return wait_for_retry(d);
}

/*
 * Records that the destination will never take, not yet kept: many may come together, and share a sync.
 */
struct refusals {
        uint16_t at[REFUSALS_MAX]; /* in the selection, ascending */
        size_t count;
        int error; /* of all */
};

/* Counts them, and keeps them as dead letters and in action.errorfile. False: the daemon ends first; *at is the first
 * that could not be kept. */
static bool settle_refused(struct delivery *d, struct batch *b, const uint16_t *selection, struct refusals *refused,
                           size_t *at) {
        uint16_t rows[REFUSALS_MAX];
        for (size_t i = 0; i < refused->count; i++)
                rows[i] = selection[refused->at[i]];
        size_t kept = 0;
        for (bool goes_on = true; goes_on && kept < refused->count;) {
                size_t done;
                goes_on = keep_undelivered(d, b, rows + kept, refused->count - kept, "refused by the destination",
                                           refused->error, &done);
                kept += done;
        }
        counter_add(&d->counters.refused, kept);
        for (size_t i = 0; i < kept; i++)
                write_error_file(d, b, rows[i], refused->error);
        bool is_all = kept == refused->count;
        if (!is_all)
                *at = refused->at[kept];
        refused->count = 0;
        return is_all;
}

/* The record at *at is refused: the next one is on. False as above. */
static bool refuse(struct delivery *d, struct batch *b, const uint16_t *selection, struct refusals *refused, size_t *at,
                   int error) {
        bool is_other = refused->count && (refused->count == REFUSALS_MAX || refused->error != error);
        if (is_other && !settle_refused(d, b, selection, refused, at))
                return false;
        refused->error = error;
        refused->at[refused->count++] = (uint16_t)(*at)++;
        /* An attempt leaves it to the queue, and what is behind it. */
        return !d->is_attempt || settle_refused(d, b, selection, refused, at);
}

/* ---- Delivering --------------------------------------------------------- */

/* One transaction: begin, deliver, commit. What fails without a number has that of the failure on its way. */
static struct outcome transact(struct delivery *d, const struct work *work) {
        fail_forget();
        if (d->ops->begin) {
                enum verdict v = d->ops->begin(d->instance);
                if (v != DELIVER_DONE)
                        return (struct outcome){.verdict = v, .error = abs(fail_last())};
        }
        struct outcome o = d->ops->deliver(d->instance, work);
        assert(o.taken <= work->count);
        if (o.verdict == DELIVER_UNAVAILABLE && !o.error)
                o.error = abs(fail_last());
        if (d->ops->commit && o.taken > 0) {
                enum verdict v = d->ops->commit(d->instance);
                if (v != DELIVER_DONE && v != DELIVER_WILL_DELAY)
                        return (struct outcome){.verdict = v, .error = abs(fail_last())};
        }
        return o;
}

/* What became of the rows from *at on. False: no more can be done now. */
static bool follow(struct delivery *d, struct batch *b, const uint16_t *selection, size_t rows, struct outcome o,
                   struct refusals *refused, size_t *at) {
        switch (o.verdict) {
        case DELIVER_WILL_DELAY:
                d->will_delay = true;
                /* fall through */
        case DELIVER_DONE:
                resume(d);
                d->rows_limit = MIN(d->rows_limit * 2, (size_t)DELIVERY_ROWS_MAX);
                assert(o.taken > 0);
                return true;
        case DELIVER_UNAVAILABLE:
                if (o.taken)
                        resume(d);
                note_error(d, o.error);
                return settle_refused(d, b, selection, refused, at) && (try_at_once(d) || back_off(d));
        case DELIVER_REFUSED:
                resume(d);
                /* Where many are refused, what is behind them is not prepared again and again. */
                d->rows_limit = MIN(d->rows_limit, MAX(2 * o.taken, (size_t)ROWS_AFTER_REFUSAL));
                return refuse(d, b, selection, refused, at, o.error);
        case DELIVER_REFUSED_BATCH:
                resume(d);
                if (rows - o.taken == 1)
                        return refuse(d, b, selection, refused, at, o.error);
                d->rows_limit = (rows - o.taken + 1) / 2;
                return true;
        }
        return false;
}

/* Delivers rows in order. Returns how many are settled: taken or refused. */
static size_t deliver(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                      size_t count) {
        struct refusals refused = {0};
        size_t at = 0;
        for (bool goes_on = true; goes_on && at < count && is_ready(d);) {
                size_t rows = render(d, shared, b, selection + at, MIN(count - at, d->rows_limit));
                if (rows == 0)
                        break;
                struct work work = {.count = rows, .batch = b, .selection = selection + at};
                for (int c = 0; c < d->columns; c++)
                        work.column[c] = d->rows[c];
                struct outcome o = transact(d, &work);
                at += o.taken;
                d->may_try_at_once |= o.taken > 0;
                counter_add(&d->counters.processed, o.taken);
                if (o.verdict != DELIVER_DONE && o.verdict != DELIVER_WILL_DELAY)
                        d->last_error = o.error;
                goes_on = follow(d, b, selection, rows, o, &refused, &at);
        }
        settle_refused(d, b, selection, &refused, &at);
        return at;
}

/* ---- What an action lets through ----------------------------------------- */

static bool has_limits(const struct action_settings *a) {
        return a->exec_every_nth > 1 || a->exec_once_every_s > 0 || !a->writes_all_marks;
}

static bool is_wanted(struct delivery *d, const struct record *r, int64_t now_s) {
        const struct action_settings *a = d->plan.action;
        if ((r->flags & RECORD_IS_MARK) && !a->writes_all_marks && now_s - d->executed_s < MARK_PERIOD_S)
                return false;
        if (a->exec_every_nth > 1) {
                if (a->exec_every_nth_timeout_s > 0 && now_s - d->nth_since_s > a->exec_every_nth_timeout_s)
                        d->nth = 0;
                d->nth_since_s = now_s;
                if (++d->nth < a->exec_every_nth)
                        return false;
                d->nth = 0;
        }
        if (a->exec_once_every_s > 0 && d->executed_s && now_s - d->executed_s < a->exec_once_every_s)
                return false;
        d->executed_s = now_s;
        return true;
}

static size_t select_wanted(struct delivery *d, const struct batch *b, const uint16_t *selection, size_t count,
                            uint16_t *wanted) {
        int64_t now_s = clock_wall_coarse_us() / 1000000;
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
                if (is_wanted(d, &b->records[selection[i]], now_s))
                        wanted[kept++] = selection[i];
        return kept;
}

/* ---- Flushing what an output holds back ---------------------------------- */

static void arm_flush(void *argument);

/* The output is busy: the thread of the loop never waits for it. */
static void flush_later(struct delivery *d) {
        int64_t ms = delivery_is_suspended(d) ? DELIVERY_FLUSH_SUSPENDED_MS : DELIVERY_FLUSH_AGAIN_MS;
        atomic_store(&d->is_flush_armed, true);
        loop_arm(d->plan.housekeeping, &d->flush_timer, clock_mono_ns() + ms * 1000000);
}

static void flush_due(struct timer *timer) {
        struct delivery *d = CONTAINER_OF(timer, struct delivery, flush_timer);
        atomic_store(&d->is_flush_armed, false);
        int64_t due_ns;
        if (pthread_mutex_trylock(&d->lock)) {
                flush_later(d);
                return;
        }
        if (d->ops->pending(d->instance, &due_ns) && due_ns <= clock_mono_ns())
                d->ops->flush(d->instance);
        bool is_pending = d->ops->pending(d->instance, &due_ns);
        pthread_mutex_unlock(&d->lock);
        if (is_pending)
                arm_flush(d);
}

/* On the housekeeping thread. */
static void arm_flush(void *argument) {
        struct delivery *d = argument;
        int64_t due_ns;
        if (pthread_mutex_trylock(&d->lock)) {
                flush_later(d);
                return;
        }
        bool is_pending = d->ops->pending(d->instance, &due_ns);
        pthread_mutex_unlock(&d->lock);
        atomic_store(&d->is_flush_armed, is_pending);
        if (is_pending)
                loop_arm(d->plan.housekeeping, &d->flush_timer, due_ns);
}

static void schedule_flush(struct delivery *d) {
        int64_t due_ns;
        if (!d->ops->pending || !d->plan.housekeeping || atomic_load(&d->is_flush_armed))
                return;
        if (!d->ops->pending(d->instance, &due_ns) || atomic_exchange(&d->is_flush_armed, true))
                return;
        if (loop_post(d->plan.housekeeping, arm_flush, d))
                atomic_store(&d->is_flush_armed, false);
}

/* ---- Submitting ---------------------------------------------------------- */

/*
 * Retries are used up: what must not be lost goes to the dead letters, or is tried once more where they take nothing.
 * Returns how many of the rows need nobody any more.
 */
static size_t give_up(struct delivery *d, struct batch *b, const uint16_t *rows, size_t count) {
        size_t at = 0;
        for (bool goes_on = true; goes_on && at < count;) {
                bool is_held = atomic_load(&d->is_held);
                const char *reason = is_held ? "suspended by hand" : "given up after action.resumeRetryCount retries";
                size_t done;
                goes_on = keep_undelivered(d, b, rows + at, count - at, reason, is_held ? 0 : d->last_error, &done);
                at += done;
                if (goes_on && at < count)
                        at += deliver(d, NULL, b, rows + at, count - at);
        }
        return at;
}

/* Of a direct delivery: while the daemon ends, whoever sent them keeps them. */
static void lose_or_give_up(struct delivery *d, struct batch *b, const uint16_t *rows, size_t count) {
        if (atomic_load(&d->is_hurried) || give_up(d, b, rows, count) < count)
                batch_lose(b);
}

void delivery_give_up(struct delivery *d, struct batch *b, const uint16_t *rows, size_t count) {
        pthread_mutex_lock(&d->lock);
        lose_or_give_up(d, b, rows, count);
        pthread_mutex_unlock(&d->lock);
}

/*
 * Works on the caller's thread. Returns how many records were missed; their numbers in `missed`. A queue keeps those
 * that were missed because the daemon ends, or in an attempt; others are given up.
 */
static size_t run(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                  size_t count, uint16_t *missed, bool is_attempt) {
        uint16_t wanted[BATCH_RECORDS_MAX];
        pthread_mutex_lock(&d->lock);
        atomic_fetch_add(&d->working, count);
        d->is_attempt = is_attempt;
        d->will_delay = false;
        reopen_if_wanted(d);
        const uint16_t *rows = selection;
        size_t row_count = count;
        if (has_limits(d->plan.action)) {
                row_count = select_wanted(d, b, selection, count, wanted);
                rows = wanted;
        }
        size_t settled = deliver(d, shared, b, rows, row_count);
        bool is_kept = is_attempt || (d->queue && atomic_load(&d->is_hurried));
        if (settled < row_count && !is_kept) {
                size_t failed = row_count - settled;
                if (d->queue)
                        failed = give_up(d, b, rows + settled, failed);
                else if (!missed)
                        lose_or_give_up(d, b, rows + settled, failed);
                counter_add(&d->counters.failed, failed);
                settled += d->queue ? failed : 0;
        }
        size_t lost = row_count - settled;
        if (missed && lost)
                memcpy(missed, rows + settled, lost * sizeof *missed);
        if (lost && !d->queue && atomic_load(&d->is_hurried))
                batch_lose(b);
        d->is_attempt = false;
        reopen_if_wanted(d);
        schedule_flush(d);
        atomic_fetch_sub(&d->working, count);
        pthread_mutex_unlock(&d->lock);
        return lost;
}

/* ---- A limit that is shared ---------------------------------------------- */

enum { CODE_RATE_LIMITED = 2177 };

static void tell_limit(struct delivery *d, const struct ratelimit *limit, uint64_t lost, bool begins) {
        if (lost)
                report(d->plan.reporter, SEVERITY_INFO, CODE_RATE_LIMITED,
                       "action '%s': %llu messages lost due to rate-limiting by '%s' (%lld allowed within %lld "
                       "seconds)",
                       d->plan.name, (unsigned long long)lost, shared_limit_name(limit->shared),
                       (long long)limit->burst, (long long)limit->interval_s);
        if (begins)
                report(d->plan.reporter, SEVERITY_INFO, CODE_RATE_LIMITED,
                       "action '%s': begin to drop messages due to rate-limiting by '%s'", d->plan.name,
                       shared_limit_name(limit->shared));
}

/* The records that the limit lets through. Several threads may submit, so what one counts with is its own. */
static size_t select_within_limit(struct delivery *d, struct batch *b, const uint16_t *selection, size_t count,
                                  uint16_t *within) {
        struct ratelimit limit;
        ratelimit_share(&limit, d->plan.limit);
        if (limit.interval_s <= 0) {
                memcpy(within, selection, count * sizeof *within);
                return count;
        }
        unsigned severity_min = ratelimit_severity_min(&limit);
        int64_t now_us = clock_wall_us();
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct limited_message message = {.source = r->source, .batch = b, .record = r};
                uint64_t lost = 0;
                bool passes = r->severity < severity_min || ratelimit_pass_message(&limit, &message, now_us, &lost);
                if (passes)
                        within[kept++] = selection[i];
                tell_limit(d, &limit, lost, !passes && limit.discarded == 1);
        }
        return kept;
}

static size_t submit(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                     size_t count, uint16_t *missed) {
        if (count == 0)
                return 0;
        tap_offer(d->plan.tap, TAP_ACTION, d->plan.name, d, b, selection, count);
        if (!d->queue)
                return run(d, shared, b, selection, count, missed, false);
        struct batch *view = batch_view(b, selection, count);
        if (view) {
                /* The sender was held at the ruleset's queue already; this one may only wait its time-out. */
                queue_push(d->queue, view, FLOW_WITHIN);
                return 0;
        }
        counter_add(&d->counters.failed, count);
        return 0;
}

static size_t submit_within_limit(struct delivery *d, struct renderings *shared, struct batch *b,
                                  const uint16_t *selection, size_t count, uint16_t *missed) {
        uint16_t within[BATCH_RECORDS_MAX];
        count = select_within_limit(d, b, selection, count, within);
        return submit(d, shared, b, within, count, missed);
}

size_t delivery_submit_with(struct delivery *d, struct renderings *shared, struct batch *b, const uint16_t *selection,
                            size_t count, uint16_t *missed) {
        if (UNLIKELY(d->plan.limit != NULL) && !d->paces)
                return submit_within_limit(d, shared, b, selection, count, missed);
        return submit(d, shared, b, selection, count, missed);
}

/* Returns how many records from `first` on are done with. */
static uint32_t run_range(struct delivery *d, struct batch *b, uint32_t first, uint32_t count, bool is_attempt) {
        uint16_t selection[BATCH_RECORDS_MAX], missed[BATCH_RECORDS_MAX];
        for (uint32_t i = 0; i < count; i++)
                selection[i] = (uint16_t)(first + i);
        size_t lost = run(d, NULL, b, selection, count, missed, is_attempt);
        return lost ? missed[0] - first : count;
}

/* Waits for the next window; false when the daemon ends first. */
static bool wait_for_window(struct delivery *d, int64_t wait_us) {
        int64_t due_ns = clock_mono_ns() + MAX(wait_us, (int64_t)1) * 1000;
        struct timespec until = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
        bool is_time = false;
        pthread_mutex_lock(&d->wait_lock);
        while (!is_time && !atomic_load(&d->is_hurried))
                is_time = pthread_cond_timedwait(&d->hurried, &d->wait_lock, &until) == ETIMEDOUT;
        pthread_mutex_unlock(&d->wait_lock);
        return is_time;
}

/* As many as the limit lets through, and then the rest; what is left when the daemon ends stays with the queue. */
static uint32_t run_paced(struct delivery *d, struct batch *b, uint32_t first, uint32_t count) {
        for (uint32_t at = 0; at < count;) {
                int64_t wait_us;
                uint32_t granted = shared_limit_grant(d->plan.limit, count - at, clock_wall_us(), &wait_us);
                uint32_t settled = granted ? run_range(d, b, first + at, granted, false) : 0;
                at += settled;
                if (settled < granted || (at < count && !wait_for_window(d, wait_us)))
                        return at;
        }
        return count;
}

static uint32_t consume(void *consumer, unsigned worker _unused_, struct batch *b, uint32_t first, uint32_t count) {
        struct delivery *d = consumer;
        return d->paces ? run_paced(d, b, first, count) : run_range(d, b, first, count, false);
}

static uint32_t attempt(void *consumer, struct batch *b, uint32_t first, uint32_t count, bool *will_delay) {
        struct delivery *d = consumer;
        int64_t wait_us;
        if (d->paces)
                count = shared_limit_grant(d->plan.limit, count, clock_wall_us(), &wait_us);
        uint32_t taken = count ? run_range(d, b, first, count, true) : 0;
        *will_delay = d->will_delay || delivery_is_suspended(d);
        return taken;
}

void delivery_hurry(struct delivery *d) {
        pthread_mutex_lock(&d->wait_lock);
        atomic_store(&d->is_hurried, true);
        pthread_cond_broadcast(&d->hurried);
        pthread_mutex_unlock(&d->wait_lock);
        if (d->ops->hurry)
                d->ops->hurry(d->instance);
}

static void hurry(void *consumer) {
        delivery_hurry(consumer);
}

void delivery_reopen(struct delivery *d) {
        undelivered_let_go(d->undelivered, d->queue);
        atomic_store(&d->wants_reopen, true);
        if (pthread_mutex_trylock(&d->lock))
                return; /* whoever works does it next */
        reopen_if_wanted(d);
        pthread_mutex_unlock(&d->lock);
}

/* ---- Life ---------------------------------------------------------------- */

static int find_templates(struct delivery *d) {
        int columns = d->ops->columns ? d->ops->columns(d->plan.settings, d->plan.module_settings, d->format) : 0;
        if (columns < 0)
                return pass(columns);
        assert(columns <= WORK_COLUMNS_MAX);
        for (int c = 0; c < columns; c++) {
                const char *name = d->format[c].name ? d->format[c].name : d->format[c].dflt;
                d->template[c] = d->plan.find_template(d->plan.owner, name);
                if (!d->template[c]) {
                        report(d->plan.reporter, SEVERITY_ERR, 3003,
                               "action '%s': could not find template '%s' - action disabled", d->plan.name, name);
                        return fail(-ENOENT);
                }
                d->rows[c] = malloc(DELIVERY_ROWS_MAX * sizeof *d->rows[c]);
                if (!d->rows[c])
                        return fail(-ENOMEM);
        }
        d->columns = columns;
        return 0;
}

static int open_queue(struct delivery *d) {
        const struct delivery_plan *plan = &d->plan;
        struct queue_consumer consumer = {.consume = consume, .attempt = attempt, .hurry = hurry, .consumer = d};
        int r = queue_new(&d->queue, plan->name, plan->queue, consumer, plan->reporter);
        if (r)
                return pass(r);
        if (plan->budget)
                queue_share_budget(d->queue, plan->budget);
        return 0;
}

int delivery_new(struct delivery **ret, const struct delivery_plan *plan) {
        _owned_(delivery_free) struct delivery *d = calloc(1, sizeof *d);
        if (!d)
                return fail(-ENOMEM);
        d->paces = plan->limit && shared_limit_paces(plan->limit);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&d->lock, NULL);
        pthread_mutex_init(&d->wait_lock, NULL);
        pthread_cond_init(&d->hurried, &monotonic);
        pthread_condattr_destroy(&monotonic);
        d->plan = *plan;
        d->ops = plan->module->output;
        d->error_file = -1;
        d->rows_limit = DELIVERY_ROWS_MAX;
        d->flush_timer.fire = flush_due;
        d->listener.reporter.emit = listen_and_pass;
        d->listener.next = plan->reporter;
        pthread_mutex_init(&d->listener.lock, NULL);
        module_log_reporter_init(&d->log, &d->listener.reporter, NULL);
        d->context = *plan->context;
        d->module_counters = calloc(module_counter_count(plan->module) + 1, sizeof *d->module_counters);
        if (!d->module_counters)
                return fail(-ENOMEM);
        int r = find_templates(d);
        if (r == 0)
                r = undelivered_new(&d->undelivered, &d->plan);
        if (r)
                return pass(r);
        struct output_host host = {.log = &d->log.log,
                                   .module_settings = plan->module_settings,
                                   .counters = d->module_counters,
                                   .facts = plan->facts};
        r = d->ops->open(&d->instance, &host, plan->settings);
        if (r)
                return pass(r);
        if (plan->queue->type != QUEUE_DIRECT) {
                r = open_queue(d);
                if (r)
                        return pass(r);
                queue_observe(d->queue, plan->observer);
        }
        *ret = TAKE(d);
        return 0;
}

int delivery_open_disk(struct delivery *d) {
        if (!d->queue || !d->plan.place)
                return 0;
        int r = queue_open(d->queue, d->plan.place);
        return r ? pass(r) : queue_start(d->queue);
}

int delivery_start(struct delivery *d, bool waits) {
        if (!d->queue)
                return 0;
        int r = d->plan.place && !waits ? queue_open(d->queue, d->plan.place) : 0;
        if (r && d->plan.aborts_on_failed_queue)
                return pass(r);
        return queue_start(d->queue);
}

uint64_t delivery_stop(struct delivery *d) {
        uint64_t left = d->queue ? queue_stop(d->queue) : 0;
        delivery_hurry(d);
        return left;
}

struct delivery *delivery_free(struct delivery *d) {
        if (!d)
                return NULL;
        if (d->plan.housekeeping)
                loop_disarm(d->plan.housekeeping, &d->flush_timer);
        d->queue = queue_free(d->queue);
        undelivered_free(d->undelivered);
        if (d->instance)
                d->ops->close(d->instance);
        if (d->error_file >= 0)
                close(d->error_file);
        for (int c = 0; c < WORK_COLUMNS_MAX; c++) {
                buffer_fini(&d->rendered[c]);
                free(d->rows[c]);
        }
        buffer_fini(&d->context.scratch);
        free(d->module_counters);
        pthread_mutex_destroy(&d->lock);
        pthread_mutex_destroy(&d->wait_lock);
        pthread_mutex_destroy(&d->listener.lock);
        pthread_cond_destroy(&d->hurried);
        free(d);
        return NULL;
}
