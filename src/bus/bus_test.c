/*
 * The client library against a broker on a thread of its own.
 */
#include "bus/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/test.h"
#include "bus/broker.h"

enum { WAIT_MS = 20000 };

static struct {
        struct loop *loop;
        struct broker *broker;
        pthread_t thread;
        char path[64];
} place;

static void *run_loop(void *loop) {
        (void)loop_run(loop);
        return NULL;
}

static void leave_loop(void *loop) {
        loop_stop(loop);
}

static void start(void) {
        static unsigned number;
        if (!place.path[0])
                snprintf(place.path, sizeof place.path, "@penstock-bus-test-%d-%u", (int)getpid(), number++);
        CHECK_INT(loop_new(&place.loop), 0);
        const struct broker_options options = {
                .socket_path = place.path, .listener = -1, .stopped = leave_loop, .context = place.loop};
        CHECK_INT(broker_new(&place.broker, place.loop, &options), 0);
        CHECK_INT(pthread_create(&place.thread, NULL, run_loop, place.loop), 0);
}

static void stop_broker(void *broker) {
        broker_stop(broker);
}

static void stop(void) {
        CHECK_INT(loop_post(place.loop, stop_broker, place.broker), 0);
        pthread_join(place.thread, NULL);
        place.broker = broker_free(place.broker);
        place.loop = loop_free(place.loop);
}

static struct penstock_bus *client(void) {
        struct penstock_bus *bus = NULL;
        CHECK_INT(penstock_bus_connect(&bus, place.path, 0), 0);
        CHECK_INT(penstock_bus_protocol(bus), 2);
        return bus;
}

/* Lets both go on until the condition holds. */
#define UNTIL(condition, a, b)                                                                                         \
        do {                                                                                                           \
                int tries_ = 0;                                                                                        \
                while (!(condition)) {                                                                                 \
                        CHECK(tries_++ < 100000);                                                                      \
                        go_on((a), (b));                                                                               \
                }                                                                                                      \
        } while (0)

static void go_on(struct penstock_bus *a, struct penstock_bus *b) {
        struct pollfd fds[2] = {{penstock_bus_fd(a), POLLIN, 0}, {penstock_bus_fd(b), POLLIN, 0}};
        CHECK(poll(fds, 2, WAIT_MS) > 0);
        penstock_bus_process(a);
        if (b != a)
                penstock_bus_process(b);
}

/* ---- A service ---------------------------------------------------------------- */

static struct penstock_bus_request *kept_request;

static void run_echo(struct penstock_bus_request *request, void *context _unused_) {
        penstock_bus_answer(request, 0, NULL, penstock_bus_request_arguments(request), NULL, 0);
}

static void run_fail(struct penstock_bus_request *request, void *context _unused_) {
        penstock_bus_answer(request, 42, "It \"failed\"", "{\"why\":[1,2]}", NULL, 0);
}

static void run_keep(struct penstock_bus_request *request, void *context _unused_) {
        kept_request = request;
}

/* Answers with what it was sent, and a descriptor of its own. */
static void run_attach(struct penstock_bus_request *request, void *context _unused_) {
        struct penstock_bus_message *m = penstock_bus_request_message(request);
        struct penstock_bus_attachment blob;
        if (penstock_bus_message_attachment(m, 0, &blob)) {
                penstock_bus_answer(request, 1, "no attachment", NULL, NULL, 0);
                return;
        }
        int fd = penstock_bus_message_take_fd(m, 1);
        const struct penstock_bus_attachment out[] = {{.fd = fd}, blob};
        penstock_bus_answer(request, 0, NULL, NULL, out, 2);
        close(fd);
}

static const struct penstock_bus_argument echo_arguments[] = {
        {"text", "string", false, "Anything."}, {"number", "integer", true, "A number."}, {}};
static const struct penstock_bus_method methods[] = {{"echo", "Answers with its arguments.", echo_arguments, run_echo},
                                                     {"fail", "Fails.", NULL, run_fail},
                                                     {"keep", "Answers later.", NULL, run_keep},
                                                     {"attach", "Answers with attachments.", NULL, run_attach},
                                                     {}};
static const struct penstock_bus_service service = {"Echo", "For tests.", methods};

/* ---- Results -------------------------------------------------------------------- */

