/*
 * How fast the durable store takes messages, beside the floor: the least that anybody
 * can do who writes the same bytes behind each other into a file that was written
 * before, and syncs once for the same number of messages.
 *
 *   store_bench DIRECTORY [--messages N] [--bytes N] [--producers N]
 *
 * Rows are windows: so many messages are appended before their producer waits until they are
 * durable; "free" waits only at the end. One row for the drain: lease, read, complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "queue/store.h"

enum { SECONDS_MAX = 2, FLOOR_BYTES = 64 << 20, FREE_WINDOW = 1 << 30 };

struct bench {
        const char *directory;
        uint64_t messages;
        uint32_t bytes, producers;
        char *payload;
};

static void die(const char *what, int error) {
        fprintf(stderr, "store_bench: %s: %s\n", what, strerror(-error));
        exit(1);
}

static double cpu_seconds(void) {
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct result {
        double rate, cpu_us;
};

static struct result result_of(uint64_t messages, int64_t begun_ns, double begun_cpu) {
        double seconds = (double)(clock_mono_ns() - begun_ns) / 1e9;
        return (struct result){(double)messages / seconds, (cpu_seconds() - begun_cpu) * 1e6 / (double)messages};
}

/* The floor: one write and one sync a group, around and around in a file that was written before. */
static struct result run_floor(const struct bench *b, uint32_t group) {
        char path[4096];
        snprintf(path, sizeof path, "%s/floor", b->directory);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        size_t size = (size_t)group * b->bytes;
        char *bytes = malloc(MAX(size, (size_t)1 << 20));
        if (fd < 0 || !bytes)
                die("floor", -errno);
        memset(bytes, 'x', MAX(size, (size_t)1 << 20));
        for (uint32_t at = 0; at < FLOOR_BYTES; at += 1 << 20) {
                if (pwrite(fd, bytes, 1 << 20, at) != 1 << 20)
                        die("floor", -errno);
        }
        fsync(fd);
        int64_t begun = clock_mono_ns(), until = begun + SECONDS_MAX * INT64_C(1000000000);
        double cpu = cpu_seconds();
        uint64_t n = 0;
        for (uint64_t at = 0; n < b->messages && clock_mono_ns() < until; n += group) {
                if (at + size > FLOOR_BYTES)
                        at = 0;
                if (pwrite(fd, bytes, size, (off_t)at) != (ssize_t)size || fdatasync(fd))
                        die("floor", -errno);
                at += size;
        }
        struct result r = result_of(n, begun, cpu);
        close(fd);
        unlink(path);
        free(bytes);
        return r;
}

struct producer {
        const struct bench *bench;
        struct store *store;
        uint32_t window, frame;
        uint64_t messages;
};

/* A frame holds up to `frame` messages, as a batch of the daemon does. */
static void *produce(void *user) {
        struct producer *p = user;
        int64_t until = clock_mono_ns() + SECONDS_MAX * INT64_C(1000000000);
        uint64_t lsn = 0, done = 0;
        uint32_t in_window = 0;
        while (done < p->messages && clock_mono_ns() < until) {
                uint32_t count = MIN(p->frame, p->window - in_window);
                int r = store_append(p->store, p->bench->payload, (size_t)count * p->bench->bytes, count, &lsn);
                if (r)
                        die("append", r);
                done += count;
                in_window += count;
                if (in_window >= p->window) {
                        if ((r = store_wait(p->store, lsn + count - 1)))
                                die("wait", r);
                        in_window = 0;
                }
        }
        p->messages = done;
        return NULL;
}

/* Takes everything at once, as a consumer that keeps up: no bytes are read. */
static void *follow(void *user) {
        struct producer *p = user;
        struct store_frame f;
        while (__atomic_load_n(&p->window, __ATOMIC_RELAXED)) {
                uint64_t lsn = store_durable(p->store), next = p->messages;
                while (next <= lsn && store_lease_range(p->store, next, &f) == 0) {
                        store_complete(p->store, f.lsn, f.count);
                        next = f.lsn + f.count;
                }
                p->messages = next;
                usleep(200);
        }
        return NULL;
}

static struct store *open_store(const struct bench *b, const char *name) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", b->directory, name);
        struct store_options o = {.directory = path, .name = "bench", .is_synced = true};
        struct store *s;
        int r = store_open(&s, &o, NULL);
        if (r)
                die(path, r);
        return s;
}

