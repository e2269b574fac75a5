#include <errno.h>

#include "input/imrelp_server.h"
#include "input/input_test.h"
#include "io/relp.h"

extern const struct module imrelp_module;

static struct stage stage; /* static: its threads outlive a promise that fails */

/* ---- A queue that keeps what it gets ---------------------------------------- */

enum { HELD_MAX = 8192 };

static struct batch *held[HELD_MAX];
static size_t held_count;

/* Who waits for a text of the batch finds the batch held. */
static void hold(struct sink *sink, struct batch *b, enum flow flow) {
        batch_ref(b);
        pthread_mutex_lock(&stage.lock);
        assert(held_count < HELD_MAX);
        held[held_count++] = b;
        pthread_mutex_unlock(&stage.lock);
        stage_push(sink, b, flow);
}

static struct batch *take(size_t which) {
        pthread_mutex_lock(&stage.lock);
        struct batch *b = TAKE(held[which]);
        pthread_mutex_unlock(&stage.lock);
        return b;
}

static void release(size_t which) {
        batch_unref(take(which));
}

static void lose(size_t which) {
        struct batch *b = take(which);
        batch_lose(b);
        batch_unref(b);
}

static void release_all(void) {
        pthread_mutex_lock(&stage.lock);
        size_t count = held_count;
        pthread_mutex_unlock(&stage.lock);
        for (size_t i = 0; i < count; i++)
                release(i);
}

/* ---- A sender ------------------------------------------------------------------ */

static char port[8];

static bool is_free(unsigned number) {
        struct sockaddr_in here = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)number), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        bool is = bind(fd, (struct sockaddr *)&here, sizeof here) == 0;
        close(fd);
        return is;
}

/* Below those that connections get at their own end: one of them could take it before the input has it. */
static void choose_port(void) {
        enum { FIRST = 10240, COUNT = 22528 };
        static unsigned tries;
        unsigned number;
        do
                number = FIRST + ((unsigned)getpid() * 7919 + ++tries * 31) % COUNT;
        while (!is_free(number));
        snprintf(port, sizeof port, "%u", number);
}

static void write_port_file(void) {
        FILE *file = fopen(stage.port_file, "we");
        CHECK(file != NULL);
        fputs(port, file);
        fclose(file);
}

#define BEGIN(...)                                                                                                     \
        do {                                                                                                           \
                choose_port();                                                                                         \
                held_count = 0;                                                                                        \
                STAGE_BEGIN(&stage, &imrelp_module, "address", "127.0.0.1", "port", port, __VA_ARGS__);                \
                write_port_file();                                                                                     \
        } while (0)

static void end(void) {
        stage_stop(&stage);
        stage_end(&stage);
}

/* Reads until the bytes are exactly these. */
static void expect(int fd, const char *wanted) {
        static char got[1 << 20];
        size_t size = 0;
        while (size < strlen(wanted)) {
                struct pollfd watched = {.fd = fd, .events = POLLIN};
                if (poll(&watched, 1, STAGE_WAIT_MS) != 1)
                        TEST_FAIL("never answered: \"%s\"; came: \"%.*s\"", wanted, (int)size, got);
                ssize_t r = recv(fd, got + size, strlen(wanted) - size, 0);
                if (r <= 0)
                        TEST_FAIL("the connection ended behind \"%.*s\"", (int)size, got);
                size += (size_t)r;
        }
        CHECK_TEXT(((struct text){got, size}), wanted);
}

static void expect_end(int fd) {
        char byte;
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&watched, 1, STAGE_WAIT_MS), 1);
        CHECK(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
}

static void expect_silence(int fd) {
        enum { SILENCE_MS = 30 };
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&watched, 1, SILENCE_MS), 0);
}

static int open_session(void) {
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "1 open 30 relp_version=0\ncommands=syslog\n");
        expect(fd, "1 rsp 60 200 OK\nrelp_version=0\nrelp_software=penstock\ncommands=syslog\n");
        return fd;
}

/* ---- Promises ---------------------------------------------------------------------- */

