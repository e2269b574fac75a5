#include "queue/store.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "io/test_place.h"
#include "queue/store_inside.h"

enum { PATIENCE_S = 20 };

/* The real disk, and real threads. */

static char said[4096];

static void hear(struct reporter *reporter _unused_, enum severity severity _unused_, int code _unused_,
                 const char *line) {
        snprintf(said, sizeof said, "%s", line);
}
static struct reporter ear = {hear};

static struct store_options options_here(void) {
        static char path[512];
        snprintf(path, sizeof path, "%s", test_place_path("q.store"));
        return (struct store_options){.directory = path, .name = "q", .is_synced = true, .segment_bytes = 64 << 10};
}

static struct store *open_here(void) {
        struct store_options o = options_here();
        struct store *s;
        CHECK_INT(store_open(&s, &o, &ear), 0);
        return s;
}

static void fill(char *bytes, size_t size, uint64_t lsn) {
        for (size_t i = 0; i < size; i++)
                bytes[i] = (char)(lsn * 31 + i * 7);
}

static uint64_t append(struct store *s, size_t size, uint32_t count) {
        static _Thread_local char bytes[200000];
        struct store_state state;
        store_state(s, &state);
        fill(bytes, size, size);
        uint64_t lsn;
        CHECK_INT(store_append(s, bytes, size, count, &lsn), 0);
        return lsn;
}

static void lease_is(struct store *s, uint64_t lsn, size_t size, uint32_t count) {
        static char bytes[200000];
        struct store_frame f;
        CHECK_INT(store_lease(s, &f), 0);
        CHECK_INT(f.lsn, lsn);
        CHECK_INT(f.count, count);
        CHECK_INT(f.size, size);
        fill(bytes, size, size);
        CHECK(memcmp(f.payload, bytes, size) == 0);
        free(f.payload);
}

static void what_was_appended_is_leased_in_order(void) {
        test_place();
        struct store *s = open_here();
        CHECK_INT(append(s, 100, 1), 1);
        CHECK_INT(append(s, 2000, 5), 2);
        CHECK_INT(append(s, 0, 2), 7);
        lease_is(s, 1, 100, 1);
        CHECK_INT(store_wait(s, 8), 0);
        CHECK_INT(store_durable(s), 8);
        lease_is(s, 2, 2000, 5);
        lease_is(s, 7, 0, 2);
        struct store_frame f;
        CHECK_INT(store_lease(s, &f), -EAGAIN);
        store_complete(s, 1, 8);
        struct store_state state;
        store_state(s, &state);
        CHECK_INT(state.mark_lsn, 9);
        CHECK_INT(state.unleased, 0);
        CHECK_INT(state.leased, 0);
        CHECK_INT(store_close(s), 0);
}

static void what_is_durable_is_there_after_the_next_open(void) {
        test_place();
        struct store *s = open_here();
        for (unsigned i = 0; i < 1000; i++)
                append(s, i, 1);
        CHECK_INT(store_close(s), 0);
        s = open_here();
        for (unsigned i = 0; i < 1000; i++)
                lease_is(s, i + 1, i, 1);
        store_complete(s, 1, 500);
        CHECK_INT(store_close(s), 0);
        s = open_here();
        CHECK_INT(append(s, 77, 3), 1001);
        for (unsigned i = 500; i < 1000; i++)
                lease_is(s, i + 1, i, 1);
        lease_is(s, 1001, 77, 3);
        store_complete(s, 501, 503);
        CHECK_INT(store_close(s), 0);
        s = open_here();
        struct store_frame f;
        CHECK_INT(store_lease(s, &f), -EAGAIN);
        CHECK_INT(append(s, 1, 1), 1004);
        CHECK_INT(store_close(s), 0);
}

