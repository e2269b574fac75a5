#include "io/disk_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum { NAME_BYTES = 64, PATH_BYTES = 256, DESCRIPTORS_MAX = 256, FIRST_DESCRIPTOR = 1000 };

/* A write to one sector since the last sync of its file. */
struct version {
        uint64_t sector;
        uint8_t bytes[DISK_SIM_SECTOR_BYTES];
};

struct sim_file {
        uint32_t id;
        uint32_t references; /* names, durable names, descriptors, the log */
        uint32_t links;
        bool is_link;   /* a symbolic one */
        uint8_t *shown; /* what reads show; `size` bytes */
        uint64_t size;
        uint8_t *synced; /* what is certain */
        uint64_t synced_size;
        uint64_t synced_hash; /* of those bytes; 0: not known */
        struct version *versions;
        size_t versions_count, versions_capacity;
};

struct name {
        char name[NAME_BYTES];
        struct sim_file *file;
};

struct names {
        struct name *items;
        size_t count, capacity;
};

/* A change of names that is not synced: what goes, what comes. */
struct change {
        char gone[NAME_BYTES], come[NAME_BYTES]; /* "": nothing */
        struct sim_file *file;
};

struct directory {
        char path[PATH_BYTES];
        bool is_removed;
        struct names shown, synced;
        struct change *changes;
        size_t changes_count, changes_capacity;
        size_t changes_committed; /* that many any later sync has made durable, where the model says so */
};

struct descriptor {
        struct sim_file *file;
        struct directory *directory; /* instead */
        bool is_open, is_writable, is_locked;
};

struct disk_sim {
        struct disk disk;
        pthread_mutex_t lock;
        uint64_t random;
        int64_t now_us;
        uint64_t limit;
        bool is_read_only;
        uint64_t operations, stop_at;
        struct disk_sim_fault fault;
        uint64_t fault_seen;
        bool has_fault;
        struct directory *directories[16];
        size_t directories_count;
        struct descriptor descriptors[DESCRIPTORS_MAX];
        uint32_t next_id;
        FILE *trace;
};

/*
 * Asks twice: a test that refuses each allocation in turn means those of the code under test. One that gets none
 * ends here.
 */
static void *grow(void *pointer, size_t size) {
        void *grown = realloc(pointer, size);
        if (!grown)
                grown = realloc(pointer, size);
        if (!grown) {
                fprintf(stderr, "disk_sim: no memory\n");
                abort();
        }
        return grown;
}

static void *make(size_t size) {
        return memset(grow(NULL, size), 0, size);
}

static void name_copy(char *to, const char *from, size_t size) {
        assert(strlen(from) < size);
        memcpy(to, from, strlen(from) + 1);
}

static struct disk_sim *sim_of(struct disk *disk) {
        return CONTAINER_OF(disk, struct disk_sim, disk);
}

/* ---- Files and names --------------------------------------------------------- */

static struct sim_file *file_new(struct disk_sim *sim) {
        struct sim_file *f = make(sizeof *f);
        f->id = ++sim->next_id;
        return f;
}

static void file_unref(struct sim_file *f) {
        if (!f || --f->references)
                return;
        free(f->shown);
        free(f->synced);
        free(f->versions);
        free(f);
}

static struct sim_file *file_ref(struct sim_file *f) {
        f->references++;
        return f;
}

static struct name *names_find(const struct names *n, const char *name) {
        for (size_t i = 0; i < n->count; i++) {
                if (strcmp(n->items[i].name, name) == 0)
                        return &n->items[i];
        }
        return NULL;
}

static void names_remove(struct names *n, const char *name) {
        struct name *found = names_find(n, name);
        if (!found)
                return;
        file_unref(found->file);
        *found = n->items[--n->count];
}

static void names_put(struct names *n, const char *name, struct sim_file *file) {
        file_ref(file);
        names_remove(n, name);
        if (n->count == n->capacity) {
                n->capacity = n->capacity ? 2 * n->capacity : 8;
                n->items = grow(n->items, n->capacity * sizeof *n->items);
        }
        struct name *item = &n->items[n->count++];
        *item = (struct name){.file = file};
        name_copy(item->name, name, sizeof item->name);
}

