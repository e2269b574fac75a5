#include "io/disk.h"

#include <errno.h>
#include <sys/stat.h>

#include "io/test_place.h"

static struct disk *disk;

static int open_place(void) {
        disk = disk_real();
        test_place();
        int fd = disk->ops->open_directory(disk, test_place_path("d"), true);
        CHECK(fd >= 0);
        return fd;
}

static void bytes_come_back(void) {
        int d = open_place();
        int fd = disk->ops->open(disk, d, "f", O_RDWR | O_CREAT | O_EXCL);
        CHECK(fd >= 0);
        CHECK_INT(disk->ops->pwrite(disk, fd, "hello", 5, 3), 5);
        CHECK_INT(disk->ops->sync_data(disk, fd), 0);
        char bytes[8];
        CHECK_INT(disk->ops->pread(disk, fd, bytes, sizeof bytes, 3), 5);
        CHECK(memcmp(bytes, "hello", 5) == 0);
        CHECK_INT(disk->ops->truncate(disk, fd, 4), 0);
        struct disk_info info;
        CHECK_INT(disk->ops->info(disk, fd, &info), 0);
        CHECK_INT(info.size, 4);
        CHECK_INT(info.mode, 0600);
        CHECK_INT(info.links, 1);
        CHECK(info.is_regular && !info.is_directory);
        CHECK_INT(disk->ops->unlink(disk, d, "f"), 0);
        CHECK_INT(disk->ops->info(disk, fd, &info), 0);
        CHECK_INT(info.links, 0);
        CHECK_INT(disk->ops->close(disk, fd), 0);
        CHECK_INT(disk->ops->close(disk, d), 0);
}

static void links_are_not_followed_and_pipes_do_not_hold_up(void) {
        int d = open_place();
        CHECK(symlink("/etc/passwd", test_place_path("d/l")) == 0);
        CHECK_INT(disk->ops->open(disk, d, "l", O_RDONLY), -ELOOP);
        CHECK(symlink(test_place_path("d"), test_place_path("e")) == 0);
        CHECK_INT(disk->ops->open_directory(disk, test_place_path("e"), true), -ELOOP);
        CHECK(mkfifo(test_place_path("d/p"), 0600) == 0);
        int fd = disk->ops->open(disk, d, "p", O_RDONLY);
        CHECK(fd >= 0);
        struct disk_info info;
        CHECK_INT(disk->ops->info(disk, fd, &info), 0);
        CHECK(!info.is_regular);
        disk->ops->close(disk, fd);
        disk->ops->close(disk, d);
}

static void a_lock_is_one_descriptors(void) {
        int d = open_place();
        int a = disk->ops->open(disk, d, "lock", O_RDWR | O_CREAT), b = disk->ops->open(disk, d, "lock", O_RDWR);
        CHECK_INT(disk->ops->lock(disk, a), 0);
        CHECK_INT(disk->ops->lock(disk, b), -EBUSY);
        disk->ops->close(disk, a);
        CHECK_INT(disk->ops->lock(disk, b), 0);
        disk->ops->close(disk, b);
        disk->ops->close(disk, d);
}

static int count_name(void *user, const char *name _unused_) {
        return ++*(int *)user == 2 ? 7 : 0;
}

static void names_are_listed_again_and_again(void) {
        int d = open_place();
        for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++)
                disk->ops->close(disk, disk->ops->open(disk, d, *name, O_RDWR | O_CREAT));
        CHECK_INT(disk->ops->rename(disk, d, "a", d, "b"), 0);
        CHECK_INT(disk->ops->sync(disk, d), 0);
        for (unsigned i = 0; i < 2; i++) {
                int count = 0;
                CHECK_INT(disk->ops->list(disk, d, count_name, &count), 7);
                CHECK_INT(count, 2);
        }
        disk->ops->close(disk, d);
}

TEST_MAIN(TEST(bytes_come_back), TEST(links_are_not_followed_and_pipes_do_not_hold_up), TEST(a_lock_is_one_descriptors),
          TEST(names_are_listed_again_and_again))
