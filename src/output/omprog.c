/*
 * omprog: hands messages to a program of the user's, on its standard input.
 *
 *   (no child) -> RUNS        a message comes, or delivery asks whether we are back   ensure_child()
 *   RUNS       -> (no child)  it ended, did not answer, or answered nonsense          end_child()
 *
 * Without confirmation a message is delivered when the pipe has taken it. What the program did not read
 * when it ended is lost with it; that is what confirmMessages is for. With it the program answers each
 * message by one line: OK (this one and all before are safe), DEFER_COMMIT (taken, safe at the end of the
 * transaction), PREVIOUS_COMMITTED (those before are safe), or anything else: try again later.
 *
 * One thread owns an instance. `output` adds a thread that sleeps on what the program says and copies
 * it to a file; the two share only the file's descriptor, under a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "io/file.h"
#include "io/process.h"
#include "module/child.h"
#include "module/module.h"

enum {
        ANSWER_BYTES_MAX = 4096,
        CAPTURE_BYTES = 16 << 10,
        STALL_MS = 60000,     /* a program that reads nothing for so long is away */
        SHORT_LIFE_MS = 1000, /* one that ends sooner is not started again at once */
        KILLED_MS = 1000,     /* to be gone after SIGKILL */
        CHILD_DIED = 2119,    /* rsyslog's number */
        EITHER_AUTO = 8,      /* in either_choices */
};

struct omprog_settings {
        char *binary;
        char *template;
        bool confirms;
        int64_t confirm_timeout_ms;
        bool reports_failures;
        bool uses_transactions;
        char *begin_mark, *commit_mark;
        bool is_single;
        int hup_signal; /* place in hup_choices */
        bool signals_on_close;
        int64_t close_timeout_ms;
        int kills_unresponsive; /* place in either_choices */
        char *output;
        int64_t create_mode;
};

static const char *const hup_choices[] = {"none", "HUP", "USR1", "USR2", "INT", "TERM", NULL};
static const int hup_signals[] = {0, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGTERM};

/* A boolean that may be left to another. Odd numbers mean on, so that every spelling has one. */
static const char *const either_choices[] = {"off", "on", "no", "yes", "false", "true", "0", "1", "auto", NULL};

static const struct param omprog_params[] = {
        PARAM_STRING(struct omprog_settings, binary, .name = "binary", .legacy = "ActionOMProgBinary",
                     .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "Path of the program and its arguments, separated by blanks; between double quotes blanks "
                             "do not separate."),
        PARAM_TEMPLATE(struct omprog_settings, template, .name = "template",
                       .help = "What is written for a message; RSYSLOG_FileFormat where it is not set."),
        PARAM_BOOL(struct omprog_settings, confirms, .name = "confirmmessages", .dflt = "off",
                   .help = "The program answers its start and every message by a line: OK, DEFER_COMMIT, "
                           "PREVIOUS_COMMITTED, or what went wrong."),
        PARAM_INT(struct omprog_settings, confirm_timeout_ms, .name = "confirmtimeout", .dflt = "10000", .min = 1,
                  .max = INT32_MAX, .unit = "milliseconds",
                  .help = "A program that does not answer for so long is started again."),
        PARAM_BOOL(struct omprog_settings, reports_failures, .name = "reportfailures", .dflt = "off",
                   .help = "Reports what the program answers other than success."),
        PARAM_BOOL(struct omprog_settings, uses_transactions, .name = "usetransactions", .dflt = "off",
                   .help = "Batches are framed by beginTransactionMark and commitTransactionMark."),
        PARAM_STRING(struct omprog_settings, begin_mark, .name = "begintransactionmark", .dflt = "BEGIN TRANSACTION",
                     .help = "Line before the first message of a transaction."),
        PARAM_STRING(struct omprog_settings, commit_mark, .name = "committransactionmark", .dflt = "COMMIT TRANSACTION",
                     .help = "Line behind the last message of a transaction."),
        PARAM_BOOL(struct omprog_settings, is_single, .name = "forcesingleinstance", .dflt = "off",
                   .flags = PARAM_IS_IGNORED, .help = "An action always runs one instance of its program."),
        PARAM_CHOICE(struct omprog_settings, hup_signal, .name = "hup.signal", .dflt = "none", .choices = hup_choices,
                     .help = "Signal that the program gets when this daemon gets HUP."),
        PARAM_BOOL(struct omprog_settings, signals_on_close, .name = "signalonclose", .dflt = "off",
                   .help = "The program gets TERM before its input is closed."),
        PARAM_INT(struct omprog_settings, close_timeout_ms, .name = "closetimeout", .dflt = "5000", .min = 0,
                  .max = INT32_MAX, .unit = "milliseconds",
                  .help = "How long a program may take to end when its input was closed."),
        PARAM_CHOICE(struct omprog_settings, kills_unresponsive, .name = "killunresponsive", .dflt = "auto",
                     .choices = either_choices,
                     .help = "A program that takes longer is killed, else left alone; auto: as signalOnClose."),
        PARAM_STRING(struct omprog_settings, output, .name = "output",
                     .help = "File that gets what the program writes to its standard error, and without "
                             "confirmMessages to its standard output; opened again on HUP."),
        PARAM_MODE(struct omprog_settings, create_mode, .name = "filecreatemode", .dflt = "0600",
                   .help = "Mode that the output file is created with."),
        {}};

