#include "queue/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fail.h"
#include "queue/inspect_inside.h"

int inspect_open_file(const struct inspect *in, const char *name, uint64_t *size) {
        struct stat facts;
        int fd = openat(in->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return fail(-errno);
        if (fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode)) {
                close(fd);
                return fail(-EINVAL);
        }
        *size = (uint64_t)facts.st_size;
        return fd;
}

ssize_t inspect_pread(int fd, void *buffer, size_t size, uint64_t offset) {
        size_t done = 0;
        while (done < size) {
                ssize_t n = pread(fd, (uint8_t *)buffer + done, size - done, (off_t)(offset + done));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail(-errno);
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

void inspect_file_name(char name[static SEGMENT_FILE_NAME_BYTES], const struct inspect_file *file) {
        segment_name(name, file->sequence, file->is_aside ? "damaged" : "segment");
}

/* ---- Who has it open --------------------------------------------------------- */

/* Whether a process has this very file open; true as well when it does not let us see. */
static bool has_open(long pid, const struct stat *lock) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%ld/fd", pid);
        DIR *fds = opendir(path);
        if (!fds)
                return true;
        bool is_open = false;
        for (struct dirent *e; !is_open && (e = readdir(fds));) {
                struct stat facts;
                is_open = fstatat(dirfd(fds), e->d_name, &facts, 0) == 0 && facts.st_dev == lock->st_dev &&
                          facts.st_ino == lock->st_ino;
        }
        closedir(fds);
        return is_open;
}

enum held { HELD_BY_NOBODY, HELD, HELD_PERHAPS };

/*
 * The kernel's list of locks tells without taking one, so that no daemon finds its store locked because of us.
 * Some file systems show another device there than stat() does; then the process's open files decide.
 */
static enum held find_holder(int directory, int64_t *pid) {
        struct stat lock;
        *pid = 0;
        if (fstatat(directory, "lock", &lock, AT_SYMLINK_NOFOLLOW) < 0)
                return HELD_BY_NOBODY;
        FILE *locks = fopen("/proc/locks", "re");
        if (!locks)
                return HELD_PERHAPS;
        char line[256];
        bool is_held = false;
        while (!is_held && fgets(line, sizeof line, locks)) {
                long holder;
                unsigned major_number, minor_number;
                unsigned long inode;
                if (sscanf(line, "%*[^:]: FLOCK %*s %*s %ld %x:%x:%lu", &holder, &major_number, &minor_number,
                           &inode) != 4 ||
                    inode != lock.st_ino)
                        continue;
                is_held = makedev(major_number, minor_number) == lock.st_dev || has_open(holder, &lock);
                *pid = is_held && holder > 0 ? holder : 0;
        }
        fclose(locks);
        return is_held ? HELD : HELD_BY_NOBODY;
}

bool inspect_is_held(const char *path) {
        int64_t pid;
        int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return false;
        enum held held = find_holder(directory, &pid);
        close(directory);
        return held != HELD_BY_NOBODY;
}

/* ---- Files ------------------------------------------------------------------- */

static struct inspect_file *add_file(struct inspect *in) {
        if (in->count == INSPECT_FILES_MAX || !ARRAY_ROOM(in->files, in->count, in->capacity, 64))
                return NULL;
        struct inspect_file *file = &in->files[in->count++];
        *file = (struct inspect_file){0};
        return file;
}

static int list_name(struct inspect *in, const char *name) {
        uint64_t sequence;
        struct stat facts;
        bool is_aside = segment_name_read(&sequence, name, "damaged");
        if (fstatat(in->directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode))
                in->facts.bytes += (uint64_t)facts.st_blocks * 512;
        if (!is_aside && segment_name_read(&sequence, name, "free"))
                in->facts.free_files++;
        if (!is_aside && !segment_name_read(&sequence, name, "segment"))
                return 0;
        struct inspect_file *file = add_file(in);
        if (!file)
                return fail(-ENOMEM);
        file->sequence = sequence;
        file->is_aside = is_aside;
        char marker[SEGMENT_FILE_NAME_BYTES];
        segment_name(marker, sequence, "salvaged");
        file->is_salvaged = faccessat(in->directory, marker, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        return 0;
}

static int compare_files(const void *a, const void *b) {
        const struct inspect_file *x = a, *y = b;
        return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static int list_files(struct inspect *in) {
        int again = openat(in->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *names = again < 0 ? NULL : fdopendir(again);
        if (!names) {
                int r = fail(-errno);
                if (again >= 0)
                        close(again);
                return r;
        }
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(names));)
                r = list_name(in, e->d_name);
        closedir(names);
        if (in->count)
                qsort(in->files, in->count, sizeof *in->files, compare_files);
        return r;
}

static void read_controls(struct inspect *in) {
        struct inspect_facts *facts = &in->facts;
        for (unsigned i = 0; i < CONTROL_FILES; i++) {
                uint8_t block[CONTROL_BLOCK_BYTES];
                struct control c;
                uint64_t size;
                int fd = inspect_open_file(in, control_file_name(i), &size);
                if (fd < 0) {
                        facts->controls_bad += fd != -ENOENT;
                        continue;
                }
                ssize_t n = inspect_pread(fd, block, sizeof block, 0);
                close(fd);
                if (n < 0 || control_read(&c, block, (size_t)n) || c.generation % CONTROL_FILES != i) {
                        /* A new store writes one first; the other is empty until the second time. */
                        facts->controls_bad += n != 0;
                        continue;
                }
                if (!facts->has_control || c.generation > facts->control.generation)
                        facts->control = c;
                facts->has_control = true;
        }
}

/* A control file that is being written looks broken for an instant. */
static void settle_controls(struct inspect *in) {
        enum { ATTEMPTS = 3 };
        for (unsigned i = 0; i < ATTEMPTS; i++) {
                in->facts.has_control = false;
                in->facts.controls_bad = 0;
                in->facts.control = (struct control){0};
                read_controls(in);
                if (!in->facts.controls_bad || !in->facts.is_held)
                        return;
                usleep(10000);
        }
}

static bool header_fits(const struct inspect *in, const struct inspect_file *file, const uint8_t *block,
                        struct segment_header *header) {
        return segment_header_read(header, block, SEGMENT_BLOCK_BYTES) == 0 && header->sequence == file->sequence &&
               (!in->facts.has_control ||
                memcmp(header->queue_id, in->facts.control.queue_id, sizeof header->queue_id) == 0);
}

static void load_file(struct inspect *in, struct inspect_file *file) {
        char name[SEGMENT_FILE_NAME_BYTES];
        uint8_t blocks[SEGMENT_FRAMES_AT + FRAME_HEADER_BYTES_MAX] = {0};
        struct segment_header head, begin;
        struct frame first;
        inspect_file_name(name, file);
        int fd = inspect_open_file(in, name, &file->size);
        if (fd < 0)
                return;
        ssize_t n = inspect_pread(fd, blocks, sizeof blocks, 0);
        close(fd);
        if (n < 0)
                return;
        file->has_head = header_fits(in, file, blocks, &head);
        file->has_begin = header_fits(in, file, blocks + SEGMENT_BEGIN_AT, &begin) && begin.base_lsn &&
                          (!file->has_head || memcmp(head.salt, begin.salt, sizeof head.salt) == 0);
        if (!file->has_head && !file->has_begin)
                return;
        file->header = file->has_begin ? begin : head;
        file->base_lsn = file->header.base_lsn;
        if (!file->has_begin && frame_read(&first, blocks + SEGMENT_FRAMES_AT, FRAME_HEADER_BYTES_MAX, head.salt) == 0)
                file->base_lsn = first.lsn;
}

static void count_files(struct inspect *in) {
        struct inspect_facts *facts = &in->facts;
        facts->mark_lsn = facts->control.mark_lsn;
        facts->name = facts->control.name;
        for (size_t i = 0; i < in->count; i++) {
                struct inspect_file *file = &in->files[i];
                facts->aside += file->is_aside;
                facts->unsalvaged += file->is_aside && !file->is_salvaged;
                if (!file->is_aside && file->sequence >= facts->control.mark_segment)
                        facts->segments++;
                if (!*facts->name)
                        facts->name = file->header.name;
                if (!facts->mark_lsn && !file->is_aside)
                        facts->mark_lsn = file->base_lsn;
        }
        if (!facts->mark_lsn)
                facts->mark_lsn = 1;
}

static int open_codec(struct inspect *in, const struct inspect_options *o) {
        const uint8_t session[SEGMENT_SALT_BYTES] = {0};
        struct store_options options = {.key_file = o->key_file, .key_program = o->key_program};
        return pass(codec_new(&in->codec, &options, session, o->reporter));
}

int inspect_open(struct inspect **ret, const struct inspect_options *options) {
        _owned_(inspect_close) struct inspect *in = calloc(1, sizeof *in);
        if (!in)
                return fail(-ENOMEM);
        in->fd = -1;
        in->reporter = options->reporter;
        in->directory = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (in->directory < 0)
                return fail(-errno);
        /* The list first: what it names is at least as old as the mark that is read then. */
        int r = list_files(in);
        if (r)
                return pass(r);
        in->facts.is_held = find_holder(in->directory, &in->facts.holder) == HELD;
        settle_controls(in);
        if (!in->count && !in->facts.has_control && !in->facts.controls_bad)
                return INSPECT_IS_NONE;
        for (size_t i = 0; i < in->count; i++)
                load_file(in, &in->files[i]);
        count_files(in);
        r = open_codec(in, options);
        if (r)
                return pass(r);
        *ret = TAKE(in);
        return 0;
}

struct inspect *inspect_close(struct inspect *in) {
        if (!in)
                return NULL;
        if (in->fd >= 0)
                close(in->fd);
        if (in->directory >= 0)
                close(in->directory);
        codec_free(in->codec);
        codec_free(in->chainer);
        free(in->window);
        free(in->files);
        free(in);
        return NULL;
}

const struct inspect_facts *inspect_facts(const struct inspect *in) {
        return &in->facts;
}

int inspect_decode(struct inspect *in, const struct inspect_frame *f, void **ret) {
        return pass(codec_decode(in->codec, f->frame, f->file->header.session, f->stored, ret));
}
