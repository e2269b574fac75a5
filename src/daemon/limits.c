#include "daemon/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "daemon/limit_policy.h"
#include "io/file.h"
#include "io/inotify.h"
#include "io/loop.h"
#include "module/definitions.h"
#include "module/policy.h"

enum { CODE_OF_OBJECTS = 2207, POLICIES_MAX = 2 /* of one object */, SENDER_SUMS = 3, DEBOUNCE_MS = 5000 };

struct named_limit {
        struct limits *limits;
        struct shared_limit *limit;
        struct limit_key *key;
        const struct ratelimit_settings *settings;
        _Atomic int64_t senders_shown; /* in statistics */
        int64_t debounce_ms;
        int directory[POLICIES_MAX]; /* where its files lie, as inotify numbers it; -1: not watched */
        struct timer quiet;          /* armed while its files change */
};

struct limits {
        struct limit_key_host host;
        struct named_limit *items;
        size_t count;
        struct reporter *reporter;
        struct loop *loop; /* where files are watched and read again; NULL: not started */
        struct watch watch;
};

struct shared_limit *limits_find(void *limits, const char *name) {
        const struct limits *l = limits;
        for (size_t i = 0; i < l->count; i++)
                if (strcmp(l->items[i].settings->name, name) == 0)
                        return l->items[i].limit;
        return NULL;
}

/* ---- Policies ---------------------------------------------------------------- */

typedef int (*policy_reader)(struct limit_policy *policy, const char *file, struct text text,
                             struct diagnostics *diagnostics);

static int read_file(struct limit_policy *policy, policy_reader read, const char *path,
                     struct diagnostics *diagnostics) {
        _owned_(buffer_fini) struct buffer text = {0};
        int r = file_read_whole(path, POLICY_BYTES_MAX, &text);
        if (r)
                return pass(r);
        return pass(read(policy, path, buffer_as_text(&text), diagnostics));
}

static bool has_policy(const struct ratelimit_settings *s) {
        return s->policy || s->source_policy;
}

/* What the object says itself, to begin with. -ENOMEM. */
static int own_policy(struct limit_policy *ret, const struct ratelimit_settings *s) {
        *ret = (struct limit_policy){.rules = {.interval_s = s->interval_s,
                                               .burst = s->burst,
                                               .severity_min = (uint8_t)s->severity,
                                               .is_per_sender = s->is_per_source,
                                               .senders_max = (size_t)s->sources_max,
                                               .sender_interval_s = s->interval_s,
                                               .sender_burst = s->burst},
                                     .senders_shown = s->sources_shown};
        ret->key_template = s->source_key_template ? text_copy(text_of(s->source_key_template)) : NULL;
        return s->source_key_template && !ret->key_template ? fail(-ENOMEM) : 0;
}

/* Limits of senders stand in one of the files, and what the object says of them goes with its own file. */
static bool is_mixed(const struct named_limit *n, const struct limit_policy *policy, struct diagnostics *diagnostics) {
        const struct ratelimit_settings *s = n->settings;
        if (!policy->has_senders || (!s->is_per_source && !s->source_policy && !s->source_key_template))
                return false;
        diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, (struct place){.file = s->policy, .line = 1, .column = 1},
                 0, "leave perSource, perSourcePolicy and perSourceKeyTpl out of the object",
                 "ratelimit '%s' and its policy both say how senders are told apart", s->name);
        return true;
}

static bool is_template_unknown(const struct named_limit *n, const struct limit_policy *policy, const char *path,
                                struct diagnostics *diagnostics) {
        if (!policy->key_template || limit_key_is_known(n->key, policy->key_template))
                return false;
        diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, (struct place){.file = path, .line = 1, .column = 1}, 0,
                 NULL, "ratelimit '%s': there is no template '%s' to tell senders apart", n->settings->name,
                 policy->key_template);
        return true;
}

/* Who waits has a queue, which is looked after when the configuration is read. */
static bool is_mode_changed(const struct named_limit *n, const struct limit_policy *policy,
                            struct diagnostics *diagnostics) {
        if (!n->limits->loop || policy->rules.paces == shared_limit_paces(n->limit))
                return false;
        diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS,
                 (struct place){.file = n->settings->policy, .line = 1, .column = 1}, 0, "restart the daemon",
                 "ratelimit '%s': its mode cannot be changed while messages go on", n->settings->name);
        return true;
}

