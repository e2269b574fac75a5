/*
 * The checked tree: what every dialect of configuration becomes. Everything in it
 * lives in the configuration's arena and goes with config_free().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "module/module.h"
#include "module/objects.h"
#include "module/place.h"
#include "module/registry.h"

/* ---- Expressions -------------------------------------------------------- */

enum operator{
        OP_NONE,
        OP_OR,
        OP_AND,
        OP_NOT,
        OP_EQUAL,
        OP_NOT_EQUAL,
        OP_LESS,
        OP_LESS_EQUAL,
        OP_GREATER,
        OP_GREATER_EQUAL,
        OP_CONTAINS,
        OP_CONTAINS_NOCASE,
        OP_STARTS,
        OP_STARTS_NOCASE,
        OP_ENDS,
        OP_ADD,
        OP_SUBTRACT,
        OP_MULTIPLY,
        OP_DIVIDE,
        OP_MODULO,
        OP_CONCAT,
        OP_NEGATE,
};

enum expr_kind {
        EXPR_STRING,   /* string */
        EXPR_NUMBER,   /* number */
        EXPR_ARRAY,    /* args: strings and numbers */
        EXPR_PROPERTY, /* string: its name without $, as property_find() takes it */
        EXPR_VARIABLE, /* scope and string: the path, "usr!name"; empty: the whole tree */
        EXPR_FUNCTION, /* string: its name in lower case; args */
        EXPR_UNARY,    /* op, args[0] */
        EXPR_BINARY,   /* op, args[0], args[1] */
};

struct expr {
        enum expr_kind kind;
        enum operator op;
        struct place place;
        struct text string;
        int64_t number;
        char scope; /* '!' '.' '/' */
        struct expr **args;
        uint32_t count;
};

/* ---- Objects ------------------------------------------------------------ */

/* name="value" as written, for printing, dumps and messages. */
struct assignment {
        struct text name;
        struct text *items;
        uint32_t count;
        bool is_array;
        bool is_passing; /* a directive's value for the objects behind it, which have it themselves */
        struct place name_place, value_place;
        struct assignment *next;
};

/* module(), input(), action(), parser(): something a module makes. */
struct object {
        struct place place;
        const struct module *module;
        void *settings; /* of module->settings; owned */
        struct assignment *assignments;
        struct object *next;
        const char *name;    /* name="..." where the object takes one */
        const char *ruleset; /* of an input; NULL: default */
        /* of an action: */
        struct action_settings *action;
        struct queue_settings *queue; /* read only: actions without queue.* share one */
        bool has_queue;               /* any queue.* was given */
        bool is_left_out;             /* it was wrong; nothing refers to it */
        uint32_t number;              /* actions count from 1 in order of the file */
};

struct loaded_module {
        struct place place;
        const struct module *module;
        void *settings; /* of module->module_settings */
        struct assignment *assignments;
        struct loaded_module *next;
};

/* ---- Statements --------------------------------------------------------- */

enum statement_kind {
        STATEMENT_ACTION,        /* action */
        STATEMENT_IF,            /* condition, body, otherwise */
        STATEMENT_SELECTOR,      /* priorities, body (otherwise may follow in RainerScript's "else") */
        STATEMENT_PROPERTY,      /* property, comparison, is_negated, value, body */
        STATEMENT_SET,           /* variable, value expression */
        STATEMENT_RESET,         /* the same, but overwrites subtrees */
        STATEMENT_UNSET,         /* variable */
        STATEMENT_CALL,          /* name */
        STATEMENT_CALL_INDIRECT, /* condition: the name */
        STATEMENT_FOREACH,       /* variable, condition: the collection, body */
        STATEMENT_STOP,
        STATEMENT_CONTINUE,
        STATEMENT_RELOAD_LOOKUP, /* name, value: stub or NULL */
};

enum property_comparison {
        COMPARE_CONTAINS,
        COMPARE_EQUAL,
        COMPARE_EMPTY,
        COMPARE_STARTS,
        COMPARE_ENDS,
        COMPARE_REGEX,  /* POSIX basic */
        COMPARE_EREGEX, /* POSIX extended */
};

