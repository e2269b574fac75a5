#include "message/batch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/slab.h"

enum {
        POOL_IDLE_MAX = 8, /* batches kept for the next ones */
        RECORDS_BYTES = BATCH_RECORDS_MAX * sizeof(struct record),
        REGION_FIRST_BYTES = 16 << 10,
};

struct batch_pool {
        pthread_mutex_t lock;
        struct slabs slabs; /* each is a record table, and received bytes behind it */
        struct batch *idle;
        unsigned idle_count;
        atomic_uint references;
};

int batch_pool_new(struct batch_pool **ret) {
        struct batch_pool *pool = calloc(1, sizeof *pool);
        if (!pool)
                return fail(-ENOMEM);
        pthread_mutex_init(&pool->lock, NULL);
        pool->slabs.slab_bytes = RECORDS_BYTES + BATCH_BYTES;
        atomic_init(&pool->references, 1);
        *ret = pool;
        return 0;
}

static void give_slab(struct batch *b) {
        pthread_mutex_lock(&b->pool->lock);
        slab_give(&b->pool->slabs, b->records);
        pthread_mutex_unlock(&b->pool->lock);
}

static void batch_free(struct batch *b) {
        for (unsigned i = b->own_region + b->is_slab; i < b->regions; i++)
                free(b->region[i]);
        if (b->is_slab)
                give_slab(b);
        else
                free(b->records);
        arena_fini(&b->arena);
        free(b->sources);
        free(b->acknowledgements);
        free(b);
}

struct batch_pool *batch_pool_unref(struct batch_pool *pool) {
        if (!pool || atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        while (pool->idle) {
                struct batch *b = pool->idle;
                pool->idle = b->next;
                batch_free(b);
        }
        slabs_fini(&pool->slabs);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
        return NULL;
}

static struct batch *pool_take(struct batch_pool *pool) {
        pthread_mutex_lock(&pool->lock);
        struct batch *b = pool->idle;
        if (b) {
                pool->idle = b->next;
                pool->idle_count--;
        }
        pthread_mutex_unlock(&pool->lock);
        return b;
}

static bool pool_give(struct batch_pool *pool, struct batch *b) {
        pthread_mutex_lock(&pool->lock);
        bool is_kept = pool->idle_count < POOL_IDLE_MAX && slab_is_lasting(&pool->slabs, b->records);
        if (is_kept) {
                b->next = pool->idle;
                pool->idle = b;
                pool->idle_count++;
        }
        pthread_mutex_unlock(&pool->lock);
        return is_kept;
}

/* A batch around a record table, which it takes over, with no bytes. */
static struct batch *batch_around(struct batch_pool *pool, struct record *table, uint32_t records) {
        struct batch *b = calloc(1, sizeof *b);
        if (!b)
                return NULL;
        b->records = table;
        b->capacity = records;
        atomic_init(&b->references, 1);
        atomic_init(&b->holders, 1);
        b->pool = pool;
        atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
        return b;
}

/* A batch with a record table but no bytes. */
static struct batch *batch_new_empty(struct batch_pool *pool, uint32_t records) {
        struct record *table = malloc(records * sizeof *table);
        struct batch *b = table ? batch_around(pool, table, records) : NULL;
        if (!b)
                free(table);
        return b;
}

static struct batch *batch_new_standard(struct batch_pool *pool) {
        pthread_mutex_lock(&pool->lock);
        char *slab = slab_take(&pool->slabs);
        pthread_mutex_unlock(&pool->lock);
        if (!slab)
                return NULL;
        struct batch *b = batch_around(pool, (struct record *)(void *)slab, BATCH_RECORDS_MAX);
        if (!b) {
                pthread_mutex_lock(&pool->lock);
                slab_give(&pool->slabs, slab);
                pthread_mutex_unlock(&pool->lock);
                return NULL;
        }
        b->is_slab = true;
        b->region[0] = slab + RECORDS_BYTES;
        b->region_size[0] = BATCH_BYTES;
        b->regions = 1;
        return b;
}

static struct batch *batch_discard_new(struct batch *b) {
        struct batch_pool *pool = b->pool;
        batch_free(b);
        batch_pool_unref(pool);
        return NULL;
}

static bool add_region(struct batch *b, size_t size) {
        if (b->regions == BATCH_REGIONS_MAX || size > REGION_BYTES_MAX)
                return false;
        char *bytes = malloc(size);
        if (!bytes)
                return false;
        b->region[b->regions] = bytes;
        b->region_size[b->regions] = (uint32_t)size;
        b->region_used[b->regions] = 0;
        b->regions++;
        return true;
}

struct batch *batch_new(struct batch_pool *pool, size_t bytes) {
        if (UNLIKELY(bytes > BATCH_BYTES)) {
                struct batch *b = batch_new_empty(pool, BATCH_RECORDS_MAX);
                return !b || add_region(b, bytes) ? b : batch_discard_new(b);
        }
        struct batch *b = pool_take(pool);
        if (!b)
                return batch_new_standard(pool);
        b->pool = pool;
        atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
        return b;
}

struct batch *batch_ref(struct batch *b) {
        atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&b->holders, 1, memory_order_relaxed);
        return b;
}