static int put_in_force(struct named_limit *n, struct limit_policy *policy) {
        int r = limit_key_use(n->key, policy->key_template);
        if (r == 0)
                r = shared_limit_change(n->limit, &policy->rules);
        if (r)
                return pass(r);
        n->senders_shown = policy->senders_shown;
        return 0;
}

/*
 * Puts what the files say in force, all of it or nothing. *path is the file that failed: -EBADMSG, told in the
 * diagnostics; -errno of the file; -ENOMEM.
 */
static int apply_policies(struct named_limit *n, const char **path, struct diagnostics *diagnostics) {
        const struct ratelimit_settings *s = n->settings;
        _owned_(limit_policy_fini) struct limit_policy policy = {0};
        int r = own_policy(&policy, s);
        if (r == 0 && (*path = s->policy)) {
                r = read_file(&policy, limit_policy_read, s->policy, diagnostics);
                if (r == 0 && (is_mixed(n, &policy, diagnostics) || is_mode_changed(n, &policy, diagnostics) ||
                               (policy.has_senders && is_template_unknown(n, &policy, s->policy, diagnostics))))
                        r = fail(-EBADMSG);
        }
        if (r == 0 && s->is_per_source && s->source_policy) {
                *path = s->source_policy;
                r = read_file(&policy, sender_policy_read, s->source_policy, diagnostics);
        }
        if (r)
                return pass(r);
        if (!policy.has_senders && s->is_per_source) {
                policy.rules.sender_interval_s = policy.rules.interval_s;
                policy.rules.sender_burst = policy.rules.burst;
                policy.rules.interval_s = 0; /* each sender has it for itself */
        }
        return pass(put_in_force(n, &policy));
}

/* When the configuration is read: what is wrong with a file is a mistake in it. */
static int read_first(struct named_limit *n, const struct definition *d, struct diagnostics *diagnostics) {
        const struct ratelimit_settings *s = n->settings;
        int used = limit_key_use(n->key, s->source_key_template);
        if (used == -ENOENT)
                diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, d->place, 9,
                         "without it senders are told apart by %hostname%",
                         "ratelimit '%s': perSourceKeyTpl \"%s\" is no template", s->name, s->source_key_template);
        else if (used)
                return pass(used);
        if (s->source_policy && !s->is_per_source)
                diagnose(diagnostics, SEVERITY_WARNING, CODE_OF_OBJECTS, d->place, 9, "perSource=\"on\"",
                         "ratelimit '%s': perSourcePolicy has no effect without perSource", s->name);
        if (s->policy_debounce && policy_duration(&n->debounce_ms, text_of(s->policy_debounce)))
                diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, d->place, 9, "as 500ms, 5s, 1m",
                         "ratelimit '%s': policyWatchDebounce \"%s\" is no time", s->name, s->policy_debounce);
        const char *path;
        int r = has_policy(s) ? apply_policies(n, &path, diagnostics) : 0;
        if (r == -ENOMEM)
                return pass(r);
        if (r && r != -EBADMSG)
                diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, d->place, 9,
                         "without it what the object says itself is in force",
                         "ratelimit '%s': policy '%s' cannot be read: %s", s->name, path, fail_text(r));
        return 0;
}

/* While messages go on: the old rules stay where the files are wrong. */
static void read_again(struct named_limit *n, enum severity success) {
        _owned_(diagnostics_fini) struct diagnostics told = {0};
        struct reporter *reporter = n->limits->reporter;
        const char *name = n->settings->name, *path;
        int r = apply_policies(n, &path, &told);
        if (r == 0)
                report(reporter, success, 0, "ratelimit '%s': its policy was read again", name);
        for (const struct diagnostic *d = told.first; d; d = d->next)
                report(reporter, SEVERITY_ERR, CODE_OF_OBJECTS, "ratelimit '%s': %s:%u:%u: %s%s%s", name, d->place.file,
                       d->place.line, d->place.column, d->message, d->hint ? "; " : "", d->hint ? d->hint : "");
        if (r == -EBADMSG)
                report(reporter, SEVERITY_ERR, CODE_OF_OBJECTS,
                       "ratelimit '%s': policy '%s' has mistakes; what was in force stays so", name, path);
        else if (r)
                report(reporter, SEVERITY_ERR, CODE_OF_OBJECTS,
                       "ratelimit '%s': policy '%s' cannot be read: %s; what was in force stays so", name, path,
                       fail_text(r));
}

