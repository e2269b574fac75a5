#include "daemon/waiting_room.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/resolve.h"

/* What waits on one route, the oldest first. Lives as long as the room; there are as many as rulesets at most. */
struct lane {
        const void *route;
        struct batch *first, **end;
        struct lane *next;
};

struct waiting_room {
        struct batch_pool *pool;
        void (*ring)(const void *route);
        struct reporter *reporter;
        uint64_t messages_max;
        sem_t answers;
        pthread_t thread;
        pthread_mutex_t lock; /* guards all below */
        struct lane *lanes;
        uint64_t messages;
        uint64_t given_up; /* since it was reported last */
        bool has_thread;
        bool is_closed;
        bool is_full;
};

/* ---- Parking ------------------------------------------------------------------ */

/* `next` of a new batch is its pool's until somebody sets it. */
static void append(struct batch ***end, struct batch *b) {
        b->next = NULL;
        **end = b;
        *end = &b->next;
}

/* Under the lock, as all below. NULL: there is none. */
static struct lane *find_lane(struct waiting_room *room, const void *route) {
        struct lane *lane = room->lanes;
        while (lane && lane->route != route)
                lane = lane->next;
        return lane;
}

static struct lane *make_lane(struct waiting_room *room, const void *route) {
        struct lane *lane = find_lane(room, route);
        if (lane)
                return lane;
        lane = calloc(1, sizeof *lane);
        if (!lane)
                return NULL;
        *lane = (struct lane){.route = route, .end = &lane->first, .next = room->lanes};
        room->lanes = lane;
        return lane;
}

/* One record at a time: they come from few batches, and end up close together. */
static bool park_copy(struct waiting_room *room, struct lane *lane, struct batch *b, uint16_t index) {
        struct batch *last = lane->first ? CONTAINER_OF(lane->end, struct batch, next) : NULL;
        if (last && !last->parent && batch_copy(last, b, &index, 1))
                return true;
        struct batch *fresh = batch_new(room->pool, b->records[index].raw.size + BATCH_BYTES / 8);
        if (!fresh || !batch_copy(fresh, b, &index, 1)) {
                batch_unref(fresh);
                return false;
        }
        append(&lane->end, fresh);
        return true;
}

static bool park_view(struct lane *lane, struct batch *b, uint16_t index) {
        struct batch *view = batch_view(b, &index, 1);
        if (view)
                append(&lane->end, view);
        return view;
}

static bool park(struct waiting_room *room, struct batch *b, const void *route, uint16_t index) {
        if (room->messages >= room->messages_max)
                return false;
        struct lane *lane = make_lane(room, route);
        bool is_parked = lane && (batch_is_waited_for(b) ? park_view(lane, b, index) : park_copy(room, lane, b, index));
        room->messages += is_parked;
        return is_parked;
}

static void tell_full(struct waiting_room *room) {
        report(room->reporter, SEVERITY_ERR, 0,
               "more than %llu messages wait for the names of their senders, which decide whether they may send: "
               "further "
               "ones of such senders are discarded. See whether the name server answers, or allow senders by address",
               (unsigned long long)room->messages_max);
}

static void *attend(void *argument);

/* Under the lock. */
static bool start(struct waiting_room *room) {
        if (!room->has_thread && !room->is_closed)
                room->has_thread = pthread_create(&room->thread, NULL, attend, room) == 0;
        return room->has_thread;
}

/* A record whose sender is not decided yet. False: it could not stay. */
static bool keep_waiting(struct waiting_room *room, struct batch *b, const void *route, uint16_t index) {
        bool may_wait = room->is_closed ? batch_is_waited_for(b) : start(room);
        return may_wait && park(room, b, route, index);
}

/* ---- Letting go ------------------------------------------------------------------ */

/* Neighbours are often of one sender. */
struct verdict {
        struct source *source;
        enum source_admission admission;
};

static enum source_admission look_up(struct verdict *last, struct source *s) {
        if (last->source != s)
                *last = (struct verdict){s, source_verdict(s)};
        return last->admission;
}

