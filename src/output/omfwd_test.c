#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/compress.h"
#include "output/omfwd.h"
#include "output/test_output.h"

extern const struct module omfwd_module;

enum { PATIENCE_MS = 20000 };

static struct test_output out;

static void open_with(const char *const *pairs) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfwd_module, NULL, pairs), 0);
}

static uint16_t port_number(const char *port) {
        int64_t number = 0;
        CHECK_INT(text_to_int(text_of(port), &number), 0);
        return (uint16_t)number;
}

/* A socket bound to a free port of loopback; the port in text. */
static int bind_on(int type, const char *wanted, char port[8]) {
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        if (wanted)
                here.sin_port = htons(port_number(wanted));
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&here, size) == 0);
        if (type == SOCK_STREAM)
                CHECK_INT(listen(fd, 8), 0);
        CHECK_INT(getsockname(fd, (struct sockaddr *)&here, &size), 0);
        snprintf(port, 8, "%u", ntohs(here.sin_port));
        return fd;
}

static bool is_readable(int fd, int wait_ms) {
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        return poll(&watched, 1, wait_ms) == 1;
}

static int accept_one(int listener) {
        CHECK(is_readable(listener, PATIENCE_MS));
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        CHECK(fd >= 0);
        return fd;
}

/* What has arrived, until nothing more does for a moment. */
static struct text receive(int fd) {
        static char bytes[1 << 20];
        size_t size = 0;
        while (is_readable(fd, size ? 50 : PATIENCE_MS)) {
                ssize_t got = recv(fd, bytes + size, sizeof bytes - size, MSG_DONTWAIT);
                if (got <= 0)
                        break;
                size += (size_t)got;
        }
        return (struct text){bytes, size};
}

static struct outcome deliver(const char *first, const char *second) {
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        test_rows_add(rows, first, NULL);
        if (second)
                test_rows_add(rows, second, NULL);
        return test_deliver(&out, &rows->work);
}

/* ---- TCP ---------------------------------------------------------------- */

static void a_batch_arrives_as_lines(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        struct work_format columns[WORK_COLUMNS_MAX];
        CHECK_INT(omfwd_module.output->columns(out.settings, out.module_settings, columns), 1);
        CHECK(columns[0].ends_with_lf);
        CHECK_OUTCOME(deliver("<13>one\n", "<13>two\n"), DELIVER_DONE, 2);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "<13>one\n<13>two\n");
        CHECK_INT(counter_get(&out.counters[0]), 16);
        close(peer);
        close(listener);
}

static void octets_are_counted(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "tcp_framing", "octet-counted"));
        struct work_format columns[WORK_COLUMNS_MAX];
        omfwd_module.output->columns(out.settings, out.module_settings, columns);
        CHECK(!columns[0].ends_with_lf);
        CHECK_OUTCOME(deliver("<13>a\nb\n", "<13>two"), DELIVER_DONE, 2);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "8 <13>a\nb\n7 <13>two");
        close(peer);
        close(listener);
}

static void another_delimiter_ends_each_message_once(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "tcp_framedelimiter", "124"));
        CHECK_OUTCOME(deliver("one", "two|"), DELIVER_DONE, 2);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "one|two|");
        close(peer);
        close(listener);
}

static void single_messages_are_compressed_where_it_helps(void) {
        char port[8], line[300];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        memset(line, 'a', sizeof line - 1);
        line[sizeof line - 1] = '\0';
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "ziplevel", "9"));
        CHECK_OUTCOME(deliver("short", line), DELIVER_DONE, 2);
        int peer = accept_one(listener);
        struct text got = receive(peer);
        CHECK(text_starts(got, TEXT("short\n")));
        char *end;
        long size = strtol(got.data + 6, &end, 10);
        CHECK(text_starts((struct text){end, 2}, TEXT(" z")));
        char plain[400];
        size_t plain_size;
        CHECK_INT(decompress_message((struct text){end + 2, (size_t)size - 1}, plain, sizeof plain, &plain_size), 0);
        CHECK_TEXT(((struct text){plain, plain_size}), line);
        close(peer);
        close(listener);
}

