/*
 * Flood sends log messages as fast, or as evenly, as it is asked to, and afterwards proves which of them arrived.
 *
 * It is a load generator that shares its two cores with the daemon under test, so it has to cost next to nothing: the
 * messages are formatted once, into a block, and a connection sends this same block over and over in large writes.
 * Only the sequence numbers in it change, and they are patched in place. What a connection sends is thus a pure
 * function of its number and its position, and a write that was cut short anywhere can be taken up again later.
 *
 *   flood_settings.c   what is asked for
 *   flood_text.c       what the messages say
 *   flood_wire.c       where they go
 *   flood_worker.c     the threads that send them
 *   flood_relp.c       what is said and heard beside them where they are acknowledged
 *   flood_ledger.c     which were
 *   flood_verify.c     which arrived
 *
 * A connection belongs to one worker, and a worker is one thread. The settings are read-only once workers run.
 *
 * Unlike the rest of the house it uses sockets directly: a measuring instrument must not share parts with what it
 * measures. TLS alone it has from io/, as everybody here.
 */
#include "control/flood.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "control/commands.h"
#include "control/flood_settings.h"
#include "control/flood_verify.h"
#include "control/flood_worker.h"

static double cpu_seconds(void) {
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The limit on open files is the caller's, unless we may go up to the hard one. */
static void files_allow(uint32_t count) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= count + 64)
                return;
        limit.rlim_cur = limit.rlim_max < count + 64 ? limit.rlim_max : count + 64;
        setrlimit(RLIMIT_NOFILE, &limit);
}

/* All of what one run of the generator holds. */
struct flood {
        struct connection *connections; /* The idle ones come last. */
        struct worker *workers;
        uint32_t connection_count, worker_count;
        int signals;
        struct tls_context *context; /* NULL: without TLS */
};

static void flood_fini_owned(struct flood *f) {
        for (uint32_t i = 0; i < f->connection_count; i++)
                connection_fini(f->connections + i);
        for (uint32_t i = 0; i < f->worker_count; i++)
                worker_fini(f->workers + i);
        free(f->connections);
        free(f->workers);
        tls_context_free(f->context);
        if (f->signals >= 0)
                close(f->signals);
}

static int flood_open_signals(struct flood *f) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        f->signals = signalfd(-1, &set, SFD_CLOEXEC);
        return f->signals < 0 ? -errno : 0;
}

static int flood_connect(struct flood *f, const struct settings *s) {
        uint32_t all = s->connections + s->idle_connections;

        f->connections = calloc(all, sizeof *f->connections);
        if (!f->connections)
                return -ENOMEM;

        for (uint32_t i = 0; i < all; i++) {
                struct connection *c = f->connections + i;

                c->wire = WIRE_CLOSED;
                c->number = i;
                c->quota = s->messages ? quota_of(s->messages, s->connections, i) : UINT64_MAX;
                f->connection_count = i + 1;

                int r = connection_open(c, s, f->context);
                if (r) {
                        fprintf(stderr, "flood: connection %u to %s: %s\n", i, s->address, strerror(-r));
                        return r;
                }
                if (i >= s->connections || c->quota == 0)
                        continue;

                r = worker_add(f->workers + i % s->threads, c);
                if (r)
                        return r;
        }
        return 0;
}

static int flood_init(struct flood *f, const struct settings *s) {
        int r = flood_open_signals(f);
        if (r)
                return r;

        f->workers = calloc(s->threads, sizeof *f->workers);
        if (!f->workers)
                return -ENOMEM;

        for (uint32_t i = 0; i < s->threads; i++) {
                r = worker_init(f->workers + i, s, i, f->signals);
                f->worker_count = i + 1;
                if (r)
                        return r;
        }
        r = wire_context_new(&f->context, s);
        return r ? r : flood_connect(f, s);
}

static void *worker_main(void *argument) {
        return (void *)(intptr_t)worker_run(argument);
}

