#include "message/repeat.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fail.h"

enum { NOT_HERE = -1 };

/* What an input said last. */
struct last_said {
        const void *origin;     /* never followed */
        struct buffer identity; /* text, host, program, process */
        uint64_t again;         /* how often it came after the first */
        int at;                 /* place in the selection at hand of the newest one, or NOT_HERE */
        struct batch *held;     /* a copy of the newest one, when that came in an earlier batch */
        int64_t since_us;       /* when the first of `again` came */
};

struct repeat {
        pthread_mutex_t lock; /* guards all below */
        struct batch_pool *pool;
        struct last_said sources[REPEAT_SOURCES_MAX];
        unsigned count;
        unsigned recent; /* of sources: the one looked for last */
        unsigned oldest; /* ... the one to give its place away next */
        struct buffer identity;
};

/* Batches of one record, in order. */
struct told {
        struct batch *first, **end;
};

int repeat_new(struct repeat **ret, struct batch_pool *pool) {
        struct repeat *repeat = calloc(1, sizeof *repeat);
        if (!repeat)
                return fail(-ENOMEM);
        pthread_mutex_init(&repeat->lock, NULL);
        repeat->pool = pool;
        *ret = repeat;
        return 0;
}

struct repeat *repeat_free(struct repeat *repeat) {
        if (!repeat)
                return NULL;
        for (unsigned i = 0; i < repeat->count; i++) {
                buffer_fini(&repeat->sources[i].identity);
                batch_unref(repeat->sources[i].held);
        }
        buffer_fini(&repeat->identity);
        pthread_mutex_destroy(&repeat->lock);
        free(repeat);
        return NULL;
}

/* ---- Telling ------------------------------------------------------------ */

/* Makes of the newest of several equal messages the one that says how many they were. */
static void say_how_often(struct batch *b, struct record *r, uint64_t again) {
        if (again < 2)
                return;
        struct text msg = text_slice(batch_text(b, r->msg), 0, MIN(r->msg.size, (uint32_t)REPEAT_SHOWN_BYTES_MAX));
        struct text raw = batch_text(b, r->raw);
        /* An empty one stands at the end of what was received, wherever its span is. */
        struct span place = r->msg.size ? r->msg : span_slice(r->raw, r->raw.size, r->raw.size);
        bool is_in_raw = place.at >= r->raw.at && place.at - r->raw.at <= r->raw.size;
        _owned_(buffer_fini) struct buffer line = {0};
        if (is_in_raw)
                buffer_text(&line, text_slice(raw, 0, place.at - r->raw.at));
        size_t before = line.size;
        buffer_format(&line, " message repeated %llu times: [", (unsigned long long)again);
        buffer_text(&line, msg);
        buffer_byte(&line, ']');
        if (buffer_failed(&line))
                return;
        struct span whole = batch_store(b, buffer_as_text(&line));
        if (whole.size == 0)
                return;
        r->msg = span_slice(whole, before, whole.size);
        if (is_in_raw)
                r->raw = whole;
}

static void tell(struct last_said *said, struct told *told) {
        if (said->held) {
                struct batch *b = TAKE(said->held);
                say_how_often(b, &b->records[0], said->again);
                b->records[0].flags |= RECORD_IS_PARSED | RECORD_IS_REPEAT;
                b->next = NULL;
                *told->end = b;
                told->end = &b->next;
        }
        said->again = 0;
}

/* What was held back in this batch stays in it after all, at its place. */
static void tell_here(struct last_said *said, struct batch *b, const uint16_t *selection, bool *is_kept) {
        say_how_often(b, &b->records[selection[said->at]], said->again);
        is_kept[said->at] = true;
        said->held = batch_unref(said->held); /* an older one of the same run */
        said->at = NOT_HERE;
        said->again = 0;
}

/* ---- Comparing ---------------------------------------------------------- */

static const void *origin_of(const struct record *r) {
        static const char own;
        if (r->flags & (RECORD_IS_INTERNAL | RECORD_IS_MARK) || !r->source)
                return &own;
        return r->source->origin ? r->source->origin : r->source;
}

static void add_part(struct buffer *identity, struct text part) {
        uint32_t size = (uint32_t)part.size;
        buffer_text(identity, (struct text){(const char *)&size, sizeof size});
        buffer_text(identity, part);
}

/* False without memory. */
static bool identify(struct repeat *repeat, struct property_context *context, struct batch *b, struct record *r) {
        static const struct property app = {.id = PROPERTY_APP_NAME}, procid = {.id = PROPERTY_PROCID};
        struct buffer *identity = &repeat->identity;
        buffer_clear(identity);
        add_part(identity, batch_text(b, r->msg));
        /* The address stands in for a name that nobody has looked up yet. */
        add_part(identity, r->host.size || !r->source ? batch_text(b, r->host) : text_of(r->source->address));
        add_part(identity, property_get(context, b, r, &app));
        add_part(identity, property_get(context, b, r, &procid));
        return !identity->is_failed;
}

