#include "daemon/actions.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "daemon/collector.h"
#include "daemon/limits.h"
#include "daemon/stand_in.h"
#include "daemon/statistics.h"
#include "module/settings.h"

enum { DEAD_NAME_BYTES_MAX = 200 };

struct act {
        const struct object *object;
        struct delivery *delivery;
        bool is_shared; /* the delivery is an earlier action's */
        char *name;
        char *dead_name; /* of its dead letters' store */
        char *summary;   /* of its settings; NULL where it cannot share */
        uint64_t summary_hash;
        struct stand_in *stand_in; /* in a rehearsal: what is opened instead */
        void *modifier;
        struct counter *processed; /* messages handed over */
        struct counter *counters;  /* the modifier's */
};

/* What the instances of one modifier share. */
struct common {
        const struct module *module;
        void *shared; /* theirs */
};

struct actions {
        struct actions_plan plan;
        struct act *acts; /* in the order of the configuration */
        size_t count;
        struct act **by_number; /* object->number counts from 1 */
        uint32_t numbers;
        struct common *common; /* one for each modifier in use; as many as actions at most */
        size_t common_count;
};

/* The delivery that this action answers for, or NULL. */
static struct delivery *own_delivery(const struct act *a) {
        return a->is_shared ? NULL : a->delivery;
}

static const struct act *find(const struct actions *actions, const struct object *object) {
        assert(object->number >= 1 && object->number <= actions->numbers);
        return actions->by_number[object->number - 1];
}

struct delivery *actions_delivery(const struct actions *actions, const struct object *object) {
        const struct act *a = find(actions, object);
        return a ? a->delivery : NULL;
}

void *actions_modifier(const struct actions *actions, const struct object *object) {
        const struct act *a = find(actions, object);
        return a ? a->modifier : NULL;
}

/* ---- Opening ------------------------------------------------------------------ */

/* As rsyslog calls modules that need no loading. */
static const char *module_prefix(const struct module *module) {
        return registry_is_always_loaded(module) ? "builtin:" : "";
}

/* The name that rsyslog gives an action without one: "action-0-builtin:omfile". */
char *actions_name_of(const struct object *o) {
        _owned_(buffer_fini) struct buffer name = {0};
        if (o->name)
                return strdup(o->name);
        buffer_format(&name, "action-%u-%s%s", o->number - 1, module_prefix(o->module), o->module->name);
        return text_copy(buffer_as_text(&name));
}

/*
 * The action's name as a file name, and of several with one name, numbers behind it. NULL without memory.
 */
static char *dead_name_of(const struct actions *actions, const struct act *a) {
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%s", a->name);
        for (size_t i = 0; i < name.size; i++) {
                unsigned char c = (unsigned char)name.data[i];
                if (c == '/' || c < ' ' || c == 0x7f || (i == 0 && c == '.'))
                        name.data[i] = '_';
        }
        name.size = MIN(name.size, (size_t)DEAD_NAME_BYTES_MAX);
        for (size_t i = 0; i < actions->count; i++) {
                const char *other = actions->acts[i].dead_name;
                if (other && text_equal(text_of(other), buffer_as_text(&name))) {
                        buffer_format(&name, ".%u", a->object->number);
                        break;
                }
        }
        return buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
}

static void summarize(struct act *a) {
        const struct object *o = a->object;
        _owned_(buffer_fini) struct buffer all = {0};
        bool is_plain = o->module->kind == MODULE_OUTPUT && o->queue->type == QUEUE_DIRECT &&
                        o->action->exec_every_nth <= 1 && o->action->exec_once_every_s <= 0;
        if (!is_plain || !settings_summary(&all, &o->module->settings, o->settings) ||
            !settings_summary(&all, &action_settings_type, o->action))
                return;
        a->summary = text_copy(buffer_as_text(&all));
        /* FNV-1a; only to compare few summaries whole. */
        a->summary_hash = 14695981039346656037u;
        for (size_t i = 0; i < all.size; i++)
                a->summary_hash = (a->summary_hash ^ (unsigned char)all.data[i]) * 1099511628211u;
}

static struct delivery *find_same(const struct actions *actions, const struct act *wanted) {
        for (size_t i = 0; i < actions->count && wanted->summary; i++) {
                const struct act *a = &actions->acts[i];
                if (own_delivery(a) && a->summary && a->summary_hash == wanted->summary_hash &&
                    a->object->module == wanted->object->module && strcmp(a->summary, wanted->summary) == 0)
                        return a->delivery;
        }
        return NULL;
}

static bool tri_state(int own, bool inherited) {
        return own < 0 ? inherited : own > 0;
}

/* Its queue is left out as well. */
static int open_stand_in(struct act *a, struct delivery_plan *plan, struct rehearsal_host *rehearsal) {
        static const struct queue_settings direct = {.type = QUEUE_DIRECT};
        a->stand_in = stand_in_new(a->object, rehearsal);
        if (!a->stand_in)
                return fail(-ENOMEM);
        plan->module = &a->stand_in->module;
        plan->settings = a->stand_in;
        plan->queue = &direct;
        plan->dead_letters = DEAD_LETTERS_NONE;
        return delivery_new(&a->delivery, plan);
}

