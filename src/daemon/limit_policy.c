#include "daemon/limit_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "language/yaml_read.h"
#include "module/settings.h"

enum { CODE_OF_OBJECTS = 2207, SHOWN_BYTES_MAX = 60, KEY_NAMES_MAX = 8 };

/* What one mapping says; -1 and NULL: nothing. */
struct numbers {
        int64_t interval_s, burst, severity;
        const struct node *key;
};

struct reading {
        struct arena arena;
        struct diagnostics *diagnostics;
        bool is_wrong;
};

static void reading_fini(struct reading *r) {
        arena_fini(&r->arena);
}
OWNED_VALUE(struct reading, reading_fini);

static void wrong(struct reading *r, const struct node *at, const char *hint, const char *format, ...) _printf_(4, 5);
static void wrong(struct reading *r, const struct node *at, const char *hint, const char *format, ...) {
        size_t width = at->kind == NODE_SCALAR && !at->is_block ? MIN(at->text.size, (size_t)SHOWN_BYTES_MAX) : 1;
        va_list args;
        va_start(args, format);
        diagnose_va(r->diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, at->place, (uint32_t)width, hint, format, args);
        va_end(args);
        r->is_wrong = true;
}

static bool is_kind(struct reading *r, const struct node *n, enum node_kind kind, const char *what) {
        static const char *const kinds[] = {"one value", "a sequence (lines that begin with -)",
                                            "a mapping (name: value)"};
        if (n->kind != kind)
                wrong(r, n, NULL, "%s: %s is expected here", what, kinds[kind]);
        return n->kind == kind;
}

/* ---- Values ------------------------------------------------------------------ */

int policy_duration(int64_t *ret_ms, struct text text) {
        static const struct {
                const char *name;
                int64_t ms;
        } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
        size_t digits = 0;
        while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
                digits++;
        int64_t number;
        if (text_to_int(text_slice(text, 0, digits), &number) || number > POLICY_NUMBER_MAX)
                return fail(-EINVAL);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (text_equal_nocase(text_slice(text, digits, text.size), text_of(units[i].name))) {
                        *ret_ms = number * units[i].ms;
                        return 0;
                }
        return fail(-EINVAL);
}

static void read_interval(struct reading *r, const struct node *n, struct numbers *to) {
        int64_t ms;
        if (policy_duration(&ms, n->text) || ms % 1000 || ms / 1000 > POLICY_NUMBER_MAX)
                wrong(r, n, "a number of seconds, or 10s, 5m, 1h; 0: no limit", "'%.*s' is no interval",
                      TEXT_ARGS(text_slice(n->text, 0, SHOWN_BYTES_MAX)));
        else
                to->interval_s = ms / 1000;
}

static void read_burst(struct reading *r, const struct node *n, struct numbers *to) {
        int64_t number;
        if (text_to_int(n->text, &number) || number < 0 || number > POLICY_NUMBER_MAX)
                wrong(r, n, "a number from 0 to 2147483647", "'%.*s' is no number of messages",
                      TEXT_ARGS(text_slice(n->text, 0, SHOWN_BYTES_MAX)));
        else
                to->burst = number;
}

static void read_severity(struct reading *r, const struct node *n, struct numbers *to) {
        int64_t number;
        if (text_to_int(n->text, &number))
                number = severity_by_name(n->text);
        if (number < 0 || number > SEVERITY_DEBUG)
                wrong(r, n, "emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7", "'%.*s' is no severity",
                      TEXT_ARGS(text_slice(n->text, 0, SHOWN_BYTES_MAX)));
        else
                to->severity = number;
}

static void read_key(struct reading *r, const struct node *n, struct numbers *to) {
        bool has_nul = n->text.size && memchr(n->text.data, '\0', n->text.size);
        if (n->text.size == 0 || n->text.size >= LIMIT_SENDER_BYTES || has_nul)
                wrong(r, n, NULL, "a sender's key has 1 to %d bytes", LIMIT_SENDER_BYTES - 1);
        else
                to->key = n;
}

/* ---- Mappings ---------------------------------------------------------------- */

enum place_of_key { OF_LIMIT = 1, OF_SENDERS = 2, OF_ONE_SENDER = 4 };

