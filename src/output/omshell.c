/*
 * omshell: runs a program for every message, with the message as its one argument.
 *
 * No shell is between: what a sender wrote reaches the program as it is, and cannot become a command.
 * Messages wait for the program to end, at most PATIENCE_MS. For anything but rare messages omprog is
 * the better way.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "io/process.h"
#include "module/module.h"

enum { PATIENCE_MS = 60000 };

struct omshell_settings {
        char *program;
        char *template;
};

static const struct param omshell_params[] = {
        PARAM_STRING(struct omshell_settings, program, .name = "program", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "Path of the program; the legacy form is ^PROGRAM;TEMPLATE."),
        PARAM_TEMPLATE(struct omshell_settings, template, .name = "template",
                       .help = "What the program gets as its argument; RSYSLOG_TraditionalFileFormat where it is "
                               "not set."),
        {}};

struct omshell {
        const struct omshell_settings *settings;
        struct module_log *log;
        struct buffer argument; /* the message, ended by a NUL */
};

static int omshell_columns(const void *settings, const void *module_settings _unused_, struct work_format *columns) {
        const struct omshell_settings *s = settings;
        columns[0] = (struct work_format){.name = s->template, .dflt = "RSYSLOG_TraditionalFileFormat"};
        return 1;
}

static int omshell_open(void **ret, const struct output_host *host, const void *settings) {
        struct omshell *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        o->settings = settings;
        o->log = host->log;
        *ret = o;
        return 0;
}

/* An argument ends at its first NUL; nothing can be done about that. */
static int run(struct omshell *o, struct text message) {
        buffer_clear(&o->argument);
        buffer_text(&o->argument, message);
        const char *argument = buffer_string(&o->argument);
        if (!argument)
                return fail(-ENOMEM);
        char *const arguments[] = {o->settings->program, (char *)argument, NULL};
        struct process_plan plan = {
                .arguments = arguments, .input = -1, .output = PROCESS_INHERIT, .error = PROCESS_INHERIT};
        _owned_(process_fini) struct process child = PROCESS_NONE;
        int r = process_start(&child, &plan);
        if (r) {
                module_report(o->log, SEVERITY_ERR, 0, "Executing program '%s' failed: %s", o->settings->program,
                              fail_text(r));
                return pass(r);
        }
        if (!process_await(&child, PATIENCE_MS))
                module_report(o->log, SEVERITY_WARNING, 0,
                              "program '%s' (pid %ld) still runs after %d seconds; not waiting any longer",
                              o->settings->program, (long)child.pid, PATIENCE_MS / 1000);
        return 0;
}

static struct outcome omshell_deliver(void *instance, const struct work *work) {
        struct omshell *o = instance;
        for (size_t i = 0; i < work->count; i++) {
                int r = run(o, work->column[0][i]);
                if (r == -E2BIG)
                        return (struct outcome){.verdict = DELIVER_REFUSED, .taken = i, .error = -r};
                if (r)
                        return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .taken = i, .error = -r};
        }
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

static void omshell_close(void *instance) {
        struct omshell *o = instance;
        buffer_fini(&o->argument);
        free(o);
}

static const struct output_ops omshell_ops = {
        .columns = omshell_columns,
        .open = omshell_open,
        .deliver = omshell_deliver,
        .close = omshell_close,
};

const struct module omshell_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omshell",
        .help = "Runs a program for every message, with the message as its argument.",
        .settings = SETTINGS(struct omshell_settings, omshell_params),
        .output = &omshell_ops,
};
