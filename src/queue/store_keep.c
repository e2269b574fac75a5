/*
 * The keeper: everything that takes time and that nobody should have to wait for.
 *
 *   control file    when the mark has moved far enough, a segment is done with, or a second has passed
 *   written mark    where whoever completes could not write it because the keeper was at it
 *   freed segments  used again, kept aside when damaged, or removed; only below a mark that is durable
 *   prepared ones   whole on the disk, named, and headed, before a frame may be admitted to them
 *
 * A file's way: SEQUENCE.new, written with zeros and synced, renamed to SEQUENCE.segment, the
 * directory synced. One that is used again gets a new header (a new salt makes all that it
 * holds invalid), is synced and renamed. A name that ends in .segment therefore always has
 * a whole header, and a broken one is damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"
#include "queue/store_inside.h"
#include "queue/store_read.h"

enum { ZERO_BYTES = 256 << 10 };

void store_wake_keeper(struct store *s) {
        if (s->is_keeper_idle)
                pthread_cond_signal(&s->keep);
}

/* Writes the block that holds `c`. The file is the generation's lowest bit. */
static int write_control_block(struct store *s, const struct control *c) {
        uint8_t block[CONTROL_BLOCK_BYTES];
        control_write(block, c);
        int fd = s->control_files[c->generation % CONTROL_FILES];
        return pass(store_pwrite(s, fd, block, sizeof block, 0));
}

/* After a failed sync the whole block is written anew, so nothing is trusted that was not synced. */
static int sync_control_file(struct store *s, const struct control *c) {
        return pass(s->disk->ops->sync_data(s->disk, s->control_files[c->generation % CONTROL_FILES]));
}

/*
 * Under lock: the segment that holds the mark. Where nothing was admitted yet it is the first that may be: whatever is
 * older is not needed, though its file may still be there to be used again, its header written in place.
 */
static uint64_t mark_sequence(const struct store *s, struct place mark) {
        if (mark.segment)
                return mark.segment->sequence;
        return s->segments_count ? s->segments[0]->sequence : s->next_sequence;
}

/* Under lock: what the control file should say now. */
static struct control control_now(struct store *s) {
        struct control c = {
                .generation = s->control.generation + 1,
                .mark_lsn = store_mark(s),
                .durable_lsn = s->synced_lsn,
                .next_sequence = s->next_sequence,
                .segment_bytes = s->segment_bytes,
                .time_us = s->disk->ops->wall_us(s->disk),
        };
        store_settle_cursor(s);
        struct place mark = store_mark_place(s);
        c.mark_segment = mark_sequence(s, mark);
        c.mark_offset = mark.offset;
        memcpy(c.queue_id, s->queue_id, sizeof c.queue_id);
        strncpy(c.name, s->name, sizeof c.name - 1);
        return c;
}

static void resume(struct store *s, bool is_awaited) {
        if (is_awaited && s->options.resumed)
                s->options.resumed(s->options.owner);
}

/*
 * The mark as it is now is written to where the next synced one will be, over one that was not synced: the process may
 * end. Should the power go, the other file stands. Under marking.
 */
static int write_mark(struct store *s, struct control *ret) {
        pthread_mutex_lock(&s->lock);
        struct control c = control_now(s);
        s->is_mark_due = false;
        pthread_mutex_unlock(&s->lock);
        int r = write_control_block(s, &c);
        pthread_mutex_lock(&s->lock);
        assert(c.mark_lsn >= s->written_mark);
        if (!r)
                s->written_mark = c.mark_lsn;
        bool is_awaited = !r && s->is_lease_awaited;
        s->is_lease_awaited &= !is_awaited;
        pthread_mutex_unlock(&s->lock);
        resume(s, is_awaited);
        *ret = c;
        return pass(r);
}

