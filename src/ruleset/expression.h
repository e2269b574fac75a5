/*
 * Expressions, compiled: names resolved, constants folded, regular expressions
 * built. Evaluated for one record at a time.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/tree.h"
#include "lookup/tables.h"
#include "message/property.h"
#include "message/variable.h"
#include "ruleset/pattern.h"
#include "ruleset/selections.h"
#include "ruleset/traits.h"
#include "ruleset/value.h"
#include "statistics/dyn_stats.h"

struct template;

/* What an evaluation works on. One per worker; the record changes. */
struct evaluation {
        struct batch *batch;
        struct record *record;
        struct property_context *context;
        struct arena arena; /* values that had to be made; given back after each record */
        struct selections selections;
        const struct host_facts *facts;
        struct delivery *previous; /* the action before, for previous_action_suspended() */
        bool asked_for_previous;   /* that was called since */
        struct pattern_room room;  /* for regular expressions */
        struct answers *answers;   /* to the questions of the program that runs; NULL: each filter asks itself */
        struct moment moment;      /* in which they hold */
        struct lookup_views views; /* snapshots of lookup tables, until the batch is through */
        struct dyn_views buckets;  /* the same of dyn_stats() */
        uint64_t random_state;     /* of random(); 0: not seeded yet */
        bool has_script_error;     /* what the last function that can fail left for script_error() */
};

struct expression;

enum { EXPRESSION_DEPTH_MAX = 2000 /* operators within one another; a chain of "or" counts each */ };

/* How names outside the expression are found. */
struct expression_names {
        const struct template *(*find_template)(void *owner, const char *name);
        /* Of lookup(), dyn_inc() and percentile_observe(); NULL: there are none. */
        struct table *(*find_table)(void *owner, struct text name);
        struct dyn_stats *(*find_dyn_stats)(void *owner, struct text name);
        struct percentiles *(*find_percentiles)(void *owner, struct text name);
        void *owner;
};

/* Compiles; mistakes go to the diagnostics. -EINVAL, -ENOMEM. */
int expression_new(struct expression **ret, const struct expr *tree, const struct expression_names *names,
                   struct diagnostics *diagnostics);
struct expression *expression_free(struct expression *e);
OWNED_POINTER(struct expression, expression_free);

/* What it was compiled to: constants are folded. */
void expression_print(struct buffer *out, const struct expression *e);

struct value expression_eval(const struct expression *e, struct evaluation *ev);
/*
 * For several records of the batch at once, EXPRESSION_MANY_MAX at most, where that costs less: values hold until the
 * next evaluation_forget(). Such an expression reads its record and changes nothing.
 */
enum { EXPRESSION_MANY_MAX = 32 };
bool expression_has_many(const struct expression *e);
void expression_eval_many(const struct expression *e, struct evaluation *ev, const uint16_t *selection, size_t count,
                          struct value *values);
bool expression_is_true(const struct expression *e, struct evaluation *ev);

/* Whether it is $!x, $.x or $/x, a property such as $msg, or a string as it stands; and the JSON value that it has,
 * NULL where it has none. */
bool expression_is_variable(const struct expression *e);
bool expression_is_property(const struct expression *e);
/* The property; NULL where it is something else. */
const struct property *expression_property(const struct expression *e);
bool expression_is_string(const struct expression *e);
struct json *expression_json(const struct expression *e, struct evaluation *ev);

/* A property that does not move while another one is asked for. */
struct text evaluation_property(struct evaluation *ev, const struct property *p);
/* Between two records. */
static inline void evaluation_forget(struct evaluation *ev) {
        if (ev->arena.chunk)
                arena_reset(&ev->arena);
}

/* ---- Functions ---------------------------------------------------------- */

struct function_call {
        const struct function *function;
        struct expression **arguments;
        uint32_t count;
        void *prepared; /* what function->prepare made of constant arguments */
        /* So it set this, too, where so many records of a batch at once cost less; else NULL. */
        void (*call_many)(const struct function_call *call, struct evaluation *ev, const uint16_t *selection,
                          size_t count, struct value *values);
};

struct function {
        const char *name;
        uint32_t arguments_min, arguments_max;
        struct value (*call)(const struct function_call *call, struct evaluation *ev);
        /*
         * Compiles constant arguments once (regular expressions, templates). What it says in *complaint is a mistake of
         * the user; the call goes on without `prepared` unless it also returns -EINVAL. May be NULL.
         */
        int (*prepare)(struct function_call *call, const struct expr *tree, const struct expression_names *names,
                       struct buffer *complaint);
        void (*release)(void *prepared);
};

const struct function *function_find(struct text name);
/* Argument i as a text. */
struct text function_text(const struct function_call *call, uint32_t i, struct evaluation *ev);
int64_t function_number(const struct function_call *call, uint32_t i, struct evaluation *ev);
