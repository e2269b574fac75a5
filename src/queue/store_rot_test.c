/* One thing at a time goes wrong: each bit, each operation of the disk, each allocation. */
#include "queue/store_fixture.h"

/* The linker puts these in front of the C library's, for this program alone. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);

static uint64_t allocations, failing_allocation;

static bool is_refused(void) {
        return ++allocations == failing_allocation;
}

void *__wrap_malloc(size_t size) {
        return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
        return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size) {
        return is_refused() ? NULL : __real_realloc(pointer, size);
}

enum { FRAMES = 14, FRAME_SIZE = 1500 };

static const char *const files[] = {"0000000000000001.segment", "0000000000000002.segment", "control.0", "control.1"};

/* What was said to be lost since the last message that came: one range, [gone_first, gone_end). */
static uint64_t gone_first, gone_end;

static void hear_gone(void *owner, uint64_t lsn, uint64_t count, const char *why) {
        CHECK(gone_end == 0 || gone_end == lsn);
        gone_first = gone_end ? gone_first : lsn;
        gone_end = lsn + count;
        fixture_lost(owner, lsn, count, why);
}

/* What is missing before `lsn` is what was said to be, exactly. */
static void check_gap(uint64_t next, uint64_t lsn) {
        CHECK(lsn >= next);
        CHECK_INT(gone_end, lsn > next ? lsn : 0);
        CHECK_INT(gone_first, lsn > next ? next : 0);
        gone_first = gone_end = 0;
}

/* A store with two segments: everything acknowledged, nothing done. */
static void make_store(void) {
        fixture_begin();
        options.lost = hear_gone;
        open_it();
        for (unsigned i = 0; i < FRAMES; i++)
                append_it(i % 4 ? 300 : FRAME_SIZE, 2);
        CHECK_INT(store_wait(store, 2 * FRAMES), 0);
        close_it();
}

/* Opens and drains: every message comes right, or is in a range that was said to be lost. How many came. */
static uint64_t drain(void) {
        uint64_t came = 0, next = 1;
        open_it();
        struct store_frame f;
        int r;
        while ((r = store_lease(store, &f)) == 0) {
                bool right = is_right(&f);
                free(f.payload);
                CHECK(right);
                check_gap(next, f.lsn);
                next = f.lsn + f.count;
                came += f.count - f.done;
                store_complete(store, f.lsn + f.done, f.count - f.done);
        }
        CHECK_INT(r, -EAGAIN);
        check_gap(next, 2 * FRAMES + 1);
        CHECK_INT(came + heard_lost, 2 * FRAMES);
        CHECK_INT(state_now().quarantined, heard_lost);
        CHECK_INT(state_now().mark_lsn, 2 * FRAMES + 1);
        close_it();
        return came;
}

static void every_flipped_bit_is_found_and_costs_no_more_than_it_must(void) {
        make_store();
        struct disk_sim *whole = sim;
        uint64_t flips = 0, harmless = 0;
        struct disk_sim_chooser newest = disk_sim_choose_newest();
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                size_t size;
                CHECK(disk_sim_content(whole, SPOOL, files[i], &size));
                for (uint64_t at = 0; at < size; at++) {
                        /* The unused rest of a header block is zeros to nobody. */
                        if (at < SEGMENT_FRAMES_AT && at % SEGMENT_BLOCK_BYTES >= SEGMENT_HEADER_BYTES)
                                continue;
                        sim = disk_sim_crash(whole, DISK_SIM_STRICT, &newest);
                        CHECK(disk_sim_flip(sim, SPOOL, files[i], at, at % 8));
                        uint64_t came = drain();
                        harmless += came == 2 * FRAMES;
                        /* A payload costs its own frame; a frame's header the rest of its segment. */
                        bool in_frames = i < 2 && at >= SEGMENT_FRAMES_AT;
                        CHECK(in_frames || came == 2 * FRAMES);
                        flips++;
                        disk_sim_free(sim);
                }
        }
        sim = whole;
        printf("# %llu bits flipped, %llu in places that matter to nothing\n", (unsigned long long)flips,
               (unsigned long long)harmless);
}

/* A day in a store's life, whatever fails; nothing that was acknowledged may be missing in the end. */
static void live(void) {
        if (try_open())
                return;
        for (unsigned i = 0; i < FRAMES; i++) {
                try_append(i % 4 ? 300 : FRAME_SIZE, 2);
                store_flush_round(store);
                store_keep_round(store, false);
        }
        struct store_frame f;
        for (unsigned i = 0; i < 3; i++) {
                if (store_lease(store, &f))
                        continue;
                free(f.payload);
                store_complete(store, f.lsn, f.count);
        }
        store_keep_round(store, true);
        store_close(store);
}

/* After the trouble all that was acknowledged comes, and new messages are taken. */
static void check_life(void) {
        uint64_t acked = heard_durable;
        open_it();
        CHECK(state_now().next_lsn > acked);
        uint64_t next = state_now().mark_lsn;
        CHECK(next <= 7);
        struct store_frame f;
        int r;
        while ((r = store_lease(store, &f)) == 0) {
                bool right = is_right(&f);
                free(f.payload);
                CHECK(right);
                CHECK_INT(f.lsn + f.done, next);
                next = f.lsn + f.count;
        }
        CHECK_INT(r, -EAGAIN);
        CHECK(next > acked);
        append_it(10, 1);
        CHECK_INT(store_wait(store, next), 0);
        close_it();
        CHECK_INT(heard_lost, 0);
}

enum { OPERATIONS_MAX = 2000, ALLOCATIONS_MAX = 2000 };

static void every_operation_of_the_disk_may_fail(void) {
        static const struct disk_sim_fault ways[] = {
                {.error = -EIO, .times = 1},
                {.error = -EIO, .times = 5},
                {.error = -ENOSPC, .times = 1},
                {.error = -ENOSPC, .times = 5},
                {.error = -EROFS, .times = 2},
                {.error = -EINTR, .times = 2},
                {.times = 1},
                {.times = 1, .short_bytes = 1},
                {.times = 1000000, .short_bytes = 700},
        };
        uint64_t runs = 0;
        for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
                bool was_reached = true;
                for (uint64_t nth = 1; was_reached; nth++) {
                        CHECK(nth < OPERATIONS_MAX);
                        fixture_begin();
                        struct disk_sim_fault fault = ways[way];
                        fault.operation = DISK_SIM_ANY;
                        fault.nth = nth;
                        disk_sim_fail(sim, &fault);
                        live();
                        was_reached = disk_sim_operations(sim) >= nth;
                        disk_sim_fail(sim, NULL);
                        check_life();
                        runs++;
                }
        }
        printf("# %llu runs\n", (unsigned long long)runs);
}

static void every_allocation_may_fail(void) {
        uint64_t runs = 0;
        bool was_reached = true;
        for (uint64_t nth = 1; was_reached; nth++) {
                CHECK(nth < ALLOCATIONS_MAX);
                fixture_begin();
                allocations = 0;
                failing_allocation = nth;
                live();
                was_reached = allocations >= nth;
                failing_allocation = 0;
                check_life();
                runs++;
        }
        printf("# %llu runs\n", (unsigned long long)runs);
}

TEST_MAIN(TEST(every_flipped_bit_is_found_and_costs_no_more_than_it_must), TEST(every_operation_of_the_disk_may_fail),
          TEST(every_allocation_may_fail))
