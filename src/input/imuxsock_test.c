#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "input/local_bench.h"
#include "io/unix.h"

/* A program that logs to the bench's socket "s". */
static int connect_to(const struct local_bench *b) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        bench_path(b, address.sun_path, sizeof address.sun_path, "s");
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
        return fd;
}

static void write_to(int fd, const char *text) {
        CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
}

/* The kernel lets few datagrams wait, so that many are written from a thread of their own. */
struct writer {
        pthread_t thread;
        int fd;
        unsigned count;
        const char *(*text)(unsigned i);
};

static void *writer_run(void *argument) {
        struct writer *w = argument;
        for (unsigned i = 0; i < w->count; i++) {
                const char *text = w->text(i);
                if (send(w->fd, text, strlen(text), 0) < 0)
                        break;
        }
        return NULL;
}

static void writer_begin(struct writer *w, int fd, unsigned count, const char *(*text)(unsigned i)) {
        *w = (struct writer){.fd = fd, .count = count, .text = text};
        CHECK(pthread_create(&w->thread, NULL, writer_run, w) == 0);
}

static void writer_end(struct writer *w) {
        pthread_join(w->thread, NULL);
        close(w->fd);
}

#define OPEN(bench, settings) bench_open((bench), &imuxsock_module, "", "socket=@/s|ignoreownmessages=off|" settings)

struct local_case {
        const char *raw;
        const char *tag;
        const char *msg;
};

static const struct local_case syslog_cases[] = {
        {"<13>Oct 11 22:14:15 su: local", "su:", " local"},
        {"<13>Oct 11 22:14:15 su[99]: local", "su[99]:", " local"},
        {"<13>Oct 11 22:14:15 h su: local", "h", " su: local"},
        {"<13>su: nodate", "su:", " nodate"},
        {"<13>a:b c: d", "a:b", " c: d"},
        {"<13>", "", ""},
        {"<13>Oct 11 22:14:15", "", ""},
        {"<13>1 2026-10-11T22:14:15Z h app 1 ID - x", "1", " 2026-10-11T22:14:15Z h app 1 ID - x"},
        {"<13>Oct 11 22:14:15 su: a\tb\n", "su:", " a#011b"},
        {"<13>Oct 11 22:14:15  su: two", "", " su: two"},
        {"<13> Oct 11 22:14:15 su: lead", "", " Oct 11 22:14:15 su: lead"},
        {"<13>{\"a\":1}", "{\"a\":1}", ""},
        {"<192>Oct 11 22:14:15 su: x", "su:", " x"},
        /* rsyslogd takes the first two characters for a PRI here. */
        {"nopri here", "nopri", " here"},
};

static const char *syslog_case(unsigned i) {
        return i < ARRAY_SIZE(syslog_cases) ? syslog_cases[i].raw : "";
}

static void messages_of_syslog_are_taken(void) {
        const struct local_case *cases = syslog_cases;
        enum { COUNT = ARRAY_SIZE(syslog_cases) };
        struct local_bench b;
        OPEN(&b, "");
        struct writer w;
        writer_begin(&w, connect_to(&b), COUNT + 1, syslog_case); /* the last one is empty */
        bench_wait(&b, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
                CHECK_TEXT(SEEN(&b, i, tag), cases[i].tag);
                CHECK_TEXT(SEEN(&b, i, msg), cases[i].msg);
                CHECK(b.seen[i].record->flags & RECORD_IS_PARSED);
        }
        const struct record *r = b.seen[0].record;
        CHECK_TEXT(text_of(r->source->input_name), "imuxsock");
        CHECK_TEXT(text_of(r->source->address), "127.0.0.1");
        CHECK_TEXT(text_of(source_host(r->source)), "thishost");
        CHECK_INT(r->facility, 1);
        CHECK_INT(r->severity, 5);
        CHECK_INT(counter_get(&b.counters[0]), COUNT);
        writer_end(&w);
        bench_close(&b);
}

