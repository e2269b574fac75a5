/*
 * imjournal: the entries of the systemd journal as messages, with all their fields
 * as $! variables.
 *
 *   entry -> rate limit -> fields copied -> record -> intake -> (batch finished) -> state file
 *
 * The module itself is an instance, as long as there is no input(); each input()
 * follows the journal on its own for its ruleset. Messages wait in the journal while
 * the ruleset's queue is full.
 */
#include "input/imjournal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/builtin.h"
#include "input/imjournal_entry.h"
#include "input/imjournal_reader.h"
#include "input/named_limit.h"
#include "io/file.h"
#include "message/ratelimit.h"
#include "module/facts.h"
#include "module/settings.h"

enum {
        CODE_RATE_LIMIT = 2177,
        CODE_NO_STATE_FILE = 2040,
        CODE_BAD_FIELD = 3000,
        FACILITY_USER = 1,
        FACILITY_MAX = 23,
};

static const char *const pid_origins[] = {"system", "syslog", "both", NULL}; /* enum pid_origin */

struct imjournal_settings {
        char *state_file;
        int64_t state_file_mode, state_interval;
        int64_t limit_interval_s, limit_burst, limit_severity;
        char *limit_name;
        bool skips_previous, ignores_bad_state;
        int64_t severity;
        char *facility;
        bool takes_system_pid;
        int pid_origin;
        bool works_around;
        bool syncs;
        bool takes_remote;
        char *name_space;
        char *default_tag;
};

struct imjournal_input {
        char *ruleset;
        bool is_main;
};

static const struct counter_def imjournal_counters[] = {
        [COUNT_SUBMITTED] = {"submitted", "Messages that were taken."},
        [COUNT_READ] = {"read", "Entries that were read."},
        [COUNT_DISCARDED] = {"discarded", "Entries that were discarded by the rate limit."},
        [COUNT_FAILED] = {"failed", "Times that an entry could not be read."},
        [COUNT_POLL_FAILED] = {"poll_failed", "Times that asking the journal for changes failed."},
        [COUNT_ROTATIONS] = {"rotations", "Times that files of the journal came or went."},
        [COUNT_RECOVERIES] = {"recovery_attempts", "Times that the journal was closed because of an error."},
        [COUNT_DISCARDED_LAST] = {"ratelimit_discarded_in_interval",
                                  "Entries that the rate limit discarded in its interval that runs.", .is_gauge = true},
        [COUNT_USAGE] = {"disk_usage_bytes", "Size of the journal's files.", .is_gauge = true},
        {},
};

struct imjournal {
        const struct input_host *host;
        const struct imjournal_settings *settings;
        struct intake *intake;
        struct source *source;
        struct journal_reader reader;
        struct journal_position *position; /* NULL: no state file */
        char *state_path;                  /* NULL: none */
        struct entry_rules rules;
        struct entry entry;
        struct buffer scratch;
        struct ratelimit limit;
        uint32_t unpromised;      /* messages in the batch that no promise covers */
        const char *state_suffix; /* of the state file's name; NULL: none */
        bool is_of_module;
        bool has_told_priority;
};

static void count(struct imjournal *m, unsigned which, uint64_t n) {
        counter_add(&m->host->counters[which], n);
}

/* ---- Entries ---------------------------------------------------------------------- */

static void tell_lost(struct imjournal *m, uint64_t lost) {
        module_report(m->host->log, SEVERITY_INFO, CODE_RATE_LIMIT,
                      "imjournal: %llu messages lost due to rate-limiting (%lld allowed within %lld seconds)",
                      (unsigned long long)lost, (long long)m->limit.burst, (long long)m->limit.interval_s);
}

static bool is_within_limit(struct imjournal *m) {
        uint64_t lost;
        struct limited_message message = {.source = m->source, .flags = RECORD_NO_HOSTNAME};
        bool passes = ratelimit_pass_message(&m->limit, &message, clock_wall_coarse_us(), &lost);
        if (LIKELY(passes && lost == 0))
                return true;
        if (lost)
                tell_lost(m, lost);
        if (!passes && m->limit.discarded == 1)
                module_report(m->host->log, SEVERITY_INFO, CODE_RATE_LIMIT,
                              "imjournal from <%s:->: begin to drop messages due to rate-limiting",
                              m->host->facts->host_name);
        count(m, COUNT_DISCARDED, !passes);
        atomic_store_explicit(&m->host->counters[COUNT_DISCARDED_LAST].value, m->limit.discarded, memory_order_relaxed);
        return passes;
}