/* The program's output on its way to a file. */
struct capture {
        struct module_log *log;
        const char *path;
        mode_t mode;
        int from[2]; /* the child writes to [1] */
        int stop[2]; /* [1] is written to at the end */
        pthread_t thread;
        bool is_running;
        pthread_mutex_t lock; /* guards file */
        int file;
        bool is_failing; /* reported already */
};

struct omprog {
        const struct omprog_settings *settings;
        struct module_log *log;
        const struct host_facts *facts;
        char **arguments;
        struct process child;
        int64_t started_ns;
        struct buffer unsent; /* the rest of a message of which the pipe took a part */
        bool is_in_transaction;
        struct capture *capture;
};

/* ---- Capturing ---------------------------------------------------------- */

static void capture_open_file(struct capture *c) {
        pthread_mutex_lock(&c->lock);
        c->file = file_close(c->file);
        int r = file_open(&c->file, c->path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, c->mode);
        pthread_mutex_unlock(&c->lock);
        if (r)
                module_report(c->log, SEVERITY_ERR, 0,
                              "omprog: error opening output file %s: %s; output from program will be discarded",
                              c->path, fail_text(r));
}

static void capture_write(struct capture *c, struct text t) {
        pthread_mutex_lock(&c->lock);
        int r = c->file >= 0 ? file_write_all(c->file, t.data, t.size) : 0;
        pthread_mutex_unlock(&c->lock);
        if (r && !c->is_failing)
                module_report(c->log, SEVERITY_ERR, 0,
                              "omprog: error writing to output file %s: %s (subsequent errors will not be reported)",
                              c->path, fail_text(r));
        if (!r && c->is_failing)
                module_report(c->log, SEVERITY_INFO, 0, "omprog: resumed writing to output file %s", c->path);
        c->is_failing = r != 0;
}

static void *capture_run(void *argument) {
        struct capture *c = argument;
        char bytes[CAPTURE_BYTES];
        for (;;) {
                int ready = pipe_await_either(c->from[0], c->stop[0]);
                if (ready < 0)
                        return NULL;
                ssize_t n = pipe_read(c->from[0], bytes, sizeof bytes, 0);
                if (n > 0)
                        capture_write(c, (struct text){bytes, (size_t)n});
                else if (n == 0 || (ready & 2)) /* nobody writes any more; or we end, and all is read */
                        return NULL;
        }
}