enum { FACILITIES = 24, PRIORITIES_ALL = 0xff };

struct statement {
        enum statement_kind kind;
        struct place place;
        struct statement *next;
        struct statement *body;
        struct statement *otherwise;
        struct object *action;
        struct expr *condition;
        struct expr *variable; /* EXPR_VARIABLE */
        struct expr *value;
        struct text name;
        uint8_t priorities[FACILITIES + 1]; /* bit s of [f]: facility f, severity s passes; [24] is "invld" */
        struct text property;               /* name as property_find() takes it, or "$!path" */
        enum property_comparison comparison;
        bool is_negated;
        struct text pattern;
};

/* ---- Templates ---------------------------------------------------------- */

enum template_kind { TEMPLATE_STRING, TEMPLATE_LIST, TEMPLATE_SUBTREE, TEMPLATE_PLUGIN };

/* One constant() or property() of a list template. */
struct template_part {
        struct place place;
        bool is_constant;
        struct assignment *assignments;
        struct template_part *next;
};

struct template_def {
        struct place place;
        const char *name;
        enum template_kind kind;
        struct text string; /* string: escapes of the dialect resolved, %...% not */
        bool has_escapes;   /* string is of $template: its backslash escapes still stand, since \% differs from % */
        struct place string_place;
        struct template_part *parts;
        struct text subtree; /* "$!usr" */
        struct text plugin;
        bool is_sql, is_stdsql, is_json, is_jsonf, is_jsonftree, is_case_sensitive;
        struct assignment *assignments; /* of template(); NULL: it was a $template */
        struct template_def *next;
};

/* ---- Rulesets and the whole --------------------------------------------- */

struct ruleset_def {
        struct place place;
        const char *name;               /* "RSYSLOG_DefaultRuleset" first */
        struct assignment *assignments; /* but its name */
        struct strings parsers;         /* names; count 0: the default chain */
        struct queue_settings *queue;   /* NULL: no queue of its own */
        struct statement *statements;
        struct ruleset_def *next;
};

/* A parser("name" type=...) object. */
struct parser_def {
        const char *name;
        struct object *object;
        struct parser_def *next;
};

struct outchannel_def {
        const char *name;
        struct text path;
        int64_t bytes_max; /* 0: none */
        struct text command;
        struct outchannel_def *next;
};

/* lookup_table(), dyn_stats(), percentile_stats(), ratelimit(), timezone(): objects without a module. */
struct definition {
        struct place place;
        const char *kind;     /* "lookup_table" ... */
        const char *name;     /* its name or id */
        const void *settings; /* of its type in module/definitions.h */
        struct assignment *assignments;
        struct definition *next;
};

/* $AllowedSender UDP, 127.0.0.1, [::1]/128, *.example.net */
struct allowed_senders {
        struct place place;
        const char *protocol; /* "UDP", "TCP", "GSS" */
        struct strings senders;
        struct allowed_senders *next;
};

/* One thing that was written: an object, a directive, a statement. Of several on a line the first. */
struct construct {
        struct place place;
        struct text text; /* its line, from there */
        struct construct *next;
};

struct config {
        struct arena arena;
        struct construct *constructs; /* in the order of reading; with config_options.notes_constructs */
        struct global_settings *global;
        struct assignment *global_assignments;
        struct assignment *main_queue_assignments;
        struct queue_settings *main_queue;
        bool has_main_queue;
        struct loaded_module *modules;
        struct object *inputs;
        struct parser_def *parsers;
        struct template_def *templates;
        struct ruleset_def *rulesets;
        struct outchannel_def *outchannels;
        struct object *actions_first; /* every action in the order of the file, by next */
        uint32_t action_count;
        struct strings default_parsers; /* $RulesetParser in the default ruleset, via its def */
        const char *default_ruleset;    /* $DefaultRuleset */
        struct definition *definitions;
        struct allowed_senders *allowed_senders;
        bool reduces_repeated;        /* $RepeatedMsgReduction */
        bool logs_status;             /* $LogRSyslogStatusMessages; on unless said otherwise */
        bool is_aborted;              /* include(mode="abort-if-missing") found nothing: do not start */
        struct text flat;             /* what config_print_flat() prints */
        struct owned_settings *owned; /* all settings that pointers above lead to */
};

