#include "io/disk_sim.h"

#include <errno.h>
#include <fcntl.h>

#include "base/test.h"

static struct disk_sim *sim;
static struct disk *disk;
static int directory;

static void begin(void) {
        disk_sim_free(sim);
        sim = disk_sim_new(1);
        disk = disk_sim_disk(sim);
        directory = disk->ops->open_directory(disk, "/spool", true);
        CHECK(directory >= 0);
}

static int create(const char *name, size_t size, char fill) {
        static char bytes[4096];
        memset(bytes, fill, sizeof bytes);
        int fd = disk->ops->open(disk, directory, name, O_RDWR | O_CREAT);
        CHECK(fd >= 0);
        CHECK_INT(disk->ops->pwrite(disk, fd, bytes, size, 0), (int)size);
        return fd;
}

/* What survives of a name: its first and its last byte, "" when it is not there. */
static struct text found(enum disk_sim_model model, struct disk_sim_chooser *chooser, const char *name) {
        static char text[2];
        struct disk_sim *after = disk_sim_crash(sim, model, chooser);
        size_t size;
        const uint8_t *bytes = disk_sim_content(after, "/spool", name, &size);
        struct text t = {text, size ? 2 : 0};
        if (size) {
                text[0] = (char)bytes[0];
                text[1] = (char)bytes[size - 1];
        }
        disk_sim_free(after);
        return t;
}

static void only_what_was_synced_is_certain(void) {
        struct disk_sim_chooser oldest = disk_sim_choose_oldest(), newest = disk_sim_choose_newest();
        begin();
        int fd = create("a", 1024, 'a');
        CHECK_TEXT(found(DISK_SIM_STRICT, &oldest, "a"), "");
        CHECK_TEXT(found(DISK_SIM_STRICT, &newest, "a"), "aa");
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_TEXT(found(DISK_SIM_STRICT, &oldest, "a"), "");
        CHECK_TEXT(found(DISK_SIM_ORDERED, &oldest, "a"), "aa");
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        CHECK_TEXT(found(DISK_SIM_STRICT, &oldest, "a"), "aa");
        CHECK_INT(disk->ops->pwrite(disk, fd, "b", 1, 0), 1);
        CHECK_TEXT(found(DISK_SIM_STRICT, &oldest, "a"), "aa");
        CHECK_TEXT(found(DISK_SIM_STRICT, &newest, "a"), "ba");
}

static void every_subset_of_sectors_can_survive(void) {
        begin();
        int fd = create("a", 1024, 'a');
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        CHECK_INT(disk->ops->pwrite(disk, fd, "b", 1, 0), 1);
        CHECK_INT(disk->ops->pwrite(disk, fd, "c", 1, 0), 1);
        CHECK_INT(disk->ops->pwrite(disk, fd, "z", 1, 1023), 1);
        unsigned seen = 0, states = 0;
        struct disk_sim_all all = disk_sim_choose_all(false);
        do {
                struct text t = found(DISK_SIM_STRICT, &all.chooser, "a");
                seen |= 1u << ((t.data[0] - 'a') + 3 * (t.data[1] == 'z'));
                states++;
        } while (disk_sim_next(&all));
        CHECK_INT(states, 6);
        CHECK_INT(seen, 63);
}

static void sectors_tear_when_they_may(void) {
        begin();
        int fd = create("a", 512, 'a');
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        create("a", 512, 'b');
        unsigned mixed = 0, states = 0;
        struct disk_sim_all all = disk_sim_choose_all(true);
        do {
                struct text t = found(DISK_SIM_STRICT, &all.chooser, "a");
                mixed += t.data[0] != t.data[1];
                states++;
        } while (disk_sim_next(&all));
        CHECK_INT(states, 4);
        CHECK_INT(mixed, 2);
}