/* Takes those out of b that are decided by now, for everybody: admitted ones to the end of `out`, refused ones away. */
static struct batch *sort_batch(struct waiting_room *room, struct batch *b, struct verdict *last, struct batch ***out) {
        uint16_t admitted[BATCH_RECORDS_MAX], waiting[BATCH_RECORDS_MAX];
        size_t admitted_count = 0, waiting_count = 0;
        for (uint32_t i = 0; i < b->count; i++) {
                struct record *r = &b->records[i];
                enum source_admission now = look_up(last, r->source);
                if (now == SOURCE_AWAITED) {
                        waiting[waiting_count++] = (uint16_t)i;
                        continue;
                }
                source_judge(r->source);
                if (now == SOURCE_REFUSED) {
                        source_refuse(r->source, room->reporter);
                        continue;
                }
                r->flags |= RECORD_IS_ADMITTED;
                admitted[admitted_count++] = (uint16_t)i;
        }
        room->messages -= b->count - waiting_count;
        if (waiting_count == b->count)
                return b;
        struct batch *rest = waiting_count ? batch_view(b, waiting, waiting_count) : NULL;
        struct batch *free_ones = admitted_count ? batch_view(b, admitted, admitted_count) : NULL;
        if ((waiting_count && !rest) || (admitted_count && !free_ones)) {
                batch_lose(b);
                room->given_up += waiting_count * !rest + admitted_count * !free_ones;
                room->messages -= waiting_count * !rest;
        }
        if (free_ones)
                append(out, free_ones);
        batch_unref(b);
        return rest;
}

static void release(struct waiting_room *room, struct lane *lane, struct batch ***out) {
        if (!lane)
                return;
        struct verdict last = {0};
        struct batch *rest = lane->first;
        lane->first = NULL;
        lane->end = &lane->first;
        while (rest) {
                struct batch *b = rest;
                rest = b->next;
                b = sort_batch(room, b, &last, out);
                if (b)
                        append(&lane->end, b);
        }
        room->is_full = room->is_full && room->messages >= room->messages_max;
}

struct batch *waiting_room_take(struct waiting_room *room, const void *route) {
        struct batch *released = NULL, **end = &released;
        pthread_mutex_lock(&room->lock);
        release(room, find_lane(room, route), &end);
        pthread_mutex_unlock(&room->lock);
        return released;
}

/* ---- Screening ---------------------------------------------------------------------- */

/* What becomes of one record. */
static enum source_admission screen_record(struct waiting_room *room, struct batch *b, const void *route,
                                           uint16_t index, struct batch ***released) {
        struct source *s = b->records[index].source;
        if (source_admission(s) != SOURCE_AWAITED)
                return source_judge(s);
        enum source_admission now = source_verdict(s); /* asks, too; the answer wakes the thread */
        if (now == SOURCE_AWAITED) {
                if (!keep_waiting(room, b, route, index))
                        room->given_up++;
                return SOURCE_AWAITED;
        }
        release(room, find_lane(room, route), released);
        source_judge(s);
        return now;
}

size_t waiting_room_screen(struct waiting_room *room, struct batch *b, const void *route, uint16_t *selection,
                           size_t count, struct batch **released) {
        size_t kept = 0;
        bool is_locked = false;
        uint64_t given_up = 0;
        struct batch **released_end = released;
        *released = NULL;
        for (size_t i = 0; i < count; i++) {
                const struct record *r = &b->records[selection[i]];
                if (LIKELY(!r->source || !source_is_judged(r->source) || (r->flags & RECORD_IS_ADMITTED))) {
                        selection[kept++] = selection[i];
                        continue;
                }
                if (!is_locked) {
                        pthread_mutex_lock(&room->lock);
                        given_up = room->given_up;
                }
                is_locked = true;
                enum source_admission now = screen_record(room, b, route, selection[i], &released_end);
                if (now == SOURCE_ADMITTED)
                        selection[kept++] = selection[i];
                else if (now == SOURCE_REFUSED)
                        source_refuse(r->source, room->reporter);
        }
        if (!is_locked)
                return kept;
        bool is_news = room->given_up > given_up && !room->is_full;
        room->is_full |= is_news;
        pthread_mutex_unlock(&room->lock);
        if (is_news)
                tell_full(room);
        return kept;
}

/* ---- Life -------------------------------------------------------------------------- */

static bool has_decided(const struct lane *lane) {
        struct verdict last = {0};
        for (const struct batch *b = lane->first; b; b = b->next)
                for (uint32_t i = 0; i < b->count; i++)
                        if (look_up(&last, b->records[i].source) != SOURCE_AWAITED)
                                return true;
        return false;
}

