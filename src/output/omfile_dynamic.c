#include "output/omfile_dynamic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fail.h"
#include "output/omfile_retry.h"
#include "output/omfile_target.h"

enum {
        SLOTS_MIN = 64,
        NO_ROW = UINT32_MAX,
        CODE_PATH = 2433,
};

/* One path: a place in the table, a target that may be open, and its rows of the batch at hand. */
struct entry {
        struct omfile_target target;
        uint64_t hash;
        struct entry *next_in_slot;
        struct entry *newer, *older; /* among the open ones */
        struct entry *next_in_batch, *next_to_open;
        uint64_t batch; /* serial of the last batch that had rows for it */
        uint32_t first_row, last_row, rows;
        enum verdict verdict; /* what became of the rows of this batch */
        int error;
        bool is_cached; /* in the list of open ones */
        size_t path_size;
        char path[];
};

struct omfile_dynamic {
        const struct omfile_rules *rules;
        struct entry **slots;
        size_t slot_count; /* a power of two */
        size_t entry_count;
        struct entry *newest, *oldest;
        size_t open_count, open_max;
        uint64_t seed;
        uint64_t serial;
        uint32_t *next_row; /* of the same file; for row_capacity rows */
        bool *is_done;
        size_t row_capacity;
        struct omfile_retry retry;
        int path_error; /* the last complaint about a path, so that a flood of them is one message */
        int64_t path_reported_ns;
};

/* ---- The table ---------------------------------------------------------- */

int omfile_dynamic_new(struct omfile_dynamic **ret, const struct omfile_rules *rules) {
        _owned_(omfile_dynamic_free) struct omfile_dynamic *d = calloc(1, sizeof *d);
        if (!d)
                return fail(-ENOMEM);
        d->rules = rules;
        d->slot_count = SLOTS_MIN;
        d->slots = calloc(d->slot_count, sizeof *d->slots);
        if (!d->slots)
                return fail(-ENOMEM);
        /* Without entropy at boot a fixed seed serves: the table is only slower to an attacker's liking. */
        if (getrandom(&d->seed, sizeof d->seed, GRND_NONBLOCK) != sizeof d->seed)
                d->seed = (uint64_t)clock_mono_ns();
        *ret = TAKE(d);
        return 0;
}

static struct entry **slot_of(const struct omfile_dynamic *d, uint64_t hash) {
        return &d->slots[hash & (d->slot_count - 1)];
}

static void grow_table(struct omfile_dynamic *d) {
        size_t count = d->slot_count * 2;
        struct entry **slots = calloc(count, sizeof *slots);
        /* A fuller table is slower, nothing worse. */
        if (!slots)
                return;
        for (size_t i = 0; i < d->slot_count; i++)
                for (struct entry *e = d->slots[i], *next; e; e = next) {
                        next = e->next_in_slot;
                        e->next_in_slot = slots[e->hash & (count - 1)];
                        slots[e->hash & (count - 1)] = e;
                }
        free(d->slots);
        d->slots = slots;
        d->slot_count = count;
}

static struct entry *add_entry(struct omfile_dynamic *d, struct text path, uint64_t hash) {
        struct entry *e = calloc(1, sizeof *e + path.size + 1);
        if (!e)
                return NULL;
        memcpy(e->path, path.data, path.size);
        e->path_size = path.size;
        e->hash = hash;
        omfile_target_init(&e->target, d->rules, e->path);
        if (d->entry_count >= d->slot_count)
                grow_table(d);
        struct entry **slot = slot_of(d, hash);
        e->next_in_slot = *slot;
        *slot = e;
        d->entry_count++;
        return e;
}

static struct entry *find_entry(const struct omfile_dynamic *d, struct text path, uint64_t hash) {
        for (struct entry *e = *slot_of(d, hash); e; e = e->next_in_slot)
                if (e->hash == hash && text_equal((struct text){e->path, e->path_size}, path))
                        return e;
        return NULL;
}

/* ---- The open ones, newest first ---------------------------------------- */

static void cache_drop(struct omfile_dynamic *d, struct entry *e) {
        if (!e->is_cached)
                return;
        *(e->newer ? &e->newer->older : &d->newest) = e->older;
        *(e->older ? &e->older->newer : &d->oldest) = e->newer;
        e->newer = e->older = NULL;
        e->is_cached = false;
        d->open_count--;
}

