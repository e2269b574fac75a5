#include "io/compress.h"
#include "io/test_place.h"
#include "output/test_output.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "output/omfile.h"

extern const struct module omfile_module;

static struct test_output out;

static void open_with(const char *const *module_pairs, const char *const *pairs) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, module_pairs, pairs), 0);
}

static void limit_files(rlim_t bytes) {
        struct rlimit limit;
        CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes;
        CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
        signal(SIGXFSZ, SIG_IGN);
}

/* One row into the instance. */
static struct outcome deliver_one(const char *text, const char *path) {
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, text, path);
        return test_deliver(&out, &rows->work);
}

static uint64_t counted(enum omfile_counter which) {
        return counter_get(&out.counters[which]);
}

static void a_batch_lands_in_the_file_in_order(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a/b.log")));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, "one\n", NULL);
        test_rows_add(rows, "two\n", NULL);
        test_rows_add(rows, "", NULL);
        test_rows_add(rows, "three\n", NULL);
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 4);
        CHECK_TEXT(test_place_content("a/b.log"), "one\ntwo\nthree\n");
}

static void nothing_is_created_before_the_first_message(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log")));
        CHECK(access(test_place_path("a.log"), F_OK) != 0);
}

static void the_mode_is_the_configured_one(void) {
        umask(022);
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("d/a.log"), "filecreatemode", "0640", "dircreatemode", "0711"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_DONE, 1);
        struct stat facts;
        CHECK_INT(stat(test_place_path("d/a.log"), &facts), 0);
        CHECK_INT(facts.st_mode & 07777, 0640);
        CHECK_INT(stat(test_place_path("d"), &facts), 0);
        CHECK_INT(facts.st_mode & 07777, 0711);
}

static void the_owner_that_the_action_names_wins(void) {
        if (geteuid() != 0)
                return;
        test_place();
        open_with(PAIRS("fileownernum", "77"),
                  PAIRS("file", test_place_path("a.log"), "fileowner", "88", "fileownernum", "77"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_DONE, 1);
        struct stat facts;
        CHECK_INT(stat(test_place_path("a.log"), &facts), 0);
        CHECK_INT(facts.st_uid, 88);
}

static void after_hup_the_new_file_is_written(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log")));
        CHECK_OUTCOME(deliver_one("one\n", NULL), DELIVER_DONE, 1);
        CHECK_INT(rename(test_place_path("a.log"), test_place_path("a.log.1")), 0);
        CHECK_OUTCOME(deliver_one("two\n", NULL), DELIVER_DONE, 1);
        omfile_module.output->reopen(out.instance);
        CHECK_OUTCOME(deliver_one("three\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log.1"), "one\ntwo\n");
        CHECK_TEXT(test_place_content("a.log"), "three\n");
}

static void a_full_disk_takes_whole_lines_only_and_none_twice(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log")));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, "1234567\n", NULL);
        test_rows_add(rows, "abcdefg\n", NULL);
        test_rows_add(rows, "ABCDEFG\n", NULL);
        limit_files(19);
        struct outcome outcome = test_deliver(&out, &rows->work);
        limit_files(RLIM_INFINITY);
        CHECK_OUTCOME(outcome, DELIVER_UNAVAILABLE, 2);
        CHECK_INT(outcome.error, EFBIG);
        CHECK(test_heard("write error"));
        CHECK_TEXT(test_place_content("a.log"), "1234567\nabcdefg\n");
        struct work rest = test_rows_from(rows, 2);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "1234567\nabcdefg\nABCDEFG\n");
}

