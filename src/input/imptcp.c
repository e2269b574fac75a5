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
        struct stream_settings stream;
        char *path, *ruleset;
        bool unlinks, must_change_owner;
        int64_t owner, owner_number, group, group_number, mode, backlog;
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
        PARAM_STRING(struct imptcp_settings, stream.port, .name = "port", .legacy = "InputPTCPServerRun",
                     .flags = PARAM_LEGACY_CREATES,
                     .help = "The port to listen on, by number or service name; 0: any free one. Either this or path."),
        PARAM_STRING(struct imptcp_settings, stream.address, .name = "address", .legacy = "InputPTCPServerListenIP",
                     .flags = PARAM_LEGACY_STAYS, .help = "The local address to listen on; unset or *: all."),
        PARAM_STRING(struct imptcp_settings, path, .name = "path",
                     .help = "The file name of a unix stream socket to listen on. Either this or port."),
        PARAM_BOOL(struct imptcp_settings, unlinks, .name = "unlink", .dflt = "off",
                   .help = "Remove what is in the way of the unix socket at start, and the socket at the end."),
        PARAM_BOOL(struct imptcp_settings, stream.discards_truncated, .name = "discardtruncatedmsg", .dflt = "off",
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
        PARAM_BOOL(struct imptcp_settings, stream.takes_flow_control, .name = "flowcontrol", .dflt = "on",
                   .help = "Stop reading while the queue is nearly full, so that senders wait instead of messages "
                           "being lost."),
        PARAM_STRING(struct imptcp_settings, stream.name, .name = "name", .legacy = "InputPTCPServerInputName",
                     .dflt = "imptcp", .flags = PARAM_LEGACY_STAYS, .help = "What the property inputname shows."),
        PARAM_INT(struct imptcp_settings, stream.frame_bytes_max, .name = "maxframesize", .dflt = "200000", .min = 0,
                  .max = FRAME_BYTES_MAX, .unit = "bytes",
                  .help = "The largest octet count that is believed; a larger one is taken as text."),
        PARAM_STRING(struct imptcp_settings, stream.pattern, .name = "framing.delimiter.regex", .dflt = "off",
                     .help = "A regular expression (POSIX, extended) that the first line of each message matches; then "
                             "messages may have several lines, and the last ends only when the next begins."),
        PARAM_RULESET(struct imptcp_settings, ruleset, .name = "ruleset", .legacy = "InputPTCPServerBindRuleset",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The ruleset that gets the messages; unset: the default one."),
        PARAM_STRING(struct imptcp_settings, stream.default_zone, .name = "defaulttz",
                     .help = "The offset, as +01:00, of times that name none."),
        PARAM_BOOL(struct imptcp_settings, stream.counts_octets, .name = "supportoctetcountedframing",
                   .legacy = "InputPTCPServerSupportOctetCountedFraming", .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "A frame that begins with a digit begins with its length (RFC 6587). Off: only delimiters "
                           "end messages."),
        PARAM_BOOL(struct imptcp_settings, stream.fixes_cisco_asa, .name = "framingfix.cisco.asa", .dflt = "off",
                   .help = "Pass over blanks between frames, which Cisco ASA sends at times."),
        PARAM_INT(
                struct imptcp_settings, stream.sessions_max, .name = "maxsessions", .dflt = "0", .min = INT32_MIN,
                .max = INT32_MAX, .unit = "connections", .flags = PARAM_INHERITS,
                .help = "How many connections the input holds at once; more are closed at once. 0 or less: as many as "
                        "the open files limit allows."),
        PARAM_BOOL(struct imptcp_settings, stream.tells_close, .name = "notifyonconnectionclose",
                   .legacy = "InputPTCPServerNotifyOnConnectionClose", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Log a message whenever a connection ends."),
        PARAM_BOOL(struct imptcp_settings, stream.tells_open, .name = "notifyonconnectionopen", .dflt = "off",
                   .help = "Log a message whenever a connection begins."),
        PARAM_CHOICE(struct imptcp_settings, compression_mode, .name = "compression.mode", .dflt = "none",
                     .choices = compression_modes,
                     .help = "stream:always: senders compress the whole connection, as omfwd's mode of that name."),
        PARAM_BOOL(struct imptcp_settings, stream.keeps_alive, .name = "keepalive",
                   .legacy = "InputPTCPServerKeepAlive", .dflt = "off", .flags = PARAM_LEGACY_STAYS,
                   .help = "Let the kernel probe silent connections, so that dead ones are noticed."),
        PARAM_INT(struct imptcp_settings, stream.keepalive_probes, .name = "keepalive.probes",
                  .legacy = "InputPTCPServerKeepAlive_probes", .dflt = "0", .min = 0, .max = 127, .unit = "probes",
                  .flags = PARAM_LEGACY_STAYS,
                  .help = "Unanswered probes after which a connection is dead; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, stream.keepalive_time_s, .name = "keepalive.time",
                  .legacy = "InputPTCPServerKeepAlive_time", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Silence before the first probe; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, stream.keepalive_interval_s, .name = "keepalive.interval",
                  .legacy = "InputPTCPServerKeepAlive_intvl", .dflt = "0", .min = 0, .max = 32767, .unit = "seconds",
                  .flags = PARAM_LEGACY_STAYS, .help = "Time between probes; 0: the system's default."),
        PARAM_INT(struct imptcp_settings, stream.delimiter, .name = "addtlframedelimiter",
                  .legacy = "InputPTCPServerAddtlFrameDelimiter", .dflt = "-1", .min = -1, .max = 255,
                  .flags = PARAM_LEGACY_STAYS, .help = "The number of another byte that ends a message; -1: none."),
        PARAM_INT(struct imptcp_settings, stream.rate_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(struct imptcp_settings, stream.rate_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages that pass within one window."),
        LIMIT_SEVERITY(struct imptcp_settings, stream.rate_severity),
        PARAM_STRING(struct imptcp_settings, stream.rate_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_BOOL(struct imptcp_settings, stream.is_multi_line, .name = "multiline", .dflt = "off",
                   .help = "A line feed ends a message only where '<' follows, or nothing."),
        PARAM_STRING(struct imptcp_settings, stream.port_file, .name = "listenportfilename",
                     .help = "A file that the number of the port is written to."),
        PARAM_INT(struct imptcp_settings, backlog, .name = "socketbacklog", .dflt = "64", .min = 0, .max = INT32_MAX,
                  .unit = "connections", .help = "Connections that may wait to be accepted."),
        {},
};

static bool is_set(const char *string) {
        return string && *string;
}

static int check_place(const struct imptcp_settings *settings, struct module_log *log) {
        if (is_set(settings->stream.port) != is_set(settings->path))
                return is_set(settings->stream.port) ? listening_check_port(settings->stream.port, "TCP", log) : 0;
        module_report(log, SEVERITY_ERR, 0, "imptcp: Must have either port or path defined%s",
                      is_set(settings->stream.port) ? ", not both" : "");
        return fail(-EINVAL);
}

static int imptcp_check(const void *own, const void *module_settings _unused_, struct module_log *log) {
        const struct imptcp_settings *settings = own;
        if (!settings)
                return 0;
        int place = check_place(settings, log);
        int pattern = stream_check_pattern(settings->stream.pattern, "imptcp", log);
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
        struct stream_options options = stream_options_of(&settings->stream, "imptcp");
        options.framing_prefix = "";
        options.has_parts = true;
        options.rules.ends_at_lf = true;
        options.rules.truncates_counted = true;
        options.inflation = (struct inflation_options){
                .kind = settings->compression_mode == MODE_NONE ? COMPRESSION_NONE : COMPRESSION_ZLIB,
                .ratio_max = EXPANSION_RATIO_MAX,
                .bytes_max_per_receive = INFLATED_BYTES_MAX,
        };
        options.reads_max = READS_MAX;
        options.preserves_case = true;
        options.tells_split = true;
        options.tell_closed = tell_closed;
        return options;
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
                .address = settings->stream.address,
                .port = settings->stream.port,
                .backlog = (int)settings->backlog,
        };
        return stream_listen_tcp(server, &place);
}

static int imptcp_open(void **ret, const struct input_host *host, const void *own) {
        const struct imptcp_settings *settings = own;
        struct stream_options options = options_of(settings);
        limit_by_name(&options.limit, host, settings->stream.rate_name, "imptcp");
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

static void name_place(struct buffer *name, const struct imptcp_settings *s, bool is_six) {
        buffer_format(name, "%s(%s/%s/%s)", s->stream.name, s->stream.address ? s->stream.address : "*",
                      s->stream.port ? s->stream.port : "", is_six ? "IPv6" : "IPv4");
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
                buffer_format(name, "%s(*/%s/IPv4)", s->stream.name, s->path);
        else
                name_place(name, s, s->stream.address && strchr(s->stream.address, ':'));
}

static const struct input_ops imptcp_ops = {
        STREAM_OPS, .statistic = imptcp_statistic, .part = imptcp_part, .threads = imptcp_threads, .open = imptcp_open,
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
