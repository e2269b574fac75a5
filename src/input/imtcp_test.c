#include <errno.h>
#include <zlib.h>

#include "input/input_test.h"
#include "input/stream.h"

extern const struct module imtcp_module;

static struct stage stage; /* static: its threads outlive a promise that fails */

#define BEGIN(...) STAGE_BEGIN(&stage, &imtcp_module, "address", "127.0.0.1", "port", "0", __VA_ARGS__)

/* Without a port file imtcp takes port 514 for 0, which others may have. */
static void set_port_file(void) {
        stage_set(stage.settings, imtcp_module.settings.params, "listenportfilename", stage.port_file);
}

static void begin_with_port_file(void) {
        set_port_file();
        stage_start(&stage);
}

static void messages_of_both_framings_arrive(void) {
        BEGIN("name", "foo", "defaulttz", "+02:00");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "<13>one\n5 <9>xy<13>tw");
        stage_await_text(&stage, "[<13>one][<9>xy]");
        STAGE_SEND(fd, "o\n");
        stage_await_text(&stage, "[<13>two]");
        CHECK_TEXT(text_of(stage.last_input), "foo");
        CHECK_TEXT(text_of(stage.last_address), "127.0.0.1");
        CHECK_TEXT(text_of(stage.last_zone), "+02:00");
        close(fd);
        stage_await_counter(&stage, STREAM_CLOSED, 1);
        CHECK_INT(counter_get(&stage.counters[STREAM_SUBMITTED]), 3);
        CHECK_INT(counter_get(&stage.counters[STREAM_OPENED]), 1);
        stage_stop(&stage);
        stage_end(&stage);
}

static void the_end_of_a_connection_ends_its_message(void) {
        BEGIN("module.workerthreads", "1");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "no line feed");
        close(fd);
        stage_await_text(&stage, "[no line feed]");
        stage_stop(&stage);
        stage_end(&stage);
}

static void what_a_connection_held_at_stop_is_kept(void) {
        BEGIN("module.workerthreads", "2");
        begin_with_port_file();
        int fds[4];
        for (int i = 0; i < 4; i++) {
                fds[i] = stage_connect(&stage, SOCK_STREAM);
                STAGE_SEND(fds[i], "whole\npart");
        }
        stage_await_count(&stage, 4);
        stage_stop(&stage);
        CHECK_INT(stage.records, 8);
        for (int i = 0; i < 4; i++)
                close(fds[i]);
        stage_end(&stage);
}

static void broken_framing_is_reported_in_the_usual_words(void) {
        BEGIN("name", "imtcp");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "3abc\nhello\n0 x\n300000 y\n9000 z\n");
        stage_await_report(&stage, "3|0||imtcp imtcp: Framing Error in received TCP message from peer: (hostname) "
                                   "127.0.0.1, (ip) 127.0.0.1: delimiter is not SP but has ASCII value 97.\n");
        stage_await_report(&stage, "3|0||imtcp imtcp: Framing Error in received TCP message from peer: (hostname) "
                                   "127.0.0.1, (ip) 127.0.0.1: invalid octet count 0.\n");
        stage_await_report(&stage, "size is 300000 bytes, max msg size is 8192, truncating...\n");
        stage_await_report(&stage, "frame too large: 300000, change to octet stuffing\n");
        stage_await_report(&stage, "size is 9000 bytes, max msg size is 8192, truncating...\n");
        close(fd);
        stage_await_report(&stage,
                           "Incomplete frame at end of stream in session 1 - ignoring extra data (a message may "
                           "be lost).");
        stage_stop(&stage);
        CHECK_TEXT(text_of(stage.texts), "[bc\n][hello][x][300000y]");
        stage_end(&stage);
}

/* Bytes that tell where they stand, so that a lost or doubled one shows. */
static char *patterned(size_t size) {
        char *data = malloc(size);
        CHECK(data != NULL);
        for (size_t i = 0; i < size; i++)
                data[i] = (char)('a' + i * 7 % 26);
        return data;
}

static void a_message_larger_than_a_batch_arrives_whole(void) {
        enum { LARGE = 700000 };
        BEGIN("maxframesize", "1000000");
        stage.facts.message_bytes_max = 1000000;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        char *data = patterned(LARGE);
        STAGE_SEND(fd, "first\n700000 ");
        stage_send(fd, data, LARGE);
        stage_send(fd, data, LARGE / 2);
        STAGE_SEND(fd, "\nlast\n");
        stage_await_text(&stage, "[last]");
        stage_stop(&stage);
        CHECK_INT(stage.records, 4);
        CHECK_INT(strlen(stage.texts), LARGE + LARGE / 2 + strlen("[first][][][last]"));
        CHECK(memcmp(stage.texts + strlen("[first]["), data, LARGE) == 0);
        CHECK(memcmp(stage.texts + strlen("[first][") + LARGE + 2, data, LARGE / 2) == 0);
        free(data);
        close(fd);
        stage_end(&stage);
}