/* Once an instance: every entry of a program that does it would have its own complaint, which comes back as an entry.
 */
static void complain_about_priority(struct imjournal *m) {
        uint8_t severity;
        enum entry_priority answer = entry_severity(&m->entry, m->rules.default_severity, &severity);
        if (LIKELY(answer == PRIORITY_IS_FINE) || m->has_told_priority)
                return;
        m->has_told_priority = true;
        struct text value = entry_known(&m->entry, FIELD_PRIORITY);
        if (answer == PRIORITY_IS_OUT_OF_BOUNDS)
                module_report(m->host->log, SEVERITY_ERR, CODE_BAD_FIELD,
                              "imjournal: the value of the 'PRIORITY' field is out of bounds: %d, resetting",
                              value.data[0] - '0');
        else
                module_report(m->host->log, SEVERITY_ERR, CODE_BAD_FIELD,
                              "The value of the 'PRIORITY' field has an unexpected length: %zu",
                              value.size + sizeof "PRIORITY=" - 1);
}

/* The fields of the entry that the journal stands on. */
static void read_fields(struct imjournal *m, struct sd_journal *journal) {
        const struct journal_library *l = &m->reader.library;
        uint64_t time_us;
        if (l->get_realtime_usec(journal, &time_us) < 0 || time_us > INT64_MAX)
                time_us = (uint64_t)clock_wall_us();
        entry_begin(&m->entry, (int64_t)time_us);
        const void *data;
        size_t size;
        int r = 0;
        l->restart_data(journal);
        for (unsigned i = 0; i < ENTRY_FIELDS_MAX && (r = l->enumerate_data(journal, &data, &size)) > 0; i++)
                entry_add(&m->entry, (struct text){data, size}, m->rules.value_bytes_max);
        if (r < 0) /* what was read of it is taken */
                count(m, COUNT_FAILED, 1);
}

/* A batch that leaves before the cursor of its last record is known: nothing passes it, and the next one says where
 * we are. */
static void leave_batch(struct imjournal *m, size_t needed) {
        struct batch *b = m->intake->batch;
        if (!m->unpromised || !b || (b->region_size[0] - b->region_used[0] >= needed && b->count < b->capacity))
                return;
        if (m->position)
                journal_position_reach(m->position, b, "", 0);
        count(m, COUNT_SUBMITTED, m->unpromised);
        m->unpromised = 0;
        intake_flush(m->intake);
}

static bool is_important(const struct imjournal *m, unsigned severity_min) {
        uint8_t severity;
        entry_severity(&m->entry, m->rules.default_severity, &severity);
        return severity < severity_min;
}

static size_t imjournal_take(struct journal_reader *reader, struct sd_journal *journal) {
        struct imjournal *m = CONTAINER_OF(reader, struct imjournal, reader);
        unsigned severity_min = ratelimit_severity_min(&m->limit);
        if (severity_min == 0 && !is_within_limit(m))
                return 0;
        read_fields(m, journal);
        if (severity_min && !is_important(m, severity_min) && !is_within_limit(m))
                return 0;
        complain_about_priority(m);
        leave_batch(m, entry_known(&m->entry, FIELD_MESSAGE).size);
        if (entry_take(&m->entry, &m->rules, m->intake, m->source, &m->scratch))
                m->unpromised++;
        else
                count(m, COUNT_FAILED, 1);
        return m->entry.bytes.size;
}

static void imjournal_end_round(struct journal_reader *reader, unsigned entries) {
        struct imjournal *m = CONTAINER_OF(reader, struct imjournal, reader);
        struct batch *b = m->unpromised ? m->intake->batch : NULL;
        count(m, COUNT_READ, entries);
        count(m, COUNT_SUBMITTED, m->unpromised);
        if (m->position)
                journal_position_reach(m->position, b, reader->cursor, entries);
        m->unpromised = 0;
}

/* ---- Opening ---------------------------------------------------------------------- */

