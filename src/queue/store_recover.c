/*
 * Opening a store: what is there, and where it ends.
 *
 * Names of files give the order of the segments; the control file says where the mark
 * is. Only the last segment is read, because everything before it was durable when it
 * began. So the time does not grow with the backlog.
 *
 * Where the frames of the last segment end, something may lie that is not whole:
 *
 *   nothing later was known to be durable there    a torn tail: cut, counted, never acknowledged
 *   something was (a later frame or the control    damage: kept, and quarantined when the reader
 *   file says that it was durable)                 comes to it
 *
 * To find later frames behind a broken header the bytes are searched for headers with
 * the right salt. What is found is evidence and is never delivered.
 *
 * Nothing is ever appended to what an earlier run wrote: a new segment, with a new salt,
 * begins at the first append. So frames that never became durable cannot come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fail.h"
#include "queue/store_inside.h"
#include "queue/store_read.h"

struct store_segment *store_segment_add(struct store *s, uint64_t sequence) {
        if (!ARRAY_ROOM(s->segments, s->segments_count, s->segments_capacity, 16))
                return NULL;
        struct store_segment *segment = calloc(1, sizeof *segment);
        if (!segment)
                return NULL;
        segment->sequence = sequence;
        assert(!s->segments_count || s->segments[s->segments_count - 1]->sequence < sequence);
        s->segments[s->segments_count++] = segment;
        return segment;
}

enum { SETTLE_ATTEMPTS_MAX = 3 };

/* What the directory lists, before it is sorted. */
struct listing {
        struct store *s;
        uint64_t *sequences;
        size_t count, capacity;
        char leftover[SEGMENT_FILE_NAME_BYTES];
};

static int push_freed(struct store *s, struct store_segment *segment) {
        if (!ARRAY_ROOM(s->freed, s->freed_count, s->freed_capacity, 16))
                return fail(-ENOMEM);
        s->freed[s->freed_count++] = segment;
        return 0;
}

/* How large they are is a guess that using them again corrects. */
static uint64_t likely_size(const struct store *s) {
        return s->control.segment_bytes ? s->control.segment_bytes : s->segment_bytes;
}

static int list_free(struct store *s, uint64_t sequence) {
        _owned_(memory_free) struct store_segment *segment = calloc(1, sizeof *segment);
        if (!segment)
                return fail(-ENOMEM);
        segment->sequence = sequence;
        segment->is_put_by = true;
        segment->size = likely_size(s);
        int r = push_freed(s, segment);
        if (r)
                return pass(r);
        s->bytes += segment->size;
        s->next_sequence = MAX(s->next_sequence, sequence + 1);
        segment = NULL;
        return 0;
}

static int list_name(void *user, const char *name) {
        struct listing *l = user;
        uint64_t sequence;
        /* It was being made when the process died; one at a time is. */
        if (segment_name_read(&sequence, name, "new")) {
                segment_name(l->leftover, sequence, "new");
                return 0;
        }
        /* Numbers of what was set aside are not used again, either. */
        if (segment_name_read(&sequence, name, "damaged"))
                l->s->next_sequence = MAX(l->s->next_sequence, sequence + 1);
        if (segment_name_read(&sequence, name, "free"))
                return pass(list_free(l->s, sequence));
        if (!segment_name_read(&sequence, name, "segment"))
                return 0;
        if (!ARRAY_ROOM(l->sequences, l->count, l->capacity, 64))
                return fail(-ENOMEM);
        l->sequences[l->count++] = sequence;
        return 0;
}

static int compare_sequences(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return x < y ? -1 : x > y;
}

