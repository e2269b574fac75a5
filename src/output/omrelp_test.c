#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message/batch.h"
#include "output/test_output.h"

extern const struct module omrelp_module;

enum { WAIT_MS = 20000 };
enum { ACKNOWLEDGED, REFUSED, SESSIONS, RESUMED }; /* counters */

static struct test_output out;

/* ---- A server that says what its script tells it ------------------------------ */

/*
 * For each session a string: '+' answers the next row with 200, '-' with 500, 's' keeps an answer for later, 'S'
 * gives those, the last first, 'x' closes at once, 'c' closes as servers do. Behind its end every row is answered.
 */
struct server {
        int listener;
        char port[8];
        const char *const *scripts;
        size_t sessions;
        char heard[1 << 16]; /* "[row][row]|" a session */
        pthread_t thread;
};

static struct server server;

static void hear(const char *data, size_t size) {
        size_t used = strlen(server.heard);
        snprintf(server.heard + used, sizeof server.heard - used, "%.*s", (int)size, data);
}

static void answer(int fd, unsigned txnr, const char *words) {
        char text[160];
        int size = snprintf(text, sizeof text, "%u rsp %zu%s%s\n", txnr, strlen(words), *words ? " " : "", words);
        (void)!send(fd, text, (size_t)size, MSG_NOSIGNAL);
}

/* One byte at a time: slow, and nothing can be wrong with it. */
static bool read_until(int fd, char *to, size_t room, char end) {
        for (size_t i = 0; i < room; i++) {
                if (recv(fd, to + i, 1, 0) != 1)
                        return false;
                if (to[i] == end) {
                        to[i] = '\0';
                        return true;
                }
        }
        return false;
}

static bool read_command(int fd, unsigned *txnr, char name[33], char *data, size_t room) {
        char number[16], lf;
        size_t size = 0;
        if (!read_until(fd, number, sizeof number, ' ') || !read_until(fd, name, 33, ' '))
                return false;
        *txnr = (unsigned)strtoul(number, NULL, 10);
        char digit;
        while (recv(fd, &digit, 1, 0) == 1 && digit >= '0' && digit <= '9')
                size = size * 10 + (size_t)(digit - '0');
        if (size >= room || (size && recv(fd, data, size, MSG_WAITALL) != (ssize_t)size))
                return false;
        data[size] = '\0';
        return size == 0 || recv(fd, &lf, 1, 0) == 1;
}

static void serve_one(int fd, const char *script) {
        char name[33], data[4096];
        unsigned txnr, kept[16], kept_count = 0;
        while (*script != 'x' && read_command(fd, &txnr, name, data, sizeof data)) {
                if (strcmp(name, "open") == 0) {
                        answer(fd, txnr, "200 OK\nrelp_version=0\ncommands=syslog");
                        continue;
                }
                if (strcmp(name, "close") == 0) {
                        hear("close", 5);
                        answer(fd, txnr, "");
                        return;
                }
                hear("[", 1);
                hear(data, strlen(data));
                hear("]", 1);
                char what = *script ? *script++ : '+';
                if (what == 's')
                        kept[kept_count++] = txnr;
                else
                        answer(fd, txnr, what == '-' ? "500 not this one" : "200 OK");
                while (*script == 'S' && kept_count)
                        answer(fd, kept[--kept_count], "200 OK");
                if (*script == 'S')
                        script++;
                if (*script == 'c') {
                        (void)!send(fd, "0 serverclose 0\n", 16, MSG_NOSIGNAL);
                        return;
                }
        }
}

static void *serve(void *argument _unused_) {
        for (size_t i = 0; server.scripts[i]; i++) {
                int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0)
                        return NULL;
                serve_one(fd, server.scripts[i]);
                close(fd);
                hear("|", 1);
        }
        return NULL;
}