void store_write_mark(struct store *s) {
        struct control c;
        if (pthread_mutex_trylock(&s->marking))
                return;
        int r = write_mark(s, &c);
        pthread_mutex_unlock(&s->marking);
        if (!r)
                return;
        /* The keeper finds out why, and says so. */
        pthread_mutex_lock(&s->lock);
        s->is_control_dirty = s->is_control_due = true;
        store_wake_keeper(s);
        pthread_mutex_unlock(&s->lock);
}

/* The mark as it is now becomes durable. */
static int write_control(struct store *s) {
        struct control c;
        pthread_mutex_lock(&s->marking);
        pthread_mutex_lock(&s->lock);
        s->completed = 0;
        s->is_control_dirty = s->is_control_due = false;
        pthread_mutex_unlock(&s->lock);
        int r = write_mark(s, &c);
        if (!r)
                r = sync_control_file(s, &c);
        pthread_mutex_lock(&s->lock);
        bool is_news = r && r != s->control_error;
        s->control_error = r;
        if (r) {
                s->is_control_dirty = true;
                s->control_dirty_ns = clock_mono_coarse_ns();
        } else {
                assert(c.mark_lsn >= s->control.mark_lsn && c.generation > s->control.generation);
                s->control = c;
        }
        bool is_awaited = s->is_lease_awaited;
        s->is_lease_awaited = s->is_sync_awaited = false;
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_unlock(&s->marking);
        resume(s, is_awaited);
        if (is_news)
                store_complain(s, r, "its control file cannot be written; messages may come twice after a restart");
        return pass(r);
}

static int open_control_files(struct store *s) {
        for (unsigned i = 0; i < CONTROL_FILES; i++) {
                if (s->control_files[i] < 0) {
                        int fd = store_open_file(s, control_file_name(i), O_RDWR | O_CREAT, NULL);
                        if (fd < 0)
                                return pass(fd);
                        s->control_files[i] = fd;
                }
        }
        return 0;
}

int store_control_files(struct store *s) {
        int opened = open_control_files(s);
        if (opened)
                return pass(opened);
        /* Both are written, so that later writes need no space. */
        for (unsigned i = 0; i < CONTROL_FILES; i++) {
                struct control c = control_now(s);
                int r = write_control_block(s, &c);
                if (!r)
                        r = sync_control_file(s, &c);
                if (r)
                        return pass(r);
                s->control = c;
        }
        s->written_mark = s->control.mark_lsn;
        return pass(s->disk->ops->sync(s->disk, s->directory));
}

static int room_for_freed(struct store *s, size_t more) {
        if (s->freed_count + more <= s->freed_capacity)
                return 0;
        size_t capacity = MAX(2 * s->freed_capacity, s->freed_count + more);
        struct store_segment **freed = realloc(s->freed, capacity * sizeof *freed);
        if (!freed)
                return fail(-ENOMEM);
        s->freed = freed;
        s->freed_capacity = capacity;
        return 0;
}

/*
 * Under lock. What is complete need not be durable: it may have been leased while it was staged, and the flusher may
 * still be at it.
 */
static bool is_free(const struct store *s, const struct store_segment *segment) {
        return segment->sequence < s->control.mark_segment && segment->end_lsn <= s->durable_lsn + 1 &&
               segment != s->writing;
}

/* Takes those out of the order that lie below the durable mark. */
static void free_segments(struct store *s) {
        pthread_mutex_lock(&s->lock);
        size_t n = 0;
        while (n < s->plan_at && is_free(s, s->segments[n])) {
                assert(s->segments[n]->end_lsn <= s->control.mark_lsn);
                assert(s->segments[n] != s->cursor.segment);
                n++;
        }
        if (n && room_for_freed(s, n) == 0) {
                memcpy(s->freed + s->freed_count, s->segments, n * sizeof *s->freed);
                s->freed_count += n;
                s->is_lacking = false;
                s->segments_count -= n;
                s->plan_at -= n;
                memmove(s->segments, s->segments + n, s->segments_count * sizeof *s->segments);
        }
        pthread_mutex_unlock(&s->lock);
}

