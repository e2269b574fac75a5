/*
 * imklog: the kernel's messages, line by line, as /proc/kmsg gives them:
 *
 *   <6>[    1.234567] eth0: link up
 *
 * The PRI is taken off, the tag is "kernel:", the rest is the message as it is.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/builtin.h"
#include "input/kernel_lines.h"
#include "input/named_limit.h"
#include "io/kernel_log.h"
#include "message/intake.h"
#include "message/ratelimit.h"

enum {
        KERNEL_INFO = 6,
        PRI_MAX = 191,
        LINE_BYTES_MAX = 32 << 10, /* a longer line is cut into several */
};

struct imklog_settings {
        char *path;
        char *ruleset;
        char *limit_name;
        bool permits_other_facilities;
        bool parses_time, keeps_time;
        int64_t console_level;
        int64_t internal_facility;
        int64_t limit_interval_s, limit_burst, limit_severity;
        bool obsolete_symbols, obsolete_symbols_twice, obsolete_syscall, obsolete_print;
        char *obsolete_address;
};

struct imklog {
        const struct input_host *host;
        const struct imklog_settings *settings;
        struct intake *intake;
        struct source *source;
        struct ratelimit limit;
        size_t line_size; /* of a line that has not ended yet */
        char line[LINE_BYTES_MAX];
        struct kernel_reader reader;
};

static struct record *add(struct imklog *k, struct text text, unsigned pri) {
        struct record *r = intake_copy(k->intake, k->source, text, clock_wall_us());
        if (!r)
                return NULL;
        r->msg = r->raw;
        r->tag = batch_store(k->intake->batch, TEXT("kernel:"));
        r->reported = stamp_of_wall(r->received_us);
        r->facility = (uint8_t)(pri >> 3);
        r->severity = (uint8_t)(pri & 7);
        r->flags = RECORD_IS_PARSED | RECORD_NO_HOSTNAME;
        counter_add(&k->host->counters[0], 1);
        return r;
}

/* Takes "<N>" off the line. Without a valid one the line stays whole and is kern.info. */
static unsigned take_pri(struct text *line) {
        unsigned pri = 0;
        size_t i = 1;
        if (line->size < 3 || line->data[0] != '<')
                return KERNEL_INFO;
        for (; i < line->size && (unsigned char)(line->data[i] - '0') <= 9 && pri <= PRI_MAX; i++)
                pri = pri * 10 + (unsigned)(line->data[i] - '0');
        if (i == 1 || i == line->size || line->data[i] != '>' || pri > PRI_MAX)
                return KERNEL_INFO;
        *line = text_slice(*line, i + 1, line->size);
        return pri;
}

/* "[    1.234567]": microseconds since the start of the kernel; how many bytes that were, or 0. */
static size_t kernel_time(struct text line, int64_t *us) {
        size_t i = 1;
        int64_t seconds = 0, fraction = 0, unit = 1000000;
        if (line.size == 0 || line.data[0] != '[')
                return 0;
        while (i < line.size && line.data[i] == ' ')
                i++;
        size_t digits = i;
        for (; i < line.size && (unsigned char)(line.data[i] - '0') <= 9 && seconds < INT32_MAX; i++)
                seconds = seconds * 10 + (line.data[i] - '0');
        if (i == digits || i == line.size || line.data[i] != '.')
                return 0;
        for (i++; i < line.size && (unsigned char)(line.data[i] - '0') <= 9; i++) {
                unit /= 10;
                fraction += (line.data[i] - '0') * unit;
        }
        if (i == line.size || line.data[i] != ']')
                return 0;
        *us = seconds * 1000000 + fraction;
        return i + 1;
}

static void take_line(struct imklog *k, struct text line) {
        unsigned pri = take_pri(&line);
        bool is_kernel = pri >> 3 == 0;
        if ((!is_kernel && !k->settings->permits_other_facilities) ||
            !kernel_limit_passes(&k->limit, k->host, k->source, line, pri & 7, "imklog"))
                return;
        int64_t since_start_us = 0;
        size_t time_size = k->settings->parses_time && is_kernel ? kernel_time(line, &since_start_us) : 0;
        if (!k->settings->keeps_time)
                line = text_slice(line, time_size, line.size);
        line = text_slice(line, 0, (size_t)k->host->facts->message_bytes_max);
        struct record *r = add(k, line, pri);
        if (r && time_size)
                r->reported = stamp_of_wall(kernel_boot_us() + since_start_us);
}

