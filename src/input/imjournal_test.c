/*
 * Against real journals: systemd-journal-remote makes them where it is installed, from
 * what journalctl calls the export format; else all of this is skipped.
 */
#include "input/imjournal.h"

#include <errno.h>

#include "input/imjournal_entry.h"
#include "input/imjournal_reader.h"
#include "input/local_bench.h"

static const char *const writers[] = {"/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"};
static const char *writer;

enum { FIRST_S = 1760000000 };

/* Appends entries to the journal file NAME.journal in the bench's directory. Fields have '|' between them. */
static void write_entries(const struct local_bench *b, const char *name, unsigned first, unsigned entries,
                          const char *fields) {
        char command[256];
        snprintf(command, sizeof command, "%s -o %s/%s.journal - 2>/dev/null", writer, b->directory, name);
        FILE *pipe = popen(command, "we");
        CHECK(pipe);
        for (unsigned i = first; i < first + entries; i++) {
                fprintf(pipe,
                        "__REALTIME_TIMESTAMP=%u123456\n__MONOTONIC_TIMESTAMP=%u000000\n"
                        "_BOOT_ID=11111111222233334444555555555555\nMESSAGE=message %u\n",
                        FIRST_S + i, 1000 + i, i);
                for (const char *c = fields; *c; c++)
                        fputc(*c == '|' ? '\n' : *c, pipe);
                fputs("\n\n", pipe);
        }
        CHECK_INT(pclose(pipe), 0);
}
#define SU "SYSLOG_IDENTIFIER=su|_PID=13|PRIORITY=3|SYSLOG_FACILITY=4"

static void prepare(struct local_bench *b, const char *settings) {
        bench_prepare(b, &imjournal_module, settings, NULL);
}

static int start(struct local_bench *b) {
        CHECK_INT(imjournal_open_directory(&b->instance, &b->host, NULL, b->directory), 0);
        return imjournal_module.input->start(b->instance);
}

/* A new daemon in the same directory. */
static void restart(struct local_bench *b, const struct local_bench *before, const char *settings) {
        prepare(b, settings);
        rmdir(b->directory);
        memcpy(b->directory, before->directory, sizeof b->directory);
        /* Where settings name the directory, it is this one. */
        settings_free(&imjournal_module.module_settings, b->module_settings);
        b->module_settings = settings_new(&imjournal_module.module_settings);
        CHECK(b->module_settings);
        bench_set(b, &imjournal_module.module_settings, b->module_settings, settings);
        b->host.module_settings = b->module_settings;
}

static void empty(const struct local_bench *b) {
        static const char *const names[] = {"a.journal", "b.journal", "state", "state.other"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                char path[128];
                bench_path(b, path, sizeof path, names[i]);
                unlink(path);
        }
        rmdir(b->directory);
}

static void close_and_empty(struct local_bench *b) {
        bench_close(b);
        empty(b);
}

static void put_state(const struct local_bench *b, const char *content) {
        char path[128];
        bench_path(b, path, sizeof path, "state");
        FILE *file = fopen(path, "we");
        CHECK(file);
        CHECK(fputs(content, file) >= 0);
        CHECK(fclose(file) == 0);
}

static bool has_said(const struct local_bench *b, const char *what) {
        for (unsigned i = 0; i < b->said_count; i++)
                if (strstr(b->said[i], what))
                        return true;
        return false;
}

/* Entries that come while the daemon runs: a hook writes them as soon as `after` have been read. */
struct later {
        struct round_hook hook;
        struct local_bench *bench;
        unsigned after, first, count;
        const char *name;
        bool is_done;
};

static void write_later(struct round_hook *hook) {
        struct later *l = CONTAINER_OF(hook, struct later, hook);
        if (l->is_done || counter_get(&l->bench->counters[COUNT_READ]) < l->after)
                return;
        l->is_done = true;
        write_entries(l->bench, l->name, l->first, l->count, SU);
}

static void add_later(struct later *l) {
        l->hook.run = write_later;
        loop_add_hook(l->bench->loop, &l->hook);
}

