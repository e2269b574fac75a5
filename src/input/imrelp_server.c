#include "input/imrelp_server.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/fail.h"
#include "base/reporter.h"
#include "input/imrelp_peer.h"
#include "io/relp.h"

const struct counter_def relp_counters[] = {
        [RELP_SUBMITTED] = {"submitted", "Messages handed to the ruleset."},
        [RELP_ANSWERED] = {"answered", "Messages acknowledged to their senders."},
        [RELP_OPENED] = {"sessions.opened", "Connections accepted."},
        [RELP_OPEN_FAILED] = {"sessions.openfailed", "Connections that could not be accepted."},
        [RELP_TLS_FAILED] = {"tls.failed", "Connections whose TLS handshake failed, or was refused."},
        [RELP_CLOSED] = {"sessions.closed", "Connections that ended."},
        [RELP_BROKEN_SESSIONS] = {"sessions.broken", "Sessions that we ended because the sender broke the protocol."},
        [RELP_BYTES] = {"bytes.received", "Bytes received."},
        [RELP_CUT_MESSAGES] = {"truncated", "Messages longer than maxDataSize that were cut."},
        [RELP_RATE_LIMITED] = {"discarded.ratelimit", "Messages discarded by the rate limit."},
        {},
};

enum { CODE_TLS = 2353 };

/* ---- Promises that were kept ---------------------------------------------- */

static void talk(struct relp_worker *worker) {
        while (worker->talkers) {
                struct relp_peer *p = worker->talkers;
                worker->talkers = p->next_talker;
                p->is_talker = false;
                peer_talk(p);
        }
}

/* All answers that are due are written before any is sent: one send for each session. */
static void collect(void *owner) {
        struct relp_worker *worker = owner;
        struct relp_promise *next;
        for (struct relp_promise *kept = mailbox_collect(worker->mailbox); kept; kept = next) {
                next = kept->next_kept;
                kept->is_kept = true;
                if (kept->session)
                        peer_keep(kept->session);
                else
                        promise_recycle(kept);
        }
        talk(worker);
}

/* ---- Making one ----------------------------------------------------------- */

static int make_workers(struct relp_server *server, const struct input_host *host) {
        server->worker_count = server->options.limit.interval_s > 0 ? 1 : host->loops;
        server->workers = calloc(server->worker_count, sizeof *server->workers);
        if (!server->workers)
                return fail(-ENOMEM);
        for (unsigned i = 0; i < server->worker_count; i++) {
                struct relp_worker *worker = &server->workers[i];
                *worker = (struct relp_worker){.server = server, .loop = host->loop[i], .intake = host->intake[i]};
                worker->intake->flow = server->options.flow;
                int r = mailbox_new(&worker->mailbox, worker->loop, collect, worker);
                if (r)
                        return pass(r);
        }
        return 0;
}

static int keep_texts(struct relp_server *server) {
        _owned_(buffer_fini) struct buffer label = {0};
        buffer_format(&label, "imrelp[%s]", server->options.port);
        server->label = buffer_failed(&label) ? NULL : text_copy(buffer_as_text(&label));
        server->name = text_copy(text_of(server->options.name));
        if (!server->label || !server->name)
                return fail(-ENOMEM);
        server->options.name = server->name;
        server->options.port = NULL;
        return 0;
}

/* Files that do not do now may do after a HUP; until then nobody is let in. */
static int make_tls(struct relp_server *server) {
        if (!server->options.tls)
                return 0;
        _owned_(buffer_fini) struct buffer complaint = {0};
        int r = tls_context_new(&server->tls, server->options.tls, &complaint);
        server->options.tls = NULL;
        if (r)
                module_report(server->log, SEVERITY_ERR, CODE_TLS, "%s: %s%s", server->label, buffer_string(&complaint),
                              r > 0 ? "; nobody is let in until that is mended and a HUP sent" : "");
        return r < 0 ? pass(r) : 0;
}

void relp_server_reload(void *instance) {
        struct relp_server *server = instance;
        _owned_(buffer_fini) struct buffer complaint = {0};
        if (server->tls && tls_context_reload(server->tls, &complaint))
                module_report(server->log, SEVERITY_ERR, CODE_TLS, "%s: %s; what was read before stays in use",
                              server->label, buffer_string(&complaint));
}

static void take_session(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer, socklen_t size);

static void count_failed(struct acceptor *acceptor, int family _unused_) {
        relp_count(CONTAINER_OF(acceptor, struct relp_server, acceptor), RELP_OPEN_FAILED, 1);
}

int relp_server_new(struct relp_server **ret, const struct input_host *host, const struct relp_options *options) {
        _owned_(relp_server_free) struct relp_server *server = calloc(1, sizeof *server);
        if (!server)
                return fail(-ENOMEM);
        server->options = *options;
        server->log = host->log;
        server->counters = host->counters;
        server->facts = host->facts;
        server->message_bytes_max =
                (uint32_t)MIN(MAX(host->facts->message_bytes_max, (int64_t)1), (int64_t)RELP_DATA_BYTES_MAX);
        int r = keep_texts(server);
        if (r == 0)
                r = make_workers(server, host);
        if (r == 0)
                r = make_tls(server);
        if (r)
                return pass(r);
        server->limit = (struct listening_limit){.limit = options->limit, .name = server->label, .log = server->log};
        server->acceptor = (struct acceptor){
                .accepted = take_session,
                .failed = count_failed,
                .loop = host->loop[0],
                .who = server->label,
                .log = host->log,
        };
        *ret = TAKE(server);
        return 0;
}

