/*
 * mmfields: the text is cut at a separator, and the pieces become variables f1, f2 ...
 *
 * A separator at the end ends the last piece and begins none; an empty text has no piece.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { NAME_BYTES = 24 };

struct mmfields_settings {
        int64_t separator;
        char *root;
};

struct mmfields {
        char separator;
        struct container root;
};

/* "f17" at the end of `room`. */
static struct text field_name(char room[NAME_BYTES], unsigned number) {
        char *at = room + NAME_BYTES;
        for (; number; number /= 10)
                *--at = (char)('0' + number % 10);
        *--at = 'f';
        return (struct text){at, (size_t)(room + NAME_BYTES - at)};
}

static struct json *split(const struct mmfields *m, struct arena *a, struct text t) {
        struct json *fields = json_object(a);
        char room[NAME_BYTES];
        for (unsigned number = 1; fields && t.size; number++) {
                const char *found = memchr(t.data, m->separator, t.size);
                size_t size = found ? (size_t)(found - t.data) : t.size;
                struct json *field = json_string(a, text_slice(t, 0, size));
                if (!field || json_add(a, fields, field_name(room, number), field))
                        return NULL;
                t = text_slice(t, size + 1, t.size);
        }
        return fields;
}

static void mmfields_modify(void *instance, struct property_context *context, struct batch *b,
                            const uint16_t *selection, size_t count) {
        const struct mmfields *m = instance;
        for (size_t i = 0; i < count; i++) {
                struct record *r = &b->records[selection[i]];
                struct json *fields = split(m, &b->arena, batch_text(b, r->msg));
                if (fields)
                        (void)container_add(&m->root, context, b, r, fields);
        }
}

static int mmfields_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        const struct mmfields_settings *s = settings;
        struct mmfields *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->separator = (char)s->separator;
        int r = container_parse(&m->root, text_of(s->root));
        assert(r == 0); /* mmfields_check() */
        *ret = m;
        return 0;
}

static void mmfields_close(void *instance) {
        free(instance);
}

static int mmfields_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmfields_settings *s = settings;
        struct container root;
        if (!s || container_parse(&root, text_of(s->root)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, "jsonroot",
                            "a root is a variable: it starts with ! or ., as in \"!data\"");
        return -EINVAL;
}

#define S struct mmfields_settings
static const struct param mmfields_params[] = {
        PARAM_CHAR(S, separator, .name = "separator", .dflt = ",", .help = "The character between two fields."),
        PARAM_STRING(S, root, .name = "jsonroot", .dflt = "!", .help = "The variable that gets the fields."),
        {},
};
#undef S

static bool mmfields_is_noticed(const void *settings) {
        return container_is_global(((const struct mmfields_settings *)settings)->root);
}

static const struct modifier_ops mmfields_ops = {
        .is_noticed = mmfields_is_noticed,
        .open = mmfields_open,
        .modify = mmfields_modify,
        .close = mmfields_close,
};

const struct module mmfields_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmfields",
        .help = "Cuts the text at a separator; the fields become variables f1, f2 ...",
        .settings = SETTINGS(struct mmfields_settings, mmfields_params),
        .check = mmfields_check,
        .modifier = &mmfields_ops,
};
