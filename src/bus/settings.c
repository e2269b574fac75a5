#include "bus/settings.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/file.h"

#define MIB (INT64_C(1) << 20)

#define ITEM(item, field, ...)                                                                                         \
        { .name = (item), .offset = offsetof(struct settings, field), __VA_ARGS__ }

const struct settings_item settings_items[] = {
        ITEM("answer_timeout", answer_timeout_ms, .dflt = 30000, .min = 1, .max = INT32_MAX, .unit = "ms",
             .help = "How long a request may go unanswered before its sender is told; a request may say otherwise."),
        ITEM("stall_timeout", stall_timeout_ms, .dflt = 5000, .min = 10, .max = INT32_MAX, .unit = "ms",
             .help = "A client for which messages wait and that takes no byte for so long is dropped."),
        ITEM("queue_limit", queue_limit, .dflt = 4 * MIB, .min = 4096, .max = 1024 * MIB, .unit = "bytes",
             .help = "When more waits for a client, those who send to it are not read until half of it has left."),
        ITEM("max_message", message_bytes_max, .dflt = 128 * MIB, .min = 4096, .max = 2047 * MIB, .unit = "bytes",
             .help = "The largest message, attachments included."),
        ITEM("max_clients", clients_max, .dflt = 16384, .min = 1, .max = 1000000,
             .help = "Connections at a time; further ones are closed at once."),
        ITEM("max_outstanding", outstanding_max, .dflt = 16384, .min = 0, .max = 10000000,
             .help = "Requests of one client that wait for an answer."),
        ITEM("max_subscriptions", subscriptions_max, .dflt = 65536, .min = 0, .max = 10000000,
             .help = "Subscriptions of one client; further ones are ignored."),
        ITEM("max_clients_per_user", user_clients_max, .dflt = 16384, .min = 1, .max = 1000000,
             .help = "Connections of one user at a time."),
        ITEM("max_bytes_per_user", user_bytes_max, .dflt = 1024 * MIB, .min = MIB, .max = 1024 * 1024 * MIB,
             .unit = "bytes", .help = "What waits for the clients of one user, and what they have sent in part."),
        ITEM("max_fds_per_user", user_fds_max, .dflt = 4096, .min = 0, .max = 1000000,
             .help = "Descriptors of one user's messages that the broker holds."),
        ITEM("log_level", log_level, .dflt = SEVERITY_NOTICE, .min = SEVERITY_ERR, .max = SEVERITY_DEBUG,
             .help = "error, warning, notice, info or debug."),
        {}};

static const struct {
        struct text name;
        enum severity severity;
} levels[] = {
        {TEXT("error"), SEVERITY_ERR}, {TEXT("warning"), SEVERITY_WARNING}, {TEXT("notice"), SEVERITY_NOTICE},
        {TEXT("info"), SEVERITY_INFO}, {TEXT("debug"), SEVERITY_DEBUG},
};

static int64_t *field_of(struct settings *s, const struct settings_item *item) {
        return (int64_t *)(void *)((char *)s + item->offset);
}

void settings_init(struct settings *s) {
        for (const struct settings_item *item = settings_items; item->name; item++)
                *field_of(s, item) = item->dflt;
}

static bool is_log_level(const struct settings_item *item) {
        return item->offset == offsetof(struct settings, log_level);
}

static bool level_of(const struct scan_value *value, int64_t *ret) {
        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (scan_equals(value, levels[i].name)) {
                        *ret = levels[i].severity;
                        return true;
                }
        return false;
}

int bus_settings_set(struct settings *s, struct text name, const struct scan_value *value) {
        for (const struct settings_item *item = settings_items; item->name; item++) {
                if (!text_equal(text_of(item->name), name))
                        continue;
                int64_t number;
                bool is_valid = is_log_level(item) ? level_of(value, &number) : scan_integer(value, &number);
                if (!is_valid || number < item->min || number > item->max)
                        return -EINVAL;
                *field_of(s, item) = number;
                return 0;
        }
        return -ENOENT;
}

void bus_settings_print(struct buffer *out, const struct settings *s) {
        char separator = '{';
        for (const struct settings_item *item = settings_items; item->name; item++) {
                int64_t value = *field_of((struct settings *)s, item);
                buffer_format(out, "%c\"%s\":", separator, item->name);
                separator = ',';
                if (!is_log_level(item)) {
                        buffer_int(out, value);
                        continue;
                }
                for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                        if (levels[i].severity == (enum severity)value)
                                scan_quote(out, levels[i].name);
        }
        buffer_byte(out, '}');
}

void settings_place_fini(struct settings_place *place) {
        free(place->socket_path);
        place->socket_path = NULL;
}

/* ---- Policy ---------------------------------------------------------------- */

static const char *const action_names[POLICY_ACTIONS] = {"subscribe", "send", "own", "control"};