/* ---- Loading ------------------------------------------------------------ */

struct diagnostics; /* language/diagnostics.h */

/*
 * What the loader must know of the layers above. Any field may be NULL or 0:
 * then that check is left out.
 */
struct config_options {
        const char *const *template_names; /* built in, NULL-ended: template_builtin_names() */
        /* Whether a property of that name exists; *closest is a name to suggest, or NULL. */
        bool (*property_is_known)(struct text name, const char **closest);
        bool notes_constructs;
        bool is_sealed; /* no file and no environment is read: include() and back-ticks are mistakes */
};

/*
 * Reads a configuration with all that it includes. What is wrong is added to the
 * diagnostics, all of it in one run; *ret holds what is valid (and is NULL only
 * when nothing could be read). 0, or a negative errno for the master file itself.
 * The registry must outlive the configuration. `options` NULL: all fields 0.
 */
int config_load(struct config **ret, struct registry *registry, const char *path, const struct config_options *options,
                struct diagnostics *diagnostics);
struct config *config_free(struct config *config);
OWNED_POINTER(struct config, config_free);

/* The same from memory, for tests, fuzzing and generated text; `name` stands for the file. */
int config_load_text(struct config **ret, struct registry *registry, const char *name, struct text text,
                     const struct config_options *options, struct diagnostics *diagnostics);

/*
 * Writes the configuration flattened, as rsyslogd -o does: includes in place,
 * marked BEGIN CONFIG / END CONFIG. The first line of such a file, with version
 * and time, is the caller's.
 */
void config_print_flat(struct buffer *out, const struct config *config);

/* What module(load=...) gave a module; NULL when it was not loaded by one. */
static inline const void *config_module_settings(const struct config *config, const struct module *module) {
        for (const struct loaded_module *m = config->modules; m; m = m->next)
                if (m->module == module)
                        return m->settings;
        return NULL;
}

/* ---- Printing ----------------------------------------------------------- */

/* An expression as it could be written, with the parentheses that its meaning needs. */
void expr_print(struct buffer *out, const struct expr *expr);
/* A list of statements as RainerScript, indented by `depth` steps of four blanks. */
/* What traces and stories call a statement: "filter", "set" ... */
const char *statement_name(enum statement_kind kind);
enum secrets { SECRETS_MASKED, SECRETS_SHOWN };
void statements_print(struct buffer *out, const struct statement *statements, unsigned depth, enum secrets secrets);
/* One object: action(type="omfile" file="..."). */
void object_print(struct buffer *out, const char *kind, const struct object *object, enum secrets secrets);
/* What follows an object's name: " file=\"...\" ..."; values of secret parameters (`params` may be NULL) masked. */
void assignments_print(struct buffer *out, const struct assignment *list, const struct param *params,
                       enum secrets secrets);
/* "*.info;mail.none" and ":msg, contains, \"x\"". */
void selector_print(struct buffer *out, const struct statement *selector);
void property_filter_print(struct buffer *out, const struct statement *filter);

/*
 * The whole configuration in one dialect, in canonical form: what was read from it
 * prints the same again. What the dialect has no words for ($outchannel in YAML) is
 * written as RainerScript that it can hold. -EILSEQ: a value is no UTF-8, which YAML has to be; -ENOMEM.
 */
enum dialect { DIALECT_RAINERSCRIPT, DIALECT_YAML };
int config_print(struct buffer *out, const struct config *config, enum dialect dialect, enum secrets secrets);

/* The signature of a function of the language, or NULL. */
struct function_signature {
        const char *name; /* lower case */
        uint8_t arguments_min, arguments_max;
        const char *module; /* whose module(load=...) it needs; NULL: none */
};
const struct function_signature *function_signature_find(struct text name);

/* The priorities that "mail.info;kern.none" lets pass, as in a statement. -EINVAL, -ENOMEM. */
int selector_parse(uint8_t priorities[FACILITIES + 1], struct text selector);
