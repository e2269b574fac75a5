/* The known ways in which a store like this goes wrong, each a promise. */
#include "queue/store_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"

static void a_file_that_was_being_made_when_the_process_died_is_in_nobodys_way(void) {
        fixture_begin();
        open_it();
        append_it(100, 1);
        CHECK_INT(store_wait(store, 1), 0);
        lose_power();
        struct disk *disk = disk_sim_disk(sim);
        int d = disk->ops->open_directory(disk, SPOOL, false);
        disk->ops->close(disk, disk->ops->open(disk, d, "0000000000000003.new", O_RDWR | O_CREAT));
        disk->ops->close(disk, d);
        open_it();
        size_t size;
        CHECK(!disk_sim_content(sim, SPOOL, "0000000000000003.new", &size));
        lease_it(1, 1);
        append_it(100, 1);
        CHECK_INT(store_wait(store, 2), 0);
        close_it();
}

/* The process dies at any moment of the making, and what it did until then is on the disk. */
static void a_segment_has_its_name_only_when_it_is_whole(void) {
        enum { MOMENTS = 40 };
        for (uint64_t moment = 1; moment <= MOMENTS; moment++) {
                fixture_begin();
                disk_sim_stop_at(sim, moment);
                if (try_open() == 0) {
                        if (try_append(100, 1) == 0)
                                store_flush_round(store);
                        store_close(store);
                }
                struct disk_sim_chooser newest = disk_sim_choose_newest();
                struct disk_sim *after = disk_sim_crash(sim, DISK_SIM_STRICT, &newest);
                disk_sim_free(sim);
                sim = after;
                said[0] = '\0';
                open_it();
                CHECK(!strstr(said, "damaged")); /* a torn tail may be told of */
                append_it(100, 1);
                CHECK_INT(store_wait(store, state_now().next_lsn - 1), 0);
                close_it();
        }
}

static void a_short_write_is_continued_and_one_that_found_no_space_repeated(void) {
        fixture_begin();
        open_it();
        append_it(1000, 1);
        disk_sim_fail(sim, &(struct disk_sim_fault){DISK_SIM_WRITE, 1, 3, 0, 100});
        CHECK_INT(store_wait(store, 1), 0);
        append_it(3000, 1);
        it_fails(DISK_SIM_WRITE, 1, 1, -ENOSPC);
        CHECK_INT(store_wait(store, 2), -ENOSPC);
        CHECK_INT(try_append(10, 1), -ENOSPC);
        CHECK_INT(heard_durable, 1);
        CHECK_INT(store_flush_round(store), 0);
        append_it(10, 1);
        CHECK_INT(store_wait(store, 3), 0);
        lose_power();
        open_it();
        lease_it(1, 1);
        lease_it(2, 1);
        lease_it(3, 1);
        nothing_waits();
        close_it();
}

static void a_file_is_never_trusted_again_after_a_failed_sync(void) {
        fixture_begin();
        open_it();
        append_it(500, 1);
        CHECK_INT(store_wait(store, 1), 0);
        append_it(500, 1);
        append_it(500, 2);
        it_fails(DISK_SIM_SYNC, 1, 1, -EIO);
        CHECK_INT(store_wait(store, 4), -EIO);
        CHECK(strstr(said, "cannot be written"));
        CHECK_INT(try_append(500, 1), -EIO);
        CHECK_INT(heard_durable, 1);
        CHECK_INT(store_keep_round(store, false), 0);
        CHECK_INT(store_flush_round(store), 0);
        CHECK_INT(heard_durable, 4);
        CHECK(store->segments[0]->is_abandoned);
        CHECK_INT(store->segments[0]->end_lsn, 2);
        CHECK_INT(store->segments[1]->base_lsn, 2);
        lose_power();
        open_it();
        lease_it(1, 1);
        lease_it(2, 1);
        lease_it(3, 2);
        nothing_waits();
        store_complete(store, 1, 4);
        append_it(10, 1);
        CHECK_INT(store_wait(store, 5), 0);
        lease_it(5, 1);
        store_complete(store, 5, 1);
        close_it();
}

