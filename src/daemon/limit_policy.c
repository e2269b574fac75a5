#include "daemon/limit_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "module/policy.h"
#include "module/settings.h"
#include "module/yaml_read.h"

enum { CODE_OF_OBJECTS = 2207, SHOWN_BYTES_MAX = 60, KEY_NAMES_MAX = 16 };

/* What one mapping says, begun with what holds where it says nothing. NULL: nothing. */
struct said {
        int64_t interval_s, burst, severity, states_max, shown;
        bool is_enabled;
        const struct node *key, *key_template, *mode;
        const struct node *senders, *dflt, *overrides; /* mappings and a sequence within it */
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

static void tell_value(struct reading *r, const struct node *n, const char *hint, const char *what) {
        wrong(r, n, hint, "'%.*s' is no %s", TEXT_ARGS(text_slice(n->text, 0, SHOWN_BYTES_MAX)), what);
}

static void read_interval(struct reading *r, const struct node *n, struct said *to) {
        int64_t ms;
        if (policy_duration(&ms, n->text) || ms % 1000 || ms / 1000 > POLICY_NUMBER_MAX)
                tell_value(r, n, "a number of seconds, or 10s, 5m, 1h; 0: no limit", "interval");
        else
                to->interval_s = ms / 1000;
}

static void read_burst(struct reading *r, const struct node *n, struct said *to) {
        int64_t number;
        if (text_to_int(n->text, &number) || number < 0 || number > POLICY_NUMBER_MAX)
                tell_value(r, n, "a number from 0 to 2147483647", "number of messages");
        else
                to->burst = number;
}

static void read_severity(struct reading *r, const struct node *n, struct said *to) {
        int64_t number;
        if (text_to_int(n->text, &number))
                number = severity_by_name(n->text);
        if (number < 0 || number > SEVERITY_DEBUG)
                tell_value(r, n, "emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7", "severity");
        else
                to->severity = number;
}

static void read_states(struct reading *r, const struct node *n, struct said *to) {
        int64_t number;
        if (text_to_int(n->text, &number) || number < 1 || number > POLICY_STATES_MAX)
                tell_value(r, n, "a number from 1 to 1000000", "number of senders");
        else
                to->states_max = number;
}

static void read_shown(struct reading *r, const struct node *n, struct said *to) {
        int64_t number;
        if (text_to_int(n->text, &number) || number < 0 || number > POLICY_SHOWN_MAX)
                tell_value(r, n, "a number from 0 to 1000", "number of senders");
        else
                to->shown = number;
}

static void read_enabled(struct reading *r, const struct node *n, struct said *to) {
        static const char *const words[] = {"false", "off", "no", "true", "on", "yes"};
        size_t i = 0;
        while (i < ARRAY_SIZE(words) && !text_equal_nocase(n->text, text_of(words[i])))
                i++;
        if (i == ARRAY_SIZE(words))
                tell_value(r, n, "true or false", "switch");
        to->is_enabled = i >= 3;
}

static bool has_nul(struct text t) {
        return t.size && memchr(t.data, '\0', t.size);
}

static void read_key(struct reading *r, const struct node *n, struct said *to) {
        if (n->text.size == 0 || n->text.size >= LIMIT_SENDER_BYTES || has_nul(n->text))
                wrong(r, n, NULL, "a sender's key has 1 to %d bytes", LIMIT_SENDER_BYTES - 1);
        else
                to->key = n;
}

static void read_template(struct reading *r, const struct node *n, struct said *to) {
        if (n->text.size == 0 || has_nul(n->text))
                tell_value(r, n, NULL, "template's name");
        else
                to->key_template = n;
}

/* Which of them it is makes no difference here: inputs and actions name the same objects. */
static void read_scope(struct reading *r, const struct node *n, struct said *to _unused_) {
        if (!text_equal(n->text, TEXT("input")) && !text_equal(n->text, TEXT("output")))
                tell_value(r, n, "input or output", "scope");
}

static void read_mode(struct reading *r, const struct node *n, struct said *to) {
        if (!text_equal(n->text, TEXT("drop")) && !text_equal(n->text, TEXT("pace")))
                tell_value(r, n, "drop or pace", "mode");
        to->mode = n;
}

static void read_senders(struct reading *r _unused_, const struct node *n, struct said *to) {
        to->senders = n;
}

static void read_default(struct reading *r _unused_, const struct node *n, struct said *to) {
        to->dflt = n;
}

static void read_overrides(struct reading *r, const struct node *n, struct said *to) {
        if (n->count > POLICY_SENDERS_MAX)
                wrong(r, n, NULL, "more than %d overrides", POLICY_SENDERS_MAX);
        else
                to->overrides = n;
}

/* ---- Mappings ---------------------------------------------------------------- */

enum place_of_key {
        OF_LIMIT = 1,
        OF_SENDERS_FILE = 2, /* the top of perSourcePolicy's */
        OF_SENDERS = 4,      /* perSource: */
        OF_DEFAULT = 8,
        OF_ONE_SENDER = 16,
};

static const struct policy_key {
        const char *name;
        enum node_kind kind;
        unsigned places;
        void (*read)(struct reading *r, const struct node *n, struct said *to);
} policy_keys[] = {
        {"interval", NODE_SCALAR, OF_LIMIT | OF_DEFAULT | OF_ONE_SENDER, read_interval},
        {"burst", NODE_SCALAR, OF_LIMIT | OF_DEFAULT | OF_ONE_SENDER, read_burst},
        {"severity", NODE_SCALAR, OF_LIMIT, read_severity},
        {"scope", NODE_SCALAR, OF_LIMIT, read_scope},
        {"mode", NODE_SCALAR, OF_LIMIT, read_mode},
        {"perSource", NODE_MAPPING, OF_LIMIT, read_senders},
        {"enabled", NODE_SCALAR, OF_SENDERS, read_enabled},
        {"keyTemplate", NODE_SCALAR, OF_SENDERS, read_template},
        {"maxStates", NODE_SCALAR, OF_SENDERS, read_states},
        {"topN", NODE_SCALAR, OF_SENDERS, read_shown},
        {"default", NODE_MAPPING, OF_SENDERS | OF_SENDERS_FILE, read_default},
        {"overrides", NODE_SEQUENCE, OF_SENDERS | OF_SENDERS_FILE, read_overrides},
        {"key", NODE_SCALAR, OF_ONE_SENDER, read_key},
        {"window", NODE_SCALAR, OF_DEFAULT | OF_ONE_SENDER, read_interval},
        {"max", NODE_SCALAR, OF_DEFAULT | OF_ONE_SENDER, read_burst},
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

static void read_mapping(struct reading *r, const struct node *mapping, unsigned place, struct said *to) {
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
                else if (is_kind(r, e->value, key->kind, key->name))
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

/* ---- Senders -------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b) {
        const struct node *left = ((const struct said *)a)->key, *right = ((const struct said *)b)->key;
        size_t size = MIN(left->text.size, right->text.size);
        int order = memcmp(left->text.data, right->text.data, size);
        if (order == 0 && left->text.size != right->text.size)
                order = left->text.size < right->text.size ? -1 : 1;
        return order ? order : (int)left->place.line - (int)right->place.line;
}

static void tell_twice(struct reading *r, const struct said *sorted, size_t count) {
        for (size_t i = 1; i < count; i++)
                if (text_equal(sorted[i - 1].key->text, sorted[i].key->text))
                        wrong(r, sorted[i].key, NULL, "key '%.*s' has a limit already, in line %u",
                              TEXT_ARGS(sorted[i].key->text), sorted[i - 1].key->place.line);
}

/* Sorted by key; *ret is the arena's. -ENOMEM. */
static int read_list(struct said **ret, size_t *ret_count, struct reading *r, const struct node *list,
                     const struct said *dflt) {
        struct said *found = arena_alloc(&r->arena, (list->count + 1) * sizeof *found);
        if (!found)
                return fail(-ENOMEM);
        size_t count = 0;
        for (const struct node_entry *e = list->first; e; e = e->next) {
                if (!is_kind(r, e->value, NODE_MAPPING, "an override"))
                        continue;
                found[count] = *dflt;
                read_mapping(r, e->value, OF_ONE_SENDER, &found[count]);
                if (found[count].key)
                        count++;
                else if (!r->is_wrong)
                        wrong(r, e->value, NULL, "an override needs the key of its sender");
        }
        qsort(found, count, sizeof *found, compare_keys);
        tell_twice(r, found, count);
        *ret = found;
        *ret_count = count;
        return 0;
}

static int take_rules(struct limit_rules *to, const struct said *found, size_t count) {
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

/* Into a policy without rules of senders. -ENOMEM. */
static int take_senders(struct limit_policy *to, struct reading *r, const struct said *block) {
        struct said dflt = {.interval_s = to->rules.sender_interval_s, .burst = to->rules.sender_burst};
        struct said *found = NULL;
        size_t count = 0;
        if (block->dflt)
                read_mapping(r, block->dflt, OF_DEFAULT, &dflt);
        int error = block->overrides ? read_list(&found, &count, r, block->overrides, &dflt) : 0;
        if (error || r->is_wrong)
                return error ? pass(error) : 0;
        to->has_senders = true;
        to->rules.is_per_sender = block->is_enabled;
        to->rules.senders_max = (size_t)block->states_max;
        to->rules.sender_interval_s = dflt.interval_s;
        to->rules.sender_burst = dflt.burst;
        to->senders_shown = block->shown;
        if (block->key_template && !(to->key_template = text_copy(block->key_template->text)))
                return fail(-ENOMEM);
        return pass(take_rules(&to->rules, found, count));
}

/* ---- Policies --------------------------------------------------------------------- */

void limit_policy_fini(struct limit_policy *p) {
        limit_rules_fini(&p->rules);
        free(p->key_template);
        p->key_template = NULL;
}

/* The same without its rules of senders. -ENOMEM. */
static int begin_policy(struct limit_policy *to, const struct limit_policy *from) {
        *to = *from;
        to->rules.senders = NULL;
        to->rules.sender_count = 0;
        to->key_template = from->key_template ? text_copy(text_of(from->key_template)) : NULL;
        return from->key_template && !to->key_template ? fail(-ENOMEM) : 0;
}

static struct said begin_senders(const struct limit_policy *p) {
        return (struct said){
                .states_max = (int64_t)p->rules.senders_max, .shown = p->senders_shown, .is_enabled = true};
}

static void replace(struct limit_policy *policy, struct limit_policy *next) {
        struct limit_policy old = *policy;
        *policy = *next;
        *next = old;
}

/* Messages that wait stay in their order: all of them wait, and all for the same limit. */
static void read_pace(struct reading *r, struct limit_rules *rules, const struct node *mode) {
        rules->paces = mode && text_equal(mode->text, TEXT("pace"));
        if (!rules->paces)
                return;
        if (rules->interval_s > 0 && rules->burst < 1)
                wrong(r, mode, "burst: 1", "with mode 'pace' and a burst of 0 all messages would wait for ever");
        if (rules->severity_min || rules->is_per_sender)
                wrong(r, mode, "drop", "severity and perSource do not go with mode 'pace'");
}

int limit_policy_read(struct limit_policy *policy, const char *file, struct text text,
                      struct diagnostics *diagnostics) {
        _owned_(reading_fini) struct reading r = {.diagnostics = diagnostics};
        _owned_(limit_policy_fini) struct limit_policy next = {0};
        const struct node *document = NULL;
        int error = read_document(&document, &r, file, text);
        if (error == 0)
                error = begin_policy(&next, policy);
        if (error)
                return pass(error);
        struct said found = {.interval_s = policy->rules.interval_s,
                             .burst = policy->rules.burst,
                             .severity = policy->rules.severity_min};
        if (document)
                read_mapping(&r, document, OF_LIMIT, &found);
        next.rules.interval_s = found.interval_s;
        next.rules.burst = found.burst;
        next.rules.severity_min = (uint8_t)found.severity;
        if (!policy->rules.is_per_sender) {
                next.rules.sender_interval_s = found.interval_s;
                next.rules.sender_burst = found.burst;
        }
        if (found.senders) {
                struct said block = begin_senders(policy);
                read_mapping(&r, found.senders, OF_SENDERS, &block);
                error = take_senders(&next, &r, &block);
        }
        read_pace(&r, &next.rules, found.mode);
        if (error || r.is_wrong)
                return error ? pass(error) : fail(-EBADMSG);
        replace(policy, &next);
        return 0;
}

int sender_policy_read(struct limit_policy *policy, const char *file, struct text text,
                       struct diagnostics *diagnostics) {
        _owned_(reading_fini) struct reading r = {.diagnostics = diagnostics};
        _owned_(limit_policy_fini) struct limit_policy next = {0};
        const struct node *document = NULL;
        int error = read_document(&document, &r, file, text);
        if (error == 0)
                error = begin_policy(&next, policy);
        if (error)
                return pass(error);
        struct said block = begin_senders(policy);
        if (document)
                read_mapping(&r, document, OF_SENDERS_FILE, &block);
        error = take_senders(&next, &r, &block);
        if (error || r.is_wrong)
                return error ? pass(error) : fail(-EBADMSG);
        replace(policy, &next);
        return 0;
}
