#include "queue/durable.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/fail.h"

/* A batch that memory has as well as the store. */
struct kept {
        uint64_t lsn;
        struct batch *batch;
};

/* A frame that somebody works on. */
struct lease {
        struct durable *durable;
        uint64_t lsn;
        uint32_t done; /* of its first messages were complete before */
        uint32_t count;
        atomic_uint settled; /* the first of the rest that are complete whatever happens */
        struct lease *next;
};

struct durable {
        struct durable_plan plan;
        struct store *store;
        struct budget *budget;
        pthread_mutex_t
                append_lock;  /* what is appended first is kept first. Before `lock`; the flusher never takes it */
        pthread_mutex_t lock; /* guards all below; not held while the store waits or reads */
        pthread_cond_t read;
        bool is_reading;
        int read_error;                 /* told, until something was read */
        struct kept kept[KEPT_BATCHES]; /* a ring, in the order of LSNs */
        uint64_t kept_first, kept_end;
        uint64_t kept_bytes;
        uint64_t leased_lsn;                  /* the highest that was leased */
        struct batch *hold_first, *hold_last; /* not durable yet; `charge` is the LSN that they wait for */
        struct buffer *idle_buffer;
        struct lease *idle_lease;
};

enum { READ_AGAIN_MS = 200 };

static_assert((KEPT_BATCHES & (KEPT_BATCHES - 1)) == 0, "a ring");
static_assert((int)FRAME_MESSAGES_MAX == (int)BATCH_RECORDS_MAX, "a batch is a frame");

static void durable_check(const struct durable *d) {
        assert(d->kept_end - d->kept_first <= KEPT_BATCHES);
        assert((d->kept_end != d->kept_first) || d->kept_bytes == 0);
        assert((d->hold_first == NULL) == (d->hold_last == NULL));
}

/* ---- Holds: whoever waits for something to become durable ----------------------- */

static void add_hold(struct durable *d, struct batch *hold, uint64_t last_lsn) {
        hold->charge = last_lsn;
        hold->next = NULL;
        if (d->hold_last)
                d->hold_last->next = hold;
        else
                d->hold_first = hold;
        d->hold_last = hold;
}

/* Takes the holds that wait for no more than `lsn`. */
static struct batch *take_holds(struct durable *d, uint64_t lsn) {
        struct batch *taken = NULL, **end = &taken;
        while (d->hold_first && d->hold_first->charge <= lsn) {
                struct batch *hold = d->hold_first;
                d->hold_first = hold->next;
                if (!d->hold_first)
                        d->hold_last = NULL;
                hold->next = NULL;
                *end = hold;
                end = &hold->next;
        }
        return taken;
}

static void release_holds(struct durable *d, uint64_t lsn, bool is_lost) {
        pthread_mutex_lock(&d->lock);
        struct batch *taken = take_holds(d, lsn);
        pthread_mutex_unlock(&d->lock);
        while (taken) {
                struct batch *hold = taken;
                taken = hold->next;
                hold->next = NULL;
                if (is_lost)
                        batch_lose(hold);
                batch_unref(hold);
        }
}

/* On the flusher's thread. */
static void became_durable(void *owner, uint64_t lsn) {
        release_holds(owner, lsn, false);
}

static void were_lost(void *owner, uint64_t lsn _unused_, uint64_t count, const char *why _unused_) {
        struct durable *d = owner;
        if (d->plan.lost)
                d->plan.lost(d->plan.owner, count);
}

/* On the keeper's thread. */
static void may_lease_again(void *owner) {
        struct durable *d = owner;
        if (d->plan.changed)
                d->plan.changed(d->plan.owner);
}

/* ---- Life ---------------------------------------------------------------------- */