static void drain(struct store *s) {
        struct store_frame f;
        while (store_lease(s, &f) == 0) {
                free(f.payload);
                store_complete(s, f.lsn + f.done, f.count - f.done);
        }
}

static struct result run_store(const struct bench *b, uint32_t window) {
        struct store *s = open_store(b, "store");
        drain(s);
        struct store_state state;
        store_state(s, &state);
        struct producer producers[64], follower = {b, s, 1, 0, state.next_lsn};
        pthread_t threads[64], follower_thread;
        uint32_t count = MIN(b->producers, 64u);
        int64_t begun = clock_mono_ns();
        double cpu = cpu_seconds();
        pthread_create(&follower_thread, NULL, follow, &follower);
        for (uint32_t i = 0; i < count; i++) {
                producers[i] = (struct producer){b, s, window, MIN(window, 256u), b->messages / count};
                pthread_create(&threads[i], NULL, produce, &producers[i]);
        }
        uint64_t n = 0;
        for (uint32_t i = 0; i < count; i++) {
                pthread_join(threads[i], NULL);
                n += producers[i].messages;
        }
        store_state(s, &state);
        int r = store_wait(s, state.next_lsn - 1);
        if (r)
                die("wait", r);
        struct result result = result_of(n, begun, cpu);
        __atomic_store_n(&follower.window, 0, __ATOMIC_RELAXED);
        pthread_join(follower_thread, NULL);
        store_close(s);
        return result;
}

/* Fills a backlog, opens it anew and takes it all. */
static void run_drain(const struct bench *b) {
        struct store *s = open_store(b, "drain");
        struct producer p = {b, s, FREE_WINDOW, 256, MIN(b->messages, UINT64_C(1000000))};
        int64_t begun = clock_mono_ns();
        double cpu = cpu_seconds();
        produce(&p);
        store_close(s);
        struct result fill = result_of(p.messages, begun, cpu);
        begun = clock_mono_ns();
        s = open_store(b, "drain");
        double opened_ms = (double)(clock_mono_ns() - begun) / 1e6;
        begun = clock_mono_ns();
        cpu = cpu_seconds();
        drain(s);
        store_close(s);
        struct result r = result_of(p.messages, begun, cpu);
        printf("| fill a backlog | | %.0f | | | %.2f |\n| open it | | %.1f ms | | | |\n| drain it | | %.0f | | | %.2f "
               "|\n",
               fill.rate, fill.cpu_us, opened_ms, r.rate, r.cpu_us);
}

static uint64_t number(const char *text) {
        return text ? strtoull(text, NULL, 10) : 0;
}

int main(int count, char **arguments) {
        struct bench b = {.messages = 2000000, .bytes = 1024, .producers = 1};
        for (int i = 1; i < count; i++) {
                if (!strcmp(arguments[i], "--messages"))
                        b.messages = number(arguments[++i]);
                else if (!strcmp(arguments[i], "--bytes"))
                        b.bytes = (uint32_t)number(arguments[++i]);
                else if (!strcmp(arguments[i], "--producers"))
                        b.producers = (uint32_t)number(arguments[++i]);
                else
                        b.directory = arguments[i];
        }
        if (!b.directory || !b.messages || !b.bytes || !b.producers) {
                fprintf(stderr, "usage: store_bench DIRECTORY [--messages N] [--bytes N] [--producers N]\n");
                return 2;
        }
        b.payload = malloc((size_t)256 * b.bytes);
        if (!b.payload)
                die("memory", -ENOMEM);
        memset(b.payload, 'm', (size_t)256 * b.bytes);
        printf("%u bytes a message, %u producers\n\n", b.bytes, b.producers);
        printf("| window | floor, messages/s | store, messages/s | of the floor | floor, CPU us a message | store |\n");
        printf("|---|---|---|---|---|---|\n");
        static const uint32_t windows[] = {1, 16, 128, 1000, FREE_WINDOW};
        for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
                bool is_free = windows[i] == FREE_WINDOW;
                struct result f = run_floor(&b, is_free ? 4096 : windows[i] * b.producers);
                struct result s = run_store(&b, windows[i]);
                char name[16];
                snprintf(name, sizeof name, "%u", windows[i]);
                printf("| %s | %.0f | %.0f | %.0f %% | %.2f | %.2f |\n", is_free ? "free" : name, f.rate, s.rate,
                       100 * s.rate / f.rate, f.cpu_us, s.cpu_us);
                fflush(stdout);
        }
        run_drain(&b);
        free(b.payload);
        return 0;
}