static void an_abandoned_file_is_not_used_again(void) {
        fixture_begin();
        open_it();
        append_it(500, 1);
        it_fails(DISK_SIM_SYNC, 1, 1, -EIO);
        CHECK_INT(store_wait(store, 1), -EIO);
        CHECK_INT(store_keep_round(store, false), 0);
        CHECK_INT(store_flush_round(store), 0);
        lease_it(1, 1);
        append_it(10, 1);
        CHECK_INT(store_wait(store, 2), 0);
        store_complete(store, 1, 1);
        /* With no room for another file only one that is used again could become the next. */
        disk_sim_limit(sim, 1);
        store->prepared_wanted = PREPARED_MAX;
        size_t prepared = store->segments_count - store->plan_at;
        CHECK_INT(store_keep_round(store, true), 0);
        CHECK_INT(store->segments_count - store->plan_at, prepared);
        size_t size;
        CHECK(!disk_sim_content(sim, SPOOL, "0000000000000001.segment", &size));
        CHECK(!disk_sim_content(sim, SPOOL, "0000000000000001.free", &size));
        close_it();
}

static void what_went_elsewhere_is_read_there(void) {
        fixture_begin();
        open_it();
        append_it(500, 1);
        CHECK_INT(store_wait(store, 1), 0);
        append_it(500, 1);
        append_it(500, 1);
        lease_it(1, 1);
        lease_it(2, 1);
        store_complete(store, 1, 1);
        it_fails(DISK_SIM_SYNC, 1, 1, -EIO);
        CHECK_INT(store_wait(store, 3), -EIO);
        CHECK_INT(store_keep_round(store, false), 0);
        CHECK_INT(store_flush_round(store), 0);
        static const uint8_t zeros[1200];
        uint64_t at = SEGMENT_FRAMES_AT + frame_padded(FRAME_BASE_BYTES + 500);
        CHECK(disk_sim_put(sim, SPOOL, "0000000000000001.segment", at, zeros, sizeof zeros));
        store_release(store, 2);
        lease_it(2, 1);
        lease_it(3, 1);
        CHECK_INT(heard_lost, 0);
        close_it();
}

/* Three frames, each synced by itself; the process dies before a control file tells of them. */
static void open_with_flip_in(unsigned frame, uint64_t at) {
        fixture_begin();
        open_it();
        for (unsigned i = 1; i <= 3; i++) {
                append_it(200, 10);
                CHECK_INT(store_wait(store, 10 * i), 0);
        }
        lose_process();
        CHECK(disk_sim_flip(sim, SPOOL, "0000000000000001.segment",
                            SEGMENT_FRAMES_AT + (frame - 1) * (FRAME_BASE_BYTES + 200) + at, 0));
        open_it();
}

static void damage_in_the_last_file_is_told_from_a_torn_tail(void) {
        open_with_flip_in(2, FRAME_BASE_BYTES + 50);
        lease_it(1, 10);
        lease_it(21, 10);
        nothing_waits();
        CHECK_INT(lost_first, 11);
        CHECK_INT(heard_lost, 10);
        close_it();
        /* Behind a broken header nothing is delivered, but it is known to have been there. */
        open_with_flip_in(2, 20);
        lease_it(1, 10);
        nothing_waits();
        CHECK_INT(lost_first, 11);
        CHECK_INT(heard_lost, 20);
        CHECK_INT(state_now().next_lsn, 31);
        close_it();
        /* Of the very last frame nothing proves that it was ever whole. */
        open_with_flip_in(3, FRAME_BASE_BYTES + 50);
        lease_it(1, 10);
        lease_it(11, 10);
        nothing_waits();
        CHECK_INT(heard_lost, 0);
        CHECK_INT(state_now().torn, 10);
        CHECK(strstr(said, "torn tail"));
        close_it();
}

