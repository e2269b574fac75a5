/*
 * The list of a queue in memory. A small batch that arrives while others wait is copied to the end of the last one,
 * so that one record never holds a slab. Whoever waits for it waits for the copy then.
 */
#include "queue/inside.h"

enum { COALESCE_RECORDS_MAX = 64 /* a batch of more travels as it is */ };

static void let_hold_go(void *hold, uint64_t cookie _unused_) {
        batch_unref(hold);
}

static void lose_hold(void *hold, uint64_t cookie _unused_) {
        batch_lose(hold);
        batch_unref(hold);
}

static int wait_for_hold(struct batch *b, struct batch *hold) {
        return batch_acknowledge(b, (struct acknowledgement){.done = let_hold_go, .lost = lose_hold, .input = hold});
}

/* Those who wait for b, or for what it is a view of, wait for `last` from now on. False without memory. */
static bool hand_over_senders(struct batch *last, struct batch *b) {
        struct batch *hold;
        if (batch_part(b, &hold))
                return false;
        if (!hold || wait_for_hold(last, hold) == 0)
                return true;
        /* Without any memory they are not told at all, which is what they must reckon with. */
        wait_for_hold(b, hold);
        return false;
}

static bool is_sole(const struct batch *b) {
        return atomic_load_explicit(&b->references, memory_order_acquire) == 1;
}

/* Copies a small batch to the end of the one that waits last. */
static bool coalesce(struct queue *q, struct batch *b) {
        struct batch *last = q->last;
        if (!last || b->count > COALESCE_RECORDS_MAX || last->parent || last->route != b->route || !is_sole(last) ||
            !is_sole(b))
                return false;
        uint32_t count_before = last->count;
        uint16_t all[COALESCE_RECORDS_MAX];
        for (uint16_t i = 0; i < b->count; i++)
                all[i] = i;
        if (!batch_copy(last, b, all, b->count))
                return false;
        if (hand_over_senders(last, b))
                return true;
        last->count = count_before;
        return false;
}

static void count_in(struct queue *q, uint64_t count, size_t bytes) {
        q->waiting += count;
        q->waiting_bytes += bytes;
        if (q->budget)
                budget_take(q->budget, bytes);
}

void memory_append(struct queue *q, struct batch *b) {
        uint32_t count = b->count;
        size_t bytes = batch_bytes(b);
        if (coalesce(q, b)) {
                q->last->charge += bytes;
                batch_unref(b);
        } else {
                b->charge = bytes;
                b->next = NULL;
                if (q->last)
                        q->last->next = b;
                else
                        q->first = b;
                q->last = b;
        }
        count_in(q, count, bytes);
}

void memory_put_first(struct queue *q, struct batch *b) {
        b->charge = batch_bytes(b);
        b->next = q->first;
        q->first = b;
        if (!q->last)
                q->last = b;
        count_in(q, b->count, b->charge);
}

struct batch *memory_take(struct queue *q) {
        struct batch *b = q->first;
        if (!b)
                return NULL;
        q->first = b->next;
        if (!q->first)
                q->last = NULL;
        b->next = NULL;
        q->waiting -= b->count;
        q->waiting_bytes -= b->charge;
        if (q->budget)
                budget_give(q->budget, b->charge);
        return b;
}

struct batch *batch_tail(struct batch *b, uint32_t from) {
        uint16_t rest[BATCH_RECORDS_MAX];
        for (uint32_t i = from; i < b->count; i++)
                rest[i - from] = (uint16_t)i;
        return batch_view(b, rest, b->count - from);
}

/* ---- The mode: memory alone ------------------------------------------------ */

static struct batch *put(struct queue *q, struct batch *b, enum flow flow _unused_) {
        uint32_t count = b->count;
        memory_append(q, b);
        queue_entered(q, count);
        return NULL;
}

static bool has_work(struct queue *q) {
        return q->first != NULL;
}

static struct batch *take(struct queue *q) {
        struct batch *b = memory_take(q);
        if (b)
                q->working += b->count;
        return b;
}

static uint64_t level(struct queue *q) {
        return q->waiting;
}

const struct queue_mode memory_mode = {.put = put, .has_work = has_work, .take = take, .level = level};