static void take_open_line(struct imklog *k) {
        size_t size = k->line_size;
        k->line_size = 0;
        take_line(k, (struct text){k->line, size});
}

static void imklog_take(struct kernel_reader *reader, const char *bytes, size_t size, int error) {
        struct imklog *k = CONTAINER_OF(reader, struct imklog, reader);
        if (size == 0 && k->line_size)
                take_open_line(k);
        if (error) {
                struct buffer text = {0};
                buffer_format(&text, "imklog: error reading kernel log - shutting down: %s", fail_text(error));
                if (!buffer_failed(&text))
                        add(k, buffer_as_text(&text), (unsigned)k->settings->internal_facility << 3 | SEVERITY_ERR);
                buffer_fini(&text);
        }
        while (size) {
                const char *line_end = memchr(bytes, '\n', size);
                size_t part = line_end ? (size_t)(line_end - bytes) : size;
                size_t kept = MIN(part, sizeof k->line - k->line_size);
                memcpy(k->line + k->line_size, bytes, kept);
                k->line_size += kept;
                bool is_whole = line_end && kept == part;
                if (is_whole || k->line_size == sizeof k->line)
                        take_open_line(k);
                kept += is_whole;
                bytes += kept;
                size -= kept;
        }
}

static void imklog_stop(void *instance) {
        struct imklog *k = instance;
        kernel_reader_stop(&k->reader);
        if (k->settings->console_level > 0)
                kernel_log_set_console(0);
}

static void imklog_close(void *instance) {
        struct imklog *k = instance;
        if (k->reader.watch.fd >= 0)
                kernel_reader_stop(&k->reader);
        source_unref(k->source);
        free(k);
}

static void imklog_close_owned(struct imklog **k) {
        if (*k)
                imklog_close(*k);
}

static int imklog_open(void **ret, const struct input_host *host, const void *settings _unused_) {
        _owned_(imklog_close) struct imklog *k = calloc(1, sizeof *k);
        if (!k)
                return fail(-ENOMEM);
        k->host = host;
        k->settings = host->module_settings;
        k->intake = host->intake[0];
        k->reader.watch.fd = -1;
        k->reader.take = imklog_take;
        k->limit = (struct ratelimit){.interval_s = k->settings->limit_interval_s,
                                      .burst = k->settings->limit_burst,
                                      .severity_min = (uint8_t)k->settings->limit_severity};
        limit_by_name(&k->limit, host, k->settings->limit_name, "imklog");
        k->source = source_new_local("imklog", host->facts->host_name, "127.0.0.1");
        if (!k->source)
                return fail(-ENOMEM);
        int r = kernel_reader_open(&k->reader, host->loop[0], k->settings->path, false);
        if (r) {
                module_report(host->log, SEVERITY_ERR, 0, "imklog: cannot open kernel log (%s): %s.", k->settings->path,
                              fail_text(r));
                return pass(r);
        }
        if (k->settings->console_level > 0 && (r = kernel_log_set_console((int)k->settings->console_level)) != 0)
                module_report(host->log, SEVERITY_WARNING, 0, "imklog: cannot set the console log level: %s",
                              fail_text(r));
        *ret = TAKE(k);
        return 0;
}

static int imklog_start(void *instance) {
        struct imklog *k = instance;
        return pass(kernel_reader_start(&k->reader));
}

static bool imklog_module_instance(const void *module_settings _unused_) {
        return true;
}

