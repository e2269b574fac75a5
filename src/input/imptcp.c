/*
 * imptcp: syslog over plain TCP and over unix stream sockets. The work is done by
 * the stream server; here is what users can say about it.
 */
#include <errno.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/named_limit.h"
#include "input/stream.h"

enum {
        THREADS_MAX = 64,
        READS_MAX = 500, /* that filled the buffer, before other connections get their turn */
        /* A sender decides how far its stream expands; these bound what it costs us. */
        EXPANSION_RATIO_MAX = 1024,
        INFLATED_BYTES_MAX = 64 << 20,
};

enum compression_mode { MODE_NONE, MODE_STREAM_ALWAYS };
static const char *const compression_modes[] = {"none", "stream:always", NULL};

struct imptcp_module_settings {
        int64_t threads, sessions_max;
        bool processes_on_poller;
};

struct imptcp_settings {
        char *port, *address, *path, *name, *ruleset, *default_zone, *pattern, *port_file, *rate_name;
        bool unlinks, must_change_owner;
        int64_t owner, owner_number, group, group_number, mode;
        bool takes_flow_control, discards_truncated, counts_octets, fixes_cisco_asa, is_multi_line;
        bool tells_open, tells_close, keeps_alive;
        int64_t frame_bytes_max, sessions_max, delimiter, backlog;
        int64_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
        int64_t rate_interval_s, rate_burst, rate_severity;
        int compression_mode;
};

static const struct param imptcp_module_params[] = {
        PARAM_INT(struct imptcp_module_settings, threads, .name = "threads", .legacy = "InputPTCPServerHelperThreads",
                  .dflt = "2", .min = 1, .max = THREADS_MAX, .unit = "threads",
                  .help = "Threads that read from connections, which are spread over them in turn."),
        PARAM_INT(struct imptcp_module_settings, sessions_max, .name = "maxsessions", .dflt = "0", .min = INT32_MIN,
                  .max = INT32_MAX, .unit = "connections",
                  .help = "How many connections each input holds at once, where it does not say itself; 0 or less: as "
                          "many as the open files limit allows."),
        PARAM_BOOL(struct imptcp_module_settings, processes_on_poller, .name = "processonpoller", .dflt = "on",
                   .flags = PARAM_IS_IGNORED, .help = "Without effect: every thread polls and processes."),
        {},
};

