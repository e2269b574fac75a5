/*
 * What unit tests of outputs share: an instance made from name="value" pairs with
 * the module's own tables, a batch's worth of rendered rows, and the messages that
 * the module reports.
 */
#pragma once

#include <errno.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/test.h"
#include "module/module.h"

/* ---- Messages ----------------------------------------------------------- */

static char test_said[16384]; /* every report, one a line */

static void test_say(const char *format, va_list args) {
        size_t used = strlen(test_said);
        vsnprintf(test_said + used, sizeof test_said - used, format, args);
        used = strlen(test_said);
        snprintf(test_said + used, sizeof test_said - used, "\n");
}

void module_report(struct module_log *log _unused_, int severity _unused_, int code _unused_, const char *format, ...) {
        va_list args;
        va_start(args, format);
        test_say(format, args);
        va_end(args);
}

void module_report_param(struct module_log *log _unused_, int severity _unused_, const char *param _unused_,
                         const char *format, ...) {
        va_list args;
        va_start(args, format);
        test_say(format, args);
        va_end(args);
}

_unused_ static bool test_heard(const char *part) {
        return strstr(test_said, part) != NULL;
}

/* ---- Settings ----------------------------------------------------------- */

static int64_t test_number(const char *value, int base) {
        char *end;
        int64_t number = strtoll(value, &end, base);
        return *end == 'k' ? number << 10 : *end == 'm' ? number << 20 : number;
}

static void test_strings_clear(struct strings *all) {
        for (size_t i = 0; i < all->count; i++)
                free(all->items[i]);
        free(all->items);
        *all = (struct strings){0};
}

static void test_set(char *settings, const struct param *p, const char *value) {
        void *field = settings + p->offset;
        switch (p->type) {
        case PARAM_TYPE_BOOL:
                *(bool *)field = strcmp(value, "on") == 0;
                break;
        case PARAM_TYPE_STRING:
        case PARAM_TYPE_TEMPLATE:
        case PARAM_TYPE_RULESET:
                free(*(char **)field);
                *(char **)field = strdup(value);
                break;
        case PARAM_TYPE_STRINGS: {
                /* Blanks separate the items of an array here. */
                struct strings *all = field;
                test_strings_clear(all);
                char *copy = strdup(value), *state = NULL;
                for (char *item = strtok_r(copy, " ", &state); item; item = strtok_r(NULL, " ", &state)) {
                        all->items = realloc(all->items, (all->count + 1) * sizeof *all->items);
                        all->items[all->count++] = strdup(item);
                }
                free(copy);
                break;
        }
        case PARAM_TYPE_CHOICE:
                for (int i = 0; p->choices[i]; i++)
                        if (strcmp(p->choices[i], value) == 0)
                                *(int *)field = i;
                break;
        case PARAM_TYPE_CHAR:
                *(int64_t *)field = (value[0] >= '0' && value[0] <= '9') ? test_number(value, 10) : value[0];
                break;
        default:
                *(int64_t *)field = test_number(value, p->type == PARAM_TYPE_MODE ? 8 : 10);
        }
}

/* The pairs end with NULL; a name that the table does not hold fails the promise. */
static void *test_settings(const struct settings_type *type, const char *const *pairs) {
        char *settings = calloc(1, type->size ? type->size : 1);
        CHECK(settings);
        for (const struct param *p = type->params; p && p->name; p++) {
                if (p->type == PARAM_TYPE_USER || p->type == PARAM_TYPE_GROUP)
                        *(int64_t *)(void *)(settings + p->offset) = -1;
                if (p->dflt)
                        test_set(settings, p, p->dflt);
        }
        for (; pairs && pairs[0]; pairs += 2) {
                const struct param *p = type->params;
                while (p->name && strcmp(p->name, pairs[0]) != 0)
                        p++;
                if (!p->name)
                        TEST_FAIL("no parameter is called %s", pairs[0]);
                test_set(settings, p, pairs[1]);
        }
        return settings;
}

static void test_settings_free(const struct settings_type *type, void *settings) {
        for (const struct param *p = type->params; settings && p && p->name; p++) {
                void *field = (char *)settings + p->offset;
                if (p->type == PARAM_TYPE_STRING || p->type == PARAM_TYPE_TEMPLATE || p->type == PARAM_TYPE_RULESET)
                        free(*(char **)field);
                if (p->type == PARAM_TYPE_STRINGS)
                        test_strings_clear(field);
        }
        free(settings);
}

