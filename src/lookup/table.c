#include "lookup/table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fail.h"
#include "lookup/radix.h"
#include "lookup/rows.h"

enum { MANY_AT_ONCE = 32 };

struct lookup {
        atomic_uint references;
        enum lookup_kind kind;
        size_t count;
        char *value_bytes;
        size_t value_size;
        uint32_t *value_ends;
        size_t value_count;
        struct text nomatch; /* owned */
        struct radix *radix; /* of strings */
        uint32_t first;      /* of an array */
        uint32_t *numbers;   /* of a sparse array, ascending */
        uint32_t *values;    /* by position, of all but strings */
        regex_t *regexes;
};

/* ---- Values ---------------------------------------------------------------- */

void lookup_values_fini(struct lookup_values *v) {
        buffer_fini(&v->bytes);
        free(v->ends);
        free(v->slots);
        *v = (struct lookup_values){0};
}

static struct text value_at(const char *bytes, const uint32_t *ends, uint32_t i) {
        uint32_t from = i ? ends[i - 1] : 0;
        return (struct text){bytes + from, ends[i] - from};
}

static uint64_t hash_of(struct text t) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.size; i++)
                hash = (hash ^ (unsigned char)t.data[i]) * 0x100000001b3u;
        return hash ^ hash >> 31;
}

/* The slot of a value: the one that holds it, or the free one that it belongs into. */
static uint32_t *find_slot(const struct lookup_values *v, struct text value) {
        size_t at = hash_of(value) & (v->slot_count - 1);
        while (v->slots[at] && !text_equal(value_at(v->bytes.data, v->ends, v->slots[at] - 1), value))
                at = (at + 1) & (v->slot_count - 1);
        return &v->slots[at];
}

static int grow_values(struct lookup_values *v) {
        size_t capacity = MAX(v->capacity * 2, (size_t)64), slot_count = capacity * 2;
        uint32_t *ends = realloc(v->ends, capacity * sizeof *ends);
        if (!ends)
                return fail(-ENOMEM);
        v->ends = ends;
        v->capacity = capacity;
        uint32_t *slots = calloc(slot_count, sizeof *slots);
        if (!slots)
                return fail(-ENOMEM);
        free(v->slots);
        v->slots = slots;
        v->slot_count = slot_count;
        for (uint32_t i = 0; i < v->count; i++)
                *find_slot(v, value_at(v->bytes.data, v->ends, i)) = i + 1;
        return 0;
}

int lookup_values_add(struct lookup_values *v, struct text value, uint32_t *ret) {
        int r = v->count == v->capacity ? grow_values(v) : 0;
        if (r)
                return pass(r);
        uint32_t *slot = find_slot(v, value);
        if (*slot == 0) {
                if (v->bytes.size + value.size > UINT32_MAX)
                        return fail(-EFBIG);
                buffer_text(&v->bytes, value);
                if (buffer_failed(&v->bytes))
                        return fail(-ENOMEM);
                v->ends[v->count++] = (uint32_t)v->bytes.size;
                *slot = (uint32_t)v->count;
        }
        *ret = *slot - 1;
        return 0;
}

/* ---- Building -------------------------------------------------------------- */

static int in_order_of_file(const struct lookup_row *a, const struct lookup_row *b) {
        return (a->at > b->at) - (a->at < b->at);
}

static int by_text(const void *a, const void *b) {
        const struct lookup_row *x = a, *y = b;
        int order = text_compare(x->key, y->key);
        return order ? order : in_order_of_file(x, y);
}

static int by_number(const void *a, const void *b) {
        const struct lookup_row *x = a, *y = b;
        return x->number == y->number ? in_order_of_file(x, y) : (x->number > y->number) - (x->number < y->number);
}

static bool is_same_key(const struct lookup_plan *p, const struct lookup_row *a, const struct lookup_row *b) {
        return p->kind == LOOKUP_STRING ? text_equal(a->key, b->key) : a->number == b->number;
}

/* Most files are in order already. */
static void sort_rows(struct lookup_plan *p) {
        int (*compare)(const void *, const void *) = p->kind == LOOKUP_STRING ? by_text : by_number;
        for (size_t i = 1; i < p->count; i++)
                if (compare(&p->rows[i - 1], &p->rows[i]) > 0) {
                        qsort(p->rows, p->count, sizeof *p->rows, compare);
                        return;
                }
}