#define OBSOLETE PARAM_IS_OBSOLETE | PARAM_IS_IGNORED
#define S        struct imklog_settings
static const struct param imklog_params[] = {
        PARAM_STRING(S, path, .name = "logpath", .legacy = "klogPath", .dflt = "/proc/kmsg",
                     .help = "Where the kernel's log is read."),
        PARAM_BOOL(S, permits_other_facilities, .name = "permitnonkernelfacility",
                   .legacy = "klogPermitNonKernelFacility", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Takes messages of other facilities than kern, which programs wrote into the kernel's log. "
                           "Off: they are ignored."),
        PARAM_INT(S, console_level, .name = "consoleloglevel", .legacy = "klogConsoleLogLevel", .dflt = "-1", .min = -1,
                  .max = 8, .flags = PARAM_LEGACY_STAYS,
                  .help = "Kernel messages less important than this level (1 to 8) are not shown on the console. -1: "
                          "as it is."),
        PARAM_BOOL(S, parses_time, .name = "parsekerneltimestamp", .legacy = "klogParseKernelTimestamp", .dflt = "off",
                   .flags = PARAM_LEGACY_STAYS,
                   .help = "Makes the kernel's own timestamp the time of the message, and takes it off the text."),
        PARAM_BOOL(S, keeps_time, .name = "keepkerneltimestamp", .legacy = "klogKeepKernelTimestamp", .dflt = "off",
                   .flags = PARAM_LEGACY_STAYS, .help = "With parseKernelTimestamp: leaves it in the text as well."),
        PARAM_FACILITY(S, internal_facility, .name = "internalmsgfacility", .legacy = "klogInternalMsgFacility",
                       .dflt = "kern", .flags = PARAM_LEGACY_STAYS,
                       .help = "Facility of what this module itself has to say."),
        PARAM_INT(S, limit_interval_s, .name = "ratelimitinterval", .alias = "ratelimit.interval", .dflt = "0",
                  .min = 0, .max = INT32_MAX, .unit = "seconds",
                  .help = "Time in which so many messages are taken as the burst says. 0: no limit."),
        PARAM_INT(S, limit_burst, .name = "ratelimitburst", .alias = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages that are taken in one interval."),
        LIMIT_SEVERITY(S, limit_severity),
        PARAM_STRING(S, limit_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_RULESET(S, ruleset, .name = "ruleset", .help = "Ruleset that messages go to. Unset: the default one."),
        PARAM_BOOL(S, obsolete_symbols, .name = "klogsymbollookup", .legacy = "klogSymbolLookup", .dflt = "off",
                   .flags = OBSOLETE, .help = "Nothing: the kernel itself writes symbols. Remove it."),
        PARAM_BOOL(S, obsolete_symbols_twice, .name = "klogsymbolstwice", .legacy = "klogSymbolsTwice", .dflt = "off",
                   .flags = OBSOLETE, .help = "Nothing: the kernel itself writes symbols. Remove it."),
        PARAM_BOOL(S, obsolete_syscall, .name = "klogusesyscallinterface", .legacy = "klogUseSyscallInterface",
                   .dflt = "off", .flags = OBSOLETE, .help = "Nothing: logPath says where to read. Remove it."),
        PARAM_BOOL(S, obsolete_print, .name = "debugprintkernelsymbols", .legacy = "DebugPrintKernelSymbols",
                   .dflt = "off", .flags = OBSOLETE, .help = "Nothing: the kernel itself writes symbols. Remove it."),
        PARAM_STRING(S, obsolete_address, .name = "kloglocalipif", .legacy = "klogLocalIPIF", .flags = OBSOLETE,
                     .help = "Nothing: messages of this machine have its name. Remove it."),
        {},
};
#undef S

static const struct counter_def imklog_counters[] = {{"submitted", "Messages that were taken."}, {}};

static const struct input_ops imklog_ops = {
        .open = imklog_open,
        .start = imklog_start,
        .stop = imklog_stop,
        .close = imklog_close,
        .resumes = true,
        .module_instance = imklog_module_instance,
};

const struct module imklog_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imklog",
        .help = "Takes the kernel's messages from its traditional log, /proc/kmsg.",
        .module_settings = SETTINGS(struct imklog_settings, imklog_params),
        .counters = imklog_counters,
        .input = &imklog_ops,
};