static void many_small_messages_fill_many_batches(void) {
        enum { MANY = 50000 };
        BEGIN("module.workerthreads", "1");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        char *stream = malloc(MANY * 6);
        CHECK(stream != NULL);
        for (int i = 0; i < MANY; i++) {
                char line[8];
                snprintf(line, sizeof line, "m%04d\n", i % 10000);
                memcpy(stream + i * 6, line, 6);
        }
        stage_send(fd, stream, MANY * 6);
        stage_await_count(&stage, MANY);
        stage_stop(&stage);
        for (int i = 0; i < MANY; i++) {
                CHECK(stage.texts[i * 7] == '[' && stage.texts[i * 7 + 6] == ']');
                CHECK(memcmp(stage.texts + i * 7 + 1, stream + i * 6, 5) == 0);
        }
        free(stream);
        close(fd);
        stage_end(&stage);
}

static void too_many_connections_are_refused_in_the_usual_words(void) {
        BEGIN("maxsessions", "2");
        begin_with_port_file();
        int fds[3];
        for (int i = 0; i < 3; i++)
                fds[i] = stage_connect(&stage, SOCK_STREAM);
        stage_await_report(&stage, "3|2079||too many tcp sessions - dropping incoming request\n");
        char byte;
        CHECK_INT(recv(fds[2], &byte, 1, 0), 0);
        close(fds[0]);
        stage_await_counter(&stage, STREAM_CLOSED, 1);
        close(fds[2]);
        fds[2] = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fds[2], "room again\n");
        stage_await_text(&stage, "[room again]");
        close(fds[1]);
        close(fds[2]);
        stage_stop(&stage);
        stage_end(&stage);
}

static void connections_are_announced_if_asked(void) {
        BEGIN("notifyonconnectionopen", "on", "notifyonconnectionclose", "on");
        begin_with_port_file();
        close(stage_connect(&stage, SOCK_STREAM));
        stage_await_report(&stage, "6|0||imtcp: connection established with host: 127.0.0.1\n");
        stage_await_report(&stage, "3|2144||Netstream session 1 closed by remote peer 127.0.0.1. \n");
        stage_stop(&stage);
        stage_end(&stage);
}

static void senders_that_are_not_allowed_are_refused(void) {
        BEGIN("allowedsender", "TCP, 10.0.0.0/8|192.0.2.1");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        stage_await_report(&stage, "3|2063||connection request from disallowed sender 127.0.0.1 discarded\n");
        close(fd);
        stage_stop(&stage);
        CHECK_INT(counter_get(&stage.counters[STREAM_DISALLOWED]), 1);
        stage_end(&stage);
}