int durable_open(struct durable **ret, const struct durable_plan *plan) {
        struct durable *d = calloc(1, sizeof *d);
        if (!d)
                return fail(-ENOMEM);
        d->plan = *plan;
        pthread_mutex_init(&d->append_lock, NULL);
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->read, NULL);
        struct store_options options = {.disk = plan->disk,
                                        .directory = plan->directory,
                                        .name = plan->name,
                                        .segment_bytes = plan->file_bytes,
                                        .bytes_max = plan->disk_bytes_max,
                                        .checkpoint_messages = plan->checkpoint_messages,
                                        .compression = plan->compression,
                                        .compression_level = plan->compression_level,
                                        .key_file = plan->key_file,
                                        .key_program = plan->key_program,
                                        .is_chained = plan->is_chained,
                                        .is_synced = plan->is_synced,
                                        .durable = became_durable,
                                        .lost = were_lost,
                                        .resumed = may_lease_again,
                                        .owner = d};
        int r = store_open(&d->store, &options, plan->reporter);
        if (r) {
                durable_close(d);
                return pass(r);
        }
        *ret = d;
        return 0;
}

static void forget_kept(struct durable *d) {
        for (; d->kept_first != d->kept_end; d->kept_first++) {
                struct batch *b = d->kept[d->kept_first % KEPT_BATCHES].batch;
                if (d->budget)
                        budget_give(d->budget, b->charge);
                d->kept_bytes -= b->charge;
                batch_unref(b);
        }
}

static struct buffer *buffer_free(struct buffer *b) {
        if (b)
                buffer_fini(b);
        free(b);
        return NULL;
}

struct durable *durable_close(struct durable *d) {
        if (!d)
                return NULL;
        if (d->store)
                store_close(d->store);
        release_holds(d, UINT64_MAX, true);
        forget_kept(d);
        while (d->idle_lease) {
                struct lease *l = d->idle_lease;
                d->idle_lease = l->next;
                free(l);
        }
        buffer_free(d->idle_buffer);
        pthread_mutex_destroy(&d->append_lock);
        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->read);
        free(d);
        return NULL;
}

void durable_share_budget(struct durable *d, struct budget *budget) {
        assert(d->kept_first == d->kept_end);
        d->budget = budget;
}

uint64_t durable_waiting(struct durable *d) {
        return store_waiting(d->store);
}

bool durable_has_next(struct durable *d) {
        return store_has_next(d->store);
}

uint64_t durable_unfinished(struct durable *d) {
        struct store_state state;
        store_state(d->store, &state);
        return state.unleased + state.leased;
}

/* ---- Appending ------------------------------------------------------------------ */

static struct buffer *take_buffer(struct durable *d) {
        pthread_mutex_lock(&d->lock);
        struct buffer *idle = TAKE(d->idle_buffer);
        pthread_mutex_unlock(&d->lock);
        return idle ? idle : calloc(1, sizeof *idle);
}

static void give_buffer(struct durable *d, struct buffer *buffer) {
        buffer_clear(buffer);
        pthread_mutex_lock(&d->lock);
        struct buffer *surplus = d->idle_buffer;
        d->idle_buffer = buffer;
        pthread_mutex_unlock(&d->lock);
        buffer_free(surplus);
}

static bool may_keep(const struct durable *d, const struct batch *b, size_t bytes) {
        uint64_t batches = d->kept_end - d->kept_first;
        uint64_t bytes_max = d->plan.kept_bytes_max ? d->plan.kept_bytes_max : KEPT_BYTES;
        if (batches == KEPT_BATCHES || d->kept_bytes + bytes > bytes_max)
                return false;
        if (b->count <= KEPT_RECORDS_FEW && batches >= KEPT_WHILE_FEWER)
                return false;
        return !d->budget || budget_has_room(d->budget, false);
}

static bool keep(struct durable *d, struct batch *b, uint64_t lsn) {
        size_t bytes = batch_bytes(b);
        /* A worker that was faster has it from the store already. */
        if (lsn <= d->leased_lsn || !may_keep(d, b, bytes))
                return false;
        b->charge = bytes;
        d->kept[d->kept_end++ % KEPT_BATCHES] = (struct kept){.lsn = lsn, .batch = b};
        d->kept_bytes += bytes;
        if (d->budget)
                budget_take(d->budget, bytes);
        return true;
}