static void names_clear(struct names *n) {
        while (n->count)
                file_unref(n->items[--n->count].file);
        free(n->items);
        *n = (struct names){0};
}

static void names_copy(struct names *to, const struct names *from) {
        struct names old = *to;
        *to = (struct names){0};
        for (size_t i = 0; i < from->count; i++)
                names_put(to, from->items[i].name, from->items[i].file);
        names_clear(&old);
}

static void changes_clear(struct directory *d) {
        for (size_t i = 0; i < d->changes_count; i++)
                file_unref(d->changes[i].file);
        d->changes_count = d->changes_committed = 0;
}

static void change_names(struct names *n, const struct change *c) {
        file_ref(c->file);
        if (c->gone[0])
                names_remove(n, c->gone);
        if (c->come[0])
                names_put(n, c->come, c->file);
        file_unref(c->file);
}

static void directory_change(struct directory *d, const char *gone, const char *come, struct sim_file *file) {
        if (d->changes_count == d->changes_capacity) {
                d->changes_capacity = d->changes_capacity ? 2 * d->changes_capacity : 8;
                d->changes = grow(d->changes, d->changes_capacity * sizeof *d->changes);
        }
        struct change *c = &d->changes[d->changes_count++];
        *c = (struct change){.file = file_ref(file)};
        name_copy(c->gone, gone, sizeof c->gone);
        name_copy(c->come, come, sizeof c->come);
        struct name *replaced = come[0] && strcmp(gone, come) ? names_find(&d->shown, come) : NULL;
        if (replaced)
                replaced->file->links--;
        if (!gone[0])
                file->links++;
        else if (!come[0])
                file->links--;
        change_names(&d->shown, c);
}

static void directory_sync(struct directory *d) {
        names_copy(&d->synced, &d->shown);
        changes_clear(d);
}

static struct directory *directory_find(const struct disk_sim *sim, const char *path) {
        for (size_t i = 0; i < sim->directories_count; i++) {
                if (!sim->directories[i]->is_removed && strcmp(sim->directories[i]->path, path) == 0)
                        return sim->directories[i];
        }
        return NULL;
}

static struct directory *directory_new(struct disk_sim *sim, const char *path) {
        assert(sim->directories_count < ARRAY_SIZE(sim->directories));
        struct directory *d = make(sizeof *d);
        name_copy(d->path, path, sizeof d->path);
        sim->directories[sim->directories_count++] = d;
        return d;
}

static void file_resize(struct sim_file *f, uint64_t size) {
        if (size > f->size) {
                f->shown = grow(f->shown, size);
                memset(f->shown + f->size, 0, size - f->size);
        }
        f->size = size;
}

/* The bytes of one sector, zeros behind the end. */
static void sector_copy(uint8_t to[static DISK_SIM_SECTOR_BYTES], const uint8_t *bytes, uint64_t size,
                        uint64_t sector) {
        uint64_t at = sector * DISK_SIM_SECTOR_BYTES;
        memset(to, 0, DISK_SIM_SECTOR_BYTES);
        if (at < size)
                memcpy(to, bytes + at, MIN((uint64_t)DISK_SIM_SECTOR_BYTES, size - at));
}

static void file_write(struct sim_file *f, const void *data, size_t size, uint64_t offset) {
        if (offset + size > f->size)
                file_resize(f, offset + size);
        memcpy(f->shown + offset, data, size);
        for (uint64_t sector = offset / DISK_SIM_SECTOR_BYTES; sector * DISK_SIM_SECTOR_BYTES < offset + size;
             sector++) {
                if (f->versions_count == f->versions_capacity) {
                        f->versions_capacity = f->versions_capacity ? 2 * f->versions_capacity : 8;
                        f->versions = grow(f->versions, f->versions_capacity * sizeof *f->versions);
                }
                struct version *v = &f->versions[f->versions_count++];
                v->sector = sector;
                sector_copy(v->bytes, f->shown, f->size, sector);
        }
}

static void synced_resize(struct sim_file *f, uint64_t size) {
        if (size > f->synced_size) {
                f->synced = grow(f->synced, size);
                memset(f->synced + f->synced_size, 0, size - f->synced_size);
        }
        f->synced_size = size;
        f->synced_hash = 0;
}