static void on_quiet(struct timer *timer) {
        read_again(CONTAINER_OF(timer, struct named_limit, quiet), SEVERITY_INFO);
}

/* ---- Watching ------------------------------------------------------------------ */

static struct text file_name(const char *path) {
        const char *slash = strrchr(path, '/');
        return text_of(slash ? slash + 1 : path);
}

static const char *policy_path(const struct named_limit *n, size_t which) {
        return which ? n->settings->source_policy : n->settings->policy;
}

static void note_change(struct named_limit *n) {
        if (loop_arm(n->limits->loop, &n->quiet, clock_mono_ns() + n->debounce_ms * 1000000))
                read_again(n, SEVERITY_INFO);
}

static void on_event(void *context, int number, uint32_t events, const char *name) {
        struct limits *l = context;
        for (size_t i = 0; i < l->count; i++)
                for (size_t which = 0; which < POLICIES_MAX; which++) {
                        struct named_limit *n = &l->items[i];
                        bool is_lost = events & IN_Q_OVERFLOW;
                        if (n->directory[which] < 0 || (!is_lost && n->directory[which] != number))
                                continue;
                        if (is_lost || text_equal(file_name(policy_path(n, which)), text_of(name)))
                                note_change(n);
                }
}

static void on_watch(struct watch *watch, uint32_t events _unused_) {
        inotify_drain(watch->fd, on_event, CONTAINER_OF(watch, struct limits, watch));
}

/* The directory and not the file, since most programs put a new file in the place of the old one. */
static int follow(struct named_limit *n, size_t which) {
        const char *path = policy_path(n, which);
        if (!path || (which && !n->settings->is_per_source))
                return 0;
        struct limits *l = n->limits;
        int r = l->watch.fd < 0 ? inotify_open(&l->watch.fd) : 0;
        if (r)
                return pass(r);
        const char *slash = strrchr(path, '/');
        _owned_(memory_free) char *directory =
                slash ? text_copy(text_slice(text_of(path), 0, MAX((size_t)(slash - path), (size_t)1)))
                      : text_copy(TEXT("."));
        if (!directory)
                return fail(-ENOMEM);
        r = inotify_follow(l->watch.fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO);
        if (r < 0)
                return pass(r);
        n->directory[which] = r;
        return 0;
}

/* On the loop. */
static void watch_all(void *argument) {
        struct limits *l = argument;
        for (size_t i = 0; i < l->count; i++)
                for (size_t which = 0; which < POLICIES_MAX; which++) {
                        struct named_limit *n = &l->items[i];
                        int r = n->settings->watches_policy ? follow(n, which) : 0;
                        if (r == 0 && n->directory[which] >= 0)
                                read_again(n, SEVERITY_DEBUG); /* it may have changed before anybody watched */
                        if (r)
                                report(l->reporter, SEVERITY_WARNING, CODE_OF_OBJECTS,
                                       "ratelimit '%s': policy '%s' cannot be watched: %s; HUP reads it again",
                                       n->settings->name, policy_path(n, which), fail_text(r));
                }
        if (l->watch.fd >= 0 && loop_watch(l->loop, &l->watch))
                report(l->reporter, SEVERITY_WARNING, CODE_OF_OBJECTS, "policies of rate limits cannot be watched: %s",
                       fail_text(-ENOMEM));
}

/* On the loop. */
static void read_all_again(void *argument) {
        struct limits *l = argument;
        for (size_t i = 0; i < l->count; i++)
                if (has_policy(l->items[i].settings)) {
                        loop_disarm(l->loop, &l->items[i].quiet);
                        read_again(&l->items[i], SEVERITY_INFO);
                }
}

static bool need_loop(const struct limits *l) {
        for (size_t i = 0; i < l->count; i++)
                if (has_policy(l->items[i].settings))
                        return true;
        return false;
}

