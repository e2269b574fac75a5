/*
 * imtcp: syslog over TCP. The work is done by the stream server; here is what
 * users can say about it. Each parameter of the module stands in for that of an
 * input that does not set it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "base/reporter.h"
#include "input/named_limit.h"
#include "input/stream.h"
#include "module/netstream.h"

enum { THREADS_MAX = 64, BACKLOG_MIN = 1024 };

enum compression_mode { MODE_NONE, MODE_STREAM_ALWAYS };
static const char *const compression_modes[] = {"none", "stream:always", NULL};

enum compression_driver { DRIVER_ZLIB, DRIVER_ZSTD };
static const char *const compression_drivers[] = {"zlib", "zstd", NULL};

/* Of module(load="imtcp") and of input(type="imtcp") alike. */
struct imtcp_settings {
        struct stream_settings stream;
        int64_t threads;
        bool disables_lf, preserves_case;
        int64_t listeners_max, reads_max, backlog;
        char *ruleset, *network_namespace;
        struct strings senders;
        int compression_mode, compression_driver;
        int64_t expansion_ratio_max, inflated_bytes_max, zstd_window_bytes;
        int64_t tls_mode, tls_verify_depth;
        char *tls_auth_mode, *tls_expired_certs, *tls_driver, *tls_ca_file, *tls_crl_file, *tls_key_file,
                *tls_cert_file, *tls_priority;
        bool tls_checks_purpose, tls_prioritizes_san, tls_checks_revocation;
        struct strings tls_peers;
};

#define HERE(name)  name
#define THERE(name) NULL

