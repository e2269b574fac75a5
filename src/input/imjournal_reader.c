#include "input/imjournal_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"

#define SECOND_NS      1000000000LL
#define RETRY_FIRST_NS (1 * SECOND_NS)
#define RETRY_LAST_NS  (300 * SECOND_NS)
#define USAGE_READ_NS  (60 * SECOND_NS) /* how old disk_usage_bytes may be while entries come */

static const char hint[] = "messages of local programs come without the journal by module(load=\"imuxsock\")";

static void count(struct journal_reader *r, enum journal_counter which) {
        counter_add(&r->counters[which], 1);
}

/* ---- Opening -------------------------------------------------------------------- */

static int open_journal(struct journal_reader *r) {
        const struct journal_library *l = &r->library;
        int flags = r->takes_remote ? 0 : JOURNAL_LOCAL_ONLY;
        if (r->directory)
                return pass(l->open_directory(&r->journal, r->directory, 0));
        if (!r->name_space)
                return pass(l->open(&r->journal, flags));
        return l->open_namespace ? pass(l->open_namespace(&r->journal, r->name_space, flags)) : fail(-EOPNOTSUPP);
}

static void close_journal(struct journal_reader *r) {
        if (r->watch.is_added)
                loop_unwatch(r->loop, &r->watch);
        r->watch.fd = -1;
        if (r->journal)
                r->library.close(r->journal);
        r->journal = NULL;
}

/* The cursor of the entry that the journal stands on. */
static int remember_cursor(struct journal_reader *r) {
        char *cursor = NULL;
        int result = r->library.get_cursor(r->journal, &cursor);
        if (result < 0)
                return pass(result);
        size_t size = strlen(cursor);
        if (size < CURSOR_BYTES_MAX)
                memcpy(r->cursor, cursor, size + 1);
        free(cursor);
        return size < CURSOR_BYTES_MAX ? 0 : fail(-E2BIG);
}

/* So that next() comes to the first entry that was not read. */
static int seek(struct journal_reader *r) {
        const struct journal_library *l = &r->library;
        if (*r->cursor)
                return l->seek_cursor(r->journal, r->cursor) < 0 ? READER_CURSOR_REFUSED : 0;
        if (!r->skips_previous)
                return pass(l->seek_head(r->journal));
        int result = l->seek_tail(r->journal);
        if (result >= 0)
                result = l->previous(r->journal);
        if (result < 0)
                return pass(result);
        /* What comes from now on is new, should the journal be empty yet. */
        r->skips_previous = false;
        result = result > 0 ? remember_cursor(r) : l->seek_head(r->journal);
        return result < 0 ? pass(result) : 0;
}

static void read_usage(struct journal_reader *r) {
        uint64_t bytes = 0;
        if (r->library.get_usage(r->journal, &bytes) < 0)
                return;
        atomic_store_explicit(&r->counters[COUNT_USAGE].value, bytes, memory_order_relaxed);
        r->usage_read_ns = clock_mono_coarse_ns();
        r->is_empty = bytes == 0;
        if (!r->is_empty || r->has_told_empty)
                return;
        r->has_told_empty = true;
        module_report(r->log, SEVERITY_ERR, 0,
                      "imjournal: there is no journal here that can be read (%s): no messages come from it until there "
                      "is one; %s",
                      r->directory ? r->directory : "/run/log/journal, /var/log/journal", hint);
}

/* 0, READER_CURSOR_REFUSED or -errno. */
static int open_and_seek(struct journal_reader *r) {
        int result = open_journal(r);
        if (result < 0) {
                r->journal = NULL;
                return pass(result);
        }
        r->library.set_data_threshold(r->journal, r->value_bytes_max);
        /* Watches before it seeks, so that no entry is written between the two unseen. */
        result = r->library.get_fd(r->journal);
        if (result >= 0) {
                r->watch.fd = result;
                /* The first look at the descriptor takes what came meanwhile, and is no rotation. */
                r->library.process(r->journal);
                result = seek(r);
        }
        if (result) {
                close_journal(r);
                return result;
        }
        read_usage(r);
        return 0;
}

/* ---- Following -------------------------------------------------------------------- */

static int watch_journal(struct journal_reader *r) {
        int events = r->library.get_events(r->journal);
        if (events < 0)
                return pass(events);
        r->watch.events = (uint32_t)events; /* of poll(), which epoll numbers alike */
        return pass(loop_watch(r->loop, &r->watch));
}

/* When to look again without being told by the descriptor. */
static void arm(struct journal_reader *r) {
        int64_t due_ns = INT64_MAX, now_ns = clock_mono_ns();
        uint64_t timeout_us = UINT64_MAX;
        if (r->journal && !r->is_empty) {
                if (r->is_behind)
                        due_ns = now_ns;
                else if (r->library.get_timeout(r->journal, &timeout_us) >= 0 && timeout_us < INT64_MAX / 1000)
                        due_ns = (int64_t)timeout_us * 1000;
        } else {
                due_ns = now_ns + r->retry_ns;
                r->retry_ns = MIN(r->retry_ns * 2, RETRY_LAST_NS);
        }
        if (due_ns == INT64_MAX)
                loop_disarm(r->loop, &r->wake);
        else
                loop_arm(r->loop, &r->wake, due_ns);
}