static void a_compressed_stream_is_readable_after_each_batch(void) {
        static const char *const drivers[] = {"zlib", "zstd"};
        for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
                char port[8];
                int listener = bind_on(SOCK_STREAM, NULL, port);
                open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "compression.mode",
                                "stream:always", "compression.driver", drivers[i]));
                CHECK_OUTCOME(deliver("one\n", "two\n"), DELIVER_DONE, 2);
                CHECK_OUTCOME(deliver("three\n", NULL), DELIVER_DONE, 1);
                int peer = accept_one(listener);
                _owned_(decompressor_free) struct decompressor *d = NULL;
                _owned_(buffer_fini) struct buffer plain = {0};
                size_t used;
                CHECK_INT(decompressor_new(&d, i ? COMPRESSION_ZSTD : COMPRESSION_ZLIB), 0);
                CHECK_INT(decompressor_add(d, receive(peer), &used, &plain, 1 << 20), 0);
                CHECK_TEXT(buffer_as_text(&plain), "one\ntwo\nthree\n");
                close(peer);
                close(listener);
        }
}

static void nobody_there_is_unavailable_until_somebody_is(void) {
        char port[8];
        close(bind_on(SOCK_STREAM, NULL, port));
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        CHECK_OUTCOME(deliver("one\n", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("cannot connect to 127.0.0.1:"));
        CHECK(test_heard("Connection refused"));
        CHECK_INT(omfwd_module.output->resume(out.instance), DELIVER_UNAVAILABLE);
        int listener = bind_on(SOCK_STREAM, port, port);
        CHECK_INT(omfwd_module.output->resume(out.instance), DELIVER_DONE);
        CHECK_OUTCOME(deliver("one\n", NULL), DELIVER_DONE, 1);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "one\n");
        close(peer);
        close(listener);
}

static void no_message_is_lost_to_a_peer_that_closed_before(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        CHECK_OUTCOME(deliver("one\n", NULL), DELIVER_DONE, 1);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "one\n");
        close(peer);
        usleep(20000);
        CHECK_OUTCOME(deliver("two\n", NULL), DELIVER_DONE, 1);
        CHECK(test_heard("seems to have closed connection"));
        peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "two\n");
        close(peer);
        close(listener);
}

static void the_last_message_is_sent_again_where_asked_for(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "resendlastmsgonreconnect", "on"));
        CHECK_OUTCOME(deliver("zero\n", "one\n"), DELIVER_DONE, 2);
        int peer = accept_one(listener);
        receive(peer);
        close(peer);
        usleep(20000);
        CHECK_OUTCOME(deliver("two\n", NULL), DELIVER_DONE, 1);
        peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "one\ntwo\n");
        close(peer);
        close(listener);
}

static void the_rebind_interval_makes_new_connections(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "rebindinterval", "2"));
        for (int i = 0; i < 4; i++)
                CHECK_OUTCOME(deliver("x\n", NULL), DELIVER_DONE, 1);
        for (int i = 0; i < 2; i++) {
                int peer = accept_one(listener);
                CHECK_TEXT(receive(peer), "x\nx\n");
                close(peer);
        }
        close(listener);
}

static void the_rebind_interval_counts_messages_and_splits_no_batch(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "rebindinterval", "3"));
        for (int i = 0; i < 2; i++)
                CHECK_OUTCOME(deliver("a\n", "b\n"), DELIVER_DONE, 2);
        CHECK_OUTCOME(deliver("c\n", NULL), DELIVER_DONE, 1);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "a\nb\na\nb\n");
        close(peer);
        peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "c\n");
        close(peer);
        close(listener);
}