static void a_failed_sync_is_forgiven_by_nobody_who_opens_the_file_later(void) {
        fixture_begin();
        open_it();
        append_it(500, 1);
        CHECK_INT(store_wait(store, 1), 0);
        append_it(700, 1);
        it_fails(DISK_SIM_SYNC, 1, 1, -EIO);
        CHECK_INT(store_wait(store, 2), -EIO);
        lose_process();
        open_it();
        /* The cache shows it, so it is there; from now on it has to stay. */
        CHECK_INT(store_durable(store), 2);
        lose_power();
        open_it();
        lease_it(1, 1);
        lease_it(2, 1);
        close_it();
}

/* A sender puts whole frames into a message, right but for the salt, and the message's own header is torn. */
static void planted_records_are_never_taken_for_frames(void) {
        fixture_begin();
        open_it();
        append_it(100, 1);
        CHECK_INT(store_wait(store, 1), 0);
        uint8_t payload[2048] = {0}, salt[SEGMENT_SALT_BYTES] = {0};
        for (uint32_t at = 0; at + 128 <= sizeof payload; at += 128) {
                struct frame f = {.lsn = 2 + at / 128,
                                  .durable_lsn = 1 + at / 128,
                                  .count = 1,
                                  .stored_bytes = 64,
                                  .raw_bytes = 64,
                                  .frame_bytes = FRAME_BASE_BYTES + 64,
                                  .header_bytes = FRAME_BASE_BYTES};
                f.payload_crc = segment_crc(0, payload + at + FRAME_BASE_BYTES, 64);
                frame_write(payload + at, &f);
                frame_seal(payload + at, salt, f.durable_lsn);
        }
        uint64_t lsn;
        CHECK_INT(store_append(store, payload, sizeof payload, 1, &lsn), 0);
        CHECK_INT(store_wait(store, 2), 0);
        /* Power goes as if the sync had never been; the header's sector is the one that got lost. */
        lose_process();
        uint8_t zeros[FRAME_BASE_BYTES] = {0};
        uint64_t at = SEGMENT_FRAMES_AT + frame_padded(FRAME_BASE_BYTES + 100);
        CHECK(disk_sim_put(sim, SPOOL, "0000000000000001.segment", at, zeros, sizeof zeros));
        open_it();
        lease_it(1, 1);
        nothing_waits();
        append_it(10, 1);
        lease_it(2, 1);
        close_it();
}

static void an_acknowledged_message_needs_no_luck_with_names(void) {
        fixture_begin();
        open_it();
        append_it(100, 1);
        CHECK_INT(store_wait(store, 1), 0);
        lose_power();
        open_it();
        lease_it(1, 1);
        close_it();
}

static void the_control_files_do_not_share_a_fate(void) {
        uint8_t garbage[CONTROL_RECORD_BYTES];
        memset(garbage, 0x5a, sizeof garbage);
        for (unsigned broken = 0; broken < CONTROL_FILES; broken++) {
                fixture_begin();
                open_it();
                for (unsigned i = 0; i < 5; i++)
                        append_it(100, 1);
                for (unsigned i = 1; i <= 4; i++)
                        lease_it(i, 1);
                store_complete(store, 1, 2);
                CHECK_INT(store_keep_round(store, true), 0);
                store_complete(store, 3, 1);
                CHECK_INT(store_keep_round(store, true), 0);
                lose_process();
                CHECK(disk_sim_put(sim, SPOOL, control_file_name(broken), 0, garbage, sizeof garbage));
                open_it();
                CHECK(state_now().mark_lsn == 3 || state_now().mark_lsn == 4);
                close_it();
        }
}