static void an_entry_becomes_a_message_with_all_its_fields(void) {
        struct local_bench b;
        prepare(&b, "");
        write_entries(&b, "a", 0, 1, SU "|FOO=bar");
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 1);
        CHECK_TEXT(SEEN(&b, 0, msg), "message 0");
        CHECK_TEXT(SEEN(&b, 0, tag), "su[13]:");
        const struct record *r = b.seen[0].record;
        CHECK_INT(r->facility, 4);
        CHECK_INT(r->severity, 3);
        CHECK_INT(r->received_us, FIRST_S * 1000000LL + 123456);
        CHECK_TEXT(text_of(r->source->input_name), "imjournal");
        CHECK_TEXT(json_get(r->tree[TREE_MESSAGE], TEXT("FOO"))->string, "bar");
        CHECK_TEXT(json_get(r->tree[TREE_MESSAGE], TEXT("MESSAGE"))->string, "message 0");
        CHECK(counter_get(&b.counters[COUNT_USAGE]) > 0);
        CHECK_INT(counter_get(&b.counters[COUNT_READ]), 1);
        CHECK_INT(counter_get(&b.counters[COUNT_SUBMITTED]), 1);
        close_and_empty(&b);
}

static void the_module_alone_is_an_input(void) {
        struct local_bench b;
        prepare(&b, "usepid=system|filecreatemode=0644|statefile=imjournal.state");
        CHECK(imjournal_module.input->module_instance(b.module_settings));
        close_and_empty(&b);
}

static void defaults_stand_in_for_missing_fields(void) {
        struct local_bench b;
        prepare(&b, "defaultseverity=err|defaultfacility=LOG_LOCAL3|defaulttag=nobody");
        write_entries(&b, "a", 0, 1, "FOO=bar");
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 1);
        CHECK_TEXT(SEEN(&b, 0, tag), "nobody:");
        CHECK_INT(b.seen[0].record->facility, 19);
        CHECK_INT(b.seen[0].record->severity, 3);
        close_and_empty(&b);
}

static void a_wrong_default_facility_is_told(void) {
        struct local_bench b;
        prepare(&b, "defaultfacility=local9");
        CHECK_INT(start(&b), 0);
        CHECK(has_said(&b, "DefaultFacility 'local9' is no facility"));
        close_and_empty(&b);
}

static void new_entries_are_read_when_they_come(void) {
        struct local_bench b;
        prepare(&b, "");
        write_entries(&b, "a", 0, 2, SU);
        CHECK_INT(start(&b), 0);
        struct later more = {.bench = &b, .after = 2, .first = 2, .count = 3, .name = "a"};
        add_later(&more);
        bench_wait(&b, 5);
        for (unsigned i = 0; i < 5; i++) {
                char wanted[32];
                snprintf(wanted, sizeof wanted, "message %u", i);
                CHECK_TEXT(SEEN(&b, i, msg), wanted);
        }
        close_and_empty(&b);
}

static void a_new_file_of_the_journal_is_read_and_nothing_twice(void) {
        struct local_bench b;
        prepare(&b, "");
        write_entries(&b, "a", 0, 2, SU);
        CHECK_INT(start(&b), 0);
        struct later more = {.bench = &b, .after = 2, .first = 2, .count = 2, .name = "b"};
        add_later(&more);
        bench_wait(&b, 4);
        CHECK_INT(b.seen_count, 4);
        CHECK_TEXT(SEEN(&b, 1, msg), "message 1");
        CHECK_TEXT(SEEN(&b, 2, msg), "message 2");
        CHECK_TEXT(SEEN(&b, 3, msg), "message 3");
        CHECK(counter_get(&b.counters[COUNT_ROTATIONS]) > 0);
        CHECK_INT(counter_get(&b.counters[COUNT_RECOVERIES]), 0);
        close_and_empty(&b);
}

static void after_a_restart_reading_goes_on(void) {
        struct local_bench b, again;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, 3, SU);
        CHECK_INT(start(&b), 0);
        CHECK(has_said(&b, "No statefile exists"));
        bench_wait(&b, 3);
        bench_close(&b);
        restart(&again, &b, "statefile=@/state");
        write_entries(&again, "a", 3, 1, SU);
        CHECK_INT(start(&again), 0);
        CHECK_INT(again.said_count, 0);
        bench_wait(&again, 1);
        CHECK_INT(again.seen_count, 1);
        CHECK_TEXT(SEEN(&again, 0, msg), "message 3");
        close_and_empty(&again);
}

static void what_was_not_finished_comes_again(void) {
        struct local_bench b, again;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, 3, SU);
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 3);
        imjournal_module.input->stop(b.instance); /* the batch is still at work: as after a crash */
        restart(&again, &b, "statefile=@/state");
        CHECK_INT(start(&again), 0);
        bench_wait(&again, 3);
        CHECK_TEXT(SEEN(&again, 0, msg), "message 0");
        bench_close(&b);
        close_and_empty(&again);
}