/* What was appended at `lsn` finds its place; b is the durable part's now. */
static void settle_in(struct durable *d, struct batch *b, uint64_t lsn) {
        uint64_t last = lsn + b->count - 1;
        struct batch *hold = NULL;
        /* Without memory for a hold the batch itself is one: it waits whole, and is read back from the disk. */
        bool is_parted = batch_part(b, &hold) == 0;
        pthread_mutex_lock(&d->lock);
        bool is_kept = is_parted && keep(d, b, lsn);
        if (!is_parted)
                hold = b;
        if (hold)
                add_hold(d, hold, last);
        durable_check(d);
        pthread_mutex_unlock(&d->lock);
        if (is_parted && !is_kept)
                batch_unref(b);
}

static int pack(const struct durable *d, struct buffer *out, const struct batch *b, uint32_t first, uint32_t count) {
        int r = pack_records(out, b, first, count, d->plan.names);
        return r == 0 && out->size > FRAME_BYTES_MAX ? -EMSGSIZE : r;
}

/* One frame a batch. The pack is made before the lock is taken, so that several senders do it side by side. */
static int append_whole(struct durable *d, struct batch *b) {
        struct buffer *out = take_buffer(d);
        if (!out)
                return fail(-ENOMEM);
        int r = pack(d, out, b, 0, b->count);
        if (r == 0) {
                uint64_t lsn;
                pthread_mutex_lock(&d->append_lock);
                r = store_append(d->store, out->data, out->size, b->count, &lsn);
                if (r == 0)
                        settle_in(d, b, lsn);
                pthread_mutex_unlock(&d->append_lock);
        }
        give_buffer(d, out);
        return r;
}

/* Few messages that are too large together go in halves. */
static int append_halves(struct durable *d, const struct batch *b, uint32_t first, uint32_t count, uint64_t *last) {
        struct buffer *out = take_buffer(d);
        if (!out)
                return fail(-ENOMEM);
        uint64_t lsn;
        int r = pack(d, out, b, first, count);
        if (r == 0)
                r = store_append(d->store, out->data, out->size, count, &lsn);
        if (r == 0)
                *last = lsn + count - 1;
        give_buffer(d, out);
        if (r != -EMSGSIZE || count == 1)
                return r;
        r = append_halves(d, b, first, count / 2, last);
        return r ? r : append_halves(d, b, first + count / 2, count - count / 2, last);
}

/* They are not kept in memory; b goes when the last part is durable. */
static int append_in_parts(struct durable *d, struct batch *b) {
        uint64_t last;
        pthread_mutex_lock(&d->append_lock);
        int r = append_halves(d, b, 0, b->count, &last);
        if (r == 0) {
                pthread_mutex_lock(&d->lock);
                add_hold(d, b, last);
                pthread_mutex_unlock(&d->lock);
        }
        pthread_mutex_unlock(&d->append_lock);
        return r;
}

int durable_append(struct durable *d, struct batch *b) {
        assert(b->count > 0);
        int r = append_whole(d, b);
        if (r == -EMSGSIZE && b->count > 1)
                r = append_in_parts(d, b);
        if (r)
                return pass(r);
        /* It may have become durable before its senders were noted. */
        release_holds(d, store_durable(d->store), false);
        return 0;
}

int durable_wait(struct durable *d) {
        struct store_state state;
        store_state(d->store, &state);
        if (state.next_lsn <= 1)
                return 0;
        int r = store_wait(d->store, state.next_lsn - 1);
        if (r)
                return pass(r);
        release_holds(d, state.next_lsn - 1, false);
        return 0;
}

/* ---- Taking --------------------------------------------------------------------- */

