/*
 * Fuzzes the whole broker through socket pairs: two clients send the input in turn, a
 * third has subscribed to what they may hit upon. Afterwards there are as many
 * descriptors as before.
 */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bus/broker.h"
#include "bus/wire.h"
#include "io/unix_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 3, ROUNDS = 3, ROUND_NS = 100000 };

static unsigned count_descriptors(void) {
        unsigned count = 0;
        DIR *directory = opendir("/proc/self/fd");
        assert(directory);
        while (readdir(directory))
                count++;
        closedir(directory);
        return count;
}

struct ending {
        struct timer timer;
        struct loop *loop;
        int rounds;
        int *ends;
};

static void drain(int fd) {
        char bytes[65536];
        struct iovec piece = {bytes, sizeof bytes};
        int fds[UNIX_STREAM_FDS_MAX];
        size_t fd_count = 0;
        ssize_t got = unix_stream_receive(fd, &piece, 1, fds, &fd_count);
        for (size_t i = 0; got >= 0 && i < fd_count; i++)
                unix_stream_close(fds[i]);
}

static void leave(struct timer *timer) {
        struct ending *e = CONTAINER_OF(timer, struct ending, timer);
        for (int i = 0; i < CLIENTS; i++)
                drain(e->ends[i]);
        if (--e->rounds > 0)
                (void)loop_arm(e->loop, timer, clock_mono_ns() + ROUND_NS);
        else
                loop_stop(e->loop);
}

static void send_bytes(int fd, const void *data, size_t size, bool with_fd) {
        const struct iovec piece = {(void *)data, size};
        int fd_to_send = 2;
        if (size > 0)
                (void)unix_stream_send(fd, &piece, 1, &fd_to_send, with_fd ? 1 : 0);
}

static void send_header(int fd, struct text header) {
        char frame[256];
        const struct wire_prefix prefix = {.header_bytes = (uint32_t)header.size};
        wire_write_prefix(frame, WIRE_1, &prefix);
        memcpy(frame + WIRE_1_PREFIX_BYTES, header.data, header.size);
        send_bytes(fd, frame, WIRE_1_PREFIX_BYTES + header.size, false);
}

static void connect_clients(struct broker *broker, int *ends, uint8_t choice) {
        for (int i = 0; i < CLIENTS; i++) {
                int pair[2];
                int r = unix_stream_pair(pair);
                assert(!r);
                ends[i] = pair[0];
                (void)broker_adopt(broker, pair[1]);
                if (i > 0 && (choice & 1))
                        send_header(ends[i], TEXT("{\"type\":\"getlname\",\"protocol\":2}"));
        }
        if (!(choice & 1))
                send_header(ends[2], TEXT("{\"type\":\"subscribe\",\"group\":\"grp\"}"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 2)
                return 0;
        unsigned before = count_descriptors();
        struct loop *loop = NULL;
        struct broker *broker = NULL;
        int ends[CLIENTS];
        char name[64];
        snprintf(name, sizeof name, "@penstock-bus-fuzz-%d", (int)getpid());
        const struct broker_options options = {.socket_path = name, .listener = -1};
        int r = loop_new(&loop);
        if (!r)
                r = broker_new(&broker, loop, &options);
        assert(!r);
        connect_clients(broker, ends, data[0]);
        size_t cut = MAX((size_t)data[1] * size / 256, (size_t)2);
        send_bytes(ends[0], data + 2, cut - 2, data[0] & 2);
        send_bytes(ends[1], data + cut, size - cut, data[0] & 4);
        struct ending ending = {.timer.fire = leave, .loop = loop, .rounds = ROUNDS, .ends = ends};
        r = loop_arm(loop, &ending.timer, clock_mono_ns() + ROUND_NS);
        assert(!r);
        (void)loop_run(loop);
        for (int i = 0; i < CLIENTS; i++)
                unix_stream_close(ends[i]);
        broker_free(broker);
        loop_free(loop);
        assert(count_descriptors() == before);
        return 0;
}
