#include "queue/orphans.h"

#include <dirent.h>
#include <inttypes.h>

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

void orphans_report(const char *directory, struct reporter *reporter) {
        DIR *names = directory && *directory ? opendir(directory) : NULL;
        if (!names)
                return;
        unsigned told = 0;
        for (struct dirent *e; told < ORPHANS_TOLD_MAX && (e = readdir(names));) {
                _owned_(buffer_fini) struct buffer path = {0};
                if (!text_ends(text_of(e->d_name), TEXT(".store")))
                        continue;
                buffer_format(&path, "%s/%s", directory, e->d_name);
                const char *store = buffer_string(&path);
                uint64_t waiting = store ? count_waiting(store) : 0;
                if (!waiting)
                        continue;
                told++;
                report(reporter, SEVERITY_WARNING, 0,
                       "%s: %" PRIu64 " messages wait there, and no queue of this configuration has it open; "
                       "`penstock queue dump %s` shows them, `penstock queue replay %s --into NAME.store` gives them "
                       "to another queue while the daemon is stopped, and --to tcp:HOST:PORT sends them",
                       store, waiting, store, store);
        }
        closedir(names);
}