static void a_cursor_whose_entry_is_gone_skips_none(void) {
        struct local_bench b;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, 2, SU);
        put_state(&b, "s=72ef1711fe2d4d0aa808ec080d6de7de;i=999;b=11111111222233334444555555555555;m=1;"
                      "t=540b5f02ed600;x=735bb1e32fd8fd66");
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 2);
        CHECK_TEXT(SEEN(&b, 0, msg), "message 0");
        close_and_empty(&b);
}

static void previous_messages_can_be_ignored(void) {
        struct local_bench b;
        prepare(&b, "ignorepreviousmessages=on");
        write_entries(&b, "a", 0, 3, SU);
        CHECK_INT(start(&b), 0);
        struct later more = {.bench = &b, .after = 0, .first = 3, .count = 1, .name = "a"};
        add_later(&more);
        bench_wait(&b, 1);
        CHECK_INT(b.seen_count, 1);
        CHECK_TEXT(SEEN(&b, 0, msg), "message 3");
        close_and_empty(&b);
}

static void previous_messages_are_read_where_a_state_file_says_so(void) {
        struct local_bench b, again;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, 1, SU);
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 1);
        bench_close(&b);
        restart(&again, &b, "statefile=@/state|ignorepreviousmessages=on");
        write_entries(&again, "a", 1, 2, SU);
        CHECK_INT(start(&again), 0);
        bench_wait(&again, 2);
        CHECK_TEXT(SEEN(&again, 0, msg), "message 1");
        close_and_empty(&again);
}

static void a_bad_state_file_is_ignored_or_ends_the_input(void) {
        static const char *const contents[] = {"garbage", " ", "two words"};
        for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
                struct local_bench b;
                prepare(&b, "statefile=@/state");
                write_entries(&b, "a", 0, 1, SU);
                put_state(&b, contents[i]);
                CHECK_INT(start(&b), 0);
                CHECK(has_said(&b, "ignoring invalid state file"));
                bench_wait(&b, 1);
                close_and_empty(&b);

                prepare(&b, "statefile=@/state|ignorenonvalidstatefile=off");
                write_entries(&b, "a", 0, 1, SU);
                put_state(&b, contents[i]);
                CHECK_INT(start(&b), -EINVAL);
                CHECK(has_said(&b, "nothing is read until it is repaired"));
                close_and_empty(&b);
        }
}

static void more_than_the_limit_is_discarded_and_counted(void) {
        struct local_bench b;
        prepare(&b, "ratelimit.interval=1000|ratelimit.burst=3");
        write_entries(&b, "a", 0, 10, SU);
        CHECK_INT(start(&b), 0);
        bench_wait(&b, 3);
        CHECK_INT(b.seen_count, 3);
        CHECK_INT(counter_get(&b.counters[COUNT_READ]), 10);
        CHECK_INT(counter_get(&b.counters[COUNT_SUBMITTED]), 3);
        CHECK_INT(counter_get(&b.counters[COUNT_DISCARDED]), 7);
        CHECK_INT(counter_get(&b.counters[COUNT_DISCARDED_LAST]), 7);
        CHECK(has_said(&b, "begin to drop messages due to rate-limiting"));
        imjournal_module.input->stop(b.instance);
        CHECK(has_said(&b, "imjournal: 7 messages lost due to rate-limiting (3 allowed within 1000 seconds)"));
        close_and_empty(&b);
}

static void a_long_journal_is_read_in_rounds_and_in_order(void) {
        enum { MANY = READER_ENTRIES_A_ROUND * 2 + 10 };
        struct local_bench b;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, MANY, SU);
        CHECK_INT(start(&b), 0);
        b.wanted = SEEN_MAX;
        bench_wait(&b, SEEN_MAX); /* as many as the bench keeps: the first round */
        CHECK_INT(counter_get(&b.counters[COUNT_READ]), READER_ENTRIES_A_ROUND);
        CHECK_INT(b.batches[0]->count, READER_ENTRIES_A_ROUND);
        bench_close(&b);
        struct local_bench again;
        restart(&again, &b, "statefile=@/state");
        CHECK_INT(start(&again), 0);
        bench_wait(&again, SEEN_MAX);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "message %u", READER_ENTRIES_A_ROUND);
        CHECK_TEXT(SEEN(&again, 0, msg), wanted);
        close_and_empty(&again);
}

