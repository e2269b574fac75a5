/*
 * Linking: the programs of a configuration get to know the deliveries of their
 * actions and one another.
 *
 * Every delivery, target and template gets a number. Then each program in turn is the
 * root: what it calls without a queue runs in its run, so what is said of it holds
 * for all of these together. A program that is called from two places counts twice.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "ruleset/program_inside.h"

/* All programs while they are linked. */
struct linking {
        const struct program_linker *linker;
        struct program **programs;
        size_t count;
        struct step **actions; /* of all programs */
        size_t action_count;
        uint32_t groups, targets, formats;
        uint32_t *group_uses;     /* by group: by steps that the root reaches */
        uint32_t *target_group;   /* by target: the delivery that writes there; 0: none yet */
        uint32_t *format_group;   /* by template: one of the deliveries that have it */
        bool calls_any;           /* a program that the root reaches calls by a name that is made up */
        unsigned made_up;         /* so many of the calls do */
        unsigned entered;         /* most that it puts a record into the queue of one program */
        struct program **reached; /* by the root, itself first */
        size_t reached_count;
};

static void linking_fini(struct linking *l) {
        for (size_t i = 0; i < l->count; i++) {
                struct program *p = l->programs[i];
                free(p->actions);
                free(p->calls);
                p->actions = p->calls = NULL;
                p->action_count = p->call_count = 0;
        }
        free(l->actions);
        free(l->group_uses);
        free(l->target_group);
        free(l->format_group);
        free(l->reached);
}
OWNED_VALUE(struct linking, linking_fini);

/* ---- Steps ---------------------------------------------------------------- */

static int add(struct step ***list, size_t *count, struct step *s) {
        /* Grown at each power of two. */
        if ((*count & (*count - 1)) == 0) {
                struct step **grown = realloc(*list, MAX(*count * 2, (size_t)1) * sizeof(*grown));
                if (!grown)
                        return fail(-ENOMEM);
                *list = grown;
        }
        (*list)[(*count)++] = s;
        return 0;
}

static int link_action(struct linking *l, struct program *p, struct step *s) {
        const struct object *action = s->statement->action;
        if (l->linker->find_processed)
                s->processed = l->linker->find_processed(l->linker->owner, action);
        if (action->module->kind == MODULE_MODIFIER) {
                s->modifier = action->module->modifier;
                s->instance = l->linker->find_modifier(l->linker->owner, action);
                s->execute = s->instance ? execute_modifier : execute_nothing;
                return 0;
        }
        s->delivery = l->linker->find_delivery(l->linker->owner, action);
        s->execute = s->delivery ? execute_action : execute_nothing;
        return s->delivery ? add(&p->actions, &p->action_count, s) : 0;
}

static int link_steps(struct linking *l, struct program *p, struct step *s) {
        for (; s; s = s->next) {
                int r = 0;
                if (s->statement->kind == STATEMENT_ACTION)
                        r = link_action(l, p, s);
                else if (s->statement->kind == STATEMENT_CALL || s->statement->kind == STATEMENT_CALL_INDIRECT)
                        r = add(&p->calls, &p->call_count, s);
                if (r == 0)
                        r = link_steps(l, p, s->body);
                if (r == 0)
                        r = link_steps(l, p, s->otherwise);
                if (r)
                        return pass(r);
        }
        return 0;
}

