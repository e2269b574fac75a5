/*
 * The campaign: a store at work on a disk whose power goes before every operation that changes it.
 *
 *   script        what a seed does with a store: appends, flushes, leases, completions, faults; some rounds of it
 *   boundary      before each change of the disk: here the power may have gone
 *   state         a disk as it may be found then: strict or ordered, any mixture of unsynced sectors, whole or torn.
 *                 Few mixtures are all looked at, of many some. Each is recovered and held against the ledger.
 *   second crash  now and then the power goes again, at each boundary of the recovery
 *
 * The ledger is outside of the store and of the disk: what was appended, what durable() said, what was completed.
 * A state counts once, by its bytes. `store_campaign_test [--states N] [--seed S]`; a failure names its seed and
 * boundary, `--seed` with that repeats it. The other promises are controls: stores and disks with a fault must not
 * pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"
#include "io/disk_sim.h"
#include "queue/store_inside.h"

enum {
        STATES_DEFAULT = 200000,
        STATES_OF_A_CONTROL = 20000,
        LSN_MAX = 2048,
        PAYLOAD_MAX = 20000, /* more than a segment has */
        PAYLOAD_WORDS = (PAYLOAD_MAX + 3) / 4,
        COUNT_MAX = 3,
        HELD_MAX = 8,
        PRODUCERS = 3,
        ROUNDS = 3,
        STEPS = 40,
        CHECKPOINT = 12,
        EXHAUSTIVE_MAX = 32, /* mixtures of which all are looked at */
        SAMPLES = 12,        /* of more, so many */
        SAMPLES_AGAIN = 4,   /* of a crash inside a recovery */
        DEEPER_EVERY = 24,
        TWICE_EVERY = 8,
        SEEN_OF_SCRIPT = 1 << 16,
        TWICE_AFTER_DEATH_MAX = CHECKPOINT, /* more than two frames have */
        TWICE_AFTER_POWER_MAX = 18,
};

enum flaw {
        FLAWLESS,
        FLAW_DATA_SYNC,      /* fdatasync() does nothing */
        FLAW_SYNC,           /* fsync() does nothing */
        FLAW_FORGETFUL_SYNC, /* one fdatasync() in eight does nothing */
        FLAW_EARLY,          /* what is only staged is acknowledged */
        FLAW_EARLY_MARK,     /* what is only leased counts as complete */
};

struct ledger {
        uint32_t serial[LSN_MAX]; /* of the append that has this LSN; 0: none */
        uint32_t size[LSN_MAX], count[LSN_MAX];
        bool completed[LSN_MAX];
        uint64_t acked; /* up to here, durable() said */
        uint64_t mark;  /* that a control file on the disk tells */
        uint32_t next_serial, completions;
        bool is_bounded; /* nothing kept a control file from being written when it was due */
        bool has_power;  /* it was the process that died */
};

struct set {
        uint64_t *slots;
        size_t size, used;
};

/* Which state this is, for whoever has to look into a failure. */
static struct {
        uint64_t seed, boundary, states, wanted;
        unsigned round, depth;
        enum disk_sim_model model;
        enum flaw flaw;
} now = {.wanted = STATES_DEFAULT, .seed = 1};

static struct ledger ledger;
static struct set images; /* all that were recovered */
static struct set seen;   /* with what the ledger said, in this script */
static uint64_t dice_state;
static struct {
        uint64_t lsn;
        uint32_t first, count;
} held[HELD_MAX];
static uint32_t held_count;

#define HOLDS(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        TEST_FAIL("seed %llu round %u boundary %llu depth %u model %d: does not hold: %s",             \
                                  (unsigned long long)now.seed, now.round, (unsigned long long)now.boundary,           \
                                  now.depth, (int)now.model, #condition);                                              \
        } while (0)

static uint32_t dice(uint32_t sides) {
        dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(dice_state >> 33) % sides;
}

/* ---- Sets of states ----------------------------------------------------------- */

static void set_init(struct set *s, uint64_t wanted) {
        free(s->slots);
        for (s->size = 1024; s->size < 2 * wanted; s->size *= 2)
                ;
        s->slots = calloc(s->size, sizeof *s->slots);
        s->used = 0;
        CHECK(s->slots);
}

