/*
 * Any bytes, any options: every span of a parsed record lies within the bytes of
 * its batch, and what two parsers make of a message never reads beyond it. The
 * first two bytes choose the options.
 */
#include <stdlib.h>

#include "module/settings.h"
#include "parser/builtin.h"
#include "parser/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const struct batch *b, struct span s) {
        unsigned region = s.at >> REGION_BITS;
        assert(region < b->regions || s.size == 0);
        assert(s.size == 0 || (s.at & (REGION_BYTES_MAX - 1)) + s.size <= b->region_used[region]);
}

static void check_record(const struct batch *b, const struct record *r) {
        check_span(b, r->raw);
        check_span(b, r->msg);
        check_span(b, r->host);
        check_span(b, r->tag);
        check_span(b, r->app);
        check_span(b, r->procid);
        check_span(b, r->msgid);
        check_span(b, r->structured);
        assert(r->pri_size <= r->raw.size);
        assert(r->facility <= FACILITY_INVALID && r->severity <= 7);
        assert(r->reported.is_set && r->reported.month >= 1 && r->reported.month <= 12);
        assert(r->reported.hour <= 23 && r->reported.minute <= 59 && r->reported.second <= 60);
        assert(r->reported.precision <= 6);
}

static void choose(void *settings, const char *name, bool is_on) {
        struct text value = is_on ? TEXT("on") : TEXT("off");
        struct buffer complaint = {0};
        const struct param *param = param_find(pmrfc3164_module.settings.params, text_of(name));
        if (!param || settings_set(settings, param, &(struct param_value){.items = &value, .count = 1}, &complaint))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 2)
                return 0;
        unsigned options = data[0] | (unsigned)data[1] << 8;
        static const char *const names[] = {"detect.yearaftertimestamp", "permit.squarebracketsinhostname",
                                            "permit.slashesinhostname",  "permit.atsignsinhostname",
                                            "force.tagendingbycolon",    "remove.msgfirstspace",
                                            "detect.headerless",         "headerless.drop"};
        struct host_facts facts = {
                .message_bytes_max = options & 1 << 8 ? 8192 : 64,
                .control_prefix = '#',
                .drops_trailing_lf = options & 1 << 9,
                .escapes_control = options & 1 << 10,
                .escapes_tab = options & 1 << 11,
                .escapes_8bit = options & 1 << 12,
                .escapes_c_style = options & 1 << 13,
                .spaces_lf = options & 1 << 14,
        };
        void *settings = settings_new(&pmrfc3164_module.settings), *rfc5424 = NULL, *rfc3164 = NULL;
        struct batch_pool *pool = NULL;
        if (!settings || batch_pool_new(&pool))
                abort();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                choose(settings, names[i], options & 1u << i);
        struct parser_chain chain;
        parser_chain_init(&chain, &facts, NULL);
        if (pmrfc5424_module.parser->open(&rfc5424, NULL, &facts, NULL) ||
            pmrfc3164_module.parser->open(&rfc3164, NULL, &facts, settings) ||
            parser_chain_add(&chain, &pmrfc5424_module, rfc5424) ||
            parser_chain_add(&chain, &pmrfc3164_module, rfc3164))
                abort();
        /* Just as large as the message, so that a read beyond it is seen. */
        struct batch *b = batch_new(pool, size > BATCH_BYTES ? size : BATCH_BYTES);
        if (!b)
                abort();
        b->region_used[0] = b->region_size[0] - (uint32_t)(size - 2);
        struct record *r = batch_append(b, NULL);
        r->raw = batch_store(b, (struct text){(const char *)data + 2, size - 2});
        uint16_t selection[1];
        bool has_redirected;
        if (chain_parse(&chain, b, selection, b->count, &has_redirected))
                check_record(b, r);
        batch_unref(b);
        pmrfc3164_module.parser->close(rfc3164);
        settings_free(&pmrfc3164_module.settings, settings);
        batch_pool_unref(pool);
        return 0;
}
