/*
 * imfile as a whole: a loop in a thread of its own, real files in a temporary directory, and
 * a sink that keeps what arrives.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/test.h"
#include "input/imfile_find.h"
#include "module/log.h"
#include "module/settings.h"

extern const struct module imfile_module;

enum { LINES_MAX = 4096, WAIT_S = 3, INPUTS_MAX = 4 };

/* What the tests wait on. */
struct catch {
        struct sink sink;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        char *lines[LINES_MAX];
        size_t count;
        bool holds; /* batches are kept, as by a queue that does not get on */
        struct batch *held[LINES_MAX];
        size_t held_count;
        unsigned done; /* posted calls that have run */
};

static char directory[64];
static struct catch caught;
static struct loop *loop;
static struct batch_pool *pool;
static struct intake intake;
static struct round_hook flush_hook;
static pthread_t thread;
static struct input_host host;
static struct host_facts facts;
static void *shared;
static void *module_settings;
static void *inputs[INPUTS_MAX], *instances[INPUTS_MAX];
static unsigned input_count;
static char reported[16][512];
static unsigned report_count;

/* ---- What the rest of the daemon would be ------------------------------- */

static void on_report(struct module_log *log _unused_, int severity _unused_, int code _unused_,
                      const char *param _unused_, const char *line) {
        if (report_count < ARRAY_SIZE(reported))
                snprintf(reported[report_count++], sizeof reported[0], "%s", line);
}
static struct module_log module_log = {.emit = on_report};

static void catch_record(struct batch *b, const struct record *r) {
        _owned_(buffer_fini) struct buffer line = {0};
        buffer_text(&line, batch_text(b, r->raw));
        if (r->tree[TREE_MESSAGE]) {
                const struct json *metadata = json_get(r->tree[TREE_MESSAGE], TEXT("metadata"));
                struct text path = json_get(metadata, TEXT("filename"))->string;
                struct text base = text_slice(path, strlen(directory) + 1, path.size);
                buffer_format(&line, "|%.*s|%.*s", TEXT_ARGS(base),
                              TEXT_ARGS(json_get(metadata, TEXT("fileoffset"))->string));
        }
        if (caught.count < LINES_MAX)
                caught.lines[caught.count++] = text_copy(buffer_as_text(&line));
}

static void catch_batch(struct sink *sink _unused_, struct batch *b, enum flow flow) {
        assert(flow == FLOW_FULL);
        pthread_mutex_lock(&caught.lock);
        for (uint32_t i = 0; i < b->count; i++)
                catch_record(b, &b->records[i]);
        bool holds = caught.holds && caught.held_count < LINES_MAX;
        if (holds)
                caught.held[caught.held_count++] = b;
        pthread_cond_broadcast(&caught.changed);
        pthread_mutex_unlock(&caught.lock);
        if (!holds)
                batch_unref(b);
}

static void release_held(void) {
        for (size_t i = caught.held_count; i-- > 0;) /* in the wrong order, as several workers may */
                batch_unref(caught.held[i]);
        caught.held_count = 0;
}

static void flush(struct round_hook *hook _unused_) {
        intake_flush(&intake);
}

static void *run(void *argument _unused_) {
        loop_run(loop);
        return NULL;
}

static bool await(const size_t *number, size_t wanted, int seconds) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += seconds;
        pthread_mutex_lock(&caught.lock);
        while (*number < wanted && pthread_cond_timedwait(&caught.changed, &caught.lock, &until) == 0)
                ;
        bool is_there = *number >= wanted;
        pthread_mutex_unlock(&caught.lock);
        return is_there;
}

static size_t calls;

static void call_on_loop(void (*function)(void *argument), void *argument) {
        CHECK_INT(loop_post(loop, function, argument), 0);
}

static void count_call(void *argument _unused_) {
        pthread_mutex_lock(&caught.lock);
        calls++;
        pthread_cond_broadcast(&caught.changed);
        pthread_mutex_unlock(&caught.lock);
}

