#include "daemon/limits.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "module/definitions.h"

enum { CODE_OF_OBJECTS = 2207, WORST_SHOWN_MAX = 1000 };

struct named_limit {
        struct shared_limit *limit;
        const struct ratelimit_settings *settings;
};

struct limits {
        struct named_limit *items;
        size_t count;
};

struct shared_limit *limits_find(void *limits, const char *name) {
        const struct limits *l = limits;
        for (size_t i = 0; i < l->count; i++)
                if (strcmp(l->items[i].settings->name, name) == 0)
                        return l->items[i].limit;
        return NULL;
}

static int add(struct limits *l, const struct definition *d, struct diagnostics *diagnostics) {
        const struct ratelimit_settings *s = d->settings;
        if (limits_find(l, s->name)) {
                diagnose(diagnostics, SEVERITY_WARNING, CODE_OF_OBJECTS, d->place, 9, "the first one counts",
                         "ratelimit '%s' is defined more than once", s->name);
                return 0;
        }
        struct shared_limit_plan plan = {.name = s->name,
                                         .interval_s = s->interval_s,
                                         .burst = s->burst,
                                         .severity_min = (uint8_t)s->severity,
                                         .is_per_sender = s->is_per_source,
                                         .senders_max = (size_t)s->sources_max};
        int r = shared_limit_new(&l->items[l->count].limit, &plan);
        if (r)
                return pass(r);
        l->items[l->count++].settings = s;
        return 0;
}

/* "ratelimit.name" and "syssock.ratelimit.name" among what was written for a module or an input. */
static void check_names(struct limits *l, const struct assignment *list, struct diagnostics *diagnostics) {
        for (const struct assignment *a = list; a; a = a->next) {
                if (a->count == 0 || (!text_equal_nocase(a->name, TEXT("ratelimit.name")) &&
                                      !text_equal_nocase(a->name, TEXT("syssock.ratelimit.name"))))
                        continue;
                _owned_(memory_free) char *name = text_copy(a->items[0]);
                if (name && !limits_find(l, name))
                        diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, a->value_place,
                                 (uint32_t)a->items[0].size + 2,
                                 "ratelimit(name=\"...\" interval=\"...\" burst=\"...\")",
                                 "ratelimit '%s' is not defined", name);
        }
}

int limits_new(struct limits **ret, const struct config *config, struct diagnostics *diagnostics) {
        _owned_(limits_free) struct limits *l = calloc(1, sizeof *l);
        if (!l)
                return fail(-ENOMEM);
        size_t count = 0;
        for (const struct definition *d = config->definitions; d; d = d->next)
                count++;
        l->items = calloc(count + 1, sizeof *l->items);
        if (!l->items)
                return fail(-ENOMEM);
        for (const struct definition *d = config->definitions; d; d = d->next) {
                int r = strcmp(d->kind, "ratelimit") == 0 ? add(l, d, diagnostics) : 0;
                if (r)
                        return pass(r);
        }
        for (const struct loaded_module *m = config->modules; m; m = m->next)
                if (m->module->kind == MODULE_INPUT)
                        check_names(l, m->assignments, diagnostics);
        for (const struct object *o = config->inputs; o; o = o->next)
                check_names(l, o->assignments, diagnostics);
        *ret = TAKE(l);
        return 0;
}

struct limits *limits_free(struct limits *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->count; i++)
                shared_limit_free(l->items[i].limit);
        free(l->items);
        free(l);
        return NULL;
}

/* The senders that lost most, by their addresses. */
static void visit_worst(const struct named_limit *n, struct collector *c) {
        size_t wanted = MIN((size_t)n->settings->sources_shown, (size_t)WORST_SHOWN_MAX);
        struct limited_sender *worst = calloc(wanted + 1, sizeof *worst);
        struct statistic_value *values = calloc(wanted + 1, sizeof *values);
        if (worst && values) {
                size_t count = shared_limit_worst(n->limit, worst, wanted);
                for (size_t i = 0; i < count; i++)
                        values[i] = (struct statistic_value){.name = text_of(worst[i].name),
                                                             .value = (int64_t)worst[i].discarded};
                c->visitor->visit(c->visitor, &(struct statistic_object){.name = text_of(n->settings->name),
                                                                         .origin = "ratelimit.sources",
                                                                         .is_nested = true,
                                                                         .values = values,
                                                                         .count = count});
        }
        free(worst);
        free(values);
}

void limits_visit(const struct limits *l, struct collector *c) {
        for (size_t i = 0; i < l->count; i++) {
                const struct named_limit *n = &l->items[i];
                struct shared_limit_totals totals;
                shared_limit_count(n->limit, &totals);
                collector_begin(c);
                collector_sum(c, "passed", totals.passed);
                collector_sum(c, "discarded", totals.discarded);
                if (n->settings->is_per_source)
                        collector_now(c, "sources", (int64_t)totals.senders);
                collector_end(c, text_of(n->settings->name), "ratelimit");
                if (n->settings->is_per_source && n->settings->sources_shown)
                        visit_worst(n, c);
        }
}
