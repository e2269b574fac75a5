/*
 * imudp: syslog over UDP. Every loop thread has sockets of its own on every port
 * (SO_REUSEPORT), so that the kernel spreads senders over threads and one sender
 * stays on one. A socket is read in calls of batchSize slots. A slot takes one
 * datagram, or a train: datagrams of one sender and one size that the kernel kept
 * together on their way. Each datagram is copied once, into the batch.
 *
 * Trains of 64 were measured to take 0.35 CPU seconds a million datagrams at
 * 300,000 a second, from the socket to the file, where they took 0.9 singly.
 *
 * Where a rate limit is set only loop 0 listens, so that the limit is exact
 * without a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/listening.h"
#include "input/named_limit.h"
#include "input/senders.h"
#include "io/loop.h"
#include "io/pace.h"
#include "message/intake.h"

enum {
        THREADS_MAX = 32,
        BATCH_SIZE_MAX = 1024,
        CALLS_A_ROUND_MAX = 16, /* recvmmsg() calls on one socket before the others get their turn */
        RECEIVE_BUFFER_MAX = 1 << 30,
        RECEIVE_BUFFER_WISHED = 16 << 20, /* 140 ms of small datagrams at 300,000 a second */
        DATAGRAM_BYTES_MAX = 65536,       /* larger ones, and longer trains, do not exist */
        SLOT_STRIDE =
                DATAGRAM_BYTES_MAX + 320, /* no multiple of a page, or all slots meet in a few sets of the cache */
        SOCKETS_OF_INPUT_MAX = 4096,
        NICE_OF_RECEIVER = -10, /* of a thread, as getpriority(2) tells it on Linux */
        DROPS_ASKED_FROM = 8,   /* datagrams at once, from which on the kernel is asked what it dropped */
};

enum counter_index {
        COUNT_SUBMITTED,
        COUNT_DISALLOWED,
        COUNT_CALLS,
        COUNT_SINGLE_CALLS,
        COUNT_RECEIVED,
        COUNT_RATE_LIMITED,
        COUNT_DROPPED,
        COUNT_TRUNCATED,
        COUNT_LOST,
        COUNTERS,
};

static const struct counter_def imudp_counters[] = {
        [COUNT_SUBMITTED] = {"submitted", "Messages handed to the ruleset."},
        [COUNT_DISALLOWED] = {"disallowed", "Datagrams discarded because the sender is not allowed."},
        [COUNT_CALLS] = {"called.recvmmsg", "Calls of recvmmsg().", .object = "imudp(w0)"},
        [COUNT_SINGLE_CALLS] = {"called.recvmsg", "Calls of recvmsg(): none, recvmmsg() is always there.",
                                .object = "imudp(w0)"},
        [COUNT_RECEIVED] = {"msgs.received", "Datagrams received.", .object = "imudp(w0)"},
        [COUNT_RATE_LIMITED] = {"discarded.ratelimit", "Messages discarded by the rate limit."},
        [COUNT_DROPPED] = {"dropped.kernel", "Datagrams that the kernel dropped because the receive buffer was full, "
                                             "as it counts: those that came together as one are one."},
        [COUNT_TRUNCATED] = {"truncated", "Datagrams longer than maxMessageSize, which were cut."},
        [COUNT_LOST] = {"lost", "Datagrams lost for lack of memory."},
        {},
};

/* ---- Settings ---- */

struct imudp_module_settings {
        char *policy;
        int64_t priority; /* -1: unset */
        int64_t batch_size, threads, time_requery;
        bool preserves_case;
        struct strings senders;
};

struct imudp_settings {
        struct strings ports, addresses, senders;
        char *port_file, *default_zone, *name, *device, *ruleset, *rate_name;
        bool appends_port;
        int64_t rate_interval_s, rate_burst, rate_severity, receive_bytes, free_bind;
};