/* What can be said of the module and of an input. Legacy directives set it for the module. */
#define SHARED_PARAMS(extra, legacy_name)                                                                              \
        PARAM_BOOL(struct imtcp_settings, stream.takes_flow_control, .name = "flowcontrol",                            \
                   .legacy = legacy_name("InputTCPFlowControl"), .dflt = "on", .flags = (extra),                       \
                   .help = "Stop reading while the queue is nearly full, so that senders wait instead of messages "    \
                           "being lost."),                                                                             \
                PARAM_BOOL(struct imtcp_settings, disables_lf, .name = "disablelfdelimiter",                           \
                           .legacy = legacy_name("InputTCPServerDisableLFDelimiter"), .dflt = "off", .flags = (extra), \
                           .help = "A line feed is an ordinary byte; only addtlFrameDelimiter ends a message."),       \
                PARAM_BOOL(struct imtcp_settings, stream.discards_truncated, .name = "discardtruncatedmsg",            \
                           .dflt = "off", .flags = (extra),                                                            \
                           .help = "What is left of a message that was too long is discarded instead of becoming the " \
                                   "next "                                                                             \
                                   "message."),                                                                        \
                PARAM_BOOL(struct imtcp_settings, stream.tells_close, .name = "notifyonconnectionclose",               \
                           .legacy = legacy_name("InputTCPServerNotifyOnConnectionClose"), .dflt = "off",              \
                           .flags = (extra), .help = "Log a message whenever a connection ends."),                     \
                PARAM_BOOL(struct imtcp_settings, stream.tells_open, .name = "notifyonconnectionopen", .dflt = "off",  \
                           .flags = (extra), .help = "Log a message whenever a connection begins."),                   \
                PARAM_INT(struct imtcp_settings, stream.delimiter, .name = "addtlframedelimiter",                      \
                          .legacy = legacy_name("InputTCPServerAddtlFrameDelimiter"), .dflt = "-1", .min = -1,         \
                          .max = 255, .flags = (extra),                                                                \
                          .help = "The number of another byte that ends a message; -1: none."),                        \
                PARAM_INT(struct imtcp_settings, stream.frame_bytes_max, .name = "maxframesize", .dflt = "200000",     \
                          .min = 0, .max = FRAME_BYTES_MAX, .unit = "bytes", .flags = (extra),                         \
                          .help = "The largest octet count that is believed; a larger one is taken as text."),         \
                PARAM_INT(                                                                                             \
                        struct imtcp_settings, stream.sessions_max, .name = "maxsessions",                             \
                        .legacy = legacy_name("InputTCPMaxSessions"), .dflt = "0", .min = 0, .max = INT32_MAX,         \
                        .unit = "connections", .flags = (extra),                                                       \
                        .help = "How many connections an input holds at once; more are closed at once. 0: as many as " \
                                "the open files limit allows."),                                                       \
                PARAM_INT(struct imtcp_settings, listeners_max, .name = "maxlisteners", .alias = "maxlistners",        \
                          .legacy = legacy_name("InputTCPMaxListeners"), .dflt = "20", .min = 1, .max = INT32_MAX,     \
                          .flags = (extra) | PARAM_IS_IGNORED,                                                         \
                          .help = "Without effect: inputs need no table of listeners."),                               \
                PARAM_INT(struct imtcp_settings, reads_max, .name = "starvationprotection.maxreads", .dflt = "500",    \
                          .min = 0, .max = INT32_MAX, .unit = "reads", .flags = (extra),                               \
                          .help = "So many reads that filled the buffer one connection may do before the others get "  \
                                  "their "                                                                             \
                                  "turn; 0: any number."),                                                             \
                PARAM_BOOL(struct imtcp_settings, preserves_case, .name = "preservecase",                              \
                           .legacy = legacy_name("InputTCPServerPreserveCase"), .dflt = "on", .flags = (extra),        \
                           .help = "The property fromhost shows the host name as the resolver spells it, else in "     \
                                   "lower case."),                                                                     \
                PARAM_BOOL(struct imtcp_settings, stream.keeps_alive, .name = "keepalive",                             \
                           .legacy = legacy_name("InputTCPServerKeepAlive"), .dflt = "off", .flags = (extra),          \
                           .help = "Let the kernel probe silent connections, so that dead ones are noticed."),         \
                PARAM_INT(struct imtcp_settings, stream.keepalive_probes, .name = "keepalive.probes",                  \
                          .legacy = legacy_name("InputTCPServerKeepAlive_probes"), .dflt = "0", .min = 0, .max = 127,  \
                          .unit = "probes", .flags = (extra),                                                          \
                          .help = "Unanswered probes after which a connection is dead; 0: the system's default."),     \
                PARAM_INT(struct imtcp_settings, stream.keepalive_time_s, .name = "keepalive.time",                    \
                          .legacy = legacy_name("InputTCPServerKeepAlive_time"), .dflt = "0", .min = 0, .max = 32767,  \
                          .unit = "seconds", .flags = (extra),                                                         \
                          .help = "Silence before the first probe; 0: the system's default."),                         \
                PARAM_INT(struct imtcp_settings, stream.keepalive_interval_s, .name = "keepalive.interval",            \
                          .legacy = legacy_name("InputTCPServerKeepAlive_intvl"), .dflt = "0", .min = 0, .max = 32767, \
                          .unit = "seconds", .flags = (extra),                                                         \
                          .help = "Time between probes; 0: the system's default."),                                    \
                PARAM_STRINGS(                                                                                         \
                        struct imtcp_settings, senders, .name = "allowedsender", .flags = (extra),                     \
                        .help = "Addresses and networks that may connect, as 192.0.2.0/24 or 2001:db8::/32; unset: "   \
                                "everybody."),                                                                         \
                PARAM_CHOICE(struct imtcp_settings, compression_mode, .name = "compression.mode",                      \
                             .legacy = legacy_name("InputTCPServerCompressionMode"), .dflt = "none",                   \
                             .choices = compression_modes, .flags = (extra),                                           \
                             .help = "stream:always: senders compress the whole connection, as omfwd's mode of that "  \
                                     "name."),                                                                         \
                PARAM_CHOICE(struct imtcp_settings, compression_driver, .name = "compression.driver",                  \
                             .legacy = legacy_name("InputTCPServerCompressionDriver"), .dflt = "zlib",                 \
                             .choices = compression_drivers, .flags = (extra),                                         \
                             .help = "How connections are compressed: as the senders' compression.driver says."),      \
                PARAM_INT(struct imtcp_settings, expansion_ratio_max, .name = "compression.maxexpansionratio",         \
                          .dflt = "1024", .min = 0, .max = INT32_MAX, .flags = (extra),                                \
                          .help = "A compressed connection that expands to more than this many times of what was "     \
                                  "received "                                                                          \
                                  "is closed; 0: any."),                                                               \
                PARAM_INT(struct imtcp_settings, inflated_bytes_max,                                                   \
                          .name = "compression.maxdecompressedbytesperreceive", .dflt = "67108864", .min = 0,          \
                          .max = INT64_MAX, .unit = "bytes", .flags = (extra),                                         \
                          .help = "A compressed connection is closed when one read expands to more; 0: any."),         \
                PARAM_INT(struct imtcp_settings, zstd_window_bytes, .name = "compression.maxtotalzstdwindowbytes",     \
                          .dflt = "67108864", .min = 0, .max = INT64_MAX, .unit = "bytes", .flags = (extra),           \
                          .help = "A connection whose zstd window would bring those of all connections of the input "  \
                                  "above this is closed; 0: any. A frame may ask for a window up to it."),             \
                PARAM_STRING(struct imtcp_settings, network_namespace, .name = "networknamespace", .flags = (extra),   \
                             .help = "The network namespace (as ip-netns(8) names it) to listen in; unset: our own."), \
                PARAM_INT(struct imtcp_settings, tls_mode, .name = "streamdriver.mode",                                \
                          .legacy = legacy_name("InputTCPServerStreamDriverMode"), .dflt = "0", .min = 0,              \
                          .max = INT32_MAX, .flags = (extra),                                                          \
                          .help = "0: plain TCP; 1: TLS, which the stream driver must be for."),                       \
                PARAM_STRING(                                                                                          \
                        struct imtcp_settings, tls_auth_mode, .name = "streamdriver.authmode",                         \
                        .legacy = legacy_name("InputTCPServerStreamDriverAuthMode"), .flags = (extra),                 \
                        .help = "Who is let in with TLS: anon (everybody), x509/certvalid (who has a certificate of "  \
                                "our authorities), x509/name (and it names a permitted peer), x509/fingerprint (who "  \
                                "has a permitted certificate)."),                                                      \
                PARAM_STRING(struct imtcp_settings, tls_expired_certs, .name = "streamdriver.permitexpiredcerts",      \
                             .dflt = "off", .flags = (extra),                                                          \
                             .help = "Senders whose certificate has expired: off refuses them, on lets them in, warn " \
                                     "does so and says it."),                                                          \
                PARAM_STRING(struct imtcp_settings, tls_driver, .name = "streamdriver.name", .flags = (extra),         \
                             .help = "Stream driver: ptcp is plain TCP; ossl, gtls and mbedtls are TLS in mode 1. "    \
                                     "Unset: global() defaultNetstreamDriver."),                                       \
                PARAM_BOOL(struct imtcp_settings, tls_checks_purpose, .name = "streamdriver.checkextendedkeypurpose",  \
                           .dflt = "off", .flags = (extra),                                                            \
                           .help = "A sender's certificate must be meant for TLS clients, where it says what it is "   \
                                   "for."),                                                                            \
                PARAM_BOOL(struct imtcp_settings, tls_prioritizes_san, .name = "streamdriver.prioritizesan",           \
                           .dflt = "off", .flags = (extra),                                                            \
                           .help = "The common name of a certificate counts only where it has no alternative names."), \
                PARAM_INT(struct imtcp_settings, tls_verify_depth, .name = "streamdriver.tlsverifydepth", .dflt = "0", \
                          .min = 0, .max = 100, .unit = "certificates", .flags = (extra),                              \
                          .help = "Most certificates between the sender's and the authority's; 0: the library's "      \
                                  "default."),                                                                         \
                PARAM_BOOL(struct imtcp_settings, tls_checks_revocation, .name = "streamdriver.tlsrevocationcheck",    \
                           .dflt = "off", .flags = (extra),                                                            \
                           .help = "Every certificate must be covered by a current list of the CRL file; off: what "   \
                                   "stands on a list is refused, and who has none is not."),                           \
                PARAM_STRING(struct imtcp_settings, tls_ca_file, .name = "streamdriver.cafile", .flags = (extra),      \
                             .help = "File (PEM) with the authorities whose certificates are trusted. Unset: "         \
                                     "global() defaultNetstreamDriverCAFile."),                                        \
                PARAM_STRING(struct imtcp_settings, tls_crl_file, .name = "streamdriver.crlfile", .flags = (extra),    \
                             .help = "File (PEM) with lists of revoked certificates. Unset: global() "                 \
                                     "defaultNetstreamDriverCRLFile."),                                                \
                PARAM_STRING(struct imtcp_settings, tls_key_file, .name = "streamdriver.keyfile", .flags = (extra),    \
                             .help = "File (PEM) with the private key of our certificate. Unset: global() "            \
                                     "defaultNetstreamDriverKeyFile."),                                                \
                PARAM_STRING(struct imtcp_settings, tls_cert_file, .name = "streamdriver.certfile", .flags = (extra),  \
                             .help = "File (PEM) with our certificate, and behind it those that lead to the "          \
                                     "authority. Unset: global() defaultNetstreamDriverCertFile."),                    \
                PARAM_STRINGS(struct imtcp_settings, tls_peers, .name = "permittedpeer",                               \
                              .legacy = legacy_name("InputTCPServerStreamDriverPermittedPeer"), .flags = (extra),      \
                              .help = "Names of certificates (*.example.net), addresses or fingerprints "              \
                                      "(SHA256:AB:CD...) that are let in by x509/name and x509/fingerprint."),         \
                PARAM_STRING(struct imtcp_settings, tls_priority, .name = "gnutlsprioritystring", .flags = (extra),    \
                             .help = "Versions and ciphers of TLS: a GnuTLS priority string, or OpenSSL commands, as " \
                                     "MinProtocol=TLSv1.3, one a line.")