/* "local3", "LOG_LOCAL3" or "19". */
static uint8_t default_facility(const struct imjournal *m) {
        struct text name = text_of(m->settings->facility);
        if (text_starts_nocase(name, TEXT("LOG_")))
                name = text_slice(name, 4, name.size);
        int facility = facility_by_name(name);
        int64_t number;
        if (facility < 0 && text_to_int(name, &number) == 0 && number >= 0 && number <= FACILITY_MAX)
                facility = (int)number;
        if (facility >= 0)
                return (uint8_t)facility;
        module_report(
                m->host->log, SEVERITY_WARNING, 0,
                "imjournal: DefaultFacility '%s' is no facility (kern, user, mail ... local7, or 0 to 23): user is "
                "taken",
                m->settings->facility);
        return FACILITY_USER;
}

/* Where the state is kept. Every input() but the first adds the name of its ruleset; "/" in it becomes "_". */
static int name_state_file(struct imjournal *m) {
        const char *file = m->settings->state_file, *suffix = m->state_suffix,
                   *directory = m->host->facts->work_directory;
        if (!file || !*file)
                return 0;
        if (*file != '/' && !*directory)
                module_report(m->host->log, SEVERITY_WARNING, 0,
                              "imjournal: no work directory is set, so that the state file '%s' lies in the current "
                              "one (probably /): give it by its full path, or say global(workDirectory=\"/some/path\")",
                              file);
        _owned_(buffer_fini) struct buffer path = {0};
        if (*file != '/' && *directory)
                buffer_format(&path, "%s/", directory);
        buffer_text(&path, text_of(file));
        if (suffix)
                buffer_byte(&path, '.');
        for (const char *c = suffix; c && *c; c++)
                buffer_byte(&path, *c == '/' ? '_' : *c);
        if (buffer_failed(&path) || !(m->state_path = text_copy(buffer_as_text(&path))))
                return fail(-ENOMEM);
        return 0;
}

/* The cursor that reading goes on from. -EINVAL where the file holds none and the user minds. */
static int load_state(struct imjournal *m) {
        if (!m->state_path)
                return 0;
        int r = journal_position_read(m->state_path, m->reader.cursor);
        if (r == -ENOENT) {
                module_report(m->host->log, SEVERITY_NOTICE, CODE_NO_STATE_FILE,
                              "imjournal: No statefile exists, %s will be created (ignore if this is first run)",
                              m->state_path);
                return 0;
        }
        if (r == -EBADMSG)
                module_report(m->host->log, SEVERITY_ERR, 0, "imjournal: state file `%s' holds no cursor",
                              m->state_path);
        else if (r)
                module_report(m->host->log, SEVERITY_ERR, 0, "imjournal: open on state file `%s' failed: %s",
                              m->state_path, fail_text(r));
        return r;
}

/* The state file is no good: go on without it, or not at all. */
static int refuse_state(struct imjournal *m) {
        bool is_ignored = m->settings->ignores_bad_state;
        m->reader.cursor[0] = '\0';
        module_report(m->host->log, SEVERITY_ERR, 0,
                      is_ignored ? "imjournal: ignoring invalid state file %s"
                                 : "imjournal: invalid state file %s: nothing is read until it is repaired or removed, "
                                   "or IgnoreNonValidStatefile is on",
                      m->state_path);
        return is_ignored ? 0 : fail(-EINVAL);
}

static int keep_position(struct imjournal *m) {
        if (!m->state_path)
                return 0;
        const struct journal_position_settings settings = {
                .path = m->state_path,
                .mode = (mode_t)m->settings->state_file_mode,
                .is_synced = m->settings->syncs,
                .interval = m->settings->state_interval,
                .loop = m->host->loop[0],
                .log = m->host->log,
        };
        return pass(journal_position_new(&m->position, &settings));
}

