/*
 * imfile: reads text files as they grow.
 *
 * Promises: every line that is in a file while we follow it becomes a message once, through
 * rotation, truncation and restart; after a crash some may come twice. Idle files cost
 * nothing but an open descriptor.
 *
 *   imfile_find.c      names with wildcards, directories that appear and vanish
 *   imfile_watch.c     who hears which of inotify's events
 *   imfile_follow.c    names and files part and meet; whose turn it is
 *   imfile_tail.c      bytes become records
 *   imfile_position.c  how far everything is delivered
 *   imfile_state.c     and what of that is kept over a restart
 *
 * All inputs share one inotify descriptor and one loop's thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/imfile_find.h"

static const char *const modes[] = {"inotify", "polling", "fen", NULL};

static const struct param module_params[] = {
        PARAM_CHOICE(struct imfile_module, mode, .name = "mode", .dflt = "inotify", .choices = modes,
                     .help = "How changes are noticed: the kernel tells (inotify; fen means the same), or files are "
                             "looked at every pollingInterval seconds."),
        PARAM_INT(struct imfile_module, polling_interval_s, .name = "pollinginterval",
                  .legacy = "InputFilePollInterval", .dflt = "10", .min = 1, .max = INT32_MAX, .unit = "seconds",
                  .help = "How often files are looked at in polling mode."),
        PARAM_INT(struct imfile_module, read_timeout_s, .name = "readtimeout", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "seconds", .help = "Default of the inputs' readTimeout."),
        PARAM_INT(struct imfile_module, timeout_granularity_s, .name = "timeoutgranularity", .dflt = "1", .min = 1,
                  .max = INT32_MAX, .unit = "seconds", .help = "The shortest readTimeout that has effect."),
        PARAM_BOOL(struct imfile_module, sorts_files, .name = "sortfiles", .dflt = "off",
                   .help = "Takes the files of a directory in the order of their names."),
        PARAM_BOOL(struct imfile_module, normalizes_path, .name = "normalizepath", .dflt = "on",
                   .flags = PARAM_IS_IGNORED,
                   .help = "Names are always made absolute and free of empty and dot parts."),
        PARAM_BOOL(struct imfile_module, deletes_state_on_move, .name = "deletestateonfilemove", .dflt = "off",
                   .help = "Default of the inputs' deleteStateOnFileMove."),
        PARAM_STRING(struct imfile_module, state_directory, .name = "statefile.directory",
                     .help = "Directory of the state files; global(workDirectory) where it is not set."),
        PARAM_INT(struct imfile_module, watches_max, .name = "maxinotifywatches", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "files and directories",
                  .help = "How many the kernel shall watch for us; what is beyond is polled. 0: as many as the kernel "
                          "allows."),
        PARAM_INT(struct imfile_module, fallback_interval_s, .name = "inotifyfallbackinterval", .dflt = "60", .min = 0,
                  .max = INT32_MAX, .unit = "seconds",
                  .help = "How often files that the kernel cannot watch are looked at; 0: never."),
        {}};

static const struct param input_params[] = {
        PARAM_STRING(struct imfile_input, file, .name = "file", .legacy = "InputFileName", .flags = PARAM_IS_REQUIRED,
                     .help = "Name of the file; * ? and [] may stand in any part of it."),
        PARAM_STRING(struct imfile_input, tag, .name = "tag", .legacy = "InputFileTag", .flags = PARAM_IS_REQUIRED,
                     .help = "Tag of the messages, with its colon if there shall be one."),
        PARAM_SEVERITY(struct imfile_input, severity, .name = "severity", .legacy = "InputFileSeverity",
                       .dflt = "notice", .flags = PARAM_LEGACY_STAYS, .help = "Severity of the messages."),
        PARAM_FACILITY(struct imfile_input, facility, .name = "facility", .legacy = "InputFileFacility",
                       .dflt = "local0", .flags = PARAM_LEGACY_STAYS, .help = "Facility of the messages."),
        PARAM_RULESET(struct imfile_input, ruleset, .name = "ruleset", .legacy = "InputFileBindRuleset",
                      .flags = PARAM_LEGACY_STAYS, .help = "Ruleset that the messages go to."),
        PARAM_INT(struct imfile_input, read_mode, .name = "readmode", .legacy = "InputFileReadMode", .dflt = "0",
                  .min = 0, .max = 2, .flags = PARAM_LEGACY_STAYS,
                  .help = "0: every line is a message. 1: an empty line ends a message. 2: a line that begins with "
                          "white space belongs to the message before it."),
        PARAM_STRING(struct imfile_input, start_regex, .name = "startmsg.regex",
                     .help = "A line that matches this POSIX extended regular expression begins a message."),
        PARAM_STRING(struct imfile_input, end_regex, .name = "endmsg.regex",
                     .help = "A line that matches this POSIX extended regular expression ends a message."),
        PARAM_INT(struct imfile_input, read_timeout_s, .name = "readtimeout", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "seconds", .flags = PARAM_INHERITS,
                  .help = "With startmsg.regex or endmsg.regex: a message that gets no further line for so long is "
                          "complete. 0: never."),
        PARAM_BOOL(struct imfile_input, discards_truncated, .name = "discardtruncatedmsg", .dflt = "off",
                   .help = "With a regular expression: what is beyond the longest message is discarded; else it "
                           "becomes the next message."),
        PARAM_BOOL(struct imfile_input, reports_truncation, .name = "msgdiscardingerror", .dflt = "on",
                   .help = "Reports messages that were too long."),
        PARAM_BOOL(struct imfile_input, escapes_lf, .name = "escapelf", .dflt = "on", .flags = PARAM_LEGACY_OFF,
                   .help = "Line ends inside a message are escaped. Inputs made by $InputRunFileMonitor have it off."),
        PARAM_STRING(struct imfile_input, lf_replacement, .name = "escapelf.replacement",
                     .help = "What escaped line ends become; else \\n with a regular expression and #012 without."),
        PARAM_BOOL(struct imfile_input, reopens_on_truncate, .name = "reopenontruncate", .dflt = "off",
                   .flags = PARAM_IS_IGNORED,
                   .help = "A file that was cut short is always read from its beginning again."),
        PARAM_INT(struct imfile_input, lines_at_once_max, .name = "maxlinesatonce", .legacy = "InputFileMaxLinesAtOnce",
                  .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "lines",
                  .flags = PARAM_IS_IGNORED | PARAM_LEGACY_STAYS, .help = "Files always take turns of bounded size."),
        PARAM_INT(struct imfile_input, submit_at_once_max, .name = "maxsubmitatonce", .dflt = "1024", .min = 1,
                  .max = INT32_MAX, .unit = "messages", .help = "How many messages go to the queue together at most."),
        PARAM_INT(struct imfile_input, trim_bytes, .name = "trimlineoverbytes", .legacy = "InputFileTrimLineOverBytes",
                  .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "bytes", .flags = PARAM_LEGACY_STAYS,
                  .help = "Longer messages are cut there, in readMode 0 and 2. 0: not."),
        PARAM_BOOL(struct imfile_input, deletes_state_on_delete, .name = "deletestateonfiledelete",
                   .alias = "removestateondelete", .dflt = "on", .help = "The state file goes with the file."),
        PARAM_BOOL(struct imfile_input, deletes_state_on_move, .name = "deletestateonfilemove", .dflt = "off",
                   .flags = PARAM_INHERITS, .help = "The state file goes when the file gets another name."),
        PARAM_INT(struct imfile_input, persist_interval, .name = "persiststateinterval",
                  .legacy = "InputFilePersistStateInterval", .dflt = "0", .min = 0, .max = INT32_MAX, .unit = "lines",
                  .flags = PARAM_LEGACY_STAYS,
                  .help = "The state file is written after so many delivered lines, not only at the end. 0: at the "
                          "end."),
        PARAM_BOOL(struct imfile_input, persists_after_submission, .name = "persiststateaftersubmission", .dflt = "off",
                   .help = "The state file is written whenever a batch of messages is delivered."),
        PARAM_INT(struct imfile_input, delay_us, .name = "delay.message", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "microseconds", .help = "Reads no faster than one message in so many microseconds."),
        PARAM_BOOL(struct imfile_input, adds_metadata, .name = "addmetadata", .dflt = "on",
                   .help = "Sets $!metadata!filename and $!metadata!fileoffset. Off is faster."),
        PARAM_BOOL(struct imfile_input, adds_cee_tag, .name = "addceetag", .dflt = "off",
                   .help = "Puts \"@cee:\" before each message."),
        PARAM_STRING(struct imfile_input, state_file, .name = "statefile", .legacy = "InputFileStateFile",
                     .flags = PARAM_IS_OBSOLETE,
                     .help = "Name of the state file. Leave it out: names are made of the file's number, and hold "
                             "through rotation."),
        PARAM_BOOL(struct imfile_input, starts_at_tail, .name = "freshstarttail", .dflt = "off",
                   .help = "Files that are there at the first start are read from their end."),
        PARAM_BOOL(struct imfile_input, reports_missing, .name = "filenotfounderror", .dflt = "on",
                   .help = "Reports a file without wildcards that is not there at start."),
        PARAM_BOOL(struct imfile_input, needs_parse, .name = "needparse", .dflt = "off",
                   .help = "Lines go through the ruleset's parsers, as if they came from the network."),
        PARAM_INT(struct imfile_input, ignored_age_s, .name = "ignoreolderthan", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds",
                  .help = "Files that were not written to for so long are left alone until they are. 0: none."),
        PARAM_INT(struct imfile_input, minute_bytes_max, .name = "maxbytesperminute", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "bytes", .help = "Messages beyond so many bytes a minute are discarded."),
        PARAM_INT(struct imfile_input, minute_lines_max, .name = "maxlinesperminute", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages beyond so many a minute are discarded."),
        PARAM_BOOL(struct imfile_input, is_legacy_run, .name = "legacy.run", .legacy = "InputRunFileMonitor",
                   .flags = PARAM_LEGACY_CREATES | PARAM_IS_IGNORED,
                   .help = "$InputRunFileMonitor makes an input of the directives before it; it has no value."),
        {}};

static const struct counter_def imfile_counters[] = {
        [IMFILE_SUBMITTED] = {"submitted", "Messages read."},
        [IMFILE_BYTES] = {"bytes.processed", "Bytes read."},
        [IMFILE_DISCARDED] = {"discarded", "Messages beyond maxLinesPerMinute or maxBytesPerMinute."},
        [IMFILE_TRUNCATED] = {"truncated", "Messages that were longer than allowed."},
        {}};

static int imfile_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct imfile_input *s = settings;
        if (!s || !s->file)
                return 0;
        if ((s->read_mode != 0) + (s->start_regex != NULL) + (s->end_regex != NULL) > 1) {
                module_report(log, SEVERITY_ERR, 2222,
                              "only one of readMode or startmsg.regex or endmsg.regex can be set at the same time");
                return -EINVAL;
        }
        if (s->state_file && strpbrk(s->file, "*?["))
                module_report_param(log, SEVERITY_WARNING, "statefile",
                                    "all files that match '%s' would share the state file '%s'; leave it out", s->file,
                                    s->state_file);
        return feed_check(s, log);
}

/* What the inputs share: made by the first, gone with the last. */
struct imfile {
        struct search *search;
        struct follow_shared *shared;
        void **place; /* where the others find it; NULL: nowhere */
};

