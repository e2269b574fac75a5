#include "daemon/collector.h"

#include <stdlib.h>
#include <string.h>

void collector_fini(struct collector *c) {
        free(c->shown);
        *c = (struct collector){0};
}

void collector_begin_walk(struct collector *c, struct statistic_visitor *visitor, bool resets) {
        c->visitor = visitor;
        c->resets = resets;
        c->at = 0;
}

void collector_begin(struct collector *c) {
        c->count = 0;
}

void collector_now(struct collector *c, const char *name, int64_t value) {
        assert(c->count < COLLECTED_VALUES_MAX);
        c->values[c->count++] = (struct statistic_value){.name = text_of(name), .value = value};
}

/* Where what was shown of the next counter is kept; NULL without memory: it is shown as it is. */
static uint64_t *next_shown(struct collector *c) {
        if (c->at == c->shown_count) {
                size_t count = MAX(c->shown_count * 2, (size_t)64);
                uint64_t *grown = realloc(c->shown, count * sizeof *grown);
                if (!grown)
                        return NULL;
                memset(grown + c->shown_count, 0, (count - c->shown_count) * sizeof *grown);
                c->shown = grown;
                c->shown_count = count;
        }
        return &c->shown[c->at++];
}

void collector_sum(struct collector *c, const char *name, uint64_t value) {
        uint64_t *shown = c->resets ? next_shown(c) : NULL;
        collector_now(c, name, (int64_t)(shown ? value - *shown : value));
        if (shown)
                *shown = value;
}

static bool is_of(const struct counter_def *def, const char *object) {
        return object ? def->object && strcmp(def->object, object) == 0 : !def->object;
}

void collector_table(struct collector *c, const struct counter_def *table, const char *object,
                     const struct counter *const *sets, size_t set_count) {
        for (size_t i = 0; table && table[i].name; i++) {
                uint64_t sum = 0;
                for (size_t s = 0; s < set_count; s++)
                        sum += counter_get(&sets[s][i]);
                if (!is_of(&table[i], object))
                        continue;
                if (table[i].is_gauge)
                        collector_now(c, table[i].name, (int64_t)sum);
                else
                        collector_sum(c, table[i].name, sum);
        }
}

void collector_end(struct collector *c, struct text name, const char *origin) {
        c->visitor->visit(c->visitor, &(struct statistic_object){
                                              .name = name, .origin = origin, .values = c->values, .count = c->count});
        c->count = 0;
}
