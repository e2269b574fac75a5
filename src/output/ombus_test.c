#include <poll.h>
#include <semaphore.h>

#include "bus/test_broker.h"
#include "output/test_output.h"

extern const struct module ombus_module;

struct reader {
        struct penstock_bus *bus;
        char got[4096];
        unsigned count;
};

static void keep(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        struct reader *reader = context;
        size_t size, used = strlen(reader->got);
        const char *body = penstock_bus_message_body(message, &size);
        if (used + size + 3 < sizeof reader->got)
                snprintf(reader->got + used, sizeof reader->got - used, "[%.*s]", (int)size, body);
        reader->count++;
}

static void reader_start(struct reader *reader, struct test_broker *broker, const char *group) {
        *reader = (struct reader){0};
        CHECK_INT(penstock_bus_connect(&reader->bus, broker->path, 0), 0);
        CHECK_INT(penstock_bus_subscribe(reader->bus, group, NULL, keep, reader), 0);
        struct penstock_bus_result *result;
        CHECK_INT(penstock_bus_call_sync(reader->bus, &(struct penstock_bus_call){.to = "Msgq", .command = "members"},
                                         &result),
                  0);
        penstock_bus_result_free(result);
}

static void reader_await(struct reader *reader, unsigned count) {
        for (int tries = 0; tries < 1000 && reader->count < count; tries++)
                CHECK_INT(penstock_bus_wait(reader->bus, 10), 0);
        CHECK_INT(reader->count, count);
}

static struct outcome deliver(struct test_output *t, const char *const *texts, size_t count) {
        _owned_(test_rows_free) struct test_rows *rows = test_rows_new();
        for (size_t i = 0; i < count; i++)
                test_rows_add(rows, texts[i], NULL);
        return t->module->output->deliver(t->instance, &rows->work);
}
static void rows_become_messages_in_their_order(void) {
        struct test_broker broker;
        struct test_output out;
        struct reader reader;
        test_broker_start(&broker);
        reader_start(&reader, &broker, "Logs");
        CHECK_INT(test_output_open(&out, &ombus_module, NULL,
                                   PAIRS("socket", broker.path, "group", "Logs", "format", "raw")),
                  0);
        struct outcome o = deliver(&out, PAIRS("one", "two", "three"), 3);
        CHECK_INT(o.verdict, DELIVER_DONE);
        CHECK_INT(o.taken, 3);
        reader_await(&reader, 3);
        CHECK_TEXT(text_of(reader.got), "[one][two][three]");
        penstock_bus_close(reader.bus);
        test_output_close(&out);
        test_broker_stop(&broker);
}

static void an_event_that_is_no_object_is_refused(void) {
        struct test_broker broker;
        struct test_output out;
        struct reader reader;
        test_broker_start(&broker);
        reader_start(&reader, &broker, "Event/log");
        CHECK_INT(test_output_open(&out, &ombus_module, NULL, PAIRS("socket", broker.path, "event", "log")), 0);
        struct outcome o = deliver(&out, PAIRS("{\"a\":1}", "[2]", "{}"), 3);
        CHECK_INT(o.verdict, DELIVER_REFUSED);
        CHECK_INT(o.taken, 1);
        reader_await(&reader, 1);
        CHECK_TEXT(text_of(reader.got), "[{\"a\":1}]");
        penstock_bus_close(reader.bus);
        test_output_close(&out);
        test_broker_stop(&broker);
}

static void a_broker_that_is_away_is_unavailable_and_told_once(void) {
        struct test_output out;
        CHECK_INT(test_output_open(&out, &ombus_module, NULL,
                                   PAIRS("socket", "/tmp/no-such-bus", "group", "G", "format", "raw")),
                  0);
        CHECK_INT(deliver(&out, PAIRS("x"), 1).verdict, DELIVER_UNAVAILABLE);
        CHECK(test_heard("/tmp/no-such-bus"));
        test_said[0] = '\0';
        CHECK_INT(out.module->output->resume(out.instance), DELIVER_UNAVAILABLE);
        CHECK_TEXT(text_of(test_said), "");
        test_output_close(&out);
}

