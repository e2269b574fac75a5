/*
 * A template while it is compiled, and what it is compiled to: for template.c and
 * the two readers of definitions, specification.c ("%msg:::uppercase%") and
 * list.c (property(...)).
 */
#pragma once

#include "base/arena.h"
#include "language/diagnostics.h"
#include "template/replacer.h"
#include "template/template.h"

enum {
        TEMPLATE_STEPS_MAX = 4096,
        TEMPLATE_BYTES_MAX = 1 << 20, /* of constant text */
        TREE_DEPTH_MAX = 16,          /* of nested objects; further dots stay in the name */
};

enum step_kind {
        STEP_CONSTANT,
        /* The plain values that nearly every template is made of: */
        STEP_HOSTNAME,
        STEP_TAG,
        STEP_MSG,
        STEP_MSG_SPACE, /* %msg:::sp-if-no-1st-sp% */
        STEP_MSG_LESS_LF,
        STEP_RFC3164, /* of timereported */
        STEP_RFC3339,
        STEP_GENERATED, /* RFC 3164 of timegenerated */
        STEP_VARIABLE,  /* $!a or $.a */
        STEP_PRI,
        /* The rest: */
        STEP_PROPERTY, /* any plain value */
        STEP_REPLACED,
        STEP_MEMBER, /* format="jsonf" of an unchanged value */
        STEP_OPEN,   /* `"name":{` of a nested object; option.jsonftree */
        STEP_CLOSE,  /* `}` */
};

struct step {
        enum step_kind kind;
        struct text text;          /* what a constant shows; STEP_OPEN, STEP_MEMBER: the name and what is around it */
        struct text value;         /* of a constant with a name in JSON: its value there */
        struct text out_name;      /* empty: no member in JSON */
        struct replacer *replacer; /* NULL for constants */
        uint32_t bytes_max;        /* of a plain value: %syslogtag:1:32% is cut there */
        bool fills_empty;          /* STEP_MSG_SPACE in rsyslog's own formats: a space also before an empty msg */
        uint8_t run;               /* STEP_HOSTNAME: "host tag msg" follow, in so many more steps; 0: they do not */
        bool keeps_slash;          /* in paths: the value is the configuration's own, not the sender's */
};

struct template {
        char *name;
        struct arena arena; /* what the steps point to */
        struct step *steps;
        size_t count;
        size_t capacity;
        size_t fixed_bytes; /* that the constants and times of one record take at most */
        size_t constant_bytes;
        struct replacer *subtree; /* template of type subtree */
        enum escape_kind escape;  /* of every value: option.sql and its kin */
        bool is_jsonf;
        bool is_jsonftree;
        bool is_case_sensitive;
        bool is_plain;                        /* steps need nothing around them */
        bool is_direct;                       /* and are all of the kinds up to STEP_PRI */
        size_t host_uses, tag_uses, msg_uses; /* plain ones; how much room a record needs */
        bool tells_clock;                     /* some step shows $now or its kin */
        bool is_lasting;                      /* no step shows a clock, a variable, or all of them */
};

struct compiler {
        struct template *template;
        const struct template_def *def;
        struct diagnostics *diagnostics;
        bool is_unusable; /* a mistake left nothing that could be rendered */
};

/* Reports a mistake; the rest is still looked at, so that all of them are told in one run. */
void compiler_mistake(struct compiler *c, enum severity severity, struct place place, size_t width, const char *hint,
                      const char *format, ...) _printf_(6, 7);

/* NULL without memory. */
struct step *template_add_step(struct compiler *c, enum step_kind kind);
/* -ENOMEM, or -EINVAL over a limit (reported). Text is copied. */
int template_add_constant(struct compiler *c, struct text text);
int template_add_named_constant(struct compiler *c, struct text value, struct text out_name, bool is_json);
/* Takes over what the replacer owns, also when it fails. */
int template_add_replacer(struct compiler *c, struct replacer *r);

/* "no such property", with what may have been meant. */
void compiler_unknown_property(struct compiler *c, struct place place, struct text name);

int specification_compile(struct compiler *c);
int list_compile(struct compiler *c);
int template_nest_members(struct compiler *c);