struct seen {
        int count;
        int code;
        char text[200];
        char data[2000];
        struct penstock_bus_message *message;
};

static void see(struct penstock_bus *bus _unused_, const struct penstock_bus_result *result, void *context) {
        struct seen *seen = context;
        seen->count++;
        seen->code = result->code;
        snprintf(seen->text, sizeof seen->text, "%s", result->text);
        snprintf(seen->data, sizeof seen->data, "%s", result->data);
        if (result->message && penstock_bus_message_attachment_count(result->message))
                seen->message = penstock_bus_message_ref(result->message);
}

static void serving(struct penstock_bus **asker, struct penstock_bus **server) {
        start();
        *server = client();
        *asker = client();
        CHECK_INT(penstock_bus_serve(*server, &service, NULL), 0);
        CHECK_INT(penstock_bus_flush(*server, WAIT_MS), 0);
        /* The broker has served it when it answers what came after. */
        struct penstock_bus_result *result = NULL;
        CHECK_INT(penstock_bus_call_sync(*server, &(struct penstock_bus_call){.to = "Msgq", .command = "members"},
                                         &result),
                  0);
        CHECK_INT(result->code, 0);
        penstock_bus_result_free(result);
}

static void end(struct penstock_bus *a, struct penstock_bus *b) {
        penstock_bus_close(a);
        penstock_bus_close(b);
        stop();
}

static struct seen call(struct penstock_bus *a, struct penstock_bus *b, const struct penstock_bus_call *what) {
        struct seen seen = {0};
        CHECK_INT(penstock_bus_call(a, what, see, &seen), 0);
        CHECK_INT(seen.count, 0);
        UNTIL(seen.count > 0, a, b);
        CHECK_INT(seen.count, 1);
        return seen;
}

static void a_call_has_one_result(void) {
        struct penstock_bus *a, *b;
        serving(&a, &b);
        struct seen s =
                call(a, b,
                     &(struct penstock_bus_call){
                             .to = "Echo", .command = "echo", .arguments = "{\"text\":\"x\\u00fc\",\"number\":7}"});
        CHECK_INT(s.code, 0);
        CHECK_TEXT(text_of(s.data), "{\"text\":\"x\\u00fc\",\"number\":7}");
        s = call(a, b, &(struct penstock_bus_call){.to = "Echo[0]", .command = "fail"});
        CHECK_INT(s.code, 42);
        CHECK_TEXT(text_of(s.text), "It \"failed\"");
        CHECK_TEXT(text_of(s.data), "{\"why\":[1,2]}");
        s = call(a, b, &(struct penstock_bus_call){.to = penstock_bus_lname(b), .command = "fail"});
        CHECK_INT(s.code, 42);
        end(a, b);
}

static void errors_of_the_broker_are_results(void) {
        struct penstock_bus *a, *b;
        serving(&a, &b);
        struct seen s = call(a, b, &(struct penstock_bus_call){.to = "Nobody", .command = "x"});
        CHECK_INT(s.code, PENSTOCK_BUS_NO_RECIPIENT);
        s = call(a, b, &(struct penstock_bus_call){.to = "Echo", .command = "keep", .timeout_ms = 20});
        CHECK_INT(s.code, PENSTOCK_BUS_TIMED_OUT);
        CHECK_INT(penstock_bus_answer(kept_request, 0, NULL, "1", NULL, 0), 0);
        struct seen gone = {0};
        CHECK_INT(penstock_bus_call(a, &(struct penstock_bus_call){.to = "Echo", .command = "keep"}, see, &gone), 0);
        kept_request = NULL;
        UNTIL(kept_request, b, a);
        CHECK_INT(penstock_bus_answer(kept_request, 0, NULL, "{bad", NULL, 0), -EINVAL);
        UNTIL(gone.count, a, b);
        CHECK_INT(gone.code, 1);
        end(a, b);
}

