/* penstock queue ls, status, verify: what lies in stores, and whether it is whole. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fail.h"
#include "control/link.h"
#include "control/queue_inside.h"

enum { STORES_MAX = 65536 }; /* of a spool */

/* ---- Damage ------------------------------------------------------------------------ */

struct tally {
        const struct queue_arguments *arguments;
        const char *store;
        struct writer writer;
        uint64_t mark_lsn;
        uint64_t frames, messages, waiting, lost, damages, unknown;
        uint64_t end_lsn;
        int64_t oldest_us, newest_us;
        bool is_told; /* each damage is printed */
};

static void tally_fini(struct tally *t) {
        writer_fini(&t->writer);
}
OWNED_VALUE(struct tally, tally_fini);

static int count_frame(void *owner, const struct inspect_frame *f) {
        struct tally *t = owner;
        uint64_t end = f->frame->lsn + f->frame->count;
        t->frames++;
        t->messages += f->frame->count;
        t->end_lsn = MAX(t->end_lsn, end);
        if (end <= t->mark_lsn)
                return 0;
        t->waiting += end - MAX(f->frame->lsn, t->mark_lsn);
        if (!t->oldest_us)
                t->oldest_us = f->frame->time_us;
        t->newest_us = f->frame->time_us;
        return 0;
}

static void file_name(char to[static SEGMENT_FILE_NAME_BYTES], const struct inspect_file *file) {
        to[0] = '\0';
        if (file)
                segment_name(to, file->sequence, file->is_aside ? "damaged" : "segment");
}

static void tell_damage(struct tally *t, const struct inspect_damage *d) {
        char name[SEGMENT_FILE_NAME_BYTES];
        file_name(name, d->file);
        if (t->arguments->is_json) {
                struct writer *w = &t->writer;
                writer_open(w, NULL, '{');
                writer_string(w, "type", "damage");
                writer_string(w, "what", inspect_damage_text(d->kind));
                if (d->file)
                        writer_string(w, "file", name);
                writer_int(w, "offset", (int64_t)d->offset);
                writer_int(w, "lsn", (int64_t)d->lsn);
                writer_int(w, "count", (int64_t)d->count);
                writer_bool(w, "is_lost", inspect_damage_loses(d));
                writer_close(w, '}');
                spool_print(w);
                return;
        }
        printf("%s%s%s", t->store, d->file ? "/" : "", name);
        if (d->offset)
                printf(" at %" PRIu64, d->offset);
        printf(": %s", inspect_damage_text(d->kind));
        if (d->count)
                printf(": LSN %" PRIu64 " to %" PRIu64 " (%" PRIu64 " messages%s)", d->lsn, d->lsn + d->count - 1,
                       d->count, d->lsn + d->count <= t->mark_lsn ? ", delivered before" : "");
        else if (inspect_damage_loses(d) || d->kind == INSPECT_TORN)
                printf(": from LSN %" PRIu64 " on", d->lsn);
        printf("\n");
}

static int count_damage(void *owner, const struct inspect_damage *d) {
        struct tally *t = owner;
        /* A torn end is how a store looks after the power went; the next start cuts it. */
        if (d->kind != INSPECT_TORN)
                t->damages++;
        uint64_t end = d->lsn + d->count;
        if (inspect_damage_loses(d)) {
                if (!d->count)
                        t->unknown++;
                else if (end > t->mark_lsn || d->file == NULL || d->file->is_aside)
                        t->lost += end - (d->file && d->file->is_aside ? d->lsn : MAX(d->lsn, t->mark_lsn));
                if (!d->file || !d->file->is_aside)
                        t->end_lsn = MAX(t->end_lsn, end);
        }
        if (t->is_told)
                tell_damage(t, d);
        return 0;
}

/* ---- verify -------------------------------------------------------------------------- */

