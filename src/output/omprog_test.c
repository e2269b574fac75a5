/*
 * omprog and omshell with small programs of sh in a temporary directory.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/test.h"
#include "io/file.h"
#include "module/log.h"
#include "module/settings.h"

extern const struct module omprog_module, omshell_module;

enum { ROWS_MAX = 8, WAITS = 2000, WAIT_MS = 10 };

static char directory[64];
static char reported[4096];
static const struct module *module;
static void *settings, *instance;

static void on_report(struct module_log *log _unused_, int severity _unused_, int code _unused_,
                      const char *param _unused_, const char *line) {
        size_t at = strlen(reported);
        snprintf(reported + at, sizeof reported - at, "%s\n", line);
}
static struct module_log module_log = {.emit = on_report};
static const struct host_facts facts = {.host_name = "here"};

static const char *path_of(const char *name) {
        static char paths[4][256];
        static unsigned next;
        char *path = paths[next++ % 4];
        snprintf(path, 256, "%s/%s", directory, name);
        return path;
}

static void begin(const struct module *tested, const char *script) {
        snprintf(directory, sizeof directory, "/tmp/omprog_test.XXXXXX");
        CHECK(mkdtemp(directory));
        reported[0] = '\0';
        _owned_(buffer_fini) struct buffer content = {0};
        buffer_format(&content, "#!/bin/sh\ncd %s || exit 9\n%s\n", directory, script);
        CHECK_INT(file_replace(path_of("program"), buffer_as_text(&content), 0700), 0);
        module = tested;
        settings = settings_new(&module->settings);
        instance = NULL;
}

static void set(const char *name, const char *value) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct text item = text_of(value);
        struct param_value v = {.items = &item, .count = 1};
        const struct param *param = param_find(module->settings.params, text_of(name));
        CHECK(param);
        CHECK_INT(settings_set(settings, param, &v, &complaint), 0);
}

static void start(const char *arguments) {
        char command[512];
        snprintf(command, sizeof command, "%s%s", path_of("program"), arguments);
        set(module == &omprog_module ? "binary" : "program", command);
        struct output_host host = {.log = &module_log, .facts = &facts};
        CHECK_INT(module->check ? module->check(settings, NULL, &module_log) : 0, 0);
        CHECK_INT(module->output->open(&instance, &host, settings), 0);
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static void stop(void) {
        module->output->close(instance);
}

static void end(void) {
        settings_free(&module->settings, settings);
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Delivers rows that lie behind one another, as the daemon renders them. */
static struct outcome deliver(const char *const *lines) {
        static char bytes[4096];
        struct text rows[ROWS_MAX];
        size_t count = 0, at = 0;
        for (; lines[count]; count++) {
                size_t size = strlen(lines[count]);
                memcpy(bytes + at, lines[count], size);
                rows[count] = (struct text){bytes + at, size};
                at += size;
        }
        struct work work = {.count = count, .column = {rows}};
        return module->output->deliver(instance, &work);
}
#define DELIVER(...) deliver((const char *const[]){__VA_ARGS__, NULL})

static void check_done(struct outcome outcome, size_t taken) {
        CHECK_INT(outcome.verdict, DELIVER_DONE);
        CHECK_INT(outcome.taken, taken);
}
static void check_away(struct outcome outcome, size_t taken) {
        CHECK_INT(outcome.verdict, DELIVER_UNAVAILABLE);
        CHECK_INT(outcome.taken, taken);
}

