/*
 * mmrm1stspace: the blank that RFC 3164 leaves at the start of a text goes.
 */
#include "message/change.h"
#include "module/module.h"

static void mmrm1stspace_modify(void *instance _unused_, struct property_context *context _unused_, struct batch *b,
                                const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct text msg = batch_text(b, r->msg);
                if (msg.size && msg.data[0] == ' ')
                        (void)change_msg(b, r, text_slice(msg, 1, msg.size));
        }
}

static int mmrm1stspace_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        *ret = (void *)(uintptr_t)settings; /* nothing is kept, but an instance is not NULL */
        return 0;
}

static void mmrm1stspace_close(void *instance _unused_) {
}

struct mmrm1stspace_settings {
        char nothing;
};
static const struct param mmrm1stspace_params[] = {{}};

static const struct modifier_ops mmrm1stspace_ops = {
        .open = mmrm1stspace_open,
        .modify = mmrm1stspace_modify,
        .close = mmrm1stspace_close,
};

const struct module mmrm1stspace_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmrm1stspace",
        .help = "Drops the blank at the start of the text, where there is one.",
        .settings = SETTINGS(struct mmrm1stspace_settings, mmrm1stspace_params),
        .modifier = &mmrm1stspace_ops,
};
