/*
 * The flusher: takes all that was staged meanwhile, writes it, syncs once, publishes.
 *
 *   staged -> in flight    store_flush_round()    no longer being filled
 *          -> written      write_chunk()          at the place that admission gave it
 *          -> durable      publish()              after the sync; the chunk is free again
 *
 * A segment begins only after everything before it is durable; so only the last one
 * can have a torn tail.
 *
 * After a failed sync nobody knows what the file holds, and a second sync may say yes
 * to what the first one lost. So the segment is abandoned: it ends where it was last
 * known to be durable, and what was in flight or staged is planned anew into prepared
 * segments. Until that is durable nothing is acknowledged and nothing admitted. A
 * write that found no space is different: nothing was lost, it is tried again there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"
#include "queue/store_codec.h"
#include "queue/store_inside.h"
#include "queue/store_read.h"

struct waiter *waiters_take(struct store *s, uint64_t lsn) {
        struct waiter *taken = NULL, **at = &s->waiters;
        while (*at) {
                struct waiter *w = *at;
                if (w->lsn > lsn) {
                        at = &w->next;
                        continue;
                }
                *at = w->next;
                w->next = taken;
                taken = w;
        }
        return taken;
}

void waiters_tell(struct waiter *list, int result) {
        while (list) {
                struct waiter *w = list;
                list = w->next;
                w->result = result;
                /* From here on it is gone. */
                sem_post(&w->told);
        }
}

/* Everything up to `lsn` is durable, whatever that means here. */
static void publish(struct store *s, uint64_t lsn, bool is_synced) {
        pthread_mutex_lock(&s->lock);
        assert(lsn < s->next_lsn && lsn >= s->durable_lsn);
        bool is_news = lsn > s->durable_lsn;
        s->durable_lsn = lsn;
        if (is_synced)
                s->synced_lsn = lsn;
        struct chunk *c;
        while ((c = s->inflight.first) && c->end_lsn - 1 <= lsn) {
                s->inflight.first = c->next;
                s->staged_bytes -= c->size;
                c->is_done = true;
                if (!c->readers)
                        chunk_return(s, c);
        }
        if (!s->inflight.first)
                s->inflight.last = NULL;
        int recovered = s->error;
        s->error = 0;
        s->back_off_ms = 0;
        store_check(s);
        pthread_cond_broadcast(&s->moved);
        struct waiter *waiters = waiters_take(s, lsn);
        pthread_mutex_unlock(&s->lock);
        waiters_tell(waiters, 0);
        if (recovered)
                report(s->reporter, SEVERITY_NOTICE, 0, "queue %s: %s: messages are written again", s->name, s->path);
        if (is_news && s->options.durable)
                s->options.durable(s->options.owner, lsn);
}

/* The name may be gone, with all its directory: what is written then can never be found again. */
static int check_name(struct store *s) {
        struct disk_info info;
        int r = s->disk->ops->info(s->disk, s->writing_fd, &info);
        if (r)
                return pass(r);
        return info.links ? 0 : fail(-ENOENT);
}

static int sync_writing(struct store *s) {
        bool is_synced = s->options.is_synced;
        int r = is_synced ? s->disk->ops->sync_data(s->disk, s->writing_fd) : 0;
        if (!r)
                r = check_name(s);
        if (r)
                return pass(r);
        publish(s, s->written_lsn, is_synced);
        return 0;
}

/* The keeper looks at what is being written, so that changes under the lock. */
static void turn_to(struct store *s, struct store_segment *segment) {
        if (s->writing_fd >= 0)
                s->disk->ops->close(s->disk, s->writing_fd);
        s->writing_fd = -1;
        s->is_begun = false;
        pthread_mutex_lock(&s->lock);
        s->writing = segment;
        pthread_mutex_unlock(&s->lock);
}

/* Writes the begin block. The header has been there since the keeper made the file. */
static int begin_segment(struct store *s, const struct chunk *c) {
        struct store_segment *segment = c->segment;
        if (s->writing != segment || s->writing_fd < 0) {
                if (s->writing && s->written_lsn > s->durable_lsn) {
                        int r = sync_writing(s);
                        if (r)
                                return pass(r);
                }
                turn_to(s, segment);
                int fd = store_open_segment(s, segment->sequence, O_RDWR, NULL);
                if (fd < 0)
                        return pass(fd);
                s->writing_fd = fd;
        }
        assert(c->first_lsn == segment->base_lsn && s->durable_lsn == segment->base_lsn - 1);
        uint8_t block[SEGMENT_BLOCK_BYTES];
        struct segment_header header = {
                .sequence = segment->sequence,
                .base_lsn = segment->base_lsn,
                .durable_lsn = s->synced_lsn,
                .time_us = s->disk->ops->wall_us(s->disk),
        };
        memcpy(header.queue_id, s->queue_id, sizeof header.queue_id);
        memcpy(header.salt, segment->salt, sizeof header.salt);
        memcpy(header.session, segment->session, sizeof header.session);
        memcpy(header.chain, c->chain, sizeof header.chain);
        strncpy(header.name, s->name, sizeof header.name - 1);
        segment_header_write(block, &header);
        int r = store_pwrite(s, s->writing_fd, block, sizeof block, SEGMENT_BEGIN_AT);
        if (r)
                return pass(r);
        s->is_begun = true;
        s->written_offset = SEGMENT_FRAMES_AT;
        return 0;
}

