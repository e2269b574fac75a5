/*
 * omfile: messages into files.
 *
 * A fixed file takes a whole batch with one write and no copy: the rendered rows
 * lie behind one another. Files by template are omfile_dynamic's. What a disk does
 * not take is never lost here: rows that are not in the file are given back as
 * UNAVAILABLE, and delivery brings them again.
 *
 * Buffers exist only where a user asked for them: with flushOnTXEnd="off" rows wait
 * for ioBufferSize bytes, with asyncWriting="on" too for flushInterval seconds.
 */
#include "output/omfile.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "output/omfile_dynamic.h"
#include "output/omfile_target.h"

extern const struct module omfile_module;

enum omfile_driver { DRIVER_ZLIB, DRIVER_ZSTD };
static const char *const driver_choices[] = {"zlib", "zstd", NULL};

/* A switch whose default depends on global(compatibility.defaults.secure): odd places are on, even ones off. */
static const char *const switch_choices[] = {"default", "on", "off", "yes", "no", "true", "false", "1", "0", NULL};

enum {
        CACHE_SIZE_LARGE = 25000, /* more is asked about */
        ZLIB_LEVEL_MAX = 9,
        ZSTD_LEVEL_MAX = 22,
        DYNAFILE_CLOSE_TIMEOUT_MIN = 10,
        MODE_MAX = 07777,
        DEVICE_WAIT_MS = 1000, /* for a terminal or FIFO that is full */
        SECONDS_MAX = 86400,
        MINUTES_MAX = 525600,
        ID_MAX = 0x7fffffff,
        CODE_MISSING = 2211,
        CODE_BOTH = 2204,
};

#define SECOND_NS     INT64_C(1000000000)
/* What could not be written at the end of a batch is tried again that often, if no new batch tries before. */
#define OWED_RETRY_NS (5 * SECOND_NS)

/* The owners have eight parameters, the same for the module and the action. */
#define OWNER_PARAMS(owner, directives, flags_)                                                                        \
        PARAM_USER(owner, owners.file_owner, .name = "fileowner", .legacy = (directives) ? "FileOwner" : NULL,         \
                   .flags = (flags_), .help = "User that new files belong to."),                                       \
                PARAM_INT(owner, owners.file_owner_number, .name = "fileownernum",                                     \
                          .legacy = (directives) ? "FileOwnerNum" : NULL, .dflt = "-1", .min = -1, .max = ID_MAX,      \
                          .flags = (flags_), .help = "User id that new files belong to; -1: as fileOwner says."),      \
                PARAM_GROUP(owner, owners.file_group, .name = "filegroup",                                             \
                            .legacy = (directives) ? "FileGroup" : NULL, .flags = (flags_),                            \
                            .help = "Group that new files belong to."),                                                \
                PARAM_INT(owner, owners.file_group_number, .name = "filegroupnum",                                     \
                          .legacy = (directives) ? "FileGroupNum" : NULL, .dflt = "-1", .min = -1, .max = ID_MAX,      \
                          .flags = (flags_), .help = "Group id that new files belong to; -1: as fileGroup says."),     \
                PARAM_USER(owner, owners.directory_owner, .name = "dirowner",                                          \
                           .legacy = (directives) ? "DirOwner" : NULL, .flags = (flags_),                              \
                           .help = "User that new directories belong to."),                                            \
                PARAM_INT(owner, owners.directory_owner_number, .name = "dirownernum",                                 \
                          .legacy = (directives) ? "DirOwnerNum" : NULL, .dflt = "-1", .min = -1, .max = ID_MAX,       \
                          .flags = (flags_), .help = "User id that new directories belong to; -1: as dirOwner says."), \
                PARAM_GROUP(owner, owners.directory_group, .name = "dirgroup",                                         \
                            .legacy = (directives) ? "DirGroup" : NULL, .flags = (flags_),                             \
                            .help = "Group that new directories belong to."),                                          \
                PARAM_INT(owner, owners.directory_group_number, .name = "dirgroupnum",                                 \
                          .legacy = (directives) ? "DirGroupNum" : NULL, .dflt = "-1", .min = -1, .max = ID_MAX,       \
                          .flags = (flags_), .help = "Group id that new directories belong to; -1: as dirGroup says.")