static void a_failed_sync_forgets_what_it_should_have_written(void) {
        struct disk_sim_chooser newest = disk_sim_choose_newest();
        begin();
        int fd = create("a", 512, 'a');
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        CHECK_INT(disk->ops->pwrite(disk, fd, "b", 1, 0), 1);
        disk_sim_fail(sim, &(struct disk_sim_fault){.operation = DISK_SIM_SYNC, .nth = 1, .times = 1, .error = -EIO});
        CHECK_INT(disk->ops->sync_data(disk, fd), -EIO);
        CHECK_INT(disk->ops->sync_data(disk, fd), 0);
        char byte;
        CHECK_INT(disk->ops->pread(disk, fd, &byte, 1, 0), 1);
        CHECK_INT(byte, 'b');
        CHECK_TEXT(found(DISK_SIM_STRICT, &newest, "a"), "aa");
}

static void names_change_one_by_one_or_in_order(void) {
        begin();
        int fd = create("a", 512, 'a');
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        CHECK_INT(disk->ops->rename(disk, directory, "a", directory, "b"), 0);
        CHECK_INT(disk->ops->unlink(disk, directory, "b"), 0);
        unsigned strict = 0, ordered = 0;
        struct disk_sim_all all = disk_sim_choose_all(false);
        do
                strict += found(DISK_SIM_STRICT, &all.chooser, "a").size > 0;
        while (disk_sim_next(&all));
        all = disk_sim_choose_all(false);
        do
                ordered += found(DISK_SIM_ORDERED, &all.chooser, "a").size > 0;
        while (disk_sim_next(&all));
        CHECK_INT(strict, 2);
        CHECK_INT(ordered, 1);
}

static void operations_fail_when_they_are_told_to(void) {
        begin();
        int fd = create("a", 512, 'a');
        disk_sim_fail(sim,
                      &(struct disk_sim_fault){.operation = DISK_SIM_WRITE, .nth = 2, .times = 1, .short_bytes = 3});
        CHECK_INT(disk->ops->pwrite(disk, fd, "bbbbbb", 6, 0), 6);
        CHECK_INT(disk->ops->pwrite(disk, fd, "bbbbbb", 6, 0), 3);
        CHECK_INT(disk->ops->pwrite(disk, fd, "bbbbbb", 6, 0), 6);
        disk_sim_limit(sim, 515);
        CHECK_INT(disk->ops->pwrite(disk, fd, "bbbbbb", 6, 512), 3);
        CHECK_INT(disk->ops->pwrite(disk, fd, "bbbbbb", 6, 515), -ENOSPC);
        disk_sim_stop_at(sim, disk_sim_operations(sim) + 1);
        CHECK_INT(disk->ops->pwrite(disk, fd, "b", 1, 0), -EIO);
        CHECK(disk_sim_is_stopped(sim));
        disk_sim_free(sim);
        sim = NULL;
}

static void a_hash_tells_disks_apart_by_what_is_synced(void) {
        begin();
        int fd = create("a", 1000, 'a');
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        uint64_t before = disk_sim_hash(sim);
        CHECK_INT(disk->ops->pwrite(disk, fd, "b", 1, 999), 1);
        CHECK(disk_sim_hash(sim) == before);
        struct disk_sim_chooser oldest = disk_sim_choose_oldest(), newest = disk_sim_choose_newest();
        _owned_(disk_sim_free) struct disk_sim *same = disk_sim_crash(sim, DISK_SIM_STRICT, &oldest);
        _owned_(disk_sim_free) struct disk_sim *other = disk_sim_crash(sim, DISK_SIM_STRICT, &newest);
        CHECK(disk_sim_hash(same) == before);
        CHECK(disk_sim_hash(other) != before);
        CHECK_INT(disk->ops->sync(disk, fd), 0);
        CHECK(disk_sim_hash(sim) == disk_sim_hash(other));
        CHECK_INT(disk->ops->rename(disk, directory, "a", directory, "c"), 0);
        CHECK_INT(disk->ops->sync(disk, directory), 0);
        CHECK(disk_sim_hash(sim) != disk_sim_hash(other));
        disk_sim_free(sim);
        sim = NULL;
}

TEST_MAIN(TEST(a_hash_tells_disks_apart_by_what_is_synced), TEST(only_what_was_synced_is_certain),
          TEST(every_subset_of_sectors_can_survive), TEST(sectors_tear_when_they_may),
          TEST(a_failed_sync_forgets_what_it_should_have_written), TEST(names_change_one_by_one_or_in_order),
          TEST(operations_fail_when_they_are_told_to))
