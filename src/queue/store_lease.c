/*
 * Leases: who has which messages in work, and the mark below which everything is done.
 *
 *   (waiting) -> LEASED     store_lease(), store_lease_range()    the oldest first
 *   LEASED    -> RELEASED   store_release()                       waits again, before later ones
 *   RELEASED  -> LEASED     store_lease(), store_lease_range()
 *   LEASED    -> (gone)     store_complete()                      when it and all before it are complete
 *
 * Leases lie in a ring in the order of their LSNs; one that is complete stays until it
 * is the first. So the mark is the first message of the first lease that is not
 * complete, or where the cursor stands, behind everything that was ever leased.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fail.h"
#include "queue/store_codec.h"
#include "queue/store_inside.h"
#include "queue/store_read.h"

static struct lease *lease_at(const struct store *s, size_t i) {
        return &s->leases[(s->leases_first + i) % s->leases_capacity];
}

uint64_t store_mark(const struct store *s) {
        if (!s->leases_count)
                return s->cursor_lsn + s->cursor_done;
        const struct lease *l = lease_at(s, 0);
        return l->lsn + l->first_undone;
}

struct place store_mark_place(const struct store *s) {
        return s->leases_count ? lease_at(s, 0)->place : s->cursor;
}

void store_settle_cursor(struct store *s) {
        /* The places of what is not durable are being looked for; then the cursor's will be told. */
        if (s->needs_plan && s->cursor_lsn > s->durable_lsn)
                return;
        if (!s->cursor.segment) {
                if (s->plan_at == 0)
                        return;
                s->cursor = (struct place){s->segments[0], SEGMENT_FRAMES_AT};
        }
        struct store_segment *next;
        while (s->cursor.segment->end_lsn && s->cursor_lsn >= s->cursor.segment->end_lsn &&
               (next = store_segment_after(s, s->cursor.segment)))
                s->cursor = (struct place){next, SEGMENT_FRAMES_AT};
}

/* The lease that holds `lsn`; there is one. */
static struct lease *lease_find(struct store *s, uint64_t lsn) {
        size_t low = 0, high = s->leases_count;
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (lease_at(s, middle)->lsn <= lsn)
                        low = middle;
                else
                        high = middle;
        }
        assert(high > low);
        struct lease *l = lease_at(s, low);
        assert(lsn >= l->lsn && lsn - l->lsn < l->count);
        return l;
}

void store_frame_moved(struct store *s, uint64_t lsn, struct place place) {
        struct index_entry *e = store_index(s, lsn);
        if (e)
                e->place = place;
        if (lsn == s->cursor_lsn) {
                s->cursor = place;
        } else if (lsn < s->cursor_lsn && s->leases_count && lease_at(s, 0)->lsn <= lsn) {
                /* One that is complete may be gone already. */
                struct lease *l = lease_find(s, lsn);
                assert(l->lsn == lsn);
                l->place = place;
        }
}

static int leases_grow(struct store *s) {
        if (s->leases_count < s->leases_capacity)
                return 0;
        size_t capacity = s->leases_capacity ? 2 * s->leases_capacity : 64;
        struct lease *leases = malloc(capacity * sizeof *leases);
        if (!leases)
                return fail(-ENOMEM);
        for (size_t i = 0; i < s->leases_count; i++)
                leases[i] = *lease_at(s, i);
        free(s->leases);
        s->leases = leases;
        s->leases_capacity = capacity;
        s->leases_first = 0;
        return 0;
}

static uint64_t *lease_bits(struct lease *l) {
        return l->bits ? l->bits : &l->word;
}

/* Makes the frame at the cursor a lease, and moves the cursor behind it. `done` of its messages were complete before.
 */
static int lease_push(struct store *s, const struct read_frame *f, uint32_t done) {
        int r = leases_grow(s);
        if (r)
                return pass(r);
        struct lease l = {
                .lsn = f->lsn,
                .place = s->cursor,
                .time_us = f->time_us,
                .count = f->count,
                .frame_bytes = f->frame_bytes,
                .first_undone = done,
                .done_count = done,
        };
        if (l.count > 64) {
                l.bits = calloc((l.count + 63) / 64, sizeof *l.bits);
                if (!l.bits)
                        return fail(-ENOMEM);
        }
        *lease_at(s, s->leases_count++) = l;
        s->last_leased_lsn = l.lsn;
        s->leased_messages += l.count - done;
        s->cursor_lsn += f->count;
        s->cursor_done = 0;
        s->cursor.offset += f->frame_bytes;
        s->cursor_time_us = f->time_us;
        store_settle_cursor(s);
        return 0;
}

static void lease_pop(struct store *s) {
        free(lease_at(s, 0)->bits);
        s->leases_first = (s->leases_first + 1) % s->leases_capacity;
        s->leases_count--;
}

/* The oldest one that was given back; there is one. */
static struct lease *lease_released(struct store *s) {
        for (size_t i = 0; i < s->leases_count; i++) {
                struct lease *l = lease_at(s, i);
                if (l->is_released)
                        return l;
        }
        assert(false);
        return NULL;
}

