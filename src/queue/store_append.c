/*
 * Admission: a frame is accepted when its place on the disk is known and already
 * written, so that nothing that was accepted can fail for lack of space.
 *
 * The place is in the current segment if the frame fits, else in the next one that
 * the keeper has prepared. A frame never spans segments; one that is larger than a
 * segment has the next prepared one grown to its size, before it is accepted.
 *
 * Frames are copied without the lock: the order of LSNs and of places is decided under
 * it, and the flusher waits until a chunk is no longer being filled.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "queue/store_codec.h"
#include "queue/store_inside.h"

static struct chunk *chunk_new(struct store *s, size_t needed) {
        struct chunk *c = s->spare;
        if (needed <= CHUNK_BYTES && c) {
                s->spare = c->next;
                s->spare_count--;
        } else {
                size_t capacity = MAX(needed, (size_t)CHUNK_BYTES);
                c = malloc(sizeof *c + capacity);
                if (!c)
                        return NULL;
                c->capacity = capacity;
        }
        *c = (struct chunk){.capacity = c->capacity};
        return c;
}

void chunk_return(struct store *s, struct chunk *c) {
        assert(!c->filling && !c->readers);
        if (c->capacity != CHUNK_BYTES || s->spare_count >= CHUNKS_SPARE_MAX) {
                free(c);
                return;
        }
        c->next = s->spare;
        s->spare = c;
        s->spare_count++;
}

void chunks_free(struct chunk_list *list) {
        for (struct chunk *c = list->first, *next; c; c = next) {
                next = c->next;
                free(c);
        }
        *list = (struct chunk_list){0};
}

struct index_entry *store_index(struct store *s, uint64_t lsn) {
        uint64_t low = s->index_first, high = s->index_next;
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;
                struct index_entry *e = &s->index[middle % INDEX_FRAMES];
                if (e->lsn == lsn)
                        return e;
                if (e->lsn < lsn)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

static void index_push(struct store *s, const struct index_entry *e) {
        if (s->index_next - s->index_first == INDEX_FRAMES)
                s->index_first++;
        s->index[s->index_next++ % INDEX_FRAMES] = *e;
}

/* Asks the keeper for a prepared segment of that size. PLAN_WAITS, or why there is none. */
static int ask_for_room(struct store *s, uint64_t size) {
        if (s->room_error && s->disk->ops->wall_us(s->disk) - s->room_error_us < ROOM_PATIENCE_US)
                return s->room_error;
        s->room_error = 0;
        if (s->room_wanted == 0 && s->prepared_wanted < PREPARED_MAX)
                s->prepared_wanted++;
        s->room_wanted = MAX(s->room_wanted, size);
        store_wake_keeper(s);
        return PLAN_WAITS;
}

/* Where the next `size` bytes go: *ret is a chunk with room for them. PLAN_WAITS, -ENOSPC ... when there is no place.
 */
static int plan(struct store *s, uint32_t size, struct chunk **ret) {
        struct store_segment *now = s->plan_at ? s->segments[s->plan_at - 1] : NULL;
        bool fits = now && !now->is_sealed && now->planned + size <= now->size;
        struct store_segment *next = NULL;
        if (!fits) {
                next = s->plan_at < s->segments_count ? s->segments[s->plan_at] : NULL;
                if (!next || next->size < SEGMENT_FRAMES_AT + (uint64_t)size)
                        return ask_for_room(s, SEGMENT_FRAMES_AT + (uint64_t)size);
        }
        struct chunk *last = s->staged.last;
        if (fits && last && last->segment == now && last->capacity - last->size >= size) {
                *ret = last;
                return 0;
        }
        struct chunk *c = chunk_new(s, size);
        if (!c)
                return fail(-ENOMEM);
        if (!fits) {
                if (now && !now->is_sealed) {
                        now->is_sealed = true;
                        now->end_lsn = s->next_lsn;
                }
                next->base_lsn = s->next_lsn;
                next->planned = SEGMENT_FRAMES_AT;
                s->plan_at++;
                store_wake_keeper(s);
                now = next;
        }
        c->segment = now;
        c->offset = now->planned;
        c->first_lsn = c->end_lsn = s->next_lsn;
        if (last)
                last->next = c;
        else
                s->staged.first = c;
        s->staged.last = c;
        *ret = c;
        return 0;
}