void policy_fini(struct policy *p) {
        for (size_t i = 0; i < p->count; i++)
                free(p->rules[i].name);
        free(p->rules);
        *p = (struct policy){0};
}

static bool has_group(const struct policy_subject *subject, int64_t gid) {
        if (subject->gid == gid)
                return true;
        for (size_t i = 0; i < subject->group_count; i++)
                if (subject->groups[i] == gid)
                        return true;
        return false;
}

/* Anyone may subscribe to events and notify them, so only a rule that speaks of events concerns them. */
static bool name_fits(const struct policy_rule *rule, struct text name) {
        static const char event[] = "Event/";
        bool is_event = text_starts(name, TEXT("Event/"));
        if (is_event && (!rule->name || strncmp(rule->name, event, sizeof event - 1) != 0))
                return false;
        if (!rule->name)
                return true;
        char room[1024];
        if (name.size >= sizeof room)
                return false;
        memcpy(room, name.data, name.size);
        room[name.size] = '\0';
        return fnmatch(rule->name, room, 0) == 0;
}

enum policy_answer policy_ask(const struct policy *p, enum policy_action action, const struct policy_subject *subject,
                              struct text name) {
        if (LIKELY(!p->asks[action]))
                return POLICY_SILENT;
        for (size_t i = 0; i < p->count; i++) {
                const struct policy_rule *rule = &p->rules[i];
                if (rule->action != action || (rule->uid >= 0 && rule->uid != subject->uid))
                        continue;
                if (rule->gid >= 0 && !has_group(subject, rule->gid))
                        continue;
                if (action == POLICY_CONTROL || name_fits(rule, name))
                        return rule->is_allowed ? POLICY_ALLOWED : POLICY_DENIED;
        }
        return POLICY_SILENT;
}

/* ---- The file -------------------------------------------------------------- */

struct loading {
        const char *path;
        struct text text;
        struct reporter *reporter;
        unsigned mistakes;
};

static void mistake(struct loading *l, const char *at, const char *format, ...) _printf_(3, 4);
static void mistake(struct loading *l, const char *at, const char *format, ...) {
        unsigned line = 1, column = 1;
        for (const char *c = l->text.data; c < at; c++) {
                column = *c == '\n' ? 1 : column + 1;
                line += *c == '\n';
        }
        _owned_(buffer_fini) struct buffer words = {0};
        va_list args;
        va_start(args, format);
        buffer_vformat(&words, format, args);
        va_end(args);
        report(l->reporter, SEVERITY_ERR, 0, "%s:%u:%u: %.*s", l->path, line, column, TEXT_ARGS(words));
        l->mistakes++;
}

static const char *closest_item(struct text wrong) {
        const char *names[64] = {"policy", "socket", "mode"};
        size_t count = 3;
        for (const struct settings_item *item = settings_items; item->name; item++)
                names[count++] = item->name;
        return text_closest(wrong, names, count);
}

static void load_item(struct loading *l, struct settings *s, struct text name, const struct scan_value *value) {
        int r = bus_settings_set(s, name, value);
        if (r == -ENOENT) {
                const char *closest = closest_item(name);
                mistake(l, value->text.data, "there is no setting \"%.*s\"%s%s%s", TEXT_ARGS(name),
                        closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "");
                return;
        }
        if (!r)
                return;
        for (const struct settings_item *item = settings_items; item->name; item++)
                if (text_equal(text_of(item->name), name) && !is_log_level(item))
                        mistake(l, value->text.data, "%s is a whole number from %lld to %lld", item->name,
                                (long long)item->min, (long long)item->max);
                else if (text_equal(text_of(item->name), name))
                        mistake(l, value->text.data,
                                "log_level is \"error\", \"warning\", \"notice\", \"info\" or "
                                "\"debug\"");
}

static char *string_on_heap(const struct scan_value *value) {
        char *copy = malloc(value->text.size + 1);
        if (!copy)
                return NULL;
        struct text text = scan_string(value, copy);
        if (text.data != copy)
                memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        return copy;
}

static bool load_action(const struct scan_value *value, enum policy_action *ret) {
        for (unsigned i = 0; i < POLICY_ACTIONS; i++)
                if (scan_equals(value, text_of(action_names[i]))) {
                        *ret = i;
                        return true;
                }
        return false;
}