static int open_output(const struct actions *actions, struct act *a) {
        const struct actions_plan *p = &actions->plan;
        const struct object *o = a->object;
        const struct global_settings *global = p->config->global;
        struct delivery_plan plan = {
                .name = a->name,
                .module = o->module,
                .module_prefix = module_prefix(o->module),
                .settings = o->settings,
                .module_settings = config_module_settings(p->config, o->module),
                .action = o->action,
                .queue = o->queue,
                .reporter = p->reporter,
                .facts = p->facts,
                .context = p->context,
                .housekeeping = p->housekeeping,
                .find_template = p->find_template,
                .owner = p->owner,
                .budget = p->budget,
                .observer = p->observer,
                .tap = p->tap,
                .place = p->place,
                .dead_name = a->dead_name,
                .dead_letters = o->action->dead_letters >= 0 ? o->action->dead_letters : global->dead_letters,
                .dead_letter_bytes = (uint64_t)global->dead_letter_bytes,
                .limit = limits_of_action(p->limits, o),
                .aborts_on_failed_queue = global->aborts_on_failed_queue,
                .reports_suspension = tri_state(o->action->reports_suspension, global->reports_suspension),
                .reports_continuation = tri_state(o->action->reports_continuation, global->reports_continuation),
        };
        if (!p->rehearsal)
                return delivery_new(&a->delivery, &plan);
        return open_stand_in(a, &plan, p->rehearsal);
}

static void **common_place(struct actions *actions, const struct module *module) {
        size_t i = 0;
        while (i < actions->common_count && actions->common[i].module != module)
                i++;
        if (i == actions->common_count)
                actions->common[actions->common_count++].module = module;
        return &actions->common[i].shared;
}

static int open_modifier(struct actions *actions, struct act *a) {
        const struct module *module = a->object->module;
        size_t count = 0;
        while (module->counters && module->counters[count].name)
                count++;
        a->counters = calloc(count + 1, sizeof *a->counters);
        if (!a->counters)
                return fail(-ENOMEM);
        struct modifier_host host = {.log = actions->plan.log,
                                     .module_settings = config_module_settings(actions->plan.config, module),
                                     .counters = a->counters,
                                     .facts = actions->plan.facts,
                                     .shared = common_place(actions, module)};
        return module->modifier->open(&a->modifier, &host, a->object->settings);
}

static int open_one(struct actions *actions, const struct object *o) {
        struct act *a = &actions->acts[actions->count];
        *a = (struct act){.object = o, .name = actions_name_of(o), .processed = calloc(1, sizeof *a->processed)};
        a->dead_name = a->name ? dead_name_of(actions, a) : NULL;
        if (!a->name || !a->dead_name || !a->processed)
                return fail(-ENOMEM);
        summarize(a);
        a->delivery = find_same(actions, a);
        a->is_shared = a->delivery != NULL;
        actions->by_number[o->number - 1] = a;
        actions->count++;
        if (a->is_shared || (actions->plan.rehearsal && rehearsal_leaves_out(o->module)))
                return 0;
        int r = o->module->kind == MODULE_MODIFIER ? open_modifier(actions, a) : open_output(actions, a);
        if (r)
                report(actions->plan.reporter, SEVERITY_ERR, 2175,
                       "action '%s' (%s:%u) cannot be opened and is left out: %s", a->name, o->place.file,
                       o->place.line, fail_text(r));
        return 0;
}

int actions_new(struct actions **ret, const struct actions_plan *plan) {
        _owned_(actions_free) struct actions *actions = calloc(1, sizeof *actions);
        if (!actions)
                return fail(-ENOMEM);
        actions->plan = *plan;
        actions->numbers = plan->config->action_count;
        actions->acts = calloc(actions->numbers + 1u, sizeof *actions->acts);
        actions->by_number = calloc(actions->numbers + 1u, sizeof(*actions->by_number));
        actions->common = calloc(actions->numbers + 1u, sizeof *actions->common);
        if (!actions->acts || !actions->by_number || !actions->common)
                return fail(-ENOMEM);
        for (const struct object *o = plan->config->actions_first; o; o = o->next) {
                int r = open_one(actions, o);
                if (r)
                        return pass(r);
        }
        *ret = TAKE(actions);
        return 0;
}

struct actions *actions_free(struct actions *actions) {
        if (!actions)
                return NULL;
        for (size_t i = 0; i < actions->count; i++) {
                struct act *a = &actions->acts[i];
                delivery_free(own_delivery(a));
                stand_in_free(a->stand_in);
                if (a->modifier)
                        a->object->module->modifier->close(a->modifier);
                free(a->counters);
                free(a->dead_name);
                free(a->summary);
                free(a->name);
                free(a->processed);
        }
        free(actions->common);
        free(actions->acts);
        free(actions->by_number);
        free(actions);
        return NULL;
}