static void reader_recover(struct journal_reader *r, int error) {
        count(r, COUNT_RECOVERIES);
        if (r->retry_ns == RETRY_FIRST_NS)
                module_report(r->log, SEVERITY_WARNING, 0,
                              "imjournal: trying to recover from journal error: %s - it is opened again, later each "
                              "time that this fails",
                              fail_text(error));
        close_journal(r);
}

static void reader_reopen(struct journal_reader *r) {
        close_journal(r);
        int result = open_and_seek(r);
        if (result == 0)
                result = watch_journal(r);
        if (result)
                reader_recover(r, result == READER_CURSOR_REFUSED ? fail(-EINVAL) : result);
}

/* Steps to the next entry that was not read: 1; 0 at the end. */
static int next_entry(struct journal_reader *r) {
        const struct journal_library *l = &r->library;
        int result = l->next(r->journal);
        if (result <= 0 || !*r->cursor || l->test_cursor(r->journal, r->cursor) <= 0)
                return result;
        return l->next(r->journal);
}

/* A round: negative where the journal failed. */
static int read_entries(struct journal_reader *r) {
        unsigned entries = 0;
        size_t bytes = 0;
        int result = next_entry(r);
        while (result > 0) {
                bytes += r->take(r, r->journal);
                if (++entries == READER_ENTRIES_A_ROUND || bytes >= READER_BYTES_A_ROUND)
                        break;
                result = r->library.next(r->journal);
        }
        r->is_behind = result > 0;
        if (entries == 0)
                return result;
        /* At its end the journal still stands on the last entry. An older cursor is no reason to read all again. */
        if (remember_cursor(r) < 0)
                count(r, COUNT_FAILED);
        r->end_round(r, entries);
        r->retry_ns = RETRY_FIRST_NS;
        if (clock_mono_coarse_ns() - r->usage_read_ns > USAGE_READ_NS)
                read_usage(r);
        return result;
}

static void reader_turn(struct journal_reader *r) {
        if (!r->journal || r->is_empty) {
                reader_reopen(r);
        } else {
                int changed = r->library.process(r->journal);
                if (changed < 0) {
                        count(r, COUNT_POLL_FAILED);
                        reader_recover(r, changed);
                } else if (changed == JOURNAL_WAS_INVALIDATED) {
                        count(r, COUNT_ROTATIONS);
                        reader_reopen(r);
                }
        }
        if (r->journal) {
                int result = read_entries(r);
                if (result < 0) {
                        count(r, COUNT_FAILED);
                        reader_recover(r, result);
                }
        }
        arm(r);
}

static void reader_is_ready(struct watch *watch, uint32_t events _unused_) {
        reader_turn(CONTAINER_OF(watch, struct journal_reader, watch));
}

static void reader_is_due(struct timer *timer) {
        reader_turn(CONTAINER_OF(timer, struct journal_reader, wake));
}

/* ---- Life -------------------------------------------------------------------------- */

int reader_open(struct journal_reader *r) {
        r->watch.fd = -1;
        r->watch.ready = reader_is_ready;
        r->wake.fire = reader_is_due;
        r->retry_ns = RETRY_FIRST_NS;
        const char *why = "";
        if (!r->library.handle && journal_library_open(&r->library, &why)) {
                module_report(
                        r->log, SEVERITY_ERR, 0,
                        "imjournal: the journal cannot be read, since libsystemd is missing here (%s): install it "
                        "(package libsystemd0 or systemd-libs), or do without; %s",
                        why, hint);
                return fail(-ENOENT);
        }
        return 0;
}

int reader_start(struct journal_reader *r) {
        int result = open_and_seek(r);
        if (result == READER_CURSOR_REFUSED)
                return result;
        if (result == 0)
                result = watch_journal(r);
        if (result < 0) {
                module_report(r->log, SEVERITY_ERR, 0, "imjournal: cannot open the journal%s%s: %s; %s",
                              r->name_space ? " of namespace " : "", r->name_space ? r->name_space : "",
                              result == -EOPNOTSUPP ? "this libsystemd knows no namespaces" : fail_text(result), hint);
                close_journal(r);
        }
        return pass(loop_arm(r->loop, &r->wake, clock_mono_ns() + (result < 0 ? r->retry_ns : 0)));
}

void reader_stop(struct journal_reader *r) {
        loop_disarm(r->loop, &r->wake);
        close_journal(r);
}

void reader_close(struct journal_reader *r) {
        assert(!r->journal);
        journal_library_close(&r->library);
}