/* Once a chunk: the chain goes by what the frames say, wherever they end up. */
static int chain_chunk(struct store *s, struct chunk *c) {
        uint8_t chain[SEGMENT_CHAIN_BYTES];
        memcpy(chain, s->chain, sizeof chain);
        for (size_t at = 0; at < c->size;) {
                struct frame f;
                frame_load(&f, c->data + at);
                int r = codec_chain(s->codec, chain, &f, c->data + at + f.header_bytes);
                if (r)
                        return pass(r);
                frame_set_chain(c->data + at, chain);
                at += f.frame_bytes;
        }
        memcpy(c->chain, s->chain, sizeof c->chain);
        memcpy(s->chain, chain, sizeof chain);
        c->is_chained = true;
        return 0;
}

static int write_chunk(struct store *s, struct chunk *c) {
        if (s->options.is_chained && !c->is_chained) {
                int r = chain_chunk(s, c);
                if (r)
                        return pass(r);
        }
        if (s->writing != c->segment || !s->is_begun) {
                int r = begin_segment(s, c);
                if (r)
                        return pass(r);
        }
        assert(!c->segment->is_abandoned);
        assert(c->first_lsn > s->durable_lsn);
        assert(c->offset == s->written_offset || c->first_lsn <= s->written_lsn);
        for (size_t at = 0; at < c->size;) {
                struct frame f;
                frame_load(&f, c->data + at);
                frame_seal(c->data + at, c->segment->salt, s->synced_lsn);
                at += f.frame_bytes;
        }
        int r = store_pwrite(s, s->writing_fd, c->data, c->size, c->offset);
        if (r)
                return pass(r);
        s->written_lsn = c->end_lsn - 1;
        s->written_offset = c->offset + c->size;
        return 0;
}

/*
 * Writes and syncs all that is in flight. Chunks leave the list as they become durable, which can happen in the middle;
 * so each step looks for the first that is not yet written.
 */
static int write_group(struct store *s) {
        for (struct chunk *c = s->inflight.first, *next; c; c = next) {
                next = c->next;
                int r = write_chunk(s, c);
                if (r)
                        return pass(r);
        }
        return pass(sync_writing(s));
}

/* Nothing happened to the file: the same can be tried again. */
static bool is_harmless(int error) {
        return error == -ENOSPC || error == -EDQUOT || error == -ENOMEM;
}

/* Under lock. From here on the file is read up to its durable part, and nothing else. */
static void abandon(struct store *s, struct store_segment *segment) {
        segment->is_abandoned = true;
        segment->is_sealed = true;
        segment->end_lsn = s->durable_lsn + 1;
        s->needs_plan = true;
}

/* Under lock. Gives back what was planned behind the last segment that anything was written to. */
static void unplan(struct store *s) {
        while (s->plan_at > 0) {
                struct store_segment *last = s->segments[s->plan_at - 1];
                if (last->is_abandoned || last->base_lsn <= s->durable_lsn)
                        break;
                last->base_lsn = last->end_lsn = 0;
                last->planned = SEGMENT_FRAMES_AT;
                last->is_sealed = false;
                s->plan_at--;
        }
}

static void move_frames(struct store *s, struct chunk *c) {
        c->segment = c->next_place.segment;
        c->offset = c->next_place.offset;
        for (size_t at = 0; at < c->size;) {
                struct frame f;
                frame_load(&f, c->data + at);
                store_frame_moved(s, f.lsn, (struct place){c->segment, c->offset + at});
                at += f.frame_bytes;
        }
}