static void arguments_are_checked_by_the_table_that_describes_them(void) {
        struct penstock_bus *a, *b;
        serving(&a, &b);
        struct seen s = call(a, b, &(struct penstock_bus_call){.to = "Echo", .command = "echo"});
        CHECK_INT(s.code, 1);
        CHECK(strstr(s.text, "\"text\" is missing"));
        s = call(a, b, &(struct penstock_bus_call){.to = "Echo", .command = "echo", .arguments = "{\"text\":1}"});
        CHECK(s.code == 1 && strstr(s.text, "type string"));
        s = call(a, b,
                 &(struct penstock_bus_call){.to = "Echo", .command = "echo", .arguments = "{\"text\":\"\",\"z\":1}"});
        CHECK(s.code == 1 && strstr(s.text, "no argument \"z\""));
        s = call(a, b, &(struct penstock_bus_call){.to = "Echo", .command = "fly"});
        CHECK_TEXT(text_of(s.text), "unknown command: fly");
        s = call(a, b, &(struct penstock_bus_call){.to = "Echo", .command = "describe"});
        CHECK(s.code == 0 && strstr(s.data, "\"command_name\":\"echo\"") && strstr(s.data, "\"item_name\":\"number\""));
        end(a, b);
}

struct many_seen {
        int count;
        int codes[100];
};

static void see_many(struct penstock_bus *bus _unused_, const struct penstock_bus_result *const *results, size_t count,
                     void *context) {
        struct many_seen *seen = context;
        seen->count++;
        for (size_t i = 0; i < count; i++)
                seen->codes[i] = results[i]->code ? results[i]->code : (int)strtol(results[i]->data + 20, NULL, 10);
}

static void many_calls_have_one_callback_with_results_in_order(void) {
        struct penstock_bus *a, *b;
        struct penstock_bus_call calls[100];
        char arguments[100][64];
        struct many_seen seen = {0};
        serving(&a, &b);
        for (int i = 0; i < 100; i++) {
                snprintf(arguments[i], sizeof arguments[i], "{\"text\":\"\",\"number\":%d}", i);
                calls[i] = (struct penstock_bus_call){
                        .to = i % 10 ? "Echo" : "Nobody", .command = "echo", .arguments = arguments[i]};
        }
        CHECK_INT(penstock_bus_call_many(a, calls, 100, see_many, &seen), 0);
        UNTIL(seen.count, a, b);
        CHECK_INT(seen.count, 1);
        for (int i = 0; i < 100; i++)
                CHECK_INT(seen.codes[i], i % 10 ? i : PENSTOCK_BUS_NO_RECIPIENT);
        calls[50].command = NULL;
        CHECK_INT(penstock_bus_call_many(a, calls, 100, see_many, &seen), -EINVAL);
        CHECK_INT(seen.count, 1);
        end(a, b);
}

static void attachments_go_both_ways(void) {
        struct penstock_bus *a, *b;
        int ends[2];
        serving(&a, &b);
        CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
        const struct penstock_bus_attachment sent[] = {{.data = "blob", .size = 4}, {.fd = ends[1]}};
        struct seen seen = {0};
        CHECK_INT(penstock_bus_call(
                          a,
                          &(struct penstock_bus_call){
                                  .to = "Echo", .command = "attach", .attachments = sent, .attachment_count = 2},
                          see, &seen),
                  0);
        close(ends[1]);
        UNTIL(seen.count, a, b);
        CHECK_INT(seen.code, 0);
        CHECK(seen.message);
        int fd = penstock_bus_message_take_fd(seen.message, 0);
        CHECK(fd >= 0);
        CHECK_INT(penstock_bus_message_take_fd(seen.message, 0), -ENOENT);
        struct penstock_bus_attachment blob;
        CHECK_INT(penstock_bus_message_attachment(seen.message, 1, &blob), 0);
        CHECK(blob.size == 4 && memcmp(blob.data, "blob", 4) == 0);
        penstock_bus_message_unref(seen.message);
        CHECK_INT(write(fd, "x", 1), 1);
        close(fd);
        char byte;
        CHECK_INT(read(ends[0], &byte, 1), 1);
        CHECK_INT(read(ends[0], &byte, 1), 0);
        close(ends[0]);
        end(a, b);
}

static void count_message(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        size_t size;
        const char *body = penstock_bus_message_body(message, &size);
        int *sum = context;
        *sum += size ? (int)strtol(body + 5, NULL, 10) : 1;
}