static void set_clear(struct set *s) {
        memset(s->slots, 0, s->size * sizeof *s->slots);
        s->used = 0;
}

/* False when it was there. */
static bool set_add(struct set *s, uint64_t hash) {
        hash |= 1;
        size_t at = (hash >> 1) & (s->size - 1);
        while (s->slots[at] && s->slots[at] != hash)
                at = (at + 1) & (s->size - 1);
        if (s->slots[at])
                return false;
        s->slots[at] = hash;
        CHECK(++s->used < s->size);
        return true;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

/* ---- A disk that tells before it changes ------------------------------------------ */

struct probe {
        struct disk disk;
        struct disk_sim *sim;
        bool is_quiet; /* nobody asks what would be if the power went */
        bool is_inner; /* of a recovery */
        uint32_t syncs;
};

static void boundary(struct probe *p);

static struct probe *probe_of(struct disk *disk) {
        return CONTAINER_OF(disk, struct probe, disk);
}

static struct disk *under(struct disk *disk) {
        return disk_sim_disk(probe_of(disk)->sim);
}

static int probe_open_directory(struct disk *disk, const char *path, bool makes) {
        return under(disk)->ops->open_directory(under(disk), path, makes);
}

static int probe_open(struct disk *disk, int directory, const char *name, int flags) {
        if (flags & O_CREAT)
                boundary(probe_of(disk));
        return under(disk)->ops->open(under(disk), directory, name, flags);
}

static int probe_close(struct disk *disk, int fd) {
        return under(disk)->ops->close(under(disk), fd);
}

static ssize_t probe_pread(struct disk *disk, int fd, void *buffer, size_t size, uint64_t offset) {
        return under(disk)->ops->pread(under(disk), fd, buffer, size, offset);
}

static ssize_t probe_pwrite(struct disk *disk, int fd, const void *buffer, size_t size, uint64_t offset) {
        boundary(probe_of(disk));
        return under(disk)->ops->pwrite(under(disk), fd, buffer, size, offset);
}

static int probe_sync_data(struct disk *disk, int fd) {
        struct probe *p = probe_of(disk);
        boundary(p);
        if (now.flaw == FLAW_DATA_SYNC || (now.flaw == FLAW_FORGETFUL_SYNC && ++p->syncs % 8 == 0))
                return 0;
        return under(disk)->ops->sync_data(under(disk), fd);
}

static int probe_sync(struct disk *disk, int fd) {
        boundary(probe_of(disk));
        return now.flaw == FLAW_SYNC ? 0 : under(disk)->ops->sync(under(disk), fd);
}

static int probe_truncate(struct disk *disk, int fd, uint64_t size) {
        boundary(probe_of(disk));
        return under(disk)->ops->truncate(under(disk), fd, size);
}

static int probe_rename(struct disk *disk, int from, const char *name, int to, const char *new_name) {
        boundary(probe_of(disk));
        return under(disk)->ops->rename(under(disk), from, name, to, new_name);
}

static int probe_unlink(struct disk *disk, int directory, const char *name) {
        boundary(probe_of(disk));
        return under(disk)->ops->unlink(under(disk), directory, name);
}

static int probe_info(struct disk *disk, int fd, struct disk_info *info) {
        return under(disk)->ops->info(under(disk), fd, info);
}

static int probe_list(struct disk *disk, int directory, int (*each)(void *user, const char *name), void *user) {
        return under(disk)->ops->list(under(disk), directory, each, user);
}

static int probe_lock(struct disk *disk, int fd) {
        return under(disk)->ops->lock(under(disk), fd);
}

static int64_t probe_wall_us(struct disk *disk) {
        return under(disk)->ops->wall_us(under(disk));
}

static int probe_random(struct disk *disk, void *buffer, size_t size) {
        return under(disk)->ops->random(under(disk), buffer, size);
}

static const struct disk_ops probe_ops = {
        .open_directory = probe_open_directory,
        .open = probe_open,
        .close = probe_close,
        .pread = probe_pread,
        .pwrite = probe_pwrite,
        .sync_data = probe_sync_data,
        .sync = probe_sync,
        .truncate = probe_truncate,
        .rename = probe_rename,
        .unlink = probe_unlink,
        .info = probe_info,
        .list = probe_list,
        .lock = probe_lock,
        .wall_us = probe_wall_us,
        .random = probe_random,
};

/* ---- What the store says, and how it is opened ---------------------------------------- */

static void hear_durable(void *owner, uint64_t lsn) {
        struct ledger *l = owner;
        if (!l)
                return; /* A store that is only looked at promises nothing. */
        HOLDS(lsn >= l->acked);
        l->acked = lsn;
}

/* Nothing but power was lost, so nobody may speak of loss or damage. */
static void hear_lost(void *owner _unused_, uint64_t lsn _unused_, uint64_t count _unused_, const char *why) {
        TEST_FAIL("seed %llu boundary %llu: reported lost: %s", (unsigned long long)now.seed,
                  (unsigned long long)now.boundary, why);
}

static void hear_report(struct reporter *reporter _unused_, enum severity severity, int code _unused_,
                        const char *line) {
        if (severity <= SEVERITY_CRIT)
                TEST_FAIL("seed %llu boundary %llu: %s", (unsigned long long)now.seed, (unsigned long long)now.boundary,
                          line);
}
static struct reporter ear = {hear_report};

static int open_store(struct store **s, struct probe *p, struct ledger *l) {
        struct store_options o = {
                .disk = &p->disk,
                .directory = "/spool/q",
                .name = "q",
                .segment_bytes = SEGMENT_BYTES_MIN,
                .bytes_max = now.seed % 4 == 0 ? 8 * SEGMENT_BYTES_MIN : 0,
                .checkpoint_messages = l ? CHECKPOINT : 0, /* who looks at what was left leases it all */
                .unsynced_messages = TWICE_AFTER_POWER_MAX,
                .is_chained = now.seed % 3 == 0,
                .is_synced = true,
                .durable = hear_durable,
                .lost = hear_lost,
                .owner = l,
        };
        return store_open_by_hand(s, &o, &ear);
}

/* The process is gone, whatever the disk says. */
static void drop_store(struct probe *p, struct store *s) {
        p->is_quiet = true;
        disk_sim_stop_at(p->sim, 1);
        store_close(s);
        disk_sim_stop_at(p->sim, 0);
}

/* ---- A state against the ledger ----------------------------------------------------- */

/* Of at least `size` bytes: each word tells its append and its place. */
static void payload_make(uint32_t payload[static PAYLOAD_WORDS], uint32_t size, uint32_t serial) {
        for (uint32_t i = 0; i < (size + 3) / 4; i++)
                payload[i] = serial * UINT32_C(0x9e3779b1) + i;
}

/* What comes out is what went in under that LSN. */
static void check_frame(const struct store_frame *f) {
        static uint32_t payload[PAYLOAD_WORDS];
        HOLDS(f->lsn < LSN_MAX && ledger.serial[f->lsn]);
        HOLDS(f->count == ledger.count[f->lsn] && f->size == ledger.size[f->lsn]);
        payload_make(payload, ledger.size[f->lsn], ledger.serial[f->lsn]);
        HOLDS(memcmp(payload, f->payload, f->size) == 0);
}

static uint32_t messages_twice(uint64_t mark, uint64_t next) {
        uint32_t twice = 0;
        for (uint64_t lsn = mark; lsn < next; lsn++)
                twice += ledger.completed[lsn];
        return twice;
}

static void check_state(const struct store_state *state) {
        HOLDS(state->next_lsn > ledger.acked);
        HOLDS(state->next_lsn <= LSN_MAX);
        HOLDS(state->mark_lsn >= ledger.mark);
        HOLDS(state->quarantined == 0);
        for (uint64_t lsn = 1; lsn < state->mark_lsn; lsn++)
                HOLDS(ledger.completed[lsn]);
        HOLDS(!ledger.is_bounded || messages_twice(state->mark_lsn, state->next_lsn) <= TWICE_AFTER_POWER_MAX);
}

/* Everything from the mark on comes, in order, without a gap; each producer's own messages go up. */
static void check_backlog(struct store *s, const struct store_state *state) {
        uint64_t next = state->mark_lsn;
        uint32_t last[PRODUCERS] = {0};
        struct store_frame f;
        int r;
        while ((r = store_lease(s, &f)) == 0) {
                check_frame(&f);
                free(f.payload);
                HOLDS(f.lsn + f.done == next);
                uint32_t serial = ledger.serial[f.lsn];
                HOLDS(serial > last[serial % PRODUCERS]);
                last[serial % PRODUCERS] = serial;
                next = f.lsn + f.count;
        }
        HOLDS(r == -EAGAIN);
        HOLDS(next == state->next_lsn);
}

/* It takes more, makes it durable, and gives it; where it was full, when what waits is done with. */
static void check_progress(struct store *s, const struct store_state *state) {
        uint64_t lsn;
        int r = store_append(s, "x", 1, 1, &lsn);
        if (r == -ENOSPC && s->options.bytes_max) {
                store_complete(s, state->mark_lsn, state->next_lsn - state->mark_lsn);
                HOLDS(store_keep_round(s, true) == 0);
                r = store_append(s, "x", 1, 1, &lsn);
        }
        HOLDS(r == 0 && lsn == state->next_lsn);
        HOLDS(store_wait(s, lsn) == 0);
        struct store_frame f;
        HOLDS(store_lease(s, &f) == 0 && f.lsn == lsn && f.size == 1);
        free(f.payload);
        store_complete(s, lsn, 1);
        HOLDS(store_keep_round(s, true) == 0);
}

/* Recovers what lies there; with `is_deep`, the power may go meanwhile, too. Gives what it found. */
static struct store_state recover(struct disk_sim *sim, bool is_deep, bool goes_on) {
        struct probe p = {.disk = {&probe_ops}, .sim = sim, .is_quiet = !is_deep, .is_inner = true};
        struct store *s;
        HOLDS(open_store(&s, &p, NULL) == 0);
        p.is_quiet = true;
        struct store_state state;
        store_state(s, &state);
        check_state(&state);
        check_backlog(s, &state);
        if (goes_on)
                check_progress(s, &state);
        drop_store(&p, s);
        return state;
}

/* One state, unless it was looked at before under the same promises. */
static void look_at(struct disk_sim *after) {
        uint64_t hash = disk_sim_hash(after);
        uint64_t promised = mix(mix(ledger.acked, ledger.mark), mix(ledger.next_serial, ledger.completions));
        if (!set_add(&seen, mix(hash, promised)))
                return;
        now.states += set_add(&images, hash);
        bool is_deep = !now.depth && now.states % DEEPER_EVERY == 0;
        bool is_twice = now.states % TWICE_EVERY == 0;
        struct store_state first = recover(after, is_deep, !is_twice);
        if (!is_twice)
                return;
        /* What recovery made of it is what the next one finds, even if the power went at once. */
        struct disk_sim_chooser oldest = disk_sim_choose_oldest();
        _owned_(disk_sim_free) struct disk_sim *again = disk_sim_crash(after, now.model, &oldest);
        now.states += set_add(&images, disk_sim_hash(again));
        struct store_state second = recover(again, false, true);
        HOLDS(second.next_lsn == first.next_lsn && second.mark_lsn == first.mark_lsn);
}

static void look_at_choice(const struct disk_sim *sim, enum disk_sim_model model, struct disk_sim_chooser *chooser) {
        now.model = model;
        _owned_(disk_sim_free) struct disk_sim *after = disk_sim_crash(sim, model, chooser);
        look_at(after);
}

/* How many mixtures the first answers leave room for; EXHAUSTIVE_MAX + 1 when it is more. */
static uint32_t mixtures(const struct disk_sim_all *all) {
        uint32_t product = all->asked == DISK_SIM_VARIED_MAX ? EXHAUSTIVE_MAX + 1 : 1;
        for (uint32_t i = 0; i < all->asked && product <= EXHAUSTIVE_MAX; i++)
                product *= all->answers[i];
        return MIN(product, (uint32_t)EXHAUSTIVE_MAX + 1);
}

/* What may be found if the power went now: all of it where that is little. */
static void explore(const struct disk_sim *sim, enum disk_sim_model model) {
        bool tears = now.boundary % 2;
        struct disk_sim_all all = disk_sim_choose_all(tears);
        look_at_choice(sim, model, &all.chooser);
        if (mixtures(&all) <= EXHAUSTIVE_MAX) {
                for (uint32_t i = 0; i < 2 * EXHAUSTIVE_MAX && disk_sim_next(&all); i++)
                        look_at_choice(sim, model, &all.chooser);
                return;
        }
        struct disk_sim_chooser newest = disk_sim_choose_newest();
        look_at_choice(sim, model, &newest);
        uint32_t samples = now.depth ? SAMPLES_AGAIN : SAMPLES;
        for (uint32_t i = 0; i < samples; i++) {
                uint64_t seed = mix(mix(now.seed, now.boundary), i * 2 + (uint32_t)model);
                struct disk_sim_random random = disk_sim_choose_randomly(seed, i % 2);
                look_at_choice(sim, model, &random.chooser);
        }
}

/* Before each operation that changes the disk. */
static void boundary(struct probe *p) {
        if (p->is_quiet || disk_sim_is_stopped(p->sim))
                return;
        enum disk_sim_model model = now.model;
        now.boundary += !p->is_inner;
        now.depth += p->is_inner;
        explore(p->sim, DISK_SIM_STRICT);
        explore(p->sim, DISK_SIM_ORDERED);
        now.depth -= p->is_inner;
        now.model = model;
}

/* ---- Scripts ------------------------------------------------------------------------ */

static void do_append(struct store *s) {
        /* Not the one of check_frame(): the power may go while this is appended. */
        static uint32_t payload[PAYLOAD_WORDS];
        uint32_t size = dice(4) ? dice(400) : dice(6000), count = 1 + dice(COUNT_MAX), serial = ++ledger.next_serial;
        if (dice(60) == 0)
                size = PAYLOAD_MAX - dice(1000);
        payload_make(payload, size, serial);
        uint64_t lsn;
        if (store_append(s, payload, size, count, &lsn))
                return;
        HOLDS(lsn + count <= LSN_MAX && lsn > ledger.acked);
        ledger.serial[lsn] = serial;
        ledger.size[lsn] = size;
        ledger.count[lsn] = count;
        if (now.flaw == FLAW_EARLY)
                ledger.acked = lsn;
}

/* Only so far ahead of the mark that what may come twice is bounded. */
static void do_lease(struct store *s) {
        struct store_frame f;
        bool is_far = s->cursor_lsn - store_mark(s) >= HELD_MAX * COUNT_MAX && !s->released_count;
        if (is_far || held_count == HELD_MAX || store_lease(s, &f))
                return;
        check_frame(&f);
        free(f.payload);
        if (now.flaw == FLAW_EARLY_MARK) {
                store_complete(s, f.lsn + f.done, f.count - f.done);
                return;
        }
        held[held_count].lsn = f.lsn;
        held[held_count].first = f.done;
        held[held_count++].count = f.count;
}

static void keep(struct store *s, bool at_once) {
        if (store_keep_round(s, at_once))
                ledger.is_bounded = false;
        ledger.mark = s->control.mark_lsn;
}

static void do_complete(struct store *s) {
        if (!held_count)
                return;
        uint32_t at = dice(held_count), first = held[at].first, count = held[at].count;
        uint64_t lsn = held[at].lsn;
        held[at] = held[--held_count];
        if (dice(5) == 0) {
                store_release(s, lsn);
                return;
        }
        for (uint32_t i = 0; i < count; i++)
                ledger.completed[lsn + i] = true;
        ledger.completions++;
        store_complete(s, lsn + first, count - first);
        keep(s, false);
}

static void do_step(struct store *s) {
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
                keep(s, dice(2));
                break;
        }
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
        fault.nth = 1 + dice(10);
        disk_sim_fail(sim, &fault);
}

