/*
 * mmsequence: numbers for messages: counters within a range, of an action or shared by name, and random ones.
 *
 * A counter is where the last number was; the next is a step further, and the start of the range where that lies
 * outside. So a step of 0 looks without counting. One lock a call, over the instance or over all names.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/reporter.h"
#include "message/container.h"
#include "module/module.h"

enum { MODE_RANDOM, MODE_INSTANCE, MODE_KEY };
static const char *const modes[] = {"random", "instance", "key", NULL};

struct mmsequence_settings {
        int mode;
        int64_t from, to, step;
        char *key;
        char *variable;
};

struct sequence {
        char *key;
        int64_t last;
        struct sequence *next;
};

/* The counters with names; lives as long as any instance. */
struct sequences {
        pthread_mutex_t lock;
        unsigned users; /* changed while actions are opened and closed, by one thread */
        struct sequence *first;
};

struct mmsequence {
        const struct mmsequence_settings *settings;
        struct container variable;
        struct sequences *all;
        struct sequence *sequence;
        uint64_t random_state;
        void **shared;
};

static struct sequences *sequences_unuse(struct sequences *all) {
        if (!all || --all->users > 0)
                return all;
        while (all->first) {
                struct sequence *s = all->first;
                all->first = s->next;
                free(s->key);
                free(s);
        }
        pthread_mutex_destroy(&all->lock);
        free(all);
        return NULL;
}

static struct sequences *sequences_use(struct sequences *all) {
        if (!all) {
                all = calloc(1, sizeof *all);
                if (!all)
                        return NULL;
                pthread_mutex_init(&all->lock, NULL);
        }
        all->users++;
        return all;
}

/* The counter of that name, or a new one; an instance's own has no name. */
static struct sequence *find_sequence(struct sequences *all, const char *key, int64_t last) {
        for (struct sequence *s = all->first; s && key; s = s->next)
                if (s->key && strcmp(s->key, key) == 0)
                        return s;
        struct sequence *s = calloc(1, sizeof *s);
        if (!s || (key && !(s->key = strdup(key)))) {
                free(s);
                return NULL;
        }
        s->last = last;
        s->next = all->first;
        all->first = s;
        return s;
}

/* SplitMix64. */
static uint64_t next_random(uint64_t *state) {
        uint64_t z = *state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

static int64_t next_number(struct mmsequence *m) {
        const struct mmsequence_settings *s = m->settings;
        if (s->mode == MODE_RANDOM)
                return s->from + (int64_t)(next_random(&m->random_state) % (uint64_t)(s->to - s->from));
        int64_t next = m->sequence->last + s->step;
        if (next < s->from || next >= s->to)
                next = s->from;
        return m->sequence->last = next;
}

static void mmsequence_modify(void *instance, struct property_context *context, struct batch *b,
                              const uint16_t *selection, size_t count) {
        struct mmsequence *m = instance;
        pthread_mutex_lock(&m->all->lock);
        for (size_t i = 0; i < count; i++) {
                struct json *number = json_int(&b->arena, next_number(m));
                if (number)
                        (void)container_add(&m->variable, context, b, &b->records[selection[i]], number);
        }
        pthread_mutex_unlock(&m->all->lock);
}

static void mmsequence_close(void *instance) {
        struct mmsequence *m = instance;
        *m->shared = sequences_unuse(m->all);
        free(m);
}

static int mmsequence_open(void **ret, const struct modifier_host *host, const void *settings) {
        const struct mmsequence_settings *s = settings;
        struct mmsequence *m = calloc(1, sizeof *m);
        if (!m)
                return fail(-ENOMEM);
        m->settings = s;
        m->shared = host->shared;
        m->random_state = (uint64_t)clock_wall_us() ^ (uint64_t)(uintptr_t)m;
        *host->shared = m->all = sequences_use(*host->shared);
        if (m->all)
                m->sequence = find_sequence(m->all, s->mode == MODE_KEY ? s->key : NULL, s->from - s->step);
        if (!m->sequence) {
                mmsequence_close(m);
                return fail(-ENOMEM);
        }
        int r = container_parse(&m->variable, text_of(s->variable));
        assert(r == 0); /* mmsequence_check() */
        *ret = m;
        return 0;
}

static int mmsequence_check(const void *settings, const void *module_settings _unused_, struct module_log *log) {
        const struct mmsequence_settings *s = settings;
        struct container variable;
        int r = 0;
        if (!s)
                return 0;
        if (s->to <= s->from) {
                module_report_param(log, SEVERITY_ERR, "to", "`to` has to lie behind `from`, which is %lld",
                                    (long long)s->from);
                r = -EINVAL;
        }
        if (s->mode != MODE_KEY && s->key[0]) {
                module_report_param(log, SEVERITY_ERR, "key", "a key needs mode=\"key\"");
                r = -EINVAL;
        }
        if (s->variable[0] != '$' || container_parse(&variable, text_of(s->variable))) {
                module_report_param(log, SEVERITY_ERR, "var", "a variable starts with $! or $., as in \"$!number\"");
                r = -EINVAL;
        }
        return r;
}

#define S struct mmsequence_settings
static const struct param mmsequence_params[] = {
        PARAM_CHOICE(S, mode, .name = "mode", .dflt = "instance", .choices = modes,
                     .help = "random numbers, a counter of this action alone (instance), or one shared by all with the "
                             "same key."),
        PARAM_INT(S, from, .name = "from", .dflt = "0", .min = 0, .max = INT32_MAX, .help = "The first number."),
        PARAM_INT(S, to, .name = "to", .dflt = "2147483647", .min = 1, .max = INT32_MAX,
                  .help = "Behind the last number: at it, a counter begins anew."),
        PARAM_INT(S, step, .name = "step", .dflt = "1", .min = 0, .max = INT32_MAX,
                  .help = "From one number to the next; 0 takes the last one again."),
        PARAM_STRING(S, key, .name = "key", .dflt = "", .help = "Name of the counter, in key mode."),
        PARAM_STRING(S, variable, .name = "var", .dflt = "$!mmsequence", .help = "The variable that gets the number."),
        {},
};
#undef S

static bool mmsequence_is_noticed(const void *settings) {
        const struct mmsequence_settings *s = settings;
        return s->mode == MODE_KEY || container_is_global(s->variable);
}

static const struct modifier_ops mmsequence_ops = {
        .is_noticed = mmsequence_is_noticed,
        .open = mmsequence_open,
        .modify = mmsequence_modify,
        .close = mmsequence_close,
};

const struct module mmsequence_module = {
        MODULE_HEAD,
        .kind = MODULE_MODIFIER,
        .name = "mmsequence",
        .help = "Numbers messages: by counters within a range, or at random.",
        .settings = SETTINGS(struct mmsequence_settings, mmsequence_params),
        .check = mmsequence_check,
        .modifier = &mmsequence_ops,
};