static void look_at_everything(struct watches *watches) {
        struct follow_shared *shared = CONTAINER_OF(watches, struct follow_shared, watches);
        for (struct follow *f = shared->follows; f; f = f->next)
                search_repeat(CONTAINER_OF(f, struct search, follow));
}

static void open_store(struct follow_shared *shared) {
        const char *directory = shared->settings->state_directory;
        if (!directory || !*directory)
                directory = shared->facts->work_directory;
        if (!directory || !*directory)
                module_report(shared->log, SEVERITY_WARNING, 0,
                              "imfile: no working or state file directory set, imfile will create state files in the "
                              "current working directory (probably the root dir). Use "
                              "global(workDirectory=\"/some/path\") to set the working directory");
        int r = state_store_open(&shared->store, directory);
        if (r)
                module_report(shared->log, SEVERITY_ERR, 0,
                              "imfile: cannot read the state files in '%s': %s - files are read from the beginning",
                              directory, fail_text(r));
}

static int shared_new(struct follow_shared **ret, const struct input_host *host) {
        struct follow_shared *shared = calloc(1, sizeof *shared);
        if (!shared)
                return fail(-ENOMEM);
        follow_shared_init(shared, host);
        shared->watches.lost = look_at_everything;
        shared->watches.maximum = (size_t)shared->settings->watches_max;
        open_store(shared);
        if (shared->settings->mode != MODE_POLLING) {
                int r = watches_open(&shared->watches, shared->loop);
                if (r)
                        module_report(host->log, SEVERITY_WARNING, 0,
                                      "imfile: Init inotify instance failed: %s - files are polled instead",
                                      fail_text(r));
        }
        *ret = shared;
        return 0;
}

