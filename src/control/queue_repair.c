/*
 * penstock queue repair and purge. Both show what they would do, and do it with
 * --apply.
 *
 * What can be repaired are frames behind a broken header, which a daemon passes over
 * because it must not take for a frame what merely looks like one. Here the whole file
 * is searched, and what has the right salted checksums is appended to the same store,
 * to be delivered as everything else. SEQUENCE.salvaged says that it was done: a crash
 * before it is there means duplicates.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "control/queue_inside.h"

struct repair {
        const struct queue_arguments *arguments;
        struct inspect *in;
        struct store *store; /* NULL: a plan is made */
        struct writer writer;
        const struct inspect_file *file;
        uint64_t found, lost, appended; /* messages: of this file, all lost, all saved */
        uint64_t all_found, places;
        bool is_unknown; /* how many are lost */
};

static void repair_fini(struct repair *r) {
        writer_fini(&r->writer);
        inspect_close(r->in);
        if (r->store)
                store_close(r->store);
}
OWNED_VALUE(struct repair, repair_fini);

/* ---- What was done in a file -------------------------------------------------------- */

static void tell_file(struct repair *r) {
        char name[SEGMENT_FILE_NAME_BYTES];
        if (!r->file || !r->found)
                return;
        segment_name(name, r->file->sequence, r->file->is_aside ? "damaged" : "segment");
        if (r->arguments->is_json) {
                writer_open(&r->writer, NULL, '{');
                writer_string(&r->writer, "type", r->store ? "saved" : "can_be_saved");
                writer_string(&r->writer, "file", name);
                writer_int(&r->writer, "messages", (int64_t)r->found);
                writer_close(&r->writer, '}');
                spool_print(&r->writer);
        } else {
                printf("%s/%s: %" PRIu64 " messages behind the damage are whole%s\n", r->arguments->word, name,
                       r->found,
                       r->store ? "; they were appended to the store" : ": they would be appended to the store");
        }
}

