#include "input/imjournal_position.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/promises.h"
#include "io/file.h"
#include "io/loop.h"
#include "message/batch.h"
#include "module/module.h"

enum { STATE_FILE_BYTES_MAX = 4096 };

/* The batch holds it until it is finished. */
struct journal_promise {
        struct promise promise;
        struct journal_position *position;
        uint32_t messages;
        char cursor[CURSOR_BYTES_MAX];
};

struct journal_position {
        atomic_uint references;
        pthread_mutex_t lock; /* guards all below */
        struct promises promises;
        struct journal_position_settings settings;
        char *path;
        char cursor[CURSOR_BYTES_MAX];
        uint64_t new_messages; /* finished, but not yet in the state file */
        bool is_changed;
        bool is_posted; /* a write waits on the loop */
        bool is_stopped;
        bool has_failed; /* to write, and said so */
};

int journal_position_new(struct journal_position **ret, const struct journal_position_settings *settings) {
        _owned_(journal_position_unref) struct journal_position *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        atomic_init(&p->references, 1);
        pthread_mutex_init(&p->lock, NULL);
        p->settings = *settings;
        p->path = text_copy(text_of(settings->path));
        if (!p->path)
                return fail(-ENOMEM);
        *ret = TAKE(p);
        return 0;
}

struct journal_position *journal_position_unref(struct journal_position *p) {
        if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        promises_fini(&p->promises);
        free(p->path);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return NULL;
}

/* Under the lock. What fails is tried again with the next write. */
static int write_locked(struct journal_position *p) {
        if (!p->is_changed)
                return 0;
        int r = (p->settings.is_synced ? file_replace : file_replace_soon)(p->path, text_of(p->cursor),
                                                                           p->settings.mode);
        if (r && !p->has_failed && !p->is_stopped)
                module_report(p->settings.log, SEVERITY_ERR, 0,
                              "imjournal: cannot write the state file '%s': %s - after a restart messages will come "
                              "again. Let the daemon write there, or name another file with StateFile=\"...\"",
                              p->path, fail_text(r));
        p->has_failed = r != 0;
        if (r)
                return pass(r);
        p->is_changed = false;
        p->new_messages = 0;
        return 0;
}

static void write_posted(void *argument) {
        struct journal_position *p = argument;
        pthread_mutex_lock(&p->lock);
        p->is_posted = false;
        write_locked(p);
        pthread_mutex_unlock(&p->lock);
        journal_position_unref(p);
}

/* Under the lock: a write on the loop, where none waits already. */
static void post_write(struct journal_position *p) {
        if (p->is_posted)
                return;
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
        if (loop_post(p->settings.loop, write_posted, p) == 0)
                p->is_posted = true;
        else
                atomic_fetch_sub_explicit(&p->references, 1, memory_order_relaxed);
}

/* Under the lock: takes kept promises from the front. */
static void settle(struct journal_position *p) {
        for (const struct journal_promise *kept; (kept = promises_take(&p->promises));) {
                if (*kept->cursor) {
                        memcpy(p->cursor, kept->cursor, sizeof p->cursor);
                        p->is_changed = true;
                }
                p->new_messages += kept->messages;
        }
        if (!p->is_changed)
                return;
        if (p->is_stopped && promises_are_kept(&p->promises))
                write_locked(p);
        else if (!p->is_stopped && p->new_messages >= (uint64_t)p->settings.interval)
                post_write(p);
}

/* The batch is finished; on whatever thread let go of it last. */
static void keep_promise(void *argument, uint64_t cookie _unused_) {
        struct journal_promise *promise = argument;
        struct journal_position *p = promise->position;
        pthread_mutex_lock(&p->lock);
        promise->promise.is_kept = true;
        settle(p);
        pthread_mutex_unlock(&p->lock);
        journal_position_unref(p);
}

/* The batch ended, and not all of it is safe: the promise stays unkept, so that the position never passes it. */
static void break_promise(void *argument, uint64_t cookie _unused_) {
        const struct journal_promise *promise = argument;
        journal_position_unref(promise->position);
}

int journal_position_reach(struct journal_position *p, struct batch *b, const char *cursor, uint32_t messages) {
        size_t size = strlen(cursor);
        if (size >= CURSOR_BYTES_MAX)
                size = 0; /* it cannot be written; the next one that can says more */
        pthread_mutex_lock(&p->lock);
        struct journal_promise *promise = promises_add(&p->promises, sizeof *promise);
        if (promise) {
                promise->position = p;
                promise->messages = messages;
                promise->promise.is_kept = !b;
                memcpy(promise->cursor, cursor, size);
                memset(promise->cursor + size, 0, sizeof promise->cursor - size);
                if (!b)
                        settle(p);
        }
        pthread_mutex_unlock(&p->lock);
        if (!promise)
                return fail(-ENOMEM);
        if (!b)
                return 0;
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
        struct acknowledgement a = {.done = keep_promise, .lost = break_promise, .input = promise};
        int r = batch_acknowledge(b, a);
        if (r)
                journal_position_unref(p); /* The promise stays unkept, so that the position never passes it. */
        return pass(r);
}

int journal_position_stop(struct journal_position *p) {
        pthread_mutex_lock(&p->lock);
        int r = write_locked(p);
        p->is_stopped = true;
        pthread_mutex_unlock(&p->lock);
        return pass(r);
}

int journal_position_read(const char *path, char cursor[static CURSOR_BYTES_MAX]) {
        _owned_(buffer_fini) struct buffer content = {0};
        int r = file_read_whole(path, STATE_FILE_BYTES_MAX, &content);
        if (r)
                return r == -EFBIG ? fail(-EBADMSG) : pass(r);
        struct text t = text_trim(buffer_as_text(&content));
        for (size_t i = 0; i < t.size; i++)
                if (!isgraph((unsigned char)t.data[i]))
                        return fail(-EBADMSG);
        if (t.size == 0 || t.size >= CURSOR_BYTES_MAX)
                return fail(-EBADMSG);
        memcpy(cursor, t.data, t.size);
        cursor[t.size] = '\0';
        return 0;
}