static const struct param imudp_module_params[] = {
        PARAM_STRING(struct imudp_module_settings, policy, .name = "schedulingpolicy",
                     .legacy = "IMUDPSchedulingPolicy",
                     .help = "How the kernel schedules the receiving threads: fifo, rr or other. Unset: as all others, "
                             "but with nice -10 where that is permitted, so that a sender on the same machine waits "
                             "rather than datagrams are lost. \"other\" with schedulingPriority=\"0\": as all others."),
        PARAM_INT(struct imudp_module_settings, priority, .name = "schedulingpriority",
                  .legacy = "IMUDPSchedulingPriority", .dflt = "-1", .min = -1, .max = 99,
                  .help = "The priority that goes with schedulingPolicy; -1: none."),
        PARAM_INT(struct imudp_module_settings, batch_size, .name = "batchsize", .dflt = "32", .min = 1,
                  .max = BATCH_SIZE_MAX, .unit = "datagrams", .help = "Datagrams that one system call may receive."),
        PARAM_INT(struct imudp_module_settings, threads, .name = "threads", .dflt = "1", .min = 1, .max = THREADS_MAX,
                  .unit = "threads", .help = "Threads that receive, each on sockets of its own for every port."),
        PARAM_INT(struct imudp_module_settings, time_requery, .name = "timerequery", .legacy = "UDPServerTimeRequery",
                  .dflt = "2", .min = 0, .max = INT32_MAX, .unit = "calls",
                  .help = "While datagrams keep coming, the clock is read for every so many system calls."),
        PARAM_BOOL(struct imudp_module_settings, preserves_case, .name = "preservecase", .dflt = "off",
                   .help = "The property fromhost shows the host name as the resolver spells it, else in lower case."),
        PARAM_STRINGS(
                struct imudp_module_settings, senders, .name = "allowedsender",
                .help = "Addresses and networks that may send, as 192.0.2.0/24 or 2001:db8::/32; unset: everybody."),
        {},
};