int spool_verify(const struct queue_arguments *a) {
        _owned_(inspect_close) struct inspect *in = NULL;
        int r = spool_look(&in, a);
        if (r)
                return r;
        _owned_(tally_fini) struct tally t = {.arguments = a, .store = a->word, .is_told = true};
        t.mark_lsn = inspect_facts(in)->mark_lsn;
        const struct inspect_visitor visitor = {
                .frame = count_frame, .damage = count_damage, .owner = &t, .checks_chain = true};
        r = inspect_walk(in, &visitor);
        if (r == 0 && inspect_facts(in)->aside) {
                /* What is whole in files set aside was delivered, and does not wait. */
                const struct inspect_visitor aside = {.damage = count_damage, .owner = &t};
                r = inspect_walk_aside(in, &aside);
        }
        if (r)
                return spool_complain("%s: %s", a->word, fail_text(r));
        if (a->is_json) {
                struct writer *w = &t.writer;
                writer_open(w, NULL, '{');
                writer_string(w, "type", "result");
                writer_bool(w, "is_whole", t.damages == 0);
                writer_int(w, "frames", (int64_t)t.frames);
                writer_int(w, "messages", (int64_t)t.messages);
                writer_int(w, "waiting", (int64_t)t.waiting);
                writer_int(w, "lost", (int64_t)t.lost);
                writer_int(w, "damages", (int64_t)t.damages);
                writer_close(w, '}');
                spool_print(w);
        } else if (t.damages == 0) {
                printf("%s: whole: %" PRIu64 " frames with %" PRIu64 " messages, of which %" PRIu64 " wait\n", a->word,
                       t.frames, t.messages, t.waiting);
        } else {
                printf("%s: damaged in %" PRIu64 " places, %" PRIu64 " messages are lost%s; %" PRIu64
                       " wait. `penstock queue repair %s` shows what can be saved\n",
                       a->word, t.damages, t.lost, t.unknown ? " for certain" : "", t.waiting, a->word);
        }
        return t.damages ? QUEUE_FAILED : QUEUE_FINE;
}

/* ---- status ---------------------------------------------------------------------------- */

static void write_status(struct writer *w, const char *store, const struct inspect_facts *facts) {
        writer_string(w, "store", store);
        writer_string(w, "queue", facts->name);
        writer_int(w, "mark_lsn", (int64_t)facts->mark_lsn);
        writer_int(w, "durable_lsn", (int64_t)facts->control.durable_lsn);
        writer_int(w, "bytes", (int64_t)facts->bytes);
        writer_int(w, "files", (int64_t)facts->segments);
        writer_int(w, "free_files", (int64_t)facts->free_files);
        writer_int(w, "damaged_files", (int64_t)facts->aside);
        writer_int(w, "unsalvaged_files", (int64_t)facts->unsalvaged);
        writer_bool(w, "is_open", facts->is_held);
        writer_int(w, "pid", facts->holder);
}

static void print_status(const struct queue_arguments *a, const struct inspect_facts *facts, const struct tally *t) {
        char bytes[SHORT_BYTES], age[SHORT_BYTES];
        printf("store      %s\n", a->word);
        printf("queue      %s\n", *facts->name ? facts->name : "(not told by any file)");
        printf("waiting    %" PRIu64 " messages\n", t->waiting);
        if (t->oldest_us)
                printf("oldest     %s old\n",
                       short_time(age, MAX(INT64_C(0), (clock_wall_us() - t->oldest_us) / 1000)));
        printf("LSN        %" PRIu64 " is the first that waits, %" PRIu64 " comes next\n", facts->mark_lsn, t->end_lsn);
        printf("disk       %s in %" PRIu64 " files, and %" PRIu64 " put by for use\n",
               short_bytes(bytes, (int64_t)facts->bytes), facts->segments, facts->free_files);
        if (facts->is_held && facts->holder)
                printf("open       by process %" PRId64 "\n", facts->holder);
        else
                printf("open       %s\n", facts->is_held ? "by a process" : "by nobody");
        if (t->damages || facts->aside)
                printf("damage     %" PRIu64 " places, %" PRIu64 " messages lost, %" PRIu64 " files set aside (%" PRIu64
                       " not salvaged): `penstock queue verify %s`\n",
                       t->damages, t->lost, facts->aside, facts->unsalvaged, a->word);
        else
                printf("damage     none\n");
}

int spool_status(const struct queue_arguments *a) {
        _owned_(inspect_close) struct inspect *in = NULL;
        int r = spool_look(&in, a);
        if (r)
                return r;
        const struct inspect_facts *facts = inspect_facts(in);
        _owned_(tally_fini) struct tally t = {
                .arguments = a, .store = a->word, .mark_lsn = facts->mark_lsn, .end_lsn = facts->mark_lsn};
        const struct inspect_visitor visitor = {.frame = count_frame, .damage = count_damage, .owner = &t};
        r = inspect_walk(in, &visitor);
        if (r)
                return spool_complain("%s: %s", a->word, fail_text(r));
        if (!a->is_json) {
                print_status(a, facts, &t);
                return QUEUE_FINE;
        }
        struct writer *w = &t.writer;
        writer_open(w, NULL, '{');
        write_status(w, a->word, facts);
        writer_int(w, "waiting", (int64_t)t.waiting);
        writer_int(w, "next_lsn", (int64_t)t.end_lsn);
        writer_int(w, "lost", (int64_t)t.lost);
        writer_int(w, "damages", (int64_t)t.damages);
        if (t.oldest_us)
                spool_write_time(w, "oldest", t.oldest_us);
        writer_close(w, '}');
        spool_print(w);
        return QUEUE_FINE;
}