static void a_full_device_is_unavailable_and_said_once(void) {
        open_with(NULL, PAIRS("file", "/dev/full"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("No space left on device"));
        test_said[0] = '\0';
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK_TEXT(text_of(test_said), "");
}

static void what_is_no_file_is_explained(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_directory));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("open error: Is a directory"));
        CHECK(test_heard("must have a name of its own"));
        open_with(NULL, PAIRS("file", test_place_path("no/a.log"), "createdirs", "off"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("createDirs is off"));
        CHECK_INT(mkfifo(test_place_path("fifo"), 0600), 0);
        open_with(NULL, PAIRS("file", test_place_path("fifo")));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("nobody reads"));
        CHECK_INT(omfile_module.output->resume(out.instance), DELIVER_UNAVAILABLE);
        int reader = open(test_place_path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        CHECK_INT(omfile_module.output->resume(out.instance), DELIVER_DONE);
        close(reader);
}

static void a_deleted_file_is_made_anew(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log")));
        CHECK_OUTCOME(deliver_one("one\n", NULL), DELIVER_DONE, 1);
        CHECK_INT(unlink(test_place_path("a.log")), 0);
        /* It is looked at once a second. */
        usleep(1100000);
        CHECK_OUTCOME(deliver_one("two\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "two\n");
        CHECK(test_heard("was deleted while open"));
}

static void symbolic_links_are_refused_under_secure_defaults(void) {
        test_place();
        CHECK_INT(symlink(test_place_path("real"), test_place_path("link")), 0);
        open_with(NULL, PAIRS("file", test_place_path("link")));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("real"), "x\n");
        open_with(NULL, PAIRS("file", test_place_path("link"), "followsymlinks", "off"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("followSymlinks is off"));
}

static void a_buffer_waits_for_the_flush_interval(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log"), "asyncwriting", "on", "flushontxend", "off",
                              "flushinterval", "1"));
        int64_t due_ns, now_ns = clock_mono_ns();
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "");
        CHECK(omfile_module.output->pending(out.instance, &due_ns));
        CHECK(due_ns > now_ns && due_ns <= clock_mono_ns() + 1000000000);
        usleep(1100000);
        omfile_module.output->flush(out.instance);
        CHECK_TEXT(test_place_content("a.log"), "x\n");
        CHECK(!omfile_module.output->pending(out.instance, &due_ns));
}