/* What recovery found is durable from then on; what it did not find never was, and what is not below the mark is to
 * be done again. */
static void settle_ledger(struct store *s) {
        struct store_state state;
        store_state(s, &state);
        check_state(&state);
        if (ledger.is_bounded && ledger.has_power)
                HOLDS(messages_twice(state.mark_lsn, state.next_lsn) <= TWICE_AFTER_DEATH_MAX);
        for (uint64_t lsn = state.next_lsn; lsn < LSN_MAX; lsn++)
                ledger.serial[lsn] = 0;
        for (uint64_t lsn = state.mark_lsn; lsn < LSN_MAX; lsn++)
                ledger.completed[lsn] = false;
        ledger.acked = store_durable(s);
        ledger.mark = s->control.mark_lsn;
        ledger.completions++;
        ledger.is_bounded = true;
}

/* One life of the store. Gives the disk that the next one finds: the process dies, or the power goes. */
static struct disk_sim *play_round(struct disk_sim *sim) {
        struct probe p = {.disk = {&probe_ops}, .sim = sim};
        struct store *s;
        HOLDS(open_store(&s, &p, &ledger) == 0);
        settle_ledger(s);
        if (dice(2))
                something_fails(sim);
        /* The end may come inside of an operation of the store: what is written then is not synced. */
        if (dice(2))
                disk_sim_stop_at(sim, disk_sim_operations(sim) + 1 + dice(4 * STEPS));
        for (uint32_t i = 0; i < STEPS; i++)
                do_step(s);
        disk_sim_fail(sim, NULL);
        held_count = 0;
        ledger.has_power = dice(3) == 0;
        if (ledger.has_power) {
                drop_store(&p, s);
                return sim;
        }
        struct disk_sim_random random = disk_sim_choose_randomly(mix(now.seed, now.boundary), dice(2));
        struct disk_sim *next = disk_sim_crash(sim, dice(2) ? DISK_SIM_ORDERED : DISK_SIM_STRICT, &random.chooser);
        drop_store(&p, s);
        disk_sim_free(sim);
        return next;
}