static void connection_errors_are_skipped_as_asked(void) {
        char port[8];
        close(bind_on(SOCK_STREAM, NULL, port));
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp", "conerrskip", "2"));
        int said = 0;
        for (int i = 0; i < 6; i++) {
                test_said[0] = '\0';
                deliver("x\n", NULL);
                said += test_heard("cannot connect");
        }
        CHECK_INT(said, 2);
}

/* A number of rows that no socket buffer holds. */
static struct test_rows *many_rows(void) {
        struct test_rows *rows = test_rows_new();
        char line[1001];
        memset(line, 'x', 1000);
        line[1000] = '\0';
        for (int i = 0; i < 4000; i++) {
                char head[12];
                memcpy(line, head, (size_t)snprintf(head, sizeof head, "%08d:", i));
                line[999] = '\n';
                test_rows_add(rows, line, NULL);
        }
        return rows;
}

/* Reads in a child, slowly, until the end; its exit status tells whether every line came once and in order. */
static pid_t fork_reader(int listener, int lines) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid != 0)
                return pid;
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC), wanted = 0;
        FILE *stream = fdopen(peer, "r");
        char line[2048];
        while (fgets(line, sizeof line, stream)) {
                if (strtol(line, NULL, 10) != wanted || strlen(line) != 1000)
                        _exit(2);
                wanted++;
        }
        _exit(wanted == lines ? 0 : 1);
}

static int wait_for(pid_t pid) {
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        return status;
}

static void a_slow_reader_gets_everything_once(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        pid_t reader = fork_reader(listener, 4000);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        _owned_(test_rows_free) struct test_rows *rows = many_rows();
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 4000);
        test_output_close(&out);
        CHECK_INT(wait_for(reader), 0);
        close(listener);
}

static void *hurry_soon(void *argument) {
        poll(NULL, 0, 50);
        omfwd_module.output->hurry(out.instance);
        return argument;
}

static void the_end_of_the_daemon_waits_for_no_reader(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        static char much[1 << 20];
        memset(much, 'a', sizeof much - 1);
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, hurry_soon, NULL), 0);
        int64_t began_ns = clock_mono_ns();
        while (deliver(much, much).verdict == DELIVER_DONE)
                ;
        pthread_join(thread, NULL);
        CHECK(deliver(much, NULL).verdict != DELIVER_DONE);
        CHECK((clock_mono_ns() - began_ns) / 1000000 < FWD_SEND_WAIT_MS / 2);
        CHECK(!test_heard("has read nothing"));
        close(listener);
}

static void a_broken_connection_reports_whole_rows_only(void) {
        char port[8];
        int listener = bind_on(SOCK_STREAM, NULL, port), small = 4096;
        /* So that what is sent does not fit into the kernel's buffers before the connection breaks. */
        CHECK_INT(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "protocol", "tcp"));
        fflush(stdout);
        pid_t breaker = fork();
        if (breaker == 0) {
                int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                char some[5000];
                ssize_t got = read(peer, some, sizeof some);
                /* Closing with unread bytes resets the connection. */
                close(peer);
                close(listener);
                _exit(got < 0);
        }
        close(listener);
        _owned_(test_rows_free) struct test_rows *rows = many_rows();
        struct outcome outcome = test_deliver(&out, &rows->work);
        wait_for(breaker);
        CHECK_INT(outcome.verdict, DELIVER_UNAVAILABLE);
        CHECK(outcome.taken > 0 && outcome.taken < 4000);
}