/* Of rows with the same key the last one of the file stays. */
static void unite_twins(struct lookup_plan *p) {
        size_t kept = 0;
        for (size_t i = 0; i < p->count; i++) {
                bool is_twin = kept && is_same_key(p, &p->rows[kept - 1], &p->rows[i]);
                if (is_twin && p->kind == LOOKUP_STRING)
                        p->complain(p->owner, SEVERITY_WARNING, p->rows[i].at,
                                    "the index '%.*s' is there already; the last one counts",
                                    TEXT_ARGS(text_slice(p->rows[i].key, 0, 200)));
                else if (is_twin)
                        p->complain(p->owner, SEVERITY_WARNING, p->rows[i].at,
                                    "the index %u is there already; the last one counts", p->rows[i].number);
                p->rows[is_twin ? kept - 1 : kept++] = p->rows[i];
        }
        p->count = kept;
}

static int build_strings(struct lookup *l, const struct lookup_plan *p) {
        struct radix_row *rows = malloc(MAX(p->count, (size_t)1) * sizeof *rows);
        if (!rows)
                return fail(-ENOMEM);
        for (size_t i = 0; i < p->count; i++)
                rows[i] = (struct radix_row){.key = p->rows[i].key, .value = p->rows[i].value};
        int r = radix_new(&l->radix, rows, p->count);
        free(rows);
        return r ? pass(r) : 0;
}

static int build_numbers(struct lookup *l, const struct lookup_plan *p) {
        l->first = p->count ? p->rows[0].number : 0;
        if (p->kind == LOOKUP_SPARSE && !(l->numbers = malloc((p->count + 1) * sizeof *l->numbers)))
                return fail(-ENOMEM);
        for (size_t i = 0; i < p->count; i++) {
                if (p->kind == LOOKUP_SPARSE) {
                        l->numbers[i] = p->rows[i].number;
                } else if (i && p->rows[i].number != p->rows[i - 1].number + 1) {
                        p->complain(p->owner, SEVERITY_ERR, p->rows[i].at,
                                    "an array has no gaps, but nothing lies between %u and %u; the type for this is "
                                    "sparseArray",
                                    p->rows[i - 1].number, p->rows[i].number);
                        return fail(-EBADMSG);
                }
        }
        return 0;
}

static int build_regexes(struct lookup *l, const struct lookup_plan *p) {
        if (p->count > LOOKUP_REGEXES_MAX) {
                p->complain(p->owner, SEVERITY_ERR, p->rows[LOOKUP_REGEXES_MAX].at,
                            "a table has at most %d regular expressions", LOOKUP_REGEXES_MAX);
                return fail(-EBADMSG);
        }
        l->regexes = calloc(p->count + 1, sizeof *l->regexes);
        if (!l->regexes)
                return fail(-ENOMEM);
        for (; l->count < p->count; l->count++) {
                _owned_(memory_free) char *source = text_copy(p->rows[l->count].key);
                if (!source)
                        return fail(-ENOMEM);
                int r = regcomp(&l->regexes[l->count], source, REG_EXTENDED | REG_NOSUB);
                if (r == 0)
                        continue;
                char why[200];
                regerror(r, &l->regexes[l->count], why, sizeof why);
                p->complain(p->owner, SEVERITY_ERR, p->rows[l->count].at, "'%.*s' is no regular expression: %s",
                            TEXT_ARGS(text_slice(p->rows[l->count].key, 0, 200)), why);
                return fail(r == REG_ESPACE ? -ENOMEM : -EBADMSG);
        }
        return 0;
}

static int build(struct lookup *l, struct lookup_plan *p) {
        l->kind = p->kind;
        if (p->kind == LOOKUP_REGEX) {
                int r = build_regexes(l, p);
                if (r)
                        return pass(r);
        } else {
                sort_rows(p);
                unite_twins(p);
                int r = p->kind == LOOKUP_STRING ? build_strings(l, p) : build_numbers(l, p);
                if (r)
                        return pass(r);
                l->count = p->count;
        }
        if (p->kind == LOOKUP_STRING)
                return 0;
        l->values = malloc((p->count + 1) * sizeof *l->values);
        if (!l->values)
                return fail(-ENOMEM);
        for (size_t i = 0; i < p->count; i++)
                l->values[i] = p->rows[i].value;
        return 0;
}

