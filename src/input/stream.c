#include "input/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/connection.h"
#include "module/netstream.h"

const struct counter_def stream_counters[] = {
        [STREAM_SUBMITTED] = {"submitted", "Messages handed to the ruleset."},
        [STREAM_OPENED] = {"sessions.opened", "Connections accepted."},
        [STREAM_OPEN_FAILED] = {"sessions.openfailed", "Connections that could not be accepted, or were one too many."},
        [STREAM_CLOSED] = {"sessions.closed", "Connections that ended."},
        [STREAM_BYTES] = {"bytes.received", "Bytes received."},
        [STREAM_INFLATED] = {"bytes.decompressed", "Bytes after decompression, where streams are compressed."},
        [STREAM_DISALLOWED] = {"disallowed", "Connections refused because the sender is not allowed."},
        [STREAM_RATE_LIMITED] = {"discarded.ratelimit", "Messages discarded by the rate limit."},
        [STREAM_BROKEN_FRAMES] = {"frames.broken", "Frames with a bad octet count, too large, or without an end."},
        [STREAM_LOST] = {"lost", "Messages lost for lack of memory."},
        {},
};

/* ---- Making one ---- */

static bool is_pattern(const char *pattern) {
        return pattern && *pattern && strcmp(pattern, "off") != 0;
}

static int compile_pattern(regex_t *ret, const char *pattern, const char *module, struct module_log *log) {
        int r = regcomp(ret, pattern, REG_EXTENDED | REG_NOSUB);
        if (r == 0)
                return 0;
        char why[128];
        regerror(r, ret, why, sizeof why);
        module_report_param(log, SEVERITY_ERR, "framing.delimiter.regex",
                            "%s: error in framing.delimiter.regex expansion: %s", module, why);
        return fail(-EINVAL);
}

int stream_check_pattern(const char *pattern, const char *module, struct module_log *log) {
        if (!is_pattern(pattern))
                return 0;
        regex_t compiled;
        int r = compile_pattern(&compiled, pattern, module, log);
        if (r)
                return pass(r);
        regfree(&compiled);
        return 0;
}

static char *copy(const char *string) {
        return text_copy(text_of(string ? string : ""));
}

/* Everything that the options lend is owned from here on. */
static int keep_texts(struct stream_server *server, const struct host_facts *facts) {
        struct stream_options *o = &server->options;
        server->name = copy(o->name);
        server->default_zone = copy(o->default_zone);
        server->framing_prefix = copy(o->framing_prefix);
        server->module_and_port = copy(o->module);
        server->local_name = copy(facts->host_name);
        if (!server->name || !server->default_zone || !server->framing_prefix || !server->module_and_port ||
            !server->local_name)
                return fail(-ENOMEM);
        o->name = server->name;
        o->default_zone = server->default_zone;
        o->framing_prefix = server->framing_prefix;
        return 0;
}

static int make_workers(struct stream_server *server, const struct input_host *host) {
        server->worker_count = server->options.limit.interval_s > 0 ? 1 : host->loops;
        server->workers = calloc(server->worker_count, sizeof *server->workers);
        if (!server->workers)
                return fail(-ENOMEM);
        for (unsigned i = 0; i < server->worker_count; i++) {
                server->workers[i] = (struct stream_worker){
                        .server = server,
                        .loop = host->loop[i],
                        .intake = host->intake[i],
                };
                host->intake[i]->flow = server->options.flow;
        }
        return 0;
}

static void begin_session(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer, socklen_t size);

static void count_failed(struct acceptor *acceptor, int family) {
        struct stream_server *server = CONTAINER_OF(acceptor, struct stream_server, acceptor);
        stream_count(server, stream_part(server, family), STREAM_OPEN_FAILED, 1);
}

struct stream_options stream_options_of(const struct stream_settings *settings, const char *module) {
        return (struct stream_options){
                .module = module,
                .name = settings->name,
                .default_zone = settings->default_zone,
                .pattern = settings->pattern,
                .port_file = settings->port_file,
                .rules = {.frame_bytes_max = (uint32_t)settings->frame_bytes_max,
                          .delimiter = (int16_t)settings->delimiter,
                          .counts_octets = settings->counts_octets,
                          .discards_truncated = settings->discards_truncated,
                          .skips_blanks = settings->fixes_cisco_asa,
                          .multi_line = settings->is_multi_line},
                .keepalive = {.is_on = settings->keeps_alive,
                              .probes = settings->keepalive_probes,
                              .time_s = settings->keepalive_time_s,
                              .interval_s = settings->keepalive_interval_s},
                .limit = {.interval_s = settings->rate_interval_s,
                          .burst = settings->rate_burst,
                          .severity_min = (uint8_t)settings->rate_severity},
                .sessions_max = settings->sessions_max,
                .flow = settings->takes_flow_control ? FLOW_FULL : FLOW_NONE,
                .tells_open = settings->tells_open,
                .tells_close = settings->tells_close,
        };
}

