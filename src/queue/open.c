/*
 * What a queue has on disk: opened as configured, whole or not at all, and then joined to the queue, which may have
 * taken in messages of the daemon's own meanwhile.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "queue/inside.h"

enum { SPOOL_PATH_BYTES_MAX = 4096 };

/* What is not yet the queue's. */
struct parts {
        struct durable *durable, *front;
        struct dead *dead;
        struct durable_plan front_plan;
};

static void parts_fini(struct parts *p) {
        durable_close(p->front);
        durable_close(p->durable);
        dead_close(p->dead);
        free((char *)p->front_plan.directory);
}
OWNED_VALUE(struct parts, parts_fini);

/* Something on disk may be taken that could not be before, or there is room. */
static void disk_changed(void *owner) {
        struct queue *q = owner;
        pthread_mutex_lock(&q->lock);
        if (q->mode->settled)
                q->mode->settled(q);
        if (q->held)
                pthread_cond_broadcast(&q->drained);
        if (q->idle && q->mode->has_work(q))
                pthread_cond_signal(&q->filled);
        pthread_mutex_unlock(&q->lock);
}

static void disk_lost(void *owner, uint64_t count) {
        struct queue *q = owner;
        counter_add(&q->counters.lost, count);
}

static const char *first_of(const char *a, const char *b) {
        return a && *a ? a : b && *b ? b : NULL;
}

/* "<spool>/<file name><suffix>"; NULL, reported, where there is no such place. */
static char *path_of(const struct queue *q, const struct queue_place *place, const char *suffix) {
        const struct queue_settings *s = q->settings;
        const char *spool = first_of(s->spool_directory, place->work_directory);
        _owned_(buffer_fini) struct buffer path = {0};
        if (!spool) {
                report(q->reporter, SEVERITY_ERR, 2036,
                       "queue '%s' has no place on disk: set queue.spoolDirectory or global(workDirectory)", q->name);
                return NULL;
        }
        if (strchr(s->file_name, '/')) {
                report(q->reporter, SEVERITY_ERR, 2036,
                       "queue '%s': queue.fileName \"%s\" is a path; the directory belongs into queue.spoolDirectory",
                       q->name, s->file_name);
                return NULL;
        }
        buffer_format(&path, "%s/%s%s", spool, s->file_name, suffix);
        return buffer_failed(&path) || path.size >= SPOOL_PATH_BYTES_MAX ? NULL : text_copy(buffer_as_text(&path));
}

static const struct queue_mode *mode_on_disk(enum queue_type type) {
        switch (type) {
        case QUEUE_DISK:
        case QUEUE_SEGMENTED_DISK:
                return &disk_mode;
        case QUEUE_DELAY:
                return &delay_mode;
        case QUEUE_FIXED_ARRAY:
        case QUEUE_LINKED_LIST:
        case QUEUE_DIRECT:
                break;
        }
        return &spill_mode;
}

/* What was asked to be encrypted is never written in the clear. */
static int protect(const char *queue, const struct queue_settings *s, struct reporter *reporter,
                   struct durable_plan *plan) {
        static const enum store_compression compressions[] = {
                [QUEUE_PLAIN] = STORE_PLAIN, [QUEUE_LZ4] = STORE_LZ4, [QUEUE_ZSTD] = STORE_ZSTD};
        plan->compression = compressions[s->compression];
        plan->compression_level = (int)s->compression_level;
        plan->is_chained = s->is_chained;
        plan->key_file = first_of(s->encryption_key_file, s->crypto_key_file);
        plan->key_program = first_of(s->encryption_key_program, s->crypto_key_program);
        bool wants_key = s->crypto_provider && *s->crypto_provider;
        if (!wants_key || plan->key_file || plan->key_program)
                return 0;
        report(reporter, SEVERITY_ERR, 0,
               "queue '%s': queue.cry.provider needs a key: set queue.cry.keyFile or queue.cry.keyProgram", queue);
        return fail(-ENOKEY);
}

/* Dead letters are protected as the queue is. */
static int make_dead(struct dead **ret, const char *directory, const struct queue_place *place,
                     const struct durable_plan *plan, const char *space_parameter) {
        struct store_options options = {.disk = place->disk,
                                        .directory = directory,
                                        .name = plan->name,
                                        .bytes_max = plan->disk_bytes_max,
                                        .bytes_max_name = space_parameter,
                                        .compression = plan->compression,
                                        .compression_level = plan->compression_level,
                                        .key_file = plan->key_file,
                                        .key_program = plan->key_program,
                                        .is_chained = plan->is_chained};
        int r = dead_new(ret, &options, place->names, plan->reporter);
        return r ? pass(r) : 0;
}