static const struct param omfile_module_params[] = {
        PARAM_TEMPLATE(struct omfile_module_settings, template, .name = "template",
                       .legacy = "ActionFileDefaultTemplate", .dflt = "RSYSLOG_FileFormat", .flags = PARAM_LEGACY_STAYS,
                       .help = "Template of actions that name none."),
        PARAM_BOOL(struct omfile_module_settings, adds_lf, .name = "addlf", .dflt = "on",
                   .help = "End every message with a line feed where its template does not."),
        PARAM_CHOICE(struct omfile_module_settings, driver, .name = "compression.driver", .dflt = "zlib",
                     .choices = driver_choices, .help = "Library that compresses where zipLevel asks for it."),
        PARAM_INT(struct omfile_module_settings, zstd_workers, .name = "compression.zstd.workers", .dflt = "0",
                  .min = 0, .max = 64, .unit = "threads",
                  .help = "Threads of the zstd library for each file; 0: it compresses on our thread."),
        PARAM_MODE(struct omfile_module_settings, directory_mode, .name = "dircreatemode", .dflt = "0700",
                   .max = MODE_MAX, .help = "Mode of new directories, under the process's umask."),
        PARAM_MODE(struct omfile_module_settings, file_mode, .name = "filecreatemode", .dflt = "0644", .max = MODE_MAX,
                   .help = "Mode of new files, under the process's umask."),
        OWNER_PARAMS(struct omfile_module_settings, false, 0),
        PARAM_BOOL(struct omfile_module_settings, dynafile_never_suspends, .name = "dynafile.donotsuspend",
                   .dflt = "on",
                   .help = "A dynafile that cannot be opened costs the messages for that name; with off the action is "
                           "suspended and tries again."),
        PARAM_CHOICE(struct omfile_module_settings, follows_symlinks, .name = "followsymlinks", .dflt = "default",
                     .choices = switch_choices,
                     .help = "Write through a symbolic link in the place of the file; by default yes, unless "
                             "compatibility.defaults.secure asks for safe defaults."),
        PARAM_BOOL(
                struct omfile_module_settings, permits_path_escape, .name = "dynafile.dangerouspermitpathescape",
                .dflt = "off",
                .help = "Let property values with \"/\" and \"..\" choose the directory of a dynafile: whoever sends "
                        "messages then chooses it."),
        PARAM_BOOL(struct omfile_module_settings, restricts_template_type, .name = "dynafile.restricttemplatetype",
                   .dflt = "off", .flags = PARAM_IS_IGNORED,
                   .help = "Known for compatibility: file names made by any type of template are confined to their "
                           "directory here, so that no type needs to be forbidden."),
        {}};