static const struct param imtcp_module_params[] = {
        SHARED_PARAMS(0, HERE),
        PARAM_INT(struct imtcp_settings, threads, .name = "workerthreads", .dflt = "2", .min = 1, .max = THREADS_MAX,
                  .unit = "threads", .help = "Threads that read from connections, which are spread over them in turn."),
        PARAM_BOOL(struct imtcp_settings, stream.counts_octets, .name = "octetcountedframing", .dflt = "on",
                   .flags = PARAM_IS_IGNORED, .help = "Use supportOctetCountedFraming of the input."),
        {},
};

static const struct param imtcp_params[] = {
        PARAM_STRING(struct imtcp_settings, stream.port, .name = "port", .legacy = "InputTCPServerRun",
                     .flags = PARAM_IS_REQUIRED | PARAM_LEGACY_CREATES,
                     .help = "The port to listen on, by number or service name. 0, with listenPortFileName: any free "
                             "one."),
        PARAM_STRING(struct imtcp_settings, stream.port_file, .name = "listenportfilename",
                     .legacy = "InputTCPServerListenPortFile",
                     .help = "A file that the number of the port is written to."),
        PARAM_STRING(struct imtcp_settings, stream.address, .name = "address",
                     .help = "The local address to listen on; unset or *: all."),
        PARAM_STRING(struct imtcp_settings, stream.name, .name = "name", .legacy = "InputTCPServerInputName",
                     .dflt = "imtcp", .flags = PARAM_LEGACY_STAYS, .help = "What the property inputname shows."),
        PARAM_STRING(struct imtcp_settings, stream.default_zone, .name = "defaulttz",
                     .help = "The offset, as +01:00, of times that name none."),
        PARAM_RULESET(struct imtcp_settings, ruleset, .name = "ruleset", .legacy = "InputTCPServerBindRuleset",
                      .flags = PARAM_LEGACY_STAYS,
                      .help = "The ruleset that gets the messages; unset: the default one."),
        PARAM_BOOL(struct imtcp_settings, stream.counts_octets, .name = "supportoctetcountedframing",
                   .legacy = "InputTCPServerSupportOctetCountedFraming", .dflt = "on", .flags = PARAM_LEGACY_STAYS,
                   .help = "A frame that begins with a digit begins with its length (RFC 6587). Off: only delimiters "
                           "end messages."),
        PARAM_INT(struct imtcp_settings, stream.rate_interval_s, .name = "ratelimit.interval", .dflt = "0", .min = 0,
                  .max = INT32_MAX, .unit = "seconds", .help = "Length of the rate limit's window; 0: no limit."),
        PARAM_INT(struct imtcp_settings, stream.rate_burst, .name = "ratelimit.burst", .dflt = "10000", .min = 0,
                  .max = INT32_MAX, .unit = "messages", .help = "Messages that pass within one window."),
        LIMIT_SEVERITY(struct imtcp_settings, stream.rate_severity),
        PARAM_STRING(struct imtcp_settings, stream.rate_name, .name = "ratelimit.name", .help = NAMED_LIMIT_HELP),
        PARAM_BOOL(struct imtcp_settings, stream.fixes_cisco_asa, .name = "framingfix.cisco.asa", .dflt = "off",
                   .help = "Pass over blanks between frames, which Cisco ASA sends at times."),
        PARAM_INT(struct imtcp_settings, backlog, .name = "socketbacklog", .dflt = "0", .min = 0, .max = INT32_MAX,
                  .unit = "connections",
                  .help = "Connections that may wait to be accepted; 0: a tenth of maxSessions, 1024 at least."),
        PARAM_BOOL(struct imtcp_settings, stream.is_multi_line, .name = "multiline", .dflt = "off",
                   .help = "A line feed ends a message only where '<' follows, or nothing."),
        PARAM_STRING(struct imtcp_settings, stream.pattern, .name = "framing.delimiter.regex", .dflt = "off",
                     .help = "A regular expression (POSIX, extended) that the first line of each message matches; then "
                             "messages may have several lines."),
        PARAM_INT(struct imtcp_settings, threads, .name = "workerthreads", .dflt = "2", .min = 1, .max = THREADS_MAX,
                  .unit = "threads", .flags = PARAM_IS_IGNORED | PARAM_INHERITS,
                  .help = "Without effect on one input: threads belong to the module."),
        SHARED_PARAMS(PARAM_INHERITS, THERE),
        {},
};