static void set_up(struct imjournal *m, const char *directory) {
        const struct imjournal_settings *s = m->settings;
        const struct host_facts *facts = m->host->facts;
        m->intake = m->host->intake[0];
        m->intake->flow = FLOW_LIGHT;
        m->limit = (struct ratelimit){
                .interval_s = s->limit_interval_s, .burst = s->limit_burst, .severity_min = (uint8_t)s->limit_severity};
        limit_by_name(&m->limit, m->host, s->limit_name, "imjournal");
        m->rules = (struct entry_rules){
                .sanitize = facts_sanitize_rules(facts),
                .value_bytes_max = MAX((size_t)facts->message_bytes_max, (size_t)ENTRY_VALUE_BYTES_MAX),
                .pid_origin = s->takes_system_pid ? PID_FROM_SYSTEM : (enum pid_origin)s->pid_origin,
                .default_tag = s->default_tag ? s->default_tag : "",
                .default_facility = default_facility(m),
                .default_severity = (uint8_t)s->severity,
        };
        m->reader.loop = m->host->loop[0];
        m->reader.log = m->host->log;
        m->reader.counters = m->host->counters;
        m->reader.directory = directory;
        m->reader.name_space = s->name_space && *s->name_space ? s->name_space : NULL;
        m->reader.takes_remote = s->takes_remote;
        m->reader.skips_previous = s->skips_previous;
        m->reader.value_bytes_max = m->rules.value_bytes_max;
        m->reader.take = imjournal_take;
        m->reader.end_round = imjournal_end_round;
}

static void imjournal_close(void *instance) {
        struct imjournal *m = instance;
        reader_close(&m->reader);
        journal_position_unref(m->position);
        entry_fini(&m->entry);
        buffer_fini(&m->scratch);
        source_unref(m->source);
        free(m->state_path);
        free(m);
}

static void imjournal_close_owned(struct imjournal **m) {
        if (*m)
                imjournal_close(*m);
}

int imjournal_open_directory(void **ret, const struct input_host *host, const void *settings, const char *directory) {
        _owned_(imjournal_close) struct imjournal *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->host = host;
        m->settings = host->module_settings;
        m->is_of_module = settings == NULL;
        /* The place of all instances tells whether there was an input() before: its own address, never followed. */
        bool is_first = m->is_of_module || !host->shared || !*host->shared;
        if (!m->is_of_module && host->shared)
                *host->shared = host->shared;
        if (!is_first)
                m->state_suffix = host->ruleset ? host->ruleset : "default";
        set_up(m, directory);
        m->source = source_new_local("imjournal", host->facts->host_name, "127.0.0.1");
        if (!m->source)
                return fail(-ENOMEM);
        int r = reader_open(&m->reader);
        if (r)
                return pass(r);
        *ret = TAKE(m);
        return 0;
}

static int imjournal_open(void **ret, const struct input_host *host, const void *settings) {
        return pass(imjournal_open_directory(ret, host, settings, NULL));
}

/* ---- Life --------------------------------------------------------------------------- */

static int imjournal_start(void *instance) {
        struct imjournal *m = instance;
        if (m->is_of_module && m->host->shared && *m->host->shared)
                return 0; /* the input() objects read */
        int r = name_state_file(m);
        if (r)
                return pass(r);
        if (load_state(m))
                r = refuse_state(m);
        if (r == 0)
                r = keep_position(m);
        if (r)
                return pass(r);
        r = reader_start(&m->reader);
        if (r != READER_CURSOR_REFUSED)
                return pass(r);
        module_report(m->host->log, SEVERITY_ERR, 0, "imjournal: couldn't seek to cursor `%s'", m->reader.cursor);
        r = refuse_state(m);
        return r ? pass(r) : pass(reader_start(&m->reader));
}

static void imjournal_stop(void *instance) {
        struct imjournal *m = instance;
        reader_stop(&m->reader);
        if (m->limit.discarded)
                tell_lost(m, m->limit.discarded);
        if (m->position)
                journal_position_stop(m->position);
}

static bool imjournal_module_instance(const void *module_settings _unused_) {
        return true;
}

