#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fail.h"

int file_open(int *ret, const char *path, int flags, mode_t mode) {
        int fd;
        do
                fd = open(path, flags | O_CLOEXEC, mode);
        while (fd < 0 && errno == EINTR);
        if (fd < 0)
                return fail(-errno);
        *ret = fd;
        return 0;
}

/* The next component of *path, or an empty text at its end. */
static struct text next_component(const char **path) {
        while (**path == '/')
                (*path)++;
        struct text component = {*path, strcspn(*path, "/")};
        *path += component.size;
        return component;
}

/* For kernels before 5.6: one component at a time, and no symbolic link at all. */
static int walk_beneath(int *ret, int directory, const char *path, int flags, mode_t mode) {
        if (*path == '/')
                return fail(-EXDEV);
        _owned_(descriptor_close) int held = -1;
        int at = directory;
        for (;;) {
                struct text component = next_component(&path);
                char name[NAME_MAX + 1];
                if (component.size > NAME_MAX)
                        return fail(-ENAMETOOLONG);
                if (text_equal(component, TEXT("..")))
                        return fail(-EXDEV);
                memcpy(name, component.data, component.size);
                name[component.size] = '\0';
                bool is_last = path[strspn(path, "/")] == '\0';
                int fd = openat(at, component.size ? name : ".",
                                (is_last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC, mode);
                if (fd < 0)
                        return fail(-errno);
                if (is_last) {
                        *ret = fd;
                        return 0;
                }
                file_close(held);
                held = at = fd;
        }
}

int file_open_beneath(int *ret, int directory, const char *path, int flags, mode_t mode) {
        struct open_how how = {
                .flags = (uint64_t)(flags | O_CLOEXEC),
                .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
        };
        long fd;
        do
                fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
        while (fd < 0 && (errno == EINTR || errno == EAGAIN));
        if (fd < 0 && (errno == ENOSYS || errno == EPERM))
                return pass(walk_beneath(ret, directory, path, flags, mode));
        if (fd < 0)
                return fail(-errno);
        *ret = (int)fd;
        return 0;
}

int file_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

ssize_t file_read(int fd, void *data, size_t size) {
        ssize_t n;
        do
                n = read(fd, data, size);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fail(-errno) : n;
}

ssize_t file_read_at(int fd, void *data, size_t size, off_t offset) {
        ssize_t n;
        do
                n = pread(fd, data, size, offset);
        while (n < 0 && errno == EINTR);
        return n < 0 ? fail(-errno) : n;
}

ssize_t file_read_fully_at(int fd, void *data, size_t size, off_t offset) {
        size_t done = 0;
        while (done < size) {
                ssize_t n = file_read_at(fd, (char *)data + done, size - done, offset + (off_t)done);
                if (n < 0)
                        return pass((int)n);
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

int file_read_whole(const char *path, size_t bytes_max, struct buffer *out) {
        _owned_(descriptor_close) int fd = -1;
        int r = file_open(&fd, path, O_RDONLY, 0);
        if (r)
                return pass(r);
        enum { STEP = 16 << 10 };
        for (size_t total = 0;;) {
                if (!buffer_reserve(out, STEP))
                        return fail(-ENOMEM);
                ssize_t n = file_read(fd, out->data + out->size, STEP);
                if (n < 0)
                        return pass((int)n);
                if (n == 0)
                        return 0;
                out->size += (size_t)n;
                total += (size_t)n;
                if (total > bytes_max)
                        return fail(-EFBIG);
        }
}

int file_write_all(int fd, const void *data, size_t size) {
        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, (const char *)data + done, size - done);
                if (n < 0 && errno != EINTR)
                        return fail(-errno);
                if (n > 0)
                        done += (size_t)n;
        }
        return 0;
}

int file_write_all_at(int fd, const void *data, size_t size, off_t offset) {
        for (size_t done = 0; done < size;) {
                ssize_t n = pwrite(fd, (const char *)data + done, size - done, offset + (off_t)done);
                if (n < 0 && errno != EINTR)
                        return fail(-errno);
                if (n > 0)
                        done += (size_t)n;
        }
        return 0;
}

int file_sync_directory(const char *path) {
        _owned_(descriptor_close) int fd = -1;
        int r = file_open(&fd, path, O_RDONLY | O_DIRECTORY, 0);
        if (r)
                return pass(r);
        return fsync(fd) < 0 ? fail(-errno) : 0;
}

/* The directory that a name lies in. */
static int sync_parent(const char *path) {
        const char *slash = strrchr(path, '/');
        if (!slash)
                return pass(file_sync_directory("."));
        if (slash == path)
                return pass(file_sync_directory("/"));
        _owned_(memory_free) char *parent = text_copy((struct text){path, (size_t)(slash - path)});
        if (!parent)
                return fail(-ENOMEM);
        return pass(file_sync_directory(parent));
}

static int write_new(const char *path, struct text content, mode_t mode, bool is_synced) {
        _owned_(descriptor_close) int fd = -1;
        int r = file_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
        if (r)
                return pass(r);
        r = file_write_all(fd, content.data, content.size);
        if (r)
                return pass(r);
        return is_synced && fsync(fd) < 0 ? fail(-errno) : 0;
}

static int replace(const char *path, struct text content, mode_t mode, bool is_synced) {
        char temporary[FILE_PATH_BYTES_MAX];
        int size = snprintf(temporary, sizeof temporary, "%s.tmp", path);
        if (size < 0 || (size_t)size >= sizeof temporary)
                return fail(-ENAMETOOLONG);
        int r = write_new(temporary, content, mode, is_synced);
        if (r == 0 && rename(temporary, path) < 0)
                r = fail(-errno);
        if (r) {
                unlink(temporary);
                return pass(r);
        }
        return is_synced ? pass(sync_parent(path)) : 0;
}

int file_replace(const char *path, struct text content, mode_t mode) {
        return pass(replace(path, content, mode, true));
}

int file_replace_soon(const char *path, struct text content, mode_t mode) {
        return pass(replace(path, content, mode, false));
}

int file_remove(const char *path) {
        if (unlink(path) < 0 && errno != ENOENT)
                return fail(-errno);
        return 0;
}

static void facts_of(struct file_facts *ret, const struct stat *st) {
        *ret = (struct file_facts){
                .device = st->st_dev,
                .inode = st->st_ino,
                .size = st->st_size,
                .modified_us = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000,
                .links = st->st_nlink,
                .kind = S_ISREG(st->st_mode)   ? FILE_IS_REGULAR
                        : S_ISDIR(st->st_mode) ? FILE_IS_DIRECTORY
                                               : FILE_IS_OTHER,
        };
}

int file_facts(struct file_facts *ret, int fd) {
        struct stat st;
        if (fstat(fd, &st) < 0)
                return fail(-errno);
        facts_of(ret, &st);
        return 0;
}

int file_facts_of_path(struct file_facts *ret, const char *path) {
        struct stat st;
        if (stat(path, &st) < 0)
                return fail(-errno);
        facts_of(ret, &st);
        return 0;
}

int file_link_target(const char *path, char target[static FILE_PATH_BYTES_MAX]) {
        char found[FILE_PATH_BYTES_MAX];
        ssize_t size = readlink(path, found, sizeof found);
        if (size < 0)
                return fail(-errno);
        if ((size_t)size >= sizeof found)
                return fail(-ENAMETOOLONG);
        found[size] = '\0';
        const char *slash = strrchr(path, '/');
        int directory = *found == '/' || !slash ? 0 : (int)(slash - path) + 1;
        int written = snprintf(target, FILE_PATH_BYTES_MAX, "%.*s%s", directory, path, found);
        return written < 0 || written >= FILE_PATH_BYTES_MAX ? fail(-ENAMETOOLONG) : 0;
}

int file_list(const char *directory, int (*each)(void *context, const char *name), void *context) {
        DIR *entries = opendir(directory);
        if (!entries)
                return fail(-errno);
        int r = 0;
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(entries);
                if (!entry) {
                        r = errno ? fail(-errno) : 0;
                        break;
                }
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                r = each(context, entry->d_name);
                if (r)
                        break;
        }
        closedir(entries);
        return r;
}
