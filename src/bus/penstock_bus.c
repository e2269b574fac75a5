/*
 * penstock-bus: the broker as a program of its own.
 *
 *   options -> socket (ours, or systemd's) -> READY -> loop until TERM, INT, `stop` or `shutdown`
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fail.h"
#include "bus/broker.h"
#include "io/unix_stream.h"

enum {
        LISTEN_FDS_START = 3, /* where systemd puts the first socket */
        LARGEST_KEPT_BYTES = 32 << 20,
        MEMORY_KEPT_BYTES = 32 << 20,
};

struct program {
        struct loop *loop;
        struct broker *broker;
        struct watch signals;
};

/* ---- What it says ---------------------------------------------------------- */

static void say(struct reporter *reporter _unused_, enum severity severity, int code _unused_, const char *line) {
        static const char *const names[] = {"emergency", "alert",  "critical", "error",
                                            "warning",   "notice", "info",     "debug"};
        /* The journal takes the severity from the number; people take it from the word. */
        if (getenv("JOURNAL_STREAM"))
                fprintf(stderr, "<%d>%s\n", (int)severity, line);
        else
                fprintf(stderr, "penstock-bus: %s: %s\n", names[severity], line);
}

static void print_help(void) {
        printf("Usage: penstock-bus [OPTIONS]\n"
               "The broker of the message bus.\n\n"
               "  -s, --socket PATH   listen there; else $BIND10_MSGQ_SOCKET_FILE, else what the\n"
               "                      configuration says, else /run/penstock/bus\n"
               "  -c, --config FILE   read settings and policy from a file of JSON\n"
               "  -v, --verbose       tell of connections, too\n"
               "  -h, --help          show this\n\n"
               "With systemd's socket activation it takes the socket that it is given.\n");
}

/* ---- Surroundings ---------------------------------------------------------- */

static void tell_service_manager(const char *state) {
        const char *path = getenv("NOTIFY_SOCKET");
        if (path)
                (void)unix_datagram_send(path, state);
}

/* The socket of socket activation (sd_listen_fds(3)), or -1. */
static int activated_socket(void) {
        const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
        if (!pid || !count || strtol(pid, NULL, 10) != getpid() || strtol(count, NULL, 10) < 1)
                return -1;
        return unix_stream_inherit(LISTEN_FDS_START) ? -1 : LISTEN_FDS_START;
}

/* A client is a descriptor, and so is what rides on messages. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/*
 * Large messages come and go: memory that went back to the kernel in between would be zeroed again for each, which
 * costs 4 MB streams half of their rate (bench/bus.py).
 */
static void keep_memory(void) {
        (void)mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES);
        (void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_BYTES);
}

static void stop_on_signal(struct watch *watch, uint32_t events _unused_) {
        struct program *p = CONTAINER_OF(watch, struct program, signals);
        struct signalfd_siginfo info;
        (void)!read(watch->fd, &info, sizeof info);
        broker_stop(p->broker);
}

static int watch_signals(struct program *p) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        p->signals = (struct watch){
                .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
                .events = EPOLLIN,
                .ready = stop_on_signal,
        };
        return p->signals.fd < 0 ? fail(-errno) : loop_watch(p->loop, &p->signals);
}

static void leave_loop(void *context) {
        loop_stop(context);
}

static int serve(struct broker_options *options) {
        struct program p = {.signals.fd = -1};
        int r = loop_new(&p.loop);
        if (!r)
                r = watch_signals(&p);
        options->stopped = leave_loop;
        options->context = p.loop;
        if (!r)
                r = broker_new(&p.broker, p.loop, options);
        if (!r) {
                tell_service_manager("READY=1");
                r = loop_run(p.loop);
                tell_service_manager("STOPPING=1");
        } else if (r != -EINVAL && r != -EADDRINUSE && r != -EEXIST) {
                fprintf(stderr, "penstock-bus: cannot start: %s\n", fail_text(r));
        }
        broker_free(p.broker);
        if (p.signals.fd >= 0)
                close(p.signals.fd);
        loop_free(p.loop);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const struct option names[] = {
                {"socket", required_argument, NULL, 's'},
                {"config", required_argument, NULL, 'c'},
                {"verbose", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {},
        };
        struct reporter reporter = {say};
        struct broker_options options = {.listener = -1, .reporter = &reporter};
        int option;
        while ((option = getopt_long(argc, argv, "s:c:vh", names, NULL)) != -1) {
                switch (option) {
                case 's':
                        options.socket_path = optarg;
                        break;
                case 'c':
                        options.config_path = optarg;
                        break;
                case 'v':
                        options.is_verbose = true;
                        break;
                case 'h':
                        print_help();
                        return EXIT_SUCCESS;
                default:
                        fprintf(stderr, "penstock-bus --help tells what there is\n");
                        return EXIT_FAILURE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "penstock-bus: unexpected \"%s\"\n", argv[optind]);
                return EXIT_FAILURE;
        }
        raise_descriptor_limit();
        keep_memory();
        broker_be_prompt();
        options.listener = activated_socket();
        return serve(&options);
}
