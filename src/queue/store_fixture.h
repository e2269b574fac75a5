/*
 * A store on a disk in memory, driven by hand, for tests: with what it said, what it
 * made durable, and what it lost.
 */
#pragma once

#include <errno.h>

#include "base/test.h"
#include "io/disk_sim.h"
#include "queue/store_inside.h"

#define SPOOL "/spool/q"

static struct disk_sim *sim;
static struct store *store;
static struct store_options options;
static uint64_t heard_durable, heard_lost, lost_first, heard_resumed;
static char said[2048];

static void fixture_durable(void *owner _unused_, uint64_t lsn) {
        heard_durable = lsn;
}

static void fixture_lost(void *owner _unused_, uint64_t lsn, uint64_t count, const char *why _unused_) {
        if (!heard_lost)
                lost_first = lsn;
        heard_lost += count;
}

static void fixture_resumed(void *owner _unused_) {
        heard_resumed++;
}

static void fixture_hear(struct reporter *reporter _unused_, enum severity severity _unused_, int code _unused_,
                         const char *line) {
        snprintf(said, sizeof said, "%s", line);
}
static struct reporter fixture_ear = {fixture_hear};

static void fixture_begin(void) {
        disk_sim_free(sim);
        sim = disk_sim_new(7);
        options = (struct store_options){.directory = SPOOL,
                                         .name = "q",
                                         .segment_bytes = SEGMENT_BYTES_MIN,
                                         .is_synced = true,
                                         .durable = fixture_durable,
                                         .lost = fixture_lost,
                                         .resumed = fixture_resumed};
        heard_durable = heard_lost = lost_first = heard_resumed = 0;
        said[0] = '\0';
}

static int try_open(void) {
        options.disk = disk_sim_disk(sim);
        heard_lost = 0;
        return store_open_by_hand(&store, &options, &fixture_ear);
}

static void open_it(void) {
        CHECK_INT(try_open(), 0);
}

static void close_it(void) {
        CHECK_INT(store_close(store), 0);
}

/* A payload that tells its size and the LSN it should get. */
static void fixture_fill(uint8_t *bytes, size_t size, uint64_t lsn) {
        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(lsn * 37 + i * 11 + (i >> 8));
}

_unused_ static int try_append(size_t size, uint32_t count) {
        static uint8_t bytes[1 << 20];
        struct store_state state;
        store_state(store, &state);
        fixture_fill(bytes, size, state.next_lsn);
        uint64_t lsn = 0;
        int r = store_append(store, bytes, size, count, &lsn);
        if (!r)
                CHECK_INT(lsn, state.next_lsn);
        return r;
}

_unused_ static void append_it(size_t size, uint32_t count) {
        CHECK_INT(try_append(size, count), 0);
}

_unused_ static bool is_right(const struct store_frame *f) {
        static uint8_t bytes[1 << 20];
        fixture_fill(bytes, f->size, f->lsn);
        return memcmp(bytes, f->payload, f->size) == 0;
}

/* The next frame is this one, and right. It stays leased. */
_unused_ static void lease_it(uint64_t lsn, uint32_t count) {
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), 0);
        bool right = is_right(&f);
        free(f.payload);
        CHECK_INT(f.lsn, lsn);
        CHECK_INT(f.count, count);
        CHECK(right);
}

_unused_ static void nothing_waits(void) {
        struct store_frame f;
        CHECK_INT(store_lease(store, &f), -EAGAIN);
}

/* The power goes; what was not synced is gone. */
_unused_ static void lose_power(void) {
        disk_sim_stop_at(sim, 1);
        store_close(store);
        struct disk_sim_chooser oldest = disk_sim_choose_oldest();
        struct disk_sim *after = disk_sim_crash(sim, DISK_SIM_STRICT, &oldest);
        disk_sim_free(sim);
        sim = after;
}

/* The process goes; the disk stays as it is. */
_unused_ static void lose_process(void) {
        disk_sim_stop_at(sim, 1);
        store_close(store);
        disk_sim_stop_at(sim, 0);
}

_unused_ static void it_fails(enum disk_sim_operation operation, uint64_t nth, uint64_t times, int error) {
        disk_sim_fail(sim, &(struct disk_sim_fault){operation, nth, times, error, 0});
}

_unused_ static struct store_state state_now(void) {
        struct store_state state;
        store_state(store, &state);
        return state;
}
