/*
 * penstock-nats: joins groups of the message bus to a NATS server.
 *
 *   options -> bus -> NATS -> groups -> READY -> loop until TERM or INT
 *
 * One thread has the loop, the bus and all of our own state; libnats has its own.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fail.h"
#include "bus/bus.h"
#include "bus/scan.h"
#include "gateway/joined.h"
#include "io/unix_stream.h"

enum { GROUPS_MAX = 1024 };
static const char MEMBERS_GROUP[] = "notifications/cc_members";

struct options {
        const char *socket, *url, *credentials, *ca_file;
        bool is_verbose;
        char **groups;
        int group_count;
};

struct gateway {
        struct reporter reporter;
        struct options options;
        struct loop *loop;
        struct penstock_bus *bus;
        struct nats_link *link;
        struct joined *joined[GROUPS_MAX];
        int joined_count;
        struct watch watch, signals;
};

/* ---- What it says ---------------------------------------------------------------- */

static void say(struct reporter *reporter, enum severity severity, int code _unused_, const char *line) {
        const struct gateway *g = CONTAINER_OF(reporter, struct gateway, reporter);
        if (severity > SEVERITY_NOTICE && !g->options.is_verbose)
                return;
        if (getenv("JOURNAL_STREAM"))
                fprintf(stderr, "<%d>%s\n", (int)severity, line);
        else
                fprintf(stderr, "penstock-nats: %s\n", line);
}

static void print_help(void) {
        printf("Usage: penstock-nats [OPTIONS] GROUP[=SUBJECT]...\n"
               "Joins groups of the message bus to a NATS server, both ways.\n\n"
               "  -s, --socket PATH        the bus; else $BIND10_MSGQ_SOCKET_FILE, else /run/penstock/bus\n"
               "  -u, --url URL            the server (nats://127.0.0.1:4222)\n"
               "      --credentials FILE   what to log in with\n"
               "      --ca FILE            whose signature the server's certificate has to have\n"
               "  -v, --verbose            tell of what is normal, too\n"
               "  -h, --help               show this\n\n"
               "Without a subject, GROUP is joined to penstock.GROUP, with dots for slashes. Event/NAME is a group.\n");
}

/* ---- The two sides ------------------------------------------------------------------ */

static void link_changed(void *owner, bool is_there) {
        struct gateway *g = owner;
        report(&g->reporter, SEVERITY_NOTICE, 0, "the NATS server %s %s", g->options.url,
               is_there ? "is there" : "has gone");
}

static void count_all(struct gateway *g) {
        for (int i = 0; i < g->joined_count; i++)
                joined_count_members(g->joined[i]);
}

static void bus_changed(struct penstock_bus *bus, void *context) {
        struct gateway *g = context;
        bool is_there = penstock_bus_is_connected(bus);
        report(&g->reporter, SEVERITY_NOTICE, 0, "the bus %s", is_there ? "is there" : "has gone");
        count_all(g);
}

/* {"notification":[EVENT,{"client":L,"group":G}]}; one who is disconnected has left its groups before. */
static void hear_member(struct penstock_bus *bus _unused_, struct penstock_bus_message *message, void *context) {
        struct gateway *g = context;
        size_t size;
        const char *body = penstock_bus_message_body(message, &size);
        struct scan_value whole;
        if (scan_whole((struct text){body, size}, &whole))
                return;
        struct scan_value list = scan_member(&whole, TEXT("notification"));
        struct scan_walk walk = scan_walk_begin(&list);
        if (list.kind != SCAN_ARRAY || !scan_walk_next(&walk) || !scan_walk_next(&walk))
                return;
        struct scan_value group = scan_member(&walk.value, TEXT("group"));
        char *room = group.kind == SCAN_STRING ? malloc(group.text.size + 1) : NULL;
        _owned_(memory_free) char *name = room ? text_copy(scan_string(&group, room)) : NULL;
        free(room);
        for (int i = 0; name && i < g->joined_count; i++)
                if (joined_has_group(g->joined[i], name))
                        joined_count_members(g->joined[i]);
}

static void process_bus(struct watch *watch, uint32_t events _unused_) {
        struct gateway *g = CONTAINER_OF(watch, struct gateway, watch);
        if (penstock_bus_process(g->bus))
                loop_stop(g->loop);
}

static int open_bus(struct gateway *g) {
        int r = penstock_bus_connect(&g->bus, g->options.socket, PENSTOCK_BUS_RECONNECT);
        if (r) {
                report(&g->reporter, SEVERITY_ERR, 0, "no bus answers on %s: %s",
                       g->options.socket ? g->options.socket : "its usual place", fail_text(r));
                return r;
        }
        penstock_bus_on_change(g->bus, bus_changed, g);
        g->watch = (struct watch){.fd = penstock_bus_fd(g->bus), .events = EPOLLIN, .ready = process_bus};
        r = penstock_bus_subscribe(g->bus, MEMBERS_GROUP, NULL, hear_member, g);
        return r ? r : loop_watch(g->loop, &g->watch);
}

