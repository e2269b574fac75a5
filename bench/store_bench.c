/*
 * How fast the durable store takes messages, beside the floor: the least that anybody
 * can do who writes the same bytes behind each other into a file that was written
 * before, and syncs once for the same number of messages.
 *
 *   store_bench DIRECTORY [--messages N] [--bytes N] [--producers N] [--window N] [--rounds N] [--threads N]
 *
 * Rows are producers and windows: so many messages each appends before it waits until they are
 * durable; "free" waits only at the end. Two threads (--threads) drive the producers, as the loops of an
 * input drive its connections. A disk that others use too changes its speed within seconds,
 * so floor and store take short turns, and a row shows the median of each and of the ratio of neighbours.
 * At the end the drain: lease, read, complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "queue/store.h"

enum {
        TURN_MS_MAX = 400,
        ROUNDS_MAX = 25,
        PRODUCERS_MAX = 64,
        FLOOR_BYTES = 64 << 20,
        FILL_BYTES = 1 << 20,
        FREE_WINDOW = 1 << 30,
        FREE_FLOOR_WINDOW = 4096,
        BATCH = 256,      /* messages a frame at most, as in a batch of the daemon */
        FOLLOW_US = 2000, /* the consumer looks so often */
};

struct bench {
        const char *directory;
        uint64_t messages;
        uint32_t bytes, rounds, threads;
        int floor;
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

/* A file that was written before. */
static int open_floor(const struct bench *b) {
        char path[4096];
        snprintf(path, sizeof path, "%s/floor", b->directory);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        char *bytes = calloc(1, FILL_BYTES);
        if (fd < 0 || !bytes)
                die("floor", -errno);
        for (off_t at = 0; at < FLOOR_BYTES; at += FILL_BYTES) {
                if (pwrite(fd, bytes, FILL_BYTES, at) != FILL_BYTES)
                        die("floor", -errno);
        }
        if (fsync(fd) || unlink(path))
                die("floor", -errno);
        free(bytes);
        return fd;
}

/* One write and one sync a group, around and around in the file. */
static struct result run_floor(const struct bench *b, uint32_t group) {
        size_t size = (size_t)group * b->bytes;
        char *bytes = malloc(size);
        if (!bytes)
                die("floor", -ENOMEM);
        memset(bytes, 'x', size);
        int64_t begun = clock_mono_ns(), until = begun + TURN_MS_MAX * INT64_C(1000000);
        double cpu = cpu_seconds();
        uint64_t n = 0;
        for (uint64_t at = 0; n < b->messages && clock_mono_ns() < until; n += group) {
                if (at + size > FLOOR_BYTES)
                        at = 0;
                if (pwrite(b->floor, bytes, size, (off_t)at) != (ssize_t)size || fdatasync(b->floor))
                        die("floor", -errno);
                at += size;
        }
        struct result r = result_of(n, begun, cpu);
        free(bytes);
        return r;
}

/* Somebody who sends `window` messages and then waits for their acknowledgement, as a connection of the daemon does. */
struct producer {
        uint64_t lsn; /* of the last message that was appended */
        uint64_t done;
        uint32_t in_window;
};

/* Drives several producers, as an input's loop does. */
struct driver {
        const struct bench *bench;
        struct store *store;
        uint32_t window, count;
        uint64_t messages; /* each; in the end: of all */
        struct producer producers[PRODUCERS_MAX];
};

/* One frame, as a batch of the daemon. */
static void append(const struct driver *d, struct producer *p) {
        uint32_t count = MIN(MIN(d->window, (uint32_t)BATCH), d->window - p->in_window);
        int r = store_append(d->store, d->bench->payload, (size_t)count * d->bench->bytes, count, &p->lsn);
        if (r)
                die("append", r);
        p->lsn += count - 1;
        p->done += count;
        p->in_window += count;
}

/* Everyone who may append does so once. False: nobody may; *awaited is the lowest LSN that one waits for, 0: none. */
static bool go_round(struct driver *d, uint64_t durable, uint64_t *awaited) {
        bool is_active = false;
        *awaited = 0;
        for (uint32_t i = 0; i < d->count; i++) {
                struct producer *p = &d->producers[i];
                if (p->done >= d->messages)
                        continue;
                if (p->in_window >= d->window && p->lsn <= durable)
                        p->in_window = 0;
                if (p->in_window < d->window) {
                        append(d, p);
                        is_active = true;
                } else if (!*awaited || p->lsn < *awaited) {
                        *awaited = p->lsn;
                }
        }
        return is_active;
}

static void *drive(void *user) {
        struct driver *d = user;
        int64_t until = clock_mono_ns() + TURN_MS_MAX * INT64_C(1000000);
        while (clock_mono_ns() < until) {
                uint64_t awaited;
                if (go_round(d, store_durable(d->store), &awaited))
                        continue;
                if (!awaited)
                        break;
                int r = store_wait(d->store, awaited);
                if (r)
                        die("wait", r);
        }
        uint64_t done = 0;
        for (uint32_t i = 0; i < d->count; i++)
                done += d->producers[i].done;
        d->messages = done;
        return NULL;
}

/* A consumer that keeps up. */
struct follower {
        struct store *store;
        uint64_t next;
        atomic_bool is_over;
};

/* Takes everything at once, as a consumer that keeps up: no bytes are read. */
static void *follow(void *user) {
        struct follower *w = user;
        struct store_frame f;
        while (!atomic_load(&w->is_over)) {
                uint64_t lsn = store_durable(w->store);
                while (w->next <= lsn && store_lease_range(w->store, w->next, &f) == 0) {
                        store_complete(w->store, f.lsn, f.count);
                        w->next = f.lsn + f.count;
                }
                usleep(FOLLOW_US);
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

static struct result run_store(const struct bench *b, struct store *s, uint32_t producers, uint32_t window) {
        struct store_state state;
        store_state(s, &state);
        static struct driver drivers[PRODUCERS_MAX];
        struct follower follower = {.store = s, .next = state.next_lsn};
        pthread_t threads[PRODUCERS_MAX], follower_thread;
        uint32_t count = MIN(producers, b->threads);
        int64_t begun = clock_mono_ns();
        double cpu = cpu_seconds();
        pthread_create(&follower_thread, NULL, follow, &follower);
        for (uint32_t i = 0; i < count; i++) {
                drivers[i] = (struct driver){.bench = b,
                                             .store = s,
                                             .window = window,
                                             .count = producers / count + (i < producers % count),
                                             .messages = b->messages / producers};
                pthread_create(&threads[i], NULL, drive, &drivers[i]);
        }
        uint64_t n = 0;
        for (uint32_t i = 0; i < count; i++) {
                pthread_join(threads[i], NULL);
                n += drivers[i].messages;
        }
        store_state(s, &state);
        int r = store_wait(s, state.next_lsn - 1);
        if (r)
                die("wait", r);
        struct result result = result_of(n, begun, cpu);
        atomic_store(&follower.is_over, true);
        pthread_join(follower_thread, NULL);
        drain(s);
        return result;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static double median(double *values, uint32_t count) {
        qsort(values, count, sizeof *values, compare);
        return values[count / 2];
}

static void run_row(const struct bench *b, struct store *s, uint32_t producers, uint32_t window) {
        double floor_rate[ROUNDS_MAX], rate[ROUNDS_MAX], ratio[ROUNDS_MAX], floor_cpu[ROUNDS_MAX], cpu[ROUNDS_MAX];
        bool is_free = window == FREE_WINDOW;
        for (uint32_t i = 0; i < b->rounds; i++) {
                struct result f = run_floor(b, is_free ? (uint32_t)FREE_FLOOR_WINDOW : window * producers);
                struct result r = run_store(b, s, producers, window);
                floor_rate[i] = f.rate;
                floor_cpu[i] = f.cpu_us;
                rate[i] = r.rate;
                cpu[i] = r.cpu_us;
                ratio[i] = r.rate / f.rate;
        }
        char name[16];
        snprintf(name, sizeof name, "%u", window);
        printf("| %u | %s | %.0f | %.0f | %.0f %% | %.2f | %.2f |\n", producers, is_free ? "free" : name,
               median(floor_rate, b->rounds), median(rate, b->rounds), 100 * median(ratio, b->rounds),
               median(floor_cpu, b->rounds), median(cpu, b->rounds));
        fflush(stdout);
}

/* Fills a backlog, opens it anew and takes it all. */
static void run_drain(const struct bench *b) {
        struct store *s = open_store(b, "drain");
        struct driver p = {.bench = b, .store = s, .window = FREE_WINDOW, .count = 1, .messages = b->messages};
        int64_t begun = clock_mono_ns();
        double cpu = cpu_seconds();
        drive(&p);
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
        printf("\n| | messages/s | CPU us a message |\n|---|---|---|\n| fill a backlog | %.0f | %.2f |\n"
               "| open it | %.1f ms | |\n| drain it | %.0f | %.2f |\n",
               fill.rate, fill.cpu_us, opened_ms, r.rate, r.cpu_us);
}

static uint64_t number(const char *text) {
        return text ? strtoull(text, NULL, 10) : 0;
}

/* One of the table's columns, or the one value that was asked for. */
static void run_table(const struct bench *b, uint32_t only_producers, uint32_t only_window) {
        static const uint32_t producers[] = {1, 16, PRODUCERS_MAX}, windows[] = {1, 16, 128, 1000, FREE_WINDOW};
        struct store *s = open_store(b, "store");
        drain(s);
        printf("%u bytes a message\n\n| producers | window | floor, messages/s | store, messages/s | of the floor | "
               "floor, CPU us a message | store |\n|---|---|---|---|---|---|---|\n",
               b->bytes);
        for (size_t i = 0; i < (only_producers ? 1 : ARRAY_SIZE(producers)); i++) {
                for (size_t j = 0; j < (only_window ? 1 : ARRAY_SIZE(windows)); j++)
                        run_row(b, s, only_producers ? only_producers : producers[i],
                                only_window ? only_window : windows[j]);
        }
        store_close(s);
}

int main(int count, char **arguments) {
        struct bench b = {.messages = 2000000, .bytes = 1024, .rounds = 5, .threads = 2};
        uint64_t producers = 0, window = 0;
        for (int i = 1; i < count; i++) {
                if (!strcmp(arguments[i], "--messages"))
                        b.messages = number(arguments[++i]);
                else if (!strcmp(arguments[i], "--bytes"))
                        b.bytes = (uint32_t)number(arguments[++i]);
                else if (!strcmp(arguments[i], "--rounds"))
                        b.rounds = (uint32_t)number(arguments[++i]);
                else if (!strcmp(arguments[i], "--threads"))
                        b.threads = (uint32_t)number(arguments[++i]);
                else if (!strcmp(arguments[i], "--producers"))
                        producers = number(arguments[++i]);
                else if (!strcmp(arguments[i], "--window"))
                        window = number(arguments[++i]);
                else
                        b.directory = arguments[i];
        }
        if (!b.directory || !b.messages || !b.bytes || !b.rounds || b.rounds > ROUNDS_MAX || !b.threads ||
            producers > PRODUCERS_MAX ||
            window * (producers ? producers : (uint64_t)PRODUCERS_MAX) * b.bytes > FLOOR_BYTES) {
                fprintf(stderr, "usage: store_bench DIRECTORY [--messages N] [--bytes N] [--producers N] [--window N] "
                                "[--rounds N] [--threads N]\n");
                return 2;
        }
        b.payload = malloc((size_t)BATCH * b.bytes);
        if (!b.payload)
                die("memory", -ENOMEM);
        memset(b.payload, 'm', (size_t)BATCH * b.bytes);
        b.floor = open_floor(&b);
        run_table(&b, (uint32_t)producers, (uint32_t)window);
        close(b.floor);
        run_drain(&b);
        free(b.payload);
        return 0;
}