static void messages_arrive_and_are_acknowledged(void) {
        BEGIN("name", "foo");
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 7 <13>one\n3 syslog 8 <1");
        expect(fd, "2 rsp 6 200 OK\n");
        STAGE_SEND(fd, "3>two\n\n4 syslog 0\n");
        expect(fd, "3 rsp 6 200 OK\n4 rsp 6 200 OK\n");
        stage_await_text(&stage, "[<13>one][<13>two\n][]");
        CHECK_TEXT(text_of(stage.last_input), "foo");
        CHECK_TEXT(text_of(stage.last_address), "127.0.0.1");
        CHECK_INT(counter_get(&stage.counters[RELP_SUBMITTED]), 3);
        CHECK_INT(counter_get(&stage.counters[RELP_ANSWERED]), 3);
        close(fd);
        stage_await_counter(&stage, RELP_CLOSED, 1);
        end();
}

static void nothing_is_acknowledged_before_its_batch_is_finished(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        expect_silence(fd);
        release(0);
        expect(fd, "2 rsp 6 200 OK\n");
        close(fd);
        end();
}

static void answers_keep_the_order_of_the_messages(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        STAGE_SEND(fd, "3 syslog 3 two\n");
        stage_await_text(&stage, "[two]");
        release(1);
        expect_silence(fd);
        release(0);
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        close(fd);
        end();
}

static void a_batch_may_outlive_its_session(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session(), other = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        close(fd);
        stage_await_counter(&stage, RELP_CLOSED, 1);
        STAGE_SEND(other, "2 syslog 3 two\n");
        stage_await_text(&stage, "[two]");
        release_all();
        expect(other, "2 rsp 6 200 OK\n");
        CHECK_INT(counter_get(&stage.counters[RELP_ANSWERED]), 1);
        close(other);
        end();
}

static void a_batch_may_outlive_the_input(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        stage_stop(&stage);
        expect(fd, "0 serverclose 0\n");
        expect_end(fd);
        struct batch *left = take(0);
        stage_end(&stage);
        batch_unref(left);
}

static void *release_soon(void *argument) {
        poll(NULL, 0, 50);
        release_all();
        return argument;
}

static void a_stop_still_answers_what_is_finished_in_time(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, release_soon, NULL), 0);
        stage_stop(&stage);
        pthread_join(thread, NULL);
        expect(fd, "2 rsp 6 200 OK\n0 serverclose 0\n");
        expect_end(fd);
        stage_end(&stage);
}

static void what_was_lost_ends_the_session_unanswered(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session(), other = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n");
        stage_await_text(&stage, "[one]");
        STAGE_SEND(fd, "3 syslog 3 two\n");
        stage_await_text(&stage, "[two]");
        lose(1);
        expect_silence(fd);
        release(0);
        expect(fd, "2 rsp 6 200 OK\n0 serverclose 0\n");
        expect_end(fd);
        STAGE_SEND(other, "2 syslog 5 other\n");
        stage_await_text(&stage, "[other]");
        lose(2);
        expect(other, "0 serverclose 0\n");
        expect_end(other);
        end();
}

static void close_is_answered_after_all_that_came_before_it(void) {
        BEGIN("name", "foo");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n3 close 0\n");
        stage_await_text(&stage, "[one]");
        expect_silence(fd);
        release_all();
        expect(fd, "2 rsp 6 200 OK\n3 rsp 0\n0 serverclose 0\n");
        expect_end(fd);
        end();
}

static void what_is_no_relp_ends_the_session(void) {
        static const char *const wrong[] = {
                "2 syslog 3 oneX\n", "3 syslog 3 one\n", "0 syslog 3 one\n",     "hello\n",
                "2 rsp 6 200 OK\n",  "2 eventlog 1 x\n", "2 syslog 1234567890 ",
        };
        BEGIN("name", "foo");
        stage_start(&stage);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                int fd = open_session();
                stage_send(fd, wrong[i], strlen(wrong[i]));
                expect(fd, "0 serverclose 0\n");
                expect_end(fd);
        }
        CHECK_INT(counter_get(&stage.counters[RELP_BROKEN_SESSIONS]), ARRAY_SIZE(wrong));
        CHECK_INT(stage.records, 0);
        end();
}