int stream_new(struct stream_server **ret, const struct input_host *host, const struct stream_options *options) {
        _owned_(stream_free) struct stream_server *server = calloc(1, sizeof *server);
        if (!server)
                return fail(-ENOMEM);
        server->options = *options;
        server->log = host->log;
        server->counters = host->counters;
        struct framing_rules *rules = &server->options.rules;
        rules->message_bytes_max =
                (uint32_t)MIN(MAX(host->facts->message_bytes_max, (int64_t)1), (int64_t)FRAME_BYTES_MAX / 2);
        int r = keep_texts(server, host->facts);
        if (r)
                return pass(r);
        if (is_pattern(options->pattern)) {
                r = compile_pattern(&server->pattern, options->pattern, options->module, host->log);
                if (r)
                        return pass(r);
                server->has_pattern = true;
                rules->pattern = &server->pattern;
        }
        r = listening_allow(&server->welcome, options->module, options->senders, host->facts->allowed_tcp, "TCP",
                            host->log);
        if (r)
                return pass(r);
        r = make_workers(server, host);
        if (r)
                return pass(r);
        server->acceptor = (struct acceptor){
                .accepted = begin_session,
                .failed = count_failed,
                .loop = host->loop[0],
                .who = options->module,
                .log = host->log,
        };
        *ret = TAKE(server);
        return 0;
}

struct stream_server *stream_free(struct stream_server *server) {
        if (!server)
                return NULL;
        for (unsigned i = 0; server->workers && i < server->worker_count; i++) {
                while (server->workers[i].connections)
                        connection_free(server->workers[i].connections);
                free(server->workers[i].scratch);
        }
        acceptor_fini(&server->acceptor);
        if (server->unix_path && server->unlinks_at_end)
                socket_unlink(server->unix_path);
        if (server->has_pattern)
                regfree(&server->pattern);
        welcome_fini(&server->welcome);
        tls_context_free(server->tls);
        free(server->workers);
        free(server->name);
        free(server->module_and_port);
        free(server->default_zone);
        free(server->framing_prefix);
        free(server->unix_path);
        free(server->local_name);
        free(server);
        return NULL;
}

void stream_secure(struct stream_server *server, struct tls_context *tls) {
        server->tls = tls;
}

/* ---- Listening ---- */

/* One for each family, in the order of the sockets. */
static void make_parts(struct stream_server *server, const struct socket_set *set) {
        for (size_t i = 0; server->options.has_parts && i < set->count; i++) {
                int family = socket_family(set->fd[i]);
                if (!stream_part(server, family) && server->part_count < STREAM_PARTS_MAX)
                        server->parts[server->part_count++].family = family;
        }
}

struct stream_part *stream_part(struct stream_server *server, int family) {
        for (size_t i = 0; i < server->part_count; i++)
                if (server->parts[i].family == family)
                        return &server->parts[i];
        return NULL;
}

/* "imptcp[514]": how reports about the rate call this input. */
static int name_limit(struct stream_server *server, const char *place) {
        _owned_(buffer_fini) struct buffer name = {0};
        buffer_format(&name, "%s[%s]", server->options.module, place);
        char *string = buffer_failed(&name) ? NULL : text_copy(buffer_as_text(&name));
        if (!string)
                return fail(-ENOMEM);
        free(server->module_and_port);
        server->module_and_port = string;
        server->limit = (struct listening_limit){
                .limit = server->options.limit,
                .name = string,
                .log = server->log,
        };
        return 0;
}

int stream_listen_tcp(struct stream_server *server, const struct socket_place *place) {
        _owned_(socket_set_fini) struct socket_set set = {0};
        int r = listening_open(&set, place, "tcp", server->log);
        if (r)
                return pass(r);
        r = name_limit(server, place->port);
        if (r)
                return pass(r);
        r = listening_write_port(server->options.module, server->options.port_file, set.port, server->log);
        if (r)
                return pass(r);
        make_parts(server, &set);
        acceptor_add_set(&server->acceptor, &set);
        return 0;
}

int stream_listen_unix(struct stream_server *server, const struct unix_place *place, bool unlinks_at_end) {
        int fd = -1;
        int r = socket_listen_unix(&fd, place);
        if (r) {
                module_report(server->log, SEVERITY_ERR, CODE_NO_LISTENER,
                              "%s: error while binding unix socket '%s': %s", server->options.module, place->path,
                              fail_text(r));
                return pass(r);
        }
        acceptor_add(&server->acceptor, fd);
        server->unix_path = copy(place->path);
        server->unlinks_at_end = unlinks_at_end;
        if (!server->unix_path)
                return fail(-ENOMEM);
        return name_limit(server, place->path);
}

/* ---- Accepting ---- */

static struct source *find_source(struct stream_server *server, const struct sockaddr_storage *peer, socklen_t size) {
        if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6)
                return listening_source(server->name, (const struct sockaddr *)peer, size, server->default_zone,
                                        server->options.preserves_case);
        struct source *source = source_new_local(server->name, server->local_name, NULL);
        if (source && *server->default_zone) {
                source->default_zone = copy(server->default_zone);
                if (!source->default_zone)
                        return source_unref(source);
        }
        return source;
}