static void events_reach_their_callbacks(void) {
        struct penstock_bus *a, *b;
        int sum = 0, other = 0;
        serving(&a, &b);
        CHECK_INT(penstock_bus_on_event(a, "tick", count_message, &sum), 0);
        CHECK_INT(penstock_bus_on_event(a, "tick", count_message, &sum), -EEXIST);
        CHECK_INT(penstock_bus_on_event(a, "other", count_message, &other), 0);
        call(a, b, &(struct penstock_bus_call){.to = "Msgq", .command = "members"});
        CHECK_INT(penstock_bus_notify(b, "tick", "{\"n\":20}"), 0);
        CHECK_INT(penstock_bus_notify(b, "tick", "{\"n\":22}"), 0);
        UNTIL(sum == 42, a, b);
        CHECK_INT(other, 0);
        CHECK_INT(penstock_bus_unsubscribe(a, "Event/tick", NULL), 0);
        CHECK_INT(penstock_bus_unsubscribe(a, "Event/tick", NULL), -ENOENT);
        end(a, b);
}

/* A callback may wait for another call, while more messages have come than it has seen. */
static void call_inside(struct penstock_bus *bus, struct penstock_bus_message *message _unused_, void *context) {
        struct penstock_bus_result *result = NULL;
        int *sum = context;
        if (penstock_bus_call_sync(bus, &(struct penstock_bus_call){.to = "Msgq", .command = "members"}, &result) ==
                    0 &&
            result->code == 0)
                ++*sum;
        penstock_bus_result_free(result);
}

static void a_callback_may_wait_for_a_call(void) {
        struct penstock_bus *a, *b;
        int sum = 0;
        serving(&a, &b);
        CHECK_INT(penstock_bus_on_event(a, "tick", call_inside, &sum), 0);
        call(a, b, &(struct penstock_bus_call){.to = "Msgq", .command = "members"});
        for (int i = 0; i < 50; i++)
                CHECK_INT(penstock_bus_notify(b, "tick", NULL), 0);
        UNTIL(sum == 50, a, b);
        end(a, b);
}

static atomic_bool flood_is_over;

/* A client that sends without end. */
static void *run_flood(void *argument _unused_) {
        static char body[1 << 20];
        const struct penstock_bus_outgoing message = {.group = "Flood", .body = body, .body_size = sizeof body};
        struct penstock_bus *bus = client();
        while (!atomic_load(&flood_is_over))
                if (penstock_bus_send(bus, &message))
                        penstock_bus_wait(bus, 10);
        penstock_bus_close(bus);
        return NULL;
}

static void count_one(struct penstock_bus *bus _unused_, struct penstock_bus_message *message _unused_, void *context) {
        ++*(unsigned *)context;
}

static void what_is_kept_while_a_call_waits_is_bounded(void) {
        struct penstock_bus *asker, *server;
        struct penstock_bus_result *result;
        unsigned got = 0;
        pthread_t thread;
        serving(&asker, &server);
        CHECK_INT(penstock_bus_subscribe(asker, "Flood", NULL, count_one, &got), 0);
        atomic_store(&flood_is_over, false);
        CHECK_INT(pthread_create(&thread, NULL, run_flood, NULL), 0);
        /* The server does not process, so nobody answers. */
        CHECK_INT(penstock_bus_call_sync(asker, &(struct penstock_bus_call){.to = "Echo", .command = "keep"}, &result),
                  -ENOBUFS);
        atomic_store(&flood_is_over, true);
        penstock_bus_process(asker);
        CHECK(got >= 60);
        pthread_join(thread, NULL);
        end(asker, server);
}

static void note_room(struct penstock_bus *bus _unused_, void *context) {
        ++*(int *)context;
}

static void a_full_queue_is_an_answer_and_room_a_callback(void) {
        struct penstock_bus *a, *b;
        static char large[100000];
        int room = 0, r = 0, sent = 0;
        serving(&a, &b);
        penstock_bus_set_queue_limit(a, 1 << 20);
        penstock_bus_on_room(a, note_room, &room);
        CHECK_INT(penstock_bus_subscribe(b, "slow", NULL, count_message, &(int){0}), 0);
        call(b, a, &(struct penstock_bus_call){.to = "Msgq", .command = "members"});
        while (r == 0 && sent < 10000) {
                r = penstock_bus_send(
                        a, &(struct penstock_bus_outgoing){.group = "slow", .body = large, .body_size = sizeof large});
                sent += r == 0;
        }
        CHECK_INT(r, -EAGAIN);
        CHECK(penstock_bus_queued(a) > 1 << 20);
        UNTIL(room, a, b);
        CHECK_INT(room, 1);
        CHECK(penstock_bus_queued(a) <= 1 << 19);
        end(a, b);
}

