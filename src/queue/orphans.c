#include "queue/orphans.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/text.h"
#include "queue/inspect.h"

/* How many messages wait in a store that nobody has open; 0 as well when it cannot be told. */
static uint64_t count_waiting(const char *store) {
        _owned_(inspect_close) struct inspect *in = NULL;
        struct inspect_options options = {.directory = store};
        uint64_t end_lsn;
        int64_t oldest_us;
        if (inspect_is_held(store) || inspect_open(&in, &options) || inspect_ends(in, &end_lsn, &oldest_us))
                return 0;
        return end_lsn - inspect_facts(in)->mark_lsn;
}

static bool is_seen(struct orphans *o, DIR *names) {
        struct stat facts;
        if (fstat(dirfd(names), &facts) || o->seen_count == ORPHANS_PLACES_MAX)
                return true;
        for (unsigned i = 0; i < o->seen_count; i++)
                if (o->seen[i].device == facts.st_dev && o->seen[i].inode == facts.st_ino)
                        return true;
        o->seen[o->seen_count].device = facts.st_dev;
        o->seen[o->seen_count++].inode = facts.st_ino;
        return false;
}

/* What a queue has waiting: its store, and the one for what is older than all in it. */
static bool is_store(const char *name) {
        return text_ends(text_of(name), TEXT(".store")) || text_ends(text_of(name), TEXT(".front"));
}

static void look_at(struct orphans *o, const char *store) {
        uint64_t waiting = count_waiting(store);
        if (!waiting)
                return;
        o->told++;
        report(o->reporter, SEVERITY_WARNING, 0,
               "%s: %" PRIu64 " messages wait there, and no queue of this configuration has it open; "
               "`penstock queue dump %s` shows them, `penstock queue replay %s --into NAME.store` gives them "
               "to another queue while the daemon is stopped, and --to tcp:HOST:PORT sends them",
               store, waiting, store, store);
}

void orphans_look(struct orphans *o, const char *directory) {
        DIR *names = directory && *directory ? opendir(directory) : NULL;
        if (!names)
                return;
        if (!is_seen(o, names)) {
                for (struct dirent *e; o->told < ORPHANS_TOLD_MAX && (e = readdir(names));) {
                        _owned_(buffer_fini) struct buffer path = {0};
                        if (!is_store(e->d_name))
                                continue;
                        buffer_format(&path, "%s/%s", directory, e->d_name);
                        const char *store = buffer_string(&path);
                        if (store)
                                look_at(o, store);
                }
        }
        closedir(names);
}