struct relp_server *relp_server_free(struct relp_server *server) {
        if (!server)
                return NULL;
        for (unsigned i = 0; server->workers && i < server->worker_count; i++) {
                while (server->workers[i].peers)
                        peer_free(server->workers[i].peers);
                mailbox_close(server->workers[i].mailbox);
        }
        acceptor_fini(&server->acceptor);
        tls_context_free(server->tls);
        free(server->workers);
        free(server->name);
        free(server->label);
        free(server);
        return NULL;
}

/* ---- Listening and accepting ---------------------------------------------- */

int relp_server_listen(struct relp_server *server, const struct socket_place *place) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        int r = listening_open(&set, place, "tcp", server->log);
        if (r)
                return pass(r);
        acceptor_add_set(&server->acceptor, &set);
        return 0;
}

static void adopt(void *argument) {
        struct relp_peer *p = argument;
        if (p->worker->is_stopped)
                peer_end(p);
        else
                peer_start(p);
}

/* Takes fd. */
static int begin_session(struct relp_server *server, int fd, const struct sockaddr_storage *peer, socklen_t size) {
        _owned_(descriptor_close) int owned_fd = fd;
        _owned_(source_unref) struct source *source =
                listening_source(server->name, (const struct sockaddr *)peer, size, NULL, true);
        if (!source)
                return fail(-ENOMEM);
        source->origin = server;
        if (socket_keepalive(fd, &server->options.keepalive))
                module_report(server->log, SEVERITY_WARNING, 0, "%s: keep-alive could not be set for %s - ignored",
                              server->label, source->address);
        (void)socket_send_at_once(fd); /* answers are small, and somebody waits for them */
        struct relp_worker *worker = &server->workers[server->next_worker++ % server->worker_count];
        _owned_(peer_free) struct relp_peer *p = NULL;
        int r = peer_new(&p, worker, fd, source);
        if (r)
                return pass(r);
        owned_fd = -1;
        TAKE(source);
        relp_count(server, RELP_OPENED, 1);
        atomic_fetch_add_explicit(&server->sessions, 1, memory_order_relaxed);
        if (worker == &server->workers[0])
                peer_start(TAKE(p));
        else if (loop_post(worker->loop, adopt, p)) {
                atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
                return fail(-ENOMEM);
        } else
                TAKE(p);
        return 0;
}

static void take_session(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer, socklen_t size) {
        if (begin_session(CONTAINER_OF(acceptor, struct relp_server, acceptor), fd, peer, size))
                count_failed(acceptor, peer->ss_family);
}

/* ---- Start and stop -------------------------------------------------------- */

int relp_server_start(void *instance) {
        struct relp_server *server = instance;
        return pass(acceptor_start(&server->acceptor));
}

static bool is_owing(const struct relp_worker *worker) {
        for (const struct relp_peer *p = worker->peers; p; p = p->next)
                if (p->first)
                        return true;
        return false;
}

/* A connection that is closed with something unread takes with it what its peer has not confirmed. */
static void wait_until_heard(const struct relp_worker *worker, int64_t deadline_ns) {
        enum { LOOK_AGAIN_NS = 1000000 };
        const struct timespec moment = {.tv_nsec = LOOK_AGAIN_NS};
        for (const struct relp_peer *p = worker->peers; p; p = p->next)
                while (peer_is_unheard(p) && clock_mono_ns() < deadline_ns)
                        nanosleep(&moment, NULL);
}

/* What comes to its end within a moment is still answered, so that it is not sent again after a restart. */
static void stop_worker(void *argument) {
        struct relp_worker *worker = argument;
        worker->is_stopped = true;
        intake_flush(worker->intake);
        int64_t deadline_ns = clock_mono_ns() + (int64_t)FAREWELL_MS * 1000000;
        while (is_owing(worker) && mailbox_wait(worker->mailbox, deadline_ns))
                collect(worker);
        for (struct relp_peer *p = worker->peers; p; p = p->next)
                peer_say_farewell(p);
        wait_until_heard(worker, deadline_ns);
        while (worker->peers)
                peer_end(worker->peers);
}

void relp_server_retire(void *instance) {
        struct relp_server *server = instance;
        acceptor_stop(&server->acceptor);
}

void relp_server_stop(void *instance) {
        struct relp_server *server = instance;
        relp_server_retire(server);
        for (unsigned i = 1; i < server->worker_count; i++)
                loop_post(server->workers[i].loop, stop_worker, &server->workers[i]);
        stop_worker(&server->workers[0]);
        listening_end_limit(&server->limit);
}

void relp_server_close(void *instance) {
        relp_server_free(instance);
}

struct ratelimit *relp_server_limit(void *instance) {
        struct relp_server *server = instance;
        return &server->limit.limit;
}

unsigned relp_server_sessions(void *instance) {
        struct relp_server *server = instance;
        return atomic_load(&server->sessions);
}
