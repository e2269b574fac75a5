/*
 * mmexternal: a program of the user's changes messages. It gets each as a line and answers by a line of JSON, whose
 * members are what shall change: "msg", "hostname", "$!" and others (see change_property()).
 *
 *   (no child) -> RUNS        a message comes                                            ensure_child()
 *   RUNS       -> (no child)  it ended, did not answer in time, or answered without end  end_child()
 *
 * A child that ended between two messages gets a successor, which is asked again. One that never answered is not
 * followed at once: meanwhile messages stay as they are, which is reported. One child an action; workers take turns
 * by the batch, under the instance's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "io/file.h"
#include "io/process.h"
#include "message/change.h"
#include "module/module.h"

enum {
        REPLY_BYTES_MAX = 1 << 20,
        READ_BYTES = 16 << 10,
        STALL_MS = 60000,  /* a program that neither reads nor answers for so long is ended */
        PAUSE_MS = 1000,   /* before a program that never answered is started again */
        ENDING_MS = 5000,  /* for a program to end when its input was closed */
        KILLED_MS = 1000,  /* to be gone after SIGKILL */
        REPLY_SHOWN = 200, /* bytes of an invalid reply in the report */
        EXECUTE_FAILED = 2119,
        REPLY_INVALID = 2438, /* both rsyslog's numbers */
};

enum { INPUT_MSG, INPUT_RAW, INPUT_FULL_JSON };
static const char *const inputs[] = {"msg", "rawmsg", "fulljson", NULL};
static const char *const outputs[] = {"json", NULL};

struct mmexternal_settings {
        char *binary;
        int input, output;
        char *log_path;
        int64_t timeout_ms;
        bool is_single;
};

struct mmexternal {
        const struct mmexternal_settings *settings;
        struct module_log *log;
        pthread_mutex_t lock; /* guards the rest */
        char **arguments;
        struct process child;
        bool has_answered; /* the child, at least once */
        int64_t paused_until_ns;
        struct buffer line;  /* to the child */
        struct buffer reply; /* from the child; more than a line where it said more */
        int file;            /* settings->log_path, or -1 */
};

/* ---- The child ---------------------------------------------------------------- */

static void end_child(struct mmexternal *m) {
        if (!m->child.pid)
                return;
        process_signal(&m->child, SIGKILL);
        process_await(&m->child, KILLED_MS);
        process_fini(&m->child);
        m->child = PROCESS_NONE;
        buffer_clear(&m->reply);
        if (!m->has_answered)
                m->paused_until_ns = clock_mono_ns() + PAUSE_MS * INT64_C(1000000);
}

static int ensure_child(struct mmexternal *m) {
        if (m->child.pid)
                return 0;
        if (clock_mono_ns() < m->paused_until_ns)
                return -EAGAIN;
        struct process_plan plan = {
                .arguments = m->arguments, .input = PROCESS_PIPE, .output = PROCESS_PIPE, .error = -1};
        m->has_answered = false;
        int r = process_start(&m->child, &plan);
        if (r) {
                m->paused_until_ns = clock_mono_ns() + PAUSE_MS * INT64_C(1000000);
                module_report(m->log, SEVERITY_ERR, EXECUTE_FAILED,
                              "mmexternal: program '%s' cannot be executed: %s; messages stay as they are",
                              m->arguments[0], fail_text(r));
        }
        return r ? pass(r) : 0;
}

static int64_t timeout_ms(const struct mmexternal *m) {
        return m->settings->timeout_ms ? m->settings->timeout_ms : STALL_MS;
}

static int send_line(struct mmexternal *m) {
        size_t done = 0;
        return pipe_write(m->child.input, m->line.data, m->line.size, timeout_ms(m), &done);
}

