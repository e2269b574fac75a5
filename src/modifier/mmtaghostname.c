/*
 * mmtaghostname: gives messages a tag, and this machine's name as their host name.
 */
#include "message/change.h"
#include "module/module.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct mmtaghostname_settings {
        char *tag;
        bool forces_host;
};

struct mmtaghostname {
        struct json tag, host; /* strings; host empty: it stays */
        bool sets_tag;
};

static void mmtaghostname_modify(void *instance, struct property_context *context, struct batch *b,
                                 const uint16_t *selection, size_t count) {
        struct mmtaghostname *m = instance;
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                if (m->sets_tag)
                        (void)change_property(b, r, context, TEXT("syslogtag"), &m->tag);
                if (m->host.string.size)
                        (void)change_property(b, r, context, TEXT("hostname"), &m->host);
        }
}

static int mmtaghostname_open(void **ret, const struct modifier_host *host, const void *settings) {
        const struct mmtaghostname_settings *s = settings;
        struct mmtaghostname *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->sets_tag = s->tag;
        m->tag = (struct json){.type = JSON_STRING, .string = text_of(s->tag)};
        m->host = (struct json){.type = JSON_STRING, .string = text_of(s->forces_host ? host->facts->host_name : "")};
        *ret = m;
        return 0;
}

static void mmtaghostname_close(void *instance) {
        free(instance);
}

#define S struct mmtaghostname_settings
static const struct param mmtaghostname_params[] = {
        PARAM_STRING(S, tag, .name = "tag", .help = "The tag, with its colon where there shall be one."),
        PARAM_BOOL(S, forces_host, .name = "forcelocalhostname", .dflt = "off",
                   .help = "The host name becomes that of this machine, as global localHostname has it."),
        {},
};
#undef S

static const struct modifier_ops mmtaghostname_ops = {
        .open = mmtaghostname_open,
        .modify = mmtaghostname_modify,
        .close = mmtaghostname_close,
};

const struct module mmtaghostname_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmtaghostname",
        .help = "Gives messages a tag and the host name of this machine.",
        .settings = SETTINGS(struct mmtaghostname_settings, mmtaghostname_params),
        .modifier = &mmtaghostname_ops,
};