static void listen_on(void) {
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        int one = 1;
        server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        CHECK(bind(server.listener, (struct sockaddr *)&here, size) == 0 && listen(server.listener, 8) == 0);
        CHECK_INT(getsockname(server.listener, (struct sockaddr *)&here, &size), 0);
        snprintf(server.port, sizeof server.port, "%u", ntohs(here.sin_port));
}

static void begin(const char *const *scripts) {
        server = (struct server){.scripts = scripts};
        listen_on();
        CHECK_INT(pthread_create(&server.thread, NULL, serve, NULL), 0);
}
#define BEGIN(...) begin((const char *const[]){__VA_ARGS__, NULL})

/* The output says good-bye, and the server has heard all. */
static void end(void) {
        test_output_close(&out);
        pthread_join(server.thread, NULL);
        close(server.listener);
}

static void open_with(const char *const *pairs) {
        CHECK_INT(test_output_open(&out, &omrelp_module, NULL, pairs), 0);
}
#define OPEN(...) open_with(PAIRS("target", "127.0.0.1", "port", server.port, __VA_ARGS__))

/* ---- Rows in a real batch: omrelp holds it at times ------------------------------ */

static struct batch_pool *pool;
static struct batch *batch;

static struct test_rows *rows_of(const char *letters) {
        if (!pool)
                CHECK_INT(batch_pool_new(&pool), 0);
        batch_unref(batch);
        batch = batch_new(pool, 1);
        struct test_rows *rows = test_rows_new();
        for (; *letters; letters++)
                test_rows_add(rows, (const char[]){*letters, '\0'}, NULL);
        rows->work.batch = batch;
        return rows;
}

static uint64_t counted(unsigned which) {
        return counter_get(&out.counters[which]);
}

/* ---- Promises ---------------------------------------------------------------------- */

static void rows_are_delivered_when_they_are_acknowledged(void) {
        BEGIN("");
        OPEN("windowsize", "2");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abcde");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 5);
        CHECK_INT(counted(ACKNOWLEDGED), 5);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b][c][d][e]close|");
}

static void what_was_not_acknowledged_is_sent_again_and_nothing_else(void) {
        BEGIN("++x", "");
        OPEN("windowsize", "4");
        _owned_(test_rows_free) struct test_rows *first = rows_of("a");
        CHECK_OUTCOME(test_deliver(&out, &first->work), DELIVER_DONE, 1);
        _owned_(test_rows_free) struct test_rows *rows = rows_of("bcd");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 3);
        CHECK_INT(counted(RESUMED), 1);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b]|[c][d]close|");
}

static void a_fresh_session_that_breaks_is_unavailable(void) {
        BEGIN("+x", "");
        OPEN("windowsize", "4");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abc");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 1);
        CHECK(test_heard("the session broke"));
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        struct work rest = test_rows_from(rows, 1);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 2);
        end();
        CHECK_TEXT(text_of(server.heard), "[a]|[b][c]close|");
}

static void a_refused_row_is_told_and_those_behind_it_are_not_sent_twice(void) {
        BEGIN("+-++");
        OPEN("windowsize", "4");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abcde");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_REFUSED, 1);
        CHECK(test_heard("the peer refused a message: not this one"));
        struct work rest = test_rows_from(rows, 2);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 3);
        CHECK_INT(counted(REFUSED), 1);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b][c][d][e]close|");
}

static void two_refused_rows_are_told_in_turn(void) {
        BEGIN("--+");
        OPEN("windowsize", "4");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abc");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_REFUSED, 0);
        struct work rest = test_rows_from(rows, 1);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_REFUSED, 0);
        rest = test_rows_from(rows, 2);
        CHECK_OUTCOME(test_deliver(&out, &rest), DELIVER_DONE, 1);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b][c]close|");
}

static void rows_acknowledged_out_of_order_are_not_sent_twice(void) {
        BEGIN("s++x", "");
        OPEN("windowsize", "3");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abc");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 0);
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 3);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b][c]|[a]close|");
}