static const struct param imudp_params[] = {
        PARAM_STRINGS(
                struct imudp_settings, ports, .name = "port", .legacy = "UDPServerRun",
                .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES,
                .help = "The port to receive on, by number or service name, or an array of them. 0: any free one."),
        PARAM_STRINGS(struct imudp_settings, addresses, .name = "address", .legacy = "UDPServerAddress",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The local address to receive on, or an array of them; unset or *: all."),
        PARAM_STRING(struct imudp_settings, port_file, .name = "listenportfilename",
                     .help = "A file that the number of the (first) port is written to."),
        PARAM_STRING(struct imudp_settings, default_zone, .name = "defaulttz",
                     .help = "The offset, as +01:00, of times that name none."),
        PARAM_STRING(struct imudp_settings, name, .name = "name", .alias = "inputname", .dflt = "imudp",
                     .help = "What the property inputname shows."),
        PARAM_BOOL(struct imudp_settings, appends_port, .name = "name.appendport", .alias = "inputname.appendport",
                   .dflt = "off", .help = "Append the number of the port to the name."),
        PARAM_STRING(struct imudp_settings, device, .name = "device",
                     .help = "The network device (or VRF) to receive from."),
        PARAM_RULESET(struct imudp_settings, ruleset, .name = "ruleset", .legacy = "InputUDPServerBindRuleset",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The ruleset that gets the messages; unset: the default one."),
        LIMIT_SEVERITY(struct imudp_settings, rate_severity),
        PARAM_STRING(struct imudp_settings, rate_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_INT(struct imudp_settings, rate_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(struct imudp_settings, rate_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages that pass within one window."),
        PARAM_SIZE(
                struct imudp_settings, receive_bytes, .name = "rcvbufsize", .dflt = "0", .min = 0,
                .max = RECEIVE_BUFFER_MAX,
                .help = "Size of the kernel's receive buffer. More than the system's limit (net.core.rmem_max) needs "
                        "privilege. 0: 16 MiB, or as much of that as is permitted, and never less than it is; memory "
                        "is taken only for what waits there."),
        PARAM_INT(struct imudp_settings, free_bind, .name = "ipfreebind", .dflt = "2", .min = FREE_BIND_NEVER,
                  .max = FREE_BIND_TOLD,
                  .help = "Bind to an address that this machine has not: 0 never, 1 yes, 2 yes and log a warning."),
        PARAM_STRINGS(
                struct imudp_settings, senders, .name = "allowedsender", .flags = PARAM_INHERITS,
                .help = "Addresses and networks that may send, as 192.0.2.0/24 or 2001:db8::/32; unset: everybody."),
        {},
};

/* ---- The input ---- */

struct udp_input;

/* Where one datagram, or one train of them, is received. */
struct slot {
        struct iovec place;
        struct sockaddr_storage peer;
        _Alignas(struct cmsghdr) char notes[CMSG_SPACE(sizeof(int))];
};

/* What one loop receives with; used by its sockets one after the other. */
struct udp_reader {
        struct udp_input *input;
        struct loop *loop;
        struct intake *intake;
        unsigned batch_size;
        size_t message_bytes_max;
        struct mmsghdr *messages;
        struct slot *slots;
        char *bytes;
};

/* A place as the statistics show it: an address, a port and a family. Its sockets, one for each thread, share it. */
struct udp_place {
        char *name; /* as rsyslog calls it: input, address, port, family */
        struct counter counters[COUNTERS];
};

struct udp_socket {
        struct watch watch;
        struct udp_reader *reader;
        struct udp_place *place;
        char *name; /* property inputname */
        struct senders senders;
        uint32_t dropped_seen; /* by the kernel, a counter that wraps */
        struct pace pace;
        int64_t pause_ns; /* before the next look; what the last one found has left by then */
        struct udp_socket *next;
};

struct udp_input {
        struct module_log *log;
        struct counter *counters;
        struct udp_reader *readers;
        unsigned reader_count;
        struct udp_socket *sockets;
        unsigned socket_count;
        struct udp_place **places;
        size_t place_count;
        struct welcome welcome;
        struct listening_limit limit;
        char *default_zone, *limit_name;
        bool preserves_case;
        int64_t time_requery;
        int policy, priority; /* of threads; policy -1: as it is */
};

static void count(struct udp_input *input, enum counter_index which, uint64_t n) {
        if (n)
                counter_add(&input->counters[which], n);
}

/* What the statistics show of each place. */
static void count_at(struct udp_socket *socket, enum counter_index which, uint64_t n) {
        count(socket->reader->input, which, n);
        if (n)
                counter_add(&socket->place->counters[which], n);
}

/* ---- Receiving ---- */

/* The first so many slots are as before they were filled. */
static void offer_slots(struct udp_reader *reader, unsigned number) {
        for (unsigned i = 0; i < number; i++) {
                reader->messages[i].msg_hdr.msg_namelen = sizeof reader->slots[i].peer;
                reader->messages[i].msg_hdr.msg_controllen = sizeof reader->slots[i].notes;
        }
}

/* What the kernel had to drop for want of room in its buffer, since the last time. */
static void note_dropped(struct udp_socket *socket) {
        uint32_t dropped;
        if (socket_dropped(socket->watch.fd, &dropped))
                return;
        count_at(socket, COUNT_DROPPED, dropped - socket->dropped_seen);
        socket->dropped_seen = dropped;
}

static struct sender *meet(struct udp_socket *socket, const struct sockaddr_storage *peer, socklen_t size) {
        struct udp_input *input = socket->reader->input;
        struct source *source = listening_source(socket->name, (const struct sockaddr *)peer, size, input->default_zone,
                                                 input->preserves_case);
        if (!source)
                return NULL;
        source->origin = input;
        bool is_allowed = listening_admits(&input->welcome, source);
        if (!is_allowed)
                module_report(input->log, SEVERITY_ERR, 0, "imudp: UDP message from disallowed sender discarded (%s)",
                              source->address);
        return senders_add(&socket->senders, source, is_allowed);
}

struct tally {
        uint64_t received, submitted, disallowed, limited, truncated, lost;
};

static inline void take_datagram(struct udp_reader *reader, struct sender *sender, struct text text, int64_t now_us,
                                 struct tally *tally) {
        if (UNLIKELY(text.size > reader->message_bytes_max)) {
                text.size = reader->message_bytes_max;
                tally->truncated++;
        }
        if (!listening_pass(&reader->input->limit, sender->source, text, now_us))
                tally->limited++;
        else if (intake_copy(reader->intake, sender->source, text, now_us))
                tally->submitted++;
        else
                tally->lost++;
}

/* What one slot received: a datagram, or a train of them from one sender. */
static inline void take_slot(struct udp_socket *socket, unsigned i, int64_t now_us, struct tally *tally) {
        struct udp_reader *reader = socket->reader;
        const struct mmsghdr *message = &reader->messages[i];
        struct slot *slot = &reader->slots[i];
        struct text rest = {slot->place.iov_base, message->msg_len};
        if (rest.size == 0) {
                tally->received++;
                return;
        }
        size_t step = socket_train_step(&message->msg_hdr);
        if (step == 0)
                step = rest.size;
        uint64_t count = (rest.size + step - 1) / step;
        tally->received += count;
        struct sender *sender = senders_find(&socket->senders, &slot->peer);
        if (UNLIKELY(!sender))
                sender = meet(socket, &slot->peer, message->msg_hdr.msg_namelen);
        if (UNLIKELY(!sender)) {
                tally->lost += count;
                return;
        }
        if (UNLIKELY(!sender->is_allowed)) {
                tally->disallowed += count;
                return;
        }
        for (size_t at = 0; at < rest.size; at += step)
                take_datagram(reader, sender, (struct text){rest.data + at, MIN(step, rest.size - at)}, now_us, tally);
}

/* Returns how many datagrams these slots had. */
static uint64_t take_slots(struct udp_socket *socket, unsigned number, int64_t now_us) {
        struct tally tally = {0};
        for (unsigned i = 0; i < number; i++)
                take_slot(socket, i, now_us, &tally);
        count(socket->reader->input, COUNT_RECEIVED, tally.received);
        count_at(socket, COUNT_SUBMITTED, tally.submitted);
        count_at(socket, COUNT_DISALLOWED, tally.disallowed);
        count_at(socket, COUNT_RATE_LIMITED, tally.limited);
        count_at(socket, COUNT_TRUNCATED, tally.truncated);
        count_at(socket, COUNT_LOST, tally.lost);
        return tally.received;
}

static void on_datagrams(struct watch *watch, uint32_t events _unused_) {
        struct udp_socket *socket = CONTAINER_OF(watch, struct udp_socket, watch);
        struct udp_reader *reader = socket->reader;
        struct udp_input *input = reader->input;
        int64_t now_us = 0;
        unsigned taken = 0;
        if (socket->pause_ns)
                pace_pause(socket->pause_ns);
        for (int64_t call = 0; call < CALLS_A_ROUND_MAX; call++) {
                offer_slots(reader, reader->batch_size);
                int got = socket_receive_many(watch->fd, reader->messages, reader->batch_size);
                count(input, COUNT_CALLS, 1);
                if (got < 0) {
                        if (got != -EAGAIN && got != -EINTR)
                                module_report(input->log, SEVERITY_ERR, 0, "imudp: error receiving on socket: %s",
                                              fail_text(got));
                        break;
                }
                if (call == 0 || input->time_requery <= 1 || call % input->time_requery == 0)
                        now_us = clock_wall_us();
                taken += (unsigned)take_slots(socket, (unsigned)got, now_us);
                /* Fewer than asked for: it is empty, and the loop tells when it is not. */
                if ((unsigned)got < reader->batch_size)
                        break;
        }
        socket->pause_ns = pace_after(&socket->pace, taken, clock_mono_ns());
        /* A buffer that overflowed was full, so there was much to take. */
        if (taken >= DROPS_ASKED_FROM)
                note_dropped(socket);
}

/* ---- Opening ---- */

static int reader_init(struct udp_reader *reader, struct udp_input *input, const struct input_host *host,
                       unsigned index, unsigned batch_size) {
        reader->input = input;
        reader->loop = host->loop[index];
        reader->intake = host->intake[index];
        reader->intake->flow = FLOW_NONE;
        reader->batch_size = batch_size;
        reader->message_bytes_max = (size_t)MAX(host->facts->message_bytes_max, (int64_t)1);
        reader->messages = calloc(batch_size, sizeof *reader->messages);
        reader->slots = calloc(batch_size, sizeof *reader->slots);
        /* Most of it is never touched, and what is not touched costs nothing. */
        reader->bytes = malloc(batch_size * (size_t)SLOT_STRIDE);
        if (!reader->messages || !reader->slots || !reader->bytes)
                return fail(-ENOMEM);
        for (unsigned i = 0; i < batch_size; i++) {
                struct slot *slot = &reader->slots[i];
                slot->place = (struct iovec){reader->bytes + i * (size_t)SLOT_STRIDE, DATAGRAM_BYTES_MAX};
                reader->messages[i].msg_hdr = (struct msghdr){
                        .msg_name = &slot->peer,
                        .msg_iov = &slot->place,
                        .msg_iovlen = 1,
                        .msg_control = slot->notes,
                };
        }
        return 0;
}

static void reader_fini(struct udp_reader *reader) {
        free(reader->messages);
        free(reader->slots);
        free(reader->bytes);
}

static struct udp_place *place_free(struct udp_place *place) {
        if (place)
                free(place->name);
        free(place);
        return NULL;
}
OWNED_POINTER(struct udp_place, place_free);

/* The place of a socket, which is made where it is the first there. */
static int find_place(struct udp_place **ret, struct udp_input *input, const char *input_name,
                      const struct socket_place *where, int fd) {
        _owned_(buffer_fini) struct buffer buffer = {0};
        buffer_format(&buffer, "%s(%s/%s/%s)", input_name, where->address ? where->address : "*", where->port,
                      socket_family(fd) == AF_INET6 ? "IPv6" : "IPv4");
        const char *name = buffer_string(&buffer);
        if (!name)
                return fail(-ENOMEM);
        for (size_t i = 0; i < input->place_count; i++)
                if (strcmp(input->places[i]->name, name) == 0) {
                        *ret = input->places[i];
                        return 0;
                }
        struct udp_place **places = reallocarray(input->places, input->place_count + 1, sizeof(struct udp_place *));
        if (!places)
                return fail(-ENOMEM);
        input->places = places;
        _owned_(place_free) struct udp_place *place = calloc(1, sizeof *place);
        if (!place)
                return fail(-ENOMEM);
        place->name = text_copy(text_of(name));
        if (!place->name)
                return fail(-ENOMEM);
        *ret = place;
        places[input->place_count++] = TAKE(place);
        return 0;
}

/* Takes fd on success. */
static int add_socket(struct udp_reader *reader, int fd, const struct imudp_settings *settings, unsigned port,
                      struct udp_place *place) {
        struct udp_input *input = reader->input;
        if (input->socket_count >= SOCKETS_OF_INPUT_MAX)
                return fail(-E2BIG);
        struct udp_socket *socket = calloc(1, sizeof *socket);
        if (!socket)
                return fail(-ENOMEM);
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_text(&name, text_of(settings->name));
        if (settings->appends_port)
                buffer_int(&name, port);
        socket->name = buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
        if (!socket->name) {
                free(socket);
                return fail(-ENOMEM);
        }
        socket->reader = reader;
        socket->place = place;
        socket_receive_trains(fd);
        pace_init(&socket->pace, socket_receive_buffer(fd));
        socket->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = on_datagrams};
        socket->next = input->sockets;
        input->sockets = socket;
        input->socket_count++;
        return 0;
}

/* Takes the sockets of a set; their places come in its order. */
static int add_sockets(struct udp_reader *reader, const struct imudp_settings *settings,
                       const struct socket_place *where, struct socket_set *set) {
        struct udp_place *places[SOCKETS_MAX];
        for (size_t i = 0; i < set->count; i++) {
                int r = find_place(&places[i], reader->input, settings->name, where, set->fd[i]);
                if (r)
                        return pass(r);
        }
        for (; set->count; set->count--) {
                size_t last = set->count - 1;
                int r = add_socket(reader, set->fd[last], settings, set->port, places[last]);
                if (r)
                        return pass(r);
        }
        return 0;
}

/* One address and port: a set of sockets for each thread. Tells the port that was bound. */
static int open_place(struct udp_input *input, const struct imudp_settings *settings, const struct socket_place *asked,
                      unsigned *bound) {
        struct socket_place place = *asked;
        char number[8];
        for (unsigned i = 0; i < input->reader_count; i++) {
                _owned_(socket_set_fini) struct socket_set set = {0};
                int r = listening_open(&set, &place, "udp", input->log);
                if (r)
                        return pass(r);
                *bound = set.port;
                r = add_sockets(&input->readers[i], settings, asked, &set);
                if (r)
                        return pass(r);
                /* The other threads share the port that the first got. */
                snprintf(number, sizeof number, "%u", set.port);
                place.port = number;
        }
        return 0;
}

/* Every address with every port; what cannot be opened is reported and passed over while anything can. */
static int open_places(struct udp_input *input, const struct input_host *host, const struct imudp_settings *settings) {
        int error = 0;
        unsigned first_port = 0;
        static char *const everywhere[] = {NULL};
        char *const *addresses = settings->addresses.count ? settings->addresses.items : everywhere;
        size_t address_count = settings->addresses.count ? settings->addresses.count : 1;
        for (size_t i = 0; i < settings->ports.count; i++)
                for (size_t j = 0; j < address_count; j++) {
                        struct socket_place place = {
                                .family = host->facts->ip_family,
                                .address = addresses[j],
                                .port = settings->ports.items[i],
                                .device = settings->device,
                                .free_bind = (enum free_bind)settings->free_bind,
                                .shares_port = input->reader_count > 1,
                                .receive_bytes = settings->receive_bytes,
                                .receive_bytes_wished = RECEIVE_BUFFER_WISHED,
                        };
                        unsigned bound = 0;
                        int r = open_place(input, settings, &place, &bound);
                        if (r)
                                error = r;
                        else if (!first_port)
                                first_port = bound;
                }
        if (!first_port) {
                module_report(host->log, SEVERITY_ERR, 0, "imudp: no listeners could be started, input not activated.");
                return fail(error ? error : -EINVAL);
        }
        return listening_write_port("imudp", settings->port_file, first_port, host->log);
}

static int name_limit(struct udp_input *input, const struct imudp_settings *settings, const struct input_host *host) {
        const char *address = settings->addresses.count ? settings->addresses.items[0] : "*";
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%s(%s/%s)", settings->name, address,
                      settings->ports.count ? settings->ports.items[0] : "");
        input->limit_name = buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
        input->default_zone = text_copy(text_of(settings->default_zone ? settings->default_zone : ""));
        if (!input->limit_name || !input->default_zone)
                return fail(-ENOMEM);
        input->limit = (struct listening_limit){
                .limit = {.interval_s = settings->rate_interval_s,
                          .burst = settings->rate_burst,
                          .severity_min = (uint8_t)settings->rate_severity},
                .name = input->limit_name,
                .log = input->log,
        };
        limit_by_name(&input->limit.limit, host, settings->rate_name, "imudp");
        return 0;
}

static struct udp_input *input_free(struct udp_input *input) {
        if (!input)
                return NULL;
        while (input->sockets) {
                struct udp_socket *socket = input->sockets;
                input->sockets = socket->next;
                socket_close(socket->watch.fd);
                senders_fini(&socket->senders);
                free(socket->name);
                free(socket);
        }
        while (input->place_count)
                place_free(input->places[--input->place_count]);
        free(input->places);
        for (unsigned i = 0; input->readers && i < input->reader_count; i++)
                reader_fini(&input->readers[i]);
        free(input->readers);
        welcome_fini(&input->welcome);
        free(input->default_zone);
        free(input->limit_name);
        free(input);
        return NULL;
}
OWNED_POINTER(struct udp_input, input_free);

static int parse_scheduling(const struct imudp_module_settings *settings, int *policy, struct module_log *log) {
        static const struct {
                const char *name;
                int policy;
        } policies[] = {{"fifo", SCHED_FIFO}, {"rr", SCHED_RR}, {"other", SCHED_OTHER}};
        *policy = -1;
        if (!settings->policy && settings->priority < 0)
                return 0;
        if (!settings->policy || settings->priority < 0) {
                module_report(log, SEVERITY_WARNING, 0, "imudp: scheduling %s - ignoring settings",
                              settings->policy ? "policy set, but without priority"
                                               : "priority set, but without policy");
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
                if (!text_equal_nocase(text_of(settings->policy), text_of(policies[i].name)))
                        continue;
                int lowest = sched_get_priority_min(policies[i].policy);
                int highest = sched_get_priority_max(policies[i].policy);
                if (settings->priority >= lowest && settings->priority <= highest) {
                        *policy = policies[i].policy;
                        return 0;
                }
                module_report(log, SEVERITY_ERR, 0,
                              "imudp: scheduling priority %lld out of range (%d - %d) for scheduling policy '%s' - "
                              "ignoring settings",
                              (long long)settings->priority, lowest, highest, settings->policy);
                return fail(-EINVAL);
        }
        module_report(log, SEVERITY_ERR, 0,
                      "imudp: invalid scheduling policy '%s' - ignoring setting. It is one of fifo, rr, other",
                      settings->policy);
        return fail(-EINVAL);
}

static int imudp_open(void **ret, const struct input_host *host, const void *own) {
        const struct imudp_settings *settings = own;
        const struct imudp_module_settings *module = host->module_settings;
        _owned_(input_free) struct udp_input *input = calloc(1, sizeof *input);
        if (!input)
                return fail(-ENOMEM);
        input->log = host->log;
        input->counters = host->counters;
        input->preserves_case = module->preserves_case;
        input->time_requery = module->time_requery;
        input->priority = (int)module->priority;
        if (parse_scheduling(module, &input->policy, host->log))
                input->policy = -1;
        input->reader_count = settings->rate_interval_s > 0 || settings->rate_name ? 1 : host->loops;
        input->readers = calloc(input->reader_count, sizeof *input->readers);
        if (!input->readers)
                return fail(-ENOMEM);
        int r = 0;
        for (unsigned i = 0; i < input->reader_count && r == 0; i++)
                r = reader_init(&input->readers[i], input, host, i, (unsigned)module->batch_size);
        if (r == 0)
                r = listening_allow(&input->welcome, "imudp", &settings->senders, host->facts->allowed_udp, "UDP",
                                    host->log);
        if (r == 0)
                r = name_limit(input, settings, host);
        if (r == 0)
                r = open_places(input, host, settings);
        if (r)
                return pass(r);
        *ret = TAKE(input);
        return 0;
}

/* ---- Start and stop, on the thread of each loop ---- */

/*
 * Whoever sends is not held back, and what does not fit into the buffer is lost: where the processors have more to do
 * than they can, this goes first, so that it is the sender on the same machine who waits. Where it is not permitted,
 * nothing is said.
 */
static void hurry(void) {
        if (getpriority(PRIO_PROCESS, 0) > NICE_OF_RECEIVER)
                setpriority(PRIO_PROCESS, 0, NICE_OF_RECEIVER);
}

static void schedule_thread(const struct udp_input *input) {
        if (input->policy < 0) {
                hurry();
                return;
        }
        struct sched_param param = {.sched_priority = input->priority};
        int r = pthread_setschedparam(pthread_self(), input->policy, &param);
        if (r)
                module_report(input->log, SEVERITY_WARNING, 0, "imudp: pthread_setschedparam() failed - ignoring: %s",
                              fail_text(r));
}

static void start_reader(void *argument) {
        struct udp_reader *reader = argument;
        schedule_thread(reader->input);
        for (struct udp_socket *socket = reader->input->sockets; socket; socket = socket->next) {
                if (socket->reader != reader)
                        continue;
                int r = loop_watch(reader->loop, &socket->watch);
                if (r)
                        module_report(reader->input->log, SEVERITY_ERR, 0, "imudp: a socket cannot be watched: %s",
                                      fail_text(r));
        }
}

/* What had arrived is still taken, within the bounds of one round. */
static void stop_reader(void *argument) {
        struct udp_reader *reader = argument;
        for (struct udp_socket *socket = reader->input->sockets; socket; socket = socket->next) {
                if (socket->reader != reader || !socket->watch.is_added)
                        continue;
                on_datagrams(&socket->watch, EPOLLIN);
                note_dropped(socket);
                loop_unwatch(reader->loop, &socket->watch);
                socket->watch.fd = socket_close(socket->watch.fd);
        }
}

/* What has arrived is read by whoever has the sockets now. */
static void retire_reader(void *argument) {
        struct udp_reader *reader = argument;
        for (struct udp_socket *socket = reader->input->sockets; socket; socket = socket->next) {
                if (socket->reader != reader || !socket->watch.is_added)
                        continue;
                loop_unwatch(reader->loop, &socket->watch);
                socket->watch.fd = socket_close(socket->watch.fd);
        }
}

static void imudp_retire(void *instance) {
        struct udp_input *input = instance;
        retire_reader(&input->readers[0]);
        for (unsigned i = 1; i < input->reader_count; i++)
                loop_post(input->readers[i].loop, retire_reader, &input->readers[i]);
}

static int imudp_start(void *instance) {
        struct udp_input *input = instance;
        start_reader(&input->readers[0]);
        for (unsigned i = 1; i < input->reader_count; i++) {
                int r = loop_post(input->readers[i].loop, start_reader, &input->readers[i]);
                if (r)
                        return pass(r);
        }
        return 0;
}

static void imudp_stop(void *instance) {
        struct udp_input *input = instance;
        stop_reader(&input->readers[0]);
        for (unsigned i = 1; i < input->reader_count; i++)
                loop_post(input->readers[i].loop, stop_reader, &input->readers[i]);
        listening_end_limit(&input->limit);
}

static void imudp_close(void *instance) {
        input_free(instance);
}

static unsigned imudp_threads(const void *module_settings) {
        return (unsigned)((const struct imudp_module_settings *)module_settings)->threads;
}

static int imudp_check(const void *own, const void *module_settings, struct module_log *log) {
        const struct imudp_settings *settings = own;
        const struct imudp_module_settings *module = module_settings;
        if (!settings) {
                int policy;
                int scheduling = module ? parse_scheduling(module, &policy, log) : 0;
                int senders = module ? listening_parse_senders(NULL, &module->senders, "UDP", log) : 0;
                return scheduling || senders ? fail(-EINVAL) : 0;
        }
        int r = listening_parse_senders(NULL, &settings->senders, "UDP", log);
        for (size_t i = 0; i < settings->ports.count; i++)
                if (listening_check_port(settings->ports.items[i], "UDP", log))
                        r = -EINVAL;
        return r ? pass(r) : 0;
}

static struct ratelimit *imudp_limit(void *instance) {
        return &((struct udp_input *)instance)->limit.limit;
}

static const struct counter *imudp_part(void *instance, const void *settings _unused_, size_t at, struct buffer *name) {
        const struct udp_input *input = instance;
        if (at >= input->place_count)
                return NULL;
        buffer_text(name, text_of(input->places[at]->name));
        return input->places[at]->counters;
}

/* All places of an instance together. */
static void imudp_statistic(struct buffer *name, const void *own, const void *module_settings _unused_) {
        const struct imudp_settings *s = own;
        const char *address = s->addresses.count ? s->addresses.items[0] : "*";
        buffer_format(name, "%s(%s/", s->name, address);
        for (size_t i = 0; i < s->ports.count; i++)
                buffer_format(name, "%s%s", i ? "," : "", s->ports.items[i]);
        buffer_format(name, "/%s)", strchr(address, ':') ? "IPv6" : "IPv4");
}

static const struct input_ops imudp_ops = {
        .statistic = imudp_statistic,
        .part = imudp_part,
        .threads = imudp_threads,
        .open = imudp_open,
        .start = imudp_start,
        .stop = imudp_stop,
        .close = imudp_close,
        .limit = imudp_limit,
        .retire = imudp_retire,
};

const struct module imudp_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imudp",
        .help = "Receives syslog over UDP.",
        .module_settings = SETTINGS(struct imudp_module_settings, imudp_module_params),
        .settings = SETTINGS(struct imudp_settings, imudp_params),
        .counters = imudp_counters,
        .check = imudp_check,
        .input = &imudp_ops,
        .needs_objects = true,
};