static const struct param imptcp_params[] = {
        PARAM_STRING(struct imptcp_settings, port, .name = "port", .legacy = "InputPTCPServerRun",
                     .flags = PARAM_LEGACY_CREATES,
                     .help = "The port to listen on, by number or service name; 0: any free one. Either this or path."),
        PARAM_STRING(struct imptcp_settings, address, .name = "address", .legacy = "InputPTCPServerListenIP",
                     .flags = PARAM_LEGACY_STAYS, .help = "The local address to listen on; unset or *: all."),
        PARAM_STRING(struct imptcp_settings, path, .name = "path",
                     .help = "The file name of a unix stream socket to listen on. Either this or port."),
        PARAM_BOOL(struct imptcp_settings, unlinks, .name = "unlink", .dflt = "off",
                   .help = "Remove what is in the way of the unix socket at start, and the socket at the end."),
        PARAM_BOOL(struct imptcp_settings, discards_truncated, .name = "discardtruncatedmsg", .dflt = "off",
                   .help = "What is left of a message that was too long is discarded instead of becoming the next "
                           "message."),
        PARAM_USER(struct imptcp_settings, owner, .name = "fileowner", .help = "Owner of the unix socket, by name."),
        PARAM_INT(struct imptcp_settings, owner_number, .name = "fileownernum", .dflt = "-1", .min = -1,
                  .max = UINT32_MAX, .help = "Owner of the unix socket, by number; -1: as it is."),
        PARAM_GROUP(struct imptcp_settings, group, .name = "filegroup", .help = "Group of the unix socket, by name."),
        PARAM_INT(struct imptcp_settings, group_number, .name = "filegroupnum", .dflt = "-1", .min = -1,
                  .max = UINT32_MAX, .help = "Group of the unix socket, by number; -1: as it is."),
        PARAM_MODE(struct imptcp_settings, mode, .name = "filecreatemode", .dflt = "0644",
                   .help = "Access mode of the unix socket."),
        PARAM_BOOL(struct imptcp_settings, must_change_owner, .name = "failonchownfailure", .dflt = "on",
                   .help = "Do not listen when owner, group or mode of the unix socket cannot be set."),
        PARAM_BOOL(struct imptcp_settings, takes_flow_control, .name = "flowcontrol", .dflt = "on",
                   .help = "Stop reading while the queue is nearly full, so that senders wait instead of messages "
                           "being lost."),
        PARAM_STRING(struct imptcp_settings, name, .name = "name", .legacy = "InputPTCPServerInputName",
                     .dflt = "imptcp", .flags = PARAM_LEGACY_STAYS, .help = "What the property inputname shows."),
        PARAM_INT(struct imptcp_settings, frame_bytes_max, .name = "maxframesize", .dflt = "200000", .min = 0,
                  .max = FRAME_BYTES_MAX, .unit = "bytes",
                  .help = "The largest octet count that is believed; a larger one is taken as text."),
        PARAM_STRING(struct imptcp_settings, pattern, .name = "framing.delimiter.regex", .dflt = "off",
                     .help = "A regular expression (POSIX, extended) that the first line of each message matches; then "
                             "messages may have several lines, and the last ends only when the next begins."),
        PARAM_RULESET(struct imptcp_settings, ruleset, .name = "ruleset", .legacy = "InputPTCPServerBindRuleset",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The ruleset that gets the messages; unset: the default one."),
        PARAM_STRING(struct imptcp_settings, default_zone, .name = "defaulttz",
                     .help = "The offset, as +01:00, of times that name none."),
        PARAM_BOOL(struct imptcp_settings, counts_octets, .name = "supportoctetcountedframing",
                   .legacy = "InputPTCPServerSupportOctetCountedFraming", .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "A frame that begins with a digit begins with its length (RFC 6587). Off: only delimiters "
                           "end messages."),
        PARAM_BOOL(struct imptcp_settings, fixes_cisco_asa, .name = "framingfix.cisco.asa", .dflt = "off",
                   .help = "Pass over blanks between frames, which Cisco ASA sends at times."),
        PARAM_INT(
                struct imptcp_settings, sessions_max, .name = "maxsessions", .dflt = "0", .min = INT32_MIN,
                .max = INT32_MAX, .unit = "connections", .flags = PARAM_INHERITS,
                .help = "How many connections the input holds at once; more are closed at once. 0 or less: as many as "
                        "the open files limit allows."),
        PARAM_BOOL(struct imptcp_settings, tells_close, .name = "notifyonconnectionclose",
                   .legacy = "InputPTCPServerNotifyOnConnectionClose", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Log a message whenever a connection ends."),
        PARAM_BOOL(struct imptcp_settings, tells_open, .name = "notifyonconnectionopen", .dflt = "off",
                   .help = "Log a message whenever a connection begins."),
        PARAM_CHOICE(struct imptcp_settings, compression_mode, .name = "compression.mode", .dflt = "none",
                     .choices = compression_modes,
                     .help = "stream:always: senders compress the whole connection, as omfwd's mode of that name."),
        PARAM_BOOL(struct imptcp_settings, keeps_alive, .name = "keepalive", .legacy = "InputPTCPServerKeepAlive",
                   .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Let the kernel probe silent connections, so that dead ones are noticed."),
        PARAM_INT(struct imptcp_settings, keepalive_probes, .name = "keepalive.probes",
                  .legacy = "InputPTCPServerKeepAlive_probes", .dflt = "0", .min = 0, .max = 127, .unit = "probes",
                  .flags = PARAM_LEGACY_STAYS,
                  .help = "Unanswered probes after which a connection is dead; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, keepalive_time_s, .name = "keepalive.time",
                  .legacy = "InputPTCPServerKeepAlive_time", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Silence before the first probe; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, keepalive_interval_s, .name = "keepalive.interval",
                  .legacy = "InputPTCPServerKeepAlive_intvl", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Time between probes; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, delimiter, .name = "addtlframedelimiter",
                  .legacy = "InputPTCPServerAddtlFrameDelimiter", .dflt = "-1", .min = -1, .max = 255,
                  .flags = PARAM_LEGACY_STAYS, .help = "The number of another byte that ends a message; -1: none."),
        PARAM_INT(struct imptcp_settings, rate_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(struct imptcp_settings, rate_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages that pass within one window."),
        LIMIT_SEVERITY(struct imptcp_settings, rate_severity),
        PARAM_STRING(struct imptcp_settings, rate_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_BOOL(struct imptcp_settings, is_multi_line, .name = "multiline", .dflt = "off",
                   .help = "A line feed ends a message only where '<' follows, or nothing."),
        PARAM_STRING(struct imptcp_settings, port_file, .name = "listenportfilename",
                     .help = "A file that the number of the port is written to."),
        PARAM_INT(struct imptcp_settings, backlog, .name = "socketbacklog", .dflt = "64", .min = 0, .max = INT32_MAX,
                  .unit = "connections", .help = "Connections that may wait to be accepted."),
        {},
};

static bool is_set(const char *string) {
        return string && *string;
}

static int check_place(const struct imptcp_settings *settings, struct module_log *log) {
        if (is_set(settings->port) != is_set(settings->path))
                return is_set(settings->port) ? listening_check_port(settings->port, "TCP", log) : 0;
        module_report(log, SEVERITY_ERR, 0, "imptcp: Must have either port or path defined%s",
                      is_set(settings->port) ? ", not both" : "");
        return fail(-EINVAL);
}

static int imptcp_check(const void *own, const void *module_settings _unused_, struct module_log *log) {
        const struct imptcp_settings *settings = own;
        if (!settings)
                return 0;
        int place = check_place(settings, log);
        int pattern = stream_check_pattern(settings->pattern, "imptcp", log);
        return place || pattern ? fail(-EINVAL) : 0;
}

static void tell_closed(struct module_log *log, uint32_t session, const char *peer) {
        module_report(log, SEVERITY_ERR, CODE_SESSION_CLOSED, "imptcp session %u closed by remote peer %s.", session,
                      peer);
}

static unsigned imptcp_threads(const void *module_settings) {
        return (unsigned)((const struct imptcp_module_settings *)module_settings)->threads;
}

static struct stream_options options_of(const struct imptcp_settings *settings) {
        return (struct stream_options){
                .module = "imptcp",
                .name = settings->name,
                .default_zone = settings->default_zone,
                .pattern = settings->pattern,
                .framing_prefix = "",
                .port_file = settings->port_file,
                .has_parts = true,
                .rules =
                        {
                                .frame_bytes_max = (uint32_t)settings->frame_bytes_max,
                                .delimiter = (int16_t)settings->delimiter,
                                .ends_at_lf = true,
                                .counts_octets = settings->counts_octets,
                                .discards_truncated = settings->discards_truncated,
                                .truncates_counted = true,
                                .skips_blanks = settings->fixes_cisco_asa,
                                .multi_line = settings->is_multi_line,
                        },
                .keepalive =
                        {
                                .is_on = settings->keeps_alive,
                                .probes = settings->keepalive_probes,
                                .time_s = settings->keepalive_time_s,
                                .interval_s = settings->keepalive_interval_s,
                        },
                .limit = {.interval_s = settings->rate_interval_s,
                          .burst = settings->rate_burst,
                          .severity_min = (uint8_t)settings->rate_severity},
                .inflation =
                        {
                                .kind = settings->compression_mode == MODE_NONE ? COMPRESSION_NONE : COMPRESSION_ZLIB,
                                .ratio_max = EXPANSION_RATIO_MAX,
                                .bytes_max_per_receive = INFLATED_BYTES_MAX,
                        },
                .sessions_max = settings->sessions_max,
                .reads_max = READS_MAX,
                .flow = settings->takes_flow_control ? FLOW_FULL : FLOW_NONE,
                .preserves_case = true,
                .tells_open = settings->tells_open,
                .tells_close = settings->tells_close,
                .tells_split = true,
                .tell_closed = tell_closed,
        };
}

static int listen_unix(struct stream_server *server, const struct imptcp_settings *settings) {
        struct unix_place place = {
                .path = settings->path,
                .unlinks = settings->unlinks,
                .backlog = (int)settings->backlog,
                .mode = (mode_t)settings->mode,
                .owner = settings->owner >= 0 ? settings->owner : settings->owner_number,
                .group = settings->group >= 0 ? settings->group : settings->group_number,
                .must_change_owner = settings->must_change_owner,
        };
        return stream_listen_unix(server, &place, settings->unlinks);
}

static int listen_tcp(struct stream_server *server, const struct imptcp_settings *settings,
                      const struct host_facts *facts) {
        struct socket_place place = {
                .family = facts->ip_family,
                .address = settings->address,
                .port = settings->port,
                .backlog = (int)settings->backlog,
        };
        return stream_listen_tcp(server, &place);
}

static int imptcp_open(void **ret, const struct input_host *host, const void *own) {
        const struct imptcp_settings *settings = own;
        struct stream_options options = options_of(settings);
        limit_by_name(&options.limit, host, settings->rate_name, "imptcp");
        _owned_(stream_free) struct stream_server *server = NULL;
        int r = stream_new(&server, host, &options);
        if (r)
                return pass(r);
        r = is_set(settings->path) ? listen_unix(server, settings) : listen_tcp(server, settings, host->facts);
        if (r)
                return pass(r);
        *ret = TAKE(server);
        return 0;
}

static int imptcp_start(void *instance) {
        return stream_start(instance);
}

static void imptcp_stop(void *instance) {
        stream_stop(instance);
}

static void imptcp_close(void *instance) {
        stream_free(instance);
}

static struct ratelimit *imptcp_limit(void *instance) {
        return &((struct stream_server *)instance)->limit.limit;
}

static void imptcp_retire(void *instance) {
        stream_retire(instance);
}

static unsigned imptcp_sessions(void *instance) {
        return atomic_load(&((struct stream_server *)instance)->sessions);
}

static void name_place(struct buffer *name, const struct imptcp_settings *s, bool is_six) {
        buffer_format(name, "%s(%s/%s/%s)", s->name, s->address ? s->address : "*", s->port ? s->port : "",
                      is_six ? "IPv6" : "IPv4");
}

static const struct counter *imptcp_part(void *instance, const void *settings, size_t at, struct buffer *name) {
        const struct stream_server *server = instance;
        if (at >= server->part_count)
                return NULL;
        name_place(name, settings, server->parts[at].family == AF_INET6);
        return server->parts[at].counters;
}

static void imptcp_statistic(struct buffer *name, const void *own, const void *module_settings _unused_) {
        const struct imptcp_settings *s = own;
        if (s->path)
                buffer_format(name, "%s(*/%s/IPv4)", s->name, s->path);
        else
                name_place(name, s, s->address && strchr(s->address, ':'));
}

static const struct input_ops imptcp_ops = {
        .statistic = imptcp_statistic,
        .part = imptcp_part,
        .threads = imptcp_threads,
        .open = imptcp_open,
        .start = imptcp_start,
        .stop = imptcp_stop,
        .close = imptcp_close,
        .limit = imptcp_limit,
        .retire = imptcp_retire,
        .sessions = imptcp_sessions,
};

const struct module imptcp_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imptcp",
        .help = "Receives syslog over plain TCP and unix stream sockets.",
        .module_settings = SETTINGS(struct imptcp_module_settings, imptcp_module_params),
        .settings = SETTINGS(struct imptcp_settings, imptcp_params),
        .counters = stream_counters,
        .check = imptcp_check,
        .input = &imptcp_ops,
};