static void without_control_files_messages_come_twice_and_none_is_lost(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 40; i++)
                append_it(1000, 1);
        for (unsigned i = 1; i <= 40; i++)
                lease_it(i, 1);
        store_complete(store, 1, 30);
        close_it();
        CHECK(disk_sim_remove(sim, SPOOL, "control.0"));
        CHECK(disk_sim_remove(sim, SPOOL, "control.1"));
        open_it();
        uint64_t first = state_now().mark_lsn;
        CHECK(first <= 31);
        for (uint64_t lsn = first; lsn <= 40; lsn++)
                lease_it(lsn, 1);
        nothing_waits();
        CHECK_INT(heard_lost, 0);
        append_it(10, 1);
        lease_it(41, 1);
        close_it();
}

/* One group, written at once, in three segments; the power goes at each step of writing it. */
static void a_batch_spanning_three_segments_is_there_from_its_beginning_without_a_gap(void) {
        for (uint64_t stop = 1; stop < 20; stop++) {
                for (uint64_t state = 0; state < 20; state++) {
                        fixture_begin();
                        open_it();
                        for (unsigned i = 0; i < 20; i++)
                                append_it(1000, 1);
                        CHECK(store->staged.last->segment->sequence - store->staged.first->segment->sequence >= 2);
                        disk_sim_stop_at(sim, disk_sim_operations(sim) + stop);
                        store_flush_round(store);
                        store_close(store);
                        struct disk_sim_random random = disk_sim_choose_randomly(state + 1, state % 2);
                        struct disk_sim *after =
                                disk_sim_crash(sim, state % 3 ? DISK_SIM_STRICT : DISK_SIM_ORDERED, &random.chooser);
                        disk_sim_free(sim);
                        sim = after;
                        uint64_t acked = heard_durable;
                        open_it();
                        uint64_t there = state_now().next_lsn - 1;
                        CHECK(there >= acked && there <= 20);
                        for (uint64_t lsn = 1; lsn <= there; lsn++)
                                lease_it(lsn, 1);
                        CHECK_INT(heard_lost, 0);
                        close_it();
                }
        }
}

static void what_an_output_refused_comes_again_first_after_a_restart(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 4; i++)
                append_it(100, 10);
        lease_it(1, 10);
        lease_it(11, 10);
        lease_it(21, 10);
        store_complete(store, 11, 10);
        store_complete(store, 1, 3);
        store_release(store, 1);
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), 0);
        CHECK_INT(f.lsn, 1);
        CHECK_INT(f.done, 3);
        free(f.payload);
        store_release(store, 1);
        close_it();
        open_it();
        CHECK_INT(store_lease(store, &f), 0);
        CHECK_INT(f.lsn, 1);
        CHECK_INT(f.done, 3);
        free(f.payload);
        lease_it(11, 10);
        lease_it(21, 10);
        lease_it(31, 10);
        close_it();
}

static uint64_t cost_of_opening(unsigned frames) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < frames; i++)
                append_it(4000, 1);
        CHECK_INT(store_wait(store, frames), 0);
        lose_process();
        uint64_t before = disk_sim_operations(sim);
        open_it();
        lease_it(1, 1);
        uint64_t cost = disk_sim_operations(sim) - before;
        close_it();
        return cost;
}

static void opening_costs_the_same_however_much_waits(void) {
        CHECK(cost_of_opening(600) <= cost_of_opening(60));
}

static void a_full_disk_stops_admission_and_nothing_else(void) {
        fixture_begin();
        open_it();
        append_it(5000, 1);
        disk_sim_limit(sim, 60000);
        uint64_t last = 1;
        int r = 0;
        while (last < 100 && (r = try_append(5000, 1)) == 0)
                last++;
        CHECK_INT(r, -ENOSPC);
        CHECK(strstr(said, "room"));
        CHECK_INT(store_wait(store, last), 0);
        disk_sim_limit(sim, 1);
        for (uint64_t lsn = 1; lsn <= last; lsn++) {
                lease_it(lsn, 1);
                store_complete(store, lsn, 1);
        }
        CHECK_INT(store_keep_round(store, true), 0);
        disk_sim_advance(sim, 1000000);
        append_it(5000, 1);
        CHECK_INT(store_wait(store, last + 1), 0);
        lose_power();
        open_it();
        CHECK(state_now().mark_lsn >= last - 1);
        close_it();
}

