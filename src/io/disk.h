/*
 * The file operations that the durable store uses, and nothing else: one table, so
 * that a test stands in for the machine, fails the n-th call, or loses power with
 * some of what was not synced.
 *
 * Every function returns 0 (or a count, or a descriptor) or -errno, and never -EINTR.
 * Short counts are possible and are the caller's to go on with. Names are relative to
 * a directory descriptor; no operation follows a symbolic link at the last component.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk;

struct disk_info {
        uint64_t size;
        uint32_t mode;
        uint32_t uid;
        uint32_t links; /* 0: the name is gone, what is written can never be found again */
        bool is_regular;
        bool is_directory;
};

struct disk_ops {
        /* Opens a directory by path; makes it (0700) when `makes` and missing, its parent synced. -ELOOP for a link. */
        int (*open_directory)(struct disk *disk, const char *path, bool makes);
        /* flags: O_RDONLY or O_RDWR, O_CREAT, O_EXCL; files are made 0600. */
        int (*open)(struct disk *disk, int directory, const char *name, int flags);
        int (*close)(struct disk *disk, int fd);
        ssize_t (*pread)(struct disk *disk, int fd, void *buffer, size_t size, uint64_t offset);
        ssize_t (*pwrite)(struct disk *disk, int fd, const void *buffer, size_t size, uint64_t offset);
        int (*sync_data)(struct disk *disk, int fd);               /* fdatasync(2) */
        int (*sync)(struct disk *disk, int fd);                    /* fsync(2), of a directory too */
        int (*truncate)(struct disk *disk, int fd, uint64_t size); /* shortens; what is cut goes back to the disk */
        int (*rename)(struct disk *disk, int from, const char *name, int to, const char *new_name);
        int (*unlink)(struct disk *disk, int directory, const char *name);
        int (*info)(struct disk *disk, int fd, struct disk_info *info);
        /* Calls `each` for every name but . and ..; stops when it returns not 0 and returns that. */
        int (*list)(struct disk *disk, int directory, int (*each)(void *user, const char *name), void *user);
        /* An exclusive lock of an open file, gone with the process; -EBUSY. */
        int (*lock)(struct disk *disk, int fd);
        int64_t (*wall_us)(struct disk *disk);
        int (*random)(struct disk *disk, void *buffer, size_t size); /* bytes that nobody can guess */
};

struct disk {
        const struct disk_ops *ops;
};

/* The machine's. */
struct disk *disk_real(void);