static void cache_raise(struct omfile_dynamic *d, struct entry *e) {
        if (d->newest == e)
                return;
        cache_drop(d, e);
        e->older = d->newest;
        *(d->newest ? &d->newest->newer : &d->oldest) = e;
        d->newest = e;
        e->is_cached = true;
        d->open_count++;
        if (d->open_count > d->open_max) {
                d->open_max = d->open_count;
                omfile_count(d->rules, OMFILE_MAXUSED, 1);
        }
}

static void remove_entry(struct omfile_dynamic *d, struct entry *e) {
        struct entry **at = slot_of(d, e->hash);
        while (*at != e)
                at = &(*at)->next_in_slot;
        *at = e->next_in_slot;
        cache_drop(d, e);
        d->entry_count--;
        omfile_target_fini(&e->target);
        free(e);
}

struct omfile_dynamic *omfile_dynamic_free(struct omfile_dynamic *d) {
        if (!d)
                return NULL;
        for (size_t i = 0; d->slots && i < d->slot_count; i++)
                while (d->slots[i])
                        remove_entry(d, d->slots[i]);
        free(d->slots);
        free(d->next_row);
        free(d->is_done);
        omfile_retry_fini(&d->retry);
        free(d);
        return NULL;
}

/*
 * Closes the file unused longest. One that owes bytes that cannot be written stays; an entry that the batch at hand
 * still needs is only closed, not forgotten.
 */
static bool evict_one(struct omfile_dynamic *d) {
        for (struct entry *e = d->oldest; e; e = e->newer) {
                if (!omfile_target_close(&e->target))
                        continue;
                omfile_count(d->rules, OMFILE_EVICTED, 1);
                if (e->batch == d->serial)
                        cache_drop(d, e);
                else
                        remove_entry(d, e);
                return true;
        }
        return false;
}

/* ---- Grouping ----------------------------------------------------------- */

static bool reserve_rows(struct omfile_dynamic *d, size_t count) {
        if (count <= d->row_capacity)
                return true;
        uint32_t *next_row = realloc(d->next_row, count * sizeof *next_row);
        if (next_row)
                d->next_row = next_row;
        bool *is_done = realloc(d->is_done, count * sizeof *is_done);
        if (is_done)
                d->is_done = is_done;
        if (!next_row || !is_done)
                return false;
        d->row_capacity = count;
        return true;
}

/* Whether a part of the path between slashes is "..". */
static bool climbs(struct text path) {
        for (size_t at = 0; at < path.size;) {
                const char *slash = memchr(path.data + at, '/', path.size - at);
                size_t end = slash ? (size_t)(slash - path.data) : path.size;
                if (end - at == 2 && path.data[at] == '.' && path.data[at + 1] == '.')
                        return true;
                at = end + 1;
        }
        return false;
}

/* What is wrong with a path by itself; NULL: nothing. The template has kept senders from choosing directories before.
 */
static const char *complaint_about(const struct omfile_dynamic *d, struct text path) {
        if (path.size == 0)
                return "it is empty";
        if (path.size >= OUTPUT_FILE_PATH_BYTES_MAX)
                return "it is longer than 4095 bytes";
        if (memchr(path.data, '\0', path.size))
                return "it holds a NUL byte";
        if (path.data[path.size - 1] == '/')
                return "it ends with a slash";
        if (climbs(path) && !d->rules->permits_path_escape)
                return "a part of it is \"..\", which would leave its directory";
        return NULL;
}

static void tell_path(struct omfile_dynamic *d, struct text path, const char *complaint, int64_t now_ns) {
        if (d->path_error && now_ns - d->path_reported_ns < INT64_C(60000000000))
                return;
        d->path_error = 1;
        d->path_reported_ns = now_ns;
        module_report(
                d->rules->log, 3, CODE_PATH,
                "dynafile name '%.*s' cannot be used: %s - messages for such names are refused (said once a minute)",
                (int)MIN(path.size, (size_t)256), path.data, complaint);
}

static void append_row(struct omfile_dynamic *d, struct entry *e, uint32_t row) {
        d->next_row[row] = NO_ROW;
        if (e->rows++ == 0)
                e->first_row = row;
        else
                d->next_row[e->last_row] = row;
        e->last_row = row;
}

/* Where the grouping stopped, and why. */
struct grouping {
        struct entry *first;
        struct entry **last;
        size_t rows; /* grouped: the work's first rows */
        enum verdict verdict;
        int error;
        uint64_t requests, repeats, misses;
};

