/* A broker on a thread of its own, for unit tests of what lives on a bus. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/test.h"
#include "bus/broker.h"
#include "bus/bus.h"

struct test_broker {
        char directory[32], path[64];
        struct loop *loop;
        struct broker *broker;
        pthread_t thread;
};

static void test_broker_leave(void *context) {
        loop_stop(context);
}

static void *test_broker_run(void *loop) {
        loop_run(loop);
        return NULL;
}

static void test_broker_stop_posted(void *broker) {
        broker_stop(broker);
}

_unused_ static void test_broker_start(struct test_broker *b) {
        snprintf(b->directory, sizeof b->directory, "/tmp/bus-test-XXXXXX");
        CHECK(mkdtemp(b->directory) != NULL);
        snprintf(b->path, sizeof b->path, "%s/bus", b->directory);
        CHECK_INT(loop_new(&b->loop), 0);
        const struct broker_options options = {
                .socket_path = b->path, .listener = -1, .stopped = test_broker_leave, .context = b->loop};
        CHECK_INT(broker_new(&b->broker, b->loop, &options), 0);
        CHECK_INT(pthread_create(&b->thread, NULL, test_broker_run, b->loop), 0);
}

_unused_ static void test_broker_stop(struct test_broker *b) {
        CHECK_INT(loop_post(b->loop, test_broker_stop_posted, b->broker), 0);
        pthread_join(b->thread, NULL);
        broker_free(b->broker);
        loop_free(b->loop);
        rmdir(b->directory);
}