static struct source *make_source(struct stream_server *server, const struct sockaddr_storage *peer, socklen_t size) {
        struct source *source = find_source(server, peer, size);
        if (source)
                source->origin = server;
        return source;
}

static bool is_welcome(struct stream_server *server, struct stream_part *part, struct source *source) {
        if (!listening_admits(&server->welcome, source)) {
                module_report(server->log, SEVERITY_ERR, CODE_DISALLOWED,
                              "connection request from disallowed sender %s discarded", listening_sender_name(source));
                stream_count(server, part, STREAM_DISALLOWED, 1);
                return false;
        }
        int64_t sessions_max = server->options.sessions_max;
        if (sessions_max > 0 && atomic_load_explicit(&server->sessions, memory_order_relaxed) >= sessions_max) {
                module_report(server->log, SEVERITY_ERR, CODE_TOO_MANY_SESSIONS,
                              "too many tcp sessions - dropping incoming request");
                stream_count(server, part, STREAM_OPEN_FAILED, 1);
                return false;
        }
        return true;
}

static void adopt(void *argument) {
        struct connection *c = argument;
        if (c->worker->is_stopped)
                connection_end(c);
        else
                connection_start(c);
}

/* Hands the connection to the worker whose turn it is. */
static void place_connection(struct stream_server *server, struct connection *c) {
        if (c->worker == &server->workers[0])
                connection_start(c);
        else if (loop_post(c->worker->loop, adopt, c)) {
                stream_count(server, c->apart, STREAM_OPEN_FAILED, 1);
                atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
                connection_free(c);
        }
}

/* Without certificates there is no session; said once, as they may try it often. */
static void tell_unready(struct stream_server *server, const struct source *source) {
        if (!server->was_unready_told)
                module_report(server->log, SEVERITY_ERR, CODE_TLS,
                              "%s: TLS connections as that of %s are refused, because our own certificates could not "
                              "be read; put them right and send HUP",
                              server->options.module, listening_sender_name(source));
        server->was_unready_told = true;
}

/* Takes fd. */
static void begin_session(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer, socklen_t size) {
        struct stream_server *server = CONTAINER_OF(acceptor, struct stream_server, acceptor);
        _owned_(descriptor_close) int owned_fd = fd;
        struct stream_part *part = stream_part(server, peer->ss_family);
        _owned_(source_unref) struct source *source = make_source(server, peer, size);
        if (!source) {
                stream_count(server, part, STREAM_OPEN_FAILED, 1);
                return;
        }
        if (!is_welcome(server, part, source))
                return;
        if (peer->ss_family != AF_UNIX && socket_keepalive(fd, &server->options.keepalive))
                module_report(server->log, SEVERITY_WARNING, 0, "%s: keep-alive could not be set for %s - ignored",
                              server->options.module, source->address);
        struct stream_worker *worker = &server->workers[server->next_worker++ % server->worker_count];
        struct connection *c;
        int r = connection_new(&c, worker, fd, source, ++server->last_session);
        if (r) {
                if (r == -ENOKEY)
                        tell_unready(server, source);
                stream_count(server, part, STREAM_OPEN_FAILED, 1);
                return;
        }
        owned_fd = -1;
        c->apart = part;
        if (server->options.tells_open)
                module_report(server->log, SEVERITY_INFO, 0, "%s: connection established with host: %s",
                              server->options.module, listening_sender_name(source));
        TAKE(source);
        stream_count(server, part, STREAM_OPENED, 1);
        atomic_fetch_add_explicit(&server->sessions, 1, memory_order_relaxed);
        place_connection(server, c);
}

/* ---- Start and stop ---- */

int stream_start(void *instance) {
        struct stream_server *server = instance;
        return pass(acceptor_start(&server->acceptor));
}

void stream_reopen(void *instance) {
        struct stream_server *server = instance;
        if (!server->tls)
                return;
        netstream_reload(server->tls, server->options.module, server->log);
        server->was_unready_told = false;
}

static void stop_worker(void *argument) {
        struct stream_worker *worker = argument;
        worker->is_stopped = true;
        while (worker->connections)
                connection_end(worker->connections);
}

void stream_retire(void *instance) {
        struct stream_server *server = instance;
        acceptor_stop(&server->acceptor);
        server->unlinks_at_end = false;
}

void stream_stop(void *instance) {
        struct stream_server *server = instance;
        acceptor_stop(&server->acceptor);
        stop_worker(&server->workers[0]);
        for (unsigned i = 1; i < server->worker_count; i++)
                loop_post(server->workers[i].loop, stop_worker, &server->workers[i]);
        listening_end_limit(&server->limit);
}

void stream_close(void *instance) {
        stream_free(instance);
}

struct ratelimit *stream_limit(void *instance) {
        struct stream_server *server = instance;
        return &server->limit.limit;
}

unsigned stream_sessions(void *instance) {
        struct stream_server *server = instance;
        return atomic_load(&server->sessions);
}