static void synced_put(struct sim_file *f, uint64_t sector, const uint8_t *bytes) {
        uint64_t at = sector * DISK_SIM_SECTOR_BYTES;
        f->synced_hash = 0;
        if (at < f->synced_size)
                memcpy(f->synced + at, bytes, MIN((uint64_t)DISK_SIM_SECTOR_BYTES, f->synced_size - at));
}

/* Writes what is still to be written; what a failed sync dropped is not. */
static void file_sync(struct sim_file *f) {
        if (f->size != f->synced_size)
                synced_resize(f, f->size);
        for (size_t i = 0; i < f->versions_count; i++)
                synced_put(f, f->versions[i].sector, f->versions[i].bytes);
        f->versions_count = 0;
}

static uint64_t bytes_used(const struct disk_sim *sim) {
        uint64_t sum = 0;
        for (size_t d = 0; d < sim->directories_count; d++) {
                for (size_t i = 0; i < sim->directories[d]->shown.count; i++)
                        sum += sim->directories[d]->shown.items[i].file->size;
        }
        return sum;
}

/* ---- What goes wrong ----------------------------------------------------------- */

static bool fault_strikes(struct disk_sim *sim, enum disk_sim_operation operation) {
        if (!sim->has_fault || (sim->fault.operation != DISK_SIM_ANY && sim->fault.operation != operation))
                return false;
        uint64_t n = ++sim->fault_seen;
        return n >= sim->fault.nth && (!sim->fault.times || n < sim->fault.nth + sim->fault.times);
}

/* Under the lock, at the beginning of each operation: -errno when it fails. *bytes may become fewer. */
static int strike(struct disk_sim *sim, enum disk_sim_operation operation, size_t *bytes) {
        sim->operations++;
        if (sim->stop_at && sim->operations >= sim->stop_at)
                return -EIO;
        if (!fault_strikes(sim, operation))
                return 0;
        if (sim->fault.error)
                return sim->fault.error;
        if (bytes && *bytes > 1)
                *bytes = sim->fault.short_bytes ? MIN(*bytes, (size_t)sim->fault.short_bytes) : *bytes / 2;
        return 0;
}

static int64_t done(struct disk_sim *sim, const char *what, const char *name, uint64_t a, uint64_t b, int64_t result) {
        if (sim->trace)
                fprintf(sim->trace, "%6" PRIu64 " %-9s %s %" PRIu64 " %" PRIu64 " = %" PRId64 "\n", sim->operations,
                        what, name, a, b, result);
        pthread_mutex_unlock(&sim->lock);
        return result;
}

static struct descriptor *descriptor_of(struct disk_sim *sim, int fd) {
        assert(fd >= FIRST_DESCRIPTOR && fd < FIRST_DESCRIPTOR + DESCRIPTORS_MAX);
        struct descriptor *d = &sim->descriptors[fd - FIRST_DESCRIPTOR];
        assert(d->is_open);
        return d;
}

static int descriptor_new(struct disk_sim *sim, struct descriptor descriptor) {
        for (int i = 0; i < DESCRIPTORS_MAX; i++) {
                if (!sim->descriptors[i].is_open) {
                        descriptor.is_open = true;
                        sim->descriptors[i] = descriptor;
                        return FIRST_DESCRIPTOR + i;
                }
        }
        return -EMFILE;
}

/* ---- The operations --------------------------------------------------------------- */

static int sim_open_directory(struct disk *disk, const char *path, bool makes) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        int r = strike(sim, DISK_SIM_OPEN, NULL);
        struct directory *d = directory_find(sim, path);
        if (!r && !d && !makes)
                r = -ENOENT;
        if (!r && !d && sim->is_read_only)
                r = -EROFS;
        if (!r)
                r = descriptor_new(sim, (struct descriptor){.directory = d ? d : directory_new(sim, path)});
        return (int)done(sim, "opendir", path, makes, 0, r);
}

