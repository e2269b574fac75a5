/*
 * Files: the calls of the kernel with the loose ends tied. Interrupted calls are
 * repeated, short ones continued, descriptors never leak into children.
 *
 * What file_replace() returned 0 for survives power loss: a reader sees the old
 * content or the new, never a mixture.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"

enum { FILE_PATH_BYTES_MAX = 4096 }; /* as the kernel's PATH_MAX, NUL included */

/* Opens close-on-exec. *ret is the caller's to close. */
int file_open(int *ret, const char *path, int flags, mode_t mode);
/*
 * Opens `path`, which may not leave the directory: neither by "..", nor by an
 * absolute name, nor through a symbolic link. -EXDEV or -ELOOP when it tries.
 */
int file_open_beneath(int *ret, int directory, const char *path, int flags, mode_t mode);
/* Closes and returns -1: `fd = file_close(fd)`. -1 is fine. */
int file_close(int fd);

/* How many bytes were read (0: end of file), or -errno. One call of the kernel. */
ssize_t file_read(int fd, void *data, size_t size);
ssize_t file_read_at(int fd, void *data, size_t size, off_t offset);
/* All of it unless the file ends first: how many bytes, or -errno. */
ssize_t file_read_fully_at(int fd, void *data, size_t size, off_t offset);
/* Appends the whole file to out. -EFBIG when it holds more than bytes_max; out may then hold a part. */
int file_read_whole(const char *path, size_t bytes_max, struct buffer *out);

int file_write_all(int fd, const void *data, size_t size);
int file_write_all_at(int fd, const void *data, size_t size, off_t offset);

/* Replaces the file as a whole, durably: temporary file beside it, fsync, rename, fsync of the directory. */
int file_replace(const char *path, struct text content, mode_t mode);
/* The same without waiting for the disk: readers see it whole, but power lost within seconds may leave nothing of it.
 */
int file_replace_soon(const char *path, struct text content, mode_t mode);
/* Makes names created, renamed and removed in this directory durable. */
int file_sync_directory(const char *path);
/* Removes the name; one that is not there is fine. */
int file_remove(const char *path);

enum file_kind { FILE_IS_REGULAR, FILE_IS_DIRECTORY, FILE_IS_OTHER };

/* What a file is, so that it can be known again after it was renamed. */
struct file_facts {
        uint64_t device;
        uint64_t inode;
        int64_t size;
        int64_t modified_us; /* wall clock */
        uint64_t links;      /* 0: deleted, only open descriptors keep it */
        enum file_kind kind;
};

int file_facts(struct file_facts *ret, int fd);
int file_facts_of_path(struct file_facts *ret, const char *path); /* follows symbolic links */

/*
 * Where a symbolic link leads, one step: an absolute path if `path` is one. -EINVAL when it is no link.
 */
int file_link_target(const char *path, char target[static FILE_PATH_BYTES_MAX]);

/*
 * Calls each(context, name) for every entry but "." and ".."; a value other than 0 ends
 * the listing and is returned.
 */
int file_list(const char *directory, int (*each)(void *context, const char *name), void *context);