static void the_time_is_that_of_reception_unless_the_message_may_say(void) {
        struct local_bench b;
        OPEN(&b, "");
        int64_t before_us = clock_wall_us();
        int fd = connect_to(&b);
        write_to(fd, "<13>Jan  1 00:00:00 su: x");
        bench_wait(&b, 1);
        const struct record *r = b.seen[0].record;
        CHECK(r->received_us >= before_us - 10000 && r->received_us <= clock_wall_us());
        struct stamp received = stamp_of_wall(r->received_us);
        CHECK(memcmp(&r->reported, &received, sizeof received) == 0);
        close(fd);
        bench_close(&b);

        OPEN(&b, "ignoretimestamp=off|usesystimestamp=off");
        fd = connect_to(&b);
        write_to(fd, "<13>Jan  1 02:03:04 su: x");
        write_to(fd, "<13>2020-02-03T04:05:06.7Z su: x");
        bench_wait(&b, 2);
        CHECK_INT(b.seen[0].record->reported.hour, 2);
        CHECK_INT(b.seen[1].record->reported.year, 2020);
        CHECK(b.seen[1].record->reported.is_utc);
        CHECK_TEXT(SEEN(&b, 1, tag), "su:");
        close(fd);
        bench_close(&b);
}

static void the_tag_can_show_the_real_process_id(void) {
        static const char *const tags[] = {"<13>su: x", "<13>su[99]: x", "<13>su x", "<13>su[9]y: x"};
        struct local_bench b;
        OPEN(&b, "usepidfromsystem=on");
        int fd = connect_to(&b);
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
                write_to(fd, tags[i]);
        write_to(fd, "<13> x");
        bench_wait(&b, ARRAY_SIZE(tags) + 1);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "su[%d]:", getpid());
        for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
                CHECK_TEXT(SEEN(&b, i, tag), wanted);
        CHECK_TEXT(SEEN(&b, ARRAY_SIZE(tags), tag), "");
        close(fd);
        bench_close(&b);
}

static void a_message_can_be_annotated_with_its_sender(void) {
        struct local_bench b;
        OPEN(&b, "annotate=on");
        int fd = connect_to(&b);
        write_to(fd, "<13>su: x");
        bench_wait(&b, 1);
        struct text msg = SEEN(&b, 0, msg);
        char wanted[128];
        snprintf(wanted, sizeof wanted, " x @[_PID=%d _UID=%u _GID=%u _COMM=imuxsock_test _EXE=/", getpid(), getuid(),
                 getgid());
        CHECK(text_starts(msg, text_of(wanted)));
        CHECK(text_find(msg, TEXT(" _CMDLINE=\"")) > 0);
        CHECK(text_ends(msg, TEXT("imuxsock_test \"]")));
        close(fd);
        bench_close(&b);
}

static void trusted_properties_can_be_set_as_fields(void) {
        struct local_bench b;
        OPEN(&b, "annotate=on|parsetrusted=on");
        int fd = connect_to(&b);
        write_to(fd, "<13>su: x");
        bench_wait(&b, 1);
        CHECK_TEXT(SEEN(&b, 0, msg), " x");
        const struct json *tree = b.seen[0].record->tree[TREE_MESSAGE];
        CHECK(tree);
        CHECK_INT(json_get(tree, TEXT("pid"))->integer, getpid());
        CHECK_INT(json_get(tree, TEXT("uid"))->integer, (long long)getuid());
        CHECK_TEXT(json_get(tree, TEXT("appname"))->string, "imuxsock_test");
        CHECK(json_get(tree, TEXT("exe")) && json_get(tree, TEXT("cmd")));
        close(fd);
        bench_close(&b);
}

static void own_messages_are_ignored(void) {
        struct local_bench b;
        bench_open(&b, &imuxsock_module, "", "socket=@/s");
        int fd = connect_to(&b);
        write_to(fd, "<13>su: mine");
        CHECK(loop_arm(b.loop, &b.guard, clock_mono_ns() + 50 * 1000000) == 0);
        b.wanted = 1;
        CHECK(loop_run(b.loop) == 0);
        CHECK_INT(b.seen_count, 0);
        close(fd);
        bench_close(&b);
}

static void a_process_that_writes_too_much_is_limited(void) {
        struct local_bench b;
        OPEN(&b, "ratelimit.interval=60|ratelimit.burst=3|ratelimit.severity=5");
        int fd = connect_to(&b);
        for (int i = 0; i < 6; i++)
                write_to(fd, "<13>su: notice");
        write_to(fd, "<11>su: error");
        bench_wait(&b, 4);
        CHECK_INT(b.seen_count, 4);
        CHECK_INT(b.seen[3].record->severity, 3);
        CHECK_INT(counter_get(&b.counters[1]), 3);
        CHECK_INT(counter_get(&b.counters[2]), 1);
        CHECK_INT(b.said_count, 1);
        char wanted[64];
        snprintf(wanted, sizeof wanted, "imuxsock[pid: %d, name: ", getpid());
        CHECK(text_starts(text_of(b.said[0]), text_of(wanted)));
        CHECK(text_ends(text_of(b.said[0]), TEXT("]: begin to drop messages due to rate-limiting")));
        close(fd);
        bench_close(&b);
}