static int open_name(struct disk_sim *sim, struct directory *d, const char *name, int flags) {
        struct name *found = d->is_removed ? NULL : names_find(&d->shown, name);
        bool writes = (flags & O_ACCMODE) != O_RDONLY;
        if (found && (flags & O_CREAT) && (flags & O_EXCL))
                return -EEXIST;
        if (found && found->file->is_link)
                return -ELOOP;
        if (!found && (!(flags & O_CREAT) || d->is_removed))
                return -ENOENT;
        if (sim->is_read_only && (writes || !found))
                return -EROFS;
        struct sim_file *file = found ? found->file : file_new(sim);
        int fd = descriptor_new(sim, (struct descriptor){.file = file, .is_writable = writes});
        if (fd < 0) {
                if (!found)
                        free(file);
                return fd;
        }
        file_ref(file);
        if (!found)
                directory_change(d, "", name, file);
        return fd;
}

static int sim_open(struct disk *disk, int directory, const char *name, int flags) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        int r = strike(sim, DISK_SIM_OPEN, NULL);
        if (!r)
                r = open_name(sim, descriptor_of(sim, directory)->directory, name, flags);
        return (int)done(sim, "open", name, (uint64_t)flags, 0, r);
}

static int sim_close(struct disk *disk, int fd) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        file_unref(d->file);
        *d = (struct descriptor){0};
        pthread_mutex_unlock(&sim->lock);
        return 0;
}

static ssize_t sim_pread(struct disk *disk, int fd, void *buffer, size_t size, uint64_t offset) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct sim_file *f = descriptor_of(sim, fd)->file;
        int r = strike(sim, DISK_SIM_READ, &size);
        size_t n = 0;
        if (!r && offset < f->size) {
                n = MIN(size, (size_t)(f->size - offset));
                memcpy(buffer, f->shown + offset, n);
        }
        return done(sim, "pread", "", offset, size, r ? r : (int64_t)n);
}

static ssize_t sim_pwrite(struct disk *disk, int fd, const void *buffer, size_t size, uint64_t offset) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        assert(d->is_writable);
        struct sim_file *f = d->file;
        int r = strike(sim, DISK_SIM_WRITE, &size);
        if (!r && sim->is_read_only)
                r = -EROFS;
        if (!r && sim->limit && offset + size > f->size) {
                uint64_t used = bytes_used(sim), left = used < sim->limit ? sim->limit - used : 0;
                uint64_t room = f->size + left > offset ? f->size + left - offset : 0;
                size = (size_t)MIN((uint64_t)size, room);
                r = size ? 0 : -ENOSPC;
        }
        if (!r)
                file_write(f, buffer, size, offset);
        return done(sim, "pwrite", "", offset, size, r ? r : (int64_t)size);
}

static int sim_sync(struct disk *disk, int fd) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        int r = strike(sim, DISK_SIM_SYNC, NULL);
        bool is_stopped = sim->stop_at && sim->operations >= sim->stop_at;
        if (d->directory) {
                if (!r)
                        directory_sync(d->directory);
        } else if (!r) {
                file_sync(d->file);
                for (size_t i = 0; i < sim->directories_count; i++)
                        sim->directories[i]->changes_committed = sim->directories[i]->changes_count;
        } else if (!is_stopped) {
                d->file->versions_count = 0;
        }
        return (int)done(sim, "sync", d->directory ? "directory" : "", 0, 0, r);
}

static int sim_truncate(struct disk *disk, int fd, uint64_t size) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        int r = strike(sim, DISK_SIM_TRUNCATE, NULL);
        if (!r)
                file_resize(d->file, size);
        return (int)done(sim, "truncate", "", size, 0, r);
}

static int sim_rename(struct disk *disk, int from, const char *name, int to, const char *new_name) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct directory *d = descriptor_of(sim, from)->directory;
        assert(d == descriptor_of(sim, to)->directory);
        int r = strike(sim, DISK_SIM_RENAME, NULL);
        struct name *found = d->is_removed ? NULL : names_find(&d->shown, name);
        if (!r && !found)
                r = -ENOENT;
        if (!r && sim->is_read_only)
                r = -EROFS;
        if (!r)
                directory_change(d, name, new_name, found->file);
        return (int)done(sim, "rename", new_name, 0, 0, r);
}

