/*
 * imdiag before a daemon of straw: what is asked of it is counted and answered from variables.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"
#include "io/file.h"
#include "io/loop.h"
#include "message/intake.h"
#include "module/diag.h"
#include "module/log.h"
#include "module/settings.h"

extern const struct module imdiag_module;

enum { WAIT_MS = 20000 };

static struct straw {
        atomic_ullong queued, size, hups, cycles;
        atomic_bool reload, is_blocked;
        int64_t timeouts[DIAG_TIMEOUTS];
        bool were_defaults[DIAG_TIMEOUTS];
        char end_path[128];
        int (*write_end)(const char *path, const char *version, const struct diag_end *end);
        char fault[64];
        int64_t hits;
        bool is_debugging;
} straw;

static uint64_t queued_overall(void *daemon _unused_) {
        return straw.queued;
}
static uint64_t main_queue_size(void *daemon _unused_) {
        return straw.size;
}
static uint64_t hup_count(void *daemon _unused_) {
        return straw.hups;
}
static bool lookup_reload_pending(void *daemon _unused_) {
        return straw.reload;
}
static void set_timeout(void *daemon _unused_, enum diag_timeout timeout, int64_t ms, bool is_default) {
        straw.timeouts[timeout] = ms;
        straw.were_defaults[timeout] = is_default;
}
static int at_end(void *daemon _unused_, const char *path,
                  int (*write)(const char *path, const char *version, const struct diag_end *end)) {
        snprintf(straw.end_path, sizeof straw.end_path, "%s", path);
        straw.write_end = write;
        return 0;
}
static void enable_debug(void *daemon _unused_) {
        straw.is_debugging = true;
}
static void stats_block(void *daemon _unused_) {
        straw.is_blocked = true;
}
static bool stats_unblock(void *daemon _unused_, bool blocks_again) {
        bool was_blocked = straw.is_blocked;
        straw.is_blocked = blocks_again;
        if (was_blocked)
                straw.cycles++;
        return was_blocked;
}
static uint64_t stats_cycles(void *daemon _unused_) {
        return straw.cycles;
}
static int segment_fault(void *daemon _unused_, const char *point, int64_t hits) {
        if (strcmp(point, "seal-written") != 0)
                return -ENOENT;
        snprintf(straw.fault, sizeof straw.fault, "%s", point);
        straw.hits = hits;
        return 0;
}
static void segment_fault_clear(void *daemon _unused_) {
        straw.fault[0] = '\0';
}

static const struct diag_services services = {
        .version = "8.test",
        .queued_overall = queued_overall,
        .main_queue_size = main_queue_size,
        .hup_count = hup_count,
        .lookup_reload_pending = lookup_reload_pending,
        .set_timeout = set_timeout,
        .at_end = at_end,
        .enable_debug = enable_debug,
        .stats_block = stats_block,
        .stats_unblock = stats_unblock,
        .stats_cycles = stats_cycles,
        .segment_fault = segment_fault,
        .segment_fault_clear = segment_fault_clear,
};

static char directory[64], injected[1 << 20];
static size_t injected_size;
static atomic_ullong injected_count;
static struct loop *loop;
static struct batch_pool *pool;
static struct intake intake;
static pthread_t thread;
static void *module_settings, *instance;
static struct input_host host;

static void on_report(struct module_log *log _unused_, int severity _unused_, int code _unused_,
                      const char *param _unused_, const char *line _unused_) {
}
static struct module_log module_log = {.emit = on_report};

static void catch_batch(struct sink *sink _unused_, struct batch *b, enum flow flow _unused_) {
        for (uint32_t i = 0; i < b->count; i++) {
                struct text raw = batch_text(b, b->records[i].raw);
                if (injected_size + raw.size + 1 < sizeof injected) {
                        memcpy(injected + injected_size, raw.data, raw.size);
                        injected_size += raw.size;
                        injected[injected_size++] = '\n';
                }
        }
        injected_count += b->count;
        batch_unref(b);
}
static struct sink sink = {.push = catch_batch};

static void flush(struct round_hook *hook _unused_) {
        intake_flush(&intake);
}
static struct round_hook flush_hook;

static void *run(void *argument _unused_) {
        imdiag_module.input->start(instance);
        loop_run(loop);
        imdiag_module.input->stop(instance);
        return NULL;
}

static void set(const char *name, const char *value) {
        const struct param *params = imdiag_module.module_settings.params;
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct text item = text_of(value);
        CHECK_INT(settings_set(module_settings, param_find(params, text_of(name)),
                               &(struct param_value){.items = &item, .count = 1}, &complaint),
                  0);
}

static char *path_of(const char *name) {
        static char path[128];
        snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

static void begin(const char *name, const char *value) {
        memset(&straw, 0, sizeof straw);
        injected_size = 0;
        injected_count = 0;
        snprintf(directory, sizeof directory, "/tmp/imdiag_test.XXXXXX");
        CHECK(mkdtemp(directory));
        module_settings = settings_new(&imdiag_module.module_settings);
        set("listenportfilename", path_of("port"));
        set("serverrun", "0");
        if (name)
                set(name, value);
        CHECK_INT(loop_new(&loop), 0);
        CHECK_INT(batch_pool_new(&pool), 0);
        intake_init(&intake, &sink, pool, FLOW_NONE);
        flush_hook = (struct round_hook){.run = flush};
        loop_add_hook(loop, &flush_hook);
        static const struct host_facts facts = {.host_name = "here", .message_bytes_max = 8096};
        static struct intake *intakes[1] = {&intake};
        static struct loop *loops[1];
        loops[0] = loop;
        host = (struct input_host){.log = &module_log,
                                   .module_settings = module_settings,
                                   .loops = 1,
                                   .loop = loops,
                                   .intake = intakes,
                                   .facts = &facts,
                                   .diag = &services,
                                   .daemon = &straw};
        CHECK(imdiag_module.input->module_instance(module_settings));
        CHECK_INT(imdiag_module.input->open(&instance, &host, NULL), 0);
        CHECK_INT(pthread_create(&thread, NULL, run, NULL), 0);
}

static void end(void) {
        loop_stop(loop);
        pthread_join(thread, NULL);
        imdiag_module.input->close(instance);
        intake_fini(&intake);
        loop_free(loop);
        batch_pool_unref(pool);
        settings_free(&imdiag_module.module_settings, module_settings);
        unlink(path_of("port"));
        unlink(path_of("end"));
        CHECK_INT(rmdir(directory), 0);
}

static int dial(void) {
        _owned_(buffer_fini) struct buffer port = {0};
        int64_t number = 0;
        CHECK_INT(file_read_whole(path_of("port"), 10, &port), 0);
        CHECK_INT(text_to_int(buffer_as_text(&port), &number), 0);
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)number), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        return fd;
}

/* One read, since an answer is one write. */
static void expect(int fd, const char *wanted) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&wait, 1, WAIT_MS), 1);
        char found[512];
        ssize_t size = read(fd, found, sizeof found);
        CHECK(size >= 0);
        CHECK_TEXT(((struct text){found, (size_t)size}), wanted);
}

