#include <errno.h>
#include <netinet/udp.h>

#include "input/input_test.h"

extern const struct module imudp_module;

static struct stage stage; /* static: its threads outlive a promise that fails */

#define BEGIN(...) STAGE_BEGIN(&stage, &imudp_module, "address", "127.0.0.1", "port", "0", __VA_ARGS__)

static void begin_with_port_file(void) {
        stage_set(stage.settings, imudp_module.settings.params, "listenportfilename", stage.port_file);
        stage_start(&stage);
}

static unsigned counter(const char *name) {
        for (unsigned i = 0; imudp_module.counters[i].name; i++)
                if (strcmp(imudp_module.counters[i].name, name) == 0)
                        return i;
        TEST_FAIL("no counter %s", name);
}

static void every_datagram_is_a_message(void) {
        BEGIN("defaulttz", "+01:00");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        STAGE_SEND(fd, "<13>one");
        STAGE_SEND(fd, "two\nlines\n");
        CHECK_INT(send(fd, "", 0, 0), 0);
        STAGE_SEND(fd, "last");
        stage_await_text(&stage, "[<13>one][two\nlines\n][last]");
        CHECK_TEXT(text_of(stage.last_input), "imudp");
        CHECK_TEXT(text_of(stage.last_address), "127.0.0.1");
        CHECK_TEXT(text_of(stage.last_zone), "+01:00");
        CHECK_INT(counter_get(&stage.counters[counter("msgs.received")]), 4);
        CHECK_INT(counter_get(&stage.counters[counter("submitted")]), 3);
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void what_is_too_long_is_cut_and_counted(void) {
        BEGIN("name", "x");
        stage.facts.message_bytes_max = 10;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        STAGE_SEND(fd, "abcdefghijKLM");
        STAGE_SEND(fd, "abcdefghij");
        stage_await_text(&stage, "[abcdefghij][abcdefghij]");
        CHECK_INT(counter_get(&stage.counters[counter("truncated")]), 1);
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

/* Datagrams that go through the network stack as one, as a gateway or a network card puts them together. */
static void send_train(int fd, const char *text, int bytes_each) {
        CHECK_INT(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &bytes_each, sizeof bytes_each), 0);
        stage_send(fd, text, strlen(text));
}

static void datagrams_that_come_together_are_messages_each(void) {
        BEGIN("name", "x");
        stage.facts.message_bytes_max = 5;
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        send_train(fd, "onestwosfour5", 4);
        send_train(fd, "<13>abcdef<13>gh", 10);
        stage_await_text(&stage, "[ones][twos][four][5][<13>a][<13>g]");
        CHECK_INT(counter_get(&stage.counters[counter("msgs.received")]), 6);
        CHECK_INT(counter_get(&stage.counters[counter("submitted")]), 6);
        CHECK_INT(counter_get(&stage.counters[counter("truncated")]), 2);
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void a_train_of_nobody_allowed_is_discarded_whole(void) {
        BEGIN("allowedsender", "10.0.0.0/8");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        send_train(fd, "abcdefg", 2);
        stage_await_counter(&stage, counter("disallowed"), 4);
        stage_stop(&stage);
        CHECK_INT(stage.records, 0);
        close(fd);
        stage_end(&stage);
}

static void the_port_can_be_part_of_the_name(void) {
        BEGIN("name", "", "name.appendport", "on");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        STAGE_SEND(fd, "a");
        stage_await_text(&stage, "[a]");
        char port[8];
        snprintf(port, sizeof port, "%u", stage_port(&stage));
        CHECK_TEXT(text_of(stage.last_input), port);
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void bursts_arrive_in_order_over_many_batches(void) {
        enum { MANY = 3000 };
        BEGIN("rcvbufsize", "4m", "module.batchsize", "8");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        for (int i = 0; i < MANY; i++) {
                char text[8];
                snprintf(text, sizeof text, "m%04d", i);
                stage_send(fd, text, 5);
                if (i % 100 == 99) /* the buffer may be small: loss is not what is tested */
                        stage_await_count(&stage, (size_t)i + 1);
        }
        for (int i = 0; i < MANY; i++) {
                char text[8];
                snprintf(text, sizeof text, "[m%04d]", i);
                CHECK(memcmp(stage.texts + i * 7, text, 7) == 0);
        }
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void threads_share_the_port(void) {
        BEGIN("module.threads", "2");
        begin_with_port_file();
        for (int i = 0; i < 50; i++) {
                int fd = stage_connect(&stage, SOCK_DGRAM);
                STAGE_SEND(fd, "a");
                close(fd);
        }
        stage_await_count(&stage, 50);
        stage_stop(&stage);
        stage_end(&stage);
}

static void several_ports_and_addresses_belong_to_one_input(void) {
        STAGE_BEGIN(&stage, &imudp_module, "address", "127.0.0.1|127.0.0.2", "port", "0|0");
        stage_set(stage.settings, imudp_module.settings.params, "listenportfilename", stage.port_file);
        stage_start(&stage);
        int fd = stage_connect(&stage, SOCK_DGRAM);
        STAGE_SEND(fd, "a");
        stage_await_text(&stage, "[a]");
        close(fd);
        stage_stop(&stage);
        stage_end(&stage);
}

static void senders_that_are_not_allowed_are_discarded(void) {
        BEGIN("allowedsender", "10.0.0.0/8");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        STAGE_SEND(fd, "a");
        STAGE_SEND(fd, "b");
        stage_await_counter(&stage, counter("disallowed"), 2);
        stage_stop(&stage);
        CHECK_INT(stage.records, 0);
        CHECK_TEXT(text_of(stage.reports), "3|0||imudp: UDP message from disallowed sender discarded (127.0.0.1)\n");
        close(fd);
        stage_end(&stage);
}

static void a_rate_limit_discards_and_tells(void) {
        BEGIN("ratelimit.interval", "3600", "ratelimit.burst", "2", "module.threads", "2");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        for (int i = 0; i < 5; i++)
                STAGE_SEND(fd, "x");
        stage_await_counter(&stage, counter("discarded.ratelimit"), 3);
        stage_stop(&stage);
        CHECK_TEXT(text_of(stage.texts), "[x][x]");
        CHECK(strstr(stage.reports,
                     "6|2177||imudp(127.0.0.1/0): 3 messages lost due to rate-limiting (2 allowed within "
                     "3600 seconds)\n"));
        close(fd);
        stage_end(&stage);
}

static void what_arrived_before_the_stop_is_taken(void) {
        BEGIN("name", "x");
        begin_with_port_file();
        int fd = stage_connect(&stage, SOCK_DGRAM);
        for (int i = 0; i < 20; i++)
                STAGE_SEND(fd, "x");
        stage_stop(&stage);
        CHECK_INT(stage.records, 20);
        close(fd);
        stage_end(&stage);
}

static void an_address_of_another_machine_is_bound_with_a_warning(void) {
        STAGE_BEGIN(&stage, &imudp_module, "address", "192.0.2.99", "port", "0");
        CHECK_INT(stage_open(&stage), 0);
        CHECK_TEXT(text_of(stage.reports), "4|2186||bound address 192.0.2.99 IP free\n");
        stage_end(&stage);
        STAGE_BEGIN(&stage, &imudp_module, "address", "192.0.2.99", "port", "0", "ipfreebind", "0");
        CHECK_INT(stage_open(&stage), -EADDRNOTAVAIL);
        CHECK(strstr(stage.reports, "imudp: no listeners could be started, input not activated.\n"));
        stage_end(&stage);
}

static void scheduling_mistakes_are_found(void) {
        STAGE_BEGIN(&stage, &imudp_module, "module.schedulingpolicy", "quick", "module.schedulingpriority", "1");
        CHECK_INT(imudp_module.check(NULL, stage.module_settings, &stage.log), -EINVAL);
        CHECK(strstr(stage.reports, "imudp: invalid scheduling policy 'quick' - ignoring setting."));
        stage_end(&stage);
        STAGE_BEGIN(&stage, &imudp_module, "module.schedulingpolicy", "fifo");
        CHECK_INT(imudp_module.check(NULL, stage.module_settings, &stage.log), 0);
        CHECK(strstr(stage.reports, "imudp: scheduling policy set, but without priority - ignoring settings\n"));
        stage_end(&stage);
}

TEST_MAIN(TEST(every_datagram_is_a_message), TEST(what_is_too_long_is_cut_and_counted),
          TEST(datagrams_that_come_together_are_messages_each), TEST(a_train_of_nobody_allowed_is_discarded_whole),
          TEST(the_port_can_be_part_of_the_name), TEST(bursts_arrive_in_order_over_many_batches),
          TEST(threads_share_the_port), TEST(several_ports_and_addresses_belong_to_one_input),
          TEST(senders_that_are_not_allowed_are_discarded), TEST(a_rate_limit_discards_and_tells),
          TEST(what_arrived_before_the_stop_is_taken), TEST(an_address_of_another_machine_is_bound_with_a_warning),
          TEST(scheduling_mistakes_are_found))
