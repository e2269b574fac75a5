#include "queue/dead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "message/variable.h"

enum {
        DEAD_FILE_BYTES = 1 << 20, /* few messages come here; files are written in full before their first */
        DEAD_FRAME_RECORDS = 256,  /* share a sync */
};

struct dead {
        struct store_options options;
        char *directory;
        const struct pack_names *names;
        struct reporter *reporter;
        pthread_mutex_t lock;
        struct store *store; /* NULL: nothing was buried yet */
        bool was_broken;     /* reported, until it took something again */
        atomic_bool must_let_go;
};

int dead_new(struct dead **ret, const struct store_options *options, const struct pack_names *names,
             struct reporter *reporter) {
        _owned_(dead_close) struct dead *dead = calloc(1, sizeof *dead);
        if (!dead)
                return fail(-ENOMEM);
        pthread_mutex_init(&dead->lock, NULL);
        dead->directory = strdup(options->directory);
        dead->options = *options;
        dead->options.directory = dead->directory;
        dead->options.segment_bytes = DEAD_FILE_BYTES;
        dead->options.is_synced = true;
        dead->names = names;
        dead->reporter = reporter;
        if (!dead->directory)
                return fail(-ENOMEM);
        *ret = TAKE(dead);
        return 0;
}

struct dead *dead_close(struct dead *dead) {
        if (!dead)
                return NULL;
        if (dead->store)
                store_close(dead->store);
        pthread_mutex_destroy(&dead->lock);
        free(dead->directory);
        free(dead);
        return NULL;
}

static int open_store(struct dead *dead) {
        int r = dead->store ? 0 : store_open(&dead->store, &dead->options, dead->reporter);
        return r ? pass(r) : 0;
}

static int write_reason(struct batch *b, struct record *r, const char *queue, const struct death *why) {
        struct arena *a = &b->arena;
        const struct {
                const char *path;
                struct json *value;
        } said[] = {{"dead!queue", json_string(a, text_of(queue))},
                    {"dead!action", json_string(a, text_of(why->action ? why->action : ""))},
                    {"dead!reason", json_string(a, text_of(why->reason))},
                    {"dead!errno", json_int(a, abs(why->error))},
                    {"dead!time", json_int(a, clock_wall_us())}};
        for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
                if (!said[i].value)
                        return fail(-ENOMEM);
                int e = variable_set(b, r, '.', text_of(said[i].path), said[i].value, VARIABLE_RESETS);
                if (e == -ENOMEM)
                        return pass(e);
        }
        return 0;
}

/* Lock held. */
static int append(struct dead *dead, const struct buffer *pack, uint32_t count) {
        uint64_t lsn;
        int r = open_store(dead);
        if (r == 0)
                r = store_append(dead->store, pack->data, pack->size, count, &lsn);
        if (r == 0)
                r = store_wait(dead->store, lsn + count - 1);
        return r;
}

/* Lock held. What is in there was synced when it came. */
static void let_go_if_asked(struct dead *dead) {
        if (atomic_exchange(&dead->must_let_go, false) && dead->store)
                (void)store_close(TAKE(dead->store));
}

/* One frame of the store. */
static int bury_together(struct dead *dead, struct batch *b, const uint16_t *rows, size_t count,
                         const struct death *why) {
        _owned_(buffer_fini) struct buffer pack = {0};
        _owned_(batch_unref) struct batch *only = batch_view(b, rows, count);
        int r = only ? 0 : fail(-ENOMEM);
        for (uint32_t i = 0; r == 0 && i < only->count; i++)
                r = write_reason(only, &only->records[i], dead->options.name, why);
        if (r == 0)
                r = pack_records(&pack, only, 0, only->count, dead->names);
        if (r)
                return pass(r);
        pthread_mutex_lock(&dead->lock);
        r = append(dead, &pack, only->count);
        bool is_news = r && r != -EMSGSIZE && !dead->was_broken;
        dead->was_broken = r && r != -EMSGSIZE;
        let_go_if_asked(dead);
        pthread_mutex_unlock(&dead->lock);
        if (is_news)
                report(dead->reporter, SEVERITY_ERR, 0,
                       "queue '%s': a message that cannot be delivered cannot be kept in %s either: %s. It waits, and "
                       "is "
                       "tried again. Dead letters have the space of deadLetter.maxDiskSpace, or of queue.maxDiskSpace "
                       "beside a queue on disk; `penstock queue` shows, replays and purges them",
                       dead->options.name, dead->directory, fail_text(r));
        return r ? pass(r) : 0;
}

int dead_bury(struct dead *dead, struct batch *b, const uint16_t *rows, size_t count, const struct death *why,
              size_t *buried) {
        size_t together = DEAD_FRAME_RECORDS;
        *buried = 0;
        while (*buried < count) {
                size_t some = MIN(count - *buried, together);
                int r = bury_together(dead, b, rows + *buried, some, why);
                if (r == -EMSGSIZE && some > 1) {
                        together = some / 2;
                        continue;
                }
                if (r)
                        return pass(r);
                *buried += some;
        }
        return 0;
}

void dead_let_go(struct dead *dead) {
        atomic_store(&dead->must_let_go, true);
        if (pthread_mutex_trylock(&dead->lock))
                return; /* whoever buries does it */
        let_go_if_asked(dead);
        pthread_mutex_unlock(&dead->lock);
}