static int list_segments(struct store *s) {
        struct listing l = {.s = s};
        int r = s->disk->ops->list(s->disk, s->directory, list_name, &l);
        _owned_(memory_free) uint64_t *sequences = l.sequences;
        if (r)
                return pass(r);
        if (l.leftover[0])
                s->disk->ops->unlink(s->disk, s->directory, l.leftover);
        if (l.count)
                qsort(sequences, l.count, sizeof *sequences, compare_sequences);
        for (size_t i = 0; i < l.count; i++) {
                struct store_segment *segment = store_segment_add(s, sequences[i]);
                if (!segment)
                        return fail(-ENOMEM);
                segment->is_sealed = true;
                segment->size = likely_size(s);
                s->bytes += segment->size;
                s->next_sequence = MAX(s->next_sequence, sequences[i] + 1);
        }
        return 0;
}

/* The better one of the control files. Neither being whole costs duplicates, and is said. */
static int read_control_files(struct store *s, bool *is_found) {
        *is_found = false;
        bool was_written = false;
        for (unsigned i = 0; i < CONTROL_FILES; i++) {
                uint8_t block[CONTROL_BLOCK_BYTES];
                struct control c;
                int fd = store_open_file(s, control_file_name(i), O_RDWR, NULL);
                if (fd == -ENOENT)
                        continue;
                if (fd < 0)
                        return pass(fd);
                s->control_files[i] = fd;
                ssize_t n = store_pread(s, fd, block, sizeof block, 0);
                was_written |= n != 0; /* else the process died while the store was made */
                if (n < 0 || control_read(&c, block, (size_t)n) || c.generation % CONTROL_FILES != i)
                        continue;
                if (!*is_found || c.generation > s->control.generation)
                        s->control = c;
                *is_found = true;
        }
        if (was_written && !*is_found)
                report(s->reporter, SEVERITY_ERR, 0,
                       "queue %s: %s: both control files are damaged; messages that were delivered may come again",
                       s->name, s->path);
        if (!*is_found)
                return 0;
        /* The process before need not have synced what it wrote last; until that is done nothing else is written. */
        return pass(s->disk->ops->sync_data(s->disk, s->control_files[s->control.generation % CONTROL_FILES]));
}

/* Without a control file: the identity that the oldest whole segment tells. */
static int find_identity(struct store *s) {
        for (size_t i = 0; i < s->segments_count; i++) {
                uint8_t block[SEGMENT_BLOCK_BYTES];
                struct segment_header header;
                int fd = store_open_segment(s, s->segments[i]->sequence, O_RDONLY, NULL);
                if (fd < 0)
                        continue;
                for (unsigned at = 0; at <= SEGMENT_BEGIN_AT; at += SEGMENT_BEGIN_AT) {
                        ssize_t n = store_pread(s, fd, block, sizeof block, at);
                        if (n == sizeof block && segment_header_read(&header, block, sizeof block) == 0) {
                                memcpy(s->queue_id, header.queue_id, sizeof s->queue_id);
                                s->disk->ops->close(s->disk, fd);
                                return 0;
                        }
                }
                s->disk->ops->close(s->disk, fd);
        }
        return pass(s->disk->ops->random(s->disk, s->queue_id, sizeof s->queue_id));
}

/* Out of the order: to be used again. */
static int set_free(struct store *s, size_t at) {
        int r = push_freed(s, s->segments[at]);
        if (r)
                return pass(r);
        s->segments_count--;
        memmove(s->segments + at, s->segments + at + 1, (s->segments_count - at) * sizeof *s->segments);
        return 0;
}

