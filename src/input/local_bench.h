/*
 * For tests of the local inputs: one instance of a module on a loop of its own, and
 * the records that it hands over.
 */
#pragma once

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/json.h"
#include "base/test.h"
#include "input/builtin.h"
#include "io/loop.h"
#include "message/intake.h"
#include "module/log.h"
#include "module/settings.h"

enum { WAIT_SECONDS = 5, SEEN_MAX = 128 };

struct seen {
        struct batch *batch;
        struct record *record;
};

struct local_bench {
        char directory[64];
        const struct module *module;
        void *module_settings, *settings;
        struct module_log log;
        char said[8][512];
        unsigned said_count;
        struct loop *loop;
        struct sink sink;
        struct batch_pool *pool;
        struct intake intake;
        struct intake *intakes[1];
        struct counter counters[16];
        struct host_facts facts;
        struct input_host host;
        struct round_hook hook;
        struct timer guard;
        void *instance;
        struct batch *batches[SEEN_MAX];
        unsigned batch_count;
        struct seen seen[SEEN_MAX];
        unsigned seen_count, wanted;
        bool is_late;
};

static void bench_push(struct sink *sink, struct batch *b, enum flow flow _unused_) {
        struct local_bench *bench = CONTAINER_OF(sink, struct local_bench, sink);
        assert(bench->batch_count < SEEN_MAX);
        bench->batches[bench->batch_count++] = b;
        for (uint32_t i = 0; i < b->count && bench->seen_count < SEEN_MAX; i++)
                bench->seen[bench->seen_count++] = (struct seen){b, &b->records[i]};
}

static void bench_said(struct module_log *log, int severity _unused_, int code _unused_, const char *param _unused_,
                       const char *line) {
        struct local_bench *bench = CONTAINER_OF(log, struct local_bench, log);
        if (bench->said_count < ARRAY_SIZE(bench->said))
                snprintf(bench->said[bench->said_count++], sizeof bench->said[0], "%s", line);
}

static void bench_end_round(struct round_hook *hook) {
        struct local_bench *bench = CONTAINER_OF(hook, struct local_bench, hook);
        intake_flush(&bench->intake);
        if (bench->seen_count >= bench->wanted)
                loop_stop(bench->loop);
}

static void bench_is_late(struct timer *timer) {
        struct local_bench *bench = CONTAINER_OF(timer, struct local_bench, guard);
        bench->is_late = true;
        loop_stop(bench->loop);
}

/* "name=value|name=value", "@" in a value stands for the test's directory. */
static void bench_set(struct local_bench *b, const struct settings_type *type, void *settings, const char *given) {
        while (*given) {
                size_t name = strcspn(given, "="), value = strcspn(given + name + 1, "|");
                _owned_(buffer_fini) struct buffer text = {0}, complaint = {0};
                for (size_t i = 0; i < value; i++)
                        if (given[name + 1 + i] == '@')
                                buffer_text(&text, text_of(b->directory));
                        else
                                buffer_byte(&text, given[name + 1 + i]);
                struct text item = buffer_as_text(&text);
                const struct param *param = param_find(type->params, (struct text){given, name});
                CHECK(param);
                CHECK(settings_set(settings, param, &(struct param_value){.items = &item, .count = 1}, &complaint) ==
                      0);
                given += name + 1 + value;
                given += *given == '|';
        }
}