static void lease_take_again(struct store *s, struct lease *l) {
        assert(l->is_released);
        l->is_released = false;
        s->released_count--;
        s->released_messages -= l->count - l->done_count;
        s->leased_messages += l->count - l->done_count;
}

static void lease_give_back(struct store *s, struct lease *l) {
        assert(!l->is_released);
        s->leased_messages -= l->count - l->done_count;
        /* Only how many of the first are complete is told to whoever leases it next. */
        l->done_count = l->first_undone;
        uint64_t *bits = lease_bits(l);
        for (uint32_t i = 0; i < (l->count + 63) / 64; i++)
                bits[i] = 0;
        l->is_released = true;
        s->released_count++;
        s->released_messages += l->count - l->done_count;
}

void store_release(struct store *s, uint64_t lsn) {
        pthread_mutex_lock(&s->lock);
        struct lease *l = lease_find(s, lsn);
        assert(l->lsn == lsn);
        lease_give_back(s, l);
        store_check(s);
        pthread_mutex_unlock(&s->lock);
}

/* Under lock. Completes what there is of [lsn, lsn + count) in one lease; how many that were. */
static uint64_t complete_in(struct lease *l, uint64_t lsn, uint64_t count) {
        uint32_t first = (uint32_t)(lsn - l->lsn);
        uint32_t n = (uint32_t)MIN(count, (uint64_t)(l->count - first));
        assert(!l->is_released && first >= l->first_undone);
        l->done_count += n;
        assert(l->done_count <= l->count);
        if (first == l->first_undone && l->done_count == l->first_undone + n) {
                l->first_undone += n;
                return n;
        }
        uint64_t *bits = lease_bits(l);
        for (uint32_t i = first; i < first + n; i++) {
                assert(!(bits[i / 64] >> i % 64 & 1));
                bits[i / 64] |= UINT64_C(1) << i % 64;
        }
        while (l->first_undone < l->count && bits[l->first_undone / 64] >> l->first_undone % 64 & 1)
                l->first_undone++;
        return n;
}

/* Under lock. What the keeper has to know when the mark has moved. */
static void note_progress(struct store *s, uint64_t count) {
        bool was_dirty = s->is_control_dirty;
        s->completed += count;
        s->is_control_dirty = true;
        if (!was_dirty)
                s->control_dirty_ns = clock_mono_coarse_ns();
        /* A segment that nobody needs any more is room. */
        const struct store_segment *oldest = s->segments_count ? s->segments[0] : NULL;
        bool frees = oldest && oldest->end_lsn && store_mark(s) >= oldest->end_lsn && s->plan_at > 1;
        /* At half of it, so that the next half need not wait. */
        if (frees || s->is_sync_awaited || 2 * s->completed >= s->unsynced_max)
                s->is_control_due = true;
        if (s->is_control_due || !was_dirty)
                store_wake_keeper(s);
}

/* Under lock: has the mark moved so far that it had better be written? */
static bool wants_mark(const struct store *s) {
        uint64_t bound = s->options.checkpoint_messages, moved = store_mark(s) - s->written_mark;
        return bound && bound < s->unsynced_max && moved && (s->is_lease_awaited || 2 * moved >= bound);
}

/* Under lock. */
static void complete_range(struct store *s, uint64_t lsn, uint64_t count) {
        uint64_t mark = store_mark(s);
        for (uint64_t left = count; left;) {
                struct lease *l = lease_find(s, lsn);
                uint64_t n = complete_in(l, lsn, left);
                s->leased_messages -= n;
                lsn += n;
                left -= n;
        }
        while (s->leases_count && lease_at(s, 0)->done_count == lease_at(s, 0)->count)
                lease_pop(s);
        assert(store_mark(s) >= mark);
        note_progress(s, count);
        store_check(s);
}

void store_complete(struct store *s, uint64_t lsn, uint64_t count) {
        pthread_mutex_lock(&s->lock);
        complete_range(s, lsn, count);
        bool marks = wants_mark(s);
        pthread_mutex_unlock(&s->lock);
        if (marks)
                store_write_mark(s);
}

/* Under lock and reading. The frame is at the cursor, which it moves. */
static int lease_cursor(struct store *s, const struct read_frame *f, struct store_frame *frame) {
        assert(f->lsn == s->cursor_lsn);
        assert(s->cursor_done < f->count);
        uint32_t done = (uint32_t)s->cursor_done;
        int r = lease_push(s, f, done);
        if (r)
                return pass(r);
        *frame = (struct store_frame){.lsn = f->lsn, .count = f->count, .done = done};
        return 0;
}

