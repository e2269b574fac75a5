/*
 * omdiscard: takes messages and does nothing with them. The legacy action "~" is a
 * stop statement; this is for those who name the module.
 */
#include "base/macros.h"
#include "module/module.h"

extern const struct module omdiscard_module;

struct omdiscard_settings {
        char unused;
};

static const struct param omdiscard_params[] = {{}};

static int omdiscard_columns(const void *settings _unused_, const void *module_settings _unused_,
                             struct work_format *columns _unused_) {
        return 0;
}

static int omdiscard_open(void **ret, const struct output_host *host _unused_, const void *settings _unused_) {
        *ret = NULL;
        return 0;
}

static struct outcome omdiscard_deliver(void *instance _unused_, const struct work *work) {
        return (struct outcome){DELIVER_DONE, work->count, 0};
}

static void omdiscard_close(void *instance _unused_) {
}

static const struct output_ops omdiscard_ops = {
        .columns = omdiscard_columns,
        .open = omdiscard_open,
        .deliver = omdiscard_deliver,
        .close = omdiscard_close,
};

const struct module omdiscard_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omdiscard",
        .help = "Takes messages and discards them.",
        .settings = SETTINGS(struct omdiscard_settings, omdiscard_params),
        .output = &omdiscard_ops,
};