static void load_rule_member(struct loading *l, struct policy_rule *rule, const struct scan_walk *walk) {
        const struct scan_value *value = &walk->value;
        bool is_right = true;
        if (scan_equals(&walk->name, TEXT("may"))) {
                is_right = load_action(value, &rule->action);
        } else if (scan_equals(&walk->name, TEXT("allow"))) {
                is_right = value->kind == SCAN_TRUE || value->kind == SCAN_FALSE;
                rule->is_allowed = value->kind == SCAN_TRUE;
        } else if (scan_equals(&walk->name, TEXT("uid"))) {
                is_right = scan_integer(value, &rule->uid) && rule->uid >= 0;
        } else if (scan_equals(&walk->name, TEXT("gid"))) {
                is_right = scan_integer(value, &rule->gid) && rule->gid >= 0;
        } else if (scan_equals(&walk->name, TEXT("name")) && value->kind == SCAN_STRING) {
                free(rule->name);
                rule->name = string_on_heap(value);
                is_right = rule->name != NULL;
        } else {
                is_right = false;
        }
        if (!is_right)
                mistake(l, value->text.data,
                        "a rule has \"may\" (\"subscribe\", \"send\", \"own\" or \"control\"), \"allow\" (true or "
                        "false) "
                        "and, where it is not about all, \"uid\", \"gid\" (numbers) and \"name\" (a pattern)");
}

static void load_rule(struct loading *l, struct policy *policy, const struct scan_value *value) {
        struct policy_rule rule = {.action = POLICY_ACTIONS, .uid = -1, .gid = -1};
        struct policy_rule *grown = realloc(policy->rules, (policy->count + 1) * sizeof rule);
        if (grown)
                policy->rules = grown;
        if (!grown || policy->count == POLICY_RULES_MAX) {
                mistake(l, value->text.data, "there are too many rules");
                return;
        }
        struct scan_walk walk = scan_walk_begin(value);
        while (scan_walk_next(&walk))
                load_rule_member(l, &rule, &walk);
        if (value->kind != SCAN_OBJECT || rule.action == POLICY_ACTIONS) {
                mistake(l, value->text.data, "a rule is an object and says what somebody \"may\"");
                free(rule.name);
                return;
        }
        policy->rules[policy->count++] = rule;
        policy->asks[rule.action] = true;
}

static void load_policy(struct loading *l, struct policy *policy, const struct scan_value *value) {
        if (value->kind != SCAN_ARRAY)
                mistake(l, value->text.data, "\"policy\" is a list of rules");
        struct scan_walk walk = scan_walk_begin(value);
        while (scan_walk_next(&walk))
                load_rule(l, policy, &walk.value);
}

static void load_mode(struct loading *l, struct settings_place *place, const struct scan_value *value) {
        char room[16] = "", *end = room;
        if (value->kind == SCAN_STRING && !value->is_escaped && value->text.size < sizeof room) {
                memcpy(room, value->text.data, value->text.size);
                place->mode = strtol(room, &end, 8);
        }
        if (end == room || *end || place->mode < 0 || place->mode > 0777)
                mistake(l, value->text.data, "\"mode\" is a file mode in octal digits, such as \"0660\"");
}

static void load_member(struct loading *l, struct settings *s, struct policy *policy, struct settings_place *place,
                        const struct scan_walk *walk) {
        char room[256];
        struct text name = walk->name.text.size < sizeof room ? scan_string(&walk->name, room) : walk->name.text;
        if (text_equal(name, TEXT("policy"))) {
                load_policy(l, policy, &walk->value);
        } else if (text_equal(name, TEXT("mode"))) {
                load_mode(l, place, &walk->value);
        } else if (!text_equal(name, TEXT("socket"))) {
                load_item(l, s, name, &walk->value);
        } else if (walk->value.kind != SCAN_STRING) {
                mistake(l, walk->value.text.data, "\"socket\" is a path");
        } else {
                free(place->socket_path);
                place->socket_path = string_on_heap(&walk->value);
        }
}

int settings_load(const char *path, struct settings *settings, struct policy *policy, struct settings_place *place,
                  struct reporter *reporter) {
        _owned_(buffer_fini) struct buffer content = {0};
        _owned_(settings_place_fini) struct settings_place found = {.mode = -1};
        int r = file_read_whole(path, SETTINGS_FILE_BYTES_MAX, &content);
        if (r) {
                report(reporter, SEVERITY_ERR, 0, "%s: %s", path, fail_text(r));
                return pass(r);
        }
        struct loading l = {.path = path, .text = buffer_as_text(&content), .reporter = reporter};
        struct scan scan = scan_begin(l.text);
        struct scan_value whole = {0};
        r = scan_value(&scan, &whole);
        scan_space(&scan);
        if (r || scan.at != scan.end || whole.kind != SCAN_OBJECT) {
                mistake(&l, scan.at, "this is no JSON object");
                return fail(-EINVAL);
        }
        struct settings fresh = *settings;
        struct policy rules = {0};
        struct scan_walk walk = scan_walk_begin(&whole);
        while (scan_walk_next(&walk))
                load_member(&l, &fresh, &rules, &found, &walk);
        if (l.mistakes) {
                policy_fini(&rules);
                return fail(-EINVAL);
        }
        *settings = fresh;
        policy_fini(policy);
        *policy = rules;
        settings_place_fini(place);
        *place = found;
        found.socket_path = NULL;
        return 0;
}