static void a_session_begins_with_offers(void) {
        BEGIN("name", "foo");
        stage_start(&stage);
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "1 syslog 3 one\n");
        expect(fd, "0 serverclose 0\n");
        expect_end(fd);
        fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "1 open 16 commands=eventlog\n");
        expect(fd, "0 serverclose 0\n");
        expect_end(fd);
        fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "1 open 17 commands=eventlog\n");
        expect(fd, "1 rsp 44 500 required command not supported by client\n0 serverclose 0\n");
        expect_end(fd);
        fd = open_session();
        STAGE_SEND(fd, "2 open 15 commands=syslog\n");
        expect(fd, "2 rsp 43 500 protocol error: connection already open\n0 serverclose 0\n");
        expect_end(fd);
        end();
}

static void send_long(int fd, size_t size) {
        _owned_(buffer_fini) struct buffer frame = {0};
        buffer_format(&frame, "2 syslog %zu ", size);
        for (size_t i = 0; i < size; i++)
                buffer_byte(&frame, 'x');
        buffer_text(&frame, TEXT("\n3 syslog 4 next\n"));
        CHECK_INT(buffer_failed(&frame), 0);
        stage_send(fd, frame.data, frame.size);
}

/* How many bytes the first message became. */
static size_t first_size(void) {
        pthread_mutex_lock(&stage.lock);
        size_t size = strcspn(stage.texts + 1, "]");
        pthread_mutex_unlock(&stage.lock);
        return size;
}

static void a_long_message_is_cut_and_the_session_goes_on(void) {
        BEGIN("maxdatasize", "10000");
        stage.facts.oversize_mode = OVERSIZE_ACCEPT;
        stage_start(&stage);
        int fd = open_session();
        send_long(fd, 300000);
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        stage_await_text(&stage, "[next]");
        CHECK_INT(first_size(), 10000);
        CHECK_INT(counter_get(&stage.counters[RELP_CUT_MESSAGES]), 1);
        stage_await_report(&stage, "frame too long, size 300000, configured max 10000");
        close(fd);
        end();
}

static void a_long_message_is_accepted_where_that_is_wanted(void) {
        BEGIN("oversizemode", "accept");
        stage.facts.oversize_mode = OVERSIZE_ACCEPT;
        stage_start(&stage);
        int fd = open_session();
        send_long(fd, 300000);
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        stage_await_text(&stage, "[next]");
        CHECK_INT(first_size(), 300000);
        close(fd);
        end();
}

static void a_long_message_ends_the_session_where_that_is_wanted(void) {
        BEGIN("oversizemode", "abort");
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 8193 x");
        expect(fd, "0 serverclose 0\n");
        expect_end(fd);
        CHECK_INT(stage.records, 0);
        end();
}

/* 128 bytes a piece: more pieces than one batch holds, and many messages of a few pieces. */
static void what_is_longer_than_maxmessagesize_is_split_and_acknowledged_once(void) {
        enum { LONG = 300000, SHORT = 400, SHORTS = 3000, PIECE = 128 };
        BEGIN("oversizemode", "accept");
        stage.facts.oversize_mode = OVERSIZE_SPLIT;
        stage.facts.message_bytes_max = PIECE;
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        send_long(fd, LONG);
        stage_await_text(&stage, "[next]");
        CHECK_INT(first_size(), PIECE);
        CHECK_INT(stage.records, LONG / PIECE + 1 + 1);
        expect_silence(fd);
        release_all();
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        expect_silence(fd);
        _owned_(buffer_fini) struct buffer frames = {0};
        _owned_(buffer_fini) struct buffer answers = {0};
        char message[SHORT];
        memset(message, 'y', sizeof message);
        for (uint32_t i = 4; i < SHORTS + 4; i++) {
                relp_write(&frames, i, TEXT("syslog"), (struct text){message, SHORT});
                relp_write_done(&answers, i);
        }
        stage_send(fd, frames.data, frames.size);
        stage_await_count(&stage, LONG / PIECE + 1 + 1 + SHORTS * (SHORT / PIECE + 1));
        release_all();
        expect(fd, buffer_string(&answers));
        close(fd);
        end();
        release_all();
}

static void what_is_longer_than_maxmessagesize_is_cut(void) {
        BEGIN("maxdatasize", "10000");
        stage_start(&stage);
        int fd = open_session();
        send_long(fd, 9000);
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        stage_await_text(&stage, "[next]");
        CHECK_INT(first_size(), 8192);
        close(fd);
        end();
}