static struct netstream netstream_of(const struct imtcp_settings *settings) {
        return (struct netstream){
                .module = "imtcp",
                .mode_param = "streamdriver.mode",
                .is_server = true,
                .mode = settings->tls_mode,
                .driver = settings->tls_driver,
                .auth_mode = settings->tls_auth_mode,
                .expired = settings->tls_expired_certs,
                .priority = settings->tls_priority,
                .ca_file = settings->tls_ca_file,
                .crl_file = settings->tls_crl_file,
                .key_file = settings->tls_key_file,
                .cert_file = settings->tls_cert_file,
                .peers = &settings->tls_peers,
                .verify_depth = settings->tls_verify_depth,
                .checks_purpose = settings->tls_checks_purpose,
                .prioritizes_san = settings->tls_prioritizes_san,
                .checks_revocation = settings->tls_checks_revocation,
        };
}

static enum compression compression_of(const struct imtcp_settings *settings) {
        if (settings->compression_mode == MODE_NONE)
                return COMPRESSION_NONE;
        return settings->compression_driver == DRIVER_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_ZLIB;
}

static int imtcp_check(const void *own, const void *module_settings, struct module_log *log) {
        const struct imtcp_settings *settings = own ? own : module_settings;
        if (!settings)
                return 0;
        const struct netstream netstream = netstream_of(settings);
        int tls = netstream_check(&netstream, log);
        int senders = listening_parse_senders(NULL, &settings->senders, "TCP", log);
        int pattern = own ? stream_check_pattern(settings->stream.pattern, "imtcp", log) : 0;
        int port = own && settings->stream.port ? listening_check_port(settings->stream.port, "TCP", log) : 0;
        return tls || senders || pattern || port ? fail(-EINVAL) : 0;
}

