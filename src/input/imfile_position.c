#include "input/imfile_position.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "input/progress.h"

/* The batch holds it until it is finished. */
struct line_promise {
        struct progress_promise promise;
        int64_t offset;
        bool is_skipping;
};

struct position {
        struct progress progress; /* its lock guards all below */
        struct state state;
        char *file, *obsolete;
        bool is_forgotten;
};

static char *path_in(const char *directory, const char *name) {
        char path[FILE_PATH_BYTES_MAX];
        int size = *name == '/' ? snprintf(path, sizeof path, "%s", name)
                                : snprintf(path, sizeof path, "%s/%s", directory, name);
        return size < 0 || (size_t)size >= sizeof path ? NULL : strdup(path);
}

static bool move(struct progress *progress, const struct progress_promise *promise) {
        struct position *p = CONTAINER_OF(progress, struct position, progress);
        const struct line_promise *kept = CONTAINER_OF(promise, const struct line_promise, promise);
        p->state.offset = kept->offset;
        p->state.is_skipping = kept->is_skipping;
        return true;
}

static int write_state(struct progress *progress) {
        struct position *p = CONTAINER_OF(progress, struct position, progress);
        if (p->is_forgotten)
                return 0;
        _owned_(buffer_fini) struct buffer content = {0};
        state_print(&content, &p->state);
        int r = buffer_failed(&content);
        if (r == 0)
                r = (progress->is_stopped ? file_replace_soon : file_replace)(p->file, buffer_as_text(&content), 0600);
        if (r)
                return pass(r);
        if (p->obsolete && file_remove(p->obsolete) == 0) {
                free(p->obsolete);
                p->obsolete = NULL;
        }
        return 0;
}

static void free_position(struct progress *progress) {
        struct position *p = CONTAINER_OF(progress, struct position, progress);
        state_fini(&p->state);
        free(p->file);
        free(p->obsolete);
        free(p);
}

static const struct progress_ops position_ops = {
        .promise_bytes = sizeof(struct line_promise),
        .move = move,
        .write = write_state,
        .free = free_position,
};

/* Lines after which the state is written; as progress has it. */
static int64_t interval_of(const struct position_settings *settings) {
        if (settings->after_batch)
                return 0;
        return settings->line_interval ? settings->line_interval : -1;
}

int position_new(struct position **ret, const struct position_settings *settings, struct state *state) {
        _owned_(position_unref) struct position *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        progress_init(&p->progress, &position_ops, settings->loop, interval_of(settings));
        p->progress.is_changed = settings->is_new;
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
        if (p)
                progress_unref(&p->progress);
        return NULL;
}

int position_reach(struct position *p, struct batch *b, int64_t offset, bool is_skipping, uint32_t lines) {
        const struct line_promise line = {{.records = lines}, offset, is_skipping};
        return pass(progress_reach(&p->progress, b, &line.promise));
}

int position_write(struct position *p) {
        pthread_mutex_lock(&p->progress.lock);
        int r = progress_write_locked(&p->progress);
        pthread_mutex_unlock(&p->progress.lock);
        return pass(r);
}

void position_identify(struct position *p, const struct identity *identity) {
        pthread_mutex_lock(&p->progress.lock);
        p->state.identity = *identity;
        pthread_mutex_unlock(&p->progress.lock);
}

int position_rename(struct position *p, const char *path) {
        char *copy = strdup(path);
        if (!copy)
                return fail(-ENOMEM);
        pthread_mutex_lock(&p->progress.lock);
        free(p->state.path);
        p->state.path = copy;
        p->progress.is_changed = true;
        pthread_mutex_unlock(&p->progress.lock);
        return 0;
}

int position_move(struct position *p, const char *directory, const char *name) {
        char *file = path_in(directory, name);
        if (!file)
                return fail(-ENOMEM);
        pthread_mutex_lock(&p->progress.lock);
        free(p->file);
        p->file = file;
        p->progress.is_changed = true;
        pthread_mutex_unlock(&p->progress.lock);
        return 0;
}

void position_forget(struct position *p) {
        pthread_mutex_lock(&p->progress.lock);
        p->is_forgotten = true;
        file_remove(p->file);
        if (p->obsolete)
                file_remove(p->obsolete);
        pthread_mutex_unlock(&p->progress.lock);
}

int position_stop(struct position *p) {
        pthread_mutex_lock(&p->progress.lock);
        p->progress.is_stopped = true;
        int r = progress_write_locked(&p->progress);
        pthread_mutex_unlock(&p->progress.lock);
        return pass(r);
}

int64_t position_offset(struct position *p) {
        pthread_mutex_lock(&p->progress.lock);
        int64_t offset = p->state.offset;
        pthread_mutex_unlock(&p->progress.lock);
        return offset;
}