static int sim_unlink(struct disk *disk, int directory, const char *name) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct directory *d = descriptor_of(sim, directory)->directory;
        int r = strike(sim, DISK_SIM_UNLINK, NULL);
        struct name *found = d->is_removed ? NULL : names_find(&d->shown, name);
        if (!r && !found)
                r = -ENOENT;
        if (!r && sim->is_read_only)
                r = -EROFS;
        if (!r)
                directory_change(d, name, "", found->file);
        return (int)done(sim, "unlink", name, 0, 0, r);
}

static int sim_info(struct disk *disk, int fd, struct disk_info *info) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        int r = strike(sim, DISK_SIM_INFO, NULL);
        if (!r)
                *info = (struct disk_info){
                        .size = d->file ? d->file->size : 0,
                        .mode = d->directory ? 0700 : 0600,
                        .links = d->file ? d->file->links : !d->directory->is_removed,
                        .is_regular = d->file != NULL,
                        .is_directory = d->directory != NULL,
                };
        return (int)done(sim, "info", "", 0, 0, r);
}

static int sim_list(struct disk *disk, int directory, int (*each)(void *user, const char *name), void *user) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct directory *d = descriptor_of(sim, directory)->directory;
        int r = strike(sim, DISK_SIM_LIST, NULL);
        struct names copy = {0};
        if (!r && !d->is_removed)
                names_copy(&copy, &d->shown);
        done(sim, "list", d->path, 0, 0, r);
        for (size_t i = 0; !r && i < copy.count; i++)
                r = each(user, copy.items[i].name);
        pthread_mutex_lock(&sim->lock);
        names_clear(&copy);
        pthread_mutex_unlock(&sim->lock);
        return r;
}

static int sim_lock(struct disk *disk, int fd) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        struct descriptor *d = descriptor_of(sim, fd);
        int r = 0;
        for (int i = 0; i < DESCRIPTORS_MAX; i++) {
                const struct descriptor *other = &sim->descriptors[i];
                if (other != d && other->is_open && other->is_locked && other->file == d->file)
                        r = -EBUSY;
        }
        d->is_locked = !r;
        return (int)done(sim, "lock", "", 0, 0, r);
}

static int64_t sim_wall_us(struct disk *disk) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        int64_t now_us = sim->now_us;
        pthread_mutex_unlock(&sim->lock);
        return now_us;
}

static uint64_t random_next(uint64_t *state) {
        uint64_t x = *state;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return *state = x;
}

static int sim_random(struct disk *disk, void *buffer, size_t size) {
        struct disk_sim *sim = sim_of(disk);
        pthread_mutex_lock(&sim->lock);
        int r = strike(sim, DISK_SIM_RANDOM, NULL);
        for (size_t i = 0; !r && i < size; i++)
                ((uint8_t *)buffer)[i] = (uint8_t)(random_next(&sim->random) >> 32);
        return (int)done(sim, "random", "", size, 0, r);
}

static const struct disk_ops sim_ops = {
        .open_directory = sim_open_directory,
        .open = sim_open,
        .close = sim_close,
        .pread = sim_pread,
        .pwrite = sim_pwrite,
        .sync_data = sim_sync,
        .sync = sim_sync,
        .truncate = sim_truncate,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .info = sim_info,
        .list = sim_list,
        .lock = sim_lock,
        .wall_us = sim_wall_us,
        .random = sim_random,
};

struct disk_sim *disk_sim_new(uint64_t seed) {
        struct disk_sim *sim = make(sizeof *sim);
        sim->disk.ops = &sim_ops;
        pthread_mutex_init(&sim->lock, NULL);
        sim->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
        sim->now_us = 1000000;
        return sim;
}

struct disk_sim *disk_sim_free(struct disk_sim *sim) {
        if (!sim)
                return NULL;
        for (int i = 0; i < DESCRIPTORS_MAX; i++)
                file_unref(sim->descriptors[i].file);
        for (size_t i = 0; i < sim->directories_count; i++) {
                struct directory *d = sim->directories[i];
                changes_clear(d);
                names_clear(&d->shown);
                names_clear(&d->synced);
                free(d->changes);
                free(d);
        }
        pthread_mutex_destroy(&sim->lock);
        free(sim);
        return NULL;
}

struct disk *disk_sim_disk(struct disk_sim *sim) {
        return &sim->disk;
}

