/*
 * For tests: one message through a chain, and its fields as text.
 */
#pragma once

#include "base/test.h"
#include "message/batch.h"
#include "module/log.h"
#include "module/settings.h"
#include "parser/builtin.h"
#include "parser/chain.h"

/* 2026-10-11 22:14:15 UTC */
static const int64_t received_us = 1791756855000000;

static const struct host_facts facts_usual = {.message_bytes_max = 8192,
                                              .control_prefix = '#',
                                              .drops_trailing_lf = true,
                                              .escapes_control = true,
                                              .escapes_tab = true};

struct said {
        struct module_log log;
        char last[512];
        unsigned count;
        int code;
};

static void said_emit(struct module_log *log, int severity _unused_, int code, const char *param _unused_,
                      const char *line) {
        struct said *said = CONTAINER_OF(log, struct said, log);
        snprintf(said->last, sizeof said->last, "%s", line);
        said->count++;
        said->code = code;
}

/* A chain with one or both of the parsers; the 3164 parser may have a setting or several: "name=value name=value". */
struct bench {
        struct parser_chain chain;
        struct said said;
        void *settings;
        void *rfc5424, *rfc3164;
        struct batch_pool *pool;
        struct batch *batch;
        struct record *record;
        uint16_t selection[BATCH_RECORDS_MAX];
        bool has_redirected;
        uint16_t flags; /* of records to come */
};

static void set_each(void *settings, const char *assignments) {
        while (*assignments) {
                size_t name = strcspn(assignments, "="), value = strcspn(assignments + name + 1, " ");
                struct text given = {assignments + name + 1, value};
                const struct param *param =
                        param_find(pmrfc3164_module.settings.params, (struct text){assignments, name});
                CHECK(param);
                _owned_(buffer_fini) struct buffer complaint = {0};
                CHECK(settings_set(settings, param, &(struct param_value){.items = &given, .count = 1}, &complaint) ==
                      0);
                assignments += name + 1 + value;
                assignments += strspn(assignments, " ");
        }
}

static _unused_ void bench_open(struct bench *b, bool has_5424, bool has_3164, const char *assignments) {
        *b = (struct bench){.said.log.emit = said_emit};
        parser_chain_init(&b->chain, &facts_usual, &b->said.log);
        CHECK(batch_pool_new(&b->pool) == 0);
        if (has_5424) {
                CHECK(pmrfc5424_module.parser->open(&b->rfc5424, &b->said.log, &facts_usual, NULL) == 0);
                CHECK(parser_chain_add(&b->chain, &pmrfc5424_module, b->rfc5424) == 0);
        }
        if (has_3164) {
                b->settings = settings_new(&pmrfc3164_module.settings);
                CHECK(b->settings);
                set_each(b->settings, assignments);
                CHECK(pmrfc3164_module.parser->open(&b->rfc3164, &b->said.log, &facts_usual, b->settings) == 0);
                CHECK(parser_chain_add(&b->chain, &pmrfc3164_module, b->rfc3164) == 0);
        }
}

static _unused_ void bench_close(struct bench *b) {
        if (b->rfc3164)
                pmrfc3164_module.parser->close(b->rfc3164);
        if (b->settings)
                settings_free(&pmrfc3164_module.settings, b->settings);
        batch_unref(b->batch);
        batch_pool_unref(b->pool);
}

/* True when the message lives; it is bench->record then. */
static _unused_ bool bench_parse_text(struct bench *b, struct text raw) {
        batch_unref(b->batch);
        b->batch = batch_new(b->pool, BATCH_BYTES);
        CHECK(b->batch);
        b->record = batch_append(b->batch, NULL);
        b->record->raw = batch_store(b->batch, raw);
        b->record->received_us = received_us;
        b->record->flags = b->flags;
        return chain_parse(&b->chain, b->batch, b->selection, b->batch->count, &b->has_redirected) == 1;
}

static _unused_ bool bench_parse(struct bench *b, const char *raw) {
        return bench_parse_text(b, text_of(raw));
}

#define FIELD(bench, field) batch_text((bench)->batch, (bench)->record->field)