static struct lease *take_lease(struct durable *d) {
        pthread_mutex_lock(&d->lock);
        struct lease *l = d->idle_lease;
        if (l)
                d->idle_lease = l->next;
        pthread_mutex_unlock(&d->lock);
        return l ? l : malloc(sizeof *l);
}

static void give_lease(struct durable *d, struct lease *l) {
        pthread_mutex_lock(&d->lock);
        l->next = d->idle_lease;
        d->idle_lease = l;
        pthread_mutex_unlock(&d->lock);
}

/* Everybody is done with what was leased. */
static void complete(void *input, uint64_t cookie _unused_) {
        struct lease *l = input;
        struct durable *d = l->durable;
        store_complete(d->store, l->lsn + l->done, l->count);
        give_lease(d, l);
        if (d->plan.changed)
                d->plan.changed(d->plan.owner);
}

/* Somebody is not: what is not settled comes again. */
static void come_again(void *input, uint64_t cookie _unused_) {
        struct lease *l = input;
        struct durable *d = l->durable;
        uint32_t settled = atomic_load(&l->settled);
        if (settled)
                store_complete(d->store, l->lsn + l->done, settled);
        store_release(d->store, l->lsn);
        give_lease(d, l);
        if (d->plan.changed)
                d->plan.changed(d->plan.owner);
}

static struct lease *lease_of(const struct batch *b) {
        for (uint32_t i = 0; i < b->acknowledgement_count; i++)
                if (b->acknowledgements[i].done == complete)
                        return b->acknowledgements[i].input;
        return NULL;
}

void durable_settle(struct batch *b, uint32_t count) {
        struct lease *l = lease_of(b);
        assert(!l || count <= l->count);
        if (l)
                atomic_store(&l->settled, count);
}

bool durable_is_from(const struct batch *b) {
        return lease_of(b) != NULL;
}

void *durable_owner_behind(const struct batch *b) {
        for (; b; b = b->is_bare ? NULL : b->parent) {
                const struct lease *l = lease_of(b);
                if (l)
                        return l->durable->plan.owner;
        }
        return NULL;
}

/* From memory, when the oldest in the store is the oldest kept. Lock held. */
static struct batch *take_kept(struct durable *d, struct store_frame *frame) {
        if (d->kept_first == d->kept_end)
                return NULL;
        struct kept *k = &d->kept[d->kept_first % KEPT_BATCHES];
        if (store_lease_range(d->store, k->lsn, frame))
                return NULL;
        struct batch *b = k->batch;
        d->kept_first++;
        d->kept_bytes -= b->charge;
        d->leased_lsn = MAX(d->leased_lsn, frame->lsn + frame->count - 1);
        if (d->budget)
                budget_give(d->budget, b->charge);
        durable_check(d);
        return b;
}

/* What memory has up to `lsn` somebody else has taken from the store. Lock held; the batches are returned in a list. */
static struct batch *forget_up_to(struct durable *d, uint64_t lsn) {
        struct batch *forgotten = NULL;
        while (d->kept_first != d->kept_end && d->kept[d->kept_first % KEPT_BATCHES].lsn <= lsn) {
                struct batch *b = d->kept[d->kept_first++ % KEPT_BATCHES].batch;
                d->kept_bytes -= b->charge;
                if (d->budget)
                        budget_give(d->budget, b->charge);
                b->next = forgotten;
                forgotten = b;
        }
        return forgotten;
}

/* Reads the oldest frame of the store, one reader at a time so that frames are handed out in order. Lock held. */
static int read_frame(struct durable *d, struct store_frame *frame) {
        d->is_reading = true;
        pthread_mutex_unlock(&d->lock);
        int r = store_lease(d->store, frame);
        pthread_mutex_lock(&d->lock);
        d->is_reading = false;
        pthread_cond_broadcast(&d->read);
        if (r)
                return r;
        d->leased_lsn = MAX(d->leased_lsn, frame->lsn + frame->count - 1);
        struct batch *forgotten = forget_up_to(d, frame->lsn);
        durable_check(d);
        pthread_mutex_unlock(&d->lock);
        while (forgotten) {
                struct batch *b = forgotten;
                forgotten = b->next;
                b->next = NULL;
                batch_unref(b);
        }
        pthread_mutex_lock(&d->lock);
        return 0;
}