void disk_sim_fail(struct disk_sim *sim, const struct disk_sim_fault *fault) {
        pthread_mutex_lock(&sim->lock);
        sim->has_fault = fault != NULL;
        sim->fault = fault ? *fault : (struct disk_sim_fault){0};
        sim->fault_seen = 0;
        pthread_mutex_unlock(&sim->lock);
}

uint64_t disk_sim_operations(const struct disk_sim *sim) {
        return sim->operations;
}

void disk_sim_stop_at(struct disk_sim *sim, uint64_t operation) {
        sim->stop_at = operation;
}

bool disk_sim_is_stopped(const struct disk_sim *sim) {
        return sim->stop_at && sim->operations >= sim->stop_at;
}

void disk_sim_limit(struct disk_sim *sim, uint64_t bytes) {
        pthread_mutex_lock(&sim->lock);
        sim->limit = bytes;
        pthread_mutex_unlock(&sim->lock);
}

void disk_sim_read_only(struct disk_sim *sim, bool is_read_only) {
        pthread_mutex_lock(&sim->lock);
        sim->is_read_only = is_read_only;
        pthread_mutex_unlock(&sim->lock);
}

static struct sim_file *file_named(const struct disk_sim *sim, const char *path, const char *name) {
        struct directory *d = directory_find(sim, path);
        struct name *found = d ? names_find(&d->shown, name) : NULL;
        return found ? found->file : NULL;
}

bool disk_sim_flip(struct disk_sim *sim, const char *path, const char *name, uint64_t offset, unsigned bit) {
        struct sim_file *f = file_named(sim, path, name);
        if (!f || offset >= f->size)
                return false;
        f->shown[offset] ^= (uint8_t)(1u << bit);
        if (offset < f->synced_size)
                f->synced[offset] ^= (uint8_t)(1u << bit);
        f->synced_hash = 0;
        return true;
}

bool disk_sim_put(struct disk_sim *sim, const char *path, const char *name, uint64_t offset, const void *data,
                  size_t size) {
        struct sim_file *f = file_named(sim, path, name);
        if (!f)
                return false;
        file_write(f, data, size, offset);
        file_sync(f);
        return true;
}

bool disk_sim_remove(struct disk_sim *sim, const char *path, const char *name) {
        struct directory *d = directory_find(sim, path);
        struct name *found = d ? names_find(&d->shown, name) : NULL;
        if (!found)
                return false;
        directory_change(d, name, "", found->file);
        directory_sync(d);
        return true;
}

void disk_sim_remove_directory(struct disk_sim *sim, const char *path) {
        struct directory *d = directory_find(sim, path);
        while (d && d->shown.count)
                disk_sim_remove(sim, path, d->shown.items[0].name);
        if (d)
                d->is_removed = true;
}

void disk_sim_plant_link(struct disk_sim *sim, const char *path, const char *name) {
        struct directory *d = directory_find(sim, path);
        if (!d)
                d = directory_new(sim, path);
        disk_sim_remove(sim, path, name);
        struct sim_file *f = file_new(sim);
        f->is_link = true;
        directory_change(d, "", name, f);
        directory_sync(d);
}

void disk_sim_advance(struct disk_sim *sim, int64_t us) {
        pthread_mutex_lock(&sim->lock);
        sim->now_us += us;
        pthread_mutex_unlock(&sim->lock);
}

void disk_sim_trace(struct disk_sim *sim, FILE *out) {
        sim->trace = out;
}