static int flood_send(struct flood *f) {
        uint64_t now_ns = clock_ns();
        int error = 0;

        for (uint32_t i = 0; i < f->worker_count; i++)
                f->workers[i].pace.start_ns = now_ns;

        uint32_t started = 1;
        for (; started < f->worker_count; started++) {
                int r = pthread_create(&f->workers[started].thread, NULL, worker_main, f->workers + started);
                if (r) {
                        error = -r;
                        break;
                }
        }

        int r = worker_run(f->workers);
        for (uint32_t i = 1; i < started; i++) {
                void *result;

                pthread_join(f->workers[i].thread, &result);
                if ((intptr_t)result && !error)
                        error = (int)(intptr_t)result;
        }
        return r ? r : error;
}

static int flood_report(const struct flood *f, const struct settings *s, double seconds, double cpu) {
        uint64_t sent = 0, bytes = 0, refused = 0, lost = 0, acknowledged = 0, rejected = 0;

        for (uint32_t i = 0; i < f->worker_count; i++) {
                acknowledged += f->workers[i].acknowledged;
                rejected += f->workers[i].rejected;
                sent += f->workers[i].sent;
                bytes += f->workers[i].bytes;
                refused += f->workers[i].refused;
                lost += f->workers[i].lost;
        }

        double rate = seconds > 0 ? (double)sent / seconds : 0;
        if (s->is_json)
                printf("{\"sent\":%" PRIu64 ",\"bytes\":%" PRIu64
                       ",\"seconds\":%.6f,\"rate\":%.0f,\"cpu_seconds\":%.6f,"
                       "\"refused\":%" PRIu64 ",\"connections_lost\":%" PRIu64 ",\"acknowledged\":%" PRIu64
                       ",\"rejected\":%" PRIu64 "}\n",
                       sent, bytes, seconds, rate, cpu, refused, lost, acknowledged, rejected);
        else {
                printf("sent %" PRIu64 " messages, %" PRIu64 " bytes in %.3f s: %.0f messages/s, %.3f CPU s\n", sent,
                       bytes, seconds, rate, cpu);
                if (s->target == TARGET_RELP)
                        printf("%" PRIu64 " acknowledged: %.0f messages/s, %" PRIu64 " rejected\n", acknowledged,
                               seconds > 0 ? (double)acknowledged / seconds : 0, rejected);
                if (refused)
                        printf("%" PRIu64 " times nobody was listening\n", refused);
                if (lost)
                        printf("%" PRIu64 " connections were closed by the peer\n", lost);
        }
        fflush(stdout);
        return lost ? 1 : 0;
}

static int flood_run(const struct settings *s) {
        _owned_(flood_fini) struct flood f = {.signals = -1};

        int r = flood_init(&f, s);
        if (r) {
                fprintf(stderr, "flood: cannot start: %s\n", strerror(-r));
                return 1;
        }

        double cpu = cpu_seconds();
        uint64_t start_ns = clock_ns();
        r = flood_send(&f);
        double seconds = (double)(clock_ns() - start_ns) / 1e9;
        if (r)
                fprintf(stderr, "flood: sending to %s: %s\n", s->address, strerror(-r));

        for (uint32_t i = 0; i < f.worker_count; i++) {
                ledger_write(&f.workers[i].ledger);
                if (f.workers[i].ledger.has_failed) {
                        fprintf(stderr, "flood: %s cannot be written\n", s->ledger);
                        r = -EIO;
                }
        }
        int status = flood_report(&f, s, seconds, cpu_seconds() - cpu);
        if (s->is_held) {
                struct signalfd_siginfo signal;
                while (read(f.signals, &signal, sizeof signal) < 0 && errno == EINTR)
                        ;
        }
        return r ? 1 : status;
}

const struct subcommand flood_subcommands[] = {
        {"verify", "FILE...", "find out which of the messages arrived"},
        {},
};

int flood_main(int argc, char **argv) {
        struct settings s;

        if (argc > 1 && !strcmp(argv[1], "verify"))
                return verify_main(argc - 1, argv + 1);

        int r = settings_read(&s, argc, argv);
        if (r)
                return r == SETTINGS_SHOWN ? 0 : 2;
        files_allow(s.connections + s.idle_connections);
        return flood_run(&s);
}
