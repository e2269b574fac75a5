#include "message/intake.h"

#include <assert.h>
#include <stdlib.h>

void intake_init(struct intake *in, struct sink *sink, struct batch_pool *pool, enum flow flow) {
        *in = (struct intake){.sink = sink, .pool = pool, .flow = flow};
}

void intake_fini(struct intake *in) {
        intake_flush(in);
        in->batch = batch_unref(in->batch);
}

void intake_flush(struct intake *in) {
        if (!in->batch || in->batch->count == 0)
                return;
        struct batch *full = TAKE(in->batch);
        in->sink->push(in->sink, full, in->flow);
}

static size_t room_left(const struct batch *b) {
        return b->region_size[0] - b->region_used[0];
}

char *intake_reserve(struct intake *in, size_t size, size_t *room) {
        if (in->batch && (room_left(in->batch) < size || in->batch->count == in->batch->capacity)) {
                intake_flush(in);
                in->batch = batch_unref(in->batch);
        }
        if (!in->batch)
                in->batch = batch_new(in->pool, size);
        if (!in->batch)
                return NULL;
        *room = room_left(in->batch);
        return in->batch->region[0] + in->batch->region_used[0];
}

struct record *intake_add(struct intake *in, struct source *source, const char *data, size_t size, int64_t now_us) {
        struct batch *b = in->batch;
        struct record *r = batch_append(b, source);
        if (!r)
                return NULL;
        r->raw = (struct span){(uint32_t)(data - b->region[0]), (uint32_t)size};
        r->received_us = now_us;
        return r;
}

struct record *intake_add_many(struct intake *in, struct source *source, unsigned *count) {
        struct batch *b = in->batch;
        *count = MIN(*count, b->capacity - b->count);
        return batch_append_many(b, source, *count);
}

void intake_give_back(struct intake *in, unsigned count) {
        assert(count <= in->batch->count);
        in->batch->count -= count;
}

void intake_keep(struct intake *in, const char *end) {
        in->batch->region_used[0] = (uint32_t)(end - in->batch->region[0]);
}

char *intake_turn(struct intake *in, const char *rest, size_t size, size_t *room) {
        struct batch *next = batch_new(in->pool, size);
        if (!next)
                return NULL;
        memcpy(next->region[0], rest, size);
        intake_keep(in, rest);
        intake_flush(in);
        batch_unref(in->batch);
        in->batch = next;
        *room = next->region_size[0];
        return next->region[0];
}

struct record *intake_copy(struct intake *in, struct source *source, struct text raw, int64_t now_us) {
        size_t room;
        char *to = intake_reserve(in, raw.size, &room);
        if (!to)
                return NULL;
        if (raw.size)
                memcpy(to, raw.data, raw.size);
        struct record *r = intake_add(in, source, to, raw.size, now_us);
        if (r)
                intake_keep(in, to + raw.size);
        return r;
}
