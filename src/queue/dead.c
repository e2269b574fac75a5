#include "queue/dead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fail.h"
#include "message/variable.h"

enum {
        DEAD_FILE_BYTES = 1 << 20, /* few messages come here; files are written in full before their first */
        DEAD_FRAME_RECORDS = 256,  /* share a sync */
        DEAD_LINES_KEPT = 4,       /* that one attempt to open it may say */
};

/*
 * Opening is tried again and again while messages wait for it. What an attempt says as one before it did is not news;
 * once the store is open, everything is.
 */
struct attempts {
        struct reporter reporter; /* handed to the store */
        struct reporter *listener;
        pthread_mutex_t lock;
        bool is_opening;
        char *said[DEAD_LINES_KEPT]; /* since it was open the last time; the oldest makes room */
        size_t said_next;
};

struct dead {
        struct store_options options;
        char *directory;
        const struct pack_names *names;
        struct reporter *reporter;
        pthread_mutex_t lock;
        struct store *store; /* NULL: nothing was buried yet */
        int told_error;      /* reported, until it took something again or fails otherwise; 0: none */
        struct attempts attempts;
        atomic_bool must_let_go;
};

static bool is_news(struct attempts *a, const char *line) {
        for (size_t i = 0; i < DEAD_LINES_KEPT; i++) {
                if (a->said[i] && strcmp(a->said[i], line) == 0)
                        return false;
        }
        free(a->said[a->said_next]);
        a->said[a->said_next] = strdup(line);
        a->said_next = (a->said_next + 1) % DEAD_LINES_KEPT;
        return true;
}

static void say_what_is_new(struct reporter *reporter, enum severity severity, int code, const char *line) {
        struct attempts *a = CONTAINER_OF(reporter, struct attempts, reporter);
        pthread_mutex_lock(&a->lock);
        bool passes = !a->is_opening || is_news(a, line);
        pthread_mutex_unlock(&a->lock);
        if (passes)
                report(a->listener, severity, code, "%s", line);
}

static void note_opening(struct attempts *a, bool is_opening, bool is_open) {
        pthread_mutex_lock(&a->lock);
        a->is_opening = is_opening;
        for (size_t i = 0; is_open && i < DEAD_LINES_KEPT; i++) {
                free(a->said[i]);
                a->said[i] = NULL;
        }
        pthread_mutex_unlock(&a->lock);
}

int dead_new(struct dead **ret, const struct store_options *options, const struct pack_names *names,
             struct reporter *reporter) {
        _owned_(dead_close) struct dead *dead = calloc(1, sizeof *dead);
        if (!dead)
                return fail(-ENOMEM);
        pthread_mutex_init(&dead->lock, NULL);
        pthread_mutex_init(&dead->attempts.lock, NULL);
        dead->attempts.reporter.emit = say_what_is_new;
        dead->attempts.listener = reporter;
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
        note_opening(&dead->attempts, false, true);
        pthread_mutex_destroy(&dead->attempts.lock);
        pthread_mutex_destroy(&dead->lock);
        free(dead->directory);
        free(dead);
        return NULL;
}

static int open_store(struct dead *dead) {
        if (dead->store)
                return 0;
        note_opening(&dead->attempts, true, false);
        int r = store_open(&dead->store, &dead->options, &dead->attempts.reporter);
        note_opening(&dead->attempts, false, r == 0);
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
        int error = r == -EMSGSIZE ? 0 : r;
        bool must_tell = error && error != dead->told_error;
        dead->told_error = error;
        let_go_if_asked(dead);
        pthread_mutex_unlock(&dead->lock);
        if (must_tell)
                report(dead->reporter, SEVERITY_ERR, 0,
                       "queue '%s': a message that cannot be delivered cannot be kept in %s either: %s. It waits, and "
                       "is tried again. The space of dead letters is bounded by %s; `penstock queue` shows, replays "
                       "and purges them",
                       dead->options.name, dead->directory, fail_text(r), dead->options.bytes_max_name);
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