/* Under lock. PLAN_WAITS when the keeper has to prepare a segment first; then it is begun again. */
static int plan_list(struct store *s, struct chunk_list *list) {
        for (struct chunk *c = list->first; c; c = c->next) {
                struct store_segment *now = s->plan_at ? s->segments[s->plan_at - 1] : NULL;
                if (!now || now->is_sealed || now->planned + c->size > now->size) {
                        struct store_segment *next = s->plan_at < s->segments_count ? s->segments[s->plan_at] : NULL;
                        if (!next || next->size < SEGMENT_FRAMES_AT + c->size) {
                                s->room_wanted = MAX(s->room_wanted, SEGMENT_FRAMES_AT + c->size);
                                store_wake_keeper(s);
                                return PLAN_WAITS;
                        }
                        if (now && !now->is_sealed) {
                                now->is_sealed = true;
                                now->end_lsn = c->first_lsn;
                        }
                        next->base_lsn = c->first_lsn;
                        next->planned = SEGMENT_FRAMES_AT;
                        s->plan_at++;
                        now = next;
                }
                c->next_place = (struct place){now, now->planned};
                now->planned += c->size;
        }
        return 0;
}

/* Under lock: finds new places for all that was admitted and is not durable. */
static int plan_again(struct store *s) {
        for (struct chunk *c = s->staged.first; c; c = c->next) {
                while (c->filling)
                        pthread_cond_wait(&s->filled, &s->lock);
        }
        unplan(s);
        int r = plan_list(s, &s->inflight);
        if (!r)
                r = plan_list(s, &s->staged);
        if (r)
                return r;
        for (struct chunk *c = s->inflight.first; c; c = c->next)
                move_frames(s, c);
        for (struct chunk *c = s->staged.first; c; c = c->next)
                move_frames(s, c);
        if (s->cursor_lsn == s->next_lsn) {
                struct store_segment *now = s->segments[s->plan_at - 1];
                s->cursor = (struct place){now, now->planned};
        }
        s->needs_plan = false;
        store_check(s);
        return 0;
}

static void note_failure(struct store *s, int error) {
        pthread_mutex_lock(&s->lock);
        bool is_news = s->error != error;
        s->error = error;
        if (s->writing && !is_harmless(error))
                abandon(s, s->writing);
        bool leaves = s->needs_plan;
        if (leaves)
                s->written_lsn = s->durable_lsn;
        pthread_cond_broadcast(&s->moved);
        struct waiter *waiters = waiters_take(s, UINT64_MAX);
        pthread_mutex_unlock(&s->lock);
        waiters_tell(waiters, error);
        if (leaves)
                turn_to(s, NULL);
        if (is_news)
                store_complain(s, error, "messages cannot be written");
}

int store_flush_round(struct store *s) {
        pthread_mutex_lock(&s->lock);
        if (s->needs_plan) {
                int r = plan_again(s);
                if (r) {
                        pthread_mutex_unlock(&s->lock);
                        return pass(s->error ? s->error : -EAGAIN);
                }
        }
        if (s->staged.first) {
                if (s->inflight.last)
                        s->inflight.last->next = s->staged.first;
                else
                        s->inflight.first = s->staged.first;
                s->inflight.last = s->staged.last;
                s->staged = (struct chunk_list){0};
        }
        for (struct chunk *c = s->inflight.first; c; c = c->next) {
                while (c->filling)
                        pthread_cond_wait(&s->filled, &s->lock);
        }
        bool is_idle = !s->inflight.first;
        pthread_mutex_unlock(&s->lock);
        if (is_idle)
                return FLUSH_IDLE;
        int r = write_group(s);
        if (r)
                note_failure(s, r);
        return pass(r);
}

static void wait_ms(struct store *s, pthread_cond_t *condition, uint32_t ms) {
        int64_t until = clock_mono_ns() + ms * INT64_C(1000000);
        struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        pthread_cond_timedwait(condition, &s->lock, &at);
}

void *store_flusher(void *store) {
        struct store *s = store;
        pthread_mutex_lock(&s->lock);
        for (;;) {
                bool has_work = s->staged.first || s->inflight.first;
                if (s->is_closing && (!has_work || s->error))
                        break;
                if (has_work && !s->error) {
                        pthread_mutex_unlock(&s->lock);
                        store_flush_round(s);
                        pthread_mutex_lock(&s->lock);
                        continue;
                }
                s->is_flusher_idle = true;
                if (s->error) {
                        s->back_off_ms =
                                MIN(MAX(2 * s->back_off_ms, (uint32_t)BACK_OFF_MS_MIN), (uint32_t)BACK_OFF_MS_MAX);
                        wait_ms(s, &s->work, s->back_off_ms);
                } else {
                        pthread_cond_wait(&s->work, &s->lock);
                }
                s->is_flusher_idle = false;
                if (s->error && !s->is_closing) {
                        pthread_mutex_unlock(&s->lock);
                        store_flush_round(s);
                        pthread_mutex_lock(&s->lock);
                }
        }
        s->is_flusher_done = true;
        pthread_cond_broadcast(&s->keep);
        pthread_mutex_unlock(&s->lock);
        return NULL;
}