static void tell_closed(struct module_log *log, uint32_t session, const char *peer) {
        module_report(log, SEVERITY_ERR, CODE_SESSION_CLOSED, "Netstream session %u closed by remote peer %s. ",
                      session, peer);
}

static unsigned imtcp_threads(const void *module_settings) {
        return (unsigned)((const struct imtcp_settings *)module_settings)->threads;
}

static struct stream_options options_of(const struct imtcp_settings *settings) {
        struct stream_options options = stream_options_of(&settings->stream, "imtcp");
        options.senders = &settings->senders;
        options.rules.ends_at_lf = !settings->disables_lf;
        options.rules.keeps_tail = true;
        options.inflation = (struct inflation_options){
                .kind = compression_of(settings),
                .ratio_max = settings->expansion_ratio_max,
                .bytes_max_per_receive = settings->inflated_bytes_max,
                .window_bytes_max = settings->zstd_window_bytes,
        };
        options.reads_max = settings->reads_max;
        options.preserves_case = settings->preserves_case;
        options.tell_closed = tell_closed;
        return options;
}

/* Port 0 makes sense only for somebody who is told which one it became. */
static const char *port_of(const struct imtcp_settings *settings, struct module_log *log) {
        if (strcmp(settings->stream.port, "0") != 0 || (settings->stream.port_file && *settings->stream.port_file))
                return settings->stream.port;
        module_report(log, SEVERITY_WARNING, 0, "imtcp: port 0 and no port file set -> using port 514 instead");
        return "514";
}

