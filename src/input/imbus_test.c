#include <sys/stat.h>

#include "bus/test_broker.h"
#include "input/input_test.h"

extern const struct module imbus_module;

static void publish(struct penstock_bus *bus, const char *group, const char *body) {
        CHECK_INT(
                penstock_bus_send(
                        bus, &(struct penstock_bus_outgoing){.group = group, .body = body, .body_size = strlen(body)}),
                0);
        CHECK_INT(penstock_bus_flush(bus, 5000), 0);
}

/* Until the input is among the members of the group. */
static void await_member(struct penstock_bus *bus, const char *group) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "{\"group\":\"%s\"}", group);
        for (int tries = 0; tries < STAGE_WAIT_MS; tries++) {
                struct penstock_bus_result *result;
                CHECK_INT(penstock_bus_call_sync(bus,
                                                 &(struct penstock_bus_call){
                                                         .to = "Msgq", .command = "members", .arguments = arguments},
                                                 &result),
                          0);
                bool is_there = strchr(result->data, '@') != NULL;
                penstock_bus_result_free(result);
                if (is_there)
                        return;
                poll(NULL, 0, 1);
        }
        TEST_FAIL("the input does not subscribe");
}

static void raw_messages_come_from_a_group(void) {
        struct test_broker broker;
        struct stage stage;
        struct penstock_bus *bus;
        test_broker_start(&broker);
        STAGE_BEGIN(&stage, &imbus_module, "socket", broker.path, "group", "Logs", "format", "raw");
        stage_start(&stage);
        CHECK_INT(penstock_bus_connect(&bus, broker.path, 0), 0);
        await_member(bus, "Logs");
        publish(bus, "Logs", "<13>hello");
        publish(bus, "Other", "<13>not for us");
        publish(bus, "Logs", "<13>again");
        stage_await_text(&stage, "[<13>hello][<13>again]");
        penstock_bus_close(bus);
        stage_stop(&stage);
        stage_end(&stage);
        test_broker_stop(&broker);
}

static void what_is_no_object_is_taken_raw_and_counted(void) {
        struct test_broker broker;
        struct stage stage;
        struct penstock_bus *bus;
        test_broker_start(&broker);
        STAGE_BEGIN(&stage, &imbus_module, "socket", broker.path, "group", "Logs");
        stage_start(&stage);
        CHECK_INT(penstock_bus_connect(&bus, broker.path, 0), 0);
        await_member(bus, "Logs");
        publish(bus, "Logs",
                "{\"message\":\"m\",\"host\":\"h\",\"facility\":\"mail\",\"time\":\"2026-10-11T22:14:15Z\"}");
        publish(bus, "Logs", "[1]");
        stage_await_count(&stage, 2);
        CHECK_INT(counter_get(&stage.counters[1]), 1);
        CHECK_INT(counter_get(&stage.counters[0]), 2);
        penstock_bus_close(bus);
        stage_stop(&stage);
        stage_end(&stage);
        test_broker_stop(&broker);
}

static void a_broker_that_was_away_is_found_when_it_comes(void) {
        struct test_broker broker, second;
        struct stage stage;
        struct penstock_bus *bus;
        test_broker_start(&broker);
        STAGE_BEGIN(&stage, &imbus_module, "socket", broker.path, "group", "Logs", "format", "raw");
        stage_start(&stage);
        CHECK_INT(penstock_bus_connect(&bus, broker.path, 0), 0);
        await_member(bus, "Logs");
        penstock_bus_close(bus);
        test_broker_stop(&broker);
        CHECK_INT(mkdir(broker.directory, 0700), 0);
        second = broker;
        CHECK_INT(loop_new(&second.loop), 0);
        const struct broker_options options = {
                .socket_path = second.path, .listener = -1, .stopped = test_broker_leave, .context = second.loop};
        CHECK_INT(broker_new(&second.broker, second.loop, &options), 0);
        CHECK_INT(pthread_create(&second.thread, NULL, test_broker_run, second.loop), 0);
        CHECK_INT(penstock_bus_connect(&bus, second.path, 0), 0);
        await_member(bus, "Logs");
        publish(bus, "Logs", "<13>back");
        stage_await_text(&stage, "[<13>back]");
        penstock_bus_close(bus);
        stage_stop(&stage);
        stage_end(&stage);
        test_broker_stop(&second);
}

TEST_MAIN(TEST(raw_messages_come_from_a_group), TEST(what_is_no_object_is_taken_raw_and_counted),
          TEST(a_broker_that_was_away_is_found_when_it_comes))