static void say(int fd, const char *command) {
        CHECK_INT(file_write_all(fd, command, strlen(command)), 0);
}
static void ask(int fd, const char *command, const char *wanted) {
        say(fd, command);
        expect(fd, wanted);
}

static void await_count(uint64_t count) {
        for (int i = 0; i < WAIT_MS && injected_count < count; i++)
                poll(NULL, 0, 1);
        CHECK_INT(injected_count, count);
}

/* ---- Promises ----------------------------------------------------------- */

static void messages_are_injected_with_their_numbers(void) {
        begin(NULL, NULL);
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "injectmsg 5 2\n", "2 messages injected\n");
        ask(fd, "InjectMsg literal   <13>as it is\n", "1 messages injected\n");
        ask(fd, "injectmsg 0 10000\n", "10000 messages injected\n");
        ask(fd, "injectmsg 0 3 2\n", "3 messages injected\n");
        ask(fd, "injectmsg x\n", "ERROR: injectmsg takes a first number and a count, or literal and a text\n");
        await_count(10006);
        const char *first = "<167>Mar  1 01:00:00 192.0.2.8 tag msgnum:00000005:\n"
                            "<167>Mar  1 01:00:00 192.0.2.8 tag msgnum:00000006:\n"
                            "  <13>as it is\n"
                            "<167>Mar  1 01:00:00 192.0.2.8 tag msgnum:00000000:\n";
        CHECK(text_starts((struct text){injected, injected_size}, text_of(first)));
        end();
}

