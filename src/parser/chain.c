#include "parser/chain.h"

#include <errno.h>

#include "base/fail.h"
#include "io/compress.h"
#include "module/facts.h"

enum {
        SHOWN_BYTES_MAX = 60, /* of a message in a report */
        CODE_NO_PARSER = 2160,
};

void parser_chain_init(struct parser_chain *chain, const struct host_facts *facts, struct module_log *log) {
        *chain = (struct parser_chain){
                .rules = facts_sanitize_rules(facts), .expands_compressed = facts->expands_compressed, .log = log};
}

int parser_chain_add(struct parser_chain *chain, const struct module *module, void *instance) {
        assert(module->kind == MODULE_PARSER);
        if (chain->count == CHAIN_PARSERS_MAX)
                return fail(-E2BIG);
        chain->links[chain->count++] = (struct chain_link){.parse = module->parser->parse, .instance = instance};
        return 0;
}

/* RFC 1950: method 8, and a header that 31 divides. */
static bool is_compressed(struct text raw) {
        if (LIKELY(raw.size < 3 || raw.data[0] != 'z'))
                return false;
        unsigned method = (unsigned char)raw.data[1], flags = (unsigned char)raw.data[2];
        return (method & 15) == 8 && (method << 8 | flags) % 31 == 0;
}

static void take_expanded(struct record *r, struct span text) {
        r->raw = text;
        r->flags &= (uint16_t)~RECORD_IS_PLAIN; /* that told of what was received */
}

static void expand(struct batch *b, struct record *r, size_t bytes_max) {
        struct text raw = batch_text(b, r->raw);
        struct span span;
        size_t size;
        char *room = batch_room(b, bytes_max, &span);
        if (room && decompress_message(text_slice(raw, 1, raw.size), room, bytes_max, &size) == 0)
                take_expanded(r, (struct span){span.at, (uint32_t)size});
}

/* PARSE_NOT_MINE: no parser of the chain takes it. */
static enum parse_result read_one(const struct parser_chain *chain, struct batch *b, struct record *r) {
        if (UNLIKELY(chain->expands_compressed && is_compressed(batch_text(b, r->raw))))
                expand(b, r, (size_t)chain->rules.bytes_max);
        sanitize(b, r, &chain->rules);
        parse_pri(b, r);
        for (unsigned i = 0; i < chain->count; i++) {
                enum parse_result result = chain->links[i].parse(chain->links[i].instance, b, r);
                if (result == PARSE_NOT_MINE)
                        continue;
                r->flags |= RECORD_IS_PARSED;
                if (UNLIKELY(!r->reported.is_set))
                        r->reported = stamp_of_wall(r->received_us);
                return result;
        }
        return PARSE_NOT_MINE;
}

void chain_read(const struct parser_chain *chain, struct batch *batch, struct record *record) {
        (void)read_one(chain, batch, record);
}

static bool parse(const struct parser_chain *chain, struct batch *b, struct record *r) {
        enum parse_result result = read_one(chain, b, r);
        if (LIKELY(result != PARSE_NOT_MINE))
                return result == PARSE_TAKEN;
        struct text start = text_slice(batch_text(b, r->raw), 0, SHOWN_BYTES_MAX);
        module_report(chain->log, 3, CODE_NO_PARSER,
                      "Error: one message could not be processed by any parser, message is being discarded (start of "
                      "raw msg: '%.*s')",
                      TEXT_ARGS(start));
        return false;
}

size_t chain_parse(struct parser_chain *chain, struct batch *batch, uint16_t *selection, size_t selected,
                   bool *has_redirected) {
        size_t count = 0;
        unsigned redirected = 0;
        bool is_all = selected == batch->count;
        for (size_t i = 0; i < selected; i++) {
                uint16_t index = is_all ? (uint16_t)i : selection[i];
                struct record *r = &batch->records[index];
                selection[count] = index;
                count += (r->flags & RECORD_IS_PARSED) || parse(chain, batch, r);
                redirected |= r->ruleset;
        }
        if (count < selected)
                counter_add(&chain->discarded, selected - count);
        *has_redirected = redirected != 0;
        return count;
}

const struct chain_link *chain_find_parser(const struct parser_chain *chain, struct batch_pool *pool,
                                           struct batch *batch, const struct record *record) {
        enum { WHAT_INPUTS_SAY = RECORD_NO_HOSTNAME | RECORD_IGNORE_DATE | RECORD_IS_INTERNAL | RECORD_IS_MARK };
        struct text raw = batch_text(batch, record->raw);
        _owned_(batch_unref) struct batch *b = batch_new(pool, raw.size);
        struct record *r = b ? batch_append(b, record->source) : NULL;
        if (!r)
                return NULL;
        r->raw = batch_store(b, raw);
        r->received_us = record->received_us;
        r->flags = record->flags & WHAT_INPUTS_SAY;
        parse_pri(b, r);
        for (unsigned i = 0; i < chain->count; i++)
                if (chain->links[i].parse(chain->links[i].instance, b, r) == PARSE_TAKEN)
                        return &chain->links[i];
        return NULL;
}
