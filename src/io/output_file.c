#include "io/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"

void output_file_init(struct output_file *f, const struct output_file_rules *rules) {
        *f = (struct output_file){.rules = rules, .fd = -1};
}

size_t output_file_fini(struct output_file *f) {
        size_t lost = output_file_close(f);
        compressor_free(f->compressor);
        f->compressor = NULL;
        buffer_fini(&f->held);
        return lost;
}

/* ---- Opening ------------------------------------------------------------ */

static int give(struct output_file *f, int fd, const char *path, int64_t uid, int64_t gid) {
        if (uid < 0 && gid < 0)
                return 0;
        int r = fd >= 0 ? fchown(fd, (uid_t)uid, (gid_t)gid) : chown(path, (uid_t)uid, (gid_t)gid);
        if (r == 0 || !f->rules->requires_owner)
                return 0;
        f->lacks_owner = true;
        return fail(-errno);
}

static int make_directory(struct output_file *f, const char *path) {
        const struct output_file_rules *rules = f->rules;
        if (mkdir(path, (mode_t)rules->directory_mode) < 0)
                /* Another action may have made it meanwhile. */
                return errno == EEXIST ? 0 : fail(-errno);
        int r = give(f, -1, path, rules->directory_uid, rules->directory_gid);
        if (r) {
                rmdir(path);
                return pass(r);
        }
        return 0;
}

/* Makes every directory above the last name of `path`. */
static int make_directories(struct output_file *f, const char *path) {
        char part[OUTPUT_FILE_PATH_BYTES_MAX];
        size_t size = strlen(path);
        if (size >= sizeof part)
                return fail(-ENAMETOOLONG);
        memcpy(part, path, size + 1);
        for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                struct stat there;
                if (stat(part, &there) < 0) {
                        int r = errno == ENOENT ? make_directory(f, part) : fail(-errno);
                        if (r)
                                return pass(r);
                }
                *slash = '/';
        }
        return 0;
}