static void without_the_special_parser_the_chain_is_told_what_to_expect(void) {
        struct local_bench b;
        OPEN(&b, "usespecialparser=off");
        int fd = connect_to(&b);
        write_to(fd, "<13>Oct 11 22:14:15 su: x\n");
        bench_wait(&b, 1);
        CHECK_INT(b.seen[0].record->flags, RECORD_NO_HOSTNAME | RECORD_IGNORE_DATE);
        CHECK_TEXT(SEEN(&b, 0, raw), "<13>Oct 11 22:14:15 su: x\n");
        close(fd);
        bench_close(&b);
        OPEN(&b, "usespecialparser=off|parsehostname=on|ignoretimestamp=off|hostname=jail");
        fd = connect_to(&b);
        write_to(fd, "<13>Oct 11 22:14:15 h su: x");
        bench_wait(&b, 1);
        CHECK_INT(b.seen[0].record->flags, 0);
        CHECK_TEXT(text_of(source_host(b.seen[0].record->source)), "jail");
        close(fd);
        bench_close(&b);
}

static const char *numbered(unsigned i) {
        static char text[32];
        snprintf(text, sizeof text, "<13>su: %u", i);
        return text;
}

static void a_burst_larger_than_one_call_arrives_whole_and_in_order(void) {
        enum { MANY = 100 };
        struct local_bench b;
        OPEN(&b, "");
        struct writer w;
        writer_begin(&w, connect_to(&b), MANY, numbered);
        bench_wait(&b, MANY);
        writer_end(&w);
        for (unsigned i = 0; i < MANY; i++) {
                char wanted[32];
                snprintf(wanted, sizeof wanted, " %u", i);
                CHECK_TEXT(SEEN(&b, i, msg), wanted);
        }
        bench_close(&b);
}

static void a_long_message_is_cut(void) {
        struct local_bench b;
        bench_prepare(&b, &imuxsock_module, "", "socket=@/s|ignoreownmessages=off");
        b.facts.message_bytes_max = 128;
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == 0);
        CHECK(imuxsock_module.input->start(b.instance) == 0);
        int fd = connect_to(&b);
        char text[400];
        memset(text, 'a', sizeof text);
        memcpy(text, "<13>su: ", 8);
        CHECK(send(fd, text, sizeof text, 0) == sizeof text);
        bench_wait(&b, 1);
        CHECK_INT(SEEN(&b, 0, raw).size, 128);
        close(fd);
        bench_close(&b);
}

static void anyone_may_write_and_the_name_goes_with_the_daemon(void) {
        struct local_bench b;
        OPEN(&b, "");
        char path[128];
        bench_path(&b, path, sizeof path, "s");
        struct stat status;
        CHECK(stat(path, &status) == 0);
        CHECK_INT(status.st_mode & 0777, 0666);
        bench_close(&b);
        CHECK(stat(path, &status) < 0);
}

static void what_is_in_the_way_is_removed_only_when_allowed(void) {
        struct local_bench b;
        char path[128];
        bench_prepare(&b, &imuxsock_module, "", "socket=@/s");
        bench_path(&b, path, sizeof path, "s");
        fclose(fopen(path, "w"));
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == 0);
        bench_close(&b);

        bench_prepare(&b, &imuxsock_module, "", "socket=@/s|unlink=off");
        bench_path(&b, path, sizeof path, "s");
        fclose(fopen(path, "w"));
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == -EADDRINUSE);
        CHECK(text_starts(text_of(b.said[0]), TEXT("cannot create '/")));
        unlink(path);
        bench_close(&b);
}