int queue_new_dead(struct dead **ret, const char *name, const struct queue_settings *s, const struct queue_place *place,
                   uint64_t disk_bytes_max, struct reporter *reporter) {
        const char *spool = first_of(s->spool_directory, place->work_directory);
        _owned_(buffer_fini) struct buffer path = {0};
        if (!spool)
                return -ENOENT;
        buffer_format(&path, "%s/%s.dead", spool, name);
        const char *directory = buffer_string(&path);
        if (!directory)
                return fail(-ENOMEM);
        struct durable_plan plan = {.name = name, .disk_bytes_max = disk_bytes_max, .reporter = reporter};
        int r = protect(name, s, reporter, &plan);
        if (r == 0)
                r = make_dead(ret, directory, place, &plan, "deadLetter.maxDiskSpace");
        return r ? pass(r) : 0;
}

static int open_dead(const struct queue *q, const struct queue_place *place, const struct durable_plan *plan,
                     struct parts *parts) {
        _owned_(memory_free) char *directory = path_of(q, place, ".dead");
        if (!directory)
                return fail(-ENOMEM);
        int r = make_dead(&parts->dead, directory, place, plan, "queue.maxDiskSpace");
        return r ? pass(r) : 0;
}

static int open_front(const struct queue *q, const struct queue_place *place, const struct durable_plan *plan,
                      struct parts *parts) {
        parts->front_plan = *plan;
        parts->front_plan.directory = path_of(q, place, ".front");
        if (!parts->front_plan.directory)
                return fail(-ENOMEM);
        int r = front_find(&parts->front, &parts->front_plan);
        return r ? pass(r) : 0;
}

static int open_parts(struct queue *q, const struct queue_place *place, struct parts *parts) {
        const struct queue_settings *s = q->settings;
        _owned_(memory_free) char *directory = path_of(q, place, ".store");
        if (!directory)
                return fail(-EINVAL);
        struct durable_plan plan = {.name = q->name,
                                    .directory = directory,
                                    .file_bytes = (uint64_t)s->file_bytes_max,
                                    .disk_bytes_max = (uint64_t)s->disk_bytes_max,
                                    .checkpoint_messages = (uint64_t)s->checkpoint_interval,
                                    .kept_bytes_max = (uint64_t)s->bytes_max,
                                    .is_synced = s->syncs_files,
                                    .pool = place->pool,
                                    .names = place->names,
                                    .reporter = q->reporter,
                                    .disk = place->disk,
                                    .changed = disk_changed,
                                    .lost = disk_lost,
                                    .owner = q};
        int r = protect(q->name, s, q->reporter, &plan);
        if (r == 0)
                r = durable_open(&parts->durable, &plan);
        if (r == 0)
                r = open_dead(q, place, &plan, parts);
        if (r == 0)
                r = open_front(q, place, &plan, parts);
        if (r)
                return pass(r);
        if (q->budget)
                durable_share_budget(parts->durable, q->budget);
        return 0;
}

/* From now on the queue works in its own mode. What it has in memory already is newer than all on disk. */
static void join(struct queue *q, struct parts *parts) {
        pthread_mutex_lock(&q->lock);
        q->durable = TAKE(parts->durable);
        q->front = TAKE(parts->front);
        q->dead = TAKE(parts->dead);
        q->front_plan = parts->front_plan;
        parts->front_plan.directory = NULL;
        const struct queue_mode *mode = mode_on_disk(q->settings->type);
        for (struct batch *b; mode != &spill_mode && (b = memory_take(q));) {
                b = admit_to_disk(q, b, 0);
                if (!b)
                        continue;
                /* Nobody delivered it: whoever can bring it again is to do so. */
                counter_add(&q->counters.discarded_full, b->count);
                batch_lose(b);
                batch_unref(b);
        }
        q->mode = mode;
        pthread_mutex_unlock(&q->lock);
}

int queue_open(struct queue *q, const struct queue_place *place) {
        const struct queue_settings *s = q->settings;
        bool needs_disk = s->type == QUEUE_DISK || s->type == QUEUE_SEGMENTED_DISK || s->type == QUEUE_DELAY;
        bool has_name = s->file_name && *s->file_name;
        if (!has_name && needs_disk)
                report(q->reporter, SEVERITY_ERR, 2328,
                       "error on queue '%s', disk mode selected, but no queue file name given; queue type changed to "
                       "'linkedList'",
                       q->name);
        if (!has_name || queue_is_direct(q))
                return 0;
        _owned_(parts_fini) struct parts parts = {0};
        int r = open_parts(q, place, &parts);
        if (r) {
                report(q->reporter, SEVERITY_ERR, 2036,
                       "queue '%s' cannot work on disk and keeps its messages in memory alone: %s", q->name,
                       fail_text(r));
                return pass(r);
        }
        join(q, &parts);
        return 0;
}