static int imtcp_open(void **ret, const struct input_host *host, const void *own) {
        const struct imtcp_settings *settings = own;
        struct stream_options options = options_of(settings);
        limit_by_name(&options.limit, host, settings->stream.rate_name, "imtcp");
        _owned_(buffer_fini) struct buffer prefix = {0};
        buffer_format(&prefix, "imtcp %s: ", settings->stream.name);
        options.framing_prefix = buffer_string(&prefix);
        if (!options.framing_prefix)
                return fail(-ENOMEM);
        _owned_(stream_free) struct stream_server *server = NULL;
        int r = stream_new(&server, host, &options);
        if (r)
                return pass(r);
        int64_t backlog = settings->backlog ? settings->backlog : MAX(settings->stream.sessions_max / 10, BACKLOG_MIN);
        struct socket_place place = {
                .family = host->facts->ip_family,
                .address = settings->stream.address,
                .port = port_of(settings, host->log),
                .network_namespace = settings->network_namespace,
                .backlog = (int)backlog,
        };
        const struct netstream netstream = netstream_of(settings);
        _owned_(tls_context_free) struct tls_context *tls = NULL;
        r = netstream_open(&tls, &netstream, host->facts->netstream, host->log);
        if (r)
                return pass(r);
        stream_secure(server, TAKE(tls));
        r = stream_listen_tcp(server, &place);
        if (r)
                return pass(r);
        *ret = TAKE(server);
        return 0;
}

/* The port as it is written, where it makes sense. */
static void imtcp_statistic(struct buffer *name, const void *own, const void *module_settings _unused_) {
        const struct imtcp_settings *s = own;
        bool is_known = strcmp(s->stream.port, "0") != 0 || (s->stream.port_file && *s->stream.port_file);
        buffer_format(name, "%s(%s)", s->stream.name, is_known ? s->stream.port : "514");
}

static const struct input_ops imtcp_ops = {
        STREAM_OPS,
        .statistic = imtcp_statistic,
        .threads = imtcp_threads,
        .open = imtcp_open,
};

const struct module imtcp_module = {
        MODULE_HEAD,
        .kind = MODULE_INPUT,
        .name = "imtcp",
        .help = "Receives syslog over TCP, with line feeds or octet counts as framing.",
        .module_settings = SETTINGS(struct imtcp_settings, imtcp_module_params),
        .settings = SETTINGS(struct imtcp_settings, imtcp_params),
        .counters = stream_counters,
        .check = imtcp_check,
        .input = &imtcp_ops,
        .needs_objects = true,
};