static struct capture *capture_free(struct capture *c) {
        if (!c)
                return NULL;
        c->from[1] = file_close(c->from[1]);
        if (c->is_running) {
                (void)!file_write_all(c->stop[1], "", 1);
                pthread_join(c->thread, NULL);
        }
        file_close(c->from[0]);
        file_close(c->stop[0]);
        file_close(c->stop[1]);
        file_close(c->file);
        pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
}
OWNED_POINTER(struct capture, capture_free);

static int capture_start(struct capture *c) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&c->thread, NULL, capture_run, c);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        c->is_running = r == 0;
        return r ? fail(-r) : 0;
}

static int capture_new(struct capture **ret, const struct omprog_settings *settings, struct module_log *log) {
        _owned_(capture_free) struct capture *c = calloc(1, sizeof *c);
        if (!c)
                return fail(-ENOMEM);
        *c = (struct capture){.log = log,
                              .path = settings->output,
                              .mode = (mode_t)settings->create_mode,
                              .from = {-1, -1},
                              .stop = {-1, -1},
                              .file = -1};
        pthread_mutex_init(&c->lock, NULL);
        int r = pipe_open(c->from);
        if (r == 0)
                r = pipe_open(c->stop);
        if (r == 0)
                r = pipe_unblock(c->from[0]);
        if (r)
                return pass(r);
        capture_open_file(c);
        r = capture_start(c);
        if (r)
                return pass(r);
        *ret = TAKE(c);
        return 0;
}

/* ---- The child ---------------------------------------------------------- */

static const char *program(const struct omprog *o) {
        return o->arguments[0];
}

static bool kills(const struct omprog_settings *s) {
        return s->kills_unresponsive == EITHER_AUTO ? s->signals_on_close : s->kills_unresponsive & 1;
}

/* Waits for its end, at most so long, and tells how it ended. */
static bool await_end(struct omprog *o, int64_t timeout_ms) {
        pid_t pid = o->child.pid;
        if (!process_await(&o->child, timeout_ms))
                return false;
        if (pid)
                child_report_end(o->log, o->facts, program(o), pid, o->child.status);
        return true;
}

/* TERM if asked for, end of its input, time to end, KILL if asked for. */
static void end_child(struct omprog *o) {
        const struct omprog_settings *s = o->settings;
        struct process *child = &o->child;
        o->is_in_transaction = false;
        buffer_clear(&o->unsent);
        if (child->pid && s->signals_on_close)
                process_signal(child, SIGTERM);
        child->input = file_close(child->input);
        if (!await_end(o, s->close_timeout_ms)) {
                module_report(o->log, SEVERITY_WARNING, 0,
                              "omprog: program '%s' (pid %ld) did not terminate within timeout (%lld ms); %s",
                              program(o), (long)child->pid, (long long)s->close_timeout_ms,
                              kills(s) ? "killing it" : "ignoring it");
                if (kills(s)) {
                        process_signal(child, SIGKILL);
                        await_end(o, KILLED_MS);
                }
        }
        process_fini(child);
}

/* It ended by itself. */
static void bury_child(struct omprog *o, pid_t pid) {
        module_report(o->log, SEVERITY_ERR, CHILD_DIED, "omprog: program '%s' (pid %ld) terminated; will be restarted",
                      program(o), (long)pid);
        end_child(o);
}

enum answer { ANSWER_OK = 1, ANSWER_DEFERRED, ANSWER_PREVIOUS, ANSWER_FAILURE };

static int understand(struct omprog *o, struct text line) {
        if (text_equal(line, TEXT("OK")))
                return ANSWER_OK;
        if (text_equal(line, TEXT("DEFER_COMMIT")))
                return ANSWER_DEFERRED;
        if (text_equal(line, TEXT("PREVIOUS_COMMITTED")))
                return ANSWER_PREVIOUS;
        if (o->settings->reports_failures)
                module_report(o->log, SEVERITY_WARNING, 0, "omprog: program '%s' returned: %.*s", program(o),
                              TEXT_ARGS(line));
        return ANSWER_FAILURE;
}

