/*
 * The inside of loading: one struct that every part of the language works on.
 *
 *   lexer.c       blanks, comments, strings, words; which text is being read
 *   expression.c  expressions
 *   statement.c   statements and blocks; the dispatcher of a file's level
 *   selector.c    "mail.*;kern.=warn" and ":msg, contains, "x""
 *   selector_action.c  "/path", "@host", "|pipe" ... as objects
 *   assignment.c  name="value" lists, and settings filled from them
 *   object.c      module() input() action() parser() and their settings
 *   definition.c  global() main_queue() ruleset() template() and the rest
 *   directive.c   $Directives
 *   yaml_load.c   the same from YAML
 *   check.c       what can be known only at the end: references between objects
 *
 * A function that returns a pointer returns NULL where something is left out:
 * then the user has been told, or l->failure says that memory ran out.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/names.h"
#include "language/source.h"
#include "language/tree.h"

enum {
        NESTING_MAX = 200,         /* of blocks and of expressions; the parser recurses */
        INCLUDE_DEPTH_MAX = 50,    /* files that include files */
        SOURCES_MAX = 20000,       /* texts read by one load */
        PARAMETERS_MAX = 1000,     /* of one object */
        ARRAY_ITEMS_MAX = 65536,   /* of one array */
        OPERATORS_MAX = 5000,      /* of one expression */
        ARGUMENTS_MAX = 64,        /* of one function */
        STATEMENTS_MAX = 10000000, /* of one configuration */
        NAME_BYTES_MAX = 1024,     /* of anything that has a name */
};

/* rsyslog's numbers, by which existing filters know a mistake. */
enum {
        CODE_SYNTAX = 2207,
        CODE_PARAMETER = 2211,
        CODE_MODULE_LOAD = 2066,
        CODE_MODULE_TWICE = 2221,
        CODE_MODULE_UNKNOWN = 2209,
        CODE_DIRECTIVE_UNKNOWN = 3003,
        CODE_TEMPLATE_UNKNOWN = 3003,
        CODE_RULESET_TWICE = 2306,
        CODE_PARSER_UNKNOWN = 2159,
        CODE_BSD_BLOCK = 2304,
        CODE_TILDE = 2307,
        CODE_USER_LIST = 2184,
        CODE_UNREACHABLE = 2357,
        CODE_NO_LISTENERS = 2212,
        CODE_OCTAL = 2009,
};

/* A value that a legacy directive set, for the objects that follow it. */
struct pending {
        const struct param *param;
        struct assignment *value;
        struct pending *next;
};

/* A loaded module and what legacy directives prepared for its next object. */
struct module_state {
        struct loaded_module *loaded;
        struct pending *pending;
        bool is_explicit; /* a module(load=) or $ModLoad named it */
        bool is_used;     /* an input() of it is there, if only a mistaken one */
        struct module_state *next;
};

/* Where a legacy directive leads. */
enum directive_target {
        DIRECTIVE_OBJECT, /* pending for the next object of the module */
        DIRECTIVE_MODULE, /* the module's own settings */
        DIRECTIVE_GLOBAL,
        DIRECTIVE_MAIN_QUEUE,
        DIRECTIVE_ACTION,       /* pending for the next legacy action of any module */
        DIRECTIVE_ACTION_QUEUE, /* the same */
};
struct directive {
        enum directive_target target;
        const struct param *param;
        struct module_state *module;
};

struct ruleset_state {
        struct ruleset_def *def;
        struct statement **tail; /* where the next statement goes */
};

/* Settings on the heap, freed with the configuration. */
struct owned_settings {
        const struct settings_type *type;
        void *settings;
        struct owned_settings *next;
};

/* A named reference to be checked once everything is known. */
struct reference {
        struct text name;
        struct place place;
        struct reference *next;
};

struct loader {
        struct config *config;
        struct arena *arena;
        struct registry *registry;
        const struct config_options *options;
        struct diagnostics *diagnostics;
        int failure; /* -ENOMEM: the load as a whole failed */