/* The routes on which something may go on. */
static void ring_routes(struct waiting_room *room) {
        pthread_mutex_lock(&room->lock);
        for (struct lane *lane = room->lanes; lane; lane = lane->next) {
                if (!has_decided(lane))
                        continue;
                pthread_mutex_unlock(&room->lock);
                room->ring(lane->route);
                pthread_mutex_lock(&room->lock);
        }
        pthread_mutex_unlock(&room->lock);
}

static bool is_closed(struct waiting_room *room) {
        pthread_mutex_lock(&room->lock);
        bool result = room->is_closed;
        pthread_mutex_unlock(&room->lock);
        return result;
}

static void *attend(void *argument) {
        struct waiting_room *room = argument;
        while (!is_closed(room)) {
                while (sem_wait(&room->answers) && errno == EINTR)
                        ;
                while (sem_trywait(&room->answers) == 0)
                        ;
                ring_routes(room);
        }
        return NULL;
}

static void note_answer(void *listener) {
        sem_post(&((struct waiting_room *)listener)->answers);
}

int waiting_room_new(struct waiting_room **ret, struct batch_pool *pool, uint64_t messages_max,
                     void (*ring)(const void *route), struct reporter *reporter) {
        struct waiting_room *room = calloc(1, sizeof *room);
        if (!room)
                return fail(-ENOMEM);
        *room = (struct waiting_room){.pool = pool, .ring = ring, .reporter = reporter, .messages_max = messages_max};
        pthread_mutex_init(&room->lock, NULL);
        sem_init(&room->answers, 0, 0);
        resolve_listen(note_answer, room);
        *ret = room;
        return 0;
}

/* Whoever waits for them keeps them. */
static void lose(struct batch *b) {
        while (b) {
                struct batch *next = b->next;
                batch_lose(b);
                batch_unref(b);
                b = next;
        }
}

/* What nobody waits for is lost. */
static void give_up_copies(struct waiting_room *room, struct lane *lane) {
        struct batch *b = lane->first;
        lane->first = NULL;
        lane->end = &lane->first;
        while (b) {
                struct batch *next = b->next;
                if (batch_is_waited_for(b)) {
                        append(&lane->end, b);
                } else {
                        room->given_up += b->count;
                        room->messages -= b->count;
                        batch_unref(b);
                }
                b = next;
        }
}

/* Only what has been decided goes on. */
static void close_lane(struct waiting_room *room, struct lane *lane) {
        struct batch *released = NULL, **end = &released;
        release(room, lane, &end);
        give_up_copies(room, lane);
        if (!released)
                return;
        *end = lane->first;
        if (!lane->first)
                lane->end = end;
        lane->first = released;
        for (struct batch *b = released; b != *end; b = b->next)
                room->messages += b->count;
}

void waiting_room_close(struct waiting_room *room) {
        resolve_listen(NULL, NULL);
        pthread_mutex_lock(&room->lock);
        bool was_closed = room->is_closed;
        room->is_closed = true;
        pthread_mutex_unlock(&room->lock);
        sem_post(&room->answers);
        if (room->has_thread && !was_closed)
                pthread_join(room->thread, NULL);
        pthread_mutex_lock(&room->lock);
        for (struct lane *lane = room->lanes; lane; lane = lane->next)
                close_lane(room, lane);
        uint64_t lost = room->given_up;
        room->given_up = 0;
        pthread_mutex_unlock(&room->lock);
        ring_routes(room);
        if (lost)
                report(room->reporter, SEVERITY_WARNING, 0,
                       "%llu messages were discarded because the names of their senders, which decide whether they may "
                       "send, were not known in time",
                       (unsigned long long)lost);
}

void waiting_room_empty(struct waiting_room *room) {
        pthread_mutex_lock(&room->lock);
        for (struct lane *lane = room->lanes; lane; lane = lane->next) {
                lose(lane->first);
                lane->first = NULL;
                lane->end = &lane->first;
        }
        room->messages = 0;
        pthread_mutex_unlock(&room->lock);
}

struct waiting_room *waiting_room_free(struct waiting_room *room) {
        if (!room)
                return NULL;
        waiting_room_empty(room);
        waiting_room_close(room);
        while (room->lanes) {
                struct lane *lane = room->lanes;
                room->lanes = lane->next;
                free(lane);
        }
        pthread_mutex_destroy(&room->lock);
        sem_destroy(&room->answers);
        free(room);
        return NULL;
}