/* Answers one DNS query with two SRV records: of the best priority nobody is there. */
static pid_t fork_name_server(int fd, const char *down, const char *up) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid != 0)
                return pid;
        alarm(20);
        for (;;) {
                struct sockaddr_in from;
                socklen_t from_size = sizeof from;
                unsigned char message[1024];
                ssize_t size = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &from_size);
                if (size < 12)
                        _exit(1);
                /* Up to the end of the question, which has a compressed name referring to it. */
                size_t at = 12;
                while (message[at])
                        at += message[at] + 1u;
                at += 5;
                memcpy(message + 2, "\x81\x80\0\1\0\2\0\0\0\0", 10);
                for (int i = 0; i < 2; i++) {
                        unsigned port = port_number(i ? up : down);
                        memcpy(message + at, "\xc0\x0c\0\x21\0\1\0\0\0\1\0\x11\0\0\0\0\0\0\003127\0010\0010\0011\0",
                               29);
                        message[at + 13] = (unsigned char)i;
                        message[at + 16] = (unsigned char)(port >> 8);
                        message[at + 17] = (unsigned char)port;
                        at += 29;
                }
                sendto(fd, message, at, 0, (struct sockaddr *)&from, from_size);
        }
}

static void targets_come_from_dns_by_priority(void) {
        char up[8], down[8], dns[8];
        int listener = bind_on(SOCK_STREAM, NULL, up), server = bind_on(SOCK_DGRAM, NULL, dns);
        close(bind_on(SOCK_STREAM, NULL, down));
        pid_t name_server = fork_name_server(server, down, up);
        close(server);
        setenv("RSYSLOG_DNS_SERVER", "127.0.0.1", 1);
        setenv("RSYSLOG_DNS_PORT", dns, 1);
        open_with(PAIRS("targetsrv", "example.net", "protocol", "tcp"));
        struct outcome first = deliver("one\n", NULL), second = deliver("one\n", NULL);
        kill(name_server, SIGKILL);
        waitpid(name_server, NULL, 0);
        CHECK_OUTCOME(first, DELIVER_UNAVAILABLE, 0);
        CHECK_OUTCOME(second, DELIVER_DONE, 1);
        int peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "one\n");
        close(peer);
        close(listener);
}

/* ---- Pools -------------------------------------------------------------- */

static size_t count_lines(struct text t) {
        size_t lines = 0;
        for (size_t i = 0; i < t.size; i++)
                lines += t.data[i] == '\n';
        return lines;
}

static void a_pool_shares_the_rows_evenly(void) {
        char ports[3][8], all_ports[32];
        int listeners[3], peers[3];
        for (int i = 0; i < 3; i++)
                listeners[i] = bind_on(SOCK_STREAM, NULL, ports[i]);
        snprintf(all_ports, sizeof all_ports, "%s %s %s", ports[0], ports[1], ports[2]);
        open_with(PAIRS("target", "127.0.0.1 127.0.0.1 127.0.0.1", "port", all_ports, "protocol", "tcp"));
        for (int i = 0; i < 100; i++) {
                _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
                for (int n = 0; n <= i % 7; n++)
                        test_rows_add(rows, "x\n", NULL);
                CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, (size_t)(i % 7 + 1));
        }
        size_t total = 0, most = 0, least = SIZE_MAX;
        for (int i = 0; i < 3; i++) {
                peers[i] = accept_one(listeners[i]);
                size_t lines = count_lines(receive(peers[i]));
                total += lines;
                most = MAX(most, lines);
                least = MIN(least, lines);
                close(peers[i]);
                close(listeners[i]);
        }
        CHECK_INT(total, 395);
        CHECK(most - least <= 1);
}

static void a_pool_goes_on_without_a_target_that_is_down(void) {
        char up[8], down[8], both[20];
        int listener = bind_on(SOCK_STREAM, NULL, up);
        close(bind_on(SOCK_STREAM, NULL, down));
        snprintf(both, sizeof both, "%s %s", down, up);
        open_with(PAIRS("target", "127.0.0.1 127.0.0.1", "port", both, "protocol", "tcp"));
        CHECK_OUTCOME(deliver("one\n", "two\n"), DELIVER_DONE, 2);
        test_said[0] = '\0';
        CHECK_OUTCOME(deliver("three\n", "four\n"), DELIVER_DONE, 2);
        /* Within pool.resumeInterval the one that is down is left alone. */
        CHECK(!test_heard("cannot connect"));
        int peer = accept_one(listener);
        CHECK_INT(receive(peer).size, 19);
        close(peer);
        close(listener);
        usleep(20000);
        CHECK_OUTCOME(deliver("five\n", NULL), DELIVER_UNAVAILABLE, 0);
        listener = bind_on(SOCK_STREAM, down, down);
        CHECK_INT(omfwd_module.output->resume(out.instance), DELIVER_DONE);
        CHECK_OUTCOME(deliver("five\n", NULL), DELIVER_DONE, 1);
        peer = accept_one(listener);
        CHECK_TEXT(receive(peer), "five\n");
        close(peer);
        close(listener);
}

