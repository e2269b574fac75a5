/*
 * imkmsg: the kernel's messages as records with fields, as /dev/kmsg gives them:
 *
 *   6,194,286191,-;acpi PNP0A08:00: _OSC: OS supports ASPM
 *    SUBSYSTEM=acpi
 *    DEVICE=+acpi:PNP0A08:00
 *
 * The number before the first comma is the PRI, then come a sequence number and
 * microseconds since the kernel started. Sequence number, text and the further
 * fields become $!sequnum, $!msg, $!SUBSYSTEM ...
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "input/builtin.h"
#include "input/kernel_lines.h"
#include "input/named_limit.h"
#include "message/intake.h"

enum {
        PRI_MAX = 191,
        FIELDS_MAX = 64, /* of one record; what is beyond is left out */
};

enum read_mode { READ_FULL_BOOT, READ_FULL_ALWAYS, READ_NEW_ONLY };
static const char *const read_modes[] = {"full-boot", "full-always", "new-only", NULL};

enum time_mode { TIME_STARTUP, TIME_ON, TIME_OFF };
static const char *const time_modes[] = {"startup-only", "on", "off", NULL};

struct imkmsg_settings {
        char *path;
        char *ruleset;
        int read_mode;
        int time_mode;
        int64_t boot_complete_s;
        int64_t limit_interval_s, limit_burst, limit_severity;
        char *limit_name;
};

struct imkmsg {
        const struct input_host *host;
        const struct imkmsg_settings *settings;
        struct intake *intake;
        struct source *source;
        bool is_past_startup; /* what was there when we came has been read */
        struct ratelimit limit;
        struct kernel_reader reader;
};

struct kernel_record {
        unsigned pri;
        int64_t sequence;
        int64_t since_start_us;
        struct text text;
        struct text fields; /* lines " KEY=value" */
};

/* A number and the comma (or semicolon) behind it, taken off *head. */
static bool take_number(struct text *head, int64_t *ret) {
        size_t i = 0;
        while (i < head->size && (unsigned char)(head->data[i] - '0') <= 9)
                i++;
        if (i == 0 || i == head->size || (head->data[i] != ',' && head->data[i] != ';') ||
            text_to_int(text_slice(*head, 0, i), ret))
                return false;
        *head = text_slice(*head, i + (head->data[i] == ','), head->size);
        return true;
}

static bool read_record(struct kernel_record *k, struct text raw) {
        int64_t pri;
        struct text head = raw;
        if (!take_number(&head, &pri) || !take_number(&head, &k->sequence) || !take_number(&head, &k->since_start_us))
                return false;
        ptrdiff_t semicolon = text_find(head, TEXT(";"));
        if (semicolon < 0 || pri > PRI_MAX)
                return false;
        struct text body = text_slice(head, (size_t)semicolon + 1, head.size);
        ptrdiff_t line_end = text_find(body, TEXT("\n"));
        k->pri = (unsigned)pri;
        k->text = line_end < 0 ? body : text_slice(body, 0, (size_t)line_end);
        k->fields = line_end < 0 ? TEXT_NONE : text_slice(body, (size_t)line_end + 1, body.size);
        return true;
}

static int set_fields(struct arena *a, struct json *tree, struct text fields) {
        for (unsigned i = 0; i < FIELDS_MAX && fields.size; i++) {
                ptrdiff_t found = text_find(fields, TEXT("\n"));
                size_t line_end = found < 0 ? fields.size : (size_t)found;
                struct text line = text_slice(fields, fields.data[0] == ' ', line_end);
                fields = text_slice(fields, line_end + 1, fields.size);
                ptrdiff_t equals = text_find(line, TEXT("="));
                if (equals <= 0)
                        continue;
                struct text value = text_slice(line, (size_t)equals + 1, line.size);
                int r = json_set(a, tree, text_slice(line, 0, (size_t)equals), json_string(a, value));
                if (r)
                        return pass(r);
        }
        return 0;
}

static void set_tree(struct batch *b, struct record *r, const struct kernel_record *k) {
        struct arena *a = &b->arena;
        struct json *tree = json_object(a);
        if (!tree || json_set(a, tree, TEXT("sequnum"), json_int(a, k->sequence)) ||
            json_set(a, tree, TEXT("msg"), json_string(a, k->text)) || set_fields(a, tree, k->fields))
                return;
        r->tree[TREE_MESSAGE] = tree;
}

static void take_record(struct imkmsg *m, struct text raw) {
        struct kernel_record k;
        if (!read_record(&k, raw) || !kernel_limit_passes(&m->limit, m->host, m->source, k.text, k.pri & 7, "imkmsg"))
                return;
        int time_mode = m->settings->time_mode;
        bool takes_time = time_mode == TIME_ON || (time_mode == TIME_STARTUP && !m->is_past_startup);
        int64_t time_us = takes_time ? kernel_boot_us() + k.since_start_us : clock_wall_us();
        k.text = text_slice(k.text, 0, (size_t)m->host->facts->message_bytes_max);
        struct record *r = intake_copy(m->intake, m->source, k.text, time_us);
        if (!r)
                return;
        r->msg = r->raw;
        r->tag = batch_store(m->intake->batch, TEXT("kernel:"));
        r->reported = stamp_of_wall(time_us);
        r->facility = (uint8_t)(k.pri >> 3);
        r->severity = (uint8_t)(k.pri & 7);
        r->flags = RECORD_IS_PARSED | RECORD_NO_HOSTNAME;
        set_tree(m->intake->batch, r, &k);
        counter_add(&m->host->counters[0], 1);
}

