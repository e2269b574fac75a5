#include "input/imjournal_position.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/progress.h"
#include "io/file.h"
#include "module/module.h"

enum { STATE_FILE_BYTES_MAX = 4096 };

/* The batch holds it until it is finished. */
struct journal_promise {
        struct progress_promise promise;
        char cursor[CURSOR_BYTES_MAX];
};

struct journal_position {
        struct progress progress; /* its lock guards all below */
        struct journal_position_settings settings;
        char *path;
        char cursor[CURSOR_BYTES_MAX];
        bool has_failed; /* to write, and said so */
};

static bool move(struct progress *progress, const struct progress_promise *promise) {
        struct journal_position *p = CONTAINER_OF(progress, struct journal_position, progress);
        const struct journal_promise *kept = CONTAINER_OF(promise, const struct journal_promise, promise);
        if (!*kept->cursor)
                return false;
        memcpy(p->cursor, kept->cursor, sizeof p->cursor);
        return true;
}

static int write_cursor(struct progress *progress) {
        struct journal_position *p = CONTAINER_OF(progress, struct journal_position, progress);
        int r = (p->settings.is_synced ? file_replace : file_replace_soon)(p->path, text_of(p->cursor),
                                                                           p->settings.mode);
        if (r && !p->has_failed && !progress->is_stopped)
                module_report(p->settings.log, SEVERITY_ERR, 0,
                              "imjournal: cannot write the state file '%s': %s - after a restart messages will come "
                              "again. Let the daemon write there, or name another file with StateFile=\"...\"",
                              p->path, fail_text(r));
        p->has_failed = r != 0;
        return r ? pass(r) : 0;
}

static void free_position(struct progress *progress) {
        struct journal_position *p = CONTAINER_OF(progress, struct journal_position, progress);
        free(p->path);
        free(p);
}

static const struct progress_ops position_ops = {
        .promise_bytes = sizeof(struct journal_promise),
        .move = move,
        .write = write_cursor,
        .free = free_position,
};

int journal_position_new(struct journal_position **ret, const struct journal_position_settings *settings) {
        _owned_(journal_position_unref) struct journal_position *p = calloc(1, sizeof *p);
        if (!p)
                return fail(-ENOMEM);
        progress_init(&p->progress, &position_ops, settings->loop, settings->interval);
        p->settings = *settings;
        p->path = text_copy(text_of(settings->path));
        if (!p->path)
                return fail(-ENOMEM);
        *ret = TAKE(p);
        return 0;
}

struct journal_position *journal_position_unref(struct journal_position *p) {
        if (p)
                progress_unref(&p->progress);
        return NULL;
}

int journal_position_reach(struct journal_position *p, struct batch *b, const char *cursor, uint32_t messages) {
        struct journal_promise promise = {.promise.records = messages};
        size_t size = strlen(cursor);
        if (size < CURSOR_BYTES_MAX) /* else it cannot be written; the next one that can says more */
                memcpy(promise.cursor, cursor, size);
        return pass(progress_reach(&p->progress, b, &promise.promise));
}

int journal_position_stop(struct journal_position *p) {
        pthread_mutex_lock(&p->progress.lock);
        int r = progress_write_locked(&p->progress);
        p->progress.is_stopped = true;
        pthread_mutex_unlock(&p->progress.lock);
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
