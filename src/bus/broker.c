/*
 * The broker as a whole: the listener, the round, start and end.
 *
 *   round: each socket that is ready has its turn -> clients in `more` have theirs
 *          -> after each turn what it queued is flushed and the doomed are ended
 */
#include "bus/broker.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail.h"
#include "bus/broker_inside.h"
#include "io/file.h"
#include "io/socket.h"

enum {
        ACCEPTS_A_TURN = 64,
        ACCEPT_PAUSE_MS = 100,   /* when no descriptor is left */
        PROBE_MS = 2000,         /* that a running broker has to answer */
        LOG_LINES_A_PERIOD = 20, /* of one kind */
        LOG_PERIOD_MS = 5000,
        SLICE_NS = 100000, /* that the broker asks of the scheduler at once */
};
static const char DEFAULT_SOCKET_PATH[] = "/run/penstock/bus";

/* ---- Logging --------------------------------------------------------------- */

static bool log_allows(struct broker *b, enum log_kind kind, uint64_t *suppressed) {
        struct log_limit *limit = &b->limits[kind];
        int64_t now_ns = clock_mono_coarse_ns();
        *suppressed = 0;
        if (now_ns - limit->since_ns >= LOG_PERIOD_MS * INT64_C(1000000) || limit->since_ns == 0) {
                *suppressed = limit->suppressed;
                *limit = (struct log_limit){.since_ns = now_ns};
        }
        if (limit->lines++ < LOG_LINES_A_PERIOD)
                return true;
        limit->suppressed++;
        return false;
}

void broker_log(struct broker *b, enum severity severity, enum log_kind kind, const char *format, ...) {
        uint64_t suppressed;
        if ((int64_t)severity > b->settings.log_level || !b->reporter || !log_allows(b, kind, &suppressed))
                return;
        if (suppressed)
                report(b->reporter, severity, 0, "%llu similar messages were not shown",
                       (unsigned long long)suppressed);
        va_list args;
        va_start(args, format);
        report_va(b->reporter, severity, 0, format, args);
        va_end(args);
}

/* ---- Users ----------------------------------------------------------------- */

struct account *account_of(struct broker *b, uid_t uid) {
        uint64_t hash = table_mix(b->seed, uid);
        for (struct table_node *n = table_find(&b->accounts, hash); n; n = table_find_next(n))
                if (CONTAINER_OF(n, struct account, node)->uid == uid)
                        return CONTAINER_OF(n, struct account, node);
        struct account *a = calloc(1, sizeof *a);
        if (!a)
                return NULL;
        a->uid = uid;
        a->fds.limit = (uint64_t)b->settings.user_fds_max;
        if (table_add(&b->accounts, &a->node, hash)) {
                free(a);
                return NULL;
        }
        return a;
}

void account_drop_unused(struct broker *b, struct account *account) {
        /* Frames in other queues may still hold descriptors of this user. */
        if (account->clients > 0 || account->fds.used > 0 || account == b->self.account)
                return;
        assert(account->bytes == 0);
        table_remove(&b->accounts, &account->node);
        free(account);
}

static void free_accounts(struct broker *b) {
        for (size_t i = 0; i < b->accounts.slot_count; i++)
                while (b->accounts.slots[i]) {
                        struct table_node *n = b->accounts.slots[i];
                        b->accounts.slots[i] = n->next;
                        free(CONTAINER_OF(n, struct account, node));
                }
        table_fini(&b->accounts);
}

/* ---- The round ------------------------------------------------------------- */

void broker_more(struct client *c) {
        if (list_is_empty(&c->more))
                list_append(&c->broker->more, &c->more);
}

void broker_settle(struct broker *b) {
        if (b->is_settling)
                return;
        b->is_settling = true;
        while (!list_is_empty(&b->dirty) || !list_is_empty(&b->doomed)) {
                while (!list_is_empty(&b->dirty))
                        client_flush(CONTAINER_OF(b->dirty.next, struct client, dirty));
                if (!list_is_empty(&b->doomed))
                        client_end(CONTAINER_OF(b->doomed.next, struct client, doomed));
        }
        b->is_settling = false;
        if (b->is_stopping && b->stopped) {
                void (*stopped)(void *context) = TAKE(b->stopped);
                stopped(b->context);
        }
}