/* Everything but the slab goes; the batch is as new. */
static void batch_reset(struct batch *b) {
        for (unsigned i = 1; i < b->regions; i++)
                free(b->region[i]);
        b->regions = 1;
        b->region_used[0] = 0;
        b->count = 0;
        b->source_count = 0;
        b->acknowledgement_count = 0;
        b->route = NULL;
        b->is_bare = false;
        arena_reset(&b->arena);
        atomic_store_explicit(&b->is_lost, false, memory_order_relaxed);
        atomic_store_explicit(&b->holders, 1, memory_order_relaxed);
        atomic_store_explicit(&b->references, 1, memory_order_relaxed);
}

static void tell_senders(struct batch *b, bool is_lost) {
        for (uint32_t i = 0; i < b->acknowledgement_count; i++) {
                const struct acknowledgement *a = &b->acknowledgements[i];
                if (!is_lost)
                        a->done(a->input, a->cookie);
                else if (a->lost)
                        a->lost(a->input, a->cookie);
        }
        b->acknowledgement_count = 0;
}

/* One holder less; the last tells who waits, and lets go of the parent as a holder. */
static void let_go(struct batch *b) {
        while (b && atomic_fetch_sub_explicit(&b->holders, 1, memory_order_acq_rel) == 1) {
                bool is_lost = atomic_load_explicit(&b->is_lost, memory_order_relaxed);
                tell_senders(b, is_lost);
                struct batch *parent = b->is_bare ? NULL : b->parent;
                b->is_bare = true;
                if (parent && is_lost)
                        batch_lose(parent);
                b = parent;
        }
}

/* One reference to the bytes less. */
static void drop(struct batch *b) {
        while (b && atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) == 1) {
                for (uint32_t i = 0; i < b->source_count; i++)
                        source_unref(b->sources[i]);
                struct batch_pool *pool = b->pool;
                struct batch *parent = b->parent;
                if (b->is_slab)
                        batch_reset(b);
                if (!b->is_slab || !pool_give(pool, b))
                        batch_free(b);
                batch_pool_unref(pool);
                b = parent;
        }
}

struct batch *batch_unref(struct batch *b) {
        let_go(b);
        drop(b);
        return NULL;
}

static bool hold_source(struct batch *b, struct source *source) {
        if (!source || (b->source_count && b->sources[b->source_count - 1] == source))
                return true;
        if (!ARRAY_ROOM(b->sources, b->source_count, b->source_capacity, 8))
                return false;
        b->sources[b->source_count++] = source_ref(source);
        return true;
}

/*
 * Zeroes a record by eight stores. Left to itself gcc writes "rep stos" for this
 * size, which took 12 of the 31 ns that receiving a record cost.
 */
static inline void record_clear(struct record *r) {
        typedef uint64_t block __attribute__((vector_size(16), may_alias));
        static_assert(sizeof *r == 8 * sizeof(block), "each store has its line below");
        block *b = (block *)(void *)r;
        b[0] = b[1] = b[2] = b[3] = (block){0};
        b[4] = b[5] = b[6] = b[7] = (block){0};
}

struct record *batch_append(struct batch *b, struct source *source) {
        if (b->count == b->capacity || !hold_source(b, source))
                return NULL;
        struct record *r = &b->records[b->count++];
        record_clear(r);
        r->source = source;
        return r;
}

struct record *batch_append_many(struct batch *b, struct source *source, uint32_t count) {
        if (b->capacity - b->count < count || !hold_source(b, source))
                return NULL;
        struct record *first = &b->records[b->count];
        for (uint32_t i = 0; i < count; i++) {
                record_clear(&first[i]);
                first[i].source = source;
        }
        b->count += count;
        return first;
}

bool batch_change_source(struct batch *b, struct record *r, struct source *source) {
        if (!hold_source(b, source))
                return false;
        r->source = source;
        return true;
}

char *batch_room(struct batch *b, size_t size, struct span *span) {
        unsigned last = b->regions ? b->regions - 1u : 0;
        bool fits = b->regions > b->own_region && b->region_size[last] - b->region_used[last] >= size;
        if (!fits) {
                /* Each region doubles, so that sixteen always suffice for what a batch may hold. */
                size_t doubled = (size_t)REGION_FIRST_BYTES << (b->regions - b->own_region);
                if (!add_region(b, MAX(size, MIN(doubled, (size_t)REGION_BYTES_MAX))))
                        return NULL;
                last = b->regions - 1u;
        }
        char *room = b->region[last] + b->region_used[last];
        *span = (struct span){last << REGION_BITS | b->region_used[last], (uint32_t)size};
        b->region_used[last] += (uint32_t)size;
        return room;
}

struct span batch_store(struct batch *b, struct text t) {
        struct span span = {0};
        char *room = batch_room(b, t.size, &span);
        if (!room)
                return (struct span){0};
        if (t.size)
                memcpy(room, t.data, t.size);
        return span;
}