static const struct policy_key {
        const char *name;
        unsigned places;
        void (*read)(struct reading *r, const struct node *n, struct numbers *to);
} policy_keys[] = {
        {"interval", OF_LIMIT | OF_SENDERS | OF_ONE_SENDER, read_interval},
        {"burst", OF_LIMIT | OF_SENDERS | OF_ONE_SENDER, read_burst},
        {"severity", OF_LIMIT, read_severity},
        {"key", OF_ONE_SENDER, read_key},
        {"window", OF_SENDERS | OF_ONE_SENDER, read_interval},
        {"max", OF_SENDERS | OF_ONE_SENDER, read_burst},
};
static_assert(ARRAY_SIZE(policy_keys) < KEY_NAMES_MAX, "all names and the end");

static void tell_unknown(struct reading *r, const struct node *key, const char *const *known) {
        size_t count = 0;
        while (known[count])
                count++;
        const char *closest = text_closest(key->text, known, count);
        _owned_(buffer_fini) struct buffer hint = {0};
        if (closest)
                buffer_format(&hint, "did you mean `%s`?", closest);
        wrong(r, key, closest ? buffer_string(&hint) : NULL, "key '%.*s' is not known here",
              TEXT_ARGS(text_slice(key->text, 0, SHOWN_BYTES_MAX)));
}

static bool is_written_before(const struct node *mapping, const struct node_entry *entry) {
        for (const struct node_entry *e = mapping->first; e != entry; e = e->next)
                if (text_equal(e->key->text, entry->key->text))
                        return true;
        return false;
}

static const struct policy_key *find_key(const struct node *key, unsigned place) {
        for (size_t i = 0; i < ARRAY_SIZE(policy_keys); i++)
                if ((policy_keys[i].places & place) && text_equal(key->text, text_of(policy_keys[i].name)))
                        return &policy_keys[i];
        return NULL;
}

static void read_numbers(struct reading *r, const struct node *mapping, unsigned place, struct numbers *to) {
        const char *known[KEY_NAMES_MAX] = {0};
        for (size_t i = 0, count = 0; i < ARRAY_SIZE(policy_keys); i++)
                if (policy_keys[i].places & place)
                        known[count++] = policy_keys[i].name;
        for (const struct node_entry *e = mapping->first; e; e = e->next) {
                const struct policy_key *key = find_key(e->key, place);
                if (!key)
                        tell_unknown(r, e->key, known);
                else if (is_written_before(mapping, e))
                        wrong(r, e->key, NULL, "key '%s' is given more than once", key->name);
                else if (is_kind(r, e->value, NODE_SCALAR, key->name))
                        key->read(r, e->value, to);
                if (r->is_wrong && mapping->count > KEY_NAMES_MAX)
                        return; /* one mistake tells enough of a long one */
        }
}

/* *ret is NULL with r->is_wrong. -ENOMEM. */
static int read_document(const struct node **ret, struct reading *r, const char *file, struct text text) {
        struct node *document = NULL;
        struct yaml_mistake found;
        diagnostics_add_source(r->diagnostics, file, text);
        int error = yaml_read(&document, &r->arena, file, text, &found);
        if (error == -ENOMEM)
                return pass(error);
        struct node nothing = {.place = {.file = file, .line = 1, .column = 1}, .kind = NODE_SEQUENCE};
        if (error) {
                nothing.place = found.place;
                wrong(r, &nothing, NULL, "%s", found.text);
        } else if (!document)
                wrong(r, &nothing, NULL, "the policy says nothing");
        else if (is_kind(r, document, NODE_MAPPING, "a policy"))
                *ret = document;
        return 0;
}

/* ---- policy= ------------------------------------------------------------------- */

int limit_policy_read(struct limit_rules *rules, const char *file, struct text text, struct diagnostics *diagnostics) {
        _owned_(reading_fini) struct reading r = {.diagnostics = diagnostics};
        const struct node *document = NULL;
        int error = read_document(&document, &r, file, text);
        if (error)
                return pass(error);
        struct numbers found = {
                .interval_s = rules->interval_s, .burst = rules->burst, .severity = rules->severity_min};
        if (document)
                read_numbers(&r, document, OF_LIMIT, &found);
        if (r.is_wrong)
                return fail(-EBADMSG);
        rules->interval_s = found.interval_s;
        rules->burst = found.burst;
        rules->severity_min = (uint8_t)found.severity;
        return 0;
}

/* ---- perSourcePolicy= ------------------------------------------------------------ */