/* ---- UDP ---------------------------------------------------------------- */

static void each_row_is_a_datagram(void) {
        char port[8];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port));
        struct work_format columns[WORK_COLUMNS_MAX];
        omfwd_module.output->columns(out.settings, out.module_settings, columns);
        CHECK(!columns[0].ends_with_lf);
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 600; i++) {
                char line[32];
                snprintf(line, sizeof line, "<13>message %d", i);
                test_rows_add(rows, line, NULL);
        }
        /* In parts, so that the receiver's buffer holds them. */
        for (size_t from = 0; from < 600; from += 100) {
                struct work part = test_rows_from(rows, from);
                part.count = 100;
                CHECK_OUTCOME(test_deliver(&out, &part), DELIVER_DONE, 100);
                for (size_t i = from; i < from + 100; i++) {
                        char got[100];
                        ssize_t size = recv(receiver, got, sizeof got, MSG_DONTWAIT);
                        CHECK(size > 0 && text_equal((struct text){got, (size_t)size}, rows->columns[0][i]));
                }
        }
        close(receiver);
}

static void a_receiver_that_is_not_there_stops_nothing(void) {
        char port[8];
        close(bind_on(SOCK_DGRAM, NULL, port));
        open_with(PAIRS("target", "127.0.0.1", "port", port));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (int i = 0; i < 50; i++)
                test_rows_add(rows, "<13>x", NULL);
        for (int i = 0; i < 3; i++)
                CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 50);
        int receiver = bind_on(SOCK_DGRAM, port, port);
        CHECK_OUTCOME(deliver("<13>y", NULL), DELIVER_DONE, 1);
        CHECK_TEXT(receive(receiver), "<13>y");
        close(receiver);
}

static void what_no_datagram_holds_is_cut(void) {
        char port[8];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port));
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        char *big = malloc(70001);
        memset(big, 'b', 70000);
        big[70000] = '\0';
        test_rows_add(rows, big, NULL);
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 1);
        CHECK(test_heard("truncating message"));
        CHECK_INT(recv(receiver, big, 70000, MSG_DONTWAIT), 65507);
        free(big);
        close(receiver);
}

static void datagrams_come_from_the_address_asked_for(void) {
        char port[8];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "address", "127.0.0.9"));
        CHECK_OUTCOME(deliver("x", NULL), DELIVER_DONE, 1);
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        char got[4];
        CHECK_INT(recvfrom(receiver, got, sizeof got, MSG_DONTWAIT, (struct sockaddr *)&from, &size), 1);
        CHECK_INT(ntohl(from.sin_addr.s_addr), 0x7f000009);
        close(receiver);
}

static void compressed_datagrams_begin_with_z(void) {
        char port[8], line[300];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        memset(line, 'a', sizeof line - 1);
        line[sizeof line - 1] = '\0';
        open_with(PAIRS("target", "127.0.0.1", "port", port, "ziplevel", "1"));
        CHECK_OUTCOME(deliver(line, "short"), DELIVER_DONE, 2);
        char got[400], plain[400];
        size_t plain_size;
        ssize_t size = recv(receiver, got, sizeof got, MSG_DONTWAIT);
        CHECK(size > 0 && got[0] == 'z');
        CHECK_INT(decompress_message((struct text){got + 1, (size_t)size - 1}, plain, sizeof plain, &plain_size), 0);
        CHECK_TEXT(((struct text){plain, plain_size}), line);
        size = recv(receiver, got, sizeof got, MSG_DONTWAIT);
        CHECK_TEXT(((struct text){got, (size_t)size}), "short");
        close(receiver);
}