static bool copy_trees(struct batch *to, struct record *copy, const struct record *from) {
        for (int kind = 0; kind < TREE_KINDS; kind++) {
                copy->tree[kind] = NULL;
                if (!from->tree[kind])
                        continue;
                copy->tree[kind] = json_copy(&to->arena, from->tree[kind]);
                if (!copy->tree[kind])
                        return false;
        }
        return true;
}

struct batch *batch_view(struct batch *b, const uint16_t *selection, size_t count) {
        struct batch *view = batch_new_empty(b->pool, (uint32_t)MAX(count, (size_t)1));
        if (!view)
                return NULL;
        memcpy(view->region, b->region, sizeof b->region);
        memcpy(view->region_size, b->region_size, sizeof b->region_size);
        memcpy(view->region_used, b->region_used, sizeof b->region_used);
        view->regions = view->own_region = b->regions;
        for (size_t i = 0; i < count; i++) {
                const struct record *from = &b->records[selection[i]];
                view->records[i] = *from;
                if (!copy_trees(view, &view->records[i], from))
                        return batch_discard_new(view);
        }
        view->count = (uint32_t)count;
        view->route = b->route;
        view->parent = batch_ref(b);
        return view;
}

/* The bytes of one record, wherever they lie, behind one another in `to`. */
static bool copy_record(struct batch *to, const struct batch *from, const struct record *r) {
        struct record *copy = batch_append(to, r->source);
        if (!copy)
                return false;
        struct source *source = copy->source;
        *copy = *r;
        copy->source = source;
        struct span *spans[] = {&copy->raw, &copy->msg,    &copy->host,  &copy->tag,
                                &copy->app, &copy->procid, &copy->msgid, &copy->structured};
        struct span whole = copy->raw;
        struct span stored = batch_store(to, batch_text(from, whole));
        if (whole.size && !stored.size)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
                struct span s = *spans[i];
                if (s.size == 0)
                        *spans[i] = (struct span){stored.at, 0};
                else if (s.at >= whole.at && s.at + s.size <= whole.at + whole.size)
                        spans[i]->at = stored.at + (s.at - whole.at);
                else if ((*spans[i] = batch_store(to, batch_text(from, s))).size != s.size)
                        return false;
        }
        if (r->uuid_at) {
                struct span uuid = batch_store(to, batch_text(from, (struct span){r->uuid_at, UUID_BYTES}));
                if (!uuid.size)
                        return false;
                copy->uuid_at = uuid.at;
        }
        return copy_trees(to, copy, r);
}

bool batch_copy(struct batch *to, const struct batch *from, const uint16_t *selection, size_t count) {
        if (to->capacity - to->count < count)
                return false;
        size_t bytes = 0;
        for (size_t i = 0; i < count; i++)
                bytes += from->records[selection[i]].raw.size;
        unsigned last = to->regions - 1u;
        if (to->region_size[last] - to->region_used[last] < bytes)
                return false;
        uint32_t count_before = to->count;
        for (size_t i = 0; i < count; i++)
                if (!copy_record(to, from, &from->records[selection[i]])) {
                        to->count = count_before;
                        return false;
                }
        return true;
}

size_t batch_bytes(const struct batch *b) {
        size_t bytes = b->count * sizeof *b->records;
        for (unsigned i = b->own_region; i < b->regions; i++)
                bytes += b->region_used[i];
        /* A view keeps its parent's bytes alive. */
        return bytes + (b->parent ? batch_bytes(b->parent) : 0);
}

int batch_acknowledge(struct batch *b, struct acknowledgement a) {
        struct acknowledgement *grown = realloc(b->acknowledgements, (b->acknowledgement_count + 1) * sizeof *grown);
        if (!grown)
                return fail(-ENOMEM);
        b->acknowledgements = grown;
        b->acknowledgements[b->acknowledgement_count++] = a;
        return 0;
}

void batch_lose(struct batch *b) {
        atomic_store_explicit(&b->is_lost, true, memory_order_relaxed);
}

bool batch_is_waited_for(const struct batch *b) {
        for (; b; b = b->is_bare ? NULL : b->parent)
                if (b->acknowledgement_count)
                        return true;
        return false;
}

int batch_part(struct batch *b, struct batch **hold) {
        assert(atomic_load(&b->references) == 1);
        *hold = NULL;
        if (!batch_is_waited_for(b))
                return 0;
        struct batch *h = batch_new_empty(b->pool, 1);
        if (!h)
                return fail(-ENOMEM);
        h->acknowledgements = b->acknowledgements;
        h->acknowledgement_count = b->acknowledgement_count;
        b->acknowledgements = NULL;
        b->acknowledgement_count = 0;
        if (b->parent && !b->is_bare) {
                atomic_fetch_add_explicit(&b->parent->references, 1, memory_order_relaxed);
                h->parent = b->parent;
                b->is_bare = true;
        }
        *hold = h;
        return 0;
}