static void more_messages_than_a_batch_holds_are_all_acknowledged_once(void) {
        enum { MESSAGES = 3 * BATCH_RECORDS_MAX + 7 };
        BEGIN("name", "foo");
        stage_start(&stage);
        int fd = open_session();
        _owned_(buffer_fini) struct buffer frames = {0};
        _owned_(buffer_fini) struct buffer answers = {0};
        for (uint32_t i = 2; i < MESSAGES + 2; i++) {
                relp_write(&frames, i, TEXT("syslog"), TEXT("m"));
                relp_write_done(&answers, i);
        }
        CHECK_INT(buffer_failed(&frames), 0);
        stage_send(fd, frames.data, frames.size);
        expect(fd, buffer_string(&answers));
        CHECK_INT(stage.records, MESSAGES);
        expect_silence(fd);
        close(fd);
        end();
}

static void a_sender_without_a_window_is_read_no_further(void) {
        enum { BYTES = 4 << 20, UNANSWERED_MAX = 1 << 16, ONE_READ = BATCH_BYTES / 13 };
        BEGIN("flowcontrol", "no");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        _owned_(buffer_fini) struct buffer frames = {0};
        for (uint32_t i = 2; frames.size < BYTES; i++)
                relp_write(&frames, i, TEXT("syslog"), TEXT_NONE);
        size_t sent = 0;
        while (sent < frames.size && counter_get(&stage.counters[RELP_SUBMITTED]) < UNANSWERED_MAX) {
                ssize_t r = send(fd, frames.data + sent, frames.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                sent += r > 0 ? (size_t)r : 0;
                if (r <= 0)
                        poll(NULL, 0, 1);
        }
        stage_await_counter(&stage, RELP_SUBMITTED, UNANSWERED_MAX);
        expect_silence(fd);
        CHECK(counter_get(&stage.counters[RELP_SUBMITTED]) <= UNANSWERED_MAX + 2 * ONE_READ);
        uint64_t before = counter_get(&stage.counters[RELP_SUBMITTED]);
        release_all();
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        stage_await_counter(&stage, RELP_SUBMITTED, before + 1);
        close(fd);
        stage_await_counter(&stage, RELP_CLOSED, 1);
        stage_stop(&stage);
        release_all();
        stage_end(&stage);
}

static void what_the_rate_limit_discards_is_acknowledged_in_its_turn(void) {
        BEGIN("ratelimit.interval", "100", "ratelimit.burst", "2");
        stage.sink.push = hold;
        stage_start(&stage);
        int fd = open_session();
        STAGE_SEND(fd, "2 syslog 3 one\n3 syslog 3 two\n4 syslog 5 three\n5 syslog 4 four\n");
        stage_await_text(&stage, "[one][two]");
        expect_silence(fd);
        release_all();
        expect(fd, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n5 rsp 6 200 OK\n");
        CHECK_INT(stage.records, 2);
        CHECK_INT(counter_get(&stage.counters[RELP_RATE_LIMITED]), 2);
        close(fd);
        end();
}

TEST_MAIN(TEST(messages_arrive_and_are_acknowledged), TEST(nothing_is_acknowledged_before_its_batch_is_finished),
          TEST(answers_keep_the_order_of_the_messages), TEST(a_batch_may_outlive_its_session),
          TEST(a_batch_may_outlive_the_input), TEST(a_stop_still_answers_what_is_finished_in_time),
          TEST(what_was_lost_ends_the_session_unanswered), TEST(close_is_answered_after_all_that_came_before_it),
          TEST(what_is_no_relp_ends_the_session), TEST(a_session_begins_with_offers),
          TEST(a_long_message_is_cut_and_the_session_goes_on), TEST(a_long_message_is_accepted_where_that_is_wanted),
          TEST(a_long_message_ends_the_session_where_that_is_wanted),
          TEST(what_is_longer_than_maxmessagesize_is_split_and_acknowledged_once),
          TEST(what_is_longer_than_maxmessagesize_is_cut),
          TEST(more_messages_than_a_batch_holds_are_all_acknowledged_once),
          TEST(a_sender_without_a_window_is_read_no_further),
          TEST(what_the_rate_limit_discards_is_acknowledged_in_its_turn))