/* `settings` NULL: the instance of the module itself. */
static _unused_ void bench_prepare(struct local_bench *b, const struct module *module, const char *module_settings,
                                   const char *settings) {
        *b = (struct local_bench){.module = module, .log.emit = bench_said, .sink.push = bench_push};
        snprintf(b->directory, sizeof b->directory, "/tmp/penstock-input-XXXXXX");
        CHECK(mkdtemp(b->directory));
        b->module_settings = settings_new(&module->module_settings);
        CHECK(b->module_settings);
        bench_set(b, &module->module_settings, b->module_settings, module_settings);
        if (settings) {
                b->settings = settings_new(&module->settings);
                CHECK(b->settings);
                bench_set(b, &module->settings, b->settings, settings);
        }
        CHECK(loop_new(&b->loop) == 0);
        CHECK(batch_pool_new(&b->pool) == 0);
        intake_init(&b->intake, &b->sink, b->pool, FLOW_NONE);
        b->intakes[0] = &b->intake;
        b->facts = (struct host_facts){.host_name = "thishost",
                                       .message_bytes_max = 8192,
                                       .control_prefix = '#',
                                       .drops_trailing_lf = true,
                                       .escapes_control = true,
                                       .escapes_tab = true};
        b->host = (struct input_host){.log = &b->log,
                                      .module_settings = b->module_settings,
                                      .loops = 1,
                                      .loop = &b->loop,
                                      .intake = b->intakes,
                                      .counters = b->counters,
                                      .facts = &b->facts};
        b->hook.run = bench_end_round;
        b->guard.fire = bench_is_late;
        loop_add_hook(b->loop, &b->hook);
}

static _unused_ void bench_open(struct local_bench *b, const struct module *module, const char *module_settings,
                                const char *settings) {
        bench_prepare(b, module, module_settings, settings);
        CHECK(module->input->open(&b->instance, &b->host, b->settings) == 0);
        CHECK(module->input->start(b->instance) == 0);
}

/* Runs until `wanted` records have been seen, all in all. A loop runs once in its life, hence one wait a test. */
static _unused_ void bench_wait(struct local_bench *b, unsigned wanted) {
        b->wanted = wanted;
        CHECK(loop_arm(b->loop, &b->guard, clock_mono_ns() + WAIT_SECONDS * 1000000000LL) == 0);
        CHECK(loop_run(b->loop) == 0);
        loop_disarm(b->loop, &b->guard);
        if (b->is_late)
                TEST_FAIL("only %u records came, not %u", b->seen_count, wanted);
}

static _unused_ void bench_close(struct local_bench *b) {
        if (b->instance) {
                b->module->input->stop(b->instance);
                b->module->input->close(b->instance);
        }
        loop_remove_hook(b->loop, &b->hook);
        intake_fini(&b->intake);
        for (unsigned i = 0; i < b->batch_count; i++)
                batch_unref(b->batches[i]);
        batch_pool_unref(b->pool);
        loop_free(b->loop);
        if (b->settings)
                settings_free(&b->module->settings, b->settings);
        settings_free(&b->module->module_settings, b->module_settings);
        rmdir(b->directory);
}

static _unused_ void bench_path(const struct local_bench *b, char *out, size_t size, const char *name) {
        snprintf(out, size, "%s/%s", b->directory, name);
}

/* The kernel's log, with a plain file "log" standing in for it. */
static _unused_ void write_file(const struct local_bench *b, const char *content) {
        char path[128];
        bench_path(b, path, sizeof path, "log");
        FILE *file = fopen(path, "w");
        CHECK(file);
        CHECK(fputs(content, file) >= 0);
        CHECK(fclose(file) == 0);
}

static _unused_ void run_on_file(struct local_bench *b, const struct module *module, const char *settings,
                                 const char *content, unsigned wanted) {
        bench_prepare(b, module, settings, NULL);
        write_file(b, content);
        CHECK(module->input->module_instance(b->module_settings));
        CHECK(module->input->open(&b->instance, &b->host, NULL) == 0);
        CHECK(module->input->start(b->instance) == 0);
        bench_wait(b, wanted);
        CHECK_INT(b->seen_count, wanted);
}

static _unused_ void close_with_file(struct local_bench *b) {
        char path[128];
        bench_path(b, path, sizeof path, "log");
        unlink(path);
        bench_close(b);
}

#define SEEN(bench, i, field) batch_text((bench)->seen[i].batch, (bench)->seen[i].record->field)