/* ---- ls ------------------------------------------------------------------------------------ */

static const struct kind {
        const char *ending, *name;
} kinds[] = {{".store", "queue"}, {".dead", "dead"}, {".front", "front"}};

static const struct kind *kind_of(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (text_ends(text_of(name), text_of(kinds[i].ending)))
                        return &kinds[i];
        return NULL;
}

struct row {
        char name[256];
        const struct kind *kind;
};

static int compare_rows(const void *a, const void *b) {
        const struct row *x = a, *y = b;
        return strcmp(x->name, y->name);
}

static int list_rows(const char *spool, struct row **ret, size_t *count) {
        DIR *names = opendir(spool);
        if (!names)
                return spool_complain("%s: %s", spool, fail_text(-errno));
        size_t capacity = 0;
        *ret = NULL;
        *count = 0;
        for (struct dirent *e; *count < STORES_MAX && (e = readdir(names));) {
                const struct kind *kind = kind_of(e->d_name);
                if (!kind || e->d_name[0] == '.')
                        continue;
                if (!ARRAY_ROOM(*ret, *count, capacity, 16)) {
                        closedir(names);
                        return spool_complain("no memory");
                }
                struct row *row = &(*ret)[(*count)++];
                row->kind = kind;
                snprintf(row->name, sizeof row->name, "%s", e->d_name);
        }
        closedir(names);
        if (*count)
                qsort(*ret, *count, sizeof **ret, compare_rows);
        return 0;
}

static void print_row(const struct row *row, const struct inspect_facts *facts, uint64_t end, int64_t oldest_us) {
        char bytes[SHORT_BYTES], age[SHORT_BYTES] = "-", who[32] = "-";
        if (oldest_us)
                short_time(age, MAX(INT64_C(0), (clock_wall_us() - oldest_us) / 1000));
        if (facts->is_held)
                snprintf(who, sizeof who, facts->holder ? "%lld" : "yes", (long long)facts->holder);
        printf("%-30s %-6s %10" PRIu64 " %10s %10s %8s %8" PRIu64 "\n", row->name, row->kind->name,
               end - facts->mark_lsn, short_bytes(bytes, (int64_t)facts->bytes), age, who, facts->unsalvaged);
}

static int show_row(const struct queue_arguments *a, const struct row *row) {
        _owned_(inspect_close) struct inspect *in = NULL;
        _owned_(buffer_fini) struct buffer path = {0};
        _owned_(writer_fini) struct writer w = {0};
        uint64_t end;
        int64_t oldest_us;
        buffer_format(&path, "%s/%s", a->word, row->name);
        struct inspect_options options = {.directory = buffer_string(&path)};
        if (!options.directory)
                return spool_complain("no memory");
        int r = inspect_open(&in, &options);
        if (r == INSPECT_IS_NONE || r == -ENOENT)
                return 0;
        if (r == 0)
                r = inspect_ends(in, &end, &oldest_us);
        if (r)
                return spool_complain("%s: %s", options.directory, fail_text(r));
        const struct inspect_facts *facts = inspect_facts(in);
        if (!a->is_json) {
                print_row(row, facts, end, oldest_us);
                return 0;
        }
        writer_open(&w, NULL, '{');
        writer_string(&w, "name", row->name);
        writer_string(&w, "kind", row->kind->name);
        write_status(&w, options.directory, facts);
        writer_int(&w, "waiting", (int64_t)(end - facts->mark_lsn));
        if (oldest_us)
                spool_write_time(&w, "oldest", oldest_us);
        writer_close(&w, '}');
        spool_print(&w);
        return 0;
}

int spool_ls(const struct queue_arguments *a) {
        struct row *list = NULL;
        size_t count = 0;
        int r = list_rows(a->word, &list, &count);
        _owned_(memory_free) struct row *rows = list;
        if (r)
                return r;
        if (!a->is_json && count)
                printf("%-30s %-6s %10s %10s %10s %8s %8s\n", "STORE", "KIND", "WAITING", "DISK", "OLDEST", "OPEN BY",
                       "DAMAGED");
        for (size_t i = 0; i < count; i++)
                r |= show_row(a, &rows[i]);
        if (!count && !a->is_json)
                printf("%s: no store is there\n", a->word);
        return r;
}