/* ---- One output --------------------------------------------------------- */

enum { TEST_COUNTERS_MAX = 16 };

struct test_output {
        const struct module *module;
        void *settings, *module_settings;
        struct output_host host;
        struct host_facts facts;
        struct counter counters[TEST_COUNTERS_MAX];
        void *instance;
};

_unused_ static void test_output_close(struct test_output *t) {
        if (!t->module)
                return;
        if (t->instance)
                t->module->output->close(t->instance);
        test_settings_free(&t->module->settings, t->settings);
        test_settings_free(&t->module->module_settings, t->module_settings);
        t->instance = t->settings = t->module_settings = NULL;
}

/* Checks and opens; what check() or open() answered otherwise is returned. */
_unused_ static int test_output_open(struct test_output *t, const struct module *module,
                                     const char *const *module_pairs, const char *const *pairs) {
        test_said[0] = '\0';
        *t = (struct test_output){.module = module};
        t->module_settings = test_settings(&module->module_settings, module_pairs);
        t->settings = test_settings(&module->settings, pairs);
        t->facts = (struct host_facts){.host_name = "testhost", .fqdn = "testhost", .work_directory = ""};
        t->host.module_settings = t->module_settings;
        t->host.counters = t->counters;
        t->host.facts = &t->facts;
        int r = module->check ? module->check(t->settings, t->module_settings, NULL) : 0;
        return r ? r : module->output->open(&t->instance, &t->host, t->settings);
}

/* ---- Rows --------------------------------------------------------------- */

enum { TEST_ROWS_MAX = 4096 };

/* Rows of up to three columns; the texts of column 0 lie behind one another, as delivery promises. */
struct test_rows {
        struct buffer bytes;
        struct text columns[3][TEST_ROWS_MAX];
        uint16_t selection[TEST_ROWS_MAX];
        struct work work;
};

static struct test_rows *test_rows_free(struct test_rows *rows) {
        for (size_t i = 0; i < rows->work.count; i++)
                for (int c = 1; c < 3; c++)
                        free((char *)rows->columns[c][i].data);
        buffer_fini(&rows->bytes);
        free(rows);
        return NULL;
}
OWNED_POINTER(struct test_rows, test_rows_free);

_unused_ static struct test_rows *test_rows_new(void) {
        struct test_rows *rows = calloc(1, sizeof *rows);
        CHECK(rows);
        /* No output looks into the batch; it only has to be the same one. */
        rows->work.batch = (struct batch *)rows;
        rows->work.selection = rows->selection;
        for (int c = 0; c < 3; c++)
                rows->work.column[c] = rows->columns[c];
        CHECK(buffer_reserve(&rows->bytes, 4 << 20));
        return rows;
}

_unused_ static void test_rows_add(struct test_rows *rows, const char *text, const char *second) {
        size_t i = rows->work.count++;
        CHECK(i < TEST_ROWS_MAX && rows->bytes.capacity - rows->bytes.size > strlen(text));
        rows->columns[0][i] = (struct text){rows->bytes.data + rows->bytes.size, strlen(text)};
        buffer_append(&rows->bytes, text, strlen(text));
        if (second)
                rows->columns[1][i] = text_of(strdup(second));
        rows->selection[i] = (uint16_t)i;
}

/* The rows from `from` on, as delivery presents them again. */
_unused_ static struct work test_rows_from(const struct test_rows *rows, size_t from) {
        struct work work = rows->work;
        work.count -= from;
        work.selection += from;
        for (int c = 0; c < 3; c++)
                work.column[c] += from;
        return work;
}

_unused_ static struct outcome test_deliver(struct test_output *t, const struct work *work) {
        return t->module->output->deliver(t->instance, work);
}

_unused_ static enum verdict test_resume(struct test_output *t) {
        return t->module->output->resume(t->instance);
}

#define CHECK_OUTCOME(got, wanted_verdict, wanted_taken)                                                               \
        do {                                                                                                           \
                struct outcome found_outcome_ = (got);                                                                 \
                CHECK_INT(found_outcome_.verdict, wanted_verdict);                                                     \
                CHECK_INT(found_outcome_.taken, wanted_taken);                                                         \
        } while (0)
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