static void commands_come_in_lines_and_in_counted_frames(void) {
        begin(NULL, NULL);
        straw.size = 17;
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "getmainmsgqueuesize\n", "17\n");
        ask(fd, "19 getmainmsgqueuesize", "17\n");
        ask(fd, "20 GetMainMsgQueueSize\n", "17\n");
        say(fd, "getmainmsg");
        ask(fd, "queuesize\n", "17\n");
        ask(fd, "NoSuch thing\n", "unkown command 'nosuch'\n");
        end();
}

static void a_command_without_end_closes_the_session(void) {
        begin(NULL, NULL);
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "99999999 ", "");
        end();
}

static void empty_queues_are_waited_for_and_others_go_on(void) {
        begin(NULL, NULL);
        straw.queued = 1;
        _owned_(descriptor_close) int fd = dial();
        _owned_(descriptor_close) int other = dial();
        say(fd, "WaitMainQueueEmpty\n");
        ask(other, "getmainmsgqueuesize\n", "0\n");
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&wait, 1, 250), 0);
        int64_t began_ns = clock_mono_ns();
        straw.queued = 0;
        expect(fd, "mainqueue empty\n");
        CHECK(clock_mono_ns() - began_ns > 250 * INT64_C(1000000));
        end();
}

static void commands_behind_one_that_waits_are_answered_after_it(void) {
        begin(NULL, NULL);
        straw.reload = true;
        _owned_(descriptor_close) int fd = dial();
        say(fd, "AwaitLookupTableReload\ngetmainmsgqueuesize\n");
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&wait, 1, 120), 0);
        straw.reload = false;
        char found[128];
        size_t size = 0;
        while (size < strlen("no pending lookup-table reloads found\n0\n")) {
                CHECK_INT(poll(&wait, 1, WAIT_MS), 1);
                ssize_t n = read(fd, found + size, sizeof found - size);
                CHECK(n > 0);
                size += (size_t)n;
        }
        CHECK_TEXT(((struct text){found, size}), "no pending lookup-table reloads found\n0\n");
        end();
}

static void a_hup_is_seen_or_given_up(void) {
        begin(NULL, NULL);
        _owned_(descriptor_close) int fd = dial();
        straw.hups = 1;
        ask(fd, "AwaitHUPComplete\n", "seen HUP request, looks like it has completed [1 tries]\n");
        ask(fd, "AwaitHUPComplete\n", "timeout - looks like_HUP has completed [10 tries]\n");
        end();
}

static void statistics_are_blocked_and_let_go(void) {
        begin(NULL, NULL);
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "awaitStatsReport\n", "imdiag::error : stats reporting was not blocked, bug?\n");
        ask(fd, "blockStatsReporting\n", "next stats reporting call will be blocked\n");
        ask(fd, "awaitStatsReport block_again\n", "stats reporting was unblocked\n");
        ask(fd, "awaitStatsReport\n", "stats reporting was unblocked\n");
        CHECK_INT(straw.cycles, 2);
        end();
}