static void play_script(uint64_t seed) {
        now.seed = dice_state = seed;
        now.boundary = 0;
        memset(&ledger, 0, sizeof ledger);
        set_clear(&seen);
        struct disk_sim *sim = disk_sim_new(seed);
        for (now.round = 0; now.round < ROUNDS; now.round++)
                sim = play_round(sim);
        disk_sim_free(sim);
}

/* ---- The promises ---------------------------------------------------------------- */

static void campaign(uint64_t wanted, uint64_t seed) {
        set_init(&images, wanted + SEEN_OF_SCRIPT);
        set_init(&seen, SEEN_OF_SCRIPT);
        now.states = 0;
        uint64_t first = seed;
        while (now.states < wanted)
                play_script(seed++);
        printf("# %llu states, seeds %llu to %llu\n", (unsigned long long)now.states, (unsigned long long)first,
               (unsigned long long)seed - 1);
}

static void power_is_lost_in_every_state(void) {
        campaign(now.wanted, now.seed);
}

/* In a process of its own: a control may also end by an assertion of the store. */
static void check_is_found(enum flaw flaw) {
        fflush(NULL);
        pid_t child = fork();
        CHECK(child >= 0);
        if (!child) {
                if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) || setjmp(test_out))
                        _exit(1);
                now.flaw = flaw;
                campaign(STATES_OF_A_CONTROL, 1);
                _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status != 0);
}