static void without_async_a_buffer_waits_to_be_full(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log"), "flushontxend", "off", "iobuffersize", "5"));
        int64_t due_ns;
        CHECK_OUTCOME(deliver_one("1\n", NULL), DELIVER_DONE, 1);
        CHECK(!omfile_module.output->pending(out.instance, &due_ns));
        CHECK_OUTCOME(deliver_one("2\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "");
        CHECK_OUTCOME(deliver_one("3\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "1\n2\n3\n");
        CHECK_OUTCOME(deliver_one("4\n", NULL), DELIVER_DONE, 1);
        test_output_close(&out);
        CHECK_TEXT(test_place_content("a.log"), "1\n2\n3\n4\n");
}

static void unpack(const char *name, enum compression kind, struct buffer *to) {
        _owned_(decompressor_free) struct decompressor *d = NULL;
        size_t used;
        CHECK_INT(decompressor_new(&d, kind), 0);
        CHECK_INT(decompressor_add(d, test_place_content(name), &used, to, 1 << 20), 0);
}

static void compressed_lines_are_readable_at_the_end_of_each_batch(void) {
        static const char *const drivers[] = {"zlib", "zstd"};
        for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
                test_place();
                open_with(PAIRS("compression.driver", drivers[i]),
                          PAIRS("file", test_place_path("a"), "ziplevel", "6"));
                CHECK_OUTCOME(deliver_one("one\n", NULL), DELIVER_DONE, 1);
                CHECK_OUTCOME(deliver_one("two\n", NULL), DELIVER_DONE, 1);
                _owned_(buffer_fini) struct buffer plain = {0};
                unpack("a", i ? COMPRESSION_ZSTD : COMPRESSION_GZIP, &plain);
                CHECK_TEXT(buffer_as_text(&plain), "one\ntwo\n");
        }
}

static void compressed_lines_survive_a_full_disk(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a"), "ziplevel", "6"));
        CHECK_OUTCOME(deliver_one("one\n", NULL), DELIVER_DONE, 1);
        int64_t due_ns;
        limit_files((rlim_t)test_place_content("a").size + 2);
        struct outcome second = deliver_one("two\n", NULL);
        bool is_pending = omfile_module.output->pending(out.instance, &due_ns);
        struct outcome third = deliver_one("three\n", NULL);
        limit_files(RLIM_INFINITY);
        CHECK_OUTCOME(second, DELIVER_DONE, 1);
        CHECK(is_pending);
        CHECK_OUTCOME(third, DELIVER_UNAVAILABLE, 0);
        CHECK_OUTCOME(deliver_one("three\n", NULL), DELIVER_DONE, 1);
        _owned_(buffer_fini) struct buffer plain = {0};
        unpack("a", COMPRESSION_GZIP, &plain);
        CHECK_TEXT(buffer_as_text(&plain), "one\ntwo\nthree\n");
}

static void make_script(const char *name, const char *body) {
        FILE *script = fopen(test_place_path(name), "we");
        CHECK(script);
        fprintf(script, "#!/bin/sh\n%s\n", body);
        fclose(script);
        CHECK_INT(chmod(test_place_path(name), 0700), 0);
}

static void what_is_added_at_the_size_limit_ends_the_file(void) {
        test_place();
        char body[1024], command[1024];
        snprintf(body, sizeof body, "echo \"$1|$2\" >> %s/args; mv %s/a.log %s/a.log.1", test_place_directory,
                 test_place_directory, test_place_directory);
        make_script("rotate", body);
        snprintf(command, sizeof command, "%s x y", test_place_path("rotate"));
        open_with(NULL, PAIRS("file", test_place_path("a.log"), "rotation.sizelimit", "8", "rotation.sizelimitcommand",
                              command));
        CHECK_OUTCOME(deliver_one("1234567\n", NULL), DELIVER_DONE, 1);
        CHECK_OUTCOME(deliver_one("last\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log.1"), "1234567\nlast\n");
        CHECK_OUTCOME(deliver_one("next\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "next\n");
        snprintf(body, sizeof body, "x y|%s\n", test_place_path("a.log"));
        CHECK_TEXT(test_place_content("args"), body);
}

static void a_command_that_does_not_help_stops_the_file(void) {
        test_place();
        make_script("rotate", "exit 3");
        open_with(NULL, PAIRS("file", test_place_path("a.log"), "rotation.sizelimit", "8", "rotation.sizelimitcommand",
                              test_place_path("rotate")));
        CHECK_OUTCOME(deliver_one("1234567\n", NULL), DELIVER_DONE, 1);
        CHECK_OUTCOME(deliver_one("last\n", NULL), DELIVER_DONE, 1);
        CHECK_OUTCOME(deliver_one("next\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("did no resolve situation"));
        CHECK(test_heard("exited with status 3"));
        CHECK_TEXT(test_place_content("a.log"), "1234567\nlast\n");
}

static void sync_makes_every_batch_durable(void) {
        test_place();
        open_with(NULL, PAIRS("file", test_place_path("a.log"), "sync", "on"));
        CHECK_OUTCOME(deliver_one("x\n", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a.log"), "x\n");
}

/* ---- Dynafiles ---------------------------------------------------------- */

static void rows_go_to_the_file_of_their_path(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t"));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 6; i++) {
                char line[16];
                snprintf(line, sizeof line, "line %d\n", i);
                test_rows_add(rows, line, test_place_path(i % 2 ? "odd/log" : "even/log"));
        }
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 6);
        CHECK_TEXT(test_place_content("even/log"), "line 0\nline 2\nline 4\n");
        CHECK_TEXT(test_place_content("odd/log"), "line 1\nline 3\nline 5\n");
        CHECK_INT(counted(OMFILE_REQUESTS), 6);
        CHECK_INT(counted(OMFILE_MISSED), 2);
        CHECK_INT(counted(OMFILE_MAXUSED), 2);
}

static void the_cache_keeps_no_more_files_open_than_it_may(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t", "dynafilecachesize", "3"));
        for (int round = 0; round < 3; round++) {
                _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
                for (int i = 0; i < 400; i++) {
                        char line[32], name[32];
                        snprintf(line, sizeof line, "%d.%d\n", round, i);
                        snprintf(name, sizeof name, "f%d", i % 20);
                        test_rows_add(rows, line, test_place_path(name));
                }
                CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 400);
        }
        CHECK_INT(counted(OMFILE_MAXUSED), 3);
        /* Each file is opened once a batch at most, and what is open already is used first. */
        CHECK(counted(OMFILE_EVICTED) <= 20 * 3 - 3);
        struct text last = test_place_content("f7");
        CHECK(text_starts(last, TEXT("0.7\n0.27\n")));
        CHECK(text_ends(last, TEXT("2.367\n2.387\n")));
}

static void a_thousand_files_get_one_write_each(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t", "dynafilecachesize", "1000"));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 2000; i++) {
                char name[32];
                snprintf(name, sizeof name, "f%d", i * 7 % 1000);
                test_rows_add(rows, i < 1000 ? "first\n" : "second\n", test_place_path(name));
        }
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 2000);
        CHECK_TEXT(test_place_content("f999"), "first\nsecond\n");
        CHECK_INT(counted(OMFILE_EVICTED), 0);
}

static void no_name_leaves_its_directory(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t"));
        static const char *const bad[] = {"/tmp/../etc/x", "..", "../x", "", "/tmp/x/"};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
                test_rows_add(rows, "good\n", test_place_path("good"));
                test_rows_add(rows, "evil\n", bad[i]);
                test_rows_add(rows, "good\n", test_place_path("good"));
                CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_REFUSED, 1);
                struct work rest = test_rows_from(rows, 2);
                CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 1);
        }
        CHECK(test_heard("cannot be used"));
        CHECK_INT(test_place_content("good").size, 50);
        struct work_format columns[WORK_COLUMNS_MAX];
        CHECK_INT(omfile_module.output->columns(out.settings, out.module_settings, columns), 2);
        CHECK(columns[1].is_path);
        CHECK(columns[0].ends_with_lf);
}

static void a_name_too_long_for_the_system_is_refused(void) {
        test_place();
        open_with(PAIRS("dynafile.donotsuspend", "off"), PAIRS("dynafile", "t"));
        char name[400];
        memset(name, 'n', 300);
        name[300] = '\0';
        CHECK_OUTCOME(deliver_one("x\n", test_place_path(name)), DELIVER_REFUSED, 0);
}

static void rows_behind_a_refused_one_are_written_once(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t"));
        CHECK_INT(mkdir(test_place_path("dir"), 0700), 0);
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, "a\n", test_place_path("good"));
        test_rows_add(rows, "b\n", test_place_path("dir"));
        test_rows_add(rows, "c\n", test_place_path("good"));
        test_rows_add(rows, "d\n", test_place_path("dir"));
        test_rows_add(rows, "e\n", test_place_path("good"));
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_REFUSED, 1);
        struct work rest = test_rows_from(rows, 2);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_REFUSED, 1);
        rest = test_rows_from(rows, 4);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("good"), "a\nc\ne\n");
}

