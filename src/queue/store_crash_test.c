/*
 * The store on a disk that loses power, at every operation, in two models of a file
 * system, with torn sectors, and again while it recovers. A ledger outside knows what
 * was promised.
 */
#include <errno.h>

#include "base/test.h"
#include "io/disk_sim.h"
#include "queue/store_inside.h"

enum { LEDGER_MAX = 4096, PAYLOAD_MAX = 6000 };

/* What the world outside knows: by LSN, which append it was, and what became of it. */
struct ledger {
        uint32_t serial[LEDGER_MAX]; /* of the append; 0: none */
        uint32_t size[LEDGER_MAX], count[LEDGER_MAX];
        uint64_t acked; /* up to here, durable() said */
        bool completed[LEDGER_MAX];
        uint64_t lost_first, lost_end;
        uint64_t mark; /* that a control file on the disk tells: what is below does not come again */
        uint32_t next_serial;
};

static struct ledger ledger;
static struct {
        uint64_t seed, stop;
        uint32_t round, state;
} now; /* which run this is, for whoever has to look into a failure */

static void hear_durable(void *owner _unused_, uint64_t lsn) {
        CHECK(lsn >= ledger.acked);
        ledger.acked = lsn;
}

static void hear_lost(void *owner _unused_, uint64_t lsn, uint64_t count, const char *why _unused_) {
        ledger.lost_first = ledger.lost_first ? MIN(ledger.lost_first, lsn) : lsn;
        ledger.lost_end = MAX(ledger.lost_end, lsn + count);
}

/* Nothing but power was lost, so nobody may speak of damage. */
static void hear_report(struct reporter *reporter _unused_, enum severity severity, int code _unused_,
                        const char *line) {
        if (severity <= SEVERITY_CRIT)
                TEST_FAIL("seed %llu stop %llu round %u state %u: %s", (unsigned long long)now.seed,
                          (unsigned long long)now.stop, now.round, now.state, line);
}
static struct reporter ear = {hear_report};

static struct store_options options_for(struct disk_sim *sim) {
        return (struct store_options){.disk = disk_sim_disk(sim),
                                      .directory = "/spool/q",
                                      .name = "q",
                                      .segment_bytes = SEGMENT_BYTES_MIN,
                                      .is_synced = true,
                                      .durable = hear_durable,
                                      .lost = hear_lost};
}

static uint64_t dice_state;

static uint32_t dice(uint32_t sides) {
        dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(dice_state >> 33) % sides;
}