int limits_start(struct limits *l, struct loop *loop) {
        if (!need_loop(l))
                return 0;
        l->loop = loop;
        return pass(loop_post(loop, watch_all, l));
}

void limits_reopen(struct limits *l) {
        if (l->loop && loop_post(l->loop, read_all_again, l))
                report(l->reporter, SEVERITY_ERR, CODE_OF_OBJECTS, "policies of rate limits are not read again: %s",
                       fail_text(-ENOMEM));
}

/* ---- Making them ----------------------------------------------------------------- */

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
                                         .may_change = has_policy(s),
                                         .senders_max = (size_t)s->sources_max};
        struct named_limit *n = &l->items[l->count];
        _owned_(limit_key_free) struct limit_key *key = NULL;
        int r = limit_key_new(&key, &l->host);
        if (r)
                return pass(r);
        plan.key = limit_key_maker(key);
        *n = (struct named_limit){
                .limits = l, .settings = s, .debounce_ms = DEBOUNCE_MS, .directory = {-1, -1}, .quiet.fire = on_quiet};
        n->senders_shown = s->sources_shown;
        r = shared_limit_new(&n->limit, &plan);
        if (r)
                return pass(r);
        n->key = TAKE(key);
        l->count++;
        return pass(read_first(n, d, diagnostics));
}

/* Names of limits among what was written for a module, an input or an action. */
static bool names_limit(const struct assignment *a) {
        return a->count && (text_equal_nocase(a->name, TEXT("ratelimit.name")) ||
                            text_equal_nocase(a->name, TEXT("syssock.ratelimit.name")) ||
                            text_equal_nocase(a->name, TEXT("action.ratelimit.name")));
}

static void check_names(struct limits *l, const struct assignment *list, struct diagnostics *diagnostics) {
        for (const struct assignment *a = list; a; a = a->next) {
                if (!names_limit(a))
                        continue;
                _owned_(memory_free) char *name = text_copy(a->items[0]);
                if (name && !limits_find(l, name))
                        diagnose(diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, a->value_place,
                                 (uint32_t)a->items[0].size + 2,
                                 "ratelimit(name=\"...\" interval=\"...\" burst=\"...\")",
                                 "ratelimit '%s' is not defined", name);
        }
}

/* Where nobody can wait: at an input, and at an action without a queue. */
static void check_pace(struct limits *l, const struct assignment *list, const char *hint,
                       struct diagnostics *diagnostics) {
        for (const struct assignment *a = list; a; a = a->next) {
                _owned_(memory_free) char *name = names_limit(a) ? text_copy(a->items[0]) : NULL;
                struct shared_limit *limit = name ? limits_find(l, name) : NULL;
                if (limit && shared_limit_paces(limit))
                        diagnose(
                                diagnostics, SEVERITY_ERR, CODE_OF_OBJECTS, a->value_place,
                                (uint32_t)a->items[0].size + 2, hint,
                                "the policy of ratelimit '%s' has mode 'pace': messages wait in the queue of an action",
                                name);
        }
}

static void check_input(struct limits *l, const struct assignment *list, struct diagnostics *diagnostics) {
        check_names(l, list, diagnostics);
        check_pace(l, list, "mode: drop", diagnostics);
}

static void check_action(struct limits *l, const struct object *o, struct diagnostics *diagnostics) {
        check_names(l, o->assignments, diagnostics);
        if (!o->queue || o->queue->type == QUEUE_DIRECT)
                check_pace(l, o->assignments, "queue.type=\"LinkedList\"", diagnostics);
        for (const struct assignment *a = o->assignments; a; a = a->next)
                if (names_limit(a) && o->module->kind == MODULE_MODIFIER)
                        diagnose(diagnostics, SEVERITY_WARNING, CODE_OF_OBJECTS, a->name_place, (uint32_t)a->name.size,
                                 NULL, "'%.*s' has no effect on %s, which changes messages and sends none",
                                 TEXT_ARGS(a->name), o->module->name);
}

