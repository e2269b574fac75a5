/*
 * For the tests of rulesets: a configuration's default ruleset, run over records.
 * What it does shows in $!, which runs_to() gives as compact JSON.
 */
#pragma once

#include "base/json.h"
#include "base/test.h"
#include "module/registry.h"
#include "ruleset/program.h"

const struct module *const *registry_builtin(void) {
        static const struct module *const none[] = {NULL};
        return none;
}

struct play {
        struct registry *registry;
        struct config *config;
        struct diagnostics diagnostics;
        struct program *programs[8]; /* by ruleset, in the order of the file */
        struct program_linker linker;
        struct globals *globals;
        struct run *run;
        struct batch_pool *pool;
        struct batch *batch;
        struct buffer text;
};

static inline void play_fini(struct play *p) {
        for (size_t i = 0; i < ARRAY_SIZE(p->programs); i++)
                program_free(p->programs[i]);
        if (p->run)
                run_fini(p->run);
        free(p->run);
        batch_unref(p->batch);
        batch_pool_unref(p->pool);
        globals_free(p->globals);
        config_free(p->config);
        registry_free(p->registry);
        diagnostics_fini(&p->diagnostics);
        buffer_fini(&p->text);
}
OWNED_VALUE(struct play, play_fini);

static inline bool play_find_ruleset(void *owner, const char *name, struct program **program, struct sink **queue) {
        struct play *p = owner;
        size_t i = 0;
        for (const struct ruleset_def *def = p->config->rulesets; def; def = def->next, i++)
                if (strcmp(def->name, name) == 0) {
                        *program = p->programs[i];
                        *queue = NULL;
                        return true;
                }
        return false;
}

static inline const struct template *play_find_template(void *owner _unused_, const char *name _unused_) {
        return NULL;
}

static inline void play_load(struct play *p, const char *config) {
        static const struct host_facts facts = {.host_name = "here"};
        CHECK_INT(registry_new(&p->registry, ""), 0);
        CHECK_INT(config_load_text(&p->config, p->registry, "test.conf", text_of(config), NULL, &p->diagnostics), 0);
        p->linker = (struct program_linker){
                .names = {.find_template = play_find_template}, .find_ruleset = play_find_ruleset, .owner = p};
        size_t i = 0;
        for (const struct ruleset_def *def = p->config->rulesets; def && i < ARRAY_SIZE(p->programs); def = def->next)
                CHECK_INT(program_new(&p->programs[i++], def, &p->linker, &p->diagnostics), 0);
        CHECK_INT(programs_link(p->programs, i, &p->linker), 0);
        CHECK_INT(globals_new(&p->globals, false), 0);
        p->run = calloc(1, sizeof *p->run);
        CHECK_INT(run_init(p->run, &p->linker, &facts, &(struct property_context){.globals = p->globals}), 0);
        CHECK_INT(batch_pool_new(&p->pool), 0);
        p->batch = batch_new(p->pool, 0);
}

/* A record user.notice of program "prog" on "host". */
static inline struct record *play_record(struct play *p, const char *msg) {
        struct record *r = batch_append(p->batch, NULL);
        r->msg = batch_store(p->batch, text_of(msg));
        r->tag = batch_store(p->batch, TEXT("prog[1]:"));
        r->host = batch_store(p->batch, TEXT("host"));
        r->facility = 1;
        r->severity = 5;
        return r;
}

static inline void play_run(struct play *p) {
        uint16_t all[64];
        CHECK(p->batch->count <= ARRAY_SIZE(all));
        for (uint16_t i = 0; i < p->batch->count; i++)
                all[i] = i;
        program_run(p->programs[0], p->run, p->batch, all, p->batch->count);
}

/* $! of a record. */
static inline struct text play_tree(struct play *p, uint32_t record) {
        buffer_clear(&p->text);
        const struct json *tree = p->batch->records[record].tree[TREE_MESSAGE];
        if (tree)
                json_print(&p->text, tree, JSON_COMPACT);
        return buffer_as_text(&p->text);
}

static inline struct text play_complaints(struct play *p) {
        buffer_clear(&p->text);
        diagnostics_print(&p->diagnostics, &p->text, false);
        return buffer_as_text(&p->text);
}

#define CHECK_RUNS_TO(config, message, wanted)                                                                         \
        do {                                                                                                           \
                _owned_(play_fini) struct play p_ = {0};                                                               \
                play_load(&p_, config);                                                                                \
                play_record(&p_, message);                                                                             \
                play_run(&p_);                                                                                         \
                CHECK_TEXT(play_tree(&p_, 0), wanted);                                                                 \
        } while (0)
/* The value of one expression, as JSON. */
#define CHECK_VALUE(expression, wanted) CHECK_RUNS_TO("set $!v = " expression ";\n", "message", "{\"v\":" wanted "}")