static void freeze(void *semaphore) {
        sem_wait(semaphore);
}

static void with_drop_a_slow_broker_costs_rows_and_no_time(void) {
        struct test_broker broker;
        struct test_output out;
        static char large[3000];
        sem_t thaw;
        memset(large, 'x', sizeof large - 1);
        sem_init(&thaw, 0, 0);
        test_broker_start(&broker);
        CHECK_INT(test_output_open(&out, &ombus_module, NULL,
                                   PAIRS("socket", broker.path, "group", "G", "format", "raw", "overflow", "drop",
                                         "queuesize", "4096")),
                  0);
        CHECK_INT(deliver(&out, PAIRS(large), 1).verdict, DELIVER_DONE);
        CHECK_INT(loop_post(broker.loop, freeze, &thaw), 0);
        for (int i = 0; i < 10000 && !counter_get(&out.counters[1]); i++)
                CHECK_INT(deliver(&out, PAIRS(large, large, large, large), 4).verdict, DELIVER_DONE);
        CHECK(counter_get(&out.counters[1]) > 0);
        int64_t due_ns;
        CHECK(out.module->output->pending(out.instance, &due_ns));
        sem_post(&thaw);
        for (int i = 0; i < 10000 && out.module->output->pending(out.instance, &due_ns); i++) {
                out.module->output->flush(out.instance);
                poll(NULL, 0, 1);
        }
        CHECK(!out.module->output->pending(out.instance, &due_ns));
        test_output_close(&out);
        test_broker_stop(&broker);
        sem_destroy(&thaw);
}

static void with_wait_a_slow_broker_suspends_the_action_and_rows_come_again(void) {
        struct test_broker broker;
        struct test_output out;
        static char large[3000];
        sem_t thaw;
        memset(large, 'x', sizeof large - 1);
        sem_init(&thaw, 0, 0);
        test_broker_start(&broker);
        CHECK_INT(test_output_open(&out, &ombus_module, NULL,
                                   PAIRS("socket", broker.path, "group", "G", "format", "raw", "timeout", "20")),
                  0);
        CHECK_INT(deliver(&out, PAIRS(large), 1).verdict, DELIVER_DONE);
        CHECK_INT(loop_post(broker.loop, freeze, &thaw), 0);
        struct outcome o = {.verdict = DELIVER_DONE};
        for (int i = 0; i < 10000 && o.verdict == DELIVER_DONE; i++)
                o = deliver(&out, PAIRS(large, large, large, large), 4);
        CHECK_OUTCOME(o, DELIVER_UNAVAILABLE, 0);
        sem_post(&thaw);
        CHECK_INT(test_resume(&out), DELIVER_DONE);
        CHECK_INT(deliver(&out, PAIRS(large), 1).verdict, DELIVER_DONE);
        test_output_close(&out);
        test_broker_stop(&broker);
        sem_destroy(&thaw);
}

static void group_and_event_exclude_each_other(void) {
        struct test_output out;
        CHECK_INT(test_output_open(&out, &ombus_module, NULL, PAIRS("group", "a", "event", "b")), -EINVAL);
        test_output_close(&out);
        CHECK_INT(test_output_open(&out, &ombus_module, NULL, PAIRS("event", "b", "format", "raw")), -EINVAL);
        test_output_close(&out);
}

TEST_MAIN(TEST(rows_become_messages_in_their_order), TEST(an_event_that_is_no_object_is_refused),
          TEST(a_broker_that_is_away_is_unavailable_and_told_once),
          TEST(with_drop_a_slow_broker_costs_rows_and_no_time),
          TEST(with_wait_a_slow_broker_suspends_the_action_and_rows_come_again),
          TEST(group_and_event_exclude_each_other))