/* Whoever answers nonsense is out of step with us, and starts anew. */
static int mistrust(struct omprog *o, const char *what, struct text line) {
        module_report(o->log, SEVERITY_ERR, 0, "omprog: program '%s' returned a %s response; will be restarted: %.*s",
                      program(o), what, TEXT_ARGS(text_slice(line, 0, 200)));
        end_child(o);
        return fail(-EPROTO);
}

/* Waits for the line that answers what was sent: an enum answer, or -errno with the child ended. */
static int await_answer(struct omprog *o) {
        char bytes[ANSWER_BYTES_MAX];
        int64_t until_ns = clock_mono_ns() + o->settings->confirm_timeout_ms * 1000000;
        pid_t pid = o->child.pid;
        for (size_t size = 0;;) {
                int64_t left_ms = MAX((until_ns - clock_mono_ns()) / 1000000, INT64_C(0));
                ssize_t n = pipe_read(o->child.output, bytes + size, sizeof bytes - size, left_ms);
                if (n == -ETIMEDOUT) {
                        module_report(o->log, SEVERITY_WARNING, 0,
                                      "omprog: program '%s' (pid %ld) did not respond within timeout (%lld ms); will "
                                      "be restarted",
                                      program(o), (long)pid, (long long)o->settings->confirm_timeout_ms);
                        end_child(o);
                        return fail(-ETIMEDOUT);
                }
                if (n <= 0) {
                        bury_child(o, pid);
                        return fail(-EPIPE);
                }
                const char *lf = memchr(bytes + size, '\n', (size_t)n);
                size += (size_t)n;
                if (lf && lf + 1 < bytes + size)
                        return mistrust(o, "multiline", (struct text){bytes, size});
                if (lf)
                        return understand(o, (struct text){bytes, (size_t)(lf - bytes)});
                if (size == sizeof bytes)
                        return mistrust(o, "too long", (struct text){bytes, size});
        }
}

static int start_child(struct omprog *o) {
        const struct omprog_settings *s = o->settings;
        int captured = o->capture ? o->capture->from[1] : -1;
        struct process_plan plan = {
                .arguments = o->arguments,
                .input = PROCESS_PIPE,
                .output = s->confirms ? PROCESS_PIPE : captured,
                .error = captured,
        };
        int r = process_start(&o->child, &plan);
        if (r) {
                module_report(o->log, SEVERITY_ERR, CHILD_DIED, "omprog: failed to execute program '%s': %s",
                              program(o), fail_text(r));
                return pass(r);
        }
        o->started_ns = clock_mono_ns();
        if (!s->confirms)
                return 0;
        int answer = await_answer(o);
        if (answer < 0)
                return pass(answer);
        if (answer == ANSWER_OK)
                return 0;
        end_child(o);
        return fail(-EAGAIN);
}

static bool was_short(const struct omprog *o) {
        return clock_mono_ns() - o->started_ns < SHORT_LIFE_MS * INT64_C(1000000);
}

/* A running child, or -errno. One that ended soon after its start is not started again at once. */
static int ensure_child(struct omprog *o) {
        pid_t pid = o->child.pid;
        if (pid && await_end(o, 0)) {
                bury_child(o, pid);
                if (was_short(o))
                        return fail(-ECHILD);
        }
        return o->child.pid ? 0 : pass(start_child(o));
}

/* The child that was told of the transaction's begin, which is the one that has to hear of its end; or -errno. */
static int keep_child(struct omprog *o) {
        pid_t pid = o->child.pid;
        if (pid && await_end(o, 0))
                bury_child(o, pid);
        return o->is_in_transaction ? 0 : fail(-ECONNRESET);
}

/* ---- Sending ------------------------------------------------------------ */

/* All of it, or -errno: -ETIMEDOUT with the rest in `unsent`, or the child is gone. *done as in pipe_write(). */
static int send(struct omprog *o, struct text t, size_t *done) {
        pid_t pid = o->child.pid;
        int r = pipe_write(o->child.input, t.data, t.size, STALL_MS, done);
        if (r && r != -ETIMEDOUT)
                bury_child(o, pid);
        return pass(r);
}