static int mark_salvaged(const struct repair *r, const struct inspect_file *file) {
        char name[SEGMENT_FILE_NAME_BYTES];
        segment_name(name, file->sequence, "salvaged");
        int directory = open(r->arguments->word, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = 0;
        int fd = directory < 0 ? -1 : openat(directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || fsync(fd) < 0 || fsync(directory) < 0)
                e = -errno;
        if (fd >= 0)
                close(fd);
        if (directory >= 0)
                close(directory);
        return e ? spool_complain("%s/%s: %s", r->arguments->word, name, fail_text(e)) : 0;
}

/* What was found in the last file is safe, and the file is marked. */
static int end_file(struct repair *r) {
        int e = 0;
        if (r->store && r->file && r->found) {
                struct store_state state;
                store_state(r->store, &state);
                e = store_wait(r->store, state.next_lsn - 1);
                e = e ? spool_complain("%s: %s", r->arguments->word, fail_text(e)) : mark_salvaged(r, r->file);
                if (!e)
                        r->appended += r->found;
        }
        if (!e)
                tell_file(r);
        r->all_found += r->found;
        r->found = 0;
        return e;
}

static int turn_to(struct repair *r, const struct inspect_file *file) {
        int e = file == r->file ? 0 : end_file(r);
        r->file = file;
        return e;
}

static int see_frame(void *owner, const struct inspect_frame *f) {
        struct repair *r = owner;
        int e = turn_to(r, f->file);
        uint64_t end = f->frame->lsn + f->frame->count;
        if (e || !f->is_found || f->file->is_salvaged || (!f->file->is_aside && end <= inspect_facts(r->in)->mark_lsn))
                return e;
        r->found += f->frame->count;
        if (!r->store)
                return 0;
        void *payload;
        uint64_t lsn;
        e = inspect_decode(r->in, f, &payload);
        if (e == -EBADMSG) {
                r->found -= f->frame->count;
                return 0;
        }
        if (e)
                return spool_complain("%s: LSN %" PRIu64 ": %s", r->arguments->word, f->frame->lsn, fail_text(e));
        e = store_append(r->store, payload, f->frame->raw_bytes, f->frame->count, &lsn);
        free(payload);
        return e ? spool_complain("%s: %s", r->arguments->word, fail_text(e)) : 0;
}

static int see_damage(void *owner, const struct inspect_damage *d) {
        struct repair *r = owner;
        int e = turn_to(r, d->file);
        if (e || d->kind == INSPECT_TORN || (d->file && d->file->is_salvaged))
                return e;
        r->places++;
        if (!inspect_damage_loses(d))
                return 0;
        r->lost += d->count;
        r->is_unknown |= !d->count;
        if (r->store || r->arguments->is_json)
                return 0;
        if (d->count)
                printf("%s: LSN %" PRIu64 " to %" PRIu64 " cannot be saved: %s\n", r->arguments->word, d->lsn,
                       d->lsn + d->count - 1, inspect_damage_text(d->kind));
        else
                printf("%s: from LSN %" PRIu64 " on some cannot be saved: %s\n", r->arguments->word, d->lsn,
                       inspect_damage_text(d->kind));
        return 0;
}

static int walk_all(struct repair *r) {
        const struct inspect_visitor visitor = {.frame = see_frame, .damage = see_damage, .owner = r};
        int e = inspect_walk(r->in, &visitor);
        if (!e)
                e = turn_to(r, NULL);
        if (!e)
                e = inspect_walk_aside(r->in, &visitor);
        if (!e)
                e = turn_to(r, NULL);
        return e < 0 ? spool_complain("%s: %s", r->arguments->word, fail_text(e)) : e;
}

static void tell_end(struct repair *r) {
        const struct queue_arguments *a = r->arguments;
        if (a->is_json) {
                writer_open(&r->writer, NULL, '{');
                writer_string(&r->writer, "type", "result");
                writer_bool(&r->writer, "is_applied", r->store != NULL);
                writer_int(&r->writer, "places", (int64_t)r->places);
                writer_int(&r->writer, "saved", (int64_t)(r->store ? r->appended : r->all_found));
                writer_int(&r->writer, "lost", (int64_t)r->lost);
                writer_close(&r->writer, '}');
                spool_print(&r->writer);
        } else if (r->store) {
                printf("%s: %" PRIu64 " messages were saved; they may come twice\n", a->word, r->appended);
        } else if (!r->places && !r->all_found) {
                printf("%s: there is nothing to repair\n", a->word);
        } else {
                printf("%s: %" PRIu64 " messages can be saved, %" PRIu64 "%s cannot. %s\n", a->word, r->all_found,
                       r->lost, r->is_unknown ? " or more" : "",
                       r->all_found ? "--apply saves them; those that were delivered before come twice"
                                    : "There is nothing that --apply would do");
        }
}

int spool_repair(const struct queue_arguments *a) {
        _owned_(repair_fini) struct repair plan = {.arguments = a};
        int r = spool_look(&plan.in, a);
        if (!r)
                r = a->applies ? 0 : walk_all(&plan);
        if (r || !a->applies) {
                if (!r)
                        tell_end(&plan);
                return r;
        }
        /* Opened first, so that nothing changes under the walk. */
        plan.in = inspect_close(plan.in);
        r = spool_take(&plan.store, a->word, a->key_file, a->key_program, false);
        if (!r)
                r = spool_look(&plan.in, a);
        if (!r)
                r = walk_all(&plan);
        if (r)
                return r;
        tell_end(&plan);
        r = store_close(plan.store);
        plan.store = NULL;
        return r ? spool_complain("%s: %s", a->word, fail_text(r)) : QUEUE_FINE;
}

/* ---- purge ------------------------------------------------------------------------------ */

/* Alone in the store, as the daemon would be. *ret is to be closed. */
static int lock_store(const char *store, int directory, int *ret) {
        int fd = openat(directory, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return spool_complain("%s/lock: %s", store, fail_text(-errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                close(fd);
                return spool_complain("%s: a process has it open: stop penstockd, or take the queue out of its "
                                      "configuration and restart it, and try again",
                                      store);
        }
        *ret = fd;
        return 0;
}

static bool is_ours(const char *name) {
        static const char *const endings[] = {"segment", "free", "new", "damaged", "salvaged"};
        uint64_t sequence;
        for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
                if (segment_name_read(&sequence, name, endings[i]))
                        return true;
        return false;
}

/* First what says that anything was there: interrupted, the rest comes again instead of being missed. */
static int remove_files(const char *store, int directory) {
        for (unsigned i = 0; i < CONTROL_FILES; i++)
                if (unlinkat(directory, control_file_name(i), 0) < 0 && errno != ENOENT)
                        return spool_complain("%s/%s: %s", store, control_file_name(i), fail_text(-errno));
        if (fsync(directory) < 0)
                return spool_complain("%s: %s", store, fail_text(-errno));
        int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *names = again < 0 ? NULL : fdopendir(again);
        if (!names)
                return spool_complain("%s: %s", store, fail_text(-errno));
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(names));)
                if (is_ours(e->d_name) && unlinkat(directory, e->d_name, 0) < 0 && errno != ENOENT)
                        r = spool_complain("%s/%s: %s", store, e->d_name, fail_text(-errno));
        closedir(names);
        if (!r && fsync(directory) < 0)
                r = spool_complain("%s: %s", store, fail_text(-errno));
        return r;
}

static int remove_all(const char *store) {
        int lock = -1;
        int directory = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return spool_complain("%s: %s", store, fail_text(-errno));
        int r = lock_store(store, directory, &lock);
        if (!r)
                r = remove_files(store, directory);
        if (lock >= 0)
                close(lock);
        close(directory);
        return r;
}

int spool_purge(const struct queue_arguments *a) {
        _owned_(inspect_close) struct inspect *in = NULL;
        _owned_(writer_fini) struct writer w = {0};
        uint64_t end;
        int64_t oldest_us;
        int r = spool_look(&in, a);
        if (r)
                return r;
        const struct inspect_facts *facts = inspect_facts(in);
        r = inspect_ends(in, &end, &oldest_us);
        if (r)
                return spool_complain("%s: %s", a->word, fail_text(r));
        r = a->applies ? remove_all(a->word) : 0;
        if (r)
                return r;
        if (a->is_json) {
                writer_open(&w, NULL, '{');
                writer_string(&w, "store", a->word);
                writer_bool(&w, "is_applied", a->applies);
                writer_int(&w, "messages", (int64_t)(end - facts->mark_lsn));
                writer_int(&w, "damaged_files", (int64_t)facts->aside);
                writer_close(&w, '}');
                spool_print(&w);
        } else {
                printf("%s: %" PRIu64 " messages that wait and %" PRIu64 " files set aside %s\n", a->word,
                       end - facts->mark_lsn, facts->aside,
                       a->applies ? "were thrown away" : "would be thrown away; --apply does it");
        }
        return QUEUE_FINE;
}
