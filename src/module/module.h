/*
 * penstock/module.h: what a module is.
 *
 * A module is one file: a settings struct, a table of its parameters, a table of
 * its counters, its operations, and one `const struct module`. Configuration in
 * every dialect, defaults, bounds, "did you mean", help, the reference page and
 * the statistics are read from these tables; a module parses nothing itself.
 *
 *   struct greet { char *word; int64_t times; };
 *
 *   static const struct param greet_params[] = {
 *           PARAM_STRING(struct greet, word, .name = "word", .dflt = "hello", .help = "What to say."),
 *           PARAM_INT(struct greet, times, .name = "times", .dflt = "1", .min = 1, .max = 9, .help = "How often."),
 *           {}
 *   };
 *
 *   const struct module penstock_module = { MODULE_HEAD, .kind = MODULE_OUTPUT, .name = "omgreet", ... };
 *
 * This header needs nothing but libc. Modules of other people are shared objects
 * that export `penstock_module`; they are loaded with module(load="/path/x.so").
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PENSTOCK_MODULE_ABI 1

struct batch; /* message/batch.h */
struct record;
struct property_context;   /* message/property.h */
struct loop;               /* io/loop.h */
struct intake;             /* message/intake.h */
struct template;           /* template/template.h */
struct counter;            /* base/counter.h */
struct diag_services;      /* module/diag.h */
struct shared_limit;       /* message/ratelimit.h */
struct buffer;             /* base/text.h */
struct netstream_defaults; /* module/netstream.h */

#ifndef PENSTOCK_TEXT
#define PENSTOCK_TEXT
/* Bytes that lie somewhere else; not NUL-ended. */
struct text {
        const char *data;
        size_t size;
};
#endif

/* ---- Parameters --------------------------------------------------------- */

enum param_type {
        PARAM_TYPE_END,
        PARAM_TYPE_BOOL,     /* bool: on off yes no true false 1 0 */
        PARAM_TYPE_INT,      /* int64_t within [min, max] */
        PARAM_TYPE_SIZE,     /* int64_t bytes; suffix k m g t p e (1024), K M G T P E (1000) */
        PARAM_TYPE_STRING,   /* char *, owned by the settings; NULL when unset */
        PARAM_TYPE_STRINGS,  /* struct strings; a single string is an array of one */
        PARAM_TYPE_CHOICE,   /* int, the place in `choices` */
        PARAM_TYPE_MODE,     /* int64_t, octal file mode */
        PARAM_TYPE_USER,     /* int64_t, a uid by name; -1 unset */
        PARAM_TYPE_GROUP,    /* int64_t, a gid by name; -1 unset */
        PARAM_TYPE_FACILITY, /* int64_t by name or number */
        PARAM_TYPE_SEVERITY, /* int64_t by name or number */
        PARAM_TYPE_CHAR,     /* int64_t, one byte: a character or its number */
        PARAM_TYPE_TEMPLATE, /* char *, name of a template(); checked to exist */
        PARAM_TYPE_RULESET,  /* char *, name of a ruleset(); checked to exist */
};

struct strings {
        char **items; /* each NUL-ended */
        size_t count;
};

enum param_flag {
        PARAM_IS_REQUIRED = 1 << 0,
        PARAM_IS_SECRET = 1 << 1,      /* masked wherever configuration is shown */
        PARAM_IS_OBSOLETE = 1 << 2,    /* accepted, warned about: help says what replaces it */
        PARAM_INHERITS = 1 << 3,       /* unset in the object: the module's parameter of that name */
        PARAM_LEGACY_CREATES = 1 << 4, /* its legacy directive makes an object ($InputTCPServerRun) */
        PARAM_LEGACY_STAYS = 1 << 5,   /* its legacy directive holds for all later objects, not only the next */
        PARAM_IS_IGNORED = 1 << 6,     /* known and harmless, without effect here: help says why */
        PARAM_IS_MAIN = 1 << 7,        /* what the legacy form ":module:ARGUMENTS" (or the path, the pipe ...) sets */
        PARAM_LEGACY_OFF = 1 << 8, /* a boolean that is off in the objects that directives make, whatever its default */
        PARAM_LEGACY_ALONE = 1 << 9, /* actions in the old form take it from directives, not from module() */
};