static void payload_fill(uint8_t *bytes, uint32_t size, uint32_t serial) {
        for (uint32_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(serial >> (i % 4 * 8)) ^ (uint8_t)(i / 4);
}

static void append(struct store *s, uint32_t size, uint32_t count) {
        static uint8_t bytes[PAYLOAD_MAX];
        uint32_t serial = ++ledger.next_serial;
        payload_fill(bytes, size, serial);
        uint64_t lsn;
        if (store_append(s, bytes, size, count, &lsn))
                return;
        CHECK(lsn < LEDGER_MAX && lsn > ledger.acked);
        ledger.serial[lsn] = serial;
        ledger.size[lsn] = size;
        ledger.count[lsn] = count;
        for (uint32_t i = 0; i < count; i++)
                ledger.completed[lsn + i] = false;
}

static void do_append(struct store *s) {
        uint32_t size = dice(4) ? dice(400) : dice(PAYLOAD_MAX);
        append(s, size, 1 + dice(3));
}

/* What comes out is what went in under that LSN. */
static void check_frame(const struct store_frame *f) {
        static uint8_t bytes[PAYLOAD_MAX];
        CHECK(f->lsn < LEDGER_MAX && ledger.serial[f->lsn]);
        CHECK_INT(f->count, ledger.count[f->lsn]);
        CHECK_INT(f->size, ledger.size[f->lsn]);
        payload_fill(bytes, ledger.size[f->lsn], ledger.serial[f->lsn]);
        CHECK(memcmp(bytes, f->payload, f->size) == 0);
}

struct held {
        uint64_t lsn;
        uint32_t first, count;
};
static struct held held[64];
static uint32_t held_count;

static void do_lease(struct store *s) {
        struct store_frame f;
        if (held_count == ARRAY_SIZE(held) || store_lease(s, &f))
                return;
        check_frame(&f);
        free(f.payload);
        held[held_count++] = (struct held){f.lsn, f.done, f.count};
}

static void do_complete(struct store *s) {
        if (!held_count)
                return;
        uint32_t at = dice(held_count);
        struct held h = held[at];
        held[at] = held[--held_count];
        if (dice(5) == 0) {
                store_release(s, h.lsn);
                return;
        }
        store_complete(s, h.lsn + h.first, h.count - h.first);
        for (uint32_t i = 0; i < h.count; i++)
                ledger.completed[h.lsn + i] = true;
}

static void do_steps(struct store *s, uint32_t steps) {
        for (uint32_t i = 0; i < steps; i++) {
                switch (dice(8)) {
                case 0:
                case 1:
                case 2:
                        do_append(s);
                        break;
                case 3:
                case 4:
                        store_flush_round(s);
                        break;
                case 5:
                        do_lease(s);
                        break;
                case 6:
                        do_complete(s);
                        break;
                case 7:
                        store_keep_round(s, dice(2));
                        break;
                }
                ledger.mark = s->control.mark_lsn;
        }
}

/* The process is gone, whatever the disk says. */
static void drop(struct disk_sim *sim, struct store *s) {
        disk_sim_stop_at(sim, 1);
        store_close(s);
        held_count = 0;
}

/* Opens what is left, and holds it against the ledger. */
static void check_recovered(struct disk_sim *sim) {
        struct store_options o = options_for(sim);
        struct store *s;
        ledger.lost_first = ledger.lost_end = 0;
        CHECK_INT(store_open_by_hand(&s, &o, &ear), 0);
        struct store_state state;
        store_state(s, &state);
        CHECK(state.next_lsn > ledger.acked);
        CHECK(state.mark_lsn >= ledger.mark);
        CHECK_INT(state.quarantined, 0);
        for (uint64_t lsn = 1; lsn < state.mark_lsn; lsn++)
                CHECK(ledger.completed[lsn]);
        uint64_t next = state.mark_lsn;
        struct store_frame f;
        int r;
        while ((r = store_lease(s, &f)) == 0) {
                check_frame(&f);
                free(f.payload);
                CHECK_INT(f.lsn + f.done, next);
                next = f.lsn + f.count;
                store_complete(s, f.lsn + f.done, f.count - f.done);
        }
        CHECK_INT(r, -EAGAIN);
        CHECK_INT(next, state.next_lsn);
        CHECK_INT(ledger.lost_end, 0);
        /* Progress: it works on. */
        uint64_t lsn;
        CHECK_INT(store_append(s, "x", 1, 1, &lsn), 0);
        CHECK_INT(lsn, next);
        uint64_t acked = ledger.acked;
        CHECK_INT(store_wait(s, lsn), 0);
        ledger.acked = acked;
        CHECK_INT(store_close(s), 0);
}

static void something_fails(struct disk_sim *sim) {
        static const struct disk_sim_fault faults[] = {
                {.operation = DISK_SIM_SYNC, .times = 1, .error = -EIO},
                {.operation = DISK_SIM_SYNC, .times = 3, .error = -EIO},
                {.operation = DISK_SIM_WRITE, .times = 2, .error = -ENOSPC},
                {.operation = DISK_SIM_WRITE, .times = 1, .error = -EIO},
                {.operation = DISK_SIM_WRITE, .times = 9, .short_bytes = 700},
                {.operation = DISK_SIM_OPEN, .times = 1, .error = -EMFILE},
                {.operation = DISK_SIM_RENAME, .times = 1, .error = -EIO},
                {.operation = DISK_SIM_ANY, .times = 1, .error = -EIO},
        };
        struct disk_sim_fault fault = faults[dice(ARRAY_SIZE(faults))];
        fault.nth = 1 + dice(20);
        disk_sim_fail(sim, &fault);
}

/* A run that the power ends at operation `stop`; false when it came to its end before. */
static bool run_until(struct disk_sim *sim, uint64_t stop, uint64_t seed, uint32_t steps) {
        struct store_options o = options_for(sim);
        struct store *s;
        dice_state = seed;
        disk_sim_stop_at(sim, stop);
        int r = store_open_by_hand(&s, &o, &ear);
        if (!r) {
                /* What an open finds is durable from then on. */
                ledger.acked = MAX(ledger.acked, store_durable(s));
                if (dice(2))
                        something_fails(sim);
                do_steps(s, steps);
                disk_sim_fail(sim, NULL);
                drop(sim, s);
        }
        return !r || disk_sim_is_stopped(sim);
}

/* The disk as it may be found, `states` times, each opened; then one is used on, to be crashed again. */
static struct disk_sim *crash_and_check(struct disk_sim *sim, uint64_t seed, uint32_t states) {
        struct ledger before = ledger;
        struct disk_sim *kept = NULL;
        for (uint32_t i = 0; i < states; i++) {
                now.state = i;
                enum disk_sim_model model = i % 2 ? DISK_SIM_ORDERED : DISK_SIM_STRICT;
                struct disk_sim_random random = disk_sim_choose_randomly(seed * 1000 + i, i % 3 == 0);
                struct disk_sim_chooser oldest = disk_sim_choose_oldest();
                struct disk_sim_chooser *chooser = i == 0 ? &oldest : &random.chooser;
                struct disk_sim *after = disk_sim_crash(sim, model, chooser);
                if (!kept)
                        kept = disk_sim_crash(after, DISK_SIM_STRICT, &oldest);
                check_recovered(after);
                disk_sim_free(after);
                ledger = before;
        }
        return kept;
}

/* What was not acknowledged may be gone, and its LSNs come again. */
static void forget_unacknowledged(void) {
        ledger.next_serial += 1000;
}

static void power_is_lost_anywhere(void) {
        uint32_t states = 0;
        for (uint64_t seed = 1; seed <= 8; seed++) {
                for (uint64_t stop = 2; stop < 220; stop += 1 + seed % 3) {
                        memset(&ledger, 0, sizeof ledger);
                        now.seed = seed;
                        now.stop = stop;
                        struct disk_sim *sim = disk_sim_new(seed);
                        for (uint32_t round = 0; round < 3; round++) {
                                now.round = round;
                                run_until(sim, disk_sim_operations(sim) + stop / (round + 1) + 1, seed + round, 60);
                                struct disk_sim *next = crash_and_check(sim, seed * 10 + round, 5);
                                states += 5;
                                /* Now and then only the process dies, and the power goes after the next one ran. */
                                bool only_process = (seed + stop + round) % 3 == 0;
                                disk_sim_free(only_process ? next : sim);
                                sim = only_process ? sim : next;
                                forget_unacknowledged();
                        }
                        disk_sim_free(sim);
                }
        }
        printf("# %u states\n", states);
}

/*
 * What is complete never came to lie on the disk: two files refused to sync it, so their headers are all there is. Then
 * power goes at the keeper's operation `stop`.
 */
static struct disk_sim *leave_files_unneeded(uint64_t stop) {
        struct disk_sim *sim = disk_sim_new(1);
        struct store_options o = options_for(sim);
        struct store *s;
        memset(&ledger, 0, sizeof ledger);
        CHECK_INT(store_open_by_hand(&s, &o, &ear), 0);
        append(s, PAYLOAD_MAX, 1);
        struct store_frame f;
        CHECK_INT(store_lease(s, &f), 0);
        check_frame(&f);
        free(f.payload);
        store_complete(s, f.lsn, f.count);
        ledger.completed[f.lsn] = true;
        disk_sim_fail(sim, &(struct disk_sim_fault){.operation = DISK_SIM_SYNC, .nth = 1, .times = 2, .error = -EIO});
        store_flush_round(s);
        store_flush_round(s);
        disk_sim_fail(sim, NULL);
        disk_sim_stop_at(sim, disk_sim_operations(sim) + stop);
        store_keep_round(s, true);
        ledger.mark = s->control.mark_lsn;
        drop(sim, s);
        struct disk_sim_chooser oldest = disk_sim_choose_oldest();
        struct disk_sim *after = disk_sim_crash(sim, DISK_SIM_STRICT, &oldest);
        disk_sim_free(sim);
        return after;
}

/* A life after that: it takes files that are not needed any more, and power goes at its operation `stop`. */
static void use_files_again(struct disk_sim *sim, uint64_t stop) {
        struct store_options o = options_for(sim);
        struct store *s;
        disk_sim_stop_at(sim, stop);
        if (store_open_by_hand(&s, &o, &ear))
                return;
        ledger.acked = MAX(ledger.acked, store_durable(s));
        append(s, PAYLOAD_MAX, 1);
        append(s, PAYLOAD_MAX, 1);
        store_flush_round(s);
        store_keep_round(s, true);
        ledger.mark = s->control.mark_lsn;
        drop(sim, s);
}

/* Whichever file is used again: where its new header is torn, nobody asks for it. */
static void a_torn_header_of_a_file_that_is_not_needed_is_no_damage(void) {
        enum { STOPS_OF_KEEPER = 12, STOPS_OF_LIFE = 48, STATES = 4 };
        for (uint64_t first = 1; first <= STOPS_OF_KEEPER; first++) {
                for (uint64_t second = 1; second <= STOPS_OF_LIFE; second++) {
                        now.seed = first;
                        now.stop = second;
                        struct disk_sim *sim = leave_files_unneeded(first);
                        use_files_again(sim, second);
                        disk_sim_free(crash_and_check(sim, first * 100 + second, STATES));
                        disk_sim_free(sim);
                }
        }
}

TEST_MAIN(TEST(power_is_lost_anywhere), TEST(a_torn_header_of_a_file_that_is_not_needed_is_no_damage))