static void large_messages_fill_several_batches_and_the_last_one_counts(void) {
        enum { LARGE = 8000, COUNT = BATCH_BYTES / LARGE + 5 };
        static char fields[LARGE + 64] = "SYSLOG_IDENTIFIER=big|MESSAGE=";
        memset(fields + strlen(fields), 'x', LARGE);
        struct local_bench b, again;
        prepare(&b, "statefile=@/state");
        write_entries(&b, "a", 0, COUNT, fields);
        CHECK_INT(start(&b), 0);
        bench_wait(&b, COUNT);
        CHECK_INT(counter_get(&b.counters[COUNT_SUBMITTED]), COUNT);
        bench_close(&b);
        restart(&again, &b, "statefile=@/state");
        write_entries(&again, "a", COUNT, 1, SU);
        CHECK_INT(start(&again), 0);
        bench_wait(&again, 1);
        CHECK_TEXT(SEEN(&again, 0, tag), "su[13]:");
        close_and_empty(&again);
}

static void no_journal_is_said_once_with_what_to_do(void) {
        struct local_bench b;
        prepare(&b, "");
        CHECK_INT(start(&b), 0);
        CHECK_INT(b.said_count, 1);
        CHECK(has_said(&b, "there is no journal here"));
        CHECK(has_said(&b, "imuxsock"));
        close_and_empty(&b);
}

static void with_inputs_the_module_itself_reads_nothing(void) {
        struct local_bench b;
        void *shared = NULL, *inputs[2];
        prepare(&b, "statefile=@/state");
        b.host.shared = &shared;
        void *settings = settings_new(&imjournal_module.settings);
        CHECK(settings);
        write_entries(&b, "a", 0, 1, SU);
        CHECK_INT(imjournal_open_directory(&b.instance, &b.host, NULL, b.directory), 0);
        struct input_host other = b.host;
        other.ruleset = "other";
        CHECK_INT(imjournal_open_directory(&inputs[0], &b.host, settings, b.directory), 0);
        CHECK_INT(imjournal_open_directory(&inputs[1], &other, settings, b.directory), 0);
        CHECK_INT(imjournal_module.input->start(b.instance), 0);
        CHECK_INT(imjournal_module.input->start(inputs[0]), 0);
        CHECK_INT(imjournal_module.input->start(inputs[1]), 0);
        bench_wait(&b, 2);
        CHECK_INT(b.seen_count, 2);
        CHECK_INT(counter_get(&b.counters[COUNT_READ]), 2);
        for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
                imjournal_module.input->stop(inputs[i]);
                imjournal_module.input->close(inputs[i]);
        }
        settings_free(&imjournal_module.settings, settings);
        char path[128];
        bench_path(&b, path, sizeof path, "state.other");
        for (unsigned i = 0; i < b.batch_count; i++)
                b.batches[i] = batch_unref(b.batches[i]);
        CHECK_INT(access(path, R_OK), 0);
        close_and_empty(&b);
}

static bool find_writer(void) {
        for (size_t i = 0; i < ARRAY_SIZE(writers) && !writer; i++)
                if (access(writers[i], X_OK) == 0)
                        writer = writers[i];
        return writer != NULL;
}

int main(void) {
        static const struct test tests[] = {
                TEST(an_entry_becomes_a_message_with_all_its_fields),
                TEST(the_module_alone_is_an_input),
                TEST(defaults_stand_in_for_missing_fields),
                TEST(a_wrong_default_facility_is_told),
                TEST(new_entries_are_read_when_they_come),
                TEST(a_new_file_of_the_journal_is_read_and_nothing_twice),
                TEST(after_a_restart_reading_goes_on),
                TEST(what_was_not_finished_comes_again),
                TEST(a_cursor_whose_entry_is_gone_skips_none),
                TEST(previous_messages_can_be_ignored),
                TEST(previous_messages_are_read_where_a_state_file_says_so),
                TEST(a_bad_state_file_is_ignored_or_ends_the_input),
                TEST(more_than_the_limit_is_discarded_and_counted),
                TEST(a_long_journal_is_read_in_rounds_and_in_order),
                TEST(large_messages_fill_several_batches_and_the_last_one_counts),
                TEST(no_journal_is_said_once_with_what_to_do),
                TEST(with_inputs_the_module_itself_reads_nothing),
        };
        struct journal_library library;
        const char *why = "";
        if (journal_library_open(&library, &why)) {
                printf("1..0 # SKIP libsystemd is not here: %s\n", why);
                return 0;
        }
        journal_library_close(&library);
        if (!find_writer()) {
                printf("1..0 # SKIP no systemd-journal-remote to make journals with\n");
                return 0;
        }
        return test_run(tests, ARRAY_SIZE(tests));
}