static int link_all(struct linking *l) {
        for (size_t i = 0; i < l->count; i++) {
                struct program *p = l->programs[i];
                p->number = (uint32_t)i + 1;
                int r = link_steps(l, p, p->steps);
                for (size_t k = 0; r == 0 && k < p->action_count; k++)
                        r = add(&l->actions, &l->action_count, p->actions[k]);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* ---- Numbers -------------------------------------------------------------- */

/* What an action writes to, by the module's main parameter; NULL where it has none. */
static const char *target_of(const struct object *action) {
        for (const struct param *p = action->module->settings.params; p && p->type; p++)
                if ((p->flags & PARAM_IS_MAIN) && p->type == PARAM_TYPE_STRING)
                        return *(char *const *)((const char *)action->settings + p->offset);
        return NULL;
}

static int by_delivery(const void *a, const void *b) {
        const struct step *x = *(struct step *const *)a, *y = *(struct step *const *)b;
        return (x->delivery > y->delivery) - (x->delivery < y->delivery);
}

static int by_target(const void *a, const void *b) {
        const struct object *x = (*(struct step *const *)a)->statement->action;
        const struct object *y = (*(struct step *const *)b)->statement->action;
        if (x->module != y->module)
                return (x->module > y->module) - (x->module < y->module);
        const char *one = target_of(x), *other = target_of(y);
        return strcmp(one ? one : "", other ? other : "");
}

static int by_format(const void *a, const void *b) {
        const struct template *x = delivery_template((*(struct step *const *)a)->delivery);
        const struct template *y = delivery_template((*(struct step *const *)b)->delivery);
        return (x > y) - (x < y);
}

static void sort(struct linking *l, int (*by)(const void *, const void *)) {
        if (l->action_count)
                qsort(l->actions, l->action_count, sizeof(*l->actions), by);
}

/* Whether the i-th action is the first of its kind in the order that they are in. */
static bool is_new(const struct linking *l, size_t i, int (*by)(const void *, const void *)) {
        return i == 0 || by(&l->actions[i - 1], &l->actions[i]);
}

static int number_all(struct linking *l) {
        sort(l, by_target);
        for (size_t i = 0; i < l->action_count; i++) {
                l->targets += is_new(l, i, by_target);
                l->actions[i]->target = target_of(l->actions[i]->statement->action) ? l->targets : 0;
        }
        sort(l, by_format);
        for (size_t i = 0; i < l->action_count; i++) {
                l->formats += is_new(l, i, by_format);
                l->actions[i]->format = delivery_template(l->actions[i]->delivery) ? l->formats : 0;
        }
        sort(l, by_delivery);
        for (size_t i = 0; i < l->action_count; i++) {
                l->groups += is_new(l, i, by_delivery);
                l->actions[i]->group = l->groups;
        }
        l->group_uses = calloc(l->groups + 1u, sizeof *l->group_uses);
        l->target_group = calloc(l->targets + 1u, sizeof *l->target_group);
        l->format_group = calloc(l->formats + 1u, sizeof *l->format_group);
        l->reached = calloc(l->count + 1, sizeof(*l->reached));
        return l->group_uses && l->target_group && l->format_group && l->reached ? 0 : fail(-ENOMEM);
}

/* ---- Roots ---------------------------------------------------------------- */

/* Ends, because a program is entered no more than twice. */
static void reach(struct linking *l, struct program *p, unsigned times) {
        if (p->reached >= 2)
                return;
        if (p->reached == 0)
                l->reached[l->reached_count++] = p;
        p->reached = MIN(p->reached + times, 2u);
        for (size_t i = 0; i < p->call_count; i++) {
                struct program *callee;
                struct sink *queue;
                const struct step *s = p->calls[i];
                if (s->statement->kind == STATEMENT_CALL_INDIRECT) {
                        l->calls_any = true;
                        l->made_up += times;
                } else if (l->linker->find_ruleset(l->linker->owner, s->ruleset, &callee, &queue) && callee) {
                        if (queue)
                                l->entered = MAX(l->entered, callee->entered += times);
                        else
                                reach(l, callee, times);
                }
        }
}

static struct company look_at_actions(struct linking *l) {
        struct company c = {0};
        for (size_t i = 0; i < l->reached_count; i++) {
                const struct program *p = l->reached[i];
                c.changes_records |= p->changes_records;
                c.writes_globals |= p->writes_globals;
                for (size_t k = 0; k < p->action_count; k++) {
                        const struct step *s = p->actions[k];
                        l->group_uses[s->group] += p->reached;
                        c.is_sharing |= l->group_uses[s->group] > 1;
                        uint32_t *writer = &l->target_group[s->target];
                        c.has_rivals |= s->target && *writer && *writer != s->group;
                        *writer = s->group;
                        uint32_t *user = &l->format_group[s->format];
                        c.has_formats |= s->format && *user && *user != s->group;
                        *user = s->group;
                }
        }
        return c;
}

static void forget(struct linking *l) {
        for (size_t i = 0; i < l->reached_count; i++) {
                struct program *p = l->reached[i];
                p->reached = 0;
                for (size_t k = 0; k < p->action_count; k++) {
                        l->group_uses[p->actions[k]->group] = 0;
                        l->target_group[p->actions[k]->target] = 0;
                        l->format_group[p->actions[k]->format] = 0;
                }
        }
        for (size_t i = 0; i < l->count; i++)
                l->programs[i]->entered = 0;
        l->reached_count = 0;
        l->calls_any = false;
        l->made_up = l->entered = 0;
}

static void mark_shared(struct linking *l) {
        for (size_t i = 0; i < l->reached_count; i++)
                for (size_t k = 0; k < l->reached[i]->action_count; k++) {
                        struct step *s = l->reached[i]->actions[k];
                        s->is_shared |= l->group_uses[s->group] > 1;
                }
}

static void link_root(struct linking *l, struct program *root) {
        reach(l, root, 1);
        unsigned made_up = l->made_up;
        for (size_t i = 0; l->calls_any && i < l->count; i++)
                reach(l, l->programs[i], 2);
        struct company c = look_at_actions(l);
        c.is_entering = made_up + l->entered > 1;
        root->why = c;
        root->is_one_by_one = c.writes_globals || c.has_rivals || c.is_entering || (c.is_sharing && c.changes_records);
        root->shares_rows = c.has_formats;
        root->collects = c.is_sharing && !root->is_one_by_one;
        if (root->collects)
                mark_shared(l);
        forget(l);
}

int programs_link(struct program **programs, size_t count, const struct program_linker *linker) {
        _owned_(linking_fini) struct linking l = {.linker = linker, .programs = programs, .count = count};
        int r = link_all(&l);
        if (r == 0)
                r = number_all(&l);
        if (r)
                return pass(r);
        for (size_t i = 0; i < count; i++)
                link_root(&l, programs[i]);
        return 0;
}
