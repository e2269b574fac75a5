/*
 * The small outputs: ompipe, omstdout, omdiscard, omusrmsg, omuxsock.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/test_place.h"
#include "output/test_output.h"

extern const struct module ompipe_module, omstdout_module, omdiscard_module, omusrmsg_module, omuxsock_module;

static struct test_output out;

static void open_with(const struct module *module, const char *const *pairs) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, module, NULL, pairs), 0);
}

static struct outcome deliver(const char *first, const char *second) {
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, first, NULL);
        if (second)
                test_rows_add(rows, second, NULL);
        return test_deliver(&out, &rows->work);
}

static struct text read_from(int fd) {
        static char bytes[1 << 18];
        ssize_t size = read(fd, bytes, sizeof bytes);
        CHECK(size >= 0);
        return (struct text){bytes, (size_t)size};
}

/* ---- ompipe ------------------------------------------------------------- */

static void a_pipe_keeps_messages_for_a_reader_that_comes_later(void) {
        test_place();
        CHECK_INT(mkfifo(test_place_path("pipe"), 0600), 0);
        open_with(&ompipe_module, PAIRS("pipe", test_place_path("pipe")));
        CHECK_OUTCOME(deliver("one\n", "two\n"), DELIVER_DONE, 2);
        int reader = open(test_place_path("pipe"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        CHECK_TEXT(read_from(reader), "one\ntwo\n");
        close(reader);
}

static void a_missing_pipe_is_unavailable_and_explained(void) {
        test_place();
        open_with(&ompipe_module, PAIRS("pipe", test_place_path("pipe")));
        CHECK_OUTCOME(deliver("one\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("Could not open output pipe"));
        CHECK(test_heard("mkfifo"));
        CHECK(access(test_place_path("pipe"), F_OK) != 0);
        CHECK_INT(test_resume(&out), DELIVER_UNAVAILABLE);
        CHECK_INT(mkfifo(test_place_path("pipe"), 0600), 0);
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        CHECK_OUTCOME(deliver("one\n", NULL), DELIVER_DONE, 1);
}

static void a_full_pipe_gives_back_what_it_did_not_take(void) {
        test_place();
        CHECK_INT(mkfifo(test_place_path("pipe"), 0600), 0);
        open_with(&ompipe_module, PAIRS("pipe", test_place_path("pipe")));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 1000; i++) {
                char line[128];
                snprintf(line, sizeof line, "%0100d\n", i);
                test_rows_add(rows, line, NULL);
        }
        struct outcome outcome = test_deliver(&out, &rows->work);
        CHECK_INT(outcome.verdict, DELIVER_UNAVAILABLE);
        CHECK(outcome.taken >= 65536 / 101 && outcome.taken < 1000);
        CHECK(test_heard("nobody reads it"));
        CHECK_INT(test_resume(&out), DELIVER_UNAVAILABLE);

        int reader = open(test_place_path("pipe"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        _owned_(buffer_fini) struct buffer got = {0};
        buffer_text(&got, read_from(reader));
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        struct work rest = test_rows_from(rows, outcome.taken);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, rest.count);
        buffer_text(&got, read_from(reader));
        close(reader);
        CHECK(text_equal(buffer_as_text(&got), buffer_as_text(&rows->bytes)));
}

/* ---- omstdout, omdiscard ------------------------------------------------ */

static void standard_output_gets_lines(void) {
        test_output_close(&out);
        test_place();
        fflush(stdout);
        int saved = dup(STDOUT_FILENO), file = open(test_place_path("out"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        dup2(file, STDOUT_FILENO);
        int r = test_output_open(&out, &omstdout_module, NULL, NULL);
        struct outcome outcome = r ? (struct outcome){0} : deliver("one\n", "two\n");
        struct work_format columns[WORK_COLUMNS_MAX];
        int count = omstdout_module.output->columns(out.settings, NULL, columns);
        test_output_close(&out);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        close(file);
        CHECK_INT(r, 0);
        CHECK_OUTCOME(outcome, DELIVER_DONE, 2);
        CHECK_INT(count, 1);
        CHECK(columns[0].ends_with_lf);
        CHECK_TEXT(test_place_content("out"), "one\ntwo\n");
}

static void discarding_takes_everything(void) {
        open_with(&omdiscard_module, NULL);
        struct work_format columns[WORK_COLUMNS_MAX];
        CHECK_INT(omdiscard_module.output->columns(out.settings, NULL, columns), 0);
        struct work work = {.count = 77};
        CHECK_OUTCOME(test_deliver(&out, &work), DELIVER_DONE, 77);
}

/* ---- omusrmsg ----------------------------------------------------------- */

static const char *template_for(const char *users) {
        open_with(&omusrmsg_module, PAIRS("users", users));
        struct work_format columns[WORK_COLUMNS_MAX];
        CHECK_INT(omusrmsg_module.output->columns(out.settings, NULL, columns), 1);
        return columns[0].dflt;
}

static void everybody_is_told_in_another_way_than_named_people(void) {
        CHECK_TEXT(text_of(template_for("*")), "WallFmt");
        CHECK_TEXT(text_of(template_for("root,admin")), "StdUsrMsgFmt");
        CHECK_TEXT(text_of(template_for("root")), "StdUsrMsgFmt");
}

static void nobody_there_is_no_failure(void) {
        open_with(&omusrmsg_module, PAIRS("users", "no-such-user-anywhere"));
        CHECK_OUTCOME(deliver("one\n", "two\n"), DELIVER_DONE, 2);
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omusrmsg_module, NULL, PAIRS("users", ",")), -EINVAL);
}

/* ---- omuxsock ----------------------------------------------------------- */

static int bind_unix(const char *path, int type) {
        struct sockaddr_un here = {.sun_family = AF_UNIX};
        snprintf(here.sun_path, sizeof here.sun_path, "%s", path);
        unlink(path);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof here) == 0);
        if (type != SOCK_DGRAM)
                CHECK_INT(listen(fd, 4), 0);
        return fd;
}

static void each_row_is_a_datagram(void) {
        test_place();
        int receiver = bind_unix(test_place_path("s"), SOCK_DGRAM);
        open_with(&omuxsock_module, PAIRS("socketname", test_place_path("s")));
        CHECK_OUTCOME(deliver("one", "two"), DELIVER_DONE, 2);
        CHECK_TEXT(read_from(receiver), "one");
        CHECK_TEXT(read_from(receiver), "two");
        close(receiver);
}

static void a_receiver_started_anew_is_found_again(void) {
        test_place();
        int receiver = bind_unix(test_place_path("s"), SOCK_DGRAM);
        open_with(&omuxsock_module, PAIRS("socketname", test_place_path("s")));
        CHECK_OUTCOME(deliver("one", NULL), DELIVER_DONE, 1);
        close(receiver);
        CHECK_OUTCOME(deliver("two", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("cannot connect to socket"));
        receiver = bind_unix(test_place_path("s"), SOCK_DGRAM);
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        CHECK_OUTCOME(deliver("two", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(read_from(receiver), "two");
        close(receiver);
}

static void a_receiver_that_does_not_read_is_unavailable(void) {
        test_place();
        int receiver = bind_unix(test_place_path("s"), SOCK_DGRAM);
        open_with(&omuxsock_module, PAIRS("socketname", test_place_path("s")));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 2000; i++)
                test_rows_add(rows, "x", NULL);
        struct outcome outcome = test_deliver(&out, &rows->work);
        CHECK_INT(outcome.verdict, DELIVER_UNAVAILABLE);
        CHECK_INT(outcome.error, EAGAIN);
        for (size_t i = 0; i < outcome.taken; i++)
                CHECK_TEXT(read_from(receiver), "x");
        CHECK_INT(recv(receiver, (char[4]){0}, 4, MSG_DONTWAIT), -1);
        close(receiver);
}

static void a_stream_carries_lines(void) {
        test_place();
        int listener = bind_unix(test_place_path("s"), SOCK_STREAM);
        open_with(&omuxsock_module, PAIRS("socketname", test_place_path("s"), "sockettype", "STREAM"));
        CHECK_OUTCOME(deliver("one\n", "two\n"), DELIVER_DONE, 2);
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        CHECK_TEXT(read_from(peer), "one\ntwo\n");
        close(peer);
        CHECK_OUTCOME(deliver("three\n", NULL), DELIVER_DONE, 1);
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        CHECK_TEXT(read_from(peer), "three\n");
        close(peer);
        close(listener);
}

static void a_stream_that_stalls_is_taken_up_in_the_middle_of_a_line(void) {
        test_place();
        int listener = bind_unix(test_place_path("s"), SOCK_STREAM);
        open_with(&omuxsock_module, PAIRS("socketname", test_place_path("s"), "sockettype", "STREAM"));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 4000; i++) {
                char line[1002];
                snprintf(line, sizeof line, "%01000d\n", i);
                test_rows_add(rows, line, NULL);
        }
        struct outcome outcome = test_deliver(&out, &rows->work);
        CHECK_INT(outcome.verdict, DELIVER_UNAVAILABLE);
        CHECK(outcome.taken > 0 && outcome.taken < 4000);
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        _owned_(buffer_fini) struct buffer got = {0};
        for (size_t at = outcome.taken; at < 4000; at += outcome.taken) {
                buffer_text(&got, read_from(peer));
                struct work rest = test_rows_from(rows, at);
                rest.count = MIN(rest.count, (size_t)50);
                outcome = test_deliver(&out, &rest);
        }
        test_output_close(&out);
        for (struct text more = read_from(peer); more.size; more = read_from(peer))
                buffer_text(&got, more);
        close(peer);
        close(listener);
        CHECK(text_equal(buffer_as_text(&got), buffer_as_text(&rows->bytes)));
}

static void a_socket_without_a_name_is_a_mistake(void) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omuxsock_module, NULL, NULL), -EINVAL);
        test_output_close(&out);
}

TEST_MAIN(TEST(a_pipe_keeps_messages_for_a_reader_that_comes_later), TEST(a_missing_pipe_is_unavailable_and_explained),
          TEST(a_full_pipe_gives_back_what_it_did_not_take), TEST(standard_output_gets_lines),
          TEST(discarding_takes_everything), TEST(everybody_is_told_in_another_way_than_named_people),
          TEST(nobody_there_is_no_failure), TEST(each_row_is_a_datagram), TEST(a_receiver_started_anew_is_found_again),
          TEST(a_receiver_that_does_not_read_is_unavailable), TEST(a_stream_carries_lines),
          TEST(a_stream_that_stalls_is_taken_up_in_the_middle_of_a_line), TEST(a_socket_without_a_name_is_a_mistake))
