/*
 * omstdout: messages to standard output, for tests and for containers.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fail.h"
#include "output/row_writer.h"

extern const struct module omstdout_module;

enum { READER_WAIT_MS = 1000 };

struct omstdout_settings {
        bool ensures_lf;
        bool uses_arrays;
        char *template;
};

static const struct param omstdout_params[] = {
        PARAM_BOOL(struct omstdout_settings, ensures_lf, .name = "ensurelfending",
                   .legacy = "ActionOMStdoutEnsureLFEnding", .dflt = "on",
                   .help = "End every message with a line feed where its template does not."),
        PARAM_BOOL(
                struct omstdout_settings, uses_arrays, .name = "arrayinterface",
                .legacy = "ActionOMStdoutArrayInterface", .dflt = "off", .flags = PARAM_IS_IGNORED,
                .help = "A test of an interface that no longer exists; messages are written as their template says."),
        PARAM_TEMPLATE(struct omstdout_settings, template, .name = "template", .dflt = "RSYSLOG_FileFormat",
                       .flags = PARAM_IS_MAIN, .help = "Template of the lines."),
        {}};

struct omstdout {
        struct output_file_rules rules;
        struct output_file file;
        struct module_log *log;
        int reported;
};

static int omstdout_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omstdout_settings *s = settings;
        columns[0] = (struct work_format){
                .name = s->template,
                .dflt = "RSYSLOG_FileFormat",
                .ends_with_lf = s->ensures_lf,
        };
        return 1;
}

static int omstdout_open(void **ret, const struct output_host *host, const void *settings _unused_) {
        struct omstdout *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->log = host->log;
        o->rules.wait_ms = READER_WAIT_MS;
        output_file_init(&o->file, &o->rules);
        output_file_adopt(&o->file, STDOUT_FILENO);
        *ret = o;
        return 0;
}

static void omstdout_close(void *instance) {
        struct omstdout *o = instance;
        output_file_fini(&o->file);
        free(o);
}

static struct outcome omstdout_deliver(void *instance, const struct work *work) {
        struct omstdout *o = instance;
        size_t taken;
        int r = row_writer_append(&o->file, work->column[0], NULL, 0, work->count, &taken);
        if (r && o->reported != r)
                module_report(o->log, 3, 0, "standard output cannot be written: %s", fail_text(r));
        o->reported = r;
        return (struct outcome){r ? DELIVER_UNAVAILABLE : DELIVER_DONE, taken, -r};
}

static const struct output_ops omstdout_ops = {
        .columns = omstdout_columns,
        .open = omstdout_open,
        .deliver = omstdout_deliver,
        .close = omstdout_close,
};

const struct module omstdout_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omstdout",
        .help = "Writes messages to standard output.",
        .settings = SETTINGS(struct omstdout_settings, omstdout_params),
        .output = &omstdout_ops,
};
