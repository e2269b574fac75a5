/*
 * ompipe: messages into a named pipe.
 *
 * The pipe is opened for reading and writing, so that messages wait in it for a
 * reader that comes later, as xconsole's do. A pipe that nobody empties is full
 * sooner or later: then the action is unavailable until somebody reads.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "output/row_writer.h"

extern const struct module ompipe_module;

enum {
        READER_WAIT_MS = 100, /* for a reader that is only slow */
        CODE_OPEN = 2433,
        CODE_WRITE = 2027,
};

struct ompipe_module_settings {
        char *template;
};

struct ompipe_settings {
        char *pipe, *template;
        bool reopens_on_resume;
};

static const struct param ompipe_module_params[] = {PARAM_TEMPLATE(struct ompipe_module_settings, template,
                                                                   .name = "template", .dflt = "RSYSLOG_FileFormat",
                                                                   .help = "Template of actions that name none."),
                                                    {}};

static const struct param ompipe_params[] = {
        PARAM_STRING(struct ompipe_settings, pipe, .name = "pipe", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "Path of the named pipe; it must exist (see mkfifo)."),
        PARAM_TEMPLATE(struct ompipe_settings, template, .name = "template", .flags = PARAM_INHERITS,
                       .help = "Template of the lines."),
        PARAM_BOOL(struct ompipe_settings, reopens_on_resume, .name = "tryresumereopen", .dflt = "off",
                   .help = "Open the pipe anew each time the action tries to resume, in case it was made anew."),
        {}};

struct ompipe {
        struct output_file_rules rules;
        struct output_file file;
        struct module_log *log;
        char *path;
        bool reopens_on_resume;
        int reported;
};

static int ompipe_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct ompipe_settings *s = settings;
        columns[0] = (struct work_format){.name = s->template, .dflt = "RSYSLOG_FileFormat"};
        return 1;
}

static int ompipe_open(void **ret, const struct output_host *host, const void *settings) {
        const struct ompipe_settings *s = settings;
        _owned_(memory_free) struct ompipe *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->path = text_copy(text_of(s->pipe));
        if (!o->path)
                return fail(-ENOMEM);
        o->rules = (struct output_file_rules){
                .file_uid = -1,
                .file_gid = -1,
                .follows_symlinks = true,
                .is_pipe = true,
                .wait_ms = READER_WAIT_MS,
        };
        o->log = host->log;
        o->reopens_on_resume = s->reopens_on_resume;
        output_file_init(&o->file, &o->rules);
        *ret = TAKE(o);
        return 0;
}

/* The half of a message that the old pipe's reader never took ends with that pipe. */
static void leave_pipe(struct ompipe *o) {
        size_t lost = output_file_close(&o->file);
        if (lost)
                module_report(o->log, 4, CODE_WRITE, "pipe %s is closed with %zu bytes of its last message unread",
                              o->path, lost);
}

static void ompipe_close(void *instance) {
        struct ompipe *o = instance;
        leave_pipe(o);
        output_file_fini(&o->file);
        free(o->path);
        free(o);
}

static void tell(struct ompipe *o, int error) {
        if (o->reported == error)
                return;
        o->reported = error;
        if (!output_file_is_open(&o->file))
                module_report(o->log, 3, CODE_OPEN, "Could not open output pipe '%s': %s%s", o->path, fail_text(error),
                              error == -ENOENT ? " - make it with mkfifo" : "");
        else if (error == -EAGAIN)
                module_report(o->log, 4, CODE_WRITE, "write error on pipe %s: it is full, and nobody reads it",
                              o->path);
        else
                module_report(o->log, 3, CODE_WRITE, "write error on pipe %s: %s", o->path, fail_text(error));
}

static int make_ready(struct ompipe *o) {
        if (output_file_is_open(&o->file))
                return 0;
        int r = output_file_open(&o->file, o->path);
        if (r)
                tell(o, r);
        return r;
}

static struct outcome ompipe_deliver(void *instance, const struct work *work) {
        struct ompipe *o = instance;
        size_t taken = 0;
        int r = make_ready(o);
        if (r == 0)
                r = row_writer_append(&o->file, work->column[0], NULL, 0, work->count, &taken);
        if (r) {
                tell(o, r);
                return (struct outcome){DELIVER_UNAVAILABLE, taken, -r};
        }
        o->reported = 0;
        return (struct outcome){DELIVER_DONE, taken, 0};
}

/* What the pipe owes a reader is tried first: it shows whether there is room again. */
static enum verdict ompipe_resume(void *instance) {
        struct ompipe *o = instance;
        if (o->reopens_on_resume)
                leave_pipe(o);
        if (make_ready(o))
                return DELIVER_UNAVAILABLE;
        return output_file_has_room(&o->file) && output_file_flush(&o->file) == 0 ? DELIVER_DONE : DELIVER_UNAVAILABLE;
}

static void ompipe_reopen(void *instance) {
        struct ompipe *o = instance;
        o->reported = 0;
        leave_pipe(o);
}

static const struct output_ops ompipe_ops = {
        .columns = ompipe_columns,
        .open = ompipe_open,
        .deliver = ompipe_deliver,
        .resume = ompipe_resume,
        .reopen = ompipe_reopen,
        .close = ompipe_close,
};

const struct module ompipe_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "ompipe",
        .help = "Writes messages to a named pipe.",
        .module_settings = SETTINGS(struct ompipe_module_settings, ompipe_module_params),
        .settings = SETTINGS(struct ompipe_settings, ompipe_params),
        .output = &ompipe_ops,
};