/* What an earlier attempt left in the middle of a message goes first. */
static int send_unsent(struct omprog *o) {
        if (o->unsent.size == 0)
                return 0;
        _owned_(buffer_fini) struct buffer rest = o->unsent;
        o->unsent = (struct buffer){0};
        size_t done = 0;
        int r = send(o, buffer_as_text(&rest), &done);
        if (r == -ETIMEDOUT)
                buffer_text(&o->unsent, text_slice(buffer_as_text(&rest), done, rest.size));
        return pass(r);
}

/* How many of the rows from `from` on lie in `bytes`, the last perhaps in part; *rest is what it lacks. */
static size_t rows_in(const struct text *rows, size_t from, size_t count, size_t bytes, struct text *rest) {
        *rest = TEXT_NONE;
        size_t i = from;
        while (i < count && bytes >= rows[i].size)
                bytes -= rows[i++].size;
        if (i < count && bytes > 0)
                *rest = text_slice(rows[i], bytes, rows[i].size);
        return i - from;
}

/* Without confirmation: as much in one call as the pipe takes. Rows before `from` have been sent. */
static struct outcome send_all(struct omprog *o, const struct work *work, size_t from) {
        const struct text *rows = work->column[0];
        const char *end = rows[work->count - 1].data + rows[work->count - 1].size;
        struct text all = {rows[from].data, (size_t)(end - rows[from].data)}, rest;
        size_t done = 0;
        int r = send(o, all, &done);
        if (r == 0)
                return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
        size_t taken = from + rows_in(rows, from, work->count, done, &rest);
        if (r == -ETIMEDOUT && rest.size) {
                buffer_text(&o->unsent, rest);
                taken++; /* It is ours: its rest goes before all others. */
        }
        if (o->settings->uses_transactions)
                taken = 0;
        return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .taken = taken, .error = -r};
}

/* A program that ended after some time of work gets a successor at once, without a pause. */
static struct outcome send_all_twice(struct omprog *o, const struct work *work) {
        struct outcome outcome = send_all(o, work, 0);
        bool has_ended = outcome.error == EPIPE && !o->settings->uses_transactions;
        if (!has_ended || was_short(o) || ensure_child(o))
                return outcome;
        return send_all(o, work, outcome.taken);
}

/* With confirmation: one, and its answer. */
static struct outcome send_confirmed(struct omprog *o, const struct work *work) {
        bool defers = o->settings->uses_transactions;
        size_t safe = 0, i = 0;
        for (; i < work->count; i++) {
                size_t done = 0;
                int answer = send(o, work->column[0][i], &done);
                if (answer == -ETIMEDOUT)
                        end_child(o); /* in the middle of a message, before its answer: out of step */
                if (answer == 0)
                        answer = await_answer(o);
                if (answer < 0)
                        return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .taken = safe, .error = -answer};
                if (answer == ANSWER_PREVIOUS)
                        safe = i;
                if (answer == ANSWER_OK || (!defers && answer != ANSWER_FAILURE))
                        safe = i + 1;
                if (answer == ANSWER_FAILURE) {
                        o->is_in_transaction = false;
                        return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .taken = safe};
                }
        }
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

/* A mark, and its OK. */
static enum verdict send_mark(struct omprog *o, const char *mark) {
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_text(&line, text_of(mark));
        buffer_byte(&line, '\n');
        size_t done = 0;
        if (buffer_failed(&line))
                return DELIVER_UNAVAILABLE;
        int r = send(o, buffer_as_text(&line), &done);
        if (r == -ETIMEDOUT)
                end_child(o);
        if (r)
                return DELIVER_UNAVAILABLE;
        return !o->settings->confirms || await_answer(o) == ANSWER_OK ? DELIVER_DONE : DELIVER_UNAVAILABLE;
}

/* ---- Operations --------------------------------------------------------- */