static const struct param omfile_params[] = {
        PARAM_STRING(struct omfile_settings, file, .name = "file", .flags = PARAM_IS_MAIN,
                     .help = "Path of the one file that all messages go to."),
        PARAM_TEMPLATE(struct omfile_settings, dynafile, .name = "dynafile",
                       .help = "Template that makes the path of the file for each message."),
        PARAM_TEMPLATE(struct omfile_settings, template, .name = "template", .flags = PARAM_INHERITS,
                       .help = "Template of the lines."),
        PARAM_BOOL(struct omfile_settings, adds_lf, .name = "addlf", .dflt = "on", .flags = PARAM_INHERITS,
                   .help = "End every message with a line feed where its template does not."),
        PARAM_INT(struct omfile_settings, cache_size, .name = "dynafilecachesize", .legacy = "DynaFileCacheSize",
                  .dflt = "10", .unit = "files", .flags = PARAM_LEGACY_STAYS,
                  .help = "How many dynafiles are kept open; best as many as are written to at a time."),
        PARAM_INT(struct omfile_settings, zip_level, .name = "ziplevel", .legacy = "OMFileZipLevel", .dflt = "0",
                  .min = 0, .max = ZSTD_LEVEL_MAX, .flags = PARAM_LEGACY_STAYS,
                  .help = "Compress the file: 1 is fastest, 9 (zstd: 22) smallest, 0 not at all."),
        PARAM_BOOL(struct omfile_settings, robust_zip, .name = "veryrobustzip", .dflt = "off",
                   .help = "Close a compressed member at every flush, so that nothing before a crash is lost to plain "
                           "gunzip; costs much of the compression unless ioBufferSize is large and flushOnTXEnd off."),
        PARAM_INT(struct omfile_settings, flush_interval_s, .name = "flushinterval", .legacy = "OMFileFlushInterval",
                  .dflt = "1", .min = 0, .max = SECONDS_MAX, .unit = "seconds", .flags = PARAM_LEGACY_STAYS,
                  .help = "With asyncWriting and without flushOnTXEnd: what is buffered is written after that time."),
        PARAM_BOOL(struct omfile_settings, writes_async, .name = "asyncwriting", .legacy = "OMFileASyncWriting",
                   .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Write what is buffered after flushInterval, too, not only when the buffer is full."),
        PARAM_BOOL(struct omfile_settings, flushes_on_batch_end, .name = "flushontxend", .legacy = "OMFileFlushOnTXEnd",
                   .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "Everything is in the file at the end of each batch; off: it is buffered, and what is "
                           "buffered is lost in a crash."),
        PARAM_SIZE(struct omfile_settings, io_buffer_bytes, .name = "iobuffersize", .legacy = "OMFileIOBufferSize",
                   .dflt = "4k", .min = 1, .max = 1 << 30, .flags = PARAM_LEGACY_STAYS,
                   .help = "Size of the buffer of each file where flushOnTXEnd is off."),
        OWNER_PARAMS(struct omfile_settings, true, PARAM_INHERITS | PARAM_LEGACY_STAYS | PARAM_LEGACY_ALONE),
        PARAM_MODE(struct omfile_settings, directory_mode, .name = "dircreatemode", .legacy = "DirCreateMode",
                   .dflt = "0700", .max = MODE_MAX, .flags = PARAM_INHERITS | PARAM_LEGACY_STAYS | PARAM_LEGACY_ALONE,
                   .help = "Mode of new directories, under the process's umask."),
        PARAM_MODE(struct omfile_settings, file_mode, .name = "filecreatemode", .legacy = "FileCreateMode",
                   .dflt = "0644", .max = MODE_MAX, .flags = PARAM_INHERITS | PARAM_LEGACY_STAYS | PARAM_LEGACY_ALONE,
                   .help = "Mode of new files, under the process's umask."),
        PARAM_BOOL(struct omfile_settings, fails_on_chown, .name = "failonchownfailure", .legacy = "FailOnCHOwnFailure",
                   .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "Do not write to a new file whose owner or group could not be set."),
        PARAM_BOOL(struct omfile_settings, forces_chown, .name = "omfileforcechown", .legacy = "OMFileForceCHOWN",
                   .dflt = "off", .flags = PARAM_LEGACY_STAYS | PARAM_IS_OBSOLETE,
                   .help = "Set owner and group of files that existed before, too. Set them once with chown instead."),
        PARAM_BOOL(struct omfile_settings, creates_directories, .name = "createdirs", .legacy = "CreateDirs",
                   .dflt = "on", .flags = PARAM_LEGACY_STAYS, .help = "Make the directories that a path needs."),
        PARAM_BOOL(struct omfile_settings, syncs, .name = "sync", .legacy = "ActionFileEnableSync", .dflt = "off",
                   .flags = PARAM_LEGACY_STAYS,
                   .help = "Make every batch survive power loss before it counts as delivered. Slow: one fdatasync a "
                           "batch."),
        PARAM_CHOICE(struct omfile_settings, follows_symlinks, .name = "followsymlinks", .dflt = "default",
                     .choices = switch_choices, .flags = PARAM_INHERITS,
                     .help = "Write through a symbolic link in the place of the file."),
        PARAM_STRING(struct omfile_settings, signature_provider, .name = "sig.provider",
                     .help = "Signs the file; comes with a later release, and is an error until then."),
        PARAM_STRING(struct omfile_settings, crypto_provider, .name = "cry.provider",
                     .help = "Encrypts the file; comes with a later release, and is an error until then."),
        PARAM_INT(struct omfile_settings, close_timeout_min, .name = "closetimeout", .dflt = "-1", .min = -1,
                  .max = MINUTES_MAX, .unit = "minutes",
                  .help = "Close a file that nothing was written to for that long; 0: never. -1, the default, is 0 for "
                          "file and 10 for dynaFile."),
        PARAM_SIZE(struct omfile_settings, size_limit, .name = "rotation.sizelimit", .dflt = "0",
                   .help = "When messages were added to a file that had that size already, it is closed and "
                           "rotation.sizeLimitCommand is run; 0: no limit."),
        PARAM_STRING(struct omfile_settings, size_limit_command, .name = "rotation.sizelimitcommand",
                     .help = "Program run at the size limit to move the file away; what follows its path is given to "
                             "it as one argument."),
        PARAM_BOOL(struct omfile_settings, passes_file_name, .name = "rotation.sizelimitcommandpassfilename",
                   .dflt = "on", .help = "Give that program the path of the file as its last argument."),
        PARAM_BOOL(
                struct omfile_settings, permits_path_escape, .name = "dynafile.dangerouspermitpathescape",
                .dflt = "off", .flags = PARAM_INHERITS,
                .help = "Let property values with \"/\" and \"..\" choose the directory of a dynafile: whoever sends "
                        "messages then chooses it."),
        {}};

static const struct counter_def omfile_counters[] = {
        [OMFILE_REQUESTS] = {"requests", "Rows that asked for a dynafile."},
        [OMFILE_LEVEL0] = {"level0", "Of these, rows for the same file as the row before."},
        [OMFILE_MISSED] = {"missed", "Files that were not open when a batch had rows for them."},
        [OMFILE_EVICTED] = {"evicted", "Files closed to make room for others: raise dynaFileCacheSize if it grows."},
        [OMFILE_MAXUSED] = {"maxused", "The most files that were open together.", .is_gauge = true},
        [OMFILE_CLOSETIMEOUTS] = {"closetimeouts", "Files closed because nothing was written to them."},
        {}};

/* ---- Checking ----------------------------------------------------------- */

static bool is_blank(const char *string) {
        return text_trim(text_of(string)).size == 0;
}

static int check_paths(const struct omfile_settings *s, struct module_log *log) {
        if (!s->file && !s->dynafile) {
                module_report(log, 3, CODE_MISSING,
                              "omfile: either the \"file\" or \"dynafile\" parameter must be given");
                return -EINVAL;
        }
        if (s->file && s->dynafile)
                module_report(log, 4, CODE_BOTH, "omfile: both \"file\" and \"dynafile\" set, will use dynafile");
        const char *name = s->dynafile ? s->dynafile : s->file;
        if (is_blank(name)) {
                module_report_param(log, 3, s->dynafile ? "dynafile" : "file",
                                    "omfile: \"file\" or \"dynafile\" parameter consist only of whitespace - this is "
                                    "not permitted");
                return -EINVAL;
        }
        if (!s->dynafile && strlen(s->file) >= OUTPUT_FILE_PATH_BYTES_MAX) {
                module_report_param(log, 3, "file", "a path has at most %d bytes", OUTPUT_FILE_PATH_BYTES_MAX - 1);
                return -EINVAL;
        }
        return 0;
}

static void advise_cache(const struct omfile_settings *s, struct module_log *log) {
        if (s->cache_size < 1)
                module_report_param(log, 4, "dynafilecachesize",
                                    "DynaFileCacheSize must be greater 0 (%lld given), changed to 1.",
                                    (long long)s->cache_size);
        else if (s->cache_size > CACHE_SIZE_LARGE)
                module_report_param(log, 4, "dynafilecachesize",
                                    "DynaFileCacheSize is larger than 25,000 (%lld given) - this looks very large. Is "
                                    "it intended?",
                                    (long long)s->cache_size);
}

static int omfile_check(const void *settings, const void *module_settings, struct module_log *log) {
        const struct omfile_settings *s = settings;
        const struct omfile_module_settings *m = module_settings;
        int r = check_paths(s, log);
        advise_cache(s, log);
        if (m->driver == DRIVER_ZLIB && s->zip_level > ZLIB_LEVEL_MAX) {
                module_report_param(log, 3, "ziplevel",
                                    "zlib compresses with levels 1 to 9; more are zstd's "
                                    "(module(load=\"builtin:omfile\" compression.driver=\"zstd\"))");
                r = -EINVAL;
        }
        if (s->signature_provider) {
                module_report_param(log, 3, "sig.provider",
                                    "signing files comes with a later release; this file would not be signed, so the "
                                    "action is not started. Remove the parameter to write it unsigned");
                r = -EINVAL;
        }
        if (s->crypto_provider) {
                module_report_param(log, 3, "cry.provider",
                                    "encrypting files comes with a later release; this file would be readable by "
                                    "everybody who may read it, so the action is not started. Remove the parameter to "
                                    "write it unencrypted");
                r = -EINVAL;
        }
        if (s->size_limit && (!s->size_limit_command || is_blank(s->size_limit_command)))
                module_report_param(log, 4, "rotation.sizelimit",
                                    "without rotation.sizeLimitCommand nothing makes the file smaller: at the limit "
                                    "it takes no more messages");
        return r;
}

/* ---- Opening ------------------------------------------------------------ */

struct omfile {
        struct omfile_rules rules;
        struct omfile_target target;    /* of a fixed file */
        struct omfile_dynamic *dynamic; /* NULL: a fixed file */
        char *path;
        char *size_limit_command;
        int64_t flush_due_ns; /* 0: nothing waits */
};

static int omfile_columns(const void *settings, const void *module_settings, struct work_format *columns) {
        const struct omfile_settings *s = settings;
        columns[0] = (struct work_format){
                .name = s->template,
                .dflt = "RSYSLOG_FileFormat",
                .ends_with_lf = s->adds_lf,
        };
        if (!s->dynafile)
                return 1;
        columns[1] = (struct work_format){.name = s->dynafile, .is_path = !s->permits_path_escape};
        return 2;
}

/* By name or by number, whichever the action itself gave; else what it has from the module. */
static int64_t choose_id(int64_t name, int64_t number, int64_t module_name, int64_t module_number) {
        if (number >= 0 && number != module_number)
                return number;
        if (name >= 0 && name != module_name)
                return name;
        return number >= 0 ? number : name;
}

static void choose_owners(struct output_file_rules *rules, const struct omfile_owners *s,
                          const struct omfile_owners *m) {
        rules->file_uid = choose_id(s->file_owner, s->file_owner_number, m->file_owner, m->file_owner_number);
        rules->file_gid = choose_id(s->file_group, s->file_group_number, m->file_group, m->file_group_number);
        rules->directory_uid =
                choose_id(s->directory_owner, s->directory_owner_number, m->directory_owner, m->directory_owner_number);
        rules->directory_gid =
                choose_id(s->directory_group, s->directory_group_number, m->directory_group, m->directory_group_number);
}

static void fill_rules(struct omfile *o, const struct output_host *host, const struct omfile_settings *s) {
        const struct omfile_module_settings *m = host->module_settings;
        struct omfile_rules *rules = &o->rules;
        *rules = (struct omfile_rules){
                .log = host->log,
                .syncs = s->syncs,
                .flushes_on_batch_end = s->flushes_on_batch_end,
                .flush_interval_ns = s->writes_async ? MAX(s->flush_interval_s, INT64_C(1)) * SECOND_NS : 0,
                .size_limit = s->size_limit,
                .size_limit_command = o->size_limit_command,
                .passes_file_name = s->passes_file_name,
                .never_suspends = m->dynafile_never_suspends,
                .permits_path_escape = s->permits_path_escape,
                .cache_size = (size_t)MAX(s->cache_size, INT64_C(1)),
                .counters = host->counters,
        };
        int64_t minutes = s->close_timeout_min >= 0 ? s->close_timeout_min
                          : s->dynafile             ? DYNAFILE_CLOSE_TIMEOUT_MIN
                                                    : 0;
        rules->close_timeout_ns = minutes * 60 * SECOND_NS;
        bool follows = s->follows_symlinks ? s->follows_symlinks % 2 == 1 : !host->facts->secure_defaults;
        rules->file = (struct output_file_rules){
                .file_mode = s->file_mode,
                .directory_mode = s->directory_mode,
                .creates_directories = s->creates_directories,
                .requires_owner = s->fails_on_chown,
                .owns_existing = s->forces_chown,
                .follows_symlinks = follows,
                .wait_ms = DEVICE_WAIT_MS,
                .level = (int)s->zip_level,
                .workers = (int)m->zstd_workers,
                .closes_members = s->robust_zip,
                .buffer_bytes = s->flushes_on_batch_end ? 0 : (size_t)s->io_buffer_bytes,
        };
        if (s->zip_level > 0)
                rules->file.compression = m->driver == DRIVER_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_GZIP;
        choose_owners(&rules->file, &s->owners, &m->owners);
}

static struct omfile *omfile_free(struct omfile *o) {
        if (!o)
                return NULL;
        omfile_dynamic_free(o->dynamic);
        if (o->target.rules)
                omfile_target_fini(&o->target);
        free(o->path);
        free(o->size_limit_command);
        free(o);
        return NULL;
}
OWNED_POINTER(struct omfile, omfile_free);

static int omfile_open(void **ret, const struct output_host *host, const void *settings) {
        const struct omfile_settings *s = settings;
        _owned_(omfile_free) struct omfile *o = calloc(1, sizeof *o);
        if (!o)
                return fail(-ENOMEM);
        if (s->size_limit_command) {
                o->size_limit_command = text_copy(text_of(s->size_limit_command));
                if (!o->size_limit_command)
                        return fail(-ENOMEM);
        }
        fill_rules(o, host, s);
        if (s->dynafile) {
                int r = omfile_dynamic_new(&o->dynamic, &o->rules);
                if (r)
                        return pass(r);
        } else {
                o->path = text_copy(text_of(s->file));
                if (!o->path)
                        return fail(-ENOMEM);
                omfile_target_init(&o->target, &o->rules, o->path);
        }
        *ret = TAKE(o);
        return 0;
}

static void omfile_close(void *instance) {
        omfile_free(instance);
}

/* ---- Delivering --------------------------------------------------------- */

/* Whether anything can be held back after a delivery that went well. */
static bool may_owe(const struct omfile *o) {
        return o->rules.file.buffer_bytes > 0 || o->rules.file.compression != COMPRESSION_NONE;
}

static bool owes(const struct omfile *o) {
        return o->dynamic ? omfile_dynamic_owes(o->dynamic) : output_file_owes(&o->target.file);
}

/* A buffer that only waits to be full has no due time; what a full disk left behind always has one. */
static void plan_flush(struct omfile *o, enum verdict verdict, int64_t now_ns) {
        if (o->flush_due_ns || (verdict == DELIVER_DONE && !may_owe(o)))
                return;
        int64_t interval_ns = o->rules.flushes_on_batch_end ? OWED_RETRY_NS : o->rules.flush_interval_ns;
        if (interval_ns && owes(o))
                o->flush_due_ns = now_ns + interval_ns;
}

static struct outcome deliver_fixed(struct omfile *o, const struct work *work, int64_t now_ns) {
        size_t taken = 0;
        int r = omfile_target_ready(&o->target, now_ns);
        if (r == 0)
                r = omfile_target_write(&o->target, work->column[0], NULL, 0, work->count, &taken);
        return (struct outcome){r ? DELIVER_UNAVAILABLE : DELIVER_DONE, taken, -r};
}

static struct outcome omfile_deliver(void *instance, const struct work *work) {
        struct omfile *o = instance;
        int64_t now_ns = clock_mono_coarse_ns();
        struct outcome outcome =
                o->dynamic ? omfile_dynamic_deliver(o->dynamic, work, now_ns) : deliver_fixed(o, work, now_ns);
        plan_flush(o, outcome.verdict, now_ns);
        return outcome;
}

static bool flush_all(struct omfile *o) {
        return o->dynamic ? omfile_dynamic_flush(o->dynamic) : omfile_target_flush(&o->target) == 0;
}

static enum verdict omfile_resume(void *instance) {
        struct omfile *o = instance;
        if (!o->dynamic && omfile_target_ready(&o->target, clock_mono_coarse_ns()))
                return DELIVER_UNAVAILABLE;
        return !o->rules.flushes_on_batch_end || flush_all(o) ? DELIVER_DONE : DELIVER_UNAVAILABLE;
}

static void omfile_reopen(void *instance) {
        struct omfile *o = instance;
        if (o->dynamic)
                omfile_dynamic_reopen(o->dynamic);
        else
                omfile_target_reopen(&o->target);
}

/* ---- Timers ------------------------------------------------------------- */

static bool idle_due(const struct omfile *o, int64_t *due_ns) {
        if (o->dynamic)
                return omfile_dynamic_idle_due(o->dynamic, due_ns);
        if (!o->rules.close_timeout_ns || !output_file_is_open(&o->target.file))
                return false;
        *due_ns = o->target.used_ns + o->rules.close_timeout_ns;
        return true;
}

static bool omfile_pending(void *instance, int64_t *due_ns) {
        const struct omfile *o = instance;
        int64_t idle_ns;
        bool is_idle_due = idle_due(o, &idle_ns);
        if (is_idle_due)
                *due_ns = idle_ns;
        if (o->flush_due_ns)
                *due_ns = is_idle_due ? MIN(idle_ns, o->flush_due_ns) : o->flush_due_ns;
        return is_idle_due || o->flush_due_ns;
}

static void close_idle(struct omfile *o, int64_t now_ns) {
        int64_t due_ns;
        if (!idle_due(o, &due_ns) || due_ns > now_ns)
                return;
        if (o->dynamic)
                omfile_dynamic_close_idle(o->dynamic, now_ns);
        else if (omfile_target_close(&o->target))
                omfile_count(&o->rules, OMFILE_CLOSETIMEOUTS, 1);
        else
                o->target.used_ns = now_ns;
}

static void omfile_flush(void *instance) {
        struct omfile *o = instance;
        int64_t now_ns = clock_mono_ns();
        if (o->flush_due_ns && o->flush_due_ns <= now_ns)
                o->flush_due_ns = flush_all(o) ? 0 : now_ns + OWED_RETRY_NS;
        close_idle(o, now_ns);
}

static void omfile_statistic(struct buffer *name, const void *settings, const void *module_settings _unused_) {
        const struct omfile_settings *s = settings;
        if (s->dynafile)
                buffer_format(name, "dynafile cache %s", s->dynafile);
}

static const struct output_ops omfile_ops = {
        .statistic = omfile_statistic,
        .columns = omfile_columns,
        .open = omfile_open,
        .deliver = omfile_deliver,
        .resume = omfile_resume,
        .reopen = omfile_reopen,
        .pending = omfile_pending,
        .flush = omfile_flush,
        .close = omfile_close,
};

const struct module omfile_module = {
        MODULE_HEAD,
        .kind = MODULE_OUTPUT,
        .name = "omfile",
        .help = "Writes messages to files: one fixed file, or one for each name that a template makes.",
        .module_settings = SETTINGS(struct omfile_module_settings, omfile_module_params),
        .settings = SETTINGS(struct omfile_settings, omfile_params),
        .counters = omfile_counters,
        .check = omfile_check,
        .output = &omfile_ops,
};