static void shared_unref(struct follow_shared *shared) {
        if (--shared->references)
                return;
        watches_close(&shared->watches);
        state_store_close(&shared->store);
        free(shared);
}

static void imfile_close(void *instance);

static int imfile_open(void **ret, const struct input_host *host, const void *settings) {
        struct imfile *imfile = calloc(1, sizeof *imfile);
        if (!imfile)
                return fail(-ENOMEM);
        imfile->place = host->shared;
        int r = 0;
        if (host->shared && *host->shared)
                imfile->shared = *host->shared;
        else
                r = shared_new(&imfile->shared, host);
        if (r == 0) {
                imfile->shared->references++;
                if (host->shared)
                        *host->shared = imfile->shared;
                r = search_new(&imfile->search, imfile->shared, settings, host);
        }
        if (r) {
                imfile_close(imfile);
                return pass(r);
        }
        *ret = imfile;
        return 0;
}

static int imfile_start(void *instance) {
        struct imfile *imfile = instance;
        watches_start(&imfile->shared->watches);
        search_start(imfile->search);
        return 0;
}

static void imfile_stop(void *instance) {
        struct imfile *imfile = instance;
        struct follow_shared *shared = imfile->shared;
        shared->is_stopped = true;
        loop_disarm(shared->loop, &shared->turns);
        if (shared->watches.watch.fd >= 0)
                loop_unwatch(shared->loop, &shared->watches.watch);
        search_stop(imfile->search);
}

static void imfile_close(void *instance) {
        struct imfile *imfile = instance;
        imfile->search = search_free(imfile->search);
        if (imfile->shared) {
                if (imfile->place && imfile->shared->references == 1)
                        *imfile->place = NULL;
                shared_unref(imfile->shared);
        }
        free(imfile);
}

static const struct input_ops imfile_ops = {
        .open = imfile_open,
        .start = imfile_start,
        .stop = imfile_stop,
        .close = imfile_close,
        .resumes = true,
};

const struct module imfile_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imfile",
        .help = "Reads text files as they grow, through rotation, truncation and restart.",
        .module_settings = SETTINGS(struct imfile_module, module_params),
        .settings = SETTINGS(struct imfile_input, input_params),
        .counters = imfile_counters,
        .check = imfile_check,
        .input = &imfile_ops,
        .needs_objects = true,
};
