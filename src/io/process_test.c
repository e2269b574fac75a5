#include "io/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/test.h"
#include "io/file.h"

static void start(struct process *p, char *const *arguments) {
        struct process_plan plan = {
                .arguments = arguments, .input = PROCESS_PIPE, .output = PROCESS_PIPE, .error = PROCESS_INHERIT};
        CHECK_INT(process_start(p, &plan), 0);
}
#define SHELL(script) ((char *const[]){"/bin/sh", "-c", script, NULL})

static struct text read_all(const struct process *p, char *to, size_t size) {
        size_t at = 0;
        for (;;) {
                ssize_t n = pipe_read(p->output, to + at, size - at, 5000);
                CHECK(n >= 0);
                if (n == 0)
                        return (struct text){to, at};
                at += (size_t)n;
        }
}

static void check_split(const char *command, size_t count, const char *const *wanted) {
        char **arguments;
        CHECK_INT(process_split(&arguments, command), 0);
        for (size_t i = 0; i < count; i++)
                CHECK_TEXT(text_of(arguments[i]), wanted[i]);
        CHECK(!arguments[count]);
        free(arguments);
}

static void commands_split_as_rsyslog_splits_them(void) {
        check_split("/bin/x", 1, (const char *const[]){"/bin/x"});
        check_split("/bin/x p1  --p=\"value 3\" 'sq x' ", 5,
                    (const char *const[]){"/bin/x", "p1", "--p=\"value 3\"", "'sq", "x'"});
        check_split("x unfin\"ished y", 2, (const char *const[]){"x", "unfin\"ished y"});
        char **arguments;
        CHECK_INT(process_split(&arguments, "  "), -EINVAL);
        char many[PROCESS_ARGUMENTS_MAX * 2 + 3];
        for (size_t i = 0; i < sizeof many; i++)
                many[i] = i % 2 ? ' ' : 'x';
        many[sizeof many - 1] = '\0';
        CHECK_INT(process_split(&arguments, many), -E2BIG);
}

static void a_child_is_fed_and_answers(void) {
        _owned_(process_fini) struct process p = PROCESS_NONE;
        start(&p, SHELL("read x; echo got $x"));
        size_t done = 0;
        CHECK_INT(pipe_write(p.input, "word\n", 5, 1000, &done), 0);
        CHECK_INT(done, 5);
        char out[64];
        CHECK_TEXT(read_all(&p, out, sizeof out), "got word\n");
        CHECK(process_await(&p, 5000));
        CHECK_INT(p.status, 0);
}

static void a_child_holds_three_descriptors_and_no_blocked_signal(void) {
        sigset_t blocked, before;
        sigfillset(&blocked);
        pthread_sigmask(SIG_BLOCK, &blocked, &before);
        _owned_(descriptor_close) int other = -1;
        CHECK_INT(file_open(&other, "/dev/null", O_RDONLY, 0), 0);
        _owned_(process_fini) struct process p = PROCESS_NONE;
        start(&p, (char *const[]){"/bin/ls", "/proc/self/fd", NULL});
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        char out[256];
        CHECK_TEXT(read_all(&p, out, sizeof out), "0\n1\n2\n3\n"); /* 3 is the directory itself */
        CHECK(process_await(&p, 5000));

        start(&p, SHELL("grep SigBlk /proc/self/status; kill -PIPE $$; echo PIPE is ignored"));
        CHECK_TEXT(read_all(&p, out, sizeof out), "SigBlk:\t0000000000000000\n");
        CHECK(process_await(&p, 5000));
}

static void a_program_that_is_not_there_is_told_at_once(void) {
        struct process p = PROCESS_NONE;
        struct process_plan plan = {
                .arguments = (char *const[]){"/nonexistent/x", NULL}, .input = PROCESS_PIPE, .output = -1, .error = -1};
        CHECK_INT(process_start(&p, &plan), -ENOENT);
        CHECK_INT(p.pid, 0);
}

static void waiting_is_bounded_and_a_signal_ends_it(void) {
        _owned_(process_fini) struct process p = PROCESS_NONE;
        start(&p, SHELL("exec sleep 100"));
        int64_t began_ns = clock_mono_ns();
        CHECK(!process_await(&p, 50));
        CHECK(clock_mono_ns() - began_ns < INT64_C(50000000000));
        process_signal(&p, SIGKILL);
        CHECK(process_await(&p, 5000));
        CHECK(WIFSIGNALED(p.status));
}

static void a_child_that_does_not_read_does_not_hold_us(void) {
        _owned_(process_fini) struct process p = PROCESS_NONE;
        start(&p, (char *const[]){"/bin/sleep", "100", NULL});
        static char much[1 << 20];
        size_t done = 0;
        CHECK_INT(pipe_write(p.input, much, sizeof much, 50, &done), -ETIMEDOUT);
        CHECK(done > 0 && done < sizeof much);
        process_signal(&p, SIGTERM);
        CHECK(process_await(&p, 5000));
        CHECK_INT(pipe_write(p.input, much, 1, 50, &done), -EPIPE);
}

static void one_that_somebody_else_reaped_has_ended(void) {
        _owned_(process_fini) struct process p = PROCESS_NONE;
        start(&p, SHELL("exit 3"));
        CHECK_INT(waitpid(p.pid, NULL, 0), p.pid);
        CHECK(process_await(&p, 1000));
        CHECK_INT(p.status, -1);
}

int main(void) {
        signal(SIGPIPE, SIG_IGN);
        static const struct test tests[] = {
                TEST(commands_split_as_rsyslog_splits_them),
                TEST(a_child_is_fed_and_answers),
                TEST(a_child_holds_three_descriptors_and_no_blocked_signal),
                TEST(a_program_that_is_not_there_is_told_at_once),
                TEST(waiting_is_bounded_and_a_signal_ends_it),
                TEST(a_child_that_does_not_read_does_not_hold_us),
                TEST(one_that_somebody_else_reaped_has_ended),
        };
        return test_run(tests, ARRAY_SIZE(tests));
}
