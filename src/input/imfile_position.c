#include "input/imfile_position.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "input/promises.h"
#include "io/loop.h"
#include "message/batch.h"

/* The batch holds it until it is finished. */
struct line_promise {
        struct promise promise;
        struct position *position;
        int64_t offset;
        uint32_t lines;
        bool is_skipping;
};

struct position {
        atomic_uint references;
        pthread_mutex_t lock; /* guards all below */
        struct promises promises;
        struct state state;
        char *file, *obsolete;
        int64_t line_interval;
        bool after_batch;
        struct loop *loop;
        uint64_t new_lines; /* finished, but not yet in the state file */
        bool is_changed;
        bool is_posted; /* a write waits on the loop */
        bool is_stopped;
        bool is_forgotten;
};

static char *path_in(const char *directory, const char *name) {
        char path[FILE_PATH_BYTES_MAX];
        int size = *name == '/' ? snprintf(path, sizeof path, "%s", name)
                                : snprintf(path, sizeof path, "%s/%s", directory, name);
        return size < 0 || (size_t)size >= sizeof path ? NULL : strdup(path);
}

int position_new(struct position **ret, const struct position_settings *settings, struct state *state) {
        _owned_(position_unref) struct position *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        atomic_init(&p->references, 1);
        pthread_mutex_init(&p->lock, NULL);
        p->line_interval = settings->line_interval;
        p->after_batch = settings->after_batch;
        p->is_changed = settings->is_new;
        p->loop = settings->loop;
        p->file = path_in(settings->directory, settings->name);
        if (settings->obsolete)
                p->obsolete = path_in(settings->directory, settings->obsolete);
        if (!p->file || (settings->obsolete && !p->obsolete))
                return fail(-ENOMEM);
        p->state = *state;
        *state = (struct state){0};
        *ret = TAKE(p);
        return 0;
}

struct position *position_unref(struct position *p) {
        if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) > 1)
                return NULL;
        promises_fini(&p->promises);
        state_fini(&p->state);
        free(p->file);
        free(p->obsolete);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return NULL;
}

/* Under the lock. */
static int write_locked(struct position *p) {
        if (!p->is_changed || p->is_forgotten)
                return 0;
        _owned_(buffer_fini) struct buffer content = {0};
        state_print(&content, &p->state);
        int r = buffer_failed(&content);
        if (r == 0)
                r = (p->is_stopped ? file_replace_soon : file_replace)(p->file, buffer_as_text(&content), 0600);
        if (r)
                return pass(r);
        p->is_changed = false;
        p->new_lines = 0;
        if (p->obsolete && file_remove(p->obsolete) == 0) {
                free(p->obsolete);
                p->obsolete = NULL;
        }
        return 0;
}

int position_write(struct position *p) {
        pthread_mutex_lock(&p->lock);
        int r = write_locked(p);
        pthread_mutex_unlock(&p->lock);
        return pass(r);
}

static void write_posted(void *argument) {
        struct position *p = argument;
        pthread_mutex_lock(&p->lock);
        p->is_posted = false;
        write_locked(p); /* what fails is tried with the next batch, and reported at the end */
        pthread_mutex_unlock(&p->lock);
        position_unref(p);
}

/* Under the lock: takes kept promises from the front. */
static void settle(struct position *p) {
        for (const struct line_promise *kept; (kept = promises_take(&p->promises));) {
                p->state.offset = kept->offset;
                p->state.is_skipping = kept->is_skipping;
                p->new_lines += kept->lines;
                p->is_changed = true;
        }
        if (!p->is_changed)
                return;
        if (p->is_stopped) {
                if (promises_are_kept(&p->promises))
                        write_locked(p);
                return;
        }
        bool is_due = p->after_batch || (p->line_interval && p->new_lines >= (uint64_t)p->line_interval);
        if (!is_due || p->is_posted || !p->loop)
                return;
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
        if (loop_post(p->loop, write_posted, p) == 0)
                p->is_posted = true;
        else
                atomic_fetch_sub_explicit(&p->references, 1, memory_order_relaxed);
}

/* The batch is finished; on whatever thread let go of it last. */
static void keep_promise(void *argument, uint64_t cookie _unused_) {
        struct line_promise *line = argument;
        struct position *p = line->position;
        pthread_mutex_lock(&p->lock);
        line->promise.is_kept = true;
        settle(p);
        pthread_mutex_unlock(&p->lock);
        position_unref(p);
}

/* The batch ended, and not all of it is safe: the promise stays unkept, so that the position never passes it. */
static void break_promise(void *argument, uint64_t cookie _unused_) {
        const struct line_promise *line = argument;
        position_unref(line->position);
}

int position_reach(struct position *p, struct batch *b, int64_t offset, bool is_skipping, uint32_t lines) {
        pthread_mutex_lock(&p->lock);
        struct line_promise *line = promises_add(&p->promises, sizeof *line);
        if (line) {
                line->position = p;
                line->offset = offset;
                line->lines = lines;
                line->is_skipping = is_skipping;
                line->promise.is_kept = !b;
                if (!b)
                        settle(p);
        }
        pthread_mutex_unlock(&p->lock);
        if (!line)
                return fail(-ENOMEM);
        if (!b)
                return 0;
        atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
        struct acknowledgement a = {.done = keep_promise, .lost = break_promise, .input = line};
        int r = batch_acknowledge(b, a);
        if (r)
                position_unref(p); /* The promise stays unkept, so the position never passes it. */
        return pass(r);
}

void position_identify(struct position *p, const struct identity *identity) {
        pthread_mutex_lock(&p->lock);
        p->state.identity = *identity;
        pthread_mutex_unlock(&p->lock);
}

int position_rename(struct position *p, const char *path) {
        char *copy = strdup(path);
        if (!copy)
                return fail(-ENOMEM);
        pthread_mutex_lock(&p->lock);
        free(p->state.path);
        p->state.path = copy;
        p->is_changed = true;
        pthread_mutex_unlock(&p->lock);
        return 0;
}

int position_move(struct position *p, const char *directory, const char *name) {
        char *file = path_in(directory, name);
        if (!file)
                return fail(-ENOMEM);
        pthread_mutex_lock(&p->lock);
        free(p->file);
        p->file = file;
        p->is_changed = true;
        pthread_mutex_unlock(&p->lock);
        return 0;
}

void position_forget(struct position *p) {
        pthread_mutex_lock(&p->lock);
        p->is_forgotten = true;
        file_remove(p->file);
        if (p->obsolete)
                file_remove(p->obsolete);
        pthread_mutex_unlock(&p->lock);
}

int position_stop(struct position *p) {
        pthread_mutex_lock(&p->lock);
        p->is_stopped = true;
        p->loop = NULL;
        int r = write_locked(p);
        pthread_mutex_unlock(&p->lock);
        return pass(r);
}

int64_t position_offset(struct position *p) {
        pthread_mutex_lock(&p->lock);
        int64_t offset = p->state.offset;
        pthread_mutex_unlock(&p->lock);
        return offset;
}