/* ---- Life ----------------------------------------------------------------------- */

/* The next delivery from *at on that an action answers for itself; NULL behind the last. */
static struct delivery *next_delivery(const struct actions *actions, size_t *at) {
        while (actions && *at < actions->count) {
                struct delivery *d = own_delivery(&actions->acts[(*at)++]);
                if (d)
                        return d;
        }
        return NULL;
}

struct delivery *actions_next(const struct actions *actions, size_t *at) {
        return next_delivery(actions, at);
}

struct delivery *actions_find(const struct actions *actions, const char *name) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                if (strcmp(delivery_name(d), name) == 0)
                        return d;
        return NULL;
}

void actions_open_disks(struct actions *actions) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                if (delivery_queue(d) && queue_wants_disk(delivery_queue(d)))
                        (void)delivery_open_disk(d); /* reported */
}

int actions_start(struct actions *actions, bool waits) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));) {
                int r = delivery_start(d, waits);
                if (r)
                        return pass(r);
        }
        return 0;
}

void actions_hold_no_more(struct actions *actions) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                if (delivery_queue(d))
                        queue_hold_no_more(delivery_queue(d));
}

void actions_hurry(struct actions *actions) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                if (!delivery_queue(d))
                        delivery_hurry(d);
}

uint64_t actions_stop(struct actions *actions) {
        size_t at = 0;
        uint64_t left = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                left += delivery_stop(d);
        return left;
}

void actions_reopen(struct actions *actions) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                delivery_reopen(d);
        for (size_t i = 0; actions && i < actions->count; i++) {
                const struct act *a = &actions->acts[i];
                if (a->modifier && a->object->module->modifier->reopen)
                        a->object->module->modifier->reopen(a->modifier);
        }
}

uint64_t actions_unfinished(const struct actions *actions) {
        size_t at = 0;
        uint64_t n = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));)
                n += delivery_unfinished(d);
        return n;
}

void actions_set_timeouts(struct actions *actions, int64_t shutdown_ms, int64_t enqueue_ms) {
        size_t at = 0;
        for (struct delivery *d; (d = next_delivery(actions, &at));) {
                struct queue *queue = delivery_queue(d);
                if (queue && shutdown_ms >= 0)
                        queue_set_timeout_shutdown(queue, shutdown_ms);
                if (queue && enqueue_ms >= 0)
                        queue_set_timeout_enqueue(queue, enqueue_ms);
        }
}

/* ---- Statistics ------------------------------------------------------------------- */

struct counter *actions_processed(const struct actions *actions, const struct object *object) {
        const struct act *a = find(actions, object);
        return a ? a->processed : NULL;
}

/* What the module's own counters hold for this action; NULL: another action answers for them, or it did not open. */
static const struct counter *own_counters(const struct act *a) {
        struct delivery *d = own_delivery(a);
        return a->modifier ? a->counters : d ? delivery_module_counters(d) : NULL;
}

/* Comes before its action, as in rsyslog. */
static void visit_own(const struct actions *actions, const struct act *a, struct collector *c) {
        const struct module *module = a->object->module;
        const void *module_settings = config_module_settings(actions->plan.config, module);
        bool is_modifier = module->kind == MODULE_MODIFIER;
        void (*statistic)(struct buffer * name, const void *settings, const void *module_settings) =
                is_modifier ? module->modifier->statistic : module->output->statistic;
        const struct counter *own = own_counters(a);
        _owned_(buffer_fini) struct buffer name = {0};
        if (!own || !statistic)
                return;
        statistic(&name, a->object->settings, module_settings);
        if (name.size == 0)
                return;
        collector_begin(c);
        collector_table(c, module->counters, NULL, &own, 1);
        collector_end(c, buffer_as_text(&name), module->name);
}

void actions_visit(const struct actions *actions, struct collector *c) {
        static const struct delivery_counters none;
        for (size_t i = 0; i < actions->count; i++) {
                const struct act *a = &actions->acts[i];
                const struct delivery_counters *counters = a->delivery ? delivery_counters(a->delivery) : &none;
                visit_own(actions, a, c);
                collector_begin(c);
                collector_sum(c, "processed", counter_get(a->processed));
                collector_sum(c, "failed", counter_get(&counters->failed) + counter_get(&counters->refused));
                collector_sum(c, "suspended", counter_get(&counters->suspended));
                collector_sum(c, "suspended.duration", counter_get(&counters->suspended_s));
                collector_sum(c, "resumed", counter_get(&counters->resumed));
                collector_end(c, text_of(a->name), "core.action");
        }
}

void actions_visit_queues(const struct actions *actions, struct collector *c) {
        for (size_t i = 0; i < actions->count; i++) {
                const struct act *a = &actions->acts[i];
                struct queue *queue = own_delivery(a) ? delivery_queue(a->delivery) : NULL;
                _owned_(buffer_fini) struct buffer name = {0};
                if (!queue)
                        continue;
                buffer_format(&name, "%s queue", a->name);
                statistics_of_queue(c, queue, buffer_as_text(&name));
        }
}
