/*
 * The calls of libsystemd that read the journal. The library is looked for when
 * the module opens and never linked, so that the daemon runs on machines without
 * it. What the calls do is told in sd-journal(3); a journal belongs to one thread
 * at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct sd_journal;

enum { JOURNAL_LOCAL_ONLY = 1 << 0 };                              /* flags of opening */
enum { JOURNAL_UNCHANGED, JOURNAL_GREW, JOURNAL_WAS_INVALIDATED }; /* what process() returns */

struct journal_library {
        void *handle;
        int (*open)(struct sd_journal **ret, int flags);
        int (*open_namespace)(struct sd_journal **ret, const char *name, int flags); /* NULL before systemd 245 */
        int (*open_directory)(struct sd_journal **ret, const char *path, int flags);
        void (*close)(struct sd_journal *j);
        int (*next)(struct sd_journal *j);
        int (*previous)(struct sd_journal *j);
        int (*seek_head)(struct sd_journal *j);
        int (*seek_tail)(struct sd_journal *j);
        int (*seek_cursor)(struct sd_journal *j, const char *cursor);
        int (*get_cursor)(struct sd_journal *j, char **cursor); /* to be freed */
        int (*test_cursor)(struct sd_journal *j, const char *cursor);
        int (*get_realtime_usec)(struct sd_journal *j, uint64_t *ret);
        int (*set_data_threshold)(struct sd_journal *j, size_t bytes);
        int (*enumerate_data)(struct sd_journal *j, const void **data, size_t *size); /* valid until the next */
        void (*restart_data)(struct sd_journal *j);
        int (*get_fd)(struct sd_journal *j);
        int (*get_events)(struct sd_journal *j);
        int (*get_timeout)(struct sd_journal *j, uint64_t *monotonic_us);
        int (*process)(struct sd_journal *j);
        int (*get_usage)(struct sd_journal *j, uint64_t *bytes);
};

/* -ENOENT: *why tells what is missing, in the words of the loader; valid until the thread's next call of it. */
int journal_library_open(struct journal_library *library, const char **why);
void journal_library_close(struct journal_library *library);