static void completions_come_in_any_order(void) {
        test_place();
        struct store *s = open_here();
        append(s, 10, 100);
        append(s, 20, 100);
        append(s, 30, 10);
        lease_is(s, 1, 10, 100);
        lease_is(s, 101, 20, 100);
        lease_is(s, 201, 30, 10);
        struct store_state state;
        store_complete(s, 150, 55);
        store_state(s, &state);
        CHECK_INT(state.mark_lsn, 1);
        store_complete(s, 2, 148);
        store_complete(s, 1, 1);
        store_state(s, &state);
        CHECK_INT(state.mark_lsn, 205);
        store_release(s, 201);
        struct store_frame f;
        CHECK_INT(store_lease(s, &f), 0);
        CHECK_INT(f.lsn, 201);
        CHECK_INT(f.done, 4);
        free(f.payload);
        store_complete(s, 205, 6);
        CHECK_INT(store_close(s), 0);
}

static void a_frame_larger_than_a_segment_works(void) {
        test_place();
        struct store *s = open_here();
        append(s, 10, 1);
        append(s, 150000, 7);
        append(s, 199999, 7);
        append(s, 10, 1);
        CHECK_INT(store_close(s), 0);
        s = open_here();
        lease_is(s, 1, 10, 1);
        lease_is(s, 2, 150000, 7);
        lease_is(s, 9, 199999, 7);
        lease_is(s, 16, 10, 1);
        store_complete(s, 1, 16);
        CHECK_INT(store_close(s), 0);
}

static void ranges_are_leased_without_reading(void) {
        test_place();
        struct store *s = open_here();
        struct store_frame f;
        append(s, 10, 3);
        append(s, 10, 4);
        CHECK_INT(store_lease_range(s, 4, &f), -ESTALE);
        CHECK_INT(store_lease_range(s, 1, &f), 0);
        CHECK_INT(f.count, 3);
        CHECK(!f.payload);
        CHECK_INT(store_lease_range(s, 4, &f), 0);
        store_release(s, 1);
        CHECK_INT(store_lease_range(s, 4, &f), -ESTALE);
        CHECK_INT(store_lease_range(s, 1, &f), 0);
        store_complete(s, 1, 7);
        CHECK_INT(store_close(s), 0);
}

/* Until the keeper has made a segment that nothing was admitted to yet. */
static void wait_for_prepared(struct store *s) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += PATIENCE_S;
        int r = 0;
        pthread_mutex_lock(&s->lock);
        while (s->segments_count == s->plan_at && r == 0)
                r = pthread_cond_timedwait(&s->moved, &s->lock, &until);
        pthread_mutex_unlock(&s->lock);
        CHECK_INT(r, 0);
}

static void room_is_bounded_and_comes_back(void) {
        test_place();
        struct store_options o = options_here();
        o.bytes_max = 256 << 10;
        struct store *s;
        CHECK_INT(store_open(&s, &o, &ear), 0);
        static char bytes[5000];
        uint64_t lsn, last = 0;
        int r = 0;
        while (last < 1000 && (r = store_append(s, bytes, sizeof bytes, 1, &lsn)) == 0)
                last = lsn;
        CHECK_INT(r, -ENOSPC);
        CHECK(last > 30 && last < 60);
        CHECK_INT(store_wait(s, last), 0);
        struct store_state state;
        store_state(s, &state);
        CHECK(state.bytes <= o.bytes_max);
        struct store_frame f;
        for (uint64_t i = 1; i <= last; i++) {
                CHECK_INT(store_lease(s, &f), 0);
                free(f.payload);
                store_complete(s, f.lsn, 1);
        }
        wait_for_prepared(s);
        CHECK_INT(store_append(s, bytes, sizeof bytes, 1, &lsn), 0);
        CHECK_INT(lsn, last + 1);
        CHECK_INT(store_close(s), 0);
}

static void a_spool_belongs_to_one(void) {
        test_place();
        struct store *s = open_here(), *other;
        struct store_options o = options_here();
        CHECK_INT(store_open(&other, &o, &ear), -EBUSY);
        CHECK(strstr(said, "another process"));
        CHECK_INT(store_close(s), 0);
        s = open_here();
        CHECK_INT(store_close(s), 0);
}