        struct source *source; /* being read, at `at` */
        size_t at;
        struct buffer flat;
        unsigned nesting;
        unsigned blocks;      /* { that are open around the statement being read */
        unsigned expressions; /* that are being read, one inside the other */
        unsigned operators;   /* of the outermost; trees grow to the left, so that they bound the depth */
        unsigned sources_read;
        unsigned statement_count;
        unsigned skipping;     /* > 0: inside an object that config.enabled turned off */
        size_t long_string_at; /* where the last string over several lines began: the usual suspect */
        const struct source *long_string_source;
        const struct source *line_source; /* lex_line() knows: no line end from line_from up to line_end */
        size_t line_from, line_end;

        struct names modules; /* struct module_state by name */
        struct module_state *module_list;
        struct loaded_module **module_tail;
        struct names directives; /* struct directive */
        struct names rulesets;   /* struct ruleset_state */
        struct names templates;  /* struct template_def */
        struct names parsers;    /* struct parser_def */
        struct names outchannels;
        struct ruleset_state *ruleset; /* statements outside ruleset() go here */
        struct pending *pending_action;
        struct pending *pending_queue;
        struct pending *main_queue_values;    /* all that $MainMsgQueue... said, for $RulesetCreateMainQueue */
        bool *global_is_set;                  /* by place in the table */
        struct queue_settings *default_queue; /* of actions that say nothing of a queue; shared */

        struct object **input_tail;
        struct object **action_tail;
        struct parser_def **parser_tail;
        struct template_def **template_tail;
        struct ruleset_def **ruleset_tail;
        struct outchannel_def **outchannel_tail;
        struct definition **definition_tail;
        struct allowed_senders **allowed_tail;
        struct construct **construct_tail;
        struct construct *construct_last;
        struct reference *template_references; /* of exec_template() */
};

/* ---- Memory --------------------------------------------------------------- */

/* Zeroed; NULL sets l->failure. */
void *loader_alloc(struct loader *l, size_t size);
struct text loader_text(struct loader *l, struct text t);
const char *loader_string(struct loader *l, struct text t);
/* New settings that the configuration frees. */
void *loader_settings(struct loader *l, const struct settings_type *type);
void loader_own(struct loader *l, const struct settings_type *type, void *settings);

/* ---- Saying ---------------------------------------------------------------- */

struct place loader_place(struct loader *l, size_t at);
/* A mistake at a place, with rsyslog's number. The hint may be NULL. */
void complain(struct loader *l, struct place place, size_t width, int code, const char *hint, const char *format, ...)
        _printf_(6, 7);
void warn(struct loader *l, struct place place, size_t width, int code, const char *hint, const char *format, ...)
        _printf_(6, 7);
void note(struct loader *l, struct place place, size_t width, const char *hint, const char *format, ...) _printf_(5, 6);

/* Whether another mistake would be shown, so that looking for a suggestion is worth it. */
static inline bool is_heard(const struct loader *l) {
        return l->diagnostics && l->diagnostics->count < DIAGNOSTICS_MAX;
}
/* "did you mean `x`?" in the arena; NULL for NULL. */
const char *did_you_mean(struct loader *l, const char *name);

/* Notes what is written at a place, where somebody wants to know. */
void note_construct(struct loader *l, struct place place, struct text text);

/* ---- lexer.c ---------------------------------------------------------------- */

