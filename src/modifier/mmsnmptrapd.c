/*
 * mmsnmptrapd: what snmptrapd wrote into the tag goes where it belongs:
 *
 *   tag "snmptrapd/warning/realhost:"   ->   tag "snmptrapd:", host name "realhost", severity as mapped
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/change.h"
#include "module/module.h"

enum { MAPPINGS_MAX = 64 };

struct mmsnmptrapd_settings {
        char *tag;
        char *mapping;
};

struct mapping {
        struct text name;
        uint8_t severity;
};

struct mmsnmptrapd {
        const struct mmsnmptrapd_settings *settings;
        struct mapping mappings[MAPPINGS_MAX];
        size_t count;
};

/* The text up to the byte, which is dropped from *t with it; all where there is none. */
static struct text cut(struct text *t, char at) {
        const char *found = t->size ? memchr(t->data, at, t->size) : NULL;
        size_t size = found ? (size_t)(found - t->data) : t->size;
        struct text head = text_slice(*t, 0, size);
        *t = text_slice(*t, size + 1, t->size);
        return head;
}

/* "warning/4,error/3"; -EINVAL. */
static int read_mappings(struct mmsnmptrapd *m, struct text t) {
        while (t.size) {
                struct text number = cut(&t, ','), name = cut(&number, '/');
                int64_t severity;
                if (m->count == MAPPINGS_MAX || name.size == 0 || text_to_int(number, &severity) || severity < 0 ||
                    severity > 7)
                        return -EINVAL;
                m->mappings[m->count++] = (struct mapping){name, (uint8_t)severity};
        }
        return 0;
}

static void set(struct batch *b, struct record *r, const struct property_context *context, struct text name,
                struct text value) {
        struct json string = {.type = JSON_STRING, .string = value};
        (void)change_property(b, r, context, name, &string);
}

static void change_record(const struct mmsnmptrapd *m, struct property_context *context, struct batch *b,
                          struct record *r) {
        static const struct property syslogtag = {.id = PROPERTY_SYSLOGTAG};
        struct text rest = property_get(context, b, r, &syslogtag), name = text_of(m->settings->tag);
        if (!text_starts(rest, name) || rest.size <= name.size || rest.data[name.size] != '/')
                return;
        rest = text_slice(rest, name.size + 1, rest.size);
        bool has_colon = text_ends(rest, TEXT(":"));
        struct text severity = cut(&rest, '/'), host = cut(&rest, ':');
        for (size_t i = 0; i < m->count; i++)
                if (text_equal(m->mappings[i].name, severity))
                        r->severity = m->mappings[i].severity;
        if (host.size) {
                set(b, r, context, TEXT("hostname"), host);
                set(b, r, context, TEXT("fromhost"), host);
        }
        _owned_(buffer_fini) struct buffer tag = {0};
        buffer_text(&tag, name);
        buffer_text(&tag, has_colon ? TEXT(":") : TEXT(""));
        if (!buffer_failed(&tag))
                set(b, r, context, TEXT("syslogtag"), buffer_as_text(&tag));
}

static void mmsnmptrapd_modify(void *instance, struct property_context *context, struct batch *b,
                               const uint16_t *selection, size_t count) {
        for (size_t i = 0; i < count; i++)
                change_record(instance, context, b, &b->records[selection[i]]);
}

static int mmsnmptrapd_open(void **ret, const struct modifier_host *host _unused_, const void *settings) {
        struct mmsnmptrapd *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = settings;
        int r = read_mappings(m, text_of(m->settings->mapping));
        assert(r == 0); /* mmsnmptrapd_check() */
        *ret = m;
        return 0;
}

static void mmsnmptrapd_close(void *instance) {
        free(instance);
}

static int mmsnmptrapd_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmsnmptrapd_settings *s = settings;
        struct mmsnmptrapd tried = {0};
        if (!s || read_mappings(&tried, text_of(s->mapping)) == 0)
                return 0;
        module_report_param(log, SEVERITY_ERR, "severitymapping",
                            "a mapping is a list of names and severities from 0 to 7, as in \"warning/4,error/3\"");
        return -EINVAL;
}

#define S struct mmsnmptrapd_settings
static const struct param mmsnmptrapd_params[] = {
        PARAM_STRING(S, tag, .name = "tag", .legacy = "mmsnmptrapdTag", .dflt = "snmptrapd",
                     .flags = PARAM_LEGACY_STAYS, .help = "What the tag begins with, before its first slash."),
        PARAM_STRING(S, mapping, .name = "severitymapping", .legacy = "mmsnmptrapdSeverityMapping", .dflt = "",
                     .flags = PARAM_LEGACY_STAYS,
                     .help = "Names of severities and their numbers, as in warning/4,error/3."),
        {},
};
#undef S

static const struct modifier_ops mmsnmptrapd_ops = {
        .open = mmsnmptrapd_open,
        .modify = mmsnmptrapd_modify,
        .close = mmsnmptrapd_close,
};

const struct module mmsnmptrapd_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmsnmptrapd",
        .help = "Takes host name and severity of SNMP traps out of the tag that snmptrapd gave them.",
        .settings = SETTINGS(struct mmsnmptrapd_settings, mmsnmptrapd_params),
        .check = mmsnmptrapd_check,
        .modifier = &mmsnmptrapd_ops,
};