/* Waits, or does by hand what would be waited for. */
static int wait_for_room(struct store *s, bool for_keeper) {
        if (!s->is_by_hand) {
                pthread_cond_wait(&s->moved, &s->lock);
                return 0;
        }
        pthread_mutex_unlock(&s->lock);
        int r = for_keeper ? store_keep_round(s, false) : store_flush_round(s);
        pthread_mutex_lock(&s->lock);
        return r < 0 && !for_keeper ? r : 0;
}

/* Under lock, which it may leave and take again: a chunk with room for `size`. */
static int admit(struct store *s, uint32_t size, struct chunk **ret) {
        for (;;) {
                if (s->is_closing)
                        return fail(-ESHUTDOWN);
                if (s->error)
                        return pass(s->error);
                int r;
                bool is_full = s->staged_bytes && s->staged_bytes + size > s->staged_bytes_max;
                if (!is_full) {
                        r = plan(s, size, ret);
                        if (r <= 0)
                                return r ? pass(r) : 0;
                }
                r = wait_for_room(s, !is_full);
                if (r)
                        return pass(r);
        }
}

static void stage(struct store *s, struct chunk *c, struct frame *f, const struct encoded *e) {
        struct store_segment *segment = c->segment;
        uint8_t *at = c->data + c->size;
        f->lsn = s->next_lsn;
        index_push(s, &(struct index_entry){
                              .lsn = f->lsn,
                              .place = {segment, segment->planned},
                              .time_us = f->time_us,
                              .count = f->count,
                              .frame_bytes = f->frame_bytes,
                      });
        s->next_lsn += f->count;
        segment->planned += f->frame_bytes;
        s->staged_bytes += f->frame_bytes;
        c->size += f->frame_bytes;
        c->end_lsn = s->next_lsn;
        c->filling++;
        pthread_mutex_unlock(&s->lock);

        frame_write(at, f);
        memcpy(at + f->header_bytes, e->data, e->size);
        memset(at + f->header_bytes + e->size, 0, f->frame_bytes - f->header_bytes - e->size);

        pthread_mutex_lock(&s->lock);
        if (--c->filling == 0)
                pthread_cond_signal(&s->filled);
}

/* Could it ever be admitted? */
static bool is_too_large(const struct store *s, uint32_t frame_bytes) {
        return s->options.bytes_max &&
               SEGMENT_FRAMES_AT + (uint64_t)frame_bytes + s->segment_bytes > s->options.bytes_max &&
               SEGMENT_FRAMES_AT + (uint64_t)frame_bytes > s->segment_bytes;
}

int store_append(struct store *s, const void *payload, size_t size, uint32_t count, uint64_t *lsn) {
        assert(count > 0);
        if (size > FRAME_BYTES_MAX || count > FRAME_MESSAGES_MAX)
                return fail(-EMSGSIZE);
        _owned_(encoded_fini) struct encoded e = {0};
        int r = codec_encode(s->codec, payload, size, count, &e);
        if (r)
                return pass(r);
        uint8_t flags = s->options.is_chained ? FRAME_IS_CHAINED : 0;
        struct frame f = {
                .time_us = s->disk->ops->wall_us(s->disk),
                .count = count,
                .stored_bytes = (uint32_t)e.size,
                .raw_bytes = (uint32_t)size,
                .header_bytes = (uint8_t)frame_header_bytes(e.cipher, flags),
                .codec = e.codec,
                .cipher = e.cipher,
                .flags = flags,
                .key_id = e.key_id,
        };
        memcpy(f.nonce, e.nonce, sizeof f.nonce);
        static const uint8_t padding[FRAME_ALIGNMENT];
        f.frame_bytes = frame_padded((uint64_t)f.header_bytes + f.stored_bytes);
        f.payload_crc = segment_crc(segment_crc(0, e.data, e.size), padding, f.frame_bytes - f.header_bytes - e.size);
        if (is_too_large(s, f.frame_bytes))
                return fail(-EMSGSIZE);

        pthread_mutex_lock(&s->lock);
        struct chunk *c = NULL;
        r = admit(s, f.frame_bytes, &c);
        if (!r) {
                stage(s, c, &f, &e);
                *lsn = f.lsn;
        }
        bool wakes = !r && s->is_flusher_idle;
        pthread_mutex_unlock(&s->lock);
        /* Without the lock, which it would only wait for. */
        if (wakes)
                pthread_cond_signal(&s->work);
        return r;
}