static void a_read_only_disk_is_said_at_the_door(void) {
        fixture_begin();
        open_it();
        close_it();
        disk_sim_read_only(sim, true);
        CHECK_INT(try_open(), -EROFS);
        CHECK(strstr(said, "read-only"));
}

static void nothing_is_acknowledged_into_a_directory_that_is_gone(void) {
        fixture_begin();
        open_it();
        append_it(100, 1);
        CHECK_INT(store_wait(store, 1), 0);
        append_it(100, 1);
        disk_sim_remove_directory(sim, SPOOL);
        CHECK_INT(store_wait(store, 2), -ENOENT);
        CHECK(strstr(said, "removed"));
        CHECK_INT(heard_durable, 1);
        CHECK_INT(try_append(100, 1), -ENOENT);
        CHECK(store_close(store) != 0);
}

/* One that is segments ahead fails after the other. */
static void run_until_writing_works(void) {
        for (unsigned i = 0; i < 20 && (i == 0 || store->error); i++) {
                (void)store_flush_round(store);
                (void)store_keep_round(store, false);
        }
        CHECK_INT(store->error, 0);
}

static void a_directory_that_is_gone_is_made_again(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 3; i++)
                append_it(100, 1);
        CHECK_INT(store_wait(store, 3), 0);
        append_it(100, 1);
        disk_sim_remove_directory(sim, SPOOL);
        CHECK_INT(store_wait(store, 4), -ENOENT);
        run_until_writing_works();
        CHECK_INT(heard_durable, 4);
        append_it(200, 1);
        CHECK_INT(store_wait(store, 5), 0);
        /* What only the old one had is lost, and that is told; the rest is there, after the power went, too. */
        lose_power();
        open_it();
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), 0);
        CHECK_INT(f.lsn, 4);
        free(f.payload);
        CHECK_INT(heard_lost, 3);
        lease_it(5, 1);
        close_it();
}

static void without_syncing_too_a_directory_that_is_gone_is_noticed(void) {
        fixture_begin();
        options.is_synced = false;
        open_it();
        append_it(100, 1);
        CHECK_INT(store_wait(store, 1), 0);
        disk_sim_remove_directory(sim, SPOOL);
        append_it(100, 1);
        CHECK_INT(store_wait(store, 2), -ENOENT);
        run_until_writing_works();
        lose_process();
        open_it();
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), 0);
        CHECK_INT(f.lsn, 2);
        free(f.payload);
        close_it();
}

static void links_in_the_spool_are_refused(void) {
        static const char *const names[] = {"lock", "control.0", "control.1"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                fixture_begin();
                open_it();
                append_it(100, 1);
                close_it();
                disk_sim_plant_link(sim, SPOOL, names[i]);
                CHECK_INT(try_open(), -ELOOP);
                CHECK(strstr(said, "symbolic link"));
        }
}

static void two_daemons_do_not_share_a_spool(void) {
        fixture_begin();
        open_it();
        struct store *mine = store;
        CHECK_INT(try_open(), -EBUSY);
        CHECK(strstr(said, "another process"));
        CHECK_INT(store_close(mine), 0);
}

static void a_missing_segment_is_lost_exactly(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 12; i++)
                append_it(3000, 1);
        uint64_t first = store->segments[1]->base_lsn, end = store->segments[1]->end_lsn;
        close_it();
        CHECK(disk_sim_remove(sim, SPOOL, "0000000000000002.segment"));
        open_it();
        for (uint64_t lsn = 1; lsn <= 12; lsn++) {
                if (lsn < first || lsn >= end)
                        lease_it(lsn, 1);
        }
        nothing_waits();
        CHECK_INT(lost_first, first);
        CHECK_INT(heard_lost, end - first);
        CHECK_INT(state_now().quarantined, end - first);
        store_complete(store, 1, first - 1);
        store_complete(store, end, 13 - end);
        CHECK_INT(state_now().mark_lsn, 13);
        close_it();
}