#define S struct imjournal_settings
static const struct param imjournal_params[] = {
        PARAM_STRING(S, state_file, .name = "statefile", .legacy = "IMJournalStateFile",
                     .help = "Where the position in the journal is kept: a full path, or a name in the work directory. "
                             "Unset: nowhere, and each start reads the journal from its beginning (or from its end: "
                             "IgnorePreviousMessages)."),
        PARAM_MODE(S, state_file_mode, .name = "filecreatemode", .dflt = "0644", .help = "Mode of the state file."),
        PARAM_INT(S, limit_interval_s, .name = "ratelimit.interval", .legacy = "IMJournalRatelimitInterval",
                  .dflt = "600", .min = 0, .max = INT32_MAX, .unit = "seconds",
                  .help = "Interval of the rate limit. 0: no limit."),
        PARAM_INT(S, limit_burst, .name = "ratelimit.burst", .legacy = "IMJournalRatelimitBurst", .dflt = "20000",
                  .min = 0, .max = INT32_MAX, .unit = "messages",
                  .help = "Messages that are taken in each interval; what is beyond is discarded and counted."),
        LIMIT_SEVERITY(S, limit_severity),
        PARAM_STRING(S, limit_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_INT(
                S, state_interval, .name = "persiststateinterval", .legacy = "IMJournalPersistStateInterval",
                .dflt = "10", .min = 1, .max = INT32_MAX, .unit = "messages",
                .help = "The state file is written after so many messages were delivered, and when the daemon stops."),
        PARAM_BOOL(S, skips_previous, .name = "ignorepreviousmessages", .legacy = "IMJournalIgnorePreviousMessages",
                   .dflt = "off", .help = "Without a state file, what is in the journal already is not read."),
        PARAM_BOOL(S, ignores_bad_state, .name = "ignorenonvalidstatefile", .dflt = "on",
                   .help = "A state file that holds no position of the journal is treated as if there were none; off: "
                           "then nothing is read."),
        PARAM_SEVERITY(S, severity, .name = "defaultseverity", .legacy = "IMJournalDefaultSeverity", .dflt = "notice",
                       .help = "Severity of entries without PRIORITY."),
        PARAM_STRING(S, facility, .name = "defaultfacility", .legacy = "IMJournalDefaultFacility", .dflt = "LOG_USER",
                     .help = "Facility of entries without SYSLOG_FACILITY: kern, user ... local7 (LOG_ before it is "
                             "fine), or 0 to 23."),
        PARAM_BOOL(S, takes_system_pid, .name = "usepidfromsystem", .legacy = "IMJournalUsePIDFromSystem",
                   .flags = PARAM_IS_OBSOLETE, .dflt = "off", .help = "Use usePid=\"system\" instead."),
        PARAM_CHOICE(S, pid_origin, .name = "usepid", .choices = pid_origins, .dflt = "both",
                     .help = "Where the process id in the tag comes from: the field _PID, which journald vouches for "
                             "(system), the field SYSLOG_PID, which the program wrote (syslog), or the second and else "
                             "the first (both)."),
        PARAM_BOOL(
                S, works_around, .name = "workaroundjournalbug", .flags = PARAM_IS_IGNORED, .dflt = "on",
                .help = "Without effect, as in rsyslogd since 8.1910: the journal is opened again whenever its files "
                        "come or go."),
        PARAM_BOOL(S, syncs, .name = "fsync", .dflt = "off",
                   .help = "Every write of the state file waits for the disk, so that power loss repeats fewer "
                           "messages. The file is replaced as a whole either way."),
        PARAM_BOOL(S, takes_remote, .name = "remote", .dflt = "off",
                   .help = "Reads the journals of other machines that were received here, too."),
        PARAM_STRING(S, name_space, .name = "namespace",
                     .help = "Reads the journal of this namespace (systemd 245 and later). Unset: the default one."),
        PARAM_STRING(S, default_tag, .name = "defaulttag", .dflt = "journal",
                     .help = "Tag of entries that have neither SYSLOG_IDENTIFIER nor _COMM."),
        {},
};
#undef S

#define S struct imjournal_input
static const struct param input_params[] = {
        PARAM_RULESET(S, ruleset, .name = "ruleset",
                      .help = "Ruleset that messages go to. Unset: the default one. The first input uses StateFile, "
                              "each further one StateFile and the name of its ruleset (imjournal.state.RULESET)."),
        PARAM_BOOL(S, is_main, .name = "main", .flags = PARAM_IS_IGNORED, .dflt = "off",
                   .help = "In rsyslogd the one input that waits for its ruleset, while others lose messages. Without "
                           "effect: every input waits for its own and loses none."),
        {},
};
#undef S

static const struct input_ops imjournal_ops = {
        .open = imjournal_open,
        .start = imjournal_start,
        .stop = imjournal_stop,
        .close = imjournal_close,
        .resumes = true,
        .module_instance = imjournal_module_instance,
};

const struct module imjournal_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imjournal",
        .help = "Takes messages with all their fields from the systemd journal. Needs libsystemd when it runs.",
        .module_settings = SETTINGS(struct imjournal_settings, imjournal_params),
        .settings = SETTINGS(struct imjournal_input, input_params),
        .counters = imjournal_counters,
        .input = &imjournal_ops,
};