static void nothing_to_do(struct timer *timer _unused_) {
}

static void plan_giving_back(struct broker *b) {
        b->seen_bytes = b->passed_bytes;
        /* Without memory for a timer it is kept until the next time. */
        (void)loop_arm(b->loop, &b->give_back, clock_mono_ns() + GIVE_BACK_MS * INT64_C(1000000));
}

/* Frees that lie between what is in use do not reach the kernel by themselves. */
static void give_back_memory(struct timer *timer) {
        struct broker *b = CONTAINER_OF(timer, struct broker, give_back);
        if (b->passed_bytes != b->seen_bytes) {
                plan_giving_back(b);
                return;
        }
        b->passed_bytes = b->seen_bytes = 0;
        stock_clear(&b->stock);
        malloc_trim(0);
}

static void serve_more(struct round_hook *hook) {
        struct broker *b = CONTAINER_OF(hook, struct broker, hook);
        struct list round;
        /* Those who want yet another turn have it in the next round, after whoever became ready. */
        list_init(&round);
        while (!list_is_empty(&b->more))
                list_append(&round, list_take(&b->more));
        while (!list_is_empty(&round)) {
                client_turn(CONTAINER_OF(list_take(&round), struct client, more));
                broker_settle(b);
        }
        broker_settle(b);
        if (b->gives_memory_back && b->passed_bytes > GIVE_BACK_BYTES && !b->give_back.slot)
                plan_giving_back(b);
        if (!list_is_empty(&b->more) && loop_arm(b->loop, &b->again, clock_mono_ns()))
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "no memory for a timer");
}

uint64_t broker_random(struct broker *b, uint64_t below) {
        b->random += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t number = table_mix(b->random, b->seed);
        return (uint64_t)(((unsigned __int128)number * below) >> 64);
}

/* ---- Connections ----------------------------------------------------------- */

static int admit(struct broker *b, int fd) {
        struct client *c;
        if (b->client_count >= (uint64_t)b->settings.clients_max) {
                broker_log(b, SEVERITY_WARNING, LOG_REFUSED, "a connection was refused: there are max_clients");
                unix_stream_close(fd);
                return -EMFILE;
        }
        int r = client_new(&c, b, fd);
        if (r) {
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "a connection was not served: %s", fail_text(r));
                return pass(r);
        }
        if (c->account->clients > (uint64_t)b->settings.user_clients_max) {
                client_doom(c, "its user has max_clients_per_user");
                return -EMFILE;
        }
        broker_log(b, SEVERITY_INFO, LOG_CONNECT, "%s has connected (pid %d, uid %u)", c->lname, (int)c->peer.pid,
                   (unsigned)c->peer.uid);
        post_membership(b, "connected", c, TEXT_NONE, NULL);
        return 0;
}

int broker_adopt(struct broker *b, int fd) {
        if (b->is_stopping) {
                unix_stream_close(fd);
                return fail(-ESHUTDOWN);
        }
        int r = admit(b, fd);
        broker_settle(b);
        return r;
}

static void resume_accepting(struct timer *timer) {
        struct broker *b = CONTAINER_OF(timer, struct broker, accept_pause);
        if (b->listener.fd >= 0 && loop_watch(b->loop, &b->listener))
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "the listener cannot be watched");
}

/* A listener that stayed watched would wake the loop without end. */
static void pause_accepting(struct broker *b, int error) {
        broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "connections cannot be accepted for the moment: %s", fail_text(error));
        loop_unwatch(b->loop, &b->listener);
        if (loop_arm(b->loop, &b->accept_pause, clock_mono_ns() + ACCEPT_PAUSE_MS * INT64_C(1000000)))
                broker_stop(b);
}

static void listener_ready(struct watch *watch, uint32_t events _unused_) {
        struct broker *b = CONTAINER_OF(watch, struct broker, listener);
        for (unsigned i = 0; i < ACCEPTS_A_TURN && !b->is_stopping; i++) {
                int fd = unix_stream_accept(b->listener.fd);
                if (fd == -EAGAIN)
                        break;
                if (fd == -ECONNABORTED)
                        continue;
                if (fd < 0) {
                        pause_accepting(b, fd);
                        break;
                }
                admit(b, fd);
        }
        broker_settle(b);
}

/* ---- The path -------------------------------------------------------------- */