struct param {
        enum param_type type;
        size_t offset;              /* in the settings struct */
        const char *name;           /* rsyslog's name in lower case */
        const char *alias;          /* other names, separated by blanks */
        const char *legacy;         /* legacy $Directives without the $, separated by blanks */
        const char *dflt;           /* in configuration syntax; NULL: unset (NULL, 0, false, -1 for ids) */
        const char *const *choices; /* NULL-ended */
        int64_t min, max;           /* both 0: any */
        unsigned flags;             /* enum param_flag */
        const char *unit;           /* "seconds", "messages" ...; NULL where the type says it */
        const char *help;           /* one sentence or two, for people */
};

/* The compiler refuses a field of another type than the parameter's. */
#define PARAM_AT_(kind, ctype, owner, field)                                                                           \
        .type = (kind),                                                                                                \
        .offset = offsetof(owner, field) +                                                                             \
                  0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((owner *)0)->field), ctype) ? 1 : -1])

#define PARAM_BOOL(owner, field, ...)                                                                                  \
        { PARAM_AT_(PARAM_TYPE_BOOL, bool, owner, field), __VA_ARGS__ }
#define PARAM_INT(owner, field, ...)                                                                                   \
        { PARAM_AT_(PARAM_TYPE_INT, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_SIZE(owner, field, ...)                                                                                  \
        { PARAM_AT_(PARAM_TYPE_SIZE, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_STRING(owner, field, ...)                                                                                \
        { PARAM_AT_(PARAM_TYPE_STRING, char *, owner, field), __VA_ARGS__ }
#define PARAM_STRINGS(owner, field, ...)                                                                               \
        { PARAM_AT_(PARAM_TYPE_STRINGS, struct strings, owner, field), __VA_ARGS__ }
#define PARAM_CHOICE(owner, field, ...)                                                                                \
        { PARAM_AT_(PARAM_TYPE_CHOICE, int, owner, field), __VA_ARGS__ }
#define PARAM_MODE(owner, field, ...)                                                                                  \
        { PARAM_AT_(PARAM_TYPE_MODE, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_USER(owner, field, ...)                                                                                  \
        { PARAM_AT_(PARAM_TYPE_USER, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_GROUP(owner, field, ...)                                                                                 \
        { PARAM_AT_(PARAM_TYPE_GROUP, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_FACILITY(owner, field, ...)                                                                              \
        { PARAM_AT_(PARAM_TYPE_FACILITY, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_SEVERITY(owner, field, ...)                                                                              \
        { PARAM_AT_(PARAM_TYPE_SEVERITY, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_CHAR(owner, field, ...)                                                                                  \
        { PARAM_AT_(PARAM_TYPE_CHAR, int64_t, owner, field), __VA_ARGS__ }
#define PARAM_TEMPLATE(owner, field, ...)                                                                              \
        { PARAM_AT_(PARAM_TYPE_TEMPLATE, char *, owner, field), __VA_ARGS__ }
#define PARAM_RULESET(owner, field, ...)                                                                               \
        { PARAM_AT_(PARAM_TYPE_RULESET, char *, owner, field), __VA_ARGS__ }

/* A settings struct and the parameters that fill it. */
struct settings_type {
        size_t size;
        const struct param *params; /* ends with {} */
};
#define SETTINGS(type, table)                                                                                          \
        { .size = sizeof(type), .params = (table) }

/* ---- Speaking ----------------------------------------------------------- */

/*
 * What a module hands its messages to. Severities as in RFC 5424 (3 error, 4
 * warning, 6 info). In check() the report names file, line and column of the
 * object, or of the parameter where `param` is not NULL.
 */
struct module_log;
void module_report(struct module_log *log, int severity, int code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
void module_report_param(struct module_log *log, int severity, const char *param, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* ---- Counters ----------------------------------------------------------- */

struct counter_def {
        const char *name; /* as rsyslog names it: "submitted" */
        const char *help;
        const char *object; /* the object of the statistics that shows it; NULL: the instance's own */
        bool is_gauge;      /* what is so now: a report that resets counters leaves it */
};

/* ---- Inputs ------------------------------------------------------------- */

/* What a running input is handed. Lives as long as the instance. */
struct input_host {
        struct module_log *log;
        const void *module_settings;
        const char *ruleset;          /* to bind to; NULL: the default ruleset */
        unsigned loops;               /* threads that this module was given */
        struct loop *const *loop;     /* loop[0 .. loops-1] */
        struct intake *const *intake; /* intake[i] may be used on loop[i]'s thread only */
        struct counter *counters;     /* one for each entry of the module's table */
        const struct host_facts *facts;
        void **shared;                    /* one place for all instances of the module, NULL at first; NULL: none */
        const struct diag_services *diag; /* for imdiag: module/diag.h; NULL elsewhere */
        void *daemon;                     /* first argument of those services */
        /* A ratelimit() object by its name, NULL: there is none of it; find_limit itself may be NULL. */
        struct shared_limit *(*find_limit)(void *limits, const char *name);
        void *limits;
};

struct input_ops {
        /* How many loop threads the module wants; NULL: one. */
        unsigned (*threads)(const void *module_settings);
        /*
         * Opens one instance: bind and listen here (privileges are dropped after it). Nothing is
         * read yet. Several inputs need an instance without any input() (imuxsock's system socket):
         * see module_instance. 0 or -errno, reported.
         */
        int (*open)(void **ret, const struct input_host *host, const void *settings);
        /* Begins to read; called on loop[0]'s thread. */
        int (*start)(void *instance);
        /* Stops reading and closes what is open, so that nothing more enters; called on loop[0]'s thread. */
        void (*stop)(void *instance);
        /* HUP; called on loop[0]'s thread. May be NULL. */
        void (*reopen)(void *instance);
        /* Frees; the loops do not run any more. */
        void (*close)(void *instance);
        /* True where the module alone (module(load=...), no input()) wants an instance; it gets settings NULL. */
        bool (*module_instance)(const void *module_settings);
        /* The instance's rate limit, which belongs to loop[0]'s thread once it has started. May be NULL. */
        struct ratelimit *(*limit)(void *instance);
        /*
         * Another process has the sockets now, and goes on with them: nothing new is taken from them, they are closed
         * and their names stay; connections that there are go on. Called on loop[0]'s thread. NULL: stop() does it all.
         */
        void (*retire)(void *instance);
        /* How many connections there are; any thread. May be NULL. */
        unsigned (*sessions)(void *instance);
        /* It begins where it ended the last time: while one process replaces another, the new one waits with it. */
        bool resumes;
        /* Its stop() sees what the other inputs have counted, so it comes when they have ended. */
        bool stops_last;
        /*
         * Appends what rsyslog calls the counters of an instance in its statistics: "imtcp(514)". NULL: the module's
         * name, and one object for all instances together. Settings as given to open().
         */
        void (*statistic)(struct buffer *name, const void *settings, const void *module_settings);
        /*
         * An instance that counts its sockets apart, too: appends what rsyslog calls number `at` and returns its
         * counters, in the order of the module's table; NULL: there are no more. They are the same from open() to
         * close(); any thread. NULL, or none: statistic() names the one object of the instance. Settings as given to
         * open().
         */
        const struct counter *(*part)(void *instance, const void *settings, size_t at, struct buffer *name);
};

/* ---- Parsers ------------------------------------------------------------ */

enum parse_result {
        PARSE_TAKEN,    /* the record's fields are set */
        PARSE_NOT_MINE, /* the next parser of the chain shall try */
        PARSE_DROP,     /* the message shall be discarded */
};

struct parser_ops {
        /* What chains call it where no parser() object names it; NULL: "rsyslog." and the module's name less "pm". */
        const char *name;
        int (*open)(void **ret, struct module_log *log, const struct host_facts *facts, const void *settings);
        enum parse_result (*parse)(void *instance, struct batch *batch, struct record *record);
        void (*close)(void *instance);
};

/* ---- Outputs ------------------------------------------------------------ */

enum { WORK_COLUMNS_MAX = 8 };

/*
 * What an output is asked to deliver: rows of rendered text. column[c][i] is
 * template c of record i. The texts of column 0 lie behind one another in memory,
 * so column[0][0].data to the end of column[0][count-1] can be written in one go.
 */
struct work {
        size_t count;
        const struct text *column[WORK_COLUMNS_MAX];
        struct batch *batch;       /* the records themselves: */
        const uint16_t *selection; /* row i is record selection[i] of batch */
};

enum verdict {
        DELIVER_DONE,          /* the first `taken` rows are delivered; all, when taken == count */
        DELIVER_UNAVAILABLE,   /* the destination is away: rows from `taken` on are tried again later */
        DELIVER_REFUSED,       /* row `taken` can never be delivered; the rows before it were */
        DELIVER_REFUSED_BATCH, /* the rows from `taken` on were refused together: find out which by halving */
        DELIVER_WILL_DELAY,    /* as DONE, and the next will take long: a durable queue may take over */
};

struct outcome {
        enum verdict verdict;
        size_t taken;
        int error; /* errno or 0; for the report */
};

/* Which templates an output needs rendered, in the order of columns. */
struct work_format {
        const char *name;  /* of a template(); NULL ends the list; owned by the settings */
        const char *dflt;  /* where name is NULL: the default */
        bool ends_with_lf; /* a LF is added where the text lacks it */
        bool is_path;      /* "/" inside a property value cannot leave the directory: a sender never chooses the path */
};

struct output_host {
        struct module_log *log;
        const void *module_settings;
        struct counter *counters;
        const struct host_facts *facts;
};

struct output_ops {
        /* Fills columns[] from the settings and returns how many (0 to WORK_COLUMNS_MAX); -EINVAL, reported. */
        int (*columns)(const void *settings, const void *module_settings, struct work_format *columns);
        /* 0 or -errno, reported. The destination itself may still be away. */
        int (*open)(void **ret, const struct output_host *host, const void *settings);
        /* One thread at a time calls these for one instance. begin and commit may be NULL. */
        enum verdict (*begin)(void *instance);
        struct outcome (*deliver)(void *instance, const struct work *work);
        /* Ends a transaction: what deliver() took is now safe, or (UNAVAILABLE, REFUSED_BATCH) all of it comes again.
         */
        enum verdict (*commit)(void *instance);
        /* Asks whether the destination is back after UNAVAILABLE; NULL: try with the next message. */
        enum verdict (*resume)(void *instance);
        /* HUP: close and open files again. Called between deliveries. May be NULL. */
        void (*reopen)(void *instance);
        /* Something is buffered and must be out at `*due_ns` (clock_mono_ns()); false: nothing. May be NULL. */
        bool (*pending)(void *instance, int64_t *due_ns);
        void (*flush)(void *instance);
        void (*close)(void *instance);
        /* Appends the name of the object that shows the module's own counters; nothing: there is none. May be NULL. */
        void (*statistic)(struct buffer *name, const void *settings, const void *module_settings);
        /* The daemon ends: whatever waits for the destination ends soon, now and from now on. Any thread. May be NULL.
         */
        void (*hurry)(void *instance);
};

/* ---- Modifiers: mm* modules, called as actions, change the record --------- */

struct modifier_host {
        struct module_log *log;
        const void *module_settings;
        struct counter *counters; /* one for each entry of the module's table */
        const struct host_facts *facts;
        void **shared; /* one place for all instances of the module, NULL at first */
};

struct modifier_ops {
        /* 0 or -errno, reported. */
        int (*open)(void **ret, const struct modifier_host *host, const void *settings);
        /*
         * Changes the selected records, in their order. Each worker of the ruleset's queue calls it, so an
         * instance that keeps something locks it, once a call. The context is the worker's.
         */
        void (*modify)(void *instance, struct property_context *context, struct batch *batch, const uint16_t *selection,
                       size_t count);
        /*
         * Whether another action can notice what this one did to an earlier record (a shared counter, a $/ variable):
         * then a ruleset takes record by record through all of its statements. NULL: never.
         */
        bool (*is_noticed)(const void *settings);
        /* HUP; while others may be in modify(). May be NULL. */
        void (*reopen)(void *instance);
        void (*close)(void *instance);
        /* Appends the name of the object that shows the module's own counters; nothing: there is none. May be NULL. */
        void (*statistic)(struct buffer *name, const void *settings, const void *module_settings);
};

/* ---- The module --------------------------------------------------------- */

enum module_kind {
        MODULE_INPUT,
        MODULE_PARSER,
        MODULE_OUTPUT,
        MODULE_MODIFIER,
        MODULE_LIBRARY, /* holds parameters only: lmnsd and others that users name */
};

/* oversizemsg.input.mode: what inputs that see whole messages do with one longer than maxMessageSize. */
enum oversize_mode { OVERSIZE_TRUNCATE, OVERSIZE_SPLIT, OVERSIZE_ACCEPT };

/* reportChildProcessExits: which ends of programs that the daemon runs are told. */
enum exit_reports { EXITS_NONE, EXITS_ERRORS, EXITS_ALL };

/* Facts of this machine and of global() that modules may need. */
struct host_facts {
        const char *host_name; /* as messages carry it */
        const char *fqdn;
        const char *work_directory; /* NUL-ended; "" when unset */
        const char *bus_socket;     /* of the bus that the daemon is on; "" when there is none */
        int64_t message_bytes_max;  /* global maxMessageSize */
        int64_t open_files_max;
        bool is_checking;             /* -N: open nothing, touch nothing */
        bool secure_defaults;         /* compatibility.defaults.secure */
        unsigned char control_prefix; /* parser.controlCharacterEscapePrefix, '#' */
        bool drops_trailing_lf;
        bool drops_trailing_cr;
        bool expands_compressed; /* parser.supportCompressionExtension */
        bool escapes_control;
        bool spaces_lf;
        bool escapes_8bit;
        bool escapes_tab;
        bool escapes_c_style;
        bool parses_host_and_tag;
        bool permits_slash_in_program;
        bool preserves_fqdn;
        int ip_family; /* AF_UNSPEC, AF_INET, AF_INET6 */
        /* $AllowedSender, for inputs that say nothing themselves; NULL: everybody. */
        const struct strings *allowed_udp, *allowed_tcp;
        const struct strings *rulesets; /* their names, as record.ruleset counts them */
        const struct strings *zones;    /* timezone(): "EST", "-05:00" and so on in turn; NULL: none */
        enum oversize_mode oversize_mode;
        bool oversize_is_reported;
        const char *oversize_error_file; /* NULL: none */
        enum exit_reports exit_reports;
        /* TLS, where objects say nothing; NULL: nothing either. */
        const struct netstream_defaults *netstream;
};

struct module {
        uint32_t abi;
        uint32_t size; /* of this struct, so that it may grow */
        enum module_kind kind;
        const char *name;
        const char *help;
        struct settings_type module_settings; /* module(load="name" ...) */
        struct settings_type settings;        /* input(), action(), parser() */
        const struct counter_def *counters;   /* ends with {} */
        /*
         * Checks parameters against one another; reports each mistake. May be NULL. 0 or -EINVAL. A module that has
         * no parameters of objects is asked once, with settings NULL.
         */
        int (*check)(const void *settings, const void *module_settings, struct module_log *log);
        /* Legacy selector-line form ":name:ARGUMENTS" (and "@host", "|pipe" ... for built-ins): fills settings. May be
         * NULL. */
        const struct input_ops *input;
        const struct parser_ops *parser;
        const struct output_ops *output;
        const struct modifier_ops *modifier;
        /* An input that is loaded and has no input() is an error, not a warning: rsyslog calls it one for this module.
         */
        bool needs_objects;
};
#define MODULE_HEAD .abi = PENSTOCK_MODULE_ABI, .size = sizeof(struct module)

/* ---- Records, as modules of other people see them ------------------------ */

/* Record `index` of a batch, from 0; work.selection[] holds such numbers. */
struct record *penstock_record(struct batch *batch, size_t index);
/*
 * The value of a property by its configuration name ("hostname", "$!usr!name"); "" where there is none. Valid until
 * the batch goes. What is no property of the message ("$myhostname", "$/x") is empty.
 */
struct text penstock_property(struct batch *batch, struct record *record, const char *name);
/* The message as it was received, after control characters were escaped; a parser begins there. */
struct text penstock_raw(const struct batch *batch, const struct record *record);
enum penstock_field {
        PENSTOCK_MSG,
        PENSTOCK_HOSTNAME,
        PENSTOCK_TAG,
        PENSTOCK_APP_NAME,
        PENSTOCK_PROCID,
        PENSTOCK_MSGID,
        PENSTOCK_STRUCTURED_DATA,
};
/* Sets a field; the text is copied unless it lies in the raw message. -ENOMEM. */
int penstock_set(struct batch *batch, struct record *record, enum penstock_field field, struct text value);
/* 0 to 191: facility times 8, and severity. */
void penstock_set_pri(struct record *record, int pri);
/*
 * When the message says that it was written: microseconds since 1970 (UTC), shown in an offset of so many minutes east.
 * A parser that sets none leaves the time of reception.
 */
void penstock_set_time(struct record *record, int64_t unix_us, int offset_minutes);
