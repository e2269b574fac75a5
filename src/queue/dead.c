#include "queue/dead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "message/variable.h"

enum { DEAD_FILE_BYTES = 1 << 20 /* few messages come here; files are written in full before their first */ };

struct dead {
        struct store_options options;
        char *directory;
        const struct pack_names *names;
        struct reporter *reporter;
        pthread_mutex_t lock;
        struct store *store; /* NULL: nothing was buried yet */
        bool was_broken;     /* reported, until it took something again */
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

static int write_reason(struct batch *b, const char *queue, const char *reason, int error) {
        struct arena *a = &b->arena;
        struct record *r = &b->records[0];
        const struct {
                const char *path;
                struct json *value;
        } said[] = {{"dead!queue", json_string(a, text_of(queue))},
                    {"dead!reason", json_string(a, text_of(reason))},
                    {"dead!errno", json_int(a, abs(error))},
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
static int append(struct dead *dead, const struct buffer *pack) {
        uint64_t lsn;
        int r = open_store(dead);
        if (r == 0)
                r = store_append(dead->store, pack->data, pack->size, 1, &lsn);
        if (r == 0)
                r = store_wait(dead->store, lsn);
        return r;
}

int dead_bury(struct dead *dead, struct batch *b, uint16_t index, const char *reason, int error) {
        _owned_(buffer_fini) struct buffer pack = {0};
        _owned_(batch_unref) struct batch *only = batch_view(b, &index, 1);
        if (!only)
                return fail(-ENOMEM);
        int r = write_reason(only, dead->options.name, reason, error);
        if (r == 0)
                r = pack_records(&pack, only, 0, 1, dead->names);
        if (r)
                return pass(r);
        pthread_mutex_lock(&dead->lock);
        r = append(dead, &pack);
        bool is_news = r && !dead->was_broken;
        dead->was_broken = r != 0;
        pthread_mutex_unlock(&dead->lock);
        if (is_news)
                report(dead->reporter, SEVERITY_ERR, 0,
                       "queue '%s': a message that cannot be delivered cannot be kept in %s either: %s. It is tried "
                       "again",
                       dead->options.name, dead->directory, fail_text(r));
        return r ? pass(r) : 0;
}
