/*
 * What a program is made of: for program.c, which compiles and runs it, and link.c,
 * which connects it with deliveries and with the programs that it calls.
 */
#pragma once

#include "ruleset/filter.h"
#include "ruleset/program.h"

struct step {
        void (*execute)(const struct step *step, struct run *run, struct batch *b, const uint16_t *selection,
                        size_t count);
        struct step *next;
        const struct statement *statement;
        bool may_stop; /* some record may not go on after this step */
        struct filter *filter;
        struct step *body, *otherwise;
        struct delivery *delivery;
        uint32_t group;  /* number of the delivery, from 1; 0: none */
        uint32_t target; /* number of what the action writes to, from 1; 0: nothing that has a name */
        uint32_t format; /* number of the template whose rows the delivery can share, from 1; 0: none */
        bool is_shared;  /* other steps, or this one twice, may give the delivery records of one batch */
        const struct action_settings *action;
        struct counter *processed; /* messages that were handed to the action; NULL: not counted */
        const struct modifier_ops *modifier;
        void *instance;
        bool sets_name;           /* set, reset: $!x or $.x, with nothing below x */
        struct expression *value; /* of set, reset; the collection of foreach; the name of call_indirect */
        char *ruleset;
        struct table *table; /* of reload_lookup_table */
};

/* What the steps of a program and of all that it calls do to one another. */
struct company {
        bool changes_records, writes_globals;
        bool is_sharing;  /* a delivery may get records of one batch from several steps */
        bool has_rivals;  /* two different deliveries write to one target */
        bool has_formats; /* two different deliveries have one template */
        bool is_entering; /* a record may enter the queue of one ruleset more than once */
};

struct program {
        struct step *steps;
        struct traits *traits;
        uint32_t number;      /* among the programs of a configuration, from 1; 0: not linked */
        bool changes_records; /* a statement after an action could change what that action was given */
        bool writes_globals;  /* one record sees what the one before wrote */
        /* Of this program with all that it calls, once linked: */
        bool is_one_by_one;
        struct company why; /* it is so */
        bool collects;      /* deliveries that are shared wait until the batch is through */
        bool shares_rows;   /* several deliveries have one template */
        /* While linking: */
        struct step **actions; /* those with a delivery */
        size_t action_count;
        struct step **calls;
        size_t call_count;
        unsigned reached; /* how often the root runs it: 0, 1, 2 for more */
        unsigned entered; /* how often the root puts a record into its queue */
};

/* The ways in which an action runs, chosen when it is linked. */
void execute_action(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count);
void execute_modifier(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count);
void execute_nothing(const struct step *s, struct run *run, struct batch *b, const uint16_t *selection, size_t count);
