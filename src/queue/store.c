/*
 * What always holds in a store; store_check() asserts it whenever the lock has been
 * used to change something, and tests cite the numbers.
 *
 *   I1  synced mark <= written mark <= mark <= cursor <= next: what is complete was leased,
 *       what is leased was appended.
 *   I2  synced <= durable < next: nothing is acknowledged before it is admitted.
 *   I3  With syncing, durable == synced: nothing is acknowledged before it is on the disk.
 *   I4  LSNs in chunks are contiguous and begin behind what is durable: nothing is written
 *       out of order, nothing that is not durable is forgotten.
 *   I5  A segment begins only when everything before it is durable (store_flush.c).
 *   I6  A segment leaves the order only below a mark that is on the disk (store_keep.c).
 *   I7  Segments lie in the order of their numbers; behind the planned ones nothing has a base.
 *   I8  An abandoned segment is never written again (store_flush.c).
 *   I9  Control files only go forward, and the one that was synced last is not touched before
 *       the other one is: generation and mark (store_keep.c).
 *   I10 Every message is in exactly one state: complete, leased, released, waiting. The
 *       counts add up.
 *   I11 A number of a segment and a salt are used once.
 */
#include "queue/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "base/text.h"
#include "queue/store_codec.h"
#include "queue/store_inside.h"
#include "queue/store_read.h"

static void check_chunks(const struct store *s) {
        uint64_t lsn = s->inflight.first ? s->inflight.first->first_lsn : 0;
        assert(!lsn || lsn == s->durable_lsn + 1);
        assert(s->inflight.first || !s->staged.first || s->staged.first->first_lsn == s->durable_lsn + 1);
        if (s->inflight.last && s->staged.first)
                assert(s->inflight.last->end_lsn == s->staged.first->first_lsn);
        const struct chunk *last = s->staged.last ? s->staged.last : s->inflight.last;
        assert((last ? last->end_lsn : s->durable_lsn + 1) == s->next_lsn);
}

void store_check(const struct store *s) {
        assert(s->control.mark_lsn <= s->written_mark && s->written_mark <= store_mark(s));
        assert(store_mark(s) <= s->cursor_lsn + s->cursor_done);
        assert(s->cursor_lsn + s->cursor_done <= s->next_lsn);
        assert(s->synced_lsn <= s->durable_lsn && s->durable_lsn < s->next_lsn);
        assert(s->plan_at <= s->segments_count);
        assert(s->plan_at == s->segments_count || s->segments[s->plan_at]->base_lsn == 0);
        assert(!s->plan_at || s->plan_at == s->segments_count ||
               s->segments[s->plan_at - 1]->sequence < s->segments[s->plan_at]->sequence);
        assert(s->released_count <= s->leases_count);
        assert(s->leased_messages + s->released_messages <= s->cursor_lsn - store_mark(s) + s->cursor_done);
        assert(s->index_next - s->index_first <= INDEX_FRAMES);
        check_chunks(s);
}

static const struct {
        int error;
        const char *remedy;
} remedies[] = {
        {-EBUSY, "another process has this queue open; end it, or give each its own directory"},
        {-ELOOP, "a symbolic link lies there; remove it, and find out who put it there"},
        {-EPERM, "it belongs to or can be written by somebody else; set owner and mode (directory 0700, files 0600)"},
        {-EACCES, "this process may not; set owner and mode (directory 0700, files 0600)"},
        {-EROFS, "the file system is read-only; mount it for writing, or move queue.spoolDirectory"},
        {-EDQUOT, "the quota of the disk is used up; what was accepted is safe"},
        {-EIO, "the disk fails; what was acknowledged stays acknowledged, nothing more is until writing works"},
        {-ENOENT, "files or the directory were removed while in use; see to it that the directory above is there, and "
                  "it is made again; what memory has is written there, and messages are taken again"},
        {-EINVAL, "what lies there is not a regular file; remove it"},
        {-ENOTDIR, "the path is not a directory"},
};