static void a_full_file_among_others_is_retried_without_doubles(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t"));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, "1234567\n", test_place_path("big"));
        test_rows_add(rows, "x\n", test_place_path("small"));
        test_rows_add(rows, "abcdefg\n", test_place_path("big"));
        test_rows_add(rows, "y\n", test_place_path("small"));
        limit_files(12);
        struct outcome first = test_deliver(&out, &rows->work);
        struct work rest = test_rows_from(rows, 2);
        struct outcome again = test_deliver(&out, &rest);
        limit_files(RLIM_INFINITY);
        CHECK_OUTCOME(first, DELIVER_UNAVAILABLE, 2);
        CHECK_OUTCOME(again, DELIVER_UNAVAILABLE, 0);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 2);
        CHECK_TEXT(test_place_content("big"), "1234567\nabcdefg\n");
        CHECK_TEXT(test_place_content("small"), "x\ny\n");
}

static void with_suspension_a_bad_file_is_tried_again(void) {
        test_place();
        open_with(PAIRS("dynafile.donotsuspend", "off"), PAIRS("dynafile", "t"));
        CHECK_INT(mkdir(test_place_path("dir"), 0700), 0);
        CHECK_OUTCOME(deliver_one("x\n", test_place_path("dir")), DELIVER_UNAVAILABLE, 0);
}