/* Those below the mark, and those at the end that nothing was ever written to. */
static int free_unused(struct store *s) {
        size_t below = 0;
        while (below < s->segments_count && s->segments[below]->sequence < s->control.mark_segment)
                below++;
        while (below) {
                int r = set_free(s, --below);
                if (r)
                        return pass(r);
        }
        while (s->segments_count) {
                struct store_segment *last = s->segments[s->segments_count - 1];
                int r = store_segment_load(s, last);
                if (r)
                        return pass(r);
                if (last->is_damaged || last->base_lsn)
                        break;
                last->is_spare = true;
                r = set_free(s, s->segments_count - 1);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* What the last segment's bytes tell. */
struct tail {
        uint64_t end_lsn, end_offset; /* behind what is whole without a break */
        uint64_t durable_lsn;         /* the highest that any evidence says was durable */
        uint64_t seen_lsn;            /* behind the last whole frame anywhere */
        uint64_t torn;                /* messages of broken frames that can be told */
        bool is_unreadable;
};

/* A whole payload, or one that the disk cannot read, which is not the same as one that was never written. */
static bool payload_is_whole(struct store *s, struct tail *t, uint64_t offset, const struct frame *f) {
        int r = store_payload_is_whole(s, offset, f);
        t->is_unreadable |= r < 0;
        return r == 1;
}

/* Walks from header to header as long as headers are whole. Stops at the first that is not. */
static uint64_t walk_frames(struct store *s, struct store_segment *segment, struct tail *t) {
        uint64_t offset = SEGMENT_FRAMES_AT, lsn = segment->base_lsn;
        bool is_broken = false;
        for (;;) {
                const uint8_t *bytes;
                struct frame f;
                ssize_t n = store_window(s, offset, FRAME_HEADER_BYTES_MAX, &bytes);
                t->is_unreadable |= n < 0;
                if (n < 0 || frame_read(&f, bytes, (size_t)n, segment->salt) || f.lsn != lsn)
                        return offset;
                bool is_whole = payload_is_whole(s, t, offset, &f);
                lsn += f.count;
                offset += f.frame_bytes;
                if (is_whole) {
                        t->durable_lsn = MAX(t->durable_lsn, f.durable_lsn);
                        t->seen_lsn = lsn;
                }
                if (!is_whole)
                        t->torn += f.count;
                is_broken |= !is_whole;
                if (!is_broken) {
                        memcpy(s->chain, f.chain, sizeof s->chain);
                        t->end_lsn = lsn;
                        t->end_offset = offset;
                }
        }
}

/* Behind a broken header: is there anything that proves that it was durable once? */
static void search_evidence(struct store *s, struct store_segment *segment, uint64_t offset, struct tail *t) {
        for (uint64_t at = offset + FRAME_ALIGNMENT; at + FRAME_BASE_BYTES <= segment->size; at += FRAME_ALIGNMENT) {
                const uint8_t *bytes;
                struct frame f;
                ssize_t n = store_window(s, at, FRAME_HEADER_BYTES_MAX, &bytes);
                if (n < 0) {
                        t->is_unreadable = true;
                        at += SEGMENT_BLOCK_BYTES;
                        continue;
                }
                if ((size_t)n < FRAME_BASE_BYTES)
                        return;
                if (frame_read(&f, bytes, (size_t)n, segment->salt) || f.lsn < t->end_lsn ||
                    !payload_is_whole(s, t, at, &f))
                        continue;
                t->durable_lsn = MAX(t->durable_lsn, f.durable_lsn);
                t->seen_lsn = MAX(t->seen_lsn, f.lsn + f.count);
                t->torn += f.count;
                at += f.frame_bytes - FRAME_ALIGNMENT;
        }
}

/* Is there a header of the very frame that should come next, with something wrong in it? */
static bool looks_begun(struct store *s, uint64_t offset, uint64_t lsn) {
        const uint8_t *bytes;
        uint64_t found;
        ssize_t n = store_window(s, offset, FRAME_HEADER_BYTES_MAX, &bytes);
        if (n < FRAME_BASE_BYTES)
                return false;
        memcpy(&found, bytes + FRAME_LSN_AT, sizeof found);
        return found == lsn;
}

static void cut_tail(struct store *s, struct store_segment *segment, struct tail *t) {
        bool is_torn = t->torn || looks_begun(s, t->end_offset, t->end_lsn);
        segment->end_lsn = t->end_lsn;
        if (!is_torn)
                return;
        s->torn += MAX(t->torn, UINT64_C(1));
        report(s->reporter, SEVERITY_WARNING, 0,
               "queue %s: %s/%016" PRIx64 ".segment: a torn tail of %" PRIu64
               " messages or more was cut at LSN %" PRIu64 "; none of them had been acknowledged",
               s->name, s->path, segment->sequence, MAX(t->torn, UINT64_C(1)), t->end_lsn);
}

/* Where the first frame begins that nothing proves to be durable; `end` when there is none. */
static uint64_t find_uncertain(struct store *s, struct store_segment *segment, const struct tail *t, uint64_t end) {
        uint64_t offset = SEGMENT_FRAMES_AT;
        while (offset < end) {
                const uint8_t *bytes;
                struct frame f;
                ssize_t n = store_window(s, offset, FRAME_HEADER_BYTES_MAX, &bytes);
                if (n < 0 || frame_read(&f, bytes, (size_t)n, segment->salt) || f.lsn > t->durable_lsn)
                        return offset;
                offset += f.frame_bytes;
        }
        return end;
}

/*
 * Writes the same bytes again. After a failed sync the kernel shows what the disk does not have and takes it for
 * written; only what is written anew is synced for sure.
 */
static int rewrite(struct store *s, int fd, uint64_t from, uint64_t to) {
        while (from < to) {
                const uint8_t *bytes;
                size_t size = (size_t)MIN(to - from, (uint64_t)WINDOW_BYTES);
                ssize_t n = store_window(s, from, size, &bytes);
                if (n < 0)
                        return pass((int)n);
                if ((size_t)n < size)
                        return fail(-EIO);
                int r = store_pwrite(s, fd, bytes, size, from);
                if (r)
                        return pass(r);
                from += size;
        }
        return 0;
}

/* Makes sure that what was read is on the disk, and gives the unused rest of the file back to it. */
static int settle_tail(struct store *s, struct store_segment *segment, const struct tail *t, uint64_t broken_at) {
        int fd = store_open_segment(s, segment->sequence, O_RDWR, NULL);
        if (fd < 0)
                return pass(fd);
        uint64_t end = segment->is_damaged ? broken_at : t->end_offset;
        uint64_t from = find_uncertain(s, segment, t, end);
        if (from == SEGMENT_FRAMES_AT)
                from = SEGMENT_BEGIN_AT;
        int r = -EIO;
        for (unsigned attempt = 0; r == -EIO && attempt < SETTLE_ATTEMPTS_MAX; attempt++) {
                r = from < end ? rewrite(s, fd, from, end) : 0;
                if (!r)
                        r = s->disk->ops->sync(s->disk, fd);
        }
        uint64_t size = (t->end_offset + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
        if (!r && !segment->is_damaged && size < segment->size && s->disk->ops->truncate(s->disk, fd, size) == 0) {
                s->bytes -= segment->size - size;
                segment->size = size;
        }
        s->disk->ops->close(s->disk, fd);
        return pass(r);
}

static int read_tail(struct store *s, struct store_segment *segment) {
        struct tail t = {
                .end_lsn = segment->base_lsn,
                .end_offset = SEGMENT_FRAMES_AT,
                .durable_lsn = s->control.durable_lsn,
                .seen_lsn = segment->base_lsn,
        };
        int r = store_reader_turn(s, segment);
        if (r)
                return pass(r);
        uint64_t broken_at = walk_frames(s, segment, &t);
        search_evidence(s, segment, broken_at, &t);
        if (t.is_unreadable || t.durable_lsn >= t.end_lsn) {
                segment->is_damaged = true;
                segment->end_lsn = MAX(t.seen_lsn, t.durable_lsn + 1);
        } else {
                cut_tail(s, segment, &t);
        }
        segment->planned = t.end_offset;
        r = settle_tail(s, segment, &t, broken_at);
        store_reader_close(s);
        if (r)
                store_complain(s, r, "what the last run wrote cannot be synced");
        /* A run without syncing may have left files before this one unsynced. */
        bool is_all_synced = segment->durable_lsn + 1 >= segment->base_lsn;
        s->synced_lsn = is_all_synced ? segment->end_lsn - 1 : MIN(t.durable_lsn, segment->end_lsn - 1);
        return pass(r);
}

/* The cursor stands on the frame that holds the mark, or at the beginning of its segment. */
static void place_cursor(struct store *s, uint64_t mark) {
        struct store_segment *first = s->segments[0], *last = s->segments[s->segments_count - 1];
        s->cursor_lsn = mark;
        s->cursor = (struct place){first, SEGMENT_FRAMES_AT};
        if (mark == s->next_lsn) {
                s->cursor = (struct place){last, last->planned};
                return;
        }
        if (first->sequence != s->control.mark_segment || s->control.mark_offset < SEGMENT_FRAMES_AT ||
            store_segment_load(s, first) || first->is_missing || store_reader_turn(s, first))
                return;
        const uint8_t *bytes;
        struct frame f;
        ssize_t n = store_window(s, s->control.mark_offset, FRAME_HEADER_BYTES_MAX, &bytes);
        if (n < 0 || frame_read(&f, bytes, (size_t)n, first->salt) || f.lsn > mark || mark - f.lsn >= f.count)
                return;
        s->cursor = (struct place){first, s->control.mark_offset};
        s->cursor_lsn = f.lsn;
        s->cursor_done = mark - f.lsn;
        s->cursor_time_us = f.time_us;
}

/* No segment is left though the control file says that there were messages. */
static void lose_all(struct store *s, uint64_t mark) {
        s->cursor_lsn = s->next_lsn;
        if (mark == s->next_lsn)
                return;
        s->quarantined += s->next_lsn - mark;
        store_report_lost(s, mark, s->next_lsn - mark, &(struct store_segment){.sequence = s->control.mark_segment},
                          "the files are missing");
}

/* Segments at the end whose headers are damaged end where the control file says; the one before them is read. */
static int find_end(struct store *s, uint64_t *end) {
        *end = s->control.durable_lsn + 1;
        size_t at = s->segments_count;
        struct store_segment *segment;
        for (; at > 0 && (segment = s->segments[at - 1]); at--) {
                int r = store_segment_load(s, segment);
                if (!r && !segment->is_missing && segment->base_lsn)
                        r = read_tail(s, segment);
                if (r)
                        return pass(r);
                if (!segment->is_missing && segment->base_lsn)
                        break;
                report(s->reporter, SEVERITY_CRIT, 0,
                       "queue %s: %s/%016" PRIx64 ".segment: its header is damaged, so what it holds cannot be told; "
                       "the file is kept for `penstock queue repair`",
                       s->name, s->path, segment->sequence);
        }
        if (at > 0)
                *end = MAX(*end, s->segments[at - 1]->end_lsn);
        for (; at < s->segments_count; at++)
                s->segments[at]->end_lsn = *end;
        return 0;
}

static int find_range(struct store *s, bool has_control) {
        uint64_t end, mark = s->control.mark_lsn;
        int r = find_end(s, &end);
        if (r)
                return pass(r);
        if (!has_control) {
                mark = 1;
                if (s->segments_count && store_segment_load(s, s->segments[0]) == 0 && s->segments[0]->base_lsn)
                        mark = s->segments[0]->base_lsn;
        }
        s->next_lsn = MAX(end, mark);
        s->durable_lsn = s->written_lsn = s->next_lsn - 1;
        s->plan_at = s->segments_count;
        if (s->segments_count)
                place_cursor(s, mark);
        else
                lose_all(s, mark);
        return 0;
}

int store_recover(struct store *s) {
        bool has_control;
        int r = read_control_files(s, &has_control);
        if (r)
                return pass(r);
        s->next_sequence = MAX(s->control.next_sequence, UINT64_C(1));
        r = list_segments(s);
        if (r)
                return pass(r);
        if (has_control)
                memcpy(s->queue_id, s->control.queue_id, sizeof s->queue_id);
        else
                r = find_identity(s);
        if (!r)
                r = free_unused(s);
        if (!r)
                r = find_range(s, has_control);
        store_reader_close(s);
        return pass(r);
}