static const char *space_parameter(const struct store *s) {
        return s->options.bytes_max_name ? s->options.bytes_max_name : "queue.maxDiskSpace";
}

void store_complain(struct store *s, int error, const char *what) {
        const char *remedy = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(remedies); i++) {
                if (remedies[i].error == error)
                        remedy = remedies[i].remedy;
        }
        if (error == -ENOSPC)
                report(s->reporter, SEVERITY_ERR, 0,
                       "queue %s: %s: %s: %s; make room, or raise %s; what was accepted is safe, and senders that can "
                       "wait do",
                       s->name, s->path, what, fail_text(error), space_parameter(s));
        else
                report(s->reporter, SEVERITY_ERR, 0, "queue %s: %s: %s: %s%s%s", s->name, s->path, what,
                       fail_text(error), remedy ? "; " : "", remedy ? remedy : "");
}

static void close_file(struct store *s, int *fd) {
        if (*fd >= 0)
                s->disk->ops->close(s->disk, *fd);
        *fd = -1;
}

static struct store *store_free(struct store *s) {
        if (!s)
                return NULL;
        close_file(s, &s->writing_fd);
        close_file(s, &s->read_fd);
        for (unsigned i = 0; i < CONTROL_FILES; i++)
                close_file(s, &s->control_files[i]);
        int directory = s->directory;
        close_file(s, &directory);
        for (uint32_t i = 0; i < s->retired_count; i++)
                close_file(s, &s->retired[i]);
        /* The lock goes last. */
        close_file(s, &s->lock_file);
        chunks_free(&s->staged);
        chunks_free(&s->inflight);
        chunks_free(&(struct chunk_list){.first = s->spare});
        for (size_t i = 0; i < s->segments_count; i++)
                free(s->segments[i]);
        for (size_t i = 0; i < s->freed_count; i++)
                free(s->freed[i]);
        for (size_t i = 0; i < s->leases_count; i++)
                free(s->leases[(s->leases_first + i) % s->leases_capacity].bits);
        free(s->segments);
        free(s->freed);
        free(s->leases);
        free(s->index);
        free(s->window);
        free(s->path);
        free(s->name);
        codec_free(s->codec);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->reading);
        pthread_mutex_destroy(&s->marking);
        pthread_cond_destroy(&s->work);
        pthread_cond_destroy(&s->keep);
        pthread_cond_destroy(&s->filled);
        pthread_cond_destroy(&s->moved);
        free(s);
        return NULL;
}
OWNED_POINTER(struct store, store_free);

static void init_conditions(struct store *s) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&s->work, &attributes);
        pthread_cond_init(&s->keep, &attributes);
        pthread_cond_init(&s->filled, &attributes);
        pthread_cond_init(&s->moved, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->reading, NULL);
        pthread_mutex_init(&s->marking, NULL);
}

/* Whole blocks, not too small to work with, and several of them within the bound. */
static uint64_t choose_segment_bytes(const struct store_options *o) {
        uint64_t bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES_DEFAULT;
        if (o->bytes_max)
                bytes = MIN(bytes, o->bytes_max / 4);
        return MAX(bytes, (uint64_t)SEGMENT_BYTES_MIN) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
}

