/*
 * Any bytes through each of the parsers for devices: every span of the record lies
 * within the bytes of its batch, and nothing is read beyond the message. The first
 * byte chooses the parser, the second the options.
 */
#include <stdlib.h>

#include "module/settings.h"
#include "parser/chain.h"

extern const struct module pmaixforwardedfrom_module, pmciscoios_module, pmcisconames_module, pmdb2diag_module,
        pmlastmsg_module, pmnull_module, pmpanngfw_module, pmsnare_module;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const struct batch *b, struct span s) {
        unsigned region = s.at >> REGION_BITS;
        assert(s.size == 0 || region < b->regions);
        assert(s.size == 0 || (s.at & (REGION_BYTES_MAX - 1)) + s.size <= b->region_used[region]);
}

static void choose(void *settings, const struct param *params, const char *name, bool is_on) {
        struct text value = is_on ? TEXT("on") : TEXT("off");
        struct buffer complaint = {0};
        const struct param *param = param_find(params, text_of(name));
        if (param && settings_set(settings, param, &(struct param_value){.items = &value, .count = 1}, &complaint))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct module *const modules[] = {
                &pmaixforwardedfrom_module, &pmciscoios_module, &pmcisconames_module, &pmdb2diag_module,
                &pmlastmsg_module,          &pmnull_module,     &pmpanngfw_module,    &pmsnare_module,
        };
        static const struct host_facts facts = {.message_bytes_max = 8192, .control_prefix = '#'};
        if (size < 2)
                return 0;
        const struct module *module = modules[data[0] % ARRAY_SIZE(modules)];
        void *settings = settings_new(&module->settings), *instance;
        struct batch_pool *pool = NULL;
        if (!settings || batch_pool_new(&pool))
                abort();
        choose(settings, module->settings.params, "present.origin", data[1] & 1);
        choose(settings, module->settings.params, "present.xr", data[1] & 2);
        choose(settings, module->settings.params, "parser.escapecontrolcharacterscstyle", data[1] & 4);
        struct parser_chain chain;
        parser_chain_init(&chain, &facts, NULL);
        if (module->parser->open(&instance, NULL, &facts, settings) || parser_chain_add(&chain, module, instance))
                abort();
        struct batch *b = batch_new(pool, size > BATCH_BYTES ? size : BATCH_BYTES);
        if (!b)
                abort();
        /* Just as large as the message, so that a read beyond it is seen. */
        b->region_used[0] = b->region_size[0] - (uint32_t)(size - 2);
        struct record *r = batch_append(b, NULL);
        r->raw = batch_store(b, (struct text){(const char *)data + 2, size - 2});
        uint16_t selection[1];
        bool has_redirected;
        chain_parse(&chain, b, selection, b->count, &has_redirected);
        const struct span spans[] = {r->raw, r->msg, r->host, r->tag, r->app, r->procid};
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
                check_span(b, spans[i]);
        assert(r->pri_size <= r->raw.size && r->severity <= 7);
        batch_unref(b);
        module->parser->close(instance);
        settings_free(&module->settings, settings);
        batch_pool_unref(pool);
        return 0;
}
