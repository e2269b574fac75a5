/*
 * An output module of your own, in one file against one header. Build and use it:
 *
 *   cc -shared -fPIC -o omgreet.so omgreet.c
 *
 *   module(load="/path/to/omgreet.so")
 *   action(type="omgreet" file="/tmp/greetings" word="hello")
 *
 * It writes the word and the rendered message into a file, a batch at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <penstock/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct greet_settings {
        char *file;
        char *word;
        char *template;
};

static const struct param greet_params[] = {
        PARAM_STRING(struct greet_settings, file, .name = "file", .flags = PARAM_IS_REQUIRED | PARAM_IS_MAIN,
                     .help = "The file that greetings are appended to."),
        PARAM_STRING(struct greet_settings, word, .name = "word", .dflt = "hello",
                     .help = "What each line begins with."),
        PARAM_TEMPLATE(struct greet_settings, template, .name = "template", .help = "How a message is rendered."),
        {},
};

struct greet {
        const struct greet_settings *settings;
        int fd;
};

static int greet_columns(const void *settings, const void *module_settings, struct work_format *columns) {
        (void)module_settings;
        const struct greet_settings *s = settings;
        columns[0] = (struct work_format){.name = s->template, .dflt = "RSYSLOG_FileFormat", .ends_with_lf = true};
        return 1;
}

static int greet_open(void **ret, const struct output_host *host, const void *settings) {
        const struct greet_settings *s = settings;
        struct greet *g = malloc(sizeof *g);
        if (!g)
                return -ENOMEM;
        *g = (struct greet){.settings = s, .fd = open(s->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
        if (g->fd < 0) {
                int error = errno;
                module_report(host->log, 3, 0, "omgreet: cannot open %s: %s", s->file, strerror(error));
                free(g);
                return -error;
        }
        *ret = g;
        return 0;
}

static struct outcome greet_deliver(void *instance, const struct work *work) {
        struct greet *g = instance;
        for (size_t i = 0; i < work->count; i++) {
                const struct text *row = &work->column[0][i];
                if (dprintf(g->fd, "%s %.*s", g->settings->word, (int)row->size, row->data) < 0)
                        return (struct outcome){.verdict = DELIVER_UNAVAILABLE, .taken = i, .error = errno};
        }
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

static void greet_close(void *instance) {
        struct greet *g = instance;
        close(g->fd);
        free(g);
}

static const struct output_ops greet_ops = {
        .columns = greet_columns, .open = greet_open, .deliver = greet_deliver, .close = greet_close};

const struct module penstock_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omgreet",
        .help = "Appends each message to a file, with a greeting before it.",
        .settings = SETTINGS(struct greet_settings, greet_params),
        .output = &greet_ops,
};