/* The line that answers, without its end; it lies in m->reply. 0, or -errno. */
static int await_reply(struct mmexternal *m, struct text *ret) {
        int64_t until_ns = clock_mono_ns() + timeout_ms(m) * INT64_C(1000000);
        for (size_t searched = 0;;) {
                const char *lf = m->reply.size > searched
                                         ? memchr(m->reply.data + searched, '\n', m->reply.size - searched)
                                         : NULL;
                if (lf) {
                        *ret = (struct text){m->reply.data, (size_t)(lf - m->reply.data)};
                        return 0;
                }
                searched = m->reply.size;
                if (searched > REPLY_BYTES_MAX)
                        return fail(-E2BIG);
                if (!buffer_reserve(&m->reply, READ_BYTES))
                        return fail(-ENOMEM);
                int64_t left_ms = MAX((until_ns - clock_mono_ns()) / 1000000, INT64_C(0));
                ssize_t n = pipe_read(m->child.output, m->reply.data + searched, READ_BYTES, left_ms);
                if (n <= 0)
                        return n ? pass((int)n) : fail(-EPIPE);
                m->reply.size += (size_t)n;
        }
}

static int ask_once(struct mmexternal *m, struct text *reply) {
        int r = ensure_child(m);
        if (r)
                return r;
        r = send_line(m);
        if (!r)
                r = await_reply(m, reply);
        if (!r)
                m->has_answered = true;
        else
                end_child(m);
        return r;
}

/* A child that has worked and is gone is followed by another; the message was not answered, so it is asked. */
static int ask(struct mmexternal *m, struct text *reply) {
        bool had_worked = m->child.pid && m->has_answered;
        int r = ask_once(m, reply);
        if (r == -EPIPE && had_worked)
                r = ask_once(m, reply);
        if (r && r != -EAGAIN && r != -ENOENT && r != -EACCES)
                module_report(m->log, SEVERITY_ERR, EXECUTE_FAILED,
                              "mmexternal: program '%s' gave no answer (%s) and will be started again; a message stays "
                              "as it is",
                              m->arguments[0], fail_text(r));
        return r;
}

/* ---- Messages ------------------------------------------------------------------- */

/* A line feed within the message would be the end of one. */
static void make_line(struct mmexternal *m, struct property_context *context, struct batch *b, struct record *r) {
        static const struct property whole = {.id = PROPERTY_JSONMESG};
        struct text t = m->settings->input == INPUT_RAW   ? batch_text(b, r->raw)
                        : m->settings->input == INPUT_MSG ? batch_text(b, r->msg)
                                                          : property_get(context, b, r, &whole);
        buffer_clear(&m->line);
        buffer_text(&m->line, t);
        for (size_t i = 0; i < m->line.size; i++)
                if (m->line.data[i] == '\n')
                        m->line.data[i] = ' ';
        buffer_byte(&m->line, '\n');
}

static void keep_reply(struct mmexternal *m, struct text reply) {
        if (m->file >= 0)
                (void)file_write_all(m->file, reply.data, reply.size + 1); /* with its line feed */
}

static void apply(struct mmexternal *m, const struct property_context *context, struct batch *b, struct record *r,
                  struct text reply) {
        struct json *json;
        size_t used;
        if (json_parse_lenient(&b->arena, reply, context->is_case_sensitive ? JSON_IS_CASE_SENSITIVE : 0u, &json,
                               &used) ||
            json->type != JSON_OBJECT) {
                module_report(m->log, SEVERITY_ERR, REPLY_INVALID, "mmexternal: invalid reply '%.*s' from program '%s'",
                              TEXT_ARGS(text_slice(reply, 0, REPLY_SHOWN)), m->arguments[0]);
                return;
        }
        for (const struct json_member *member = json->first; member; member = member->next)
                if (change_property(b, r, context, member->name, member->value))
                        return;
}

static void change_record(struct mmexternal *m, struct property_context *context, struct batch *b, struct record *r) {
        struct text reply;
        make_line(m, context, b, r);
        if (buffer_failed(&m->line) || ask(m, &reply))
                return;
        keep_reply(m, reply);
        apply(m, context, b, r, reply);
        size_t rest = m->reply.size - reply.size - 1;
        memmove(m->reply.data, m->reply.data + reply.size + 1, rest);
        m->reply.size = rest;
}