/* The entry of a row's path, with its rows of this batch reset when it is the first. NULL: g tells why. */
static struct entry *entry_of(struct omfile_dynamic *d, struct grouping *g, struct text path, int64_t now_ns) {
        uint64_t hash = omfile_hash(path, d->seed);
        struct entry *e = find_entry(d, path, hash);
        if (!e) {
                const char *complaint = complaint_about(d, path);
                if (complaint) {
                        tell_path(d, path, complaint, now_ns);
                        g->verdict = DELIVER_REFUSED;
                        g->error = EINVAL;
                        return NULL;
                }
                e = add_entry(d, path, hash);
                if (!e) {
                        g->verdict = DELIVER_UNAVAILABLE;
                        g->error = ENOMEM;
                        return NULL;
                }
        }
        if (e->batch != d->serial) {
                e->batch = d->serial;
                e->rows = 0;
                e->verdict = DELIVER_DONE;
                e->error = 0;
                e->next_in_batch = NULL;
                *g->last = e;
                g->last = &e->next_in_batch;
                g->misses += !output_file_is_open(&e->target.file);
        }
        return e;
}

/* Sorts the rows that are not done into the entries of their paths, up to the first that has no place. */
static void group_rows(struct omfile_dynamic *d, struct grouping *g, const struct work *work, int64_t now_ns) {
        const struct text *paths = work->column[1];
        struct entry *e = NULL;
        struct text path = TEXT_NONE;
        d->serial++;
        for (g->rows = 0; g->rows < work->count; g->rows++) {
                if (d->is_done[g->rows])
                        continue;
                g->requests++;
                if (e && text_equal(path, paths[g->rows]))
                        g->repeats++;
                else {
                        path = paths[g->rows];
                        e = entry_of(d, g, path, now_ns);
                        if (!e)
                                return;
                }
                append_row(d, e, (uint32_t)g->rows);
        }
}

/* ---- Writing ------------------------------------------------------------ */

/* Errors that say something of this name, not of the machine: other rows need not wait for it to go away. */
static bool is_about_name(int error) {
        switch (error) {
        case -EACCES:
        case -EPERM:
        case -EISDIR:
        case -ENOTDIR:
        case -ENOENT:
        case -ELOOP:
        case -EROFS:
        case -ENXIO:
        case -ENODEV:
        case -ENAMETOOLONG:
                return true;
        default:
                return false;
        }
}

static int make_ready(struct omfile_dynamic *d, struct entry *e, int64_t now_ns) {
        if (!output_file_is_open(&e->target.file))
                while (d->open_count >= d->rules->cache_size && d->open_count)
                        if (!evict_one(d))
                                return fail(-ENOSPC);
        int r = omfile_target_ready(&e->target, now_ns);
        if (r == -EMFILE && evict_one(d))
                r = omfile_target_ready(&e->target, now_ns);
        if (output_file_is_open(&e->target.file))
                cache_raise(d, e);
        else
                cache_drop(d, e);
        return r ? pass(r) : 0;
}

static void write_entry(struct omfile_dynamic *d, struct entry *e, const struct work *work, int64_t now_ns) {
        int r = make_ready(d, e, now_ns);
        if (r) {
                bool is_refused = r == -ENAMETOOLONG || (d->rules->never_suspends && is_about_name(r));
                e->verdict = is_refused ? DELIVER_REFUSED : DELIVER_UNAVAILABLE;
                e->error = -r;
                return;
        }
        size_t taken;
        r = omfile_target_write(&e->target, work->column[0], d->next_row, e->first_row, e->rows, &taken);
        if (r) {
                e->verdict = DELIVER_UNAVAILABLE;
                e->error = -r;
        }
        uint32_t row = e->first_row;
        for (size_t i = 0; i < taken; i++, row = d->next_row[row])
                d->is_done[row] = true;
}

/* Those that are open already come first: opening the others may have to close them. */
static void write_entries(struct omfile_dynamic *d, struct grouping *g, const struct work *work, int64_t now_ns) {
        *g->last = NULL;
        struct entry *closed = NULL, **closed_end = &closed;
        for (struct entry *e = g->first; e; e = e->next_in_batch) {
                if (output_file_is_open(&e->target.file))
                        write_entry(d, e, work, now_ns);
                else {
                        *closed_end = e;
                        closed_end = &e->next_to_open;
                }
        }
        *closed_end = NULL;
        /* The first that is refused decides (conclude()): those behind it are opened when their turn comes. */
        bool goes_on = true;
        for (struct entry *e = closed; e && goes_on; e = e->next_to_open) {
                write_entry(d, e, work, now_ns);
                goes_on = e->verdict != DELIVER_REFUSED;
        }
}