static void pause_ms(long ms) {
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Waits until a file that the program writes holds this. */
static void expect(const char *name, const char *wanted) {
        _owned_(buffer_fini) struct buffer content = {0};
        for (int i = 0; i < WAITS; i++) {
                buffer_clear(&content);
                file_read_whole(path_of(name), sizeof reported, &content);
                if (text_equal(buffer_as_text(&content), text_of(wanted)))
                        return;
                pause_ms(WAIT_MS);
        }
        CHECK_TEXT(buffer_as_text(&content), wanted);
}

/* ---- Promises ----------------------------------------------------------- */

static void messages_reach_the_programs_input(void) {
        begin(&omprog_module, "echo \"$# $1 $2\" >out; cat >>out; echo end >>out");
        start(" p1 --x=\"two words\"");
        check_done(DELIVER("one\n", "two\n"), 2);
        check_done(DELIVER("three\n"), 1);
        expect("out", "2 p1 --x=\"two words\"\none\ntwo\nthree\n");
        stop();
        expect("out", "2 p1 --x=\"two words\"\none\ntwo\nthree\nend\n");
        end();
}

#define ANSWERING                                                                                                      \
        "echo OK; n=0; while read -r line; do n=$((n+1)); echo \"$line\" >>out; case \"$line\" in "                    \
        "bad*) [ -e fixed ] && echo OK || echo 'Error: no';; silent*) sleep 3;; twice*) printf 'OK\\nOK\\n';; "        \
        "tx*) echo DEFER_COMMIT;; prev*) echo PREVIOUS_COMMITTED;; die*) exit 1;; *) echo OK;; esac; done"

static void a_confirmed_message_is_taken_and_a_refused_one_comes_again(void) {
        begin(&omprog_module, ANSWERING);
        set("confirmmessages", "on");
        set("reportfailures", "on");
        start("");
        check_done(DELIVER("one\n", "two\n"), 2);
        check_away(DELIVER("three\n", "bad\n", "four\n"), 1);
        CHECK(strstr(reported, "returned: Error: no"));
        CHECK_INT(file_replace(path_of("fixed"), TEXT(""), 0600), 0);
        CHECK_INT(module->output->resume(instance), DELIVER_DONE);
        check_done(DELIVER("bad\n", "four\n"), 2);
        expect("out", "one\ntwo\nthree\nbad\nbad\nfour\n");
        stop();
        end();
}

static void a_transaction_is_framed_and_fails_as_a_whole(void) {
        begin(&omprog_module, ANSWERING);
        set("confirmmessages", "on");
        set("usetransactions", "on");
        set("begintransactionmark", "B");
        start("");
        CHECK_INT(module->output->begin(instance), DELIVER_DONE);
        check_done(DELIVER("tx1\n", "tx2\n"), 2);
        CHECK_INT(module->output->commit(instance), DELIVER_DONE);
        CHECK_INT(module->output->begin(instance), DELIVER_DONE);
        check_away(DELIVER("tx3\n", "tx4\n", "prev\n", "bad\n"), 2);
        CHECK_INT(module->output->commit(instance), DELIVER_UNAVAILABLE);
        expect("out", "B\ntx1\ntx2\nCOMMIT TRANSACTION\nB\ntx3\ntx4\nprev\nbad\n");
        stop();
        end();
}

static void a_program_that_dies_is_started_again(void) {
        begin(&omprog_module, ANSWERING);
        set("confirmmessages", "on");
        start("");
        check_away(DELIVER("one\n", "die\n"), 1);
        CHECK(strstr(reported, "terminated; will be restarted"));
        check_done(DELIVER("two\n"), 1);
        stop();
        end();
}

static void a_program_that_does_not_answer_is_ended(void) {
        begin(&omprog_module, ANSWERING);
        set("confirmmessages", "on");
        set("confirmtimeout", "100");
        set("closetimeout", "50");
        set("killunresponsive", "on");
        start("");
        check_away(DELIVER("silent\n"), 0);
        CHECK(strstr(reported, "did not respond within timeout (100 ms)"));
        CHECK(strstr(reported, "killing it"));
        check_done(DELIVER("one\n"), 1);
        stop();
        end();
}

static void a_program_out_of_step_is_ended(void) {
        begin(&omprog_module, ANSWERING);
        set("confirmmessages", "on");
        start("");
        check_away(DELIVER("twice\n"), 0);
        CHECK(strstr(reported, "multiline response"));
        stop();
        end();
}

static void a_program_that_is_not_ready_gets_nothing(void) {
        begin(&omprog_module, "echo not ready; cat >out");
        set("confirmmessages", "on");
        start("");
        check_away(DELIVER("one\n"), 0);
        stop();
        expect("out", "");
        end();
}

static void a_missing_program_is_away(void) {
        begin(&omprog_module, "");
        start("-missing");
        check_away(DELIVER("one\n"), 0);
        CHECK(strstr(reported, "failed to execute program"));
        stop();
        end();
}

static void what_the_program_says_goes_to_a_file_that_can_be_rotated(void) {
        begin(&omprog_module, "while read -r line; do echo \"said $line\"; echo \"cried $line\" >&2; done");
        set("output", path_of("captured"));
        start("");
        check_done(DELIVER("one\n"), 1);
        expect("captured", "said one\ncried one\n");
        CHECK_INT(rename(path_of("captured"), path_of("old")), 0);
        module->output->reopen(instance);
        check_done(DELIVER("two\n"), 1);
        expect("captured", "said two\ncried two\n");
        stop();
        struct file_facts f;
        CHECK_INT(file_facts_of_path(&f, path_of("captured")), 0);
        end();
}

static void signals_are_sent_as_configured(void) {
        begin(&omprog_module, "trap 'echo usr1 >>out' USR1; trap 'echo term >>out; exit' TERM\n"
                              "echo ready >out; while :; do read -r line && echo \"$line\" >>out || sleep 0.01; done");
        set("hup.signal", "USR1");
        set("signalonclose", "on");
        start("");
        check_done(DELIVER("one\n"), 1);
        expect("out", "ready\none\n");
        module->output->reopen(instance);
        expect("out", "ready\none\nusr1\n");
        stop();
        expect("out", "ready\none\nusr1\nterm\n");
        CHECK(!strstr(reported, "did not terminate"));
        end();
}

static void an_unresponsive_program_is_left_alone_unless_it_shall_be_killed(void) {
        begin(&omprog_module, "echo $$ >pid; exec sleep 5");
        set("closetimeout", "20");
        start("");
        check_done(DELIVER("one\n"), 1);
        struct file_facts f;
        for (int i = 0; i < WAITS && (file_facts_of_path(&f, path_of("pid")) || f.size < 2); i++)
                pause_ms(WAIT_MS);
        stop();
        CHECK(strstr(reported, "ignoring it"));
        _owned_(buffer_fini) struct buffer pid = {0};
        CHECK_INT(file_read_whole(path_of("pid"), 100, &pid), 0);
        CHECK_INT(kill((pid_t)strtol(buffer_string(&pid), NULL, 10), SIGKILL), 0);
        end();
}

static void a_program_gets_the_message_as_its_argument_and_no_shell_sees_it(void) {
        begin(&omshell_module, "echo \"$# <$1>\" >>out");
        start("");
        check_done(DELIVER("a 'b' \"c\" $(touch x) `touch y`; touch z\n", "second"), 2);
        expect("out", "1 <a 'b' \"c\" $(touch x) `touch y`; touch z\n>\n1 <second>\n");
        struct file_facts f;
        CHECK_INT(file_facts_of_path(&f, path_of("x")), -ENOENT);
        CHECK_INT(file_facts_of_path(&f, path_of("y")), -ENOENT);
        CHECK_INT(file_facts_of_path(&f, path_of("z")), -ENOENT);
        stop();
        end();
}

static void a_missing_shell_program_is_away(void) {
        begin(&omshell_module, "");
        start("-missing");
        check_away(DELIVER("one\n"), 0);
        stop();
        end();
}

int main(void) {
        signal(SIGPIPE, SIG_IGN);
        static const struct test tests[] = {
                TEST(messages_reach_the_programs_input),
                TEST(a_confirmed_message_is_taken_and_a_refused_one_comes_again),
                TEST(a_transaction_is_framed_and_fails_as_a_whole),
                TEST(a_program_that_dies_is_started_again),
                TEST(a_program_that_does_not_answer_is_ended),
                TEST(a_program_out_of_step_is_ended),
                TEST(a_program_that_is_not_ready_gets_nothing),
                TEST(a_missing_program_is_away),
                TEST(what_the_program_says_goes_to_a_file_that_can_be_rotated),
                TEST(signals_are_sent_as_configured),
                TEST(an_unresponsive_program_is_left_alone_unless_it_shall_be_killed),
                TEST(a_program_gets_the_message_as_its_argument_and_no_shell_sees_it),
                TEST(a_missing_shell_program_is_away),
        };
        return test_run(tests, ARRAY_SIZE(tests));
}