static void what_is_known_of_one_batch_is_not_believed_of_another(void) {
        BEGIN("s++x", "");
        OPEN("windowsize", "3");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abc");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 0);
        _owned_(test_rows_free) struct test_rows *others = rows_of("def");
        CHECK_OUTCOME(test_deliver(&out, &others->work), DELIVER_DONE, 3);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b][c]|[d][e][f]close|");
}

static void answers_in_any_order_are_understood(void) {
        BEGIN("sssS");
        OPEN("windowsize", "3");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abc");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 3);
        end();
}

static void a_server_that_closed_in_between_costs_nothing(void) {
        BEGIN("+c", "");
        OPEN("windowsize", "0");
        _owned_(test_rows_free) struct test_rows *first = rows_of("a");
        CHECK_OUTCOME(test_deliver(&out, &first->work), DELIVER_DONE, 1);
        _owned_(test_rows_free) struct test_rows *second = rows_of("b");
        CHECK_OUTCOME(test_deliver(&out, &second->work), DELIVER_DONE, 1);
        end();
        CHECK(strstr(server.heard, "[a]|[b]close|") != NULL);
        CHECK_TEXT(text_of(test_said), "");
}

static void the_connection_is_made_anew_after_rebindinterval(void) {
        BEGIN("", "", "");
        OPEN("rebindinterval", "2");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("abcde");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 5);
        end();
        CHECK_TEXT(text_of(server.heard), "[a][b]close|[c][d]close|[e]close|");
        CHECK_INT(counter_get(&out.counters[SESSIONS]), 3);
}

static void an_absent_server_is_unavailable_and_told_once(void) {
        server = (struct server){0};
        listen_on();
        close(server.listener);
        OPEN("conn.timeout", "1");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("a");
        for (int i = 0; i < 3; i++)
                CHECK_INT(test_resume(&out), DELIVER_UNAVAILABLE);
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 0);
        const char *said = strstr(test_said, "cannot connect to the remote peer");
        CHECK(said && !strstr(said + 1, "cannot connect"));
        test_output_close(&out);
}

static void a_silent_server_is_given_up_after_the_timeout(void) {
        BEGIN("s", "");
        OPEN("timeout", "1");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("a");
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 0);
        CHECK(test_heard("no answer for 1 seconds"));
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_DONE, 1);
        end();
}

static void *hurry_soon(void *argument) {
        poll(NULL, 0, 50);
        omrelp_module.output->hurry(out.instance);
        return argument;
}

static void the_end_of_the_daemon_waits_for_no_server(void) {
        BEGIN("s");
        OPEN("timeout", "60");
        _owned_(test_rows_free) struct test_rows *rows = rows_of("a");
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, hurry_soon, NULL), 0);
        CHECK_OUTCOME(test_deliver(&out, &rows->work), DELIVER_UNAVAILABLE, 0);
        pthread_join(thread, NULL);
        end();
}

static void the_legacy_form_names_the_port_behind_a_colon(void) {
        BEGIN("");
        char target[32];
        snprintf(target, sizeof target, "127.0.0.1:%s", server.port);
        open_with(PAIRS("target", target));
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        end();
}

TEST_MAIN(TEST(rows_are_delivered_when_they_are_acknowledged),
          TEST(what_was_not_acknowledged_is_sent_again_and_nothing_else),
          TEST(a_fresh_session_that_breaks_is_unavailable),
          TEST(a_refused_row_is_told_and_those_behind_it_are_not_sent_twice), TEST(two_refused_rows_are_told_in_turn),
          TEST(rows_acknowledged_out_of_order_are_not_sent_twice),
          TEST(what_is_known_of_one_batch_is_not_believed_of_another), TEST(answers_in_any_order_are_understood),
          TEST(a_server_that_closed_in_between_costs_nothing), TEST(the_connection_is_made_anew_after_rebindinterval),
          TEST(an_absent_server_is_unavailable_and_told_once), TEST(a_silent_server_is_given_up_after_the_timeout),
          TEST(the_end_of_the_daemon_waits_for_no_server), TEST(the_legacy_form_names_the_port_behind_a_colon))