static void missing_directories_are_made_when_asked(void) {
        umask(022);
        struct local_bench b;
        bench_prepare(&b, &imuxsock_module, "", "socket=@/a/b/s");
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == -ENOENT);
        bench_close(&b);
        bench_prepare(&b, &imuxsock_module, "", "socket=@/a/b/s|createpath=on");
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == 0);
        char path[128];
        struct stat status;
        bench_path(&b, path, sizeof path, "a/b");
        CHECK(stat(path, &status) == 0);
        CHECK_INT(status.st_mode & 0777, 0755);
        imuxsock_module.input->stop(b.instance);
        rmdir(path);
        bench_path(&b, path, sizeof path, "a");
        rmdir(path);
        bench_close(&b);
}

static void a_path_that_no_socket_can_have_is_refused(void) {
        struct local_bench b;
        bench_prepare(&b, &imuxsock_module, "",
                      "socket=/a/path/that/is/much/longer/than/the/one/hundred/and/seven/bytes/that/an/address/of/a/"
                      "unix/socket/has/room/for");
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, b.settings) == -ENAMETOOLONG);
        bench_close(&b);
}

static void a_socket_of_the_service_manager_is_used_and_left(void) {
        struct local_bench b;
        char path[128], number[16];
        bench_prepare(&b, &imuxsock_module, "", "socket=@/s|ignoreownmessages=off");
        bench_path(&b, path, sizeof path, "s");
        int made;
        CHECK(unix_bind(&made, path, 0600, true, false) == 0);
        int kept = dup(UNIX_INHERITED_FIRST_FD);
        CHECK(made == UNIX_INHERITED_FIRST_FD || dup2(made, UNIX_INHERITED_FIRST_FD) == UNIX_INHERITED_FIRST_FD);
        snprintf(number, sizeof number, "%d", getpid());
        setenv("LISTEN_PID", number, 1);
        setenv("LISTEN_FDS", "1", 1);
        int found = unix_inherited(path);
        int other = unix_inherited("/no/such/socket");
        setenv("LISTEN_PID", "1", 1);
        int foreign = unix_inherited(path);
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        if (made != UNIX_INHERITED_FIRST_FD && kept >= 0)
                dup2(kept, UNIX_INHERITED_FIRST_FD);
        close(made);
        if (kept >= 0)
                close(kept);
        unlink(path);
        bench_close(&b);
        CHECK_INT(found, UNIX_INHERITED_FIRST_FD);
        CHECK_INT(other, -1);
        CHECK_INT(foreign, -1);
}

static void the_system_socket_needs_no_input(void) {
        struct local_bench b;
        bench_prepare(&b, &imuxsock_module, "syssock.name=@/s|syssock.ignoreownmessages=off", NULL);
        CHECK(imuxsock_module.input->module_instance(b.module_settings));
        CHECK(imuxsock_module.input->open(&b.instance, &b.host, NULL) == 0);
        CHECK(imuxsock_module.input->start(b.instance) == 0);
        int fd = connect_to(&b);
        write_to(fd, "<13>su: x");
        bench_wait(&b, 1);
        CHECK_TEXT(SEEN(&b, 0, tag), "su:");
        close(fd);
        bench_close(&b);
        bench_prepare(&b, &imuxsock_module, "syssock.use=off", NULL);
        CHECK(!imuxsock_module.input->module_instance(b.module_settings));
        bench_close(&b);
        bench_prepare(&b, &imuxsock_module, "omitlocallogging=on", NULL);
        CHECK(!imuxsock_module.input->module_instance(b.module_settings));
        bench_close(&b);
}

TEST_MAIN(TEST(messages_of_syslog_are_taken), TEST(the_time_is_that_of_reception_unless_the_message_may_say),
          TEST(the_tag_can_show_the_real_process_id), TEST(a_message_can_be_annotated_with_its_sender),
          TEST(trusted_properties_can_be_set_as_fields), TEST(own_messages_are_ignored),
          TEST(a_process_that_writes_too_much_is_limited),
          TEST(without_the_special_parser_the_chain_is_told_what_to_expect),
          TEST(a_burst_larger_than_one_call_arrives_whole_and_in_order), TEST(a_long_message_is_cut),
          TEST(anyone_may_write_and_the_name_goes_with_the_daemon),
          TEST(what_is_in_the_way_is_removed_only_when_allowed), TEST(missing_directories_are_made_when_asked),
          TEST(a_path_that_no_socket_can_have_is_refused), TEST(a_socket_of_the_service_manager_is_used_and_left),
          TEST(the_system_socket_needs_no_input))