static void planted_links_and_open_modes_are_refused(void) {
        test_place();
        struct store_options o = options_here();
        struct store *s;
        CHECK(symlink("/tmp", o.directory) == 0);
        CHECK_INT(store_open(&s, &o, &ear), -ELOOP);
        CHECK(unlink(o.directory) == 0);
        CHECK_INT(store_close(open_here()), 0);
        CHECK(chmod(o.directory, 0777) == 0);
        CHECK_INT(store_open(&s, &o, &ear), -EPERM);
        CHECK(chmod(o.directory, 0700) == 0);
        CHECK(rename(test_place_path("q.store/control.0"), test_place_path("c")) == 0);
        CHECK(symlink(test_place_path("c"), test_place_path("q.store/control.0")) == 0);
        CHECK_INT(store_open(&s, &o, &ear), -ELOOP);
        CHECK(strstr(said, "symbolic link"));
}

struct crowd {
        struct store *store;
        uint64_t appended;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint64_t events; /* appended, durable, held back no more, given back, completed: there may be something to
                            lease, or never again */
};

static void tell(struct crowd *c) {
        pthread_mutex_lock(&c->lock);
        c->events++;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

static void hear_durable(void *owner, uint64_t lsn _unused_) {
        tell(owner);
}

static void hear_resumed(void *owner) {
        tell(owner);
}

static uint64_t events(struct crowd *c) {
        pthread_mutex_lock(&c->lock);
        uint64_t now = c->events;
        pthread_mutex_unlock(&c->lock);
        return now;
}

static void wait_for_news(struct crowd *c, uint64_t known) {
        pthread_mutex_lock(&c->lock);
        while (c->events == known)
                pthread_cond_wait(&c->changed, &c->lock);
        pthread_mutex_unlock(&c->lock);
}

static void *produce(void *user) {
        struct crowd *c = user;
        char bytes[300];
        memset(bytes, 'x', sizeof bytes);
        for (unsigned i = 0; i < 500; i++) {
                uint64_t lsn;
                if (store_append(c->store, bytes, 1 + i % 300, 1 + i % 3, &lsn) ||
                    (i % 16 == 0 && store_wait(c->store, lsn)))
                        abort();
                tell(c);
        }
        return NULL;
}

static void *consume(void *user) {
        struct crowd *c = user;
        struct store_frame f;
        for (;;) {
                uint64_t known = events(c);
                int r = store_lease(c->store, &f);
                if (r == 0) {
                        free(f.payload);
                        if (f.lsn % 17 == 0 && f.done == 0 && rand() % 2)
                                store_release(c->store, f.lsn);
                        else
                                store_complete(c->store, f.lsn + f.done, f.count - f.done);
                        tell(c);
                        continue;
                }
                struct store_state state;
                store_state(c->store, &state);
                if (state.mark_lsn == c->appended + 1)
                        return NULL;
                wait_for_news(c, known);
        }
}

static void many_threads_agree(void) {
        test_place();
        struct store_options o = options_here();
        struct crowd c = {.appended = 4 * 999, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        o.segment_bytes = 16 << 10;
        o.checkpoint_messages = 1;
        o.durable = hear_durable;
        o.resumed = hear_resumed;
        o.owner = &c;
        CHECK_INT(store_open(&c.store, &o, &ear), 0);
        pthread_t producers[4], consumers[2];
        for (unsigned i = 0; i < 4; i++)
                CHECK(pthread_create(&producers[i], NULL, produce, &c) == 0);
        for (unsigned i = 0; i < 2; i++)
                CHECK(pthread_create(&consumers[i], NULL, consume, &c) == 0);
        for (unsigned i = 0; i < 4; i++)
                pthread_join(producers[i], NULL);
        for (unsigned i = 0; i < 2; i++)
                pthread_join(consumers[i], NULL);
        CHECK_INT(store_close(c.store), 0);
}

TEST_MAIN(TEST(what_was_appended_is_leased_in_order), TEST(what_is_durable_is_there_after_the_next_open),
          TEST(completions_come_in_any_order), TEST(a_frame_larger_than_a_segment_works),
          TEST(ranges_are_leased_without_reading), TEST(room_is_bounded_and_comes_back), TEST(a_spool_belongs_to_one),
          TEST(planted_links_and_open_modes_are_refused), TEST(many_threads_agree))