/* Until the loop has run what it was given. */
static void settle_loop(void) {
        size_t wanted = calls + 1;
        call_on_loop(count_call, NULL);
        CHECK(await(&calls, wanted, WAIT_S));
}

static void start_instance(void *instance) {
        imfile_module.input->start(instance);
}

static void stop_instance(void *instance) {
        imfile_module.input->stop(instance);
        intake_flush(&intake);
}

/* ---- Life of a daemon --------------------------------------------------- */

static void set(void *settings, const struct param *params, const char *name, const char *value) {
        _owned_(buffer_fini) struct buffer complaint = {0};
        struct text item = text_of(value);
        struct param_value v = {.items = &item, .count = 1};
        const struct param *param = param_find(params, text_of(name));
        CHECK(param);
        CHECK_INT(settings_set(settings, param, &v, &complaint), 0);
}

static const char *path_of(const char *name) {
        static char paths[8][512];
        static unsigned next;
        char *path = paths[next++ % 8];
        snprintf(path, 512, "%s/%s", directory, name);
        return path;
}

static void begin(void) {
        snprintf(directory, sizeof directory, "/tmp/imfile_test.XXXXXX");
        CHECK(mkdtemp(directory));
        CHECK_INT(mkdir(path_of("state"), 0700), 0);
        pthread_mutex_init(&caught.lock, NULL);
        pthread_cond_init(&caught.changed, NULL);
        caught.sink.push = catch_batch;
        module_settings = settings_new(&imfile_module.module_settings);
        input_count = 0;
        report_count = 0;
}

static void set_module(const char *name, const char *value) {
        set(module_settings, imfile_module.module_settings.params, name, value);
}

/* An input of `file` (in the directory); more parameters in pairs, ended by NULL. */
static void add_input(const char *file, ...) {
        void *settings = settings_new(&imfile_module.settings);
        CHECK(settings);
        const struct param *params = imfile_module.settings.params;
        set(settings, params, "file", path_of(file));
        set(settings, params, "tag", "tag[7]:");
        if (!strpbrk(file, "*?["))
                set(settings, params, "addmetadata", "off");
        va_list args;
        va_start(args, file);
        for (const char *name; (name = va_arg(args, const char *));)
                set(settings, params, name, va_arg(args, const char *));
        va_end(args);
        inputs[input_count++] = settings;
}

static void start_daemon(void) {
        static char state[80];
        snprintf(state, sizeof state, "%s/state", directory);
        facts = (struct host_facts){
                .host_name = "here", .work_directory = state, .message_bytes_max = 128, .oversize_is_reported = true};
        CHECK_INT(loop_new(&loop), 0);
        CHECK_INT(batch_pool_new(&pool), 0);
        intake_init(&intake, &caught.sink, pool, FLOW_NONE);
        flush_hook = (struct round_hook){.run = flush};
        loop_add_hook(loop, &flush_hook);
        static struct intake *intakes[1] = {&intake};
        static struct loop *loops[1];
        loops[0] = loop;
        host = (struct input_host){.log = &module_log,
                                   .module_settings = module_settings,
                                   .loops = 1,
                                   .loop = loops,
                                   .intake = intakes,
                                   .facts = &facts,
                                   .shared = &shared};
        for (unsigned i = 0; i < input_count; i++)
                CHECK_INT(imfile_module.input->open(&instances[i], &host, inputs[i]), 0);
        CHECK_INT(pthread_create(&thread, NULL, run, NULL), 0);
        for (unsigned i = 0; i < input_count; i++)
                call_on_loop(start_instance, instances[i]);
        settle_loop();
}

static void stop_daemon(void) {
        for (unsigned i = 0; i < input_count; i++)
                call_on_loop(stop_instance, instances[i]);
        settle_loop();
        loop_stop(loop);
        pthread_join(thread, NULL);
        for (unsigned i = 0; i < input_count; i++)
                imfile_module.input->close(instances[i]);
        CHECK(!shared);
        intake_fini(&intake);
        loop = loop_free(loop);
        pool = batch_pool_unref(pool);
}