static void a_store_that_never_syncs_data_is_found(void) {
        check_is_found(FLAW_DATA_SYNC);
}

static void a_store_that_never_syncs_names_is_found(void) {
        check_is_found(FLAW_SYNC);
}

static void a_store_that_sometimes_forgets_to_sync_is_found(void) {
        check_is_found(FLAW_FORGETFUL_SYNC);
}

static void a_store_that_acknowledges_too_early_is_found(void) {
        check_is_found(FLAW_EARLY);
}

static void a_store_that_forgets_what_is_only_leased_is_found(void) {
        check_is_found(FLAW_EARLY_MARK);
}

int main(int argc, char **argv) {
        static const struct test tests[] = {
                TEST(power_is_lost_in_every_state),
                TEST(a_store_that_never_syncs_data_is_found),
                TEST(a_store_that_never_syncs_names_is_found),
                TEST(a_store_that_sometimes_forgets_to_sync_is_found),
                TEST(a_store_that_acknowledges_too_early_is_found),
                TEST(a_store_that_forgets_what_is_only_leased_is_found),
        };
        for (int i = 1; i + 1 < argc; i += 2) {
                uint64_t value = strtoull(argv[i + 1], NULL, 10);
                if (strcmp(argv[i], "--states") == 0)
                        now.wanted = value;
                else if (strcmp(argv[i], "--seed") == 0)
                        now.seed = value;
        }
        /* A store takes and gives back the same large pieces each time. */
        mallopt(M_MMAP_THRESHOLD, 512 << 10);
        mallopt(M_TRIM_THRESHOLD, 256 << 20);
        return test_run(tests, ARRAY_SIZE(tests));
}