static void hup_closes_every_dynafile(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t"));
        CHECK_OUTCOME(deliver_one("one\n", test_place_path("a")), DELIVER_DONE, 1);
        CHECK_INT(rename(test_place_path("a"), test_place_path("a.1")), 0);
        omfile_module.output->reopen(out.instance);
        CHECK_OUTCOME(deliver_one("two\n", test_place_path("a")), DELIVER_DONE, 1);
        CHECK_TEXT(test_place_content("a"), "two\n");
}

static void idle_dynafiles_have_a_time_to_close(void) {
        test_place();
        open_with(NULL, PAIRS("dynafile", "t", "closetimeout", "2"));
        int64_t due_ns, now_ns = clock_mono_ns();
        CHECK(!omfile_module.output->pending(out.instance, &due_ns));
        CHECK_OUTCOME(deliver_one("one\n", test_place_path("a")), DELIVER_DONE, 1);
        CHECK(omfile_module.output->pending(out.instance, &due_ns));
        CHECK(due_ns - now_ns > INT64_C(119000000000) && due_ns <= clock_mono_ns() + INT64_C(120000000000));
}

/* ---- Checks ------------------------------------------------------------- */

static void mistakes_are_told_before_anything_is_written(void) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, NULL, NULL), -EINVAL);
        CHECK(test_heard("either the \"file\" or \"dynafile\" parameter must be given"));
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, NULL, PAIRS("file", "  ")), -EINVAL);
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, NULL, PAIRS("file", "/x", "cry.provider", "gcry")), -EINVAL);
        CHECK(test_heard("encrypting files comes with a later release"));
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, NULL, PAIRS("file", "/x", "sig.provider", "ksi_ls12")),
                  -EINVAL);
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfile_module, NULL, PAIRS("file", "/x", "ziplevel", "15")), -EINVAL);
        test_output_close(&out);
}

TEST_MAIN(TEST(a_batch_lands_in_the_file_in_order), TEST(nothing_is_created_before_the_first_message),
          TEST(the_mode_is_the_configured_one), TEST(the_owner_that_the_action_names_wins),
          TEST(after_hup_the_new_file_is_written), TEST(a_full_disk_takes_whole_lines_only_and_none_twice),
          TEST(a_full_device_is_unavailable_and_said_once), TEST(what_is_no_file_is_explained),
          TEST(a_deleted_file_is_made_anew), TEST(symbolic_links_are_refused_under_secure_defaults),
          TEST(a_buffer_waits_for_the_flush_interval), TEST(without_async_a_buffer_waits_to_be_full),
          TEST(compressed_lines_are_readable_at_the_end_of_each_batch), TEST(compressed_lines_survive_a_full_disk),
          TEST(what_is_added_at_the_size_limit_ends_the_file), TEST(a_command_that_does_not_help_stops_the_file),
          TEST(sync_makes_every_batch_durable), TEST(rows_go_to_the_file_of_their_path),
          TEST(the_cache_keeps_no_more_files_open_than_it_may), TEST(a_thousand_files_get_one_write_each),
          TEST(no_name_leaves_its_directory), TEST(a_name_too_long_for_the_system_is_refused),
          TEST(rows_behind_a_refused_one_are_written_once), TEST(a_full_file_among_others_is_retried_without_doubles),
          TEST(with_suspension_a_bad_file_is_tried_again), TEST(hup_closes_every_dynafile),
          TEST(idle_dynafiles_have_a_time_to_close), TEST(mistakes_are_told_before_anything_is_written))