static void forget_caught(void) {
        for (size_t i = 0; i < caught.count; i++)
                free(caught.lines[i]);
        caught.count = 0;
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static void end(void) {
        forget_caught();
        for (unsigned i = 0; i < input_count; i++)
                settings_free(&imfile_module.settings, inputs[i]);
        module_settings = settings_free(&imfile_module.module_settings, module_settings);
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void append(const char *name, const char *content) {
        _owned_(descriptor_close) int fd = -1;
        CHECK_INT(file_open(&fd, path_of(name), O_WRONLY | O_CREAT | O_APPEND, 0600), 0);
        CHECK_INT(file_write_all(fd, content, strlen(content)), 0);
}

static void move(const char *from, const char *to) {
        CHECK_INT(rename(path_of(from), path_of(to)), 0);
}

/* Waits for what must come, then checks that it came in this order and nothing else. */
static void expect(const char *first, ...) {
        const char *wanted[64] = {first};
        size_t count = 1;
        va_list args;
        va_start(args, first);
        while ((wanted[count] = va_arg(args, const char *)))
                count++;
        va_end(args);
        await(&caught.count, count, WAIT_S);
        settle_loop();
        pthread_mutex_lock(&caught.lock);
        size_t i = 0;
        while (i < count && i < caught.count && strcmp(caught.lines[i], wanted[i]) == 0)
                i++;
        bool holds = i == count && caught.count == count;
        if (!holds)
                printf("# record %zu of %zu is \"%s\", wanted \"%s\"\n", i, caught.count,
                       i < caught.count ? caught.lines[i] : "(none)", i < count ? wanted[i] : "(none)");
        forget_caught();
        pthread_mutex_unlock(&caught.lock);
        CHECK(holds);
}

static unsigned state_files(void) {
        struct state_store store;
        CHECK_INT(state_store_open(&store, path_of("state")), 0);
        unsigned count = (unsigned)store.count;
        state_store_close(&store);
        return count;
}

/* ---- Promises ----------------------------------------------------------- */

static void lines_become_messages_and_empty_ones_do_not(void) {
        begin();
        append("a", "one\n\ntwo\r\nthree\n");
        add_input("a", NULL);
        start_daemon();
        expect("one", "two\r", "three", NULL);
        append("a", "four\n");
        expect("four", NULL);
        stop_daemon();
        end();
}

static void an_unfinished_line_waits_for_its_end(void) {
        begin();
        append("a", "one\ntw");
        add_input("a", NULL);
        start_daemon();
        expect("one", NULL);
        append("a", "o");
        append("a", "\n");
        expect("two", NULL);
        stop_daemon();
        end();
}

static void a_long_line_is_cut_and_the_next_is_whole(void) {
        begin();
        char line[20002];
        memset(line, 'x', sizeof line);
        line[20000] = '\n';
        line[20001] = '\0';
        append("a", line);
        append("a", "next\n");
        add_input("a", NULL);
        start_daemon();
        line[128] = '\0';
        expect(line, "next", NULL);
        stop_daemon();
        CHECK(strstr(reported[0], "message too long"));
        end();
}

static void a_rotated_file_is_read_to_its_end_before_the_new_one(void) {
        begin();
        append("a.log", "one\n");
        add_input("a.log", NULL);
        start_daemon();
        expect("one", NULL);
        append("a.log", "two\nunfini");
        move("a.log", "a.log.1");
        append("a.log.1", "shed\nlate\n");
        append("a.log", "new\n");
        expect("two", "unfinished", "late", "new", NULL);
        append("a.log.1", "straggler\n");
        expect("straggler", NULL);
        stop_daemon();
        end();
}

static void what_a_rotated_file_left_unfinished_is_not_lost(void) {
        begin();
        append("a.log", "one\npart");
        add_input("a.log", NULL);
        start_daemon();
        expect("one", NULL);
        move("a.log", "a.log.1");
        append("a.log", "new\n");
        await(&caught.count, 2, WAIT_S);
        expect("new", "part", NULL);
        stop_daemon();
        end();
}

static void a_truncated_file_is_read_again_from_its_start(void) {
        begin();
        append("a", "one\ntwo\n");
        add_input("a", NULL);
        start_daemon();
        expect("one", "two", NULL);
        CHECK_INT(truncate(path_of("a"), 0), 0);
        append("a", "new\n");
        expect("new", NULL);
        stop_daemon();
        end();
}

static void a_deleted_file_gives_its_last_line_and_its_state(void) {
        begin();
        append("a", "one\nlast");
        add_input("a", "persiststateinterval", "1", NULL);
        start_daemon();
        expect("one", NULL);
        CHECK_INT(unlink(path_of("a")), 0);
        expect("last", NULL);
        append("a", "other\n");
        expect("other", NULL);
        CHECK_INT(unlink(path_of("a")), 0);
        for (unsigned i = 0; i < 1000 && state_files(); i++)
                settle_loop();
        CHECK_INT(state_files(), 0);
        stop_daemon();
        end();
}

static void a_restart_goes_on_where_it_stopped(void) {
        begin();
        append("a", "one\ntwo\npart");
        add_input("a", NULL);
        start_daemon();
        expect("one", "two", NULL);
        stop_daemon();
        CHECK_INT(state_files(), 1);
        append("a", "ial\nthree\n");
        start_daemon();
        expect("partial", "three", NULL);
        stop_daemon();
        end();
}

static void what_was_not_finished_comes_again_after_a_crash(void) {
        begin();
        append("a", "one\n");
        add_input("a", "persiststateinterval", "1", NULL);
        start_daemon();
        expect("one", NULL);
        stop_daemon();
        append("a", "two\n");
        caught.holds = true;
        start_daemon();
        expect("two", NULL);
        append("a", "three\n");
        expect("three", NULL);
        _owned_(buffer_fini) struct buffer saved = {0};
        char state[128];
        struct file_facts f;
        CHECK_INT(file_facts_of_path(&f, path_of("a")), 0);
        snprintf(state, sizeof state, "state/imfile-state:%llu", (unsigned long long)f.inode);
        CHECK_INT(file_read_whole(path_of(state), 10000, &saved), 0);
        caught.holds = false;
        release_held();
        stop_daemon();
        /* As it lay on the disk before the batches were finished: */
        CHECK_INT(file_replace(path_of(state), buffer_as_text(&saved), 0600), 0);
        start_daemon();
        expect("two", "three", NULL);
        stop_daemon();
        end();
}

static void batches_that_finish_after_the_stop_still_count(void) {
        begin();
        append("a", "one\n");
        add_input("a", NULL);
        caught.holds = true;
        start_daemon();
        expect("one", NULL);
        append("a", "two\n");
        expect("two", NULL);
        struct batch_pool *kept = pool;
        (void)kept;
        stop_daemon();
        CHECK_INT(state_files(), 0);
        caught.holds = false;
        release_held();
        CHECK_INT(state_files(), 1);
        append("a", "three\n");
        start_daemon();
        expect("three", NULL);
        stop_daemon();
        end();
}

static void rotation_while_we_were_down_loses_nothing(void) {
        begin();
        append("a.log", "one\n");
        add_input("a.log", NULL);
        start_daemon();
        expect("one", NULL);
        stop_daemon();
        append("a.log", "two\n");
        move("a.log", "a.log.1");
        append("a.log", "three\n");
        start_daemon();
        expect("two", "three", NULL);
        stop_daemon();
        end();
}

static void a_new_file_with_an_old_number_is_read_from_its_start(void) {
        begin();
        append("a", "one\ntwo\n");
        add_input("a", NULL);
        start_daemon();
        expect("one", "two", NULL);
        stop_daemon();
        CHECK_INT(truncate(path_of("a"), 0), 0);
        append("a", "ONE\nTWO\nTHREE\n");
        start_daemon();
        expect("ONE", "TWO", "THREE", NULL);
        stop_daemon();
        end();
}

static void write_state(const char *file, const char *suffix, const char *rest) {
        struct file_facts f;
        char name[128], content[512];
        CHECK_INT(file_facts_of_path(&f, path_of(file)), 0);
        snprintf(name, sizeof name, "state/imfile-state:%llu%s", (unsigned long long)f.inode, suffix);
        snprintf(content, sizeof content, "{ \"filename\": \"%s\", \"prev_was_nl\": 0, %s }", path_of(file), rest);
        CHECK_INT(file_replace(path_of(name), text_of(content), 0600), 0);
}

static void rsyslogs_state_files_are_honoured_and_replaced(void) {
        begin();
        append("a", "one\ntwo\nthree\n");
        append("b", "one\ntwo\n");
        write_state("a", ":b40d034636c93e1c", "\"curr_offs\": 8, \"strt_offs\": 8");
        write_state("b", "", "\"curr_offs\": 6, \"strt_offs\": 4, \"prev_line_segment\": \"tw\"");
        add_input("a", NULL);
        add_input("b", NULL);
        start_daemon();
        await(&caught.count, 2, WAIT_S);
        expect("three", "two", NULL);
        stop_daemon();
        CHECK_INT(state_files(), 2);
        append("a", "four\n");
        start_daemon();
        expect("four", NULL);
        stop_daemon();
        end();
}

static void an_unfinished_message_of_rsyslogs_is_finished(void) {
        begin();
        append("a", "S one\n two\n three\nS next\n");
        write_state("a", "", "\"curr_offs\": 11, \"strt_offs\": 6, \"prev_msg_segment\": \"S one\\\\n two\"");
        add_input("a", "startmsg.regex", "^S", NULL);
        start_daemon();
        expect("S one\\n two\\n three", NULL);
        stop_daemon();
        end();
}

static void wildcards_find_files_in_directories_that_appear(void) {
        begin();
        add_input("d*/x?.log", NULL);
        start_daemon();
        CHECK_INT(mkdir(path_of("d1"), 0700), 0);
        append("d1/x1.log", "first\n");
        expect("first|d1/x1.log|0", NULL);
        append("d1/other", "no\n");
        CHECK_INT(mkdir(path_of("e"), 0700), 0);
        append("e/x1.log", "no\n");
        append("d1/x1.log", "second\n");
        append("d1/x2.log", "third\n");
        await(&caught.count, 2, WAIT_S);
        expect("second|d1/x1.log|6", "third|d1/x2.log|0", NULL);
        stop_daemon();
        end();
}

static void a_directory_that_is_made_again_is_found_again(void) {
        begin();
        CHECK_INT(mkdir(path_of("d"), 0700), 0);
        append("d/a", "one\n");
        add_input("d/a", NULL);
        start_daemon();
        expect("one", NULL);
        CHECK_INT(unlink(path_of("d/a")), 0);
        CHECK_INT(rmdir(path_of("d")), 0);
        settle_loop();
        CHECK_INT(mkdir(path_of("d"), 0700), 0);
        append("d/a", "two\n");
        expect("two", NULL);
        stop_daemon();
        end();
}

static void a_renamed_file_that_still_fits_is_not_read_twice(void) {
        begin();
        append("a.log", "one\n");
        add_input("a.log*", NULL);
        start_daemon();
        expect("one|a.log|0", NULL);
        move("a.log", "a.log.1");
        append("a.log", "two\n");
        expect("two|a.log|0", NULL);
        append("a.log.1", "three\n");
        expect("three|a.log.1|4", NULL);
        stop_daemon();
        end();
}

static void a_link_is_followed_when_its_target_is_rotated(void) {
        begin();
        CHECK_INT(mkdir(path_of("target"), 0700), 0);
        append("target/0.log", "one\n");
        CHECK_INT(symlink("target/0.log", path_of("middle")), 0);
        CHECK_INT(symlink("middle", path_of("link.log")), 0);
        add_input("*.log", NULL);
        start_daemon();
        expect("one|link.log|0", NULL);
        append("target/0.log", "two\n");
        move("target/0.log", "target/0.log.old");
        append("target/0.log", "three\n");
        expect("two|link.log|4", "three|link.log|0", NULL);
        stop_daemon();
        end();
}

static void what_comes_while_we_are_down_is_not_taken_for_old(void) {
        begin();
        append("a", "old\n");
        append("b", "");
        add_input("?", "freshstarttail", "on", "addmetadata", "off", NULL);
        start_daemon();
        stop_daemon();
        append("a", "new\n");
        append("b", "newer\n");
        start_daemon();
        await(&caught.count, 2, WAIT_S);
        settle_loop();
        CHECK_INT(caught.count, 2);
        stop_daemon();
        end();
}

static void two_inputs_of_one_file_keep_their_own_positions(void) {
        begin();
        append("a", "one\n");
        add_input("a", NULL);
        add_input("[a]", NULL);
        start_daemon();
        await(&caught.count, 2, WAIT_S);
        settle_loop();
        CHECK_INT(caught.count, 2);
        forget_caught();
        stop_daemon();
        CHECK_INT(state_files(), 2);
        start_daemon();
        append("a", "two\n");
        await(&caught.count, 2, WAIT_S);
        settle_loop();
        CHECK_INT(caught.count, 2);
        stop_daemon();
        CHECK_INT(state_files(), 2);
        end();
}

static void polling_finds_what_inotify_would_tell(void) {
        begin();
        set_module("mode", "polling");
        set_module("pollinginterval", "1");
        append("a", "one\n");
        add_input("*", "addmetadata", "off", NULL);
        start_daemon();
        expect("one", NULL);
        append("a", "two\n");
        expect("two", NULL);
        stop_daemon();
        end();
}

static void too_many_watches_are_made_up_for_by_polling(void) {
        begin();
        set_module("maxinotifywatches", "1");
        set_module("inotifyfallbackinterval", "1");
        append("a", "one\n");
        add_input("a", NULL);
        start_daemon();
        expect("one", NULL);
        append("a", "two\n");
        expect("two", NULL);
        stop_daemon();
        CHECK(strstr(reported[0], "cannot watch"));
        end();
}

static void a_fresh_start_can_begin_at_the_tail(void) {
        begin();
        append("a", "old\n");
        add_input("?", "freshstarttail", "on", "addmetadata", "off", NULL);
        start_daemon();
        append("a", "new\n");
        append("b", "whole\n");
        await(&caught.count, 2, WAIT_S);
        expect("new", "whole", NULL);
        stop_daemon();
        end();
}

static void a_missing_file_is_reported(void) {
        begin();
        add_input("missing", NULL);
        start_daemon();
        stop_daemon();
        CHECK_INT(report_count, 1);
        CHECK(strstr(reported[0], "does not exist but is configured in static file monitor"));
        end();
}

static void old_files_sleep_until_they_are_written_to(void) {
        begin();
        append("a", "one\n");
        struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        CHECK_INT(utimensat(AT_FDCWD, path_of("a"), old, 0), 0);
        add_input("a", "ignoreolderthan", "3600", NULL);
        start_daemon();
        settle_loop();
        CHECK_INT(caught.count, 0);
        append("a", "two\n");
        expect("one", "two", NULL);
        stop_daemon();
        end();
}

static void lines_beyond_the_minutes_limit_are_discarded(void) {
        begin();
        append("a", "abcde 1\nabcde 2\nabcde 3\n");
        append("b", "abcde 1\nabcde 2\nabcde 3\n");
        add_input("a", "maxlinesperminute", "1", NULL);
        start_daemon();
        expect("abcde 1", NULL);
        stop_daemon();
        end();
        begin();
        append("b", "abcde 1\nabcde 2\nabcde 3\n");
        add_input("b", "maxbytesperminute", "20", NULL);
        start_daemon();
        expect("abcde 1", "abcde 2", NULL);
        stop_daemon();
        end();
}

static void a_timeout_ends_a_message_of_several_lines(void) {
        begin();
        append("a", "S one\n two\n");
        add_input("a", "startmsg.regex", "^S", "readtimeout", "1", NULL);
        start_daemon();
        expect("S one\\n two", NULL);
        append("a", "more\nS two\n");
        expect("more", NULL);
        stop_daemon();
        end();
}

static void records_carry_what_rsyslogs_carry(void) {
        begin();
        append("a", "text\n");
        add_input("a", "facility", "mail", "severity", "err", NULL);
        caught.holds = true;
        start_daemon();
        expect("text", NULL);
        struct batch *b = caught.held[0];
        const struct record *r = &b->records[0];
        CHECK_TEXT(batch_text(b, r->msg), "text");
        CHECK_TEXT(batch_text(b, r->tag), "tag[7]:");
        CHECK_TEXT(batch_text(b, r->host), "here");
        CHECK_INT(r->facility, 2);
        CHECK_INT(r->severity, 3);
        CHECK_INT(r->flags, RECORD_IS_PARSED | RECORD_PARSE_FAILED);
        CHECK(r->reported.is_set);
        CHECK_TEXT(text_of(r->source->input_name), "imfile");
        CHECK_TEXT(text_of(r->source->address), "");
        caught.holds = false;
        stop_daemon();
        release_held();
        end();
}

static void lines_that_need_a_parser_hold_no_host_name(void) {
        begin();
        append("a", "<13>Nov 11 11:11:11 tag: text\n");
        add_input("a", "needparse", "on", NULL);
        caught.holds = true;
        start_daemon();
        expect("<13>Nov 11 11:11:11 tag: text", NULL);
        CHECK_INT(caught.held[0]->records[0].flags, RECORD_NO_HOSTNAME);
        caught.holds = false;
        stop_daemon();
        release_held();
        end();
}

/* ---- Messages of several lines, as rsyslog makes them ---------------------- */

#define FIFTY "0123456789012345678901234567890123456789012345678"

static void check_mode(const char *content, const char *const *pairs, const char *const *wanted) {
        begin();
        append("a", content);
        add_input("a", "addmetadata", "on", NULL);
        for (; pairs[0]; pairs += 2)
                set(inputs[0], imfile_module.settings.params, pairs[0], pairs[1]);
        start_daemon();
        size_t count = 0;
        while (wanted[count])
                count++;
        await(&caught.count, count, WAIT_S);
        settle_loop();
        settle_loop();
        for (size_t i = 0; i < count; i++)
                CHECK_TEXT(text_of(i < caught.count ? caught.lines[i] : "(none)"), wanted[i]);
        CHECK_INT(caught.count, count);
        stop_daemon();
        end();
}
#define PAIRS(...)  ((const char *const[]){__VA_ARGS__, NULL, NULL})
#define WANTED(...) ((const char *const[]){__VA_ARGS__, NULL})

static void an_empty_line_ends_a_paragraph(void) {
        check_mode("\n\n\nA\nB\n\nC\n\n\n\n D\n", PAIRS("readmode", "1"), WANTED("A#012B|a|3", "C|a|8"));
        check_mode("A\nB\n\n", PAIRS("readmode", "1", "escapelf.replacement", "[LF]"), WANTED("A[LF]B|a|0"));
}

static void indented_lines_belong_to_the_one_before(void) {
        check_mode("\n\n a\n\nb\n\t\n\n c\n", PAIRS("readmode", "2"), WANTED(" a|a|2", "b#012\t|a|6"));
        check_mode("h1\n c1\nh2\n", PAIRS("readmode", "2", "escapelf", "off"), WANTED("h1\n c1\n|a|0"));
        check_mode("hh 0123456789\n c\nshort\nx\n", PAIRS("readmode", "2", "trimlineoverbytes", "10"),
                   WANTED("hh 0123456\n|a|0", "short|a|17"));
}

static void a_match_begins_a_message(void) {
        check_mode("\nx\n\nS1\n\nS2\n", PAIRS("startmsg.regex", "^S"), WANTED("\\nx\\n|a|0", "S1\\n|a|4"));
        check_mode("S1\n c1\nS2\n", PAIRS("startmsg.regex", "^S", "escapelf.replacement", ""), WANTED("S1 c1|a|0"));
        check_mode("S1\n c1\nS2\n", PAIRS("startmsg.regex", "^S", "escapelf", "off"), WANTED("S1\n c1|a|0"));
}

static void a_match_ends_a_message(void) {
        check_mode("\nx\n\nE1\n\nE2\n\nlast", PAIRS("endmsg.regex", "^E"), WANTED("\\nx\\n\\nE1|a|0", "\\nE2|a|7"));
        check_mode("a\nb END\nc\nd END\n", PAIRS("endmsg.regex", "END$", "addceetag", "on"),
                   WANTED("@cee:a\\nb END|a|0", "@cee:c\\nd END|a|8"));
}

static void a_message_that_grows_too_long_is_cut_or_its_rest_discarded(void) {
        /* 128 bytes: 49, the separator, 49, the separator, 26; the other 23 go on. */
        check_mode("S" FIFTY "\n" FIFTY "\n" FIFTY "\nS2\nS3\n", PAIRS("startmsg.regex", "^S"),
                   WANTED("S" FIFTY "\\n" FIFTY "\\n"
                          "0123456789012345678901234|a|0",
                          "567890123456789012345678|a|126", "S2|a|151"));
        check_mode("S" FIFTY "\n" FIFTY "\n" FIFTY "\nmore\nS2\nS3\n",
                   PAIRS("startmsg.regex", "^S", "discardtruncatedmsg", "on"),
                   WANTED("S" FIFTY "\\n" FIFTY "\\n"
                          "0123456789012345678901234|a|0",
                          "S2|a|156"));
}

static void long_lines_are_trimmed_as_rsyslog_does(void) {
        check_mode("0123456789abc\nshort\n0123456789\n", PAIRS("trimlineoverbytes", "10"),
                   WANTED("0123456789\n|a|0", "short|a|14", "0123456789|a|20"));
}

TEST_MAIN(TEST(lines_become_messages_and_empty_ones_do_not), TEST(an_unfinished_line_waits_for_its_end),
          TEST(a_long_line_is_cut_and_the_next_is_whole), TEST(a_rotated_file_is_read_to_its_end_before_the_new_one),
          TEST(what_a_rotated_file_left_unfinished_is_not_lost), TEST(a_truncated_file_is_read_again_from_its_start),
          TEST(a_deleted_file_gives_its_last_line_and_its_state), TEST(a_restart_goes_on_where_it_stopped),
          TEST(what_was_not_finished_comes_again_after_a_crash), TEST(batches_that_finish_after_the_stop_still_count),
          TEST(rotation_while_we_were_down_loses_nothing), TEST(a_new_file_with_an_old_number_is_read_from_its_start),
          TEST(rsyslogs_state_files_are_honoured_and_replaced), TEST(an_unfinished_message_of_rsyslogs_is_finished),
          TEST(wildcards_find_files_in_directories_that_appear), TEST(a_directory_that_is_made_again_is_found_again),
          TEST(a_renamed_file_that_still_fits_is_not_read_twice), TEST(a_link_is_followed_when_its_target_is_rotated),
          TEST(what_comes_while_we_are_down_is_not_taken_for_old),
          TEST(two_inputs_of_one_file_keep_their_own_positions), TEST(polling_finds_what_inotify_would_tell),
          TEST(too_many_watches_are_made_up_for_by_polling), TEST(a_fresh_start_can_begin_at_the_tail),
          TEST(a_missing_file_is_reported), TEST(old_files_sleep_until_they_are_written_to),
          TEST(lines_beyond_the_minutes_limit_are_discarded), TEST(a_timeout_ends_a_message_of_several_lines),
          TEST(records_carry_what_rsyslogs_carry), TEST(lines_that_need_a_parser_hold_no_host_name),
          TEST(an_empty_line_ends_a_paragraph), TEST(indented_lines_belong_to_the_one_before),
          TEST(a_match_begins_a_message), TEST(a_match_ends_a_message),
          TEST(a_message_that_grows_too_long_is_cut_or_its_rest_discarded),
          TEST(long_lines_are_trimmed_as_rsyslog_does))