static int store_new(struct store **ret, const struct store_options *o, struct reporter *reporter) {
        _owned_(store_free) struct store *s = calloc(1, sizeof *s);
        if (!s)
                return fail(-ENOMEM);
        init_conditions(s);
        s->disk = o->disk ? o->disk : disk_real();
        s->reporter = reporter;
        s->options = *o;
        s->directory = s->lock_file = s->writing_fd = s->read_fd = -1;
        for (unsigned i = 0; i < CONTROL_FILES; i++)
                s->control_files[i] = -1;
        s->control.mark_lsn = s->written_mark = 1;
        s->cursor_lsn = s->next_lsn = 1;
        s->prepared_wanted = 1;
        s->segment_bytes = choose_segment_bytes(o);
        s->staged_bytes_max = o->staged_bytes_max ? o->staged_bytes_max : STAGED_BYTES_DEFAULT;
        s->unsynced_max =
                MAX(o->unsynced_messages ? o->unsynced_messages : (uint64_t)UNSYNCED_DEFAULT, o->checkpoint_messages);
        s->path = text_copy(text_of(o->directory));
        s->name = text_copy(text_of(o->name ? o->name : ""));
        s->index = malloc(INDEX_FRAMES * sizeof *s->index);
        s->window = malloc(WINDOW_BYTES);
        if (!s->path || !s->name || !s->index || !s->window)
                return fail(-ENOMEM);
        *ret = TAKE(s);
        return 0;
}

enum { DIRECTORY_WRITABLE_BY_OTHERS = 022 };

static int hold_lock(struct store *s, struct held_directory *held) {
        struct disk_info info;
        int r = s->disk->ops->info(s->disk, held->fd, &info);
        if (r)
                return pass(r);
        if (info.mode & DIRECTORY_WRITABLE_BY_OTHERS)
                return fail(-EPERM);
        held->owner = info.uid;
        held->lock = store_open_in(s, held->fd, held->owner, "lock", O_RDWR | O_CREAT, NULL);
        return held->lock < 0 ? pass(held->lock) : pass(s->disk->ops->lock(s->disk, held->lock));
}

int store_hold_directory(struct store *s, struct held_directory *ret) {
        struct held_directory held = {.lock = -1};
        held.fd = s->disk->ops->open_directory(s->disk, s->path, true);
        if (held.fd < 0)
                return pass(held.fd);
        int r = hold_lock(s, &held);
        if (r) {
                close_file(s, &held.lock);
                close_file(s, &held.fd);
                return pass(r);
        }
        *ret = held;
        return 0;
}

static int take_directory(struct store *s) {
        struct held_directory held;
        int r = store_hold_directory(s, &held);
        if (r)
                return pass(r);
        s->directory = held.fd;
        s->lock_file = held.lock;
        s->owner = held.owner;
        return 0;
}

static int begin(struct store *s) {
        int r = take_directory(s);
        if (!r)
                r = s->disk->ops->random(s->disk, s->session, sizeof s->session);
        if (!r)
                r = codec_new(&s->codec, &s->options, s->session, s->reporter);
        if (!r)
                r = store_recover(s);
        if (!r)
                r = store_control_files(s);
        return pass(r);
}

static int start_threads(struct store *s) {
        int r = pthread_create(&s->flusher, NULL, store_flusher, s);
        if (r)
                return fail(-r);
        r = pthread_create(&s->keeper, NULL, store_keeper, s);
        if (r) {
                pthread_mutex_lock(&s->lock);
                s->is_closing = true;
                pthread_cond_broadcast(&s->work);
                pthread_mutex_unlock(&s->lock);
                pthread_join(s->flusher, NULL);
                return fail(-r);
        }
        s->has_threads = true;
        return 0;
}

static int open_store(struct store **ret, const struct store_options *options, struct reporter *reporter,
                      bool is_by_hand) {
        _owned_(store_free) struct store *s = NULL;
        int r = store_new(&s, options, reporter);
        if (r)
                return pass(r);
        s->is_by_hand = is_by_hand;
        r = begin(s);
        if (r) {
                store_complain(s, r, "the queue cannot be opened");
                return pass(r);
        }
        store_check(s);
        if (!is_by_hand)
                r = start_threads(s);
        if (r)
                return pass(r);
        *ret = TAKE(s);
        return 0;
}

int store_open(struct store **ret, const struct store_options *options, struct reporter *reporter) {
        return pass(open_store(ret, options, reporter, false));
}

int store_open_by_hand(struct store **ret, const struct store_options *options, struct reporter *reporter) {
        return pass(open_store(ret, options, reporter, true));
}