static int compare_keys(const void *a, const void *b) {
        const struct node *left = ((const struct numbers *)a)->key, *right = ((const struct numbers *)b)->key;
        size_t size = MIN(left->text.size, right->text.size);
        int order = memcmp(left->text.data, right->text.data, size);
        if (order == 0 && left->text.size != right->text.size)
                order = left->text.size < right->text.size ? -1 : 1;
        return order ? order : (int)left->place.line - (int)right->place.line;
}

static void tell_twice(struct reading *r, const struct numbers *sorted, size_t count) {
        for (size_t i = 1; i < count; i++)
                if (text_equal(sorted[i - 1].key->text, sorted[i].key->text))
                        wrong(r, sorted[i].key, NULL, "key '%.*s' has a limit already, in line %u",
                              TEXT_ARGS(sorted[i].key->text), sorted[i - 1].key->place.line);
}

/* Sorted by key; *ret is the arena's. -ENOMEM. */
static int read_overrides(struct numbers **ret, struct reading *r, const struct node *list,
                          const struct numbers *dflt) {
        if (list->count > POLICY_SENDERS_MAX) {
                wrong(r, list, NULL, "more than %d overrides", POLICY_SENDERS_MAX);
                return 0;
        }
        struct numbers *found = arena_alloc(&r->arena, (list->count + 1) * sizeof *found);
        if (!found)
                return fail(-ENOMEM);
        size_t count = 0;
        for (const struct node_entry *e = list->first; e; e = e->next) {
                if (!is_kind(r, e->value, NODE_MAPPING, "an override"))
                        continue;
                found[count] = *dflt;
                read_numbers(r, e->value, OF_ONE_SENDER, &found[count]);
                if (found[count].key)
                        count++;
                else if (!r->is_wrong)
                        wrong(r, e->value, NULL, "an override needs the key of its sender");
        }
        qsort(found, count, sizeof *found, compare_keys);
        tell_twice(r, found, count);
        *ret = found;
        return 0;
}

/* What the top of the document leads to; the keys that it may have, in this order. */
static void find_parts(struct reading *r, const struct node *document, const struct node *parts[2]) {
        static const char *const known[] = {"default", "overrides", NULL};
        static const enum node_kind kinds[] = {NODE_MAPPING, NODE_SEQUENCE};
        for (const struct node_entry *e = document->first; e; e = e->next) {
                size_t i = 0;
                while (known[i] && !text_equal(e->key->text, text_of(known[i])))
                        i++;
                if (!known[i])
                        tell_unknown(r, e->key, known);
                else if (parts[i])
                        wrong(r, e->key, NULL, "key '%s' is given more than once", known[i]);
                else if (is_kind(r, e->value, kinds[i], known[i]))
                        parts[i] = e->value;
        }
}

static int take_senders(struct limit_rules *to, const struct numbers *found, size_t count) {
        to->senders = calloc(count + 1, sizeof *to->senders);
        if (!to->senders)
                return fail(-ENOMEM);
        for (size_t i = 0; i < count; i++) {
                char *name = text_copy(found[i].key->text);
                if (!name)
                        return fail(-ENOMEM);
                to->senders[to->sender_count++] =
                        (struct sender_rule){.name = name, .interval_s = found[i].interval_s, .burst = found[i].burst};
        }
        return 0;
}

int sender_policy_read(struct limit_rules *rules, const char *file, struct text text, struct diagnostics *diagnostics) {
        _owned_(reading_fini) struct reading r = {.diagnostics = diagnostics};
        const struct node *document = NULL, *parts[2] = {0};
        int error = read_document(&document, &r, file, text);
        if (error)
                return pass(error);
        struct numbers dflt = {.interval_s = rules->interval_s, .burst = rules->burst}, *found = NULL;
        if (document)
                find_parts(&r, document, parts);
        if (parts[0])
                read_numbers(&r, parts[0], OF_SENDERS, &dflt);
        if (parts[1] && (error = read_overrides(&found, &r, parts[1], &dflt)))
                return pass(error);
        if (r.is_wrong)
                return fail(-EBADMSG);
        _owned_(limit_rules_fini) struct limit_rules all = {
                .interval_s = dflt.interval_s, .burst = dflt.burst, .severity_min = rules->severity_min};
        error = take_senders(&all, found, found ? parts[1]->count : 0);
        if (error)
                return pass(error);
        struct limit_rules old = *rules;
        *rules = all;
        all = old;
        return 0;
}