static int lease_again(struct store *s, struct store_frame *frame, bool reads) {
        struct lease *l = lease_released(s);
        struct lease copy = *l;
        lease_take_again(s, l);
        *frame = (struct store_frame){.lsn = copy.lsn, .count = copy.count, .done = copy.first_undone};
        if (!reads)
                return 0;
        struct read_frame f;
        int r = store_read_at(s, copy.place, copy.lsn, copy.lsn + copy.count, &f);
        if (!r) {
                frame->size = f.raw_bytes;
                frame->payload = f.payload;
                return 0;
        }
        /* Damage that came while it was out: what is left of it is lost, and counts as complete. */
        l = lease_find(s, copy.lsn);
        if (r != READ_DAMAGED) {
                lease_give_back(s, l);
                return pass(r);
        }
        uint64_t lost_lsn = copy.lsn + copy.first_undone, lost = copy.count - copy.first_undone;
        copy.place.segment->is_damaged = true;
        complete_range(s, lost_lsn, lost);
        pthread_mutex_unlock(&s->lock);
        store_report_lost(s, lost_lsn, lost, copy.place.segment, "it was read before and cannot be read again");
        pthread_mutex_lock(&s->lock);
        return -EAGAIN;
}

/* Under lock: how many messages the frame at the cursor has, as far as is known without reading it. */
static uint32_t cursor_count(struct store *s) {
        if (s->held_back_lsn == s->cursor_lsn)
                return s->held_back_count;
        const struct index_entry *e = store_index(s, s->cursor_lsn);
        return e ? e->count : 1;
}

/*
 * Under lock: would `count` more messages be further beyond that mark than `most`? Two frames always may, so that one
 * is in work while the mark behind the other is written.
 */
static bool is_too_far(const struct store *s, uint64_t mark, uint64_t most, uint32_t count) {
        return s->cursor_lsn + count > mark + most && mark < s->last_leased_lsn;
}

/*
 * Under lock: would more come twice than was agreed if the process died, or the power went, with `count` more messages
 * leased? When the control file cannot be written, as was reported, the backlog is not held up for that.
 */
static bool is_held_back(struct store *s, uint32_t count) {
        if (!s->options.checkpoint_messages || s->control_error)
                return false;
        bool waits_for_sync = is_too_far(s, s->control.mark_lsn, s->unsynced_max, count);
        if (!waits_for_sync && !is_too_far(s, s->written_mark, s->options.checkpoint_messages, count))
                return false;
        s->is_lease_awaited = true;
        s->is_sync_awaited |= waits_for_sync;
        s->is_mark_due |= store_mark(s) > s->written_mark;
        if (waits_for_sync && store_mark(s) > s->control.mark_lsn)
                s->is_control_dirty = s->is_control_due = true;
        if (s->is_mark_due || s->is_control_due)
                store_wake_keeper(s);
        return true;
}

bool store_has_next(struct store *s) {
        pthread_mutex_lock(&s->lock);
        bool has = s->released_count ||
                   (s->cursor_lsn + s->cursor_done < s->next_lsn && !is_held_back(s, cursor_count(s)));
        pthread_mutex_unlock(&s->lock);
        return has;
}

uint64_t store_waiting(struct store *s) {
        pthread_mutex_lock(&s->lock);
        uint64_t waiting = s->next_lsn - s->cursor_lsn - s->cursor_done + s->released_messages;
        pthread_mutex_unlock(&s->lock);
        return waiting;
}

/* Under both locks; 0, -EAGAIN: there is none, RETRY: something was lost, look again. */
enum { LEASE_RETRY = 1 };

static int lease_next(struct store *s, struct store_frame *frame) {
        if (s->released_count) {
                int r = lease_again(s, frame, true);
                return r == -EAGAIN ? LEASE_RETRY : r;
        }
        store_settle_cursor(s);
        if (s->cursor_lsn >= s->next_lsn || is_held_back(s, cursor_count(s)))
                return -EAGAIN;
        struct read_frame f;
        int r = store_read_cursor(s, &f);
        if (r == READ_SKIPPED)
                return LEASE_RETRY;
        if (r)
                return r;
        if (is_held_back(s, f.count)) {
                s->held_back_lsn = f.lsn;
                s->held_back_count = f.count;
                free(f.payload);
                return -EAGAIN;
        }
        r = lease_cursor(s, &f, frame);
        if (r) {
                free(f.payload);
                return pass(r);
        }
        frame->size = f.raw_bytes;
        frame->payload = f.payload;
        return 0;
}

int store_lease(struct store *s, struct store_frame *frame) {
        pthread_mutex_lock(&s->reading);
        pthread_mutex_lock(&s->lock);
        int r;
        /* Each time round something is skipped for good, so this ends. */
        do
                r = lease_next(s, frame);
        while (r == LEASE_RETRY);
        store_check(s);
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_unlock(&s->reading);
        return r;
}

int store_lease_range(struct store *s, uint64_t lsn, struct store_frame *frame) {
        pthread_mutex_lock(&s->reading);
        pthread_mutex_lock(&s->lock);
        int r = -ESTALE;
        store_settle_cursor(s);
        struct index_entry *e;
        if (s->released_count) {
                if (lease_released(s)->lsn == lsn)
                        r = lease_again(s, frame, false);
        } else if (s->cursor_lsn == lsn && s->cursor_done == 0 && (e = store_index(s, lsn)) &&
                   !is_held_back(s, e->count)) {
                struct read_frame f = {
                        .lsn = lsn, .count = e->count, .frame_bytes = e->frame_bytes, .time_us = e->time_us};
                r = lease_cursor(s, &f, frame);
        }
        store_check(s);
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_unlock(&s->reading);
        return r;
}
