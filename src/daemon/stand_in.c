#include "daemon/stand_in.h"

#include <stdlib.h>

static int columns(const void *settings, const void *module_settings, struct work_format *formats) {
        struct stand_in *s = (struct stand_in *)settings;
        const struct output_ops *real = s->action->module->output;
        int count = real->columns ? real->columns(s->action->settings, module_settings, formats) : 0;
        for (int i = 0; i < count; i++)
                s->formats[i] = formats[i];
        return count;
}

static int stand_in_open(void **ret, const struct output_host *host _unused_, const void *settings) {
        *ret = (void *)settings;
        return 0;
}

static struct outcome deliver(void *instance, const struct work *work) {
        struct stand_in *s = instance;
        for (size_t row = 0; row < work->count; row++)
                s->host->rendered(s->host, s->action, s->formats, work, row);
        return (struct outcome){.verdict = DELIVER_DONE, .taken = work->count};
}

static void stand_in_close(void *instance _unused_) {
}

struct stand_in *stand_in_new(const struct object *action, struct rehearsal_host *host) {
        struct stand_in *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->action = action;
        s->host = host;
        s->module = *action->module;
        s->ops = (struct output_ops){
                .columns = columns, .open = stand_in_open, .deliver = deliver, .close = stand_in_close};
        s->module.output = &s->ops;
        return s;
}

struct stand_in *stand_in_free(struct stand_in *s) {
        free(s);
        return NULL;
}

bool rehearsal_leaves_out(const struct module *module) {
        return strcmp(module->name, "mmexternal") == 0;
}
