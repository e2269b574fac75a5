/*
 * pmdb2diag: entries of DB2's diagnostic log, as imfile reads them with needParse and
 * escapeLF:
 *
 *   2015-05-06-16.53.26.989402+120 E1876227378A1702     LEVEL: Info\nPID     : 4390948 ... PROC : db2sysc 0\n...
 *
 * Date, severity, process id and program are taken from where the parameters say; the
 * text stays as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/fail.h"
#include "message/sanitize.h"
#include "module/module.h"
#include "module/settings.h"

enum {
        DATE_BYTES_MAX = 128,
        OFFSET_MINUTES_MAX = 24 * 60,
        FRACTION_DIGITS = 6,
        SEVERITY_NOTICE_NUMBER = 5,
};

struct pmdb2diag_settings {
        char *time_format;
        int64_t time_at, level_at, program_shift;
};

/* DB2's words for severities, by as many letters as tell them apart. */
static const struct level {
        const char *word;
        uint8_t severity;
} levels[] = {{"Severe", 2}, {"Critical", 2}, {"Alert", 1}, {"Error", 3}, {"Warning", 4}, {"Event", 5}, {"Info", 6}};

static bool is_digit(char c) {
        return (unsigned char)(c - '0') <= 9;
}

/* "989402+120": what follows the seconds, the offset in minutes. */
static void read_fraction(struct stamp *s, const char *p) {
        for (; is_digit(*p); p++)
                if (s->precision < FRACTION_DIGITS) {
                        s->fraction = s->fraction * 10 + (uint32_t)(*p - '0');
                        s->precision++;
                }
        if (*p != '+' && *p != '-')
                return;
        long minutes = strtol(p, NULL, 10);
        if (labs(minutes) < OFFSET_MINUTES_MAX)
                s->offset_minutes = (int16_t)minutes;
}

static bool read_date(const struct pmdb2diag_settings *s, struct stamp *ret, struct text raw) {
        char date[DATE_BYTES_MAX + 1];
        struct text from = text_slice(raw, MIN((size_t)s->time_at, raw.size), raw.size);
        size_t size = MIN(from.size, (size_t)DATE_BYTES_MAX);
        if (size)
                memcpy(date, from.data, size);
        date[size] = '\0';
        struct tm tm = {0};
        const char *after = strptime(date, s->time_format, &tm);
        if (!after)
                return false;
        *ret = (struct stamp){.year = (int16_t)(tm.tm_year + 1900),
                              .month = (uint8_t)(tm.tm_mon + 1),
                              .day = (uint8_t)MAX(tm.tm_mday, 1),
                              .hour = (uint8_t)tm.tm_hour,
                              .minute = (uint8_t)tm.tm_min,
                              .second = (uint8_t)MIN(tm.tm_sec, 60),
                              .is_set = 1};
        read_fraction(ret, after);
        return true;
}

/* The word at `from`: up to a blank or the end. */
static struct text word_at(struct text raw, size_t from) {
        size_t end = from;
        while (end < raw.size && raw.data[end] != ' ')
                end++;
        return text_slice(raw, from, end);
}

static uint8_t severity_of(struct text level) {
        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (text_starts_nocase(level, text_of(levels[i].word)))
                        return levels[i].severity;
        return SEVERITY_NOTICE_NUMBER;
}

static enum parse_result pmdb2diag_parse(void *instance, struct batch *b, struct record *r) {
        const struct pmdb2diag_settings *s = instance;
        struct text raw = batch_text(b, r->raw);
        struct stamp reported;
        size_t level_at = (size_t)s->level_at;
        if (level_at >= raw.size || !read_date(s, &reported, raw))
                return PARSE_NOT_MINE;
        /* The next colon is that of "PID     : 4390948". */
        const char *colon = memchr(raw.data + level_at, ':', raw.size - level_at);
        size_t pid_at = colon ? (size_t)(colon - raw.data) + 1 : raw.size;
        while (pid_at < raw.size && raw.data[pid_at] == ' ')
                pid_at++;
        size_t program_at = pid_at + (size_t)s->program_shift;
        struct text pid = word_at(raw, pid_at);
        if (program_at >= raw.size || pid.size == 0 || !is_digit(pid.data[0]))
                return PARSE_NOT_MINE;
        struct text program = word_at(raw, program_at);
        r->severity = severity_of(text_slice(raw, level_at, raw.size));
        r->reported = r->flags & RECORD_IGNORE_DATE ? stamp_of_wall(r->received_us) : reported;
        r->procid = span_slice(r->raw, pid_at, pid_at + pid.size);
        r->app = span_slice(r->raw, program_at, program_at + program.size);
        r->flags |= RECORD_HAS_APP | RECORD_HAS_PROCID;
        r->msg = r->raw;
        return PARSE_TAKEN;
}

static int pmdb2diag_open(void **ret, struct module_log *log _unused_, const struct host_facts *facts _unused_,
                          const void *settings) {
        *ret = (void *)(uintptr_t)settings; /* they outlive the instance, which is nothing else */
        return 0;
}

static void pmdb2diag_close(void *instance _unused_) {
}

#define S struct pmdb2diag_settings
static const struct param pmdb2diag_params[] = {
        PARAM_STRING(S, time_format, .name = "timeformat", .dflt = "%Y-%m-%d-%H.%M.%S.",
                     .help = "Form of the date as strptime(3) describes it, up to the fraction of a second."),
        PARAM_INT(S, time_at, .name = "timepos", .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "bytes",
                  .help = "Where the date begins."),
        PARAM_INT(S, level_at, .name = "levelpos", .dflt = "59", .min = 0, .max = INT32_MAX, .unit = "bytes",
                  .help = "Where the word for the severity begins."),
        PARAM_INT(S, program_shift, .name = "pidstarttoprogstartshift", .dflt = "49", .min = 0, .max = INT32_MAX,
                  .unit = "bytes", .help = "From the beginning of the process id to that of the program's name."),
        {},
};
#undef S

static const struct parser_ops pmdb2diag_ops = {
        .name = "db2.diag",
        .open = pmdb2diag_open,
        .parse = pmdb2diag_parse,
        .close = pmdb2diag_close,
};

const struct module pmdb2diag_module = {
        MODULE_HEAD,
        .kind = MODULE_PARSER,
        .name = "pmdb2diag",
        .help = "Finds date, severity, process id and program in entries of DB2's diagnostic log, read by imfile with "
                "needParse and escapeLF. Chains name it db2.diag.",
        .settings = SETTINGS(struct pmdb2diag_settings, pmdb2diag_params),
        .parser = &pmdb2diag_ops,
};
