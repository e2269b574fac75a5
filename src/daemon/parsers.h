/*
 * The parsers of a configuration by the names that rulesets call them: those of
 * parser() objects, and every parser module as it is without one.
 */
#pragma once

#include "language/diagnostics.h"
#include "language/tree.h"
#include "parser/chain.h"

struct named_parser;

struct parsers {
        const struct config *config;
        const struct host_facts *facts;
        struct module_log *log;
        struct named_parser *first;
};

/* All lent for the parsers' life. -ENOMEM. */
int parsers_init(struct parsers *p, const struct config *config, struct module_log *log,
                 const struct host_facts *facts);
void parsers_fini(struct parsers *p);
/* The chain that a ruleset asks for, or rsyslog's usual one; names that are unknown, or cannot be opened, are told. */
void parsers_make_chain(struct parsers *p, struct parser_chain *chain, const struct ruleset_def *ruleset,
                        struct diagnostics *diagnostics);
/* How the parser of a link is called; NULL: it is none of ours. */
const char *parsers_name_of(const struct parsers *p, const struct chain_link *link);