static struct last_said *find(struct repeat *repeat, const void *origin) {
        if (repeat->recent < repeat->count && repeat->sources[repeat->recent].origin == origin)
                return &repeat->sources[repeat->recent];
        for (unsigned i = 0; i < repeat->count; i++)
                if (repeat->sources[i].origin == origin) {
                        repeat->recent = i;
                        return &repeat->sources[i];
                }
        return NULL;
}

static struct last_said *add(struct repeat *repeat, const void *origin, struct batch *b, const uint16_t *selection,
                             bool *is_kept, struct told *told) {
        unsigned place = repeat->count;
        if (place < REPEAT_SOURCES_MAX)
                repeat->count++;
        else
                place = repeat->oldest++ % REPEAT_SOURCES_MAX;
        struct last_said *said = &repeat->sources[place];
        if (said->again && said->at != NOT_HERE)
                tell_here(said, b, selection, is_kept);
        tell(said, told);
        buffer_clear(&said->identity);
        said->origin = origin;
        said->at = NOT_HERE;
        repeat->recent = place;
        return said;
}

/* ---- Reducing ----------------------------------------------------------- */

/* The record at `i` of the selection: true when it goes on now. */
static bool look_at(struct repeat *repeat, struct property_context *context, struct batch *b, const uint16_t *selection,
                    size_t i, bool *is_kept, struct told *told) {
        struct record *r = &b->records[selection[i]];
        if (r->flags & RECORD_IS_REPEAT || !identify(repeat, context, b, r))
                return true;
        const void *origin = origin_of(r);
        struct last_said *said = find(repeat, origin);
        if (!said)
                said = add(repeat, origin, b, selection, is_kept, told);
        if (text_equal(buffer_as_text(&said->identity), buffer_as_text(&repeat->identity))) {
                if (said->again++ == 0)
                        said->since_us = r->received_us;
                said->at = (int)i;
                return false;
        }
        if (said->again && said->at != NOT_HERE)
                tell_here(said, b, selection, is_kept);
        tell(said, told);
        struct buffer before = said->identity;
        said->identity = repeat->identity;
        repeat->identity = before;
        return true;
}

/* The batch goes: what is held back in it is copied out. Without memory it is told at once. */
static void hold(struct repeat *repeat, struct last_said *said, struct batch *b, const uint16_t *selection,
                 bool *is_kept) {
        const uint16_t record = selection[said->at];
        _owned_(batch_unref) struct batch *copy = batch_new(repeat->pool, b->records[record].raw.size);
        if (!copy || !batch_copy(copy, b, &record, 1)) {
                tell_here(said, b, selection, is_kept);
                return;
        }
        copy->route = b->route;
        said->held = TAKE(copy);
        said->at = NOT_HERE;
}

size_t repeat_reduce(struct repeat *repeat, struct property_context *context, struct batch *b, uint16_t *selection,
                     size_t count, struct batch **told) {
        bool is_kept[BATCH_RECORDS_MAX];
        assert(count <= BATCH_RECORDS_MAX);
        struct told list = {.end = &list.first};
        pthread_mutex_lock(&repeat->lock);
        for (size_t i = 0; i < count; i++)
                is_kept[i] = look_at(repeat, context, b, selection, i, is_kept, &list);
        for (unsigned i = 0; i < repeat->count; i++) {
                struct last_said *said = &repeat->sources[i];
                if (said->at == NOT_HERE)
                        continue;
                said->held = batch_unref(said->held);
                hold(repeat, said, b, selection, is_kept);
        }
        pthread_mutex_unlock(&repeat->lock);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
                if (is_kept[i])
                        selection[kept++] = selection[i];
        *told = list.first;
        return kept;
}

struct batch *repeat_take(struct repeat *repeat, int64_t until_us) {
        struct told list = {.end = &list.first};
        pthread_mutex_lock(&repeat->lock);
        for (unsigned i = 0; i < repeat->count; i++)
                if (repeat->sources[i].again && repeat->sources[i].since_us <= until_us)
                        tell(&repeat->sources[i], &list);
        pthread_mutex_unlock(&repeat->lock);
        return list.first;
}

int64_t repeat_held_since_us(struct repeat *repeat) {
        int64_t oldest_us = 0;
        pthread_mutex_lock(&repeat->lock);
        for (unsigned i = 0; i < repeat->count; i++) {
                const struct last_said *said = &repeat->sources[i];
                if (said->again && (oldest_us == 0 || said->since_us < oldest_us))
                        oldest_us = said->since_us;
        }
        pthread_mutex_unlock(&repeat->lock);
        return oldest_us;
}