static int open_link(struct gateway *g) {
        const struct nats_link_options options = {.url = g->options.url,
                                                  .credentials = g->options.credentials,
                                                  .ca_file = g->options.ca_file,
                                                  .loop = g->loop,
                                                  .reporter = &g->reporter,
                                                  .owner = g,
                                                  .changed = link_changed};
        int r = nats_link_new(&g->link, &options);
        if (r == 0 && !nats_link_is_there(g->link))
                report(&g->reporter, SEVERITY_WARNING, 0, "the NATS server %s is away; trying on", g->options.url);
        return r;
}

static int join_groups(struct gateway *g) {
        const struct joined_host host = {.bus = g->bus, .link = g->link, .reporter = &g->reporter};
        int result = 0;
        for (int i = 0; i < g->options.group_count; i++) {
                int r = joined_new(&g->joined[g->joined_count], &host, g->options.groups[i]);
                g->joined_count += r == 0;
                result = r ? r : result;
        }
        return result;
}

/* ---- The program ----------------------------------------------------------------------- */

static void stop_on_signal(struct watch *watch, uint32_t events _unused_) {
        struct gateway *g = CONTAINER_OF(watch, struct gateway, signals);
        struct signalfd_siginfo info;
        (void)!read(watch->fd, &info, sizeof info);
        loop_stop(g->loop);
}

/* Blocked before libnats starts its threads, so that they never get one. */
static int watch_signals(struct gateway *g) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        g->signals = (struct watch){
                .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = EPOLLIN, .ready = stop_on_signal};
        return g->signals.fd < 0 ? fail(-errno) : loop_watch(g->loop, &g->signals);
}

static void tell_service_manager(const char *state) {
        const char *path = getenv("NOTIFY_SOCKET");
        if (path)
                (void)unix_datagram_send(path, state);
}

static int run(struct gateway *g) {
        int r = loop_new(&g->loop);
        if (r == 0)
                r = watch_signals(g);
        if (r == 0)
                r = open_bus(g);
        if (r == 0)
                r = open_link(g);
        if (r == 0)
                r = join_groups(g);
        if (r)
                return r;
        count_all(g);
        report(&g->reporter, SEVERITY_INFO, 0, "%d groups are joined", g->joined_count);
        tell_service_manager("READY=1");
        r = loop_run(g->loop);
        tell_service_manager("STOPPING=1");
        return r;
}

static void end(struct gateway *g) {
        if (g->bus)
                (void)penstock_bus_flush(g->bus, 1000);
        /* What ends with the bus may still be told to NATS; what ends with the link has only to be freed. */
        penstock_bus_close(g->bus);
        nats_link_free(g->link);
        for (int i = 0; i < g->joined_count; i++)
                joined_free(g->joined[i]);
        if (g->signals.fd >= 0)
                close(g->signals.fd);
        loop_free(g->loop);
}

/* -1: go on; else how to leave. */
static int read_options(struct options *o, int argc, char **argv) {
        enum { CREDENTIALS = 256, CA };
        static const struct option names[] = {
                {"socket", required_argument, NULL, 's'},
                {"url", required_argument, NULL, 'u'},
                {"credentials", required_argument, NULL, CREDENTIALS},
                {"ca", required_argument, NULL, CA},
                {"verbose", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {},
        };
        int option;
        while ((option = getopt_long(argc, argv, "s:u:vh", names, NULL)) != -1) {
                const char **to = option == 's'           ? &o->socket
                                  : option == 'u'         ? &o->url
                                  : option == CREDENTIALS ? &o->credentials
                                  : option == CA          ? &o->ca_file
                                                          : NULL;
                if (to) {
                        *to = optarg;
                } else if (option == 'v') {
                        o->is_verbose = true;
                } else if (option == 'h') {
                        print_help();
                        return EXIT_SUCCESS;
                } else {
                        fprintf(stderr, "penstock-nats --help tells what there is\n");
                        return EXIT_FAILURE;
                }
        }
        o->groups = argv + optind;
        o->group_count = argc - optind;
        if (o->group_count > 0 && o->group_count <= GROUPS_MAX)
                return -1;
        fprintf(stderr, "penstock-nats: which groups shall be joined? 1 to %d, please\n", GROUPS_MAX);
        return EXIT_FAILURE;
}

int main(int argc, char **argv) {
        static struct gateway g = {
                .reporter = {say}, .options.url = "nats://127.0.0.1:4222", .signals.fd = -1, .watch.fd = -1};
        int leave = read_options(&g.options, argc, argv);
        if (leave >= 0)
                return leave;
        int r = run(&g);
        end(&g);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