static void faults_and_timeouts_reach_the_daemon(void) {
        begin("mainmsgqueuetimeoutshutdown", "77");
        CHECK_INT(straw.timeouts[DIAG_MAIN_QUEUE_SHUTDOWN], 77);
        CHECK_INT(straw.timeouts[DIAG_ACTION_QUEUE_ENQUEUE], 30000);
        CHECK(straw.were_defaults[DIAG_MAIN_QUEUE_SHUTDOWN]);
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "setmainmsgqueuetimeoutshutdown 5\n", "OK\n");
        CHECK_INT(straw.timeouts[DIAG_MAIN_QUEUE_SHUTDOWN], 5);
        CHECK(!straw.were_defaults[DIAG_MAIN_QUEUE_SHUTDOWN]);
        ask(fd, "setdefaultactionqueuetimeoutenqueue x\n", "ERROR: invalid timeout value\n");
        ask(fd, "setsegdiskfault\n", "ERROR: missing segmentedDisk fault point\n");
        ask(fd, "setsegdiskfault seal-written 0\n", "ERROR: invalid segmentedDisk fault hit count\n");
        ask(fd, "setsegdiskfault other\n", "ERROR: unknown fault point or main queue is not segmentedDisk\n");
        ask(fd, "setsegdiskfault seal-written 3\n", "OK\n");
        CHECK_TEXT(text_of(straw.fault), "seal-written");
        CHECK_INT(straw.hits, 3);
        ask(fd, "clearsegdiskfault\n", "OK\n");
        CHECK_TEXT(text_of(straw.fault), "");
        ask(fd, "enabledebug\n", "debug enabled\n");
        CHECK(straw.is_debugging);
        end();
}

static void too_many_sessions_are_refused(void) {
        begin("maxsessions", "1");
        _owned_(descriptor_close) int fd = dial();
        ask(fd, "getmainmsgqueuesize\n", "0\n");
        _owned_(descriptor_close) int second = dial();
        expect(second, "");
        end();
}

static void a_regular_end_writes_its_file(void) {
        char path[128];
        begin(NULL, NULL);
        snprintf(path, sizeof path, "%s", path_of("end"));
        end();
        begin("properterminationfile", path);
        CHECK_TEXT(text_of(straw.end_path), path);
        CHECK_INT(straw.write_end(path_of("end"), "8.test", &(struct diag_end){.signal = 15}), 0);
        char wanted[256];
        snprintf(wanted, sizeof wanted,
                 "status=ok\nreason=normal\npid=%ld\nsignal=15\nversion=8.test\nphase=main-return\n"
                 "queue.overall.size=0\n",
                 (long)getpid());
        _owned_(buffer_fini) struct buffer found = {0};
        CHECK_INT(file_read_whole(path_of("end"), 1000, &found), 0);
        CHECK_TEXT(buffer_as_text(&found), wanted);
        CHECK_INT(unlink(path_of("end")), 0);
        CHECK_INT(symlink("/nonexistent", path_of("end")), 0);
        CHECK_INT(straw.write_end(path_of("end"), "8.test", &(struct diag_end){.signal = 15}), -ELOOP);
        end();
}

static void the_guard_ends_a_process_that_hangs(void) {
        pid_t child = fork();
        if (child == 0) {
                signal(SIGABRT, SIG_DFL);
                fclose(stderr);
                begin("aborttimeout", "1");
                unlink(path_of("port"));
                rmdir(directory);
                pause();
                _exit(0);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST_MAIN(TEST(messages_are_injected_with_their_numbers), TEST(commands_come_in_lines_and_in_counted_frames),
          TEST(a_command_without_end_closes_the_session), TEST(empty_queues_are_waited_for_and_others_go_on),
          TEST(commands_behind_one_that_waits_are_answered_after_it), TEST(a_hup_is_seen_or_given_up),
          TEST(statistics_are_blocked_and_let_go), TEST(faults_and_timeouts_reach_the_daemon),
          TEST(too_many_sessions_are_refused), TEST(a_regular_end_writes_its_file),
          TEST(the_guard_ends_a_process_that_hangs))