static void a_damaged_file_is_set_aside_when_it_is_done_with(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 5; i++)
                append_it(3000, 1);
        close_it();
        CHECK(disk_sim_flip(sim, SPOOL, "0000000000000001.segment", SEGMENT_FRAMES_AT + 200, 3));
        open_it();
        for (uint64_t lsn = 2; lsn <= 5; lsn++)
                lease_it(lsn, 1);
        CHECK_INT(heard_lost, 1);
        CHECK_INT(lost_first, 1);
        store_complete(store, 2, 4);
        close_it();
        size_t size;
        CHECK(disk_sim_content(sim, SPOOL, "0000000000000001.damaged", &size));
        CHECK(!disk_sim_content(sim, SPOOL, "0000000000000001.segment", &size));
        open_it();
        append_it(10, 1);
        lease_it(6, 1);
        close_it();
}

static void a_place_that_the_disk_cannot_read_does_not_hold_up_the_rest_for_ever(void) {
        fixture_begin();
        open_it();
        for (unsigned i = 0; i < 12; i++)
                append_it(3000, 1);
        close_it();
        open_it();
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), 0);
        free(f.payload);
        unsigned failures = 0;
        int r;
        for (;;) {
                store->window_size = 0;
                it_fails(DISK_SIM_READ, 1, 1, -EIO);
                r = store_lease(store, &f);
                if (r != -EIO)
                        break;
                failures++;
        }
        CHECK_INT(r, 0);
        CHECK_INT(failures, READ_ATTEMPTS_MAX - 1);
        CHECK(f.lsn > 2);
        CHECK(is_right(&f));
        CHECK_INT(heard_lost, f.lsn - 2);
        free(f.payload);
        close_it();
}

/* Leases and completes, until nothing more is given, with nobody who keeps house; the first that was not. */
static uint64_t work_off(void) {
        struct store_frame f;
        uint64_t next = 1;
        while (store_lease(store, &f) == 0) {
                free(f.payload);
                store_complete(store, f.lsn, f.count);
                next = f.lsn + f.count;
        }
        return next;
}

static void append_and_sync(unsigned count, uint32_t messages) {
        for (unsigned i = 0; i < count; i++)
                append_it(10, messages);
        CHECK_INT(store_wait(store, (uint64_t)count * messages), 0);
}

static void checkpoints_bound_what_comes_twice_after_a_death(void) {
        fixture_begin();
        options.checkpoint_messages = 10;
        open_it();
        append_and_sync(100, 1);
        for (unsigned i = 1; i <= 10; i++)
                lease_it(i, 1);
        CHECK(!store_has_next(store));
        CHECK_INT(store_lease_range(store, 11, &(struct store_frame){0}), -ESTALE);
        /* Whoever completes writes the mark, without waiting for the disk. */
        store_complete(store, 1, 1);
        CHECK_INT(heard_resumed, 1);
        lease_it(11, 1);
        CHECK(!store_has_next(store));
        store_complete(store, 2, 10);
        CHECK_INT(work_off(), 101);
        lose_process();
        open_it();
        CHECK(state_now().mark_lsn >= 101 - 10);
        close_it();
}

static void how_far_the_synced_mark_stays_behind_has_a_bound_of_its_own(void) {
        fixture_begin();
        options.checkpoint_messages = 1;
        options.unsynced_messages = 20;
        open_it();
        append_and_sync(100, 1);
        CHECK_INT(work_off(), 21);
        CHECK(!store_has_next(store));
        CHECK_INT(store_keep_round(store, false), 0);
        CHECK_INT(heard_resumed, 1);
        CHECK_INT(work_off(), 41);
        lose_power();
        open_it();
        CHECK_INT(state_now().mark_lsn, 21);
        close_it();
}