static int write_header(struct store *s, int fd, uint64_t sequence, const uint8_t *salt) {
        uint8_t block[SEGMENT_BLOCK_BYTES];
        struct segment_header header = {
                .sequence = sequence,
                .durable_lsn = s->control.durable_lsn,
                .time_us = s->disk->ops->wall_us(s->disk),
        };
        memcpy(header.queue_id, s->queue_id, sizeof header.queue_id);
        memcpy(header.session, s->session, sizeof header.session);
        memcpy(header.salt, salt, sizeof header.salt);
        strncpy(header.name, s->name, sizeof header.name - 1);
        segment_header_write(block, &header);
        return pass(store_pwrite(s, fd, block, sizeof block, 0));
}

static int write_zeros(struct store *s, int fd, uint64_t from, uint64_t to) {
        _owned_(memory_free) uint8_t *zeros = calloc(1, ZERO_BYTES);
        if (!zeros)
                return fail(-ENOMEM);
        while (from < to) {
                size_t n = (size_t)MIN(to - from, (uint64_t)ZERO_BYTES);
                int r = store_pwrite(s, fd, zeros, n, from);
                if (r)
                        return pass(r);
                from += n;
        }
        return 0;
}

/* Makes the file whole and synced; its name is not yet. */
static int fill_new(struct store *s, const char *name, uint64_t sequence, const uint8_t *salt) {
        int fd = s->disk->ops->open(s->disk, s->directory, name, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return pass(fd);
        int r = write_zeros(s, fd, 0, s->segment_bytes);
        if (!r)
                r = write_header(s, fd, sequence, salt);
        if (!r)
                r = s->disk->ops->sync(s->disk, fd);
        s->disk->ops->close(s->disk, fd);
        if (r)
                s->disk->ops->unlink(s->disk, s->directory, name);
        return pass(r);
}

static int create_file(struct store *s, uint64_t sequence, const uint8_t *salt) {
        char name[SEGMENT_FILE_NAME_BYTES], final[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, sequence, "new");
        segment_name(final, sequence, "segment");
        int r = fill_new(s, name, sequence, salt);
        if (r == -EEXIST) {
                s->disk->ops->unlink(s->disk, s->directory, name);
                r = fill_new(s, name, sequence, salt);
        }
        if (r)
                return pass(r);
        r = s->disk->ops->rename(s->disk, s->directory, name, s->directory, final);
        if (r) {
                s->disk->ops->unlink(s->disk, s->directory, name);
                return pass(r);
        }
        r = s->disk->ops->sync(s->disk, s->directory);
        if (r)
                s->disk->ops->unlink(s->disk, s->directory, final);
        return pass(r);
}

/* A segment that the mark is not beyond would be missed if its header broke: so it is no segment any more first. */
static int unname_spare(struct store *s, char name[static SEGMENT_FILE_NAME_BYTES], uint64_t sequence) {
        char next[SEGMENT_FILE_NAME_BYTES];
        segment_name(next, sequence, "new");
        int r = s->disk->ops->rename(s->disk, s->directory, name, s->directory, next);
        if (r)
                return pass(r);
        memcpy(name, next, sizeof next);
        return pass(s->disk->ops->sync(s->disk, s->directory));
}

/* The same for a file that was used before: only its header is written. `name` is what it is called at the end. */
static int recycle_file(struct store *s, const struct store_segment *old, uint64_t sequence, const uint8_t *salt,
                        char name[static SEGMENT_FILE_NAME_BYTES]) {
        char final[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, old->sequence, old->is_put_by ? "free" : "segment");
        segment_name(final, sequence, "segment");
        uint64_t size;
        int fd = store_open_file(s, name, O_RDWR, &size);
        if (fd < 0)
                return pass(fd);
        int r = size == s->segment_bytes ? 0 : fail(-EINVAL);
        if (!r && old->is_spare)
                r = unname_spare(s, name, sequence);
        if (!r)
                r = write_header(s, fd, sequence, salt);
        if (!r)
                r = s->disk->ops->sync_data(s->disk, fd);
        s->disk->ops->close(s->disk, fd);
        if (!r)
                r = s->disk->ops->rename(s->disk, s->directory, name, s->directory, final);
        if (r)
                return pass(r);
        memcpy(name, final, sizeof final);
        return pass(s->disk->ops->sync(s->disk, s->directory));
}

static struct store_segment *take_freed(struct store *s) {
        pthread_mutex_lock(&s->lock);
        struct store_segment *freed = s->freed_count ? s->freed[--s->freed_count] : NULL;
        if (freed)
                s->bytes -= freed->size;
        pthread_mutex_unlock(&s->lock);
        return freed;
}

/* Removes the file, or sets it aside when something in it is damaged. */
static void drop_file(struct store *s, const struct store_segment *segment) {
        char name[SEGMENT_FILE_NAME_BYTES], aside[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, segment->sequence, segment->is_put_by ? "free" : "segment");
        segment_name(aside, segment->sequence, "damaged");
        if (segment->is_damaged)
                s->disk->ops->rename(s->disk, s->directory, name, s->directory, aside);
        else
                s->disk->ops->unlink(s->disk, s->directory, name);
}

static bool may_recycle(const struct store *s, const struct store_segment *segment) {
        return !segment->is_damaged && !segment->is_abandoned && !segment->is_missing &&
               segment->size == s->segment_bytes;
}

/* A file of the name `sequence`, from a freed one if there is one that serves. */
static int make_file(struct store *s, uint64_t sequence, const uint8_t *salt) {
        struct store_segment *freed;
        while ((freed = take_freed(s))) {
                char name[SEGMENT_FILE_NAME_BYTES];
                bool may = may_recycle(s, freed);
                int r = may ? recycle_file(s, freed, sequence, salt, name) : -EINVAL;
                if (r && may)
                        s->disk->ops->unlink(s->disk, s->directory, name);
                else if (r)
                        drop_file(s, freed);
                free(freed);
                if (!r)
                        return 0;
        }
        pthread_mutex_lock(&s->lock);
        bool fits = !s->options.bytes_max || s->bytes + s->segment_bytes <= s->options.bytes_max;
        pthread_mutex_unlock(&s->lock);
        return fits ? pass(create_file(s, sequence, salt)) : fail(-ENOSPC);
}

/* Adds one prepared segment to the end of the order. */
static int prepare_one(struct store *s) {
        uint8_t salt[SEGMENT_SALT_BYTES];
        int r = s->disk->ops->random(s->disk, salt, sizeof salt);
        if (r)
                return pass(r);
        /* A number is used once, whatever becomes of it. */
        pthread_mutex_lock(&s->lock);
        uint64_t sequence = s->next_sequence++;
        pthread_mutex_unlock(&s->lock);
        r = make_file(s, sequence, salt);
        if (r)
                return pass(r);
        pthread_mutex_lock(&s->lock);
        struct store_segment *made = store_segment_add(s, sequence);
        if (made) {
                made->size = s->segment_bytes;
                made->planned = SEGMENT_FRAMES_AT;
                made->is_loaded = true;
                memcpy(made->salt, salt, sizeof made->salt);
                memcpy(made->session, s->session, sizeof made->session);
                s->bytes += made->size;
        }
        pthread_mutex_unlock(&s->lock);
        if (!made)
                drop_file(s, &(struct store_segment){.sequence = sequence});
        return made ? 0 : fail(-ENOMEM);
}

/* Grows the first prepared segment, for a frame that is larger than a segment. */
static int grow_prepared(struct store *s, struct store_segment *segment, uint64_t size) {
        size = (size + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
        if (s->options.bytes_max && s->bytes - segment->size + size > s->options.bytes_max)
                return fail(-ENOSPC);
        int fd = store_open_segment(s, segment->sequence, O_RDWR, NULL);
        if (fd < 0)
                return pass(fd);
        int r = write_zeros(s, fd, segment->size, size);
        if (!r)
                r = s->disk->ops->sync(s->disk, fd);
        if (r)
                s->disk->ops->truncate(s->disk, fd, segment->size);
        s->disk->ops->close(s->disk, fd);
        if (r)
                return pass(r);
        pthread_mutex_lock(&s->lock);
        s->bytes += size - segment->size;
        segment->size = size;
        pthread_mutex_unlock(&s->lock);
        return 0;
}

/* Under lock: how many segments lie ahead of the planning. */
static size_t prepared(const struct store *s) {
        return s->segments_count - s->plan_at;
}

static int prepare(struct store *s) {
        for (;;) {
                pthread_mutex_lock(&s->lock);
                uint64_t wanted = s->room_wanted;
                size_t ahead = prepared(s);
                struct store_segment *first = ahead ? s->segments[s->plan_at] : NULL;
                bool must_grow = wanted && first && first->size < wanted;
                bool has_room = wanted && first && first->size >= wanted;
                if (has_room || (first && s->room_error)) {
                        s->room_wanted = has_room ? 0 : wanted;
                        s->room_error = 0;
                        pthread_cond_broadcast(&s->moved);
                }
                bool is_done = !must_grow && ahead >= s->prepared_wanted;
                /* Making a segment takes long; what came meanwhile is not done twice for that. */
                bool writes = s->is_control_due && !wanted;
                pthread_mutex_unlock(&s->lock);
                if (is_done)
                        return 0;
                if (writes)
                        (void)write_control(s);
                /* While somebody waits for room, nobody plans: `first` stays where it is. */
                int r = must_grow ? grow_prepared(s, first, wanted) : prepare_one(s);
                if (r)
                        return pass(r);
        }
}

/* Under a name of its own, so that without control files nobody takes it for part of the backlog. */
static void put_by(struct store *s, struct store_segment *segment) {
        char name[SEGMENT_FILE_NAME_BYTES], free_name[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, segment->sequence, "segment");
        segment_name(free_name, segment->sequence, "free");
        if (!segment->is_put_by)
                segment->is_put_by = s->disk->ops->rename(s->disk, s->directory, name, s->directory, free_name) == 0;
}

/* Of freed segments some are kept for the next burst: making one costs as much as filling it. */
static void drop_freed(struct store *s) {
        for (size_t at = 0; at < s->freed_count;) {
                struct store_segment *freed = s->freed[at];
                if (at < FREED_KEPT_MAX && may_recycle(s, freed)) {
                        put_by(s, freed);
                        at++;
                        continue;
                }
                drop_file(s, freed);
                pthread_mutex_lock(&s->lock);
                s->bytes -= freed->size;
                s->freed[at] = s->freed[--s->freed_count];
                pthread_mutex_unlock(&s->lock);
                free(freed);
        }
}

/* Under lock: segments made ahead went with their directory. Nothing was admitted to them. */
static void forget_prepared(struct store *s) {
        while (s->segments_count > s->plan_at) {
                struct store_segment *gone = s->segments[--s->segments_count];
                s->bytes -= gone->size;
                free(gone);
        }
}

/*
 * The directory went, with all that was in it, while it was in use: another takes its place. What is not durable yet,
 * and what memory has as well, is written there; what only the old one had is met as lost when its turn comes, and
 * reported.
 */
static int renew_directory(struct store *s) {
        struct disk_info info;
        int r = s->disk->ops->info(s->disk, s->directory, &info);
        if (r)
                return pass(r);
        if (info.links || s->retired_count == RENEWALS_MAX)
                return fail(-ENOENT);
        struct held_directory held;
        r = store_hold_directory(s, &held);
        if (r)
                return pass(r);
        s->retired[s->retired_count++] = s->directory;
        s->disk->ops->close(s->disk, s->lock_file);
        s->lock_file = held.lock;
        pthread_mutex_lock(&s->lock);
        s->directory = held.fd;
        s->owner = held.owner;
        forget_prepared(s);
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_lock(&s->marking);
        for (unsigned i = 0; i < CONTROL_FILES; i++) {
                s->disk->ops->close(s->disk, s->control_files[i]);
                s->control_files[i] = -1;
        }
        r = open_control_files(s);
        pthread_mutex_unlock(&s->marking);
        for (unsigned i = 0; !r && i < CONTROL_FILES; i++)
                r = write_control(s);
        if (!r)
                r = s->disk->ops->sync(s->disk, s->directory);
        report(s->reporter, SEVERITY_ERR, 0,
               "queue %s: %s was removed while in use, and was made again: messages that were nowhere but there are "
               "lost, "
               "and are reported when their turn comes",
               s->name, s->path);
        return pass(r);
}

/* Those who wait are told; the others need not know that what nobody wants yet could not be made. */
static void note_lack(struct store *s, int error) {
        pthread_mutex_lock(&s->lock);
        s->is_lacking = true;
        bool matters = s->room_wanted != 0;
        if (matters) {
                s->room_wanted = 0;
                s->room_error = error;
                s->room_error_us = s->disk->ops->wall_us(s->disk);
                pthread_cond_broadcast(&s->moved);
        }
        bool is_news = matters && error != s->room_reported;
        if (matters)
                s->room_reported = error;
        pthread_mutex_unlock(&s->lock);
        if (is_news)
                store_complain(s, error, "there is no room for more messages");
}

int store_keep_round(struct store *s, bool now) {
        pthread_mutex_lock(&s->lock);
        bool marks = s->is_mark_due;
        bool syncs = s->is_control_dirty && (now || s->is_control_due);
        pthread_mutex_unlock(&s->lock);
        if (marks && !syncs)
                store_write_mark(s);
        int r = syncs ? write_control(s) : 0;
        free_segments(s);
        int lack = prepare(s);
        if (lack == -ENOENT && renew_directory(s) == 0)
                lack = prepare(s);
        if (lack)
                note_lack(s, lack);
        drop_freed(s);
        pthread_mutex_lock(&s->lock);
        if (!lack) {
                s->is_lacking = false;
                s->room_reported = 0;
        }
        store_check(s);
        pthread_mutex_unlock(&s->lock);
        return pass(r);
}

/* Under lock: is there anything that need not wait? */
static bool has_work(const struct store *s) {
        if (s->room_wanted || s->is_control_due || s->is_mark_due)
                return true;
        return prepared(s) < s->prepared_wanted && !s->is_closing && !s->is_lacking;
}

/* Under lock. With something completed it wakes a second later; otherwise when somebody says so. */
static void keeper_sleep(struct store *s) {
        s->is_keeper_idle = true;
        if (s->is_control_dirty) {
                int64_t until = s->control_dirty_ns + CHECKPOINT_DELAY_MS * INT64_C(1000000);
                struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
                if (pthread_cond_timedwait(&s->keep, &s->lock, &at) == ETIMEDOUT)
                        s->is_control_due = true;
        } else {
                pthread_cond_wait(&s->keep, &s->lock);
        }
        s->is_keeper_idle = false;
}

void *store_keeper(void *store) {
        struct store *s = store;
        pthread_mutex_lock(&s->lock);
        while (!s->is_flusher_done) {
                if (!has_work(s)) {
                        keeper_sleep(s);
                        continue;
                }
                pthread_mutex_unlock(&s->lock);
                store_keep_round(s, false);
                pthread_mutex_lock(&s->lock);
        }
        pthread_mutex_unlock(&s->lock);
        return NULL;
}