static int unpack(const struct durable *d, const struct store_frame *frame, struct batch **ret) {
        struct text pack = {frame->payload, frame->size};
        int r = unpack_records(ret, d->plan.pool, pack, frame->done, d->plan.names);
        if (r == 0 && (*ret)->count != frame->count - frame->done) {
                *ret = batch_unref(*ret);
                r = -EBADMSG;
        }
        return r;
}

/* A whole frame whose content nobody can read: it was written by something else. It is counted lost, not met again. */
static void give_up_frame(struct durable *d, const struct store_frame *frame) {
        uint32_t count = frame->count - frame->done;
        report(d->plan.reporter, SEVERITY_ERR, 0,
               "queue '%s': %u messages (LSN %llu to %llu) are whole on disk but in no form that is known here: they "
               "are lost",
               d->plan.name, count, (unsigned long long)(frame->lsn + frame->done),
               (unsigned long long)(frame->lsn + frame->count - 1));
        store_complete(d->store, frame->lsn + frame->done, count);
        if (d->plan.lost)
                d->plan.lost(d->plan.owner, count);
}

/* What cannot be read at present waits, and whoever wants it: a moment, so that it is not asked for all the time. */
static void wait_to_read_again(struct durable *d, int error) {
        pthread_mutex_lock(&d->lock);
        bool is_news = error != d->read_error;
        d->read_error = error;
        pthread_mutex_unlock(&d->lock);
        if (is_news)
                report(d->plan.reporter, SEVERITY_ERR, 0,
                       "queue '%s': what waits on disk cannot be read at present: %s. It waits there, and is tried "
                       "again",
                       d->plan.name,
                       error == -EKEYREJECTED ? "it was encrypted with another key than the queue has now; give it the "
                                                "right one in queue.encryption.keyFile or keyProgram, and restart"
                                              : fail_text(error));
        nanosleep(&(struct timespec){.tv_nsec = READ_AGAIN_MS * 1000000}, NULL);
}

static struct batch *hand_out(struct durable *d, struct batch *b, const struct store_frame *frame) {
        struct lease *l = b ? take_lease(d) : NULL;
        if (l) {
                *l = (struct lease){
                        .durable = d, .lsn = frame->lsn, .done = frame->done, .count = frame->count - frame->done};
                struct acknowledgement a = {.done = complete, .lost = come_again, .input = l};
                if (batch_acknowledge(b, a) == 0)
                        return b;
                give_lease(d, l);
        }
        /* No memory: it waits in the store for better times. */
        batch_unref(b);
        store_release(d->store, frame->lsn);
        wait_to_read_again(d, -ENOMEM);
        return NULL;
}

struct batch *durable_take(struct durable *d) {
        for (;;) {
                struct store_frame frame = {0};
                pthread_mutex_lock(&d->lock);
                while (d->is_reading)
                        pthread_cond_wait(&d->read, &d->lock);
                struct batch *b = take_kept(d, &frame);
                int r = b ? 0 : read_frame(d, &frame);
                if (r == 0)
                        d->read_error = 0;
                pthread_mutex_unlock(&d->lock);
                if (r && r != -EAGAIN)
                        wait_to_read_again(d, r);
                if (r)
                        return NULL;
                if (!b) {
                        r = unpack(d, &frame, &b);
                        free(frame.payload);
                }
                if (r == -EBADMSG) {
                        give_up_frame(d, &frame);
                        continue;
                }
                return hand_out(d, b, &frame);
        }
}