static int open_path(const char *path, int flags, mode_t mode) {
        int fd;
        do
                fd = open(path, flags, mode);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

/* The descriptor of a new file, or of the one that somebody else made first. */
static int create(struct output_file *f, const char *path, int flags, bool *is_new) {
        const struct output_file_rules *rules = f->rules;
        mode_t mode = (mode_t)rules->file_mode;
        int fd = open_path(path, flags | O_CREAT | O_EXCL, mode);
        if (fd == -ENOENT && rules->creates_directories) {
                int r = make_directories(f, path);
                if (r)
                        return pass(r);
                fd = open_path(path, flags | O_CREAT | O_EXCL, mode);
        }
        *is_new = fd >= 0;
        /* O_EXCL stops at a symbolic link that leads nowhere yet; without it the file behind it is made. */
        return fd == -EEXIST ? open_path(path, flags | O_CREAT, mode) : fd;
}

int output_file_open(struct output_file *f, const char *path) {
        assert(f->fd < 0);
        const struct output_file_rules *rules = f->rules;
        int flags = (rules->is_pipe ? O_RDWR : O_WRONLY) | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        if (!rules->follows_symlinks)
                flags |= O_NOFOLLOW;
        bool is_new = false;
        f->lacks_owner = false;
        _owned_(descriptor_close) int fd = open_path(path, flags, 0);
        if (fd == -ENOENT && !rules->is_pipe)
                fd = create(f, path, flags, &is_new);
        if (fd < 0)
                return fail(fd);

        struct stat facts;
        if (fstat(fd, &facts) < 0)
                return fail(-errno);
        if (S_ISDIR(facts.st_mode))
                return fail(-EISDIR);
        if (is_new || rules->owns_existing) {
                int r = give(f, fd, path, rules->file_uid, rules->file_gid);
                if (r) {
                        /* Left there, it would be taken for a finished one by the next attempt. */
                        if (is_new)
                                unlink(path);
                        return pass(r);
                }
        }
        if (rules->compression != COMPRESSION_NONE && !f->compressor) {
                int r = compressor_new(&f->compressor, rules->compression, rules->level, rules->workers);
                if (r)
                        return pass(r);
        }
        f->is_regular = S_ISREG(facts.st_mode);
        f->size = f->is_regular ? facts.st_size : 0;
        f->fd = fd;
        fd = -1;
        return 0;
}

void output_file_adopt(struct output_file *f, int fd) {
        assert(f->fd < 0 && !f->compressor);
        struct stat facts;
        f->is_regular = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
        f->is_adopted = true;
        f->fd = fd;
}

/* ---- Writing ------------------------------------------------------------ */

/* A terminal or FIFO is full: its reader has until the deadline to make room. */
static int wait_for_room(const struct output_file *f, int64_t *deadline_ns) {
        int64_t now_ns = clock_mono_ns();
        if (*deadline_ns == 0)
                *deadline_ns = now_ns + f->rules->wait_ms * INT64_C(1000000);
        int64_t left_ms = (*deadline_ns - now_ns) / 1000000;
        struct pollfd watched = {.fd = f->fd, .events = POLLOUT};
        int r = left_ms > 0 ? poll(&watched, 1, (int)left_ms) : 0;
        if (r < 0)
                return errno == EINTR ? 0 : fail(-errno);
        return r == 0 ? fail(-EAGAIN) : 0;
}

/* The pieces without their first `size` bytes; they lie in `rest` from then on. */
static void drop_front(struct iovec *rest, const struct iovec **next, size_t *count, size_t size) {
        while (*count && size >= (*next)->iov_len) {
                size -= (*next)->iov_len;
                (*next)++;
                (*count)--;
        }
        if (*count == 0)
                return;
        memmove(rest, *next, *count * sizeof **next);
        rest[0].iov_base = (char *)rest[0].iov_base + size;
        rest[0].iov_len -= size;
        *next = rest;
}

/* Writes until all is out or the file takes no more; *written tells how far it came. */
static int write_pieces(struct output_file *f, const struct iovec *pieces, size_t count, size_t *written) {
        struct iovec rest[OUTPUT_FILE_PIECES_MAX];
        assert(count <= OUTPUT_FILE_PIECES_MAX);
        *written = 0;
        int64_t deadline_ns = 0;
        for (const struct iovec *next = pieces; count;) {
                ssize_t size = writev(f->fd, next, (int)count);
                if (size < 0 && errno == EAGAIN) {
                        int r = wait_for_room(f, &deadline_ns);
                        if (r)
                                return pass(r);
                } else if (size < 0) {
                        if (errno != EINTR)
                                return fail(-errno);
                } else {
                        f->size += size;
                        *written += (size_t)size;
                        drop_front(rest, &next, &count, (size_t)size);
                }
        }
        return 0;
}

static int drain(struct output_file *f) {
        if (f->held.size == 0)
                return 0;
        struct iovec all = {f->held.data, f->held.size};
        size_t written;
        int r = write_pieces(f, &all, 1, &written);
        if (written && written < f->held.size)
                memmove(f->held.data, f->held.data + written, f->held.size - written);
        f->held.size -= written;
        f->held.is_failed = false;
        return r ? pass(r) : 0;
}

/* Into the buffer, through the compressor where there is one. */
static int hold(struct output_file *f, const struct iovec *pieces, size_t count, size_t *taken) {
        for (size_t i = 0; i < count; i++) {
                struct text piece = {pieces[i].iov_base, pieces[i].iov_len};
                if (f->compressor) {
                        int r = compressor_add(f->compressor, piece, COMPRESS_MORE, &f->held);
                        if (r)
                                return pass(r);
                } else {
                        buffer_text(&f->held, piece);
                        if (buffer_failed(&f->held)) {
                                f->held.is_failed = false;
                                return fail(-ENOMEM);
                        }
                }
                *taken += piece.size;
                f->unflushed += piece.size;
        }
        return 0;
}

int output_file_append(struct output_file *f, const struct iovec *pieces, size_t count, size_t *taken) {
        *taken = 0;
        size_t bound = f->rules->buffer_bytes;
        /* What is owed goes first; a buffer that may still grow owes nothing. */
        if (f->held.size && f->held.size >= bound) {
                int r = drain(f);
                if (r)
                        return pass(r);
        }
        if (bound == 0 && !f->compressor)
                return write_pieces(f, pieces, count, taken);
        int r = hold(f, pieces, count, taken);
        if (r)
                return pass(r);
        /* A failure to write is seen by the next append: these bytes are taken already. */
        if (f->rules->closes_members && bound && f->unflushed >= bound)
                output_file_flush(f);
        else if (f->held.size >= bound && bound)
                drain(f);
        return 0;
}

bool output_file_mend(struct output_file *f, size_t written, struct text rest) {
        assert(f->held.size == 0 && !f->compressor);
        /* Cut only what is surely ours: the end of the file is where our last write ended. */
        struct stat facts;
        off_t end = lseek(f->fd, 0, SEEK_CUR);
        if (f->is_regular && end >= (off_t)written && fstat(f->fd, &facts) == 0 && facts.st_size == end &&
            ftruncate(f->fd, end - (off_t)written) == 0) {
                f->size = end - (off_t)written;
                return false;
        }
        buffer_text(&f->held, rest);
        if (buffer_failed(&f->held)) {
                /* Repeating the whole record is better than losing it. */
                buffer_clear(&f->held);
                return false;
        }
        return true;
}

int output_file_flush(struct output_file *f) {
        if (f->fd < 0)
                return 0;
        if (f->compressor && f->unflushed) {
                enum compress_end end = f->rules->closes_members ? COMPRESS_FINISH : COMPRESS_FLUSH;
                int r = compressor_add(f->compressor, TEXT_NONE, end, &f->held);
                if (r)
                        return pass(r);
        }
        f->unflushed = 0;
        return drain(f);
}

bool output_file_has_room(const struct output_file *f) {
        struct pollfd watched = {.fd = f->fd, .events = POLLOUT};
        return poll(&watched, 1, 0) == 1 && (watched.revents & POLLOUT);
}

int output_file_sync(struct output_file *f) {
        if (!f->is_regular)
                return 0;
        return fdatasync(f->fd) < 0 ? fail(-errno) : 0;
}

bool output_file_is_linked(const struct output_file *f) {
        struct stat facts;
        return !f->is_regular || fstat(f->fd, &facts) < 0 || facts.st_nlink > 0;
}

size_t output_file_close(struct output_file *f) {
        if (f->fd < 0)
                return f->held.size;
        if (f->compressor)
                compressor_add(f->compressor, TEXT_NONE, COMPRESS_FINISH, &f->held);
        drain(f);
        size_t lost = f->held.size;
        f->held.size = 0;
        f->unflushed = 0;
        if (!f->is_adopted)
                close(f->fd);
        f->fd = -1;
        return lost;
}

int output_file_sync_directory(const char *path) {
        char directory[OUTPUT_FILE_PATH_BYTES_MAX];
        const char *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;
        if (size >= sizeof directory)
                return fail(-ENAMETOOLONG);
        memcpy(directory, path, size);
        directory[size] = '\0';
        _owned_(descriptor_close) int fd = open_path(size ? directory : slash ? "/" : ".", O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0)
                return fail(fd);
        return fsync(fd) < 0 ? fail(-errno) : 0;
}