/* Writes what is staged, as the flusher would before it ends. */
static void flush_by_hand(struct store *s) {
        while (!s->error && store_flush_round(s) == 0)
                ;
}

/* Without syncing, what was written this time is synced now: from the mark on, one file after the other. */
static int sync_written(struct store *s) {
        int first_error = 0;
        for (size_t i = 0; i < s->plan_at; i++) {
                if (s->segments[i]->base_lsn <= s->synced_lsn && s->segments[i]->end_lsn &&
                    s->segments[i]->end_lsn - 1 <= s->synced_lsn)
                        continue;
                int fd = store_open_segment(s, s->segments[i]->sequence, O_RDWR, NULL);
                int r = fd < 0 ? fd : s->disk->ops->sync_data(s->disk, fd);
                close_file(s, &fd);
                if (r && !first_error)
                        first_error = r;
        }
        if (!first_error)
                s->synced_lsn = s->durable_lsn;
        return pass(first_error);
}

int store_close(struct store *s) {
        pthread_mutex_lock(&s->lock);
        s->is_closing = true;
        pthread_cond_broadcast(&s->work);
        pthread_cond_broadcast(&s->moved);
        pthread_mutex_unlock(&s->lock);
        if (s->has_threads) {
                pthread_join(s->flusher, NULL);
                pthread_join(s->keeper, NULL);
        } else {
                flush_by_hand(s);
        }
        int r = s->error;
        if (!r && !s->options.is_synced)
                r = sync_written(s);
        s->is_control_dirty = true;
        int control = store_keep_round(s, true);
        store_free(s);
        return r ? r : control;
}

uint64_t store_durable(struct store *s) {
        pthread_mutex_lock(&s->lock);
        uint64_t lsn = s->durable_lsn;
        pthread_mutex_unlock(&s->lock);
        return lsn;
}

static int wait_by_hand(struct store *s, uint64_t lsn) {
        while (s->durable_lsn < lsn && !s->error)
                (void)store_flush_round(s);
        return s->durable_lsn < lsn ? pass(s->error) : 0;
}

int store_wait(struct store *s, uint64_t lsn) {
        if (s->is_by_hand)
                return wait_by_hand(s, lsn);
        pthread_mutex_lock(&s->lock);
        assert(lsn < s->next_lsn);
        if (s->durable_lsn >= lsn || s->error) {
                int r = s->durable_lsn >= lsn ? 0 : s->error;
                pthread_mutex_unlock(&s->lock);
                return r ? pass(r) : 0;
        }
        struct waiter w = {.next = s->waiters, .lsn = lsn};
        sem_init(&w.told, 0, 0);
        s->waiters = &w;
        pthread_mutex_unlock(&s->lock);
        while (sem_wait(&w.told))
                assert(errno == EINTR);
        sem_destroy(&w.told);
        return w.result ? pass(w.result) : 0;
}

void store_state(struct store *s, struct store_state *state) {
        pthread_mutex_lock(&s->lock);
        uint64_t waiting = s->next_lsn - s->cursor_lsn - s->cursor_done + s->released_messages;
        int64_t oldest_us = s->leases_count ? s->leases[s->leases_first].time_us : 0;
        if (!oldest_us && s->cursor_lsn < s->next_lsn) {
                const struct index_entry *e = store_index(s, s->cursor_lsn);
                oldest_us = e ? e->time_us : s->cursor_time_us;
        }
        *state = (struct store_state){
                .next_lsn = s->next_lsn,
                .durable_lsn = s->durable_lsn,
                .mark_lsn = store_mark(s),
                .unleased = waiting,
                .leased = s->leased_messages,
                .bytes = s->bytes,
                .segments = s->segments_count + s->freed_count,
                .quarantined = s->quarantined,
                .torn = s->torn,
                .oldest_us = oldest_us,
                .error = s->error ? s->error : s->room_error,
        };
        pthread_mutex_unlock(&s->lock);
}