/* Entries that could not stay open are forgotten; one that owes bytes is open. */
static void forget_closed(struct omfile_dynamic *d, struct grouping *g) {
        for (struct entry *e = g->first, *next; e; e = next) {
                next = e->next_in_batch;
                e->next_in_batch = NULL;
                if (!output_file_is_open(&e->target.file))
                        remove_entry(d, e);
        }
}

/* The first row that is not done decides; what is done behind it is remembered. */
static struct outcome conclude(struct omfile_dynamic *d, const struct grouping *g, const struct work *work,
                               const bool *known) {
        size_t first = 0;
        while (first < work->count && d->is_done[first])
                first++;
        if (first == work->count) {
                omfile_retry_forget(&d->retry);
                return (struct outcome){DELIVER_DONE, first, 0};
        }
        struct outcome outcome = {g->verdict, first, g->error};
        if (first < g->rows)
                for (struct entry *e = g->first; e; e = e->next_in_batch)
                        for (uint32_t i = 0, row = e->first_row; i < e->rows; i++, row = d->next_row[row])
                                if (row == first)
                                        outcome = (struct outcome){e->verdict, first, e->error};
        omfile_retry_keep(&d->retry, work, first, d->is_done, known);
        return outcome;
}

struct outcome omfile_dynamic_deliver(struct omfile_dynamic *d, const struct work *work, int64_t now_ns) {
        if (!reserve_rows(d, work->count))
                return (struct outcome){DELIVER_UNAVAILABLE, 0, ENOMEM};
        const bool *known = omfile_retry_find(&d->retry, work);
        if (known)
                memcpy(d->is_done, known, work->count * sizeof *known);
        else
                memset(d->is_done, 0, work->count * sizeof *d->is_done);

        struct grouping g = {0};
        g.last = &g.first;
        group_rows(d, &g, work, now_ns);
        write_entries(d, &g, work, now_ns);
        struct outcome outcome = conclude(d, &g, work, known);
        forget_closed(d, &g);
        omfile_count(d->rules, OMFILE_REQUESTS, g.requests);
        omfile_count(d->rules, OMFILE_LEVEL0, g.repeats);
        omfile_count(d->rules, OMFILE_MISSED, g.misses);
        return outcome;
}

/* ---- Between deliveries ------------------------------------------------- */

void omfile_dynamic_reopen(struct omfile_dynamic *d) {
        for (struct entry *e = d->oldest, *newer; e; e = newer) {
                newer = e->newer;
                omfile_target_reopen(&e->target);
                if (!output_file_is_open(&e->target.file))
                        remove_entry(d, e);
        }
}

bool omfile_dynamic_flush(struct omfile_dynamic *d) {
        bool is_all = true;
        for (struct entry *e = d->newest; e; e = e->older)
                is_all &= omfile_target_flush(&e->target) == 0;
        return is_all;
}

bool omfile_dynamic_owes(const struct omfile_dynamic *d) {
        for (const struct entry *e = d->newest; e; e = e->older)
                if (output_file_owes(&e->target.file))
                        return true;
        return false;
}

bool omfile_dynamic_idle_due(const struct omfile_dynamic *d, int64_t *due_ns) {
        if (!d->oldest || !d->rules->close_timeout_ns)
                return false;
        *due_ns = d->oldest->target.used_ns + d->rules->close_timeout_ns;
        return true;
}

void omfile_dynamic_close_idle(struct omfile_dynamic *d, int64_t now_ns) {
        if (!d->rules->close_timeout_ns)
                return;
        for (struct entry *e = d->oldest, *newer; e; e = newer) {
                newer = e->newer;
                if (now_ns - e->target.used_ns < d->rules->close_timeout_ns)
                        return;
                if (!omfile_target_close(&e->target)) {
                        /* Its turn comes again after another while; the disk may have room then. */
                        e->target.used_ns = now_ns;
                        continue;
                }
                omfile_count(d->rules, OMFILE_CLOSETIMEOUTS, 1);
                remove_entry(d, e);
        }
}