const uint8_t *disk_sim_content(const struct disk_sim *sim, const char *path, const char *name, size_t *size) {
        struct sim_file *f = file_named(sim, path, name);
        *size = f ? f->size : 0;
        return f ? f->shown : NULL;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

/* In lanes, since each waits for its multiplication; unrolled, so that they live in registers. */
static uint64_t hash_bytes(const void *data, size_t size) {
        enum { LANES = 8 };
        const uint8_t *bytes = data;
        uint64_t lanes[LANES] = {1, 2, 3, 4, 5, 6, 7, size}, words[LANES];
        size_t at = 0;
        for (; at + sizeof words <= size; at += sizeof words) {
                memcpy(words, bytes + at, sizeof words);
#pragma GCC unroll 8
                for (size_t i = 0; i < LANES; i++)
                        lanes[i] = mix(lanes[i], words[i]);
        }
        for (; at < size; at++)
                lanes[0] = mix(lanes[0], bytes[at]);
        for (size_t i = 1; i < LANES; i++)
                lanes[0] = mix(lanes[0], lanes[i]);
        return lanes[0];
}

static uint64_t file_hash(struct sim_file *f) {
        if (!f->synced_hash)
                f->synced_hash = hash_bytes(f->synced, f->synced_size) | 1;
        return f->synced_hash;
}

/* A sum: the order of names is nobody's. */
uint64_t disk_sim_hash(const struct disk_sim *sim) {
        uint64_t sum = 0;
        for (size_t i = 0; i < sim->directories_count; i++) {
                const struct names *names = &sim->directories[i]->synced;
                for (size_t n = 0; n < names->count; n++) {
                        const struct name *name = &names->items[n];
                        sum += mix(hash_bytes(name->name, strlen(name->name)), file_hash(name->file));
                }
        }
        return sum;
}

/* ---- Lost power --------------------------------------------------------------------- */

static uint32_t ask(struct disk_sim_chooser *chooser, enum disk_sim_question question, uint32_t answers) {
        if (answers < 2)
                return 0;
        uint32_t answer = chooser->choose(chooser, question, answers);
        assert(answer < answers);
        return answer;
}

/* What one sector holds: version `answer`, counted from the synced one, or a mixture of two neighbours. */
static void sector_choose(uint8_t *out, const struct sim_file *f, uint64_t sector, struct disk_sim_chooser *chooser) {
        uint32_t versions = 0;
        for (size_t i = 0; i < f->versions_count; i++)
                versions += f->versions[i].sector == sector;
        uint32_t answer = ask(chooser, DISK_SIM_SECTOR, 1 + versions * (chooser->tears ? 3 : 1));
        bool is_torn = answer > versions, begins_new = is_torn && (answer - versions) % 2;
        uint32_t newer = is_torn ? (answer - versions - 1) / 2 + 1 : answer;
        uint8_t before[DISK_SIM_SECTOR_BYTES], last[DISK_SIM_SECTOR_BYTES];
        sector_copy(last, f->synced, f->synced_size, sector);
        memcpy(before, last, sizeof before);
        for (size_t i = 0, n = 0; i < f->versions_count && n < newer; i++) {
                if (f->versions[i].sector != sector)
                        continue;
                memcpy(before, last, sizeof before);
                memcpy(last, f->versions[i].bytes, sizeof last);
                n++;
        }
        enum { HALF = DISK_SIM_SECTOR_BYTES / 2 };
        memcpy(out, is_torn && !begins_new ? before : last, HALF);
        memcpy(out + HALF, is_torn && begins_new ? (const uint8_t *)before + HALF : (const uint8_t *)last + HALF, HALF);
}

/* The first version of its sector since the sync? Each sector is asked about once. */
static bool is_first_version(const struct sim_file *f, size_t i) {
        for (size_t j = 0; j < i; j++) {
                if (f->versions[j].sector == f->versions[i].sector)
                        return false;
        }
        return true;
}

static void file_crash(struct sim_file *to, const struct sim_file *f, enum disk_sim_model model,
                       struct disk_sim_chooser *chooser) {
        to->is_link = f->is_link;
        bool changes_size = f->size != f->synced_size;
        bool is_resized = changes_size && ask(chooser, DISK_SIM_SIZE, 2);
        uint64_t size = is_resized ? f->size : f->synced_size;
        file_resize(to, size);
        if (MIN(size, f->synced_size))
                memcpy(to->shown, f->synced, MIN(size, f->synced_size));
        for (size_t i = 0; i < f->versions_count; i++) {
                uint64_t sector = f->versions[i].sector, at = sector * DISK_SIM_SECTOR_BYTES;
                if (at >= size || !is_first_version(f, i))
                        continue;
                uint8_t bytes[DISK_SIM_SECTOR_BYTES];
                /* New bytes are on the disk before the size that shows them. */
                if (model == DISK_SIM_ORDERED && at + DISK_SIM_SECTOR_BYTES > f->synced_size)
                        sector_copy(bytes, f->shown, f->size, sector);
                else
                        sector_choose(bytes, f, sector, chooser);
                memcpy(to->shown + at, bytes, MIN((uint64_t)DISK_SIM_SECTOR_BYTES, size - at));
        }
        if (!size)
                return;
        to->synced = grow(NULL, size);
        to->synced_size = size;
        memcpy(to->synced, to->shown, size);
        if (!f->versions_count && size == f->synced_size)
                to->synced_hash = f->synced_hash;
}

/* The names that survive, with the old files behind them. */
static void names_crash(struct names *names, const struct directory *d, enum disk_sim_model model,
                        struct disk_sim_chooser *chooser) {
        names_copy(names, &d->synced);
        if (model == DISK_SIM_ORDERED) {
                size_t open = d->changes_count - d->changes_committed;
                size_t n = d->changes_committed + ask(chooser, DISK_SIM_NAME, (uint32_t)open + 1);
                for (size_t i = 0; i < n; i++)
                        change_names(names, &d->changes[i]);
                return;
        }
        for (size_t i = 0; i < d->changes_count; i++) {
                if (ask(chooser, DISK_SIM_NAME, 2))
                        change_names(names, &d->changes[i]);
        }
}

struct disk_sim *disk_sim_crash(const struct disk_sim *sim, enum disk_sim_model model,
                                struct disk_sim_chooser *chooser) {
        struct disk_sim *after = disk_sim_new(sim->random);
        after->now_us = sim->now_us;
        after->limit = sim->limit;
        for (size_t i = 0; i < sim->directories_count; i++) {
                const struct directory *d = sim->directories[i];
                if (d->is_removed)
                        continue;
                struct directory *to = directory_new(after, d->path);
                struct names names = {0};
                names_crash(&names, d, model, chooser);
                for (size_t n = 0; n < names.count; n++) {
                        struct sim_file *file = file_new(after);
                        file_hash(names.items[n].file); /* For all disks that are made of this one. */
                        file_crash(file, names.items[n].file, model, chooser);
                        file->links = 1;
                        names_put(&to->shown, names.items[n].name, file);
                }
                names_clear(&names);
                directory_sync(to);
        }
        return after;
}

static uint32_t choose_randomly(struct disk_sim_chooser *chooser, enum disk_sim_question question _unused_,
                                uint32_t answers) {
        struct disk_sim_random *random = CONTAINER_OF(chooser, struct disk_sim_random, chooser);
        return (uint32_t)((random_next(&random->state) >> 16) % answers);
}

struct disk_sim_random disk_sim_choose_randomly(uint64_t seed, bool tears) {
        return (struct disk_sim_random){{choose_randomly, tears}, seed * UINT64_C(0x9e3779b97f4a7c15) | 1};
}

static uint32_t choose_oldest(struct disk_sim_chooser *chooser _unused_, enum disk_sim_question question _unused_,
                              uint32_t answers _unused_) {
        return 0;
}

struct disk_sim_chooser disk_sim_choose_oldest(void) {
        return (struct disk_sim_chooser){choose_oldest, false};
}

static uint32_t choose_newest(struct disk_sim_chooser *chooser _unused_, enum disk_sim_question question _unused_,
                              uint32_t answers) {
        return answers - 1;
}

struct disk_sim_chooser disk_sim_choose_newest(void) {
        return (struct disk_sim_chooser){choose_newest, false};
}

static uint32_t choose_next(struct disk_sim_chooser *chooser, enum disk_sim_question question _unused_,
                            uint32_t answers) {
        struct disk_sim_all *all = CONTAINER_OF(chooser, struct disk_sim_all, chooser);
        if (all->asked == DISK_SIM_VARIED_MAX)
                return 0;
        all->answers[all->asked] = answers;
        return all->answer[all->asked++];
}

struct disk_sim_all disk_sim_choose_all(bool tears) {
        return (struct disk_sim_all){.chooser = {choose_next, tears}};
}

/* Like a counter whose digits have different bases; the last question turns fastest. */
bool disk_sim_next(struct disk_sim_all *all) {
        uint32_t at = all->asked;
        all->asked = 0;
        while (at-- > 0) {
                if (++all->answer[at] < all->answers[at])
                        return true;
                all->answer[at] = 0;
        }
        return false;
}