static void a_lost_connection_ends_every_call_once(void) {
        struct penstock_bus *a, *b;
        struct seen seen[3] = {0};
        struct penstock_bus_result *result = NULL;
        serving(&a, &b);
        for (int i = 0; i < 3; i++)
                CHECK_INT(penstock_bus_call(a, &(struct penstock_bus_call){.to = "Echo", .command = "keep"}, see,
                                            &seen[i]),
                          0);
        CHECK_INT(penstock_bus_flush(a, WAIT_MS), 0);
        stop();
        while (penstock_bus_wait(a, WAIT_MS) == 0)
                ;
        for (int i = 0; i < 3; i++) {
                CHECK_INT(seen[i].count, 1);
                CHECK_INT(seen[i].code, PENSTOCK_BUS_DISCONNECTED);
        }
        CHECK(!penstock_bus_is_connected(a));
        CHECK_INT(penstock_bus_notify(a, "x", NULL), -ENOTCONN);
        CHECK_INT(penstock_bus_call_sync(a, &(struct penstock_bus_call){.to = "Echo", .command = "x"}, &result),
                  -ENOTCONN);
        penstock_bus_close(a);
        penstock_bus_close(b);
}

static void a_connection_is_made_again_with_all_that_it_had(void) {
        struct penstock_bus *a = NULL;
        int changes = 0, sum = 0;
        start();
        CHECK_INT(penstock_bus_connect(&a, place.path, PENSTOCK_BUS_RECONNECT), 0);
        penstock_bus_on_change(a, note_room, &changes);
        CHECK_INT(penstock_bus_on_event(a, "tick", count_message, &sum), 0);
        CHECK_INT(penstock_bus_serve(a, &service, NULL), 0);
        int fd = penstock_bus_fd(a);
        stop();
        while (changes == 0)
                CHECK_INT(penstock_bus_wait(a, WAIT_MS), 0);
        CHECK(!penstock_bus_is_connected(a));
        start();
        while (changes == 1)
                CHECK_INT(penstock_bus_wait(a, WAIT_MS), 0);
        CHECK(penstock_bus_is_connected(a));
        CHECK_INT(penstock_bus_fd(a), fd);
        struct penstock_bus *b = client();
        call(a, b, &(struct penstock_bus_call){.to = "Msgq", .command = "members"});
        CHECK_INT(penstock_bus_notify(b, "tick", "{\"n\":5}"), 0);
        UNTIL(sum == 5, a, b);
        struct seen s = call(
                b, a, &(struct penstock_bus_call){.to = "Echo", .command = "echo", .arguments = "{\"text\":\"\"}"});
        CHECK_INT(s.code, 0);
        end(a, b);
}

static void without_a_broker_there_is_no_connection(void) {
        struct penstock_bus *a = NULL;
        CHECK_INT(penstock_bus_connect(&a, "@penstock-bus-test-nobody", 0), -ECONNREFUSED);
        CHECK_INT(penstock_bus_connect(&a, "/nonexistent/bus", PENSTOCK_BUS_RECONNECT), -ENOENT);
        CHECK_INT(penstock_bus_connect(&a, "x", 1024), -EINVAL);
        penstock_bus_close(NULL);
}

TEST_MAIN(TEST(a_call_has_one_result), TEST(errors_of_the_broker_are_results),
          TEST(arguments_are_checked_by_the_table_that_describes_them),
          TEST(many_calls_have_one_callback_with_results_in_order), TEST(attachments_go_both_ways),
          TEST(events_reach_their_callbacks), TEST(a_callback_may_wait_for_a_call),
          TEST(what_is_kept_while_a_call_waits_is_bounded), TEST(a_full_queue_is_an_answer_and_room_a_callback),
          TEST(a_lost_connection_ends_every_call_once), TEST(a_connection_is_made_again_with_all_that_it_had),
          TEST(without_a_broker_there_is_no_connection))