int lookup_new(struct lookup **ret, struct lookup_plan *plan) {
        _owned_(lookup_unref) struct lookup *l = calloc(1, sizeof *l);
        if (!l)
                return fail(-ENOMEM);
        atomic_init(&l->references, 1);
        l->nomatch = (struct text){text_copy(plan->nomatch), plan->nomatch.size};
        if (!l->nomatch.data)
                return fail(-ENOMEM);
        int r = build(l, plan);
        if (r)
                return pass(r);
        l->value_bytes = TAKE(plan->values.bytes.data);
        l->value_size = plan->values.bytes.size;
        l->value_ends = TAKE(plan->values.ends);
        l->value_count = plan->values.count;
        plan->values.bytes = (struct buffer){0};
        plan->values.count = plan->values.capacity = 0;
        *ret = TAKE(l);
        return 0;
}

int lookup_new_stub(struct lookup **ret, struct text value) {
        struct lookup_plan plan = {.kind = LOOKUP_STRING, .nomatch = value};
        return lookup_new(ret, &plan);
}

struct lookup *lookup_ref(struct lookup *l) {
        if (l)
                atomic_fetch_add_explicit(&l->references, 1, memory_order_relaxed);
        return l;
}

struct lookup *lookup_unref(struct lookup *l) {
        if (!l || atomic_fetch_sub(&l->references, 1) > 1)
                return NULL;
        if (l->regexes)
                for (size_t i = 0; i < l->count; i++)
                        regfree(&l->regexes[i]);
        free(l->regexes);
        radix_free(l->radix);
        free(l->numbers);
        free(l->values);
        free(l->value_bytes);
        free(l->value_ends);
        free((char *)l->nomatch.data);
        free(l);
        return NULL;
}

/* ---- Searching ------------------------------------------------------------- */

enum lookup_kind lookup_kind(const struct lookup *l) {
        return l->kind;
}

size_t lookup_count(const struct lookup *l) {
        return l->count;
}

size_t lookup_bytes(const struct lookup *l) {
        size_t keys = l->radix ? radix_bytes(l->radix) : 0;
        if (l->kind != LOOKUP_STRING)
                keys += l->count * sizeof *l->values;
        if (l->kind == LOOKUP_SPARSE)
                keys += l->count * sizeof *l->numbers;
        return sizeof *l + keys + l->value_size + l->value_count * sizeof *l->value_ends;
}

static struct text value_of(const struct lookup *l, uint32_t value) {
        return value_at(l->value_bytes, l->value_ends, value);
}

/* The expressions are asked in turn; the C library is told where the key ends. */
static struct text find_regex(const struct lookup *l, struct text key) {
        for (size_t i = 0; i < l->count; i++) {
                regmatch_t bounds = {.rm_so = 0, .rm_eo = (regoff_t)key.size};
                if (regexec(&l->regexes[i], key.data ? key.data : "", 1, &bounds, REG_STARTEND) == 0)
                        return value_of(l, l->values[i]);
        }
        return l->nomatch;
}

static struct text answer(const struct lookup *l, uint32_t value) {
        return value == RADIX_NONE ? l->nomatch : value_of(l, value);
}

struct text lookup_find(const struct lookup *l, struct text key) {
        assert(lookup_takes_text(l));
        return l->kind == LOOKUP_REGEX ? find_regex(l, key) : answer(l, radix_find(l->radix, key));
}

void lookup_find_many(const struct lookup *l, const struct text *keys, size_t count, struct text *values) {
        assert(lookup_takes_text(l));
        for (size_t at = 0; at < count; at += MANY_AT_ONCE) {
                size_t some = MIN(count - at, (size_t)MANY_AT_ONCE);
                uint32_t found[MANY_AT_ONCE];
                if (l->kind == LOOKUP_STRING)
                        radix_find_many(l->radix, keys + at, some, found);
                for (size_t i = 0; i < some; i++)
                        values[at + i] = l->kind == LOOKUP_REGEX ? find_regex(l, keys[at + i]) : answer(l, found[i]);
        }
}

/* The position of the largest number that is not above the key, from 1; 0: all are. */
static size_t find_not_above(const uint32_t *numbers, size_t count, uint32_t key) {
        size_t low = 0, high = count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (numbers[middle] <= key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

struct text lookup_find_number(const struct lookup *l, uint32_t key) {
        assert(!lookup_takes_text(l));
        if (l->kind == LOOKUP_ARRAY)
                return key < l->first || key - l->first >= l->count ? l->nomatch
                                                                    : value_of(l, l->values[key - l->first]);
        size_t found = find_not_above(l->numbers, l->count, key);
        return found ? value_of(l, l->values[found - 1]) : l->nomatch;
}