/*
 * A process that died left a mark that no disk has. The power goes while the next one writes its first control file,
 * which is the one that was synced last, and spoils it.
 */
static void a_mark_that_a_death_left_is_synced_before_the_other_file_is_touched(void) {
        uint8_t garbage[CONTROL_RECORD_BYTES];
        memset(garbage, 0x5a, sizeof garbage);
        fixture_begin();
        options.checkpoint_messages = 1;
        open_it();
        append_and_sync(4, 1);
        lease_it(1, 1);
        store_complete(store, 1, 1);
        CHECK_INT(store_keep_round(store, true), 0);
        const char *synced_last = control_file_name(store->control.generation % CONTROL_FILES);
        lease_it(2, 1);
        store_complete(store, 2, 1);
        lose_process();
        it_fails(DISK_SIM_WRITE, 1, 0, -EIO);
        CHECK_INT(try_open(), -EIO);
        disk_sim_fail(sim, NULL);
        struct disk_sim_chooser oldest = disk_sim_choose_oldest();
        struct disk_sim *after = disk_sim_crash(sim, DISK_SIM_STRICT, &oldest);
        disk_sim_free(sim);
        sim = after;
        CHECK(disk_sim_put(sim, SPOOL, synced_last, 0, garbage, sizeof garbage));
        open_it();
        CHECK_INT(state_now().mark_lsn, 3);
        close_it();
}

static void two_frames_are_leased_however_small_the_bound(void) {
        fixture_begin();
        options.checkpoint_messages = 1;
        open_it();
        append_and_sync(4, 100);
        lease_it(1, 100);
        lease_it(101, 100);
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), -EAGAIN);
        store_complete(store, 101, 100);
        CHECK_INT(store_lease(store, &f), -EAGAIN);
        CHECK_INT(heard_resumed, 0);
        store_complete(store, 1, 50);
        CHECK_INT(store_lease(store, &f), -EAGAIN);
        store_complete(store, 51, 50);
        CHECK_INT(heard_resumed, 2);
        lease_it(201, 100);
        lease_it(301, 100);
        /* What is given back was within the bound before. */
        store_release(store, 201);
        CHECK(store_has_next(store));
        lease_it(201, 100);
        close_it();
}

static void a_bound_waits_for_no_control_file_that_cannot_be_written(void) {
        fixture_begin();
        options.checkpoint_messages = 1;
        open_it();
        append_and_sync(8, 1);
        lease_it(1, 1);
        lease_it(2, 1);
        CHECK(!store_has_next(store));
        it_fails(DISK_SIM_WRITE, 1, 2, -EIO);
        store_complete(store, 1, 1);
        CHECK(!store_has_next(store));
        CHECK_INT(store_keep_round(store, false), -EIO);
        CHECK(strstr(said, "messages may come twice"));
        CHECK_INT(heard_resumed, 1);
        lease_it(3, 1);
        lease_it(4, 1);
        CHECK_INT(store_keep_round(store, true), 0);
        close_it();
}

static void without_syncing_what_is_written_survives_the_process(void) {
        fixture_begin();
        options.is_synced = false;
        open_it();
        for (unsigned i = 0; i < 30; i++)
                append_it(2000, 1);
        CHECK_INT(store_wait(store, 30), 0);
        CHECK_INT(heard_durable, 30);
        lose_process();
        open_it();
        for (unsigned i = 1; i <= 30; i++)
                lease_it(i, 1);
        CHECK_INT(heard_lost, 0);
        close_it();
        struct disk_sim_chooser oldest = disk_sim_choose_oldest();
        struct disk_sim *after = disk_sim_crash(sim, DISK_SIM_STRICT, &oldest);
        disk_sim_free(sim);
        sim = after;
        open_it();
        for (unsigned i = 1; i <= 30; i++)
                lease_it(i, 1);
        close_it();
}

