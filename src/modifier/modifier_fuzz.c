/*
 * Any bytes through each module that reads the text of a message: every span of the record lies within the
 * bytes of its batch, and nothing is read beyond the text. The first byte chooses the module and its options.
 */
#include <stdlib.h>

#include "base/counter.h"
#include "base/json.h"
#include "message/container.h"
#include "module/module.h"
#include "module/settings.h"

extern const struct module mmanon_module, mmaudit_module, mmfields_module, mmjsonparse_module, mmleefparse_module,
        mmpstrucdata_module, mmsnmptrapd_module, mmutf8fix_module;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNTERS = 8 };

static const struct way {
        const struct module *module;
        const char *name, *value; /* of one parameter; NULL: defaults */
} ways[] = {
        {&mmanon_module, NULL, NULL},
        {&mmanon_module, "ipv4.mode", "simple"},
        {&mmanon_module, "ipv6.anonmode", "random-consistent"},
        {&mmaudit_module, NULL, NULL},
        {&mmfields_module, NULL, NULL},
        {&mmjsonparse_module, "cookie", ""},
        {&mmjsonparse_module, "mode", "find-json"},
        {&mmleefparse_module, NULL, NULL},
        {&mmleefparse_module, "searchcookie", "on"},
        {&mmpstrucdata_module, NULL, NULL},
        {&mmsnmptrapd_module, "severitymapping", "warning/4"},
        {&mmutf8fix_module, NULL, NULL},
        {&mmutf8fix_module, "mode", "controlcharacters"},
};

static void check_span(const struct batch *b, struct span s) {
        unsigned region = s.at >> REGION_BITS;
        assert(s.size == 0 || region < b->regions);
        assert(s.size == 0 || (s.at & (REGION_BYTES_MAX - 1)) + s.size <= b->region_used[region]);
}

static void *make_settings(const struct way *way) {
        void *settings = settings_new(&way->module->settings);
        if (!settings)
                abort();
        if (!way->name)
                return settings;
        struct text value = text_of(way->value);
        struct buffer complaint = {0};
        const struct param *param = param_find(way->module->settings.params, text_of(way->name));
        if (!param || settings_set(settings, param, &(struct param_value){.items = &value, .count = 1}, &complaint))
                abort();
        return settings;
}

static void check_record(struct batch *b, struct record *r) {
        const struct span spans[] = {r->raw, r->msg, r->host, r->tag, r->structured};
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
                check_span(b, spans[i]);
        _owned_(buffer_fini) struct buffer printed = {0};
        if (r->tree[TREE_MESSAGE])
                json_print(&printed, r->tree[TREE_MESSAGE], JSON_SPACED);
        assert(r->severity <= 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct host_facts facts = {.message_bytes_max = 8192, .control_prefix = '#'};
        if (size == 0)
                return 0;
        const struct way *way = &ways[data[0] % ARRAY_SIZE(ways)];
        struct counter counters[COUNTERS] = {0};
        void *shared = NULL, *instance, *settings = make_settings(way);
        struct modifier_host host = {.counters = counters, .facts = &facts, .shared = &shared};
        struct batch_pool *pool = NULL;
        if (batch_pool_new(&pool) || way->module->modifier->open(&instance, &host, settings))
                abort();
        struct batch *b = batch_new(pool, size);
        if (!b)
                abort();
        /* Just as large as the text, so that a read beyond it is seen. */
        b->region_used[0] = b->region_size[0] - (uint32_t)(size - 1);
        struct record *r = batch_append(b, NULL);
        r->raw = r->msg = r->tag = r->structured = batch_store(b, (struct text){(const char *)data + 1, size - 1});
        r->protocol = 1;
        struct property_context context = {0};
        way->module->modifier->modify(instance, &context, b, (uint16_t[]){0}, 1);
        check_record(b, r);
        way->module->modifier->close(instance);
        buffer_fini(&context.scratch);
        batch_unref(b);
        batch_pool_unref(pool);
        settings_free(&way->module->settings, settings);
        return 0;
}