static void mmexternal_modify(void *instance, struct property_context *context, struct batch *b,
                              const uint16_t *selection, size_t count) {
        struct mmexternal *m = instance;
        pthread_mutex_lock(&m->lock);
        for (size_t i = 0; i < count; i++)
                change_record(m, context, b, &b->records[selection[i]]);
        pthread_mutex_unlock(&m->lock);
}

/* ---- Life ------------------------------------------------------------------------- */

static void open_file(struct mmexternal *m) {
        if (!m->settings->log_path)
                return;
        m->file = file_close(m->file);
        int r = file_open(&m->file, m->settings->log_path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0600);
        if (r)
                module_report(m->log, SEVERITY_ERR, 0, "mmexternal: output file '%s' cannot be opened: %s",
                              m->settings->log_path, fail_text(r));
}

static void mmexternal_reopen(void *instance) {
        struct mmexternal *m = instance;
        pthread_mutex_lock(&m->lock);
        open_file(m);
        pthread_mutex_unlock(&m->lock);
}

static void mmexternal_close(void *instance) {
        struct mmexternal *m = instance;
        if (m->child.pid) {
                /* The end of its input is the sign to end. */
                m->child.input = file_close(m->child.input);
                if (!process_await(&m->child, ENDING_MS)) {
                        process_signal(&m->child, SIGKILL);
                        process_await(&m->child, KILLED_MS);
                }
        }
        process_fini(&m->child);
        file_close(m->file);
        buffer_fini(&m->line);
        buffer_fini(&m->reply);
        free(m->arguments);
        pthread_mutex_destroy(&m->lock);
        free(m);
}

static int mmexternal_open(void **ret, const struct modifier_host *host, const void *settings) {
        struct mmexternal *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        m->log = host->log;
        m->child = PROCESS_NONE;
        m->file = -1;
        pthread_mutex_init(&m->lock, NULL);
        int r = process_split(&m->arguments, m->settings->binary);
        if (r) {
                mmexternal_close(m);
                return pass(r);
        }
        if (!host->facts->is_checking)
                open_file(m);
        *ret = m;
        return 0;
}

#define S struct mmexternal_settings
static const struct param mmexternal_params[] = {
        PARAM_STRING(S, binary, .name = "binary", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "Path of the program and its arguments, separated by blanks; between double quotes blanks "
                             "do not separate."),
        PARAM_CHOICE(S, input, .name = "interface.input", .dflt = "msg", .choices = inputs,
                     .help = "What the program gets: the text, the message as it was received, or all properties as "
                             "JSON."),
        PARAM_CHOICE(S, output, .name = "interface.output", .dflt = "json", .choices = outputs,
                     .help = "What the program answers."),
        PARAM_STRING(S, log_path, .name = "output",
                     .help = "File that gets what the program answers, too; opened again on HUP."),
        PARAM_INT(S, timeout_ms, .name = "responsetimeout", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "milliseconds",
                  .help = "A program that does not answer for so long is ended and started again; 0: a minute."),
        PARAM_BOOL(S, is_single, .name = "forcesingleinstance", .dflt = "off", .flags = PARAM_IS_IGNORED,
                   .help = "An action always runs one instance of its program."),
        {},
};
#undef S

static const struct modifier_ops mmexternal_ops = {
        .open = mmexternal_open,
        .modify = mmexternal_modify,
        .reopen = mmexternal_reopen,
        .close = mmexternal_close,
};

const struct module mmexternal_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmexternal",
        .help = "Hands messages to a program, line by line, and changes them as it answers.",
        .settings = SETTINGS(struct mmexternal_settings, mmexternal_params),
        .modifier = &mmexternal_ops,
};