#define PATIENCE_NS (20 * INT64_C(1000000000))

static bool threads_rest(void) {
        pthread_mutex_lock(&store->lock);
        bool rest = store->is_keeper_idle && store->is_flusher_idle && !store->room_wanted &&
                    !store->is_control_dirty && !store->is_control_due && store->is_lacking;
        pthread_mutex_unlock(&store->lock);
        return rest;
}

/* With its threads: when there is no room and nobody asks, nobody works. */
static void a_full_store_sleeps(void) {
        fixture_begin();
        options.bytes_max = 5 * SEGMENT_BYTES_MIN;
        options.disk = disk_sim_disk(sim);
        CHECK_INT(store_open(&store, &options, &fixture_ear), 0);
        uint64_t last = 0;
        while (last < 100 && try_append(3000, 1) == 0)
                last++;
        CHECK(last > 0 && last < 100);
        CHECK_INT(store_wait(store, last), 0);
        lease_it(1, 1);
        /* Both its threads rest until they are called, and nobody is left who would call. */
        int64_t until_ns = clock_mono_ns() + PATIENCE_NS;
        while (!threads_rest() && clock_mono_ns() < until_ns)
                sched_yield();
        uint64_t operations = disk_sim_operations(sim);
        CHECK(threads_rest());
        CHECK_INT(disk_sim_operations(sim), operations);
        CHECK_INT(store_close(store), 0);
}

TEST_MAIN(TEST(a_file_that_was_being_made_when_the_process_died_is_in_nobodys_way),
          TEST(a_segment_has_its_name_only_when_it_is_whole),
          TEST(a_short_write_is_continued_and_one_that_found_no_space_repeated),
          TEST(a_file_is_never_trusted_again_after_a_failed_sync), TEST(an_abandoned_file_is_not_used_again),
          TEST(what_went_elsewhere_is_read_there), TEST(damage_in_the_last_file_is_told_from_a_torn_tail),
          TEST(a_failed_sync_is_forgiven_by_nobody_who_opens_the_file_later),
          TEST(planted_records_are_never_taken_for_frames), TEST(an_acknowledged_message_needs_no_luck_with_names),
          TEST(the_control_files_do_not_share_a_fate), TEST(without_control_files_messages_come_twice_and_none_is_lost),
          TEST(a_batch_spanning_three_segments_is_there_from_its_beginning_without_a_gap),
          TEST(what_an_output_refused_comes_again_first_after_a_restart),
          TEST(opening_costs_the_same_however_much_waits), TEST(a_full_disk_stops_admission_and_nothing_else),
          TEST(a_read_only_disk_is_said_at_the_door), TEST(nothing_is_acknowledged_into_a_directory_that_is_gone),
          TEST(a_directory_that_is_gone_is_made_again), TEST(without_syncing_too_a_directory_that_is_gone_is_noticed),
          TEST(links_in_the_spool_are_refused), TEST(two_daemons_do_not_share_a_spool),
          TEST(a_missing_segment_is_lost_exactly), TEST(a_damaged_file_is_set_aside_when_it_is_done_with),
          TEST(a_place_that_the_disk_cannot_read_does_not_hold_up_the_rest_for_ever),
          TEST(checkpoints_bound_what_comes_twice_after_a_death),
          TEST(how_far_the_synced_mark_stays_behind_has_a_bound_of_its_own),
          TEST(a_mark_that_a_death_left_is_synced_before_the_other_file_is_touched),
          TEST(two_frames_are_leased_however_small_the_bound),
          TEST(a_bound_waits_for_no_control_file_that_cannot_be_written),
          TEST(without_syncing_what_is_written_survives_the_process), TEST(a_full_store_sleeps))
