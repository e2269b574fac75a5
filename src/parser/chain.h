/*
 * A parser chain: what turns the raw text of a batch into fields.
 *
 *   record -> expand -> sanitize() -> parse_pri() -> first parser -> ... -> last parser
 *
 * The first parser that takes a message ends its way. One that no parser takes is
 * reported and discarded, as is one that a parser drops. Records that their input
 * has parsed (RECORD_IS_PARSED) pass untouched.
 *
 * A parser may send a record to another ruleset (record.ruleset); the chain tells that
 * there are such, and its caller takes them there. What a parser took is not parsed
 * again, whatever queue it passes.
 *
 * A message that is "z" and a zlib stream, as forwarding with ziplevel makes it, is
 * expanded first; what only begins with a "z" is a message like any other.
 *
 * A chain is built once and then only read: any number of workers may use it at
 * the same time, each with a batch of its own. It does not own the parsers.
 */
#pragma once

#include "base/counter.h"
#include "message/sanitize.h"
#include "module/module.h"

enum { CHAIN_PARSERS_MAX = 32 };

struct chain_link {
        enum parse_result (*parse)(void *instance, struct batch *batch, struct record *record);
        void *instance;
};

struct parser_chain {
        struct chain_link links[CHAIN_PARSERS_MAX];
        unsigned count;
        struct sanitize_rules rules;
        bool expands_compressed;
        struct module_log *log;
        struct counter discarded; /* messages that were dropped, or that no parser took */
};

/* An empty chain; `log` outlives it. */
void parser_chain_init(struct parser_chain *chain, const struct host_facts *facts, struct module_log *log);
/* Appends an open instance of a parser module. -E2BIG beyond CHAIN_PARSERS_MAX. */
int parser_chain_add(struct parser_chain *chain, const struct module *module, void *instance);

/*
 * Parses the first `selected` records of the selection (batch->count of them: all, whatever
 * it holds) and writes the indices of those that live to `selection`, which has room for
 * batch->count. Returns how many live; *has_redirected is whether some of them shall go to
 * another ruleset.
 */
size_t chain_parse(struct parser_chain *chain, struct batch *batch, uint16_t *selection, size_t selected,
                   bool *has_redirected);

/* Parses one record for who wants to know its fields early: nothing is reported, counted or discarded. */
void chain_read(const struct parser_chain *chain, struct batch *batch, struct record *record);

/*
 * Which parser took a record that the chain has parsed: found out by parsing its text again, for whoever wants to
 * show it. NULL: none, or no memory.
 */
const struct chain_link *chain_find_parser(const struct parser_chain *chain, struct batch_pool *pool,
                                           struct batch *batch, const struct record *record);