/* Whoever listens there says its name: 0. */
static int probe(const char *path) {
        static const char question[] = "\0\0\0\x15\0\x13{\"type\":\"getlname\"}";
        _owned_(descriptor_close) int fd = -1;
        char answer[16];
        size_t fd_count;
        int fds[UNIX_STREAM_FDS_MAX];
        int r = unix_stream_connect(&fd, path);
        if (r)
                return r == -EAGAIN ? 0 : r; /* a full backlog is somebody's */
        const struct iovec out = {(char *)question, sizeof question - 1};
        struct iovec in = {answer, sizeof answer};
        if (unix_stream_send(fd, &out, 1, NULL, 0) != (ssize_t)out.iov_len || !unix_stream_await(fd, 1, PROBE_MS))
                return -ETIMEDOUT;
        return unix_stream_receive(fd, &in, 1, fds, &fd_count) > 0 ? 0 : -ECONNREFUSED;
}

static int clear_path(struct broker *b, const char *path) {
        struct file_facts facts;
        if (path[0] == '@' || file_facts_of_path(&facts, path))
                return 0;
        if (facts.kind == FILE_IS_DIRECTORY || (facts.kind == FILE_IS_REGULAR && facts.size > 0)) {
                report(b->reporter, SEVERITY_ERR, 0, "%s is there and no socket; it is left alone", path);
                return fail(-EEXIST);
        }
        if (probe(path) == 0) {
                report(b->reporter, SEVERITY_ERR, 0, "another broker is running on %s", path);
                return -EADDRINUSE;
        }
        return file_remove(path);
}

static int open_listener(struct broker *b, const struct broker_options *options, int64_t mode) {
        int r = 0;
        b->listener = (struct watch){.fd = options->listener, .events = EPOLLIN, .ready = listener_ready};
        if (options->listener < 0) {
                r = clear_path(b, b->socket_path);
                if (!r)
                        r = unix_stream_listen(&b->listener.fd, b->socket_path);
                if (!r && mode >= 0)
                        r = unix_stream_mode(b->socket_path, (mode_t)mode);
                b->is_bound = b->listener.fd >= 0 && b->socket_path[0] != '@';
        } else {
                b->is_bound = options->owns_path;
        }
        if (!r)
                r = loop_watch(b->loop, &b->listener);
        if (r && r != -EADDRINUSE && r != -EEXIST)
                report(b->reporter, SEVERITY_ERR, 0, "cannot listen on %s: %s", b->socket_path, fail_text(r));
        return r;
}

static const char *choose_path(const struct broker_options *options, const struct settings_place *place) {
        const char *environment = getenv("BIND10_MSGQ_SOCKET_FILE");
        if (options->socket_path)
                return options->socket_path;
        if (environment && *environment)
                return environment;
        return place->socket_path ? place->socket_path : DEFAULT_SOCKET_PATH;
}

/* ---- Start ----------------------------------------------------------------- */

/* The broker among its own clients. */
static int become_client(struct broker *b) {
        struct client *self = &b->self;
        self->broker = b;
        self->watch.fd = -1;
        self->version = WIRE_2;
        self->peer = (struct unix_peer){getpid(), geteuid(), getegid()};
        client_name(self);
        self->account = account_of(b, self->peer.uid);
        if (!self->account)
                return fail(-ENOMEM);
        int r = table_add(&b->lnames, &self->by_lname, table_hash(b->seed, client_lname(self)));
        if (r)
                return pass(r);
        return directory_join(&b->directory, &self->subscriber, TEXT("Msgq"), TEXT("*"));
}

static void learn_host(struct broker *b) {
        if (gethostname(b->host, sizeof b->host - 1))
                b->host[0] = '\0';
        /* An lname stands in JSON without escapes. */
        for (char *c = b->host; *c; c++)
                if (*c <= ' ' || *c >= 0x7f || strchr("\"\\@[]*", *c))
                        *c = '-';
        if (!b->host[0])
                b->host[0] = '-';
}