/* The byte at l->at + ahead, or -1 behind the end of this text. */
static inline int lex_peek(const struct loader *l, size_t ahead) {
        size_t at = l->at + ahead;
        return at < l->source->text.size ? (unsigned char)l->source->text.data[at] : -1;
}
static inline struct text lex_rest(const struct loader *l) {
        return text_slice(l->source->text, l->at, l->source->text.size);
}
/* White space and comments, within this text. */
void lex_blank(struct loader *l);
/* The same between statements: behind the end of an included text it goes on in the including one. False at the end. */
bool lex_blank_between(struct loader *l);
/* White space but no line end. */
void lex_space(struct loader *l);
void lex_skip_line(struct loader *l);
/* The rest of the line, without the line end; l->at is left where it is. */
struct text lex_line(struct loader *l);
static inline bool is_name_byte(int c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
/* Letters, digits and '_' (and '.' and '-' where asked for), without consuming. */
struct text lex_word(const struct loader *l);
struct text lex_dotted_name(const struct loader *l);
/* Consumes the word if it is the next, in any case. */
bool lex_take_word(struct loader *l, const char *word);
bool lex_take(struct loader *l, char c);
/*
 * A string at ' or ", escapes resolved, or the outcome of a back-tick command.
 * False: reported, and l->at is behind what was wrong.
 */
enum string_place { STRING_IN_OBJECT, STRING_IN_EXPRESSION };
bool lex_string(struct loader *l, enum string_place where, struct text *ret);
/* RainerScript's escapes; *bad is where a wrong one begins, or -1. Resolves in place. */
size_t unescape(char *bytes, size_t size, ptrdiff_t *bad);
/* Behind a mistake: a hint at a string over several lines before it, once; NULL: there was none. */
const char *suspect_string(struct loader *l);
/* What the bytes at l->at look like and are not: a blank, a quote, the beginning of a comment; NULL: nothing. */
const char *mistaken_character(struct loader *l);
/* Goes on at the next line that looks like the beginning of a statement. */
void lex_resync(struct loader *l);
/* Goes on at the `}` of this line that ends the block around the mistake. False: there is none. */
bool lex_skip_to_end_of_block(struct loader *l);
/* Whether a statement could begin at this text. */
bool looks_like_statement(struct text line);

/* Reads a text next, then goes on here. */
void source_push(struct loader *l, struct source *source);
bool source_pop(struct loader *l);
/* include() and $IncludeConfig. */
enum include_mode { INCLUDE_REQUIRED, INCLUDE_OPTIONAL, INCLUDE_ABORT };
void include_files(struct loader *l, struct text pattern, enum include_mode mode, struct place place, size_t width);
/* The same with some of the files that a pattern finds. */
enum include_which { INCLUDE_YAML = 1 << 0, INCLUDE_OTHERS = 1 << 1 };
void include_some(struct loader *l, struct text pattern, enum include_mode mode, struct place place, size_t width,
                  enum include_which which);
void include_text(struct loader *l, struct text text, struct place place);

/* ---- yaml_load.c -------------------------------------------------------------- */

/* The current text is a whole file of YAML: reads all of it. */
void yaml_load(struct loader *l);

/* ---- expression.c ------------------------------------------------------------ */

struct expr *parse_expression(struct loader *l);
/* Behind a whole expression: what the next word was probably meant to be. NULL: nothing known. */
const char *operator_hint(struct loader *l);
/* "$!usr!name"; NULL and a complaint for anything else. */
struct expr *parse_variable(struct loader *l, const char *statement);

/* ---- selector.c ---------------------------------------------------------------- */

/* Whether "mail.", "*.", "auth,authpriv." begins here. */
bool is_selector(struct text t);
bool is_property_filter(struct text t);
struct statement *parse_selector(struct loader *l);
struct statement *parse_property_filter(struct loader *l);

/* ---- statement.c --------------------------------------------------------------- */

void parse_file_level(struct loader *l);
/* Statements up to the closing brace, which is consumed. */
void parse_block(struct loader *l, struct statement **ret, struct place opened);
/* Statements up to the end of this text. */
void parse_all(struct loader *l, struct statement **ret);
/* One level of blocks deeper; false, reported: too deep. l->nesting-- when it is left. */
bool nesting_enter(struct loader *l);
struct statement *statement_new(struct loader *l, enum statement_kind kind, struct place place);

/* ---- selector_action.c ----------------------------------------------------------- */

/* One action of the old form at l->at, up to its end; a list of at most one statement. */
struct statement *parse_selector_action(struct loader *l);

/* ---- assignment.c ------------------------------------------------------------------ */

/* name="value" ... up to ")", which is consumed. False: it never came, l->at has been set on. */
bool parse_assignments(struct loader *l, const char *object, struct place opened, struct assignment **ret);
struct assignment *assignment_find(struct assignment *list, const char *name);
/* Adds one as if it had been written at the place. */
struct assignment *assignment_add(struct loader *l, struct assignment **list, const char *name, struct text value,
                                  struct place place);
void assignments_append(struct assignment **list, struct assignment *more);
/* The single value, TEXT_NONE where there is none. */
struct text assignment_text(struct assignment *list, const char *name);
/* How many bytes of the line the value takes, for the caret. */
size_t shown_width(const struct assignment *a);
/* What config.enabled says; takes it for known. */
bool is_enabled(struct loader *l, struct assignment *list);

/* A table that parameters may belong to, and the struct that it fills. */
struct target {
        const struct param *params;
        void *settings;
        bool *is_set;    /* by place in the table */
        bool is_lenient; /* a wrong value leaves the default instead of spoiling the object */
};
/*
 * Fills settings from assignments. Names in `others` (blank-separated) belong to
 * the object itself. False: a value was wrong or one is missing, all reported.
 */
bool fill(struct loader *l, struct assignment *list, struct target *targets, size_t count, const char *others,
          struct place place);
/* Sets one; a wrong value is reported at the assignment. */
bool fill_one(struct loader *l, const struct assignment *a, const struct param *param, void *settings);
bool *new_marks(struct loader *l, const struct param *params);

/* ---- object.c ---------------------------------------------------------------------- */

/* Loads a module by name for module() and $ModLoad. */
void load_module(struct loader *l, struct text name, struct assignment *list, struct place place, size_t width);
/* The loaded module of that name; those that need no load answer, too. NULL: none, nothing said. */
struct module_state *find_module(struct loader *l, struct text name);
void add_input(struct loader *l, struct assignment *list, struct place place);
/* An input that a legacy directive makes. */
void add_legacy_input(struct loader *l, struct module_state *module, const struct param *param,
                      struct assignment *value, struct place place);
struct object *make_action(struct loader *l, struct assignment *list, struct place place, bool is_legacy);
void add_parser(struct loader *l, struct assignment *list, struct place place);
void make_always_loaded(struct loader *l);
/* module->check() with a log that knows the places. */
int check_object(struct loader *l, const struct module *module, const void *settings, const void *module_settings,
                 struct assignment *list, struct place place);

/* ---- definition.c -------------------------------------------------------------------- */

/* Whether `name` is one of the objects that are followed by "(". */
bool is_object_name(struct text name);
const char *closest_object(struct text name);
/* The object whose name is next; statements that it contains go where they belong. */
void parse_object(struct loader *l, bool is_inside_block);
struct ruleset_state *get_ruleset(struct loader *l, struct text name, struct place place);
void add_template(struct loader *l, struct template_def *def);
/* One constant() or property(); NULL where it is wrong (reported) or turned off. */
struct template_part *template_part_new(struct loader *l, bool is_constant, struct assignment *list,
                                        struct place place);
/* template() with the parts of its list, where it has one. */
void template_add_parts(struct loader *l, struct assignment *list, bool has_parts, struct template_part *parts,
                        struct place place);
/* The parameters of one ruleset(); NULL: it is left out. */
struct ruleset_state *ruleset_begin(struct loader *l, struct assignment *list, struct place place);
void ruleset_append(struct ruleset_state *state, struct statement *statements);
/* An object by its name, as parse_object() makes it; none that has a body. */
void object_add(struct loader *l, const char *kind, struct assignment *list, struct place place);
/* The main queue's settings, made when something first asks for them. */
struct queue_settings *main_queue(struct loader *l);

/* ---- directive.c ----------------------------------------------------------------------- */

int directives_init(struct loader *l);
int directives_add_module(struct loader *l, struct module_state *module);
void parse_directive(struct loader *l);
/* What replaces a directive that is known but not available; NULL: not known. */
const char *directive_replacement(struct text name);

/* ---- check.c ----------------------------------------------------------------------------- */

void check_references(struct loader *l);