static void rebinding_changes_the_source_port(void) {
        char port[8];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "rebindinterval", "2"));
        CHECK_OUTCOME(deliver("1", "2"), DELIVER_DONE, 2);
        CHECK_OUTCOME(deliver("3", NULL), DELIVER_DONE, 1);
        struct sockaddr_in from[3];
        for (int i = 0; i < 3; i++) {
                socklen_t size = sizeof from[i];
                char got[4];
                CHECK_INT(recvfrom(receiver, got, sizeof got, MSG_DONTWAIT, (struct sockaddr *)&from[i], &size), 1);
        }
        CHECK_INT(from[0].sin_port, from[1].sin_port);
        CHECK(from[1].sin_port != from[2].sin_port);
        close(receiver);
}

static void a_name_nobody_knows_is_unavailable(void) {
        open_with(PAIRS("target", "127.0.0.1", "port", "no-such-port"));
        CHECK_OUTCOME(deliver("x", NULL), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("could not get addrinfo for hostname '127.0.0.1':'no-such-port'"));
}

static void the_rate_limit_drops_what_goes_beyond(void) {
        char port[8];
        int receiver = bind_on(SOCK_DGRAM, NULL, port);
        open_with(PAIRS("target", "127.0.0.1", "port", port, "ratelimit.interval", "60", "ratelimit.burst", "3"));
        for (int i = 0; i < 3; i++)
                CHECK_OUTCOME(deliver("x", "y"), DELIVER_DONE, 2);
        CHECK_TEXT(receive(receiver), "xyx");
        CHECK(test_heard("begin to drop messages due to rate-limiting"));
        close(receiver);
}

static void mistakes_are_told(void) {
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfwd_module, NULL, NULL), -EINVAL);
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &omfwd_module, NULL,
                                   PAIRS("target", "x", "protocol", "tcp", "streamdrivermode", "1")),
                  -EINVAL);
        CHECK(test_heard("driver mode 1 not supported by ptcp netstream driver"));
        test_output_close(&out);
        CHECK_INT(
                test_output_open(&out, &omfwd_module, NULL, PAIRS("target", "x", "compression.mode", "stream:always")),
                -EINVAL);
        test_output_close(&out);
}

TEST_MAIN(TEST(a_batch_arrives_as_lines), TEST(octets_are_counted), TEST(another_delimiter_ends_each_message_once),
          TEST(single_messages_are_compressed_where_it_helps), TEST(a_compressed_stream_is_readable_after_each_batch),
          TEST(nobody_there_is_unavailable_until_somebody_is), TEST(no_message_is_lost_to_a_peer_that_closed_before),
          TEST(the_last_message_is_sent_again_where_asked_for), TEST(the_rebind_interval_makes_new_connections),
          TEST(the_rebind_interval_counts_messages_and_splits_no_batch), TEST(connection_errors_are_skipped_as_asked),
          TEST(a_slow_reader_gets_everything_once), TEST(the_end_of_the_daemon_waits_for_no_reader),
          TEST(a_broken_connection_reports_whole_rows_only), TEST(targets_come_from_dns_by_priority),
          TEST(a_pool_shares_the_rows_evenly), TEST(a_pool_goes_on_without_a_target_that_is_down),
          TEST(each_row_is_a_datagram), TEST(a_receiver_that_is_not_there_stops_nothing),
          TEST(what_no_datagram_holds_is_cut), TEST(datagrams_come_from_the_address_asked_for),
          TEST(compressed_datagrams_begin_with_z), TEST(rebinding_changes_the_source_port),
          TEST(a_name_nobody_knows_is_unavailable), TEST(the_rate_limit_drops_what_goes_beyond),
          TEST(mistakes_are_told))