static void init(struct broker *b, struct loop *loop, const struct broker_options *options) {
        b->loop = loop;
        b->reporter = options->reporter;
        b->stopped = options->stopped;
        b->context = options->context;
        b->listener.fd = -1;
        b->seed = table_seed();
        b->random = table_seed();
        b->hook.run = serve_more;
        b->again.fire = nothing_to_do;
        b->give_back.fire = give_back_memory;
        b->gives_memory_back = options->gives_memory_back;
        b->accept_pause.fire = resume_accepting;
        settings_init(&b->settings);
        directory_init(&b->directory);
        list_init(&b->all);
        list_init(&b->more);
        list_init(&b->dirty);
        list_init(&b->doomed);
        list_init(&b->traces);
        list_init(&b->free_requests);
        list_init(&b->free_pendings);
        learn_host(b);
        loop_add_hook(loop, &b->hook);
}

int broker_new(struct broker **ret, struct loop *loop, const struct broker_options *options) {
        _owned_(settings_place_fini) struct settings_place place = {.mode = -1};
        _owned_(broker_free) struct broker *b = calloc(1, sizeof *b);
        if (!b)
                return fail(-ENOMEM);
        init(b, loop, options);
        int r = 0;
        if (options->config_path)
                r = settings_load(options->config_path, &b->settings, &b->policy, &place, b->reporter);
        if (!r)
                r = become_client(b);
        if (r)
                return pass(r);
        if (options->is_verbose)
                b->settings.log_level = MAX(b->settings.log_level, (int64_t)SEVERITY_INFO);
        b->socket_path = text_copy(text_of(choose_path(options, &place)));
        if (!b->socket_path)
                return fail(-ENOMEM);
        r = open_listener(b, options, place.mode);
        if (r)
                return r;
        broker_log(b, SEVERITY_INFO, LOG_ADMIN, "serving %s as %s", b->socket_path, b->self.lname);
        *ret = TAKE(b);
        return 0;
}

/* What sched_setattr(2) takes: the kernel's header of it and the C library's <sched.h> exclude each other. */
struct scheduling {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};
static_assert(sizeof(struct scheduling) == 48, "the first version of struct sched_attr");

/*
 * Who asks for short slices has them earlier (Linux 6.12; others ignore it), and no more than its share in all. On a
 * machine with eight builds beside it the 99th percentile of small requests beside a 4 MB stream was 300 us with it, in
 * nine runs 850 us at most, and 3,043 us without. A priority that somebody gave us stays.
 */
void broker_be_prompt(void) {
        struct scheduling attributes = {.size = sizeof attributes, .policy = SCHED_OTHER, .runtime_ns = SLICE_NS};
        if (sched_getscheduler(0) != SCHED_OTHER)
                return;
        attributes.nice = getpriority(PRIO_PROCESS, 0);
        (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/* ---- End ------------------------------------------------------------------- */

static void close_listener(struct broker *b) {
        loop_disarm(b->loop, &b->accept_pause);
        loop_unwatch(b->loop, &b->listener);
        b->listener.fd = unix_stream_close(b->listener.fd);
}

void broker_retire(struct broker *b) {
        close_listener(b);
        b->is_bound = false;
}

void broker_stop(struct broker *b) {
        if (b->is_stopping)
                return;
        b->is_stopping = true;
        close_listener(b);
        if (b->is_bound)
                (void)file_remove(b->socket_path);
        b->is_bound = false;
        for (struct list *l = b->all.next; l != &b->all; l = l->next)
                client_doom(CONTAINER_OF(l, struct client, all), NULL);
        /* Inside a turn its end settles; else the end of the next round does. */
        if (loop_arm(b->loop, &b->again, clock_mono_ns()))
                broker_log(b, SEVERITY_ERR, LOG_TROUBLE, "no memory for a timer");
}

struct broker *broker_free(struct broker *b) {
        if (!b)
                return NULL;
        b->stopped = NULL;
        broker_stop(b);
        broker_settle(b);
        loop_disarm(b->loop, &b->again);
        loop_disarm(b->loop, &b->give_back);
        loop_remove_hook(b->loop, &b->hook);
        if (b->self.broker)
                client_leave(&b->self);
        directory_fini(&b->directory);
        table_fini(&b->lnames);
        request_fini(b);
        free_accounts(b);
        policy_fini(&b->policy);
        buffer_fini(&b->traced_to);
        stock_clear(&b->stock);
        free(b->socket_path);
        free(b);
        return NULL;
}

unsigned broker_clients(const struct broker *b) {
        return b->client_count;
}

const char *broker_socket_path(const struct broker *b) {
        return b->socket_path;
}
