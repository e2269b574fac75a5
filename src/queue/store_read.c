/*
 * Fetching frames.
 *
 * A frame that is not durable yet is in a chunk; any other is read from its segment,
 * through a window, and checked. What the check refuses is damage, because the cursor
 * only goes where frames are known to be durable (a torn tail was cut when the store
 * was opened). Damage is skipped to the next place that is known for sure: behind the
 * frame when its header is whole; where this process itself put a later frame; else
 * the next segment. Never to something that merely looks like a frame.
 *
 * What is skipped is lost to the queue, reported with its exact range, and its file is
 * kept aside for people (SEQUENCE.damaged) instead of being used again.
 */
#include "queue/store_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "queue/store_codec.h"

ssize_t store_pread(struct store *s, int fd, void *buffer, size_t size, uint64_t offset) {
        size_t done = 0;
        while (done < size) {
                ssize_t n = s->disk->ops->pread(s->disk, fd, (uint8_t *)buffer + done, size - done, offset + done);
                if (n < 0)
                        return pass((int)n);
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

int store_pwrite(struct store *s, int fd, const void *buffer, size_t size, uint64_t offset) {
        size_t done = 0;
        while (done < size) {
                ssize_t n =
                        s->disk->ops->pwrite(s->disk, fd, (const uint8_t *)buffer + done, size - done, offset + done);
                if (n < 0)
                        return pass((int)n);
                if (n == 0)
                        return fail(-EIO);
                done += (size_t)n;
        }
        return 0;
}

enum { MODE_WRITABLE_BY_OTHERS = 022 };

int store_open_in(struct store *s, int directory, uint32_t owner, const char *name, int flags, uint64_t *size) {
        int fd = s->disk->ops->open(s->disk, directory, name, flags);
        if (fd < 0)
                return pass(fd);
        struct disk_info info;
        int r = s->disk->ops->info(s->disk, fd, &info);
        if (!r && !info.is_regular)
                r = fail(-EINVAL);
        if (!r && (info.mode & MODE_WRITABLE_BY_OTHERS || (info.uid != owner && info.uid != 0)))
                r = fail(-EPERM);
        if (r) {
                s->disk->ops->close(s->disk, fd);
                return r;
        }
        if (size)
                *size = info.size;
        return fd;
}

int store_open_file(struct store *s, const char *name, int flags, uint64_t *size) {
        return pass(store_open_in(s, s->directory, s->owner, name, flags, size));
}

int store_open_segment(struct store *s, uint64_t sequence, int flags, uint64_t *size) {
        char name[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, sequence, "segment");
        return store_open_file(s, name, flags, size);
}

struct store_segment *store_segment_after(struct store *s, const struct store_segment *segment) {
        size_t low = 0, high = s->plan_at;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (s->segments[middle]->sequence <= segment->sequence)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < s->plan_at ? s->segments[low] : NULL;
}

/* One of the two blocks, if it is of this segment and this queue. */
static bool header_fits(const struct store *s, const struct store_segment *segment, const uint8_t *block, size_t size,
                        struct segment_header *header) {
        return segment_header_read(header, block, size) == 0 && header->sequence == segment->sequence &&
               memcmp(header->queue_id, s->queue_id, sizeof s->queue_id) == 0;
}

/* Reads what the header blocks and the first frame tell. 0, READ_DAMAGED, or -errno. */
static int read_headers(struct store *s, const struct store_segment *segment, struct segment_header *ret,
                        uint64_t *size) {
        int fd = store_open_segment(s, segment->sequence, O_RDONLY, size);
        if (fd < 0)
                return pass(fd);
        uint8_t blocks[SEGMENT_FRAMES_AT + FRAME_HEADER_BYTES_MAX] = {0};
        ssize_t n = store_pread(s, fd, blocks, sizeof blocks, 0);
        s->disk->ops->close(s->disk, fd);
        if (n < 0)
                return pass((int)n);
        struct segment_header head, begin;
        bool has_head = header_fits(s, segment, blocks, SEGMENT_BLOCK_BYTES, &head);
        bool has_begin = header_fits(s, segment, blocks + SEGMENT_BEGIN_AT, SEGMENT_BLOCK_BYTES, &begin) &&
                         begin.base_lsn && (!has_head || memcmp(head.salt, begin.salt, sizeof head.salt) == 0);
        if (!has_head && !has_begin)
                return READ_DAMAGED;
        *ret = has_begin ? begin : head;
        struct frame first;
        if (!has_begin && frame_read(&first, blocks + SEGMENT_FRAMES_AT, FRAME_HEADER_BYTES_MAX, head.salt) == 0) {
                ret->base_lsn = first.lsn;
                ret->durable_lsn = first.durable_lsn;
        }
        return 0;
}

int store_segment_load(struct store *s, struct store_segment *segment) {
        struct segment_header header;
        uint64_t size;
        int r = read_headers(s, segment, &header, &size);
        if (r < 0 && r != -ENOENT && r != -ELOOP && r != -EINVAL && r != -EPERM)
                return pass(r);
        pthread_mutex_lock(&s->lock);
        segment->is_loaded = true;
        if (r) {
                segment->is_missing = true;
                segment->is_damaged = r == READ_DAMAGED;
        } else {
                segment->base_lsn = header.base_lsn;
                segment->durable_lsn = header.durable_lsn;
                memcpy(segment->salt, header.salt, sizeof segment->salt);
                memcpy(segment->session, header.session, sizeof segment->session);
                s->bytes += size - segment->size;
                segment->size = size;
        }
        pthread_mutex_unlock(&s->lock);
        return 0;
}

/*
 * Under both locks; `lock` is left meanwhile. The LSN behind the segment's last frame: where the next one begins that
 * begins anywhere.
 */
static int segment_end(struct store *s, const struct store_segment *segment, uint64_t *ret) {
        for (const struct store_segment *at = segment; !at->end_lsn;) {
                struct store_segment *next = store_segment_after(s, at);
                if (!next) {
                        *ret = s->next_lsn;
                        return 0;
                }
                if (!next->is_loaded) {
                        pthread_mutex_unlock(&s->lock);
                        int r = store_segment_load(s, next);
                        pthread_mutex_lock(&s->lock);
                        if (r)
                                return pass(r);
                }
                if (next->base_lsn) {
                        *ret = next->base_lsn;
                        return 0;
                }
                at = next;
                if (at->end_lsn) {
                        *ret = at->end_lsn;
                        return 0;
                }
        }
        *ret = segment->end_lsn;
        return 0;
}

void store_reader_close(struct store *s) {
        if (s->read_fd >= 0)
                s->disk->ops->close(s->disk, s->read_fd);
        s->read_fd = -1;
        s->read_sequence = 0;
        s->window_size = 0;
}

int store_reader_turn(struct store *s, struct store_segment *segment) {
        if (s->read_sequence == segment->sequence)
                return 0;
        store_reader_close(s);
        int fd = store_open_segment(s, segment->sequence, O_RDONLY, NULL);
        if (fd < 0)
                return pass(fd);
        s->read_fd = fd;
        s->read_sequence = segment->sequence;
        return 0;
}

ssize_t store_window(struct store *s, uint64_t offset, size_t size, const uint8_t **ret) {
        assert(size <= WINDOW_BYTES);
        if (offset < s->window_at || offset + size > s->window_at + s->window_size) {
                s->window_size = 0;
                ssize_t n = store_pread(s, s->read_fd, s->window, WINDOW_BYTES, offset);
                if (n < 0)
                        return n;
                s->window_at = offset;
                s->window_size = (size_t)n;
        }
        *ret = s->window + (offset - s->window_at);
        return (ssize_t)(s->window_size - (offset - s->window_at));
}

int store_payload_is_whole(struct store *s, uint64_t offset, const struct frame *f) {
        uint32_t crc = 0;
        uint64_t at = offset + f->header_bytes, end = offset + f->frame_bytes;
        while (at < end) {
                const uint8_t *bytes;
                size_t wanted = (size_t)MIN(end - at, (uint64_t)WINDOW_BYTES);
                ssize_t n = store_window(s, at, wanted, &bytes);
                if (n < 0)
                        return pass((int)n);
                if ((size_t)n < wanted)
                        return 0;
                crc = segment_crc(crc, bytes, wanted);
                at += wanted;
        }
        return crc == f->payload_crc;
}

static int decode(struct store *s, const struct store_segment *segment, const struct frame *f, const uint8_t *stored,
                  struct read_frame *ret) {
        int r = codec_decode(s->codec, f, segment->session, stored, &ret->payload);
        return r == -EBADMSG ? READ_DAMAGED : r;
}

static void describe(struct read_frame *ret, const struct frame *f) {
        *ret = (struct read_frame){
                .lsn = f->lsn,
                .time_us = f->time_us,
                .count = f->count,
                .frame_bytes = f->frame_bytes,
                .raw_bytes = f->raw_bytes,
        };
}

/* A frame too large for the window. */
static int read_large(struct store *s, struct store_segment *segment, uint64_t offset, const struct frame *f,
                      struct read_frame *ret) {
        size_t size = f->frame_bytes - f->header_bytes;
        _owned_(memory_free) uint8_t *stored = malloc(size);
        if (!stored)
                return fail(-ENOMEM);
        ssize_t n = store_pread(s, s->read_fd, stored, size, offset + f->header_bytes);
        if (n < 0)
                return pass((int)n);
        if ((size_t)n < size || !frame_payload_check(f, stored))
                return READ_DAMAGED;
        if (f->codec == FRAME_PLAIN && f->cipher == FRAME_CLEAR) {
                ret->payload = TAKE(stored);
                return 0;
        }
        return pass(decode(s, segment, f, stored, ret));
}

/* Without lock. READ_DAMAGED with ret->count: the header is whole, only the payload is not; without: nothing is. */
static int read_frame_once(struct store *s, struct store_segment *segment, uint64_t offset, uint64_t lsn,
                           uint64_t end_lsn, struct read_frame *ret) {
        const uint8_t *bytes;
        ssize_t n = store_window(s, offset, FRAME_HEADER_BYTES_MAX, &bytes);
        if (n < 0)
                return pass((int)n);
        struct frame f;
        *ret = (struct read_frame){0};
        if (frame_read(&f, bytes, (size_t)n, segment->salt) || f.lsn != lsn || f.lsn + f.count > end_lsn)
                return READ_DAMAGED;
        describe(ret, &f);
        if (f.frame_bytes > WINDOW_BYTES)
                return pass(read_large(s, segment, offset, &f, ret));
        n = store_window(s, offset, f.frame_bytes, &bytes);
        if (n < 0)
                return pass((int)n);
        if ((size_t)n < f.frame_bytes || !frame_payload_check(&f, bytes + f.header_bytes))
                return READ_DAMAGED;
        return pass(decode(s, segment, &f, bytes + f.header_bytes, ret));
}

static int read_from_disk(struct store *s, struct place place, uint64_t lsn, uint64_t end_lsn, struct read_frame *ret) {
        int r = store_reader_turn(s, place.segment);
        if (r == -ENOENT || r == -ELOOP || r == -EPERM || r == -EINVAL) {
                *ret = (struct read_frame){0};
                return READ_DAMAGED;
        }
        if (r)
                return pass(r);
        r = read_frame_once(s, place.segment, place.offset, lsn, end_lsn, ret);
        if (r != READ_DAMAGED)
                return pass(r);
        /* The window may show what was there before the frame was written. */
        s->window_size = 0;
        return pass(read_frame_once(s, place.segment, place.offset, lsn, end_lsn, ret));
}

static struct chunk *chunk_of(const struct chunk_list *list, uint64_t lsn) {
        for (struct chunk *c = list->first; c; c = c->next) {
                if (lsn < c->end_lsn)
                        return lsn >= c->first_lsn ? c : NULL;
        }
        return NULL;
}

/* Where the frame lies in the chunk. While new places are looked for, only its LSN tells. */
static const uint8_t *find_in_chunk(const struct store *s, const struct chunk *c, struct place place, uint64_t lsn) {
        if (!s->needs_plan) {
                assert(place.segment == c->segment && place.offset >= c->offset);
                return c->data + (place.offset - c->offset);
        }
        struct frame f;
        size_t at = 0;
        for (frame_load(&f, c->data); f.lsn != lsn; frame_load(&f, c->data + at))
                at += f.frame_bytes;
        return c->data + at;
}

/* Under lock, which is left while the payload is copied. */
static int read_from_chunk(struct store *s, struct place place, uint64_t lsn, struct read_frame *ret) {
        struct chunk *c = chunk_of(&s->inflight, lsn);
        if (!c)
                c = chunk_of(&s->staged, lsn);
        assert(c);
        /* The producer that still copies tells the consumers when it is through. */
        if (c->filling)
                return -EAGAIN;
        const uint8_t *bytes = find_in_chunk(s, c, place, lsn);
        struct frame f;
        frame_load(&f, bytes);
        assert(f.lsn == lsn);
        describe(ret, &f);
        c->readers++;
        pthread_mutex_unlock(&s->lock);
        int r = codec_decode(s->codec, &f, s->session, bytes + f.header_bytes, &ret->payload);
        pthread_mutex_lock(&s->lock);
        if (--c->readers == 0 && c->is_done)
                chunk_return(s, c);
        return r;
}

int store_read_at(struct store *s, struct place place, uint64_t lsn, uint64_t end_lsn, struct read_frame *ret) {
        if (lsn > s->durable_lsn)
                return pass(read_from_chunk(s, place, lsn, ret));
        pthread_mutex_unlock(&s->lock);
        int r = read_from_disk(s, place, lsn, end_lsn, ret);
        pthread_mutex_lock(&s->lock);
        return r;
}

void store_report_lost(struct store *s, uint64_t lsn, uint64_t count, const struct store_segment *segment,
                       const char *why) {
        report(s->reporter, SEVERITY_CRIT, 0,
               "queue %s: %s/%016" PRIx64 ".segment: %" PRIu64 " messages are lost, LSN %" PRIu64 " to %" PRIu64
               ": %s; the file is kept for `penstock queue repair`",
               s->name, s->path, segment->sequence, count, lsn, lsn + count - 1, why);
        if (s->options.lost)
                s->options.lost(s->options.owner, lsn, count, why);
}

static const char files_missing[] = "the files before it are missing";
static const char files_missing_behind[] = "it is damaged, or files behind it are missing";

/* Under lock, which is left for the report. Moves the cursor to where `lsn` is; what lies between is lost. */
static void skip_to(struct store *s, uint64_t lsn, struct place place, const char *why) {
        assert(lsn >= s->cursor_lsn);
        struct store_segment *segment = s->cursor.segment;
        uint64_t lost_lsn = s->cursor_lsn + s->cursor_done;
        uint64_t lost = lsn > lost_lsn ? lsn - lost_lsn : 0;
        s->cursor_done = lost_lsn > lsn ? lost_lsn - lsn : 0;
        s->cursor_lsn = lsn;
        s->cursor = place;
        s->read_attempts = 0;
        store_settle_cursor(s);
        if (!lost)
                return;
        segment->is_damaged |= why != files_missing;
        s->quarantined += lost;
        s->is_control_dirty = s->is_control_due = true;
        store_wake_keeper(s);
        pthread_mutex_unlock(&s->lock);
        store_report_lost(s, lost_lsn, lost, segment, why);
        pthread_mutex_lock(&s->lock);
}

/* Under lock: the oldest frame behind the cursor whose place this process knows, within [.., end_lsn). */
static struct index_entry *known_place(struct store *s, uint64_t end_lsn) {
        for (uint64_t i = s->index_first; i < s->index_next; i++) {
                struct index_entry *e = &s->index[i % INDEX_FRAMES];
                if (e->lsn > s->cursor_lsn)
                        return e->lsn < end_lsn ? e : NULL;
        }
        return NULL;
}

/* Whether there should be a file behind it that is not there, or cannot be read. */
static bool is_before_gap(struct store *s, const struct store_segment *segment) {
        const struct store_segment *next = store_segment_after(s, segment);
        return next && (next->sequence != segment->sequence + 1 || next->is_missing);
}

static void skip_damage(struct store *s, const struct read_frame *f, uint64_t end_lsn, const char *why) {
        struct store_segment *segment = s->cursor.segment;
        struct index_entry *e;
        if (f->count)
                skip_to(s, s->cursor_lsn + f->count, (struct place){segment, s->cursor.offset + f->frame_bytes}, why);
        else if ((e = known_place(s, end_lsn)))
                skip_to(s, e->lsn, e->place, why);
        else
                skip_to(s, end_lsn, (struct place){segment, segment->planned},
                        is_before_gap(s, segment) ? files_missing_behind : why);
}

/* The disk says that it cannot read. Others may fare better later; but one rotten place must not stop all. */
static int read_failed(struct store *s, int error, uint64_t end_lsn) {
        if (error != -EIO)
                return pass(error);
        if (s->read_failed_lsn != s->cursor_lsn)
                s->read_attempts = 0;
        s->read_failed_lsn = s->cursor_lsn;
        if (++s->read_attempts < READ_ATTEMPTS_MAX)
                return pass(error);
        uint8_t block[SEGMENT_HEADER_BYTES];
        if (s->read_fd < 0 || store_pread(s, s->read_fd, block, sizeof block, 0) < 0)
                return pass(error);
        skip_damage(s, &(struct read_frame){0}, end_lsn, "the disk cannot read it");
        return READ_SKIPPED;
}

/* Under both locks. Makes sure that the cursor's segment is known, and that the cursor lies in it. */
static int enter_segment(struct store *s, uint64_t *end_lsn) {
        struct store_segment *segment = s->cursor.segment;
        if (!segment->is_loaded) {
                pthread_mutex_unlock(&s->lock);
                int r = store_segment_load(s, segment);
                pthread_mutex_lock(&s->lock);
                if (r)
                        return pass(r);
        }
        int r = segment_end(s, segment, end_lsn);
        if (r)
                return pass(r);
        struct place here = {segment, SEGMENT_FRAMES_AT};
        bool is_empty = segment->is_missing || !segment->base_lsn;
        if (is_empty && s->cursor_lsn < *end_lsn) {
                segment->end_lsn = *end_lsn;
                skip_to(s, *end_lsn, here, segment->is_damaged ? "its header is damaged" : "the file is missing");
                return READ_SKIPPED;
        }
        segment->end_lsn = segment->end_lsn || !store_segment_after(s, segment) ? segment->end_lsn : *end_lsn;
        if (s->cursor_lsn >= *end_lsn) {
                store_settle_cursor(s);
                return s->cursor.segment == segment ? -EAGAIN : READ_SKIPPED;
        }
        if (s->cursor.offset == SEGMENT_FRAMES_AT && s->cursor_lsn < segment->base_lsn) {
                skip_to(s, segment->base_lsn, here, files_missing);
                return READ_SKIPPED;
        }
        if (s->cursor.offset == SEGMENT_FRAMES_AT && s->cursor_lsn > segment->base_lsn) {
                s->cursor_done += s->cursor_lsn - segment->base_lsn;
                s->cursor_lsn = segment->base_lsn;
        }
        return 0;
}

int store_read_cursor(struct store *s, struct read_frame *ret) {
        /* What is not durable yet is whole in memory. */
        if (s->cursor_lsn > s->durable_lsn)
                return pass(read_from_chunk(s, s->cursor, s->cursor_lsn, ret));
        uint64_t end_lsn = 0;
        int r = enter_segment(s, &end_lsn);
        if (r)
                return r < 0 ? pass(r) : r;
        r = store_read_at(s, s->cursor, s->cursor_lsn, end_lsn, ret);
        if (r == READ_DAMAGED) {
                skip_damage(s, ret, end_lsn, "it is damaged");
                return READ_SKIPPED;
        }
        if (r)
                return read_failed(s, r, end_lsn);
        if (s->cursor_done < ret->count)
                return 0;
        free(TAKE(ret->payload));
        s->cursor_done -= ret->count;
        s->cursor_lsn += ret->count;
        s->cursor.offset += ret->frame_bytes;
        store_settle_cursor(s);
        return READ_SKIPPED;
}
