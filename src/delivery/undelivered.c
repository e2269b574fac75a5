#include "delivery/undelivered.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"

struct undelivered {
        const struct delivery_plan *plan;
        struct dead *dead;        /* NULL: there is no place for it, or it is not wanted */
        bool has_told_of_nowhere; /* that there is no place */
};

int undelivered_new(struct undelivered **ret, const struct delivery_plan *plan) {
        _owned_(undelivered_free) struct undelivered *u = calloc(1, sizeof *u);
        if (!u)
                return fail(-ENOMEM);
        u->plan = plan;
        if (plan->dead_letters != DEAD_LETTERS_NONE && plan->place && plan->dead_name) {
                int r = queue_new_dead(&u->dead, plan->dead_name, plan->queue, plan->place, plan->dead_letter_bytes,
                                       plan->reporter);
                if (r == -ENOMEM)
                        return pass(r);
        }
        *ret = TAKE(u);
        return 0;
}

struct undelivered *undelivered_free(struct undelivered *u) {
        if (!u)
                return NULL;
        dead_close(u->dead);
        free(u);
        return NULL;
}

/* The queue on disk that answers for b. */
static struct queue *responsible(struct queue *own, const struct batch *b) {
        return own && queue_is_durable(own) ? own : queue_behind(b);
}

static void tell_of_nowhere(struct undelivered *u) {
        if (u->has_told_of_nowhere)
                return;
        u->has_told_of_nowhere = true;
        report(u->plan->reporter, SEVERITY_WARNING, 0,
               "action '%s': messages that it did not deliver are discarded, though their senders are told that they "
               "are taken: there is no place to keep them. Set global(workDirectory), or action.deadLetter=\"none\" "
               "where that is intended",
               u->plan->name);
}

int undelivered_keep(struct undelivered *u, struct queue *own, struct batch *b, const uint16_t *rows, size_t count,
                     const char *reason, int error, size_t *done) {
        const struct death why = {.action = u->plan->name, .reason = reason, .error = error};
        int mode = u->plan->dead_letters;
        int r = 0;
        *done = count;
        if (mode == DEAD_LETTERS_NONE)
                return 0;
        struct queue *queue = responsible(own, b);
        if (queue) {
                r = queue_bury(queue, b, rows, count, &why, done);
        } else if (mode == DEAD_LETTERS_ALL || batch_is_waited_for(b)) {
                if (u->dead)
                        r = dead_bury(u->dead, b, rows, count, &why, done);
                else
                        tell_of_nowhere(u);
        }
        return r ? pass(r) : 0;
}

void undelivered_let_go(struct undelivered *u, struct queue *own) {
        if (own)
                queue_let_go_of_dead(own);
        if (u->dead)
                dead_let_go(u->dead);
}