struct shared_limit *limits_of_action(struct limits *l, const struct object *action) {
        struct shared_limit *found = NULL;
        for (const struct assignment *a = action->assignments; a; a = a->next) {
                bool is_own = text_equal_nocase(a->name, TEXT("action.ratelimit.name"));
                if (!names_limit(a) || (found && !is_own))
                        continue;
                _owned_(memory_free) char *name = text_copy(a->items[0]);
                struct shared_limit *limit = name ? limits_find(l, name) : NULL;
                found = limit ? limit : found;
        }
        return found;
}

int limits_new(struct limits **ret, const struct limit_key_host *host, struct reporter *reporter,
               struct diagnostics *diagnostics) {
        const struct config *config = host->config;
        _owned_(limits_free) struct limits *l = calloc(1, sizeof *l);
        if (!l)
                return fail(-ENOMEM);
        l->host = *host;
        l->reporter = reporter;
        l->watch = (struct watch){.fd = -1, .events = EPOLLIN, .ready = on_watch};
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
                        check_input(l, m->assignments, diagnostics);
        for (const struct object *o = config->inputs; o; o = o->next)
                check_input(l, o->assignments, diagnostics);
        for (const struct object *o = config->actions_first; o; o = o->next)
                check_action(l, o, diagnostics);
        *ret = TAKE(l);
        return 0;
}

struct limits *limits_free(struct limits *l) {
        if (!l)
                return NULL;
        if (l->watch.is_added)
                loop_unwatch(l->loop, &l->watch);
        if (l->watch.fd >= 0)
                file_close(l->watch.fd);
        for (size_t i = 0; i < l->count; i++) {
                if (l->loop)
                        loop_disarm(l->loop, &l->items[i].quiet);
                shared_limit_free(l->items[i].limit);
                limit_key_free(l->items[i].key);
        }
        free(l->items);
        free(l);
        return NULL;
}

/* "per_source_drop_1_web_example_net": whatever a key holds, the name of a counter is letters, digits and "_". */
static struct text counter_name(struct buffer *names, size_t number, const char *key) {
        size_t from = names->size;
        buffer_format(names, "per_source_drop_%zu_", number);
        for (size_t i = 0; key[i]; i++)
                buffer_byte(names, isalnum((unsigned char)key[i]) ? key[i] : '_');
        return (struct text){NULL, names->size - from};
}

/* Sums of all senders, and those that lost most, under the names that rsyslog gives them. */
static void visit_senders(const struct named_limit *n, const struct shared_limit_totals *totals, struct collector *c) {
        size_t wanted = MIN((size_t)n->senders_shown, (size_t)POLICY_SHOWN_MAX);
        struct limited_sender *worst = calloc(wanted + 1, sizeof *worst);
        struct statistic_value *values = calloc(SENDER_SUMS + wanted, sizeof *values);
        _owned_(buffer_fini) struct buffer names = {0}, name = {0};
        buffer_format(&name, "ratelimit.%s.per_source", n->settings->name);
        if (worst && values && buffer_failed(&name) == 0) {
                values[0] = (struct statistic_value){TEXT("per_source_allowed"), (int64_t)totals->sender_passed};
                values[1] = (struct statistic_value){TEXT("per_source_dropped"), (int64_t)totals->sender_discarded};
                values[2] = (struct statistic_value){TEXT("per_source_evicted"), (int64_t)totals->sender_evicted};
                size_t count = shared_limit_worst(n->limit, worst, wanted);
                for (size_t i = 0; i < count; i++)
                        values[SENDER_SUMS + i] = (struct statistic_value){counter_name(&names, i + 1, worst[i].name),
                                                                           (int64_t)worst[i].discarded};
                size_t at = 0;
                count = buffer_failed(&names) ? 0 : count;
                for (size_t i = 0; i < count; i++) {
                        values[SENDER_SUMS + i].name.data = names.data + at;
                        at += values[SENDER_SUMS + i].name.size;
                }
                c->visitor->visit(c->visitor, &(struct statistic_object){.name = buffer_as_text(&name),
                                                                         .origin = "ratelimit",
                                                                         .values = values,
                                                                         .count = SENDER_SUMS + count});
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
                if (totals.is_per_sender)
                        collector_now(c, "sources", (int64_t)totals.senders);
                collector_end(c, text_of(n->settings->name), "ratelimit");
                if (totals.is_per_sender)
                        visit_senders(n, &totals, c);
        }
}