static void senders_allowed_for_the_whole_daemon_count_too(void) {
        static char *items[] = {"10.0.0.0/8"};
        static const struct strings allowed = {.items = items, .count = 1};
        BEGIN("name", "imtcp");
        stage.facts.allowed_tcp = &allowed;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        stage_await_report(&stage, "3|2063||connection request from disallowed sender 127.0.0.1 discarded\n");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_mistake_among_the_senders_of_the_whole_daemon_costs_that_entry(void) {
        static char *items[] = {"!127.0.0.1", "10.0.0.0/8", "127.0.0.1/0"};
        static const struct strings allowed = {.items = items, .count = 3};
        BEGIN("name", "imtcp");
        stage.facts.allowed_tcp = &allowed;
        begin_with_port_file();
        stage_await_report(&stage, "|allowedsender|\"!127.0.0.1\" is neither an address");
        stage_await_report(&stage, "|allowedsender|the prefix length in \"127.0.0.1/0\" is wrong");
        int fd = stage_connect(&stage, SOCK_STREAM);
        stage_await_report(&stage, "3|2063||connection request from disallowed sender 127.0.0.1 discarded\n");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_rate_limit_discards_and_tells(void) {
        BEGIN("ratelimit.interval", "3600", "ratelimit.burst", "2");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(fd, "a\nb\nc\nd\n");
        stage_await_counter(&stage, STREAM_RATE_LIMITED, 2);
        stage_stop(&stage);
        CHECK_TEXT(text_of(stage.texts), "[a][b]");
        CHECK(strstr(stage.reports,
                     "6|2177||imtcp[0] from <127.0.0.1:->: begin to drop messages due to rate-limiting\n"));
        CHECK(strstr(stage.reports,
                     "6|2177||imtcp[0]: 2 messages lost due to rate-limiting (2 allowed within 3600 seconds)\n"));
        close(fd);
        stage_end(&stage);
}

static void a_compressed_connection_is_read(void) {
        BEGIN("compression.mode", "stream:always");
        begin_with_port_file();
        char lines[40000];
        for (size_t i = 0; i < sizeof lines; i++)
                lines[i] = i % 100 == 99 ? '\n' : 'x';
        unsigned char packed[2000];
        uLongf size = sizeof packed;
        CHECK_INT(compress(packed, &size, (unsigned char *)lines, sizeof lines), Z_OK);
        int fd = stage_connect(&stage, SOCK_STREAM);
        stage_send(fd, packed, size / 2);
        stage_send(fd, packed + size / 2, size - size / 2);
        stage_await_count(&stage, 400);
        CHECK_INT(counter_get(&stage.counters[STREAM_INFLATED]), sizeof lines);
        CHECK_INT(counter_get(&stage.counters[STREAM_BYTES]), size);
        int plain = stage_connect(&stage, SOCK_STREAM);
        STAGE_SEND(plain, "not compressed\n");
        stage_await_report(&stage, "will be closed due to error: the stream is not compressed as configured");
        close(fd);
        close(plain);
        stage_stop(&stage);
        stage_end(&stage);
}

static void hundreds_of_connections_share_the_loops(void) {
        enum { CONNECTIONS = 400 };
        BEGIN("module.workerthreads", "2", "socketbacklog", "500");
        begin_with_port_file();
        static int fds[CONNECTIONS];
        for (int i = 0; i < CONNECTIONS; i++)
                fds[i] = stage_connect(&stage, SOCK_STREAM);
        for (int round = 0; round < 3; round++)
                for (int i = 0; i < CONNECTIONS; i++)
                        STAGE_SEND(fds[i], "hello\nhel");
        stage_await_count(&stage, 3 * CONNECTIONS);
        for (int i = 0; i < CONNECTIONS; i++)
                close(fds[i]);
        stage_await_counter(&stage, STREAM_CLOSED, CONNECTIONS);
        stage_stop(&stage);
        CHECK_INT(stage.records, 4 * CONNECTIONS);
        stage_end(&stage);
}

static int check(void) {
        return imtcp_module.check(stage.settings, stage.module_settings, &stage.log);
}

static void tls_without_what_it_needs_is_refused_rather_than_left_out(void) {
        BEGIN("streamdriver.mode", "1");
        CHECK_INT(stage_open(&stage), -EINVAL);
        CHECK(strstr(stage.reports, "3|0|streamdriver.mode|error: driver mode 1 not supported by ptcp"));
        stage_end(&stage);
        BEGIN("streamdriver.mode", "2", "streamdriver.name", "gtls");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "driver mode 2 not supported by gtls netstream driver"));
        stage_end(&stage);
        BEGIN("streamdriver.mode", "1", "streamdriver.name", "osll");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "there is no stream driver \"osll\""));
        stage_end(&stage);
        BEGIN("streamdriver.mode", "1", "streamdriver.name", "ossl", "streamdriver.authmode", "x509/nam");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "authentication mode 'x509/nam' not supported"));
        stage_end(&stage);
        BEGIN("streamdriver.mode", "1", "streamdriver.name", "ossl", "streamdriver.authmode", "x509/name");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "needs the names of permitted peers"));
        stage_end(&stage);
        BEGIN("streamdriver.mode", "1", "streamdriver.name", "ossl", "gnutlsprioritystring", "NORMLA");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "the priority string begins with \"NORMLA\""));
        stage_end(&stage);
}

static void every_driver_is_plain_in_mode_0(void) {
        static const char *const drivers[] = {"ptcp", "gtls", "ossl", "mbedtls", "OSSL"};
        for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
                BEGIN("streamdriver.name", drivers[i], "streamdriver.authmode", "anon");
                set_port_file();
                CHECK_INT(check(), 0);
                CHECK_INT(stage_open(&stage), 0);
                stage_end(&stage);
        }
}