/* The kernel gives one record a read; a file that stands in may give several. */
static void imkmsg_take(struct kernel_reader *reader, const char *bytes, size_t size, int error) {
        struct imkmsg *m = CONTAINER_OF(reader, struct imkmsg, reader);
        if (error)
                module_report(m->host->log, SEVERITY_ERR, 0, "imkmsg: error reading kernel log - shutting down: %s",
                              fail_text(error));
        while (size) {
                size_t i = 0;
                while (i < size && !(bytes[i] == '\n' && (i + 1 == size || bytes[i + 1] != ' ')))
                        i++;
                take_record(m, (struct text){bytes, i});
                i += i < size;
                bytes += i;
                size -= i;
        }
}

static void imkmsg_idle(struct kernel_reader *reader) {
        CONTAINER_OF(reader, struct imkmsg, reader)->is_past_startup = true;
}

static void imkmsg_stop(void *instance) {
        struct imkmsg *m = instance;
        kernel_reader_stop(&m->reader);
}

static void imkmsg_close(void *instance) {
        struct imkmsg *m = instance;
        if (m->reader.watch.fd >= 0)
                kernel_reader_stop(&m->reader);
        source_unref(m->source);
        free(m);
}

static void imkmsg_close_owned(struct imkmsg **m) {
        if (*m)
                imkmsg_close(*m);
}

static bool skips_old(const struct imkmsg_settings *s) {
        bool is_booting = clock_mono_ns() / 1000000000 < s->boot_complete_s;
        return s->read_mode == READ_NEW_ONLY || (s->read_mode == READ_FULL_BOOT && !is_booting);
}

static int imkmsg_open(void **ret, const struct input_host *host, const void *settings _unused_) {
        _owned_(imkmsg_close) struct imkmsg *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->host = host;
        m->settings = host->module_settings;
        m->intake = host->intake[0];
        m->reader.watch.fd = -1;
        m->reader.take = imkmsg_take;
        m->reader.idle = imkmsg_idle;
        m->source = source_new_local("imkmsg", host->facts->host_name, "127.0.0.1");
        if (!m->source)
                return fail(-ENOMEM);
        m->limit = (struct ratelimit){.interval_s = m->settings->limit_interval_s,
                                      .burst = m->settings->limit_burst,
                                      .severity_min = (uint8_t)m->settings->limit_severity};
        limit_by_name(&m->limit, host, m->settings->limit_name, "imkmsg");
        int r = kernel_reader_open(&m->reader, host->loop[0], m->settings->path, skips_old(m->settings));
        if (r) {
                module_report(host->log, SEVERITY_ERR, 0, "imkmsg: cannot open kernel log (%s): %s.", m->settings->path,
                              fail_text(r));
                return pass(r);
        }
        *ret = TAKE(m);
        return 0;
}

static int imkmsg_start(void *instance) {
        struct imkmsg *m = instance;
        return pass(kernel_reader_start(&m->reader));
}

static bool imkmsg_module_instance(const void *module_settings _unused_) {
        return true;
}

#define S struct imkmsg_settings
static const struct param imkmsg_params[] = {
        PARAM_CHOICE(S, read_mode, .name = "readmode", .alias = "mode", .choices = read_modes, .dflt = "full-boot",
                     .help = "Whether messages from before the start of the daemon are read: always, never, or only "
                             "while the system is booting, so that a restart does not repeat them."),
        PARAM_INT(S, boot_complete_s, .name = "expectedbootcompleteseconds", .dflt = "90", .min = 1, .max = INT32_MAX,
                  .unit = "seconds", .help = "With readMode full-boot: how long after its start the system boots."),
        PARAM_CHOICE(S, time_mode, .name = "parsekerneltimestamp", .choices = time_modes, .dflt = "startup-only",
                     .help = "Makes the kernel's own timestamp the time of the message: always, never, or only for "
                             "what was there when the daemon started. That clock drifts from the wall clock."),
        PARAM_STRING(S, path, .name = "logpath", .dflt = "/dev/kmsg", .help = "Where the kernel's log is read."),
        PARAM_INT(S, limit_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(S, limit_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0, .max = INT32_MAX,
                  .unit = "messages", .help = "Messages that pass within a window."),
        LIMIT_SEVERITY(S, limit_severity),
        PARAM_STRING(S, limit_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that messages go to. Unset: the default one."),
        {},
};
#undef S

static const struct counter_def imkmsg_counters[] = {{"submitted", "Messages that were taken."}, {}};

static const struct input_ops imkmsg_ops = {
        .open = imkmsg_open,
        .start = imkmsg_start,
        .stop = imkmsg_stop,
        .close = imkmsg_close,
        .resumes = true,
        .module_instance = imkmsg_module_instance,
};

const struct module imkmsg_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imkmsg",
        .help = "Takes the kernel's messages with their fields from /dev/kmsg. Use either this or imklog.",
        .module_settings = SETTINGS(struct imkmsg_settings, imkmsg_params),
        .counters = imkmsg_counters,
        .input = &imkmsg_ops,
};
