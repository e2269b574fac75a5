#include "daemon/waiting_room.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/fail.h"
#include "io/resolve.h"

enum { DECIDED_MAX = 64 }; /* senders that are told of in one go; others are decided again with their next message */

struct waiting_room {
        struct batch_pool *pool;
        void (*push)(void *owner, struct batch *b);
        void *owner;
        struct reporter *reporter;
        uint64_t messages_max;
        sem_t answers;
        pthread_t thread;
        pthread_mutex_t lock; /* guards all below */
        struct batch *first, **end;
        uint64_t messages;
        uint64_t given_up; /* since it was reported last */
        bool has_thread;
        bool is_closed;
        bool is_full;
        bool is_pushing;                     /* what was let go is on its way to its queue */
        struct source *decided[DECIDED_MAX]; /* while their messages are on the way; held */
        size_t decided_count;
};

/* ---- Parking ------------------------------------------------------------------ */

static struct batch *last_of(struct waiting_room *room) {
        return room->first ? CONTAINER_OF(room->end, struct batch, next) : NULL;
}

/* `next` of a new batch is its pool's until somebody sets it. */
static void append(struct batch ***end, struct batch *b) {
        b->next = NULL;
        **end = b;
        *end = &b->next;
}

/* Under the lock. One record at a time: they come from few batches, and end up close together. */
static bool park(struct waiting_room *room, struct batch *b, const void *route, uint16_t index) {
        struct batch *last = last_of(room);
        if (room->messages >= room->messages_max)
                return false;
        if (!last || last->route != route || !batch_copy(last, b, &index, 1)) {
                struct batch *fresh = batch_new(room->pool, b->records[index].raw.size + BATCH_BYTES / 8);
                if (!fresh || !batch_copy(fresh, b, &index, 1)) {
                        batch_unref(fresh);
                        return false;
                }
                fresh->route = route;
                append(&room->end, fresh);
        }
        room->messages++;
        return true;
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

/* A record whose sender is not decided for everybody yet. False: it could not stay. */
static bool keep_waiting(struct waiting_room *room, struct batch *b, const void *route, uint16_t index) {
        return !room->is_closed && start(room) && park(room, b, route, index);
}

/* Under the lock: what becomes of one record. */
static enum source_admission screen_record(struct waiting_room *room, struct batch *b, const void *route,
                                           uint16_t index) {
        struct source *s = b->records[index].source;
        /* Decided for everybody only while nothing of this sender can be on the way to his queue. */
        bool is_empty = room->messages == 0 && !room->is_pushing;
        enum source_admission now = is_empty ? source_judge(s) : source_admission(s);
        if (now != SOURCE_AWAITED)
                return now;
        /* Asks, too; the answer wakes the thread, unless it is there already. */
        bool is_answered = !is_empty && source_verdict(s) != SOURCE_AWAITED;
        if (!keep_waiting(room, b, route, index))
                room->given_up++;
        if (is_answered)
                sem_post(&room->answers);
        return SOURCE_AWAITED;
}

size_t waiting_room_screen(struct waiting_room *room, struct batch *b, const void *route, uint16_t *selection,
                           size_t count) {
        size_t kept = 0;
        bool is_locked = false;
        uint64_t given_up = 0;
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
                enum source_admission now = screen_record(room, b, route, selection[i]);
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

/* ---- Letting go ------------------------------------------------------------------ */

static void note_decided(struct waiting_room *room, struct source *s) {
        for (size_t i = 0; i < room->decided_count; i++)
                if (room->decided[i] == s)
                        return;
        if (room->decided_count < DECIDED_MAX)
                room->decided[room->decided_count++] = source_ref(s);
}

/* The records of one batch that are decided by now: admitted ones to the end of `out`, refused ones away. */
static struct batch *sort_batch(struct waiting_room *room, struct batch *b, struct batch ***out) {
        uint16_t admitted[BATCH_RECORDS_MAX], waiting[BATCH_RECORDS_MAX];
        size_t admitted_count = 0, waiting_count = 0;
        for (uint32_t i = 0; i < b->count; i++) {
                struct record *r = &b->records[i];
                enum source_admission now = source_verdict(r->source);
                if (now != SOURCE_AWAITED)
                        note_decided(room, r->source);
                switch (now) {
                case SOURCE_ADMITTED:
                        r->flags |= RECORD_IS_ADMITTED;
                        admitted[admitted_count++] = (uint16_t)i;
                        break;
                case SOURCE_REFUSED:
                        source_refuse(r->source, room->reporter);
                        break;
                default:
                        waiting[waiting_count++] = (uint16_t)i;
                }
        }
        room->messages -= b->count - waiting_count;
        if (waiting_count == b->count)
                return b;
        struct batch *rest = waiting_count ? batch_view(b, waiting, waiting_count) : NULL;
        struct batch *free_ones = admitted_count ? batch_view(b, admitted, admitted_count) : NULL;
        if ((waiting_count && !rest) || (admitted_count && !free_ones)) {
                room->given_up += waiting_count * !rest + admitted_count * !free_ones;
                room->messages -= waiting_count * !rest;
        }
        if (rest)
                rest->route = b->route;
        if (free_ones) {
                free_ones->route = b->route;
                append(out, free_ones);
        }
        batch_unref(b);
        return rest;
}

/* Under the lock: all that is decided. */
static struct batch *sort(struct waiting_room *room) {
        struct batch *out = NULL, **out_end = &out, *rest = room->first;
        room->first = NULL;
        room->end = &room->first;
        while (rest) {
                struct batch *b = rest;
                rest = b->next;
                b = sort_batch(room, b, &out_end);
                if (b)
                        append(&room->end, b);
        }
        return out;
}

/* Until nothing that is decided is left: only then may later messages of those senders pass the room by. */
static void let_go(struct waiting_room *room) {
        pthread_mutex_lock(&room->lock);
        room->is_pushing = true;
        for (struct batch *out; (out = sort(room));) {
                pthread_mutex_unlock(&room->lock);
                while (out) {
                        struct batch *b = out;
                        out = b->next;
                        b->next = NULL;
                        room->push(room->owner, b);
                }
                pthread_mutex_lock(&room->lock);
        }
        while (room->decided_count) {
                struct source *s = room->decided[--room->decided_count];
                source_judge(s);
                source_unref(s);
        }
        room->is_pushing = false;
        room->is_full = room->is_full && room->messages >= room->messages_max;
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
                let_go(room);
        }
        return NULL;
}

/* ---- Life -------------------------------------------------------------------------- */

static void note_answer(void *listener) {
        sem_post(&((struct waiting_room *)listener)->answers);
}

int waiting_room_new(struct waiting_room **ret, struct batch_pool *pool, uint64_t messages_max,
                     void (*push)(void *owner, struct batch *b), void *owner, struct reporter *reporter) {
        struct waiting_room *room = calloc(1, sizeof *room);
        if (!room)
                return fail(-ENOMEM);
        *room = (struct waiting_room){
                .pool = pool, .push = push, .owner = owner, .reporter = reporter, .messages_max = messages_max};
        room->end = &room->first;
        pthread_mutex_init(&room->lock, NULL);
        sem_init(&room->answers, 0, 0);
        resolve_listen(note_answer, room);
        *ret = room;
        return 0;
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
        uint64_t lost = room->messages + room->given_up;
        room->given_up = room->messages = 0;
        while (room->first) {
                struct batch *b = room->first;
                room->first = b->next;
                batch_unref(b);
        }
        room->end = &room->first;
        pthread_mutex_unlock(&room->lock);
        if (lost)
                report(room->reporter, SEVERITY_WARNING, 0,
                       "%llu messages were discarded because the names of their senders, which decide whether they may "
                       "send, were not known in time",
                       (unsigned long long)lost);
}

struct waiting_room *waiting_room_free(struct waiting_room *room) {
        if (!room)
                return NULL;
        waiting_room_close(room);
        pthread_mutex_destroy(&room->lock);
        sem_destroy(&room->answers);
        free(room);
        return NULL;
}