static int omprog_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct omprog_settings *s = settings;
        if (!s || !s->binary)
                return 0;
        char **arguments;
        int r = process_split(&arguments, s->binary);
        if (r) {
                module_report_param(log, SEVERITY_ERR, "binary",
                                    r == -E2BIG ? "more than %d arguments" : "no binary to execute specified",
                                    PROCESS_ARGUMENTS_MAX);
                return -EINVAL;
        }
        free(arguments);
        if (s->create_mode != 0600 && !s->output) {
                module_report_param(log, SEVERITY_ERR, "filecreatemode",
                                    "omprog: the 'fileCreateMode' parameter requires specifying the 'output' "
                                    "parameter also");
                return -EINVAL;
        }
        return 0;
}

static int omprog_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omprog_settings *s = settings;
        columns[0] = (struct work_format){.name = s->template, .dflt = "RSYSLOG_FileFormat", .ends_with_lf = true};
        return 1;
}

static void omprog_close(void *instance);

static int omprog_open(void **ret, const struct output_host *host, const void *settings) {
        struct omprog *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->settings = settings;
        o->log = host->log;
        o->facts = host->facts;
        o->child = PROCESS_NONE;
        int r = process_split(&o->arguments, o->settings->binary);
        if (r == 0 && o->settings->output && !host->facts->is_checking)
                r = capture_new(&o->capture, o->settings, o->log);
        if (r) {
                module_report(o->log, SEVERITY_ERR, 0, "omprog: cannot run '%s': %s", o->settings->binary,
                              fail_text(r));
                omprog_close(o);
                return pass(r);
        }
        *ret = o;
        return 0;
}

static enum verdict omprog_begin(void *instance) {
        struct omprog *o = instance;
        if (ensure_child(o) || send_unsent(o))
                return DELIVER_UNAVAILABLE;
        if (!o->settings->uses_transactions)
                return DELIVER_DONE;
        enum verdict verdict = send_mark(o, o->settings->begin_mark);
        o->is_in_transaction = verdict == DELIVER_DONE;
        return verdict;
}

static struct outcome omprog_deliver(void *instance, const struct work *work) {
        struct omprog *o = instance;
        int r = o->settings->uses_transactions ? keep_child(o) : ensure_child(o);
        if (r == 0)
                r = send_unsent(o);
        if (r)
                return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .error = -r};
        return o->settings->confirms ? send_confirmed(o, work) : send_all_twice(o, work);
}

static enum verdict omprog_commit(void *instance) {
        struct omprog *o = instance;
        if (!o->settings->uses_transactions)
                return DELIVER_DONE;
        if (keep_child(o) || send_unsent(o))
                return DELIVER_UNAVAILABLE;
        o->is_in_transaction = false;
        return send_mark(o, o->settings->commit_mark);
}

static enum verdict omprog_resume(void *instance) {
        struct omprog *o = instance;
        return ensure_child(o) || send_unsent(o) ? DELIVER_UNAVAILABLE : DELIVER_DONE;
}

static void omprog_reopen(void *instance) {
        struct omprog *o = instance;
        if (o->capture)
                capture_open_file(o->capture);
        if (hup_signals[o->settings->hup_signal])
                process_signal(&o->child, hup_signals[o->settings->hup_signal]);
}

static void omprog_close(void *instance) {
        struct omprog *o = instance;
        end_child(o);
        o->capture = capture_free(o->capture);
        buffer_fini(&o->unsent);
        free(o->arguments);
        free(o);
}

static const struct output_ops omprog_ops = {
        .columns = omprog_columns,
        .open = omprog_open,
        .begin = omprog_begin,
        .deliver = omprog_deliver,
        .commit = omprog_commit,
        .resume = omprog_resume,
        .reopen = omprog_reopen,
        .close = omprog_close,
};

const struct module omprog_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omprog",
        .help = "Hands messages to a program of yours, on its standard input, with or without confirmation.",
        .settings = SETTINGS(struct omprog_settings, omprog_params),
        .check = omprog_check,
        .output = &omprog_ops,
};