static void mistakes_are_found_before_the_start(void) {
        STAGE_BEGIN(&stage, &imtcp_module, "port", "70000", "allowedsender", "-x.example.net|10.0.0.0/0",
                    "framing.delimiter.regex", "^<[0-9");
        CHECK_INT(check(), -EINVAL);
        CHECK(strstr(stage.reports, "|port|Invalid TCP listen port 70000 - ignored."));
        CHECK(strstr(stage.reports, "|allowedsender|\"-x.example.net\" is neither an address"));
        CHECK(strstr(stage.reports, "|allowedsender|the prefix length in \"10.0.0.0/0\" is wrong"));
        CHECK(strstr(stage.reports, "|framing.delimiter.regex|imtcp: error in framing.delimiter.regex expansion: "));
        stage_end(&stage);
}

static void a_port_in_use_is_reported(void) {
        BEGIN("name", "first");
        begin_with_port_file();
        static struct stage second;
        char port[8];
        snprintf(port, sizeof port, "%u", stage_port(&stage));
        STAGE_BEGIN(&second, &imtcp_module, "address", "127.0.0.1", "port", port);
        CHECK_INT(stage_open(&second), -EADDRINUSE);
        CHECK(strstr(second.reports, "3|0||Error while binding tcp socket: Address already in use\n"));
        CHECK(strstr(second.reports, "3|2077||Could not create tcp listener, ignoring port "));
        stage_end(&second);
        stage_stop(&stage);
        stage_end(&stage);
}

/* Lines, empty ones, counted frames, blanks, control characters, and messages that are too long. */
static size_t mixed_stream(char *stream, size_t size) {
        static const char *const pieces[] = {
                "<13>Oct 11 22:14:15 host tag: a line\n",
                "\n",
                "x\n",
                "5 <9>xy",
                "tab\there\n",
                " a blank first\n",
                "m\xc3\xbcll\r\n",
                "7 <9>x\ny\n",
                "<13>host tag: another line, somewhat longer than others are\n",
        };
        size_t at = 0;
        for (unsigned random = 3; at + 10000 < size;) {
                random = random * 1103515245 + 12345;
                unsigned dice = random >> 16;
                if (dice % 1000 == 0) {
                        memset(stream + at, 'l', 9000);
                        at += 9000;
                        stream[at++] = '\n';
                        continue;
                }
                const char *piece = pieces[dice % 64 < ARRAY_SIZE(pieces) ? dice % 64 : 8];
                memcpy(stream + at, piece, strlen(piece));
                at += strlen(piece);
        }
        memcpy(stream + at, "end\n", 4);
        return at + 4;
}

/* A rate limit, even one that nobody reaches, wants to see each message by itself. */
static void lines_taken_many_at_a_time_are_those_taken_one_by_one(void) {
        enum { STREAM_SIZE = 1 << 20 };
        char *stream = malloc(STREAM_SIZE), *first = NULL;
        CHECK(stream != NULL);
        size_t size = mixed_stream(stream, STREAM_SIZE);
        for (unsigned is_limited = 0; is_limited < 2; is_limited++) {
                BEGIN("ratelimit.interval", is_limited ? "1000" : "0", "ratelimit.burst", "10000000");
                begin_with_port_file();
                int fd = stage_connect(&stage, SOCK_STREAM);
                stage_send(fd, stream, size);
                stage_await_text(&stage, "[end]");
                close(fd);
                stage_stop(&stage);
                CHECK(stage.records > 3 * BATCH_RECORDS_MAX);
                if (is_limited)
                        CHECK(strcmp(stage.texts, first) == 0);
                else
                        first = strdup(stage.texts);
                stage_end(&stage);
        }
        free(first);
        free(stream);
}

TEST_MAIN(TEST(messages_of_both_framings_arrive), TEST(lines_taken_many_at_a_time_are_those_taken_one_by_one),
          TEST(the_end_of_a_connection_ends_its_message), TEST(what_a_connection_held_at_stop_is_kept),
          TEST(broken_framing_is_reported_in_the_usual_words), TEST(a_message_larger_than_a_batch_arrives_whole),
          TEST(many_small_messages_fill_many_batches), TEST(too_many_connections_are_refused_in_the_usual_words),
          TEST(connections_are_announced_if_asked), TEST(senders_that_are_not_allowed_are_refused),
          TEST(senders_allowed_for_the_whole_daemon_count_too),
          TEST(a_mistake_among_the_senders_of_the_whole_daemon_costs_that_entry), TEST(a_rate_limit_discards_and_tells),
          TEST(a_compressed_connection_is_read), TEST(hundreds_of_connections_share_the_loops),
          TEST(tls_without_what_it_needs_is_refused_rather_than_left_out), TEST(every_driver_is_plain_in_mode_0),
          TEST(mistakes_are_found_before_the_start), TEST(a_port_in_use_is_reported))
