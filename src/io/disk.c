#include "io/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/macros.h"

enum { FILE_MODE = 0600, DIRECTORY_MODE = 0700 };

static int open_directory(int from, const char *path, int flags) {
        int fd;
        do
                fd = openat(from, path, flags | O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

/* A sync that was interrupted is repeated: EINTR says that nothing was tried to the end, unlike EIO. */
static int sync_all(int fd) {
        int r;
        do
                r = fsync(fd);
        while (r && errno == EINTR);
        return r ? fail(-errno) : 0;
}

/* Makes a new name in the directory that holds `path` durable. */
static int sync_parent(const char *path) {
        char parent[PATH_MAX];
        size_t size = strlen(path);
        while (size > 1 && path[size - 1] == '/')
                size--;
        while (size > 0 && path[size - 1] != '/')
                size--;
        while (size > 1 && path[size - 1] == '/')
                size--;
        if (size >= sizeof parent)
                return fail(-ENAMETOOLONG);
        if (size)
                memcpy(parent, path, size);
        else
                parent[size++] = '.';
        parent[size] = '\0';
        _owned_(descriptor_close) int fd = open_directory(AT_FDCWD, parent, 0);
        return fd < 0 ? fail(fd) : pass(sync_all(fd));
}

static int real_open_directory(struct disk *disk, const char *path, bool makes) {
        if (makes) {
                if (mkdir(path, DIRECTORY_MODE) == 0) {
                        int r = sync_parent(path);
                        if (r)
                                return pass(r);
                } else if (errno != EEXIST) {
                        return fail(-errno);
                }
        }
        int fd = open_directory(AT_FDCWD, path, O_NOFOLLOW);
        if (fd >= 0)
                return fd;
        int error = -fd;
        /* O_DIRECTORY looks before O_NOFOLLOW does, and a link is no directory. */
        struct stat facts;
        if (error == ENOTDIR && lstat(path, &facts) == 0 && S_ISLNK(facts.st_mode))
                error = ELOOP;
        return fail(-error);
}

static int real_open(struct disk *disk, int directory, const char *name, int flags) {
        /* Without O_NONBLOCK a planted pipe would hold us up for ever. */
        int fd;
        do
                fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, FILE_MODE);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? fail(-errno) : fd;
}

static int real_close(struct disk *disk, int fd) {
        /* After EINTR Linux has closed it all the same. */
        return close(fd) && errno != EINTR ? fail(-errno) : 0;
}

static ssize_t real_pread(struct disk *disk, int fd, void *buffer, size_t size, uint64_t offset) {
        ssize_t n;
        do
                n = pread(fd, buffer, size, (off_t)offset);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fail(-errno) : n;
}

static ssize_t real_pwrite(struct disk *disk, int fd, const void *buffer, size_t size, uint64_t offset) {
        ssize_t n;
        do
                n = pwrite(fd, buffer, size, (off_t)offset);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fail(-errno) : n;
}

static int real_sync_data(struct disk *disk, int fd) {
        int r;
        do
                r = fdatasync(fd);
        while (r && errno == EINTR);
        return r ? fail(-errno) : 0;
}

static int real_sync(struct disk *disk, int fd) {
        return pass(sync_all(fd));
}

static int real_truncate(struct disk *disk, int fd, uint64_t size) {
        int r;
        do
                r = ftruncate(fd, (off_t)size);
        while (r && errno == EINTR);
        return r ? fail(-errno) : 0;
}

static int real_rename(struct disk *disk, int from, const char *name, int to, const char *new_name) {
        return renameat(from, name, to, new_name) ? fail(-errno) : 0;
}

static int real_unlink(struct disk *disk, int directory, const char *name) {
        return unlinkat(directory, name, 0) ? fail(-errno) : 0;
}

/*
 * Times are not asked for: Linux 6.13 gives a file whose time somebody has read a new one with its next write, and then
 * each sync of a flusher that looks at its file in between writes the inode as well, a second block for every first.
 */
static int real_info(struct disk *disk, int fd, struct disk_info *info) {
        struct statx facts;
        if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_SIZE, &facts))
                return fail(-errno);
        *info = (struct disk_info){
                .size = facts.stx_size,
                .mode = facts.stx_mode & 07777,
                .uid = facts.stx_uid,
                .links = facts.stx_nlink,
                .is_regular = S_ISREG(facts.stx_mode),
                .is_directory = S_ISDIR(facts.stx_mode),
        };
        return 0;
}

static int real_list(struct disk *disk, int directory, int (*each)(void *user, const char *name), void *user) {
        /* A descriptor of its own: a directory stream takes it over, and its position. */
        int fd = open_directory(directory, ".", 0);
        if (fd < 0)
                return fail(fd);
        DIR *stream = fdopendir(fd);
        if (!stream) {
                int error = errno;
                close(fd);
                return fail(-error);
        }
        int r = 0;
        struct dirent *entry;
        while (errno = 0, !r && (entry = readdir(stream))) {
                if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
                        r = each(user, entry->d_name);
        }
        if (!r && errno)
                r = fail(-errno);
        closedir(stream);
        return r;
}

static int real_lock(struct disk *disk, int fd) {
        int r;
        do
                r = flock(fd, LOCK_EX | LOCK_NB);
        while (r && errno == EINTR);
        if (!r)
                return 0;
        return fail(errno == EWOULDBLOCK ? -EBUSY : -errno);
}

static int64_t real_wall_us(struct disk *disk) {
        return clock_wall_coarse_us();
}

static int real_random(struct disk *disk, void *buffer, size_t size) {
        for (size_t done = 0; done < size;) {
                ssize_t n = getrandom((char *)buffer + done, size - done, 0);
                if (n < 0 && errno != EINTR)
                        return fail(-errno);
                done += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

static const struct disk_ops real_ops = {
        .open_directory = real_open_directory,
        .open = real_open,
        .close = real_close,
        .pread = real_pread,
        .pwrite = real_pwrite,
        .sync_data = real_sync_data,
        .sync = real_sync,
        .truncate = real_truncate,
        .rename = real_rename,
        .unlink = real_unlink,
        .info = real_info,
        .list = real_list,
        .lock = real_lock,
        .wall_us = real_wall_us,
        .random = real_random,
};

struct disk *disk_real(void) {
        static struct disk real = {&real_ops};
        return &real;
}
